/* Cutting MJPEG by its markers (ITU-T T.81, annex B). Segments are skipped by their length, so that a
 * thumbnail inside EXIF does not look like a picture's end; entropy-coded data run to the next marker.
 * Nonsense between markers is read as entropy-coded data, up to the next begin or end. */
#include "video_jpegs.h"
#include "heap.h"

#include <errno.h>
#include <libavutil/error.h>
#include <stdbool.h>
#include <string.h>

enum { HUNT = 0, MARKER, ENTROPY };

enum { FILL = 0xFF, BEGIN = 0xD8, END = 0xD9, SCAN = 0xDA, RESTART = 0xD0 };

enum { PIECE = 1 << 16, MOST = 1 << 26 };

static bool has(const wilor_video_jpegs *j, size_t n) { return j->used - j->at >= n; }

/* Drop n bytes at the front. */
static void drop(wilor_video_jpegs *j, size_t n) {
    memmove(j->data, j->data + n, j->used - n);
    j->used -= n;
    j->at = 0;
}

/* To the next begin. False: there is none yet. */
static bool hunt(wilor_video_jpegs *j) {
    size_t i = 0;
    while (i + 1 < j->used && !(j->data[i] == FILL && j->data[i + 1] == BEGIN))
        i++;
    const bool found = i + 1 < j->used;
    drop(j, found || (j->used && j->data[i] == FILL) ? i : j->used);
    if (found) {
        j->at = 2;
        j->state = MARKER;
    }
    return found;
}

/* A marker's segment. False: its bytes are not all there. */
static bool skip_segment(wilor_video_jpegs *j, int marker) {
    if (!has(j, 4))
        return false;
    const size_t length = (size_t)j->data[j->at + 2] << 8 | j->data[j->at + 3];
    if (length < 2) {
        j->at += 2;
        j->state = ENTROPY;
        return true;
    }
    if (!has(j, 2 + length))
        return false;
    j->at += 2 + length;
    j->state = marker == SCAN ? ENTROPY : MARKER;
    return true;
}

/* One step at a marker. *size is set at the picture's end. False: more bytes are needed. */
static bool step_marker(wilor_video_jpegs *j, size_t *size) {
    if (!has(j, 2))
        return false;
    const int marker = j->data[j->at + 1];
    if (j->data[j->at] != FILL || marker == 0) {
        j->state = ENTROPY;
    } else if (marker == FILL) {
        j->at++;
    } else if (marker == END) {
        *size = j->at + 2;
    } else if (marker == BEGIN) {
        *size = j->at; /* cut off by the next */
    } else if (marker == 1 || (marker & 0xF8) == RESTART) {
        j->at += 2;
    } else {
        return skip_segment(j, marker);
    }
    return true;
}

static bool step_entropy(wilor_video_jpegs *j) {
    const uint8_t *p = memchr(j->data + j->at, FILL, j->used - j->at);
    j->at = p ? (size_t)(p - j->data) : j->used;
    if (!has(j, 2))
        return false;
    const int next = p[1];
    if (next == 0 || (next & 0xF8) == RESTART)
        j->at += 2;
    else if (next == FILL)
        j->at++;
    else
        j->state = MARKER;
    return true;
}

/* Bytes of the picture at the front, or 0: not whole yet. */
static size_t scan(wilor_video_jpegs *j) {
    size_t size = 0;
    bool on = true;
    while (on && !size)
        on = j->state == HUNT     ? hunt(j)
             : j->state == MARKER ? step_marker(j, &size)
                                  : step_entropy(j);
    return size;
}

/* More bytes; 0 or FFmpeg's error. */
static int fill(wilor_video_jpegs *j, AVIOContext *io) {
    if (j->room - j->used < PIECE) {
        uint8_t *larger = wilor_heap_resize(j->data, j->room + 4 * PIECE, 1);
        if (!larger)
            return AVERROR(ENOMEM);
        j->data = larger;
        j->room += 4 * PIECE;
    }
    const int n = avio_read_partial(io, j->data + j->used, PIECE);
    if (n > 0)
        j->used += (size_t)n;
    return n > 0 ? 0 : n < 0 ? n : AVERROR_EOF;
}

static int give(wilor_video_jpegs *j, size_t size, AVPacket *packet) {
    const int code = av_new_packet(packet, (int)size);
    if (code >= 0)
        memcpy(packet->data, j->data, size);
    drop(j, size);
    j->state = HUNT;
    return code;
}

int wilor_video_jpegs_next(wilor_video_jpegs *j, AVIOContext *io, AVPacket *packet) {
    for (;;) {
        const size_t size = j->used ? scan(j) : 0;
        if (size)
            return give(j, size, packet);
        if (j->used > MOST) {
            drop(j, j->used);
            j->state = HUNT;
            return AVERROR_INVALIDDATA;
        }
        if (j->end && j->state != HUNT && j->used)
            return give(j, j->used, packet);
        if (j->end)
            return j->end;
        const int code = fill(j, io);
        if (code == AVERROR_EOF)
            j->end = code;
        else if (code < 0)
            return code;
    }
}

void wilor_video_jpegs_fini(wilor_video_jpegs *j) {
    wilor_heap_free(j->data);
    *j = (wilor_video_jpegs){.data = NULL};
}
