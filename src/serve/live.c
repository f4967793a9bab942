/* The live view's object. Rates are differences between two events, smoothed so that a step that
 * falls into one half second or the next does not make them jump; quantiles are of the last one to
 * two minutes, two windows that take turns. */
#include <math.h>

#include "base/json_out.h"
#include "serve/live.h"

#define WINDOW_S 60.0
#define SMOOTH 0.5 /* of a new value: an old one has faded after a few events */

typedef struct sums {
    uint64_t running, queue, batch_rows, batch_cap, pages_used, pages_cached, pages;
    uint64_t prompt_tok, reused_tok, answer_tok;
    double step_ms;
} sums;

static sums sum_engines(const vg_metrics_now *now)
{
    sums s = {0};
    for (size_t i = 0; i < now->n_engines; i++) {
        const vg_sched_stats *e = &now->engine[i].stats;
        s.running += e->n_running;
        s.queue += e->n_waiting;
        if (e->n_running) s.batch_rows += e->step_rows;
        s.batch_cap += e->batch_tok;
        s.pages_used += e->pages.n_held;
        s.pages_cached += e->pages.n_idle;
        s.pages += e->pages.n_pages;
        s.prompt_tok += e->n_prompt_tok;
        s.reused_tok += e->n_reused_tok;
        s.answer_tok += e->n_answer_tok;
        s.step_ms = VG_MAX(s.step_ms, e->step_ms);
    }
    return s;
}

/* An engine that went takes its counts with it; that is no negative rate. */
static double smooth(double old, uint64_t before, uint64_t now, double seconds)
{
    double rate = now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
    double mean = old + SMOOTH * (rate - old);
    return mean < 0.05 ? 0 : mean;
}

static void turn(vg_live *l, const vg_metrics *m, const sums *s, double time_s)
{
    if (l->time_s == 0) {
        l->window_s = time_s;
        l->before[0] = l->before[1] = (vg_histogram){.shape = m->ttft.shape};
    } else {
        double seconds = time_s - l->time_s;
        l->prompt_rate = smooth(l->prompt_rate, l->prompt_tok, s->prompt_tok, seconds);
        l->answer_rate = smooth(l->answer_rate, l->answer_tok, s->answer_tok, seconds);
    }
    if (time_s - l->window_s >= WINDOW_S) {
        l->before[1] = l->before[0];
        l->before[0] = m->ttft;
        l->window_s = time_s;
    }
    l->time_s = time_s;
    l->prompt_tok = s->prompt_tok;
    l->answer_tok = s->answer_tok;
}

static void put_quantile(vg_buf *out, const char *name, const vg_histogram *h, double q)
{
    vg_json_round(out, name, h->count ? vg_histogram_quantile(h, q) * 1000 : NAN, 1);
}

static void put_models(vg_buf *out, const vg_metrics_now *now)
{
    vg_json_begin(out, "models", '[');
    for (size_t i = 0; i < now->n_engines; i++) {
        const vg_metrics_engine *e = &now->engine[i];
        vg_json_begin(out, NULL, '{');
        vg_json_str(out, "name", e->model);
        vg_json_text(out, "state", e->state);
        vg_json_count(out, "bytes", e->memory_bytes);
        vg_json_count(out, "ctx", e->ctx_tok);
        vg_json_end(out, '}');
    }
    vg_json_end(out, ']');
}

void vg_live_put(vg_live *l, const vg_metrics *m, const vg_metrics_now *now, vg_buf *out)
{
    sums s = sum_engines(now);
    turn(l, m, &s, now->time_s);
    vg_histogram recent = vg_histogram_since(&m->ttft, &l->before[1]);
    vg_json_begin(out, NULL, '{');
    vg_json_round(out, "time_s", now->time_s, 3);
    put_models(out, now);
    vg_json_round(out, "tokens_s", l->answer_rate, 1);
    vg_json_round(out, "prompt_tokens_s", l->prompt_rate, 1);
    vg_json_count(out, "running", s.running);
    vg_json_count(out, "queue", s.queue);
    vg_json_count(out, "batch_rows", s.batch_rows);
    vg_json_count(out, "batch_cap", s.batch_cap);
    vg_json_count(out, "pages_used", s.pages_used);
    vg_json_count(out, "pages_cached", s.pages_cached);
    vg_json_count(out, "pages", s.pages);
    vg_json_count(out, "memory_bytes", now->memory_bytes);
    vg_json_begin(out, "ttft_ms", '{');
    put_quantile(out, "p50", &recent, 0.5);
    put_quantile(out, "p95", &recent, 0.95);
    vg_json_end(out, '}');
    vg_json_round(out, "step_ms", s.running ? s.step_ms : 0, 2);
    vg_json_count(out, "requests_total", m->n_requests);
    vg_json_count(out, "errors_total", m->n_errors);
    vg_json_count(out, "prefix_hit_tokens", s.reused_tok);
    vg_json_end(out, '}');
}
