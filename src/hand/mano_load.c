/* The hand model's arrays from a tensor index, checked and packed. Shapes decide everything; V
 * and the number of triangles come from the file. Nothing here trusts an index, a parent or a
 * number before it has looked at it. */
#include "finite.h"
#include "heap.h"
#include "mano_data.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_VERTICES = 65536,
    MOST_FACES = 1 << 20,
    ROW_STEP = 16, /* floats */
    NO_PARENT = -1
};

typedef struct source {
    const wilor_tensor_source *files;
    wilor_quoted path;
    wilor_error *err;
} source;

typedef struct shape_text {
    char text[120];
} shape_text;

/* "(778, 3)"; a wanted size below 0 means any. */
static const char *show(shape_text *s, int rank, const int64_t *shape) {
    size_t at = 0;
    s->text[at++] = '(';
    for (int i = 0; i < rank && at < sizeof s->text - 26; i++) {
        const char *sep = i ? ", " : "";
        int n = shape[i] < 0 ? snprintf(s->text + at, 26, "%sany", sep)
                             : snprintf(s->text + at, 26, "%s%" PRId64, sep, shape[i]);
        at += (size_t)n;
    }
    s->text[at++] = ')';
    s->text[at] = 0;
    return s->text;
}

/* The tensor of that name with that shape (below 0: any), whose elements do not overlap: a view
 * that repeats its bytes would let a small file ask for much memory. Its file is still whole. */
static wilor_status find(const source *s, const char *name, int rank, const int64_t *shape,
                         const wilor_tensor **out) {
    const wilor_tensor *t = NULL;
    shape_text has, wants;
    const wilor_index *index = wilor_source_find(s->files, name, &t);
    *out = t;
    if (!t)
        return wilor_error_set(s->err, WILOR_ERR_MODEL, "%s: tensor %s is missing",
                               s->path.text, name);
    int same = t->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = shape[i] < 0 || t->shape[i] == shape[i];
    if (!same)
        return wilor_error_set(s->err, WILOR_ERR_MODEL, "%s: %s has shape %s, wanted %s",
                               s->path.text, name, show(&has, t->rank, t->shape),
                               show(&wants, rank, shape));
    size_t bytes;
    if (!wilor_size_mul(t->count, t->element, &bytes) || t->span < bytes)
        return wilor_error_set(s->err, WILOR_ERR_MODEL, "%s: elements of %s overlap",
                               s->path.text, name);
    return wilor_index_check(index, s->err);
}

static wilor_status no_memory(const source *s) {
    return wilor_error_set(s->err, WILOR_ERR_NOMEM, "%s: no memory for the hand model",
                           s->path.text);
}

static wilor_status check_finite(const source *s, const char *name, const float *x, size_t n) {
    uint32_t seen = 0;
    for (size_t i = 0; i < n; i++)
        seen |= wilor_finite_mark(x[i]);
    for (size_t i = 0; seen >> 31 && i < n; i++)
        if (!isfinite(x[i]))
            return wilor_error_set(s->err, WILOR_ERR_MODEL, "%s: element %zu of %s is %g",
                                   s->path.text, i, name, (double)x[i]);
    return WILOR_OK;
}

/* All values as new memory, finite. */
static wilor_status read_floats(const source *s, const char *name, int rank,
                                const int64_t *shape, float **out) {
    wilor_status st = WILOR_OK;
    const wilor_tensor *t;
    float *x = NULL;
    *out = NULL;
    WILOR_TRY(find(s, name, rank, shape, &t));
    x = wilor_heap_alloc(t->count, sizeof *x);
    if (!x)
        WILOR_TRY(no_memory(s));
    WILOR_TRY(wilor_tensor_to_f32(t, x, s->err));
    WILOR_TRY(check_finite(s, name, x, t->count));
    *out = x;
    x = NULL;
done:
    wilor_heap_free(x);
    return st;
}

/* All values as new memory, each in low … high. */
static wilor_status read_integers(const source *s, const char *name, int rank,
                                  const int64_t *shape, int64_t low, int64_t high,
                                  int64_t **out) {
    wilor_status st = WILOR_OK;
    const wilor_tensor *t;
    int64_t *x = NULL;
    *out = NULL;
    WILOR_TRY(find(s, name, rank, shape, &t));
    x = wilor_heap_alloc(t->count, sizeof *x);
    if (!x)
        WILOR_TRY(no_memory(s));
    WILOR_TRY(wilor_tensor_to_i64(t, x, s->err));
    for (size_t i = 0; i < t->count; i++)
        if (x[i] < low || x[i] > high)
            WILOR_FAIL(s->err, WILOR_ERR_MODEL,
                       "%s: element %zu of %s is %" PRId64 ", not in %" PRId64 " ... %" PRId64,
                       s->path.text, i, name, x[i], low, high);
    *out = x;
    x = NULL;
done:
    wilor_heap_free(x);
    return st;
}

/* Sizes, and room for all that depends on them. */
static wilor_status size_up(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    const wilor_tensor *t, *f;
    if (!wilor_source_find(s->files, "mano.v_template", &t))
        WILOR_FAIL(s->err, WILOR_ERR_MISSING, "%s has no hand model (mano.v_template)",
                   s->path.text);
    WILOR_TRY(find(s, "mano.v_template", 2, (int64_t[]){-1, 3}, &t));
    WILOR_TRY(find(s, "mano.faces_tensor", 2, (int64_t[]){-1, 3}, &f));
    if (t->shape[0] < 1 || t->shape[0] > MOST_VERTICES)
        WILOR_FAIL(s->err, WILOR_ERR_LIMIT,
                   "%s: mano.v_template has %" PRId64 " vertices, not 1 ... %d", s->path.text,
                   t->shape[0], MOST_VERTICES);
    if (f->shape[0] > MOST_FACES)
        WILOR_FAIL(s->err, WILOR_ERR_LIMIT,
                   "%s: mano.faces_tensor has %" PRId64 " triangles, limit %d", s->path.text,
                   f->shape[0], MOST_FACES);
    m->vertices = (int)t->shape[0];
    m->faces = (int)f->shape[0];
    m->stride = ((size_t)m->vertices * 3 + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
done:
    return st;
}

static wilor_status read_shapes(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    const int64_t v = m->vertices;
    const size_t n = (size_t)v * 3;
    const wilor_tensor *t;
    float *x = NULL;
    m->template_ = wilor_heap_alloc(m->stride, sizeof *m->template_);
    if (!m->template_)
        WILOR_TRY(no_memory(s));
    WILOR_TRY(read_floats(s, "mano.v_template", 2, (int64_t[]){v, 3}, &x));
    memcpy(m->template_, x, n * sizeof *x);
    wilor_heap_free(x);
    WILOR_TRY(read_floats(s, "mano.shapedirs", 3, (int64_t[]){v, 3, WILOR_MANO_BETAS}, &x));
    WILOR_TRY(find(s, "mano.posedirs", 2, (int64_t[]){WILOR_MANO_POSE, 3 * v}, &t));
    /* after both shapes are known to be true: the file is at least as large as this */
    m->rows = wilor_heap_alloc((size_t)WILOR_MANO_ROWS * m->stride, sizeof *m->rows);
    if (!m->rows)
        WILOR_TRY(no_memory(s));
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < WILOR_MANO_BETAS; b++)
            m->rows[b * m->stride + i] = x[i * WILOR_MANO_BETAS + b];
    for (int64_t r = 0; r < WILOR_MANO_POSE; r++) {
        float *row = m->rows + (size_t)(WILOR_MANO_BETAS + r) * m->stride;
        WILOR_TRY(wilor_tensor_rows_to_f32(t, r, 1, row, s->err));
        WILOR_TRY(check_finite(s, "a row of mano.posedirs", row, n));
    }
done:
    wilor_heap_free(x);
    return st;
}

/* joints[j] = regressor row j · the rows of a mesh. */
static void regress(const float *regressor, const float *mesh, size_t vertices,
                    double joints[WILOR_MANO_JOINTS][3]) {
    for (size_t j = 0; j < WILOR_MANO_JOINTS; j++)
        for (size_t i = 0; i < 3; i++) {
            double sum = 0;
            for (size_t v = 0; v < vertices; v++)
                sum += (double)regressor[j * vertices + v] * mesh[3 * v + i];
            joints[j][i] = sum;
        }
}

static wilor_status read_joints(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    const int64_t v = m->vertices;
    float *regressor = NULL;
    int64_t *x = NULL;
    WILOR_TRY(
        read_floats(s, "mano.J_regressor", 2, (int64_t[]){WILOR_MANO_JOINTS, v}, &regressor));
    regress(regressor, m->template_, (size_t)v, m->joints);
    for (size_t b = 0; b < WILOR_MANO_BETAS; b++)
        regress(regressor, m->rows + b * m->stride, (size_t)v, m->joints_by_beta[b]);
    /* the root's parent is -1, in some files as an unsigned number */
    WILOR_TRY(read_integers(s, "mano.parents", 1, (int64_t[]){WILOR_MANO_JOINTS}, NO_PARENT,
                            UINT32_MAX, &x));
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        int is_root = x[j] == NO_PARENT || x[j] == UINT32_MAX;
        if (is_root != (j == 0) || (j > 0 && x[j] >= j))
            WILOR_FAIL(s->err, WILOR_ERR_MODEL,
                       "%s: mano.parents: joint %d has the parent %" PRId64
                       ", wanted a tree with its root first",
                       s->path.text, j, x[j]);
        m->parents[j] = j == 0 ? NO_PARENT : (int)x[j];
    }
done:
    wilor_heap_free(x);
    wilor_heap_free(regressor);
    return st;
}

/* Keep the weights that are not zero; group the vertices by their heaviest joint. */
static wilor_status read_skin(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    const int64_t v = m->vertices;
    const size_t all = (size_t)v * WILOR_MANO_JOINTS;
    float *w = NULL;
    size_t kept = 0;
    WILOR_TRY(read_floats(s, "mano.lbs_weights", 2, (int64_t[]){v, WILOR_MANO_JOINTS}, &w));
    for (size_t i = 0; i < all; i++)
        kept += w[i] != 0;
    m->skin_start = wilor_heap_alloc((size_t)v + 1, sizeof *m->skin_start);
    m->skin_weight = wilor_heap_alloc(kept, sizeof *m->skin_weight);
    m->skin_joint = wilor_heap_alloc(kept, sizeof *m->skin_joint);
    m->bone_vertices = wilor_heap_alloc((size_t)v, sizeof *m->bone_vertices);
    if (!m->skin_start || !m->skin_weight || !m->skin_joint || !m->bone_vertices)
        WILOR_TRY(no_memory(s));
    kept = 0;
    for (size_t i = 0; i < all; i++) {
        if (i % WILOR_MANO_JOINTS == 0)
            m->skin_start[i / WILOR_MANO_JOINTS] = (int32_t)kept;
        if (w[i] != 0) {
            m->skin_weight[kept] = w[i];
            m->skin_joint[kept++] = (uint8_t)(i % WILOR_MANO_JOINTS);
        }
    }
    m->skin_start[v] = (int32_t)kept;
    int32_t grouped = 0;
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        m->rest.bone_start[j] = grouped;
        for (int i = 0; i < m->vertices; i++) {
            const float *row = w + (size_t)i * WILOR_MANO_JOINTS;
            int top = 0;
            for (int k = 1; k < WILOR_MANO_JOINTS; k++)
                top = row[k] > row[top] ? k : top;
            if (top == j)
                m->bone_vertices[grouped++] = i;
        }
    }
    m->rest.bone_start[WILOR_MANO_JOINTS] = grouped;
done:
    wilor_heap_free(w);
    return st;
}

static wilor_status read_faces(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    const size_t n = (size_t)m->faces * 3;
    int64_t *x = NULL;
    WILOR_TRY(read_integers(s, "mano.faces_tensor", 2, (int64_t[]){m->faces, 3}, 0,
                            m->vertices - 1, &x));
    m->faces_right = wilor_heap_alloc(n, sizeof *m->faces_right);
    m->faces_left = wilor_heap_alloc(n, sizeof *m->faces_left);
    if (!m->faces_right || !m->faces_left)
        WILOR_TRY(no_memory(s));
    for (size_t i = 0; i < n; i++) {
        m->faces_right[i] = (int32_t)x[i];
        m->faces_left[i - i % 3 + 2 - i % 3] = (int32_t)x[i];
    }
done:
    wilor_heap_free(x);
    return st;
}

static wilor_status read_keypoints(wilor_mano *m, const source *s) {
    wilor_status st = WILOR_OK;
    int64_t *tips = NULL, *map = NULL;
    WILOR_TRY(read_integers(s, "mano.extra_joints_idxs", 1, (int64_t[]){WILOR_MANO_TIPS}, 0,
                            m->vertices - 1, &tips));
    WILOR_TRY(read_integers(s, "mano.joint_map", 1, (int64_t[]){WILOR_MANO_KEYPOINTS}, 0,
                            WILOR_MANO_JOINTS + WILOR_MANO_TIPS - 1, &map));
    for (int i = 0; i < WILOR_MANO_TIPS; i++)
        m->tips[i] = (int32_t)tips[i];
    for (int i = 0; i < WILOR_MANO_KEYPOINTS; i++)
        m->joint_map[i] = (int)map[i];
done:
    wilor_heap_free(tips);
    wilor_heap_free(map);
    return st;
}

static void fill_rest(wilor_mano *m) {
    wilor_mano_rest *r = &m->rest;
    memcpy(r->parents, m->parents, sizeof r->parents);
    for (int k = 0; k < WILOR_MANO_KEYPOINTS; k++) {
        int at = m->joint_map[k];
        int is_tip = at >= WILOR_MANO_JOINTS;
        r->bone[k] = !is_tip ? at : k > 0 ? r->bone[k - 1] : 0;
        for (int i = 0; i < 3; i++)
            r->keypoints[k][i] =
                is_tip ? m->template_[3 * (size_t)m->tips[at - WILOR_MANO_JOINTS] + (size_t)i]
                       : m->joints[at][i];
    }
    r->bone_vertices = m->bone_vertices;
    r->vertices = m->template_;
    size_t v = (size_t)m->vertices, kept = (size_t)m->skin_start[v];
    m->bytes = sizeof *m + (1 + (size_t)WILOR_MANO_ROWS) * m->stride * sizeof(float) +
               (2 * v + 1 + 6 * (size_t)m->faces) * sizeof(int32_t) +
               kept * (sizeof(float) + sizeof(uint8_t));
}

wilor_status wilor_mano_create(wilor_mano **out, const wilor_index *index, wilor_error *err) {
    return wilor_mano_create_from(out, &(wilor_tensor_source){.weights = index}, err);
}

wilor_status wilor_mano_create_from(wilor_mano **out, const wilor_tensor_source *files,
                                    wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_tensor *t;
    wilor_mano *m = NULL;
    source s = {files, {{0}}, err};
    *out = NULL;
    const wilor_index *index = wilor_source_find(files, "mano.v_template", &t);
    wilor_quote(&s.path, wilor_index_path(index ? index : files->weights));
    m = wilor_heap_alloc(1, sizeof *m);
    if (!m)
        WILOR_TRY(no_memory(&s));
    WILOR_TRY(size_up(m, &s));
    WILOR_TRY(read_shapes(m, &s));
    WILOR_TRY(read_joints(m, &s));
    WILOR_TRY(read_skin(m, &s));
    WILOR_TRY(read_faces(m, &s));
    WILOR_TRY(read_keypoints(m, &s));
    fill_rest(m);
    *out = m;
    m = NULL;
done:
    wilor_mano_free(&m);
    return st;
}

void wilor_mano_free(wilor_mano **mano) {
    wilor_mano *m = mano ? *mano : NULL;
    if (!m)
        return;
    void *const blocks[] = {m->template_,  m->rows,        m->skin_start, m->skin_weight,
                            m->skin_joint, m->faces_right, m->faces_left, m->bone_vertices};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        wilor_heap_free(blocks[i]);
    wilor_heap_free(m);
    *mano = NULL;
}
