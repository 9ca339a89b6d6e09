/* Every arithmetic of the blocks (wilor_dtype) that a tier has: the same bits with 1, 2 and 3 threads and
 * with one hand or two at a time, on plain weights and on 4-bit ones; and how far its vertices are from
 * float32's, held below what docs/accuracy.md says it costs. 4 bits multiplied as float32 give what the
 * converted file gives, bit for bit. Usage: test_dtypes c|avx2|avx512|amx|neon DTYPE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convert_file.h"
#include "dot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"
#define SCRATCH WILOR_TEST_SCRATCH "/dtypes"

enum { HANDS = 2, CROP = 256 * 256 * 3, MOST_VERTICES = 1024 };

static wilor_isa g_isa;
static wilor_dtype g_dtype;
static float g_crops[HANDS * CROP];

typedef struct result {
    float verts[HANDS * MOST_VERTICES * 3];
    float betas[HANDS * 10], cam[HANDS * 3];
    int vertices;
} result;

static result g_plain, g_first, g_again;

static void keep(result *out, int hand, const wilor_hands *h) {
    size_t v = (size_t)h->vertices * 3, n = (size_t)h->n, at = (size_t)hand;
    out->vertices = h->vertices;
    assert_true(h->vertices <= MOST_VERTICES);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(h->failed[i], 0);
    memcpy(out->verts + at * v, h->vertices_3d, n * v * sizeof(float));
    memcpy(out->betas + at * 10, h->betas, n * 10 * sizeof(float));
    memcpy(out->cam + at * 3, h->pred_cam, n * 3 * sizeof(float));
}

/* Both hands, `at_once` in a run. */
static void run(const char *weights, wilor_dtype dtype, int threads, int at_once, result *out) {
    wilor_error err;
    wilor_model *model = NULL;
    wilor_session *session = NULL;
    wilor_model_info info;
    wilor_model_options o;
    wilor_session_options so;
    const wilor_hands *h = NULL;
    wilor_model_options_init(&o, sizeof o);
    o.weights = weights;
    o.mano = MANO;
    o.max_isa = g_isa;
    o.threads = threads;
    o.dtype = dtype;
    wilor_session_options_init(&so, sizeof so);
    so.threads = threads;
    so.batch = at_once;
    memset(out, 0, sizeof *out);
    if (wilor_model_open(&model, &o, &err) != WILOR_OK ||
        wilor_session_create(&session, model, &so, &err) != WILOR_OK)
        fail_msg("%s: %s", weights, err.text);
    wilor_model_get_info(model, &info, sizeof info);
    assert_int_equal(info.dtype, dtype);
    for (int hand = 0; hand < HANDS; hand += at_once) {
        if (wilor_run(session, g_crops + (size_t)hand * CROP, at_once, &h, &err) != WILOR_OK)
            fail_msg("%s: %s", weights, err.text);
        keep(out, hand, h);
    }
    wilor_session_free(&session);
    wilor_model_free(&model);
}

static double farthest(const result *a, const result *b) {
    double most = 0;
    for (size_t i = 0; i < (size_t)a->vertices * HANDS; i++) {
        double d = 0;
        for (size_t k = 0; k < 3; k++)
            d += pow((double)a->verts[i * 3 + k] - b->verts[i * 3 + k], 2);
        most = fmax(most, sqrt(d));
    }
    return most;
}

/* Millimetres that an arithmetic may be from float32 on these small models of random weights: some three
 * times what was measured. */
static double allowed(wilor_dtype dtype) {
    switch (dtype) {
    case WILOR_DTYPE_F32X:
        return 3e-4;
    case WILOR_DTYPE_BF16:
        return 2;
    case WILOR_DTYPE_INT8:
        return 6;
    default:
        return 40;
    }
}

static void check_model(const char *name) {
    run(name, WILOR_DTYPE_F32, 1, 2, &g_plain);
    run(name, g_dtype, 1, 2, &g_first);
    for (int threads = 1; threads <= 3; threads++) {
        run(name, g_dtype, threads, 1, &g_again);
        assert_memory_equal(&g_first, &g_again, sizeof g_first);
    }
    run(name, g_dtype, 3, 2, &g_again);
    assert_memory_equal(&g_first, &g_again, sizeof g_first);
    double mm = 1e3 * farthest(&g_first, &g_plain);
    printf("%s %s on %s: %.3g mm from float32\n", wilor_dtype_name(g_dtype),
           wilor_isa_name(g_isa), name, mm);
    assert_true(mm > 0 && mm < allowed(g_dtype));
}

static void test_models(void **state) {
    (void)state;
    check_model("random:tiny");
    check_model("random:hd80");
}

static void write_int4(const char *path) {
    wilor_error err;
    if (convert_file("random:hd80", path, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32,
                     &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

/* Weights that stay in 4 bits, under this arithmetic. */
static void test_int4_file(void **state) {
    char path[512];
    (void)state;
    snprintf(path, sizeof path, SCRATCH "-%s-%s", wilor_isa_name(g_isa),
             wilor_dtype_name(g_dtype));
    write_int4(path);
    run(path, WILOR_DTYPE_F32, 1, 2, &g_plain);
    run(path, g_dtype, 1, 2, &g_first);
    run(path, g_dtype, 3, 1, &g_again);
    remove(path);
    assert_memory_equal(&g_first, &g_again, sizeof g_first);
    double mm = 1e3 * farthest(&g_first, &g_plain);
    printf("%s %s on 4-bit weights: %.3g mm from the same in float32\n",
           wilor_dtype_name(g_dtype), wilor_isa_name(g_isa), mm);
    assert_true(mm < allowed(g_dtype));
}

static bool is_here(void) {
    static const wilor_arith of[] = {[WILOR_DTYPE_F32X] = WILOR_ARITH_F32X,
                                     [WILOR_DTYPE_BF16] = WILOR_ARITH_BF16,
                                     [WILOR_DTYPE_INT8] = WILOR_ARITH_INT8,
                                     [WILOR_DTYPE_INT4] = WILOR_ARITH_F32};
    const wilor_kernels *t = g_isa == WILOR_ISA_AUTO ? NULL : wilor_kernels_get(g_isa);
    return t && wilor_dot_get(of[g_dtype], t);
}

int main(int argc, char **argv) {
    static const wilor_isa tiers[] = {WILOR_ISA_C,   WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                      WILOR_ISA_AMX, WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
    if (argc != 3) {
        fprintf(stderr, "usage: %s TIER DTYPE\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++)
        if (strcmp(argv[1], wilor_isa_name(tiers[i])) == 0)
            g_isa = tiers[i];
    g_dtype = WILOR_DTYPE_F32X;
    while (g_dtype < WILOR_DTYPE_INT4 && strcmp(argv[2], wilor_dtype_name(g_dtype)) != 0)
        g_dtype++;
    if (!is_here()) {
        printf("skipped: this machine has no %s on tier %s\n", argv[2], argv[1]);
        return 77;
    }
    for (size_t i = 0; i < HANDS * CROP; i++)
        g_crops[i] = (float)((i * 2654435761u >> 16) & 255);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models),
                                       cmocka_unit_test(test_int4_file)};
    return cmocka_run_group_tests_name("dtypes", tests, NULL, NULL);
}
