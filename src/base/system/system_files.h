/* What differs between POSIX and Windows: names of files, folders, locks. Errors as in system.h. */
#ifndef WILOR_SYSTEM_FILES_H
#define WILOR_SYSTEM_FILES_H

#include "system.h"

enum { WILOR_SYS_EXISTS = 0, WILOR_SYS_READABLE = 1, WILOR_SYS_FOLDER_WRITABLE = 2 };

int wilor_sys_access(const char *path, int what);
bool wilor_sys_is_link(const char *path); /* a symbolic one; Windows: never */
/* Absolute, links resolved; from malloc. */
char *wilor_sys_real_path(const char *path);
int wilor_sys_unlink(const char *path);
/* Replaces what has the name; Windows: unless somebody has that open. */
int wilor_sys_rename(const char *from, const char *to);
int wilor_sys_mkdir(const char *path);

int wilor_sys_truncate(int fd, uint64_t bytes);
int wilor_sys_set_mode(int fd, unsigned mode); /* Windows: nothing */
int wilor_sys_touch(int fd);                   /* written to now */
/* Waits while the descriptor would block: AT_ONCE was for opening only. */
int wilor_sys_wait_for(int fd);
/* flock(2): between processes that lock; the whole file. EWOULDBLOCK when another has it and wait is not
 * wanted. Ends with the descriptor. */
int wilor_sys_lock(int fd, bool exclusive, bool wait);
/* Drop a file's clean pages from the system's cache. ENOSYS: not here. */
int wilor_sys_forget(const char *path);
/* getline(3). */
ssize_t wilor_sys_getline(char **line, size_t *room, FILE *file);

typedef struct wilor_sys_folder wilor_sys_folder;

wilor_sys_folder *wilor_sys_folder_open(const char *path);
/* The next name, "." and ".." left out, in no order; NULL: no more. Valid until the next call. */
const char *wilor_sys_folder_next(wilor_sys_folder *f);
void wilor_sys_folder_close(wilor_sys_folder *f); /* takes NULL */

typedef struct wilor_sys_paths {
    char **at;
    size_t count;
    void *own;
} wilor_sys_paths;

/* What glob(3) finds for * ? [, sorted. -1 with errno: ENOMEM, or ENOENT when nothing matches. */
int wilor_sys_glob(wilor_sys_paths *out, const char *pattern);
void wilor_sys_glob_free(wilor_sys_paths *p);

#endif
