/* Threads, clock and operands around the bursts, and the probe that reads memory: plain loads over buffers
 * that together are four times the last-level cache, one per thread, first touched by it. */
#include "peak_probe.h"

#include "machine_facts.h"
#include "peak_bursts.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif

enum { PIECE = 1 << 20 }; /* of memory, between two looks at the clock */

typedef struct crowd {
    atomic_int missing;
    atomic_bool abandoned;
    double seconds;
    const wilor_burst *burst; /* NULL: reading memory */
    size_t bytes;             /* of a thread's buffer */
} crowd;

typedef struct worker {
    alignas(64) unsigned char in[WILOR_BURST_IN];
    alignas(64) unsigned char out[WILOR_BURST_OUT];
    pthread_t id;
    crowd *all;
    uint64_t *memory;
    size_t at;    /* in memory, bytes */
    uint64_t sum; /* of what was read */
    int cpu;      /* where it should run; -1: anywhere */
    uint32_t seed;
    double rate; /* 0: it could not */
} worker;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* 0.5 to 1.5 of either sign; bf16: its upper half. */
static uint32_t float_bits(uint32_t *state) {
    float value = 0.5f + (float)next(state) * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits | (next(state) & 1) << 31;
}

static void fill(unsigned char *in, wilor_burst_operands kind, uint32_t seed) {
    uint32_t state = seed;
    for (int i = 0; i < WILOR_BURST_IN / 4; i++) {
        uint32_t word = 0;
        if (kind == WILOR_BURST_F32)
            word = float_bits(&state);
        else if (kind == WILOR_BURST_BF16)
            word = (float_bits(&state) & 0xFFFF0000u) | float_bits(&state) >> 16;
        else
            for (int k = 0; k < 4; k++) {
                uint32_t byte = next(&state) >> 4 & 255;
                word = word << 8 | (kind == WILOR_BURST_INT7 ? (byte % 127 + 193) & 255 : byte);
            }
        memcpy(in + 4 * i, &word, sizeof word);
    }
}

/* The sums are what such work gives: numbers, and not all zero. */
static bool sound(const worker *w) {
    const wilor_burst *b = w->all->burst;
    bool some = w->sum != 0;
    for (size_t i = 0; b && i < b->sums; i += 4) {
        float value;
        uint32_t bits;
        memcpy(&value, w->out + i, sizeof value);
        memcpy(&bits, w->out + i, sizeof bits);
        if (b->operands <= WILOR_BURST_BF16 && !isfinite(value))
            return false;
        some |= bits != 0;
    }
    return some;
}

/* Zeroed, from the system; NULL: none. */
static void *take_pages(size_t bytes) {
#if defined(_WIN32)
    return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
#else
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
#endif
}

static void give_pages(void *p, size_t bytes) {
#if defined(_WIN32)
    (void)bytes;
    VirtualFree(p, 0, MEM_RELEASE);
#else
    munmap(p, bytes);
#endif
}

static bool prepare(worker *w) {
    if (w->all->burst) {
        fill(w->in, w->all->burst->operands, w->seed);
        return true;
    }
    w->memory = take_pages(w->all->bytes);
    if (!w->memory)
        return false;
    for (size_t i = 0; i < w->all->bytes / 8; i++)
        w->memory[i] = i * 0x9E3779B97F4A7C15u + w->seed;
    return true;
}

/* The next piece of the buffer; it is read round and round. */
static void read_piece(worker *w) {
    const uint64_t *p = w->memory + w->at / 8;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < PIECE / 8; i += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += p[i + (size_t)k];
    for (int k = 0; k < 8; k++)
        w->sum += sum[k];
    w->at = (w->at + PIECE) % w->all->bytes;
}

/* Work for about so many seconds; done per second, 10⁹. */
static double work(worker *w, double seconds) {
    const wilor_burst *b = w->all->burst;
    double start = now(), elapsed, times = 0;
    do {
        if (b)
            b->run(w->in, w->out);
        else
            read_piece(w);
        times++;
        elapsed = now() - start;
    } while (elapsed < seconds);
    return times * (b ? b->operations : PIECE) / elapsed * 1e-9;
}

static void stay(int cpu) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0 && cpu < CPU_SETSIZE) {
        CPU_SET(cpu, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
#else
    (void)cpu;
#endif
}

static void *run(void *arg) {
    worker *w = arg;
    crowd *all = w->all;
    stay(w->cpu);
    bool ready = prepare(w);
    atomic_fetch_sub(&all->missing, 1);
    while (atomic_load(&all->missing) > 0 && !atomic_load(&all->abandoned))
        sched_yield();
    if (ready && !atomic_load(&all->abandoned)) {
        work(w, all->seconds / 5);
        w->rate = work(w, all->seconds);
        if (!sound(w))
            w->rate = 0;
    }
    if (w->memory)
        give_pages(w->memory, all->bytes);
    return NULL;
}

static bool gather(crowd *all, worker *workers, int threads, wilor_probe_rate *out) {
    int cpus[WILOR_PROBE_MOST_THREADS], started = 0;
    bool fits = wilor_machine_cores(cpus, WILOR_PROBE_MOST_THREADS) >= threads;
    for (; started < threads; started++) {
        worker *w = &workers[started];
        w->all = all;
        w->cpu = fits ? cpus[started] : -1;
        w->seed = 12345u + 7919u * (uint32_t)started;
        if (pthread_create(&w->id, NULL, run, w) != 0)
            break;
    }
    if (started < threads)
        atomic_store(&all->abandoned, true);
    bool good = started == threads;
    for (int i = 0; i < started; i++) {
        worker *w = &workers[i];
        pthread_join(w->id, NULL);
        good &= w->rate > 0;
        out->rate += w->rate;
        out->slowest = i == 0 || w->rate < out->slowest ? w->rate : out->slowest;
        out->fastest = w->rate > out->fastest ? w->rate : out->fastest;
    }
    return good;
}

/* A thread's share of four last-level caches, at least 512 MB, but of at most a quarter of what is free. */
static size_t buffer_bytes(int threads) {
    double cache = wilor_machine_cache_bytes(), free_bytes = wilor_machine_free_bytes();
    double bytes = 4 * cache > 512e6 ? 4 * cache : 512e6;
    if (free_bytes > 0 && bytes > free_bytes / 4)
        bytes = free_bytes / 4;
    size_t pieces = (size_t)(bytes / threads / PIECE);
    return (pieces > 0 ? pieces : 1) * PIECE;
}

/* ---------------------------------------------------------------- the list */

int wilor_probe_count(void) {
    int count;
    wilor_burst_list(&count);
    return count + 1;
}

const wilor_probe *wilor_probe_at(int index) {
    static const wilor_probe memory = {"memory", "memory", "loads", "GB/s"};
    int count;
    const wilor_burst *bursts = wilor_burst_list(&count);
    if (index < 0 || index > count)
        return NULL;
    return index < count ? &bursts[index].probe : &memory;
}

bool wilor_probe_here(int index) {
    int count;
    const wilor_burst *bursts = wilor_burst_list(&count);
    return index == count || (index >= 0 && index < count && bursts[index].here());
}

static int best(const char *dtype) {
    int found = -1;
    for (int i = 0; i < wilor_probe_count(); i++)
        if (strcmp(wilor_probe_at(i)->dtype, dtype) == 0 && wilor_probe_here(i))
            found = i;
    return found;
}

int wilor_probe_for(const char *dtype) {
    static const char *const arithmetic[][2] = {
        {"f32", "f32"}, {"f32x", "f32"}, {"bf16", "bf16"}, {"int8", "int8"}, {"int4", "bf16"}};
    int found = -1;
    for (int i = 0; i < 5; i++)
        if (strcmp(dtype, arithmetic[i][0]) == 0)
            found = best(arithmetic[i][1]);
    /* 4 bits, and 16 in files, are multiplied as float32 where there is no bfloat16. */
    bool wide = strcmp(dtype, "bf16") == 0 || strcmp(dtype, "int4") == 0;
    return found < 0 && wide ? best("f32") : found;
}

int wilor_probe_for_kernel(const char *kernel, const char *tier) {
    char name[128], arithmetic[32];
    size_t word = strcspn(kernel, " "), longest = 0;
    int found = -1;
    if (word >= sizeof arithmetic || strlen(kernel) + strlen(tier) > 64)
        return -1;
    memcpy(arithmetic, kernel, word);
    arithmetic[word] = 0;
    const char *rest = kernel[word] ? kernel + word + 1 : tier;
    if (strcmp(rest, "amx") == 0 && strcmp(arithmetic, "f32") == 0)
        rest = "avx512"; /* what the matrix unit's tier has for float32 */
    snprintf(name, sizeof name, "%s-%s", arithmetic, rest);
    for (int i = 0; i < wilor_probe_count(); i++) {
        const char *probe = wilor_probe_at(i)->name;
        size_t length = strlen(probe);
        if (length > longest && wilor_probe_here(i) && strncmp(name, probe, length) == 0) {
            longest = length;
            found = i;
        }
    }
    return found >= 0 ? found : wilor_probe_for(arithmetic);
}

wilor_probe_status wilor_probe_run(int index, int threads, double seconds,
                                   wilor_probe_rate *out) {
    int count;
    const wilor_burst *bursts = wilor_burst_list(&count);
    *out = (wilor_probe_rate){0};
    if (!wilor_probe_here(index))
        return WILOR_PROBE_ABSENT;
    if (threads < 1 || threads > WILOR_PROBE_MOST_THREADS)
        return WILOR_PROBE_FAILED;
    size_t bytes = (size_t)threads * sizeof(worker);
    worker *workers = take_pages(bytes);
    if (!workers)
        return WILOR_PROBE_FAILED;
    crowd all = {.seconds = seconds,
                 .burst = index < count ? &bursts[index] : NULL,
                 .bytes = buffer_bytes(threads)};
    atomic_init(&all.missing, threads);
    bool good = gather(&all, workers, threads, out);
    give_pages(workers, bytes);
    if (!good)
        *out = (wilor_probe_rate){0};
    return good ? WILOR_PROBE_DONE : WILOR_PROBE_FAILED;
}
