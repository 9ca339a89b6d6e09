/* Downloading with patience and without trust.
 *
 * A broken connection is taken up where it broke, up to five times without a new byte; a run that was
 * killed leaves the bytes for the next one. What arrives is measured against what the hub announced
 * before a byte is written (a login page of the network has another length, or is HTML), and hashed
 * before it gets its name: a file of that name is whole and right, always. */
#include "hub_download.h"

#include "heap.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { REFRESHES_MOST = 3 };

typedef struct part {
    const wilor_hub_download *d;
    char *path;
    int fd;
    uint64_t have;
    uint64_t size; /* or WILOR_HUB_UNKNOWN */
    bool ended;    /* of unknown size: the server said that this was all */
    /* Set by the sink. */
    wilor_status st; /* not OK: no further try helps … */
    bool restart;    /* … the bytes that are there are of no use */
    char problem[320];
} part;

/* ---------------------------------------------------------------- errors */

bool wilor_hub_reply_is_transient(const wilor_hub_reply *r) {
    return r->status == 0 || r->status == 408 || r->status == 425 || r->status == 429 ||
           r->status >= 500;
}

double wilor_hub_backoff(int tries, const wilor_hub_reply *r) {
    double wait = tries < 4 ? (double)(1 << (tries - 1)) : 8;
    if (r->retry_after >= 0 && (double)r->retry_after > wait)
        wait = r->retry_after < 60 ? (double)r->retry_after : 60;
    return wait;
}

static wilor_status access_error(const wilor_hub_reply *r, const wilor_hub_repo *repo,
                                 const char *endpoint, const char *what, wilor_error *err) {
    if (!strcmp(r->error_code, "GatedRepo"))
        return wilor_error_set(err, WILOR_ERR_MISSING,
                               "%s: the repository asks for its terms to be accepted: do so at "
                               "%s/%s%s, then set a token (HF_TOKEN)",
                               what, endpoint, repo->prefix, repo->id);
    if (r->status == 401 || !strcmp(r->error_code, "RepoNotFound"))
        return wilor_error_set(err, WILOR_ERR_MISSING,
                               "%s: the hub knows no such repository, or it is private: check "
                               "its name, or set a token (HF_TOKEN) that may read it",
                               what);
    return wilor_error_set(
        err, WILOR_ERR_MISSING,
        "%s: access refused (HTTP 403)%s%s; a token (HF_TOKEN) may lack rights", what,
        *r->error_message ? ": " : "", r->error_message);
}

wilor_status wilor_hub_reply_error(const wilor_hub_reply *r, const wilor_hub_repo *repo,
                                   const char *endpoint, const char *what, wilor_error *err) {
    if (r->status == 401 || r->status == 403 || !strcmp(r->error_code, "GatedRepo") ||
        !strcmp(r->error_code, "RepoNotFound"))
        return access_error(r, repo, endpoint, what, err);
    if (!strcmp(r->error_code, "RevisionNotFound"))
        return wilor_error_set(err, WILOR_ERR_MISSING,
                               "%s: the repository has no such revision", what);
    if (!strcmp(r->error_code, "EntryNotFound"))
        return wilor_error_set(err, WILOR_ERR_MISSING, "%s: the repository has no such file",
                               what);
    if (r->status == 404)
        return wilor_error_set(err, WILOR_ERR_MISSING, "%s: not found (HTTP 404)", what);
    if (r->status == 416)
        return wilor_error_set(err, WILOR_ERR_IO,
                               "%s: the server refuses the rest of the file (HTTP 416)", what);
    if (r->status == 429)
        return wilor_error_set(err, WILOR_ERR_IO,
                               "%s: too many requests (HTTP 429): try again later, or set a "
                               "token (HF_TOKEN)",
                               what);
    if (r->status >= 500)
        return wilor_error_set(err, WILOR_ERR_IO,
                               "%s: the server has a problem (HTTP %ld): try again later", what,
                               r->status);
    if (r->status == 0)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: the hub cannot be reached: %s", what,
                               r->problem);
    return wilor_error_set(err, WILOR_ERR_IO, "%s: unexpected answer (HTTP %ld)%s%s", what,
                           r->status, *r->problem ? ": " : "", r->problem);
}

/* ---------------------------------------------------------------- the sink */

static bool refuse(part *p, wilor_status st, const char *text) {
    p->st = st;
    snprintf(p->problem, sizeof p->problem, "%s", text);
    return false;
}

static bool is_page(const part *p, const wilor_hub_reply *r) {
    const char *dot = strrchr(p->d->file, '.');
    return r->is_html && !(dot && !strncasecmp(dot, ".htm", 4));
}

static bool start_over(part *p) {
    if (ftruncate(p->fd, 0) != 0 || lseek(p->fd, 0, SEEK_SET) != 0) {
        p->st = WILOR_ERR_IO;
        snprintf(p->problem, sizeof p->problem, "cannot be written: %s", strerror(errno));
        return false;
    }
    p->have = 0;
    return true;
}

static bool begin_rest(part *p, const wilor_hub_reply *r) {
    bool known = p->size != WILOR_HUB_UNKNOWN && r->range_total != WILOR_HUB_UNKNOWN;
    if (!r->encoded && r->range_first == p->have && !(known && r->range_total != p->size)) {
        if (p->size == WILOR_HUB_UNKNOWN)
            p->size = r->range_total;
        return true;
    }
    snprintf(p->problem, sizeof p->problem, "the server sent another part than was asked for");
    p->restart = true;
    return false;
}

static bool begin(void *user, const wilor_hub_reply *r) {
    part *p = user;
    bool stated = r->length != WILOR_HUB_UNKNOWN && !r->encoded;
    char text[200];
    if (r->status == 206)
        return begin_rest(p, r);
    if (r->status != 200)
        return false; /* looked at by the caller */
    if (is_page(p, r))
        return refuse(p, WILOR_ERR_FORMAT,
                      "a web page came instead of the file: a login page of this network, a "
                      "firewall?");
    if (stated && p->size != WILOR_HUB_UNKNOWN && r->length != p->size) {
        snprintf(text, sizeof text,
                 "the server would send %" PRIu64 " bytes, the hub announced %" PRIu64,
                 r->length, p->size);
        return refuse(p, WILOR_ERR_FORMAT, text);
    }
    if (p->size == WILOR_HUB_UNKNOWN && stated)
        p->size = r->length;
    return start_over(p);
}

static bool take(void *user, const void *data, size_t size) {
    part *p = user;
    const char *at = data;
    if (p->size != WILOR_HUB_UNKNOWN && size > p->size - p->have) {
        p->restart = true;
        return refuse(p, WILOR_ERR_FORMAT, "the server sends more bytes than were announced");
    }
    while (size) {
        ssize_t n = write(p->fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            p->st = WILOR_ERR_IO;
            snprintf(p->problem, sizeof p->problem, "%s after %" PRIu64 " bytes",
                     errno == ENOSPC ? "the disk is full" : strerror(errno), p->have);
            return false;
        }
        at += n;
        size -= (size_t)n;
        p->have += (uint64_t)n;
    }
    const wilor_callbacks *c = p->d->callbacks;
    if (c->progress)
        c->progress(c->user, p->d->file, p->have, p->size == WILOR_HUB_UNKNOWN ? 0 : p->size);
    return true;
}

/* ---------------------------------------------------------------- tries */

static wilor_status fail_file(const part *p, wilor_status st, const char *why,
                              wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, st, "%s: %s: %s", p->d->cache->repo->id,
                           wilor_quote(&q, p->d->file), why);
}

static bool complete(const part *p) {
    return p->size != WILOR_HUB_UNKNOWN ? p->have == p->size : p->ended;
}

/* What an answer means for the next try: OK is "go on". */
static wilor_status judge(part *p, const wilor_hub_reply *r, int *refreshes, wilor_error *err) {
    const wilor_hub_download *d = p->d;
    char what[320];
    wilor_quoted q;
    if (p->st != WILOR_OK) {
        if (p->restart)
            (void)start_over(p);
        return fail_file(p, p->st, p->problem, err);
    }
    if (r->status == 200 || r->status == 206) {
        p->ended = !r->broken && !p->restart;
        return !p->restart || start_over(p) ? WILOR_OK
                                            : fail_file(p, WILOR_ERR_IO, p->problem, err);
    }
    if (r->status == 416 && p->size == WILOR_HUB_UNKNOWN && r->range_total == p->have) {
        p->ended = true; /* an earlier run had it all, and did not know */
        return WILOR_OK;
    }
    if (r->status == 416 && p->have > 0)
        return start_over(p) ? WILOR_OK : fail_file(p, WILOR_ERR_IO, p->problem, err);
    /* The address was signed for a while only: ask for a new one. */
    if ((r->status == 401 || r->status == 403 || r->status == 410) &&
        (*refreshes)++ < REFRESHES_MOST)
        return d->refresh(d->user, err);
    if (wilor_hub_reply_is_transient(r))
        return WILOR_OK;
    snprintf(what, sizeof what, "%s: %s", d->cache->repo->id, wilor_quote(&q, d->file));
    if (r->status == 401 || r->status == 403 || r->status == 410)
        return wilor_error_set(err, WILOR_ERR_IO,
                               "%s: the storage refuses the file (HTTP %ld), also after asking "
                               "the hub for a new address",
                               what, r->status);
    return wilor_hub_reply_error(r, d->cache->repo, "", what, err);
}

static wilor_status give_up(const part *p, const wilor_hub_reply *r, wilor_error *err) {
    char why[400];
    if (r->status == 200 || r->status == 206 || r->status == 0)
        snprintf(why, sizeof why, "the connection broke %d times without a new byte (%s)",
                 WILOR_HUB_TRIES, p->problem[0] ? p->problem : r->problem);
    else
        snprintf(why, sizeof why, "the server answers HTTP %ld, %d times", r->status,
                 WILOR_HUB_TRIES);
    char text[560];
    snprintf(text, sizeof text, "%s; the %" PRIu64 " bytes that are there serve the next try",
             why, p->have);
    return fail_file(p, WILOR_ERR_IO, text, err);
}

static wilor_status fetch_bytes(part *p, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_hub_download *d = p->d;
    const wilor_callbacks *c = d->callbacks;
    wilor_hub_reply r;
    wilor_hub_reply_init(&r);
    int tries = 0, refreshes = 0;
    while (!complete(p)) {
        uint64_t before = p->have;
        wilor_hub_sink sink = {p, begin, take};
        p->problem[0] = 0;
        p->restart = false;
        wilor_hub_reply_free(&r);
        WILOR_TRY(wilor_hub_http_get(d->http, d->from->url, p->have, &sink, &r, err));
        WILOR_TRY(judge(p, &r, &refreshes, err));
        if (complete(p))
            break;
        if (p->have > before)
            tries = refreshes = 0;
        if (++tries > WILOR_HUB_TRIES) {
            st = give_up(p, &r, err);
            goto done;
        }
        if (c->log && p->have > before && r.problem[0])
            c->log(c->user, WILOR_LOG_INFO, "the connection broke; going on where it did");
        WILOR_TRY(wilor_hub_http_wait(d->http, wilor_hub_backoff(tries, &r), err));
    }
done:
    wilor_hub_reply_free(&r);
    return st;
}

/* ---------------------------------------------------------------- the file */

static wilor_status check_room(const part *p, wilor_error *err) {
    struct statvfs disk;
    char text[160];
    if (p->size == WILOR_HUB_UNKNOWN || p->size <= p->have || fstatvfs(p->fd, &disk) != 0)
        return WILOR_OK;
    uint64_t block = disk.f_frsize ? disk.f_frsize : 1, need = p->size - p->have;
    if ((uint64_t)disk.f_bavail >= need / block + 1)
        return WILOR_OK;
    snprintf(text, sizeof text,
             "the disk is too full: %" PRIu64 " MB are needed, %" PRIu64 " MB are free",
             need / 1000000 + 1, (uint64_t)disk.f_bavail * block / 1000000);
    return fail_file(p, WILOR_ERR_IO, text, err);
}

static wilor_status open_part(part *p, bool locked, wilor_error *err) {
    wilor_hub_nonce nonce;
    wilor_quoted q;
    struct stat info;
    const wilor_hub_download *d = p->d;
    char *ending = locked ? wilor_heap_string(".wilor.incomplete")
                          : wilor_hub_concat(".", wilor_hub_nonce_make(&nonce), ".incomplete",
                                             (char *)NULL);
    p->path = ending ? wilor_hub_cache_blob(d->cache, d->from->etag, ending) : NULL;
    wilor_heap_free(ending);
    if (!p->path)
        return wilor_hub_no_memory(err);
    /* O_NOFOLLOW: nobody's link decides what is written here. */
    p->fd =
        open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (locked ? 0 : O_EXCL), 0666);
    if (p->fd < 0 || fstat(p->fd, &info) != 0)
        return wilor_error_set(err, WILOR_ERR_IO, "%s cannot be written: %s",
                               wilor_quote(&q, p->path), strerror(errno));
    if (!S_ISREG(info.st_mode))
        return wilor_error_set(err, WILOR_ERR_IO, "%s is not a regular file",
                               wilor_quote(&q, p->path));
    p->have = (uint64_t)info.st_size;
    if (p->have > p->size && !start_over(p))
        return fail_file(p, WILOR_ERR_IO, p->problem, err);
    if (lseek(p->fd, 0, SEEK_END) < 0)
        return fail_file(p, WILOR_ERR_IO, strerror(errno), err);
    return check_room(p, err);
}

/* All bytes are there: are they the right ones? */
static wilor_status check_and_rename(part *p, wilor_hub_hashes *hashes, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_hub_download *d = p->d;
    const char *etag = d->from->etag;
    char *blob = NULL;
    if (fsync(p->fd) != 0)
        return fail_file(p, WILOR_ERR_IO, strerror(errno), err);
    WILOR_TRY(wilor_hub_hash_file(hashes, p->path, wilor_hub_is_hex(etag, 40), d->callbacks,
                                  "checking", err));
    if (hashes->size != p->have || !wilor_hub_hash_agrees(hashes, etag)) {
        unlink(p->path);
        st = fail_file(p, WILOR_ERR_FORMAT,
                       "what arrived is not what the hub announced (its hash differs); it was "
                       "deleted: try again, and beware of this network if it goes on",
                       err);
        goto done;
    }
    blob = wilor_hub_cache_blob(d->cache, etag, "");
    if (!blob)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory after a download");
    if (rename(p->path, blob) != 0)
        st = fail_file(p, WILOR_ERR_IO, strerror(errno), err);
done:
    wilor_heap_free(blob);
    return st;
}

wilor_status wilor_hub_download_run(const wilor_hub_download *d, bool locked,
                                    wilor_hub_hashes *hashes, wilor_error *err) {
    wilor_status st = WILOR_OK;
    part p = {.d = d, .fd = -1, .size = d->from->size};
    WILOR_TRY(open_part(&p, locked, err));
    WILOR_TRY(fetch_bytes(&p, err));
    WILOR_TRY(check_and_rename(&p, hashes, err));
done:
    if (p.fd >= 0)
        close(p.fd);
    /* Nobody could resume a name of our own; no bytes are not worth keeping either. */
    if (st != WILOR_OK && p.path && p.fd >= 0 && (!locked || p.have == 0))
        unlink(p.path);
    wilor_heap_free(p.path);
    return st;
}
