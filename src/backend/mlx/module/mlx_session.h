/* A session: one thread that alone calls MLX for it, with a stream and compiled graphs of its own. */
#ifndef WILOR_MLX_SESSION_H
#define WILOR_MLX_SESSION_H

#include "mlx_model.h"

wilor_mlx_result wilor_mlx_session_open(void **out, const void *model,
                                        const wilor_mlx_session_options *o,
                                        wilor_mlx_error *err);
void wilor_mlx_session_close(void *session);
wilor_mlx_result wilor_mlx_session_run(void *session, const float *rgb, int n,
                                       const float *fixed_betas, wilor_mlx_output *out,
                                       wilor_mlx_error *err);
void wilor_mlx_session_trace(void *session, wilor_mlx_trace trace, void *context);

#endif
