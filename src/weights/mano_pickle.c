/* Arrays in plain pickles: numpy arrays as Python 2 and 3 write them, chumpy's Ch and Select
 * around them, and scipy's sparse matrices in columns, which become dense.
 *
 * After numpy/core/src/multiarray/methods.c (__setstate__), chumpy/ch.py, chumpy/reordering.py
 * (Select: a.x.ravel()[idxs].reshape(preferred_shape)) and scipy/sparse/_csc.py. The bytes of
 * an array are seen where they lie in the file when they lie there as they are. */
#include "mano_pickle.h"

#include "heap.h"
#include "npy.h"
#include "pickle.h"
#include "tensor_convert.h"
#include "torch_checkpoint.h"
#include <string.h>

/* Largest sparse matrix: a regressor of 100 joints on 40000 vertices. */
enum { DENSE_MOST = 1 << 22, NEST_MOST = 8 };

typedef struct reader {
    wilor_index *x;
    const char *name; /* of the array being read, in the pool */
    wilor_error *err;
} reader;

/* An array: a view of bytes, not yet checked against them. */
typedef struct array {
    wilor_tensor t;
    const uint8_t *bytes;
    size_t size;
} array;

static wilor_status bad(const reader *r, const char *what) {
    wilor_quoted q;
    return wilor_error_set(r->err, WILOR_ERR_FORMAT, "%s: array %s %s", r->x->path.text,
                           wilor_quote(&q, r->name), what);
}

/* ------------------------------------------------------------------ numpy */

static bool from_numpy(const wilor_value *maker, const char *module, const char *name) {
    char path[64];
    static const char *const roots[] = {"numpy.core.", "numpy._core."};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(roots[i]), k = strlen(module);
        memcpy(path, roots[i], n);
        memcpy(path + n, module, k + 1);
        if (wilor_value_is_global(maker, path, name))
            return true;
    }
    return false;
}

/* numpy.dtype('f8', …) with the state (3, '<', …). */
static bool read_dtype(const wilor_value *v, wilor_tensor *t) {
    char text[16];
    if (!v || v->kind != WILOR_VALUE_OBJECT ||
        !wilor_value_is_global(v->as.object.maker, "numpy", "dtype"))
        return false;
    const wilor_value *code = wilor_value_item(v->as.object.args, 0);
    const wilor_value *order = wilor_value_item(v->as.object.state, 1);
    if (!code || (code->kind != WILOR_VALUE_TEXT && code->kind != WILOR_VALUE_BYTES) ||
        code->as.text.length < 2 || code->as.text.length > sizeof text - 1)
        return false;
    text[0] = wilor_value_is_text(order, ">") ? '>' : '<';
    memcpy(text + 1, code->as.text.at, code->as.text.length);
    return wilor_npy_descr(t, text, code->as.text.length + 1) && t->dtype != WILOR_DTYPE_OTHER;
}

static bool read_shape(const wilor_value *v, wilor_tensor *t) {
    if (!v || v->kind != WILOR_VALUE_TUPLE || v->as.list.count > WILOR_MAX_RANK)
        return false;
    t->rank = (int)v->as.list.count;
    for (size_t i = 0; i < v->as.list.count; i++)
        if (!wilor_value_item_int(v, i, &t->shape[i]))
            return false;
    return true;
}

static wilor_status read_parts(const reader *r, const wilor_value *shape,
                               const wilor_value *dtype, bool fortran, const wilor_value *data,
                               array *a) {
    if (!read_shape(shape, &a->t))
        return bad(r, "has no shape");
    if (!read_dtype(dtype, &a->t))
        return bad(r, "has elements of a type that cannot be read");
    if (!data || data->kind != WILOR_VALUE_BYTES)
        return bad(r, "has no bytes");
    wilor_tensor_set_dense(&a->t, fortran);
    a->bytes = (const uint8_t *)data->as.text.at;
    a->size = data->as.text.length;
    return WILOR_OK;
}

static bool is_true(const wilor_value *v) {
    return v && (v->kind == WILOR_VALUE_BOOL || v->kind == WILOR_VALUE_INT) && v->as.integer;
}

static bool is_ndarray(const wilor_value *v) {
    return v && v->kind == WILOR_VALUE_OBJECT &&
           (from_numpy(v->as.object.maker, "multiarray", "_reconstruct") ||
            from_numpy(v->as.object.maker, "numeric", "_frombuffer"));
}

static wilor_status read_ndarray(const reader *r, const wilor_value *v, array *a) {
    const wilor_value *args = v->as.object.args, *s = v->as.object.state;
    if (from_numpy(v->as.object.maker, "numeric", "_frombuffer"))
        return read_parts(r, wilor_value_item(args, 2), wilor_value_item(args, 1),
                          wilor_value_is_text(wilor_value_item(args, 3), "F"),
                          wilor_value_item(args, 0), a);
    /* (version, shape, dtype, fortran, bytes); the oldest form has no version. */
    size_t at = wilor_value_item(s, 4) ? 1 : 0;
    return read_parts(r, wilor_value_item(s, at), wilor_value_item(s, at + 1),
                      is_true(wilor_value_item(s, at + 2)), wilor_value_item(s, at + 3), a);
}

/* ------------------------------------------------------------------ values derived from arrays */

/* Check an array against its bytes, as the index will, so that its elements can be read. */
static wilor_status check_array(const reader *r, array *a) {
    wilor_status st;
    a->t.name = r->name;
    WILOR_TRY(wilor_index_add(r->x, &a->t, a->bytes, a->size, 0, r->err));
    a->t = r->x->tensors[--r->x->count];
done:
    return st;
}

/* A dense row-major array of a's type in memory of the index. */
static wilor_status make_dense(const reader *r, array *a, uint8_t **bytes) {
    size_t size = a->t.element;
    for (int i = 0; i < a->t.rank; i++)
        if (a->t.shape[i] < 0 || !wilor_size_mul(size, (size_t)a->t.shape[i], &size))
            return bad(r, "has an impossible shape");
    wilor_tensor_set_dense(&a->t, false);
    wilor_status st = wilor_index_derive(r->x, size, bytes, r->err);
    a->bytes = *bytes;
    a->size = size;
    return st;
}

static wilor_status to_integers(const reader *r, const wilor_value *v, int64_t **out,
                                size_t *count) {
    wilor_status st;
    array a = {0};
    *out = NULL;
    if (!is_ndarray(v))
        return bad(r, "has an index that is no array");
    WILOR_TRY(read_ndarray(r, v, &a));
    WILOR_TRY(check_array(r, &a));
    *out = wilor_heap_alloc(a.t.count, sizeof **out);
    if (!*out)
        WILOR_TRY(wilor_index_no_memory(r->x, r->err));
    *count = a.t.count;
    WILOR_TRY(wilor_tensor_to_i64(&a.t, *out, r->err));
done:
    if (st != WILOR_OK) {
        wilor_heap_free(*out);
        *out = NULL;
    }
    return st;
}

/* Elements of a, numbered row-major, at the given places. */
static wilor_status gather(const reader *r, const array *a, const int64_t *index, size_t count,
                           uint8_t *to) {
    size_t element = a->t.element;
    for (size_t i = 0; i < count; i++) {
        size_t left = (size_t)index[i], at = 0;
        if (index[i] < 0 || left >= a->t.count)
            return bad(r, "selects an element that does not exist");
        for (int k = a->t.rank - 1; k >= 0; k--) {
            size_t n = (size_t)a->t.shape[k];
            at += left % n * (size_t)a->t.stride[k];
            left /= n;
        }
        memcpy(to + i * element, a->t.data + at * element, element);
    }
    return WILOR_OK;
}

static wilor_status read_array(const reader *r, const wilor_value *v, int depth, array *a);

static wilor_status read_select(const reader *r, const wilor_value *v, int depth, array *a) {
    wilor_status st;
    array from = {0};
    int64_t *index = NULL;
    size_t count;
    uint8_t *to;
    WILOR_TRY(read_array(r, wilor_value_get(v, "a"), depth + 1, &from));
    WILOR_TRY(check_array(r, &from));
    WILOR_TRY(to_integers(r, wilor_value_get(v, "idxs"), &index, &count));
    a->t = from.t;
    if (!read_shape(wilor_value_get(v, "preferred_shape"), &a->t))
        WILOR_TRY(bad(r, "has no shape"));
    WILOR_TRY(make_dense(r, a, &to));
    if (a->size != count * a->t.element)
        WILOR_TRY(bad(r, "selects another number of elements than its shape has"));
    WILOR_TRY(gather(r, &from, index, count, to));
done:
    wilor_heap_free(index);
    return st;
}

/* Values, rows and column starts of a sparse matrix into `to`, zeroed before. */
static wilor_status scatter(const reader *r, const array *values, const int64_t *rows,
                            size_t row_count, const int64_t *starts, const array *a,
                            uint8_t *to) {
    size_t element = a->t.element, columns = (size_t)a->t.shape[1];
    for (size_t j = 0; j < columns; j++) {
        if (starts[j] < 0 || starts[j] > starts[j + 1] || (size_t)starts[j + 1] > row_count)
            return bad(r, "is a damaged sparse matrix");
        for (int64_t i = starts[j]; i < starts[j + 1]; i++) {
            if (rows[i] < 0 || rows[i] >= a->t.shape[0])
                return bad(r, "is a damaged sparse matrix");
            memcpy(to + ((size_t)rows[i] * columns + j) * element,
                   values->t.data + (size_t)i * (size_t)values->t.stride[0] * element, element);
        }
    }
    return WILOR_OK;
}

static wilor_status read_csc(const reader *r, const wilor_value *v, array *a) {
    wilor_status st;
    array values = {0};
    int64_t *rows = NULL, *starts = NULL;
    size_t row_count, start_count;
    uint8_t *to;
    const wilor_value *data = wilor_value_get(v, "data"), *shape = wilor_value_get(v, "_shape");
    if (!is_ndarray(data))
        return bad(r, "is a sparse matrix without data");
    WILOR_TRY(read_ndarray(r, data, &values));
    WILOR_TRY(check_array(r, &values));
    a->t = values.t;
    if (!read_shape(shape ? shape : wilor_value_get(v, "shape"), &a->t) || a->t.rank != 2)
        WILOR_TRY(bad(r, "is a sparse matrix without shape"));
    if (a->t.shape[0] < 0 || a->t.shape[1] < 0 || a->t.shape[0] > DENSE_MOST ||
        a->t.shape[1] > DENSE_MOST || a->t.shape[0] * a->t.shape[1] > DENSE_MOST)
        WILOR_TRY(bad(r, "is a sparse matrix with too many elements"));
    WILOR_TRY(to_integers(r, wilor_value_get(v, "indices"), &rows, &row_count));
    WILOR_TRY(to_integers(r, wilor_value_get(v, "indptr"), &starts, &start_count));
    if (values.t.rank != 1 || values.t.count < row_count ||
        start_count != (size_t)a->t.shape[1] + 1)
        WILOR_TRY(bad(r, "is a damaged sparse matrix"));
    WILOR_TRY(make_dense(r, a, &to));
    WILOR_TRY(scatter(r, &values, rows, row_count, starts, a, to));
done:
    wilor_heap_free(rows);
    wilor_heap_free(starts);
    return st;
}

/* ------------------------------------------------------------------ any of them */

typedef enum shell { NO_ARRAY, NDARRAY, CHUMPY, SELECT, CSC } shell;

static shell shell_of(const wilor_value *v) {
    if (!v || v->kind != WILOR_VALUE_OBJECT)
        return NO_ARRAY;
    const wilor_value *maker = v->as.object.maker;
    if (is_ndarray(v))
        return NDARRAY;
    if (wilor_value_is_global(maker, "chumpy.ch", "Ch"))
        return CHUMPY;
    if (wilor_value_is_global(maker, "chumpy.reordering", "Select"))
        return SELECT;
    if (wilor_value_is_global(maker, "scipy.sparse.csc", "csc_matrix") ||
        wilor_value_is_global(maker, "scipy.sparse._csc", "csc_matrix"))
        return CSC;
    return NO_ARRAY;
}

static wilor_status read_array(const reader *r, const wilor_value *v, int depth, array *a) {
    if (depth > NEST_MOST)
        return bad(r, "is an expression nested too deep");
    switch (shell_of(v)) {
    case NDARRAY:
        return read_ndarray(r, v, a);
    case CHUMPY:
        return read_array(r, wilor_value_get(v, "x"), depth + 1, a);
    case SELECT:
        return read_select(r, v, depth, a);
    case CSC:
        return read_csc(r, v, a);
    default:
        return bad(r, "is an expression that cannot be read");
    }
}

static wilor_status add_entry(wilor_index *x, const wilor_value *key, const wilor_value *v,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    reader r = {.x = x, .err = err};
    array a = {0};
    if (shell_of(v) == NO_ARRAY ||
        (key->kind != WILOR_VALUE_TEXT && key->kind != WILOR_VALUE_BYTES))
        return st;
    WILOR_TRY(wilor_index_name(x, &r.name, key->as.text.at, key->as.text.length, err));
    WILOR_TRY(read_array(&r, v, 0, &a));
    a.t.name = r.name;
    /* Text that was decoded lies in the pickle's pool, which goes: keep a copy. */
    bool in_file = (uintptr_t)a.bytes - (uintptr_t)x->data < x->size;
    bool derived = shell_of(v) == SELECT || shell_of(v) == CSC;
    if (!in_file && !derived) {
        uint8_t *copy;
        WILOR_TRY(wilor_index_derive(x, a.size, &copy, err));
        if (a.size)
            memcpy(copy, a.bytes, a.size);
        a.bytes = copy;
    }
    WILOR_TRY(wilor_index_add(x, &a.t, a.bytes, a.size, 0, err));
done:
    return st;
}

wilor_status wilor_mano_pickle_read(wilor_index *x, wilor_error *err) {
    wilor_status st;
    wilor_pickle p = {.where = x->path.text};
    wilor_value *top;
    size_t used;
    x->format = "pickle";
    WILOR_TRY(wilor_pickle_load(&p, x->data, x->size, &used, &top, err));
    if (top->kind == WILOR_VALUE_OBJECT && top->as.object.pairs)
        top = top->as.object.pairs;
    if (top->kind != WILOR_VALUE_DICT)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: this pickle is no dictionary of arrays",
                   x->path.text);
    WILOR_TRY(wilor_torch_metadata(x, top, err));
    for (size_t i = 0; i + 1 < top->as.list.count; i += 2)
        WILOR_TRY(add_entry(x, top->as.list.items[i], top->as.list.items[i + 1], err));
    if (!x->count)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: this pickle holds no arrays", x->path.text);
done:
    wilor_pickle_free(&p);
    return st;
}
