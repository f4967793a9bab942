/* Ollama's routes about models, over a store of files: what is there and what is loaded, in the
 * form that its clients list and show, and what a request to get, copy or delete names.
 *
 * A model here is a file that somebody put into the store, so nothing is pulled or pushed; a client
 * that pulls before it asks, which many do, is told that a model is there. */
#include <inttypes.h>
#include <stdio.h>

#include "serve/ollama_int.h"

vg_str vg_ollama_name(vg_str name)
{
    static const vg_str latest = {":latest", 7};
    bool ends = name.n > latest.n &&
                vg_str_eq((vg_str){name.p + name.n - latest.n, latest.n}, latest);
    return ends ? (vg_str){name.p, name.n - latest.n} : name;
}

void vg_ollama_version(vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_text(out, "version", vg_version());
    vg_json_end(out, '}');
}

/* "134.5M", "8.0B" */
static void put_parameter_size(vg_buf *out, uint64_t n)
{
    double d = (double)n;
    vg_json_key(out, "parameter_size");
    if (n == 0) vg_buf_text(out, "\"\""); /* a file that nobody has read yet */
    else if (n >= 1000000000) vg_buf_fmt(out, "\"%.1fB\"", d / 1e9);
    else if (n >= 1000000) vg_buf_fmt(out, "\"%.1fM\"", d / 1e6);
    else vg_buf_fmt(out, "\"%.1fK\"", d / 1e3);
}

static void put_details(vg_buf *out, const vg_ollama_model *m)
{
    vg_json_begin(out, "details", '{');
    vg_json_text(out, "parent_model", "");
    vg_json_text(out, "format", "gguf");
    vg_json_text(out, "family", m->family);
    vg_json_begin(out, "families", '[');
    if (m->family[0]) vg_json_text(out, NULL, m->family);
    vg_json_end(out, ']');
    put_parameter_size(out, m->n_params);
    vg_json_text(out, "quantization_level", m->weights);
    vg_json_count(out, "context_length", m->ctx_tok);
    vg_json_count(out, "embedding_length", m->width);
    vg_json_end(out, '}');
}

static void put_capabilities(vg_buf *out, const vg_ollama_model *m)
{
    vg_json_begin(out, "capabilities", '[');
    if (m->chats) vg_json_text(out, NULL, "completion");
    if (m->calls_tools) vg_json_text(out, NULL, "tools");
    if (m->infills) vg_json_text(out, NULL, "insert");
    if (m->thinks) vg_json_text(out, NULL, "thinking");
    if (m->embeds) vg_json_text(out, NULL, "embedding");
    vg_json_end(out, ']');
}

/* What tells one state of a file from another, in the form of a SHA-256, which clients only
 * compare: nobody reads gigabytes to answer a list. */
static void put_digest(vg_buf *out, const vg_ollama_model *m)
{
    uint64_t facts[4] = {vg_hash(m->name.p, m->name.n), m->file_bytes, (uint64_t)m->modified_s, 0};
    vg_json_key(out, "digest");
    vg_buf_char(out, '"');
    for (size_t i = 0; i < 4; i++) {
        facts[3] = i;
        vg_buf_fmt(out, "%016" PRIx64, vg_hash(facts, sizeof facts));
    }
    vg_buf_char(out, '"');
}

static void put_names(vg_buf *out, vg_str name)
{
    vg_json_str(out, "name", name);
    vg_json_str(out, "model", name);
}

void vg_ollama_tags(const vg_ollama_model *m, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "models", '[');
    for (size_t i = 0; i < n; i++) {
        vg_json_begin(out, NULL, '{');
        put_names(out, m[i].name);
        vg_ollama_time(out, "modified_at", m[i].modified_s, 0);
        vg_json_count(out, "size", m[i].file_bytes);
        put_digest(out, &m[i]);
        put_details(out, &m[i]);
        put_capabilities(out, &m[i]);
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_json_end(out, '}');
}

/* One that stays has an end that no client lives to see, as Ollama writes it: a date in 2318. */
enum { STAYS_YEARS = 292 };

void vg_ollama_ps(const vg_ollama_model *m, size_t n, vg_buf *out)
{
    vg_json_begin(out, NULL, '{');
    vg_json_begin(out, "models", '[');
    for (size_t i = 0; i < n; i++) {
        int64_t stays_s = (STAYS_YEARS + 56) * (int64_t)31556952;
        vg_json_begin(out, NULL, '{');
        put_names(out, m[i].name);
        vg_json_count(out, "size", m[i].memory_bytes);
        put_digest(out, &m[i]);
        put_details(out, &m[i]);
        vg_ollama_time(out, "expires_at", m[i].expires_s ? m[i].expires_s : stays_s, 0);
        vg_json_count(out, "size_vram", 0);
        vg_json_count(out, "context_length", m[i].ctx_tok);
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
    vg_json_end(out, '}');
}

static void put_info(vg_buf *out, const vg_ollama_model *m)
{
    char key[200];
    vg_json_begin(out, "model_info", '{');
    vg_json_text(out, "general.architecture", m->family);
    vg_json_count(out, "general.parameter_count", m->n_params);
    snprintf(key, sizeof key, "%s.context_length", m->family);
    vg_json_count(out, key, m->ctx_tok);
    snprintf(key, sizeof key, "%s.embedding_length", m->family);
    vg_json_count(out, key, m->width);
    vg_json_end(out, '}');
}

void vg_ollama_show(const vg_ollama_model *m, vg_buf *out)
{
    vg_buf file;
    vg_buf_init(&file, out->cap_bytes);
    vg_buf_text(&file, "FROM ");
    vg_buf_str(&file, m->name);
    vg_buf_char(&file, '\n');
    vg_json_begin(out, NULL, '{');
    if (m->license.n) vg_json_str(out, "license", m->license);
    vg_json_str(out, "modelfile", (vg_str){file.data, file.n});
    vg_json_text(out, "parameters", "");
    vg_json_str(out, "template", m->tmpl);
    put_details(out, m);
    put_info(out, m);
    put_capabilities(out, m);
    vg_ollama_time(out, "modified_at", m->modified_s, 0);
    vg_json_end(out, '}');
    if (file.failed) out->failed = file.failed;
    vg_buf_clear(&file);
}

/* ---- requests about models ------------------------------------------------------------------- */

typedef struct names {
    vg_str model, name, source, destination;
    bool stream;
} names;

#define AT(member) .at = offsetof(names, member)
#define MODEL {"model", VG_FIELD_TEXT, AT(model)}, {"name", VG_FIELD_TEXT, AT(name)}
static const vg_field model_fields[] = {MODEL};
static const vg_field show_fields[] = {
    MODEL,
    {"verbose", .kind = VG_FIELD_UNUSED}, /* its tensors: `verge inspect` has them */
    {"system", VG_FIELD_REFUSED, .why = "a model has no system prompt here"},
    {"template", VG_FIELD_REFUSED, .why = "a model's template is its file's"},
    {"options", .kind = VG_FIELD_UNUSED},
};
static const vg_field pull_fields[] = {
    MODEL,
    {"stream", VG_FIELD_BOOL, AT(stream)},
    {"insecure", .kind = VG_FIELD_UNUSED},
    {"username", .kind = VG_FIELD_UNUSED},
    {"password", .kind = VG_FIELD_UNUSED},
};
static const vg_field copy_fields[] = {
    {"source", VG_FIELD_TEXT, AT(source)},
    {"destination", VG_FIELD_TEXT, AT(destination)},
};

static vg_status take_names(const names *n, bool is_copy, vg_ollama_names *out, vg_err *err)
{
    vg_str model = is_copy ? n->source : n->model.n ? n->model : n->name;
    if (!model.n)
        return VG_FAIL(err, VG_E_USAGE, "%s: is required", is_copy ? "source" : "model");
    if (is_copy && !n->destination.n)
        return VG_FAIL(err, VG_E_USAGE, "destination: is required");
    out->model = vg_ollama_name(model);
    out->destination = vg_ollama_name(n->destination);
    out->stream = n->stream;
    return VG_OK;
}

vg_status vg_ollama_read_names(const char *route, const vg_json *body, vg_ollama_names *out,
                               vg_err *err)
{
    static const struct {
        const char *route;
        const vg_field *field;
        size_t n;
    } routes[] = {
        {"/api/show", show_fields, VG_COUNT(show_fields)},
        {"/api/delete", model_fields, VG_COUNT(model_fields)},
        {"/api/pull", pull_fields, VG_COUNT(pull_fields)},
        {"/api/copy", copy_fields, VG_COUNT(copy_fields)},
    };
    if (!strcmp(route, "/api/create"))
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "create: not supported: a model is a GGUF file in the store; "
                       "`verge convert` and `verge compress` make one");
    if (!strcmp(route, "/api/push"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "push: not supported: the store is this server's");
    for (size_t i = 0; i < VG_COUNT(routes); i++) {
        if (strcmp(routes[i].route, route) != 0) continue;
        names n = {.stream = true};
        VG_TRY(vg_fields_read(body, "", routes[i].field, routes[i].n, &n, err));
        return take_names(&n, routes[i].field == copy_fields, out, err);
    }
    return VG_FAIL(err, VG_E_NOT_FOUND, "%s: no such route", route);
}

void vg_ollama_pulled(bool stream, vg_buf *out)
{
    if (stream) vg_buf_text(out, "{\"status\": \"pulling manifest\"}\n");
    vg_buf_text(out, "{\"status\": \"success\"}");
    if (stream) vg_buf_char(out, '\n');
}

vg_status vg_ollama_cannot_pull(vg_str model, vg_err *err)
{
    return VG_FAIL(err, VG_E_NOT_FOUND,
                   "model \"%.*s\" is not in the store, and this server fetches none from a "
                   "network: put its GGUF file into the store's folder",
                   VG_STR_ARG(model));
}
