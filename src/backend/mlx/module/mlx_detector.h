/* The detector's network as a graph. */
#ifndef WILOR_MLX_DETECTOR_H
#define WILOR_MLX_DETECTOR_H

#include "mlx_graph.h"

wilor_mlx_result wilor_mlx_net_create(void **out, const wilor_net_program *program,
                                      wilor_mlx_number number, wilor_mlx_error *err);
size_t wilor_mlx_net_bytes(const void *net);
void wilor_mlx_net_free(void *net);
wilor_mlx_result wilor_mlx_net_run_open(void **out, const void *net, wilor_mlx_error *err);
void wilor_mlx_net_run_close(void *run);
wilor_mlx_result wilor_mlx_net_run_forward(void *run, const uint8_t *bytes, int width,
                                           int height, float *const heads[3],
                                           wilor_mlx_error *err);

#endif
