/* The module's door. */
#include "mlx_detector.h"
#include "mlx_session.h"

#include <string.h>

static wilor_mlx_result info(wilor_mlx_info *out, wilor_mlx_error *err) {
    mlx_string version = mlx_string_new();
    wilor_mlx_result st = wilor_mlx_device(&out->gpu, err);
    memset(out->version, 0, sizeof out->version);
    if (st == WILOR_MLX_OK && mlx_version(&version) == 0)
        strncpy(out->version, mlx_string_data(version), sizeof out->version - 1);
    mlx_string_free(version);
    return st;
}

static size_t active_bytes(void) {
    size_t bytes = 0;
    mlx_get_active_memory(&bytes);
    return bytes;
}

__attribute__((visibility("default"))) const wilor_module_head *wilor_mlx_get_table(void);

const wilor_module_head *wilor_mlx_get_table(void) {
    static const wilor_mlx_table table = {.head = {WILOR_MLX_ABI, sizeof table},
                                          .info = info,
                                          .model_create = wilor_mlx_model_create,
                                          .model_put = wilor_mlx_model_put,
                                          .model_put_groups = wilor_mlx_model_put_groups,
                                          .model_bytes = wilor_mlx_model_bytes,
                                          .model_free = wilor_mlx_model_free,
                                          .session_open = wilor_mlx_session_open,
                                          .session_close = wilor_mlx_session_close,
                                          .session_run = wilor_mlx_session_run,
                                          .session_trace = wilor_mlx_session_trace,
                                          .active_bytes = active_bytes,
                                          .net_create = wilor_mlx_net_create,
                                          .net_bytes = wilor_mlx_net_bytes,
                                          .net_free = wilor_mlx_net_free,
                                          .net_run_open = wilor_mlx_net_run_open,
                                          .net_run_close = wilor_mlx_net_run_close,
                                          .net_run_forward = wilor_mlx_net_run_forward};
    return &table.head;
}
