/* Bursts for AArch64: NEON's fused multiply-add, and the matrix instructions of FEAT_BF16 and FEAT_I8MM where
 * the system says so. Those two stand as encodings (Arm ARM, C7.2: BFMMLA, SMMLA (vector)), because an
 * assembler takes the mnemonics only with -march. 24 independent sums; operands in v24 to v31. */
#include "peak_bursts.h"

#if defined(__aarch64__) && defined(__GNUC__)

#if defined(__linux__)
#include <sys/auxv.h>

static bool hwcap2(int bit) { return getauxval(AT_HWCAP2) >> bit & 1; }

static bool here_bf16(void) { return hwcap2(14); /* HWCAP2_BF16 */ }

static bool here_int8(void) { return hwcap2(13); /* HWCAP2_I8MM */ }
#elif defined(__APPLE__)
#include <sys/sysctl.h>

static bool feature(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value;
}

static bool here_bf16(void) { return feature("hw.optional.arm.FEAT_BF16"); }

static bool here_int8(void) { return feature("hw.optional.arm.FEAT_I8MM"); }
#else
static bool here_bf16(void) { return false; }

static bool here_int8(void) { return false; }
#endif

static bool here_f32(void) { return true; /* part of the base architecture */ }

enum { ROUNDS = 20000 };

/* F(sum, a, b): registers' numbers. */
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
#define ZERO(c, a, b) "movi v" #c ".4s,#0\n\t"
#define STORE(c, a, b) "str q" #c ",[%[out],#16*" #c "]\n\t"
#define LOAD(r, at) "ldr q" #r ",[%[in],#16*" #at "]\n\t"
#define FMLA(c, a, b) "fmla v" #c ".4s,v" #a ".4s,v" #b ".4s\n\t"
/* Vd += Vn · Vmᵀ, 2 × 4 (bf16) or 2 × 8 (int8) by its like. */
#define BFMMLA(c, a, b) ".inst 0x6e40ec00+(" #b "<<16)+(" #a "<<5)+" #c "\n\t"
#define SMMLA(c, a, b) ".inst 0x4e80a400+(" #b "<<16)+(" #a "<<5)+" #c "\n\t"

#define BURST(name, OPERATION)                                                                 \
    static void name(const void *in, void *out) {                                              \
        int n = ROUNDS;                                                                        \
        __asm__ volatile(                                                                      \
            LOAD(24, 0) LOAD(25, 1) LOAD(26, 2) LOAD(27, 3) LOAD(28, 4) LOAD(29, 5)            \
                LOAD(30, 6) LOAD(31, 7) TWENTY_FOUR(ZERO) "1:\n\t" TWENTY_FOUR(                \
                    OPERATION) "subs %w[n],%w[n],#1\n\t"                                       \
                               "b.ne 1b\n\t" TWENTY_FOUR(STORE)                                \
            : [n] "+r"(n)                                                                      \
            : [in] "r"(in), [out] "r"(out)                                                     \
            : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9",      \
              "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",     \
              "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");    \
    }

BURST(run_f32, FMLA)
BURST(run_bf16, BFMMLA)
BURST(run_int8, SMMLA)

#define VECTORS(products) .operations = 2.0 * ROUNDS * 24 * (products), .sums = 384

static const wilor_burst g_bursts[] = {
    {{"f32-neon", "f32", "fmla 4s", "GFLOP/s"}, here_f32, run_f32, VECTORS(4), WILOR_BURST_F32},
    {{"bf16-neon", "bf16", "bfmmla", "GFLOP/s"},
     here_bf16,
     run_bf16,
     VECTORS(16),
     WILOR_BURST_BF16},
    {{"int8-neon", "int8", "smmla", "GOP/s"},
     here_int8,
     run_int8,
     VECTORS(32),
     WILOR_BURST_INT8},
};

const wilor_burst *wilor_burst_list(int *count) {
    *count = sizeof g_bursts / sizeof g_bursts[0];
    return g_bursts;
}

#else
typedef int wilor_peak_arm_is_empty; /* ISO C wants something in every file */
#endif
