/* Binds a family's tensors: each is looked up by its GGUF name and its shape is checked against the
 * hyperparameters, so that nothing later computes with a size that a file merely claims. Fused
 * tensors become views of their rows; nothing is copied. A tensor that is missing, or of another
 * shape or type, is named in the error with what was expected. */
#include <stdio.h>

#include "model/model.h"

enum { NAME_MAX_BYTES = 96, MAX_TYPES = 1024 };

typedef struct want { /* the shape that a tensor must have */
    size_t n_in, n_rows, n_stack; /* n_rows 0: a vector; n_stack 0: no stack */
    bool optional;
    bool f32; /* norms, biases and RoPE factors are read in place as F32 */
} want;

static vg_status check_shape(const vg_gguf_tensor *t, const want *w, vg_err *err)
{
    uint64_t rows = w->n_rows ? w->n_rows : 1, stack = w->n_stack ? w->n_stack : 1;
    if (t->dim[0] != w->n_in || t->dim[1] != rows || t->dim[2] != stack || t->dim[3] != 1)
        return VG_FAIL(err, VG_E_FORMAT,
                       "tensor %.*s has the shape [%llu, %llu, %llu, %llu], expected "
                       "[%zu, %llu, %llu]",
                       VG_STR_ARG(t->name), (unsigned long long)t->dim[0],
                       (unsigned long long)t->dim[1], (unsigned long long)t->dim[2],
                       (unsigned long long)t->dim[3], w->n_in, (unsigned long long)rows,
                       (unsigned long long)stack);
    if (w->f32 && t->type != VG_F32)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "tensor %.*s is %s, only F32 is supported for it",
                       VG_STR_ARG(t->name), vg_dtype_get(t->type)->name);
    if (w->f32 && (uintptr_t)t->data % sizeof(float))
        return VG_FAIL(err, VG_E_FORMAT, "tensor %.*s does not lie at a multiple of 4 bytes",
                       VG_STR_ARG(t->name));
    return VG_OK;
}

static vg_status bind(const vg_model *m, const char *name, const want *w, vg_tensor *out,
                      vg_err *err)
{
    const vg_gguf_tensor *t = vg_gguf_tensor_find(m->gguf, name);
    if (!t && w->optional) return VG_OK;
    if (!t) return VG_FAIL(err, VG_E_FORMAT, "tensor %s is missing", name);
    VG_TRY(check_shape(t, w, err));
    uint64_t row_bytes;
    if (!vg_dtype_row_bytes(t->type, t->dim[0], &row_bytes) || !t->data)
        return VG_FAIL(err, VG_E_FORMAT, "tensor %s has no data", name);
    *out = (vg_tensor){.type = (vg_dtype)t->type,
                       .n_in = w->n_in,
                       .n_rows = w->n_rows ? w->n_rows : 1,
                       .n_stack = w->n_stack ? w->n_stack : 1,
                       .row_bytes = (size_t)row_bytes,
                       .data = t->data};
    return VG_OK;
}

/* One tensor of layer `il`: "blk.IL.SUFFIX". */
typedef struct layer_want {
    const char *suffix;
    want w;
    vg_tensor *out;
} layer_want;

static vg_status bind_all(const vg_model *m, uint32_t il, const layer_want *list, size_t n,
                          vg_err *err)
{
    for (size_t i = 0; i < n; i++) {
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof name, "blk.%u.%s", il, list[i].suffix);
        VG_TRY(bind(m, name, &list[i].w, list[i].out, err));
    }
    return VG_OK;
}

/* n numbers of a vector of F32, from `first` on. */
static vg_tensor slice(const vg_tensor *t, size_t first, size_t n)
{
    vg_tensor v = *t;
    if (v.data) v.data += first * sizeof(float);
    v.n_in = n;
    v.row_bytes = n * sizeof(float);
    return v;
}

static vg_status bind_fused_qkv(vg_model *m, uint32_t il, vg_layer *l, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    size_t n_q = (size_t)hp->n_heads * hp->dim_k, n_k = (size_t)hp->n_kv_heads * hp->dim_k;
    size_t n_v = (size_t)hp->n_kv_heads * hp->dim_v;
    size_t n = n_q + n_k + n_v;
    vg_tensor qkv = {0}, bias = {0};
    const layer_want list[] = {
        {"attn_qkv.weight", {.n_in = hp->width, .n_rows = n}, &qkv},
        {"attn_qkv.bias", {.n_in = n, .optional = true, .f32 = true}, &bias}};
    VG_TRY(bind_all(m, il, list, VG_COUNT(list), err));
    l->q = vg_tensor_rows(&qkv, 0, n_q);
    l->k = vg_tensor_rows(&qkv, n_q, n_k);
    l->v = vg_tensor_rows(&qkv, n_q + n_k, n_v);
    l->q_bias = slice(&bias, 0, n_q);
    l->k_bias = slice(&bias, n_q, n_k);
    l->v_bias = slice(&bias, n_q + n_k, n_v);
    return VG_OK;
}

/* Files have q, k and v of encoders apart or in one tensor. */
static bool has_fused_qkv(const vg_model *m, uint32_t il)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "blk.%u.attn_qkv.weight", il);
    return m->hp.flags & A_FUSED ||
           (m->hp.flags & A_ENCODER && vg_gguf_tensor_find(m->gguf, name));
}

static vg_status bind_attention(vg_model *m, uint32_t il, vg_layer *l, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    size_t d = hp->width, n_q = (size_t)hp->n_heads * hp->dim_k;
    size_t n_k = (size_t)hp->n_kv_heads * hp->dim_k, n_v = (size_t)hp->n_kv_heads * hp->dim_v;
    bool encoder = hp->flags & A_ENCODER;
    bool qk_norm = hp->flags & A_QK_NORM, post = hp->flags & A_POST_NORM;
    const layer_want separate[] = {
        {"attn_q.weight", {.n_in = d, .n_rows = n_q}, &l->q},
        {"attn_k.weight", {.n_in = d, .n_rows = n_k}, &l->k},
        {"attn_v.weight", {.n_in = d, .n_rows = n_v}, &l->v},
        {"attn_q.bias", {.n_in = n_q, .optional = true, .f32 = true}, &l->q_bias},
        {"attn_k.bias", {.n_in = n_k, .optional = true, .f32 = true}, &l->k_bias},
        {"attn_v.bias", {.n_in = n_v, .optional = true, .f32 = true}, &l->v_bias},
    };
    const layer_want common[] = {
        {"attn_norm.weight", {.n_in = d, .optional = encoder, .f32 = true}, &l->attn_norm},
        {"attn_output.weight", {.n_in = (size_t)hp->n_heads * hp->dim_v, .n_rows = d}, &l->o},
        {"attn_output.bias", {.n_in = d, .optional = true, .f32 = true}, &l->o_bias},
        {"attn_q_norm.weight", {.n_in = hp->dim_k, .optional = !qk_norm, .f32 = true}, &l->q_norm},
        {"attn_k_norm.weight", {.n_in = hp->dim_k, .optional = !qk_norm, .f32 = true}, &l->k_norm},
        {"post_attention_norm.weight", {.n_in = d, .optional = !post, .f32 = true},
         &l->attn_post_norm},
    };
    if (has_fused_qkv(m, il)) VG_TRY(bind_fused_qkv(m, il, l, err));
    else VG_TRY(bind_all(m, il, separate, VG_COUNT(separate), err));
    return bind_all(m, il, common, VG_COUNT(common), err);
}

static vg_status bind_experts(vg_model *m, uint32_t il, vg_layer *l, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    size_t d = hp->width, f = hp->n_ff, n = hp->n_experts;
    const layer_want list[] = {
        {"ffn_gate_inp.weight", {.n_in = d, .n_rows = n}, &l->router},
        {"ffn_gate_exps.weight", {.n_in = d, .n_rows = f, .n_stack = n}, &l->gate_exps},
        {"ffn_up_exps.weight", {.n_in = d, .n_rows = f, .n_stack = n}, &l->up_exps},
        {"ffn_down_exps.weight", {.n_in = f, .n_rows = d, .n_stack = n}, &l->down_exps},
    };
    return bind_all(m, il, list, VG_COUNT(list), err);
}

static vg_status bind_mlp(vg_model *m, uint32_t il, vg_layer *l, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    size_t d = hp->width, f = hp->n_ff;
    bool fused = hp->flags & A_FUSED;
    vg_tensor gate_up = {0};
    const layer_want gate[] = {
        {"ffn_gate.weight", {.n_in = d, .n_rows = f}, &l->gate},
        {"ffn_gate.bias", {.n_in = f, .optional = true, .f32 = true}, &l->gate_bias},
    };
    const layer_want up[] = {
        {"ffn_up.weight", {.n_in = d, .n_rows = f}, &l->up},
        {"ffn_up.bias", {.n_in = f, .optional = true, .f32 = true}, &l->up_bias},
    };
    const layer_want both[] = {{"ffn_up.weight", {.n_in = d, .n_rows = 2 * f}, &gate_up}};
    const layer_want down[] = {
        {"ffn_down.weight", {.n_in = f, .n_rows = d}, &l->down},
        {"ffn_down.bias", {.n_in = d, .optional = true, .f32 = true}, &l->down_bias},
    };
    if (!fused && !(hp->flags & A_UNGATED))
        VG_TRY(bind_all(m, il, gate, VG_COUNT(gate), err));
    VG_TRY(fused ? bind_all(m, il, both, VG_COUNT(both), err)
                 : bind_all(m, il, up, VG_COUNT(up), err));
    if (fused) {
        l->gate = vg_tensor_rows(&gate_up, 0, f);
        l->up = vg_tensor_rows(&gate_up, f, f);
    }
    return bind_all(m, il, down, VG_COUNT(down), err);
}

/* Whether layer `il` sees only the window: by the file's list, or by the family's period. */
static vg_status read_windowed(const vg_model *m, uint32_t il, bool *out, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    char key[NAME_MAX_BYTES];
    snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", hp->arch);
    const vg_gguf_kv *kv = vg_gguf_find(m->gguf, key);
    *out = hp->window_tok > 0 &&
           (hp->window_period == 1 || il % hp->window_period + 1 < hp->window_period);
    if (hp->window_tok == 0 || !kv || kv->type != VG_GGUF_ARRAY) return VG_OK;
    if (kv->item_type == VG_GGUF_STRING || kv->n < hp->n_layers)
        return VG_FAIL(err, VG_E_FORMAT, "%s has %llu items for %u layers", key,
                       (unsigned long long)kv->n, hp->n_layers);
    *out = vg_gguf_item_i64(kv, il) != 0;
    return VG_OK;
}

static vg_status bind_layer(vg_model *m, uint32_t il, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    vg_layer *l = &m->layer[il];
    VG_TRY(bind_attention(m, il, l, err));
    bool post = hp->flags & A_POST_NORM, encoder = hp->flags & A_ENCODER;
    const want norm = {.n_in = hp->width, .f32 = true};
    const layer_want out_norms[] = {
        {"attn_output_norm.weight", norm, &l->attn_out_norm},
        {"attn_output_norm.bias", norm, &l->attn_out_norm_bias},
        {"layer_output_norm.weight", norm, &l->layer_out_norm},
        {"layer_output_norm.bias", norm, &l->layer_out_norm_bias},
    };
    const layer_want norms[] = {
        {"ffn_norm.weight", norm, &l->ffn_norm},
        {"post_ffw_norm.weight", {.n_in = hp->width, .optional = !post, .f32 = true},
         &l->ffn_post_norm},
    };
    VG_TRY(encoder ? bind_all(m, il, out_norms, VG_COUNT(out_norms), err)
                   : bind_all(m, il, norms, VG_COUNT(norms), err));
    VG_TRY(hp->flags & A_MOE ? bind_experts(m, il, l, err) : bind_mlp(m, il, l, err));
    l->rope = !(hp->flags & A_POS_TABLE) && (!(hp->flags & A_NOPE_4) || (il + 1) % 4 != 0);
    return read_windowed(m, il, &l->windowed, err);
}

/* What comes before the layers of an encoder. Every text is of the first type. */
static vg_status bind_encoder(vg_model *m, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    const vg_gguf_tensor *types = vg_gguf_tensor_find(m->gguf, "token_types.weight");
    size_t n_types = types ? (size_t)VG_MIN(types->dim[1], (uint64_t)MAX_TYPES) : 1;
    const want norm = {.n_in = hp->width, .f32 = true};
    const want table = {.n_in = hp->width, .n_rows = n_types, .optional = true};
    const want positions = {.n_in = hp->width, .n_rows = hp->ctx_train_tok};
    VG_TRY(bind(m, "token_embd_norm.weight", &norm, &m->embed_norm, err));
    VG_TRY(bind(m, "token_embd_norm.bias", &norm, &m->embed_norm_bias, err));
    VG_TRY(bind(m, "token_types.weight", &table, &m->type_embed, err));
    if (!(hp->flags & A_POS_TABLE)) return VG_OK;
    return bind(m, "position_embd.weight", &positions, &m->pos_embed, err);
}

/* What comes after the layers of all others, and how their positions turn. */
static vg_status bind_output(vg_model *m, vg_err *err)
{
    const vg_hparams *hp = &m->hp;
    const want output = {.n_in = hp->width, .n_rows = hp->n_vocab, .optional = true};
    const want norm = {.n_in = hp->width, .f32 = true};
    const want factors = {.n_in = hp->n_rot / 2, .optional = true, .f32 = true};
    VG_TRY(bind(m, "output_norm.weight", &norm, &m->output_norm, err));
    VG_TRY(bind(m, "output.weight", &output, &m->output, err));
    if (!m->output.data) m->output = m->embed;
    VG_TRY(bind(m, "rope_freqs.weight", &factors, &m->rope_freqs, err));
    VG_TRY(bind(m, "rope_factors_long.weight", &factors, &m->rope_long, err));
    VG_TRY(bind(m, "rope_factors_short.weight", &factors, &m->rope_short, err));
    if (!m->rope_long.data != !m->rope_short.data)
        return VG_FAIL(err, VG_E_FORMAT, "only one of the two LongRoPE factor tensors is there");
    return VG_OK;
}

vg_status vg_model_bind(vg_model *m, vg_err *err)
{
    vg_hparams *hp = &m->hp;
    const vg_gguf_tensor *embed = vg_gguf_tensor_find(m->gguf, "token_embd.weight");
    if (!embed) return VG_FAIL(err, VG_E_FORMAT, "tensor token_embd.weight is missing");
    if (embed->dim[1] > INT32_MAX)
        return VG_FAIL(err, VG_E_FORMAT, "token_embd.weight has %llu rows",
                       (unsigned long long)embed->dim[1]);
    hp->n_vocab = (uint32_t)embed->dim[1];
    const want table = {.n_in = hp->width, .n_rows = hp->n_vocab};
    VG_TRY(bind(m, "token_embd.weight", &table, &m->embed, err));
    VG_TRY(hp->flags & A_ENCODER ? bind_encoder(m, err) : bind_output(m, err));
    m->layer = VG_ARENA_ARRAY(m->arena, vg_layer, hp->n_layers);
    if (!m->layer) return VG_FAIL_MEMORY(err, hp->n_layers * sizeof *m->layer);
    for (uint32_t il = 0; il < hp->n_layers; il++) VG_TRY(bind_layer(m, il, err));
    return VG_OK;
}
