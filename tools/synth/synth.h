/* synth.h: GGUF files of published shapes with random weights, so that speed is measured without
 * anybody's weights.
 *
 *     const synth_shape *shape = synth_shape_find("Llama-3.2-1B");
 *     const synth_mix *mix = synth_mix_find("Q4_K_M");
 *     synth_opts opts = {.seed = 1};
 *     VG_TRY(synth_write(shape, mix, &opts, "llama-1b-q4_k_m.gguf", err));
 *
 * The same shape, mix and options give the same bytes everywhere. */
#ifndef SYNTH_H
#define SYNTH_H

#include "model/gguf_write.h"

/* Which kind of vocabulary: see vocab.c. */
typedef enum synth_vocab {
    SYNTH_SMOL, SYNTH_LLAMA3, SYNTH_QWEN2, SYNTH_GRANITE, /* byte-level BPE */
    SYNTH_SPM, SYNTH_SPM_PLAIN, /* SentencePiece, with and without a space before the text */
    SYNTH_N_VOCABS
} synth_vocab;

typedef struct synth_shape {
    const char *name, *arch;
    synth_vocab vocab;
    uint32_t n_layers, width, n_heads, n_kv_heads;
    uint32_t dim; /* of a head; 0: width / n_heads */
    uint32_t n_ff, n_experts, n_experts_used;
    uint32_t n_vocab, ctx;
    uint32_t window;       /* of sliding attention; 0: none */
    uint32_t rope_base;
    uint32_t rope_stretch; /* Llama 3's factor for long wavelengths; 0: none */
    bool tied;             /* the output is the embedding */
    bool qkv_bias, qk_norm, post_norm, fused, softcaps, granite_scales;
} synth_shape;

const synth_shape *synth_shapes(size_t *n);
const synth_shape *synth_shape_find(const char *name); /* whatever the case; NULL: none */

/* A mix: the name that llama-quantize gives it and the type that most tensors have. */
typedef struct synth_mix {
    const char *name;
    vg_dtype type;
    uint32_t file_type; /* general.file_type */
} synth_mix;

const synth_mix *synth_mixes(size_t *n);
const synth_mix *synth_mix_find(const char *name); /* whatever the case; NULL: none */

/* What a tensor is, as far as the choice of its type goes. */
typedef enum synth_role {
    ROLE_EMBED, ROLE_OUTPUT, ROLE_Q, ROLE_K, ROLE_V, ROLE_QKV, ROLE_O, ROLE_UP, ROLE_GATE,
    ROLE_DOWN,
    ROLE_ONES, ROLE_ZEROS, /* norms and biases, F32 */
    ROLE_ROUTER,           /* random, F32 */
    ROLE_ROPE              /* factors of rotation, F32 */
} synth_role;

/* The type of a tensor with rows of n_in in layer `il`. */
vg_dtype synth_mix_type(const synth_mix *mix, const synth_shape *s, synth_role role, uint32_t il,
                        size_t n_in);

/* Random weights of mean 0 and standard deviation near `sigma`: blocks first..first+n of a tensor
 * with the random key `key`, to `out`. */
void synth_blocks(vg_dtype type, uint64_t key, uint64_t first, size_t n, float sigma, uint8_t *out);

/* Number `at` of the random sequence `key`. */
uint64_t synth_random(uint64_t key, uint64_t at);

/* The metadata of a vocabulary of n tokens. Errors: LIMIT for fewer than 600, NO_MEMORY. */
VG_NODISCARD vg_status synth_vocab_put(synth_vocab kind, uint32_t n, vg_gguf_writer *w,
                                       vg_err *err);

typedef struct synth_opts {
    uint64_t seed;
    bool tiny;       /* the same structure in a few megabytes */
    bool vocab_only; /* no tensors */
} synth_opts;

/* The same structure, small: what opts.tiny writes. */
synth_shape synth_shrink(synth_shape s);

/* Errors: FORMAT (a mix that cannot make the shape), IO, NO_MEMORY. */
VG_NODISCARD vg_status synth_write(const synth_shape *shape, const synth_mix *mix,
                                   const synth_opts *opts, const char *path, vg_err *err);

/* A Hugging Face checkpoint folder of BF16 or F16 weights, in shards. Its tokenizer knows bytes
 * alone. Errors: USAGE, IO, NO_MEMORY. */
VG_NODISCARD vg_status synth_checkpoint(const synth_shape *shape, vg_dtype type,
                                        const synth_opts *opts, const char *dir, vg_err *err);
#endif
