/* grammar.h: constrained output: which tokens keep a text within a grammar. See verge.h for the
 * grammars themselves and docs/GRAMMAR.md for their notations.
 *
 *     vg_matcher *m;
 *     VG_TRY(vg_matcher_new(&m, grammar, err));
 *     VG_TRY(vg_matcher_mask(m, allowed, err));
 *     VG_TRY(vg_matcher_take(m, id, err));
 *     vg_matcher_free(m);
 *
 * A grammar may be shared by matchers on several threads: its automaton grows under a lock. A
 * matcher belongs to one thread at a time. */
#ifndef VG_GRAMMAR_H
#define VG_GRAMMAR_H

#include "model/model.h"

/* One bit a token of the vocabulary, [vg_matcher_words]: those that keep the text within the
 * grammar; tokens that end an answer where the text may end. Errors: LIMIT (the grammar is in too
 * many places at once), UNSUPPORTED (no token of the vocabulary goes on), NO_MEMORY. */
VG_NODISCARD vg_status vg_matcher_mask(vg_matcher *m, uint64_t *allowed, vg_err *err);
size_t vg_matcher_words(const vg_matcher *m);
/* Goes on by a token that the mask allows. */
VG_NODISCARD vg_status vg_matcher_take(vg_matcher *m, int32_t id, vg_err *err);
/* The model that a grammar was made for, or NULL. */
const vg_model *vg_grammar_model(const vg_grammar *g);
/* Frees what a model keeps for its grammars. */
void vg_trie_free(void *trie);
#endif
