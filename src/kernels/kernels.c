/* Builds the table of every tier that this build has, once, each on top of the one below. */
#include "kernels.h"
#include "accelerate.h"
#include "cpu.h"

#include <pthread.h>
#include <stddef.h>

enum { TIERS = 6 };

static wilor_kernels g_tables[TIERS];
static int g_count;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

static void add(void (*fill)(wilor_kernels *)) {
    if (g_count > 0)
        g_tables[g_count] = g_tables[g_count - 1];
    fill(&g_tables[g_count++]);
}

#if defined(WILOR_X86)
/* The matrix unit is a matter of dot.h; all else is AVX-512's. */
static void fill_amx(wilor_kernels *t) { t->isa = WILOR_ISA_AMX; }
#endif

/* Whose matrix product is a matter of dot.h; all else is the processor's best. */
static void fill_accelerate(wilor_kernels *t) { t->isa = WILOR_ISA_ACCELERATE; }

static void build(void) {
    wilor_isa have = wilor_cpu_isa();
    (void)have;
    add(wilor_kernels_fill_c);
#if defined(WILOR_X86)
    if (have >= WILOR_ISA_AVX2)
        add(wilor_kernels_fill_avx2);
    if (have >= WILOR_ISA_AVX512)
        add(wilor_kernels_fill_avx512);
    if (have >= WILOR_ISA_AMX)
        add(fill_amx);
#elif defined(WILOR_ARM64)
    add(wilor_kernels_fill_neon);
#endif
    if (wilor_accelerate_sgemm())
        add(fill_accelerate);
}

const wilor_kernels *wilor_kernels_get(wilor_isa isa) {
    pthread_once(&g_once, build);
    if (isa == WILOR_ISA_AUTO)
        isa = wilor_isa_best();
    for (int i = 0; i < g_count; i++)
        if (g_tables[i].isa == isa)
            return &g_tables[i];
    return NULL;
}

const wilor_kernels *wilor_kernels_best(wilor_isa max_isa) {
    wilor_isa most = wilor_isa_best();
    if (max_isa != WILOR_ISA_AUTO && max_isa < most)
        most = max_isa;
    pthread_once(&g_once, build);
    const wilor_kernels *best = &g_tables[0];
    for (int i = 1; i < g_count; i++)
        if (g_tables[i].isa <= most)
            best = &g_tables[i];
    return best;
}
