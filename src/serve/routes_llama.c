/* llama-server's small routes: tokens of a text and back, a conversation through the template, and
 * what the server is and does. The model is the one that the body names. Where it is not loaded, it
 * is from now on, and the client is told to come again, as llama-server tells while it loads: to
 * wait for a model is what an answer does. */
#include "serve/llama.h"
#include "serve/prompt.h"
#include "serve/serve_int.h"

enum { BODY_CAP_BYTES = 256 << 20, JSON_CAP_BYTES = 64 << 20, MAX_SLOTS = 1024 };

/* A body as JSON, and the arena that it lives in; on failure the exchange is answered. */
static bool read_body(vg_exchange *x, vg_arena **a, vg_json **body)
{
    vg_err err;
    vg_str text = vg_exchange_body(x);
    vg_status st = vg_arena_new(a, BODY_CAP_BYTES, &err);
    if (!st) st = vg_json_parse(*a, text.p ? text.p : "", text.n, body, &err);
    if (!st) return true;
    vg_reply_error(x, st == VG_E_NO_MEMORY ? 503 : 400, err.msg);
    vg_arena_free(*a);
    return false;
}

static void let_go(void *user, vg_use *use, const vg_err *err)
{
    VG_UNUSED(user);
    VG_UNUSED(err); /* the log has told it */
    vg_use_free(use);
}

/* The model of a name that is ready, or why it is not as the status to answer with. */
static int find_ready(vg_server *s, vg_str name, vg_model_facts *f, vg_err *err)
{
    vg_use *use = NULL;
    if (name.n == 0 && vg_models_count(s->models) > 0) vg_models_get(s->models, 0, f);
    else if (vg_models_find(s->models, name, f, err)) return 404;
    if (f->state == VG_MODEL_READY) return 200;
    if (f->state != VG_MODEL_LOADING && vg_models_use(s->models, f->name, let_go, NULL, &use, err))
        return err->code == VG_E_NOT_FOUND ? 404 : 503;
    VG_UNUSED(VG_FAIL(err, VG_E_LIMIT, "Loading model"));
    return 503;
}

static void reply_unready(vg_exchange *x, int code, const vg_err *err)
{
    if (code == 503) vg_exchange_header(x, "Retry-After", VG_STR("1"));
    vg_reply_error(x, code, err->msg);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Each token's bytes, one text after the other. */
static vg_status pieces_of(const vg_model *m, const vg_tokens *ids, vg_arena *a, vg_str **out,
                           vg_err *err)
{
    *out = VG_ARENA_ARRAY(a, vg_str, ids->n + 1);
    if (!*out) return VG_FAIL_MEMORY(err, ids->n * sizeof **out);
    for (size_t i = 0; i < ids->n; i++) {
        char bytes[VG_DECODE_MAX];
        size_t n = 0;
        VG_TRY(vg_token_bytes(m, ids->id[i], bytes, sizeof bytes, &n, err));
        char *copy = vg_arena_text(a, (vg_str){bytes, n});
        if (!copy) return VG_FAIL_MEMORY(err, n);
        (*out)[i] = (vg_str){copy, n};
    }
    return VG_OK;
}

static vg_status tokenize(vg_server *s, vg_arena *a, const vg_json *body, vg_buf *out, int *code,
                          vg_err *err)
{
    vg_llama_tokenize ask;
    vg_model_facts f;
    VG_TRY(vg_llama_read_tokenize(a, body, &ask, err));
    *code = find_ready(s, ask.model, &f, err);
    if (*code != 200) return err->code;
    size_t n_pieces = 0, n = 0;
    for (size_t i = 0; i < ask.n_prompts; i++) n_pieces += ask.prompt[i].n;
    vg_piece *piece = VG_ARENA_ARRAY(a, vg_piece, n_pieces + 1);
    if (!piece) return VG_FAIL_MEMORY(err, n_pieces * sizeof *piece);
    for (size_t i = 0; i < ask.n_prompts; i++)
        for (size_t k = 0; k < ask.prompt[i].n; k++) piece[n++] = ask.prompt[i].piece[k];
    vg_tokens ids = {0};
    const vg_prompt all = {piece, n};
    VG_TRY(vg_prompt_text(f.model, &all, ask.parse_special, ask.add_special, &ids, err));
    vg_str *text = NULL;
    vg_status st = ask.with_pieces ? pieces_of(f.model, &ids, a, &text, err) : VG_OK;
    if (!st) vg_llama_tokens(ids.id, text, ids.n, out);
    vg_tokens_free(&ids);
    return st;
}

static vg_status detokenize(vg_server *s, vg_arena *a, const vg_json *body, vg_buf *out, int *code,
                            vg_err *err)
{
    vg_llama_detokenize ask;
    vg_model_facts f;
    vg_text t = {0};
    VG_TRY(vg_llama_read_detokenize(a, body, &ask, err));
    *code = find_ready(s, ask.model, &f, err);
    if (*code != 200) return err->code;
    VG_TRY(vg_detokenize(f.model, ask.id, ask.n, true, &t, err));
    vg_llama_content((vg_str){t.data, t.n}, out);
    vg_text_free(&t);
    return VG_OK;
}

/* A conversation as its tokens say it, which is what the model would get. */
static vg_status apply_template(vg_server *s, vg_arena *a, const vg_json *body, vg_buf *out,
                                int *code, vg_err *err)
{
    vg_request r = {.arena = a, .n = 1};
    vg_model_facts f;
    vg_tokens ids = {0};
    vg_text t = {0};
    bool in_reasoning;
    VG_TRY(vg_openai_chat.parse(&r, "/v1/chat/completions", body, err));
    *code = find_ready(s, r.model, &f, err);
    if (*code != 200) return err->code;
    VG_TRY(vg_answer_tokens(&r, f.model, 0, &ids, &in_reasoning, err));
    vg_status st = vg_detokenize(f.model, ids.id, ids.n, true, &t, err);
    if (!st) vg_llama_prompt((vg_str){t.data, t.n}, out);
    vg_text_free(&t);
    vg_tokens_free(&ids);
    return st;
}

typedef vg_status body_route(vg_server *s, vg_arena *a, const vg_json *body, vg_buf *out,
                             int *code, vg_err *err);

static void answer_body(vg_server *s, vg_exchange *x, body_route *route)
{
    vg_buf b;
    vg_err err = {0};
    vg_arena *a = NULL;
    vg_json *body = NULL;
    int code = 200;
    if (!read_body(x, &a, &body)) return;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_status st = route(s, a, body, &b, &code, &err);
    if (st) {
        vg_buf_clear(&b);
        reply_unready(x, code != 200 ? code : st == VG_E_NO_MEMORY ? 503 : 400, &err);
    } else {
        vg_reply_json(x, 200, &b);
    }
    vg_arena_free(a);
}

static void post_tokenize(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    answer_body(s, x, tokenize);
}

static void post_detokenize(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    answer_body(s, x, detokenize);
}

static void post_apply_template(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    answer_body(s, x, apply_template);
}

/* ---- what the server is ---------------------------------------------------------------------- */

/* A control token as it is written in a template. */
static vg_text name_of(const vg_model *m, int32_t id)
{
    vg_text t = {0};
    if (id >= 0 && vg_detokenize(m, &id, 1, true, &t, NULL)) t = (vg_text){0};
    return t;
}

static void props(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    vg_model_facts f;
    vg_sched_stats stats;
    vg_model_info info;
    VG_UNUSED(rest);
    int code = find_ready(s, vg_exchange_query(x, "model"), &f, &err);
    if (code != 200) {
        reply_unready(x, code, &err);
        return;
    }
    vg_sched_get_stats(f.sched, &stats);
    vg_model_get_info(f.model, &info);
    vg_text bos = name_of(f.model, info.bos), eos = name_of(f.model, info.eos);
    vg_llama_props p = {.model = f.name, .path = vg_str_from(f.path ? f.path : ""),
                        .tmpl = {info.chat_template, info.n_chat_template},
                        .bos = {bos.data, bos.n}, .eos = {eos.data, eos.n},
                        .ctx_tok = vg_sched_ctx_tok(f.sched), .n_slots = stats.n_sessions};
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_llama_put_props(&p, &b);
    vg_text_free(&bos);
    vg_text_free(&eos);
    vg_reply_json(x, 200, &b);
}

/* Which answers run, nobody but their clients has to know: how many is what a slot tells. */
static void slots(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    vg_model_facts f;
    vg_sched_stats stats;
    VG_UNUSED(rest);
    int code = find_ready(s, vg_exchange_query(x, "model"), &f, &err);
    if (code != 200) {
        reply_unready(x, code, &err);
        return;
    }
    vg_sched_get_stats(f.sched, &stats);
    vg_str only_free = vg_exchange_query(x, "fail_on_no_slot");
    if (only_free.n && stats.n_running >= stats.n_sessions) {
        vg_reply_error(x, 503, "no slot available");
        return;
    }
    vg_llama_slot slot[MAX_SLOTS];
    size_t n = VG_MIN(stats.n_sessions, (uint32_t)MAX_SLOTS);
    for (size_t i = 0; i < n; i++)
        slot[i] = (vg_llama_slot){.ctx_tok = vg_sched_ctx_tok(f.sched),
                                  .busy = i < stats.n_running, .n_left = -1};
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_llama_put_slots(slot, n, &b);
    vg_reply_json(x, 200, &b);
}

const vg_route vg_routes_llama[] = {
    {"POST", "/tokenize", .handle = post_tokenize},
    {"POST", "/detokenize", .handle = post_detokenize},
    {"POST", "/apply-template", .handle = post_apply_template},
    {"GET", "/props", .handle = props},
    {"GET", "/slots", .handle = slots},
    {.method = NULL},
};
