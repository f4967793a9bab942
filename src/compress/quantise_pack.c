/* quantise_pack.c: codes and scales to the bytes of a block: the way back of kern/dtype.c, whose
 * layouts these are (facts of the GGUF format). One idea: everything that costs has been decided
 * before; here bits move. It checks nothing: codes and scales are in range by the search. */
#include "compress/quantise_int.h"

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* The first n codes in the low nibbles, the next n in the high ones. */
static void put_nibbles(const uint8_t *q, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)((q[i] & 15) | q[i + n] << 4);
}

/* Bit `bit` of 32 codes, as a word. */
static void put_high_bits(const uint8_t *q, int bit, uint8_t *out)
{
    for (size_t i = 0; i < 4; i++) {
        uint32_t v = 0;
        for (size_t k = 0; k < 8; k++) v |= (uint32_t)(q[8 * i + k] >> bit & 1) << k;
        out[i] = (uint8_t)v;
    }
}

/* Scales and minima of Q4_K and Q5_K, see kern_k4_scale. */
static void put_k4_scales(const coded *c, uint8_t *out)
{
    for (size_t j = 0; j < 4; j++) {
        uint32_t s = (uint32_t)c->scale[j], m = (uint32_t)c->minimum[j];
        uint32_t s4 = (uint32_t)c->scale[j + 4], m4 = (uint32_t)c->minimum[j + 4];
        out[j] = (uint8_t)(s | s4 >> 4 << 6);
        out[j + 4] = (uint8_t)(m | m4 >> 4 << 6);
        out[j + 8] = (uint8_t)((s4 & 15) | (m4 & 15) << 4);
    }
}

static void pack_k45(bool five, const coded *c, uint8_t *out)
{
    put16(out, c->d[0]);
    put16(out + 2, c->m[0]);
    put_k4_scales(c, out + 4);
    uint8_t *qs = out + (five ? 48 : 16);
    for (size_t j = 0; j < 4; j++) put_nibbles(c->q + 64 * j, 32, qs + 32 * j);
    for (size_t i = 0; five && i < 32; i++) {
        uint32_t v = 0;
        for (size_t j = 0; j < 8; j++) v |= (uint32_t)(c->q[32 * j + i] >> 4) << j;
        out[16 + i] = (uint8_t)v;
    }
}

static void pack_q6_k(const coded *c, uint8_t *out)
{
    for (size_t h = 0; h < 2; h++) { /* halves of 128 */
        const uint8_t *q = c->q + 128 * h;
        for (size_t i = 0; i < 64; i++)
            out[64 * h + i] = (uint8_t)((q[i] & 15) | (q[i + 64] & 15) << 4);
        for (size_t i = 0; i < 32; i++)
            out[128 + 32 * h + i] = (uint8_t)(q[i] >> 4 | q[i + 32] >> 4 << 2 |
                                              q[i + 64] >> 4 << 4 | q[i + 96] >> 4 << 6);
    }
    for (size_t j = 0; j < 16; j++) out[192 + j] = (uint8_t)c->scale[j];
    put16(out + 208, c->d[0]);
}

/* The two low bits of 256 codes: Q2_K and Q3_K. */
static void put_two_bits(const uint8_t *q, uint8_t *out)
{
    for (size_t h = 0; h < 2; h++, q += 128)
        for (size_t i = 0; i < 32; i++)
            out[32 * h + i] = (uint8_t)((q[i] & 3) | (q[i + 32] & 3) << 2 | (q[i + 64] & 3) << 4 |
                                        (q[i + 96] & 3) << 6);
}

static void pack_q2_k(const coded *c, uint8_t *out)
{
    for (size_t j = 0; j < 16; j++) out[j] = (uint8_t)(c->scale[j] | c->minimum[j] << 4);
    put_two_bits(c->q, out + 16);
    put16(out + 80, c->d[0]);
    put16(out + 82, c->m[0]);
}

static void pack_q3_k(const coded *c, uint8_t *out)
{
    for (size_t i = 0; i < 32; i++) {
        uint32_t v = 0;
        for (size_t j = 0; j < 8; j++) v |= (uint32_t)(c->q[32 * j + i] >> 2) << j;
        out[i] = (uint8_t)v;
    }
    put_two_bits(c->q, out + 32);
    uint8_t *s = out + 96;
    memset(s, 0, 12);
    for (size_t j = 0; j < 16; j++) { /* see kern_k3_scale */
        uint32_t v = (uint32_t)(c->scale[j] + 32);
        s[j % 8] = (uint8_t)(s[j % 8] | (v & 15) << (4 * (j / 8)));
        s[8 + j % 4] = (uint8_t)(s[8 + j % 4] | v >> 4 << (2 * (j / 4)));
    }
    put16(out + 108, c->d[0]);
}

static void pack_iq4_xs(const coded *c, uint8_t *out)
{
    put16(out, c->d[0]);
    uint32_t high = 0;
    memset(out + 4, 0, 4);
    for (size_t j = 0; j < 8; j++) { /* see kern_iq4_scale */
        uint32_t v = (uint32_t)(c->scale[j] + 32);
        out[4 + j / 2] = (uint8_t)(out[4 + j / 2] | (v & 15) << (4 * (j % 2)));
        high |= v >> 4 << (2 * j);
        put_nibbles(c->q + 32 * j, 16, out + 8 + 16 * j);
    }
    put16(out + 2, high);
}

void quantise_pack(vg_dtype type, const coded *c, size_t i, uint8_t *out)
{
    const uint8_t *q = c->q + 32 * i;
    put16(out, c->d[i]);
    switch (type) {
    case VG_Q4_0:
    case VG_IQ4_NL: put_nibbles(q, 16, out + 2); break;
    case VG_Q4_1:
        put16(out + 2, c->m[i]);
        put_nibbles(q, 16, out + 4);
        break;
    case VG_Q5_0:
        put_high_bits(q, 4, out + 2);
        put_nibbles(q, 16, out + 6);
        break;
    case VG_Q5_1:
        put16(out + 2, c->m[i]);
        put_high_bits(q, 4, out + 4);
        put_nibbles(q, 16, out + 8);
        break;
    case VG_Q8_0: memcpy(out + 2, q, 32); break;
    case VG_Q2_K: pack_q2_k(c, out); break;
    case VG_Q3_K: pack_q3_k(c, out); break;
    case VG_Q4_K: pack_k45(false, c, out); break;
    case VG_Q5_K: pack_k45(true, c, out); break;
    case VG_Q6_K: pack_q6_k(c, out); break;
    case VG_IQ4_XS: pack_iq4_xs(c, out); break;
    default: break; /* vg_quantises() lists the others */
    }
}
