/* Opening a detector. */
#include "model_impl.h"

#include "backend_cuda.h"
#include "backend_mlx.h"
#include "clock.h"
#include "random_detector.h"
#include "random_weights.h"

#include <string.h>

static wilor_status open_index(wilor_index **out, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    const char *name = wilor_random_name(path);
    if (name)
        return wilor_random_detector(out, name, err);
    WILOR_TRY(wilor_index_open(out, path, err));
    WILOR_TRY(wilor_index_canonical(*out, err));
    if (wilor_index_kind(*out) != WILOR_FILE_DETECTOR)
        WILOR_FAIL(err, WILOR_ERR_MODEL, "%s is not a hand detector (YOLOv8-pose)",
                   wilor_quote(&q, path));
done:
    return st;
}

wilor_status wilor_detector_open(wilor_detector **out, const wilor_detector_options *options,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_detector_options o = {0};
    wilor_index *index = NULL;
    wilor_detector *d = NULL;
    wilor_threads *pool = NULL;
    wilor_device device;
    uint64_t start = wilor_clock_ns();
    wilor_error_clear(err);
    if (!out || !options)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_detector_open: out and o may not be NULL");
    *out = NULL;
    WILOR_TRY(wilor_options_read(&o, sizeof o, options, "wilor_detector_options", err));
    if (!o.detector)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_detector_options: detector is not set");
    if (o.dtype < WILOR_DTYPE_F32 || o.dtype > WILOR_DTYPE_FP8)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_detector_options: dtype %d is none",
                   (int)o.dtype);
    WILOR_TRY(wilor_device_parse(&device, o.device, o.dtype, err));
    WILOR_TRY(open_index(&index, o.detector, err));
    WILOR_TRY(
        wilor_threads_create(&pool, o.threads > 0 ? o.threads : wilor_threads_default(), err));
    d = wilor_heap_alloc(1, sizeof *d);
    if (!d || !(d->path = wilor_heap_string(o.detector)))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    if (device.kind != WILOR_DEVICE_CPU) /* the first card: a picture is one */
        WILOR_TRY(wilor_yolo_load_card(&d->yolo, index,
                                       device.kind == WILOR_DEVICE_CUDA ? wilor_cuda_detector()
                                                                        : wilor_mlx_detector(),
                                       device.card[0], o.dtype, &o.callbacks, err));
    else
        WILOR_TRY(
            wilor_yolo_load(&d->yolo, index, o.max_isa, o.dtype, pool, &o.callbacks, err));
    WILOR_TRY(wilor_index_check(index, err));
    wilor_device_name(d->device, sizeof d->device, &device);
    const wilor_yolo_plan *plan = wilor_yolo_get_plan(d->yolo);
    d->info = (wilor_detector_info){.imgsz = plan->imgsz,
                                    .parameters = plan->parameters,
                                    .packed_bytes = wilor_yolo_bytes(d->yolo),
                                    .load_seconds = (double)(wilor_clock_ns() - start) * 1e-9,
                                    .isa = wilor_yolo_isa(d->yolo),
                                    .detector = d->path,
                                    .dtype = wilor_yolo_dtype(d->yolo),
                                    .device = d->device,
                                    .iou = plan->across_sides ? 0.5 : 0.7};
    *out = d;
    d = NULL;
done:
    wilor_threads_free(&pool);
    wilor_index_close(&index);
    wilor_detector_free(&d);
    return st;
}

void wilor_detector_free(wilor_detector **detector) {
    wilor_detector *d = detector ? *detector : NULL;
    if (!d)
        return;
    wilor_yolo_free(&d->yolo);
    wilor_heap_free(d->path);
    wilor_heap_free(d);
    *detector = NULL;
}

void wilor_detector_get_info(const wilor_detector *detector, wilor_detector_info *info,
                             size_t size) {
    memset(info, 0, size);
    memcpy(info, &detector->info, size < sizeof detector->info ? size : sizeof detector->info);
}
