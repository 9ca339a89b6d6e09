/* libwilor_video as libwilor_io loads it: not there, another version's, then the right one, in one process. */
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
#include <sys/stat.h>

#include "resident.h"
#include "scratch_folder.h"
#include "wilor/wilor_io.h"

#define CLIP WILOR_TEST_VIDEOS "/avc.mp4"

static int setup(void **state) {
    (void)state;
    return make_folder("video_module");
}

static bool loaded(const char *library) {
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        found = found || strstr(line, library);
    fclose(maps);
    return found;
}

static int frames_of(const char *source) {
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    int n = 0;
    if (wilor_video_open(&v, source, NULL, &err) != WILOR_OK)
        return -1;
    while (wilor_video_read(v, &f, &err) == WILOR_OK && f.picture.data)
        n++;
    wilor_video_close(&v);
    return n;
}

/* Nothing is opened, and the message names the module's file. */
static void refused(const char *text) {
    wilor_video *v = NULL;
    wilor_video_writer *w = NULL;
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, CLIP, NULL, &err), WILOR_ERR_UNSUPPORTED);
    assert_null(v);
    assert_non_null(strstr(err.text, "avc.mp4"));
    assert_non_null(strstr(err.text, "libwilor_video.so.0"));
    if (!strstr(err.text, text))
        fail_msg("'%s' is not in: %s", text, err.text);
    assert_int_equal(wilor_video_writer_open(&w, in_folder("x.mp4"), 64, 64, NULL, &err),
                     WILOR_ERR_UNSUPPORTED);
    assert_null(w);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(wilor_video_writer_finish(&w, 0, &err), WILOR_ERR_UNSUPPORTED);
    wilor_video_writer_discard(&w);
    assert_string_equal(wilor_video_support(), "sequence");
    assert_false(loaded("libavcodec"));
}

static void test_missing(void **state) {
    (void)state;
    setenv("WILOR_VIDEO_MODULE", "/nowhere/libwilor_video.so.0", 1);
    refused("cannot be loaded: /nowhere");
    setenv("WILOR_VIDEO_MODULE", WILOR_TEST_OTHER_MODULE, 1);
    refused("a module of another version");
    setenv("WILOR_VIDEO_MODULE", WILOR_TEST_NO_MODULE, 1);
    refused("a module of another version");
    unsetenv("WILOR_VIDEO_MODULE");
}

static void test_pictures(void **state) {
    (void)state;
    assert_int_equal(frames_of(WILOR_TEST_DEMO), 1);
    assert_false(loaded("libavcodec"));
    assert_false(loaded("libwilor_video"));
    assert_false(loaded("libcurl"));
}

static void *read_clip(void *user) {
    *(int *)user = frames_of(CLIP);
    return NULL;
}

/* The first use, by several threads at once; libavdevice waits for a device. */
static void test_loaded(void **state) {
    enum { THREADS = 4 };

    (void)state;
    pthread_t thread[THREADS];
    int frames[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_clip, &frames[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_true(frames[i] > 0 && frames[i] == frames[0]);
    assert_true(loaded("libwilor_video"));
    assert_true(loaded("libavcodec"));
    /* Its symbols' names were read while it was loaded, over 100 KB of them: they are given back. */
    assert_true(resident_kb("/libavutil.", 0) < 1024);
    assert_false(loaded("libavdevice"));
    assert_false(loaded("libcurl"));
    assert_memory_equal(wilor_video_support(), "sequence file", 13);
    assert_true(loaded("libavdevice"));
}

static int after_three(void *user) { return ++*(int *)user > 3; }

/* The caller's thread is known across the two libraries: it is asked whether to go on. */
static void test_cancel(void **state) {
    (void)state;
    int asked = 0;
    wilor_video *v = NULL;
    wilor_video_options o;
    wilor_error err;
    const char *pipe = in_folder("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    wilor_video_options_init(&o, sizeof o);
    o.callbacks = (wilor_callbacks){.user = &asked, .cancel = after_three};
    assert_int_equal(wilor_video_open(&v, pipe, &o, &err), WILOR_ERR_CANCELLED);
    assert_null(v);
    assert_int_equal(asked, 4);
}

/* Written by the module, with the sound of a file that it opens by itself; of the clip there is none. */
static void test_write(void **state) {
    (void)state;
    static uint8_t pixels[64 * 64 * 3];
    const wilor_picture p = {
        .data = pixels, .width = 64, .height = 64, .stride = 64 * 3, .format = WILOR_RGB8};
    wilor_video_writer *w = NULL;
    wilor_video_writer_options o;
    wilor_error err;
    wilor_video_writer_options_init(&o, sizeof o);
    o.audio = CLIP;
    assert_int_equal(wilor_video_writer_open(&w, in_folder("out.mp4"), 64, 64, &o, &err),
                     WILOR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wilor_video_writer_add(w, &p, i * INT64_C(33000000), &err), WILOR_OK);
    assert_int_equal(wilor_video_writer_finish(&w, 0, &err), WILOR_OK);
    assert_int_equal(frames_of(in_folder("out.mp4")), 3);
    assert_int_equal(wilor_video_writer_open(&w, in_folder("two.mp4"), 64, 64, NULL, &err),
                     WILOR_OK);
    wilor_video_writer_discard(&w);
    assert_null(w);
    assert_int_equal(files_in_folder(), 2); /* the pipe, and out.mp4 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing), cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_loaded),  cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, setup, drop_folder);
}
