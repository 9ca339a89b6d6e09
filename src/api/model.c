/* Opening a model: which file answers for what, then the back end packs it. */
#include "model_impl.h"

#include "backend_cuda.h"
#include "backend_mlx.h"
#include "clock.h"
#include "model_notes.h"
#include "random_weights.h"

#include <stdio.h>
#include <string.h>

/* The files of one opening. */
typedef struct files {
    wilor_index *weights, *mano, *mean;
} files;

static wilor_status open_canonical(wilor_index **out, const char *path, wilor_error *err) {
    wilor_status st = WILOR_OK;
    *out = NULL;
    if (!path)
        return WILOR_OK;
    WILOR_TRY(wilor_index_open(out, path, err));
    WILOR_TRY(wilor_index_canonical(*out, err));
done:
    return st;
}

/* "random:NAME": weights by formula, on the hand of o->mano. */
static wilor_status open_random(wilor_index **out, const char *name, const files *f,
                                wilor_error *err) {
    wilor_quoted q;
    wilor_random_model model;
    if (!wilor_random_model_named(&model, name))
        return wilor_error_set(
            err, WILOR_ERR_ARG,
            "%s names no synthetic weights: tiny, hd80, full, nano and demo do",
            wilor_quote(&q, name));
    if (!f->mano)
        return wilor_error_set(err, WILOR_ERR_MISSING,
                               "synthetic weights need a hand model: give a mano.npz");
    return wilor_random_index(out, &model, f->mano, err);
}

static wilor_status check_kinds(const files *f, const wilor_model_options *o,
                                wilor_error *err) {
    static const char *const kinds[] = {"a file of other tensors",   "a WiLoR checkpoint",
                                        "a wilor-mlx file",          "a hand model",
                                        "a file of mean parameters", "a hand detector"};
    wilor_quoted q;
    wilor_file_kind kind = wilor_index_kind(f->weights);
    const wilor_tensor *t;
    wilor_tensor_source s = {f->weights, f->mano, f->mean};
    if (kind != WILOR_FILE_CHECKPOINT && kind != WILOR_FILE_MLX)
        return wilor_error_set(err, WILOR_ERR_MODEL, "%s is %s, not WiLoR's weights",
                               wilor_quote(&q, o->weights), kinds[kind]);
    if (f->mean && wilor_index_kind(f->mean) != WILOR_FILE_MEAN)
        return wilor_error_set(err, WILOR_ERR_MODEL,
                               "%s is %s, not the mean parameters (mano_mean_params.npz)",
                               wilor_quote(&q, o->mean), kinds[wilor_index_kind(f->mean)]);
    if (!wilor_source_find(&s, "mano.v_template", &t))
        return wilor_error_set(
            err, WILOR_ERR_MISSING,
            "no hand model: %s holds none and %s; give mano.npz, MANO_RIGHT.pkl or a "
            "checkpoint that has one",
            wilor_quote(&q, o->weights),
            f->mano ? "neither does the other file" : "no other was given");
    return WILOR_OK;
}

static void close_files(files *f) {
    wilor_index_close(&f->weights);
    wilor_index_close(&f->mano);
    wilor_index_close(&f->mean);
}

static wilor_status open_files(files *f, const wilor_model_options *o, wilor_error *err) {
    wilor_status st = WILOR_OK;
    const char *name = wilor_random_name(o->weights);
    WILOR_TRY(open_canonical(&f->mano, o->mano, err));
    WILOR_TRY(open_canonical(&f->mean, o->mean, err));
    if (name)
        WILOR_TRY(open_random(&f->weights, name, f, err));
    else
        WILOR_TRY(open_canonical(&f->weights, o->weights, err));
    WILOR_TRY(check_kinds(f, o, err));
done:
    return st;
}

static wilor_status fill_info(wilor_model *m, const files *f, const char *path, uint64_t start,
                              wilor_error *err) {
    const char *label = wilor_index_metadata(f->weights, "label");
    wilor_model_notes notes;
    wilor_status st = wilor_model_notes_read(&notes, f->weights, err);
    if (st != WILOR_OK)
        return st;
    m->weights = wilor_heap_string(path);
    m->label = wilor_heap_string(label ? label : "");
    m->name = wilor_heap_string(notes.name);
    m->licence = wilor_heap_string(notes.licence);
    if (!m->weights || !m->label || !m->name || !m->licence)
        return wilor_error_set(err, WILOR_ERR_NOMEM, "no memory for the model");
    m->backend->info(m->network, &m->info);
    m->info.weights = m->weights;
    m->info.label = m->label;
    m->info.name = m->name;
    m->info.licence = m->licence;
    m->info.rescale = notes.rescale;
    m->info.device = m->device;
    m->info.vertices = wilor_mano_vertices(m->mano);
    m->info.faces = wilor_mano_faces(m->mano, NULL, NULL);
    m->info.load_seconds = (double)(wilor_clock_ns() - start) * 1e-9;
    return WILOR_OK;
}

static const wilor_backend *backend_of(const wilor_device *device) {
    return device->kind == WILOR_DEVICE_CUDA  ? wilor_backend_cuda()
           : device->kind == WILOR_DEVICE_MLX ? wilor_backend_mlx()
                                              : wilor_backend_cpu();
}

static int threads_or_default(int threads) {
    return threads > 0 ? threads : wilor_threads_default();
}

wilor_status wilor_model_open(wilor_model **out, const wilor_model_options *options,
                              wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_model_options o = {0};
    files f = {0};
    wilor_model *m = NULL;
    wilor_threads *pool = NULL;
    wilor_device device;
    uint64_t start = wilor_clock_ns();
    wilor_error_clear(err);
    if (!out || !options)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_model_open: out and o may not be NULL");
    *out = NULL;
    WILOR_TRY(wilor_options_read(&o, sizeof o, options, "wilor_model_options", err));
    if (o.dtype < WILOR_DTYPE_F32 || o.dtype > WILOR_DTYPE_FP8)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_model_options: dtype %d is none", (int)o.dtype);
    if (!o.weights)
        WILOR_FAIL(err, WILOR_ERR_ARG, "wilor_model_options: weights is not set");
    WILOR_TRY(wilor_device_parse(&device, o.device, o.dtype, err));
    WILOR_TRY(open_files(&f, &o, err));
    WILOR_TRY(wilor_threads_create(&pool, threads_or_default(o.threads), err));
    m = wilor_heap_alloc(1, sizeof *m);
    if (!m)
        WILOR_FAIL(err, WILOR_ERR_NOMEM, "no memory for the model");
    wilor_device_name(m->device, sizeof m->device, &device);
    m->backend = backend_of(&device);
    wilor_tensor_source source = {f.weights, f.mano, f.mean};
    m->packed.fd = -1;
    WILOR_TRY(wilor_mano_create_from(&m->mano, &source, err));
    wilor_backend_load load = {.source = &source,
                               .mano = m->mano,
                               .heads = o.heads,
                               .max_isa = o.max_isa,
                               .dtype = o.dtype,
                               .pool = pool,
                               .cards = device.card,
                               .card_count = device.cards,
                               .callbacks = &o.callbacks};
    wilor_packed_key(m->key, &source, o.heads, o.max_isa, o.dtype);
    if (o.packed && device.kind == WILOR_DEVICE_CPU)
        load.packed =
            wilor_packed_open(&m->packed, o.packed, m->key, &load.packed_bytes, &o.callbacks);
    WILOR_TRY(m->backend->load(&m->network, &load, err));
    WILOR_TRY(fill_info(m, &f, o.weights, start, err));
    *out = m;
    m = NULL;
done:
    wilor_threads_free(&pool);
    close_files(&f);
    wilor_model_free(&m);
    return st;
}

void wilor_model_free(wilor_model **model) {
    wilor_model *m = model ? *model : NULL;
    if (!m)
        return;
    if (m->network)
        m->backend->unload(m->network);
    wilor_mano_free(&m->mano);
    wilor_file_map_close(&m->packed);
    wilor_heap_free(m->weights);
    wilor_heap_free(m->label);
    wilor_heap_free(m->name);
    wilor_heap_free(m->licence);
    wilor_heap_free(m);
    *model = NULL;
}

void wilor_model_get_info(const wilor_model *model, wilor_model_info *info, size_t size) {
    memset(info, 0, size);
    memcpy(info, &model->info, size < sizeof model->info ? size : sizeof model->info);
}

const int32_t *wilor_model_faces(const wilor_model *model, wilor_side side) {
    const int32_t *right, *left;
    wilor_mano_faces(model->mano, &right, &left);
    return side == WILOR_LEFT ? left : right;
}
