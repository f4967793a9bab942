/* simd_c.h: the operations that kern.inc is written over, in plain C: what they mean.
 *
 *     simd_f s = simd_mul(simd_load(x), simd_set1(2.0f));
 *     simd_store(y, s);
 *
 * simd_f is 8 floats, simd_i 8 int32, simd_b 32 bytes, simd_p sums of products on their way to two
 * integers. The other simd_<isa>.h give the same results, bit for bit, except for the payload and
 * sign of a NaN. All addresses may be unaligned. */
#ifndef VG_SIMD_C_H
#define VG_SIMD_C_H

#include <math.h>

#include "kern/kern_int.h"

/* What to inline is left to the compiler here: all of it takes minutes to compile. */
#define SIMD_FN static inline
#define SIMD_ISA "c"
#define SIMD_TABLE vg_kern_c

/* Before a loop of a constant number of passes, in vectors VG_UNROLL. */
#define SIMD_UNROLL

/* Interleaved rows, see tile.inc: columns that a group of 8 rows goes to at once, and groups and
 * columns of a tile over a panel: as many sums as the registers hold. */
#define SIMD_FEW_COLS 1
#define SIMD_TILE_GROUPS 1
#define SIMD_TILE_COLS 1
/* Columns that one multiplication takes: 1 or 2. Whether bytes of weights are multiplied as signed
 * ones, so that a panel holds codes less their offset. */
#define SIMD_MAC_COLS 1
#define SIMD_SIGNED 0

/* A tile of float rows, see float.inc, the same way. */
#define SIMD_FLOAT_ROWS 4
#define SIMD_FLOAT_COLS 2

typedef struct { float v[8]; } simd_f;
typedef struct { int32_t v[8]; } simd_i;
typedef struct { uint8_t v[32]; } simd_b;
typedef struct { int32_t half[2]; } simd_p;

#define SIMD_EACH(type, expr)                                                                      \
    do {                                                                                           \
        type simd_r;                                                                               \
        for (int i = 0; i < (int)VG_COUNT(simd_r.v); i++) simd_r.v[i] = (expr);                    \
        return simd_r;                                                                             \
    } while (0)

/* Asks for the 64 bytes around an address, which need not exist, to be brought near. */
SIMD_FN void simd_prefetch(uintptr_t address) { __builtin_prefetch((const void *)address); }
/* The same, but not nearer than the second cache. */
SIMD_FN void simd_prefetch_far(uintptr_t address)
{
    __builtin_prefetch((const void *)address, 0, 2);
}

/* ---- 8 floats ------------------------------------------------------------------------------- */

SIMD_FN simd_f simd_load(const void *p)
{
    simd_f a;
    memcpy(a.v, p, sizeof a.v);
    return a;
}
SIMD_FN void simd_store(float *p, simd_f a) { memcpy(p, a.v, sizeof a.v); }
SIMD_FN simd_f simd_set1(float a) { SIMD_EACH(simd_f, a); }
/* a, which is to stay in a register as long as it is in use. */
SIMD_FN simd_f simd_hold(simd_f a) { return a; }
SIMD_FN simd_f simd_add(simd_f a, simd_f b) { SIMD_EACH(simd_f, a.v[i] + b.v[i]); }
SIMD_FN simd_f simd_sub(simd_f a, simd_f b) { SIMD_EACH(simd_f, a.v[i] - b.v[i]); }
SIMD_FN simd_f simd_mul(simd_f a, simd_f b) { SIMD_EACH(simd_f, a.v[i] * b.v[i]); }
SIMD_FN simd_f simd_div(simd_f a, simd_f b) { SIMD_EACH(simd_f, a.v[i] / b.v[i]); }

/* The second operand when either is NaN, and when they are zeros of different sign. */
SIMD_FN simd_f simd_min(simd_f a, simd_f b)
{
    SIMD_EACH(simd_f, a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
SIMD_FN simd_f simd_max(simd_f a, simd_f b)
{
    SIMD_EACH(simd_f, a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}

/* a < b ? x : y; y when a or b is NaN. */
SIMD_FN simd_f simd_if_less(simd_f a, simd_f b, simd_f x, simd_f y)
{
    SIMD_EACH(simd_f, a.v[i] < b.v[i] ? x.v[i] : y.v[i]);
}
/* a is NaN ? a : y */
SIMD_FN simd_f simd_keep_nan(simd_f a, simd_f y)
{
    SIMD_EACH(simd_f, a.v[i] != a.v[i] ? a.v[i] : y.v[i]);
}

/* Row i of an 8 x 8 matrix becomes its column i. */
SIMD_FN void simd_transpose(simd_f a[8])
{
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < i; j++) {
            float upper = a[j].v[i];
            a[j].v[i] = a[i].v[j];
            a[i].v[j] = upper;
        }
}

/* ((0+4)+(2+6)) + ((1+5)+(3+7)) */
SIMD_FN float simd_sum(simd_f a)
{
    const float *v = a.v;
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
/* The same tree of simd_max. */
SIMD_FN float simd_max_of(simd_f a)
{
    simd_f b = {{a.v[4], a.v[5], a.v[6], a.v[7]}};
    b = simd_max(a, b);
    simd_f c = {{b.v[2], b.v[3]}};
    c = simd_max(b, c);
    return c.v[0] > c.v[1] ? c.v[0] : c.v[1];
}

SIMD_FN simd_f simd_load_f16(const uint8_t *p) { SIMD_EACH(simd_f, kern_f16(p + 2 * i)); }
SIMD_FN simd_f simd_load_bf16(const uint8_t *p)
{
    SIMD_EACH(simd_f, kern_float((uint32_t)kern_u16(p + 2 * i) << 16));
}
SIMD_FN void simd_store_f16(uint8_t *p, simd_f a)
{
    for (int i = 0; i < 8; i++) {
        uint16_t h = kern_f32_to_f16(a.v[i]);
        memcpy(p + 2 * i, &h, 2);
    }
}
SIMD_FN float simd_f16(const uint8_t *p) { return kern_f16(p); }
/* The f16 at row[r] + at, for 8 rows. */
SIMD_FN simd_f simd_rows_f16(const uint8_t *const row[8], size_t at)
{
    SIMD_EACH(simd_f, kern_f16(row[i] + at));
}

/* ---- 8 integers ----------------------------------------------------------------------------- */

SIMD_FN simd_i simd_int1(int32_t a) { SIMD_EACH(simd_i, a); }
SIMD_FN simd_i simd_bits(simd_f a) { SIMD_EACH(simd_i, (int32_t)kern_bits(a.v[i])); }
SIMD_FN simd_f simd_float_of_bits(simd_i a) { SIMD_EACH(simd_f, kern_float((uint32_t)a.v[i])); }
SIMD_FN simd_i simd_int_add(simd_i a, simd_i b) { SIMD_EACH(simd_i, a.v[i] + b.v[i]); }
SIMD_FN simd_i simd_int_sub(simd_i a, simd_i b) { SIMD_EACH(simd_i, a.v[i] - b.v[i]); }
SIMD_FN simd_i simd_int_and(simd_i a, simd_i b) { SIMD_EACH(simd_i, a.v[i] & b.v[i]); }
SIMD_FN simd_i simd_int_or(simd_i a, simd_i b) { SIMD_EACH(simd_i, a.v[i] | b.v[i]); }
SIMD_FN simd_i simd_int_max(simd_i a, simd_i b)
{
    SIMD_EACH(simd_i, a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
SIMD_FN simd_i simd_int_shl(simd_i a, int n)
{
    SIMD_EACH(simd_i, (int32_t)((uint32_t)a.v[i] << n));
}
/* (a >> shift) & mask, mask < 2^31 >> shift */
SIMD_FN simd_i simd_int_field(simd_i a, int shift, int mask)
{
    SIMD_EACH(simd_i, a.v[i] >> shift & mask);
}
/* floor(a / 2) */
SIMD_FN simd_i simd_int_half(simd_i a) { SIMD_EACH(simd_i, a.v[i] >> 1); }
SIMD_FN simd_f simd_to_float(simd_i a) { SIMD_EACH(simd_f, (float)a.v[i]); }
/* To nearest, ties to even; |a| < 2^22, where adding 1.5 * 2^23 rounds to an integer. For the rest,
 * NaN too, any number may come: who calls this with them throws the number away. */
SIMD_FN simd_i simd_to_int(simd_f a)
{
    SIMD_EACH(simd_i, fabsf(a.v[i]) < 0x1p22f ? (int32_t)((a.v[i] + 0x1.8p23f) - 0x1.8p23f) : 0);
}
SIMD_FN int32_t simd_int_sum(simd_i a)
{
    int32_t s = 0;
    for (int i = 0; i < 8; i++) s += a.v[i];
    return s;
}
SIMD_FN int32_t simd_int_max_of(simd_i a)
{
    int32_t m = a.v[0];
    for (int i = 1; i < 8; i++) m = VG_MAX(m, a.v[i]);
    return m;
}
SIMD_FN simd_i simd_int_load_i8(const uint8_t *p) { SIMD_EACH(simd_i, (int8_t)p[i]); }
SIMD_FN simd_i simd_int_load_u8(const uint8_t *p) { SIMD_EACH(simd_i, p[i]); }
SIMD_FN simd_f simd_load_i8(const int8_t *p) { SIMD_EACH(simd_f, (float)p[i]); }
/* The int8 at row[r] + at, for 8 rows. */
SIMD_FN simd_i simd_rows_i8(const uint8_t *const row[8], size_t at)
{
    SIMD_EACH(simd_i, (int8_t)row[i][at]);
}
/* Values of -128..127. */
SIMD_FN void simd_store_i8(int8_t *p, simd_i a)
{
    for (int i = 0; i < 8; i++) p[i] = (int8_t)a.v[i];
}

/* ---- 32 bytes ------------------------------------------------------------------------------- */

SIMD_FN simd_b simd_byte_load(const uint8_t *p) { SIMD_EACH(simd_b, p[i]); }
SIMD_FN void simd_byte_store(uint8_t *p, simd_b a) { memcpy(p, a.v, sizeof a.v); }
/* The same 4 bytes eight times. */
SIMD_FN simd_b simd_byte_word(const int8_t *p) { SIMD_EACH(simd_b, (uint8_t)p[i % 4]); }
SIMD_FN simd_b simd_byte1(int a) { SIMD_EACH(simd_b, (uint8_t)a); }
SIMD_FN simd_b simd_byte_sub(simd_b a, simd_b b) { SIMD_EACH(simd_b, (uint8_t)(a.v[i] - b.v[i])); }
SIMD_FN simd_b simd_byte_or(simd_b a, simd_b b) { SIMD_EACH(simd_b, a.v[i] | b.v[i]); }
SIMD_FN simd_b simd_byte_and(simd_b a, simd_b b) { SIMD_EACH(simd_b, a.v[i] & b.v[i]); }
/* The low nibbles of 16 bytes, then the high ones. */
SIMD_FN simd_b simd_byte_nibbles(const uint8_t *p)
{
    SIMD_EACH(simd_b, i < 16 ? p[i] & 15 : p[i - 16] >> 4);
}
/* (a >> shift) & mask, mask <= 0xff >> shift */
SIMD_FN simd_b simd_byte_field(simd_b a, int shift, int mask)
{
    SIMD_EACH(simd_b, (uint8_t)(a.v[i] >> shift & mask));
}
/* (a << left) & mask, or to the right where left < 0; the mask has no bit from another byte. */
SIMD_FN simd_b simd_byte_to(simd_b a, int left, int mask)
{
    SIMD_EACH(simd_b, (uint8_t)((left < 0 ? a.v[i] >> -left : a.v[i] << left) & mask));
}
/* a << 4, a < 16 */
SIMD_FN simd_b simd_byte_shl4(simd_b a) { SIMD_EACH(simd_b, (uint8_t)(a.v[i] << 4)); }
/* Byte i is 255 where bit i is set, else 0. */
SIMD_FN simd_b simd_byte_of_bits(uint32_t bits) { SIMD_EACH(simd_b, bits >> i & 1 ? 255 : 0); }
/* table[a], a < 16 */
SIMD_FN simd_b simd_byte_lookup(const int8_t table[16], simd_b a)
{
    SIMD_EACH(simd_b, (uint8_t)table[a.v[i]]);
}

/* ---- integer dot products ------------------------------------------------------------------- */

/* The products of 32 weights (any int8) and x (never -128), summed by halves. */
SIMD_FN simd_p simd_dot(simd_b w, const int8_t *x)
{
    simd_p p = {{0, 0}};
    for (int i = 0; i < 32; i++) p.half[i / 16] += (int8_t)w.v[i] * x[i];
    return p;
}
/* The same when the weights are 0..127. */
SIMD_FN simd_p simd_dot_unsigned(simd_b w, const int8_t *x) { return simd_dot(w, x); }

/* What eight of them come to: of each half, or of both together. */
SIMD_FN void simd_dot_halves(const simd_p p[8], simd_i *first, simd_i *second)
{
    for (int i = 0; i < 8; i++) {
        first->v[i] = p[i].half[0];
        second->v[i] = p[i].half[1];
    }
}
SIMD_FN simd_i simd_dot_whole(const simd_p p[8]) { SIMD_EACH(simd_i, p[i].half[0] + p[i].half[1]); }

/* ---- a sub-block of 8 interleaved rows times columns: 8 runs of 4 bytes a row ---------------- */

/* The sum of the 8 runs: code - offset times x, with halves that of each half (4 runs) times its
 * scale. Codes are below 2^bits (4, 5 or 6; with SIMD_SIGNED also above -2^bits), or, when
 * bits is 8, any int8. A tile has n_c columns; a mac takes SIMD_MAC_COLS of them, whose blocks of
 * activations are x[0][k] and x[1][k]. scale is NULL without halves.
 * Where SIMD_MAC_COLS is 2 and n_c is not 1, two runs are exchanged before they are multiplied:
 * simd_pair() makes run 2i of the 8 columns of both in rows 0..3, run 2i + 1 of rows 4..7. */
typedef struct { simd_i sum; } simd_mac;
typedef simd_b simd_x; /* what run i is multiplied with */

SIMD_FN simd_x simd_run_of(const vg_act *const *x, size_t k, int n_c, int i)
{
    VG_UNUSED(n_c);
    return simd_byte_word(x[0][k].q + 4 * i);
}
SIMD_FN void simd_mac_begin(simd_mac *a, int bits, int offset, const vg_act *const *x, size_t k,
                            int n_c, bool halves)
{
    VG_UNUSED(bits), VG_UNUSED(offset), VG_UNUSED(x), VG_UNUSED(k), VG_UNUSED(n_c);
    VG_UNUSED(halves);
    a->sum = simd_int1(0);
}
/* Runs come in order. */
SIMD_FN void simd_mac_run(simd_mac *a, int bits, int run, simd_b w, simd_x x, const simd_i *scale)
{
    VG_UNUSED(bits);
    for (int i = 0; i < 32; i++)
        a->sum.v[i / 4] += (int8_t)w.v[i] * (int8_t)x.v[i] * (scale ? scale[run / 4].v[i / 4] : 1);
}
/* Of the first or second column of a mac, whose x come to `sum` by halves. */
SIMD_FN simd_i simd_mac_end(const simd_mac *a, int column, int bits, int offset,
                            const int16_t sum[2], const simd_i *scale)
{
    VG_UNUSED(column), VG_UNUSED(bits);
    if (scale) SIMD_EACH(simd_i, a->sum.v[i] - offset * (scale[0].v[i] * sum[0] +
                                                         scale[1].v[i] * sum[1]));
    SIMD_EACH(simd_i, a->sum.v[i] - offset * (sum[0] + sum[1]));
}

/* ---- attention ------------------------------------------------------------------------------ */

/* Vectors of sums that the weighted sum of values keeps in registers for each query. */
enum { SIMD_VALUES = 2 };

typedef struct { int8_t v[32]; } simd_k; /* 4 columns of 8 keys, key by key */
typedef struct { int8_t v[16]; } simd_v; /* 8 columns of 2 values, column by column */

/* The keys are never -128. */
SIMD_FN simd_k simd_keys(const uint8_t *p)
{
    simd_k k;
    memcpy(k.v, p, sizeof k.v);
    return k;
}
/* Where the sums of keys times codes begin, codes that come to `sum`: some instruction sets take
 * the keys 128 too large. */
SIMD_FN simd_i simd_keys_begin(int32_t sum)
{
    VG_UNUSED(sum);
    return simd_int1(0);
}
/* Adds the products with the 4 codes at q (never -128) to the sum of each key. */
SIMD_FN simd_i simd_keys_dot(simd_i sum, simd_k k, const int8_t *q)
{
    for (int i = 0; i < 8; i++)
        for (int c = 0; c < 4; c++) sum.v[i] += k.v[4 * i + c] * q[c];
    return sum;
}
SIMD_FN simd_v simd_values(const uint8_t *p)
{
    simd_v v;
    memcpy(v.v, p, sizeof v.v);
    return v;
}
/* Adds w[0] times the first value and w[1] times the second to the sum of each column; w >= 0. */
SIMD_FN simd_i simd_values_dot(simd_i sum, simd_v v, const int16_t *w)
{
    SIMD_EACH(simd_i, sum.v[i] + v.v[2 * i] * w[0] + v.v[2 * i + 1] * w[1]);
}
/* Values of -32768..32767. */
SIMD_FN void simd_store_i16(int16_t *p, simd_i a)
{
    for (int i = 0; i < 8; i++) p[i] = (int16_t)a.v[i];
}
#endif
