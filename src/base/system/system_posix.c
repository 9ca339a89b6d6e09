/* system.h on Linux, macOS and their likes: thin calls of POSIX. */
#include "system.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

int wilor_sys_open(const char *path, int how) {
    int flags = O_CLOEXEC;
    flags |= !(how & WILOR_SYS_WRITE) ? O_RDONLY : how & WILOR_SYS_READ ? O_RDWR : O_WRONLY;
    flags |= how & WILOR_SYS_CREATE ? O_CREAT : 0;
    flags |= how & WILOR_SYS_EXCLUSIVE ? O_EXCL : 0;
    flags |= how & WILOR_SYS_AT_ONCE ? O_NONBLOCK : 0;
    return open(path, flags, 0666);
}

FILE *wilor_sys_fopen(const char *path, const char *mode) { return fopen(path, mode); }

static int fill(wilor_sys_info *out, int code, const struct stat *info) {
    if (code != 0)
        return code;
    mode_t mode = info->st_mode;
    out->kind = S_ISREG(mode)                    ? WILOR_SYS_FILE
                : S_ISDIR(mode)                  ? WILOR_SYS_FOLDER
                : S_ISFIFO(mode)                 ? WILOR_SYS_PIPE
                : S_ISSOCK(mode)                 ? WILOR_SYS_SOCKET
                : S_ISCHR(mode) || S_ISBLK(mode) ? WILOR_SYS_DEVICE
                                                 : WILOR_SYS_OTHER;
    out->size = (uint64_t)info->st_size;
#if defined(__APPLE__)
    out->changed_ns =
        (int64_t)info->st_mtimespec.tv_sec * 1000000000 + info->st_mtimespec.tv_nsec;
#else
    out->changed_ns = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
#endif
    out->mode = mode & 0777;
    return 0;
}

int wilor_sys_stat(const char *path, wilor_sys_info *out) {
    struct stat info;
    return fill(out, stat(path, &info), &info);
}

int wilor_sys_fstat(int fd, wilor_sys_info *out) {
    struct stat info;
    return fill(out, fstat(fd, &info), &info);
}

bool wilor_sys_is_separator(char c) { return c == '/'; }

const char *wilor_sys_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

ssize_t wilor_sys_pread(int fd, void *out, size_t bytes, uint64_t at) {
    return pread(fd, out, bytes, (off_t)at);
}

void *wilor_sys_map(int fd, size_t bytes, bool shared) {
    void *map =
        mmap(NULL, bytes ? bytes : 1, PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

void wilor_sys_unmap(void *map, size_t bytes) { munmap(map, bytes ? bytes : 1); }

void wilor_sys_map_release(void *map, size_t bytes) { madvise(map, bytes, MADV_DONTNEED); }

const char *wilor_sys_getenv(const char *name) { return getenv(name); }

const char *wilor_sys_secure_getenv(const char *name) {
#if defined(__GLIBC__)
    return secure_getenv(name);
#else
    return getenv(name);
#endif
}

size_t wilor_sys_program_path(char *path, size_t room) {
#if defined(__linux__)
    ssize_t n = readlink("/proc/self/exe", path, room - 1);
    return n > 0 ? (size_t)n : 0;
#elif defined(__APPLE__)
    uint32_t size = (uint32_t)room;
    return _NSGetExecutablePath(path, &size) == 0 ? strlen(path) : 0;
#else
    (void)path;
    (void)room;
    return 0;
#endif
}
