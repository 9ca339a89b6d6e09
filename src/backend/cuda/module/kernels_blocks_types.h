/* What the kernel of the ViT's blocks is given. */
#ifndef WILOR_CUDA_KERNELS_BLOCKS_TYPES_H
#define WILOR_CUDA_KERNELS_BLOCKS_TYPES_H

#include "wgmma.h"

namespace wilor_cuda {

enum {
    QKV_TILE_ROWS = 112, /* of a hand's 210, two tiles */
    TILE_ROWS = 72,      /* three */
    BLOCKS_PARTS = 4,    /* of the depth of products onto the residual stream */
    BLOCKS_MOST_WIDTH = 1536,
    BLOCKS_MOST_HEAD = 80,
    BLOCKS_MOST_HANDS = 2,
    COUNTER_APART = 32 /* a line of the cache each */
};

/* Those that have counters. */
enum block_phase { PHASE_NORM1, PHASE_QKV, PHASE_ATTENTION, PHASE_NORM2, PHASE_FC1, PHASES };

enum block_products { PRODUCT_QKV, PRODUCT_PROJ, PRODUCT_FC1, PRODUCT_FC2, PRODUCTS };

/* The same tensor of all blocks, bytes apart. */
struct tensor_of_blocks {
    const char *first;
    size_t apart;

    template <class T> WILOR_BOTH const T *at(int block) const {
        return reinterpret_cast<const T *>(first + (size_t)block * apart);
    }
};

/* steps: of 64 inputs; tasks: tiles of rows, of outputs, parts. */
struct mapped_product {
    CUtensorMap w, x;
    tensor_of_blocks
        bias; /* of the blocks' number, or of float32 behind the products onto the stream */
    int outputs, steps, row_tiles, parts, tasks;
};

struct blocks_args {
    mapped_product product[PRODUCTS];
    tensor_of_blocks gamma1, beta1, gamma2, beta2;
    float *x, *sums; /* rows × d; parts × rows × d */
    void *normed1, *normed2, *qkv, *attended, *hidden;
    unsigned *counters; /* of count · PHASES phases, all zero */
    int rows, hands, d, dim, heads;
    float scale;      /* 1 / √dim */
    int first, count; /* blocks */
    bool lacks;       /* x lacks what the block before the first left */
};

} // namespace wilor_cuda

#endif
