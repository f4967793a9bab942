/* A session: one timeline of tokens, of which a prefix is computed and stands in cache pages. The
 * caller says what the timeline should be; what is already computed of it is never computed again.
 * Because a key in the cache depends only on the tokens before it, dropping tokens at the end is
 * always exact; dropping tokens at the front is not, so a shift computes what remains anew. */
#include "infer/infer_int.h"

enum { ARENA_SLACK = 4096, SAMPLING_CAP_BYTES = 16 << 20 };

static vg_status build(vg_session *s, vg_engine *e, const vg_session_opts *opts, vg_err *err)
{
    const vg_layout *lay = &e->lay;
    size_t n_vocab = e->model->hp.n_vocab;
    size_t bytes = lay->ctx_tok * sizeof *s->tok + lay->pages_per_session * sizeof *s->page +
                   n_vocab * sizeof *s->logits;
    VG_TRY(vg_arena_new(&s->arena, 2 * bytes + ARENA_SLACK, err));
    s->tok = VG_ARENA_ARRAY(s->arena, int32_t, lay->ctx_tok);
    s->page = VG_ARENA_ARRAY(s->arena, uint32_t, lay->pages_per_session);
    s->logits = VG_ARENA_ARRAY(s->arena, float, n_vocab);
    if (!s->tok || !s->page || !s->logits) return VG_FAIL_MEMORY(err, bytes);
    if (opts) s->opts = *opts;
    if (s->opts.keep_tok >= lay->ctx_tok)
        return VG_FAIL(err, VG_E_USAGE, "keeping %u tokens of a context of %u leaves no room",
                       s->opts.keep_tok, lay->ctx_tok);
    return vg_session_set_sampling(s, opts ? &opts->sampling : NULL, err);
}

vg_status vg_session_new(vg_session **out, vg_engine *e, const vg_session_opts *opts, vg_err *err)
{
    if (e->n_open == e->lay.n_sessions)
        return VG_FAIL(err, VG_E_LIMIT, "all %u sessions of the engine are open",
                       e->lay.n_sessions);
    vg_session *s = vg_mem_new(sizeof *s);
    if (!s) return VG_FAIL_MEMORY(err, sizeof *s);
    s->engine = e;
    e->n_open++;
    vg_status st = build(s, e, opts, err);
    if (st) vg_session_free(s);
    else *out = s;
    return st;
}

void vg_session_free(vg_session *s)
{
    if (!s) return;
    vg_session_resize(s, 0);
    s->engine->n_open--;
    vg_arena_free(s->arena);
    vg_arena_free(s->sampling_arena);
    vg_mem_free(s);
}

void vg_session_resize(vg_session *s, size_t n_tok)
{
    vg_engine *e = s->engine;
    size_t want = (n_tok + VG_TILE - 1) / VG_TILE;
    while (s->n_pages > want) e->free_page[e->n_free++] = s->page[--s->n_pages];
    while (s->n_pages < want) {
        assert(e->n_free > 0); /* the pool holds ctx_tok tokens of each session that may be open */
        s->page[s->n_pages++] = e->free_page[--e->n_free];
    }
}

/* Drops the oldest tokens after the kept ones, half of what may go, so that shifts are rare. */
static void shift(vg_session *s, size_t n_more)
{
    size_t keep = VG_MIN((size_t)s->opts.keep_tok, s->n_tok), movable = s->n_tok - keep;
    size_t drop = VG_MIN(VG_MAX(movable / 2, s->n_tok + n_more - s->engine->lay.ctx_tok), movable);
    memmove(s->tok + keep, s->tok + keep + drop, (movable - drop) * sizeof *s->tok);
    s->n_tok -= drop;
    s->n_done = VG_MIN(s->n_done, keep);
    s->n_shifts++;
}

static vg_status check_ids(const vg_session *s, const int32_t *id, size_t n, vg_err *err)
{
    uint32_t n_vocab = s->engine->model->hp.n_vocab;
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0 || (uint32_t)id[i] >= n_vocab)
            return VG_FAIL(err, VG_E_USAGE, "token %d is not within the vocabulary of %u", id[i],
                           n_vocab);
    return VG_OK;
}

vg_status vg_session_append(vg_session *s, const int32_t *id, size_t n, vg_err *err)
{
    uint32_t ctx = s->engine->lay.ctx_tok;
    VG_TRY(check_ids(s, id, n, err));
    if (n == 0) return VG_OK;
    if (n > ctx - s->n_tok) {
        if (!s->opts.shift || n > ctx - s->opts.keep_tok)
            return VG_FAIL(err, VG_E_CONTEXT,
                           "%zu tokens more than %zu do not fit the context of %u tokens", n,
                           s->n_tok, ctx);
        shift(s, n);
    }
    memcpy(s->tok + s->n_tok, id, n * sizeof *id);
    s->n_tok += n;
    s->has_logits = false;
    vg_session_resize(s, s->n_tok);
    return VG_OK;
}

vg_status vg_session_sync(vg_session *s, const int32_t *id, size_t n, size_t *kept, vg_err *err)
{
    uint32_t ctx = s->engine->lay.ctx_tok;
    VG_TRY(check_ids(s, id, n, err));
    if (n > ctx)
        return VG_FAIL(err, VG_E_CONTEXT, "%zu tokens do not fit the context of %u tokens", n, ctx);
    size_t same = 0;
    while (same < n && same < s->n_tok && s->tok[same] == id[same]) same++;
    size_t done = VG_MIN(same, s->n_done);
    /* Logits stand after the last token alone: a shorter timeline computes its last token again. */
    bool unchanged = same == n && n == s->n_tok && s->has_logits;
    if (done == n && n > 0 && !unchanged) done--;
    if (n > same) memcpy(s->tok + same, id + same, (n - same) * sizeof *id);
    s->n_tok = n;
    s->n_done = done;
    s->has_logits = unchanged;
    vg_session_resize(s, n);
    if (kept) *kept = done;
    return VG_OK;
}

size_t vg_session_length(const vg_session *s)
{
    return s->n_tok;
}

size_t vg_session_pending(const vg_session *s)
{
    return s->n_tok - s->n_done;
}

const int32_t *vg_session_tokens(const vg_session *s)
{
    return s->tok;
}

const float *vg_session_logits(const vg_session *s)
{
    return s->has_logits ? s->logits : NULL;
}

void vg_session_watch(vg_session *s, size_t from_tok, vg_logits_fn *fn, void *user)
{
    s->watch = fn;
    s->watch_user = user;
    s->watch_from = from_tok;
}

size_t vg_session_shifts(const vg_session *s)
{
    return s->n_shifts;
}

vg_status vg_session_set_sampling(vg_session *s, const vg_sampling *opts, vg_err *err)
{
    /* The new options may point into the old copy. */
    vg_arena *old = s->sampling_arena;
    vg_sampler sampler;
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, SAMPLING_CAP_BYTES, err));
    vg_status st = vg_sampler_init(&sampler, opts, s->engine->model->hp.n_vocab, a, err);
    if (st) {
        vg_arena_free(a);
        return st;
    }
    s->sampler = sampler;
    s->sampling_arena = a;
    vg_arena_free(old);
    return VG_OK;
}

vg_status vg_session_sample(vg_session *s, int32_t *id, vg_err *err)
{
    if (!s->has_logits)
        return VG_FAIL(err, VG_E_USAGE, "there are no logits yet: %zu tokens wait for a step",
                       vg_session_pending(s));
    if (s->n_tok == s->engine->lay.ctx_tok && !s->opts.shift)
        return VG_FAIL(err, VG_E_CONTEXT, "the context of %u tokens is full",
                       s->engine->lay.ctx_tok);
    vg_draw draw = {.logits = s->logits,
                    .n_vocab = s->engine->model->hp.n_vocab,
                    .timeline = s->tok,
                    .n_timeline = s->n_tok,
                    .cand = s->engine->cand,
                    .match = s->engine->match};
    VG_TRY(vg_sampler_draw(&s->sampler, &draw, id, err));
    return vg_session_append(s, id, 1, err);
}
