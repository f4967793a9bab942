/* The fields of llama-server's completions, and what they mean to the samplers. The table has every
 * field of its schema: honoured, without effect on an answer (how the server caches and computes),
 * or refused by name.
 *
 * Where both have a value for "off", they differ: a share of 0 leaves one token there and all of
 * them here; a window of 0 tokens is none there and the default here. */
#include <math.h>

#include "serve/llama_int.h"

static const char *const default_breakers[] = {"\n", ":", "\"", "*"};

void vg_llama_defaults(vg_request *r, vg_llama_fields *f)
{
    *f = (vg_llama_fields){
        .request = r, .n_predict = -1, .max_tokens = -1, .max_completion_tokens = -1, .seed = -1,
        .top_k = 40, .repeat_last_n = 64, .dry_penalty_last_n = -1, .mirostat_tau = 5,
        .mirostat_eta = 0.1f, .t_max_predict_ms = -1, .n_cmpl = 1, .n = 1,
        .s = {.temp = 0.8f, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1, .repeat_penalty = 1,
              .dry_base = 1.75f, .dry_allowed = 2}};
}

/* ---- readers of single fields ---------------------------------------------------------------- */

static vg_status read_prompt(void *into, const vg_json *v, vg_err *err)
{
    return vg_fields_prompts(((vg_llama_fields *)into)->request, v, err);
}

static vg_status read_stop(void *into, const vg_json *v, vg_err *err)
{
    return vg_fields_stops(((vg_llama_fields *)into)->request, v, err);
}

/* Values below 0 ask for nothing. */
static vg_status read_off(void *into, const vg_json *v, vg_err *err)
{
    float value = 0;
    VG_UNUSED(into);
    VG_TRY(vg_field_real(v, -1e30, 1e30, &value, err));
    return value < 0 ? VG_OK : VG_FAIL(err, VG_E_UNSUPPORTED, "not supported: 0 and above");
}

static vg_status read_slot(void *into, const vg_json *v, vg_err *err)
{
    int64_t id = 0;
    VG_UNUSED(into);
    VG_TRY(vg_field_int(v, -0x1p53, 0x1p53, &id, err));
    return id == -1 ? VG_OK
                    : VG_FAIL(err, VG_E_UNSUPPORTED,
                              "not supported: a slot of one's choice; any finds what is cached");
}

static vg_status read_stream(void *into, const vg_json *v, vg_err *err)
{
    return vg_field_bool(v, &((vg_llama_fields *)into)->request->stream, err);
}

static vg_status read_ignore_eos(void *into, const vg_json *v, vg_err *err)
{
    return vg_field_bool(v, &((vg_llama_fields *)into)->request->ignore_end, err);
}

static vg_status read_return_tokens(void *into, const vg_json *v, vg_err *err)
{
    return vg_field_bool(v, &((vg_llama_fields *)into)->request->return_ids, err);
}

static vg_status read_breakers(void *into, const vg_json *v, vg_err *err)
{
    vg_request *r = ((vg_llama_fields *)into)->request;
    VG_TRY(vg_field_kind_is(v, VG_JSON_ARRAY, err));
    if (!v->n || v->n > VG_MAX_STOPS)
        return VG_FAIL(err, VG_E_USAGE, "%zu texts, not within 1 and %d", v->n, VG_MAX_STOPS);
    vg_str *text = VG_ARENA_ARRAY(r->arena, vg_str, v->n);
    if (!text) return VG_FAIL_MEMORY(err, v->n * sizeof *text);
    for (size_t i = 0; i < v->n; i++) VG_TRY(vg_field_text(v->item[i], &text[i], err));
    r->dry_breaker = text;
    r->n_dry_breakers = v->n;
    return VG_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define AT(member) .at = offsetof(vg_llama_fields, member)
#define SAMPLING(name, member, low, high)                                                          \
    {name, VG_FIELD_REAL, AT(s.member), .min = (low), .max = (high)}
#define WORKING .kind = VG_FIELD_UNUSED /* how the server works: no answer changes */
#define CHAT_ONLY .why = "a completion is text; ask /v1/chat/completions"
const vg_field vg_llama_completion_fields[] = {
    {"prompt", VG_FIELD_OTHER, .read = read_prompt},
    {"model", VG_FIELD_TEXT, AT(model)},
    {"stream", VG_FIELD_OTHER, .read = read_stream},
    {"n_predict", VG_FIELD_INT, AT(n_predict), .min = -1, .max = INT32_MAX},
    {"max_tokens", VG_FIELD_INT, AT(max_tokens), .min = -1, .max = INT32_MAX},
    {"max_completion_tokens", VG_FIELD_INT, AT(max_completion_tokens), .min = -1, .max = INT32_MAX},
    {"n_cmpl", VG_FIELD_COUNT, AT(n_cmpl), .min = 1, .max = VG_MAX_CHOICES},
    {"n", VG_FIELD_COUNT, AT(n), .min = 1, .max = VG_MAX_CHOICES},
    {"stop", VG_FIELD_OTHER, .read = read_stop},
    {"seed", VG_FIELD_INT, AT(seed), .min = -1, .max = 0x1p53},
    {"ignore_eos", VG_FIELD_OTHER, .read = read_ignore_eos},
    {"return_tokens", VG_FIELD_OTHER, .read = read_return_tokens},
    {"timings_per_token", VG_FIELD_BOOL, AT(timings_per_token)},
    {"t_max_predict_ms", VG_FIELD_INT, AT(t_max_predict_ms), .min = -1, .max = UINT32_MAX},
    {"response_fields", VG_FIELD_JSON, AT(response_fields)},
    {"n_probs", VG_FIELD_INT, AT(n_probs), .min = 0, .max = VG_MAX_TOP},
    {"logprobs", VG_FIELD_INT, AT(logprobs), .min = 0, .max = VG_MAX_TOP},
    {"logit_bias", VG_FIELD_JSON, AT(logit_bias)},
    {"json_schema", VG_FIELD_JSON, AT(schema)},
    {"grammar", VG_FIELD_TEXT, AT(grammar)},
    {"samplers", VG_FIELD_JSON, AT(samplers)},
    SAMPLING("temperature", temp, 0, 1000),
    {"top_k", VG_FIELD_INT, AT(top_k), .min = -1, .max = INT32_MAX},
    SAMPLING("top_p", top_p, 0, 1),
    SAMPLING("min_p", min_p, 0, 1),
    SAMPLING("typical_p", typical_p, 0, 1),
    {"repeat_last_n", VG_FIELD_INT, AT(repeat_last_n), .min = -1, .max = INT32_MAX},
    SAMPLING("repeat_penalty", repeat_penalty, 0.01, 100),
    SAMPLING("presence_penalty", presence_penalty, -100, 100),
    SAMPLING("frequency_penalty", frequency_penalty, -100, 100),
    SAMPLING("dry_multiplier", dry_multiplier, 0, 1000),
    SAMPLING("dry_base", dry_base, 1, 100),
    {"dry_allowed_length", VG_FIELD_COUNT, AT(s.dry_allowed), .min = 1, .max = INT32_MAX},
    {"dry_penalty_last_n", VG_FIELD_INT, AT(dry_penalty_last_n), .min = -1, .max = INT32_MAX},
    {"dry_sequence_breakers", VG_FIELD_OTHER, .read = read_breakers},
    {"mirostat", VG_FIELD_INT, AT(mirostat), .min = 0, .max = 2},
    {"mirostat_tau", VG_FIELD_REAL, AT(mirostat_tau), .min = 0.01, .max = 100},
    {"mirostat_eta", VG_FIELD_REAL, AT(mirostat_eta), .min = 0.0001, .max = 10},
    {"dynatemp_range", VG_FIELD_REFUSED, .why = "dynamic temperature"},
    {"dynatemp_exponent", WORKING}, /* of a range that is 0 */
    {"xtc_probability", VG_FIELD_REFUSED, .why = "the XTC sampler"},
    {"xtc_threshold", WORKING},     /* of a probability that is 0 */
    {"top_n_sigma", VG_FIELD_OTHER, .read = read_off},
    {"adaptive_target", VG_FIELD_OTHER, .read = read_off},
    {"adaptive_decay", WORKING},    /* of a target that is off */
    {"min_keep", VG_FIELD_REFUSED, .why = "samplers keep what they choose, at least one token"},
    {"post_sampling_probs", VG_FIELD_REFUSED, .why = "probabilities are the model's own"},
    {"id_slot", VG_FIELD_OTHER, .read = read_slot},
    {"n_indent", VG_FIELD_REFUSED, .why = "no indentation is forced"},
    {"return_progress", VG_FIELD_REFUSED, .why = "a prompt's progress is not told"},
    {"verbose", VG_FIELD_REFUSED, .why = "an answer tells nothing of the server's inside"},
    {"lora", VG_FIELD_REFUSED, .why = "adapters"},
    {"image_data", VG_FIELD_REFUSED, .why = "this server reads text alone"},
    {"grammar_lazy", VG_FIELD_REFUSED, .why = "a grammar holds from the first token"},
    {"grammar_triggers", VG_FIELD_REFUSED, .why = "a grammar holds from the first token"},
    {"preserved_tokens", VG_FIELD_REFUSED, .why = "a grammar is over text"},
    {"messages", VG_FIELD_REFUSED, CHAT_ONLY},
    {"tools", VG_FIELD_REFUSED, CHAT_ONLY},
    {"chat_template_kwargs", VG_FIELD_REFUSED, CHAT_ONLY},
    {"continue_final_message", VG_FIELD_REFUSED, CHAT_ONLY},
    {"reasoning_budget_tokens", VG_FIELD_OTHER, .read = read_off},
    {"echo", VG_FIELD_REFUSED, .why = "the prompt is repeated beside the answer"},
    {"n_keep", WORKING}, /* of a context shift, which there is none: the answer ends there */
    {"n_discard", WORKING},
    {"n_cache_reuse", WORKING},
    {"cache_prompt", WORKING},
    {"sse_ping_interval", WORKING},
    {"stream_options", WORKING},   /* usage stands in every last event */
    {"reasoning_format", WORKING}, /* of a chat */
    {"backend_sampling", WORKING},
    {"speculative.n_max", WORKING},
    {"speculative.n_min", WORKING},
    {"speculative.p_min", WORKING},
};
const size_t vg_llama_n_completion_fields = VG_COUNT(vg_llama_completion_fields);

/* ---- what they mean -------------------------------------------------------------------------- */

/* "Keep nothing" is not "keep all", which is what 0 means to the sampler. */
static float share(float p)
{
    return p > 0 ? p : 1e-9f;
}

static void take_windows(const vg_llama_fields *f, vg_sampling *s)
{
    s->penalty_last_n = f->repeat_last_n < 0 ? UINT32_MAX : (uint32_t)f->repeat_last_n;
    if (f->repeat_last_n == 0) {
        s->repeat_penalty = 1;
        s->presence_penalty = s->frequency_penalty = 0;
    }
    s->dry_last_n = f->dry_penalty_last_n < 0 ? 0 : (uint32_t)f->dry_penalty_last_n;
    if (f->dry_penalty_last_n == 0) s->dry_multiplier = 0;
}

static vg_status take_sampling(const vg_llama_fields *f, vg_request *r, vg_err *err)
{
    vg_sampling *s = &r->sampling;
    *s = f->s;
    s->top_k = f->top_k > 0 ? (uint32_t)f->top_k : 0;
    s->top_p = share(s->top_p);
    s->typical_p = share(s->typical_p);
    take_windows(f, s);
    if (f->mirostat == 1)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "mirostat: not supported: version 1; 2 is");
    if (f->samplers) VG_TRY(vg_llama_samplers(s, f->samplers, err));
    if (f->mirostat == 2) {
        s->mirostat_tau = f->mirostat_tau;
        s->mirostat_eta = f->mirostat_eta;
    }
    r->has_seed = f->seed >= 0 && f->seed != UINT32_MAX;
    s->seed = r->has_seed ? (uint64_t)f->seed : 0;
    if (s->dry_multiplier == 0 || r->n_dry_breakers) return VG_OK;
    vg_str *text = VG_ARENA_ARRAY(r->arena, vg_str, VG_COUNT(default_breakers));
    if (!text) return VG_FAIL_MEMORY(err, sizeof default_breakers);
    for (size_t i = 0; i < VG_COUNT(default_breakers); i++)
        text[i] = vg_str_from(default_breakers[i]);
    r->dry_breaker = text;
    r->n_dry_breakers = VG_COUNT(default_breakers);
    return VG_OK;
}

static vg_status take_form(const vg_llama_fields *f, vg_request *r, vg_err *err)
{
    if (f->schema && f->grammar.n)
        return VG_FAIL(err, VG_E_USAGE, "grammar: not together with json_schema");
    if (f->grammar.n) {
        r->form = VG_FORM_GBNF;
        r->gbnf = f->grammar;
    }
    if (!f->schema) return VG_OK;
    if (f->schema->kind != VG_JSON_OBJECT && f->schema->kind != VG_JSON_BOOL)
        return VG_FAIL(err, VG_E_USAGE, "json_schema: must be a JSON schema");
    bool any_object = f->schema->kind == VG_JSON_OBJECT && f->schema->n == 0;
    r->form = any_object ? VG_FORM_JSON_OBJECT : VG_FORM_SCHEMA;
    r->schema = f->schema;
    return VG_OK;
}

static vg_status check_response_fields(const vg_json *v, vg_err *err)
{
    bool ok = v->kind == VG_JSON_ARRAY;
    for (size_t i = 0; ok && i < v->n; i++) ok = v->item[i]->kind == VG_JSON_STRING;
    return ok ? VG_OK : VG_FAIL(err, VG_E_USAGE, "response_fields: must be an array of texts");
}

vg_status vg_llama_take(vg_llama_fields *f, vg_err *err)
{
    vg_request *r = f->request;
    int64_t max = f->n_predict >= 0    ? f->n_predict
                  : f->max_tokens >= 0 ? f->max_tokens
                                       : f->max_completion_tokens;
    int64_t n_probs = f->n_probs ? f->n_probs : f->logprobs;
    VG_TRY(take_sampling(f, r, err));
    VG_TRY(take_form(f, r, err));
    if (f->logit_bias) VG_TRY(vg_llama_bias(r, f->logit_bias, err));
    if (f->response_fields) VG_TRY(check_response_fields(f->response_fields, err));
    r->model = f->model;
    r->n = VG_MAX(f->n_cmpl, f->n);
    r->has_max_tok = max >= 0;
    r->max_tok = max >= 0 ? (uint32_t)max : 0;
    r->logprobs = n_probs > 0;
    r->n_top = (uint32_t)n_probs;
    r->max_ms = f->t_max_predict_ms > 0 ? (uint32_t)f->t_max_predict_ms : 0;
    r->return_ids = r->return_ids || r->stream;
    r->special = true;
    r->keep_reasoning = true;
    if (r->n_prompts * r->n > VG_MAX_CHOICES && r->ask == VG_ASK_COMPLETE)
        return VG_FAIL(err, VG_E_USAGE, "prompt: %zu prompts with %u answers each; at most %d",
                       r->n_prompts, r->n, VG_MAX_CHOICES);
    return VG_OK;
}
