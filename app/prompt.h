/* prompt.h: from a conversation to the tokens that a model continues.
 *
 *     prompt_style style = {.model = model};
 *     vg_tokens ids = {0};
 *     VG_TRY(prompt_make(&style, &conversation, &ids, err));
 *     vg_tokens_free(&ids);
 */
#ifndef VG_PROMPT_H
#define VG_PROMPT_H

#include "app/talk.h"

typedef struct prompt_style {
    const vg_model *model;
    bool raw;     /* the messages' text as it is, one after the other */
    vg_text tmpl; /* the caller's template; data NULL: the model's */
} prompt_style;

VG_NODISCARD vg_status prompt_make(const prompt_style *style, const talk *t, vg_tokens *out,
                                   vg_err *err);
#endif
