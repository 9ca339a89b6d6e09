/* The reader on videos made here: every frame in order with its time, turned, damaged, resized,
 * repeated, through pipes and sockets, stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "picture_turn.h"
#include "scratch_folder.h"
#include "video_clip.h"
#include "video_impl.h"
#include "video_reader.h"

static volatile unsigned
    g_touched; /* every row's last byte, so that a sanitizer sees a bad one */

static int setup(void **state) {
    (void)state;
    return make_folder("read");
}

static int number_of(const wilor_video_frame *f) {
    return clip_number(f->picture.data, f->picture.stride, f->picture.width, f->picture.height);
}

static wilor_video_info info_of(const wilor_video *v) {
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    return info;
}

static void must_end(wilor_video *v) {
    for (int i = 0; i < 2; i++)
        assert_null(must_read(v).picture.data);
}

/* ---------------------------------------------------------------- whole, sound videos */

static void check_clip(const clip_spec *c, const char *name, const char *codec,
                       int64_t tolerance) {
    if (!clip_make(in_folder(name), c))
        return;
    wilor_video_options o = reader_options(NULL);
    o.rate = c->rate;
    wilor_video *v = must_open_video(in_folder(name), &o);
    const double rate = c->rate > 0 ? c->rate : 30;
    for (int i = 0; i < c->frames; i++) {
        const wilor_video_frame f = must_read(v);
        assert_non_null(f.picture.data);
        assert_int_equal(f.picture.width, c->width ? c->width : CLIP_WIDTH);
        assert_int_equal(f.picture.height, c->height ? c->height : CLIP_HEIGHT);
        assert_int_equal(number_of(&f), c->first + i);
        assert_int_equal(f.index, i);
        const int64_t wanted =
            c->times ? (c->times[i] - c->times[0]) * 1000000 : (int64_t)(i * 1e9 / rate + 0.5);
        assert_in_range(f.time + tolerance - wanted, 0, 2 * tolerance);
        assert_true(f.arrival > 0 && f.capture == f.arrival && f.decode >= 0);
        assert_true(i > 0 || f.key);
    }
    must_end(v);
    const wilor_video_info info = info_of(v);
    assert_string_equal(info.codec, codec);
    assert_int_equal(info.damaged, 0);
    assert_int_equal(info.repaired, 0);
    assert_int_equal(info.live, 0);
    assert_int_equal(info.audio, c->sound != NULL);
    if (!c->times)
        assert_true(info.rate > rate * 0.999 && info.rate < rate * 1.001);
    if (info.frames && !c->times)
        assert_in_range(info.frames, c->frames - 1, c->frames + 1);
    wilor_video_close(&v);
}

static void test_codecs(void **state) {
    (void)state;
    const int64_t exact = 2, ms = 1000000;
    check_clip(&(clip_spec){"libx264", "mp4", .frames = 40}, "a.mp4", "h264", exact * 1000);
    check_clip(&(clip_spec){"libx264", "mp4", .frames = 40, .rate = 23.976}, "b.mp4", "h264",
               exact * 1000);
    check_clip(&(clip_spec){"mpeg4", "mp4", .frames = 40, .sound = "aac"}, "c.mp4", "mpeg4",
               exact * 1000);
    check_clip(&(clip_spec){"libvpx-vp9", "webm", .frames = 20}, "a.webm", "vp9", ms);
    check_clip(&(clip_spec){"mjpeg", "avi", .frames = 20, .rate = 25}, "a.avi", "mjpeg", exact);
    check_clip(&(clip_spec){"mpeg4", "matroska", .frames = 20}, "a.mkv", "mpeg4", ms);
    check_clip(&(clip_spec){"mpeg2video", "mpegts", .frames = 20}, "a.ts", "mpeg2video", 20000);
    check_clip(&(clip_spec){"ffv1", "matroska", .frames = 10}, "f.mkv", "ffv1", ms);
    check_clip(&(clip_spec){"png", "mov", .frames = 10}, "a.mov", "png", 100000);
    check_clip(&(clip_spec){"mjpeg", "mjpeg", .frames = 10, .rate = 50}, "a.mjpeg", "mjpeg",
               20);
    check_clip(&(clip_spec){"libx264", "h264", .frames = 30, .rate = 50}, "a.h264", "h264", 40);
    check_clip(&(clip_spec){"wrapped_avframe", "yuv4mpegpipe", .frames = 5}, "a.y4m",
               "rawvideo", 1000);
}

static void test_variable_rate(void **state) {
    (void)state;
    static const int64_t times[] = {500, 533, 600, 601, 900, 2000, 2010, 2500};
    check_clip(&(clip_spec){"mpeg4", "matroska", .frames = 8, .times = times}, "v.mkv", "mpeg4",
               2);
    check_clip(&(clip_spec){"mpeg4", "mp4", .frames = 8, .times = times}, "v.mp4", "mpeg4",
               100000);
    check_clip(&(clip_spec){"libx264", "mp4", .frames = 8, .times = times}, "w.mp4", "h264",
               100000);
    wilor_video *v = must_open_video(in_folder("v.mkv"), NULL);
    must_read(v);
    assert_int_equal(info_of(v).start, INT64_C(500000000));
    assert_string_equal(info_of(v).format, "matroska");
    wilor_video_close(&v);
}

/* A lossless codec, so that turned pixels are the same pixels. */
static void test_rotation(void **state) {
    (void)state;

    static const struct {
        int degrees, orientation;
    } cases[] = {{0, 1}, {90, 6}, {180, 3}, {270, 8}};

    static uint8_t plain[CLIP_WIDTH * CLIP_HEIGHT * 3], turned[CLIP_WIDTH * CLIP_HEIGHT * 3];
    clip_draw(plain, CLIP_WIDTH, CLIP_HEIGHT, 200);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const clip_spec c = {"png", "mov", .frames = 2, .first = 200,
                             .rotation = cases[i].degrees};
        if (!clip_make(in_folder("r.mov"), &c))
            skip();
        wilor_video *v = must_open_video(in_folder("r.mov"), NULL);
        const bool swap = cases[i].degrees % 180 != 0;
        const int w = swap ? CLIP_HEIGHT : CLIP_WIDTH, h = swap ? CLIP_WIDTH : CLIP_HEIGHT;
        assert_int_equal(info_of(v).width, w);
        assert_int_equal(info_of(v).height, h);
        const wilor_video_frame f = must_read(v);
        assert_int_equal(f.picture.width, w);
        assert_int_equal(f.picture.height, h);
        assert_int_equal(info_of(v).rotation, cases[i].degrees);
        wilor_picture_turn(turned, w * 3, plain, CLIP_WIDTH * 3, CLIP_WIDTH, CLIP_HEIGHT,
                           cases[i].orientation);
        for (int y = 0; y < h; y++)
            assert_memory_equal(f.picture.data + y * f.picture.stride, turned + y * w * 3,
                                (size_t)w * 3);
        wilor_video_close(&v);
    }
}

static void test_loop(void **state) {
    (void)state;
    if (!clip_make(in_folder("l.mp4"), &(clip_spec){"mpeg4", "mp4", .frames = 5}))
        skip();
    wilor_video_options o = reader_options(NULL);
    o.loop = 1;
    wilor_video *v = must_open_video(in_folder("l.mp4"), &o);
    int64_t last = -1;
    for (int i = 0; i < 23; i++) {
        const wilor_video_frame f = must_read(v);
        assert_int_equal(number_of(&f), i % 5);
        assert_int_equal(f.index, i);
        assert_true(f.time > last && (i == 0 || f.time - last < 40000000));
        last = f.time;
    }
    assert_int_equal(info_of(v).repaired, 0);
    wilor_video_close(&v);
}

/* Our own heap is not asked for anything once the first frames are through. */
static void test_memory(void **state) {
    (void)state;
    if (!clip_make(in_folder("m.mp4"),
                   &(clip_spec){"mpeg4", "mp4", .frames = 60, .rotation = 90}))
        skip();
    wilor_video *v = must_open_video(in_folder("m.mp4"), NULL);
    long calls = 0;
    for (int i = 0; i < 60; i++) {
        must_read(v);
        if (i == 0)
            calls = wilor_heap_calls();
    }
    assert_int_equal(wilor_heap_calls(), calls);
    wilor_video_close(&v);
}

/* Every allocation of ours fails in turn: a status, and nothing lost (the sanitizer looks). */
static void test_no_memory(void **state) {
    (void)state;
    if (!clip_make(in_folder("n.mp4"), &(clip_spec){"mpeg4", "mp4", .frames = 3}))
        skip();
    wilor_video_options o = reader_options(NULL);
    o.format = "mov";
    o.extra = "ignore_editlist=0";
    for (int n = 0;; n++) {
        wilor_video *v = NULL;
        wilor_video_frame f;
        wilor_error err;
        wilor_heap_fail_at(n);
        wilor_status st = wilor_video_open(&v, in_folder("n.mp4"), &o, &err);
        if (st == WILOR_OK)
            st = wilor_video_read(v, &f, &err);
        wilor_heap_fail_at(-1);
        wilor_video_close(&v);
        if (st == WILOR_OK) {
            assert_true(n > 4);
            break;
        }
        assert_int_equal(st, WILOR_ERR_NOMEM);
    }
}

/* ---------------------------------------------------------------- pixels */

/* A JPEG as a video's frame against the same JPEG as a picture: FFmpeg's inverse DCT rounds otherwise
 * than libjpeg-turbo's, all else is the same. */
static void compare_jpeg(const char *path, const char *what, double mean_limit, int limit) {
    wilor_error err;
    wilor_image image = {0};
    assert_int_equal(wilor_image_read(&image, path, 0, &err), WILOR_OK);
    wilor_video_options o = reader_options(NULL);
    o.format = "jpeg_pipe";
    wilor_video *v = must_open_video(path, &o);
    const wilor_video_frame f = must_read(v);
    assert_int_equal(f.picture.width, image.width);
    assert_int_equal(f.picture.height, image.height);
    const int row = image.width * 3;
    long sum = 0;
    int most = 0;
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < row; x++) {
            const int d =
                abs(f.picture.data[y * f.picture.stride + x] - image.data[y * row + x]);
            most = d > most ? d : most;
            sum += d;
        }
    const double mean = (double)sum / (image.height * row);
    printf("%s JPEG as a frame and as a picture: mean difference %.3f, largest %d\n", what,
           mean, most);
    assert_true(mean < mean_limit);
    assert_true(most <= limit);
    wilor_video_close(&v);
    wilor_image_free(&image);
}

static void test_jpeg_pixels(void **state) {
    (void)state;
    static uint8_t rgb[CLIP_WIDTH * CLIP_HEIGHT * 3];
    wilor_error err;
    if (!strstr(wilor_io_formats(), "jpeg"))
        skip();
    clip_draw(rgb, CLIP_WIDTH, CLIP_HEIGHT, 77);
    for (int y = CLIP_HEIGHT / 2; y < CLIP_HEIGHT; y++)
        for (int x = 0; x < CLIP_WIDTH * 3; x++)
            rgb[y * CLIP_WIDTH * 3 + x] =
                (uint8_t)(128 + 60 * ((x / 3 / 5 + y / 4) % 2) - 20 * (x % 3));
    const wilor_picture p = {rgb, CLIP_WIDTH, CLIP_HEIGHT, CLIP_WIDTH * 3, WILOR_RGB8};
    assert_int_equal(wilor_image_write(&p, in_folder("p.jpg"), 92, &err), WILOR_OK);
    compare_jpeg(in_folder("p.jpg"), "our", 0.1, 4);
    const clip_spec sizes[] = {{"mjpeg", "mjpeg", .frames = 1, .first = 77},
                               {"mjpeg", "mjpeg", 131, 77, .frames = 1, .first = 77}};
    for (int i = 0; i < 2; i++)
        if (clip_make(in_folder("q.jpg"), &sizes[i]))
            compare_jpeg(in_folder("q.jpg"), "a 4:2:0", 0.1, 4);
}

/* PNG frames in a container are RGB and stay what they were. */
static void test_png_pixels(void **state) {
    (void)state;
    static uint8_t rgb[101 * 75 * 3];
    if (!clip_make(in_folder("p.mov"),
                   &(clip_spec){"png", "mov", 101, 75, .frames = 3, .first = 9}))
        skip();
    wilor_video *v = must_open_video(in_folder("p.mov"), NULL);
    for (int i = 0; i < 3; i++) {
        const wilor_video_frame f = must_read(v);
        clip_draw(rgb, 101, 75, 9 + i);
        for (int y = 0; y < 75; y++)
            assert_memory_equal(f.picture.data + y * f.picture.stride, rgb + y * 101 * 3,
                                101 * 3);
    }
    wilor_video_close(&v);
}

/* ---------------------------------------------------------------- damage */

/* Read all that comes; only these three ends are right. */
static void read_out(const char *path, heard *h, int most) {
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    wilor_video_options o = reader_options(h);
    wilor_status st = wilor_video_open(&v, path, &o, &err);
    int64_t last = -1;
    int n = 0;
    while (st == WILOR_OK) {
        st = wilor_video_read(v, &f, &err);
        if (st != WILOR_OK || !f.picture.data)
            break;
        assert_true(f.time > last);
        last = f.time;
        assert_true(++n <= most);
        for (int y = 0; y < f.picture.height; y++)
            g_touched += f.picture.data[y * f.picture.stride + f.picture.width * 3 - 1];
    }
    if (st != WILOR_OK && st != WILOR_ERR_FORMAT && st != WILOR_ERR_IO &&
        st != WILOR_ERR_UNSUPPORTED && st != WILOR_ERR_LIMIT)
        fail_msg("%s: status %d: %s", path, (int)st, err.text);
    if (st != WILOR_OK)
        assert_non_null(strstr(err.text, "cut"));
    wilor_video_close(&v);
}

static const clip_spec damaged[] = {
    {"libx264", "mp4", .frames = 12, .sound = "aac"},
    {"mpeg4", "avi", .frames = 12},
    {"mjpeg", "avi", .frames = 12},
    {"libvpx-vp9", "webm", .frames = 8},
    {"mpeg2video", "mpegts", .frames = 12},
    {"libx264", "h264", .frames = 12},
    {"mjpeg", "mjpeg", .frames = 8},
    {"png", "mov", .frames = 3},
};

static void test_truncated(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof damaged / sizeof damaged[0]; k++) {
        size_t size;
        if (!clip_make(in_folder("whole"), &damaged[k]))
            continue;
        uint8_t *data = clip_load(in_folder("whole"), &size);
        for (int i = 0; i < 24; i++) {
            clip_store(in_folder("cut"), data, size * (size_t)i / 24);
            read_out(in_folder("cut"), NULL, damaged[k].frames);
        }
        for (size_t i = 1; i < 8; i++) {
            clip_store(in_folder("cut"), data, size - i);
            read_out(in_folder("cut"), NULL, damaged[k].frames);
        }
        free(data);
    }
}

static void test_corrupted(void **state) {
    (void)state;
    uint32_t seed = 12345;
    int lines = 0;
    for (size_t k = 0; k < sizeof damaged / sizeof damaged[0]; k++) {
        size_t size;
        if (!clip_make(in_folder("whole"), &damaged[k]))
            continue;
        uint8_t *data = clip_load(in_folder("whole"), &size);
        for (int i = 0; i < 40; i++) {
            heard h = {0};
            uint8_t *bad = malloc(size);
            memcpy(bad, data, size);
            for (int n = 0; n < 1 + i / 4; n++) {
                seed = seed * 1664525u + 1013904223u;
                bad[seed % size] ^= (uint8_t)(1u << (seed >> 29));
            }
            clip_store(in_folder("cut"), bad, size);
            free(bad);
            read_out(in_folder("cut"), &h, 4 * damaged[k].frames);
            lines += h.lines;
            if (h.lines)
                assert_non_null(strstr(h.last, "cut"));
        }
        free(data);
    }
    printf("%d lines of damage\n", lines);
    assert_true(lines > 20);
}

/* A hole in the middle: told with its time, counted, and the frames behind it come. */
static void test_hole(void **state) {
    (void)state;
    size_t size;
    heard h = {0};
    const clip_spec c = {"mjpeg", "avi", .frames = 30};
    if (!clip_make(in_folder("whole"), &c))
        skip();
    uint8_t *data = clip_load(in_folder("whole"), &size);
    memset(data + size * 45 / 100, 0x55, size / 10);
    clip_store(in_folder("cut"), data, size);
    free(data);
    wilor_video_options o = reader_options(&h);
    wilor_video *v = must_open_video(in_folder("cut"), &o);
    wilor_video_frame f, last = {.index = 0};
    int last_number = -1;
    while ((f = must_read(v)).picture.data) {
        last = f;
        last_number = number_of(&f);
    }
    assert_true(info_of(v).damaged > 0);
    assert_true(h.lines > 0);
    assert_non_null(strstr(h.last, "cut"));
    assert_non_null(strstr(h.last, " s: "));
    assert_int_equal(last_number, 29);
    assert_true(last.index > 20);
    wilor_video_close(&v);
}

/* The last frame's signature is gone: nothing comes behind it that could tell. */
static void test_last_packet(void **state) {
    (void)state;
    size_t size;
    if (!clip_make(in_folder("whole"), &(clip_spec){"png", "mov", .frames = 3}))
        skip();
    uint8_t *data = clip_load(in_folder("whole"), &size);
    size_t at = 0;
    for (size_t i = 0; i + 4 < size; i++)
        at = memcmp(data + i, "\x89PNG", 4) == 0 ? i : at;
    data[at] ^= 1;
    clip_store(in_folder("cut"), data, size);
    free(data);
    for (int threads = 1; threads < 3; threads++) {
        heard h = {0};
        wilor_video_options o = reader_options(&h);
        o.threads = threads;
        wilor_video *v = must_open_video(in_folder("cut"), &o);
        for (int i = 0; i < 2; i++)
            must_read(v);
        must_end(v);
        assert_int_equal(info_of(v).damaged, 1);
        assert_int_equal(info_of(v).read, 2);
        assert_int_equal(h.lines, 1);
        wilor_video_close(&v);
    }
}

/* ---------------------------------------------------------------- another size in the middle */

static void check_resize(const char *codec, const char *container, int width, int height) {
    size_t a, b;
    const clip_spec small = {codec, container, .frames = 6, .key_only = true};
    const clip_spec large = {codec,       container,  width,           height,
                             .frames = 6, .first = 6, .key_only = true};
    if (!clip_make(in_folder("one"), &small) || !clip_make(in_folder("two"), &large))
        return;
    uint8_t *one = clip_load(in_folder("one"), &a), *two = clip_load(in_folder("two"), &b);
    uint8_t *both = malloc(a + b);
    memcpy(both, one, a);
    memcpy(both + a, two, b);
    clip_store(in_folder("both"), both, a + b);
    wilor_video_options o = reader_options(NULL);
    o.format = container;
    wilor_video *v = must_open_video(in_folder("both"), &o);
    for (int i = 0; i < 12; i++) {
        const wilor_video_frame f = must_read(v);
        assert_int_equal(number_of(&f), i);
        assert_int_equal(f.picture.width, i < 6 ? CLIP_WIDTH : width);
        assert_int_equal(f.picture.height, i < 6 ? CLIP_HEIGHT : height);
        assert_int_equal(info_of(v).width, f.picture.width);
    }
    must_end(v);
    wilor_video_close(&v);
    free(one);
    free(two);
    free(both);
}

/* FFmpeg's MPEG-2 decoder drops the frame before the change; these two do not. */
static void test_resize(void **state) {
    (void)state;
    check_resize("mjpeg", "mjpeg", 256, 160);
    check_resize("mjpeg", "mjpeg", CLIP_WIDTH, 160);
    check_resize("mjpeg", "mjpeg", 64, CLIP_HEIGHT);
    check_resize("libx264", "h264", 256, 160);
}

/* ---------------------------------------------------------------- refusals */

static void refused(const char *name, const char *text, const wilor_video_options *o,
                    wilor_status wanted) {
    wilor_video *v = NULL;
    wilor_error err;
    clip_store(in_folder(name), text, strlen(text));
    const wilor_status st = wilor_video_open(&v, in_folder(name), o, &err);
    assert_null(v);
    if (st != wanted)
        fail_msg("%s: status %d: %s", name, (int)st, err.text);
    assert_non_null(strstr(err.text, name));
}

static void test_playlists(void **state) {
    (void)state;
    char text[2048];
    if (!clip_make(in_folder("own.ts"), &(clip_spec){"mpeg2video", "mpegts", .frames = 5}))
        skip();
    char ts[1024];
    snprintf(ts, sizeof ts, "%s", in_folder("own.ts"));
    snprintf(text, sizeof text,
             "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n", ts);
    refused("list.m3u8", text, NULL, WILOR_ERR_UNSUPPORTED);
    refused("list.mp4", text, NULL, WILOR_ERR_UNSUPPORTED); /* by content, not by name */
    snprintf(text, sizeof text, "ffconcat version 1.0\nfile %s\n", ts);
    refused("list.txt", text, NULL, WILOR_ERR_UNSUPPORTED);
    refused("list.sdp", "v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\n", NULL,
            WILOR_ERR_UNSUPPORTED);
    wilor_video_options o = reader_options(NULL);
    o.format = "concat";
    refused("list.txt", text, &o, WILOR_ERR_UNSUPPORTED);
    o.format = "hls";
    refused("list.txt", text, &o, WILOR_ERR_UNSUPPORTED);
    o.format = "no such format";
    wilor_video *v = NULL;
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, ts, &o, &err), WILOR_ERR_UNSUPPORTED);
    o = reader_options(NULL);
    o.extra = "protocol_whitelist=file";
    assert_int_equal(wilor_video_open(&v, ts, &o, &err), WILOR_ERR_ARG);
    o.extra = "nonsense=1";
    assert_int_equal(wilor_video_open(&v, ts, &o, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "nonsense"));
}

static void test_refusals(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    refused("text.mp4", "not a video, just words; many of them, so that it is no accident\n",
            NULL, WILOR_ERR_FORMAT);
    refused("empty.mp4", "", NULL, WILOR_ERR_FORMAT);
    assert_int_equal(wilor_video_open(&v, in_folder("gone.mp4"), NULL, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "gone.mp4"));
    if (!clip_make(in_folder("big.mp4"), &(clip_spec){"mpeg4", "mp4", .frames = 2}))
        skip();
    wilor_video_options o = reader_options(NULL);
    o.max_pixels = CLIP_WIDTH * CLIP_HEIGHT - 1;
    assert_int_equal(wilor_video_open(&v, in_folder("big.mp4"), &o, &err), WILOR_ERR_LIMIT);
    assert_non_null(strstr(err.text, "big.mp4"));
    o.max_pixels++;
    v = must_open_video(in_folder("big.mp4"), &o);
    wilor_video_close(&v);
    o = reader_options(NULL);
    o.format = "rawvideo";
    assert_int_equal(wilor_video_open(&v, in_folder("big.mp4"), &o, &err), WILOR_ERR_ARG);
    o.width = o.height = 8;
    o.pixel_format = "colour";
    assert_int_equal(wilor_video_open(&v, in_folder("big.mp4"), &o, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "colour"));
    assert_int_equal(wilor_video_open(&v, "dshow:Camera", NULL, &err), WILOR_ERR_UNSUPPORTED);
}

static void test_lavfi(void **state) {
    (void)state;
    if (!strstr(wilor_video_support(), "lavfi"))
        skip();
    wilor_video *v = must_open_video("lavfi:testsrc2=size=64x48:rate=50:duration=0.1", NULL);
    for (int i = 0; i < 5; i++) {
        const wilor_video_frame f = must_read(v);
        assert_int_equal(f.picture.width, 64);
        assert_int_equal(f.time, i * 20000000);
    }
    must_end(v);
    wilor_video_close(&v);
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, "lavfi:nofilter", NULL, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "nofilter"));
}

/* Pixels that only swscale reads, and those of our own converters: red stays red. */
static void test_formats(void **state) {
    (void)state;
    static const char *const formats[] = {
        "yuv420p", "yuv422p", "yuv444p",  "yuv440p", "nv12",        "nv21",
        "yuyv422", "uyvy422", "gray",     "rgb24",   "bgr24",       "rgba",
        "bgra",    "rgb0",    "bgr0",     "gbrp",    "yuv420p10le", "p010le",
        "yuv411p", "rgb565",  "yuva420p", "gray16le"};
    if (!strstr(wilor_video_support(), "lavfi"))
        skip();
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "lavfi:color=red:size=72x48:duration=0.04,format=%s",
                 formats[i]);
        wilor_video *v = must_open_video(text, NULL);
        const wilor_video_frame f = must_read(v);
        assert_int_equal(f.picture.width, 72);
        const bool grey = strncmp(formats[i], "gray", 4) == 0;
        for (int y = 0; y < 48; y++)
            for (int x = 0; x < 72; x++) {
                const uint8_t *p = f.picture.data + y * f.picture.stride + x * 3;
                if (grey ? p[0] != p[1] || p[1] != p[2] || p[0] < 50 || p[0] > 90
                         : p[0] < 240 || p[1] > 12 || p[2] > 12)
                    fail_msg("%s: %d %d %d at %d, %d", formats[i], p[0], p[1], p[2], x, y);
            }
        wilor_video_close(&v);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codecs),      cmocka_unit_test(test_variable_rate),
        cmocka_unit_test(test_rotation),    cmocka_unit_test(test_loop),
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_jpeg_pixels), cmocka_unit_test(test_png_pixels),
        cmocka_unit_test(test_truncated),   cmocka_unit_test(test_corrupted),
        cmocka_unit_test(test_hole),        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_last_packet), cmocka_unit_test(test_playlists),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_lavfi),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, setup, drop_folder);
}
