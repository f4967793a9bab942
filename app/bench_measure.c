/* Measures the rows of `verge bench`: prompts of given lengths, then decoding for each depth and
 * batch. Tokens are drawn by a fixed rule, since speed does not depend on them; answers are sampled
 * greedily, as part of the step that a user waits for. Building up a depth is not timed, and done
 * once for all batches and repetitions at it: a session goes back to it by dropping what came
 * after. A signal ends the measuring between two steps. */
#include <math.h>
#include <stdio.h>

#include "app/bench.h"
#include "base/os.h"

enum { WARM_UP_TOK = 16 };

bool bench_stop(bench *b)
{
    b->cancelled |= b->it && interrupt_stops(b->it);
    return b->cancelled;
}

void bench_progress(bench *b, size_t done, size_t total, const char *fmt, ...)
{
    char stage[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(stage, sizeof stage, fmt, ap);
    va_end(ap);
    progress_show(&b->line, &(progress_now){.stage = stage, .done = done, .total = total,
                                            .seldom = true});
}

/* ---- prompts -------------------------------------------------------------------------------- */

/* Prompts of n tokens for each session, which differ from the first token on. */
static vg_status make_prompts(bench *b, size_t n, vg_err *err)
{
    size_t all;
    if (!vg_mul(n, b->n_sessions, &all) || !(b->ids.id = vg_mem_new(all * sizeof *b->ids.id + 1)))
        return VG_FAIL_MEMORY(err, n);
    b->ids.n = n;
    uint32_t r = 1;
    for (size_t i = 0; i < all; i++) {
        r = r * 1664525 + 1013904223; /* Numerical Recipes' generator: its high bits will do */
        b->ids.id[i] = (int32_t)((uint64_t)r * b->info.n_vocab >> 32);
    }
    return VG_OK;
}

/* The session's first n tokens, computed; those that were stay. */
static vg_status build(bench *b, size_t session, size_t n, vg_err *err)
{
    vg_session *s = b->session[session];
    VG_TRY(vg_session_sync(s, b->ids.id + session * b->ids.n, n, NULL, err));
    while (vg_session_pending(s) && !bench_stop(b))
        VG_TRY(vg_engine_step(b->engine, &s, 1, err));
    return VG_OK;
}

static vg_status forget(bench *b, vg_err *err)
{
    for (size_t i = 0; i < b->n_sessions; i++)
        VG_TRY(vg_session_sync(b->session[i], NULL, 0, NULL, err));
    return VG_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The energy of a row's runs. */
typedef struct meter {
    double joules;
    bench_energy begin;
} meter;

static void meter_begin(bench *b, meter *m)
{
    m->begin = bench_power_read(&b->power);
}

static void meter_end(bench *b, meter *m)
{
    bench_energy end = bench_power_read(&b->power);
    double joules = bench_power_joules(&b->power, &m->begin, &end);
    m->joules = joules < 0 || m->joules < 0 ? -1 : m->joules + joules;
}

static bench_row *next_row(bench *b)
{
    return b->n_rows < BENCH_ROWS_MAX ? &b->row[b->n_rows] : NULL;
}

static vg_status measure_prefill(bench *b, uint32_t n_tok, vg_err *err)
{
    bench_row *row = next_row(b);
    double speed[BENCH_REPEAT_MAX], first[BENCH_REPEAT_MAX];
    vg_session *s = b->session[0];
    meter m = {0};
    if (!row) return VG_OK;
    *row = (bench_row){.kind = BENCH_PREFILL, .tokens = n_tok, .batch = 1, .share = -1};
    for (; row->runs < (size_t)b->opts->repeat; row->runs++) {
        bench_progress(b, row->runs, (size_t)b->opts->repeat, "prefill of %u", n_tok);
        VG_TRY(forget(b, err));
        meter_begin(b, &m);
        uint64_t begin = vg_os_now_ns();
        VG_TRY(build(b, 0, n_tok, err));
        uint64_t done = vg_os_now_ns();
        if (bench_stop(b)) break;
        int32_t id;
        VG_TRY(vg_session_sample(s, &id, err));
        first[row->runs] = (double)(vg_os_now_ns() - begin) * 1e-6;
        meter_end(b, &m);
        speed[row->runs] = n_tok / ((double)(done - begin) * 1e-9);
    }
    if (row->runs == 0) return VG_OK;
    row->cost = bench_cost_prefill(b, n_tok);
    row->speed = bench_spread_of(speed, row->runs);
    row->first_ms = bench_spread_of(first, row->runs).median;
    double tokens = (double)n_tok * (double)row->runs;
    row->joules_per_token = m.joules < 0 ? -1 : m.joules / tokens;
    b->n_rows++;
    return VG_OK;
}

/* One token of each session; its time goes to *ms. */
static vg_status decode_step(bench *b, uint32_t batch, double *ms, vg_err *err)
{
    uint64_t begin = vg_os_now_ns();
    for (uint32_t i = 0; i < batch; i++) {
        int32_t id;
        VG_TRY(vg_session_sample(b->session[i], &id, err));
    }
    VG_TRY(vg_engine_step(b->engine, b->session, batch, err));
    for (uint32_t i = 0; i < batch; i++) /* a batch that one step does not hold */
        while (vg_session_pending(b->session[i]))
            VG_TRY(vg_engine_step(b->engine, b->session, batch, err));
    *ms = (double)(vg_os_now_ns() - begin) * 1e-6;
    return VG_OK;
}

/* A run of a row, of up to row->tokens steps; *n_steps of all runs grows by those it made. */
static vg_status decode_run(bench *b, const bench_row *row, size_t *n_steps, vg_err *err)
{
    for (uint32_t i = 0; i < row->tokens && !bench_stop(b); i++)
        VG_TRY(decode_step(b, row->batch, &b->step_ms[(*n_steps)++], err));
    return VG_OK;
}

static vg_status measure_decode(bench *b, uint32_t depth, uint32_t batch, vg_err *err)
{
    bench_row *row = next_row(b);
    double speed[BENCH_REPEAT_MAX];
    size_t n_steps = 0;
    meter m = {0};
    if (!row) return VG_OK;
    *row = (bench_row){.kind = BENCH_DECODE, .tokens = (uint32_t)b->opts->decode, .depth = depth,
                       .batch = batch, .share = -1};
    for (; row->runs < (size_t)b->opts->repeat && !bench_stop(b); row->runs++) {
        size_t from = n_steps;
        double ms = 0;
        bench_progress(b, row->runs, (size_t)b->opts->repeat, "decode at depth %u, batch %u", depth,
                       batch);
        for (uint32_t i = 0; i < batch; i++) /* the first token follows at least one */
            VG_TRY(build(b, i, VG_MAX(depth, 1u), err));
        meter_begin(b, &m);
        VG_TRY(decode_run(b, row, &n_steps, err));
        meter_end(b, &m);
        if (n_steps == from) break;
        for (size_t i = from; i < n_steps; i++) ms += b->step_ms[i];
        speed[row->runs] = 1e3 * batch * (double)(n_steps - from) / ms;
    }
    if (row->runs == 0) return VG_OK;
    row->cost = bench_cost_step(b, depth + row->tokens / 2, batch);
    row->speed = bench_spread_of(speed, row->runs);
    bench_sort(b->step_ms, n_steps);
    row->p50 = bench_percentile(b->step_ms, n_steps, 0.5);
    row->p95 = bench_percentile(b->step_ms, n_steps, 0.95);
    row->p99 = bench_percentile(b->step_ms, n_steps, 0.99);
    double tokens = (double)n_steps * batch;
    row->joules_per_token = m.joules < 0 ? -1 : m.joules / tokens;
    b->n_rows++;
    return VG_OK;
}

/* ---- all of them ---------------------------------------------------------------------------- */

static vg_status prepare(bench *b, vg_err *err)
{
    const bench_opts *o = b->opts;
    size_t longest = WARM_UP_TOK, n_steps = (size_t)o->repeat * (size_t)o->decode;
    for (size_t i = 0; i < o->prefill.n; i++) longest = VG_MAX(longest, (size_t)o->prefill.v[i]);
    for (size_t i = 0; i < o->depth.n; i++) longest = VG_MAX(longest, (size_t)o->depth.v[i]);
    b->step_ms = vg_mem_new((n_steps + 1) * sizeof *b->step_ms);
    if (!b->step_ms) return VG_FAIL_MEMORY(err, n_steps * sizeof *b->step_ms);
    VG_TRY(make_prompts(b, longest, err));
    /* The first pages of the cache, and the threads, are touched before a clock runs. */
    return build(b, 0, VG_MIN((size_t)WARM_UP_TOK, (size_t)b->plan.ctx_tok - 1), err);
}

vg_status bench_measure(bench *b, vg_err *err)
{
    const bench_opts *o = b->opts;
    vg_status st = bench_load(b, err);
    if (!st) st = prepare(b, err);
    for (size_t i = 0; !st && i < o->prefill.n && !bench_stop(b); i++)
        st = measure_prefill(b, o->prefill.v[i], err);
    if (!st && b->engine) st = forget(b, err);
    for (size_t i = 0; !st && o->decode > 0 && i < o->depth.n; i++)
        for (size_t k = 0; !st && k < o->batch.n && !bench_stop(b); k++)
            st = measure_decode(b, o->depth.v[i], o->batch.v[k], err);
    b->peak_bytes = vg_os_peak_rss_bytes();
    progress_end(&b->line);
    return st;
}

void bench_end(bench *b)
{
    bench_close(b);
    vg_mem_free(b->ids.id);
    vg_mem_free(b->step_ms);
    b->ids.id = NULL;
    b->step_ms = NULL;
}
