/* Prints what `verge bench serve` measured: a table for people, one JSON object for scripts, whose
 * keys are only ever added. Times are milliseconds, rates are of a second; what was not measured is
 * "-", or null. */
#include <math.h>
#include <stdio.h>

#include "app/bench_serve.h"
#include "app/cli.h"
#include "app/json_print.h"

enum { JSON_CAP_BYTES = 4 << 20 };

static const double shares[3] = {0.5, 0.95, 0.99};

/* A time as wide as a column, with three digits that count. */
static void print_time(double v)
{
    if (isnan(v)) printf("      -");
    else printf(" %6.*f", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v);
}

static void print_times(const bench_hist *h, double unit)
{
    for (size_t i = 0; i < 3; i++) print_time(bench_hist_percentile(h, shares[i]) * unit);
    printf(" ");
}

static double per_s(const bench_level *l, uint64_t n)
{
    return l->seconds > 0 ? (double)n / l->seconds : 0;
}

static void print_levels(const bench_serve *b)
{
    bool open = b->level[0].rate > 0;
    printf("%7s%6s%7s%8s%7s  %-21s %-21s %s\n", open ? "request" : "", "", "", "tokens", "prompt",
           "first token, ms", "between tokens, ms", "end to end, s");
    printf("%7s%6s%7s%8s%7s ", open ? "/s" : "streams", "done", "errors", "/s", "too");
    for (int i = 0; i < 3; i++) printf(" %6s %6s %6s ", "p50", "p95", "p99");
    printf("\n");
    for (size_t i = 0; i < b->n_run; i++) {
        const bench_level *l = &b->level[i];
        if (open) printf("%7g", l->rate);
        else printf("%7u", l->streams);
        printf("%6llu%7llu%8.1f", (unsigned long long)l->n_done,
               (unsigned long long)bench_level_faults(l), per_s(l, l->generated_tok));
        if (l->prompt_tok) printf("%7.0f ", per_s(l, l->generated_tok + l->prompt_tok));
        else printf("%7s ", "-");
        print_times(&l->first, 1);
        print_times(&l->gap, 1);
        print_times(&l->whole, 1e-3);
        printf("\n");
    }
}

static void print_level_notes(const bench_level *l)
{
    char rss[32], pss[32], name[32];
    if (l->rate > 0) snprintf(name, sizeof name, "%g requests/s", l->rate);
    else snprintf(name, sizeof name, "%u stream%s", l->streams, l->streams == 1 ? "" : "s");
    uint64_t n_told = l->n_usage ? l->n_usage : 1;
    printf("%s: %.1f s; ", name, l->seconds);
    if (l->n_usage)
        printf("%.0f prompt tokens a request", (double)l->prompt_tok / (double)n_told);
    else printf("no usage is told: tokens are events");
    if (l->rate > 0) printf("; at most %u in flight", l->streams);
    if (l->n_cancelled) printf("; %llu cancelled", (unsigned long long)l->n_cancelled);
    if (l->peak_rss_bytes)
        printf("; server's memory %s resident, %s proportional", cli_bytes(l->peak_rss_bytes, rss),
               cli_bytes(l->peak_pss_bytes, pss));
    printf("; client %.2f s of processor\n", l->client_cpu_s);
    for (size_t i = 0; i < BENCH_N_FAULTS; i++) {
        if (l->n_faults[i] == 0) continue;
        printf("  %llu %s: ", (unsigned long long)l->n_faults[i], bench_fault_word[i]);
        cli_print_clean(l->fault[i], strlen(l->fault[i]));
        printf("\n");
    }
}

static const char *range_text(bench_range r, char out[32])
{
    if (r.min == r.max) snprintf(out, 32, "%u", r.min);
    else snprintf(out, 32, "%u to %u", r.min, r.max);
    return out;
}

void bench_serve_print(const bench_serve *b)
{
    const bench_serve_opts *o = b->opts;
    const bench_target *t = &b->target;
    char words[32], tokens[32];
    printf("Server  ");
    cli_print_clean(o->url, strlen(o->url));
    printf(", %s, model ", t->chat ? "chat" : "completions");
    cli_print_clean(t->model, strlen(t->model));
    if (*t->server) printf(" of ");
    cli_print_clean(t->server, strlen(t->server));
    printf("\nLoad    ");
    if (o->prompts) printf("%zu prompts of a file", b->load.n_lines);
    else printf("prompts of %s words", range_text(b->load.words, words));
    printf(", answers of %s tokens%s, seed %lld", range_text(b->load.tokens, tokens),
           t->ignore_eos ? "" : " at most", (long long)o->seed);
    if (o->shared) printf(", %lld words shared", (long long)o->shared);
    if (o->cancel > 0) printf(", %g%% cancelled", 100 * o->cancel);
    printf("\n\n");
    if (b->n_run) print_levels(b);
    if (b->n_run) printf("\n");
    for (size_t i = 0; i < b->n_run; i++) print_level_notes(&b->level[i]);
    if (b->n_idle_open)
        printf("%u idle connections, %u of them open at the end: %s of the server's memory\n",
               b->n_idle_open, b->n_idle_kept,
               o->pid ? cli_bytes(b->idle_bytes, words) : "not measured (--pid)");
    if (b->cancelled) printf("\nCancelled: what was measured until then.\n");
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void put_times(vg_buf *b, const char *key, const bench_hist *h)
{
    vg_json_begin(b, key, '{');
    vg_json_round(b, "p50", bench_hist_percentile(h, 0.5), 3);
    vg_json_round(b, "p95", bench_hist_percentile(h, 0.95), 3);
    vg_json_round(b, "p99", bench_hist_percentile(h, 0.99), 3);
    vg_json_round(b, "mean", bench_hist_mean(h), 3);
    vg_json_round(b, "max", h->n ? h->max : (double)NAN, 3);
    vg_json_count(b, "count", h->n);
    vg_json_end(b, '}');
}

static void put_faults(vg_buf *b, const bench_level *l)
{
    vg_json_count(b, "errors", bench_level_faults(l));
    vg_json_begin(b, "errors_by_kind", '{');
    for (size_t i = 0; i < BENCH_N_FAULTS; i++)
        if (l->n_faults[i]) vg_json_count(b, bench_fault_word[i], l->n_faults[i]);
    vg_json_end(b, '}');
    vg_json_begin(b, "first_error", '{');
    for (size_t i = 0; i < BENCH_N_FAULTS; i++)
        if (l->n_faults[i]) vg_json_text(b, bench_fault_word[i], l->fault[i]);
    vg_json_end(b, '}');
}

static void put_known(vg_buf *b, const char *key, bool known, double v)
{
    vg_json_round(b, key, known ? v : (double)NAN, 3);
}

static void put_level(vg_buf *b, const bench_level *l)
{
    vg_json_begin(b, NULL, '{');
    vg_json_count(b, "streams", l->streams);
    put_known(b, "requests_per_s", l->rate > 0, l->rate);
    vg_json_count(b, "requests", l->n_started);
    vg_json_count(b, "done", l->n_done);
    vg_json_count(b, "cancelled", l->n_cancelled);
    put_faults(b, l);
    vg_json_round(b, "seconds", l->seconds, 3);
    put_times(b, "first_token_ms", &l->first);
    put_times(b, "between_tokens_ms", &l->gap);
    put_times(b, "end_to_end_ms", &l->whole);
    vg_json_count(b, "generated_tokens", l->generated_tok);
    vg_json_count(b, "prompt_tokens", l->prompt_tok);
    vg_json_count(b, "usage_told", l->n_usage);
    vg_json_count(b, "events", l->n_events);
    vg_json_round(b, "generated_per_s", per_s(l, l->generated_tok), 3);
    put_known(b, "tokens_per_s", l->n_usage > 0, per_s(l, l->generated_tok + l->prompt_tok));
    put_known(b, "peak_rss_bytes", l->peak_rss_bytes > 0, (double)l->peak_rss_bytes);
    put_known(b, "peak_pss_bytes", l->peak_pss_bytes > 0, (double)l->peak_pss_bytes);
    vg_json_round(b, "client_cpu_s", l->client_cpu_s, 3);
    vg_json_end(b, '}');
}

vg_status bench_serve_json(const bench_serve *s, vg_err *err)
{
    const bench_serve_opts *o = s->opts;
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "version", vg_version());
    vg_json_text(&b, "name", o->name ? o->name : s->target.model);
    vg_json_text(&b, "url", o->url);
    vg_json_text(&b, "api", s->target.chat ? "chat" : "completions");
    vg_json_text(&b, "model", s->target.model);
    vg_json_bool(&b, "ignore_eos", s->target.ignore_eos);
    vg_json_int(&b, "seed", o->seed);
    vg_json_count(&b, "prompt_words_min", s->load.words.min);
    vg_json_count(&b, "prompt_words_max", s->load.words.max);
    vg_json_int(&b, "shared_words", o->shared);
    vg_json_count(&b, "answer_tokens_min", s->load.tokens.min);
    vg_json_count(&b, "answer_tokens_max", s->load.tokens.max);
    vg_json_round(&b, "cancel", o->cancel, 6);
    vg_json_begin(&b, "levels", '[');
    for (size_t i = 0; i < s->n_run; i++) put_level(&b, &s->level[i]);
    vg_json_end(&b, ']');
    vg_json_count(&b, "idle_connections", s->n_idle_open);
    vg_json_count(&b, "idle_connections_kept", s->n_idle_kept);
    put_known(&b, "idle_bytes", s->n_idle_open > 0 && o->pid, (double)s->idle_bytes);
    vg_json_bool(&b, "cancelled", s->cancelled);
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
