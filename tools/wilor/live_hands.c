#include "live_hands.h"

#include <string.h>

#define COPY(to, from, i)                                                                      \
    memcpy(to, (from) + (size_t)(i) * (sizeof(to) / sizeof(float)), sizeof(to))

/* A hand that is not seen has joints where it should be: valid, not tracked. */
static void mark_predicted(wilor_cli_live_hand *h) {
    for (int i = 0; i < WILOR_CLI_XR_JOINTS; i++)
        h->xr26[i].flags &= 3;
}

void wilor_cli_live_hand_keep(wilor_cli_live_hand *to, const wilor_cli_live_hand *from) {
    to->id = from->id;
    to->state = from->state;
    to->age_ns = from->age_ns;
    to->has_velocity = from->has_velocity;
    memcpy(to->velocity, from->velocity, sizeof to->velocity);
    memcpy(to->angular_velocity, from->angular_velocity, sizeof to->angular_velocity);
    if (to->state == WILOR_CLI_PREDICTED)
        mark_predicted(to);
}

int wilor_cli_live_tracks_fill(wilor_cli_live_hand *to, int most, const wilor_model *model,
                               const wilor_tracks *tracks, unsigned include) {
    int n = 0;
    for (int i = 0; i < tracks->hands->n && n < most; i++) {
        if (tracks->hands->failed[i])
            continue;
        wilor_cli_live_hand *h = &to[n++];
        wilor_cli_live_hand_fill(h, model, tracks->hands, i, include);
        h->id = tracks->id[i];
        h->state = (wilor_cli_hand_state)tracks->state[i];
        h->age_ns = tracks->age_ns[i];
        h->has_velocity = true;
        COPY(h->velocity, tracks->velocity, i);
        COPY(h->angular_velocity, tracks->spin, i);
        if (h->state == WILOR_CLI_PREDICTED)
            mark_predicted(h);
    }
    return n;
}
