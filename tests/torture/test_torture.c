/* Every allocation fails in turn: alone, with the next one, with all that follow. The right status, one line,
 * nothing held afterwards (blocks, mappings, descriptors), no file begun and the old one as it was.
 * And a session's run makes no allocation at all, in any thread.
 *
 * test_torture MODEL FOLDER: a model file (wilor_make_model tiny) and a folder of its own. */
#include "alloc_wrap.h"
#include "event_json.h"
#include "event_out.h"
#include "extrinsics_file.h"
#include "live_hand.h"
#include "live_osc.h"
#include "live_shm.h"
#include "live_take.h"
#include "predict_options.h"
#include "predict_record.h"
#include "sources.h"
#include "wilor/wilor_io.h"
#include "writer_gltf.h"
#include "writer_npz.h"
#include "writer_obj.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HAND WILOR_TEST_DATA "/hand-cc0.npz"
#define SOUND WILOR_TEST_DATA "/pictures/sound/"

enum { WIDTH = 400, HEIGHT = 300, HANDS = 5, MOST = 4000, ALL = 1 << 30 };

static const char *g_model_path, *g_folder;
static char g_out[4096], g_target[sizeof g_out + 256];
static uint8_t g_pixels[WIDTH * HEIGHT * 3];
static const wilor_picture g_picture = {g_pixels, WIDTH, HEIGHT, (ptrdiff_t)WIDTH * 3,
                                        WILOR_RGB8};
static const wilor_box g_boxes[HANDS] = {{{100, 80, 180, 170}, 1, WILOR_RIGHT},
                                         {{200.5, 60.25, 290, 140}, 1, WILOR_LEFT},
                                         {{-40, 200, 90, 330}, 1, WILOR_LEFT},
                                         {{10, 10, 60, 60}, 1, WILOR_RIGHT},
                                         {{300, 200, 420, 290}, 1, WILOR_RIGHT}};
/* More than 225 pixels: smoothed, which takes memory. */
static const wilor_box g_large[2] = {{{20, 10, 390, 280}, 1, WILOR_LEFT},
                                     {{-20, 0, 300, 290}, 1, WILOR_RIGHT}};
static wilor_model *g_model;
static wilor_session *g_session;
static const wilor_hands *g_hands;
static int g_failures;

static void fail(const char *what, long n, const char *why) {
    printf("not ok: %s, allocation %ld: %s\n", what, n, why);
    g_failures++;
}

static const char *out_name(const char *name) {
    snprintf(g_target, sizeof g_target, "%s/%s", g_out, name);
    return g_target;
}

/* ---------------------------------------------------------------- what is tortured */

static wilor_status open_model(wilor_model **model, const char *weights, const char *mano,
                               wilor_error *err) {
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = mano;
    o.threads = 1;
    return wilor_model_open(model, &o, err);
}

static wilor_status do_load(const char *path, wilor_error *err) {
    wilor_model *model = NULL;
    wilor_status st = open_model(&model, path ? path : g_model_path, HAND, err);
    if ((st == WILOR_OK) != (model != NULL))
        st = WILOR_ERR_INTERNAL;
    wilor_model_free(&model);
    return st;
}

static wilor_status do_file(const char *path, wilor_error *err) {
    wilor_file *file = NULL;
    wilor_status st = wilor_file_open(&file, path, err);
    wilor_file_close(&file);
    return st;
}

static wilor_status open_session(wilor_session **s, int threads, wilor_error *err) {
    wilor_session_options o;
    wilor_session_options_init(&o, sizeof o);
    o.threads = threads;
    return wilor_session_create(s, g_model, &o, err);
}

static wilor_status do_session(const char *path, wilor_error *err) {
    wilor_session *s = NULL;
    (void)path;
    wilor_status st = open_session(&s, 3, err);
    wilor_session_free(&s);
    return st;
}

/* Two hands of one batch. What the call before left in the session is nothing like them, and a
 * call that comes through has to be right. */
static wilor_status do_predict(const char *path, wilor_error *err) {
    static float right[2 * 63];
    static bool known;
    const wilor_hands *hands;
    (void)path;
    wilor_status st = wilor_predict_boxes(g_session, &g_picture, g_boxes, 2, NULL, &hands, err);
    if (st != WILOR_OK)
        return WILOR_ERR_INTERNAL; /* that takes no memory */
    st = wilor_predict_boxes(g_session, &g_picture, g_large, 2, NULL, &hands, err);
    if (st == WILOR_OK && !known && !wilor_wrap_failed()) {
        memcpy(right, hands->keypoints_3d, sizeof right);
        known = true;
    }
    if (st == WILOR_OK && memcmp(right, hands->keypoints_3d, sizeof right) != 0)
        st = WILOR_ERR_INTERNAL;
    return st;
}

static wilor_status do_read(const char *path, wilor_error *err) {
    wilor_image image = {0};
    wilor_status st = wilor_image_read(&image, path, 0, err);
    if (st != WILOR_OK && image.data)
        st = WILOR_ERR_INTERNAL;
    wilor_image_free(&image);
    return st;
}

static wilor_status do_write(const char *name, wilor_error *err) {
    return wilor_image_write(&g_picture, out_name(name), 90, err);
}

static wilor_status do_overlay(const char *name, wilor_error *err) {
    wilor_overlay_options o;
    wilor_image image = {0};
    wilor_overlay_options_init(&o, sizeof o);
    o.boxes = 1;
    o.label = "torture";
    wilor_status st = wilor_overlay_draw(&image, &g_picture, g_model, g_hands, &o, err);
    if (st == WILOR_OK) {
        wilor_picture view = wilor_image_view(&image);
        st = wilor_image_write(&view, out_name(name), 90, err);
    }
    wilor_image_free(&image);
    return st;
}

static wilor_status do_obj(const char *name, wilor_error *err) {
    return wilor_cli_obj_write(g_out, name, g_model, g_hands, 0, true, err);
}

static wilor_status do_npz(const char *name, wilor_error *err) {
    wilor_cli_npz *z = NULL;
    wilor_model_info info;
    wilor_model_get_info(g_model, &info, sizeof info);
    wilor_status st = wilor_cli_npz_open(&z, out_name(name), true, err);
    for (int i = 0; st == WILOR_OK && i < 20; i++)
        st = wilor_cli_npz_append(z, "a picture.png", g_hands, err);
    if (st == WILOR_OK)
        st = wilor_cli_npz_finish(z, info.vertices, wilor_model_faces(g_model, WILOR_RIGHT),
                                  info.faces, err);
    wilor_cli_npz_free(&z);
    return st;
}

static wilor_status do_gltf(const char *name, wilor_error *err) {
    wilor_cli_gltf *g = NULL;
    wilor_cli_gltf_picture p = {
        "folder/a picture.png", "a picture", WIDTH, HEIGHT, true, false};
    wilor_status st = wilor_cli_gltf_open(&g, out_name(name), err);
    if (st == WILOR_OK)
        st = wilor_cli_gltf_append(g, &p, g_model, g_hands, err);
    if (st == WILOR_OK)
        st = wilor_cli_gltf_finish(g, g_model, err);
    wilor_cli_gltf_free(&g);
    return st;
}

static wilor_status write_events(const char *name, bool pretty, wilor_error *err) {
    wilor_cli_event_out out;
    wilor_cli_event e = {.source = "a \xff picture.png",
                         .width = WIDTH,
                         .height = HEIGHT,
                         .camera = true,
                         .include = WILOR_CLI_MANO | WILOR_CLI_GESTURE};
    wilor_status st = wilor_cli_event_out_open(&out, out_name(name), pretty, pretty, err);
    if (st == WILOR_OK) {
        json_t *json = NULL;
        st = wilor_cli_event_build(&json, &e, g_model, g_hands, err);
        char *text = st == WILOR_OK ? wilor_cli_event_out_text(&out, json) : NULL;
        if (st == WILOR_OK)
            st = text
                     ? wilor_cli_event_out_put(&out, text, err)
                     : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing JSON");
        free(text);
        json_decref(json);
    }
    if (st == WILOR_OK)
        st = wilor_cli_event_out_finish(&out, err);
    wilor_cli_event_out_discard(&out);
    return st;
}

static wilor_status do_lines(const char *name, wilor_error *err) {
    return write_events(name, false, err);
}

static wilor_status do_readable(const char *name, wilor_error *err) {
    return write_events(name, true, err);
}

static wilor_status do_record(const char *name, wilor_error *err) {
    wilor_cli_event_out out;
    wilor_cli_event e = {.width = WIDTH, .height = HEIGHT, .camera = true, .include = ~0u};
    char *record = NULL;
    size_t size;
    wilor_status st = wilor_cli_event_out_open(&out, out_name(name), false, false, err);
    if (st == WILOR_OK)
        st = wilor_cli_predict_record(&record, &size, &e, 3, g_model, g_hands, err);
    if (st == WILOR_OK)
        st = wilor_cli_event_out_bytes(&out, record, size, err);
    if (st == WILOR_OK)
        st = wilor_cli_event_out_finish(&out, err);
    wilor_cli_event_out_discard(&out);
    free(record);
    return st;
}

/* Two events of one hand. */
static wilor_status write_take(const char *gltf, const char *bvh, wilor_error *err) {
    wilor_cli_take *take = NULL;
    wilor_cli_live_hand hand;
    wilor_cli_live_event e = {.n = 1, .hands = &hand};
    wilor_cli_live_hand_fill(&hand, g_model, g_hands, 0, 0);
    hand.id = 1;
    wilor_status st = wilor_cli_take_open(&take, gltf, bvh, g_model, err);
    for (int i = 0; st == WILOR_OK && i < 2; i++) {
        e.t_capture = i * 1000000;
        st = wilor_cli_take_add(take, &e, err);
    }
    if (st == WILOR_OK)
        st = wilor_cli_take_finish(take, err);
    wilor_cli_take_free(&take);
    return st;
}

static wilor_status do_take_gltf(const char *name, wilor_error *err) {
    return write_take(out_name(name), NULL, err);
}

static wilor_status do_take_bvh(const char *name, wilor_error *err) {
    return write_take(NULL, out_name(name), err);
}

/* Not the file: jansson says of some failed allocations that the text is wrong. */
static wilor_status do_move(const char *name, wilor_error *err) {
    static const wilor_cli_pose pose = {{1, 2, 3}, {0, 0, 0, 1}};
    wilor_cli_mover *mover = NULL;
    wilor_cli_live_hand hand;
    const wilor_cli_live_event *moved;
    wilor_cli_live_event e = {.n = 1, .hands = &hand, .vertices = g_hands->vertices};
    (void)name;
    wilor_cli_live_hand_fill(&hand, g_model, g_hands, 0, 0);
    wilor_status st = wilor_cli_mover_create(&mover, &pose, err);
    if (st == WILOR_OK)
        st = wilor_cli_mover_move(mover, &e, &moved, err);
    wilor_cli_mover_free(&mover);
    return st;
}

static wilor_status do_others(const char *name, wilor_error *err) {
    wilor_cli_osc *osc = NULL;
    wilor_cli_shm *shm = NULL;
    wilor_status st = wilor_cli_osc_open(&osc, "127.0.0.1:9", err);
    if (st == WILOR_OK)
        st = wilor_cli_shm_open(&shm, name, err);
    wilor_cli_osc_close(&osc);
    wilor_cli_shm_close(&shm);
    return st;
}

static wilor_status do_sources(const char *path, wilor_error *err) {
    wilor_cli_sources s = {0};
    wilor_cli_report report = {.quiet = true};
    size_t failed = 0;
    const char *inputs[] = {path, SOUND "exif1.png", "-"};
    wilor_status st = wilor_cli_sources_list(&s, inputs, 3, &report, &failed, err);
    if (st == WILOR_OK)
        st = wilor_cli_sources_name(&s, err);
    wilor_cli_sources_free(&s);
    return st;
}

static wilor_status do_options(const char *path, wilor_error *err) {
    char bbox[] = "1,2,30,40,left", weights[] = "w", option[] = "--bbox", file[] = "--weights",
         picture[] = "a.png";
    char *argv[] = {picture, option, bbox, option, bbox, file, weights, NULL};
    wilor_cli_predict_options o;
    (void)path;
    wilor_status st = wilor_cli_predict_options_parse(&o, 7, argv, err);
    wilor_cli_predict_options_free(&o);
    return st;
}

/* ---------------------------------------------------------------- the torture */

typedef struct act {
    const char *what;
    wilor_status (*run)(const char *path, wilor_error *err);
    const char *path; /* read, or the file to write below g_out */
    const char *file; /* below g_out, NULL: none is written */
    long least;       /* allocations that there are at least: else the wrapping is off */
    bool again;       /* it tries again, and may come through when only one failed */
} act;

static const act ACTS[] = {
    {"load safetensors", do_load, NULL, NULL, 20, false},
    {"load random", do_load, "random:tiny", NULL, 20, false},
    {"open a checkpoint", do_file, WILOR_TEST_FORMATS "/strided.ckpt", NULL, 5, false},
    {"open a legacy checkpoint", do_file, WILOR_TEST_FORMATS "/legacy.ckpt", NULL, 5, false},
    {"open a deflated npz", do_file, WILOR_TEST_FORMATS "/deflated.npz", NULL, 5, false},
    {"open a hand's pickle", do_file, WILOR_TEST_FORMATS "/chumpy.pkl", NULL, 5, false},
    {"create a session", do_session, NULL, NULL, 4, false},
    {"predict large boxes", do_predict, NULL, NULL, 5, true},
    {"read JPEG", do_read, SOUND "jpeg_420_33x17.jpg", NULL, 2, false},
    {"read rotated JPEG", do_read, SOUND "exif6.jpg", NULL, 3, false},
    {"read CMYK JPEG", do_read, SOUND "jpeg_cmyk_7x3.jpg", NULL, 2, false},
    {"read interlaced PNG", do_read, SOUND "png_c6_16_interlaced_33x17.png", NULL, 2, false},
    {"read WebP", do_read, SOUND "webp_lossy_33x17.webp", NULL, 2, false},
    {"read animated WebP", do_read, SOUND "webp_animated.webp", NULL, 2, false},
    {"write PNG", do_write, "a.png", "a.png", 2, false},
    {"write JPEG", do_write, "a.jpg", "a.jpg", 2, false},
    {"overlay", do_overlay, "a.overlay.png", "a.overlay.png", 4, false},
    {"write OBJ", do_obj, "a", "a_0_right.obj", 4, false},
    {"write npz", do_npz, "a.npz", "a.npz", 10, false},
    {"write GLB", do_gltf, "a.glb", "a.glb", 10, false},
    {"write glTF", do_gltf, "a.gltf", "a.gltf", 10, false},
    {"write events", do_lines, "a.ndjson", "a.ndjson", 100, false},
    {"write readable events", do_readable, "a.json", "a.json", 100, false},
    {"write a record", do_record, "a.wle", "a.wle", 4, false},
    {"write a take as GLB", do_take_gltf, "a.glb", "a.glb", 15, false},
    {"write a take as BVH", do_take_bvh, "a.bvh", "a_1_right.bvh", 8, false},
    {"move an event", do_move, NULL, NULL, 3, false},
    {"OSC and shared memory", do_others, "wilor-torture", NULL, 2, false},
    {"list sources", do_sources, WILOR_TEST_DATA "/pictures/sound", NULL, 10, false},
    {"read options", do_options, NULL, NULL, 2, false},
};

static int descriptors(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void empty_folder(void) {
    char path[8192];
    DIR *dir = opendir(g_out);
    for (const struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.' || strlen(d->d_name) > 2) {
            snprintf(path, sizeof path, "%s/%s", g_out, d->d_name);
            unlink(path);
        }
    if (dir)
        closedir(dir);
}

static void put_old(const char *file) {
    empty_folder();
    FILE *f = file ? fopen(out_name(file), "w") : NULL;
    if (f) {
        fputs("before", f);
        fclose(f);
    }
}

/* After a failure: only the old file is there, and it says what it said. */
static bool is_untouched(const char *file) {
    int others = 0;
    DIR *dir = opendir(g_out);
    for (const struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        others += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
                  (!file || strcmp(d->d_name, file) != 0);
    if (dir)
        closedir(dir);
    char text[16] = "";
    FILE *f = file ? fopen(out_name(file), "r") : NULL;
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
    }
    return others == 0 && (!file || strcmp(text, "before") == 0);
}

/* Allocations of an act fail, from the nth on. False: it has fewer. */
static bool torture_once(const act *a, long n, long count) {
    char why[1024];
    wilor_error err = {WILOR_OK, ""};
    put_old(a->file);
    int open_before = descriptors();
    wilor_wrap_held before = wilor_wrap_now();
    wilor_wrap_fail(n, count);
    wilor_status st = a->run(a->path, &err);
    bool failed = wilor_wrap_failed();
    long allocations = wilor_wrap_allocations();
    wilor_wrap_fail(0, 0);
    wilor_wrap_held after = wilor_wrap_now();
    snprintf(why, sizeof why, "status %d (%s)", (int)st, err.text);
    bool recovered = failed && a->again && count != ALL && st == WILOR_OK;
    if (st != (failed && !recovered ? WILOR_ERR_NOMEM : WILOR_OK))
        fail(a->what, n, why);
    if (failed && !recovered && (st == WILOR_OK || err.text[0] == 0 || strchr(err.text, '\n')))
        fail(a->what, n, "no line that says it");
    if (after.blocks != before.blocks || after.mapped != before.mapped)
        fail(a->what, n, "memory is leaked");
    if (descriptors() != open_before)
        fail(a->what, n, "a descriptor is leaked");
    if (failed && !is_untouched(a->file))
        fail(a->what, n, "a file is half written, left over or lost");
    if (!failed && a->file && is_untouched(a->file))
        fail(a->what, n, "nothing was written");
    if (!failed && allocations < a->least)
        fail(a->what, allocations, "fewer allocations than expected: are they wrapped?");
    return failed;
}

static void torture(const act *a) {
    static const long counts[] = {1, 2, ALL};
    long n = 0;
    torture_once(a, 0, 0); /* what works first and remembers */
    for (int i = 0; i < 3; i++)
        for (n = 0; n < MOST && g_failures < 20 && torture_once(a, n, counts[i]);)
            n++;
    printf("%s: %ld allocations failed, alone, with the next and with all after them\n",
           a->what, n);
}

/* ---------------------------------------------------------------- a run takes no memory */

static void quiet_run(int threads) {
    wilor_error err = {WILOR_OK, ""};
    wilor_session *s = NULL;
    const wilor_hands *hands;
    static uint8_t crop[256 * 256 * 3];
    static float rgb[2 * 256 * 256 * 3];
    wilor_picture crops[2];
    wilor_status st = open_session(&s, threads, &err);
    for (int i = 0; i < 2; i++)
        crops[i] = (wilor_picture){crop, 256, 256, (ptrdiff_t)256 * 3, WILOR_RGB8};
    wilor_wrap_fail(0, ALL); /* and one that was made would fail */
    for (int i = 0; st == WILOR_OK && i < 2; i++)
        st = wilor_predict_boxes(s, &g_picture, g_boxes, HANDS, NULL, &hands, &err);
    if (st == WILOR_OK)
        st = wilor_predict_crops(s, crops, NULL, 2, &hands, &err);
    if (st == WILOR_OK)
        st = wilor_run(s, rgb, 2, &hands, &err);
    long calls = wilor_wrap_calls();
    wilor_wrap_fail(0, 0);
    if (st != WILOR_OK || calls != 0)
        fail("a run takes no memory", calls, err.text);
    printf("%d hands, %d threads: %ld calls of the allocator\n", HANDS, threads, calls);
    wilor_session_free(&s);
}

static bool prepare(void) {
    wilor_error err = {WILOR_OK, "the folder cannot be made"};
    for (size_t i = 0; i < sizeof g_pixels; i++)
        g_pixels[i] = (uint8_t)((i * 2654435761u) >> 13);
    json_set_alloc_funcs(malloc, free);
    json_object_seed(1); /* else the first object reads /dev/urandom, once */
    snprintf(g_out, sizeof g_out, "%s/out", g_folder);
    mkdir(g_folder, 0777);
    mkdir(g_out, 0777);
    if (access(g_out, W_OK) == 0 &&
        open_model(&g_model, g_model_path, NULL, &err) == WILOR_OK &&
        open_session(&g_session, 1, &err) == WILOR_OK &&
        wilor_predict_boxes(g_session, &g_picture, g_boxes, 2, NULL, &g_hands, &err) ==
            WILOR_OK)
        return true;
    printf("not ok: %s\n", err.text);
    return false;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: test_torture MODEL FOLDER\n", stderr);
        return 2;
    }
    g_model_path = argv[1];
    g_folder = argv[2];
    if (!prepare())
        return 1;
    quiet_run(1);
    quiet_run(3);
    wilor_session *runs = g_session;
    g_session = NULL;
    /* One for results that the writers need, one for the acts. */
    if (open_session(&g_session, 1, NULL) != WILOR_OK)
        return 1;
    for (size_t i = 0; i < sizeof ACTS / sizeof *ACTS; i++)
        torture(&ACTS[i]);
    empty_folder();
    wilor_session_free(&g_session);
    wilor_session_free(&runs);
    wilor_model_free(&g_model);
    wilor_wrap_held held = wilor_wrap_now();
    if (held.blocks || held.mapped)
        fail("the end", 0, "memory is leaked");
    printf(g_failures ? "FAILED: %d\n" : "passed\n", g_failures);
    return g_failures != 0;
}
