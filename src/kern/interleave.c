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
    const int8_t *table;
} layout;

enum { NOWHERE = 255 };

static const layout layouts[VG_N_DTYPES] = {
    [VG_Q4_0] = {1, 0, NOWHERE, NOWHERE, 2, 16, 4, NULL},
    [VG_Q4_1] = {1, 0, 2, NOWHERE, 4, 32, 4, NULL},
    [VG_Q5_0] = {1, 0, NOWHERE, 2, 6, 16, 5, NULL},
    [VG_Q5_1] = {1, 0, 2, 4, 8, 32, 5, NULL},
    [VG_Q8_0] = {1, 0, NOWHERE, NOWHERE, 2, 16, 8, NULL},
    [VG_Q4_K] = {8, 0, 2, NOWHERE, 16, 128, 4, NULL},
    [VG_Q5_K] = {8, 0, 2, 16, 48, 128, 5, NULL},
    [VG_Q6_K] = {8, 208, NOWHERE, 128, 0, 144, 6, NULL},
    [VG_IQ4_NL] = {1, 0, NOWHERE, NOWHERE, 2, 16, 4, vg_iq4_values},
    [VG_IQ4_XS] = {8, 0, NOWHERE, NOWHERE, 8, 64, 4, vg_iq4_values},
    [VG_MXFP4] = {1, NOWHERE, NOWHERE, NOWHERE, 1, 8, 4, vg_mxfp4_values},
};

/* ---- codes of a sub-block: words of 4 columns, a byte each ---------------------------------- */

/* The words at the same place of 8 rows: a vector of the layout. */
typedef struct words { uint32_t row[8]; } words;

static VG_INLINE words take(const uint8_t *p, size_t stride)
{
    words w;
    for (size_t r = 0; r < 8; r++) w.row[r] = kern_u32(p + r * stride);
    return w;
}

static VG_INLINE void put(uint8_t *to, words w)
{
    memcpy(to, w.row, sizeof w.row);
}

/* to | (w >> right & mask) << left, of each byte */
static VG_INLINE words join(words to, words w, size_t right, uint32_t mask, size_t left)
{
    for (int r = 0; r < 8; r++) to.row[r] |= (w.row[r] >> right & mask * 0x01010101) << left;
    return to;
}

/* Codes that are the same in both. */
static VG_INLINE void move_codes(const uint8_t *p, size_t stride, size_t n_words, uint8_t *to)
{
    for (size_t i = 0; i < n_words; i++) put(to + 32 * i, take(p + 4 * i, stride));
}

/* 32 nibbles, the low or, with shift 4, the high ones of 32 bytes. */
static VG_INLINE void put_nibbles(const uint8_t *p, size_t stride, size_t shift, uint8_t *to)
{
    for (size_t i = 0; i < 4; i++) {
        words w = join((words){{0}}, take(p + 4 * i, stride), shift, 15, 0);
        put(to + 32 * i, join(w, take(p + 16 + 4 * i, stride), shift, 15, 4));
    }
}

/* n bits of each of n_words words from bit `shift` on, side by side in one word. */
static VG_INLINE void put_high(const uint8_t *p, size_t stride, size_t shift, size_t n,
                               size_t n_words, uint8_t *to)
{
    words w = {{0}};
    for (size_t i = 0; i < n_words; i++)
        w = join(w, take(p + 4 * i, stride), shift, (1u << n) - 1, n * i);
    put(to, w);
}

/* The fifth bits of 32 columns, which the file has in 4 bytes. */
static VG_INLINE void put_spread_bits(const uint8_t *p, size_t stride, uint8_t *to)
{
    words bits = take(p, stride), w = {{0}};
    for (int i = 0; i < 8; i++) /* the product has bit k of 4 in byte k */
        for (int r = 0; r < 8; r++)
            w.row[r] |= ((bits.row[r] >> 4 * i & 15) * 0x00204081 & 0x01010101) << i;
    put(to, w);
}

/* Sub-block j of 8 rows, whose block is at p. */
static VG_INLINE void write_codes(vg_dtype type, const uint8_t *p, size_t stride, size_t j,
                                  uint8_t *to)
{
    const layout *l = &layouts[type];
    size_t quarter = j % 4, half = j / 4;
    switch (type) {
    case VG_Q5_0:
    case VG_Q5_1:
        put_spread_bits(p + l->high, stride, to);
        move_codes(p + l->codes, stride, 4, to + 32);
        break;
    case VG_Q4_K: put_nibbles(p + l->codes + j / 2 * 32, stride, j % 2 * 4, to); break;
    case VG_Q5_K:
        put_high(p + l->high, stride, j, 1, 8, to);
        put_nibbles(p + l->codes + j / 2 * 32, stride, j % 2 * 4, to + 32);
        break;
    case VG_Q6_K:
        put_high(p + l->high + half * 32, stride, 2 * quarter, 2, 4, to);
        put_high(p + l->high + half * 32 + 16, stride, 2 * quarter, 2, 4, to + 32);
        put_nibbles(p + l->codes + half * 64 + quarter % 2 * 32, stride, quarter / 2 * 4, to + 64);
        break;
    default: move_codes(p + l->codes + j * 4 * l->bits, stride, l->bits, to);
    }
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

/* Four of them, a byte each. */
static VG_INLINE void write_six_bits(uint8_t *p, size_t step, uint32_t four)
{
    for (size_t i = 0; i < 3; i++)
        p[i * step] = (uint8_t)((four >> 8 * i & 63) | (four >> (24 + 2 * i) & 3) << 6);
}

static int read_six_bits(const uint8_t *p, size_t step, size_t j)
{
    p += j / 4 * 3 * step;
    return j % 4 < 3 ? p[j % 4 * step] & 63
                     : p[0] >> 6 | p[step] >> 6 << 2 | p[2 * step] >> 6 << 4;
}

/* ---- blocks ------------------------------------------------------------------------------- */

/* Q4_K and Q5_K: 8 scales, then 8 minima, from 12 bytes; see kern_k4_scale. */
static VG_INLINE void write_k4_scales(const uint8_t *p, uint8_t *to)
{
    uint32_t a = kern_u32(p), b = kern_u32(p + 4), c = kern_u32(p + 8);
    write_six_bits(to, 16, a & 0x3f3f3f3f);
    write_six_bits(to + 48, 16, (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4);
    write_six_bits(to + 8, 16, b & 0x3f3f3f3f);
    write_six_bits(to + 56, 16, (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4);
}

static VG_INLINE void write_iq4_scales(const uint8_t *block, uint8_t *to)
{
    for (size_t j = 0; j < 8; j += 4) {
        uint32_t four = 0;
        for (size_t i = 0; i < 4; i++)
            four |= (uint32_t)(kern_iq4_scale(block, j + i) + 32) << 8 * i;
        write_six_bits(to + j / 4 * 24, 8, four);
    }
}

/* The scales of row r. */
static VG_INLINE void write_head(vg_dtype type, const uint8_t *p, size_t r, uint8_t *to)
{
    const layout *l = &layouts[type];
    if (type == VG_MXFP4) to[r] = p[0];
    else memcpy(to + 2 * r, p + l->d, 2);
    if (l->m != NOWHERE) memcpy(to + 16 + 2 * r, p + l->m, 2);
    if (type == VG_Q4_K || type == VG_Q5_K) write_k4_scales(p + 4, to + 32 + r);
    if (type == VG_IQ4_XS) write_iq4_scales(p, to + 16 + r);
    if (type == VG_Q6_K)
        for (size_t j = 0; j < 16; j++) to[16 + 8 * j + r] = p[192 + j];
}

/* A block of 8 rows, `stride` bytes apart in the file. */
static VG_INLINE void interleave_block(vg_dtype type, const uint8_t *p, size_t stride, uint8_t *to)
{
    const layout *l = &layouts[type];
    for (size_t r = 0; r < 8; r++) write_head(type, p + r * stride, r, to);
    for (size_t j = 0; j < l->subs; j++)
        write_codes(type, p, stride, j, to + l->head + j * 32 * l->bits);
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

/* All blocks of 8 rows of `row` bytes. The next 8 rows are asked for: what a CPU foresees by itself
 * ends with a page, and so do 8 streams of short rows. */
static VG_INLINE void interleave_rows(vg_dtype type, const uint8_t *from, size_t row, uint8_t *to)
{
    size_t bytes = vg_dtype_get(type)->bytes;
    for (size_t b = 0; b < row; b += bytes) {
        uintptr_t next = (uintptr_t)from + 8 * (row + b);
        for (size_t i = 0; i < 8 * bytes; i += 64) VG_PREFETCH((const void *)(next + i));
        interleave_block(type, from + b, row, to + 8 * b);
    }
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
