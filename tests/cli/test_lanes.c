/* Lanes: order, the window, stopping from either side, nothing lost. Worth a run with
 * -DWILOR_SANITIZE=thread. */
#include "lanes.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

enum { MOST = 4000 };

typedef struct work {
    size_t count, window;
    size_t slow;    /* every so many items one takes longer; 0: none */
    size_t fail_at; /* emit refuses this one; SIZE_MAX: none */
    size_t stop_at; /* stop() says so once this one was begun; SIZE_MAX: never */
    atomic_size_t begun, dropped;
    atomic_int inside; /* of emit */
    atomic_size_t emitted;
    bool wrong;
    atomic_bool far; /* an item was begun too early */
    atomic_bool stopped;
} work;

typedef struct result {
    size_t item;
    bool set;
} result;

static void rest(long ns) {
    struct timespec t = {0, ns};
    nanosleep(&t, NULL);
}

static void do_work(void *user, int lane, size_t item, void *slot) {
    work *w = user;
    result *r = slot;
    (void)lane;
    if (r->set)
        atomic_store(&w->far, true);
    /* emitted only grows: what it is now is at least what it was when the item was taken. */
    if (item >= atomic_load(&w->emitted) + w->window)
        atomic_store(&w->far, true);
    atomic_fetch_add(&w->begun, 1);
    if (item == w->stop_at)
        atomic_store(&w->stopped, true);
    if (w->slow && item % w->slow == 0)
        rest(300000);
    *r = (result){item, true};
}

static bool take(void *user, size_t item, void *slot) {
    work *w = user;
    result *r = slot;
    if (atomic_fetch_add(&w->inside, 1) != 0 || item != atomic_load(&w->emitted) ||
        r->item != item || !r->set)
        w->wrong = true;
    *r = (result){0};
    atomic_fetch_add(&w->emitted, 1);
    atomic_fetch_sub(&w->inside, 1);
    return item != w->fail_at;
}

static void drop(void *user, void *slot) {
    work *w = user;
    result *r = slot;
    atomic_fetch_add(&w->dropped, r->set);
    *r = (result){0};
}

static bool stop(void *user) { return atomic_load(&((work *)user)->stopped); }

static void run(work *w, int lanes) {
    wilor_cli_lanes job = {.lanes = lanes,
                           .count = w->count,
                           .window = w->window,
                           .slot_size = sizeof(result),
                           .user = w,
                           .work = do_work,
                           .emit = take,
                           .drop = drop,
                           .stop = stop};
    assert_true(wilor_cli_lanes_run(&job));
    assert_false(w->wrong);
    assert_false(atomic_load(&w->far));
    /* What was begun was given out or thrown away. */
    assert_int_equal(atomic_load(&w->begun),
                     atomic_load(&w->emitted) + atomic_load(&w->dropped));
}

static void test_order(void **state) {
    static const int lanes[] = {1, 2, 3, 7, 16};
    static const size_t windows[] = {1, 2, 5, 64};
    static const size_t counts[] = {0, 1, 2, 3, 63, 500};
    (void)state;
    for (int l = 0; l < 5; l++)
        for (int k = 0; k < 4; k++)
            for (int c = 0; c < 6; c++)
                for (size_t slow = 0; slow < 15; slow += 7) {
                    work w = {.count = counts[c],
                              .window = windows[k],
                              .slow = slow,
                              .fail_at = SIZE_MAX,
                              .stop_at = SIZE_MAX};
                    run(&w, lanes[l]);
                    assert_int_equal(atomic_load(&w.emitted), counts[c]);
                    assert_int_equal(atomic_load(&w.dropped), 0);
                }
}

static void test_refused(void **state) {
    (void)state;
    for (size_t at = 0; at < 200; at += 13) {
        work w = {.count = MOST, .window = 10, .slow = 3, .fail_at = at, .stop_at = SIZE_MAX};
        run(&w, 4);
        assert_int_equal(atomic_load(&w.emitted), at + 1);
        assert_in_range(atomic_load(&w.begun), at + 1, at + 1 + 10);
    }
}

/* What was begun before the stop comes out. */
static void test_stopped(void **state) {
    (void)state;
    for (size_t at = 0; at < 200; at += 13) {
        work w = {.count = MOST, .window = 10, .slow = 3, .fail_at = SIZE_MAX, .stop_at = at};
        run(&w, 4);
        assert_int_equal(atomic_load(&w.dropped), 0);
        assert_in_range(atomic_load(&w.emitted), at + 1, at + 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
