/* Writing stored zip archives, after PKWARE's APPNOTE 6.3.
 *
 * Sizes are known beforehand, so that a member of 4 GB and more, or one that begins there, gets
 * its zip64 fields and all others stay readable for the oldest reader. Only the CRC is patched
 * into the local header afterwards. Time stamps are the format's first moment (1980-01-01): the
 * same results give the same bytes. */
#include "zip_store.h"

#include <errno.h>
#include <string.h>

enum { LOCAL_CRC = 14, ZIP64 = 45, PLAIN = 20, FIRST_DAY = 0x21 };

static const uint64_t g_small = 0xFFFFFFFF; /* as a size or an offset: "see the zip64 field" */

typedef struct bytes {
    unsigned char data[160];
    size_t count;
} bytes;

static void put(bytes *b, uint64_t value, int size) {
    for (int i = 0; i < size; i++)
        b->data[b->count++] = (unsigned char)(value >> 8 * i);
}

static void put_zeros(bytes *b, size_t count) {
    memset(b->data + b->count, 0, count);
    b->count += count;
}

static void put_name(bytes *b, const char *name) {
    size_t n = strlen(name);
    memcpy(b->data + b->count, name, n);
    b->count += n;
}

static wilor_status fail(wilor_cli_zip *z, wilor_error *err) {
    return wilor_cli_fail_errno(err, z->path, "cannot write", errno);
}

static wilor_status emit(wilor_cli_zip *z, const void *data, size_t n, wilor_error *err) {
    if (n > 0 && fwrite(data, 1, n, z->file) != n)
        return fail(z, err);
    z->at += n;
    return WILOR_OK;
}

void wilor_cli_zip_init(wilor_cli_zip *z, FILE *file, const char *path) {
    *z = (wilor_cli_zip){.file = file, .path = path};
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
        z->crc_table[i] = c;
    }
}

wilor_status wilor_cli_zip_begin(wilor_cli_zip *z, const char *name, uint64_t size,
                                 wilor_error *err) {
    wilor_cli_zip_member *m = &z->members[z->count++];
    snprintf(m->name, sizeof m->name, "%s", name);
    m->offset = z->at;
    m->size = size;
    m->crc = 0xFFFFFFFF;
    bool large = size >= g_small;
    bytes b = {.count = 0};
    put(&b, 0x04034B50, 4);
    put(&b, large ? ZIP64 : PLAIN, 2);
    put_zeros(&b, 2 + 2 + 2); /* flags, method: stored, time */
    put(&b, FIRST_DAY, 2);
    put_zeros(&b, 4); /* CRC */
    put(&b, large ? g_small : size, 4);
    put(&b, large ? g_small : size, 4);
    put(&b, strlen(m->name), 2);
    put(&b, large ? 20 : 0, 2);
    put_name(&b, m->name);
    if (large) {
        put(&b, 1, 2);
        put(&b, 16, 2);
        put(&b, size, 8);
        put(&b, size, 8);
    }
    return emit(z, b.data, b.count, err);
}

wilor_status wilor_cli_zip_write(wilor_cli_zip *z, const void *data, size_t n,
                                 wilor_error *err) {
    uint32_t crc = z->members[z->count - 1].crc;
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ z->crc_table[(crc ^ p[i]) & 0xFF];
    z->members[z->count - 1].crc = crc;
    return emit(z, data, n, err);
}

wilor_status wilor_cli_zip_end(wilor_cli_zip *z, wilor_error *err) {
    wilor_cli_zip_member *m = &z->members[z->count - 1];
    m->crc ^= 0xFFFFFFFF;
    bytes b = {.count = 0};
    put(&b, m->crc, 4);
    if (fseeko(z->file, (off_t)(m->offset + LOCAL_CRC), SEEK_SET) != 0 ||
        fwrite(b.data, 1, b.count, z->file) != b.count || fseeko(z->file, 0, SEEK_END) != 0)
        return fail(z, err);
    return WILOR_OK;
}

static void put_entry(bytes *b, const wilor_cli_zip_member *m) {
    bool size64 = m->size >= g_small, offset64 = m->offset >= g_small;
    uint64_t extra = (size64 ? 16u : 0u) + (offset64 ? 8u : 0u);
    put(b, 0x02014B50, 4);
    put(b, extra ? ZIP64 : PLAIN, 2);
    put(b, extra ? ZIP64 : PLAIN, 2);
    put_zeros(b, 2 + 2 + 2);
    put(b, FIRST_DAY, 2);
    put(b, m->crc, 4);
    put(b, size64 ? g_small : m->size, 4);
    put(b, size64 ? g_small : m->size, 4);
    put(b, strlen(m->name), 2);
    put(b, extra ? extra + 4 : 0, 2);
    put_zeros(b, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    put(b, offset64 ? g_small : m->offset, 4);
    put_name(b, m->name);
    if (extra) {
        put(b, 1, 2);
        put(b, extra, 2);
    }
    if (size64) {
        put(b, m->size, 8);
        put(b, m->size, 8);
    }
    if (offset64)
        put(b, m->offset, 8);
}

wilor_status wilor_cli_zip_finish(wilor_cli_zip *z, wilor_error *err) {
    uint64_t start = z->at;
    for (size_t i = 0; i < z->count; i++) {
        bytes entry = {.count = 0};
        put_entry(&entry, &z->members[i]);
        wilor_status st = emit(z, entry.data, entry.count, err);
        if (st != WILOR_OK)
            return st;
    }
    uint64_t size = z->at - start;
    bytes b = {.count = 0};
    if (start >= g_small) {
        uint64_t end64 = z->at;
        put(&b, 0x06064B50, 4);
        put(&b, 44, 8);
        put(&b, ZIP64, 2);
        put(&b, ZIP64, 2);
        put_zeros(&b, 4 + 4);
        put(&b, z->count, 8);
        put(&b, z->count, 8);
        put(&b, size, 8);
        put(&b, start, 8);
        put(&b, 0x07064B50, 4);
        put_zeros(&b, 4);
        put(&b, end64, 8);
        put(&b, 1, 4);
    }
    put(&b, 0x06054B50, 4);
    put_zeros(&b, 2 + 2);
    put(&b, z->count, 2);
    put(&b, z->count, 2);
    put(&b, size, 4);
    put(&b, start >= g_small ? g_small : start, 4);
    put_zeros(&b, 2);
    return emit(z, b.data, b.count, err);
}
