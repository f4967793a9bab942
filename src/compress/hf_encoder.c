/* hf_encoder.c: the configuration of an encoder (BERT and what came of it) to numbers and keys, and
 * how a sentence-transformers folder pools. Two spellings of config.json are known: BERT's, which
 * RoBERTa shares, and nomic-bert's, which is GPT-2's. What the engine would compute otherwise (an
 * activation, relative positions, a dense layer behind the pooling) is refused by name. */
#include <stdio.h>

#include "compress/hf_int.h"

/* The words of llama.cpp's key for them. */
enum { POOL_UNKNOWN = 0, POOL_MEAN = 1, POOL_CLS = 2, POOL_LAST = 3 };

/* A setting that must have one value; absent is as good. */
static vg_status need_str(const vg_json *j, const char *key, const char *want, vg_err *err)
{
    vg_str s = vg_str_from(want);
    VG_TRY(hf_str(j, key, &s, err));
    return vg_str_is(s, want) ? VG_OK
                              : VG_FAIL(err, VG_E_UNSUPPORTED, "%s '%.*s' is not supported", key,
                                        VG_STR_ARG(s));
}

static vg_status need_bool(const vg_json *j, const char *key, bool want, vg_err *err)
{
    bool b = want;
    VG_TRY(hf_bool(j, key, &b, err));
    return b == want ? VG_OK : VG_FAIL(err, VG_E_UNSUPPORTED, "%s %s is not supported", key,
                                       b ? "true" : "false");
}

static vg_status check_sizes(hf_config *c, vg_err *err)
{
    if (!c->n_layers || !c->width || !c->n_ff)
        return VG_FAIL(err, VG_E_NOT_FOUND, "the number of layers, their width or the inner width "
                       "is missing");
    if (c->width % c->n_heads || c->width / c->n_heads > VG_MAX_HEAD_DIM)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%u heads of a width of %u", c->n_heads, c->width);
    c->n_kv_heads = c->n_heads;
    c->dim = c->width / c->n_heads;
    return VG_OK;
}

/* RoBERTa numbers positions from behind the padding token's id. */
static vg_status read_bert(hf_config *c, bool roberta, vg_err *err)
{
    const vg_json *j = c->json;
    uint32_t pad = 1;
    c->ctx_tok = 512;
    c->n_heads = 12;
    VG_TRY(hf_u32(j, "num_hidden_layers", 1, VG_MAX_LAYERS, &c->n_layers, err));
    VG_TRY(hf_u32(j, "hidden_size", 1, 1 << 20, &c->width, err));
    VG_TRY(hf_u32(j, "max_position_embeddings", 1, INT32_MAX, &c->ctx_tok, err));
    VG_TRY(hf_u32(j, "num_attention_heads", 1, VG_MAX_HEADS, &c->n_heads, err));
    VG_TRY(hf_u32(j, "intermediate_size", 1, 1 << 24, &c->n_ff, err));
    VG_TRY(hf_f64(j, "layer_norm_eps", &c->eps, err));
    VG_TRY(hf_u32(j, "pad_token_id", 0, INT32_MAX - 1, &pad, err));
    if (roberta) c->first_pos = pad + 1;
    if (c->first_pos >= c->ctx_tok)
        return VG_FAIL(err, VG_E_FORMAT, "%u positions, of which the first %u are not used",
                       c->ctx_tok, c->first_pos);
    VG_TRY(need_str(j, "hidden_act", "gelu", err));
    VG_TRY(need_str(j, "position_embedding_type", "absolute", err));
    VG_TRY(need_bool(j, "is_decoder", false, err));
    return check_sizes(c, err);
}

static vg_status read_nomic(hf_config *c, vg_err *err)
{
    const vg_json *j = c->json;
    uint32_t trained = 2048;
    double fraction = 1;
    c->ctx_tok = 2048;
    c->n_heads = 12;
    VG_TRY(hf_u32(j, "n_layer", 1, VG_MAX_LAYERS, &c->n_layers, err));
    VG_TRY(hf_u32(j, "n_embd", 1, 1 << 20, &c->width, err));
    VG_TRY(hf_u32(j, "n_positions", 1, INT32_MAX, &c->ctx_tok, err));
    VG_TRY(hf_u32(j, "max_trained_positions", 1, INT32_MAX, &trained, err));
    c->ctx_tok = VG_MIN(c->ctx_tok, trained);
    VG_TRY(hf_u32(j, "n_head", 1, VG_MAX_HEADS, &c->n_heads, err));
    VG_TRY(hf_u32(j, "n_inner", 1, 1 << 24, &c->n_ff, err));
    VG_TRY(hf_f64(j, "layer_norm_epsilon", &c->eps, err));
    VG_TRY(hf_f64(j, "rotary_emb_base", &c->rope_base, err));
    VG_TRY(hf_f64(j, "rotary_emb_fraction", &fraction, err));
    if (fraction < 1 || fraction > 1 || !(c->rope_base > 0))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "rotary_emb_fraction %g of base %g", fraction,
                       c->rope_base);
    static const char *const off[] = {"prenorm", "rotary_emb_interleaved", "use_rms_norm",
                                      "qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "causal"};
    for (size_t i = 0; i < VG_COUNT(off); i++) VG_TRY(need_bool(j, off[i], false, err));
    if (hf_get(j, "moe_every_n_layers") && hf_get(j, "moe_every_n_layers")->number > 0)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a nomic-bert model with experts is not supported");
    VG_TRY(need_str(j, "activation_function", "swiglu", err));
    return check_sizes(c, err);
}

vg_status hf_encoder_read(hf_config *c, bool roberta, vg_err *err)
{
    c->eps = 1e-12;
    c->rope_base = 1000;
    c->n_types = 2;
    c->tied = true;
    c->rope_type = VG_STR("default");
    VG_TRY(hf_u32(c->json, "vocab_size", 1, INT32_MAX, &c->n_vocab, err));
    VG_TRY(hf_u32(c->json, "type_vocab_size", 1, 1024, &c->n_types, err));
    return c->flags & A_POS_TABLE ? read_bert(c, roberta, err) : read_nomic(c, err);
}

/* ---- pooling ------------------------------------------------------------------------------- */

static bool ends_with(vg_str s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

/* The one way of pooling that 1_Pooling/config.json turns on. */
static vg_status read_modes(const vg_json *j, uint32_t *out, vg_err *err)
{
    static const struct {
        const char *key, *word;
        uint32_t type;
    } modes[] = {{"pooling_mode_mean_tokens", "mean", POOL_MEAN},
                 {"pooling_mode_cls_token", "cls", POOL_CLS},
                 {"pooling_mode_lasttoken", "lasttoken", POOL_LAST},
                 {"pooling_mode_max_tokens", "max", POOL_UNKNOWN},
                 {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", POOL_UNKNOWN},
                 {"pooling_mode_weightedmean_tokens", "weightedmean", POOL_UNKNOWN}};
    vg_str word = {0};
    size_t n = 0;
    const char *last = "none";
    VG_TRY(hf_str(j, "pooling_mode", &word, err));
    for (size_t i = 0; i < VG_COUNT(modes); i++) {
        bool on = word.n && vg_str_is(word, modes[i].word);
        VG_TRY(hf_bool(j, modes[i].key, &on, err));
        if (!on) continue;
        *out = modes[i].type;
        last = modes[i].word;
        n++;
    }
    if (n == 1 && *out != POOL_UNKNOWN) return VG_OK;
    return VG_FAIL(err, VG_E_UNSUPPORTED, "pooling of %zu kinds, of which the last is %s; one of "
                   "mean, cls and lasttoken is supported", n, last);
}

vg_status hf_pooling_read(const vg_checkpoint *ckpt, vg_arena *a, uint32_t *out, vg_err *err)
{
    const vg_json *config = NULL;
    vg_json *modules = NULL;
    vg_str text;
    *out = POOL_UNKNOWN;
    VG_TRY(vg_checkpoint_text(ckpt, a, "modules.json", &text, err));
    if (!text.p) return VG_OK;
    vg_status st = vg_json_parse(a, text.p, text.n, &modules, err);
    if (st) return vg_err_context(err, st, "modules.json");
    for (size_t i = 0; modules->kind == VG_JSON_ARRAY && i < modules->n; i++) {
        vg_str type = {0}, path = {0};
        char name[64];
        VG_TRY(hf_str(modules->item[i], "type", &type, err));
        VG_TRY(hf_str(modules->item[i], "path", &path, err));
        if (ends_with(type, "Dense"))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "a dense layer behind the pooling (%.*s in "
                           "modules.json) is not supported", VG_STR_ARG(path));
        if (!ends_with(type, "Pooling")) continue;
        /* A folder's name alone: modules.json leads nowhere else. */
        if (!path.n || path.n > 40 || memchr(path.p, '/', path.n) || path.p[0] == '.')
            return VG_FAIL(err, VG_E_FORMAT, "modules.json: '%.*s' is no folder of a module",
                           VG_STR_ARG(path));
        snprintf(name, sizeof name, "%.*s/config.json", VG_STR_ARG(path));
        VG_TRY(vg_checkpoint_json(ckpt, a, name, &config, err));
        if (!config) return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing", name);
        VG_TRY(read_modes(config, out, err));
    }
    return VG_OK;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void put_u32(const hf_config *c, vg_gguf_writer *w, const char *suffix, uint32_t v)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", c->arch, suffix);
    vg_gguf_put_u32(w, key, v);
}

static void put_f32(const hf_config *c, vg_gguf_writer *w, const char *suffix, double v)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s", c->arch, suffix);
    vg_gguf_put_f32(w, key, (float)v);
}

void hf_encoder_put(const hf_config *c, vg_gguf_writer *w)
{
    char key[128];
    put_u32(c, w, "block_count", c->n_layers);
    put_u32(c, w, "context_length", c->ctx_tok - c->first_pos);
    put_u32(c, w, "embedding_length", c->width);
    put_u32(c, w, "feed_forward_length", c->n_ff);
    put_u32(c, w, "attention.head_count", c->n_heads);
    put_f32(c, w, "attention.layer_norm_epsilon", c->eps);
    snprintf(key, sizeof key, "%s.attention.causal", c->arch);
    vg_gguf_put_bool(w, key, false);
    if (!(c->flags & A_POS_TABLE)) put_f32(c, w, "rope.freq_base", c->rope_base);
    vg_gguf_put_u32(w, "tokenizer.ggml.token_type_count", c->n_types);
}

void hf_pooling_put(const hf_config *c, vg_gguf_writer *w)
{
    if (c->pooling != POOL_UNKNOWN) put_u32(c, w, "pooling_type", c->pooling);
}
