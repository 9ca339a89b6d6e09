/* Pictures into an encoder's frames: BT.709 at limited range (BT.601 at full range for JPEG's
 * formats), a picture of another size fitted into the canvas with black edges. */
#include "heap.h"
#include "picture_codec.h"
#include "video_writer.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <string.h>

void wilor_video_canvas_colours(int format, int *space, int *range) {
    int full = 0;
    wilor_video_plain_format(format, &full);
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    const bool rgb = d && (d->flags & AV_PIX_FMT_FLAG_RGB);
    *space = rgb ? AVCOL_SPC_RGB : full ? AVCOL_SPC_BT470BG : AVCOL_SPC_BT709;
    *range = rgb || full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
}

static int format_of(wilor_pixel_format format) {
    switch (format) {
    case WILOR_BGR8:
        return AV_PIX_FMT_BGR24;
    case WILOR_RGBA8:
        return AV_PIX_FMT_RGB0;
    case WILOR_BGRA8:
        return AV_PIX_FMT_BGR0;
    default:
        return AV_PIX_FMT_RGB24; /* grey is made RGB first */
    }
}

/* The largest rectangle of the picture's shape in the middle of the canvas, on even pixels. */
static void place(wilor_video_canvas *c, const wilor_picture *p) {
    const int64_t wide = (int64_t)p->width * c->height, high = (int64_t)p->height * c->width;
    c->w = c->width;
    c->h = c->height;
    /* One row or column that the even canvas lacks is not worth an edge. */
    if (p->width - c->width <= 1 && p->width >= c->width && p->height - c->height <= 1 &&
        p->height >= c->height) {
        c->x = c->y = 0;
        return;
    }
    if (wide > high)
        c->h = (int)(high / p->width) & ~1;
    else
        c->w = (int)(wide / p->height) & ~1;
    c->w = c->w < 2 ? 2 : c->w;
    c->h = c->h < 2 ? 2 : c->h;
    c->x = (c->width - c->w) / 2 & ~1;
    c->y = (c->height - c->h) / 2 & ~1;
}

static wilor_status prepare(wilor_video_canvas *c, const wilor_picture *p, wilor_error *err) {
    const int from = format_of(p->format);
    if (c->sws && c->from_width == p->width && c->from_height == p->height &&
        c->from_format == from)
        return WILOR_OK;
    int full = 0, space, range;
    const int to = wilor_video_plain_format(c->format, &full);
    wilor_video_canvas_colours(c->format, &space, &range);
    place(c, p);
    /* Cropped, not scaled, when only the odd row or column is lacking. */
    const bool same =
        p->width - c->w <= 1 && p->width >= c->w && p->height - c->h <= 1 && p->height >= c->h;
    sws_freeContext(c->sws);
    c->sws =
        sws_getContext(same ? c->w : p->width, same ? c->h : p->height, from, c->w, c->h, to,
                       SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (!c->sws)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%d x %d pixels cannot be made a frame of %d x %d", p->width,
                               p->height, c->w, c->h);
    const int one = 1 << 16;
    const int *matrix =
        sws_getCoefficients(space == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(c->sws, matrix, 1, matrix, range == AVCOL_RANGE_JPEG, 0, one, one);
    c->from_width = p->width;
    c->from_height = p->height;
    c->from_format = from;
    return WILOR_OK;
}

/* A grey picture as RGB in our own memory. */
static wilor_status expand(wilor_video_canvas *c, wilor_picture *p, wilor_error *err) {
    size_t row, bytes;
    if (!wilor_size_mul((size_t)p->width, 3, &row) ||
        !wilor_size_mul(row, (size_t)p->height, &bytes))
        return wilor_error_set(err, WILOR_ERR_LIMIT, "a picture of %d x %d pixels", p->width,
                               p->height);
    if (bytes > c->rgb_room) {
        uint8_t *larger = wilor_heap_resize(c->rgb, bytes, 1);
        if (!larger)
            return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for %d x %d pixels",
                                   p->width, p->height);
        c->rgb = larger;
        c->rgb_room = bytes;
    }
    for (int y = 0; y < p->height; y++)
        wilor_picture_row(p, y, c->rgb + (size_t)y * row);
    *p = (wilor_picture){c->rgb, p->width, p->height, (ptrdiff_t)row, WILOR_RGB8};
    return WILOR_OK;
}

/* The corner of c's rectangle in each plane. */
static void corner(const wilor_video_canvas *c, const AVFrame *f, uint8_t *to[4]) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(c->format);
    for (int i = 0; i < 4 && f->data[i]; i++) {
        const int shift = i == 1 || i == 2 ? d->log2_chroma_h : 0;
        to[i] = f->data[i] + (ptrdiff_t)(c->y >> shift) * f->linesize[i];
        if (c->x > 0)
            to[i] += av_image_get_linesize(c->format, c->x, i);
    }
}

wilor_status wilor_video_canvas_draw(wilor_video_canvas *c, AVFrame *frame,
                                     const wilor_picture *picture, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_picture p = *picture;
    if (p.format == WILOR_GRAY8)
        WILOR_TRY(expand(c, &p, err));
    WILOR_TRY(prepare(c, &p, err));
    if (c->w < c->width || c->h < c->height) {
        int space, range;
        ptrdiff_t lines[4];
        for (int i = 0; i < 4; i++)
            lines[i] = frame->linesize[i];
        wilor_video_canvas_colours(c->format, &space, &range);
        av_image_fill_black(frame->data, lines, c->format, range, c->width, c->height);
    }
    uint8_t *to[4] = {NULL, NULL, NULL, NULL};
    const uint8_t *from[4] = {p.data, NULL, NULL, NULL};
    const int strides[4] = {(int)p.stride, 0, 0, 0};
    const int rows =
        p.height - c->h <= 1 && p.height >= c->h && p.width - c->w <= 1 && p.width >= c->w
            ? c->h
            : p.height;
    corner(c, frame, to);
    if (sws_scale(c->sws, from, strides, 0, rows, to, frame->linesize) != c->h)
        st = wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "a picture could not be converted");
done:
    return st;
}

void wilor_video_canvas_fini(wilor_video_canvas *c) {
    sws_freeContext(c->sws);
    wilor_heap_free(c->rgb);
    *c = (wilor_video_canvas){.width = 0};
}
