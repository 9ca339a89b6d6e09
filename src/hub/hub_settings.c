/* The environment of huggingface_hub: names, order and meaning are its documented ones, so that a
 * machine set up for Python is set up for us. An empty variable counts as one that is not set. */
#include "hub_settings.h"

#include "heap.h"
#include "hub_text.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT = 10, TIMEOUT_MOST = 86400, TOKEN_MOST = 4096 };

static const char *env(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool flag(const char *name) {
    static const char *const yes[] = {"1", "ON", "YES", "TRUE"};
    const char *value = env(name);
    for (size_t i = 0; value && i < sizeof yes / sizeof yes[0]; i++)
        if (!strcasecmp(value, yes[i]))
            return true;
    return false;
}

static long seconds(const char *name) {
    const char *value = env(name);
    char *end = NULL;
    double n = value ? strtod(value, &end) : 0;
    if (!value || *end || !(n > 0))
        return TIMEOUT;
    return n > TIMEOUT_MOST ? TIMEOUT_MOST : n < 1 ? 1 : (long)n;
}

/* $NAME or ${NAME} at s: adds its value, returns how many bytes it took; 0: none there. A name that
 * is not set stays as it stands. */
static size_t add_variable(wilor_hub_text *t, const char *s) {
    char name[128];
    bool braces = s[1] == '{';
    const char *from = s + 1 + braces;
    size_t n = 0;
    while ((from[n] >= 'a' && from[n] <= 'z') || (from[n] >= 'A' && from[n] <= 'Z') ||
           (from[n] >= '0' && from[n] <= '9') || from[n] == '_')
        n++;
    if (n == 0 || n >= sizeof name || (braces && from[n] != '}'))
        return 0;
    memcpy(name, from, n);
    name[n] = 0;
    const char *value = getenv(name);
    if (!value)
        return 0;
    wilor_hub_text_put(t, value);
    return n + 1 + 2 * (size_t)braces;
}

/* A path with ~ and variables expanded, and no slash at its end; NULL: no memory. */
static char *expand(const char *path) {
    wilor_hub_text t = {0};
    const char *home = env("HOME");
    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home) {
        wilor_hub_text_put(&t, home);
        path++;
    }
    while (*path) {
        size_t taken = *path == '$' ? add_variable(&t, path) : 0;
        if (taken == 0)
            wilor_hub_text_add(&t, path, taken = 1);
        path += taken;
    }
    while (t.length > 1 && t.data[t.length - 1] == '/')
        t.data[--t.length] = 0;
    return wilor_hub_text_take(&t);
}

/* base/below with base expanded; NULL: no memory. */
static char *expand_below(const char *base, const char *below) {
    char *expanded = expand(base);
    char *path = expanded ? wilor_hub_concat(expanded, below, (char *)NULL) : NULL;
    wilor_heap_free(expanded);
    return path;
}

static wilor_status read_folders(wilor_hub_settings *s, char **home, wilor_error *err) {
    const char *xdg = env("XDG_CACHE_HOME"), *hf = env("HF_HOME");
    const char *cache = env("HF_HUB_CACHE");
    if (!cache)
        cache = env("HUGGINGFACE_HUB_CACHE");
    if (!env("HOME") && !xdg)
        return wilor_error_set(
            err, WILOR_ERR_MISSING,
            "no folder for downloads: neither HOME nor XDG_CACHE_HOME is set");
    *home = hf ? expand(hf) : expand_below(xdg ? xdg : "~/.cache", "/huggingface");
    s->own = expand_below(xdg ? xdg : "~/.cache", "/wilor");
    if (*home)
        s->cache = cache ? expand(cache) : wilor_hub_concat(*home, "/hub", (char *)NULL);
    return *home && s->own && s->cache ? WILOR_OK : wilor_hub_no_memory(err);
}

/* Without line ends and blanks around it; NULL: nothing is left, or no memory. */
static char *clean_token(const char *text) {
    wilor_hub_text t = {0};
    for (const char *c = text; *c; c++)
        if (*c != '\r' && *c != '\n' && (t.length || (*c != ' ' && *c != '\t')))
            wilor_hub_text_add(&t, c, 1);
    while (t.length && (t.data[t.length - 1] == ' ' || t.data[t.length - 1] == '\t'))
        t.data[--t.length] = 0;
    if (t.length)
        return wilor_hub_text_take(&t);
    wilor_heap_free(t.data);
    return NULL;
}

static wilor_status read_token(wilor_hub_settings *s, const char *home, wilor_error *err) {
    if (flag("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
        return WILOR_OK;
    const char *names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    for (int i = 0; i < 2 && !s->token; i++)
        if (env(names[i]))
            s->token = clean_token(env(names[i]));
    if (!s->token) {
        const char *given = env("HF_TOKEN_PATH");
        char *path = given ? expand(given) : wilor_hub_concat(home, "/token", (char *)NULL);
        char *text = path ? wilor_hub_read_text(path, TOKEN_MOST) : NULL;
        s->token = text ? clean_token(text) : NULL;
        wilor_heap_free(text);
        wilor_heap_free(path);
    }
    /* It goes into a header. */
    for (const char *c = s->token; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return wilor_error_set(
                err, WILOR_ERR_ARG,
                "the hub's token holds a control character: see HF_TOKEN and "
                "HF_TOKEN_PATH");
    return WILOR_OK;
}

static wilor_status read_endpoint(wilor_hub_settings *s, wilor_error *err) {
    const char *given = env("HF_ENDPOINT");
    wilor_quoted q;
    s->endpoint = wilor_heap_string(given ? given : "https://huggingface.co");
    if (!s->endpoint)
        return wilor_hub_no_memory(err);
    size_t n = strlen(s->endpoint);
    while (n && s->endpoint[n - 1] == '/')
        s->endpoint[--n] = 0;
    if (strncmp(s->endpoint, "https://", 8) != 0 && strncmp(s->endpoint, "http://", 7) != 0)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "HF_ENDPOINT %s: it should begin with https:// or http://",
                               wilor_quote(&q, s->endpoint));
    return WILOR_OK;
}

wilor_status wilor_hub_settings_read(wilor_hub_settings *s, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char *home = NULL;
    const char *ca = env("SSL_CERT_FILE");
    *s = (wilor_hub_settings){0};
    s->offline = env("HF_HUB_OFFLINE") ? flag("HF_HUB_OFFLINE") : flag("TRANSFORMERS_OFFLINE");
    s->no_symlinks = flag("HF_HUB_DISABLE_SYMLINKS");
    s->terse_agent =
        flag("HF_HUB_DISABLE_TELEMETRY") || flag("DISABLE_TELEMETRY") || flag("DO_NOT_TRACK");
    s->etag_timeout = seconds("HF_HUB_ETAG_TIMEOUT");
    s->download_timeout = seconds("HF_HUB_DOWNLOAD_TIMEOUT");
    ca = ca ? ca : env("CURL_CA_BUNDLE");
    if (ca && !(s->ca_file = expand(ca)))
        st = wilor_hub_no_memory(err);
    if (st == WILOR_OK)
        st = read_endpoint(s, err);
    if (st == WILOR_OK)
        st = read_folders(s, &home, err);
    if (st == WILOR_OK)
        st = read_token(s, home, err);
    wilor_heap_free(home);
    return st;
}

void wilor_hub_settings_free(wilor_hub_settings *s) {
    if (s->token) /* not to be left lying in freed memory */
        memset(s->token, 0, strlen(s->token));
    wilor_heap_free(s->cache);
    wilor_heap_free(s->own);
    wilor_heap_free(s->endpoint);
    wilor_heap_free(s->token);
    wilor_heap_free(s->ca_file);
    *s = (wilor_hub_settings){0};
}
