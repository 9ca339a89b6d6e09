/* The detector's network: weights, maps of an input's size, one graph. */
#include "kernels_conv.h"
#include "kernels_net.h"
#include "kernels_vit.h"
#include "model.h"
#include "net_run.h"

#include <algorithm>

namespace wilor_cuda {

/* ---------------------------------------------------------------- weights */

static size_t conv_numbers(const wilor_net_step *s) {
    return (size_t)s->outputs * (size_t)(s->size * s->size) * (size_t)s->inputs;
}

static int whole_eights(int x) { return (x + CONV_VECTOR - 1) / CONV_VECTOR * CONV_VECTOR; }

/* tensor_conv reads eight channels at a time: maps get channels that stay zero, and a convolution of the
 * last channels of a map has weights for these, which are zero, too. */
static void pad_channels(net *n) {
    std::vector<wilor_net_map> maps = n->maps;
    n->padded.assign(maps.size(), 0);
    if (n->number == WILOR_CUDA_F32)
        return;
    for (size_t i = 0; i < maps.size(); i++) {
        if (!is_head(n, (int)i))
            n->maps[i].channels = whole_eights(maps[i].channels);
        n->padded[i] = n->maps[i].channels != maps[i].channels;
    }
    for (wilor_net_step &s : n->steps)
        if (!s.pool && s.in.channel % CONV_VECTOR == 0 &&
            s.in.channel + s.inputs == maps[(size_t)s.in.map].channels)
            s.inputs = whole_eights(s.inputs);
}

static void push_weights(net *n, std::vector<wilor_net_step> *to, device_arena *a) {
    for (wilor_net_step &s : *to) {
        if (s.pool)
            continue;
        const void *w = a->push<char>(conv_numbers(&s) * number_bytes(n->number));
        const float *b = a->push<float>((size_t)s.outputs);
        s.weights = static_cast<const float *>(w);
        s.bias = b;
    }
}

/* One step's, through staging; `by` is what the input map's numbers are short of. */
static wilor_cuda_result put_weights(const net *n, const wilor_net_step *from,
                                     const wilor_net_step *to, float by, float *staging,
                                     wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    size_t count = conv_numbers(to), inputs = (size_t)from->inputs;
    std::vector<float> scaled(count);
    for (size_t i = 0; i < conv_numbers(from); i++)
        scaled[i / inputs * (size_t)to->inputs + i % inputs] = from->weights[i] * by;
    CUDA_CALL(cudaMemcpy(const_cast<float *>(to->bias), from->bias,
                         (size_t)from->outputs * sizeof(float), cudaMemcpyHostToDevice),
              "a bias", err);
    CUDA_CALL(cudaMemcpy(staging, scaled.data(), count * sizeof(float), cudaMemcpyHostToDevice),
              "a convolution", err);
    by_number(n->number, [&](auto zero) {
        typedef decltype(zero) T;
        T *at = reinterpret_cast<T *>(const_cast<float *>(to->weights));
        wilor_launch(narrow_kernel<T>, parts(count, FLAT_THREADS), FLAT_THREADS, 0, nullptr,
                     staging, at, count);
    });
    CUDA_CALL(cudaGetLastError(), "a convolution", err);
    CUDA_CALL(cudaStreamSynchronize(nullptr), "a convolution", err);
done:
    return st;
}

wilor_cuda_result net_create(void **out, int device, const wilor_cuda_net *o,
                             wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    wilor_cuda_device_info card;
    device_arena a = {nullptr, 0};
    size_t most = 0;
    float *staging = nullptr;
    net *n = new net();
    *out = nullptr;
    n->device = device;
    n->number = o->number;
    n->input = o->program.input;
    memcpy(n->head, o->program.head, sizeof n->head);
    n->maps.assign(o->program.maps, o->program.maps + o->program.map_count);
    n->steps.assign(o->program.steps, o->program.steps + o->program.step_count);
    pad_channels(n);
    CUDA_TRY(device_info(device, &card, err));
    n->multiprocessors = card.multiprocessors;
    CUDA_CALL(cudaSetDevice(device), "choosing the card", err);
    if (card.major * 10 + card.minor < 75 || (card.major < 8 && o->number == WILOR_CUDA_BF16)) {
        st = fail(err, WILOR_CUDA_UNSUPPORTED,
                  "%s (compute capability %d.%d) is too old for this", card.name, card.major,
                  card.minor);
        goto done;
    }
    n->early = may_launch_early(tensor_conv<f16, 64>);
    push_weights(n, &n->steps, &a);
    n->bytes = a.used;
    for (const wilor_net_step &s : n->steps)
        most = !s.pool && conv_numbers(&s) > most ? conv_numbers(&s) : most;
    CUDA_CALL(cudaMalloc(&n->block, n->bytes), "the detector's weights", err);
    CUDA_CALL(cudaMalloc(&staging, most * sizeof(float)), "the detector's weights", err);
    a = {n->block, 0};
    push_weights(n, &n->steps, &a);
    for (int i = 0; i < o->program.step_count; i++) {
        bool first =
            o->program.steps[i].in.map == o->program.input && o->number != WILOR_CUDA_F32;
        if (!o->program.steps[i].pool)
            CUDA_TRY(put_weights(n, &o->program.steps[i], &n->steps[(size_t)i],
                                 first ? 256.0f / 255.0f : 1.0f, staging, err));
    }
    *out = n;
    n = nullptr;
done:
    cudaFree(staging);
    net_free(n);
    return st;
}

size_t net_bytes(const void *p) { return static_cast<const net *>(p)->bytes; }

void net_free(void *p) {
    net *n = static_cast<net *>(p);
    if (!n)
        return;
    cudaSetDevice(n->device);
    cudaFree(n->block);
    delete n;
}

/* ---------------------------------------------------------------- a run's memory */

wilor_cuda_result net_run_open(void **out, const void *p, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = new net_run();
    *out = nullptr;
    r->n = static_cast<const net *>(p);
    r->maps.resize(r->n->maps.size());
    CUDA_CALL(cudaSetDevice(r->n->device), "choosing the card", err);
    CUDA_CALL(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking), "a stream", err);
    CUDA_CALL(cudaEventCreate(&r->begin), "an event", err);
    CUDA_CALL(cudaEventCreate(&r->end), "an event", err);
    *out = r;
    r = nullptr;
done:
    net_run_close(r);
    return st;
}

void net_run_close(void *p) {
    net_run *r = static_cast<net_run *>(p);
    if (!r)
        return;
    cudaSetDevice(r->n->device);
    if (r->graph)
        cudaGraphExecDestroy(r->graph);
    if (r->begin)
        cudaEventDestroy(r->begin);
    if (r->end)
        cudaEventDestroy(r->end);
    cudaFree(r->block);
    cudaFreeHost(r->pinned);
    free_frame(&r->frame);
    for (cudaEvent_t e : r->done)
        cudaEventDestroy(e);
    for (size_t l = 1; l < r->lanes.size(); l++)
        cudaStreamDestroy(r->lanes[l].stream);
    if (r->stream)
        cudaStreamDestroy(r->stream);
    delete r;
}

static size_t map_numbers(const net_run *r, size_t i) {
    const wilor_net_map *m = &r->n->maps[i];
    return (size_t)(r->width >> m->shift) * (size_t)(r->height >> m->shift) *
           (size_t)m->channels;
}

static size_t map_bytes(const net_run *r, size_t i) {
    bool whole = is_head(r->n, (int)i);
    return map_numbers(r, i) * (whole ? sizeof(float) : number_bytes(r->n->number));
}

static void push_maps(net_run *r, device_arena *card, device_arena *host) {
    for (size_t i = 0; i < r->maps.size(); i++)
        r->maps[i] = card->push<char>(map_bytes(r, i));
    r->order = card->push<net_order>(1);
    r->list = card->push<chosen_list>(1);
    for (net_lane &l : r->lanes) {
        l.work = card->push<float>(l.work_numbers);
        l.ended = card->push<unsigned>(l.most_tiles);
    }
    r->order_host = host->push<net_order>(1);
    r->list_host = host->push<chosen_list>(1);
    for (int l = 0; l < 3; l++)
        r->head_host[l] = reinterpret_cast<float *>(host->push<char>(head_bytes(r, l)));
}

/* ---------------------------------------------------------------- lanes */

static wilor_cuda_result open_lanes(net_run *r, size_t count, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    if (r->lanes.empty())
        r->lanes.push_back({r->stream, 0, 0, nullptr, nullptr});
    while (r->lanes.size() < count) {
        net_lane l = {};
        CUDA_CALL(cudaStreamCreateWithFlags(&l.stream, cudaStreamNonBlocking), "a stream", err);
        r->lanes.push_back(l);
    }
    while (r->done.size() < r->n->steps.size()) {
        cudaEvent_t e;
        CUDA_CALL(cudaEventCreateWithFlags(&e, cudaEventDisableTiming), "an event", err);
        r->done.push_back(e);
    }
done:
    return st;
}

static wilor_cuda_result plan_lanes(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const net *n = r->n;
    plan_query q = {&n->maps, &n->steps, n->number == WILOR_CUDA_F32,
                    r->width, r->height, n->multiprocessors};
    size_t count = 1;
    r->plans = plan_steps(&q);
    for (const step_plan &p : r->plans)
        count = std::max(count, (size_t)p.lane + 1);
    CUDA_TRY(open_lanes(r, count, err));
    for (net_lane &l : r->lanes)
        l.work_numbers = l.most_tiles = 0;
    for (const step_plan &p : r->plans) {
        net_lane *l = &r->lanes[(size_t)p.lane];
        l->work_numbers = std::max(l->work_numbers, plan_work(&p));
        l->most_tiles = std::max(l->most_tiles, p.parts > 1 ? (size_t)p.tiles : 0);
    }
done:
    return st;
}

/* ---------------------------------------------------------------- steps */

static wilor_cuda_result enqueue_steps(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    std::vector<int> last(r->lanes.size(), -1);
    for (size_t i = 0; i < r->plans.size(); i++) {
        const step_plan &p = r->plans[i];
        cudaStream_t stream = r->lanes[(size_t)p.lane].stream;
        for (int j : p.after)
            CUDA_CALL(cudaStreamWaitEvent(stream, r->done[(size_t)j], 0), "a lane", err);
        enqueue_step(r, i, p);
        CUDA_CALL(cudaEventRecord(r->done[i], stream), "a lane", err);
        last[(size_t)p.lane] = (int)i;
    }
    for (size_t l = 1; l < last.size(); l++)
        if (last[l] >= 0)
            CUDA_CALL(cudaStreamWaitEvent(r->stream, r->done[(size_t)last[l]], 0), "a lane",
                      err);
done:
    return st;
}

/* The frame on the card becomes the input. */
static wilor_cuda_result enqueue_input(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const net *n = r->n;
    dim3 grid((unsigned)(r->width / INPUT_COLUMNS), (unsigned)(r->height / INPUT_ROWS));
    CUDA_CALL(cudaMemcpyAsync(r->order, r->order_host, sizeof *r->order, cudaMemcpyHostToDevice,
                              r->stream),
              "a run's orders", err);
    by_number(n->number, [&](auto zero) {
        typedef decltype(zero) T;
        wilor_launch(letterbox_kernel<T>, grid, dim3(INPUT_COLUMNS, INPUT_ROWS), 0, r->stream,
                     r->order, reinterpret_cast<T *>(r->maps[(size_t)n->input]), r->width,
                     r->list);
    });
    CUDA_CALL(cudaGetLastError(), "the detector's input", err);
done:
    return st;
}

static wilor_cuda_result enqueue(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    CUDA_TRY(enqueue_input(r, err));
    CUDA_TRY(enqueue_steps(r, err));
    CUDA_CALL(cudaGetLastError(), "the detector", err);
    CUDA_TRY(enqueue_choice(r, err));
done:
    return st;
}

/* ---------------------------------------------------------------- runs */

static wilor_cuda_result grow(net_run *r, size_t card, size_t host, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    if (card > r->room) {
        cudaFree(r->block);
        r->block = nullptr;
        r->room = 0;
        CUDA_CALL(cudaMalloc(&r->block, card), "the detector's maps", err);
        r->room = card;
    }
    if (host > r->pinned_room) {
        cudaFreeHost(r->pinned);
        r->pinned = nullptr;
        r->pinned_room = 0;
        CUDA_CALL(cudaMallocHost(&r->pinned, host), "the detector's pinned memory", err);
        r->pinned_room = host;
    }
done:
    return st;
}

/* What no kernel writes and some read. */
static wilor_cuda_result clear(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    for (size_t i = 0; i < r->maps.size(); i++)
        if (r->n->padded[i])
            CUDA_CALL(cudaMemsetAsync(r->maps[i], 0, map_bytes(r, i), r->stream),
                      "the detector's maps", err);
    for (const net_lane &l : r->lanes)
        CUDA_CALL(cudaMemsetAsync(l.ended, 0, l.most_tiles * sizeof(unsigned), r->stream),
                  "the detector's maps", err);
done:
    return st;
}

/* Maps, graph and the rest for inputs of a new size. */
static wilor_cuda_result make_size(net_run *r, int width, int height, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    device_arena card = {nullptr, 0}, host = {nullptr, 0};
    if (r->graph)
        cudaGraphExecDestroy(r->graph);
    r->graph = nullptr;
    r->width = width;
    r->height = height;
    CUDA_TRY(plan_lanes(r, err));
    push_maps(r, &card, &host);
    CUDA_TRY(grow(r, card.used, host.used, err));
    card = {r->block, 0};
    host = {r->pinned, 0};
    push_maps(r, &card, &host);
    CUDA_TRY(clear(r, err));
    CUDA_TRY(capture_graph(
        &r->graph, r->stream, [&] { return enqueue(r, err); }, err));
done:
    if (st != WILOR_CUDA_OK)
        r->width = r->height = 0;
    return st;
}

wilor_cuda_result net_run_begin(void *p, int width, int height, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = static_cast<net_run *>(p);
    wilor_cuda_frame input = {width, height, 3, {0, 1, 2}};
    wilor_cuda_letterbox as_it_is = {width, height, 0, 0};
    CUDA_CALL(cudaSetDevice(r->n->device), "choosing the card", err);
    if (width != r->width || height != r->height)
        CUDA_TRY(make_size(r, width, height, err));
    CUDA_TRY(net_run_frame(r, &input, &as_it_is, err));
done:
    return st;
}

wilor_cuda_result net_run_frame(void *p, const wilor_cuda_frame *f,
                                const wilor_cuda_letterbox *l, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = static_cast<net_run *>(p);
    CUDA_CALL(cudaSetDevice(r->n->device), "choosing the card", err);
    CUDA_TRY(grow_frame(&r->frame, (size_t)(f->width * f->pixel) * (size_t)f->height, err));
    *r->order_host = {frame_on_card(r->frame.card, f),
                      make_axis(f->width, l->inner_width),
                      make_axis(f->height, l->inner_height),
                      l->left,
                      l->top,
                      INFINITY};
done:
    return st;
}

frame_view net_run_view(const void *p) {
    return static_cast<const net_run *>(p)->order_host->frame;
}

uint8_t *net_run_row(void *p, int y) {
    net_run *r = static_cast<net_run *>(p);
    return r->frame.pinned + (size_t)y * (size_t)r->order_host->frame.stride;
}

static wilor_cuda_result upload_frame(net_run *r, wilor_cuda_error *err) {
    const frame_view *f = &r->order_host->frame;
    return check(cudaMemcpyAsync(r->frame.card, r->frame.pinned,
                                 (size_t)f->stride * (size_t)f->height, cudaMemcpyHostToDevice,
                                 r->stream),
                 "a frame", err);
}

wilor_cuda_result net_run_forward(void *p, const float *lowest, wilor_cuda_chosen *chosen,
                                  float *device_ms, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = static_cast<net_run *>(p);
    r->order_host->lowest = lowest ? *lowest : INFINITY; /* nothing is above it */
    CUDA_CALL(cudaSetDevice(r->n->device), "choosing the card", err);
    CUDA_CALL(cudaEventRecord(r->begin, r->stream), "an event", err);
    CUDA_TRY(upload_frame(r, err));
    CUDA_CALL(cudaGraphLaunch(r->graph, r->stream), "a graph", err);
    if (!lowest)
        CUDA_TRY(enqueue_heads(r, err));
    CUDA_CALL(cudaEventRecord(r->end, r->stream), "an event", err);
    CUDA_CALL(cudaStreamSynchronize(r->stream), "the detector", err);
    CUDA_CALL(cudaEventElapsedTime(device_ms, r->begin, r->end), "an event", err);
    CUDA_TRY(give_chosen(r, chosen, err));
    if (!lowest)
        chosen->count = -1;
done:
    return st;
}

const float *net_run_head(const void *p, int level) {
    return static_cast<const net_run *>(p)->head_host[level];
}

wilor_cuda_result net_run_input(void *p, uint8_t *rgb, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = static_cast<net_run *>(p);
    const net *n = r->n;
    size_t pixels = (size_t)r->width * (size_t)r->height;
    size_t bytes = map_bytes(r, (size_t)n->input), each = bytes / pixels;
    std::vector<char> map(bytes);
    CUDA_CALL(cudaSetDevice(n->device), "choosing the card", err);
    CUDA_TRY(upload_frame(r, err));
    CUDA_TRY(enqueue_input(r, err));
    CUDA_CALL(cudaStreamSynchronize(r->stream), "the detector's input", err);
    CUDA_CALL(cudaMemcpy(map.data(), r->maps[(size_t)n->input], bytes, cudaMemcpyDeviceToHost),
              "the detector's input", err);
    by_number(n->number, [&](auto zero) {
        typedef decltype(zero) T;
        const float whole = sizeof(T) == 4 ? 255.0f : 256.0f;
        for (size_t i = 0; i < pixels * 3; i++) {
            T v;
            memcpy(&v, &map[i / 3 * each + i % 3 * sizeof v], sizeof v);
            rgb[i] = (uint8_t)rintf(widen(v) * whole);
        }
    });
done:
    return st;
}

} // namespace wilor_cuda
