/* A folder of a test's own below WILOR_TEST_SCRATCH. Included by one file a program:
 * everything is static. */
#ifndef WILOR_TEST_SCRATCH_FOLDER_H
#define WILOR_TEST_SCRATCH_FOLDER_H

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "portable.h"

static char g_folder[512];

/* NAME-XXXXXX; 0, or -1. */
static inline int make_folder(const char *name) {
    snprintf(g_folder, sizeof g_folder, "%s/%s-XXXXXX", WILOR_TEST_SCRATCH, name);
    return mkdtemp(g_folder) ? 0 : -1;
}

static inline void remove_folder(const char *path) {
    char command[1200];
#if defined(_WIN32)
    snprintf(command, sizeof command, "rmdir /s /q \"%s\"", path);
    for (char *c = command + strlen("rmdir /s /q "); *c; c++)
        *c = *c == '/' ? '\\' : *c;
#else
    snprintf(command, sizeof command, "rm -rf '%s'", path);
#endif
    assert_int_equal(system(command), 0);
}

/* A group's teardown. */
static inline int drop_folder(void **state) {
    (void)state;
    remove_folder(g_folder);
    return 0;
}

/* Good until the eighth call after it. */
static inline const char *in_folder(const char *name) {
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", g_folder, name);
    return path;
}

static inline int files_in_folder(void) {
    int n = 0;
    DIR *dir = opendir(g_folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

#endif
