/* The server's readers of strangers' texts: headers, base64, queries, frames. */
#include "server_guard.h"
#include "server_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In place of part api, which would bring the whole network. */
void wilor_predict_options_init(wilor_predict_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

void wilor_detect_options_init(wilor_detect_options *o, size_t size) {
    memset(o, 0, size);
    o->struct_size = size;
}

static void test_host(void **state) {
    (void)state;

    static const struct {
        const char *own, *host;
        bool allowed;
    } cases[] = {{"127.0.0.1", "127.0.0.1", true},
                 {"127.0.0.1", "127.0.0.1:8017", true},
                 {"127.0.0.1", "localhost:1", true},
                 {"127.0.0.1", "LocalHost", true},
                 {"127.0.0.1", "[::1]:8017", true},
                 {"127.0.0.1", "127.255.0.1", true},
                 {"127.0.0.1", "", false},
                 {"127.0.0.1", ":80", false},
                 {"127.0.0.1", "evil.example", false},
                 {"127.0.0.1", "localhost.evil.example", false},
                 {"127.0.0.1", "127.0.0.1.evil.example", false},
                 {"127.0.0.1", "127.0.0.1:", false},
                 {"127.0.0.1", "127.0.0.1:123456", false},
                 {"127.0.0.1", "127.0.0.1:8a", false},
                 {"127.0.0.1", "127.0.0.1,evil", false},
                 {"127.0.0.1", "evil@127.0.0.1", false},
                 {"127.0.0.1", "0x7f.1", false},
                 {"127.0.0.1", "2130706433", false},
                 {"127.0.0.1", "10.0.0.1", false},
                 {"127.0.0.1", "[::2]", false},
                 {"127.0.0.1", "[::1", false},
                 {"127.0.0.1", "0.0.0.0", false},
                 {"hands.example", "hands.example:443", true},
                 {"hands.example", "HANDS.example", true},
                 {"hands.example", "hands.example.evil", false},
                 {"10.0.0.7", "10.0.0.7", true},
                 {"10.0.0.7", "10.0.0.8", false},
                 {"::", "[fe80::1]:80", true},
                 {"0.0.0.0", "10.0.0.8:80", true},
                 {"0.0.0.0", "hands.example", false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_server_guard g = {.host = cases[i].own};
        if (wilor_server_host_allowed(&g, cases[i].host) != cases[i].allowed)
            fail_msg("--host %s, Host: %s", cases[i].own, cases[i].host);
    }
    assert_false(wilor_server_host_allowed(&(wilor_server_guard){.host = "::1"}, NULL));
}

static void test_origin(void **state) {
    (void)state;

    static const struct {
        const char *origin, *host;
        bool tls, allowed;
    } cases[] = {{NULL, "127.0.0.1:8017", false, true},
                 {"", "127.0.0.1:8017", false, true},
                 {"http://127.0.0.1:8017", "127.0.0.1:8017", false, true},
                 {"http://127.0.0.1:80", "127.0.0.1", false, true},
                 {"http://127.0.0.1", "127.0.0.1:80", false, true},
                 {"http://127.0.0.1:443", "127.0.0.1", false, false},
                 {"https://127.0.0.1", "127.0.0.1:443", true, true},
                 {"https://127.0.0.1:8017", "127.0.0.1:8017", false, false},
                 {"http://127.0.0.1:8017", "127.0.0.1:8017", true, false},
                 {"http://127.0.0.1:8018", "127.0.0.1:8017", false, false},
                 {"http://127.0.0.1:80170", "127.0.0.1:8017", false, false},
                 {"http://localhost:8017", "127.0.0.1:8017", false, false},
                 {"http://evil.example", "127.0.0.1:8017", false, false},
                 {"null", "127.0.0.1:8017", false, false},
                 {"file://", "127.0.0.1:8017", false, false},
                 {"HTTPS://APP.example", "127.0.0.1:8017", false, true},
                 {"https://app.example:444", "127.0.0.1:8017", false, false},
                 {"https://app.example.evil", "127.0.0.1:8017", false, false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wilor_server_guard g = {
            .host = "127.0.0.1", .cors = "https://app.example", .tls = cases[i].tls};
        if (wilor_server_origin_allowed(&g, cases[i].origin, cases[i].host) != cases[i].allowed)
            fail_msg("Origin: %s, Host: %s", cases[i].origin, cases[i].host);
    }
    assert_true(wilor_server_is_origin("https://app.example"));
    assert_true(wilor_server_is_origin("http://localhost:3000"));
    assert_false(wilor_server_is_origin("*"));
    assert_false(wilor_server_is_origin("https://app.example/"));
    assert_false(wilor_server_is_origin("https://app example"));
    assert_false(wilor_server_is_origin("https://a\r\nX: y"));
    assert_false(wilor_server_is_origin("app.example"));
}

static void test_token(void **state) {
    (void)state;
    const wilor_server_guard g = {.host = "::1", .token = "0123456789abcdef"};
    wilor_server_offer offer;
    assert_true(wilor_server_authorized(&g, "Bearer 0123456789abcdef", NULL));
    assert_true(wilor_server_authorized(&g, "bearer   0123456789abcdef", NULL));
    assert_false(wilor_server_authorized(&g, "Bearer 0123456789abcde", NULL));
    assert_false(wilor_server_authorized(&g, "Bearer 0123456789abcdefg", NULL));
    assert_false(wilor_server_authorized(&g, "Bearer 0123456789abcdeF", NULL));
    assert_false(wilor_server_authorized(&g, "Bearer ", NULL));
    assert_false(wilor_server_authorized(&g, "0123456789abcdef", NULL));
    assert_false(wilor_server_authorized(&g, NULL, NULL));
    wilor_server_offer_read(&offer, "wilor.v1.json, bearer.0123456789abcdef");
    assert_string_equal(offer.format, "wilor.v1.json");
    assert_true(wilor_server_authorized(&g, NULL, &offer));
    /* A header that is there counts, and nothing else. */
    assert_false(wilor_server_authorized(&g, "Bearer wrong", &offer));
    wilor_server_offer_read(&offer, "bearer.0123456789abcde,wilor.v1.bin,wilor.v1.json");
    assert_string_equal(offer.format, "wilor.v1.bin");
    assert_false(wilor_server_authorized(&g, NULL, &offer));
    wilor_server_offer_read(&offer, NULL);
    assert_false(offer.any);
    wilor_server_offer_read(&offer, "wilor.v1.jsonx");
    assert_true(offer.any && !offer.format);
    assert_true(wilor_server_token_sound("0123456789abcdef", 16));
    assert_false(wilor_server_token_sound("0123456789abcde", 15));
    assert_false(wilor_server_token_sound("0123456789abcde=", 16));
    assert_false(wilor_server_token_sound("0123456789abc ef", 16));
    assert_true(wilor_server_authorized(&(wilor_server_guard){.host = "::1"}, NULL, NULL));
}

static void test_length(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "1,1", "0x10", "1e3", "1000000000000000000"};
    uint64_t n;
    assert_true(wilor_server_length_read("32000000", &n));
    assert_int_equal(n, 32000000);
    assert_true(wilor_server_length_read("0", &n));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (wilor_server_length_read(wrong[i], &n))
            fail_msg("Content-Length: %s", wrong[i]);
}

/* RFC 4648, section 10, and what is none. */
static void test_base64(void **state) {
    (void)state;
    static const char *const good[][2] = {{"", ""},
                                          {"Zg==", "f"},
                                          {"Zm8=", "fo"},
                                          {"Zm9v", "foo"},
                                          {"Zm9vYg==", "foob"},
                                          {"Zm9vYmE=", "fooba"},
                                          {"Zm9vYmFy", "foobar"},
                                          {" Zm9v\r\nYmFy\n", "foobar"},
                                          {"+/+/", "\xfb\xff\xbf"}};
    static const char *const bad[] = {"Z",    "Zg",       "Zg=",   "Zg===", "=",    "====",
                                      "Z===", "Zg==Zg==", "Zm9v=", "Zm9*",  "-_-_", "Zg=a"};
    uint8_t out[32];
    size_t n;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(wilor_server_base64_read(good[i][0], strlen(good[i][0]), out, &n));
        assert_int_equal(n, strlen(good[i][1]));
        assert_memory_equal(out, good[i][1], n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (wilor_server_base64_read(bad[i], strlen(bad[i]), out, &n))
            fail_msg("%s is taken for base64", bad[i]);
}

/* What a request says takes the place of what the command line says of the same. */
static void test_words(void **state) {
    (void)state;
    char *argv[] = {"cam",   "--conf",    "0.4",   "--focal=500", "--port",
                    "1",     "--rescale", "2.25",  "--mirrored",  "--compat",
                    "wilor", "--",        "--iou", "0.9",         NULL};
    wilor_server_words own = {.count = 0};
    wilor_server_ask ask = {.return_faces = false};
    wilor_error err;
    assert_int_equal(wilor_server_words_keep(&own, 14, argv, &err), WILOR_OK);
    assert_int_equal(own.count, 5);
    assert_int_equal(wilor_server_words_add(&ask.words, "fov=90", &err), WILOR_OK);
    assert_int_equal(wilor_server_words_add(&ask.words, "max_hands=3", &err), WILOR_OK);
    assert_int_equal(wilor_server_words_add(&ask.words, "mirrored=false", &err), WILOR_OK);
    assert_int_equal(wilor_server_ask_finish(&ask, &own, &err), WILOR_OK);
    assert_true(ask.options.detect.conf > 0.39 && ask.options.detect.conf < 0.41);
    assert_int_equal(ask.options.detect.max_hands, 3);
    assert_true(ask.options.fov > 1.57 && ask.options.predict.focal == 0);
    assert_true(ask.options.predict.rescale == 2.25);
    assert_int_equal(ask.options.compat, WILOR_COMPAT_WILOR);
    assert_true(ask.options.detect.iou == 0);
    assert_int_equal(wilor_server_words_add(&ask.words, "betas=/etc/passwd", &err),
                     WILOR_ERR_ARG);
    assert_int_equal(wilor_server_words_add(&ask.words, "compat=mlx", &err), WILOR_ERR_ARG);
    wilor_server_ask_free(&ask);
    wilor_server_words_free(&own);
}

/* mirrored=false in a request switches the server's --mirrored off. */
static void test_flag_off(void **state) {
    (void)state;
    char *argv[] = {"--mirrored", NULL};
    wilor_server_words own = {.count = 0};
    wilor_server_ask ask = {.return_faces = false};
    wilor_error err;
    assert_int_equal(wilor_server_words_keep(&own, 1, argv, &err), WILOR_OK);
    assert_int_equal(wilor_server_words_add(&ask.words, "mirrored=0", &err), WILOR_OK);
    assert_int_equal(wilor_server_ask_finish(&ask, &own, &err), WILOR_OK);
    assert_int_equal(ask.options.predict.mirrored, 0);
    wilor_server_ask_free(&ask);
    assert_int_equal(wilor_server_ask_finish(&ask, &own, &err), WILOR_OK);
    assert_int_equal(ask.options.predict.mirrored, 1);
    wilor_server_ask_free(&ask);
    wilor_server_words_free(&own);
}

static void test_frame(void **state) {
    (void)state;
    const uint8_t message[] = {1, 2, 0, 0, 0, 0, 0, 0x7f, 'x', 'y'};
    wilor_server_frame f;
    assert_int_equal(wilor_server_frame_read(&f, message, 10, NULL), WILOR_OK);
    assert_true(f.time == 0x7f00000000000201);
    assert_ptr_equal(f.image, message + 8);
    assert_int_equal(f.size, 2);
    assert_int_equal(wilor_server_frame_read(&f, message, 8, NULL), WILOR_ERR_FORMAT);
    assert_int_equal(wilor_server_frame_read(&f, message, 0, NULL), WILOR_ERR_FORMAT);
    const uint8_t late[] = {0, 0, 0, 0, 0, 0, 0, 0x80, 'x'};
    assert_int_equal(wilor_server_frame_read(&f, late, 9, NULL), WILOR_ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),     cmocka_unit_test(test_origin),
        cmocka_unit_test(test_token),    cmocka_unit_test(test_length),
        cmocka_unit_test(test_base64),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_flag_off), cmocka_unit_test(test_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
