/* The pose network's products by kernels_wgmma.h and by cuBLASLt, in turns, on a card of compute capability 9.0:
 * bench/cuda/run. One group a process, so that a kernel that fails takes no other along:
 *
 *   bench_products host                 places and descriptors, without a card
 *   bench_products qkv210|proj210|fc1_210|fc2_210|420|1680qkv|…|6720proj
 *   bench_products ingest               long loops: what copies and sums take by themselves
 *   bench_products chain                a block's products one behind the other
 *
 * A line: warpgroups, rows a tile, stages, blocks a multiprocessor; the cluster; parts of the depth; blocks of how many that fit
 * at once; microseconds a launch, plain | early, and with one matrix that stays in the cache. Wrong sums are told. */
#include "products_chain.h"
#include "products_host.h"

static int most_clusters(const bench &b, const variant &v, const run_how &h) {
    cudaLaunchAttribute attr[2] = {};
    run_how plain = h;
    plain.overlap = false;
    cudaLaunchConfig_t c = configure(v, args_of(b, v, 0), plain, attr);
    int n = 0;
    if (h.across * h.down == 1) {
        OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, v.f, v.groups * 128 + 32,
                                                         v.shared));
        return n * 132;
    }
    if (cudaOccupancyMaxActiveClusters(&n, (const void *)v.f, &c) != cudaSuccess) {
        cudaGetLastError();
        return 0;
    }
    return n * h.across * h.down;
}

static void measure(const bench &b, const variant &v, run_how h, bool brief) {
    unsigned tiles = blocks_for(b.rows, v.rows), outs = (unsigned)(b.s.outputs / 64 / v.groups);
    unsigned blocks = tiles * outs * (unsigned)h.parts;
    if (tiles % (unsigned)h.across || outs % (unsigned)h.down)
        return;
    allow(v);
    int fit = most_clusters(b, v, h);
    printf("%-4s %4d g%dr%-3ds%-2db%d %dx%d p%-2d %4u/%3d ", b.s.name, b.rows, v.groups, v.rows,
           v.stages, v.blocks, h.across, h.down, h.parts, blocks, fit);
    fflush(stdout);
    if (!fit) {
        printf("no cluster\n");
        return;
    }
    h.overlap = false;
    verdict r = check_run(b, v, h);
    h.overlap = true;
    verdict o = check_run(b, v, h);
    float worst;
    memcpy(&worst, &r.worst, sizeof worst);
    if (r.wrong || o.wrong)
        printf("WRONG %u/%u (%.2g) ", r.wrong, o.wrong, worst);
    fflush(stdout);
    auto times = [&](kernel_fn f, bool overlap, bool hot) {
        variant which = v;
        which.f = f;
        h.overlap = overlap;
        return time_graph(
                   [&] {
                       for (int i = 0; i < BLOCKS_OF_NET; i++)
                           launch(which, args_of(b, v, hot ? 0 : i), h);
                   },
                   brief ? 5 : 11) /
               BLOCKS_OF_NET;
    };
    float cold = times(v.f, false, false), cold_o = times(v.f, true, false),
          hot_o = times(v.f, true, true);
    printf("us %.2f | early %.2f hot %.2f", cold, cold_o, hot_o);
    if (v.copies) {
        float c = times(v.copies, true, true), s = times(v.sums, true, true);
        float bytes =
            (float)(v.groups * 64 + v.rows) * 128 * (float)(b.s.inputs / 64) / (float)h.parts;
        printf(" | copies %.2f (%.0f B/ns) sums %.2f", c,
               bytes * ((blocks + 131) / 132) / c / 1000, s);
    }
    if (brief)
        printf(" TFLOP/s %.0f", 2e-6 * b.rows * b.matrix / std::min(cold, cold_o));
    printf("\n");
    fflush(stdout);
}

static void measure_lt(const bench &b, int parts) {
    gemm_engine *e = nullptr;
    gemm_plan *p = nullptr;
    wilor_cuda_error err = {};
    bool wide = b.s.end != END_ROWS,
         whole = parts == 1 && (b.s.end == END_PARTS || b.s.end == END_ONTO);
    gemm_shape g = {b.rows,
                    b.s.outputs,
                    b.s.inputs,
                    WILOR_CUDA_F16,
                    wide ? WILOR_CUDA_F32 : WILOR_CUDA_F16,
                    !wide || whole,
                    whole,
                    false,
                    parts};
    if (gemm_engine_open(&e, stream, &err) ||
        gemm_plan_make(&p, e, &g, {b.w, b.matrix * sizeof(f16), BLOCKS_OF_NET}, b.x, b.y,
                       &err)) {
        printf("cuBLASLt failed\n");
        return;
    }
    const void *bias = wide ? (const void *)b.b32 : (const void *)b.b16;
    auto times = [&](bool hot) {
        return time_graph([&] {
                   for (int i = 0; i < BLOCKS_OF_NET; i++)
                       gemm_run(p, b.w + (hot ? 0 : i) * b.matrix, b.x, bias, b.y, &err);
               }) /
               BLOCKS_OF_NET;
    };
    float cold = times(false), hot = times(true);
    printf("%-4s %4d cuBLASLt parts %d: us cold %.2f hot %.2f TFLOP/s %.0f\n", b.s.name, b.rows,
           parts, cold, hot, 2e-6 * b.rows * b.matrix / cold);
}

/* ---------------------------------------------------------------- groups */

static const shape QKV = {"qkv", 3 * D, D, END_ROWS}, PROJ = {"proj", D, D, END_PARTS},
                   FC1 = {"fc1", MLP, D, END_GELU}, FC2 = {"fc2", D, MLP, END_PARTS};

static void clusters(const bench &b, const variant &v, int parts, bool brief,
                     std::vector<std::pair<int, int>> list) {
    for (auto c : list)
        measure(b, v, {c.first, c.second, parts, false}, brief);
}

static void group_few(const std::string &g) {
    if (g == "qkv210") {
        bench b = prepare(QKV, 210);
        measure_lt(b, 1);
        clusters(b, make<1, 112, 9, 1, END_ROWS>(), 1, false,
                 {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {2, 4}});
        clusters(b, make<2, 56, 9, 1, END_ROWS>(), 1, false, {{1, 1}, {2, 1}, {4, 1}, {2, 2}});
        clusters(b, make<1, 112, 4, 2, END_ROWS>(), 1, false, {{1, 1}, {2, 1}});
    } else if (g == "proj210") {
        bench b = prepare(PROJ, 210);
        measure_lt(b, 1);
        measure_lt(b, 4);
        clusters(b, make<2, 72, 8, 1, END_PARTS>(), 4, false, {{1, 1}, {3, 1}, {1, 2}});
        clusters(b, make<1, 112, 8, 1, END_PARTS>(), 3, false, {{1, 1}, {2, 1}, {2, 2}});
        clusters(b, make<2, 72, 8, 1, END_PARTS>(), 2, false, {{1, 1}});
    } else if (g == "fc2_210") {
        bench b = prepare(FC2, 210);
        measure_lt(b, 4);
        clusters(b, make<2, 72, 8, 1, END_PARTS>(), 4, false, {{1, 1}, {3, 1}, {1, 2}, {3, 2}});
        clusters(b, make<1, 112, 9, 1, END_PARTS>(), 3, false,
                 {{1, 1}, {2, 1}, {2, 2}, {2, 4}});
        clusters(b, make<2, 112, 7, 1, END_PARTS>(), 6, false, {{1, 1}, {2, 1}, {2, 2}});
    } else if (g == "fc1_210") {
        bench b = prepare(FC1, 210);
        measure_lt(b, 1);
        clusters(b, make<2, 72, 8, 1, END_GELU>(), 1, false,
                 {{1, 1}, {3, 1}, {1, 2}, {1, 4}, {3, 2}});
        clusters(b, make<1, 72, 6, 2, END_GELU>(), 1, false, {{1, 1}, {3, 1}, {1, 2}});
    } else if (g == "420") {
        bench b = prepare(QKV, 420), c = prepare(FC1, 420), d = prepare(FC2, 420);
        measure_lt(b, 1);
        clusters(b, make<2, 112, 7, 1, END_ROWS, false>(), 1, false,
                 {{1, 1}, {2, 1}, {2, 2}, {4, 1}});
        measure_lt(c, 1);
        clusters(c, make<2, 144, 6, 1, END_GELU, false>(), 1, false,
                 {{1, 1}, {3, 1}, {1, 2}, {1, 4}});
        measure_lt(d, 4);
        clusters(d, make<2, 144, 6, 1, END_PARTS, false>(), 4, false, {{1, 1}, {3, 1}, {1, 2}});
    }
}

/* Long loops from the second-level cache: what copies and sums take by themselves. 120 blocks each. */
static void group_ingest() {
    bench a = prepare({"long", 640, 5120, END_ROWS}, 12 * 112),
          b = prepare({"long", 1280, 5120, END_ROWS}, 12 * 128),
          c = prepare({"long", 1280, 5120, END_ROWS}, 12 * 240);
    std::vector<std::pair<int, int>> some = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 2}};
    clusters(a, make<1, 112, 9, 1, END_ROWS>(), 1, true, some);
    clusters(b, make<2, 128, 6, 1, END_ROWS>(), 1, true, some);
    clusters(c, make<2, 240, 4, 1, END_ROWS>(), 1, true, some);
}

static void group_many(const std::string &g) {
    int rows = g.compare(0, 4, "1680") == 0 ? 1680 : 6720;
    std::string what = g.substr(4);
    std::vector<std::pair<int, int>> some = {{1, 1}, {1, 2}, {2, 1}};
    shape s = what == "qkv" ? QKV : what == "fc1" ? FC1 : what == "fc2" ? FC2 : PROJ;
    if (s.end == END_PARTS)
        s.end = END_ONTO;
    bench b = prepare(s, rows);
    measure_lt(b, 1);
    if (s.end == END_ROWS) {
        if (rows == 1680)
            clusters(b, make<2, 216, 4, 1, END_ROWS, false>(), 1, true, some);
        else
            clusters(b, make<2, 240, 4, 1, END_ROWS, false>(), 1, true, some);
        clusters(b, make<2, 128, 3, 2, END_ROWS, false>(), 1, true, some);
    } else if (s.end == END_GELU) {
        clusters(b, make<2, 240, 4, 1, END_GELU, false>(), 1, true, some);
        clusters(b, make<2, 256, 4, 1, END_GELU, false>(), 1, true, some);
        clusters(b, make<2, 128, 3, 2, END_GELU, false>(), 1, true, some);
    } else {
        if (rows == 1680)
            clusters(b, make<2, 136, 6, 1, END_ONTO, false>(), 1, true, some);
        else
            clusters(b, make<2, 240, 4, 1, END_ONTO, false>(), 1, true, some);
        clusters(b, make<2, 128, 3, 2, END_ONTO, false>(), 1, true, some);
    }
}

int main(int argc, char **argv) {
    std::string g = argc > 1 ? argv[1] : "";
    if (g == "host")
        return emulate<2, 72, 8>(100, 256, 640) + emulate<1, 112, 4>(210, 64, 384) +
                       emulate<2, 56, 8>(60, 128, 128) + emulate<2, 240, 3>(240, 128, 256)
                   ? 1
                   : 0;
    OK(cudaStreamCreate(&stream));
    if (g == "chain")
        chains();
    else if (g == "ingest")
        group_ingest();
    else if (g.compare(0, 4, "1680") == 0 || g.compare(0, 4, "6720") == 0)
        group_many(g);
    else
        group_few(g);
    OK(cudaStreamSynchronize(stream));
    return 0;
}
