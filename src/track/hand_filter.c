/* What is filtered are the model's parameters, not its points: 21 points filtered one by one shrink the
 * bones of a turning hand (they cut the corner) and agree with no `mano`; a hand built again from filtered
 * parameters keeps its bones, and points, mesh, joints and parameters say the same.
 *
 * Easy to get wrong: depth. A picture gives directions well and distance badly, and with WiLoR's own long
 * lens a distance is some thirty metres, so x, y and z in metres would carry the depth's noise into all
 * three and make any filter by speed useless. x/z and y/z are filtered together, at metres a second by the
 * hand's distance (which is the same for every lens, since a hand has its size), and ln z by itself, as if
 * the hand were a quarter of a metre away (it is noisier, so it moves a filter less). A shape that settles changes the hand's size, hence the distance at
 * which it fills the same pixels. */
#include "hand_filter.h"
#include "camera.h"
#include "rotation.h"

#include <math.h>
#include <string.h>

/* Chosen with bench_tracking (docs/live.md): Hz for each m/s and rad/s, and Hz. */
static const double place_beta = 50, turn_beta = 6, speed_cutoff = 1;
static const double depth_unit = 0.25; /* m: a ln z of 1 counts as so many */
static const double motion_cutoff = 4; /* Hz */
static const double coast = 0.25;      /* s: speeds fade so when nothing is seen */
static const double outlier = 1; /* root mean square of betas, which have a variance of 1 */
static const int settled = 1000; /* looks that weigh: the shape moves no slower than so */
static const double same_size = 1e-3; /* float32 sums of a palm agree better */

/* ---------------------------------------------------------------- motion */

void wilor_view_from_place(const double p[3], double at[3]) {
    at[0] = p[0] / p[2];
    at[1] = p[1] / p[2];
    at[2] = log(p[2]);
}

void wilor_place_from_view(const double at[3], double p[3]) {
    p[2] = exp(at[2]);
    p[0] = at[0] * p[2];
    p[1] = at[1] * p[2];
}

void wilor_motion_step(wilor_motion *m, const wilor_look *look, double dt) {
    double at[3], way[4], v[3];
    wilor_view_from_place(look->wrist, at);
    if (m->looks > 0) {
        /* The second look has all there is to know. */
        double share = m->looks == 1 ? 1 : wilor_euro_share(motion_cutoff, dt);
        wilor_quaternion_between_f64(m->turn, look->turns[0], way);
        wilor_quaternion_log_f64(way, v);
        for (int i = 0; i < 3; i++) {
            m->rate[i] += share * ((at[i] - m->at[i]) / dt - m->rate[i]);
            m->spin[i] += share * (v[i] / dt - m->spin[i]);
        }
    }
    memcpy(m->at, at, sizeof at);
    memcpy(m->turn, look->turns[0], sizeof m->turn);
    if (m->looks < 2)
        m->looks++;
}

void wilor_motion_ahead(const wilor_motion *m, double dt, double wrist[3]) {
    double at[3], span = coast * (1 - exp(-dt / coast));
    for (int i = 0; i < 3; i++)
        at[i] = m->at[i] + m->rate[i] * span;
    wilor_place_from_view(at, wrist);
}

void wilor_motion_velocity(const wilor_motion *m, float velocity[3], float spin[3]) {
    double z = exp(m->at[2]);
    for (int i = 0; i < 3; i++) {
        /* d(z·a) = z·da + a·dz, dz = z·d(ln z) */
        double a = i < 2 ? m->at[i] : 1;
        velocity[i] = (float)(z * ((i < 2 ? m->rate[i] : 0) + a * m->rate[2]));
        spin[i] = (float)m->spin[i];
    }
}

/* ---------------------------------------------------------------- filter */

wilor_filter_rules wilor_filter_rules_for(double smooth) {
    double at_rest = pow(10, 1 - 2 * smooth);
    return (wilor_filter_rules){{at_rest, place_beta, speed_cutoff},
                                {at_rest, turn_beta, speed_cutoff}};
}

void wilor_shape_settle(double mean[WILOR_MANO_BETAS], const double next[WILOR_MANO_BETAS],
                        int before) {
    double sum = 0;
    for (int i = 0; i < WILOR_MANO_BETAS; i++)
        sum += (next[i] - mean[i]) * (next[i] - mean[i]);
    double away = sqrt(sum / WILOR_MANO_BETAS);
    double weight = before > 0 && away > outlier ? outlier / away : 1; /* Huber's */
    double share = weight / ((before < settled ? before : settled) + 1);
    for (int i = 0; i < WILOR_MANO_BETAS; i++)
        mean[i] += share * (next[i] - mean[i]);
}

static double palm_of(const wilor_mano *mano, const double betas[WILOR_MANO_BETAS]) {
    float b[WILOR_MANO_BETAS];
    for (int i = 0; i < WILOR_MANO_BETAS; i++)
        b[i] = (float)betas[i];
    return wilor_mano_palm(mano, b);
}

double wilor_palm_given(const wilor_mano *mano, const float *keypoints, const float *betas) {
    double sum = 0, own = wilor_mano_palm(mano, betas);
    for (int i = 0; i < 3; i++) {
        double d = (double)keypoints[27 + i] - keypoints[i];
        sum += d * d;
    }
    double palm = sqrt(sum);
    return own > 0 && fabs(palm / own - 1) > same_size ? palm : 0;
}

double wilor_depth_change(const wilor_mano *mano, const wilor_look *look,
                          const double betas[WILOR_MANO_BETAS]) {
    if (look->palm > 0)
        return 0;
    double seen = palm_of(mano, look->betas), size = palm_of(mano, betas);
    return seen > 0 && size > 0 ? log(size / seen) : 0;
}

void wilor_hand_filter_step(wilor_hand_filter *f, const wilor_filter_rules *rules,
                            const wilor_mano *mano, const wilor_look *in, double dt,
                            wilor_look *out) {
    double at[3];
    wilor_shape_settle(f->betas, in->betas, f->looks);
    if (f->looks < settled)
        f->looks++;
    wilor_view_from_place(in->wrist, at);
    at[2] += wilor_depth_change(mano, in, f->betas);
    wilor_euro_step(&f->depth, &rules->place, depth_unit, &at[2], 1, dt);
    wilor_euro_step(&f->aside, &rules->place, exp(f->depth.value[0]), at, 2, dt);
    at[0] = f->aside.value[0];
    at[1] = f->aside.value[1];
    at[2] = f->depth.value[0];
    wilor_place_from_view(at, out->wrist);
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        wilor_euro_turn_step(&f->turns[j], &rules->turn, in->turns[j], dt);
        memcpy(out->turns[j], f->turns[j].value, sizeof out->turns[j]);
    }
    memcpy(out->betas, f->betas, sizeof out->betas);
    out->palm = in->palm;
}

/* ---------------------------------------------------------------- and back to a hand */

void wilor_hand_build(const wilor_mano *mano, wilor_side side, const wilor_look *look,
                      float *scratch, float *rotation, float *vertices, float *keypoints) {
    size_t v = (size_t)wilor_mano_vertices(mano);
    float betas[WILOR_MANO_BETAS];
    for (int j = 0; j < WILOR_MANO_JOINTS; j++) {
        double m[9];
        wilor_quaternion_to_matrix_f64(look->turns[j], m);
        for (int i = 0; i < 9; i++)
            rotation[9 * j + i] = (float)m[i];
    }
    for (int i = 0; i < WILOR_MANO_BETAS; i++)
        betas[i] = (float)look->betas[i];
    if (side == WILOR_LEFT) /* the model is a right hand */
        wilor_hand_mirror_matrices(rotation, WILOR_MANO_JOINTS);
    wilor_mano_forward(mano, rotation, betas, scratch, vertices, NULL, keypoints);
    if (side == WILOR_LEFT) {
        wilor_hand_mirror_matrices(rotation, WILOR_MANO_JOINTS);
        wilor_hand_mirror_points(vertices, v);
        wilor_hand_mirror_points(keypoints, WILOR_MANO_KEYPOINTS);
    }
    double own = wilor_mano_palm(mano, betas);
    if (!(look->palm > 0) || !(own > 0))
        return;
    double scale = look->palm / own;
    for (size_t i = 0; i < 3 * v; i++)
        vertices[i] = (float)(vertices[i] * scale);
    for (int i = 0; i < 3 * WILOR_MANO_KEYPOINTS; i++)
        keypoints[i] = (float)(keypoints[i] * scale);
}
