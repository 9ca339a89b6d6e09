/* Source: wilor-mlx 0.3.0, README, "Performance": medians of recent frames of 160 x 120 pixels on an M4 Max,
 * float32, MLX beside PyTorch's MPS in the same harness; "about" is theirs. The route there begins with a
 * saved frame and ends with a hand's event. */
#include "bench_published.h"

#include <stdio.h>
#include <string.h>

typedef struct claim {
    const char *what;
    int mlx_ms, torch_ms;
} claim;

static const claim g_published[] = {{"model", 37, 49}, {"route", 49, 60}};

json_t *wilor_cli_bench_published(const char *what) {
    for (size_t i = 0; i < sizeof g_published / sizeof *g_published; i++) {
        const claim *p = &g_published[i];
        if (strcmp(what, p->what) == 0)
            return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i}", "by", "wilor-mlx's README",
                             "machine", "Apple M4 Max, GPU", "dtype", "f32", "size", "160x120",
                             "hands", 1, "median_ms", p->mlx_ms, "torch_mps_median_ms",
                             p->torch_ms);
    }
    return NULL;
}

void wilor_cli_bench_published_print(const json_t *published) {
    printf("  published for M4 Max, not measured here: wilor-mlx about %d ms, PyTorch %d (f32, "
           "GPU, one hand, 160x120)\n",
           (int)json_integer_value(json_object_get(published, "median_ms")),
           (int)json_integer_value(json_object_get(published, "torch_mps_median_ms")));
}
