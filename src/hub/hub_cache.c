/* Files and links of the shared cache.
 *
 * Everything another process may see appears by one rename or one link. What huggingface_hub wrote is
 * read through its links (newer versions keep the bytes in a store beside the repositories) and never
 * written through them. */
#include "hub_cache.h"

#include "heap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REF_MOST = 200, PIECE = 1 << 16 };

static const char TAG[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                          "# This folder is a cache: see https://bford.info/cachedir/\n";

wilor_status wilor_hub_cache_init(wilor_hub_cache *c, const char *root,
                                  const wilor_hub_repo *repo, wilor_error *err) {
    *c = (wilor_hub_cache){.root = root, .repo = repo};
    c->folder = wilor_hub_concat(root, "/", repo->folder, (char *)NULL);
    return c->folder ? WILOR_OK : wilor_hub_no_memory(err);
}

void wilor_hub_cache_fini(wilor_hub_cache *c) {
    wilor_heap_free(c->folder);
    *c = (wilor_hub_cache){0};
}

char *wilor_hub_cache_blob(const wilor_hub_cache *c, const char *etag, const char *ending) {
    return wilor_hub_concat(c->folder, "/blobs/", etag, ending, (char *)NULL);
}

char *wilor_hub_cache_snapshot(const wilor_hub_cache *c, const char *commit, const char *file) {
    return wilor_hub_concat(c->folder, "/snapshots/", commit, "/", file, (char *)NULL);
}

static char *ref_path(const wilor_hub_cache *c, const char *revision) {
    return wilor_hub_concat(c->folder, "/refs/", revision, (char *)NULL);
}

/* ---------------------------------------------------------------- small files */

bool wilor_hub_make_folders(const char *path) {
    char *copy = wilor_heap_string(path);
    bool good = copy != NULL;
    for (char *s = copy ? strchr(copy + 1, '/') : NULL; good && s; s = strchr(s + 1, '/')) {
        *s = 0;
        struct stat info;
        if (mkdir(copy, 0777) != 0 && (stat(copy, &info) != 0 || !S_ISDIR(info.st_mode)))
            good = false;
        *s = '/';
    }
    int code = errno;
    wilor_heap_free(copy);
    errno = code;
    return good;
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* path.<8 hex>.tmp; NULL: no memory. */
static char *temporary_name(const char *path) {
    wilor_hub_nonce n;
    return wilor_hub_concat(path, ".", wilor_hub_nonce_make(&n), ".tmp", (char *)NULL);
}

bool wilor_hub_write_text(const char *path, const char *text) {
    char *temporary = temporary_name(path);
    bool good = temporary && wilor_hub_make_folders(path);
    int fd = good ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        good = write_all(fd, text, strlen(text));
        good = close(fd) == 0 && good && rename(temporary, path) == 0;
        if (!good)
            unlink(temporary);
    }
    wilor_heap_free(temporary);
    return good && fd >= 0;
}

bool wilor_hub_file_size(const char *path, uint64_t *size) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *size = (uint64_t)info.st_size;
    return true;
}

/* ---------------------------------------------------------------- refs */

bool wilor_hub_cache_commit(const wilor_hub_cache *c, const char *revision, char commit[41]) {
    char *path = ref_path(c, revision);
    char *text = path ? wilor_hub_read_text(path, REF_MOST) : NULL;
    const char *from = wilor_hub_is_commit(revision) ? revision : text ? text : "";
    from += strspn(from, " \t\r\n");
    size_t n = strcspn(from, " \t\r\n");
    bool good = n == 40 && strspn(from + n, " \t\r\n") == strlen(from + n);
    if (good) {
        memcpy(commit, from, 40);
        commit[40] = 0;
        good = wilor_hub_is_commit(commit);
    }
    wilor_heap_free(text);
    wilor_heap_free(path);
    return good;
}

void wilor_hub_cache_write_ref(const wilor_hub_cache *c, const char *revision,
                               const char *commit) {
    char old[41];
    if (wilor_hub_is_commit(revision) ||
        (wilor_hub_cache_commit(c, revision, old) && !strcmp(old, commit)))
        return;
    char *path = ref_path(c, revision);
    if (path)
        (void)wilor_hub_write_text(path, commit);
    wilor_heap_free(path);
}

void wilor_hub_cache_write_absent(const wilor_hub_cache *c, const char *commit,
                                  const char *file) {
    char *path = wilor_hub_concat(c->folder, "/.no_exist/", commit, "/", file, (char *)NULL);
    if (path && wilor_hub_make_folders(path)) {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            close(fd);
    }
    wilor_heap_free(path);
}

/* ---------------------------------------------------------------- locks */

bool wilor_hub_cache_try_lock(const wilor_hub_cache *c, const char *etag, wilor_hub_lock *lock,
                              bool *busy) {
    char *path = wilor_hub_concat(c->root, "/.locks/", c->repo->folder, "/", etag, ".lock",
                                  (char *)NULL);
    *busy = false;
    lock->fd = -1;
    if (path && wilor_hub_make_folders(path))
        lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    wilor_heap_free(path);
    if (lock->fd < 0)
        return false;
    while (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        *busy = errno == EWOULDBLOCK;
        wilor_hub_unlock(lock);
        return false;
    }
    return true;
}

void wilor_hub_unlock(wilor_hub_lock *lock) {
    if (lock->fd >= 0)
        close(lock->fd); /* with it goes the lock; its file stays, as Python leaves it */
    lock->fd = -1;
}

/* ---------------------------------------------------------------- blobs and snapshots */

wilor_status wilor_hub_cache_prepare(const wilor_hub_cache *c, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    char *blob = wilor_hub_cache_blob(c, "x", "");
    char *tag = wilor_hub_concat(c->root, "/CACHEDIR.TAG", (char *)NULL);
    if (!blob || !tag)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory while preparing the cache");
    if (!wilor_hub_make_folders(blob))
        WILOR_FAIL(err, WILOR_ERR_IO, "the cache folder %s cannot be written: %s",
                   wilor_quote(&q, c->root), strerror(errno));
    int fd = open(tag, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        (void)write_all(fd, TAG, sizeof TAG - 1);
        close(fd);
    }
done:
    wilor_heap_free(blob);
    wilor_heap_free(tag);
    return st;
}

void wilor_hub_cache_etag_of(const char *snapshot, char etag[WILOR_HUB_ETAG]) {
    char target[4096];
    ssize_t n = readlink(snapshot, target, sizeof target - 1);
    etag[0] = 0;
    if (n <= 0)
        return;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    if (!wilor_hub_etag_clean(etag, slash ? slash + 1 : target))
        etag[0] = 0;
}

/* ../../blobs/<etag>, one more ../ for each slash in the file's path. */
static char *link_target(const char *file, const char *etag) {
    wilor_hub_text t = {0};
    wilor_hub_text_put(&t, "../../");
    for (const char *s = file; (s = strchr(s, '/')) != NULL; s++)
        wilor_hub_text_put(&t, "../");
    wilor_hub_text_put(&t, "blobs/");
    wilor_hub_text_put(&t, etag);
    return wilor_hub_text_take(&t);
}

static bool make_link(const char *target, const char *path) {
    if (symlink(target, path) == 0)
        return true;
    if (errno != EEXIST)
        return false;
    char *temporary = temporary_name(path);
    bool good = temporary && symlink(target, temporary) == 0;
    if (good && rename(temporary, path) != 0) {
        unlink(temporary);
        good = false;
    }
    wilor_heap_free(temporary);
    return good;
}

static bool copy_bytes(int from, int to) {
    char piece[PIECE];
    for (;;) {
        ssize_t n = read(from, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (!write_all(to, piece, (size_t)n))
            return false;
    }
}

static bool copy_file(const char *from, const char *to) {
    char *temporary = temporary_name(to);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = temporary ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    bool good = in >= 0 && out >= 0 && copy_bytes(in, out) && fsync(out) == 0;
    int code = errno;
    if (in >= 0)
        close(in);
    if (out >= 0) {
        good = close(out) == 0 && good;
        if (good && rename(temporary, to) != 0) {
            code = errno;
            good = false;
        }
        if (!good)
            unlink(temporary);
    }
    wilor_heap_free(temporary);
    errno = code;
    return good;
}

wilor_status wilor_hub_cache_link(const wilor_hub_cache *c, const char *commit,
                                  const char *file, const char *etag, bool links, bool move,
                                  wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    char *path = wilor_hub_cache_snapshot(c, commit, file);
    char *target = link_target(file, etag), *blob = wilor_hub_cache_blob(c, etag, "");
    if (!path || !target || !blob)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "out of memory while linking a file");
    bool good = wilor_hub_make_folders(path);
    if (good && !(links && make_link(target, path)))
        good = move ? rename(blob, path) == 0 : copy_file(blob, path);
    if (!good)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s cannot be written: %s", wilor_quote(&q, path),
                   strerror(errno));
done:
    wilor_heap_free(path);
    wilor_heap_free(target);
    wilor_heap_free(blob);
    return st;
}
