/* Camera formats that crops and detector do not read themselves. */
#include "model_impl.h"

#include "nv12.h"

typedef struct conversion {
    wilor_nv12 from;
    uint8_t *to;
} conversion;

static void convert_unit(void *context, int row, int thread) {
    const conversion *c = context;
    (void)thread;
    wilor_nv12_row(&c->from, row, c->to + (size_t)row * (size_t)c->from.width * 3);
}

wilor_status wilor_convert_nv12(wilor_picture *picture, const uint8_t *chroma, ptrdiff_t stride,
                                wilor_pages *buffer, wilor_threads *pool, wilor_error *err) {
    wilor_status st = WILOR_OK;
    conversion job;
    size_t bytes;
    if (picture->format != WILOR_NV12)
        return WILOR_OK;
    WILOR_TRY(wilor_nv12_planes(&job.from, picture, chroma, stride, err));
    if (!wilor_size_mul((size_t)picture->width, (size_t)picture->height, &bytes) ||
        !wilor_size_mul(bytes, 3, &bytes))
        bytes = SIZE_MAX;
    if (buffer->bytes < bytes) {
        wilor_pages_free(buffer);
        if (!wilor_pages_alloc(buffer, bytes))
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for a picture of %d x %d pixels",
                       picture->width, picture->height);
    }
    job.to = buffer->data;
    wilor_threads_run(pool, convert_unit, &job, picture->height);
    *picture = (wilor_picture){job.to, picture->width, picture->height,
                               (ptrdiff_t)picture->width * 3, WILOR_RGB8};
done:
    return st;
}
