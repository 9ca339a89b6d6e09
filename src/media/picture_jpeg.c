/* JPEG in and out, by libjpeg-turbo.
 *
 * Decoding takes the library's defaults (accurate integer DCT, smooth upsampling), as OpenCV
 * does. CMYK and YCCK become RGB by OpenCV's rule, which takes them as Adobe stores them,
 * inverted.
 *
 * libjpeg repairs what it can and only warns; a warning here is an error, except for three that
 * say nothing about the pixels: stray bytes before a marker (cameras pad with them), an unknown
 * JFIF version, an unknown Adobe transform. Easy to get wrong: errors leave by longjmp, so all
 * that must survive lies in a job of the caller of the function that calls setjmp. */
#include "exif.h"
#include "heap.h"
#include "picture_codec.h"

#if defined(WILOR_HAVE_JPEG)

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* A progressive file may hold any number of tiny scans, each of which costs a walk over the
 * picture. */
enum { MAX_SCANS = 500, EXIF_MARKER = JPEG_APP0 + 1 };

typedef struct jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const wilor_encoded *src;
    wilor_image image;
    uint8_t *row; /* one row of CMYK */
    wilor_error *err;
    wilor_status st;
} jpeg_reader;

static wilor_status status_of(int code) {
    switch (code) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE:
        return WILOR_ERR_NOMEM;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_SOF_UNSUPPORTED:
        return WILOR_ERR_UNSUPPORTED;
    default:
        return WILOR_ERR_FORMAT;
    }
}

static bool is_harmless(int code) {
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
           code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
}

/* Leave the library with what its error manager says. */
static void fail_reader(j_common_ptr common) {
    jpeg_reader *r = common->client_data;
    char text[JMSG_LENGTH_MAX];
    const char *what = text;
    wilor_quoted q;
    int code = common->err->msg_code;
    r->st = status_of(code);
    common->err->format_message(common, text);
    if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JERR_INPUT_EOF)
        what = "premature end of data";
    else if (strncmp(text, "Corrupt JPEG data: ", 19) == 0)
        what = text + 19;
    const char *kind = r->st == WILOR_ERR_NOMEM         ? "no memory to read this JPEG"
                       : r->st == WILOR_ERR_UNSUPPORTED ? "unsupported JPEG"
                                                        : "damaged JPEG";
    wilor_error_set(r->err, r->st, "%s: %s: %s", wilor_quote(&q, r->src->name), kind, what);
    longjmp(r->escape, 1);
}

static void take_message(j_common_ptr common, int level) {
    if (level < 0 && !is_harmless(common->err->msg_code))
        fail_reader(common);
}

static void drop_message(j_common_ptr common) { (void)common; }

static void watch_scans(j_common_ptr common) {
    jpeg_reader *r = common->client_data;
    wilor_quoted q;
    if (r->jpeg.input_scan_number <= MAX_SCANS)
        return;
    r->st = wilor_error_set(r->err, WILOR_ERR_LIMIT, "%s: a JPEG of more than %d scans",
                            wilor_quote(&q, r->src->name), MAX_SCANS);
    longjmp(r->escape, 1);
}

/* Each 8 × 8 block of the largest component takes at least one bit of Huffman code, so a short
 * file that claims a large picture is known to be cut before memory is taken for it. */
static bool claims_too_much(const struct jpeg_decompress_struct *jpeg, size_t size) {
    uint64_t pixels = (uint64_t)jpeg->image_width * jpeg->image_height;
    return !jpeg->arith_code && pixels / 512 > size;
}

static int orientation_of(const struct jpeg_decompress_struct *jpeg) {
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && m->data_length >= 6 &&
            memcmp(m->data, "Exif\0", 5) == 0)
            return wilor_exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* As OpenCV: each ink was stored as 255 − ink, hence k scales and c, m, y take away. */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, int width) {
    for (int x = 0; x < width; x++, rgb += 3, cmyk += 4)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(cmyk[3] - ((255 - cmyk[c]) * cmyk[3] >> 8));
}

static void read_rows(jpeg_reader *r) {
    size_t pitch = (size_t)r->image.width * 3;
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *to = r->image.data + pitch * r->jpeg.output_scanline;
        JSAMPROW row = r->row ? r->row : to;
        if (jpeg_read_scanlines(&r->jpeg, &row, 1) == 1 && r->row)
            cmyk_to_rgb(to, r->row, r->image.width);
    }
}

static wilor_status prepare(jpeg_reader *r) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    WILOR_TRY(
        wilor_picture_admit(r->src, "JPEG", jpeg->image_width, jpeg->image_height, r->err));
    if (claims_too_much(jpeg, r->src->size))
        WILOR_FAIL(r->err, WILOR_ERR_FORMAT,
                   "%s: damaged JPEG: premature end of data (%zu bytes for %u x %u pixels)",
                   wilor_quote(&q, r->src->name), r->src->size, jpeg->image_width,
                   jpeg->image_height);
    WILOR_TRY(wilor_picture_alloc(&r->image, r->src, (int)jpeg->image_width,
                                  (int)jpeg->image_height, r->err));
    jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
    if (jpeg->num_components == 4) {
        r->row = wilor_heap_alloc(jpeg->image_width, 4);
        if (!r->row)
            WILOR_FAIL(r->err, WILOR_ERR_NOMEM, "%s: no memory for a row of %u pixels",
                       wilor_quote(&q, r->src->name), jpeg->image_width);
    }
done:
    return st;
}

/* Everything that may leave by longjmp. No local of this function changes after setjmp. */
static wilor_status decode_guarded(jpeg_reader *r, int *orientation) {
    if (setjmp(r->escape))
        return r->st;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, r->src->data, (unsigned long)r->src->size);
    jpeg_save_markers(&r->jpeg, EXIF_MARKER, 0xFFFF);
    jpeg_read_header(&r->jpeg, TRUE);
    *orientation = orientation_of(&r->jpeg);
    r->st = prepare(r);
    if (r->st != WILOR_OK)
        return r->st;
    jpeg_start_decompress(&r->jpeg);
    read_rows(r);
    jpeg_finish_decompress(&r->jpeg);
    return WILOR_OK;
}

wilor_status wilor_picture_jpeg_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err) {
    jpeg_reader r = {.src = src, .err = err};
    wilor_quoted q;
    if (src->size > UINT32_MAX)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT, "%s: a JPEG of %zu bytes, the limit is %lu",
            wilor_quote(&q, src->name), src->size, (unsigned long)UINT32_MAX);
    r.jpeg.err = jpeg_std_error(&r.manager);
    r.jpeg.client_data = &r;
    r.manager.error_exit = fail_reader;
    r.manager.emit_message = take_message;
    r.manager.output_message = drop_message;
    r.progress.progress_monitor = watch_scans;
    wilor_status st = decode_guarded(&r, orientation);
    jpeg_destroy_decompress(&r.jpeg);
    wilor_heap_free(r.row);
    if (st == WILOR_OK)
        *image = r.image;
    else
        wilor_image_free(&r.image);
    return st;
}

enum { OUT_BUFFER = 16384 };

typedef struct jpeg_writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_destination_mgr target;
    jmp_buf escape;
    const wilor_picture *picture;
    wilor_out_file *file;
    const char *name;
    uint8_t *row;
    wilor_error *err;
    wilor_status st;
    uint8_t buffer[OUT_BUFFER];
} jpeg_writer;

static void fail_writer(j_common_ptr common) {
    jpeg_writer *w = common->client_data;
    char text[JMSG_LENGTH_MAX];
    wilor_quoted q;
    common->err->format_message(common, text);
    w->st = common->err->msg_code == JERR_OUT_OF_MEMORY ? WILOR_ERR_NOMEM : WILOR_ERR_INTERNAL;
    wilor_error_set(w->err, w->st, "%s: JPEG cannot be written: %s", wilor_quote(&q, w->name),
                    text);
    longjmp(w->escape, 1);
}

static void ignore_message(j_common_ptr common, int level) { (void)common, (void)level; }

static void push_bytes(jpeg_writer *w, size_t count) {
    w->st = wilor_out_file_write(w->file, w->buffer, count, w->err);
    if (w->st != WILOR_OK)
        longjmp(w->escape, 1);
    w->target.next_output_byte = w->buffer;
    w->target.free_in_buffer = OUT_BUFFER;
}

static void target_begin(j_compress_ptr jpeg) {
    jpeg_writer *w = jpeg->client_data;
    w->target.next_output_byte = w->buffer;
    w->target.free_in_buffer = OUT_BUFFER;
}

/* libjpeg calls this when the buffer is full, whatever free_in_buffer says. */
static boolean target_full(j_compress_ptr jpeg) {
    push_bytes(jpeg->client_data, OUT_BUFFER);
    return TRUE;
}

static void target_end(j_compress_ptr jpeg) {
    jpeg_writer *w = jpeg->client_data;
    push_bytes(w, OUT_BUFFER - w->target.free_in_buffer);
}

static wilor_status encode_guarded(jpeg_writer *w, int quality) {
    if (setjmp(w->escape))
        return w->st;
    struct jpeg_compress_struct *jpeg = &w->jpeg;
    jpeg_create_compress(jpeg);
    jpeg->dest = &w->target;
    jpeg->image_width = (JDIMENSION)w->picture->width;
    jpeg->image_height = (JDIMENSION)w->picture->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg->optimize_coding = TRUE;
    /* Thin coloured lines suffer most from halved chroma; who asks for quality gets it whole. */
    if (quality >= 90)
        jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        wilor_picture_row(w->picture, (int)jpeg->next_scanline, w->row);
        jpeg_write_scanlines(jpeg, &w->row, 1);
    }
    jpeg_finish_compress(jpeg);
    return WILOR_OK;
}

wilor_status wilor_picture_jpeg_encode(const wilor_picture *picture, int quality,
                                       wilor_out_file *file, const char *name,
                                       wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    jpeg_writer *w = NULL;
    if (quality < 1 || quality > 100)
        return wilor_error_set(err, WILOR_ERR_ARG, "%s: JPEG quality %d, it may be 1 to 100",
                               wilor_quote(&q, name), quality);
    if (picture->width > JPEG_MAX_DIMENSION || picture->height > JPEG_MAX_DIMENSION)
        return wilor_error_set(
            err, WILOR_ERR_LIMIT, "%s: %d x %d pixels, a JPEG has at most %ld a side",
            wilor_quote(&q, name), picture->width, picture->height, (long)JPEG_MAX_DIMENSION);
    w = wilor_heap_alloc(1, sizeof *w);
    if (w)
        w->row = wilor_heap_alloc((size_t)picture->width, 3);
    if (!w || !w->row)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory to write a JPEG",
                   wilor_quote(&q, name));
    w->picture = picture;
    w->file = file;
    w->name = name;
    w->err = err;
    w->jpeg.err = jpeg_std_error(&w->manager);
    w->jpeg.client_data = w;
    w->manager.error_exit = fail_writer;
    w->manager.emit_message = ignore_message;
    w->manager.output_message = drop_message;
    w->target.init_destination = target_begin;
    w->target.empty_output_buffer = target_full;
    w->target.term_destination = target_end;
    st = encode_guarded(w, quality);
    jpeg_destroy_compress(&w->jpeg);
done:
    if (w)
        wilor_heap_free(w->row);
    wilor_heap_free(w);
    return st;
}

#else

wilor_status wilor_picture_jpeg_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err) {
    wilor_quoted q;
    (void)image, (void)orientation;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s is a JPEG; this build reads: %s",
                           wilor_quote(&q, src->name), wilor_io_formats());
}

wilor_status wilor_picture_jpeg_encode(const wilor_picture *picture, int quality,
                                       wilor_out_file *file, const char *name,
                                       wilor_error *err) {
    wilor_quoted q;
    (void)picture, (void)quality, (void)file;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s: this build writes no JPEG",
                           wilor_quote(&q, name));
}

#endif
