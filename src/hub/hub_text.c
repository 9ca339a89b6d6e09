/* Growing strings, and small files read into them. */
#include "hub_text.h"

#include "heap.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void wilor_hub_text_add(wilor_hub_text *t, const char *bytes, size_t count) {
    size_t want;
    if (t->failed)
        return;
    bool fits = wilor_size_add(t->length, count, &want) && wilor_size_add(want, 1, &want);
    if (fits && want > t->room) {
        size_t room = want > SIZE_MAX / 2 ? want : want * 2;
        char *grown = wilor_heap_resize(t->data, room, 1);
        fits = grown != NULL;
        if (grown) {
            t->data = grown;
            t->room = room;
        }
    }
    if (!fits) {
        wilor_heap_free(t->data);
        *t = (wilor_hub_text){.failed = true};
        return;
    }
    if (count)
        memcpy(t->data + t->length, bytes, count);
    t->length += count;
    t->data[t->length] = 0;
}

void wilor_hub_text_put(wilor_hub_text *t, const char *text) {
    wilor_hub_text_add(t, text, strlen(text));
}

char *wilor_hub_text_take(wilor_hub_text *t) {
    wilor_hub_text_add(t, "", 0);
    char *data = t->data;
    *t = (wilor_hub_text){0};
    return data;
}

char *wilor_hub_concat(const char *first, ...) {
    wilor_hub_text t = {0};
    va_list args;
    va_start(args, first);
    for (const char *s = first; s; s = va_arg(args, const char *))
        wilor_hub_text_put(&t, s);
    va_end(args);
    return wilor_hub_text_take(&t);
}

char *wilor_hub_read_text(const char *path, size_t most) {
    wilor_hub_text t = {0};
    char piece[4096];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return NULL;
    while (t.length <= most && (n = read(fd, piece, sizeof piece)) > 0)
        wilor_hub_text_add(&t, piece, (size_t)n);
    close(fd);
    char *text = wilor_hub_text_take(&t);
    if (text && n == 0)
        return text;
    wilor_heap_free(text);
    return NULL;
}

wilor_status wilor_hub_no_memory(wilor_error *err) {
    return wilor_error_set(err, WILOR_ERR_NOMEM, "out of memory while looking for a file");
}

const char *wilor_hub_nonce_make(wilor_hub_nonce *n) {
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t x = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    x ^= (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)n;
    x *= 0x9E3779B97F4A7C15u; /* spreads the low bits upwards (Knuth) */
    snprintf(n->text, sizeof n->text, "%08lx", (unsigned long)(x >> 32 & 0xFFFFFFFFu));
    return n->text;
}
