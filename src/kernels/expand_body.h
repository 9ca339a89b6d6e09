/* Weights of fewer bits as float32 panels: plain loops over NR columns, which compilers turn into
 * the tier's vectors. Included by one file per tier, after it has said NR and how n half floats
 * become floats (expand_f16). */

static void expand_bf16(const uint16_t *src, size_t count, float *panel) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)src[i] << 16;
        memcpy(panel + i, &bits, sizeof bits);
    }
}

static void expand_i8(const int8_t *src, size_t k, const float *scale, float *panel) {
    for (size_t i = 0; i < k; i++, src += NR, panel += NR)
        for (int c = 0; c < NR; c++)
            panel[c] = scale[c] * (float)src[c];
}

static void expand_u8(const uint8_t *src, size_t k, const float *scale, const float *bias,
                      float *panel) {
    for (size_t i = 0; i < k; i++, src += NR, panel += NR)
        for (int c = 0; c < NR; c++)
            panel[c] = scale[c] * (float)src[c] + bias[c];
}

/* A byte holds the steps 2i (low half) and 2i + 1 of one column. */
static void expand_u4(const uint8_t *src, size_t k, const float *scale, const float *bias,
                      float *panel) {
    for (size_t i = 0; i < k; i += 2, src += NR, panel += 2 * NR)
        for (int c = 0; c < NR; c++) {
            panel[c] = scale[c] * (float)(src[c] & 15) + bias[c];
            panel[NR + c] = scale[c] * (float)(src[c] >> 4) + bias[c];
        }
}

static void expand_f32(wilor_panel_type type, const void *src, size_t k, const float *scale,
                       const float *bias, float *panel) {
    switch (type) {
    case WILOR_PANEL_F32:
        memcpy(panel, src, k * NR * sizeof *panel);
        break;
    case WILOR_PANEL_F16:
        expand_f16(src, k * NR, panel);
        break;
    case WILOR_PANEL_BF16:
        expand_bf16(src, k * NR, panel);
        break;
    case WILOR_PANEL_I8:
        expand_i8(src, k, scale, panel);
        break;
    case WILOR_PANEL_U8:
        expand_u8(src, k, scale, bias, panel);
        break;
    case WILOR_PANEL_U4:
        expand_u4(src, k, scale, bias, panel);
        break;
    }
}
