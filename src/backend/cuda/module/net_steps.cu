/* A run's kernels and copies: see net_run.h. */
#include "kernels_conv.h"
#include "kernels_net.h"
#include "model.h"
#include "net_run.h"

#include <algorithm>

namespace wilor_cuda {

template <class T> static T *slice_at(const net_run *r, wilor_net_slice s) {
    return s.map < 0 ? nullptr
                     : reinterpret_cast<T *>(r->maps[(size_t)s.map]) + (size_t)s.channel;
}

static int channels_of(const net_run *r, wilor_net_slice s) {
    return s.map < 0 ? 0 : r->n->maps[(size_t)s.map].channels;
}

static bool of_eights(const net_run *r, wilor_net_slice s) {
    return s.map < 0 || (s.channel % CONV_VECTOR == 0 && channels_of(r, s) % CONV_VECTOR == 0);
}

template <class T> static conv_args<T> describe(const net_run *r, const wilor_net_step *s) {
    const net *n = r->n;
    int in_shift = n->maps[(size_t)s->in.map].shift, shift = n->maps[(size_t)s->out.map].shift;
    conv_args<T> a = {};
    a.in = slice_at<T>(r, s->in);
    a.in_channels = channels_of(r, s->in);
    a.in_width = r->width >> in_shift;
    a.in_height = r->height >> in_shift;
    a.weights = reinterpret_cast<const T *>(s->weights);
    a.bias = s->bias;
    a.inputs = s->inputs;
    a.outputs = s->outputs;
    a.size = s->size;
    a.stride = s->stride;
    a.depth = s->size * s->size * s->inputs;
    a.width = r->width >> shift;
    a.height = r->height >> shift;
    a.silu = s->silu;
    a.wide = !is_head(n, s->out.map) && s->outputs % CONV_VECTOR == 0 && of_eights(r, s->out) &&
             of_eights(r, s->added) && of_eights(r, s->twice);
    if (is_head(n, s->out.map))
        a.head = slice_at<float>(r, s->out);
    else
        a.out = slice_at<T>(r, s->out);
    a.added = slice_at<T>(r, s->added);
    a.twice = slice_at<T>(r, s->twice);
    a.out_channels = channels_of(r, s->out);
    a.added_channels = channels_of(r, s->added);
    a.twice_channels = channels_of(r, s->twice);
    return a;
}

template <class T, int N, int STAGES>
static void launch_staged(cudaStream_t stream, const conv_args<T> &a, const step_plan &p) {
    dim3 grid(parts((size_t)(a.width * a.height), CONV_PIXELS), parts((size_t)a.outputs, N),
              (unsigned)p.parts);
    /* More than 48 KiB must be asked for; what fails is the launch's error. */
    cudaFuncSetAttribute(tensor_conv<T, N, STAGES>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         (int)conv_shared<T, N>(STAGES));
    wilor_launch(tensor_conv<T, N, STAGES>, grid, CONV_THREADS,
                 conv_shared<T, N>(std::min(p.part_steps, STAGES)), stream, a);
}

template <class T, int N>
static void launch_conv(cudaStream_t stream, const conv_args<T> &a, const step_plan &p) {
    if (p.stages == CONV_DEEP)
        launch_staged<T, N, CONV_DEEP>(stream, a, p);
    else
        launch_staged<T, N, CONV_STAGES>(stream, a, p);
}

template <class T> static void convolve_plainly(cudaStream_t stream, const conv_args<T> &a) {
    dim3 grid(parts((size_t)(a.width * a.height), PLAIN_TILE),
              parts((size_t)a.outputs, PLAIN_TILE));
    wilor_launch(plain_conv<T>, grid, dim3(PLAIN_TILE, PLAIN_TILE), 0, stream, a);
}

template <class T>
static void convolve(const net_run *r, const wilor_net_step *s, const step_plan &p) {
    const net_lane *l = &r->lanes[(size_t)p.lane];
    conv_args<T> a = describe<T>(r, s);
    a.part_steps = p.part_steps;
    a.work = l->work;
    a.ended = l->ended;
    if (p.outputs == 64)
        launch_conv<T, 64>(l->stream, a, p);
    else if (p.outputs == 48)
        launch_conv<T, 48>(l->stream, a, p);
    else if (p.outputs == 32)
        launch_conv<T, 32>(l->stream, a, p);
    else
        convolve_plainly(l->stream, a);
}

template <>
void convolve<float>(const net_run *r, const wilor_net_step *s, const step_plan &p) {
    convolve_plainly(r->lanes[(size_t)p.lane].stream, describe<float>(r, s));
}

template <class T>
static void pool(const net_run *r, const wilor_net_step *s, cudaStream_t stream) {
    int shift = r->n->maps[(size_t)s->out.map].shift;
    int width = r->width >> shift, height = r->height >> shift;
    dim3 grid(parts((size_t)width, POOL_SIDE), parts((size_t)height, POOL_SIDE),
              parts((size_t)s->channels, POOL_CHANNELS));
    wilor_launch(pool_kernel<T>, grid, NET_THREADS, 0, stream, slice_at<T>(r, s->in),
                 slice_at<T>(r, s->out), width, height, channels_of(r, s->out), s->channels);
}

template <class T> static wilor_cuda_result enqueue_steps(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    std::vector<int> last(r->lanes.size(), -1);
    for (size_t i = 0; i < r->plans.size(); i++) {
        const wilor_net_step *s = &r->n->steps[i];
        const step_plan &p = r->plans[i];
        cudaStream_t stream = r->lanes[(size_t)p.lane].stream;
        for (int j : p.after)
            CUDA_CALL(cudaStreamWaitEvent(stream, r->done[(size_t)j], 0), "a lane", err);
        if (s->pool)
            pool<T>(r, s, stream);
        else
            convolve<T>(r, s, p);
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

/* A level goes back as soon as it is there. */
static wilor_cuda_result enqueue_heads(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const net *n = r->n;
    for (int l = 0; l < 3; l++) {
        for (size_t i = 0; i < n->steps.size(); i++)
            if (n->steps[i].out.map == n->head[l])
                CUDA_CALL(cudaStreamWaitEvent(r->copies, r->done[i], 0), "a lane", err);
        CUDA_CALL(cudaMemcpyAsync(r->head_host[l], r->maps[(size_t)n->head[l]],
                                  map_bytes(r, (size_t)n->head[l]), cudaMemcpyDeviceToHost,
                                  r->copies),
                  "the detector's output", err);
    }
    CUDA_CALL(cudaEventRecord(r->copied, r->copies), "a lane", err);
    CUDA_CALL(cudaStreamWaitEvent(r->stream, r->copied, 0), "a lane", err);
done:
    return st;
}

wilor_cuda_result net_enqueue(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const net *n = r->n;
    size_t pixels = (size_t)r->width * (size_t)r->height, bytes = pixels * 3;
    CUDA_CALL(
        cudaMemcpyAsync(r->bytes_card, r->bytes_host, bytes, cudaMemcpyHostToDevice, r->stream),
        "the detector's input", err);
    by_number(n->number, [&](auto zero) {
        typedef decltype(zero) T;
        wilor_launch(input_kernel<T>, parts(pixels, NET_THREADS), NET_THREADS, 0, r->stream,
                     r->bytes_card, reinterpret_cast<T *>(r->maps[(size_t)n->input]),
                     n->maps[(size_t)n->input].channels, pixels);
        st = enqueue_steps<T>(r, err);
    });
    CUDA_TRY(st);
    CUDA_CALL(cudaGetLastError(), "the detector", err);
    CUDA_TRY(enqueue_heads(r, err));
done:
    return st;
}

} // namespace wilor_cuda
