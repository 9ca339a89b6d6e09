/* Frame to RGB. Formats that are RGB already are copied, byte by byte; 8-bit YUV goes through
 * picture_yuv.c, with libjpeg's upsampling and rounding; all others through swscale with its accurate
 * sums, and chroma at full resolution about where the stream says it lies.
 *
 * The matrix and range are the stream's. Without any: BT.601, limited (full for yuvj and MJPEG),
 * which is what OpenCV's VideoCapture does and so what WiLoR was used with. */
#include "video_convert.h"
#include "heap.h"
#include "picture_turn.h"

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <string.h>

/* Rows begin at multiples of this; swscale may write that much behind a row. */
enum { ROW_ALIGN = 64 };

int wilor_video_orientation(const int32_t *m) {
    if (!m)
        return 1;
    /* x' = a·x + c·y, y' = b·x + d·y */
    const int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    const int64_t straight = (a < 0 ? -a : a) + (d < 0 ? -d : d);
    const int64_t crossed = (b < 0 ? -b : b) + (c < 0 ? -c : c);
    if (straight >= crossed)
        return a >= 0 ? (d >= 0 ? 1 : 4) : (d >= 0 ? 2 : 3);
    return b >= 0 ? (c >= 0 ? 5 : 6) : (c >= 0 ? 8 : 7);
}

int wilor_video_plain_format(int format, int *full) {
    static const struct {
        int from, to;
    } pairs[] = {{AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P},
                 {AV_PIX_FMT_YUVJ422P, AV_PIX_FMT_YUV422P},
                 {AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P},
                 {AV_PIX_FMT_YUVJ440P, AV_PIX_FMT_YUV440P},
                 {AV_PIX_FMT_YUVJ411P, AV_PIX_FMT_YUV411P}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (format == pairs[i].from) {
            *full = 1;
            return pairs[i].to;
        }
    return format;
}

static int matrix_of(int space) {
    switch (space) {
    case AVCOL_SPC_BT709:
        return SWS_CS_ITU709;
    case AVCOL_SPC_FCC:
        return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M:
        return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return SWS_CS_BT2020;
    default:
        return SWS_CS_ITU601;
    }
}

/* Where chroma samples lie, in 1/256 of a luma pixel from the block's corner, as swscale wants
 * it. */
static void place_chroma(struct SwsContext *sws, int format, int location) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    const int middle = 128;
    int x = location == AVCHROMA_LOC_CENTER || location == AVCHROMA_LOC_TOP ? middle : 0;
    int y = location == AVCHROMA_LOC_TOPLEFT || location == AVCHROMA_LOC_TOP ? 0 : middle;
    if (location == AVCHROMA_LOC_BOTTOMLEFT || location == AVCHROMA_LOC_BOTTOM)
        y = 2 * middle;
    if (d && d->log2_chroma_w)
        av_opt_set_int(sws, "src_h_chr_pos", x, 0);
    if (d && d->log2_chroma_h)
        av_opt_set_int(sws, "src_v_chr_pos", y, 0);
}

static wilor_status prepare_sws(wilor_video_convert *c, const AVFrame *f, wilor_error *err) {
    int full = f->color_range == AVCOL_RANGE_JPEG;
    const int format = wilor_video_plain_format(f->format, &full);
    if (c->sws && c->width == f->width && c->height == f->height && c->format == f->format &&
        c->space == (int)f->colorspace && c->range == full &&
        c->location == (int)f->chroma_location)
        return WILOR_OK;
    sws_freeContext(c->sws);
    c->sws = sws_alloc_context();
    if (!c->sws)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to convert frames");
    av_opt_set_int(c->sws, "srcw", f->width, 0);
    av_opt_set_int(c->sws, "srch", f->height, 0);
    av_opt_set_int(c->sws, "dstw", f->width, 0);
    av_opt_set_int(c->sws, "dsth", f->height, 0);
    av_opt_set_int(c->sws, "src_format", format, 0);
    av_opt_set_int(c->sws, "dst_format", AV_PIX_FMT_RGB24, 0);
    av_opt_set_int(c->sws, "src_range", full, 0);
    av_opt_set_int(c->sws, "sws_flags",
                   SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP,
                   0);
    place_chroma(c->sws, format, f->chroma_location);
    if (sws_init_context(c->sws, NULL, NULL) < 0) {
        const char *name = av_get_pix_fmt_name(f->format);
        sws_freeContext(c->sws);
        c->sws = NULL;
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%d x %d pixels of the format %s cannot be converted", f->width,
                               f->height, name ? name : "unknown");
    }
    const int one = 1 << 16;
    sws_setColorspaceDetails(c->sws, sws_getCoefficients(matrix_of(f->colorspace)), full,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, one, one);
    c->width = f->width;
    c->height = f->height;
    c->format = f->format;
    c->space = f->colorspace;
    c->range = full;
    c->location = f->chroma_location;
    return WILOR_OK;
}

/* Room for a picture of that size; *stride is its rows'. */
static wilor_status make_room(uint8_t **data, size_t *room, int width, int height,
                              ptrdiff_t *stride, wilor_error *err) {
    const size_t row =
        ((size_t)width * 3 + 2 * ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN; /* one to spare */
    size_t bytes;
    *stride = (ptrdiff_t)row;
    if (wilor_size_mul(row, (size_t)height, &bytes) && bytes <= *room)
        return WILOR_OK;
    wilor_heap_free(*data);
    *room = 0;
    *data = wilor_heap_alloc(row, (size_t)height);
    if (!*data)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for %d x %d pixels", width,
                               height);
    *room = bytes;
    return WILOR_OK;
}

/* Bytes a pixel and where red lies, of the formats that are copied; 0: not one of them. */
static int plain_rgb(int format, int *red, int *blue, int *green) {
    *red = *green = *blue = 0;
    switch (format) {
    case AV_PIX_FMT_GRAY8:
        return 1;
    case AV_PIX_FMT_RGB24:
    case AV_PIX_FMT_RGBA:
    case AV_PIX_FMT_RGB0:
        *blue = 2;
        break;
    case AV_PIX_FMT_BGR24:
    case AV_PIX_FMT_BGRA:
    case AV_PIX_FMT_BGR0:
        *red = 2;
        break;
    default:
        return 0;
    }
    *green = 1;
    return format == AV_PIX_FMT_RGB24 || format == AV_PIX_FMT_BGR24 ? 3 : 4;
}

static bool copy_rgb(uint8_t *to, ptrdiff_t stride, const AVFrame *f) {
    int red, green, blue;
    const int step = plain_rgb(f->format, &red, &blue, &green);
    for (int y = 0; step && y < f->height; y++) {
        const uint8_t *from = f->data[0] + (ptrdiff_t)y * f->linesize[0];
        uint8_t *row = to + y * stride;
        if (f->format == AV_PIX_FMT_RGB24) {
            memcpy(row, from, (size_t)f->width * 3);
            continue;
        }
        for (int x = 0; x < f->width; x++, from += step, row += 3) {
            row[0] = from[red];
            row[1] = from[green];
            row[2] = from[blue];
        }
    }
    return step != 0;
}

/* ---------------------------------------------------------------- 8-bit YUV */

/* The planes of a frame that picture_yuv.c reads; false: another format. */
static bool yuv_of(const AVFrame *f, int format, wilor_yuv *p) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    static const int formats[] = {AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV444P,
                                  AV_PIX_FMT_YUV440P, AV_PIX_FMT_NV12,    AV_PIX_FMT_NV21,
                                  AV_PIX_FMT_YUYV422, AV_PIX_FMT_UYVY422, AV_PIX_FMT_YVYU422};
    bool known = false;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        known = known || format == formats[i];
    if (!known)
        return false;
    const AVComponentDescriptor *c = d->comp;
    const bool packed = c[0].plane == c[1].plane;
    const int where = f->chroma_location;
    *p = (wilor_yuv){.y = f->data[c[0].plane] + c[0].offset,
                     .u = f->data[c[1].plane] + c[1].offset,
                     .v = f->data[c[2].plane] + c[2].offset,
                     .y_row = f->linesize[c[0].plane],
                     .c_row = f->linesize[c[1].plane],
                     .y_step = c[0].step,
                     .c_step = c[1].step,
                     .width = f->width,
                     .height = f->height,
                     .half_x = d->log2_chroma_w == 1,
                     .half_y = d->log2_chroma_h == 1,
                     .left = where != AVCHROMA_LOC_CENTER};
    /* A last pair of bytes that is not all there, a chroma beside its row, rows of two lengths. */
    return !(packed && f->width % 2) &&
           (where == AVCHROMA_LOC_UNSPECIFIED || where == AVCHROMA_LOC_LEFT ||
            where == AVCHROMA_LOC_CENTER) &&
           f->linesize[c[1].plane] == f->linesize[c[2].plane];
}

static void weights_of(int space, double *kr, double *kb) {
    static const struct {
        int space;
        double kr, kb;
    } known[] = {{AVCOL_SPC_BT709, 0.2126, 0.0722},
                 {AVCOL_SPC_FCC, 0.30, 0.11},
                 {AVCOL_SPC_SMPTE240M, 0.212, 0.087},
                 {AVCOL_SPC_BT2020_NCL, 0.2627, 0.0593},
                 {AVCOL_SPC_BT2020_CL, 0.2627, 0.0593}};

    *kr = 0.299;
    *kb = 0.114;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (space == known[i].space) {
            *kr = known[i].kr;
            *kb = known[i].kb;
        }
}

/* *done: false where swscale has to do it. */
static wilor_status convert_yuv(wilor_video_convert *c, const AVFrame *f, ptrdiff_t stride,
                                bool *done, wilor_error *err) {
    wilor_yuv p;
    int full = f->color_range == AVCOL_RANGE_JPEG;
    *done = yuv_of(f, wilor_video_plain_format(f->format, &full), &p);
    if (!*done)
        return WILOR_OK;
    const size_t need = wilor_yuv_scratch(f->width);
    if (need > c->scratch_room) {
        wilor_heap_free(c->scratch);
        c->scratch = wilor_heap_alloc(need, 1);
        c->scratch_room = c->scratch ? need : 0;
        if (!c->scratch)
            return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to convert frames");
    }
    if (!c->tables_made || c->table_space != (int)f->colorspace || c->table_full != full) {
        double kr, kb;
        weights_of(f->colorspace, &kr, &kb);
        wilor_yuv_tables_init(&c->tables, kr, kb, full);
        c->tables_made = true;
        c->table_space = f->colorspace;
        c->table_full = full;
    }
    wilor_yuv_to_rgb(&p, &c->tables, c->rgb, stride, c->scratch);
    return WILOR_OK;
}

static wilor_status convert_sws(wilor_video_convert *c, const AVFrame *f, ptrdiff_t stride,
                                wilor_error *err) {
    wilor_status st = prepare_sws(c, f, err);
    if (st != WILOR_OK)
        return st;
    uint8_t *to[4] = {c->rgb};
    int strides[4] = {(int)stride};
    if (sws_scale(c->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, to,
                  strides) != f->height)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "a frame could not be converted");
    return WILOR_OK;
}

wilor_status wilor_video_convert_run(wilor_video_convert *c, const AVFrame *f, int orientation,
                                     wilor_picture *out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    ptrdiff_t stride = 0;
    WILOR_TRY(make_room(&c->rgb, &c->rgb_room, f->width, f->height, &stride, err));
    bool done = copy_rgb(c->rgb, stride, f);
    if (!done)
        WILOR_TRY(convert_yuv(c, f, stride, &done, err));
    if (!done)
        WILOR_TRY(convert_sws(c, f, stride, err));
    *out = (wilor_picture){c->rgb, f->width, f->height, stride, WILOR_RGB8};
    if (orientation > 1) {
        const bool swap = orientation >= 5;
        const int width = swap ? f->height : f->width, height = swap ? f->width : f->height;
        ptrdiff_t turned = 0;
        WILOR_TRY(make_room(&c->turned, &c->turned_room, width, height, &turned, err));
        wilor_picture_turn(c->turned, turned, c->rgb, stride, f->width, f->height, orientation);
        *out = (wilor_picture){c->turned, width, height, turned, WILOR_RGB8};
    }
done:
    return st;
}

void wilor_video_convert_fini(wilor_video_convert *c) {
    sws_freeContext(c->sws);
    wilor_heap_free(c->rgb);
    wilor_heap_free(c->turned);
    wilor_heap_free(c->scratch);
    *c = (wilor_video_convert){.sws = NULL};
}
