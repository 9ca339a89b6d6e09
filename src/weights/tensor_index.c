/* The index itself: telling formats apart, validating views, finding names. The readers are in
 * files of their own.
 *
 * Easy to get wrong: sizes from files in products and sums (all checked here, once for all
 * formats), and views that repeat elements with stride 0, which can be small in the file and
 * huge when read. */
#include "index_build.h"

#include "canonical_names.h"
#include "heap.h"
#include "mano_pickle.h"
#include "module_list.h"
#include "npy.h"
#include "safetensors.h"
#include "torch_checkpoint.h"
#include "zip_directory.h"
#include <string.h>

/* ------------------------------------------------------------------ building */

static const struct {
    const char *name;
    size_t element;
} g_dtypes[] = {[WILOR_F64] = {"F64", 8},   [WILOR_F32] = {"F32", 4},
                [WILOR_F16] = {"F16", 2},   [WILOR_BF16] = {"BF16", 2},
                [WILOR_I64] = {"I64", 8},   [WILOR_I32] = {"I32", 4},
                [WILOR_I16] = {"I16", 2},   [WILOR_I8] = {"I8", 1},
                [WILOR_U64] = {"U64", 8},   [WILOR_U32] = {"U32", 4},
                [WILOR_U16] = {"U16", 2},   [WILOR_U8] = {"U8", 1},
                [WILOR_BOOL] = {"BOOL", 1}, [WILOR_DTYPE_OTHER] = {"OTHER", 1}};

void wilor_tensor_set_dtype(wilor_tensor *t, wilor_tensor_dtype dtype) {
    t->dtype = dtype;
    t->dtype_name = g_dtypes[dtype].name;
    t->element = g_dtypes[dtype].element;
}

void wilor_tensor_set_dense(wilor_tensor *t, bool first_fastest) {
    int64_t stride = 1;
    for (int i = 0; i < t->rank; i++) {
        int at = first_fastest ? i : t->rank - 1 - i;
        t->stride[at] = stride;
        /* Saturates: a shape whose product overflows is refused by wilor_index_add. */
        if (t->shape[at] > 0)
            stride = stride > INT64_MAX / t->shape[at] ? INT64_MAX : stride * t->shape[at];
    }
}

wilor_status wilor_index_no_memory(const wilor_index *x, wilor_error *err) {
    return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory to read it", x->path.text);
}

wilor_status wilor_index_derive(wilor_index *x, size_t bytes, uint8_t **out, wilor_error *err) {
    const size_t base = (size_t)256 << 20, ratio = 100;
    size_t limit = x->size > (SIZE_MAX - base) / ratio ? SIZE_MAX : base + ratio * x->size;
    if (bytes > limit - x->derived)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT,
            "%s would unpack to more than %zu bytes, far more than it is long", x->path.text,
            limit);
    *out = wilor_pool_alloc(&x->pool, bytes ? bytes : 1, 1);
    if (!*out)
        return wilor_index_no_memory(x, err);
    x->derived += bytes;
    return WILOR_OK;
}

/* Number of elements; false when negative or beyond the address space. */
static bool count_elements(const wilor_tensor *t, size_t *count) {
    bool empty = false, fits = true;
    *count = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0)
            return false;
        empty = empty || t->shape[i] == 0;
        fits = fits && wilor_size_mul(*count, (size_t)t->shape[i], count);
    }
    size_t bytes;
    if (empty)
        *count = 0;
    return empty ||
           (fits && wilor_size_mul(*count, t->element, &bytes) && bytes <= PTRDIFF_MAX);
}

/* Elements from the first to the last that the view touches; false on overflow or negative
 * strides. */
static bool view_extent(const wilor_tensor *t, size_t *extent) {
    *extent = 1;
    for (int i = 0; i < t->rank; i++) {
        size_t part;
        if (t->stride[i] < 0 ||
            !wilor_size_mul((size_t)t->shape[i] - 1, (size_t)t->stride[i], &part) ||
            !wilor_size_add(*extent, part, extent))
            return false;
    }
    return true;
}

static wilor_status refuse(const wilor_index *x, const wilor_tensor *t, const char *what,
                           wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: tensor %s %s", x->path.text,
                           wilor_quote(&q, t->name), what);
}

/* Set count, data and span of a view. */
static wilor_status place(const wilor_index *x, wilor_tensor *t, const uint8_t *base,
                          size_t bytes, int64_t offset, wilor_error *err) {
    const size_t repeats = 16, small = (size_t)1 << 24;
    size_t extent, have = bytes / t->element;
    if (!count_elements(t, &t->count))
        return refuse(x, t, "has an impossible shape", err);
    if (offset < 0)
        return refuse(x, t, "begins before its data", err);
    t->data = NULL;
    t->mapped = NULL;
    t->span = 0;
    if (t->count == 0)
        return WILOR_OK;
    if (!view_extent(t, &extent))
        return refuse(x, t, "has impossible strides", err);
    if ((uint64_t)offset > have || extent > have - (size_t)offset)
        return refuse(x, t, "reaches beyond its data", err);
    if (t->count > small && t->count / repeats > have)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT,
            "%s: a tensor repeats %zu elements to make %zu; the limit is 16 times",
            x->path.text, have, t->count);
    t->data = base + (size_t)offset * t->element;
    if (x->map.mapped && (uintptr_t)t->data - (uintptr_t)x->data < x->size)
        t->mapped = x;
    t->span = extent * t->element;
    return WILOR_OK;
}

wilor_status wilor_index_add(wilor_index *x, const wilor_tensor *t, const uint8_t *base,
                             size_t bytes, int64_t offset, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (!wilor_heap_grow(&x->tensors, &x->room, x->count, sizeof *t))
        return wilor_index_no_memory(x, err);
    wilor_tensor *to = &x->tensors[x->count];
    *to = *t;
    WILOR_TRY(place(x, to, base, bytes, offset, err));
    x->count++;
done:
    return st;
}

wilor_status wilor_index_add_generated(wilor_index *x, const wilor_tensor *t,
                                       const wilor_generator *generator, wilor_error *err) {
    wilor_tensor made = *t;
    wilor_tensor_set_dtype(&made, WILOR_F32);
    wilor_tensor_set_dense(&made, false);
    made.generator = generator;
    if (!count_elements(&made, &made.count))
        return refuse(x, t, "has an impossible shape", err);
    if (!wilor_heap_grow(&x->tensors, &x->room, x->count, sizeof made))
        return wilor_index_no_memory(x, err);
    x->tensors[x->count++] = made;
    return WILOR_OK;
}

wilor_status wilor_index_add_metadata(wilor_index *x, const char *key, size_t key_length,
                                      const char *value, size_t value_length,
                                      wilor_error *err) {
    wilor_metadata_pair pair;
    pair.key = wilor_pool_text(&x->pool, key, key_length);
    pair.value = wilor_pool_text(&x->pool, value, value_length);
    if (!pair.key || !pair.value ||
        !wilor_heap_grow(&x->pairs, &x->pair_room, x->pair_count, sizeof pair))
        return wilor_index_no_memory(x, err);
    x->pairs[x->pair_count++] = pair;
    return WILOR_OK;
}

bool wilor_utf8_valid(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text, *end = p + length;
    while (p < end) {
        unsigned c = *p++;
        int more = c < 0x80 ? 0 : c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
        if (more && (c < 0xC2 || c > 0xF4 || end - p < more))
            return false;
        unsigned code = more == 3 ? c & 7 : more == 2 ? c & 15 : c & 31;
        for (int i = 0; i < more; i++) {
            if ((*p & 0xC0) != 0x80)
                return false;
            code = code << 6 | (*p++ & 63);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xD800 && code < 0xE000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10FFFF)))
            return false;
    }
    return true;
}

wilor_status wilor_index_name(wilor_index *x, const char **out, const char *text, size_t length,
                              wilor_error *err) {
    if (length && (memchr(text, 0, length) || !wilor_utf8_valid(text, length)))
        return wilor_error_set(err, WILOR_ERR_FORMAT,
                               "%s: the name of tensor %zu is not valid UTF-8", x->path.text,
                               x->count);
    const size_t free_bytes = (size_t)1 << 26;
    if (length > free_bytes || x->name_bytes > free_bytes + x->size)
        return wilor_error_set(err, WILOR_ERR_LIMIT,
                               "%s: the names of its tensors fill more than 64 MB",
                               x->path.text);
    x->name_bytes += length;
    *out = wilor_pool_text(&x->pool, text, length);
    return *out ? WILOR_OK : wilor_index_no_memory(x, err);
}

wilor_status wilor_index_seal(wilor_index *x, wilor_error *err) {
    wilor_quoted q;
    x->names.count = 0;
    for (size_t i = 0; i < x->count; i++)
        if (!wilor_names_add(&x->names, x->tensors[i].name, strlen(x->tensors[i].name), i))
            return wilor_index_no_memory(x, err);
    if (!wilor_names_sort(&x->names))
        return wilor_index_no_memory(x, err);
    const wilor_name *twice = wilor_names_twice(&x->names);
    if (twice)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: there are two tensors named %s",
                               x->path.text, wilor_quote(&q, twice->text));
    return WILOR_OK;
}

/* ------------------------------------------------------------------ opening */

static bool begins(const wilor_index *x, const char *with, size_t n) {
    return x->size >= n && memcmp(x->data, with, n) == 0;
}

static bool begins_ignoring_case(const uint8_t *p, size_t size, const char *with) {
    for (; *with; with++, p++, size--) {
        if (!size)
            return false;
        int c = *p >= 'A' && *p <= 'Z' ? *p + 32 : *p;
        if (c != *with)
            return false;
    }
    return true;
}

static bool is_web_page(const wilor_index *x) {
    size_t at = begins(x, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < x->size && at < 256 && strchr(" \t\r\n", x->data[at]) && x->data[at])
        at++;
    const uint8_t *p = x->data + at;
    size_t n = x->size - at;
    return begins_ignoring_case(p, n, "<!doctype") || begins_ignoring_case(p, n, "<html") ||
           begins_ignoring_case(p, n, "<?xml") || begins_ignoring_case(p, n, "<head");
}

static bool is_named(const wilor_index *x, const char *ending) {
    size_t n = strlen(x->raw_path), k = strlen(ending);
    return n > k && strcmp(x->raw_path + n - k, ending) == 0;
}

static wilor_status read_zip(wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_zip z = {0};
    WILOR_TRY(wilor_zip_open(&z, x->data, x->size, x->path.text, err));
    if (wilor_torch_zip_pickle(&z))
        WILOR_TRY(wilor_torch_zip_read(x, &z, err));
    else
        WILOR_TRY(wilor_npz_read(x, &z, err));
    if (!x->count)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: a zip with neither data.pkl nor arrays in it",
                   x->path.text);
done:
    wilor_zip_close(&z);
    return st;
}

static wilor_status read_any(wilor_index *x, wilor_error *err) {
    if (x->size == 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s is empty (0 bytes)", x->path.text);
    if (is_web_page(x))
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s is a web page, not weights",
                               x->path.text);
    if (begins(x, "version https://git-lfs", 23))
        return wilor_error_set(err, WILOR_ERR_FORMAT,
                               "%s is a Git LFS pointer, not the file itself: run git lfs pull",
                               x->path.text);
    if (begins(x, "\x93NUMPY", 6))
        return wilor_npy_read(x, err);
    if (wilor_safetensors_seen(x->data, x->size) || is_named(x, ".safetensors"))
        return wilor_safetensors_read(x, err);
    if (begins(x, "PK", 2))
        return read_zip(x, err);
    if (wilor_torch_legacy_seen(x->data, x->size))
        return wilor_torch_legacy_read(x, err);
    /* Protocols 2 to 5 begin with 0x80, the older ones with an operation that makes a
     * dictionary, an object or a mark; unless the name says so, other bytes are not tried. */
    if (x->data[0] == 0x80 || is_named(x, ".pkl") || memchr("(}cd", x->data[0], 4))
        return wilor_mano_pickle_read(x, err);
    return wilor_error_set(err, WILOR_ERR_FORMAT,
                           "%s is none of: PyTorch checkpoint, safetensors, npz, npy, pickle",
                           x->path.text);
}

/* The index of x->data; takes x over. */
static wilor_status finish_open(wilor_index **out, wilor_index *x, const char *name,
                                wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quote(&x->path, name);
    x->raw_path = wilor_heap_string(name);
    if (!x->raw_path)
        WILOR_TRY(wilor_index_no_memory(x, err));
    WILOR_TRY(read_any(x, err));
    WILOR_TRY(wilor_index_seal(x, err));
    WILOR_TRY(wilor_modules_seal(x, err));
    WILOR_TRY(wilor_modules_describe(x, err));
    x->kind = wilor_canonical_kind(x);
    wilor_file_map_release(&x->map);
    wilor_error_clear(err);
    *out = x;
    x = NULL;
done:
    wilor_index_close(&x);
    return st;
}

wilor_status wilor_index_open(wilor_index **out, const char *path, wilor_error *err) {
    wilor_quoted q;
    *out = NULL;
    wilor_index *x = wilor_heap_alloc(1, sizeof *x);
    if (!x)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory to read it",
                               wilor_quote(&q, path));
    x->map.fd = -1;
    wilor_status st = wilor_file_map_open(&x->map, path, err);
    if (st != WILOR_OK) {
        wilor_heap_free(x);
        return st;
    }
    x->data = x->map.data;
    x->size = x->map.size;
    return finish_open(out, x, path, err);
}

wilor_status wilor_index_open_memory(wilor_index **out, const void *data, size_t size,
                                     const char *name, wilor_error *err) {
    wilor_quoted q;
    *out = NULL;
    wilor_index *x = wilor_heap_alloc(1, sizeof *x);
    if (!x)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory to read it",
                               wilor_quote(&q, name));
    x->map.fd = -1;
    x->data = data;
    x->size = size;
    return finish_open(out, x, name, err);
}

void wilor_index_close(wilor_index **index) {
    wilor_index *x = *index;
    *index = NULL;
    if (!x)
        return;
    wilor_file_map_close(&x->map);
    wilor_pool_free(&x->pool);
    wilor_names_free(&x->names);
    wilor_heap_free(x->tensors);
    wilor_heap_free(x->pairs);
    wilor_names_free(&x->module_names);
    wilor_heap_free(x->modules);
    wilor_heap_free(x->raw_path);
    wilor_heap_free(x);
}

/* ------------------------------------------------------------------ asking */

const char *wilor_index_path(const wilor_index *index) { return index->raw_path; }

size_t wilor_index_size(const wilor_index *index) { return index->size; }

int64_t wilor_index_changed_ns(const wilor_index *index) { return index->map.changed_ns; }

size_t wilor_index_data_offset(const wilor_index *index) { return index->data_offset; }

const char *wilor_index_format(const wilor_index *index) { return index->format; }

const char *wilor_index_metadata(const wilor_index *index, const char *key) {
    for (size_t i = 0; i < index->pair_count; i++)
        if (strcmp(index->pairs[i].key, key) == 0)
            return index->pairs[i].value;
    return NULL;
}

size_t wilor_index_count(const wilor_index *index) { return index->count; }

const wilor_tensor *wilor_index_at(const wilor_index *index, size_t i) {
    return i < index->count ? &index->tensors[i] : NULL;
}

const wilor_tensor *wilor_index_find(const wilor_index *index, const char *name) {
    const wilor_name *found = wilor_names_find(&index->names, name, strlen(name));
    return found ? &index->tensors[found->value] : NULL;
}

wilor_file_kind wilor_index_kind(const wilor_index *index) { return index->kind; }

wilor_status wilor_index_check(const wilor_index *index, wilor_error *err) {
    return wilor_file_map_check(&index->map, index->raw_path, err);
}
