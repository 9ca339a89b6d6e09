/* Further conversions of tensors, beside those of tensor_index.h. */
#ifndef WILOR_TENSOR_CONVERT_H
#define WILOR_TENSOR_CONVERT_H

#include "tensor_index.h"

wilor_status wilor_tensor_to_f64(const wilor_tensor *t, double *dst, wilor_error *err);

/* Values of 16-bit floats by their bits; exact, NaN stays NaN. */
float wilor_f16_to_f32(uint16_t bits);
float wilor_bf16_to_f32(uint16_t bits);

/* The elements as they are, gathered into row-major order: count * element bytes. */
wilor_status wilor_tensor_gather(const wilor_tensor *t, uint8_t *dst, wilor_error *err);
/* Of rows, as wilor_tensor_rows_to_f32 takes them; not of a generator's tensor. */
wilor_status wilor_tensor_rows_gather(const wilor_tensor *t, int64_t first, int64_t rows,
                                      uint8_t *dst, wilor_error *err);
/* Its elements are half floats in this machine's byte order. */
bool wilor_tensor_is_halves(const wilor_tensor *t);

#endif
