/* OpenAI's chat completions, the answering half. Whole: a chat.completion. As a stream: a chunk
 * that says the role for each choice, one for each piece of news, one with the reason why it ended,
 * the usage where it was asked for, and [DONE]. */
#include "serve/openai_int.h"

static void put_head(const vg_reply *r, const char *object, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_openai_id(out, "id", "chatcmpl-", r->id);
    vg_json_text(out, "object", object);
    vg_json_int(out, "created", r->created_s);
    vg_json_str(out, "model", r->model);
    vg_json_text(out, "service_tier", "default");
    vg_json_key(out, "system_fingerprint");
    vg_buf_fmt(out, "\"verge-%s\"", vg_version());
}

/* ---- whole ----------------------------------------------------------------------------------- */

static void put_call(const vg_tool_call *call, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, "id", call->id);
    vg_json_text(out, "type", "function");
    vg_json_begin(out, "function", '{');
    vg_json_str(out, "name", call->name);
    vg_json_str(out, "arguments", vg_openai_text(&call->args));
    vg_json_end(out, '}');
    vg_json_end(out, '}');
}

static void put_message(const vg_choice *c, vg_buf *out)
{
    vg_json_begin(out, "message", '{');
    vg_json_text(out, "role", "assistant");
    if (c->text.n || !c->n_calls) vg_json_str(out, "content", vg_openai_text(&c->text));
    else vg_json_text(out, "content", NULL);
    vg_json_text(out, "refusal", NULL);
    vg_json_begin(out, "annotations", '[');
    vg_json_end(out, ']');
    if (c->reasoning.n) vg_json_str(out, "reasoning_content", vg_openai_text(&c->reasoning));
    if (c->n_calls) vg_json_begin(out, "tool_calls", '[');
    for (size_t i = 0; i < c->n_calls; i++) put_call(&c->call[i], out);
    if (c->n_calls) vg_json_end(out, ']');
    vg_json_end(out, '}');
}

static void put_logprobs(const vg_request *q, const vg_told_token *t, size_t n, vg_buf *out)
{
    if (!q->logprobs) {
        vg_json_text(out, "logprobs", NULL);
        return;
    }
    vg_json_begin(out, "logprobs", '{');
    vg_openai_logprobs(t, n, true, "content", out);
    vg_json_text(out, "refusal", NULL);
    vg_json_end(out, '}');
}

static void whole(vg_reply *r, vg_buf *out)
{
    put_head(r, "chat.completion", out);
    vg_json_begin(out, "choices", '[');
    for (size_t i = 0; i < r->n_choices; i++) {
        const vg_choice *c = &r->choice[i];
        vg_json_begin(out, NULL, '{');
        vg_json_count(out, "index", i);
        put_message(c, out);
        put_logprobs(r->request, c->token, c->n_tokens_told, out);
        vg_json_text(out, "finish_reason", vg_openai_finish(c->finish));
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_openai_usage(r, out);
    vg_json_end(out, '}');
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void begin_chunk(const vg_reply *r, size_t choice, vg_buf *out)
{
    vg_openai_sse_begin(out, NULL);
    put_head(r, "chat.completion.chunk", out);
    vg_json_begin(out, "choices", '[');
    vg_json_begin(out, NULL, '{');
    vg_json_count(out, "index", choice);
    vg_json_begin(out, "delta", '{');
}

static void end_chunk(const vg_reply *r, const vg_delta *d, vg_finish finish, vg_buf *out)
{
    vg_json_end(out, '}');
    put_logprobs(d && d->n_tokens ? r->request : &(vg_request){0}, d ? d->token : NULL,
                 d ? d->n_tokens : 0, out);
    vg_json_text(out, "finish_reason", finish ? vg_openai_finish(finish) : NULL);
    vg_json_end(out, '}');
    vg_json_end(out, ']');
    if (r->request->stream_usage) vg_json_text(out, "usage", NULL);
    vg_json_end(out, '}');
    vg_openai_sse_end(out);
}

static void begin(vg_reply *r, vg_buf *out)
{
    for (size_t i = 0; i < r->n_choices; i++) {
        begin_chunk(r, i, out);
        vg_json_text(out, "role", "assistant");
        vg_json_text(out, "content", "");
        vg_json_text(out, "refusal", NULL);
        end_chunk(r, NULL, VG_FINISH_NONE, out);
    }
}

static void put_call_delta(const vg_reply *r, const vg_delta *d, vg_buf *out)
{
    bool begins = d->news == VG_NEWS_CALL_BEGIN;
    const vg_tool_call *call = &r->choice[d->choice].call[d->call];
    vg_json_begin(out, "tool_calls", '[');
    vg_json_begin(out, NULL, '{');
    vg_json_count(out, "index", d->call);
    if (begins) vg_json_str(out, "id", call->id);
    if (begins) vg_json_text(out, "type", "function");
    vg_json_begin(out, "function", '{');
    if (begins) vg_json_str(out, "name", call->name);
    vg_json_str(out, "arguments", begins ? VG_STR("") : d->text);
    vg_json_end(out, '}');
    vg_json_end(out, '}');
    vg_json_end(out, ']');
}

static void delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    if (d->news == VG_NEWS_CALL_END) return;
    begin_chunk(r, d->choice, out);
    if (d->news == VG_NEWS_TEXT) vg_json_str(out, "content", d->text);
    else if (d->news == VG_NEWS_REASONING) vg_json_str(out, "reasoning_content", d->text);
    else if (d->news != VG_NEWS_FINISH) put_call_delta(r, d, out);
    end_chunk(r, d, d->news == VG_NEWS_FINISH ? r->choice[d->choice].finish : VG_FINISH_NONE, out);
}

static void end(vg_reply *r, vg_buf *out)
{
    if (r->request->stream_usage) {
        vg_openai_sse_begin(out, NULL);
        put_head(r, "chat.completion.chunk", out);
        vg_json_begin(out, "choices", '[');
        vg_json_end(out, ']');
        vg_openai_usage(r, out);
        vg_json_end(out, '}');
        vg_openai_sse_end(out);
    }
    vg_openai_done(out);
}

const vg_dialect vg_openai_chat = {
    .name = "openai-chat",
    .stream_type = "text/event-stream",
    .parse = vg_openai_chat_parse,
    .whole = whole,
    .begin = begin,
    .delta = delta,
    .end = end,
    .fail = vg_openai_fail,
    .error = vg_openai_error,
};
