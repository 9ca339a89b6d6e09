/* The options of `wilor bench`. */
#include "bench_options.h"

#include <stdlib.h>
#include <string.h>

enum {
    ID_HANDS,
    ID_THREADS,
    ID_WEIGHTS,
    ID_DETECTOR,
    ID_MANO,
    ID_HEADS,
    ID_SIZE,
    ID_IMGSZ,
    ID_RUNS,
    ID_PACKED,
    ID_COLD,
    ID_DEVICE,
    ID_DTYPE,
    ID_PUBLISHED,
    ID_JSON,
    ID_HELP,
    ID_HELP_SHORT
};

static const wilor_cli_option g_options[] = {
    {"--hands", "N", "hands in the picture; 2", ID_HANDS, 0, NULL},
    {"--threads", "N", "0: the physical cores that this process may use", ID_THREADS, 0, NULL},
    {"--weights", "FILE|nano|random", "the model; random: full size, by formula", ID_WEIGHTS, 0,
     NULL},
    {"--detector", "FILE|nano|random",
     "the detector; beside the model nano its own, else random: scale m, by\nformula",
     ID_DETECTOR, 0, NULL},
    {"--mano", "FILE", "the hand, when the weights lack it; for random a free one", ID_MANO, 0,
     NULL},
    {"--heads", "N", "attention heads, for models that are not 80 wide a head", ID_HEADS, 0,
     NULL},
    {"--size", "WxH", "the picture; 640x480", ID_SIZE, 0, NULL},
    {"--imgsz", "N", "side of the detector's input; its own", ID_IMGSZ, 0, NULL},
    {"--runs", "N", "how often; 10", ID_RUNS, 0, NULL},
    {"--packed", "FILE", "map the model as wilor convert --to packed wrote it", ID_PACKED, 0,
     NULL},
    {"--cold", NULL, "load: let the system forget the files before each run", ID_COLD, 0, NULL},
    {"--device", "auto|cpu|gpu|mlx|cuda|cuda:N",
     "where to compute; auto: mlx on a Mac, else cpu", ID_DEVICE, 0, NULL},
    {"--dtype", WILOR_CLI_DTYPES, "the arithmetic; f32", ID_DTYPE, 0, NULL},
    {"--published", NULL,
     "beside model and route what wilor-mlx says of itself on an M4 Max; on a Mac\nalways",
     ID_PUBLISHED, 0, NULL},
    {"--json", NULL, "one JSON object", ID_JSON, 0, NULL},
    {"--help", NULL, "this text", ID_HELP, 0, NULL},
    {"-h", NULL, "this text", ID_HELP_SHORT, WILOR_CLI_HIDDEN, NULL},
};

enum { OPTION_COUNT = sizeof g_options / sizeof g_options[0] };

static wilor_status bad(const char *name, const char *value, const char *wanted,
                        wilor_error *err) {
    wilor_cli_quoted q;
    return wilor_cli_fail(err, WILOR_ERR_ARG, "bench: %s %s: it should be %s", name,
                          wilor_cli_quote(&q, value), wanted);
}

static wilor_status take_int(const wilor_cli_option *o, const char *value, long low, long high,
                             int *out, wilor_error *err) {
    char wanted[64];
    long n;
    if (wilor_cli_parse_long(value, low, high, &n)) {
        *out = (int)n;
        return WILOR_OK;
    }
    snprintf(wanted, sizeof wanted, "a whole number from %ld to %ld", low, high);
    return bad(o->name, value, wanted, err);
}

/* "640x480" */
static wilor_status take_size(wilor_cli_bench_options *b, const char *value, wilor_error *err) {
    char text[32];
    long w, h;
    const char *x = strchr(value, 'x');
    if (x && strlen(value) < sizeof text) {
        snprintf(text, sizeof text, "%.*s", (int)(x - value), value);
        if (wilor_cli_parse_long(text, 16, 16384, &w) &&
            wilor_cli_parse_long(x + 1, 16, 16384, &h)) {
            b->width = (int)w;
            b->height = (int)h;
            return WILOR_OK;
        }
    }
    return bad("--size", value, "WxH with sides from 16 to 16384", err);
}

static const char *or_random(const char *value, const char *random) {
    return !strcmp(value, "random") ? random : value;
}

static wilor_status take_option(void *user, const wilor_cli_option *o, const char *value,
                                wilor_error *err) {
    wilor_cli_bench_options *b = user;
    switch (o->id) {
    case ID_HANDS:
        return take_int(o, value, 1, 64, &b->hands, err);
    case ID_THREADS:
        return take_int(o, value, 0, 1024, &b->threads, err);
    case ID_HEADS:
        return take_int(o, value, 1, 4096, &b->heads, err);
    case ID_IMGSZ:
        return take_int(o, value, 32, 4096, &b->imgsz, err);
    case ID_RUNS:
        return take_int(o, value, 1, WILOR_CLI_BENCH_MOST_RUNS, &b->runs, err);
    case ID_DTYPE:
        return wilor_cli_parse_dtype("bench: ", value, &b->dtype, err);
    case ID_SIZE:
        return take_size(b, value, err);
    case ID_WEIGHTS:
        b->weights = or_random(value, "random:full");
        break;
    case ID_DETECTOR:
        b->detector = or_random(value, "random:m");
        break;
    case ID_MANO:
        b->mano = value;
        break;
    case ID_PACKED:
        b->packed = value;
        break;
    case ID_DEVICE:
        b->device = value;
        break;
    case ID_COLD:
        b->cold = true;
        break;
    case ID_PUBLISHED:
        b->published = true;
        break;
    case ID_JSON:
        b->json = true;
        break;
    default:
        b->help = true;
    }
    return WILOR_OK;
}

static wilor_status take_operand(void *user, const char *text, wilor_error *err) {
    static const char *const names[] = {"model", "detector", "route", "load",
                                        "peak",  "kernels",  "live"};
    wilor_cli_bench_options *b = user;
    for (int i = 0; i < 7; i++)
        if (!strcmp(text, names[i])) {
            b->what |= 1u << i;
            return WILOR_OK;
        }
    return bad("what to measure,", text, "model, detector, route, live, load, peak or kernels",
               err);
}

wilor_status wilor_cli_bench_options_parse(wilor_cli_bench_options *o, int argc, char **argv,
                                           wilor_error *err) {
    *o = (wilor_cli_bench_options){
        .weights = "random:full", .hands = 2, .runs = 10, .width = 640, .height = 480};
    wilor_cli_parser parser = {.command = "bench",
                               .options = g_options,
                               .count = OPTION_COUNT,
                               .user = o,
                               .option = take_option,
                               .operand = take_operand};
#if defined(__APPLE__)
    o->published = true;
#endif
    wilor_status st = wilor_cli_parse(&parser, argc, argv, err);
    if (st == WILOR_OK && o->cold && !(o->what & WILOR_CLI_BENCH_LOAD))
        return wilor_cli_fail(err, WILOR_ERR_ARG, "bench: --cold is for load");
    if (!o->detector)
        o->detector = strcmp(o->weights, "nano") == 0 ? "nano" : "random:m";
    if (o->what == 0)
        o->what = WILOR_CLI_BENCH_MODEL | WILOR_CLI_BENCH_DETECTOR | WILOR_CLI_BENCH_ROUTE;
    return st;
}

void wilor_cli_bench_help(FILE *to) {
    fputs(
        "usage: wilor bench [model|detector|route|live|load|peak|kernels ...] [options]\n\n"
        "Times of the hand model, of the detector, of a picture's whole route and of loading,\n"
        "with the first pass after it and a later one; the first three unless told.\n"
        "live: from a frame's arrival, 30 a second, to its event, hands tracked.\n"
        "peak: the processor's own rates, by instruction.\n"
        "kernels: each kernel that runs here, on the model's shapes, with one thread and all.\n"
        "Without files: weights by formula, full size.\n\n",
        to);
    wilor_cli_print_options(g_options, OPTION_COUNT, to);
    fputs("\nexit: 0 done, 1 failed, 2 usage, 4 the hand data are missing, 130 interrupted\n",
          to);
}
