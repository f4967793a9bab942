/* Ollama's messages in the form that chat templates are written for, OpenAI's: "thinking" becomes
 * "reasoning_content", a tool's name becomes "name", and calls get the ids that templates of some
 * families insist on, since Ollama's clients do not keep them: an answer of a tool belongs to the
 * first call of that name which has none yet. */
#include <stdio.h>

#include "serve/ollama_int.h"

enum { MAX_OPEN_CALLS = 256 };

typedef struct message {
    vg_str role, content, thinking, tool_name, tool_call_id;
    const vg_json *tool_calls, *images;
} message;

#define AT(member) .at = offsetof(message, member)
static const vg_field message_fields[] = {
    {"role", VG_FIELD_TEXT, AT(role)},
    {"content", VG_FIELD_TEXT, AT(content)},
    {"thinking", VG_FIELD_TEXT, AT(thinking)},
    {"tool_calls", VG_FIELD_JSON, AT(tool_calls)},
    {"tool_name", VG_FIELD_TEXT, AT(tool_name)},
    {"name", VG_FIELD_TEXT, AT(tool_name)},
    {"tool_call_id", VG_FIELD_TEXT, AT(tool_call_id)},
    {"images", VG_FIELD_REFUSED, .why = "this server reads text alone"},
};
#undef AT

typedef struct call {
    vg_str id, name;
    int64_t index;
    const vg_json *function, *arguments;
} call;

#define AT(member) .at = offsetof(call, member)
static const vg_field call_fields[] = {
    {"id", VG_FIELD_TEXT, AT(id)},
    {"type", .kind = VG_FIELD_UNUSED},
    {"function", VG_FIELD_JSON, AT(function)},
};
static const vg_field function_fields[] = {
    {"index", VG_FIELD_INT, AT(index), .min = -0x1p53, .max = 0x1p53},
    {"name", VG_FIELD_TEXT, AT(name)},
    {"arguments", VG_FIELD_JSON, AT(arguments)},
    {"description", .kind = VG_FIELD_UNUSED},
};
#undef AT

/* Calls that no tool has answered yet. */
typedef struct state {
    vg_make make;
    call open[MAX_OPEN_CALLS];
    size_t n_open, n_calls;
} state;

/* Nine letters and digits: one family's template takes no other ids. */
static vg_str next_id(state *s)
{
    char *id = vg_arena_alloc(s->make.arena, 10, 1);
    if (!id) {
        s->make.failed = true;
        return (vg_str){0};
    }
    size_t n = s->n_calls++;
    memcpy(id, "call00000", 10);
    for (size_t i = 8; i > 3; i--, n /= 10) id[i] = (char)('0' + n % 10);
    return (vg_str){id, 9};
}

static vg_status put_call(state *s, const vg_json *v, vg_json *list, vg_err *err)
{
    call c = {0};
    VG_TRY(vg_fields_read(v, "messages.tool_calls.", call_fields, VG_COUNT(call_fields), &c,
                          err));
    if (!c.function)
        return VG_FAIL(err, VG_E_USAGE, "messages.tool_calls: a call without a function");
    VG_TRY(vg_fields_read(c.function, "messages.tool_calls.function.", function_fields,
                          VG_COUNT(function_fields), &c, err));
    if (!c.name.n) return VG_FAIL(err, VG_E_USAGE, "messages.tool_calls: a call without a name");
    if (c.arguments && c.arguments->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE,
                       "messages.tool_calls.function.arguments: must be an object");
    if (!c.id.n) c.id = next_id(s);
    vg_make *m = &s->make;
    vg_json *function = vg_make_object(m, 2), *out = vg_make_object(m, 3);
    vg_make_add(m, function, "name", vg_make_text(m, c.name));
    vg_make_add(m, function, "arguments", c.arguments ? c.arguments : vg_make_object(m, 0));
    vg_make_add(m, out, "id", vg_make_text(m, c.id));
    vg_make_add(m, out, "type", vg_make_text(m, VG_STR("function")));
    vg_make_add(m, out, "function", function);
    vg_make_add(m, list, NULL, out);
    if (s->n_open < MAX_OPEN_CALLS) s->open[s->n_open++] = c;
    return VG_OK;
}

static vg_status put_calls(state *s, const vg_json *calls, vg_json *out, vg_err *err)
{
    if (calls->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "messages.tool_calls: must be an array");
    if (!calls->n) return VG_OK;
    vg_json *list = vg_make_array(&s->make, calls->n);
    s->n_open = 0;
    for (size_t i = 0; i < calls->n; i++) VG_TRY(put_call(s, calls->item[i], list, err));
    vg_make_add(&s->make, out, "tool_calls", list);
    return VG_OK;
}

/* Which call a tool's message answers: the first open one of its name, or any where it has none. */
static void answer_call(state *s, message *m)
{
    for (size_t i = 0; i < s->n_open; i++) {
        bool by_id = m->tool_call_id.n && vg_str_eq(m->tool_call_id, s->open[i].id);
        bool by_name = !m->tool_call_id.n &&
                       (!m->tool_name.n || vg_str_eq(m->tool_name, s->open[i].name));
        if (!by_id && !by_name) continue;
        m->tool_call_id = s->open[i].id;
        if (!m->tool_name.n) m->tool_name = s->open[i].name;
        s->n_open--;
        memmove(s->open + i, s->open + i + 1, (s->n_open - i) * sizeof *s->open);
        return;
    }
}

/* Roles are written in any case, as Ollama reads them. */
static const char *role_of(vg_str role)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < VG_COUNT(roles); i++) {
        size_t k = 0;
        while (k < role.n && roles[i][k] && (role.p[k] | 0x20) == roles[i][k]) k++;
        if (k == role.n && !roles[i][k]) return roles[i];
    }
    return NULL;
}

static vg_status put_message(state *s, const vg_json *v, const char *where, vg_json *list,
                             vg_err *err)
{
    message in = {0};
    VG_TRY(vg_fields_read(v, where, message_fields, VG_COUNT(message_fields), &in, err));
    const char *role = role_of(in.role);
    if (!role)
        return VG_FAIL(err, VG_E_USAGE,
                       "%srole: must be system, user, assistant or tool, not \"%.*s\"", where,
                       VG_STR_ARG(in.role));
    vg_make *m = &s->make;
    vg_json *out = vg_make_object(m, 6);
    vg_make_add(m, out, "role", vg_make_text(m, vg_str_from(role)));
    vg_make_add(m, out, "content", vg_make_text(m, in.content));
    if (in.thinking.n) vg_make_add(m, out, "reasoning_content", vg_make_text(m, in.thinking));
    if (in.tool_calls) VG_TRY(put_calls(s, in.tool_calls, out, err));
    if (!strcmp(role, "tool")) answer_call(s, &in);
    if (in.tool_call_id.n)
        vg_make_add(m, out, "tool_call_id", vg_make_text(m, in.tool_call_id));
    if (in.tool_name.n) vg_make_add(m, out, "name", vg_make_text(m, in.tool_name));
    vg_make_add(m, list, NULL, out);
    return VG_OK;
}

vg_status vg_ollama_messages(vg_request *r, const vg_json *v, vg_err *err)
{
    if (v->kind != VG_JSON_ARRAY) return VG_FAIL(err, VG_E_USAGE, "messages: must be an array");
    state *s = VG_ARENA_NEW(r->arena, state);
    if (!s) return VG_FAIL_MEMORY(err, sizeof *s);
    s->make.arena = r->arena;
    vg_json *list = vg_make_array(&s->make, v->n);
    for (size_t i = 0; i < v->n; i++) {
        char where[48];
        snprintf(where, sizeof where, "messages[%zu].", i);
        VG_TRY(put_message(s, v->item[i], where, list, err));
    }
    if (s->make.failed) return VG_FAIL_MEMORY(err, v->n);
    r->messages = list;
    const vg_json *last = v->n ? list->item[v->n - 1] : NULL;
    r->continue_last = last && !vg_json_get(last, "tool_calls") &&
                       vg_str_is(vg_json_get(last, "role")->str, "assistant");
    return VG_OK;
}
