/* Anthropic's messages, the answering half. An answer is a list of blocks: thinking, text,
 * tool_use, in the order in which they came. As a stream each block begins, grows and stops; the
 * reason why the message ended comes with the usage. */
#include <time.h>

#include "base/json_out.h"
#include "serve/anthropic_int.h"

typedef enum kind { NONE, THINKING, TEXT, TOOL } kind;

typedef struct state {
    kind open;
    size_t n_blocks;
} state;

static vg_str text_of(const vg_buf *b)
{
    return (vg_str){b->n ? b->data : "", b->n};
}

static const char *stop_reason(vg_finish f)
{
    switch (f) {
    case VG_FINISH_STOP:
        return "stop_sequence";
    case VG_FINISH_LENGTH:
        return "max_tokens";
    case VG_FINISH_TOOLS:
        return "tool_use";
    default:
        return "end_turn";
    }
}

/* ---- whole ----------------------------------------------------------------------------------- */

/* What was computed before is not counted as input, as that API counts. */
static void put_usage(const vg_choice *c, vg_buf *out)
{
    vg_json_begin(out, "usage", '{');
    vg_json_count(out, "input_tokens", c->n_prompt - VG_MIN(c->n_reused, c->n_prompt));
    vg_json_count(out, "cache_creation_input_tokens", 0);
    vg_json_count(out, "cache_read_input_tokens", c->n_reused);
    vg_json_count(out, "output_tokens", c->n_tok);
    vg_json_end(out, '}');
}

static void put_stop(const vg_choice *c, vg_buf *out)
{
    bool ends = c->finish != VG_FINISH_NONE;
    vg_json_text(out, "stop_reason", ends ? stop_reason(c->finish) : NULL);
    if (c->finish == VG_FINISH_STOP) vg_json_str(out, "stop_sequence", c->stop_text);
    else vg_json_text(out, "stop_sequence", NULL);
}

static void begin_message(const vg_reply *r, vg_buf *out)
{
    vg_json_key(out, "id");
    vg_buf_fmt(out, "\"msg_%.*s\"", VG_STR_ARG(r->id));
    vg_json_text(out, "type", "message");
    vg_json_text(out, "role", "assistant");
    vg_json_str(out, "model", r->model);
    vg_json_begin(out, "content", '[');
}

/* The arguments as they are where they are an object; an answer that was cut off may have half of
 * one, which this form has no room for. */
static void put_input(const vg_tool_call *call, vg_buf *out)
{
    vg_arena *a = NULL;
    vg_json *j = NULL;
    vg_str args = text_of(&call->args);
    bool object = !vg_arena_new(&a, 64 << 20, NULL) &&
                  !vg_json_parse(a, args.p, args.n, &j, NULL) && j->kind == VG_JSON_OBJECT;
    vg_json_key(out, "input");
    vg_buf_str(out, object ? args : VG_STR("{}"));
    vg_arena_free(a);
}

static void whole(vg_reply *r, vg_buf *out)
{
    const vg_choice *c = r->choice;
    vg_json_begin(out, NULL, '{');
    begin_message(r, out);
    if (c->reasoning.n) {
        vg_json_begin(out, NULL, '{');
        vg_json_text(out, "type", "thinking");
        vg_json_str(out, "thinking", text_of(&c->reasoning));
        vg_json_text(out, "signature", "");
        vg_json_end(out, '}');
    }
    if (c->text.n || !c->n_calls) {
        vg_json_begin(out, NULL, '{');
        vg_json_text(out, "type", "text");
        vg_json_str(out, "text", text_of(&c->text));
        vg_json_text(out, "citations", NULL);
        vg_json_end(out, '}');
    }
    for (size_t i = 0; i < c->n_calls; i++) {
        vg_json_begin(out, NULL, '{');
        vg_json_text(out, "type", "tool_use");
        vg_json_str(out, "id", c->call[i].id);
        vg_json_str(out, "name", c->call[i].name);
        put_input(&c->call[i], out);
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    put_stop(c, out);
    put_usage(c, out);
    vg_json_end(out, '}');
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void begin_event(vg_buf *out, const char *type)
{
    vg_buf_fmt(out, "event: %s\ndata: ", type);
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "type", type);
}

static void end_event(vg_buf *out)
{
    vg_json_end(out, '}');
    vg_buf_text(out, "\n\n");
}

static void begin(vg_reply *r, vg_buf *out)
{
    r->state = VG_ARENA_NEW(r->arena, state);
    vg_choice now = *r->choice;
    now.finish = VG_FINISH_NONE;
    now.n_tok = 0;
    begin_event(out, "message_start");
    vg_json_begin(out, "message", '{');
    begin_message(r, out);
    vg_json_end(out, ']');
    put_stop(&now, out);
    put_usage(&now, out);
    vg_json_end(out, '}');
    end_event(out);
    begin_event(out, "ping");
    end_event(out);
}

static void begin_delta(const state *s, vg_buf *out, const char *type)
{
    begin_event(out, "content_block_delta");
    vg_json_count(out, "index", s->n_blocks - 1);
    vg_json_begin(out, "delta", '{');
    vg_json_text(out, "type", type);
}

static void end_delta(vg_buf *out)
{
    vg_json_end(out, '}');
    end_event(out);
}

static void close_block(state *s, vg_buf *out)
{
    if (s->open == NONE) return;
    if (s->open == THINKING) {
        begin_delta(s, out, "signature_delta");
        vg_json_text(out, "signature", "");
        end_delta(out);
    }
    begin_event(out, "content_block_stop");
    vg_json_count(out, "index", s->n_blocks - 1);
    end_event(out);
    s->open = NONE;
}

/* The block that this piece of news belongs to, begun where another one or none is open. */
static void open_block(state *s, kind k, const vg_tool_call *call, vg_buf *out)
{
    if (s->open == k && k != TOOL) return;
    close_block(s, out);
    s->open = k;
    begin_event(out, "content_block_start");
    vg_json_count(out, "index", s->n_blocks++);
    vg_json_begin(out, "content_block", '{');
    switch (k) {
    case THINKING:
        vg_json_text(out, "type", "thinking");
        vg_json_text(out, "thinking", "");
        vg_json_text(out, "signature", "");
        break;
    case TOOL:
        vg_json_text(out, "type", "tool_use");
        vg_json_str(out, "id", call->id);
        vg_json_str(out, "name", call->name);
        vg_json_begin(out, "input", '{');
        vg_json_end(out, '}');
        break;
    default:
        vg_json_text(out, "type", "text");
        vg_json_text(out, "text", "");
        vg_json_text(out, "citations", NULL);
    }
    vg_json_end(out, '}');
    end_event(out);
}

static void delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    state *s = r->state;
    const vg_choice *c = &r->choice[d->choice];
    if (!s) return;
    switch (d->news) {
    case VG_NEWS_TEXT:
        if (!d->text.n) return;
        open_block(s, TEXT, NULL, out);
        begin_delta(s, out, "text_delta");
        vg_json_str(out, "text", d->text);
        end_delta(out);
        return;
    case VG_NEWS_REASONING:
        open_block(s, THINKING, NULL, out);
        begin_delta(s, out, "thinking_delta");
        vg_json_str(out, "thinking", d->text);
        end_delta(out);
        return;
    case VG_NEWS_CALL_BEGIN:
        open_block(s, TOOL, &c->call[d->call], out);
        return;
    case VG_NEWS_CALL_ARGS:
        begin_delta(s, out, "input_json_delta");
        vg_json_str(out, "partial_json", d->text);
        end_delta(out);
        return;
    case VG_NEWS_CALL_END:
        close_block(s, out);
        return;
    case VG_NEWS_FINISH:
        break;
    }
    if (!s->n_blocks) open_block(s, TEXT, NULL, out);
    close_block(s, out);
}

static void end(vg_reply *r, vg_buf *out)
{
    begin_event(out, "message_delta");
    vg_json_begin(out, "delta", '{');
    put_stop(r->choice, out);
    vg_json_end(out, '}');
    put_usage(r->choice, out);
    end_event(out);
    begin_event(out, "message_stop");
    end_event(out);
}

/* ---- errors and lists ------------------------------------------------------------------------ */

static const char *error_type(int http)
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
    case 503:
    case 529:
        return "overloaded_error";
    case 504:
        return "timeout_error";
    default:
        return http < 500 ? "invalid_request_error" : "api_error";
    }
}

static void put_error(const vg_err *e, int http, vg_buf *out)
{
    vg_json_begin(out, "error", '{');
    vg_json_text(out, "type", error_type(http));
    vg_json_text(out, "message", e->msg);
    vg_json_end(out, '}');
}

void vg_anthropic_error(const vg_err *e, int http, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "type", "error");
    put_error(e, http, out);
    vg_json_end(out, '}');
}

static void fail(vg_reply *r, const vg_err *e, vg_buf *out)
{
    VG_UNUSED(r);
    begin_event(out, "error");
    put_error(e, 500, out);
    end_event(out);
}

void vg_anthropic_count(size_t n_tok, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_count(out, "input_tokens", n_tok);
    vg_json_end(out, '}');
}

void vg_anthropic_one_model(const vg_anthropic_model *m, vg_buf *out)
{
    struct tm tm;
    time_t t = (time_t)m->created_s;
    char text[64] = "1970-01-01T00:00:00Z";
    if (gmtime_r(&t, &tm)) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "type", "model");
    vg_json_str(out, "id", m->name);
    vg_json_str(out, "display_name", m->name);
    vg_json_text(out, "created_at", text);
    vg_json_text(out, "lifecycle", "active");
    vg_json_count(out, "max_input_tokens", m->ctx_tok);
    vg_json_count(out, "max_tokens", m->ctx_tok);
    vg_json_end(out, '}');
}

void vg_anthropic_models(const vg_anthropic_model *m, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "data", '[');
    for (size_t i = 0; i < n; i++) vg_anthropic_one_model(&m[i], out);
    vg_json_end(out, ']');
    vg_json_bool(out, "has_more", false);
    if (n) vg_json_str(out, "first_id", m[0].name);
    else vg_json_text(out, "first_id", NULL);
    if (n) vg_json_str(out, "last_id", m[n - 1].name);
    else vg_json_text(out, "last_id", NULL);
    vg_json_end(out, '}');
}

const vg_dialect vg_anthropic = {
    .name = "anthropic",
    .stream_type = "text/event-stream",
    .parse = vg_anthropic_parse,
    .whole = whole,
    .begin = begin,
    .delta = delta,
    .end = end,
    .fail = fail,
    .error = vg_anthropic_error,
};
