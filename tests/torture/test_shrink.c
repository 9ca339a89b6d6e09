/* A weights file that is cut short while it is read: at every pause between two tensors in turn,
 * and before the first. WILOR_ERR_IO, not a signal.
 *
 * test_shrink MODEL COPY: a model file, and where a copy of it may lie. Cut within one tensor's
 * reading it still is a SIGBUS: docs/gates.md. */
#include "wilor/wilor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct cutter {
    const char *path;
    long at, calls;
} cutter;

static bool copy_file(const char *from, const char *to) {
    static char block[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    bool ok = in && out;
    for (size_t n; ok && (n = fread(block, 1, sizeof block, in)) > 0;)
        ok = fwrite(block, 1, n, out) == n;
    if (in)
        fclose(in);
    return out && fclose(out) == 0 && ok;
}

static void progress(void *user, const char *what, uint64_t done, uint64_t total) {
    cutter *c = user;
    (void)what;
    (void)done;
    (void)total;
    if (c->calls++ == c->at && truncate(c->path, 100) != 0)
        c->path = NULL;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    long last = 0;
    for (long at = -1; at < last || at < 0; at++) {
        wilor_error err = {WILOR_OK, ""};
        wilor_model *model = NULL;
        cutter c = {argv[2], at, 0};
        wilor_model_options o;
        wilor_model_options_init(&o, sizeof o);
        o.weights = argv[2];
        o.threads = 1;
        o.callbacks.user = &c;
        o.callbacks.progress = progress;
        if (!copy_file(argv[1], argv[2]))
            return 1;
        wilor_status st = wilor_model_open(&model, &o, &err);
        if (at < 0)
            last = c.calls - 1; /* after the last tensor nothing is read any more */
        if (st != (at < 0 ? WILOR_OK : WILOR_ERR_IO) || !c.path) {
            printf("not ok: cut at pause %ld: status %d (%s)\n", at, (int)st, err.text);
            return 1;
        }
        wilor_model_free(&model);
    }
    remove(argv[2]);
    printf("%ld pauses\n", last);
    return last < 10;
}
