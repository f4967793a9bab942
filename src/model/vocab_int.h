/* vocab_int.h: what the files of the tokenizer share. Nobody else includes it.
 *
 *     VG_TRY(vocab_load(v, gguf, err));
 *     int32_t id = vocab_find(v, VG_STR("the"));
 *     if (id >= 0) VG_TRY(encoder_push(e, id));
 */
#ifndef VG_VOCAB_INT_H
#define VG_VOCAB_INT_H

#include "model/pretok.h"
#include "model/vocab.h"

typedef enum vocab_kind { VOCAB_BPE, VOCAB_SPM, VOCAB_WORDPIECE, VOCAB_UNIGRAM } vocab_kind;

typedef enum token_type { /* numbers of the format; 0 is taken for NORMAL */
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER_DEFINED,
    TOKEN_UNUSED,
    TOKEN_BYTE
} token_type;

enum {
    TOKEN_MAX_BYTES = 1000,     /* of one token: what it decodes to fits VG_DECODE_MAX */
    PROBE_MAX = 512,            /* of a hash table: a crafted vocabulary ends in an error */
    JOIN_BITS = 18,
    PREFIX_MAX_BITS = 1 << 24
};

/* Open addressing, linear probing, at most three quarters full; id1 or rank1 0 is an empty slot.
 * Keys of up to 8 bytes, the usual ones, are told apart without leaving the slot. */
typedef struct token_slot {
    uint64_t head;      /* the first 8 bytes, zeros after the end */
    uint32_t hash, id1; /* the length in the hash's low byte; the id + 1 */
} token_slot;

typedef struct pair_slot {
    int32_t left, right, merged;
    uint32_t rank1; /* + 1 */
} pair_slot;

/* A precompiled_charsmap: a double array over the bytes of a prefix, and the texts that replace
 * prefixes. Points into the file; every index is checked where it is used. */
typedef struct charsmap {
    const uint8_t *node;
    size_t n_nodes;
    const char *text;
    size_t n_text;
} charsmap;

typedef struct special_token {
    vg_str text; /* as it stands in a text: with spaces, not U+2581 */
    int32_t id;
    bool control; /* found only where the caller asks */
    bool strips;  /* takes the white space behind it along */
} special_token;

struct vg_vocab {
    vg_arena *arena;
    vocab_kind kind;
    const vg_pretok *pretok; /* BPE */
    size_t n;
    const vg_str *text; /* [n] in the file */
    const vg_str *key;  /* [n] the bytes to find: of byte-level BPE decoded, else `text` */
    uint8_t *type;      /* [n] token_type */
    uint8_t *end;       /* [n] 1: ends an answer */
    float *score;       /* [n] SPM, UNIGRAM */

    token_slot *slot; /* [slot_mask + 1] tokens that plain text can become */
    size_t slot_mask;
    pair_slot *pair; /* [pair_mask + 1] BPE */
    size_t pair_mask;
    uint64_t *join; /* bits: pairs of characters that stand side by side in some token */
    uint64_t *prefix; /* bits: prefixes of tokens (UNIGRAM, WORDPIECE) */
    size_t prefix_mask;
    int32_t byte_id[256]; /* -1: none */
    bool has_bytes;       /* all 256 */

    special_token *special; /* [n_special] sorted by text: what is found before all else */
    size_t n_special;
    size_t special_from[257]; /* by first byte */

    int32_t bos, eos, unk, sep;
    bool add_bos, add_eos;
    bool raw;          /* tokens hold U+2581 for a space: SPM, UNIGRAM, some BPE */
    bool space_prefix, merge_spaces; /* as SentencePiece's normaliser */
    charsmap map;
    float unk_score; /* UNIGRAM */
    bool phi3;       /* its special tokens take the white space behind them along */
    bool hashes;     /* WORDPIECE: "##" marks what continues a word, else U+2581 what begins one */
    bool lowercase, strip_accents;
};

VG_NODISCARD vg_status vocab_load(vg_vocab *v, const vg_gguf *g, vg_err *err);

/* ---- vocab_map.c ---- */

#define TOKEN_HASH_SEED UINT64_C(0xcbf29ce484222325)
static inline uint64_t token_hash_step(uint64_t h, char c)
{
    return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

VG_NODISCARD vg_status vocab_map_tokens(vg_vocab *v, vg_err *err);
VG_NODISCARD vg_status vocab_map_merges(vg_vocab *v, const vg_gguf_kv *merges, vg_err *err);
VG_NODISCARD vg_status vocab_map_joins(vg_vocab *v, vg_err *err);
VG_NODISCARD vg_status vocab_map_prefixes(vg_vocab *v, vg_err *err);
int32_t vocab_find(const vg_vocab *v, vg_str key); /* -1: none */
int32_t vocab_find_hashed(const vg_vocab *v, vg_str key, uint64_t hash);
const pair_slot *vocab_find_pair(const vg_vocab *v, int32_t left, int32_t right); /* NULL: none */
/* The bytes that a token of byte-level BPE stands for; out holds s.n. False: no such token. */
bool vocab_byte_text(vg_str s, char *out, size_t *n);
bool vocab_joins(const vg_vocab *v, int32_t a, int32_t b);
bool vocab_has_prefix(const vg_vocab *v, uint64_t hash);

/* ---- vocab_special.c ---- */

VG_NODISCARD vg_status vocab_map_specials(vg_vocab *v, vg_err *err);
/* The longest special token at s, or NULL. Control tokens only if asked for. */
const special_token *vocab_find_special(const vg_vocab *v, vg_str s, bool control);

/* ---- vocab_decode.c ---- */

/* Whether a token of these bytes fits VG_DECODE_MAX whatever the decoder holds. */
bool vocab_decodes_within(vg_str s);
/* The byte that "<0x41>" names; -1 for any other text. */
int vocab_byte_value(vg_str s);

/* ---- encoding ---- */

typedef struct symbol {
    uint32_t at, n; /* bytes of the word; n 0: merged into the one before */
    int32_t prev, next, id;
} symbol;

typedef struct merge_step {
    uint64_t order; /* rank or score, then the left symbol: the least comes first */
    uint32_t size;
    int32_t merged;
} merge_step;

typedef struct word_entry word_entry;

/* One call's working memory. */
typedef struct encoder {
    const vg_vocab *v;
    vg_tokens out;
    size_t cap;
    symbol *sym;
    merge_step *step;
    size_t sym_cap, n_steps, step_cap;
    word_entry *cache;
    size_t text_from; /* where the ids of this text without special tokens begin in `out` */
    vg_buf text, piece; /* normalised text; a segment of it */
    void *best;         /* UNIGRAM */
    size_t best_cap;
    vg_err *err;
} encoder;

VG_NODISCARD vg_status encoder_push(encoder *e, int32_t id);
/* Makes room for `n` items of `size` bytes at *p. */
VG_NODISCARD vg_status encoder_room(encoder *e, void **p, size_t *cap, size_t n, size_t size);

/* Each appends the ids of a text without special tokens. */
VG_NODISCARD vg_status vocab_encode_bpe(encoder *e, vg_str text);
VG_NODISCARD vg_status vocab_encode_spm(encoder *e, vg_str text);
VG_NODISCARD vg_status vocab_encode_unigram(encoder *e, vg_str text);
VG_NODISCARD vg_status vocab_encode_wordpiece(encoder *e, vg_str text);

/* SentencePiece's normaliser: the charsmap, spaces to U+2581, prefix, runs of spaces. */
VG_NODISCARD vg_status vocab_normalize(const vg_vocab *v, vg_str text, vg_buf *out, vg_err *err);
VG_NODISCARD vg_status vocab_read_charsmap(vg_vocab *v, const vg_gguf_kv *kv, vg_err *err);
VG_NODISCARD vg_status vocab_prepare_unigram(vg_vocab *v, vg_err *err);
VG_NODISCARD vg_status vocab_prepare_wordpiece(vg_vocab *v, vg_err *err);
/* Pushes what stands for a character without a token: its bytes, or the unknown token. */
VG_NODISCARD vg_status encoder_push_unknown(encoder *e, vg_str c);

#define VOCAB_SPACE "\xE2\x96\x81" /* U+2581 */
enum { VOCAB_SPACE_CP = 0x2581 };

#endif
