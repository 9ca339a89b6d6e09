/* The pickle machine alone, and a walk over the values that it made. */
#include "fuzz_input.h"

#include "pickle.h"
#include <stdlib.h>

enum { STEPS_MOST = 4096 };

static void touch(const wilor_value *v, size_t *steps, int depth) {
    if (!v || depth > WILOR_PICKLE_DEPTH || ++*steps > STEPS_MOST)
        return;
    switch (v->kind) {
    case WILOR_VALUE_TEXT:
    case WILOR_VALUE_BYTES:
    case WILOR_VALUE_GLOBAL:
        (void)wilor_fuzz_hash((const uint8_t *)v->as.text.at, v->as.text.length);
        break;
    case WILOR_VALUE_TUPLE:
    case WILOR_VALUE_LIST:
    case WILOR_VALUE_DICT:
        for (size_t i = 0; i < v->as.list.count; i++)
            touch(v->as.list.items[i], steps, depth + 1);
        break;
    case WILOR_VALUE_OBJECT:
        (void)wilor_value_get(v, "_parameters");
        touch(v->as.object.maker, steps, depth + 1);
        touch(v->as.object.args, steps, depth + 1);
        touch(v->as.object.state, steps, depth + 1);
        touch(v->as.object.pairs, steps, depth + 1);
        touch(v->as.object.items, steps, depth + 1);
        break;
    default:
        break;
    }
}

static void target(const uint8_t *data, size_t size) {
    wilor_pickle p = {.where = "fuzz", .has_persistent = size % 2 == 1};
    wilor_value *top = NULL;
    wilor_error err = {0};
    size_t used = 0, steps = 0;
    int64_t number;
    if (wilor_pickle_load(&p, data, size, &used, &top, &err) != WILOR_OK) {
        if (!err.text[0])
            abort();
    } else if (!top || used > size) {
        abort();
    } else {
        touch(top, &steps, 0);
        (void)wilor_value_item_int(top, 0, &number);
    }
    wilor_pickle_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    wilor_fuzz_twice(target, data, size);
    return 0;
}
