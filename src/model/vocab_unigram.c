/* SentencePiece's Unigram: the segmentation with the greatest sum of scores (Kudo 2018; Viterbi),
 * over text that went through the model's own character map. The text is cut first where two
 * characters meet that stand side by side in no token: every segmentation is cut there as well.
 * Also its normaliser, which SPM vocabularies share. The character map is a compact double array
 * (Yata's darts-clone; units as llama.cpp documents them): every index is checked, a match has a
 * greatest length, the result a greatest size, so that no file can make it run away. */
#include "model/vocab_int.h"

enum { MATCH_MAX_BYTES = 256, GROWTH_MAX = 16, SEGMENT_MAX_BYTES = 16 << 20 };
static const float unknown_penalty = 10.0f; /* SentencePiece's kUnkPenalty */

/* ---- the character map ---------------------------------------------------------------------- */

static uint32_t read_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

vg_status vocab_read_charsmap(vg_vocab *v, const vg_gguf_kv *kv, vg_err *err)
{
    if (kv->type != VG_GGUF_ARRAY ||
        (kv->item_type != VG_GGUF_U8 && kv->item_type != VG_GGUF_I8))
        return VG_FAIL(err, VG_E_FORMAT, "%.*s is no array of bytes", VG_STR_ARG(kv->key));
    if (kv->n == 0) return VG_OK;
    const uint8_t *p = kv->items;
    size_t n = (size_t)kv->n;
    uint32_t trie = n < 4 ? 0 : read_u32(p);
    if (n < 4 || trie % 4 != 0 || trie > n - 4)
        return VG_FAIL(err, VG_E_FORMAT, "%.*s: a trie of %u bytes in %zu", VG_STR_ARG(kv->key),
                       (unsigned)trie, n);
    v->map = (charsmap){p + 4, trie / 4, (const char *)p + 4 + trie, n - 4 - trie};
    if (v->map.n_text && v->map.text[v->map.n_text - 1] != '\0')
        return VG_FAIL(err, VG_E_FORMAT, "%.*s: its texts do not end", VG_STR_ARG(kv->key));
    return VG_OK;
}

/* A unit: bit 8 says that a value hangs below, bits 10 and up are the offset, shifted by 8 more if
 * bit 9 is set; the low byte and bit 31 are the label. False outside the array. */
static bool read_unit(const charsmap *m, size_t i, uint32_t *unit)
{
    if (i >= m->n_nodes) return false;
    *unit = read_u32(m->node + 4 * i);
    return true;
}

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The longest prefix of s that the map replaces; 0: none. */
static size_t find_replacement(const charsmap *m, vg_str s, vg_str *with)
{
    size_t found = 0, at = 0;
    uint32_t unit;
    if (!read_unit(m, 0, &unit)) return 0;
    at ^= unit_offset(unit);
    for (size_t i = 0; i < s.n && i < MATCH_MAX_BYTES; i++) {
        uint32_t c = (unsigned char)s.p[i];
        at ^= c;
        if (!c || !read_unit(m, at, &unit) || (unit & (1u << 31 | 0xFF)) != c) break;
        at ^= unit_offset(unit);
        uint32_t value;
        if (!(unit >> 8 & 1) || !read_unit(m, at, &value)) continue;
        value &= ~(1u << 31);
        if (value >= m->n_text) continue;
        *with = vg_str_from(m->text + value);
        found = i + 1;
    }
    return found;
}

/* ---- the normaliser ------------------------------------------------------------------------- */

/* One step: what the front of s becomes; returns how much of s that takes. */
static size_t normalize_front(const vg_vocab *v, vg_str s, vg_str *out)
{
    size_t n = find_replacement(&v->map, s, out);
    if (n) return n;
    int32_t cp;
    n = vg_utf8_next(s.p, s.n, &cp);
    *out = cp < 0 && !v->has_bytes ? VG_STR("\xEF\xBF\xBD") : (vg_str){s.p, n};
    return n;
}

vg_status vocab_normalize(const vg_vocab *v, vg_str text, vg_buf *out, vg_err *err)
{
    bool begun = false, space = false;
    size_t cap;
    if (!vg_mul(text.n, GROWTH_MAX, &cap) || !vg_add(cap, 4096, &cap))
        return VG_FAIL(err, VG_E_LIMIT, "a text of %zu bytes", text.n);
    while (text.n && !out->failed) {
        vg_str part;
        size_t taken = normalize_front(v, text, &part);
        text = (vg_str){text.p + taken, text.n - taken};
        if (part.n > cap - VG_MIN(out->n, cap))
            return VG_FAIL(err, VG_E_LIMIT, "the character map makes the text %d times as long",
                           GROWTH_MAX);
        for (size_t i = 0; i < part.n; i++) {
            bool is_space = part.p[i] == ' ';
            if (is_space && v->merge_spaces) {
                space = begun;
                continue;
            }
            if ((!begun && v->space_prefix) || space) vg_buf_text(out, VOCAB_SPACE);
            begun = true;
            space = false;
            if (is_space) vg_buf_text(out, VOCAB_SPACE);
            else vg_buf_char(out, part.p[i]);
        }
    }
    /* The original strips what looks like a space at the end, a U+2581 of the text included. */
    while (v->merge_spaces && out->n >= 3 && memcmp(out->data + out->n - 3, VOCAB_SPACE, 3) == 0)
        out->n -= 3;
    return vg_buf_check(out, "the normalised text", err);
}

/* ---- Viterbi -------------------------------------------------------------------------------- */

typedef struct best_path { /* to a place between two characters */
    float score; /* of the whole text so far; single precision as in the original, so that ties
                  * between equal pieces fall as its rounding lets them */
    uint32_t from, to; /* `to` is set when the best path of all is known */
    int32_t id;        /* -1: an unknown character */
    bool reached;
} best_path;

vg_status vocab_prepare_unigram(vg_vocab *v, vg_err *err)
{
    float least = 0.0f;
    bool any = false;
    for (size_t id = 0; id < v->n; id++) {
        if (v->type[id] != TOKEN_NORMAL) continue;
        if (!any || v->score[id] < least) least = v->score[id];
        any = true;
    }
    v->unk_score = least - unknown_penalty;
    return vocab_map_prefixes(v, err);
}

static void reach(best_path *b, size_t from, size_t to, int32_t id, float score)
{
    score += b[from].score;
    if (b[to].reached && score <= b[to].score) return;
    b[to] = (best_path){.score = score, .from = (uint32_t)from, .id = id, .reached = true};
}

/* Every token that begins at `at`. */
static void extend(const vg_vocab *v, best_path *b, vg_str s, size_t at)
{
    int32_t cp;
    size_t one = vg_utf8_next(s.p + at, s.n - at, &cp);
    bool single = false;
    uint64_t h = TOKEN_HASH_SEED;
    for (size_t to = at; to < s.n;) {
        h = token_hash_step(h, s.p[to++]);
        if (!vocab_has_prefix(v, h)) break;
        if (to < s.n && ((unsigned char)s.p[to] & 0xC0) == 0x80) continue;
        int32_t id = vocab_find_hashed(v, (vg_str){s.p + at, to - at}, h);
        if (id < 0 || v->type[id] != TOKEN_NORMAL) continue;
        single |= to - at == one;
        reach(b, at, to, id, v->score[id]);
    }
    if (!single) reach(b, at, at + one, -1, v->unk_score);
}

/* *score is that of the text before, then that of the text to the end of s. */
static vg_status encode_segment(encoder *e, vg_str s, float *score)
{
    if (s.n > SEGMENT_MAX_BYTES)
        return VG_FAIL(e->err, VG_E_LIMIT, "a word of %zu bytes; the limit is %d", s.n,
                       SEGMENT_MAX_BYTES);
    vg_status st = encoder_room(e, &e->best, &e->best_cap, s.n + 1, sizeof(best_path));
    if (st) return st;
    best_path *b = e->best;
    memset(b, 0, (s.n + 1) * sizeof *b);
    b[0] = (best_path){.score = *score, .reached = true};
    for (size_t at = 0; at < s.n; at++)
        if (b[at].reached) extend(e->v, b, s, at);
    *score = b[s.n].score;
    for (size_t at = s.n; at; at = b[at].from) b[b[at].from].to = (uint32_t)at;
    for (size_t at = 0; at < s.n; at = b[at].to) {
        const best_path *next = &b[b[at].to];
        if (next->id >= 0) VG_TRY(encoder_push(e, next->id));
        else VG_TRY(encoder_push_unknown(e, (vg_str){s.p + at, b[at].to - at}));
    }
    return VG_OK;
}

vg_status vocab_encode_unigram(encoder *e, vg_str text)
{
    vg_buf_reset(&e->text);
    VG_TRY(vocab_normalize(e->v, text, &e->text, e->err));
    vg_str s = {e->text.data, e->text.n};
    size_t from = 0;
    float score = 0.0f;
    int32_t last = -1, cp;
    for (size_t at = 0, n; at < s.n; at += n, last = cp) {
        n = vg_utf8_next(s.p + at, s.n - at, &cp);
        if (at == from || (cp >= 0 && last >= 0 && vocab_joins(e->v, last, cp))) continue;
        VG_TRY(encode_segment(e, (vg_str){s.p + from, at - from}, &score));
        from = at;
    }
    return from < s.n ? encode_segment(e, (vg_str){s.p + from, s.n - from}, &score) : VG_OK;
}
