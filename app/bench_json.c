/* Prints the results of `verge bench` as one JSON object, for scripts that compare machines
 * and versions: keys are only ever added, speeds are tokens a second, times milliseconds, shares 0
 * to 1. What was not measured is null. */
#include <math.h>
#include <stdio.h>

#include "app/bench.h"
#include "app/cli.h"
#include "app/json_print.h"

enum { JSON_CAP_BYTES = 4 << 20 };

/* To four digits after the point: less than the spread of any run. */
static void put_number(vg_buf *b, const char *key, double v)
{
    vg_json_round(b, key, v, 4);
}

static void put_known(vg_buf *b, const char *key, bool known, double v)
{
    put_number(b, key, known ? v : (double)NAN); /* which JSON has not: null */
}

static void put_limits(vg_buf *b, const bench_limit_list *l)
{
    vg_json_begin(b, "limits", '[');
    for (size_t i = 0; i < l->n; i++) {
        vg_json_begin(b, NULL, '{');
        vg_json_count(b, "threads", l->at[i].threads);
        put_number(b, "read_gb_per_s", l->at[i].read_gbs);
        put_number(b, "int8_gop_per_s", l->at[i].int8_gops);
        put_number(b, "fp32_gflop_per_s", l->at[i].fp32_gops);
        vg_json_end(b, '}');
    }
    vg_json_end(b, ']');
}

static void put_model(vg_buf *b, const bench *r)
{
    vg_json_begin(b, "model", '{');
    vg_json_text(b, "path", r->opts->model);
    vg_json_text(b, "name", r->name);
    vg_json_text(b, "family", r->arch);
    vg_json_count(b, "file_bytes", r->info.file_bytes);
    vg_json_count(b, "weights", r->info.n_params);
    vg_json_end(b, '}');
}

static void put_load(vg_buf *b, const bench_loads *l)
{
    bool cold = l->cold_asked && l->cold_done, warm = l->n_warm > 0;
    vg_json_begin(b, "load", '{');
    put_known(b, "cold_ms", cold, l->cold_ms);
    put_known(b, "cold_first_token_ms", cold, l->cold_first_ms);
    put_known(b, "cold_share_cached", l->cold_asked, l->cached_share);
    put_known(b, "warm_ms", warm, l->warm_ms);
    put_known(b, "warm_first_token_ms", warm, l->warm_first_ms);
    put_known(b, "read_file_ms", l->read_ms >= 0, l->read_ms);
    vg_json_end(b, '}');
}

static void put_memory(vg_buf *b, const bench *r)
{
    const vg_plan *p = &r->plan;
    vg_json_begin(b, "memory", '{');
    vg_json_count(b, "peak_bytes", r->peak_bytes);
    vg_json_count(b, "planned_bytes", p->total_bytes + CLI_PROGRAM_BYTES);
    vg_json_count(b, "mapped_bytes", p->mapped_bytes);
    vg_json_count(b, "repacked_bytes", p->repacked_bytes);
    vg_json_count(b, "kv_bytes", p->kv_bytes);
    vg_json_count(b, "scratch_bytes", p->scratch_bytes);
    vg_json_count(b, "vocab_bytes", p->vocab_bytes);
    vg_json_count(b, "program_bytes", CLI_PROGRAM_BYTES);
    vg_json_end(b, '}');
}

static void put_row(vg_buf *b, const bench_row *r)
{
    bool prefill = r->kind == BENCH_PREFILL;
    vg_json_begin(b, NULL, '{');
    vg_json_text(b, "work", prefill ? "prefill" : "decode");
    vg_json_count(b, "tokens", r->tokens);
    vg_json_count(b, "depth", r->depth);
    vg_json_count(b, "batch", r->batch);
    vg_json_count(b, "runs", r->runs);
    put_number(b, "tokens_per_s", r->speed.median);
    put_number(b, "tokens_per_s_min", r->speed.min);
    put_number(b, "tokens_per_s_max", r->speed.max);
    put_known(b, "first_token_ms", prefill, r->first_ms);
    put_known(b, "step_ms_p50", !prefill, r->p50);
    put_known(b, "step_ms_p95", !prefill, r->p95);
    put_known(b, "step_ms_p99", !prefill, r->p99);
    put_known(b, "joules_per_token", r->joules_per_token >= 0, r->joules_per_token);
    put_number(b, "limit_bytes", r->cost.bytes);
    put_number(b, "limit_int8_ops", r->cost.int8_ops);
    put_number(b, "limit_fp32_ops", r->cost.fp32_ops);
    put_known(b, "share_of_limit", r->share >= 0, r->share);
    vg_json_text(b, "limit", r->bound);
    vg_json_end(b, '}');
}

static void put_results(vg_buf *b, const bench *r)
{
    vg_json_begin(b, "results", '[');
    for (size_t i = 0; i < r->n_rows; i++) put_row(b, &r->row[i]);
    vg_json_end(b, ']');
}

vg_status bench_print_json(const bench *r, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "version", vg_version());
    if (!r->opts->limits) {
        put_model(&b, r);
        vg_json_text(&b, "isa", r->isa);
        vg_json_count(&b, "threads", r->threads);
        vg_json_text(&b, "kv", cli_kv_word(r->plan.kv));
        put_load(&b, &r->load);
        put_memory(&b, r);
        put_results(&b, r);
        vg_json_bool(&b, "energy_measured", r->power.n > 0);
        vg_json_bool(&b, "cancelled", r->cancelled);
    } else {
        vg_json_text(&b, "isa", r->limits.isa);
    }
    put_limits(&b, &r->limits);
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
