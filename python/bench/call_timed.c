/* wilor_predict_boxes with a clock around it, which overhead.py puts in its place. Compiled and loaded by
 * overhead.py; the library's function is told it, so nothing is linked. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include <wilor/wilor.h>

typedef wilor_status (*call_boxes)(wilor_session *, const wilor_picture *, const wilor_box *,
                                   int, const wilor_predict_options *, const wilor_hands **,
                                   wilor_error *);

/* The library's function, and what its last call took in milliseconds: of the wall's time, of this thread's
 * processor time. */
call_boxes timed_function;
double timed_wall, timed_processor;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

wilor_status timed_predict_boxes(wilor_session *session, const wilor_picture *picture,
                                 const wilor_box *boxes, int n,
                                 const wilor_predict_options *options, const wilor_hands **out,
                                 wilor_error *err) {
    double processor = now(CLOCK_THREAD_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
    wilor_status status = timed_function(session, picture, boxes, n, options, out, err);
    timed_wall = now(CLOCK_MONOTONIC) - wall;
    timed_processor = now(CLOCK_THREAD_CPUTIME_ID) - processor;
    return status;
}
