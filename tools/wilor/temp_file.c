/* Output files, written beside their place and renamed.
 *
 * O_EXCL with the mode 0666 instead of mkstemp: the umask applies, as to any file the user
 * makes. */
#include "temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int create_beside(const char *path, char **name) {
    enum { TRIES = 100 };

    size_t room = strlen(path) + 48;
    *name = malloc(room);
    if (!*name) {
        errno = ENOMEM;
        return -1;
    }
    for (int i = 0; i < TRIES; i++) {
        snprintf(*name, room, "%s.%ld-%d.tmp", path, (long)getpid(), i);
        int fd = open(*name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Where a symbolic link leads, else the path itself: a link stays and its target is replaced. NULL
 * with errno when it leads nowhere. */
static char *resolve(const char *path) {
    struct stat what;
    bool link = lstat(path, &what) == 0 && S_ISLNK(what.st_mode);
    return link ? realpath(path, NULL) : strdup(path);
}

static bool is_special(const char *path) {
    struct stat what;
    return stat(path, &what) == 0 && !S_ISREG(what.st_mode);
}

wilor_status wilor_cli_temp_open(wilor_cli_temp_file *t, const char *path, wilor_error *err) {
    *t = (wilor_cli_temp_file){0};
    bool direct = is_special(path);
    int fd = -1;
    t->final_path = direct ? strdup(path) : resolve(path);
    if (t->final_path)
        fd = direct ? open(path, O_WRONLY | O_CLOEXEC) : create_beside(t->final_path, &t->path);
    if (fd >= 0)
        t->file = fdopen(fd, direct ? "wb" : "w+b");
    if (t->file)
        return WILOR_OK;
    wilor_status st = wilor_cli_fail_errno(err, path, "cannot write", errno);
    if (fd >= 0) {
        close(fd);
        if (t->path)
            unlink(t->path);
    }
    free(t->path);
    free(t->final_path);
    *t = (wilor_cli_temp_file){0};
    return st;
}

wilor_status wilor_cli_temp_spool(wilor_cli_temp_file *t, const char *path, wilor_error *err) {
    *t = (wilor_cli_temp_file){0};
    int fd = create_beside(path, &t->path);
    if (fd >= 0) {
        unlink(t->path);
        t->file = fdopen(fd, "w+b");
    }
    free(t->path);
    t->path = NULL;
    if (t->file)
        return WILOR_OK;
    wilor_status st = wilor_cli_fail_errno(err, path, "cannot write beside it", errno);
    if (fd >= 0)
        close(fd);
    return st;
}

wilor_status wilor_cli_temp_commit(wilor_cli_temp_file *t, wilor_error *err) {
    bool failed = fflush(t->file) != 0 || ferror(t->file);
    int code = errno;
    if (fclose(t->file) != 0 && !failed) {
        failed = true;
        code = errno;
    }
    t->file = NULL;
    if (!failed && t->path && rename(t->path, t->final_path) != 0) {
        failed = true;
        code = errno;
    }
    wilor_status st = WILOR_OK;
    if (failed) {
        st = wilor_cli_fail_errno(err, t->final_path, "cannot write", code);
    } else {
        free(t->path); /* the name is gone */
        t->path = NULL;
    }
    wilor_cli_temp_discard(t);
    return st;
}

void wilor_cli_temp_discard(wilor_cli_temp_file *t) {
    if (t->file)
        fclose(t->file);
    if (t->path)
        unlink(t->path);
    free(t->path);
    free(t->final_path);
    *t = (wilor_cli_temp_file){0};
}

wilor_status wilor_cli_folder_make(const char *path, wilor_error *err) {
    struct stat what;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return wilor_cli_fail_errno(err, path, "cannot make the folder", errno);
    if (stat(path, &what) != 0)
        return wilor_cli_fail_errno(err, path, "cannot use the folder", errno);
    if (!S_ISDIR(what.st_mode))
        return wilor_cli_fail_errno(err, path, "cannot use it as a folder", ENOTDIR);
    if (access(path, W_OK | X_OK) != 0)
        return wilor_cli_fail_errno(err, path, "cannot write into the folder", errno);
    return WILOR_OK;
}
