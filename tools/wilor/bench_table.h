/* The results of `wilor bench` for people. */
#ifndef WILOR_CLI_BENCH_TABLE_H
#define WILOR_CLI_BENCH_TABLE_H

#include <jansson.h>

void wilor_cli_bench_table(const json_t *env, const json_t *results);

#endif
