/* llama.h: llama-server's routes that are not answers of a model: tokens of a text and back, what
 * the server is and does. Pure readers and writers; answers are the dialect's, vg_llama in
 * request.h.
 *
 *     vg_llama_tokenize ask;
 *     VG_TRY(vg_llama_read_tokenize(arena, body, &ask, err));
 *     vg_llama_tokens(ids, NULL, n_ids, &out);
 *
 * What the readers give lives in the arena and in the body. */
#ifndef VG_LLAMA_H
#define VG_LLAMA_H

#include "serve/request.h"

typedef struct vg_llama_tokenize {
    vg_str model;
    const vg_prompt *prompt; /* [n_prompts], one after the other */
    size_t n_prompts;
    bool add_special;        /* BOS and EOS as the model asks */
    bool parse_special;      /* control tokens in the text count as such; true by default */
    bool with_pieces;
} vg_llama_tokenize;
VG_NODISCARD vg_status vg_llama_read_tokenize(vg_arena *a, const vg_json *body,
                                              vg_llama_tokenize *out, vg_err *err);
/* `piece` [n]: the bytes of each token, or NULL. */
void vg_llama_tokens(const int32_t *id, const vg_str *piece, size_t n, vg_buf *out);

typedef struct vg_llama_detokenize {
    vg_str model;
    const int32_t *id; /* [n] */
    size_t n;
} vg_llama_detokenize;
VG_NODISCARD vg_status vg_llama_read_detokenize(vg_arena *a, const vg_json *body,
                                                vg_llama_detokenize *out, vg_err *err);
void vg_llama_content(vg_str text, vg_buf *out); /* of detokenize */
void vg_llama_prompt(vg_str text, vg_buf *out);  /* of apply-template, which asks as OpenAI does */

typedef struct vg_llama_props {
    vg_str model, path, tmpl, bos, eos;
    uint32_t ctx_tok, n_slots;
} vg_llama_props;
void vg_llama_put_props(const vg_llama_props *p, vg_buf *out);

typedef struct vg_llama_slot {
    uint32_t ctx_tok;
    bool busy;
    size_t n_prompt, n_reused, n_tok;
    int64_t n_left; /* -1: not known */
} vg_llama_slot;
void vg_llama_put_slots(const vg_llama_slot *s, size_t n, vg_buf *out);

void vg_llama_put_health(bool ready, vg_buf *out); /* not ready: HTTP 503 */
#endif
