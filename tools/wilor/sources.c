/* Listing pictures, and names for what is made from them.
 *
 * Two pictures may have one stem (a/x.jpg and b/x.jpg, x.jpg and x.png): the later gets "-2",
 * "-3" …, decided here for all of them, so that a picture's outputs have the same names whether
 * or not an earlier one fails. Names that differ only in the case of ASCII letters count as
 * one: some file systems think so. Names lie one behind the other in blocks; a path or a stem is
 * put together when it is wanted. */
#include "sources.h"

#include "interrupt.h"
#include "system_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct block {
    struct block *older;
    size_t used, room;
    char text[];
} block;

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while listing pictures");
}

/* A copy of the name that lives as long as s; NULL: no memory. */
static const char *keep(wilor_cli_sources *s, const char *name) {
    enum { BLOCK = 1 << 16 };

    size_t size = strlen(name) + 1;
    block *b = s->names;
    if (!b || b->room - b->used < size) {
        size_t room = size > BLOCK ? size : BLOCK;
        block *fresh = malloc(sizeof *fresh + room);
        if (!fresh)
            return NULL;
        *fresh = (block){.older = b, .room = room};
        s->names = b = fresh;
    }
    char *copy = b->text + b->used;
    memcpy(copy, name, size);
    b->used += size;
    return copy;
}

static wilor_status push(wilor_cli_sources *s, const char *name, uint32_t folder,
                         wilor_error *err) {
    if (s->count >= INT32_MAX)
        return wilor_cli_fail(err, WILOR_ERR_LIMIT, "more than %d pictures", INT32_MAX);
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 16;
        wilor_cli_source *grown =
            room <= SIZE_MAX / sizeof *grown ? realloc(s->entries, room * sizeof *grown) : NULL;
        if (!grown)
            return no_memory(err);
        s->entries = grown;
        s->room = room;
    }
    const char *kept = keep(s, name);
    if (!kept)
        return no_memory(err);
    s->entries[s->count++] = (wilor_cli_source){.name = kept, .folder = folder};
    return WILOR_OK;
}

/* *number is 1 + the folder's place. */
static wilor_status push_folder(wilor_cli_sources *s, const char *folder, uint32_t *number,
                                wilor_error *err) {
    if (s->folder_count == s->folder_room) {
        size_t room = s->folder_room ? s->folder_room * 2 : 4;
        char **grown = realloc((void *)s->folders, room * sizeof *grown);
        if (!grown)
            return no_memory(err);
        s->folders = grown;
        s->folder_room = room;
    }
    char *copy = strdup(folder);
    if (!copy)
        return no_memory(err);
    s->folders[s->folder_count++] = copy;
    *number = (uint32_t)s->folder_count;
    return WILOR_OK;
}

static char *join(const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    bool slash = a > 0 && !wilor_sys_is_separator(folder[a - 1]);
    char *path = malloc(a + slash + b + 1);
    if (path)
        sprintf(path, "%s%s%s", folder, slash ? "/" : "", name);
    return path;
}

char *wilor_cli_sources_path(const wilor_cli_sources *s, size_t i) {
    const wilor_cli_source *e = &s->entries[i];
    return e->folder ? join(s->folders[e->folder - 1], e->name) : strdup(e->name);
}

/* Whether a regular file begins as a picture does. */
static bool is_picture(const char *path) {
    unsigned char head[12] = {0};
    wilor_sys_info what;
    /* A pipe would block an open that waits for a writer; a folder has its own meaning. */
    int fd = wilor_sys_open(path, WILOR_SYS_READ | WILOR_SYS_AT_ONCE);
    if (fd < 0)
        return false;
    ssize_t n = -1;
    if (wilor_sys_fstat(fd, &what) == 0 && what.kind == WILOR_SYS_FILE)
        n = read(fd, head, sizeof head);
    close(fd);
    return (n >= 3 && !memcmp(head, "\xFF\xD8\xFF", 3)) ||
           (n >= 8 && !memcmp(head, "\x89PNG\r\n\x1A\n", 8)) ||
           (n >= 12 && !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WEBP", 4));
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const wilor_cli_source *)a)->name, ((const wilor_cli_source *)b)->name);
}

static wilor_status list_entries(wilor_cli_sources *s, wilor_sys_folder *dir,
                                 const char *folder, uint32_t number, size_t *others,
                                 wilor_error *err) {
    wilor_status st = WILOR_OK;
    for (const char *name; st == WILOR_OK && (name = wilor_sys_folder_next(dir));) {
        if (wilor_cli_interrupted())
            return wilor_cli_fail(err, WILOR_ERR_CANCELLED, "interrupted");
        char *path = join(folder, name);
        if (!path)
            return no_memory(err);
        if (is_picture(path))
            st = push(s, name, number, err);
        else
            ++*others;
        free(path);
    }
    return st;
}

static wilor_status list_folder(wilor_cli_sources *s, const char *folder,
                                wilor_cli_report *report, size_t *failed, wilor_error *err) {
    wilor_cli_quoted q;
    size_t first = s->count, others = 0;
    uint32_t number = 0;
    s->folder = true;
    wilor_sys_folder *dir = wilor_sys_folder_open(folder);
    if (!dir) {
        wilor_cli_report_error(report, "%s: cannot list the folder: %s",
                               wilor_cli_quote(&q, folder), strerror(errno));
        ++*failed;
        return WILOR_OK;
    }
    wilor_status st = push_folder(s, folder, &number, err);
    if (st == WILOR_OK)
        st = list_entries(s, dir, folder, number, &others, err);
    wilor_sys_folder_close(dir);
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
    qsort(s->entries + first, s->count - first, sizeof *s->entries, by_name);
    return WILOR_OK;
}

static wilor_status list_one(wilor_cli_sources *s, const char *path, wilor_cli_report *report,
                             size_t *failed, wilor_error *err) {
    wilor_sys_info what;
    wilor_cli_quoted q;
    if (wilor_sys_stat(path, &what) != 0) {
        wilor_cli_report_error(report, "%s: %s", wilor_cli_quote(&q, path), strerror(errno));
        ++*failed;
        return WILOR_OK;
    }
    return what.kind == WILOR_SYS_FOLDER ? list_folder(s, path, report, failed, err)
                                         : push(s, path, 0, err);
}

/* A pattern that the shell did not expand: too many files for a command line, or quoted. */
static wilor_status list_pattern(wilor_cli_sources *s, const char *pattern,
                                 wilor_cli_report *report, size_t *failed, wilor_error *err) {
    wilor_sys_paths found;
    wilor_cli_quoted q;
    wilor_status st = WILOR_OK;
    int code = wilor_sys_glob(&found, pattern);
    s->folder = true;
    if (code != 0 && errno == ENOMEM) {
        st = no_memory(err);
    } else if (code != 0) {
        wilor_cli_report_error(report, "%s: no file matches", wilor_cli_quote(&q, pattern));
        ++*failed;
    }
    for (size_t i = 0; code == 0 && st == WILOR_OK && i < found.count; i++)
        st = list_one(s, found.at[i], report, failed, err);
    wilor_sys_glob_free(&found);
    return st;
}

wilor_status wilor_cli_sources_list(wilor_cli_sources *s, const char *const *inputs,
                                    size_t count, wilor_cli_report *report, size_t *failed,
                                    wilor_error *err) {
    wilor_status st = WILOR_OK;
    *s = (wilor_cli_sources){0};
    for (size_t i = 0; st == WILOR_OK && i < count; i++) {
        wilor_sys_info what;
        if (!strcmp(inputs[i], "-"))
            st = push(s, "-", 0, err);
        else if (wilor_sys_stat(inputs[i], &what) != 0 && !wilor_sys_is_link(inputs[i]) &&
                 strpbrk(inputs[i], "*?["))
            st = list_pattern(s, inputs[i], report, failed, err);
        else
            st = list_one(s, inputs[i], report, failed, err);
    }
    return st;
}

/* ---------------------------------------------------------------- stems */

/* A stem in two pieces: where it lies in the name, and the suffix. */
typedef struct stem {
    const char *base;
    size_t length, whole;
    char suffix[16];
} stem;

static stem stem_of(const wilor_cli_source *e, uint32_t suffix) {
    stem t = {.base = strcmp(e->name, "-") != 0 ? wilor_cli_base_name(e->name) : "stdin"};
    t.length = (size_t)(wilor_cli_ending(t.base) - t.base);
    t.whole = t.length;
    if (suffix)
        t.whole += (size_t)snprintf(t.suffix, sizeof t.suffix, "-%u", (unsigned)suffix);
    return t;
}

static unsigned char letter(const stem *t, size_t i) {
    char c = i < t->length ? t->base[i] : t->suffix[i - t->length];
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool same(const stem *a, const stem *b) {
    if (a->whole != b->whole)
        return false;
    for (size_t i = 0; i < a->whole; i++)
        if (letter(a, i) != letter(b, i))
            return false;
    return true;
}

/* Slot of a stem in an open-addressing table of `mask + 1` slots, each 1 + an entry's number or 0:
 * where it is, or a free one. */
static size_t slot_of(const wilor_cli_sources *s, const uint32_t *table, size_t mask,
                      const stem *t) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < t->whole; i++)
        h = (h ^ letter(t, i)) * 1099511628211u;
    for (size_t i = (size_t)(h ^ h >> 32) & mask;; i = (i + 1) & mask) {
        if (!table[i])
            return i;
        const wilor_cli_source *e = &s->entries[table[i] - 1];
        stem other = stem_of(e, e->suffix);
        if (same(&other, t))
            return i;
    }
}

/* Equal stems in one list may be many (frame.jpg of 100 000 folders): the first of them remembers
 * in `last` up to which number they went. */
static void name_entry(wilor_cli_sources *s, uint32_t *table, uint32_t *last, size_t mask,
                       size_t i) {
    stem t = stem_of(&s->entries[i], 0);
    size_t slot = slot_of(s, table, mask, &t);
    if (table[slot]) {
        uint32_t first = table[slot] - 1, n = last[first] ? last[first] : 1;
        do {
            n++;
            t = stem_of(&s->entries[i], n);
            slot = slot_of(s, table, mask, &t);
        } while (table[slot]);
        last[first] = n;
        s->entries[i].suffix = n & 0x7FFFFFFF;
    }
    table[slot] = (uint32_t)i + 1;
}

wilor_status wilor_cli_sources_name(wilor_cli_sources *s, wilor_error *err) {
    size_t size = 16;
    while (size / 2 < s->count)
        size *= 2;
    uint32_t *table = calloc(size, sizeof *table);
    uint32_t *last = calloc(s->count + 1, sizeof *last);
    bool ok = table && last;
    for (size_t i = 0; ok && i < s->count; i++)
        name_entry(s, table, last, size - 1, i);
    free(table);
    free(last);
    return ok ? WILOR_OK : no_memory(err);
}

char *wilor_cli_sources_stem(const wilor_cli_sources *s, size_t i) {
    stem t = stem_of(&s->entries[i], s->entries[i].suffix);
    char *text = malloc(t.whole + 1);
    if (text) {
        memcpy(text, t.base, t.length);
        memcpy(text + t.length, t.suffix, t.whole - t.length);
        text[t.whole] = 0;
    }
    return text;
}

void wilor_cli_sources_free(wilor_cli_sources *s) {
    for (block *b = s->names, *older; b; b = older) {
        older = b->older;
        free(b);
    }
    for (size_t i = 0; i < s->folder_count; i++)
        free(s->folders[i]);
    free(s->entries);
    free((void *)s->folders);
    *s = (wilor_cli_sources){0};
}
