/* prompt.h: from what a client sends to the tokens that a model continues.
 *
 *     vg_prompt_style style = {.model = model};
 *     vg_tokens ids = {0};
 *     VG_TRY(vg_prompt_chat(&style, context, &ids, NULL, err));
 *     vg_tokens_free(&ids);
 */
#ifndef VG_SERVE_PROMPT_H
#define VG_SERVE_PROMPT_H

#include "serve/request.h"

typedef struct vg_prompt_style {
    const vg_model *model;
    vg_str tmpl;        /* a template in place of the model's; empty: the model's */
    bool continue_last; /* ends behind the last message's text, which the model goes on with */
} vg_prompt_style;

/* The template's context (an object with messages, tools, add_generation_prompt ...) through the
 * template. Control tokens count where the template writes them, and never in what the context's
 * messages and tools say. *in_reasoning (may be NULL): the prompt ends inside of <think>. Errors:
 * TEMPLATE, NOT_FOUND (no template), FORMAT, LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_prompt_chat(const vg_prompt_style *s, const vg_json *context,
                                      vg_tokens *out, bool *in_reasoning, vg_err *err);

/* Pieces of text and ids, one after the other, after a BOS where the model wants one and `bos` asks
 * for it. `special`: control tokens written out in the text count as such. Errors: USAGE (an id out
 * of the vocabulary), LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_prompt_text(const vg_model *m, const vg_prompt *p, bool special, bool bos,
                                      vg_tokens *out, vg_err *err);
#endif
