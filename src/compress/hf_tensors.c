/* hf_tensors.c: which tensors of a checkpoint make which tensors of a GGUF file. A table has a row
 * for each tensor of a layer, with the shape that config.json gives it; a checkpoint must have what
 * its family needs, in that shape, and nothing that is not known, or it is refused by name.
 * Nothing is read here: a tensor of the file is a list of rows of mapped tensors. Experts become
 * stacks, whether the checkpoint has one tensor an expert or one for all. */
#include <stdio.h>

#include "compress/hf_int.h"

enum { NAME_BYTES = 256, LAYER_TENSORS = 24, OTHER_TENSORS = 8 };

typedef enum dim { ONE, WIDTH, Q, KV, HEAD, FF, FF2, QKV, EXPERTS } dim;

typedef struct rule {
    const char *from, *to; /* after the layer's name and "blk.N." */
    dim rows, cols;        /* rows ONE: a vector */
    unsigned with, without; /* flags of families that have it */
    bool optional, norm, rotates;
} rule;

static const rule rules[] = {
    {"input_layernorm.weight", "attn_norm.weight", ONE, WIDTH, .norm = true},
    {"self_attn.q_proj.weight", "attn_q.weight", Q, WIDTH, .without = A_FUSED, .rotates = true},
    {"self_attn.k_proj.weight", "attn_k.weight", KV, WIDTH, .without = A_FUSED, .rotates = true},
    {"self_attn.v_proj.weight", "attn_v.weight", KV, WIDTH, .without = A_FUSED},
    {"self_attn.q_proj.bias", "attn_q.bias", ONE, Q, .optional = true, .rotates = true},
    {"self_attn.k_proj.bias", "attn_k.bias", ONE, KV, .optional = true, .rotates = true},
    {"self_attn.v_proj.bias", "attn_v.bias", ONE, KV, .optional = true},
    {"self_attn.qkv_proj.weight", "attn_qkv.weight", QKV, WIDTH, .with = A_FUSED},
    {"self_attn.o_proj.weight", "attn_output.weight", WIDTH, Q, .with = 0},
    {"self_attn.o_proj.bias", "attn_output.bias", ONE, WIDTH, .optional = true},
    {"self_attn.q_norm.weight", "attn_q_norm.weight", ONE, HEAD, .with = A_QK_NORM, .norm = true},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", ONE, HEAD, .with = A_QK_NORM, .norm = true},
    {"post_attention_layernorm.weight", "ffn_norm.weight", ONE, WIDTH, .without = A_POST_NORM},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", ONE, WIDTH,
     .with = A_POST_NORM, .norm = true},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", ONE, WIDTH, .with = A_POST_NORM,
     .norm = true},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", ONE, WIDTH, .with = A_POST_NORM,
     .norm = true},
    {"mlp.gate_proj.weight", "ffn_gate.weight", FF, WIDTH, .without = A_FUSED | A_MOE},
    {"mlp.up_proj.weight", "ffn_up.weight", FF, WIDTH, .without = A_FUSED | A_MOE},
    {"mlp.gate_up_proj.weight", "ffn_up.weight", FF2, WIDTH, .with = A_FUSED},
    {"mlp.down_proj.weight", "ffn_down.weight", WIDTH, FF, .without = A_MOE},
    {"mlp.gate_proj.bias", "ffn_gate.bias", ONE, FF, .without = A_FUSED, .optional = true},
    {"mlp.up_proj.bias", "ffn_up.bias", ONE, FF, .without = A_FUSED, .optional = true},
    {"mlp.down_proj.bias", "ffn_down.bias", ONE, WIDTH, .optional = true},
    {"mlp.gate.weight", "ffn_gate_inp.weight", EXPERTS, WIDTH, .with = A_MOE},
};

#define LAYER_NORM(from, to)                                                                       \
    {from ".weight", to ".weight", ONE, WIDTH, .with = 0}, {from ".bias", to ".bias", ONE, WIDTH,  \
                                                            .with = 0}
#define LINEAR(from, to, rows, cols)                                                               \
    {from ".weight", to ".weight", rows, cols, .with = 0}, {from ".bias", to ".bias", ONE, rows,   \
                                                            .with = 0}

static const rule bert_rules[] = {
    LINEAR("attention.self.query", "attn_q", Q, WIDTH),
    LINEAR("attention.self.key", "attn_k", KV, WIDTH),
    LINEAR("attention.self.value", "attn_v", KV, WIDTH),
    LINEAR("attention.output.dense", "attn_output", WIDTH, Q),
    LAYER_NORM("attention.output.LayerNorm", "attn_output_norm"),
    LINEAR("intermediate.dense", "ffn_up", FF, WIDTH),
    LINEAR("output.dense", "ffn_down", WIDTH, FF),
    LAYER_NORM("output.LayerNorm", "layer_output_norm"),
};

static const rule nomic_rules[] = {
    {"attn.Wqkv.weight", "attn_qkv.weight", QKV, WIDTH, .with = 0},
    {"attn.out_proj.weight", "attn_output.weight", WIDTH, Q, .with = 0},
    LAYER_NORM("norm1", "attn_output_norm"),
    {"mlp.fc12.weight", "ffn_gate.weight", FF, WIDTH, .with = 0},
    {"mlp.fc11.weight", "ffn_up.weight", FF, WIDTH, .with = 0},
    {"mlp.fc2.weight", "ffn_down.weight", WIDTH, FF, .with = 0},
    LAYER_NORM("norm2", "layer_output_norm"),
};

/* How a kind of checkpoint names what it has. */
typedef struct layout {
    const char *const *prefix; /* that names may begin with, NULL at the end */
    const char *embedding, *layer, *embedding_norm;
    const rule *rules;
    size_t n_rules;
} layout;

static const char *const decoder_prefixes[] = {"model.", "language_model.model.",
                                               "model.language_model.", "", NULL};
static const char *const encoder_prefixes[] = {"", "bert.", "roberta.", NULL};
static const layout decoder_layout = {decoder_prefixes, "embed_tokens.weight", "layers.", NULL,
                                      rules, VG_COUNT(rules)};
static const layout bert_layout = {encoder_prefixes, "embeddings.word_embeddings.weight",
                                   "encoder.layer.", "embeddings.LayerNorm", bert_rules,
                                   VG_COUNT(bert_rules)};
static const layout nomic_layout = {encoder_prefixes, "embeddings.word_embeddings.weight",
                                    "encoder.layers.", "emb_ln", nomic_rules,
                                    VG_COUNT(nomic_rules)};

typedef struct plan {
    const layout *lay;
    hf_tensors *out;
    const hf_config *c;
    const vg_checkpoint *ckpt;
    vg_arena *a;
    const char *prefix; /* of the text model's names: "model." */
    size_t n_used;      /* tensors of the checkpoint that became one of the file, or part of it */
    bool asked;         /* the type of matrices was asked for, packed ones included */
    vg_err *err;
} plan;

/* ---- looking up ---------------------------------------------------------------------------- */

static uint64_t size_of(const hf_config *c, dim d)
{
    uint64_t heads = (uint64_t)c->n_heads * c->dim, kv = (uint64_t)c->n_kv_heads * c->dim;
    const uint64_t size[] = {[ONE] = 1, [WIDTH] = c->width, [Q] = heads, [KV] = kv, [HEAD] = c->dim,
                             [FF] = c->n_ff, [FF2] = 2 * (uint64_t)c->n_ff, [QKV] = heads + 2 * kv,
                             [EXPERTS] = c->n_experts};
    return size[d];
}

static vg_status check(const plan *p, const vg_st_tensor *t, uint32_t n_dims, const uint64_t *dims)
{
    bool same = t->n_dims == n_dims;
    for (uint32_t i = 0; same && i < n_dims; i++) same = t->dim[i] == dims[i];
    if (!same) {
        char seen[VG_ST_MAX_DIMS * 24] = "", want[VG_ST_MAX_DIMS * 24] = "";
        for (uint32_t i = 0, n = 0; i < t->n_dims; i++)
            n += (uint32_t)snprintf(seen + n, sizeof seen - n, "%s%llu", i ? ", " : "",
                                    (unsigned long long)t->dim[i]);
        for (uint32_t i = 0, n = 0; i < n_dims; i++)
            n += (uint32_t)snprintf(want + n, sizeof want - n, "%s%llu", i ? ", " : "",
                                    (unsigned long long)dims[i]);
        return VG_FAIL(p->err, VG_E_FORMAT, "tensor %.*s has the shape [%s], config.json gives "
                       "[%s]", VG_STR_ARG(t->name), seen, want);
    }
    if (t->dtype != VG_ST_F32 && t->dtype != VG_ST_F16 && t->dtype != VG_ST_BF16)
        return VG_FAIL(p->err, VG_E_UNSUPPORTED, "tensor %.*s is of %s; F32, F16 and BF16 are "
                       "supported", VG_STR_ARG(t->name), vg_st_dtype_name(t->dtype));
    return VG_OK;
}

/* The tensor "PREFIXmiddle.suffix"; NULL where it is absent. */
static const vg_st_tensor *look(plan *p, const char *middle, const char *suffix)
{
    char name[NAME_BYTES];
    int n = snprintf(name, sizeof name, "%s%s%s", p->prefix, middle, suffix);
    return vg_checkpoint_find(p->ckpt, (vg_str){name, (size_t)n});
}

static vg_status missing(const plan *p, const char *middle, const char *suffix)
{
    return VG_FAIL(p->err, VG_E_FORMAT, "tensor %s%s%s is missing", p->prefix, middle, suffix);
}

/* A matrix or vector, plain or packed, by its whole name; neither where it is absent. */
static vg_status find_source(plan *p, vg_str name, uint32_t n_dims, const uint64_t *dims,
                             hf_source *out)
{
    const vg_str end = VG_STR(".weight");
    const vg_st_tensor *piece[HF_PACKED_PIECES];
    *out = (hf_source){.t = vg_checkpoint_find(p->ckpt, name)};
    if (out->t) {
        p->n_used++;
        return check(p, out->t, n_dims, dims);
    }
    if (n_dims != 2 || name.n < end.n || memcmp(name.p + name.n - end.n, end.p, end.n) != 0)
        return VG_OK;
    name.n -= end.n;
    VG_TRY(hf_packed_find(&out->packed, &p->c->packing, p->ckpt, name, dims[0], dims[1], p->a,
                          p->err));
    if (out->packed) p->n_used += hf_packed_pieces(out->packed, piece);
    return VG_OK;
}

/* BERT's first checkpoints have other words for the two vectors of a layer norm. */
static const char *old_suffix(const plan *p, const char *suffix, char old[NAME_BYTES])
{
    const char *dot = strrchr(suffix, '.');
    if (p->lay != &bert_layout || !dot || dot - suffix < 9 ||
        memcmp(dot - 9, "LayerNorm", 9) != 0)
        return suffix;
    bool gain = strcmp(dot, ".weight") == 0;
    snprintf(old, NAME_BYTES, "%.*s.%s", (int)(dot - suffix), suffix, gain ? "gamma" : "beta");
    return old;
}

static vg_status look_source(plan *p, const char *middle, const char *suffix, uint32_t n_dims,
                             const uint64_t *dims, hf_source *out)
{
    char name[NAME_BYTES], old[NAME_BYTES];
    if (!look(p, middle, suffix)) suffix = old_suffix(p, suffix, old);
    int n = snprintf(name, sizeof name, "%s%s%s", p->prefix, middle, suffix);
    return find_source(p, (vg_str){name, (size_t)n}, n_dims, dims, out);
}

/* The next tensor of the file. Its sources come later. */
static vg_status add(plan *p, const char *middle, const char *to, hf_tensor **out)
{
    char name[NAME_BYTES];
    int n = snprintf(name, sizeof name, "%s%s", middle, to);
    char *copy = vg_arena_text(p->a, (vg_str){name, (size_t)n});
    if (!copy) return VG_FAIL_MEMORY(p->err, n);
    assert(p->out->n < p->out->cap);
    *out = &p->out->t[p->out->n++];
    **out = (hf_tensor){.name = {copy, (size_t)n}, .dim = {1, 1, 1}};
    return VG_OK;
}

/* Vectors, the router and the small tables of encoders stay in F32, as readers expect; packed
 * matrices get the type that holds their codes, unless one was asked for. */
static vg_dtype type_for(const plan *p, const hf_source *src, bool vector, const char *to)
{
    static const char *const in_f32[] = {"ffn_gate_inp.weight", "position_embd.weight",
                                         "token_types.weight"};
    for (size_t i = 0; i < VG_COUNT(in_f32); i++) vector |= strcmp(to, in_f32[i]) == 0;
    if (vector) return VG_F32;
    vg_dtype type = src->packed && !p->asked ? hf_packed_type(src->packed) : VG_N_DTYPES;
    return type == VG_N_DTYPES ? p->out->matrix_type : type;
}

static vg_status add_from(plan *p, const char *middle, const char *to, const hf_source *from,
                          hf_tensor **out)
{
    hf_source *src = VG_ARENA_NEW(p->a, hf_source);
    if (!src) return VG_FAIL_MEMORY(p->err, sizeof *src);
    *src = *from;
    VG_TRY(add(p, middle, to, out));
    hf_tensor *o = *out;
    o->src = src;
    o->n_src = 1;
    o->n_dims = from->packed ? 2 : from->t->n_dims;
    o->dim[0] = from->packed ? from->packed->n_in : from->t->dim[o->n_dims - 1];
    o->n_rows = from->packed ? from->packed->n_out : o->n_dims > 1 ? from->t->dim[0] : 1;
    o->dim[1] = o->n_rows;
    o->type = type_for(p, from, o->n_dims == 1, to);
    return VG_OK;
}

/* Matrices one after the other, whose type must hold all of them. */
static void set_sources(const plan *p, hf_tensor *o, const hf_source *src, size_t n)
{
    o->src = src;
    o->n_src = n;
    for (size_t i = 0; i < n; i++) {
        vg_dtype type = type_for(p, &src[i], false, "");
        o->type = i == 0 || o->type == type ? type : hf_packed_join(o->type, type);
    }
    if (o->type == VG_N_DTYPES) o->type = p->out->matrix_type;
}

/* ---- a layer ------------------------------------------------------------------------------- */

/* Some tools cut a fused gate and up in two before they quantise them. */
static vg_status plan_halves(plan *p, const char *from, const char *to, const rule *r)
{
    static const char *const halves[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"};
    const uint64_t dims[] = {p->c->n_ff, p->c->width};
    hf_tensor *o;
    hf_source *src = VG_ARENA_ARRAY(p->a, hf_source, 2);
    if (!src) return VG_FAIL_MEMORY(p->err, 2 * sizeof *src);
    for (size_t i = 0; i < 2; i++) {
        VG_TRY(look_source(p, from, halves[i], 2, dims, &src[i]));
        if (!src[i].t && !src[i].packed) return missing(p, from, r->from);
    }
    VG_TRY(add(p, to, r->to, &o));
    set_sources(p, o, src, 2);
    o->n_dims = 2;
    o->dim[0] = dims[1];
    o->dim[1] = 2 * dims[0];
    o->n_rows = dims[0];
    return VG_OK;
}

static vg_status plan_rule(plan *p, const rule *r, uint32_t il)
{
    const hf_config *c = p->c;
    char from[32], to[32];
    snprintf(from, sizeof from, "%s%u.", p->lay->layer, il);
    snprintf(to, sizeof to, "blk.%u.", il);
    const uint64_t dims[] = {size_of(c, r->rows), size_of(c, r->cols)};
    bool vector = r->rows == ONE;
    hf_source src;
    hf_tensor *o;
    VG_TRY(look_source(p, from, r->from, vector ? 1 : 2, vector ? dims + 1 : dims, &src));
    bool found = src.t || src.packed;
    if (!found && r->rows == FF2) return plan_halves(p, from, to, r);
    if (!found) return r->optional ? VG_OK : missing(p, from, r->from);
    VG_TRY(add_from(p, to, r->to, &src, &o));
    if (r->norm && c->gemma) o->op = HF_PLUS_ONE;
    if (!r->rotates || !c->llama_like) return VG_OK;
    o->op = HF_PERMUTE;
    o->n_heads = strstr(r->from, "q_proj") ? c->n_heads : c->n_kv_heads;
    if (!vector) return VG_OK;
    o->n_rows = o->dim[0]; /* a bias: its numbers change places as the rows do */
    return VG_OK;
}

/* One stack of experts from tensors of one expert each, "mlp.experts.X.NAME.weight". */
static vg_status stack_single(plan *p, uint32_t il, const char *name, const uint64_t *dims,
                              hf_tensor *o)
{
    hf_source *src = VG_ARENA_ARRAY(p->a, hf_source, p->c->n_experts);
    if (!src) return VG_FAIL_MEMORY(p->err, p->c->n_experts * sizeof *src);
    for (uint32_t x = 0; x < p->c->n_experts; x++) {
        char middle[64], suffix[64];
        snprintf(middle, sizeof middle, "layers.%u.mlp.experts.%u.", il, x);
        snprintf(suffix, sizeof suffix, "%s.weight", name);
        VG_TRY(look_source(p, middle, suffix, 2, dims, &src[x]));
        if (!src[x].t && !src[x].packed) return missing(p, middle, suffix);
    }
    set_sources(p, o, src, p->c->n_experts);
    return VG_OK;
}

/* The same from one tensor of all experts, which gate and up share. */
static vg_status stack_joint(plan *p, const vg_st_tensor *t, const uint64_t *dims, bool shared,
                             bool second, hf_tensor *o)
{
    uint64_t rows = shared ? 2 * dims[0] : dims[0], n = p->c->n_experts;
    const uint64_t whole[] = {n, rows, dims[1]};
    VG_TRY(check(p, t, 3, whole));
    hf_source *src = VG_ARENA_ARRAY(p->a, hf_source, (size_t)n);
    if (!src) return VG_FAIL_MEMORY(p->err, n * sizeof *src);
    for (uint64_t x = 0; x < n; x++)
        src[x] = (hf_source){.t = t, .first_row = x * rows + (second ? dims[0] : 0)};
    o->type = p->out->matrix_type;
    o->src = src;
    o->n_src = (size_t)n;
    p->n_used += !second;
    return VG_OK;
}

static vg_status plan_experts(plan *p, uint32_t il)
{
    static const struct {
        const char *name, *joint, *to;
        bool shared, second;
    } stacks[] = {{"gate_proj", "gate_up_proj", "ffn_gate_exps.weight", true, false},
                  {"up_proj", "gate_up_proj", "ffn_up_exps.weight", true, true},
                  {"down_proj", "down_proj", "ffn_down_exps.weight", false, false}};
    char from[48], to[32];
    uint32_t n_ff = 768;
    VG_TRY(hf_u32(p->c->json, "moe_intermediate_size", 1, 1 << 24, &n_ff, p->err));
    snprintf(from, sizeof from, "layers.%u.mlp.experts.", il);
    snprintf(to, sizeof to, "blk.%u.", il);
    for (size_t i = 0; i < VG_COUNT(stacks); i++) {
        bool down = !stacks[i].shared;
        const uint64_t dims[] = {down ? p->c->width : n_ff, down ? n_ff : p->c->width};
        const vg_st_tensor *joint = look(p, from, stacks[i].joint);
        hf_tensor *o;
        VG_TRY(add(p, to, stacks[i].to, &o));
        VG_TRY(joint ? stack_joint(p, joint, dims, !down, stacks[i].second, o)
                     : stack_single(p, il, stacks[i].name, dims, o));
        o->n_dims = 3;
        o->dim[0] = dims[1];
        o->dim[1] = o->n_rows = dims[0];
        o->dim[2] = p->c->n_experts;
    }
    return VG_OK;
}

static vg_status plan_layer(plan *p, uint32_t il)
{
    for (size_t i = 0; i < p->lay->n_rules; i++) {
        const rule *r = &p->lay->rules[i];
        if ((p->c->flags & r->with) != r->with || (p->c->flags & r->without)) continue;
        VG_TRY(plan_rule(p, r, il));
    }
    return p->c->flags & A_MOE ? plan_experts(p, il) : VG_OK;
}

/* ---- the rest ------------------------------------------------------------------------------ */

/* How the names of the text model begin: alone, or as a part of a model that also sees. */
static vg_status find_prefix(plan *p)
{
    for (size_t i = 0; p->lay->prefix[i]; i++) {
        p->prefix = p->lay->prefix[i];
        if (look(p, "", p->lay->embedding)) return VG_OK;
    }
    return VG_FAIL(p->err, VG_E_FORMAT, "tensor %s%s is missing", p->lay->prefix[0],
                   p->lay->embedding);
}

static vg_status plan_embedding(plan *p)
{
    hf_tensor *o;
    hf_source src = {.t = look(p, "", p->lay->embedding)};
    const uint64_t dims[] = {p->c->n_vocab ? p->c->n_vocab : src.t->dim[0], p->c->width};
    p->n_used++;
    VG_TRY(check(p, src.t, 2, dims));
    return add_from(p, "", "token_embd.weight", &src, &o);
}

/* One of the tables and vectors before an encoder's layers, from row `first` on. */
static vg_status plan_table(plan *p, const char *from, const char *to, uint64_t n_rows,
                            uint64_t first)
{
    const uint64_t dims[] = {n_rows, p->c->width};
    uint32_t n_dims = n_rows ? 2 : 1;
    hf_source src;
    hf_tensor *o;
    VG_TRY(look_source(p, "", from, n_dims, n_rows ? dims : dims + 1, &src));
    if (!src.t) return missing(p, "", from);
    src.first_row = first;
    VG_TRY(add_from(p, "", to, &src, &o));
    if (!n_rows) return VG_OK;
    o->n_rows = o->dim[1] = n_rows - first;
    return VG_OK;
}

static vg_status plan_encoder(plan *p)
{
    const hf_config *c = p->c;
    char name[NAME_BYTES];
    if (c->flags & A_POS_TABLE)
        VG_TRY(plan_table(p, "embeddings.position_embeddings.weight", "position_embd.weight",
                          c->ctx_tok, c->first_pos));
    VG_TRY(plan_table(p, "embeddings.token_type_embeddings.weight", "token_types.weight",
                      c->n_types, 0));
    snprintf(name, sizeof name, "%s.weight", p->lay->embedding_norm);
    VG_TRY(plan_table(p, name, "token_embd_norm.weight", 0, 0));
    snprintf(name, sizeof name, "%s.bias", p->lay->embedding_norm);
    return plan_table(p, name, "token_embd_norm.bias", 0, 0);
}

static const vg_st_tensor *find_head(const plan *p)
{
    const vg_st_tensor *t = vg_checkpoint_find(p->ckpt, VG_STR("lm_head.weight"));
    return t ? t : vg_checkpoint_find(p->ckpt, VG_STR("language_model.lm_head.weight"));
}

static vg_status plan_ends(plan *p)
{
    const uint64_t width = p->c->width, dims[] = {p->out->t[0].dim[1], width};
    hf_tensor *o;
    hf_source src;
    VG_TRY(look_source(p, "", "norm.weight", 1, &width, &src));
    if (!src.t) return missing(p, "", "norm.weight");
    VG_TRY(add_from(p, "", "output_norm.weight", &src, &o));
    if (p->c->gemma) o->op = HF_PLUS_ONE;
    if (p->c->tied) { /* the same numbers once more, or such as nothing reads */
        p->n_used += find_head(p) != NULL;
        return VG_OK;
    }
    VG_TRY(find_source(p, VG_STR("lm_head.weight"), 2, dims, &src));
    if (!src.t && !src.packed)
        VG_TRY(find_source(p, VG_STR("language_model.lm_head.weight"), 2, dims, &src));
    if (!src.t && !src.packed)
        return VG_FAIL(p->err, VG_E_FORMAT, "tensor lm_head.weight is missing, and config.json "
                       "does not say that it is the embedding (tie_word_embeddings)");
    return add_from(p, "", "output.weight", &src, &o);
}

static vg_status plan_made(plan *p, const char *name, const char *key)
{
    hf_tensor *o;
    uint32_t n = p->c->n_rot / 2;
    float *made = VG_ARENA_ARRAY(p->a, float, n);
    if (!made) return VG_FAIL_MEMORY(p->err, n * sizeof *made);
    VG_TRY(key ? hf_rope_factors(p->c, key, made, p->err) : hf_rope_freqs(p->c, made, p->err));
    VG_TRY(add(p, "", name, &o));
    o->type = VG_F32;
    o->n_dims = 1;
    o->dim[0] = n;
    o->made = made;
    return VG_OK;
}

static vg_status plan_rope(plan *p)
{
    if (vg_str_is(p->c->rope_type, "llama3")) return plan_made(p, "rope_freqs.weight", NULL);
    if (!vg_str_is(p->c->rope_type, "longrope")) return VG_OK;
    VG_TRY(plan_made(p, "rope_factors_long.weight", "long_factor"));
    return plan_made(p, "rope_factors_short.weight", "short_factor");
}

/* What no reader needs: tables that are computed, the eyes of a model that also sees, and what
 * encoders were trained with. */
static bool is_left_out(const plan *p, vg_str name)
{
    static const char *const heads[] = {"pooler.", "position_ids", "token_type_ids",
                                        "cls.predictions.", "cls.seq_relationship.", "lm_head."};
    static const char *const parts[] = {"rotary_emb.inv_freq", ".masked_bias", "vision_tower.",
                                        "vision_model.", "multi_modal_projector."};
    for (size_t i = 0; i < VG_COUNT(parts); i++)
        if (memmem(name.p, name.n, parts[i], strlen(parts[i]))) return true;
    for (size_t i = 0; p->c->flags & A_ENCODER && i < VG_COUNT(heads); i++)
        if (memmem(name.p, name.n, heads[i], strlen(heads[i]))) return true;
    return false;
}

static bool is_part(const hf_source *src, const vg_st_tensor *t)
{
    const vg_st_tensor *piece[HF_PACKED_PIECES];
    size_t n = src->packed ? hf_packed_pieces(src->packed, piece) : 0;
    for (size_t i = 0; i < n; i++)
        if (piece[i] == t) return true;
    return src->t == t;
}

static bool is_used(const plan *p, const vg_st_tensor *t)
{
    for (size_t i = 0; i < p->out->n; i++)
        for (size_t s = 0; s < p->out->t[i].n_src; s++)
            if (is_part(&p->out->t[i].src[s], t)) return true;
    return p->c->tied && t == find_head(p);
}

/* A tensor that nothing took is a part of the model that would be lost. */
static vg_status check_all_used(const plan *p)
{
    size_t n_left_out = 0, n = vg_checkpoint_n_tensors(p->ckpt);
    for (size_t i = 0; i < n; i++)
        n_left_out += is_left_out(p, vg_checkpoint_at(p->ckpt, i)->name);
    if (p->n_used + n_left_out == n) return VG_OK;
    for (size_t i = 0; i < n; i++) {
        const vg_st_tensor *t = vg_checkpoint_at(p->ckpt, i);
        if (is_left_out(p, t->name) || is_used(p, t)) continue;
        return VG_FAIL(p->err, VG_E_UNSUPPORTED, "tensor %.*s is none that %s models have",
                       VG_STR_ARG(t->name), p->c->arch);
    }
    return VG_OK;
}

/* The type of the first matrix, as most of them have it; F16 for those of 32 bits. */
static vg_dtype type_of(const vg_checkpoint *ckpt)
{
    for (size_t i = 0; i < vg_checkpoint_n_tensors(ckpt); i++) {
        const vg_st_tensor *t = vg_checkpoint_at(ckpt, i);
        const vg_str end = VG_STR(".weight"); /* no scales of packed matrices */
        bool plain = t->name.n > end.n && t->n_dims > 1 &&
                     memcmp(t->name.p + t->name.n - end.n, end.p, end.n) == 0;
        if (!plain) continue;
        if (t->dtype == VG_ST_BF16) return VG_BF16;
        if (t->dtype == VG_ST_F16) return VG_F16;
    }
    return VG_F16;
}

vg_status hf_tensors_plan(hf_tensors *out, const hf_config *c, const vg_checkpoint *ckpt,
                          vg_dtype type, vg_arena *a, vg_err *err)
{
    plan p = {.out = out, .c = c, .ckpt = ckpt, .asked = type != VG_N_DTYPES, .a = a, .err = err};
    *out = (hf_tensors){.cap = (size_t)c->n_layers * (LAYER_TENSORS + 3) + OTHER_TENSORS,
                        .matrix_type = type == VG_N_DTYPES ? type_of(ckpt) : type};
    out->t = VG_ARENA_ARRAY(a, hf_tensor, out->cap);
    if (!out->t) return VG_FAIL_MEMORY(err, out->cap * sizeof *out->t);
    p.lay = !(c->flags & A_ENCODER) ? &decoder_layout
            : c->flags & A_POS_TABLE ? &bert_layout : &nomic_layout;
    VG_TRY(find_prefix(&p));
    VG_TRY(plan_embedding(&p));
    if (c->flags & A_ENCODER) VG_TRY(plan_encoder(&p));
    for (uint32_t il = 0; il < c->n_layers; il++) VG_TRY(plan_layer(&p, il));
    if (!(c->flags & A_ENCODER)) VG_TRY(plan_ends(&p));
    VG_TRY(plan_rope(&p));
    return check_all_used(&p);
}
