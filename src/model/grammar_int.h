/* grammar_int.h: what the files of constrained output share. The way of a grammar: a notation
 * (grammar_gbnf.c, grammar_schema.c) writes expressions (grammar_expr.c), grammar_build.c turns
 * them into a network of bytes, grammar_run.c walks it, grammar_mask.c asks it about tokens.
 *
 *     gx *digit = gx_chars(b, &(gx_range){'0', '9'}, 1);
 *     gx_define(b, root, gx_repeat(b, digit, 1, GX_MANY));
 *     VG_TRY(gnet_build(net, b, root, room, err));
 *
 * Expressions live in their builder's arena, a network in its own, an automaton on the heap. */
#ifndef VG_GRAMMAR_INT_H
#define VG_GRAMMAR_INT_H

#include <pthread.h>

#include "base/json.h"
#include "model/grammar.h"
#include "model/vocab.h"

/* ---- limits: what protects the process from a grammar ---------------------------------------- */

enum {
    GX_TEXT_BYTES = 4 << 20,     /* of a grammar or a schema */
    GX_ARENA_BYTES = 128 << 20,  /* of the expressions of one grammar */
    GX_DEPTH = 200,              /* expressions inside one another */
    GX_COUNT = 200000,           /* of a repetition: "at most 200,000 characters" */
    GX_WORK = 1 << 28,           /* steps of reading one grammar: about a second */
    GX_RULES = 500000,
    GNET_NODES = 2000000,
    GNET_LEVELS = 400,           /* rules inside one another while a text is written */
    GRUN_PAIRS = 20000,          /* places that a grammar may be in at once */
    GRUN_WORK = 40000000,        /* places looked at for one mask */
    GRUN_SOFT_BYTES = 24 << 20,  /* of states, before those that no matcher holds are dropped */
    GRUN_HARD_BYTES = 96 << 20,
    GMASK_BYTES = 16 << 20,      /* of masks that are kept */
    GX_ROOM = 4096               /* characters of the longest token that is ever looked at */
};

/* ---- expressions ----------------------------------------------------------------------------- */

typedef struct gx gx;

typedef struct gx_range { /* characters, both ends included */
    int32_t lo, hi;
} gx_range;

typedef enum gx_kind { GX_TEXT, GX_WORDS, GX_CHARS, GX_SEQ, GX_ALT, GX_REPEAT, GX_RULE } gx_kind;

enum { GX_MANY = -1 };

struct gx {
    gx_kind kind;
    uint32_t depth;
    size_t n;
    union {
        const char *text;      /* TEXT: n bytes */
        const vg_str *word;    /* WORDS: [n], sorted: any one of them */
        const gx_range *range; /* CHARS: [n], sorted, apart: UTF-8 of any one of them */
        gx **item;             /* SEQ, ALT: [n] */
        gx *body;              /* REPEAT */
    };
    int32_t min, max;          /* REPEAT */
    uint32_t rule;             /* RULE */
};

typedef struct gx_rule {
    gx *body;    /* NULL: not defined yet */
    vg_str name; /* empty: made by a notation */
} gx_rule;

/* What a notation writes into. The first failure stays; functions then return NULL, and take NULL
 * for an expression that failed, so that a notation checks once, at the end. */
typedef struct gx_builder {
    vg_arena *arena;
    gx_rule *rule;
    uint32_t n_rules, cap_rules;
    size_t work; /* done so far, in steps of a few nanoseconds */
    vg_status failed;
    vg_err *err;
} gx_builder;

VG_NODISCARD vg_status gx_init(gx_builder *b, vg_err *err);
void gx_clear(gx_builder *b);
vg_status gx_fail(gx_builder *b, vg_status code, const char *fmt, ...) VG_PRINTF(3, 4);
void *gx_array(gx_builder *b, size_t n, size_t size);
/* Counts work whose amount a notation decides; false: that was too much, or it had failed. */
bool gx_spend(gx_builder *b, size_t steps);

uint32_t gx_rule_new(gx_builder *b, vg_str name);
void gx_define(gx_builder *b, uint32_t rule, gx *body);

gx *gx_text(gx_builder *b, vg_str s); /* copied */
gx *gx_lit(gx_builder *b, const char *cstr);
gx *gx_words(gx_builder *b, const vg_str *word, size_t n); /* copied but for the bytes */
gx *gx_chars(gx_builder *b, const gx_range *r, size_t n);  /* in any order */
gx *gx_seq(gx_builder *b, gx *const *item, size_t n);
gx *gx_alt(gx_builder *b, gx *const *item, size_t n); /* n 0: nothing fits */
gx *gx_repeat(gx_builder *b, gx *body, int32_t min, int32_t max);
gx *gx_ref(gx_builder *b, uint32_t rule);
#define GX_SEQ(b, ...)                                                                             \
    gx_seq((b), (gx *const[]){__VA_ARGS__}, sizeof((gx *const[]){__VA_ARGS__}) / sizeof(gx *))
#define GX_ALT(b, ...)                                                                             \
    gx_alt((b), (gx *const[]){__VA_ARGS__}, sizeof((gx *const[]){__VA_ARGS__}) / sizeof(gx *))

/* Sorts ranges and joins those that touch; returns how many remain. */
size_t gx_ranges_tidy(gx_range *r, size_t n);
/* The characters that are in none of the tidy ranges, surrogates left out; out holds n + 2. */
size_t gx_ranges_invert(const gx_range *r, size_t n, gx_range *out);

/* ---- the network ----------------------------------------------------------------------------- */

typedef enum gedge_kind { GEDGE_BYTE, GEDGE_JUMP, GEDGE_CALL } gedge_kind;

typedef struct gedge {
    uint32_t to;
    uint32_t rule; /* CALL */
    uint8_t kind, lo, hi;
    bool last;     /* CALL: nothing follows in this rule, so that no way back need be kept */
} gedge;

typedef struct gnode {
    uint32_t edge; /* its first; they end where the next node's begin */
    uint32_t like; /* for the tokens of a vocabulary this node is as that one */
    uint16_t height; /* rules inside one another that its way to the end needs at least */
    bool is_final, has_bytes, has_calls;
} gnode;

typedef struct grule {
    uint32_t entry, final;
    uint32_t first, n_first; /* of gnet.first: nodes that a text can be at when the rule begins */
    uint32_t order;          /* a rule that begins with another one comes before it */
    bool nullable;
} grule;

typedef struct gnet {
    vg_arena *arena;
    gnode *node; /* [n_nodes + 1]; node 0 is the end of the text */
    gedge *edge;
    grule *rule;
    uint32_t *first;
    uint32_t n_nodes, n_edges, n_rules, root;
    uint8_t class_of[256]; /* bytes that no edge tells apart */
    uint8_t byte_of[256];  /* one of each class */
    uint32_t n_classes;
} gnet;

/* `room`: the bytes of the longest token. Errors: FORMAT (a rule that begins with itself, a grammar
 * without an end), LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status gnet_build(gnet *net, const gx_builder *b, uint32_t root, uint32_t room,
                                  vg_err *err);
void gnet_clear(gnet *net);
/* Drops what leads nowhere, finds rules that begin with themselves, sets heights, orders, first. */
VG_NODISCARD vg_status gnet_analyse(gnet *net, const gx_builder *b, vg_err *err);

/* ---- the automaton --------------------------------------------------------------------------- */

/* A place in the network, or a way back into it: a node and the ways back from there. */
typedef struct gplace {
    uint32_t node, back;
} gplace;

typedef struct gback { /* a set of ways back; one is made once */
    uint32_t from, n;  /* in grun.way */
    uint32_t like;     /* as gnode.like */
    uint32_t depth, hash;
} gback;

typedef struct gstate { /* a set of places, all of which go on with a byte */
    uint32_t from, n;   /* in grun.place */
    int32_t like;       /* -1: not asked yet */
    int32_t mask;       /* -1: none is kept */
    uint32_t hash;
    bool may_end;
} gstate;

enum { GSTATE_DEAD = 0, GSTATE_UNKNOWN = -1 };

typedef struct gtable { /* open addressing over hashes; 0: empty, else the index + 1 */
    uint32_t *slot, mask;
    size_t n;
} gtable;

typedef struct gplaces { /* a list; with `slot`, one in which a place stands once */
    gplace *item;
    size_t n, cap;
    uint32_t *slot; /* [2 * cap] index + 1, or what an earlier list left */
    size_t n_slots;
} gplaces;

/* A lazily made automaton over the network: a state is a set of places, made once. Ways back are
 * shared as a graph (Tomita 1985), so an ambiguous grammar costs places and not their products. */
typedef struct grun {
    const gnet *net;
    gstate *state;
    gback *back;
    gplace *place, *way;
    int32_t *next; /* [n_states, n_classes] */
    size_t n_states, n_backs, n_places, n_ways;
    size_t cap_states, cap_backs, cap_places, cap_ways, cap_next;
    gtable states, backs;
    gplaces reached;   /* of the step, along jumps and ways back */
    gplaces ends;      /* of those, and in rules that begin, what goes on with a byte */
    gplaces joined;    /* a set that is being sorted */
    gplaces waiting;   /* ways back from rules that begin, */
    uint32_t *link;    /* [waiting.cap] a list for each rule, index + 1, */
    size_t cap_link;
    uint32_t *head;    /* [n_rules] and where it begins, index + 1 */
    uint32_t *heap;    /* [n_rules] rules that begin, the first in order on top */
    size_t n_heap;
    bool ended;        /* the step has reached the end of the text */
    size_t bytes;      /* of all that grows */
    size_t work;       /* places left to look at */
    int32_t start;
} grun;

VG_NODISCARD vg_status grun_init(grun *r, const gnet *net, vg_err *err);
void grun_clear(grun *r);
/* The state after one more byte; GSTATE_DEAD where no text goes on so. Errors: LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status grun_step(grun *r, int32_t state, uint8_t class_of_byte, int32_t *out,
                                 vg_err *err);
/* The state whose tokens are those of `state`, however many characters it has counted. */
VG_NODISCARD vg_status grun_like(grun *r, int32_t state, int32_t *out, vg_err *err);
/* Takes over states of `old`, which stays as it is; their numbers are replaced. */
VG_NODISCARD vg_status grun_adopt(grun *r, const grun *old, int32_t *state, size_t n, vg_err *err);
VG_NODISCARD vg_status grow_array(void **p, size_t *cap, size_t n, size_t size, size_t *bytes,
                                  vg_err *err);

/* ---- the grammar ----------------------------------------------------------------------------- */

typedef struct vg_trie vg_trie; /* grammar_mask.c */

struct vg_grammar {
    atomic_uint n_refs;
    vg_model *model;     /* NULL: no tokens, texts only */
    const vg_trie *trie; /* the model's */
    gnet net;
    pthread_mutex_t lock; /* of all that follows */
    grun run;
    vg_matcher *matchers;
    uint64_t **mask; /* [n_masks] */
    size_t n_masks, cap_masks;
    int32_t *path;   /* [GX_ROOM] states along a token */
};

struct vg_matcher {
    vg_grammar *grammar;
    vg_matcher *prev, *next;
    int32_t state;
    bool ended; /* an end token was taken */
};

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The texts of all tokens that are text, as a tree in preorder. Made once a model. */
struct vg_trie_node {
    uint32_t skip;  /* the next node that is not below this one */
    uint32_t token; /* in trie.token: the first of those that end here */
    uint16_t depth;
    uint8_t byte;
};

struct vg_trie {
    struct vg_trie_node *node; /* [n_nodes + 1] */
    uint32_t *token;           /* [n_tokens] ids by their texts */
    int32_t *end;              /* [n_ends] ids that end an answer */
    size_t n_nodes, n_tokens, n_ends, n_vocab;
    uint32_t longest;          /* bytes */
};

/* The model's trie, made at the first call, by whichever thread comes first. */
VG_NODISCARD vg_status gtrie_of(vg_model *m, const vg_trie **out, vg_err *err);
/* The mask of a state; valid until the next call. The lock is held. */
VG_NODISCARD vg_status gmask_of(vg_grammar *g, int32_t state, const uint64_t **out, vg_err *err);
void gmask_forget(vg_grammar *g);

/* ---- notations ------------------------------------------------------------------------------- */

VG_NODISCARD vg_status gx_from_gbnf(gx_builder *b, vg_str text, uint32_t *root);
VG_NODISCARD vg_status gx_from_schema(gx_builder *b, vg_str json, uint32_t *root);

#endif
