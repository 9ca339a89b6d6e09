/* Everything but the GEMM, written once over a small set of vector operations that the
 * including file defines for its instruction set: VF, VL                     vector of VL
 * floats MR, NR                     tile; NR is a multiple of VL v_load v_store v_set1 v_zero
 * v_add v_sub v_mul v_div v_max v_min v_fma(a,b,c) = a·b + c v_fnma(a,b,c) = c - a·b
 * v_scale2(v, n): v · 2^n for whole n in vector n v_round v_sum              nearest whole
 * number; sum of all lanes in a fixed order v_load_part v_store_part   the first n lanes (0 < n
 * < VL), others zero or untouched v_transpose(VF v[VL])      in place v_max(a, b) and v_min(a,
 * b) give b when either is NaN. v_if_negative(x, a, b): a where x's sign bit is set. Included by one file per tier, compiled with that tier's flags:
 * everything here is static. */

static inline VF load_up_to(const float *p, size_t n) {
    return n >= VL ? v_load(p) : v_load_part(p, (int)n);
}

static inline void store_up_to(float *p, VF v, size_t n) {
    if (n >= VL)
        v_store(p, v);
    else
        v_store_part(p, v, (int)n);
}

/* VL rows × VL columns at most, to panel[k][width] at lane `at`. */
static inline void pack_block(const float *src, size_t ld, int rows, size_t cols, int width,
                              int at, float *panel) {
    VF v[VL];
    for (int r = 0; r < VL; r++)
        v[r] = r < rows ? load_up_to(src + (size_t)r * ld, cols) : v_zero();
    v_transpose(v);
    size_t lanes = (size_t)(width - at < VL ? width - at : VL);
    for (size_t i = 0; i < cols; i++)
        store_up_to(panel + i * (size_t)width, v[i], lanes);
}

static void pack_f32_simd(const float *src, size_t ld, int rows, int width, size_t k,
                          float *panel) {
    for (size_t i = 0; i < k; i += VL)
        for (int at = 0; at < width; at += VL) {
            size_t cols = k - i < VL ? k - i : VL;
            int left = rows > at ? rows - at : 0;
            pack_block(src + (size_t)(left ? at : 0) * ld + i, ld, left < VL ? left : VL, cols,
                       width, at, panel + i * (size_t)width + at);
        }
}

static void winograd_in_f32_simd(const float *const row[4], size_t step, size_t depth,
                                 float *out, size_t plane) {
    for (size_t c = 0; c < depth; c += VL) {
        size_t n = depth - c;
        VF t[4][4];
        for (size_t j = 0; j < 4; j++) {
            size_t at = j * step + c;
            VF d0 = load_up_to(row[0] + at, n), d1 = load_up_to(row[1] + at, n);
            VF d2 = load_up_to(row[2] + at, n), d3 = load_up_to(row[3] + at, n);
            t[0][j] = v_sub(d0, d2);
            t[1][j] = v_add(d1, d2);
            t[2][j] = v_sub(d2, d1);
            t[3][j] = v_sub(d1, d3);
        }
        for (size_t i = 0; i < 4; i++) {
            float *to = out + 4 * i * plane + c;
            store_up_to(to, v_sub(t[i][0], t[i][2]), n);
            store_up_to(to + plane, v_add(t[i][1], t[i][2]), n);
            store_up_to(to + 2 * plane, v_sub(t[i][2], t[i][1]), n);
            store_up_to(to + 3 * plane, v_sub(t[i][1], t[i][3]), n);
        }
    }
}

static void winograd_out_f32_simd(const float *m, float *out) {
    enum { TILE = MR * NR };

    for (int i = 0; i < TILE; i += VL) {
        VF t0[4], t1[4];
        for (int j = 0; j < 4; j++) {
            const float *p = m + j * TILE + i;
            VF middle = v_load(p + 4 * TILE), low = v_load(p + 8 * TILE);
            t0[j] = v_add(v_add(v_load(p), middle), low);
            t1[j] = v_sub(v_sub(middle, low), v_load(p + 12 * TILE));
        }
        /* Tile r, columns c: pixels 2r and 2r + 1 of either row. */
        float *to = out + i / NR * 2 * NR + i % NR;
        v_store(to, v_add(v_add(t0[0], t0[1]), t0[2]));
        v_store(to + NR, v_sub(v_sub(t0[1], t0[2]), t0[3]));
        v_store(to + 2 * TILE, v_add(v_add(t1[0], t1[1]), t1[2]));
        v_store(to + 2 * TILE + NR, v_sub(v_sub(t1[1], t1[2]), t1[3]));
    }
}

/* Sum of n numbers, four partial sums wide. */
static inline float row_sum(const float *x, size_t n) {
    VF s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        for (int j = 0; j < 4; j++)
            s[j] = v_add(s[j], v_load(x + i + (size_t)j * VL));
    for (; i < n; i += VL)
        s[0] = v_add(s[0], load_up_to(x + i, n - i));
    return v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
}

/* Sum of (x - mean)². */
static inline float row_squares(const float *x, size_t n, float mean) {
    VF s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    VF m = v_set1(mean);
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
        for (int j = 0; j < 4; j++) {
            VF d = v_sub(v_load(x + i + (size_t)j * VL), m);
            s[j] = v_fma(d, d, s[j]);
        }
    for (; i + VL <= n; i += VL) {
        VF d = v_sub(v_load(x + i), m);
        s[0] = v_fma(d, d, s[0]);
    }
    float tail = 0;
    for (; i < n; i++)
        tail += (x[i] - mean) * (x[i] - mean);
    return v_sum(v_add(v_add(s[0], s[1]), v_add(s[2], s[3]))) + tail;
}

static void layernorm_f32_simd(const float *x, size_t ldx, int rows, size_t k,
                               const float *gamma, const float *beta, float eps, float *out,
                               size_t ldo) {
    for (int r = 0; r < rows; r++, x += ldx, out += ldo) {
        float mean = row_sum(x, k) / (float)k;
        float scale = 1.0f / sqrtf(row_squares(x, k, mean) / (float)k + eps);
        VF m = v_set1(mean), s = v_set1(scale);
        for (size_t i = 0; i < k; i += VL) {
            size_t n = k - i;
            VF v = v_mul(v_sub(load_up_to(x + i, n), m), s);
            v = v_fma(v, load_up_to(gamma + i, n), load_up_to(beta + i, n));
            store_up_to(out + i, v, n);
        }
    }
}

static void add_parts_f32_simd(const float *parts, size_t apart, int count, size_t k,
                               const float *bias, float *x) {
    for (size_t i = 0; i < k; i += VL) {
        size_t n = k - i;
        VF sum = load_up_to(parts + i, n);
        for (int p = 1; p < count; p++)
            sum = v_add(sum, load_up_to(parts + (size_t)p * apart + i, n));
        sum = v_add(sum, load_up_to(bias + i, n));
        store_up_to(x + i, v_add(load_up_to(x + i, n), sum), n);
    }
}

static void store_bias_f32_simd(const float *tile, int rows, int cols, const float *bias,
                                float *out, size_t ldo) {
    for (int r = 0; r < rows; r++, tile += NR, out += ldo)
        for (int c = 0; c < cols; c += VL)
            store_up_to(out + c, v_add(v_load(tile + c), v_load(bias + c)), (size_t)(cols - c));
}

static void add_bias_f32_simd(const float *tile, int rows, int cols, const float *bias,
                              float *out, size_t ldo) {
    for (int r = 0; r < rows; r++, tile += NR, out += ldo)
        for (int c = 0; c < cols; c += VL) {
            size_t n = (size_t)(cols - c);
            VF v = v_add(v_load(tile + c), v_load(bias + c));
            store_up_to(out + c, v_add(load_up_to(out + c, n), v), n);
        }
}

static void affine_relu_f32_simd(const float *tile, int rows, int cols, const float *scale,
                                 const float *shift, float *out, size_t ldo) {
    for (int r = 0; r < rows; r++, tile += NR, out += ldo)
        for (int c = 0; c < cols; c += VL) {
            VF v = v_fma(v_load(tile + c), v_load(scale + c), v_load(shift + c));
            store_up_to(out + c, v_max(v_zero(), v), (size_t)(cols - c));
        }
}

/* x/2 · (1 + erf(x/√2)) by the rational function of kernels.h. */
static inline VF gelu(VF x) {
    VF t = v_min(v_set1(WILOR_ERF_LIMIT), v_max(v_set1(-WILOR_ERF_LIMIT), x));
    VF u = v_mul(t, t);
    VF p = v_fma(v_set1(WILOR_ERF_P6), u, v_set1(WILOR_ERF_P5));
    p = v_fma(p, u, v_set1(WILOR_ERF_P4));
    p = v_fma(p, u, v_set1(WILOR_ERF_P3));
    p = v_fma(p, u, v_set1(WILOR_ERF_P2));
    p = v_fma(p, u, v_set1(WILOR_ERF_P1));
    p = v_fma(p, u, v_set1(WILOR_ERF_P0));
    VF q = v_fma(v_set1(WILOR_ERF_Q4), u, v_set1(WILOR_ERF_Q3));
    q = v_fma(q, u, v_set1(WILOR_ERF_Q2));
    q = v_fma(q, u, v_set1(WILOR_ERF_Q1));
    q = v_fma(q, u, v_set1(1.0f));
    VF erf = v_div(v_mul(t, p), q);
    VF half = v_mul(x, v_set1(0.5f));
    return v_fma(half, erf, half);
}

static void bias_gelu_f32_simd(float *tile, int rows, const float *bias) {
    for (int r = 0; r < rows; r++, tile += NR)
        for (int c = 0; c < NR; c += VL)
            v_store(tile + c, gelu(v_add(v_load(tile + c), v_load(bias + c))));
}

/* x · (1/2 + x · S), see kernels.h. The limits' order lets a NaN through. */
static inline VF gelu_short(VF x) {
    VF u = v_min(v_set1(WILOR_GELU_LIMIT), v_mul(x, x));
    u = v_fma(v_set1(WILOR_GELU_SCALE), u, v_set1(-1.0f));
    VF s = v_fma(v_set1(WILOR_GELU_S8), u, v_set1(WILOR_GELU_S7));
    s = v_fma(s, u, v_set1(WILOR_GELU_S6));
    s = v_fma(s, u, v_set1(WILOR_GELU_S5));
    s = v_fma(s, u, v_set1(WILOR_GELU_S4));
    s = v_fma(s, u, v_set1(WILOR_GELU_S3));
    s = v_fma(s, u, v_set1(WILOR_GELU_S2));
    s = v_fma(s, u, v_set1(WILOR_GELU_S1));
    s = v_fma(s, u, v_set1(WILOR_GELU_S0));
    VF g = v_min(v_set1(0.5f), v_max(v_set1(-0.5f), v_mul(x, s)));
    return v_mul(x, v_add(v_set1(0.5f), g));
}

static void bias_gelu_short_f32_simd(float *tile, int rows, const float *bias) {
    for (int r = 0; r < rows; r++, tile += NR)
        for (int c = 0; c < NR; c += VL)
            v_store(tile + c, gelu_short(v_add(v_load(tile + c), v_load(bias + c))));
}

/* e^x for x <= 0: 2^n · e^r with |r| <= ln 2 / 2. */
static inline VF exp_negative(VF x) {
    x = v_max(v_set1(WILOR_EXP_LOWEST), x);
    VF n = v_round(v_mul(x, v_set1(WILOR_LOG2_E)));
    VF r = v_fnma(n, v_set1(WILOR_LN2_HIGH), x);
    r = v_fnma(n, v_set1(WILOR_LN2_LOW), r);
    VF e = v_fma(v_set1(WILOR_EXP_E4), r, v_set1(WILOR_EXP_E3));
    e = v_fma(e, r, v_set1(WILOR_EXP_E2));
    e = v_fma(e, r, v_set1(WILOR_EXP_E1));
    e = v_fma(e, r, v_set1(WILOR_EXP_E0));
    e = v_fma(v_mul(e, r), r, v_add(r, v_set1(1.0f)));
    return v_scale2(e, n);
}

/* x / (1 + e^-x) by e^-|x|, which neither overflows nor cancels. */
static inline VF silu(VF x) {
    VF e = exp_negative(v_min(x, v_sub(v_zero(), x)));
    VF one = v_set1(1.0f);
    return v_mul(x, v_div(v_if_negative(x, e, one), v_add(one, e)));
}

static void bias_silu_f32_simd(const float *tile, int rows, int cols, const float *bias,
                               const float *added, size_t lda, float *out, size_t ldo) {
    for (int r = 0; r < rows; r++, tile += NR, out += ldo)
        for (int c = 0; c < cols; c += VL) {
            size_t n = (size_t)(cols - c);
            VF v = silu(v_add(v_load(tile + c), v_load(bias + c)));
            if (added)
                v = v_add(load_up_to(added + (size_t)r * lda + c, n), v);
            store_up_to(out + c, v, n);
        }
}

static void softmax_f32_simd(float *s, int keys, float scale, float *sums) {
    VF factor = v_set1(scale);
    for (int c = 0; c < NR; c += VL) {
        float *column = s + c;
        VF top = v_load(column), sum = v_zero();
        for (int i = 1; i < keys; i++)
            top = v_max(top, v_load(column + (size_t)i * NR));
        for (int i = 0; i < keys; i++) {
            VF v = v_sub(v_load(column + (size_t)i * NR), top);
            v = exp_negative(v_mul(v, factor));
            v_store(column + (size_t)i * NR, v);
            sum = v_add(sum, v);
        }
        v_store(sums + c, sum);
    }
}

static void divide_f32_simd(float *tile, const float *divisor) {
    for (int c = 0; c < NR; c += VL) {
        VF factor = v_div(v_set1(1.0f), v_load(divisor + c));
        for (int r = 0; r < MR; r++)
            v_store(tile + r * NR + c, v_mul(v_load(tile + r * NR + c), factor));
    }
}

static void fill_simd(wilor_kernels *t) {
    t->mr = MR;
    t->nr = NR;
    t->pack_f32 = pack_f32_simd;
    t->winograd_in_f32 = winograd_in_f32_simd;
    t->winograd_out_f32 = winograd_out_f32_simd;
    t->layernorm_f32 = layernorm_f32_simd;
    t->add_parts_f32 = add_parts_f32_simd;
    t->store_bias_f32 = store_bias_f32_simd;
    t->add_bias_f32 = add_bias_f32_simd;
    t->affine_relu_f32 = affine_relu_f32_simd;
    t->bias_silu_f32 = bias_silu_f32_simd;
    t->bias_gelu_f32 = bias_gelu_f32_simd;
    t->bias_gelu_short_f32 = bias_gelu_short_f32_simd;
    t->softmax_f32 = softmax_f32_simd;
    t->divide_f32 = divide_f32_simd;
}
