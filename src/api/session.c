/* A session: threads, the back end's working memory and the arrays of results, all taken here. */
#include "model_impl.h"

#include "crop.h"

#include <string.h>

enum { DEFAULT_HANDS = 64, DEFAULT_BATCH = 2, MOST_HANDS = 4096, MOST_BATCH = 256 };

enum { CROP_FLOATS = WILOR_CROP_SIDE * WILOR_CROP_SIDE * 3 };

/* What is left for threads beside a card is short: more of them cost more to wake than they save. */
enum { THREADS_BESIDE_A_CARD = 4 };

static int default_threads(bool on_card) {
    int n = wilor_threads_default();
    return on_card && n > THREADS_BESIDE_A_CARD ? THREADS_BESIDE_A_CARD : n;
}

wilor_status wilor_session_options_fill(wilor_session_options *own,
                                        const wilor_session_options *o, bool on_card,
                                        wilor_error *err) {
    wilor_status st = WILOR_OK;
    *own = (wilor_session_options){.struct_size = sizeof *own};
    if (o)
        WILOR_TRY(wilor_options_read(own, sizeof *own, o, "wilor_session_options", err));
    if (own->max_hands < 0 || own->batch < 0 || own->threads < 0)
        WILOR_FAIL(err, WILOR_ERR_ARG,
                   "wilor_session_options: max_hands, batch and threads may not be negative");
    own->max_hands = own->max_hands ? own->max_hands : DEFAULT_HANDS;
    own->batch = own->batch ? own->batch : DEFAULT_BATCH;
    own->threads = own->threads ? own->threads : default_threads(on_card);
    if (own->max_hands > MOST_HANDS || own->batch > MOST_BATCH ||
        own->threads > WILOR_MAX_THREADS)
        WILOR_FAIL(
            err, WILOR_ERR_LIMIT,
            "wilor_session_options: max_hands %d, batch %d, threads %d; the limits are %d, "
            "%d, %d",
            own->max_hands, own->batch, own->threads, MOST_HANDS, MOST_BATCH,
            WILOR_MAX_THREADS);
    if (own->compat != WILOR_COMPAT_MINI && own->compat != WILOR_COMPAT_WILOR &&
        own->compat != WILOR_COMPAT_MLX)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_session_options: compat is %d", (int)own->compat);
    if (own->batch > own->max_hands)
        own->batch = own->max_hands;
done:
    return st;
}

bool wilor_on_card(const char *device) { return strcmp(device, "cpu") != 0; }

static wilor_backend_session for_backend(const wilor_session_options *o) {
    return (wilor_backend_session){o->batch, o->full_path, o->compat};
}

/* For a look at hands as the other side's; wilor-mlx has none. */
static void push_second_look(wilor_session *s, const wilor_model *m,
                             const wilor_session_options *o, wilor_arena *a) {
    size_t n = (size_t)o->batch, f = sizeof(float), v = (size_t)m->info.vertices;
    const wilor_backend *b = m->backend;
    if (!b->tells_side || !b->tells_side(m->network) || o->compat == WILOR_COMPAT_MLX)
        return;
    s->side_logit = wilor_arena_push(a, n, f);
    s->second.side_logit = wilor_arena_push(a, n, f);
    s->second.rotation = wilor_arena_push(a, n * 16 * 9, f);
    s->second.betas = wilor_arena_push(a, n * 10, f);
    s->second.cam = wilor_arena_push(a, n * 3, f);
    s->second.verts = wilor_arena_push(a, n * v * 3, f);
    s->second.keypoints = wilor_arena_push(a, n * 21 * 3, f);
}

static void push_results(wilor_session *s, const wilor_model *m, const wilor_session_options *o,
                         wilor_arena *a) {
    size_t n = (size_t)o->max_hands, f = sizeof(float), v = (size_t)m->info.vertices;
    s->crops = wilor_arena_push(a, (size_t)o->batch * CROP_FLOATS, f);
    s->side = wilor_arena_push(a, n, 1);
    s->failed = wilor_arena_push(a, n, 1);
    s->score = wilor_arena_push(a, n, f);
    s->box = wilor_arena_push(a, n * 4, f);
    s->crop = wilor_arena_push(a, n * 3, f);
    s->pred_cam = wilor_arena_push(a, n * 3, f);
    s->cam_t = wilor_arena_push(a, n * 3, f);
    s->focal = wilor_arena_push(a, n * 2, f);
    s->principal = wilor_arena_push(a, n * 2, f);
    s->distortion = wilor_arena_push(a, n * 5, f);
    s->keypoints_3d = wilor_arena_push(a, n * 21 * 3, f);
    s->keypoints_2d = wilor_arena_push(a, n * 21 * 2, f);
    s->vertices_3d = wilor_arena_push(a, n * v * 3, f);
    s->global_orient = wilor_arena_push(a, n * 3, f);
    s->hand_pose = wilor_arena_push(a, n * 45, f);
    s->betas = wilor_arena_push(a, n * 10, f);
    s->rotation = wilor_arena_push(a, n * 16 * 9, f);
    s->detected_keypoints = wilor_arena_push(a, n * 63, f);
    s->detected = wilor_arena_push(a, n, 1);
    push_second_look(s, m, o, a);
}

wilor_backend_result wilor_session_result(const wilor_session *s, int first,
                                          float *side_logit) {
    size_t h = (size_t)first, v = (size_t)s->model->info.vertices;
    return (wilor_backend_result){.rotation = s->rotation + h * 16 * 9,
                                  .betas = s->betas + h * 10,
                                  .cam = s->pred_cam + h * 3,
                                  .verts = s->vertices_3d + h * v * 3,
                                  .keypoints = s->keypoints_3d + h * 21 * 3,
                                  .side_logit = side_logit};
}

static void publish_results(wilor_session *s) {
    s->hands = (wilor_hands){.vertices = s->model->info.vertices,
                             .side = s->side,
                             .failed = s->failed,
                             .score = s->score,
                             .box = s->box,
                             .crop = s->crop,
                             .pred_cam = s->pred_cam,
                             .cam_t = s->cam_t,
                             .focal = s->focal,
                             .principal = s->principal,
                             .distortion = s->distortion,
                             .keypoints_3d = s->keypoints_3d,
                             .keypoints_2d = s->keypoints_2d,
                             .vertices_3d = s->vertices_3d,
                             .global_orient = s->global_orient,
                             .hand_pose = s->hand_pose,
                             .betas = s->betas,
                             .rotation = s->rotation,
                             .detected_keypoints = s->detected_keypoints,
                             .detected = s->detected};
}

/* Names and places of the times; they do not change. */
static void publish_profile(wilor_session *s) {
    wilor_backend_times t;
    s->model->backend->times(s->work, &t);
    s->part_name[0] = "crop";
    for (int i = 0; i < t.n; i++) {
        s->part_name[i + 1] = t.name[i];
        s->part_stage[i + 1] = t.network[i] ? 1 : 2;
    }
    s->profile = (wilor_profile){.n = t.n + 1,
                                 .threads = wilor_threads_count(s->pool),
                                 .name = s->part_name,
                                 .stage = s->part_stage,
                                 .ms = s->part_ms,
                                 .busy_ms = s->part_busy_ms};
}

static size_t results_bytes(const wilor_model *m, const wilor_session_options *o) {
    wilor_session s = {0};
    wilor_arena a;
    wilor_arena_begin(&a, NULL, 0);
    push_results(&s, m, o, &a);
    return wilor_arena_used(&a);
}

size_t wilor_session_memory(const wilor_model *model, const wilor_session_options *options) {
    wilor_session_options o;
    if (!model ||
        wilor_session_options_fill(&o, options, wilor_on_card(model->device), NULL) != WILOR_OK)
        return 0;
    wilor_backend_session b = for_backend(&o);
    return results_bytes(model, &o) + model->backend->memory(model->network, &b, o.threads);
}

wilor_status wilor_session_create(wilor_session **out, const wilor_model *model,
                                  const wilor_session_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_session_options o;
    wilor_session *s = NULL;
    wilor_error_clear(err);
    if (!out || !model)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_session_create: out and model may not be NULL");
    *out = NULL;
    WILOR_TRY(wilor_session_options_fill(&o, options, wilor_on_card(model->device), err));
    s = wilor_heap_alloc(1, sizeof *s);
    size_t bytes = results_bytes(model, &o);
    if (!s || !wilor_pages_alloc(&s->pages, bytes))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the results of %d hands", o.max_hands);
    s->model = model;
    s->max_hands = o.max_hands;
    s->batch = o.batch;
    s->compat = o.compat;
    wilor_arena_begin(&s->arena, s->pages.data, s->pages.bytes);
    push_results(s, model, &o, &s->arena);
    publish_results(s);
    WILOR_TRY(wilor_threads_create(&s->pool, o.threads, err));
    wilor_backend_session b = for_backend(&o);
    WILOR_TRY(model->backend->open(&s->work, model->network, &b, s->pool, err));
    publish_profile(s);
    *out = s;
    s = NULL;
done:
    wilor_session_free(&s);
    return st;
}

void wilor_session_free(wilor_session **session) {
    wilor_session *s = session ? *session : NULL;
    if (!s)
        return;
    if (s->work)
        s->model->backend->close(s->work);
    wilor_threads_free(&s->pool);
    wilor_arena_end(&s->arena);
    wilor_pages_free(&s->pages);
    wilor_pages_free(&s->converted);
    wilor_heap_free(s);
    *session = NULL;
}
