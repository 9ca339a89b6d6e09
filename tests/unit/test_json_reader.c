/* The strict JSON reader: what it accepts, what it refuses, and strings decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json_reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool accepts(const char *text, size_t length) {
    wilor_pool pool = {0};
    wilor_json j;
    char *copy = malloc(length ? length : 1); /* not terminated: reads past it are seen */
    assert_non_null(copy);
    memcpy(copy, text, length);
    wilor_json_init(&j, copy, length, &pool);
    bool good = wilor_json_skip(&j);
    good = wilor_json_finish(&j) && good;
    assert_int_equal(good, j.error == NULL);
    wilor_pool_free(&pool);
    free(copy);
    return good;
}

static const char *const g_good[] = {
    "{}",
    "[]",
    " [ ] ",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.5e-3",
    "12E+4",
    "\"\"",
    "{\"a\":1}",
    "{\"a\":{\"b\":[1,2,{\"c\":[]}]},\"d\":null}",
    "[[[]],[]]",
    "\"\\u00e9\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"é\"",
    "\t[1 ,\r\n2]",
};
static const char *const g_bad[] = {
    "",
    " ",
    "{",
    "[",
    "]",
    "{]",
    "[}",
    "[1,]",
    "[,1]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{\"a\":1 \"b\":2}",
    "[1 2]",
    "01",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "1e+",
    "nul",
    "truefalse",
    "NaN",
    "'a'",
    "\"",
    "\"\\",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\\u12\"",
    "\"\\ud83d\"",
    "\"\\ud83dx\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ude00\"",
    "\"a\nb\"",
    "[]]",
    "{} x",
    "// c\n[]",
    "\"\xff\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82\"",
};

static void values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof g_good / sizeof g_good[0]; i++)
        if (!accepts(g_good[i], strlen(g_good[i])))
            fail_msg("refused: %s", g_good[i]);
    for (size_t i = 0; i < sizeof g_bad / sizeof g_bad[0]; i++)
        if (accepts(g_bad[i], strlen(g_bad[i])))
            fail_msg("accepted: %s", g_bad[i]);
    assert_false(accepts("[]\0", 3));
}

static void depth(void **state) {
    char text[4 * WILOR_JSON_DEPTH];
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        size_t n = WILOR_JSON_DEPTH + (size_t)extra;
        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(accepts(text, 2 * n), !extra);
    }
    char *deep = malloc(2000000);
    assert_non_null(deep);
    memset(deep, '[', 1000000);
    memset(deep + 1000000, ']', 1000000);
    assert_false(accepts(deep, 2000000));
    free(deep);
}

static void strings(void **state) {
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_pool pool = {0};
        wilor_json j;
        const char *text;
        size_t length;
        wilor_json_init(&j, cases[i].json, strlen(cases[i].json), &pool);
        assert_true(wilor_json_string(&j, &text, &length));
        assert_string_equal(text, cases[i].text);
        assert_int_equal(length, strlen(text));
        assert_true(wilor_json_finish(&j));
        wilor_pool_free(&pool);
    }
}

static void sizes(void **state) {
    static const struct {
        const char *json;
        bool good;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {" 42", true, 42},
                 {"9223372036854775799", true, INT64_MAX - 8},
                 {"01", false, 0},
                 {"-1", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0},
                 {"", false, 0},
                 {"18446744073709551616", false, 0},
                 {"99999999999999999999999", false, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_pool pool = {0};
        wilor_json j;
        int64_t n;
        wilor_json_init(&j, cases[i].json, strlen(cases[i].json), &pool);
        if (wilor_json_size(&j, &n) != cases[i].good || (cases[i].good && n != cases[i].value))
            fail_msg("number %s", cases[i].json);
        wilor_pool_free(&pool);
    }
}

/* The loop of the header comment ends on damage, wherever the text is cut. */
static void walking_a_cut_text(void **state) {
    static const char text[] = "{\"a\":[1,2],\"bc\":[3],\"d\":[]}";
    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        wilor_pool pool = {0};
        wilor_json j;
        const char *key;
        size_t length, found = 0;
        int64_t value, sum = 0;
        wilor_json_init(&j, text, n < sizeof text - 1 ? n : sizeof text - 1, &pool);
        wilor_json_begin(&j, '{');
        while (wilor_json_next(&j, '}')) {
            if (!wilor_json_key(&j, &key, &length))
                break;
            wilor_json_begin(&j, '[');
            while (wilor_json_next(&j, ']'))
                sum += wilor_json_size(&j, &value) ? value : 0;
            found++;
        }
        bool good = wilor_json_finish(&j);
        assert_int_equal(good, n >= sizeof text - 1);
        if (good) {
            assert_int_equal(found, 3);
            assert_int_equal(sum, 6);
        }
        wilor_pool_free(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(depth),
        cmocka_unit_test(strings),
        cmocka_unit_test(sizes),
        cmocka_unit_test(walking_a_cut_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
