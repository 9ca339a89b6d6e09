/* How the detector's steps are cut into blocks, and which may run beside each other. */
#ifndef WILOR_CUDA_NET_PLAN_H
#define WILOR_CUDA_NET_PLAN_H

#include "cuda_abi.h"

#include <cstddef>
#include <vector>

namespace wilor_cuda {

struct step_plan {
    int outputs;                  /* of tensor_conv's tile; 0: plain_conv, or a pool */
    int tiles, parts, part_steps; /* parts: that share a tile's depth */
    int lane;               /* steps of a lane run one after the other, step 0 in lane 0 */
    std::vector<int> after; /* steps of other lanes that must have ended */
};

/* What is asked of the plan. */
struct plan_query {
    const std::vector<wilor_net_map> *maps;
    const std::vector<wilor_net_step> *steps;
    bool plain; /* float32 */
    int width, height, multiprocessors;
};

std::vector<step_plan> plan_steps(const plan_query *q);

/* Of the parts' sums of a step; 0 where a tile is one block's. */
size_t plan_work(const step_plan *p);

} // namespace wilor_cuda

#endif
