/* Grammars and their matchers: what verge.h offers of constrained output. A grammar's network is
 * immutable; the automaton over it grows with the texts that are written, so it has a lock, which
 * is held for one byte string or one mask at a time. When it has grown large, the states that no
 * matcher stands in are dropped: each grammar knows its matchers for that. */
#include "model/grammar_int.h"

/* ---- life ------------------------------------------------------------------------------------ */

static void free_grammar(vg_grammar *g)
{
    if (!g) return;
    gmask_forget(g);
    grun_clear(&g->run);
    gnet_clear(&g->net);
    vg_mem_free(g->mask);
    vg_mem_free(g->path);
    vg_model_unref(g->model);
    pthread_mutex_destroy(&g->lock);
    vg_mem_free(g);
}

vg_grammar *vg_grammar_ref(vg_grammar *g)
{
    atomic_fetch_add(&g->n_refs, 1);
    return g;
}

void vg_grammar_unref(vg_grammar *g)
{
    if (g && atomic_fetch_sub(&g->n_refs, 1) == 1) free_grammar(g);
}

const vg_model *vg_grammar_model(const vg_grammar *g)
{
    return g->model;
}

typedef vg_status notation(gx_builder *b, vg_str text, uint32_t *root);

static vg_status compile(vg_grammar *g, notation *read, vg_str text, vg_err *err)
{
    gx_builder b;
    uint32_t root = 0;
    if (g->model) VG_TRY(gtrie_of(g->model, &g->trie, err));
    if (g->trie && g->trie->longest >= GX_ROOM)
        return VG_FAIL(err, VG_E_LIMIT, "a token of %u bytes", g->trie->longest);
    VG_TRY(gx_init(&b, err));
    vg_status st = read(&b, text, &root);
    if (!st) st = gnet_build(&g->net, &b, root, g->trie ? g->trie->longest : 0, err);
    gx_clear(&b);
    return st ? st : grun_init(&g->run, &g->net, err);
}

static vg_status grammar_new(vg_grammar **out, vg_model *m, notation *read, const char *text,
                             size_t n, vg_err *err)
{
    if (n > GX_TEXT_BYTES)
        return VG_FAIL(err, VG_E_LIMIT, "a grammar of %zu bytes; at most %d are taken", n,
                       GX_TEXT_BYTES);
    vg_grammar *g = vg_mem_new(sizeof *g);
    if (!g) return VG_FAIL_MEMORY(err, sizeof *g);
    atomic_init(&g->n_refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    if (m) g->model = vg_model_ref(m);
    g->path = vg_mem_new((GX_ROOM + 1) * sizeof *g->path);
    vg_status st = g->path ? compile(g, read, (vg_str){text, n}, err)
                           : VG_FAIL_MEMORY(err, GX_ROOM * sizeof *g->path);
    if (st) vg_grammar_unref(g);
    else *out = g;
    return st;
}

vg_status vg_grammar_new_gbnf(vg_grammar **out, vg_model *m, const char *text, size_t n,
                              vg_err *err)
{
    return grammar_new(out, m, gx_from_gbnf, text, n, err);
}

vg_status vg_grammar_new_schema(vg_grammar **out, vg_model *m, const char *json, size_t n,
                                vg_err *err)
{
    return grammar_new(out, m, gx_from_schema, json, n, err);
}

/* ---- matchers -------------------------------------------------------------------------------- */

vg_status vg_matcher_new(vg_matcher **out, vg_grammar *g, vg_err *err)
{
    vg_matcher *m = vg_mem_new(sizeof *m);
    if (!m) return VG_FAIL_MEMORY(err, sizeof *m);
    m->grammar = vg_grammar_ref(g);
    pthread_mutex_lock(&g->lock);
    m->state = g->run.start;
    m->next = g->matchers;
    if (m->next) m->next->prev = m;
    g->matchers = m;
    pthread_mutex_unlock(&g->lock);
    *out = m;
    return VG_OK;
}

void vg_matcher_free(vg_matcher *m)
{
    if (!m) return;
    vg_grammar *g = m->grammar;
    pthread_mutex_lock(&g->lock);
    if (m->prev) m->prev->next = m->next;
    else g->matchers = m->next;
    if (m->next) m->next->prev = m->prev;
    pthread_mutex_unlock(&g->lock);
    vg_grammar_unref(g);
    vg_mem_free(m);
}

/* Makes the automaton anew with the states that matchers stand in. */
static vg_status make_room(vg_grammar *g, vg_err *err)
{
    grun *r = &g->run;
    r->work = GRUN_WORK;
    if (r->bytes <= GRUN_SOFT_BYTES) return VG_OK;
    size_t n = 0, i = 0;
    for (vg_matcher *m = g->matchers; m; m = m->next) n++;
    int32_t *state = vg_mem_new(n * sizeof *state);
    if (!state) return VG_FAIL_MEMORY(err, n * sizeof *state);
    for (vg_matcher *m = g->matchers; m; m = m->next) state[i++] = m->state;
    grun anew;
    vg_status st = grun_init(&anew, &g->net, err);
    if (!st) {
        st = grun_adopt(&anew, r, state, n, err);
        if (st) grun_clear(&anew);
    }
    if (!st) {
        gmask_forget(g);
        grun_clear(r);
        *r = anew;
        i = 0;
        for (vg_matcher *m = g->matchers; m; m = m->next) m->state = state[i++];
    }
    vg_mem_free(state);
    return st;
}

/* Goes on by s; *ok: the grammar does too. */
static vg_status go_on(vg_matcher *m, vg_str s, bool *ok, vg_err *err)
{
    vg_grammar *g = m->grammar;
    *ok = !m->ended || s.n == 0;
    for (size_t i = 0; i < s.n && *ok; i++) {
        VG_TRY(make_room(g, err));
        uint8_t c = g->net.class_of[(unsigned char)s.p[i]];
        VG_TRY(grun_step(&g->run, m->state, c, &m->state, err));
        *ok = m->state != GSTATE_DEAD;
    }
    return VG_OK;
}

vg_status vg_matcher_accept(vg_matcher *m, const char *text, size_t n, bool *ok, vg_err *err)
{
    pthread_mutex_lock(&m->grammar->lock);
    vg_status st = go_on(m, (vg_str){text, n}, ok, err);
    if (st) m->state = GSTATE_DEAD;
    pthread_mutex_unlock(&m->grammar->lock);
    return st;
}

bool vg_matcher_may_end(const vg_matcher *m)
{
    pthread_mutex_lock(&m->grammar->lock);
    bool may_end = m->grammar->run.state[m->state].may_end;
    pthread_mutex_unlock(&m->grammar->lock);
    return may_end;
}

vg_status vg_grammar_matches(vg_grammar *g, const char *text, size_t n, bool *matches, vg_err *err)
{
    vg_matcher *m = NULL;
    VG_TRY(vg_matcher_new(&m, g, err));
    vg_status st = vg_matcher_accept(m, text, n, matches, err);
    if (!st) *matches = *matches && vg_matcher_may_end(m);
    vg_matcher_free(m);
    return st;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

size_t vg_matcher_words(const vg_matcher *m)
{
    return m->grammar->trie ? m->grammar->trie->n_vocab / 64 + 1 : 0;
}

/* The mask of m's state, without the tokens that end an answer. */
static vg_status text_tokens(vg_matcher *m, uint64_t *allowed, vg_err *err)
{
    size_t bytes = vg_matcher_words(m) * sizeof *allowed;
    const uint64_t *mask;
    memset(allowed, 0, bytes);
    if (m->ended) return VG_OK;
    VG_TRY(make_room(m->grammar, err));
    VG_TRY(gmask_of(m->grammar, m->state, &mask, err));
    memcpy(allowed, mask, bytes);
    return VG_OK;
}

vg_status vg_matcher_mask(vg_matcher *m, uint64_t *allowed, vg_err *err)
{
    vg_grammar *g = m->grammar;
    const vg_trie *trie = g->trie;
    if (!trie) return VG_FAIL(err, VG_E_USAGE, "the grammar was made without a model");
    pthread_mutex_lock(&g->lock);
    vg_status st = text_tokens(m, allowed, err);
    bool may_end = m->ended || g->run.state[m->state].may_end;
    pthread_mutex_unlock(&g->lock);
    if (st) return st;
    uint64_t any = 0;
    for (size_t i = 0; i < trie->n_ends && may_end; i++)
        allowed[trie->end[i] / 64] |= UINT64_C(1) << trie->end[i] % 64;
    for (size_t i = 0; i < vg_matcher_words(m); i++) any |= allowed[i];
    if (any) return VG_OK;
    if (may_end)
        return VG_FAIL(err, VG_E_NOT_FOUND, "the grammar is at its end, and the vocabulary has no "
                                            "token that ends an answer");
    return VG_FAIL(err, VG_E_UNSUPPORTED, "no token of the vocabulary goes on with the grammar");
}

vg_status vg_matcher_take(vg_matcher *m, int32_t id, vg_err *err)
{
    char text[VG_DECODE_MAX];
    const vg_vocab *v = m->grammar->model ? m->grammar->model->vocab : NULL;
    if (!v || id < 0 || (size_t)id >= vg_vocab_size(v))
        return VG_FAIL(err, VG_E_USAGE, "token %d is not within the grammar's vocabulary", id);
    bool is_end = vg_vocab_is_end(v, id), ok;
    size_t n = is_end ? 0 : vg_vocab_text(v, id, text);
    VG_TRY(vg_matcher_accept(m, text, n, &ok, err));
    if (is_end) ok = m->ended = m->ended || vg_matcher_may_end(m);
    else ok = ok && n > 0;
    return ok ? VG_OK : VG_FAIL(err, VG_E_USAGE, "token %d is not within the grammar", id);
}
