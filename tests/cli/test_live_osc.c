/* OSC as it arrives at a socket. With two files' names as arguments: they get the packets of a known event, each
 * behind its length, and the event, for check_osc.py, which decodes them with a parser of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_wrap.h"
#include "live_json.h"
#include "live_osc.h"
#include "made_event.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536 };

static const char *g_file, *g_event;

/* A socket at a port of its own of 127.0.0.1; the target's text into `target`. */
static int listen_here(char target[32]) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 5};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    snprintf(target, 32, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

/* Whether the packet is a bundle whose elements fill it and are padded. */
static void check_bundle(const unsigned char *bytes, size_t size) {
    assert_true(size > 16 && size <= 1400 && size % 4 == 0);
    assert_memory_equal(bytes, "#bundle\0\0\0\0\0\0\0\0\1", 16);
    size_t at = 16;
    while (at < size) {
        uint32_t n = (uint32_t)bytes[at] << 24 | (uint32_t)bytes[at + 1] << 16 |
                     (uint32_t)bytes[at + 2] << 8 | bytes[at + 3];
        assert_true(n > 0 && n % 4 == 0 && n <= size - at - 4);
        assert_int_equal(bytes[at + 4], '/');
        at += 4 + n;
    }
    assert_int_equal(at, size);
}

static void write_event(const wilor_cli_live_event *e) {
    wilor_cli_buffer b = {0};
    FILE *to = fopen(g_event, "wb");
    assert_non_null(to);
    assert_int_equal(wilor_cli_live_json(&b, e, NULL), WILOR_OK);
    assert_int_equal(fwrite(b.text, 1, b.used, to), b.used);
    assert_int_equal(fclose(to), 0);
    wilor_cli_buffer_free(&b);
}

static void test_packets(void **state) {
    static made_event m;
    static unsigned char bytes[MOST];
    wilor_cli_osc *osc = NULL;
    wilor_error err;
    char target[32];
    (void)state;
    made_event_fill(&m, 1);
    int fd = listen_here(target);
    assert_int_equal(wilor_cli_osc_open(&osc, target, &err), WILOR_OK);
    wilor_wrap_fail(-1, 0);
    wilor_cli_osc_send(osc, &m.event);
    assert_int_equal(wilor_wrap_calls(), 0);
    assert_int_equal(wilor_cli_osc_lost(osc), 0);
    FILE *to = g_file ? fopen(g_file, "wb") : NULL;
    assert_true(!g_file || to);
    int packets = 0;
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, packets ? MSG_DONTWAIT : 0)) > 0) {
        uint32_t size = (uint32_t)n;
        check_bundle(bytes, (size_t)n);
        packets++;
        if (to && (fwrite(&size, 4, 1, to) != 1 || fwrite(bytes, 1, size, to) != size))
            fail_msg("cannot write %s", g_file);
    }
    assert_true(packets >= 2);
    if (to) {
        assert_int_equal(fclose(to), 0);
        write_event(&m.event);
    }
    wilor_cli_osc_close(&osc);
    assert_null(osc);
    wilor_cli_osc_close(&osc);
    close(fd);
}

/* Nobody there: no wait, no end. */
static void test_nobody(void **state) {
    static made_event m;
    wilor_cli_osc *osc = NULL;
    wilor_error err;
    char target[32];
    (void)state;
    made_event_fill(&m, 1);
    close(listen_here(target));
    assert_int_equal(wilor_cli_osc_open(&osc, target, &err), WILOR_OK);
    for (int i = 0; i < 100; i++)
        wilor_cli_osc_send(osc, &m.event);
    assert_true(wilor_cli_osc_lost(osc) > 0);
    wilor_cli_osc_close(&osc);
}

static void test_targets(void **state) {
    static const char *const bad[] = {"",           "host",    ":1",      "host:", "host:0",
                                      "host:65536", "host:x",  "::1:9",   "[::1]", "[]:9",
                                      "host:9 ",    "host:-1", "host:1e3"};
    static const char *const good[] = {"127.0.0.1:39539", "localhost:9", "[::1]:9"};
    wilor_cli_osc *osc = NULL;
    wilor_error err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(wilor_cli_osc_open(&osc, bad[i], &err), WILOR_ERR_ARG);
        assert_null(osc);
        assert_non_null(strstr(err.text, "HOST:PORT"));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        wilor_status st = wilor_cli_osc_open(&osc, good[i], &err);
        if (i < 2) /* a machine may lack IPv6 */
            assert_int_equal(st, WILOR_OK);
        wilor_cli_osc_close(&osc);
    }
    assert_int_equal(wilor_cli_osc_open(&osc, "no.such.host.invalid:9", &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "'no.such.host.invalid:9'"));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_packets),
                                       cmocka_unit_test(test_nobody),
                                       cmocka_unit_test(test_targets)};
    g_file = argc > 2 ? argv[1] : NULL;
    g_event = argc > 2 ? argv[2] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
