/* bench.h: what `verge bench` measures, and the parts that measure and print it.
 *
 *     bench b = {.opts = &opts};
 *     VG_TRY(bench_measure(&b, err));
 *     VG_TRY(bench_limits(&b.limits, b.threads, true, &opts, err));
 *     bench_judge(&b);
 *     bench_print_text(&b);
 *     bench_end(&b);
 */
#ifndef VG_BENCH_H
#define VG_BENCH_H

#include "app/interrupt.h"
#include "app/progress.h"
#include "verge.h"

enum { BENCH_LIST_MAX = 16, BENCH_ROWS_MAX = 64, BENCH_REPEAT_MAX = 100, BENCH_THREADS_MAX = 256 };

typedef struct bench_list {
    uint32_t v[BENCH_LIST_MAX];
    size_t n;
} bench_list;

typedef struct bench_opts {
    const char *model, *prefill_text, *depth_text, *batch_text, *kv, *isa, *plot, *power;
    int64_t decode, threads, repeat;
    bool cold, no_repack, pin, limits, no_limits, json;
    bench_list prefill, depth, batch; /* read from the texts */
} bench_opts;

/* ---- numbers ------------------------------------------------------------------------------- */

/* Sorts x in place. */
void bench_sort(double *x, size_t n);
/* The smallest number of sorted x[0..n) that at least `share` of all do not pass (nearest rank);
 * NaN where n is 0. */
double bench_percentile(const double *x, size_t n, double share);

typedef struct bench_spread {
    double median, min, max;
} bench_spread;
bench_spread bench_spread_of(double *x, size_t n); /* sorts x */

/* ---- energy --------------------------------------------------------------------------------- */

enum { BENCH_COUNTERS_MAX = 16 };

/* The energy counters of the processor's packages, of Linux's powercap. None: n is 0. */
typedef struct bench_power {
    char path[BENCH_COUNTERS_MAX][512];
    uint64_t range_uj[BENCH_COUNTERS_MAX]; /* where a counter begins anew */
    size_t n;
} bench_power;

typedef struct bench_energy {
    uint64_t uj[BENCH_COUNTERS_MAX];
    bool known;
} bench_energy;

void bench_power_find(bench_power *p, const char *root); /* "/sys/class/powercap" */
bench_energy bench_power_read(const bench_power *p);
/* Joules between two readings less than a round of the counter apart; negative: not known. */
double bench_power_joules(const bench_power *p, const bench_energy *from, const bench_energy *to);

/* ---- limits of the machine ------------------------------------------------------------------ */

typedef struct bench_limit { /* with so many threads */
    uint32_t threads;
    double read_gbs;   /* 1e9 bytes read a second, of a buffer that no cache holds */
    double int8_gops;  /* 1e9 8-bit multiplies and adds a second: a multiply-add counts two */
    double fp32_gops;  /* the same in single precision */
} bench_limit;

typedef struct bench_limit_list {
    bench_limit at[BENCH_THREADS_MAX];
    size_t n;
    uint64_t buffer_bytes;
    const char *isa;
} bench_limit_list;

/* Measures with `threads` threads, or with `all` at 1..threads (past 8 at powers of two). */
VG_NODISCARD vg_status bench_limits(bench_limit_list *out, uint32_t threads, bool all,
                                    const bench_opts *o, vg_err *err);

/* ---- results -------------------------------------------------------------------------------- */

/* What one run must at least read and compute. */
typedef struct bench_cost {
    double bytes, int8_ops, fp32_ops;
} bench_cost;

typedef enum bench_kind { BENCH_PREFILL, BENCH_DECODE } bench_kind;

typedef struct bench_row {
    bench_kind kind;
    uint32_t tokens; /* of a prompt; decoded by each session */
    uint32_t depth, batch;
    size_t runs;
    bench_spread speed;      /* tokens a second, of all sessions together */
    double first_ms;         /* prefill: to the first token, median of the runs */
    double p50, p95, p99;    /* decode: ms of a step, of all steps of all runs */
    double joules_per_token; /* negative: not measured */
    bench_cost cost;         /* of a run */
    double share;            /* of the limit; negative: not known */
    const char *bound;       /* which limit that is: "memory", "int8", "fp32" */
} bench_row;

typedef struct bench_loads {
    bool cold_asked, cold_done; /* cold_done: the file was in no cache */
    double cached_share;        /* of the file, when it was to be cold */
    double cold_ms, cold_first_ms;
    size_t n_warm;
    double warm_ms, warm_first_ms; /* medians: until the engine stands; until the first token */
    double read_ms;                /* median: to read the file through; negative: unknown */
} bench_loads;

typedef struct bench {
    const bench_opts *opts;
    interrupt *it; /* NULL: none */
    progress line;
    bool cancelled;
    vg_model *model;
    vg_engine *engine;
    vg_session **session; /* [most sessions of a batch] */
    vg_tokens ids;        /* of the prompts */
    double *step_ms;      /* of a row's steps */
    size_t n_sessions;
    vg_model_info info;
    char name[256], arch[32];
    vg_plan plan;
    uint64_t peak_bytes;
    const char *isa;
    uint32_t threads;
    bench_power power;
    bench_loads load;
    bench_row row[BENCH_ROWS_MAX];
    size_t n_rows;
    bench_limit_list limits; /* n 0: not measured */
} bench;

/* Loads, prefills and decodes as the options say; rows that were measured stay when it fails or is
 * cancelled. The model is closed again at the end. */
VG_NODISCARD vg_status bench_measure(bench *b, vg_err *err);
void bench_end(bench *b);
/* Opens model, engine and sessions, and gives the times (bench_load.c). */
VG_NODISCARD vg_status bench_load(bench *b, vg_err *err);
void bench_close(bench *b);
bool bench_stop(bench *b); /* true when a signal says so; sets cancelled */
/* What is measured, and how often it was, of how often. */
void bench_progress(bench *b, size_t done, size_t total, const char *fmt, ...) VG_PRINTF(4, 5);

/* What a prompt of n tokens, or a step of `batch` sessions at `depth`, must read and compute. */
bench_cost bench_cost_prefill(const bench *b, uint32_t n);
bench_cost bench_cost_step(const bench *b, uint32_t depth, uint32_t batch);
/* Puts every result in relation to the limit that b->limits gives for b->threads. */
void bench_judge(bench *b);

/* ---- printing ------------------------------------------------------------------------------- */

void bench_print_text(const bench *b);
void bench_print_limits(const bench_limit_list *l);
VG_NODISCARD vg_status bench_print_json(const bench *b, vg_err *err);
VG_NODISCARD vg_status bench_plot(const bench *b, const char *path, vg_err *err);
#endif
