/* Output files, written beside their place and renamed.
 *
 * Exclusive creation instead of mkstemp: the umask applies, as to any file the user makes. */
#include "temp_file.h"

#include "system_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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
        int fd = wilor_sys_open(*name, WILOR_SYS_READ | WILOR_SYS_WRITE | WILOR_SYS_CREATE |
                                           WILOR_SYS_EXCLUSIVE);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Where a symbolic link leads, else the path itself: a link stays and its target is replaced. NULL
 * with errno when it leads nowhere. */
static char *resolve(const char *path) {
    return wilor_sys_is_link(path) ? wilor_sys_real_path(path) : strdup(path);
}

static bool is_special(const char *path) {
    wilor_sys_info what;
    return wilor_sys_stat(path, &what) == 0 && what.kind != WILOR_SYS_FILE;
}

wilor_status wilor_cli_temp_open(wilor_cli_temp_file *t, const char *path, wilor_error *err) {
    *t = (wilor_cli_temp_file){0};
    bool direct = is_special(path);
    int fd = -1;
    t->final_path = direct ? strdup(path) : resolve(path);
    if (t->final_path)
        fd = direct ? wilor_sys_open(path, WILOR_SYS_WRITE)
                    : create_beside(t->final_path, &t->path);
    if (fd >= 0)
        t->file = fdopen(fd, direct ? "wb" : "w+b");
    if (t->file)
        return WILOR_OK;
    wilor_status st = wilor_cli_fail_errno(err, path, "cannot write", errno);
    if (fd >= 0) {
        close(fd);
        if (t->path)
            wilor_sys_unlink(t->path);
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
        wilor_sys_unlink(t->path);
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
    if (!failed && t->path && wilor_sys_rename(t->path, t->final_path) != 0) {
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
        wilor_sys_unlink(t->path);
    free(t->path);
    free(t->final_path);
    *t = (wilor_cli_temp_file){0};
}

wilor_status wilor_cli_folder_make(const char *path, wilor_error *err) {
    wilor_sys_info what;
    if (wilor_sys_mkdir(path) != 0 && errno != EEXIST)
        return wilor_cli_fail_errno(err, path, "cannot make the folder", errno);
    if (wilor_sys_stat(path, &what) != 0)
        return wilor_cli_fail_errno(err, path, "cannot use the folder", errno);
    if (what.kind != WILOR_SYS_FOLDER)
        return wilor_cli_fail_errno(err, path, "cannot use it as a folder", ENOTDIR);
    if (wilor_sys_access(path, WILOR_SYS_FOLDER_WRITABLE) != 0)
        return wilor_cli_fail_errno(err, path, "cannot write into the folder", errno);
    return WILOR_OK;
}
