/* The headers that decide who may ask, a line each: Host, Origin, Authorization, Sec-WebSocket-Protocol,
 * Content-Length. A stranger's name must never be let in, whatever it looks like. */
#include "fuzz_input.h"

#include "server_guard.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINES = 5 };

static void check(const wilor_server_guard *g, char *const *line) {
    wilor_server_offer offer;
    uint64_t length;
    bool host = wilor_server_host_allowed(g, line[0]);
    bool origin = wilor_server_origin_allowed(g, line[1], line[0]);
    wilor_server_offer_read(&offer, line[3]);
    bool token = wilor_server_authorized(g, line[2], &offer);
    (void)wilor_server_is_origin(line[1]);
    /* A name other than localhost has a letter that no number has, or is refused. */
    if (host && strncasecmp(line[0], "localhost", 9) != 0 &&
        strspn(line[0], "0123456789abcdefABCDEF.:[]") != strlen(line[0]))
        abort();
    if (origin && *line[1] && !strstr(line[1], "://"))
        abort();
    if (token && g->token && !strstr(line[2], g->token) && !strstr(line[3], g->token))
        abort();
    if (offer.token &&
        (offer.token < line[3] || offer.token + offer.token_length > line[3] + strlen(line[3])))
        abort();
    if (wilor_server_length_read(line[4], &length) && length > 999999999999999999u)
        abort();
    (void)wilor_server_token_sound(line[2], strlen(line[2]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char empty[] = "";
    char *text = malloc(size + 1), *line[LINES] = {empty, empty, empty, empty, empty},
         *at = text;
    const wilor_server_guard guards[] = {
        {.host = "127.0.0.1"},
        {.host = "::1", .token = "0123456789abcdef", .tls = true},
        {.host = "0.0.0.0", .token = "0123456789abcdef", .cors = "https://app.example"}};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    for (int i = 0; i < LINES && at; i++) {
        line[i] = at;
        at = strchr(at, '\n');
        if (at)
            *at++ = 0;
    }
    for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++)
        check(&guards[i], line);
    free(text);
    return 0;
}
