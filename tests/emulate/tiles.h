/* Intel's matrix unit (AMX: tiles of 8 registers of 16 rows of 64 bytes, palette 1) in plain C, for
 * immintrin.h beside this. Registers are a thread's own. What the processor refuses with a fault, a
 * configuration that cannot be or tiles that do not fit each other, aborts. */
#ifndef WILOR_EMULATE_TILES_H
#define WILOR_EMULATE_TILES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

void wilor_emulated_tile_config(const void *config);
void wilor_emulated_tile_release(void);
void wilor_emulated_tile_load(int t, const void *base, size_t stride);
void wilor_emulated_tile_store(int t, void *base, size_t stride);
void wilor_emulated_tile_zero(int t);
/* sum += a · b. bfloat16: even and odd numbers of k are added up apart, then together, then onto the
 * sum, each time to the nearest, denormals being zeros everywhere. */
void wilor_emulated_tile_bf16(int sum, int a, int b);
void wilor_emulated_tile_int8(int sum, int a, int b, int a_signed, int b_signed);

static inline float wilor_emulated_flush(float x) {
    uint32_t bits, some;
    memcpy(&bits, &x, sizeof bits);
    some = (bits & 0x7F800000u) != 0;
    bits &= 0x80000000u | (0u - some);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float wilor_emulated_wide(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wilor_emulated_flush(wide);
}

static inline float wilor_emulated_fma(float a, float b, float c) {
    return wilor_emulated_flush(fmaf(a, b, wilor_emulated_flush(c)));
}

#endif
