/* The back end's half in the core: which arithmetic, sessions, and errors in our terms. What computes is the
 * module's. */
#include "backend_mlx.h"

#include "clock.h"
#include "device_module.h"
#include "heap.h"

#include <stdio.h>
#include <string.h>

#ifdef __APPLE__
#define MODULE "libwilor_mlx.0.dylib"
#else
#define MODULE "libwilor_mlx.so.0"
#endif

typedef struct mlx_model {
    const wilor_mlx_table *table;
    void *model;
    wilor_mlx_shape shape;
    wilor_dtype dtype;
    wilor_isa isa;
    uint64_t parameters;
    char kernels[24];
} mlx_model;

typedef struct mlx_session {
    const mlx_model *m;
    void *session;
    int wide;
    wilor_span span;
} mlx_session;

/* ---------------------------------------------------------------- the module */

wilor_status wilor_mlx_module_open(const wilor_mlx_table **out, wilor_error *err) {
    static const wilor_device_module module = {.device = "mlx",
                                               .drives = "MLX",
                                               .module = {.file = MODULE,
                                                          .variable = "WILOR_MLX_MODULE",
                                                          .entry = WILOR_MLX_ENTRY,
                                                          .abi = WILOR_MLX_ABI,
                                                          .size = sizeof **out}};
    const wilor_module_head *head;
    wilor_status st = wilor_device_module_open(&head, &module, err);
    *out = (const wilor_mlx_table *)head; /* its first member */
    return st;
}

wilor_status wilor_mlx_status(wilor_mlx_result r, const wilor_mlx_error *e, wilor_error *err) {
    static const wilor_status status[] = {[WILOR_MLX_OK] = WILOR_OK,
                                          [WILOR_MLX_NO_MEMORY] = WILOR_ERR_NOMEM,
                                          [WILOR_MLX_UNSUPPORTED] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_MLX_FAILED] = WILOR_ERR_INTERNAL};
    if (r == WILOR_MLX_OK)
        return WILOR_OK;
    return wilor_error_set(err, status[r], "device mlx: %s", e->text);
}

wilor_status wilor_mlx_choose(wilor_mlx_number *number, int *bits, wilor_dtype *dtype,
                              wilor_error *err) {
    if (*dtype == WILOR_DTYPE_AUTO)
        *dtype = WILOR_DTYPE_F16;
    *number = WILOR_MLX_F32;
    *bits = 0;
    switch (*dtype) {
    case WILOR_DTYPE_F32:
        return WILOR_OK;
    case WILOR_DTYPE_F16:
        *number = WILOR_MLX_F16;
        return WILOR_OK;
    case WILOR_DTYPE_BF16:
        *number = WILOR_MLX_BF16;
        return WILOR_OK;
    case WILOR_DTYPE_INT8:
        *bits = 8;
        return WILOR_OK;
    case WILOR_DTYPE_INT4:
        *bits = 4;
        return WILOR_OK;
    default:
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "device mlx has no dtype %s: f32, f16, bf16, int8 and int4",
                               wilor_dtype_name(*dtype));
    }
}

/* ---------------------------------------------------------------- model */

static void mlx_unload(void *model) {
    mlx_model *m = model;
    if (!m)
        return;
    if (m->model)
        m->table->model_free(m->model);
    wilor_heap_free(m);
}

static wilor_status mlx_load(void **out, const wilor_backend_load *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_vit_dims dims;
    wilor_mlx_error e = {{0}};
    wilor_net_mano mano = wilor_net_mano_view(o->mano);
    mlx_model *m = wilor_heap_alloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to load the model");
    m->dtype = o->dtype;
    m->isa = wilor_kernels_best(o->max_isa)->isa;
    WILOR_TRY(wilor_mlx_choose(&m->shape.number, &m->shape.bits, &m->dtype, err));
    WILOR_TRY(wilor_vit_measure(&dims, o->source, o->heads, err));
    m->shape.width = dims.width;
    m->shape.depth = dims.depth;
    m->shape.heads = dims.heads;
    m->shape.mlp = dims.mlp;
    m->shape.side_head = dims.side_head;
    WILOR_TRY(wilor_mlx_module_open(&m->table, err));
    WILOR_TRY(
        wilor_mlx_status(m->table->model_create(&m->model, &m->shape, &mano, &e), &e, err));
    WILOR_TRY(wilor_mlx_weights_give(m->table, m->model, &m->shape, o, err));
    m->parameters = wilor_backend_count_parameters(o->source);
    snprintf(m->kernels, sizeof m->kernels, "%s mlx", wilor_dtype_name(m->dtype));
    *out = m;
    m = NULL;
done:
    mlx_unload(m);
    return st;
}

static void mlx_info(const void *model, wilor_model_info *info) {
    const mlx_model *m = model;
    info->width = m->shape.width;
    info->depth = m->shape.depth;
    info->heads = m->shape.heads;
    info->mlp = m->shape.mlp;
    info->parameters = m->parameters;
    info->packed_bytes = m->table->model_bytes(m->model);
    info->isa = m->isa;
    info->dtype = m->dtype;
    info->kernels = m->kernels;
}

/* They are MLX's; a file of them would be read no faster than the source. */
static const void *mlx_packed(const void *model, size_t *bytes) {
    (void)model;
    *bytes = 0;
    return NULL;
}

static bool mlx_tells_side(const void *model) {
    return ((const mlx_model *)model)->shape.side_head;
}

/* ---------------------------------------------------------------- session */

/* MLX takes and keeps what it wants: about this much is alive at once, crops, the stream and the widest product. */
static size_t mlx_memory(const void *model, const wilor_backend_session *o, int threads) {
    const mlx_model *m = model;
    size_t d = (size_t)m->shape.width, mlp = (size_t)m->shape.mlp,
           wide = mlp > 3 * d ? mlp : 3 * d;
    size_t crop = (size_t)WILOR_CROP * WILOR_CROP * 3;
    (void)threads;
    return (size_t)o->batch * (2 * crop + WILOR_TOKENS * (2 * d + 2 * wide)) * sizeof(float);
}

static void mlx_close(void *session) {
    mlx_session *s = session;
    if (!s)
        return;
    if (s->session)
        s->m->table->session_close(s->session);
    wilor_heap_free(s);
}

static wilor_status mlx_open(void **out, const void *model, const wilor_backend_session *o,
                             wilor_threads *pool, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_mlx_session_options own = {.batch = o->batch,
                                     .full_path = o->full_path != 0,
                                     .compat_mlx = o->compat == WILOR_COMPAT_MLX};
    wilor_mlx_error e = {{0}};
    mlx_session *s = wilor_heap_alloc(1, sizeof *s);
    *out = NULL;
    (void)pool;
    if (!s)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a session");
    s->m = model;
    WILOR_TRY(wilor_mlx_status(s->m->table->session_open(&s->session, s->m->model, &own, &e),
                               &e, err));
    *out = s;
    s = NULL;
done:
    mlx_close(s);
    return st;
}

void *wilor_mlx_model_inside(void *model) { return ((mlx_model *)model)->model; }

void wilor_mlx_session_inside(void *session, const wilor_mlx_table **table, void **inside,
                              int *wide) {
    mlx_session *s = session;
    *table = s->m->table;
    *inside = s->session;
    *wide = s->wide;
}

/* ---------------------------------------------------------------- run */

static wilor_status mlx_run(void *session, const float *rgb, const wilor_backend_crop *crops,
                            int n, const float *fixed_betas, wilor_backend_result *out,
                            wilor_error *err) {
    mlx_session *s = session;
    uint64_t start = wilor_clock_ns();
    wilor_mlx_error e = {{0}};
    wilor_mlx_output o = {out->rotation,  out->betas,      out->cam, out->verts,
                          out->keypoints, out->side_logit, 0};
    (void)crops; /* the caller makes all of them */
    wilor_mlx_result r = s->m->table->session_run(s->session, rgb, n, fixed_betas, &o, &e);
    out->network_ns = wilor_clock_ns() - start;
    s->span = (wilor_span){out->network_ns, 0};
    s->wide = o.wide;
    return wilor_mlx_status(r, &e, err);
}

static void mlx_profile(void *session, bool on) {
    (void)session;
    (void)on;
}

static void mlx_times(const void *session, wilor_backend_times *out) {
    const mlx_session *s = session;
    *out = (wilor_backend_times){.n = 1, .name = {"mlx"}, .network = {true}, .span = {s->span}};
}

const wilor_backend *wilor_backend_mlx(void) {
    static const wilor_backend mlx = {.name = "mlx",
                                      .load = mlx_load,
                                      .unload = mlx_unload,
                                      .info = mlx_info,
                                      .packed = mlx_packed,
                                      .tells_side = mlx_tells_side,
                                      .memory = mlx_memory,
                                      .open = mlx_open,
                                      .close = mlx_close,
                                      .frame = NULL,
                                      .run = mlx_run,
                                      .profile = mlx_profile,
                                      .times = mlx_times};
    return &mlx;
}
