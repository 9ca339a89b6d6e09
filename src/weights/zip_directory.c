/* Zip directories after PKWARE's APPNOTE 6.3.9, with zip64; no encryption, no split archives.
 *
 * Members are looked at where they lie, which libraries that stream do not offer. What is easy
 * to get wrong: sizes and offsets appear in the local header, the directory, a zip64 extra
 * field and two end records, and a hostile file lets them differ. Here the directory counts;
 * the local header must carry the same name and the data must end before the directory begins.
 * The sum of the stored sizes may not exceed the file's size, so overlapping members cannot
 * multiply the work of reading all. */
#include "zip_directory.h"

#include "heap.h"
#include <string.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    ENTRY_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MOST = 65535
};

typedef struct directory {
    const uint8_t *data;
    size_t size;
    const char *where;
    size_t begin, end; /* of the directory */
    size_t entries;
    size_t stored; /* sum over the members */
} directory;

static unsigned get16(const uint8_t *p) { return p[0] | (unsigned)p[1] << 8; }

static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

/* The end record is the last thing in the file, but for its comment. */
static bool find_end(const directory *d, size_t *at) {
    if (d->size < END_BYTES)
        return false;
    size_t last = d->size - END_BYTES;
    size_t first = last > COMMENT_MOST ? last - COMMENT_MOST : 0;
    for (size_t i = last + 1; i-- > first;)
        if (memcmp(d->data + i, "PK\5\6", 4) == 0 && get16(d->data + i + 20) == last - i) {
            *at = i;
            return true;
        }
    return false;
}

static wilor_status damaged(const directory *d, const char *what, wilor_error *err) {
    return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: damaged zip directory: %s", d->where,
                           what);
}

static wilor_status read_end(directory *d, wilor_error *err) {
    size_t at;
    if (!find_end(d, &at))
        return wilor_error_set(
            err, WILOR_ERR_FORMAT,
            "%s: the zip directory at its end is missing: an incomplete download? "
            "(%zu bytes)",
            d->where, d->size);
    const uint8_t *end = d->data + at;
    uint64_t entries = get16(end + 10), bytes = get32(end + 12), begin = get32(end + 16);
    size_t limit = at;
    if (get16(end + 4) != 0 || get16(end + 6) != 0 || get16(end + 8) != entries)
        return damaged(d, "it is split over several files", err);
    if (at >= LOCATOR_BYTES && memcmp(end - LOCATOR_BYTES, "PK\6\7", 4) == 0) {
        uint64_t at64 = get64(end - LOCATOR_BYTES + 8);
        if (at < LOCATOR_BYTES + END64_BYTES || at64 > at - LOCATOR_BYTES - END64_BYTES ||
            memcmp(d->data + at64, "PK\6\6", 4) != 0)
            return damaged(d, "its zip64 end record is not where it should be", err);
        const uint8_t *end64 = d->data + at64;
        if ((entries != 0xFFFF && entries != get64(end64 + 32)) ||
            (bytes != 0xFFFFFFFF && bytes != get64(end64 + 40)) ||
            (begin != 0xFFFFFFFF && begin != get64(end64 + 48)))
            return damaged(d, "its two end records differ", err);
        entries = get64(end64 + 32);
        bytes = get64(end64 + 40);
        begin = get64(end64 + 48);
        limit = (size_t)at64;
    }
    if (begin > limit || bytes > limit - begin || entries > bytes / ENTRY_BYTES)
        return damaged(d, "it reaches beyond the file", err);
    d->begin = (size_t)begin;
    d->end = (size_t)(begin + bytes);
    d->entries = (size_t)entries;
    return WILOR_OK;
}

/* The zip64 extra field holds, in this order, those of size, stored size and offset that are
 * saturated in the entry. */
static bool read_zip64(const uint8_t *extra, size_t n, uint64_t *size, uint64_t *stored,
                       uint64_t *offset) {
    uint64_t *fields[3] = {size, stored, offset};
    if (*size != 0xFFFFFFFF && *stored != 0xFFFFFFFF && *offset != 0xFFFFFFFF)
        return true;
    while (n >= 4) {
        size_t length = get16(extra + 2);
        if (length > n - 4)
            return false;
        if (get16(extra) == 1) {
            const uint8_t *p = extra + 4;
            for (int i = 0; i < 3; i++)
                if (*fields[i] == 0xFFFFFFFF) {
                    if (length < 8)
                        return false;
                    *fields[i] = get64(p);
                    p += 8;
                    length -= 8;
                }
            return true;
        }
        extra += 4 + length;
        n -= 4 + length;
    }
    return true; /* no such field: 4294967295 is meant */
}

/* Where a member's bytes lie, from its local header. */
static wilor_status locate(directory *d, wilor_zip_member *m, uint64_t offset, uint64_t stored,
                           wilor_error *err) {
    if (offset > d->begin || d->begin - offset < LOCAL_BYTES ||
        memcmp(d->data + offset, "PK\3\4", 4) != 0)
        return damaged(d, "a member is not where it says", err);
    const uint8_t *local = d->data + offset;
    size_t room = d->begin - (size_t)offset - LOCAL_BYTES;
    size_t head = (size_t)get16(local + 26) + get16(local + 28);
    if (get16(local + 26) != m->name_length || head > room ||
        memcmp(local + LOCAL_BYTES, m->name, m->name_length) != 0)
        return damaged(d, "a member has two names", err);
    if (stored > room - head || stored > d->size - d->stored)
        return damaged(d, "a member is longer than the file", err);
    m->data = local + LOCAL_BYTES + head;
    m->stored = (size_t)stored;
    d->stored += m->stored;
    return WILOR_OK;
}

/* One entry at *at, which moves on. */
static wilor_status read_entry(directory *d, wilor_zip *z, size_t *at, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const uint8_t *e = d->data + *at;
    size_t room = d->end - *at;
    if (room < ENTRY_BYTES || memcmp(e, "PK\1\2", 4) != 0)
        return damaged(d, "an entry is cut", err);
    size_t name = get16(e + 28), extra = get16(e + 30), comment = get16(e + 32);
    if (name + extra + comment > room - ENTRY_BYTES)
        return damaged(d, "an entry is cut", err);
    wilor_zip_member m = {.name = (const char *)e + ENTRY_BYTES, .name_length = name};
    uint64_t size = get32(e + 24), stored = get32(e + 20), offset = get32(e + 42);
    m.crc = get32(e + 16);
    m.method = (int)get16(e + 10);
    if (!read_zip64(e + ENTRY_BYTES + name, extra, &size, &stored, &offset))
        return damaged(d, "a zip64 field is cut", err);
    if (get16(e + 8) & 1)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED, "%s: encrypted zip members cannot be read",
                   d->where);
    if (size > PTRDIFF_MAX || (m.method == 0 && size != stored))
        return damaged(d, "the sizes of a member contradict each other", err);
    m.size = (size_t)size;
    WILOR_TRY(locate(d, &m, offset, stored, err));
    if (!wilor_heap_grow(&z->members, &z->room, z->count, sizeof m) ||
        !wilor_names_add(&z->names, m.name, m.name_length, z->count))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory for the zip directory", d->where);
    z->members[z->count++] = m;
    *at += ENTRY_BYTES + name + extra + comment;
done:
    return st;
}

wilor_status wilor_zip_open(wilor_zip *z, const uint8_t *data, size_t size, const char *where,
                            wilor_error *err) {
    wilor_status st = WILOR_OK;
    directory d = {.data = data, .size = size, .where = where};
    WILOR_TRY(read_end(&d, err));
    size_t at = d.begin;
    for (size_t i = 0; i < d.entries; i++)
        WILOR_TRY(read_entry(&d, z, &at, err));
    if (at != d.end)
        WILOR_TRY(damaged(&d, "there is more in it than its entries", err));
    if (!wilor_names_sort(&z->names))
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "%s: no memory for the zip directory", where);
    if (wilor_names_twice(&z->names))
        WILOR_TRY(damaged(&d, "a name occurs twice", err));
done:
    if (st != WILOR_OK)
        wilor_zip_close(z);
    return st;
}

void wilor_zip_close(wilor_zip *z) {
    wilor_heap_free(z->members);
    wilor_names_free(&z->names);
    *z = (wilor_zip){0};
}

const wilor_zip_member *wilor_zip_find(const wilor_zip *z, const char *name, size_t length) {
    const wilor_name *found = wilor_names_find(&z->names, name, length);
    return found ? &z->members[found->value] : NULL;
}
