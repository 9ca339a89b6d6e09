/* What this processor and this process may use. */
#ifndef WILOR_CPU_H
#define WILOR_CPU_H

#include "wilor/wilor.h"

/* The best tier of the processor that the operating system also saves (XCR0 is asked before
 * CPUID's feature bits are believed). Not capped by the environment. */
wilor_isa wilor_cpu_isa(void);

/* Instructions beyond the tiers, as far as the operating system saves their registers. */
enum {
    WILOR_CPU_AVXVNNI = 1,
    WILOR_CPU_AVX512VNNI = 2,
    WILOR_CPU_AVX512BF16 = 4,
    WILOR_CPU_ARM_BF16 = 8,
    WILOR_CPU_ARM_I8MM = 16,
    WILOR_CPU_ARM_DOTPROD = 32,
    /* AVX512-BF16 at twice the rate of float32 (AMD); Intel's takes longer than float32. */
    WILOR_CPU_QUICK_BF16 = 64
};

unsigned wilor_cpu_features(void);

/* Physical cores that the affinity mask and the cgroup's quota leave, at least 1. */
int wilor_cpu_cores(void);

#endif
