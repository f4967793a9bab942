/* quantise_int.h: what the search hands to the packers: a block's codes and scales as integers.
 *
 *     coded c;
 *     search(&c);
 *     quantise_pack(VG_Q4_K, &c, 0, out);
 */
#ifndef VG_QUANTISE_INT_H
#define VG_QUANTISE_INT_H

#include "compress/quantise.h"

/* 256 weights: 8 blocks of 32, or one block of 256. */
typedef struct coded {
    uint8_t q[256];                /* codes as they are stored, not packed yet */
    int32_t scale[16], minimum[16]; /* of the parts of a block of 256 */
    uint16_t d[8], m[8];           /* F16; [0] for a block of 256 */
} coded;

/* Writes block i (0..7) of 32 weights, or the one of 256 (i = 0). */
void quantise_pack(vg_dtype type, const coded *c, size_t i, uint8_t *out);

extern const vg_quantiser vg_quantiser_c, vg_quantiser_avx2, vg_quantiser_avx512,
    vg_quantiser_neon;
#endif
