/* A network's tensors for MLX: each is read once, into memory of its own that MLX then computes on where it can.
 * Matrices that a file has in groups of 4 or 8 bits stay as they are; those with a scale a row become groups of the same
 * numbers. */
#include "backend_mlx.h"

#include "heap.h"
#include "round16.h"

#include <string.h>

enum { ROWS_A_UNIT = 64, LARGE = 1 << 20 };

typedef struct giver {
    const wilor_mlx_table *table;
    void *model;
    const wilor_mlx_shape *shape;
    wilor_threads *pool;
    wilor_mlx_block placed; /* what the reader fills at the moment, or nothing */
} giver;

/* ---------------------------------------------------------------- memory */

/* A block's owner: large ones are pages, which MLX can use in place. */
static void release(void *owner) {
    wilor_pages *p = owner;
    if (p->bytes)
        wilor_pages_free(p);
    else
        wilor_heap_free(p->data);
    wilor_heap_free(p);
}

static bool take_memory(wilor_mlx_block *out, size_t bytes) {
    wilor_pages *owner = wilor_heap_alloc(1, sizeof *owner);
    *out = (wilor_mlx_block){NULL, NULL, NULL};
    if (!owner)
        return false;
    if (bytes < LARGE)
        owner->data = wilor_heap_alloc(bytes, 1);
    else if (!wilor_pages_alloc(owner, bytes))
        owner->data = NULL;
    if (!owner->data) {
        wilor_heap_free(owner);
        return false;
    }
    *out = (wilor_mlx_block){owner->data, release, owner};
    return true;
}

static void give_up(wilor_mlx_block *b) {
    if (b->owner)
        b->release(b->owner);
    *b = (wilor_mlx_block){NULL, NULL, NULL};
}

static size_t count_of(const giver *to, int t) {
    return wilor_net_tensor_count(to->shape->width, to->shape->mlp, t);
}

/* ---------------------------------------------------------------- numbers */

static wilor_mlx_number number_of(const giver *to, int t) {
    return wilor_mlx_is_product(t) ? to->shape->number : WILOR_MLX_F32;
}

static size_t number_bytes(wilor_mlx_number n) { return n == WILOR_MLX_F32 ? 4 : 2; }

static void put_numbers(void *out, const float *from, size_t count, wilor_mlx_number number) {
    uint16_t *to = out;
    if (number == WILOR_MLX_F32) {
        memcpy(out, from, count * sizeof *from);
        return;
    }
    for (size_t i = 0; i < count; i++)
        to[i] =
            number == WILOR_MLX_F16 ? wilor_f16_of_f32(from[i]) : wilor_bf16_of_f32(from[i]);
}

static float *place(void *user, int tensor, int block) {
    giver *to = user;
    (void)block;
    give_up(&to->placed);
    if (number_of(to, tensor) != WILOR_MLX_F32 ||
        !take_memory(&to->placed, count_of(to, tensor) * sizeof(float)))
        return NULL;
    return to->placed.data;
}

static wilor_status put(void *user, int tensor, int block, const float *data,
                        wilor_error *err) {
    giver *to = user;
    wilor_mlx_error e = {{0}};
    wilor_mlx_number number = number_of(to, tensor);
    wilor_mlx_block b = to->placed;
    to->placed = (wilor_mlx_block){NULL, NULL, NULL};
    if (!b.data || data != b.data) {
        size_t count = count_of(to, tensor);
        give_up(&b);
        if (!take_memory(&b, count * number_bytes(number)))
            return wilor_error_set(err, WILOR_ERR_NOMEM,
                                   "no memory for a tensor of %zu numbers", count);
        put_numbers(b.data, data, count, number);
    }
    return wilor_mlx_status(to->table->model_put(to->model, tensor, block, &b, &e), &e, err);
}

/* ---------------------------------------------------------------- groups */

/* The group in which a scale a row is repeated; 0: the row is cut in none. */
static int64_t group_for(const wilor_matrix_view *m) {
    if (m->form == WILOR_MATRIX_GROUPS)
        return m->group == 32 || m->group == 64 || m->group == 128 ? m->group : 0;
    return m->inputs % 128 == 0 ? 128 : m->inputs % 64 == 0 ? 64 : m->inputs % 32 == 0 ? 32 : 0;
}

static bool keeps(void *user, int tensor, const wilor_matrix_view *m) {
    const giver *to = user;
    return wilor_mlx_is_matrix(tensor) && m->form != WILOR_MATRIX_PLAIN && group_for(m) != 0 &&
           m->inputs % 32 == 0 && (to->shape->bits != 4 || m->bits == 4);
}

typedef struct groups_job {
    const giver *to;
    const wilor_matrix_view *m;
    const wilor_mlx_groups *out;
    uint8_t *q;             /* outputs × inputs */
    float *scales, *biases; /* outputs × groups */
    wilor_failure failure;
    const wilor_loader *l;
} groups_job;

/* Numbers of `bits` bits from the low ones up. */
static void pack_words(const uint8_t *q, size_t count, int bits, uint32_t *words) {
    size_t each = 32 / (size_t)bits;
    for (size_t i = 0; i < count / each; i++) {
        uint32_t word = 0;
        for (size_t k = 0; k < each; k++)
            word |= (uint32_t)q[i * each + k] << (k * (size_t)bits);
        words[i] = word;
    }
}

/* A scale a row, for signed numbers, as groups of unsigned ones: s · q = s · (q + 128) - 128 s. */
static void spread_row(float scale, uint8_t *q, size_t inputs, float *scales, float *biases,
                       size_t groups) {
    for (size_t i = 0; i < inputs; i++)
        q[i] = (uint8_t)(q[i] + 128u);
    for (size_t i = 0; i < groups; i++) {
        scales[i] = scale;
        biases[i] = -128.0f * scale;
    }
}

static void groups_unit(void *context, int unit, int thread) {
    groups_job *j = context;
    wilor_error err;
    const wilor_matrix_view *m = j->m;
    int64_t first = (int64_t)unit * ROWS_A_UNIT, left = m->outputs - first;
    int64_t rows = left < ROWS_A_UNIT ? left : ROWS_A_UNIT;
    size_t inputs = (size_t)m->inputs, groups = inputs / (size_t)j->out->group;
    float own[ROWS_A_UNIT];
    bool spread = m->form == WILOR_MATRIX_ROWS;
    uint8_t *q = j->q + (size_t)first * inputs;
    float *scales = j->scales + (size_t)first * groups,
          *biases = j->biases + (size_t)first * groups;
    (void)thread;
    wilor_status st = wilor_matrix_rows_stored(m, first, rows, q, spread ? own : scales,
                                               spread ? NULL : biases, &err);
    wilor_failure_note(&j->failure, j->l, st, &err);
    if (st != WILOR_OK)
        return;
    for (size_t r = 0; spread && r < (size_t)rows; r++)
        spread_row(own[r], q + r * inputs, inputs, scales + r * groups, biases + r * groups,
                   groups);
    size_t count = (size_t)rows * inputs, at = (size_t)first;
    size_t words = inputs * (size_t)m->bits / 32, bytes = number_bytes(j->to->shape->number);
    pack_words(q, count, m->bits, (uint32_t *)j->out->words.data + at * words);
    put_numbers((char *)j->out->scales.data + at * groups * bytes, scales,
                (size_t)rows * groups, j->to->shape->number);
    put_numbers((char *)j->out->biases.data + at * groups * bytes, biases,
                (size_t)rows * groups, j->to->shape->number);
}

static wilor_status put_stored(void *user, int tensor, int block, const wilor_matrix_view *m,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    giver *to = user;
    wilor_mlx_error e = {{0}};
    wilor_mlx_groups out = {.bits = m->bits, .group = (int)group_for(m)};
    size_t n = (size_t)m->outputs, inputs = (size_t)m->inputs,
           groups = inputs / (size_t)out.group;
    size_t bytes = number_bytes(to->shape->number);
    const wilor_loader l = {.err = err};
    groups_job j = {.to = to, .m = m, .out = &out, .l = &l};
    j.q = wilor_heap_alloc(n, inputs);
    j.scales = wilor_heap_alloc(2 * n * groups, sizeof(float));
    if (!j.q || !j.scales || !take_memory(&out.words, n * inputs * (size_t)m->bits / 8) ||
        !take_memory(&out.scales, n * groups * bytes) ||
        !take_memory(&out.biases, n * groups * bytes))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a matrix of %zu × %zu", n, inputs);
    j.biases = j.scales + n * groups;
    wilor_threads_run(to->pool, groups_unit, &j, (int)((n + ROWS_A_UNIT - 1) / ROWS_A_UNIT));
    WILOR_TRY(j.failure.st);
    const wilor_mlx_groups given = out;
    out = (wilor_mlx_groups){.bits = 0};
    WILOR_TRY(wilor_mlx_status(
        to->table->model_put_groups(to->model, tensor, block, &given, &e), &e, err));
done:
    give_up(&out.words);
    give_up(&out.scales);
    give_up(&out.biases);
    wilor_heap_free(j.q);
    wilor_heap_free(j.scales);
    return st;
}

wilor_status wilor_mlx_weights_give(const wilor_mlx_table *table, void *model,
                                    const wilor_mlx_shape *shape, const wilor_backend_load *o,
                                    wilor_error *err) {
    giver to = {.table = table, .model = model, .shape = shape, .pool = o->pool};
    const wilor_vit_dims dims = {shape->width, shape->depth, shape->heads, shape->mlp,
                                 shape->side_head};
    const wilor_net_sink sink = {.user = &to,
                                 .put = put,
                                 .place = place,
                                 .keeps = keeps,
                                 .put_stored = put_stored,
                                 .learned_norms = true};
    wilor_status st = wilor_net_weights_read(o, &dims, &sink, err);
    give_up(&to.placed);
    return st;
}
