/* The parts of tracking that know no pictures: One-Euro filters, a shape that settles, motion, assignment,
 * overlap, smoothing from both sides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "assign.h"
#include "camera.h"
#include "cc0_hand.h"
#include "hand_filter.h"
#include "heap.h"
#include "rotation.h"
#include "track_boxes.h"
#include "tracker.h"

static const double pi = 3.14159265358979323846;
static wilor_mano *model;
static float *scratch, *mesh;

static int open_hand(void **state) {
    (void)state;
    model = cc0_hand_open();
    scratch = wilor_heap_alloc(wilor_mano_scratch(model), sizeof *scratch);
    mesh = wilor_heap_alloc(3 * (size_t)wilor_mano_vertices(model), sizeof *mesh);
    return scratch && mesh ? 0 : -1;
}

static int close_hand(void **state) {
    (void)state;
    wilor_mano_free(&model);
    wilor_heap_free(scratch);
    wilor_heap_free(mesh);
    return 0;
}

static void expect_near(double got, double want, double tolerance, const char *what) {
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %.12g instead of %.12g", what, got, want);
}

static uint64_t seed = 1;

static double uniform(double low, double high) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(seed >> 33) / 2147483648.0;
}

/* ---------------------------------------------------------------- One-Euro */

/* Without beta a first-order low pass: after a step to 1, what is left falls by 1 − share a sample, and
 * to 1/e within one time constant, whatever the rate. */
static void test_step(void **state) {
    (void)state;
    static const double rates[] = {30, 120, 1000};
    for (int r = 0; r < 3; r++) {
        wilor_euro_rule rule = {1, 0, 1};
        wilor_euro f = {.started = false};
        const double zero[1] = {0}, one[1] = {1}, dt = 1 / rates[r], tau = 1 / (2 * pi);
        wilor_euro_step(&f, &rule, 1, zero, 1, dt);
        assert_true(f.value[0] == 0);
        double share = dt / (dt + tau), left = 1;
        for (int i = 0; i < (int)(tau / dt + 0.5); i++) {
            wilor_euro_step(&f, &rule, 1, one, 1, dt);
            left *= 1 - share;
            expect_near(1 - f.value[0], left, 1e-12, "what is left of a step");
        }
        expect_near(left, exp(-1), 0.06, "after a time constant");
    }
}

/* A ramp is followed at a distance of speed × time constant; more beta, less distance; in mm or m, the
 * unit makes them the same. */
static void test_ramp(void **state) {
    (void)state;
    static const double betas[] = {0, 5, 50};
    for (int b = 0; b < 3; b++) {
        wilor_euro_rule rule = {1, betas[b], 1};
        wilor_euro metres = {.started = false}, mm = {.started = false};
        const double dt = 1.0 / 240, speed = 0.4;
        double x[2] = {0};
        for (int i = 0; i < 2400; i++) {
            x[0] = speed * dt * i;
            x[1] = 2 - x[0];
            const double y[2] = {1000 * x[0], 1000 * x[1]};
            wilor_euro_step(&metres, &rule, 1, x, 2, dt);
            wilor_euro_step(&mm, &rule, 0.001, y, 2, dt);
        }
        double cutoff = 1 + betas[b] * speed * sqrt(2);
        double lag = (x[0] - metres.value[0]) / speed;
        expect_near(lag, 1 / (2 * pi * cutoff), 1e-6, "seconds behind a ramp");
        expect_near(x[1] - metres.value[1], -lag * speed, 1e-9, "the other way");
        expect_near(mm.value[0], 1000 * metres.value[0], 1e-9, "in other units");
    }
}

static void test_no_filter(void **state) {
    (void)state;
    wilor_euro_rule rule = {INFINITY, 0, 1};
    wilor_euro f = {.started = false};
    for (int i = 0; i < 10; i++) {
        const double x[3] = {i * 0.7, -i, 1.0 / (1 + i)};
        wilor_euro_step(&f, &rule, 1, x, 3, 0.01 + 0.1 * i);
        for (int k = 0; k < 3; k++)
            expect_near(f.value[k], x[k], 1e-15, "an infinite cutoff");
    }
}

/* A hand that turns round and round, past π, with quaternions of either sign, is followed at an even
 * distance, never the other way round. */
static void test_turn_wraps(void **state) {
    (void)state;
    wilor_euro_rule rule = {2, 0, 1};
    wilor_euro_turn f = {.started = false};
    const double dt = 1.0 / 240, speed = 5;
    for (int i = 0; i < 2400; i++) {
        double q[4], way[4], v[3];
        wilor_quaternion_exp_f64((const double[3]){0, speed * dt * i, 0}, q);
        for (int k = 0; i % 3 == 0 && k < 4; k++)
            q[k] = -q[k];
        wilor_euro_turn_step(&f, &rule, q, dt);
        wilor_quaternion_between_f64(f.value, q, way);
        wilor_quaternion_log_f64(way, v);
        if (i < 960) /* the low passes have come to rest */
            continue;
        expect_near(v[1], speed / (2 * pi * 2), 1e-6, "rad behind");
        expect_near(f.speed[1], speed, 1e-6, "rad/s");
        expect_near(fabs(v[0]) + fabs(v[2]), 0, 1e-9, "other axes");
    }
}

/* A step between opposite rotations ends where it should. */
static void test_turn_half(void **state) {
    (void)state;
    wilor_euro_rule rule = {5, 1, 1};
    wilor_euro_turn f = {.started = false};
    double a[4], b[4], way[4], v[3];
    wilor_quaternion_exp_f64((const double[3]){pi, 0, 0}, a);
    wilor_quaternion_exp_f64((const double[3]){0, 1e-7, 0}, b);
    wilor_euro_turn_step(&f, &rule, a, 0.03);
    for (int i = 0; i < 200; i++)
        wilor_euro_turn_step(&f, &rule, b, 0.03);
    wilor_quaternion_between_f64(f.value, b, way);
    wilor_quaternion_log_f64(way, v);
    expect_near(v[0] * v[0] + v[1] * v[1] + v[2] * v[2], 0, 1e-12, "after half a turn");
}

/* ---------------------------------------------------------------- a hand's filter */

static wilor_look look_at(double x, double y, double z) {
    wilor_look l = {.wrist = {x, y, z}};
    for (int j = 0; j < WILOR_MANO_JOINTS; j++)
        l.turns[j][3] = 1;
    return l;
}

/* One look in ten is of somebody else's hand. */
static void test_shape(void **state) {
    (void)state;
    double mean[10] = {0};
    for (int i = 0; i < 200; i++) {
        double b[10];
        for (int k = 0; k < 10; k++)
            b[k] = (i % 10 == 9 ? 8 : 1.5) + uniform(-0.3, 0.3);
        wilor_shape_settle(mean, b, i);
        if (i == 0)
            expect_near(mean[3], b[3], 1e-15, "the first shape");
    }
    for (int k = 0; k < 10; k++)
        expect_near(mean[k], 1.5, 0.2, "a settled beta"); /* a plain mean would be at 2.15 */
    double before = mean[0];
    const double far[10] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    wilor_shape_settle(mean, far, 200);
    expect_near(mean[0], before, 0.01, "a beta after 200 looks");
}

/* What the size of the hand does to its distance: a look with larger betas, further away, is the same
 * hand. */
static void test_depth_follows_shape(void **state) {
    (void)state;
    wilor_filter_rules rules = wilor_filter_rules_for(0.5);
    wilor_hand_filter f = {.looks = 0};
    wilor_look l = look_at(0.1, 0, 0.6), out;
    for (int i = 0; i < 100; i++) {
        float big[10] = {i % 2 ? 1.5f : -1.5f}, zero[10] = {0};
        double grow = wilor_mano_palm(model, big) / wilor_mano_palm(model, zero);
        l = look_at(0.1 * grow, 0, 0.6 * grow);
        l.betas[0] = big[0];
        wilor_hand_filter_step(&f, &rules, model, &l, 1.0 / 30, &out);
    }
    expect_near(out.wrist[2], 0.6, 0.005, "depth under a shape that alternates");
    expect_near(out.wrist[0], 0.1, 0.001, "x under a shape that alternates");
}

/* With the long lens of WiLoR's guess (twenty times as far) the same happens in the picture and to x. */
static void test_lens_does_not_matter(void **state) {
    (void)state;
    wilor_filter_rules rules = wilor_filter_rules_for(0.5);
    wilor_hand_filter a = {.looks = 0}, b = {.looks = 0};
    wilor_look out_a, out_b;
    for (int i = 0; i < 60; i++) {
        double x = 0.2 * sin(i * 0.2), z = 0.5 * exp(uniform(-0.03, 0.03));
        wilor_look near = look_at(x * z / 0.5, 0.1, z), far = look_at(x * z / 0.5, 0.1, 20 * z);
        wilor_hand_filter_step(&a, &rules, model, &near, 1.0 / 30, &out_a);
        wilor_hand_filter_step(&b, &rules, model, &far, 1.0 / 30, &out_b);
        expect_near(out_b.wrist[2], 20 * out_a.wrist[2], 1e-9, "z");
        expect_near(out_b.wrist[0], out_a.wrist[0], 1e-9, "x");
    }
}

/* Noise in, less noise out; more of it with more smoothing. */
static void test_smooth_orders(void **state) {
    (void)state;
    double last = 1;
    for (int s = 1; s <= 4; s++) {
        wilor_filter_rules rules = wilor_filter_rules_for(s * 0.25);
        wilor_hand_filter f = {.looks = 0};
        double in = 0, after = 0;
        seed = 7;
        for (int i = 0; i < 600; i++) {
            wilor_look l = look_at(uniform(-0.003, 0.003), 0, 0.5 * exp(uniform(-0.02, 0.02)));
            wilor_look out;
            wilor_hand_filter_step(&f, &rules, model, &l, 1.0 / 30, &out);
            if (i >= 60) {
                in += l.wrist[0] * l.wrist[0] + pow(l.wrist[2] - 0.5, 2);
                after += out.wrist[0] * out.wrist[0] + pow(out.wrist[2] - 0.5, 2);
            }
        }
        assert_true(sqrt(after / in) < 0.6 && sqrt(after / in) < last);
        last = sqrt(after / in);
    }
}

/* An even movement is known after two looks, and goes on, but not for ever. */
static void test_motion(void **state) {
    (void)state;
    wilor_motion m = {.looks = 0};
    double at[3];
    float v[3], w[3];
    for (int i = 0; i < 30; i++) {
        double t = i / 30.0;
        wilor_look l = look_at(0.3 * t, -0.2 * t, 0.5 + 0.1 * t);
        wilor_quaternion_exp_f64((const double[3]){0, 0, 4 * t}, l.turns[0]);
        wilor_motion_step(&m, &l, 1.0 / 30);
        wilor_motion_velocity(&m, v, w);
        if (i == 0)
            assert_true(v[0] == 0 && v[1] == 0 && v[2] == 0 && w[2] == 0);
        else if (i > 15) {
            expect_near(v[0], 0.3, 0.02, "m/s to the right");
            expect_near(v[1], -0.2, 0.02, "m/s up");
            expect_near(v[2], 0.1, 0.01, "m/s away");
            expect_near(w[2], 4, 1e-6, "rad/s");
        }
    }
    wilor_motion_ahead(&m, 1.0 / 30, at);
    expect_near(at[0], 0.3, 0.002, "x a picture later");
    wilor_motion_ahead(&m, 100, at);
    assert_true(at[0] > 0.29 && at[0] < 0.45);
}

/* A left hand is the mirror image of the right one; scaled by its palm it keeps its proportions. */
static void test_build(void **state) {
    (void)state;
    float rotation[2][144], kp[2][63], large[63];
    wilor_look l = look_at(0, 0, 1), m;
    for (int j = 0; j < WILOR_MANO_JOINTS; j++)
        wilor_quaternion_exp_f64((const double[3]){0.1 * j, 0.3, 0.5 - 0.05 * j}, l.turns[j]);
    l.betas[0] = 1.2;
    m = l;
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        m.turns[j][1] = -m.turns[j][1];
        m.turns[j][2] = -m.turns[j][2];
    }
    wilor_hand_build(model, WILOR_RIGHT, &l, scratch, rotation[0], mesh, kp[0]);
    wilor_hand_build(model, WILOR_LEFT, &m, scratch, rotation[1], mesh, kp[1]);
    for (int i = 0; i < 63; i++)
        expect_near(kp[1][i], (i % 3 ? 1 : -1) * kp[0][i], 1e-7, "a left keypoint");
    wilor_hand_mirror_matrices(rotation[1], 16);
    for (int i = 0; i < 144; i++)
        expect_near(rotation[1][i], rotation[0][i], 1e-6, "a left rotation");
    const float betas[10] = {1.2f};
    assert_true(wilor_palm_given(model, kp[0], betas) == 0);
    l.palm = 2 * wilor_mano_palm(model, betas);
    wilor_hand_build(model, WILOR_RIGHT, &l, scratch, rotation[0], mesh, large);
    for (int i = 0; i < 63; i++)
        expect_near(large[i], 2 * kp[0][i], 1e-6, "a scaled keypoint");
    expect_near(wilor_palm_given(model, large, betas), l.palm, 1e-6, "the palm");
}

/* ---------------------------------------------------------------- assignment */

static double cheapest(const double *cost, int rows, int columns, int row, unsigned taken) {
    double best = INFINITY;
    if (row == rows)
        return 0;
    for (int c = 0; c < columns; c++)
        if (!(taken & 1u << c))
            best = fmin(best, cost[row * columns + c] +
                                  cheapest(cost, rows, columns, row + 1, taken | 1u << c));
    return best;
}

/* Against all permutations, ties included. */
static void test_assign(void **state) {
    (void)state;
    double work[512];
    for (int i = 0; i < 2000; i++) {
        int rows = 1 + (int)uniform(0, 4.999), columns = rows + (int)uniform(0, 2.999), to[5];
        double cost[35], sum = 0;
        unsigned taken = 0;
        for (int k = 0; k < rows * columns; k++)
            cost[k] = i % 2 ? floor(uniform(-3, 3)) : uniform(-3, 3);
        assert_true(wilor_assign_scratch(rows, columns) <= sizeof work);
        wilor_assign(cost, rows, columns, work, to);
        for (int r = 0; r < rows; r++) {
            assert_true(to[r] >= 0 && to[r] < columns && !(taken & 1u << to[r]));
            taken |= 1u << to[r];
            sum += cost[r * columns + to[r]];
        }
        expect_near(sum, cheapest(cost, rows, columns, 0, 0), 1e-12, "the cheapest assignment");
    }
}

/* ---------------------------------------------------------------- boxes */

static void test_boxes(void **state) {
    (void)state;

    static const struct {
        double a[4], b[4], overlap;
    } cases[] = {{{0, 0, 2, 2}, {0, 0, 2, 2}, 1}, {{0, 0, 2, 2}, {1, 0, 3, 2}, 1.0 / 3},
                 {{0, 0, 2, 2}, {2, 0, 4, 2}, 0}, {{0, 0, 2, 2}, {5, 5, 6, 6}, 0},
                 {{0, 0, 0, 2}, {0, 0, 0, 2}, 0}, {{0, 0, 4, 4}, {1, 1, 3, 3}, 0.25}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_near(wilor_box_overlap(cases[i].a, cases[i].b), cases[i].overlap, 1e-15, "IoU");
        expect_near(wilor_box_overlap(cases[i].b, cases[i].a), cases[i].overlap, 1e-15, "IoU");
    }
    const double half_out[4] = {-10, 10, 10, 30};
    expect_near(wilor_box_inside(half_out, 100, 100), 0.5, 1e-15, "the part inside");
    float points[42], seen[63];
    double box[4];
    for (int i = 0; i < 21; i++) {
        points[2 * i] = seen[3 * i] = (float)i;
        points[2 * i + 1] = seen[3 * i + 1] = (float)(i % 3);
        seen[3 * i + 2] = 0.9f;
    }
    assert_true(wilor_box_around(points, box));
    expect_near(wilor_box_side(box), 20, 0, "the side");
    expect_near(wilor_points_similarity(points, seen, 20), 1, 1e-12, "similarity to itself");
    for (int i = 0; i < 21; i++)
        seen[3 * i] += 2; /* a tenth of the side: one sigma */
    expect_near(wilor_points_similarity(points, seen, 20), exp(-0.5), 1e-6, "similarity");
    for (int i = 0; i < 17; i++)
        seen[3 * i + 2] = 0.4f;
    assert_true(wilor_points_similarity(points, seen, 20) < 0); /* too few */
    points[7] = NAN;
    assert_false(wilor_box_around(points, box));
}

/* ---------------------------------------------------------------- from both sides */

enum { N = 90 };

typedef struct series {
    int64_t time[N];
    float cam_t[N * 3], orient[N * 3], pose[N * 45], betas[N * 10], points[N * 63],
        rotation[N * 144], velocity[N * 3], spin[N * 3];
    wilor_track_series s;
} series;

static series data;

/* A hand that speeds up and turns past π; noise in everything. */
static void truth(double t, double wrist[3], double turn[3]) {
    wrist[0] = 0.1 * t * t;
    wrist[1] = 0.05 * t;
    wrist[2] = 0.5 + 0.05 * t;
    turn[0] = 0;
    turn[1] = 2.5 + 0.8 * t;
    turn[2] = 0;
}

static void fill(wilor_side side, double noise, int outlier) {
    seed = 3;
    for (size_t i = 0; i < N; i++) {
        double wrist[3], turn[3], q[4], v[3];
        data.time[i] = (int64_t)i * 33000000 + (int64_t)(i % 3) * 5000000; /* uneven */
        truth((double)data.time[i] * 1e-9, wrist, turn);
        for (int k = 0; k < 3; k++) {
            wrist[k] += uniform(-noise, noise);
            turn[k] += 10 * uniform(-noise, noise);
        }
        if ((int)i == outlier)
            wrist[0] += 0.2;
        wilor_look l = look_at(wrist[0], wrist[1], wrist[2]);
        wilor_quaternion_exp_f64(turn, l.turns[0]);
        for (int k = 0; k < 10; k++) {
            l.betas[k] = 0.5 + 10 * uniform(-noise, noise);
            data.betas[10 * i + (size_t)k] = (float)l.betas[k];
        }
        wilor_hand_build(model, side, &l, scratch, data.rotation + 144 * i, mesh,
                         data.points + 63 * i);
        wilor_quaternion_log_f64(l.turns[0], v);
        memset(data.pose + 45 * i, 0, 45 * sizeof(float));
        for (size_t k = 0; k < 3; k++) {
            data.cam_t[3 * i + k] = (float)(wrist[k] - data.points[63 * i + k]);
            data.orient[3 * i + k] = (float)v[k];
        }
        memcpy(q, l.turns[0], sizeof q);
    }
    data.s = (wilor_track_series){.struct_size = sizeof data.s,
                                  .n = N,
                                  .side = side,
                                  .time_ns = data.time,
                                  .cam_t = data.cam_t,
                                  .global_orient = data.orient,
                                  .hand_pose = data.pose,
                                  .betas = data.betas,
                                  .keypoints_3d = data.points,
                                  .rotation = data.rotation,
                                  .velocity = data.velocity,
                                  .spin = data.spin};
}

/* Largest error of wrist (m) and rotation (rad), away from the ends. */
static void worst(double *place, double *turn) {
    *place = *turn = 0;
    for (size_t i = 10; i < N - 10; i++) {
        double wrist[3], v[3], q[4], real[4], way[4];
        truth((double)data.time[i] * 1e-9, wrist, v);
        wilor_quaternion_exp_f64(v, real);
        for (size_t k = 0; k < 3; k++) {
            *place = fmax(*place, fabs((double)data.cam_t[3 * i + k] + data.points[63 * i + k] -
                                       wrist[k]));
            v[k] = data.orient[3 * i + k];
        }
        wilor_quaternion_exp_f64(v, q);
        wilor_quaternion_between_f64(real, q, way);
        wilor_quaternion_log_f64(way, v);
        *turn = fmax(*turn, sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]));
    }
}

/* What moves evenly or speeds up evenly stays what it is: no lag, no flattening. */
static void test_both_sides_exact(void **state) {
    (void)state;
    wilor_error err;
    double place, turn;
    for (int side = 0; side < 2; side++) {
        fill((wilor_side)side, 0, -1);
        assert_int_equal(wilor_track_series_smooth(model, &data.s, 1, &err), WILOR_OK);
        worst(&place, &turn);
        expect_near(place, 0, 2e-4, "a clean wrist"); /* x/z of such a path is no parabola */
        expect_near(turn, 0, 1e-5, "a clean rotation");
        for (size_t i = 10; i < N - 10; i++) {
            double t = (double)data.time[i] * 1e-9;
            expect_near(data.velocity[3 * i], 0.2 * t, 5e-3, "m/s");
            expect_near(data.velocity[3 * i + 2], 0.05, 2e-3, "m/s in depth");
            expect_near(data.spin[3 * i + 1], 0.8, 1e-4, "rad/s");
        }
    }
}

static void test_both_sides_noise(void **state) {
    (void)state;
    wilor_error err;
    double raw, place, turn, raw_turn;
    fill(WILOR_LEFT, 0.01, 40);
    worst(&raw, &raw_turn);
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 1, &err), WILOR_OK);
    worst(&place, &turn);
    assert_true(raw > 0.19); /* the outlier */
    assert_true(place < 0.012 && turn < 0.6 * raw_turn);
    for (size_t i = 1; i < N; i++)
        assert_memory_equal(data.betas + 10 * i, data.betas, 10 * sizeof(float));
    /* Points are those of the parameters. */
    float rotation[144], points[63];
    wilor_look l = look_at(0, 0, 1);
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        const float *v = j == 0 ? data.orient + 3 * 50 : data.pose + 45 * 50 + 3 * (j - 1);
        wilor_quaternion_exp_f64((const double[3]){v[0], v[1], v[2]}, l.turns[j]);
    }
    for (int k = 0; k < 10; k++)
        l.betas[k] = data.betas[10 * 50 + k];
    wilor_hand_build(model, WILOR_LEFT, &l, scratch, rotation, mesh, points);
    for (int i = 0; i < 63; i++)
        expect_near(data.points[63 * 50 + i], points[i], 1e-6, "a point");
}

static void test_both_sides_errors(void **state) {
    (void)state;
    static series before;
    wilor_error err;
    fill(WILOR_RIGHT, 0.01, -1);
    before = data;
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 0, &err), WILOR_OK);
    assert_memory_equal(&data, &before, sizeof data);
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 1.5, &err), WILOR_ERR_ARG);
    assert_int_equal(wilor_track_series_smooth(model, &data.s, NAN, &err), WILOR_ERR_ARG);
    data.time[20] = data.time[19];
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 0.5, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "entry 20"));
    data.time[20] = before.time[20];
    data.pose[45 * 7 + 3] = NAN;
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 0.5, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "entry 7"));
    data.pose[45 * 7 + 3] = 0;
    data.cam_t[3 * 30 + 2] = -1;
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 0.5, &err), WILOR_ERR_ARG);
    assert_non_null(strstr(err.text, "behind"));
    data.cam_t[3 * 30 + 2] = before.cam_t[3 * 30 + 2];
    assert_memory_equal(data.points, before.points, sizeof data.points);
    for (int n = 0; n < 4; n++) {
        wilor_heap_fail_at(n);
        wilor_status st = wilor_track_series_smooth(model, &data.s, 0.5, &err);
        wilor_heap_fail_at(-1);
        assert_int_equal(st, WILOR_ERR_NOMEM);
    }
    data.s.n = 0;
    assert_int_equal(wilor_track_series_smooth(model, &data.s, 0.5, &err), WILOR_OK);
    for (data.s.n = 1; data.s.n < 6; data.s.n++) /* too few for a parabola */
        assert_int_equal(wilor_track_series_smooth(model, &data.s, 1, &err), WILOR_OK);
    for (int i = 0; i < 5 * 63; i++)
        assert_true(isfinite(data.points[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_step),
                                       cmocka_unit_test(test_ramp),
                                       cmocka_unit_test(test_no_filter),
                                       cmocka_unit_test(test_turn_wraps),
                                       cmocka_unit_test(test_turn_half),
                                       cmocka_unit_test(test_shape),
                                       cmocka_unit_test(test_depth_follows_shape),
                                       cmocka_unit_test(test_lens_does_not_matter),
                                       cmocka_unit_test(test_smooth_orders),
                                       cmocka_unit_test(test_motion),
                                       cmocka_unit_test(test_build),
                                       cmocka_unit_test(test_assign),
                                       cmocka_unit_test(test_boxes),
                                       cmocka_unit_test(test_both_sides_exact),
                                       cmocka_unit_test(test_both_sides_noise),
                                       cmocka_unit_test(test_both_sides_errors)};
    return cmocka_run_group_tests_name("track_filter", tests, open_hand, close_hand);
}
