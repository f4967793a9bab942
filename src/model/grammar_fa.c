/* Automata over characters: made of expressions by sets of places (Rabin and Scott 1959), joined by
 * products. Characters are handled as ranges, so that Unicode costs no more than ASCII. Sizes are
 * bounded by GFA_STATES; what needs more is refused. */
#include <stdlib.h>

#include "model/fa_int.h"

#define NONE UINT32_MAX

enum { NFA_NODES = 100000 };

/* ---- a table of lists of numbers, each of which gets an index -------------------------------- */

typedef struct list_table {
    gx_builder *b;
    uint32_t **list; /* [n] the length, then the numbers */
    size_t n, cap;
    uint32_t *slot;  /* [mask + 1] index + 1 */
    size_t mask;
} list_table;

static bool widen(list_table *t)
{
    if (t->slot && 2 * (t->n + 1) <= t->mask) return true;
    size_t want = t->slot ? 2 * (t->mask + 1) : 64;
    uint32_t *slot = gx_array(t->b, want, sizeof *slot);
    uint32_t **list = gx_array(t->b, want, sizeof *list);
    if (!slot || !list) return false;
    for (size_t i = 0; i < t->n; i++) {
        list[i] = t->list[i];
        size_t at = (size_t)vg_hash(list[i], (list[i][0] + (size_t)1) * sizeof **list);
        while (slot[at & (want - 1)]) at++;
        slot[at & (want - 1)] = (uint32_t)i + 1;
    }
    t->slot = slot;
    t->list = list;
    t->mask = want - 1;
    return true;
}

/* The index of the list x[0..n], whose length is x[0]; NONE: failed. */
static uint32_t index_of(list_table *t, const uint32_t *x)
{
    if (t->b->failed || !widen(t)) return NONE;
    size_t bytes = (x[0] + (size_t)1) * sizeof *x, at = (size_t)vg_hash(x, bytes);
    for (; t->slot[at & t->mask]; at++) {
        uint32_t i = t->slot[at & t->mask] - 1;
        if (t->list[i][0] == x[0] && memcmp(t->list[i], x, bytes) == 0) return i;
    }
    if (t->n >= GFA_STATES) {
        (void)gx_fail(t->b, VG_E_LIMIT, "a pattern needs more than %d states", GFA_STATES);
        return NONE;
    }
    uint32_t *copy = gx_array(t->b, x[0] + (size_t)1, sizeof *x);
    if (!copy) return NONE;
    memcpy(copy, x, bytes);
    t->list[t->n] = copy;
    t->slot[at & t->mask] = (uint32_t)++t->n;
    return (uint32_t)t->n - 1;
}

/* ---- expressions to places and edges --------------------------------------------------------- */

typedef struct nfa_edge {
    uint32_t next; /* of the same node, index + 1 */
    uint32_t to;
    int32_t lo, hi; /* lo -1: without a character */
} nfa_edge;

typedef struct nfa {
    gx_builder *b;
    uint32_t *first; /* [n_nodes] edge + 1 */
    nfa_edge *edge;
    size_t n_nodes, cap_nodes, n_edges, cap_edges, bytes;
    uint32_t *stamp, now; /* [n_nodes] */
} nfa;

static uint32_t new_node(nfa *a)
{
    vg_err err;
    if (a->n_nodes >= NFA_NODES) {
        (void)gx_fail(a->b, VG_E_LIMIT, "a pattern of more than %d places", NFA_NODES);
        return 0;
    }
    if (grow_array((void **)&a->first, &a->cap_nodes, a->n_nodes + 1, sizeof *a->first, &a->bytes,
                   &err)) {
        (void)gx_fail(a->b, err.code, "%s", err.msg);
        return 0;
    }
    a->first[a->n_nodes] = 0;
    return (uint32_t)a->n_nodes++;
}

static void join(nfa *a, uint32_t from, uint32_t to, int32_t lo, int32_t hi)
{
    vg_err err;
    if (a->b->failed) return;
    if (grow_array((void **)&a->edge, &a->cap_edges, a->n_edges + 1, sizeof *a->edge, &a->bytes,
                   &err)) {
        (void)gx_fail(a->b, err.code, "%s", err.msg);
        return;
    }
    a->edge[a->n_edges++] = (nfa_edge){.next = a->first[from], .to = to, .lo = lo, .hi = hi};
    a->first[from] = (uint32_t)a->n_edges;
}

/* Recursion follows the depth of an expression, at most GX_DEPTH, and of rules that a repetition
 * has made, each of which is an expression inside. */
static void place(nfa *a, const gx *x, uint32_t from, uint32_t to)
{
    if (a->b->failed) return;
    switch (x->kind) {
    case GX_CHARS:
        for (size_t i = 0; i < x->n; i++) join(a, from, to, x->range[i].lo, x->range[i].hi);
        return;
    case GX_ALT:
        for (size_t i = 0; i < x->n; i++) place(a, x->item[i], from, to);
        return;
    case GX_SEQ:
        if (x->n == 0) join(a, from, to, -1, -1);
        for (size_t i = 0; i < x->n; i++) {
            uint32_t next = i + 1 < x->n ? new_node(a) : to;
            place(a, x->item[i], from, next);
            from = next;
        }
        return;
    case GX_RULE: place(a, a->b->rule[x->rule].body, from, to); return;
    default: assert(x->kind == GX_REPEAT); /* patterns are written without texts and words */
    }
    int32_t n = x->max == GX_MANY ? x->min : x->max;
    for (int32_t i = 0; i < n && !a->b->failed; i++) {
        uint32_t next = new_node(a);
        if (i >= x->min) join(a, from, to, -1, -1);
        place(a, x->body, from, next);
        from = next;
    }
    if (x->max == GX_MANY) {
        uint32_t loop = new_node(a);
        join(a, from, loop, -1, -1);
        place(a, x->body, loop, loop);
        from = loop;
    }
    join(a, from, to, -1, -1);
}

/* ---- places to states ------------------------------------------------------------------------ */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Closes the list over edges without a character. list[0] is its length. */
static void close_list(nfa *a, uint32_t *list)
{
    a->now++;
    for (uint32_t i = 1; i <= list[0]; i++) a->stamp[list[i]] = a->now;
    for (uint32_t i = 1; i <= list[0]; i++)
        for (uint32_t e = a->first[list[i]]; e; e = a->edge[e - 1].next) {
            const nfa_edge *edge = &a->edge[e - 1];
            if (edge->lo >= 0 || a->stamp[edge->to] == a->now) continue;
            a->stamp[edge->to] = a->now;
            list[++list[0]] = edge->to;
        }
    if (list[0]) qsort(list + 1, list[0], sizeof *list, compare_numbers);
}

/* Where characters begin or end to be told apart by the list's edges; returns how many such places
 * there are. */
static size_t cut_points(const nfa *a, const uint32_t *list, uint32_t *cut, size_t *n_edges)
{
    size_t n = 0, kept = 0;
    for (uint32_t i = 1; i <= list[0]; i++)
        for (uint32_t e = a->first[list[i]]; e; e = a->edge[e - 1].next) {
            if (a->edge[e - 1].lo < 0) continue;
            cut[n++] = (uint32_t)a->edge[e - 1].lo;
            cut[n++] = (uint32_t)a->edge[e - 1].hi + 1;
        }
    *n_edges = n / 2;
    if (n) qsort(cut, n, sizeof *cut, compare_numbers);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || cut[kept - 1] != cut[i]) cut[kept++] = cut[i];
    return kept;
}

static void add_edge(gfa_state *s, int32_t lo, int32_t hi, uint32_t to)
{
    gfa_edge *last = s->n ? &s->edge[s->n - 1] : NULL;
    if (last && last->to == to && last->hi + 1 == lo) last->hi = hi;
    else s->edge[s->n++] = (gfa_edge){lo, hi, to};
}

/* The state of list `i` of t: one edge for each run of characters. */
static void make_state(nfa *a, list_table *t, uint32_t i, gfa_state *s, uint32_t *cut,
                       uint32_t *next)
{
    size_t n_edges, n = cut_points(a, t->list[i], cut, &n_edges);
    if (!gx_spend(a->b, (n + 1) * (n_edges + t->list[i][0]))) return;
    *s = (gfa_state){.edge = gx_array(a->b, n + 1, sizeof *s->edge)};
    for (uint32_t k = 1; k <= t->list[i][0]; k++) s->accepts |= t->list[i][k] == 1;
    for (size_t c = 0; c + 1 < n && s->edge; c++) {
        const uint32_t *list = t->list[i];
        next[0] = 0;
        a->now++;
        for (uint32_t k = 1; k <= list[0]; k++)
            for (uint32_t e = a->first[list[k]]; e; e = a->edge[e - 1].next) {
                const nfa_edge *edge = &a->edge[e - 1];
                if (edge->lo < 0 || (uint32_t)edge->lo > cut[c] || (uint32_t)edge->hi < cut[c])
                    continue;
                if (a->stamp[edge->to] == a->now) continue;
                a->stamp[edge->to] = a->now;
                next[++next[0]] = edge->to;
            }
        if (next[0] == 0) continue;
        close_list(a, next);
        uint32_t to = index_of(t, next);
        if (to == NONE) return;
        add_edge(s, (int32_t)cut[c], (int32_t)cut[c + 1] - 1, to);
    }
}

/* Room for state `i` of *out. */
static gfa_state *room(gx_builder *b, gfa *out, uint32_t i)
{
    if (i < out->cap) return &out->state[i];
    uint32_t cap = out->cap ? 2 * out->cap : 8;
    gfa_state *grown = gx_array(b, cap, sizeof *grown);
    if (!grown) return NULL;
    if (i) memcpy(grown, out->state, i * sizeof *grown);
    out->state = grown;
    out->cap = cap;
    return &grown[i];
}

static gfa *determinise(nfa *a)
{
    gx_builder *b = a->b;
    list_table t = {.b = b};
    a->stamp = gx_array(b, a->n_nodes, sizeof *a->stamp);
    uint32_t *next = gx_array(b, a->n_nodes + 1, sizeof *next);
    uint32_t *cut = gx_array(b, 2 * a->n_edges + 1, sizeof *cut);
    gfa *out = gx_array(b, 1, sizeof *out);
    if (!a->stamp || !next || !cut || !out) return NULL;
    next[0] = 1;
    next[1] = 0;
    close_list(a, next);
    (void)index_of(&t, next);
    for (uint32_t i = 0; i < t.n && !b->failed; i++) {
        gfa_state *s = room(b, out, i);
        if (s) make_state(a, &t, i, s, cut, next);
    }
    out->n = (uint32_t)t.n;
    return b->failed ? NULL : out;
}

gfa *gfa_of(gx_builder *b, const gx *x)
{
    nfa a = {.b = b};
    gfa *out = NULL;
    if (!x || b->failed) return NULL;
    uint32_t from = new_node(&a), to = new_node(&a); /* 0 and 1 */
    place(&a, x, from, to);
    if (!b->failed) out = determinise(&a);
    vg_mem_free(a.first);
    vg_mem_free(a.edge);
    return out;
}

gfa *gfa_any(gx_builder *b)
{
    return gfa_length(b, 0, GX_MANY);
}

gfa *gfa_length(gx_builder *b, int32_t min, int32_t max)
{
    static const gx_range any[] = {{0, 0xD7FF}, {0xE000, GFA_LAST}};
    if (VG_MAX(min, max) >= GFA_STATES - 1)
        (void)gx_fail(b, VG_E_LIMIT, "a pattern beside a length of %d characters",
                      VG_MAX(min, max));
    return gfa_of(b, gx_repeat(b, gx_chars(b, any, VG_COUNT(any)), min, max));
}

gfa *gfa_words(gx_builder *b, const vg_str *word, size_t n)
{
    gx **alt = gx_array(b, n + 1, sizeof *alt);
    for (size_t i = 0; i < n && alt; i++) {
        gx **c = gx_array(b, word[i].n + 1, sizeof *c);
        size_t n_c = 0;
        for (size_t at = 0; at < word[i].n && c; n_c++) {
            gx_range r;
            at += vg_utf8_next(word[i].p + at, word[i].n - at, &r.lo);
            r.hi = r.lo;
            c[n_c] = gx_chars(b, &r, 1);
        }
        alt[i] = c ? gx_seq(b, c, n_c) : NULL;
    }
    return alt ? gfa_of(b, gx_alt(b, alt, n)) : NULL;
}

/* ---- two at once ----------------------------------------------------------------------------- */

/* The edges of a pair of states. y's state may be NONE: it has refused, which `minus` is after. */
static void make_pair(list_table *t, const gfa_state *x, const gfa_state *y, bool minus,
                      gfa_state *s)
{
    size_t n_y = y ? y->n : 0;
    if (!gx_spend(t->b, x->n + n_y + 20)) return;
    *s = (gfa_state){.edge = gx_array(t->b, 2 * (x->n + n_y) + 1, sizeof *s->edge)};
    s->accepts = x->accepts && (minus ? !(y && y->accepts) : y->accepts);
    for (uint32_t i = 0, k = 0; i < x->n && s->edge && !t->b->failed; i++) {
        for (int32_t lo = x->edge[i].lo; lo <= x->edge[i].hi;) {
            while (k < n_y && y->edge[k].hi < lo) k++;
            const gfa_edge *e = k < n_y && y->edge[k].lo <= x->edge[i].hi ? &y->edge[k] : NULL;
            bool inside = e && e->lo <= lo;
            int32_t hi = inside ? VG_MIN(e->hi, x->edge[i].hi) : e ? e->lo - 1 : x->edge[i].hi;
            if (inside || minus) {
                uint32_t pair[3] = {2, x->edge[i].to, inside ? e->to : NONE};
                uint32_t to = index_of(t, pair);
                if (to != NONE) add_edge(s, lo, hi, to);
            }
            lo = hi + 1;
        }
    }
}

static gfa *product(gx_builder *b, const gfa *x, const gfa *y, bool minus)
{
    if (!x || !y || b->failed) return NULL;
    list_table t = {.b = b};
    gfa *out = gx_array(b, 1, sizeof *out);
    if (!out) return NULL;
    (void)index_of(&t, (const uint32_t[]){2, 0, 0});
    for (uint32_t i = 0; i < t.n && !b->failed; i++) {
        uint32_t in_x = t.list[i][1], in_y = t.list[i][2];
        gfa_state *s = room(b, out, i);
        if (s) make_pair(&t, &x->state[in_x], in_y == NONE ? NULL : &y->state[in_y], minus, s);
    }
    out->n = (uint32_t)t.n;
    return b->failed ? NULL : out;
}

gfa *gfa_and(gx_builder *b, const gfa *x, const gfa *y)
{
    return product(b, x, y, false);
}

gfa *gfa_minus(gx_builder *b, const gfa *x, const gfa *y)
{
    return product(b, x, y, true);
}

/* ---- questions ------------------------------------------------------------------------------- */

bool gfa_accepts(const gfa *x, vg_str s)
{
    uint32_t at = 0;
    for (size_t i = 0; i < s.n;) {
        int32_t c;
        i += vg_utf8_next(s.p + i, s.n - i, &c);
        const gfa_state *state = &x->state[at];
        uint32_t e = 0;
        while (e < state->n && state->edge[e].hi < c) e++;
        if (e == state->n || state->edge[e].lo > c) return false;
        at = state->edge[e].to;
    }
    return x->state[at].accepts;
}

/* Every state was reached from the start, so any that accepts will do. */
bool gfa_is_empty(const gfa *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (x->state[i].accepts) return false;
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The one way in which a character is written in a JSON string, if it needs a backslash. */
static gx *escaped(gx_builder *b, int32_t c)
{
    static const char short_ways[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    for (const char *p = short_ways; *p; p += 2)
        if (*p == c) return gx_text(b, (vg_str){(const char[]){'\\', p[1]}, 2});
    char head[] = "\\u00?";
    head[4] = (char)('0' + c / 16);
    gx_range digit[2];
    size_t n = 1;
    digit[0].lo = digit[0].hi = c % 16 < 10 ? '0' + c % 16 : 'a' + c % 16 - 10;
    if (c % 16 >= 10) digit[n++] = (gx_range){'A' + c % 16 - 10, 'A' + c % 16 - 10};
    return GX_SEQ(b, gx_lit(b, head), gx_chars(b, digit, n));
}

/* Characters of some edges in JSON: plain ones, and those that need a backslash. */
static gx *json_chars(gx_builder *b, const gx_range *r, size_t n)
{
    gx *alt[40];
    size_t n_alt = 0, n_plain = 0;
    gx_range *plain = gx_array(b, 3 * n + 3, sizeof *plain);
    for (size_t i = 0; i < n && plain; i++) {
        int32_t lo = r[i].lo;
        for (; lo <= r[i].hi && lo < 0x20; lo++) alt[n_alt++] = escaped(b, lo);
        for (const char *c = "\"\\"; *c && lo <= r[i].hi; c++) {
            if (*c < lo || *c > r[i].hi) continue;
            alt[n_alt++] = escaped(b, *c);
            if (lo < *c) plain[n_plain++] = (gx_range){lo, *c - 1};
            lo = *c + 1;
        }
        if (lo <= r[i].hi) plain[n_plain++] = (gx_range){lo, r[i].hi};
    }
    if (n_plain) alt[n_alt++] = gx_chars(b, plain, n_plain);
    return gx_alt(b, alt, n_alt);
}

/* The edges of s, those that lead to one state together. */
static gx *state_body(gx_builder *b, const gfa_state *s, uint32_t base, gfa_writing how)
{
    gx **alt = gx_array(b, s->n + (size_t)1, sizeof *alt);
    gx_range *r = gx_array(b, s->n + (size_t)1, sizeof *r);
    bool *done = gx_array(b, s->n + (size_t)1, sizeof *done);
    size_t n_alt = 0;
    if (!alt || !r || !done) return NULL;
    for (uint32_t i = 0; i < s->n; i++) {
        size_t n = 0;
        for (uint32_t k = i; k < s->n && !done[i]; k++) {
            if (s->edge[k].to != s->edge[i].to) continue;
            r[n++] = (gx_range){s->edge[k].lo, s->edge[k].hi};
            done[k] = k > i;
        }
        if (n == 0) continue;
        gx *c = how == GFA_JSON ? json_chars(b, r, n) : gx_chars(b, r, n);
        alt[n_alt++] = GX_SEQ(b, c, gx_ref(b, base + s->edge[i].to));
    }
    if (s->accepts) alt[n_alt++] = gx_lit(b, "");
    return gx_alt(b, alt, n_alt);
}

gx *gfa_emit(gx_builder *b, const gfa *x, gfa_writing how)
{
    uint32_t base = b->n_rules;
    if (!x || b->failed) return NULL;
    for (uint32_t i = 0; i < x->n; i++) (void)gx_rule_new(b, (vg_str){0});
    for (uint32_t i = 0; i < x->n && !b->failed; i++)
        gx_define(b, base + i, state_body(b, &x->state[i], base, how));
    return gx_ref(b, base);
}
