/* The calls of overhead.py as a C program makes them: a loop around one function, with the time of each call.
 * Compiled and loaded by overhead.py; the library's function comes as an argument, so nothing is linked. */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <time.h>

#include <wilor/wilor.h>

typedef wilor_status (*call_boxes)(wilor_session *, const wilor_picture *, const wilor_box *,
                                   int, const wilor_predict_options *, const wilor_hands **,
                                   wilor_error *);

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Milliseconds of each of `calls` calls: by the wall, and of this thread's processor time. Returns the status of
 * the last. */
int call_loop(call_boxes function, wilor_session *session, const wilor_picture *picture,
              const wilor_box *boxes, int n, const wilor_predict_options *options, int calls,
              double *wall, double *processor) {
    wilor_status status = WILOR_OK;
    for (int i = 0; i < calls; i++) {
        const wilor_hands *hands = NULL;
        wilor_error error;
        double processor_then = now(CLOCK_THREAD_CPUTIME_ID), then = now(CLOCK_MONOTONIC);
        status = function(session, picture, boxes, n, options, &hands, &error);
        wall[i] = now(CLOCK_MONOTONIC) - then;
        processor[i] = now(CLOCK_THREAD_CPUTIME_ID) - processor_then;
    }
    return (int)status;
}
