/* The full-size network (632 M parameters in the backbone) against upstream's outputs for two
 * crops.
 *
 * Needs the 2.56 GB checkpoint: WILOR_FULL_CHECKPOINT names it, or "random:full" stands for the
 * same weights made by formula (then WILOR_FULL_MANO names the hand). Not run by default: it
 * takes 2.6 GB of memory. Prints load time, time per hand and peak memory. */
#include "golden.h"
#include "heap.h"
#include "wilor/wilor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define METRES 1e-6
#define OTHERS 1e-5

enum { HANDS = 2, PIXELS = 256 * 256 * 3 };

/* Peak resident memory in bytes, or 0. */
static double peak_memory(void) {
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

static void check(const wilor_index *reference, const char *name, const float *got,
                  size_t count, double tolerance) {
    size_t total;
    char full[64];
    snprintf(full, sizeof full, "f32.%s", name);
    float *want = golden_f32(reference, full, &total);
    assert_int_equal(total, count);
    golden_check(name, got, want, count, tolerance);
    wilor_heap_free(want);
}

static void test_full(void **state) {
    (void)state;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_options mo;
    wilor_model_info info;
    const wilor_hands *h;
    wilor_picture crops[HANDS];
    static uint8_t pixels[HANDS * PIXELS];
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = getenv("WILOR_FULL_CHECKPOINT");
    mo.mano = getenv("WILOR_FULL_MANO");
    wilor_index *stages = golden_open(golden_path(WILOR_TEST_FIXTURES, "tiny/stages.npz"));
    float *bgr = golden_f32(stages, "crop_bgr", NULL);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)bgr[i];
    for (size_t i = 0; i < HANDS; i++)
        crops[i] = (wilor_picture){pixels + i * PIXELS, 256, 256, 256 * 3, WILOR_BGR8};
    wilor_heap_free(bgr);
    wilor_index_close(&stages);
    if (wilor_model_open(&model, &mo, &err) != WILOR_OK ||
        wilor_session_create(&session, model, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    wilor_model_get_info(model, &info, sizeof info);
    printf("loaded in %.2f s, %.3f GB packed, session %.1f MB, peak %.3f GB after loading\n",
           info.load_seconds, (double)info.packed_bytes * 1e-9,
           (double)wilor_session_memory(model, NULL) * 1e-6, peak_memory() * 1e-9);
    if (wilor_predict_crops(session, crops, NULL, HANDS, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    printf("%.1f ms a hand, tier %s, peak %.3f GB\n", h->stage_ms[3] / HANDS,
           wilor_isa_name(info.isa), peak_memory() * 1e-9);
    wilor_index *r = golden_open(golden_path(WILOR_TEST_FIXTURES, "full_reference.npz"));
    check(r, "pred_vertices", h->vertices_3d, HANDS * (size_t)h->vertices * 3, METRES);
    check(r, "pred_keypoints_3d", h->keypoints_3d, HANDS * 63, METRES);
    check(r, "pred_cam", h->pred_cam, HANDS * 3, OTHERS);
    check(r, "betas", h->betas, HANDS * 10, OTHERS);
    check(r, "global_orient", h->global_orient, HANDS * 3, OTHERS);
    check(r, "hand_pose", h->hand_pose, HANDS * 45, OTHERS);
    wilor_index_close(&r);
    wilor_session_free(&session);
    wilor_model_free(&model);
}

int main(void) {
    if (!getenv("WILOR_FULL_CHECKPOINT") ||
        !golden_exists(golden_path(WILOR_TEST_FIXTURES, "full_reference.npz"))) {
        printf("skipped: WILOR_FULL_CHECKPOINT does not name the full-size checkpoint\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full)};
    return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
