/* From the panels that are kept to those that the kernels read: half floats to float32, and Winograd's
 * weights, in pieces that stay in the first-level cache. */
#include "yolo_load.h"

enum { CHANNELS = 16, TAPS3 = 9 };

/* Depth of a unit: channels of a Winograd convolution, steps of others. */
enum { UNIT_CHANNELS = 2 * CHANNELS, UNIT_STEPS = 512 };

size_t wilor_yolo_expanded(const wilor_yolo *y, int conv) {
    const wilor_yolo_conv *c = &y->program.convs[conv];
    const wilor_yolo_packed *w = &y->convs[conv];
    size_t padded = (size_t)wilor_yolo_parts(c->out, y->kernels->nr) * (size_t)y->kernels->nr;
    if (w->type == WILOR_PANEL_BF16)
        return 0;
    if (w->winograd)
        return padded * WILOR_WINOGRAD_PLANES * (size_t)c->in;
    return w->type == WILOR_PANEL_F32 ? 0 : padded * wilor_yolo_depth(c);
}

/* k steps from number `at` of all kept panels. to is 64-byte aligned. */
static void expand_steps(const wilor_yolo *y, const wilor_yolo_packed *w, size_t at, size_t k,
                         float *to) {
    size_t nr = (size_t)y->kernels->nr, size = w->type == WILOR_PANEL_F16 ? 2 : sizeof *to;
    y->kernels->expand_f32(w->type, (const char *)w->panels + at * nr * size, k, NULL, NULL,
                           to);
}

/* A column of G g, n of them side by side: G = [1 0 0; ½ ½ ½; ½ -½ ½; 0 0 1]. to may not overlap
 * from. */
static void winograd_column(const float *restrict from, size_t step, size_t n,
                            float *restrict to, size_t plane) {
    for (size_t i = 0; i < n; i++) {
        float ends = from[i] + from[2 * step + i], middle = from[step + i];
        to[i] = from[i];
        to[plane + i] = (ends + middle) * 0.5f;
        to[2 * plane + i] = (ends - middle) * 0.5f;
        to[3 * plane + i] = from[2 * step + i];
    }
}

/* G g Gᵀ of n weights side by side: g[9][n] to to[16][plane]. */
static void winograd_weights(const float *g, size_t n, float *to, size_t plane) {
    float rows[4 * 3 * CHANNELS * WILOR_MAX_NR];
    for (size_t j = 0; j < 3; j++)
        winograd_column(g + j * n, 3 * n, n, rows + j * n, 3 * n);
    for (size_t i = 0; i < 4; i++)
        winograd_column(rows + i * 3 * n, n, n, to + 4 * i * plane, plane);
}

/* Channels c … end - 1 of a panel; to is the panel's. */
static void expand_winograd(const wilor_yolo *y, int conv, int panel, size_t c, size_t end,
                            float *to) {
    const wilor_yolo_packed *w = &y->convs[conv];
    size_t nr = (size_t)y->kernels->nr, in = (size_t)y->program.convs[conv].in;
    size_t first = (size_t)panel * TAPS3 * in; /* step of the panel's beginning */
    _Alignas(WILOR_ALIGN) float g[TAPS3 * CHANNELS * WILOR_MAX_NR];
    for (; c < end; c += CHANNELS) {
        size_t k = end - c < CHANNELS ? end - c : CHANNELS;
        for (size_t tap = 0; tap < TAPS3; tap++)
            expand_steps(y, w, first + tap * in + c, k, g + tap * k * nr);
        winograd_weights(g, k * nr, to + c * nr, in * nr);
    }
}

/* Depth of a panel, and of a unit of it. */
static size_t unit_depth(const wilor_yolo *y, int conv, size_t *each) {
    const wilor_yolo_conv *c = &y->program.convs[conv];
    bool winograd = y->convs[conv].winograd;
    *each = winograd ? UNIT_CHANNELS : UNIT_STEPS;
    return winograd ? (size_t)c->in : wilor_yolo_depth(c);
}

static int slices_of(const wilor_yolo *y, int conv) {
    size_t each, depth = unit_depth(y, conv, &each);
    return (int)((depth + each - 1) / each);
}

int wilor_yolo_expand_units(const wilor_yolo *y, int conv) {
    return wilor_yolo_parts(y->program.convs[conv].out, y->kernels->nr) * slices_of(y, conv);
}

void wilor_yolo_expand(const wilor_yolo *y, int conv, int unit, float *to) {
    const wilor_yolo_packed *w = &y->convs[conv];
    int slices = slices_of(y, conv), panel = unit / slices;
    size_t nr = (size_t)y->kernels->nr, in = (size_t)y->program.convs[conv].in;
    size_t each, depth = unit_depth(y, conv, &each), first = (size_t)(unit % slices) * each;
    size_t n = depth - first < each ? depth - first : each;
    if (w->winograd)
        expand_winograd(y, conv, panel, first, first + n,
                        to + (size_t)panel * WILOR_WINOGRAD_PLANES * in * nr);
    else
        expand_steps(y, w, (size_t)panel * depth + first, n,
                     to + ((size_t)panel * depth + first) * nr);
}
