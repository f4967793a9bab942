/* The numbers of a model: read from the metadata by the family's name, with the family's defaults,
 * and checked before anything is computed with them. What a file leaves out and no family rule
 * gives is an error that names the key. Shapes are checked later, in weights.c. */
#include <math.h>
#include <stdio.h>

#include "model/model.h"

typedef struct arch {
    const char *name;
    unsigned flags;
    uint32_t window_period;
} arch;

static const arch archs[] = {
#define ARCH(name, flags, window_period) {name, flags, window_period},
#include "model/arch.def"
#undef ARCH
};

/* Reads "ARCH.suffix" for the family at hand. */
typedef struct reader {
    const vg_gguf *g;
    const char *arch;
    vg_err *err;
} reader;

enum { KEY_MAX = 128 };

static const char *key_of(const reader *r, const char *suffix, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s.%s", r->arch, suffix);
    return key;
}

static vg_status need_u32(const reader *r, const char *suffix, uint32_t min, uint32_t max,
                          uint32_t *out)
{
    char key[KEY_MAX];
    VG_TRY(vg_gguf_u32(r->g, key_of(r, suffix, key), out, r->err));
    if (*out < min || *out > max)
        return VG_FAIL(r->err, VG_E_FORMAT, "%s is %u, not within %u to %u", key, *out, min, max);
    return VG_OK;
}

static vg_status opt_u32(const reader *r, const char *suffix, uint32_t min, uint32_t max,
                         uint32_t *out)
{
    char key[KEY_MAX];
    return vg_gguf_find(r->g, key_of(r, suffix, key)) ? need_u32(r, suffix, min, max, out) : VG_OK;
}

/* A finite number, above zero where `positive`. */
static vg_status opt_f32(const reader *r, const char *suffix, bool positive, float *out)
{
    char key[KEY_MAX];
    if (!vg_gguf_find(r->g, key_of(r, suffix, key))) return VG_OK;
    VG_TRY(vg_gguf_f32(r->g, key, out, r->err));
    if (!isfinite(*out) || *out < 0 || (positive && *out == 0))
        return VG_FAIL(r->err, VG_E_FORMAT, "%s is %g", key, (double)*out);
    return VG_OK;
}

static vg_status find_arch(vg_hparams *hp, const vg_gguf *g, vg_err *err)
{
    vg_str name;
    VG_TRY(vg_gguf_str(g, "general.architecture", &name, err));
    for (size_t i = 0; i < VG_COUNT(archs); i++) {
        if (!vg_str_is(name, archs[i].name)) continue;
        hp->arch = archs[i].name;
        hp->flags = archs[i].flags;
        hp->window_period = archs[i].window_period;
        return VG_OK;
    }
    return VG_FAIL(err, VG_E_UNSUPPORTED, "the model family '%.*s' is not supported",
                   VG_STR_ARG(name));
}

static vg_status read_sizes(vg_hparams *hp, const reader *r)
{
    VG_TRY(need_u32(r, "block_count", 1, VG_MAX_LAYERS, &hp->n_layers));
    VG_TRY(need_u32(r, "embedding_length", 1, 1 << 20, &hp->width));
    VG_TRY(need_u32(r, "context_length", 1, INT32_MAX, &hp->ctx_train_tok));
    VG_TRY(need_u32(r, "attention.head_count", 1, VG_MAX_HEADS, &hp->n_heads));
    hp->n_kv_heads = hp->n_heads;
    VG_TRY(opt_u32(r, "attention.head_count_kv", 1, hp->n_heads, &hp->n_kv_heads));
    if (hp->n_heads % hp->n_kv_heads)
        return VG_FAIL(r->err, VG_E_FORMAT, "%u query heads do not share %u key heads evenly",
                       hp->n_heads, hp->n_kv_heads);
    hp->dim_k = hp->dim_v = hp->width / hp->n_heads;
    VG_TRY(opt_u32(r, "attention.key_length", 1, VG_MAX_HEAD_DIM, &hp->dim_k));
    VG_TRY(opt_u32(r, "attention.value_length", 1, VG_MAX_HEAD_DIM, &hp->dim_v));
    if (hp->dim_k < 1 || hp->dim_k > VG_MAX_HEAD_DIM || hp->dim_v > VG_MAX_HEAD_DIM)
        return VG_FAIL(r->err, VG_E_FORMAT, "heads of %u dimensions (1 to %d are supported)",
                       hp->dim_k, VG_MAX_HEAD_DIM);
    if (!(hp->flags & A_MOE)) return need_u32(r, "feed_forward_length", 1, 1 << 24, &hp->n_ff);
    VG_TRY(need_u32(r, "expert_count", 1, VG_MAX_EXPERTS, &hp->n_experts));
    VG_TRY(need_u32(r, "expert_used_count", 1, hp->n_experts, &hp->n_experts_used));
    return need_u32(r, "expert_feed_forward_length", 1, 1 << 24, &hp->n_ff);
}

static vg_status read_rope(vg_hparams *hp, const reader *r)
{
    hp->rope_base = hp->rope_base_local = 10000;
    hp->rope_scale = 1;
    hp->rope_ctx_orig_tok = hp->ctx_train_tok;
    if (hp->flags & A_POS_TABLE) return VG_OK;
    hp->n_rot = hp->dim_k;
    VG_TRY(opt_u32(r, "rope.dimension_count", 2, hp->dim_k, &hp->n_rot));
    if (hp->n_rot % 2)
        return VG_FAIL(r->err, VG_E_FORMAT, "RoPE over %u dimensions, an odd number", hp->n_rot);
    VG_TRY(opt_f32(r, "rope.freq_base", true, &hp->rope_base));
    hp->rope_base_local = hp->flags & A_ROPE_LOCAL ? 10000 : hp->rope_base;
    VG_TRY(opt_f32(r, "rope.freq_base_swa", true, &hp->rope_base_local));
    VG_TRY(opt_f32(r, "rope.scale_linear", true, &hp->rope_scale));
    vg_str type = {0};
    char key[KEY_MAX];
    VG_TRY(vg_gguf_opt_str(r->g, key_of(r, "rope.scaling.type", key), &type, r->err));
    bool linear = type.n == 0 || vg_str_is(type, "linear");
    if (!linear && !vg_str_is(type, "none") && !vg_str_is(type, "longrope"))
        return VG_FAIL(r->err, VG_E_UNSUPPORTED, "RoPE scaling of type '%.*s' is not supported",
                       VG_STR_ARG(type));
    if (linear) VG_TRY(opt_f32(r, "rope.scaling.factor", true, &hp->rope_scale));
    VG_TRY(opt_u32(r, "rope.scaling.original_context_length", 1, INT32_MAX,
                   &hp->rope_ctx_orig_tok));
    return opt_f32(r, "rope.scaling.attn_factor", true, &hp->rope_attn_factor);
}

/* The largest Gemma models scale scores by the width of a query head instead of the key's
 * dimension; no key says so, their layer counts do (Gemma 2 and 3 technical reports). */
static float gemma_scale(const vg_hparams *hp)
{
    bool largest = (strcmp(hp->arch, "gemma2") == 0 && hp->n_layers == 46) ||
                   (strcmp(hp->arch, "gemma3") == 0 && hp->n_layers == 62);
    uint32_t dim = largest ? hp->width / hp->n_heads : hp->dim_k;
    return 1.0f / sqrtf((float)dim);
}

static vg_status read_attention(vg_hparams *hp, const reader *r)
{
    if (hp->window_period > 0)
        VG_TRY(opt_u32(r, "attention.sliding_window", 0, INT32_MAX, &hp->window_tok));
    char key[KEY_MAX];
    const vg_gguf_kv *pattern =
        vg_gguf_find(r->g, key_of(r, "attention.sliding_window_pattern", key));
    if (hp->window_tok > 0 && pattern && pattern->type != VG_GGUF_ARRAY)
        VG_TRY(need_u32(r, "attention.sliding_window_pattern", 1, VG_MAX_LAYERS,
                        &hp->window_period));
    hp->attn_scale = gemma_scale(hp);
    VG_TRY(opt_f32(r, "attention.scale", true, &hp->attn_scale));
    VG_TRY(opt_f32(r, "attn_logit_softcapping", false, &hp->attn_softcap));
    VG_TRY(opt_f32(r, "final_logit_softcapping", false, &hp->final_softcap));
    const char *eps = hp->flags & A_ENCODER ? "attention.layer_norm_epsilon"
                                            : "attention.layer_norm_rms_epsilon";
    VG_TRY(opt_f32(r, eps, true, &hp->eps));
    if (hp->eps == 0)
        return VG_FAIL(r->err, VG_E_NOT_FOUND, "%s is missing", key_of(r, eps, key));
    hp->embed_scale = hp->flags & A_EMBED_SQRT ? sqrtf((float)hp->width) : 1;
    hp->residual_scale = hp->logit_scale = 1;
    VG_TRY(opt_f32(r, "embedding_scale", true, &hp->embed_scale));
    VG_TRY(opt_f32(r, "residual_scale", true, &hp->residual_scale));
    return opt_f32(r, "logit_scale", true, &hp->logit_scale);
}

/* What a position sees is the family's, and a file that says otherwise would be computed wrongly.
 * Pooling by the numbers of llama.cpp; 0 is no pooling there, which leaves it to the family. */
static vg_status read_pooling(vg_hparams *hp, const reader *r)
{
    bool encoder = hp->flags & A_ENCODER, causal = !encoder;
    uint32_t type = 0;
    char key[KEY_MAX];
    VG_TRY(vg_gguf_opt_bool(r->g, key_of(r, "attention.causal", key), &causal, r->err));
    if (causal == encoder)
        return VG_FAIL(r->err, VG_E_UNSUPPORTED, "%s is %s, which %s models here are not", key,
                       causal ? "true" : "false", hp->arch);
    VG_TRY(opt_u32(r, "pooling_type", 0, 4, &type));
    static const vg_pooling types[] = {VG_POOL_AUTO, VG_POOL_MEAN, VG_POOL_CLS, VG_POOL_LAST,
                                       VG_POOL_AUTO};
    hp->pooling = type > 0 ? types[type] : encoder ? VG_POOL_MEAN : VG_POOL_LAST;
    return VG_OK;
}

vg_status vg_hparams_read(vg_hparams *hp, const vg_gguf *g, vg_err *err)
{
    *hp = (vg_hparams){0};
    VG_TRY(find_arch(hp, g, err));
    reader r = {g, hp->arch, err};
    VG_TRY(read_sizes(hp, &r));
    VG_TRY(read_rope(hp, &r));
    VG_TRY(read_attention(hp, &r));
    return read_pooling(hp, &r);
}
