/* One job at a time, handed over under a lock. */
#include "mlx_worker.h"

#include "mlx_model.h"

#include <pthread.h>
#include <stdlib.h>

enum { STACK = 8 << 20 }; /* the system's own may be half a megabyte */

struct wilor_mlx_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    wilor_mlx_job job; /* NULL: none waits */
    void *context;
    wilor_mlx_error *err;
    wilor_mlx_result result;
    bool stop, gpu;
};

static void *work(void *context) {
    wilor_mlx_worker *w = context;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->job && !w->stop)
            pthread_cond_wait(&w->changed, &w->lock);
        if (!w->job)
            break;
        pthread_mutex_unlock(&w->lock);
        wilor_mlx_lock(w->gpu);
        wilor_mlx_errors_clear();
        w->result = w->job(w->context, w->err);
        wilor_mlx_unlock(w->gpu);
        pthread_mutex_lock(&w->lock);
        w->job = NULL;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

wilor_mlx_result wilor_mlx_worker_start(wilor_mlx_worker **out, bool gpu,
                                        wilor_mlx_error *err) {
    pthread_attr_t attr;
    wilor_mlx_worker *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no memory for a thread");
    w->gpu = gpu;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    int failed = pthread_create(&w->thread, &attr, work, w);
    pthread_attr_destroy(&attr);
    if (failed) {
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return wilor_mlx_fail(err, WILOR_MLX_NO_MEMORY, "no thread could be started");
    }
    *out = w;
    return WILOR_MLX_OK;
}

wilor_mlx_result wilor_mlx_worker_do(wilor_mlx_worker *w, wilor_mlx_job job, void *context,
                                     wilor_mlx_error *err) {
    pthread_mutex_lock(&w->lock);
    w->job = job;
    w->context = context;
    w->err = err;
    pthread_cond_broadcast(&w->changed);
    while (w->job)
        pthread_cond_wait(&w->changed, &w->lock);
    wilor_mlx_result r = w->result;
    pthread_mutex_unlock(&w->lock);
    return r;
}

void wilor_mlx_worker_stop(wilor_mlx_worker *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
