/* `wilor bench kernels`: each kernel that runs here on the model's shapes. */
#ifndef WILOR_CLI_BENCH_KERNELS_H
#define WILOR_CLI_BENCH_KERNELS_H

#include "wilor/wilor.h"

#include <jansson.h>

/* Appends a result for each kernel, with one thread and, unless that is the same, with `threads`. Stops early after
 * an interrupt. */
wilor_status wilor_cli_bench_kernels(json_t *results, int threads, wilor_error *err);
/* One result as a line of text. */
void wilor_cli_bench_kernels_print(const json_t *result);
void wilor_cli_bench_kernels_head(void);

#endif
