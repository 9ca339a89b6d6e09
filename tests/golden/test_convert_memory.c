/* Converting streams: the peak of resident memory, at full size below 400 MB.
 *
 * WILOR_FULL_CHECKPOINT names the source: the 2.56 GB checkpoint, or "random:full" for the same
 * weights made by formula. Not run by default: it takes a minute. */
#include "wilor/wilor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MB = 400 };

/* In MB; 0 where the system does not tell. */
static double peak_memory(void) {
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb / 1024;
}

static int count(void *user, uint64_t offset, const void *data, size_t size) {
    uint64_t *end = user;
    (void)data;
    *end = offset + size > *end ? offset + size : *end;
    return 0;
}

static int convert(const char *source, wilor_weights_layout layout, wilor_weights_dtype dtype) {
    wilor_convert_options o;
    wilor_error err;
    uint64_t size = 0;
    wilor_convert_options_init(&o, sizeof o);
    o.source = source;
    o.layout = layout;
    o.dtype = dtype;
    o.write = count;
    o.write_user = &size;
    if (wilor_convert(&o, &err) != WILOR_OK) {
        printf("not ok: %s\n", err.text);
        return 1;
    }
    double peak = peak_memory();
    printf("layout %d, dtype %d: %.3f GB, peak %.0f MB (allowed %d)\n", (int)layout, (int)dtype,
           (double)size * 1e-9, peak, MOST_MB);
    return peak >= MOST_MB || size < 100000000;
}

int main(void) {
    const char *source = getenv("WILOR_FULL_CHECKPOINT");
    int bad = 0;
    if (!source || peak_memory() <= 0) {
        printf(
            "skipped: WILOR_FULL_CHECKPOINT names no source, or the system tells no memory\n");
        return 77;
    }
    bad |= convert(source, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4);
    bad |= convert(source, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8);
    bad |= convert(source, WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_BF16);
    return bad;
}
