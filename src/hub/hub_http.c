/* libcurl, one request at a time. Redirects are ours to follow: curl would not know which hosts are
 * the hub's. A URL that leads elsewhere holds a signature, so no message ever has more of a URL than
 * its host. No signals are used; a program that writes to sockets itself should ignore SIGPIPE. */
#include "hub_http.h"

#include "heap.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REDIRECTS_MOST = 20 };

struct wilor_hub_http {
    CURL *curl;
    const wilor_hub_settings *settings;
    const wilor_callbacks *callbacks;
    char agent[96];
    char problem[CURL_ERROR_SIZE];
    bool global, cancelled;
    /* of the request under way */
    wilor_hub_reply *reply;
    const wilor_hub_sink *sink; /* NULL: bodies are dropped */
    bool begun, wanted;
};

wilor_status wilor_hub_http_open(wilor_hub_http **out, const wilor_hub_settings *s,
                                 const wilor_callbacks *callbacks, wilor_error *err) {
    wilor_hub_http *h = wilor_heap_alloc(1, sizeof *h);
    *out = h;
    if (!h)
        return wilor_hub_no_memory(err);
    h->settings = s;
    h->callbacks = callbacks;
    h->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    h->curl = h->global ? curl_easy_init() : NULL;
    if (!h->curl) {
        wilor_hub_http_close(out);
        return wilor_hub_no_memory(err);
    }
    int n = snprintf(h->agent, sizeof h->agent, "wilor/%d.%d.%d", WILOR_VERSION_MAJOR,
                     WILOR_VERSION_MINOR, WILOR_VERSION_PATCH);
    if (!s->terse_agent && n > 0)
        snprintf(h->agent + n, sizeof h->agent - (size_t)n, "; libcurl/%.40s",
                 curl_version_info(CURLVERSION_NOW)->version);
    return WILOR_OK;
}

void wilor_hub_http_close(wilor_hub_http **http) {
    wilor_hub_http *h = *http;
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    if (h->global)
        curl_global_cleanup();
    wilor_heap_free(h);
    *http = NULL;
}

static bool cancelled(wilor_hub_http *h) {
    const wilor_callbacks *c = h->callbacks;
    h->cancelled = h->cancelled || (c->cancel && c->cancel(c->user) != 0);
    return h->cancelled;
}

static wilor_status was_cancelled(wilor_error *err) {
    return wilor_error_set(err, WILOR_ERR_CANCELLED, "cancelled");
}

wilor_status wilor_hub_http_wait(wilor_hub_http *h, double seconds, wilor_error *err) {
    for (double left = seconds; left > 0; left -= 0.1) {
        struct timespec t = {0, 100000000};
        if (cancelled(h))
            return was_cancelled(err);
        nanosleep(&t, NULL);
    }
    return cancelled(h) ? was_cancelled(err) : WILOR_OK;
}

/* ---------------------------------------------------------------- origins */

typedef struct origin {
    char *scheme, *host, *port; /* curl's memory */
} origin;

static void origin_free(origin *o) {
    curl_free(o->scheme);
    curl_free(o->host);
    curl_free(o->port);
    *o = (origin){NULL, NULL, NULL};
}

static bool origin_of(origin *o, const char *url) {
    *o = (origin){NULL, NULL, NULL};
    CURLU *u = curl_url();
    bool good = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &o->scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &o->host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PORT, &o->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(u);
    return good;
}

static bool same_origin(const char *a, const char *b) {
    origin x, y;
    bool good_x = origin_of(&x, a), good_y = origin_of(&y, b);
    bool same = good_x && good_y && curl_strequal(x.scheme, y.scheme) &&
                curl_strequal(x.host, y.host) && !strcmp(x.port, y.port);
    origin_free(&x);
    origin_free(&y);
    return same;
}

/* The endpoint, or the hub's two names. */
static bool is_hub(const wilor_hub_http *h, const char *url) {
    return same_origin(url, h->settings->endpoint) ||
           same_origin(url, "https://huggingface.co") || same_origin(url, "https://hf.co");
}

/* For messages: the host, or "another host". */
static void host_name(char *out, size_t room, const char *url) {
    origin o;
    bool good = origin_of(&o, url);
    snprintf(out, room, "%s", good ? o.host : "another host");
    origin_free(&o);
}

/* Where a redirect leads, absolute. NULL: nowhere that we go (other protocols, from https down to
 * http), said in r->problem; or no memory. */
static char *target_of(const char *from, wilor_hub_reply *r) {
    char *target = NULL, *copy = NULL;
    CURLU *u = curl_url();
    bool good = u && curl_url_set(u, CURLUPART_URL, from, 0) == CURLUE_OK &&
                curl_url_set(u, CURLUPART_URL, r->location, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_URL, &target, 0) == CURLUE_OK;
    curl_url_cleanup(u);
    if (!good)
        snprintf(r->problem, sizeof r->problem, "it redirects to what is no address");
    else if (strncmp(target, "https://", 8) != 0 &&
             (strncmp(target, "http://", 7) != 0 || !strncmp(from, "https://", 8)))
        snprintf(r->problem, sizeof r->problem, "it redirects away from https");
    else
        copy = wilor_heap_string(target);
    r->no_memory = r->no_memory || (!copy && !r->problem[0]);
    curl_free(target);
    return copy;
}

/* ---------------------------------------------------------------- one request */

static size_t on_header(char *line, size_t size, size_t count, void *user) {
    wilor_hub_http *h = user;
    wilor_hub_reply_line(h->reply, line, size * count);
    return size * count;
}

static bool begin_body(wilor_hub_http *h) {
    if (!h->begun) {
        h->begun = true;
        h->wanted = h->sink && !wilor_hub_reply_is_redirect(h->reply) &&
                    h->sink->begin(h->sink->user, h->reply);
    }
    return h->wanted;
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
    wilor_hub_http *h = user;
    size_t n = size * count;
    if (!begin_body(h)) /* for a redirect's page the connection is worth keeping */
        return wilor_hub_reply_is_redirect(h->reply) ? n : 0;
    return h->sink->write(h->sink->user, data, n) ? n : 0;
}

static int on_progress(void *user, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un) {
    (void)dt;
    (void)dn;
    (void)ut;
    (void)un;
    return cancelled(user);
}

static bool add_header(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

/* What only the hub may see is added here and nowhere else. */
static bool make_headers(const wilor_hub_http *h, const char *url, struct curl_slist **list) {
    if (!is_hub(h, url))
        return true;
    bool good = add_header(list, "X-HF-Download-Counter: 1");
    if (h->settings->token) {
        char *line =
            wilor_hub_concat("Authorization: Bearer ", h->settings->token, (char *)NULL);
        good = good && line && add_header(list, line);
        if (line)
            memset(line, 0, strlen(line));
        wilor_heap_free(line);
    }
    return good;
}

/* curl itself reads the other proxy variables, but this one only in lower case. */
static void set_proxy(wilor_hub_http *h, const char *url) {
    const char *upper = getenv("HTTP_PROXY"), *lower = getenv("http_proxy");
    if (!strncmp(url, "http://", 7) && upper && *upper && !(lower && *lower))
        curl_easy_setopt(h->curl, CURLOPT_PROXY, upper);
}

static void set_options(wilor_hub_http *h, const char *url, bool head, uint64_t from) {
    const wilor_hub_settings *s = h->settings;
    long timeout = head ? s->etag_timeout : s->download_timeout;
    curl_easy_reset(h->curl);
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_BUFFERSIZE, 262144L); /* 16 KB is the default */
    curl_easy_setopt(h->curl, CURLOPT_USERAGENT, h->agent);
    curl_easy_setopt(h->curl, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(h->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->problem);
    curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT, timeout);
    if (head) {
        curl_easy_setopt(h->curl, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(h->curl, CURLOPT_TIMEOUT, timeout);
    } else {
        curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_TIME, timeout);
    }
    if (from) { /* not RESUME_FROM, which makes an error of an answer with all of the file */
        char range[32];
        snprintf(range, sizeof range, "%" PRIu64 "-", from);
        curl_easy_setopt(h->curl, CURLOPT_RANGE, range);
    }
    if (s->ca_file)
        curl_easy_setopt(h->curl, CURLOPT_CAINFO, s->ca_file);
    set_proxy(h, url);
}

/* curl's own text may hold the whole URL; its code's text does not. */
static void describe(const wilor_hub_http *h, CURLcode code, const char *url,
                     wilor_hub_reply *r) {
    char host[128];
    host_name(host, sizeof host, url);
    bool secret = strchr(url, '?') != NULL || !h->problem[0];
    snprintf(r->problem, sizeof r->problem, "%.70s: %.120s", host,
             secret ? curl_easy_strerror(code) : h->problem);
}

static wilor_status request(wilor_hub_http *h, const char *url, bool head, uint64_t from,
                            const wilor_hub_sink *sink, wilor_hub_reply *r, wilor_error *err) {
    struct curl_slist *headers = NULL;
    wilor_hub_reply_free(r);
    h->reply = r;
    h->sink = sink;
    h->begun = h->wanted = false;
    h->problem[0] = 0;
    if (!make_headers(h, url, &headers)) {
        curl_slist_free_all(headers);
        return wilor_hub_no_memory(err);
    }
    set_options(h, url, head, from);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(h->curl);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (h->cancelled)
        return was_cancelled(err);
    if (r->no_memory || code == CURLE_OUT_OF_MEMORY)
        return wilor_hub_no_memory(err);
    if (code == CURLE_OK && !head)
        begin_body(h); /* of a file of no bytes */
    if (code != CURLE_OK && (head || !h->begun || h->wanted)) {
        describe(h, code, url, r);
        r->broken = true;
        if (!h->begun) /* half a head is no answer */
            r->status = 0;
    }
    return WILOR_OK;
}

static wilor_status follow(wilor_hub_http *h, const char *url, bool head, uint64_t from,
                           const wilor_hub_sink *sink, wilor_hub_reply *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char *now = wilor_heap_string(url);
    wilor_hub_reply_init(r);
    if (!now)
        return wilor_hub_no_memory(err);
    for (int i = 0;; i++) {
        WILOR_TRY(request(h, now, head, from, sink, r, err));
        if (!wilor_hub_reply_is_redirect(r))
            break;
        char *target = target_of(now, r);
        if (!target && r->no_memory)
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory while following a redirect");
        if (!target || i == REDIRECTS_MOST) {
            if (target)
                snprintf(r->problem, sizeof r->problem, "more than %d redirects",
                         REDIRECTS_MOST);
            wilor_heap_free(target);
            r->status = 0;
            break;
        }
        if (head && !same_origin(target, now) && !is_hub(h, target)) {
            wilor_heap_free(r->location);
            r->location = target;
            break;
        }
        wilor_heap_free(now);
        now = target;
    }
done:
    wilor_heap_free(now);
    return st;
}

wilor_status wilor_hub_http_head(wilor_hub_http *h, const char *url, wilor_hub_reply *r,
                                 wilor_error *err) {
    return follow(h, url, true, 0, NULL, r, err);
}

wilor_status wilor_hub_http_get(wilor_hub_http *h, const char *url, uint64_t from,
                                const wilor_hub_sink *sink, wilor_hub_reply *r,
                                wilor_error *err) {
    return follow(h, url, false, from, sink, r, err);
}
