/* The public check of a file: everything that reading it for use would not notice. */
#include "model_impl.h"

#include "file_hash.h"
#include "mano.h"
#include "weights_verify.h"
#include "yolo_program.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void note(const wilor_verifier *v, const char *text) {
    const wilor_callbacks *c = v->callbacks;
    if (c->log)
        c->log(c->user, WILOR_LOG_INFO, text);
}

/* A zip archive has checksums; our own files carry a hash of all bytes behind the header. */
static wilor_status check_hash(wilor_verifier *v, const wilor_index *x, const char *path,
                               wilor_error *err) {
    wilor_quoted q;
    char hex[65], text[400];
    const char *says = wilor_index_metadata(x, "data_sha256");
    uint64_t size = wilor_index_size(x), offset = wilor_index_data_offset(x);
    size_t checked, before = v->faults;
    wilor_status st = wilor_verify_archive(v, x, &checked, err);
    if (st != WILOR_OK)
        return st;
    if (checked && v->faults == before)
        note(v, "checksums: right");
    if (checked)
        return WILOR_OK;
    if (!says || !offset) {
        note(v, "hash: the file has none of its data");
        return WILOR_OK;
    }
    st = wilor_file_hash(path, offset, size, "reading", v->callbacks, hex, err);
    if (st != WILOR_OK)
        return st;
    if (strcmp(hex, says) == 0) {
        note(v, "hash: as the metadata says");
        return WILOR_OK;
    }
    snprintf(text, sizeof text, "the data's SHA-256 is %s; the metadata says %s", hex,
             wilor_quote(&q, says));
    wilor_verify_fault(v, text);
    return WILOR_OK;
}

/* Indices, parents and shapes: what the model itself demands of a hand. */
static wilor_status check_hand(wilor_verifier *v, const wilor_index *x, wilor_error *err) {
    wilor_mano *hand = NULL;
    wilor_error fault;
    wilor_status st = wilor_mano_create(&hand, x, &fault);
    wilor_mano_free(&hand);
    if (st == WILOR_ERR_NOMEM || st == WILOR_ERR_IO)
        return wilor_error_set(err, st, "%s", fault.text);
    if (st != WILOR_OK)
        wilor_verify_fault(v, fault.text);
    else
        note(v, "hand model: complete");
    return WILOR_OK;
}

/* What reading a convolution for use finds: numbers that only batch norm makes infinite, say. */
static wilor_status check_convs(wilor_verifier *v, const wilor_index *x,
                                const wilor_yolo_program *p, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_error fault;
    bool silu;
    for (int i = 0; st == WILOR_OK && i < p->conv_count; i++) {
        const wilor_yolo_conv *c = &p->convs[i];
        size_t out = (size_t)c->out, depth = (size_t)(c->size * c->size * c->in);
        if (v->callbacks->cancel && v->callbacks->cancel(v->callbacks->user))
            return wilor_error_set(err, WILOR_ERR_CANCELLED, "stopped while checking");
        float *weight = wilor_heap_alloc(out * depth + 2 * out, sizeof *weight);
        if (!weight)
            return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to check %s", c->prefix);
        float *norm = weight + out * depth;
        st = wilor_yolo_conv_read(x, c, weight, norm, norm + out, &silu, &fault);
        wilor_heap_free(weight);
        if (st == WILOR_ERR_MODEL) {
            wilor_verify_fault(v, fault.text);
            st = WILOR_OK;
        } else if (st != WILOR_OK) {
            wilor_error_set(err, st, "%s", fault.text);
        }
    }
    return st;
}

/* Modules, names, shapes and scale, as the detector itself demands them, then its numbers. */
static wilor_status check_detector(wilor_verifier *v, const wilor_index *x, wilor_error *err) {
    wilor_yolo_plan plan;
    wilor_error fault;
    char text[160];
    size_t before = v->faults;
    wilor_status st = wilor_yolo_plan_read(&plan, x, &fault);
    if (st == WILOR_ERR_NOMEM || st == WILOR_ERR_IO)
        return wilor_error_set(err, st, "%s", fault.text);
    if (st != WILOR_OK) {
        wilor_verify_fault(v, fault.text);
        return WILOR_OK;
    }
    wilor_yolo_program *p = wilor_heap_alloc(1, sizeof *p);
    if (!p)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to check a detector");
    wilor_yolo_program_make(p, &plan, false);
    st = check_convs(v, x, p, err);
    snprintf(text, sizeof text,
             "hand detector: YOLOv8-pose, %d convolutions, %" PRIu64 " parameters, imgsz %d",
             p->conv_count, plan.parameters, plan.imgsz);
    if (st == WILOR_OK && v->faults == before)
        note(v, text);
    wilor_heap_free(p);
    return st;
}

static wilor_status check_kind(wilor_verifier *v, const wilor_index *x, wilor_error *err) {
    size_t before = v->faults;
    switch (wilor_index_kind(x)) {
    case WILOR_FILE_CHECKPOINT:
    case WILOR_FILE_MLX:
        wilor_verify_network(v, x);
        if (v->faults == before)
            note(v, "network: every tensor is there, shapes fit");
        return wilor_index_find(x, "mano.v_template") ? check_hand(v, x, err) : WILOR_OK;
    case WILOR_FILE_MANO:
        return check_hand(v, x, err);
    case WILOR_FILE_MEAN:
        note(v, "mean parameters: complete");
        return WILOR_OK;
    case WILOR_FILE_DETECTOR:
        return check_detector(v, x, err);
    default:
        note(v, "kind: none that wilor uses; names and shapes mean nothing to it");
        return WILOR_OK;
    }
}

wilor_status wilor_verify(const char *path, const wilor_callbacks *callbacks,
                          wilor_error *err) {
    static const wilor_callbacks silent = {0};
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_index *x = NULL;
    wilor_verifier v = {.callbacks = callbacks ? callbacks : &silent};
    char text[80];
    wilor_error_clear(err);
    if (!path)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_verify: path is NULL");
    WILOR_TRY(wilor_index_open(&x, path, err));
    snprintf(text, sizeof text, "structure: %s, %zu tensors", wilor_index_format(x),
             wilor_index_count(x));
    note(&v, text);
    WILOR_TRY(wilor_verify_numbers(&v, x, err));
    if (!v.faults)
        note(&v, "numbers: all finite");
    WILOR_TRY(check_hash(&v, x, path, err));
    WILOR_TRY(wilor_index_canonical(x, err));
    WILOR_TRY(check_kind(&v, x, err));
    if (v.faults)
        WILOR_FAIL(err, WILOR_ERR_MODEL, "%s: %zu fault%s; the first: %s",
                   wilor_quote(&q, path), v.faults, v.faults > 1 ? "s" : "", v.first);
done:
    wilor_index_close(&x);
    return st;
}
