#include "convert_file.h"

#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int write_at(void *user, uint64_t offset, const void *data, size_t size) {
    FILE *f = user;
    return fseek(f, (long)offset, SEEK_SET) != 0 || fwrite(data, 1, size, f) != size;
}

wilor_status convert_file(const char *from, const char *to, wilor_weights_layout layout,
                          wilor_weights_dtype dtype, int group, wilor_error *err) {
    wilor_convert_options o;
    FILE *f = fopen(to, "wb");
    if (!f)
        return wilor_error_set(err, WILOR_ERR_IO, "%s: %s", to, strerror(errno));
    wilor_convert_options_init(&o, sizeof o);
    o.source = from;
    o.layout = layout;
    o.dtype = dtype;
    o.group_size = group;
    o.write = write_at;
    o.write_user = f;
    wilor_status st = wilor_convert(&o, err);
    if (fclose(f) != 0 && st == WILOR_OK)
        st = wilor_error_set(err, WILOR_ERR_IO, "%s: %s", to, strerror(errno));
    return st;
}
