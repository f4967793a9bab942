/* simd_neon.h: the operations of simd_c.h, which documents them, in Advanced SIMD of 64-bit ARM.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 *
 * Only the base instructions: no dot product, half-precision arithmetic or bf16. Not for 32-bit
 * ARM, whose vector unit turns subnormals into zeros. */
#ifndef VG_SIMD_NEON_H
#define VG_SIMD_NEON_H

#include <arm_neon.h>
#include <math.h>

#include "kern/kern_int.h"

#define SIMD_FN static inline __attribute__((always_inline))
#define SIMD_UNROLL VG_UNROLL

#ifndef VG_SIMD_DOTPROD_H /* which takes over all but these names and products of bytes */
#define SIMD_ISA "neon"
#define SIMD_TABLE vg_kern_neon
#define SIMD_FEW_COLS 4
#define SIMD_TILE_GROUPS 1
#define SIMD_TILE_COLS 4
#define SIMD_MAC_COLS 1
#define SIMD_SIGNED 1
#endif
#define SIMD_FLOAT_ROWS 5
#define SIMD_FLOAT_COLS 2

typedef float32x4x2_t simd_f;
typedef int32x4x2_t simd_i;
typedef uint8x16x2_t simd_b;
typedef int32x4x2_t simd_p; /* 4 int32 of each half to be added up */

/* The same operation on both vectors of a and b. */
#define SIMD_PAIR(type, op, a, b) ((type){{op((a).val[0], (b).val[0]), op((a).val[1], (b).val[1])}})

SIMD_FN void simd_prefetch(uintptr_t address) { __builtin_prefetch((const void *)address); }
SIMD_FN void simd_prefetch_far(uintptr_t address)
{
    __builtin_prefetch((const void *)address, 0, 2);
}

/* ---- 8 floats ------------------------------------------------------------------------------- */

SIMD_FN simd_f simd_load(const void *p)
{
    const uint8_t *b = p;
    return (simd_f){{vreinterpretq_f32_u8(vld1q_u8(b)), vreinterpretq_f32_u8(vld1q_u8(b + 16))}};
}
SIMD_FN void simd_store(float *p, simd_f a)
{
    vst1q_f32(p, a.val[0]);
    vst1q_f32(p + 4, a.val[1]);
}
SIMD_FN simd_f simd_set1(float a) { return (simd_f){{vdupq_n_f32(a), vdupq_n_f32(a)}}; }
SIMD_FN simd_f simd_hold(simd_f a) { return a; }
SIMD_FN simd_f simd_add(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, vaddq_f32, a, b); }
SIMD_FN simd_f simd_sub(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, vsubq_f32, a, b); }
SIMD_FN simd_f simd_mul(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, vmulq_f32, a, b); }
SIMD_FN simd_f simd_div(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, vdivq_f32, a, b); }

/* vminq and vmaxq treat NaN and zeros differently from simd_c.h. */
SIMD_FN float32x4_t simd_min4(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
SIMD_FN float32x4_t simd_max4(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
SIMD_FN simd_f simd_min(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, simd_min4, a, b); }
SIMD_FN simd_f simd_max(simd_f a, simd_f b) { return SIMD_PAIR(simd_f, simd_max4, a, b); }
SIMD_FN simd_f simd_if_less(simd_f a, simd_f b, simd_f x, simd_f y)
{
    return (simd_f){{vbslq_f32(vcltq_f32(a.val[0], b.val[0]), x.val[0], y.val[0]),
                     vbslq_f32(vcltq_f32(a.val[1], b.val[1]), x.val[1], y.val[1])}};
}
SIMD_FN simd_f simd_keep_nan(simd_f a, simd_f y)
{
    return (simd_f){{vbslq_f32(vceqq_f32(a.val[0], a.val[0]), y.val[0], a.val[0]),
                     vbslq_f32(vceqq_f32(a.val[1], a.val[1]), y.val[1], a.val[1])}};
}

/* Four rows of four become four columns. */
SIMD_FN void simd_transpose4(float32x4_t a[4])
{
    float32x4x2_t low = vtrnq_f32(a[0], a[1]), high = vtrnq_f32(a[2], a[3]);
    a[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
    a[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
    a[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
    a[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}
SIMD_FN void simd_transpose(simd_f a[8])
{
    float32x4_t part[2][2][4]; /* of the rows, of the columns */
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 2; j++) part[i / 4][j][i % 4] = a[i].val[j];
    for (int i = 0; i < 4; i++) simd_transpose4(part[i / 2][i % 2]);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 2; j++) a[i].val[j] = part[j][i / 4][i % 4];
}

SIMD_FN float simd_sum(simd_f a)
{
    float32x4_t s = vaddq_f32(a.val[0], a.val[1]);
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
SIMD_FN float simd_max_of(simd_f a)
{
    float32x4_t s = simd_max4(a.val[0], a.val[1]);
    s = simd_max4(s, vextq_f32(s, s, 2));
    s = simd_max4(s, vextq_f32(s, s, 1));
    return vgetq_lane_f32(s, 0);
}

SIMD_FN simd_f simd_of_f16(uint16x8_t h)
{
    return (simd_f){{vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(h))),
                     vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(h)))}};
}
SIMD_FN simd_f simd_load_f16(const uint8_t *p)
{
    return simd_of_f16(vreinterpretq_u16_u8(vld1q_u8(p)));
}
SIMD_FN simd_f simd_load_bf16(const uint8_t *p)
{
    uint16x8_t h = vreinterpretq_u16_u8(vld1q_u8(p));
    return (simd_f){{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
                     vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(h), 16))}};
}
SIMD_FN void simd_store_f16(uint8_t *p, simd_f a)
{
    uint16x4_t low = vreinterpret_u16_f16(vcvt_f16_f32(a.val[0]));
    uint16x4_t high = vreinterpret_u16_f16(vcvt_f16_f32(a.val[1]));
    vst1q_u8(p, vreinterpretq_u8_u16(vcombine_u16(low, high)));
}
SIMD_FN float simd_f16(const uint8_t *p)
{
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(kern_u16(p)))), 0);
}
SIMD_FN simd_f simd_rows_f16(const uint8_t *const row[8], size_t at)
{
    uint16_t h[8];
    for (int r = 0; r < 8; r++) h[r] = kern_u16(row[r] + at);
    return simd_of_f16(vld1q_u16(h));
}

/* ---- 8 integers ----------------------------------------------------------------------------- */

SIMD_FN simd_i simd_int1(int32_t a) { return (simd_i){{vdupq_n_s32(a), vdupq_n_s32(a)}}; }
SIMD_FN simd_i simd_bits(simd_f a)
{
    return (simd_i){{vreinterpretq_s32_f32(a.val[0]), vreinterpretq_s32_f32(a.val[1])}};
}
SIMD_FN simd_f simd_float_of_bits(simd_i a)
{
    return (simd_f){{vreinterpretq_f32_s32(a.val[0]), vreinterpretq_f32_s32(a.val[1])}};
}
SIMD_FN simd_i simd_int_add(simd_i a, simd_i b) { return SIMD_PAIR(simd_i, vaddq_s32, a, b); }
SIMD_FN simd_i simd_int_sub(simd_i a, simd_i b) { return SIMD_PAIR(simd_i, vsubq_s32, a, b); }
SIMD_FN simd_i simd_int_and(simd_i a, simd_i b) { return SIMD_PAIR(simd_i, vandq_s32, a, b); }
SIMD_FN simd_i simd_int_or(simd_i a, simd_i b) { return SIMD_PAIR(simd_i, vorrq_s32, a, b); }
SIMD_FN simd_i simd_int_max(simd_i a, simd_i b) { return SIMD_PAIR(simd_i, vmaxq_s32, a, b); }
SIMD_FN simd_i simd_int_shl(simd_i a, int n)
{
    int32x4_t left = vdupq_n_s32(n);
    return (simd_i){{vshlq_s32(a.val[0], left), vshlq_s32(a.val[1], left)}};
}
SIMD_FN simd_i simd_int_field(simd_i a, int shift, int mask)
{
    int32x4_t right = vdupq_n_s32(-shift), m = vdupq_n_s32(mask);
    return (simd_i){{vandq_s32(vshlq_s32(a.val[0], right), m),
                     vandq_s32(vshlq_s32(a.val[1], right), m)}};
}
SIMD_FN simd_i simd_int_half(simd_i a)
{
    return (simd_i){{vshrq_n_s32(a.val[0], 1), vshrq_n_s32(a.val[1], 1)}};
}
SIMD_FN simd_f simd_to_float(simd_i a)
{
    return (simd_f){{vcvtq_f32_s32(a.val[0]), vcvtq_f32_s32(a.val[1])}};
}
SIMD_FN simd_i simd_to_int(simd_f a)
{
    return (simd_i){{vcvtnq_s32_f32(a.val[0]), vcvtnq_s32_f32(a.val[1])}};
}
SIMD_FN int32_t simd_int_sum(simd_i a) { return vaddvq_s32(vaddq_s32(a.val[0], a.val[1])); }
SIMD_FN int32_t simd_int_max_of(simd_i a) { return vmaxvq_s32(vmaxq_s32(a.val[0], a.val[1])); }
SIMD_FN simd_i simd_int_load_i8(const uint8_t *p)
{
    int16x8_t v = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p)));
    return (simd_i){{vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v)}};
}
SIMD_FN simd_i simd_int_load_u8(const uint8_t *p)
{
    int16x8_t v = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)));
    return (simd_i){{vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v)}};
}
SIMD_FN simd_f simd_load_i8(const int8_t *p)
{
    int16x8_t v = vmovl_s8(vld1_s8(p));
    return (simd_f){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(v))),
                     vcvtq_f32_s32(vmovl_high_s16(v))}};
}
SIMD_FN simd_i simd_rows_i8(const uint8_t *const row[8], size_t at)
{
    int8_t b[8];
    for (int r = 0; r < 8; r++) b[r] = (int8_t)row[r][at];
    int16x8_t v = vmovl_s8(vld1_s8(b));
    return (simd_i){{vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v)}};
}
SIMD_FN void simd_store_i8(int8_t *p, simd_i a)
{
    vst1_s8(p, vmovn_s16(vcombine_s16(vmovn_s32(a.val[0]), vmovn_s32(a.val[1]))));
}

/* ---- 32 bytes ------------------------------------------------------------------------------- */

SIMD_FN simd_b simd_byte_load(const uint8_t *p)
{
    return (simd_b){{vld1q_u8(p), vld1q_u8(p + 16)}};
}
SIMD_FN void simd_byte_store(uint8_t *p, simd_b a)
{
    vst1q_u8(p, a.val[0]);
    vst1q_u8(p + 16, a.val[1]);
}
SIMD_FN simd_b simd_byte_word(const int8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    uint8x16_t word = vreinterpretq_u8_u32(vdupq_n_u32(v));
    return (simd_b){{word, word}};
}
SIMD_FN simd_b simd_byte1(int a)
{
    return (simd_b){{vdupq_n_u8((uint8_t)a), vdupq_n_u8((uint8_t)a)}};
}
SIMD_FN simd_b simd_byte_sub(simd_b a, simd_b b) { return SIMD_PAIR(simd_b, vsubq_u8, a, b); }
SIMD_FN simd_b simd_byte_or(simd_b a, simd_b b) { return SIMD_PAIR(simd_b, vorrq_u8, a, b); }
SIMD_FN simd_b simd_byte_and(simd_b a, simd_b b) { return SIMD_PAIR(simd_b, vandq_u8, a, b); }
SIMD_FN simd_b simd_byte_nibbles(const uint8_t *p)
{
    uint8x16_t v = vld1q_u8(p);
    return (simd_b){{vandq_u8(v, vdupq_n_u8(15)), vshrq_n_u8(v, 4)}};
}
/* Shifts as operators: a compiler makes an immediate of a count that it knows. */
SIMD_FN simd_b simd_byte_field(simd_b a, int shift, int mask)
{
    a = (simd_b){{a.val[0] >> (uint8_t)shift, a.val[1] >> (uint8_t)shift}};
    return mask == 255 >> shift ? a : simd_byte_and(a, simd_byte1(mask));
}
SIMD_FN simd_b simd_byte_to(simd_b a, int left, int mask)
{
    if (left < 0) return simd_byte_field(a, -left, mask);
    a = (simd_b){{a.val[0] << (uint8_t)left, a.val[1] << (uint8_t)left}};
    return simd_byte_and(a, simd_byte1(mask));
}
SIMD_FN simd_b simd_byte_shl4(simd_b a)
{
    return (simd_b){{vshlq_n_u8(a.val[0], 4), vshlq_n_u8(a.val[1], 4)}};
}
SIMD_FN simd_b simd_byte_of_bits(uint32_t bits)
{
    const uint8x16_t byte = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t v = vreinterpretq_u8_u32(vdupq_n_u32(bits));
    return (simd_b){{vtstq_u8(vqtbl1q_u8(v, byte), bit),
                     vtstq_u8(vqtbl1q_u8(v, vaddq_u8(byte, vdupq_n_u8(2))), bit)}};
}
SIMD_FN simd_b simd_byte_lookup(const int8_t table[16], simd_b a)
{
    uint8x16_t t = vreinterpretq_u8_s8(vld1q_s8(table));
    return (simd_b){{vqtbl1q_u8(t, a.val[0]), vqtbl1q_u8(t, a.val[1])}};
}

/* ---- integer dot products ------------------------------------------------------------------- */

#ifndef VG_SIMD_DOTPROD_H
/* 16 products as four sums; two products together come to at most 2 * 128 * 127 < 32768. */
SIMD_FN int32x4_t simd_dot16(uint8x16_t weights, int8x16_t x)
{
    int8x16_t w = vreinterpretq_s8_u8(weights);
    int16x8_t pairs = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    return vpaddlq_s16(vmlal_high_s8(pairs, w, x));
}
SIMD_FN simd_p simd_dot(simd_b w, const int8_t *x)
{
    return (simd_p){{simd_dot16(w.val[0], vld1q_s8(x)), simd_dot16(w.val[1], vld1q_s8(x + 16))}};
}
SIMD_FN simd_p simd_dot_unsigned(simd_b w, const int8_t *x) { return simd_dot(w, x); }
#endif

/* Each of four vectors added up. */
SIMD_FN int32x4_t simd_add_up4(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d)
{
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}
SIMD_FN void simd_dot_halves(const simd_p p[8], simd_i *first, simd_i *second)
{
    for (int i = 0; i < 2; i++) {
        const simd_p *v = p + 4 * i;
        first->val[i] = simd_add_up4(v[0].val[0], v[1].val[0], v[2].val[0], v[3].val[0]);
        second->val[i] = simd_add_up4(v[0].val[1], v[1].val[1], v[2].val[1], v[3].val[1]);
    }
}
SIMD_FN simd_i simd_dot_whole(const simd_p p[8])
{
    int32x4_t s[8];
    for (int i = 0; i < 8; i++) s[i] = vaddq_s32(p[i].val[0], p[i].val[1]);
    return (simd_i){{simd_add_up4(s[0], s[1], s[2], s[3]), simd_add_up4(s[4], s[5], s[6], s[7])}};
}

/* ---- attention ------------------------------------------------------------------------------ */

enum { SIMD_VALUES = 4 };

typedef int8x16x2_t simd_k;
typedef struct { int16x8_t first, second; } simd_v; /* 8 columns of each value */

SIMD_FN simd_k simd_keys(const uint8_t *p)
{
    return (simd_k){{vreinterpretq_s8_u8(vld1q_u8(p)), vreinterpretq_s8_u8(vld1q_u8(p + 16))}};
}
SIMD_FN simd_i simd_keys_begin(int32_t sum)
{
    VG_UNUSED(sum);
    return simd_int1(0);
}
#ifndef VG_SIMD_DOTPROD_H
/* Two products together come to at most 2 * 127 * 127 < 32768. */
SIMD_FN int32x4_t simd_keys_dot4(int32x4_t sum, int8x16_t k, int8x16_t q)
{
    int16x8_t low = vmull_s8(vget_low_s8(k), vget_low_s8(q)), high = vmull_high_s8(k, q);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}
SIMD_FN simd_i simd_keys_dot(simd_i sum, simd_k k, const int8_t *q)
{
    int8x16_t codes = vreinterpretq_s8_u32(vdupq_n_u32(kern_u32((const uint8_t *)q)));
    return (simd_i){{simd_keys_dot4(sum.val[0], k.val[0], codes),
                     simd_keys_dot4(sum.val[1], k.val[1], codes)}};
}
#endif
SIMD_FN simd_v simd_values(const uint8_t *p)
{
    int8x8x2_t v = vld2_s8((const int8_t *)p);
    return (simd_v){vmovl_s8(v.val[0]), vmovl_s8(v.val[1])};
}
SIMD_FN simd_i simd_values_dot(simd_i sum, simd_v v, const int16_t *w)
{
    int32x4_t a = vmlal_n_s16(sum.val[0], vget_low_s16(v.first), w[0]);
    int32x4_t b = vmlal_high_n_s16(sum.val[1], v.first, w[0]);
    return (simd_i){{vmlal_n_s16(a, vget_low_s16(v.second), w[1]),
                     vmlal_high_n_s16(b, v.second, w[1])}};
}
SIMD_FN void simd_store_i16(int16_t *p, simd_i a)
{
    vst1q_s16(p, vcombine_s16(vmovn_s32(a.val[0]), vmovn_s32(a.val[1])));
}

#ifndef VG_SIMD_DOTPROD_H
/* ---- a sub-block of 8 interleaved rows times a column ---------------------------------------- */

/* part: products, two rows each; sum: two numbers a row; halves: sums of halves times scales. */
typedef struct { int16x8_t part[4]; int32x4_t sum[4]; simd_i halves; } simd_mac;
typedef int8x16_t simd_x;

SIMD_FN simd_x simd_run_of(const vg_act *const *x, size_t k, int n_c, int i)
{
    VG_UNUSED(n_c);
    return vreinterpretq_s8_u8(simd_byte_word(x[0][k].q + 4 * i).val[0]);
}
SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(a), VG_UNUSED(bits), VG_UNUSED(offset), VG_UNUSED(x), VG_UNUSED(k), VG_UNUSED(n_c);
    VG_UNUSED(halves);
}
/* The sums of the 8 rows. */
SIMD_FN simd_i simd_mac_rows(const simd_mac *a)
{
    return (simd_i){{vpaddq_s32(a->sum[0], a->sum[1]), vpaddq_s32(a->sum[2], a->sum[3])}};
}
/* Products are summed in 16 bits for as many runs as fit: one of each run in a lane, at most
 * 8 * 15 * 127, 8 * 31 * 127, 4 * 63 * 127 and 2 * 128 * 127 < 32768. */
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    const int span = bits == 8 ? 2 : bits == 6 ? 4 : 8, first = scale ? run / 4 * 4 : 0;
    for (int i = 0; i < 2; i++) {
        int16x8_t *part = a->part + 2 * i;
        int8x16_t c = vreinterpretq_s8_u8(w.val[i]);
        if (run % span) {
            part[0] = vmlal_s8(part[0], vget_low_s8(c), vget_low_s8(x));
            part[1] = vmlal_high_s8(part[1], c, x);
        } else {
            part[0] = vmull_s8(vget_low_s8(c), vget_low_s8(x));
            part[1] = vmull_high_s8(c, x);
        }
    }
    for (int i = 0; i < 4 && run % span == span - 1; i++)
        a->sum[i] = run - first < span ? vpaddlq_s16(a->part[i])
                                       : vpadalq_s16(a->sum[i], a->part[i]);
    if (!scale || run % 4 < 3) return;
    simd_i half = simd_mac_rows(a);
    for (int i = 0; i < 2; i++)
        a->halves.val[i] = run < 4 ? vmulq_s32(half.val[i], scale[0].val[i])
                                   : vmlaq_s32(a->halves.val[i], half.val[i], scale[1].val[i]);
}
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(column), VG_UNUSED(bits);
    simd_i all = scale ? a->halves : simd_mac_rows(a);
    for (int i = 0; i < 2 && offset; i++) {
        if (scale) {
            all.val[i] = vmlsq_n_s32(all.val[i], scale[0].val[i], offset * sum[0]);
            all.val[i] = vmlsq_n_s32(all.val[i], scale[1].val[i], offset * sum[1]);
        } else {
            all.val[i] = vsubq_s32(all.val[i], vdupq_n_s32(offset * (sum[0] + sum[1])));
        }
    }
    return all;
}
#endif
#endif
