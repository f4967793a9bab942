/* Tokens of a vocabulary against states of a grammar. The texts of all tokens are a tree, so that
 * what they begin with is stepped through once; a branch that the grammar refuses is skipped
 * whole. A state's mask is kept, and states that differ only in how far a long count has come
 * share one (grun_like). When the masks outgrow their bytes, all are dropped and made anew. */
#include <stdlib.h>

#include "model/grammar_int.h"

/* ---- the tree -------------------------------------------------------------------------------- */

typedef struct token_text {
    const char *p;
    uint32_t n;
    int32_t id;
} token_text;

static int compare(const void *a, const void *b)
{
    const token_text *x = a, *y = b;
    int c = memcmp(x->p, y->p, VG_MIN(x->n, y->n));
    if (c) return c;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static size_t shared(const token_text *a, const token_text *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->p[n] == b->p[n]) n++;
    return n;
}

/* The texts of a vocabulary one after the other; t[i].p is set once they stand still. */
static vg_status collect(const vg_vocab *v, token_text *t, vg_trie *trie, vg_buf *text, vg_err *err)
{
    char bytes[VG_DECODE_MAX];
    for (size_t id = 0; id < trie->n_vocab; id++) {
        if (vg_vocab_is_end(v, (int32_t)id)) {
            trie->end[trie->n_ends++] = (int32_t)id;
            continue;
        }
        size_t n = vg_vocab_text(v, (int32_t)id, bytes);
        if (n == 0) continue;
        t[trie->n_tokens++] = (token_text){NULL, (uint32_t)n, (int32_t)id};
        trie->longest = VG_MAX(trie->longest, (uint32_t)n);
        vg_buf_add(text, bytes, n);
    }
    VG_TRY(vg_buf_check(text, "the texts of the tokens", err));
    for (size_t i = 0, at = 0; i < trie->n_tokens; at += t[i++].n) t[i].p = text->data + at;
    return VG_OK;
}

/* Nodes in the order of sorted texts are in preorder. */
static void fill(vg_trie *trie, const token_text *t)
{
    uint32_t open[VG_DECODE_MAX + 1]; /* nodes of the text before, by depth */
    size_t n_open = 0;
    for (size_t i = 0; i < trie->n_tokens; i++) {
        size_t same = i ? shared(&t[i - 1], &t[i]) : 0;
        while (n_open > same) trie->node[open[--n_open]].skip = (uint32_t)trie->n_nodes;
        for (; n_open < t[i].n; n_open++) {
            open[n_open] = (uint32_t)trie->n_nodes;
            trie->node[trie->n_nodes++] =
                (struct vg_trie_node){.token = (uint32_t)i,
                                      .depth = (uint16_t)(n_open + 1),
                                      .byte = (uint8_t)t[i].p[n_open]};
        }
        trie->token[i] = (uint32_t)t[i].id;
    }
    while (n_open > 0) trie->node[open[--n_open]].skip = (uint32_t)trie->n_nodes;
    trie->node[trie->n_nodes].token = (uint32_t)trie->n_tokens;
}

static vg_status build(vg_trie *trie, const vg_vocab *v, token_text *t, vg_buf *text, vg_err *err)
{
    VG_TRY(collect(v, t, trie, text, err));
    if (trie->n_tokens) qsort(t, trie->n_tokens, sizeof *t, compare);
    size_t n = 1;
    for (size_t i = 0; i < trie->n_tokens; i++) n += t[i].n - (i ? shared(&t[i - 1], &t[i]) : 0);
    trie->node = vg_mem_new(n * sizeof *trie->node);
    if (!trie->node) return VG_FAIL_MEMORY(err, n * sizeof *trie->node);
    fill(trie, t);
    return VG_OK;
}

void vg_trie_free(void *trie)
{
    vg_trie *t = trie;
    if (!t) return;
    vg_mem_free(t->node);
    vg_mem_free(t->token);
    vg_mem_free(t->end);
    vg_mem_free(t);
}

static vg_status trie_new(vg_trie **out, const vg_vocab *v, vg_err *err)
{
    size_t n = vg_vocab_size(v);
    vg_buf text;
    vg_buf_init(&text, n * VG_DECODE_MAX);
    vg_trie *trie = vg_mem_new(sizeof *trie);
    token_text *t = vg_mem_new(n * sizeof *t);
    if (trie) {
        trie->n_vocab = n;
        trie->token = vg_mem_new(n * sizeof *trie->token);
        trie->end = vg_mem_new(n * sizeof *trie->end);
    }
    vg_status st = trie && t && trie->token && trie->end ? build(trie, v, t, &text, err)
                                                          : VG_FAIL_MEMORY(err, n * sizeof *t);
    vg_mem_free(t);
    vg_buf_clear(&text);
    if (st) vg_trie_free(trie);
    else *out = trie;
    return st;
}

vg_status gtrie_of(vg_model *m, const vg_trie **out, vg_err *err)
{
    void *there = atomic_load(&m->trie);
    if (!there) {
        vg_trie *made;
        if (!m->vocab) return VG_FAIL(err, VG_E_NOT_FOUND, "the model has no tokenizer");
        VG_TRY(trie_new(&made, m->vocab, err));
        if (atomic_compare_exchange_strong(&m->trie, &there, made)) there = made;
        else vg_trie_free(made); /* another thread came first */
    }
    *out = there;
    return VG_OK;
}

/* ---- masks ----------------------------------------------------------------------------------- */

static vg_status walk(vg_grammar *g, int32_t state, uint64_t *mask, vg_err *err)
{
    const vg_trie *trie = g->trie;
    const struct vg_trie_node *node = trie->node;
    grun *r = &g->run;
    int32_t *path = g->path;
    path[0] = state;
    for (size_t i = 0; i < trie->n_nodes;) {
        uint8_t c = r->net->class_of[node[i].byte];
        int32_t from = path[node[i].depth - 1];
        int32_t to = r->next[(size_t)from * r->net->n_classes + c];
        if (to == GSTATE_UNKNOWN) VG_TRY(grun_step(r, from, c, &to, err));
        if (to == GSTATE_DEAD) {
            i = node[i].skip;
            continue;
        }
        path[node[i].depth] = to;
        for (uint32_t t = node[i].token; t < node[i + 1].token; t++)
            mask[trie->token[t] / 64] |= UINT64_C(1) << trie->token[t] % 64;
        i++;
    }
    return VG_OK;
}

void gmask_forget(vg_grammar *g)
{
    for (size_t i = 0; i < g->n_masks; i++) vg_mem_free(g->mask[i]);
    for (size_t i = 0; i < g->run.n_states; i++) g->run.state[i].mask = -1;
    g->n_masks = 0;
}

vg_status gmask_of(vg_grammar *g, int32_t state, const uint64_t **out, vg_err *err)
{
    int32_t like;
    VG_TRY(grun_like(&g->run, state, &like, err));
    if (g->run.state[like].mask >= 0) {
        *out = g->mask[g->run.state[like].mask];
        return VG_OK;
    }
    size_t bytes = (g->trie->n_vocab / 64 + 1) * sizeof **g->mask, grown_bytes = 0;
    if ((g->n_masks + 1) * bytes > GMASK_BYTES) gmask_forget(g);
    VG_TRY(grow_array((void **)&g->mask, &g->cap_masks, g->n_masks + 1, sizeof *g->mask,
                      &grown_bytes, err));
    uint64_t *mask = vg_mem_new(bytes);
    if (!mask) return VG_FAIL_MEMORY(err, bytes);
    vg_status st = walk(g, like, mask, err);
    if (st) {
        vg_mem_free(mask);
        return st;
    }
    g->run.state[like].mask = (int32_t)g->n_masks;
    g->mask[g->n_masks++] = mask;
    *out = mask;
    return VG_OK;
}
