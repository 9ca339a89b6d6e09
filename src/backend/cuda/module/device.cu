/* See device.h. */
#include "device.h"

#include <cstdarg>
#include <cstdio>

namespace wilor_cuda {

wilor_cuda_result fail(wilor_cuda_error *err, wilor_cuda_result result, const char *format,
                       ...) {
    va_list args;
    va_start(args, format);
    if (err)
        vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return result;
}

wilor_cuda_result check(cudaError_t e, const char *what, wilor_cuda_error *err) {
    if (e == cudaSuccess)
        return WILOR_CUDA_OK;
    cudaGetLastError(); /* what does not stick is forgotten */
    wilor_cuda_result result = e == cudaErrorMemoryAllocation         ? WILOR_CUDA_NO_MEMORY
                               : e == cudaErrorInsufficientDriver     ? WILOR_CUDA_NO_DRIVER
                               : e == cudaErrorNoDevice               ? WILOR_CUDA_NO_DEVICE
                               : e == cudaErrorNoKernelImageForDevice ? WILOR_CUDA_NO_CODE
                                                                      : WILOR_CUDA_FAILED;
    return fail(err, result, "%s: %s", what, cudaGetErrorString(e));
}

wilor_cuda_result grow_frame(frame_memory *m, size_t bytes, wilor_cuda_error *err) {
    wilor_cuda_result st = WILOR_CUDA_OK;
    if (bytes <= m->room)
        return WILOR_CUDA_OK;
    free_frame(m);
    CUDA_CALL(cudaMalloc(&m->card, bytes), "a frame's memory", err);
    CUDA_CALL(cudaMallocHost(&m->pinned, bytes), "a frame's pinned memory", err);
    m->room = bytes;
done:
    return st;
}

void free_frame(frame_memory *m) {
    cudaFree(m->card);
    cudaFreeHost(m->pinned);
    *m = {};
}

} // namespace wilor_cuda
