/* fa_int.h: sets of strings as deterministic automata over characters, for what JSON Schema
 * asks of a string or a key all at once: patterns, lengths, formats, names that are taken.
 *
 *     gfa *word = gfa_and(b, gfa_regex(b, VG_STR("^[a-z]+$"), "pattern"), gfa_length(b, 1, 8));
 *     gx *x = gfa_emit(b, word, GFA_JSON);
 *
 * As expressions, they live in the builder's arena, failures stay in the builder, and NULL stands
 * for a failure. */
#ifndef VG_FA_INT_H
#define VG_FA_INT_H

#include "model/grammar_int.h"

enum { GFA_STATES = 20000, GFA_LAST = 0x10FFFF };

typedef struct gfa_edge {
    int32_t lo, hi;
    uint32_t to;
} gfa_edge;

typedef struct gfa_state {
    gfa_edge *edge; /* [n] by their characters, apart; what has none is refused */
    uint32_t n;
    bool accepts;
} gfa_state;

typedef struct gfa {
    gfa_state *state; /* [n], the first one at the start */
    uint32_t n, cap;
} gfa;

/* The strings in which an ECMA regular expression finds a match. `what` names it in errors:
 * UNSUPPORTED for what is no regular set (look-around, references to groups), FORMAT, LIMIT. */
gfa *gfa_regex(gx_builder *b, vg_str pattern, const char *what);
gfa *gfa_of(gx_builder *b, const gx *x); /* of characters, sequences, alternatives, repetitions */
gfa *gfa_any(gx_builder *b);
gfa *gfa_length(gx_builder *b, int32_t min, int32_t max); /* in characters; GX_MANY */
gfa *gfa_words(gx_builder *b, const vg_str *word, size_t n);
gfa *gfa_and(gx_builder *b, const gfa *x, const gfa *y);
gfa *gfa_minus(gx_builder *b, const gfa *x, const gfa *y);
bool gfa_accepts(const gfa *x, vg_str s);
bool gfa_is_empty(const gfa *x);

typedef enum gfa_writing {
    GFA_PLAIN, /* UTF-8 */
    GFA_JSON   /* between the quotes of a JSON string, each character in its shortest way */
} gfa_writing;
gx *gfa_emit(gx_builder *b, const gfa *x, gfa_writing how);
#endif
