/* wilor download: files of a hub into the cache that Python uses, too; their paths on stdout. */
#include "commands.h"

#include "hub_calls.h"
#include "hub_name.h"
#include "nano_name.h"
#include "options.h"
#include "wilor/wilor_io.h"
#include <stdlib.h>
#include <string.h>

enum { ID_REVISION, ID_OFFLINE, ID_QUIET, ID_HELP, ID_HELP_SHORT, PATH_ROOM = 4096 };

static const wilor_cli_option g_options[] = {
    {"--revision", "REV", "a branch, tag or commit, for all that name none themselves",
     ID_REVISION, 0, NULL},
    {"--offline", NULL, "only say where they are: no request at all", ID_OFFLINE, 0, NULL},
    {"--quiet", NULL, "errors only on the standard error", ID_QUIET, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

typedef struct download_options {
    const char **names;
    size_t count;
    const char *revision;
    bool offline, quiet, help;
} download_options;

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    download_options *p = user;
    (void)err;
    if (o->id == ID_REVISION)
        p->revision = value;
    p->offline = p->offline || o->id == ID_OFFLINE;
    p->quiet = p->quiet || o->id == ID_QUIET;
    p->help = p->help || o->id == ID_HELP || o->id == ID_HELP_SHORT;
    return WILOR_OK;
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    download_options *p = user;
    (void)err;
    p->names[p->count++] = text;
    return WILOR_OK;
}

/* The set whose files this repository has, if none of its files is named. */
static const char *set_of(const char *name, const wilor_cli_hub_name *n) {
    static const char *const sets[] = {"mini", "mlx"};
    wilor_hub_default_file d;
    for (int i = 0; i < 2; i++)
        if (!strcmp(name, sets[i]) || (wilor_hub_default(sets[i], 0, &d) == WILOR_OK &&
                                       !*n->file && !strcmp(n->repo, d.repo)))
            return sets[i];
    return NULL;
}

static wilor_status fetch(const char *repo, const char *file, const wilor_hub_options *hub,
                          wilor_cli_report *report, wilor_error *err) {
    char path[PATH_ROOM];
    wilor_status st = wilor_hub_fetch(path, sizeof path, repo, file, hub, err);
    wilor_cli_report_clear(report);
    if (st == WILOR_OK) {
        puts(path);
        fflush(stdout); /* the next may take long */
    }
    return st;
}

/* They are there, or nowhere. */
static wilor_status print_nano(wilor_error *err) {
    char path[WILOR_CLI_NANO_ROOM];
    wilor_status st = WILOR_OK;
    for (int i = WILOR_NANO_WEIGHTS; st == WILOR_OK && i <= WILOR_NANO_DETECTOR; i++) {
        st = wilor_nano_path(path, sizeof path, (wilor_nano_file)i, err);
        if (st == WILOR_OK)
            puts(path);
    }
    return st;
}

static wilor_status fetch_name(const char *name, const wilor_hub_options *given,
                               wilor_cli_report *report, wilor_error *err) {
    wilor_cli_hub_name n = {"", "", ""};
    wilor_hub_options hub = *given;
    wilor_hub_default_file d;
    wilor_cli_quoted q;
    wilor_status st = WILOR_OK;
    if (wilor_cli_is_nano(name))
        return print_nano(err);
    bool repo = wilor_cli_hub_name_parse(&n, name);
    const char *set = set_of(name, &n);
    if (*n.revision)
        hub.revision = n.revision;
    if (!set && !repo)
        return wilor_cli_fail(
            err, WILOR_ERR_ARG,
            "download: %s: it should be mini, mlx, nano or org/name[@revision]:path",
            wilor_cli_quote(&q, name));
    if (!set && !*n.file)
        return wilor_cli_fail(err, WILOR_ERR_ARG, "download: %s: say which file: %s:path",
                              wilor_cli_quote(&q, name), name);
    if (!set)
        return fetch(n.repo, n.file, &hub, report, err);
    for (size_t i = 0; st == WILOR_OK && wilor_hub_default(set, i, &d) == WILOR_OK; i++) {
        wilor_hub_options o = hub;
        if (repo && strcmp(d.repo, n.repo) != 0)
            o.revision = NULL; /* that is of another repository */
        st = fetch(d.repo, d.file, &o, report, err);
    }
    return st;
}

static int download_run(const download_options *o) {
    wilor_cli_report report;
    wilor_cli_hub_calls calls;
    wilor_hub_options hub;
    wilor_error err;
    wilor_status st = WILOR_OK;
    wilor_cli_report_begin(&report, o->quiet);
    wilor_hub_options_init(&hub, sizeof hub);
    hub.revision = o->revision;
    hub.offline = o->offline;
    hub.callbacks = wilor_cli_hub_calls_begin(&calls, &report);
    for (size_t i = 0; st == WILOR_OK && i < o->count; i++)
        st = fetch_name(o->names[i], &hub, &report, &err);
    if (st != WILOR_OK && st != WILOR_ERR_CANCELLED)
        wilor_cli_report_error(&report, "%s", err.text);
    return wilor_cli_close_output(wilor_cli_hub_exit(st));
}

static void help(void) {
    fputs("usage: wilor download mini|mlx|nano|ORG/NAME[@REV]:PATH ... [options]\n\n"
          "Fetch files of a model hub into the cache that Python's huggingface_hub uses, too,\n"
          "unless they are there; prints where they are, a line each. mini and mlx stand for\n"
          "all that WiLoR-mini's and wilor-mlx's users need; nano's files came with wilor.\n\n",
          stdout);
    wilor_cli_print_options(g_options, OPTION_COUNT, stdout);
    fputs("\nThe environment is huggingface_hub's: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, "
          "HF_TOKEN,\n"
          "HF_HUB_OFFLINE, HTTPS_PROXY and others.\n"
          "exit: 0 done, 1 failed, 2 usage, 4 not to be had, 130 interrupted\n",
          stdout);
}

int wilor_cli_download(int argc, char **argv) {
    wilor_error err;
    download_options o = {0};
    wilor_cli_parser parser = {.command = "download",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = &o,
                               .option = take_option,
                               .operand = take_operand};
    int status = WILOR_CLI_USAGE;
    o.names = calloc(argc > 0 ? (size_t)argc : 1, sizeof *o.names);
    wilor_status st = o.names ? wilor_cli_parse(&parser, argc, argv, &err)
                              : wilor_cli_fail(&err, WILOR_ERR_NOMEM, "out of memory");
    if (st == WILOR_OK && !o.help && o.count == 0)
        st = wilor_cli_fail(&err, WILOR_ERR_ARG,
                            "download: nothing named; see wilor download --help");
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
    } else if (o.help) {
        help();
        status = wilor_cli_close_output(WILOR_CLI_DONE);
    } else {
        status = download_run(&o);
    }
    free((void *)o.names);
    return status;
}
