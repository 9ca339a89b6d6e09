/* Lanes: each takes the next item, works, puts the result into the item's slot of a ring, and then
 * gives out what is next in order, if no other lane is at that. A lane waits only when the ring is
 * full, that is, when an item is `window` behind it. */
#include "lanes.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct ring {
    const wilor_cli_lanes *job;
    unsigned char *slots;
    bool *full;     /* a slot holds a result */
    size_t next;    /* item to begin */
    size_t emitted; /* items given out */
    bool emitting, stopped;
    pthread_mutex_t lock;
    pthread_cond_t moved; /* emitted grew, or it is over */
} ring;

typedef struct lane {
    ring *r;
    int number;
    pthread_t thread;
    bool running;
} lane;

static void *slot_of(const ring *r, size_t item) {
    return r->slots + item % r->job->window * r->job->slot_size;
}

static bool over(const ring *r) {
    return r->stopped || r->next == r->job->count || r->job->stop(r->job->user);
}

/* Locked, but not during emit. A result that is completed meanwhile is seen by the loop. */
static void emit_ready(ring *r) {
    if (r->emitting)
        return;
    r->emitting = true;
    while (!r->stopped && r->emitted < r->next && r->full[r->emitted % r->job->window]) {
        size_t item = r->emitted;
        pthread_mutex_unlock(&r->lock);
        bool go_on = r->job->emit(r->job->user, item, slot_of(r, item));
        pthread_mutex_lock(&r->lock);
        r->full[item % r->job->window] = false;
        r->emitted = item + 1;
        r->stopped = !go_on;
        pthread_cond_broadcast(&r->moved);
    }
    r->emitting = false;
}

static void *run_lane(void *context) {
    const lane *l = context;
    ring *r = l->r;
    const wilor_cli_lanes *job = r->job;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!over(r) && r->next - r->emitted >= job->window)
            pthread_cond_wait(&r->moved, &r->lock);
        if (over(r))
            break;
        size_t item = r->next++;
        pthread_mutex_unlock(&r->lock);
        job->work(job->user, l->number, item, slot_of(r, item));
        pthread_mutex_lock(&r->lock);
        r->full[item % job->window] = true;
        emit_ready(r);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

bool wilor_cli_lanes_run(const wilor_cli_lanes *job) {
    ring r = {.job = job};
    lane *lanes = calloc((size_t)job->lanes, sizeof *lanes);
    r.slots = calloc(job->window, job->slot_size);
    r.full = calloc(job->window, sizeof *r.full);
    bool ok = lanes && r.slots && r.full && pthread_mutex_init(&r.lock, NULL) == 0;
    if (ok && pthread_cond_init(&r.moved, NULL) != 0) {
        pthread_mutex_destroy(&r.lock);
        ok = false;
    }
    for (int i = 0; ok && i < job->lanes; i++) {
        lanes[i] = (lane){.r = &r, .number = i};
        lanes[i].running =
            i > 0 && pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]) == 0;
    }
    if (ok) {
        run_lane(&lanes[0]);
        for (int i = 1; i < job->lanes; i++)
            if (lanes[i].running)
                pthread_join(lanes[i].thread, NULL);
        for (size_t i = 0; i < job->window; i++)
            if (r.full[i])
                job->drop(job->user, r.slots + i * job->slot_size);
        pthread_cond_destroy(&r.moved);
        pthread_mutex_destroy(&r.lock);
    }
    free(r.full);
    free(r.slots);
    free(lanes);
    return ok;
}
