/* Read-only files: pread and mmap; on Windows a view of a file mapping.
 *
 * Easy to get wrong: a file's size is what fstat said once. Reading goes to that size and no
 * further, and an early end is an error, never zeros. */
#include "file_map.h"
#include "heap.h"

#include <errno.h>
#include <string.h>

#if !defined(_WIN32)

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)                    ? "a folder"
           : S_ISFIFO(mode)                 ? "a pipe"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "not a regular file";
}

/* A regular file's descriptor and size. */
static wilor_status open_regular(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    struct stat info;
    *m = (wilor_file_map){.fd = -1};
    /* O_NONBLOCK: opening a pipe must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path),
                               strerror(errno));
    if (fstat(fd, &info) != 0)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: %s", wilor_quote(&q, path), strerror(errno));
    if (!S_ISREG(info.st_mode))
        WILOR_FAIL(err, WILOR_ERR_IO, "%s is %s, not a file", wilor_quote(&q, path),
                   kind_of(info.st_mode));
    if ((uint64_t)info.st_size > PTRDIFF_MAX)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "%s: %lld bytes do not fit this machine's addresses",
                   wilor_quote(&q, path), (long long)info.st_size);
    m->size = (size_t)info.st_size;
#if defined(__APPLE__)
    m->changed_ns = (int64_t)info.st_mtimespec.tv_sec * 1000000000 + info.st_mtimespec.tv_nsec;
#else
    m->changed_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
#endif
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
        ssize_t n = pread(fd, dst, bytes < most ? bytes : most, (off_t)at);
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
static wilor_status map_whole(wilor_file_map *m, int flags, const char *path,
                              wilor_error *err) {
    wilor_quoted q;
    void *map = mmap(NULL, m->size ? m->size : 1, PROT_READ, flags, m->fd, 0);
    if (map == MAP_FAILED) {
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
    st = m->size <= WILOR_FILE_WHOLE ? read_whole(m, path, err)
                                     : map_whole(m, MAP_PRIVATE, path, err);
done:
    return st;
}

wilor_status wilor_file_map_share(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    WILOR_TRY(open_regular(m, path, err));
    st = map_whole(m, MAP_SHARED, path, err);
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
        munmap((void *)(uintptr_t)m->data, m->size ? m->size : 1);
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
        madvise((void *)(uintptr_t)m->data, m->size, MADV_DONTNEED);
}

wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err) {
    struct stat info;
    wilor_quoted q;
    if (m->mapped && (fstat(m->fd, &info) != 0 || (uint64_t)info.st_size < m->size))
        return wilor_error_set(err, WILOR_ERR_IO, "%s became shorter while it was read",
                               wilor_quote(&q, path));
    return WILOR_OK;
}

#else

#include <windows.h>

static wchar_t *wide_path(const char *path) {
    static const size_t MOST = 32768;
    wchar_t *wide = HeapAlloc(GetProcessHeap(), 0, MOST * sizeof(wchar_t));
    if (wide &&
        !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, (int)MOST)) {
        HeapFree(GetProcessHeap(), 0, wide);
        wide = NULL;
    }
    return wide;
}

/* A mapped file cannot be cut on Windows, so small ones are mapped, too. */
static wilor_status map_up_to(wilor_file_map *m, const char *path, uint64_t limit,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    HANDLE file = INVALID_HANDLE_VALUE, mapping = NULL;
    LARGE_INTEGER size;
    *m = (wilor_file_map){.fd = -1};
    wchar_t *wide = wide_path(path);
    if (!wide)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: not a valid path",
                               wilor_quote(&q, path));
    file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
                       FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: cannot be opened (Windows error %lu)",
                   wilor_quote(&q, path), (unsigned long)GetLastError());
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileSizeEx(file, &size))
        WILOR_FAIL(err, WILOR_ERR_IO, "%s is not a file", wilor_quote(&q, path));
    if ((uint64_t)size.QuadPart > limit)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "%s: %lld bytes, the limit is %llu bytes",
                   wilor_quote(&q, path), (long long)size.QuadPart, (unsigned long long)limit);
    m->size = (size_t)size.QuadPart;
    if (m->size) {
        mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
        m->data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
        if (!m->data)
            WILOR_FAIL(err, WILOR_ERR_IO, "%s: cannot be mapped (Windows error %lu)",
                       wilor_quote(&q, path), (unsigned long)GetLastError());
    }
done:
    if (mapping)
        CloseHandle(mapping);
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    HeapFree(GetProcessHeap(), 0, wide);
    if (st != WILOR_OK)
        *m = (wilor_file_map){.fd = -1};
    return st;
}

wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err) {
    return map_up_to(m, path, PTRDIFF_MAX, err);
}

wilor_status wilor_file_map_share(wilor_file_map *m, const char *path, wilor_error *err) {
    return map_up_to(m, path, PTRDIFF_MAX, err);
}

wilor_status wilor_file_map_load(wilor_file_map *m, const char *path, uint64_t limit,
                                 wilor_error *err) {
    return map_up_to(m, path, limit < PTRDIFF_MAX ? limit : PTRDIFF_MAX, err);
}

void wilor_file_map_close(wilor_file_map *m) {
    if (m->data)
        UnmapViewOfFile(m->data);
    *m = (wilor_file_map){.fd = -1};
}

wilor_status wilor_file_map_read(const wilor_file_map *m, const void *from, size_t bytes,
                                 void *dst, const char *path, wilor_error *err) {
    (void)m, (void)path, (void)err;
    if (bytes)
        memcpy(dst, from, bytes);
    return WILOR_OK;
}

void wilor_file_map_release(const wilor_file_map *m) { (void)m; }

wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err) {
    (void)m, (void)path, (void)err;
    return WILOR_OK;
}

#endif
