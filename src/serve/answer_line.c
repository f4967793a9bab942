/* From tokens to what a client is told: bytes become characters, text that may become a stop text
 * is held back until it is certain, and the rest is told apart into text, reasoning and calls.
 * Nothing here waits, and nothing fails but for want of memory, which ends the choice's text. */
#include "serve/answer_int.h"

enum { TEXT_CAP_BYTES = 64 << 20 };

/* ---- what is told ---------------------------------------------------------------------------- */

/* Adds to the choice and tells a stream's client. */
static void put(void *user, vg_news news, vg_str text)
{
    vg_line *l = user;
    vg_choice *c = l->choice;
    vg_delta d = {.news = news, .choice = l->i, .text = text};
    switch (news) {
    case VG_NEWS_TEXT: vg_buf_str(&c->text, text); break;
    case VG_NEWS_REASONING: vg_buf_str(&c->reasoning, text); break;
    case VG_NEWS_CALL_BEGIN:
        if (c->n_calls == VG_MAX_CALLS) return;
        c->call[c->n_calls].id = vg_answer_new_id(l->answer, "call_");
        c->call[c->n_calls].name = (vg_str){vg_arena_text(l->answer->arena, text), text.n};
        vg_buf_init(&c->call[c->n_calls++].args, TEXT_CAP_BYTES);
        break;
    case VG_NEWS_CALL_ARGS:
        if (c->n_calls > 0) vg_buf_str(&c->call[c->n_calls - 1].args, text);
        break;
    case VG_NEWS_CALL_END: break;
    case VG_NEWS_FINISH: break;
    }
    d.call = c->n_calls ? c->n_calls - 1 : 0;
    d.token = c->token ? c->token + l->n_told : NULL;
    d.n_tokens = c->n_tokens_told - l->n_told;
    l->n_told = c->n_tokens_told;
    vg_answer_tell(l->answer, &d);
}

static void put_text(vg_line *l, vg_str text)
{
    if (text.n == 0) return;
    if (l->parts) vg_parts_feed(l->parts, text);
    else put(l, VG_NEWS_TEXT, text);
}

/* ---- stop texts ------------------------------------------------------------------------------ */

/* Where the first stop text in held begins, and which; *partial: where a text begins that may
 * become one. SIZE_MAX: none. */
static size_t find_stop(const vg_line *l, size_t *partial, size_t *which)
{
    const vg_request *r = &l->answer->request;
    const vg_buf *b = &l->held;
    size_t first = SIZE_MAX;
    *partial = b->n;
    for (size_t i = 0; i < r->n_stop; i++) {
        vg_str stop = r->stop[i];
        if (stop.n == 0) continue;
        const char *at = b->n ? memmem(b->data, b->n, stop.p, stop.n) : NULL;
        if (at && (size_t)(at - b->data) < first) {
            first = (size_t)(at - b->data);
            *which = i;
        }
        size_t k = VG_MIN(stop.n - 1, b->n);
        while (k > 0 && memcmp(b->data + b->n - k, stop.p, k) != 0) k--;
        *partial = VG_MIN(*partial, b->n - k);
    }
    return first;
}

static void finish(vg_line *l, vg_finish why)
{
    vg_choice *c = l->choice;
    if (l->parts) vg_parts_end(l->parts);
    c->finish = why == VG_FINISH_END && c->n_calls > 0 ? VG_FINISH_TOOLS : why;
    l->ended = true;
    l->answer->n_ended++;
    vg_job_facts f;
    if (l->job) {
        vg_job_get_facts(l->job, &f);
        c->n_reused = f.n_reused;
        c->queue_ms = f.queue_ms;
        c->prompt_ms = f.prompt_ms;
        c->generate_ms = f.generate_ms > 0 ? f.generate_ms : c->generate_ms;
        if (f.end == VG_JOB_FAILED && !l->answer->reply.err.code) l->answer->reply.err = f.err;
        vg_job_free(l->job);
        l->job = NULL;
    }
    put(l, VG_NEWS_FINISH, (vg_str){NULL, 0});
}

/* Hands out what is certain; at the end that is all of it. True: a stop text came. */
static bool hand_out(vg_line *l, bool at_end)
{
    size_t partial, which = 0, n = find_stop(l, &partial, &which);
    bool stopped = n != SIZE_MAX;
    if (stopped) {
        l->choice->stop_text = l->answer->request.stop[which];
        if (l->answer->request.keep_stop) n += l->choice->stop_text.n;
    } else {
        n = at_end ? l->held.n : partial;
    }
    put_text(l, (vg_str){l->held.data, n});
    if (n < l->held.n) memmove(l->held.data, l->held.data + n, l->held.n - n);
    l->held.n -= n;
    return stopped;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static vg_str bytes_of(vg_answer *a, int32_t id)
{
    char bytes[VG_DECODE_MAX];
    size_t n = 0;
    if (vg_token_bytes(vg_use_model(a->use), id, bytes, sizeof bytes, &n, NULL)) n = 0;
    char *copy = vg_arena_text(a->arena, (vg_str){bytes, n});
    return copy ? (vg_str){copy, n} : (vg_str){"", 0};
}

/* Remembers the token for a client that wants to see them. */
static void keep_token(vg_line *l, const vg_token_out *t)
{
    vg_answer *a = l->answer;
    vg_choice *c = l->choice;
    const vg_request *r = &a->request;
    if (!r->logprobs && !r->return_ids) return;
    if (c->n_tokens_told == c->cap_tokens_told) {
        size_t cap = VG_MAX(2 * c->cap_tokens_told, (size_t)64);
        vg_told_token *more = VG_ARENA_ARRAY(a->arena, vg_told_token, cap);
        if (!more) return;
        if (c->n_tokens_told) memcpy(more, c->token, c->n_tokens_told * sizeof *more);
        c->token = more;
        c->cap_tokens_told = cap;
    }
    vg_told_token *told = &c->token[c->n_tokens_told++];
    *told = (vg_told_token){.id = t->id, .logprob = t->logprob};
    if (!r->logprobs) return;
    told->bytes = bytes_of(a, t->id);
    vg_told_top *top = VG_ARENA_ARRAY(a->arena, vg_told_top, t->n_top + 1);
    told->top = top;
    for (uint32_t i = 0; top && i < t->n_top; i++, told->n_top++)
        top[i] = (vg_told_top){t->top[i].id, t->top[i].logprob, bytes_of(a, t->top[i].id)};
}

void vg_line_take(vg_line *l, const vg_token_out *t)
{
    vg_answer *a = l->answer;
    const vg_model *m = vg_use_model(a->use);
    if (l->ended || (a->request.has_max_tok && a->request.max_tok == 0)) return;
    bool may_end = !a->request.ignore_end || a->grammar;
    if (may_end && vg_token_is_end(m, t->id)) return; /* the job ends with it */
    if (l->choice->n_tok++ == 0)
        l->first_ms = (double)vg_exchange_age_ns(a->x) * 1e-6;
    keep_token(l, t);
    char piece[VG_DECODE_MAX];
    size_t n = 0;
    vg_err err;
    if (vg_decode(m, &l->decoder, t->id, piece, sizeof piece, &n, &err)) n = 0;
    vg_buf_add(&l->held, piece, n);
    if (hand_out(l, false)) finish(l, VG_FINISH_STOP);
}

void vg_line_end(vg_line *l, vg_finish why)
{
    char piece[VG_DECODE_MAX];
    size_t n = 0;
    if (l->ended) return;
    if (vg_decode(vg_use_model(l->answer->use), &l->decoder, -1, piece, sizeof piece, &n, NULL))
        n = 0;
    vg_buf_add(&l->held, piece, n);
    if (hand_out(l, true)) why = VG_FINISH_STOP;
    finish(l, why);
}

void vg_line_echo(vg_line *l, vg_str text)
{
    put(l, VG_NEWS_TEXT, text);
}

vg_status vg_line_init(vg_line *l, bool in_reasoning, vg_err *err)
{
    vg_answer *a = l->answer;
    const vg_request *r = &a->request;
    /* A text that goes on keeps the blank before its first word, and a grammar counts it; the blank
     * that some vocabularies put before a message's first word is none of the message. */
    l->decoder.begun = r->ask != VG_ASK_CHAT || a->grammar;
    vg_buf_init(&l->held, TEXT_CAP_BYTES);
    vg_buf_init(&l->choice->text, TEXT_CAP_BYTES);
    vg_buf_init(&l->choice->reasoning, TEXT_CAP_BYTES);
    if (r->ask != VG_ASK_CHAT) return VG_OK;
    vg_parts_opts o = {.tmpl = vg_answer_template(r, vg_use_model(a->use)),
                       .tools = r->tool_choice != VG_TOOLS_NONE ? r->tools : NULL,
                       .keep_reasoning = r->keep_reasoning,
                       .in_reasoning = in_reasoning,
                       .put = put,
                       .user = l};
    return vg_parts_new(&l->parts, a->arena, &o, err);
}

void vg_line_clear(vg_line *l)
{
    vg_job_free(l->job);
    vg_buf_clear(&l->held);
    vg_buf_clear(&l->choice->text);
    vg_buf_clear(&l->choice->reasoning);
    for (size_t i = 0; i < l->choice->n_calls; i++) vg_buf_clear(&l->choice->call[i].args);
}
