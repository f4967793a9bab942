/* simd_i8mm.h: the operations of simd_c.h, which documents them, in Advanced SIMD with the matrix
 * product of bytes of ARMv8.6: those of simd_dotprod.h, but for tiles of several columns.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 *
 * SMMLA multiplies 8 columns of two rows with those of two columns of activations: 32 products,
 * where the dot product has 16. One column alone would waste half of them. */
#ifndef VG_SIMD_I8MM_H
#define VG_SIMD_I8MM_H

#include "kern/simd_dotprod.h"

#define SIMD_ISA "i8mm"
#define SIMD_TABLE vg_kern_i8mm
#define SIMD_FEW_COLS 4
#define SIMD_TILE_GROUPS 1
#define SIMD_TILE_COLS 4
#define SIMD_MAC_COLS 2
#define SIMD_SIGNED 1

/* ---- a sub-block of 8 interleaved rows times two columns, or one alone ----------------------- */

/* sum: of two rows by two columns each; next, halves: see simd_one. */
typedef struct {
    bool alone;
    simd_one one;
    int32x4_t sum[4], next;
    simd_i halves[2];
} simd_mac;
typedef int8x16_t simd_x;

SIMD_FN simd_b simd_pair(simd_b first, simd_b second, int i)
{
    uint32x4_t a = vreinterpretq_u32_u8(first.val[i]), b = vreinterpretq_u32_u8(second.val[i]);
    return (simd_b){{vreinterpretq_u8_u32(vzip1q_u32(a, b)),
                     vreinterpretq_u8_u32(vzip2q_u32(a, b))}};
}
SIMD_FN simd_x simd_run_of(const vg_act *const *x, size_t k, int n_c, int i)
{
    int8x16_t a = simd_one_column(x[0] + k, i);
    if (n_c == 1) return a;
    int64x2_t first = vreinterpretq_s64_s8(a);
    int64x2_t second = vreinterpretq_s64_s8(simd_one_column(x[1] + k, i));
    return vreinterpretq_s8_s64(i % 4 < 2 ? vzip1q_s64(first, second) : vzip2q_s64(first, second));
}
/* What an offset takes off the sums of two columns. */
SIMD_FN int32x4_t simd_offsets(int32_t first, int32_t second)
{
    return vzip1q_s32(vdupq_n_s32(-first), vdupq_n_s32(-second));
}
SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(bits);
    a->alone = n_c == 1;
    if (a->alone) {
        simd_one_begin(&a->one, offset, x[0][k].sum, halves);
        return;
    }
    const int16_t *s = x[0][k].sum, *t = x[1][k].sum;
    int32x4_t both = simd_offsets(offset * (halves ? s[0] : s[0] + s[1]),
                                  offset * (halves ? t[0] : t[0] + t[1]));
    for (int i = 0; i < 4; i++) a->sum[i] = both;
    if (halves) a->next = simd_offsets(offset * s[1], offset * t[1]);
}
/* The sums of the 8 rows and one of the columns. */
SIMD_FN simd_i simd_mac_rows(const simd_mac *a, int column)
{
    const int32x4_t *s = a->sum;
    if (column) return (simd_i){{vuzp2q_s32(s[0], s[1]), vuzp2q_s32(s[2], s[3])}};
    return (simd_i){{vuzp1q_s32(s[0], s[1]), vuzp1q_s32(s[2], s[3])}};
}
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    VG_UNUSED(bits);
    if (a->alone) {
        simd_one_run(&a->one, run, w, x, scale);
        return;
    }
    int32x4_t *sum = a->sum + run % 2 * 2;
    for (int i = 0; i < 2; i++) sum[i] = vmmlaq_s32(sum[i], vreinterpretq_s8_u8(w.val[i]), x);
    if (!scale || run % 4 < 3) return;
    for (int c = 0; c < 2; c++) {
        simd_i half = simd_mac_rows(a, c), *all = a->halves + c;
        for (int i = 0; i < 2; i++)
            all->val[i] = run < 4 ? vmulq_s32(half.val[i], scale[0].val[i])
                                  : vmlaq_s32(all->val[i], half.val[i], scale[1].val[i]);
    }
    for (int i = 0; i < 4; i++) a->sum[i] = a->next;
}
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(bits), VG_UNUSED(offset), VG_UNUSED(sum);
    if (a->alone) return simd_one_end(&a->one, scale);
    return scale ? a->halves[column] : simd_mac_rows(a, column);
}
#endif
