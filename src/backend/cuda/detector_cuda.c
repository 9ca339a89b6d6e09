/* The detector on a card: its program in the module's terms. */
#include "backend_cuda.h"

#include "heap.h"
#include "net_detector.h"

typedef struct card_net {
    const wilor_cuda_table *table;
    void *net;
    int device;
} card_net;

typedef struct card_run {
    const card_net *n;
    void *run;
    float device_ms; /* of the last forward */
} card_run;

static wilor_status status_of(const card_net *n, wilor_cuda_result r, const wilor_cuda_error *e,
                              wilor_error *err) {
    return wilor_cuda_status(r, n->device, e, err);
}

/* ---------------------------------------------------------------- the network */

static void net_free(void *net) {
    card_net *n = net;
    if (!n)
        return;
    if (n->net)
        n->table->net_free(n->net);
    wilor_heap_free(n);
}

static wilor_status net_create(void **out, const struct wilor_yolo_program *p,
                               const wilor_yolo_folded *convs, int device, wilor_dtype *dtype,
                               wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_cuda_error e = {{0}};
    wilor_cuda_net o;
    wilor_net_described *d = wilor_net_describe(p, convs);
    card_net *n = wilor_heap_alloc(1, sizeof *n);
    *out = NULL;
    if (!n || !d)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    n->device = device;
    WILOR_TRY(wilor_cuda_choose(&o.number, NULL, dtype, "the detector on device cuda", err));
    WILOR_TRY(wilor_cuda_module_open(&n->table, err));
    o.program = d->program;
    WILOR_TRY(status_of(n, n->table->net_create(&n->net, device, &o, &e), &e, err));
    *out = n;
    n = NULL;
done:
    wilor_heap_free(d);
    net_free(n);
    return st;
}

static size_t net_bytes(const void *net) {
    const card_net *n = net;
    return n->table->net_bytes(n->net);
}

/* ---------------------------------------------------------------- a run */

static void run_close(void *run) {
    card_run *r = run;
    if (!r)
        return;
    if (r->run)
        r->n->table->net_run_close(r->run);
    wilor_heap_free(r);
}

static wilor_status run_open(void **out, const void *net, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_cuda_error e = {{0}};
    card_run *r = wilor_heap_alloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    r->n = net;
    WILOR_TRY(status_of(r->n, r->n->table->net_run_open(&r->run, r->n->net, &e), &e, err));
    *out = r;
    r = NULL;
done:
    run_close(r);
    return st;
}

static wilor_status run_begin(void *run, int width, int height, wilor_error *err) {
    card_run *r = run;
    wilor_cuda_error e = {{0}};
    return status_of(r->n, r->n->table->net_run_begin(r->run, width, height, &e), &e, err);
}

static wilor_status run_frame(void *run, const wilor_yolo_frame *frame, wilor_error *err) {
    card_run *r = run;
    wilor_cuda_error e = {{0}};
    const wilor_letterbox *l = frame->letterbox;
    wilor_cuda_frame f = {.width = l->picture_width,
                          .height = l->picture_height,
                          .pixel = frame->pixel,
                          .channel = {frame->channel[0], frame->channel[1], frame->channel[2]}};
    wilor_cuda_letterbox to = {l->inner_width, l->inner_height, l->left, l->top};
    return status_of(r->n, r->n->table->net_run_frame(r->run, &f, &to, &e), &e, err);
}

static uint8_t *run_row(void *run, int y) {
    card_run *r = run;
    return r->n->table->net_run_row(r->run, y);
}

static wilor_status run_forward(void *run, wilor_error *err) {
    card_run *r = run;
    wilor_cuda_error e = {{0}};
    wilor_cuda_chosen all;
    return status_of(r->n, r->n->table->net_run_forward(r->run, NULL, &all, &r->device_ms, &e),
                     &e, err);
}

static wilor_status run_forward_above(void *run, float lowest, wilor_yolo_chosen *chosen,
                                      wilor_error *err) {
    card_run *r = run;
    wilor_cuda_error e = {{0}};
    wilor_cuda_chosen some = {.count = -1};
    wilor_status st = status_of(
        r->n, r->n->table->net_run_forward(r->run, &lowest, &some, &r->device_ms, &e), &e, err);
    *chosen = (wilor_yolo_chosen){some.count, some.anchor, some.numbers};
    return st;
}

static const float *run_head(const void *run, int level) {
    const card_run *r = run;
    return r->n->table->net_run_head(r->run, level);
}

const wilor_yolo_card *wilor_cuda_detector(void) {
    static const wilor_yolo_card card = {.create = net_create,
                                         .bytes = net_bytes,
                                         .free = net_free,
                                         .open = run_open,
                                         .close = run_close,
                                         .begin = run_begin,
                                         .frame = run_frame,
                                         .row = run_row,
                                         .forward = run_forward,
                                         .forward_above = run_forward_above,
                                         .head = run_head};
    return &card;
}

int wilor_cuda_detector_inside(const wilor_yolo_run *detector, void **inside) {
    const wilor_yolo_card *card = NULL;
    const card_run *r = detector ? wilor_yolo_card_run(detector, &card) : NULL;
    if (!r || card != wilor_cuda_detector())
        return -1;
    *inside = r->run;
    return r->n->device;
}
