/* The detector's network on a card, and a run of it: maps, lanes, graph. */
#ifndef WILOR_CUDA_NET_RUN_H
#define WILOR_CUDA_NET_RUN_H

#include "device.h"
#include "elements.h"
#include "net_plan.h"

#include <vector>

namespace wilor_cuda {

enum {
    HEAD = 129,       /* numbers of an anchor: 64 of its box, */
    HEAD_CLASSES = 64 /* two logits, 63 of its keypoints */
};

struct net {
    int device;
    wilor_cuda_number number;
    std::vector<wilor_net_map> maps;
    std::vector<wilor_net_step> steps; /* weights, bias: on the card */
    std::vector<char> padded;          /* maps with channels that stay zero */
    int input, head[3], multiprocessors;
    bool early; /* kernels may be launched early */
    char *block;
    size_t bytes;
};

/* Steps one after the other, beside those of other lanes. */
struct net_lane {
    cudaStream_t stream;
    size_t work_numbers, most_tiles;
    float *work; /* for parts' sums: tensor_conv */
    unsigned *ended;
};

/* What a run is told; it lies in pinned memory that the graph copies. */
struct net_order {
    frame_view frame;
    resize_axis x, y;
    int left, top; /* of the resized frame in the input */
    float lowest;  /* logits above it are chosen */
};

/* A level's anchors follow the one before's: those of level l begin at first[l]. */
struct head_levels {
    const float *numbers[3]; /* anchors × 129 */
    int first[4];
};

/* How many were chosen; the numbers of no more than the list holds. */
struct chosen_list {
    int count;
    int32_t anchor[WILOR_CUDA_MOST_CHOSEN];
    float numbers[WILOR_CUDA_MOST_CHOSEN][HEAD];
};

struct net_run {
    const net *n;
    cudaStream_t stream; /* the first lane's, too */
    cudaEvent_t begin, end;
    int width, height;
    char *block, *pinned;
    size_t room, pinned_room;
    std::vector<char *> maps;
    std::vector<step_plan> plans;
    std::vector<net_lane> lanes;
    std::vector<cudaEvent_t> done; /* of the steps */
    frame_memory frame;
    net_order *order, *order_host;
    chosen_list *list, *list_host;
    int32_t chosen_anchor[WILOR_CUDA_MOST_CHOSEN];
    const float *chosen_numbers[WILOR_CUDA_MOST_CHOSEN];
    float *head_host[3];
    cudaGraphExec_t graph;
};

static inline bool is_head(const net *n, int map) {
    return map == n->head[0] || map == n->head[1] || map == n->head[2];
}

static inline size_t head_bytes(const net_run *r, int level) {
    int shift = r->n->maps[(size_t)r->n->head[level]].shift;
    return (size_t)(r->width >> shift) * (size_t)(r->height >> shift) * HEAD * sizeof(float);
}

/* net_choice.cu: the choice behind the heads, onto the stream, and the list's way back. */
wilor_cuda_result enqueue_choice(net_run *r, wilor_cuda_error *err);
/* Every level's numbers, onto the stream. */
wilor_cuda_result enqueue_heads(net_run *r, wilor_cuda_error *err);
/* The list of a run that has ended; all numbers where it was too short. */
wilor_cuda_result give_chosen(net_run *r, wilor_cuda_chosen *out, wilor_cuda_error *err);

/* net_steps.cu: a step as its plan says, onto its lane's stream. */
void enqueue_step(const net_run *r, size_t i, const step_plan &p);

} // namespace wilor_cuda

#endif
