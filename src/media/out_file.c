/* Files written beside their place and renamed: a reader never sees half of one, and a failed
 * run leaves the old one as it was.
 *
 * The new file gets the old one's permissions, or what the umask allows. A symbolic link stays
 * and its target is replaced. Pipes and devices (/dev/stdout) are written in place. No fsync:
 * this guards against readers, full disks and crashes of ours, not against a power cut, and a
 * folder of a thousand overlays should not wait for the disk a thousand times. */
#include "out_file.h"
#include "clock.h"
#include "heap.h"
#include "system_files.h"
#include "wilor/wilor_io.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wilor_out_file_open_memory(wilor_out_file *f) {
    *f = (wilor_out_file){.fd = -1, .in_memory = true};
}

static wilor_status append(wilor_out_file *f, const void *data, size_t size, wilor_error *err) {
    if (size > f->room - f->used) {
        size_t room = f->room ? f->room : 16384;
        while (room <= SIZE_MAX / 4 && size > room - f->used)
            room *= 2;
        uint8_t *grown = size <= room - f->used ? wilor_heap_resize(f->bytes, room, 1) : NULL;
        if (!grown)
            return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory to keep a picture in");
        f->bytes = grown;
        f->room = room;
    }
    memcpy(f->bytes + f->used, data, size);
    f->used += size;
    return WILOR_OK;
}

static wilor_status fail_errno(const char *path, const char *what, int code, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, code == ENOMEM ? WILOR_ERR_NOMEM : WILOR_ERR_IO, "%s: %s: %s",
                           wilor_quote(&q, path), what, strerror(code));
}

/* The file a chain of links ends at. A last link to nothing is an error: its target's folder
 * may be anywhere. */
static wilor_status resolve(char **target, const char *path, wilor_error *err) {
    bool link = wilor_sys_is_link(path);
    char *real = link ? wilor_sys_real_path(path) : NULL;
    if (link && !real)
        return fail_errno(path, "is a link that leads nowhere", errno, err);
    *target = wilor_heap_string(real ? real : path);
    free(real); /* from malloc */
    return *target ? WILOR_OK : fail_errno(path, "cannot be written", ENOMEM, err);
}

/* Opens a new file in the target's folder. Exclusive creation makes the name ours; the numbers only make a
 * second attempt rare. */
static int open_beside(wilor_out_file *f) {
    enum { ATTEMPTS = 100, EXTRA = 48 };

    size_t folder = (size_t)(wilor_sys_base_name(f->target) - f->target);
    f->temporary = wilor_heap_alloc(folder + EXTRA, 1);
    if (!f->temporary) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(f->temporary, f->target, folder);
    int fd = -1;
    for (int i = 0; i < ATTEMPTS; i++) {
        snprintf(f->temporary + folder, EXTRA, ".wilor-%ld-%08lx-%d.tmp", (long)getpid(),
                 (unsigned long)(wilor_clock_ns() & 0xFFFFFFFFul), i);
        fd = wilor_sys_open(f->temporary,
                            WILOR_SYS_WRITE | WILOR_SYS_CREATE | WILOR_SYS_EXCLUSIVE);
        if (fd >= 0 || errno != EEXIST)
            break;
    }
    if (fd < 0) {
        int code = errno;
        wilor_heap_free(f->temporary);
        f->temporary = NULL; /* not ours to remove */
        errno = code;
    }
    return fd;
}

wilor_status wilor_out_file_open(wilor_out_file *f, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_sys_info info;
    *f = (wilor_out_file){.fd = -1};
    WILOR_TRY(resolve(&f->target, path, err));
    bool exists = wilor_sys_stat(f->target, &info) == 0;
    if (exists && info.kind == WILOR_SYS_FOLDER)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s is a folder, not a file", wilor_quote(&q, path));
    if (exists && info.kind != WILOR_SYS_FILE)
        f->fd = wilor_sys_open(f->target, WILOR_SYS_WRITE);
    else
        f->fd = open_beside(f);
    if (f->fd < 0) {
        st = fail_errno(path, "cannot be written", errno, err);
        goto done;
    }
    /* Where a file system keeps no permissions this fails and does not matter. */
    if (f->temporary && exists && wilor_sys_set_mode(f->fd, info.mode) != 0)
        errno = 0;
done:
    if (st != WILOR_OK)
        wilor_out_file_discard(f);
    return st;
}

wilor_status wilor_out_file_write(wilor_out_file *f, const void *data, size_t size,
                                  wilor_error *err) {
    const uint8_t *at = data;

    enum { MOST = 1 << 30 };

    if (f->in_memory)
        return append(f, data, size, err);
    while (size) {
        ssize_t n = write(f->fd, at, (unsigned)(size < MOST ? size : MOST));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_errno(f->target, "cannot be written", n < 0 ? errno : EIO, err);
        at += n;
        size -= (size_t)n;
    }
    return WILOR_OK;
}

wilor_status wilor_out_file_commit(wilor_out_file *f, wilor_error *err) {
    wilor_status st = WILOR_OK;
    int fd = f->fd;
    f->fd = -1;
    /* Network file systems tell of a full disk only here. */
    if (close(fd) != 0 && errno != EINTR)
        st = fail_errno(f->target, "cannot be written", errno, err);
    else if (f->temporary && wilor_sys_rename(f->temporary, f->target) != 0)
        st = fail_errno(f->target, "cannot be put in its place", errno, err);
    if (st == WILOR_OK) {
        wilor_heap_free(f->temporary);
        f->temporary = NULL;
    }
    wilor_out_file_discard(f);
    return st;
}

void wilor_out_file_discard(wilor_out_file *f) {
    if (f->target && f->fd >= 0)
        close(f->fd);
    if (f->temporary)
        wilor_sys_unlink(f->temporary);
    wilor_heap_free(f->temporary);
    wilor_heap_free(f->target);
    *f = (wilor_out_file){.fd = -1};
}
