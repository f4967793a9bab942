/* Ollama's dialect, the answering half: one JSON object a line, the last one with the counts and
 * the times in nanoseconds. A tool call goes out whole, because its arguments are an object there
 * and not text that could come in pieces; what is no object goes out as text, so that nothing runs
 * with arguments that the model did not write. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "serve/ollama_int.h"

void vg_ollama_time(vg_buf *out, const char *key, int64_t s, int64_t ns)
{
    struct tm tm;
    time_t t = (time_t)s;
    char text[64] = "1970-01-01T00:00:00";
    if (gmtime_r(&t, &tm)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    vg_json_key(out, key);
    vg_buf_fmt(out, "\"%s.%09" PRId64 "Z\"", text, ns);
}

static void put_ns(vg_buf *out, const char *key, double ms)
{
    vg_json_int(out, key, (int64_t)floor(ms * 1e6 + 0.5));
}

static bool is_chat(const vg_reply *r)
{
    return vg_str_is(r->request->route, "/api/chat");
}

/* The name as the client spelled it, which it may compare. */
static vg_str model_name(const vg_reply *r)
{
    const vg_json *asked = r->request->body ? vg_json_get(r->request->body, "model") : NULL;
    return asked && asked->kind == VG_JSON_STRING ? asked->str : r->model;
}

static void begin_line(const vg_reply *r, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, "model", model_name(r));
    vg_ollama_time(out, "created_at", r->created_s, r->created_ns);
}

static void end_line(vg_buf *out)
{
    vg_json_end(out, '}');
    vg_buf_char(out, '\n');
}

/* ---- parts of an answer ---------------------------------------------------------------------- */

/* The arguments as an object, or NULL. They are parsed on memory that is gone afterwards. */
static bool args_are_object(const vg_tool_call *call)
{
    vg_arena *a = NULL;
    vg_json *j = NULL;
    if (vg_arena_new(&a, 64 << 20, NULL)) return false;
    bool ok = !vg_json_parse(a, call->args.n ? call->args.data : "", call->args.n, &j, NULL) &&
              j->kind == VG_JSON_OBJECT;
    vg_arena_free(a);
    return ok;
}

static void put_call(vg_buf *out, const vg_tool_call *call, size_t index)
{
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, "id", call->id);
    vg_json_begin(out, "function", '{');
    vg_json_count(out, "index", index);
    vg_json_str(out, "name", call->name);
    vg_json_key(out, "arguments");
    vg_buf_add(out, call->args.data, call->args.n);
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

/* A call that is none, as the text that it was. */
static void put_broken_call(vg_buf *text, const vg_tool_call *call)
{
    vg_buf_str(text, call->name);
    vg_buf_char(text, ' ');
    vg_buf_add(text, call->args.data, call->args.n);
}

/* What a line tells of an answer: its text, its reasoning, and calls first..end of the choice. */
typedef struct line {
    vg_str text, thinking;
    const vg_choice *choice;
    size_t first_call, end_call;
} line;

static void put_calls(vg_buf *out, const line *l)
{
    bool any = false;
    for (size_t i = l->first_call; i < l->end_call; i++) {
        if (!args_are_object(&l->choice->call[i])) continue;
        if (!any) vg_json_begin(out, "tool_calls", '[');
        any = true;
        put_call(out, &l->choice->call[i], i);
    }
    if (any) vg_json_end(out, ']');
}

static void put_answer(const vg_reply *r, vg_buf *out, const line *l)
{
    vg_buf text;
    vg_buf_init(&text, out->cap_bytes);
    vg_buf_str(&text, l->text);
    for (size_t i = l->first_call; i < l->end_call; i++)
        if (!args_are_object(&l->choice->call[i])) put_broken_call(&text, &l->choice->call[i]);
    vg_str all = {text.data, text.n};
    if (is_chat(r)) {
        vg_json_begin(out, "message", '{');
        vg_json_text(out, "role", "assistant");
        vg_json_str(out, "content", all);
    } else {
        vg_json_str(out, "response", all);
    }
    if (l->thinking.n) vg_json_str(out, "thinking", l->thinking);
    put_calls(out, l);
    if (is_chat(r)) vg_json_end(out, '}');
    if (text.failed) out->failed = text.failed;
    vg_buf_clear(&text);
}

static void put_token(vg_buf *out, vg_str bytes, float logprob)
{
    vg_json_str(out, "token", bytes);
    vg_json_real(out, "logprob", isfinite(logprob) ? (double)logprob : -9999.0);
    vg_json_begin(out, "bytes", '[');
    for (size_t i = 0; i < bytes.n; i++) vg_json_count(out, NULL, (unsigned char)bytes.p[i]);
    vg_json_end(out, ']');
}

static void put_logprobs(const vg_reply *r, vg_buf *out, const vg_told_token *token, size_t n)
{
    if (!r->request->logprobs || !n) return;
    vg_json_begin(out, "logprobs", '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_begin(out, NULL, '{');
        put_token(out, token[i].bytes, token[i].logprob);
        if (token[i].n_top) vg_json_begin(out, "top_logprobs", '[');
        for (size_t k = 0; k < token[i].n_top; k++) {
            vg_json_begin(out, NULL, '{');
            put_token(out, token[i].top[k].bytes, token[i].top[k].logprob);
            vg_json_end(out, '}');
        }
        if (token[i].n_top) vg_json_end(out, ']');
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

static void put_context(const vg_reply *r, vg_buf *out)
{
    const vg_choice *c = r->choice;
    if (!r->request->return_ids || is_chat(r) || !c->prompt_id) return;
    vg_json_begin(out, "context", '[');
    for (size_t i = 0; i < c->n_prompt; i++) vg_json_int(out, NULL, c->prompt_id[i]);
    for (size_t i = 0; i < c->n_tokens_told; i++) vg_json_int(out, NULL, c->token[i].id);
    vg_json_end(out, ']');
}

static const char *done_reason(const vg_reply *r)
{
    if (r->request->ask == VG_ASK_LOAD)
        return r->request->has_keep_alive && r->request->keep_alive_s == 0 ? "unload" : "load";
    return r->choice->finish == VG_FINISH_LENGTH ? "length" : "stop";
}

/* What stands in the last line, after the answer. */
static void put_done(const vg_reply *r, vg_buf *out)
{
    vg_json_bool(out, "done", true);
    vg_json_text(out, "done_reason", done_reason(r));
    if (r->request->ask == VG_ASK_LOAD) return;
    const vg_choice *c = r->choice;
    put_context(r, out);
    put_ns(out, "total_duration", r->total_ms);
    put_ns(out, "load_duration", r->load_ms);
    vg_json_count(out, "prompt_eval_count", c->n_prompt);
    put_ns(out, "prompt_eval_duration", c->prompt_ms);
    vg_json_count(out, "eval_count", c->n_tok);
    put_ns(out, "eval_duration", c->generate_ms);
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static void put_vector(vg_buf *out, const char *key, const float *v, size_t width)
{
    vg_json_begin(out, key, '[');
    for (size_t i = 0; i < width; i++) vg_json_real(out, NULL, (double)v[i]);
    vg_json_end(out, ']');
}

static void put_embedding(const vg_reply *r, vg_buf *out)
{
    size_t n = r->request->ask == VG_ASK_EMBED ? r->n_choices : 0, n_prompt = 0;
    vg_json_begin(out, NULL, '{');
    if (vg_str_is(r->request->route, "/api/embeddings")) {
        put_vector(out, "embedding", r->vector, n ? r->width : 0);
        vg_json_end(out, '}');
        return;
    }
    vg_json_str(out, "model", model_name(r));
    vg_json_begin(out, "embeddings", '[');
    for (size_t i = 0; i < n; i++) put_vector(out, NULL, r->vector + i * r->width, r->width);
    vg_json_end(out, ']');
    for (size_t i = 0; i < n; i++) n_prompt += r->choice[i].n_prompt;
    put_ns(out, "total_duration", r->total_ms);
    put_ns(out, "load_duration", r->load_ms);
    vg_json_count(out, "prompt_eval_count", n_prompt);
    vg_json_end(out, '}');
}

/* ---- the dialect's writers ------------------------------------------------------------------- */

static vg_str buf_str(const vg_buf *b)
{
    return (vg_str){b->data, b->n};
}

void vg_ollama_whole(vg_reply *r, vg_buf *out)
{
    vg_str route = r->request->route;
    if (vg_str_is(route, "/api/embed") || vg_str_is(route, "/api/embeddings")) {
        put_embedding(r, out);
        return;
    }
    line l = {0};
    if (r->request->ask != VG_ASK_LOAD)
        l = (line){buf_str(&r->choice->text), buf_str(&r->choice->reasoning), r->choice, 0,
                   r->choice->n_calls};
    begin_line(r, out);
    put_answer(r, out, &l);
    put_done(r, out);
    if (r->request->ask != VG_ASK_LOAD)
        put_logprobs(r, out, r->choice->token, r->choice->n_tokens_told);
    vg_json_end(out, '}');
}

void vg_ollama_begin(vg_reply *r, vg_buf *out)
{
    VG_UNUSED(r);
    VG_UNUSED(out);
}

void vg_ollama_delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    line l = {.choice = &r->choice[d->choice]};
    bool told = r->request->logprobs && d->n_tokens;
    switch (d->news) {
    case VG_NEWS_TEXT: l.text = d->text; break;
    case VG_NEWS_REASONING: l.thinking = d->text; break;
    case VG_NEWS_CALL_END:
        l.first_call = d->call;
        l.end_call = d->call + 1;
        break;
    default:
        if (!told) return;
    }
    begin_line(r, out);
    put_answer(r, out, &l);
    vg_json_bool(out, "done", false);
    put_logprobs(r, out, d->token, d->n_tokens);
    end_line(out);
}

void vg_ollama_end(vg_reply *r, vg_buf *out)
{
    line l = {0};
    begin_line(r, out);
    put_answer(r, out, &l);
    put_done(r, out);
    end_line(out);
}

void vg_ollama_error(const vg_err *e, int http, vg_buf *out)
{
    VG_UNUSED(http);
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "error", e->msg);
    vg_json_end(out, '}');
}

void vg_ollama_fail(vg_reply *r, const vg_err *e, vg_buf *out)
{
    VG_UNUSED(r);
    vg_ollama_error(e, 500, out);
    vg_buf_char(out, '\n');
}
