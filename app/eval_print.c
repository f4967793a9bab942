/* Prints what `verge eval` found: a block for each model for people, one JSON object for scripts,
 * of which keys are only ever added. Errors are standard errors of the mean, intervals hold with
 * 95% confidence, logarithms are natural. */
#include <math.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/eval.h"
#include "app/json_print.h"

enum { JSON_CAP_BYTES = 4 << 20 };

/* ---- for people ----------------------------------------------------------------------------- */

static double share_error(size_t k, size_t n)
{
    double share = (double)k / (double)n;
    return n > 1 ? sqrt(share * (1 - share) / (double)(n - 1)) : 0;
}

static void print_text_scores(const eval *ev, const eval_score *s)
{
    printf("  perplexity   %.4f +/- %.4f  (%zu tokens in %zu chunks of %lld)\n",
           eval_perplexity(&s->nll), eval_perplexity_error(&s->nll), s->nll.n, ev->n_chunks,
           (long long)ev->opts->ctx);
    printf("  nats/token   %.5f +/- %.5f\n", eval_mean(&s->nll), eval_error(&s->nll));
    if (s->kl.n) {
        printf("  reference    perplexity %.4f, nats/token higher by %+.5f +/- %.5f, 99%% of tokens"
               " within %.4f\n", eval_perplexity(&s->nll_reference), eval_mean(&s->delta),
               eval_error(&s->delta), s->delta_p99);
        printf("  KL           mean %.6f +/- %.6f, median %.6f, 99%% %.5f, max %.4f\n",
               eval_mean(&s->kl), eval_error(&s->kl), s->kl_median, s->kl_p99, s->kl_max);
        printf("  same best    %.3f%% +/- %.3f%%\n",
               100 * (double)s->n_same_top / (double)s->kl.n,
               100 * share_error(s->n_same_top, s->kl.n));
    }
    printf("  speed        %.1f tokens/s, %.1f s\n", (double)s->n_tok / s->seconds, s->seconds);
}

static void print_share(const char *name, size_t k, size_t n)
{
    eval_interval at = eval_wilson(k, n);
    printf("  %-12s %.2f%% of %zu, between %.2f%% and %.2f%% with 95%% confidence\n", name,
           100 * (double)k / (double)n, n, 100 * at.low, 100 * at.high);
}

static void print_choices(const eval_score *s)
{
    print_share("right", s->n_right, s->n_questions);
    print_share("by length", s->n_right_by_length, s->n_questions);
}

void eval_print_text(const eval *ev)
{
    char size[32], peak[32];
    for (size_t i = 0; i < ev->n_scores; i++) {
        const eval_score *s = &ev->score[i];
        cli_print_clean(s->path, strlen(s->path));
        printf("\n  model        ");
        cli_print_clean(s->name, strlen(s->name));
        printf(", %s, %.2f bits a weight\n", cli_bytes(s->file_bytes, size),
               8 * (double)s->file_bytes / (double)s->n_params);
        if (s->nll.n) print_text_scores(ev, s);
        if (s->n_questions) print_choices(s);
        printf("  memory       peak %s\n", cli_bytes(s->peak_bytes, peak));
    }
}

/* ---- for machines --------------------------------------------------------------------------- */

static void put_mean(vg_buf *b, const char *key, const eval_sum *s)
{
    vg_json_begin(b, key, '{');
    vg_json_real(b, "mean", eval_mean(s));
    vg_json_real(b, "error", eval_error(s));
}

static void put_reference(vg_buf *b, const eval_score *s)
{
    vg_json_real(b, "reference_perplexity", eval_perplexity(&s->nll_reference));
    put_mean(b, "kl", &s->kl);
    vg_json_real(b, "median", s->kl_median);
    vg_json_real(b, "p99", s->kl_p99);
    vg_json_real(b, "max", s->kl_max);
    vg_json_end(b, '}');
    put_mean(b, "delta_nats", &s->delta);
    vg_json_real(b, "p99", s->delta_p99);
    vg_json_end(b, '}');
    vg_json_real(b, "same_top", (double)s->n_same_top / (double)s->kl.n);
    vg_json_real(b, "same_top_error", share_error(s->n_same_top, s->kl.n));
}

static void put_share(vg_buf *b, const char *key, size_t k, size_t n)
{
    eval_interval at = eval_wilson(k, n);
    vg_json_begin(b, key, '{');
    vg_json_real(b, "share", (double)k / (double)n);
    vg_json_real(b, "low", at.low);
    vg_json_real(b, "high", at.high);
    vg_json_end(b, '}');
}

static void put_choices(vg_buf *b, const eval_score *s)
{
    vg_json_count(b, "questions", s->n_questions);
    put_share(b, "right", s->n_right, s->n_questions);
    put_share(b, "right_by_length", s->n_right_by_length, s->n_questions);
}

static void put_score(vg_buf *b, const eval_score *s)
{
    vg_json_begin(b, NULL, '{');
    vg_json_text(b, "path", s->path);
    vg_json_text(b, "name", s->name);
    vg_json_count(b, "file_bytes", s->file_bytes);
    vg_json_count(b, "weights", s->n_params);
    if (s->nll.n) {
        vg_json_real(b, "perplexity", eval_perplexity(&s->nll));
        vg_json_real(b, "perplexity_error", eval_perplexity_error(&s->nll));
        put_mean(b, "nats", &s->nll);
        vg_json_end(b, '}');
        vg_json_real(b, "tokens_per_s", (double)s->n_tok / s->seconds);
        vg_json_real(b, "seconds", s->seconds);
    }
    if (s->kl.n) put_reference(b, s);
    if (s->n_questions) put_choices(b, s);
    vg_json_count(b, "peak_bytes", s->peak_bytes);
    vg_json_end(b, '}');
}

vg_status eval_print_json(const eval *ev, vg_err *err)
{
    const eval_opts *o = ev->opts;
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "version", vg_version());
    if (o->text) {
        vg_json_begin(&b, "text", '{');
        vg_json_text(&b, "path", o->text);
        vg_json_count(&b, "ctx", (uint64_t)o->ctx);
        vg_json_count(&b, "stride", (uint64_t)o->stride);
        vg_json_count(&b, "chunks", ev->n_chunks);
        vg_json_count(&b, "scored", ev->n_scored);
        vg_json_text(&b, "reference", o->reference ? o->reference : o->reference_file);
        vg_json_end(&b, '}');
    }
    vg_json_text(&b, "choices", o->choices);
    vg_json_text(&b, "kv", o->kv);
    vg_json_begin(&b, "models", '[');
    for (size_t i = 0; i < ev->n_scores; i++) put_score(&b, &ev->score[i]);
    vg_json_end(&b, ']');
    vg_json_bool(&b, "cancelled", ev->cancelled);
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
