/* Independent accumulators in registers, operands of ordinary size (zeros draw less power and
 * clock higher); nothing is loaded or stored. */
#include "fma_probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__x86_64__)

enum { ACCUMULATORS = 12, ROUNDS = 20000 };

#define FMA512(r) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #r "\n\t"
#define FMA256(r) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #r "\n\t"
#define TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)

/* Factors that keep the sums finite: 1e-20 added a few million times. */
__attribute__((target("avx512f"))) static void burn_512(const float *factor) {
    __asm__ volatile("vbroadcastss (%0), %%zmm30\n\t"
                     "vbroadcastss 4(%0), %%zmm31\n\t" ::"r"(factor)
                     : "xmm30", "xmm31");
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(TWELVE(FMA512)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11");
}

__attribute__((target("avx2,fma"))) static void burn_256(const float *factor) {
    __asm__ volatile("vbroadcastss (%0), %%ymm14\n\t"
                     "vbroadcastss 4(%0), %%ymm15\n\t" ::"r"(factor)
                     : "xmm14", "xmm15");
    for (int i = 0; i < ROUNDS; i++)
        __asm__ volatile(TWELVE(FMA256)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11");
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct probe {
    double seconds, elapsed;
    long bursts;
    int wide;
    atomic_int *waiting;
} probe;

static void *run(void *arg) {
    static const float factor[2] = {1.5e-10f, 0.7e-10f};
    probe *p = arg;
    atomic_fetch_sub(p->waiting, 1);
    while (atomic_load(p->waiting) > 0) {
    }
    double start = now();
    do {
        if (p->wide)
            burn_512(factor);
        else
            burn_256(factor);
        p->bursts++;
        p->elapsed = now() - start;
    } while (p->elapsed < p->seconds);
    return NULL;
}

double fma_probe(int threads, double seconds) {
    enum { MOST = 256 };

    pthread_t id[MOST];
    probe p[MOST];
    double rate = 0;
    int wide = __builtin_cpu_supports("avx512f");
    if ((!wide && !__builtin_cpu_supports("avx2")) || threads < 1 || threads > MOST)
        return 0;
    atomic_int waiting = threads;
    for (int i = 0; i < threads; i++) {
        p[i] = (probe){seconds, 0, 0, wide, &waiting};
        if (pthread_create(&id[i], NULL, run, &p[i]) != 0)
            return 0;
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(id[i], NULL);
        rate += (double)p[i].bursts * ROUNDS * ACCUMULATORS * (wide ? 32 : 16) / p[i].elapsed;
    }
    return rate * 1e-9;
}

#else

double fma_probe(int threads, double seconds) {
    (void)threads;
    (void)seconds;
    return 0;
}

#endif
