/* kernels_wgmma.h's places without a card: what tensor copies and descriptors bring to the sums, by loops. */
#ifndef WILOR_BENCH_PRODUCTS_HOST_H
#define WILOR_BENCH_PRODUCTS_HOST_H

#include "products_card.h"

/* A tensor copy as the card does it: the box row by row, pieces of 16 bytes swapped by address bits. */
static void bring(std::vector<f16> &image, uint32_t to, const f16 *m, const operand_tensor &t,
                  const int *at) {
    uint32_t n = 0;
    for (uint32_t c = 0; c < t.box[3]; c++)
        for (uint32_t b = 0; b < t.box[2]; b++)
            for (uint32_t a = 0; a < t.box[1]; a++)
                for (uint32_t k = 0; k < t.box[0]; k++, n++) {
                    uint64_t i[4] = {at[0] + k, at[1] + a, at[2] + b, at[3] + c};
                    bool in = i[0] < t.size[0] && i[1] < t.size[1] && i[2] < t.size[2] &&
                              i[3] < t.size[3];
                    uint64_t from =
                        i[0] * 2 + i[1] * t.step[0] + i[2] * t.step[1] + i[3] * t.step[2];
                    uint32_t byte = to + n * 2;
                    byte ^= (byte >> 7 & 7) << 4;
                    image[byte / 2] = in ? m[from / 2] : narrow<f16>(0);
                }
}

static float at_descriptor(const std::vector<f16> &image, uint64_t desc, int row, int k) {
    uint32_t address = (uint32_t)(desc & 0x3FFF) << 4, stride = (uint32_t)(desc >> 32 & 0x3FFF)
                                                                << 4;
    uint32_t byte =
        address + (uint32_t)(row / 8) * stride + (uint32_t)(row % 8) * 128 + (uint32_t)k * 2;
    byte ^= (byte >> 7 & 7) << 4;
    return widen(image[byte / 2]);
}

template <int GROUPS, int ROWS, int STAGES>
static int emulate(int rows, int outputs, int inputs) {
    enum { BYTES = stage_bytes<GROUPS, ROWS> };

    int tiles = (rows + ROWS - 1) / ROWS, all = inputs / DEPTH_STEP, bad = 0;
    std::vector<f16> w((size_t)outputs * inputs), x((size_t)rows * inputs);
    std::vector<f16> image(product_shared<GROUPS, ROWS, STAGES> / 2);
    for (size_t i = 0; i < w.size(); i++)
        w[i] = narrow<f16>(small((uint32_t)i, 1));
    for (size_t i = 0; i < x.size(); i++)
        x[i] = narrow<f16>(small((uint32_t)i, 2));
    operand_tensor tw = describe_weights(outputs, inputs, GROUPS * 64),
                   tx = describe_rows(rows, inputs, ROWS);
    for (int by = 0; by < outputs / 64 / GROUPS; by++)
        for (int bx = 0; bx < tiles; bx++) {
            std::vector<float> d((size_t)GROUPS * 64 * ROWS, 0.0f);
            for (int i = 0; i < all; i++) {
                int s = i % STAGES;
                int w_at[4] = {i * DEPTH_STEP, 0, 0, by * GROUPS * 4},
                    x_at[4] = {i * DEPTH_STEP, bx * ROWS, 0, 0};
                std::fill(image.begin(), image.end(), narrow<f16>(777));
                bring(image, s * BYTES, w.data(), tw, w_at);
                bring(image, s * BYTES + GROUPS * 8192, x.data(), tx, x_at);
                for (int g = 0; g < GROUPS; g++)
                    for (int k = 0; k < 4; k++) {
                        uint64_t aw = operand(g * OUTPUT_TILE * ROW_BYTES) + s * BYTES / 16 +
                                      2 * k,
                                 ax = operand(GROUPS * OUTPUT_TILE * ROW_BYTES) +
                                      s * BYTES / 16 + 2 * k;
                        for (int m = 0; m < 64; m++)
                            for (int n = 0; n < ROWS; n++)
                                for (int q = 0; q < 16; q++)
                                    d[((size_t)g * 64 + m) * ROWS + n] +=
                                        at_descriptor(image, aw, m, q) *
                                        at_descriptor(image, ax, n, q);
                    }
            }
            for (int thread = 0; thread < GROUPS * 128; thread++) { /* each_pair */
                int warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
                int output = by * GROUPS * 64 + warp * 16 + lane / 4 * 2;
                for (int i = 0; i < ROWS / 4; i++)
                    for (int half = 0; half < 2; half++) {
                        int row = bx * ROWS + lane % 4 * 2 + i / 2 * 8 + i % 2,
                            k = i / 2 * 4 + i % 2 + 2 * half;
                        int m = warp / 4 * 64 + warp % 4 * 16 + g + 8 * (k % 4 / 2),
                            n = k / 4 * 8 + 2 * t + k % 2;
                        float sum = 0;
                        if (row >= rows)
                            continue;
                        for (int q = 0; q < inputs; q++)
                            sum += small((output + half) * inputs + q, 1) *
                                   small(row * inputs + q, 2);
                        if (sum != d[(size_t)m * ROWS + n])
                            bad++;
                    }
            }
        }
    printf("host g%d r%d: %d wrong\n", GROUPS, ROWS, bad);
    return bad;
}

#endif
