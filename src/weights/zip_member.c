/* Inflating zip members with zlib.
 *
 * Memory is bounded before it is taken: deflate cannot exceed 1032 : 1, and all compressed
 * members of a file together may take 256 MB plus 100 times the file's size. */
#include "zip_member.h"

#include "crc32.h"
#include <limits.h>
#include <string.h>

#if defined(WILOR_HAVE_ZLIB)
#include <zlib.h>
#endif

const char *wilor_zip_member_quote(wilor_quoted *buf, const wilor_zip_member *m) {
    char name[240];
    size_t n = m->name_length < sizeof name ? m->name_length : sizeof name - 1;
    memcpy(name, m->name, n);
    name[n] = 0;
    return wilor_quote(buf, name);
}

#if defined(WILOR_HAVE_ZLIB)

static unsigned part(size_t left) { return left > UINT_MAX ? UINT_MAX : (unsigned)left; }

/* Exactly m->size bytes into dst, or false. */
static bool inflate_into(const wilor_zip_member *m, uint8_t *dst) {
    z_stream z = {0};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return false;
    size_t in = 0, out = 0;
    int rc = Z_OK;
    uint8_t extra; /* a place for a byte too many, so that size 0 and overlong data both work */
    while (rc == Z_OK) {
        unsigned give = part(m->stored - in), take = part(m->size - out);
        z.next_in = (z_const Bytef *)(uintptr_t)(m->data + in);
        z.avail_in = give;
        z.next_out = take ? dst + out : &extra;
        z.avail_out = take ? take : 1;
        rc = inflate(&z, Z_NO_FLUSH);
        in += give - z.avail_in;
        if (!take && z.avail_out == 0)
            rc = Z_DATA_ERROR;
        out += take ? take - z.avail_out : 0;
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END && out == m->size;
}

static wilor_status inflate_member(wilor_index *x, const wilor_zip_member *m,
                                   const uint8_t **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    const size_t ratio_most = 1032; /* deflate's own */
    uint8_t *bytes;
    if (m->size / ratio_most > m->stored)
        WILOR_FAIL(err, WILOR_ERR_FORMAT,
                   "%s: member %s claims to unpack from %zu to %zu bytes", x->path.text,
                   wilor_zip_member_quote(&q, m), m->stored, m->size);
    WILOR_TRY(wilor_index_derive(x, m->size, &bytes, err));
    if (!inflate_into(m, bytes))
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: compressed member %s is damaged", x->path.text,
                   wilor_zip_member_quote(&q, m));
    *out = bytes;
done:
    return st;
}

#else

static wilor_status inflate_member(wilor_index *x, const wilor_zip_member *m,
                                   const uint8_t **out, wilor_error *err) {
    wilor_quoted q;
    (void)out;
    return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                           "%s: member %s is compressed, and this build has no zlib",
                           x->path.text, wilor_zip_member_quote(&q, m));
}

#endif

wilor_status wilor_zip_member_read(wilor_index *x, const wilor_zip_member *m, bool check_stored,
                                   const uint8_t **out, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    if (m->method == 8)
        WILOR_TRY(inflate_member(x, m, out, err));
    else if (m->method == 0)
        *out = m->data;
    else
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED,
                   "%s: member %s is compressed by method %d; 0 and 8 can be read",
                   x->path.text, wilor_zip_member_quote(&q, m), m->method);
    if ((m->method != 0 || check_stored) && wilor_crc32(*out, m->size) != m->crc)
        WILOR_FAIL(err, WILOR_ERR_FORMAT, "%s: member %s is damaged: its checksum differs",
                   x->path.text, wilor_zip_member_quote(&q, m));
done:
    return st;
}
