/* The pickle machine: values of each operation, damage at every byte, and what may be called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap.h"
#include "pickle.h"
#include "pickle_call.h"
#include <stdlib.h>
#include <string.h>

typedef struct loaded {
    wilor_pickle p;
    wilor_value *top;
    uint8_t *block;
    wilor_error err;
    size_t used;
} loaded;

static wilor_status load(loaded *l, const char *bytes, size_t size) {
    *l = (loaded){.p = {.where = "'x.pkl'"}};
    l->block = malloc(size ? size : 1);
    assert_non_null(l->block);
    memcpy(l->block, bytes, size);
    return wilor_pickle_load(&l->p, l->block, size, &l->used, &l->top, &l->err);
}

static void unload(loaded *l) {
    wilor_pickle_free(&l->p);
    free(l->block);
}

#define LOAD(l, text) load(l, text, sizeof(text) - 1)

static void need(loaded *l, wilor_status st) {
    if (st != WILOR_OK)
        fail_msg("%s", l->err.text);
}

static void numbers(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        int64_t value;
    } cases[] = {

#define CASE(text, value) {text, sizeof(text) - 1, value}
        CASE("K\xff.", 255),
        CASE("M\x01\x02.", 513),
        CASE("J\xff\xff\xff\xff.", -1),
        CASE("I-77\n.", -77),
        CASE("L123L\n.", 123),
        CASE("\x80\x02\x8a\x00.", 0),
        CASE("\x8a\x01\x80.", -128),
        CASE("\x8a\x02\xff\x00.", 255),
        CASE("\x8b\x01\x00\x00\x00\x05.", 5),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loaded l;
        need(&l, load(&l, cases[i].bytes, cases[i].size));
        assert_int_equal(l.top->kind, WILOR_VALUE_INT);
        assert_int_equal(l.top->as.integer, cases[i].value);
        assert_int_equal(l.used, cases[i].size);
        unload(&l);
    }
    loaded l;
    need(&l, LOAD(&l, "G\x3f\xf8\0\0\0\0\0\0."));
    assert_true(l.top->kind == WILOR_VALUE_FLOAT && l.top->as.real == 1.5);
    unload(&l);
    need(&l, LOAD(&l, "\x8a\x09\0\0\0\0\0\0\0\0\x01."));
    assert_int_equal(l.top->kind, WILOR_VALUE_OTHER);
    unload(&l);
    need(&l, LOAD(&l, "I01\n."));
    assert_true(l.top->kind == WILOR_VALUE_BOOL && l.top->as.integer == 1);
    unload(&l);
}

static void texts(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
        wilor_value_kind kind;
    } cases[] = {

#define CASE(bytes, text, kind) {bytes, sizeof(bytes) - 1, text, kind}
        CASE("U\x03"
             "abc.",
             "abc", WILOR_VALUE_BYTES),
        CASE("T\x02\0\0\0ab.", "ab", WILOR_VALUE_BYTES),
        CASE("X\x02\0\0\0\xc3\xa9.", "\xc3\xa9", WILOR_VALUE_TEXT),
        CASE("\x8c\x01z.", "z", WILOR_VALUE_TEXT),
        CASE("\x8e\x01\0\0\0\0\0\0\0q.", "q", WILOR_VALUE_BYTES),
        CASE("S'a\\x41\\n\\'\\\\'\n.", "aA\n'\\", WILOR_VALUE_BYTES),
        CASE("Va\\u00e9\\U0001f600\xe9\n.", "a\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9",
             WILOR_VALUE_TEXT),
        /* bytes as Python 3 writes them for protocol 2 */
        CASE("c_codecs\nencode\nX\x03\0\0\0a\xc3\xbfX\x06\0\0\0latin1\x86R.", "a\xff",
             WILOR_VALUE_BYTES),
        CASE("c__builtin__\nbytes\n)R.", "", WILOR_VALUE_BYTES),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loaded l;
        need(&l, load(&l, cases[i].bytes, cases[i].size));
        if (l.top->kind != cases[i].kind || !wilor_value_is_text(l.top, cases[i].text))
            fail_msg("text case %zu", i);
        unload(&l);
    }
}

static void containers(void **state) {
    loaded l;
    int64_t n;
    (void)state;
    /* {'a': (1, 2), 'b': [3]} with SETITEMS, then 'b' again with SETITEM */
    need(&l, LOAD(&l, "\x80\x02}q\x00(U\x01"
                      "aK\x01K\x02\x86U\x01"
                      "b](K\x03"
                      "euU\x01"
                      "bK\x04s."));
    assert_int_equal(l.top->kind, WILOR_VALUE_DICT);
    wilor_value *a = wilor_value_get(l.top, "a"), *b = wilor_value_get(l.top, "b");
    assert_true(wilor_value_item_int(a, 1, &n) && n == 2);
    assert_false(wilor_value_item_int(a, 2, &n));
    assert_true(b && b->kind == WILOR_VALUE_INT &&
                b->as.integer == 4); /* the last one counts */
    assert_null(wilor_value_get(l.top, "c"));
    unload(&l);
    /* memo: the same list twice; it may hold itself */
    need(&l, LOAD(&l, "]q\x05h\x05"
                      "ah\x05\x86."));
    assert_ptr_equal(wilor_value_item(l.top, 0), wilor_value_item(l.top, 1));
    assert_ptr_equal(wilor_value_item(wilor_value_item(l.top, 0), 0),
                     wilor_value_item(l.top, 0));
    unload(&l);
}

static void objects(void **state) {
    loaded l;
    (void)state;
    /* a dict subclass with an item and a state */
    need(&l, LOAD(&l, "\x80\x02"
                      "cmine\nThing\n)\x81U\x01kK\x07s}U\x01sK\x08sb."));
    assert_int_equal(l.top->kind, WILOR_VALUE_OBJECT);
    assert_true(wilor_value_is_global(l.top->as.object.maker, "mine", "Thing"));
    assert_int_equal(wilor_value_get(l.top, "k")->as.integer, 7);
    assert_int_equal(wilor_value_get(l.top, "s")->as.integer, 8);
    unload(&l);
    /* Python 2's OrderedDict of pairs, with attributes that are no items */
    need(&l, LOAD(&l, "ccollections\nOrderedDict\n](]U\x01xaK\x05"
                      "ae\x85R}U\x01yNsb."));
    assert_int_equal(l.top->kind, WILOR_VALUE_DICT);
    assert_int_equal(wilor_value_get(l.top, "x")->as.integer, 5);
    assert_null(wilor_value_get(l.top, "y"));
    unload(&l);
    /* protocol 0's way to make an object */
    need(&l, LOAD(&l, "ccopy_reg\n_reconstructor\n(cm\nC\nc__builtin__\nobject\nNtR."));
    assert_true(wilor_value_is_global(l.top->as.object.maker, "m", "C"));
    unload(&l);
}

/* PyTorch's persistent ids: storages are kept, and old files' ("module", class, …) is the
 * class. */
static void persistent_ids(void **state) {
    static const char bytes[] = "(U\x07storagectorch\nFloatStorage\nU\x01"
                                "0U\x03"
                                "cpuK\x03tQ"
                                "(U\x06modulecmine\nNet\nU\x01"
                                "fU\x06sourcetQ)\x81\x86.";
    wilor_pickle p = {.where = "'x'", .has_persistent = true};
    wilor_value *top;
    size_t used;
    (void)state;
    assert_int_equal(
        wilor_pickle_load(&p, (const uint8_t *)bytes, sizeof bytes - 1, &used, &top, NULL),
        WILOR_OK);
    assert_int_equal(p.persistent_count, 1);
    assert_ptr_equal(wilor_value_item(top, 0), p.persistent[0]);
    assert_true(
        wilor_value_is_global(wilor_value_item(top, 1)->as.object.maker, "mine", "Net"));
    wilor_pickle_free(&p);
}

static void refused(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {

#define CASE(text, words) {text, sizeof(text) - 1, words}
        CASE("cos\nsystem\n.", "os.system"),
        CASE("cmine\nrun\n)R.", "mine.run"), /* may be named, not called */
        CASE("cmine\nThing\n)\x81)R.", "no name"),
        CASE("(cmine\nrun\no.", "mine.run"),
        CASE("(imine\nrun\n.", "mine.run"),
        CASE("\x8c\x08"
             "builtins\x8c\x04"
             "eval\x93.",
             "builtins.eval"),
        CASE("c__builtin__\n__import__\n.", "__import__"),
        CASE("ctorch\nload\n)R.", "torch.load"),
        CASE("cnumpy\nload\n)R.", "numpy.load"),
        CASE("\x82\x01.", "0x82"),
        CASE("K\x01Q.", "persistent"),
        CASE("N(b.", "empty"),
        CASE("(NJs.", "ends"),
        CASE("K\x01K\x02"
             "a.",
             "holds none"),
        CASE("}(K\x01u.", "without a value"),
        CASE("\x80\x06.", "protocol 6"),
        CASE("\x95\xff\0\0\0\0\0\0\0N.", "frame"),
        CASE("Np-1\n.", "memo"),
        CASE("S'a\n.", "quotes"),
        CASE("S'\\xg0'\n.", "escape"),
        CASE("S'\\'\n.", "escape"),
        CASE("V\\ud800\n.", "escape"),
        CASE("c_codecs\nencode\nX\x03\0\0\0\xe2\x82\xacX\x06\0\0\0latin1\x86R.", "Latin-1"),
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loaded l;
        wilor_status st = load(&l, cases[i].bytes, cases[i].size);
        if (st == WILOR_OK || !strstr(l.err.text, cases[i].words) ||
            !strstr(l.err.text, "'x.pkl'"))
            fail_msg("case %zu: expected '%s', got '%s'", i, cases[i].words,
                     st == WILOR_OK ? "no error" : l.err.text);
        unload(&l);
    }
}

static const char g_mixed[] = "\x80\x02}q\x00(U\x01"
                              "acnumpy.core.multiarray\n_reconstruct\nq\x01"
                              "cnumpy\nndarray\nK\x00\x85"
                              "U\x01"
                              "b\x87Rq\x02(K\x01K\x02\x85"
                              "cnumpy\ndtype\nU\x02"
                              "f4K\x00K\x01\x87R(K\x03U\x01<NNNJ"
                              "\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
                              "01234567tbVx\nS'y'\nu.";

static void cut_anywhere(void **state) {
    loaded l;
    (void)state;
    need(&l, LOAD(&l, g_mixed));
    unload(&l);
    for (size_t n = 0; n < sizeof g_mixed - 1; n++) {
        assert_int_equal(load(&l, g_mixed, n), WILOR_ERR_FORMAT);
        unload(&l);
    }
}

static void no_memory(void **state) {
    wilor_status st = WILOR_ERR_NOMEM;
    long n = 0;
    (void)state;
    for (; st != WILOR_OK; n++) {
        loaded l;
        wilor_heap_fail_at(n);
        st = LOAD(&l, g_mixed);
        wilor_heap_fail_at(-1);
        assert_true(st == WILOR_OK || st == WILOR_ERR_NOMEM);
        unload(&l);
    }
    assert_true(n > 3);
}

/* Text encoded to bytes over and over by three bytes of file each time is stopped. */
static void unfolding_bomb(void **state) {
    enum { TEXT = 100000, TIMES = 1000 };

    static const char head[] = "c_codecs\nencode\nq\x00X\x06\0\0\0latin1q\x01X\xa0\x86\x01\0";
    static const char again[] = "h\x00h\x02h\x01\x86R";
    size_t size = sizeof head - 1 + TEXT + 3 + TIMES * (sizeof again - 1) + 1,
           at = sizeof head - 1;
    char *bytes = malloc(size);
    loaded l;
    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, head, at);
    memset(bytes + at, 'a', TEXT);
    at += TEXT;
    memcpy(bytes + at,
           "q\x02"
           "0",
           3);
    at += 3;
    for (int i = 0; i < TIMES; i++, at += sizeof again - 1)
        memcpy(bytes + at, again, sizeof again - 1);
    bytes[at] = '.';
    assert_int_equal(load(&l, bytes, size), WILOR_ERR_LIMIT);
    unload(&l);
    free(bytes);
}

static void rights(void **state) {
    static const struct {
        const char *path;
        wilor_pickle_right right;
    } cases[] = {{"collections.OrderedDict", WILOR_PICKLE_CALLED},
                 {"torch.FloatStorage", WILOR_PICKLE_CALLED},
                 {"torch._utils._rebuild_tensor_v2", WILOR_PICKLE_CALLED},
                 {"torch.load", WILOR_PICKLE_NAMED},
                 {"torch.float16", WILOR_PICKLE_NAMED},
                 {"builtins.set", WILOR_PICKLE_CALLED},
                 {"builtins.exec", WILOR_PICKLE_REFUSED},
                 {"__builtin__.eval", WILOR_PICKLE_REFUSED},
                 {"os.system", WILOR_PICKLE_REFUSED},
                 {"posix.system", WILOR_PICKLE_REFUSED},
                 {"subprocess.Popen", WILOR_PICKLE_REFUSED},
                 {"functools.partial", WILOR_PICKLE_CALLED},
                 {"functools.reduce", WILOR_PICKLE_NAMED},
                 {"numpy.core.multiarray._reconstruct", WILOR_PICKLE_CALLED},
                 {"numpy.testing._private.utils.runstring", WILOR_PICKLE_NAMED},
                 {"my.Class", WILOR_PICKLE_NAMED}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (wilor_pickle_right_of(cases[i].path, strlen(cases[i].path)) != cases[i].right)
            fail_msg("the right of %s", cases[i].path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),        cmocka_unit_test(texts),
        cmocka_unit_test(containers),     cmocka_unit_test(objects),
        cmocka_unit_test(persistent_ids), cmocka_unit_test(refused),
        cmocka_unit_test(cut_anywhere),   cmocka_unit_test(no_memory),
        cmocka_unit_test(rights),         cmocka_unit_test(unfolding_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
