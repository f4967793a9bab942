/* messages.h: conversations made anew in the one form that chat templates are written for, whatever
 * a dialect calls their parts.
 *
 *     vg_talk t;
 *     VG_TRY(vg_talk_begin(&t, r, n_items, err));
 *     vg_talk_add(&t, "user", text);
 *     VG_TRY(vg_talk_end(&t, err));
 */
#ifndef VG_MESSAGES_H
#define VG_MESSAGES_H

#include "serve/fields.h"

/* Messages as they grow. All strings live in the request's arena and are not copied. */
typedef struct vg_talk {
    vg_request *request;
    vg_make make;
    vg_json *list;
    vg_json *calls; /* of the last message, where it is the model's: calls go on there */
    size_t cap;
} vg_talk;

VG_NODISCARD vg_status vg_talk_begin(vg_talk *t, vg_request *r, size_t cap, vg_err *err);
/* A new message, of which there are at most `cap`; what else belongs to it follows. */
void vg_talk_add(vg_talk *t, const char *role, vg_str content);
void vg_talk_set(vg_talk *t, const char *key, vg_str value);
/* A call of the last message, which becomes the model's if it is not. `args` is an object. */
void vg_talk_call(vg_talk *t, vg_str id, vg_str name, const vg_json *args);
/* A tool's answer; the tool's name, which some templates print, comes from the call. */
void vg_talk_answer(vg_talk *t, vg_str id, vg_str content);
bool vg_talk_last_is(const vg_talk *t, const char *role);
/* Into request->messages. Errors: USAGE (there is none), NO_MEMORY. */
VG_NODISCARD vg_status vg_talk_end(vg_talk *t, vg_err *err);

/* Content that is a text, or parts {type, text} whose type is one of `types` (their first word is
 * also the name of the member that holds the text where it is no "text"): the parts' texts, one a
 * line. Other members of a part are `marks` of caching and citing, which change nothing. `where`
 * is the content's name: "messages[2].content". Errors: USAGE, UNSUPPORTED (other parts). */
VG_NODISCARD vg_status vg_content_text(vg_make *m, const vg_json *content, const char *where,
                                       const char *const *types, size_t n_types, vg_str *out,
                                       vg_err *err);
/* A text that holds a JSON object, "" being an empty one. Errors: USAGE. */
VG_NODISCARD vg_status vg_args_read(vg_make *m, vg_str text, const char *where,
                                    const vg_json **out, vg_err *err);

/* A tool in the templates' form. `description` may be NULL; `parameters` NULL: it takes none. */
typedef struct vg_tool {
    vg_str name;
    const vg_json *description, *parameters;
    bool strict; /* its arguments must be right */
} vg_tool;
/* Into list. `where`: "tools[0].". Errors: USAGE: a name that is none, or parameters. */
VG_NODISCARD vg_status vg_tool_add(vg_make *m, vg_json *list, const vg_tool *t, const char *where,
                                   vg_err *err);
/* Reads r->tools, the client's array, item by item into one in the templates' form; of an empty one
 * nothing is left. */
typedef vg_status vg_tool_read(vg_make *m, const vg_json *v, vg_json *list, size_t i, vg_err *err);
VG_NODISCARD vg_status vg_tools_read(vg_request *r, vg_tool_read *read, vg_err *err);
/* The tools that `name` may choose from. Errors: USAGE where there is none of that name. */
VG_NODISCARD vg_status vg_tool_check(const vg_request *r, const char *field, vg_err *err);

/* Sets a variable for the template, NULL being ignored. Errors: NO_MEMORY. */
VG_NODISCARD vg_status vg_template_set(vg_request *r, const char *key, const vg_json *value,
                                       vg_err *err);
/* How hard to think: "none" turns reasoning off where the template can, the others turn it on and
 * say how much. Errors: USAGE. */
VG_NODISCARD vg_status vg_effort_read(vg_request *r, const vg_json *v, vg_err *err);
VG_NODISCARD vg_status vg_thinking_set(vg_request *r, bool on, vg_err *err);

/* One of the words, or USAGE that lists them. */
VG_NODISCARD vg_status vg_one_of(const vg_json *v, const char *const *word, size_t n, size_t *out,
                                 vg_err *err);
#endif
