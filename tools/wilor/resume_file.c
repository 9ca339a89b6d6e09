/* What a former run has done, from its events.
 *
 * A picture is done when an event has its path as "source"; a path that stands twice among the
 * inputs takes two events. A run that is killed leaves whole lines and at most one that is cut, at
 * the end: nothing is lost but pictures that were at work. Only the start of a line is read as
 * JSON, since lines with meshes are long and many. Names that are not UTF-8 are compared as events
 * show them. */
#include "resume_file.h"

#include "system_files.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__APPLE__)
#define st_mtim st_mtimespec
#endif

static const char START[] = "{\"v\":1,\"type\":\"hands\",\"source\":";

static wilor_status no_memory(wilor_error *err) {
    return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while reading events");
}

/* ---------------------------------------------------------------- pictures by their path */

/* Open addressing; a slot is 1 + an entry's number, or 0. */
typedef struct table {
    uint32_t *slots;
    size_t mask;
} table;

static size_t hash(const char *text) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

/* The path of a picture as its event shows it. */
static char *shown(const wilor_cli_sources *s, size_t i) {
    char *path = wilor_cli_sources_path(s, i);
    char *copy = path ? wilor_cli_utf8_copy(path) : NULL;
    free(path);
    return copy;
}

static wilor_status fill(table *t, const wilor_cli_sources *s, wilor_error *err) {
    size_t size = 16;
    while (size / 2 < s->count)
        size *= 2;
    *t = (table){calloc(size, sizeof *t->slots), size - 1};
    if (!t->slots)
        return no_memory(err);
    for (size_t i = 0; i < s->count; i++) {
        char *path = shown(s, i);
        if (!path)
            return no_memory(err);
        size_t slot = hash(path) & t->mask;
        while (t->slots[slot])
            slot = (slot + 1) & t->mask;
        t->slots[slot] = (uint32_t)i + 1;
        free(path);
    }
    return WILOR_OK;
}

/* Mark the first picture of that path that is not done; none: an event of another run's. */
static wilor_status mark(const table *t, wilor_cli_sources *s, const char *source, bool *marked,
                         wilor_error *err) {
    *marked = false;
    for (size_t slot = hash(source) & t->mask; t->slots[slot]; slot = (slot + 1) & t->mask) {
        wilor_cli_source *e = &s->entries[t->slots[slot] - 1];
        if (e->done)
            continue;
        char *path = shown(s, t->slots[slot] - 1);
        if (!path)
            return no_memory(err);
        *marked = !strcmp(path, source);
        free(path);
        if (*marked) {
            e->done = 1;
            break;
        }
    }
    return WILOR_OK;
}

/* ---------------------------------------------------------------- lines */

typedef struct reading {
    const char *name; /* of the file */
    const table *t;
    wilor_cli_sources *s;
    wilor_cli_resumed *r;
    size_t line;
} reading;

static wilor_status take_line(reading *now, const char *text, size_t size, wilor_error *err) {
    wilor_cli_quoted q;
    const size_t start = sizeof START - 1;
    json_t *source = NULL;
    bool marked;
    now->line++;
    if (size > start && !memcmp(text, START, start) && text[size - 2] == '}' &&
        strlen(text) == size)
        source = json_loadb(text + start, size - start,
                            JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
    if (!json_is_string(source)) {
        json_decref(source);
        return wilor_cli_fail(
            err, WILOR_ERR_FORMAT,
            "%s: line %zu is no event of wilor predict: --resume does not go on with it",
            wilor_cli_quote(&q, now->name), now->line);
    }
    wilor_status st = mark(now->t, now->s, json_string_value(source), &marked, err);
    json_decref(source);
    if (st != WILOR_OK || !marked)
        return st;
    /* A quote inside a string is escaped: this is the key of a hand that did not fail. */
    now->r->done++;
    now->r->with_hands += strstr(text, "\"conf\":") != NULL;
    now->r->without += size >= 13 && !memcmp(text + size - 13, "\"hands\":[]}\n", 12);
    return st;
}

static bool is_json(const char *text, size_t size) {
    json_t *value = json_loadb(text, size, 0, NULL);
    bool is = value != NULL;
    json_decref(value);
    return is;
}

/* Mark what the file says; *good: the bytes up to the end of its last whole event. A line is taken
 * when the next is there, so that the last one can be looked at more closely: the machine may have
 * gone down while it was written. */
static wilor_status read_events(reading *now, FILE *file, off_t *good, wilor_error *err) {
    char *text = NULL, *last = NULL;
    size_t room = 0, last_room = 0, last_size = 0;
    ssize_t n;
    wilor_status st = WILOR_OK;
    *good = 0;
    while (st == WILOR_OK && (n = wilor_sys_getline(&text, &room, file)) > 0 &&
           text[n - 1] == '\n') {
        if (last_size)
            st = take_line(now, last, last_size, err);
        *good += (off_t)last_size;
        char *swap = last;
        size_t swap_room = last_room;
        last = text;
        last_room = room;
        last_size = (size_t)n;
        text = swap;
        room = swap_room;
    }
    if (st == WILOR_OK && ferror(file))
        st = wilor_cli_fail_errno(err, now->name, "cannot read", errno);
    if (st == WILOR_OK && last_size && is_json(last, last_size)) {
        st = take_line(now, last, last_size, err);
        *good += (off_t)last_size;
    }
    free(text);
    free(last);
    return st;
}

/* ---------------------------------------------------------------- files */

static wilor_status copy_events(FILE *from, off_t bytes, const char *part, wilor_error *err) {
    wilor_cli_temp_file t;
    char block[1 << 14];
    wilor_status st = wilor_cli_temp_open(&t, part, err);
    if (st != WILOR_OK)
        return st;
    rewind(from);
    while (bytes > 0) {
        size_t n = bytes < (off_t)sizeof block ? (size_t)bytes : sizeof block;
        if (fread(block, 1, n, from) != n || fwrite(block, 1, n, t.file) != n) {
            st = wilor_cli_fail_errno(err, part, "cannot write", errno);
            wilor_cli_temp_discard(&t);
            return st;
        }
        bytes -= (off_t)n;
    }
    return wilor_cli_temp_commit(&t, err);
}

/* FILE is there and FILE.part is not. */
static wilor_status from_file(reading *now, const char *path, const char *part,
                              wilor_error *err) {
    off_t good;
    now->name = path;
    FILE *file = wilor_sys_fopen(path, "rb");
    if (!file)
        return wilor_cli_fail_errno(err, path, "cannot read", errno);
    wilor_status st = read_events(now, file, &good, err);
    now->r->complete = st == WILOR_OK && now->r->done == now->s->count;
    if (st == WILOR_OK && !now->r->complete)
        st = copy_events(file, good, part, err);
    fclose(file);
    return st;
}

/* Open FILE.part, for this run alone. */
static wilor_status open_part(wilor_cli_temp_file *t, const char *part, const char *path,
                              wilor_error *err) {
    wilor_cli_quoted q;
    int fd = wilor_sys_open(part, WILOR_SYS_READ | WILOR_SYS_WRITE | WILOR_SYS_CREATE);
    if (fd < 0)
        return wilor_cli_fail_errno(err, part, "cannot write", errno);
    if (wilor_sys_lock(fd, true, false) != 0 && errno == EWOULDBLOCK) {
        close(fd);
        return wilor_cli_fail(err, WILOR_ERR_IO, "%s: another run is at work on it",
                              wilor_cli_quote(&q, part));
    }
    t->path = strdup(part);
    t->final_path = strdup(path);
    t->file = t->path && t->final_path ? fdopen(fd, "r+b") : NULL;
    if (t->file)
        return WILOR_OK;
    close(fd);
    return no_memory(err);
}

static wilor_status from_part(reading *now, wilor_cli_temp_file *t, wilor_error *err) {
    off_t good;
    now->name = t->path;
    wilor_status st = read_events(now, t->file, &good, err);
    if (st == WILOR_OK && (wilor_sys_truncate(fileno(t->file), (uint64_t)good) != 0 ||
                           fseeko(t->file, 0, SEEK_END) != 0))
        st = wilor_cli_fail_errno(err, t->path, "cannot write", errno);
    return st;
}

/* Which of the two files there are. */
static wilor_status look(const char *path, const char *part, bool *is_file, bool *is_part,
                         wilor_error *err) {
    wilor_sys_info file, grown;
    wilor_cli_quoted q, p;
    *is_file = wilor_sys_stat(path, &file) == 0;
    *is_part = wilor_sys_stat(part, &grown) == 0;
    if ((*is_file && file.kind != WILOR_SYS_FILE) || (*is_part && grown.kind != WILOR_SYS_FILE))
        return wilor_cli_fail(err, WILOR_ERR_IO, "%s: --resume needs a regular file",
                              wilor_cli_quote(&q, *is_part ? part : path));
    if (*is_file && *is_part && file.changed_ns > grown.changed_ns)
        return wilor_cli_fail(err, WILOR_ERR_FORMAT,
                              "%s is newer than %s, which an older run has left: remove the "
                              "one that is not wanted",
                              wilor_cli_quote(&q, path), wilor_cli_quote(&p, part));
    return WILOR_OK;
}

static void let_go(wilor_cli_temp_file *t) {
    if (t->file)
        fclose(t->file);
    free(t->path);
    free(t->final_path);
    *t = (wilor_cli_temp_file){0};
}

wilor_status wilor_cli_resume_open(wilor_cli_temp_file *file, wilor_cli_resumed *r,
                                   wilor_cli_sources *s, const char *path, wilor_error *err) {
    table t = {0};
    reading now = {.t = &t, .s = s, .r = r};
    bool is_file, is_part;
    *r = (wilor_cli_resumed){0};
    *file = (wilor_cli_temp_file){0};
    size_t room = strlen(path) + sizeof ".part";
    char *part = malloc(room);
    if (!part)
        return no_memory(err);
    snprintf(part, room, "%s.part", path);
    wilor_status st = look(path, part, &is_file, &is_part, err);
    if (st == WILOR_OK)
        st = fill(&t, s, err);
    if (st == WILOR_OK && is_file && !is_part)
        st = from_file(&now, path, part, err);
    if (st == WILOR_OK && !r->complete)
        st = open_part(file, part, path, err);
    if (st == WILOR_OK && file->file && (is_part || !is_file))
        st = from_part(&now, file, err);
    else if (st == WILOR_OK && file->file && fseeko(file->file, 0, SEEK_END) != 0)
        st = wilor_cli_fail_errno(err, part, "cannot write", errno);
    if (st != WILOR_OK)
        let_go(file);
    free(t.slots);
    free(part);
    return st;
}
