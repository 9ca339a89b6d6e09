/* wilor live: a stream of pictures in, events out.
 *
 * This thread reads the source and gives frames to the engine, whose worker thread computes and writes
 * (live_engine.c, live_outputs.c). A file's frames all count; of a live source the newest does. */
#include "commands.h"

#include "betas_file.h"
#include "event_json.h"
#include "interrupt.h"
#include "live_info.h"
#include "live_outputs.h"
#include "live_setup.h"

#include <stdlib.h>
#include <string.h>

typedef struct run {
    wilor_cli_live_options o;
    wilor_cli_report report;
    wilor_cli_opened opened;
    wilor_cli_outputs *outputs;
    wilor_cli_engine *engine;
    wilor_cli_live_source source;
    wilor_video *video;
    float betas[10];
    wilor_cli_live_setup setup;
} run;

static int stop(void *user) {
    run *r = user;
    return wilor_cli_interrupted() || (r->outputs && wilor_cli_outputs_failed(r->outputs));
}

static void on_status(void *user, const char *status, const char *detail) {
    run *r = user;
    if (!strcmp(status, "lost"))
        wilor_cli_report_note(&r->report, "the source is lost: %s", detail);
    else if (r->source.info.live)
        wilor_cli_report_note(&r->report, "the source is open: %s, %d x %d, %s", detail,
                              r->source.info.width, r->source.info.height,
                              r->source.info.codec);
    wilor_cli_outputs_status(r->outputs, status, detail);
}

static void on_progress(void *user, uint64_t done, uint64_t total) {
    run *r = user;
    wilor_cli_progress p = {.done = done,
                            .total = total > done ? total : done,
                            .hands = wilor_cli_outputs_hands(r->outputs)};
    if (!r->source.info.live)
        wilor_cli_report_pictures(&r->report, &p);
}

static void on_note(void *user, const char *text) {
    run *r = user;
    wilor_cli_report_note(&r->report, "%s", text);
}

/* On the worker's thread: the line goes where events go. */
static void on_failure(void *user, const wilor_cli_frame *frame, const wilor_error *err) {
    run *r = user;
    char text[640];
    snprintf(text, sizeof text, "frame %llu: %s", (unsigned long long)frame->number, err->text);
    wilor_cli_outputs_error(r->outputs, text);
}

static int fail(run *r, int status, const wilor_error *err) {
    if (!r->outputs || !wilor_cli_outputs_closed(r->outputs))
        wilor_cli_report_error(&r->report, "%s", err->text);
    return status;
}

static wilor_cli_engine_options engine_options(run *r) {
    const wilor_cli_live_options *o = &r->o;
    r->setup = (wilor_cli_live_setup){.p = &o->p,
                                      .tracking = &o->tracking,
                                      .opened = &r->opened,
                                      .stream = o->stream,
                                      .betas = o->p.betas_path ? r->betas : NULL};
    wilor_cli_engine_options eo = wilor_cli_live_engine_options(&r->setup);
    eo.keep_all = !r->source.info.live && !o->source.realtime;
    eo.smooth = o->two_sided ? 0 : eo.smooth;
    eo.failed = on_failure;
    eo.failed_user = r;
    return eo;
}

/* What must be there before the first frame: 0, or the exit status. What costs least comes first. */
static int get_ready(run *r) {
    wilor_error err = {WILOR_OK, ""};
    wilor_status st = wilor_cli_model_files_check(&r->o.p, &err);
    if (st != WILOR_OK)
        return fail(r, WILOR_CLI_NO_MODEL, &err);
    if (r->o.p.betas_path &&
        wilor_cli_betas_read(r->betas, r->o.p.betas_path, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    r->source = (wilor_cli_live_source){.o = &r->o.source,
                                        .max_pixels = r->o.p.max_pixels,
                                        .threads = r->o.p.threads,
                                        .stop = stop,
                                        .status = on_status,
                                        .progress = on_progress,
                                        .note = on_note,
                                        .user = r};
    if ((st = wilor_cli_outputs_open(&r->outputs, &r->o, &err)) == WILOR_OK)
        st = wilor_cli_live_source_open(&r->source, &r->video, &err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st == WILOR_OK && r->o.two_sided && r->source.info.live)
        st = wilor_cli_fail(
            &err, WILOR_ERR_ARG,
            "live: --two-sided is for files: a live source has no end to wait for");
    if (st != WILOR_OK)
        return fail(r, st == WILOR_ERR_ARG ? WILOR_CLI_USAGE : WILOR_CLI_FAILED, &err);
    int status = wilor_cli_model_get(&r->opened, &r->o.p, &r->report, &err);
    if (status != 0)
        return status == WILOR_CLI_INTERRUPTED ? status : fail(r, status, &err);
    wilor_cli_engine_options eo = engine_options(r);
    if ((st = wilor_cli_engine_create(&r->engine, &eo, &err)) == WILOR_OK)
        st = wilor_cli_outputs_begin(r->outputs, r->engine, r->opened.model, &r->source.info,
                                     &err);
    r->source.engine = r->engine;
    return st == WILOR_OK ? 0 : fail(r, WILOR_CLI_FAILED, &err);
}

static void say_hello(run *r) {
    json_t *info = wilor_cli_live_info(&r->o.p, &r->opened, r->o.stream);
    char *text = info ? wilor_cli_json_text(info, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    wilor_cli_outputs_hello(r->outputs, text);
    free(text);
    json_decref(info);
}

static int live_run(run *r) {
    wilor_error err = {WILOR_OK, ""}, written;
    int status = get_ready(r);
    if (status != 0)
        return status;
    r->report.started = wilor_cli_seconds();
    say_hello(r);
    wilor_status st = wilor_cli_live_source_run(&r->source, &r->video, &err);
    if (st == WILOR_OK && !wilor_cli_interrupted())
        wilor_cli_engine_settle(r->engine);
    wilor_cli_engine_free(&r->engine);
    wilor_cli_report_clear(&r->report);
    wilor_cli_outputs_settle(r->outputs);
    bool interrupted = wilor_cli_interrupted();
    wilor_cli_outputs_bye(r->outputs, interrupted      ? "interrupted"
                                      : st == WILOR_OK ? "end of the source"
                                                       : err.text);
    /* What was done until then is kept, however it ended. */
    if (wilor_cli_outputs_finish(r->outputs, &written) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &written);
    if (interrupted)
        return WILOR_CLI_INTERRUPTED;
    return st == WILOR_OK ? WILOR_CLI_DONE : fail(r, WILOR_CLI_FAILED, &err);
}

int wilor_cli_live(int argc, char **argv) {
    run r = {.video = NULL};
    wilor_error err;
    int status;
    wilor_cli_opened_init(&r.opened);
    wilor_status st = wilor_cli_live_options_parse(&r.o, argc, argv, &err);
    if (st == WILOR_OK && r.o.p.help) {
        wilor_cli_live_help(stdout);
        status = wilor_cli_close_output(WILOR_CLI_DONE);
    } else if (st == WILOR_OK) {
        wilor_cli_report_begin(&r.report, r.o.p.quiet);
        status = live_run(&r);
    } else {
        fprintf(stderr, "wilor: %s\n", err.text);
        status = st == WILOR_ERR_ARG ? WILOR_CLI_USAGE : WILOR_CLI_FAILED;
    }
    wilor_cli_engine_free(&r.engine);
    wilor_video_close(&r.video);
    wilor_cli_outputs_free(&r.outputs);
    wilor_cli_opened_close(&r.opened);
    wilor_cli_predict_options_free(&r.o.p);
    return status;
}
