/* Error text: formatted once, on one line, safe to print. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *wilor_status_name(wilor_status status) {
    static const char *const names[] = {"ok",           "bad argument",  "out of memory",
                                        "input/output", "format",        "model",
                                        "missing data", "limit",         "unsupported",
                                        "cancelled",    "internal error"};
    size_t i = (size_t)status;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown status";
}

/* Length of text without a UTF-8 sequence that was cut at its end. */
static size_t whole_sequences(const char *text, size_t n) {
    size_t back = 0;
    while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back >= n)
        return n;
    unsigned char lead = (unsigned char)text[n - 1 - back];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    return need > back ? n - 1 - back : n;
}

wilor_status wilor_error_set(wilor_error *err, wilor_status status, const char *format, ...) {
    if (!err)
        return status;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->status = status;
    if (n < 0)
        err->text[0] = 0;
    if (n >= (int)sizeof err->text)
        err->text[whole_sequences(err->text, sizeof err->text - 1)] = 0;
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    return status;
}

void wilor_error_clear(wilor_error *err) {
    if (!err)
        return;
    err->status = WILOR_OK;
    err->text[0] = 0;
}

const char *wilor_quote(wilor_quoted *buf, const char *name) {
    enum { MOST = 200 };

    size_t at = 0, length = strlen(name), from = 0;
    buf->text[at++] = '\'';
    if (length > MOST) {
        /* The end says more: it has the file's own name. Not from the middle of a character. */
        from = length - MOST;
        while (((unsigned char)name[from] & 0xC0) == 0x80)
            from++;
        at += (size_t)snprintf(buf->text + at, 4, "...");
    }
    for (; name[from] && at < sizeof buf->text - 8; from++) {
        unsigned char c = (unsigned char)name[from];
        if (c == '\n')
            at += (size_t)snprintf(buf->text + at, 5, "\\n");
        else if (c < 0x20 || c == 0x7F)
            at += (size_t)snprintf(buf->text + at, 5, "\\x%02x", c);
        else
            buf->text[at++] = (char)c;
    }
    buf->text[at++] = '\'';
    buf->text[at] = 0;
    return buf->text;
}
