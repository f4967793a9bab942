/* The next tokens of many sessions at once: each is drawn by one of the engine's threads, with a
 * scratch of its own, so what is drawn depends on nothing but its session. Log-probabilities are of
 * the model's own distribution, before any sampler. */
#include <math.h>

#include "infer/infer_int.h"

/* ln of the sum of exp(logit): what is 2^-64 of the largest or less does not change the sum. */
static double log_sum(const float *logits, size_t n, double max)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)logits[i] - max;
        if (x > -45) sum += vg_exp_f64(x);
    }
    return max + vg_log_f64(sum);
}

/* Puts a token into the n best so far, best first; of equals the lower id stays before. */
static void insert(vg_top *top, uint32_t n, vg_top t)
{
    uint32_t i = n;
    for (; i > 0 && top[i - 1].logprob < t.logprob; i--) top[i] = top[i - 1];
    top[i] = t;
}

/* Fills the top and returns what to subtract from a logit. */
static double measure(vg_drawn *d, const float *logits, size_t n_vocab)
{
    uint32_t n = 0;
    float max = -INFINITY, least = -INFINITY;
    for (size_t i = 0; i < n_vocab; i++) {
        if (logits[i] > max) max = logits[i];
        if (d->n_top == 0 || (n == d->n_top && !(logits[i] > least))) continue;
        insert(d->top, n < d->n_top ? n : n - 1, (vg_top){(int32_t)i, logits[i]});
        if (n < d->n_top) n++;
        least = d->top[n - 1].logprob;
    }
    double sum = log_sum(logits, n_vocab, (double)max);
    for (uint32_t i = 0; i < n; i++) d->top[i].logprob = (float)((double)d->top[i].logprob - sum);
    d->n_top = n;
    return sum;
}

static vg_status sample(vg_drawn *d, uint32_t thread, vg_err *err)
{
    vg_session *s = d->session;
    vg_engine *e = s->engine;
    size_t n_vocab = e->model->hp.n_vocab;
    if (!s->has_logits)
        return VG_FAIL(err, VG_E_USAGE, "there are no logits yet: %zu tokens wait for a step",
                       vg_session_pending(s));
    if (s->n_tok == s->cap_tok && !s->opts.shift)
        return VG_FAIL(err, VG_E_CONTEXT, "the context of %zu tokens is full", s->cap_tok);
    if (s->matcher) VG_TRY(vg_matcher_mask(s->matcher, s->allowed, err));
    vg_draw draw = {.logits = s->logits,
                    .n_vocab = n_vocab,
                    .timeline = s->tok,
                    .n_timeline = s->n_tok,
                    .cand = e->cand + thread * n_vocab,
                    .touched = e->touched + thread * n_vocab,
                    .match = e->match + (size_t)thread * e->lay.ctx_tok,
                    .allowed = s->allowed};
    VG_TRY(vg_sampler_draw(&s->sampler, &draw, &d->id, err));
    if (s->matcher) VG_TRY(vg_matcher_take(s->matcher, d->id, err));
    if (d->want_logprob || d->n_top > 0)
        d->logprob = (float)((double)s->logits[d->id] - measure(d, s->logits, n_vocab));
    return VG_OK;
}

static void sample_part(void *arg, uint32_t part, uint32_t thread)
{
    vg_drawn *d = (vg_drawn *)arg + part;
    d->status = sample(d, thread, d->err);
}

void vg_engine_sample(vg_engine *e, vg_drawn *d, size_t n)
{
    vg_pool_run(e->device->pool, (uint32_t)n, sample_part, d);
    /* A shift, which appending may be, concerns the pages that sessions share: one at a time. */
    for (size_t i = 0; i < n; i++)
        if (!d[i].status) d[i].status = vg_session_append(d[i].session, &d[i].id, 1, d[i].err);
}

vg_status vg_session_sample(vg_session *s, int32_t *id, vg_err *err)
{
    vg_drawn d = {.session = s, .err = err};
    vg_engine_sample(s->engine, &d, 1);
    if (!d.status) *id = d.id;
    return d.status;
}
