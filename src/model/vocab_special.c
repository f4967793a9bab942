/* Special tokens inside a text, found before it is cut into words: the leftmost, and of those the
 * longest, as HF's tokenizers do. They are kept sorted by their bytes; a search narrows the range
 * of those that begin with what stands at a position, one byte at a time.
 * User-defined tokens are always found, control tokens only where the caller asks. */
#include <stdlib.h>

#include "model/vocab_int.h"

static bool is_special(const vg_vocab *v, size_t id)
{
    uint8_t t = v->type[id];
    return v->text[id].n && (t == TOKEN_CONTROL || t == TOKEN_USER_DEFINED || t == TOKEN_UNKNOWN);
}

static int compare(const void *a, const void *b)
{
    const special_token *x = a, *y = b;
    int c = memcmp(x->text.p, y->text.p, VG_MIN(x->text.n, y->text.n));
    if (c) return c;
    if (x->text.n != y->text.n) return x->text.n < y->text.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* A user-defined token of SentencePiece is written with U+2581 for its spaces. */
static vg_status plain_text(const vg_vocab *v, size_t id, vg_str *out, vg_err *err)
{
    vg_str s = v->text[id];
    *out = s;
    if (!v->raw || v->type[id] != TOKEN_USER_DEFINED) return VG_OK;
    char *p = vg_arena_alloc(v->arena, s.n, 1);
    if (!p) return VG_FAIL_MEMORY(err, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        bool space = s.n - i >= 3 && memcmp(s.p + i, VOCAB_SPACE, 3) == 0;
        p[n++] = space ? ' ' : s.p[i];
        i += space ? 3 : 1;
    }
    *out = (vg_str){p, n};
    return VG_OK;
}

vg_status vocab_map_specials(vg_vocab *v, vg_err *err)
{
    size_t n = 0;
    for (size_t id = 0; id < v->n; id++) n += is_special(v, id);
    v->special = VG_ARENA_ARRAY(v->arena, special_token, n);
    if (!v->special) return VG_FAIL_MEMORY(err, n * sizeof *v->special);
    for (size_t id = 0; id < v->n; id++) {
        if (!is_special(v, id)) continue;
        special_token *s = &v->special[v->n_special++];
        bool strips = v->phi3 && !vg_str_is(v->text[id], "<unk>") &&
                      !vg_str_is(v->text[id], "<s>") && !vg_str_is(v->text[id], "<|endoftext|>");
        *s = (special_token){.id = (int32_t)id,
                             .control = v->type[id] != TOKEN_USER_DEFINED,
                             .strips = strips};
        VG_TRY(plain_text(v, id, &s->text, err));
    }
    if (n) qsort(v->special, n, sizeof *v->special, compare);
    v->n_special = 0;
    for (size_t i = 0; i < n; i++) { /* of equal texts the first id counts */
        if (v->n_special && vg_str_eq(v->special[i].text, v->special[v->n_special - 1].text))
            continue;
        v->special[v->n_special++] = v->special[i];
    }
    n = v->n_special;
    for (size_t i = 0, b = 0; b <= 256; b++) {
        while (i < n && (unsigned char)v->special[i].text.p[0] < b) i++;
        v->special_from[b] = i;
    }
    return VG_OK;
}

/* The first of special[lo..hi) whose byte at `at` is not below c; a shorter text is below all. */
static size_t lower_bound(const vg_vocab *v, size_t lo, size_t hi, size_t at, unsigned c)
{
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        vg_str s = v->special[mid].text;
        if (s.n <= at || (unsigned char)s.p[at] < c) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

const special_token *vocab_find_special(const vg_vocab *v, vg_str s, bool control)
{
    unsigned first = (unsigned char)s.p[0];
    size_t lo = v->special_from[first], hi = v->special_from[first + 1];
    const special_token *found = NULL;
    for (size_t at = 1; lo < hi; at++) {
        if (v->special[lo].text.n == at) { /* the one that ends here comes first */
            if (!v->special[lo].control || control) found = &v->special[lo];
            lo++;
        }
        if (at == s.n) break;
        unsigned c = (unsigned char)s.p[at];
        lo = lower_bound(v, lo, hi, at, c);
        hi = lower_bound(v, lo, hi, at, c + 1);
    }
    return found;
}
