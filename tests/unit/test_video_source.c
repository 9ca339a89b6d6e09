/* What needs no FFmpeg: source texts, patterns, media times, turning, sequences of pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exif.h"
#include "picture_turn.h"
#include "picture_yuv.h"
#include "scratch_folder.h"
#include "video_impl.h"
#include "video_reader.h"
#include "video_source.h"

static int setup(void **state) {
    (void)state;
    return make_folder("video");
}

static void test_texts(void **state) {
    (void)state;

    static const struct {
        const char *text, *format;
        wilor_video_kind kind;
        const char *target, *device;
    } cases[] = {
        {"-", NULL, WILOR_VIDEO_STDIN, "-", NULL},
        {"-", "rawvideo", WILOR_VIDEO_STDIN, "-", NULL},
        {"clip.mp4", NULL, WILOR_VIDEO_FILE, "clip.mp4", NULL},
        {"file:clip.mp4", NULL, WILOR_VIDEO_FILE, "clip.mp4", NULL},
        {"file:http://x", NULL, WILOR_VIDEO_FILE, "http://x", NULL},
        {"v4l2:/dev/video0", NULL, WILOR_VIDEO_DEVICE, "/dev/video0", "v4l2"},
        {"/dev/video7", NULL, WILOR_VIDEO_DEVICE, "/dev/video7", "v4l2"},
        {"/dev/video7", "v4l2", WILOR_VIDEO_DEVICE, "/dev/video7", "v4l2"},
        {"dshow:video=Camera", NULL, WILOR_VIDEO_DEVICE, "video=Camera", "dshow"},
        {"avfoundation:0", NULL, WILOR_VIDEO_DEVICE, "0", "avfoundation"},
        {"0", "avfoundation", WILOR_VIDEO_DEVICE, "0", "avfoundation"},
        {"lavfi:testsrc2=size=4x4", NULL, WILOR_VIDEO_DEVICE, "testsrc2=size=4x4", "lavfi"},
        {"rtsp://a/b", NULL, WILOR_VIDEO_URL, "rtsp://a/b", NULL},
        {"https://a/b.mp4", NULL, WILOR_VIDEO_URL, "https://a/b.mp4", NULL},
        {"img-%04d.png", NULL, WILOR_VIDEO_SEQUENCE, "img-%04d.png", NULL},
        {"img-*.png", NULL, WILOR_VIDEO_SEQUENCE, "img-*.png", NULL},
        {"100%.mp4", NULL, WILOR_VIDEO_FILE, "100%.mp4", NULL},
        {"one.JPG", NULL, WILOR_VIDEO_SEQUENCE, "one.JPG", NULL},
        {"one.jpg", "jpeg_pipe", WILOR_VIDEO_FILE, "one.jpg", NULL},
        {".", NULL, WILOR_VIDEO_SEQUENCE, ".", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_video_source s;
        wilor_error err;
        assert_int_equal(wilor_video_source_parse(&s, cases[i].text, cases[i].format, &err),
                         WILOR_OK);
        assert_int_equal(s.kind, cases[i].kind);
        assert_string_equal(s.target, cases[i].target);
        assert_true(!s.device == !cases[i].device);
        if (s.device)
            assert_string_equal(s.device, cases[i].device);
        /* A stream leads to streams. */
        assert_true(!s.protocols == (s.kind != WILOR_VIDEO_URL));
        if (s.protocols)
            assert_null(strstr(s.protocols, "file"));
    }
}

static void test_bad_texts(void **state) {
    (void)state;
    wilor_video_source s;
    wilor_error err;
    assert_int_equal(wilor_video_source_parse(&s, "", NULL, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_video_source_parse(&s, "gopher://x/y", NULL, &err),
                     WILOR_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "gopher://x/y"));
    assert_int_equal(wilor_video_source_parse(&s, "concat://x", NULL, &err),
                     WILOR_ERR_UNSUPPORTED);
}

#if !defined(_WIN32) /* there no file may have such a name */
/* A file wins over what its name could mean. */
static void test_existing_name(void **state) {
    (void)state;
    static const char *const names[] = {"a*b.mp4", "img-%d.mp4", "lavfi:x"};
    char before[1024];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(g_folder), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        wilor_video_source s;
        wilor_error err;
        assert_int_equal(wilor_bytes_write("x", 1, names[i], &err), WILOR_OK);
        assert_int_equal(wilor_video_source_parse(&s, names[i], NULL, &err), WILOR_OK);
        assert_int_equal(s.kind, WILOR_VIDEO_FILE);
        assert_string_equal(s.target, names[i]);
        assert_int_equal(unlink(names[i]), 0);
    }
    assert_int_equal(chdir(before), 0);
}
#endif

static void test_patterns(void **state) {
    (void)state;
    assert_true(wilor_video_glob("a*c", "abbc"));
    assert_true(wilor_video_glob("*", ""));
    assert_true(wilor_video_glob("a?c*", "abc"));
    assert_true(wilor_video_glob("*ab*ab", "abxabyab"));
    assert_false(wilor_video_glob("a*c", "abcd"));
    assert_false(wilor_video_glob("a?c", "ac"));
    assert_true(wilor_video_number_pattern("i%d.png"));
    assert_true(wilor_video_number_pattern("%06d"));
    assert_false(wilor_video_number_pattern("i%s.png"));
    assert_false(wilor_video_number_pattern("%d-%d.png"));
    assert_false(wilor_video_number_pattern("plain"));
    assert_false(wilor_video_number_pattern("%"));
}

static void test_times(void **state) {
    (void)state;
    const int64_t ms = 1000000, none = WILOR_VIDEO_NO_TIME;

    const struct {
        int64_t given, wanted;
        bool repaired;
    } cases[] = {
        {500 * ms, 0, false},
        {533 * ms, 33 * ms, false},
        {700 * ms, 200 * ms, false},    /* a slower rate stays */
        {700 * ms, 220 * ms + 1, true}, /* twice the same */
        {720 * ms, 240 * ms + 2, true}, /* which has not passed yet */
        {760 * ms, 260 * ms, false},    /* and now it has */
        {none, 300 * ms, true},         /* missing */
        {690 * ms, 320 * ms + 1, true}, /* a little back */
        {900 * ms, 400 * ms, false},
        {INT64_MAX, 440 * ms, true},    /* nonsense */
        {-90000 * ms, 480 * ms, true},  /* the clock was set back */
        {-89950 * ms, 530 * ms, false}, /* and goes on from there */
        {4000000 * ms, 570 * ms, true}, /* more than an hour on */
        {4000100 * ms, 670 * ms, false},
    };

    wilor_video_clock c;
    wilor_video_clock_init(&c, 40 * ms);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool repaired;
        assert_int_equal(wilor_video_clock_next(&c, cases[i].given, &repaired),
                         cases[i].wanted);
        assert_int_equal(repaired, cases[i].repaired);
    }
    bool repaired;
    wilor_video_clock_rejoin(&c);
    assert_int_equal(wilor_video_clock_next(&c, 0, &repaired), 710 * ms);
    assert_false(repaired);
    assert_int_equal(wilor_video_clock_next(&c, 33 * ms, &repaired), 743 * ms);
    assert_int_equal(c.start, 500 * ms);
}

/* The first frame of many a stream has no time; the second one's says where it stood. */
static void test_first_time(void **state) {
    (void)state;
    const int64_t ms = 1000000;
    bool repaired;
    wilor_video_clock c;
    wilor_video_clock_init(&c, 40 * ms);
    assert_int_equal(wilor_video_clock_next(&c, WILOR_VIDEO_NO_TIME, &repaired), 0);
    assert_true(repaired);
    assert_int_equal(wilor_video_clock_next(&c, WILOR_VIDEO_NO_TIME, &repaired), 40 * ms);
    assert_int_equal(wilor_video_clock_next(&c, 1000000 * ms, &repaired), 80 * ms);
    assert_false(repaired);
    assert_int_equal(c.start, 999920 * ms);
    assert_int_equal(wilor_video_clock_next(&c, 1000033 * ms, &repaired), 113 * ms);
}

/* Whatever is given, times grow. */
static void test_times_grow(void **state) {
    (void)state;
    uint64_t seed = 1;
    wilor_video_clock c;
    wilor_video_clock_init(&c, 1);
    int64_t last = -1;
    for (int i = 0; i < 100000; i++) {
        bool repaired;
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        const unsigned bits = (unsigned)(seed >> 58);
        const int64_t given = (int64_t)((seed << 7) ^ seed) >> bits;
        const int64_t t = wilor_video_clock_next(&c, given, &repaired);
        assert_true(t > last);
        last = t;
    }
}

/* Against the turn that pictures take. */
static void test_turn(void **state) {
    (void)state;

    enum { W = 37, H = 35, SPARE = 11 };

    for (int orientation = 1; orientation <= 8; orientation++) {
        static uint8_t from[H][W * 3 + SPARE];
        wilor_error err;
        wilor_image image = {malloc(W * H * 3), W, H};
        assert_non_null(image.data);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W * 3; x++)
                image.data[y * W * 3 + x] = from[y][x] = (uint8_t)(x * 7 + y * 31);
        /* wilor_exif_apply frees and allocates by our heap, which is malloc's. */
        assert_int_equal(wilor_exif_apply(&image, orientation, "x", &err), WILOR_OK);
        const int w = image.width, h = image.height;
        const ptrdiff_t stride = w * 3 + 5;
        uint8_t *to = malloc((size_t)(h * stride));
        assert_non_null(to);
        wilor_picture_turn(to, stride, from[0], sizeof from[0], W, H, orientation);
        for (int y = 0; y < h; y++)
            assert_memory_equal(to + y * stride, image.data + y * w * 3, (size_t)w * 3);
        free(to);
        wilor_image_free(&image);
    }
}

/* ---------------------------------------------------------------- YUV */

enum { MOST = 40 };

/* Chroma at a luma pixel, in double precision. */
static double chroma_at(const wilor_yuv *p, const uint8_t *c, int x, int y) {
    const int columns = p->half_x ? (p->width + 1) / 2 : p->width;
    const int lines = p->half_y ? (p->height + 1) / 2 : p->height;
    double sx = p->half_x ? (p->left ? x / 2.0 : x / 2.0 - 0.25) : x;
    double sy = p->half_y ? y / 2.0 - 0.25 : y;
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        int i = (int)floor(sx) + k % 2, j = (int)floor(sy) + k / 2;
        const double w = (k % 2 ? sx - floor(sx) : 1 - sx + floor(sx)) *
                         (k / 2 ? sy - floor(sy) : 1 - sy + floor(sy));
        i = i < 0 ? 0 : i >= columns ? columns - 1 : i;
        j = j < 0 ? 0 : j >= lines ? lines - 1 : j;
        sum += w * c[j * p->c_row + i * p->c_step];
    }
    return sum;
}

static int near_value(double x) { return x < 0 ? 0 : x > 255 ? 255 : (int)floor(x + 0.5); }

/* Against sums in double precision: chroma is rounded to bytes once, so that two steps of 255 stay. */
static void check_yuv(const wilor_yuv *p, double kr, double kb, bool full) {
    static wilor_yuv_tables t;
    uint8_t *rgb = malloc((size_t)(p->width * p->height * 3));
    void *scratch = malloc(wilor_yuv_scratch(p->width));
    wilor_yuv_tables_init(&t, kr, kb, full);
    wilor_yuv_to_rgb(p, &t, rgb, p->width * 3, scratch);
    const double luma = full ? 1 : 255.0 / 219, chroma = full ? 1 : 255.0 / 224;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            const double l = (p->y[y * p->y_row + x * p->y_step] - (full ? 0 : 16)) * luma;
            const double u = (chroma_at(p, p->u, x, y) - 128) * chroma;
            const double v = (chroma_at(p, p->v, x, y) - 128) * chroma;
            const double r = l + 2 * (1 - kr) * v, b = l + 2 * (1 - kb) * u;
            const double g = l - 2 * (1 - kb) * kb / (1 - kr - kb) * u -
                             2 * (1 - kr) * kr / (1 - kr - kb) * v;
            const int wanted[3] = {near_value(r), near_value(g), near_value(b)};
            for (int c = 0; c < 3; c++)
                assert_in_range(rgb[(y * p->width + x) * 3 + c] + 2 - wanted[c], 0, 4);
        }
    free(rgb);
    free(scratch);
}

static uint8_t *noise(size_t n) {
    static uint32_t seed = 7;
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    return p;
}

/* All layouts and odd sizes; planes end where their samples end. */
static void test_yuv(void **state) {
    (void)state;
    for (int i = 0; i < 400; i++) {
        const int w = 1 + i * 7 % MOST, h = 1 + i * 11 % (MOST / 2);
        const bool half_x = i & 1, half_y = i & 2, left = i & 4, full = i & 8, pairs = i & 16;
        const int cw = half_x ? (w + 1) / 2 : w, ch = half_y ? (h + 1) / 2 : h;
        uint8_t *y = noise((size_t)(w * h)), *u = noise((size_t)(cw * ch * 2));
        const wilor_yuv p = {y,
                             u,
                             u + (pairs ? 1 : cw * ch),
                             w,
                             pairs ? cw * 2 : cw,
                             1,
                             pairs ? 2 : 1,
                             w,
                             h,
                             half_x,
                             half_y,
                             left};
        check_yuv(&p, i & 32 ? 0.2126 : 0.299, i & 32 ? 0.0722 : 0.114, full);
        free(y);
        free(u);
    }
}

/* ---------------------------------------------------------------- sequences */

enum { W = 16, H = 8 };

static void write_picture(const char *name, int shade, int width) {
    static uint8_t pixels[W * H * 3];
    wilor_error err;
    for (int i = 0; i < width * H * 3; i++)
        pixels[i] = (uint8_t)(shade + i % 3);
    wilor_picture p = {pixels, width, H, width * 3, WILOR_RGB8};
    assert_int_equal(wilor_image_write(&p, in_folder(name), 0, &err), WILOR_OK);
}

/* Reads a source to its end and holds its first pixels against `shades`. */
static void check_sequence(const char *source, double rate, const int *shades, int n,
                           heard *h) {
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    wilor_video_options o;
    wilor_video_options_init(&o, sizeof o);
    o.rate = rate;
    o.callbacks.user = h;
    o.callbacks.log = h ? hear : NULL;
    assert_int_equal(wilor_video_open(&v, source, &o, &err), WILOR_OK);
    int64_t last = -1;
    for (int i = 0; i < n; i++) {
        assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
        assert_non_null(f.picture.data);
        assert_int_equal(f.picture.data[0], shades[i]);
        assert_int_equal(f.index, i);
        assert_true(f.time > last);
        last = f.time;
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
        assert_null(f.picture.data);
    }
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    assert_string_equal(info.format, "sequence");
    assert_int_equal(info.live, 0);
    assert_int_equal(info.read, n);
    wilor_video_close(&v);
}

static void test_sequence(void **state) {
    (void)state;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", in_folder("seq"));
    assert_int_equal(mkdir(folder, 0700), 0);
    static const int numbers[] = {1, 2, 9, 10, 11, 100};
    char name[64];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "seq/i%d.png", numbers[i]);
        write_picture(name, numbers[i], W);
    }
    write_picture("seq/j05.png", 5, W / 2);
    assert_int_equal(wilor_bytes_write("x", 1, in_folder("seq/notes.txt"), NULL), WILOR_OK);
    static const int all[] = {1, 2, 9, 10, 11, 100, 5};
    check_sequence(folder, 10, all, 7, NULL);
    check_sequence(in_folder("seq/"), 0, all, 7, NULL);
    check_sequence(in_folder("seq/i%d.png"), 10, all, 6, NULL);
    check_sequence(in_folder("seq/i%02d.png"), 10, all + 3, 3, NULL);
    check_sequence(in_folder("seq/i1*.png"), 10, (const int[]){1, 10, 11, 100}, 4, NULL);
    check_sequence(in_folder("seq/i??.png"), 10, all + 3, 2, NULL);
    check_sequence(in_folder("seq/i9.png"), 10, all + 2, 1, NULL);
}

static void test_sequence_damaged(void **state) {
    (void)state;
    heard h = {0};
    assert_int_equal(mkdir(in_folder("dam"), 0700), 0);
    write_picture("dam/1.png", 1, W);
    write_picture("dam/3.png", 3, W);
    assert_int_equal(
        wilor_bytes_write("\x89PNG\r\n\x1A\n...", 11, in_folder("dam/2.png"), NULL), WILOR_OK);
    check_sequence(in_folder("dam"), 10, (const int[]){1, 3}, 2, &h);
    assert_int_equal(h.lines, 1);
    assert_non_null(strstr(h.last, "2.png"));
    assert_non_null(strstr(h.last, "at 0.100 s"));

    /* Nothing but damage is an error that names the last. */
    assert_int_equal(mkdir(in_folder("bad"), 0700), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wilor_bytes_write("\x89PNG\r\n\x1A\n...", 11,
                                           in_folder(i ? "bad/2.png" : "bad/1.png"), NULL),
                         WILOR_OK);
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, in_folder("bad"), NULL, &err), WILOR_OK);
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "2.png"));
    wilor_video_close(&v);
}

static void test_sequence_errors(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    assert_int_equal(wilor_video_open(&v, in_folder("none/i%d.png"), NULL, &err), WILOR_ERR_IO);
    assert_int_equal(wilor_video_open(&v, in_folder("x%d.png"), NULL, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "x%d.png"));
    assert_null(v);
    wilor_video_frame f;
    assert_int_equal(wilor_video_open(&v, in_folder("gone.png"), NULL, &err), WILOR_OK);
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_ERR_IO);
    wilor_video_close(&v);
}

static void test_sequence_loop(void **state) {
    (void)state;
    write_picture("l1.png", 10, W);
    write_picture("l2.png", 20, W);
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    wilor_video_options o;
    wilor_video_options_init(&o, sizeof o);
    o.loop = 1;
    o.rate = 4;
    assert_int_equal(wilor_video_open(&v, in_folder("l%d.png"), &o, &err), WILOR_OK);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
        assert_int_equal(f.picture.data[0], i % 2 ? 20 : 10);
        assert_int_equal(f.time, i * INT64_C(250000000));
        assert_int_equal(f.index, i);
    }
    wilor_video_stop(v);
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_ERR_CANCELLED);
    wilor_video_close(&v);
}

static void test_options(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    wilor_video_options o;
    write_picture("o.png", 1, W);
    const char *path = in_folder("o.png");
#define REFUSED(field, value)                                                                  \
    do {                                                                                       \
        wilor_video_options_init(&o, sizeof o);                                                \
        o.field = value;                                                                       \
        assert_int_equal(wilor_video_open(&v, path, &o, &err), WILOR_ERR_ARG);                 \
        assert_null(v);                                                                        \
    } while (0)
    REFUSED(width, -1);
    REFUSED(width, 10);
    REFUSED(rate, -1);
    REFUSED(rate, 0.0 / 0.0);
    REFUSED(open_timeout, 1e9);
    REFUSED(threads, 1000);
    REFUSED(struct_size, 1);
#undef REFUSED
    assert_int_equal(wilor_video_open(NULL, path, NULL, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_video_open(&v, NULL, NULL, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_video_read(NULL, NULL, &err), WILOR_ERR_ARG);
    wilor_video_close(NULL);
    wilor_video_close(&v);
    wilor_video_stop(NULL);
    assert_memory_equal(wilor_video_support(), "sequence", 8);
}

/* Without FFmpeg everything but pictures is refused in the same words. */
static void test_support(void **state) {
    (void)state;
    if (strcmp(wilor_video_support(), "sequence") != 0) {
        assert_non_null(strstr(wilor_video_support(), "sequence file stdin url"));
        return;
    }
    static const char *const sources[] = {"clip.mp4", "-", "/dev/video0", "http://x/y",
                                          "lavfi:testsrc"};
    wilor_error err;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        wilor_video *v = NULL;
        assert_int_equal(wilor_video_open(&v, sources[i], NULL, &err), WILOR_ERR_UNSUPPORTED);
        assert_null(v);
        assert_non_null(strstr(err.text, sources[i]));
        assert_non_null(strstr(err.text, "no FFmpeg"));
    }
    wilor_video_writer *w = NULL;
    assert_int_equal(wilor_video_writer_open(&w, "x.mp4", 64, 64, NULL, &err),
                     WILOR_ERR_UNSUPPORTED);
    assert_null(w);
    wilor_video_writer_discard(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_bad_texts),
#if !defined(_WIN32)
        cmocka_unit_test(test_existing_name),
#endif
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_first_time),
        cmocka_unit_test(test_times_grow),
        cmocka_unit_test(test_turn),
        cmocka_unit_test(test_yuv),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_sequence_damaged),
        cmocka_unit_test(test_sequence_errors),
        cmocka_unit_test(test_sequence_loop),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_support),
    };
    return cmocka_run_group_tests(tests, setup, drop_folder);
}
