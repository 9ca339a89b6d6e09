/* The peak rates of this machine: what a fraction of peak in docs/performance.md is a fraction of.
 *
 * One probe an instruction, in inline assembly on random operands, and one for reading memory. All threads
 * start together, each on a core of its own where the system lets them be placed; each counts its own
 * work over its own time, after a fifth of it to get warm; the rates are added. */
#ifndef WILOR_PEAK_PROBE_H
#define WILOR_PEAK_PROBE_H

#include <stdbool.h>

typedef struct wilor_probe {
    const char *name;        /* "f32-avx512", "memory" */
    const char *dtype;       /* "f32", "bf16", "int8", "memory" */
    const char *instruction; /* "vfmadd231ps zmm" */
    const char *unit;        /* "GFLOP/s", "GOP/s", "GB/s" */
} wilor_probe;

typedef struct wilor_probe_rate {
    double rate;             /* of all threads together, 10⁹ a second; always above 0 */
    double slowest, fastest; /* of a single thread */
} wilor_probe_rate;

typedef enum wilor_probe_status {
    WILOR_PROBE_DONE = 0,
    WILOR_PROBE_ABSENT = 1, /* not on this processor, or the system does not allow it */
    WILOR_PROBE_FAILED = 2  /* no memory, no thread, or sums that are not numbers */
} wilor_probe_status;

enum { WILOR_PROBE_MOST_THREADS = 1024 };

/* Probes of this processor's family; the last one reads memory. */
int wilor_probe_count(void);
/* NULL: no such index. */
const wilor_probe *wilor_probe_at(int index);
bool wilor_probe_here(int index);

/* The best probe here for the arithmetic of a wilor dtype, or -1: f32 and f32x are float32, int4 is int8,
 * bf16 is float32 where there are no such instructions. */
int wilor_probe_for(const char *dtype);

/* The probe of the instructions that a kernel uses: "int8 avx512vnni", "bf16 amx", or "f32" with the tier it
 * belongs to. Where there is none, the best for its arithmetic. */
int wilor_probe_for_kernel(const char *kernel, const char *tier);

/* Runs for about `seconds` (the memory probe also fills its buffers). *out is zeroed unless DONE. */
wilor_probe_status wilor_probe_run(int index, int threads, double seconds,
                                   wilor_probe_rate *out);

#endif
