/* The ring of shared memory: its layout, readers beside a writer at full speed, writers that died, names that are
 * taken. The argument is examples/shm_reader's program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_wrap.h"
#include "live_record.h"
#include "live_shm.h"
#include "made_event.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *g_reader;
static char g_name[64];

static uint32_t get_word(const char *ring, size_t at) {
    return atomic_load((const _Atomic uint32_t *)(const void *)(ring + at));
}

static uint64_t get_long(const char *ring, size_t at) {
    return atomic_load((const _Atomic uint64_t *)(const void *)(ring + at));
}

static const char *map_ring(void) {
    int fd = shm_open(g_name, O_RDONLY, 0);
    assert_true(fd >= 0);
    void *map = mmap(NULL, WILOR_CLI_SHM_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    close(fd);
    return map;
}

static size_t slot_at(uint64_t index) { return 64 + (size_t)(index % 8) * 65536; }

static void test_layout(void **state) {
    static made_event m;
    static uint8_t expected[65536];
    wilor_cli_shm *shm = NULL;
    wilor_error err;
    (void)state;
    made_event_fill(&m, 1);
    assert_int_equal(wilor_cli_shm_open(&shm, g_name, &err), WILOR_OK);
    const char *ring = map_ring();
    assert_memory_equal(ring, "WLR1\1\0\100\0\10\0\0\0\0\0\1\0", 16);
    assert_true(get_long(ring, 16) == 0 && get_word(ring, 24) == 1);
    assert_int_equal(get_word(ring, 28), getpid());
    for (uint64_t i = 0; i < 20; i++) {
        m.event.seq = 100 + i;
        size_t size = wilor_cli_record_write(expected, sizeof expected, &m.event, NULL);
        wilor_wrap_fail(-1, 0);
        wilor_cli_shm_send(shm, &m.event);
        assert_int_equal(wilor_wrap_calls(), 0);
        assert_int_equal(get_long(ring, 16), i + 1);
        assert_int_equal(get_long(ring, slot_at(i)), 2 * (i + 1));
        assert_int_equal(get_word(ring, slot_at(i) + 8), size);
        assert_memory_equal(ring + slot_at(i) + 16, expected, size);
    }
    assert_int_equal(wilor_cli_shm_shortened(shm), 0);
    wilor_cli_shm_close(&shm);
    assert_int_equal(get_word(ring, 24), 0);
    assert_true(shm_open(g_name, O_RDONLY, 0) < 0);
    munmap((void *)(uintptr_t)ring, WILOR_CLI_SHM_SIZE);
    wilor_cli_shm_close(&shm);
}

/* A slot holds 64 KB: first the vertices go, then the last hands. */
static void test_shortened(void **state) {
    enum { MANY = 60 };

    static made_event m;
    static wilor_cli_live_hand many[MANY];

    static const struct {
        int n, hands;
        unsigned include;
        bool vertices;
    } cases[] = {
        {5, 5, ~0u, true}, {6, 6, ~0u, false}, {MANY, 35, ~0u, false}, {MANY, MANY, 0, false}};

    wilor_cli_shm *shm = NULL;
    wilor_cli_record r;
    wilor_error err;
    (void)state;
    made_event_fill(&m, 1);
    for (int i = 0; i < MANY; i++)
        many[i] = m.hands[i % 3];
    m.event.hands = many;
    assert_int_equal(wilor_cli_shm_open(&shm, g_name + 1, &err),
                     WILOR_OK); /* without a slash */
    const char *ring = map_ring();
    for (uint64_t i = 0; i < 4; i++) {
        m.event.n = cases[i].n;
        m.event.include = cases[i].include;
        wilor_cli_shm_send(shm, &m.event);
        assert_int_equal(wilor_cli_record_read(&r, ring + slot_at(i) + 16,
                                               get_word(ring, slot_at(i) + 8), &err),
                         WILOR_OK);
        assert_int_equal(r.hands, cases[i].hands);
        assert_int_equal((r.flags & WILOR_CLI_RECORD_VERTICES) != 0, cases[i].vertices);
    }
    assert_int_equal(wilor_cli_shm_shortened(shm), 2);
    wilor_cli_shm_close(&shm);
    munmap((void *)(uintptr_t)ring, WILOR_CLI_SHM_SIZE);
}

/* ---------------------------------------------------------------- both at once */

typedef struct reading {
    const char *ring;
    _Atomic bool stop;
    _Atomic uint64_t whole, torn, mixed;
} reading;

/* As examples/shm_reader.c, but of the oldest slot, which is the next to be written, so that both meet in it. Of a
 * whole record every keypoint is the event's number. */
static void *read_on(void *user) {
    static uint32_t copy[16384];
    reading *now = user;
    while (!atomic_load(&now->stop)) {
        uint64_t count = get_long(now->ring, 16);
        if (count < WILOR_CLI_SHM_SLOTS)
            continue;
        size_t at = slot_at(count);
        uint64_t before = get_long(now->ring, at);
        uint32_t size = get_word(now->ring, at + 8);
        for (size_t i = 0; i < size / 4 && i < 16380; i++)
            copy[i] = get_word(now->ring, at + 16 + 4 * i);
        if (before % 2 || get_long(now->ring, at) != before) {
            now->torn++;
            continue;
        }
        now->whole++;
        wilor_cli_record r;
        wilor_cli_record_hand h;
        wilor_error err;
        if (wilor_cli_record_read(&r, copy, size, &err) != WILOR_OK || r.hands != 1) {
            now->mixed++;
            continue;
        }
        wilor_cli_record_get_hand(&r, 0, &h);
        for (size_t i = 0; i < 63; i++)
            if (wilor_cli_record_float(h.kp3d, i) != (float)(r.seq & 0xFFFFF)) {
                now->mixed++;
                break;
            }
    }
    return NULL;
}

static void test_torn(void **state) {
    static made_event m;
    reading now = {0};
    pthread_t thread;
    wilor_cli_shm *shm = NULL;
    wilor_error err;
    struct timespec t;
    (void)state;
    made_event_fill(&m, 1);
    m.event.n = 1;
    m.event.include = 0;
    assert_int_equal(wilor_cli_shm_open(&shm, g_name, &err), WILOR_OK);
    now.ring = map_ring();
    assert_int_equal(pthread_create(&thread, NULL, read_on, &now), 0);
    clock_gettime(CLOCK_MONOTONIC, &t);
    time_t until = t.tv_sec + 2;
    for (uint64_t seq = 0; t.tv_sec < until || !now.whole || !now.torn; seq++) {
        m.event.seq = seq;
        for (size_t i = 0; i < 63; i++)
            m.hands[0].keypoints_3d[i / 3][i % 3] = (float)(seq & 0xFFFFF);
        wilor_cli_shm_send(shm, &m.event);
        if (seq % 64 == 0)
            clock_gettime(CLOCK_MONOTONIC, &t);
    }
    atomic_store(&now.stop, true);
    pthread_join(thread, NULL);
    print_message("%llu whole, %llu torn and known as such, %llu mixed\n",
                  (unsigned long long)now.whole, (unsigned long long)now.torn,
                  (unsigned long long)now.mixed);
    assert_true(now.whole > 0 && now.torn > 0);
    assert_int_equal(now.mixed, 0);
    wilor_cli_shm_close(&shm);
    munmap((void *)(uintptr_t)now.ring, WILOR_CLI_SHM_SIZE);
}

/* ---------------------------------------------------------------- who may write */

/* A process that opens the ring, sends `count` events and dies without a word. */
static void die_writing(const made_event *m, int count) {
    pid_t pid = fork();
    if (pid == 0) {
        wilor_cli_shm *shm = NULL;
        if (wilor_cli_shm_open(&shm, g_name, NULL) != WILOR_OK)
            _exit(1);
        for (int i = 0; i < count; i++)
            wilor_cli_shm_send(shm, &m->event);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void test_dead_writer(void **state) {
    static made_event m;
    wilor_cli_shm *shm = NULL;
    wilor_error err;
    (void)state;
    made_event_fill(&m, 1);
    m.event.n = 1;
    die_writing(&m, 5);
    const char *ring = map_ring();
    assert_int_equal(get_long(ring, 16), 5);
    assert_int_equal(get_word(ring, 24), 1); /* it could not say so */
    /* As if it had died in slot 5. */
    int fd = shm_open(g_name, O_RDWR, 0);
    uint64_t odd = 11;
    assert_int_equal(pwrite(fd, &odd, 8, (off_t)slot_at(5)), 8);
    close(fd);
    assert_int_equal(wilor_cli_shm_open(&shm, g_name, &err), WILOR_OK);
    assert_int_equal(get_word(ring, 28), getpid());
    assert_int_equal(get_long(ring, 16), 5);
    assert_int_equal(get_long(ring, slot_at(5)), 0);
    wilor_cli_shm_send(shm, &m.event);
    assert_int_equal(get_long(ring, 16), 6);
    assert_int_equal(get_long(ring, slot_at(5)), 12);
    wilor_cli_shm_close(&shm);
    munmap((void *)(uintptr_t)ring, WILOR_CLI_SHM_SIZE);
}

static void test_taken(void **state) {
    wilor_cli_shm *first = NULL, *second = NULL;
    wilor_error err;
    (void)state;
    assert_int_equal(wilor_cli_shm_open(&first, g_name, &err), WILOR_OK);
    assert_int_equal(wilor_cli_shm_open(&second, g_name, &err), WILOR_ERR_IO);
    assert_null(second);
    assert_non_null(strstr(err.text, "another process writes there"));
    const char *ring = map_ring();
    assert_int_equal(get_word(ring, 24), 1); /* the first goes on */
    munmap((void *)(uintptr_t)ring, WILOR_CLI_SHM_SIZE);
    wilor_cli_shm_close(&first);
    /* Somebody else's memory stays as it is. */
    int fd = shm_open(g_name, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "mine", 4), 4);
    assert_int_equal(wilor_cli_shm_open(&first, g_name, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "of something else"));
    assert_int_equal(ftruncate(fd, WILOR_CLI_SHM_SIZE), 0);
    assert_int_equal(wilor_cli_shm_open(&first, g_name, &err), WILOR_ERR_IO);
    assert_non_null(strstr(err.text, "of something else"));
    char bytes[4];
    assert_int_equal(pread(fd, bytes, 4, 0), 4);
    assert_memory_equal(bytes, "mine", 4);
    /* It died between making the memory and writing the header. */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, WILOR_CLI_SHM_SIZE), 0);
    close(fd);
    assert_int_equal(wilor_cli_shm_open(&first, g_name, &err), WILOR_OK);
    wilor_cli_shm_close(&first);
}

static void test_names(void **state) {
    static const char *const bad[] = {"", "/", "a/b", "//a", ".", "..", "a/"};
    char longer[300];
    wilor_cli_shm *shm = NULL;
    wilor_error err;
    (void)state;
    memset(longer, 'a', sizeof longer - 1);
    longer[299] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(wilor_cli_shm_open(&shm, bad[i], &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_cli_shm_open(&shm, longer, &err), WILOR_ERR_ARG);
    assert_null(shm);
}

/* ---------------------------------------------------------------- the example */

static void test_example(void **state) {
    enum { EVENTS = 30 };

    static made_event m;
    char command[512], line[256];
    wilor_cli_shm *shm = NULL;
    wilor_error err;
    (void)state;
    if (!g_reader)
        skip();
    made_event_fill(&m, 1);
    assert_int_equal(wilor_cli_shm_open(&shm, g_name, &err), WILOR_OK);
    snprintf(command, sizeof command, "'%s' '%s'", g_reader, g_name);
    FILE *from = popen(command, "r");
    assert_non_null(from);
    unsigned long long last = 0, seq;
    int lines = 0;
    struct pollfd said = {.fd = fileno(from), .events = POLLIN};
    m.event.seq = 0;
    do { /* until it is there, and has something to say */
        m.event.seq++;
        wilor_cli_shm_send(shm, &m.event);
    } while (poll(&said, 1, 20) == 0);
    for (int i = 0; i < EVENTS; i++) {
        m.event.seq++;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        wilor_cli_shm_send(shm, &m.event);
    }
    wilor_cli_shm_close(&shm);
    while (fgets(line, sizeof line, from)) {
        float place[3];
        unsigned hands;
        assert_int_equal(sscanf(line, "%llu: %u hands, %f %f %f m", &seq, &hands, &place[0],
                                &place[1], &place[2]),
                         5);
        assert_true(seq > last && hands == 3);
        for (int i = 0; i < 3; i++) /* six digits */
            assert_true(place[i] - m.hands[0].cam_t[i] < 1e-5f &&
                        m.hands[0].cam_t[i] - place[i] < 1e-5f);
        last = seq;
        lines++;
    }
    assert_int_equal(pclose(from), 0);
    assert_true(lines >= 2);
    assert_int_equal(last, m.event.seq);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout), cmocka_unit_test(test_shortened),
        cmocka_unit_test(test_torn),   cmocka_unit_test(test_dead_writer),
        cmocka_unit_test(test_taken),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_example)};
    g_reader = argc > 1 ? argv[1] : NULL;
    snprintf(g_name, sizeof g_name, "/wilor-test-%ld", (long)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    shm_unlink(g_name);
    return failed;
}
