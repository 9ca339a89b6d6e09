/* Any bytes as a video file, from memory: opened, told about, read for a few frames, begun again. The
 * demuxers and decoders are FFmpeg's, and not instrumented; what is looked for is our own handling of
 * whatever they make of the bytes, and that no source goes on for ever. */
#include "fuzz_input.h"

#include "video_impl.h"
#include "video_jpegs.h"
#include <libavutil/error.h>
#include <libavutil/mem.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIXELS = 1 << 14, MAX_FRAMES = 24 };

/* Half a second a run. */
static int late(void *user) {
    const int64_t *end = user;
    return wilor_video_now() > *end;
}

static void hear(void *user, wilor_log_level level, const char *text) {
    (void)user;
    if (!text[0] || (level != WILOR_LOG_INFO && level != WILOR_LOG_WARNING))
        abort();
}

/* Every pixel of a frame, and what the header promises of it. */
static void look(const wilor_video_frame *f, int64_t last, uint64_t index) {
    uint32_t sum = 0;
    if (f->time <= last || f->index != index || f->picture.width < 1 || f->picture.height < 1)
        abort();
    if ((uint64_t)f->picture.width * (uint64_t)f->picture.height > MAX_PIXELS)
        abort();
    for (int y = 0; y < f->picture.height; y++)
        for (int x = 0; x < f->picture.width * 3; x++)
            sum += f->picture.data[y * f->picture.stride + x];
    volatile uint32_t keep = sum;
    (void)keep;
}

static void run(const uint8_t *data, size_t size) {
    wilor_video *v = NULL;
    wilor_video_frame f;
    wilor_error err;
    wilor_video_options o;
    int64_t end = wilor_video_now() + 500000000;
    wilor_video_options_init(&o, sizeof o);
    o.max_pixels = MAX_PIXELS;
    o.threads = 1;
    o.loop = wilor_fuzz_hash(data, size) & 1;
    o.callbacks = (wilor_callbacks){.user = &end, .cancel = late, .log = hear};
    wilor_status st = wilor_video_open_memory(&v, data, size, "fuzz", &o, &err);
    if (st != WILOR_OK && (v || !err.text[0]))
        abort(); /* an error must say something and leave nothing */
    int64_t last = -1;
    for (uint64_t i = 0; st == WILOR_OK && i < MAX_FRAMES; i++) {
        st = wilor_video_read(v, &f, &err);
        if (st != WILOR_OK && (f.picture.data || !err.text[0]))
            abort();
        if (st != WILOR_OK || !f.picture.data)
            break;
        look(&f, last, i);
        last = f.time;
    }
    wilor_video_info info;
    if (v)
        wilor_video_get_info(v, &info, sizeof info);
    wilor_video_close(&v);
}

/* The same bytes as an MJPEG stream that comes in small pieces. */
typedef struct trickle {
    const uint8_t *data;
    size_t left, piece;
} trickle;

static int give_some(void *user, uint8_t *to, int room) {
    trickle *t = user;
    size_t n = t->left < t->piece ? t->left : t->piece;
    n = n < (size_t)room ? n : (size_t)room;
    memcpy(to, t->data, n);
    t->data += n;
    t->left -= n;
    return n ? (int)n : AVERROR_EOF;
}

static void cut(const uint8_t *data, size_t size) {
    enum { BUFFER = 256 };

    trickle t = {data, size, 1 + wilor_fuzz_hash(data, size) % 100};
    uint8_t *buffer = av_malloc(BUFFER);
    AVIOContext *io = avio_alloc_context(buffer, BUFFER, 0, &t, give_some, NULL, NULL);
    AVPacket *packet = av_packet_alloc();
    wilor_video_jpegs j = {.data = NULL};
    size_t total = 0;
    while (io && packet && wilor_video_jpegs_next(&j, io, packet) == 0) {
        total += (size_t)packet->size;
        if (packet->size < 2 || total > size || packet->data[0] != 0xFF ||
            packet->data[1] != 0xD8)
            abort();
        av_packet_unref(packet);
    }
    wilor_video_jpegs_fini(&j);
    av_packet_free(&packet);
    if (io)
        av_freep(&io->buffer);
    avio_context_free(&io);
}

static void both(const uint8_t *data, size_t size) {
    if (size)
        cut(data, size);
    run(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(both, data, size);
    return 0;
}
