#include "tiles.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { TILES = 8, ROWS = 16, LINE = 64, WORDS = LINE / 4 };

typedef struct tile {
    int rows, bytes; /* 0, 0: not configured */

    union {
        uint8_t line[ROWS][LINE];
        uint16_t half[ROWS][LINE / 2];
        float f32[ROWS][WORDS];
        uint32_t u32[ROWS][WORDS];
    } n;
} tile;

static _Thread_local tile g_tiles[TILES];
static _Thread_local bool g_configured;

static _Noreturn void fault(const char *why) {
    fprintf(stderr, "emulated tiles: %s\n", why);
    abort();
}

static tile *tile_of(int t) {
    if (!g_configured || t < 0 || t >= TILES || g_tiles[t].rows == 0)
        fault("a tile that is not configured");
    return &g_tiles[t];
}

static void clear(void) { memset(g_tiles, 0, sizeof g_tiles); }

void wilor_emulated_tile_config(const void *config) {
    const uint8_t *c = config;
    if (c[0] != 1 || c[1] != 0)
        fault("only palette 1 from row 0 is emulated");
    for (int i = 2; i < 16; i++)
        if (c[i])
            fault("reserved bytes are not zero");
    clear();
    for (int t = 0; t < 16; t++) {
        int bytes = c[16 + 2 * t] | c[17 + 2 * t] << 8, rows = c[48 + t];
        if (t >= TILES ? bytes || rows : bytes > LINE || rows > ROWS || !bytes != !rows)
            fault("a tile of a size that there is not");
        if (t < TILES) {
            g_tiles[t].rows = rows;
            g_tiles[t].bytes = bytes;
        }
    }
    g_configured = true;
}

void wilor_emulated_tile_release(void) {
    clear();
    g_configured = false;
}

void wilor_emulated_tile_zero(int t) { memset(&tile_of(t)->n, 0, sizeof g_tiles[t].n); }

void wilor_emulated_tile_load(int t, const void *base, size_t stride) {
    tile *x = tile_of(t);
    memset(&x->n, 0, sizeof x->n);
    for (int r = 0; r < x->rows; r++)
        memcpy(x->n.line[r], (const uint8_t *)base + (size_t)r * stride, (size_t)x->bytes);
}

void wilor_emulated_tile_store(int t, void *base, size_t stride) {
    const tile *x = tile_of(t);
    for (int r = 0; r < x->rows; r++)
        memcpy((uint8_t *)base + (size_t)r * stride, x->n.line[r], (size_t)x->bytes);
}

/* The three are different ones, sum of rows × columns, a of rows × k, b of k × columns. */
static tile *fitting(int sum, int a, int b) {
    tile *s = tile_of(sum);
    const tile *x = tile_of(a), *y = tile_of(b);
    if (sum == a || sum == b || a == b)
        fault("a product wants three different tiles");
    if (s->rows != x->rows || s->bytes != y->bytes || x->bytes != 4 * y->rows || s->bytes % 4)
        fault("tiles of a product that do not fit each other");
    return s;
}

void wilor_emulated_tile_bf16(int sum, int a, int b) {
    tile *s = fitting(sum, a, b);
    const tile *x = &g_tiles[a], *y = &g_tiles[b];
    float even[ROWS][WORDS], odd[ROWS][WORDS];
    for (int k = 0; k < y->rows; k++)
        for (int n = 0; n < WORDS; n++) {
            even[k][n] = wilor_emulated_wide((uint16_t)y->n.u32[k][n]);
            odd[k][n] = wilor_emulated_wide((uint16_t)(y->n.u32[k][n] >> 16));
        }
    for (int m = 0; m < s->rows; m++) {
        float low[WORDS] = {0}, high[WORDS] = {0};
        for (int k = 0; k < y->rows; k++) {
            float a0 = wilor_emulated_wide(x->n.half[m][2 * k]);
            float a1 = wilor_emulated_wide(x->n.half[m][2 * k + 1]);
            for (int n = 0; n < WORDS; n++) {
                low[n] = wilor_emulated_flush(fmaf(a0, even[k][n], low[n]));
                high[n] = wilor_emulated_flush(fmaf(a1, odd[k][n], high[n]));
            }
        }
        for (int n = 0; n < s->bytes / 4; n++) {
            float both = wilor_emulated_flush(low[n] + high[n]);
            s->n.f32[m][n] = wilor_emulated_flush(wilor_emulated_flush(s->n.f32[m][n]) + both);
        }
    }
}

void wilor_emulated_tile_int8(int sum, int a, int b, int a_signed, int b_signed) {
    tile *s = fitting(sum, a, b);
    const tile *x = &g_tiles[a], *y = &g_tiles[b];
    int32_t wide[LINE][WORDS];
    for (int k = 0; k < 4 * y->rows; k++)
        for (int n = 0; n < WORDS; n++) {
            int q = (int)(y->n.u32[k / 4][n] >> k % 4 * 8 & 255);
            wide[k][n] = b_signed ? (int8_t)q : q;
        }
    for (int m = 0; m < s->rows; m++) {
        uint32_t sums[WORDS] = {0};
        for (int k = 0; k < 4 * y->rows; k++) {
            int p = x->n.line[m][k];
            p = a_signed ? (int8_t)p : p;
            for (int n = 0; n < WORDS; n++)
                sums[n] += (uint32_t)(p * wide[k][n]);
        }
        for (int n = 0; n < s->bytes / 4; n++)
            s->n.u32[m][n] += sums[n];
    }
}
