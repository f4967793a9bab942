/* OpenAI's completions of plain prompts, /v1/completions, in the form of before there was chat. A
 * prompt is taken as it stands, control tokens included, since who writes whole prompts writes
 * these as well. */
#include <stdio.h>

#include "serve/openai_int.h"

typedef struct words {
    vg_request *request;
    uint32_t best_of;
    vg_str suffix;
} words;

static vg_status read_logprobs(void *request, const vg_json *v, vg_err *err)
{
    vg_request *r = request;
    int64_t n = 0;
    VG_TRY(vg_field_int(v, 0, VG_MAX_TOP, &n, err));
    r->logprobs = true;
    r->n_top = (uint32_t)n;
    return VG_OK;
}

static vg_status read_best_of(void *request, const vg_json *v, vg_err *err)
{
    const vg_request *r = request;
    int64_t n = 0;
    VG_TRY(vg_field_int(v, 1, VG_MAX_CHOICES, &n, err));
    if ((uint32_t)n != r->n)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "not supported unless it is n: all answers are told");
    return VG_OK;
}

static const vg_field fields[] = {
    {"prompt", VG_FIELD_OTHER, .read = vg_fields_prompts},
    VG_OPENAI_SAMPLING,
    {"suffix", VG_FIELD_TEXT, VG_IN(suffix)},
    {"echo", VG_FIELD_BOOL, VG_IN(echo)},
    {"logprobs", VG_FIELD_OTHER, .read = read_logprobs},
    {"best_of", VG_FIELD_OTHER, .read = read_best_of},
};

/* A text before and one behind, which the model fills in between. */
static vg_status infill(vg_request *r, vg_err *err)
{
    if (r->n_prompts != 1 || r->prompt->n != 1 || r->prompt->piece->id)
        return VG_FAIL(err, VG_E_USAGE, "suffix: needs one prompt that is a text");
    r->ask = VG_ASK_INFILL;
    r->prefix = r->prompt->piece->text;
    return VG_OK;
}

static vg_status parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    r->ask = VG_ASK_COMPLETE;
    r->route = vg_str_from(route);
    r->body = body;
    r->special = true;
    vg_openai_defaults(r);
    r->has_max_tok = true;
    r->max_tok = 16; /* the API's default */
    VG_TRY(vg_fields_read(body, "", fields, VG_COUNT(fields), r, err));
    if (!r->prompt) return VG_FAIL(err, VG_E_USAGE, "prompt: is missing");
    if (r->echo && r->logprobs)
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "echo: not supported with logprobs: a prompt's tokens "
                       "have none here");
    if (r->suffix.n) VG_TRY(infill(r, err));
    return vg_openai_check(r, err);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Where the next token of each choice begins in its text, in characters. */
typedef struct state {
    size_t offset[VG_MAX_CHOICES];
} state;

static void put_head(const vg_reply *r, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_openai_id(out, "id", "cmpl-", r->id);
    vg_json_text(out, "object", "text_completion");
    vg_json_int(out, "created", r->created_s);
    vg_json_str(out, "model", r->model);
    vg_json_key(out, "system_fingerprint");
    vg_buf_fmt(out, "\"verge-%s\"", vg_version());
}

static size_t n_chars(vg_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* {token: logprob, ..}: the best ones, and the one that came. */
static void put_top(const vg_told_token *t, vg_buf *out)
{
    bool there = false;
    vg_json_begin(out, NULL, '{');
    for (uint32_t k = 0; k < t->n_top; k++) {
        there = there || t->top[k].id == t->id;
        vg_json_name(out, t->top[k].bytes);
        vg_json_put_number(out, vg_openai_logprob(t->top[k].logprob));
    }
    if (!there) {
        vg_json_name(out, t->bytes);
        vg_json_put_number(out, vg_openai_logprob(t->logprob));
    }
    vg_json_end(out, '}');
}

static void put_logprobs(const vg_request *q, const vg_told_token *t, size_t n, size_t *offset,
                         vg_buf *out)
{
    if (!q->logprobs) {
        vg_json_text(out, "logprobs", NULL);
        return;
    }
    vg_json_begin(out, "logprobs", '{');
    vg_json_begin(out, "text_offset", '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_count(out, NULL, *offset);
        *offset += n_chars(t[i].bytes);
    }
    vg_json_end(out, ']');
    vg_json_begin(out, "token_logprobs", '[');
    for (size_t i = 0; i < n; i++) vg_json_real(out, NULL, vg_openai_logprob(t[i].logprob));
    vg_json_end(out, ']');
    vg_json_begin(out, "tokens", '[');
    for (size_t i = 0; i < n; i++) vg_json_str(out, NULL, t[i].bytes);
    vg_json_end(out, ']');
    if (q->n_top) {
        vg_json_begin(out, "top_logprobs", '[');
        for (size_t i = 0; i < n; i++) put_top(&t[i], out);
        vg_json_end(out, ']');
    } else {
        vg_json_text(out, "top_logprobs", NULL);
    }
    vg_json_end(out, '}');
}

static void whole(vg_reply *r, vg_buf *out)
{
    put_head(r, out);
    vg_json_begin(out, "choices", '[');
    for (size_t i = 0; i < r->n_choices; i++) {
        const vg_choice *c = &r->choice[i];
        size_t offset = 0;
        vg_json_begin(out, NULL, '{');
        vg_json_str(out, "text", vg_openai_text(&c->text));
        vg_json_count(out, "index", i);
        put_logprobs(r->request, c->token, c->n_tokens_told, &offset, out);
        vg_json_text(out, "finish_reason", vg_openai_finish(c->finish));
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_openai_usage(r, out);
    vg_json_end(out, '}');
}

static void begin(vg_reply *r, vg_buf *out)
{
    VG_UNUSED(out);
    r->state = VG_ARENA_NEW(r->arena, state);
}

static void delta(vg_reply *r, const vg_delta *d, vg_buf *out)
{
    bool ends = d->news == VG_NEWS_FINISH;
    if (!ends && d->news != VG_NEWS_TEXT && d->news != VG_NEWS_REASONING) return;
    size_t none = 0, *offset = r->state ? &((state *)r->state)->offset[d->choice] : &none;
    vg_openai_sse_begin(out, NULL);
    put_head(r, out);
    vg_json_begin(out, "choices", '[');
    vg_json_begin(out, NULL, '{');
    vg_json_str(out, "text", ends ? VG_STR("") : d->text);
    vg_json_count(out, "index", d->choice);
    put_logprobs(d->n_tokens ? r->request : &(vg_request){0}, d->token, d->n_tokens, offset, out);
    vg_json_text(out, "finish_reason", ends ? vg_openai_finish(r->choice[d->choice].finish) : NULL);
    vg_json_end(out, '}');
    vg_json_end(out, ']');
    if (r->request->stream_usage) vg_json_text(out, "usage", NULL);
    vg_json_end(out, '}');
    vg_openai_sse_end(out);
}

static void end(vg_reply *r, vg_buf *out)
{
    if (r->request->stream_usage) {
        vg_openai_sse_begin(out, NULL);
        put_head(r, out);
        vg_json_begin(out, "choices", '[');
        vg_json_end(out, ']');
        vg_openai_usage(r, out);
        vg_json_end(out, '}');
        vg_openai_sse_end(out);
    }
    vg_openai_done(out);
}

const vg_dialect vg_openai_completions = {
    .name = "openai-completions",
    .stream_type = "text/event-stream",
    .parse = parse,
    .whole = whole,
    .begin = begin,
    .delta = delta,
    .end = end,
    .fail = vg_openai_fail,
    .error = vg_openai_error,
};
