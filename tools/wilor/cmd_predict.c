/* wilor predict: pictures in, events and files out.
 *
 * Pictures are worked on in lanes, several at once (predict_picture.c), and told of here, one at a
 * time and in their order: the output does not depend on the number of lanes. What concerns one
 * picture (it cannot be read, a box is wrong, its overlay cannot be written) is reported and the
 * others go on; what concerns all of them (the output is full, memory is gone) ends the run.
 * Whatever is checked without the model is checked before it is loaded. */
#include "commands.h"

#include "batch.h"
#include "betas_file.h"
#include "hub_calls.h"
#include "interrupt.h"
#include "lanes.h"
#include "predict_run.h"
#include "system_process.h"

#include <stdlib.h>
#include <string.h>

/* More hands at once than a few gain little and cost memory each. */
enum { BATCH = 4, MOST_FOUND = 300, WINDOW = 64 };

typedef wilor_cli_run run;

/* ---------------------------------------------------------------- before the pictures */

static wilor_pipeline_options pipeline_options(const wilor_cli_predict_options *o,
                                               const wilor_model *model) {
    wilor_pipeline_options po;
    int found = o->detect.max_hands ? o->detect.max_hands : MOST_FOUND;
    wilor_pipeline_options_init(&po, sizeof po);
    po.max_hands = o->box_count + (o->use_detector ? found : 0);
    if (po.max_hands == 0)
        po.max_hands = 1; /* a crop */
    po.batch = wilor_cli_batch(model, po.max_hands < BATCH ? po.max_hands : BATCH);
    po.full_path = o->full_path;
    po.compat = o->compat;
    return po;
}

/* How many lanes: as many as threads, since pictures side by side need no waiting for each other;
 * but their memory should not pass a quarter of the machine's. */
static int choose_lanes(run *r, int threads, wilor_pipeline_options po) {
    size_t todo = r->sources.count - r->resumed.done;
    wilor_model_info info;
    wilor_model_get_info(r->opened.model, &info, sizeof info);
    /* A device does one at a time; another one is decoded meanwhile. */
    size_t most = strcmp(info.device, "cpu") ? 2 : (size_t)threads;
    size_t lanes = r->o.lanes ? (size_t)r->o.lanes : most;
    lanes = lanes < todo ? lanes : todo;
    if (r->o.lanes || lanes < 2)
        return lanes ? (int)lanes : 1;
    uint64_t memory = wilor_sys_memory_bytes();
    po.threads = 1;
    double each =
        (double)wilor_pipeline_memory(r->opened.detector, r->opened.model, &po, 640, 480);
    double room = memory ? (double)memory / 4 : 1e9;
    if (each > 0 && each * (double)lanes > room) {
        size_t fit = (size_t)(room / each);
        fit = fit ? fit : 1;
        wilor_cli_report_note(
            &r->report,
            "%zu pictures at once instead of %zu, since each takes %.3g GB of "
            "memory; --lanes overrides that",
            fit, lanes, each * 1e-9);
        lanes = fit;
    }
    return (int)lanes;
}

static wilor_status open_lanes(run *r, wilor_error *err) {
    wilor_pipeline_options po = pipeline_options(&r->o, r->opened.model);
    wilor_status st = WILOR_OK;
    int threads = r->o.threads ? r->o.threads : wilor_threads_default();
    r->lanes = choose_lanes(r, threads, po);
    r->pipelines = calloc((size_t)r->lanes, sizeof *r->pipelines);
    if (!r->pipelines)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    for (int i = 0; st == WILOR_OK && i < r->lanes; i++) {
        po.threads = threads / r->lanes + (i < threads % r->lanes);
        po.threads = po.threads ? po.threads : 1;
        st = wilor_pipeline_create(&r->pipelines[i], r->opened.detector, r->opened.model, &po,
                                   err);
    }
    return st;
}

static wilor_status open_events(run *r, wilor_error *err) {
    const wilor_cli_predict_options *o = &r->o;
    wilor_cli_temp_file file;
    if (!o->resume) {
        bool array = o->json && (o->input_count > 1 || r->sources.folder);
        return wilor_cli_event_out_open(&r->out, o->out, o->json, array, err);
    }
    wilor_status st = wilor_cli_resume_open(&file, &r->resumed, &r->sources, o->out, err);
    if (st == WILOR_OK)
        wilor_cli_event_out_adopt(&r->out, &file);
    if (st == WILOR_OK && r->resumed.done)
        wilor_cli_report_note(&r->report, "%zu of %zu pictures are done", r->resumed.done,
                              r->sources.count);
    return st;
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
    return st == WILOR_OK ? open_events(r, err) : st;
}

/* ---------------------------------------------------------------- a picture's turn */

static void print_messages(run *r, const wilor_cli_outcome *out) {
    if (out->first[0])
        wilor_cli_report_error(&r->report, "%s", out->first);
    for (char *line = out->messages, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        wilor_cli_report_error(&r->report, "%s", line);
    }
    if (out->unsaid)
        wilor_cli_report_error(&r->report, "out of memory: not all errors are shown");
}

static wilor_status append_scene(const run *r, size_t i, const char *path,
                                 const wilor_cli_outcome *out, wilor_error *err) {
    char *stem = wilor_cli_sources_stem(&r->sources, i);
    wilor_cli_gltf_picture picture = {.source = path,
                                      .stem = stem,
                                      .width = out->width,
                                      .height = out->height,
                                      .camera = !r->o.crops,
                                      .camera_given = r->o.camera_given};
    wilor_status st =
        stem ? wilor_cli_gltf_append(r->gltf, &picture, r->opened.model, out->copy, err)
             : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing a scene");
    free(stem);
    return st;
}

/* Into the files of the whole run. */
static wilor_status collect(run *r, size_t i, const wilor_cli_outcome *out, wilor_error *err) {
    if (!out->copy)
        return WILOR_OK;
    wilor_status st = WILOR_OK;
    char *path = wilor_cli_sources_path(&r->sources, i);
    if (!path)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory while writing results");
    if (r->npz)
        st = wilor_cli_npz_append(r->npz, path, out->copy, err);
    if (st == WILOR_OK && r->gltf)
        st = append_scene(r, i, path, out, err);
    free(path);
    return st;
}

static bool emit(void *user, size_t item, void *slot) {
    run *r = user;
    wilor_cli_outcome *out = slot;
    print_messages(r, out);
    r->failed += out->failed;
    r->hands += out->hands;
    r->looked_at += out->looked_at;
    r->without += out->without;
    r->st = out->fatal;
    r->err = out->err;
    if (r->st == WILOR_OK)
        r->st = collect(r, item, out, &r->err);
    if (r->st == WILOR_OK && out->event)
        r->st = r->o.binary
                    ? wilor_cli_event_out_bytes(&r->out, out->event, out->event_size, &r->err)
                    : wilor_cli_event_out_put(&r->out, out->event, &r->err);
    wilor_cli_picture_drop(r, out);
    r->progress.done += !r->sources.entries[item].done;
    r->progress.hands = r->hands;
    wilor_cli_report_pictures(&r->report, &r->progress);
    return r->st == WILOR_OK;
}

static bool stop(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}

/* ---------------------------------------------------------------- the run */

static wilor_status finish(run *r, wilor_error *err) {
    wilor_status st = WILOR_OK;
    if (r->out.to)
        st = wilor_cli_event_out_finish(&r->out, err);
    if (st == WILOR_OK && r->npz) {
        wilor_model_info info;
        wilor_model_get_info(r->opened.model, &info, sizeof info);
        st = wilor_cli_npz_finish(r->npz, info.vertices,
                                  wilor_model_faces(r->opened.model, WILOR_RIGHT), info.faces,
                                  err);
    }
    if (st == WILOR_OK && r->gltf)
        st = wilor_cli_gltf_finish(r->gltf, r->opened.model, err);
    return st;
}

static wilor_status all_pictures(run *r, wilor_error *err) {
    wilor_cli_lanes job = {.lanes = r->lanes,
                           .count = r->sources.count,
                           .window = WINDOW + 4 * (size_t)r->lanes,
                           .slot_size = sizeof(wilor_cli_outcome),
                           .user = r,
                           .work = wilor_cli_picture_work,
                           .emit = emit,
                           .drop = wilor_cli_picture_drop,
                           .stop = stop};
    r->report.started = wilor_cli_seconds();
    wilor_cli_report_pictures(&r->report, &r->progress);
    bool ran = wilor_cli_lanes_run(&job);
    wilor_cli_report_clear(&r->report);
    *err = r->err;
    return ran ? r->st : wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
}

static int fail(run *r, int status, const wilor_error *err) {
    /* Nobody reads the results any more: nobody is to be told. */
    if (!r->out.closed)
        wilor_cli_report_error(&r->report, "%s", err->text);
    return status;
}

/* No hand is a result; but who sees no error should know. */
static void note_without(run *r) {
    size_t without = r->without + r->resumed.without;
    size_t all = r->looked_at + r->resumed.done;
    if (without && all == 1)
        wilor_cli_report_note(&r->report, "no hand found");
    else if (without)
        wilor_cli_report_note(&r->report, "no hand found in %zu of %zu pictures", without, all);
}

/* What must be there before a picture is looked at: 0, or the exit status. */
static int get_ready(run *r) {
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = wilor_cli_model_files_check(&r->o, &err);
    if (st != WILOR_OK)
        return fail(r, WILOR_CLI_NO_MODEL, &err);
    if (r->o.betas_path && wilor_cli_betas_read(r->betas, r->o.betas_path, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    st = wilor_cli_sources_list(&r->sources, r->o.inputs, r->o.input_count, &r->report,
                                &r->failed, &err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (r->sources.count == 0)
        return WILOR_CLI_FAILED; /* and why has been said */
    if ((st = wilor_cli_model_files_find(&r->opened, &r->o, &r->report, &err)) != WILOR_OK)
        return fail(r, wilor_cli_hub_exit(st), &err);
    if (open_outputs(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    r->progress = (wilor_cli_progress){
        .done = r->resumed.done, .before = r->resumed.done, .total = r->sources.count};
    if (r->resumed.done == r->sources.count)
        return 0;
    st = wilor_cli_model_open(&r->opened, &r->o, &r->report, &err);
    if (st == WILOR_OK)
        st = open_lanes(r, &err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st != WILOR_OK)
        return fail(r, st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL : WILOR_CLI_FAILED, &err);
    return 0;
}

static int predict_run(run *r) {
    wilor_error err;
    int status = get_ready(r);
    if (status != 0)
        return status;
    if (r->lanes && all_pictures(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    /* What an interrupted run has done gets its name, unless it is to be gone on with. */
    bool interrupted = wilor_cli_interrupted();
    if (!(interrupted && r->o.resume) && finish(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    note_without(r);
    if (interrupted)
        return WILOR_CLI_INTERRUPTED;
    if (r->failed)
        return WILOR_CLI_FAILED;
    size_t hands = r->hands + r->resumed.with_hands;
    return r->o.expect_hands && hands == 0 ? WILOR_CLI_NO_HAND : WILOR_CLI_DONE;
}

int wilor_cli_predict(int argc, char **argv) {
    run r = {.lanes = 0};
    wilor_error err;
    int status;
    wilor_cli_opened_init(&r.opened);
    wilor_status st = wilor_cli_predict_options_parse(&r.o, argc, argv, &err);
    if (st == WILOR_OK && r.o.help) {
        wilor_cli_predict_help(stdout);
        status = wilor_cli_close_output(WILOR_CLI_DONE);
    } else if (st == WILOR_OK) {
        wilor_cli_report_begin(&r.report, r.o.quiet);
        status = predict_run(&r);
    } else {
        fprintf(stderr, "wilor: %s\n", err.text);
        status = st == WILOR_ERR_ARG       ? WILOR_CLI_USAGE
                 : st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL
                                           : WILOR_CLI_FAILED;
    }
    wilor_cli_event_out_discard(&r.out);
    wilor_cli_npz_free(&r.npz);
    wilor_cli_gltf_free(&r.gltf);
    for (int i = 0; r.pipelines && i < r.lanes; i++)
        wilor_pipeline_free(&r.pipelines[i]);
    free((void *)r.pipelines);
    wilor_cli_opened_close(&r.opened);
    wilor_cli_sources_free(&r.sources);
    wilor_cli_predict_options_free(&r.o);
    return status;
}
