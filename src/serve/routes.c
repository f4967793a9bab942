/* The routes that answer with an engine, and those about the server's models and health. Each
 * subject's routes are one table, which serve.c walks; the form of an error follows from the path,
 * because a client that asks for a path knows the errors of that API alone. */
#include "base/json_out.h"
#include "serve/serve_int.h"

enum { JSON_CAP_BYTES = 16 << 20 };

const vg_route vg_routes_answers[] = {
    {"POST", "/v1/chat/completions", .dialect = &vg_openai_chat},
    {"POST", "/chat/completions", .dialect = &vg_openai_chat},
    {"POST", "/v1/completions", .dialect = &vg_openai_completions},
    {"POST", "/v1/responses", .dialect = &vg_openai_responses},
    {"POST", "/v1/embeddings", .dialect = &vg_openai_embeddings},
    {"POST", "/completion", .dialect = &vg_llama},
    {"POST", "/completions", .dialect = &vg_llama},
    {"POST", "/infill", .dialect = &vg_llama},
    {"POST", "/embedding", .dialect = &vg_llama},
    {"POST", "/embeddings", .dialect = &vg_llama},
    {"POST", "/api/embed", .dialect = &vg_ollama},
    {"POST", "/api/embeddings", .dialect = &vg_ollama},
    {"POST", "/api/generate", .dialect = &vg_ollama},
    {"POST", "/api/chat", .dialect = &vg_ollama},
    {NULL, NULL, NULL, NULL, false, false},
};

const vg_dialect *vg_dialect_of_path(vg_str path)
{
    if (vg_str_starts(path, VG_STR("/api/"))) return &vg_ollama;
    if (vg_str_starts(path, VG_STR("/v1/messages"))) return &vg_anthropic;
    if (vg_str_starts(path, VG_STR("/v1/"))) return &vg_openai_chat;
    return &vg_llama;
}

void vg_reply_json(vg_exchange *x, int code, vg_buf *out)
{
    if (out->failed) vg_exchange_reply(x, 503, NULL, NULL, 0);
    else vg_exchange_reply(x, code, "application/json", out->data, out->n);
    vg_buf_clear(out);
}

void vg_reply_error(vg_exchange *x, int code, const char *message)
{
    vg_buf b;
    vg_err e;
    VG_UNUSED(VG_FAIL(&e, VG_E_USAGE, "%s", message));
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_dialect_of_path(vg_exchange_path(x))->error(&e, code, &b);
    vg_reply_json(x, code, &b);
}

/* ---- health and models ---------------------------------------------------------------------- */

/* 200 once the model that is asked for by no name is there, 503 while it is loaded. */
static void health(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_model_facts f = {0};
    VG_UNUSED(rest);
    vg_buf_init(&b, JSON_CAP_BYTES);
    bool loading = false;
    for (size_t i = 0; i < vg_models_count(s->models); i++) {
        vg_models_get(s->models, i, &f);
        if (f.state == VG_MODEL_LOADING) loading = true;
    }
    if (loading) {
        vg_reply_error(x, 503, "Loading model");
        return;
    }
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "status", "ok");
    vg_json_end(&b, '}');
    vg_reply_json(x, 200, &b);
}

static void put_model(const vg_server *s, const vg_model_facts *f, vg_buf *b)
{
    vg_json_begin(b, NULL, '{');
    vg_json_str(b, "id", f->name);
    vg_json_text(b, "object", "model");
    vg_json_int(b, "created", f->modified_s ? f->modified_s : s->begin_s);
    vg_json_text(b, "owned_by", "verge");
    vg_json_begin(b, "status", '{'); /* as llama-server tells it */
    vg_json_text(b, "value", vg_model_state_names[f->state]);
    if (f->state == VG_MODEL_LOADING) vg_json_round(b, "progress", f->loaded, 3);
    if (f->state == VG_MODEL_BROKEN) vg_json_text(b, "why", f->why->msg);
    vg_json_end(b, '}');
    vg_json_count(b, "file_bytes", f->file_bytes);
    if (f->state == VG_MODEL_READY) vg_json_count(b, "memory_bytes", f->memory_bytes);
    vg_json_end(b, '}');
}

static void list_models(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    VG_UNUSED(rest);
    vg_buf_init(&b, JSON_CAP_BYTES);
    if (vg_models_scan(s->models, &err)) {
        vg_reply_error(x, 500, err.msg);
        return;
    }
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "object", "list");
    vg_json_begin(&b, "data", '[');
    for (size_t i = 0; i < vg_models_count(s->models); i++) {
        vg_model_facts f;
        vg_models_get(s->models, i, &f);
        put_model(s, &f, &b);
    }
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    vg_reply_json(x, 200, &b);
}

static void one_model(vg_server *s, vg_exchange *x, vg_str name)
{
    vg_buf b;
    vg_err err;
    vg_model_facts f;
    if (vg_models_find(s->models, name, &f, &err)) {
        vg_reply_error(x, 404, err.msg);
        return;
    }
    vg_buf_init(&b, JSON_CAP_BYTES);
    put_model(s, &f, &b);
    vg_reply_json(x, 200, &b);
}

/* ---- loading by hand ------------------------------------------------------------------------ */

/* {"model": NAME}; false: it was answered. */
static bool read_name(vg_exchange *x, vg_arena *a, vg_str *name)
{
    vg_err err;
    vg_json *json = NULL;
    vg_str body = vg_exchange_body(x);
    const char *why = NULL;
    const vg_json *m = NULL;
    if (vg_json_parse(a, body.p, body.n, &json, &err)) why = err.msg;
    else m = vg_json_get(json, "model");
    if (!why && (!m || m->kind != VG_JSON_STRING || m->str.n == 0)) why = "model: is required";
    if (why) vg_reply_error(x, 400, why);
    else *name = m->str;
    return !why;
}

static void on_loaded(void *user, vg_use *use, const vg_err *err)
{
    VG_UNUSED(user);
    VG_UNUSED(err); /* the model's state tells it */
    vg_use_free(use);
}

static void load_or_unload(vg_server *s, vg_exchange *x, bool load)
{
    vg_err err;
    vg_buf b;
    vg_str name;
    vg_arena *a = NULL;
    vg_use *use;
    if (vg_arena_new(&a, JSON_CAP_BYTES, &err)) {
        vg_reply_error(x, 503, err.msg);
        return;
    }
    if (read_name(x, a, &name)) {
        vg_status st = load ? vg_models_use(s->models, name, on_loaded, NULL, &use, &err)
                            : vg_models_unload(s->models, name, &err);
        vg_buf_init(&b, JSON_CAP_BYTES);
        vg_json_begin(&b, NULL, '{');
        vg_json_bool(&b, "success", true);
        vg_json_end(&b, '}');
        if (st) vg_reply_error(x, vg_status_http(st), err.msg);
        else vg_reply_json(x, 200, &b);
        vg_buf_clear(&b);
    }
    vg_arena_free(a);
}

/* Begins to load; GET /models tells how far it is. */
static void load_model(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    load_or_unload(s, x, true);
}

static void unload_model(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    load_or_unload(s, x, false);
}

const vg_route vg_routes_models[] = {
    {"POST", "/models/load", .handle = load_model, .admin = true},
    {"POST", "/models/unload", .handle = unload_model, .admin = true},
    {"GET", "/health", .handle = health, .open = true},
    {"GET", "/v1/health", .handle = health, .open = true},
    {"GET", "/v1/models", .handle = list_models},
    {"GET", "/models", .handle = list_models},
    {"GET", "/v1/models/", .handle = one_model},
    {NULL, NULL, NULL, NULL, false, false},
};
