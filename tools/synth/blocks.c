/* Random weights, made as the blocks of their format: random bytes, in which the fields that are
 * scales are then set, so that weights have mean 0 and about the deviation asked for, and every
 * field keeps to the range that a quantiser writes. Random number i of a tensor depends on its key
 * and i alone (SplitMix64: Steele 2014), so that any part can be made by itself. */
#include <math.h>

#include "synth.h"

uint64_t synth_random(uint64_t key, uint64_t at)
{
    uint64_t z = key + (at + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* Random sign and fraction under one exponent, which gives a deviation of 1.53 times its power of
 * two: the nearest there is to sigma. */
static void float_words(vg_dtype type, float sigma, uint8_t *out, size_t n)
{
    uint32_t bits;
    float low = sigma * (1.414f / 1.53f);
    memcpy(&bits, &low, sizeof bits);
    uint32_t exponent = bits >> 23; /* of F32 and BF16; F16's is 112 less */
    for (size_t i = 0; i < n; i++) {
        if (type == VG_F32) {
            uint8_t *p = out + 4 * i;
            p[2] = (uint8_t)((p[2] & 0x7f) | exponent << 7);
            p[3] = (uint8_t)((p[3] & 0x80) | exponent >> 1);
        } else if (type == VG_BF16) {
            uint8_t *p = out + 2 * i;
            p[0] = (uint8_t)((p[0] & 0x7f) | exponent << 7);
            p[1] = (uint8_t)((p[1] & 0x80) | exponent >> 1);
        } else {
            uint8_t *p = out + 2 * i;
            p[1] = (uint8_t)((p[1] & 0x83) | (exponent - 112) << 2);
        }
    }
}

/* The six-bit scales of Q4_K and Q5_K, each between 32 and 63, minima the same as the scales. */
static void set_k4_scales(uint8_t *s)
{
    for (int i = 0; i < 4; i++) {
        s[i] = s[i + 4] = (uint8_t)((s[i] & 0x1f) | 0xa0);
        s[i + 8] = (uint8_t)((s[i + 8] & 15) * 0x11);
    }
}

/* The deviation of what a block's scale multiplies. */
static float spread_of(vg_dtype type)
{
    switch (type) {
    case VG_Q4_0:
    case VG_Q4_1: return 4.61f;          /* uniform over 16 */
    case VG_Q5_0:
    case VG_Q5_1: return 9.23f;          /* uniform over 32 */
    case VG_Q8_0: return 73.6f;          /* uniform over 255 */
    case VG_Q2_K: return 1.12f * 11.7f;  /* uniform over 4, times a scale of 8 to 15 */
    case VG_Q3_K: return 2.35f * 18.5f;  /* uniform over 8, times a scale of -32 to 31 */
    case VG_Q4_K: return 4.61f * 44;     /* times a scale of 32 to 63, most of them below 48 */
    case VG_Q5_K: return 9.23f * 44;
    case VG_Q6_K: return 18.5f * 48.4f;  /* uniform over 64, times a scale of 32 to 63 */
    case VG_IQ4_NL: return 67.6f;        /* the table's */
    case VG_IQ4_XS: return 67.6f * 18.5f;
    case VG_MXFP4: return 5.85f;
    default: return 1;
    }
}

/* Sets what is not random in the block p. */
static void set_scales(vg_dtype type, float sigma, uint8_t *p)
{
    /* One of 16 scales within a quarter of the mean. */
    float d = sigma / spread_of(type) * (0.75f + (float)(p[0] & 15) / 30);
    uint32_t half = vg_f32_to_f16(d);
    switch (type) {
    case VG_Q4_1: put16(p + 2, vg_f32_to_f16(-7.5f * d)); break;
    case VG_Q5_1: put16(p + 2, vg_f32_to_f16(-15.5f * d)); break;
    case VG_Q8_0:
        for (int i = 2; i < 34; i++) p[i] = p[i] == 128 ? 129 : p[i];
        break;
    case VG_Q2_K:
        for (int i = 0; i < 16; i++) p[i] = (uint8_t)(((p[i] & 7) | 8) * 0x11);
        put16(p + 80, half);
        put16(p + 82, vg_f32_to_f16(1.5f * d));
        return;
    case VG_Q3_K: put16(p + 108, half); return;
    case VG_Q4_K:
    case VG_Q5_K:
        put16(p + 2, vg_f32_to_f16(type == VG_Q4_K ? 7.5f * d : 15.5f * d));
        set_k4_scales(p + 4);
        break;
    case VG_Q6_K:
        for (int i = 192; i < 208; i++) p[i] = (uint8_t)((p[i] & 31) | 32);
        put16(p + 208, half);
        return;
    case VG_MXFP4: /* A power of two: 2^(p[0] - 128). */
        p[0] = (uint8_t)(128 + (int)floorf(log2f(d) + 0.5f));
        return;
    default: break;
    }
    put16(p, half);
}

void synth_blocks(vg_dtype type, uint64_t key, uint64_t first, size_t n, float sigma, uint8_t *out)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    /* Blocks begin at a whole random number in runs of 8. */
    assert(first % 8 == 0);
    size_t bytes = n * info->bytes;
    uint64_t at = first / 8 * info->bytes;
    for (size_t i = 0; i < bytes; i += 8, at++) {
        uint64_t r = synth_random(key, at);
        if (bytes - i >= 8) memcpy(out + i, &r, 8);
        else memcpy(out + i, &r, bytes - i);
    }
    if (info->block == 1) {
        float_words(type, sigma, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++) set_scales(type, sigma, out + i * info->bytes);
}
