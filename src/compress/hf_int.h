/* hf_int.h: the steps of a conversion, one a file: config.json to numbers (hf_config.c) and keys
 * (hf_keys.c), names and shapes to a list of GGUF tensors (hf_tensors.c), their bytes (hf_write.c,
 * hf_unpack.c), the tokenizer to keys (hf_vocab.c, with hf_spm.c and hf_pretok.c). Encoders have
 * a configuration of their own (hf_encoder.c).
 *
 *     hf_config cfg;
 *     VG_TRY(hf_config_read(&cfg, vg_checkpoint_config(c), err));
 *     VG_TRY(hf_config_put(&cfg, arena, w, err));
 *     VG_TRY(hf_packing_read(&cfg.packing, c, arena, err));
 *     hf_tensors list;
 *     VG_TRY(hf_tensors_plan(&list, &cfg, c, VG_F16, arena, err));
 *     VG_TRY(hf_vocab_put(&cfg, c, arena, w, &rstrip, err));
 */
#ifndef VG_HF_INT_H
#define VG_HF_INT_H

#include "compress/checkpoint.h"
#include "compress/convert.h"
#include "compress/hf_packed_int.h"
#include "compress/quantise.h"
#include "model/gguf_write.h"
#include "model/model.h"

/* The numbers of a model, by config.json and its family's defaults. */
typedef struct hf_config {
    const vg_json *json; /* the object that the numbers of the text model are in */
    const char *arch;    /* a row of arch.def */
    unsigned flags;
    bool gemma, llama_like; /* norms lack 1; the rows of q and k are permuted */
    bool tied;
    uint32_t n_layers, width, n_vocab, ctx_tok, n_heads, n_kv_heads, dim, n_ff;
    uint32_t n_experts, n_experts_used;
    uint32_t n_rot, window_tok;
    bool has_window;
    double eps, rope_base, rope_base_local;
    vg_str rope_type; /* "default", "linear", "llama3" or "longrope" */
    const vg_json *rope; /* the parameters of the rope that sees everything, or NULL */
    uint32_t rope_ctx_tok; /* of training, before it was stretched */
    uint32_t first_pos, n_types; /* of encoders: rows of the table of positions before the first */
    hf_packing packing;    /* read by itself, */
    uint32_t pooling;      /* and this: ARCH.pooling_type, 0: nothing says so */
} hf_config;

VG_NODISCARD vg_status hf_config_read(hf_config *c, const vg_json *root, vg_err *err);
/* The same of an encoder, whose family c has; `roberta`: its positions. */
VG_NODISCARD vg_status hf_encoder_read(hf_config *c, bool roberta, vg_err *err);
void hf_encoder_put(const hf_config *c, vg_gguf_writer *w);
/* How a sentence-transformers folder pools; 0: the folder is none. UNSUPPORTED: another way, or a
 * dense layer behind it. */
VG_NODISCARD vg_status hf_pooling_read(const vg_checkpoint *ckpt, vg_arena *a, uint32_t *out,
                                       vg_err *err);
void hf_pooling_put(const hf_config *c, vg_gguf_writer *w);
/* Writes the keys of the family. */
VG_NODISCARD vg_status hf_config_put(const hf_config *c, vg_arena *a, vg_gguf_writer *w,
                                     vg_err *err);
/* The divisors of rope_freqs.weight, [n_rot / 2], for rope_type "llama3". */
VG_NODISCARD vg_status hf_rope_freqs(const hf_config *c, float *out, vg_err *err);
/* "short_factor" or "long_factor", [n_rot / 2]. */
VG_NODISCARD vg_status hf_rope_factors(const hf_config *c, const char *key, float *out,
                                       vg_err *err);

/* Values of JSON objects; null is as good as absent, which leaves *out alone. FORMAT: of another
 * type or outside of min to max. */
VG_NODISCARD vg_status hf_u32(const vg_json *j, const char *key, uint32_t min, uint32_t max,
                              uint32_t *out, vg_err *err);
VG_NODISCARD vg_status hf_f64(const vg_json *j, const char *key, double *out, vg_err *err);
VG_NODISCARD vg_status hf_bool(const vg_json *j, const char *key, bool *out, vg_err *err);
VG_NODISCARD vg_status hf_str(const vg_json *j, const char *key, vg_str *out, vg_err *err);
const vg_json *hf_get(const vg_json *j, const char *key); /* NULL: absent, null or no object */

/* Rows of a source tensor, seen as a matrix whose columns are its last dimension. */
typedef struct hf_source {
    const vg_st_tensor *t;
    uint64_t first_row;
    const hf_packed *packed; /* in place of t */
} hf_source;

typedef enum hf_op {
    HF_COPY,
    HF_PLUS_ONE, /* Gemma's norms */
    HF_PERMUTE   /* the rows of each head from halves to neighbours */
} hf_op;

typedef struct hf_tensor { /* one tensor of the GGUF file */
    vg_str name;
    vg_dtype type;
    uint32_t n_dims;
    uint64_t dim[3];  /* the fastest first */
    hf_op op;
    uint32_t n_heads; /* of HF_PERMUTE */
    const hf_source *src; /* [n_src] one after the other, each n_rows rows */
    size_t n_src;
    uint64_t n_rows;
    const float *made; /* [dim[0]] in place of sources */
    vg_quantise_loss loss; /* of packed sources, known once they are written */
} hf_tensor;

typedef struct hf_tensors {
    hf_tensor *t; /* [n] */
    size_t n, cap;
    vg_dtype matrix_type; /* of what is no vector */
} hf_tensors;

/* `type` VG_N_DTYPES: as the checkpoint has its matrices. Every tensor of the family must be there
 * in the shape that config.json gives, and none that it does not know. */
VG_NODISCARD vg_status hf_tensors_plan(hf_tensors *out, const hf_config *c,
                                       const vg_checkpoint *ckpt, vg_dtype type, vg_arena *a,
                                       vg_err *err);
/* Writes the bytes of one. */
VG_NODISCARD vg_status hf_tensor_write(hf_tensor *t, vg_gguf_writer *w, vg_err *err);
/* The same from a packed matrix; adds to t->loss. */
VG_NODISCARD vg_status hf_packed_write(hf_tensor *t, const hf_packed *p, vg_gguf_writer *w,
                                       vg_err *err);
/* The source's row that is row `row` of the file. */
uint64_t hf_source_row(const hf_tensor *t, uint64_t row);
/* n numbers, which lie unaligned, as floats; floats to F32, F16 or BF16, where false gives the
 * place of the first that F16 has not got. */
void hf_to_float(vg_st_dtype type, const uint8_t *src, float *dst, size_t n);
bool hf_round(vg_dtype type, const float *x, size_t n, void *out, size_t *bad);

/* Writes tokenizer.* and sets *rstrip where special tokens take the space after them, which GGUF
 * has no key for. */
VG_NODISCARD vg_status hf_vocab_put(const hf_config *c, const vg_checkpoint *ckpt, vg_arena *a,
                                    vg_gguf_writer *w, bool *rstrip, vg_err *err);

/* A vocabulary on its way. */
typedef struct hf_vocab {
    vg_arena *arena;
    size_t n;
    vg_str *text;   /* [n]; p NULL: no token has this id */
    float *score;   /* [n] */
    int32_t *type;  /* [n] */
} hf_vocab;

/* What a SentencePiece model says beside its pieces. */
typedef struct hf_spm {
    size_t n; /* pieces */
    bool known; /* BPE or Unigram, as the engine has them */
    bool kind_is_bpe, add_space, merge_spaces; /* not BPE: Unigram */
    vg_str charsmap; /* inside the bytes */
} hf_spm;
/* Reads a SentencePiece model, its first v->n pieces into v, or only what *out says where v is
 * NULL. FORMAT where the bytes are none. */
VG_NODISCARD vg_status hf_spm_read(vg_str bytes, hf_vocab *v, hf_spm *out, vg_err *err);

/* The name in tokenizer.ggml.pre of what cuts text before byte-level BPE. UNSUPPORTED with the
 * expression that is not known. */
VG_NODISCARD vg_status hf_pretok_name(const vg_json *tokenizer, const char *arch, const char **name,
                                      vg_err *err);
#endif
