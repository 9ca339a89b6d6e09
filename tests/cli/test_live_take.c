/* Takes of made-up motions of the CC0 hand: a right one all the time, a left one that comes and goes. The argument is a
 * folder: take.glb, take_7_right.bvh, take_9_left.bvh and what they should show, take.json, for check_take.py, which
 * reads them with its own parser and kinematics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "live_take.h"
#include "model_impl.h"
#include "rotation.h"
#include "text_buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "portable.h"

enum { FRAMES = 12, LEFT_FROM = 3, LEFT_TO = 9, HANDS = 2 };

static const char *g_folder = WILOR_TEST_SCRATCH;
static char g_path[4096];

static const char *in_folder(const char *name) {
    snprintf(g_path, sizeof g_path, "%s/%s", g_folder, name);
    return g_path;
}

/* A smooth motion: each number a sine of its own. */
static float wave(int hand, int which, double t, double size) {
    return (float)(size * sin(0.7 * which + 1.3 * hand + t * (3 + which % 5)));
}

typedef struct posed {
    wilor_cli_live_hand hand;
    float *verts;
} posed;

/* MANO's own points for the hand's parameters. */
static void pose(const wilor_model *model, posed *p) {
    const wilor_mano *m = model->mano;
    size_t v = (size_t)wilor_mano_vertices(m);
    float rot[144], *scratch = malloc(sizeof *scratch * wilor_mano_scratch(m));
    double flip = p->hand.side == WILOR_LEFT ? -1 : 1;
    assert_true(scratch && p->verts);
    for (int j = 0; j < 16; j++) {
        const float *from = j ? p->hand.hand_pose + 3 * (j - 1) : p->hand.global_orient;
        double r[9], x[3] = {(double)from[0], flip * (double)from[1], flip * (double)from[2]};
        wilor_rotation_from_vector_f64(x, r);
        for (int i = 0; i < 9; i++)
            rot[9 * j + i] = (float)r[i];
    }
    wilor_mano_forward(m, rot, p->hand.betas, scratch, p->verts, NULL, p->hand.keypoints_3d[0]);
    free(scratch);
    for (size_t i = 0; flip < 0 && i < v; i++)
        p->verts[3 * i] = -p->verts[3 * i];
    for (int i = 0; flip < 0 && i < 21; i++)
        p->hand.keypoints_3d[i][0] = -p->hand.keypoints_3d[i][0];
}

static void make_hand(const wilor_model *model, posed *p, int hand, double t) {
    wilor_cli_live_hand *h = &p->hand;
    float *verts = p->verts;
    memset(h, 0, sizeof *h);
    h->id = hand ? 9 : 7;
    h->side = hand ? WILOR_LEFT : WILOR_RIGHT;
    for (int i = 0; i < 3; i++) {
        h->global_orient[i] = wave(hand, i, t, 2.5); /* over half a turn at times */
        h->cam_t[i] = wave(hand, 60 + i, t, 0.1) + (i == 2 ? 0.5f : 0);
    }
    for (int i = 0; i < 45; i++)
        h->hand_pose[i] = wave(hand, 3 + i, t, 0.6);
    for (int i = 0; i < 10; i++)
        h->betas[i] = wave(hand, 100 + i, 0, 1);
    pose(model, p);
    p->verts = verts;
}

static void put_numbers(wilor_cli_buffer *b, const char *key, const float *values, size_t n) {
    wilor_cli_buffer_text(b, key);
    for (size_t i = 0; i < n; i++) {
        wilor_cli_buffer_text(b, i ? "," : "[");
        wilor_cli_buffer_float(b, values[i]);
    }
    wilor_cli_buffer_text(b, "]");
}

static void put_truth(wilor_cli_buffer *b, const posed *p, size_t v, float t) {
    wilor_cli_buffer_text(b, b->used ? ",{\"id\":" : "[{\"id\":");
    wilor_cli_buffer_unsigned(b, p->hand.id);
    wilor_cli_buffer_text(b, ",\"t\":");
    wilor_cli_buffer_float(b, t);
    put_numbers(b, ",\"cam_t\":", p->hand.cam_t, 3);
    put_numbers(b, ",\"kp3d\":", p->hand.keypoints_3d[0], 63);
    put_numbers(b, ",\"vertices\":", p->verts, 3 * v);
    wilor_cli_buffer_text(b, "}");
}

static bool exists(const char *name) { return access(in_folder(name), F_OK) == 0; }

static void test_take(void **state) {
    const wilor_model *model = *state;
    size_t v = (size_t)wilor_mano_vertices(model->mano);
    char glb[4096], bvh[4096];
    posed p[HANDS] = {{.verts = malloc(sizeof(float) * 3 * v)},
                      {.verts = malloc(sizeof(float) * 3 * v)}};
    wilor_cli_buffer truth = {0};
    wilor_cli_take *take = NULL;
    wilor_error err;
    snprintf(glb, sizeof glb, "%s", in_folder("take.glb"));
    snprintf(bvh, sizeof bvh, "%s", in_folder("take.bvh"));
    assert_int_equal(wilor_cli_take_open(&take, glb, bvh, model, &err), WILOR_OK);
    for (int i = 0; i < FRAMES; i++) {
        wilor_cli_live_hand hands[HANDS];
        wilor_cli_live_event e = {.t_capture = 1000000000000 + 40000000 * (int64_t)i,
                                  .hands = hands};
        for (int h = 0; h < HANDS; h++) {
            if (h && (i < LEFT_FROM || i >= LEFT_TO))
                continue;
            make_hand(model, &p[h], h, 0.04 * i);
            hands[e.n++] = p[h].hand;
            put_truth(&truth, &p[h], v, 0.04f * (float)i);
        }
        assert_int_equal(wilor_cli_take_add(take, &e, &err), WILOR_OK);
        /* What must change nothing: the same time again, a time before, a number that is not finite. */
        hands[0].cam_t[0] = 5;
        assert_int_equal(wilor_cli_take_add(take, &e, &err), WILOR_OK);
        e.t_capture -= 1000;
        assert_int_equal(wilor_cli_take_add(take, &e, &err), WILOR_OK);
        e.t_capture += 2000;
        e.n = 1;
        hands[0].cam_t[0] = NAN;
        if (i + 1 < FRAMES) /* else the take would end after the hand */
            assert_int_equal(wilor_cli_take_add(take, &e, &err), WILOR_OK);
    }
    assert_false(exists("take.glb") || exists("take_7_right.bvh"));
    assert_int_equal(wilor_cli_take_finish(take, &err), WILOR_OK);
    assert_true(exists("take.glb") && exists("take_7_right.bvh") && exists("take_9_left.bvh"));
    wilor_cli_take_free(&take);
    assert_null(take);
    wilor_cli_buffer_text(&truth, "]\n");
    FILE *to = fopen(in_folder("take.json"), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(truth.text, 1, truth.used, to), truth.used);
    assert_int_equal(fclose(to), 0);
    wilor_cli_buffer_free(&truth);
    free(p[0].verts);
    free(p[1].verts);
}

/* Nothing recorded is a scene without hands; a take that is given up leaves nothing. */
static void test_empty(void **state) {
    wilor_cli_take *take = NULL;
    wilor_error err;
    char path[4096];
    snprintf(path, sizeof path, "%s", in_folder("empty.glb"));
    assert_int_equal(wilor_cli_take_open(&take, path, NULL, *state, &err), WILOR_OK);
    assert_int_equal(wilor_cli_take_finish(take, &err), WILOR_OK);
    wilor_cli_take_free(&take);
    struct stat what;
    assert_int_equal(stat(path, &what), 0);
    assert_true(what.st_size > 20 && what.st_size < 300 && what.st_size % 4 == 0);
    unlink(path);
    assert_int_equal(wilor_cli_take_open(&take, path, NULL, *state, &err), WILOR_OK);
    wilor_cli_take_free(&take);
    assert_int_not_equal(stat(path, &what), 0);
}

static void test_refused(void **state) {
    wilor_cli_take *take = NULL;
    wilor_error err;
    assert_int_equal(wilor_cli_take_open(&take, "a.gltf", NULL, *state, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "--gltf 'a.gltf': it should be a name that ends in .glb"));
    assert_int_equal(wilor_cli_take_open(&take, NULL, "a", *state, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "--bvh 'a'"));
    assert_int_equal(wilor_cli_take_open(&take, "/no/such/a.glb", NULL, *state, &err),
                     WILOR_ERR_IO);
    assert_int_equal(wilor_cli_take_open(&take, NULL, "/no/such/a.bvh", *state, &err),
                     WILOR_ERR_IO);
    assert_null(take);
}

static int open_model(void **state) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = "random:tiny";
    o.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    o.threads = 1;
    return wilor_model_open((wilor_model **)state, &o, NULL) != WILOR_OK;
}

static int close_model(void **state) {
    wilor_model_free((wilor_model **)state);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_empty),
                                       cmocka_unit_test(test_take)};
    if (argc > 1) {
        static const char *const names[] = {"take.glb", "take_7_right.bvh", "take_9_left.bvh"};
        g_folder = argv[1];
        mkdir(g_folder, 0777);
        for (int i = 0; i < 3; i++)
            unlink(in_folder(names[i]));
    }
    return cmocka_run_group_tests(tests, open_model, close_model);
}
