/* pretok.h: cuts text into the words that byte-level BPE may merge within, as the regular
 * expressions do that a tokenizer was trained with; GGUF names them in tokenizer.ggml.pre.
 *
 *     const vg_pretok *p = vg_pretok_find(VG_STR("llama-bpe"));
 *     vg_pretok_iter it;
 *     vg_pretok_begin(&it, p, text);
 *     vg_str word;
 *     while (vg_pretok_next(&it, &word)) use(word);
 *
 * The words are the text, in order and without gaps. Time is linear in the text. */
#ifndef VG_PRETOK_H
#define VG_PRETOK_H

#include "base/base.h"

typedef struct vg_pretok vg_pretok;

enum { VG_PRETOK_STAGES = 6 };

/* NULL: no such name. The empty name is "default". */
const vg_pretok *vg_pretok_find(vg_str name);

bool vg_pretok_ignores_merges(const vg_pretok *p); /* a word that is a token is that token */
bool vg_pretok_adds_bos(const vg_pretok *p);       /* where the metadata does not say */
bool vg_pretok_is_raw(const vg_pretok *p); /* tokens are UTF-8 with U+2581 for a space, not bytes */
bool vg_pretok_wants_nfc(const vg_pretok *p); /* the original normalises text to form C first */

typedef struct vg_pretok_span {
    size_t at, end;
    size_t run_from, run_to, run_n; /* the last long run, so that it is measured once */
} vg_pretok_span;

typedef struct vg_pretok_iter {
    const vg_pretok *pretok;
    const char *text;
    size_t depth;
    vg_pretok_span span[VG_PRETOK_STAGES];
} vg_pretok_iter;

void vg_pretok_begin(vg_pretok_iter *it, const vg_pretok *p, vg_str text);
bool vg_pretok_next(vg_pretok_iter *it, vg_str *word);
#endif
