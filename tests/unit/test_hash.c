/* SHA-256 against the tests' own, which computes its constants, and against FIPS 180-4's
 * examples; fed in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash_sha256.h"
#include "sha256.h"
#include <stdlib.h>
#include <string.h>

static void examples(void **state) {
    static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    wilor_sha256 s;
    char hex[65];
    (void)state;
    wilor_sha256_begin(&s);
    wilor_sha256_end(&s, hex);
    assert_string_equal(hex,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    wilor_sha256_begin(&s);
    wilor_sha256_add(&s, two, sizeof two - 1);
    wilor_sha256_end(&s, hex);
    assert_string_equal(hex,
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void lengths_and_pieces(void **state) {
    uint8_t data[400];
    char want[65], hex[65];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof data; n++) {
        sha256_hex(data, n, want);
        for (size_t piece = 1; piece < 140; piece += piece < 70 ? 1 : 13) {
            wilor_sha256 s;
            wilor_sha256_begin(&s);
            for (size_t at = 0; at < n; at += piece)
                wilor_sha256_add(&s, data + at, n - at < piece ? n - at : piece);
            wilor_sha256_end(&s, hex);
            if (strcmp(hex, want) != 0)
                fail_msg("%zu bytes in pieces of %zu", n, piece);
        }
    }
}

/* The count of bits passes 2^32. */
static void long_data(void **state) {
    enum { MEGA = 1 << 20, TIMES = 520 };

    uint8_t *data = calloc(MEGA, 1);
    wilor_sha256 s;
    char hex[65];
    (void)state;
    assert_non_null(data);
    wilor_sha256_begin(&s);
    for (int i = 0; i < TIMES; i++)
        wilor_sha256_add(&s, data, MEGA);
    assert_true(s.bytes == (uint64_t)MEGA * TIMES);
    wilor_sha256_end(&s, hex);
    assert_string_equal(hex,
                        "abf51ad954b246009dfe5a50ecd582fd5b8f1b8b27f30393853c3ef721e7fa6e");
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples),
                                       cmocka_unit_test(lengths_and_pieces),
                                       cmocka_unit_test(long_data)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
