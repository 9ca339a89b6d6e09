/* Listing pictures, and names for what is made from them.
 *
 * Two pictures may have one stem (a/x.jpg and b/x.jpg, x.jpg and x.png): the later gets "-2",
 * "-3" …, decided here for all of them, so that a picture's outputs have the same names whether
 * or not an earlier one fails. Names that differ only in the case of ASCII letters count as
 * one: some file systems think so. */
#include "sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while listing pictures");
}

/* Takes path over; NULL is "no memory". */
static wilor_status push(wilor_cli_sources *s, char *path, wilor_error *err) {
    if (path && s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        char **grown = room <= SIZE_MAX / sizeof *grown
                           ? realloc((void *)s->paths, room * sizeof *grown)
                           : NULL;
        if (grown) {
            s->paths = grown;
            s->room = room;
        }
    }
    if (!path || s->count == s->room) {
        free(path);
        return no_memory(err);
    }
    s->paths[s->count++] = path;
    return WILOR_OK;
}

static char *join(const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    bool slash = a > 0 && folder[a - 1] != '/';
    char *path = malloc(a + slash + b + 1);
    if (path)
        sprintf(path, "%s%s%s", folder, slash ? "/" : "", name);
    return path;
}

/* Whether a regular file begins as a picture does. */
static bool is_picture(const char *path) {
    unsigned char head[12] = {0};
    struct stat what;
    /* A pipe would block an open that waits for a writer; a folder has its own meaning. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = -1;
    if (fstat(fd, &what) == 0 && S_ISREG(what.st_mode))
        n = read(fd, head, sizeof head);
    close(fd);
    return (n >= 3 && !memcmp(head, "\xFF\xD8\xFF", 3)) ||
           (n >= 8 && !memcmp(head, "\x89PNG\r\n\x1A\n", 8)) ||
           (n >= 12 && !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WEBP", 4));
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static wilor_status list_folder(wilor_cli_sources *s, const char *folder,
                                wilor_cli_report *report, size_t *failed, wilor_error *err) {
    wilor_cli_quoted q;
    size_t first = s->count, others = 0;
    wilor_status st = WILOR_OK;
    DIR *dir = opendir(folder);
    if (!dir) {
        wilor_cli_report_error(report, "%s: cannot list the folder: %s",
                               wilor_cli_quote(&q, folder), strerror(errno));
        ++*failed;
        return WILOR_OK;
    }
    for (struct dirent *entry; st == WILOR_OK && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *path = join(folder, entry->d_name);
        if (path && !is_picture(path)) {
            others++;
            free(path);
            continue;
        }
        st = push(s, path, err);
    }
    closedir(dir);
    if (st != WILOR_OK)
        return st;
    if (s->count == first) {
        wilor_cli_report_error(report, "%s: no picture in this folder",
                               wilor_cli_quote(&q, folder));
        ++*failed;
        return WILOR_OK;
    }
    if (others)
        wilor_cli_report_note(report, "%s: %zu of its entries %s no picture",
                              wilor_cli_quote(&q, folder), others, others == 1 ? "is" : "are");
    qsort((void *)(s->paths + first), s->count - first, sizeof *s->paths, by_bytes);
    return WILOR_OK;
}

/* ---------------------------------------------------------------- stems */

static unsigned char lower(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool same(const char *a, const char *b) {
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

/* Slot of a name in an open-addressing table of `mask + 1` slots: where it is, or a free one. */
static size_t slot_of(char *const *table, size_t mask, const char *name) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (const char *c = name; *c; c++)
        h = (h ^ lower(*c)) * 1099511628211u;
    size_t i = (size_t)(h ^ h >> 32) & mask;
    while (table[i] && !same(table[i], name))
        i = (i + 1) & mask;
    return i;
}

/* The stem of a path, made unlike those in the table and put there. NULL: no memory. */
static char *new_stem(char **table, size_t mask, const char *path) {
    const char *base = strcmp(path, "-") != 0 ? wilor_cli_base_name(path) : "stdin";
    size_t length = (size_t)(wilor_cli_ending(base) - base);
    char *stem = malloc(length + 24);
    if (!stem)
        return NULL;
    memcpy(stem, base, length);
    stem[length] = 0;
    size_t slot = slot_of(table, mask, stem);
    for (size_t n = 2; table[slot]; n++) {
        snprintf(stem + length, 24, "-%zu", n);
        slot = slot_of(table, mask, stem);
    }
    table[slot] = stem;
    return stem;
}

wilor_status wilor_cli_sources_name(wilor_cli_sources *s, wilor_error *err) {
    size_t size = 16;
    while (size / 2 < s->count)
        size *= 2;
    char **table = calloc(size, sizeof *table);
    s->stems = calloc(s->count + 1, sizeof *s->stems);
    bool ok = table && s->stems;
    for (size_t i = 0; ok && i < s->count; i++) {
        s->stems[i] = new_stem(table, size - 1, s->paths[i]);
        ok = s->stems[i] != NULL;
        s->stem_count = i + 1;
    }
    free((void *)table);
    return ok ? WILOR_OK : no_memory(err);
}

wilor_status wilor_cli_sources_list(wilor_cli_sources *s, const char *const *inputs,
                                    size_t count, wilor_cli_report *report, size_t *failed,
                                    wilor_error *err) {
    wilor_status st = WILOR_OK;
    *s = (wilor_cli_sources){0};
    for (size_t i = 0; st == WILOR_OK && i < count; i++) {
        struct stat what;
        wilor_cli_quoted q;
        if (!strcmp(inputs[i], "-")) {
            st = push(s, strdup("-"), err);
        } else if (stat(inputs[i], &what) != 0) {
            wilor_cli_report_error(report, "%s: %s", wilor_cli_quote(&q, inputs[i]),
                                   strerror(errno));
            ++*failed;
        } else if (S_ISDIR(what.st_mode)) {
            s->folder = true;
            st = list_folder(s, inputs[i], report, failed, err);
        } else {
            st = push(s, strdup(inputs[i]), err);
        }
    }
    return st;
}

void wilor_cli_sources_free(wilor_cli_sources *s) {
    for (size_t i = 0; i < s->count; i++)
        free(s->paths[i]);
    for (size_t i = 0; i < s->stem_count; i++)
        free(s->stems[i]);
    free((void *)s->paths);
    free((void *)s->stems);
    *s = (wilor_cli_sources){0};
}
