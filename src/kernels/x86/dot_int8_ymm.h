/* The tile of INT8 on 256-bit vectors, 6 × 16 in 12 accumulators. The including file has defined STEP
 * (four numbers of k, by EACH_ROW) and what stands before this in dot_int8_body.h. */

#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5)
#define DECLARE(r) __m256i c##r##0 = start0, c##r##1 = start1;
#define STORE(r) store_row(c, r, c##r##0, c##r##1);

/* float(sum) · (row's scale · column's scale), into the tile or onto it. */
static inline void store_row(const wilor_dot_call *c, size_t r, __m256i sum0, __m256i sum1) {
    float *to = c->tile + r * c->ldt;
    __m256 row = _mm256_broadcast_ss(c->a_scale + r);
    __m256 scale0 = _mm256_mul_ps(row, _mm256_loadu_ps(c->b_scale));
    __m256 scale1 = _mm256_mul_ps(row, _mm256_loadu_ps(c->b_scale + 8));
    __m256 v0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum0), scale0);
    __m256 v1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum1), scale1);
    if (c->add) {
        v0 = _mm256_add_ps(_mm256_loadu_ps(to), v0);
        v1 = _mm256_add_ps(_mm256_loadu_ps(to + 8), v1);
    }
    _mm256_storeu_ps(to, v0);
    _mm256_storeu_ps(to + 8, v1);
}

static inline __m256i start_of(const int *sum) {
    __m256i s = _mm256_loadu_si256((const __m256i *)(const void *)sum);
    return _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), s), 7);
}

static void gemm(const wilor_dot *d, const wilor_dot_call *c) {
    const int *a = c->a;
    const __m256i *b = c->b, start0 = start_of(c->b_sum), start1 = start_of(c->b_sum + 8);
    (void)d;
    EACH_ROW(DECLARE)
    LOOP(STEP)
    EACH_ROW(STORE)
}
