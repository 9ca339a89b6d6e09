/* a·b + c rounded once, in float.
 *
 * MinGW's fmaf works in the x87's registers and rounds twice. Here, on Windows: the product is exact in double; the
 * sum is rounded to odd there, which the second rounding cannot see (Boldo and Melquiond, Emulation of FMA and
 * correctly rounded sums, 2008). */
#ifndef WILOR_FUSED_H
#define WILOR_FUSED_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float wilor_fmaf(float a, float b, float c) {
#if defined(_WIN32)
    double product = (double)a * (double)b, sum = product + (double)c;
    double part = sum - product;
    double lost = (product - (sum - part)) + ((double)c - part); /* what sum lacks, exactly */
    if (lost < 0 || lost > 0) {
        int64_t bits;
        memcpy(&bits, &sum, sizeof bits);
        if (!(bits & 1))
            bits += (lost > 0) == (sum > 0) ? 1 : -1;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
#else
    return fmaf(a, b, c);
#endif
}

#endif
