/* BT.601, limited range (Y 16 … 235), in 20-bit fixed point with OpenCV's constants, so that a
 * picture gives the pixels that its COLOR_YUV2RGB_NV12 gives. A chroma sample is used for its 2
 * × 2 pixels as it is, without interpolation. */
#include "nv12.h"

enum {
    SHIFT = 20,
    HALF = 1 << (SHIFT - 1),
    LUMA = 1220542,     /* 255/219 */
    RED_BY_V = 1673527, /* 1.596 */
    GREEN_BY_V = -852492,
    GREEN_BY_U = -409993,
    BLUE_BY_U = 2116026 /* 2.018 */
};

wilor_status wilor_nv12_planes(wilor_nv12 *out, const wilor_picture *p, const uint8_t *chroma,
                               ptrdiff_t chroma_stride, wilor_error *err) {
    ptrdiff_t stride = chroma_stride ? chroma_stride : p->stride;
    ptrdiff_t row = ((ptrdiff_t)p->width + 1) / 2 * 2;
    if (!chroma && p->stride < 0)
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "NV12 picture from the bottom up without its own chroma pointer");
    if ((stride < 0 ? -stride : stride) < row)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "NV12 picture: chroma stride of %lld bytes for %d pixels",
                               (long long)stride, p->width);
    *out = (wilor_nv12){.luma = p->data,
                        .chroma = chroma ? chroma : p->data + p->height * p->stride,
                        .luma_stride = p->stride,
                        .chroma_stride = stride,
                        .width = p->width,
                        .height = p->height};
    return WILOR_OK;
}

static uint8_t clamp(int v) {
    v >>= SHIFT;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void wilor_nv12_row(const wilor_nv12 *p, int y, uint8_t *rgb) {
    const uint8_t *luma = p->luma + y * p->luma_stride;
    const uint8_t *chroma = p->chroma + y / 2 * p->chroma_stride;
    for (int x = 0; x < p->width; x++, rgb += 3) {
        int u = chroma[x / 2 * 2] - 128, v = chroma[x / 2 * 2 + 1] - 128;
        int light = (luma[x] > 16 ? luma[x] - 16 : 0) * LUMA + HALF;
        rgb[0] = clamp(light + RED_BY_V * v);
        rgb[1] = clamp(light + GREEN_BY_V * v + GREEN_BY_U * u);
        rgb[2] = clamp(light + BLUE_BY_U * u);
    }
}
