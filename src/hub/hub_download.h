/* The bytes of one blob, from the network to its place in the cache. */
#ifndef WILOR_HUB_DOWNLOAD_H
#define WILOR_HUB_DOWNLOAD_H

#include "hub_cache.h"
#include "hub_hash.h"
#include "hub_http.h"

/* What is to be had: the answer to a HEAD. */
typedef struct wilor_hub_remote {
    char commit[41];
    char etag[WILOR_HUB_ETAG];
    uint64_t size; /* or WILOR_HUB_UNKNOWN */
    char *url;     /* where the bytes are; its query is a secret */
} wilor_hub_remote;

typedef struct wilor_hub_download {
    wilor_hub_http *http;
    const wilor_hub_cache *cache;
    const wilor_callbacks *callbacks;
    const char *file;       /* its path in the repository: for messages */
    wilor_hub_remote *from; /* its url is replaced when the signature expires */
    /* Ask the hub again where the bytes are: fills from->url. */
    void *user;
    wilor_status (*refresh)(void *user, wilor_error *err);
} wilor_hub_download;

/* Download to blobs/<etag>: resumed from blobs/<etag>.wilor.incomplete when `locked`, else under a
 * name of its own; checked, synced, renamed. *hashes is of what was written. */
wilor_status wilor_hub_download_run(const wilor_hub_download *d, bool locked,
                                    wilor_hub_hashes *hashes, wilor_error *err);

/* One line for an answer that is an error, or for none. what names repository, revision, file. */
wilor_status wilor_hub_reply_error(const wilor_hub_reply *r, const wilor_hub_repo *repo,
                                   const char *endpoint, const char *what, wilor_error *err);

/* Whether waiting could help: no answer, 408, 425, 429, 5xx. */
bool wilor_hub_reply_is_transient(const wilor_hub_reply *r);

/* Seconds before try number `tries` (from 1): 1, 2, 4, 8, 8 …, or what the server asks for, up to a
 * minute. */
double wilor_hub_backoff(int tries, const wilor_hub_reply *r);

enum { WILOR_HUB_TRIES = 5 };

#endif
