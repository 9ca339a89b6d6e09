/* The cache folder that we share with Python's huggingface_hub: docs/hub.md shows its layout. */
#ifndef WILOR_HUB_CACHE_H
#define WILOR_HUB_CACHE_H

#include "hub_names.h"
#include <stdint.h>

typedef struct wilor_hub_cache {
    const char *root;           /* the cache folder */
    const wilor_hub_repo *repo; /* both are kept, not copied */
    char *folder;               /* root/models--org--name */
} wilor_hub_cache;

wilor_status wilor_hub_cache_init(wilor_hub_cache *c, const char *root,
                                  const wilor_hub_repo *repo, wilor_error *err);
void wilor_hub_cache_fini(wilor_hub_cache *c);

/* Paths, on the heap; NULL: no memory. */
char *wilor_hub_cache_blob(const wilor_hub_cache *c, const char *etag, const char *ending);
char *wilor_hub_cache_snapshot(const wilor_hub_cache *c, const char *commit, const char *file);

/* The commit that refs/<revision> names, or the revision itself when it is one; false: neither. */
bool wilor_hub_cache_commit(const wilor_hub_cache *c, const char *revision, char commit[41]);
/* Write refs/<revision> unless it says so already or is a commit. Best effort: the cache may be
 * read-only. */
void wilor_hub_cache_write_ref(const wilor_hub_cache *c, const char *revision,
                               const char *commit);
/* Remember that a file is not in a commit; best effort. */
void wilor_hub_cache_write_absent(const wilor_hub_cache *c, const char *commit,
                                  const char *file);

/* Size of a regular file at the end of any links; false: there is none. */
bool wilor_hub_file_size(const char *path, uint64_t *size);

/* The etag that a snapshot's link names, "" when it is a real file. */
void wilor_hub_cache_etag_of(const char *snapshot, char etag[WILOR_HUB_ETAG]);

/* Folders, CACHEDIR.TAG. ERR_IO when the cache cannot be written. */
wilor_status wilor_hub_cache_prepare(const wilor_hub_cache *c, wilor_error *err);

/* Make the snapshot's entry of a blob: a relative link, or where there are no links (or none are
 * wanted) the file itself: moved when `move`, else copied. An old entry is replaced. */
wilor_status wilor_hub_cache_link(const wilor_hub_cache *c, const char *commit,
                                  const char *file, const char *etag, bool links, bool move,
                                  wilor_error *err);

/* The advisory lock of a blob. */
typedef struct wilor_hub_lock {
    int fd; /* -1: none */
} wilor_hub_lock;

/* True: taken. False: *busy tells whether somebody has it; if not, this file system knows none. */
bool wilor_hub_cache_try_lock(const wilor_hub_cache *c, const char *etag, wilor_hub_lock *lock,
                              bool *busy);
void wilor_hub_unlock(wilor_hub_lock *lock);

/* Make all folders on the way to a path's last part; errno tells why not. */
bool wilor_hub_make_folders(const char *path);
/* Replace a small file in one step: a temporary file beside it, then a rename. */
bool wilor_hub_write_text(const char *path, const char *text);

#endif
