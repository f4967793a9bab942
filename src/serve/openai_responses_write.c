/* OpenAI's Responses, the answering half. An answer is a list of items: reasoning, messages, calls,
 * each with its parts. Whole: the response with its items. As a stream: events with a number each;
 * items and parts are added, grow, and are done; the first events and the last one hold the whole
 * response as it then stands. */
#include "serve/openai_int.h"

typedef enum kind { NONE, REASONING, MESSAGE, CALL } kind;

/* Which part of the choice an item tells: text[from..to), reasoning[from..to), or call number from.
 */
typedef struct item {
    kind kind;
    size_t from, to;
} item;

enum { MAX_ITEMS = 4 * VG_MAX_CALLS };

typedef struct state {
    size_t sequence, n;
    bool open; /* item n - 1 goes on */
    item item[MAX_ITEMS];
} state;

typedef enum status { IN_PROGRESS, COMPLETED, INCOMPLETE, FAILED } status;
static const char *const status_name[] = {"in_progress", "completed", "incomplete", "failed"};

/* ---- items ----------------------------------------------------------------------------------- */

static void put_item_id(const vg_reply *r, const char *key, const item *it, size_t i, vg_buf *out)
{
    static const char *const prefix[] = {"", "rs_", "msg_", "fc_"};
    vg_json_key(out, key);
    vg_buf_fmt(out, "\"%s%.*s%02zu\"", prefix[it->kind], VG_STR_ARG(r->id), i);
}

static vg_str told(const vg_choice *c, const item *it)
{
    const vg_buf *b = it->kind == REASONING ? &c->reasoning : &c->text;
    size_t to = VG_MIN(it->to, b->n);
    return it->from < to ? (vg_str){b->data + it->from, to - it->from} : VG_STR("");
}

static void put_part(const vg_reply *r, const item *it, bool empty, const char *key, vg_buf *out)
{
    const vg_choice *c = r->choice;
    vg_json_begin(out, key, '{');
    vg_json_text(out, "type", it->kind == REASONING ? "reasoning_text" : "output_text");
    vg_json_str(out, "text", empty ? VG_STR("") : told(c, it));
    if (it->kind == MESSAGE) {
        vg_json_begin(out, "annotations", '[');
        vg_json_end(out, ']');
        vg_openai_logprobs(c->token, empty || it->from ? 0 : c->n_tokens_told, true, "logprobs",
                           out);
    }
    vg_json_end(out, '}');
}

static void put_item(const vg_reply *r, const item *it, size_t i, status s, const char *key,
                     vg_buf *out)
{
    static const char *const type[] = {"", "reasoning", "message", "function_call"};
    const vg_tool_call *call = &r->choice->call[it->kind == CALL ? it->from : 0];
    vg_json_begin(out, key, '{');
    put_item_id(r, "id", it, i, out);
    vg_json_text(out, "type", type[it->kind]);
    vg_json_text(out, "status", status_name[s]);
    if (it->kind == CALL) {
        vg_json_str(out, "call_id", call->id);
        vg_json_str(out, "name", call->name);
        vg_json_str(out, "arguments", s == IN_PROGRESS ? VG_STR("") : vg_openai_text(&call->args));
    } else {
        if (it->kind == MESSAGE) vg_json_text(out, "role", "assistant");
        if (it->kind == REASONING) vg_json_begin(out, "summary", '[');
        if (it->kind == REASONING) vg_json_end(out, ']');
        vg_json_begin(out, "content", '[');
        if (s != IN_PROGRESS) put_part(r, it, false, NULL, out);
        vg_json_end(out, ']');
    }
    vg_json_end(out, '}');
}

/* ---- the response ---------------------------------------------------------------------------- */

/* What the request had, or the API's default. */
static void put_asked(const vg_reply *r, const char *key, const char *otherwise, vg_buf *out)
{
    const vg_json *v = vg_json_get(r->request->body, key);
    vg_json_key(out, key);
    if (v && v->kind != VG_JSON_NULL) vg_json_put(out, v);
    else vg_buf_text(out, otherwise);
}

static void put_usage(const vg_reply *r, vg_buf *out)
{
    vg_openai_sum s = vg_openai_tokens(r);
    vg_json_begin(out, "usage", '{');
    vg_json_count(out, "input_tokens", s.prompt);
    vg_json_begin(out, "input_tokens_details", '{');
    vg_json_count(out, "cached_tokens", s.reused);
    vg_json_count(out, "cache_write_tokens", 0);
    vg_json_end(out, '}');
    vg_json_count(out, "output_tokens", s.answer);
    vg_json_begin(out, "output_tokens_details", '{');
    vg_json_count(out, "reasoning_tokens", r->choice->n_reasoning_tok);
    vg_json_end(out, '}');
    vg_json_count(out, "total_tokens", s.prompt + s.answer);
    vg_json_end(out, '}');
}

/* Tools as they came, but with the members that the type insists on. */
static void put_tools(const vg_reply *r, vg_buf *out)
{
    const vg_json *tools = vg_json_get(r->request->body, "tools");
    vg_json_begin(out, "tools", '[');
    for (size_t i = 0; tools && i < tools->n; i++) {
        static const char *const keys[] = {"type", "name", "description", "parameters", "strict"};
        vg_json_begin(out, NULL, '{');
        for (size_t k = 0; k < VG_COUNT(keys); k++) {
            const vg_json *v = vg_json_get(tools->item[i], keys[k]);
            vg_json_key(out, keys[k]);
            if (v) vg_json_put(out, v);
            else vg_buf_text(out, "null");
        }
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

static void put_text(const vg_reply *r, vg_buf *out)
{
    const vg_json *format = vg_json_get(vg_json_get(r->request->body, "text"), "format");
    vg_json_begin(out, "text", '{');
    vg_json_key(out, "format");
    if (format) vg_json_put(out, format);
    else vg_buf_text(out, "{\"type\": \"text\"}");
    vg_json_text(out, "verbosity", "medium");
    vg_json_end(out, '}');
}

static void put_error(const vg_err *e, vg_buf *out)
{
    if (!e) {
        vg_json_text(out, "error", NULL);
        return;
    }
    vg_json_begin(out, "error", '{');
    vg_json_text(out, "code", "server_error");
    vg_json_text(out, "message", e->msg);
    vg_json_end(out, '}');
}

static void put_response(const vg_reply *r, const state *s, status st, const vg_err *e,
                         const char *key, vg_buf *out)
{
    vg_json_begin(out, key, '{');
    vg_openai_id(out, "id", "resp_", r->id);
    vg_json_text(out, "object", "response");
    vg_json_int(out, "created_at", r->created_s);
    vg_json_text(out, "status", status_name[st]);
    vg_json_bool(out, "background", false);
    put_error(e, out);
    if (st == INCOMPLETE) {
        vg_json_begin(out, "incomplete_details", '{');
        vg_json_text(out, "reason", "max_output_tokens");
        vg_json_end(out, '}');
    } else {
        vg_json_text(out, "incomplete_details", NULL);
    }
    vg_json_str(out, "model", r->model);
    vg_json_begin(out, "output", '[');
    for (size_t i = 0; i < s->n && st != IN_PROGRESS; i++)
        put_item(r, &s->item[i], i, i + 1 == s->n && st == INCOMPLETE ? st : COMPLETED, NULL, out);
    vg_json_end(out, ']');
    put_asked(r, "instructions", "null", out);
    put_asked(r, "max_output_tokens", "null", out);
    put_asked(r, "metadata", "{}", out);
    put_asked(r, "parallel_tool_calls", "true", out);
    put_asked(r, "reasoning", "{\"effort\": null, \"summary\": null}", out);
    put_asked(r, "temperature", "1", out);
    put_asked(r, "tool_choice", "\"auto\"", out);
    put_asked(r, "top_p", "1", out);
    put_asked(r, "top_logprobs", "0", out);
    put_asked(r, "user", "null", out);
    put_tools(r, out);
    put_text(r, out);
    vg_json_text(out, "previous_response_id", NULL);
    vg_json_text(out, "service_tier", "default");
    vg_json_text(out, "truncation", "disabled");
    if (st == IN_PROGRESS) vg_json_text(out, "usage", NULL);
    else put_usage(r, out);
    vg_json_end(out, '}');
}

static status status_of(const vg_choice *c)
{
    return c->finish == VG_FINISH_LENGTH ? INCOMPLETE : COMPLETED;
}

static void whole(vg_reply *r, vg_buf *out)
{
    state *s = VG_ARENA_NEW(r->arena, state);
    const vg_choice *c = r->choice;
    if (!s) {
        out->failed = VG_E_NO_MEMORY;
        return;
    }
    if (c->reasoning.n) s->item[s->n++] = (item){REASONING, 0, c->reasoning.n};
    if (c->text.n || !c->n_calls) s->item[s->n++] = (item){MESSAGE, 0, c->text.n};
    for (size_t i = 0; i < c->n_calls; i++) s->item[s->n++] = (item){CALL, i, 0};
    put_response(r, s, status_of(c), NULL, NULL, out);
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void begin_event(state *s, const char *type, vg_buf *out)
{
    vg_openai_sse_begin(out, type);
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "type", type);
    vg_json_count(out, "sequence_number", s->sequence++);
}

static void end_event(vg_buf *out)
{
    vg_json_end(out, '}');
    vg_openai_sse_end(out);
}

/* An event about the item that is open, or about its one part. */
static void begin_item_event(const vg_reply *r, state *s, const char *type, bool part, vg_buf *out)
{
    begin_event(s, type, out);
    put_item_id(r, "item_id", &s->item[s->n - 1], s->n - 1, out);
    vg_json_count(out, "output_index", s->n - 1);
    if (part) vg_json_count(out, "content_index", 0);
}

static void tell_response(const vg_reply *r, state *s, const char *type, status st, const vg_err *e,
                          vg_buf *out)
{
    begin_event(s, type, out);
    put_response(r, s, st, e, "response", out);
    end_event(out);
}

static void tell_item(const vg_reply *r, state *s, bool done, status st, vg_buf *out)
{
    begin_event(s, done ? "response.output_item.done" : "response.output_item.added", out);
    vg_json_count(out, "output_index", s->n - 1);
    put_item(r, &s->item[s->n - 1], s->n - 1, st, "item", out);
    end_event(out);
}

static void tell_part(const vg_reply *r, state *s, bool done, vg_buf *out)
{
    const char *type = done ? "response.content_part.done" : "response.content_part.added";
    begin_item_event(r, s, type, true, out);
    put_part(r, &s->item[s->n - 1], !done, "part", out);
    end_event(out);
}

static void close_item(vg_reply *r, state *s, status st, vg_buf *out)
{
    const vg_choice *c = r->choice;
    if (!s->open) return;
    s->open = false;
    item *it = &s->item[s->n - 1];
    if (it->kind == CALL) {
        begin_item_event(r, s, "response.function_call_arguments.done", false, out);
        vg_json_str(out, "name", c->call[it->from].name);
        vg_json_str(out, "arguments", vg_openai_text(&c->call[it->from].args));
        end_event(out);
    } else {
        bool text = it->kind == MESSAGE;
        begin_item_event(r, s, text ? "response.output_text.done" : "response.reasoning_text.done",
                         true, out);
        vg_json_str(out, "text", told(c, it));
        if (text)
            vg_openai_logprobs(c->token, it->from ? 0 : c->n_tokens_told, false, "logprobs", out);
        end_event(out);
        tell_part(r, s, true, out);
    }
    tell_item(r, s, true, st, out);
}

/* The item that news of this kind belongs to; false where there is no room for another. */
static bool open_item(vg_reply *r, state *s, kind k, size_t from, vg_buf *out)
{
    if (s->open && s->item[s->n - 1].kind == k && k != CALL) return true;
    close_item(r, s, COMPLETED, out);
    if (s->n == MAX_ITEMS) return false;
    s->item[s->n++] = (item){k, from, from};
    s->open = true;
    tell_item(r, s, false, IN_PROGRESS, out);
    if (k != CALL) tell_part(r, s, false, out);
    return true;
}

static void begin(vg_reply *r, vg_buf *out)
{
    state *s = VG_ARENA_NEW(r->arena, state);
    r->state = s;
    if (!s) {
        out->failed = VG_E_NO_MEMORY;
        return;
    }
    tell_response(r, s, "response.created", IN_PROGRESS, NULL, out);
    tell_response(r, s, "response.in_progress", IN_PROGRESS, NULL, out);
}

static void tell_text(vg_reply *r, state *s, const vg_delta *d, vg_buf *out)
{
    bool text = d->news == VG_NEWS_TEXT;
    const vg_buf *b = text ? &r->choice->text : &r->choice->reasoning;
    if (!d->text.n || !open_item(r, s, text ? MESSAGE : REASONING, b->n - d->text.n, out)) return;
    s->item[s->n - 1].to = b->n;
    begin_item_event(r, s, text ? "response.output_text.delta" : "response.reasoning_text.delta",
                     true, out);
    vg_json_str(out, "delta", d->text);
    if (text) vg_openai_logprobs(d->token, d->n_tokens, false, "logprobs", out);
    end_event(out);
}

static void delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    state *s = r->state;
    if (!s) return;
    switch (d->news) {
    case VG_NEWS_TEXT:
    case VG_NEWS_REASONING:
        tell_text(r, s, d, out);
        return;
    case VG_NEWS_CALL_BEGIN:
        open_item(r, s, CALL, d->call, out);
        return;
    case VG_NEWS_CALL_ARGS:
        if (!s->open) return;
        begin_item_event(r, s, "response.function_call_arguments.delta", false, out);
        vg_json_str(out, "delta", d->text);
        end_event(out);
        return;
    case VG_NEWS_CALL_END:
        close_item(r, s, COMPLETED, out);
        return;
    case VG_NEWS_FINISH:
        break;
    }
    if (!s->n) open_item(r, s, MESSAGE, 0, out);
    close_item(r, s, status_of(r->choice), out);
}

static void end(vg_reply *r, vg_buf *out)
{
    status st = status_of(r->choice);
    if (!r->state) return;
    tell_response(r, r->state, st == INCOMPLETE ? "response.incomplete" : "response.completed", st,
                  NULL, out);
}

static void fail(vg_reply *r, const vg_err *e, vg_buf *out)
{
    if (r->state) tell_response(r, r->state, "response.failed", FAILED, e, out);
}

const vg_dialect vg_openai_responses = {
    .name = "openai-responses",
    .stream_type = "text/event-stream",
    .parse = vg_openai_responses_parse,
    .whole = whole,
    .begin = begin,
    .delta = delta,
    .end = end,
    .fail = fail,
    .error = vg_openai_error,
};
