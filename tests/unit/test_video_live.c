/* Sources that come when they come: standard input, a named pipe, an HTTP server of this test; what
 * stalls, what is stopped, and where a stream may lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scratch_folder.h"
#include "video_clip.h"
#include "video_impl.h"
#include "video_jpegs.h"

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return make_folder("live");
}

static void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static wilor_video_options options(const char *format) {
    wilor_video_options o;
    wilor_video_options_init(&o, sizeof o);
    o.format = format;
    return o;
}

static wilor_video_options raw_options(const char *pixels) {
    wilor_video_options o = options("rawvideo");
    o.width = CLIP_WIDTH;
    o.height = CLIP_HEIGHT;
    o.pixel_format = pixels;
    o.rate = 50;
    return o;
}

/* ---------------------------------------------------------------- feeding a descriptor */

typedef struct feed {
    pthread_t thread;
    int fd;
    const char *path; /* or NULL: to be opened first, which waits for a reader */
    const uint8_t *data;
    size_t size, cut; /* stall once `cut` bytes are written, if it is not 0 … */
    long stall_ms;    /* … for so long; 0: until go_on() */
    atomic_bool stalls, on;
} feed;

static void put(int fd, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
    }
}

static void *run_feed(void *user) {
    feed *f = user;
    if (f->path)
        f->fd = open(f->path, O_WRONLY);
    put(f->fd, f->data, f->cut ? f->cut : f->size);
    if (f->cut) {
        atomic_store(&f->stalls, true);
        pause_ms(f->stall_ms);
        while (!f->stall_ms && !atomic_load(&f->on))
            pause_ms(5);
        put(f->fd, f->data + f->cut, f->size - f->cut);
    }
    close(f->fd);
    return NULL;
}

static void go_on(feed *f) { atomic_store(&f->on, true); }

/* All that comes before it is in the pipe. */
static void wait_for_stall(feed *f) {
    while (!atomic_load(&f->stalls))
        pause_ms(5);
}

/* A pipe in place of standard input, fed by a thread. */
static int g_stdin = -1;

static void begin_stdin(feed *f) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    g_stdin = dup(0);
    assert_int_equal(dup2(ends[0], 0), 0);
    close(ends[0]);
    f->fd = ends[1];
    assert_int_equal(pthread_create(&f->thread, NULL, run_feed, f), 0);
}

static void end_stdin(feed *f) {
    go_on(f);
    close(0);
    pthread_join(f->thread, NULL);
    if (g_stdin >= 0) {
        dup2(g_stdin, 0);
        close(g_stdin);
    }
}

static wilor_video *must_open(const char *source, const wilor_video_options *o) {
    wilor_video *v = NULL;
    wilor_error err;
    if (wilor_video_open(&v, source, o, &err) != WILOR_OK)
        fail_msg("%s: %s", source, err.text);
    return v;
}

/* tries: reads that may find that nothing has come in time. */
static void must_read_in(wilor_video *v, int number, int64_t time, int tries) {
    wilor_video_frame f;
    wilor_error err;
    wilor_status st;
    while ((st = wilor_video_read(v, &f, &err)) == WILOR_ERR_IO && --tries > 0)
        ;
    if (st != WILOR_OK)
        fail_msg("frame %d: %s", number, err.text);
    assert_non_null(f.picture.data);
    assert_int_equal(
        clip_number(f.picture.data, f.picture.stride, f.picture.width, f.picture.height),
        number);
    assert_int_equal(f.time, time);
}

static void must_read(wilor_video *v, int number, int64_t time) {
    must_read_in(v, number, time, 1);
}

static void must_end(wilor_video *v) {
    wilor_video_frame f;
    wilor_error err;
    assert_int_equal(wilor_video_read(v, &f, &err), WILOR_OK);
    assert_null(f.picture.data);
}

/* ---------------------------------------------------------------- standard input */

/* A frame's bytes as each format has them. */
static size_t raw_frame(uint8_t *to, const char *format, int number) {
    enum { W = CLIP_WIDTH, H = CLIP_HEIGHT };

    static uint8_t rgb[W * H * 3];
    clip_draw(rgb, W, H, number);
    if (!strcmp(format, "rgb24") || !strcmp(format, "bgr24")) {
        for (int i = 0; i < W * H; i++)
            for (int c = 0; c < 3; c++)
                to[i * 3 + c] = rgb[i * 3 + (format[0] == 'r' ? c : 2 - c)];
        return W * H * 3;
    }
    /* The squares are grey: their luma is all that is asked for. */
    const int step = strcmp(format, "yuyv422") == 0 ? 2 : 1;
    memset(to, 128, W * H * 2);
    for (int i = 0; i < W * H; i++)
        to[i * step] = rgb[i * 3 + 1];
    return strcmp(format, "gray") == 0 ? W * H : step == 2 ? W * H * 2 : W * H * 3 / 2;
}

static void test_stdin_raw(void **state) {
    (void)state;

    enum { N = 7, MOST = CLIP_WIDTH * CLIP_HEIGHT * 3 };

    static const char *const formats[] = {"rgb24",   "bgr24", "nv12",
                                          "yuyv422", "gray",  "yuv420p"};
    static uint8_t data[N * MOST];
    for (size_t k = 0; k < sizeof formats / sizeof formats[0]; k++) {
        size_t size = 0;
        for (int i = 0; i < N; i++)
            size += raw_frame(data + size, formats[k], 30 + i);
        feed f = {.data = data, .size = size, .cut = size / 2, .stall_ms = 30};
        wilor_video_options o = raw_options(formats[k]);
        begin_stdin(&f);
        wilor_video *v = must_open("-", &o);
        wilor_video_info info;
        wilor_video_get_info(v, &info, sizeof info);
        assert_int_equal(info.live, 1);
        assert_true(info.rate == 50);
        for (int i = 0; i < N; i++)
            must_read(v, 30 + i, i * INT64_C(20000000));
        must_end(v);
        wilor_video_close(&v);
        end_stdin(&f);
    }
}

/* RGB that comes is RGB that goes, byte by byte; half a frame at the end is told. */
static void test_stdin_exact(void **state) {
    (void)state;
    static uint8_t data[CLIP_WIDTH * CLIP_HEIGHT * 3 * 2];
    const size_t size = raw_frame(data, "rgb24", 5);
    feed f = {.data = data, .size = size + size / 2};
    wilor_video_options o = raw_options("rgb24");
    begin_stdin(&f);
    wilor_video *v = must_open("-", &o);
    wilor_video_frame frame;
    wilor_video_info info;
    wilor_error err;
    assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_OK);
    for (int y = 0; y < CLIP_HEIGHT; y++)
        assert_memory_equal(frame.picture.data + y * frame.picture.stride,
                            data + y * CLIP_WIDTH * 3, CLIP_WIDTH * 3);
    must_end(v);
    wilor_video_get_info(v, &info, sizeof info);
    assert_true(info.damaged > 0);
    wilor_video_close(&v);
    end_stdin(&f);
}

/* Nothing whole, or too large. */
static void test_stdin_raw_refused(void **state) {
    (void)state;
    static uint8_t data[CLIP_WIDTH * CLIP_HEIGHT * 3];
    feed f = {.data = data, .size = sizeof data - 1};
    wilor_video_options o = raw_options("bgr24");
    wilor_video_frame frame;
    wilor_error err;
    wilor_video *v = NULL;
    begin_stdin(&f);
    o.max_pixels = CLIP_WIDTH * CLIP_HEIGHT - 1;
    assert_int_equal(wilor_video_open(&v, "-", &o, &err), WILOR_ERR_LIMIT);
    assert_null(v);
    o.max_pixels++;
    v = must_open("-", &o);
    assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "not one whole frame"));
    wilor_video_close(&v);
    end_stdin(&f);
}

static void test_stdin_mjpeg(void **state) {
    (void)state;
    size_t size;
    if (!clip_make(in_folder("a.mjpeg"), &(clip_spec){"mjpeg", "mjpeg", .frames = 9}))
        skip();
    uint8_t *data = clip_load(in_folder("a.mjpeg"), &size);
    for (int named = 0; named < 2; named++) {
        feed f = {.data = data, .size = size, .cut = size / 3, .stall_ms = 30};
        wilor_video_options o = options(named ? "mjpeg" : NULL);
        o.rate = 25;
        begin_stdin(&f);
        wilor_video *v = must_open("-", &o);
        for (int i = 0; i < 9; i++)
            must_read(v, i, i * INT64_C(40000000));
        must_end(v);
        wilor_video_close(&v);
        end_stdin(&f);
    }
    free(data);
}

/* Pictures out of a stream that comes n bytes at a time. */
typedef struct trickle {
    const uint8_t *data;
    size_t size, at, piece;
} trickle;

static int give_some(void *user, uint8_t *to, int room) {
    trickle *t = user;
    size_t n = t->size - t->at;
    n = n < t->piece ? n : t->piece;
    n = n < (size_t)room ? n : (size_t)room;
    if (n == 0)
        return AVERROR_EOF;
    memcpy(to, t->data + t->at, n);
    t->at += n;
    return (int)n;
}

static void check_cut(const uint8_t *data, size_t size, size_t piece, const size_t *begins,
                      const size_t *sizes, int n) {
    trickle t = {data, size, 0, piece};
    AVIOContext *io = avio_alloc_context(av_malloc(512), 512, 0, &t, give_some, NULL, NULL);
    AVPacket *p = av_packet_alloc();
    wilor_video_jpegs j = {.data = NULL};
    for (int i = 0; i < n; i++) {
        assert_int_equal(wilor_video_jpegs_next(&j, io, p), 0);
        assert_int_equal(p->size, sizes[i]);
        assert_memory_equal(p->data, data + begins[i], sizes[i]);
        av_packet_unref(p);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(wilor_video_jpegs_next(&j, io, p), AVERROR_EOF);
    wilor_video_jpegs_fini(&j);
    av_packet_free(&p);
    av_freep(&io->buffer);
    avio_context_free(&io);
}

static void test_cutting(void **state) {
    (void)state;
    static const uint8_t stream[] = {
        1,    0xFF, 2, /* nothing */
        0xFF, 0xD8, 0xFF, 0xE1, 0,    8,    0xFF, 0xD8, 7,
        7,    0xFF, 0xD9, /* begin, a thumbnail */
        0xFF, 0xFF, 0xDA, 0,    3,    9,    1,    0xFF, 0,
        2,    0xFF, 0xD3, 3, /* a scan with a restart */
        0xFF, 0xC4, 0,    4,    0xFF, 0xD9, 0xFF, 0xDA, 0,
        2,    5,    0xFF, 0xD9,                               /* a second scan, end */
        0xFF, 0xD9, 0,    0,                                  /* nothing */
        0xFF, 0xD8, 0xFF, 0xDA, 0,    2,    4,    4,          /* cut off by the next */
        0xFF, 0xD8, 8,    0xFF, 0xD9,                         /* no marker behind the begin */
        0xFF, 0xD8, 0xFF, 0xE0, 0,    0,    5,    0xFF, 0xD9, /* a length that cannot be */
        0xFF, 0xD8, 0xFF, 0xDA, 0,    2,    6,                /* cut off by the end */
    };
    static const size_t begins[] = {3, 45, 53, 58, 67}, sizes[] = {38, 8, 5, 9, 7};
    for (size_t piece = 1; piece <= sizeof stream; piece++)
        check_cut(stream, sizeof stream, piece, begins, sizes, 5);
    check_cut(stream, 1, 1, begins, sizes, 0);
}

/* A picture is there with its last byte, not with the next one's first. */
static void test_no_delay(void **state) {
    (void)state;
    size_t size;
    if (!clip_make(in_folder("d.mjpeg"), &(clip_spec){"mjpeg", "mjpeg", .frames = 2}))
        skip();
    uint8_t *data = clip_load(in_folder("d.mjpeg"), &size);
    size_t cut = 2;
    while (memcmp(data + cut, "\xFF\xD8", 2) != 0)
        cut++;
    feed f = {.data = data, .size = size, .cut = cut};
    wilor_video_options o = options("mjpeg");
    o.read_timeout = 2;
    begin_stdin(&f);
    wait_for_stall(&f);
    wilor_video *v = must_open("-", &o);
    must_read(v, 0, 0);
    wilor_video_frame frame;
    wilor_error err;
    assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_ERR_IO);
    wilor_video_close(&v);
    end_stdin(&f);
    free(data);
}

static void test_stdin_empty(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    feed f = {.data = (const uint8_t *)"", .size = 0};
    begin_stdin(&f);
    assert_int_equal(wilor_video_open(&v, "-", NULL, &err), WILOR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "before anything came"));
    end_stdin(&f);
}

/* ---------------------------------------------------------------- stalls and stops */

/* A machine that is busy may hold a test up for any time: the quickest of TRIES has to be quick enough. */
enum { TRIES = 10 };

static void test_stall(void **state) {
    (void)state;
    static uint8_t data[CLIP_WIDTH * CLIP_HEIGHT * 3 * 2];
    size_t size = raw_frame(data, "rgb24", 1);
    size += raw_frame(data + size, "rgb24", 2);

    enum { HELD_UP = 100 }; /* a read that waits for 0.25 s only may be, too */

    /* The second frame stalls half way. */
    feed f = {.data = data, .size = size, .cut = size / 4 * 3};
    wilor_video_options o = raw_options("rgb24");
    o.read_timeout = 0.25;
    begin_stdin(&f);
    wilor_video *v = must_open("-", &o);
    must_read_in(v, 1, 0, HELD_UP);
    int64_t least = INT64_MAX;
    for (int i = 0; i < TRIES && least >= 450000000; i++) {
        const int64_t before = wilor_video_now();
        wilor_video_frame frame;
        wilor_error err;
        assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_ERR_IO);
        assert_non_null(strstr(err.text, "no frame for 0.25 s"));
        const int64_t waited = wilor_video_now() - before;
        assert_true(waited >= 250000000);
        least = waited < least ? waited : least;
    }
    assert_true(least < 450000000);
    go_on(&f); /* what had come of the frame is not lost */
    must_read_in(v, 2, 20000000, HELD_UP);
    must_end(v);
    wilor_video_close(&v);
    end_stdin(&f);
}

static int64_t g_stopped_at;

static void *stop_soon(void *user) {
    pause_ms(200);
    g_stopped_at = wilor_video_now();
    wilor_video_stop(user);
    return NULL;
}

/* Within 100 ms; the limit here leaves room for a loaded machine. */
static bool is_late(int64_t since) {
    const double ms = (double)(wilor_video_now() - since) / 1e6;
    printf("stopped within %.0f ms\n", ms);
    return ms >= 250;
}

/* How late a read comes back that is stopped. */
static bool stop_is_late(void) {
    static uint8_t data[CLIP_WIDTH * CLIP_HEIGHT * 3];
    raw_frame(data, "rgb24", 1);
    feed f = {.data = data, .size = sizeof data, .cut = sizeof data - 1};
    wilor_video_options o = raw_options("rgb24");
    begin_stdin(&f);
    wilor_video *v = must_open("-", &o);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, v), 0);
    wilor_video_frame frame;
    wilor_error err;
    assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_ERR_CANCELLED);
    pthread_join(thread, NULL);
    const bool late = is_late(g_stopped_at);
    assert_int_equal(wilor_video_read(v, &frame, &err), WILOR_ERR_CANCELLED);
    wilor_video_close(&v);
    end_stdin(&f);
    return late;
}

static void test_stop(void **state) {
    (void)state;
    int tries = 1;
    while (stop_is_late())
        assert_true(++tries <= TRIES);
}

static int cancel_soon(void *user) {
    const int64_t *at = user;
    return wilor_video_now() > *at;
}

/* A named pipe that nobody writes to: cancelled, or given up. */
static void test_fifo(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    char path[1024];
    snprintf(path, sizeof path, "%s", in_folder("fifo"));
    assert_int_equal(mkfifo(path, 0600), 0);
    int64_t at = 0;
    int tries = 0;
    wilor_video_options o = options(NULL);
    o.callbacks.user = &at;
    o.callbacks.cancel = cancel_soon;
    do {
        assert_true(++tries <= TRIES);
        at = wilor_video_now() + 200000000;
        assert_int_equal(wilor_video_open(&v, path, &o, &err), WILOR_ERR_CANCELLED);
    } while (is_late(at));
    o = options(NULL);
    o.open_timeout = 0.1;
    assert_int_equal(wilor_video_open(&v, path, &o, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "nothing came for 0.1 s"));
    assert_null(v);

    /* And one that somebody writes to. */
    size_t size;
    if (!clip_make(in_folder("a.mkv"),
                   &(clip_spec){"mpeg4", "matroska", .frames = 5, .rate = 25}))
        skip();
    uint8_t *data = clip_load(in_folder("a.mkv"), &size);
    feed f = {.path = path, .data = data, .size = size};
    assert_int_equal(pthread_create(&f.thread, NULL, run_feed, &f), 0);
    v = must_open(path, NULL);
    for (int i = 0; i < 5; i++)
        must_read(v, i, i * INT64_C(40000000));
    must_end(v);
    wilor_video_close(&v);
    pthread_join(f.thread, NULL);
    free(data);
}

/* ---------------------------------------------------------------- HTTP */

typedef struct server {
    pthread_t thread;
    int fd, port;
    atomic_bool stop;
    atomic_int requests;
    const uint8_t *data; /* the answer to everything */
    size_t size, cut;    /* then a stall until the end, if cut is not 0 */
    const char *type;
    const uint8_t *part; /* NULL, or the answer to names that end in .ts */
    size_t part_size;
} server;

static void answer(server *s, int client) {
    char request[4096], head[256];
    const ssize_t n = read(client, request, sizeof request - 1);
    if (n <= 0)
        return;
    request[n] = 0;
    atomic_fetch_add(&s->requests, 1);
    const bool part = s->part && strstr(request, ".ts HTTP");
    const size_t size = part ? s->part_size : s->size;
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n",
             part ? "video/mp2t" : s->type, size);
    put(client, (const uint8_t *)head, strlen(head));
    put(client, part ? s->part : s->data, s->cut ? s->cut : size);
    while (s->cut && !atomic_load(&s->stop))
        pause_ms(10);
}

static void *run_server(void *user) {
    server *s = user;
    for (;;) {
        int client = accept(s->fd, NULL, NULL);
        if (client < 0 || atomic_load(&s->stop)) {
            if (client >= 0)
                close(client);
            return NULL;
        }
        answer(s, client);
        close(client);
    }
}

static void begin_server(server *s) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void end_server(server *s) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)s->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    atomic_store(&s->stop, true);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    pthread_join(s->thread, NULL);
    close(fd);
    close(s->fd);
}

static const char *url_of(const server *s, const char *name) {
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", s->port, name);
    return url;
}

static void test_http(void **state) {
    (void)state;
    size_t size;
    if (!clip_make(in_folder("h.ts"),
                   &(clip_spec){"mpeg2video", "mpegts", .frames = 30, .rate = 25}))
        skip();
    uint8_t *data = clip_load(in_folder("h.ts"), &size);
    server s = {.data = data, .size = size, .type = "video/mp2t"};
    begin_server(&s);
    wilor_video *v = must_open(url_of(&s, "h.ts"), NULL);
    wilor_video_info info;
    wilor_video_get_info(v, &info, sizeof info);
    assert_int_equal(info.live, 1);
    for (int i = 0; i < 30; i++)
        must_read(v, i, i * INT64_C(40000000));
    must_end(v);
    wilor_video_close(&v);
    end_server(&s);

    /* A server that stalls: first while opening, then while reading. */
    wilor_error err;
    wilor_video_options o = options(NULL);
    o.open_timeout = o.read_timeout = 0.5;
    server none = {.data = data, .size = size, .cut = 1, .type = "video/mp2t"};
    begin_server(&none);
    assert_int_equal(wilor_video_open(&v, url_of(&none, "h.ts"), &o, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "nothing came for 0.5 s"));
    end_server(&none);
    free(data);
}

/* A list of parts from a server: parts by http are read. */
static void test_list(void **state) {
    (void)state;
    size_t size;
    if (!clip_make(in_folder("h.ts"),
                   &(clip_spec){"mpeg2video", "mpegts", .frames = 20, .rate = 25}))
        skip();
    uint8_t *data = clip_load(in_folder("h.ts"), &size);
    const char *text = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n"
                       "#EXTINF:0.8,\none.ts\n#EXT-X-ENDLIST\n";
    server s = {.data = (const uint8_t *)text,
                .size = strlen(text),
                .type = "application/vnd.apple.mpegurl",
                .part = data,
                .part_size = size};
    begin_server(&s);
    wilor_video *v = must_open(url_of(&s, "list.m3u8"), NULL);
    for (int i = 0; i < 20; i++)
        must_read(v, i, i * INT64_C(40000000));
    must_end(v);
    wilor_video_close(&v);
    end_server(&s);
    free(data);
}

/* A part that is a file of this machine is not. */
static void test_stream_to_file(void **state) {
    (void)state;
    char text[2048];
    wilor_video *v = NULL;
    wilor_error err;
    if (!clip_make(in_folder("own.ts"), &(clip_spec){"mpeg2video", "mpegts", .frames = 5}))
        skip();
    static const char *const prefixes[] = {
        "file://", "file:", "concat:", "pipe:", "subfile,,start,0,end,9999,,:"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        snprintf(text, sizeof text,
                 "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:0\n"
                 "#EXTINF:1,\n%s%s\n#EXT-X-ENDLIST\n",
                 prefixes[i], in_folder("own.ts"));
        server s = {.data = (const uint8_t *)text,
                    .size = strlen(text),
                    .type = "application/vnd.apple.mpegurl"};
        begin_server(&s);
        wilor_video_options o = options(NULL);
        o.open_timeout = 5;
        const wilor_status st = wilor_video_open(&v, url_of(&s, "list.m3u8"), &o, &err);
        assert_int_not_equal(st, WILOR_OK);
        assert_null(v);
        assert_true(atomic_load(&s.requests) > 0);
        end_server(&s);
    }
}

static void test_no_server(void **state) {
    (void)state;
    wilor_video *v = NULL;
    wilor_error err;
    server s = {.data = (const uint8_t *)"x", .size = 1, .type = "text/plain"};
    begin_server(&s);
    const int port = s.port;
    assert_int_equal(wilor_video_open(&v, url_of(&s, "x"), NULL, &err), WILOR_ERR_FORMAT);
    end_server(&s);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", port);
    assert_int_equal(wilor_video_open(&v, url, NULL, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, url));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stdin_raw),
        cmocka_unit_test(test_stdin_exact),
        cmocka_unit_test(test_stdin_raw_refused),
        cmocka_unit_test(test_stdin_mjpeg),
        cmocka_unit_test(test_stdin_empty),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_no_delay),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_stream_to_file),
        cmocka_unit_test(test_no_server),
    };
    return cmocka_run_group_tests(tests, setup, drop_folder);
}
