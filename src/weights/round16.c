/* The 16-bit types from float, by integer arithmetic on the bits, so that neither the rounding
 * mode nor a flush-to-zero setting of the caller's thread can matter.
 *
 * Easy to get wrong: a fraction that rounds up carries into the exponent, which is right (up to
 * infinity); a NaN whose payload lies in the lost bits must not become an infinity. */
#include "round16.h"

#include <string.h>

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* v without its lowest `drop` bits (1 … 31), rounded to nearest even. */
static uint32_t round_off(uint32_t v, int drop) {
    uint32_t half = (uint32_t)1 << (drop - 1), odd = v >> drop & 1;
    return (v + half - 1 + odd) >> drop;
}

uint16_t wilor_f16_of_f32(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x47800000u) /* 65536 and more */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude >= 0x38800000u) /* 2^-14: a normal half; 112 is the exponents' difference */
        return (uint16_t)(sign | round_off(magnitude - (112u << 23), 13));
    /* A multiple of 2^-24: the fraction with its leading one, shifted to that unit. */
    uint32_t exponent = magnitude >> 23;
    if (exponent < 102) /* below half of the unit */
        return (uint16_t)sign;
    return (uint16_t)(sign |
                      round_off((magnitude & 0x7FFFFFu) | 0x800000u, 126 - (int)exponent));
}

bool wilor_f16_holds(float x) {
    uint32_t bits = bits_of(x), magnitude = bits & 0x7FFFFFFFu, exponent = magnitude >> 23;
    if (magnitude >= 0x38800000u)
        return magnitude < 0x47800000u && (bits & 0x1FFFu) == 0;
    /* Subnormal halves, multiples of 2^-24: the fraction's bits below that unit are zero. */
    return magnitude == 0 ||
           (exponent >= 103 && (magnitude & (((uint32_t)1 << (126 - exponent)) - 1)) == 0);
}

bool wilor_f16_holds_all(const float *x, size_t n) {
    enum { RUN = 64 };

    for (size_t k; n > 0; n -= k, x += k) {
        k = n < RUN ? n : RUN;
        /* Normal halves, which nearly all are, without a branch; a run with others one by one. */
        uint32_t odd = 0;
        for (size_t i = 0; i < k; i++) {
            uint32_t magnitude = bits_of(x[i]) & 0x7FFFFFFFu;
            odd |= (magnitude & 0x1FFFu) | ((magnitude - 0x38800000u) & 0x80000000u) |
                   ((0x477FFFFFu - magnitude) & 0x80000000u);
        }
        for (size_t i = 0; odd && i < k; i++)
            if (!wilor_f16_holds(x[i]))
                return false;
    }
    return true;
}

/* Of a subnormal the fraction stands in a sum with 2^-14 where that of a normal one stands by itself. */
static uint16_t half_of_exact(float x) {
    uint32_t bits = bits_of(x), magnitude = bits & 0x7FFFFFFFu;
    float size;
    memcpy(&size, &magnitude, sizeof size);
    uint32_t tiny = 0u - ((magnitude - 0x38800000u) >> 31);
    uint32_t small = (bits_of(size + 0x1p-14f) >> 13) & 0x3FFu;
    uint32_t normal = (magnitude - (112u << 23)) >> 13;
    return (uint16_t)((small & tiny) | (normal & ~tiny) | (bits >> 16 & 0x8000u));
}

enum { EXACT_RUN = 32 };

/* EXACT_RUN of them, mostly without a small one. */
static inline void halves_of_run(const float *x, uint16_t *out) {
    uint32_t tiny = 0;
    for (int i = 0; i < EXACT_RUN; i++)
        tiny |= (bits_of(x[i]) & 0x7FFFFFFFu) - 0x38800000u;
    if (tiny >> 31)
        for (int i = 0; i < EXACT_RUN; i++)
            out[i] = half_of_exact(x[i]);
    else
        for (int i = 0; i < EXACT_RUN; i++) {
            uint32_t bits = bits_of(x[i]);
            out[i] = (uint16_t)(((bits & 0x7FFFFFFFu) - (112u << 23)) >> 13 |
                                (bits >> 16 & 0x8000u));
        }
}

void wilor_f16_of_exact(const float *x, size_t n, uint16_t *out) {
    for (; n >= EXACT_RUN; n -= EXACT_RUN, x += EXACT_RUN, out += EXACT_RUN)
        halves_of_run(x, out);
    for (; n > 0; n--)
        *out++ = half_of_exact(*x++);
}

uint16_t wilor_bf16_of_f32(float x) {
    uint32_t bits = bits_of(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)round_off(bits, 16);
}
