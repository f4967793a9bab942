/* Anthropic's messages, the asking half: /v1/messages and /v1/messages/count_tokens. A message's
 * blocks are taken apart into what templates know: text, reasoning, calls, and the answers of
 * tools, which are messages of their own there. Where the last message is the assistant's, the
 * model goes on with it. */
#include <stdio.h>

#include "serve/anthropic_int.h"
#include "serve/messages.h"

#define IN(member) .at = offsetof(vg_request, member)
#define NO_EFFECT .kind = VG_FIELD_UNUSED

static const char *const text_types[] = {"text"};

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef struct block {
    vg_str type, text, thinking, id, name, tool_use_id;
    const vg_json *input, *content;
    bool is_error;
} block;

#define AT(member) .at = offsetof(block, member)
static const vg_field text_fields[] = {
    {"type", VG_FIELD_TEXT, AT(type)},
    {"text", VG_FIELD_TEXT, AT(text)},
    {"cache_control", NO_EFFECT},
    {"citations", NO_EFFECT},
};
static const vg_field thinking_fields[] = {
    {"type", VG_FIELD_TEXT, AT(type)},
    {"thinking", VG_FIELD_TEXT, AT(thinking)},
    {"signature", NO_EFFECT},
};
static const vg_field use_fields[] = {
    {"type", VG_FIELD_TEXT, AT(type)}, {"id", VG_FIELD_TEXT, AT(id)},
    {"name", VG_FIELD_TEXT, AT(name)}, {"input", VG_FIELD_JSON, AT(input)},
    {"cache_control", NO_EFFECT},      {"caller", NO_EFFECT},
};
static const vg_field result_fields[] = {
    {"type", VG_FIELD_TEXT, AT(type)},
    {"tool_use_id", VG_FIELD_TEXT, AT(tool_use_id)},
    {"content", VG_FIELD_JSON, AT(content)},
    {"is_error", VG_FIELD_BOOL, AT(is_error)},
    {"cache_control", NO_EFFECT},
};
#undef AT

/* The message that the blocks of one turn become; text and reasoning gather until it is known. */
typedef struct turn {
    vg_talk *talk;
    bool own, open; /* open: the message is there */
    vg_buf text, reasoning;
} turn;

static void gather(vg_buf *b, vg_str s)
{
    if (b->n) vg_buf_char(b, '\n');
    vg_buf_str(b, s);
}

static vg_str kept(turn *t, vg_buf *b)
{
    char *p = vg_arena_text(t->talk->make.arena, (vg_str){b->n ? b->data : "", b->n});
    if (!p || b->failed) t->talk->make.failed = true;
    vg_str s = {p, p ? b->n : 0};
    vg_buf_reset(b);
    return s;
}

static void flush(turn *t)
{
    if (!t->text.n && !t->reasoning.n) return;
    vg_str text = kept(t, &t->text);
    vg_talk_add(t->talk, t->own ? "assistant" : "user", text);
    if (t->reasoning.n) vg_talk_set(t->talk, "reasoning_content", kept(t, &t->reasoning));
    t->open = true;
}

static vg_status read_use(turn *t, const vg_json *v, const char *where, vg_err *err)
{
    block b = {0};
    VG_TRY(vg_fields_read(v, where, use_fields, VG_COUNT(use_fields), &b, err));
    if (!t->own) return VG_FAIL(err, VG_E_USAGE, "%stype: only an assistant uses tools", where);
    if (!b.name.n) return VG_FAIL(err, VG_E_USAGE, "%sname: is missing", where);
    if (!b.input || b.input->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "%sinput: must be an object", where);
    flush(t);
    if (!t->open) vg_talk_add(t->talk, "assistant", VG_STR(""));
    t->open = true;
    vg_talk_call(t->talk, b.id, b.name, b.input);
    return VG_OK;
}

static vg_status read_result(turn *t, const vg_json *v, const char *where, vg_err *err)
{
    block b = {0};
    char name[96];
    vg_str text;
    VG_TRY(vg_fields_read(v, where, result_fields, VG_COUNT(result_fields), &b, err));
    if (t->own) return VG_FAIL(err, VG_E_USAGE, "%stype: only a user has results", where);
    if (!b.tool_use_id.n) return VG_FAIL(err, VG_E_USAGE, "%stool_use_id: is missing", where);
    snprintf(name, sizeof name, "%.80scontent", where);
    VG_TRY(vg_content_text(&t->talk->make, b.content, name, text_types, 1, &text, err));
    flush(t);
    if (b.is_error) {
        /* Templates have no other word for it. */
        vg_buf_text(&t->text, "Error: ");
        vg_buf_str(&t->text, text);
        text = kept(t, &t->text);
    }
    vg_talk_answer(t->talk, b.tool_use_id, text);
    return VG_OK;
}

static vg_status read_block(turn *t, const vg_json *v, const char *where, vg_err *err)
{
    const vg_json *type = vg_json_get(v, "type");
    block b = {0};
    if (!type || type->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE, "%stype: must be a text", where);
    if (vg_str_is(type->str, "text")) {
        VG_TRY(vg_fields_read(v, where, text_fields, VG_COUNT(text_fields), &b, err));
        gather(&t->text, b.text);
        return VG_OK;
    }
    if (vg_str_is(type->str, "thinking") && t->own) {
        VG_TRY(vg_fields_read(v, where, thinking_fields, VG_COUNT(thinking_fields), &b, err));
        gather(&t->reasoning, b.thinking);
        return VG_OK;
    }
    if (vg_str_is(type->str, "tool_use")) return read_use(t, v, where, err);
    if (vg_str_is(type->str, "tool_result")) return read_result(t, v, where, err);
    return VG_FAIL(err, VG_E_UNSUPPORTED,
                   "%stype: \"%.*s\" is not supported: this server reads text, thinking, tool_use "
                   "and tool_result",
                   where, VG_STR_ARG(type->str));
}

/* ---- messages -------------------------------------------------------------------------------- */

typedef struct message {
    vg_str role;
    const vg_json *content;
} message;

static vg_status read_blocks(vg_talk *talk, const message *in, const char *where, vg_err *err)
{
    turn t = {.talk = talk, .own = vg_str_is(in->role, "assistant")};
    vg_buf_init(&t.text, SIZE_MAX / 2);
    vg_buf_init(&t.reasoning, SIZE_MAX / 2);
    vg_status st = VG_OK;
    size_t before = talk->list->n;
    for (size_t i = 0; i < in->content->n && !st; i++) {
        char name[80];
        snprintf(name, sizeof name, "%.40scontent[%zu].", where, i);
        st = read_block(&t, in->content->item[i], name, err);
    }
    if (!st) flush(&t);
    vg_buf_clear(&t.text);
    vg_buf_clear(&t.reasoning);
    if (!st && !talk->make.failed && talk->list->n == before)
        vg_talk_add(talk, t.own ? "assistant" : "user", VG_STR(""));
    return st;
}

static vg_status read_message(vg_talk *t, const vg_json *v, const char *where, vg_err *err)
{
    static const vg_field fields[] = {
        {"role", VG_FIELD_TEXT, .at = offsetof(message, role)},
        {"content", VG_FIELD_JSON, .at = offsetof(message, content)},
    };
    static const char *const roles[] = {"user", "assistant", "system"};
    message in = {0};
    VG_TRY(vg_fields_read(v, where, fields, VG_COUNT(fields), &in, err));
    size_t role = 0;
    while (role < VG_COUNT(roles) && !vg_str_is(in.role, roles[role])) role++;
    if (role == VG_COUNT(roles))
        return VG_FAIL(err, VG_E_USAGE, "%srole: must be user or assistant, not \"%.*s\"", where,
                       VG_STR_ARG(in.role));
    char name[64];
    vg_str text;
    snprintf(name, sizeof name, "%.48scontent", where);
    if (!in.content) return VG_FAIL(err, VG_E_USAGE, "%s: is missing", name);
    if (role < 2 && in.content->kind == VG_JSON_ARRAY) return read_blocks(t, &in, where, err);
    VG_TRY(vg_content_text(&t->make, in.content, name, text_types, 1, &text, err));
    vg_talk_add(t, roles[role], text);
    return VG_OK;
}

/* A message gives at most one for each of its blocks, and one more. */
static size_t most_messages(const vg_json *v)
{
    size_t n = 1;
    for (size_t i = 0; i < v->n; i++) {
        const vg_json *content = vg_json_get(v->item[i], "content");
        n += 2 + (content && content->kind == VG_JSON_ARRAY ? 2 * content->n : 0);
    }
    return n;
}

static vg_status read_messages(vg_request *r, const vg_json *system, vg_err *err)
{
    const vg_json *v = r->messages;
    vg_talk t;
    vg_str text;
    if (!v || v->kind != VG_JSON_ARRAY || !v->n)
        return VG_FAIL(err, VG_E_USAGE, "messages: must be an array with a message");
    VG_TRY(vg_talk_begin(&t, r, most_messages(v), err));
    VG_TRY(vg_content_text(&t.make, system, "system", text_types, 1, &text, err));
    if (text.n) vg_talk_add(&t, "system", text);
    for (size_t i = 0; i < v->n; i++) {
        char where[48];
        snprintf(where, sizeof where, "messages[%zu].", i);
        VG_TRY(read_message(&t, v->item[i], where, err));
    }
    VG_TRY(vg_talk_end(&t, err));
    const vg_json *last = t.list->item[t.list->n - 1];
    r->continue_last = vg_talk_last_is(&t, "assistant") && !vg_json_get(last, "tool_calls");
    return VG_OK;
}

/* ---- tools ----------------------------------------------------------------------------------- */

typedef struct tool_words {
    vg_str type;
    vg_tool tool;
} tool_words;

static vg_status read_tool(vg_make *m, const vg_json *v, vg_json *list, size_t i, vg_err *err)
{
    static const vg_field fields[] = {
        {"name", VG_FIELD_TEXT, .at = offsetof(tool_words, tool.name)},
        {"description", VG_FIELD_JSON, .at = offsetof(tool_words, tool.description)},
        {"input_schema", VG_FIELD_JSON, .at = offsetof(tool_words, tool.parameters)},
        {"strict", VG_FIELD_BOOL, .at = offsetof(tool_words, tool.strict)},
        {"type", VG_FIELD_TEXT, .at = offsetof(tool_words, type)},
        {"cache_control", NO_EFFECT},
        {"eager_input_streaming", NO_EFFECT}, /* arguments are always told as they come */
        {"defer_loading", VG_FIELD_REFUSED, .why = "every tool is shown to the model"},
        {"input_examples", VG_FIELD_REFUSED, .why = "templates have no place for it"},
    };
    tool_words w = {0};
    char where[48];
    snprintf(where, sizeof where, "tools[%zu].", i);
    const vg_json *type = vg_json_get(v, "type");
    if (type && type->kind == VG_JSON_STRING && !vg_str_is(type->str, "custom"))
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "%stype: \"%.*s\" is not supported: tools are the client's own here", where,
                       VG_STR_ARG(type->str));
    VG_TRY(vg_fields_read(v, where, fields, VG_COUNT(fields), &w, err));
    if (!w.tool.parameters) return VG_FAIL(err, VG_E_USAGE, "%sinput_schema: is missing", where);
    return vg_tool_add(m, list, &w.tool, where, err);
}

static vg_status read_choice(void *request, const vg_json *v, vg_err *err)
{
    static const char *const types[] = {"auto", "none", "any", "tool"};
    static const vg_field fields[] = {
        {"type", NO_EFFECT}, /* read below */
        {"name", VG_FIELD_TEXT, IN(tool_name)},
        {"disable_parallel_tool_use", VG_FIELD_BOOL, IN(one_tool)},
    };
    vg_request *r = request;
    size_t i = 0;
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    VG_TRY(vg_fields_read(v, "", fields, VG_COUNT(fields), r, err));
    const vg_json *type = vg_json_get(v, "type");
    if (!type) return VG_FAIL(err, VG_E_USAGE, "type: is missing");
    vg_status st = vg_one_of(type, types, VG_COUNT(types), &i, err);
    if (st) return vg_err_context(err, st, "type");
    if (i == 3 && !r->tool_name.n) return VG_FAIL(err, VG_E_USAGE, "name: is missing");
    if (i != 3 && r->tool_name.n)
        return VG_FAIL(err, VG_E_USAGE, "name: only the type \"tool\" has one");
    r->tool_choice = i >= 2 ? VG_TOOLS_REQUIRED : i ? VG_TOOLS_NONE : VG_TOOLS_AUTO;
    return VG_OK;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static vg_status read_max_tokens(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    int64_t n = 0;
    VG_TRY(vg_field_int(v, 1, INT32_MAX, &n, err));
    r->max_tok = (uint32_t)n;
    r->has_max_tok = true;
    return VG_OK;
}

static vg_status read_top_p(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    VG_TRY(vg_field_real(v, 0, 1, &r->sampling.top_p, err));
    /* 0 asks for the best token alone, and means "all" to the sampler. */
    if (r->sampling.top_p == 0) r->sampling.top_p = 1e-9f;
    return VG_OK;
}

static vg_status read_thinking(void *request, const vg_json *v, vg_err *err)
{
    static const char *const types[] = {"disabled", "enabled", "adaptive"};
    static const vg_field fields[] = {
        {"type", NO_EFFECT}, /* read below */
        {"budget_tokens", VG_FIELD_COUNT, .at = 0, .min = 1, .max = INT32_MAX},
        {"display", VG_FIELD_REFUSED, .why = "thinking is always told as it is"},
    };
    uint32_t budget = 0;
    size_t i = 0;
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    VG_TRY(vg_fields_read(v, "", fields, VG_COUNT(fields), &budget, err));
    const vg_json *type = vg_json_get(v, "type");
    if (!type) return VG_FAIL(err, VG_E_USAGE, "type: is missing");
    vg_status st = vg_one_of(type, types, VG_COUNT(types), &i, err);
    if (st) return vg_err_context(err, st, "type");
    return vg_thinking_set(request, i > 0, err);
}

static vg_status read_format(vg_request *r, const vg_json *format, vg_err *err)
{
    const vg_json *type = vg_json_get(format, "type"), *schema = vg_json_get(format, "schema");
    if (!type || type->kind != VG_JSON_STRING || !vg_str_is(type->str, "json_schema"))
        return VG_FAIL(err, VG_E_USAGE, "format: type must be \"json_schema\"");
    if (!schema || schema->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "format: schema must be a JSON Schema");
    r->form = VG_FORM_SCHEMA;
    r->schema = schema;
    return VG_OK;
}

static vg_status read_output(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    for (size_t i = 0; i < v->n; i++) {
        if (v->item[i]->kind == VG_JSON_NULL) continue;
        vg_status st = VG_OK;
        if (vg_str_is(v->key[i], "format")) st = read_format(r, v->item[i], err);
        else if (vg_str_is(v->key[i], "effort"))
            st = vg_template_set(r, "reasoning_effort", v->item[i], err);
        else
            st = VG_FAIL(err, VG_E_UNSUPPORTED, "%.*s: no field of that name is supported",
                         VG_STR_ARG(v->key[i]));
        if (st) return st;
    }
    return VG_OK;
}

static vg_status read_tier(void *request, const vg_json *v, vg_err *err)
{
    static const char *const words[] = {"auto", "standard_only"};
    VG_UNUSED(request);
    size_t i;
    return vg_one_of(v, words, VG_COUNT(words), &i, err);
}

static vg_status read_speed(void *request, const vg_json *v, vg_err *err)
{
    static const char *const words[] = {"standard"};
    VG_UNUSED(request);
    size_t i;
    return vg_one_of(v, words, VG_COUNT(words), &i, err);
}

static const vg_field fields[] = {
    {"model", VG_FIELD_TEXT, IN(model)},
    {"messages", VG_FIELD_JSON, IN(messages)},
    {"system", NO_EFFECT}, /* read with the messages */
    {"max_tokens", VG_FIELD_OTHER, .read = read_max_tokens},
    {"temperature", VG_FIELD_REAL, IN(sampling.temp), .max = 1},
    {"top_p", VG_FIELD_OTHER, .read = read_top_p},
    {"top_k", VG_FIELD_COUNT, IN(sampling.top_k), .max = INT32_MAX},
    {"stop_sequences", VG_FIELD_OTHER, .read = vg_fields_stops},
    {"stream", VG_FIELD_BOOL, IN(stream)},
    {"tools", VG_FIELD_JSON, IN(tools)},
    {"tool_choice", VG_FIELD_OTHER, .read = read_choice},
    {"thinking", VG_FIELD_OTHER, .read = read_thinking},
    {"output_config", VG_FIELD_OTHER, .read = read_output},
    {"service_tier", VG_FIELD_OTHER, .read = read_tier},
    {"speed", VG_FIELD_OTHER, .read = read_speed},
    {"metadata", NO_EFFECT},
    {"cache_control", NO_EFFECT},
    {"diagnostics", VG_FIELD_REFUSED, .why = "this server keeps no messages to compare with"},
    {"container", VG_FIELD_REFUSED, .why = "nothing here runs code"},
    {"context_management", VG_FIELD_REFUSED, .why = "a context is never cut in silence"},
    {"inference_geo", VG_FIELD_REFUSED, .why = "no request leaves the device"},
    {"mcp_servers", VG_FIELD_REFUSED, .why = "no request leaves the device"},
    {"user_profile_id", VG_FIELD_REFUSED, .why = "there are no profiles here"},
    {"workspace_id", VG_FIELD_REFUSED, .why = "there are no workspaces here"},
};

vg_status vg_anthropic_parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    r->ask = VG_ASK_CHAT;
    r->route = vg_str_from(route);
    r->body = body;
    r->n = 1;
    r->sampling.temp = 1; /* the API's default */
    VG_TRY(vg_fields_read(body, "", fields, VG_COUNT(fields), r, err));
    VG_TRY(vg_tools_read(r, read_tool, err));
    VG_TRY(read_messages(r, vg_json_get(body, "system"), err));
    VG_TRY(vg_tool_check(r, "tool_choice", err));
    bool counts = vg_str_is(r->route, "/v1/messages/count_tokens");
    if (!r->has_max_tok && !counts) return VG_FAIL(err, VG_E_USAGE, "max_tokens: is missing");
    return VG_OK;
}
