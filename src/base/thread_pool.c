/* Thread pool: a phase number that workers watch, a counter that hands out units, a count of
 * workers still busy. Waiting is spinning for a bounded time, then a condition variable
 * (pthreadpool's way).
 *
 * Easy to get wrong: a worker that is late for phase n must not take units of phase n + 1 with
 * the function of phase n. Here no phase starts before every worker has left the one before. */
#include "thread_pool.h"
#include "heap.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif

/* Spins before sleeping: some 50 µs with a `pause` of 140 cycles, longer than the gap between
 * phases. */
enum { SPINS = 1000, LINE = 64 };

struct wilor_threads {
    alignas(LINE) atomic_uint phase; /* grows by one for each phase */
    alignas(LINE) atomic_int busy;   /* workers that have not finished the phase */
    alignas(LINE) atomic_bool stop;
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
    char rest[LINE - 2 * sizeof(int)];
};

static void share_units(wilor_threads *p, int units) {
    for (int t = 0; t < p->threads; t++) {
        p->runs[t].end = (int)((int64_t)units * (t + 1) / p->threads);
        atomic_store_explicit(&p->runs[t].next, (int)((int64_t)units * t / p->threads),
                              memory_order_relaxed);
    }
}

static void take_units(wilor_threads *p, int thread) {
    for (int i = 0; i < p->threads; i++) {
        struct run *r = &p->runs[(thread + i) % p->threads];
        for (int u;
             (u = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed)) < r->end;)
            p->fn(p->context, u, thread);
    }
}

/* Returns false when the pool ends. */
static bool wait_for_phase(wilor_threads *p, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->phase, memory_order_acquire) != seen)
            return !atomic_load(&p->stop);
        PAUSE();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->phase, memory_order_acquire) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return !atomic_load(&p->stop);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    wilor_threads *p = w->pool;
    for (unsigned seen = 0; wait_for_phase(p, seen);) {
        seen++;
        take_units(p, w->number);
        if (atomic_fetch_sub_explicit(&p->busy, 1, memory_order_acq_rel) == 1) {
            /* The last one: the caller may be asleep. */
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

static void publish_phase(wilor_threads *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->phase, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void wait_for_workers(wilor_threads *p) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->busy, memory_order_acquire) == 0)
            return;
        PAUSE();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->busy, memory_order_acquire) != 0)
        pthread_cond_wait(&p->idle, &p->lock);
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
    atomic_store_explicit(&p->busy, p->started, memory_order_relaxed);
    publish_phase(p);
    take_units(p, 0);
    wait_for_workers(p);
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
    if (!wilor_pages_alloc(&pages, sizeof(wilor_threads)))
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for the thread pool");
    wilor_threads *p = pages.data;
    p->pages = pages;
    p->threads = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->workers = wilor_heap_alloc((size_t)threads, sizeof *p->workers);
    p->runs = wilor_heap_alloc((size_t)threads, sizeof *p->runs);
    if (!p->workers || !p->runs)
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
    wilor_heap_free(p->runs);
    wilor_pages pages = p->pages;
    wilor_pages_free(&pages);
}
