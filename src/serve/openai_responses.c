/* OpenAI's Responses, the asking half: /v1/responses. Its input is a list of items: messages,
 * calls, answers of tools and reasoning, each on its own; templates want calls and reasoning inside
 * of the assistant's messages, so they are put together here. Nothing is kept from one request to
 * the next, so what refers to an earlier one is refused. */
#include <stdio.h>

#include "serve/openai_int.h"

/* ---- items ----------------------------------------------------------------------------------- */

typedef struct item {
    vg_str type, role, call_id, name, args;
    const vg_json *content, *output, *summary;
} item;

#define AT(member) .at = offsetof(item, member)
#define COMMON                                                                                     \
    {"type", VG_FIELD_TEXT, AT(type)}, {"id", VG_NO_EFFECT}, {"status", VG_NO_EFFECT},             \
    {                                                                                              \
        "phase", VG_NO_EFFECT                                                                      \
    }
static const vg_field message_fields[] = {
    COMMON,
    {"role", VG_FIELD_TEXT, AT(role)},
    {"content", VG_FIELD_JSON, AT(content)},
};
static const vg_field call_fields[] = {
    COMMON,
    {"call_id", VG_FIELD_TEXT, AT(call_id)},
    {"name", VG_FIELD_TEXT, AT(name)},
    {"arguments", VG_FIELD_TEXT, AT(args)},
    {"namespace", VG_FIELD_REFUSED, .why = "tools have names alone here"},
};
static const vg_field output_fields[] = {
    COMMON,
    {"call_id", VG_FIELD_TEXT, AT(call_id)},
    {"output", VG_FIELD_JSON, AT(output)},
    {"name", VG_NO_EFFECT},
};
static const vg_field reasoning_fields[] = {
    COMMON,
    {"summary", VG_FIELD_JSON, AT(summary)},
    {"content", VG_FIELD_JSON, AT(content)},
    {"encrypted_content", VG_FIELD_REFUSED, .why = "reasoning is in plain words here"},
};
#undef AT

typedef struct state {
    vg_talk talk;
    vg_str reasoning; /* for the assistant's next message */
} state;

static void add_own(state *s, vg_str text)
{
    vg_talk_add(&s->talk, "assistant", text);
    if (s->reasoning.n) vg_talk_set(&s->talk, "reasoning_content", s->reasoning);
    s->reasoning.n = 0;
}

static vg_status read_message(state *s, const vg_json *v, const char *where, vg_err *err)
{
    static const char *const types[] = {"input_text", "output_text", "text", "refusal"};
    static const char *const roles[][2] = {
        {"system", "system"}, {"developer", "system"}, {"user", "user"}, {"assistant", ""}};
    item in = {0};
    char name[64];
    vg_str text;
    VG_TRY(vg_fields_read(v, where, message_fields, VG_COUNT(message_fields), &in, err));
    size_t role = 0;
    while (role < VG_COUNT(roles) && !vg_str_is(in.role, roles[role][0])) role++;
    if (role == VG_COUNT(roles))
        return VG_FAIL(err, VG_E_USAGE,
                       "%srole: must be system, developer, user or assistant, not \"%.*s\"", where,
                       VG_STR_ARG(in.role));
    snprintf(name, sizeof name, "%.48scontent", where);
    if (!in.content) return VG_FAIL(err, VG_E_USAGE, "%s: is missing", name);
    VG_TRY(vg_content_text(&s->talk.make, in.content, name, types, VG_COUNT(types), &text, err));
    if (*roles[role][1]) vg_talk_add(&s->talk, roles[role][1], text);
    else add_own(s, text);
    return VG_OK;
}

static vg_status read_call(state *s, const vg_json *v, const char *where, vg_err *err)
{
    item in = {0};
    char name[64];
    const vg_json *args = NULL;
    VG_TRY(vg_fields_read(v, where, call_fields, VG_COUNT(call_fields), &in, err));
    if (!in.name.n) return VG_FAIL(err, VG_E_USAGE, "%sname: is missing", where);
    if (!in.call_id.n) return VG_FAIL(err, VG_E_USAGE, "%scall_id: is missing", where);
    snprintf(name, sizeof name, "%.48sarguments", where);
    VG_TRY(vg_args_read(&s->talk.make, in.args, name, &args, err));
    if (s->reasoning.n || !vg_talk_last_is(&s->talk, "assistant")) add_own(s, VG_STR(""));
    vg_talk_call(&s->talk, in.call_id, in.name, args);
    return VG_OK;
}

static vg_status read_output(state *s, const vg_json *v, const char *where, vg_err *err)
{
    static const char *const types[] = {"input_text"};
    item in = {0};
    char name[64];
    vg_str text;
    VG_TRY(vg_fields_read(v, where, output_fields, VG_COUNT(output_fields), &in, err));
    if (!in.call_id.n) return VG_FAIL(err, VG_E_USAGE, "%scall_id: is missing", where);
    snprintf(name, sizeof name, "%.48soutput", where);
    if (!in.output) return VG_FAIL(err, VG_E_USAGE, "%s: is missing", name);
    VG_TRY(vg_content_text(&s->talk.make, in.output, name, types, 1, &text, err));
    vg_talk_answer(&s->talk, in.call_id, text);
    return VG_OK;
}

static vg_status read_reasoning(state *s, const vg_json *v, const char *where, vg_err *err)
{
    static const char *const types[] = {"reasoning_text", "summary_text"};
    item in = {0};
    char name[64];
    VG_TRY(vg_fields_read(v, where, reasoning_fields, VG_COUNT(reasoning_fields), &in, err));
    bool whole = in.content && in.content->n;
    snprintf(name, sizeof name, "%.48s%s", where, whole ? "content" : "summary");
    return vg_content_text(&s->talk.make, whole ? in.content : in.summary, name, types, 2,
                           &s->reasoning, err);
}

static vg_status read_item(state *s, const vg_json *v, const char *where, vg_err *err)
{
    const vg_json *type = vg_json_get(v, "type");
    vg_str t = type && type->kind == VG_JSON_STRING ? type->str : VG_STR("message");
    if (vg_str_is(t, "message")) return read_message(s, v, where, err);
    if (vg_str_is(t, "function_call")) return read_call(s, v, where, err);
    if (vg_str_is(t, "function_call_output")) return read_output(s, v, where, err);
    if (vg_str_is(t, "reasoning")) return read_reasoning(s, v, where, err);
    return VG_FAIL(err, VG_E_UNSUPPORTED,
                   "%stype: \"%.*s\" is not supported: items are messages, function_call, "
                   "function_call_output and reasoning here",
                   where, VG_STR_ARG(t));
}

static vg_status read_input(vg_request *r, const vg_json *body, vg_err *err)
{
    const vg_json *input = vg_json_get(body, "input");
    const vg_json *instructions = vg_json_get(body, "instructions");
    if (!input || (input->kind != VG_JSON_STRING && input->kind != VG_JSON_ARRAY))
        return VG_FAIL(err, VG_E_USAGE, "input: must be a text or an array of items");
    state s = {0};
    VG_TRY(vg_talk_begin(&s.talk, r, 2 + 2 * input->n, err));
    if (instructions && instructions->kind == VG_JSON_STRING && instructions->str.n)
        vg_talk_add(&s.talk, "system", instructions->str);
    if (input->kind == VG_JSON_STRING) vg_talk_add(&s.talk, "user", input->str);
    for (size_t i = 0; i < input->n; i++) {
        char where[40];
        snprintf(where, sizeof where, "input[%zu].", i);
        VG_TRY(read_item(&s, input->item[i], where, err));
    }
    if (!s.talk.make.failed && !s.talk.list->n)
        return VG_FAIL(err, VG_E_USAGE, "input: there is nothing in it");
    return vg_talk_end(&s.talk, err);
}

/* ---- tools ----------------------------------------------------------------------------------- */

static vg_status read_tool(vg_make *m, const vg_json *v, vg_json *list, size_t i, vg_err *err)
{
    static const vg_field fields[] = {
        {"type", VG_NO_EFFECT}, /* read below */
        {"name", VG_FIELD_TEXT, .at = offsetof(vg_tool, name)},
        {"description", VG_FIELD_JSON, .at = offsetof(vg_tool, description)},
        {"parameters", VG_FIELD_JSON, .at = offsetof(vg_tool, parameters)},
        {"strict", VG_FIELD_BOOL, .at = offsetof(vg_tool, strict)},
        {"async", VG_FIELD_REFUSED, .why = "calls end an answer here"},
        {"defer_loading", VG_FIELD_REFUSED, .why = "every tool is shown to the model"},
        {"output_schema", VG_FIELD_REFUSED, .why = "templates have no place for it"},
    };
    vg_tool tool = {0};
    char where[48];
    snprintf(where, sizeof where, "tools[%zu].", i);
    const vg_json *type = vg_json_get(v, "type");
    if (!type || type->kind != VG_JSON_STRING || !vg_str_is(type->str, "function"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "%stype: must be \"function\"%s%.*s%s", where,
                       type ? ", not \"" : "", VG_STR_ARG(type ? type->str : (vg_str){0}),
                       type ? "\"" : "");
    VG_TRY(vg_fields_read(v, where, fields, VG_COUNT(fields), &tool, err));
    return vg_tool_add(m, list, &tool, where, err);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static vg_status one_word(const vg_json *v, const char *key, const char *word, vg_err *err)
{
    size_t i;
    vg_status st = vg_one_of(v, &word, 1, &i, err);
    return st && key ? vg_err_context(err, st, "%s", key) : st;
}

static vg_status read_format(vg_request *r, const vg_json *v, vg_err *err)
{
    static const char *const types[] = {"text", "json_object", "json_schema"};
    const vg_json *type = vg_json_get(v, "type");
    size_t i = 0;
    if (!type) return VG_FAIL(err, VG_E_USAGE, "format: must be an object that has a type");
    vg_status st = vg_one_of(type, types, VG_COUNT(types), &i, err);
    if (st) return vg_err_context(err, st, "format.type");
    if (i == 1) r->form = VG_FORM_JSON_OBJECT;
    return i == 2 ? vg_openai_schema(r, v, "format.", err) : VG_OK;
}

static vg_status read_text(void *request, const vg_json *v, vg_err *err)
{
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    for (size_t i = 0; i < v->n; i++) {
        if (v->item[i]->kind == VG_JSON_NULL) continue;
        vg_status st = VG_OK;
        if (vg_str_is(v->key[i], "format")) st = read_format(request, v->item[i], err);
        else if (vg_str_is(v->key[i], "verbosity"))
            st = one_word(v->item[i], "verbosity", "medium", err);
        else
            st = VG_FAIL(err, VG_E_UNSUPPORTED, "%.*s: no field of that name is supported",
                         VG_STR_ARG(v->key[i]));
        if (st) return st;
    }
    return VG_OK;
}

static vg_status read_effort(void *request, const vg_json *v, vg_err *err)
{
    return vg_effort_read(request, v, err);
}

static vg_status read_reasoning_words(void *request, const vg_json *v, vg_err *err)
{
    static const vg_field fields[] = {
        {"effort", VG_FIELD_OTHER, .read = read_effort},
        {"summary", VG_FIELD_REFUSED, .why = "reasoning is told whole"},
        {"generate_summary", VG_FIELD_REFUSED, .why = "reasoning is told whole"},
        {"context", VG_FIELD_REFUSED, .why = "templates decide which reasoning stays"},
        {"mode", VG_FIELD_REFUSED, .why = "there is one"},
    };
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    return vg_fields_read(v, "", fields, VG_COUNT(fields), request, err);
}

static vg_status read_truncation(void *request, const vg_json *v, vg_err *err)
{
    VG_UNUSED(request);
    return one_word(v, NULL, "disabled", err);
}

static vg_status read_include(void *request, const vg_json *v, vg_err *err)
{
    VG_TRY(vg_field_kind_is(v, VG_JSON_ARRAY, err));
    for (size_t i = 0; i < v->n; i++) {
        vg_str s;
        VG_TRY(vg_field_text(v->item[i], &s, err));
        if (vg_str_is(s, "message.output_text.logprobs")) ((vg_request *)request)->logprobs = true;
        /* Asked for by clients that send reasoning back, which they can do in plain words here. */
        else if (!vg_str_is(s, "reasoning.encrypted_content"))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "\"%.*s\" is not supported", VG_STR_ARG(s));
    }
    return VG_OK;
}

static vg_status read_instructions(void *request, const vg_json *v, vg_err *err)
{
    VG_UNUSED(request);
    return vg_field_kind_is(v, VG_JSON_STRING, err);
}

static vg_status read_parallel(void *request, const vg_json *v, vg_err *err)
{
    bool several = true;
    VG_TRY(vg_field_bool(v, &several, err));
    ((vg_request *)request)->one_tool = !several;
    return VG_OK;
}

#define KEPT .why = "this server keeps no answers"
static const vg_field fields[] = {
    {"model", VG_FIELD_TEXT, VG_IN(model)},
    {"input", VG_NO_EFFECT}, /* read at the end */
    {"instructions", VG_FIELD_OTHER, .read = read_instructions},
    {"temperature", VG_FIELD_REAL, VG_IN(sampling.temp), .max = 2},
    {"top_p", VG_FIELD_OTHER, .read = vg_openai_top_p},
    {"max_output_tokens", VG_FIELD_OTHER, .read = vg_openai_max_tokens},
    {"stream", VG_FIELD_BOOL, VG_IN(stream)},
    {"stream_options", VG_FIELD_OTHER, .read = vg_openai_stream_options},
    {"tools", VG_FIELD_JSON, VG_IN(tools)},
    {"tool_choice", VG_NO_EFFECT}, /* read when the tools are known */
    {"parallel_tool_calls", VG_FIELD_OTHER, .read = read_parallel},
    {"text", VG_FIELD_OTHER, .read = read_text},
    {"reasoning", VG_FIELD_OTHER, .read = read_reasoning_words},
    {"include", VG_FIELD_OTHER, .read = read_include},
    {"top_logprobs", VG_FIELD_COUNT, VG_IN(n_top), .max = VG_MAX_TOP},
    {"truncation", VG_FIELD_OTHER, .read = read_truncation},
    {"service_tier", VG_FIELD_OTHER, .read = vg_openai_tier},
    {"store", VG_FIELD_OTHER, .read = vg_openai_false},
    {"background", VG_FIELD_OTHER, .read = vg_openai_false},
    {"metadata", VG_NO_EFFECT},
    {"user", VG_NO_EFFECT},
    {"safety_identifier", VG_NO_EFFECT},
    {"prompt_cache_key", VG_NO_EFFECT},
    {"prompt_cache_retention", VG_NO_EFFECT},
    {"prompt_cache_options", VG_NO_EFFECT},
    {"max_tool_calls", VG_NO_EFFECT}, /* of tools that the server runs itself, which has none */
    {"previous_response_id", VG_FIELD_REFUSED, KEPT},
    {"conversation", VG_FIELD_REFUSED, KEPT},
    {"prompt", VG_FIELD_REFUSED, .why = "this server keeps no prompts"},
    {"background_options", VG_FIELD_REFUSED, KEPT},
    {"context_management", VG_FIELD_REFUSED, .why = "a context is never cut in silence"},
    {"moderation", VG_FIELD_REFUSED, .why = "nothing here moderates"},
    {"image", VG_FIELD_REFUSED, .why = "this server reads text alone"},
    {"access_programs", VG_FIELD_REFUSED, .why = "there are none here"},
};

vg_status vg_openai_responses_parse(vg_request *r, const char *route, const vg_json *body,
                                    vg_err *err)
{
    r->ask = VG_ASK_CHAT;
    r->route = vg_str_from(route);
    r->body = body;
    vg_openai_defaults(r);
    VG_TRY(vg_fields_read(body, "", fields, VG_COUNT(fields), r, err));
    VG_TRY(vg_tools_read(r, read_tool, err));
    VG_TRY(vg_openai_tool_choice(r, vg_json_get(body, "tool_choice"), NULL, err));
    VG_TRY(read_input(r, body, err));
    if (r->n_top) r->logprobs = true;
    return vg_openai_check(r, err);
}
