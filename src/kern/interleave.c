/* interleave.c: from rows as they lie in a file to 8 rows that lie as one, and back to numbers.
 *
 * The layout of every type stands at the head of tile.inc. Codes are moved as words of 4 columns: 4
 * bits of each of 8 columns in the formats whose two halves of a sub-block share bytes, as they do
 * here, so that most formats are moved and nothing else; the others as words of 4 codes, a byte
 * each. It never looks at what the numbers mean, but for the way back, kern_block_interleaved. */
#include "kern/kern_int.h"

/* Where things are in a block: of a row in the file, then of 8 rows. */
typedef struct layout {
    uint8_t subs;               /* of 32 columns, in a block */
    uint8_t d, m, high, codes;  /* in the file */
    uint8_t head, bits;         /* of 8 rows; bits of a code */
    bool moves;                 /* the words of codes are the same in both */
    const int8_t *table;
} layout;

enum { NOWHERE = 255 };

static const layout layouts[VG_N_DTYPES] = {
    [VG_Q4_0] = {1, 0, NOWHERE, NOWHERE, 2, 16, 4, true, NULL},
    [VG_Q4_1] = {1, 0, 2, NOWHERE, 4, 32, 4, true, NULL},
    [VG_Q5_0] = {1, 0, NOWHERE, 2, 6, 16, 5, false, NULL},
    [VG_Q5_1] = {1, 0, 2, 4, 8, 32, 5, false, NULL},
    [VG_Q8_0] = {1, 0, NOWHERE, NOWHERE, 2, 16, 8, true, NULL},
    [VG_Q4_K] = {8, 0, 2, NOWHERE, 16, 128, 4, false, NULL},
    [VG_Q5_K] = {8, 0, 2, 16, 48, 128, 5, false, NULL},
    [VG_Q6_K] = {8, 208, NOWHERE, 128, 0, 144, 6, false, NULL},
    [VG_IQ4_NL] = {1, 0, NOWHERE, NOWHERE, 2, 16, 4, true, vg_iq4_values},
    [VG_IQ4_XS] = {8, 0, NOWHERE, NOWHERE, 8, 64, 4, true, vg_iq4_values},
    [VG_MXFP4] = {1, NOWHERE, NOWHERE, NOWHERE, 1, 8, 4, true, vg_mxfp4_values},
};

static void put_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}

/* ---- codes of a sub-block: word i holds columns 4i..4i+3, a byte each ------------------------ */

/* Bits 0..3 of x, each in a byte. */
static uint32_t spread_bits(uint32_t x)
{
    return (x & 15) * 0x00204081 & 0x01010101;
}

/* From a row of the file; the types whose codes do not simply move. */
static VG_INLINE void read_codes(vg_dtype type, const uint8_t *p, size_t j, uint32_t c[8])
{
    const layout *l = &layouts[type];
    if (type == VG_Q5_0 || type == VG_Q5_1) {
        uint32_t high = kern_u32(p + l->high);
        for (int i = 0; i < 8; i++) {
            uint32_t w = kern_u32(p + l->codes + 4 * (i % 4)) >> (4 * (i / 4)) & 0x0f0f0f0f;
            c[i] = w | spread_bits(high >> (4 * i)) << 4;
        }
        return;
    }
    bool six = type == VG_Q6_K;
    const uint8_t *q = p + l->codes + (six ? 64 * (j / 4) + 32 * (j % 2) : 32 * (j / 2));
    const uint8_t *h = p + (six ? l->high + 32 * (j / 4) : l->high);
    size_t shift = six ? j / 2 % 2 * 4 : j % 2 * 4;
    for (int i = 0; i < 8; i++) c[i] = kern_u32(q + 4 * i) >> shift & 0x0f0f0f0f;
    if (type == VG_Q4_K) return;
    size_t h_shift = six ? 2 * (j % 4) : j;
    uint32_t mask = six ? 0x03030303 : 0x01010101;
    for (int i = 0; i < 8; i++) c[i] |= (kern_u32(h + 4 * i) >> h_shift & mask) << 4;
}

/* Into row r of a sub-block of 8 rows. */
static VG_INLINE void write_codes(int bits, uint8_t *sub, size_t r, const uint32_t c[8])
{
    uint8_t *to = sub + 4 * r;
    if (bits == 5) {
        uint32_t high = 0;
        for (int i = 0; i < 8; i++) high |= (c[i] >> 4 & 0x01010101) << i;
        put_u32(to, high);
    }
    for (int half = 0; bits == 6 && half < 2; half++) {
        uint32_t high = 0;
        for (int i = 0; i < 4; i++) high |= (c[4 * half + i] >> 4 & 0x03030303) << (2 * i);
        put_u32(to + 32 * half, high);
    }
    to += 32 * (bits - 4);
    for (int i = 0; i < 4; i++)
        put_u32(to + 32 * i, (c[i] & 0x0f0f0f0f) | (c[i + 4] & 0x0f0f0f0f) << 4);
}

static uint32_t code_of(const layout *l, const uint8_t *sub, size_t r, int column)
{
    size_t i = (size_t)column / 4, k = 4 * r + (size_t)column % 4;
    if (l->bits == 8) return sub[32 * i + k];
    uint32_t code = sub[32 * (l->bits - 4u) + 32 * (i % 4) + k] >> (4 * (i / 4)) & 15;
    if (l->bits == 5) code |= (sub[k] >> i & 1u) << 4;
    if (l->bits == 6) code |= (sub[32 * (i / 4) + k] >> (2 * (i % 4)) & 3u) << 4;
    return code;
}

/* ---- 6-bit scales: vectors of bytes `step` apart, the fourth of four in their high bits ------ */

static VG_INLINE void write_six_bits(uint8_t *p, size_t step, size_t j, int v)
{
    p += j / 4 * 3 * step;
    for (size_t i = 0; j % 4 == 3 && i < 3; i++)
        p[i * step] = (uint8_t)(p[i * step] | (v >> (2 * i) & 3) << 6);
    if (j % 4 < 3) p[j % 4 * step] = (uint8_t)(p[j % 4 * step] | v);
}

static int read_six_bits(const uint8_t *p, size_t step, size_t j)
{
    p += j / 4 * 3 * step;
    return j % 4 < 3 ? p[j % 4 * step] & 63
                     : p[0] >> 6 | p[step] >> 6 << 2 | p[2 * step] >> 6 << 4;
}

/* ---- blocks ------------------------------------------------------------------------------- */

/* The scales of row r; those of 6 bits are added to zeros. */
static VG_INLINE void write_head(vg_dtype type, const uint8_t *p, size_t r, uint8_t *to)
{
    const layout *l = &layouts[type];
    if (type == VG_MXFP4) to[r] = p[0];
    else memcpy(to + 2 * r, p + l->d, 2);
    if (l->m != NOWHERE) memcpy(to + 16 + 2 * r, p + l->m, 2);
    for (size_t j = 0; l->subs == 8 && j < 8; j++) {
        int scale, minimum;
        if (type == VG_Q6_K) {
            to[16 + 16 * j + r] = p[192 + 2 * j];
            to[24 + 16 * j + r] = p[193 + 2 * j];
        } else if (type == VG_IQ4_XS) {
            write_six_bits(to + 16 + r, 8, j, kern_iq4_scale(p, j) + 32);
        } else {
            kern_k4_scale(p + 4, j, &scale, &minimum);
            write_six_bits(to + 32 + r, 16, j, scale);
            write_six_bits(to + 40 + r, 16, j, minimum);
        }
    }
}

/* A block of 8 rows, `stride` bytes apart in the file. */
static VG_INLINE void interleave_block(vg_dtype type, const uint8_t *p, size_t stride, uint8_t *to)
{
    const layout *l = &layouts[type];
    if (l->subs == 8) memset(to, 0, l->head);
    for (size_t r = 0; r < 8; r++, p += stride) {
        write_head(type, p, r, to);
        if (l->moves) {
            uint8_t *word = to + l->head + 4 * r;
            for (size_t i = 0; i < l->subs * (size_t)l->bits; i++)
                put_u32(word + 32 * i, kern_u32(p + l->codes + 4 * i));
            continue;
        }
        for (size_t j = 0; j < l->subs; j++) {
            uint32_t c[8];
            read_codes(type, p, j, c);
            write_codes(l->bits, to + l->head + j * 32 * l->bits, r, c);
        }
    }
}

void kern_block_interleaved(vg_dtype type, const uint8_t *block, size_t r, size_t j,
                            kern_block *out)
{
    const layout *l = &layouts[type];
    float d = type == VG_MXFP4 ? kern_e8m0_half(block[r]) : kern_f16(block + 2 * r);
    float first = d, second = d;
    int offset = type == VG_Q4_0 ? 8 : type == VG_Q5_0 ? 16 : type == VG_Q6_K ? 32 : 0;
    out->has_minimum = l->m != NOWHERE;
    if (type == VG_Q6_K) {
        first = d * (float)(int8_t)block[16 + 16 * j + r];
        second = d * (float)(int8_t)block[24 + 16 * j + r];
    } else if (l->subs == 8) {
        int s = type == VG_IQ4_XS ? read_six_bits(block + 16 + r, 8, j) - 32
                                  : read_six_bits(block + 32 + r, 16, j);
        first = second = d * (float)s;
    }
    if (out->has_minimum) {
        float m = kern_f16(block + 16 + 2 * r);
        m = l->subs == 8 ? m * (float)read_six_bits(block + 40 + r, 16, j) : -m;
        out->minimum[0] = out->minimum[1] = m;
    }
    out->scale[0] = first;
    out->scale[1] = second;
    for (int i = 0; i < 32; i++) {
        uint32_t code = code_of(l, block + l->head + j * 32 * l->bits, r, i);
        out->q[i] = l->table ? l->table[code] : (int8_t)((int)(int8_t)code - offset);
    }
}

/* ---- matrices ----------------------------------------------------------------------------- */

/* All blocks of 8 rows of `row` bytes. */
static VG_INLINE void interleave_rows(vg_dtype type, const uint8_t *from, size_t row, uint8_t *to)
{
    size_t bytes = vg_dtype_get(type)->bytes;
    for (size_t b = 0; b < row; b += bytes) interleave_block(type, from + b, row, to + 8 * b);
}

/* The common types have a loop of their own, in which their layout is made of constants: Q4_0 then
 * moves four times as fast, and this is most of what opening a model takes. */
static void interleave_rows_of(vg_dtype type, const uint8_t *from, size_t row, uint8_t *to)
{
    switch (type) {
    case VG_Q4_0: interleave_rows(VG_Q4_0, from, row, to); break;
    case VG_Q8_0: interleave_rows(VG_Q8_0, from, row, to); break;
    case VG_Q4_K: interleave_rows(VG_Q4_K, from, row, to); break;
    case VG_Q5_K: interleave_rows(VG_Q5_K, from, row, to); break;
    case VG_Q6_K: interleave_rows(VG_Q6_K, from, row, to); break;
    default: interleave_rows(type, from, row, to); break;
    }
}

bool vg_interleaves(vg_dtype type)
{
    return layouts[type].subs > 0;
}

void vg_interleave(vg_dtype type, const void *src, void *dst, size_t n_rows, size_t n_in)
{
    const vg_dtype_info *info = vg_dtype_get(type);
    uint64_t row = 0;
    bool fits = info && vg_dtype_row_bytes(type, n_in, &row);
    assert(fits);
    size_t whole = vg_interleaves(type) ? n_rows / 8 * 8 : 0;
    for (size_t r = 0; r < whole; r += 8)
        interleave_rows_of(type, (const uint8_t *)src + r * row, (size_t)row,
                           (uint8_t *)dst + r * row);
    memcpy((uint8_t *)dst + whole * row, (const uint8_t *)src + whole * row,
           (n_rows - whole) * row);
}

size_t vg_rows_scratch_bytes(size_t n_in)
{
    VG_UNUSED(n_in);
    return KERN_PANEL_BYTES;
}
