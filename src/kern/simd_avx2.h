/* simd_avx2.h: the operations of simd_c.h, which documents them, in AVX2 and F16C.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 */
#ifndef VG_SIMD_AVX2_H
#define VG_SIMD_AVX2_H

#include <immintrin.h>
#include <math.h>

#include "kern/kern_int.h"

#define SIMD_FN static inline __attribute__((always_inline))
#define SIMD_UNROLL VG_UNROLL

#ifndef VG_SIMD_AVX512_H /* which takes over all but these names and the last sections */
#define SIMD_ISA "avx2"
#define SIMD_TABLE vg_kern_avx2
#define SIMD_FEW_COLS 4
#define SIMD_TILE_GROUPS 2
#define SIMD_TILE_COLS 3
#define SIMD_MAC_COLS 1
#define SIMD_SIGNED 0
#define SIMD_FLOAT_ROWS 6
#define SIMD_FLOAT_COLS 2
#endif

typedef __m256 simd_f;
typedef __m256i simd_i, simd_b;
typedef __m256i simd_p; /* 4 int32 of each half to be added up */

SIMD_FN void simd_prefetch(uintptr_t address) { __builtin_prefetch((const void *)address); }
SIMD_FN void simd_prefetch_far(uintptr_t address)
{
    __builtin_prefetch((const void *)address, 0, 2);
}

/* ---- 8 floats ------------------------------------------------------------------------------- */

SIMD_FN simd_f simd_load(const void *p) { return _mm256_loadu_ps((const float *)p); }
SIMD_FN void simd_store(float *p, simd_f a) { _mm256_storeu_ps(p, a); }
SIMD_FN simd_f simd_set1(float a) { return _mm256_set1_ps(a); }
/* Keeps gcc from reading a again from memory at each use, which costs more than a register. */
SIMD_FN simd_f simd_hold(simd_f a)
{
    __asm__("" : "+v"(a));
    return a;
}
SIMD_FN simd_f simd_add(simd_f a, simd_f b) { return _mm256_add_ps(a, b); }
SIMD_FN simd_f simd_sub(simd_f a, simd_f b) { return _mm256_sub_ps(a, b); }
SIMD_FN simd_f simd_mul(simd_f a, simd_f b) { return _mm256_mul_ps(a, b); }
SIMD_FN simd_f simd_div(simd_f a, simd_f b) { return _mm256_div_ps(a, b); }
SIMD_FN simd_f simd_min(simd_f a, simd_f b) { return _mm256_min_ps(a, b); }
SIMD_FN simd_f simd_max(simd_f a, simd_f b) { return _mm256_max_ps(a, b); }
SIMD_FN simd_f simd_if_less(simd_f a, simd_f b, simd_f x, simd_f y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
SIMD_FN simd_f simd_keep_nan(simd_f a, simd_f y)
{
    return _mm256_blendv_ps(y, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* Pairs of rows, then fours, then the halves change places. */
SIMD_FN void simd_transpose(simd_f a[8])
{
    __m256 two[8], four[8];
    for (int i = 0; i < 8; i += 2) {
        two[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        two[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            four[i + 2 * j] = _mm256_shuffle_ps(two[i + j], two[i + j + 2], 0x44);
            four[i + 2 * j + 1] = _mm256_shuffle_ps(two[i + j], two[i + j + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        a[i] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x20);
        a[i + 4] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x31);
    }
}

SIMD_FN float simd_sum(simd_f a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
SIMD_FN float simd_max_of(simd_f a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

SIMD_FN simd_f simd_load_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
SIMD_FN simd_f simd_load_bf16(const uint8_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
SIMD_FN void simd_store_f16(uint8_t *p, simd_f a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
SIMD_FN float simd_f16(const uint8_t *p) { return _cvtsh_ss(kern_u16(p)); }
SIMD_FN simd_f simd_rows_f16(const uint8_t *const row[8], size_t at)
{
    short h[8];
    for (int r = 0; r < 8; r++) h[r] = (short)kern_u16(row[r] + at);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* ---- 8 integers ----------------------------------------------------------------------------- */

SIMD_FN simd_i simd_int1(int32_t a) { return _mm256_set1_epi32(a); }
SIMD_FN simd_i simd_bits(simd_f a) { return _mm256_castps_si256(a); }
SIMD_FN simd_f simd_float_of_bits(simd_i a) { return _mm256_castsi256_ps(a); }
SIMD_FN simd_i simd_int_add(simd_i a, simd_i b) { return _mm256_add_epi32(a, b); }
SIMD_FN simd_i simd_int_sub(simd_i a, simd_i b) { return _mm256_sub_epi32(a, b); }
SIMD_FN simd_i simd_int_and(simd_i a, simd_i b) { return _mm256_and_si256(a, b); }
SIMD_FN simd_i simd_int_or(simd_i a, simd_i b) { return _mm256_or_si256(a, b); }
SIMD_FN simd_i simd_int_max(simd_i a, simd_i b) { return _mm256_max_epi32(a, b); }
SIMD_FN simd_i simd_int_shl(simd_i a, int n) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(n)); }
SIMD_FN simd_i simd_int_field(simd_i a, int shift, int mask)
{
    __m256i s = _mm256_srl_epi32(a, _mm_cvtsi32_si128(shift));
    return _mm256_and_si256(s, _mm256_set1_epi32(mask));
}
SIMD_FN simd_i simd_int_half(simd_i a) { return _mm256_srai_epi32(a, 1); }
SIMD_FN simd_f simd_to_float(simd_i a) { return _mm256_cvtepi32_ps(a); }
SIMD_FN simd_i simd_to_int(simd_f a) { return _mm256_cvtps_epi32(a); }
SIMD_FN int32_t simd_int_sum(simd_i a)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
SIMD_FN int32_t simd_int_max_of(simd_i a)
{
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
SIMD_FN simd_i simd_int_load_i8(const uint8_t *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
SIMD_FN simd_i simd_int_load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
SIMD_FN simd_f simd_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
SIMD_FN simd_i simd_rows_i8(const uint8_t *const row[8], size_t at)
{
    char b[8];
    for (int r = 0; r < 8; r++) b[r] = (char)row[r][at];
    return _mm256_cvtepi8_epi32(_mm_setr_epi8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], 0, 0,
                                              0, 0, 0, 0, 0, 0));
}
SIMD_FN void simd_store_i8(int8_t *p, simd_i a)
{
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(s, s));
}

/* ---- 32 bytes ------------------------------------------------------------------------------- */

SIMD_FN simd_b simd_byte_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD_FN void simd_byte_store(uint8_t *p, simd_b a) { _mm256_storeu_si256((__m256i *)p, a); }
SIMD_FN simd_b simd_byte_word(const int8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}
SIMD_FN simd_b simd_byte1(int a) { return _mm256_set1_epi8((char)a); }
SIMD_FN simd_b simd_byte_sub(simd_b a, simd_b b) { return _mm256_sub_epi8(a, b); }
SIMD_FN simd_b simd_byte_or(simd_b a, simd_b b) { return _mm256_or_si256(a, b); }
SIMD_FN simd_b simd_byte_and(simd_b a, simd_b b) { return _mm256_and_si256(a, b); }
SIMD_FN simd_b simd_byte_nibbles(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}
SIMD_FN simd_b simd_byte_field(simd_b a, int shift, int mask)
{
    __m256i s = _mm256_srl_epi16(a, _mm_cvtsi32_si128(shift));
    return _mm256_and_si256(s, _mm256_set1_epi8((char)mask));
}
SIMD_FN simd_b simd_byte_to(simd_b a, int left, int mask)
{
    __m256i s = left < 0 ? _mm256_srl_epi16(a, _mm_cvtsi32_si128(-left))
                         : _mm256_sll_epi16(a, _mm_cvtsi32_si128(left));
    return _mm256_and_si256(s, _mm256_set1_epi8((char)mask));
}
SIMD_FN simd_b simd_byte_shl4(simd_b a) { return _mm256_slli_epi16(a, 4); }
SIMD_FN simd_b simd_byte_of_bits(uint32_t bits)
{
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                            0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte);
    return _mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit);
}
SIMD_FN simd_b simd_byte_lookup(const int8_t table[16], simd_b a)
{
    __m128i t = _mm_loadu_si128((const __m128i *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), a);
}

/* ---- integer dot products ------------------------------------------------------------------- */

/* |w| times x with w's sign: pairs come to at most 2 * 128 * 127, below the saturation at 32767. */
SIMD_FN simd_p simd_dot(simd_b w, const int8_t *x)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)x);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(v, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
SIMD_FN simd_p simd_dot_unsigned(simd_b w, const int8_t *x)
{
    __m256i pairs = _mm256_maddubs_epi16(w, _mm256_loadu_si256((const __m256i *)x));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
SIMD_FN void simd_dot_halves(const simd_p p[8], simd_i *first, simd_i *second)
{
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(p[0], p[1]), _mm256_hadd_epi32(p[2], p[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(p[4], p[5]), _mm256_hadd_epi32(p[6], p[7]));
    *first = _mm256_permute2x128_si256(a, b, 0x20);
    *second = _mm256_permute2x128_si256(a, b, 0x31);
}
SIMD_FN simd_i simd_dot_whole(const simd_p p[8])
{
    simd_i first, second;
    simd_dot_halves(p, &first, &second);
    return _mm256_add_epi32(first, second);
}

/* ---- a sub-block of 8 interleaved rows times a column ---------------------------------------- */

typedef simd_b simd_x;

SIMD_FN simd_x simd_run_of(const vg_act *const *x, size_t k, int n_c, int i)
{
    VG_UNUSED(n_c);
    return simd_byte_word(x[0][k].q + 4 * i);
}

/* The sums of x by halves as pairs of int16. */
SIMD_FN __m256i simd_sum_pair(const int16_t sum[2])
{
    int32_t v;
    memcpy(&v, sum, sizeof v);
    return _mm256_set1_epi32(v);
}
/* The scales of the halves as pairs of int16. */
SIMD_FN __m256i simd_scale_pair(__m256i first, __m256i second)
{
    return _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
}

#ifndef VG_SIMD_AVX512_H
/* Products are summed in 16 bits for as many runs as fit: two of each run in a lane, at most
 * 8 * 2 * 15 * 127, 4 * 2 * 31 * 127, 2 * 2 * 63 * 127 and 2 * 128 * 127 < 32768. The step to 32
 * bits multiplies by 1, or by the scale of the half. */
typedef struct { __m256i part, sum; } simd_mac;

/* The value is needed as it is: gcc would add up the products as a tree, which lives in twice as
 * many registers as there are. */
#define SIMD_KEEP(x) __asm__("" : "+x"(x))

SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(a), VG_UNUSED(bits), VG_UNUSED(offset), VG_UNUSED(x), VG_UNUSED(k), VG_UNUSED(n_c);
    VG_UNUSED(halves);
}
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    const int span = bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
    __m256i p = bits == 8 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                          : _mm256_maddubs_epi16(w, x);
    a->part = run % span ? _mm256_add_epi16(a->part, p) : p;
    SIMD_KEEP(a->part);
    if (run % span < span - 1) return;
    __m256i times = scale ? simd_scale_pair(scale[run / 4], scale[run / 4]) : _mm256_set1_epi16(1);
    p = _mm256_madd_epi16(a->part, times);
    a->sum = run < span ? p : _mm256_add_epi32(a->sum, p);
}
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(column), VG_UNUSED(bits);
    if (offset == 0) return a->sum;
    __m256i times = _mm256_set1_epi16((short)-offset);
    if (scale) times = _mm256_mullo_epi16(simd_scale_pair(scale[0], scale[1]), times);
    return _mm256_add_epi32(a->sum, _mm256_madd_epi16(simd_sum_pair(sum), times));
}
#endif

/* ---- attention ------------------------------------------------------------------------------ */

#ifndef VG_SIMD_AVX512_H
enum { SIMD_VALUES = 2 };

typedef struct { __m256i signed_k, abs_k; } simd_k;
typedef __m256i simd_v; /* widened to 16 bits */

SIMD_FN simd_k simd_keys(const uint8_t *p)
{
    __m256i k = _mm256_loadu_si256((const __m256i *)p);
    return (simd_k){k, _mm256_abs_epi8(k)};
}
SIMD_FN simd_i simd_keys_begin(int32_t sum)
{
    VG_UNUSED(sum);
    return _mm256_setzero_si256();
}
/* Without this compilers load the operands of a whole loop first, and spill the sums. */
SIMD_FN simd_i simd_in_register(simd_i a)
{
    __asm__ volatile("" : "+x"(a));
    return a;
}
/* As simd_dot. */
SIMD_FN simd_i simd_keys_dot(simd_i sum, simd_k k, const int8_t *q)
{
    __m256i codes = _mm256_set1_epi32((int)kern_u32((const uint8_t *)q));
    __m256i pairs = _mm256_maddubs_epi16(k.abs_k, _mm256_sign_epi8(codes, k.signed_k));
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    return simd_in_register(_mm256_add_epi32(sum, fours));
}
SIMD_FN simd_v simd_values(const uint8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}
SIMD_FN simd_i simd_values_dot(simd_i sum, simd_v v, const int16_t *w)
{
    __m256i both = _mm256_set1_epi32((int)kern_u32((const uint8_t *)w));
    return simd_in_register(_mm256_add_epi32(sum, _mm256_madd_epi16(v, both)));
}
SIMD_FN void simd_store_i16(int16_t *p, simd_i a)
{
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storeu_si128((__m128i *)p, s);
}
#endif
#endif
