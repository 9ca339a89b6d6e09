/* Binary records: what is written is read back bit by bit; offsets as docs/events.md has them; every byte of
 * the sizes and counts wrong in turn; every length too short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guarded.h"
#include "live_record.h"
#include "made_event.h"
#include "predict_options.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_same(const uint8_t *array, const float *expected, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = wilor_cli_record_float(array, i);
        assert_memory_equal(&value, &expected[i], sizeof value);
    }
}

static void check_hand(const wilor_cli_record *r, int i, const wilor_cli_live_hand *h) {
    wilor_cli_record_hand got;
    wilor_cli_record_get_hand(r, i, &got);
    assert_int_equal(got.id, h->id);
    assert_int_equal(got.side, h->side);
    assert_int_equal(got.state, h->state);
    assert_int_equal(got.age_us, h->age_ns / 1000);
    assert_true(got.conf == h->conf && got.pinch_strength == h->gesture.pinch_strength &&
                got.grab_strength == h->gesture.grab_strength &&
                got.pinch_distance == h->gesture.pinch_distance);
    assert_memory_equal(got.box, h->box, sizeof got.box);
    assert_memory_equal(got.crop, h->crop, sizeof got.crop);
    assert_memory_equal(got.pred_cam, h->pred_cam, sizeof got.pred_cam);
    assert_memory_equal(got.cam_t, h->cam_t, sizeof got.cam_t);
    assert_memory_equal(got.wrist_q, h->wrist_q, sizeof got.wrist_q);
    assert_same(got.kp2d, h->keypoints_2d[0], 42);
    if (h->has_detected_keypoints)
        assert_same(got.kp2d_det, h->detected_keypoints[0], 63);
    else
        for (size_t k = 0; k < 63; k++)
            assert_true(wilor_cli_record_float(got.kp2d_det, k) == 0);
    assert_same(got.kp3d, h->keypoints_3d[0], 63);
    assert_same(got.mano, h->global_orient, 3);
    assert_same(got.mano + 12, h->hand_pose, 45);
    assert_same(got.mano + 192, h->betas, 10);
    for (size_t k = 0; k < 26; k++) {
        assert_same(got.xr26 + 32 * k, h->xr26[k].position, 3);
        assert_same(got.xr26 + 32 * k + 12, h->xr26[k].orientation, 4);
        assert_same(got.xr26 + 32 * k + 28, &h->xr26[k].radius, 1);
    }
    assert_same(got.vertices, h->vertices_3d, (size_t)r->vertices * 3);
}

static uint8_t *write_record(const made_event *m, const wilor_cli_record_how *how,
                             size_t *size) {
    *size = wilor_cli_record_size(&m->event, how);
    uint8_t *bytes = malloc(*size + 2);
    assert_non_null(bytes);
    memset(bytes, 0xA5, *size + 2);
    assert_int_equal(wilor_cli_record_write(bytes + 1, *size - 1, &m->event, how), 0);
    for (size_t i = 0; i < *size + 2; i++)
        assert_int_equal(bytes[i], 0xA5); /* does not fit: nothing is touched */
    assert_int_equal(wilor_cli_record_write(bytes + 1, *size, &m->event, how), *size);
    assert_int_equal(bytes[0], 0xA5);
    assert_int_equal(bytes[*size + 1], 0xA5);
    memmove(bytes, bytes + 1, *size);
    return bytes;
}

static void test_round_trip(void **state) {
    static made_event m;
    wilor_cli_record r;
    wilor_error err;
    size_t size;
    (void)state;
    made_event_fill(&m, 1);
    uint8_t *bytes = write_record(&m, NULL, &size);
    assert_int_equal(size, 96 + 3 * (96 + 168 + 252 + 252 + 232 + 832 + 9336));
    assert_int_equal(wilor_cli_record_read(&r, bytes, size, &err), WILOR_OK);
    assert_int_equal(r.size, size);
    assert_int_equal(r.flags, 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 512);
    assert_true(r.seq == m.event.seq && r.frame == m.event.frame);
    assert_true(r.t_capture == m.event.t_capture && r.t_ready == m.event.t_ready);
    assert_true(r.width == 640 && r.height == 480 && r.stream == 3 && r.dropped == 2);
    assert_true(r.fx == (float)m.event.fx && r.fy == (float)m.event.fy &&
                r.cx == (float)m.event.cx && r.cy == (float)m.event.cy);
    assert_true(r.hands == 3 && r.vertices == MADE_VERTICES && r.dtype == 4 && r.device == 0);
    for (int i = 0; i < 3; i++)
        check_hand(&r, i, &m.hands[i]);
    free(bytes);
}

/* The table of docs/events.md. */
static void test_offsets(void **state) {
    static made_event m;
    static const uint8_t begins[12] = {'W', 'L', 'E', '1', 1, 0, 96, 0, 0x40, 0x83, 0, 0};
    size_t size;
    uint32_t word;
    (void)state;
    made_event_fill(&m, 1);
    uint8_t *bytes = write_record(&m, NULL, &size);
    assert_int_equal(size, 0x8340);
    assert_memory_equal(bytes, begins, sizeof begins);
    memcpy(&word, bytes + 80, 4);
    assert_int_equal(word, 96u << 16 | 3);
    memcpy(&word, bytes + 84, 4);
    assert_int_equal(word, MADE_VERTICES);
    assert_memory_equal(bytes + 96 + 12, &m.hands[0].gesture.pinch_strength, 4);
    assert_memory_equal(bytes + 96 + 24, m.hands[0].box, 16);
    assert_memory_equal(bytes + 96 + 64, m.hands[0].cam_t, 12);
    assert_memory_equal(bytes + 96 + 76, m.hands[0].wrist_q, 16);
    assert_memory_equal(bytes + 192, m.hands[0].keypoints_2d, 168);
    free(bytes);
}

static void test_variants(void **state) {
    static made_event m;
    wilor_cli_record r;
    wilor_cli_record_hand h;
    wilor_error err;
    unsigned dropped = 9;
    size_t size;
    (void)state;
    made_event_fill(&m, 2);
    /* Nothing included, a predicted event of another clock. */
    m.event.include = 0;
    m.event.clock = WILOR_CLI_MONOTONIC;
    m.event.mirrored = m.event.metric = false;
    m.event.stream = "front";
    m.hands[0].age_ns = INT64_MAX;
    m.model.dtype = "f7";
    m.model.device = "cuda:1";
    wilor_cli_record_how how = {.dropped = &dropped, .most_hands = 2};
    uint8_t *bytes = write_record(&m, &how, &size);
    assert_int_equal(size, 96 + 2 * (96 + 168 + 252));
    assert_int_equal(wilor_cli_record_read(&r, bytes, size, &err), WILOR_OK);
    assert_int_equal(r.flags, 4 | 16);
    assert_true(r.hands == 2 && r.dropped == 9 && r.stream == 0 && r.vertices == 0);
    assert_true(r.dtype == 255 && r.device == 1);
    wilor_cli_record_get_hand(&r, 0, &h);
    assert_true(h.age_us == UINT32_MAX && !h.kp2d_det && !h.mano && !h.xr26 && !h.vertices);
    free(bytes);
    /* A hand without joints and mesh; no place in a picture. */
    m.event.include = ~0u;
    m.event.clock = WILOR_CLI_MEDIA;
    m.hands[1].xr26[0].flags = 0;
    m.hands[1].vertices_3d = NULL;
    how = (wilor_cli_record_how){.no_place = true};
    bytes = write_record(&m, &how, &size);
    assert_int_equal(wilor_cli_record_read(&r, bytes, size, &err), WILOR_OK);
    assert_int_equal(r.flags, 16 | 32 | 64 | 128 | 1024);
    wilor_cli_record_get_hand(&r, 1, &h);
    for (size_t i = 0; i < 26 * 8; i++)
        assert_true(isnan(wilor_cli_record_float(h.xr26, i)));
    assert_true(isnan(wilor_cli_record_vertex(&r, &h, 777 * 3 + 2)));
    assert_null(h.kp2d);
    free(bytes);
    /* No hands. */
    m.event.n = 0;
    bytes = write_record(&m, NULL, &size);
    assert_int_equal(size, 96);
    assert_int_equal(wilor_cli_record_read(&r, bytes, size, &err), WILOR_OK);
    free(bytes);
}

/* Halves as IEEE 754 rounds them: to nearest, ties to even. */
static void test_halves(void **state) {
    static const struct {
        float value, back;
    } cases[] = {{0, 0},
                 {-0.0f, -0.0f},
                 {1, 1},
                 {-2.5f, -2.5f},
                 {0.1f, 0.0999755859375f},
                 {1 + 0x1p-11f, 1}, /* ties */
                 {1 + 3 * 0x1p-11f, 1 + 0x1p-9f},
                 {65504, 65504},
                 {65519, 65504},
                 {65520, INFINITY},
                 {INFINITY, INFINITY},
                 {-1e30f, -INFINITY},
                 {0x1p-14f, 0x1p-14f},
                 {0x1.ffcp-15f, 0x1p-14f},
                 {0x1p-24f, 0x1p-24f},
                 {0x1p-25f, 0},
                 {0x1.8p-25f, 0x1p-24f},
                 {1e-30f, 0}};

    enum { COUNT = sizeof cases / sizeof cases[0] };

    static made_event m;
    wilor_cli_record r;
    wilor_cli_record_hand h;
    wilor_error err;
    size_t size;
    (void)state;
    made_event_fill(&m, 3);
    m.event.n = 1;
    for (size_t i = 0; i < COUNT; i++)
        m.vertices[0][i] = cases[i].value;
    m.vertices[0][COUNT] = NAN;
    uint8_t *bytes = write_record(&m, &(wilor_cli_record_how){.half = true}, &size);
    assert_int_equal(wilor_cli_record_read(&r, bytes, size, &err), WILOR_OK);
    assert_true(r.flags & 256 && !(r.flags & 128));
    wilor_cli_record_get_hand(&r, 0, &h);
    for (size_t i = 0; i < COUNT; i++) {
        float got = wilor_cli_record_vertex(&r, &h, i);
        assert_memory_equal(&got, &cases[i].back, sizeof got);
    }
    assert_true(isnan(wilor_cli_record_vertex(&r, &h, COUNT)));
    for (size_t i = COUNT + 1; i < MADE_VERTICES * 3; i++)
        assert_true(fabsf(wilor_cli_record_vertex(&r, &h, i) - m.vertices[0][i]) <= 0x1p-15f);
    free(bytes);
}

/* Bytes that end at a page that may not be read. */
static wilor_status read_guarded(const uint8_t *bytes, size_t size, wilor_error *err) {
    wilor_cli_record r;
    size_t count = size / 4 + 1;
    guarded g = guarded_alloc(count);
    uint8_t *end = (uint8_t *)(g.data + count);
    memcpy(end - size, bytes, size);
    wilor_status st = wilor_cli_record_read(&r, end - size, size, err);
    if (st != WILOR_OK)
        assert_true(r.size == 0 && r.hands == 0);
    guarded_free(&g);
    return st;
}

static void test_refused(void **state) {
    static const struct {
        size_t at;
        unsigned size;
        uint32_t value;
        const char *says;
    } cases[] = {{0, 4, 0x30454C57, "WLE1"},
                 {4, 2, 2, "the version is 2"},
                 {4, 2, 0, "the version is 0"},
                 {6, 2, 95, "the header's size is 95"},
                 {6, 2, 97, "add up"},
                 {6, 2, 65535, "add up"},
                 {8, 4, 0, "add up"},
                 {8, 4, 0x833F, "add up"},
                 {8, 4, 0x8341, "more bytes than there are"},
                 {8, 4, 0x40000001, "at most 1073741824"},
                 {8, 4, 0xFFFFFFFF, "at most 1073741824"},
                 {12, 4, 128 | 256, "vertices of two types"},
                 {12, 4, 512 | 1024, "two clocks"},
                 {12, 4, 128, "add up"},
                 {80, 2, 4, "add up"},
                 {80, 2, 0, "add up"},
                 {80, 2, 65535, "add up"},
                 {82, 2, 95, "fixed size of a hand is 95"},
                 {82, 2, 0, "fixed size of a hand is 0"},
                 {82, 2, 97, "add up"},
                 {84, 4, 0, "the number of vertices is 0"},
                 {84, 4, 777, "add up"},
                 {84, 4, 65537, "not 1 to 65536"},
                 {84, 4, 0xFFFFFFFF, "not 1 to 65536"},
                 {96, 4, 0, "id of hand 0"},
                 {100, 1, 2, "side of hand 0 is 2"},
                 {101, 1, 3, "state of hand 0 is 3"},
                 {96 + 11168 + 4, 1, 255, "side of hand 1 is 255"}};

    static made_event m;
    wilor_error err;
    size_t size;
    (void)state;
    made_event_fill(&m, 1);
    uint8_t *bytes = write_record(&m, NULL, &size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t kept[4];
        memcpy(kept, bytes + cases[i].at, 4);
        for (unsigned k = 0; k < cases[i].size; k++)
            bytes[cases[i].at + k] = (uint8_t)(cases[i].value >> 8 * k);
        assert_int_equal(read_guarded(bytes, size, &err), WILOR_ERR_FORMAT);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: no \"%s\"", err.text, cases[i].says);
        memcpy(bytes + cases[i].at, kept, 4);
    }
    for (size_t n = 0; n < size; n += n < 300 ? 1 : 97)
        assert_int_equal(read_guarded(bytes, n, &err), WILOR_ERR_FORMAT);
    assert_int_equal(read_guarded(bytes, size, &err), WILOR_OK);
    free(bytes);
}

/* A later writer's: larger header, larger fixed part, a flag that adds nothing. */
static void test_enlarged(void **state) {
    static made_event m;
    wilor_cli_record r;
    wilor_cli_record_hand h;
    wilor_error err;
    size_t size;
    (void)state;
    made_event_fill(&m, 1);
    m.event.n = 1;
    m.event.include = 0;
    uint8_t *bytes = write_record(&m, NULL, &size), more[96 + 8 + 96 + 4 + 168 + 252] = {0};
    memcpy(more, bytes, 96);
    memcpy(more + 104, bytes + 96, 96);
    memcpy(more + 204, bytes + 192, 168 + 252);
    more[6] = 104;
    more[82] = 100;
    more[8] = (uint8_t)(sizeof more & 255);
    more[9] = (uint8_t)(sizeof more >> 8);
    more[15] = 0x80;
    assert_int_equal(wilor_cli_record_read(&r, more, sizeof more, &err), WILOR_OK);
    wilor_cli_record_get_hand(&r, 0, &h);
    assert_int_equal(h.id, 7);
    assert_same(h.kp2d, m.hands[0].keypoints_2d[0], 42);
    assert_same(h.kp3d, m.hands[0].keypoints_3d[0], 63);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_variants),   cmocka_unit_test(test_halves),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_enlarged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
