/* What a measurement was made on, as far as the system says, and the three numbers that stand for many. */
#ifndef WILOR_MACHINE_FACTS_H
#define WILOR_MACHINE_FACTS_H

#include <stddef.h>

/* The processor's name; "unknown processor". */
void wilor_machine_cpu(char *name, size_t size);
/* "Release, -O3 -DNDEBUG": how this was built. */
const char *wilor_machine_build(void);

/* One CPU (the first hyperthread) of each core that this process may use: how many, and the first `most`
 * of their numbers. 0 where the system does not say. */
int wilor_machine_cores(int *cpus, int most);
/* CPUs of the affinity mask, hyperthreads counted; 0: unknown. */
int wilor_machine_affinity(void);
/* CPUs that the cgroup's quota allows, in fractions; 0: no quota. */
double wilor_machine_quota(void);

/* Last-level cache; 64 MB where the system does not say. */
double wilor_machine_cache_bytes(void);
/* Memory that could be had; 0: unknown. */
double wilor_machine_free_bytes(void);
/* Largest resident size of this process so far, 10⁶ bytes; 0: unknown. */
double wilor_machine_peak_mb(void);

/* Sorts n >= 1 times and gives the minimum, the median and the 90th percentile (nearest rank). */
void wilor_machine_quantiles(double *times, int n, double out[3]);

#endif
