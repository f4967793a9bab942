/* jinja_parse.h: what the two halves of the template parser share: expressions (jinja_parse.c) and
 * statements (jinja_stmt.c).
 *
 *     vg_jnode *n;
 *     VG_TRY(vg_jparse_expr(p, true, &n));
 *     VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
 */
#ifndef VG_JINJA_PARSE_H
#define VG_JINJA_PARSE_H

#include "model/jinja_int.h"

typedef struct vg_jparser {
    vg_jinja *j;
    const vg_jtoken *t; /* the current one; EOF is never passed */
    int depth;
    int loops; /* loops around, within the innermost macro or block */
} vg_jparser;

typedef struct vg_jtuple_rule {
    bool cond;   /* items may be conditional expressions */
    bool target; /* items are targets of an assignment */
    bool ns;     /* of which some may be attributes of a namespace */
    bool parens; /* inside parentheses, where an empty tuple is one */
    const char *end_name; /* a name that ends the tuple, or NULL */
} vg_jtuple_rule;

vg_status vg_jparse_fail(vg_jparser *p, const char *what);
vg_status vg_jparse_unexpected(vg_jparser *p, const char *wanted);
VG_NODISCARD vg_status vg_jparse_node(vg_jparser *p, vg_jtype type, uint32_t line, vg_jnode **out);
bool vg_jparse_is_op(const vg_jparser *p, vg_jop op);
bool vg_jparse_is_name(const vg_jparser *p, const char *name);
void vg_jparse_next(vg_jparser *p);
bool vg_jparse_skip_op(vg_jparser *p, vg_jop op);
bool vg_jparse_skip_name(vg_jparser *p, const char *name);
VG_NODISCARD vg_status vg_jparse_expect_op(vg_jparser *p, vg_jop op);
VG_NODISCARD vg_status vg_jparse_expect_name(vg_jparser *p, vg_str *name);
VG_NODISCARD vg_status vg_jparse_enter(vg_jparser *p); /* leave: p->depth-- */

VG_NODISCARD vg_status vg_jparse_expr(vg_jparser *p, bool with_cond, vg_jnode **out);
VG_NODISCARD vg_status vg_jparse_tuple(vg_jparser *p, vg_jtuple_rule rule, vg_jnode **out);
/* *n: what is filtered, NULL for a block's text. `begun`: no | stands before the first filter. */
VG_NODISCARD vg_status vg_jparse_filters(vg_jparser *p, bool begun, vg_jnode **n);

#endif
