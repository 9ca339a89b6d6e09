/* Which files a run takes, from a cache that holds some of them; without a network. The files' contents do
 * not matter: nothing opens them here, but for a checkpoint's hand, which is then simply not kept. */
#include "default_files.h"
#include "hub_name.h"
#include "wilor/wilor_io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "commands.h"
#include "interrupt.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define ROOT WILOR_TEST_SCRATCH "/default_files"
#define MINI ROOT "/hub/models--warmshao--WiLoR-mini"
#define MLX ROOT "/hub/models--BasinShapers--wilor-mlx"
#define MINI_FILES MINI "/snapshots/" COMMIT "/pretrained_models/"
#define MLX_FILES MLX "/snapshots/" COMMIT "/"

static const char *const g_files[] = {MINI "/refs/main",
                                      MINI_FILES "wilor_final.ckpt",
                                      MINI_FILES "detector.pt",
                                      MINI_FILES "MANO_RIGHT.pkl",
                                      MINI_FILES "mano_mean_params.npz",
                                      MLX "/refs/main",
                                      MLX_FILES "wilor-mlx.safetensors",
                                      MLX_FILES "hand-detector.safetensors",
                                      ROOT "/wilor/mano.npz",
                                      ROOT "/here/w.ckpt",
                                      ROOT "/here/detector.pt",
                                      ROOT "/nano/nano.safetensors",
                                      ROOT "/nano/hand-detector-nano.safetensors"};

enum {
    MINI_REF,
    MINI_WEIGHTS,
    MINI_DETECTOR,
    MINI_MANO,
    MINI_MEAN,
    MLX_REF,
    MLX_WEIGHTS,
    MLX_DETECTOR,
    OWN_MANO,
    HERE_WEIGHTS,
    HERE_DETECTOR,
    NANO_WEIGHTS,
    NANO_DETECTOR,
    FILES
};

static void make(int i) {
    char path[1024];
    snprintf(path, sizeof path, "%s", g_files[i]);
    for (char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = 0;
        mkdir(path, 0777);
        *s = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(COMMIT, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* One case: the files that are there, as bits; what is asked; what should come out, as indices. */
typedef struct choice {
    const char *name, *weights, *detector, *mano;
    bool need_detector;
    unsigned there;
    int want_weights, want_detector, want_mano, want_mean; /* -1: none */
} choice;

#define BIT(i) (1u << (i))
#define MINI_BITS (BIT(MINI_REF) | BIT(MINI_WEIGHTS) | BIT(MINI_DETECTOR))
#define HAND_BITS (BIT(MINI_REF) | BIT(MINI_MANO) | BIT(MINI_MEAN))
#define MLX_BITS (BIT(MLX_REF) | BIT(MLX_WEIGHTS) | BIT(MLX_DETECTOR))
#define NANO_BITS (BIT(NANO_WEIGHTS) | BIT(NANO_DETECTOR))

static const choice g_choices[] = {
    {"mini is there", NULL, NULL, NULL, true, MINI_BITS, MINI_WEIGHTS, MINI_DETECTOR, -1, -1},
    {"both: mini", NULL, NULL, NULL, true, MINI_BITS | MLX_BITS | HAND_BITS, MINI_WEIGHTS,
     MINI_DETECTOR, -1, -1},
    {"no detector wanted", NULL, NULL, NULL, false, MINI_BITS, MINI_WEIGHTS, -1, -1, -1},
    {"mlx, MANO's own hand", NULL, NULL, NULL, true, MLX_BITS | HAND_BITS, MLX_WEIGHTS,
     MLX_DETECTOR, MINI_MANO, MINI_MEAN},
    {"mlx, the kept hand", NULL, NULL, NULL, true, MLX_BITS | BIT(OWN_MANO), MLX_WEIGHTS,
     MLX_DETECTOR, OWN_MANO, -1},
    {"mini has no detector: mlx", NULL, NULL, NULL, true,
     BIT(MINI_REF) | BIT(MINI_WEIGHTS) | MLX_BITS | BIT(OWN_MANO), MLX_WEIGHTS, MLX_DETECTOR,
     OWN_MANO, -1},
    {"mlx by name", "mlx", NULL, NULL, true, MINI_BITS | MLX_BITS | BIT(OWN_MANO), MLX_WEIGHTS,
     MLX_DETECTOR, OWN_MANO, -1},
    {"by repository", "BasinShapers/wilor-mlx", NULL, NULL, true, MLX_BITS | BIT(OWN_MANO),
     MLX_WEIGHTS, MLX_DETECTOR, OWN_MANO, -1},
    {"by file", "warmshao/WiLoR-mini:pretrained_models/wilor_final.ckpt", NULL, NULL, true,
     MINI_BITS, MINI_WEIGHTS, MINI_DETECTOR, -1, -1},
    {"a detector is given", NULL, ROOT "/here/detector.pt", NULL, true,
     BIT(MINI_REF) | BIT(MINI_WEIGHTS), MINI_WEIGHTS, HERE_DETECTOR, -1, -1},
    {"a hand is given", "mlx", NULL, ROOT "/wilor/mano.npz", false, MLX_BITS, MLX_WEIGHTS, -1,
     OWN_MANO, -1},
    {"a path, a detector beside it", ROOT "/here/w.ckpt", NULL, NULL, true,
     BIT(HERE_WEIGHTS) | BIT(HERE_DETECTOR) | MINI_BITS, HERE_WEIGHTS, HERE_DETECTOR, -1, -1},
    {"a path, a cached detector", ROOT "/here/w.ckpt", NULL, NULL, true,
     BIT(HERE_WEIGHTS) | MLX_BITS, HERE_WEIGHTS, MLX_DETECTOR, -1, -1},
    {"a path without either", ROOT "/here/w.ckpt", NULL, NULL, true, BIT(HERE_WEIGHTS), -2, -1,
     -1, -1},
    {"nothing", NULL, NULL, NULL, false, 0, -2, -1, -1, -1},
    {"nothing cached: nano", NULL, NULL, NULL, true, NANO_BITS, NANO_WEIGHTS, NANO_DETECTOR, -1,
     -1},
    {"nothing cached, no detector wanted", NULL, NULL, NULL, false, BIT(NANO_WEIGHTS),
     NANO_WEIGHTS, -1, -1, -1},
    {"nothing cached, a detector is given", NULL, ROOT "/here/detector.pt", NULL, true,
     NANO_BITS, NANO_WEIGHTS, HERE_DETECTOR, -1, -1},
    {"mini before nano", NULL, NULL, NULL, true, MINI_BITS | NANO_BITS, MINI_WEIGHTS,
     MINI_DETECTOR, -1, -1},
    {"mlx before nano", NULL, NULL, NULL, true, MLX_BITS | BIT(OWN_MANO) | NANO_BITS,
     MLX_WEIGHTS, MLX_DETECTOR, OWN_MANO, -1},
    {"mini without its detector: nano", NULL, NULL, NULL, true,
     BIT(MINI_REF) | BIT(MINI_WEIGHTS) | NANO_BITS, NANO_WEIGHTS, NANO_DETECTOR, -1, -1},
    {"nano without its detector", NULL, NULL, NULL, true, BIT(NANO_WEIGHTS), -2, -1, -1, -1},
    {"nano by name", "nano", NULL, NULL, true, MINI_BITS | NANO_BITS, NANO_WEIGHTS,
     NANO_DETECTOR, -1, -1},
    {"nano by name is not there", "nano", NULL, NULL, true, MINI_BITS, -2, -1, -1, -1},
    {"wilor by name", "wilor", NULL, NULL, true, MINI_BITS | NANO_BITS, MINI_WEIGHTS,
     MINI_DETECTOR, -1, -1},
    {"wilor by name, of the cached set", "wilor", NULL, NULL, true,
     MLX_BITS | BIT(OWN_MANO) | NANO_BITS, MLX_WEIGHTS, MLX_DETECTOR, OWN_MANO, -1},
    {"wilor by name is not nano", "wilor", NULL, NULL, true, NANO_BITS, -2, -1, -1, -1},
    {"nano's detector is not a path's", ROOT "/here/w.ckpt", NULL, NULL, true,
     BIT(HERE_WEIGHTS) | NANO_BITS, -2, -1, -1, -1},
    {"nano's detector is a path's when asked for", ROOT "/here/w.ckpt", "nano", NULL, true,
     BIT(HERE_WEIGHTS) | BIT(HERE_DETECTOR) | NANO_BITS, HERE_WEIGHTS, NANO_DETECTOR, -1, -1},
    {"nano's detector beside WiLoR's own", "mini", "nano", NULL, true, MINI_BITS | NANO_BITS,
     MINI_WEIGHTS, NANO_DETECTOR, -1, -1},
    {"nano's detector is not looked for where none is wanted", "mini", "nano", NULL, false,
     MINI_BITS, MINI_WEIGHTS, -1, -1, -1},
    {"mlx without a hand", "mlx", NULL, NULL, false, MLX_BITS, -2, -1, -1, -1},
};

static void check_path(const char *name, const char *got, int want) {
    if (want < 0 ? got != NULL : !got || strcmp(got, g_files[want]) != 0)
        fail_msg("%s: %s, not %s", name, got ? got : "none", want < 0 ? "none" : g_files[want]);
}

static void test_choices(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof g_choices / sizeof g_choices[0]; i++) {
        const choice *c = &g_choices[i];
        wilor_cli_wanted_files w = {.weights = c->weights,
                                    .detector = c->detector,
                                    .mano = c->mano,
                                    .need_detector = c->need_detector,
                                    .offline = true};
        wilor_cli_report report = {.quiet = true};
        wilor_cli_files f;
        wilor_error err;
        remove(ROOT "/wilor/pins.json");
        for (int k = 0; k < FILES; k++) {
            if (c->there >> k & 1)
                make(k);
            else
                remove(g_files[k]);
        }
        wilor_status st = wilor_cli_files_find(&f, &w, &report, &err);
        if (c->want_weights == -2) {
            assert_int_equal(st, WILOR_ERR_MISSING);
        } else {
            if (st != WILOR_OK)
                fail_msg("%s: %s", c->name, err.text);
            check_path(c->name, f.weights, c->want_weights);
        }
        check_path(c->name, f.detector, c->want_detector);
        check_path(c->name, f.mano, c->want_mano);
        check_path(c->name, f.mean, c->want_mean);
        if (f.nano != (c->want_weights == NANO_WEIGHTS))
            fail_msg("%s: whether it is nano", c->name);
        wilor_cli_files_free(&f);
    }
}

/* As if it were given; an option wins. */
static void test_environment(void **state) {
    (void)state;

    static const struct {
        const char *environment, *option;
        int want;
        bool found;
    } cases[] = {{ROOT "/here/w.ckpt", NULL, HERE_WEIGHTS, false},
                 {"nano", NULL, NANO_WEIGHTS, true},
                 {"wilor", NULL, MINI_WEIGHTS, true},
                 {"nano", "mini", MINI_WEIGHTS, true},
                 {"", NULL, MINI_WEIGHTS, true}};

    for (int k = 0; k < FILES; k++)
        make(k);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_cli_wanted_files w = {
            .weights = cases[i].option, .need_detector = true, .offline = true};
        wilor_cli_report report = {.quiet = true};
        wilor_cli_files f;
        wilor_error err;
        assert_int_equal(setenv("WILOR_WEIGHTS", cases[i].environment, 1), 0);
        assert_int_equal(wilor_cli_files_are_found(&w), cases[i].found);
        if (wilor_cli_files_find(&f, &w, &report, &err) != WILOR_OK)
            fail_msg("%s: %s", cases[i].environment, err.text);
        check_path(cases[i].environment, f.weights, cases[i].want);
        wilor_cli_files_free(&f);
    }
    unsetenv("WILOR_WEIGHTS");
}

static void test_nano_paths(void **state) {
    (void)state;
    char path[1024];
    wilor_error err;
    make(NANO_WEIGHTS);
    remove(g_files[NANO_DETECTOR]);
    assert_int_equal(wilor_nano_path(path, sizeof path, WILOR_NANO_WEIGHTS, &err), WILOR_OK);
    assert_string_equal(path, g_files[NANO_WEIGHTS]);
    assert_int_equal(wilor_nano_path(path, sizeof path, WILOR_NANO_DETECTOR, &err),
                     WILOR_ERR_MISSING);
    assert_string_equal(path, "");
    assert_non_null(strstr(err.text, "hand-detector-nano.safetensors"));
    assert_non_null(strstr(err.text, ROOT "/nano"));
    size_t exact = strlen(g_files[NANO_WEIGHTS]);
    assert_int_equal(wilor_nano_path(path, exact, WILOR_NANO_WEIGHTS, &err), WILOR_ERR_LIMIT);
    assert_string_equal(path, "");
    assert_int_equal(wilor_nano_path(path, exact + 1, WILOR_NANO_WEIGHTS, &err), WILOR_OK);
    assert_int_equal(wilor_nano_path(path, 0, WILOR_NANO_WEIGHTS, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_nano_path(NULL, 8, WILOR_NANO_WEIGHTS, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_nano_path(path, sizeof path, (wilor_nano_file)2, &err),
                     WILOR_ERR_ARG);
    /* Without the variable: beside this program and where it is installed, which the message names
     * where nothing is there. */
    unsetenv("WILOR_NANO_DIR");
    if (wilor_nano_path(path, sizeof path, WILOR_NANO_WEIGHTS, &err) == WILOR_ERR_MISSING)
        assert_non_null(strstr(err.text, "share/wilor/nano"));
    else
        assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(setenv("WILOR_NANO_DIR", ROOT "/nano", 1), 0);
}

static void test_words(void **state) {
    static const struct {
        const char *text;
        bool local;
    } words[] = {{"org/name", false},
                 {"org/name@v1", false},
                 {"org/name:a/b.ckpt", false},
                 {"datasets/a/b", false},
                 {"w", true},
                 {"a/b/c", true},
                 {"./org/name", true},
                 {"/org/name", true},
                 {"~/w", true},
                 {"org/w.ckpt", true},
                 {"org/w.safetensors", true},
                 {"random:tiny", true},
                 {"org/", true},
                 {"org/name@", true},
                 {"org/name:", true},
                 {"a.ckpt", true}};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (wilor_cli_is_local(words[i].text) != words[i].local)
            fail_msg("%s", words[i].text);
    wilor_cli_hub_name n;
    assert_true(wilor_cli_hub_name_parse(&n, "a/b@refs/pr/1:c/d@e"));
    assert_string_equal(n.repo, "a/b");
    assert_string_equal(n.revision, "refs/pr/1");
    assert_string_equal(n.file, "c/d@e");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_nano_paths), cmocka_unit_test(test_words)};
    if (setenv("HF_HOME", ROOT, 1) || setenv("XDG_CACHE_HOME", ROOT, 1) ||
        setenv("WILOR_NANO_DIR", ROOT "/nano", 1) || unsetenv("WILOR_WEIGHTS") ||
        unsetenv("HF_HUB_CACHE") || unsetenv("HUGGINGFACE_HUB_CACHE"))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
