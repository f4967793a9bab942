/* dtype.c: the block formats of GGUF weights: names, sizes, and the way back to float.
 *
 * One idea: every quantised format is seen as blocks of 32 integers whose two halves have a float
 * scale and, in some formats, a float minimum: w = scale * q - minimum. block_read() knows the
 * layouts (facts of the GGUF format, as the gguf Python package 0.17 reads them); vg_dequant()
 * does the arithmetic in the order of that package, so that the results are equal bit for bit.
 * It does not quantise weights: that is the work of the compress folder. */
#include "kern/kern_int.h"

const int8_t vg_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
const int8_t vg_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static const vg_dtype_info infos[VG_N_DTYPES] = {
    [VG_F32] = {"F32", 1, 4, false},
    [VG_F16] = {"F16", 1, 2, false},
    [VG_BF16] = {"BF16", 1, 2, false},
    [VG_Q4_0] = {"Q4_0", 32, 18, true},
    [VG_Q4_1] = {"Q4_1", 32, 20, true},
    [VG_Q5_0] = {"Q5_0", 32, 22, true},
    [VG_Q5_1] = {"Q5_1", 32, 24, true},
    [VG_Q8_0] = {"Q8_0", 32, 34, true},
    [VG_Q2_K] = {"Q2_K", 256, 84, true},
    [VG_Q3_K] = {"Q3_K", 256, 110, true},
    [VG_Q4_K] = {"Q4_K", 256, 144, true},
    [VG_Q5_K] = {"Q5_K", 256, 176, true},
    [VG_Q6_K] = {"Q6_K", 256, 210, true},
    [VG_IQ4_NL] = {"IQ4_NL", 32, 18, true},
    [VG_IQ4_XS] = {"IQ4_XS", 256, 136, true},
    [VG_MXFP4] = {"MXFP4", 32, 17, true},
};

/* 16 bytes: the low nibbles are the first half, the high ones the second. `high` holds a fifth bit
 * of each weight (0: none). */
static void read_nibbles(const uint8_t *p, uint32_t high, int offset, int8_t q[32])
{
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)(((p[i] & 15) | (int)(high >> i & 1) << 4) - offset);
        q[i + 16] = (int8_t)((p[i] >> 4 | (int)(high >> (i + 16) & 1) << 4) - offset);
    }
}

static void read_table(const uint8_t *p, const int8_t table[16], int8_t q[32])
{
    for (int i = 0; i < 16; i++) {
        q[i] = table[p[i] & 15];
        q[i + 16] = table[p[i] >> 4];
    }
}

static void set_scales(kern_block *out, float first, float second)
{
    out->scale[0] = first;
    out->scale[1] = second;
}

static void set_minima(kern_block *out, float first, float second)
{
    out->has_minimum = true;
    out->minimum[0] = first;
    out->minimum[1] = second;
}

/* Sub-block j (0..7) of a block of 256, the formats with a minimum. */
static void read_k_minimum(vg_dtype type, const uint8_t *p, size_t j, kern_block *out)
{
    if (type == VG_Q2_K) { /* scales[16], qs[64], d, dmin */
        float d = kern_f16(p + 80), dmin = kern_f16(p + 82);
        const uint8_t *s = p + 2 * j, *qs = p + 16 + 32 * (j / 4);
        set_scales(out, d * (float)(s[0] & 15), d * (float)(s[1] & 15));
        set_minima(out, dmin * (float)(s[0] >> 4), dmin * (float)(s[1] >> 4));
        for (int i = 0; i < 32; i++) out->q[i] = (int8_t)(qs[i] >> (2 * (j % 4)) & 3);
        return;
    }
    int scale, minimum; /* Q4_K: d, dmin, scales[12], qs[128]; Q5_K has qh[32] before qs */
    kern_k4_scale(p + 4, j, &scale, &minimum);
    float d = kern_f16(p) * (float)scale, m = kern_f16(p + 2) * (float)minimum;
    set_scales(out, d, d);
    set_minima(out, m, m);
    const uint8_t *qh = type == VG_Q5_K ? p + 16 : NULL;
    const uint8_t *qs = (qh ? p + 48 : p + 16) + 32 * (j / 2);
    for (int i = 0; i < 32; i++) {
        int high = qh ? qh[i] >> j & 1 : 0;
        out->q[i] = (int8_t)((qs[i] >> (4 * (j % 2)) & 15) | high << 4);
    }
}

/* The same for the formats without one. */
static void read_k(vg_dtype type, const uint8_t *p, size_t j, kern_block *out)
{
    if (type == VG_IQ4_XS) { /* d, scales_h, scales_l[4], qs[128] */
        float d = kern_f16(p) * (float)kern_iq4_scale(p, j);
        set_scales(out, d, d);
        read_table(p + 8 + 16 * j, vg_iq4_values, out->q);
    } else if (type == VG_Q3_K) { /* hmask[32], qs[64], scales[12], d */
        float d = kern_f16(p + 108);
        const uint8_t *s = p + 96, *qs = p + 32 + 32 * (j / 4);
        set_scales(out, d * (float)kern_k3_scale(s, 2 * j), d * (float)kern_k3_scale(s, 2 * j + 1));
        for (int i = 0; i < 32; i++) {
            int low = qs[i] >> (2 * (j % 4)) & 3;
            out->q[i] = (int8_t)(low - (p[i] >> j & 1 ? 0 : 4));
        }
    } else { /* Q6_K: ql[128], qh[64], scales[16], d */
        float d = kern_f16(p + 208);
        int8_t s[2];
        memcpy(s, p + 192 + 2 * j, 2);
        set_scales(out, d * (float)s[0], d * (float)s[1]);
        const uint8_t *ql = p + 64 * (j / 4) + 32 * (j % 2), *qh = p + 128 + 32 * (j / 4);
        for (int i = 0; i < 32; i++) {
            int low = ql[i] >> (4 * (j / 2 % 2)) & 15, high = qh[i] >> (2 * (j % 4)) & 3;
            out->q[i] = (int8_t)((low | high << 4) - 32);
        }
    }
}

/* Block j of 32 weights of a row. */
static void block_read(vg_dtype type, const uint8_t *row, size_t j, kern_block *out)
{
    const vg_dtype_info *info = &infos[type];
    const uint8_t *p = row + (info->block == 32 ? j : j / 8) * info->bytes;
    out->has_minimum = false;
    if (info->block == 32) {
        float d = type == VG_MXFP4 ? kern_e8m0_half(p[0]) : kern_f16(p);
        set_scales(out, d, d);
    }
    switch (type) {
    case VG_Q4_0: read_nibbles(p + 2, 0, 8, out->q); break;
    case VG_Q5_0: read_nibbles(p + 6, kern_u32(p + 2), 16, out->q); break;
    case VG_Q8_0: memcpy(out->q, p + 2, 32); break;
    case VG_IQ4_NL: read_table(p + 2, vg_iq4_values, out->q); break;
    case VG_MXFP4: read_table(p + 1, vg_mxfp4_values, out->q); break;
    case VG_Q4_1:
    case VG_Q5_1: /* These two add their minimum. */
        set_minima(out, -kern_f16(p + 2), -kern_f16(p + 2));
        if (type == VG_Q4_1) read_nibbles(p + 4, 0, 0, out->q);
        else read_nibbles(p + 8, kern_u32(p + 4), 0, out->q);
        break;
    case VG_Q2_K:
    case VG_Q4_K:
    case VG_Q5_K: read_k_minimum(type, p, j % 8, out); break;
    default: read_k(type, p, j % 8, out); break;
    }
}

const vg_dtype_info *vg_dtype_get(uint32_t type)
{
    return type < VG_N_DTYPES && infos[type].name ? &infos[type] : NULL;
}

bool vg_dtype_row_bytes(uint32_t type, uint64_t n, uint64_t *bytes)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    if (!info || n % info->block) return false;
    return vg_mul64(n / info->block, info->bytes, bytes);
}

static void dequant_block(const kern_block *b, float dst[32])
{
    for (int i = 0; i < 32; i++) dst[i] = b->scale[i / 16] * (float)b->q[i];
    for (int i = 0; b->has_minimum && i < 32; i++) dst[i] -= b->minimum[i / 16];
}

void vg_dequant(vg_dtype type, const void *src, float *dst, size_t n)
{
    const uint8_t *p = src;
    switch (type) {
    case VG_F32: memcpy(dst, src, n * sizeof *dst); return;
    case VG_F16:
        for (size_t i = 0; i < n; i++) dst[i] = kern_f16(p + 2 * i);
        return;
    case VG_BF16:
        for (size_t i = 0; i < n; i++) dst[i] = kern_float((uint32_t)kern_u16(p + 2 * i) << 16);
        return;
    default: break;
    }
    assert(vg_dtype_get(type) && n % infos[type].block == 0);
    for (size_t j = 0; j < n / 32; j++) {
        kern_block b;
        block_read(type, p, j, &b);
        dequant_block(&b, dst + 32 * j);
    }
}

void vg_dequant_row(vg_dtype type, const void *src, bool interleaved, size_t n_rows, size_t row,
                    float *dst, size_t n_in)
{
    uint64_t bytes = 0;
    bool fits = vg_dtype_row_bytes(type, n_in, &bytes);
    assert(fits && row < n_rows);
    if (!interleaved || !vg_interleaves(type) || row >= n_rows / 8 * 8) {
        vg_dequant(type, (const uint8_t *)src + row * bytes, dst, n_in);
        return;
    }
    const uint8_t *group = (const uint8_t *)src + row / 8 * 8 * bytes;
    size_t subs = infos[type].block / 32, block = 8 * (size_t)infos[type].bytes;
    for (size_t j = 0; j < n_in / 32; j++) {
        kern_block b;
        kern_block_interleaved(type, group + j / subs * block, row % 8, j % subs, &b);
        dequant_block(&b, dst + 32 * j);
    }
}

float vg_f16_to_f32(uint16_t h)
{
    return kern_f16_to_f32(h);
}

uint16_t vg_f32_to_f16(float f)
{
    return kern_f32_to_f16(f);
}

size_t vg_kv_row_bytes(vg_kv_kind kind, size_t n)
{
    switch (kind) {
    case VG_KVK_Q8: return vg_act_blocks(n) * 34;
    case VG_KVK_F16: return (n + 7) / 8 * 16;
    default: return (n + 7) / 8 * 32;
    }
}
