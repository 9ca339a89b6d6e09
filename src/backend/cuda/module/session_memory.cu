/* Sizes and places of a session's memory. */
#include "session.h"

namespace wilor_cuda {

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* Rows of the last block: the lean pass of all hands, or all rows of one. */
static size_t last_rows(int batch) { return most((size_t)batch * LEAN_ROWS, TOKENS); }

/* Pixels of a map: the corner's of all hands, or all of one; grown says how many a corner of 2 becomes. */
static size_t map_pixels(int batch, size_t grown, size_t whole) {
    return most((size_t)batch * grown * grown, whole);
}

void push_memory(session_memory *on, const model *m, int batch, device_arena *a) {
    size_t n = (size_t)batch, d = (size_t)m->shape.width, mlp = (size_t)m->shape.mlp;
    size_t rows = n * TOKENS, v = (size_t)m->mano.vertices;
    size_t bytes = number_bytes(m->shape.number);
    on->crops = a->push<float>(n * CROP_FLOATS);
    on->patches = a->push<char>(n * PATCHES * PATCH_INPUTS * number_bytes(m->patch));
    on->x = a->push<float>(rows * d);
    on->normed = a->push<char>(rows * d * bytes);
    on->attended = a->push<char>(rows * d * bytes);
    on->qkv = a->push<char>(rows * 3 * d * bytes);
    on->hidden = a->push<char>(rows * mlp * bytes);
    on->sums = a->push<float>(rows * most(mlp, MOST_PARTS * d));
    on->chosen = a->push<float>(last_rows(batch) * d);
    on->tokens = a->push<float>(last_rows(batch) * d);
    on->pose6d = a->push<float>(n * POSE_NUMBERS);
    on->xy = a->push<float>(n * MAPS * v * 2);
    on->features = a->push<float>(n * (d / 8 + d / 4 + d / 2));
    on->map[0] = a->push<float>(map_pixels(batch, 4 * CORNER - 3, 64 * 48) * (d / 8));
    on->map[1] = a->push<float>(map_pixels(batch, 2 * CORNER - 1, 32 * 24) * (d / 4));
    on->map[2] = a->push<float>(map_pixels(batch, CORNER, PATCHES) * (d / 2));
    on->half = a->push<float>(map_pixels(batch, 2 * CORNER - 1, 32 * 24) * (d / 4));
    on->orders = a->push<char>(ORDER_HEADER + n * sizeof(crop_order));
    on->result = a->push<char>(result_bytes(batch, m->mano.vertices));
}

result_view result_at(char *base, int hands, int vertices) {
    size_t n = (size_t)hands;
    result_view r;
    r.rotation = reinterpret_cast<float *>(base);
    r.betas = r.rotation + n * JOINTS * 9;
    r.cam = r.betas + n * BETAS;
    r.keypoints = r.cam + n * CAM;
    r.verts = r.keypoints + n * KEYPOINTS * 3;
    r.corner = reinterpret_cast<int *>(r.verts + n * (size_t)vertices * 3);
    r.bytes = result_bytes(hands, vertices);
    return r;
}

size_t result_bytes(int hands, int vertices) {
    size_t numbers = JOINTS * 9 + BETAS + CAM + KEYPOINTS * 3 + (size_t)vertices * 3;
    return (size_t)hands * (numbers * sizeof(float) + sizeof(int));
}

} // namespace wilor_cuda
