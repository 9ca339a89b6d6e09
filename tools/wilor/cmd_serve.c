/* wilor serve: the engine behind HTTP, WebSockets and a page. docs/server.md.
 *
 * The server answers from the start, /ready once the model is there. Then this thread reads the source,
 * when there is one, or waits for a signal. */
#include "commands.h"

#include "betas_file.h"
#include "interrupt.h"
#include "live_setup.h"
#include "live_source.h"
#include "serve_info.h"
#include "serve_options.h"
#include "server/server.h"
#include "server/server_limits.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct run {
    wilor_cli_serve_options o;
    wilor_server_words own;
    wilor_cli_report report;
    wilor_cli_opened opened;
    wilor_cli_engine *engine;
    wilor_server *server;
    wilor_cli_live_source source;
    wilor_video *video;
    float betas[10];
    wilor_cli_live_setup setup;
} run;

static int fail(run *r, int status, const wilor_error *err) {
    wilor_cli_report_error(&r->report, "%s", err->text);
    return status;
}

/* Threads that begin while this holds leave SIGINT and SIGTERM to the first one. */
static void hold_signals(sigset_t *before) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, before);
}

static void wait_for_signal(const sigset_t *before) {
    sigset_t unused;
    hold_signals(&unused);
    while (!wilor_cli_interrupted())
        sigsuspend(before);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* ---------------------------------------------------------------- the parts */

static uint64_t max_pixels(const run *r) {
    return r->o.p.max_pixels ? r->o.p.max_pixels : WILOR_SERVER_PIXELS_MOST;
}

static wilor_status open_server(run *r, wilor_error *err) {
    const wilor_cli_serve_options *o = &r->o;
    sigset_t before;
    wilor_server_options so = {.guard = {.host = o->host,
                                         .cors = o->cors,
                                         .token = *o->token ? o->token : NULL,
                                         .tls = o->cert != NULL},
                               .port = o->port,
                               .cert = o->cert,
                               .key = o->key,
                               .max_body = o->max_body,
                               .max_pixels = max_pixels(r),
                               .share_frames = o->share_frames,
                               .stream = o->stream};
    hold_signals(&before);
    wilor_status st = wilor_server_create(&r->server, &so, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

static wilor_status start_engine(run *r, wilor_error *err) {
    const wilor_cli_serve_options *o = &r->o;
    r->setup = (wilor_cli_live_setup){.p = &o->p,
                                      .tracking = &o->tracking,
                                      .opened = &r->opened,
                                      .stream = o->stream,
                                      .betas = o->p.betas_path ? r->betas : NULL};
    wilor_cli_engine_options eo = wilor_cli_live_engine_options(&r->setup);
    eo.failed = wilor_server_failed;
    eo.failed_user = r->server;
    wilor_status st = wilor_cli_engine_create(&r->engine, &eo, err);
    char *info = st == WILOR_OK ? wilor_cli_serve_info(o, &r->opened) : NULL;
    if (st == WILOR_OK && !info)
        return wilor_cli_fail(err, WILOR_ERR_NOMEM, "out of memory");
    wilor_server_model m = {.engine = r->engine,
                            .model = r->opened.model,
                            .facts = eo.facts,
                            .own = &r->own,
                            .info = info,
                            .betas = eo.betas};
    if (st == WILOR_OK)
        st = wilor_server_ready(r->server, &m, err);
    if (st == WILOR_OK)
        st = wilor_cli_engine_sink(r->engine, wilor_server_sink, r->server, err);
    free(info);
    return st;
}

static int open_model(run *r) {
    wilor_error err;
    sigset_t before;
    int status = wilor_cli_model_get(&r->opened, &r->o.p, &r->report, &err);
    if (status != 0)
        return status == WILOR_CLI_INTERRUPTED ? status : fail(r, status, &err);
    hold_signals(&before);
    wilor_status st = start_engine(r, &err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st == WILOR_OK ? 0 : fail(r, WILOR_CLI_FAILED, &err);
}

/* ---------------------------------------------------------------- the source */

static int stop(void *user) {
    (void)user;
    return wilor_cli_interrupted();
}

static void on_status(void *user, const char *status, const char *detail) {
    run *r = user;
    wilor_cli_report_note(&r->report, "the source: %s%s%s", status, detail ? ": " : "",
                          detail ? detail : "");
    if (r->server)
        wilor_server_tell(r->server, status, detail);
}

static void on_progress(void *user, uint64_t done, uint64_t total) {
    (void)user, (void)done, (void)total;
}

static void on_note(void *user, const char *text) {
    run *r = user;
    wilor_cli_report_note(&r->report, "%s", text);
}

/* Before the model is loaded: a mistyped name is seen at once. A file comes at its own pace, as a camera
 * would. */
static int open_source(run *r) {
    wilor_error err;
    r->o.source.realtime = true;
    r->source = (wilor_cli_live_source){.o = &r->o.source,
                                        .max_pixels = r->o.p.max_pixels,
                                        .threads = r->o.p.threads,
                                        .stop = stop,
                                        .status = on_status,
                                        .progress = on_progress,
                                        .note = on_note,
                                        .user = r};
    if (!r->o.source.source)
        return 0;
    wilor_status st = wilor_cli_live_source_open(&r->source, &r->video, &err);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    return st == WILOR_OK ? 0 : fail(r, WILOR_CLI_FAILED, &err);
}

/* Until a signal. A source that ends, or cannot go on, leaves the rest to be served. */
static void run_source(run *r) {
    wilor_error err;
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    r->source.engine = r->engine;
    if (r->video) {
        wilor_status st = wilor_cli_live_source_run(&r->source, &r->video, &err);
        if (st == WILOR_OK)
            on_status(r, "ended", NULL);
        else if (st != WILOR_ERR_CANCELLED)
            on_status(r, "failed", err.text);
    }
    wait_for_signal(&before);
}

/* ---------------------------------------------------------------- from beginning to end */

static void tell_address(run *r) {
    const wilor_cli_serve_options *o = &r->o;
    const char *host = o->host;
    bool six = strchr(host, ':') && host[0] != '[';
    wilor_cli_report_note(&r->report, "http%s://%s%s%s:%d/%s", o->cert ? "s" : "",
                          six ? "[" : "", host, six ? "]" : "", wilor_server_port(r->server),
                          *o->token ? " (with the token)" : "");
    if (*o->token && !o->cert && !wilor_server_is_loopback(host, strlen(host)))
        wilor_cli_report_note(&r->report,
                              "without --tls-cert the token and all pictures cross the network "
                              "in the clear");
}

static int prepare(run *r, int argc, char **argv) {
    wilor_error err;
    bool loose;
    wilor_status st = wilor_cli_model_files_check(&r->o.p, &err);
    if (st != WILOR_OK)
        return fail(r, WILOR_CLI_NO_MODEL, &err);
    if (wilor_cli_serve_token_read(&r->o, &loose, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (loose)
        wilor_cli_report_note(&r->report,
                              "others on this machine can read the token file: chmod 600 it");
    if (r->o.p.betas_path &&
        wilor_cli_betas_read(r->betas, r->o.p.betas_path, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    if (wilor_server_words_keep(&r->own, argc, argv, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    return 0;
}

static int serve_run(run *r, int argc, char **argv) {
    wilor_error err;
    int status = prepare(r, argc, argv);
    if (status == 0)
        status = open_source(r);
    if (status != 0)
        return status;
    if (open_server(r, &err) != WILOR_OK)
        return fail(r, WILOR_CLI_FAILED, &err);
    tell_address(r);
    status = open_model(r);
    if (status == 0) {
        wilor_cli_report_note(&r->report, "ready");
        run_source(r);
    }
    wilor_server_stop(r->server, status == 0 || status == WILOR_CLI_INTERRUPTED
                                     ? "interrupted"
                                     : "the model could not be loaded");
    return status;
}

static void clean(run *r) {
    wilor_video_close(&r->video);
    wilor_cli_engine_free(&r->engine);
    wilor_server_free(&r->server);
    wilor_server_words_free(&r->own);
    wilor_cli_opened_close(&r->opened);
    wilor_cli_predict_options_free(&r->o.p);
}

int wilor_cli_serve(int argc, char **argv) {
    run r = {.video = NULL};
    wilor_error err;
    int status;
    wilor_cli_opened_init(&r.opened);
    wilor_status st = wilor_cli_serve_options_parse(&r.o, argc, argv, &err);
    if (st == WILOR_OK && r.o.p.help) {
        wilor_cli_serve_help(stdout);
        status = wilor_cli_close_output(WILOR_CLI_DONE);
    } else if (st == WILOR_OK) {
        wilor_cli_report_begin(&r.report, r.o.p.quiet);
        status = serve_run(&r, argc, argv);
    } else {
        fprintf(stderr, "wilor: %s\n", err.text);
        status = st == WILOR_ERR_ARG ? WILOR_CLI_USAGE : WILOR_CLI_FAILED;
    }
    clean(&r);
    return status;
}
