/* Linear layers of quantised files. A group file says neither its bits nor its group: both follow
 * from three shapes and the number of inputs (model.md, "Weights files"). Easy to get wrong:
 * without the number of inputs 4 and 8 bits look alike; and every quotient must be whole. */
#include "matrix_view.h"

#include "heap.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NAME_ROOM = 160, WORD_BITS = 32 };

static const wilor_tensor *part_of(const wilor_index *x, const char *name, const char *part) {
    char full[NAME_ROOM];
    int n = snprintf(full, sizeof full, "%s.%s", name, part);
    return n < NAME_ROOM ? wilor_index_find(x, full) : NULL;
}

static bool ends(const char *text, const char *with) {
    size_t n = strlen(text), k = strlen(with);
    return n >= k && strcmp(text + n - k, with) == 0;
}

int64_t wilor_matrix_inputs(const wilor_index *x, const char *name) {
    const wilor_tensor *pos = wilor_index_find(x, "backbone.pos_embed");
    int64_t width = pos && pos->rank ? pos->shape[pos->rank - 1] : 0;
    if (strncmp(name, "refine_net.dec_", 15) == 0)
        return width / 2 + width / 4 + width / 8;
    if (ends(name, ".mlp.fc2")) {
        char fc1[NAME_ROOM];
        size_t n = strlen(name);
        if (n >= sizeof fc1)
            return 0;
        memcpy(fc1, name, n + 1);
        fc1[n - 1] = '1';
        const wilor_tensor *t = part_of(x, fc1, "weight");
        return t && t->rank == 2 ? t->shape[0] : 0;
    }
    if (ends(name, ".attn.qkv") || ends(name, ".attn.proj") || ends(name, ".mlp.fc1") ||
        strncmp(name, "backbone.dec", 12) == 0)
        return width;
    return 0;
}

static wilor_status refuse(const wilor_index *x, const char *name, wilor_status status,
                           wilor_error *err, const char *what) {
    wilor_quoted file, layer;
    return wilor_error_set(err, status, "%s: the layer %s %s",
                           wilor_quote(&file, wilor_index_path(x)), wilor_quote(&layer, name),
                           what);
}

static bool is_real(const wilor_tensor *t) {
    return t->dtype == WILOR_F32 || t->dtype == WILOR_F16 || t->dtype == WILOR_BF16 ||
           t->dtype == WILOR_F64;
}

static wilor_status find_rows(wilor_matrix_view *m, const wilor_index *x, const char *name,
                              wilor_error *err) {
    m->form = WILOR_MATRIX_ROWS;
    m->bits = 8;
    m->inputs = m->weight->shape[1];
    if (m->biases || m->scales->rank != 1 || m->scales->shape[0] != m->outputs ||
        !is_real(m->scales))
        return refuse(x, name, WILOR_ERR_MODEL, err, "has I8 weights, but not one scale a row");
    return WILOR_OK;
}

static wilor_status find_groups(wilor_matrix_view *m, const wilor_index *x, const char *name,
                                int64_t inputs, wilor_error *err) {
    wilor_quoted file, layer;
    const wilor_tensor *s = m->scales, *b = m->biases;
    int64_t words = m->weight->shape[1];
    m->form = WILOR_MATRIX_GROUPS;
    if (!b || s->rank != 2 || b->rank != 2 || s->shape[0] != m->outputs ||
        b->shape[0] != m->outputs || s->shape[1] != b->shape[1] || !is_real(s) || !is_real(b))
        return refuse(x, name, WILOR_ERR_MODEL, err,
                      "has U32 weights, but not scales and biases of the same groups");
    if (words < 1 || words > INT64_MAX / WORD_BITS || s->shape[1] < 1)
        return refuse(x, name, WILOR_ERR_MODEL, err, "has no inputs");
    m->inputs = inputs ? inputs : words * WORD_BITS / 4;
    int64_t bits = words * WORD_BITS / m->inputs;
    if (bits * m->inputs != words * WORD_BITS)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s: the layer %s has %" PRId64 " words for %" PRId64
                               " inputs: no whole number of bits each",
                               wilor_quote(&file, wilor_index_path(x)),
                               wilor_quote(&layer, name), words, m->inputs);
    if (bits != 4 && bits != 8)
        return wilor_error_set(
            err, WILOR_ERR_UNSUPPORTED,
            "%s: the layer %s is quantised to %" PRId64 " bits; 4 and 8 are read",
            wilor_quote(&file, wilor_index_path(x)), wilor_quote(&layer, name), bits);
    m->bits = (int)bits;
    m->group = m->inputs / s->shape[1];
    if (m->group * s->shape[1] != m->inputs || m->group % 8 != 0)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s: the layer %s has %" PRId64 " scales for %" PRId64
                               " inputs: groups must be whole multiples of 8",
                               wilor_quote(&file, wilor_index_path(x)),
                               wilor_quote(&layer, name), s->shape[1], m->inputs);
    return WILOR_OK;
}

wilor_status wilor_matrix_find(wilor_matrix_view *out, const wilor_index *x, const char *name,
                               int64_t inputs, wilor_error *err) {
    wilor_matrix_view m = {.weight = part_of(x, name, "weight"),
                           .scales = part_of(x, name, "scales"),
                           .biases = part_of(x, name, "biases")};
    wilor_status st = WILOR_OK;
    if (!m.weight || m.weight->rank != 2)
        return refuse(x, name, WILOR_ERR_MODEL, err, "has no matrix of weights");
    m.outputs = m.weight->shape[0];
    m.inputs = m.weight->shape[1];
    if (m.weight->dtype == WILOR_U32 && m.scales)
        st = find_groups(&m, x, name, inputs, err);
    else if (m.weight->dtype == WILOR_I8 && m.scales)
        st = find_rows(&m, x, name, err);
    else if (m.scales || m.biases || !is_real(m.weight))
        st = refuse(x, name, WILOR_ERR_MODEL, err,
                    "is neither plain nor quantised in a known way");
    if (st == WILOR_OK && inputs && m.inputs != inputs)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "the layer %s has %" PRId64 " inputs, expected %" PRId64, name,
                               m.inputs, inputs);
    if (st == WILOR_OK)
        *out = m;
    return st;
}

/* Row `row` of a matrix as it is stored. */
static wilor_tensor row_of(const wilor_tensor *t, int64_t row) {
    wilor_tensor part = *t;
    part.shape[0] = 1;
    part.count = (size_t)t->shape[1];
    part.data += (size_t)row * (size_t)t->stride[0] * t->element;
    part.span -= (size_t)(t->shape[0] - 1) * (size_t)t->stride[0] * t->element;
    return part;
}

static void spread_groups(const wilor_matrix_view *m, const int64_t *words, const float *scales,
                          const float *biases, float *dst) {
    int each = WORD_BITS / m->bits;
    int64_t mask = ((int64_t)1 << m->bits) - 1;
    for (int64_t i = 0; i < m->inputs; i++) {
        int64_t q = words[i / each] >> (int)(i % each) * m->bits & mask;
        dst[i] = scales[i / m->group] * (float)q + biases[i / m->group];
    }
}

static wilor_status groups_to_f32(const wilor_matrix_view *m, int64_t first, int64_t rows,
                                  float *dst, wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t words = (size_t)m->weight->shape[1], groups = (size_t)m->scales->shape[1];
    int64_t *packed = wilor_heap_alloc(words, sizeof *packed);
    float *scales = wilor_heap_alloc(groups, 2 * sizeof *scales);
    if (!packed || !scales)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a row of %zu words", words);
    for (int64_t r = first; r < first + rows; r++, dst += m->inputs) {
        wilor_tensor row = row_of(m->weight, r);
        WILOR_TRY(wilor_tensor_to_i64(&row, packed, err));
        WILOR_TRY(wilor_tensor_rows_to_f32(m->scales, r, 1, scales, err));
        WILOR_TRY(wilor_tensor_rows_to_f32(m->biases, r, 1, scales + groups, err));
        spread_groups(m, packed, scales, scales + groups, dst);
    }
done:
    wilor_heap_free(packed);
    wilor_heap_free(scales);
    return st;
}

wilor_status wilor_matrix_rows_to_f32(const wilor_matrix_view *m, int64_t first, int64_t rows,
                                      float *dst, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (first < 0 || rows < 0 || first > m->outputs || rows > m->outputs - first)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "rows %" PRId64 " ... of a matrix that has %" PRId64, first,
                               m->outputs);
    if (m->form == WILOR_MATRIX_GROUPS)
        return groups_to_f32(m, first, rows, dst, err);
    WILOR_TRY(wilor_tensor_rows_to_f32(m->weight, first, rows, dst, err));
    if (m->form == WILOR_MATRIX_ROWS)
        for (int64_t r = 0; r < rows; r++, dst += m->inputs) {
            float scale;
            WILOR_TRY(wilor_tensor_rows_to_f32(m->scales, first + r, 1, &scale, err));
            for (int64_t i = 0; i < m->inputs; i++)
                dst[i] *= scale;
        }
done:
    return st;
}

static void spread_words(const wilor_matrix_view *m, const int64_t *words, uint8_t *q) {
    int each = WORD_BITS / m->bits;
    int64_t mask = ((int64_t)1 << m->bits) - 1;
    for (int64_t i = 0; i < m->inputs; i++)
        q[i] = (uint8_t)(words[i / each] >> (int)(i % each) * m->bits & mask);
}

wilor_status wilor_matrix_rows_stored(const wilor_matrix_view *m, int64_t first, int64_t rows,
                                      uint8_t *q, float *scales, float *biases,
                                      wilor_error *err) {
    wilor_status st = WILOR_OK;
    size_t words = (size_t)m->weight->shape[1];
    int64_t *row = wilor_heap_alloc(words, sizeof *row);
    if (!row)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a row of %zu numbers", words);
    for (int64_t r = 0; r < rows; r++, q += m->inputs) {
        wilor_tensor stored = row_of(m->weight, first + r);
        WILOR_TRY(wilor_tensor_to_i64(&stored, row, err));
        if (m->form == WILOR_MATRIX_GROUPS)
            spread_words(m, row, q);
        for (size_t i = 0; m->form == WILOR_MATRIX_ROWS && i < words; i++)
            q[i] = (uint8_t)(int8_t)row[i];
    }
    WILOR_TRY(wilor_tensor_rows_to_f32(m->scales, first, rows, scales, err));
    if (m->form == WILOR_MATRIX_GROUPS)
        WILOR_TRY(wilor_tensor_rows_to_f32(m->biases, first, rows, biases, err));
done:
    wilor_heap_free(row);
    return st;
}
