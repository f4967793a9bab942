/* The text that Prometheus reads (exposition format 0.0.4): a family is HELP, TYPE and its samples,
 * all in one place; labels are escaped; buckets are cumulative and end with +Inf.
 *
 * Names: OpenTelemetry's semantic conventions for generative models and HTTP, dots written as
 * underscores and units as suffixes; llama-server's; verge_ for the rest. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "serve/metrics.h"

static void put_value(vg_buf *out, double v)
{
    char text[VG_DOUBLE_TEXT];
    if (isnan(v)) vg_buf_text(out, "NaN");
    else if (isinf(v)) vg_buf_text(out, v > 0 ? "+Inf" : "-Inf");
    else vg_buf_add(out, text, vg_double_put(v, text));
}

static void begin_family(vg_buf *out, const char *name, const char *type, const char *help)
{
    vg_buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Labels are pairs of a name and a value, at most this many. */
enum { MAX_LABELS = 4 };
typedef struct labels {
    size_t n;
    struct {
        const char *name;
        vg_str value;
    } pair[MAX_LABELS];
} labels;

static void add_label(labels *l, const char *name, vg_str value)
{
    assert(l->n < MAX_LABELS);
    l->pair[l->n].name = name;
    l->pair[l->n++].value = value;
}

static void put_pair(vg_buf *out, const char *name, vg_str value)
{
    vg_buf_fmt(out, "%s=\"", name);
    for (size_t i = 0; i < value.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(value.p + i, value.n - i, &cp);
        if (cp == '\\') vg_buf_text(out, "\\\\");
        else if (cp == '"') vg_buf_text(out, "\\\"");
        else if (cp == '\n') vg_buf_text(out, "\\n");
        else vg_buf_cp(out, cp < 0 ? 0xfffd : cp);
        i += n;
    }
    vg_buf_char(out, '"');
}

/* `bound`: the bucket's, or NaN for none. */
static void put_sample(vg_buf *out, const char *name, const char *suffix, const labels *l,
                       double bound, double value)
{
    bool has_bound = !isnan(bound);
    vg_buf_fmt(out, "%s%s", name, suffix);
    if ((l && l->n) || has_bound) vg_buf_char(out, '{');
    for (size_t i = 0; l && i < l->n; i++) {
        if (i) vg_buf_char(out, ',');
        put_pair(out, l->pair[i].name, l->pair[i].value);
    }
    if (has_bound) {
        vg_buf_text(out, l && l->n ? ",le=\"" : "le=\"");
        put_value(out, bound);
        vg_buf_char(out, '"');
    }
    if ((l && l->n) || has_bound) vg_buf_char(out, '}');
    vg_buf_char(out, ' ');
    put_value(out, value);
    vg_buf_char(out, '\n');
}

static void put_histogram(vg_buf *out, const char *name, const labels *l, const vg_histogram *h)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= h->shape->n; i++) {
        sum += h->bucket[i];
        put_sample(out, name, "_bucket", l, i < h->shape->n ? h->shape->bound[i] : INFINITY,
                   (double)sum);
    }
    put_sample(out, name, "_sum", l, NAN, h->sum);
    put_sample(out, name, "_count", l, NAN, (double)h->count);
}

/* ---- families of counted things -------------------------------------------------------------- */

static void put_http(vg_buf *out, const vg_metrics *m)
{
    static const char name[] = "http_server_request_duration_seconds";
    begin_family(out, name, "histogram", "Time from a request's head to the end of its answer.");
    for (size_t i = 0; i < m->n_routes; i++) {
        const vg_metrics_route *r = &m->route[i];
        char code[16];
        snprintf(code, sizeof code, "%d", r->code);
        labels l = {0};
        add_label(&l, "http_request_method", vg_str_from(r->method));
        add_label(&l, "http_route", vg_str_from(r->route));
        add_label(&l, "http_response_status_code", vg_str_from(code));
        put_histogram(out, name, &l, &r->seconds);
    }
}

static labels series_labels(const vg_metrics_series *s)
{
    labels l = {0};
    add_label(&l, "gen_ai_operation_name", vg_str_from(s->operation));
    add_label(&l, "gen_ai_request_model", vg_str_from(s->model));
    add_label(&l, "gen_ai_provider_name", VG_STR("verge"));
    return l;
}

static void put_series(vg_buf *out, const vg_metrics *m)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } families[] = {
        {"gen_ai_server_time_to_first_token_seconds", "Time from a request to its first token.",
         offsetof(vg_metrics_series, ttft)},
        {"gen_ai_server_time_per_output_token_seconds",
         "Time for each token of an answer after the first one.",
         offsetof(vg_metrics_series, per_token)},
        {"gen_ai_server_request_duration_seconds", "Time from a request to its last token.",
         offsetof(vg_metrics_series, request)},
    };
    static const char usage[] = "gen_ai_client_token_usage";
    for (size_t k = 0; k < VG_COUNT(families); k++) {
        begin_family(out, families[k].name, "histogram", families[k].help);
        for (size_t i = 0; i < m->n_series; i++) {
            const labels l = series_labels(&m->series[i]);
            const char *base = (const char *)&m->series[i];
            vg_histogram h;
            memcpy(&h, base + families[k].at, sizeof h);
            put_histogram(out, families[k].name, &l, &h);
        }
    }
    begin_family(out, usage, "histogram", "Tokens of prompts (input) and of answers (output).");
    for (size_t i = 0; i < 2 * m->n_series; i++) {
        const vg_metrics_series *s = &m->series[i / 2];
        labels l = series_labels(s);
        add_label(&l, "gen_ai_token_type", i % 2 ? VG_STR("output") : VG_STR("input"));
        put_histogram(out, usage, &l, i % 2 ? &s->output : &s->input);
    }
}

/* ---- families of single numbers -------------------------------------------------------------- */

typedef struct single {
    const char *name, *type, *help;
    double value;
} single;

static void put_singles(vg_buf *out, const single *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        begin_family(out, s[i].name, s[i].type, s[i].help);
        put_sample(out, s[i].name, "", NULL, NAN, s[i].value);
    }
}

/* The sums over all engines of what llama-server's names mean. */
typedef struct sums {
    double running, waiting, n_steps, busy_rows;
} sums;

static sums sum_engines(const vg_metrics_now *now)
{
    sums s = {0};
    for (size_t i = 0; i < now->n_engines; i++) {
        const vg_sched_stats *e = &now->engine[i].stats;
        s.running += e->n_running;
        s.waiting += e->n_waiting;
        s.n_steps += (double)e->n_steps;
        s.busy_rows += (double)e->busy_rows;
    }
    return s;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void put_llama(vg_buf *out, const vg_metrics *m, const vg_metrics_now *now)
{
    sums s = sum_engines(now);
    const single list[] = {
        {"llamacpp:prompt_tokens_total", "counter", "Prompt tokens computed, cached ones excluded.",
         (double)m->prompt_tok},
        {"llamacpp:prompt_tokens_cached_total", "counter", "Prompt tokens taken from the cache.",
         (double)m->reused_tok},
        {"llamacpp:prompt_seconds_total", "counter", "Time spent on prompts.", m->prompt_s},
        {"llamacpp:tokens_predicted_total", "counter", "Tokens of answers.",
         (double)m->answer_tok},
        {"llamacpp:tokens_predicted_seconds_total", "counter", "Time spent on answers.",
         m->answer_s},
        {"llamacpp:n_decode_total", "counter", "Steps of the engines.", s.n_steps},
        {"llamacpp:prompt_tokens_seconds", "gauge", "Prompt tokens per second, on average.",
         ratio((double)m->prompt_tok, m->prompt_s)},
        {"llamacpp:predicted_tokens_seconds", "gauge",
         "Tokens per second of one answer, on average.",
         ratio((double)m->answer_tok, m->answer_s)},
        {"llamacpp:requests_processing", "gauge", "Answers in progress.", s.running},
        {"llamacpp:requests_deferred", "gauge", "Requests that wait.", s.waiting},
        {"llamacpp:n_busy_slots_per_decode", "gauge", "Answers in a step, on average.",
         ratio(s.busy_rows, s.n_steps)},
    };
    put_singles(out, list, VG_COUNT(list));
}

static void put_process(vg_buf *out, const vg_os_process *p)
{
    const single list[] = {
        {"process_cpu_seconds_total", "counter", "Processor time of this process.", p->cpu_s},
        {"process_start_time_seconds", "gauge", "Start of this process since 1970.", p->begin_s},
        {"process_resident_memory_bytes", "gauge", "Memory that it occupies.",
         (double)p->resident_bytes},
        {"process_virtual_memory_bytes", "gauge", "Memory that it has mapped.",
         (double)p->virtual_bytes},
        {"process_open_fds", "gauge", "Files and sockets that it has open.", (double)p->n_fds},
        {"process_max_fds", "gauge", "How many it may have open.", (double)p->max_fds},
        {"process_threads", "gauge", "Its threads.", (double)p->n_threads},
    };
    put_singles(out, list, VG_COUNT(list));
}

static void put_server(vg_buf *out, const vg_metrics *m, const vg_metrics_now *now)
{
    const single list[] = {
        {"verge_http_connections", "gauge", "Open connections.", (double)now->n_connections},
        {"verge_http_requests_total", "counter", "HTTP requests.", (double)m->n_requests},
        {"verge_http_errors_total", "counter", "HTTP requests answered with 5xx.",
         (double)m->n_errors},
        {"verge_requests_rejected_total", "counter", "Requests answered with 429 or 503.",
         (double)m->n_rejected},
        {"verge_answers_total", "counter", "Answers that ended.", (double)m->n_answers},
        {"verge_answers_failed_total", "counter", "Answers that failed.", (double)m->n_failed},
        {"verge_answers_cancelled_total", "counter", "Answers whose client went away.",
         (double)m->n_cancelled},
        {"verge_prefix_hit_tokens_total", "counter", "Prompt tokens taken from the cache.",
         (double)m->reused_tok},
        {"verge_memory_bytes", "gauge", "Memory of loaded models and their engines.",
         (double)now->memory_bytes},
        {"verge_memory_budget_bytes", "gauge", "How much they may take together.",
         (double)now->memory_budget_bytes},
        {"verge_model_loads_total", "counter", "Models loaded.", (double)now->n_loads},
        {"verge_model_load_failures_total", "counter", "Models that could not be loaded.",
         (double)now->n_load_failures},
        {"verge_model_evictions_total", "counter", "Models that made room for others.",
         (double)now->n_evicted},
    };
    put_singles(out, list, VG_COUNT(list));
}

/* ---- families of engines --------------------------------------------------------------------- */

static void put_engine_family(vg_buf *out, const vg_metrics_now *now, const single *family,
                              double (*value)(const vg_metrics_engine *e))
{
    begin_family(out, family->name, family->type, family->help);
    for (size_t i = 0; i < now->n_engines; i++) {
        labels l = {0};
        add_label(&l, "model", now->engine[i].model);
        put_sample(out, family->name, "", &l, NAN, value(&now->engine[i]));
    }
}

#define VALUE(name, what)                                                                          \
    static double name(const vg_metrics_engine *e)                                                 \
    {                                                                                              \
        return (double)(what);                                                                     \
    }
VALUE(is_ready, !strcmp(e->state, "ready"))
VALUE(model_bytes, e->memory_bytes)
VALUE(context, e->ctx_tok)
VALUE(waiting, e->stats.n_waiting)
VALUE(queue_cap, e->stats.queue_cap)
VALUE(running, e->stats.n_running)
VALUE(sessions, e->stats.n_sessions)
VALUE(step_rows, e->stats.step_rows)
VALUE(step_cap, e->stats.batch_tok)
VALUE(step_seconds, e->stats.step_ms / 1000)
VALUE(steps, e->stats.n_steps)
VALUE(rows, e->stats.n_rows)
VALUE(refused, e->stats.n_refused)
VALUE(pages, e->stats.pages.n_pages)
VALUE(pages_used, e->stats.pages.n_held)
VALUE(pages_cached, e->stats.pages.n_idle)
VALUE(pages_promised, e->stats.pages.n_promised)
VALUE(pages_evicted, e->stats.pages.n_evicted)
VALUE(is_stuck, e->stats.stuck)

static void put_engines(vg_buf *out, const vg_metrics_now *now)
{
    static const struct {
        single family;
        double (*value)(const vg_metrics_engine *e);
    } families[] = {
        {{"verge_model_ready", "gauge", "1 where the model is loaded.", 0}, is_ready},
        {{"verge_model_memory_bytes", "gauge", "Memory of the model and its engine.", 0},
         model_bytes},
        {{"verge_model_context_tokens", "gauge", "The most of one prompt and its answer.", 0},
         context},
        {{"verge_queue_requests", "gauge", "Requests that wait.", 0}, waiting},
        {{"verge_queue_capacity", "gauge", "How many may wait.", 0}, queue_cap},
        {{"verge_running_answers", "gauge", "Answers in progress.", 0}, running},
        {{"verge_sessions", "gauge", "How many answers may be in progress.", 0}, sessions},
        {{"verge_batch_rows", "gauge", "Tokens of the last step.", 0}, step_rows},
        {{"verge_batch_capacity", "gauge", "The most tokens of a step.", 0}, step_cap},
        {{"verge_step_seconds", "gauge", "Time of a step, the mean of the last ones.", 0},
         step_seconds},
        {{"verge_steps_total", "counter", "Steps of the engine.", 0}, steps},
        {{"verge_step_tokens_total", "counter", "Tokens computed, of prompts and answers.", 0},
         rows},
        {{"verge_queue_refused_total", "counter", "Requests that found the queue full.", 0},
         refused},
        {{"verge_kv_pages", "gauge", "Pages of the cache.", 0}, pages},
        {{"verge_kv_pages_used", "gauge", "Pages of answers in progress.", 0}, pages_used},
        {{"verge_kv_pages_cached", "gauge", "Pages kept for prompts that begin alike.", 0},
         pages_cached},
        {{"verge_kv_pages_promised", "gauge", "Pages that answers in progress may still take.", 0},
         pages_promised},
        {{"verge_kv_pages_evicted_total", "counter", "Cached pages that had to go.", 0},
         pages_evicted},
        {{"verge_engine_stuck", "gauge", "1 where a step takes longer than a minute.", 0},
         is_stuck},
    };
    for (size_t i = 0; i < VG_COUNT(families); i++)
        put_engine_family(out, now, &families[i].family, families[i].value);
}

void vg_metrics_put(const vg_metrics *m, const vg_metrics_now *now, vg_buf *out)
{
    put_series(out, m);
    put_http(out, m);
    put_engines(out, now);
    put_server(out, m, now);
    put_llama(out, m, now);
    put_process(out, &now->process);
}
