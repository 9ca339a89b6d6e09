/* Items worked on by several threads at once and given out in their order. */
#ifndef WILOR_CLI_LANES_H
#define WILOR_CLI_LANES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct wilor_cli_lanes {
    int lanes;    /* threads, the caller's counted in */
    size_t count; /* items */
    size_t
        window; /* at least 1: no item is begun that is so many after one not given out yet */
    size_t slot_size; /* bytes of a result; zeroed once, before the first use */
    void *user;
    /* Make the result of an item; on any lane, several at once. */
    void (*work)(void *user, int lane, size_t item, void *slot);
    /* Take the result and leave the slot zeroed; one at a time, in the order of the items, on
     * whichever lane completes the next. False: begin and give out nothing more. */
    bool (*emit)(void *user, size_t item, void *slot);
    /* Throw a result away that was not given out. */
    void (*drop)(void *user, void *slot);
    /* Whether to begin no more items: those at work are finished and given out. Any lane. */
    bool (*stop)(void *user);
} wilor_cli_lanes;

/* Returns when all is done. False: no memory, and nothing was begun. Where the system gives fewer
 * threads, fewer do it. */
bool wilor_cli_lanes_run(const wilor_cli_lanes *job);

#endif
