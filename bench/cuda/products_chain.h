/* Thirty-two blocks' products as in the network, norms between them, attention a stand-in. */
#ifndef WILOR_BENCH_PRODUCTS_CHAIN_H
#define WILOR_BENCH_PRODUCTS_CHAIN_H

#include "products_card.h"

/* Attention's place: takes v. Grid: rows. */
__global__ void __launch_bounds__(320) attention_stand_in(const f16 *qkv, f16 *out) {
    let_kernel_behind_come();
    wait_for_kernel_before();
    int i = 4 * (int)threadIdx.x, row = (int)blockIdx.x;
    store(out + (size_t)row * D + i, load<4>(qkv + (size_t)row * 3 * D + 2 * D + i));
}

template <int PARTS>
__global__ void __launch_bounds__(320) rows_norm(float *x, missing lacks, f16 *out) {
    __shared__ float part[2][10];
    let_kernel_behind_come();
    int i = 4 * (int)threadIdx.x, row = (int)blockIdx.x;
    size_t at = (size_t)row * D + (size_t)i;
    wait_for_kernel_before();
    numbers<float, 4> v = load<4>(x + at);
    if constexpr (PARTS > 0) {
        v = complete<PARTS>(v, lacks, at, i);
        store(x + at, v);
    }
    float mean = block_sum(v.at[0] + v.at[1] + v.at[2] + v.at[3], part[0]) / D, squares = 0;
    for (int k = 0; k < 4; k++) {
        v.at[k] -= mean;
        squares = fmaf(v.at[k], v.at[k], squares);
    }
    float scale = 1.0f / sqrtf(block_sum(squares, part[1]) / D + 1e-6f);
    numbers<f16, 4> y;
    for (int k = 0; k < 4; k++)
        y.at[k] = narrow<f16>(v.at[k] * scale);
    store(out + at, y);
}

template <class... P, class... A>
static void launch_plain(bool overlap, void (*f)(P...), unsigned grid, unsigned block,
                         A... args) {
    cudaLaunchAttribute attr[1] = {};
    cudaLaunchConfig_t c = {};
    c.gridDim = grid;
    c.blockDim = block;
    c.stream = stream;
    c.attrs = attr;
    if (overlap) {
        attr[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attr[0].val.programmaticStreamSerializationAllowed = 1;
        c.numAttrs = 1;
    }
    OK(cudaLaunchKernelEx(&c, f, static_cast<P>(args)...));
}

struct chain_step {
    variant v;
    run_how h;
};

struct chain_memory {
    size_t nq, np, nf;
    f16 *wq, *wp, *w1, *w2, *normed, *attended, *hidden, *qkv, *b16;
    float *x, *sums, *b32;
    std::vector<float> start;
};

enum { CHAIN_ROWS = 210 };

static chain_memory chain_prepare() {
    chain_memory c = {};
    c.nq = 3 * D * D;
    c.np = D * D;
    c.nf = (size_t)MLP * D;

    struct fill {
        f16 **p;
        size_t n;
    } fills[] = {
        {&c.wq, c.nq * 32}, {&c.wp, c.np * 32}, {&c.w1, c.nf * 32}, {&c.w2, c.nf * 32}};

    for (auto &f : fills) {
        *f.p = card<f16>(f.n);
        fill_kernel<<<blocks_for(f.n, 256), 256, 0, stream>>>(*f.p, f.n, 5, 1.0f / 64);
    }
    c.normed = card<f16>(CHAIN_ROWS * D);
    c.attended = card<f16>(CHAIN_ROWS * D);
    c.hidden = card<f16>(CHAIN_ROWS * MLP);
    c.qkv = card<f16>(CHAIN_ROWS * 3 * D);
    c.b16 = card<f16>(MLP);
    c.x = card<float>(CHAIN_ROWS * D);
    c.sums = card<float>(4 * CHAIN_ROWS * MLP);
    c.b32 = card<float>(MLP);
    c.start.resize(CHAIN_ROWS * D);
    for (size_t i = 0; i < c.start.size(); i++)
        c.start[i] = small((uint32_t)i, 3);
    return c;
}

typedef std::function<void(int block)> product_fn;

/* The network's blocks; products by the functions. */
static void chain_blocks(const chain_memory &c, int count, bool overlap, int parts_p,
                         int parts_2, const product_fn &qkv, const product_fn &proj,
                         const product_fn &fc1, const product_fn &fc2) {
    auto norm = [&](int parts) {
        missing lacks = {c.sums, c.b32, (size_t)CHAIN_ROWS * D, parts};
        launch_plain(overlap,
                     parts == 4   ? rows_norm<4>
                     : parts == 3 ? rows_norm<3>
                     : parts == 2 ? rows_norm<2>
                     : parts == 6 ? rows_norm<6>
                                  : rows_norm<0>,
                     CHAIN_ROWS, 320, c.x, lacks, c.normed);
    };
    for (int i = 0; i < count; i++) {
        norm(i ? parts_2 : 0);
        qkv(i);
        launch_plain(overlap, attention_stand_in, CHAIN_ROWS, 320, c.qkv, c.attended);
        proj(i);
        norm(parts_p);
        fc1(i);
        fc2(i);
    }
}

static void chain_start(const chain_memory &c) {
    OK(cudaMemcpyAsync(c.x, c.start.data(), c.start.size() * 4, cudaMemcpyHostToDevice,
                       stream));
}

static void chain_by(const char *name, const chain_memory &c,
                     const std::function<void(bool, int)> &all, bool both) {
    std::vector<float> got[2];
    for (int overlap = 0; overlap < 1 + both; overlap++) {
        got[overlap].resize(c.start.size());
        chain_start(c);
        all(overlap, 4);
        OK(cudaMemcpyAsync(got[overlap].data(), c.x, c.start.size() * 4, cudaMemcpyDeviceToHost,
                           stream));
        OK(cudaStreamSynchronize(stream));
        float us = time_graph([&] { all(overlap, 32); });
        double sum = 0;
        for (float v : got[overlap])
            sum += fabs(v);
        printf("chain %s, %s: us a block %.2f (sum %.9g)\n", name, overlap ? "early" : "plain",
               us / 32, sum);
    }
    size_t differ = 0;
    for (size_t i = 0; both && i < c.start.size(); i++)
        differ += memcmp(&got[0][i], &got[1][i], 4) != 0;
    if (differ)
        printf("!! chain %s: %zu numbers differ, early and plain\n", name, differ);
    fflush(stdout);
}

static void chain_ours(const char *name, const chain_memory &c, chain_step q, chain_step p,
                       chain_step f1, chain_step f2) {
    for (auto s : {&q, &p, &f1, &f2})
        allow(s->v);
    chain_by(
        name, c,
        [&](bool overlap, int count) {
            auto run = [&](chain_step s, const f16 *w, const f16 *x, const void *bias, void *y,
                           int outputs, int inputs) {
                s.h.overlap = overlap;
                launch(s.v, args_for(s.v, w, x, bias, y, CHAIN_ROWS, outputs, inputs), s.h);
            };
            chain_blocks(
                c, count, overlap, p.h.parts, f2.h.parts,
                [&](int i) { run(q, c.wq + i * c.nq, c.normed, c.b16, c.qkv, 3 * D, D); },
                [&](int i) { run(p, c.wp + i * c.np, c.attended, nullptr, c.sums, D, D); },
                [&](int i) { run(f1, c.w1 + i * c.nf, c.normed, c.b32, c.hidden, MLP, D); },
                [&](int i) { run(f2, c.w2 + i * c.nf, c.hidden, nullptr, c.sums, D, MLP); });
        },
        true);
}

static gemm_plan *plan_lt(gemm_engine *e, int outputs, int inputs, bool wide, int parts,
                          const f16 *w, const f16 *x, void *y) {
    gemm_plan *p = nullptr;
    wilor_cuda_error err = {};
    gemm_shape g = {
        CHAIN_ROWS, outputs, inputs, WILOR_CUDA_F16, wide ? WILOR_CUDA_F32 : WILOR_CUDA_F16,
        !wide,      false,   false,  parts};
    if (gemm_plan_make(&p, e, &g,
                       {w, (size_t)outputs * (size_t)inputs * sizeof(f16), BLOCKS_OF_NET}, x, y,
                       &err))
        exit(5);
    return p;
}

static void chain_lt(const chain_memory &c) {
    gemm_engine *e = nullptr;
    wilor_cuda_error err = {};
    if (gemm_engine_open(&e, stream, &err))
        exit(5);
    gemm_plan *q = plan_lt(e, 3 * D, D, false, 1, c.wq, c.normed, c.qkv),
              *p = plan_lt(e, D, D, true, 4, c.wp, c.attended, c.sums),
              *f1 = plan_lt(e, MLP, D, true, 1, c.w1, c.normed, c.sums),
              *f2 = plan_lt(e, D, MLP, true, 4, c.w2, c.hidden, c.sums);
    chain_by(
        "cuBLASLt", c,
        [&](bool, int count) {
            chain_blocks(
                c, count, false, 4, 4,
                [&](int i) { gemm_run(q, c.wq + i * c.nq, c.normed, c.b16, c.qkv, &err); },
                [&](int i) { gemm_run(p, c.wp + i * c.np, c.attended, nullptr, c.sums, &err); },
                [&](int i) {
                    gemm_run(f1, c.w1 + i * c.nf, c.normed, nullptr, c.sums, &err);
                    gelu_kernel<f16, 4>
                        <<<dim3(CHAIN_ROWS, MLP / 4 / FLAT_THREADS), FLAT_THREADS, 0, stream>>>(
                            c.sums, c.b16, c.hidden, MLP);
                },
                [&](int i) { gemm_run(f2, c.w2 + i * c.nf, c.hidden, nullptr, c.sums, &err); });
        },
        false);
}

static void chains() {
    chain_memory c = chain_prepare();
    chain_lt(c);
    variant q = make<1, 112, 9, 1, END_ROWS, false>(),
            p = make<2, 72, 8, 1, END_PARTS, false>(),
            f1 = make<2, 72, 8, 1, END_GELU, false>(),
            p112 = make<1, 112, 9, 1, END_PARTS, false>(),
            p2 = make<2, 112, 7, 1, END_PARTS, false>();
    chain_ours("1x1", c, {q, {1, 1, 1}}, {p, {1, 1, 4}}, {f1, {1, 1, 1}}, {p, {1, 1, 4}});
    chain_ours("2x1 1x2", c, {q, {2, 1, 1}}, {p, {1, 2, 4}}, {f1, {1, 2, 1}}, {p, {1, 2, 4}});
    chain_ours("2x1 3x1", c, {q, {2, 1, 1}}, {p, {3, 1, 4}}, {f1, {3, 1, 1}}, {p, {3, 1, 4}});
    chain_ours("2x2 1x4", c, {q, {2, 2, 1}}, {p, {1, 2, 4}}, {f1, {1, 4, 1}}, {p, {1, 2, 4}});
    chain_ours("2x1, proj and fc2 112 in 3", c, {q, {2, 1, 1}}, {p112, {2, 1, 3}},
               {f1, {1, 2, 1}}, {p112, {2, 1, 3}});
    chain_ours("2x1, fc2 2x112 in 6", c, {q, {2, 1, 1}}, {p112, {2, 1, 3}}, {f1, {1, 2, 1}},
               {p2, {2, 1, 6}});
}

#endif
