/* The detector's network on a card, and a run of it: maps, lanes, graph. */
#ifndef WILOR_CUDA_NET_RUN_H
#define WILOR_CUDA_NET_RUN_H

#include "device.h"
#include "net_plan.h"

#include <vector>

namespace wilor_cuda {

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

struct net_run {
    const net *n;
    cudaStream_t stream, copies; /* stream: the first lane's, too */
    cudaEvent_t begin, end, copied;
    int width, height;
    char *block, *pinned;
    size_t room, pinned_room;
    std::vector<char *> maps;
    std::vector<step_plan> plans;
    std::vector<net_lane> lanes;
    std::vector<cudaEvent_t> done; /* of the steps */
    uint8_t *bytes_card;
    uint8_t *bytes_host;
    float *head_host[3];
    cudaGraphExec_t graph;
};

static inline bool is_head(const net *n, int map) {
    return map == n->head[0] || map == n->head[1] || map == n->head[2];
}

/* net_steps.cu: a step as its plan says, onto its lane's stream. */
void enqueue_step(const net_run *r, size_t i, const step_plan &p);

} // namespace wilor_cuda

#endif
