/* grammars.h: the grammars of one model that were compiled last: clients send the same schema again
 * and again, and what its automaton has found out serves the next answer.
 *
 *     vg_grammar *g;
 *     VG_TRY(vg_grammars_get(&grammars, model, true, VG_STR("{}"), &g, err));
 *     vg_grammar_unref(g);
 *     vg_grammars_clear(&grammars);
 */
#ifndef VG_GRAMMARS_H
#define VG_GRAMMARS_H

#include "base/base.h"

enum { VG_KEPT_GRAMMARS = 16 };

/* Zero at first. */
typedef struct vg_grammars {
    struct {
        vg_grammar *grammar;
        char *text; /* [n] */
        size_t n;
        bool is_schema;
        uint64_t used;
    } kept[VG_KEPT_GRAMMARS];
    uint64_t n_used;
} vg_grammars;

/* A JSON Schema, or GBNF; *out is the caller's reference. Errors: those of the compiler. */
VG_NODISCARD vg_status vg_grammars_get(vg_grammars *s, vg_model *m, bool is_schema, vg_str text,
                                       vg_grammar **out, vg_err *err);
void vg_grammars_clear(vg_grammars *s);
#endif
