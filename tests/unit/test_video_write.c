/* Videos out: read back by our own reader, sound packet by packet; nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "scratch_folder.h"
#include "video_clip.h"
#include "video_reader.h"
#include "wilor/wilor_io.h"

static uint8_t g_rgb[512 * 512 * 3];

static int setup(void **state) {
    (void)state;
    return make_folder("write");
}

static wilor_video_writer_options options(heard *h) {
    wilor_video_writer_options o;
    wilor_video_writer_options_init(&o, sizeof o);
    o.callbacks.user = h;
    o.callbacks.log = h ? hear : NULL;
    return o;
}

static wilor_video_writer *must_open(const char *path, int width, int height,
                                     const wilor_video_writer_options *o) {
    wilor_video_writer *w = NULL;
    wilor_error err;
    if (wilor_video_writer_open(&w, path, width, height, o, &err) != WILOR_OK)
        fail_msg("%s: %s", path, err.text);
    return w;
}

static void must_add(wilor_video_writer *w, int width, int height, int number, int64_t time) {
    wilor_error err;
    clip_draw(g_rgb, width, height, number);
    const wilor_picture p = {g_rgb, width, height, width * 3, WILOR_RGB8};
    if (wilor_video_writer_add(w, &p, time, &err) != WILOR_OK)
        fail_msg("picture %d: %s", number, err.text);
}

static void must_finish(wilor_video_writer **w, int64_t end) {
    wilor_error err;
    if (wilor_video_writer_finish(w, end, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    assert_null(*w);
}

/* Read back: numbers first …, times within a unit of the container. */
static void check_video(const char *path, int width, int height, const int64_t *times, int n,
                        int64_t tolerance) {
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    if (wilor_video_open(&v, path, NULL, &err) != WILOR_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) {
        assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
        assert_non_null(f.picture.data);
        assert_int_equal(f.picture.width, width);
        assert_int_equal(f.picture.height, height);
        assert_int_equal(clip_number(f.picture.data, f.picture.stride, width, height), i);
        assert_in_range(f.time - times[i] + tolerance, 0, 2 * tolerance);
    }
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
    assert_null(f.picture.data);
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    assert_int_equal(info.damaged + info.repaired, 0);
    wilor_video_close(&v);
}

static void write_video(const char *path, const int64_t *times, int n,
                        const wilor_video_writer_options *o, int64_t end) {
    wilor_video_writer *w = must_open(path, CLIP_WIDTH, CLIP_HEIGHT, o);
    for (int i = 0; i < n; i++)
        must_add(w, CLIP_WIDTH, CLIP_HEIGHT, i, times[i]);
    must_finish(&w, end);
}

static void test_round_trip(void **state) {
    (void)state;

    enum { N = 90 };

    static const char *const names[] = {"a.mp4", "a.mkv", "a.MOV"};
    int64_t even[N], uneven[N];
    for (int i = 0; i < N; i++) {
        even[i] = i * INT64_C(1001000000) / 30;
        uneven[i] = i * INT64_C(33333333) + (i % 7) * 3000000 + (i > 50) * 2000000000;
    }
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        const int64_t tolerance = k == 1 ? 600000 : 20000; /* Matroska counts milliseconds */
        write_video(in_folder(names[k]), even, N, NULL, 0);
        check_video(in_folder(names[k]), CLIP_WIDTH, CLIP_HEIGHT, even, N, tolerance);
        write_video(in_folder(names[k]), uneven, N, NULL, 0);
        check_video(in_folder(names[k]), CLIP_WIDTH, CLIP_HEIGHT, uneven, N, tolerance);
    }
    assert_int_equal(files_in_folder(), 3);
}

static void test_encoders(void **state) {
    (void)state;
    static const char *const names[] = {"mpeg4", "mjpeg", "ffv1", "libx264", "libvpx-vp9"};
    static const int64_t times[] = {0, 40000000, 80000000, 120000000};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!avcodec_find_encoder_by_name(names[k])) {
            printf("no encoder %s here\n", names[k]);
            continue;
        }
        wilor_video_writer_options o = options(NULL);
        o.codec = names[k];
        o.quality = 10;
        write_video(in_folder("e.mkv"), times, 4, &o, 0);
        check_video(in_folder("e.mkv"), CLIP_WIDTH, CLIP_HEIGHT, times, 4, 600000);
    }
}

/* Colours come back: a picture in, the same out but for the codec's losses. */
static void test_colours(void **state) {
    (void)state;
    static const uint8_t colours[][3] = {{255, 0, 0},   {0, 255, 0},   {0, 0, 255},
                                         {255, 255, 0}, {30, 60, 120}, {200, 150, 100}};
    static const wilor_pixel_format formats[] = {WILOR_RGB8, WILOR_BGR8, WILOR_RGBA8,
                                                 WILOR_BGRA8};
    for (size_t k = 0; k < sizeof formats / sizeof formats[0]; k++) {
        const bool blue = formats[k] == WILOR_BGR8 || formats[k] == WILOR_BGRA8;
        const int step = k < 2 ? 3 : 4;
        wilor_video_writer_options o = options(NULL);
        o.quality = 5;
        wilor_video_writer *w = must_open(in_folder("c.mp4"), 64, 48, &o);
        wilor_error err;
        for (int i = 0; i < 6; i++) {
            for (int at = 0; at < 64 * 48; at++)
                for (int c = 0; c < step; c++)
                    g_rgb[at * step + c] = c == 3 ? 77 : colours[i][blue ? 2 - c : c];
            const wilor_picture p = {g_rgb, 64, 48, 64 * step, formats[k]};
            assert_int_equal(wilor_video_writer_add(w, &p, i * 100000000, &err), WILOR_OK);
        }
        must_finish(&w, 0);
        wilor_video *v = NULL;
        wilor_video_frame f;
        assert_int_equal(wilor_video_open(&v, in_folder("c.mp4"), NULL, &err), WILOR_OK);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
            for (int c = 0; c < 3; c++)
                assert_in_range(f.picture.data[24 * f.picture.stride + 32 * 3 + c] + 8 -
                                    colours[i][c],
                                0, 16);
        }
        wilor_video_close(&v);
    }
}

/* Odd sizes lose a line; another size is fitted in with black edges; grey is grey. */
static void test_sizes(void **state) {
    (void)state;
    static const int64_t times[] = {0, 40000000};
    wilor_error err;
    wilor_video_writer *w =
        must_open(in_folder("s.mp4"), CLIP_WIDTH + 1, CLIP_HEIGHT + 1, NULL);
    for (int i = 0; i < 2; i++)
        must_add(w, CLIP_WIDTH + 1, CLIP_HEIGHT + 1, i, times[i]);
    must_finish(&w, 0);
    check_video(in_folder("s.mp4"), CLIP_WIDTH, CLIP_HEIGHT, times, 2, 20000);

    w = must_open(in_folder("s.mp4"), 256, 128, NULL);
    must_add(w, 256, 128, 0, 0);
    for (int i = 1; i < 4; i++) {
        memset(g_rgb, 255, sizeof g_rgb);
        const wilor_picture p = {g_rgb, i == 1 ? 100 : 300, i == 2 ? 40 : 100,
                                 i == 1 ? 300 : 900, WILOR_RGB8};
        const wilor_picture grey = {g_rgb, 300, 40, 300, WILOR_GRAY8};
        assert_int_equal(wilor_video_writer_add(w, i == 3 ? &grey : &p, i * 40000000, &err),
                         WILOR_OK);
    }
    must_finish(&w, 0);
    wilor_video *v = NULL;
    wilor_video_frame f;
    assert_int_equal(wilor_video_open(&v, in_folder("s.mp4"), NULL, &err), WILOR_OK);
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
        assert_int_equal(f.picture.width, 256);
        const uint8_t *row = f.picture.data + 64 * f.picture.stride;
        const uint8_t *top = f.picture.data + 4 * f.picture.stride;
        assert_true(row[128 * 3] > 240 && row[128 * 3 + 2] > 240);   /* the middle */
        assert_true(i == 1 ? row[8 * 3] < 16 && row[250 * 3] < 16    /* beside it */
                           : top[128 * 3] < 16 && row[8 * 3] > 240); /* above it */
    }
    wilor_video_close(&v);
}

/* ---------------------------------------------------------------- sound */

enum { MOST_PACKETS = 1000 };

typedef struct packets {
    int n;
    unsigned long hash[MOST_PACKETS];
    double time[MOST_PACKETS];
} packets;

static void list_sound(const char *path, packets *out) {
    AVFormatContext *demux = NULL;
    AVPacket *p = av_packet_alloc();
    out->n = 0;
    assert_int_equal(avformat_open_input(&demux, path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(demux, NULL) >= 0);
    const int s = av_find_best_stream(demux, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
    while (s >= 0 && av_read_frame(demux, p) >= 0) {
        if (p->stream_index == s) {
            unsigned long h = 5381;
            for (int i = 0; i < p->size; i++)
                h = h * 33 + p->data[i];
            assert_true(out->n < MOST_PACKETS);
            out->hash[out->n] = h;
            out->time[out->n++] = (double)p->pts * av_q2d(demux->streams[s]->time_base);
        }
        av_packet_unref(p);
    }
    av_packet_free(&p);
    avformat_close_input(&demux);
}

/* The packets of `to` are those of `from`, in order, from the first with a time of at least 0. */
static void same_sound(const packets *from, const packets *to, int n) {
    int skip = 0;
    while (skip < from->n && from->time[skip] < 0)
        skip++;
    assert_int_equal(to->n, n < 0 ? from->n - skip : n);
    for (int i = 0; i < to->n; i++) {
        assert_true(to->hash[i] == from->hash[skip + i]);
        const double off = to->time[i] - from->time[skip + i];
        assert_true(off > -0.002 && off < 0.002);
    }
}

static void test_sound(void **state) {
    (void)state;
    static packets from, to;
    int64_t times[60];
    for (int i = 0; i < 60; i++)
        times[i] = i * INT64_C(1000000000) / 30;
    if (!clip_make(in_folder("in.mp4"),
                   &(clip_spec){"mpeg4", "mp4", .frames = 60, .sound = "aac"}))
        skip();
    char source[1024];
    snprintf(source, sizeof source, "%s", in_folder("in.mp4"));
    list_sound(source, &from);
    assert_true(from.n > 90);
    static const char *const names[] = {"s.mp4", "s.mkv", "s.mov"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        wilor_video_writer_options o = options(NULL);
        o.audio = source;
        write_video(in_folder(names[k]), times, 60, &o, INT64_MAX);
        check_video(in_folder(names[k]), CLIP_WIDTH, CLIP_HEIGHT, times, 60, 600000);
        list_sound(in_folder(names[k]), &to);
        same_sound(&from, &to, -1);
        /* Half of the pictures: half of the sound. */
        write_video(in_folder(names[k]), times, 30, &o, 0);
        list_sound(in_folder(names[k]), &to);
        assert_in_range(to.n, from.n / 2 - 1, from.n / 2 + 1);
        same_sound(&from, &to, to.n);
        /* From the middle on: the source's second second is our first. */
        o.audio_start = 1000000000;
        write_video(in_folder(names[k]), times, 30, &o, INT64_MAX);
        list_sound(in_folder(names[k]), &to);
        assert_in_range(to.n, from.n / 2 - 2, from.n / 2 + 2);
        assert_true(to.hash[to.n - 1] == from.hash[from.n - 1]);
        assert_true(to.time[0] >= 0 && to.time[0] < 0.03);
    }
}

/* A source without sound, sound that does not fit, a source that is none. */
static void test_no_sound(void **state) {
    (void)state;
    static packets to;
    static const int64_t times[] = {0, 40000000};
    heard h = {0};
    wilor_error err;
    wilor_video_writer *w = NULL;
    char source[1024];
    wilor_video_writer_options o = options(&h);
    o.audio = source;
    snprintf(source, sizeof source, "%s", in_folder("mute.mp4"));
    if (clip_make(source, &(clip_spec){"mpeg4", "mp4", .frames = 2})) {
        write_video(in_folder("q.mp4"), times, 2, &o, 0);
        list_sound(in_folder("q.mp4"), &to);
        assert_int_equal(to.n + h.lines, 0);
    }
    snprintf(source, sizeof source, "%s", in_folder("pcm.mkv"));
    if (clip_make(source,
                  &(clip_spec){"mpeg4", "matroska", .frames = 2, .sound = "pcm_s16le"})) {
        write_video(in_folder("q.mp4"), times, 2, &o, 0);
        assert_int_equal(h.lines, 1);
        assert_non_null(strstr(h.last, "pcm_s16le"));
        write_video(in_folder("q.mkv"), times, 2, &o, 0);
        list_sound(in_folder("q.mkv"), &to);
        assert_true(to.n > 0);
    }
    snprintf(source, sizeof source, "%s", in_folder("gone.mp4"));
    const int before = files_in_folder();
    assert_int_equal(wilor_video_writer_open(&w, in_folder("r.mp4"), 64, 64, &o, &err),
                     WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "gone.mp4"));
    assert_int_equal(files_in_folder(), before);
}

/* ---------------------------------------------------------------- what goes wrong */

static void test_whole_or_not(void **state) {
    (void)state;
    char path[1024];
    size_t size;
    wilor_error err;
    snprintf(path, sizeof path, "%s", in_folder("old.mp4"));
    clip_store(path, "old", 3);
    const int before = files_in_folder();
    wilor_video_writer *w = must_open(path, CLIP_WIDTH, CLIP_HEIGHT, NULL);
    for (int i = 0; i < 20; i++)
        must_add(w, CLIP_WIDTH, CLIP_HEIGHT, i, i * 40000000);
    assert_int_equal(files_in_folder(), before + 1);
    wilor_video_writer_discard(&w);
    assert_null(w);
    assert_int_equal(files_in_folder(), before);
    w = must_open(path, CLIP_WIDTH, CLIP_HEIGHT, NULL);
    assert_int_equal(wilor_video_writer_finish(&w, 0, &err), WILOR_ERR_ARG);
    assert_null(w);
    uint8_t *data = clip_load(path, &size);
    assert_int_equal(size, 3);
    free(data);
    assert_int_equal(files_in_folder(), before);
    wilor_video_writer_discard(&w);
    wilor_video_writer_discard(NULL);
}

static void test_refusals(void **state) {
    (void)state;
    wilor_video_writer *w = NULL;
    wilor_error err;
    wilor_video_writer_options o = options(NULL);
    const int before = files_in_folder();
#define REFUSED(status, name, width, height)                                                   \
    assert_int_equal(wilor_video_writer_open(&w, in_folder(name), width, height, &o, &err),    \
                     status)
    REFUSED(WILOR_ERR_UNSUPPORTED, "x.avi", 64, 64);
    REFUSED(WILOR_ERR_UNSUPPORTED, "mp4", 64, 64);
    REFUSED(WILOR_ERR_ARG, "x.mp4", 1, 64);
    REFUSED(WILOR_ERR_ARG, "x.mp4", 64, 100000);
    REFUSED(WILOR_ERR_IO, "none/x.mp4", 64, 64);
    assert_non_null(strstr(err.text, "none/x.mp4"));
    o.codec = "no such codec";
    REFUSED(WILOR_ERR_UNSUPPORTED, "x.mp4", 64, 64);
    o.codec = "aac";
    REFUSED(WILOR_ERR_UNSUPPORTED, "x.mp4", 64, 64);
    o.codec = NULL;
    o.quality = 52;
    REFUSED(WILOR_ERR_ARG, "x.mp4", 64, 64);
#undef REFUSED
    assert_null(w);
    assert_int_equal(files_in_folder(), before);

    w = must_open(in_folder("x.mp4"), 64, 64, NULL);
    must_add(w, 64, 64, 0, 1000000);
    const wilor_picture p = {g_rgb, 64, 64, 192, WILOR_RGB8};
    assert_int_equal(wilor_video_writer_add(w, &p, 1000000, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_video_writer_add(w, &p, -1, &err), WILOR_ERR_ARG);
    const wilor_picture none = {NULL, 64, 64, 192, WILOR_RGB8};
    assert_int_equal(wilor_video_writer_add(w, &none, 2000000, &err), WILOR_ERR_ARG);
    must_add(w, 64, 64, 1, 1000001); /* an argument's error is no end; a tick is kept between */
    must_finish(&w, 0);
}

/* A disk that is full: told at the latest at the end, and nothing is left. */
static void test_full(void **state) {
    (void)state;
    wilor_error err;
    char path[1024];
    snprintf(path, sizeof path, "%s", in_folder("full.mkv"));
    if (symlink("/dev/full", path) != 0)
        skip();
    wilor_video_writer *w = NULL;
    wilor_status st = wilor_video_writer_open(&w, path, CLIP_WIDTH, CLIP_HEIGHT, NULL, &err);
    for (int i = 0; i < 200 && st == WILOR_OK; i++) {
        clip_draw(g_rgb, CLIP_WIDTH, CLIP_HEIGHT, i);
        const wilor_picture p = {g_rgb, CLIP_WIDTH, CLIP_HEIGHT, CLIP_WIDTH * 3, WILOR_RGB8};
        st = wilor_video_writer_add(w, &p, i * 40000000, &err);
    }
    if (st == WILOR_OK)
        st = wilor_video_writer_finish(&w, 0, &err);
    assert_int_equal(st, WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "No space left"));
    wilor_video_writer_discard(&w);
    unlink(path);
}

static void test_no_memory(void **state) {
    (void)state;
    const int before = files_in_folder();
    for (int n = 0;; n++) {
        wilor_video_writer *w = NULL;
        wilor_error err;
        const wilor_picture p = {g_rgb, 64, 64, 64, WILOR_GRAY8};
        wilor_heap_fail_at(n);
        wilor_status st = wilor_video_writer_open(&w, in_folder("n.mp4"), 64, 64, NULL, &err);
        if (st == WILOR_OK)
            st = wilor_video_writer_add(w, &p, 0, &err);
        if (st == WILOR_OK)
            st = wilor_video_writer_finish(&w, 0, &err);
        wilor_heap_fail_at(-1);
        wilor_video_writer_discard(&w);
        if (st == WILOR_OK) {
            assert_true(n >= 4);
            break;
        }
        assert_int_equal(st, WILOR_ERR_NOMEM);
        assert_int_equal(files_in_folder(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_encoders),
        cmocka_unit_test(test_colours),      cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sound),        cmocka_unit_test(test_no_sound),
        cmocka_unit_test(test_whole_or_not), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_full),         cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, drop_folder);
}
