/* One index of named tensors, whatever file they came from.
 *
 * A tensor is a strided view: of the file where its bytes lie there as they are, else of memory
 * that the index owns (inflated members, values computed from chumpy objects …). Views
 * are validated when they are made: every element that shape and strides reach lies inside the
 * bytes the view names, so that readers need no further check. */
#ifndef WILOR_TENSOR_INDEX_H
#define WILOR_TENSOR_INDEX_H

#include "file_map.h"
#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WILOR_MAX_RANK = 8 };

typedef enum wilor_tensor_dtype {
    WILOR_F64,
    WILOR_F32,
    WILOR_F16,
    WILOR_BF16,
    WILOR_I64,
    WILOR_I32,
    WILOR_I16,
    WILOR_I8,
    WILOR_U64,
    WILOR_U32,
    WILOR_U16,
    WILOR_U8,
    WILOR_BOOL,
    WILOR_DTYPE_OTHER /* known size, no arithmetic: F8_E4M3, C64 … listed, not read */
} wilor_tensor_dtype;

/* Computes values that are not stored: elements first … first + count - 1 in row-major order.
 * The first member of a larger struct, which knows what to compute. */
typedef struct wilor_generator {
    void (*fill)(const struct wilor_generator *g, size_t first, size_t count, float *dst);
} wilor_generator;

typedef struct wilor_tensor {
    const char *name; /* UTF-8, owned by the index */
    wilor_tensor_dtype dtype;
    const char *dtype_name; /* "F32" …, constant text */
    bool big_endian;        /* bytes of an element are swapped */
    int rank;
    int64_t shape[WILOR_MAX_RANK];
    int64_t stride[WILOR_MAX_RANK]; /* in elements, >= 0 */
    const uint8_t *data;            /* first element; may be unaligned. NULL when count is 0 or
                                                  there is a generator */
    const struct wilor_index *mapped; /* whose mapped file data points into: only the functions
                                         below may read it there. NULL: plain memory */
    size_t element;                   /* bytes of one element */
    size_t span;                      /* bytes from data that the view may touch */
    size_t count;                     /* product of shape */
    const wilor_generator *generator; /* NULL, or the source of a dense F32 tensor's values */
} wilor_tensor;

typedef struct wilor_index wilor_index;

/* ---- open any file of tensors, told by content. All or nothing. */
wilor_status wilor_index_open(wilor_index **out, const char *path, wilor_error *err);
/* The same from memory that stays valid and unchanged (tests, fuzzing); name stands in
 * messages. */
wilor_status wilor_index_open_memory(wilor_index **out, const void *data, size_t size,
                                     const char *name, wilor_error *err);
void wilor_index_close(wilor_index **index); /* NULL is fine */

const char *wilor_index_path(const wilor_index *index);
size_t wilor_index_size(const wilor_index *index); /* bytes of the file; 0: there is none */
int64_t wilor_index_changed_ns(const wilor_index *index); /* of the file; 0: not known */
/* safetensors: where the data begins. Other formats: 0. */
size_t wilor_index_data_offset(const wilor_index *index);
const char *
wilor_index_format(const wilor_index *index); /* "torch zip", "torch legacy", "pickle",
                                                 "safetensors", "npz", "npy" */
/* Text that the file says of itself: safetensors' __metadata__, strings of a checkpoint's top
 * level. NULL when there is none under that key. */
const char *wilor_index_metadata(const wilor_index *index, const char *key);

size_t wilor_index_count(const wilor_index *index);
const wilor_tensor *wilor_index_at(const wilor_index *index,
                                   size_t i); /* in the file's order */
const wilor_tensor *wilor_index_find(const wilor_index *index, const char *name); /* or NULL */

/* ---- modules: what a saved ultralytics network (detector.pt) says beside its tensors. Other
 * files have none. Names are dotted as those of tensors are; "" is the network itself. */
size_t wilor_index_module_count(const wilor_index *index);
const char *wilor_index_module_at(const wilor_index *index, size_t i);        /* a name */
size_t wilor_index_module_find(const wilor_index *index, const char *module); /* or count */
/* "ultralytics.nn.modules.block.C2f"; NULL: no such module. */
const char *wilor_index_class(const wilor_index *index, const char *module);
/* An attribute that decides the arithmetic (f, stride, eps, add, nc … listed in module_list.c;
 * of "" also imgsz, the size of training). Returns how many numbers it is (true is 1), and
 * writes at most `most` of them; 0: something else; -1: there is none, or it is None. */
int wilor_index_attribute(const wilor_index *index, const char *module, const char *key,
                          double *values, int most);
/* Text of an attribute (mode …; of "" also names.0, names.1: the classes), or NULL. */
const char *wilor_index_attribute_text(const wilor_index *index, const char *module,
                                       const char *key);

/* ---- names: what the file is, and its tensors under the checkpoint's names (model.md).
 * CHECKPOINT: as they are. MLX: wilor-mlx's names and layouts become the checkpoint's: names by
 * the table, OHWI convolutions become (out, in, h, w), transposed ones (in, out, h, w), by
 * permuting strides, no copy. MANO: v_template … under `mano.`, init_* under `backbone.`; from
 * a .pkl: posedirs as (135, V·3), J_regressor dense, parents from kintree_table row 0 (root -1
 * or 4294967295 as it is), weights -> lbs_weights, f -> faces_tensor; faces -> faces_tensor;
 * MANO's own extra_joints_idxs and joint_map when the file has none. MEAN: pose, shape, cam ->
 * backbone.init_hand_pose (1,96), init_betas (1,10), init_cam (1,3). DETECTOR: wilor-mlx's
 * b<i>, h<i> and pose become model.<i>, its OHWI convolutions (out, in, h, w). */
wilor_file_kind wilor_index_kind(const wilor_index *index);
wilor_status wilor_index_canonical(wilor_index *index, wilor_error *err); /* idempotent */

/* ---- values. Layout of dst: row-major. Only for dtypes with arithmetic, else ERR_UNSUPPORTED.
 * A large file is read from here, by pread: ERR_IO when it was cut or cannot be read, ERR_NOMEM
 * when a view that is not dense needs memory to be put in order. */
wilor_status wilor_tensor_to_f32(const wilor_tensor *t, float *dst, wilor_error *err);
/* Rows first … first + rows - 1 of the first dimension; the tensor seen as shape[0] × the rest. */
wilor_status wilor_tensor_rows_to_f32(const wilor_tensor *t, int64_t first, int64_t rows,
                                      float *dst, wilor_error *err);
wilor_status wilor_tensor_to_i64(const wilor_tensor *t, int64_t *dst, wilor_error *err);
/* The values where they lie when the view is native-endian, contiguous, 4-byte aligned F32 in
 * plain memory; else NULL. */
const float *wilor_tensor_f32_in_place(const wilor_tensor *t);

/* ERR_IO when a mapped file has become shorter. */
wilor_status wilor_index_check(const wilor_index *index, wilor_error *err);

#endif
