/* eval.h: what `verge eval` finds out about models, and the parts that find and print it.
 *
 *     eval ev = {.opts = &opts};
 *     eval_model m;
 *     VG_TRY(eval_model_open(&m, &ev, "model.gguf", err));
 *     VG_TRY(eval_text_load(&text, &m, &opts, err));
 *     VG_TRY(eval_model_start(&m, text.ctx_tok, err));
 *     VG_TRY(eval_text_run(&(eval_run){.ev = &ev, .model = &m, .text = &text}, &score, err));
 *     eval_model_close(&m);
 */
#ifndef VG_EVAL_H
#define VG_EVAL_H

#include <stdio.h>

#include "app/interrupt.h"
#include "app/progress.h"
#include "base/os.h"

enum { EVAL_MODELS_MAX = 64, EVAL_LOGIT_ROWS = 32 };

typedef struct eval_opts {
    const char *text, *choices, *reference, *save, *reference_file, *plot, *kv, *isa;
    int64_t ctx, chunks, stride, threads;
    bool no_repack, json;
} eval_opts;

/* ---- arithmetic (eval_stats.c) -------------------------------------------------------------- */

/* Numbers of which the mean is wanted. */
typedef struct eval_sum {
    double sum, sum_sq;
    size_t n;
} eval_sum;

void eval_add(eval_sum *s, double x);
double eval_mean(const eval_sum *s);  /* NaN of none */
double eval_error(const eval_sum *s); /* standard error of the mean; NaN of fewer than two */

/* What a row of logits says: log p[i] = logit[i] - max - log_sum. */
typedef struct eval_row {
    const float *logit;
    float max;
    double log_sum;
    uint32_t top; /* the first of the largest */
} eval_row;

eval_row eval_row_of(const float *logit, size_t n);
double eval_nll(const eval_row *r, int32_t id); /* -log p[id] */
/* Sum over i of p log(p/q) - p + q, which is the Kullback-Leibler divergence of q from p where both
 * add up to 1. Each term is at least 0, and rounding of a stored p counts only in its square. */
double eval_kl(const eval_row *p, const eval_row *q, size_t n);

/* Of sorted x[0..n), between the two nearest where the share falls between; NaN of none. */
double eval_quantile(const float *x, size_t n, double share);
void eval_sort(float *x, size_t n);

/* The Wilson interval: where the share of n trials that gave k lies with 95% confidence. */
typedef struct eval_interval {
    double low, high;
} eval_interval;
eval_interval eval_wilson(size_t k, size_t n);

/* ---- results -------------------------------------------------------------------------------- */

typedef struct eval_score {
    const char *path;
    char name[256];
    uint64_t file_bytes, n_params;
    /* of the text */
    eval_sum nll; /* nats a token */
    eval_sum nll_reference, delta, kl; /* delta: nll minus that of the reference; n 0: none */
    size_t n_same_top;
    double kl_median, kl_p99, kl_max, delta_p99;
    size_t n_tok; /* computed */
    double seconds;
    uint64_t peak_bytes;
    /* of the questions */
    size_t n_questions, n_right, n_right_by_length;
} eval_score;

double eval_perplexity(const eval_sum *nll);
double eval_perplexity_error(const eval_sum *nll);

typedef struct eval {
    const eval_opts *opts;
    interrupt *it; /* NULL: none */
    progress line;
    bool cancelled;
    size_t n_models;
    eval_score score[EVAL_MODELS_MAX];
    size_t n_scores;
    size_t n_chunks, n_scored; /* of the text, for each model */
} eval;

/* CANCELLED when a signal says so. */
VG_NODISCARD vg_status eval_check(eval *ev, vg_err *err);
/* How far the model at hand is, and what came out until now. */
void eval_progress(eval *ev, size_t done, size_t total, const char *result);

/* ---- a model that runs ---------------------------------------------------------------------- */

typedef struct eval_model {
    eval *ev;
    vg_model *model;
    vg_engine *engine;
    vg_session *session;
    vg_model_info info;
} eval_model;

VG_NODISCARD vg_status eval_model_open(eval_model *m, eval *ev, const char *path, vg_err *err);
void eval_model_close(eval_model *m);
/* An engine for one session of so many tokens, with the options' threads, cache and kernels. */
VG_NODISCARD vg_status eval_model_start(eval_model *m, size_t ctx_tok, vg_err *err);
void eval_model_stop(eval_model *m);
/* Computes the first n tokens of id, those that the session has not yet. */
VG_NODISCARD vg_status eval_model_advance(eval_model *m, const int32_t *id, size_t n, vg_err *err);

/* ---- logits of a reference, kept in a file (eval_reference.c) ------------------------------- */

/* Written as the machine has its numbers (little-endian). Rows follow, each this and a uint16_t for
 * every token: logit = max - step * code. */
typedef struct eval_reference_head {
    char magic[8]; /* "VGLOGITS" */
    uint32_t version, n_vocab, ctx_tok, stride, n_chunks, reserved;
    uint64_t n_rows, token_hash;
} eval_reference_head;

typedef struct eval_reference_row {
    float max, step, log_sum;
    uint32_t top;
} eval_reference_row;

typedef struct eval_reference {
    eval_reference_head head;
    const char *path;
    vg_new_file out;
    FILE *in;
    uint16_t *code; /* [n_vocab] */
    float *logit;   /* [n_vocab] */
    uint64_t n_done;
} eval_reference;

VG_NODISCARD vg_status eval_reference_create(eval_reference *r, const char *path,
                                             const eval_reference_head *head, vg_err *err);
VG_NODISCARD vg_status eval_reference_put(eval_reference *r, const eval_row *row, vg_err *err);
VG_NODISCARD vg_status eval_reference_finish(eval_reference *r, vg_err *err);
/* FORMAT when the file is cut or of other content than `want` says. */
VG_NODISCARD vg_status eval_reference_open(eval_reference *r, const char *path,
                                           const eval_reference_head *want, vg_err *err);
VG_NODISCARD vg_status eval_reference_next(eval_reference *r, eval_row *row, vg_err *err);
void eval_reference_close(eval_reference *r); /* what was not finished does not appear */

/* ---- a text (eval_text.c) ------------------------------------------------------------------- */

typedef struct eval_text {
    vg_tokens tok;
    size_t ctx_tok, step_tok; /* of a chunk; from one to the next */
    size_t first; /* positions first .. ctx_tok - 2 of a chunk are scored */
    size_t n_chunks;
    int32_t bos;  /* in the place of each chunk's first token; -1: none */
    eval_reference_head head;
} eval_text;

VG_NODISCARD vg_status eval_text_load(eval_text *t, const eval_model *m, const eval_opts *o,
                                      vg_err *err);
void eval_text_clear(eval_text *t);

typedef struct eval_run {
    eval *ev;
    const eval_text *text;
    eval_model *model;
    eval_model *reference;     /* NULL: none, or */
    eval_reference *stored;    /* its logits; NULL: none */
    eval_reference *save;      /* where the model's logits go; NULL: nowhere */
} eval_run;

VG_NODISCARD vg_status eval_text_run(const eval_run *r, eval_score *out, vg_err *err);

/* ---- multiple choice (eval_choices.c) ------------------------------------------------------- */

typedef struct eval_choice {
    const int32_t *id; /* the question's tokens and the answer's */
    size_t n, n_common; /* the first n_common are given, the others scored */
    size_t n_bytes;    /* of the answer's text */
} eval_choice;

typedef struct eval_question {
    eval_choice *choice; /* [n] */
    size_t n, right;
} eval_question;

typedef struct eval_questions {
    vg_arena *arena;
    eval_question *question; /* [n] */
    size_t n, longest_tok;
} eval_questions;

VG_NODISCARD vg_status eval_questions_load(eval_questions *q, const eval_model *m,
                                           const char *path, vg_err *err);
void eval_questions_clear(eval_questions *q);
VG_NODISCARD vg_status eval_questions_run(eval_model *m, const eval_questions *q, eval_score *out,
                                          vg_err *err);

/* ---- printing ------------------------------------------------------------------------------- */

void eval_print_text(const eval *ev);
VG_NODISCARD vg_status eval_print_json(const eval *ev, vg_err *err);
VG_NODISCARD vg_status eval_plot(const eval *ev, const char *path, vg_err *err);
#endif
