/* The public view of a tensor index: files as they are, without renaming. */
#include "index_build.h"

#include <string.h>

/* wilor_file is the index itself, under the public name. */
static wilor_index *index_of(wilor_file *file) { return (wilor_index *)(void *)file; }

static const wilor_index *const_index_of(const wilor_file *file) {
    return (const wilor_index *)(const void *)file;
}

wilor_status wilor_file_open(wilor_file **out, const char *path, wilor_error *err) {
    wilor_index *index = NULL;
    if (!out)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_file_open: out is NULL");
    *out = NULL;
    if (!path)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_file_open: path is NULL");
    wilor_status st = wilor_index_open(&index, path, err);
    *out = (wilor_file *)(void *)index;
    return st;
}

void wilor_file_close(wilor_file **file) {
    if (!file)
        return;
    wilor_index *index = index_of(*file);
    *file = NULL;
    wilor_index_close(&index);
}

wilor_file_kind wilor_file_get_kind(const wilor_file *file) {
    return file ? wilor_index_kind(const_index_of(file)) : WILOR_FILE_TENSORS;
}

const char *wilor_file_format(const wilor_file *file) {
    return file ? wilor_index_format(const_index_of(file)) : "";
}

const char *wilor_file_metadata(const wilor_file *file, const char *key) {
    return file && key ? wilor_index_metadata(const_index_of(file), key) : NULL;
}

size_t wilor_file_count(const wilor_file *file) {
    return file ? wilor_index_count(const_index_of(file)) : 0;
}

wilor_status wilor_file_tensor(const wilor_file *file, size_t i, wilor_tensor_info *out) {
    const wilor_tensor *t = file ? wilor_index_at(const_index_of(file), i) : NULL;
    if (!out)
        return WILOR_ERR_ARG;
    *out = (wilor_tensor_info){0};
    if (!t)
        return WILOR_ERR_ARG;
    out->name = t->name;
    out->dtype = t->dtype_name;
    out->rank = t->rank;
    out->shape = t->shape;
    out->bytes = (uint64_t)t->count * t->element;
    return WILOR_OK;
}

wilor_status wilor_file_read(const wilor_file *file, size_t i, float *dst, size_t count,
                             wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    const wilor_index *x = const_index_of(file);
    const wilor_tensor *t = file ? wilor_index_at(x, i) : NULL;
    if (!t)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_file_read: there is no tensor %zu", i);
    if (count != t->count || (!dst && count))
        WILOR_FAIL(err, WILOR_ERR_ARG, "%s: tensor %s has %zu values; room for %zu was given",
                   x->path.text, wilor_quote(&q, t->name), t->count, dst ? count : 0);
    WILOR_TRY(wilor_index_check(x, err));
    WILOR_TRY(wilor_tensor_to_f32(t, dst, err));
    wilor_error_clear(err);
done:
    return st;
}
