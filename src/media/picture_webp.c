/* WebP in, by libwebp: lossy and lossless, alpha dropped.
 *
 * Of an animation the first frame is read when it covers the whole canvas (as nearly all do); a
 * smaller one would have to be laid over a background that viewers disagree about. Format: WebP
 * container specification, RIFF chunks. EXIF lies in a chunk of its own, which may come after
 * the pixels. */
#include "exif.h"
#include "picture_codec.h"

#if defined(WILOR_HAVE_WEBP)

#include <stdbool.h>
#include <string.h>

#include <webp/decode.h>

typedef struct webp_chunk {
    const uint8_t *data;
    size_t size;
} webp_chunk;

static uint32_t little_u24(const uint8_t *b) {
    return (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

static size_t little_u32(const uint8_t *b) { return (size_t)b[3] << 24 | little_u24(b); }

/* Bytes that RIFF's header announces after itself. */
static size_t riff_size(const wilor_encoded *src) { return little_u32(src->data + 4); }

/* The first chunk of that name after the 12 bytes of RIFF's header. */
static bool find_chunk(const wilor_encoded *src, const char *name, webp_chunk *out) {
    size_t at = 12;
    while (src->size - at >= 8) {
        const uint8_t *head = src->data + at;
        size_t size = little_u32(head + 4);
        at += 8;
        if (size > src->size - at)
            return false;
        if (memcmp(head, name, 4) == 0) {
            *out = (webp_chunk){head + 8, size};
            return true;
        }
        at += size;
        if (size % 2 && at < src->size)
            at++;
    }
    return false;
}

/* The pixels of an animation's first frame as a bitstream of its own. ANMF: x, y, width − 1,
 * height − 1, duration in 24 bits each, flags, then the frame's chunks. */
static wilor_status first_frame(const wilor_encoded *src, const WebPBitstreamFeatures *canvas,
                                webp_chunk *out, wilor_error *err) {
    enum { FRAME_HEADER = 16 };

    wilor_quoted q;
    webp_chunk frame;
    if (!find_chunk(src, "ANMF", &frame) || frame.size <= FRAME_HEADER)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: damaged WebP: no first frame",
                               wilor_quote(&q, src->name));
    if (little_u24(frame.data) != 0 || little_u24(frame.data + 3) != 0 ||
        little_u24(frame.data + 6) + 1 != (uint32_t)canvas->width ||
        little_u24(frame.data + 9) + 1 != (uint32_t)canvas->height)
        return wilor_error_set(
            err, WILOR_ERR_UNSUPPORTED,
            "%s: an animated WebP whose first frame does not cover its %d x %d pixels",
            wilor_quote(&q, src->name), canvas->width, canvas->height);
    *out = (webp_chunk){frame.data + FRAME_HEADER, frame.size - FRAME_HEADER};
    return WILOR_OK;
}

static wilor_status fail(const wilor_encoded *src, VP8StatusCode code, wilor_error *err) {
    wilor_quoted q;
    const char *name = wilor_quote(&q, src->name);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory to read this WebP", name);
    if (code == VP8_STATUS_UNSUPPORTED_FEATURE)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s: unsupported WebP", name);
    bool cut = code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED;
    return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: damaged WebP: %s", name,
                           cut ? "premature end of data" : "invalid bitstream");
}

static VP8StatusCode decode_into(const wilor_image *image, webp_chunk bits) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return VP8_STATUS_UNSUPPORTED_FEATURE;
    /* The stream inside an animation may claim a size of its own. */
    VP8StatusCode code = WebPGetFeatures(bits.data, bits.size, &config.input);
    if (code != VP8_STATUS_OK)
        return code;
    if (config.input.width != image->width || config.input.height != image->height)
        return VP8_STATUS_BITSTREAM_ERROR;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image->data;
    config.output.u.RGBA.stride = image->width * 3;
    config.output.u.RGBA.size = (size_t)image->width * (size_t)image->height * 3;
    code = WebPDecode(bits.data, bits.size, &config);
    WebPFreeDecBuffer(&config.output);
    return code;
}

wilor_status wilor_picture_webp_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WebPBitstreamFeatures features;
    webp_chunk bits = {src->data, src->size}, exif;
    /* libwebp minds the container's size only in still pictures. */
    if (riff_size(src) > src->size - 8)
        return fail(src, VP8_STATUS_NOT_ENOUGH_DATA, err);
    VP8StatusCode code = WebPGetFeatures(src->data, src->size, &features);
    if (code != VP8_STATUS_OK)
        return fail(src, code, err);
    WILOR_TRY(wilor_picture_admit(src, "WebP", (uint64_t)features.width,
                                  (uint64_t)features.height, err));
    if (features.has_animation)
        WILOR_TRY(first_frame(src, &features, &bits, err));
    WILOR_TRY(wilor_picture_alloc(image, src, features.width, features.height, err));
    code = decode_into(image, bits);
    if (code != VP8_STATUS_OK) {
        st = fail(src, code, err);
        goto done;
    }
    *orientation =
        find_chunk(src, "EXIF", &exif) ? wilor_exif_orientation(exif.data, exif.size) : 1;
done:
    if (st != WILOR_OK)
        wilor_image_free(image);
    return st;
}

#else

wilor_status wilor_picture_webp_decode(wilor_image *image, int *orientation,
                                       const wilor_encoded *src, wilor_error *err) {
    wilor_quoted q;
    (void)image, (void)orientation;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED, "%s is a WebP; this build reads: %s",
                           wilor_quote(&q, src->name), wilor_io_formats());
}

#endif
