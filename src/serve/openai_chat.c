/* OpenAI's chat completions, the asking half: /v1/chat/completions. Messages come in the form that
 * templates want, up to a few words: "developer" is "system", parts of text are one text, arguments
 * are objects and not texts of objects. */
#include <stdio.h>

#include "serve/openai_int.h"

/* ---- messages -------------------------------------------------------------------------------- */

typedef struct message {
    vg_str role, name, tool_call_id, refusal, reasoning;
    const vg_json *content, *tool_calls;
} message;

#define AT(member) .at = offsetof(message, member)
static const vg_field message_fields[] = {
    {"role", VG_FIELD_TEXT, AT(role)},
    {"content", VG_FIELD_JSON, AT(content)},
    {"name", VG_FIELD_TEXT, AT(name)},
    {"tool_calls", VG_FIELD_JSON, AT(tool_calls)},
    {"tool_call_id", VG_FIELD_TEXT, AT(tool_call_id)},
    {"refusal", VG_FIELD_TEXT, AT(refusal)},
    {"reasoning_content", VG_FIELD_TEXT, AT(reasoning)},
    {"reasoning", VG_FIELD_TEXT, AT(reasoning)},
    {"function_call", VG_FIELD_REFUSED, .why = "use tool_calls"},
    {"audio", VG_FIELD_REFUSED, .why = "this server reads text alone"},
    {"annotations", VG_NO_EFFECT},
    {"cache_control", VG_NO_EFFECT},
};
#undef AT

typedef struct call {
    vg_str id, type, name, args;
    const vg_json *function, *custom;
} call;

#define AT(member) .at = offsetof(call, member)
static const vg_field call_fields[] = {
    {"id", VG_FIELD_TEXT, AT(id)},
    {"type", VG_FIELD_TEXT, AT(type)},
    {"function", VG_FIELD_JSON, AT(function)},
    {"custom", VG_FIELD_REFUSED, .why = "tools are functions here"},
    {"index", VG_NO_EFFECT},
};
static const vg_field function_fields[] = {
    {"name", VG_FIELD_TEXT, AT(name)},
    {"arguments", VG_FIELD_TEXT, AT(args)},
};
#undef AT

static vg_status read_call(vg_talk *t, const vg_json *v, const char *where, vg_err *err)
{
    call c = {0};
    char name[128];
    VG_TRY(vg_fields_read(v, where, call_fields, VG_COUNT(call_fields), &c, err));
    if (!c.function) return VG_FAIL(err, VG_E_USAGE, "%sfunction: is missing", where);
    snprintf(name, sizeof name, "%.90sfunction.", where);
    VG_TRY(vg_fields_read(c.function, name, function_fields, VG_COUNT(function_fields), &c, err));
    if (!c.name.n) return VG_FAIL(err, VG_E_USAGE, "%sname: is missing", name);
    snprintf(name, sizeof name, "%.90sfunction.arguments", where);
    const vg_json *args = NULL;
    VG_TRY(vg_args_read(&t->make, c.args, name, &args, err));
    vg_talk_call(t, c.id, c.name, args);
    return VG_OK;
}

static vg_status read_calls(vg_talk *t, const vg_json *calls, const char *where, vg_err *err)
{
    if (calls->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "%stool_calls: must be an array", where);
    for (size_t i = 0; i < calls->n; i++) {
        char name[96];
        snprintf(name, sizeof name, "%.48stool_calls[%zu].", where, i);
        VG_TRY(read_call(t, calls->item[i], name, err));
    }
    return VG_OK;
}

static vg_status read_message(vg_talk *t, const vg_json *v, const char *where, vg_err *err)
{
    static const char *const types[] = {"text", "refusal"};
    static const char *const roles[][2] = {{"system", "system"},
                                           {"developer", "system"},
                                           {"user", "user"},
                                           {"assistant", "assistant"},
                                           {"tool", "tool"}};
    message in = {0};
    VG_TRY(vg_fields_read(v, where, message_fields, VG_COUNT(message_fields), &in, err));
    size_t role = 0;
    while (role < VG_COUNT(roles) && !vg_str_is(in.role, roles[role][0])) role++;
    if (role == VG_COUNT(roles))
        return VG_FAIL(err, vg_str_is(in.role, "function") ? VG_E_UNSUPPORTED : VG_E_USAGE,
                       "%srole: must be system, developer, user, assistant or tool, not \"%.*s\"",
                       where, VG_STR_ARG(in.role));
    bool own = vg_str_is(in.role, "assistant"), tool = vg_str_is(in.role, "tool");
    char name[64];
    vg_str text;
    snprintf(name, sizeof name, "%scontent", where);
    if (!own && !in.content) return VG_FAIL(err, VG_E_USAGE, "%s: is missing", name);
    VG_TRY(vg_content_text(&t->make, in.content, name, types, own ? 2 : 1, &text, err));
    if (!text.n && own) text = in.refusal.n ? in.refusal : text;
    if (tool && !in.tool_call_id.n)
        return VG_FAIL(err, VG_E_USAGE, "%stool_call_id: is missing", where);
    if (tool) vg_talk_answer(t, in.tool_call_id, text);
    else vg_talk_add(t, roles[role][1], text);
    if (in.name.n && !tool) vg_talk_set(t, "name", in.name);
    if (in.reasoning.n && own) vg_talk_set(t, "reasoning_content", in.reasoning);
    if (!in.tool_calls) return VG_OK;
    if (!own) return VG_FAIL(err, VG_E_USAGE, "%stool_calls: only an assistant calls", where);
    return read_calls(t, in.tool_calls, where, err);
}

static vg_status read_messages(vg_request *r, vg_err *err)
{
    const vg_json *v = r->messages;
    vg_talk t;
    if (!v || v->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "messages: must be an array of messages");
    VG_TRY(vg_talk_begin(&t, r, v->n, err));
    for (size_t i = 0; i < v->n; i++) {
        char where[48];
        snprintf(where, sizeof where, "messages[%zu].", i);
        VG_TRY(read_message(&t, v->item[i], where, err));
    }
    VG_TRY(vg_talk_end(&t, err));
    if (r->continue_last && !vg_talk_last_is(&t, "assistant"))
        return VG_FAIL(err, VG_E_USAGE,
                       "continue_final_message: the last message is not an "
                       "assistant's");
    return VG_OK;
}

/* ---- tools ----------------------------------------------------------------------------------- */

typedef struct tool_words {
    vg_str type;
    const vg_json *function;
    vg_tool tool;
} tool_words;

static vg_status read_tool(vg_make *m, const vg_json *v, vg_json *list, size_t i, vg_err *err)
{
    static const vg_field outer[] = {
        {"type", VG_FIELD_TEXT, .at = offsetof(tool_words, type)},
        {"function", VG_FIELD_JSON, .at = offsetof(tool_words, function)},
        {"custom", VG_FIELD_REFUSED, .why = "tools are functions here"},
        {"cache_control", VG_NO_EFFECT},
    };
    static const vg_field inner[] = {
        {"name", VG_FIELD_TEXT, .at = offsetof(tool_words, tool.name)},
        {"description", VG_FIELD_JSON, .at = offsetof(tool_words, tool.description)},
        {"parameters", VG_FIELD_JSON, .at = offsetof(tool_words, tool.parameters)},
        {"strict", VG_FIELD_BOOL, .at = offsetof(tool_words, tool.strict)},
    };
    tool_words w = {0};
    char where[64];
    snprintf(where, sizeof where, "tools[%zu].", i);
    VG_TRY(vg_fields_read(v, where, outer, VG_COUNT(outer), &w, err));
    if (!vg_str_is(w.type, "function"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%stype: must be \"function\", not \"%.*s\"", where,
                       VG_STR_ARG(w.type));
    if (!w.function) return VG_FAIL(err, VG_E_USAGE, "%sfunction: is missing", where);
    snprintf(where, sizeof where, "tools[%zu].function.", i);
    VG_TRY(vg_fields_read(w.function, where, inner, VG_COUNT(inner), &w, err));
    return vg_tool_add(m, list, &w.tool, where, err);
}

static vg_status read_parallel(void *request, const vg_json *v, vg_err *err)
{
    bool several = true;
    VG_TRY(vg_field_bool(v, &several, err));
    ((vg_request *)request)->one_tool = !several;
    return VG_OK;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static vg_status read_format(void *request, const vg_json *v, vg_err *err)
{
    static const char *const types[] = {"text", "json_object", "json_schema"};
    vg_request *r = request;
    const vg_json *type = vg_json_get(v, "type"), *schema = vg_json_get(v, "json_schema");
    size_t i = 0;
    if (!type) return VG_FAIL(err, VG_E_USAGE, "must be an object that has a type");
    vg_status st = vg_one_of(type, types, VG_COUNT(types), &i, err);
    if (st) return vg_err_context(err, st, "type");
    if (i == 1) r->form = VG_FORM_JSON_OBJECT;
    if (i == 2 && !schema) return VG_FAIL(err, VG_E_USAGE, "json_schema is missing");
    return i == 2 ? vg_openai_schema(r, schema, "json_schema.", err) : VG_OK;
}

static vg_status read_modalities(void *request, const vg_json *v, vg_err *err)
{
    VG_UNUSED(request);
    VG_TRY(vg_field_kind_is(v, VG_JSON_ARRAY, err));
    for (size_t i = 0; i < v->n; i++)
        if (v->item[i]->kind != VG_JSON_STRING || !vg_str_is(v->item[i]->str, "text"))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "this server writes text alone");
    return VG_OK;
}

static vg_status read_verbosity(void *request, const vg_json *v, vg_err *err)
{
    static const char *const words[] = {"medium"};
    VG_UNUSED(request);
    size_t i;
    return vg_one_of(v, words, VG_COUNT(words), &i, err);
}

static vg_status read_template_args(void *request, const vg_json *v, vg_err *err)
{
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    for (size_t i = 0; i < v->n; i++) {
        char key[128];
        if (v->key[i].n >= sizeof key || memchr(v->key[i].p, 0, v->key[i].n))
            return VG_FAIL(err, VG_E_USAGE, "a name is too long");
        vg_request *r = request;
        char *name = vg_arena_text(r->arena, v->key[i]);
        if (!name) return VG_FAIL_MEMORY(err, v->key[i].n);
        VG_TRY(vg_template_set(r, name, v->item[i], err));
    }
    return VG_OK;
}

static vg_status read_effort(void *request, const vg_json *v, vg_err *err)
{
    return vg_effort_read(request, v, err);
}

static vg_status read_generation_prompt(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    bool begins = true;
    VG_TRY(vg_field_bool(v, &begins, err));
    if (begins == r->continue_last)
        return VG_FAIL(err, VG_E_USAGE,
                       begins ? "cannot be true with continue_final_message"
                              : "is false only with continue_final_message");
    return VG_OK;
}

static vg_status read_reasoning_format(void *request, const vg_json *v, vg_err *err)
{
    static const char *const words[] = {"auto", "deepseek", "none"};
    size_t i = 0;
    VG_TRY(vg_one_of(v, words, VG_COUNT(words), &i, err));
    ((vg_request *)request)->keep_reasoning = i == 2;
    return VG_OK;
}

static const vg_field chat_fields[] = {
    {"messages", VG_FIELD_JSON, VG_IN(messages)},
    VG_OPENAI_SAMPLING,
    {"max_completion_tokens", VG_FIELD_OTHER, .read = vg_openai_max_tokens},
    {"logprobs", VG_FIELD_BOOL, VG_IN(logprobs)},
    {"top_logprobs", VG_FIELD_COUNT, VG_IN(n_top), .max = VG_MAX_TOP},
    {"response_format", VG_FIELD_OTHER, .read = read_format},
    {"tools", VG_FIELD_JSON, VG_IN(tools)},
    {"tool_choice", VG_NO_EFFECT}, /* read when the tools are known */
    {"parallel_tool_calls", VG_FIELD_OTHER, .read = read_parallel},
    {"chat_template_kwargs", VG_FIELD_OTHER, .read = read_template_args},
    {"reasoning_effort", VG_FIELD_OTHER, .read = read_effort},
    {"reasoning_format", VG_FIELD_OTHER, .read = read_reasoning_format},
    {"continue_final_message", VG_FIELD_BOOL, VG_IN(continue_last)},
    {"add_generation_prompt", VG_FIELD_OTHER, .read = read_generation_prompt},
    {"store", VG_FIELD_OTHER, .read = vg_openai_false},
    {"modalities", VG_FIELD_OTHER, .read = read_modalities},
    {"verbosity", VG_FIELD_OTHER, .read = read_verbosity},
    {"prediction", VG_NO_EFFECT}, /* it makes an answer fast, not another one */
    {"functions", VG_FIELD_REFUSED, .why = "use tools"},
    {"function_call", VG_FIELD_REFUSED, .why = "use tool_choice"},
    {"audio", VG_FIELD_REFUSED, .why = "this server writes text alone"},
    {"moderation", VG_FIELD_REFUSED, .why = "nothing here moderates"},
    {"web_search_options", VG_FIELD_REFUSED, .why = "no request leaves the device"},
};

vg_status vg_openai_chat_parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    r->ask = VG_ASK_CHAT;
    r->route = vg_str_from(route);
    r->body = body;
    vg_openai_defaults(r);
    VG_TRY(vg_fields_read(body, "", chat_fields, VG_COUNT(chat_fields), r, err));
    VG_TRY(read_messages(r, err));
    VG_TRY(vg_tools_read(r, read_tool, err));
    VG_TRY(vg_openai_tool_choice(r, vg_json_get(body, "tool_choice"), "function", err));
    if (r->n_top && !r->logprobs)
        return VG_FAIL(err, VG_E_USAGE, "top_logprobs: needs logprobs to be true");
    return vg_openai_check(r, err);
}
