/* One file a set of weights: made anew when the weights change, under the same name.
 *
 * Who uses a file holds a shared lock (flock) on it; who removes one, an exclusive lock. The last use is
 * the file's time of change, since times of access are kept by few systems. Processes that make room at
 * the same moment remove no more than both need, and who writes looks again afterwards. */
#include "packed_cache.h"

#include "hub_calls.h"
#include "system_files.h"
#include "temp_file.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FNV-1a; a zero byte ends each. */
static uint64_t mix(uint64_t h, const char *text) {
    for (const char *c = text;; c++) {
        h = (h ^ (unsigned char)*c) * 1099511628211u;
        if (!*c)
            return h;
    }
}

static uint64_t mix_path(uint64_t h, const char *path) {
    char *whole = path ? wilor_sys_real_path(path) : NULL;
    h = mix(h, whole ? whole : path ? path : "");
    free(whole);
    return h;
}

wilor_status wilor_cli_packed_path(char path[WILOR_CLI_PACKED_PATH], const char *weights,
                                   const char *mano, const char *mean, wilor_dtype dtype,
                                   wilor_error *err) {
    enum { NAME = 48 };

    wilor_status st = wilor_hub_folder(path, WILOR_CLI_PACKED_PATH - NAME, WILOR_HUB_OWN, err);
    if (st != WILOR_OK)
        return st;
    uint64_t h = mix(1469598103934665603u, wilor_isa_name(wilor_isa_best()));
    h = mix(h, wilor_dtype_name(dtype));
    h = mix_path(mix_path(mix_path(h, weights), mano), mean);
    size_t n = strlen(path);
    snprintf(path + n, WILOR_CLI_PACKED_PATH - n, "/packed/%016llx.packed",
             (unsigned long long)h);
    return WILOR_OK;
}

/* The folders above a file. */
static wilor_status make_folders(const char *path, wilor_error *err) {
    wilor_cli_quoted q;
    char folder[WILOR_CLI_PACKED_PATH];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t n = (size_t)(slash - path);
        memcpy(folder, path, n);
        folder[n] = 0;
        if (wilor_sys_mkdir(folder) != 0 && errno != EEXIST)
            return wilor_cli_fail(err, WILOR_ERR_IO, "%s: %s", wilor_cli_quote(&q, folder),
                                  strerror(errno));
    }
    return WILOR_OK;
}

static int write_piece(void *user, const void *data, size_t size) {
    return fwrite(data, 1, size, user) != size;
}

wilor_status wilor_cli_packed_write(const char *path, const wilor_model *model,
                                    wilor_error *err) {
    wilor_cli_temp_file t = {0};
    wilor_status st = wilor_cli_temp_open(&t, path, err);
    if (st == WILOR_OK)
        st = wilor_model_save_packed(model, write_piece, t.file, err);
    if (st == WILOR_OK)
        st = wilor_cli_temp_commit(&t, err);
    wilor_cli_temp_discard(&t);
    return st;
}

/* ---------------------------------------------------------------- the limit */

static wilor_status read_limit(uint64_t *limit, wilor_error *err) {
    wilor_cli_quoted q;
    const char *text = wilor_sys_getenv("WILOR_PACKED_LIMIT");
    *limit = UINT64_C(16000000000);
    if (!text || !*text || wilor_cli_parse_count(text, limit))
        return WILOR_OK;
    return wilor_cli_fail(err, WILOR_ERR_ARG,
                          "WILOR_PACKED_LIMIT is %s; it should be a number of bytes, such as "
                          "16G or 500M",
                          wilor_cli_quote(&q, text));
}

/* What is to go: files until enough is free, told of in any order. */
typedef struct candidate {
    char *path;
    uint64_t bytes;
    int64_t used;
    bool goes;
} candidate;

typedef struct room {
    candidate *files;
    size_t count, space;
    uint64_t bytes; /* of all packed weights but the one that is replaced */
    const char *replaced;
    bool no_memory;
} room;

static int collect(void *user, const wilor_hub_entry *e) {
    room *r = user;
    if (e->kind != WILOR_HUB_PACKED || (r->replaced && !strcmp(e->path, r->replaced)))
        return 0;
    r->bytes += e->bytes;
    if (!e->removable)
        return 0;
    if (r->count == r->space) {
        size_t space = r->space ? 2 * r->space : 16;
        candidate *more = realloc(r->files, space * sizeof *more);
        r->no_memory = r->no_memory || !more;
        if (!more)
            return 0;
        r->files = more;
        r->space = space;
    }
    candidate c = {strdup(e->path), e->bytes, e->used, false};
    r->no_memory = r->no_memory || !c.path;
    if (c.path)
        r->files[r->count++] = c;
    return 0;
}

static int by_use(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return x->used != y->used ? (x->used > y->used) - (x->used < y->used)
                              : strcmp(x->path, y->path);
}

static int drop(void *user, const wilor_hub_entry *e) {
    const room *r = user;
    for (size_t i = 0; e->kind == WILOR_HUB_PACKED && i < r->count; i++)
        if (r->files[i].goes && !strcmp(r->files[i].path, e->path))
            return e->used == r->files[i].used; /* used meanwhile: it stays */
    return 0;
}

/* Which go, so that all, with `more` bytes beside them, are at most limit; false: not even all. */
static bool choose(room *r, uint64_t more, uint64_t limit) {
    if (r->count) /* else there is no array */
        qsort(r->files, r->count, sizeof *r->files, by_use);
    for (size_t i = 0; i < r->count && (more > limit || r->bytes > limit - more); i++) {
        r->files[i].goes = true;
        r->bytes -= r->files[i].bytes;
    }
    return more <= limit && r->bytes <= limit - more;
}

static wilor_status make_room(const char *replaced, uint64_t more, wilor_error *err) {
    room r = {.replaced = replaced};
    char size[2][WILOR_CLI_BYTES];
    uint64_t limit = 0;
    wilor_status st = read_limit(&limit, err);
    if (st == WILOR_OK)
        st = wilor_hub_cache_each(collect, &r, err);
    if (st == WILOR_OK && r.no_memory)
        st = wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    if (st == WILOR_OK && !choose(&r, more, limit))
        st = wilor_cli_fail(
            err, WILOR_ERR_LIMIT, "%s and what is in use are more than WILOR_PACKED_LIMIT, %s",
            wilor_cli_bytes(size[0], (double)more), wilor_cli_bytes(size[1], (double)limit));
    if (st == WILOR_OK)
        st = wilor_hub_cache_each(drop, &r, err);
    for (size_t i = 0; i < r.count; i++)
        free(r.files[i].path);
    free(r.files);
    return st;
}

wilor_status wilor_cli_packed_keep(const char *path, const wilor_model *model,
                                   wilor_error *err) {
    enum { HEADER = 4096 };

    wilor_model_info info;
    wilor_error ignored;
    wilor_cli_packed_use own;
    wilor_model_get_info(model, &info, sizeof info);
    wilor_status st = make_room(path, info.packed_bytes + HEADER, err);
    if (st == WILOR_OK)
        st = make_folders(path, err);
    if (st == WILOR_OK)
        st = wilor_cli_packed_write(path, model, err);
    if (st != WILOR_OK)
        return st;
    /* Others may have written at the same time. What is just made is in use. */
    wilor_cli_packed_begin(&own, path);
    make_room(NULL, 0, &ignored);
    wilor_cli_packed_end(&own);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- in use */

void wilor_cli_packed_begin(wilor_cli_packed_use *use, const char *path) {
    use->fd = *path ? wilor_sys_open(path, WILOR_SYS_READ) : -1;
    /* Who cleans holds a file for a moment only. Where there are no locks, cleaning takes a name away
     * and the mapping stays. */
    while (use->fd >= 0 && wilor_sys_lock(use->fd, false, true) != 0 && errno == EINTR)
        ;
}

void wilor_cli_packed_touch(const wilor_cli_packed_use *use) {
    if (use->fd >= 0 && wilor_sys_touch(use->fd) != 0)
        return; /* a cache that may only be read has no order */
}

void wilor_cli_packed_end(wilor_cli_packed_use *use) {
    if (use->fd >= 0)
        close(use->fd);
    use->fd = -1;
}
