/* metrics.h: what the server counts, and how Prometheus reads it: under OpenTelemetry's names for
 * generative models and HTTP, under llama-server's for those whose dashboards know these, and under
 * verge_ for what neither has.
 *
 *     vg_metrics_init(&m);
 *     vg_metrics_count_http(&m, "POST", "/api/chat", 200, 0.25);
 *     vg_metrics_count_answer(&m, &answer);
 *     vg_metrics_put(&m, &now, &out);
 *
 * Everything belongs to one thread. Memory is fixed: series beyond the room go into one that is
 * called "other", so that no client can make the server remember without end. */
#ifndef VG_METRICS_H
#define VG_METRICS_H

#include "base/os.h"
#include "serve/sched.h"

/* ---- histograms ------------------------------------------------------------------------------ */

enum { VG_HISTOGRAM_BOUNDS = 20 };

/* The upper bounds of buckets, rising; a value above the last one counts in +Inf's. */
typedef struct vg_histogram_shape {
    size_t n;
    double bound[VG_HISTOGRAM_BOUNDS];
} vg_histogram_shape;
typedef struct vg_histogram {
    const vg_histogram_shape *shape;
    uint64_t count, bucket[VG_HISTOGRAM_BOUNDS + 1]; /* bucket: not cumulative */
    double sum;
} vg_histogram;

extern const vg_histogram_shape vg_shape_ttft, vg_shape_per_token, vg_shape_request,
    vg_shape_tokens;

void vg_histogram_observe(vg_histogram *h, double v); /* what is no number does not count */
/* The value that a share q of all observations is not above, linear within a bucket; 0 where there
 * are none; the last bound where it lies above that. */
double vg_histogram_quantile(const vg_histogram *h, double q);
/* What was observed since `then` was a copy of `now`. */
vg_histogram vg_histogram_since(const vg_histogram *now, const vg_histogram *then);

/* ---- what is counted ------------------------------------------------------------------------- */

enum { VG_METRICS_ROUTES = 96, VG_METRICS_SERIES = 24 };

typedef struct vg_metrics_route {
    char method[12], route[64];
    int code;
    vg_histogram seconds;
} vg_metrics_route;

typedef struct vg_metrics_series {
    char model[128], operation[24];
    vg_histogram ttft, per_token, request, input, output;
} vg_metrics_series;

typedef struct vg_metrics {
    vg_metrics_route route[VG_METRICS_ROUTES];
    size_t n_routes;
    vg_metrics_series series[VG_METRICS_SERIES];
    size_t n_series;
    vg_histogram ttft; /* of all models */
    uint64_t n_requests, n_errors, n_rejected; /* HTTP: all; 5xx; 429 and 503 */
    uint64_t n_answers, n_failed, n_cancelled;
    uint64_t prompt_tok, reused_tok, answer_tok;
    double prompt_s, answer_s;
} vg_metrics;

/* One answer that ended. */
typedef struct vg_metrics_answer {
    vg_str model;
    const char *operation; /* "chat", "text_completion", "embeddings" */
    double ttft_s;         /* request to first token; below 0: there was none */
    double prompt_s, answer_s, total_s;
    size_t n_prompt, n_reused, n_tok;
    bool failed, cancelled;
} vg_metrics_answer;

void vg_metrics_init(vg_metrics *m);
/* `route`: the server's name for it ("/v1/models/"), not what the client asked for. */
void vg_metrics_count_http(vg_metrics *m, const char *method, const char *route, int code,
                           double seconds);
void vg_metrics_count_answer(vg_metrics *m, const vg_metrics_answer *a);

/* ---- what is so now -------------------------------------------------------------------------- */

typedef struct vg_metrics_engine {
    vg_str model;
    const char *state; /* "ready" */
    uint64_t memory_bytes;
    uint32_t ctx_tok;
    vg_sched_stats stats; /* zero where it is not loaded */
} vg_metrics_engine;

typedef struct vg_metrics_now {
    double time_s; /* since 1970 */
    const vg_metrics_engine *engine;
    size_t n_engines;
    uint64_t n_loads, n_load_failures, n_evicted; /* of models */
    uint64_t memory_bytes, memory_budget_bytes;
    size_t n_connections;
    vg_os_process process;
} vg_metrics_now;

/* The text format 0.0.4: "text/plain; version=0.0.4; charset=utf-8". */
void vg_metrics_put(const vg_metrics *m, const vg_metrics_now *now, vg_buf *out);
#endif
