/* kern_int.h: what the files of this folder share: the scalar conversions and the packed scales of
 * the block formats, and the tables that kern_pick.c chooses from.
 *
 *     float d = kern_f16(block + 2);
 *     kern_k4_scale(block + 4, 5, &scale, &minimum);
 *
 * Blocks lie at any address, so all reads go through memcpy. Little-endian machines only. */
#ifndef VG_KERN_INT_H
#define VG_KERN_INT_H

#include "kern/kern.h"

extern const vg_kern vg_kern_c, vg_kern_avx2, vg_kern_avx512, vg_kern_neon, vg_kern_dotprod,
    vg_kern_i8mm;

/* Values of 4-bit codes (int8): IQ4_NL and IQ4_XS; MXFP4, doubled. */
extern const int8_t vg_iq4_values[16], vg_mxfp4_values[16];

/* Scratch of a thread for the product of rows with many columns, see tile.inc and float.inc. */
enum { KERN_PANEL_BYTES = 8 * 64 * 352 };

/* 32 weights: half h (16 of them) is scale[h] * q - minimum[h]. */
typedef struct kern_block {
    float scale[2], minimum[2];
    bool has_minimum; /* subtracting a zero would turn -0 into 0 */
    int8_t q[32];
} kern_block;

/* Sub-block j of row r (0..7) of a block of 8 interleaved rows. */
void kern_block_interleaved(vg_dtype type, const uint8_t *block, size_t r, size_t j,
                            kern_block *out);

static inline uint16_t kern_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t kern_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float kern_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t kern_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float kern_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 0x3ff;
    if (e == 0) return kern_float(kern_bits((float)m * 0x1p-24f) | sign); /* exact */
    if (e < 31) return kern_float(sign | (e + 112) << 23 | m << 13);
    return kern_float(sign | 0x7f800000 | m << 13 | (m ? 0x400000u : 0)); /* NaN turns quiet */
}

static inline uint16_t kern_f32_to_f16(float f)
{
    uint32_t bits = kern_bits(f), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
    /* Below 2^-14 the result is a multiple of 2^-24, the last place of 0.5: the sum rounds. */
    if (a < 0x38800000) return (uint16_t)(sign | (kern_bits(kern_float(a) + 0.5f) - 0x3f000000));
    a += 0xfff + (a >> 13 & 1);
    return (uint16_t)(sign | (a - (112u << 23)) >> 13);
}

static inline float kern_f16(const uint8_t *p)
{
    return kern_f16_to_f32(kern_u16(p));
}

/* MXFP4's shared exponent, halved because the table of values is doubled: 2^(e - 128). */
static inline float kern_e8m0_half(uint8_t e)
{
    return kern_float(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* Q4_K, Q5_K: 6-bit scale and minimum of sub-block j (0..7) out of 12 bytes. The first four lie
 * whole in bytes 0-3 and 4-7; the others have low bits in bytes 8-11, high bits above the first. */
static inline void kern_k4_scale(const uint8_t *s, size_t j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *minimum = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* Q3_K: 6-bit scale of group j (0..15), less 32, out of 12 bytes. */
static inline int kern_k3_scale(const uint8_t *s, size_t j)
{
    int low = s[j % 8] >> (4 * (j / 8)) & 15;
    int high = s[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
}

/* IQ4_XS: 6-bit scale of sub-block j (0..7), less 32; `block` is the whole block. */
static inline int kern_iq4_scale(const uint8_t *block, size_t j)
{
    int low = block[4 + j / 2] >> (4 * (j % 2)) & 15;
    int high = kern_u16(block + 2) >> (2 * j) & 3;
    return (low | high << 4) - 32;
}
#endif
