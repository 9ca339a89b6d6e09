/* What a hub, or whoever answers in its place, may send: the head of an HTTP answer, line by line. The
 * first line is also taken for names and etags: what passes must be safe as a path. */
#include "fuzz_input.h"

#include "heap.h"
#include "hub_names.h"
#include "hub_reply.h"
#include <stdlib.h>
#include <string.h>

/* No way out of a folder, whatever passed. */
static void must_be_inside(const char *path) {
    size_t n = strlen(path);
    if (path[0] == '/' || strstr(path, "/../") || !strncmp(path, "../", 3) ||
        (n >= 3 && !strcmp(path + n - 3, "/..")) || !strcmp(path, "..") || strchr(path, '\\'))
        abort();
}

static void names(const char *text) {
    wilor_error err;
    wilor_hub_repo repo = {.prefix = ""};
    char etag[WILOR_HUB_ETAG];
    if (wilor_hub_path_check(text, &err) == WILOR_OK)
        must_be_inside(text);
    if (wilor_hub_repo_parse(&repo, text, &err) == WILOR_OK) {
        must_be_inside(repo.folder);
        if (strchr(repo.folder, '/'))
            abort();
    }
    if (wilor_hub_etag_clean(etag, text) && (strchr(etag, '/') || etag[0] == '.' || !*etag))
        abort();
    char *url = wilor_hub_resolve_url("https://h", &repo, text, text);
    /* Nothing but what a URL may hold. */
    for (const char *c = url; c && *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7F)
            abort();
    wilor_heap_free(url);
}

static void lines(const uint8_t *data, size_t size) {
    const char *at = (const char *)data, *end = at + size;
    wilor_hub_reply r;
    wilor_hub_reply_init(&r);
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);
        wilor_hub_reply_line(&r, at, n);
        at += n;
    }
    if ((*r.commit && !wilor_hub_is_commit(r.commit)) || strchr(r.etag, '/') ||
        strchr(r.linked_etag, '/') || (r.location && strchr(r.location, '\n')))
        abort();
    (void)wilor_hub_reply_is_redirect(&r);
    wilor_hub_reply_free(&r);
}

static void target(const uint8_t *data, size_t size) {
    char text[256];
    size_t n = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, n);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    names(text);
    lines(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
