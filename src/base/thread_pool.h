/* A pool of threads that runs one function over the units of a phase, phase after phase.
 *
 * Units are cut by shape, never by the number of threads, and each unit writes only what is its
 * own: so 1 and N threads give the same bits. Each thread works through a run of its own, then
 * helps the others. Between the phases of a run they spin for a short while; between runs they sleep. */
#ifndef WILOR_THREAD_POOL_H
#define WILOR_THREAD_POOL_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct wilor_threads wilor_threads;

enum { WILOR_MAX_THREADS = 1024 };

/* threads >= 1, the caller of wilor_threads_run counted in. */
wilor_status wilor_threads_create(wilor_threads **out, int threads, wilor_error *err);
void wilor_threads_free(wilor_threads **pool); /* NULL is fine */
int wilor_threads_count(const wilor_threads *pool);

/* The first unit of a thread's own run; with thread + 1 the one behind its last. */
static inline int wilor_threads_first(int units, int thread, int threads) {
    return (int)((int64_t)units * thread / threads);
}

/* Time in units, summed over all phases and threads; between phases only. */
uint64_t wilor_threads_busy_ns(const wilor_threads *pool);

/* Wall time, and with `counted` the threads' time in units, all together: of a stretch, or until now. Counting
 * reads a line of every thread, which costs some of a short phase. */
typedef struct wilor_span {
    uint64_t ns, busy_ns;
} wilor_span;

wilor_span wilor_span_begin(const wilor_threads *pool, bool counted);
/* *sum += what has passed since `begin`. */
void wilor_span_end(wilor_span *sum, wilor_span begin, const wilor_threads *pool, bool counted);

/* Run fn(context, unit, thread) for every unit in 0 … units - 1, thread in 0 … threads - 1;
 * returns when all are done. One call at a time. No allocation. */
typedef void (*wilor_unit_fn)(void *context, int unit, int thread);
void wilor_threads_run(wilor_threads *pool, wilor_unit_fn fn, void *context, int units);

#endif
