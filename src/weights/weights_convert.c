/* Converting: a plan of all tensors (so that the header can come first), then their numbers.
 *
 * What becomes narrow: with f16 and bf16 every matrix and convolution, with int8 and int4 the four
 * matrices of each block; all else stays float32, as in wilor-mlx's own quantised files, or, in the
 * checkpoint's layout, what 16-bit numbers it is. Order in the file: integers, float32, quantised,
 * 16 bits, so that every tensor lies on a multiple of its element's size although safetensors allows
 * no gaps.
 *
 * Easy to get wrong: a convolution's numbers are gathered once before its layout changes (a row
 * of the permuted view would read the whole source again); a finite number may not become an
 * infinity. */
#include "weights_convert.h"

#include "canonical_names.h"
#include "heap.h"
#include "index_build.h"
#include "matrix_view.h"
#include "model_schema.h"
#include "quantise.h"
#include "round16.h"
#include "tensor_source.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 1 << 20, /* numbers converted at a time, unless a row is longer */
    PARTS = 3,       /* most tensors that one of the source becomes */
    HEAD_WIDTH = 80
};

/* Where one tensor's numbers come from and what they become. */
typedef struct step {
    enum { STEP_INTEGERS, STEP_FLOATS, STEP_NARROW, STEP_GROUPS, STEP_ROWS, STEP_CONSTANT } how;

    wilor_tensor_dtype half; /* of STEP_NARROW */
    wilor_schema_entry entry;
    wilor_matrix_view matrix;   /* of rank 2 weights */
    const wilor_tensor *tensor; /* of others */
    const float *constant;
} step;

typedef struct converter {
    const wilor_convert_job *job;
    wilor_safetensors_writer *writer;
    wilor_error *err;
    wilor_quoted path;
    wilor_schema schema;
    int bits;
    step *steps;
    size_t count;
    wilor_planned_tensor *plan;
    size_t planned;
    float *chunk; /* numbers of the tensor at work */
    size_t chunk_room;
} converter;

static const float g_mean[3] = {0.485f, 0.456f, 0.406f}, g_std[3] = {0.229f, 0.224f, 0.225f};

static const char *const g_mano[] = {"v_template",   "shapedirs",   "posedirs",
                                     "J_regressor",  "lbs_weights", "parents",
                                     "faces_tensor", "joint_map",   "extra_joints_idxs"};

enum { MANO_FLOATS = 5, MANO_COUNT = sizeof g_mano / sizeof g_mano[0] };

static wilor_status no_memory(const converter *c) {
    return wilor_error_set(c->err, WILOR_ERR_NOMEM, "%s: no memory to convert it",
                           c->path.text);
}

static bool is_quantised(wilor_weights_dtype d) {
    return d == WILOR_WEIGHTS_INT8 || d == WILOR_WEIGHTS_INT4;
}

static bool in_rows(const wilor_convert_job *job) {
    return job->dtype == WILOR_WEIGHTS_INT8 && !job->mlx;
}

/* ------------------------------------------------------------------ the plan */

static int how_of(const converter *c, wilor_role role) {
    if (is_quantised(c->job->dtype))
        return role != WILOR_ROLE_BLOCK_MATRIX ? STEP_FLOATS
               : in_rows(c->job)               ? STEP_ROWS
                                               : STEP_GROUPS;
    bool narrow = c->job->dtype != WILOR_WEIGHTS_F32 && role != WILOR_ROLE_OTHER &&
                  role != WILOR_ROLE_INIT;
    return narrow ? STEP_NARROW : STEP_FLOATS;
}

/* What would be widened from 16 bits and is not quantised stays as it is: exact, in half the bytes. */
static void keep_halves(const converter *c, step *s) {
    const wilor_tensor *t = wilor_index_find(c->job->source, s->entry.name);
    bool halves = t && (t->dtype == WILOR_F16 || t->dtype == WILOR_BF16);
    if (!is_quantised(c->job->dtype) || c->job->mlx || s->how != STEP_FLOATS || !halves)
        return;
    s->how = STEP_NARROW;
    s->half = t->dtype;
}

static bool is_matrix(const wilor_schema_entry *e) {
    return e->role == WILOR_ROLE_BLOCK_MATRIX || e->role == WILOR_ROLE_MATRIX;
}

static bool is_convolution(const wilor_schema_entry *e) {
    return e->role == WILOR_ROLE_CONVOLUTION || e->role == WILOR_ROLE_TRANSPOSED;
}

static wilor_status find_matrix(converter *c, step *s) {
    wilor_status st = WILOR_OK;
    wilor_schema_entry *e = &s->entry;
    char layer[sizeof e->name];
    size_t n = strlen(e->name) - strlen(".weight");
    memcpy(layer, e->name, n);
    layer[n] = 0;
    WILOR_TRY(wilor_matrix_find(&s->matrix, c->job->source, layer, e->shape[1], c->err));
    if (s->matrix.outputs != e->shape[0])
        WILOR_FAIL(c->err, WILOR_ERR_MODEL,
                   "%s: the layer %s has %" PRId64 " outputs, expected %" PRId64, c->path.text,
                   layer, s->matrix.outputs, e->shape[0]);
    if (s->how == STEP_GROUPS && e->shape[1] % c->job->group_size != 0)
        WILOR_FAIL(c->err, WILOR_ERR_ARG,
                   "%s: groups of %d do not divide the %" PRId64 " inputs of %s", c->path.text,
                   c->job->group_size, e->shape[1], layer);
done:
    return st;
}

static wilor_status find_tensor(converter *c, step *s) {
    wilor_tensor_source source = {.weights = c->job->source};
    const wilor_schema_entry *e = &s->entry;
    const wilor_index *index;
    if (e->role == WILOR_ROLE_INIT && !wilor_index_find(c->job->source, e->name))
        return wilor_error_set(c->err, WILOR_ERR_MISSING,
                               "%s lacks %s, which wilor-mlx's files have", c->path.text,
                               e->name);
    return wilor_source_need(&source, e->name, e->rank, e->shape, &index, &s->tensor, c->err);
}

/* The checkpoint's init_* may come from another file; wilor-mlx's loader wants them in its own. */
static wilor_status plan_network(converter *c) {
    wilor_status st = WILOR_OK;
    size_t n = wilor_schema_count(&c->schema);
    for (size_t i = 0; i < n; i++) {
        step *s = &c->steps[c->count];
        wilor_schema_at(&c->schema, i, &s->entry);
        s->how = how_of(c, s->entry.role);
        s->half = c->job->dtype == WILOR_WEIGHTS_F16 ? WILOR_F16 : WILOR_BF16;
        keep_halves(c, s);
        if (s->entry.role == WILOR_ROLE_INIT && !c->job->mlx &&
            !wilor_index_find(c->job->source, s->entry.name))
            continue;
        if (is_matrix(&s->entry))
            WILOR_TRY(find_matrix(c, s));
        else
            WILOR_TRY(find_tensor(c, s));
        c->count++;
    }
done:
    return st;
}

/* Shapes are the source's: MANO's sizes are its own. */
static wilor_status plan_mano(converter *c) {
    for (size_t i = 0; c->job->with_mano && i < MANO_COUNT; i++) {
        step *s = &c->steps[c->count++];
        s->how = i < MANO_FLOATS ? STEP_FLOATS : STEP_INTEGERS;
        s->entry = (wilor_schema_entry){.role = WILOR_ROLE_OTHER};
        snprintf(s->entry.name, sizeof s->entry.name, "mano.%s", g_mano[i]);
        s->tensor = wilor_index_find(c->job->source, s->entry.name);
        if (!s->tensor)
            return wilor_error_set(c->err, WILOR_ERR_MISSING,
                                   "%s has no hand model to take along: %s is missing",
                                   c->path.text, s->entry.name);
        if (s->tensor->rank > 4)
            return wilor_error_set(c->err, WILOR_ERR_MODEL, "%s: %s has %d dimensions",
                                   c->path.text, s->entry.name, s->tensor->rank);
        s->entry.rank = s->tensor->rank;
        memcpy(s->entry.shape, s->tensor->shape, sizeof s->entry.shape);
        keep_halves(c, s);
    }
    return WILOR_OK;
}

static void plan_constants(converter *c) {
    static const char *const names[2] = {"IMAGE_MEAN", "IMAGE_STD"};
    for (int i = 0; c->job->mlx && i < 2; i++) {
        step *s = &c->steps[c->count++];
        s->how = STEP_CONSTANT;
        s->constant = i ? g_std : g_mean;
        s->entry = (wilor_schema_entry){.rank = 4, .shape = {1, 1, 1, 3}};
        snprintf(s->entry.name, sizeof s->entry.name, "%s", names[i]);
    }
}

static int order_of(const step *s) {
    return s->how == STEP_INTEGERS                            ? 0
           : s->how == STEP_FLOATS || s->how == STEP_CONSTANT ? 1
           : s->how == STEP_NARROW                            ? 3
                                                              : 2;
}

/* One tensor of the target; `suffix` replaces .weight when given. */
static wilor_planned_tensor *plan_one(converter *c, const wilor_schema_entry *e,
                                      const char *suffix, wilor_tensor_dtype dtype) {
    wilor_planned_tensor *p = &c->plan[c->planned++];
    *p = (wilor_planned_tensor){.dtype = dtype, .rank = e->rank};
    char name[sizeof e->name + 8];
    size_t n = strlen(e->name) - (suffix ? strlen("weight") : 0);
    snprintf(name, sizeof name, "%.*s%s", (int)n, e->name, suffix ? suffix : "");
    memcpy(p->shape, e->shape, sizeof p->shape);
    if (!c->job->mlx) {
        memcpy(p->name, name, sizeof name);
        return p;
    }
    wilor_mlx_name(p->name, sizeof p->name, name);
    if (is_convolution(e)) {
        wilor_tensor t = {.rank = 4};
        memcpy(t.shape, e->shape, sizeof e->shape);
        wilor_mlx_permute(&t, e->role == WILOR_ROLE_TRANSPOSED);
        memcpy(p->shape, t.shape, sizeof p->shape);
    }
    return p;
}

static void plan_targets(converter *c, const step *s) {
    wilor_tensor_dtype scales = c->job->mlx ? WILOR_F32 : WILOR_F16;
    wilor_planned_tensor *p;
    switch (s->how) {
    case STEP_GROUPS:
        p = plan_one(c, &s->entry, NULL, WILOR_U32);
        p->shape[1] = s->entry.shape[1] * c->bits / 32;
        p = plan_one(c, &s->entry, "scales", scales);
        p->shape[1] = s->entry.shape[1] / c->job->group_size;
        p = plan_one(c, &s->entry, "biases", scales);
        p->shape[1] = s->entry.shape[1] / c->job->group_size;
        return;
    case STEP_ROWS: /* float32 before bytes */
        p = plan_one(c, &s->entry, "scales", WILOR_F32);
        p->rank = 1;
        plan_one(c, &s->entry, NULL, WILOR_I8);
        return;
    case STEP_INTEGERS:
        plan_one(c, &s->entry, NULL, WILOR_I64);
        return;
    default:
        plan_one(c, &s->entry, NULL, s->how == STEP_NARROW ? s->half : WILOR_F32);
    }
}

/* By order_of, else as they are. */
static wilor_status sort_steps(converter *c) {
    step *sorted = wilor_heap_alloc(c->count, sizeof *sorted);
    size_t n = 0;
    if (!sorted)
        return no_memory(c);
    for (int order = 0; order < 4; order++)
        for (size_t i = 0; i < c->count; i++)
            if (order_of(&c->steps[i]) == order)
                sorted[n++] = c->steps[i];
    wilor_heap_free(c->steps);
    c->steps = sorted;
    return WILOR_OK;
}

static wilor_status make_plan(converter *c) {
    wilor_status st = WILOR_OK;
    size_t most = 0;
    WILOR_TRY(wilor_schema_measure(&c->schema, c->job->source, c->err));
    most = wilor_schema_count(&c->schema) + MANO_COUNT + 2;
    c->steps = wilor_heap_alloc(most, sizeof *c->steps);
    c->plan = wilor_heap_alloc(most, PARTS * sizeof *c->plan);
    if (!c->steps || !c->plan)
        WILOR_TRY(no_memory(c));
    WILOR_TRY(plan_network(c));
    WILOR_TRY(plan_mano(c));
    plan_constants(c);
    WILOR_TRY(sort_steps(c));
    for (size_t i = 0; i < c->count; i++)
        plan_targets(c, &c->steps[i]);
done:
    return st;
}

/* ------------------------------------------------------------------ numbers */

static wilor_status refuse_numbers(const converter *c, const step *s, const char *why) {
    return wilor_error_set(c->err, WILOR_ERR_MODEL, "%s: the tensor %s %s", c->path.text,
                           s->entry.name, why);
}

/* Room for n floats in c->chunk. */
static wilor_status make_room(converter *c, size_t n) {
    if (n <= c->chunk_room)
        return WILOR_OK;
    float *more = wilor_heap_resize(c->chunk, n, sizeof *more);
    if (!more)
        return no_memory(c);
    c->chunk = more;
    c->chunk_room = n;
    return WILOR_OK;
}

/* n numbers of `from`, which are overwritten, as 16-bit floats to the file. */
static wilor_status add_narrow(converter *c, const step *s, float *from, size_t n) {
    bool half = s->half == WILOR_F16;
    uint8_t *to = (uint8_t *)from;
    for (size_t i = 0; i < n; i++) {
        float x = from[i]; /* read before its place is written: element i ends at 2i + 2 */
        uint16_t bits = half ? wilor_f16_of_f32(x) : wilor_bf16_of_f32(x);
        if (isfinite(x) && (bits & 0x7FFF) == (half ? 0x7C00 : 0x7F80))
            return refuse_numbers(c, s,
                                  half ? "has a number beyond 65504, the largest half float"
                                       : "has a number beyond the largest bfloat16");
        memcpy(to + 2 * i, &bits, sizeof bits);
    }
    return wilor_safetensors_add(c->writer, to, sizeof(uint16_t), n, c->err);
}

static wilor_status add_floats(converter *c, const step *s, float *from, size_t n) {
    if (s->how == STEP_NARROW)
        return add_narrow(c, s, from, n);
    return wilor_safetensors_add(c->writer, from, sizeof *from, n, c->err);
}

/* A convolution, gathered whole, then in the target's layout. */
static wilor_status add_convolution(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    size_t count = s->tensor->count;
    float *whole = wilor_heap_alloc(count, sizeof *whole);
    if (!whole)
        WILOR_TRY(no_memory(c));
    WILOR_TRY(wilor_tensor_to_f32(s->tensor, whole, c->err));
    if (!c->job->mlx) {
        WILOR_TRY(add_floats(c, s, whole, count));
    } else {
        const uint16_t one = 1;
        uint8_t first;
        memcpy(&first, &one, 1);
        wilor_tensor t = {.name = s->entry.name,
                          .rank = 4,
                          .count = count,
                          .big_endian = !first,
                          .data = (const uint8_t *)whole,
                          .span = count * sizeof *whole};
        wilor_tensor_set_dtype(&t, WILOR_F32);
        memcpy(t.shape, s->entry.shape, sizeof s->entry.shape);
        wilor_tensor_set_dense(&t, false);
        wilor_mlx_permute(&t, s->entry.role == WILOR_ROLE_TRANSPOSED);
        WILOR_TRY(make_room(c, count));
        WILOR_TRY(wilor_tensor_to_f32(&t, c->chunk, c->err));
        WILOR_TRY(add_floats(c, s, c->chunk, count));
    }
done:
    wilor_heap_free(whole);
    return st;
}

/* Vectors, positions, MANO: small ones, at once. */
static wilor_status add_tensor(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(make_room(c, s->tensor->count));
    WILOR_TRY(wilor_tensor_to_f32(s->tensor, c->chunk, c->err));
    WILOR_TRY(add_floats(c, s, c->chunk, s->tensor->count));
done:
    return st;
}

static wilor_status add_integers(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    int64_t *values = wilor_heap_alloc(s->tensor->count, sizeof *values);
    if (!values)
        WILOR_TRY(no_memory(c));
    WILOR_TRY(wilor_tensor_to_i64(s->tensor, values, c->err));
    WILOR_TRY(
        wilor_safetensors_add(c->writer, values, sizeof *values, s->tensor->count, c->err));
done:
    wilor_heap_free(values);
    return st;
}

/* Rows of a matrix that fit a chunk, at least one. */
static int64_t rows_a_time(const wilor_matrix_view *m) {
    int64_t rows = CHUNK / m->inputs;
    return rows < 1 ? 1 : rows;
}

static wilor_status add_matrix(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    const wilor_matrix_view *m = &s->matrix;
    int64_t each = rows_a_time(m);
    WILOR_TRY(make_room(c, (size_t)(each * m->inputs)));
    for (int64_t row = 0, n; row < m->outputs; row += n) {
        n = m->outputs - row < each ? m->outputs - row : each;
        WILOR_TRY(wilor_matrix_rows_to_f32(m, row, n, c->chunk, c->err));
        WILOR_TRY(add_floats(c, s, c->chunk, (size_t)(n * m->inputs)));
    }
done:
    return st;
}

static wilor_status not_finite(const converter *c, const step *s) {
    return refuse_numbers(c, s,
                          "has numbers that cannot be quantised (not finite, or too far "
                          "apart)");
}

/* Scales or biases: float32, or half floats whose values they have already. */
static wilor_status add_scales(converter *c, float *values, size_t n) {
    if (c->job->mlx)
        return wilor_safetensors_add(c->writer, values, sizeof *values, n, c->err);
    uint8_t *to = (uint8_t *)values;
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = wilor_f16_of_f32(values[i]);
        memcpy(to + 2 * i, &bits, sizeof bits);
    }
    return wilor_safetensors_add(c->writer, to, sizeof(uint16_t), n, c->err);
}

static wilor_status add_groups(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    const wilor_matrix_view *m = &s->matrix;
    size_t in = (size_t)m->inputs, out = (size_t)m->outputs;
    size_t group = (size_t)c->job->group_size, groups = in / group;
    size_t words = in * (size_t)c->bits / 32;
    wilor_scale_type type = c->job->mlx ? WILOR_SCALES_F32 : WILOR_SCALES_F16;
    uint32_t *packed = wilor_heap_alloc(out * words, sizeof *packed);
    float *scales = wilor_heap_alloc(out * groups, 2 * sizeof *scales);
    float *biases = scales ? scales + out * groups : NULL;
    if (!packed || !scales)
        WILOR_TRY(no_memory(c));
    WILOR_TRY(make_room(c, in));
    for (size_t row = 0; row < out; row++) {
        WILOR_TRY(wilor_matrix_rows_to_f32(m, (int64_t)row, 1, c->chunk, c->err));
        if (!wilor_quantise_affine(c->chunk, in, group, c->bits, type, packed + row * words,
                                   scales + row * groups, biases + row * groups))
            WILOR_TRY(not_finite(c, s));
    }
    WILOR_TRY(wilor_safetensors_add(c->writer, packed, sizeof *packed, out * words, c->err));
    WILOR_TRY(add_scales(c, scales, out * groups));
    WILOR_TRY(add_scales(c, biases, out * groups));
done:
    wilor_heap_free(packed);
    wilor_heap_free(scales);
    return st;
}

static wilor_status add_rows(converter *c, const step *s) {
    wilor_status st = WILOR_OK;
    const wilor_matrix_view *m = &s->matrix;
    size_t in = (size_t)m->inputs, out = (size_t)m->outputs;
    int8_t *q = wilor_heap_alloc(out, in);
    float *scales = wilor_heap_alloc(out, sizeof *scales);
    if (!q || !scales)
        WILOR_TRY(no_memory(c));
    WILOR_TRY(make_room(c, in));
    for (size_t row = 0; row < out; row++) {
        WILOR_TRY(wilor_matrix_rows_to_f32(m, (int64_t)row, 1, c->chunk, c->err));
        if (!wilor_quantise_row(c->chunk, in, q + row * in, &scales[row]))
            WILOR_TRY(not_finite(c, s));
    }
    WILOR_TRY(wilor_safetensors_add(c->writer, scales, sizeof *scales, out, c->err));
    WILOR_TRY(wilor_safetensors_add(c->writer, q, sizeof *q, out * in, c->err));
done:
    wilor_heap_free(q);
    wilor_heap_free(scales);
    return st;
}

static wilor_status add_step(converter *c, const step *s) {
    float constant[3];
    switch (s->how) {
    case STEP_CONSTANT:
        memcpy(constant, s->constant, sizeof constant);
        return wilor_safetensors_add(c->writer, constant, sizeof *constant, 3, c->err);
    case STEP_INTEGERS:
        return add_integers(c, s);
    case STEP_GROUPS:
        return add_groups(c, s);
    case STEP_ROWS:
        return add_rows(c, s);
    default:
        return is_matrix(&s->entry)        ? add_matrix(c, s)
               : is_convolution(&s->entry) ? add_convolution(c, s)
                                           : add_tensor(c, s);
    }
}

/* ------------------------------------------------------------------ all */

static wilor_status check_source(const converter *c) {
    static const char *const kinds[] = {"a file of other tensors",   "a WiLoR checkpoint",
                                        "a wilor-mlx file",          "a hand model",
                                        "a file of mean parameters", "a hand detector"};
    const wilor_convert_job *job = c->job;
    wilor_file_kind kind = wilor_index_kind(job->source);
    if (kind != WILOR_FILE_CHECKPOINT && kind != WILOR_FILE_MLX)
        return wilor_error_set(c->err, WILOR_ERR_MODEL,
                               "%s is %s: only WiLoR's network is converted", c->path.text,
                               kinds[kind]);
    if (job->with_mano && job->mlx)
        return wilor_error_set(c->err, WILOR_ERR_ARG,
                               "wilor-mlx's files hold no hand model; it reads mano.npz");
    if (is_quantised(job->dtype) && !in_rows(job) && job->group_size != 32 &&
        job->group_size != 64 && job->group_size != 128)
        return wilor_error_set(c->err, WILOR_ERR_ARG,
                               "groups have 32, 64 or 128 numbers, not %d", job->group_size);
    return WILOR_OK;
}

/* What the caller may want to know of the file that comes out. */
static void note_gaps(const converter *c, bool heads) {
    const wilor_callbacks *call = &c->writer->callbacks;
    if (call->log && !heads)
        call->log(
            call->user, WILOR_LOG_WARNING,
            "neither the source nor its width tells the number of attention heads; say it "
            "now, or whenever the file is used");
    if (call->log && !c->job->with_mano && wilor_index_find(c->job->source, "mano.v_template"))
        call->log(call->user, WILOR_LOG_INFO,
                  c->job->mlx
                      ? "the source's hand model is not copied: wilor-mlx's files have none"
                      : "the source's hand model (MANO) is not copied: its licence "
                        "forbids to pass it on");
}

static const char *number(char buffer[16], int n) {
    snprintf(buffer, 16, "%d", n);
    return n > 0 ? buffer : NULL;
}

static wilor_status write_header(converter *c) {
    static const char *const dtypes[] = {"f32", "f16", "bf16", "int8", "int4"};
    static const char licence[] =
        "The terms of the source hold for this file too. WiLoR's released weights: CC BY-NC-ND "
        "4.0, https://creativecommons.org/licenses/by-nc-nd/4.0/";
    const wilor_convert_job *job = c->job;
    const char *own = wilor_index_metadata(job->source, "heads");
    const char *origin = wilor_index_metadata(job->source, "origin_sha256");
    const char *named = wilor_index_metadata(job->source, "wilor.model");
    const char *terms = named ? wilor_index_metadata(job->source, "license") : NULL;
    char width[16], depth[16], mlp[16], heads[16], bits[16], group[16];
    long n = job->heads > 0                      ? job->heads
             : own                               ? strtol(own, NULL, 10)
             : c->schema.width % HEAD_WIDTH == 0 ? c->schema.width / HEAD_WIDTH
                                                 : 0;
    if (n < 0 || n > c->schema.width || (n > 0 && c->schema.width % n != 0))
        return wilor_error_set(c->err, WILOR_ERR_MODEL,
                               "%s: %ld attention heads do not divide the width of %d",
                               c->path.text, n, c->schema.width);
    if (!origin)
        origin = wilor_index_metadata(job->source, "source_sha256");
    note_gaps(c, n > 0);
    bool groups = is_quantised(job->dtype) && !in_rows(job);
    const wilor_header_pair pairs[] = {
        {"format", job->mlx ? "mlx" : "wilor"},
        {"kind", job->mlx ? "wilor-mlx" : "wilor checkpoint"},
        {"width", number(width, c->schema.width)},
        {"depth", number(depth, c->schema.depth)},
        {"mlp", number(mlp, c->schema.mlp)},
        {"heads", number(heads, (int)n)},
        {"dtype", dtypes[job->dtype]},
        {"quantisation", groups         ? "affine"
                         : in_rows(job) ? "rows"
                                        : NULL},
        {"bits", is_quantised(job->dtype) ? number(bits, c->bits) : NULL},
        {"group_size", groups ? number(group, job->group_size) : NULL},
        {"label", wilor_index_metadata(job->source, "label")},
        {"source_sha256", job->source_sha256},
        {"origin_sha256", origin},
        {"wilor.model", named},
        {"wilor.rescale", wilor_index_metadata(job->source, "wilor.rescale")},
        {"wilor.run", wilor_index_metadata(job->source, "wilor.run")},
        {"license", terms ? terms : licence},
    };
    return wilor_safetensors_begin(c->writer, pairs, sizeof pairs / sizeof pairs[0], c->plan,
                                   c->planned, c->err);
}

wilor_status wilor_convert_run(const wilor_convert_job *job, wilor_safetensors_writer *w,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    converter c = {.job = job, .writer = w, .err = err};
    wilor_quote(&c.path, wilor_index_path(job->source));
    c.bits = job->dtype == WILOR_WEIGHTS_INT4 ? 4 : 8;
    WILOR_TRY(check_source(&c));
    WILOR_TRY(wilor_index_check(job->source, err));
    WILOR_TRY(make_plan(&c));
    WILOR_TRY(write_header(&c));
    for (size_t i = 0; i < c.count; i++) {
        WILOR_TRY(add_step(&c, &c.steps[i]));
        WILOR_TRY(wilor_index_check(c.job->source, err));
    }
    WILOR_TRY(wilor_safetensors_end(w, err));
done:
    wilor_heap_free(c.steps);
    wilor_heap_free(c.plan);
    wilor_heap_free(c.chunk);
    return st;
}
