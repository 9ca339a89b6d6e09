/* conv16.h in plain C: the oracle of the other tables' tests, and what the plain C tier runs. */
#include "conv16.h"

#include <math.h>

enum { RUN = WILOR_CONV16_RUN, DEPTH = WILOR_CONV16_DEPTH, SIDE = WILOR_CONV16_SIDE };

/* A step's weights as numbers: to[32 numbers of depth][32 outputs]. */
static void expand(const uint16_t *b, int tiles, float *to) {
    for (int t = 0; t < tiles; t++)
        for (int k = 0; k < DEPTH; k++)
            for (int c = 0; c < RUN; c++)
                to[k * SIDE + t * RUN + c] = wilor_conv16_widen(
                    b[t * WILOR_CONV16_TILE + k / 2 * 2 * RUN + 2 * c + k % 2]);
}

static void add_step(const uint16_t *a, size_t step, const float *weights, int cols,
                     float *restrict sums) {
    for (int r = 0; r < RUN; r++, a += step, sums += SIDE)
        for (int k = 0; k < DEPTH; k++) {
            float x = wilor_conv16_widen(a[k]);
            const float *restrict w = weights + k * SIDE;
            for (int c = 0; c < cols; c++)
                sums[c] += x * w[c];
        }
}

static void multiply(const wilor_conv16_call *c) {
    float weights[DEPTH * SIDE];
    const uint16_t *b = c->b;
    memset(c->sums, 0, 2 * RUN * SIDE * sizeof *c->sums);
    for (int p = 0; p < c->pieces; p++)
        for (size_t s = 0; s < c->steps; s++, b += c->tiles * WILOR_CONV16_TILE) {
            expand(b, c->tiles, weights);
            for (int r = 0; r < c->runs; r++)
                add_step(c->a[r] + c->offset[p] + s * DEPTH, c->step, weights, c->tiles * RUN,
                         c->sums + r * RUN * SIDE);
        }
}

static void finish(const wilor_conv16_end *e) {
    for (int r = 0; r < e->rows; r++)
        for (int c = 0; c < e->cols; c++) {
            float x = e->sums[r * SIDE + c] + e->bias[c];
            if (e->silu)
                x = x / (1.0f + expf(-x));
            if (e->added)
                x += wilor_conv16_widen(e->added[(size_t)r * e->lda + (size_t)c]);
            e->out[(size_t)r * e->ldo + (size_t)c] = wilor_conv16_narrow(x);
        }
}

const wilor_conv16 *wilor_conv16_c(void) {
    static const wilor_conv16 table = {
        .name = "bf16 c", .group = 2, .multiply = multiply, .finish = finish};
    return &table;
}
