/* The headers that matter here (RFC 9110, and the hub's own X- ones), strictly: a number that is not
 * one, a commit that is no commit, an etag that could not be a file's name count as missing. */
#include "hub_reply.h"

#include "heap.h"
#include <string.h>
#include <strings.h>

enum { LOCATION_MOST = 16384 };

void wilor_hub_reply_init(wilor_hub_reply *r) {
    *r = (wilor_hub_reply){.length = WILOR_HUB_UNKNOWN,
                           .linked_size = WILOR_HUB_UNKNOWN,
                           .range_first = WILOR_HUB_UNKNOWN,
                           .range_total = WILOR_HUB_UNKNOWN,
                           .retry_after = -1};
}

void wilor_hub_reply_free(wilor_hub_reply *r) {
    wilor_heap_free(r->location);
    wilor_hub_reply_init(r);
}

bool wilor_hub_reply_is_redirect(const wilor_hub_reply *r) {
    return r->location && (r->status == 301 || r->status == 302 || r->status == 303 ||
                           r->status == 307 || r->status == 308);
}

typedef struct span {
    const char *s;
    size_t n;
} span;

static span trim(span x) {
    while (x.n && (x.s[0] == ' ' || x.s[0] == '\t')) {
        x.s++;
        x.n--;
    }
    while (x.n && strchr(" \t\r\n", x.s[x.n - 1]))
        x.n--;
    return x;
}

/* Digits up to the end or a character of `stops`; returns how many, 0 when it is no number. */
static size_t take_number(span x, uint64_t *out) {
    uint64_t n = 0;
    size_t i = 0;
    for (; i < x.n && x.s[i] >= '0' && x.s[i] <= '9'; i++) {
        unsigned digit = (unsigned)(x.s[i] - '0');
        if (n > (UINT64_MAX / 2 - digit) / 10)
            return 0;
        n = n * 10 + digit;
    }
    if (i)
        *out = n;
    return i;
}

static uint64_t number(span x) {
    uint64_t n;
    size_t used = take_number(x, &n);
    return used && used == x.n ? n : WILOR_HUB_UNKNOWN;
}

/* "bytes 5-9/10", or "/10" unknown as "*"; "bytes *" with a 416. */
static void take_range(wilor_hub_reply *r, span x) {
    uint64_t first, last;
    if (x.n < 6 || strncasecmp(x.s, "bytes ", 6) != 0)
        return;
    x = trim((span){x.s + 6, x.n - 6});
    size_t used = take_number(x, &first);
    if (used && used < x.n && x.s[used] == '-') {
        x = (span){x.s + used + 1, x.n - used - 1};
        used = take_number(x, &last);
        if (used == 0 || last < first)
            return;
        r->range_first = first;
    } else if (x.n && x.s[0] == '*') {
        used = 1;
    } else {
        return;
    }
    if (used < x.n && x.s[used] == '/')
        r->range_total = number((span){x.s + used + 1, x.n - used - 1});
}

static void take_etag(char *out, span x) {
    char text[WILOR_HUB_ETAG + 8];
    if (x.n >= sizeof text || memchr(x.s, 0, x.n))
        return;
    memcpy(text, x.s, x.n);
    text[x.n] = 0;
    if (!wilor_hub_etag_clean(out, text))
        out[0] = 0;
}

static void take_text(char *out, size_t room, span x) {
    size_t at = 0;
    for (size_t i = 0; i < x.n && at + 1 < room; i++)
        out[at++] = x.s[i] >= 0x20 && x.s[i] < 0x7F ? x.s[i] : '?';
    out[at] = 0;
}

static void take_location(wilor_hub_reply *r, span x) {
    wilor_hub_text t = {0};
    if (x.n == 0 || x.n > LOCATION_MOST || memchr(x.s, 0, x.n))
        return;
    wilor_hub_text_add(&t, x.s, x.n);
    wilor_heap_free(r->location);
    r->location = wilor_hub_text_take(&t);
    r->no_memory = r->no_memory || !r->location;
}

static void take_commit(wilor_hub_reply *r, span x) {
    take_text(r->commit, sizeof r->commit, x);
    if (x.n != 40 || !wilor_hub_is_commit(r->commit))
        r->commit[0] = 0;
}

static bool named(span x, const char *name) {
    return x.n == strlen(name) && !strncasecmp(x.s, name, x.n);
}

static bool begins(span x, const char *with) {
    return x.n >= strlen(with) && !strncasecmp(x.s, with, strlen(with));
}

static void take_header(wilor_hub_reply *r, span name, span value) {
    if (named(name, "location")) {
        take_location(r, value);
    } else if (named(name, "x-repo-commit")) {
        take_commit(r, value);
    } else if (named(name, "etag")) {
        take_etag(r->etag, value);
    } else if (named(name, "x-linked-etag")) {
        take_etag(r->linked_etag, value);
    } else if (named(name, "x-linked-size")) {
        r->linked_size = number(value);
    } else if (named(name, "content-length")) {
        r->length = number(value);
    } else if (named(name, "content-range")) {
        take_range(r, value);
    } else if (named(name, "content-encoding")) {
        r->encoded = value.n > 0 && !named(value, "identity");
    } else if (named(name, "content-type")) {
        r->is_html = begins(value, "text/html") || begins(value, "application/xhtml");
    } else if (named(name, "retry-after")) {
        uint64_t n = number(value);
        r->retry_after = n <= 86400 ? (long)n : -1;
    } else if (named(name, "x-error-code")) {
        take_text(r->error_code, sizeof r->error_code, value);
    } else if (named(name, "x-error-message")) {
        take_text(r->error_message, sizeof r->error_message, value);
    }
}

/* "HTTP/1.1 206 Partial Content", "HTTP/2 200". */
static bool take_status(wilor_hub_reply *r, span x) {
    uint64_t status;
    if (x.n < 9 || strncasecmp(x.s, "HTTP/", 5) != 0)
        return false;
    const char *space = memchr(x.s, ' ', x.n);
    if (!space)
        return false;
    span rest = trim((span){space, x.n - (size_t)(space - x.s)});
    if (take_number(rest, &status) != 3)
        return false;
    wilor_hub_reply_free(r);
    r->status = (long)status;
    return true;
}

void wilor_hub_reply_line(wilor_hub_reply *r, const char *line, size_t length) {
    span x = trim((span){line, length});
    if (take_status(r, x))
        return;
    const char *colon = memchr(x.s, ':', x.n);
    if (colon) {
        size_t n = (size_t)(colon - x.s);
        take_header(r, (span){x.s, n}, trim((span){colon + 1, x.n - n - 1}));
    }
}
