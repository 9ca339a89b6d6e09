/* Read-only file mapping (POSIX mmap; on Windows a view of a file mapping). */
#include "file_map.h"

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

wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    struct stat info;
    *m = (wilor_file_map){NULL, 0, -1};
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
    if (m->size) {
        void *map = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            WILOR_FAIL(err, errno == ENOMEM ? WILOR_ERR_NOMEM : WILOR_ERR_IO,
                       "%s: cannot be mapped: %s", wilor_quote(&q, path), strerror(errno));
        m->data = map;
    }
    m->fd = fd;
    return WILOR_OK;
done:
    close(fd);
    *m = (wilor_file_map){NULL, 0, -1};
    return st;
}

void wilor_file_map_close(wilor_file_map *m) {
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    if (m->data || m->size)
        close(m->fd);
    else if (m->fd > 0)
        close(m->fd);
    *m = (wilor_file_map){NULL, 0, -1};
}

void wilor_file_map_release(const wilor_file_map *m, const void *from, size_t bytes) {
    if (!m->data || !bytes)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = ((size_t)((const uint8_t *)from - m->data) + page - 1) / page * page;
    size_t end = ((size_t)((const uint8_t *)from - m->data) + bytes) / page * page;
    if (begin < end && end <= m->size)
        madvise((void *)(uintptr_t)(m->data + begin), end - begin, MADV_DONTNEED);
}

wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err) {
    struct stat info;
    wilor_quoted q;
    if (m->data && (fstat(m->fd, &info) != 0 || (uint64_t)info.st_size < m->size))
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

wilor_status wilor_file_map_open(wilor_file_map *m, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    HANDLE file = INVALID_HANDLE_VALUE, mapping = NULL;
    LARGE_INTEGER size;
    *m = (wilor_file_map){NULL, 0, -1};
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
        *m = (wilor_file_map){NULL, 0, -1};
    return st;
}

void wilor_file_map_close(wilor_file_map *m) {
    if (m->data)
        UnmapViewOfFile(m->data);
    *m = (wilor_file_map){NULL, 0, -1};
}

void wilor_file_map_release(const wilor_file_map *m, const void *from, size_t bytes) {
    (void)m, (void)from, (void)bytes;
}

/* A mapped file cannot be cut on Windows. */
wilor_status wilor_file_map_check(const wilor_file_map *m, const char *path, wilor_error *err) {
    (void)m, (void)path, (void)err;
    return WILOR_OK;
}

#endif
