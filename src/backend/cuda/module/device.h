/* Errors with CUDA's own words, and memory on the card: measured, then taken in one block. */
#ifndef WILOR_CUDA_DEVICE_H
#define WILOR_CUDA_DEVICE_H

#include "cuda_abi.h"
#include "target.h"

namespace wilor_cuda {

wilor_cuda_result fail(wilor_cuda_error *err, wilor_cuda_result result, const char *format,
                       ...);
/* OK, or what a call of the runtime says, in our terms. */
wilor_cuda_result check(cudaError_t e, const char *what, wilor_cuda_error *err);

/* For functions with a label `done` and a wilor_cuda_result st. */
#define CUDA_TRY(call)                                                                         \
    do {                                                                                       \
        st = (call);                                                                           \
        if (st != WILOR_CUDA_OK)                                                               \
            goto done;                                                                         \
    } while (0)

#define CUDA_CALL(call, what, err) CUDA_TRY(check((call), (what), (err)))

/* What f puts onto the stream, as a graph. */
template <class F>
wilor_cuda_result capture_graph(cudaGraphExec_t *out, cudaStream_t stream, F f,
                                wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK, inside;
    cudaGraph_t graph = nullptr;
    cudaError_t end;
    CUDA_CALL(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "a graph", err);
    inside = f();
    end = cudaStreamEndCapture(stream, &graph); /* also after an error */
    CUDA_TRY(inside);
    CUDA_CALL(end, "a graph", err);
    CUDA_CALL(cudaGraphInstantiate(out, graph, 0), "a graph", err);
done:
    if (graph)
        cudaGraphDestroy(graph);
    return st;
}

/* Where the next piece of a block begins. */
static inline size_t in_lines(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* Pieces of one block; with base NULL only their sizes are added up. */
struct device_arena {
    char *base;
    size_t used;

    template <class T> T *push(size_t count) {
        size_t at = used;
        used += in_lines(count * sizeof(T));
        return base ? reinterpret_cast<T *>(base + at) : nullptr;
    }
};

/* A frame's bytes on the way to the card, and there. */
struct frame_memory {
    uint8_t *card, *pinned;
    size_t room;
};

wilor_cuda_result grow_frame(frame_memory *m, size_t bytes, wilor_cuda_error *err);
void free_frame(frame_memory *m);

static inline unsigned parts(size_t count, size_t size) {
    return (unsigned)((count + size - 1) / size);
}

} // namespace wilor_cuda

#endif
