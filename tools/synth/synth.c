/* Writes the file: the metadata that Verge and llama.cpp read for each family, then the tensors one
 * after the other, in pieces of a megabyte, so that the size of the model costs disk and nothing
 * else. Norms are ones and biases zeros, so that random weights give finite, ordinary logits. */
#include "synth.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

static const synth_shape shapes[] = {
#define SHAPE(name_, arch_, vocab_, ...)                                                           \
    {.name = name_, .arch = arch_, .vocab = SYNTH_##vocab_, __VA_ARGS__},
#include "shapes.def"
#undef SHAPE
};

const synth_shape *synth_shapes(size_t *n)
{
    *n = VG_COUNT(shapes);
    return shapes;
}

const synth_shape *synth_shape_find(const char *name)
{
    for (size_t i = 0; i < VG_COUNT(shapes); i++)
        if (strcasecmp(name, shapes[i].name) == 0) return &shapes[i];
    return NULL;
}

/* ---- metadata ------------------------------------------------------------------------------- */

static uint32_t head_dim(const synth_shape *s)
{
    return s->dim ? s->dim : s->width / s->n_heads;
}

enum { KEY_MAX = 96 };

static const char *key_of(const synth_shape *s, const char *suffix, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s.%s", s->arch, suffix);
    return key;
}

static void put_numbers(const synth_shape *s, vg_gguf_writer *w)
{
    const struct {
        const char *key;
        uint32_t value;
        bool absent;
    } list[] = {
        {"block_count", s->n_layers, false},
        {"context_length", s->ctx, false},
        {"embedding_length", s->width, false},
        {"feed_forward_length", s->n_ff, false},
        {"attention.head_count", s->n_heads, false},
        {"attention.head_count_kv", s->n_kv_heads, false},
        {"attention.key_length", head_dim(s), false},
        {"attention.value_length", head_dim(s), false},
        {"rope.dimension_count", head_dim(s), false},
        {"vocab_size", s->n_vocab, false},
        {"attention.sliding_window", s->window, s->window == 0},
        {"expert_count", s->n_experts, s->n_experts == 0},
        {"expert_used_count", s->n_experts_used, s->n_experts == 0},
        {"expert_feed_forward_length", s->n_ff, s->n_experts == 0},
    };
    char key[KEY_MAX];
    for (size_t i = 0; i < VG_COUNT(list); i++)
        if (!list[i].absent) vg_gguf_put_u32(w, key_of(s, list[i].key, key), list[i].value);
    vg_gguf_put_f32(w, key_of(s, "attention.layer_norm_rms_epsilon", key), 1e-5f);
    vg_gguf_put_f32(w, key_of(s, "rope.freq_base", key), (float)s->rope_base);
    if (s->softcaps) { /* Gemma 2 */
        vg_gguf_put_f32(w, key_of(s, "attn_logit_softcapping", key), 50);
        vg_gguf_put_f32(w, key_of(s, "final_logit_softcapping", key), 30);
    }
    if (s->granite_scales) { /* Granite 3.1 2B */
        vg_gguf_put_f32(w, key_of(s, "embedding_scale", key), 12);
        vg_gguf_put_f32(w, key_of(s, "residual_scale", key), 0.22f);
        vg_gguf_put_f32(w, key_of(s, "attention.scale", key), 0.015625f);
        vg_gguf_put_f32(w, key_of(s, "logit_scale", key), 8);
    }
}

static vg_status put_metadata(const synth_shape *s, const synth_mix *mix, vg_gguf_writer *w,
                              vg_err *err)
{
    char name[KEY_MAX];
    snprintf(name, sizeof name, "Random weights in the shape of %s", s->name);
    /* Engines give a model that is called Phi-3 that model's own rules for special tokens. */
    for (char *p = name; *p; p++) *p = *p == '-' ? ' ' : *p;
    vg_gguf_put_str(w, "general.architecture", vg_str_from(s->arch));
    vg_gguf_put_str(w, "general.name", vg_str_from(name));
    vg_gguf_put_u32(w, "general.file_type", mix->file_type);
    vg_gguf_put_u32(w, "general.quantization_version", 2);
    put_numbers(s, w);
    return synth_vocab_put(s->vocab, s->n_vocab, w, err);
}

/* ---- tensors -------------------------------------------------------------------------------- */

typedef struct tensor {
    char name[64];
    synth_role role;
    vg_dtype type;
    uint32_t n_dims;
    uint64_t dim[3], n;
} tensor;

typedef struct tensors {
    vg_arena *arena;
    const synth_shape *shape;
    const synth_mix *mix;
    tensor *t;
    size_t n, cap;
} tensors;

enum { TENSORS_A_LAYER = 20, TENSORS_OUTSIDE = 8 };

/* dim1 0: a vector; dim2 0: a matrix. Layer -1: outside the layers. */
static void add(tensors *all, synth_role role, int il, const char *name, uint64_t dim0,
                uint64_t dim1, uint64_t dim2)
{
    assert(all->n < all->cap);
    tensor *t = &all->t[all->n++];
    *t = (tensor){.role = role, .dim = {dim0, dim1, dim2}};
    t->n_dims = dim2 ? 3 : dim1 ? 2 : 1;
    if (il < 0) snprintf(t->name, sizeof t->name, "%s", name);
    else snprintf(t->name, sizeof t->name, "blk.%d.%s", il, name);
    t->type = synth_mix_type(all->mix, all->shape, role, (uint32_t)VG_MAX(il, 0), (size_t)dim0);
    t->n = dim0 * VG_MAX(dim1, (uint64_t)1) * VG_MAX(dim2, (uint64_t)1);
}

static void add_layer(tensors *all, int il)
{
    const synth_shape *s = all->shape;
    uint64_t d = s->width, f = s->n_ff, dim = head_dim(s), x = s->n_experts;
    uint64_t n_q = dim * s->n_heads, n_kv = dim * s->n_kv_heads;
    add(all, ROLE_ONES, il, "attn_norm.weight", d, 0, 0);
    if (s->fused) {
        add(all, ROLE_QKV, il, "attn_qkv.weight", d, n_q + 2 * n_kv, 0);
    } else {
        add(all, ROLE_Q, il, "attn_q.weight", d, n_q, 0);
        add(all, ROLE_K, il, "attn_k.weight", d, n_kv, 0);
        add(all, ROLE_V, il, "attn_v.weight", d, n_kv, 0);
    }
    if (s->qkv_bias) {
        add(all, ROLE_ZEROS, il, "attn_q.bias", n_q, 0, 0);
        add(all, ROLE_ZEROS, il, "attn_k.bias", n_kv, 0, 0);
        add(all, ROLE_ZEROS, il, "attn_v.bias", n_kv, 0, 0);
    }
    if (s->qk_norm) {
        add(all, ROLE_ONES, il, "attn_q_norm.weight", dim, 0, 0);
        add(all, ROLE_ONES, il, "attn_k_norm.weight", dim, 0, 0);
    }
    add(all, ROLE_O, il, "attn_output.weight", n_q, d, 0);
    if (s->post_norm) add(all, ROLE_ONES, il, "post_attention_norm.weight", d, 0, 0);
    add(all, ROLE_ONES, il, "ffn_norm.weight", d, 0, 0);
    if (s->n_experts) {
        add(all, ROLE_ROUTER, il, "ffn_gate_inp.weight", d, x, 0);
        add(all, ROLE_GATE, il, "ffn_gate_exps.weight", d, f, x);
        add(all, ROLE_UP, il, "ffn_up_exps.weight", d, f, x);
        add(all, ROLE_DOWN, il, "ffn_down_exps.weight", f, d, x);
    } else {
        if (!s->fused) add(all, ROLE_GATE, il, "ffn_gate.weight", d, f, 0);
        add(all, ROLE_UP, il, "ffn_up.weight", d, s->fused ? 2 * f : f, 0);
        add(all, ROLE_DOWN, il, "ffn_down.weight", f, d, 0);
    }
    if (s->post_norm) add(all, ROLE_ONES, il, "post_ffw_norm.weight", d, 0, 0);
}

static vg_status list_tensors(tensors *all, vg_err *err)
{
    const synth_shape *s = all->shape;
    all->cap = s->n_layers * TENSORS_A_LAYER + TENSORS_OUTSIDE;
    all->t = VG_ARENA_ARRAY(all->arena, tensor, all->cap);
    if (!all->t) return VG_FAIL_MEMORY(err, all->cap * sizeof *all->t);
    add(all, ROLE_EMBED, -1, "token_embd.weight", s->width, s->n_vocab, 0);
    for (uint32_t il = 0; il < s->n_layers; il++) add_layer(all, (int)il);
    add(all, ROLE_ONES, -1, "output_norm.weight", s->width, 0, 0);
    if (!s->tied) add(all, ROLE_OUTPUT, -1, "output.weight", s->width, s->n_vocab, 0);
    if (s->rope_stretch) add(all, ROLE_ROPE, -1, "rope_freqs.weight", head_dim(s) / 2, 0, 0);
    return VG_OK;
}

/* ---- data ----------------------------------------------------------------------------------- */

/* Llama 3.1's rule for long contexts: wavelengths above 8192 tokens are stretched, those below 2048
 * are not, and between the factor is blended (Llama 3 report; transformers' "llama3"). */
static float rope_factor(const synth_shape *s, uint64_t i)
{
    const double ctx = 8192, low = 1, high = 4, pi = 3.14159265358979323846;
    double stretch = s->rope_stretch;
    double wave = 2 * pi * vg_pow_f64(s->rope_base, 2.0 * (double)i / head_dim(s));
    if (wave < ctx / high) return 1;
    if (wave > ctx / low) return (float)stretch;
    double smooth = (ctx / wave - low) / (high - low);
    return (float)(1 / ((1 - smooth) / stretch + smooth));
}

static void plain_floats(const synth_shape *s, const tensor *t, uint64_t first, size_t n,
                         uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        float v = t->role == ROLE_ONES ? 1 : t->role == ROLE_ZEROS ? 0 : rope_factor(s, first + i);
        memcpy(out + 4 * i, &v, 4);
    }
}

static vg_status write_tensor(const synth_shape *s, const tensor *t, uint64_t key,
                              vg_gguf_writer *w, vg_err *err)
{
    enum { PIECE_BLOCKS = 1 << 12 }; /* a multiple of 8; at most 860 KB */
    uint8_t piece[PIECE_BLOCKS * 256];
    const vg_dtype_info *info = vg_dtype_get(t->type);
    /* Rows of deviation 1 / sqrt(n_in) keep the scale of what they multiply. */
    float sigma = 1 / sqrtf((float)t->dim[0]);
    bool random = t->role < ROLE_ONES || t->role == ROLE_ROUTER;
    uint64_t n_blocks = t->n / info->block;
    for (uint64_t at = 0; at < n_blocks; at += PIECE_BLOCKS) {
        size_t n = (size_t)VG_MIN(n_blocks - at, (uint64_t)PIECE_BLOCKS);
        if (random) synth_blocks(t->type, key, at, n, sigma, piece);
        else plain_floats(s, t, at, n, piece);
        VG_TRY(vg_gguf_write(w, piece, n * info->bytes, err));
    }
    return VG_OK;
}

static vg_status write_file(const tensors *all, const synth_opts *opts, vg_gguf_writer *w,
                            vg_err *err)
{
    VG_TRY(put_metadata(all->shape, all->mix, w, err));
    for (size_t i = 0; i < all->n; i++) {
        const tensor *t = &all->t[i];
        vg_gguf_add_tensor(w, vg_str_from(t->name), t->type, t->n_dims, t->dim);
    }
    for (size_t i = 0; i < all->n; i++)
        VG_TRY(write_tensor(all->shape, &all->t[i], synth_random(opts->seed, i), w, err));
    return VG_OK;
}

/* The same structure, small: heads of the same size in the same groups, rows of whole blocks of 256
 * where the full shape has them. */
synth_shape synth_shrink(synth_shape s)
{
    uint32_t group = s.n_heads / s.n_kv_heads, dim = head_dim(&s);
    s.n_kv_heads = VG_MIN(s.n_kv_heads, dim * group < 128 ? (uint32_t)4 : (uint32_t)2);
    s.n_heads = s.n_kv_heads * group;
    s.width = !s.dim ? dim * s.n_heads : s.width % 256 ? 288 : 256;
    s.n_ff = s.n_ff % 256 ? 544 : 512;
    s.n_layers = 2;
    s.n_experts = VG_MIN(s.n_experts, (uint32_t)8);
    s.n_experts_used = VG_MIN(s.n_experts_used, (uint32_t)2);
    s.n_vocab = 1024;
    s.ctx = VG_MIN(s.ctx, (uint32_t)4096);
    s.window = VG_MIN(s.window, (uint32_t)64);
    return s;
}

vg_status synth_write(const synth_shape *shape, const synth_mix *mix, const synth_opts *opts,
                      const char *path, vg_err *err)
{
    enum { ARENA_CAP = 4 << 20 };
    synth_shape s = opts->tiny ? synth_shrink(*shape) : *shape;
    tensors all = {.shape = &s, .mix = mix};
    vg_gguf_writer *w = NULL;
    vg_status st = vg_arena_new(&all.arena, ARENA_CAP, err);
    if (!st && !opts->vocab_only) st = list_tensors(&all, err);
    if (!st) st = vg_gguf_begin(&w, path, err);
    if (!st) st = write_file(&all, opts, w, err);
    if (st) vg_gguf_abandon(w);
    else st = vg_gguf_end(w, err);
    vg_arena_free(all.arena);
    return st;
}
