/* llama-server's dialect, the asking half: /completion, /completions, /infill, /embedding and
 * /embeddings, and the small routes of tokens. A prompt is text and token ids in any mixture, in
 * whose text control tokens count as such.
 *
 * It refuses slots, adapters, images and samplers that are not ours, by name. */
#include "serve/llama_int.h"

/* ---- completions ----------------------------------------------------------------------------- */

static vg_status parse_completion(vg_request *r, const vg_json *body, vg_err *err)
{
    vg_llama_fields f;
    vg_llama_defaults(r, &f);
    r->ask = VG_ASK_COMPLETE;
    VG_TRY(vg_fields_read(body, "", vg_llama_completion_fields, vg_llama_n_completion_fields, &f,
                          err));
    if (!r->n_prompts) return VG_FAIL(err, VG_E_USAGE, "prompt: is required");
    return vg_llama_take(&f, err);
}

/* ---- infill ---------------------------------------------------------------------------------- */

#define AT(member) .at = offsetof(vg_llama_fields, member)
static const vg_field infill_only_fields[] = {
    {"input_prefix", VG_FIELD_TEXT, AT(input_prefix)},
    {"input_suffix", VG_FIELD_TEXT, AT(input_suffix)},
    {"input_extra", VG_FIELD_JSON, AT(input_extra)},
    {"prompt", VG_FIELD_TEXT, AT(infill_prompt)},
};

#define FILE_AT(member) .at = offsetof(vg_ask_file, member)
static const vg_field file_fields[] = {
    {"filename", VG_FIELD_TEXT, FILE_AT(name)},
    {"text", VG_FIELD_TEXT, FILE_AT(text)},
};

static vg_status read_files(vg_request *r, const vg_json *v, vg_err *err)
{
    if (v->kind != VG_JSON_ARRAY)
        return VG_FAIL(err, VG_E_USAGE, "input_extra: must be an array of files");
    vg_ask_file *file = VG_ARENA_ARRAY(r->arena, vg_ask_file, v->n + 1);
    if (!file) return VG_FAIL_MEMORY(err, v->n * sizeof *file);
    for (size_t i = 0; i < v->n; i++) {
        VG_TRY(vg_fields_read(v->item[i], "input_extra.", file_fields, VG_COUNT(file_fields),
                              &file[i], err));
        if (!vg_json_get(v->item[i], "text"))
            return VG_FAIL(err, VG_E_USAGE, "input_extra.text: is required");
    }
    r->file = file;
    r->n_files = v->n;
    return VG_OK;
}

/* Splits the body into the fields of an infill and those that a completion has as well. */
static vg_status split_body(vg_arena *a, const vg_json *body, vg_json **own, vg_json **rest,
                            vg_err *err)
{
    if (body->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "the body must be a JSON object");
    vg_make m = {.arena = a};
    *own = vg_make_object(&m, body->n);
    *rest = vg_make_object(&m, body->n);
    for (size_t i = 0; i < body->n && !m.failed; i++) {
        size_t k = 0;
        while (k < VG_COUNT(infill_only_fields) &&
               !vg_str_is(body->key[i], infill_only_fields[k].name))
            k++;
        vg_json *to = k < VG_COUNT(infill_only_fields) ? *own : *rest;
        to->key[to->n] = body->key[i];
        to->item[to->n++] = body->item[i];
    }
    return m.failed ? VG_FAIL_MEMORY(err, body->n * sizeof(vg_json)) : VG_OK;
}

static vg_status parse_infill(vg_request *r, const vg_json *body, vg_err *err)
{
    vg_llama_fields f;
    vg_json *own = NULL, *rest = NULL;
    vg_llama_defaults(r, &f);
    r->ask = VG_ASK_INFILL;
    VG_TRY(split_body(r->arena, body, &own, &rest, err));
    VG_TRY(vg_fields_read(rest, "", vg_llama_completion_fields, vg_llama_n_completion_fields, &f,
                          err));
    VG_TRY(vg_fields_read(own, "", infill_only_fields, VG_COUNT(infill_only_fields), &f, err));
    if (!vg_json_get(own, "input_prefix"))
        return VG_FAIL(err, VG_E_USAGE, "input_prefix: is required");
    if (!vg_json_get(own, "input_suffix"))
        return VG_FAIL(err, VG_E_USAGE, "input_suffix: is required");
    if (f.input_extra) VG_TRY(read_files(r, f.input_extra, err));
    r->prefix = f.input_prefix;
    r->suffix = f.input_suffix;
    if (f.infill_prompt.n) VG_TRY(vg_fields_prompts(r, vg_json_get(own, "prompt"), err));
    return vg_llama_take(&f, err);
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static vg_status read_normalize(void *into, const vg_json *v, vg_err *err)
{
    int64_t kind = 0;
    VG_UNUSED(into);
    VG_TRY(vg_field_int(v, -1, INT32_MAX, &kind, err));
    return kind == 2 ? VG_OK
                     : VG_FAIL(err, VG_E_UNSUPPORTED, "not supported: another norm than 2");
}

static const vg_field embedding_fields[] = {
    {"content", VG_FIELD_JSON, AT(input)},
    {"input", VG_FIELD_JSON, AT(input)},
    {"model", VG_FIELD_TEXT, AT(model)},
    {"embd_normalize", VG_FIELD_OTHER, .read = read_normalize},
    {"encoding_format", VG_FIELD_TEXT, AT(grammar)},
    {"image_data", VG_FIELD_REFUSED, .why = "this server reads text alone"},
};

static vg_status parse_embedding(vg_request *r, const vg_json *body, vg_err *err)
{
    vg_llama_fields f;
    vg_llama_defaults(r, &f);
    r->ask = VG_ASK_EMBED;
    r->special = true;
    VG_TRY(vg_fields_read(body, "", embedding_fields, VG_COUNT(embedding_fields), &f, err));
    r->model = f.model;
    if (f.grammar.n && !vg_str_is(f.grammar, "float"))
        return VG_FAIL(err, VG_E_UNSUPPORTED, "encoding_format: not supported: \"%.*s\"",
                       VG_STR_ARG(f.grammar));
    if (!f.input) return VG_FAIL(err, VG_E_USAGE, "content: is required");
    vg_status st = vg_fields_prompts(r, f.input, err);
    return st ? vg_err_context(err, st, vg_json_get(body, "input") ? "input" : "content") : VG_OK;
}

static vg_status parse(vg_request *r, const char *route, const vg_json *body, vg_err *err)
{
    static const struct {
        const char *route;
        vg_status (*parse)(vg_request *r, const vg_json *body, vg_err *err);
    } routes[] = {
        {"/completion", parse_completion}, {"/completions", parse_completion},
        {"/infill", parse_infill},         {"/embedding", parse_embedding},
        {"/embeddings", parse_embedding},
    };
    for (size_t i = 0; i < VG_COUNT(routes); i++) {
        if (strcmp(routes[i].route, route) != 0) continue;
        r->route = vg_str_from(routes[i].route);
        r->body = body;
        r->n = 1;
        return routes[i].parse(r, body, err);
    }
    return VG_FAIL(err, VG_E_NOT_FOUND, "%s: no such route", route);
}

const vg_dialect vg_llama = {
    .name = "llama",
    .stream_type = "text/event-stream",
    .parse = parse,
    .whole = vg_llama_whole,
    .begin = vg_llama_begin,
    .delta = vg_llama_delta,
    .end = vg_llama_end,
    .fail = vg_llama_fail,
    .error = vg_llama_error,
};

/* ---- tokens ---------------------------------------------------------------------------------- */

typedef struct tokens {
    vg_request request; /* for the reader of prompts */
    vg_llama_tokenize ask;
} tokens;

#define TOKENS_AT(member) .at = offsetof(tokens, ask.member)
static const vg_field tokenize_fields[] = {
    {"content", VG_FIELD_OTHER, .read = vg_fields_prompts},
    {"model", VG_FIELD_TEXT, TOKENS_AT(model)},
    {"add_special", VG_FIELD_BOOL, TOKENS_AT(add_special)},
    {"parse_special", VG_FIELD_BOOL, TOKENS_AT(parse_special)},
    {"with_pieces", VG_FIELD_BOOL, TOKENS_AT(with_pieces)},
};

vg_status vg_llama_read_tokenize(vg_arena *a, const vg_json *body, vg_llama_tokenize *out,
                                 vg_err *err)
{
    tokens t = {.request.arena = a, .ask.parse_special = true};
    VG_TRY(vg_fields_read(body, "", tokenize_fields, VG_COUNT(tokenize_fields), &t, err));
    *out = t.ask;
    out->prompt = t.request.prompt;
    out->n_prompts = t.request.n_prompts;
    return VG_OK;
}

typedef struct ids {
    vg_arena *arena;
    vg_llama_detokenize ask;
} ids;

static vg_status read_ids(void *into, const vg_json *v, vg_err *err)
{
    ids *t = into;
    VG_TRY(vg_field_kind_is(v, VG_JSON_ARRAY, err));
    int32_t *id = VG_ARENA_ARRAY(t->arena, int32_t, v->n + 1);
    if (!id) return VG_FAIL_MEMORY(err, v->n * sizeof *id);
    for (size_t i = 0; i < v->n; i++) {
        int64_t value = 0;
        vg_status st = vg_field_int(v->item[i], 0, INT32_MAX, &value, err);
        if (st) return vg_err_context(err, st, "token id %zu", i);
        id[i] = (int32_t)value;
    }
    t->ask.id = id;
    t->ask.n = v->n;
    return VG_OK;
}

static const vg_field detokenize_fields[] = {
    {"tokens", VG_FIELD_OTHER, .read = read_ids},
    {"model", VG_FIELD_TEXT, .at = offsetof(ids, ask.model)},
};

vg_status vg_llama_read_detokenize(vg_arena *a, const vg_json *body, vg_llama_detokenize *out,
                                   vg_err *err)
{
    ids t = {.arena = a};
    VG_TRY(vg_fields_read(body, "", detokenize_fields, VG_COUNT(detokenize_fields), &t, err));
    *out = t.ask;
    return VG_OK;
}
