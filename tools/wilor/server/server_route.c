/* Requests: who may ask (server_guard.h), what for, and the answer or the way to it.
 *
 * libwebsockets 4.1.6 does not decode chunked bodies, so that a body needs a Content-Length. */
#include "server_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

typedef int handler(wilor_server *s, wilor_server_client *c);

typedef struct wilor_server_route {
    const char *path;
    bool post; /* else GET and HEAD */
    bool open; /* needs no token */
    handler *handle;
} route;

/* ---------------------------------------------------------------- headers */

/* A header's text. False: it is longer than the buffer. "" when it is not there. */
static bool header(struct lws *wsi, enum lws_token_indexes token, char *text, int room) {
    *text = 0;
    return lws_hdr_total_length(wsi, token) == 0 || lws_hdr_copy(wsi, text, room, token) >= 0;
}

/* One that libwebsockets has no number for; name in small letters with its colon. */
static bool custom(struct lws *wsi, const char *name, char *text, int room) {
    *text = 0;
    int n = (int)strlen(name);
    return lws_hdr_custom_length(wsi, name, n) <= 0 ||
           lws_hdr_custom_copy(wsi, text, room, name, n) >= 0;
}

/* What stands before a `;`, blanks cut off. */
static void cut_parameters(char *text) {
    size_t n = strcspn(text, ";");
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    text[n] = 0;
}

/* Pictures and scripts that a foreign page embeds are asked for without an Origin, but browsers say where the
 * request comes from. Following a link to the page is fine. */
static bool is_embedded(struct lws *wsi, const char *path) {
    char site[32];
    if (!custom(wsi, "sec-fetch-site:", site, sizeof site))
        return true;
    return *site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 &&
           strcmp(path, "/") != 0;
}

/* Host and Origin. 0: fine; else the status, with what to say. */
static int check_place(const wilor_server *s, struct lws *wsi, wilor_server_client *c,
                       const char *path, const char **why) {
    char host[300], origin[256];
    if (!header(wsi, WSI_TOKEN_HOST, host, sizeof host) || !*host) {
        *why = "a request needs a header Host";
        return 400;
    }
    if (!wilor_server_host_allowed(&s->o.guard, host)) {
        *why = "Host is neither the loopback interface nor what --host says";
        return 403;
    }
    if (!header(wsi, WSI_TOKEN_ORIGIN, origin, sizeof origin) ||
        !wilor_server_origin_allowed(&s->o.guard, origin, host) ||
        (!*origin && is_embedded(wsi, path))) {
        *why = "a page of this origin may not ask here; --cors can allow one";
        return 403;
    }
    if (s->o.guard.cors && !strcasecmp(origin, s->o.guard.cors))
        snprintf(c->origin, sizeof c->origin, "%s", origin);
    return 0;
}

static bool has_token(const wilor_server *s, struct lws *wsi, const wilor_server_offer *offer) {
    char authorization[256];
    return header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization) &&
           wilor_server_authorized(&s->o.guard, *authorization ? authorization : NULL, offer);
}

static const char g_challenge[] = "WWW-Authenticate: Bearer realm=\"wilor\"\r\n";

static int unauthorized(wilor_server *s, wilor_server_client *c) {
    return wilor_server_problem(
        s, c, 401, 0, g_challenge,
        "this server wants the token of its --token-file: a header "
        "Authorization: Bearer TOKEN, or for a WebSocket the subprotocol "
        "bearer.TOKEN");
}

/* ---------------------------------------------------------------- small answers */

static int send_json(wilor_server *s, wilor_server_client *c, int status, const char *text) {
    return wilor_server_send(
        s, c,
        &(wilor_server_reply){
            .status = status, .type = "application/json", .body = text, .size = strlen(text)});
}

static int send_buffer(wilor_server *s, wilor_server_client *c, wilor_cli_buffer *b,
                       const char *type, const char *header_lines) {
    int rc = b->failed ? wilor_server_problem(s, c, 503, 1, NULL, "out of memory")
                       : wilor_server_send(s, c,
                                           &(wilor_server_reply){.status = 200,
                                                                 .type = type,
                                                                 .header = header_lines,
                                                                 .body = b->text,
                                                                 .size = b->used});
    wilor_cli_buffer_free(b);
    return rc;
}

static int not_ready(wilor_server *s, wilor_server_client *c) {
    return wilor_server_problem(s, c, 503, s->leaving ? 0 : 2, NULL,
                                s->leaving ? "the server is stopping"
                                           : "the model is still being loaded");
}

/* Only the service thread asks; ready goes from false to true once. */
static bool is_ready(wilor_server *s) {
    pthread_mutex_lock(&s->lock);
    bool ready = s->ready;
    pthread_mutex_unlock(&s->lock);
    return ready && !s->leaving;
}

static int get_health(wilor_server *s, wilor_server_client *c) {
    return send_json(s, c, 200, "{\"status\":\"ok\"}\n");
}

static int get_ready(wilor_server *s, wilor_server_client *c) {
    return is_ready(s) ? send_json(s, c, 200, "{\"status\":\"ready\"}\n") : not_ready(s, c);
}

static int get_info(wilor_server *s, wilor_server_client *c) {
    return is_ready(s) ? send_json(s, c, 200, s->info) : not_ready(s, c);
}

static int get_metrics(wilor_server *s, wilor_server_client *c) {
    wilor_cli_buffer b = {0};
    wilor_server_metrics_text(s, &b);
    return send_buffer(s, c, &b, "text/plain; version=0.0.4; charset=utf-8", NULL);
}

/* The value of an argument of the query; "" when it is not there. */
static void argument(struct lws *wsi, const char *name, char *value, size_t room) {
    char pair[WILOR_SERVER_HEADERS_MOST + 1];
    size_t n = strlen(name);
    *value = 0;
    for (int i = 0;
         lws_hdr_copy_fragment(wsi, pair, sizeof pair, WSI_TOKEN_HTTP_URI_ARGS, i) >= 0; i++)
        if (!strncmp(pair, name, n) && pair[n] == '=')
            snprintf(value, room, "%.*s", (int)room - 1, pair + n + 1);
}

static int get_faces(wilor_server *s, wilor_server_client *c) {
    char side[16];
    wilor_cli_buffer b = {0};
    argument(c->wsi, "side", side, sizeof side);
    bool left = !strcmp(side, "left");
    if (*side && !left && strcmp(side, "right") != 0)
        return wilor_server_problem(s, c, 400, 0, NULL, "side should be left or right");
    if (!is_ready(s))
        return not_ready(s, c);
    wilor_cli_buffer_text(&b, "{");
    wilor_server_faces_text(&b, s->m.model, left ? WILOR_LEFT : WILOR_RIGHT);
    wilor_cli_buffer_text(&b, "}\n");
    return send_buffer(s, c, &b, "application/json",
                       "Cache-Control: private, max-age=86400\r\n");
}

/* ---------------------------------------------------------------- the page */

enum { NONCE = 32 };

static bool make_nonce(char nonce[NONCE + 1]) {
    unsigned char bytes[NONCE / 2];
    if (getentropy(bytes, sizeof bytes) != 0)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* The page's own script and style are the only ones that a browser runs. */
static int get_page(wilor_server *s, wilor_server_client *c) {
    static const char mark[] = "{{nonce}}";
    char nonce[NONCE + 1], host[300], lines[1200];
    wilor_cli_buffer b = {0};
    const char *at = (const char *)wilor_server_page, *end = at + wilor_server_page_size;
    if (!make_nonce(nonce) || !header(c->wsi, WSI_TOKEN_HOST, host, sizeof host))
        return wilor_server_problem(s, c, 500, 0, NULL, "no random numbers");
    for (const char *next; at < end; at = next) {
        next = memmem(at, (size_t)(end - at), mark, sizeof mark - 1);
        wilor_cli_buffer_bytes(&b, at, (size_t)((next ? next : end) - at));
        if (next)
            wilor_cli_buffer_text(&b, nonce);
        next = next ? next + sizeof mark - 1 : end;
    }
    snprintf(lines, sizeof lines,
             "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; "
             "style-src 'nonce-%s'; connect-src 'self' %s://%s; img-src 'self' blob: data:; "
             "media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'\r\n"
             "Permissions-Policy: camera=(self), microphone=(), geolocation=()\r\n"
             "Cross-Origin-Opener-Policy: same-origin\r\n",
             nonce, nonce, s->o.guard.tls ? "wss" : "ws", host);
    return send_buffer(s, c, &b, "text/html; charset=utf-8", lines);
}

/* ---------------------------------------------------------------- streams */

static int too_many(wilor_server *s, wilor_server_client *c) {
    return wilor_server_problem(s, c, 503, 5, NULL, "%d clients already read the stream",
                                WILOR_SERVER_STREAMS_MOST);
}

static int begin_stream(wilor_server *s, wilor_server_client *c, wilor_server_kind kind,
                        const char *type) {
    if (c->head)
        return wilor_server_send(s, c, &(wilor_server_reply){.status = 200, .type = type});
    if (!wilor_server_client_stream(s, c, kind))
        return too_many(s, c);
    if (wilor_server_send_head(s, c, type) != 0)
        return -1;
    lws_http_headers_detach(c->wsi);
    wilor_server_client_write(c);
    return 0;
}

static int get_events(wilor_server *s, wilor_server_client *c) {
    return begin_stream(s, c, WILOR_SERVER_SSE, "text/event-stream");
}

static int get_frames(wilor_server *s, wilor_server_client *c) {
    if (!s->o.share_frames)
        return wilor_server_problem(s, c, 404, 0, NULL,
                                    "the camera's picture is shared only with --share-frames");
    return begin_stream(s, c, WILOR_SERVER_MJPEG,
                        "multipart/x-mixed-replace; boundary=wilorframe");
}

static int get_ws(wilor_server *s, wilor_server_client *c) {
    return wilor_server_problem(s, c, 426, 0, "Upgrade: websocket\r\n",
                                "this is for WebSockets: wilor.v1.json or wilor.v1.bin");
}

/* ---------------------------------------------------------------- POST /predict */

/* The kind of body. 0: fine. */
static int read_type(wilor_server_client *c, char *type) {
    static const char *const images[] = {"image/jpeg", "image/png", "image/webp", "image/*"};
    cut_parameters(type);
    c->json = !strcasecmp(type, "application/json");
    c->raw = !strcasecmp(type, "application/octet-stream");
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++)
        if (!strcasecmp(type, images[i]))
            return 0;
    return c->json || c->raw ? 0 : 415;
}

static wilor_status read_query(wilor_server_client *c, wilor_error *err) {
    char pair[WILOR_SERVER_HEADERS_MOST + 1]; /* no argument is longer */
    wilor_status st = WILOR_OK;
    for (int i = 0; st == WILOR_OK; i++) {
        int n = lws_hdr_copy_fragment(c->wsi, pair, sizeof pair, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0)
            break;
        if (n > 0)
            st = wilor_server_words_add(&c->words, pair, err);
    }
    return st;
}

/* A body's length from its headers. 0: fine. */
static int read_length(const wilor_server *s, struct lws *wsi, uint64_t *length) {
    char text[32];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
        lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) == 0)
        return 411;
    if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text) ||
        !wilor_server_length_read(text, length) || *length == 0)
        return 400;
    return *length > s->o.max_body ? 413 : 0;
}

static int refuse_length(wilor_server *s, wilor_server_client *c, int status) {
    if (status == 413)
        return wilor_server_problem(
            s, c, 413, 0, NULL, "the body is larger than the limit of %llu bytes (--max-body)",
            (unsigned long long)s->o.max_body);
    /* Where such a body ends is not known, so that nothing can follow it. */
    return wilor_server_problem(s, c, status, 0, "Connection: close\r\n",
                                status == 411
                                    ? "a body needs a Content-Length; chunks are not taken"
                                    : "Content-Length should be a number above 0, given once");
}

/* The client waits for this before it sends a large body. */
static int send_continue(struct lws *wsi) {
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char text[LWS_PRE + sizeof line];
    char expect[32];
    if (!header(wsi, WSI_TOKEN_HTTP_EXPECT, expect, sizeof expect) ||
        strcasecmp(expect, "100-continue") != 0)
        return 0;
    memcpy(text + LWS_PRE, line, sizeof line);
    return lws_write(wsi, text + LWS_PRE, sizeof line - 1, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static int post_predict(wilor_server *s, wilor_server_client *c) {
    enum { BASE_SECONDS = 20, BYTES_A_SECOND = 65536 };

    char type[128], accept[256];
    uint64_t length = 0;
    wilor_error err;
    struct lws *wsi = c->wsi;
    int status = read_length(s, wsi, &length);
    if (status)
        return refuse_length(s, c, status);
    if (!is_ready(s))
        return not_ready(s, c);
    if (!header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof type) || read_type(c, type))
        return wilor_server_problem(s, c, 415, 0, NULL,
                                    "Content-Type should be image/jpeg, image/png, image/webp, "
                                    "application/octet-stream or application/json");
    if (!custom(wsi, "x-width:", c->width, sizeof c->width) ||
        !custom(wsi, "x-height:", c->height, sizeof c->height) ||
        !custom(wsi, "x-format:", c->format, sizeof c->format))
        return wilor_server_problem(s, c, 400, 0, NULL,
                                    "X-Width, X-Height or X-Format is too long");
    if (read_query(c, &err) != WILOR_OK)
        return wilor_server_problem(s, c, 400, 0, NULL, "%s", err.text);
    header(wsi, WSI_TOKEN_HTTP_ACCEPT, accept, sizeof accept);
    c->binary = strstr(accept, "application/x-wilor-event") != NULL;
    c->deadline = wilor_cli_nanoseconds() +
                  (BASE_SECONDS + (int64_t)(length / BYTES_A_SECOND)) * WILOR_SERVER_SECOND;
    return send_continue(wsi);
}

static int busy(wilor_server *s, wilor_server_client *c) {
    return wilor_server_problem(s, c, 503, 1, NULL,
                                "all requests together hold more memory than they may");
}

int wilor_server_request_body(wilor_server *s, wilor_server_client *c, const void *data,
                              size_t size) {
    if (!c->route || size == 0)
        return 0; /* answered already */
    if (c->size + size > s->o.max_body)
        return refuse_length(s, c, 413);
    return wilor_server_body_add(s, c, data, size) ? 0 : busy(s, c);
}

int wilor_server_request_whole(wilor_server *s, wilor_server_client *c) {
    if (!c->route)
        return 0;
    wilor_server_job *job = calloc(1, sizeof *job);
    if (!job)
        return wilor_server_problem(s, c, 503, 1, NULL, "out of memory");
    job->client = c->id;
    job->ask.words = c->words;
    c->words.count = 0;
    job->body = c->body;
    job->size = c->size;
    job->counted = c->room;
    c->body = NULL;
    c->size = c->room = 0;
    job->json = c->json;
    job->raw = c->raw;
    job->binary = c->binary;
    memcpy(job->width, c->width, sizeof job->width);
    memcpy(job->height, c->height, sizeof job->height);
    memcpy(job->format, c->format, sizeof job->format);
    if (!wilor_server_job_put(s, job)) {
        wilor_server_job_free(s, job);
        return s->leaving ? not_ready(s, c)
                          : wilor_server_problem(s, c, 429, 1, NULL, "%d requests wait already",
                                                 WILOR_SERVER_JOBS_MOST);
    }
    c->busy = true;
    c->deadline = 0;
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
    return 0;
}

int wilor_server_request_answer(wilor_server *s, wilor_server_client *c) {
    wilor_server_job *job = c->answer;
    if (job->status != 200)
        return wilor_server_problem(s, c, job->status, job->retry, NULL, "%s", job->detail);
    return wilor_server_send(s, c,
                             &(wilor_server_reply){.status = 200,
                                                   .type = job->binary
                                                               ? "application/x-wilor-event"
                                                               : "application/json",
                                                   .body = job->out.text,
                                                   .size = job->out.used});
}

/* ---------------------------------------------------------------- routes */

static const route g_routes[] = {
    {"/", false, true, get_page},
    {"/health", false, true, get_health},
    {"/ready", false, true, get_ready},
    {"/info", false, false, get_info},
    {"/faces", false, false, get_faces},
    {"/metrics", false, false, get_metrics},
    {"/events", false, false, get_events},
    {"/ws", false, false, get_ws},
    {"/predict", true, false, post_predict},
    {"/frames.mjpeg", false, false, get_frames},
};

static const route *find_route(const char *path) {
    for (size_t i = 0; i < sizeof g_routes / sizeof g_routes[0]; i++)
        if (!strcmp(g_routes[i].path, path))
            return &g_routes[i];
    return NULL;
}

/* What a browser asks before it lets a page of another origin send something. */
static int preflight(wilor_server *s, wilor_server_client *c) {
    static const char lines[] = "Access-Control-Allow-Methods: GET, POST\r\n"
                                "Access-Control-Allow-Headers: authorization, content-type, "
                                "x-width, x-height, x-format\r\n"
                                "Access-Control-Max-Age: 600\r\n";
    return wilor_server_send(
        s, c, &(wilor_server_reply){.status = 204, .header = *c->origin ? lines : NULL});
}

/* A body where none belongs would be taken for the next request. */
static bool has_body(struct lws *wsi) {
    char text[32];
    return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0 ||
           (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 &&
            (!header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text) ||
             strcmp(text, "0") != 0));
}

static int check_method(wilor_server *s, wilor_server_client *c, const route *r) {
    struct lws *wsi = c->wsi;
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    c->head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (r->post ? post : get || c->head) {
        if (post || !has_body(wsi))
            return 0;
        wilor_server_problem(s, c, 400, 0, NULL, "a request of this kind has no body");
        return -1;
    }
    return wilor_server_problem(s, c, 405, 0,
                                r->post ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n",
                                "%s takes %s only", r->path, r->post ? "POST" : "GET and HEAD")
               ? -1
               : 1;
}

int wilor_server_request(wilor_server *s, struct lws *wsi, const char *path) {
    enum { ANSWER_SECONDS = 30 };

    wilor_server_client *c = wilor_server_client_of(wsi);
    const char *why = "";
    wilor_server_client_request_end(s, c);
    c->deadline = wilor_cli_nanoseconds() + ANSWER_SECONDS * WILOR_SERVER_SECOND;
    int status = check_place(s, wsi, c, path, &why);
    if (status)
        return wilor_server_problem(s, c, status, 0, NULL, "%s", why);
    const route *r = find_route(path);
    if (!r)
        return wilor_server_problem(s, c, 404, 0, NULL, "there is nothing under this path");
    if (lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0)
        return preflight(s, c);
    int done = check_method(s, c, r);
    if (done)
        return done < 0 ? -1 : 0;
    if (!r->open && !has_token(s, wsi, NULL))
        return unauthorized(s, c);
    c->route = r;
    return r->handle(s, c);
}

/* An answer other than a WebSocket; the connection ends with it. */
#define REFUSE(...) (wilor_server_problem(s, c, __VA_ARGS__), -1)

int wilor_server_upgrade(wilor_server *s, struct lws *wsi, const char *protocol) {
    wilor_server_client *c = wilor_server_client_of(wsi);
    wilor_server_offer offer;
    char list[128], *path = NULL;
    const char *why = "";
    int length = 0;
    if (strcasecmp(protocol, "websocket") != 0)
        return REFUSE(400, 0, NULL, "of upgrades there is websocket only");
    int status = check_place(s, wsi, c, "/ws", &why);
    if (status)
        return REFUSE(status, 0, NULL, "%s", why);
    if (lws_http_get_uri_and_method(wsi, &path, &length) != LWSHUMETH_GET || !path ||
        strcmp(path, "/ws") != 0)
        return REFUSE(404, 0, NULL, "WebSockets are at /ws");
    if (!header(wsi, WSI_TOKEN_PROTOCOL, list, sizeof list))
        return REFUSE(400, 0, NULL, "Sec-WebSocket-Protocol is longer than 127 characters");
    wilor_server_offer_read(&offer, list);
    if (!has_token(s, wsi, &offer))
        return unauthorized(s, c), -1;
    if (offer.any && (!offer.format || offer.too_long))
        return REFUSE(400, 0, NULL,
                      "Sec-WebSocket-Protocol should begin with wilor.v1.json or wilor.v1.bin");
    if (s->stream_count >= WILOR_SERVER_STREAMS_MOST || s->leaving)
        return too_many(s, c), -1;
    return 0;
}
