/* What an operator sees: /metrics for Prometheus, and /verge/live, a stream of the engine's numbers
 * for the web page. Both read what the schedulers count and what the transport and the models know
 * of themselves; nothing here makes an engine wait. */
#include <stdio.h>
#include <time.h>

#include "serve/serve_int.h"

enum { TEXT_CAP_BYTES = 4 << 20, LIVE_MS = 500, MAX_ENGINES = 64 };

/* ---- counting ------------------------------------------------------------------------------- */

static const char *operation_of(const vg_request *r)
{
    switch (r->ask) {
    case VG_ASK_CHAT: return "chat";
    case VG_ASK_COMPLETE:
    case VG_ASK_INFILL: return "text_completion";
    case VG_ASK_EMBED: return "embeddings";
    case VG_ASK_LOAD: return "load";
    }
    return "other";
}

void vg_observe_answer(void *server, const vg_answered *a)
{
    vg_server *s = server;
    vg_metrics_answer m = {.model = a->reply->model,
                           .operation = operation_of(a->reply->request),
                           .ttft_s = a->first_ms > 0 ? a->first_ms * 1e-3 : -1,
                           .total_s = a->reply->total_ms * 1e-3,
                           .n_prompt = a->n_prompt,
                           .n_reused = a->n_reused,
                           .n_tok = a->n_tok,
                           .failed = a->failed,
                           .cancelled = a->cancelled};
    for (size_t i = 0; i < a->reply->n_choices; i++) {
        m.prompt_s += a->reply->choice[i].prompt_ms * 1e-3;
        m.answer_s += a->reply->choice[i].generate_ms * 1e-3;
    }
    vg_metrics_count_answer(&s->metrics, &m);
    vg_gate_count(s, a->key, 0, a->n_prompt + a->n_tok);
}

void vg_observe_exchange(vg_server *s, vg_exchange *x)
{
    vg_str method = vg_exchange_method(x);
    char name[12];
    snprintf(name, sizeof name, "%.*s", VG_STR_ARG(method));
    const vg_route *route = vg_route_find(x);
    vg_metrics_count_http(&s->metrics, name, route ? route->path : "other", vg_exchange_code(x),
                          (double)vg_exchange_age_ns(x) * 1e-9);
}

/* ---- what is so now ------------------------------------------------------------------------- */

static void look(vg_server *s, vg_metrics_engine engine[MAX_ENGINES], vg_metrics_now *now)
{
    struct timespec t;
    vg_models_stats m;
    clock_gettime(CLOCK_REALTIME, &t);
    vg_models_get_stats(s->models, &m);
    *now = (vg_metrics_now){.time_s = (double)t.tv_sec + (double)t.tv_nsec * 1e-9,
                            .engine = engine,
                            .n_loads = m.n_loads,
                            .n_load_failures = m.n_failed,
                            .n_evicted = m.n_evicted,
                            .memory_bytes = m.used_bytes,
                            .memory_budget_bytes = m.budget_bytes,
                            .n_connections = vg_http_stats_of(s->http).connections};
    vg_os_get_process(&now->process);
    for (size_t i = 0; i < vg_models_count(s->models) && now->n_engines < MAX_ENGINES; i++) {
        vg_model_facts f;
        vg_models_get(s->models, i, &f);
        vg_metrics_engine *e = &engine[now->n_engines++];
        *e = (vg_metrics_engine){.model = f.name, .state = vg_model_state_names[f.state],
                                 .memory_bytes = f.memory_bytes};
        if (!f.sched) continue;
        e->ctx_tok = vg_sched_ctx_tok(f.sched);
        vg_sched_get_stats(f.sched, &e->stats);
    }
}

static void metrics(vg_server *s, vg_exchange *x, vg_str rest)
{
    vg_buf b;
    vg_metrics_now now;
    vg_metrics_engine engine[MAX_ENGINES];
    VG_UNUSED(rest);
    vg_buf_init(&b, TEXT_CAP_BYTES);
    look(s, engine, &now);
    vg_metrics_put(&s->metrics, &now, &b);
    if (b.failed) vg_exchange_reply(x, 503, NULL, NULL, 0);
    else vg_exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.n);
    vg_buf_clear(&b);
}

/* ---- the live view -------------------------------------------------------------------------- */

static void tell_watchers(vg_server *s)
{
    vg_buf b;
    vg_metrics_now now;
    vg_metrics_engine engine[MAX_ENGINES];
    vg_buf_init(&b, TEXT_CAP_BYTES);
    look(s, engine, &now);
    vg_buf_text(&b, "data: ");
    vg_live_put(&s->live, &s->metrics, &now, &b);
    vg_buf_text(&b, "\n\n");
    for (size_t i = 0; i < s->n_watchers && !b.failed; i++)
        if (!vg_exchange_is_full(s->watcher[i])) vg_exchange_write(s->watcher[i], b.data, b.n);
    vg_buf_clear(&b);
}

static void on_live(void *user)
{
    vg_server *s = user;
    if (s->n_watchers == 0) return; /* the timer rests until somebody looks */
    if (vg_http_stopping(s->http)) {
        for (size_t i = 0; i < s->n_watchers; i++) vg_exchange_end(s->watcher[i]);
        return;
    }
    tell_watchers(s);
    vg_status st = vg_watch_after(s->live_timer, LIVE_MS, NULL);
    VG_UNUSED(st); /* without a timer the view stands still */
}

static void live(vg_server *s, vg_exchange *x, vg_str rest)
{
    VG_UNUSED(rest);
    if (s->n_watchers == VG_MAX_WATCHERS) {
        vg_reply_error(x, 429, "too many pages look at the live view");
        return;
    }
    vg_exchange_header(x, "Cache-Control", VG_STR("no-store"));
    vg_exchange_begin(x, 200, "text/event-stream");
    s->watcher[s->n_watchers++] = x;
    vg_status st = vg_watch_after(s->live_timer, s->n_watchers > 1 ? LIVE_MS : 0, NULL);
    VG_UNUSED(st);
}

bool vg_observe_leave(vg_server *s, vg_exchange *x)
{
    for (size_t i = 0; i < s->n_watchers; i++) {
        if (s->watcher[i] != x) continue;
        s->watcher[i] = s->watcher[--s->n_watchers];
        return true;
    }
    return false;
}

vg_status vg_observe_begin(vg_server *s, vg_err *err)
{
    vg_metrics_init(&s->metrics);
    return vg_http_watch_timer(&s->live_timer, s->http, on_live, s, err);
}

void vg_observe_end(vg_server *s)
{
    vg_watch_free(s->live_timer);
}

const vg_route vg_routes_observe[] = {
    {"GET", "/metrics", .handle = metrics},
    {"GET", "/verge/live", .handle = live},
    {NULL, NULL, NULL, NULL, false, false},
};
