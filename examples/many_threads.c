/* N sessions on one model, each on a thread of its own: how a server shares the weights.
 *
 *     many_threads WEIGHTS MANO [N]
 *
 * Every thread computes the same crop, and all must get the same bits. */
#include <wilor/wilor.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 256, MOST = 16, KEYPOINTS = 21 * 3 };

typedef struct worker {
    pthread_t thread;
    const wilor_model *model;
    const wilor_picture *crop;
    wilor_error err;
    float keypoints[KEYPOINTS]; /* a copy: the result goes with the session */
} worker;

static void *work(void *user) {
    worker *w = (worker *)user;
    wilor_session *session = NULL;
    const wilor_hands *hands = NULL;
    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    so.max_hands = 1;
    so.threads = 1; /* the sessions are the parallelism */
    if (wilor_session_create(&session, w->model, &so, &w->err) == WILOR_OK &&
        wilor_predict_crops(session, w->crop, NULL, 1, &hands, &w->err) == WILOR_OK)
        memcpy(w->keypoints, hands->keypoints_3d, sizeof w->keypoints);
    wilor_session_free(&session);
    return NULL;
}

int main(int argc, char **argv) {
    int n = argc == 4 ? atoi(argv[3]) : 4;
    if (argc < 3 || argc > 4 || n < 1 || n > MOST) {
        fprintf(stderr, "usage: many_threads WEIGHTS MANO|- [1 ... %d]\n", MOST);
        return 2;
    }
    wilor_error err = {WILOR_OK, ""};
    wilor_model_options o;
    wilor_model_options_init(&o, sizeof o);
    o.weights = argv[1];
    o.mano = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
    wilor_model *model = NULL;
    if (wilor_model_open(&model, &o, &err) != WILOR_OK) {
        fprintf(stderr, "many_threads: %s\n", err.text);
        return 1;
    }

    static unsigned char grey[SIDE * SIDE];
    memset(grey, 128, sizeof grey);
    wilor_picture crop = {grey, SIDE, SIDE, SIDE, WILOR_GRAY8};
    static worker workers[MOST];
    int started = 0, wrong = 0;
    for (; started < n; started++) {
        workers[started].model = model;
        workers[started].crop = &crop;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].err.status != WILOR_OK) {
            fprintf(stderr, "many_threads: session %d: %s\n", i, workers[i].err.text);
            wrong = 1;
        } else if (memcmp(workers[i].keypoints, workers[0].keypoints,
                          sizeof workers[0].keypoints)) {
            fprintf(stderr, "many_threads: session %d differs from session 0\n", i);
            wrong = 1;
        }
    }
    wilor_model_free(&model);
    printf("%d of %d sessions ran, %s\n", started, n, wrong ? "not all well" : "all alike");
    return wrong || started < n;
}
