/* Fibres for cuda_emulate.h: one ucontext a thread of a block. */
#include "cuda_emulate.h"

#include <cstdio>
#include <sys/mman.h>
#include <ucontext.h>

namespace wilor_emu {
namespace {
constexpr unsigned MOST_THREADS = 1024;
constexpr size_t STACK = 256 * 1024;
constexpr size_t MOST_SHARED = 256 * 1024, GUARD = 64 * 1024;

struct Barrier {
    unsigned expected = 0, arrived = 0, generation = 0;
};

struct Slot {
    Fibre fibre;
    ucontext_t context;
    char *stack = nullptr;
    bool done = false;
};

Slot slots[MOST_THREADS];
unsigned count, current, left;
ucontext_t outside;
Barrier block_barrier, warp_barrier[MOST_THREADS / 32];
uint32_t words[MOST_THREADS / 32][32 * 16];
const std::function<void()> *body_now;

/* Where shared memory ends: behind it nothing may be read. */
unsigned char *shared_end() {
    static unsigned char *const memory =
        static_cast<unsigned char *>(mmap(nullptr, MOST_SHARED + GUARD, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    static const bool guarded =
        memory != MAP_FAILED && mprotect(memory + MOST_SHARED, GUARD, PROT_NONE) == 0;
    if (!guarded)
        abort();
    return memory + MOST_SHARED;
}

void go_on() {
    unsigned from = current, to = from;
    do
        to = (to + 1) % count;
    while (slots[to].done && to != from);
    if (to == from)
        return;
    current = to;
    now = &slots[to].fibre;
    swapcontext(&slots[from].context, &slots[to].context);
}

void wait(Barrier *b) {
    unsigned generation = b->generation;
    if (++b->arrived == b->expected) {
        b->arrived = 0;
        b->generation++;
        return;
    }
    unsigned turns = 0;
    while (b->generation == generation) {
        if (++turns > 1000000) {
            fprintf(stderr, "cuda_emulate: a barrier that not all threads reach\n");
            abort();
        }
        go_on();
    }
}

void enter() {
    (*body_now)();
    slots[current].done = true;
    if (--left == 0)
        setcontext(&outside);
    go_on();
    abort(); /* a finished fibre never goes on */
}

void run_block() {
    left = count;
    block_barrier = Barrier();
    block_barrier.expected = count;
    for (unsigned w = 0; w < count / 32; w++) {
        warp_barrier[w] = Barrier();
        warp_barrier[w].expected = 32;
    }
    for (unsigned i = 0; i < count; i++) {
        Slot *s = &slots[i];
        s->done = false;
        s->fibre.linear = i;
        s->fibre.thread = {i % block_size.x, i / block_size.x % block_size.y,
                           i / block_size.x / block_size.y};
        if (!s->stack)
            s->stack = static_cast<char *>(malloc(STACK));
        getcontext(&s->context);
        s->context.uc_stack.ss_sp = s->stack;
        s->context.uc_stack.ss_size = STACK;
        s->context.uc_link = nullptr;
        makecontext(&s->context, enter, 0);
    }
    current = 0;
    now = &slots[0].fibre;
    swapcontext(&outside, &slots[0].context);
}
} // namespace

Fibre *now;
uint3 block_index;
dim3 block_size, grid_size;
unsigned char *shared;

void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body) {
    count = block.x * block.y * block.z;
    if (count == 0 || count > MOST_THREADS || count % 32 != 0 || grid.x == 0 || grid.y == 0 ||
        grid.z == 0 || grid.y > 65535 || grid.z > 65535) {
        fprintf(stderr, "cuda_emulate: a launch of %u x %u x %u blocks of %u threads\n", grid.x,
                grid.y, grid.z, count);
        abort();
    }
    if (shared_bytes > MOST_SHARED) {
        fprintf(stderr, "cuda_emulate: %zu bytes of shared memory\n", shared_bytes);
        abort();
    }
    block_size = block;
    grid_size = grid;
    body_now = &body;
    shared = shared_end() - (shared_bytes + 15) / 16 * 16;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block_index = {x, y, z};
                memset(shared, 0xFF, shared_bytes);
                run_block();
            }
}

void sync_block() { wait(&block_barrier); }

void sync_warp() { wait(&warp_barrier[now->linear / 32]); }

uint32_t *warp_words() { return words[now->linear / 32]; }
} // namespace wilor_emu

cudaError_t wilor_emu_malloc(void **p, size_t bytes) {
    *p = malloc(bytes ? bytes : 1);
    if (!*p)
        return cudaErrorMemoryAllocation;
    memset(*p, 0xFF, bytes);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t) {
    std::vector<bool> called(e->nodes.size(), false);
    auto may_go = [&](size_t i) {
        for (size_t j : e->nodes[i].after)
            if (!called[j])
                return false;
        return !called[i];
    };
    for (size_t n = 0; n < e->nodes.size(); n++) {
        size_t i = e->nodes.size() - 1;
        while (!may_go(i))
            i--; /* what was captured comes after what was captured before: there is one */
        e->nodes[i].call();
        called[i] = true;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated card %d", device);
    p->major = 9;
    p->multiProcessorCount = 4; /* few: convolutions of all cuts come up in small networks */
    p->totalGlobalMem = (size_t)16 << 30;
    p->sharedMemPerBlockOptin = 227 * 1024;
    return cudaSuccess;
}

/* ---------------------------------------------------------------- 16-bit numbers */

static uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

__nv_bfloat16 __float2bfloat16_rn(float x) {
    uint32_t u = bits_of(x);
    if (x != x)
        return {0x7FFF};
    return {(uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16)};
}

float __bfloat162float(__nv_bfloat16 x) { return float_of((uint32_t)x.bits << 16); }

float __half2float(__half x) {
    uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, rest = x.bits & 0x7FFF;
    if (rest >= 0x7C00)
        return float_of(sign | 0x7F800000 | (rest & 0x3FF) << 13);
    return float_of(sign | bits_of(float_of(rest << 13) * 0x1p112f));
}

__half __float2half_rn(float x) {
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, rest = u & 0x7FFFFFFF;
    if (x != x)
        return {0x7FFF};
    if (rest >= 0x47800000) /* 65536 */
        return {(uint16_t)(sign | 0x7C00)};
    if (rest < 0x38800000) { /* 2^-14: adding rounds at 2^-24 */
        float y = float_of(rest) + 0.5f;
        return {(uint16_t)(sign | (bits_of(y) - bits_of(0.5f)))};
    }
    rest += 0xFFF + (rest >> 13 & 1) - 0x38000000u;
    return {(uint16_t)(sign | rest >> 13)};
}
