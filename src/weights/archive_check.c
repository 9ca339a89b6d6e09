/* The checksums of a zip archive (checkpoints, npz). Readers check them for what they inflate and for
 * the pickle; the mass of a checkpoint is stored as it is and is only looked at here.
 *
 * PyTorch can be told not to compute them, so an archive of several members in which none is right
 * says nothing about damage. */
#include "weights_verify.h"

#include "crc32.h"
#include "file_hash.h"
#include "heap.h"
#include "index_build.h"
#include "zip_directory.h"
#include "zip_member.h"
#include <stdio.h>

typedef struct archive {
    const wilor_zip *zip;
    const uint8_t *data; /* the file's first byte */
    uint32_t *crc;       /* of each member's bytes so far */
} archive;

static void add_piece(void *user, uint64_t at, const uint8_t *bytes, size_t size) {
    archive *a = user;
    for (size_t i = 0; i < a->zip->count; i++) {
        const wilor_zip_member *m = &a->zip->members[i];
        uint64_t begin = (uint64_t)(m->data - a->data), end = begin + m->stored;
        if (end <= at || begin >= at + size)
            continue;
        uint64_t from = begin > at ? begin : at, to = end < at + size ? end : at + size;
        a->crc[i] = wilor_crc32_more(a->crc[i], bytes + (from - at), (size_t)(to - from));
    }
}

static void judge(wilor_verifier *v, const archive *a, size_t *checked) {
    wilor_quoted q;
    char text[400];
    size_t wrong = 0;
    *checked = 0;
    for (size_t i = 0; i < a->zip->count; i++) {
        const wilor_zip_member *m = &a->zip->members[i];
        *checked += m->method == 0;
        wrong += m->method == 0 && a->crc[i] != m->crc;
    }
    if (wrong == *checked && wrong > 1) {
        *checked = 0;
        return;
    }
    for (size_t i = 0; i < a->zip->count && wrong; i++) {
        const wilor_zip_member *m = &a->zip->members[i];
        if (m->method != 0 || a->crc[i] == m->crc)
            continue;
        snprintf(text, sizeof text, "the archive's member %s is damaged: its checksum differs",
                 wilor_zip_member_quote(&q, m));
        wilor_verify_fault(v, text);
    }
}

wilor_status wilor_verify_archive(wilor_verifier *v, const wilor_index *x, size_t *checked,
                                  wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_zip z = {0};
    archive a = {.zip = &z, .data = x->data};
    *checked = 0;
    if (x->size < 4 || x->data[0] != 'P' || x->data[1] != 'K')
        return WILOR_OK;
    WILOR_TRY(wilor_zip_open(&z, x->data, x->size, x->path.text, err));
    a.crc = wilor_heap_alloc(z.count, sizeof *a.crc);
    if (!a.crc)
        WILOR_TRY(wilor_index_no_memory(x, err));
    WILOR_TRY(
        wilor_file_visit(x->raw_path, x->size, "reading", v->callbacks, add_piece, &a, err));
    judge(v, &a, checked);
done:
    wilor_heap_free(a.crc);
    wilor_zip_close(&z);
    return st;
}
