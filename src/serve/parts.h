/* parts.h: what a model's text consists of (reasoning, text, tool calls), told apart as it comes.
 * Models write these in the forms that their chat templates taught them; which form, the template
 * tells.
 *
 *     vg_parts *p;
 *     vg_parts_opts opts = {.tmpl = tmpl, .tools = r->tools, .put = put, .user = user};
 *     VG_TRY(vg_parts_new(&p, arena, &opts, err));
 *     vg_parts_feed(p, VG_STR("<tool_call>{\"name\": \"now\", \"argu"));
 *     vg_parts_end(p);
 *
 * Text that could still become the beginning of a call or of reasoning is held back, no more than
 * that. What looked like a call and is none comes out as text: nothing that the model wrote is
 * lost but blanks around reasoning and calls, and no answer fails for it. */
#ifndef VG_PARTS_H
#define VG_PARTS_H

#include "serve/request.h"

typedef struct vg_parts vg_parts;

/* TEXT, REASONING, CALL_BEGIN (text: the name), CALL_ARGS, CALL_END; at most VG_MAX_CALLS calls. */
typedef void vg_parts_put(void *user, vg_news news, vg_str text);

typedef struct vg_parts_opts {
    vg_str tmpl;          /* the chat template */
    const vg_json *tools; /* look for calls, knowing these; NULL: do not look */
    bool keep_reasoning;  /* it stays in the text as it is */
    bool in_reasoning;    /* the prompt ended inside of it: see vg_parts_in_reasoning */
    vg_parts_put *put;
    void *user;
} vg_parts_opts;

/* Lives in the arena. Errors: NO_MEMORY. */
VG_NODISCARD vg_status vg_parts_new(vg_parts **out, vg_arena *a, const vg_parts_opts *opts,
                                    vg_err *err);
void vg_parts_feed(vg_parts *p, vg_str text); /* whole characters */
void vg_parts_end(vg_parts *p);               /* what was held back comes out */

/* Whether an answer to this rendered prompt begins inside of reasoning: "...<think>\n". */
bool vg_parts_in_reasoning(vg_str prompt);
/* Whether control tokens of this template's answers have to be there by name in what is fed, since
 * reasoning or calls begin with them: vg_decoder.special. */
bool vg_parts_by_name(vg_str tmpl);
#endif
