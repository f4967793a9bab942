/* What OpenAI's routes share. Readers of fields that mean the same everywhere, and the parts of an
 * answer that do: ids, usage, log-probabilities, errors, events of a stream. Where clients of other
 * servers have more words for a sampler, these are taken too. */
#include <math.h>
#include <stdio.h>

#include "serve/openai_int.h"

void vg_openai_defaults(vg_request *r)
{
    r->n = 1;
    r->sampling.temp = 1;
}

/* ---- readers --------------------------------------------------------------------------------- */

/* 0 asks for the best token alone, and means "all" to the sampler. */
vg_status vg_openai_top_p(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    VG_TRY(vg_field_real(v, 0, 1, &r->sampling.top_p, err));
    if (r->sampling.top_p == 0) r->sampling.top_p = 1e-9f;
    return VG_OK;
}

/* -1 is vLLM's word for all. */
vg_status vg_openai_top_k(void *request, const vg_json *v, vg_err *err)
{
    int64_t k = 0;
    VG_TRY(vg_field_int(v, -1, INT32_MAX, &k, err));
    ((vg_request *)request)->sampling.top_k = (uint32_t)VG_MAX(k, 0);
    return VG_OK;
}

vg_status vg_openai_seed(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    int64_t seed = 0;
    if (v->kind == VG_JSON_FLOAT && (v->number > 0x1p62 || v->number < -0x1p62))
        return VG_FAIL(err, VG_E_USAGE, "must be an integer of 64 bits");
    VG_TRY(vg_field_int(v, -0x1p63, 0x1p63, &seed, err));
    r->sampling.seed = (uint64_t)seed;
    r->has_seed = true;
    return VG_OK;
}

vg_status vg_openai_bias(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    vg_ask_bias *bias = VG_ARENA_ARRAY(r->arena, vg_ask_bias, v->n + 1);
    if (!bias) return VG_FAIL_MEMORY(err, v->n * sizeof *bias);
    for (size_t i = 0; i < v->n; i++) {
        int64_t id = 0;
        for (size_t k = 0; k < v->key[i].n; k++) {
            int digit = v->key[i].p[k] - '0';
            bool bad = digit < 0 || digit > 9 || id > INT32_MAX;
            id = bad ? -1 : id * 10 + digit;
            if (bad) break;
        }
        if (!v->key[i].n || id < 0 || id > INT32_MAX)
            return VG_FAIL(err, VG_E_USAGE, "\"%.*s\" is no token id", VG_STR_ARG(v->key[i]));
        vg_status st = vg_field_real(v->item[i], -100, 100, &bias[i].add, err);
        if (st) return vg_err_context(err, st, "%.*s", VG_STR_ARG(v->key[i]));
        bias[i].id = (int32_t)id;
    }
    r->bias = bias;
    r->n_bias = v->n;
    return VG_OK;
}

vg_status vg_openai_max_tokens(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    int64_t n = 0;
    VG_TRY(vg_field_int(v, 1, INT32_MAX, &n, err));
    r->max_tok = (uint32_t)n;
    r->has_max_tok = true;
    return VG_OK;
}

vg_status vg_openai_stream_options(void *request, const vg_json *v, vg_err *err)
{
    static const vg_field fields[] = {
        {"include_usage", VG_FIELD_BOOL, VG_IN(stream_usage)},
        {"continuous_usage_stats", VG_FIELD_REFUSED, .why = "usage comes once, at the end"},
        {"include_obfuscation", VG_FIELD_REFUSED, .why = "streams are not padded here"},
    };
    VG_TRY(vg_field_kind_is(v, VG_JSON_OBJECT, err));
    return vg_fields_read(v, "", fields, VG_COUNT(fields), request, err);
}

vg_status vg_openai_tier(void *request, const vg_json *v, vg_err *err)
{
    static const char *const tiers[] = {"auto", "default"};
    VG_UNUSED(request);
    size_t i;
    return vg_one_of(v, tiers, VG_COUNT(tiers), &i, err);
}

vg_status vg_openai_grammar(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    VG_TRY(vg_field_text(v, &r->gbnf, err));
    if (r->gbnf.n) r->form = VG_FORM_GBNF;
    return VG_OK;
}

vg_status vg_openai_false(void *request, const vg_json *v, vg_err *err)
{
    VG_UNUSED(request);
    bool on = false;
    VG_TRY(vg_field_bool(v, &on, err));
    return on ? VG_FAIL(err, VG_E_UNSUPPORTED, "not supported: this server keeps no answers")
              : VG_OK;
}

vg_status vg_openai_check(const vg_request *r, vg_err *err)
{
    if (r->stream_usage && !r->stream)
        return VG_FAIL(err, VG_E_USAGE, "stream_options: only a stream has them");
    if (r->gbnf.n && r->form != VG_FORM_GBNF)
        return VG_FAIL(err, VG_E_USAGE, "grammar: response_format asks for another form");
    if (r->form == VG_FORM_GBNF && r->tools)
        return VG_FAIL(err, VG_E_USAGE, "grammar: an answer cannot have both tools and a grammar");
    size_t prompts = VG_MAX(r->n_prompts, (size_t)1);
    if (r->ask != VG_ASK_EMBED && prompts * r->n > VG_MAX_CHOICES)
        return VG_FAIL(err, VG_E_USAGE, "n: %zu prompts with %u answers each; at most %d answers",
                       prompts, r->n, VG_MAX_CHOICES);
    return VG_OK;
}

typedef struct schema_words {
    const vg_json *schema;
    vg_str name;
    bool strict;
} schema_words;

vg_status vg_openai_schema(vg_request *r, const vg_json *v, const char *where, vg_err *err)
{
    static const vg_field fields[] = {
        {"type", VG_NO_EFFECT},
        {"name", VG_FIELD_TEXT, .at = offsetof(schema_words, name)},
        {"description", VG_NO_EFFECT},
        {"schema", VG_FIELD_JSON, .at = offsetof(schema_words, schema)},
        {"strict", VG_FIELD_BOOL, .at = offsetof(schema_words, strict)},
    };
    schema_words w = {0};
    VG_TRY(vg_fields_read(v, where, fields, VG_COUNT(fields), &w, err));
    if (!w.schema || w.schema->kind == VG_JSON_NULL)
        return VG_FAIL(err, VG_E_USAGE, "%sschema: is missing", where);
    if (w.schema->kind != VG_JSON_OBJECT && w.schema->kind != VG_JSON_BOOL)
        return VG_FAIL(err, VG_E_USAGE, "%sschema: must be a JSON Schema", where);
    r->form = VG_FORM_SCHEMA;
    r->schema = w.schema;
    return VG_OK;
}

/* ---- the choice of tools --------------------------------------------------------------------- */

/* The name in {"type": "function", "function": {"name"}} or {"type": "function", "name"}. */
static vg_status named(const vg_json *v, const char *inside, vg_str *out, vg_err *err)
{
    const vg_json *type = vg_json_get(v, "type");
    if (!type || type->kind != VG_JSON_STRING)
        return VG_FAIL(err, VG_E_USAGE,
                       "must be \"auto\", \"none\", \"required\" or an object "
                       "that has a type");
    if (!vg_str_is(type->str, "function"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "the type \"%.*s\" is not supported",
                       VG_STR_ARG(type->str));
    const vg_json *name = vg_json_get(inside ? vg_json_get(v, inside) : v, "name");
    if (!name || name->kind != VG_JSON_STRING || !name->str.n)
        return VG_FAIL(err, VG_E_USAGE, "the function has no name");
    *out = name->str;
    return VG_OK;
}

/* {"mode", "tools": [..]}: only these stay. */
static vg_status allow(vg_request *r, const vg_json *v, const char *inside, vg_err *err)
{
    static const char *const modes[] = {"auto", "required"};
    const vg_json *mode = vg_json_get(v, "mode"), *tools = vg_json_get(v, "tools");
    size_t m = 0;
    if (!mode || !tools || tools->kind != VG_JSON_ARRAY || !r->tools)
        return VG_FAIL(err, VG_E_USAGE, "allowed tools need a mode, and tools to choose from");
    VG_TRY(vg_one_of(mode, modes, VG_COUNT(modes), &m, err));
    r->tool_choice = m ? VG_TOOLS_REQUIRED : VG_TOOLS_AUTO;
    vg_make make = {.arena = r->arena};
    vg_json *kept = vg_make_array(&make, r->tools->n);
    for (size_t i = 0; i < r->tools->n && kept; i++) {
        vg_str is = vg_json_get(vg_json_get(r->tools->item[i], "function"), "name")->str, wanted;
        bool keep = false;
        for (size_t k = 0; k < tools->n && !keep; k++) {
            VG_TRY(named(tools->item[k], inside, &wanted, err));
            keep = vg_str_eq(is, wanted);
        }
        if (keep) vg_make_add(&make, kept, NULL, r->tools->item[i]);
    }
    if (make.failed) return VG_FAIL_MEMORY(err, r->tools->n * sizeof(vg_json *));
    r->tools = kept;
    return VG_OK;
}

static vg_status choose(vg_request *r, const vg_json *v, const char *inside, vg_err *err)
{
    static const char *const words[] = {"auto", "none", "required"};
    if (v->kind == VG_JSON_STRING) {
        size_t i = 0;
        VG_TRY(vg_one_of(v, words, VG_COUNT(words), &i, err));
        r->tool_choice = (vg_tool_choice)i;
        return VG_OK;
    }
    const vg_json *type = vg_json_get(v, "type");
    if (type && type->kind == VG_JSON_STRING && vg_str_is(type->str, "allowed_tools"))
        return allow(r, inside ? vg_json_get(v, "allowed_tools") : v, inside, err);
    VG_TRY(named(v, inside, &r->tool_name, err));
    r->tool_choice = VG_TOOLS_REQUIRED;
    return VG_OK;
}

vg_status vg_openai_tool_choice(vg_request *r, const vg_json *v, const char *inside, vg_err *err)
{
    if (!v || v->kind == VG_JSON_NULL) return VG_OK;
    vg_status st = choose(r, v, inside, err);
    if (st) return vg_err_context(err, st, "tool_choice");
    return vg_tool_check(r, "tool_choice", err);
}

/* ---- writers --------------------------------------------------------------------------------- */

vg_str vg_openai_text(const vg_buf *b)
{
    return (vg_str){b->n ? b->data : "", b->n};
}

void vg_openai_id(vg_buf *out, const char *key, const char *prefix, vg_str id)
{
    vg_json_key(out, key);
    vg_buf_fmt(out, "\"%s%.*s\"", prefix, VG_STR_ARG(id));
}

void vg_openai_sse_begin(vg_buf *out, const char *event)
{
    if (event) vg_buf_fmt(out, "event: %s\n", event);
    vg_buf_text(out, "data: ");
}

void vg_openai_sse_end(vg_buf *out)
{
    vg_buf_text(out, "\n\n");
}

void vg_openai_done(vg_buf *out)
{
    vg_buf_text(out, "data: [DONE]\n\n");
}

/* A prompt counts once, however many answers it has. */
vg_openai_sum vg_openai_tokens(const vg_reply *r)
{
    vg_openai_sum s = {0};
    for (size_t i = 0; i < r->n_choices; i++) {
        const vg_choice *c = &r->choice[i];
        s.answer += c->n_tok;
        if (i && c->prompt == r->choice[i - 1].prompt) continue;
        s.prompt += c->n_prompt;
        s.reused += c->n_reused;
    }
    return s;
}

void vg_openai_usage(const vg_reply *r, vg_buf *out)
{
    vg_openai_sum s = vg_openai_tokens(r);
    size_t reasoning = 0;
    for (size_t i = 0; i < r->n_choices; i++) reasoning += r->choice[i].n_reasoning_tok;
    vg_json_begin(out, "usage", '{');
    vg_json_count(out, "prompt_tokens", s.prompt);
    vg_json_count(out, "completion_tokens", s.answer);
    vg_json_count(out, "total_tokens", s.prompt + s.answer);
    vg_json_begin(out, "prompt_tokens_details", '{');
    vg_json_count(out, "cached_tokens", s.reused);
    vg_json_count(out, "audio_tokens", 0);
    vg_json_end(out, '}');
    vg_json_begin(out, "completion_tokens_details", '{');
    vg_json_count(out, "reasoning_tokens", reasoning);
    vg_json_count(out, "audio_tokens", 0);
    vg_json_count(out, "accepted_prediction_tokens", 0);
    vg_json_count(out, "rejected_prediction_tokens", 0);
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

/* What OpenAI writes for a token that cannot come. */
double vg_openai_logprob(float v)
{
    return isfinite(v) ? (double)v : -9999.0;
}

static void put_token(vg_buf *out, vg_str bytes, float logprob, bool with_bytes)
{
    vg_json_str(out, "token", bytes);
    vg_json_real(out, "logprob", vg_openai_logprob(logprob));
    if (!with_bytes) return;
    vg_json_begin(out, "bytes", '[');
    for (size_t i = 0; i < bytes.n; i++) vg_json_count(out, NULL, (unsigned char)bytes.p[i]);
    vg_json_end(out, ']');
}

void vg_openai_logprobs(const vg_told_token *t, size_t n, bool bytes, const char *key, vg_buf *out)
{
    vg_json_begin(out, key, '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_begin(out, NULL, '{');
        put_token(out, t[i].bytes, t[i].logprob, bytes);
        vg_json_begin(out, "top_logprobs", '[');
        for (size_t k = 0; k < t[i].n_top; k++) {
            vg_json_begin(out, NULL, '{');
            put_token(out, t[i].top[k].bytes, t[i].top[k].logprob, bytes);
            vg_json_end(out, '}');
        }
        vg_json_end(out, ']');
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

const char *vg_openai_finish(vg_finish f)
{
    switch (f) {
    case VG_FINISH_LENGTH:
        return "length";
    case VG_FINISH_TOOLS:
        return "tool_calls";
    default:
        return "stop";
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* "messages[2].role: must be ..": what stands before the colon is a field's name. */
static vg_str param_of(const vg_err *e)
{
    if (e->code != VG_E_USAGE && e->code != VG_E_UNSUPPORTED) return (vg_str){0};
    size_t n = strcspn(e->msg, ": \"");
    return e->msg[n] == ':' && n ? (vg_str){e->msg, n} : (vg_str){0};
}

static const char *type_of(int http)
{
    switch (http) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return http < 500 ? "invalid_request_error" : "server_error";
    }
}

static const char *code_of(const vg_err *e, int http)
{
    switch (e->code) {
    case VG_E_CONTEXT:
        return "context_length_exceeded";
    case VG_E_UNSUPPORTED:
        return "unsupported_parameter";
    case VG_E_USAGE:
        return http == 400 ? "invalid_value" : NULL;
    case VG_E_NOT_FOUND:
        return "model_not_found";
    default:
        break;
    }
    return http == 401 ? "invalid_api_key" : http == 429 ? "rate_limit_exceeded" : NULL;
}

static void put_error(const vg_err *e, int http, vg_buf *out)
{
    vg_str param = param_of(e);
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "error", '{');
    vg_json_text(out, "message", e->msg);
    vg_json_text(out, "type", type_of(http));
    if (param.n) vg_json_str(out, "param", param);
    else vg_json_text(out, "param", NULL);
    vg_json_text(out, "code", code_of(e, http));
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

void vg_openai_error(const vg_err *e, int http, vg_buf *out)
{
    put_error(e, http, out);
}

void vg_openai_fail(vg_reply *r, const vg_err *e, vg_buf *out)
{
    VG_UNUSED(r);
    vg_openai_sse_begin(out, NULL);
    put_error(e, 500, out);
    vg_openai_sse_end(out);
}

/* ---- models ---------------------------------------------------------------------------------- */

void vg_openai_one_model(const vg_openai_model *m, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, "id", m->name);
    vg_json_text(out, "object", "model");
    vg_json_int(out, "created", m->created_s);
    vg_json_text(out, "owned_by", m->owner ? m->owner : "verge");
    vg_json_end(out, '}');
}

void vg_openai_models(const vg_openai_model *m, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "object", "list");
    vg_json_begin(out, "data", '[');
    for (size_t i = 0; i < n; i++) vg_openai_one_model(&m[i], out);
    vg_json_end(out, ']');
    vg_json_end(out, '}');
}
