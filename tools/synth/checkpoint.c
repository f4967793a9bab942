/* Writes a Hugging Face checkpoint folder: config.json in the family's words, a byte-level
 * tokenizer of the 256 bytes (converters fill the rest of the vocabulary), and random weights in
 * shards of at most about 5 GB, two at least. Tensors go out in pieces, so that the size of the
 * model costs disk and nothing else. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "synth.h"

enum { NAME_MAX_BYTES = 96, A_LAYER = 20, AN_EXPERT = 3, OUTSIDE = 4, N_BYTES = 256 };
enum { N_SHARDS_MIN = 2 };
static const uint64_t shard_bytes = UINT64_C(5000000000);

typedef enum fill_kind { FILL_RANDOM, FILL_ONES, FILL_ZEROS } fill_kind;

typedef struct tensor {
    char name[NAME_MAX_BYTES];
    uint64_t rows, cols; /* rows 0: a vector */
    fill_kind fill;
    uint64_t n;
} tensor;

typedef struct folder {
    const synth_shape *s;
    vg_dtype type;
    const char *dir;
    uint64_t seed;
    vg_arena *arena;
    tensor *t; /* [n] */
    size_t n, cap;
    vg_err *err;
} folder;

/* ---- files ---------------------------------------------------------------------------------- */

static FILE *open_file(const folder *f, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *out = fopen(path, "wb");
    if (!out) VG_UNUSED(VG_FAIL(f->err, VG_E_IO, "%s: %s", path, strerror(errno)));
    return out;
}

static vg_status close_file(const folder *f, FILE *out, bool ok, const char *name)
{
    if (fclose(out)) ok = false;
    return ok ? VG_OK : VG_FAIL(f->err, VG_E_IO, "%s/%s: %s", f->dir, name, strerror(errno));
}

static vg_status write_text(const folder *f, const char *name, vg_buf *b)
{
    vg_status st = vg_buf_check(b, name, f->err);
    FILE *out = st ? NULL : open_file(f, name);
    if (out) st = close_file(f, out, fwrite(b->data, 1, b->n, out) == b->n, name);
    else if (!st) st = VG_E_IO;
    vg_buf_clear(b);
    return st;
}

/* ---- config.json ---------------------------------------------------------------------------- */

static bool is(const synth_shape *s, const char *arch)
{
    return strcmp(s->arch, arch) == 0;
}

static const char *class_of(const synth_shape *s)
{
    static const char *const classes[][2] = {
        {"llama", "LlamaForCausalLM"}, {"qwen2", "Qwen2ForCausalLM"},
        {"qwen3", "Qwen3ForCausalLM"}, {"qwen3moe", "Qwen3MoeForCausalLM"},
        {"gemma2", "Gemma2ForCausalLM"}, {"gemma3", "Gemma3ForCausalLM"},
        {"phi3", "Phi3ForCausalLM"}, {"granite", "GraniteForCausalLM"}};
    for (size_t i = 0; i < VG_COUNT(classes); i++)
        if (is(s, classes[i][0])) return classes[i][1];
    return s->arch;
}

static uint32_t head_dim(const synth_shape *s)
{
    return s->dim ? s->dim : s->width / s->n_heads;
}

static vg_status write_config(const folder *f)
{
    const synth_shape *s = f->s;
    bool gemma = is(s, "gemma2") || is(s, "gemma3");
    vg_buf b;
    vg_buf_init(&b, 1 << 16);
    vg_buf_fmt(&b, "{\n  \"architectures\": [\"%s\"],\n  \"model_type\": \"%s\",\n", class_of(s),
               is(s, "qwen3moe") ? "qwen3_moe" : is(s, "gemma3") ? "gemma3_text" : s->arch);
    vg_buf_fmt(&b, "  \"num_hidden_layers\": %u,\n  \"hidden_size\": %u,\n  \"vocab_size\": %u,\n",
               s->n_layers, s->width, s->n_vocab);
    vg_buf_fmt(&b, "  \"num_attention_heads\": %u,\n  \"num_key_value_heads\": %u,\n"
               "  \"head_dim\": %u,\n", s->n_heads, s->n_kv_heads, head_dim(s));
    vg_buf_fmt(&b, "  \"intermediate_size\": %u,\n  \"max_position_embeddings\": %u,\n", s->n_ff,
               s->ctx);
    if (s->rope_stretch)
        vg_buf_fmt(&b, "  \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": %u, "
                   "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
                   "\"original_max_position_embeddings\": 8192},\n", s->rope_stretch);
    if (s->n_experts)
        vg_buf_fmt(&b, "  \"num_experts\": %u,\n  \"num_experts_per_tok\": %u,\n"
                   "  \"moe_intermediate_size\": %u,\n  \"norm_topk_prob\": true,\n", s->n_experts,
                   s->n_experts_used, s->n_ff);
    if (s->window) vg_buf_fmt(&b, "  \"sliding_window\": %u,\n", s->window);
    if (gemma) vg_buf_fmt(&b, "  \"query_pre_attn_scalar\": %u,\n", head_dim(s));
    if (s->softcaps)
        vg_buf_text(&b, "  \"attn_logit_softcapping\": 50.0,\n"
                        "  \"final_logit_softcapping\": 30.0,\n");
    if (s->granite_scales) /* Granite 3.1 2B */
        vg_buf_text(&b, "  \"embedding_multiplier\": 12.0,\n  \"residual_multiplier\": 0.22,\n"
                        "  \"attention_multiplier\": 0.015625,\n  \"logits_scaling\": 8.0,\n");
    vg_buf_fmt(&b, "  \"%s\": \"%s\",\n", gemma ? "hidden_activation" : "hidden_act",
               gemma ? "gelu_pytorch_tanh" : "silu");
    vg_buf_fmt(&b, "  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": %u,\n"
               "  \"tie_word_embeddings\": %s,\n  \"bos_token_id\": 256,\n"
               "  \"eos_token_id\": 257,\n  \"pad_token_id\": 257,\n"
               "  \"torch_dtype\": \"%s\"\n}\n", s->rope_base,
               s->tied ? "true" : "false", f->type == VG_BF16 ? "bfloat16" : "float16");
    return write_text(f, "config.json", &b);
}

/* ---- tokenizer ------------------------------------------------------------------------------ */

/* GPT-2's alphabet: a byte that prints stands for itself, the others for U+0100 and up. */
static vg_status write_tokenizer(const folder *f)
{
    static const char level[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                                "\"trim_offsets\": true, \"use_regex\": true}";
    vg_buf b, symbol;
    vg_buf_init(&b, 1 << 16);
    vg_buf_init(&symbol, 16);
    vg_buf_text(&b, "{\"version\": \"1.0\", \"added_tokens\": [");
    for (uint32_t i = 0; i < 2; i++)
        vg_buf_fmt(&b, "%s{\"id\": %u, \"content\": \"%s\", \"special\": true}", i ? ", " : "",
                   N_BYTES + i, i ? "<|end|>" : "<|begin|>");
    vg_buf_fmt(&b, "], \"normalizer\": null, \"pre_tokenizer\": %s, \"post_processor\": %s, "
               "\"decoder\": %s, \"model\": {\"type\": \"BPE\", \"merges\": [], \"vocab\": {",
               level, level, level);
    for (int32_t byte = 0, other = 0x100; byte < N_BYTES; byte++) {
        bool prints = (byte >= 33 && byte < 127) || (byte >= 161 && byte != 173);
        vg_buf_cp(&symbol, prints ? byte : other++);
        vg_json_put_str(&b, (vg_str){symbol.data, symbol.n});
        vg_buf_reset(&symbol);
        vg_buf_fmt(&b, ": %d%s", byte, byte + 1 < N_BYTES ? ", " : "}}}\n");
    }
    vg_buf_clear(&symbol);
    VG_TRY(write_text(f, "tokenizer.json", &b));
    vg_buf_init(&b, 1 << 10);
    vg_buf_text(&b, "{\"bos_token\": \"<|begin|>\", \"eos_token\": \"<|end|>\"}\n");
    return write_text(f, "tokenizer_config.json", &b);
}

/* ---- tensors -------------------------------------------------------------------------------- */

static void add(folder *f, int layer, const char *name, fill_kind fill, uint64_t rows,
                uint64_t cols)
{
    assert(f->n < f->cap);
    tensor *t = &f->t[f->n++];
    *t = (tensor){.rows = rows, .cols = cols, .fill = fill, .n = VG_MAX(rows, (uint64_t)1) * cols};
    if (layer < 0) snprintf(t->name, sizeof t->name, "%s.weight", name);
    else snprintf(t->name, sizeof t->name, "model.layers.%d.%s", layer, name);
}

static void add_mlp(folder *f, int il)
{
    const synth_shape *s = f->s;
    uint64_t d = s->width, ff = s->n_ff;
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
    if (s->fused) {
        add(f, il, "mlp.gate_up_proj.weight", FILL_RANDOM, 2 * ff, d);
        add(f, il, "mlp.down_proj.weight", FILL_RANDOM, d, ff);
        return;
    }
    if (s->n_experts) add(f, il, "mlp.gate.weight", FILL_RANDOM, s->n_experts, d);
    for (uint32_t x = 0; x < VG_MAX(s->n_experts, 1u); x++)
        for (size_t i = 0; i < VG_COUNT(names); i++) {
            char name[64];
            if (s->n_experts) snprintf(name, sizeof name, "mlp.experts.%u.%s.weight", x, names[i]);
            else snprintf(name, sizeof name, "mlp.%s.weight", names[i]);
            add(f, il, name, FILL_RANDOM, i == 2 ? d : ff, i == 2 ? ff : d);
        }
}

static void add_layer(folder *f, int il)
{
    const synth_shape *s = f->s;
    uint64_t d = s->width, dim = head_dim(s), n_q = dim * s->n_heads, n_kv = dim * s->n_kv_heads;
    fill_kind norm = is(s, "gemma2") || is(s, "gemma3") ? FILL_ZEROS : FILL_ONES; /* Gemma adds 1 */
    const struct {
        const char *name;
        fill_kind fill;
        uint64_t rows, cols;
        bool has;
    } list[] = {
        {"input_layernorm.weight", norm, 0, d, true},
        {"self_attn.q_proj.weight", FILL_RANDOM, n_q, d, !s->fused},
        {"self_attn.k_proj.weight", FILL_RANDOM, n_kv, d, !s->fused},
        {"self_attn.v_proj.weight", FILL_RANDOM, n_kv, d, !s->fused},
        {"self_attn.qkv_proj.weight", FILL_RANDOM, n_q + 2 * n_kv, d, s->fused},
        {"self_attn.q_proj.bias", FILL_ZEROS, 0, n_q, s->qkv_bias},
        {"self_attn.k_proj.bias", FILL_ZEROS, 0, n_kv, s->qkv_bias},
        {"self_attn.v_proj.bias", FILL_ZEROS, 0, n_kv, s->qkv_bias},
        {"self_attn.q_norm.weight", norm, 0, dim, s->qk_norm},
        {"self_attn.k_norm.weight", norm, 0, dim, s->qk_norm},
        {"self_attn.o_proj.weight", FILL_RANDOM, d, n_q, true},
        {"post_attention_layernorm.weight", norm, 0, d, true},
        {"pre_feedforward_layernorm.weight", norm, 0, d, s->post_norm},
        {"post_feedforward_layernorm.weight", norm, 0, d, s->post_norm},
    };
    for (size_t i = 0; i < VG_COUNT(list); i++)
        if (list[i].has) add(f, il, list[i].name, list[i].fill, list[i].rows, list[i].cols);
    add_mlp(f, il);
}

static vg_status list_tensors(folder *f)
{
    const synth_shape *s = f->s;
    f->cap = s->n_layers * (size_t)(A_LAYER + AN_EXPERT * s->n_experts) + OUTSIDE;
    f->t = VG_ARENA_ARRAY(f->arena, tensor, f->cap);
    if (!f->t) return VG_FAIL_MEMORY(f->err, f->cap * sizeof *f->t);
    bool gemma = is(s, "gemma2") || is(s, "gemma3");
    add(f, -1, "model.embed_tokens", FILL_RANDOM, s->n_vocab, s->width);
    for (uint32_t il = 0; il < s->n_layers; il++) add_layer(f, (int)il);
    add(f, -1, "model.norm", gemma ? FILL_ZEROS : FILL_ONES, 0, s->width);
    if (!s->tied) add(f, -1, "lm_head", FILL_RANDOM, s->n_vocab, s->width);
    return VG_OK;
}

/* ---- shards --------------------------------------------------------------------------------- */

static bool write_tensor(const folder *f, size_t i, FILE *out)
{
    enum { PIECE = 1 << 16 };
    uint16_t piece[PIECE];
    const tensor *t = &f->t[i];
    uint16_t one = f->type == VG_BF16 ? 0x3f80 : 0x3c00;
    uint64_t key = synth_random(f->seed, i);
    for (uint64_t at = 0; at < t->n; at += PIECE) {
        size_t n = (size_t)VG_MIN(t->n - at, (uint64_t)PIECE);
        /* Rows of deviation 1 / sqrt(columns) keep the scale of what they multiply. */
        if (t->fill == FILL_RANDOM)
            synth_blocks(f->type, key, at, n, 1 / sqrtf((float)t->cols), (uint8_t *)piece);
        for (size_t k = 0; t->fill != FILL_RANDOM && k < n; k++)
            piece[k] = t->fill == FILL_ONES ? one : 0;
        if (fwrite(piece, sizeof *piece, n, out) != n) return false;
    }
    return true;
}

/* Tensors first..end. */
static vg_status write_shard(const folder *f, const char *name, size_t first, size_t end)
{
    vg_buf b;
    uint64_t offset = 0;
    vg_buf_init(&b, 64 << 20);
    vg_buf_text(&b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = first; i < end; i++) {
        const tensor *t = &f->t[i];
        vg_buf_fmt(&b, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name,
                   f->type == VG_BF16 ? "BF16" : "F16");
        if (t->rows) vg_buf_fmt(&b, "%llu,", (unsigned long long)t->rows);
        vg_buf_fmt(&b, "%llu],\"data_offsets\":[%llu,%llu]}", (unsigned long long)t->cols,
                   (unsigned long long)offset, (unsigned long long)(offset + 2 * t->n));
        offset += 2 * t->n;
    }
    vg_buf_char(&b, '}');
    while (b.n % 8) vg_buf_char(&b, ' ');
    vg_status st = vg_buf_check(&b, name, f->err);
    FILE *out = st ? NULL : open_file(f, name);
    if (out) {
        uint8_t n_header[8];
        for (size_t i = 0; i < 8; i++) n_header[i] = (uint8_t)((uint64_t)b.n >> (8 * i));
        bool ok = fwrite(n_header, 1, 8, out) == 8 && fwrite(b.data, 1, b.n, out) == b.n;
        for (size_t i = first; ok && i < end; i++) ok = write_tensor(f, i, out);
        st = close_file(f, out, ok, name);
    } else if (!st) {
        st = VG_E_IO;
    }
    vg_buf_clear(&b);
    return st;
}

static vg_status write_weights(const folder *f)
{
    uint64_t total = 0, bytes = 0;
    for (size_t i = 0; i < f->n; i++) total += 2 * f->t[i].n;
    uint64_t n_shards = VG_MAX(total / shard_bytes + 1, (uint64_t)N_SHARDS_MIN), shard = 1;
    vg_buf index;
    vg_buf_init(&index, 64 << 20);
    vg_buf_fmt(&index, "{\"metadata\": {\"total_size\": %llu}, \"weight_map\": {",
               (unsigned long long)total);
    for (size_t i = 0, first = 0; i < f->n; i++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", (unsigned)shard,
                 (unsigned)n_shards);
        vg_buf_fmt(&index, "%s\n\"%s\": \"%s\"", i ? "," : "", f->t[i].name, name);
        bytes += 2 * f->t[i].n;
        bool full = bytes >= total / n_shards * shard && shard < n_shards;
        if (!full && i + 1 < f->n) continue;
        VG_TRY(write_shard(f, name, first, i + 1));
        first = i + 1;
        shard++;
    }
    vg_buf_text(&index, "}}\n");
    return write_text(f, "model.safetensors.index.json", &index);
}

vg_status synth_checkpoint(const synth_shape *shape, vg_dtype type, const synth_opts *opts,
                           const char *dir, vg_err *err)
{
    enum { ARENA_CAP = 64 << 20 };
    synth_shape s = opts->tiny ? synth_shrink(*shape) : *shape;
    folder f = {.s = &s, .type = type, .dir = dir, .seed = opts->seed, .err = err};
    if (type != VG_BF16 && type != VG_F16)
        return VG_FAIL(err, VG_E_USAGE, "a checkpoint is of BF16 or F16");
    if (mkdir(dir, 0777) && errno != EEXIST)
        return VG_FAIL(err, VG_E_IO, "%s: %s", dir, strerror(errno));
    VG_TRY(vg_arena_new(&f.arena, ARENA_CAP, err));
    vg_status st = list_tensors(&f);
    if (!st) st = write_config(&f);
    if (!st) st = write_tokenizer(&f);
    if (!st) st = write_weights(&f);
    vg_arena_free(f.arena);
    return st;
}
