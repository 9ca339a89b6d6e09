/* Validation and encoding of names.
 *
 * Repository names follow the hub's own rule (letters, digits, '-', '_', '.', at most 96, no "--" nor
 * ".." and none of "-." at the ends of a part). Paths are stricter than the hub: what could leave the
 * cache folder, or mean something else on another system, is refused. Etags become file names. */
#include "hub_names.h"

#include <stdio.h>
#include <string.h>

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool part_is_good(const char *s, size_t n) {
    if (n == 0 || s[0] == '-' || s[0] == '.' || s[n - 1] == '-' || s[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
            return false;
        if (i > 0 && s[i] == s[i - 1] && (s[i] == '-' || s[i] == '.'))
            return false;
    }
    return n < 4 || memcmp(s + n - 4, ".git", 4) != 0;
}

wilor_status wilor_hub_repo_parse(wilor_hub_repo *r, const char *text, wilor_error *err) {
    static const struct {
        const char *prefix, *folder;
    } kinds[] = {{"datasets/", "datasets"}, {"spaces/", "spaces"}, {"", "models"}};

    wilor_quoted q;
    size_t kind = 0;
    const char *slashes = strchr(text, '/');
    bool three = slashes && strchr(slashes + 1, '/');
    while (kind < 2 &&
           !(three && !strncmp(text, kinds[kind].prefix, strlen(kinds[kind].prefix))))
        kind++;
    const char *id = text + strlen(kinds[kind].prefix), *slash = strchr(id, '/');
    const char *name = slash ? slash + 1 : id;
    if (strlen(id) > WILOR_HUB_ID_MOST || !part_is_good(name, strlen(name)) ||
        (slash && !part_is_good(id, (size_t)(slash - id))))
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "%s is no repository's name: org/name, of letters, digits, '-', "
                               "'_' and '.', at most %d",
                               wilor_quote(&q, text), WILOR_HUB_ID_MOST);
    *r = (wilor_hub_repo){.prefix = kinds[kind].prefix};
    snprintf(r->id, sizeof r->id, "%s", id);
    if (slash)
        snprintf(r->folder, sizeof r->folder, "%s--%.*s--%s", kinds[kind].folder,
                 (int)(slash - id), id, name);
    else
        snprintf(r->folder, sizeof r->folder, "%s--%s", kinds[kind].folder, id);
    return WILOR_OK;
}

/* NULL, or what is wrong with it. */
static const char *path_fault(const char *path) {
    size_t n = strlen(path);
    if (n == 0)
        return "it is empty";
    if (n > WILOR_HUB_PATH_MOST)
        return "it is longer than 1024 bytes";
    if (path[0] == '/')
        return "it is absolute";
    if (n > 1 && path[1] == ':')
        return "it begins with a drive letter";
    for (const char *s = path; *s; s++)
        if (*s == '\\' || (unsigned char)*s < 0x20 || *s == 0x7F)
            return "it holds a backslash or a control character";
    for (const char *s = path;; s++) {
        size_t part = strcspn(s, "/");
        if (part == 0 || (part == 1 && s[0] == '.') ||
            (part == 2 && s[0] == '.' && s[1] == '.'))
            return "it has an empty part, '.' or '..'";
        if (part > 255)
            return "a part of it is longer than 255 bytes";
        s += part;
        if (!*s)
            return NULL;
    }
}

wilor_status wilor_hub_path_check(const char *path, wilor_error *err) {
    wilor_quoted q;
    const char *fault = path_fault(path);
    if (!fault)
        return WILOR_OK;
    return wilor_error_set(err, WILOR_ERR_ARG, "%s cannot be a file of a repository: %s",
                           wilor_quote(&q, path), fault);
}

wilor_status wilor_hub_revision_check(const char *revision, wilor_error *err) {
    wilor_quoted q;
    const char *fault = path_fault(revision);
    if (!fault)
        return WILOR_OK;
    return wilor_error_set(err, WILOR_ERR_ARG, "%s cannot be a revision: %s",
                           wilor_quote(&q, revision), fault);
}

bool wilor_hub_is_hex(const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return text[count] == 0;
}

bool wilor_hub_etag_clean(char *out, const char *text) {
    if (text[0] == 'W' && text[1] == '/')
        text += 2;
    size_t n = strlen(text);
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
        text++;
        n -= 2;
    }
    if (n == 0 || n >= WILOR_HUB_ETAG - 8 || text[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(text[i]) && !strchr("-_.", text[i]))
            return false;
    memcpy(out, text, n);
    out[n] = 0;
    return true;
}

void wilor_hub_text_encode(wilor_hub_text *t, const char *text, bool keep_slash) {
    for (const char *s = text; *s; s++) {
        char code[4];
        if (is_alnum(*s) || strchr("-._~", *s) || (*s == '/' && keep_slash)) {
            wilor_hub_text_add(t, s, 1);
        } else {
            snprintf(code, sizeof code, "%%%02X", (unsigned)(unsigned char)*s);
            wilor_hub_text_add(t, code, 3);
        }
    }
}

char *wilor_hub_resolve_url(const char *endpoint, const wilor_hub_repo *r, const char *revision,
                            const char *path) {
    wilor_hub_text t = {0};
    wilor_hub_text_put(&t, endpoint);
    wilor_hub_text_put(&t, "/");
    wilor_hub_text_put(&t, r->prefix);
    wilor_hub_text_put(&t, r->id);
    wilor_hub_text_put(&t, "/resolve/");
    wilor_hub_text_encode(&t, revision, false);
    wilor_hub_text_put(&t, "/");
    wilor_hub_text_encode(&t, path, true);
    return wilor_hub_text_take(&t);
}
