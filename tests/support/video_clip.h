/* Small videos for tests, made by FFmpeg's libraries when the test runs. A frame carries its number
 * as eight squares along its upper edge, black or white, which survive any codec, above a gradient. */
#ifndef WILOR_TEST_VIDEO_CLIP_H
#define WILOR_TEST_VIDEO_CLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLIP_BITS = 8,
    CLIP_SQUARE = 16,
    CLIP_WIDTH = CLIP_BITS * CLIP_SQUARE,
    CLIP_HEIGHT = 96
};

typedef struct clip_spec {
    const char *codec;     /* an encoder of FFmpeg: "libx264", "mjpeg", "png" … */
    const char *container; /* a muxer: "mp4", "matroska", "h264" … */
    int width, height;     /* 0: CLIP_WIDTH × CLIP_HEIGHT */
    int frames, first;     /* numbers first … first + frames - 1 */
    double rate;           /* 0: 30 */
    const int64_t *times;  /* NULL, or frames of them, ms */
    int rotation;          /* clockwise degrees for the display matrix */
    const char *sound;     /* NULL, or an audio encoder: a tone as long as the frames */
    bool key_only;         /* key frames only */
} clip_spec;

/* Write it; false: this FFmpeg lacks the encoder or muxer. Fails the test on any other error. */
bool clip_make(const char *path, const clip_spec *spec);

/* A frame's pixels, 3 bytes each, rows without padding. */
void clip_draw(uint8_t *rgb, int width, int height, int number);
/* The number in a picture, or -1 when a square is neither black nor white. */
int clip_number(const uint8_t *rgb, ptrdiff_t stride, int width, int height);

/* Read or write a whole file; the bytes are the caller's to free. */
uint8_t *clip_load(const char *path, size_t *size);
void clip_store(const char *path, const void *data, size_t size);

#endif
