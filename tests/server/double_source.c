/* A stand-in for sources of video: whatever its name, 640 × 480 at WILOR_DOUBLE_RATE (30) frames a second,
 * the picture of WILOR_DOUBLE_PICTURE or a grey ramp. */
#include "live_source.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 640, HEIGHT = 480, RATE = 30, RATE_MOST = 1000 };

static int g_video;

void wilor_video_close(wilor_video **video) { *video = NULL; }

wilor_status wilor_cli_live_source_open(wilor_cli_live_source *s, wilor_video **video,
                                        wilor_error *err) {
    wilor_cli_quoted q;
    if (!strcmp(s->o->source, "none"))
        return wilor_cli_fail(err, WILOR_ERR_IO, "%s: No such file or directory",
                              wilor_cli_quote(&q, s->o->source));
    *video = (wilor_video *)&g_video;
    s->info.live = 1;
    return WILOR_OK;
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fill(wilor_image *image) {
    const char *path = getenv("WILOR_DOUBLE_PICTURE");
    if (path && wilor_image_read(image, path, 0, NULL) == WILOR_OK)
        return;
    image->width = WIDTH;
    image->height = HEIGHT;
    image->data = malloc(WIDTH * HEIGHT * 3);
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        image->data[i] = (uint8_t)(i / 3 % WIDTH * 255 / WIDTH);
}

wilor_status wilor_cli_live_source_run(wilor_cli_live_source *s, wilor_video **video,
                                       wilor_error *err) {
    wilor_image image = {0};
    wilor_status st = WILOR_OK;
    const char *text = getenv("WILOR_DOUBLE_RATE");
    int rate = text && atoi(text) > 0 && atoi(text) <= RATE_MOST ? atoi(text) : RATE;
    fill(&image);
    s->status(s->user, "opened", s->o->source);
    int64_t next = now();
    for (uint64_t number = 0; st == WILOR_OK && !s->stop(s->user); number++) {
        wilor_cli_frame frame = {.picture = wilor_image_view(&image),
                                 .t_capture = now(),
                                 .arrival = now(),
                                 .number = number};
        st = wilor_cli_engine_give(s->engine, &frame, err);
        next += 1000000000 / rate;
        struct timespec until = {next / 1000000000, next % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    free(image.data);
    wilor_video_close(video);
    return st == WILOR_OK ? wilor_cli_fail(err, WILOR_ERR_CANCELLED, "stopped") : st;
}
