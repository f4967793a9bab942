/* constraint.h: what an answer has to be, as a grammar: a call of one of the tools where a call is
 * asked for, arguments that fit a tool's schema, JSON of a form; after reasoning, where the model
 * reasons. And tools in words, for templates that have no place for them.
 *
 *     VG_TRY(vg_tools_teach(r, tmpl, err));
 *     VG_TRY(vg_constraint(r, tmpl, in_reasoning, &gbnf, err));
 *     if (gbnf.n) constrain(gbnf.data, gbnf.n);
 */
#ifndef VG_CONSTRAINT_H
#define VG_CONSTRAINT_H

#include "serve/request.h"

/* Adds GBNF to `out`, in which %json and a schema stand for the JSON that fits it; nothing where
 * the answer is free. Errors: USAGE (a tool's parameters that are no object's), NO_MEMORY. */
VG_NODISCARD vg_status vg_constraint(const vg_request *r, vg_str tmpl, bool in_reasoning,
                                     vg_buf *out, vg_err *err);

/* Where the template does not know tools, tells the model of them in a message, asks for calls as
 * JSON objects with nothing around them, and words earlier calls and their answers so. Changes
 * r->messages alone. Errors: NO_MEMORY. */
VG_NODISCARD vg_status vg_tools_teach(vg_request *r, vg_str tmpl, vg_err *err);
#endif
