/* One picture in a lane: read, found, computed, its own files written, its event put into words.
 * Nothing here touches what other lanes see but to read it; messages wait in the outcome until it
 * is the picture's turn. */
#include "predict_run.h"

#include "hands_copy.h"
#include "predict_record.h"
#include "wilor/wilor_io.h"
#include "writer_obj.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CROP = 256, PIPE_MOST = 1 << 30 };

static void complain(wilor_cli_outcome *out, const char *format, ...) WILOR_CLI_PRINTF(2, 3);

/* Say something when the picture's turn comes. */
static void complain(wilor_cli_outcome *out, const char *format, ...) {
    char line[sizeof out->first];
    va_list args;
    va_start(args, format);
    if (vsnprintf(line, sizeof line, format, args) < 0)
        line[0] = 0;
    va_end(args);
    if (!out->first[0]) {
        memcpy(out->first, line, sizeof line);
        return;
    }
    size_t size = strlen(line), before = out->messages ? strlen(out->messages) : 0;
    char *grown = realloc(out->messages, before + size + 2);
    if (!grown) {
        out->unsaid = true;
        return;
    }
    memcpy(grown + before, line, size);
    memcpy(grown + before + size, "\n", 2);
    out->messages = grown;
}

static wilor_status read_pipe(wilor_image *image, uint64_t max_pixels, wilor_error *err) {
    unsigned char *data = NULL;
    size_t size = 0, room = 0;
    wilor_status st = WILOR_OK;
    for (;;) {
        if (size == room) {
            room = room ? room * 2 : 1 << 16;
            unsigned char *grown = room <= PIPE_MOST ? realloc(data, room) : NULL;
            if (!grown) {
                st = wilor_cli_fail(err, WILOR_ERR_LIMIT,
                                    "standard input: more than %d bytes, or no memory for them",
                                    PIPE_MOST);
                break;
            }
            data = grown;
        }
        size_t n = fread(data + size, 1, room - size, stdin);
        size += n;
        if (n == 0)
            break;
    }
    if (st == WILOR_OK && ferror(stdin))
        st = wilor_cli_fail(err, WILOR_ERR_IO, "standard input: %s", strerror(errno));
    if (st == WILOR_OK)
        st = wilor_image_decode(image, data, size, "standard input", max_pixels, err);
    free(data);
    return st;
}

static wilor_status read_picture(const wilor_cli_run *r, const char *path, wilor_image *image,
                                 wilor_error *err) {
    wilor_cli_quoted q;
    wilor_status st = !strcmp(path, "-") ? read_pipe(image, r->o.max_pixels, err)
                                         : wilor_image_read(image, path, r->o.max_pixels, err);
    if (st == WILOR_OK && r->o.crops && (image->width != CROP || image->height != CROP)) {
        st = wilor_cli_fail(err, WILOR_ERR_ARG, "%s: a crop is %d x %d pixels, this is %d x %d",
                            wilor_cli_quote(&q, path), CROP, CROP, image->width, image->height);
        wilor_image_free(image);
    }
    return st;
}

/* The library names boxes and limits; which picture it was is added here. */
static wilor_status predict(const wilor_cli_run *r, int lane, const char *path,
                            const wilor_picture *picture, const wilor_hands **hands,
                            wilor_error *err) {
    const wilor_cli_predict_options *o = &r->o;
    wilor_pipeline *pipeline = r->pipelines[lane];
    wilor_cli_quoted q;
    wilor_error why;
    wilor_status st;
    if (o->crops) {
        wilor_side side = o->side == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
        st = wilor_predict_crops(wilor_pipeline_session(pipeline), picture, &side, 1, hands,
                                 &why);
    } else {
        wilor_predict_options po = wilor_cli_predict_options_for(
            o, picture->width, picture->height, o->betas_path ? r->betas : NULL);
        st = wilor_pipeline_run(pipeline, picture, o->boxes, o->box_count, &o->detect, &po,
                                hands, &why);
    }
    return st == WILOR_OK
               ? st
               : wilor_cli_fail(err, st, "%s: %.280s", wilor_cli_quote(&q, path), why.text);
}

static void check_hands(wilor_cli_outcome *out, const char *path, const wilor_hands *hands) {
    wilor_cli_quoted q;
    out->looked_at = true;
    out->without = hands->n == 0;
    for (int i = 0; i < hands->n; i++) {
        if (!hands->failed[i])
            out->hands++;
        else
            complain(out, "%s: hand %d (%s) failed: the model gave a number that is not finite",
                     wilor_cli_quote(&q, path), i,
                     hands->side[i] == WILOR_LEFT ? "left" : "right");
    }
}

static wilor_status write_overlay(const wilor_cli_run *r, const char *stem,
                                  const wilor_picture *picture, const wilor_hands *hands,
                                  wilor_error *err) {
    wilor_overlay_options oo;
    wilor_model_info info;
    wilor_image drawn = {0};
    size_t room = strlen(r->o.overlay) + strlen(stem) + 32;
    char *path = malloc(room);
    if (!path)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while drawing an overlay");
    snprintf(path, room, "%s/%s.overlay.png", r->o.overlay, stem);
    wilor_overlay_options_init(&oo, sizeof oo);
    wilor_model_get_info(r->opened.model, &info, sizeof info);
    if (info.label && *info.label) /* test weights: nobody should take this for a result */
        oo.label = info.label;
    wilor_status st = wilor_overlay_draw(&drawn, picture, r->opened.model, hands, &oo, err);
    if (st == WILOR_OK) {
        wilor_picture view = wilor_image_view(&drawn);
        st = wilor_image_write(&view, path, 90, err);
    }
    wilor_image_free(&drawn);
    free(path);
    return st;
}

/* Files of this picture's own: an error is this picture's. */
static void write_files(const wilor_cli_run *r, size_t i, const wilor_picture *picture,
                        const wilor_hands *hands, wilor_cli_outcome *out) {
    wilor_error err;
    wilor_status st = WILOR_OK;
    if (!r->o.obj && !r->o.overlay)
        return;
    char *stem = wilor_cli_sources_stem(&r->sources, i);
    if (!stem)
        st = wilor_cli_fail(&err, WILOR_ERR_NOMEM, "out of memory while writing files");
    for (int h = 0; r->o.obj && st == WILOR_OK && h < hands->n; h++)
        if (!hands->failed[h])
            st = wilor_cli_obj_write(r->o.obj, stem, r->opened.model, hands, h, !r->o.crops,
                                     &err);
    if (st == WILOR_OK && r->o.overlay)
        st = write_overlay(r, stem, picture, hands, &err);
    if (st != WILOR_OK) {
        complain(out, "%s", err.text);
        out->failed++;
    }
    free(stem);
}

static wilor_status put_into_words(const wilor_cli_run *r, size_t i,
                                   const wilor_cli_event *event, const wilor_hands *hands,
                                   wilor_cli_outcome *out) {
    json_t *json = NULL;
    if (r->o.binary)
        return wilor_cli_predict_record(&out->event, &out->event_size, event, i,
                                        r->opened.model, hands, &out->err);
    wilor_status st = wilor_cli_event_build(&json, event, r->opened.model, hands, &out->err);
    if (st == WILOR_OK)
        out->event = wilor_cli_event_out_text(&r->out, json);
    json_decref(json);
    return st;
}

/* What is told of the picture when its turn comes. */
static void tell(const wilor_cli_run *r, size_t i, const wilor_cli_event *event,
                 const wilor_hands *hands, wilor_cli_outcome *out) {
    bool keep = r->npz || r->gltf;
    out->fatal = put_into_words(r, i, event, hands, out);
    if (out->fatal != WILOR_OK)
        return;
    if (keep)
        out->copy = wilor_cli_hands_copy(hands);
    if (!out->event || (keep && !out->copy))
        out->fatal =
            wilor_cli_fail(&out->err, WILOR_ERR_NOMEM, "out of memory while writing results");
}

static void one_picture(const wilor_cli_run *r, int lane, size_t item, const char *path,
                        wilor_cli_outcome *out) {
    double start = wilor_cli_seconds();
    wilor_error err;
    wilor_image image = {0};
    wilor_picture picture = {0};
    const wilor_hands *hands = NULL;
    wilor_status st = read_picture(r, path, &image, &err);
    double decoded = wilor_cli_seconds();
    if (st == WILOR_OK) {
        picture = wilor_image_view(&image);
        st = predict(r, lane, path, &picture, &hands, &err);
    }
    if (st == WILOR_OK) {
        wilor_cli_event event = {.source = path,
                                 .width = image.width,
                                 .height = image.height,
                                 .mirrored = r->o.predict.mirrored,
                                 .camera = !r->o.crops,
                                 .camera_given = r->o.camera_given,
                                 .detect = r->o.use_detector,
                                 .include = r->o.include,
                                 .decode_ms = 1e3 * (decoded - start),
                                 .total_ms = 1e3 * (wilor_cli_seconds() - start)};
        out->width = image.width;
        out->height = image.height;
        check_hands(out, path, hands);
        write_files(r, item, &picture, hands, out);
        tell(r, item, &event, hands, out);
    } else {
        complain(out, "%s", err.text);
        out->failed++;
    }
    wilor_image_free(&image);
}

void wilor_cli_picture_work(void *user, int lane, size_t item, void *slot) {
    const wilor_cli_run *r = user;
    wilor_cli_outcome *out = slot;
    if (r->sources.entries[item].done)
        return;
    char *path = wilor_cli_sources_path(&r->sources, item);
    if (path)
        one_picture(r, lane, item, path, out);
    else
        out->fatal = wilor_cli_fail(&out->err, WILOR_ERR_NOMEM, "out of memory");
    free(path);
}

void wilor_cli_picture_drop(void *user, void *slot) {
    wilor_cli_outcome *out = slot;
    (void)user;
    free(out->event);
    free(out->messages);
    free(out->copy);
    *out = (wilor_cli_outcome){0};
}
