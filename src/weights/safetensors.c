/* safetensors: 8 bytes of header length, a JSON object name -> {dtype, shape, data_offsets},
 * then the data. After github.com/huggingface/safetensors, safetensors/src/tensor.rs, which
 * also demands that the tensors fill the data without hole, overlap or rest; so do we: a cut
 * file is noticed. */
#include "safetensors.h"

#include "json_reader.h"
#include <string.h>

typedef struct reader {
    wilor_index *x;
    wilor_json json;
    const uint8_t *body;
    size_t body_size;
    wilor_names
        ranges; /* begin and end of each tensor as 16 big-endian bytes: sorts like numbers */
} reader;

typedef struct entry {
    wilor_tensor t;
    int64_t begin, end;
    bool has_dtype, has_shape, has_offsets;
} entry;

static uint64_t header_length(const uint8_t *data) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | data[i];
    return n;
}

bool wilor_safetensors_seen(const uint8_t *data, size_t size) {
    return size > 8 && data[8] == '{' && (data[7] == 0 || header_length(data) > size);
}

static wilor_status bad_header(const reader *r, wilor_error *err) {
    const wilor_json *j = &r->json;
    if (j->no_memory)
        return wilor_index_no_memory(r->x, err);
    return wilor_error_set(err, WILOR_ERR_FORMAT,
                           "%s: its safetensors header is not valid at byte %zu: %s",
                           r->x->path.text, (size_t)(j->at - j->begin), j->error);
}

static bool known_dtype(wilor_tensor *t, const char *name) {
    static const struct {
        const char *name;
        size_t element;
    } listed[] = {{"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};

    for (wilor_tensor_dtype d = WILOR_F64; d < WILOR_DTYPE_OTHER; d++) {
        wilor_tensor_set_dtype(t, d);
        if (strcmp(t->dtype_name, name) == 0)
            return true;
    }
    wilor_tensor_set_dtype(t, WILOR_DTYPE_OTHER);
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
        if (strcmp(listed[i].name, name) == 0) {
            t->dtype_name = listed[i].name;
            t->element = listed[i].element;
            return true;
        }
    return false;
}

static wilor_status read_dtype(reader *r, entry *e, wilor_error *err) {
    const char *text;
    size_t length;
    wilor_quoted name, dtype;
    if (!wilor_json_string(&r->json, &text, &length))
        return bad_header(r, err);
    if (!known_dtype(&e->t, text))
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%s: tensor %s has the unknown type %s", r->x->path.text,
                               wilor_quote(&name, e->t.name), wilor_quote(&dtype, text));
    e->has_dtype = true;
    return WILOR_OK;
}

static wilor_status read_shape(reader *r, entry *e, wilor_error *err) {
    wilor_quoted q;
    e->t.rank = 0;
    wilor_json_begin(&r->json, '[');
    while (wilor_json_next(&r->json, ']')) {
        if (e->t.rank == WILOR_MAX_RANK)
            return wilor_error_set(err, WILOR_ERR_LIMIT,
                                   "%s: tensor %s has more than %d dimensions", r->x->path.text,
                                   wilor_quote(&q, e->t.name), WILOR_MAX_RANK);
        wilor_json_size(&r->json, &e->t.shape[e->t.rank++]);
    }
    e->has_shape = true;
    return r->json.error ? bad_header(r, err) : WILOR_OK;
}

static wilor_status read_offsets(reader *r, entry *e, wilor_error *err) {
    wilor_json *j = &r->json;
    bool good = wilor_json_begin(j, '[') && wilor_json_next(j, ']') &&
                wilor_json_size(j, &e->begin) && wilor_json_next(j, ']') &&
                wilor_json_size(j, &e->end) && !wilor_json_next(j, ']');
    if (!good && !j->error)
        j->error = "data_offsets are two numbers";
    e->has_offsets = true;
    return j->error ? bad_header(r, err) : WILOR_OK;
}

static wilor_status read_fields(reader *r, entry *e, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const char *key;
    size_t length;
    wilor_json_begin(&r->json, '{');
    while (wilor_json_next(&r->json, '}')) {
        if (!wilor_json_key(&r->json, &key, &length))
            break;
        bool twice = (strcmp(key, "dtype") == 0 && e->has_dtype) ||
                     (strcmp(key, "shape") == 0 && e->has_shape) ||
                     (strcmp(key, "data_offsets") == 0 && e->has_offsets);
        if (twice && !r->json.error)
            r->json.error = "a field comes twice";
        else if (strcmp(key, "dtype") == 0)
            WILOR_TRY(read_dtype(r, e, err));
        else if (strcmp(key, "shape") == 0)
            WILOR_TRY(read_shape(r, e, err));
        else if (strcmp(key, "data_offsets") == 0)
            WILOR_TRY(read_offsets(r, e, err));
        else
            wilor_json_skip(&r->json);
    }
    if (r->json.error)
        st = bad_header(r, err);
done:
    return st;
}

static wilor_status note_range(reader *r, const entry *e, wilor_error *err) {
    char *key = wilor_pool_alloc(&r->x->pool, 16, 1);
    if (!key)
        return wilor_index_no_memory(r->x, err);
    for (int i = 0; i < 8; i++) {
        key[i] = (char)(uint8_t)((uint64_t)e->begin >> (56 - 8 * i));
        key[8 + i] = (char)(uint8_t)((uint64_t)e->end >> (56 - 8 * i));
    }
    return wilor_names_add(&r->ranges, key, 16, r->x->count) ? WILOR_OK
                                                             : wilor_index_no_memory(r->x, err);
}

static wilor_status read_tensor(reader *r, const char *name, size_t length, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    entry e = {0};
    WILOR_TRY(wilor_index_name(r->x, &e.t.name, name, length, err));
    WILOR_TRY(read_fields(r, &e, err));
    if (!e.has_dtype || !e.has_shape || !e.has_offsets)
        WILOR_FAIL(err, WILOR_ERR_FORMAT,
                   "%s: tensor %s lacks its dtype, shape or data_offsets", r->x->path.text,
                   wilor_quote(&q, name));
    if (e.begin > e.end || (uint64_t)e.end > r->body_size)
        WILOR_FAIL(err, WILOR_ERR_FORMAT,
                   "%s: tensor %s lies at bytes %lld to %lld of %zu: an incomplete download?",
                   r->x->path.text, wilor_quote(&q, name), (long long)e.begin, (long long)e.end,
                   r->body_size);
    WILOR_TRY(note_range(r, &e, err));
    wilor_tensor_set_dense(&e.t, false);
    size_t bytes = (size_t)(e.end - e.begin);
    WILOR_TRY(wilor_index_add(r->x, &e.t, r->body + e.begin, bytes, 0, err));
    const wilor_tensor *t = &r->x->tensors[r->x->count - 1];
    if (t->count * t->element != bytes)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: tensor %s has %zu bytes; its shape needs %zu",
                   r->x->path.text, wilor_quote(&q, name), bytes, t->count * t->element);
done:
    return st;
}

static wilor_status read_metadata(reader *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_json *j = &r->json;
    const char *key, *value;
    size_t key_length, value_length;
    if (wilor_json_null(j)) /* as MLX writes it */
        return st;
    wilor_json_begin(j, '{');
    while (wilor_json_next(j, '}'))
        if (wilor_json_key(j, &key, &key_length) && wilor_json_string(j, &value, &value_length))
            WILOR_TRY(
                wilor_index_add_metadata(r->x, key, key_length, value, value_length, err));
    if (j->error)
        st = bad_header(r, err);
done:
    return st;
}

/* Every byte of the data belongs to one tensor. */
static wilor_status check_ranges(reader *r, wilor_error *err) {
    if (!wilor_names_sort(&r->ranges))
        return wilor_index_no_memory(r->x, err);
    uint64_t at = 0;
    for (size_t i = 0; i <= r->ranges.count; i++) {
        uint64_t begin = r->body_size, end = begin;
        if (i < r->ranges.count) {
            begin = end = 0;
            for (int k = 0; k < 8; k++) {
                begin = begin << 8 | (uint8_t)r->ranges.items[i].text[k];
                end = end << 8 | (uint8_t)r->ranges.items[i].text[8 + k];
            }
        }
        if (begin != at)
            return wilor_error_set(
                err, WILOR_ERR_FORMAT,
                "%s: its tensors overlap or leave a hole at byte %llu of the data",
                r->x->path.text, (unsigned long long)(begin < at ? begin : at));
        at = end;
    }
    return WILOR_OK;
}

wilor_status wilor_safetensors_read(wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    reader r = {.x = x};
    const char *key;
    size_t n;
    x->format = "safetensors";
    if (x->size < 8 || header_length(x->data) > x->size - 8)
        WILOR_FAIL(err, WILOR_ERR_FORMAT,
                   "%s: %zu bytes do not hold its safetensors header: an incomplete download?",
                   x->path.text, x->size);
    n = (size_t)header_length(x->data);
    x->data_offset = 8 + n;
    r.body = x->data + x->data_offset;
    r.body_size = x->size - 8 - n;
    wilor_json_init(&r.json, (const char *)x->data + 8, n, &x->pool);
    wilor_json_begin(&r.json, '{');
    while (wilor_json_next(&r.json, '}')) {
        if (!wilor_json_key(&r.json, &key, &n))
            break;
        if (strcmp(key, "__metadata__") == 0)
            WILOR_TRY(read_metadata(&r, err));
        else
            WILOR_TRY(read_tensor(&r, key, n, err));
    }
    if (!wilor_json_finish(&r.json))
        WILOR_TRY(bad_header(&r, err));
    WILOR_TRY(check_ranges(&r, err));
done:
    wilor_names_free(&r.ranges);
    return st;
}
