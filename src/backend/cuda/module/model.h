/* A model's weights on the card: one block of memory, read-only once every tensor has come. */
#ifndef WILOR_CUDA_MODEL_H
#define WILOR_CUDA_MODEL_H

#include "device.h"
#include "elements.h"
#include "kernels_hand_types.h"

#include <type_traits>

namespace wilor_cuda {

/* The blocks' tensors behind those that there is one of. */
enum { BLOCK_TENSORS = WILOR_NET_TENSORS - WILOR_NET_PLAIN_TENSORS, SIDE_TENSORS = 2 };

struct model {
    int device;
    cudaDeviceProp card;
    wilor_cuda_shape shape;
    wilor_cuda_number patch; /* what patches are multiplied in: their numbers are small */
    char *block;
    size_t bytes;
    void **tensor; /* PLAIN_TENSORS, BLOCK_TENSORS a block, and the side head's */
    size_t slots, filled;
    float *staging; /* the largest tensor, as it comes; freed with the last */
    mano_arrays mano;
};

/* Which of the slots is tensor t's of a block. */
static inline size_t slot_of(const model *m, int t, int block) {
    if (t < WILOR_NET_PLAIN_TENSORS)
        return (size_t)t;
    if (t >= WILOR_NET_SIDE_W)
        return m->slots - SIDE_TENSORS + (size_t)(t - WILOR_NET_SIDE_W);
    return (size_t)(WILOR_NET_PLAIN_TENSORS + block * BLOCK_TENSORS +
                    (t - WILOR_NET_PLAIN_TENSORS));
}

/* Where tensor t of a block lies. */
template <class T> const T *tensor(const model *m, int t, int block = 0) {
    return static_cast<const T *>(m->tensor[slot_of(m, t, block)]);
}

static inline layer layer_of(const model *m, int w) {
    return {tensor<float>(m, w), tensor<float>(m, w + 1)};
}

static inline size_t number_bytes(wilor_cuda_number n) { return n == WILOR_CUDA_F32 ? 4 : 2; }

/* Call f with a value of the number's type. */
template <class F> auto by_number(wilor_cuda_number n, F f) {
    switch (n) {
    case WILOR_CUDA_F16:
        return f(f16());
    case WILOR_CUDA_BF16:
        return f(bf16());
    default:
        return f(float());
    }
}

/* Call f with a value of how activations are. */
template <class F> auto by_activation(const wilor_cuda_shape &shape, F f) {
    return shape.split ? f(parted()) : by_number(shape.number, f);
}

/* Call f with how many numbers a thread reads at once: four, where rows allow it. */
template <class F> void by_reach(bool four, F f) {
    if (four)
        return f(std::integral_constant<int, 4>());
    f(std::integral_constant<int, 1>());
}

/* A frame's rows, one behind the other on the card. */
static inline frame_view frame_on_card(const uint8_t *card, const wilor_cuda_frame *f) {
    return {card,
            f->width,
            f->height,
            f->pixel,
            f->width * f->pixel,
            {f->channel[0], f->channel[1], f->channel[2]}};
}

wilor_cuda_result device_info(int device, wilor_cuda_device_info *out, wilor_cuda_error *err);
wilor_cuda_result model_create(void **out, int device, const wilor_cuda_shape *shape,
                               const wilor_net_mano *mano, wilor_cuda_error *err);
wilor_cuda_result model_put(void *model, int t, int block, const float *data,
                            wilor_cuda_error *err);
size_t model_bytes(const void *model);
void model_free(void *model);

wilor_cuda_result session_open(void **out, const void *model,
                               const wilor_cuda_session_options *o, wilor_cuda_error *err);
size_t session_bytes(const void *model, const wilor_cuda_session_options *o);
void session_close(void *session);
wilor_cuda_result session_frame(void *session, const wilor_cuda_frame *frame, uint8_t **rows,
                                wilor_cuda_error *err);
void session_share(void *session, const void *run);
float *session_crop(void *session, int i);
wilor_cuda_result session_start(void *session, const wilor_cuda_crop *crops, int n,
                                const float *fixed_betas, int sides, wilor_cuda_error *err);
wilor_cuda_result session_finish(void *session, wilor_cuda_output *out, wilor_cuda_error *err);
void session_trace(void *session, wilor_cuda_trace trace, void *context);
wilor_cuda_result session_crops(void *session, int n, float *out, wilor_cuda_error *err);

wilor_cuda_result net_create(void **out, int device, const wilor_cuda_net *o,
                             wilor_cuda_error *err);
size_t net_bytes(const void *net);
void net_free(void *net);
wilor_cuda_result net_run_open(void **out, const void *net, wilor_cuda_error *err);
void net_run_close(void *run);
wilor_cuda_result net_run_begin(void *run, int width, int height, wilor_cuda_error *err);
wilor_cuda_result net_run_frame(void *run, const wilor_cuda_frame *frame,
                                const wilor_cuda_letterbox *letterbox, wilor_cuda_error *err);
frame_view net_run_view(const void *run);
uint8_t *net_run_row(void *run, int y);
wilor_cuda_result net_run_forward(void *run, const float *lowest, wilor_cuda_chosen *chosen,
                                  float *device_ms, wilor_cuda_error *err);
const float *net_run_head(const void *run, int level);
wilor_cuda_result net_run_input(void *run, uint8_t *rgb, wilor_cuda_error *err);
wilor_cuda_result net_run_choose(void *run, const float *numbers, float lowest,
                                 wilor_cuda_chosen *chosen, wilor_cuda_error *err);

} // namespace wilor_cuda

#endif
