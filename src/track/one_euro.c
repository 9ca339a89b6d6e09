/* One-Euro on vectors and on SO(3). The speed is of what goes in, not of what comes out, and is low
 * passed as a vector, so that noise around a place cancels before its length is taken. Easy to get
 * wrong: a quaternion and its negative are one rotation, so differences are taken through the
 * logarithm of the quotient, never by subtracting. */
#include "one_euro.h"
#include "rotation.h"

#include <math.h>
#include <string.h>

static const double tau = 6.283185307179586; /* 2π */

double wilor_euro_share(double cutoff, double dt) {
    double x = tau * cutoff * dt;
    return isinf(x) ? 1 : x / (1 + x);
}

static double length(const double *v, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

void wilor_euro_step(wilor_euro *f, const wilor_euro_rule *rule, double unit, const double *in,
                     int n, double dt) {
    if (!f->started) {
        *f = (wilor_euro){.started = true};
        memcpy(f->value, in, (size_t)n * sizeof *in);
        memcpy(f->last, in, (size_t)n * sizeof *in);
        return;
    }
    double share = wilor_euro_share(rule->speed_cutoff, dt);
    for (int i = 0; i < n; i++)
        f->speed[i] += share * ((in[i] - f->last[i]) / dt - f->speed[i]);
    share = wilor_euro_share(rule->min_cutoff + rule->beta * unit * length(f->speed, n), dt);
    for (int i = 0; i < n; i++) {
        f->value[i] += share * (in[i] - f->value[i]);
        f->last[i] = in[i];
    }
}

/* q, turned further by v. */
static void turn_by(const double v[3], double q[4]) {
    double by[4], sum = 0;
    wilor_quaternion_exp_f64(v, by);
    wilor_quaternion_mul_f64(by, q, q);
    for (int i = 0; i < 4; i++)
        sum += q[i] * q[i];
    for (int i = 0; i < 4; i++)
        q[i] /= sqrt(sum);
}

void wilor_euro_turn_step(wilor_euro_turn *f, const wilor_euro_rule *rule, const double in[4],
                          double dt) {
    double way[4], v[3];
    if (!f->started) {
        *f = (wilor_euro_turn){.started = true};
        memcpy(f->value, in, sizeof f->value);
        memcpy(f->last, in, sizeof f->last);
        return;
    }
    wilor_quaternion_between_f64(f->last, in, way);
    wilor_quaternion_log_f64(way, v);
    double share = wilor_euro_share(rule->speed_cutoff, dt);
    for (int i = 0; i < 3; i++)
        f->speed[i] += share * (v[i] / dt - f->speed[i]);
    share = wilor_euro_share(rule->min_cutoff + rule->beta * length(f->speed, 3), dt);
    wilor_quaternion_between_f64(f->value, in, way);
    wilor_quaternion_log_f64(way, v);
    for (int i = 0; i < 3; i++)
        v[i] *= share;
    turn_by(v, f->value);
    memcpy(f->last, in, sizeof f->last);
}
