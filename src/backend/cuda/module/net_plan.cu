/* See net_plan.h. */
#include "net_plan.h"

#include "device.h"
#include "kernels_conv.h"

namespace wilor_cuda {

/* ---------------------------------------------------------------- blocks */

/* What a cut costs, in rows that a multiprocessor fetches (one of 64 deep is some 3 clocks): a step's
 * latency, the tiles' rows, what is done with the sums, and the parts' way through memory. Guesses. */
static long cost_of(int tile, int steps, int parts, int blocks, int multiprocessors) {
    long each = (blocks * parts + multiprocessors - 1) / multiprocessors;
    long cost = (long)steps * (48 + each * (CONV_PIXELS + tile)) + each * tile * 3;
    return parts == 1 ? cost : cost + 600 + (long)parts * tile * 2;
}

static bool by_eights(const plan_query *q, const wilor_net_step *s) {
    int channels = (*q->maps)[(size_t)s->in.map].channels;
    return s->inputs % CONV_VECTOR == 0 && s->in.channel % CONV_VECTOR == 0 &&
           channels % CONV_VECTOR == 0 && s->size <= CONV_MOST_SIZE;
}

static void cut(const plan_query *q, const wilor_net_step *s, step_plan *best) {
    static const int tiles[] = {64, 48, 32};
    int shift = (*q->maps)[(size_t)s->out.map].shift;
    size_t pixels = (size_t)(q->width >> shift) * (size_t)(q->height >> shift);
    int steps = (int)parts((size_t)(s->size * s->size * s->inputs), CONV_DEPTH);
    long least = -1;
    if (s->pool || q->plain || !by_eights(q, s))
        return;
    for (int tile : tiles)
        for (int n = 1; n <= CONV_MOST_PARTS && n <= steps; n++) {
            int blocks =
                (int)(parts(pixels, CONV_PIXELS) * parts((size_t)s->outputs, (size_t)tile));
            int each = (steps + n - 1) / n;
            long cost = cost_of(tile, each, n, blocks, q->multiprocessors);
            if ((steps + each - 1) / each != n || (least >= 0 && cost >= least))
                continue;
            least = cost;
            best->outputs = tile;
            best->tiles = blocks;
            best->parts = n;
            best->part_steps = each;
        }
}

size_t plan_work(const step_plan *p) {
    return p->parts > 1 ? (size_t)p->tiles * (size_t)(p->parts * p->outputs * CONV_PIXELS) : 0;
}

/* ---------------------------------------------------------------- lanes */

enum { MOST_LANES = 12 };

/* Channels of a map. */
struct range {
    int map, from, to;
};

static range slice_range(wilor_net_slice s, int channels) {
    return {s.map, s.channel, s.channel + channels};
}

static std::vector<range> read_by(const wilor_net_step *s) {
    return {slice_range(s->in, s->pool ? s->channels : s->inputs),
            slice_range(s->added, s->outputs)};
}

static std::vector<range> written_by(const wilor_net_step *s) {
    return {slice_range(s->out, s->pool ? 3 * s->channels : s->outputs),
            slice_range(s->twice, s->outputs)};
}

static bool meet(const std::vector<range> &a, const std::vector<range> &b) {
    for (const range &x : a)
        for (const range &y : b)
            if (x.map >= 0 && x.map == y.map && x.from < y.to && y.from < x.to)
                return true;
    return false;
}

static bool must_follow(const wilor_net_step *s, const wilor_net_step *earlier) {
    return meet(read_by(s), written_by(earlier)) || meet(written_by(s), written_by(earlier)) ||
           meet(written_by(s), read_by(earlier));
}

typedef std::vector<bool> step_set;

/* A lane whose last step is before this one anyhow, the latest of them; else a new lane. */
static size_t choose_lane(const std::vector<int> &last, const step_set &before) {
    size_t best = last.size();
    for (size_t l = 0; l < last.size(); l++)
        if (before[(size_t)last[l]] && (best == last.size() || last[l] > last[best]))
            best = l;
    return best < MOST_LANES ? best : 0;
}

static step_set all_before(const step_set &direct, const std::vector<step_set> &before) {
    step_set all = direct;
    for (size_t j = 0; j < direct.size(); j++)
        for (size_t k = 0; direct[j] && k < j; k++)
            all[k] = all[k] || before[j][k];
    return all;
}

/* All steps follow the first, which follows the input. What another step waits for is not waited for. */
static void find_lanes(const std::vector<wilor_net_step> &steps, std::vector<step_plan> *to) {
    std::vector<step_set> before(steps.size());
    std::vector<int> last; /* step of each lane */
    for (size_t i = 0; i < steps.size(); i++) {
        step_set direct(steps.size(), false);
        for (size_t j = 0; j < i; j++)
            direct[j] = j == 0 || must_follow(&steps[i], &steps[j]);
        size_t lane = choose_lane(last, all_before(direct, before));
        if (lane == last.size())
            last.push_back((int)i);
        else
            direct[(size_t)last[lane]] = true;
        last[lane] = (int)i;
        before[i] = all_before(direct, before);
        (*to)[i].lane = (int)lane;
        for (size_t j = 0; j < i; j++) {
            bool needed = direct[j] && (*to)[j].lane != (int)lane;
            for (size_t k = j + 1; k < i; k++)
                needed = needed && !(direct[k] && before[k][j]);
            if (needed)
                (*to)[i].after.push_back((int)j);
        }
    }
}

std::vector<step_plan> plan_steps(const plan_query *q) {
    std::vector<step_plan> plan(q->steps->size());
    for (size_t i = 0; i < plan.size(); i++)
        cut(q, &(*q->steps)[i], &plan[i]);
    find_lanes(*q->steps, &plan);
    return plan;
}

} // namespace wilor_cuda
