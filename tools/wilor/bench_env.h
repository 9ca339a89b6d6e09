/* What a measurement was made on. */
#ifndef WILOR_CLI_BENCH_ENV_H
#define WILOR_CLI_BENCH_ENV_H

#include <jansson.h>
#include <stddef.h>

/* The events format's "env": commit, compiler, cpu, isa, threads, gpu; besides, how it was built, CPUs of the
 * affinity mask, and those of the cgroup's quota or null. NULL: no memory. */
json_t *wilor_cli_bench_env(const char *isa, int threads);
/* The free hand that lies beside an installed program, or in the source tree of a program that was
 * built in it; the caller frees. NULL: none. */
char *wilor_cli_bench_hand(void);

#endif
