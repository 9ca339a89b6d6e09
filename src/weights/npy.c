/* Reading npy arrays, versions 1 to 3, after numpy/lib/format.py.
 *
 * The header is the text of a Python dictionary. Here it is not Python: a scanner that knows
 * strings, True, False, whole numbers and one tuple, and nothing else, so a header that holds
 * code is an error. Python 2 wrote sizes as 2L. */
#include "npy.h"

#include "zip_member.h"
#include <string.h>

typedef struct scan {
    const char *at, *end;
} scan;

typedef struct header {
    const char *descr;
    size_t descr_length;
    bool fortran;
    int rank;
    int64_t shape[WILOR_MAX_RANK];
} header;

static void skip_blanks(scan *s) {
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

static bool take(scan *s, char c) {
    skip_blanks(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool take_word(scan *s, const char *word) {
    size_t n = strlen(word);
    skip_blanks(s);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return false;
    s->at += n;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(scan *s, const char **text, size_t *length) {
    skip_blanks(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"'))
        return false;
    char quote = *s->at++;
    const char *begin = s->at;
    while (s->at < s->end && *s->at != quote && *s->at != '\\')
        s->at++;
    if (s->at == s->end || *s->at != quote)
        return false;
    *text = begin;
    *length = (size_t)(s->at++ - begin);
    return true;
}

static bool take_size(scan *s, int64_t *out) {
    skip_blanks(s);
    const char *begin = s->at;
    int64_t v = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        if (v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (*s->at++ - '0');
    }
    if (s->at == begin)
        return false;
    if (s->at < s->end && *s->at == 'L')
        s->at++;
    *out = v;
    return true;
}

static bool take_shape(scan *s, header *h) {
    if (!take(s, '('))
        return false;
    while (!take(s, ')')) {
        if (h->rank == WILOR_MAX_RANK || !take_size(s, &h->shape[h->rank]))
            return false;
        h->rank++;
        if (!take(s, ',')) /* numpy itself writes (n,) for one size; (n) is as clear */
            return take(s, ')');
    }
    return true;
}

/* One key with its value; each may come once. */
static bool take_item(scan *s, header *h, unsigned *seen) {
    const char *key;
    size_t n;
    unsigned bit;
    if (!take_string(s, &key, &n) || !take(s, ':'))
        return false;
    if (n == 5 && memcmp(key, "descr", 5) == 0) {
        bit = 1;
        if (!take_string(s, &h->descr, &h->descr_length))
            return false;
    } else if (n == 13 && memcmp(key, "fortran_order", 13) == 0) {
        bit = 2;
        h->fortran = take_word(s, "True");
        if (!h->fortran && !take_word(s, "False"))
            return false;
    } else if (n == 5 && memcmp(key, "shape", 5) == 0 && !(*seen & 4)) {
        bit = 4;
        if (!take_shape(s, h))
            return false;
    } else {
        return false;
    }
    bool first = !(*seen & bit);
    *seen |= bit;
    return first;
}

static bool read_dictionary(header *h, const char *text, size_t length) {
    scan s = {text, text + length};
    unsigned seen = 0;
    if (!take(&s, '{'))
        return false;
    while (!take(&s, '}')) {
        if (!take_item(&s, h, &seen))
            return false;
        if (!take(&s, ',')) {
            if (!take(&s, '}'))
                return false;
            break;
        }
    }
    skip_blanks(&s);
    return s.at == s.end && seen == 7;
}

bool wilor_npy_descr(wilor_tensor *t, const char *descr, size_t length) {
    static const struct {
        char text[3];
        wilor_tensor_dtype dtype;
    } known[] = {{"f8", WILOR_F64}, {"f4", WILOR_F32}, {"f2", WILOR_F16}, {"i8", WILOR_I64},
                 {"i4", WILOR_I32}, {"i2", WILOR_I16}, {"i1", WILOR_I8},  {"u8", WILOR_U64},
                 {"u4", WILOR_U32}, {"u2", WILOR_U16}, {"u1", WILOR_U8},  {"b1", WILOR_BOOL}};

    size_t skip = length && memchr("<>|=", descr[0], 4) ? 1 : 0;
    t->big_endian = skip && descr[0] == '>';
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (length == skip + 2 && memcmp(descr + skip, known[i].text, 2) == 0) {
            wilor_tensor_set_dtype(t, known[i].dtype);
            t->big_endian = t->big_endian && t->element > 1;
            return true;
        }
    /* Bytes, text, complex numbers and times have a known size and are listed. */
    if (length < skip + 2 || length > skip + 8 || !memchr("SUVcmM", descr[skip], 6))
        return false;
    size_t size = 0;
    for (size_t i = skip + 1; i < length; i++) {
        if (descr[i] < '0' || descr[i] > '9')
            return false;
        size = size * 10 + (size_t)(descr[i] - '0');
    }
    wilor_tensor_set_dtype(t, WILOR_DTYPE_OTHER);
    t->element = descr[skip] == 'U' ? 4 * size : size;
    t->dtype_name = descr[skip] == 'c' && size == 8    ? "C64"
                    : descr[skip] == 'c' && size == 16 ? "C128"
                                                       : "OTHER";
    return t->element > 0;
}

static wilor_status bad(const wilor_index *x, const char *name, const char *what,
                        wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: array %s: %s", x->path.text,
                           wilor_quote(&q, name), what);
}

/* An npy file of `size` bytes as tensor `name` (in the pool). */
static wilor_status add_array(wilor_index *x, const char *name, const uint8_t *p, size_t size,
                              wilor_error *err) {
    wilor_quoted q;
    header h = {0};
    if (size < 10 || memcmp(p, "\x93NUMPY", 6) != 0)
        return bad(x, name, "no npy data (its first bytes are not \\x93NUMPY)", err);
    size_t begin = p[6] == 1 ? 10 : 12;
    if (p[6] < 1 || p[6] > 3)
        return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                               "%s: array %s: npy version %d; 1 to 3 are known", x->path.text,
                               wilor_quote(&q, name), p[6]);
    if (size < begin)
        return bad(x, name, "its header is cut", err);
    size_t length = p[8] | (size_t)p[9] << 8;
    if (begin == 12)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > size - begin)
        return bad(x, name, "its header is longer than the file", err);
    if (!read_dictionary(&h, (const char *)p + begin, length))
        return bad(x, name, "its header is not a dictionary of descr, fortran_order and shape",
                   err);
    wilor_tensor t = {.name = name, .rank = h.rank};
    memcpy(t.shape, h.shape, sizeof t.shape);
    if (!wilor_npy_descr(&t, h.descr, h.descr_length))
        return wilor_error_set(err, WILOR_ERR_FORMAT,
                               "%s: array %s: elements of type '%.*s' cannot be read",
                               x->path.text, wilor_quote(&q, name),
                               (int)(h.descr_length < 20 ? h.descr_length : 20), h.descr);
    wilor_tensor_set_dense(&t, h.fortran);
    return wilor_index_add(x, &t, p + begin + length, size - begin - length, 0, err);
}

wilor_status wilor_npy_read(wilor_index *x, wilor_error *err) {
    x->format = "npy";
    size_t n = strlen(x->raw_path);
    if (n > 4 && strcmp(x->raw_path + n - 4, ".npz") == 0)
        return wilor_error_set(err, WILOR_ERR_FORMAT,
                               "%s is one npy array, not an npz archive as its name says",
                               x->path.text);
    return add_array(x, "array", x->data, x->size, err);
}

wilor_status wilor_npz_read(wilor_index *x, const wilor_zip *z, wilor_error *err) {
    wilor_status st = WILOR_OK;
    x->format = "npz";
    for (size_t i = 0; i < z->count; i++) {
        const wilor_zip_member *m = &z->members[i];
        const uint8_t *bytes;
        const char *name;
        if (m->name_length < 5 || memcmp(m->name + m->name_length - 4, ".npy", 4) != 0)
            continue;
        WILOR_TRY(wilor_index_name(x, &name, m->name, m->name_length - 4, err));
        WILOR_TRY(wilor_zip_member_read(x, m, true, &bytes, err));
        WILOR_TRY(add_array(x, name, bytes, m->size, err));
    }
done:
    return st;
}
