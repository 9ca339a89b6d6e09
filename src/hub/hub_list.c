/* What lies in the caches, and what of it may go.
 *
 * Repositories are only listed: they are shared with Python, whose own tools remove them with care for
 * what is linked. Partial downloads may go when nobody is at them: ours when their lock is free, those
 * of others when they are a day old. So may packed weights that nobody uses. Links are not followed, so the store that newer versions of
 * huggingface_hub keep beside the repositories counts once, as itself. */
#include "heap.h"
#include "hub_cache.h"
#include "hub_settings.h"
#include "wilor/wilor_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MOST = 32, DAY = 86400 };

typedef struct listing {
    const wilor_hub_settings *settings;
    wilor_hub_each_fn each;
    void *user;
    wilor_error *err;
} listing;

wilor_status wilor_hub_folder(char *path, size_t room, wilor_hub_place place,
                              wilor_error *err) {
    wilor_hub_settings s;
    if (room)
        path[0] = 0;
    wilor_status st = wilor_hub_settings_read(&s, err);
    if (st == WILOR_OK) {
        const char *folder = place == WILOR_HUB_OWN ? s.own : s.cache;
        if (strlen(folder) >= room)
            st = wilor_error_set(err, WILOR_ERR_LIMIT,
                                 "the cache's path is longer than %zu bytes", room);
        else
            memcpy(path, folder, strlen(folder) + 1);
    }
    wilor_hub_settings_free(&s);
    return st;
}

static bool ends(const char *text, const char *with) {
    size_t a = strlen(text), b = strlen(with);
    return a >= b && !strcmp(text + a - b, with);
}

/* Bytes of the regular files below a folder; what cannot be looked at counts as nothing. */
static uint64_t bytes_below(const char *path, int depth) {
    uint64_t sum = 0;
    struct stat info;
    DIR *dir = depth < DEPTH_MOST ? opendir(path) : NULL;
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *below = wilor_hub_concat(path, "/", e->d_name, (char *)NULL);
        if (below && lstat(below, &info) == 0)
            sum += S_ISDIR(info.st_mode)   ? bytes_below(below, depth + 1)
                   : S_ISREG(info.st_mode) ? (uint64_t)info.st_size
                                           : 0;
        wilor_heap_free(below);
    }
    if (dir)
        closedir(dir);
    return sum;
}

static wilor_status remove_file(const listing *x, const char *path) {
    wilor_quoted q;
    if (unlink(path) != 0 && errno != ENOENT)
        return wilor_error_set(x->err, WILOR_ERR_IO, "%s cannot be removed: %s",
                               wilor_quote(&q, path), strerror(errno));
    return WILOR_OK;
}

/* Tell of one thing; remove it when that is wanted and allowed. */
static wilor_status tell(const listing *x, wilor_hub_kind kind, const char *name,
                         const char *path, uint64_t bytes, bool removable) {
    wilor_hub_entry e = {kind, name, path, bytes, removable, 0};
    return x->each(x->user, &e) && removable ? remove_file(x, path) : WILOR_OK;
}

/* Ours is somebody's work as long as the lock of its blob is taken. */
static bool is_abandoned(const listing *x, const char *folder, const char *name,
                         const struct stat *info) {
    const char *own = ".wilor.incomplete";
    if (!ends(name, own))
        return time(NULL) - info->st_mtime > DAY;
    wilor_hub_repo repo = {.prefix = ""};
    wilor_hub_cache cache = {.root = x->settings->cache, .repo = &repo};
    wilor_hub_lock lock;
    bool busy = false;
    char etag[256];
    snprintf(repo.folder, sizeof repo.folder, "%.*s", (int)sizeof repo.folder - 1, folder);
    snprintf(etag, sizeof etag, "%.*s", (int)(strlen(name) - strlen(own)), name);
    bool taken = wilor_hub_cache_try_lock(&cache, etag, &lock, &busy);
    wilor_hub_unlock(&lock);
    return taken;
}

static wilor_status list_partials(const listing *x, const char *folder, const char *path) {
    wilor_status st = WILOR_OK;
    struct stat info;
    char *blobs = wilor_hub_concat(path, "/blobs", (char *)NULL);
    DIR *dir = blobs ? opendir(blobs) : NULL;
    for (const struct dirent *e; st == WILOR_OK && dir && (e = readdir(dir)) != NULL;) {
        if (!ends(e->d_name, ".incomplete"))
            continue;
        char *part = wilor_hub_concat(blobs, "/", e->d_name, (char *)NULL);
        if (part && lstat(part, &info) == 0 && S_ISREG(info.st_mode))
            st = tell(x, WILOR_HUB_PARTIAL, folder, part, (uint64_t)info.st_size,
                      is_abandoned(x, folder, e->d_name, &info));
        wilor_heap_free(part);
    }
    if (dir)
        closedir(dir);
    wilor_heap_free(blobs);
    return st;
}

static bool is_repo(const char *name) {
    static const char *const kinds[] = {"models--", "datasets--", "spaces--", "kernels--"};
    for (int i = 0; i < 4; i++)
        if (!strncmp(name, kinds[i], strlen(kinds[i])))
            return name[strlen(kinds[i])] != 0;
    return false;
}

static wilor_status list_shared(const listing *x) {
    wilor_status st = WILOR_OK;
    struct stat info;
    DIR *dir = opendir(x->settings->cache);
    for (const struct dirent *e; st == WILOR_OK && dir && (e = readdir(dir)) != NULL;) {
        char *path = wilor_hub_concat(x->settings->cache, "/", e->d_name, (char *)NULL);
        bool folder = path && lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
        if (folder && is_repo(e->d_name)) {
            st = tell(x, WILOR_HUB_REPO, e->d_name, path, bytes_below(path, 0), false);
            if (st == WILOR_OK)
                st = list_partials(x, e->d_name, path);
        } else if (folder && !strcmp(e->d_name, "blobs")) {
            st = tell(x, WILOR_HUB_STORE, e->d_name, path, bytes_below(path, 0), false);
        }
        wilor_heap_free(path);
    }
    if (dir)
        closedir(dir);
    return st;
}

/* ---- packed weights: tools/wilor/packed_cache.c writes them */

/* "0123456789abcdef.packed"; with more behind it while it is written. */
static bool has_packed_name(const char *name, bool *whole) {
    size_t n = strspn(name, "0123456789abcdef");
    const char *rest = name + n;
    if (n != 16 || strncmp(rest, ".packed", 7) != 0)
        return false;
    *whole = rest[7] == 0;
    return *whole || ends(rest, ".tmp");
}

static bool is_packed(int fd) {
    static const char magic[] = "wilor packed ";
    char head[sizeof magic - 1];
    return pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
           !memcmp(head, magic, sizeof head);
}

/* A descriptor that holds a packed file alone, so that nobody uses it; -1: somebody does. *ours: it is
 * one of wilor's. */
static int hold_packed(const char *path, bool *ours) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ours = fd >= 0 && is_packed(fd);
    if (*ours && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool can_be_held(const char *path, bool *ours) {
    int fd = hold_packed(path, ours);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The lock is not held while the caller is told, who may take long: it is taken again to remove. */
static wilor_status tell_packed(const listing *x, const char *name, const char *path,
                                const struct stat *info) {
    wilor_status st = WILOR_OK;
    uint64_t bytes = (uint64_t)info->st_size;
    bool whole = false, ours = has_packed_name(name, &whole);
    bool removable = ours && can_be_held(path, &ours);
    if (!ours) /* somebody put it there */
        return tell(x, WILOR_HUB_OWN_FILE, name, path, bytes, false);
    /* What is being written has no lock, but nobody writes for a day. */
    removable = removable && (whole || time(NULL) - info->st_mtime > DAY);
    wilor_hub_entry e = {WILOR_HUB_PACKED,       name, path, bytes, removable,
                         (int64_t)info->st_mtime};
    if (!x->each(x->user, &e) || !removable)
        return WILOR_OK;
    int fd = hold_packed(path, &ours);
    if (fd < 0)
        return WILOR_OK;
    st = remove_file(x, path);
    close(fd);
    return st;
}

static wilor_status list_own(const listing *x, const char *below, bool packed) {
    wilor_status st = WILOR_OK;
    struct stat info;
    char *folder = wilor_hub_concat(x->settings->own, below, (char *)NULL);
    DIR *dir = folder ? opendir(folder) : NULL;
    for (const struct dirent *e; st == WILOR_OK && dir && (e = readdir(dir)) != NULL;) {
        char *path = wilor_hub_concat(folder, "/", e->d_name, (char *)NULL);
        if (path && lstat(path, &info) == 0 && S_ISREG(info.st_mode) &&
            !ends(e->d_name, ".lock"))
            st = packed ? tell_packed(x, e->d_name, path, &info)
                        : tell(x, WILOR_HUB_OWN_FILE, e->d_name, path, (uint64_t)info.st_size,
                               false);
        wilor_heap_free(path);
    }
    if (dir)
        closedir(dir);
    wilor_heap_free(folder);
    return st;
}

wilor_status wilor_hub_cache_each(wilor_hub_each_fn each, void *user, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_hub_settings s;
    listing x = {&s, each, user, err};
    WILOR_TRY(wilor_hub_settings_read(&s, err));
    WILOR_TRY(list_shared(&x));
    WILOR_TRY(list_own(&x, "", false));
    WILOR_TRY(list_own(&x, "/packed", true));
done:
    wilor_hub_settings_free(&s);
    return st;
}
