/* WordPiece as BERT does it: clean the text, cut it at white space, punctuation and Chinese
 * characters, then take the longest token that fits, again and again; a word that does not come out
 * even is one unknown token. GGUF marks what begins a word with U+2581; a file that keeps "##" on
 * what continues one is read as well.
 * The order of steps is that of HF's BertNormalizer and BertPreTokenizer. */
#include "model/unicode.h"
#include "model/vocab_int.h"

enum { WORD_MAX_CHARS = 100 }; /* longer ones are unknown, as in BERT */

typedef struct range {
    int32_t from, to;
} range;

vg_status vocab_prepare_wordpiece(vg_vocab *v, vg_err *err)
{
    v->hashes = true;
    for (size_t id = 0; v->hashes && id < v->n; id++)
        v->hashes = !vg_str_starts(v->text[id], VG_STR(VOCAB_SPACE));
    return vocab_map_prefixes(v, err);
}

static bool is_chinese(int32_t cp)
{
    /* The second but last block is cut short in the original as well. */
    static const range r[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                              {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
                              {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < VG_COUNT(r); i++)
        if (cp >= r[i].from && cp <= r[i].to) return true;
    return false;
}

static bool is_punct(int32_t cp)
{
    if (cp < 0x80)
        return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '@') || (cp >= '[' && cp <= '`') ||
               (cp >= '{' && cp <= '~');
    return vg_unicode_class(cp) & VG_UC_P;
}

/* The longest token at `from` of the word; its length and id, or length 0. */
static size_t longest(const vg_vocab *v, vg_str word, size_t from, size_t least, int32_t *id)
{
    size_t found = 0;
    uint64_t h = TOKEN_HASH_SEED;
    for (size_t to = from; to < word.n;) {
        h = token_hash_step(h, word.p[to++]);
        if (!vocab_has_prefix(v, h)) break;
        bool whole = to == word.n || ((unsigned char)word.p[to] & 0xC0) != 0x80;
        if (!whole || to - from < least) continue;
        int32_t match = vocab_find_hashed(v, (vg_str){word.p + from, to - from}, h);
        if (match < 0) continue;
        found = to - from;
        *id = match;
    }
    return found;
}

/* The word stands in e->piece behind three bytes, which hold the mark of its beginning; the mark of
 * a continuation is written over what was matched before. */
static vg_status encode_word(encoder *e, size_t n_chars)
{
    enum { MARK = sizeof VOCAB_SPACE - 1 };
    const vg_vocab *v = e->v;
    vg_str word = {e->piece.data, e->piece.n};
    size_t before = e->out.n;
    for (size_t at = MARK; at < word.n && n_chars <= WORD_MAX_CHARS;) {
        size_t mark = at == MARK ? (v->hashes ? 0 : MARK) : (v->hashes ? 2 : 0);
        if (v->hashes && mark) memcpy(e->piece.data + at - mark, "##", mark);
        /* A U+2581 of the text itself must not make a continuation look like a beginning. */
        vg_str rest = {word.p + at, word.n - at};
        if (!v->hashes && !mark && vg_str_starts(rest, VG_STR(VOCAB_SPACE))) break;
        int32_t id;
        size_t n = longest(v, word, at - mark, mark + 1, &id);
        if (!n) break;
        VG_TRY(encoder_push(e, id));
        at += n - mark;
        if (at == word.n) return VG_OK;
    }
    e->out.n = before;
    return encoder_push(e, v->unk);
}

typedef struct word_state {
    encoder *e;
    size_t n_chars;
} word_state;

static vg_status end_word(word_state *w)
{
    vg_status st = w->n_chars ? encode_word(w->e, w->n_chars) : VG_OK;
    w->n_chars = 0;
    vg_buf_reset(&w->e->piece);
    vg_buf_text(&w->e->piece, VOCAB_SPACE);
    return st ? st : vg_buf_check(&w->e->piece, "a word", w->e->err);
}

static vg_status add_char(word_state *w, int32_t cp, bool alone)
{
    if (alone) VG_TRY(end_word(w));
    if (++w->n_chars <= WORD_MAX_CHARS) vg_buf_cp(&w->e->piece, cp);
    VG_TRY(vg_buf_check(&w->e->piece, "a word", w->e->err));
    return alone ? end_word(w) : VG_OK;
}

static vg_status add_normalized(word_state *w, int32_t cp)
{
    const vg_vocab *v = w->e->v;
    bool chinese = is_chinese(cp);
    int32_t part[VG_UNICODE_NFD_MAX] = {cp}, lower[2];
    size_t n = v->strip_accents ? vg_unicode_nfd(cp, part) : 1;
    for (size_t i = 0; i < n; i++) {
        if (v->strip_accents && vg_unicode_class(part[i]) & VG_UC_MN) continue;
        lower[0] = part[i];
        size_t n_lower = v->lowercase ? vg_unicode_lower(part[i], lower) : 1;
        for (size_t k = 0; k < n_lower; k++)
            VG_TRY(add_char(w, lower[k], chinese || is_punct(lower[k])));
    }
    return VG_OK;
}

vg_status vocab_encode_wordpiece(encoder *e, vg_str text)
{
    if (e->v->unk < 0)
        return VG_FAIL(e->err, VG_E_UNSUPPORTED, "the vocabulary has no unknown token");
    word_state w = {.e = e};
    VG_TRY(end_word(&w));
    for (size_t i = 0; i < text.n;) {
        int32_t cp;
        i += vg_utf8_next(text.p + i, text.n - i, &cp);
        uint32_t class = vg_unicode_class(cp);
        const uint32_t other = VG_UC_CC | VG_UC_CF | VG_UC_CO;
        if (class & VG_UC_SPACE && (cp == '\t' || cp == '\n' || cp == '\r' || !(class & VG_UC_CC)))
            VG_TRY(end_word(&w));
        else if (cp >= 0 && cp != 0xFFFD && !(class & other)) VG_TRY(add_normalized(&w, cp));
    }
    return end_word(&w);
}
