/* What comes back of the detector's heads: the anchors that a run asks for, or all numbers. */
#include "kernels_net.h"
#include "model.h"

#include <algorithm>

namespace wilor_cuda {

enum { HEAD_PARTS = (HEAD + 31) / 32 };

static __device__ const float *numbers_of(const head_levels &h, int anchor) {
    const float *level = h.numbers[0];
    int first = 0;
    for (int l = 1; l < 3; l++)
        if (anchor >= h.first[l]) {
            level = h.numbers[l];
            first = h.first[l];
        }
    return level + (size_t)(anchor - first) * HEAD;
}

/* Anchors with a class's logit above the order's go onto the list, in any order. A thread is an anchor, then a
 * warp copies the numbers of one that the block found. Grid: anchors / 256. */
static __global__ void choose_kernel(head_levels h, const net_order *order, chosen_list *list) {
    __shared__ int found[NET_THREADS], count, place;
    const int anchor = (int)(blockIdx.x * NET_THREADS + threadIdx.x);
    if (threadIdx.x == 0)
        count = 0;
    __syncthreads();
    if (anchor < h.first[3]) {
        const float *c = numbers_of(h, anchor) + HEAD_CLASSES;
        if (c[0] > order->lowest || c[1] > order->lowest)
            found[atomicAdd(&count, 1)] = anchor;
    }
    __syncthreads();
    if (threadIdx.x == 0 && count > 0)
        place = atomicAdd(&list->count, count);
    __syncthreads();
    for (int i = (int)threadIdx.x / 32; i < count; i += NET_THREADS / 32) {
        const float *from = numbers_of(h, found[i]);
        const int to = place + i, lane = (int)threadIdx.x % 32;
        float part[HEAD_PARTS];
        if (to >= WILOR_CUDA_MOST_CHOSEN)
            break;
        if (lane == 0)
            list->anchor[to] = found[i];
#pragma unroll
        for (int k = 0; k < HEAD_PARTS; k++)
            part[k] = k * 32 + lane < HEAD ? from[k * 32 + lane] : 0.0f;
#pragma unroll
        for (int k = 0; k < HEAD_PARTS; k++)
            if (k * 32 + lane < HEAD)
                list->numbers[to][k * 32 + lane] = part[k];
    }
}

wilor_cuda_result enqueue_choice(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    head_levels h = {};
    for (int l = 0; l < 3; l++) {
        h.numbers[l] = reinterpret_cast<const float *>(r->maps[(size_t)r->n->head[l]]);
        h.first[l + 1] = h.first[l] + (int)(head_bytes(r, l) / (HEAD * sizeof(float)));
    }
    wilor_launch(choose_kernel, parts((size_t)h.first[3], NET_THREADS), NET_THREADS, 0,
                 r->stream, h, r->order, r->list);
    CUDA_CALL(cudaGetLastError(), "the detector's choice", err);
    CUDA_CALL(cudaMemcpyAsync(r->list_host, r->list, sizeof *r->list, cudaMemcpyDeviceToHost,
                              r->stream),
              "the detector's choice", err);
done:
    return st;
}

wilor_cuda_result enqueue_heads(net_run *r, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    for (int l = 0; l < 3; l++)
        CUDA_CALL(cudaMemcpyAsync(r->head_host[l], r->maps[(size_t)r->n->head[l]],
                                  head_bytes(r, l), cudaMemcpyDeviceToHost, r->stream),
                  "the detector's output", err);
done:
    return st;
}

wilor_cuda_result give_chosen(net_run *r, wilor_cuda_chosen *out, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    const chosen_list *list = r->list_host;
    int order[WILOR_CUDA_MOST_CHOSEN];
    *out = {-1, r->chosen_anchor, r->chosen_numbers};
    if (list->count > WILOR_CUDA_MOST_CHOSEN) {
        CUDA_TRY(enqueue_heads(r, err));
        CUDA_CALL(cudaStreamSynchronize(r->stream), "the detector's output", err);
        return WILOR_CUDA_OK;
    }
    for (int i = 0; i < list->count; i++)
        order[i] = i;
    std::sort(order, order + list->count,
              [&](int a, int b) { return list->anchor[a] < list->anchor[b]; });
    for (int i = 0; i < list->count; i++) {
        r->chosen_anchor[i] = list->anchor[order[i]];
        r->chosen_numbers[i] = list->numbers[order[i]];
    }
    out->count = list->count;
done:
    return st;
}

wilor_cuda_result net_run_choose(void *p, const float *numbers, float lowest,
                                 wilor_cuda_chosen *chosen, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    net_run *r = static_cast<net_run *>(p);
    r->order_host->lowest = lowest;
    CUDA_CALL(cudaSetDevice(r->n->device), "choosing the card", err);
    for (int l = 0; l < 3; l++) {
        CUDA_CALL(cudaMemcpyAsync(r->maps[(size_t)r->n->head[l]], numbers, head_bytes(r, l),
                                  cudaMemcpyHostToDevice, r->stream),
                  "the heads", err);
        numbers += head_bytes(r, l) / sizeof *numbers;
    }
    CUDA_CALL(cudaMemcpyAsync(r->order, r->order_host, sizeof *r->order, cudaMemcpyHostToDevice,
                              r->stream),
              "a run's orders", err);
    CUDA_CALL(cudaMemsetAsync(&r->list->count, 0, sizeof r->list->count, r->stream), "the list",
              err);
    CUDA_TRY(enqueue_choice(r, err));
    CUDA_CALL(cudaStreamSynchronize(r->stream), "the detector's choice", err);
    CUDA_TRY(give_chosen(r, chosen, err));
done:
    return st;
}

} // namespace wilor_cuda
