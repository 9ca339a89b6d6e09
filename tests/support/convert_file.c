#include "convert_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static int write_at(void *user, uint64_t offset, const void *data, size_t size) {
    FILE *f = user;
    return fseek(f, (long)offset, SEEK_SET) != 0 || fwrite(data, 1, size, f) != size;
}

wilor_status convert_file(const char *path, wilor_convert_options *o, wilor_error *err) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    o->write = write_at;
    o->write_user = f;
    wilor_status st = wilor_convert(o, err);
    assert_int_equal(fclose(f), 0);
    return st;
}
