/* Live events of made-up numbers, for the tests of what becomes of them. */
#ifndef WILOR_TEST_MADE_EVENT_H
#define WILOR_TEST_MADE_EVENT_H

#include "live_event.h"

enum { MADE_HANDS = 3, MADE_VERTICES = 778 };

typedef struct made_event {
    wilor_cli_live_event event;
    wilor_cli_live_hand hands[MADE_HANDS];
    wilor_cli_live_model model;
    uint32_t lost[2];
    float vertices[MADE_HANDS][MADE_VERTICES * 3];
} made_event;

/* Every field another number. The first hand is right, the second left; the rotations are such: parts of them
 * within a quarter turn. The same seed, the same event. */
void made_event_fill(made_event *m, unsigned seed);

/* -1 … 1, of a generator that a seed starts. */
float made_number(uint64_t *state);

#endif
