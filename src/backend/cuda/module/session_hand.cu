/* From the last tokens to hands: decoders, MANO, RefineNet, as calls on a stream; backend_cpu.c's order. */
#include "session.h"

#include "kernels_refine.h"

namespace wilor_cuda {

/* Rows of all maps are whole groups of four numbers. */
static bool maps_by_four(const model *m) { return m->shape.width % 32 == 0; }

/* The decoders and RefineNet's first map. */
static void decode(session *s, const result_view *r, int first, int hands, int pixels) {
    const model *m = s->m;
    const session_memory *on = &s->on;
    int d = m->shape.width;
    decode_args a = {on->tokens,
                     d,
                     LEAD + pixels,
                     pixels,
                     hands,
                     first,
                     {{layer_of(m, WILOR_NET_DECPOSE_W), layer_of(m, WILOR_NET_DECSHAPE_W),
                       layer_of(m, WILOR_NET_DECCAM_W)},
                      {on->pose6d, r->betas, r->cam}},
                     {tensor<float>(m, WILOR_NET_INIT_POSE),
                      tensor<float>(m, WILOR_NET_INIT_BETAS),
                      tensor<float>(m, WILOR_NET_INIT_CAM)},
                     r->corner,
                     layer_of(m, WILOR_NET_COARSE_W),
                     on->map[2]};
    dim3 grid((unsigned)(READ_OUTPUTS + d / 2), parts((size_t)(hands * pixels), AT_ONCE));
    by_reach(maps_by_four(m), [&](auto constant) {
        wilor_launch(decode_kernel<decltype(constant)::value>, grid, REFINE_THREADS, 0,
                     s->stream, a);
    });
}

/* Rotations, joints, mesh and, unless it is the last, where its points fall; the last: with the caller's
 * shape, if there is one. */
static void pose(session *s, const result_view *r, int first, int hands, bool last) {
    const model *m = s->m;
    const session_memory *on = &s->on;
    const order_header *order = reinterpret_cast<const order_header *>(on->orders);
    mesh_args a = {m->mano,
                   on->pose6d,
                   r->cam,
                   r->betas,
                   last ? order->fixed : nullptr,
                   r->rotation,
                   r->verts,
                   r->keypoints,
                   last ? nullptr : on->xy,
                   r->corner,
                   first};
    dim3 grid(parts((size_t)m->mano.vertices, MESH_VERTICES), (unsigned)hands);
    wilor_launch(mesh_kernel, grid, MESH_THREADS, 0, s->stream, a);
}

static void tell_hands(session *s, const result_view *r, const char *pose6d, const char *betas,
                       const char *cam, const char *verts, int first, int hands) {
    int v = s->m->mano.vertices;
    tell(s, pose6d, first, s->on.pose6d + first * POSE_NUMBERS, hands, POSE_NUMBERS);
    tell(s, betas, first, r->betas + first * BETAS, hands, BETAS);
    tell(s, cam, first, r->cam + first * CAM, hands, CAM);
    tell(s, verts, first, r->verts + (size_t)first * (size_t)v * 3, hands, v * 3);
}

static upsample_net upsampling(const model *m, int w, float *out) {
    return {out, tensor<float>(m, w), tensor<float>(m, w + 1), tensor<float>(m, w + 2)};
}

static void upsample(session *s, const upsample_args &a, int nets) {
    size_t pixels =
        (size_t)a.hands * (size_t)((a.out_rows + 1) / 2) * (size_t)((a.out_cols + 1) / 2);
    dim3 grid((unsigned)a.outputs, parts(pixels, AT_ONCE), 4 * (unsigned)nets);
    by_reach(maps_by_four(s->m), [&](auto constant) {
        wilor_launch(upsample_kernel<decltype(constant)::value>, grid, REFINE_THREADS, 0,
                     s->stream, a);
    });
}

/* Features of hands first … at their points on the maps. */
static void sample(session *s, const sample_args &a, int k, int hands) {
    by_reach(maps_by_four(s->m), [&](auto constant) {
        enum { N = decltype(constant)::value };

        dim3 grid(parts((size_t)k, N * SAMPLE_COLUMNS), (unsigned)hands);
        wilor_launch(sample_kernel<N>, grid, SAMPLE_THREADS, 0, s->stream, a);
    });
    tell(s, "features", a.first, s->on.features, hands, k);
}

static void correct(session *s, const result_view *r, int first, int k, int hands) {
    const model *m = s->m;
    correct_args a = {
        s->on.features,
        k,
        hands,
        first,
        {{layer_of(m, WILOR_NET_REFINE_POSE_W), layer_of(m, WILOR_NET_REFINE_SHAPE_W),
          layer_of(m, WILOR_NET_REFINE_CAM_W)},
         {s->on.pose6d, r->betas, r->cam}}};
    dim3 grid(READ_OUTPUTS, parts((size_t)hands, AT_ONCE));
    by_reach(maps_by_four(m), [&](auto constant) {
        wilor_launch(correct_kernel<decltype(constant)::value>, grid, REFINE_THREADS, 0,
                     s->stream, a);
    });
}

/* RefineNet on rows × cols patches of hands first …, from its first map on. */
static void refine(session *s, const result_view *r, int first, int hands, int rows, int cols) {
    const model *m = s->m;
    const session_memory *on = &s->on;
    int d = m->shape.width, k = d / 8 + d / 4 + d / 2, less = cols == GRID_COLS ? 0 : 1;
    int rows2 = 2 * rows - less, cols2 = 2 * cols - less;
    int rows4 = 2 * rows2 - less, cols4 = 2 * cols2 - less;
    upsample(s,
             {on->map[2],
              rows,
              cols,
              d / 2,
              rows2,
              cols2,
              d / 4,
              hands,
              {upsampling(m, WILOR_NET_MIDDLE_W, on->map[1]),
               upsampling(m, WILOR_NET_FINE0_W, on->half)}},
             2);
    upsample(s,
             {on->half,
              rows2,
              cols2,
              d / 4,
              rows4,
              cols4,
              d / 8,
              hands,
              {upsampling(m, WILOR_NET_FINE1_W, on->map[0]), {}}},
             1);
    sample(s,
           {{on->map[0], on->map[1], on->map[2]},
            {rows4, rows2, rows},
            {cols4, cols2, cols},
            {d / 8, d / 4, d / 2},
            on->xy,
            m->mano.vertices,
            first,
            on->features},
           k, hands);
    correct(s, r, first, k, hands);
}

void run_hand(session *s, const result_view *r, int first, int hands, int rows, int cols) {
    decode(s, r, first, hands, rows * cols);
    pose(s, r, first, hands, false);
    tell_hands(s, r, "pose6d0", "betas0", "cam0", "verts0", first, hands);
    refine(s, r, first, hands, rows, cols);
    pose(s, r, first, hands, true);
    tell_hands(s, r, "pose6d", "betas", "cam", "verts", first, hands);
}

} // namespace wilor_cuda
