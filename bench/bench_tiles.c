/* What bounds a product on AMX: the loop of src/kernels/x86/dot_amx.c, four products of tiles for four
 * tiles loaded, with parts of it left out. All threads at once, variants in turns of a few milliseconds, so
 * that other tenants of the machine weigh on all alike. Prints a line a variant: nanoseconds a step of 32 ×
 * 32 × 32 (mean over the threads, least, most) and what a whole pass of one hand has to wait for it,
 * 4.19 million steps over all threads.
 *
 * usage: bench_tiles [threads]; exit 1 where there is no AMX */
#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__AMX_TILE__)

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

/* 7 panels of 32 rows, k = 1280, as the model's qkv and fc1 have them; weights flow by. */
enum {
    STEPS = 40,
    PANEL = STEPS * 2048,
    PANELS = 7,
    MOST_THREADS = 256,
    TURNS = 24,
    UNITS = 20
};

static const size_t stream_bytes = (size_t)64 << 20; /* each thread's weights */

typedef enum variant {
    WHOLE, /* A and B from the second-level cache, the next panel of B fetched meanwhile */
    NOT_FETCHED, /* the same, but B comes as the processor fetches it */
    NEAR,        /* the same loads, all from the first-level cache */
    PRODUCTS,    /* no loads */
    LOADS,       /* no products */
    VARIANTS
} variant;

static const char *const variant_name[VARIANTS] = {
    "loads from L2, weights fetched", "loads from L2, weights not fetched", "loads from L1",
    "products alone", "loads from L2 alone"};

typedef struct worker {
    pthread_t thread;
    int number;
    uint8_t *a, *stream;
    size_t at; /* of the stream */
    float sums[1024];
    double seconds[VARIANTS];
} worker;

static pthread_barrier_t g_barrier;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void configure(void) {
    static const struct {
        uint8_t palette, start, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

    _tile_loadconfig(&config);
}

#define LOAD(a, b)                                                                             \
    _tile_loadd(4, a, 64);                                                                     \
    _tile_loadd(6, b, 64);                                                                     \
    _tile_loadd(7, (b) + 1024, 64);                                                            \
    _tile_loadd(5, (a) + 1024, 64);
#define MULTIPLY                                                                               \
    _tile_dpbf16ps(0, 4, 6);                                                                   \
    _tile_dpbf16ps(1, 4, 7);                                                                   \
    _tile_dpbf16ps(2, 5, 6);                                                                   \
    _tile_dpbf16ps(3, 5, 7);

static void fetch(const uint8_t *next, int step) {
    for (int line = 0; line < 5; line++)
        _mm_prefetch((const char *)next + step * PANEL / (STEPS * PANELS) / 64 * 64 + line * 64,
                     _MM_HINT_T1);
}

static void run_panel(worker *w, variant v, const uint8_t *a, const uint8_t *b, int panel) {
    const uint8_t *next = b + PANEL;
    switch (v) {
    case WHOLE:
        for (int i = 0; i < STEPS; i++) {
            LOAD(a + i * 2048, b + i * 2048)
            MULTIPLY
            fetch(next, panel * STEPS + i);
        }
        break;
    case NOT_FETCHED:
        for (int i = 0; i < STEPS; i++) {
            LOAD(a + i * 2048, b + i * 2048)
            MULTIPLY
        }
        break;
    case NEAR:
        for (int i = 0; i < STEPS; i++) {
            LOAD(w->a, w->a + 2048)
            MULTIPLY
        }
        break;
    case PRODUCTS:
        LOAD(w->a, w->a + 2048)
        for (int i = 0; i < STEPS; i++) {
            MULTIPLY
        }
        break;
    default:
        for (int i = 0; i < STEPS; i++) {
            LOAD(a + i * 2048, b + i * 2048)
        }
    }
}

/* One panel of weights with all panels of rows. */
static void run_unit(worker *w, variant v) {
    if (w->at + 2 * PANEL + 4096 > stream_bytes)
        w->at = 0;
    const uint8_t *b = w->stream + w->at;
    for (int p = 0; p < PANELS; p++) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        run_panel(w, v, w->a + p * PANEL, b, p);
        _tile_stored(0, w->sums, 64);
    }
    if (v == WHOLE || v == NOT_FETCHED)
        w->at += PANEL;
}

static void *worker_main(void *arg) {
    worker *w = arg;
    configure();
    for (int turn = 0; turn < TURNS; turn++)
        for (variant v = WHOLE; v < VARIANTS; v++) {
            pthread_barrier_wait(&g_barrier);
            run_unit(w, v);
            double start = now();
            for (int u = 0; u < UNITS; u++)
                run_unit(w, v);
            w->seconds[v] += now() - start;
        }
    _tile_release();
    return NULL;
}

/* bfloat16 numbers of both signs around 1. */
static void fill(uint8_t *p, size_t bytes) {
    uint32_t seed = 1;
    for (size_t i = 0; i < bytes; i += 4) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t two = (seed & 0x807F0000u) | (seed >> 12 & 0x807Fu) | 0x3F003F00u;
        memcpy(p + i, &two, 4);
    }
}

static uint8_t *take(size_t bytes) {
    uint8_t *p = aligned_alloc((size_t)2 << 20, bytes);
    if (!p)
        exit(1);
    madvise(p, bytes, MADV_HUGEPAGE);
    fill(p, bytes);
    return p;
}

static void print(const worker *w, int threads) {
    const double steps = (double)TURNS * UNITS * STEPS * PANELS,
                 pass = 258.3e9 * 224 / 210 / 65536;
    for (int v = 0; v < VARIANTS; v++) {
        double sum = 0, least = 1e9, most = 0;
        for (int t = 0; t < threads; t++) {
            double ns = w[t].seconds[v] / steps * 1e9;
            sum += ns;
            least = ns < least ? ns : least;
            most = ns > most ? ns : most;
        }
        printf("%-36s %6.1f ns a step (%.1f to %.1f), a pass %5.1f ms\n", variant_name[v],
               sum / threads, least, most, sum / threads * pass / threads * 1e-6);
    }
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : wilor_threads_default();
    static worker w[MOST_THREADS];
    if (wilor_isa_best() != WILOR_ISA_AMX || threads < 1 || threads > MOST_THREADS) {
        fprintf(stderr, "bench_tiles: no AMX here, or not 1 to %d threads\n", MOST_THREADS);
        return 1;
    }
    pthread_barrier_init(&g_barrier, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++)
        w[t] = (worker){.number = t, .a = take((size_t)2 << 20), .stream = take(stream_bytes)};
    for (int t = 0; t < threads; t++)
        if (pthread_create(&w[t].thread, NULL, worker_main, &w[t]) != 0)
            return 1;
    for (int t = 0; t < threads; t++)
        pthread_join(w[t].thread, NULL);
    print(w, threads);
    return 0;
}

#else

int main(void) {
    fprintf(stderr, "bench_tiles: for x86-64 with AMX, on Linux\n");
    return 1;
}

#endif
