/* WiLoR on an NVIDIA card, by a module that is loaded when it is asked for (docs/cuda.md). */
#ifndef WILOR_BACKEND_CUDA_H
#define WILOR_BACKEND_CUDA_H

#include "backend.h"
#include "cuda_abi.h"
#include "net_weights.h"
#include "yolo.h"

/* The module's table (device_module.h).
 *   errors  ERR_UNSUPPORTED (there is none, or it is another version's) */
wilor_status wilor_cuda_module_open(const wilor_cuda_table **out, wilor_error *err);

/* The arithmetic that a dtype is on a card; *dtype AUTO becomes the one that computes. split: whether numbers
 * come in two parts (F32X); NULL: there is no such dtype. who: begins the error's text. */
wilor_status wilor_cuda_choose(wilor_cuda_number *number, int *split, wilor_dtype *dtype,
                               const char *who, wilor_error *err);

/* A module's result as our status, its text behind "device cuda:N: ". */
wilor_status wilor_cuda_status(wilor_cuda_result r, int device, const wilor_cuda_error *e,
                               wilor_error *err);

const wilor_backend *wilor_backend_cuda(void);

/* For tests: the module, its session and model in an open session of the back end. */
void wilor_cuda_session_inside(void *session, const wilor_cuda_table **table, void **inside,
                               void **model);

/* What makes a detector run on a card, for wilor_yolo_load_card. */
const wilor_yolo_card *wilor_cuda_detector(void);
/* The module's run in such a detector's, and the number of its card; -1: there is none, the detector runs elsewhere. */
int wilor_cuda_detector_inside(const wilor_yolo_run *detector, void **inside);

#endif
