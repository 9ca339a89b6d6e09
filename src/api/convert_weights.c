/* The public converter: opens the source, notes its hash, hands over to part weights. */
#include "model_impl.h"

#include "file_hash.h"
#include "random_weights.h"
#include "weights_convert.h"
#include <string.h>

enum { GROUP_SIZE = 64 };

static wilor_status open_source(wilor_index **out, const char *source, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_quoted q;
    wilor_random_model model;
    const char *name = wilor_random_name(source);
    if (name) {
        if (!wilor_random_model_named(&model, name) || model.mean_pose)
            WILOR_FAIL(err, WILOR_ERR_ARG,
                       "%s names no synthetic weights to convert: tiny, hd80, full and nano do",
                       wilor_quote(&q, name));
        return wilor_random_index(out, &model, NULL, err);
    }
    WILOR_TRY(wilor_index_open(out, source, err));
    WILOR_TRY(wilor_index_canonical(*out, err));
done:
    return st;
}

/* A hand that comes with weights under CC0 may go with them. */
static bool has_free_hand(const wilor_index *source) {
    const char *named = wilor_index_metadata(source, "wilor.model");
    const char *licence = wilor_index_metadata(source, "license");
    return named && licence && !strcmp(licence, "CC0-1.0") &&
           wilor_index_find(source, "mano.v_template");
}

static wilor_status check(const wilor_convert_options *o, wilor_error *err) {
    if (!o->source || !o->write)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_convert_options: source and write must be set");
    if ((unsigned)o->layout > WILOR_WEIGHTS_MLX || (unsigned)o->dtype > WILOR_WEIGHTS_INT4)
        return wilor_error_set(err, WILOR_ERR_ARG,
                               "wilor_convert_options: layout %d or dtype %d does not exist",
                               (int)o->layout, (int)o->dtype);
    return WILOR_OK;
}

wilor_status wilor_convert(const wilor_convert_options *options, wilor_error *err) {
    wilor_status st = WILOR_OK;
    wilor_convert_options o = {0};
    wilor_index *source = NULL;
    char hex[65] = "";
    wilor_error_clear(err);
    if (!options)
        return wilor_error_set(err, WILOR_ERR_ARG, "wilor_convert: o may not be NULL");
    WILOR_TRY(wilor_options_read(&o, sizeof o, options, "wilor_convert_options", err));
    WILOR_TRY(check(&o, err));
    WILOR_TRY(open_source(&source, o.source, err));
    if (!wilor_random_name(o.source))
        WILOR_TRY(wilor_file_hash(o.source, 0, wilor_index_size(source), "reading",
                                  &o.callbacks, hex, err));
    bool free_hand = o.layout == WILOR_WEIGHTS_CHECKPOINT && has_free_hand(source);
    wilor_convert_job job = {.source = source,
                             .source_sha256 = hex[0] ? hex : NULL,
                             .mlx = o.layout == WILOR_WEIGHTS_MLX,
                             .dtype = o.dtype,
                             .group_size = o.group_size ? o.group_size : GROUP_SIZE,
                             .heads = o.heads,
                             .with_mano = o.with_mano != 0 || free_hand};
    wilor_safetensors_writer writer = {
        .write = o.write, .user = o.write_user, .callbacks = o.callbacks};
    WILOR_TRY(wilor_convert_run(&job, &writer, err));
done:
    wilor_index_close(&source);
    return st;
}
