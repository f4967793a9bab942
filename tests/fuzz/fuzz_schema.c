/* JSON Schema: the input is a schema, a NUL, and choices. A text is written by taking, for each
 * choice, one of the bytes that may follow; what is whole then must be JSON. */
#include "base/json.h"
#include "fuzz.h"

enum { TEXT_BYTES = 400 };

/* The k-th byte that m's text may go on with, found in copies of it; -1: none. */
static int choose(vg_grammar *g, const char *text, size_t n, unsigned k)
{
    int found = -1;
    for (unsigned c = 0; c < 256; c++) {
        vg_err err;
        vg_matcher *m = NULL;
        char one = (char)((c * 37 + k) % 256);
        bool ok = false;
        if (vg_matcher_new(&m, g, &err)) return -1;
        if (vg_matcher_accept(m, text, n, &ok, &err) == VG_OK && ok &&
            vg_matcher_accept(m, &one, 1, &ok, &err) == VG_OK && ok)
            found = (unsigned char)one;
        vg_matcher_free(m);
        if (found >= 0) return found;
    }
    return -1;
}

static void check_json(const char *text, size_t n)
{
    vg_err err;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    if (vg_arena_new(&a, 8 << 20, &err)) return;
    vg_status st = vg_json_parse(a, text, n, &j, &err);
    vg_arena_free(a);
    if (st && st != VG_E_LIMIT && st != VG_E_NO_MEMORY) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_err err;
    vg_grammar *g = NULL;
    const uint8_t *nul = memchr(data, 0, n);
    size_t n_schema = nul ? (size_t)(nul - data) : n, n_text = 0;
    char text[TEXT_BYTES];
    if (n > 1 << 16 || vg_grammar_new_schema(&g, NULL, (const char *)data, n_schema, &err))
        return 0;
    for (size_t i = n_schema + 1; i < n && n_text < TEXT_BYTES; i++) {
        int c = choose(g, text, n_text, data[i]);
        if (c < 0) break;
        text[n_text++] = (char)c;
    }
    bool whole = false;
    if (vg_grammar_matches(g, text, n_text, &whole, &err) == VG_OK && whole)
        check_json(text, n_text);
    vg_grammar_unref(g);
    return 0;
}
