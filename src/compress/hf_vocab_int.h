/* hf_vocab_int.h: a vocabulary while it is put together (hf_vocab.c), and what its files say about
 * single tokens and the chat template (hf_special.c).
 *
 *     VG_TRY(vocab_put_special(v, cfg, c, w, err));
 */
#ifndef VG_HF_VOCAB_INT_H
#define VG_HF_VOCAB_INT_H

#include "compress/hf_int.h"

typedef struct vocab {
    hf_vocab t;
    const vg_json *config; /* tokenizer_config.json, NULL: absent */
    const vg_json *json;   /* tokenizer.json */
    const vg_json *added;  /* added_tokens.json */
    bool is_spm, add_space, merge_spaces, rstrip;
} vocab;

/* Writes the ids of single tokens, whether they frame a text, and the chat template. */
VG_NODISCARD vg_status vocab_put_special(const vocab *v, const hf_config *c,
                                         const vg_checkpoint *ckpt, vg_gguf_writer *w,
                                         vg_err *err);
#endif
