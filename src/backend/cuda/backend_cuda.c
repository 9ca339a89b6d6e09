/* The back end's half in the core: which arithmetic, whose weights, and errors in our terms. What computes is
 * the module's. */
#include "backend_cuda.h"

#include "clock.h"
#include "device_module.h"
#include "heap.h"
#include "row_copy.h"
#include "vit.h"

#include <stdio.h>
#include <string.h>

typedef struct cuda_model {
    const wilor_cuda_table *table;
    int cards;
    int card[WILOR_MOST_CARDS];
    void *model[WILOR_MOST_CARDS]; /* the same weights on each */
    wilor_cuda_shape shape;
    wilor_dtype dtype;
    wilor_isa isa;
    uint64_t parameters;
    int vertices;
    char kernels[24];
} cuda_model;

typedef struct cuda_session {
    const cuda_model *m;
    wilor_threads *pool;
    void *session[WILOR_MOST_CARDS];
    wilor_cuda_crop crops[256];
    wilor_span span;
} cuda_session;

/* ---------------------------------------------------------------- the module */

wilor_status wilor_cuda_module_open(const wilor_cuda_table **out, wilor_error *err) {
    static const wilor_device_module module = {.device = "cuda",
                                               .drives = "NVIDIA cards",
                                               .module = {.file = "libwilor_cuda.so.0",
                                                          .variable = "WILOR_CUDA_MODULE",
                                                          .entry = WILOR_CUDA_ENTRY,
                                                          .abi = WILOR_CUDA_ABI,
                                                          .size = sizeof **out}};
    const wilor_module_head *head;
    wilor_status st = wilor_device_module_open(&head, &module, err);
    *out = (const wilor_cuda_table *)head; /* its first member */
    return st;
}

wilor_status wilor_cuda_status(wilor_cuda_result r, int device, const wilor_cuda_error *e,
                               wilor_error *err) {
    static const wilor_status status[] = {[WILOR_CUDA_OK] = WILOR_OK,
                                          [WILOR_CUDA_NO_DRIVER] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_DEVICE] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_CODE] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_NO_MEMORY] = WILOR_ERR_NOMEM,
                                          [WILOR_CUDA_UNSUPPORTED] = WILOR_ERR_UNSUPPORTED,
                                          [WILOR_CUDA_FAILED] = WILOR_ERR_INTERNAL};
    if (r == WILOR_CUDA_OK)
        return WILOR_OK;
    return wilor_error_set(err, status[r], "device cuda:%d: %s", device, e->text);
}

/* ---------------------------------------------------------------- model */

wilor_status wilor_cuda_choose(wilor_cuda_number *number, int *split, wilor_dtype *dtype,
                               const char *who, wilor_error *err) {
    if (*dtype == WILOR_DTYPE_AUTO)
        *dtype = WILOR_DTYPE_F16;
    if (split)
        *split = *dtype == WILOR_DTYPE_F32X;
    *number = *dtype == WILOR_DTYPE_F16    ? WILOR_CUDA_F16
              : *dtype == WILOR_DTYPE_BF16 ? WILOR_CUDA_BF16
                                           : WILOR_CUDA_F32;
    if (*number != WILOR_CUDA_F32 || *dtype == WILOR_DTYPE_F32 || (split && *split))
        return WILOR_OK;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                           "%s has no dtype %s: f32, %sf16 and bf16", who,
                           wilor_dtype_name(*dtype), split ? "f32x, " : "");
}

static wilor_status put_tensor(void *user, int tensor, int block, const float *data,
                               wilor_error *err) {
    cuda_model *m = user;
    wilor_status st = WILOR_OK;
    wilor_cuda_error e = {{0}};
    for (int i = 0; i < m->cards && st == WILOR_OK; i++)
        st = wilor_cuda_status(m->table->model_put(m->model[i], tensor, block, data, &e),
                               m->card[i], &e, err);
    return st;
}

static void cuda_unload(void *model) {
    cuda_model *m = model;
    if (!m)
        return;
    for (int i = 0; i < m->cards; i++)
        if (m->model[i])
            m->table->model_free(m->model[i]);
    wilor_heap_free(m);
}

static wilor_status cuda_load(void **out, const wilor_backend_load *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_vit_dims dims;
    wilor_cuda_error e = {{0}};
    wilor_net_mano mano = wilor_net_mano_view(o->mano);
    cuda_model *m = wilor_heap_alloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory to load the model");
    m->cards = o->card_count;
    memcpy(m->card, o->cards, (size_t)m->cards * sizeof m->card[0]);
    m->dtype = o->dtype;
    m->isa = wilor_kernels_best(o->max_isa)->isa;
    WILOR_TRY(
        wilor_cuda_choose(&m->shape.number, &m->shape.split, &m->dtype, "device cuda", err));
    WILOR_TRY(wilor_vit_measure(&dims, o->source, o->heads, err));
    m->shape.width = dims.width;
    m->shape.depth = dims.depth;
    m->shape.heads = dims.heads;
    m->shape.mlp = dims.mlp;
    m->shape.side_head = dims.side_head;
    WILOR_TRY(wilor_cuda_module_open(&m->table, err));
    for (int i = 0; i < m->cards; i++)
        WILOR_TRY(wilor_cuda_status(
            m->table->model_create(&m->model[i], m->card[i], &m->shape, &mano, &e), m->card[i],
            &e, err));
    wilor_net_sink sink = {.user = m, .put = put_tensor};
    WILOR_TRY(wilor_net_weights_read(o, &dims, &sink, err));
    m->vertices = wilor_mano_vertices(o->mano);
    m->parameters = wilor_backend_count_parameters(o->source);
    snprintf(m->kernels, sizeof m->kernels, "%s cuda", wilor_dtype_name(m->dtype));
    *out = m;
    m = NULL;
done:
    cuda_unload(m);
    return st;
}

static void cuda_info(const void *model, wilor_model_info *info) {
    const cuda_model *m = model;
    info->width = m->shape.width;
    info->depth = m->shape.depth;
    info->heads = m->shape.heads;
    info->mlp = m->shape.mlp;
    info->parameters = m->parameters;
    info->packed_bytes = m->table->model_bytes(m->model[0]);
    info->isa = m->isa;
    info->dtype = m->dtype;
    info->kernels = m->kernels;
}

/* They are on the card; a file of them would be read no faster than the source. */
static const void *cuda_packed(const void *model, size_t *bytes) {
    (void)model;
    *bytes = 0;
    return NULL;
}

static bool cuda_tells_side(const void *model) {
    return ((const cuda_model *)model)->shape.side_head != 0;
}

/* ---------------------------------------------------------------- session */

/* Hands of a run are shared out in runs of neighbours, as evenly as they go; few hands use few cards. */
static int share(int n, int cards) { return (n + cards - 1) / cards; }

static wilor_cuda_session_options options_of(const cuda_model *m,
                                             const wilor_backend_session *o) {
    return (wilor_cuda_session_options){share(o->batch, m->cards), o->full_path};
}

static size_t cuda_memory(const void *model, const wilor_backend_session *o, int threads) {
    const cuda_model *m = model;
    wilor_cuda_session_options own = options_of(m, o);
    (void)threads;
    return m->table->session_bytes(m->model[0], &own) * (size_t)m->cards;
}

static void cuda_close(void *session) {
    cuda_session *s = session;
    if (!s)
        return;
    for (int i = 0; i < s->m->cards; i++)
        if (s->session[i])
            s->m->table->session_close(s->session[i]);
    wilor_heap_free(s);
}

static wilor_status cuda_open(void **out, const void *model, const wilor_backend_session *o,
                              wilor_threads *pool, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const cuda_model *m = model;
    wilor_cuda_session_options own = options_of(m, o);
    wilor_cuda_error e = {{0}};
    cuda_session *s = NULL;
    *out = NULL;
    if (o->compat == WILOR_COMPAT_MLX)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "device cuda has no wilor-mlx compatibility");
    s = wilor_heap_alloc(1, sizeof *s);
    if (!s)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a session");
    s->m = m;
    s->pool = pool;
    for (int i = 0; i < m->cards; i++)
        WILOR_TRY(
            wilor_cuda_status(m->table->session_open(&s->session[i], m->model[i], &own, &e),
                              m->card[i], &e, err));
    *out = s;
    s = NULL;
done:
    cuda_close(s);
    return st;
}

void wilor_cuda_session_inside(void *session, const wilor_cuda_table **table, void **inside,
                               void **model) {
    cuda_session *s = session;
    *table = s->m->table;
    *inside = s->session[0];
    *model = s->m->model[0];
}

/* ---------------------------------------------------------------- run */

static wilor_status cuda_frame(void *session, const wilor_crop_source *source,
                               const wilor_yolo_run *detector, wilor_error *err) {
    cuda_session *s = session;
    void *its_run = NULL;
    int its_card = wilor_cuda_detector_inside(detector, &its_run);
    wilor_status st = WILOR_OK;
    const wilor_picture *p = source->picture;
    wilor_cuda_error e = {{0}};
    wilor_cuda_frame f = {
        .width = p->width,
        .height = p->height,
        .pixel = source->pixel,
        .channel = {source->channel[0], source->channel[1], source->channel[2]}};
    uint8_t *to;
    wilor_row_copy rows = {.from = p->data,
                           .stride = p->stride,
                           .line = (size_t)p->width * (size_t)source->pixel,
                           .rows = p->height};
    for (int i = 0; i < s->m->cards; i++) {
        if (s->m->card[i] == its_card) {
            s->m->table->session_share(s->session[i], its_run);
            continue;
        }
        WILOR_TRY(wilor_cuda_status(s->m->table->session_frame(s->session[i], &f, &to, &e),
                                    s->m->card[i], &e, err));
        rows.to = to;
        wilor_row_copy_run(&rows, s->pool);
    }
done:
    return st;
}

/* The hands from `first` on. */
static wilor_cuda_output output_from(const cuda_session *s, const wilor_backend_result *out,
                                     int first) {
    const size_t i = (size_t)first;
    return (wilor_cuda_output){out->rotation + i * 16 * 9,
                               out->betas + i * 10,
                               out->cam + i * 3,
                               out->verts + i * (size_t)s->m->vertices * 3,
                               out->keypoints + i * 21 * 3,
                               out->side_logit ? out->side_logit + i : NULL,
                               0};
}

/* The crops that the card does not make: those side by side at once. */
static void put_crops(const cuda_session *s, int card, const float *rgb,
                      const wilor_cuda_crop *crops, int n) {
    enum { SIDE = 256 };

    const size_t line = SIDE * 3 * sizeof *rgb;
    for (int first = 0, end; first < n; first = end + 1) {
        for (end = first; end < n && !(crops && crops[end].on_card); end++)
            ;
        if (end == first)
            continue;
        wilor_row_copy rows = {.to = s->m->table->session_crop(s->session[card], first),
                               .from = rgb + (size_t)first * SIDE * SIDE * 3,
                               .stride = (ptrdiff_t)line,
                               .line = line,
                               .rows = (end - first) * SIDE};
        wilor_row_copy_run(&rows, s->pool);
    }
}

static wilor_status cuda_run(void *session, const float *rgb, const wilor_backend_crop *crops,
                             int n, const float *fixed_betas, wilor_backend_result *out,
                             wilor_error *err) {
    enum { CROP = 256 * 256 * 3 };

    cuda_session *s = session;
    const cuda_model *m = s->m;
    const uint64_t start = wilor_clock_ns();
    const int part = share(n, m->cards);
    wilor_status st = WILOR_OK, one;
    wilor_cuda_error e = {{0}};
    int started = 0;
    for (int i = 0; crops && i < n; i++) {
        s->crops[i].on_card = crops[i].by_backend;
        s->crops[i].mirrored = crops[i].mirrored;
        s->crops[i].cv4 = crops[i].grid == WILOR_WARP_CV4;
        memcpy(s->crops[i].inverse, crops[i].inverse, sizeof s->crops[i].inverse);
    }
    for (int first = 0; first < n && st == WILOR_OK; first += part, started++) {
        const wilor_cuda_crop *own = crops ? s->crops + first : NULL;
        int count = n - first < part ? n - first : part;
        put_crops(s, started, rgb ? rgb + (size_t)first * CROP : NULL, own, count);
        st =
            wilor_cuda_status(m->table->session_start(s->session[started], own, count,
                                                      fixed_betas, out->side_logit != NULL, &e),
                              m->card[started], &e, err);
    }
    for (int i = 0; i < started; i++) {
        wilor_cuda_output o = output_from(s, out, i * part);
        one = wilor_cuda_status(m->table->session_finish(s->session[i], &o, &e), m->card[i], &e,
                                st == WILOR_OK ? err : NULL);
        st = st == WILOR_OK ? one : st;
    }
    out->network_ns = wilor_clock_ns() - start;
    s->span = (wilor_span){out->network_ns, 0};
    return st;
}

static void cuda_profile(void *session, bool on) {
    (void)session;
    (void)on;
}

static void cuda_times(const void *session, wilor_backend_times *out) {
    const cuda_session *s = session;
    *out =
        (wilor_backend_times){.n = 1, .name = {"card"}, .network = {true}, .span = {s->span}};
}

const wilor_backend *wilor_backend_cuda(void) {
    static const wilor_backend cuda = {.name = "cuda",
                                       .load = cuda_load,
                                       .unload = cuda_unload,
                                       .info = cuda_info,
                                       .packed = cuda_packed,
                                       .tells_side = cuda_tells_side,
                                       .memory = cuda_memory,
                                       .open = cuda_open,
                                       .close = cuda_close,
                                       .frame = cuda_frame,
                                       .run = cuda_run,
                                       .profile = cuda_profile,
                                       .times = cuda_times};
    return &cuda;
}
