/* Answers under way: begun with an exchange, held while their model is loaded and their jobs run,
 * written as news comes, and gone when the exchange is closed. A stream that its client does not
 * read is not drained: the job's ring fills, and the job sleeps. */
#include "serve/answer_int.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/os.h"

enum { ARENA_CAP_BYTES = 256 << 20, OUT_CAP_BYTES = 256 << 20, ID_LETTERS = 24 };

/* ---- small things --------------------------------------------------------------------------- */

static uint64_t random_bits(vg_answers *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u; /* splitmix64 (Steele 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

vg_str vg_answer_new_id(vg_answer *a, const char *prefix)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = strlen(prefix);
    char *id = vg_arena_alloc(a->arena, n + ID_LETTERS + 1, 1);
    if (!id) return (vg_str){"", 0};
    memcpy(id, prefix, n);
    for (size_t i = 0; i < ID_LETTERS; i++)
        id[n + i] = letters[random_bits(a->all) % (sizeof letters - 1)];
    return (vg_str){id, n + ID_LETTERS};
}

static void flush(vg_answer *a)
{
    if (a->out.n == 0) return;
    if (a->out.failed) vg_exchange_abort(a->x);
    else vg_exchange_write(a->x, a->out.data, a->out.n);
    vg_buf_reset(&a->out);
}

void vg_answer_tell(vg_answer *a, const vg_delta *d)
{
    if (a->streaming && !a->done) a->dialect->delta(&a->reply, d, &a->out);
}

static void let_go(vg_answer *a)
{
    for (size_t i = 0; a->line && i < a->reply.n_choices; i++) {
        vg_job_free(a->line[i].job);
        a->line[i].job = NULL;
    }
    vg_job_free(a->job);
    a->job = NULL;
    vg_grammar_unref(a->grammar);
    a->grammar = NULL;
    vg_use_free(a->use);
    a->use = NULL;
}

static void report(vg_answer *a, bool cancelled)
{
    vg_answered f = {.reply = &a->reply, .route = a->route, .cancelled = cancelled,
                     .failed = a->reply.err.code != VG_OK, .key = a->client.key};
    for (size_t i = 0; a->line && i < a->reply.n_choices; i++) {
        const vg_choice *c = &a->reply.choice[i];
        f.n_prompt += c->n_prompt;
        f.n_reused += c->n_reused;
        f.n_tok += c->n_tok;
        double first = a->line[i].first_ms;
        if (first > 0 && (f.first_ms <= 0 || first < f.first_ms)) f.first_ms = first;
    }
    a->reply.total_ms = (double)(vg_os_now_ns() - a->begin_ns) * 1e-6;
    if (a->all->answered) a->all->answered(a->all->user, &f);
}

/* ---- errors --------------------------------------------------------------------------------- */

/* What a client is told may have its own code: a full queue is no fault of the request. */
static int http_code(const vg_answer *a, const vg_err *e)
{
    if (e->code == VG_E_LIMIT && a->use) return 429;
    if (e->code == VG_E_UNSUPPORTED || e->code == VG_E_CONTEXT || e->code == VG_E_TEMPLATE ||
        e->code == VG_E_FORMAT)
        return 400;
    if (e->code == VG_E_NOT_FOUND && a->use) return 400; /* no template, no tokenizer */
    if (e->code == VG_E_NO_MEMORY) return 503;
    return vg_status_http(e->code);
}

static void fail(vg_answer *a, const vg_err *e)
{
    if (a->done) return;
    a->done = true;
    a->reply.err = *e;
    if (a->streaming) {
        a->dialect->fail(&a->reply, e, &a->out);
        flush(a);
        vg_exchange_end(a->x);
    } else {
        int code = http_code(a, e);
        char after[32];
        if (code == 429 || code == 503) {
            double wait = a->use ? vg_sched_wait_s(vg_use_sched(a->use)) : 1;
            int n = snprintf(after, sizeof after, "%d", (int)ceil(wait));
            vg_exchange_header(a->x, "Retry-After", (vg_str){after, (size_t)n});
        }
        vg_buf_reset(&a->out);
        a->dialect->error(e, code, &a->out);
        vg_exchange_reply(a->x, code, "application/json", a->out.data, a->out.n);
    }
    report(a, false);
    let_go(a);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void complete(vg_answer *a)
{
    if (a->reply.err.code) {
        vg_err e = a->reply.err;
        fail(a, &e);
        return;
    }
    a->done = true;
    a->reply.total_ms = (double)(vg_os_now_ns() - a->begin_ns) * 1e-6;
    if (a->streaming) {
        a->dialect->end(&a->reply, &a->out);
        flush(a);
        vg_exchange_end(a->x);
    } else {
        vg_buf_reset(&a->out);
        a->dialect->whole(&a->reply, &a->out);
        if (a->out.failed) vg_exchange_reply(a->x, 500, NULL, NULL, 0);
        else vg_exchange_reply(a->x, 200, "application/json", a->out.data, a->out.n);
    }
    if (a->request.has_keep_alive) vg_use_keep_alive(a->use, a->request.keep_alive_s);
    report(a, false);
    let_go(a);
}

/* ---- while it runs -------------------------------------------------------------------------- */

static vg_finish finish_of(const vg_job_facts *f)
{
    switch (f->end) {
    case VG_JOB_END: return VG_FINISH_END;
    case VG_JOB_LENGTH: return VG_FINISH_LENGTH;
    case VG_JOB_FAILED: return VG_FINISH_ERROR;
    case VG_JOB_RUNS: break;
    }
    return VG_FINISH_NONE;
}

/* Takes the tokens that are there, as long as the client takes what they make. */
static void pump_line(vg_answer *a, vg_line *l)
{
    vg_token_out t;
    vg_job_facts f;
    vg_job_get_facts(l->job, &f);
    while (!l->ended && !(a->streaming && vg_exchange_is_full(a->x)) && vg_job_next(l->job, &t)) {
        vg_line_take(l, &t);
        if (a->out.n > 4096) flush(a);
    }
    if (l->ended) return;
    bool full = a->streaming && vg_exchange_is_full(a->x);
    bool late = a->request.max_ms > 0 && f.generate_ms <= 0 && l->first_ms > 0 &&
                (double)vg_exchange_age_ns(a->x) * 1e-6 - l->first_ms > a->request.max_ms;
    if (late) vg_line_end(l, VG_FINISH_LENGTH);
    else if (f.end && !full) vg_line_end(l, finish_of(&f));
}

/* The vectors are there, or not to be had. */
static void pump_vectors(vg_answer *a)
{
    vg_job_facts f;
    vg_job_get_facts(a->job, &f);
    if (f.end == VG_JOB_RUNS) return;
    if (f.end == VG_JOB_FAILED) a->reply.err = f.err;
    a->reply.vector = vg_job_vectors(a->job);
    a->reply.choice[0].prompt_ms = f.prompt_ms;
    a->reply.choice[0].queue_ms = f.queue_ms;
    complete(a);
}

void vg_answer_pump(vg_answer *a)
{
    if (!a->done && a->job) pump_vectors(a);
    if (a->done || !a->line) return;
    for (size_t i = 0; i < a->reply.n_choices && !a->done; i++)
        if (!a->line[i].ended && a->line[i].job) pump_line(a, &a->line[i]);
    if (a->n_ended == a->reply.n_choices) complete(a);
    else flush(a);
}

void vg_answers_pump(vg_answers *s)
{
    for (vg_answer *a = s->first, *next; a; a = next) {
        next = a->next;
        vg_answer_pump(a);
    }
}

/* ---- the beginning -------------------------------------------------------------------------- */

static void echo_prompt(vg_answer *a)
{
    for (size_t i = 0; i < a->reply.n_choices; i++) {
        const vg_choice *c = &a->reply.choice[i];
        vg_text t = {0};
        if (vg_detokenize(vg_use_model(a->use), c->prompt_id, c->n_prompt, false, &t, NULL)) return;
        vg_line_echo(&a->line[i], (vg_str){t.data, t.n});
        vg_text_free(&t);
    }
}

static void on_ready(void *user, vg_use *use, const vg_err *why)
{
    vg_answer *a = user;
    vg_err err = *why;
    a->use = use;
    if (err.code) {
        vg_use_free(use);
        a->use = NULL;
        fail(a, &err);
        return;
    }
    a->reply.load_ms = vg_use_load_ms(use);
    vg_str name = vg_use_name(use);
    a->reply.model = (vg_str){vg_arena_text(a->arena, name), name.n};
    if (a->request.ask == VG_ASK_LOAD) {
        complete(a);
        return;
    }
    bool embeds = a->request.ask == VG_ASK_EMBED;
    if (embeds ? vg_answer_submit_texts(a, &err) : vg_answer_submit(a, &err)) {
        fail(a, &err);
        return;
    }
    if (embeds) return;
    if (a->request.stream) {
        vg_exchange_header(a->x, "Cache-Control", VG_STR("no-store"));
        vg_exchange_begin(a->x, 200, a->dialect->stream_type);
        a->streaming = true;
        a->dialect->begin(&a->reply, &a->out);
    }
    if (a->request.echo) echo_prompt(a);
    flush(a);
}

static vg_status parse(vg_answer *a, vg_err *err)
{
    vg_str body = vg_exchange_body(a->x);
    vg_json *json = NULL;
    if (body.n == 0) return VG_FAIL(err, VG_E_USAGE, "the request has no body; it wants JSON");
    if (vg_json_parse(a->arena, body.p, body.n, &json, err))
        return vg_err_context(err, VG_E_USAGE, "the body is no JSON");
    vg_exchange_drop_body(a->x);
    if (json->kind != VG_JSON_OBJECT)
        return VG_FAIL(err, VG_E_USAGE, "the body is no JSON object");
    a->request.body = json;
    a->request.n = 1;
    return a->dialect->parse(&a->request, a->route, json, err);
}

static void set_time(vg_reply *r)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    r->created_s = now.tv_sec;
    r->created_ns = now.tv_nsec;
}

void vg_answer_begin(vg_answers *s, vg_exchange *x, const vg_dialect *d, const char *route,
                     const vg_client *client)
{
    vg_err err;
    vg_answer *a = vg_mem_new(sizeof *a);
    if (!a || vg_arena_new(&a->arena, ARENA_CAP_BYTES, &err)) {
        vg_mem_free(a);
        vg_exchange_reply(x, 503, NULL, NULL, 0);
        return;
    }
    a->all = s;
    a->x = x;
    a->dialect = d;
    a->route = route;
    a->client = *client;
    a->begin_ns = vg_os_now_ns();
    a->request.arena = a->reply.arena = a->arena;
    a->request.route = vg_str_from(route);
    a->reply.request = &a->request;
    a->reply.id = vg_answer_new_id(a, "");
    a->next = s->first;
    a->at = &s->first;
    if (a->next) a->next->at = &a->next;
    s->first = a;
    s->n++;
    set_time(&a->reply);
    vg_buf_init(&a->out, OUT_CAP_BYTES);
    vg_exchange_set_user(x, a);
    vg_status st = parse(a, &err);
    if (!st) st = vg_models_use(s->models, a->request.model, on_ready, a, &a->use, &err);
    if (st) fail(a, &err);
}

void vg_answer_facts(const vg_answer *a, uint64_t *key, size_t *n_prompt, size_t *n_tok)
{
    *key = a->client.key;
    *n_prompt = *n_tok = 0;
    for (size_t i = 0; a->reply.choice && i < a->reply.n_choices; i++) {
        *n_prompt += a->reply.choice[i].n_prompt;
        *n_tok += a->reply.choice[i].n_tok;
    }
}

void vg_answer_closed(vg_answer *a)
{
    if (!a->done) {
        a->done = true;
        report(a, true);
    }
    let_go(a);
    *a->at = a->next;
    if (a->next) a->next->at = a->at;
    a->all->n--;
    for (size_t i = 0; a->line && i < a->reply.n_choices; i++) vg_line_clear(&a->line[i]);
    vg_buf_clear(&a->out);
    vg_arena_free(a->arena);
    vg_mem_free(a);
}

void vg_answers_init(vg_answers *s, vg_models *models)
{
    *s = (vg_answers){.models = models, .random = vg_os_now_ns()};
}
