/* What the tests of device mlx share: a model of the golden tests on it, the reference crops, and outputs side by
 * side. */
#ifndef WILOR_TEST_MLX_SIDE_H
#define WILOR_TEST_MLX_SIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_mlx.h"
#include "golden.h"
#include "model_impl.h"

enum { SIDE_HANDS = 2, SIDE_PIXELS = 256 * 256 * 3, SIDE_PARTS = 6 };

/* What may differ, relative to max(1, largest value); metres of points. */
typedef struct tolerances {
    double tokens, outputs, metres;
} tolerances;

/* Float32's as test_stages.c. The 16-bit types': outputs and metres may be as far off as upstream is in the type
 * (PyTorch, all in float16 or bfloat16, against its float32 on these models: 2.4e-3 and 1.6e-2, 2.4e-4 and 2.2e-3 m);
 * of tokens, 8 roundings of 2^-11 and 2^-8. */
tolerances side_tolerances(wilor_dtype dtype);

typedef struct side_options {
    const char *weights, *mano; /* mano NULL: the CC0 hand */
    const char *device;         /* NULL: "mlx" */
    wilor_dtype dtype;
    wilor_compat compat;
    int heads, batch, full_path;
} side_options;

typedef struct side {
    wilor_model *model;
    wilor_session *session;
} side;

/* Fails the test when it cannot. */
side side_open(const side_options *o);
wilor_model *side_open_model(const side_options *o);
wilor_session *side_open_session(const wilor_model *m, const side_options *o);
void side_close(side *s);
const wilor_hands *side_run(const side *s, const float *rgb, int n);

/* The crops of tests/golden/data/NAME/stages.npz, RGB. */
float *side_crops(const char *name);

/* Results under the references' names. */
void side_list(const wilor_hands *h, const char *names[SIDE_PARTS],
               const float *values[SIDE_PARTS], size_t counts[SIDE_PARTS]);
/* Against tensors "PREFIX" + name of a file, from hand `first` on. */
void side_check(const char *what, const wilor_index *ref, const char *prefix,
                const wilor_hands *h, int first, const tolerances *t);
/* Two results. */
void side_compare(const char *what, const wilor_hands *got, const wilor_hands *want,
                  const tolerances *t);

/* Another camera for both, before the sessions are opened: points fall on more than the corner. */
void side_move_cameras(const wilor_model *cpu, const wilor_model *mlx, float by);
/* Hands of an mlx session's last run that were computed twice. */
int side_wide_of(const side *s);

#endif
