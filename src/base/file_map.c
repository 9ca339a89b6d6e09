/* Read-only files: pread, and views of their bytes.
 *
 * Easy to get wrong: a file's size is what fstat said once. Reading goes to that size and no
 * further, and an early end is an error, never zeros. */
#include "file_map.h"
#include "heap.h"
#include "system.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *kind_of(wilor_sys_kind kind) {
    return kind == WILOR_SYS_FOLDER   ? "a folder"
           : kind == WILOR_SYS_PIPE   ? "a pipe"
           : kind == WILOR_SYS_SOCKET ? "a socket"
           : kind == WILOR_SYS_DEVICE ? "a device"
                                      : "not a regular file";
}

/* A regular file's descriptor and size. */
static wilor_status open_regular(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_sys_info info;
    *m = (wilor_file_map){.fd = -1};
    /* Opening a pipe must not wait for a writer. */
    int fd = wilor_sys_open(path, WILOR_SYS_READ | WILOR_SYS_AT_ONCE);
    if (fd < 0)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path),
                               strerror(errno));
    if (wilor_sys_fstat(fd, &info) != 0)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path), strerror(errno));
    if (info.kind != WILOR_SYS_FILE)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s is %s, not a file", wilor_quote(&q, path),
                   kind_of(info.kind));
    if (info.size > PTRDIFF_MAX)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "%s: %lld bytes do not fit this machine's addresses",
                   wilor_quote(&q, path), (long long)info.size);
    m->size = (size_t)info.size;
    m->changed_ns = info.changed_ns;
    m->fd = fd;
    return WILOR_OK;
done:
    close(fd);
    return st;
}

static wilor_status read_at(int fd, uint8_t *dst, size_t bytes, size_t at, const char *path,
                            wilor_error *err) {
    const size_t most = (size_t)1 << 30; /* some systems refuse more in one call */
    wilor_quoted q;
    while (bytes) {
        ssize_t n = wilor_sys_pread(fd, dst, bytes < most ? bytes : most, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return wilor_error_set(err, WILOR_ERR_IO, "%s: cannot be read: %s",
                                   wilor_quote(&q, path), strerror(errno));
        if (n == 0)
            return wilor_error_set(err, WILOR_ERR_IO, "%s became shorter while it was read",
                                   wilor_quote(&q, path));
        dst += n;
        at += (size_t)n;
        bytes -= (size_t)n;
    }
    return WILOR_OK;
}

/* Room for all of it. A large one goes back to the system when it is freed; the heap might keep it. */
static uint8_t *take_room(wilor_file_map *m) {
    enum { LARGE = 1 << 20 };

    if (m->size < LARGE)
        return wilor_heap_alloc(m->size, 1);
    return wilor_pages_alloc(&m->block, m->size) ? m->block.data : NULL;
}

static void free_copy(wilor_file_map *m, uint8_t *bytes) {
    if (m->block.data)
        wilor_pages_free(&m->block);
    else
        wilor_heap_free(bytes);
}

/* m: opened. The descriptor is closed, whatever comes of it. */
static wilor_status read_whole(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    uint8_t *bytes = NULL;
    if (m->size) {
        bytes = take_room(m);
        if (!bytes)
            WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory for its %zu bytes",
                       wilor_quote(&q, path), m->size);
        WILOR_TRY(read_at(m->fd, bytes, m->size, 0, path, err));
        m->data = bytes;
    }
done:
    if (st != WILOR_OK)
        free_copy(m, bytes);
    close(m->fd);
    m->fd = -1;
    if (st != WILOR_OK)
        m->size = 0;
    return st;
}

/* m: opened. The descriptor stays open. */
static wilor_status map_whole(wilor_file_map *m, bool shared, const char *path,
                              wilor_error *err) {
    wilor_quoted q;
    void *map = wilor_sys_map(m->fd, m->size, shared);
    if (!map) {
        wilor_status st =
            wilor_error_set(err, errno == ENOMEM ? WILOR_ERR_NOMEM : WILOR_ERR_IO,
                            "%s: cannot be mapped: %s", wilor_quote(&q, path), strerror(errno));
        close(m->fd);
        *m = (wilor_file_map){.fd = -1};
        return st;
    }
    m->data = map;
    m->mapped = true;
    return WILOR_OK;
}

wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(open_regular(m, path, err));
    st =
        m->size <= WILOR_FILE_WHOLE ? read_whole(m, path, err) : map_whole(m, false, path, err);
done:
    return st;
}

wilor_status wilor_file_map_share(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(open_regular(m, path, err));
    st = map_whole(m, true, path, err);
done:
    return st;
}

wilor_status wilor_file_map_load(wilor_file_map *m, const char *path, uint64_t limit,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    WILOR_TRY(open_regular(m, path, err));
    if (m->size > limit) {
        st = wilor_error_set(err, WILOR_ERR_LIMIT, "%s: %zu bytes, the limit is %llu bytes",
                             wilor_quote(&q, path), m->size, (unsigned long long)limit);
        close(m->fd);
        *m = (wilor_file_map){.fd = -1};
        return st;
    }
    st = read_whole(m, path, err);
done:
    return st;
}

void wilor_file_map_close(wilor_file_map *m) {
    if (m->mapped) {
        wilor_sys_unmap((void *)(uintptr_t)m->data, m->size);
        close(m->fd);
    } else {
        free_copy(m, (uint8_t *)(uintptr_t)m->data);
    }
    *m = (wilor_file_map){.fd = -1};
}

wilor_status wilor_file_map_read(const wilor_file_map *m, const void *from, size_t bytes,
                                 void *dst, const char *path, wilor_error *err) {
    if (m->mapped)
        return read_at(m->fd, dst, bytes, (size_t)((const uint8_t *)from - m->data), path, err);
    if (bytes)
        memcpy(dst, from, bytes);
    return WILOR_OK;
}

void wilor_file_map_release(const wilor_file_map *m) {
    if (m->mapped)
        wilor_sys_map_release((void *)(uintptr_t)m->data, m->size);
}

wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_sys_info info;
    wilor_quoted q;
    if (m->mapped && (wilor_sys_fstat(m->fd, &info) != 0 || info.size < m->size))
        return wilor_error_set(err, WILOR_ERR_IO, "%s became shorter while it was read",
                               wilor_quote(&q, path));
    return WILOR_OK;
}
