/* Classes and attributes of pickled modules, after torch/nn/modules/module.py (__getstate__:
 * the object's __dict__ is its state, children under _modules) and ultralytics/nn/tasks.py.
 *
 * Only attributes of a fixed list are kept, as numbers or short text, so that a crafted file
 * cannot make the list much larger than itself. Easy to get wrong: Python takes the last of
 * two entries with one key; a tuple of one and a bare number both occur (MaxPool2d's
 * kernel_size). */
#include "module_list.h"

#include "heap.h"
#include <stdio.h>
#include <string.h>

enum { MODULES_MOST = 4096, TEXT_MOST = 64, CLASSES_MOST = 4 };

/* What decides the arithmetic of YOLOv8's modules. */
static const char *const g_kept[] = {
    "i",         "f",   "stride",       "padding", "dilation", "groups",   "kernel_size",
    "eps",       "add", "padding_mode", "nc",      "nl",       "reg_max",  "kpt_shape",
    "n",         "d",   "scale_factor", "mode",    "size",     "_end2end", "end2end",
    "ceil_mode",
};

static const char *kept_key(const wilor_value *key) {
    for (size_t i = 0; i < sizeof g_kept / sizeof g_kept[0]; i++)
        if (wilor_value_is_text(key, g_kept[i]))
            return g_kept[i];
    return NULL;
}

static bool is_text(const wilor_value *v) {
    return (v->kind == WILOR_VALUE_TEXT || v->kind == WILOR_VALUE_BYTES) &&
           v->as.text.length <= TEXT_MOST && wilor_utf8_valid(v->as.text.at, v->as.text.length);
}

static bool number_of(const wilor_value *v, double *out) {
    if (!v || (v->kind != WILOR_VALUE_INT && v->kind != WILOR_VALUE_BOOL &&
               v->kind != WILOR_VALUE_FLOAT))
        return false;
    *out = v->kind == WILOR_VALUE_FLOAT ? v->as.real : (double)v->as.integer;
    return true;
}

/* One number, or all of a short tuple or list of them, else none. */
static void read_numbers(wilor_attribute *a, const wilor_value *v) {
    if (number_of(v, &a->values[0])) {
        a->count = 1;
    } else if (v->kind == WILOR_VALUE_TUPLE || v->kind == WILOR_VALUE_LIST) {
        size_t n = v->as.list.count, i = 0;
        while (i < n && n <= WILOR_ATTRIBUTE_MOST &&
               number_of(v->as.list.items[i], &a->values[i]))
            i++;
        a->count = i == n ? (int)n : 0;
    }
}

/* None is as good as no attribute. key is constant. */
static wilor_status add_value(wilor_index *x, wilor_module *m, const char *key,
                              const wilor_value *v, wilor_error *err) {
    if (v->kind == WILOR_VALUE_NONE)
        return WILOR_OK;
    wilor_attribute *a = wilor_pool_alloc(&x->pool, 1, sizeof *a);
    if (!a)
        return wilor_index_no_memory(x, err);
    a->key = key;
    read_numbers(a, v);
    if (is_text(v)) {
        a->text = wilor_pool_text(&x->pool, v->as.text.at, v->as.text.length);
        if (!a->text)
            return wilor_index_no_memory(x, err);
    }
    a->next = m->attributes;
    m->attributes = a;
    return WILOR_OK;
}

/* names: {0: "left", 1: "right"} or a list, as attributes "names.0" and so on. */
static wilor_status add_names(wilor_index *x, wilor_module *m, const wilor_value *names,
                              wilor_error *err) {
    static const char *const keys[CLASSES_MOST] = {"names.0", "names.1", "names.2", "names.3"};
    wilor_status st = WILOR_OK;
    bool dict = names->kind == WILOR_VALUE_DICT;
    if (!dict && names->kind != WILOR_VALUE_LIST && names->kind != WILOR_VALUE_TUPLE)
        return st;
    size_t step = dict ? 2 : 1;
    for (size_t i = 0; i + step <= names->as.list.count; i += step) {
        const wilor_value *at = names->as.list.items[i];
        int64_t n = !dict ? (int64_t)i : at->kind == WILOR_VALUE_INT ? at->as.integer : -1;
        if (n >= 0 && n < CLASSES_MOST)
            WILOR_TRY(add_value(x, m, keys[n], names->as.list.items[i + step - 1], err));
    }
done:
    return st;
}

static bool class_begins(const wilor_value *v, const char *with) {
    const wilor_value *maker = v && v->kind == WILOR_VALUE_OBJECT ? v->as.object.maker : NULL;
    size_t n = strlen(with);
    return maker && maker->kind == WILOR_VALUE_GLOBAL && maker->as.text.length > n &&
           memcmp(maker->as.text.at, with, n) == 0;
}

bool wilor_modules_wanted(const wilor_value *v) {
    return class_begins(v, "ultralytics.nn.tasks.") && wilor_modules_is_one(v);
}

bool wilor_modules_is_one(const wilor_value *v) {
    return class_begins(v, "") && wilor_value_get(wilor_value_state(v), "_modules");
}

static wilor_status add_attributes(wilor_index *x, wilor_module *m, const wilor_value *state,
                                   wilor_error *err) {
    wilor_status st = WILOR_OK;
    for (size_t i = 0; i + 1 < state->as.list.count; i += 2) {
        const wilor_value *key = state->as.list.items[i], *v = state->as.list.items[i + 1];
        const char *kept = kept_key(key);
        if (kept)
            WILOR_TRY(add_value(x, m, kept, v, err));
        else if (m == x->modules && wilor_value_is_text(key, "names"))
            WILOR_TRY(add_names(x, m, v, err));
    }
done:
    return st;
}

wilor_status wilor_modules_add(wilor_index *x, const char *name, size_t length,
                               const wilor_value *module, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_value *maker = module->as.object.maker;
    if (x->module_count == MODULES_MOST)
        WILOR_FAIL(err, WILOR_ERR_LIMIT, "%s: it has more than %d modules", x->path.text,
                   MODULES_MOST);
    if (!wilor_heap_grow(&x->modules, &x->module_room, x->module_count, sizeof *x->modules))
        return wilor_index_no_memory(x, err);
    wilor_module *m = &x->modules[x->module_count];
    *m = (wilor_module){0};
    WILOR_TRY(wilor_index_name(x, &m->name, name, length, err));
    WILOR_TRY(
        wilor_index_name(x, &m->class_name, maker->as.text.at, maker->as.text.length, err));
    x->module_count++;
    WILOR_TRY(add_attributes(x, m, wilor_value_state(module), err));
done:
    return st;
}

wilor_status wilor_modules_add_to_root(wilor_index *x, const char *key,
                                       const wilor_value *value, wilor_error *err) {
    return x->module_count && value ? add_value(x, x->modules, key, value, err) : WILOR_OK;
}

wilor_status wilor_modules_describe(wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char text[2 * TEXT_MOST + 8];
    double size[2];
    const char *left = wilor_index_attribute_text(x, "", "names.0");
    const char *right = wilor_index_attribute_text(x, "", "names.1");
    if (wilor_index_attribute(x, "", "imgsz", size, 2) == 1) {
        int n = snprintf(text, sizeof text, "%.12g", size[0]);
        WILOR_TRY(wilor_index_add_metadata(x, "imgsz", 5, text, (size_t)n, err));
    }
    if (left && right) {
        int n = snprintf(text, sizeof text, "%s, %s", left, right);
        WILOR_TRY(wilor_index_add_metadata(x, "names", 5, text, (size_t)n, err));
    }
done:
    return st;
}

wilor_status wilor_modules_seal(wilor_index *x, wilor_error *err) {
    wilor_quoted q;
    for (size_t i = 0; i < x->module_count; i++)
        if (!wilor_names_add(&x->module_names, x->modules[i].name, strlen(x->modules[i].name),
                             i))
            return wilor_index_no_memory(x, err);
    if (!wilor_names_sort(&x->module_names))
        return wilor_index_no_memory(x, err);
    const wilor_name *twice = wilor_names_twice(&x->module_names);
    if (twice)
        return wilor_error_set(err, WILOR_ERR_FORMAT, "%s: there are two modules named %s",
                               x->path.text, wilor_quote(&q, twice->text));
    return WILOR_OK;
}

/* ------------------------------------------------------------------ asking */

static const wilor_module *find_module(const wilor_index *x, const char *name) {
    const wilor_name *found = wilor_names_find(&x->module_names, name, strlen(name));
    return found ? &x->modules[found->value] : NULL;
}

static const wilor_attribute *find_attribute(const wilor_index *x, const char *module,
                                             const char *key) {
    const wilor_module *m = find_module(x, module);
    const wilor_attribute *a = m ? m->attributes : NULL;
    while (a && strcmp(a->key, key) != 0)
        a = a->next;
    return a;
}

size_t wilor_index_module_count(const wilor_index *index) { return index->module_count; }

const char *wilor_index_module_at(const wilor_index *index, size_t i) {
    return i < index->module_count ? index->modules[i].name : NULL;
}

size_t wilor_index_module_find(const wilor_index *index, const char *module) {
    const wilor_module *m = find_module(index, module);
    return m ? (size_t)(m - index->modules) : index->module_count;
}

const char *wilor_index_class(const wilor_index *index, const char *module) {
    const wilor_module *m = find_module(index, module);
    return m ? m->class_name : NULL;
}

int wilor_index_attribute(const wilor_index *index, const char *module, const char *key,
                          double *values, int most) {
    const wilor_attribute *a = find_attribute(index, module, key);
    for (int i = 0; a && i < a->count && i < most; i++)
        values[i] = a->values[i];
    return a ? a->count : -1;
}

const char *wilor_index_attribute_text(const wilor_index *index, const char *module,
                                       const char *key) {
    const wilor_attribute *a = find_attribute(index, module, key);
    return a ? a->text : NULL;
}
