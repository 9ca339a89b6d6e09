/* The side head: a card's logits against the processor's and against what the card's own tokens say, in which
 * runs there are any, and the second look at hands of a picture. */
#include "../support/convert_file.h"
#include "../support/extend_file.h"
#include "backend_cpu.h"
#include "backend_cuda.h"
#include "compare_pose.h"
#include "random_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CROP_FLOATS = 256 * 256 * 3, MOST = 16 };

/* Of a logit: sums of 18 · D products in float32, in another order. In 16 bits they are off by 1e-3, another hand's
 * is further away, too. */
static const double SUM = 4e-6;

static void tell(bool ok, const char *what) {
    printf("%s %s\n", ok ? "ok  " : "FAIL", what);
    g_compare_failed += !ok;
}

/* ---------------------------------------------------------------- a file with a head */

/* --weights with a head of noise at --headed, to be used in their place. The bias makes each crop a mirror image's, so
 * that all are asked twice. */
static void write_headed(compare_options *o) {
    char plain[1024];
    const float bias = -9;
    wilor_error err;
    snprintf(plain, sizeof plain, "%s.plain", o->headed);
    compare_need(
        convert_file(o->weights, plain, WILOR_WEIGHTS_CHECKPOINT, WILOR_WEIGHTS_F32, 0, &err),
        &err, "a file of the weights");
    wilor_model *m = compare_open_model(o, "cpu", WILOR_DTYPE_F32);
    int inputs = WILOR_LEAD * m->info.width;
    float *weight = compare_alloc((size_t)inputs * sizeof *weight);
    wilor_model_free(&m);
    wilor_random_fill("side_head.weight", 3, 0.05f, 0, 0, (size_t)inputs, weight);
    const extra head[2] = {side_head_weight(weight, inputs), side_head_bias(&bias, 1)};
    if (!extend_file(plain, o->headed, head, 2)) {
        printf("FAIL %s cannot be written\n", o->headed);
        exit(2);
    }
    remove(plain);
    free(weight);
    o->weights = o->headed;
}

/* ---------------------------------------------------------------- runs */

/* What the session's arrays hold then; logit: NULL, or room for n. */
static void run(compare_pose *s, const float *rgb, int n, float *logit) {
    wilor_error err;
    wilor_session *to = s->session;
    wilor_backend_result r = wilor_session_result(to, 0, logit);
    for (int i = 0; logit && i < n; i++)
        logit[i] = INFINITY;
    compare_need(s->model->backend->run(to->work, rgb, NULL, n, NULL, &r, &err), &err, "a run");
}

/* How far a logit may be off: `tokens` of each of 18 · D numbers at most, as noise. */
static double allowed_logit(const compare_options *o, const compare_pose *cpu) {
    const wilor_vit *v = &((const wilor_cpu_model *)cpu->model->network)->vit;
    double squares = 0;
    for (int i = 0; i < WILOR_LEAD * v->width; i++)
        squares += (double)v->side_weight[i] * v->side_weight[i];
    return compare_allowed(o, cpu->model->info.depth).tokens * sqrt(squares);
}

static void match(const char *what, const float *got, const float *want, int n, double limit) {
    float none[MOST] = {0}, apart[MOST];
    for (int i = 0; i < n; i++)
        apart[i] = got[i] - want[i]; /* a bias is no measure of them */
    compare_numbers(what, apart, none, (size_t)n, limit);
}

/* Every number of hands, however they are shared out over cards. */
static void compare_logits(compare_pose *cpu, compare_pose *card, const float *rgb,
                           const compare_options *o) {
    float want[MOST], got[MOST];
    double limit = allowed_logit(o, cpu);
    for (int n = 1; n <= o->hands; n++) {
        run(cpu, rgb, n, want);
        run(card, rgb, n, got);
        match("side logits", got, want, n, limit);
    }
    for (int i = 0; i + 1 < o->hands; i++)
        tell(fabsf(want[i] - want[i + 1]) > 4 * SUM * fabsf(want[i]),
             "hands' logits are apart");
}

/* ---------------------------------------------------------------- of the card's own tokens */

typedef struct leads {
    const wilor_vit *vit;
    int each, n;
    float logit[MOST];
} leads;

/* A hand's leading tokens by the head, in double. */
static void take_leads(void *context, const char *stage, int block, const float *data, int rows,
                       int cols) {
    leads *l = context;
    (void)block;
    if (strcmp(stage, "tokens_out"))
        return;
    for (int row = 0; row < rows && l->n < MOST; row += l->each) {
        double sum = *l->vit->side_bias;
        for (int i = 0; i < WILOR_LEAD * cols; i++)
            sum +=
                (double)l->vit->side_weight[i] * data[(size_t)row * (size_t)cols + (size_t)i];
        l->logit[l->n++] = (float)sum;
    }
}

/* Whatever the blocks' arithmetic, the head's is float32; a graph's run gives the same bits. */
static void compare_own(compare_pose *cpu, compare_pose *card, const float *rgb,
                        const compare_options *o) {
    const wilor_cuda_table *table;
    void *inside, *model;
    float traced[MOST], got[MOST];
    leads l = {.vit = &((const wilor_cpu_model *)cpu->model->network)->vit,
               .each = o->full_path ? WILOR_TOKENS : WILOR_LEAD + 4};
    wilor_cuda_session_inside(card->session->work, &table, &inside, &model);
    table->session_trace(inside, take_leads, &l);
    run(card, rgb, o->hands, traced);
    table->session_trace(inside, NULL, NULL);
    compare_numbers("logits of own tokens", traced, l.logit, (size_t)o->hands, SUM);
    run(card, rgb, o->hands, got);
    compare_numbers("logits, graph as traced", got, traced, (size_t)o->hands, 0);
}

/* ---------------------------------------------------------------- who asks, and who has one */

static float *kept_hands(const compare_pose *s, int n, size_t *count) {
    size_t verts = (size_t)n * (size_t)s->model->info.vertices * 3, turns = (size_t)n * 144;
    float *kept = compare_alloc((verts + turns) * sizeof *kept);
    memcpy(kept, s->session->vertices_3d, verts * sizeof *kept);
    memcpy(kept + verts, s->session->rotation, turns * sizeof *kept);
    *count = verts + turns;
    return kept;
}

static void same_hands(const char *what, const compare_pose *s, int n, const float *want,
                       double limit) {
    size_t count;
    float *got = kept_hands(s, n, &count);
    compare_numbers(what, got, want, count, limit);
    free(got);
}

/* Between two sessions: a card's products are chosen by time when one opens, the emulated card's are not. */
static double between_sessions(const compare_pose *card, const compare_options *o) {
    const wilor_cuda_table *table;
    void *inside, *model;
    wilor_cuda_session_inside(card->session->work, &table, &inside, &model);
    return strstr(table->name, "emulated")
               ? 0
               : 2 * compare_allowed(o, card->model->info.depth).outputs;
}

/* Nobody's hands change by the head: neither of a run that does not ask, nor of weights without one, whose logits
 * are none. */
static void compare_absent(compare_pose *card, const float *rgb, const char *plain,
                           const compare_options *o) {
    compare_options own = *o;
    compare_pose without;
    size_t count;
    float logit[MOST];
    int none = 0;
    run(card, rgb, o->hands, logit);
    float *kept = kept_hands(card, o->hands, &count);
    run(card, rgb, o->hands, NULL);
    same_hands("hands, not asked", card, o->hands, kept, 0);
    own.weights = plain;
    if (plain) {
        compare_open_pose(&without, &own, o->device, o->dtype);
        tell(!without.model->backend->tells_side(without.model->network), "no head, no sides");
        tell(!without.session->side_logit, "no head, no second look");
        run(&without, rgb, o->hands, logit);
        for (int i = 0; i < o->hands; i++)
            none += isnan(logit[i]) != 0;
        tell(none == o->hands, "no head, no logits");
        same_hands("hands without a head", &without, o->hands, kept, between_sessions(card, o));
        compare_close_pose(&without);
    }
    free(kept);
}

/* A hand that needs more patches: its logit is that of the lean pass, of other tokens' memory now. */
static void compare_wide_logits(compare_pose *cpu, compare_pose *card, const float *rgb,
                                const compare_options *o) {
    float want[MOST], got[MOST];
    run(card, rgb, o->hands, want);
    compare_shift_cameras(cpu, card, 3);
    run(cpu, rgb, o->hands, got);
    tell(((wilor_cpu_session *)cpu->session->work)->corner[0] > WILOR_CORNER_LEAST,
         "hands that need more patches");
    run(card, rgb, o->hands, got);
    compare_numbers("their logits", got, want, (size_t)o->hands, o->full_path ? SUM : 0);
}

void compare_sides(const compare_options *o) {
    compare_options own = *o;
    compare_pose cpu, card;
    const char *plain = o->headed ? o->weights : NULL;
    own.hands = o->hands < MOST ? o->hands : MOST;
    if (o->headed)
        write_headed(&own);
    float *rgb = compare_open_both(&cpu, &card, &own);
    tell(card.model->backend->tells_side(card.model->network), "a head");
    tell(cpu.model->info.parameters == card.model->info.parameters, "its numbers count");
    compare_logits(&cpu, &card, rgb, &own);
    if (!strchr(card.model->info.device, ','))
        compare_own(&cpu, &card, rgb, &own);
    compare_absent(&card, rgb, plain, &own);
    if (!o->full_path)
        compare_wide_logits(&cpu, &card, rgb, &own);
    compare_close_both(&cpu, &card, rgb);
}

/* ---------------------------------------------------------------- the second look */

enum { BOXES = 4 };

static const wilor_box boxes[BOXES] = {
    {{200, 150, 290, 260}, 1, WILOR_RIGHT}, /* inside */
    {{30.25, 40.5, 71, 90}, 1, WILOR_LEFT}, /* mirrored, small */
    {{590, -30, 700, 40}, 1, WILOR_RIGHT},  /* over a corner */
    {{100, 60, 420, 400}, 1, WILOR_LEFT}    /* large: smoothed by the processor */
};

static const wilor_hands *doubt(compare_pose *s, const wilor_picture *picture,
                                const float *odds) {
    wilor_error err;
    const wilor_hands *h;
    compare_need(wilor_predict_doubted(s->session, picture, boxes, odds, BOXES, NULL, &h, &err),
                 &err, "hands whose side is doubted");
    return h;
}

/* Odds with which every other hand that is asked turns, each time the others; returns how many are asked. */
static int odds_between(const wilor_session *s, double margin, int turn, float *odds,
                        bool *turns) {
    int asked = 0;
    for (int i = 0; i < BOXES; i++) {
        bool asks = s->side_logit[i] < 0;
        float above = asks ? s->second.side_logit[asked] - s->side_logit[i] : 0;
        turns[i] = asks && asked % 2 == turn;
        odds[i] = above + (float)(turns[i] ? -margin : margin);
        asked += asks;
    }
    return asked;
}

static void compare_turned(compare_pose *cpu, compare_pose *card, const wilor_picture *picture,
                           const compare_options *o) {
    const float never[BOXES] = {1e9f, 1e9f, 1e9f, 1e9f};
    const double margin = 3 * allowed_logit(o, cpu);
    compare_tolerances t = compare_allowed(o, cpu->model->info.depth);
    float first[BOXES], second[BOXES], odds[2][BOXES];
    bool turns[2][BOXES];
    doubt(cpu, picture, never);
    int asked = odds_between(cpu->session, margin, 0, odds[0], turns[0]);
    odds_between(cpu->session, margin, 1, odds[1], turns[1]);
    memcpy(first, cpu->session->side_logit, sizeof first);
    memcpy(second, cpu->session->second.side_logit, sizeof second);
    tell(asked >= 2, "hands that are asked twice");
    for (int k = 0; k < 2; k++) {
        const wilor_hands *want = doubt(cpu, picture, odds[k]);
        const wilor_hands *got = doubt(card, picture, odds[k]);
        int right = 0;
        for (int i = 0; i < BOXES; i++)
            right += got->side[i] == want->side[i] &&
                     (got->side[i] != (uint8_t)boxes[i].side) == turns[k][i];
        tell(right == BOXES, "sides");
        match("logits", card->session->side_logit, first, BOXES, margin / 3);
        match("logits of the other sides", card->session->second.side_logit, second, asked,
              margin / 3);
        compare_hands(got, want, &t);
        compare_numbers("points (pixels)", got->keypoints_2d, want->keypoints_2d, BOXES * 42,
                        t.outputs);
    }
}

void compare_turns(const compare_options *o) {
    compare_options own = *o;
    compare_pose cpu, card;
    wilor_picture picture;
    uint8_t *pixels = compare_make_picture(&picture, o);
    if (o->headed)
        write_headed(&own);
    own.hands = BOXES;
    compare_open_pose(&cpu, &own, "cpu", WILOR_DTYPE_F32);
    compare_open_pose(&card, &own, o->device, o->dtype);
    compare_turned(&cpu, &card, &picture, &own);
    compare_close_pose(&cpu);
    compare_close_pose(&card);
    free(pixels);
}
