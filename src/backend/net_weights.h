/* Reading a network for a device (backend/cuda, backend/mlx), by all threads, whatever files it is in. */
#ifndef WILOR_NET_WEIGHTS_H
#define WILOR_NET_WEIGHTS_H

#include "backend.h"
#include "net_tensors.h"
#include "vit.h"

/* Where the tensors go: a device's, or a test's. Each comes once, block 0 for those that there is one of. */
typedef struct wilor_net_sink {
    void *user;
    wilor_status (*put)(void *user, int tensor, int block, const float *data, wilor_error *err);
    /* NULL, or memory of the sink for this tensor's float32 numbers, which put is then called with; what has
     * none (NULL) comes in memory that is used again. */
    float *(*place)(void *user, int tensor, int block);
    /* NULL, or which matrices it takes as the file has them, by put_stored and not put. */
    bool (*keeps)(void *user, int tensor, const wilor_matrix_view *matrix);
    wilor_status (*put_stored)(void *user, int tensor, int block,
                               const wilor_matrix_view *matrix, wilor_error *err);
    bool learned_norms; /* the tensors behind WILOR_NET_TENSORS, too */
} wilor_net_sink;

wilor_status wilor_net_weights_read(const wilor_backend_load *o, const wilor_vit_dims *shape,
                                    const wilor_net_sink *sink, wilor_error *err);

wilor_net_mano wilor_net_mano_view(const wilor_mano *mano);

#endif
