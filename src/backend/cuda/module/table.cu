/* The module's door. */
#include "model.h"

static const wilor_cuda_table table = {
    {WILOR_CUDA_ABI, sizeof(wilor_cuda_table)},
#ifdef CUDART_VERSION
    "cuda",
#else
    "emulated cuda",
#endif
    wilor_cuda::device_info,
    wilor_cuda::model_create,
    wilor_cuda::model_put,
    wilor_cuda::model_bytes,
    wilor_cuda::model_free,
    wilor_cuda::session_open,
    wilor_cuda::session_bytes,
    wilor_cuda::session_close,
    wilor_cuda::session_frame,
    wilor_cuda::session_share,
    wilor_cuda::session_crop,
    wilor_cuda::session_start,
    wilor_cuda::session_finish,
    wilor_cuda::session_trace,
    wilor_cuda::session_crops,
    wilor_cuda::net_create,
    wilor_cuda::net_bytes,
    wilor_cuda::net_free,
    wilor_cuda::net_run_open,
    wilor_cuda::net_run_close,
    wilor_cuda::net_run_begin,
    wilor_cuda::net_run_frame,
    wilor_cuda::net_run_row,
    wilor_cuda::net_run_forward,
    wilor_cuda::net_run_head,
    wilor_cuda::net_run_input,
    wilor_cuda::net_run_choose,
};

extern "C" __attribute__((visibility("default"))) const wilor_module_head *
wilor_cuda_get_table() {
    return &table.head;
}
