/* The command line of `wilor bench`, checked and converted. */
#ifndef WILOR_CLI_BENCH_OPTIONS_H
#define WILOR_CLI_BENCH_OPTIONS_H

#include "options.h"

enum {
    WILOR_CLI_BENCH_MODEL = 1,
    WILOR_CLI_BENCH_DETECTOR = 2,
    WILOR_CLI_BENCH_ROUTE = 4,
    WILOR_CLI_BENCH_LOAD = 8,
    WILOR_CLI_BENCH_PEAK = 16,
    WILOR_CLI_BENCH_KERNELS = 32,
    WILOR_CLI_BENCH_LIVE = 64
};

enum { WILOR_CLI_BENCH_MOST_RUNS = 10000 };

typedef struct wilor_cli_bench_options {
    unsigned what;                          /* WILOR_CLI_BENCH_… */
    const char *weights, *detector, *mano;  /* "random:full" and such, too; mano may be NULL */
    int heads, hands, threads, runs, imgsz; /* threads, imgsz: 0 for the default */
    int width, height;
    const char *packed; /* convert --to packed */
    const char *device; /* NULL: auto */
    wilor_dtype dtype;
    bool cold, published, json, help;
} wilor_cli_bench_options;

wilor_status wilor_cli_bench_options_parse(wilor_cli_bench_options *o, int argc, char **argv,
                                           wilor_error *err);
void wilor_cli_bench_help(FILE *to);

#endif
