/* Who may ask: the rules for Host, Origin, tokens and lengths, on texts of headers, without a socket.
 *
 * The server is mostly on the loopback address, which every page in a browser on the machine can reach.
 * Two checks keep foreign pages out: a page of another origin says so in `Origin`, which browsers send
 * with every WebSocket and every cross-origin request; and a page that gave its own name our address
 * (DNS rebinding) has that name in `Host`. CORS alone would guard neither WebSockets nor what a request
 * does. */
#ifndef WILOR_SERVER_GUARD_H
#define WILOR_SERVER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WILOR_SERVER_TOKEN_LEAST = 16, /* characters of a token */
    WILOR_SERVER_TOKEN_MOST = 90   /* libwebsockets takes 127 for the list of subprotocols */
};

typedef struct wilor_server_guard {
    const char *host;  /* --host as given: a name or an address */
    const char *cors;  /* the one foreign origin that may ask, or NULL */
    const char *token; /* NULL: none is asked for */
    bool tls;
} wilor_server_guard;

/* What the handshake of a WebSocket offers in Sec-WebSocket-Protocol. */
typedef struct wilor_server_offer {
    const char
        *format;       /* "wilor.v1.json" or "wilor.v1.bin", the first of them; NULL: neither */
    bool any;          /* something is offered */
    const char *token; /* behind "bearer.", not terminated; NULL: none */
    size_t token_length;
    bool too_long; /* a name before the format that libwebsockets would not read */
} wilor_server_offer;

/* The loopback interface: localhost, 127.x.y.z, ::1 (also in brackets). */
bool wilor_server_is_loopback(const char *host, size_t length);
/* Every address of the machine: 0.0.0.0, ::. */
bool wilor_server_is_any_address(const char *host);

/* `Host`: the loopback interface, or --host; with --host 0.0.0.0 or :: every number (a name could be
 * anybody's). The port does not matter. */
bool wilor_server_host_allowed(const wilor_server_guard *g, const char *host);
/* `Origin`: the one that this server is for (http://HOST or https://HOST, with HOST as in `Host`), or
 * --cors. NULL or "", as from programs that are no browsers, is fine; "null" is not. */
bool wilor_server_origin_allowed(const wilor_server_guard *g, const char *origin,
                                 const char *host);
/* --cors itself: scheme, host and perhaps a port, nothing else. */
bool wilor_server_is_origin(const char *text);

/* Whether it can be a token: its length, and only characters that may stand in a subprotocol's name. */
bool wilor_server_token_sound(const char *token, size_t length);
/* The time does not depend on where they differ. */
bool wilor_server_token_equal(const char *token, const char *given, size_t length);
/* `Authorization: Bearer TOKEN`, or NULL. Right too when no token is asked for. */
bool wilor_server_authorized(const wilor_server_guard *g, const char *authorization,
                             const wilor_server_offer *offer);

/* Sec-WebSocket-Protocol, or NULL. The text must outlive *out. */
void wilor_server_offer_read(wilor_server_offer *out, const char *list);

/* `Content-Length`: digits only. False: not a length. */
bool wilor_server_length_read(const char *text, uint64_t *out);

#endif
