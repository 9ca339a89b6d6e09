/* Progress, log and cancel while the model loads; then hands, printed as they come.
 *
 *     callbacks WEIGHTS MANO FRAMES [CANCEL_AT_PERCENT]
 *
 * Callbacks come on the thread that called, so they need no lock. With CANCEL_AT_PERCENT loading
 * is given up there, as a user who closes the window would: the status says so, and nothing is
 * left to free. */
#include <wilor/wilor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 320, HEIGHT = 240 };

typedef struct watcher {
    int percent;   /* last one seen */
    int cancel_at; /* over 100: never */
} watcher;

static void on_log(void *user, wilor_log_level level, const char *text) {
    (void)user;
    fprintf(stderr, "%s: %s\n", level == WILOR_LOG_WARNING ? "warning" : "info", text);
}

static void on_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    watcher *w = (watcher *)user;
    int percent = total ? (int)((double)done / (double)total * 100.0) : 100;
    if (percent / 10 != w->percent / 10)
        fprintf(stderr, "%s: %d %%\n", what, percent);
    w->percent = percent;
}

static int on_cancel(void *user) {
    const watcher *w = (const watcher *)user;
    return w->percent >= w->cancel_at;
}

/* Stands for a camera: a frame of moving stripes. */
static void next_frame(unsigned char *rgb, int frame) {
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        rgb[i] = (unsigned char)(i / 3 + frame * 8);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: callbacks WEIGHTS MANO|- FRAMES [CANCEL_AT_PERCENT]\n");
        return 2;
    }
    int frames = atoi(argv[3]);
    watcher w = {0, argc == 5 ? atoi(argv[4]) : 101};
    wilor_error err = {WILOR_OK, ""};
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = argv[1];
    o.mano = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
    o.callbacks.user = &w;
    o.callbacks.log = on_log;
    o.callbacks.progress = on_progress;
    o.callbacks.cancel = on_cancel;

    wilor_model *model = NULL;
    wilor_session *session = NULL;
    static unsigned char rgb[WIDTH * HEIGHT * 3];
    wilor_picture picture = {rgb, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
    wilor_box box = {{100, 60, 220, 180}, 1.0f, WILOR_RIGHT};
    if (wilor_model_open(&model, &o, &err) == WILOR_OK)
        wilor_session_create(&session, model, NULL, &err);
    for (int f = 0; f < frames && err.status == WILOR_OK; f++) {
        const wilor_hands *hands = NULL;
        next_frame(rgb, f);
        if (wilor_predict_boxes(session, &picture, &box, 1, NULL, &hands, &err) == WILOR_OK &&
            !hands->failed[0]) {
            printf("frame %d: wrist %.1f %.1f px, %.1f ms\n", f, hands->keypoints_2d[0],
                   hands->keypoints_2d[1], hands->stage_ms[3]);
            fflush(stdout);
        }
    }
    wilor_session_free(&session);
    wilor_model_free(&model);
    if (err.status == WILOR_ERR_CANCELLED)
        fprintf(stderr, "callbacks: given up at %d %%\n", w.percent);
    else if (err.status != WILOR_OK)
        fprintf(stderr, "callbacks: %s\n", err.text);
    return err.status == WILOR_OK ? 0 : err.status == WILOR_ERR_CANCELLED ? 130 : 1;
}
