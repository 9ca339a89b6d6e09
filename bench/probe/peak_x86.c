/* Bursts for x86-64. Each is one asm statement, loop included, so that no compiler comes between: operands
 * and sums stay in registers, the sums are independent and numerous enough for any latency so far
 * (8 needed of 12, 4 of 5 for plain additions; tiles: 52 cycles of latency, 4 × 16 of work).
 *
 * What is allowed is CPUID and XCR0 (Intel SDM vol. 1, 13.3 and 14.3; vol. 2, CPUID leaf 7), for tiles also
 * the permission of Linux (Documentation/arch/x86/xstate.rst). The assembler takes all of it without flags;
 * target attributes are for the clobbered registers' names. */
#include "peak_bursts.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* ---------------------------------------------------------------- what there is */

typedef struct features {
    unsigned leaf1_c, leaf7_b, leaf7_c, leaf7_d, leaf71_a;
    unsigned long long saved;
} features;

static features look(void) {
    features f = {0};
    unsigned a, b, c, d, most = 0;
    if (!__get_cpuid(1, &a, &b, &f.leaf1_c, &d) || !(f.leaf1_c & bit_OSXSAVE))
        return (features){0};
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    f.saved = (unsigned long long)high << 32 | low;
    if (__get_cpuid_count(7, 0, &most, &f.leaf7_b, &f.leaf7_c, &f.leaf7_d) && most >= 1)
        __get_cpuid_count(7, 1, &f.leaf71_a, &b, &c, &d);
    return f;
}

static bool saves(const features *f, unsigned long long parts) {
    return (f->saved & parts) == parts;
}

static bool has(unsigned word, int bit) { return word >> bit & 1; }

static bool has_avx2(const features *f) {
    return saves(f, 0x6) && (f->leaf1_c & bit_AVX) && has(f->leaf7_b, 5);
}

static bool has_avx512(const features *f) {
    return saves(f, 0xE6) && has_avx2(f) && has(f->leaf7_b, 16);
}

/* Tiles: asked for once a process, before there are threads. */
static bool has_tiles(const features *f) {
    if (!saves(f, 0x60000) || !has(f->leaf7_d, 24))
        return false;
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false; /* nobody to ask */
#endif
}

static bool here_int8_avx2(void) {
    features f = look();
    return has_avx2(&f);
}

static bool here_f32_avx2(void) {
    features f = look();
    return has_avx2(&f) && (f.leaf1_c & bit_FMA);
}

static bool here_f32_avx512(void) {
    features f = look();
    return has_avx512(&f);
}

static bool here_int8_avxvnni(void) {
    features f = look();
    return has_avx2(&f) && has(f.leaf71_a, 4);
}

static bool here_int8_avx512vnni(void) {
    features f = look();
    return has_avx512(&f) && has(f.leaf7_c, 11);
}

static bool here_bf16_avx512(void) {
    features f = look();
    return has_avx512(&f) && has(f.leaf71_a, 5);
}

static bool here_bf16_amx(void) {
    features f = look();
    return has(f.leaf7_d, 22) && has_tiles(&f);
}

static bool here_int8_amx(void) {
    features f = look();
    return has(f.leaf7_d, 25) && has_tiles(&f);
}

/* ---------------------------------------------------------------- 256 bits */

enum { ROUNDS = 20000, TILE_ROUNDS = 2000 };

/* F(sum, a, b): registers' numbers. */
#define TWELVE(F)                                                                              \
    F(0, 12, 14)                                                                               \
    F(1, 13, 15)                                                                               \
    F(2, 12, 15)                                                                               \
    F(3, 13, 14)                                                                               \
    F(4, 12, 14)                                                                               \
    F(5, 13, 15) F(6, 12, 15) F(7, 13, 14) F(8, 12, 14) F(9, 13, 15) F(10, 12, 15) F(11, 13, 14)
#define ZERO_Y(c, a, b) "vpxor %%ymm" #c ",%%ymm" #c ",%%ymm" #c "\n\t"
#define STORE_Y(c, a, b) "vmovups %%ymm" #c ",32*" #c "(%[out])\n\t"
#define LOAD_Y(r, at) "vmovups 32*" #at "(%[in]),%%ymm" #r "\n\t"
#define FMA_Y(c, a, b) "vfmadd231ps %%ymm" #a ",%%ymm" #b ",%%ymm" #c "\n\t"
#define DOT_Y(c, a, b) "%{vex%} vpdpbusd %%ymm" #a ",%%ymm" #b ",%%ymm" #c "\n\t"
#define SIXTEEN_REGISTERS                                                                      \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",   \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

#define BURST_256(name, OPERATION)                                                             \
    __attribute__((target("avx2"))) static void name(const void *in, void *out) {              \
        int n = ROUNDS;                                                                        \
        __asm__ volatile(LOAD_Y(12, 0) LOAD_Y(13, 1) LOAD_Y(14, 2) LOAD_Y(15, 3)               \
                             TWELVE(ZERO_Y) "1:\n\t" TWELVE(                                   \
                                 OPERATION) "decl %[n]\n\t"                                    \
                                            "jnz 1b\n\t" TWELVE(STORE_Y) "vzeroupper\n\t"      \
                         : [n] "+r"(n)                                                         \
                         : [in] "r"(in), [out] "r"(out)                                        \
                         : "memory", "cc", SIXTEEN_REGISTERS);                                 \
    }

BURST_256(run_f32_avx2, FMA_Y)
BURST_256(run_int8_avxvnni, DOT_Y)

/* Without dot products: 16-bit pairs, 32-bit pairs, sum. F(sum, product, a, b); ymm10: ones. */
#define FIVE(F) F(0, 5, 11, 13) F(1, 6, 12, 14) F(2, 7, 11, 15) F(3, 8, 12, 13) F(4, 9, 11, 14)
#define ZERO_5(c, t, a, b) ZERO_Y(c, a, b)
#define STORE_5(c, t, a, b) STORE_Y(c, a, b)
#define PAIRS_Y(c, t, a, b)                                                                    \
    "vpmaddubsw %%ymm" #b ",%%ymm" #a ",%%ymm" #t "\n\t"                                       \
    "vpmaddwd %%ymm10,%%ymm" #t ",%%ymm" #t "\n\t"                                             \
    "vpaddd %%ymm" #t ",%%ymm" #c ",%%ymm" #c "\n\t"

__attribute__((target("avx2"))) static void run_int8_avx2(const void *in, void *out) {
    int n = ROUNDS;
    __asm__ volatile("vpcmpeqw %%ymm10,%%ymm10,%%ymm10\n\t"
                     "vpsrlw $15,%%ymm10,%%ymm10\n\t" //
                     LOAD_Y(11, 0) LOAD_Y(12, 1) LOAD_Y(13, 2) LOAD_Y(14, 3) LOAD_Y(15, 4)
                         FIVE(ZERO_5) "1:\n\t" FIVE(PAIRS_Y) FIVE(PAIRS_Y) "decl %[n]\n\t"
                                                                           "jnz 1b\n\t" //
                     FIVE(STORE_5) "vzeroupper\n\t"
                     : [n] "+r"(n)
                     : [in] "r"(in), [out] "r"(out)
                     : "memory", "cc", SIXTEEN_REGISTERS);
}

/* ---------------------------------------------------------------- 512 bits */

#define TWENTY_FOUR(F)                                                                         \
    F(0, 24, 28)                                                                               \
    F(1, 25, 29)                                                                               \
    F(2, 26, 30)                                                                               \
    F(3, 27, 31)                                                                               \
    F(4, 24, 29)                                                                               \
    F(5, 25, 30)                                                                               \
    F(6, 26, 31)                                                                               \
    F(7, 27, 28)                                                                               \
    F(8, 24, 30)                                                                               \
    F(9, 25, 31)                                                                               \
    F(10, 26, 28)                                                                              \
    F(11, 27, 29)                                                                              \
    F(12, 24, 31)                                                                              \
    F(13, 25, 28)                                                                              \
    F(14, 26, 29)                                                                              \
    F(15, 27, 30)                                                                              \
    F(16, 24, 28)                                                                              \
    F(17, 25, 29)                                                                              \
    F(18, 26, 30) F(19, 27, 31) F(20, 24, 29) F(21, 25, 30) F(22, 26, 31) F(23, 27, 28)
#define ZERO_Z(c, a, b) "vpxord %%zmm" #c ",%%zmm" #c ",%%zmm" #c "\n\t"
#define STORE_Z(c, a, b) "vmovups %%zmm" #c ",64*" #c "(%[out])\n\t"
#define LOAD_Z(r, at) "vmovups 64*" #at "(%[in]),%%zmm" #r "\n\t"
#define FMA_Z(c, a, b) "vfmadd231ps %%zmm" #a ",%%zmm" #b ",%%zmm" #c "\n\t"
#define DOT_Z(c, a, b) "vpdpbusd %%zmm" #a ",%%zmm" #b ",%%zmm" #c "\n\t"
#define DOT_BF16_Z(c, a, b) "vdpbf16ps %%zmm" #a ",%%zmm" #b ",%%zmm" #c "\n\t"

#define BURST_512(name, OPERATION)                                                             \
    __attribute__((target("avx512f"))) static void name(const void *in, void *out) {           \
        int n = ROUNDS;                                                                        \
        __asm__ volatile(LOAD_Z(24, 0) LOAD_Z(25, 1) LOAD_Z(26, 2) LOAD_Z(27, 3) LOAD_Z(       \
                             28, 4) LOAD_Z(29, 5) LOAD_Z(30, 6) LOAD_Z(31, 7)                  \
                             TWENTY_FOUR(ZERO_Z) "1:\n\t" TWENTY_FOUR(                         \
                                 OPERATION) "decl %[n]\n\t"                                    \
                                            "jnz 1b\n\t" TWENTY_FOUR(STORE_Z) "vzeroupper\n\t" \
                         : [n] "+r"(n)                                                         \
                         : [in] "r"(in), [out] "r"(out)                                        \
                         : "memory", "cc", SIXTEEN_REGISTERS, "xmm16", "xmm17", "xmm18",       \
                           "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",      \
                           "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");              \
    }

BURST_512(run_f32_avx512, FMA_Z)
BURST_512(run_int8_avx512vnni, DOT_Z)
BURST_512(run_bf16_avx512, DOT_BF16_Z)

/* ---------------------------------------------------------------- tiles */

/* Palette 1: eight tiles of 16 rows × 64 bytes. */
static const struct tile_config {
    unsigned char palette, start_row, zero[14];
    unsigned short row_bytes[16];
    unsigned char rows[16];
} g_tiles = {.palette = 1,
             .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
             .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

_Static_assert(sizeof g_tiles == 64, "LDTILECFG reads 64 bytes");

/* 2 × 2 sums (tiles 0 to 3), two left operands (4, 5), two right ones (6, 7). Compilers use no tiles, so
 * none need be named as clobbered. */
#define LOAD_T(r, at) "tileloadd " #at "(%[in],%[stride],1),%%tmm" #r "\n\t"
#define STORE_T(r, at) "tilestored %%tmm" #r "," #at "(%[out],%[stride],1)\n\t"
#define FOUR_TILES(op)                                                                         \
    op " %%tmm6,%%tmm4,%%tmm0\n\t" op " %%tmm7,%%tmm4,%%tmm1\n\t" op                           \
       " %%tmm6,%%tmm5,%%tmm2\n\t" op " %%tmm7,%%tmm5,%%tmm3\n\t"

#define BURST_TILES(name, op)                                                                  \
    static void name(const void *in, void *out) {                                              \
        int n = TILE_ROUNDS;                                                                   \
        __asm__ volatile(                                                                      \
            "ldtilecfg %[config]\n\t"                                                          \
            "tilezero %%tmm0\n\t"                                                              \
            "tilezero %%tmm1\n\t"                                                              \
            "tilezero %%tmm2\n\t"                                                              \
            "tilezero %%tmm3\n\t" LOAD_T(4, 0) LOAD_T(5, 1024) LOAD_T(6, 2048)                 \
                LOAD_T(7, 3072) "1:\n\t" FOUR_TILES(op) FOUR_TILES(op) FOUR_TILES(op)          \
                    FOUR_TILES(op) "decl %[n]\n\t"                                             \
                                   "jnz 1b\n\t" STORE_T(0, 0) STORE_T(1, 1024)                 \
                                       STORE_T(2, 2048) STORE_T(3, 3072) "tilerelease\n\t"     \
            : [n] "+r"(n)                                                                      \
            : [in] "r"(in), [out] "r"(out), [stride] "r"((size_t)64), [config] "m"(g_tiles)    \
            : "memory", "cc");                                                                 \
    }

BURST_TILES(run_bf16_amx, "tdpbf16ps")
BURST_TILES(run_int8_amx, "tdpbssd")

/* ---------------------------------------------------------------- the list */

#define VECTORS(count, bytes, products)                                                        \
    .operations = 2.0 * ROUNDS * (count) * (products), .sums = (bytes)
#define TILES(products) .operations = 2.0 * TILE_ROUNDS * 16 * (products), .sums = 4096

static const wilor_burst g_bursts[] = {
    {{"f32-avx2", "f32", "vfmadd231ps ymm", "GFLOP/s"},
     here_f32_avx2,
     run_f32_avx2,
     VECTORS(12, 384, 8),
     WILOR_BURST_F32},
    {{"f32-avx512", "f32", "vfmadd231ps zmm", "GFLOP/s"},
     here_f32_avx512,
     run_f32_avx512,
     VECTORS(24, 1536, 16),
     WILOR_BURST_F32},
    {{"bf16-avx512", "bf16", "vdpbf16ps zmm", "GFLOP/s"},
     here_bf16_avx512,
     run_bf16_avx512,
     VECTORS(24, 1536, 32),
     WILOR_BURST_BF16},
    {{"bf16-amx", "bf16", "tdpbf16ps", "GFLOP/s"},
     here_bf16_amx,
     run_bf16_amx,
     TILES(16 * 16 * 32),
     WILOR_BURST_BF16},
    {{"int8-avx2", "int8", "vpmaddubsw+vpmaddwd+vpaddd ymm", "GOP/s"},
     here_int8_avx2,
     run_int8_avx2,
     VECTORS(10, 160, 32),
     WILOR_BURST_INT7},
    {{"int8-avxvnni", "int8", "vpdpbusd ymm", "GOP/s"},
     here_int8_avxvnni,
     run_int8_avxvnni,
     VECTORS(12, 384, 32),
     WILOR_BURST_INT8},
    {{"int8-avx512vnni", "int8", "vpdpbusd zmm", "GOP/s"},
     here_int8_avx512vnni,
     run_int8_avx512vnni,
     VECTORS(24, 1536, 64),
     WILOR_BURST_INT8},
    {{"int8-amx", "int8", "tdpbssd", "GOP/s"},
     here_int8_amx,
     run_int8_amx,
     TILES(16 * 16 * 64),
     WILOR_BURST_INT8},
};

const wilor_burst *wilor_burst_list(int *count) {
    *count = sizeof g_bursts / sizeof g_bursts[0];
    return g_bursts;
}

#elif !defined(__aarch64__)

const wilor_burst *wilor_burst_list(int *count) {
    *count = 0;
    return NULL;
}

#else
typedef int wilor_peak_x86_is_empty; /* ISO C wants something in every file */
#endif
