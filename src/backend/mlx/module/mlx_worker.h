/* A thread that calls MLX for whoever asks: streams, their command buffers and compiled graphs belong to the thread
 * that made them, and callers of the library may come from any. */
#ifndef WILOR_MLX_WORKER_H
#define WILOR_MLX_WORKER_H

#include "mlx_graph.h"

typedef struct wilor_mlx_worker wilor_mlx_worker;

/* err: the job's own to fill in. */
typedef wilor_mlx_result (*wilor_mlx_job)(void *context, wilor_mlx_error *err);

/* gpu: jobs need not take turns with those of other workers. */
wilor_mlx_result wilor_mlx_worker_start(wilor_mlx_worker **out, bool gpu, wilor_mlx_error *err);
/* Done when it returns. One call at a time. */
wilor_mlx_result wilor_mlx_worker_do(wilor_mlx_worker *w, wilor_mlx_job job, void *context,
                                     wilor_mlx_error *err);
void wilor_mlx_worker_stop(wilor_mlx_worker *w); /* NULL is fine */

#endif
