/* NV12 pictures: the pixels that OpenCV gives, and the same hands as from the RGB picture. */
#include "nv12.h"
#include "wilor/wilor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { W = 320, H = 240 };

static uint8_t g_luma[H * W], g_chroma[H / 2 * W], g_both[H * 3 / 2 * W], g_rgb[H * W * 3];

/* cv2.cvtColor(…, COLOR_YUV2RGB_NV12) of OpenCV 5 on random bytes, 6 × 4 pixels. */
static void test_reference(void **state) {
    (void)state;
    static const uint8_t nv12[36] = {248, 194, 190, 207, 147, 26,  237, 21,  245, 211, 239, 45,
                                     5,   157, 159, 60,  54,  236, 109, 46,  199, 82,  32,  205,
                                     36,  7,   134, 222, 57,  146, 8,   149, 14,  15,  22,  10};
    static const uint8_t want[72] = {
        77,  255, 84, 14,  255, 22, 255, 124, 215, 255, 144, 234, 181, 166, 9,   40, 25,  0,
        64,  255, 72, 0,   140, 0,  255, 188, 255, 255, 148, 239, 255, 255, 116, 62, 47,  0,
        34,  30,  0,  198, 194, 0,  0,   255, 0,   0,   188, 0,   0,   182, 0,   68, 255, 42,
        142, 138, 0,  68,  65,  0,  33,  255, 0,   0,   213, 0,   0,   156, 0,   32, 255, 6};
    wilor_picture picture = {nv12, 6, 4, 6, WILOR_NV12};
    wilor_nv12 planes;
    uint8_t row[18];
    assert_int_equal(wilor_nv12_planes(&planes, &picture, NULL, 0, NULL), WILOR_OK);
    for (int y = 0; y < 4; y++) {
        wilor_nv12_row(&planes, y, row);
        assert_memory_equal(row, want + y * 18, sizeof row);
    }
}

static void test_bad_planes(void **state) {
    (void)state;
    wilor_error err;
    wilor_nv12 planes;
    wilor_picture picture = {g_luma, W, H, W, WILOR_NV12};
    assert_int_equal(wilor_nv12_planes(&planes, &picture, g_chroma, W - 1, &err),
                     WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "319"));
    picture.stride = -W;
    assert_int_equal(wilor_nv12_planes(&planes, &picture, NULL, 0, &err), WILOR_ERR_ARG);
}

static void fill(void) {
    for (size_t i = 0; i < sizeof g_both; i++)
        g_both[i] = (uint8_t)((i * 2654435761u) >> 11);
    memcpy(g_luma, g_both, sizeof g_luma);
    memcpy(g_chroma, g_both + sizeof g_luma, sizeof g_chroma);
    wilor_picture picture = {g_both, W, H, W, WILOR_NV12};
    wilor_nv12 planes;
    wilor_nv12_planes(&planes, &picture, NULL, 0, NULL);
    for (int y = 0; y < H; y++)
        wilor_nv12_row(&planes, y, g_rgb + y * W * 3);
}

static void predict(wilor_session *s, const wilor_picture *picture, const uint8_t *chroma,
                    float keypoints[63]) {
    static const wilor_box box = {{60, 50, 150, 160}, 1, WILOR_LEFT};
    wilor_error err;
    wilor_predict_options o;
    const wilor_hands *h = NULL;
    wilor_predict_options_init(&o, sizeof o);
    o.nv12_chroma = chroma;
    if (wilor_predict_boxes(s, picture, &box, 1, &o, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    memcpy(keypoints, h->keypoints_3d, 63 * sizeof *keypoints);
}

/* One plane after the other, planes apart, and RGB: the same bits. Crops too. */
static void test_same_hands(void **state) {
    (void)state;
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *s = NULL;
    wilor_model_options mo;
    float rgb[63], together[63], apart[63];
    fill();
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = "random:tiny";
    mo.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    if (wilor_model_open(&model, &mo, &err) != WILOR_OK ||
        wilor_session_create(&s, model, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    predict(s, &(wilor_picture){g_rgb, W, H, W * 3, WILOR_RGB8}, NULL, rgb);
    predict(s, &(wilor_picture){g_both, W, H, W, WILOR_NV12}, NULL, together);
    predict(s, &(wilor_picture){g_luma, W, H, W, WILOR_NV12}, g_chroma, apart);
    assert_memory_equal(rgb, together, sizeof rgb);
    assert_memory_equal(rgb, apart, sizeof rgb);

    static uint8_t nv12[256 * 256 * 3 / 2], pixels[256 * 256 * 3];
    for (size_t i = 0; i < sizeof nv12; i++)
        nv12[i] = (uint8_t)((i * 2246822519u) >> 13);
    const wilor_picture crops[2] = {{nv12, 256, 256, 256, WILOR_NV12},
                                    {pixels, 256, 256, 256 * 3, WILOR_RGB8}};
    wilor_nv12 planes;
    wilor_nv12_planes(&planes, &crops[0], NULL, 0, NULL);
    for (int y = 0; y < 256; y++)
        wilor_nv12_row(&planes, y, pixels + y * 256 * 3);
    const wilor_hands *h = NULL;
    if (wilor_predict_crops(s, crops, NULL, 2, &h, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_memory_equal(h->keypoints_3d, h->keypoints_3d + 63, 63 * sizeof(float));
    wilor_session_free(&s);
    wilor_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reference),
                                       cmocka_unit_test(test_bad_planes),
                                       cmocka_unit_test(test_same_hands)};
    return cmocka_run_group_tests_name("nv12", tests, NULL, NULL);
}
