/* A few compiled grammars, found by their text; the one that was not used for longest makes room.
 * They hold their model, so they go with it. A text that cannot be kept for want of memory is
 * compiled all the same. */
#include "serve/grammars.h"

static size_t find(vg_grammars *s, bool is_schema, vg_str text)
{
    size_t oldest = 0;
    for (size_t i = 0; i < VG_KEPT_GRAMMARS; i++) {
        bool same = s->kept[i].grammar && s->kept[i].is_schema == is_schema &&
                    s->kept[i].n == text.n && memcmp(s->kept[i].text, text.p, text.n) == 0;
        if (same) return i;
        if (s->kept[i].used < s->kept[oldest].used) oldest = i;
    }
    vg_grammar_unref(s->kept[oldest].grammar);
    vg_mem_free(s->kept[oldest].text);
    s->kept[oldest].grammar = NULL;
    s->kept[oldest].text = NULL;
    s->kept[oldest].used = 0;
    return oldest;
}

vg_status vg_grammars_get(vg_grammars *s, vg_model *m, bool is_schema, vg_str text,
                          vg_grammar **out, vg_err *err)
{
    size_t i = find(s, is_schema, text);
    if (!s->kept[i].grammar) {
        VG_TRY(is_schema ? vg_grammar_new_schema(out, m, text.p, text.n, err)
                         : vg_grammar_new_gbnf(out, m, text.p, text.n, err));
        s->kept[i].text = vg_mem_new(text.n + 1);
        if (!s->kept[i].text) return VG_OK;
        memcpy(s->kept[i].text, text.p, text.n);
        s->kept[i].n = text.n;
        s->kept[i].is_schema = is_schema;
        s->kept[i].grammar = *out;
    }
    s->kept[i].used = ++s->n_used;
    *out = vg_grammar_ref(s->kept[i].grammar);
    return VG_OK;
}

void vg_grammars_clear(vg_grammars *s)
{
    for (size_t i = 0; i < VG_KEPT_GRAMMARS; i++) {
        vg_grammar_unref(s->kept[i].grammar);
        vg_mem_free(s->kept[i].text);
    }
    *s = (vg_grammars){0};
}
