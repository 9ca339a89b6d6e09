/* Whether many numbers are finite, without a branch for each, so that compilers use vectors. */
#ifndef WILOR_FINITE_H
#define WILOR_FINITE_H

#include <stdint.h>
#include <string.h>

/* Its highest bit is set where x is infinite or a NaN: an exponent of ones becomes that. Values of many numbers
 * are put together by |. */
static inline uint32_t wilor_finite_mark(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7F800000u) + 0x00800000u;
}

#endif
