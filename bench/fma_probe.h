/* The peak rate of fused multiply-adds on this machine, by inline assembly: what a fraction of
 * peak in docs/performance.md is a fraction of. */
#ifndef WILOR_FMA_PROBE_H
#define WILOR_FMA_PROBE_H

/* GFLOP/s of float32 FMAs with the widest vectors of this processor, over all `threads` at
 * once, for about `seconds`. 0 where there is no probe for the processor. */
double fma_probe(int threads, double seconds);

#endif
