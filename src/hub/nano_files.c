/* Where the free model lies: a folder that is installed beside the program, or named by the
 * environment. Nothing is opened here, and no network asked. */
#include "status.h"
#include "system_files.h"
#include "wilor/wilor_io.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 4096 };

static const char *const g_names[] = {"nano.safetensors", "hand-detector-nano.safetensors"};

/* bin/wilor's folder is share/wilor/nano beside bin; a build tree has a link there. */
static bool beside_program(char folder[ROOM]) {
    static const char rest[] = "share/wilor/nano";
    size_t n = wilor_sys_program_path(folder, ROOM);
    for (int up = 0; up < 2; up++) { /* the name, and the folder's */
        while (n > 0 && folder[n - 1] != '/')
            n--;
        n -= n > 1 && up == 0;
    }
    if (n == 0 || n + sizeof rest > ROOM)
        return false;
    memcpy(folder + n, rest, sizeof rest);
    return true;
}

static bool has(const char *folder, const char *name, char path[ROOM]) {
    int n = snprintf(path, ROOM, "%s/%s", folder, name);
    return n > 0 && n < ROOM && wilor_sys_access(path, WILOR_SYS_READABLE) == 0;
}

static wilor_status hand_over(char *out, size_t room, const char *path, wilor_error *err) {
    if (strlen(path) >= room)
        return wilor_error_set(err, WILOR_ERR_LIMIT, "a path of %zu bytes, room for %zu",
                               strlen(path), room);
    strcpy(out, path);
    return WILOR_OK;
}

wilor_status wilor_nano_path(char *path, size_t room, wilor_nano_file file, wilor_error *err) {
    char found[ROOM], beside[ROOM];
    wilor_quoted q, q2;
    wilor_error_clear(err);
    if (!path || room == 0 || (unsigned)file > WILOR_NANO_DETECTOR)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_nano_path: path, room %zu or file %d",
                               room, (int)file);
    path[0] = 0;
    const char *name = g_names[file], *named = wilor_sys_getenv("WILOR_NANO_DIR");
    if (named && *named)
        return has(named, name, found)
                   ? hand_over(path, room, found, err)
                   : wilor_error_set(err, WILOR_ERR_MISSING,
                                     "the nano model's %s is not in %s (WILOR_NANO_DIR)", name,
                                     wilor_quote(&q, named));
    bool known = beside_program(beside);
    if ((known && has(beside, name, found)) || has(WILOR_NANO_FOLDER, name, found))
        return hand_over(path, room, found, err);
    return wilor_error_set(err, WILOR_ERR_MISSING,
                           "the nano model's %s is neither in %s nor in %s; WILOR_NANO_DIR can "
                           "name its folder",
                           name, known ? wilor_quote(&q, beside) : "share/wilor/nano",
                           wilor_quote(&q2, WILOR_NANO_FOLDER));
}
