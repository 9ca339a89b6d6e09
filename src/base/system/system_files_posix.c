/* system_files.h on Linux, macOS and their likes. */
#include "system_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool wilor_sys_is_link(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

int wilor_sys_access(const char *path, int what) {
    return access(path, what == WILOR_SYS_FOLDER_WRITABLE ? W_OK | X_OK
                        : what == WILOR_SYS_READABLE      ? R_OK
                                                          : F_OK);
}

int wilor_sys_unlink(const char *path) { return unlink(path); }

int wilor_sys_rename(const char *from, const char *to) { return rename(from, to); }

int wilor_sys_mkdir(const char *path) { return mkdir(path, 0777); }

char *wilor_sys_real_path(const char *path) { return realpath(path, NULL); }

int wilor_sys_truncate(int fd, uint64_t bytes) { return ftruncate(fd, (off_t)bytes); }

int wilor_sys_set_mode(int fd, unsigned mode) { return fchmod(fd, (mode_t)mode); }

int wilor_sys_touch(int fd) { return futimens(fd, NULL); }

int wilor_sys_wait_for(int fd) { return fcntl(fd, F_SETFL, 0); }

int wilor_sys_lock(int fd, bool exclusive, bool wait) {
    return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB));
}

int wilor_sys_forget(const char *path) {
#if defined(POSIX_FADV_DONTNEED)
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    fdatasync(fd); /* pages that are not written yet would stay */
    int code = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    errno = code;
    return code ? -1 : 0;
#else
    (void)path;
    errno = ENOSYS;
    return -1;
#endif
}

ssize_t wilor_sys_getline(char **line, size_t *room, FILE *file) {
    return getline(line, room, file);
}

wilor_sys_folder *wilor_sys_folder_open(const char *path) {
    return (wilor_sys_folder *)opendir(path);
}

const char *wilor_sys_folder_next(wilor_sys_folder *f) {
    for (struct dirent *e; (e = readdir((DIR *)f));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return e->d_name;
    return NULL;
}

void wilor_sys_folder_close(wilor_sys_folder *f) {
    if (f)
        closedir((DIR *)f);
}

int wilor_sys_glob(wilor_sys_paths *out, const char *pattern) {
    *out = (wilor_sys_paths){0};
    glob_t *found = calloc(1, sizeof *found);
    if (!found)
        return -1;
    int code = glob(pattern, 0, NULL, found);
    *out = (wilor_sys_paths){found->gl_pathv, found->gl_pathc, found};
    if (code == 0)
        return 0;
    wilor_sys_glob_free(out);
    errno = code == GLOB_NOSPACE ? ENOMEM : ENOENT;
    return -1;
}

void wilor_sys_glob_free(wilor_sys_paths *p) {
    if (p->own)
        globfree(p->own);
    free(p->own);
    *p = (wilor_sys_paths){0};
}
