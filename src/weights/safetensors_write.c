/* The header's offsets need only the shapes, so nothing is read twice; the hash of the data is
 * known last and is written over 64 zeros that the header kept for it. */
#include "safetensors_write.h"

#include "heap.h"
#include "index_build.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct text {
    char *data;
    size_t length, room;
    bool failed;
} text;

static void append(text *t, const char *what, size_t n) {
    if (t->failed)
        return;
    if (t->room - t->length < n) {
        size_t room = 2 * (t->length + n);
        char *more = wilor_heap_resize(t->data, room, 1);
        if (!more) {
            t->failed = true;
            return;
        }
        t->data = more;
        t->room = room;
    }
    memcpy(t->data + t->length, what, n);
    t->length += n;
}

WILOR_PRINTF(2, 3) static void print(text *t, const char *format, ...) {
    char line[320]; /* the longest: a tensor's name, four dimensions and two offsets */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    append(t, line, n > 0 && (size_t)n < sizeof line ? (size_t)n : 0);
}

static void print_string(text *t, const char *s) {
    print(t, "\"");
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            print(t, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            print(t, "\\u%04x", (unsigned)*s);
        else
            append(t, s, 1);
    print(t, "\"");
}

static uint64_t bytes_of(const wilor_planned_tensor *p) {
    wilor_tensor t = {0};
    wilor_tensor_set_dtype(&t, p->dtype);
    uint64_t bytes = t.element;
    for (int i = 0; i < p->rank; i++)
        bytes *= (uint64_t)p->shape[i];
    return bytes;
}

static void print_tensor(text *t, const wilor_planned_tensor *p, uint64_t *offset) {
    wilor_tensor typed = {0};
    wilor_tensor_set_dtype(&typed, p->dtype);
    print(t, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", p->name, typed.dtype_name);
    for (int i = 0; i < p->rank; i++)
        print(t, "%s%" PRId64, i ? "," : "", p->shape[i]);
    uint64_t end = *offset + bytes_of(p);
    print(t, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *offset, end);
    *offset = end;
}

static wilor_status put(wilor_safetensors_writer *w, uint64_t at, const void *data, size_t size,
                        wilor_error *err) {
    if (w->write(w->user, at, data, size) != 0)
        return wilor_error_set(err, WILOR_ERR_IO,
                               "the converted file cannot be written at byte %" PRIu64, at);
    return WILOR_OK;
}

wilor_status wilor_safetensors_begin(wilor_safetensors_writer *w,
                                     const wilor_header_pair *pairs, size_t pair_count,
                                     const wilor_planned_tensor *tensors, size_t count,
                                     wilor_error *err) {
    wilor_status st = WILOR_OK;
    text t = {0};
    uint64_t data = 0;
    uint8_t length[8];
    print(&t, "{\"__metadata__\":{");
    for (size_t i = 0; i < pair_count; i++)
        if (pairs[i].value) {
            print(&t, "\"%s\":", pairs[i].key);
            print_string(&t, pairs[i].value);
            print(&t, ",");
        }
    print(&t, "\"data_sha256\":\"");
    w->digest_at = 8 + t.length;
    print(&t, "%064d\"}", 0);
    for (size_t i = 0; i < count; i++)
        print_tensor(&t, &tensors[i], &data);
    print(&t, "}");
    while (t.length % 8 != 0 && !t.failed)
        append(&t, " ", 1);
    if (t.failed)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the header of %zu tensors", count);
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)t.length >> (8 * i));
    WILOR_TRY(put(w, 0, length, 8, err));
    WILOR_TRY(put(w, 8, t.data, t.length, err));
    w->at = 8 + (uint64_t)t.length;
    w->size = w->at + data;
    wilor_sha256_begin(&w->digest);
done:
    wilor_heap_free(t.data);
    return st;
}

static void make_little(uint8_t *p, size_t element, size_t count) {
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    if (first == 1)
        return;
    for (; count; count--, p += element)
        for (size_t a = 0, b = element - 1; a < b; a++, b--) {
            uint8_t kept = p[a];
            p[a] = p[b];
            p[b] = kept;
        }
}

wilor_status wilor_safetensors_add(wilor_safetensors_writer *w, void *elements, size_t element,
                                   size_t count, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_callbacks *c = &w->callbacks;
    if (c->cancel && c->cancel(c->user))
        WILOR_FAIL(err, WILOR_ERR_CANCELLED, "stopped while converting");
    if (!count)
        return WILOR_OK;
    make_little(elements, element, count);
    wilor_sha256_add(&w->digest, elements, element * count);
    WILOR_TRY(put(w, w->at, elements, element * count, err));
    w->at += element * count;
    if (c->progress)
        c->progress(c->user, "converting", w->at, w->size);
done:
    return st;
}

wilor_status wilor_safetensors_end(wilor_safetensors_writer *w, wilor_error *err) {
    char hex[65];
    if (w->at != w->size)
        return wilor_error_set(err, WILOR_ERR_INTERNAL,
                               "%" PRIu64 " bytes were converted, not %" PRIu64, w->at,
                               w->size);
    wilor_sha256_end(&w->digest, hex);
    return put(w, w->digest_at, hex, 64, err);
}
