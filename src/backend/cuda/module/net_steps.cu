/* The detector's steps as kernels. */
#include "kernels_conv.h"
#include "kernels_net.h"
#include "model.h"
#include "net_run.h"

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
    a.tap_skip = a.in_channels - a.inputs;
    a.row_skip = (a.in_width - a.size) * a.in_channels;
    a.width = r->width >> shift;
    a.height = r->height >> shift;
    a.silu = s->silu;
    a.wide = !is_head(n, s->out.map) && of_eights(r, s->out) && of_eights(r, s->added) &&
             of_eights(r, s->twice);
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

/* What comes after steps of other lanes waits for all of them to end. The others follow the kernel before
 * in their lane, and their own wait is for all that it waited for, too. */
static bool may_be_early(const net_run *r, const step_plan &p) {
    return r->n->early && p.after.empty();
}

template <class T, int N>
static void launch_conv(const net_run *r, const conv_args<T> &a, const step_plan &p) {
    dim3 grid(parts((size_t)(a.width * a.height), CONV_PIXELS), parts((size_t)a.outputs, N),
              (unsigned)p.parts);
    typedef conv_shape<N> shape;
    wilor_launch_early(may_be_early(r, p), tensor_conv<T, N>, grid, shape::threads,
                       shape::shared, r->lanes[(size_t)p.lane].stream, a);
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
        launch_conv<T, 64>(r, a, p);
    else if (p.outputs == 48)
        launch_conv<T, 48>(r, a, p);
    else if (p.outputs == 32)
        launch_conv<T, 32>(r, a, p);
    else
        convolve_plainly(l->stream, a);
}

template <>
void convolve<float>(const net_run *r, const wilor_net_step *s, const step_plan &p) {
    convolve_plainly(r->lanes[(size_t)p.lane].stream, describe<float>(r, s));
}

template <class T>
static void pool(const net_run *r, const wilor_net_step *s, const step_plan &p) {
    int shift = r->n->maps[(size_t)s->out.map].shift;
    int width = r->width >> shift, height = r->height >> shift;
    dim3 grid(parts((size_t)width, POOL_WIDTH), (unsigned)height,
              parts((size_t)s->channels, POOL_CHANNELS));
    wilor_launch_early(may_be_early(r, p), pool_kernel<T>, grid, NET_THREADS, 0,
                       r->lanes[(size_t)p.lane].stream, slice_at<T>(r, s->in),
                       slice_at<T>(r, s->out), width, height, channels_of(r, s->out),
                       s->channels);
}

void enqueue_step(const net_run *r, size_t i, const step_plan &p) {
    const wilor_net_step *s = &r->n->steps[i];
    by_number(r->n->number, [&](auto zero) {
        typedef decltype(zero) T;
        if (s->pool)
            pool<T>(r, s, p);
        else
            convolve<T>(r, s, p);
    });
}

} // namespace wilor_cuda
