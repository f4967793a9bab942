/* Counting: histograms with fixed bounds, HTTP requests by route and code, answers by model and
 * operation. What is counted fits into memory that is there from the start; a route or a model too
 * many is counted as "other".
 *
 * The bounds are those of OpenTelemetry's conventions for generative models, finer where a small
 * model on an edge device is faster than they expect. */
#include <math.h>
#include <stdio.h>

#include "serve/metrics.h"

const vg_histogram_shape vg_shape_ttft = {
    19, {0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5,
         10, 30, 60}};
const vg_histogram_shape vg_shape_per_token = {
    17, {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
         0.75, 1, 2.5}};
const vg_histogram_shape vg_shape_request = {
    16, {0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
         81.92, 163.84}};
const vg_histogram_shape vg_shape_tokens = {
    12, {1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304}};

void vg_histogram_observe(vg_histogram *h, double v)
{
    if (isnan(v)) return;
    size_t i = 0;
    while (i < h->shape->n && v > h->shape->bound[i]) i++;
    h->bucket[i]++;
    h->count++;
    h->sum += v;
}

double vg_histogram_quantile(const vg_histogram *h, double q)
{
    if (!h->count) return 0;
    double want = q * (double)h->count, before = 0;
    for (size_t i = 0; i < h->shape->n; i++) {
        double here = (double)h->bucket[i];
        double low = i ? h->shape->bound[i - 1] : 0;
        if (here > 0 && before + here >= want)
            return low + (h->shape->bound[i] - low) * VG_MAX(want - before, 0.0) / here;
        before += here;
    }
    return h->shape->bound[h->shape->n - 1];
}

vg_histogram vg_histogram_since(const vg_histogram *now, const vg_histogram *then)
{
    vg_histogram d = *now;
    d.count -= then->count;
    d.sum -= then->sum;
    for (size_t i = 0; i <= VG_HISTOGRAM_BOUNDS; i++) d.bucket[i] -= then->bucket[i];
    return d;
}

void vg_metrics_init(vg_metrics *m)
{
    *m = (vg_metrics){.ttft.shape = &vg_shape_ttft};
}

/* A name that is too long is cut where a character ends. */
static void put_name(char *to, size_t cap, vg_str name)
{
    size_t n = vg_utf8_valid(name.p, VG_MIN(name.n, cap - 1));
    if (n) memcpy(to, name.p, n);
    to[n] = '\0';
}

static vg_metrics_route *find_route(vg_metrics *m, const char *method, const char *route, int code)
{
    for (size_t i = 0; i < m->n_routes; i++) {
        vg_metrics_route *r = &m->route[i];
        if (r->code == code && !strcmp(r->route, route) && !strcmp(r->method, method)) return r;
    }
    if (m->n_routes == VG_METRICS_ROUTES) return &m->route[VG_METRICS_ROUTES - 1];
    vg_metrics_route *r = &m->route[m->n_routes++];
    bool last = m->n_routes == VG_METRICS_ROUTES;
    put_name(r->method, sizeof r->method, vg_str_from(last ? "other" : method));
    put_name(r->route, sizeof r->route, vg_str_from(last ? "other" : route));
    r->code = last ? 0 : code;
    r->seconds.shape = &vg_shape_request;
    return r;
}

void vg_metrics_count_http(vg_metrics *m, const char *method, const char *route, int code,
                           double seconds)
{
    vg_histogram_observe(&find_route(m, method, route, code)->seconds, seconds);
    m->n_requests++;
    if (code >= 500) m->n_errors++;
    if (code == 429 || code == 503) m->n_rejected++;
}

static vg_metrics_series *find_series(vg_metrics *m, vg_str model, const char *operation)
{
    char name[sizeof m->series[0].model];
    put_name(name, sizeof name, model);
    for (size_t i = 0; i < m->n_series; i++) {
        vg_metrics_series *s = &m->series[i];
        if (!strcmp(s->model, name) && !strcmp(s->operation, operation)) return s;
    }
    if (m->n_series == VG_METRICS_SERIES) return &m->series[VG_METRICS_SERIES - 1];
    vg_metrics_series *s = &m->series[m->n_series++];
    bool last = m->n_series == VG_METRICS_SERIES;
    put_name(s->model, sizeof s->model, last ? VG_STR("other") : model);
    put_name(s->operation, sizeof s->operation, vg_str_from(last ? "other" : operation));
    s->ttft.shape = &vg_shape_ttft;
    s->per_token.shape = &vg_shape_per_token;
    s->request.shape = &vg_shape_request;
    s->input.shape = s->output.shape = &vg_shape_tokens;
    return s;
}

void vg_metrics_count_answer(vg_metrics *m, const vg_metrics_answer *a)
{
    vg_metrics_series *s = find_series(m, a->model, a->operation);
    vg_histogram_observe(&s->request, a->total_s);
    vg_histogram_observe(&s->input, (double)a->n_prompt);
    vg_histogram_observe(&s->output, (double)a->n_tok);
    if (a->ttft_s >= 0) {
        vg_histogram_observe(&s->ttft, a->ttft_s);
        vg_histogram_observe(&m->ttft, a->ttft_s);
    }
    /* Without the first token, which belongs to the prompt. */
    if (a->n_tok > 1) vg_histogram_observe(&s->per_token, a->answer_s / (double)(a->n_tok - 1));
    m->n_answers++;
    m->n_failed += a->failed;
    m->n_cancelled += a->cancelled;
    m->prompt_tok += a->n_prompt - VG_MIN(a->n_reused, a->n_prompt);
    m->reused_tok += a->n_reused;
    m->answer_tok += a->n_tok;
    m->prompt_s += a->prompt_s;
    m->answer_s += a->answer_s;
}
