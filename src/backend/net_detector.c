/* The detector's program for a device. */
#include "net_detector.h"

#include "heap.h"

#include <string.h>

static wilor_net_slice slice(wilor_yolo_slice s) { return (wilor_net_slice){s.map, s.channel}; }

static wilor_net_step describe(const wilor_yolo_program *p, const wilor_yolo_step *s,
                               const wilor_yolo_folded *convs) {
    wilor_net_step to = {.pool = s->op == WILOR_YOLO_POOL,
                         .in = slice(s->in),
                         .out = slice(s->out),
                         .added = slice(s->added),
                         .twice = slice(s->twice),
                         .channels = s->channels};
    if (to.pool)
        return to;
    const wilor_yolo_conv *c = &p->convs[s->conv];
    to.inputs = c->in;
    to.outputs = c->out;
    to.size = c->size;
    to.stride = s->stride;
    to.silu = convs[s->conv].silu;
    to.weights = convs[s->conv].weight;
    to.bias = convs[s->conv].bias;
    return to;
}

wilor_net_described *wilor_net_describe(const wilor_yolo_program *p,
                                        const wilor_yolo_folded *convs) {
    wilor_net_described *d = wilor_heap_alloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->program = (wilor_net_program){.map_count = p->map_count,
                                     .step_count = p->step_count,
                                     .input = p->input,
                                     .maps = d->maps,
                                     .steps = d->steps};
    memcpy(d->program.head, p->head, sizeof d->program.head);
    for (int i = 0; i < p->map_count; i++)
        d->maps[i] = (wilor_net_map){p->maps[i].shift, p->maps[i].channels};
    for (int i = 0; i < p->step_count; i++)
        d->steps[i] = describe(p, &p->steps[i], convs);
    return d;
}
