/* vocab.h: text to token ids and back, as the model's own tokenizer does it.
 *
 *     vg_vocab *v;
 *     VG_TRY(vg_vocab_new(&v, gguf, err));
 *     vg_tokens ids = {0};
 *     VG_TRY(vg_vocab_encode(v, VG_STR("Hello"), VG_TOK_BOS, &ids, err));
 *     vg_tokens_free(&ids);
 *     vg_vocab_free(v);
 *
 * Immutable after vg_vocab_new and shared by threads. It points into the gguf, which must outlive
 * it. */
#ifndef VG_VOCAB_H
#define VG_VOCAB_H

#include "model/gguf.h"

typedef struct vg_vocab vg_vocab;

/* Reads tokenizer.ggml.*. Errors: FORMAT (ids out of range, bad byte tokens, arrays of different
 * lengths, ...), UNSUPPORTED (an unknown model or pre-tokenizer, by name), NOT_FOUND (none). */
VG_NODISCARD vg_status vg_vocab_new(vg_vocab **out, const vg_gguf *g, vg_err *err);
void vg_vocab_free(vg_vocab *v);

enum { VG_VOCAB_TEXT_MAX = 1 << 30 };
/* Appends nothing to `out`, fills it. A text of more than VG_VOCAB_TEXT_MAX bytes is a LIMIT. */
VG_NODISCARD vg_status vg_vocab_encode(const vg_vocab *v, vg_str text, unsigned flags,
                                       vg_tokens *out, vg_err *err);
/* See vg_decode, vg_detokenize and vg_token_bytes in verge.h. */
VG_NODISCARD vg_status vg_vocab_decode(const vg_vocab *v, vg_decoder *d, int32_t id, char *buf,
                                       size_t cap, size_t *n, vg_err *err);
VG_NODISCARD vg_status vg_vocab_token_bytes(const vg_vocab *v, int32_t id, char *buf, size_t cap,
                                            size_t *n, vg_err *err);

size_t vg_vocab_size(const vg_vocab *v);
size_t vg_vocab_bytes(const vg_vocab *v); /* memory held */
/* The bytes that a token adds in the middle of a text, out[VG_DECODE_MAX]; 0 for control, unknown
 * and unused tokens, which are no text. */
size_t vg_vocab_text(const vg_vocab *v, int32_t id, char *out);
vg_str vg_vocab_piece(const vg_vocab *v, int32_t id); /* as it stands in the file */
const char *vg_vocab_kind(const vg_vocab *v); /* "bpe", "spm", "wordpiece", "unigram" */
bool vg_vocab_is_end(const vg_vocab *v, int32_t id);
bool vg_vocab_is_control(const vg_vocab *v, int32_t id);
int32_t vg_vocab_bos(const vg_vocab *v); /* -1: none */
int32_t vg_vocab_eos(const vg_vocab *v);
bool vg_vocab_adds_bos(const vg_vocab *v);
#endif
