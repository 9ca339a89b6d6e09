/* wilor verify: is a file sound? What was checked goes to the standard output, faults to the
 * standard error. */
#include "commands.h"

#include "interrupt.h"
#include "nano_name.h"
#include "options.h"
#include "report.h"
#include "wilor/wilor.h"
#include <stdio.h>

enum { ID_QUIET, ID_HELP, ID_HELP_SHORT };

static const wilor_cli_option g_options[] = {
    {"--quiet", NULL, "only faults, no progress and nothing on the standard output", ID_QUIET,
     0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

typedef struct command {
    const char *path;
    bool quiet, help;
    wilor_cli_report report;
} command;

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    command *c = user;
    (void)value;
    (void)err;
    c->quiet = c->quiet || o->id == ID_QUIET;
    c->help = c->help || o->id == ID_HELP || o->id == ID_HELP_SHORT;
    return WILOR_OK;
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    command *c = user;
    wilor_cli_quoted q;
    if (c->path)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "verify: one file at a time; the second is %s",
                              wilor_cli_quote(&q, text));
    c->path = text;
    return WILOR_OK;
}

static void progress(void *user, const char *what, uint64_t done, uint64_t total) {
    command *c = user;
    wilor_cli_report_loading(&c->report, what, done, total);
}

static void logged(void *user, wilor_log_level level, const char *text) {
    command *c = user;
    if (level == WILOR_LOG_WARNING) {
        wilor_cli_report_error(&c->report, "%s", text);
    } else if (!c->quiet) {
        wilor_cli_report_clear(&c->report);
        printf("%s\n", text);
    }
}

/* nano is two files. */
static wilor_status verify(command *c, wilor_error *err) {
    char path[WILOR_CLI_NANO_ROOM];
    wilor_callbacks callbacks = {
        .user = c, .log = logged, .progress = progress, .cancel = wilor_cli_cancel};
    if (!wilor_cli_is_nano(c->path))
        return wilor_verify(c->path, &callbacks, err);
    wilor_status st = WILOR_OK;
    for (int i = WILOR_NANO_WEIGHTS; st == WILOR_OK && i <= WILOR_NANO_DETECTOR; i++) {
        st = wilor_nano_path(path, sizeof path, (wilor_nano_file)i, err);
        if (st == WILOR_OK)
            st = wilor_verify(path, &callbacks, err);
    }
    return st;
}

static int run(command *c) {
    wilor_error err;
    wilor_cli_report_begin(&c->report, c->quiet);
    wilor_status st = verify(c, &err);
    wilor_cli_report_clear(&c->report);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st != WILOR_OK)
        wilor_cli_report_error(&c->report, "%s", err.text);
    else if (!c->quiet)
        puts("sound");
    return wilor_cli_close_output(st == WILOR_OK ? WILOR_CLI_DONE : WILOR_CLI_FAILED);
}

int wilor_cli_verify(int argc, char **argv) {
    wilor_error err;
    command c = {0};
    wilor_cli_parser parser = {.command = "verify",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = &c,
                               .option = take_option,
                               .operand = take_operand};
    wilor_status st = wilor_cli_parse(&parser, argc, argv, &err);
    if (st == WILOR_OK && !c.help && !c.path)
        st = wilor_cli_fail(&err, WILOR_ERR_ARG,
                            "verify: no file given; see wilor verify --help");
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return WILOR_CLI_USAGE;
    }
    if (c.help) {
        fputs(
            "usage: wilor verify FILE|nano\n\n"
            "Looks for faults in a file of weights or hand data: numbers that are not finite, "
            "missing\ntensors, wrong shapes, metadata and a hash that are not true. Exit "
            "status "
            "0: sound,\n1: not, with the reasons on the standard error.\n\n",
            stdout);
        wilor_cli_print_options(g_options, OPTION_COUNT, stdout);
        return wilor_cli_close_output(WILOR_CLI_DONE);
    }
    return run(&c);
}
