/* The detector on MLX: its program in the module's terms. */
#include "backend_mlx.h"

#include "heap.h"
#include "net_detector.h"

typedef struct device_net {
    const wilor_mlx_table *table;
    void *net;
    int shift[3]; /* a head's map has the input's sides over 2^shift */
} device_net;

typedef struct device_run {
    const device_net *n;
    void *run;
    wilor_pages pages; /* the input's bytes, then the heads' numbers; they grow */
    uint8_t *bytes;
    float *heads[3];
    int width, height;
} device_run;

/* ---------------------------------------------------------------- the network */

static wilor_status choose_number(wilor_mlx_number *out, wilor_dtype *dtype, wilor_error *err) {
    int bits;
    wilor_status st = wilor_mlx_choose(out, &bits, dtype, err);
    if (st == WILOR_OK && bits)
        st = wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                             "the detector on device mlx has no dtype %s: f32, f16 and bf16",
                             wilor_dtype_name(*dtype));
    return st;
}

static void net_free(void *net) {
    device_net *n = net;
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
    wilor_mlx_error e = {{0}};
    wilor_mlx_number number;
    wilor_net_described *d = wilor_net_describe(p, convs);
    device_net *n = wilor_heap_alloc(1, sizeof *n);
    *out = NULL;
    (void)device;
    if (!n || !d)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    WILOR_TRY(choose_number(&number, dtype, err));
    WILOR_TRY(wilor_mlx_module_open(&n->table, err));
    for (int i = 0; i < 3; i++)
        n->shift[i] = p->maps[p->head[i]].shift;
    WILOR_TRY(
        wilor_mlx_status(n->table->net_create(&n->net, &d->program, number, &e), &e, err));
    *out = n;
    n = NULL;
done:
    wilor_heap_free(d);
    net_free(n);
    return st;
}

static size_t net_bytes(const void *net) {
    const device_net *n = net;
    return n->table->net_bytes(n->net);
}

/* ---------------------------------------------------------------- a run */

static void run_close(void *run) {
    device_run *r = run;
    if (!r)
        return;
    if (r->run)
        r->n->table->net_run_close(r->run);
    wilor_pages_free(&r->pages);
    wilor_heap_free(r);
}

static wilor_status run_open(void **out, const void *net, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_mlx_error e = {{0}};
    device_run *r = wilor_heap_alloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the detector");
    r->n = net;
    WILOR_TRY(wilor_mlx_status(r->n->table->net_run_open(&r->run, r->n->net, &e), &e, err));
    *out = r;
    r = NULL;
done:
    run_close(r);
    return st;
}

static size_t head_floats(const device_run *r, int level) {
    int shift = r->n->shift[level];
    return (size_t)(r->width >> shift) * (size_t)(r->height >> shift) * WILOR_YOLO_HEAD;
}

static wilor_status run_begin(void *run, int width, int height, wilor_error *err) {
    device_run *r = run;
    r->width = width;
    r->height = height;
    size_t input = ((size_t)width * (size_t)height * 3 + 63) / 64 * 64;
    size_t floats = head_floats(r, 0) + head_floats(r, 1) + head_floats(r, 2);
    size_t bytes = input + floats * sizeof(float);
    if (bytes > r->pages.bytes) {
        wilor_pages_free(&r->pages);
        if (!wilor_pages_alloc(&r->pages, bytes))
            return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for an input of %d x %d",
                                   width, height);
    }
    r->bytes = r->pages.data;
    r->heads[0] = (float *)(void *)(r->bytes + input);
    r->heads[1] = r->heads[0] + head_floats(r, 0);
    r->heads[2] = r->heads[1] + head_floats(r, 1);
    return WILOR_OK;
}

static uint8_t *run_row(void *run, int y) {
    device_run *r = run;
    return r->bytes + (size_t)y * (size_t)r->width * 3;
}

static wilor_status run_forward(void *run, wilor_error *err) {
    device_run *r = run;
    wilor_mlx_error e = {{0}};
    return wilor_mlx_status(
        r->n->table->net_run_forward(r->run, r->bytes, r->width, r->height, r->heads, &e), &e,
        err);
}

static const float *run_head(const void *run, int level) {
    const device_run *r = run;
    return r->heads[level];
}

const wilor_yolo_card *wilor_mlx_detector(void) {
    static const wilor_yolo_card card = {.create = net_create,
                                         .bytes = net_bytes,
                                         .free = net_free,
                                         .open = run_open,
                                         .close = run_close,
                                         .begin = run_begin,
                                         .row = run_row,
                                         .forward = run_forward,
                                         .head = run_head};
    return &card;
}
