/* The bursts of instructions behind peak_probe.h, one list for the processor this is built for. */
#ifndef WILOR_PEAK_BURSTS_H
#define WILOR_PEAK_BURSTS_H

#include "peak_probe.h"
#include <stddef.h>

enum { WILOR_BURST_IN = 4096, WILOR_BURST_OUT = 4096 };

/* What the operands are filled with: random numbers of ordinary size, since zeros draw less power and
 * clock higher. INT7: within ±63, so that two products with unsigned bytes stay within 16 bits. */
typedef enum wilor_burst_operands {
    WILOR_BURST_F32,
    WILOR_BURST_BF16,
    WILOR_BURST_INT8,
    WILOR_BURST_INT7
} wilor_burst_operands;

typedef struct wilor_burst {
    wilor_probe probe;
    /* The processor has it and the system keeps its registers. */
    bool (*here)(void);
    /* Starts from zero sums: operands from in, WILOR_BURST_IN bytes; sums to out, as many bytes as
     * `sums`. Both begin at multiples of 64. Takes some ten to some hundred microseconds. */
    void (*run)(const void *in, void *out);
    double operations; /* of a burst; a multiplication and its addition are two */
    size_t sums;
    wilor_burst_operands operands;
} wilor_burst;

/* The better one of a dtype behind the worse; *count may be 0. */
const wilor_burst *wilor_burst_list(int *count);

#endif
