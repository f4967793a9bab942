/* Perplexity of a text, and the distance from a reference, chunk by chunk. The text is tokenised
 * once and cut into chunks of the context; a chunk begins with BOS where the model wants one, and
 * its second half is scored, so that each token that counts has half a context before it: the rule
 * of llama.cpp's perplexity tool, so that figures agree. With a stride, chunks begin that many
 * tokens apart, the text's own tokens first, and the last `stride` tokens of each are scored.
 *
 * Only EVAL_LOGIT_ROWS rows of logits are held. Where the reference runs beside the model, the two
 * go on in turns of so many positions. */
#include <math.h>

#include "app/cli.h"
#include "app/eval.h"

enum { TEXT_CAP_BYTES = 1 << 30 };

/* What the rows of a run are counted into. */
typedef struct scoring {
    const eval_run *r;
    eval_score *out;
    const int32_t *id;  /* [ctx_tok] of the chunk */
    size_t n_vocab;
    float *held;        /* [EVAL_LOGIT_ROWS, n_vocab] of the reference that runs beside */
    float *kl, *delta;  /* [n_scored] */
    vg_status st;
    vg_err err;
} scoring;

/* ---- the text ------------------------------------------------------------------------------- */

static uint64_t hash_tokens(const eval_text *t)
{
    size_t n = (t->n_chunks - 1) * t->step_tok + t->ctx_tok;
    return vg_hash(t->tok.id, n * sizeof *t->tok.id) ^ (uint64_t)(uint32_t)t->bos;
}

static vg_status tokenize(eval_text *t, const eval_model *m, const char *path, vg_err *err)
{
    vg_text text = {0};
    VG_TRY(cli_read(path, TEXT_CAP_BYTES, &text, err));
    /* The line end that an editor puts at the end of a file is no part of its text. */
    size_t n = text.n && text.data[text.n - 1] == '\n' ? text.n - 1 : text.n;
    vg_status st = vg_tokenize(m->model, text.data, n, VG_TOK_BOS, &t->tok, err);
    vg_text_free(&text);
    return st;
}

static vg_status cut(eval_text *t, const eval_opts *o, vg_err *err)
{
    size_t n = t->tok.n, stride = (size_t)o->stride;
    if (n < t->ctx_tok + (stride > 0))
        return VG_FAIL(err, VG_E_USAGE,
                       "%s has %zu tokens, which is less than one chunk of %zu: give a longer text "
                       "or a smaller --ctx", o->text, n, t->ctx_tok);
    t->step_tok = stride ? stride : t->ctx_tok;
    t->first = stride ? t->ctx_tok - stride - 1 : t->ctx_tok / 2;
    t->n_chunks = stride ? (n - t->ctx_tok + stride - 1) / stride : n / t->ctx_tok;
    if (o->chunks) t->n_chunks = VG_MIN(t->n_chunks, (size_t)o->chunks);
    return VG_OK;
}

vg_status eval_text_load(eval_text *t, const eval_model *m, const eval_opts *o, vg_err *err)
{
    *t = (eval_text){.ctx_tok = (size_t)o->ctx, .bos = -1};
    if (m->info.add_bos && !o->stride) t->bos = m->info.bos;
    VG_TRY(tokenize(t, m, o->text, err));
    VG_TRY(cut(t, o, err));
    t->head = (eval_reference_head){.magic = "VGLOGITS", .version = 1,
                                    .n_vocab = m->info.n_vocab, .ctx_tok = (uint32_t)t->ctx_tok,
                                    .stride = (uint32_t)o->stride,
                                    .n_chunks = (uint32_t)t->n_chunks};
    t->head.n_rows = (uint64_t)t->n_chunks * (t->ctx_tok - 1 - t->first);
    t->head.token_hash = hash_tokens(t);
    return VG_OK;
}

void eval_text_clear(eval_text *t)
{
    vg_tokens_free(&t->tok);
    t->tok = (vg_tokens){0};
}

/* ---- rows of logits ------------------------------------------------------------------------- */

static void hold(void *user, size_t pos, const float *logits)
{
    scoring *s = user;
    size_t row = (pos - s->r->text->first) % EVAL_LOGIT_ROWS;
    memcpy(s->held + row * s->n_vocab, logits, s->n_vocab * sizeof *logits);
}

static void compare(scoring *s, const eval_row *p, const eval_row *q, int32_t next)
{
    eval_score *out = s->out;
    size_t i = out->kl.n;
    double kl = eval_kl(p, q, s->n_vocab), nll = eval_nll(p, next);
    double delta = eval_nll(q, next) - nll;
    eval_add(&out->kl, kl);
    eval_add(&out->nll_reference, nll);
    eval_add(&out->delta, delta);
    out->n_same_top += p->top == q->top;
    s->kl[i] = (float)kl;
    s->delta[i] = (float)fabs(delta);
}

static void score(void *user, size_t pos, const float *logits)
{
    scoring *s = user;
    const eval_run *r = s->r;
    if (s->st) return;
    eval_row q = eval_row_of(logits, s->n_vocab), p;
    int32_t next = s->id[pos + 1];
    eval_add(&s->out->nll, eval_nll(&q, next));
    if (r->save) s->st = eval_reference_put(r->save, &q, &s->err);
    if (r->reference) {
        size_t row = (pos - r->text->first) % EVAL_LOGIT_ROWS;
        p = eval_row_of(s->held + row * s->n_vocab, s->n_vocab);
    } else if (r->stored) {
        s->st = eval_reference_next(r->stored, &p, &s->err);
    } else {
        return;
    }
    if (!s->st) compare(s, &p, &q, next);
}

/* ---- the run -------------------------------------------------------------------------------- */

/* The chunk's last token is only predicted, and needs no computing. */
static vg_status run_chunk(scoring *s, vg_err *err)
{
    const eval_run *r = s->r;
    size_t end = r->text->ctx_tok - 1, n = r->text->first;
    VG_TRY(vg_session_sync(r->model->session, NULL, 0, NULL, err));
    if (r->reference) VG_TRY(vg_session_sync(r->reference->session, NULL, 0, NULL, err));
    while (n < end) {
        n = r->reference ? VG_MIN(n + EVAL_LOGIT_ROWS, end) : end;
        if (r->reference) VG_TRY(eval_model_advance(r->reference, s->id, n, err));
        VG_TRY(eval_model_advance(r->model, s->id, n, err));
        if (s->st && err) *err = s->err;
        if (s->st) return s->st;
    }
    return VG_OK;
}

static vg_status run_chunks(scoring *s, int32_t *id, vg_err *err)
{
    const eval_run *r = s->r;
    const eval_text *t = r->text;
    uint64_t begin = vg_os_now_ns();
    for (size_t i = 0; i < t->n_chunks; i++) {
        char result[48];
        memcpy(id, t->tok.id + i * t->step_tok, t->ctx_tok * sizeof *id);
        if (t->bos >= 0) id[0] = t->bos;
        VG_TRY(run_chunk(s, err));
        s->out->n_tok += t->ctx_tok - 1;
        s->out->seconds = (double)(vg_os_now_ns() - begin) * 1e-9;
        snprintf(result, sizeof result, "perplexity %.4f", eval_perplexity(&s->out->nll));
        eval_progress(r->ev, s->out->n_tok, t->n_chunks * (t->ctx_tok - 1), result);
    }
    return VG_OK;
}

static void summarise(scoring *s)
{
    eval_score *out = s->out;
    size_t n = out->kl.n;
    eval_sort(s->kl, n);
    eval_sort(s->delta, n);
    out->kl_median = eval_quantile(s->kl, n, 0.5);
    out->kl_p99 = eval_quantile(s->kl, n, 0.99);
    out->kl_max = eval_quantile(s->kl, n, 1);
    out->delta_p99 = eval_quantile(s->delta, n, 0.99);
}

/* The tokens of the text come from the model that was opened first. */
static vg_status check_vocabulary(const eval_run *r, vg_err *err)
{
    uint32_t n = r->text->head.n_vocab;
    const eval_model *m = r->model->info.n_vocab != n ? r->model : r->reference;
    if (!m || m->info.n_vocab == n) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "%s has a vocabulary of %u tokens, the models beside it %u: "
                   "only models of one vocabulary compare", m->info.name, m->info.n_vocab, n);
}

vg_status eval_text_run(const eval_run *r, eval_score *out, vg_err *err)
{
    const eval_text *t = r->text;
    scoring s = {.r = r, .out = out, .n_vocab = t->head.n_vocab};
    bool compares = r->reference || r->stored;
    VG_TRY(check_vocabulary(r, err));
    int32_t *id = vg_mem_new(t->ctx_tok * sizeof *id);
    size_t n_rows = compares ? (size_t)t->head.n_rows : 0;
    size_t held = r->reference ? EVAL_LOGIT_ROWS * s.n_vocab : 0;
    s.id = id;
    s.kl = vg_mem_new(n_rows * sizeof *s.kl + 1);
    s.delta = vg_mem_new(n_rows * sizeof *s.delta + 1);
    s.held = vg_mem_new(held * sizeof *s.held + 1);
    vg_status st = VG_OK;
    if (!id || !s.kl || !s.delta || !s.held)
        st = VG_FAIL_MEMORY(err, (2 * n_rows + held + t->ctx_tok) * sizeof(float));
    vg_session_watch(r->model->session, t->first, score, &s);
    if (r->reference) vg_session_watch(r->reference->session, t->first, hold, &s);
    if (!st) st = run_chunks(&s, id, err);
    if (!st) summarise(&s);
    vg_mem_free(id);
    vg_mem_free(s.kl);
    vg_mem_free(s.delta);
    vg_mem_free(s.held);
    progress_end(&r->ev->line);
    return st;
}
