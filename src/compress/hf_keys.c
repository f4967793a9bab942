/* hf_keys.c: the keys that a family's GGUF file has, and the factors of RoPE that become tensors.
 * They are those that llama.cpp's converter writes, so that its readers find what they look for;
 * where Hugging Face's model differs from what readers take for granted (which layers are windowed,
 * the scale of Gemma's scores), the key that says so is written as well. */
#include <math.h>
#include <stdio.h>

#include "compress/hf_int.h"

enum { KEY_MAX = 128 };

/* Writes "ARCH.suffix". */
typedef struct keys {
    const hf_config *c;
    vg_gguf_writer *w;
    char key[KEY_MAX];
} keys;

static const char *key_of(keys *k, const char *suffix)
{
    snprintf(k->key, KEY_MAX, "%s.%s", k->c->arch, suffix);
    return k->key;
}

static void put_u32(keys *k, const char *suffix, uint32_t v)
{
    vg_gguf_put_u32(k->w, key_of(k, suffix), v);
}

static void put_f32(keys *k, const char *suffix, double v)
{
    vg_gguf_put_f32(k->w, key_of(k, suffix), (float)v);
}

/* A number of config.json as a key, where it is there. */
static vg_status put_given(keys *k, const char *from, const char *suffix, vg_err *err)
{
    double v = 0;
    if (!hf_get(k->c->json, from)) return VG_OK;
    VG_TRY(hf_f64(k->c->json, from, &v, err));
    put_f32(k, suffix, v);
    return VG_OK;
}

static void put_sizes(keys *k)
{
    const hf_config *c = k->c;
    put_u32(k, "block_count", c->n_layers);
    put_u32(k, "context_length", c->ctx_tok);
    put_u32(k, "embedding_length", c->width);
    put_u32(k, "feed_forward_length", c->n_ff);
    put_u32(k, "attention.head_count", c->n_heads);
    put_u32(k, "attention.head_count_kv", c->n_kv_heads);
    put_u32(k, "attention.key_length", c->dim);
    put_u32(k, "attention.value_length", c->dim);
    put_f32(k, "attention.layer_norm_rms_epsilon", c->eps);
    put_u32(k, "vocab_size", c->n_vocab);
    put_u32(k, "rope.dimension_count", c->n_rot);
    put_f32(k, "rope.freq_base", c->rope_base);
}

static vg_status put_experts(keys *k, vg_err *err)
{
    const hf_config *c = k->c;
    uint32_t n_ff = 768;
    if (!c->n_experts) return VG_OK;
    VG_TRY(hf_u32(c->json, "moe_intermediate_size", 1, 1 << 24, &n_ff, err));
    put_u32(k, "expert_count", c->n_experts);
    put_u32(k, "expert_used_count", c->n_experts_used);
    put_u32(k, "expert_feed_forward_length", n_ff);
    return VG_OK;
}

/* ---- RoPE ---------------------------------------------------------------------------------- */

/* LongRoPE: cosines and sines grow with the stretch (transformers' "longrope"). */
static vg_status put_longrope(keys *k, vg_err *err)
{
    const hf_config *c = k->c;
    double stretch = (double)c->ctx_tok / c->rope_ctx_tok, factor = 1;
    if (stretch > 1) factor = sqrt(1 + log(stretch) / log(c->rope_ctx_tok));
    VG_TRY(hf_f64(c->rope, "attention_factor", &factor, err));
    /* Phi-3's files lack the type: the tensors are the sign. */
    if (!(c->flags & A_FUSED))
        vg_gguf_put_str(k->w, key_of(k, "rope.scaling.type"), VG_STR("longrope"));
    put_u32(k, "rope.scaling.original_context_length", c->rope_ctx_tok);
    put_f32(k, "rope.scaling.attn_factor", factor);
    return VG_OK;
}

static vg_status put_rope(keys *k, vg_err *err)
{
    const hf_config *c = k->c;
    double factor = 0;
    if (c->flags & A_ROPE_LOCAL) put_f32(k, "rope.freq_base_swa", c->rope_base_local);
    if (vg_str_is(c->rope_type, "longrope")) return put_longrope(k, err);
    if (c->flags & A_FUSED) put_u32(k, "rope.scaling.original_context_length", c->rope_ctx_tok);
    if (!vg_str_is(c->rope_type, "linear")) return VG_OK;
    VG_TRY(hf_f64(c->rope, "factor", &factor, err));
    if (!(factor > 0)) return VG_FAIL(err, VG_E_FORMAT, "a RoPE scaling factor of %g", factor);
    vg_gguf_put_str(k->w, key_of(k, "rope.scaling.type"), VG_STR("linear"));
    put_f32(k, "rope.scaling.factor", factor);
    return VG_OK;
}

/* Llama 3.1's rule for long contexts: wavelengths above the original context are stretched by
 * `factor`, short ones are not, and between the two are blended (Llama 3 report). */
vg_status hf_rope_freqs(const hf_config *c, float *out, vg_err *err)
{
    const double pi = 3.14159265358979323846;
    double factor = 8, low = 1, high = 4, ctx = c->rope_ctx_tok;
    if (!hf_get(c->rope, "original_max_position_embeddings")) ctx = 8192;
    VG_TRY(hf_f64(c->rope, "factor", &factor, err));
    VG_TRY(hf_f64(c->rope, "low_freq_factor", &low, err));
    VG_TRY(hf_f64(c->rope, "high_freq_factor", &high, err));
    if (!(factor > 0) || !(low > 0) || !(high > low))
        return VG_FAIL(err, VG_E_FORMAT, "llama3 RoPE scaling of factor %g, from %g to %g", factor,
                       low, high);
    for (uint32_t i = 0; i < c->n_rot / 2; i++) {
        double wave = 2 * pi * pow(c->rope_base, 2.0 * i / c->n_rot);
        double smooth = (ctx / wave - low) / (high - low);
        out[i] = wave < ctx / high   ? 1
                 : wave > ctx / low  ? (float)factor
                                     : (float)(1 / ((1 - smooth) / factor + smooth));
    }
    return VG_OK;
}

vg_status hf_rope_factors(const hf_config *c, const char *key, float *out, vg_err *err)
{
    const vg_json *list = hf_get(c->rope, key);
    if (!list || list->kind != VG_JSON_ARRAY || list->n != c->n_rot / 2)
        return VG_FAIL(err, VG_E_FORMAT, "%s of longrope is no list of %u numbers", key,
                       c->n_rot / 2);
    for (size_t i = 0; i < list->n; i++) {
        out[i] = (float)list->item[i]->number;
        if (!(out[i] > 0) || !isfinite(out[i]))
            return VG_FAIL(err, VG_E_FORMAT, "%s[%zu] of longrope is not above zero", key, i);
    }
    return VG_OK;
}

/* ---- windows and scales -------------------------------------------------------------------- */

/* Which layers are windowed, where they are not those that the family's readers expect: of `period`
 * layers in a row all but the last one. */
static vg_status put_pattern(keys *k, vg_arena *a, uint32_t period, vg_err *err)
{
    const hf_config *c = k->c;
    const vg_json *types = hf_get(c->json, "layer_types");
    uint32_t given = period;
    VG_TRY(hf_u32(c->json, "sliding_window_pattern", 1, VG_MAX_LAYERS, &given, err));
    VG_TRY(hf_u32(c->json, "_sliding_window_pattern", 1, VG_MAX_LAYERS, &given, err));
    if (types && (types->kind != VG_JSON_ARRAY || types->n < c->n_layers))
        return VG_FAIL(err, VG_E_FORMAT, "layer_types is no list of %u names", c->n_layers);
    uint8_t *windowed = VG_ARENA_ARRAY(a, uint8_t, c->n_layers);
    if (!windowed) return VG_FAIL_MEMORY(err, c->n_layers);
    bool as_expected = true;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        windowed[i] = (i + 1) % given != 0;
        if (types) windowed[i] = vg_str_is(types->item[i]->str, "sliding_attention");
        if (types && !windowed[i] && !vg_str_is(types->item[i]->str, "full_attention"))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "layer %u is of the type '%.*s'", i,
                           VG_STR_ARG(types->item[i]->str));
        as_expected &= windowed[i] == ((i + 1) % period != 0);
    }
    vg_gguf_kv kv = {.key = vg_str_from(key_of(k, "attention.sliding_window_pattern")),
                     .type = VG_GGUF_ARRAY, .item_type = VG_GGUF_BOOL, .n = c->n_layers,
                     .items = windowed};
    if (!as_expected) vg_gguf_put_kv(k->w, &kv);
    return VG_OK;
}

/* Gemma scales scores by a number of its own, which readers know for the published sizes: the
 * head's dimension, or the width of a query head in the largest model. */
static vg_status put_gemma_scale(keys *k, vg_err *err)
{
    const hf_config *c = k->c;
    double by = 256;
    bool largest = c->n_layers == (c->flags & A_ROPE_LOCAL ? 62 : 46);
    VG_TRY(hf_f64(c->json, "query_pre_attn_scalar", &by, err));
    if (!(by > 0)) return VG_FAIL(err, VG_E_FORMAT, "query_pre_attn_scalar is %g", by);
    if (by != (double)(largest ? c->width / c->n_heads : c->dim))
        put_f32(k, "attention.scale", 1 / sqrt(by));
    return VG_OK;
}

static vg_status put_gemma(keys *k, vg_arena *a, vg_err *err)
{
    bool second = !(k->c->flags & A_ROPE_LOCAL);
    const vg_json *j = k->c->json;
    VG_TRY(put_gemma_scale(k, err));
    VG_TRY(put_pattern(k, a, second ? 2 : 6, err));
    /* Gemma 2 caps unless it says null; Gemma 3 does not cap unless it says so. */
    if (second && !vg_json_get(j, "attn_logit_softcapping"))
        put_f32(k, "attn_logit_softcapping", 50);
    if (second && !vg_json_get(j, "final_logit_softcapping"))
        put_f32(k, "final_logit_softcapping", 30);
    VG_TRY(put_given(k, "attn_logit_softcapping", "attn_logit_softcapping", err));
    return put_given(k, "final_logit_softcapping", "final_logit_softcapping", err);
}

vg_status hf_config_put(const hf_config *c, vg_arena *a, vg_gguf_writer *w, vg_err *err)
{
    keys k = {.c = c, .w = w};
    hf_pooling_put(c, w);
    if (c->flags & A_ENCODER) {
        hf_encoder_put(c, w);
        return VG_OK;
    }
    put_sizes(&k);
    VG_TRY(put_experts(&k, err));
    VG_TRY(put_rope(&k, err));
    if (c->has_window) put_u32(&k, "attention.sliding_window", c->window_tok);
    if (c->gemma) VG_TRY(put_gemma(&k, a, err));
    if (strcmp(c->arch, "granite") != 0) return VG_OK;
    VG_TRY(put_given(&k, "attention_multiplier", "attention.scale", err));
    VG_TRY(put_given(&k, "embedding_multiplier", "embedding_scale", err));
    VG_TRY(put_given(&k, "residual_multiplier", "residual_scale", err));
    return put_given(&k, "logits_scaling", "logit_scale", err);
}
