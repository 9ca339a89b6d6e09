/* Weights of fewer bits, run: the results are, bit for bit, those of a file with the same weights
 * written out as float32, on every tier and any number of threads; and how far each type is from
 * float32. Usage: test_stored c|avx2|avx512|neon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convert_file.h"
#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANO WILOR_TEST_DATA "/hand-cc0.npz"
#define SCRATCH WILOR_TEST_SCRATCH "/stored"

enum { HANDS = 2, CROP = 256 * 256 * 3, MOST_VERTICES = 1024 };

static wilor_isa g_isa;
static float g_crops[HANDS * CROP];

typedef struct result {
    float verts[HANDS * MOST_VERTICES * 3];
    float betas[HANDS * 10];
    uint64_t bytes, parameters, matrices; /* matrices: bytes of the blocks' as float32 */
    int vertices;
} result;

static void convert(const char *from, const char *to, wilor_weights_layout layout,
                    wilor_weights_dtype dtype, int group) {
    wilor_error err;
    if (convert_file(from, to, layout, dtype, group, &err) != WILOR_OK)
        fail_msg("%s", err.text);
}

static void run(const char *weights, int threads, int batch, result *out) {
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
    wilor_session_options_init(&so, sizeof so);
    so.threads = threads;
    so.batch = batch;
    if (wilor_model_open(&model, &o, &err) != WILOR_OK ||
        wilor_session_create(&session, model, &so, &err) != WILOR_OK ||
        wilor_run(session, g_crops, HANDS, &h, &err) != WILOR_OK)
        fail_msg("%s: %s", weights, err.text);
    wilor_model_get_info(model, &info, sizeof info);
    memset(out, 0, sizeof *out);
    out->bytes = info.packed_bytes;
    out->parameters = info.parameters;
    out->matrices = 8 * (uint64_t)info.depth * (uint64_t)info.width *
                    (2 * (uint64_t)info.width + (uint64_t)info.mlp);
    out->vertices = h->vertices;
    assert_true(h->vertices <= MOST_VERTICES);
    memcpy(out->verts, h->vertices_3d, sizeof(float) * HANDS * 3 * (size_t)h->vertices);
    memcpy(out->betas, h->betas, sizeof out->betas);
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

typedef struct form {
    const char *name;
    wilor_weights_layout layout;
    wilor_weights_dtype dtype;
    int group;
    double bytes; /* the blocks' matrices against float32's, at most */
} form;

static const form g_forms[] = {
    {"f16", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F16, 0, 0.52},
    {"bf16", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_BF16, 0, 0.52},
    {"int8", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT8, 0, 0.30},
    {"int4", WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_INT4, 32, 0.20},
    {"bf16 mlx", WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_BF16, 0, 0.52},
    {"int8 mlx", WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT8, 32, 0.35},
    {"int4 mlx", WILOR_WEIGHTS_MLX, WILOR_WEIGHTS_INT4, 32, 0.25},
};

enum { FORMS = sizeof g_forms / sizeof g_forms[0] };

static result g_plain, g_stored, g_again, g_written;

static void test_forms(void **state) {
    (void)state;
    char stored[512], written[512];
    run("random:hd80", 1, 1, &g_plain);
    for (size_t i = 0; i < FORMS; i++) {
        const form *f = &g_forms[i];
        snprintf(stored, sizeof stored, SCRATCH "-%s-%zu", wilor_isa_name(g_isa), i);
        snprintf(written, sizeof written, SCRATCH "-%s-%zu-f32", wilor_isa_name(g_isa), i);
        convert("random:hd80", stored, f->layout, f->dtype, f->group);
        convert(stored, written, f->layout, WILOR_WEIGHTS_F32, 0);
        run(stored, 1, 1, &g_stored);
        run(written, 1, 1, &g_written);
        assert_memory_equal(g_stored.verts, g_written.verts, sizeof g_stored.verts);
        assert_memory_equal(g_stored.betas, g_written.betas, sizeof g_stored.betas);
        run(stored, 3, 2, &g_again);
        assert_memory_equal(g_stored.verts, g_again.verts, sizeof g_stored.verts);
        assert_int_equal(g_stored.parameters, g_plain.parameters);
        printf("%s %s: %.0f %% of float32's memory, vertices %.2g mm from it\n",
               wilor_isa_name(g_isa), f->name,
               100 * (double)g_stored.bytes / (double)g_plain.bytes,
               1e3 *
                   farthest(&g_stored, f->layout == WILOR_WEIGHTS_MLX ? &g_written : &g_plain));
        double saved = (double)g_plain.bytes - (double)g_stored.bytes;
        assert_true(saved > (1 - f->bytes) * (double)g_plain.matrices);
        remove(stored);
        remove(written);
    }
}

/* Put an infinity into a matrix of a file of half floats. */
static void spoil(const char *path) {
    static char head[1 << 16];
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    size_t n = fread(head, 1, sizeof head - 1, f);
    uint64_t length = 0, offset = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)(uint8_t)head[i] << (8 * i);
    assert_true(length + 8 < n);
    const char *at = strstr(head + 8, "\"backbone.blocks.0.mlp.fc1.weight\"");
    at = at ? strstr(at, "\"data_offsets\":[") : NULL;
    assert_non_null(at);
    offset = strtoull(at + strlen("\"data_offsets\":["), NULL, 10);
    assert_int_equal(fseek(f, (long)(8 + length + offset + 10), SEEK_SET), 0);
    assert_int_equal(fwrite("\x00\x7c", 1, 2, f), 2);
    assert_int_equal(fclose(f), 0);
}

/* It is kept as what it is: the hand comes out as failed, not as one that looks sound. */
static void test_infinity(void **state) {
    (void)state;
    char stored[512];
    snprintf(stored, sizeof stored, SCRATCH "-%s-infinity", wilor_isa_name(g_isa));
    convert("random:hd80", stored, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F16, 0);
    spoil(stored);
    run(stored, 1, 1, &g_stored);
    assert_false(isfinite(g_stored.betas[0]));
    remove(stored);
}

int main(int argc, char **argv) {
    static const wilor_isa all[] = {WILOR_ISA_C, WILOR_ISA_AVX2, WILOR_ISA_AVX512,
                                    WILOR_ISA_NEON, WILOR_ISA_ACCELERATE};
    const char *name = argc > 1 ? argv[1] : "c";
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(name, wilor_isa_name(all[i])) == 0)
            g_isa = all[i];
    if (!wilor_kernels_get(g_isa) || g_isa == WILOR_ISA_AUTO) {
        printf("skipped: this machine has no tier %s\n", name);
        return 77;
    }
    for (size_t i = 0; i < HANDS * CROP; i++)
        g_crops[i] = (float)((i * 2654435761u >> 16) & 255);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_infinity)};
    return cmocka_run_group_tests_name("stored", tests, NULL, NULL);
}
