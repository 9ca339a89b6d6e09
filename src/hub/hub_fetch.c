/* Finding one file: pins, snapshots, refs, the network, in this order.
 *
 * A pinned file that is in the cache costs no request and no hashing. Else the hub is asked (HEAD) which
 * commit and which bytes the name means today; if it does not answer, what the cache has is used. Bytes
 * that are used for the first time are hashed once and pinned, wherever they came from. */
#include "heap.h"
#include "hub_download.h"
#include "hub_licence.h"
#include "hub_pins.h"
#include "wilor/wilor_io.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
    wilor_hub_settings settings;
    wilor_hub_repo repo;
    wilor_hub_cache cache;
    const char *file, *revision;
    bool revision_given, offline;
    wilor_callbacks callbacks;
    char what[400]; /* "org/name: 'path' at main" */
    wilor_hub_pin pin;
    bool pinned;
    bool damaged; /* the cache's copy is */
    wilor_hub_http *http;
    wilor_hub_remote remote;
    char *found; /* the result */
} job;

static void say(const job *j, wilor_log_level level, const char *text) {
    if (j->callbacks.log)
        j->callbacks.log(j->callbacks.user, level, text);
}

/* ---------------------------------------------------------------- options */

int wilor_hub_available(void) { return 1; }

void wilor_hub_options_init(wilor_hub_options *o, size_t size) {
    memset(o, 0, size);
    if (size >= sizeof size)
        memcpy(o, &size, sizeof size);
}

static wilor_status read_options(wilor_hub_options *own, const wilor_hub_options *theirs,
                                 wilor_error *err) {
    const unsigned char *bytes = (const unsigned char *)theirs;
    *own = (wilor_hub_options){.struct_size = sizeof *own};
    if (!theirs)
        return WILOR_OK;
    size_t size = theirs->struct_size;
    if (size < sizeof size || size > 4096)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_hub_options: struct_size is %zu",
                               size);
    for (size_t i = sizeof *own; i < size; i++)
        if (bytes[i] != 0)
            return wilor_error_set(err, WILOR_ERR_UNSUPPORTED,
                                   "wilor_hub_options: an option is set that this version does "
                                   "not know");
    memcpy(own, theirs, size < sizeof *own ? size : sizeof *own);
    return WILOR_OK;
}

static wilor_status open_job(job *j, const char *repo, const char *file,
                             const wilor_hub_options *theirs, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_hub_options o;
    wilor_quoted q;
    WILOR_TRY(read_options(&o, theirs, err));
    if (!repo || !file)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_hub_fetch: no repository or no file named");
    WILOR_TRY(wilor_hub_repo_parse(&j->repo, repo, err));
    WILOR_TRY(wilor_hub_path_check(file, err));
    j->revision_given = o.revision && *o.revision;
    j->revision = j->revision_given ? o.revision : "main";
    WILOR_TRY(wilor_hub_revision_check(j->revision, err));
    WILOR_TRY(wilor_hub_settings_read(&j->settings, err));
    WILOR_TRY(wilor_hub_cache_init(&j->cache, j->settings.cache, &j->repo, err));
    j->file = file;
    j->offline = j->settings.offline || o.offline;
    j->callbacks = o.callbacks;
    snprintf(j->what, sizeof j->what, "%s: %s at %.60s", j->repo.id, wilor_quote(&q, file),
             j->revision);
done:
    return st;
}

static void close_job(job *j) {
    wilor_hub_http_close(&j->http);
    wilor_heap_free(j->remote.url);
    wilor_heap_free(j->found);
    wilor_hub_cache_fini(&j->cache);
    wilor_hub_settings_free(&j->settings);
}

/* ---------------------------------------------------------------- pins */

/* Ours, from the table in the source; then those of pins.json. */
static wilor_status find_pin(job *j, wilor_error *err) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_hub_default_file f;
    for (int s = 0; s < 2 && !*j->repo.prefix; s++)
        for (size_t i = 0; wilor_hub_default(sets[s], i, &f) == WILOR_OK; i++)
            if (!strcmp(f.repo, j->repo.id) && !strcmp(f.file, j->file) && *f.commit) {
                snprintf(j->pin.commit, sizeof j->pin.commit, "%s", f.commit);
                snprintf(j->pin.sha256, sizeof j->pin.sha256, "%s", f.sha256);
                snprintf(j->pin.etag, sizeof j->pin.etag, "%s", f.sha256);
                j->pin.size = WILOR_HUB_UNKNOWN;
                j->pinned = true;
                return WILOR_OK;
            }
    return wilor_hub_pins_find(&j->pin, &j->pinned, j->settings.own, &j->repo, j->file, err);
}

/* The file stands in the cache under this commit: set j->found. */
static wilor_status look(job *j, const char *commit, uint64_t size, wilor_error *err) {
    uint64_t there;
    wilor_heap_free(j->found);
    j->found = wilor_hub_cache_snapshot(&j->cache, commit, j->file);
    if (!j->found)
        return wilor_hub_no_memory(err);
    if (wilor_hub_file_size(j->found, &there) && (size == WILOR_HUB_UNKNOWN || there == size) &&
        access(j->found, R_OK) == 0)
        return WILOR_OK;
    wilor_heap_free(j->found);
    j->found = NULL;
    return WILOR_OK;
}

/* Whether the hub's etag is of another file than the pin: SHA-256 against SHA-256, git's hash against
 * git's; where the two cannot be compared now, the bytes are after they arrived. */
static bool differs(const wilor_hub_pin *pin, const char *etag) {
    if (wilor_hub_is_hex(etag, 64))
        return strcmp(etag, pin->sha256) != 0;
    return !wilor_hub_is_hex(pin->etag, 64) && strcmp(etag, pin->etag) != 0;
}

static wilor_status write_pin(job *j, const char *commit, const char *etag,
                              const wilor_hub_hashes *h, wilor_error *err) {
    wilor_hub_pin pin = {.size = h->size};
    snprintf(pin.commit, sizeof pin.commit, "%s", commit);
    snprintf(pin.etag, sizeof pin.etag, "%s", *etag ? etag : h->sha256);
    snprintf(pin.sha256, sizeof pin.sha256, "%s", h->sha256);
    return wilor_hub_pins_write(&pin, j->settings.own, &j->repo, j->file, err);
}

static wilor_status changed(const job *j, const char *now, wilor_error *err) {
    return wilor_error_set(
        err, WILOR_ERR_FORMAT,
        "%s is another file (%.12s) than the one that was trusted before (%.12s of commit "
        "%.12s): refused; wilor download with --revision %.60s accepts it",
        j->what, now, j->pin.sha256, j->pin.commit, j->revision);
}

/* A file of the cache that somebody else brought is used for the first time: hash it, compare with its
 * etag and with the pin, pin it. *sound: false when it is damaged. etag may be "". */
static wilor_status first_use(job *j, const char *commit, const char *etag, bool *sound,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_hub_hashes h;
    bool same = j->pinned && !strcmp(j->pin.commit, commit) && !strcmp(j->pin.etag, etag);
    *sound = true;
    if (same || (!j->pinned && !wilor_hub_pins_writable(j->settings.own)))
        return WILOR_OK;
    WILOR_TRY(wilor_hub_hash_file(&h, j->found, wilor_hub_is_hex(etag, 40), &j->callbacks,
                                  "checking", err));
    *sound = wilor_hub_hash_agrees(&h, etag);
    if (!*sound)
        goto done;
    if (j->pinned && !j->revision_given && strcmp(h.sha256, j->pin.sha256) != 0) {
        st = changed(j, h.sha256, err);
        goto done;
    }
    WILOR_TRY(write_pin(j, commit, etag, &h, err));
done:
    return st;
}

/* ---------------------------------------------------------------- without the network */

/* What the cache has for this revision; j->found stays NULL when it has nothing. */
static wilor_status from_cache(job *j, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char commit[41], etag[WILOR_HUB_ETAG];
    bool sound;
    if (!wilor_hub_cache_commit(&j->cache, j->revision, commit))
        return WILOR_OK;
    WILOR_TRY(look(j, commit, WILOR_HUB_UNKNOWN, err));
    if (!j->found)
        goto done;
    wilor_hub_cache_etag_of(j->found, etag);
    WILOR_TRY(first_use(j, commit, etag, &sound, err));
    if (!sound) {
        j->damaged = true;
        wilor_heap_free(j->found);
        j->found = NULL;
    }
done:
    return st;
}

static wilor_status not_cached(const job *j, const char *why, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(
        err, WILOR_ERR_MISSING, "%s is %s the cache %s and the hub cannot be reached: %s",
        j->what, j->damaged ? "damaged in" : "not in", wilor_quote(&q, j->settings.cache), why);
}

/* ---------------------------------------------------------------- asking the hub */

/* Everything that a hub's answer must have. */
static bool take_remote(job *j, wilor_hub_reply *r, const char *url) {
    wilor_hub_remote *m = &j->remote;
    const char *etag = *r->linked_etag ? r->linked_etag : r->etag;
    bool redirect = wilor_hub_reply_is_redirect(r);
    if ((r->status != 200 && !redirect) || !*r->commit || !*etag)
        return false;
    snprintf(m->commit, sizeof m->commit, "%s", r->commit);
    snprintf(m->etag, sizeof m->etag, "%s", etag);
    m->size = r->linked_size;
    if (m->size == WILOR_HUB_UNKNOWN && !redirect && !r->encoded)
        m->size = r->length;
    wilor_heap_free(m->url);
    m->url = wilor_heap_string(redirect ? r->location : url);
    return true;
}

static wilor_status ask(job *j, const char *revision, wilor_hub_reply *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char *url = wilor_hub_resolve_url(j->settings.endpoint, &j->repo, revision, j->file);
    wilor_hub_reply_init(r);
    if (!url)
        return wilor_hub_no_memory(err);
    WILOR_TRY(wilor_hub_http_head(j->http, url, r, err));
    if (r->status >= 400 || r->status == 0)
        goto done;
    if (!take_remote(j, r, url)) {
        snprintf(r->problem, sizeof r->problem, "%s",
                 *r->commit
                     ? "its answer names no ETag"
                     : "the answer is not a hub's (no X-Repo-Commit): a login page of this "
                       "network, a firewall, or a wrong HF_ENDPOINT");
        r->status = 0;
    } else if (!j->remote.url) {
        st = wilor_hub_no_memory(err);
    }
done:
    wilor_heap_free(url);
    return st;
}

/* For a download whose address has expired. By commit, so that a new upload meanwhile is no matter. */
static wilor_status refresh(void *user, wilor_error *err) {
    job *j = user;
    wilor_hub_reply r;
    char commit[41], etag[WILOR_HUB_ETAG];
    snprintf(commit, sizeof commit, "%s", j->remote.commit);
    snprintf(etag, sizeof etag, "%s", j->remote.etag);
    wilor_status st = ask(j, commit, &r, err);
    if (st == WILOR_OK && (r.status == 0 || r.status >= 400))
        st = wilor_hub_reply_error(&r, &j->repo, j->settings.endpoint, j->what, err);
    else if (st == WILOR_OK && strcmp(etag, j->remote.etag) != 0)
        st =
            wilor_error_set(err, WILOR_ERR_IO,
                            "%s has changed while it was being downloaded: try again", j->what);
    wilor_hub_reply_free(&r);
    return st;
}

/* Answers that a cached copy does not stand in for. */
static bool is_final(const wilor_hub_reply *r) {
    return r->status == 404 && (!strcmp(r->error_code, "EntryNotFound") ||
                                !strcmp(r->error_code, "RevisionNotFound"));
}

static wilor_status no_answer(job *j, const wilor_hub_reply *r, wilor_error *err) {
    if (r->status == 0)
        return not_cached(j, r->problem, err);
    return wilor_hub_reply_error(r, &j->repo, j->settings.endpoint, j->what, err);
}

/* OK with j->found set: the hub could not be asked, and the cache has something. OK without: j->remote
 * is filled. */
static wilor_status ask_or_cache(job *j, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_hub_reply r;
    char text[300];
    wilor_hub_reply_init(&r);
    for (int tries = 1;; tries++) {
        wilor_hub_reply_free(&r);
        WILOR_TRY(ask(j, j->revision, &r, err));
        if (r.status != 0 && r.status < 400)
            goto done;
        if (is_final(&r)) {
            if (!strcmp(r.error_code, "EntryNotFound") && *r.commit) {
                wilor_hub_cache_write_absent(&j->cache, r.commit, j->file);
                wilor_hub_cache_write_ref(&j->cache, j->revision, r.commit);
            }
            break;
        }
        WILOR_TRY(from_cache(j, err));
        if (j->found) {
            if (r.status)
                snprintf(text, sizeof text, "the hub answers HTTP %ld; using the cached %.150s",
                         r.status, j->file);
            else
                snprintf(text, sizeof text,
                         "no answer from the hub (%.90s); using the cached %.120s", r.problem,
                         j->file);
            say(j, WILOR_LOG_WARNING, text);
            goto done;
        }
        /* Nobody there at all: patience is for servers that speak. */
        if (!wilor_hub_reply_is_transient(&r) || r.status == 0 || tries == WILOR_HUB_TRIES)
            break;
        WILOR_TRY(wilor_hub_http_wait(j->http, wilor_hub_backoff(tries, &r), err));
    }
    st = no_answer(j, &r, err);
done:
    wilor_hub_reply_free(&r);
    return st;
}

/* ---------------------------------------------------------------- downloading */

/* The lock, waiting for whoever has it; not taken where there are no locks. */
static wilor_status lock_blob(job *j, wilor_hub_lock *lock, wilor_error *err) {
    wilor_status st = WILOR_OK;
    bool busy;
    for (int tenths = 0; !wilor_hub_cache_try_lock(&j->cache, j->remote.etag, lock, &busy);
         tenths++) {
        if (!busy)
            return WILOR_OK;
        if (tenths % 100 == 0)
            say(j, WILOR_LOG_INFO, "another process is downloading this file: waiting for it");
        WILOR_TRY(wilor_hub_http_wait(j->http, 0.1, err));
    }
done:
    return st;
}

/* blobs/<etag>, if it has the right size, under the snapshot's name. */
static wilor_status use_blob(job *j, bool *used, wilor_error *err) {
    wilor_status st = WILOR_OK;
    uint64_t size;
    bool sound = true;
    char *blob = wilor_hub_cache_blob(&j->cache, j->remote.etag, "");
    *used = false;
    if (!blob)
        return wilor_hub_no_memory(err);
    if (!wilor_hub_file_size(blob, &size) ||
        (j->remote.size != WILOR_HUB_UNKNOWN && size != j->remote.size))
        goto done;
    wilor_heap_free(j->found);
    j->found = blob;
    blob = NULL;
    WILOR_TRY(first_use(j, j->remote.commit, j->remote.etag, &sound, err));
    if (sound) {
        WILOR_TRY(wilor_hub_cache_link(&j->cache, j->remote.commit, j->file, j->remote.etag,
                                       !j->settings.no_symlinks, false, err));
        *used = true;
    }
done:
    wilor_heap_free(blob);
    return st;
}

static wilor_status download(job *j, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_hub_lock lock = {-1};
    wilor_hub_hashes h;
    bool used = false;
    WILOR_TRY(wilor_hub_cache_prepare(&j->cache, err));
    wilor_hub_cache_write_ref(&j->cache, j->revision, j->remote.commit);
    WILOR_TRY(lock_blob(j, &lock, err));
    if (!j->damaged)
        WILOR_TRY(use_blob(j, &used, err));
    if (!used) {
        wilor_hub_licence_tell(j->settings.own, &j->repo, &j->callbacks);
        wilor_hub_download d = {.http = j->http,
                                .cache = &j->cache,
                                .callbacks = &j->callbacks,
                                .file = j->file,
                                .from = &j->remote,
                                .user = j,
                                .refresh = refresh};
        WILOR_TRY(wilor_hub_download_run(&d, lock.fd >= 0, &h, err));
        WILOR_TRY(wilor_hub_cache_link(&j->cache, j->remote.commit, j->file, j->remote.etag,
                                       !j->settings.no_symlinks, true, err));
        if (j->pinned && !j->revision_given && strcmp(h.sha256, j->pin.sha256) != 0) {
            st = changed(j, h.sha256, err);
            goto done;
        }
        WILOR_TRY(write_pin(j, j->remote.commit, j->remote.etag, &h, err));
    }
    WILOR_TRY(look(j, j->remote.commit, j->remote.size, err));
    if (!j->found)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s cannot be read from the cache after its download",
                   j->what);
done:
    wilor_hub_unlock(&lock);
    return st;
}

/* ---------------------------------------------------------------- the whole search */

static wilor_status from_hub(job *j, wilor_error *err) {
    wilor_status st = WILOR_OK;
    bool sound = true;
    WILOR_TRY(wilor_hub_http_open(&j->http, &j->settings, &j->callbacks, err));
    WILOR_TRY(ask_or_cache(j, err));
    if (j->found)
        goto done;
    if (j->pinned && !j->revision_given && differs(&j->pin, j->remote.etag)) {
        st = changed(j, j->remote.etag, err);
        goto done;
    }
    WILOR_TRY(look(j, j->remote.commit, j->remote.size, err));
    if (j->found) {
        WILOR_TRY(first_use(j, j->remote.commit, j->remote.etag, &sound, err));
        if (sound) {
            wilor_hub_cache_write_ref(&j->cache, j->revision, j->remote.commit);
            goto done;
        }
        j->damaged = true;
    }
    if (j->damaged)
        say(j, WILOR_LOG_WARNING, "a file of the cache is damaged: fetching it again");
    WILOR_TRY(download(j, err));
done:
    return st;
}

static wilor_status search(job *j, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(find_pin(j, err));
    if (j->pinned && !j->revision_given)
        WILOR_TRY(look(j, j->pin.commit, j->pin.size, err));
    if (!j->found && wilor_hub_is_commit(j->revision))
        WILOR_TRY(from_cache(j, err));
    if (j->found)
        goto done;
    if (!j->offline) {
        WILOR_TRY(from_hub(j, err));
        goto done;
    }
    WILOR_TRY(from_cache(j, err));
    if (!j->found)
        st = not_cached(j, "this run is offline (--offline, HF_HUB_OFFLINE)", err);
done:
    return st;
}

wilor_status wilor_hub_fetch(char *path, size_t room, const char *repo, const char *file,
                             const wilor_hub_options *o, wilor_error *err) {
    job j = {.offline = false};
    if (!path || room == 0)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_hub_fetch: no room for the path");
    path[0] = 0;
    wilor_status st = open_job(&j, repo, file, o, err);
    if (st == WILOR_OK)
        st = search(&j, err);
    if (st == WILOR_OK && strlen(j.found) >= room)
        st = wilor_error_set(err, WILOR_ERR_LIMIT, "the cache's path is longer than %zu bytes",
                             room);
    if (st == WILOR_OK) {
        memcpy(path, j.found, strlen(j.found) + 1);
        wilor_error_clear(err);
    }
    close_job(&j);
    return st;
}
