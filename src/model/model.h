/* model.h: an opened model: its numbers, its weights as views of the mapped file, its vocabulary
 * and its chat template. Immutable once open, reference-counted.
 *
 *     vg_model *m;
 *     VG_TRY(vg_model_open(&m, "model.gguf", NULL, err));
 *     const vg_layer *l = &m->layer[0];
 *     use(m->hp.width, &l->q);
 *     vg_model_unref(m);
 */
#ifndef VG_MODEL_H
#define VG_MODEL_H

#include <stdatomic.h>

#include "kern/tensor.h"
#include "model/gguf.h"
#include "model/vocab.h"

enum vg_arch_flag {
    A_NEOX = 1, A_QK_NORM = 2, A_GELU = 4, A_POST_NORM = 8, A_EMBED_SQRT = 16, A_FUSED = 32,
    A_MOE = 64, A_NOPE_4 = 128, A_ROPE_LOCAL = 256, A_ENCODER = 512, A_POS_TABLE = 1024,
    A_UNGATED = 2048
};

enum { VG_MAX_LAYERS = 1024, VG_MAX_HEADS = 1024, VG_MAX_HEAD_DIM = 512, VG_MAX_EXPERTS = 1024 };

typedef struct vg_hparams {
    const char *arch; /* a row of arch.def */
    unsigned flags;
    uint32_t window_period;
    uint32_t n_layers, width, n_vocab, ctx_train_tok;
    uint32_t n_heads, n_kv_heads, dim_k, dim_v;
    uint32_t n_ff;       /* inner width of the MLP, or of one expert */
    uint32_t n_experts, n_experts_used;
    uint32_t window_tok; /* a windowed layer sees this many positions, its own included; 0: all */
    float eps;
    uint32_t n_rot;      /* dimensions of a head that rotate, the first ones; even */
    float rope_base, rope_base_local;
    float rope_scale;    /* positions are divided by it (linear scaling); 1: none */
    float rope_attn_factor; /* LongRoPE: cosines and sines are multiplied by it; 0: computed */
    uint32_t rope_ctx_orig_tok;
    float attn_scale;    /* q . k is multiplied by it */
    float attn_softcap, final_softcap; /* 0: none */
    float embed_scale, residual_scale, logit_scale; /* logits are divided by logit_scale */
    vg_pooling pooling; /* what AUTO gives; AUTO: nothing, the file's vectors rank pairs of texts */
} vg_hparams;

typedef struct vg_layer { /* a view whose data is NULL is a tensor that the family lacks */
    vg_tensor attn_norm;           /* [width] */
    vg_tensor q, k, v, o;          /* [n_heads * dim_k, width], ..., [width, n_heads * dim_v] */
    vg_tensor q_bias, k_bias, v_bias, o_bias;
    vg_tensor q_norm, k_norm;      /* [dim_k] */
    vg_tensor attn_post_norm;      /* [width] */
    vg_tensor ffn_norm;            /* [width] */
    vg_tensor gate, up, down;      /* [n_ff, width], [n_ff, width], [width, n_ff] */
    vg_tensor gate_bias, up_bias, down_bias;
    vg_tensor router;              /* [n_experts, width] */
    vg_tensor gate_exps, up_exps, down_exps; /* stacks of n_experts matrices */
    vg_tensor ffn_post_norm;       /* [width] */
    vg_tensor attn_out_norm, attn_out_norm_bias;   /* [width] of encoders: after x += attention */
    vg_tensor layer_out_norm, layer_out_norm_bias; /* [width] and after x += mlp */
    bool windowed, rope;
} vg_layer;

enum { VG_LAYER_VIEWS = offsetof(vg_layer, windowed) / sizeof(vg_tensor) };

struct vg_model {
    atomic_uint n_refs;
    vg_arena *arena; /* the model's lifetime */
    vg_gguf *gguf;
    vg_vocab *vocab; /* NULL: the file has no tokenizer */
    const char *name;
    const char *note;     /* see vg_model_info */
    vg_str chat_template; /* n 0: none */
    bool vocab_only, has_vocab;
    vg_kv_type kv; /* that the file prefers; AUTO: none */
    vg_hparams hp;
    vg_tensor embed, output_norm, output;
    vg_tensor pos_embed, type_embed; /* of encoders: [ctx_train_tok, width], [types, width] */
    vg_tensor embed_norm, embed_norm_bias; /* [width] of encoders */
    vg_tensor rope_freqs, rope_long, rope_short; /* [n_rot / 2] divisors, or none */
    vg_layer *layer; /* [hp.n_layers] */
    size_t n_repacked_bytes; /* of the weights in the kernels' layout, 0: all are as in the file */
    uint8_t *pages;  /* [n_repacked_bytes] where they are, */
    vg_file image;   /* or this file holds them */
    uint64_t n_params;
    uint32_t main_type; /* ggml type id of most of them */
    _Atomic(void *) trie; /* of the tokens' texts, for grammars; NULL: none was asked for yet */
};

/* The views of all matrices and vectors but the embedding, in a fixed order. */
static inline size_t vg_model_n_views(const vg_model *m)
{
    return 1 + (size_t)m->hp.n_layers * VG_LAYER_VIEWS;
}

static inline vg_tensor *vg_model_view(const vg_model *m, size_t i)
{
    if (i == 0) return (vg_tensor *)&m->output;
    vg_layer *l = &m->layer[(i - 1) / VG_LAYER_VIEWS];
    return (vg_tensor *)(void *)l + (i - 1) % VG_LAYER_VIEWS;
}

/* Reads and checks the family's numbers. `inspect` calls it too, for what it can tell of a file. */
VG_NODISCARD vg_status vg_hparams_read(vg_hparams *hp, const vg_gguf *g, vg_err *err);

/* Finds every tensor of the family and checks its shape against hp. */
VG_NODISCARD vg_status vg_model_bind(vg_model *m, vg_err *err);

/* Makes the vocabulary, and the weights in the layout of the kernels (load.c). */
VG_NODISCARD vg_status vg_model_load(vg_model *m, const char *path, const vg_model_opts *opts,
                                     vg_err *err);
/* Adds a half sentence to the model's note. */
void vg_model_note(vg_model *m, const char *fmt, ...) VG_PRINTF(2, 3);

/* The type of KV cache that a file prefers is the text of this key. */
#define VG_KV_TYPE_KEY "verge.kv_type"
const char *vg_kv_type_name(vg_kv_type kv); /* "q8_0", "f16", "f32"; AUTO: "" */
/* AUTO where the file has no such key; false where its value is none that this build has. */
bool vg_kv_type_read(const vg_gguf *g, vg_kv_type *out);

/* False when a mapped file of the model was cut short: see vg_file_intact. */
bool vg_model_intact(const vg_model *m);

/* Where the repacked weights of a model are kept; empty: the path is too long. */
void vg_image_path(const char *model_path, char out[VG_PATH_BYTES]);
/* Reads a model, opened with no_repack, and its kept weights whole: FORMAT where these are damaged
 * or another model's, NOT_FOUND where there are none. */
VG_NODISCARD vg_status vg_image_verify(vg_model *m, const char *model_path, vg_err *err);
/* Bytes of the matrices that are copied into another layout at load; of m opened with no_repack,
 * that would be. */
uint64_t vg_repack_bytes(const vg_model *m);
#endif
