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

} // namespace wilor_cuda
