/* <immintrin.h> with tiles. GCC's _tile_loadd and _tile_stored make the stride a `long`, which has 32 bits on
 * Windows, and no address takes such a register. */
#ifndef WILOR_TILE_MOVES_H
#define WILOR_TILE_MOVES_H

#include <immintrin.h>

#if defined(_WIN32) && defined(__GNUC__) && !defined(__clang__)
#undef _tile_loadd
#undef _tile_stored
#define _tile_loadd(tile, from, stride)                                                        \
    __asm__ volatile("tileloadd\t(%0,%1,1), %%tmm" #tile                                       \
                     :                                                                         \
                     : "r"((const void *)(from)), "r"((long long)(stride))                     \
                     : "memory")
#define _tile_stored(tile, to, stride)                                                         \
    __asm__ volatile("tilestored\t%%tmm" #tile ", (%0,%1,1)"                                   \
                     :                                                                         \
                     : "r"((void *)(to)), "r"((long long)(stride))                             \
                     : "memory")
#endif

#endif
