/* RefineNet's tensors. A transposed convolution's weights (in, out, 4, 4) are regrouped by the
 * parity of the output pixel: with kernel 4, stride 2 and padding 1, output o takes input i by
 * tap k = o + 1 - 2i, so that an even o has taps 1 (i = o/2) and 3 (i = o/2 - 1), an odd o taps
 * 0 (i = (o+1)/2) and 2 (i = (o-1)/2). */
#include "refine.h"

#include "heap.h"

#include <math.h>
#include <stdio.h>

enum { KERNEL = 4, TAPS = KERNEL * KERNEL };

typedef struct regroup {
    const float *weights; /* (in, out, 4, 4) */
    int inputs, outputs;
    int parity;
} regroup;

void wilor_refine_regroup(const float *weights, int inputs, int outputs, int parity, int output,
                          float *dst) {
    static const int tap_of[2][2] = {{1, 3}, {0, 2}}; /* [parity][first or second tap] */
    for (int t = 0; t < 4; t++) {
        int ky = tap_of[parity / 2][t / 2], kx = tap_of[parity % 2][t % 2];
        for (int in = 0; in < inputs; in++)
            *dst++ = weights[((size_t)in * (size_t)outputs + (size_t)output) * TAPS +
                             (size_t)(ky * KERNEL + kx)];
    }
}

static void regroup_row(void *context, int output, float *dst) {
    const regroup *g = context;
    wilor_refine_regroup(g->weights, g->inputs, g->outputs, g->parity, output, dst);
}

static wilor_status load_batch_norm(wilor_upsample *u, wilor_loader *l, const char *prefix) {
    wilor_status st = WILOR_OK;
    static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
    const float *v[4];
    char name[128];
    int padded = wilor_panels(u->outputs, l->kernels->nr) * l->kernels->nr;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, parts[i]);
        WILOR_TRY(wilor_vector_load(&v[i], l, name, u->outputs, padded));
    }
    float *scale = wilor_arena_push(l->arena, (size_t)padded, sizeof(float));
    float *shift = wilor_arena_push(l->arena, (size_t)padded, sizeof(float));
    for (int c = 0; shift && !l->assign && c < u->outputs; c++) {
        scale[c] = v[0][c] / sqrtf(v[3][c] + WILOR_REFINE_NORM_EPS);
        shift[c] = v[1][c] - v[2][c] * scale[c];
    }
    u->scale = scale;
    u->shift = shift;
    u->gamma = v[0];
    u->beta = v[1];
done:
    return st;
}

static wilor_status load_upsample(wilor_upsample *u, wilor_loader *l, const char *conv,
                                  const char *norm, int inputs, int outputs) {
    wilor_status st = WILOR_OK;
    char name[96];
    const wilor_index *index;
    const wilor_tensor *t;
    /* Pages, so that they go back to the system at once. */
    wilor_pages pages = {0};
    *u = (wilor_upsample){.inputs = inputs, .outputs = outputs};
    snprintf(name, sizeof name, "refine_net.deconv.deconv.%s.weight", conv);
    WILOR_TRY(wilor_source_need(l->source, name, 4,
                                (const int64_t[]){inputs, outputs, KERNEL, KERNEL}, &index, &t,
                                l->err));
    if (l->arena->base && !l->assign) {
        if (!wilor_pages_alloc(&pages, t->count * sizeof(float)))
            WILOR_FAIL(l->err, WILOR_ERR_NOMEM, "no memory for the tensor %s", name);
        WILOR_TRY(wilor_tensor_to_f32(t, pages.data, l->err));
        WILOR_TRY(wilor_loader_done(l, t));
    } else if (!l->assign) {
        wilor_loader_expect(l, t);
    }
    for (int p = 0; p < WILOR_PARITIES; p++) {
        regroup g = {pages.data, inputs, outputs, p};
        WILOR_TRY(wilor_linear_pack(&u->parity[p], l, outputs, 4 * inputs, regroup_row, &g));
    }
    snprintf(name, sizeof name, "refine_net.deconv.deconv.%s", norm);
    WILOR_TRY(load_batch_norm(u, l, name));
done:
    wilor_pages_free(&pages);
    return st;
}

wilor_status wilor_refine_load(wilor_refine *r, wilor_loader *l, int width) {
    wilor_status st = WILOR_OK;
    int half = width / 2, quarter = width / 4, eighth = width / 8;
    r->kernels = l->kernels;
    r->width = width;
    r->features = eighth + quarter + half;
    WILOR_TRY(
        wilor_linear_load(&r->first, l, "refine_net.deconv.first_conv.0", half, width, true));
    WILOR_TRY(load_upsample(&r->middle, l, "0.0", "0.1", half, quarter));
    WILOR_TRY(load_upsample(&r->fine0, l, "1.0", "1.1", half, quarter));
    WILOR_TRY(load_upsample(&r->fine1, l, "1.3", "1.4", quarter, eighth));
    WILOR_TRY(wilor_linear_load(&r->dec_pose, l, "refine_net.dec_pose", WILOR_POSE_NUMBERS,
                                r->features, true));
    WILOR_TRY(wilor_linear_load(&r->dec_shape, l, "refine_net.dec_shape", WILOR_BETAS,
                                r->features, true));
    WILOR_TRY(
        wilor_linear_load(&r->dec_cam, l, "refine_net.dec_cam", WILOR_CAM, r->features, true));
done:
    return st;
}
