/* The live engine on a tiny network: order, dropping, waiting, asks, clocks, the end; nothing allocated once it
 * runs. Worth a run with -DWILOR_SANITIZE=thread. */
#include "live_engine.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

enum { WIDTH = 96, HEIGHT = 80, MOST = 2048 };

static wilor_model *g_model;
static wilor_detector *g_detector;

/* ---------------------------------------------------------------- counted memory */

#if WILOR_COUNT_ALLOCATIONS
static atomic_long g_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size) {
    atomic_fetch_add(&g_allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    atomic_fetch_add(&g_allocations, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
    atomic_fetch_add(&g_allocations, 1);
    return __real_realloc(p, size);
}

static long allocations(void) { return atomic_load(&g_allocations); }
#endif

/* ---------------------------------------------------------------- a listener */

typedef struct heard {
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool blocked; /* the worker waits in the sink until this is over */
    int count, failed, asked, refused;

    struct {
        uint64_t seq, frame, giver;
        int64_t t_capture;
        unsigned dropped;
        int n, lost, width;
        uint32_t first_id, id[3];
        wilor_cli_clock clock;
    } event[MOST];
} heard;

static void listen_start(heard *h) {
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->more, NULL);
}

static void hear(void *user, const wilor_cli_live_event *e, const wilor_picture *picture,
                 uint64_t giver) {
    heard *h = user;
    pthread_mutex_lock(&h->lock);
    if (h->count < MOST) {
        h->event[h->count].seq = e->seq;
        h->event[h->count].frame = e->frame;
        h->event[h->count].giver = giver;
        h->event[h->count].t_capture = e->t_capture;
        h->event[h->count].dropped = e->dropped;
        h->event[h->count].n = e->n;
        h->event[h->count].lost = e->lost_count;
        h->event[h->count].width = picture->width;
        h->event[h->count].first_id = e->n ? e->hands[0].id : 0;
        h->event[h->count].clock = e->clock;
        for (int i = 0; i < e->n && i < 3; i++)
            h->event[h->count].id[i] = e->hands[i].id;
    }
    h->count++;
    pthread_cond_broadcast(&h->more);
    while (h->blocked)
        pthread_cond_wait(&h->more, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void hear_answer(void *user, const wilor_cli_live_event *e, const wilor_picture *picture,
                        uint64_t giver) {
    heard *h = user;
    (void)giver;
    pthread_mutex_lock(&h->lock);
    h->asked += e != NULL;
    h->refused += e == NULL;
    if (e) {
        h->event[0].n = e->n;
        h->event[0].width = picture->width;
        h->event[0].first_id = e->n ? e->hands[0].id : 0;
    }
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
}

static void hear_failure(void *user, const wilor_cli_frame *frame, const wilor_error *err) {
    heard *h = user;
    (void)frame;
    (void)err;
    pthread_mutex_lock(&h->lock);
    h->failed++;
    pthread_mutex_unlock(&h->lock);
}

static void wait_for(heard *h, const int *counter, int least) {
    pthread_mutex_lock(&h->lock);
    while (*counter < least)
        pthread_cond_wait(&h->more, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void block(heard *h, bool blocked) {
    pthread_mutex_lock(&h->lock);
    h->blocked = blocked;
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
}

/* ---------------------------------------------------------------- an engine and its frames */

static uint8_t g_pixels[2 * WIDTH * HEIGHT * 3];

static wilor_cli_frame frame_at(uint64_t number, int width) {
    return (wilor_cli_frame){
        .picture = {g_pixels, width, HEIGHT, (ptrdiff_t)width * 3, WILOR_RGB8},
        .t_capture = (int64_t)(number + 1) * 33333333,
        .clock = WILOR_CLI_MEDIA,
        .number = number};
}

static wilor_cli_engine *open_engine(heard *h, bool keep_all, bool track) {
    wilor_cli_engine_options o = {.stream = "test",
                                  .detector = g_detector,
                                  .model = g_model,
                                  .facts = {.name = "wilor"},
                                  .threads = 1,
                                  .max_hands = 3,
                                  .keep_all = keep_all,
                                  .track = track,
                                  .failed = hear_failure,
                                  .failed_user = h};
    wilor_error err;
    wilor_cli_engine *e = NULL;
    wilor_detect_options_init(&o.detect, sizeof o.detect);
    wilor_predict_options_init(&o.predict, sizeof o.predict);
    assert_int_equal(wilor_cli_engine_create(&e, &o, &err), WILOR_OK);
    assert_int_equal(wilor_cli_engine_sink(e, hear, h, &err), WILOR_OK);
    return e;
}

static void give(wilor_cli_engine *e, const wilor_cli_frame *frame) {
    wilor_error err;
    assert_int_equal(wilor_cli_engine_give(e, frame, &err), WILOR_OK);
}

/* Frame 0, of that giver, keeps the worker in the sink until block(h, false). */
static void occupy(wilor_cli_engine *e, heard *h, uint64_t giver) {
    wilor_cli_frame f = frame_at(0, WIDTH);
    f.giver = giver;
    block(h, true);
    give(e, &f);
    wait_for(h, &h->count, 1);
}

/* An engine that is held up by a frame, behind which 1 … newest were given, all by one giver. */
static wilor_cli_engine *open_busy(heard *h, uint64_t giver, uint64_t newest) {
    listen_start(h);
    wilor_cli_engine *e = open_engine(h, false, true);
    occupy(e, h, giver);
    for (uint64_t i = 1; i <= newest; i++) {
        wilor_cli_frame f = frame_at(i, WIDTH);
        f.giver = giver;
        give(e, &f);
    }
    return e;
}

/* Whether a hand of event a lives on in event b. */
static bool lives_on(const heard *h, int a, int b) {
    for (int i = 0; i < h->event[a].n; i++)
        for (int k = 0; k < h->event[b].n; k++)
            if (h->event[a].id[i] == h->event[b].id[k])
                return true;
    return false;
}

static void test_keeps_all(void **state) {
    heard h;
    (void)state;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, true, true);
    for (uint64_t i = 0; i < 12; i++) {
        wilor_cli_frame f = frame_at(i, WIDTH);
        give(e, &f);
    }
    wilor_cli_engine_free(&e);
    assert_null(e);
    assert_int_equal(h.count, 12);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(h.event[i].seq, i + 1);
        assert_int_equal(h.event[i].frame, i);
        assert_int_equal(h.event[i].dropped, 0);
    }
    assert_true(h.event[0].n > 0);
}

static void test_newest_wins(void **state) {
    heard h;
    wilor_cli_engine_counts c;
    (void)state;
    wilor_cli_engine *e = open_busy(&h, 0, 6);
    block(&h, false);
    wait_for(&h, &h.count, 2);
    wilor_cli_engine_count(e, &c);
    wilor_cli_engine_free(&e);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.event[1].frame, 6);
    assert_int_equal(h.event[1].dropped, 5);
    assert_int_equal(h.event[1].seq, 2);
    assert_int_equal(c.dropped, 5);
    assert_int_equal(c.frames, 2);
}

static void *unblock_later(void *user) {
    usleep(100000); /* enough for an end that would not wait */
    block(user, false);
    return NULL;
}

/* The source ends while the worker is busy with its first frame: the newest one is still looked at. */
static void test_settles(void **state) {
    heard h;
    pthread_t thread;
    (void)state;
    wilor_cli_engine *e = open_busy(&h, 0, 6);
    assert_int_equal(pthread_create(&thread, NULL, unblock_later, &h), 0);
    wilor_cli_engine_settle(e);
    wilor_cli_engine_free(&e);
    pthread_join(thread, NULL);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.event[1].frame, 6);
}

typedef struct other_client {
    wilor_cli_engine *engine;
    atomic_bool given;
} other_client;

static void *give_as_other(void *user) {
    other_client *o = user;
    wilor_cli_frame f = frame_at(8, WIDTH);
    wilor_error err;
    f.giver = 8;
    if (wilor_cli_engine_give(o->engine, &f, &err) == WILOR_OK)
        atomic_store(&o->given, true);
    return NULL;
}

/* A client's frame overtakes that client's own waiting one, and waits for another client's. */
static void test_clients_have_turns(void **state) {
    heard h;
    pthread_t thread;
    (void)state;
    wilor_cli_engine *e = open_busy(&h, 7, 2);
    other_client other = {.engine = e};
    assert_int_equal(pthread_create(&thread, NULL, give_as_other, &other), 0);
    usleep(100000); /* enough for a frame that would not wait */
    bool waits = !atomic_load(&other.given);
    block(&h, false);
    wait_for(&h, &h.count, waits ? 3 : 2);
    pthread_join(thread, NULL);
    wilor_cli_engine_free(&e);
    assert_true(waits);
    assert_true(atomic_load(&other.given));
    assert_int_equal(h.event[1].giver, 7);
    assert_int_equal(h.event[1].frame, 2);
    assert_int_equal(h.event[1].dropped, 1);
    assert_int_equal(h.event[2].giver, 8);
    assert_int_equal(h.event[2].dropped, 0);
}

/* A source does not wait for clients. */
static void test_source_overtakes(void **state) {
    heard h;
    (void)state;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, false, true);
    occupy(e, &h, 0);
    wilor_cli_frame f = frame_at(0, WIDTH);
    f.giver = 7;
    give(e, &f);
    f.giver = 0;
    f.number = 5;
    give(e, &f); /* would wait forever */
    block(&h, false);
    wait_for(&h, &h.count, 2);
    wilor_cli_engine_free(&e);
    assert_int_equal(h.event[1].giver, 0);
    assert_int_equal(h.event[1].frame, 5);
    assert_int_equal(h.event[1].dropped, 1);
}

/* Another giver, another clock, a time before the last one, another size: hands are new. The same time again is
 * the same stream. */
static void test_begins_anew(void **state) {
    heard h;
    (void)state;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, true, true);
    wilor_cli_frame f[7];
    for (uint64_t i = 0; i < 7; i++)
        f[i] = frame_at(i, WIDTH);
    f[1].t_capture = f[0].t_capture;
    f[3].giver = 7;
    f[4].giver = 7;
    f[4].t_capture = 1;
    f[5].giver = 7;
    f[5].clock = WILOR_CLI_CLIENT;
    f[6] = f[5];
    f[6].t_capture += 1;
    f[6].picture.width = WIDTH / 2;
    for (int i = 0; i < 7; i++)
        give(e, &f[i]);
    wilor_cli_engine_free(&e);
    assert_int_equal(h.failed, 0);
    assert_int_equal(h.count, 7);
    assert_true(h.event[0].first_id != 0);
    assert_true(lives_on(&h, 0, 1));
    assert_true(lives_on(&h, 1, 2));
    for (int i = 3; i < 7; i++) {
        assert_true(h.event[i].lost > 0);
        assert_false(lives_on(&h, i - 1, i));
    }
    assert_int_equal(h.event[6].width, WIDTH / 2);
    assert_int_equal(h.event[3].giver, 7);
}

static void test_without_tracking(void **state) {
    heard h;
    (void)state;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, true, false);
    for (uint64_t i = 0; i < 3; i++) {
        wilor_cli_frame f = frame_at(i, WIDTH);
        give(e, &f);
    }
    wilor_cli_engine_free(&e);
    assert_int_equal(h.count, 3);
    for (int i = 1; i < 3; i++)
        assert_true(h.event[i].first_id > h.event[i - 1].first_id);
}

static wilor_status ask(wilor_cli_engine *e, heard *h, const wilor_box *boxes, int n) {
    wilor_picture picture = {g_pixels, WIDTH, HEIGHT, WIDTH * 3, WILOR_RGB8};
    wilor_detect_options d;
    wilor_predict_options p;
    wilor_error err;
    wilor_detect_options_init(&d, sizeof d);
    wilor_predict_options_init(&p, sizeof p);
    return wilor_cli_engine_ask(e, &picture, boxes, n, &d, &p, 0, hear_answer, h, &err);
}

static void test_asks(void **state) {
    heard stream, answers;
    wilor_box box = {{10, 10, 60, 70}, 1.0f, WILOR_LEFT},
              none = {{10, 10, 10, 10}, 1, WILOR_LEFT};
    (void)state;
    listen_start(&stream);
    listen_start(&answers);
    wilor_cli_engine *e = open_engine(&stream, false, true);
    assert_int_equal(ask(e, &answers, &box, 1), WILOR_OK);
    wait_for(&answers, &answers.asked, 1);
    assert_int_equal(answers.event[0].n, 1);
    assert_int_equal(answers.event[0].first_id, 1);
    assert_int_equal(ask(e, &answers, NULL, 0), WILOR_OK);
    wait_for(&answers, &answers.asked, 2);
    assert_true(answers.event[0].n > 1);
    assert_int_equal(ask(e, &answers, &none, 1), WILOR_OK);
    wait_for(&answers, &answers.refused, 1);
    assert_int_equal(ask(e, &answers, &box, 4), WILOR_ERR_LIMIT);
    /* While the worker is busy they wait, up to a limit; the end answers them all. */
    occupy(e, &stream, 0);
    int waiting = 0;
    while (ask(e, &answers, &box, 1) == WILOR_OK)
        waiting++;
    assert_int_equal(waiting, 8);
    pthread_mutex_lock(&answers.lock);
    int before = answers.asked + answers.refused;
    pthread_mutex_unlock(&answers.lock);
    block(&stream, false);
    wilor_cli_engine_free(&e);
    assert_int_equal(answers.asked + answers.refused, before + waiting);
}

static void test_refuses(void **state) {
    heard h;
    wilor_error err;
    (void)state;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, false, true);
    wilor_cli_frame f = frame_at(0, WIDTH);
    f.picture.data = NULL;
    assert_int_equal(wilor_cli_engine_give(e, &f, &err), WILOR_ERR_ARG);
    f = frame_at(0, WIDTH);
    f.picture.height = 0;
    assert_int_equal(wilor_cli_engine_give(e, &f, &err), WILOR_ERR_ARG);
    f = frame_at(0, WIDTH);
    f.picture.width = 1 << 20;
    assert_int_equal(wilor_cli_engine_give(e, &f, &err), WILOR_ERR_ARG);
    wilor_cli_engine_free(&e);
    assert_int_equal(h.count, 0);
}

/* All threads counted. */
static void test_allocates_nothing(void **state) {
    (void)state;
#if WILOR_COUNT_ALLOCATIONS
    enum { FIRST = 10, FRAMES = 1000 };

    static heard h;
    long before = 0;
    listen_start(&h);
    wilor_cli_engine *e = open_engine(&h, true, true);
    for (uint64_t i = 0; i < FIRST + FRAMES; i++) {
        wilor_cli_frame f = frame_at(i, WIDTH);
        if (i == FIRST) {
            wait_for(&h, &h.count, FIRST);
            before = allocations();
        }
        give(e, &f);
    }
    wait_for(&h, &h.count, FIRST + FRAMES);
    assert_int_equal(allocations() - before, 0);
    wilor_cli_engine_free(&e);
#else
    skip();
#endif
}

static int open_parts(const char *weights) {
    wilor_model_options mo;
    wilor_detector_options dopt;
    wilor_error err;
    wilor_model_options_init(&mo, sizeof mo);
    wilor_detector_options_init(&dopt, sizeof dopt);
    mo.weights = weights;
    mo.mano = WILOR_TEST_DATA "/hand-cc0.npz";
    mo.threads = dopt.threads = 1;
    dopt.detector = "random:micro";
    for (size_t i = 0; i < sizeof g_pixels; i++)
        g_pixels[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    if (wilor_model_open(&g_model, &mo, &err) == WILOR_OK &&
        wilor_detector_open(&g_detector, &dopt, &err) == WILOR_OK)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_all),        cmocka_unit_test(test_newest_wins),
        cmocka_unit_test(test_settles),          cmocka_unit_test(test_clients_have_turns),
        cmocka_unit_test(test_source_overtakes), cmocka_unit_test(test_begins_anew),
        cmocka_unit_test(test_without_tracking), cmocka_unit_test(test_asks),
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_allocates_nothing)};
    if (open_parts("random:demo") != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    wilor_detector_free(&g_detector);
    wilor_model_free(&g_model);
    return failed;
}
