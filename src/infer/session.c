/* A session: one timeline of tokens, of which a prefix is computed and stands in cache pages. The
 * caller says what the timeline should be; what is already computed of it, here or in pages that
 * another session left in the tree, is never computed again. Because a key in the cache depends
 * only on the tokens before it, dropping tokens at the end is always exact; dropping tokens at the
 * front is not, so a shift computes what remains anew. */
#include "infer/infer_int.h"

enum { ARENA_SLACK = 4096, SAMPLING_CAP_BYTES = 16 << 20 };

/* ---- pages ----------------------------------------------------------------------------------- */

static void push_page(vg_session *s, uint32_t page)
{
    s->page[s->n_pages++] = page;
    s->engine->n_promised--;
}

static void pop_pages(vg_session *s, uint32_t n_kept)
{
    while (s->n_pages > n_kept) {
        vg_pages_drop(&s->engine->pages, s->page[--s->n_pages]);
        s->engine->n_promised++;
    }
    s->n_shared = VG_MIN(s->n_shared, n_kept);
}

static uint32_t last_page(const vg_session *s)
{
    return s->n_pages ? s->page[s->n_pages - 1] : VG_NO_PAGE;
}

/* A page of this session's own with what `from` holds, which somebody must hold meanwhile. */
static uint32_t copy_page(vg_pages *p, uint32_t from)
{
    uint32_t page = vg_pages_take(p);
    if (page != VG_NO_PAGE)
        memcpy(p->data + page * p->page_bytes, p->data + from * p->page_bytes, p->page_bytes);
    return page;
}

/* The page to write behind the computed ones, with the n_same tokens that it has in common with
 * one of the tree: that one itself, where nobody needs it as it is, or a copy. */
static uint32_t continue_page(vg_pages *p, uint32_t from, size_t n_same)
{
    if (p->page[from].n_tok == n_same && vg_pages_claim(p, from)) return from;
    vg_pages_hold(p, from);
    uint32_t page = copy_page(p, from);
    vg_pages_drop(p, from);
    return page;
}

void vg_session_adopt(vg_session *s)
{
    vg_pages *p = &s->engine->pages;
    if (!s->engine->share_prefix || s->watch) return;
    /* The last token is computed in any case, for its logits. */
    while (s->n_done % VG_TILE == 0 && s->n_done + 1 < s->n_tok && s->n_shared == s->n_pages) {
        size_t n_same, n = VG_MIN(s->n_tok - 1 - s->n_done, (size_t)VG_TILE);
        uint32_t page = vg_pages_find(p, last_page(s), s->tok + s->n_done, n, &n_same);
        if (page == VG_NO_PAGE) return;
        if (n_same == VG_TILE) vg_pages_hold(p, page);
        else page = continue_page(p, page, n_same);
        if (page == VG_NO_PAGE) return;
        push_page(s, page);
        s->n_done += n_same;
        if (n_same == VG_TILE) s->n_shared++;
    }
}

vg_status vg_session_grow(vg_session *s, size_t n_tok, vg_err *err)
{
    size_t want = (n_tok + VG_TILE - 1) / VG_TILE;
    while (s->n_pages < want) {
        uint32_t page = vg_pages_take(&s->engine->pages);
        if (page == VG_NO_PAGE)
            return VG_FAIL(err, VG_E_LIMIT, "all %u pages of the cache are in use",
                           s->engine->pages.n_pages);
        push_page(s, page);
    }
    return VG_OK;
}

void vg_session_settle(vg_session *s, size_t n_done)
{
    s->n_done = n_done;
    pop_pages(s, (uint32_t)((n_done + VG_TILE - 1) / VG_TILE));
    while (s->engine->share_prefix && s->n_shared < n_done / VG_TILE) {
        uint32_t i = s->n_shared++;
        s->page[i] = vg_pages_share(&s->engine->pages, i ? s->page[i - 1] : VG_NO_PAGE, s->page[i],
                                    s->tok + (size_t)i * VG_TILE, VG_TILE);
    }
}

/* Goes back to the first n_done computed tokens. Where they end within a page that others may
 * read, this session goes on in a copy, or computes the page anew where there is no room. */
static void rewind_to(vg_session *s, size_t n_done)
{
    uint32_t n_full = (uint32_t)(n_done / VG_TILE);
    if (n_done % VG_TILE && n_full < s->n_shared) {
        uint32_t page = copy_page(&s->engine->pages, s->page[n_full]);
        pop_pages(s, n_full);
        if (page != VG_NO_PAGE) push_page(s, page);
        else n_done = (size_t)n_full * VG_TILE;
    }
    vg_session_settle(s, n_done);
}

/* ---- life ------------------------------------------------------------------------------------ */

static vg_status build(vg_session *s, vg_engine *e, const vg_session_opts *opts, vg_err *err)
{
    const vg_layout *lay = &e->lay;
    size_t n_vocab = e->model->hp.n_vocab;
    size_t bytes = s->cap_tok * sizeof *s->tok + s->n_reserved * sizeof *s->page +
                   n_vocab * sizeof *s->logits;
    VG_TRY(vg_arena_new(&s->arena, 2 * bytes + ARENA_SLACK, err));
    s->tok = VG_ARENA_ARRAY(s->arena, int32_t, s->cap_tok);
    s->page = VG_ARENA_ARRAY(s->arena, uint32_t, s->n_reserved);
    s->logits = VG_ARENA_ARRAY(s->arena, float, n_vocab);
    if (!s->tok || !s->page || !s->logits) return VG_FAIL_MEMORY(err, bytes);
    if (opts) s->opts = *opts;
    if (s->opts.keep_tok >= s->cap_tok)
        return VG_FAIL(err, VG_E_USAGE, "keeping %u tokens of a context of %u leaves no room",
                       s->opts.keep_tok, lay->ctx_tok);
    return vg_session_set_sampling(s, opts ? &opts->sampling : NULL, err);
}

vg_status vg_session_new(vg_session **out, vg_engine *e, const vg_session_opts *opts, vg_err *err)
{
    uint32_t ctx = e->lay.ctx_tok, cap = opts && opts->reserve_tok ? opts->reserve_tok : ctx;
    cap = VG_MIN(cap, ctx);
    uint32_t n_pages = (cap + VG_TILE - 1) / VG_TILE;
    uint32_t n_left = e->pages.n_free + e->pages.n_idle - e->n_promised;
    if (e->lay.encoder)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "model %s is an encoder (%s): it gives embeddings "
                       "and has no sessions", e->model->name, e->model->hp.arch);
    if (e->n_open == e->lay.n_sessions)
        return VG_FAIL(err, VG_E_LIMIT, "all %u sessions of the engine are open",
                       e->lay.n_sessions);
    if (n_pages > n_left)
        return VG_FAIL(err, VG_E_LIMIT,
                       "%u tokens need %u pages of the cache, and %u of its %u are left", cap,
                       n_pages, n_left, e->pages.n_pages);
    vg_session *s = vg_mem_new(sizeof *s);
    if (!s) return VG_FAIL_MEMORY(err, sizeof *s);
    s->engine = e;
    s->cap_tok = cap;
    s->n_reserved = n_pages;
    e->n_promised += n_pages;
    e->n_open++;
    vg_status st = build(s, e, opts, err);
    if (st) vg_session_free(s);
    else *out = s;
    return st;
}

/* Leaves the last page, which is not full, to whoever goes on from there. */
static void leave_rest(vg_session *s)
{
    vg_pages *p = &s->engine->pages;
    size_t n = s->n_done % VG_TILE;
    if (!s->engine->share_prefix || n == 0) return;
    uint32_t i = s->n_pages - 1;
    s->page[i] = vg_pages_share(p, i ? s->page[i - 1] : VG_NO_PAGE, s->page[i],
                                s->tok + (size_t)i * VG_TILE, n);
}

void vg_session_free(vg_session *s)
{
    if (!s) return;
    leave_rest(s);
    pop_pages(s, 0);
    s->engine->n_promised -= s->n_reserved;
    s->engine->n_open--;
    vg_matcher_free(s->matcher);
    vg_mem_free(s->allowed);
    vg_arena_free(s->arena);
    vg_arena_free(s->sampling_arena);
    vg_mem_free(s);
}

/* ---- the timeline ---------------------------------------------------------------------------- */

/* Drops the oldest tokens after the kept ones, half of what may go, so that shifts are rare. */
static void shift(vg_session *s, size_t n_more)
{
    size_t keep = VG_MIN((size_t)s->opts.keep_tok, s->n_tok), movable = s->n_tok - keep;
    size_t drop = VG_MIN(VG_MAX(movable / 2, s->n_tok + n_more - s->cap_tok), movable);
    rewind_to(s, VG_MIN(s->n_done, keep));
    memmove(s->tok + keep, s->tok + keep + drop, (movable - drop) * sizeof *s->tok);
    s->n_tok -= drop;
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
    VG_TRY(check_ids(s, id, n, err));
    if (n == 0) return VG_OK;
    if (n > s->cap_tok - s->n_tok) {
        if (!s->opts.shift || n > s->cap_tok - s->opts.keep_tok)
            return VG_FAIL(err, VG_E_CONTEXT,
                           "%zu tokens more than %zu do not fit the context of %zu tokens", n,
                           s->n_tok, s->cap_tok);
        shift(s, n);
    }
    memcpy(s->tok + s->n_tok, id, n * sizeof *id);
    s->n_tok += n;
    s->has_logits = false;
    return VG_OK;
}

vg_status vg_session_sync(vg_session *s, const int32_t *id, size_t n, size_t *kept, vg_err *err)
{
    VG_TRY(check_ids(s, id, n, err));
    if (n > s->cap_tok)
        return VG_FAIL(err, VG_E_CONTEXT, "%zu tokens do not fit the context of %zu tokens", n,
                       s->cap_tok);
    size_t same = 0;
    while (same < n && same < s->n_tok && s->tok[same] == id[same]) same++;
    size_t done = VG_MIN(same, s->n_done);
    /* Logits stand after the last token alone: a shorter timeline computes its last token again. */
    bool unchanged = same == n && n == s->n_tok && s->has_logits;
    if (done == n && n > 0 && !unchanged) done--;
    rewind_to(s, done);
    if (n > same) memcpy(s->tok + same, id + same, (n - same) * sizeof *id);
    s->n_tok = n;
    s->has_logits = unchanged;
    if (!unchanged) vg_session_adopt(s);
    if (kept) *kept = s->n_done;
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

size_t vg_session_computed(const vg_session *s)
{
    return s->n_computed;
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

vg_status vg_session_constrain(vg_session *s, vg_grammar *g, vg_err *err)
{
    vg_matcher *matcher = NULL;
    uint64_t *allowed = NULL;
    if (g && vg_grammar_model(g) != s->engine->model)
        return VG_FAIL(err, VG_E_USAGE, "the grammar was made for another model");
    if (g) {
        VG_TRY(vg_matcher_new(&matcher, g, err));
        size_t bytes = vg_matcher_words(matcher) * sizeof *allowed;
        allowed = vg_mem_new(bytes);
        if (!allowed) {
            vg_matcher_free(matcher);
            return VG_FAIL_MEMORY(err, bytes);
        }
    }
    vg_matcher_free(s->matcher);
    vg_mem_free(s->allowed);
    s->matcher = matcher;
    s->allowed = allowed;
    return VG_OK;
}
