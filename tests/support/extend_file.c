#include "extend_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 8, DESCRIBED = 256 }; /* the header's length; most that a tensor takes there */

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static bytes read_file(const char *path) {
    bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size >= LENGTH && (b.data = malloc((size_t)size)) != NULL) {
        rewind(f);
        b.size = fread(b.data, 1, (size_t)size, f);
    }
    if (f)
        fclose(f);
    return b;
}

static void describe(char *to, size_t room, const extra *e, uint64_t at) {
    size_t n = (size_t)snprintf(to, room, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", e->name,
                                e->whole ? "I64" : "F32");
    for (int i = 0; i < e->rank; i++)
        n += (size_t)snprintf(to + n, room - n, "%s%lld", i ? "," : "", (long long)e->shape[i]);
    snprintf(to + n, room - n, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
             (unsigned long long)(at + e->bytes));
}

/* The header's text with the extras in it, filled up to a multiple of eight. */
static char *extend_header(const bytes *b, size_t header, const extra *extras, int count) {
    size_t room = header + (size_t)count * DESCRIBED + LENGTH + 2, n = header;
    uint64_t at = b->size - LENGTH - header;
    char *text = malloc(room);
    if (!text)
        return NULL;
    memset(text, ' ', room);
    memcpy(text, b->data + LENGTH, n);
    while (n > 1 && text[n - 1] == ' ')
        n--;
    n--; /* the last brace */
    for (int i = 0; i < count; at += extras[i++].bytes) {
        describe(text + n, room - n, &extras[i], at);
        n += strlen(text + n);
    }
    text[n++] = '}';
    text[(n + LENGTH - 1) / LENGTH * LENGTH] = 0;
    return text;
}

static bool write_all(const char *to, const char *text, const uint8_t *data, size_t size,
                      const extra *extras, int count) {
    FILE *f = fopen(to, "wb");
    size_t n = strlen(text);
    bool ok = f != NULL;
    for (int i = 0; ok && i < LENGTH; i++)
        ok = fputc((int)((uint64_t)n >> (8 * i) & 255), f) != EOF;
    ok = ok && fwrite(text, 1, n, f) == n && fwrite(data, 1, size, f) == size;
    for (int i = 0; ok && i < count; i++)
        ok = fwrite(extras[i].data, 1, extras[i].bytes, f) == extras[i].bytes;
    return f && fclose(f) == 0 && ok;
}

bool extend_file(const char *from, const char *to, const extra *extras, int count) {
    bytes b = read_file(from);
    uint64_t header = 0;
    for (int i = 0; i < LENGTH && b.size > LENGTH; i++)
        header |= (uint64_t)b.data[i] << (8 * i);
    bool ok = header > 0 && header <= b.size - LENGTH;
    char *text = ok ? extend_header(&b, (size_t)header, extras, count) : NULL;
    ok = text && write_all(to, text, b.data + LENGTH + header, b.size - LENGTH - (size_t)header,
                           extras, count);
    free(text);
    free(b.data);
    return ok;
}

extra side_head_weight(const float *data, int inputs) {
    return (extra){.name = "side_head.weight",
                   .rank = 2,
                   .shape = {1, inputs},
                   .data = data,
                   .bytes = (size_t)inputs * sizeof *data};
}

extra side_head_bias(const float *data, int count) {
    return (extra){.name = "side_head.bias",
                   .rank = 1,
                   .shape = {count},
                   .data = data,
                   .bytes = (size_t)count * sizeof *data};
}
