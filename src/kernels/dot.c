/* Which tables of dot.h run here, made once. The float32 one stands on the kernel table's GEMM, so that
 * every tier has it. */
#include "dot.h"

#include "cpu.h"

#include <pthread.h>
#include <stddef.h>

enum { MOST_TABLES = 24 };

static wilor_dot g_dots[MOST_TABLES];
static int g_count;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

const char *wilor_arith_name(wilor_arith arith) {
    static const char *const names[WILOR_ARITH_COUNT] = {"f32", "f32x", "bf16", "int8"};
    return names[arith];
}

/* ---------------------------------------------------------------- float32 */

/* Panels as kernels.h has them. */
static size_t f32_a_bytes(const wilor_dot *d, size_t k) {
    return (k * (size_t)d->mr * sizeof(float) + 63) / 64 * 64;
}

static size_t f32_b_bytes(const wilor_dot *d, size_t k) {
    return (k * (size_t)d->nr * sizeof(float) + 63) / 64 * 64;
}

static void f32_pack_b(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                       size_t k, void *panel) {
    float *to = panel;
    if (ldk == 1) {
        d->kernels->pack_f32(w, ldc, cols, d->nr, k, to);
        return;
    }
    for (size_t i = 0; i < k; i++, to += d->nr)
        for (int c = 0; c < d->nr; c++)
            to[c] = c < cols ? w[(size_t)c * ldc + i * ldk] : 0;
}

static void f32_put_a(const wilor_dot *d, const float *src, size_t ld, const float *top,
                      int row, int rows, size_t col, size_t cols, size_t k, void *panel) {
    (void)top;
    (void)row;
    (void)k;
    d->kernels->pack_f32(src, ld, rows, d->mr, cols, (float *)panel + col * (size_t)d->mr);
}

/* The kernels only write: what is to be added goes by way of a second tile. */
static void f32_gemm(const wilor_dot *d, const wilor_dot_call *c) {
    _Alignas(64) float sums[WILOR_MAX_MR * WILOR_MAX_NR];
    float *tile = c->add ? sums : c->tile;
    d->kernels->gemm_f32(c->a, c->b, c->k, tile, (const float *)(const void *)c->next);
    for (int i = 0; c->add && i < d->mr * d->nr; i++)
        c->tile[i] += sums[i];
}

int wilor_dot_fill_f32(wilor_dot *out, const wilor_kernels *kernels) {
    out[0] = (wilor_dot){.name = "f32",
                         .arith = WILOR_ARITH_F32,
                         .kernels = kernels,
                         .mr = kernels->mr,
                         .nr = kernels->nr,
                         .row_step = kernels->mr,
                         .chunk = (36 + kernels->mr - 1) / kernels->mr,
                         .slices = 1,
                         .a_bytes = f32_a_bytes,
                         .a_numbers = f32_a_bytes,
                         .b_bytes = f32_b_bytes,
                         .b_numbers = f32_b_bytes,
                         .pack_b = f32_pack_b,
                         .put_a = f32_put_a,
                         .gemm = f32_gemm};
    return 1;
}

/* ---------------------------------------------------------------- the list */

static void add(int (*fill)(wilor_dot *, const wilor_kernels *), wilor_isa tier) {
    const wilor_kernels *k = wilor_kernels_get(tier);
    if (k && g_count + 4 <= MOST_TABLES)
        g_count += fill(g_dots + g_count, k);
}

/* Later ones of an arithmetic and tier are better. */
static void build(void) {
    static const wilor_isa tiers[] = {WILOR_ISA_C,   WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                      WILOR_ISA_AMX, WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++)
        add(wilor_dot_fill_f32, tiers[i]);
    add(wilor_dot_fill_c, WILOR_ISA_C);
#if defined(WILOR_X86)
    unsigned have = wilor_cpu_features();
    add(wilor_dot_fill_avx2, WILOR_ISA_AVX2);
    if (have & WILOR_CPU_AVXVNNI)
        add(wilor_dot_fill_avxvnni, WILOR_ISA_AVX2);
    for (wilor_isa tier = WILOR_ISA_AVX512; tier <= WILOR_ISA_AMX; tier++) {
        if (have & WILOR_CPU_AVX512VNNI)
            add(wilor_dot_fill_avx512vnni, tier);
        if (have & WILOR_CPU_AVX512BF16)
            add(wilor_dot_fill_avx512bf16, tier);
    }
    add(wilor_dot_fill_amx, WILOR_ISA_AMX);
#elif defined(WILOR_ARM64)
    add(wilor_dot_fill_neon, WILOR_ISA_NEON);
    add(wilor_dot_fill_neon, WILOR_ISA_ACCELERATE);
#endif
    add(wilor_dot_fill_accelerate, WILOR_ISA_ACCELERATE);
}

const wilor_dot *wilor_dot_at(int i) {
    pthread_once(&g_once, build);
    return i >= 0 && i < g_count ? &g_dots[i] : NULL;
}

const wilor_dot *wilor_dot_get(wilor_arith arith, const wilor_kernels *kernels) {
    const wilor_dot *best = NULL;
    pthread_once(&g_once, build);
    for (int i = 0; i < g_count; i++)
        if (g_dots[i].arith == arith && g_dots[i].kernels == kernels)
            best = &g_dots[i];
    return best;
}
