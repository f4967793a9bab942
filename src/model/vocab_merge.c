/* Encoding by merges: byte-level BPE (by rank, inside the words of a pre-tokenizer) and
 * SentencePiece's BPE (by score). Both are one loop over a chain of symbols and a heap of possible
 * merges, O(n log n) in a word. Text without a pre-tokenizer is cut first where two characters meet
 * that stand side by side in no token: no merge can cross there, so the cut changes nothing and
 * keeps words short. Words seen before in the same text are copied from the output.
 * Nothing of the vocabulary changes here; working memory belongs to the encoder. */
#include "model/unicode.h"
#include "model/vocab_int.h"

enum { CACHE_WORDS = 8192, CACHE_MIN_TEXT = 16384, WORD_MAX_BYTES = 16 << 20 };

struct word_entry {
    size_t out_at;
    uint32_t n_out;
    uint8_t n; /* bytes of the word; 0: empty */
    char word[27];
};

vg_status encoder_room(encoder *e, void **p, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap) return VG_OK;
    size_t room = VG_MAX(n, *cap * 2), bytes;
    if (!vg_mul(room, size, &bytes)) return VG_FAIL(e->err, VG_E_LIMIT, "%zu items", room);
    void *q = vg_mem_grow(*p, *cap * size, bytes);
    if (!q) return VG_FAIL_MEMORY(e->err, bytes);
    *p = q;
    *cap = room;
    return VG_OK;
}

vg_status encoder_push(encoder *e, int32_t id)
{
    if (e->out.n == e->cap) {
        void *p = e->out.id;
        vg_status st = encoder_room(e, &p, &e->cap, VG_MAX(e->cap + 1, (size_t)64), sizeof id);
        e->out.id = p;
        if (st) return st;
    }
    e->out.id[e->out.n++] = id;
    return VG_OK;
}

vg_status encoder_push_unknown(encoder *e, vg_str c)
{
    const vg_vocab *v = e->v;
    bool bytes = true;
    for (size_t i = 0; i < c.n; i++) bytes &= v->byte_id[(unsigned char)c.p[i]] >= 0;
    for (size_t i = 0; bytes && i < c.n; i++)
        VG_TRY(encoder_push(e, v->byte_id[(unsigned char)c.p[i]]));
    if (bytes) return VG_OK;
    if (v->unk < 0)
        return VG_FAIL(e->err, VG_E_UNSUPPORTED,
                       "the vocabulary has no token for the byte 0x%02x and no unknown token",
                       (unsigned)(unsigned char)c.p[0]);
    /* SentencePiece joins neighbouring unknown characters into one token. */
    if (e->out.n > e->text_from && e->out.id[e->out.n - 1] == v->unk) return VG_OK;
    return encoder_push(e, v->unk);
}

/* ---- the heap of possible merges ------------------------------------------------------------ */

static void heap_push(encoder *e, merge_step step)
{
    merge_step *h = e->step;
    size_t i = e->n_steps++;
    for (; i && h[(i - 1) / 2].order > step.order; i = (i - 1) / 2) h[i] = h[(i - 1) / 2];
    h[i] = step;
}

static merge_step heap_pop(encoder *e)
{
    merge_step *h = e->step, first = h[0], last = h[--e->n_steps];
    size_t i = 0, n = e->n_steps;
    for (size_t child; child = 2 * i + 1, child < n; i = child) {
        if (child + 1 < n && h[child + 1].order < h[child].order) child++;
        if (h[child].order >= last.order) break;
        h[i] = h[child];
    }
    h[i] = last;
    return first;
}

/* Scores in falling order as unsigned numbers in rising order. */
static uint32_t score_order(float score)
{
    score += 0.0f; /* minus zero is zero */
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

static void consider(encoder *e, vg_str word, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return;
    const vg_vocab *v = e->v;
    const symbol *a = &e->sym[left], *b = &e->sym[right];
    uint32_t size = a->n + b->n, rank;
    int32_t merged;
    if (v->kind == VOCAB_BPE) {
        if (a->id < 0 || b->id < 0) return;
        const pair_slot *p = vocab_find_pair(v, a->id, b->id);
        if (!p) return;
        merged = p->merged;
        rank = p->rank1;
    } else {
        if (size > TOKEN_MAX_BYTES) return;
        merged = vocab_find(v, (vg_str){word.p + a->at, size});
        if (merged < 0) return;
        rank = score_order(v->score[merged]);
    }
    heap_push(e, (merge_step){(uint64_t)rank << 32 | (uint32_t)left, size, merged});
}

static void merge_all(encoder *e, vg_str word, size_t n)
{
    e->n_steps = 0;
    for (size_t i = 1; i < n; i++) consider(e, word, (int32_t)i - 1, (int32_t)i);
    while (e->n_steps) {
        merge_step step = heap_pop(e);
        int32_t left = (int32_t)(uint32_t)step.order;
        symbol *a = &e->sym[left];
        /* Symbols only grow, so equal sizes mean that both are as they were. */
        if (!a->n || a->next < 0 || a->n + e->sym[a->next].n != step.size) continue;
        symbol *b = &e->sym[a->next];
        a->n = step.size;
        a->id = step.merged;
        a->next = b->next;
        b->n = 0;
        if (a->next >= 0) e->sym[a->next].prev = left;
        consider(e, word, a->prev, left);
        consider(e, word, left, a->next);
    }
}

/* ---- one word ------------------------------------------------------------------------------- */

/* Bytes of the first symbol of s: a byte of byte-level BPE, else a character. */
static size_t symbol_size(const vg_vocab *v, vg_str s)
{
    int32_t cp;
    return v->raw ? vg_utf8_next(s.p, s.n, &cp) : 1;
}

static vg_status add_symbols(encoder *e, vg_str word, size_t *n_out)
{
    const vg_vocab *v = e->v;
    size_t n = 0;
    for (size_t at = 0, size; at < word.n; at += size, n++) {
        size = symbol_size(v, (vg_str){word.p + at, word.n - at});
        int32_t id = v->raw ? vocab_find(v, (vg_str){word.p + at, size})
                            : v->byte_id[(unsigned char)word.p[at]];
        e->sym[n] = (symbol){(uint32_t)at, (uint32_t)size, (int32_t)n - 1, (int32_t)n + 1, id};
    }
    e->sym[n - 1].next = -1;
    *n_out = n;
    return VG_OK;
}

static vg_status encode_word(encoder *e, vg_str word)
{
    if (word.n > WORD_MAX_BYTES)
        return VG_FAIL(e->err, VG_E_LIMIT, "a word of %zu bytes; the limit is %d", word.n,
                       WORD_MAX_BYTES);
    void *p = e->sym;
    vg_status st = encoder_room(e, &p, &e->sym_cap, word.n, sizeof *e->sym);
    e->sym = p;
    if (st) return st;
    size_t n;
    VG_TRY(add_symbols(e, word, &n));
    p = e->step; /* a merge takes one pair away and brings two */
    st = encoder_room(e, &p, &e->step_cap, 3 * n, sizeof *e->step);
    e->step = p;
    if (st) return st;
    merge_all(e, word, n);
    for (int32_t i = 0; i >= 0; i = e->sym[i].next) {
        const symbol *s = &e->sym[i];
        if (s->id >= 0) VG_TRY(encoder_push(e, s->id));
        else VG_TRY(encoder_push_unknown(e, (vg_str){word.p + s->at, s->n}));
    }
    return VG_OK;
}

static vg_status encode_cached(encoder *e, vg_str word)
{
    const vg_vocab *v = e->v;
    uint64_t h = TOKEN_HASH_SEED;
    for (size_t i = 0; i < word.n; i++) h = token_hash_step(h, word.p[i]);
    if (v->pretok && vg_pretok_ignores_merges(v->pretok)) {
        int32_t id = vocab_find_hashed(v, word, h);
        if (id >= 0) return encoder_push(e, id);
    }
    if (!e->cache || word.n > sizeof e->cache->word) return encode_word(e, word);
    word_entry *c = &e->cache[(h ^ h >> 32) % CACHE_WORDS];
    if (c->n == word.n && memcmp(c->word, word.p, word.n) == 0) {
        for (size_t i = 0; i < c->n_out; i++) VG_TRY(encoder_push(e, e->out.id[c->out_at + i]));
        return VG_OK;
    }
    size_t from = e->out.n;
    VG_TRY(encode_word(e, word));
    if (v->unk >= 0 && !v->has_bytes) return VG_OK; /* unknowns join across words */
    *c = (word_entry){.out_at = from, .n_out = (uint32_t)(e->out.n - from), .n = (uint8_t)word.n};
    memcpy(c->word, word.p, word.n);
    return VG_OK;
}

static vg_status make_cache(encoder *e, vg_str text)
{
    if (e->cache || text.n < CACHE_MIN_TEXT) return VG_OK;
    e->cache = vg_mem_new(CACHE_WORDS * sizeof *e->cache);
    return e->cache ? VG_OK : VG_FAIL_MEMORY(e->err, CACHE_WORDS * sizeof *e->cache);
}

/* ---- a text --------------------------------------------------------------------------------- */

/* Cuts raw text where no token joins two characters; a space becomes U+2581 on the way. */
static vg_status encode_raw(encoder *e, vg_str text, bool escape)
{
    vg_buf *word = &e->piece;
    vg_buf_reset(word);
    int32_t last = -1;
    if (escape && e->v->space_prefix) {
        vg_buf_text(word, VOCAB_SPACE);
        last = VOCAB_SPACE_CP;
    }
    for (size_t i = 0; i < text.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(text.p + i, text.n - i, &cp);
        bool space = escape && cp == ' ';
        if (space) cp = VOCAB_SPACE_CP;
        if (word->n && (cp < 0 || last < 0 || !vocab_joins(e->v, last, cp))) {
            VG_TRY(encode_cached(e, (vg_str){word->data, word->n}));
            vg_buf_reset(word);
        }
        if (space) vg_buf_text(word, VOCAB_SPACE);
        else vg_buf_add(word, text.p + i, n);
        VG_TRY(vg_buf_check(word, "a word", e->err));
        last = cp;
        i += n;
    }
    return word->n ? encode_cached(e, (vg_str){word->data, word->n}) : VG_OK;
}

vg_status vocab_encode_bpe(encoder *e, vg_str text)
{
    const vg_vocab *v = e->v;
    VG_TRY(make_cache(e, text));
    if (v->raw) return encode_raw(e, text, true);
    if (vg_pretok_wants_nfc(v->pretok) && vg_unicode_nfc_prefix(text) < text.n) {
        vg_buf_reset(&e->text);
        vg_unicode_nfc(text, &e->text);
        VG_TRY(vg_buf_check(&e->text, "the text in normal form C", e->err));
        text = (vg_str){e->text.data, e->text.n};
    }
    vg_pretok_iter it;
    vg_str word;
    vg_pretok_begin(&it, v->pretok, text);
    while (vg_pretok_next(&it, &word)) VG_TRY(encode_cached(e, word));
    return VG_OK;
}

vg_status vocab_encode_spm(encoder *e, vg_str text)
{
    const vg_vocab *v = e->v;
    VG_TRY(make_cache(e, text));
    if (!v->map.n_nodes && !v->merge_spaces) return encode_raw(e, text, true);
    vg_buf_reset(&e->text);
    VG_TRY(vocab_normalize(v, text, &e->text, e->err));
    return encode_raw(e, (vg_str){e->text.data, e->text.n}, false);
}

bool vocab_byte_text(vg_str s, char *out, size_t *n)
{
    size_t used = 0;
    for (size_t i = 0; i < s.n; used++) {
        /* GPT-2's table: printable Latin-1 stands for itself, the other 68 bytes, in order, are
         * U+0100 and up. So all are of one or two bytes of UTF-8. */
        int32_t cp = (unsigned char)s.p[i++];
        if (cp >= 0x80) {
            unsigned second = i < s.n ? (unsigned char)s.p[i++] : 0;
            if (cp < 0xC2 || cp > 0xC5 || (second & 0xC0) != 0x80) return false;
            cp = (cp & 0x1F) << 6 | (int32_t)(second & 0x3F);
        }
        if (cp >= 0x100 && cp < 0x100 + 33) cp -= 0x100;
        else if (cp == 0x100 + 33) cp = 0x7F;
        else if (cp >= 0x100 + 34 && cp < 0x100 + 67) cp = cp - 0x100 - 34 + 0x80;
        else if (cp == 0x100 + 67) cp = 0xAD;
        else if (cp < '!' || cp > 0xFF || (cp > '~' && cp < 0xA1) || cp == 0xAD) return false;
        out[used] = (char)(unsigned char)cp;
    }
    *n = used;
    return true;
}
