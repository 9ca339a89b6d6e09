/* Panels of the x86 tables of dot.h that feed rows by broadcasts: steps of 4 bytes, PER numbers of k
 * each, lie as [steps][MR][PER] and [steps][NR][PER], so that one 32-bit broadcast serves a row and one
 * vector load as many columns as it has lanes. The including file has defined
 *   MR, NR                    tile; MR leaves 2 divided by 4, NR is a multiple of 8
 *   PER                       numbers in a step
 *   convert(x, inverse)       8 · PER numbers of a row as its next 8 steps
 * Included by one file per table, compiled with that table's flags: everything here is static. */

enum { PART = 8 * PER, BLOCK = 64, UNROLL = 4 };

static size_t steps_of(size_t k) { return (k + PER - 1) / PER; }

static size_t a_numbers(const wilor_dot *d, size_t k) {
    (void)d;
    return (steps_of(k) * MR * 4 + 63) / 64 * 64;
}

static size_t b_numbers(const wilor_dot *d, size_t k) {
    (void)d;
    return (steps_of(k) * NR * 4 + 63) / 64 * 64;
}

/* ---------------------------------------------------------------- fetching ahead */

/* What is needed soon, spread evenly over the groups of UNROLL steps: bursts would fill the miss
 * slots. */
typedef struct ahead {
    const char *at;
    size_t lines, groups, due;
} ahead;

static inline ahead ahead_of(const wilor_dot_call *c, size_t groups) {
    return (ahead){c->next, c->next ? (c->next_bytes + 63) / 64 : 0, groups, 0};
}

static inline void fetch_ahead(ahead *f) {
    for (f->due += f->lines; f->due >= f->groups; f->due -= f->groups, f->at += 64)
        _mm_prefetch(f->at, _MM_HINT_T1);
}

/* Nothing, but gcc keeps a row's products before it and others behind: left alone it gathers those of
 * several rows, for which there are no registers. */
#if defined(WILOR_EMULATE_X86) /* tests/emulate: its vectors fit in no register */
#define ROW_ENDS(sum0, sum1) ((void)0)
#else
#define ROW_ENDS(sum0, sum1) __asm__ volatile("" : "+v"(sum0), "+v"(sum1))
#endif

/* All steps of a call; STEP moves `const int *a` on by MR. */
#define LOOP(STEP)                                                                             \
    {                                                                                          \
        size_t steps = steps_of(c->k), groups = steps / UNROLL;                                \
        const int *end = a + steps * MR;                                                       \
        ahead f = ahead_of(c, groups);                                                         \
        for (size_t n = groups; n > 0; n--) {                                                  \
            fetch_ahead(&f);                                                                   \
            STEP STEP STEP STEP                                                                \
        }                                                                                      \
        while (a < end)                                                                        \
            STEP                                                                               \
    }

/* ---------------------------------------------------------------- panels of A */

/* The next PART numbers of a row, n of which exist. */
static inline __m256i row_part(const float *x, size_t n, float inverse) {
    if (n >= PART)
        return convert(x, inverse);
    float some[PART] = {0};
    memcpy(some, x, n * sizeof *x);
    return convert(some, inverse);
}

/* 8 steps (or fewer) of 4 rows (or 2): four by four transposed in both halves of the vectors. */
static inline void put_steps(const __m256i row[4], int rows, size_t steps, char *to) {
    __m256i lo01 = _mm256_unpacklo_epi32(row[0], row[1]);
    __m256i hi01 = _mm256_unpackhi_epi32(row[0], row[1]);
    __m256i lo23 = _mm256_unpacklo_epi32(row[2], row[3]);
    __m256i hi23 = _mm256_unpackhi_epi32(row[2], row[3]);
    __m256i t[4] = {_mm256_unpacklo_epi64(lo01, lo23), _mm256_unpackhi_epi64(lo01, lo23),
                    _mm256_unpacklo_epi64(hi01, hi23), _mm256_unpackhi_epi64(hi01, hi23)};
    for (size_t s = 0; s < steps; s++, to += MR * 4) {
        __m128i v =
            s < 4 ? _mm256_castsi256_si128(t[s]) : _mm256_extracti128_si256(t[s - 4], 1);
        if (rows == 4)
            _mm_storeu_si128((__m128i *)(void *)to, v);
        else
            _mm_storel_epi64((__m128i *)(void *)to, v);
    }
}

/* Rows that do not exist become zero bytes. */
static void put_rows(const float *src, size_t ld, const float *inverse, int rows, size_t cols,
                     char *to) {
    for (size_t i = 0; i < cols; i += PART, to += (size_t)MR * 4 * 8)
        for (int at = 0; at < MR; at += 4) {
            size_t n = cols - i;
            __m256i v[4];
            for (int r = 0; r < 4; r++)
                v[r] = at + r < rows
                           ? row_part(src + (size_t)(at + r) * ld + i, n, inverse[at + r])
                           : _mm256_setzero_si256();
            /* Written out, so that whole parts need no loop. */
            if (n < PART)
                put_steps(v, MR - at < 4 ? 2 : 4, steps_of(n), to + at * 4);
            else if (MR - at < 4)
                put_steps(v, 2, 8, to + at * 4);
            else
                put_steps(v, 4, 8, to + at * 4);
        }
}

/* ---------------------------------------------------------------- panels of B */

/* n <= BLOCK numbers of each column as [n][NR], columns from cols on zero; in `room`, unless they lie
 * so already. */
static const float *staged(const wilor_dot *d, const float *w, size_t ldc, size_t ldk, int cols,
                           size_t n, float *room) {
    if (ldc == 1 && ldk == NR && cols == NR)
        return w;
    if (ldk == 1) {
        d->kernels->pack_f32(w, ldc, cols, NR, n, room);
        return room;
    }
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < NR; c++)
            room[i * NR + (size_t)c] = c < cols ? w[(size_t)c * ldc + i * ldk] : 0;
    return room;
}
