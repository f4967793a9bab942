/* hf_config.c: config.json of a checkpoint to the numbers of a model and the keys of its GGUF file.
 * What a configuration leaves out has the default that Hugging Face transformers gives its family.
 * What the engine would compute otherwise than the original (an activation, a kind of RoPE scaling,
 * experts in some layers only) is refused by name: a file that loads and answers wrongly is worse
 * than none. */
#include <math.h>

#include "compress/hf_int.h"

typedef struct family {
    const char *hf, *arch; /* "architectures" of config.json; the row of arch.def */
} family;

static const family families[] = {
    {"LlamaForCausalLM", "llama"},     {"MistralForCausalLM", "llama"},
    {"Qwen2ForCausalLM", "qwen2"},     {"Qwen3ForCausalLM", "qwen3"},
    {"Qwen3MoeForCausalLM", "qwen3moe"}, {"Gemma2ForCausalLM", "gemma2"},
    {"Gemma3ForCausalLM", "gemma3"},   {"Gemma3ForConditionalGeneration", "gemma3"},
    {"Phi3ForCausalLM", "phi3"},       {"SmolLM3ForCausalLM", "smollm3"},
    {"GraniteForCausalLM", "granite"}, {"BertModel", "bert"},
    {"BertForMaskedLM", "bert"},       {"RobertaModel", "bert"},
    {"RobertaForMaskedLM", "bert"},    {"XLMRobertaModel", "bert"},
    {"XLMRobertaForMaskedLM", "bert"}, {"CamembertModel", "bert"},
    {"NomicBertModel", "nomic-bert"},
};

/* Defaults of the configuration classes of transformers. */
typedef struct defaults {
    const char *arch;
    uint32_t ctx_tok, n_heads, n_kv_heads, dim; /* n_kv_heads 0: n_heads; dim 0: width / n_heads */
    uint32_t window_tok;
    double eps, rope_base;
    bool tied;
} defaults;

static const defaults all_defaults[] = {
    {"llama", 2048, 32, 0, 0, 0, 1e-6, 10000, false},
    {"qwen2", 32768, 32, 32, 0, 0, 1e-6, 10000, false},
    {"qwen3", 32768, 32, 32, 128, 0, 1e-6, 10000, false},
    {"qwen3moe", 32768, 32, 4, 0, 0, 1e-6, 10000, false},
    {"gemma2", 8192, 8, 4, 256, 4096, 1e-6, 10000, true},
    {"gemma3", 131072, 8, 4, 256, 4096, 1e-6, 1000000, true},
    {"phi3", 4096, 32, 0, 0, 0, 1e-5, 10000, false},
    {"smollm3", 32768, 16, 4, 0, 0, 1e-6, 2000000, true},
    {"granite", 2048, 32, 0, 0, 0, 1e-6, 10000, false},
};

static const struct {
    const char *name;
    unsigned flags;
    uint32_t window_period;
} archs[] = {
#define ARCH(name, flags, window_period) {name, flags, window_period},
#include "model/arch.def"
#undef ARCH
};

/* ---- values -------------------------------------------------------------------------------- */

const vg_json *hf_get(const vg_json *j, const char *key)
{
    const vg_json *v = j ? vg_json_get(j, key) : NULL;
    return v && v->kind != VG_JSON_NULL ? v : NULL;
}

vg_status hf_u32(const vg_json *j, const char *key, uint32_t min, uint32_t max, uint32_t *out,
                 vg_err *err)
{
    const vg_json *v = hf_get(j, key);
    if (!v) return VG_OK;
    if (v->kind != VG_JSON_INT || v->integer < (int64_t)min || v->integer > (int64_t)max)
        return VG_FAIL(err, VG_E_FORMAT, "%s is no whole number from %u to %u", key, min, max);
    *out = (uint32_t)v->integer;
    return VG_OK;
}

vg_status hf_f64(const vg_json *j, const char *key, double *out, vg_err *err)
{
    const vg_json *v = hf_get(j, key);
    if (!v) return VG_OK;
    if ((v->kind != VG_JSON_INT && v->kind != VG_JSON_FLOAT) || !isfinite(v->number))
        return VG_FAIL(err, VG_E_FORMAT, "%s is no number", key);
    *out = v->number;
    return VG_OK;
}

vg_status hf_bool(const vg_json *j, const char *key, bool *out, vg_err *err)
{
    const vg_json *v = hf_get(j, key);
    if (!v) return VG_OK;
    if (v->kind != VG_JSON_BOOL)
        return VG_FAIL(err, VG_E_FORMAT, "%s is neither true nor false", key);
    *out = v->boolean;
    return VG_OK;
}

vg_status hf_str(const vg_json *j, const char *key, vg_str *out, vg_err *err)
{
    const vg_json *v = hf_get(j, key);
    if (!v) return VG_OK;
    if (v->kind != VG_JSON_STRING) return VG_FAIL(err, VG_E_FORMAT, "%s is no string", key);
    *out = v->str;
    return VG_OK;
}

/* ---- the family ---------------------------------------------------------------------------- */

static vg_status find_family(hf_config *c, const vg_json *root, const char **arch, vg_err *err)
{
    const vg_json *list = hf_get(root, "architectures");
    vg_str name = {0}, type = {0};
    if (list && list->kind == VG_JSON_ARRAY && list->n && list->item[0]->kind == VG_JSON_STRING)
        name = list->item[0]->str;
    VG_TRY(hf_str(root, "model_type", &type, err));
    for (size_t i = 0; i < VG_COUNT(families); i++)
        if (vg_str_is(name, families[i].hf)) *arch = families[i].arch;
    /* Older configurations have the type alone. */
    for (size_t i = 0; !name.n && i < VG_COUNT(archs); i++)
        if (vg_str_is(type, archs[i].name)) *arch = archs[i].name;
    for (size_t i = 0; *arch && i < VG_COUNT(archs); i++) {
        if (strcmp(archs[i].name, *arch) != 0) continue;
        c->arch = archs[i].name;
        c->flags = archs[i].flags;
        return VG_OK;
    }
    if (!name.n) name = type;
    return VG_FAIL(err, VG_E_UNSUPPORTED, "models of the kind '%.*s' are not supported (llama, mist"
                   "ral, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3, smollm3, granite, bert, rob"
                   "erta, xlm-roberta and nomic-bert are)",
                   VG_STR_ARG(name));
}

static const defaults *defaults_of(const char *arch)
{
    for (size_t i = 0; i < VG_COUNT(all_defaults); i++)
        if (strcmp(all_defaults[i].arch, arch) == 0) return &all_defaults[i];
    return NULL;
}

static vg_status read_sizes(hf_config *c, const defaults *def, vg_err *err)
{
    const vg_json *j = c->json;
    c->n_heads = def->n_heads;
    c->ctx_tok = def->ctx_tok;
    VG_TRY(hf_u32(j, "num_hidden_layers", 1, VG_MAX_LAYERS, &c->n_layers, err));
    VG_TRY(hf_u32(j, "hidden_size", 1, 1 << 20, &c->width, err));
    VG_TRY(hf_u32(j, "max_position_embeddings", 1, INT32_MAX, &c->ctx_tok, err));
    VG_TRY(hf_u32(j, "num_attention_heads", 1, VG_MAX_HEADS, &c->n_heads, err));
    c->n_kv_heads = def->n_kv_heads ? def->n_kv_heads : c->n_heads;
    VG_TRY(hf_u32(j, "num_key_value_heads", 1, VG_MAX_HEADS, &c->n_kv_heads, err));
    c->dim = def->dim ? def->dim : c->width / c->n_heads;
    VG_TRY(hf_u32(j, "head_dim", 2, VG_MAX_HEAD_DIM, &c->dim, err));
    VG_TRY(hf_u32(j, "intermediate_size", 1, 1 << 24, &c->n_ff, err));
    VG_TRY(hf_u32(j, "vocab_size", 1, INT32_MAX, &c->n_vocab, err));
    if (!c->n_layers || !c->width || !c->n_ff)
        return VG_FAIL(err, VG_E_NOT_FOUND, "%s is missing",
                       !c->n_layers ? "num_hidden_layers" : !c->width ? "hidden_size"
                                                                      : "intermediate_size");
    if (c->n_heads % c->n_kv_heads || c->dim < 2 || c->dim > VG_MAX_HEAD_DIM)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%u heads, %u of keys and values, of %u dimensions",
                       c->n_heads, c->n_kv_heads, c->dim);
    c->eps = def->eps;
    VG_TRY(hf_f64(j, "rms_norm_eps", &c->eps, err));
    c->tied = def->tied;
    return hf_bool(j, "tie_word_embeddings", &c->tied, err);
}

static vg_status read_experts(hf_config *c, vg_err *err)
{
    const vg_json *j = c->json;
    bool norm_topk = false;
    uint32_t step = 1;
    if (hf_get(j, "num_local_experts") && !(c->flags & A_MOE))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a %s model with experts is not supported", c->arch);
    if (!(c->flags & A_MOE)) return VG_OK;
    VG_TRY(hf_u32(j, "num_experts", 1, VG_MAX_EXPERTS, &c->n_experts, err));
    if (!c->n_experts)
        VG_TRY(hf_u32(j, "num_local_experts", 1, VG_MAX_EXPERTS, &c->n_experts, err));
    c->n_experts_used = 8;
    VG_TRY(hf_u32(j, "num_experts_per_tok", 1, VG_MAX_EXPERTS, &c->n_experts_used, err));
    if (!c->n_experts || c->n_experts_used > c->n_experts)
        return VG_FAIL(err, VG_E_FORMAT, "%u experts, of which a token takes %u", c->n_experts,
                       c->n_experts_used);
    VG_TRY(hf_bool(j, "norm_topk_prob", &norm_topk, err));
    VG_TRY(hf_u32(j, "decoder_sparse_step", 1, VG_MAX_LAYERS, &step, err));
    const vg_json *dense = hf_get(j, "mlp_only_layers");
    if (!norm_topk)
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "experts with norm_topk_prob false are not supported");
    if (step != 1 || (dense && dense->n))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "layers without experts between those with them are "
                       "not supported (decoder_sparse_step, mlp_only_layers)");
    return VG_OK;
}

/* ---- positions ----------------------------------------------------------------------------- */

/* Older configurations have rope_theta beside rope_scaling, newer ones all of it in
 * rope_parameters, with one object for each kind of layer where these differ. */
static vg_status read_rope(hf_config *c, const defaults *def, vg_err *err)
{
    const vg_json *j = c->json, *rope = hf_get(j, "rope_parameters"), *local = NULL;
    if (!rope) rope = hf_get(j, "rope_scaling");
    if (hf_get(rope, "full_attention")) {
        local = hf_get(rope, "sliding_attention");
        rope = hf_get(rope, "full_attention");
    }
    c->rope = rope;
    c->rope_base = def->rope_base;
    c->rope_base_local = 10000;
    VG_TRY(hf_f64(j, "rope_theta", &c->rope_base, err));
    VG_TRY(hf_f64(rope, "rope_theta", &c->rope_base, err));
    VG_TRY(hf_f64(j, "rope_local_base_freq", &c->rope_base_local, err));
    VG_TRY(hf_f64(local, "rope_theta", &c->rope_base_local, err));
    if (!(c->rope_base > 0) || !(c->rope_base_local > 0))
        return VG_FAIL(err, VG_E_FORMAT, "rope_theta is not above zero");
    double part = 1;
    VG_TRY(hf_f64(j, "partial_rotary_factor", &part, err));
    VG_TRY(hf_f64(rope, "partial_rotary_factor", &part, err));
    double n_rot = (double)c->dim * part;
    if (!(n_rot >= 2) || n_rot > c->dim || (uint32_t)n_rot % 2)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a partial_rotary_factor of %g", part);
    c->n_rot = (uint32_t)n_rot;
    c->rope_ctx_tok = c->ctx_tok;
    VG_TRY(hf_u32(j, "original_max_position_embeddings", 1, INT32_MAX, &c->rope_ctx_tok, err));
    return hf_u32(rope, "original_max_position_embeddings", 1, INT32_MAX, &c->rope_ctx_tok, err);
}

static vg_status read_rope_type(hf_config *c, vg_err *err)
{
    static const char *const known[] = {"default", "linear", "llama3", "longrope"};
    vg_str type = VG_STR("default");
    VG_TRY(hf_str(c->rope, "type", &type, err));
    VG_TRY(hf_str(c->rope, "rope_type", &type, err));
    if (vg_str_is(type, "su")) type = VG_STR("longrope");
    /* Dynamic scaling changes nothing up to the context length that the file names. */
    if (vg_str_is(type, "dynamic")) type = VG_STR("default");
    c->rope_type = type;
    if (vg_str_is(type, "longrope") && c->rope_ctx_tok < 2)
        return VG_FAIL(err, VG_E_FORMAT, "longrope over %u positions", c->rope_ctx_tok);
    for (size_t i = 0; i < VG_COUNT(known); i++)
        if (vg_str_is(type, known[i])) return VG_OK;
    return VG_FAIL(err, VG_E_UNSUPPORTED, "RoPE scaling of type '%.*s' is not supported",
                   VG_STR_ARG(type));
}

static vg_status read_window(hf_config *c, const defaults *def, vg_err *err)
{
    bool uses = true;
    bool by_switch = hf_get(c->json, "use_sliding_window") != NULL;
    c->has_window = def->window_tok > 0 || (c->flags & A_FUSED);
    c->window_tok = def->window_tok;
    VG_TRY(hf_bool(c->json, "use_sliding_window", &uses, err));
    if (c->has_window) return hf_u32(c->json, "sliding_window", 0, INT32_MAX, &c->window_tok, err);
    if (by_switch && uses)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "a %s model with use_sliding_window is not supported",
                       c->arch);
    return VG_OK;
}

/* ---- what must be as the engine has it ----------------------------------------------------- */

static vg_status check_activation(const hf_config *c, vg_err *err)
{
    vg_str act = c->gemma ? VG_STR("gelu_pytorch_tanh") : VG_STR("silu");
    VG_TRY(hf_str(c->json, "hidden_act", &act, err));
    VG_TRY(hf_str(c->json, "hidden_activation", &act, err));
    bool known = c->gemma ? vg_str_is(act, "gelu_pytorch_tanh") || vg_str_is(act, "gelu_new")
                          : vg_str_is(act, "silu") || vg_str_is(act, "swish");
    return known ? VG_OK : VG_FAIL(err, VG_E_UNSUPPORTED, "the activation '%.*s' is not supported",
                                   VG_STR_ARG(act));
}

/* SmolLM3: every fourth layer has no RoPE, which no key of GGUF says. */
static vg_status check_no_rope(const hf_config *c, vg_err *err)
{
    const vg_json *list = hf_get(c->json, "no_rope_layers");
    uint32_t step = 4;
    VG_TRY(hf_u32(c->json, "no_rope_layer_interval", 1, VG_MAX_LAYERS, &step, err));
    if (!(c->flags & A_NOPE_4)) return VG_OK;
    bool same = list || step == 4;
    if (list) same = list->kind == VG_JSON_ARRAY && list->n == c->n_layers;
    for (size_t i = 0; list && same && i < list->n; i++)
        same = (list->item[i]->number != 0) == ((i + 1) % 4 != 0);
    return same ? VG_OK : VG_FAIL(err, VG_E_UNSUPPORTED, "no_rope_layers other than every fourth "
                                                         "are not supported");
}

static vg_status check_rest(const hf_config *c, vg_err *err)
{
    bool both_ways = false;
    VG_TRY(hf_bool(c->json, "use_bidirectional_attention", &both_ways, err));
    if (both_ways)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "bidirectional attention is not supported");
    VG_TRY(check_activation(c, err));
    return check_no_rope(c, err);
}

/* RoBERTa and what came of it, by the type or, in older files, the class. */
static bool is_roberta(const vg_json *root)
{
    static const char *const types[] = {"roberta", "xlm-roberta", "camembert"};
    const vg_json *type = hf_get(root, "model_type");
    for (size_t i = 0; type && type->kind == VG_JSON_STRING && i < VG_COUNT(types); i++)
        if (vg_str_is(type->str, types[i])) return true;
    return false;
}

vg_status hf_config_read(hf_config *c, const vg_json *root, vg_err *err)
{
    const char *arch = NULL;
    *c = (hf_config){.json = root};
    VG_TRY(find_family(c, root, &arch, err));
    if (c->flags & A_ENCODER) return hf_encoder_read(c, is_roberta(root), err);
    const defaults *def = defaults_of(c->arch);
    if (!def) return VG_FAIL(err, VG_E_UNSUPPORTED, "models of the family '%s' are not supported",
                             c->arch);
    if (hf_get(root, "text_config")) c->json = hf_get(root, "text_config");
    c->gemma = c->flags & A_EMBED_SQRT;
    c->llama_like = !(c->flags & A_NEOX);
    VG_TRY(read_sizes(c, def, err));
    VG_TRY(hf_bool(root, "tie_word_embeddings", &c->tied, err));
    VG_TRY(read_experts(c, err));
    VG_TRY(read_rope(c, def, err));
    VG_TRY(read_rope_type(c, err));
    VG_TRY(read_window(c, def, err));
    return check_rest(c, err);
}
