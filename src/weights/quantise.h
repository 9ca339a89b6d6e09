/* Floats as small integers with scales: how the numbers of quantised files are made.
 *
 * Affine groups, as MLX has them: of each `group` neighbours in a row, w = scale · q + bias with
 * q of 4 or 8 bits, packed from the low bits of 32-bit words up.
 * Rows: one scale a row, w = scale · q with q in -127 … 127. */
#ifndef WILOR_QUANTISE_H
#define WILOR_QUANTISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum wilor_scale_type { WILOR_SCALES_F32, WILOR_SCALES_F16 } wilor_scale_type;

/* One row of n numbers, a multiple of group; group is a multiple of 8, bits 4 or 8.
 *   packed          n · bits / 32 words
 *   scales, biases  n / group; with WILOR_SCALES_F16 they hold values of half floats exactly,
 *                   and q is the best for those
 * False: a number is not finite, or a group spans more than the type of its scale holds.
 *
 * With WILOR_SCALES_F32 all three are those of mx.quantize (MLX 0.32.4, CPU), bit for bit. */
bool wilor_quantise_affine(const float *w, size_t n, size_t group, int bits,
                           wilor_scale_type type, uint32_t *packed, float *scales,
                           float *biases);

/* One row: q, and the scale (largest magnitude / 127; 0 for a row of zeros). False: a number is
 * not finite. */
bool wilor_quantise_row(const float *w, size_t n, int8_t *q, float *scale);

#endif
