/* Monotonic time. */
#ifndef WILOR_CLOCK_H
#define WILOR_CLOCK_H

#include <stdint.h>

uint64_t wilor_clock_ns(void);

#endif
