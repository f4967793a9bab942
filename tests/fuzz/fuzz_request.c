/* Requests of every dialect: the first line is the route, the rest the body. What is taken has to
 * keep within the contract's limits, what is refused has to say why, and an answer to it, whole or
 * as an error, has to be JSON. */
#include "base/json.h"
#include "fuzz.h"
#include "serve/llama.h"
#include "serve/ollama.h"

static const struct {
    const char *route;
    const vg_dialect *dialect;
} routes[] = {
    {"/api/generate", &vg_ollama}, {"/api/chat", &vg_ollama},   {"/api/embed", &vg_ollama},
    {"/api/embeddings", &vg_ollama}, {"/completion", &vg_llama}, {"/infill", &vg_llama},
    {"/embedding", &vg_llama},
    {"/v1/chat/completions", &vg_openai_chat},
    {"/v1/completions", &vg_openai_completions},
    {"/v1/responses", &vg_openai_responses},
    {"/v1/embeddings", &vg_openai_embeddings},
    {"/v1/messages", &vg_anthropic},
};

static void check_limits(const vg_request *r)
{
    bool ok = r->n >= 1 && r->n <= VG_MAX_CHOICES && r->n_stop <= VG_MAX_STOPS &&
              r->n_top <= VG_MAX_TOP && r->n_prompts <= VG_MAX_PROMPTS;
    ok = ok && r->sampling.temp >= 0 && r->sampling.top_p >= 0 && r->sampling.top_p <= 1;
    for (size_t i = 0; i < r->n_prompts; i++)
        for (size_t k = 0; k < r->prompt[i].n; k++)
            ok = ok && (r->prompt[i].piece[k].id || !r->prompt[i].piece[k].n_id);
    if (!ok) abort();
}

static void check_json(const vg_buf *b)
{
    vg_arena *a = NULL;
    vg_json *j = NULL;
    if (b->failed || vg_arena_new(&a, 64 << 20, NULL)) abort();
    if (vg_json_parse(a, b->n ? b->data : "", b->n, &j, NULL)) abort();
    vg_arena_free(a);
}

static void check_answer(const vg_dialect *d, const vg_request *r, vg_choice *c)
{
    static const float vector[1] = {0.5f};
    vg_buf out;
    vg_reply reply = {.request = r, .arena = r->arena, .model = VG_STR("m"), .choice = c,
                      .id = VG_STR("0123456789abcdefghijklmn"), .n_choices = 1,
                      .vector = vector, .width = 1};
    c->finish = VG_FINISH_END;
    vg_buf_init(&out, 16 << 20);
    d->whole(&reply, &out);
    check_json(&out);
    vg_buf_clear(&out);
}

static void check_error(const vg_dialect *d, const vg_err *e)
{
    vg_buf out;
    if (!e->msg[0]) abort();
    vg_buf_init(&out, 1 << 20);
    d->error(e, 400, &out);
    check_json(&out);
    vg_buf_clear(&out);
}

static void ask_dialects(vg_arena *a, vg_str route, const vg_json *body)
{
    for (size_t i = 0; i < VG_COUNT(routes); i++) {
        if (!vg_str_is(route, routes[i].route)) continue;
        vg_err err = {0};
        vg_request r = {.arena = a};
        vg_choice *c = calloc(1, sizeof *c);
        if (!c) abort();
        if (routes[i].dialect->parse(&r, routes[i].route, body, &err)) {
            check_error(routes[i].dialect, &err);
        } else {
            check_limits(&r);
            check_answer(routes[i].dialect, &r, c);
        }
        free(c);
    }
}

static void ask_others(vg_arena *a, vg_str route, const vg_json *body)
{
    char text[64];
    vg_err err = {0};
    vg_llama_tokenize t;
    vg_llama_detokenize d;
    vg_ollama_names names;
    if (route.n >= sizeof text) return;
    memcpy(text, route.p, route.n);
    text[route.n] = '\0';
    vg_status st = VG_OK;
    if (!strcmp(text, "/tokenize")) st = vg_llama_read_tokenize(a, body, &t, &err);
    else if (!strcmp(text, "/detokenize")) st = vg_llama_read_detokenize(a, body, &d, &err);
    else if (!strncmp(text, "/api/", 5)) st = vg_ollama_read_names(text, body, &names, &err);
    if (st && !err.msg[0]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_arena *a = NULL;
    vg_json *body = NULL;
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    if (!end || vg_arena_new(&a, 64 << 20, NULL)) return 0;
    size_t n_route = (size_t)(end - data);
    vg_str route = {(const char *)data, n_route};
    if (!vg_json_parse(a, (const char *)end + 1, n - n_route - 1, &body, NULL)) {
        ask_dialects(a, route, body);
        ask_others(a, route, body);
    }
    vg_arena_free(a);
    return 0;
}
