/* hf_vocab_int.h: a vocabulary while it is put together (hf_vocab.c, hf_unigram.c, hf_slow.c), and
 * what its files say about single tokens and the chat template (hf_special.c).
 *
 *     VG_TRY(vocab_put_special(v, cfg, c, w, err));
 */
#ifndef VG_HF_VOCAB_INT_H
#define VG_HF_VOCAB_INT_H

#include "compress/hf_int.h"

/* GGUF's token types. */
enum {
    VOCAB_NORMAL = 1, VOCAB_UNKNOWN, VOCAB_CONTROL, VOCAB_USER_DEFINED, VOCAB_UNUSED, VOCAB_BYTE
};

typedef struct vocab {
    hf_vocab t;
    const vg_json *config; /* tokenizer_config.json, NULL: absent */
    const vg_json *json;   /* tokenizer.json */
    const vg_json *added;  /* added_tokens.json */
    vg_str charsmap;       /* of SentencePiece's normaliser; n 0: none */
    bool is_spm, is_unigram; /* is_unigram: is_spm too */
    bool is_wordpiece, lowercase, strip_accents;
    bool is_slow;            /* json was made of vocab.json and merges.txt */
    bool add_space, merge_spaces, rstrip;
} vocab;

bool vocab_is_byte(vg_str s); /* "<0x41>" */
/* Pieces, spaces and the character map of a Unigram tokenizer.json. */
VG_NODISCARD vg_status vocab_read_unigram(vocab *v, vg_err *err);
/* What a WordPiece tokenizer.json does to a text; the tokens of vocab.txt; and the tokens as GGUF
 * marks them. */
VG_NODISCARD vg_status vocab_read_wordpiece(vocab *v, vg_err *err);
VG_NODISCARD vg_status vocab_read_lines(vocab *v, vg_str text, vg_err *err);
VG_NODISCARD vg_status vocab_mark_words(vocab *v, vg_err *err);
/* vocab.json and merges.txt into v->json. Errors: NOT_FOUND, UNSUPPORTED (the class, by name). */
VG_NODISCARD vg_status vocab_read_slow(vocab *v, const vg_checkpoint *ckpt, vg_err *err);

/* Writes the ids of single tokens, whether they frame a text, and the chat template. */
VG_NODISCARD vg_status vocab_put_special(const vocab *v, const hf_config *c,
                                         const vg_checkpoint *ckpt, vg_gguf_writer *w,
                                         vg_err *err);
#endif
