/* Rules on the texts of headers. See server_guard.h. */
#include "server_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static bool is(const char *text, size_t length, const char *name) {
    return strlen(name) == length && strncasecmp(text, name, length) == 0;
}

/* A number of IPv4 or IPv6 as it stands between `[`, `]` or alone; family: AF_INET or AF_INET6. */
static bool address(const char *host, size_t length, int family, unsigned char out[16]) {
    char text[INET6_ADDRSTRLEN];
    if (length == 0 || length >= sizeof text)
        return false;
    memcpy(text, host, length);
    text[length] = 0;
    return inet_pton(family, text, out) == 1;
}

static void strip_brackets(const char **host, size_t *length) {
    if (*length >= 2 && (*host)[0] == '[' && (*host)[*length - 1] == ']') {
        ++*host;
        *length -= 2;
    }
}

bool wilor_server_is_loopback(const char *host, size_t length) {
    static const unsigned char six[16] = {[15] = 1};
    unsigned char a[16];
    strip_brackets(&host, &length);
    if (is(host, length, "localhost"))
        return true;
    if (address(host, length, AF_INET, a))
        return a[0] == 127;
    return address(host, length, AF_INET6, a) && memcmp(a, six, sizeof six) == 0;
}

bool wilor_server_is_any_address(const char *host) {
    return !strcmp(host, "0.0.0.0") || !strcmp(host, "::") || !strcmp(host, "[::]");
}

/* The length of HOST in "HOST", "HOST:PORT" or "[HOST]:PORT"; 0: it is none of these. */
static size_t host_length(const char *text) {
    const char *end = *text == '[' ? strchr(text, ']') : text + strcspn(text, ":");
    if (!end)
        return 0;
    end += *text == '[';
    if (*end == ':') {
        size_t digits = strspn(end + 1, "0123456789");
        if (digits == 0 || digits > 5 || end[1 + digits])
            return 0;
    } else if (*end) {
        return 0;
    }
    size_t length = (size_t)(end - text);
    return strcspn(text, "/@\\ \t?#,;") < length ? 0 : length;
}

bool wilor_server_host_allowed(const wilor_server_guard *g, const char *host) {
    unsigned char a[16];
    size_t length = host ? host_length(host) : 0;
    if (length == 0)
        return false;
    if (wilor_server_is_loopback(host, length))
        return true;
    const char *own = g->host;
    size_t own_length = strlen(own);
    strip_brackets(&host, &length);
    strip_brackets(&own, &own_length);
    if (own_length == length && strncasecmp(own, host, length) == 0)
        return true;
    return wilor_server_is_any_address(g->host) &&
           (address(host, length, AF_INET, a) || address(host, length, AF_INET6, a));
}

/* A port that the scheme implies may be left out on either side. */
static bool same_place(const char *a, const char *b, const char *port) {
    size_t n = strlen(a), m = strlen(b), p = strlen(port);
    size_t least = n < m ? n : m;
    if (strncasecmp(a, b, least) != 0)
        return false;
    const char *rest = n < m ? b + least : a + least;
    return !*rest || (strlen(rest) == p && !strcmp(rest, port));
}

bool wilor_server_origin_allowed(const wilor_server_guard *g, const char *origin,
                                 const char *host) {
    const char *scheme = g->tls ? "https://" : "http://";
    if (!origin || !*origin)
        return true;
    if (g->cors && !strcasecmp(origin, g->cors))
        return true;
    if (!host || host_length(host) == 0 || strncasecmp(origin, scheme, strlen(scheme)) != 0)
        return false;
    origin += strlen(scheme);
    return host_length(origin) > 0 && same_place(origin, host, g->tls ? ":443" : ":80");
}

bool wilor_server_is_origin(const char *text) {
    const char *rest = !strncasecmp(text, "http://", 7)    ? text + 7
                       : !strncasecmp(text, "https://", 8) ? text + 8
                                                           : "";
    for (const char *s = rest; *s; s++)
        if (*s <= 0x20 || *s >= 0x7F)
            return false;
    return strlen(text) < 256 && host_length(rest) > 0;
}

/* RFC 9110's token characters: what the name of a subprotocol may be made of. */
static bool is_token_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool wilor_server_token_sound(const char *token, size_t length) {
    if (length < WILOR_SERVER_TOKEN_LEAST || length > WILOR_SERVER_TOKEN_MOST)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_token_character(token[i]))
            return false;
    return true;
}

bool wilor_server_token_equal(const char *token, const char *given, size_t length) {
    size_t own = strlen(token);
    /* Always as many steps as the true token has characters; the length itself is no secret. */
    volatile unsigned char differ = own != length;
    for (size_t i = 0; i < own; i++)
        differ |= (unsigned char)(token[i] ^ (i < length ? given[i] : 0));
    return !differ;
}

bool wilor_server_authorized(const wilor_server_guard *g, const char *authorization,
                             const wilor_server_offer *offer) {
    static const char scheme[] = "Bearer ";
    if (!g->token)
        return true;
    if (authorization && !strncasecmp(authorization, scheme, sizeof scheme - 1)) {
        const char *given = authorization + sizeof scheme - 1;
        given += strspn(given, " ");
        return wilor_server_token_equal(g->token, given, strlen(given));
    }
    return offer && offer->token &&
           wilor_server_token_equal(g->token, offer->token, offer->token_length);
}

void wilor_server_offer_read(wilor_server_offer *out, const char *list) {
    static const char *const formats[] = {"wilor.v1.json", "wilor.v1.bin"};
    static const char bearer[] = "bearer.";

    enum { NAME_MOST = 63 /* lws_process_ws_upgrade's */ };

    *out = (wilor_server_offer){0};
    for (const char *s = list ? list : ""; *s;) {
        s += strspn(s, ", \t");
        size_t n = strcspn(s, ", \t");
        out->any = out->any || n > 0;
        for (size_t i = 0; i < 2 && n > 0 && !out->format; i++)
            if (strlen(formats[i]) == n && !memcmp(s, formats[i], n))
                out->format = formats[i];
        out->too_long = out->too_long || (!out->format && n > NAME_MOST);
        if (!out->token && n >= sizeof bearer - 1 && !memcmp(s, bearer, sizeof bearer - 1)) {
            out->token = s + sizeof bearer - 1;
            out->token_length = n - (sizeof bearer - 1);
        }
        s += n;
    }
}

bool wilor_server_length_read(const char *text, uint64_t *out) {
    size_t digits = strspn(text, "0123456789");
    *out = 0;
    if (digits == 0 || digits > 18 || text[digits])
        return false;
    for (size_t i = 0; i < digits; i++)
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    return true;
}
