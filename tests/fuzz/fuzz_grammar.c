/* GBNF: the input is a grammar, a NUL, and a text. What a matcher accepts of the text may end
 * there or go on, so the text's prefixes are asked for too. */

#include "fuzz.h"
#include "verge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_grammar *g = NULL;
    vg_matcher *m = NULL;
    const uint8_t *nul = memchr(data, 0, n);
    size_t n_grammar = nul ? (size_t)(nul - data) : n;
    if (n > 1 << 16 || vg_grammar_new_gbnf(&g, NULL, (const char *)data, n_grammar, &err)) return 0;
    bool ok = true, whole = false;
    if (vg_matcher_new(&m, g, &err)) return 0;
    for (size_t i = n_grammar + 1; i < n && ok; i++) {
        if (vg_matcher_accept(m, (const char *)data + i, 1, &ok, &err)) break;
        (void)vg_matcher_may_end(m);
    }
    if (nul && n - n_grammar < 4096 &&
        vg_grammar_matches(g, (const char *)nul + 1, n - n_grammar - 1, &whole, &err) == VG_OK &&
        whole != (ok && vg_matcher_may_end(m)))
        abort();
    vg_matcher_free(m);
    vg_grammar_unref(g);
    return 0;
}
