/* chat.h: renders a conversation with a Jinja chat template, byte for byte as Python's jinja2 does
 * under the settings of transformers (trim_blocks, lstrip_blocks, its tojson), within bounds.
 *
 *     vg_text out = {0};
 *     vg_chat_opts o = {.bos = VG_STR("<s>"), .eos = VG_STR("</s>")};
 *     VG_TRY(vg_chat_run(VG_STR("{{ messages[0].content }}"), json, &o, &out, err));
 *     vg_text_free(&out);
 *
 * Not as jinja2: integers have 64 bits; extends, include and import are refused, as are the filters
 * random and urlize; map, select and their like run at once instead of when their items are asked
 * for, which shows only where an item that nobody takes would have failed. */
#ifndef VG_CHAT_H
#define VG_CHAT_H

#include "base/base.h"

typedef struct vg_chat_opts {
    vg_str bos, eos;     /* bos_token and eos_token in the template, unless the JSON sets them */
    uint64_t max_steps;  /* 0: 4 million evaluated nodes */
    size_t max_out_bytes; /* 0: 16 MiB */
    int64_t now; /* seconds since 1970, shown by strftime_now as UTC; 0: the clock, in local time */
} vg_chat_opts;

/* `json`: the context object (its members are the template's variables), or an array, taken as
 * {"messages": ..., "add_generation_prompt": true}. Errors: FORMAT, TEMPLATE, LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_chat_run(vg_str tmpl, vg_str json, const vg_chat_opts *opts,
                                   vg_text *out, vg_err *err);
#endif
