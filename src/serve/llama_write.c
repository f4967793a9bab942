/* llama-server's dialect, the answering half: an object with the text, the settings it was made
 * with and its timings; of several answers an array; as a stream one event a piece of text, and a
 * last one for each answer that has everything but the text. */
#include <math.h>

#include "serve/llama_int.h"

static bool body_flag(const vg_request *r, const char *name)
{
    const vg_json *v = r->body ? vg_json_get(r->body, name) : NULL;
    return v && v->kind == VG_JSON_BOOL && v->boolean;
}

/* ---- settings -------------------------------------------------------------------------------- */

static void put_texts(vg_buf *out, const char *key, const vg_str *text, size_t n)
{
    vg_json_begin(out, key, '[');
    for (size_t i = 0; i < n; i++) vg_json_str(out, NULL, text[i]);
    vg_json_end(out, ']');
}

static void put_bias(vg_buf *out, const vg_request *r)
{
    vg_json_begin(out, "logit_bias", '[');
    for (size_t i = 0; i < r->n_bias; i++) {
        vg_json_begin(out, NULL, '{');
        vg_json_real(out, "bias", (double)r->bias[i].add);
        if (r->bias[i].id >= 0) vg_json_int(out, "token", r->bias[i].id);
        else vg_json_str(out, "token", r->bias[i].text);
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

/* A float as it was written: 0.95, not the double beside it. */
static void put_float(vg_buf *out, const char *key, float v)
{
    char text[VG_DOUBLE_LONG_TEXT];
    if (!isfinite(v)) {
        vg_json_real(out, key, (double)v);
        return;
    }
    vg_json_key(out, key);
    vg_buf_add(out, text, vg_double_print((double)v, 'g', 7, text));
}

static int64_t window(uint32_t n)
{
    return n == UINT32_MAX ? -1 : (int64_t)n;
}

static void put_sampling(vg_buf *out, const vg_request *r)
{
    const vg_sampling *s = &r->sampling;
    vg_json_count(out, "seed", r->has_seed ? s->seed : UINT32_MAX);
    put_float(out, "temperature", s->temp);
    put_float(out, "dynatemp_range", 0);
    put_float(out, "dynatemp_exponent", 1);
    vg_json_count(out, "top_k", s->top_k);
    put_float(out, "top_p", s->top_p);
    put_float(out, "min_p", s->min_p);
    put_float(out, "top_n_sigma", -1);
    put_float(out, "xtc_probability", 0);
    put_float(out, "xtc_threshold", 0.1f);
    put_float(out, "typical_p", s->typical_p);
    vg_json_int(out, "repeat_last_n", window(s->penalty_last_n));
    put_float(out, "repeat_penalty", s->repeat_penalty);
    put_float(out, "presence_penalty", s->presence_penalty);
    put_float(out, "frequency_penalty", s->frequency_penalty);
    put_float(out, "dry_multiplier", s->dry_multiplier);
    put_float(out, "dry_base", s->dry_base);
    vg_json_count(out, "dry_allowed_length", s->dry_allowed);
    vg_json_int(out, "dry_penalty_last_n", s->dry_last_n ? (int64_t)s->dry_last_n : -1);
    put_texts(out, "dry_sequence_breakers", r->dry_breaker, r->n_dry_breakers);
    vg_json_int(out, "mirostat", s->mirostat_tau > 0 ? 2 : 0);
    put_float(out, "mirostat_tau", s->mirostat_tau > 0 ? s->mirostat_tau : 5);
    put_float(out, "mirostat_eta", s->mirostat_tau > 0 ? s->mirostat_eta : 0.1f);
}

void vg_llama_settings(const vg_request *r, const char *key, vg_buf *out)
{
    static const char *const order[] = {"penalties", "dry",   "top_k",      "typ_p",
                                        "top_p",     "min_p", "temperature"};
    int64_t n_predict = r->has_max_tok ? (int64_t)r->max_tok : -1;
    const vg_json *grammar = r->body ? vg_json_get(r->body, "grammar") : NULL;
    vg_json_begin(out, key, '{');
    put_sampling(out, r);
    put_texts(out, "stop", r->stop, r->n_stop);
    vg_json_int(out, "max_tokens", n_predict);
    vg_json_int(out, "n_predict", n_predict);
    vg_json_int(out, "n_keep", 0);
    vg_json_int(out, "n_discard", 0);
    vg_json_bool(out, "ignore_eos", r->ignore_end);
    vg_json_bool(out, "stream", r->stream);
    put_bias(out, r);
    vg_json_count(out, "n_probs", r->n_top);
    vg_json_int(out, "min_keep", 0);
    vg_json_str(out, "grammar", grammar ? grammar->str : (vg_str){"", 0});
    vg_json_begin(out, "samplers", '[');
    for (size_t i = 0; i < VG_COUNT(order); i++) vg_json_text(out, NULL, order[i]);
    vg_json_end(out, ']');
    vg_json_bool(out, "timings_per_token", body_flag(r, "timings_per_token"));
    vg_json_bool(out, "post_sampling_probs", false);
    vg_json_begin(out, "lora", '[');
    vg_json_end(out, ']');
    vg_json_end(out, '}');
}

/* ---- parts of an answer ---------------------------------------------------------------------- */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void put_timings(vg_buf *out, const vg_choice *c)
{
    double n_prompt = (double)(c->n_prompt - VG_MIN(c->n_reused, c->n_prompt));
    double n_tok = (double)c->n_tok;
    vg_json_begin(out, "timings", '{');
    vg_json_count(out, "cache_n", c->n_reused);
    vg_json_count(out, "prompt_n", (uint64_t)n_prompt);
    vg_json_round(out, "prompt_ms", c->prompt_ms, 3);
    vg_json_round(out, "prompt_per_token_ms", ratio(c->prompt_ms, n_prompt), 3);
    vg_json_round(out, "prompt_per_second", ratio(n_prompt * 1000, c->prompt_ms), 3);
    vg_json_count(out, "predicted_n", c->n_tok);
    vg_json_round(out, "predicted_ms", c->generate_ms, 3);
    vg_json_round(out, "predicted_per_token_ms", ratio(c->generate_ms, n_tok), 3);
    vg_json_round(out, "predicted_per_second", ratio(n_tok * 1000, c->generate_ms), 3);
    vg_json_end(out, '}');
}

/* -INFINITY has no JSON: the lowest float, as llama-server writes it. */
static void put_token(vg_buf *out, int32_t id, vg_str bytes, float logprob)
{
    vg_json_int(out, "id", id);
    vg_json_str(out, "token", bytes);
    vg_json_begin(out, "bytes", '[');
    for (size_t i = 0; i < bytes.n; i++) vg_json_count(out, NULL, (unsigned char)bytes.p[i]);
    vg_json_end(out, ']');
    vg_json_real(out, "logprob", isfinite(logprob) ? (double)logprob : -3.4028234663852886e38);
}

static void put_probabilities(const vg_request *r, vg_buf *out, const vg_told_token *token,
                              size_t n)
{
    if (!r->logprobs || !n) return;
    vg_json_begin(out, "completion_probabilities", '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_begin(out, NULL, '{');
        put_token(out, token[i].id, token[i].bytes, token[i].logprob);
        vg_json_begin(out, "top_logprobs", '[');
        for (size_t k = 0; k < token[i].n_top; k++) {
            const vg_told_top *top = &token[i].top[k];
            vg_json_begin(out, NULL, '{');
            put_token(out, top->id, top->bytes, top->logprob);
            vg_json_end(out, '}');
        }
        vg_json_end(out, ']');
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

static void put_ids(vg_buf *out, const vg_told_token *token, size_t n)
{
    vg_json_begin(out, "tokens", '[');
    for (size_t i = 0; i < n; i++) vg_json_int(out, NULL, token[i].id);
    vg_json_end(out, ']');
}

/* The prompt's text; one with token ids in it as it was asked. */
static void put_prompt(const vg_request *r, const vg_choice *c, vg_buf *out)
{
    const vg_prompt *p = c->prompt < r->n_prompts ? &r->prompt[c->prompt] : NULL;
    if (r->ask == VG_ASK_INFILL || !p || p->n == 0) {
        vg_json_str(out, "prompt", r->ask == VG_ASK_INFILL ? r->prefix : (vg_str){"", 0});
    } else if (p->n == 1 && !p->piece[0].id) {
        vg_json_str(out, "prompt", p->piece[0].text);
    } else {
        vg_json_begin(out, "prompt", '[');
        for (size_t i = 0; i < p->n; i++) {
            if (!p->piece[i].id) vg_json_str(out, NULL, p->piece[i].text);
            for (size_t k = 0; k < p->piece[i].n_id; k++)
                vg_json_int(out, NULL, p->piece[i].id[k]);
        }
        vg_json_end(out, ']');
    }
}

static const char *stop_type(const vg_choice *c)
{
    switch (c->finish) {
    case VG_FINISH_END:
    case VG_FINISH_TOOLS: return "eos";
    case VG_FINISH_STOP: return "word";
    case VG_FINISH_LENGTH: return "limit";
    default: return "none";
    }
}

/* The object at the end of an answer; `text` is false in a stream, which has told it. */
static void put_final(const vg_reply *r, size_t index, bool text, vg_buf *out)
{
    const vg_choice *c = &r->choice[index];
    const vg_request *q = r->request;
    bool has_newline = c->text.n && memchr(c->text.data, '\n', c->text.n);
    vg_json_begin(out, NULL, '{');
    vg_json_count(out, "index", index);
    vg_json_str(out, "content", text ? (vg_str){c->text.data, c->text.n} : (vg_str){"", 0});
    put_ids(out, c->token, text && q->return_ids ? c->n_tokens_told : 0);
    vg_json_int(out, "id_slot", -1);
    vg_json_bool(out, "stop", true);
    vg_json_str(out, "model", r->model);
    vg_json_count(out, "tokens_predicted", c->n_tok);
    vg_json_count(out, "tokens_evaluated", c->n_prompt);
    vg_llama_settings(q, "generation_settings", out);
    put_prompt(q, c, out);
    vg_json_bool(out, "has_new_line", has_newline);
    vg_json_bool(out, "truncated", false);
    vg_json_text(out, "stop_type", stop_type(c));
    vg_json_str(out, "stopping_word", c->finish == VG_FINISH_STOP ? c->stop_text : (vg_str){"", 0});
    vg_json_count(out, "tokens_cached", c->n_reused);
    put_timings(out, c);
    if (text) put_probabilities(q, out, c->token, c->n_tokens_told);
    vg_json_end(out, '}');
}

/* ---- response_fields ------------------------------------------------------------------------- */

/* "generation_settings/n_predict": the value at the end of the path, or NULL; `path` becomes its
 * last part. */
static const vg_json *at_path(const vg_json *j, vg_str *path)
{
    for (;;) {
        size_t n = 0;
        while (n < path->n && path->p[n] != '/') n++;
        const vg_json *next = NULL;
        for (size_t i = 0; j->kind == VG_JSON_OBJECT && i < j->n; i++)
            if (vg_str_eq(j->key[i], (vg_str){path->p, n})) next = j->item[i];
        if (!next || n == path->n) return next;
        *path = (vg_str){path->p + n + 1, path->n - n - 1};
        j = next;
    }
}

/* The object again, with the fields alone that were asked for. */
static void put_chosen(const vg_json *all, const vg_json *fields, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    for (size_t i = 0; i < fields->n; i++) {
        vg_str path = fields->item[i]->str;
        const vg_json *v = at_path(all, &path);
        if (!v) continue;
        vg_json_name(out, path);
        vg_json_put(out, v);
    }
    vg_json_end(out, '}');
}

static void put_answer(const vg_reply *r, size_t index, bool text, vg_buf *out)
{
    const vg_json *fields = r->request->body ? vg_json_get(r->request->body, "response_fields")
                                             : NULL;
    if (!fields || fields->kind != VG_JSON_ARRAY || !fields->n) {
        put_final(r, index, text, out);
        return;
    }
    vg_buf whole;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    vg_buf_init(&whole, out->cap_bytes);
    put_final(r, index, text, &whole);
    if (whole.failed) out->failed = whole.failed;
    else if (vg_arena_new(&a, 256 << 20, NULL) || vg_json_parse(a, whole.data, whole.n, &j, NULL))
        out->failed = VG_E_NO_MEMORY;
    else put_chosen(j, fields, out);
    vg_arena_free(a);
    vg_buf_clear(&whole);
}

/* ---- the dialect's writers ------------------------------------------------------------------- */

static void put_vectors(const vg_reply *r, vg_buf *out)
{
    vg_json_begin(out, NULL, '[');
    for (size_t i = 0; i < r->n_choices; i++) {
        vg_json_begin(out, NULL, '{');
        vg_json_count(out, "index", i);
        vg_json_begin(out, "embedding", '[');
        vg_json_begin(out, NULL, '[');
        for (size_t k = 0; k < r->width; k++)
            vg_json_real(out, NULL, (double)r->vector[i * r->width + k]);
        vg_json_end(out, ']');
        vg_json_end(out, ']');
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

void vg_llama_whole(vg_reply *r, vg_buf *out)
{
    if (r->request->ask == VG_ASK_EMBED) {
        put_vectors(r, out);
        return;
    }
    if (r->n_choices != 1) vg_json_begin(out, NULL, '[');
    for (size_t i = 0; i < r->n_choices; i++) put_answer(r, i, true, out);
    if (r->n_choices != 1) vg_json_end(out, ']');
}

void vg_llama_begin(vg_reply *r, vg_buf *out)
{
    VG_UNUSED(r);
    VG_UNUSED(out);
}

void vg_llama_delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    const vg_choice *c = &r->choice[d->choice];
    if (d->news == VG_NEWS_FINISH) {
        vg_buf_text(out, "data: ");
        put_answer(r, d->choice, false, out);
        vg_buf_text(out, "\n\n");
        return;
    }
    if (d->news != VG_NEWS_TEXT) return;
    vg_buf_text(out, "data: ");
    vg_json_begin(out, NULL, '{');
    vg_json_count(out, "index", d->choice);
    vg_json_str(out, "content", d->text);
    put_ids(out, d->token, d->n_tokens);
    vg_json_bool(out, "stop", false);
    vg_json_int(out, "id_slot", -1);
    vg_json_count(out, "tokens_predicted", c->n_tok);
    vg_json_count(out, "tokens_evaluated", c->n_prompt);
    if (body_flag(r->request, "timings_per_token")) put_timings(out, c);
    put_probabilities(r->request, out, d->token, d->n_tokens);
    vg_json_end(out, '}');
    vg_buf_text(out, "\n\n");
}

void vg_llama_end(vg_reply *r, vg_buf *out)
{
    VG_UNUSED(r);
    VG_UNUSED(out);
}

static const char *error_type(const vg_err *e, int http)
{
    if (e->code == VG_E_CONTEXT) return "exceed_context_size_error";
    if (e->code == VG_E_UNSUPPORTED) return "not_supported_error";
    switch (http) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429:
    case 503: return "unavailable_error";
    default: return http >= 400 && http < 500 ? "invalid_request_error" : "server_error";
    }
}

void vg_llama_error(const vg_err *e, int http, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "error", '{');
    vg_json_int(out, "code", http);
    vg_json_text(out, "message", e->msg);
    vg_json_text(out, "type", error_type(e, http));
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

void vg_llama_fail(vg_reply *r, const vg_err *e, vg_buf *out)
{
    VG_UNUSED(r);
    vg_buf_text(out, "data: ");
    vg_llama_error(e, 500, out);
    vg_buf_text(out, "\n\n");
}
