/* Checks of a file's contents. A fault ends nothing: the others are looked for all the same, so
 * that one run tells the whole story; texts stop after FAULTS_SHOWN. */
#include "weights_verify.h"

#include "heap.h"
#include "matrix_view.h"
#include "model_notes.h"
#include "model_schema.h"
#include "tensor_source.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAULTS_SHOWN = 50, CHUNK = 1 << 20 };

static void tell(const wilor_verifier *v, wilor_log_level level, const char *text) {
    const wilor_callbacks *c = v->callbacks;
    if (c->log)
        c->log(c->user, level, text);
}

void wilor_verify_fault(wilor_verifier *v, const char *text) {
    if (v->faults++ == 0)
        snprintf(v->first, sizeof v->first, "%s", text);
    if (v->faults <= FAULTS_SHOWN)
        tell(v, WILOR_LOG_WARNING, text);
    if (v->faults == FAULTS_SHOWN)
        tell(v, WILOR_LOG_WARNING, "... and more, if there are, which are counted only");
}

/* ------------------------------------------------------------------ numbers */

static bool is_real(const wilor_tensor *t) {
    return t->dtype == WILOR_F64 || t->dtype == WILOR_F32 || t->dtype == WILOR_F16 ||
           t->dtype == WILOR_BF16;
}

/* Rows a chunk holds, at least one; a row is all but the first dimension. */
static int64_t rows_a_time(const wilor_tensor *t, size_t *row) {
    int64_t rows = t->rank ? t->shape[0] : 1;
    *row = t->count / (size_t)rows;
    size_t fit = *row ? CHUNK / *row : 1;
    return fit < 1 ? 1 : (int64_t)fit < rows ? (int64_t)fit : rows;
}

/* Whether one of n numbers is not finite; of a double, as a float. */
static bool find_bad(const float *x, size_t n, size_t *at) {
    for (*at = 0; *at < n; ++*at)
        if (!isfinite(x[*at]))
            return true;
    return false;
}

static wilor_status check_tensor(wilor_verifier *v, const wilor_index *x, const wilor_tensor *t,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    char text[400];
    size_t row, at;
    if (!is_real(t) || !t->count)
        return WILOR_OK;
    int64_t rows = t->rank ? t->shape[0] : 1, each = rows_a_time(t, &row);
    float *chunk = wilor_heap_alloc((size_t)each * row, sizeof *chunk);
    if (!chunk)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the tensor %s",
                   wilor_quote(&q, t->name));
    for (int64_t first = 0, n; first < rows; first += n) {
        n = rows - first < each ? rows - first : each;
        WILOR_TRY(wilor_index_check(x, err));
        WILOR_TRY(wilor_tensor_rows_to_f32(t, first, n, chunk, err));
        if (find_bad(chunk, (size_t)n * row, &at)) {
            snprintf(text, sizeof text, "the tensor %s is not finite: element %zu is %g",
                     wilor_quote(&q, t->name), (size_t)first * row + at, (double)chunk[at]);
            wilor_verify_fault(v, text);
            break;
        }
    }
done:
    wilor_heap_free(chunk);
    return st;
}

static uint64_t bytes_of(const wilor_tensor *t) { return (uint64_t)t->count * t->element; }

wilor_status wilor_verify_numbers(wilor_verifier *v, const wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_callbacks *c = v->callbacks;
    uint64_t total = 0, done = 0;
    size_t n = wilor_index_count(x);
    for (size_t i = 0; i < n; i++)
        total += bytes_of(wilor_index_at(x, i));
    for (size_t i = 0; i < n; i++) {
        const wilor_tensor *t = wilor_index_at(x, i);
        if (c->cancel && c->cancel(c->user))
            WILOR_FAIL(err, WILOR_ERR_CANCELLED, "stopped while checking");
        WILOR_TRY(check_tensor(v, x, t, err));
        done += bytes_of(t);
        if (c->progress)
            c->progress(c->user, "checking", done, total);
    }
done:
    return st;
}

/* ------------------------------------------------------------------ the network */

static void check_entry(wilor_verifier *v, const wilor_index *x, const wilor_schema_entry *e) {
    wilor_tensor_source source = {.weights = x};
    wilor_error err = {0};
    const wilor_index *index;
    const wilor_tensor *t;
    char layer[sizeof e->name];
    bool matrix = e->role == WILOR_ROLE_BLOCK_MATRIX || e->role == WILOR_ROLE_MATRIX;
    if (e->role == WILOR_ROLE_INIT && !wilor_index_find(x, e->name))
        return; /* may stand in another file */
    if (!matrix) {
        if (wilor_source_need(&source, e->name, e->rank, e->shape, &index, &t, &err) !=
            WILOR_OK)
            wilor_verify_fault(v, err.text);
        return;
    }
    wilor_matrix_view m;
    snprintf(layer, sizeof layer, "%.*s", (int)(strlen(e->name) - strlen(".weight")), e->name);
    if (wilor_matrix_find(&m, x, layer, e->shape[1], &err) != WILOR_OK) {
        wilor_verify_fault(v, err.text);
    } else if (m.outputs != e->shape[0]) {
        char text[200];
        snprintf(text, sizeof text, "the layer %s has %" PRId64 " outputs, expected %" PRId64,
                 layer, m.outputs, e->shape[0]);
        wilor_verify_fault(v, text);
    }
}

/* A number of the metadata, when it is there, against what the shapes say. */
static void check_number(wilor_verifier *v, const wilor_index *x, const char *key, long is) {
    wilor_quoted q;
    char text[400];
    const char *says = wilor_index_metadata(x, key);
    if (!says || strtol(says, NULL, 10) == is)
        return;
    snprintf(text, sizeof text, "the metadata's %s is %s; by the shapes it is %ld", key,
             wilor_quote(&q, says), is);
    wilor_verify_fault(v, text);
}

static void check_metadata(wilor_verifier *v, const wilor_index *x, const wilor_schema *s) {
    wilor_matrix_view m;
    char text[400];
    const char *heads = wilor_index_metadata(x, "heads");
    long n = heads ? strtol(heads, NULL, 10) : 1;
    wilor_model_notes notes;
    wilor_error err = {0};
    if (wilor_model_notes_read(&notes, x, &err) != WILOR_OK)
        wilor_verify_fault(v, err.text);
    check_number(v, x, "width", s->width);
    check_number(v, x, "depth", s->depth);
    check_number(v, x, "mlp", s->mlp);
    if (n < 1 || n > s->width || s->width % n != 0) {
        snprintf(text, sizeof text,
                 "the metadata's %ld attention heads do not divide the width "
                 "of %d",
                 n, s->width);
        wilor_verify_fault(v, text);
    }
    if (wilor_matrix_find(&m, x, "backbone.blocks.0.attn.qkv", s->width, NULL) != WILOR_OK)
        return; /* told before */
    check_number(v, x, "bits", m.bits);
    check_number(v, x, "group_size", (long)m.group);
}

void wilor_verify_network(wilor_verifier *v, const wilor_index *x) {
    wilor_schema schema;
    wilor_schema_entry e;
    wilor_error err = {0};
    if (wilor_schema_measure(&schema, x, &err) != WILOR_OK) {
        wilor_verify_fault(v, err.text);
        return;
    }
    size_t n = wilor_schema_count(&schema);
    for (size_t i = 0; i < n; i++) {
        wilor_schema_at(&schema, i, &e);
        check_entry(v, x, &e);
    }
    check_metadata(v, x, &schema);
}
