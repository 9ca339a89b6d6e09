/* What differs between POSIX and Windows, as far as the core needs it: reading files by their names.
 *
 * Names are UTF-8 on both; on Windows '\' separates folders as '/' does. Functions fail as POSIX's do, with
 * -1 or NULL and errno. A descriptor is the C library's on both systems: read, write, close, fdopen and
 * fileno are as everywhere (MinGW-w64 has them). Nothing here is for a run's hot path: names are
 * converted on the heap. What changes files is in system_files.h, what a program alone may do in
 * system_process.h: parts of their own, so that the libraries hold nothing of it. */
#ifndef WILOR_SYSTEM_H
#define WILOR_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* For format attributes: MinGW's own printf is used, which knows %zu. */
#if defined(__MINGW32__) && !defined(__clang__)
#define WILOR_SYS_PRINTF gnu_printf
#else
#define WILOR_SYS_PRINTF printf
#endif

typedef enum wilor_sys_kind {
    WILOR_SYS_FILE,
    WILOR_SYS_FOLDER,
    WILOR_SYS_PIPE,
    WILOR_SYS_SOCKET,
    WILOR_SYS_DEVICE,
    WILOR_SYS_OTHER
} wilor_sys_kind;

typedef struct wilor_sys_info {
    wilor_sys_kind kind;
    uint64_t size;
    int64_t changed_ns; /* last written to, since 1970 */
    unsigned mode;      /* permissions, 0777; Windows: 0666 or 0444 */
} wilor_sys_info;

enum {
    WILOR_SYS_READ = 1,
    WILOR_SYS_WRITE = 2,
    WILOR_SYS_CREATE = 4,    /* where there is none; permissions as the umask says */
    WILOR_SYS_EXCLUSIVE = 8, /* with CREATE: EEXIST where there is one */
    WILOR_SYS_AT_ONCE = 16   /* a pipe is not waited for */
};

/* Binary; not inherited by other programs. On Windows others may rename or remove it meanwhile. A folder may be
 * opened for reading, to learn that it is one. */
int wilor_sys_open(const char *path, int how);
FILE *wilor_sys_fopen(const char *path, const char *mode); /* fopen(3), a binary mode */
int wilor_sys_stat(const char *path, wilor_sys_info *out); /* follows links */
int wilor_sys_fstat(int fd, wilor_sys_info *out);
ssize_t wilor_sys_pread(int fd, void *out, size_t bytes, uint64_t at);

/* Read-only view of a file's first bytes (at least 1); shared: pages are others', too. NULL with errno. */
void *wilor_sys_map(int fd, size_t bytes, bool shared);
void wilor_sys_unmap(void *map, size_t bytes);
/* What was read through it need not stay resident. A hint. */
void wilor_sys_map_release(void *map, size_t bytes);

/* The last part of a path. */
const char *wilor_sys_base_name(const char *path);
bool wilor_sys_is_separator(char c);

/* UTF-8; NULL: not set. The text stays valid as long as nobody sets the variable. */
const char *wilor_sys_getenv(const char *name);
/* The same for names of code to load: NULL in a program that runs with more rights than who started it, where
 * the system can tell. */
const char *wilor_sys_secure_getenv(const char *name);
/* The program's own file, with '/', at most room - 1 bytes. Its length; 0: unknown. */
size_t wilor_sys_program_path(char *path, size_t room);

#endif
