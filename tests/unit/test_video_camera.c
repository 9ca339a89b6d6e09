/* V4L2 through FFmpeg's input device, against the driver of v4l2_shim.c, which is linked into this
 * program and answers in place of the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "v4l2_shim.h"
#include "video_clip.h"
#include "video_impl.h"
#include "video_reader.h"

static void behave(const char *words) {
    assert_int_equal(setenv("WILOR_FAKE_CAMERA", words, 1), 0);
}

static int need_v4l2(void **state) {
    (void)state;
    behave("");
    return 0;
}

static bool lacking(void) { return !strstr(wilor_video_support(), "v4l2"); }

static wilor_video_frame must_see(wilor_video *v) {
    wilor_video_frame f = must_read(v);
    assert_non_null(f.picture.data);
    return f;
}

static void test_frames(void **state) {
    (void)state;

    enum { N = 40 };

    heard h = {0};
    wilor_video_options o = reader_options(&h);
    o.width = 320;
    o.height = 240;
    o.rate = 100;
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, &o);
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    assert_int_equal(info.live, 1);
    assert_string_equal(info.format, "v4l2");
    assert_int_equal(info.width, 320);
    assert_true(info.rate > 99 && info.rate < 101);
    int64_t first = 0;
    for (int i = 0; i < N; i++) {
        const wilor_video_frame f = must_see(v);
        assert_int_equal(f.picture.width, 320);
        assert_int_equal(f.picture.height, 240);
        assert_int_equal(clip_number(f.picture.data, f.picture.stride, 320, 240), i);
        assert_int_equal(f.index, i);
        /* The driver's own stamp, on our clock. */
        assert_int_equal(f.driver_time, 1);
        assert_int_equal(f.capture, v4l2_shim_stamp(i));
        assert_true(f.arrival >= f.capture && f.arrival <= wilor_video_now());
        first = i ? first : f.capture;
        assert_int_equal(f.time, f.capture - first);
    }
    assert_int_equal(h.lines, 0);
    wilor_video_close(&v);
    assert_int_equal(v4l2_shim_held(), 0);
}

/* By prefix, without wishes, twice one after the other. */
static void test_again(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        wilor_video *v = must_open_video("v4l2:" V4L2_SHIM_PATH, NULL);
        const wilor_video_frame f = must_see(v);
        assert_int_equal(f.picture.width, 640);
        assert_int_equal(clip_number(f.picture.data, f.picture.stride, 640, 480), 0);
        /* A second program, while this one has it. */
        wilor_video *second = NULL;
        wilor_error err;
        assert_int_equal(wilor_video_open(&second, V4L2_SHIM_PATH, NULL, &err), WILOR_ERR_IO);
        assert_non_null(strstr(err.text, "busy"));
        wilor_video_close(&v);
        assert_int_equal(v4l2_shim_held(), 0);
    }
}

static void test_another_size(void **state) {
    (void)state;
    heard h = {0};
    behave("size=160x120");
    wilor_video_options o = reader_options(&h);
    o.width = 1280;
    o.height = 720;
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, &o);
    assert_int_equal(h.lines, 1);
    assert_non_null(strstr(h.last, "1280 x 720"));
    assert_non_null(strstr(h.last, "160 x 120"));
    assert_int_equal(must_see(v).picture.width, 160);
    wilor_video_close(&v);
}

/* FFmpeg takes what the driver has instead. */
static void test_another_format(void **state) {
    (void)state;
    heard h = {0};
    behave("mjpeg");
    wilor_video_options o = reader_options(&h);
    o.pixel_format = "yuyv422";
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, &o);
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    assert_string_equal(info.codec, "mjpeg");
    assert_int_equal(h.lines, 1);
    assert_non_null(strstr(h.last, "yuyv422 was asked for, the camera gives mjpeg"));
    wilor_video_close(&v);
}

static void refused(const char *words, const char *pixels, wilor_status status,
                    const char *text) {
    wilor_video *v = NULL;
    wilor_error err;
    wilor_video_options o = reader_options(NULL);
    behave(words);
    o.pixel_format = pixels;
    const wilor_status st = wilor_video_open(&v, V4L2_SHIM_PATH, &o, &err);
    if (st != status || !strstr(err.text, text) || !strstr(err.text, V4L2_SHIM_PATH))
        fail_msg("%s: status %d: %s", words, (int)st, err.text);
    printf("%s: %s\n", words, err.text);
    assert_null(v);
    assert_int_equal(v4l2_shim_held(), 0);
}

static void test_refusals(void **state) {
    (void)state;
    refused("busy", NULL, WILOR_ERR_IO, "busy");
    refused("open-busy", NULL, WILOR_ERR_IO, "busy");
    refused("forbidden", NULL, WILOR_ERR_IO, "may not open");
    refused("no-capture", NULL, WILOR_ERR_IO, "no such camera");
    refused("", "mjpeg", WILOR_ERR_IO, "refuses");
    refused("", "no such format", WILOR_ERR_IO, "refuses");
    wilor_video *v = NULL;
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, "/dev/video98", NULL, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "no such camera"));
    assert_non_null(strstr(err.text, "/dev/video98"));
}

/* Unplugged while it streams; and there again, opened anew. */
static void test_unplugged(void **state) {
    (void)state;
    behave("unplug=5 rate=200");
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, NULL);
    wilor_video_frame f;
    wilor_error err;
    wilor_status st;
    int n = 0;
    while ((st = wilor_video_read(v, &f, &err)) == WILOR_OK && f.picture.data)
        assert_true(++n <= 5);
    assert_int_equal(st, WILOR_ERR_IO);
    assert_true(n >= 4);
    assert_non_null(strstr(err.text, "unplugged"));
    assert_null(f.picture.data);
    wilor_video_close(&v);
    assert_int_equal(v4l2_shim_held(), 0);
    behave("");
    v = must_open_video(V4L2_SHIM_PATH, NULL);
    must_see(v);
    wilor_video_close(&v);
}

static void test_stall(void **state) {
    (void)state;
    behave("stall=3 rate=200");
    wilor_video_options o = reader_options(NULL);
    o.read_timeout = 0.3;
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, &o);
    wilor_video_frame f;
    wilor_error err;
    for (int i = 0, tries = 0; i < 3; tries++) {
        /* Held up for so long this process may be, too. */
        const wilor_status st = wilor_video_read(v, &f, &err);
        assert_true(st == WILOR_OK || (st == WILOR_ERR_IO && tries < 100));
        i += st == WILOR_OK;
    }
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "no frame for 0.3 s"));
    wilor_video_close(&v);
}

static int64_t g_stopped_at;

static void *stop_soon(void *user) {
    const struct timespec t = {0, 150000000};
    nanosleep(&t, NULL);
    g_stopped_at = wilor_video_now();
    wilor_video_stop(user);
    return NULL;
}

/* How many ms after the stop a read comes back. */
static double stop_once(void) {
    behave("stall=1");
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, NULL);
    must_see(v);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, v), 0);
    wilor_video_frame f;
    wilor_error err;
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_ERR_CANCELLED);
    pthread_join(thread, NULL);
    const double ms = (double)(wilor_video_now() - g_stopped_at) / 1e6;
    printf("stopped within %.0f ms\n", ms);
    wilor_video_close(&v);
    return ms;
}

/* A machine that is busy may hold a test up for any time: the quickest of ten has to be quick enough. */
static void test_stop(void **state) {
    (void)state;
    int tries = 1;
    while (stop_once() >= 250)
        assert_true(++tries <= 10);
}

/* Stamps of the wall clock are not taken for ours. */
static void test_other_clock(void **state) {
    (void)state;
    behave("realtime rate=200");
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, NULL);
    int64_t last = -1;
    for (int i = 0; i < 10; i++) {
        const wilor_video_frame f = must_see(v);
        assert_int_equal(f.driver_time, 0);
        assert_int_equal(f.capture, f.arrival);
        assert_true(f.time > last);
        last = f.time;
    }
    wilor_video_close(&v);
}

static void test_mjpeg(void **state) {
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/camera-%ld.mjpeg", WILOR_TEST_SCRATCH, (long)getpid());
    const clip_spec c = {"mjpeg", "mjpeg", 320, 240, .frames = 1, .first = 171};
    if (!clip_make(path, &c))
        skip();
    setenv("WILOR_FAKE_CAMERA_JPEG", path, 1);
    behave("mjpeg size=320x240 rate=100");
    wilor_video_options o = reader_options(NULL);
    o.pixel_format = "mjpeg";
    wilor_video *v = must_open_video(V4L2_SHIM_PATH, &o);
    for (int i = 0; i < 5; i++) {
        const wilor_video_frame f = must_see(v);
        assert_int_equal(f.picture.width, 320);
        assert_int_equal(clip_number(f.picture.data, f.picture.stride, 320, 240), 171);
        assert_int_equal(f.capture, v4l2_shim_stamp(i)); /* no frame of delay */
        assert_int_equal(f.driver_time, 1);
    }
    wilor_video_close(&v);
    unlink(path);
}

int main(void) {
    if (lacking()) {
        printf("skipped: this FFmpeg has no v4l2 input\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_frames, need_v4l2),
        cmocka_unit_test_setup(test_again, need_v4l2),
        cmocka_unit_test_setup(test_another_size, need_v4l2),
        cmocka_unit_test_setup(test_another_format, need_v4l2),
        cmocka_unit_test_setup(test_refusals, need_v4l2),
        cmocka_unit_test_setup(test_unplugged, need_v4l2),
        cmocka_unit_test_setup(test_stall, need_v4l2),
        cmocka_unit_test_setup(test_stop, need_v4l2),
        cmocka_unit_test_setup(test_other_clock, need_v4l2),
        cmocka_unit_test_setup(test_mjpeg, need_v4l2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
