/* Names that come from a command line or a server, checked before they become paths or URLs. */
#ifndef WILOR_HUB_NAMES_H
#define WILOR_HUB_NAMES_H

#include "hub_text.h"

enum { WILOR_HUB_ID_MOST = 96, WILOR_HUB_PATH_MOST = 1024 };

typedef struct wilor_hub_repo {
    char id[WILOR_HUB_ID_MOST + 1];          /* "org/name" */
    const char *prefix;                      /* in URLs: "", "datasets/" or "spaces/" */
    char folder[2 * WILOR_HUB_ID_MOST + 16]; /* in the cache: "models--org--name" */
} wilor_hub_repo;

/* "org/name", "name", "datasets/org/name", "spaces/org/name". */
wilor_status wilor_hub_repo_parse(wilor_hub_repo *r, const char *text, wilor_error *err);

/* A file's path in a repository: relative, no empty part, no "." or "..", no backslash, drive
 * letter or control character. */
wilor_status wilor_hub_path_check(const char *path, wilor_error *err);
/* A branch, tag, "refs/pr/N" or commit, by the same rules. */
wilor_status wilor_hub_revision_check(const char *revision, wilor_error *err);

/* count lower-case hex digits and nothing else. */
bool wilor_hub_is_hex(const char *text, size_t count);

static inline bool wilor_hub_is_commit(const char *text) { return wilor_hub_is_hex(text, 40); }

/* An etag without W/ and quotes, or false when what is left cannot be a file's name. room is
 * WILOR_HUB_ETAG bytes. */
enum { WILOR_HUB_ETAG = 136 };

bool wilor_hub_etag_clean(char *out, const char *text);

/* Percent-encoding of all but RFC 3986's unreserved characters; keep_slash: and '/'. */
void wilor_hub_text_encode(wilor_hub_text *t, const char *text, bool keep_slash);

/* {endpoint}/[prefix]{id}/resolve/{revision}/{path}; NULL: no memory. */
char *wilor_hub_resolve_url(const char *endpoint, const wilor_hub_repo *r, const char *revision,
                            const char *path);

#endif
