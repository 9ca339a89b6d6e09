/* The zip directory, each of its members, and look-ups by name. */
#include "fuzz_input.h"

#include "index_build.h"
#include "zip_directory.h"
#include "zip_member.h"
#include <stdlib.h>

static void read_members(const wilor_zip *z, const uint8_t *data, size_t size) {
    wilor_index x = {.data = data, .size = size, .path = {"fuzz"}};
    wilor_error err;
    for (size_t i = 0; i < z->count; i++) {
        const wilor_zip_member *m = &z->members[i];
        const uint8_t *bytes = NULL;
        if (m->data < data || m->stored > size || m->data > data + (size - m->stored))
            abort();
        if (wilor_zip_find(z, m->name, m->name_length) != m)
            abort();
        if (wilor_zip_member_read(&x, m, i % 2 == 0, &bytes, &err) == WILOR_OK && m->size)
            (void)wilor_fuzz_hash(bytes, m->size);
        else if (!bytes && !err.text[0])
            abort();
    }
    wilor_pool_free(&x.pool);
}

static void target(const uint8_t *data, size_t size) {
    wilor_zip z = {0};
    wilor_error err = {0};
    if (wilor_zip_open(&z, data, size, "fuzz", &err) != WILOR_OK) {
        if (z.members || z.count || !err.text[0])
            abort();
        return;
    }
    read_members(&z, data, size);
    wilor_zip_close(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
