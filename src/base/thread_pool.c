/* Thread pool: a phase number that workers watch, a run of units for each thread, a number a worker
 * writes on a cache line of its own when it is done. Waiting is spinning, then giving way to others, then
 * a condition variable (pthreadpool's way); the locks are touched only when somebody sleeps.
 *
 * Easy to get wrong: a worker that is late for phase n must not take units of phase n + 1 with
 * the function of phase n. Here no phase starts before every worker has left the one before. And a
 * sleeper counts itself before it looks at the phase for the last time, the caller raises the phase
 * before it looks at the count: one of both sees the other. */
#include "thread_pool.h"
#include "clock.h"
#include "heap.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#if defined(__APPLE__)
#include <pthread/qos.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

#if defined(_WIN32)
#include <windows.h>
#define YIELD() SwitchToThread()
#else
#include <sched.h>
#define YIELD() sched_yield()
#endif

/* Some 50 µs of spins with a `pause` of 140 cycles, longer than the gap between most phases; then some
 * 2 ms of looking after giving way to whoever wants the processor: waking a sleeper takes 50 µs and more,
 * a whole run as little as 10 ms. */
enum { SPINS = 1000, YIELDS = 4000, LINE = 64 };

struct wilor_threads {
    alignas(LINE) atomic_uint phase; /* grows by one for each phase */
    alignas(LINE) atomic_bool stop;
    atomic_int sleepers; /* workers at `wake` */
    atomic_bool waiting; /* the caller at `idle` */
    wilor_unit_fn fn;
    void *context;
    int threads;
    int started;       /* workers that exist */
    wilor_pages pages; /* where this struct lives */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* workers wait for a phase */
    pthread_cond_t idle; /* the caller waits for workers */

    struct worker *workers;
    struct run *runs; /* one per thread */
};

struct worker {
    wilor_threads *pool;
    pthread_t thread;
    int number;
};

/* Units next … end - 1 are still to be taken. On a cache line of its own. */
struct run {
    atomic_int next;
    int end;
    atomic_uint done; /* the last phase that this thread has left */
    uint64_t busy_ns; /* in units, all phases so far; written by the thread itself */
    char rest[LINE - 3 * sizeof(int) - 4 - sizeof(uint64_t)];
};

_Static_assert(sizeof(struct run) == LINE, "a run is a cache line");

static void share_units(wilor_threads *p, int units) {
    for (int t = 0; t < p->threads; t++) {
        p->runs[t].end = wilor_threads_first(units, t + 1, p->threads);
        atomic_store_explicit(&p->runs[t].next, wilor_threads_first(units, t, p->threads),
                              memory_order_relaxed);
    }
}

/* The thread's own run, then what others have left. A look before taking keeps the lines shared. */
static void take_units(wilor_threads *p, int thread) {
    uint64_t start = wilor_clock_ns();
    for (int i = 0; i < p->threads; i++) {
        struct run *r = &p->runs[(thread + i) % p->threads];
        while (atomic_load_explicit(&r->next, memory_order_relaxed) < r->end) {
            int u = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
            if (u < r->end)
                p->fn(p->context, u, thread);
        }
    }
    p->runs[thread].busy_ns += wilor_clock_ns() - start;
}

/* Whether the condition came to hold without sleeping. */
typedef bool (*condition)(const wilor_threads *p, unsigned seen);

static bool has_begun(const wilor_threads *p, unsigned seen) {
    return atomic_load_explicit(&p->phase, memory_order_acquire) != seen;
}

static bool is_over(const wilor_threads *p, unsigned seen) {
    for (int t = 1; t <= p->started; t++)
        if (atomic_load_explicit(&p->runs[t].done, memory_order_acquire) != seen)
            return false;
    return true;
}

static bool watch(const wilor_threads *p, condition holds, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (holds(p, seen))
            return true;
        PAUSE();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (holds(p, seen))
            return true;
        YIELD();
    }
    return false;
}

/* Returns false when the pool ends. */
static bool wait_for_phase(wilor_threads *p, unsigned seen) {
    if (!watch(p, has_begun, seen)) {
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->sleepers, 1);
        while (atomic_load(&p->phase) == seen)
            pthread_cond_wait(&p->wake, &p->lock);
        atomic_fetch_sub(&p->sleepers, 1);
        pthread_mutex_unlock(&p->lock);
    }
    return !atomic_load_explicit(&p->stop, memory_order_relaxed);
}

/* What somebody waits for: macOS keeps such threads on performance cores. */
static void join_the_quick(void) {
#if defined(__APPLE__)
    pthread_set_qos_class_self_np(QOS_CLASS_USER_INITIATED, 0);
#endif
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    join_the_quick();
    wilor_threads *p = w->pool;
    for (unsigned seen = 0; wait_for_phase(p, seen);) {
        seen++;
        take_units(p, w->number);
        atomic_store(&p->runs[w->number].done, seen);
        if (atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

static unsigned publish_phase(wilor_threads *p) {
    unsigned phase = atomic_fetch_add(&p->phase, 1) + 1;
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    return phase;
}

static void wait_for_workers(wilor_threads *p, unsigned phase) {
    if (watch(p, is_over, phase))
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, true);
    while (!is_over(p, phase))
        pthread_cond_wait(&p->idle, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

void wilor_threads_run(wilor_threads *p, wilor_unit_fn fn, void *context, int units) {
    p->fn = fn;
    p->context = context;
    share_units(p, units);
    if (p->started == 0 || units <= 1) {
        take_units(p, 0);
        return;
    }
    unsigned phase = publish_phase(p);
    take_units(p, 0);
    wait_for_workers(p, phase);
}

uint64_t wilor_threads_busy_ns(const wilor_threads *p) {
    uint64_t sum = 0;
    for (int t = 0; t < p->threads; t++)
        sum += p->runs[t].busy_ns;
    return sum;
}

wilor_span wilor_span_begin(const wilor_threads *p, bool counted) {
    return (wilor_span){wilor_clock_ns(), counted ? wilor_threads_busy_ns(p) : 0};
}

void wilor_span_end(wilor_span *sum, wilor_span begin, const wilor_threads *p, bool counted) {
    wilor_span now = wilor_span_begin(p, counted);
    sum->ns += now.ns - begin.ns;
    sum->busy_ns += now.busy_ns - begin.busy_ns;
}

int wilor_threads_count(const wilor_threads *p) { return p->threads; }

wilor_status wilor_threads_create(wilor_threads **out, int threads, wilor_error *err) {
    wilor_status st = WILOR_OK;
    *out = NULL;
    if (threads < 1 || threads > WILOR_MAX_THREADS)
        return wilor_error_set(err, WILOR_ERR_LIMIT, "%d threads: the limit is %d", threads,
                               WILOR_MAX_THREADS);
    /* Members are aligned to cache lines: take an aligned block by hand. */
    wilor_pages pages;
    if (!wilor_pages_alloc(&pages, sizeof(wilor_threads) + (size_t)threads * LINE))
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for the thread pool");
    wilor_threads *p = pages.data;
    p->pages = pages;
    p->threads = threads;
    p->runs = (struct run *)(p + 1);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->workers = wilor_heap_alloc((size_t)threads, sizeof *p->workers);
    if (!p->workers)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for %d threads", threads);
    for (int i = 1; i < threads; i++) {
        struct worker *w = &p->workers[p->started];
        *w = (struct worker){.pool = p, .number = i};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "the system gave %d of %d threads", i, threads);
        p->started++;
    }
    *out = p;
    p = NULL;
done:
    wilor_threads_free(&p);
    return st;
}

void wilor_threads_free(wilor_threads **pool) {
    wilor_threads *p = *pool;
    *pool = NULL;
    if (!p)
        return;
    atomic_store(&p->stop, true);
    if (p->started)
        publish_phase(p);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    wilor_heap_free(p->workers);
    wilor_pages pages = p->pages;
    wilor_pages_free(&pages);
}
