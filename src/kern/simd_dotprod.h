/* simd_dotprod.h: the operations of simd_c.h, which documents them, in Advanced SIMD with the dot
 * product of ARMv8.2: those of simd_neon.h, but for the products of bytes.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 */
#ifndef VG_SIMD_DOTPROD_H
#define VG_SIMD_DOTPROD_H

#include "kern/simd_neon.h"

#ifndef VG_SIMD_I8MM_H /* which takes over all but these names and tiles of several columns */
#define SIMD_ISA "dotprod"
#define SIMD_TABLE vg_kern_dotprod
#define SIMD_FEW_COLS 4
#define SIMD_TILE_GROUPS 1
#define SIMD_TILE_COLS 4
#define SIMD_MAC_COLS 1
#define SIMD_SIGNED 1
#endif

SIMD_FN simd_p simd_dot(simd_b w, const int8_t *x)
{
    const int32x4_t zero = vdupq_n_s32(0);
    return (simd_p){{vdotq_s32(zero, vreinterpretq_s8_u8(w.val[0]), vld1q_s8(x)),
                     vdotq_s32(zero, vreinterpretq_s8_u8(w.val[1]), vld1q_s8(x + 16))}};
}
SIMD_FN simd_p simd_dot_unsigned(simd_b w, const int8_t *x) { return simd_dot(w, x); }

SIMD_FN simd_i simd_keys_dot(simd_i sum, simd_k k, const int8_t *q)
{
    int8x16_t codes = vreinterpretq_s8_u32(vdupq_n_u32(kern_u32((const uint8_t *)q)));
    return (simd_i){{vdotq_s32(sum.val[0], k.val[0], codes),
                     vdotq_s32(sum.val[1], k.val[1], codes)}};
}

/* ---- a sub-block of 8 interleaved rows times a column ---------------------------------------- */

/* The sums begin with what offsets take off; next: that of the second half. A run is one lane of 16
 * bytes of the column. */
typedef struct { int32x4_t sum[2], next; simd_i halves; } simd_one;

SIMD_FN int8x16_t simd_one_column(const vg_act *x, int run)
{
    return vld1q_s8(x->q + run / 4 * 16);
}
SIMD_FN void simd_one_begin(simd_one *a, int offset, const int16_t sum[2], bool halves)
{
    a->sum[0] = a->sum[1] = vdupq_n_s32(-offset * (halves ? sum[0] : sum[0] + sum[1]));
    if (halves) a->next = vdupq_n_s32(-offset * sum[1]);
}
SIMD_FN int32x4_t simd_dot_lane(int32x4_t sum, uint8x16_t codes, int8x16_t x, int lane)
{
    int8x16_t w = vreinterpretq_s8_u8(codes);
    switch (lane) {
    case 0: return vdotq_laneq_s32(sum, w, x, 0);
    case 1: return vdotq_laneq_s32(sum, w, x, 1);
    case 2: return vdotq_laneq_s32(sum, w, x, 2);
    default: return vdotq_laneq_s32(sum, w, x, 3);
    }
}
SIMD_FN void simd_one_run(simd_one *a, int run, simd_b w, int8x16_t x, const simd_i *scale)
{
    for (int i = 0; i < 2; i++) {
        a->sum[i] = simd_dot_lane(a->sum[i], w.val[i], x, run % 4);
        if (!scale || run % 4 < 3) continue;
        a->halves.val[i] = run < 4 ? vmulq_s32(a->sum[i], scale[0].val[i])
                                   : vmlaq_s32(a->halves.val[i], a->sum[i], scale[1].val[i]);
        a->sum[i] = a->next;
    }
}
SIMD_FN simd_i simd_one_end(const simd_one *a, const simd_i *scale)
{
    return scale ? a->halves : (simd_i){{a->sum[0], a->sum[1]}};
}

#ifndef VG_SIMD_I8MM_H
typedef simd_one simd_mac;
typedef int8x16_t simd_x;

SIMD_FN simd_x simd_run_of(const vg_act *const *x, size_t k, int n_c, int i)
{
    VG_UNUSED(n_c);
    return simd_one_column(x[0] + k, i);
}
SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(bits), VG_UNUSED(n_c);
    simd_one_begin(a, offset, x[0][k].sum, halves);
}
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    VG_UNUSED(bits);
    simd_one_run(a, run, w, x, scale);
}
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(column), VG_UNUSED(bits), VG_UNUSED(offset), VG_UNUSED(sum);
    return simd_one_end(a, scale);
}
#endif
#endif
