/* What tracking and filtering are worth, on hands whose paths are known (track_scene.h): ids that change,
 * hands missed or made up, how often the detector runs; jitter and lag of the filter. docs/live.md has the
 * numbers. Everything comes from a seed: two runs print the same, but for the times.
 *
 * usage: bench_tracking [--smooth S] [--fps N] [--seconds N] [--seed N] [--detect-every N] [--hand NPZ] */
#include "heap.h"
#include "rotation.h"
#include "track_scene.h"
#include "tracker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct settings {
    double smooth, fps, seconds;
    uint64_t seed;
    int every;
    const char *hand;
} settings;

static const double pi = 3.141592653589793;

/* ---------------------------------------------------------------- paths */

typedef int (*path)(double t, scene_hand *hands);

static scene_hand at(wilor_side side, double x, double y, double z, double turn, double bend) {
    const double wrist[3] = {x, y, z};
    const double v[3] = {1.57, 0.5 * turn, turn}; /* palm to the camera */
    return scene_pose(side, wrist, v, bend);
}

static int still(double t, scene_hand *h) {
    (void)t;
    h[0] = at(WILOR_RIGHT, 0.03, 0.02, 0.5, 0.3, 0.3);
    return 1;
}

static int wave(double t, scene_hand *h) {
    h[0] = at(WILOR_RIGHT, 0.05 + 0.10 * sin(2 * pi * 0.7 * t), 0.06 * sin(2 * pi * 1.1 * t),
              0.5 + 0.08 * sin(2 * pi * 0.4 * t), sin(2 * pi * 0.5 * t),
              0.5 + 0.4 * sin(2 * pi * 0.9 * t));
    return 1;
}

/* Two hands swap places and come back, one a hand's breadth nearer, over and over. */
static int crossing(double t, scene_hand *h, wilor_side second) {
    double x = 0.17 * cos(2 * pi * 0.25 * t);
    h[0] = at(WILOR_RIGHT, x + 0.06, 0.03, 0.60, 0.2 * sin(t), 0.3);
    h[1] =
        at(second, (second == WILOR_LEFT ? -0.06 : 0.06) - x, -0.02, 0.50, 0.2 * cos(t), 0.4);
    return 2;
}

static int cross(double t, scene_hand *h) { return crossing(t, h, WILOR_LEFT); }

static int cross_same(double t, scene_hand *h) { return crossing(t, h, WILOR_RIGHT); }

/* Out at the right, away for a second, in again; 4 s a turn. A left hand keeps still. */
static int leave(double t, scene_hand *h) {
    double p = fmod(t, 4), x = p < 1 ? 0.5 * p : p < 2 ? 0.5 : p < 3 ? 0.5 * (3 - p) : 0;
    h[0] = at(WILOR_RIGHT, 0.1 + x, 0, 0.5, 0.2, 0.3);
    h[1] = at(WILOR_LEFT, -0.15, 0.05, 0.55, 0.1, 0.2);
    return 2;
}

/* There for 2 s, gone at once for 2 s, in the middle of the picture. */
static int vanish(double t, scene_hand *h) {
    h[0] = at(WILOR_RIGHT, 0.05, 0, 0.5, 0.2, 0.3);
    h[0].there = fmod(t, 4) < 2;
    return 1;
}

/* Jerks of up to 2 m/s with pauses. */
static int quick(double t, scene_hand *h) {
    double p = fmod(t, 2), u = p < 0.25 ? 4 * p : p < 1 ? 1 : p < 1.25 ? 5 - 4 * p : 0;
    h[0] = at(WILOR_RIGHT, -0.05 + 0.3 * (1 - cos(pi * u)) / 2, 0, 0.65, 0.3, 0.3);
    return 1;
}

typedef struct scenario {
    const char *name;
    path go;
    double worse; /* noise and misses, times */
    double flip, twice, invent, miss;
} scenario;

static const scenario scenarios[] = {
    {"one hand moves", wave, 1, 0, 0, 0, 0},
    {"left and right cross", cross, 1, 0, 0, 0, 0},
    {"two right hands cross", cross_same, 1, 0, 0, 0, 0},
    {"out and back again", leave, 1, 0, 0, 0, 0},
    {"gone at once, and back", vanish, 1, 0, 0, 0, 0},
    {"jerks, blurred", quick, 3, 0, 0, 0, 0.3},
    {"wrong sides, twice, inventions", wave, 1, 0.2, 0.3, 0.2, 0.1},
};

/* ---------------------------------------------------------------- what became of the hands */

typedef struct truth {
    uint32_t id;  /* given to it last */
    int away;     /* pictures since it was there */
    int segments; /* times it came */
} truth;

typedef struct score {
    int pictures, there, missed, switches, wrong_side, ghosts, ids, segments, detected, poses;
    double microseconds; /* of the tracker alone */
    truth of[SCENE_MOST];
    uint32_t most_id;
} score;

static bool visible(const scene_hand *h) {
    return h->there && h->inside > 0.5 && h->hidden < 0.5;
}

/* The true hand at which a result's points lie, or −1. */
static int owner(const scene_hand *h, int n, const float *pixels) {
    double least = 0.35;
    int best = -1;
    for (int i = 0; i < n; i++) {
        if (!h[i].there)
            continue;
        double side = fmax(h[i].around[2] - h[i].around[0], h[i].around[3] - h[i].around[1]);
        double sum = 0;
        for (int k = 0; k < 21; k++)
            sum += hypot((double)pixels[2 * k] - h[i].pixels[2 * k],
                         (double)pixels[2 * k + 1] - h[i].pixels[2 * k + 1]);
        if (sum / 21 / side < least) {
            least = sum / 21 / side;
            best = i;
        }
    }
    return best;
}

static void judge(score *s, const scene_hand *h, int n, const wilor_tracks *out) {
    bool shown[SCENE_MOST] = {false};
    for (int i = 0; i < n; i++) {
        truth *of = &s->of[i];
        bool there = h[i].there && h[i].inside > 0.3;
        if (there && (of->away > 6 || of->segments == 0)) { /* came, or came back after 0.2 s */
            of->segments++;
            s->segments++;
            of->id = 0;
        }
        of->away = there ? 0 : of->away + 1;
    }
    for (int i = 0; i < out->hands->n; i++) {
        int who = owner(h, n, out->hands->keypoints_2d + (size_t)i * 42);
        if (out->id[i] > s->most_id) {
            s->ids += (int)(out->id[i] - s->most_id);
            s->most_id = out->id[i];
        }
        if (who < 0 || shown[who]) {
            s->ghosts++;
            continue;
        }
        shown[who] = true;
        s->wrong_side += out->hands->side[i] != h[who].side;
        s->switches += s->of[who].id != 0 && s->of[who].id != out->id[i];
        s->of[who].id = out->id[i];
    }
    for (int i = 0; i < n; i++)
        if (visible(&h[i])) {
            s->there++;
            s->missed += !shown[i];
        }
}

/* ---------------------------------------------------------------- a run */

static void must(wilor_status st, const wilor_error *err) {
    if (st == WILOR_OK)
        return;
    fprintf(stderr, "bench_tracking: %s\n", err->text);
    exit(1);
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* the machine may be busy */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* One picture; *us: spent by the tracker. */
static const wilor_tracks *step(wilor_tracker *t, scene *s, const scene_noise *noise,
                                int64_t time, score *count, double *us) {
    wilor_error err;
    wilor_box found[SCENE_FOUND];
    float points[SCENE_FOUND * 63];
    const wilor_box *boxes;
    const wilor_tracks *out;
    int detect, n = 0, asked;
    double t0 = now_us();
    must(wilor_tracker_plan(t, time, SCENE_WIDTH, SCENE_HEIGHT, &detect, &err), &err);
    double t1 = now_us();
    if (detect)
        n = scene_detect(s, noise, found, points);
    double t2 = now_us();
    must(wilor_tracker_boxes(t, detect, found, points, n, &boxes, &asked, &err), &err);
    double t3 = now_us();
    const wilor_hands *hands = asked > 0 ? scene_look(s, noise, boxes, asked) : NULL;
    double t4 = now_us();
    must(wilor_tracker_update(t, hands, &out, &err), &err);
    *us = t1 - t0 + t3 - t2 + now_us() - t4;
    if (count) {
        count->detected += detect;
        count->poses += asked;
    }
    return out;
}

static wilor_tracker *make(const scene *s, double smooth, int every) {
    wilor_error err;
    wilor_tracker *t = NULL;
    wilor_tracker_options o,
        given = {.struct_size = sizeof given, .smooth = smooth, .detect_every = every};
    must(wilor_tracker_options_fill(&o, &given, &err), &err);
    must(wilor_tracker_open(&t, scene_mano(s), &o, &err), &err);
    return t;
}

static scene_noise noise_of(const scenario *c) {
    scene_noise n = scene_usual();
    n.place *= c->worse;
    n.depth *= c->worse;
    n.turn *= c->worse;
    n.bend *= c->worse;
    n.box *= c->worse;
    n.flip = c->flip > 0 ? c->flip : n.flip;
    n.twice = c->twice > 0 ? c->twice : n.twice;
    n.invent = c->invent > 0 ? c->invent : n.invent;
    n.miss = c->miss > 0 ? c->miss : n.miss;
    return n;
}

static score run(scene *s, const scenario *c, const settings *o) {
    wilor_tracker *t = make(s, o->smooth, o->every);
    scene_noise noise = noise_of(c);
    score count = {0};
    scene_seed(s, o->seed);
    for (int i = 0; i < o->seconds * o->fps; i++) {
        scene_hand hands[SCENE_MOST];
        double us;
        int n = c->go(i / o->fps, hands);
        scene_show(s, hands, n);
        const wilor_tracks *out =
            step(t, s, &noise, (int64_t)(i / o->fps * 1e9) + 1, &count, &us);
        judge(&count, hands, n, out);
        count.microseconds += us;
        count.pictures++;
    }
    wilor_tracker_free(&t);
    return count;
}

static void print_ids(scene *s, const settings *o) {
    printf("## Ids, %g s at %g pictures a second, smooth %g, detector every %d at most, seed "
           "%llu\n",
           o->seconds, o->fps, o->smooth, o->every, (unsigned long long)o->seed);
    printf("| scene | id switches | ids (came) | missed %% | ghost %% | wrong side %% | "
           "detector %% | "
           "poses a picture | µs a picture |\n|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        score c = run(s, &scenarios[i], o);
        double there = c.there, n = c.pictures;
        printf("| %s | %d | %d (%d) | %.1f | %.1f | %.1f | %.0f | %.2f | %.0f |\n",
               scenarios[i].name, c.switches, c.ids, c.segments, 100 * c.missed / there,
               100 * c.ghosts / there, 100 * c.wrong_side / there, 100 * c.detected / n,
               c.poses / n, c.microseconds / n);
    }
}

/* ---------------------------------------------------------------- jitter */

typedef struct spread {
    double sum[4], square[4];
    int n;
} spread;

/* Wrist and index fingertip, aside and in depth. */
static void note(spread *d, const wilor_hands *h) {
    const float *p = h->keypoints_3d, *t = h->cam_t;
    const double x[4] = {(double)p[0] + t[0], (double)p[2] + t[2], (double)p[24] + t[0],
                         (double)p[26] + t[2]};
    for (int i = 0; i < 4; i++) {
        d->sum[i] += x[i];
        d->square[i] += x[i] * x[i];
    }
    d->n++;
}

static double rms(const spread *d, int i) {
    double mean = d->sum[i] / d->n;
    return 1000 * sqrt(fmax(d->square[i] / d->n - mean * mean, 0));
}

static void print_jitter(scene *s, const settings *o) {
    static const double smooth[] = {0, 0.25, 0.5, 0.75, 1};
    printf("\n## Jitter of a hand at rest, mm rms, %g pictures a second\n", o->fps);
    printf("| smooth | wrist aside | wrist depth | index tip aside | index tip depth |\n"
           "|---|---|---|---|---|\n");
    for (int k = 0; k < 5; k++) {
        wilor_tracker *t = make(s, smooth[k], o->every);
        scene_noise noise = scene_usual();
        spread d = {{0}, {0}, 0};
        noise.flip = noise.twice = noise.invent = 0;
        scene_seed(s, o->seed);
        for (int i = 0; i < o->seconds * o->fps; i++) {
            scene_hand hands[SCENE_MOST];
            double us;
            scene_show(s, hands, still(0, hands));
            const wilor_tracks *out =
                step(t, s, &noise, (int64_t)(i / o->fps * 1e9) + 1, NULL, &us);
            if (i > 2 * o->fps && out->hands->n == 1)
                note(&d, out->hands);
        }
        printf("| %g | %.2f | %.2f | %.2f | %.2f |\n", smooth[k], rms(&d, 0), rms(&d, 1),
               rms(&d, 2), rms(&d, 3));
        wilor_tracker_free(&t);
    }
}

/* ---------------------------------------------------------------- lag */

static double turned(const double from[4], const double to[4], int axis) {
    double way[4], v[3];
    wilor_quaternion_between_f64(from, to, way);
    wilor_quaternion_log_f64(way, v);
    return v[axis];
}

/* Lag in ms behind a wrist that moves at `speed` m/s (what: 0 aside, 1 in depth) or a hand that turns at
 * `speed` rad/s (2), one second after it started from rest; noise as for the rest. */
static double lag(scene *s, const settings *o, double smooth, int what, double speed) {
    wilor_filter_rules rules = wilor_filter_rules_for(smooth);
    scene_noise noise = scene_usual();
    double sum = 0;
    int n = 0;
    scene_seed(s, o->seed);
    for (int repeat = 0; repeat < 20; repeat++) {
        wilor_hand_filter f = {.looks = 0};
        for (int i = 0; i < 2 * o->fps; i++) {
            double t = i / o->fps, far = speed * fmax(t - 1, 0),
                   z = what == 1 ? 0.5 + far : 0.5;
            double place = noise.place * 0.19, x = what == 0 ? far : 0;
            wilor_look in = {.wrist = {x + place * (2 * scene_random(s) - 1) * sqrt(3), 0, z}};
            double scale = exp(noise.depth * (2 * scene_random(s) - 1) * sqrt(3));
            wilor_look out;
            const double turn[3] = {noise.turn * (2 * scene_random(s) - 1) * sqrt(3), 0,
                                    what == 2 ? far : 0};
            double real[4];
            for (int k = 0; k < 3; k++)
                in.wrist[k] *= scale;
            for (int j = 0; j < WILOR_MANO_JOINTS; j++)
                wilor_quaternion_exp_f64(turn, in.turns[j]);
            wilor_quaternion_exp_f64((const double[3]){0, 0, turn[2]}, real);
            wilor_hand_filter_step(&f, &rules, scene_mano(s), &in, 1 / o->fps, &out);
            if (t < 1.5)
                continue;
            sum += what == 2   ? turned(out.turns[0], real, 2)
                   : what == 1 ? z - out.wrist[2]
                               : x - out.wrist[0] / out.wrist[2] * z;
            n++;
        }
    }
    return 1000 * sum / n / speed;
}

static void print_lag(scene *s, const settings *o) {
    static const double smooth[] = {0.25, 0.5, 0.75, 1};
    static const double speeds[3][4] = {{0.1, 0.3, 1, 2}, {0.1, 0.3, 1, 2}, {0.5, 2, 5, 10}};
    static const char *const names[] = {"aside, m/s", "in depth, m/s", "turning, rad/s"};
    printf(
        "\n## Lag behind an even movement that began a second ago, ms, %g pictures a second\n",
        o->fps);
    for (int what = 0; what < 3; what++) {
        printf("| smooth \\ %s | %g | %g | %g | %g |\n|---|---|---|---|---|\n", names[what],
               speeds[what][0], speeds[what][1], speeds[what][2], speeds[what][3]);
        for (int k = 0; k < 4; k++) {
            printf("| %g |", smooth[k]);
            for (int i = 0; i < 4; i++)
                printf(" %.0f |", lag(s, o, smooth[k], what, speeds[what][i]));
            printf("\n");
        }
    }
}

/* How far the wrist is behind at most, mm, after it started from rest at `speed` m/s; no noise. */
static double gap_at_start(scene *s, const settings *o, double smooth, double speed) {
    wilor_filter_rules rules = wilor_filter_rules_for(smooth);
    wilor_hand_filter f = {.looks = 0};
    double most = 0;
    for (int i = 0; i < 3 * o->fps; i++) {
        double x = speed * fmax(i / o->fps - 1, 0);
        wilor_look in = {.wrist = {x, 0, 0.5}}, out;
        for (int j = 0; j < WILOR_MANO_JOINTS; j++)
            in.turns[j][3] = 1;
        wilor_hand_filter_step(&f, &rules, scene_mano(s), &in, 1 / o->fps, &out);
        most = fmax(most, x - out.wrist[0]);
    }
    return 1000 * most;
}

static void print_starts(scene *s, const settings *o) {
    static const double smooth[] = {0.25, 0.5, 0.75, 1}, speeds[] = {0.1, 0.3, 1, 2};
    printf("\n## Furthest behind after a start from rest, mm, %g pictures a second\n"
           "| smooth \\ m/s | 0.1 | 0.3 | 1 | 2 |\n|---|---|---|---|---|\n",
           o->fps);
    for (int k = 0; k < 4; k++) {
        printf("| %g |", smooth[k]);
        for (int i = 0; i < 4; i++)
            printf(" %.1f |", gap_at_start(s, o, smooth[k], speeds[i]));
        printf("\n");
    }
}

/* ---------------------------------------------------------------- error along a path, and from both sides */

typedef struct recording {
    int n;
    int64_t *time;
    float *truth, *cam_t, *orient, *pose, *betas, *points;
} recording;

static void keep(recording *r, const wilor_tracks *out, const scene_hand *h, int64_t time) {
    const wilor_hands *o = out->hands;
    size_t i = (size_t)r->n;
    if (o->n != 1)
        return;
    r->time[i] = time;
    for (size_t k = 0; k < 21; k++)
        for (size_t c = 0; c < 3; c++) /* truth in the camera frame */
            r->truth[63 * i + 3 * k + c] =
                (float)(h->points[3 * k + c] - h->points[c] + h->look.wrist[c]);
    memcpy(r->cam_t + 3 * i, o->cam_t, 3 * sizeof(float));
    memcpy(r->orient + 3 * i, o->global_orient, 3 * sizeof(float));
    memcpy(r->pose + 45 * i, o->hand_pose, 45 * sizeof(float));
    memcpy(r->betas + 10 * i, o->betas, 10 * sizeof(float));
    memcpy(r->points + 63 * i, o->keypoints_3d, 63 * sizeof(float));
    r->n++;
}

/* mm: [0] rms over all points aside (x, y), [1] in depth, [2] of the change of their error from picture
 * to picture, aside. */
static void errors(const recording *r, double out[3]) {
    double sum[3] = {0};
    for (size_t i = 0; i < (size_t)r->n; i++)
        for (size_t k = 0; k < 63; k++) {
            double e =
                (double)r->points[63 * i + k] + r->cam_t[3 * i + k % 3] - r->truth[63 * i + k];
            sum[k % 3 == 2] += e * e / (k % 3 == 2 ? 21 : 42);
            if (i > 0 && k % 3 != 2) {
                double before = (double)r->points[63 * (i - 1) + k] +
                                r->cam_t[3 * (i - 1) + k % 3] - r->truth[63 * (i - 1) + k];
                sum[2] += (e - before) * (e - before) / 42;
            }
        }
    for (int k = 0; k < 3; k++)
        out[k] = 1000 * sqrt(sum[k] / r->n);
}

static void record(scene *s, const settings *o, path go, double smooth, recording *r) {
    wilor_tracker *t = make(s, smooth, o->every);
    scene_noise noise = scene_usual();
    noise.flip = noise.twice = noise.invent = 0;
    scene_seed(s, o->seed);
    r->n = 0;
    for (int i = 0; i < o->seconds * o->fps; i++) {
        scene_hand hands[SCENE_MOST];
        double us;
        int64_t time = (int64_t)(i / o->fps * 1e9) + 1;
        scene_show(s, hands, go(i / o->fps, hands));
        keep(r, step(t, s, &noise, time, NULL, &us), hands, time);
    }
    wilor_tracker_free(&t);
}

static void print_row(const char *how, double smooth, const recording *r) {
    double e[3];
    errors(r, e);
    printf("| %s %g | %.1f | %.1f | %.2f |\n", how, smooth, e[0], e[1], e[2]);
}

/* Mean over the pictures of the bones' rms error, mm. */
static double bone_error(const recording *r) {
    double sum = 0;
    for (size_t i = 0; i < (size_t)r->n; i++)
        for (size_t k = 1; k < 21; k++) {
            size_t parent = k % 4 == 1 ? 0 : k - 1;
            double now = 0, real = 0;
            for (size_t c = 0; c < 3; c++) {
                const float *p = r->points + 63 * i, *t = r->truth + 63 * i;
                now += pow((double)p[3 * k + c] - p[3 * parent + c], 2);
                real += pow((double)t[3 * k + c] - t[3 * parent + c], 2);
            }
            sum += pow(sqrt(now) - sqrt(real), 2) / 20;
        }
    return 1000 * sqrt(sum / r->n);
}

/* What would be if the 21 points were filtered one by one, at the same cutoff. */
static void filter_points(recording *r, double smooth) {
    wilor_filter_rules rules = wilor_filter_rules_for(smooth);
    wilor_euro f[21] = {{.started = false}};
    for (size_t i = 0; i < (size_t)r->n; i++)
        for (size_t k = 0; k < 21; k++) {
            double x[3], dt = i > 0 ? (double)(r->time[i] - r->time[i - 1]) * 1e-9 : 1;
            for (size_t c = 0; c < 3; c++)
                x[c] = r->points[63 * i + 3 * k + c];
            wilor_euro_step(&f[k], &rules.place, 1, x, 3, dt);
            for (size_t c = 0; c < 3; c++)
                r->points[63 * i + 3 * k + c] = (float)f[k].value[c];
        }
}

static void print_bones(scene *s, const settings *o, recording *r) {
    printf("\n## Error of the bones' lengths along that path, mm rms\n| | |\n|---|---|\n");
    record(s, o, wave, 0, r);
    printf("| unfiltered | %.2f |\n", bone_error(r));
    filter_points(r, 0.5);
    printf("| points filtered one by one, 0.5 | %.2f |\n", bone_error(r));
    record(s, o, wave, 0.5, r);
    printf("| parameters filtered, 0.5 | %.2f |\n", bone_error(r));
}

static void print_errors(scene *s, const settings *o) {
    static const double smooth[] = {0.25, 0.5, 0.75, 1};
    size_t most = (size_t)(o->seconds * o->fps) + 1;
    wilor_error err;
    float *all = wilor_heap_alloc(most, (63 + 3 + 3 + 45 + 10 + 63) * sizeof *all);
    recording r = {.time = wilor_heap_alloc(most, sizeof *r.time), .truth = all};
    if (!all || !r.time)
        exit(1);
    r.cam_t = all + 63 * most;
    r.orient = r.cam_t + 3 * most;
    r.pose = r.orient + 3 * most;
    r.betas = r.pose + 45 * most;
    r.points = r.betas + 10 * most;
    printf("\n## Error of all points of a hand that moves (0.7 Hz, 0.5 m/s, turning, bending), "
           "mm rms\n"
           "| | aside | in depth | from picture to picture, aside |\n|---|---|---|---|\n");
    record(s, o, wave, 0, &r);
    print_row("smooth", 0, &r);
    for (int k = 0; k < 4; k++) {
        record(s, o, wave, smooth[k], &r);
        print_row("smooth", smooth[k], &r);
    }
    for (int k = 0; k < 4; k++) {
        record(s, o, wave, 0, &r);
        wilor_track_series series = {.struct_size = sizeof series,
                                     .n = r.n,
                                     .side = WILOR_RIGHT,
                                     .time_ns = r.time,
                                     .cam_t = r.cam_t,
                                     .global_orient = r.orient,
                                     .hand_pose = r.pose,
                                     .betas = r.betas,
                                     .keypoints_3d = r.points};
        must(wilor_track_series_smooth(scene_mano(s), &series, smooth[k], &err), &err);
        print_row("from both sides", smooth[k], &r);
    }
    print_bones(s, o, &r);
    wilor_heap_free(all);
    wilor_heap_free(r.time);
}

/* ---------------------------------------------------------------- main */

static int read_settings(settings *o, int argc, char **argv) {
    *o = (settings){0.5, 30, 60, 1, 5, WILOR_BENCH_HAND};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--smooth") == 0)
            o->smooth = atof(value);
        else if (strcmp(argv[i], "--fps") == 0)
            o->fps = atof(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            o->seconds = atof(value);
        else if (strcmp(argv[i], "--seed") == 0)
            o->seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--detect-every") == 0)
            o->every = atoi(value);
        else if (strcmp(argv[i], "--hand") == 0)
            o->hand = value;
        else
            return 0;
    }
    return argc % 2 == 1 && o->fps > 0 && o->fps <= 1000 && o->seconds > 3 &&
           o->seconds <= 3600;
}

int main(int argc, char **argv) {
    settings o;
    wilor_error err;
    if (!read_settings(&o, argc, argv)) {
        fprintf(stderr, "usage: bench_tracking [--smooth S] [--fps N] [--seconds N (over 3)] "
                        "[--seed N] [--detect-every N] [--hand NPZ]\n");
        return 2;
    }
    scene *s = scene_open(o.hand, &err);
    if (!s) {
        fprintf(stderr, "bench_tracking: %s\n", err.text);
        return 1;
    }
    print_ids(s, &o);
    print_jitter(s, &o);
    print_lag(s, &o);
    print_starts(s, &o);
    print_errors(s, &o);
    scene_close(s);
    return 0;
}
