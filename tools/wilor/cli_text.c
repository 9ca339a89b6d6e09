/* Text in and out of the program.
 *
 * The program never calls setlocale, so that strtod and printf keep to the C locale whatever
 * the user's is. File names are bytes: messages and JSON show what is not UTF-8 in a safe form,
 * while the files themselves are opened under their own bytes. */
#include "cli_text.h"

#include "system_files.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

wilor_status wilor_cli_fail(wilor_error *err, wilor_status status, const char *format, ...) {
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    if (vsnprintf(err->text, sizeof err->text, format, args) < 0)
        err->text[0] = 0;
    va_end(args);
    err->status = status;
    return status;
}

wilor_status wilor_cli_fail_errno(wilor_error *err, const char *path, const char *what,
                                  int code) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, code == ENOMEM ? WILOR_ERR_NOMEM : WILOR_ERR_IO, "%s: %s: %s",
                          wilor_cli_quote(&q, path), what, strerror(code));
}

size_t wilor_cli_utf8_next(const char *s, uint32_t *code) {
    const unsigned char *b = (const unsigned char *)s;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = b[0] < 0x80 ? 1 : b[0] >= 0xF0 && b[0] < 0xF8 ? 4 : b[0] >= 0xE0 ? 3 : 2;
    *code = 0xFFFD;
    if (n == 1) {
        *code = b[0];
        return 1;
    }
    if (b[0] < 0xC2 || b[0] >= 0xF5)
        return 1;
    uint32_t c = b[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xC0) != 0x80) /* also the terminating zero: nothing behind it is read */
            return 1;
        c = c << 6 | (b[i] & 0x3Fu);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return 1;
    *code = c;
    return n;
}

const char *wilor_cli_quote(wilor_cli_quoted *buf, const char *name) {
    enum { MOST = 200 };

    char *at = buf->text;
    *at++ = '\'';
    const char *s = name;
    while (*s && at - buf->text < MOST) {
        uint32_t c;
        size_t n = wilor_cli_utf8_next(s, &c);
        /* C1 controls steer terminals as C0 ones do. */
        bool plain = (c >= 0x20 && c < 0x7F) || (c >= 0xA0 && !(c == 0xFFFD && n == 1));
        if (c == '\n')
            at += snprintf(at, 3, "\\n");
        else if (plain)
            memcpy(at, s, n), at += n;
        else
            for (size_t i = 0; i < n; i++)
                at += snprintf(at, 5, "\\x%02x", (unsigned char)s[i]);
        s += n;
    }
    if (*s)
        at += snprintf(at, 4, "...");
    *at++ = '\'';
    *at = 0;
    return buf->text;
}

char *wilor_cli_utf8_copy(const char *name) {
    size_t length = strlen(name);
    if (length > SIZE_MAX / 3 - 1)
        return NULL;
    char *copy = malloc(length * 3 + 1);
    if (!copy)
        return NULL;
    char *at = copy;
    for (const char *s = name; *s;) {
        uint32_t c;
        size_t n = wilor_cli_utf8_next(s, &c);
        if (c == 0xFFFD) {
            memcpy(at, "\xEF\xBF\xBD", 3);
            at += 3;
        } else {
            memcpy(at, s, n);
            at += n;
        }
        s += n;
    }
    *at = 0;
    return copy;
}

const char *wilor_cli_base_name(const char *path) { return wilor_sys_base_name(path); }

const char *wilor_cli_ending(const char *path) {
    const char *base = wilor_cli_base_name(path);
    const char *dot = strrchr(base, '.');
    return dot && dot != base ? dot : base + strlen(base);
}

/* strtod takes more than we mean: spaces, hexadecimal, "nan", "infinity". */
static bool decimal(const char *text, double *out, char **end) {
    if (strspn(text, "+-.0123456789") == 0)
        return false;
    size_t n = strspn(text, "+-.0123456789eE");
    *out = strtod(text, end);
    return *end != text && *end <= text + n && isfinite(*out);
}

bool wilor_cli_parse_double(const char *text, double low, double high, double *out) {
    char *end;
    return decimal(text, out, &end) && *end == 0 && *out >= low && *out <= high;
}

bool wilor_cli_parse_long(const char *text, long low, long high, long *out) {
    char *end;
    size_t digits = strspn(text + (*text == '-'), "0123456789");
    if (digits == 0)
        return false;
    errno = 0;
    *out = strtol(text, &end, 10);
    return errno == 0 && *end == 0 && *out >= low && *out <= high;
}

bool wilor_cli_parse_count(const char *text, uint64_t *out) {
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    uint64_t unit = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 1;
    end += unit > 1;
    if (errno || *end || n == 0 || n > UINT64_MAX / unit)
        return false;
    *out = n * unit;
    return true;
}

bool wilor_cli_parse_list(const char *text, size_t count, double *out, const char **rest) {
    for (size_t i = 0; i < count; i++) {
        char *end;
        if (!decimal(text, &out[i], &end))
            return false;
        bool last = i + 1 == count;
        if (last && *end == 0) {
            text = end;
            break;
        }
        if (*end != ',' || (last && !rest))
            return false;
        text = end + 1;
    }
    if (rest)
        *rest = text;
    return true;
}

bool wilor_cli_is_formula(const char *path) { return strncmp(path, "random:", 7) == 0; }

wilor_status wilor_cli_check_file(const char *option, const char *path, wilor_error *err) {
    wilor_cli_quoted q;
    if (!path || wilor_cli_is_formula(path) || wilor_sys_access(path, WILOR_SYS_EXISTS) == 0 ||
        (errno != ENOENT && errno != ENOTDIR))
        return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_MISSING, "%s %s: %s", option,
                          wilor_cli_quote(&q, path), strerror(errno));
}

wilor_status wilor_cli_parse_dtype(const char *who, const char *text, wilor_dtype *out,
                                   wilor_error *err) {
    wilor_cli_quoted q;
    for (int i = WILOR_DTYPE_F32; i <= WILOR_DTYPE_FP8; i++)
        if (!strcmp(text, wilor_dtype_name((wilor_dtype)i))) {
            *out = (wilor_dtype)i;
            return WILOR_OK;
        }
    return wilor_cli_fail(err, WILOR_ERR_ARG, "%s--dtype %s: it should be one of %s", who,
                          wilor_cli_quote(&q, text), WILOR_CLI_DTYPES);
}
