/* What wilor-mlx's README says of its own times, to be put beside ours: never measured here. */
#ifndef WILOR_CLI_BENCH_PUBLISHED_H
#define WILOR_CLI_BENCH_PUBLISHED_H

#include <jansson.h>

/* For "model" and "route": whose, on what, how large a frame, its median and PyTorch's beside it. NULL: there
 * is none, or no memory. */
json_t *wilor_cli_bench_published(const char *what);
void wilor_cli_bench_published_print(const json_t *published);

#endif
