/* WiLoR on Apple's graphics processors by MLX, through a module that is loaded when it is asked for (docs/mlx.md). */
#ifndef WILOR_BACKEND_MLX_H
#define WILOR_BACKEND_MLX_H

#include "backend.h"
#include "mlx_abi.h"
#include "net_weights.h"
#include "yolo.h"

/* The module's table (device_module.h).
 *   errors  ERR_UNSUPPORTED (there is none, or it is another version's) */
wilor_status wilor_mlx_module_open(const wilor_mlx_table **out, wilor_error *err);

/* The arithmetic that a dtype is here; *dtype AUTO becomes the one that computes. bits: as in wilor_mlx_shape. */
wilor_status wilor_mlx_choose(wilor_mlx_number *number, int *bits, wilor_dtype *dtype,
                              wilor_error *err);

/* A module's result as our status, its text behind "device mlx: ". */
wilor_status wilor_mlx_status(wilor_mlx_result r, const wilor_mlx_error *e, wilor_error *err);

/* Reads a network's tensors into memory of their own and gives each to a model. */
wilor_status wilor_mlx_weights_give(const wilor_mlx_table *table, void *model,
                                    const wilor_mlx_shape *shape, const wilor_backend_load *o,
                                    wilor_error *err);

const wilor_backend *wilor_backend_mlx(void);

/* What makes a detector run on MLX, for wilor_yolo_load_card. */
const wilor_yolo_card *wilor_mlx_detector(void);

/* For tests: the module's model; the module and its session in an open session of the back end; its last run's hands that were
 * computed twice. */
void *wilor_mlx_model_inside(void *model);
void wilor_mlx_session_inside(void *session, const wilor_mlx_table **table, void **inside,
                              int *wide);

#endif
