/* wilor predict: pictures in, events and files out.
 *
 * What concerns one picture (it cannot be read, a box is wrong, its overlay cannot be written)
 * is reported and the others go on; what concerns all of them (the output is full, memory is
 * gone) ends the run. Whatever is checked without the model is checked before it is loaded. */
#include "commands.h"

#include "betas_file.h"
#include "default_files.h"
#include "event_json.h"
#include "event_out.h"
#include "hub_calls.h"
#include "interrupt.h"
#include "predict_options.h"
#include "report.h"
#include "sources.h"
#include "wilor/wilor_io.h"
#include "writer_gltf.h"
#include "writer_npz.h"
#include "writer_obj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More hands at once than a few gain little and cost memory each. */
enum { CROP = 256, PIPE_MOST = 1 << 30, BATCH = 4 };

typedef struct run {
    wilor_cli_predict_options o;
    wilor_cli_report report;
    wilor_cli_sources sources;
    wilor_cli_event_out out;
    wilor_cli_npz *npz;
    wilor_cli_gltf *gltf;
    wilor_model *model;
    wilor_session *session;
    wilor_cli_files files; /* what o.weights and so on point at, when it was looked for */
    float betas[10];
    size_t failed; /* pictures, or things to be made from them */
    size_t hands;  /* that did not fail */
} run;

/* ---------------------------------------------------------------- before the pictures */

static int cancelled(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}

static void loading(void *user, const char *what, uint64_t done, uint64_t total) {
    wilor_cli_report_loading(user, what, done, total);
}

static void logged(void *user, wilor_log_level level, const char *text) {
    if (level == WILOR_LOG_WARNING)
        wilor_cli_report_note(user, "%s", text);
}

/* "random:NAME" stands for weights by formula (wilor_model_options). */
static bool is_synthetic(const char *weights) { return strncmp(weights, "random:", 7) == 0; }

/* Files that are simply not there get the exit status of "model missing". */
static wilor_status check_model_files(const wilor_cli_predict_options *o, wilor_error *err) {
    const char *paths[] = {o->weights, o->mano, o->mean};
    const char *names[] = {"--weights", "--mano", "--mean"};
    wilor_cli_quoted q;
    if (wilor_cli_files_are_remote(&(wilor_cli_wanted_files){.weights = o->weights}))
        return WILOR_OK; /* looked for later */
    for (int i = is_synthetic(o->weights); i < 3; i++)
        if (paths[i] && access(paths[i], F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
            return wilor_cli_fail(err, WILOR_ERR_MISSING, "%s %s: %s", names[i],
                                  wilor_cli_quote(&q, paths[i]), strerror(errno));
    return WILOR_OK;
}

/* From here on the options name files. Late: a download should not precede a mistyped picture. */
static wilor_status find_files(run *r, wilor_error *err) {
    wilor_cli_predict_options *o = &r->o;
    wilor_cli_wanted_files w = {
        .weights = o->weights, .mano = o->mano, .mean = o->mean, .offline = o->offline};
    wilor_status st = wilor_cli_files_find(&r->files, &w, &r->report, err);
    o->weights = r->files.weights;
    o->mano = r->files.mano;
    o->mean = r->files.mean;
    return st;
}

static wilor_status open_model(run *r, wilor_error *err) {
    const wilor_cli_predict_options *o = &r->o;
    wilor_model_options mo;
    wilor_model_options_init(&mo, sizeof mo);
    mo.weights = o->weights;
    mo.mano = o->mano;
    mo.mean = o->mean;
    mo.heads = o->heads;
    mo.threads = o->threads;
    mo.callbacks = (wilor_callbacks){
        .user = &r->report, .log = logged, .progress = loading, .cancel = cancelled};
    wilor_status st = wilor_model_open(&r->model, &mo, err);
    wilor_cli_report_clear(&r->report);
    if (st != WILOR_OK)
        return st;
    wilor_session_options so;
    wilor_session_options_init(&so, sizeof so);
    so.max_hands = o->box_count > 1 ? o->box_count : 1;
    so.batch = so.max_hands < BATCH ? so.max_hands : BATCH;
    so.threads = o->threads;
    so.full_path = o->full_path;
    return wilor_session_create(&r->session, r->model, &so, err);
}

static wilor_status open_outputs(run *r, wilor_error *err) {
    const wilor_cli_predict_options *o = &r->o;
    wilor_status st = WILOR_OK;
    if (o->obj)
        st = wilor_cli_folder_make(o->obj, err);
    if (st == WILOR_OK && o->overlay)
        st = wilor_cli_folder_make(o->overlay, err);
    if (st == WILOR_OK && (o->obj || o->overlay || o->gltf))
        st = wilor_cli_sources_name(&r->sources, err);
    if (st == WILOR_OK && o->npz)
        st = wilor_cli_npz_open(&r->npz, o->npz, !o->crops, err);
    if (st == WILOR_OK && o->gltf)
        st = wilor_cli_gltf_open(&r->gltf, o->gltf, err);
    if (st == WILOR_OK) {
        bool array = o->json && (o->input_count > 1 || r->sources.folder);
        st = wilor_cli_event_out_open(&r->out, o->out, o->json, array, err);
    }
    return st;
}

/* ---------------------------------------------------------------- one picture */

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

static wilor_status read_picture(const run *r, const char *path, wilor_image *image,
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

static wilor_status predict(const run *r, const wilor_picture *picture,
                            const wilor_hands **hands, wilor_error *err) {
    const wilor_cli_predict_options *o = &r->o;
    if (o->crops) {
        wilor_side side = o->side == WILOR_LEFT ? WILOR_LEFT : WILOR_RIGHT;
        return wilor_predict_crops(r->session, picture, &side, 1, hands, err);
    }
    wilor_predict_options po = wilor_cli_predict_options_for(o, picture->width, picture->height,
                                                             o->betas_path ? r->betas : NULL);
    return wilor_predict_boxes(r->session, picture, o->boxes, o->box_count, &po, hands, err);
}

static void check_hands(run *r, const char *path, const wilor_hands *hands) {
    wilor_cli_quoted q;
    for (int i = 0; i < hands->n; i++) {
        if (!hands->failed[i])
            r->hands++;
        else
            wilor_cli_report_error(&r->report,
                                   "%s: hand %d (%s) failed: the model gave a number "
                                   "that is not finite",
                                   wilor_cli_quote(&q, path), i,
                                   hands->side[i] == WILOR_LEFT ? "left" : "right");
    }
}

static wilor_status write_overlay(const run *r, const char *stem, const wilor_picture *picture,
                                  const wilor_hands *hands, wilor_error *err) {
    wilor_overlay_options oo;
    wilor_model_info info;
    wilor_image drawn = {0};
    size_t room = strlen(r->o.overlay) + strlen(stem) + 32;
    char *path = malloc(room);
    if (!path)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while drawing an overlay");
    snprintf(path, room, "%s/%s.overlay.png", r->o.overlay, stem);
    wilor_overlay_options_init(&oo, sizeof oo);
    wilor_model_get_info(r->model, &info, sizeof info);
    if (info.label && *info.label) /* test weights: nobody should take this for a result */
        oo.label = info.label;
    wilor_status st = wilor_overlay_draw(&drawn, picture, r->model, hands, &oo, err);
    if (st == WILOR_OK) {
        wilor_picture view = wilor_image_view(&drawn);
        st = wilor_image_write(&view, path, 90, err);
    }
    wilor_image_free(&drawn);
    free(path);
    return st;
}

/* Files of this picture's own: an error is this picture's. */
static void write_files(run *r, size_t i, const wilor_picture *picture,
                        const wilor_hands *hands) {
    wilor_error err;
    wilor_status st = WILOR_OK;
    for (int h = 0; r->o.obj && st == WILOR_OK && h < hands->n; h++)
        if (!hands->failed[h])
            st = wilor_cli_obj_write(r->o.obj, r->sources.stems[i], r->model, hands, h,
                                     !r->o.crops, &err);
    if (st == WILOR_OK && r->o.overlay)
        st = write_overlay(r, r->sources.stems[i], picture, hands, &err);
    if (st != WILOR_OK) {
        wilor_cli_report_error(&r->report, "%s", err.text);
        r->failed++;
    }
}

static wilor_status write_event(run *r, const wilor_cli_event *event, const wilor_hands *hands,
                                wilor_error *err) {
    json_t *json = NULL;
    wilor_status st = wilor_cli_event_build(&json, event, r->model, hands, err);
    if (st == WILOR_OK)
        st = wilor_cli_event_out_put(&r->out, json, err);
    json_decref(json);
    return st;
}

static wilor_status append_scene(const run *r, size_t i, const wilor_cli_event *event,
                                 const wilor_hands *hands, wilor_error *err) {
    wilor_cli_gltf_picture picture = {.source = event->source,
                                      .stem = r->sources.stems[i],
                                      .width = event->width,
                                      .height = event->height,
                                      .camera = event->camera,
                                      .camera_given = event->camera_given};
    return wilor_cli_gltf_append(r->gltf, &picture, r->model, hands, err);
}

/* An error returned here ends the run; those of this picture alone are counted. */
static wilor_status one_picture(run *r, size_t i, wilor_error *err) {
    const char *path = r->sources.paths[i];
    double start = wilor_cli_seconds();
    wilor_image image = {0};
    wilor_picture picture = {0};
    const wilor_hands *hands = NULL;
    wilor_status st = read_picture(r, path, &image, err);
    double decoded = wilor_cli_seconds();
    if (st == WILOR_OK) {
        picture = wilor_image_view(&image);
        st = predict(r, &picture, &hands, err);
    }
    if (st != WILOR_OK) {
        wilor_image_free(&image);
        wilor_cli_report_error(&r->report, "%s", err->text);
        r->failed++;
        return WILOR_OK;
    }
    wilor_cli_event event = {.source = path,
                             .width = image.width,
                             .height = image.height,
                             .mirrored = r->o.predict.mirrored,
                             .camera = !r->o.crops,
                             .camera_given = r->o.camera_given,
                             .include = r->o.include,
                             .decode_ms = 1e3 * (decoded - start),
                             .total_ms = 1e3 * (wilor_cli_seconds() - start)};
    check_hands(r, path, hands);
    write_files(r, i, &picture, hands);
    wilor_image_free(&image);
    if (r->npz)
        st = wilor_cli_npz_append(r->npz, path, hands, err);
    if (st == WILOR_OK && r->gltf)
        st = append_scene(r, i, &event, hands, err);
    return st == WILOR_OK ? write_event(r, &event, hands, err) : st;
}

/* ---------------------------------------------------------------- the run */

static wilor_status all_pictures(run *r, wilor_error *err) {
    size_t count = r->sources.count;
    wilor_status st = WILOR_OK;
    r->report.started = wilor_cli_seconds();
    for (size_t i = 0; st == WILOR_OK && i < count && !wilor_cli_interrupted(); i++) {
        wilor_cli_report_pictures(&r->report, i, count);
        st = one_picture(r, i, err);
    }
    wilor_cli_report_clear(&r->report);
    if (st == WILOR_OK)
        st = wilor_cli_event_out_finish(&r->out, err);
    if (st == WILOR_OK && r->npz) {
        wilor_model_info info;
        wilor_model_get_info(r->model, &info, sizeof info);
        st = wilor_cli_npz_finish(r->npz, info.vertices,
                                  wilor_model_faces(r->model, WILOR_RIGHT), info.faces, err);
    }
    if (st == WILOR_OK && r->gltf)
        st = wilor_cli_gltf_finish(r->gltf, r->model, err);
    return st;
}

static int fail(run *r, int status, const wilor_error *err) {
    /* Nobody reads the results any more: nobody is to be told. */
    if (!r->out.closed)
        wilor_cli_report_error(&r->report, "%s", err->text);
    return status;
}

static int predict_run(run *r) {
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = check_model_files(&r->o, &err);
    if (st != WILOR_OK)
        return fail(r, WILOR_CLI_NO_MODEL, &err);
    if (r->o.betas_path && wilor_cli_betas_read(r->betas, r->o.betas_path, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (wilor_cli_sources_list(&r->sources, r->o.inputs, r->o.input_count, &r->report,
                               &r->failed, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (r->sources.count == 0)
        return WILOR_CLI_FAILED; /* and why has been said */
    if ((st = find_files(r, &err)) != WILOR_OK)
        return fail(r, wilor_cli_hub_exit(st), &err);
    if (open_outputs(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    st = open_model(r, &err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st != WILOR_OK)
        return fail(r, st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL : WILOR_CLI_FAILED, &err);
    if (all_pictures(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (wilor_cli_interrupted())
        return WILOR_CLI_INTERRUPTED;
    if (r->failed)
        return WILOR_CLI_FAILED;
    return r->o.expect_hands && r->hands == 0 ? WILOR_CLI_NO_HAND : WILOR_CLI_DONE;
}

int wilor_cli_predict(int argc, char **argv) {
    run r = {0};
    wilor_error err;
    int status;
    wilor_status st = wilor_cli_predict_options_parse(&r.o, argc, argv, &err);
    if (st == WILOR_OK && r.o.help) {
        wilor_cli_predict_help(stdout);
        status = wilor_cli_close_output(WILOR_CLI_DONE);
    } else if (st == WILOR_OK) {
        wilor_cli_report_begin(&r.report, r.o.quiet);
        status = predict_run(&r);
    } else {
        fprintf(stderr, "wilor: %s\n", err.text);
        status = st == WILOR_ERR_ARG ? WILOR_CLI_USAGE : WILOR_CLI_FAILED;
    }
    wilor_cli_event_out_discard(&r.out);
    wilor_cli_npz_free(&r.npz);
    wilor_cli_gltf_free(&r.gltf);
    wilor_session_free(&r.session);
    wilor_model_free(&r.model);
    wilor_cli_sources_free(&r.sources);
    wilor_cli_files_free(&r.files);
    wilor_cli_predict_options_free(&r.o);
    return status;
}
