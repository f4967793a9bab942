/* fold.c: where a tensor stands in a calibration: after which layer its inputs are known, and what
 * they say of it. Tensors are quantised in that order, so that the inputs of one layer alone are in
 * memory. A tensor that no product reads through a norm or a block stands first: nothing is said of
 * it. */
#include "compress/calib_int.h"

/* The number after "blk.", and what follows it. */
static bool split_name(vg_str name, uint32_t *layer, vg_str *rest)
{
    size_t i = 4;
    *layer = 0;
    if (!vg_str_starts(name, VG_STR("blk."))) return false;
    for (; i < name.n && i < 10 && name.p[i] >= '0' && name.p[i] <= '9'; i++)
        *layer = *layer * 10 + (uint32_t)(name.p[i] - '0');
    if (i == 4 || i >= name.n || name.p[i] != '.') return false;
    *rest = (vg_str){name.p + i + 1, name.n - i - 1};
    return true;
}

static bool is_output(const vg_model *m, vg_str name)
{
    return vg_str_is(name, m->output.data == m->embed.data ? "token_embd.weight" : "output.weight");
}

uint32_t fold_rank(const vg_model *m, vg_str name)
{
    uint32_t layer;
    vg_str rest;
    if (is_output(m, name)) return m->hp.n_layers + 1;
    if (!split_name(name, &layer, &rest) || layer >= m->hp.n_layers) return 0;
    return layer + 1;
}

static const struct {
    const char *suffix;
    input_slot slot;
} matrices[] = {
    {"attn_q.weight", IN_QKV},      {"attn_k.weight", IN_QKV},    {"attn_v.weight", IN_QKV},
    {"attn_qkv.weight", IN_QKV},    {"attn_output.weight", IN_O}, {"ffn_gate.weight", IN_UP},
    {"ffn_up.weight", IN_UP},       {"ffn_down.weight", IN_DOWN}, {"ffn_gate_exps.weight", IN_UP},
    {"ffn_up_exps.weight", IN_UP},  {"ffn_down_exps.weight", IN_DOWN},
};

static const inputs *inputs_of(const calib *k, vg_str name)
{
    uint32_t layer;
    vg_str rest;
    if (is_output(k->model, name)) return &k->in[IN_OUTPUT];
    if (!split_name(name, &layer, &rest)) return NULL;
    for (size_t i = 0; i < VG_COUNT(matrices); i++)
        if (vg_str_is(rest, matrices[i].suffix)) return &k->in[matrices[i].slot];
    return NULL;
}

/* What stands before an input, and is multiplied by the inverse of its scales: vectors and rows. */
static const struct {
    const char *suffix;
    input_slot slot;
} before[] = {
    {"attn_norm.weight", IN_QKV}, {"ffn_norm.weight", IN_UP},   {"attn_v.weight", IN_O},
    {"attn_v.bias", IN_O},        {"attn_qkv.weight", IN_O},    {"ffn_up.weight", IN_DOWN},
    {"ffn_up.bias", IN_DOWN},
};

static void fold_before(const calib *k, const vg_gguf_tensor *t, fold *f)
{
    uint32_t layer;
    vg_str rest;
    if (!split_name(t->name, &layer, &rest)) return;
    for (size_t i = 0; i < VG_COUNT(before); i++) {
        const inputs *in = &k->in[before[i].slot];
        if (!in->scaled || !vg_str_is(rest, before[i].suffix)) continue;
        if (t->n_dims == 1) f->col = in->inverse + in->inverse_at;
        else f->row = in->inverse;
    }
}

fold calib_fold(const calib *k, const vg_gguf_tensor *t)
{
    fold f = {0};
    if (!k || fold_rank(k->model, t->name) == 0) return f;
    assert(k->n_known == fold_rank(k->model, t->name));
    const inputs *in = inputs_of(k, t->name);
    if (in && in->n_in == t->dim[0] && in->n_stack == t->dim[2] * t->dim[3]) {
        f = (fold){.importance = in->importance, .factors = in->products,
                   .has_factors = in->has_factors, .n_factors = in->n_floats};
        if (in->scaled) {
            f.col = in->scale;
            f.unit = in->unit;
        }
        if (in->clipped) f.gram = in->gram;
    }
    fold_before(k, t, &f);
    return f;
}
