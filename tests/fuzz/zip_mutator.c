/* libFuzzer's mutator for zip files: half of the time one member's bytes change and the zip
 * around them is written anew, so that offsets, sizes and checksums are right and what lies
 * behind them is reached; otherwise any byte changes. */
#include "crc32.h"
#include "zip_directory.h"
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);

enum { LOCAL = 30, ENTRY = 46, END = 22, MEMBERS_MOST = 64 };

typedef struct writer {
    uint8_t *to;
    size_t at, most;
    size_t offsets[MEMBERS_MOST];
} writer;

static void put(uint8_t *p, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++, value >>= 8)
        p[i] = (uint8_t)value;
}

static uint8_t *take(writer *w, size_t n) {
    if (n > w->most - w->at)
        return NULL;
    uint8_t *p = w->to + w->at;
    memset(p, 0, n);
    w->at += n;
    return p;
}

/* A member's fields, which are the same in its header and in the directory from `at` on. */
static void put_fields(uint8_t *at, const wilor_zip_member *m) {
    put(at, (uint64_t)m->method, 2);
    put(at + 6, m->crc, 4);
    put(at + 10, m->stored, 4);
    put(at + 14, m->size, 4);
    put(at + 18, m->name_length, 2);
}

static bool put_member(writer *w, const wilor_zip_member *m, size_t i) {
    w->offsets[i] = w->at;
    uint8_t *p = take(w, LOCAL + m->name_length + m->stored);
    if (!p)
        return false;
    memcpy(p, "PK\3\4", 4);
    put_fields(p + 8, m);
    memcpy(p + LOCAL, m->name, m->name_length);
    if (m->stored)
        memcpy(p + LOCAL + m->name_length, m->data, m->stored);
    return true;
}

static bool put_directory(writer *w, const wilor_zip *z) {
    size_t begin = w->at;
    for (size_t i = 0; i < z->count; i++) {
        const wilor_zip_member *m = &z->members[i];
        uint8_t *p = take(w, ENTRY + m->name_length);
        if (!p)
            return false;
        memcpy(p, "PK\1\2", 4);
        put_fields(p + 10, m);
        put(p + 42, w->offsets[i], 4);
        memcpy(p + ENTRY, m->name, m->name_length);
    }
    size_t bytes = w->at - begin;
    uint8_t *end = take(w, END);
    if (!end)
        return false;
    memcpy(end, "PK\5\6", 4);
    put(end + 8, z->count, 2);
    put(end + 10, z->count, 2);
    put(end + 12, bytes, 4);
    put(end + 16, begin, 4);
    return true;
}

/* The new size, or 0 when it cannot be done. */
static size_t rebuild(uint8_t *data, size_t most, wilor_zip *z, unsigned seed) {
    size_t n = 0;
    wilor_zip_member *m = &z->members[seed / 2 % z->count];
    size_t room = m->stored + 64;
    uint8_t *changed = malloc(room), *whole = malloc(most);
    if (changed && whole) {
        if (m->stored)
            memcpy(changed, m->data, m->stored);
        size_t before = m->stored;
        m->stored = LLVMFuzzerMutate(changed, before, room);
        m->data = changed;
        if (m->method == 0) {
            m->size = m->stored;
            m->crc = wilor_crc32(changed, m->stored);
        }
        writer w = {.to = whole, .most = most};
        bool done = true;
        for (size_t i = 0; done && i < z->count; i++)
            done = put_member(&w, &z->members[i], i);
        if (done && put_directory(&w, z))
            n = w.at;
        if (n)
            memcpy(data, whole, n);
    }
    free(changed);
    free(whole);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
    wilor_zip z = {0};
    size_t n = 0;
    if (seed % 2 && wilor_zip_open(&z, data, size, "fuzz", NULL) == WILOR_OK && z.count &&
        z.count <= MEMBERS_MOST)
        n = rebuild(data, most, &z, seed);
    wilor_zip_close(&z);
    return n ? n : LLVMFuzzerMutate(data, size, most);
}
