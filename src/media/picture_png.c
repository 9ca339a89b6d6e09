/* PNG in and out, by libpng.
 *
 * Everything becomes 8-bit RGB: palettes and grey are expanded, 16-bit samples shifted by 8,
 * alpha and tRNS dropped (not blended), gamma and colour profiles ignored, as OpenCV does. A
 * wrong checksum of any chunk is an error. Of an animated PNG the still
 * picture is read (OpenCV 5: the first frame, the same unless the file hides its still
 * picture). Easy to get wrong: errors leave by longjmp, so all that must survive lies in a job
 * of the caller of the function with setjmp. */
#include "exif.h"
#include "heap.h"
#include "picture_codec.h"

#if defined(WILOR_HAVE_PNG)

#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include <png.h>

enum { SIGNATURE = 8, IHDR_END = SIGNATURE + 8 + 13 };

typedef struct png_job {
    png_structp png;
    png_infop info, tail; /* chunks before and after the pixels */
    jmp_buf escape;
    const char *name;
    wilor_error *err;
    wilor_status st;
    bool no_memory;
    /* reading */
    const wilor_encoded *src;
    size_t at;
    wilor_image image;
    /* writing */
    const wilor_picture *picture;
    wilor_out_file *file;
    uint8_t *row;
} png_job;

static void fail_job(png_structp png, png_const_charp what) {
    png_job *j = png_get_error_ptr(png);
    wilor_quoted q;
    if (j->no_memory)
        j->st = wilor_error_set(j->err, WILOR_ERR_NOMEM, "%s: no memory for a PNG",
                                wilor_quote(&q, j->name));
    else if (j->src)
        j->st = wilor_error_set(j->err, WILOR_ERR_FORMAT, "%s: damaged PNG: %s",
                                wilor_quote(&q, j->name), what);
    else
        j->st = wilor_error_set(j->err, WILOR_ERR_INTERNAL, "%s: PNG cannot be written: %s",
                                wilor_quote(&q, j->name), what);
    longjmp(j->escape, 1);
}

static void drop_warning(png_structp png, png_const_charp what) { (void)png, (void)what; }

static png_voidp take_memory(png_structp png, png_alloc_size_t size) {
    png_job *j = png_get_mem_ptr(png);
    void *p = wilor_heap_alloc(size, 1);
    if (!p)
        j->no_memory = true;
    return p;
}

static void give_memory(png_structp png, png_voidp p) {
    (void)png;
    wilor_heap_free(p);
}

static void pull_bytes(png_structp png, png_bytep to, png_size_t count) {
    png_job *j = png_get_io_ptr(png);
    if (count > j->src->size - j->at)
        png_error(png, "premature end of data");
    memcpy(to, j->src->data + j->at, count);
    j->at += count;
}

static uint32_t big_u32(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Does every chunk up to the last lie within the file? libpng takes memory for as long a chunk
 * as its header claims, up to 2 GB, before it notices. */
static bool is_whole(const wilor_encoded *src) {
    size_t at = SIGNATURE;
    while (src->size - at >= 12) {
        const uint8_t *chunk = src->data + at;
        size_t length = big_u32(chunk);
        if (length > src->size - at - 12)
            return false;
        if (memcmp(chunk + 4, "IEND", 4) == 0)
            return true;
        at += length + 12;
    }
    return false;
}

/* Size limits from the first chunk, by hand: libpng has taken memory by the time it tells.
 * Deflate makes at most 1032 bytes of one, so a short file that claims a large picture is known
 * to be cut. */
static wilor_status admit(const wilor_encoded *src, wilor_error *err) {
    static const uint8_t samples[7] = {1, 0, 3, 1, 2, 0, 4};
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    if (src->size < IHDR_END || memcmp(src->data + SIGNATURE, "\0\0\0\x0DIHDR", 8) != 0)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: damaged PNG: no header",
                   wilor_quote(&q, src->name));
    const uint8_t *header = src->data + SIGNATURE + 8;
    uint64_t width = big_u32(header), height = big_u32(header + 4);
    WILOR_TRY(wilor_picture_admit(src, "PNG", width, height, err));
    uint64_t bits = header[9] < 7 ? (uint64_t)header[8] * samples[header[9]] : 0;
    if (width * height / 8 * bits / 1032 > src->size)
        WILOR_FAIL(err, WILOR_ERR_FORMAT,
                   "%s: damaged PNG: premature end of data (%zu bytes for %llu x %llu pixels)",
                   wilor_quote(&q, src->name), src->size, (unsigned long long)width,
                   (unsigned long long)height);
    if (!is_whole(src))
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: damaged PNG: premature end of data",
                   wilor_quote(&q, src->name));
done:
    return st;
}

static void ask_for_rgb8(png_job *j) {
    int color = png_get_color_type(j->png, j->info);
    int depth = png_get_bit_depth(j->png, j->info);
    if (color == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(j->png);
    if (color == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(j->png);
    if (depth == 16)
        png_set_strip_16(j->png);
    if (!(color & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(j->png);
    png_set_strip_alpha(j->png);
}

static int orientation_of(png_job *j) {
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(j->png, j->info, &size, &exif) == 0 &&
        png_get_eXIf_1(j->png, j->tail, &size, &exif) == 0)
        return 1;
    return exif ? wilor_exif_orientation(exif, size) : 1;
}

static void set_up_reader(png_job *j) {
    /* Text and profiles, which may inflate to any size, are passed over; their checksums still
     * count. */
    static const png_byte skipped[] = "iCCP\0tEXt\0zTXt\0iTXt\0sPLT";
    j->info = png_create_info_struct(j->png);
    j->tail = png_create_info_struct(j->png);
    if (!j->info || !j->tail) {
        j->no_memory = true;
        png_error(j->png, "");
    }
    png_set_read_fn(j->png, j, pull_bytes);
    png_set_crc_action(j->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, skipped, 5);
    png_set_user_limits(j->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
}

static wilor_status no_memory(const char *name, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory for a PNG",
                           wilor_quote(&q, name));
}

/* Everything that may leave by longjmp, the making of libpng's struct included. No local of
 * this function is read after setjmp has returned a second time. */
static wilor_status decode_guarded(png_job *j, int *orientation) {
    if (setjmp(j->escape))
        return j->st;
    j->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, j, fail_job, drop_warning, j,
                                      take_memory, give_memory);
    if (!j->png)
        return no_memory(j->name, j->err);
    set_up_reader(j);
    png_read_info(j->png, j->info);
    ask_for_rgb8(j);
    int passes = png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    int width = (int)png_get_image_width(j->png, j->info);
    int height = (int)png_get_image_height(j->png, j->info);
    size_t pitch = (size_t)width * 3;
    if (png_get_rowbytes(j->png, j->info) != pitch)
        png_error(j->png, "rows of an unexpected size");
    j->st = wilor_picture_alloc(&j->image, j->src, width, height, j->err);
    if (j->st != WILOR_OK)
        return j->st;
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < height; y++)
            png_read_row(j->png, j->image.data + pitch * (size_t)y, NULL);
    png_read_end(j->png, j->tail);
    *orientation = orientation_of(j);
    return WILOR_OK;
}

wilor_status wilor_picture_png_decode(wilor_image *image, int *orientation,
                                      const wilor_encoded *src, wilor_error *err) {
    png_job j = {.name = src->name, .err = err, .src = src};
    wilor_status st = admit(src, err);
    if (st != WILOR_OK)
        return st;
    st = decode_guarded(&j, orientation);
    png_destroy_read_struct(&j.png, &j.info, &j.tail);
    if (st == WILOR_OK)
        *image = j.image;
    else
        wilor_image_free(&j.image);
    return st;
}

static void push_bytes(png_structp png, png_bytep from, png_size_t count) {
    png_job *j = png_get_io_ptr(png);
    j->st = wilor_out_file_write(j->file, from, count, j->err);
    if (j->st != WILOR_OK)
        longjmp(j->escape, 1);
}

static void keep_bytes(png_structp png) { (void)png; }

static wilor_status encode_guarded(png_job *j) {
    if (setjmp(j->escape))
        return j->st;
    const wilor_picture *p = j->picture;
    j->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, j, fail_job, drop_warning, j,
                                       take_memory, give_memory);
    if (!j->png)
        return no_memory(j->name, j->err);
    j->info = png_create_info_struct(j->png);
    if (!j->info) {
        j->no_memory = true;
        png_error(j->png, "");
    }
    png_set_write_fn(j->png, j, push_bytes, keep_bytes);
    png_set_user_limits(j->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_IHDR(j->png, j->info, (png_uint_32)p->width, (png_uint_32)p->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(j->png, j->info);
    for (int y = 0; y < p->height; y++) {
        wilor_picture_row(p, y, j->row);
        png_write_row(j->png, j->row);
    }
    png_write_end(j->png, NULL);
    return WILOR_OK;
}

wilor_status wilor_picture_png_encode(const wilor_picture *picture, wilor_out_file *file,
                                      const char *name, wilor_error *err) {
    png_job j = {.name = name, .err = err, .picture = picture, .file = file};
    j.row = wilor_heap_alloc((size_t)picture->width, 3);
    if (!j.row)
        return no_memory(name, err);
    wilor_status st = encode_guarded(&j);
    png_destroy_write_struct(&j.png, &j.info);
    wilor_heap_free(j.row);
    return st;
}

#else

wilor_status wilor_picture_png_decode(wilor_image *image, int *orientation,
                                      const wilor_encoded *src, wilor_error *err) {
    wilor_quoted q;
    (void)image, (void)orientation;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s is a PNG; this build reads: %s",
                           wilor_quote(&q, src->name), wilor_io_formats());
}

wilor_status wilor_picture_png_encode(const wilor_picture *picture, wilor_out_file *file,
                                      const char *name, wilor_error *err) {
    wilor_quoted q;
    (void)picture, (void)file;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s: this build writes no PNG",
                           wilor_quote(&q, name));
}

#endif
