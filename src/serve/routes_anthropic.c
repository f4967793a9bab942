/* Anthropic's routes: messages, and how many tokens a conversation comes to. The count goes the way
 * of an answer up to its tokens, so that it is the one that an answer would tell; the model has to
 * be loaded. */
#include "serve/anthropic.h"
#include "serve/serve_int.h"

enum { BODY_CAP_BYTES = 256 << 20, JSON_CAP_BYTES = 4096 };

static vg_status find_ready(vg_server *s, vg_str name, vg_model_facts *f, vg_err *err)
{
    if (name.n == 0 && vg_models_count(s->models) > 0) vg_models_get(s->models, 0, f);
    else VG_TRY(vg_models_find(s->models, name, f, err));
    if (f->state == VG_MODEL_READY) return VG_OK;
    return VG_FAIL(err, VG_E_NO_MEMORY, "the model is %s", vg_model_state_names[f->state]);
}

static vg_status count(vg_server *s, vg_arena *a, vg_str text, size_t *n_tok, vg_err *err)
{
    vg_json *body;
    vg_model_facts f;
    vg_request r = {.arena = a};
    vg_tokens ids = {0};
    bool in_reasoning;
    VG_TRY(vg_json_parse(a, text.p ? text.p : "", text.n, &body, err));
    VG_TRY(vg_anthropic.parse(&r, "/v1/messages/count_tokens", body, err));
    VG_TRY(find_ready(s, r.model, &f, err));
    VG_TRY(vg_answer_tokens(&r, f.model, 0, &ids, &in_reasoning, err));
    *n_tok = ids.n;
    vg_tokens_free(&ids);
    return VG_OK;
}

static int http_of(vg_status st)
{
    return st == VG_E_NO_MEMORY ? 503 : st == VG_E_NOT_FOUND ? 404 : 400;
}

static void count_tokens(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    vg_arena *a = NULL;
    size_t n_tok = 0;
    VG_UNUSED(rest);
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_status st = vg_arena_new(&a, BODY_CAP_BYTES, &err);
    if (!st) st = count(s, a, vg_exchange_body(x), &n_tok, &err);
    if (st) vg_anthropic_error(&err, http_of(st), &b);
    else vg_anthropic_count(n_tok, &b);
    vg_reply_json(x, st ? http_of(st) : 200, &b);
    vg_arena_free(a);
}

const vg_route vg_routes_anthropic[] = {
    {"POST", "/v1/messages/count_tokens", .handle = count_tokens},
    {"POST", "/v1/messages", .dialect = &vg_anthropic},
    {.method = NULL},
};
