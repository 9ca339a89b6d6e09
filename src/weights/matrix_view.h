/* A linear layer's weights in whatever form a file has them: plain, MLX's affine groups, or int8
 * with a scale a row (docs/formats.md). */
#ifndef WILOR_MATRIX_VIEW_H
#define WILOR_MATRIX_VIEW_H

#include "tensor_index.h"

typedef enum wilor_matrix_form {
    WILOR_MATRIX_PLAIN,  /* .weight (out, in), any type with arithmetic */
    WILOR_MATRIX_GROUPS, /* .weight U32 (out, in · bits / 32), .scales and .biases (out, in /
                            group): w = scale · q + bias, q packed from the low bits up */
    WILOR_MATRIX_ROWS    /* .weight I8 (out, in), .scales (out): w = scale · q */
} wilor_matrix_form;

typedef struct wilor_matrix_view {
    wilor_matrix_form form;
    int64_t outputs, inputs;
    int bits;      /* GROUPS: 4 or 8. ROWS: 8. PLAIN: 0 */
    int64_t group; /* GROUPS: numbers that share a scale, a multiple of 8. Else 0 */
    const wilor_tensor *weight, *scales, *biases; /* NULL where the form has none */
} wilor_matrix_view;

/* Inputs of the layer `name` ("backbone.blocks.0.attn.qkv", without .weight) as other tensors of
 * the file tell: the width for most, fc1's outputs for fc2. 0: they do not tell. Canonical
 * names. */
int64_t wilor_matrix_inputs(const wilor_index *index, const char *name);

/* The layer's weights; rank 2 only. `inputs` as above: with 0, groups are taken to have 4 bits.
 * Errors: ERR_MODEL for a missing tensor, for shapes that fit no whole number of bits or group,
 * or each other; ERR_UNSUPPORTED for bits other than 4 and 8. */
wilor_status wilor_matrix_find(wilor_matrix_view *out, const wilor_index *index,
                               const char *name, int64_t inputs, wilor_error *err);

/* Rows first … first + rows - 1 as floats; groups as scale · q rounded, + bias rounded, as MLX's
 * CPU code does. */
wilor_status wilor_matrix_rows_to_f32(const wilor_matrix_view *m, int64_t first, int64_t rows,
                                      float *dst, wilor_error *err);

/* The same rows as they are stored, of GROUPS and ROWS: q (rows × inputs bytes; of ROWS they are
 * signed), scales and biases (rows × groups; of ROWS one scale a row and no biases). */
wilor_status wilor_matrix_rows_stored(const wilor_matrix_view *m, int64_t first, int64_t rows,
                                      uint8_t *q, float *scales, float *biases,
                                      wilor_error *err);

#endif
