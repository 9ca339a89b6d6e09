/* Sequences of pictures: a folder, a pattern with a number or with * and ?, or one file. Read by
 * wilor_image_read, so that a frame has exactly the pixels that a picture by itself has.
 *
 * The order is that of the numbers in the names: img2 comes before img10. Names are listed once, at
 * opening. */
#include "heap.h"
#include "system_files.h"
#include "video_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sequence {
    wilor_video *v;
    char *folder; /* with its last slash, or "" */
    char **names;
    size_t count, room, next;
    size_t longest;
    char *path; /* folder and name, room for the longest */
    wilor_image image;
    wilor_error last; /* why the newest damaged picture was not read */
} sequence;

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* Runs of digits by value, all else by byte. */
static int compare_names(const char *a, const char *b) {
    const char *x = a, *y = b;
    while (*x && *y) {
        if (digit(*x) && digit(*y)) {
            while (*x == '0' && digit(x[1]))
                x++;
            while (*y == '0' && digit(y[1]))
                y++;
            size_t n = 0, m = 0;
            while (digit(x[n]))
                n++;
            while (digit(y[m]))
                m++;
            int order = n != m ? (n < m ? -1 : 1) : strncmp(x, y, n);
            if (order)
                return order;
            x += n;
            y += m;
        } else if (*x != *y) {
            break;
        } else {
            x++;
            y++;
        }
    }
    if (*x != *y)
        return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
    return strcmp(a, b);
}

static int by_name(const void *a, const void *b) {
    return compare_names(*(char *const *)a, *(char *const *)b);
}

/* name against "head%0Nd tail": head, at least one digit (N of them or more), tail. */
static bool has_number(const char *pattern, const char *name) {
    const char *percent = strchr(pattern, '%');
    const size_t head = (size_t)(percent - pattern);
    const char *tail = strchr(percent, 'd') + 1;
    const int width = atoi(percent + 1);
    if (strncmp(pattern, name, head) != 0)
        return false;
    const char *p = name + head;
    int digits = 0;
    while (digit(p[digits]))
        digits++;
    return digits > 0 && digits >= width && strcmp(p + digits, tail) == 0;
}

static bool wanted(const char *pattern, const char *name) {
    if (name[0] == '.')
        return false;
    if (!pattern)
        return wilor_video_picture_name(name);
    return wilor_video_number_pattern(pattern) ? has_number(pattern, name)
                                               : wilor_video_glob(pattern, name);
}

static wilor_status no_memory(const sequence *s, wilor_error *err) {
    wilor_quoted q;
    return wilor_error_set(err, WILOR_ERR_NOMEM, "%s: no memory for its names",
                           wilor_quote(&q, s->v->name));
}

static wilor_status add(sequence *s, const char *name, wilor_error *err) {
    if (!wilor_heap_grow(&s->names, &s->room, s->count, sizeof *s->names))
        return no_memory(s, err);
    char *copy = wilor_heap_string(name);
    if (!copy)
        return no_memory(s, err);
    s->names[s->count++] = copy;
    if (strlen(name) > s->longest)
        s->longest = strlen(name);
    return WILOR_OK;
}

static wilor_status list(sequence *s, const char *pattern, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_sys_folder *folder = wilor_sys_folder_open(s->folder[0] ? s->folder : ".");
    if (!folder)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: there is no such folder, or it may not be read",
                   wilor_quote(&q, s->folder));
    for (const char *name; (name = wilor_sys_folder_next(folder));) {
        if (wilor_video_interrupted(s->v)) {
            st = wilor_video_interruption(s->v, "", 0, err);
            goto done;
        }
        if (wanted(pattern, name))
            WILOR_TRY(add(s, name, err));
    }
    if (s->count == 0)
        WILOR_FAIL(err, WILOR_ERR_IO, "%s: no picture has such a name",
                   wilor_quote(&q, s->v->name));
    qsort(s->names, s->count, sizeof *s->names, by_name);
done:
    wilor_sys_folder_close(folder);
    return st;
}

/* Cut the target in folder and pattern; list what is there. */
static wilor_status find(sequence *s, wilor_error *err) {
    const char *target = s->v->source.target;
    const char *name = wilor_sys_base_name(target);
    wilor_sys_folder *listed = wilor_sys_folder_open(target);
    const bool whole = listed != NULL;
    wilor_sys_folder_close(listed);
    const size_t n = whole ? strlen(target) : (size_t)(name - target);
    s->folder = wilor_heap_alloc(n + 2, 1);
    if (!s->folder)
        return no_memory(s, err);
    memcpy(s->folder, target, n);
    if (whole && n && !wilor_sys_is_separator(target[n - 1]))
        s->folder[n] = '/';
    if (whole)
        return list(s, NULL, err);
    if (wilor_video_number_pattern(name) || strpbrk(name, "*?"))
        return list(s, name, err);
    return add(s, name, err);
}

/* ---------------------------------------------------------------- the backend */

static void shut(void *self) {
    sequence *s = self;
    for (size_t i = 0; i < s->count; i++)
        wilor_heap_free(s->names[i]);
    wilor_heap_free(s->names);
    wilor_heap_free(s->folder);
    wilor_heap_free(s->path);
    wilor_image_free(&s->image);
    wilor_heap_free(s);
}

static const char *path_of(sequence *s, size_t i) {
    const size_t n = strlen(s->folder);
    memcpy(s->path, s->folder, n);
    memcpy(s->path + n, s->names[i], strlen(s->names[i]) + 1);
    return s->path;
}

static int64_t time_of(const sequence *s, size_t i) {
    return (int64_t)((double)i * 1e9 / s->v->info.rate + 0.5);
}

static wilor_status next(void *self, wilor_video_raw *raw, wilor_error *err) {
    sequence *s = self;
    while (s->next < s->count) {
        s->v->deadline = 0; /* pictures on a disk are not waited for */
        if (wilor_video_interrupted(s->v))
            return wilor_video_interruption(s->v, "", 0, err);
        const size_t i = s->next++;
        wilor_image_free(&s->image);
        wilor_status st =
            wilor_image_read(&s->image, path_of(s, i), s->v->o.max_pixels, &s->last);
        if (st == WILOR_OK) {
            *raw = (wilor_video_raw){
                .picture = wilor_image_view(&s->image), .time = time_of(s, i), .key = true};
            return WILOR_OK;
        }
        if (st == WILOR_ERR_NOMEM || s->count == 1) {
            if (err)
                *err = s->last;
            return st;
        }
        wilor_video_damaged(s->v, time_of(s, i), s->last.text);
    }
    if (s->v->since_rewind == 0 && s->v->info.damaged) {
        wilor_quoted q;
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: not one picture could be read: %s",
                               wilor_quote(&q, s->v->name), s->last.text);
    }
    *raw = (wilor_video_raw){.time = WILOR_VIDEO_NO_TIME};
    return WILOR_OK;
}

static bool again(void *self) {
    ((sequence *)self)->next = 0;
    return true;
}

static const wilor_video_backend g_sequence = {next, again, shut};

wilor_status wilor_video_sequence_open(wilor_video *v, wilor_error *err) {
    wilor_status st = WILOR_OK;
    sequence *s = wilor_heap_alloc(1, sizeof *s);
    if (!s)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for a sequence of pictures");
    s->v = v;
    v->info.format = "sequence";
    v->info.codec = "pictures";
    v->info.rate = v->o.rate > 0 ? v->o.rate : 30;
    WILOR_TRY(find(s, err));
    s->path = wilor_heap_alloc(strlen(s->folder) + s->longest + 1, 1);
    if (!s->path) {
        st = no_memory(s, err);
        goto done;
    }
    v->info.frames = s->count;
    v->info.duration = time_of(s, s->count);
    v->backend = &g_sequence;
    v->self = s;
    s = NULL;
done:
    if (s)
        shut(s);
    return st;
}
