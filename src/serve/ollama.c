/* Ollama's dialect, the asking half: /api/generate, /api/chat, /api/embed and /api/embeddings. A
 * prompt of generate is a conversation of one message unless it is raw; a stream is what a client
 * gets unless it says no; a request without anything to answer loads the model, or with keep_alive
 * 0 unloads it.
 *
 * It refuses what it cannot do by name: Ollama's own worst habit, to cut a conversation that does
 * not fit in silence, is an error here. */
#include "serve/ollama_int.h"

/* What the fields of all four routes are read into before they mean anything. */
typedef struct ask {
    vg_request *request;
    vg_str model, prompt, suffix, system, tmpl;
    const vg_json *messages, *tools, *options, *format, *think, *context, *keep_alive, *input;
    const vg_json *stream;
    bool raw, logprobs, truncate, shift, insert;
    uint32_t top_logprobs, dimensions;
} ask;

#define AT(member) .at = offsetof(ask, member)
#define COMMON                                                                                     \
    {"model", VG_FIELD_TEXT, AT(model)}, {"options", VG_FIELD_JSON, AT(options)},                  \
        {"keep_alive", VG_FIELD_JSON, AT(keep_alive)}
#define ANSWER                                                                                     \
    {"stream", VG_FIELD_JSON, AT(stream)}, {"format", VG_FIELD_JSON, AT(format)},                  \
        {"think", VG_FIELD_JSON, AT(think)}, {"logprobs", VG_FIELD_BOOL, AT(logprobs)},            \
        {"top_logprobs", VG_FIELD_COUNT, AT(top_logprobs), .max = VG_MAX_TOP},                     \
        {"truncate", VG_FIELD_REFUSED,                                                             \
         .why = "what does not fit into the context is an error, not cut"},                        \
        {"shift", VG_FIELD_REFUSED, .why = "an answer ends where the context is full"},            \
        {"_debug_render_only", VG_FIELD_REFUSED, .why = "ask /apply-template"}
#define IMAGE_REASON .why = "this server makes text alone"
static const vg_field generate_fields[] = {
    COMMON,
    ANSWER,
    {"prompt", VG_FIELD_TEXT, AT(prompt)},
    {"suffix", VG_FIELD_TEXT, AT(suffix)},
    {"system", VG_FIELD_TEXT, AT(system)},
    {"template", VG_FIELD_TEXT, AT(tmpl)},
    {"context", VG_FIELD_JSON, AT(context)},
    {"raw", VG_FIELD_BOOL, AT(raw)},
    {"images", VG_FIELD_REFUSED, .why = "this server reads text alone"},
    {"width", VG_FIELD_REFUSED, IMAGE_REASON},
    {"height", VG_FIELD_REFUSED, IMAGE_REASON},
    {"steps", VG_FIELD_REFUSED, IMAGE_REASON},
};
static const vg_field chat_fields[] = {
    COMMON,
    ANSWER,
    {"messages", VG_FIELD_JSON, AT(messages)},
    {"tools", VG_FIELD_JSON, AT(tools)},
};
static const vg_field embed_fields[] = {
    COMMON,
    {"input", VG_FIELD_JSON, AT(input)},
    {"truncate", VG_FIELD_BOOL, AT(truncate)},
    {"dimensions", VG_FIELD_COUNT, AT(dimensions), .max = 1 << 20},
};
static const vg_field embeddings_fields[] = {
    COMMON,
    {"prompt", VG_FIELD_JSON, AT(input)},
};

/* ---- what several routes have ---------------------------------------------------------------- */

static vg_status read_think(vg_request *r, const vg_json *v, vg_err *err)
{
    static const char *const efforts[] = {"low", "medium", "high", "max"};
    bool known = v->kind == VG_JSON_BOOL;
    for (size_t i = 0; i < VG_COUNT(efforts) && v->kind == VG_JSON_STRING; i++)
        known = known || vg_str_is(v->str, efforts[i]);
    if (!known)
        return VG_FAIL(err, VG_E_USAGE,
                       "think: must be true, false, \"low\", \"medium\", \"high\" or \"max\"");
    vg_make m = {.arena = r->arena};
    vg_json *args = vg_make_object(&m, 2);
    bool on = v->kind == VG_JSON_STRING || v->boolean;
    vg_make_add(&m, args, "enable_thinking", vg_make_bool(&m, on));
    if (v->kind == VG_JSON_STRING) vg_make_add(&m, args, "reasoning_effort", v);
    if (m.failed) return VG_FAIL_MEMORY(err, sizeof *args);
    r->template_args = args;
    r->must_think = on;
    return VG_OK;
}

static vg_status read_format(vg_request *r, const vg_json *v, vg_err *err)
{
    if (v->kind == VG_JSON_STRING && !v->str.n) return VG_OK;
    if (v->kind == VG_JSON_STRING && vg_str_is(v->str, "json")) {
        r->form = VG_FORM_JSON_OBJECT;
        return VG_OK;
    }
    if (v->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "format: must be \"json\" or a JSON schema");
    r->form = VG_FORM_SCHEMA;
    r->schema = v;
    return VG_OK;
}

static vg_status read_stream(vg_request *r, const vg_json *v, vg_err *err)
{
    r->stream = true;
    if (v && vg_field_bool(v, &r->stream, err))
        return vg_err_context(err, VG_E_USAGE, "stream");
    return VG_OK;
}

static vg_status read_keep_alive(vg_request *r, const vg_json *v, vg_err *err)
{
    vg_status st = v ? vg_ollama_keep_alive(r, v, err) : VG_OK;
    return st ? vg_err_context(err, st, "keep_alive") : VG_OK;
}

static vg_status read_common(const ask *a, vg_request *r, vg_err *err)
{
    if (!a->model.n) return VG_FAIL(err, VG_E_USAGE, "model: is required");
    r->model = vg_ollama_name(a->model);
    VG_TRY(read_keep_alive(r, a->keep_alive, err));
    return a->options ? vg_ollama_options(r, a->options, err) : VG_OK;
}

static vg_status read_answer(const ask *a, vg_request *r, vg_err *err)
{
    VG_TRY(read_common(a, r, err));
    VG_TRY(read_stream(r, a->stream, err));
    if (a->format) VG_TRY(read_format(r, a->format, err));
    if (a->think) VG_TRY(read_think(r, a->think, err));
    r->logprobs = a->logprobs;
    r->n_top = a->top_logprobs;
    return VG_OK;
}

/* One line, since it has nothing that could come in pieces. */
static vg_status only_load(vg_request *r)
{
    r->ask = VG_ASK_LOAD;
    r->stream = false;
    return VG_OK;
}

static vg_status one_prompt(vg_request *r, vg_str text, vg_err *err)
{
    vg_piece *piece = VG_ARENA_NEW(r->arena, vg_piece);
    vg_prompt *prompt = VG_ARENA_NEW(r->arena, vg_prompt);
    if (!piece || !prompt) return VG_FAIL_MEMORY(err, sizeof *piece);
    *piece = (vg_piece){.text = text};
    *prompt = (vg_prompt){.piece = piece, .n = 1};
    r->prompt = prompt;
    r->n_prompts = 1;
    return VG_OK;
}

/* ---- generate -------------------------------------------------------------------------------- */

/* True for the actions of Go's templates, which Ollama's model files are written in: "{{ .Prompt"
 * and "{{ if .System". */
static bool is_go_template(vg_str t)
{
    for (size_t i = 0; i + 3 < t.n; i++) {
        if (memcmp(t.p + i, "{{", 2)) continue;
        size_t k = i + 2;
        while (k < t.n && (t.p[k] == ' ' || t.p[k] == '-')) k++;
        vg_str rest = {t.p + k, t.n - k};
        if (vg_str_starts(rest, VG_STR(".")) || vg_str_starts(rest, VG_STR("if ")) ||
            vg_str_starts(rest, VG_STR("range ")) || vg_str_starts(rest, VG_STR("$")))
            return true;
    }
    return false;
}

static vg_status read_context(vg_request *r, const vg_json *v, vg_err *err)
{
    if (v->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "context: must be an array of token ids");
    int32_t *id = VG_ARENA_ARRAY(r->arena, int32_t, v->n + 1);
    if (!id) return VG_FAIL_MEMORY(err, v->n * sizeof *id);
    for (size_t i = 0; i < v->n; i++) {
        int64_t value = 0;
        vg_status st = vg_field_int(v->item[i], 0, INT32_MAX, &value, err);
        if (st) return vg_err_context(err, st, "context[%zu]", i);
        id[i] = (int32_t)value;
    }
    r->context = id;
    r->n_context = v->n;
    return VG_OK;
}

static vg_status as_messages(const ask *a, vg_request *r, vg_err *err)
{
    vg_make m = {.arena = r->arena};
    vg_json *list = vg_make_array(&m, 2);
    const vg_str role[2] = {VG_STR("system"), VG_STR("user")}, text[2] = {a->system, a->prompt};
    for (size_t i = a->system.n ? 0 : 1; i < 2; i++) {
        vg_json *one = vg_make_object(&m, 2);
        vg_make_add(&m, one, "role", vg_make_text(&m, role[i]));
        vg_make_add(&m, one, "content", vg_make_text(&m, text[i]));
        vg_make_add(&m, list, NULL, one);
    }
    if (m.failed) return VG_FAIL_MEMORY(err, sizeof *list);
    r->ask = VG_ASK_CHAT;
    r->messages = list;
    r->tmpl = a->tmpl;
    return VG_OK;
}

static vg_status read_generate(const ask *a, vg_request *r, vg_err *err)
{
    VG_TRY(read_answer(a, r, err));
    if (!a->prompt.n && !a->suffix.n) return only_load(r);
    bool has_frame = a->system.n || a->tmpl.n || (a->context && a->context->n);
    if ((a->raw || a->suffix.n) && has_frame)
        return VG_FAIL(err, VG_E_USAGE, "%s: not together with system, template or context",
                       a->raw ? "raw" : "suffix");
    if (is_go_template(a->tmpl))
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "template: not supported: one in Go's language; Jinja is");
    if (a->suffix.n) {
        r->ask = VG_ASK_INFILL;
        r->prefix = a->prompt;
        r->suffix = a->suffix;
        return VG_OK;
    }
    if (a->raw) {
        r->ask = VG_ASK_COMPLETE;
        r->special = true;
        r->keep_reasoning = true;
        return one_prompt(r, a->prompt, err);
    }
    r->return_ids = true; /* for "context" */
    if (a->context) VG_TRY(read_context(r, a->context, err));
    return as_messages(a, r, err);
}

/* ---- chat ------------------------------------------------------------------------------------ */

static vg_status check_tools(const vg_json *tools, vg_err *err)
{
    if (tools->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "tools: must be an array");
    for (size_t i = 0; i < tools->n; i++) {
        const vg_json *type = vg_json_get(tools->item[i], "type");
        const vg_json *f = vg_json_get(tools->item[i], "function");
        const vg_json *name = f ? vg_json_get(f, "name") : NULL;
        if (type && type->kind == VG_JSON_STRING && !vg_str_is(type->str, "function"))
            return VG_FAIL(err, VG_E_UNSUPPORTED, "tools[%zu].type: not supported: \"%.*s\"", i,
                           VG_STR_ARG(type->str));
        if (!name || name->kind != VG_JSON_STRING || !name->str.n)
            return VG_FAIL(err, VG_E_USAGE, "tools[%zu].function.name: must be a text", i);
    }
    return VG_OK;
}

static vg_status read_chat(const ask *a, vg_request *r, vg_err *err)
{
    VG_TRY(read_answer(a, r, err));
    r->ask = VG_ASK_CHAT;
    if (a->tools) VG_TRY(check_tools(a->tools, err));
    if (a->tools && a->tools->n) r->tools = a->tools;
    if (a->messages) VG_TRY(vg_ollama_messages(r, a->messages, err));
    return a->messages && a->messages->n ? VG_OK : only_load(r);
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static vg_status read_embed(const ask *a, vg_request *r, vg_err *err)
{
    VG_TRY(read_common(a, r, err));
    const vg_json *in = a->input;
    bool is_text = in && in->kind == VG_JSON_STRING;
    bool old = vg_str_is(r->route, "/api/embeddings");
    if (in && !is_text && (old || in->kind != VG_JSON_ARRAY))
        return VG_FAIL(err, VG_E_USAGE, "%s: must be a text%s", old ? "prompt" : "input",
                       old ? "" : " or an array of texts");
    if (!in || (is_text && !in->str.n) || (!is_text && !in->n)) return only_load(r);
    for (size_t i = 0; !is_text && i < in->n; i++)
        if (in->item[i]->kind != VG_JSON_STRING)
            return VG_FAIL(err, VG_E_USAGE, "input[%zu]: must be a text", i);
    r->ask = VG_ASK_EMBED;
    r->truncate = a->truncate;
    r->n_dimensions = a->dimensions;
    vg_status st = vg_fields_prompts(r, in, err);
    return st ? vg_err_context(err, st, old ? "prompt" : "input") : VG_OK;
}

static vg_status parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    static const struct {
        const char *route;
        const vg_field *field;
        size_t n;
        vg_status (*read)(const ask *a, vg_request *r, vg_err *err);
    } routes[] = {
        {"/api/generate", generate_fields, VG_COUNT(generate_fields), read_generate},
        {"/api/chat", chat_fields, VG_COUNT(chat_fields), read_chat},
        {"/api/embed", embed_fields, VG_COUNT(embed_fields), read_embed},
        {"/api/embeddings", embeddings_fields, VG_COUNT(embeddings_fields), read_embed},
    };
    for (size_t i = 0; i < VG_COUNT(routes); i++) {
        if (strcmp(routes[i].route, route) != 0) continue;
        ask a = {.request = r};
        r->route = vg_str_from(routes[i].route);
        r->body = body;
        vg_ollama_defaults(r);
        VG_TRY(vg_fields_read(body, "", routes[i].field, routes[i].n, &a, err));
        return routes[i].read(&a, r, err);
    }
    return VG_FAIL(err, VG_E_NOT_FOUND, "%s: no such route", route);
}

const vg_dialect vg_ollama = {
    .name = "ollama",
    .stream_type = "application/x-ndjson",
    .parse = parse,
    .whole = vg_ollama_whole,
    .begin = vg_ollama_begin,
    .delta = vg_ollama_delta,
    .end = vg_ollama_end,
    .fail = vg_ollama_fail,
    .error = vg_ollama_error,
};
