/* float to the 16-bit types, to nearest, ties to even. */
#ifndef WILOR_ROUND16_H
#define WILOR_ROUND16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bits of the nearest half float: beyond 65520 infinity, below 2^-24 down to zero through the
 * subnormals; a NaN stays one (quiet, its upper payload kept). */
uint16_t wilor_f16_of_f32(float x);
/* Whether x is a half float's finite value, so that rounding to half floats loses nothing. */
bool wilor_f16_holds(float x);
/* Both for n of them, quicker: whether all hold; and their bits where all do. */
bool wilor_f16_holds_all(const float *x, size_t n);
void wilor_f16_of_exact(const float *x, size_t n, uint16_t *out);
/* The same rounding for bfloat16. */
uint16_t wilor_bf16_of_f32(float x);

#endif
