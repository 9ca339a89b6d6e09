/* How the readers of file formats fill a tensor index. For src/weights only. */
#ifndef WILOR_INDEX_BUILD_H
#define WILOR_INDEX_BUILD_H

#include "chunk_pool.h"
#include "name_table.h"
#include "tensor_index.h"

typedef struct wilor_metadata_pair {
    const char *key, *value; /* in the pool */
} wilor_metadata_pair;

enum { WILOR_ATTRIBUTE_MOST = 4 };

typedef struct wilor_attribute {
    const char *key;  /* constant */
    const char *text; /* in the pool; NULL when the value is no text */
    int count;        /* numbers; 0 when the value is something else */
    double values[WILOR_ATTRIBUTE_MOST];
    struct wilor_attribute *next; /* an older one */
} wilor_attribute;

typedef struct wilor_module {
    const char *name, *class_name; /* in the pool */
    wilor_attribute *attributes;   /* in the pool, newest first */
} wilor_module;

struct wilor_index {
    wilor_file_map map; /* empty when the index was opened from memory */
    const uint8_t *data;
    size_t size;
    size_t data_offset; /* of safetensors' data, else 0 */
    wilor_quoted path;  /* the quoted path, as it stands in messages */
    char *raw_path;
    const char *format;
    wilor_pool pool; /* owns names, metadata and all bytes that do not lie in the file */
    wilor_tensor *tensors;
    size_t count, room;
    wilor_names names; /* of the tensors, sorted by wilor_index_seal */
    wilor_metadata_pair *pairs;
    size_t pair_count, pair_room;
    wilor_module *modules; /* of a saved ultralytics network, itself first; see module_list.h */
    size_t module_count, module_room;
    wilor_names module_names;
    size_t derived;    /* bytes given out by wilor_index_derive */
    size_t name_bytes; /* of all names */
    wilor_file_kind kind;
    bool canonical;
};

/* Set dtype, its name and its element size. */
void wilor_tensor_set_dtype(wilor_tensor *t, wilor_tensor_dtype dtype);
/* Strides of a dense tensor of t's shape, row-major or with the first index running fastest. */
void wilor_tensor_set_dense(wilor_tensor *t, bool first_fastest);

/* Take one tensor: name (in x->pool), dtype, dtype_name, element, big_endian, rank, shape and
 * stride (in elements) are given; the rest follows from `bytes` bytes at base and the element
 * offset in them. Refuses what does not lie inside. */
wilor_status wilor_index_add(wilor_index *x, const wilor_tensor *t, const uint8_t *base,
                             size_t bytes, int64_t offset, wilor_error *err);
/* Take one F32 tensor of t's name (in x->pool), rank and shape whose values are computed when
 * they are read; the generator lives in x->pool. */
wilor_status wilor_index_add_generated(wilor_index *x, const wilor_tensor *t,
                                       const wilor_generator *generator, wilor_error *err);
wilor_status wilor_index_add_metadata(wilor_index *x, const char *key, size_t key_length,
                                      const char *value, size_t value_length, wilor_error *err);
/* A name from a file, copied into the pool: UTF-8 without a zero byte, else ERR_FORMAT. */
wilor_status wilor_index_name(wilor_index *x, const char **out, const char *text, size_t length,
                              wilor_error *err);
/* Sort the names; after the last tensor. Refuses a name that comes twice. */
wilor_status wilor_index_seal(wilor_index *x, wilor_error *err);
/* Zeroed memory of the index for values that do not lie in the file as they are: inflated,
 * gathered, made dense. All of it together is limited to 256 MB and 100 times the file's size. */
wilor_status wilor_index_derive(wilor_index *x, size_t bytes, uint8_t **out, wilor_error *err);
wilor_status wilor_index_no_memory(const wilor_index *x, wilor_error *err);

/* Of Unicode's code points, without surrogates. */
bool wilor_utf8_valid(const char *text, size_t length);

#endif
