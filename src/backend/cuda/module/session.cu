/* Sessions: memory, graphs, runs. A graph is captured for some numbers of hands; a run takes the next
 * larger one. What it is told (crops' places, a fixed shape) lies in pinned memory that the graph copies, so
 * the same graph serves every run. */
#include "session.h"

#include <cmath>
#include <cstdlib>

namespace wilor_cuda {

/* ---------------------------------------------------------------- sizes */

/* 1 … 8, then every fourth to 32, then every sixteenth. */
static int next_size(int hands) {
    return hands < 8 ? hands + 1 : hands < 32 ? (hands + 4) / 4 * 4 : (hands + 16) / 16 * 16;
}

static int largest_size(int batch) {
    int n = 1;
    while (n < batch)
        n = next_size(n);
    return n;
}

static size_plan *size_for(session *s, int n) {
    int i = 0;
    while (s->sizes[i].hands < n)
        i++;
    return &s->sizes[i];
}

size_t session_bytes(const void *p, const wilor_cuda_session_options *o) {
    session_memory on;
    device_arena a = {nullptr, 0};
    push_memory(&on, static_cast<const model *>(p), largest_size(o->batch), &a);
    return a.used + gemm_workspace_bytes();
}

/* ---------------------------------------------------------------- open */

static void free_half(half_plans *p) {
    free_product(&p->proj.product);
    free_product(&p->fc1);
    free_product(&p->fc2.product);
}

static void free_size(size_plan *p) {
    if (p->graph)
        cudaGraphExecDestroy(p->graph);
    gemm_plan_free(p->patch);
    free_product(&p->qkv);
    free_half(&p->whole);
    free_half(&p->lean);
}

void session_close(void *p) {
    session *s = static_cast<session *>(p);
    if (!s)
        return;
    cudaSetDevice(s->m->device);
    if (s->stream)
        cudaStreamSynchronize(s->stream);
    for (int i = 0; i < s->size_count; i++)
        free_size(&s->sizes[i]);
    free_half(&s->wide);
    gemm_engine_close(s->engine);
    if (s->begin)
        cudaEventDestroy(s->begin);
    if (s->end)
        cudaEventDestroy(s->end);
    cudaFree(s->block);
    cudaFreeHost(s->pinned);
    free_frame(&s->own_frame);
    if (s->stream)
        cudaStreamDestroy(s->stream);
    delete s;
}

static wilor_cuda_result take_memory(session *s, int batch, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const model *m = s->m;
    device_arena a = {nullptr, 0};
    size_t results = in_lines(result_bytes(batch, m->mano.vertices));
    size_t sides = in_lines((size_t)batch * sizeof(float));
    size_t crops = (size_t)batch * CROP_FLOATS * sizeof(float);
    push_memory(&s->on, m, batch, &a);
    s->bytes = a.used;
    s->order_bytes = in_lines(ORDER_HEADER + (size_t)batch * sizeof(crop_order));
    if (cudaMalloc(&s->block, s->bytes) != cudaSuccess ||
        cudaMallocHost(&s->pinned, s->order_bytes + results + sides + crops) != cudaSuccess) {
        cudaGetLastError();
        st =
            fail(err, WILOR_CUDA_NO_MEMORY, "no memory on %s for a session of %d hands, %zu MB",
                 m->card.name, batch, s->bytes / 1000000);
        goto done;
    }
    a = {s->block, 0};
    push_memory(&s->on, m, batch, &a);
    s->pinned_orders = s->pinned;
    s->pinned_result = s->pinned + s->order_bytes;
    s->pinned_sides = reinterpret_cast<float *>(s->pinned_result + results);
    s->pinned_crops = reinterpret_cast<float *>(s->pinned_result + results + sides);
    memset(s->pinned_orders, 0, s->order_bytes);
    /* Any finite numbers, for products to be timed on and for hands that a run lacks. */
    CUDA_CALL(cudaMemsetAsync(s->block, 0x3C, s->bytes, s->stream), "clearing", err);
    CUDA_CALL(cudaStreamSynchronize(s->stream), "clearing", err);
done:
    return st;
}

/* All that a run of p's size does but for the upload of crops. */
static wilor_cuda_result enqueue(session *s, const size_plan *p, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    size_t orders = ORDER_HEADER + (size_t)p->hands * sizeof(crop_order);
    CUDA_CALL(cudaMemcpyAsync(s->on.orders, s->pinned_orders, orders, cudaMemcpyHostToDevice,
                              s->stream),
              "a run's orders", err);
    CUDA_TRY(run_network(s, p, err));
    if (s->o.full_path)
        goto done; /* the rest hand by hand */
    CUDA_TRY(run_lean(s, p, err));
    CUDA_CALL(cudaMemcpyAsync(s->pinned_result, s->on.result,
                              result_bytes(p->hands, s->m->mano.vertices),
                              cudaMemcpyDeviceToHost, s->stream),
              "the result", err);
done:
    return st;
}

static wilor_cuda_result make_sizes(session *s, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    for (int n = 1;; n = next_size(n)) {
        size_plan *p = &s->sizes[s->size_count++];
        p->hands = n;
        CUDA_TRY(make_plans(s, p, err));
        /* Once without a graph: kernels are loaded, errors have their own names. */
        CUDA_TRY(enqueue(s, p, err));
        if (s->m->shape.side_head) /* never in a graph, which is of runs that do not ask, too */
            run_sides(s, 0, n, LEAN_ROWS);
        CUDA_CALL(cudaStreamSynchronize(s->stream), "the first run", err);
        CUDA_TRY(capture_graph(
            &p->graph, s->stream, [&] { return enqueue(s, p, err); }, err));
        if (n >= s->o.batch || s->size_count == MOST_SIZES)
            break;
    }
    CUDA_TRY(make_wide_plans(s, err));
done:
    return st;
}

wilor_cuda_result session_open(void **out, const void *p, const wilor_cuda_session_options *o,
                               wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    session *s = new session();
    *out = nullptr;
    s->m = static_cast<const model *>(p);
    s->o = *o;
    CUDA_CALL(cudaSetDevice(s->m->device), "choosing the card", err);
    CUDA_CALL(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), "a stream", err);
    CUDA_CALL(cudaEventCreate(&s->begin), "an event", err);
    CUDA_CALL(cudaEventCreate(&s->end), "an event", err);
    CUDA_TRY(take_memory(s, largest_size(o->batch), err));
    CUDA_TRY(gemm_engine_open(&s->engine, s->stream, err));
    s->early = norms_may_be_early();
    CUDA_TRY(prepare_attention(s, err));
    CUDA_TRY(make_sizes(s, err));
    *out = s;
    s = nullptr;
done:
    session_close(s);
    return st;
}

/* ---------------------------------------------------------------- frames and crops */

wilor_cuda_result session_frame(void *p, const wilor_cuda_frame *f, uint8_t **rows,
                                wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    session *s = static_cast<session *>(p);
    size_t bytes = (size_t)f->width * (size_t)f->pixel * (size_t)f->height;
    s->frame_bytes = 0;
    CUDA_CALL(cudaSetDevice(s->m->device), "choosing the card", err);
    CUDA_TRY(grow_frame(&s->own_frame, bytes, err));
    s->frame = frame_on_card(s->own_frame.card, f);
    s->frame_bytes = bytes;
    *rows = s->own_frame.pinned;
done:
    return st;
}

void session_share(void *p, const void *run) {
    session *s = static_cast<session *>(p);
    s->frame = net_run_view(run);
    s->frame_bytes = 0;
}

float *session_crop(void *p, int i) {
    return static_cast<session *>(p)->pinned_crops + (size_t)i * CROP_FLOATS;
}

static void give_orders(session *s, const wilor_cuda_crop *crops, int n, const float *fixed) {
    order_header *header = reinterpret_cast<order_header *>(s->pinned_orders);
    crop_order *orders = reinterpret_cast<crop_order *>(s->pinned_orders + ORDER_HEADER);
    header->frame = s->frame;
    header->fixed[0] = fixed ? 1.0f : 0.0f;
    for (int i = 0; i < BETAS; i++)
        header->fixed[1 + i] = fixed ? fixed[i] : 0.0f;
    memset(static_cast<void *>(orders), 0, s->order_bytes - ORDER_HEADER);
    for (int i = 0; crops && i < n; i++) {
        memcpy(orders[i].inverse, crops[i].inverse, sizeof orders[i].inverse);
        orders[i].on_card = crops[i].on_card;
        orders[i].mirrored = crops[i].mirrored;
        orders[i].cv4 = crops[i].cv4;
    }
}

/* A frame that was put since the last run. */
static wilor_cuda_result upload_frame(session *s, wilor_cuda_error *err) {
    size_t bytes = s->frame_bytes;
    s->frame_bytes = 0;
    if (bytes == 0)
        return WILOR_CUDA_OK;
    return check(cudaMemcpyAsync(s->own_frame.card, s->own_frame.pinned, bytes,
                                 cudaMemcpyHostToDevice, s->stream),
                 "a frame", err);
}

/* The crops that the card does not make. */
static wilor_cuda_result upload_crops(session *s, const wilor_cuda_crop *crops, int n,
                                      wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    for (int i = 0; i < n; i++)
        if (!crops || !crops[i].on_card)
            CUDA_CALL(cudaMemcpyAsync(s->on.crops + (size_t)i * CROP_FLOATS, session_crop(s, i),
                                      CROP_FLOATS * sizeof(float), cudaMemcpyHostToDevice,
                                      s->stream),
                      "a crop", err);
done:
    return st;
}

/* ---------------------------------------------------------------- runs */

/* Hands whose points fall on more than the corner's pixels, once more, by everything. */
static wilor_cuda_result run_wide_hands(session *s, const size_plan *p, int n,
                                        wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    size_t bytes = result_bytes(p->hands, s->m->mano.vertices);
    result_view r = result_at(s->pinned_result, p->hands, s->m->mano.vertices);
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!s->o.full_path && r.corner[i] <= CORNER)
            continue;
        CUDA_TRY(run_wide(s, p, i, err));
        if (s->sides && s->o.full_path) /* else they were told by the lean pass */
            run_sides(s, i, 1, TOKENS);
        any = true;
    }
    if (!any)
        return WILOR_CUDA_OK;
    CUDA_CALL(cudaMemcpyAsync(s->pinned_result, s->on.result, bytes, cudaMemcpyDeviceToHost,
                              s->stream),
              "the result", err);
    CUDA_CALL(cudaStreamSynchronize(s->stream), "the run", err);
done:
    return st;
}

static void give_result(const session *s, const size_plan *p, int n, wilor_cuda_output *out) {
    size_t v = (size_t)s->m->mano.vertices * 3, h = (size_t)n;
    result_view r = result_at(s->pinned_result, p->hands, s->m->mano.vertices);
    memcpy(out->rotation, r.rotation, h * JOINTS * 9 * sizeof(float));
    memcpy(out->betas, r.betas, h * BETAS * sizeof(float));
    memcpy(out->cam, r.cam, h * CAM * sizeof(float));
    memcpy(out->keypoints, r.keypoints, h * KEYPOINTS * 3 * sizeof(float));
    memcpy(out->verts, r.verts, h * v * sizeof(float));
    for (int i = 0; out->side_logit && i < n; i++)
        out->side_logit[i] = s->sides ? s->pinned_sides[i] : NAN;
}

wilor_cuda_result session_start(void *session_, const wilor_cuda_crop *crops, int n,
                                const float *fixed_betas, int sides, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    session *s = static_cast<session *>(session_);
    size_plan *p = size_for(s, n);
    s->running = 0;
    s->sides = sides && s->m->shape.side_head;
    CUDA_CALL(cudaSetDevice(s->m->device), "choosing the card", err);
    give_orders(s, crops, n, fixed_betas);
    CUDA_TRY(upload_frame(s, err));
    CUDA_CALL(cudaEventRecord(s->begin, s->stream), "an event", err);
    CUDA_TRY(upload_crops(s, crops, n, err));
    if (s->trace)
        CUDA_TRY(enqueue(s, p, err));
    else
        CUDA_CALL(cudaGraphLaunch(p->graph, s->stream), "a graph", err);
    if (s->sides && !s->o.full_path) {
        run_sides(s, 0, n, LEAN_ROWS);
        CUDA_CALL(cudaGetLastError(), "the side head", err);
    }
    CUDA_CALL(cudaEventRecord(s->end, s->stream), "an event", err);
    s->running = n;
done:
    return st;
}

wilor_cuda_result session_finish(void *session_, wilor_cuda_output *out,
                                 wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    session *s = static_cast<session *>(session_);
    int n = s->running;
    s->running = 0;
    CUDA_CALL(cudaSetDevice(s->m->device), "choosing the card", err);
    CUDA_CALL(cudaStreamSynchronize(s->stream), "the run", err);
    if (n == 0) /* what start could not set going */
        return WILOR_CUDA_OK;
    CUDA_CALL(cudaEventElapsedTime(&out->device_ms, s->begin, s->end), "an event", err);
    CUDA_TRY(run_wide_hands(s, size_for(s, n), n, err));
    give_result(s, size_for(s, n), n, out);
done:
    return st;
}

void session_trace(void *p, wilor_cuda_trace trace, void *context) {
    session *s = static_cast<session *>(p);
    s->trace = trace;
    s->trace_context = context;
}

wilor_cuda_result session_crops(void *p, int n, float *out, wilor_cuda_error *err) {
    session *s = static_cast<session *>(p);
    cudaSetDevice(s->m->device);
    return check(cudaMemcpy(out, s->on.crops, (size_t)n * CROP_FLOATS * sizeof(float),
                            cudaMemcpyDeviceToHost),
                 "the crops", err);
}

} // namespace wilor_cuda
