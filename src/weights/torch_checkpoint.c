/* Checkpoints after torch/serialization.py, torch/_utils.py (_rebuild_tensor_v2 and its kin)
 * and torch/nn/modules/module.py (state_dict).
 *
 * The pickle holds tensors as calls of _rebuild_tensor_v2(storage, offset, size, stride, …),
 * all in elements, and storages as persistent ids ("storage", type, key, device, elements); the
 * bytes of a storage are a zip member data/<key>, which is viewed where it lies. Tensors share
 * storages and may have any stride. A saved module is an object whose state has _parameters,
 * _buffers and _modules.
 *
 * Values form a graph: shared parts could be reached along exponentially many paths, and may
 * hold themselves. The walk is limited in depth, and in steps by the size of the pickle:
 * without sharing, a step costs several bytes of it. */
#include "torch_checkpoint.h"

#include "heap.h"
#include "module_list.h"
#include "zip_member.h"
#include <stdio.h>
#include <string.h>

enum { STEPS_FREE = 4096, NAME_MOST = 4096, METADATA_MOST = 1024, WRAPPERS_MOST = 8 };

typedef struct storage {
    const uint8_t *data;
    size_t bytes;
} storage;

typedef struct checkpoint {
    wilor_index *x;
    wilor_pickle pickle;
    bool big_endian;
    /* zip */
    const wilor_zip *zip;
    const char *prefix; /* "<root>/", not terminated */
    size_t prefix_length;
    const uint8_t **bytes; /* of each member, once it was needed */
    /* legacy: storages[names.value] */
    wilor_names keys;
    storage *storages;
    size_t storage_count;
    /* the walk */
    char name[NAME_MOST + 1];
    size_t name_length;
    size_t steps, steps_most;
    bool modules; /* note classes and attributes, too */
    wilor_error *err;
} checkpoint;

/* ------------------------------------------------------------------ types */

typedef struct type_entry {
    const char *storage, *dtype; /* names in module torch */
    wilor_tensor_dtype code;
    const char *other; /* listed name of a type without arithmetic */
    size_t element;
} type_entry;

static const type_entry g_types[] = {
    {"FloatStorage", "float32", WILOR_F32, NULL, 0},
    {"DoubleStorage", "float64", WILOR_F64, NULL, 0},
    {"HalfStorage", "float16", WILOR_F16, NULL, 0},
    {"BFloat16Storage", "bfloat16", WILOR_BF16, NULL, 0},
    {"LongStorage", "int64", WILOR_I64, NULL, 0},
    {"IntStorage", "int32", WILOR_I32, NULL, 0},
    {"ShortStorage", "int16", WILOR_I16, NULL, 0},
    {"CharStorage", "int8", WILOR_I8, NULL, 0},
    {"ByteStorage", "uint8", WILOR_U8, NULL, 0},
    {"BoolStorage", "bool", WILOR_BOOL, NULL, 0},
    {"UntypedStorage", "uint8", WILOR_U8, NULL, 0},
    {"", "uint64", WILOR_U64, NULL, 0},
    {"", "uint32", WILOR_U32, NULL, 0},
    {"", "uint16", WILOR_U16, NULL, 0},
    {"ComplexFloatStorage", "complex64", WILOR_DTYPE_OTHER, "C64", 8},
    {"ComplexDoubleStorage", "complex128", WILOR_DTYPE_OTHER, "C128", 16},
    {"Float8_e4m3fnStorage", "float8_e4m3fn", WILOR_DTYPE_OTHER, "F8_E4M3", 1},
    {"Float8_e5m2Storage", "float8_e5m2", WILOR_DTYPE_OTHER, "F8_E5M2", 1},
};

/* Set t's type from a GLOBAL, torch.FloatStorage or torch.float32. */
static bool set_type(wilor_tensor *t, const wilor_value *global) {
    for (size_t i = 0; i < sizeof g_types / sizeof g_types[0]; i++) {
        const type_entry *e = &g_types[i];
        if (!wilor_value_is_global(global, "torch", e->storage) &&
            !wilor_value_is_global(global, "torch", e->dtype) &&
            !wilor_value_is_global(global, "torch.storage", e->storage))
            continue;
        wilor_tensor_set_dtype(t, e->code);
        if (e->other) {
            t->dtype_name = e->other;
            t->element = e->element;
        }
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ storages */

static wilor_status tensor_error(const checkpoint *c, wilor_status status, const char *what) {
    wilor_quoted q;
    return wilor_error_set(c->err, status, "%s: tensor %s %s", c->x->path.text,
                           wilor_quote(&q, c->name), what);
}

static wilor_status zip_storage(checkpoint *c, const wilor_value *key, storage *out) {
    wilor_status st = WILOR_OK;
    char name[512];
    size_t n = c->prefix_length, k = key->as.text.length;
    if (n + 5 + k > sizeof name)
        return tensor_error(c, WILOR_ERR_FORMAT, "names an impossible storage");
    memcpy(name, c->prefix, n);
    memcpy(name + n, "data/", 5);
    if (k)
        memcpy(name + n + 5, key->as.text.at, k);
    const wilor_zip_member *m = wilor_zip_find(c->zip, name, n + 5 + k);
    if (!m)
        return tensor_error(c, WILOR_ERR_FORMAT, "needs a storage that is not in the file");
    size_t i = (size_t)(m - c->zip->members);
    if (!c->bytes[i])
        WILOR_TRY(wilor_zip_member_read(c->x, m, false, &c->bytes[i], c->err));
    out->data = c->bytes[i];
    out->bytes = m->size;
done:
    return st;
}

static wilor_status legacy_storage(const checkpoint *c, const wilor_value *key, storage *out) {
    const wilor_name *found = wilor_names_find(&c->keys, key->as.text.at, key->as.text.length);
    if (!found)
        return tensor_error(c, WILOR_ERR_FORMAT, "needs a storage that is not in the file");
    *out = c->storages[found->value];
    return WILOR_OK;
}

static bool is_string(const wilor_value *v) {
    return v && (v->kind == WILOR_VALUE_TEXT || v->kind == WILOR_VALUE_BYTES);
}

/* ("storage", type, key, device, elements[, view of another storage]) */
static bool is_storage_id(const wilor_value *id, int64_t *elements) {
    const wilor_value *type = wilor_value_item(id, 1), *view = wilor_value_item(id, 5);
    return wilor_value_is_text(wilor_value_item(id, 0), "storage") && type &&
           type->kind == WILOR_VALUE_GLOBAL && is_string(wilor_value_item(id, 2)) &&
           wilor_value_item_int(id, 4, elements) && *elements >= 0 &&
           (!view || view->kind == WILOR_VALUE_NONE);
}

/* The bytes of a storage, as many as its id claims; t gets its type. */
static wilor_status find_storage(checkpoint *c, const wilor_value *v, wilor_tensor *t,
                                 storage *out) {
    wilor_status st;
    int64_t elements;
    size_t bytes;
    const wilor_value *id = v && v->kind == WILOR_VALUE_PERSISTENT ? v->as.object.args : NULL;
    if (!is_storage_id(id, &elements))
        return tensor_error(c, WILOR_ERR_FORMAT, "has no storage that can be read");
    if (!set_type(t, wilor_value_item(id, 1)))
        return tensor_error(c, WILOR_ERR_UNSUPPORTED,
                            "has an element type that cannot be read");
    const wilor_value *key = wilor_value_item(id, 2);
    WILOR_TRY(c->zip ? zip_storage(c, key, out) : legacy_storage(c, key, out));
    if (!wilor_size_mul((size_t)elements, t->element, &bytes) || bytes > out->bytes)
        return tensor_error(
            c, WILOR_ERR_FORMAT,
            "needs a storage that is shorter than it should be: a damaged file?");
    out->bytes = bytes;
done:
    return st;
}

/* ------------------------------------------------------------------ tensors */

static bool is_rebuild(const wilor_value *maker, const char *name) {
    return wilor_value_is_global(maker, "torch._utils", name);
}

/* If v is a tensor, perhaps in a Parameter or a subclass: the function that makes it and its
 * arguments. */
static bool as_tensor(const wilor_value *v, const wilor_value **maker,
                      const wilor_value **args) {
    for (int i = 0; i < WRAPPERS_MOST && v && v->kind == WILOR_VALUE_OBJECT; i++) {
        *maker = v->as.object.maker;
        *args = v->as.object.args;
        if (is_rebuild(*maker, "_rebuild_parameter") ||
            is_rebuild(*maker, "_rebuild_parameter_with_state")) {
            v = wilor_value_item(*args, 0);
            continue;
        }
        if (wilor_value_is_global(*maker, "torch._tensor", "_rebuild_from_type_v2")) {
            *maker = wilor_value_item(*args, 0);
            *args = wilor_value_item(*args, 2);
        }
        const char *prefix = "torch._utils._rebuild_";
        return *maker && (*maker)->kind == WILOR_VALUE_GLOBAL &&
               (*maker)->as.text.length > strlen(prefix) &&
               memcmp((*maker)->as.text.at, prefix, strlen(prefix)) == 0;
    }
    return false;
}

/* Sizes and strides of equal length. */
static bool read_layout(wilor_tensor *t, const wilor_value *size, const wilor_value *stride) {
    /* torch.Size is a call around a tuple. */
    if (size && size->kind == WILOR_VALUE_OBJECT &&
        wilor_value_is_global(size->as.object.maker, "torch", "Size"))
        size = wilor_value_item(size->as.object.args, 0);
    if (!size || !stride || size->kind != WILOR_VALUE_TUPLE ||
        stride->kind != WILOR_VALUE_TUPLE || size->as.list.count != stride->as.list.count ||
        size->as.list.count > WILOR_MAX_RANK)
        return false;
    t->rank = (int)size->as.list.count;
    for (size_t i = 0; i < size->as.list.count; i++)
        if (!wilor_value_item_int(size, i, &t->shape[i]) ||
            !wilor_value_item_int(stride, i, &t->stride[i]))
            return false;
    return true;
}

static wilor_status add_tensor(checkpoint *c, const wilor_value *maker,
                               const wilor_value *args) {
    wilor_status st = WILOR_OK;
    wilor_tensor t = {0};
    storage s = {0};
    int64_t offset;
    bool typed = is_rebuild(maker, "_rebuild_tensor_v3"); /* carries its type */
    if (!typed && !is_rebuild(maker, "_rebuild_tensor_v2") &&
        !is_rebuild(maker, "_rebuild_tensor"))
        return tensor_error(c, WILOR_ERR_UNSUPPORTED,
                            "is sparse or quantised, or otherwise special");
    const wilor_value *special = wilor_value_item(args, typed ? 7 : 6);
    if (special && special->kind == WILOR_VALUE_DICT && special->as.list.count)
        return tensor_error(c, WILOR_ERR_UNSUPPORTED, "is stored negated or conjugated");
    WILOR_TRY(find_storage(c, wilor_value_item(args, 0), &t, &s));
    if (typed && !set_type(&t, wilor_value_item(args, 6)))
        return tensor_error(c, WILOR_ERR_UNSUPPORTED,
                            "has an element type that cannot be read");
    if (!wilor_value_item_int(args, 1, &offset) ||
        !read_layout(&t, wilor_value_item(args, 2), wilor_value_item(args, 3)))
        return tensor_error(c, WILOR_ERR_FORMAT,
                            "has sizes and strides that do not fit together");
    t.big_endian = c->big_endian && t.element > 1;
    WILOR_TRY(wilor_index_name(c->x, &t.name, c->name, c->name_length, c->err));
    WILOR_TRY(wilor_index_add(c->x, &t, s.data, s.bytes, offset, c->err));
done:
    return st;
}

/* ------------------------------------------------------------------ the walk */

static wilor_status walk(checkpoint *c, const wilor_value *v, int depth);

/* The text of a key; numbers are written into `number`. False: a key that names nothing. */
static bool key_text(const wilor_value *key, char number[24], const char **text,
                     size_t *length) {
    if (key->kind == WILOR_VALUE_INT) {
        *length = (size_t)snprintf(number, 24, "%lld", (long long)key->as.integer);
        *text = number;
        return true;
    }
    *text = is_string(key) ? key->as.text.at : NULL;
    *length = is_string(key) ? key->as.text.length : 0;
    return is_string(key);
}

/* Walk v under the name so far, a dot and the key. */
static wilor_status walk_named(checkpoint *c, const wilor_value *key, const wilor_value *v,
                               int depth) {
    wilor_status st = WILOR_OK;
    char number[24];
    const char *text;
    size_t length, before = c->name_length;
    if (!key_text(key, number, &text, &length))
        return WILOR_OK;
    size_t dot = before > 0;
    if (length + dot > NAME_MOST - before)
        WILOR_FAIL(c->err, WILOR_ERR_LIMIT, "%s: a name in it is longer than %d bytes",
                   c->x->path.text, NAME_MOST);
    if (dot)
        c->name[c->name_length++] = '.';
    if (length)
        memcpy(c->name + c->name_length, text, length);
    c->name_length += length;
    c->name[c->name_length] = 0;
    st = walk(c, v, depth);
    c->name_length = before;
    c->name[before] = 0;
done:
    return st;
}

static wilor_status walk_pairs(checkpoint *c, const wilor_value *dict, int depth) {
    wilor_status st = WILOR_OK;
    if (!dict || dict->kind != WILOR_VALUE_DICT)
        return WILOR_OK;
    for (size_t i = 0; i + 1 < dict->as.list.count; i += 2)
        WILOR_TRY(walk_named(c, dict->as.list.items[i], dict->as.list.items[i + 1], depth));
done:
    return st;
}

static wilor_status walk_items(checkpoint *c, const wilor_value *list, int depth) {
    wilor_status st = WILOR_OK;
    for (size_t i = 0; list && i < list->as.list.count; i++) {
        wilor_value key = {.kind = WILOR_VALUE_INT, .as.integer = (int64_t)i};
        WILOR_TRY(walk_named(c, &key, list->as.list.items[i], depth));
    }
done:
    return st;
}

/* The parts of a module that state_dict() would list, in its order; for other objects the items
 * set on them. Parts are often objects themselves (OrderedDict with attributes). */
static wilor_status walk_object(checkpoint *c, const wilor_value *v, int depth) {
    static const char *const parts[] = {"_parameters", "_buffers", "_modules"};
    wilor_status st = WILOR_OK;
    const wilor_value *state = wilor_value_state(v);
    if (state)
        c->steps += state->as.list.count / 2; /* each entry is looked at */
    if (c->modules && wilor_modules_is_one(v))
        WILOR_TRY(wilor_modules_add(c->x, c->name, c->name_length, v, c->err));
    for (size_t i = 0; i < 3; i++) {
        const wilor_value *part = wilor_value_get(state, parts[i]);
        if (part && part->kind == WILOR_VALUE_OBJECT)
            part = part->as.object.pairs;
        WILOR_TRY(walk_pairs(c, part, depth));
    }
    WILOR_TRY(walk_pairs(c, v->as.object.pairs, depth));
    WILOR_TRY(walk_items(c, v->as.object.items, depth));
done:
    return st;
}

static wilor_status walk(checkpoint *c, const wilor_value *v, int depth) {
    const wilor_value *maker, *args;
    if (++c->steps > c->steps_most)
        return wilor_error_set(c->err, WILOR_ERR_LIMIT,
                               "%s: its %zu bytes of pickle unfold to more than %zu values",
                               c->x->path.text, c->steps_most - STEPS_FREE, c->steps_most);
    if (depth > WILOR_PICKLE_DEPTH)
        return wilor_error_set(c->err, WILOR_ERR_LIMIT,
                               "%s: its values are nested more than %d deep", c->x->path.text,
                               WILOR_PICKLE_DEPTH);
    if (as_tensor(v, &maker, &args))
        return add_tensor(c, maker, args);
    if (v->kind == WILOR_VALUE_DICT)
        return walk_pairs(c, v, depth + 1);
    if (v->kind == WILOR_VALUE_LIST || v->kind == WILOR_VALUE_TUPLE)
        return walk_items(c, v, depth + 1);
    return v->kind == WILOR_VALUE_OBJECT ? walk_object(c, v, depth + 1) : WILOR_OK;
}

static bool holds_values(const wilor_value *v) {
    const wilor_value *maker, *args;
    return v && (v->kind == WILOR_VALUE_DICT || v->kind == WILOR_VALUE_OBJECT) &&
           !as_tensor(v, &maker, &args);
}

/* The part of a checkpoint that is the model: its state_dict, or a module saved as "model" or
 * (by training programs that average weights) "ema", or all of it. Where ultralytics saved both,
 * the average is what it runs. */
static const wilor_value *model_of(const wilor_value *top) {
    static const char *const keys[] = {"state_dict", "model", "ema"};
    if (wilor_value_get(wilor_value_state(top), "_modules"))
        return top;
    if (!holds_values(wilor_value_get(top, keys[0])) &&
        wilor_modules_wanted(wilor_value_get(top, "ema")))
        return wilor_value_get(top, "ema");
    for (size_t i = 0; i < 3; i++) {
        const wilor_value *part = wilor_value_get(top, keys[i]);
        if (holds_values(part))
            return part;
    }
    return top;
}

wilor_status wilor_torch_metadata(wilor_index *x, const wilor_value *dict, wilor_error *err) {
    wilor_status st = WILOR_OK;
    char number[24];
    if (dict && dict->kind == WILOR_VALUE_OBJECT)
        dict = dict->as.object.pairs;
    if (!dict || dict->kind != WILOR_VALUE_DICT)
        return st;
    for (size_t i = 0; i + 1 < dict->as.list.count && x->pair_count < METADATA_MOST; i += 2) {
        const wilor_value *key = dict->as.list.items[i], *v = dict->as.list.items[i + 1];
        const char *text = v->as.text.at;
        size_t length = v->as.text.length;
        if (v->kind == WILOR_VALUE_INT) {
            length = (size_t)snprintf(number, sizeof number, "%lld", (long long)v->as.integer);
            text = number;
        }
        if ((v->kind != WILOR_VALUE_INT && !is_string(v)) || !is_string(key) ||
            length > NAME_MOST || key->as.text.length > NAME_MOST ||
            !wilor_utf8_valid(text, length))
            continue;
        WILOR_TRY(wilor_index_add_metadata(x, key->as.text.at, key->as.text.length, text,
                                           length, err));
    }
done:
    return st;
}

static wilor_status walk_top(checkpoint *c, const wilor_value *top) {
    wilor_status st = WILOR_OK;
    const wilor_value *maker, *args;
    WILOR_TRY(wilor_torch_metadata(c->x, top, c->err));
    if (as_tensor(top, &maker, &args)) {
        wilor_value key = {.kind = WILOR_VALUE_TEXT, .as.text = {"tensor", 6}};
        WILOR_TRY(walk_named(c, &key, top, 0));
    } else {
        const wilor_value *model = model_of(top);
        c->modules = wilor_modules_wanted(model);
        WILOR_TRY(walk(c, model, 0));
        const wilor_value *training = wilor_value_get(top, "train_args");
        WILOR_TRY(wilor_modules_add_to_root(c->x, "imgsz", wilor_value_get(training, "imgsz"),
                                            c->err));
    }
    if (!c->x->count)
        WILOR_FAIL(c->err, WILOR_ERR_FORMAT, "%s: this PyTorch file holds no tensors",
                   c->x->path.text);
done:
    return st;
}

static void checkpoint_fini(checkpoint *c) {
    wilor_pickle_free(&c->pickle);
    wilor_names_free(&c->keys);
    wilor_heap_free(c->bytes);
    wilor_heap_free(c->storages);
}

/* ------------------------------------------------------------------ zip */

const wilor_zip_member *wilor_torch_zip_pickle(const wilor_zip *z) {
    for (size_t i = 0; i < z->count; i++) {
        const wilor_zip_member *m = &z->members[i];
        if (m->name_length >= 9 && memcmp(m->name + m->name_length - 9, "/data.pkl", 9) == 0)
            return m;
    }
    return NULL;
}

static wilor_status read_byte_order(checkpoint *c) {
    wilor_status st = WILOR_OK;
    const uint8_t *text;
    char name[512];
    if (c->prefix_length + 9 > sizeof name)
        return wilor_error_set(c->err, WILOR_ERR_FORMAT,
                               "%s: its root folder's name is too long", c->x->path.text);
    memcpy(name, c->prefix, c->prefix_length);
    memcpy(name + c->prefix_length, "byteorder", 9);
    const wilor_zip_member *m = wilor_zip_find(c->zip, name, c->prefix_length + 9);
    if (!m)
        return WILOR_OK;
    WILOR_TRY(wilor_zip_member_read(c->x, m, true, &text, c->err));
    c->big_endian = m->size == 3 && memcmp(text, "big", 3) == 0;
    if (!c->big_endian && !(m->size == 6 && memcmp(text, "little", 6) == 0))
        WILOR_FAIL(c->err, WILOR_ERR_FORMAT,
                   "%s: its byteorder record is neither little nor big", c->x->path.text);
done:
    return st;
}

wilor_status wilor_torch_zip_read(wilor_index *x, const wilor_zip *z, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const wilor_zip_member *m = wilor_torch_zip_pickle(z);
    const uint8_t *text;
    size_t used;
    wilor_value *top;
    checkpoint c = {.x = x, .zip = z, .err = err};
    x->format = "torch zip";
    c.pickle.where = x->path.text;
    c.pickle.has_persistent = true;
    c.prefix = m->name;
    c.prefix_length = m->name_length - 8;
    c.bytes = wilor_heap_alloc(z->count, sizeof *c.bytes);
    if (!c.bytes)
        WILOR_TRY(wilor_index_no_memory(x, err));
    WILOR_TRY(read_byte_order(&c));
    WILOR_TRY(wilor_zip_member_read(x, m, false, &text, err));
    c.steps_most = STEPS_FREE + m->size;
    WILOR_TRY(wilor_pickle_load(&c.pickle, text, m->size, &used, &top, err));
    WILOR_TRY(walk_top(&c, top));
done:
    checkpoint_fini(&c);
    return st;
}

/* ------------------------------------------------------------------ legacy */

/* Protocol 2, the long 0x1950a86a20f9469cfc6c, stop. */
static const uint8_t g_magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                  0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

bool wilor_torch_legacy_seen(const uint8_t *data, size_t size) {
    return size >= sizeof g_magic && memcmp(data, g_magic, sizeof g_magic) == 0;
}

static wilor_status legacy_error(const checkpoint *c, const char *what) {
    return wilor_error_set(c->err, WILOR_ERR_FORMAT, "%s: damaged PyTorch file: %s",
                           c->x->path.text, what);
}

/* One storage at *at: its number of elements, then its bytes. `id` is the persistent id that
 * names it. */
static wilor_status read_storage(checkpoint *c, const wilor_value *id, size_t *at) {
    const wilor_index *x = c->x;
    wilor_tensor t;
    int64_t elements;
    uint64_t stored = 0;
    size_t bytes;
    if (!is_storage_id(id, &elements) || !set_type(&t, wilor_value_item(id, 1)))
        return legacy_error(c, "a storage of unknown type");
    if (x->size - *at < 8)
        return legacy_error(c, "it ends before its last tensor");
    for (int i = 7; i >= 0; i--) {
        int from = c->big_endian ? 7 - i : i;
        stored = stored << 8 | x->data[*at + (size_t)from];
    }
    *at += 8;
    if (stored != (uint64_t)elements)
        return legacy_error(c, "a storage has another length than its tensors say");
    if (!wilor_size_mul((size_t)elements, t.element, &bytes) || bytes > x->size - *at)
        return legacy_error(c, "it ends before its last tensor");
    c->storages[c->storage_count++] = (storage){x->data + *at, bytes};
    *at += bytes;
    return WILOR_OK;
}

/* The list of keys and the storages in its order, from `at` on. */
static wilor_status read_storages(checkpoint *c, const wilor_value *keys, size_t at) {
    wilor_status st = WILOR_OK;
    wilor_names ids = {0};
    if (keys->kind != WILOR_VALUE_LIST)
        return legacy_error(c, "its list of storages is missing");
    for (size_t i = 0; i < c->pickle.persistent_count; i++) {
        const wilor_value *key = wilor_value_item(c->pickle.persistent[i]->as.object.args, 2);
        if (is_string(key) && !wilor_names_add(&ids, key->as.text.at, key->as.text.length, i))
            WILOR_TRY(wilor_index_no_memory(c->x, c->err));
    }
    c->storages = wilor_heap_alloc(keys->as.list.count, sizeof *c->storages);
    if (!c->storages || !wilor_names_sort(&ids))
        WILOR_TRY(wilor_index_no_memory(c->x, c->err));
    for (size_t i = 0; i < keys->as.list.count; i++) {
        const wilor_value *key = keys->as.list.items[i];
        const wilor_name *id =
            is_string(key) ? wilor_names_find(&ids, key->as.text.at, key->as.text.length)
                           : NULL;
        if (!id)
            WILOR_TRY(legacy_error(c, "a storage that no tensor uses"));
        if (!wilor_names_add(&c->keys, key->as.text.at, key->as.text.length, i))
            WILOR_TRY(wilor_index_no_memory(c->x, c->err));
        WILOR_TRY(read_storage(c, c->pickle.persistent[id->value]->as.object.args, &at));
    }
    if (!wilor_names_sort(&c->keys))
        WILOR_TRY(wilor_index_no_memory(c->x, c->err));
done:
    wilor_names_free(&ids);
    return st;
}

/* The next pickle at *at. */
static wilor_status next_pickle(checkpoint *c, size_t *at, wilor_value **out) {
    size_t used;
    wilor_status st =
        wilor_pickle_load(&c->pickle, c->x->data + *at, c->x->size - *at, &used, out, c->err);
    if (st == WILOR_OK)
        *at += used;
    return st;
}

wilor_status wilor_torch_legacy_read(wilor_index *x, wilor_error *err) {
    wilor_status st = WILOR_OK;
    checkpoint c = {.x = x, .err = err};
    wilor_value *version, *system, *top, *keys;
    size_t at = sizeof g_magic;
    x->format = "torch legacy";
    c.pickle.where = x->path.text;
    c.pickle.has_persistent = true;
    WILOR_TRY(next_pickle(&c, &at, &version));
    WILOR_TRY(next_pickle(&c, &at, &system));
    if (version->kind != WILOR_VALUE_INT || version->as.integer != 1001)
        WILOR_FAIL(err, WILOR_ERR_UNSUPPORTED,
                   "%s: an unknown version of PyTorch's old file format", x->path.text);
    const wilor_value *little = wilor_value_get(system, "little_endian");
    c.big_endian = little && little->kind == WILOR_VALUE_BOOL && !little->as.integer;
    WILOR_TRY(next_pickle(&c, &at, &top));
    c.steps_most = STEPS_FREE + at;
    WILOR_TRY(next_pickle(&c, &at, &keys));
    WILOR_TRY(read_storages(&c, keys, at));
    WILOR_TRY(walk_top(&c, top));
done:
    checkpoint_fini(&c);
    return st;
}
