/* Values of strided views as float, double or int64.
 *
 * A view is first reduced: dimensions of size 1 go, neighbours that lie densely are merged.
 * What remains is walked run by run along the innermost dimension, so a dense tensor is one
 * run. Elements are loaded byte-wise (views may be unaligned) and swapped when their byte order
 * is not ours. */
#include "tensor_convert.h"

#include "heap.h"
#include "index_build.h"

#include <string.h>

static bool host_is_little(void) {
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static bool must_swap(const wilor_tensor *t) { return t->big_endian == host_is_little(); }

static uint16_t load16(const uint8_t *p, bool swap) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return (uint16_t)(swap ? v << 8 | v >> 8 : v);
}

static uint32_t swap32(uint32_t v) {
    return v << 24 | (v & 0xFF00u) << 8 | (v >> 8 & 0xFF00u) | v >> 24;
}

static uint32_t load32(const uint8_t *p, bool swap) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return swap ? swap32(v) : v;
}

static uint64_t load64(const uint8_t *p, bool swap) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return swap ? (uint64_t)swap32((uint32_t)v) << 32 | swap32((uint32_t)(v >> 32)) : v;
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static double double_of(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

float wilor_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = bits >> 10 & 31u, fraction = bits & 1023u;
    if (exponent == 31)
        return float_of(sign | 0x7F800000u | fraction << 13);
    if (exponent)
        return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f; /* subnormal or zero */
    return sign ? -magnitude : magnitude;
}

float wilor_bf16_to_f32(uint16_t bits) { return float_of((uint32_t)bits << 16); }

static bool is_float(wilor_tensor_dtype d) {
    return d == WILOR_F64 || d == WILOR_F32 || d == WILOR_F16 || d == WILOR_BF16;
}

/* U64 comes as its bits. */
static int64_t load_integer(wilor_tensor_dtype d, const uint8_t *p, bool swap) {
    switch (d) {
    case WILOR_I64:
    case WILOR_U64:
        return (int64_t)load64(p, swap);
    case WILOR_I32:
        return (int32_t)load32(p, swap);
    case WILOR_U32:
        return load32(p, swap);
    case WILOR_I16:
        return (int16_t)load16(p, swap);
    case WILOR_U16:
        return load16(p, swap);
    case WILOR_I8:
        return (int8_t)*p;
    case WILOR_BOOL:
        return *p != 0;
    default:
        return *p;
    }
}

static double load_double(wilor_tensor_dtype d, const uint8_t *p, bool swap) {
    switch (d) {
    case WILOR_F64:
        return double_of(load64(p, swap));
    case WILOR_F32:
        return (double)float_of(load32(p, swap));
    case WILOR_F16:
        return (double)wilor_f16_to_f32(load16(p, swap));
    case WILOR_BF16:
        return (double)wilor_bf16_to_f32(load16(p, swap));
    case WILOR_U64:
        return (double)load64(p, swap);
    default:
        return (double)load_integer(d, p, swap);
    }
}

/* Half floats side by side: the bits that wilor_f16_to_f32 gives, without a branch, so that the compiler makes
 * vectors of it. A subnormal's fraction stands behind the one of 2^-14, which is then taken off: no float here is
 * subnormal, whatever the caller's thread does with those. */
static inline uint32_t widened(uint32_t half) {
    uint32_t magnitude = (half & 0x7FFFu) << 13, small;
    /* The sign of a difference, all over: a comparison would become a branch again. */
    uint32_t tiny = 0u - ((magnitude - 0x00800000u) >> 31);
    uint32_t infinite = 0u - ((0x0F7FFFFFu - magnitude) >> 31);
    uint32_t normal = (magnitude + (112u << 23)) | (infinite & 0x7F800000u);
    float below = float_of(0x38800000u | (magnitude & 0x007FE000u)) - 0x1p-14f;
    memcpy(&small, &below, sizeof small);
    return (small & tiny) | (normal & ~tiny) | (half & 0x8000u) << 16;
}

enum { WIDEN_RUN = 32 };

/* WIDEN_RUN of them. Normal ones alone, as nearly all weights are, take a third of the work. */
static inline void widen_run(const uint8_t *p, float *to) {
    uint16_t half[WIDEN_RUN], odd = 0; /* its highest bit: one is smaller or larger than that */
    uint32_t bits[WIDEN_RUN];
    memcpy(half, p, sizeof half);
    for (int i = 0; i < WIDEN_RUN; i++) {
        uint16_t magnitude = half[i] & 0x7FFFu;
        odd |= (uint16_t)((uint16_t)(magnitude - 0x0400u) | (uint16_t)(0x7BFFu - magnitude));
    }
    if (odd & 0x8000u)
        for (int i = 0; i < WIDEN_RUN; i++)
            bits[i] = widened(half[i]);
    else
        for (int i = 0; i < WIDEN_RUN; i++)
            bits[i] = (uint32_t)(half[i] & 0x8000u) << 16 |
                      (((uint32_t)(half[i] & 0x7FFFu) << 13) + (112u << 23));
    memcpy(to, bits, sizeof bits);
}

static void widen_halves(const uint8_t *p, size_t n, float *to) {
    for (; n >= WIDEN_RUN; n -= WIDEN_RUN, p += 2 * WIDEN_RUN, to += WIDEN_RUN)
        widen_run(p, to);
    for (; n > 0; n--, p += 2)
        *to++ = wilor_f16_to_f32(load16(p, false));
}

/* n elements, `step` bytes apart, to dst. False: a value that dst's type cannot hold. */
typedef bool run_function(const wilor_tensor *t, const uint8_t *p, size_t step, size_t n,
                          void *dst);

static bool run_f32(const wilor_tensor *t, const uint8_t *p, size_t step, size_t n, void *dst) {
    float *to = dst;
    bool swap = must_swap(t);
    switch (t->dtype) {
    case WILOR_F32:
        if (step == sizeof(float) && !swap)
            memcpy(to, p, n * sizeof(float));
        else
            for (size_t i = 0; i < n; i++)
                to[i] = float_of(load32(p + i * step, swap));
        break;
    case WILOR_F16:
        if (step == sizeof(uint16_t) && !swap)
            widen_halves(p, n, to);
        else
            for (size_t i = 0; i < n; i++)
                to[i] = wilor_f16_to_f32(load16(p + i * step, swap));
        break;
    case WILOR_BF16:
        for (size_t i = 0; i < n; i++)
            to[i] = wilor_bf16_to_f32(load16(p + i * step, swap));
        break;
    case WILOR_F64:
        for (size_t i = 0; i < n; i++)
            to[i] = (float)double_of(load64(p + i * step, swap));
        break;
    case WILOR_U64:
        for (size_t i = 0; i < n; i++)
            to[i] = (float)load64(p + i * step, swap);
        break;
    case WILOR_I8: /* quantised weights: a loop that becomes vectors */
        for (size_t i = 0; i < n; i++)
            to[i] = (int8_t)p[i * step];
        break;
    default: /* one rounding, from the integer */
        for (size_t i = 0; i < n; i++)
            to[i] = (float)load_integer(t->dtype, p + i * step, swap);
    }
    return true;
}

static bool run_f64(const wilor_tensor *t, const uint8_t *p, size_t step, size_t n, void *dst) {
    double *to = dst;
    bool swap = must_swap(t);
    for (size_t i = 0; i < n; i++)
        to[i] = load_double(t->dtype, p + i * step, swap);
    return true;
}

static bool run_i64(const wilor_tensor *t, const uint8_t *p, size_t step, size_t n, void *dst) {
    int64_t *to = dst;
    bool swap = must_swap(t), real = is_float(t->dtype);
    for (size_t i = 0; i < n; i++) {
        if (real) {
            double v = load_double(t->dtype, p + i * step, swap);
            if (!(v >= -0x1p63 && v < 0x1p63))
                return false;
            to[i] = (int64_t)v;
        } else {
            to[i] = load_integer(t->dtype, p + i * step, swap);
            if (t->dtype == WILOR_U64 && to[i] < 0)
                return false;
        }
    }
    return true;
}

static bool run_bytes(const wilor_tensor *t, const uint8_t *p, size_t step, size_t n,
                      void *dst) {
    uint8_t *to = dst;
    if (step == t->element)
        memcpy(to, p, n * t->element);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * t->element, p + i * step, t->element);
    return true;
}

/* Dimensions that matter, outermost first; returns how many (at least 1). */
static int reduce(const wilor_tensor *t, size_t shape[], size_t step[]) {
    int rank = 0;
    for (int i = 0; i < t->rank; i++) {
        size_t size = (size_t)t->shape[i], stride = (size_t)t->stride[i] * t->element;
        if (size == 1)
            continue;
        if (rank && step[rank - 1] == stride * size) {
            shape[rank - 1] *= size;
            step[rank - 1] = stride;
        } else {
            shape[rank] = size;
            step[rank++] = stride;
        }
    }
    if (!rank) {
        shape[0] = 1;
        step[0] = t->element;
        rank = 1;
    }
    return rank;
}

static wilor_status out_of_range(const wilor_tensor *t, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_FORMAT,
                           "tensor %s (%s) holds a value outside the range of int64",
                           wilor_quote(&q, t->name), t->dtype_name);
}

/* For values that are computed, a chunk at a time. */
static wilor_status walk_generated(const wilor_tensor *t, run_function *run, uint8_t *to,
                                   size_t size, wilor_error *err) {
    float chunk[1024];
    const size_t room = sizeof chunk / sizeof *chunk;
    wilor_tensor native = *t;
    native.big_endian = !host_is_little();
    for (size_t first = 0, n; first < t->count; first += n) {
        n = t->count - first < room ? t->count - first : room;
        t->generator->fill(t->generator, first, n, chunk);
        if (!run(&native, (const uint8_t *)chunk, sizeof *chunk, n, to + first * size))
            return out_of_range(t, err);
    }
    return WILOR_OK;
}

/* For values in plain memory. */
static wilor_status walk_memory(const wilor_tensor *t, run_function *run, uint8_t *to,
                                size_t size, wilor_error *err) {
    size_t shape[WILOR_MAX_RANK + 1], step[WILOR_MAX_RANK + 1], at[WILOR_MAX_RANK + 1] = {0};
    int last = reduce(t, shape, step) - 1;
    const uint8_t *p = t->data;
    for (;;) {
        if (!run(t, p, step[last], shape[last], to))
            return out_of_range(t, err);
        to += shape[last] * size;
        int i = last - 1;
        for (; i >= 0; i--) {
            p += step[i];
            if (++at[i] < shape[i])
                break;
            p -= shape[i] * step[i];
            at[i] = 0;
        }
        if (i < 0)
            return WILOR_OK;
    }
}

static wilor_status fetch(const wilor_tensor *t, size_t from, size_t bytes, void *dst,
                          wilor_error *err) {
    const wilor_index *x = t->mapped;
    return wilor_file_map_read(&x->map, t->data + from, bytes, dst, x->raw_path, err);
}

static bool is_dense(const wilor_tensor *t) {
    size_t shape[WILOR_MAX_RANK + 1], step[WILOR_MAX_RANK + 1];
    return reduce(t, shape, step) == 1 && step[0] == t->element;
}

/* For values in a large file. Dense ones come a chunk at a time or, when nothing is to be
 * converted, at once; of others all that the view spans is fetched first: a read for each short
 * run would fetch the same pages over and over. */
static wilor_status walk_mapped(const wilor_tensor *t, run_function *run, uint8_t *to,
                                size_t size, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    uint8_t *block = NULL, chunk[1 << 14];
    const size_t room = sizeof chunk / t->element;
    bool as_it_is =
        run == run_bytes || (run == run_f32 && t->dtype == WILOR_F32 && !must_swap(t));
    if (!is_dense(t)) {
        block = wilor_heap_alloc(t->span, 1);
        if (!block)
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory for tensor %s",
                       t->mapped->path.text, wilor_quote(&q, t->name));
        WILOR_TRY(fetch(t, 0, t->span, block, err));
        wilor_tensor copy = *t;
        copy.data = block;
        WILOR_TRY(walk_memory(&copy, run, to, size, err));
    } else if (as_it_is) {
        WILOR_TRY(fetch(t, 0, t->count * t->element, to, err));
    } else {
        for (size_t first = 0, n; first < t->count; first += n) {
            n = t->count - first < room ? t->count - first : room;
            WILOR_TRY(fetch(t, first * t->element, n * t->element, chunk, err));
            if (!run(t, chunk, t->element, n, to + first * size))
                WILOR_TRY(out_of_range(t, err));
        }
    }
done:
    wilor_heap_free(block);
    return st;
}

static wilor_status walk(const wilor_tensor *t, run_function *run, void *dst, size_t size,
                         wilor_error *err) {
    if (!t->count)
        return WILOR_OK;
    if (t->generator)
        return walk_generated(t, run, dst, size, err);
    if (t->mapped)
        return walk_mapped(t, run, dst, size, err);
    return walk_memory(t, run, dst, size, err);
}

static wilor_status no_arithmetic(const wilor_tensor *t, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                           "tensor %s has type %s, which is not read", wilor_quote(&q, t->name),
                           t->dtype_name);
}

wilor_status wilor_tensor_to_f32(const wilor_tensor *t, float *dst, wilor_error *err) {
    if (t->dtype == WILOR_DTYPE_OTHER)
        return no_arithmetic(t, err);
    return walk(t, run_f32, dst, sizeof *dst, err);
}

wilor_status wilor_tensor_to_f64(const wilor_tensor *t, double *dst, wilor_error *err) {
    if (t->dtype == WILOR_DTYPE_OTHER)
        return no_arithmetic(t, err);
    return walk(t, run_f64, dst, sizeof *dst, err);
}

wilor_status wilor_tensor_to_i64(const wilor_tensor *t, int64_t *dst, wilor_error *err) {
    if (t->dtype == WILOR_DTYPE_OTHER)
        return no_arithmetic(t, err);
    return walk(t, run_i64, dst, sizeof *dst, err);
}

/* Rows of a tensor as one; of a generator's tensor only its shape. */
static wilor_status take_rows(wilor_tensor *part, const wilor_tensor *t, int64_t first,
                              int64_t rows, wilor_error *err) {
    wilor_quoted q;
    int64_t have = t->rank ? t->shape[0] : 1;
    *part = *t;
    if (first < 0 || rows < 0 || first > have || rows > have - first)
        return wilor_error_set(
            err, WILOR_ERR_ARG, "%lld rows from row %lld on of tensor %s, which has %lld",
            (long long)rows, (long long)first, wilor_quote(&q, t->name), (long long)have);
    if (!t->rank || rows == 0 || t->count == 0) {
        part->count = rows == 0 ? 0 : t->count;
        return WILOR_OK;
    }
    part->shape[0] = rows;
    part->count = t->count / (size_t)have * (size_t)rows;
    if (!t->generator) {
        part->data += (size_t)first * (size_t)t->stride[0] * t->element;
        part->span -= (size_t)(have - rows) * (size_t)t->stride[0] * t->element;
    }
    return WILOR_OK;
}

wilor_status wilor_tensor_rows_to_f32(const wilor_tensor *t, int64_t first, int64_t rows,
                                      float *dst, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tensor part;
    WILOR_TRY(take_rows(&part, t, first, rows, err));
    if (part.generator && part.rank && part.count) {
        size_t row = t->count / (size_t)t->shape[0];
        t->generator->fill(t->generator, (size_t)first * row, part.count, dst);
        return WILOR_OK;
    }
    st = wilor_tensor_to_f32(&part, dst, err);
done:
    return st;
}

bool wilor_tensor_is_halves(const wilor_tensor *t) {
    return t->dtype == WILOR_F16 && !t->generator && !must_swap(t);
}

wilor_status wilor_tensor_rows_gather(const wilor_tensor *t, int64_t first, int64_t rows,
                                      uint8_t *dst, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_tensor part;
    WILOR_TRY(take_rows(&part, t, first, rows, err));
    st = wilor_tensor_gather(&part, dst, err);
done:
    return st;
}

wilor_status wilor_tensor_gather(const wilor_tensor *t, uint8_t *dst, wilor_error *err) {
    return walk(t, run_bytes, dst, t->element, err);
}

const float *wilor_tensor_f32_in_place(const wilor_tensor *t) {
    size_t shape[WILOR_MAX_RANK + 1], step[WILOR_MAX_RANK + 1];
    if (t->dtype != WILOR_F32 || must_swap(t) || !t->data || t->mapped ||
        (uintptr_t)t->data % sizeof(float))
        return NULL;
    if (reduce(t, shape, step) != 1 || step[0] != sizeof(float))
        return NULL;
    return (const float *)(const void *)t->data;
}
