/* mix.c: the rules of the mixes. Most tensors have the mix's own type; those that quantise badly
 * get more bits: the output, and in the _M mixes the values and the down projections of the first
 * and the last eighth of the layers and of every third between. Rows that are no multiple of a
 * block of 256 fall back to blocks of 32, and to F16 where these do not fit either.
 *
 * Facts of llama.cpp v0.5.0's src/llama-quant.cpp, checked against the files that it writes. It
 * knows nothing of sizes or errors: solve.c does. */
#include "compress/mix.h"

#include <stdio.h>
#include <strings.h>

static const vg_mix mixes[] = {
    {"F32", VG_F32, 0},        {"F16", VG_F16, 1},        {"BF16", VG_BF16, 32},
    {"Q8_0", VG_Q8_0, 7},      {"Q6_K", VG_Q6_K, 18},     {"Q5_K_M", VG_Q5_K, 17},
    {"Q5_K_S", VG_Q5_K, 16},   {"Q5_1", VG_Q5_1, 9},      {"Q5_0", VG_Q5_0, 8},
    {"Q4_K_M", VG_Q4_K, 15},   {"Q4_K_S", VG_Q4_K, 14},   {"Q4_1", VG_Q4_1, 3},
    {"Q4_0", VG_Q4_0, 2},      {"IQ4_NL", VG_IQ4_NL, 25}, {"IQ4_XS", VG_IQ4_XS, 30},
    {"Q3_K_L", VG_Q3_K, 13},   {"Q3_K_M", VG_Q3_K, 12},   {"Q3_K_S", VG_Q3_K, 11},
    {"Q2_K", VG_Q2_K, 10},
};

const vg_mix *vg_mixes(size_t *n)
{
    *n = VG_COUNT(mixes);
    return mixes;
}

const vg_mix *vg_mix_find(const char *name)
{
    for (size_t i = 0; i < VG_COUNT(mixes); i++)
        if (strcasecmp(name, mixes[i].name) == 0) return &mixes[i];
    return NULL;
}

uint32_t vg_mix_file_type(vg_dtype type)
{
    for (size_t i = 0; i < VG_COUNT(mixes); i++)
        if (mixes[i].type == type) return mixes[i].file_type;
    return 0;
}

static uint32_t number_of(const vg_gguf *g, const char *arch, const char *suffix)
{
    char key[128];
    uint32_t v = 0;
    snprintf(key, sizeof key, "%s.%s", arch, suffix);
    const vg_gguf_kv *kv = vg_gguf_find(g, key);
    if (!kv) return 0;
    if (kv->type == VG_GGUF_ARRAY && kv->strs == NULL && kv->n > 0) {
        int64_t first = vg_gguf_item_i64(kv, 0); /* heads by layer */
        return first > 0 && first < UINT32_MAX ? (uint32_t)first : 0;
    }
    return vg_gguf_u32(g, key, &v, NULL) ? 0 : v;
}

vg_mix_facts vg_mix_facts_of(const vg_gguf *g)
{
    vg_str name = {"", 0};
    char arch[64];
    if (vg_gguf_opt_str(g, "general.architecture", &name, NULL)) name.n = 0;
    snprintf(arch, sizeof arch, "%.*s", (int)VG_MIN(name.n, sizeof arch - 1), name.p);
    return (vg_mix_facts){
        .n_layers = number_of(g, arch, "block_count"),
        .n_heads = number_of(g, arch, "attention.head_count"),
        .n_kv_heads = number_of(g, arch, "attention.head_count_kv"),
        .tied = !vg_gguf_tensor_find(g, "output.weight"),
    };
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* `suffix` without the layer before it: "blk.12.attn_v.weight". */
static bool is_part(vg_str name, const char *suffix)
{
    size_t n = strlen(suffix);
    return name.n >= n && memcmp(name.p + name.n - n, suffix, n) == 0 &&
           (name.n == n || name.p[name.n - n - 1] == '.');
}

bool vg_mix_takes(const vg_gguf_tensor *t)
{
    static const char *const kept[] = {"ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight",
                                       "position_embd.weight", "token_types.weight",
                                       "ssm_conv1d.weight", "shortconv.conv.weight",
                                       "per_layer_model_proj.weight", "altup_proj.weight"};
    if (t->n_dims < 2 || t->dim[1] < 2 || !is_part(t->name, "weight")) return false;
    for (size_t i = 0; i + 11 < t->name.n; i++)
        if (memcmp(t->name.p + i, "_norm.weight", 12) == 0) return false;
    for (size_t i = 0; i < VG_COUNT(kept); i++)
        if (is_part(t->name, kept[i])) return false;
    return true;
}

static uint32_t layer_of(vg_str name)
{
    uint32_t il = 0;
    if (!vg_str_starts(name, VG_STR("blk."))) return 0;
    for (size_t i = 4; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && il < 100000; i++)
        il = 10 * il + (uint32_t)(name.p[i] - '0');
    return il;
}

static bool is(const vg_mix *mix, const char *name)
{
    return strcmp(mix->name, name) == 0;
}

static bool more_bits(const vg_mix *mix, uint32_t il, uint32_t n)
{
    bool medium = is(mix, "Q4_K_M") || is(mix, "Q5_K_M");
    return medium && (il < n / 8 || il >= 7 * n / 8 || (il - n / 8) % 3 == 2);
}

static vg_dtype value_type(const vg_mix *mix, const vg_mix_facts *f, uint32_t il)
{
    bool shared = f->n_kv_heads && f->n_heads / f->n_kv_heads >= 4; /* by four heads or more */
    if (is(mix, "Q2_K")) return shared ? VG_Q4_K : VG_Q3_K;
    if (is(mix, "Q3_K_M")) return il < 2 ? VG_Q5_K : VG_Q4_K;
    if (is(mix, "Q3_K_L")) return VG_Q5_K;
    if (is(mix, "IQ4_NL") || is(mix, "IQ4_XS")) return shared ? VG_Q5_K : mix->type;
    if (is(mix, "Q4_K_S")) return il < 4 ? VG_Q5_K : VG_Q4_K;
    return more_bits(mix, il, f->n_layers) ? VG_Q6_K : mix->type;
}

static vg_dtype down_type(const vg_mix *mix, const vg_mix_facts *f, uint32_t il)
{
    uint32_t n = f->n_layers;
    if (is(mix, "Q2_K")) return VG_Q3_K;
    if (is(mix, "Q3_K_M")) return il < n / 16 ? VG_Q5_K : VG_Q4_K;
    if (is(mix, "Q3_K_L")) return VG_Q5_K;
    if (is(mix, "IQ4_NL") || is(mix, "IQ4_XS") || is(mix, "Q4_K_S"))
        return il < n / 8 ? VG_Q5_K : mix->type;
    return more_bits(mix, il, n) ? VG_Q6_K : mix->type;
}

vg_dtype vg_mix_type(const vg_mix *mix, const vg_mix_facts *f, vg_str name)
{
    if (!vg_dtype_get(mix->type)->quantised) return mix->type;
    uint32_t il = layer_of(name);
    if (vg_str_is(name, "output.weight") || (f->tied && vg_str_is(name, "token_embd.weight")))
        return mix->type == VG_Q8_0 ? VG_Q8_0 : VG_Q6_K;
    if (is_part(name, "attn_v.weight") || is_part(name, "attn_qkv.weight"))
        return value_type(mix, f, il);
    if (is_part(name, "ffn_down.weight") || is_part(name, "ffn_down_exps.weight"))
        return down_type(mix, f, il);
    if (is_part(name, "attn_output.weight")) {
        if (is(mix, "Q2_K")) return VG_Q3_K;
        if (is(mix, "Q3_K_M")) return VG_Q4_K;
        if (is(mix, "Q3_K_L")) return VG_Q5_K;
    }
    return mix->type;
}

vg_dtype vg_mix_fit(vg_dtype type, uint64_t n_in)
{
    const struct { vg_dtype from, to; } steps[] = {
        {VG_IQ4_XS, VG_IQ4_NL}, {VG_Q2_K, VG_Q4_0}, {VG_Q3_K, VG_Q4_0},
        {VG_Q4_K, VG_Q5_0},     {VG_Q5_K, VG_Q5_1}, {VG_Q6_K, VG_Q8_0},
    };
    if (n_in % vg_dtype_get(type)->block == 0) return type;
    for (size_t i = 0; i < VG_COUNT(steps); i++)
        if (steps[i].from == type && n_in % 32 == 0) return steps[i].to;
    return VG_F16;
}

/* mix NULL: every matrix in `type`. */
static uint64_t file_bytes(const vg_gguf *g, const vg_mix *mix, vg_dtype type)
{
    enum { ALIGN = 32, NEW_KEYS_BYTES = 1024 };
    vg_mix_facts facts = vg_mix_facts_of(g);
    uint64_t header = vg_gguf_file_bytes(g), sum = 0;
    for (size_t i = 0; i < vg_gguf_n_tensors(g); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(g, i);
        uint64_t row = 0, n_rows = t->dim[1] * t->dim[2] * t->dim[3], bytes = t->n_bytes;
        bool fits = true;
        if (vg_mix_takes(t)) {
            vg_dtype wanted = mix ? vg_mix_type(mix, &facts, t->name) : type;
            fits = vg_dtype_row_bytes(vg_mix_fit(wanted, t->dim[0]), t->dim[0], &row) &&
                   vg_mul64(row, n_rows, &bytes);
        }
        if (!fits || !vg_add64(sum, bytes, &sum) || !vg_add64(sum, ALIGN, &sum)) return UINT64_MAX;
        header -= VG_MIN(header, t->n_bytes);
    }
    return vg_add64(sum, header + NEW_KEYS_BYTES, &sum) ? sum : UINT64_MAX;
}

uint64_t vg_mix_file_bytes(const vg_gguf *g, const vg_mix *mix)
{
    return file_bytes(g, mix, mix->type);
}

uint64_t vg_mix_least_bytes(const vg_gguf *g, vg_dtype type)
{
    return file_bytes(g, NULL, type);
}

/* ---- patterns ------------------------------------------------------------------------------- */

/* The last * takes one character more each time that what follows it does not meet the name. */
bool vg_glob(vg_str pattern, vg_str name)
{
    size_t p = 0, i = 0, star = SIZE_MAX, taken = 0;
    while (i < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            taken = i;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == name.p[i])) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*') p++;
    return p == pattern.n;
}
