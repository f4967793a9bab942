/* simd_avx512.h: the operations of simd_c.h, which documents them, in AVX-512 (F, BW, DQ, VL) and
 * VNNI: those of simd_avx2.h, but for the sums over bytes, and twice as many registers.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 *
 * Vectors stay at 256 bits: a row is a lane, and a split over threads is at 8 rows. */
#ifndef VG_SIMD_AVX512_H
#define VG_SIMD_AVX512_H

#include "kern/simd_avx2.h"

#define SIMD_ISA "avx512"
#define SIMD_TABLE vg_kern_avx512
#define SIMD_FEW_COLS 8
#define SIMD_TILE_GROUPS 2
#define SIMD_TILE_COLS 4
#define SIMD_MAC_COLS 1
#define SIMD_SIGNED 0
#define SIMD_FLOAT_ROWS 8
#define SIMD_FLOAT_COLS 3

/* ---- a sub-block of 8 interleaved rows times a column ---------------------------------------- */

/* VPDPBUSD multiplies unsigned bytes: codes of int8 get 128 added, which goes out with the sums of
 * x, as offsets do: before the first run, as it costs the same as clearing a register. */
typedef struct { __m256i part, sum; } simd_mac;

SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(n_c);
    a->part = _mm256_setzero_si256();
    if (bits == 8) offset += 128;
    if (halves || offset == 0) return;
    __m256i times = _mm256_set1_epi16((short)-offset);
    a->part = _mm256_dpwssd_epi32(a->part, times, simd_sum_pair(x[0][k].sum));
}
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    if (bits == 8) w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    a->part = _mm256_dpbusd_epi32(a->part, w, x);
    if (!scale || run % 4 < 3) return;
    __m256i p = _mm256_mullo_epi32(a->part, scale[run / 4]);
    a->sum = run < 4 ? p : _mm256_add_epi32(a->sum, p);
    a->part = _mm256_setzero_si256();
}
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(column), VG_UNUSED(bits);
    if (!scale) return a->part;
    __m256i times = _mm256_set1_epi16((short)-offset);
    times = _mm256_mullo_epi16(simd_scale_pair(scale[0], scale[1]), times);
    return _mm256_dpwssd_epi32(a->sum, times, simd_sum_pair(sum));
}

/* ---- attention ------------------------------------------------------------------------------ */

enum { SIMD_VALUES = 4 };

typedef __m256i simd_k; /* 128 more than each key */
typedef __m256i simd_v; /* widened to 16 bits */

SIMD_FN simd_k simd_keys(const uint8_t *p)
{
    return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)p), _mm256_set1_epi8(-128));
}
SIMD_FN simd_i simd_keys_begin(int32_t sum) { return _mm256_set1_epi32(-128 * sum); }
/* Without this gcc copies every sum of a loop twice a pass. */
SIMD_FN simd_i simd_in_register(simd_i a)
{
    __asm__ volatile("" : "+v"(a));
    return a;
}
SIMD_FN simd_i simd_keys_dot(simd_i sum, simd_k k, const int8_t *q)
{
    __m256i codes = _mm256_set1_epi32((int)kern_u32((const uint8_t *)q));
    return simd_in_register(_mm256_dpbusd_epi32(sum, k, codes));
}
SIMD_FN simd_v simd_values(const uint8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
SIMD_FN simd_i simd_values_dot(simd_i sum, simd_v v, const int16_t *w)
{
    __m256i both = _mm256_set1_epi32((int)kern_u32((const uint8_t *)w));
    return simd_in_register(_mm256_dpwssd_epi32(sum, v, both));
}
SIMD_FN void simd_store_i16(int16_t *p, simd_i a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtepi32_epi16(a));
}
#endif
