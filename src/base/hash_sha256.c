/* SHA-256 after FIPS 180-4. The constants are the first 32 bits of the fractions of the cube roots
 * of the first 64 primes and of the square roots of the first 8; tests/unit/test_sha256.c
 * computes them another way. The message schedule is a ring of 16 words, so that all of a
 * block's work stays in registers and the first-level cache. */
#include "hash_sha256.h"

#include <string.h>

static const uint32_t g_round[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4,
    0xAB1C5ED5, 0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE,
    0x9BDC06A7, 0xC19BF174, 0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F,
    0x4A7484AA, 0x5CB0A9DC, 0x76F988DA, 0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7,
    0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967, 0x27B70A85, 0x2E1B2138, 0x4D2C6DFC,
    0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85, 0xA2BFE8A1, 0xA81A664B,
    0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070, 0x19A4C116,
    0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7,
    0xC67178F2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t load_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Word i of the schedule, i >= 16, in the ring w. */
static uint32_t schedule(uint32_t w[16], int i) {
    uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
    return w[i & 15] += (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
                        (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
}

static void add_block(uint32_t state[8], const uint8_t *p) {
    uint32_t w[16];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t word = i < 16 ? (w[i] = load_big(p + 4 * i)) : schedule(w, i);
        uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) +
                      g_round[i] + word;
        uint32_t t2 =
            (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void wilor_sha256_begin(wilor_sha256 *s) {
    static const uint32_t first[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                      0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
    memcpy(s->state, first, sizeof first);
    s->bytes = 0;
}

void wilor_sha256_add(wilor_sha256 *s, const void *data, size_t size) {
    const uint8_t *p = data;
    size_t have = (size_t)(s->bytes % 64);
    s->bytes += size;
    if (have) {
        size_t n = size < 64 - have ? size : 64 - have;
        memcpy(s->block + have, p, n);
        if (have + n < 64)
            return;
        add_block(s->state, s->block);
        p += n;
        size -= n;
    }
    for (; size >= 64; p += 64, size -= 64)
        add_block(s->state, p);
    if (size)
        memcpy(s->block, p, size);
}

void wilor_sha256_end(wilor_sha256 *s, char hex[65]) {
    uint64_t bits = s->bytes * 8;
    uint8_t tail[72] = {0x80};
    size_t have = (size_t)(s->bytes % 64), zeros = have < 56 ? 56 - have : 120 - have;
    for (size_t i = 0; i < 8; i++)
        tail[zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
    wilor_sha256_add(s, tail, zeros + 8);
    for (int i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[s->state[i / 8] >> (28 - i % 8 * 4) & 15];
    hex[64] = 0;
}
