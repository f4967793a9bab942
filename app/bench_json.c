/* Prints the results of `verge bench` as one JSON object, for scripts that compare machines
 * and versions: keys are only ever added, speeds are tokens a second, times milliseconds, shares 0
 * to 1. What was not measured is null. */
#include <math.h>
#include <stdio.h>

#include "app/bench.h"
#include "base/json.h"

enum { JSON_CAP_BYTES = 4 << 20 };

static void put_key(vg_buf *b, const char *key)
{
    char last = b->n ? b->data[b->n - 1] : '{';
    if (last != '{' && last != '[') vg_buf_text(b, ", ");
    vg_json_put_str(b, vg_str_from(key));
    vg_buf_text(b, ": ");
}

/* To four digits after the point: less than the spread of any run. */
static void put_number(vg_buf *b, const char *key, double v)
{
    put_key(b, key);
    vg_json_put_number(b, floor(v * 1e4 + 0.5) / 1e4);
}

static void put_known(vg_buf *b, const char *key, bool known, double v)
{
    put_number(b, key, known ? v : (double)NAN); /* which JSON has not: null */
}

static void put_bytes(vg_buf *b, const char *key, uint64_t v)
{
    put_key(b, key);
    vg_buf_fmt(b, "%llu", (unsigned long long)v);
}

static void put_text(vg_buf *b, const char *key, const char *v)
{
    put_key(b, key);
    if (v) vg_json_put_str(b, vg_str_from(v));
    else vg_buf_text(b, "null");
}

static void put_bool(vg_buf *b, const char *key, bool v)
{
    put_key(b, key);
    vg_buf_text(b, v ? "true" : "false");
}

static void begin_object(vg_buf *b, const char *key)
{
    put_key(b, key);
    vg_buf_char(b, '{');
}

static void put_limits(vg_buf *b, const bench_limit_list *l)
{
    put_key(b, "limits");
    vg_buf_char(b, '[');
    for (size_t i = 0; i < l->n; i++) {
        vg_buf_text(b, i ? ", {" : "{");
        put_bytes(b, "threads", l->at[i].threads);
        put_number(b, "read_gb_per_s", l->at[i].read_gbs);
        put_number(b, "int8_gop_per_s", l->at[i].int8_gops);
        put_number(b, "fp32_gflop_per_s", l->at[i].fp32_gops);
        vg_buf_char(b, '}');
    }
    vg_buf_char(b, ']');
}

static void put_model(vg_buf *b, const bench *r)
{
    begin_object(b, "model");
    put_text(b, "path", r->opts->model);
    put_text(b, "name", r->name);
    put_text(b, "family", r->arch);
    put_bytes(b, "file_bytes", r->info.file_bytes);
    put_bytes(b, "weights", r->info.n_params);
    vg_buf_char(b, '}');
}

static void put_load(vg_buf *b, const bench_loads *l)
{
    bool cold = l->cold_asked && l->cold_done, warm = l->n_warm > 0;
    begin_object(b, "load");
    put_known(b, "cold_ms", cold, l->cold_ms);
    put_known(b, "cold_first_token_ms", cold, l->cold_first_ms);
    put_known(b, "cold_share_cached", l->cold_asked, l->cached_share);
    put_known(b, "warm_ms", warm, l->warm_ms);
    put_known(b, "warm_first_token_ms", warm, l->warm_first_ms);
    put_known(b, "read_file_ms", l->read_ms >= 0, l->read_ms);
    vg_buf_char(b, '}');
}

static void put_memory(vg_buf *b, const bench *r)
{
    const vg_plan *p = &r->plan;
    begin_object(b, "memory");
    put_bytes(b, "peak_bytes", r->peak_bytes);
    put_bytes(b, "planned_bytes", p->total_bytes);
    put_bytes(b, "mapped_bytes", p->mapped_bytes);
    put_bytes(b, "repacked_bytes", p->repacked_bytes);
    put_bytes(b, "kv_bytes", p->kv_bytes);
    put_bytes(b, "scratch_bytes", p->scratch_bytes);
    put_bytes(b, "vocab_bytes", p->vocab_bytes);
    vg_buf_char(b, '}');
}

static void put_row(vg_buf *b, const bench_row *r)
{
    bool prefill = r->kind == BENCH_PREFILL;
    vg_buf_char(b, '{');
    put_text(b, "work", prefill ? "prefill" : "decode");
    put_bytes(b, "tokens", r->tokens);
    put_bytes(b, "depth", r->depth);
    put_bytes(b, "batch", r->batch);
    put_bytes(b, "runs", r->runs);
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
    put_text(b, "limit", r->bound);
    vg_buf_char(b, '}');
}

static void put_results(vg_buf *b, const bench *r)
{
    put_key(b, "results");
    vg_buf_char(b, '[');
    for (size_t i = 0; i < r->n_rows; i++) {
        if (i) vg_buf_text(b, ", ");
        put_row(b, &r->row[i]);
    }
    vg_buf_char(b, ']');
}

vg_status bench_print_json(const bench *r, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_buf_char(&b, '{');
    put_text(&b, "version", vg_version());
    if (!r->opts->limits) {
        put_model(&b, r);
        put_text(&b, "isa", r->isa);
        put_bytes(&b, "threads", r->threads);
        put_text(&b, "kv", r->opts->kv);
        put_load(&b, &r->load);
        put_memory(&b, r);
        put_results(&b, r);
        put_bool(&b, "energy_measured", r->power.n > 0);
        put_bool(&b, "cancelled", r->cancelled);
    } else {
        put_text(&b, "isa", r->limits.isa);
    }
    put_limits(&b, &r->limits);
    vg_buf_text(&b, "}\n");
    vg_status st = vg_buf_check(&b, "the results", err);
    if (!st) fwrite(b.data, 1, b.n, stdout);
    vg_buf_clear(&b);
    return st;
}
