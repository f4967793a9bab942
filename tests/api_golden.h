/* api_golden.h: what dialects answer, compared with files in tests/golden/api, which the official
 * clients' types have accepted (tests/clients/official_types.py).
 *
 *     vg_choice *answer = dialect_answer(&c);
 *     api_stream(&c, news, VG_COUNT(news));
 *     api_golden(&c, "openai_chat_text.sse");
 */
#ifndef API_GOLDEN_H
#define API_GOLDEN_H

#include "dialect.h"

/* With the environment's VG_GOLDEN_WRITE the file is written instead. */
static inline void api_golden(dialect_case *c, const char *name)
{
    char path[4096], file[256];
    size_t n, n_got = c->out.n;
    const char *got = dialect_wrote(c);
    snprintf(file, sizeof file, "golden/api/%s", name);
    test_path(path, file);
    if (getenv("VG_GOLDEN_WRITE")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(got, 1, n_got, f), n_got);
        fclose(f);
    }
    char *want = test_read(path, &n);
    if (n != n_got || memcmp(want, got, n) != 0) fail_msg("%s: instead\n%s", name, got);
    free(want);
}

typedef struct api_news {
    vg_news news;
    const char *text;
    size_t choice;
    size_t n_tokens; /* of the choice's, from the first that was not told yet */
} api_news;

/* The reply as a stream: each piece of news first becomes part of its choice. */
static inline void api_stream(dialect_case *c, const api_news *news, size_t n)
{
    size_t told[4] = {0};
    for (size_t i = 0; i < c->reply.n_choices; i++) c->choice[i].n_calls = 0;
    c->dialect->begin(&c->reply, &c->out);
    for (size_t i = 0; i < n; i++) {
        const api_news *a = &news[i];
        vg_choice *o = &c->choice[a->choice];
        vg_tool_call *call = &o->call[o->n_calls ? o->n_calls - 1 : 0];
        vg_delta d = {.news = a->news,
                      .choice = a->choice,
                      .n_tokens = a->n_tokens,
                      .token = o->token ? o->token + told[a->choice] : NULL,
                      .text = vg_str_from(a->text ? a->text : "")};
        told[a->choice] += a->n_tokens;
        if (a->news == VG_NEWS_TEXT) vg_buf_text(&o->text, a->text);
        if (a->news == VG_NEWS_REASONING) vg_buf_text(&o->reasoning, a->text);
        if (a->news == VG_NEWS_CALL_BEGIN) {
            static const char *const ids[] = {"call_AAAAAAAAAAAAAAAAAAAAAAAA",
                                              "call_BBBBBBBBBBBBBBBBBBBBBBBB"};
            dialect_call(o, ids[o->n_calls % 2], a->text, "");
        }
        if (a->news == VG_NEWS_CALL_ARGS) vg_buf_text(&call->args, a->text);
        d.call = o->n_calls ? o->n_calls - 1 : 0;
        c->dialect->delta(&c->reply, &d, &c->out);
    }
    c->dialect->end(&c->reply, &c->out);
}

/* Two tokens with two alternatives each. */
static inline void api_tokens(dialect_case *c, vg_choice *o)
{
    vg_told_top *top = VG_ARENA_ARRAY(c->arena, vg_told_top, 4);
    vg_told_token *t = VG_ARENA_ARRAY(c->arena, vg_told_token, 2);
    top[0] = (vg_told_top){.id = 5, .logprob = -0.25f, .bytes = VG_STR("Hi")};
    top[1] = (vg_told_top){.id = 6, .logprob = -1.5f, .bytes = VG_STR("\xc3")};
    top[2] = (vg_told_top){.id = 7, .logprob = -0.5f, .bytes = VG_STR("!")};
    top[3] = (vg_told_top){.id = 8, .logprob = -2, .bytes = VG_STR("?")};
    t[0] =
        (vg_told_token){.id = 5, .logprob = -0.25f, .bytes = top[0].bytes, .n_top = 2, .top = top};
    t[1] = (vg_told_token){
        .id = 9, .logprob = -8, .bytes = VG_STR("\xc3\xa9"), .n_top = 2, .top = top + 2};
    o->token = t;
    o->n_tokens_told = 2;
}

static inline void api_counts(vg_choice *o, size_t n_prompt, size_t n_reused, size_t n_tok)
{
    o->n_prompt = n_prompt;
    o->n_reused = n_reused;
    o->n_tok = n_tok;
}
#endif
