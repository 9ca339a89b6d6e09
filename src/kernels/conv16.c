/* Which table of conv16.h a tier has. */
#include "conv16.h"

#include "cpu.h"
#include "dot.h"

#include <pthread.h>

#if defined(WILOR_X86)
static wilor_conv16 g_amx;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

/* Tiles are set up by dot.h's functions: a thread may use both. */
static void build(void) {
    const wilor_kernels *amx = wilor_kernels_get(WILOR_ISA_AMX);
    const wilor_dot *dot = amx ? wilor_dot_get(WILOR_ARITH_BF16, amx) : NULL;
    if (!dot)
        return;
    g_amx = (wilor_conv16){.name = "bf16 amx",
                           .quick = true,
                           .group = 2,
                           .begin = dot->begin,
                           .end = dot->end,
                           .multiply = wilor_conv16_multiply_amx,
                           .finish = wilor_conv16_finish_amx};
}
#endif

const wilor_conv16 *wilor_conv16_get(const wilor_kernels *kernels) {
    /* Accelerate is for float32 matrices; beside it stands what the processor itself has. */
    wilor_isa isa = kernels->isa == WILOR_ISA_ACCELERATE ? wilor_cpu_isa() : kernels->isa;
#if defined(WILOR_X86)
    pthread_once(&g_once, build);
    if (isa == WILOR_ISA_AMX && g_amx.name)
        return &g_amx;
#endif
#if defined(WILOR_ARM64)
    if (isa == WILOR_ISA_NEON && wilor_cpu_features() & WILOR_CPU_ARM_BF16)
        return wilor_conv16_neon();
#endif
    return isa == WILOR_ISA_C ? wilor_conv16_c() : NULL;
}
