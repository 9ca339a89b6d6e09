/* wilor convert: weights to another layout or type, or packed for this kind of processor. The library
 * makes the bytes; here they become a file that appears under its name when it is whole. */
#include "commands.h"

#include "default_files.h"
#include "hub_calls.h"
#include "interrupt.h"
#include "nano_name.h"
#include "options.h"
#include "packed_cache.h"
#include "report.h"
#include "temp_file.h"
#include "wilor/wilor.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ID_TO,
    ID_DTYPE,
    ID_GROUP_SIZE,
    ID_HEADS,
    ID_WITH_MANO,
    ID_MANO,
    ID_MEAN,
    ID_QUIET,
    ID_HELP,
    ID_HELP_SHORT,
    HEADS_MOST = 4096
};

static const wilor_cli_option g_options[] = {
    {"--to", "LAYOUT",
     "safetensors: the checkpoint's names and what wilor knows of the file;\n"
     "mlx: wilor-mlx's names and layouts;\n"
     "packed: as this processor's kernels want them, for predict --packed",
     ID_TO, 0, NULL},
    {"--dtype", "TYPE",
     "f32 (default); f16, bf16: matrices and convolutions;\n"
     "int8, int4: the matrices of the blocks; the rest stays float32",
     ID_DTYPE, 0, NULL},
    {"--group-size", "N",
     "numbers that share a scale: 32, 64 (default) or 128; for int4, and for int8 with "
     "--to mlx",
     ID_GROUP_SIZE, 0, NULL},
    {"--heads", "N", "attention heads to note in the file, when SRC does not say them",
     ID_HEADS, 0, NULL},
    {"--with-mano", NULL,
     "copy the hand model that is in SRC, too; its licence forbids to pass it on", ID_WITH_MANO,
     0, NULL},
    {"--mano", "FILE", "packed: as in predict", ID_MANO, 0, NULL},
    {"--mean", "FILE", "packed: as in predict", ID_MEAN, 0, NULL},
    {"--quiet", NULL, "no progress and no notes", ID_QUIET, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

typedef struct command {
    const char *source, *target;
    const char *mano, *mean;
    wilor_convert_options convert;
    bool packed, quiet, help;
    wilor_cli_report report;
    wilor_cli_temp_file file;
    uint64_t at;    /* where the file's next byte goes */
    int write_code; /* errno of a failed write */
} command;

/* ---------------------------------------------------------------- options */

static wilor_status bad(const char *option, const char *value, const char *wants,
                        wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "convert: %s wants %s, not %s", option, wants,
                          wilor_cli_quote(&q, value));
}

static wilor_status take_layout(command *c, const char *value, wilor_error *err) {
    c->packed = !strcmp(value, "packed");
    if (!c->packed && strcmp(value, "safetensors") != 0 && strcmp(value, "mlx") != 0)
        return bad("--to", value, "safetensors, mlx or packed", err);
    c->convert.layout = !strcmp(value, "mlx") ? WILOR_WEIGHTS_MLX : WILOR_WEIGHTS_CHECKPOINT;
    return WILOR_OK;
}

static wilor_status take_dtype(command *c, const char *value, wilor_error *err) {
    static const char *const names[] = {"f32", "f16", "bf16", "int8", "int4"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(value, names[i])) {
            c->convert.dtype = (wilor_weights_dtype)i;
            return WILOR_OK;
        }
    return bad("--dtype", value, "f32, f16, bf16, int8 or int4", err);
}

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    command *c = user;
    long n = 0;
    switch (o->id) {
    case ID_TO:
        return take_layout(c, value, err);
    case ID_DTYPE:
        return take_dtype(c, value, err);
    case ID_GROUP_SIZE:
        if (!wilor_cli_parse_long(value, 32, 128, &n) || (n != 32 && n != 64 && n != 128))
            return bad(o->name, value, "32, 64 or 128", err);
        c->convert.group_size = (int)n;
        return WILOR_OK;
    case ID_HEADS:
        if (!wilor_cli_parse_long(value, 1, HEADS_MOST, &n))
            return bad(o->name, value, "a number from 1 to 4096", err);
        c->convert.heads = (int)n;
        return WILOR_OK;
    case ID_WITH_MANO:
        c->convert.with_mano = 1;
        return WILOR_OK;
    case ID_MANO:
        c->mano = value;
        return WILOR_OK;
    case ID_MEAN:
        c->mean = value;
        return WILOR_OK;
    case ID_QUIET:
        c->quiet = true;
        return WILOR_OK;
    default:
        c->help = true;
        return WILOR_OK;
    }
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    command *c = user;
    wilor_cli_quoted q;
    if (c->source && c->target)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "convert: one source and one target; the third name is %s",
                              wilor_cli_quote(&q, text));
    if (c->source)
        c->target = text;
    else
        c->source = text;
    return WILOR_OK;
}

/* Packed weights have the types of their source, and their key names the hand's file. */
static wilor_status check_packed(const command *c, uint64_t seen, wilor_error *err) {
    static const struct {
        int id;
        const char *option;
    } refused[] = {
        {ID_DTYPE, "--dtype"}, {ID_GROUP_SIZE, "--group-size"}, {ID_WITH_MANO, "--with-mano"}};

    for (size_t i = 0; c->packed && i < sizeof refused / sizeof refused[0]; i++)
        if (seen >> refused[i].id & 1)
            return wilor_cli_fail(err, WILOR_ERR_ARG,
                                  "convert: %s is not for --to packed: the types stay those of "
                                  "the source; convert that first",
                                  refused[i].option);
    if (!c->packed && (c->mano || c->mean))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "convert: %s is for --to packed",
                              c->mano ? "--mano" : "--mean");
    return WILOR_OK;
}

static wilor_status check(const command *c, uint64_t seen, wilor_error *err) {
    bool quantised =
        c->convert.dtype == WILOR_WEIGHTS_INT4 ||
        (c->convert.dtype == WILOR_WEIGHTS_INT8 && c->convert.layout == WILOR_WEIGHTS_MLX);
    if (!c->source || !c->target)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "convert: give a source and a target; see wilor convert --help");
    if (!(seen >> ID_TO & 1))
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "convert: --to is missing: safetensors, mlx or packed");
    if (c->convert.group_size && !quantised)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "convert: --group-size is for int4, and for int8 with --to mlx");
    if (c->convert.with_mano && c->convert.layout == WILOR_WEIGHTS_MLX)
        return wilor_cli_fail(err, WILOR_ERR_ARG,
                              "convert: --with-mano is for --to safetensors: wilor-mlx keeps "
                              "the hand in mano.npz");
    return check_packed(c, seen, err);
}

/* ---------------------------------------------------------------- callbacks */

static void progress(void *user, const char *what, uint64_t done, uint64_t total) {
    command *c = user;
    wilor_cli_report_loading(&c->report, what, done, total);
}

static void logged(void *user, wilor_log_level level, const char *text) {
    command *c = user;
    (void)level;
    wilor_cli_report_note(&c->report, "%s", text);
}

static int write_bytes(void *user, uint64_t offset, const void *data, size_t size) {
    command *c = user;
    errno = 0;
    if (c->at != offset && fseeko(c->file.file, (off_t)offset, SEEK_SET) != 0)
        c->write_code = errno ? errno : EIO;
    else if (fwrite(data, 1, size, c->file.file) != size)
        c->write_code = errno ? errno : EIO;
    c->at = offset + size;
    return c->write_code != 0;
}

/* ---------------------------------------------------------------- the command */

static wilor_status convert(command *c, wilor_error *err) {
    char nano[WILOR_CLI_NANO_ROOM];
    wilor_status st = wilor_cli_nano_resolve(&c->source, nano, WILOR_NANO_WEIGHTS, err);
    if (st != WILOR_OK)
        return st;
    st = wilor_cli_temp_open(&c->file, c->target, err);
    if (st != WILOR_OK)
        return st;
    if (fseeko(c->file.file, 0, SEEK_SET) != 0)
        st = wilor_cli_fail_errno(err, c->target, "cannot write a file there", errno);
    c->convert.source = c->source;
    c->convert.write = write_bytes;
    c->convert.write_user = c;
    c->convert.callbacks = (wilor_callbacks){
        .user = c, .log = logged, .progress = progress, .cancel = wilor_cli_cancel};
    if (st == WILOR_OK)
        st = wilor_convert(&c->convert, err);
    if (c->write_code)
        st = wilor_cli_fail_errno(err, c->target, "cannot write", c->write_code);
    if (st == WILOR_OK)
        return wilor_cli_temp_commit(&c->file, err);
    wilor_cli_temp_discard(&c->file);
    return st;
}

/* The files that `predict --weights SRC` would take, so that the key is the same. */
static wilor_status pack(command *c, wilor_error *err) {
    wilor_cli_files files = {0};
    wilor_cli_wanted_files wanted = {.weights = c->source, .mano = c->mano, .mean = c->mean};
    wilor_model_options o;
    wilor_model *model = NULL;
    wilor_model_options_init(&o, sizeof o);
    wilor_status st = wilor_cli_files_find(&files, &wanted, &c->report, err);
    o.weights = files.weights;
    o.mano = files.mano;
    o.mean = files.mean;
    o.heads = c->convert.heads;
    o.callbacks = (wilor_callbacks){
        .user = c, .log = logged, .progress = progress, .cancel = wilor_cli_cancel};
    if (st == WILOR_OK)
        st = wilor_model_open(&model, &o, err);
    if (st == WILOR_OK)
        st = wilor_cli_packed_write(c->target, model, err);
    wilor_model_free(&model);
    wilor_cli_files_free(&files);
    return st;
}

static int run(command *c) {
    wilor_error err;
    wilor_cli_report_begin(&c->report, c->quiet);
    wilor_status st = c->packed ? pack(c, &err) : convert(c, &err);
    wilor_cli_report_clear(&c->report);
    if (st == WILOR_ERR_CANCELLED)
        return WILOR_CLI_INTERRUPTED;
    if (st == WILOR_OK)
        return WILOR_CLI_DONE;
    wilor_cli_report_error(&c->report, "%s", err.text);
    return c->packed                 ? wilor_cli_hub_exit(st)
           : st == WILOR_ERR_MISSING ? WILOR_CLI_NO_MODEL
                                     : WILOR_CLI_FAILED;
}

int wilor_cli_convert(int argc, char **argv) {
    wilor_error err;
    command c = {0};
    wilor_cli_parser parser = {.command = "convert",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = &c,
                               .option = take_option,
                               .operand = take_operand};
    wilor_convert_options_init(&c.convert, sizeof c.convert);
    wilor_status st = wilor_cli_parse(&parser, argc, argv, &err);
    if (st == WILOR_OK && !c.help)
        st = check(&c, parser.seen, &err);
    if (st != WILOR_OK) {
        fprintf(stderr, "wilor: %s\n", err.text);
        return WILOR_CLI_USAGE;
    }
    if (c.help) {
        fputs("usage: wilor convert SRC DST --to safetensors|mlx|packed [options]\n\n"
              "WiLoR's weights as a safetensors file, or packed for predict --packed. SRC is a "
              "checkpoint or a safetensors file "
              "of\nany of these forms, or nano; random:tiny, hd80, full and nano are synthetic "
              "weights.\n\n",
              stdout);
        wilor_cli_print_options(g_options, OPTION_COUNT, stdout);
        return wilor_cli_close_output(WILOR_CLI_DONE);
    }
    return run(&c);
}
