/* Convolutions of bfloat16 maps: one table a processor that multiplies bfloat16, and plain C.
 *
 * Maps are channels last. A call multiplies 32 pixels, two runs of 16 neighbours, by 32 outputs over the
 * whole depth; what it needs of a pixel are pieces of neighbouring numbers (of a 3 × 3 convolution nine,
 * or three where a row's three pixels lie behind each other), read where they lie, 32 numbers at a time: a
 * tile of the matrix unit is loaded with the distance between pixels as its stride, so that nothing is
 * copied and a stride of 2 costs nothing. Where a piece is no multiple of 32 the weights behind its end
 * are zero, and what lies there is read all the same: it has to be memory that holds finite numbers. So
 * finish writes nothing else, whatever the sums were.
 *
 * Rules as in kernels.h: no memory taken, no failure, results that depend on nothing but the numbers. */
#ifndef WILOR_CONV16_H
#define WILOR_CONV16_H

#include "kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    WILOR_CONV16_RUN = 16,   /* pixels of a run, outputs of a tile of weights */
    WILOR_CONV16_DEPTH = 32, /* numbers of a step */
    WILOR_CONV16_TILE = 512, /* numbers of a tile of weights */
    WILOR_CONV16_SIDE = 32   /* pixels and outputs of a call */
};

typedef struct wilor_conv16_call {
    const uint16_t *a[2];    /* the runs' first pixels, 16 are read of each; both are set */
    int runs;                /* 1 or 2 */
    size_t step;             /* numbers between neighbouring pixels */
    const ptrdiff_t *offset; /* of each piece from its pixel, numbers */
    int pieces;
    size_t steps;      /* of 32 numbers, a piece */
    const uint16_t *b; /* [piece][step][tile][32 / group][16 outputs][group], 64-byte aligned */
    int tiles;         /* 1 or 2: of 16 outputs */
    float *sums;       /* [2][16][32], 64-byte aligned: of the runs and tiles that there are */
} wilor_conv16_call;

/* What becomes of rows × cols sums, cols <= 32. */
typedef struct wilor_conv16_end {
    const float *sums; /* [rows][32] */
    int rows, cols;
    const float *bias;     /* 32 readable numbers */
    bool silu;             /* x / (1 + e^-x) of sum + bias */
    const uint16_t *added; /* afterwards, from maps; NULL: nothing */
    size_t lda;
    uint16_t *out; /* rows ldo numbers apart; nothing beside rows × cols is written */
    size_t ldo;
} wilor_conv16_end;

typedef struct wilor_conv16 {
    const char *name;
    bool quick; /* quicker than float32: worth taking without being asked */
    int group;  /* numbers of depth that lie together in b: 2 or 4 */
    /* NULL, or as in dot.h: before a thread's use; after the last of the thread that goes back to others. */
    void (*begin)(void);
    void (*end)(void);
    void (*multiply)(const wilor_conv16_call *c);
    void (*finish)(const wilor_conv16_end *e);
} wilor_conv16;

/* The table of a tier of wilor_kernels_get, or NULL. Constant for the life of the process. */
const wilor_conv16 *wilor_conv16_get(const wilor_kernels *kernels);

/* Of single files. */
const wilor_conv16 *wilor_conv16_c(void);
#if defined(WILOR_ARM64)
const wilor_conv16 *wilor_conv16_neon(void); /* for processors with BF16 */
#endif
#if defined(WILOR_X86)
void wilor_conv16_multiply_amx(const wilor_conv16_call *c);
void wilor_conv16_finish_amx(const wilor_conv16_end *e);
#endif

/* bfloat16: float32's upper half. */
static inline float wilor_conv16_widen(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}

#define WILOR_CONV16_MOST 0x1.fep127f /* the largest bfloat16 */

/* The nearest bfloat16, ties to even; never an infinity nor a NaN. */
static inline uint16_t wilor_conv16_narrow(float x) {
    uint32_t bits;
    x = x < WILOR_CONV16_MOST ? x : WILOR_CONV16_MOST;
    x = x > -WILOR_CONV16_MOST ? x : -WILOR_CONV16_MOST;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif
