/* The checking program: dispatch and what the checks share. */
#include "cli_check.h"

#include "heap.h"
#include "system_process.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int check_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return 1;
}

wilor_index *check_open(const char *path) {
    wilor_error err;
    wilor_index *index = NULL;
    if (wilor_index_open(&index, path, &err) != WILOR_OK)
        exit(check_fail("%s", err.text));
    return index;
}

float *check_values(const wilor_index *index, const char *name, size_t *count) {
    const wilor_tensor *t = wilor_index_find(index, name);
    float *values = t ? wilor_heap_alloc(t->count, sizeof *values) : NULL;
    *count = t ? t->count : 0;
    if (values && wilor_tensor_to_f32(t, values, NULL) == WILOR_OK)
        return values;
    wilor_heap_free(values);
    return NULL;
}

int main(int argc, char **argv) {
    wilor_sys_begin(&argc, &argv);
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "json") && argc == 3)
        return check_json(argv[2]);
    if (!strcmp(what, "events") && argc == 5)
        return check_events(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    if (!strcmp(what, "agree") && argc == 4)
        return check_agree(argv[2], argv[3]);
    if (!strcmp(what, "boxes") && argc == 4)
        return check_boxes(argv[2], argv[3]);
    if (!strcmp(what, "same") && argc == 5)
        return check_same(argv[2], argv[3], strtod(argv[4], NULL));
    if (!strcmp(what, "print") && argc == 4)
        return check_print(argv[2], argv[3]);
    if (!strcmp(what, "zip") && argc == 3)
        return check_zip(argv[2]);
    if (!strcmp(what, "palm") && argc == 4)
        return check_palm(argv[2], strtod(argv[3], NULL));
    if (!strcmp(what, "obj") && argc == 5)
        return check_obj(argv[2], argv[3], strtoul(argv[4], NULL, 10));
    if (!strcmp(what, "mesh") && argc == 5)
        return check_obj_mesh(argv[2], argv[3], strtoul(argv[4], NULL, 10));
    if (!strcmp(what, "gltf") && argc == 6)
        return check_gltf(argv[2], argv[3], strtod(argv[4], NULL), strtod(argv[5], NULL));
    if (!strcmp(what, "reference") && argc == 5)
        return check_reference(argv[2], argv[3], argv[4]);
    return check_fail("cli_check: what is '%s' with %d words?", what, argc - 2);
}
