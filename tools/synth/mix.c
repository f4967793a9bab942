/* Which tensor gets which type: the rules of llama-quantize without an importance matrix (facts of
 * llama.cpp v0.5.0's src/llama-quant.cpp, checked against what its program writes), for the types
 * that Verge reads. Most tensors have the mix's own type; those that quantise badly get more bits,
 * and rows that are no multiple of a block of 256 fall back to blocks of 32. */
#include <strings.h>

#include "synth.h"

static const synth_mix mixes[] = {
    {"F32", VG_F32, 0},      {"F16", VG_F16, 1},      {"BF16", VG_BF16, 32},
    {"Q4_0", VG_Q4_0, 2},    {"Q4_1", VG_Q4_1, 3},    {"Q5_0", VG_Q5_0, 8},
    {"Q5_1", VG_Q5_1, 9},    {"Q8_0", VG_Q8_0, 7},    {"Q2_K", VG_Q2_K, 10},
    {"Q3_K_S", VG_Q3_K, 11}, {"Q3_K_M", VG_Q3_K, 12}, {"Q3_K_L", VG_Q3_K, 13},
    {"Q4_K_S", VG_Q4_K, 14}, {"Q4_K_M", VG_Q4_K, 15}, {"Q5_K_S", VG_Q5_K, 16},
    {"Q5_K_M", VG_Q5_K, 17}, {"Q6_K", VG_Q6_K, 18},   {"IQ4_NL", VG_IQ4_NL, 25},
    {"IQ4_XS", VG_IQ4_XS, 30}, {"MXFP4", VG_MXFP4, 38},
};

const synth_mix *synth_mixes(size_t *n)
{
    *n = VG_COUNT(mixes);
    return mixes;
}

const synth_mix *synth_mix_find(const char *name)
{
    for (size_t i = 0; i < VG_COUNT(mixes); i++)
        if (strcasecmp(name, mixes[i].name) == 0) return &mixes[i];
    return NULL;
}

/* The layers whose values and down projections the _M mixes keep in more bits: the first and the
 * last eighth, and every third between. */
static bool use_more_bits(uint32_t il, uint32_t n)
{
    return il < n / 8 || il >= 7 * n / 8 || (il - n / 8) % 3 == 2;
}

static bool is(const synth_mix *mix, const char *name)
{
    return strcmp(mix->name, name) == 0;
}

static vg_dtype value_type(const synth_mix *mix, const synth_shape *s, uint32_t il)
{
    bool shared = s->n_heads / s->n_kv_heads >= 4; /* values that serve four heads or more */
    if (is(mix, "Q2_K")) return shared ? VG_Q4_K : VG_Q3_K;
    if (is(mix, "Q3_K_M")) return il < 2 ? VG_Q5_K : VG_Q4_K;
    if (is(mix, "Q3_K_L")) return VG_Q5_K;
    if (is(mix, "IQ4_NL") || is(mix, "IQ4_XS")) return shared ? VG_Q5_K : mix->type;
    if (is(mix, "Q4_K_S")) return il < 4 ? VG_Q5_K : VG_Q4_K;
    bool medium = is(mix, "Q4_K_M") || is(mix, "Q5_K_M");
    return medium && use_more_bits(il, s->n_layers) ? VG_Q6_K : mix->type;
}

static vg_dtype down_type(const synth_mix *mix, const synth_shape *s, uint32_t il)
{
    uint32_t n = s->n_layers;
    if (is(mix, "Q2_K")) return VG_Q3_K;
    if (is(mix, "Q3_K_M")) return il < n / 16 ? VG_Q5_K : VG_Q4_K;
    if (is(mix, "Q3_K_L")) return VG_Q5_K;
    bool first = is(mix, "IQ4_NL") || is(mix, "IQ4_XS") || is(mix, "Q4_K_S");
    if (first) return il < n / 8 ? VG_Q5_K : mix->type;
    bool medium = is(mix, "Q4_K_M") || is(mix, "Q5_K_M");
    return medium && use_more_bits(il, n) ? VG_Q6_K : mix->type;
}

static vg_dtype wanted_type(const synth_mix *mix, const synth_shape *s, synth_role role,
                            uint32_t il, size_t n_in)
{
    bool q3 = is(mix, "Q3_K_M") || is(mix, "Q3_K_L");
    switch (role) {
    case ROLE_EMBED:
    case ROLE_OUTPUT:
        if (role == ROLE_EMBED && !s->tied) return mix->type;
        if (mix->type == VG_MXFP4 || n_in % vg_dtype_get(mix->type)->block) return VG_Q8_0;
        return mix->type == VG_Q8_0 ? VG_Q8_0 : VG_Q6_K;
    case ROLE_V:
    case ROLE_QKV: return value_type(mix, s, il); /* what holds values counts as values */
    case ROLE_DOWN: return down_type(mix, s, il);
    case ROLE_O:
        if (is(mix, "Q2_K")) return VG_Q3_K;
        return q3 ? (is(mix, "Q3_K_L") ? VG_Q5_K : VG_Q4_K) : mix->type;
    default: return mix->type;
    }
}

vg_dtype synth_mix_type(const synth_mix *mix, const synth_shape *s, synth_role role, uint32_t il,
                        size_t n_in)
{
    if (role >= ROLE_ONES) return VG_F32;
    if (!vg_dtype_get(mix->type)->quantised) return mix->type;
    vg_dtype type = wanted_type(mix, s, role, il, n_in);
    if (n_in % vg_dtype_get(type)->block)
        switch (type) {
        case VG_IQ4_XS: type = VG_IQ4_NL; break;
        case VG_Q2_K:
        case VG_Q3_K: type = VG_Q4_0; break;
        case VG_Q4_K: type = VG_Q5_0; break;
        case VG_Q5_K: type = VG_Q5_1; break;
        case VG_Q6_K: type = VG_Q8_0; break;
        default: break;
        }
    return n_in % vg_dtype_get(type)->block ? VG_F16 : type;
}
