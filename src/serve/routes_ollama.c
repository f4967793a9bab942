/* Ollama's routes about models: what is there, what is loaded, and the words to get, copy and
 * delete one, over the server's models. A model that is not loaded is known by its file alone; to
 * show one, its metadata are read, without its weights.
 *
 * Nothing is fetched from a network: a pull of a model that is there succeeds, of another one it
 * says where to put the file. */
#include <math.h>
#include <time.h>

#include "serve/ollama.h"
#include "serve/serve_int.h"

enum { BODY_CAP_BYTES = 16 << 20, JSON_CAP_BYTES = 16 << 20 };

static bool mentions(vg_str text, const char *word)
{
    return text.n && memmem(text.p, text.n, word, strlen(word));
}

static void add_info(vg_ollama_model *m, const vg_model *model)
{
    vg_model_info info;
    vg_model_get_info(model, &info);
    m->family = info.arch;
    m->weights = info.weights;
    m->chats = !info.is_encoder;
    m->embeds = info.is_encoder;
    m->n_params = info.n_params;
    m->ctx_tok = info.ctx_train_tok;
    m->width = info.width;
    m->tmpl = (vg_str){info.chat_template, info.n_chat_template};
    m->calls_tools = mentions(m->tmpl, "tools");
    m->thinks = mentions(m->tmpl, "<think>") || mentions(m->tmpl, "enable_thinking");
}

static vg_ollama_model of_facts(const vg_server *s, const vg_model_facts *f)
{
    vg_ollama_model m = {.name = f->name, .modified_s = f->modified_s ? f->modified_s : s->begin_s,
                         .file_bytes = f->file_bytes, .memory_bytes = f->memory_bytes,
                         .family = "", .weights = "", .chats = true};
    if (f->model) add_info(&m, f->model);
    return m;
}

static void send(vg_exchange *x, int code, const char *type, vg_buf *out)
{
    if (out->failed) vg_exchange_reply(x, 503, NULL, NULL, 0);
    else vg_exchange_reply(x, code, type, out->data, out->n);
    vg_buf_clear(out);
}

static void version(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    VG_UNUSED(s);
    VG_UNUSED(rest);
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_ollama_version(&b);
    vg_reply_json(x, 200, &b);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list(vg_server *s, vg_exchange *x, bool loaded)
{
    vg_buf b;
    vg_err err;
    size_t n = 0;
    if (!loaded && vg_models_scan(s->models, &err)) {
        vg_reply_error(x, 500, err.msg);
        return;
    }
    size_t all = vg_models_count(s->models);
    vg_ollama_model *m = vg_mem_new((all + 1) * sizeof *m);
    if (!m) {
        vg_exchange_reply(x, 503, NULL, NULL, 0);
        return;
    }
    for (size_t i = 0; i < all; i++) {
        vg_model_facts f;
        vg_models_get(s->models, i, &f);
        if (loaded && f.state != VG_MODEL_READY) continue;
        m[n] = of_facts(s, &f);
        if (loaded && f.sched) m[n].ctx_tok = vg_sched_ctx_tok(f.sched);
        if (loaded && f.expires_s >= 0) m[n].expires_s = time(NULL) + (int64_t)ceil(f.expires_s);
        n++;
    }
    vg_buf_init(&b, JSON_CAP_BYTES);
    (loaded ? vg_ollama_ps : vg_ollama_tags)(m, n, &b);
    vg_mem_free(m);
    vg_reply_json(x, 200, &b);
}

static void tags(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    list(s, x, false);
}

static void ps(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    list(s, x, true);
}

/* ---- one model ------------------------------------------------------------------------------- */

/* Reads what a request names; on failure the exchange is answered and false comes back. */
static bool read_names(vg_exchange *x, const char *route, vg_arena **a, vg_ollama_names *names)
{
    vg_err err;
    vg_json *body = NULL;
    vg_str text = vg_exchange_body(x);
    vg_status st = vg_arena_new(a, BODY_CAP_BYTES, &err);
    if (!st) st = vg_json_parse(*a, text.p ? text.p : "", text.n, &body, &err);
    if (!st) st = vg_ollama_read_names(route, body, names, &err);
    if (!st) return true;
    vg_reply_error(x, st == VG_E_NOT_FOUND ? 404 : 400, err.msg);
    vg_arena_free(*a);
    return false;
}

/* As Ollama words it, which clients look for before they offer to pull. */
static void not_found(vg_exchange *x, vg_str name)
{
    vg_err err;
    VG_UNUSED(VG_FAIL(&err, VG_E_NOT_FOUND, "model '%.*s' not found", VG_STR_ARG(name)));
    vg_reply_error(x, 404, err.msg);
}

static void show(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    vg_arena *a = NULL;
    vg_ollama_names names;
    vg_model_facts f;
    VG_UNUSED(rest);
    if (!read_names(x, "/api/show", &a, &names)) return;
    vg_status st = vg_models_find(s->models, names.model, &f, &err);
    if (st) {
        not_found(x, names.model);
        vg_arena_free(a);
        return;
    }
    vg_model *peek = NULL;
    vg_ollama_model m = of_facts(s, &f);
    const vg_model_opts opts = {.vocab_only = true};
    if (!f.model && f.path && !vg_model_open(&peek, f.path, &opts, &err)) add_info(&m, peek);
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_ollama_show(&m, &b);
    vg_reply_json(x, 200, &b);
    vg_model_unref(peek);
    vg_arena_free(a);
}

static void delete_model(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_err err;
    vg_arena *a = NULL;
    vg_ollama_names names;
    VG_UNUSED(rest);
    if (!read_names(x, "/api/delete", &a, &names)) return;
    vg_status st = vg_models_delete(s->models, names.model, &err);
    if (st == VG_E_NOT_FOUND) not_found(x, names.model);
    else if (st) vg_reply_error(x, st == VG_E_USAGE ? 400 : 500, err.msg);
    else vg_exchange_reply(x, 200, NULL, NULL, 0);
    vg_arena_free(a);
}

static void pull(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_err err;
    vg_arena *a = NULL;
    vg_ollama_names names;
    vg_model_facts f;
    VG_UNUSED(rest);
    if (!read_names(x, "/api/pull", &a, &names)) return;
    vg_status st = vg_models_scan(s->models, &err);
    if (!st) st = vg_models_find(s->models, names.model, &f, &err);
    if (st) {
        if (st == VG_E_NOT_FOUND) st = vg_ollama_cannot_pull(names.model, &err);
        vg_reply_error(x, vg_status_http(st), err.msg);
    } else {
        vg_buf_init(&b, JSON_CAP_BYTES);
        vg_ollama_pulled(names.stream, &b);
        send(x, 200, names.stream ? "application/x-ndjson" : "application/json", &b);
    }
    vg_arena_free(a);
}

/* A copy is another file of gigabytes, which would hold up every answer that is being written. */
static void refuse(vg_exchange *x, const char *route)
{
    vg_arena *a = NULL;
    vg_ollama_names names;
    if (!read_names(x, route, &a, &names)) return;
    vg_reply_error(x, 400, "copy: not supported: make a hard link or a copy of the GGUF file in "
                           "the store's folder");
    vg_arena_free(a);
}

static void copy(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(s);
    VG_UNUSED(rest);
    refuse(x, "/api/copy");
}

static void create(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(s);
    VG_UNUSED(rest);
    refuse(x, "/api/create");
}

static void push(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(s);
    VG_UNUSED(rest);
    refuse(x, "/api/push");
}

const vg_route vg_routes_ollama[] = {
    {"GET", "/api/version", .handle = version},
    {"GET", "/api/tags", .handle = tags},
    {"GET", "/api/ps", .handle = ps},
    {"POST", "/api/show", .handle = show},
    {"DELETE", "/api/delete", .handle = delete_model, .admin = true},
    {"POST", "/api/pull", .handle = pull},
    {"POST", "/api/copy", .handle = copy, .admin = true},
    {"POST", "/api/create", .handle = create, .admin = true},
    {"POST", "/api/push", .handle = push, .admin = true},
    {.method = NULL},
};
