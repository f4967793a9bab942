/* The server: one thread with the transport's loop, on which everything but the engines runs. An
 * exchange goes to the handler of its route; engines with news wake the loop through an eventfd,
 * once for all of them. */
#include "serve/serve_int.h"
#include "serve/web.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000 };

static const vg_route *const tables[] = {vg_routes_answers, vg_routes_models, vg_routes_observe,
                                        vg_routes_llama, vg_routes_ollama, vg_routes_anthropic};

/* ---- exchanges ------------------------------------------------------------------------------- */

static bool matches(const vg_route *r, vg_str path, vg_str *rest)
{
    vg_str p = vg_str_from(r->path);
    bool prefix = p.n > 1 && p.p[p.n - 1] == '/';
    *rest = (vg_str){path.p + VG_MIN(p.n, path.n), path.n - VG_MIN(p.n, path.n)};
    return prefix ? vg_str_starts(path, p) && path.n > p.n : vg_str_eq(path, p);
}

/* The route of an exchange; NULL: none, *other says whether the path has one by another method. */
static const vg_route *find_route(const vg_exchange *x, vg_str *rest, bool *other)
{
    vg_str method = vg_exchange_method(x), path = vg_exchange_path(x);
    bool head = vg_str_is(method, "HEAD");
    *other = false;
    for (size_t i = 0; i < VG_COUNT(tables); i++)
        for (const vg_route *r = tables[i]; r->method; r++) {
            if (!matches(r, path, rest)) continue;
            if (vg_str_is(method, r->method) || (head && strcmp(r->method, "GET") == 0)) return r;
            *other = true;
        }
    return NULL;
}

const vg_route *vg_route_find(const vg_exchange *x)
{
    vg_str rest;
    bool other;
    return find_route(x, &rest, &other);
}

bool vg_page_has(vg_str path)
{
    vg_web_file f;
    return vg_web_find(&f, path);
}

/* At / a browser gets the page, and who does not ask for a page gets Ollama's sentence: by that its
 * clients and scripts find out whether a server is there. */
static bool wants_page(const vg_exchange *x)
{
    vg_str accept = vg_exchange_field(x, "Accept");
    if (!vg_str_is(vg_exchange_path(x), "/")) return true;
    return accept.n && memmem(accept.p, accept.n, "text/html", 9);
}

/* The page's files need no key: there is nothing in them that is not in the program. */
static bool answer_page(vg_exchange *x)
{
    static const char sentence[] = "Ollama is running";
    vg_web_file f;
    vg_str method = vg_exchange_method(x);
    if (!vg_str_is(method, "GET") && !vg_str_is(method, "HEAD")) return false;
    if (vg_str_is(vg_exchange_path(x), "/")) vg_exchange_header(x, "Vary", VG_STR("Accept"));
    if (!wants_page(x)) {
        vg_exchange_reply(x, 200, "text/plain; charset=utf-8", sentence, sizeof sentence - 1);
        return true;
    }
    if (!vg_web_find(&f, vg_exchange_path(x))) return false;
    for (size_t i = 0; i < VG_WEB_HEADERS; i++)
        vg_exchange_header(x, vg_web_headers[i].name, vg_str_from(vg_web_headers[i].value));
    vg_exchange_header(x, "ETag", vg_str_from(f.etag));
    if (vg_web_is_known(&f, vg_exchange_field(x, "If-None-Match")))
        vg_exchange_reply(x, 304, NULL, NULL, 0);
    else vg_exchange_reply(x, 200, f.type, f.bytes, f.n);
    return true;
}

/* Before the body is read: who may not come in is told so at once. */
static void on_head(void *user, vg_exchange *x)
{
    bool refused = vg_gate_refuses(user, x);
    VG_UNUSED(refused); /* it was answered then, which the transport sees */
}

static void on_request(void *user, vg_exchange *x)
{
    vg_server *s = user;
    if (answer_page(x)) return;
    vg_str rest;
    bool other;
    const vg_route *r = find_route(x, &rest, &other);
    char why[400];
    if (!r) {
        vg_str path = vg_exchange_path(x), method = vg_exchange_method(x);
        if (other)
            snprintf(why, sizeof why, "%.*s is not answered at %.*s", VG_STR_ARG(method),
                     VG_STR_ARG(path));
        else snprintf(why, sizeof why, "there is nothing at %.*s", VG_STR_ARG(path));
        vg_reply_error(x, other ? 405 : 404, why);
        return;
    }
    if (r->handle) {
        r->handle(s, x, rest);
        return;
    }
    vg_client client;
    if (!vg_gate_admits(s, x, &client)) return;
    vg_gate_count(s, client.key, 1, 0);
    vg_answer_begin(&s->answers, x, r->dialect, r->path, &client);
}

static void on_closed(void *user, vg_exchange *x)
{
    vg_server *s = user;
    vg_observe_exchange(s, x);
    vg_answer *a = vg_observe_leave(s, x) ? NULL : vg_exchange_user(x);
    if (!a) {
        vg_gate_log(s, x, -1, -1);
        return;
    }
    uint64_t key;
    size_t n_in, n_out;
    vg_answer_facts(a, &key, &n_in, &n_out);
    vg_gate_log(s, x, (int64_t)n_in, (int64_t)n_out);
    vg_gate_count(s, key, -1, 0);
    vg_answer_closed(a);
}

static void on_drained(void *user, vg_exchange *x)
{
    VG_UNUSED(user);
    vg_answer *a = vg_exchange_user(x);
    if (a) vg_answer_pump(a);
}

static void error_body(void *user, vg_str path, int code, const char *why, vg_buf *json)
{
    vg_err e;
    VG_UNUSED(user);
    VG_UNUSED(VG_FAIL(&e, VG_E_USAGE, "%s", why));
    vg_dialect_of_path(path)->error(&e, code, json);
}

/* ---- news of engines ------------------------------------------------------------------------- */

/* From an engine's thread. */
static void wake(void *user)
{
    vg_server *s = user;
    uint64_t one = 1;
    if (atomic_exchange(&s->has_news, true)) return;
    ssize_t n = write(s->news_fd, &one, sizeof one);
    VG_UNUSED(n); /* the counter of an eventfd cannot be full after one write */
}

static void on_news(void *user)
{
    vg_server *s = user;
    uint64_t n;
    ssize_t got = read(s->news_fd, &n, sizeof n);
    VG_UNUSED(got);
    atomic_store(&s->has_news, false);
    vg_answers_pump(&s->answers);
}

static void on_tick(void *user)
{
    vg_server *s = user;
    vg_models_tick(s->models);
    vg_status st = vg_watch_after(s->tick, TICK_MS, NULL);
    VG_UNUSED(st); /* without a timer, models stay loaded */
}

static bool post(void *user, void (*fn)(void *), void *arg)
{
    return vg_http_post(((vg_server *)user)->http, fn, arg);
}

/* ---- life ------------------------------------------------------------------------------------ */

static vg_status build(vg_server *s, vg_err *err)
{
    vg_http_opts http = {.limits = s->opts.limits, .user = s, .head = on_head,
                         .request = on_request,
                         .closed = on_closed, .drained = on_drained, .error_body = error_body,
                         .refused = vg_gate_refused, .log = vg_gate_say,
                         .tls_cert = s->opts.tls_cert,
                         .tls_key = s->opts.tls_key};
    vg_models_opts models = s->opts.models;
    s->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->news_fd < 0) return VG_FAIL(err, VG_E_IO, "no eventfd: %s", strerror(errno));
    VG_TRY(vg_http_new(&s->http, &http, err));
    models.sched.wake = wake;
    models.sched.user = s;
    models.post = post;
    models.post_user = s;
    VG_TRY(vg_models_new(&s->models, &models, err));
    vg_answers_init(&s->answers, s->models);
    s->answers.max_tok = s->opts.max_tok;
    const vg_keys *keys = s->opts.access.keys;
    if (keys) s->share = vg_mem_new((vg_keys_count(keys) + 1) * sizeof *s->share);
    if (keys && !s->share) return VG_FAIL_MEMORY(err, sizeof *s->share);
    s->answers.answered = vg_observe_answer;
    s->answers.user = s;
    VG_TRY(vg_observe_begin(s, err));
    VG_TRY(vg_http_watch_fd(&s->news, s->http, s->news_fd, on_news, s, err));
    VG_TRY(vg_http_watch_timer(&s->tick, s->http, on_tick, s, err));
    return vg_watch_after(s->tick, TICK_MS, err);
}

vg_status vg_server_new(vg_server **out, const vg_server_opts *opts, vg_err *err)
{
    vg_server *s = vg_mem_new(sizeof *s);
    if (!s) return VG_FAIL_MEMORY(err, sizeof *s);
    s->opts = *opts;
    s->news_fd = -1;
    s->begin_s = time(NULL);
    vg_status st = build(s, err);
    if (st) vg_server_free(s);
    else *out = s;
    return st;
}

void vg_server_free(vg_server *s)
{
    if (!s) return;
    vg_watch_free(s->news);
    vg_watch_free(s->tick);
    vg_observe_end(s);
    vg_models_free(s->models);
    vg_mem_free(s->share);
    vg_http_free(s->http);
    if (s->news_fd >= 0) close(s->news_fd);
    vg_mem_free(s);
}

vg_http *vg_server_http(vg_server *s)
{
    return s->http;
}

vg_models *vg_server_models(vg_server *s)
{
    return s->models;
}
