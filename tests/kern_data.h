/* kern_data.h: input for the tests and the benchmark of the kernels: random numbers that are the
 * same everywhere, floats of several tempers, and weights of every block format.
 *
 *     kern_random r = {1};
 *     kern_fill_floats(&r, x, n, KERN_WILD);
 *     kern_fill_weights(&r, VG_Q4_0, w, bytes, false);
 */
#ifndef KERN_DATA_H
#define KERN_DATA_H

#include <math.h>

#include "kern/kern.h"

typedef struct kern_random {
    uint64_t state;
} kern_random;

/* The generator of Knuth's MMIX; its high bits are good enough here. */
static inline uint32_t kern_next(kern_random *r)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->state >> 32);
}

/* In -1..1, an exact multiple of 2^-23. */
static inline float kern_uniform(kern_random *r)
{
    return (float)((int32_t)(kern_next(r) >> 8) - (1 << 23)) * 0x1p-23f;
}

typedef enum kern_temper {
    KERN_TAME,  /* -1..1 */
    KERN_WIDE,  /* -1..1 times powers of two from 2^-20 to 2^19 */
    KERN_ZERO,  /* 0 and -0 */
    KERN_TINY,  /* subnormal, and so small that scales underflow */
    KERN_HUGE,  /* near the largest float */
    KERN_HOLES, /* -1..1 with some NaN and infinities */
    KERN_WILD,  /* any bits */
    KERN_N_TEMPERS
} kern_temper;

static inline float kern_of_temper(kern_random *r, kern_temper temper)
{
    uint32_t bits = kern_next(r);
    float f = kern_uniform(r), wild;
    memcpy(&wild, &bits, sizeof wild);
    switch (temper) {
    case KERN_WIDE: {
        float power = 0x1p-20f;
        for (uint32_t i = bits % 40; i > 0; i--) power *= 2.0f;
        return f * power;
    }
    case KERN_ZERO: return bits & 1 ? -0.0f : 0.0f;
    case KERN_TINY: return f * 0x1p-100f * (bits & 1 ? 0x1p-40f : 0x1p-26f);
    case KERN_HUGE: return f * 3e38f;
    case KERN_HOLES:
        if (bits % 61 == 0) return bits & 1024 ? (float)INFINITY : -(float)INFINITY;
        return bits % 67 == 0 ? (float)NAN : f;
    case KERN_WILD: return wild;
    default: return f;
    }
}

static inline void kern_fill_floats(kern_random *r, float *x, size_t n, kern_temper temper)
{
    for (size_t i = 0; i < n; i++) x[i] = kern_of_temper(r, temper);
}

/* Where the f16 scales of a block lie; -1: nowhere. */
static inline void kern_scale_places(vg_dtype type, int at[2])
{
    at[0] = 0;
    at[1] = -1;
    switch (type) {
    case VG_Q4_1:
    case VG_Q5_1:
    case VG_Q4_K:
    case VG_Q5_K: at[1] = 2; break;
    case VG_Q2_K: at[0] = 80, at[1] = 82; break;
    case VG_Q3_K: at[0] = 108; break;
    case VG_Q6_K: at[0] = 208; break;
    case VG_MXFP4: at[0] = -1; break;
    default: break;
    }
}

/* Whole blocks. `wild`: any bytes, so that scales may be NaN; else weights of about -4..4. */
static inline void kern_fill_weights(kern_random *r, vg_dtype type, uint8_t *w, size_t bytes,
                                     bool wild)
{
    size_t block = vg_dtype_get(type)->bytes;
    int at[2];
    for (size_t i = 0; i < bytes; i++) w[i] = (uint8_t)(kern_next(r) >> 11);
    kern_scale_places(type, at);
    for (size_t b = 0; !wild && b + block <= bytes; b += block) {
        float f = kern_uniform(r);
        uint16_t h = vg_f32_to_f16(f);
        if (type == VG_F32) memcpy(w + b, &f, 4);
        else if (type == VG_F16) memcpy(w + b, &h, 2);
        else if (type == VG_BF16) memcpy(w + b, (uint8_t *)&f + 2, 2);
        else if (type == VG_MXFP4) w[b] = (uint8_t)(120 + kern_next(r) % 8);
        else
            for (int i = 0; i < 2; i++) {
                h = vg_f32_to_f16(kern_uniform(r) * 0.03f);
                if (at[i] >= 0) memcpy(w + b + at[i], &h, 2);
            }
    }
}
#endif
