/* Expressions to a network: nodes joined by bytes, by jumps, and by calls of rules (Woods 1970).
 * Each rule has one entry and one final node, and nothing leaves a final node, so a call that leads
 * to one need not be remembered: a list that ends in itself takes no more room than a loop.
 *
 * Recursion follows the depth of expressions, at most GX_DEPTH. */
#include "model/grammar_int.h"

typedef struct raw_edge {
    uint32_t from;
    gedge edge;
} raw_edge;

typedef struct chain { /* a counted repetition: nodes at.. at + n, an end from node at + min on */
    uint32_t at, n, min;
} chain;

typedef struct maker {
    const gx_builder *b;
    gnet *net;
    raw_edge *edge;
    chain *chain;
    size_t n_edges, cap_edges, n_chains, cap_chains, bytes;
    uint32_t n_nodes, final;
    vg_err *err;
} maker;

static vg_status new_nodes(maker *k, uint32_t n, uint32_t *first)
{
    *first = 0;
    if (n > GNET_NODES - k->n_nodes)
        return VG_FAIL(k->err, VG_E_LIMIT, "the grammar needs more than %d nodes", GNET_NODES);
    *first = k->n_nodes;
    k->n_nodes += n;
    return VG_OK;
}

static vg_status add(maker *k, uint32_t from, gedge e)
{
    if (e.kind == GEDGE_JUMP && from == e.to) return VG_OK;
    if (k->n_edges >= 2 * (size_t)GNET_NODES)
        return VG_FAIL(k->err, VG_E_LIMIT, "the grammar needs more than %d edges", 2 * GNET_NODES);
    VG_TRY(grow_array((void **)&k->edge, &k->cap_edges, k->n_edges + 1, sizeof *k->edge, &k->bytes,
                      k->err));
    k->edge[k->n_edges++] = (raw_edge){from, e};
    return VG_OK;
}

static vg_status jump(maker *k, uint32_t from, uint32_t to)
{
    return add(k, from, (gedge){.kind = GEDGE_JUMP, .to = to});
}

static vg_status byte(maker *k, uint32_t from, unsigned lo, unsigned hi, uint32_t to)
{
    return add(k, from,
               (gedge){.kind = GEDGE_BYTE, .lo = (uint8_t)lo, .hi = (uint8_t)hi, .to = to});
}

/* s, from node to node. */
static vg_status text(maker *k, vg_str s, uint32_t from, uint32_t to)
{
    if (s.n == 0) return jump(k, from, to);
    for (size_t i = 0; i < s.n; i++) {
        uint32_t next = to;
        if (i + 1 < s.n) VG_TRY(new_nodes(k, 1, &next));
        VG_TRY(byte(k, from, (unsigned char)s.p[i], (unsigned char)s.p[i], next));
        from = next;
    }
    return VG_OK;
}

/* Sorted words share the nodes of what they begin with. */
static vg_status words(maker *k, const gx *x, uint32_t from, uint32_t to)
{
    size_t longest = 0;
    for (size_t i = 0; i < x->n; i++) longest = VG_MAX(longest, x->word[i].n);
    uint32_t *path = VG_ARENA_ARRAY(k->b->arena, uint32_t, longest + 1);
    if (!path) return VG_FAIL_MEMORY(k->err, longest * sizeof *path);
    path[0] = from;
    vg_str before = {0};
    for (size_t i = 0; i < x->n; i++) {
        vg_str w = x->word[i];
        if (i && vg_str_eq(w, before)) continue;
        if (w.n == 0) VG_TRY(jump(k, from, to));
        size_t same = 0; /* bytes whose nodes are there; the last byte of a word leads to the end */
        while (same + 1 < VG_MIN(w.n, before.n) && w.p[same] == before.p[same]) same++;
        for (; same < w.n; same++) {
            unsigned c = (unsigned char)w.p[same];
            path[same + 1] = to;
            if (same + 1 < w.n) VG_TRY(new_nodes(k, 1, &path[same + 1]));
            VG_TRY(byte(k, path[same], c, c, path[same + 1]));
        }
        before = w;
    }
    return VG_OK;
}

/* ---- characters to bytes --------------------------------------------------------------------- */

typedef struct utf8_maker {
    maker *k;
    uint32_t from, to;
    uint32_t tail[4]; /* tail[i]: i bytes of 80 to BF lead from here to `to` */
} utf8_maker;

static vg_status tail_node(utf8_maker *u, size_t n, uint32_t *out)
{
    u->tail[0] = u->to;
    for (size_t i = 1; i <= n; i++) {
        if (u->tail[i]) continue;
        VG_TRY(new_nodes(u->k, 1, &u->tail[i]));
        VG_TRY(byte(u->k, u->tail[i], 0x80, 0xBF, u->tail[i - 1]));
    }
    *out = u->tail[n];
    return VG_OK;
}

/* Characters lo to hi of one length whose bytes vary independently of each other. */
static vg_status byte_ranges(utf8_maker *u, int32_t lo, int32_t hi)
{
    char a[4], z[4];
    size_t n = vg_utf8_put(lo, a);
    vg_utf8_put(hi, z);
    uint32_t at = u->from;
    for (size_t i = 0; i < n; i++) {
        bool whole = true; /* whether all that follows is any continuation */
        for (size_t j = i + 1; j < n; j++)
            whole = whole && (unsigned char)a[j] == 0x80 && (unsigned char)z[j] == 0xBF;
        uint32_t next;
        if (whole) VG_TRY(tail_node(u, n - 1 - i, &next));
        else VG_TRY(new_nodes(u->k, 1, &next));
        VG_TRY(byte(u->k, at, (unsigned char)a[i], (unsigned char)z[i], next));
        if (whole) break;
        at = next;
    }
    return VG_OK;
}

/* Cuts lo to hi into parts for byte_ranges: at the lengths of UTF-8, around the surrogates, and
 * where a byte ends in the middle of the bytes below it. At most 3 + 2 * 3 cuts a part. */
static vg_status utf8_range(utf8_maker *u, int32_t lo, int32_t hi)
{
    static const int32_t last[] = {0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF, 0x10FFFF};
    while (lo <= hi) {
        int32_t end = hi;
        for (size_t i = VG_COUNT(last); i-- > 0;)
            if (lo <= last[i]) end = VG_MIN(hi, last[i]);
        for (int bits = 18; bits >= 6; bits -= 6) {
            int32_t m = (1 << bits) - 1;
            if (lo < 0x80 || (lo & ~m) == (end & ~m)) continue;
            if (lo & m) end = lo | m;
            else if ((end & m) != m) end = (end & ~m) - 1;
        }
        if (lo < 0xD800 || lo > 0xDFFF) VG_TRY(byte_ranges(u, lo, end));
        lo = end + 1;
    }
    return VG_OK;
}

/* ---- expressions ----------------------------------------------------------------------------- */

static vg_status make(maker *k, const gx *x, uint32_t from, uint32_t to);

static vg_status chained(maker *k, const gx *x, uint32_t from, uint32_t to)
{
    uint32_t n = (uint32_t)(x->max == GX_MANY ? x->min : x->max), at;
    VG_TRY(new_nodes(k, n + 1, &at));
    VG_TRY(jump(k, from, at));
    for (uint32_t i = 0; i < n; i++) VG_TRY(make(k, x->body, at + i, at + i + 1));
    for (uint32_t i = (uint32_t)x->min; i <= n; i++) VG_TRY(jump(k, at + i, to));
    if (x->max == GX_MANY) VG_TRY(make(k, x->body, at + n, at + n));
    VG_TRY(grow_array((void **)&k->chain, &k->cap_chains, k->n_chains + 1, sizeof *k->chain,
                      &k->bytes, k->err));
    k->chain[k->n_chains++] = (chain){.at = at, .n = n, .min = (uint32_t)x->min};
    return VG_OK;
}

static vg_status repeat(maker *k, const gx *x, uint32_t from, uint32_t to)
{
    uint32_t loop, end;
    if (x->max == 0) return jump(k, from, to);
    if (x->max != GX_MANY || x->min > 1) {
        if (VG_MAX(x->min, x->max) > 1) return chained(k, x, from, to);
        VG_TRY(jump(k, from, to)); /* at most once */
        return make(k, x->body, from, to);
    }
    VG_TRY(new_nodes(k, 1, &loop));
    VG_TRY(jump(k, from, loop));
    if (x->min == 0) {
        VG_TRY(make(k, x->body, loop, loop));
        return jump(k, loop, to);
    }
    VG_TRY(new_nodes(k, 1, &end));
    VG_TRY(make(k, x->body, loop, end));
    VG_TRY(jump(k, end, loop));
    return jump(k, end, to);
}

static vg_status sequence(maker *k, const gx *x, uint32_t from, uint32_t to)
{
    if (x->n == 0) return jump(k, from, to);
    for (size_t i = 0; i < x->n; i++) {
        uint32_t next = to;
        if (i + 1 < x->n) VG_TRY(new_nodes(k, 1, &next));
        VG_TRY(make(k, x->item[i], from, next));
        from = next;
    }
    return VG_OK;
}

static vg_status make(maker *k, const gx *x, uint32_t from, uint32_t to)
{
    switch (x->kind) {
    case GX_TEXT: return text(k, (vg_str){x->text, x->n}, from, to);
    case GX_WORDS: return words(k, x, from, to);
    case GX_CHARS: {
        utf8_maker u = {.k = k, .from = from, .to = to};
        for (size_t i = 0; i < x->n; i++) VG_TRY(utf8_range(&u, x->range[i].lo, x->range[i].hi));
        return VG_OK;
    }
    case GX_SEQ: return sequence(k, x, from, to);
    case GX_ALT:
        for (size_t i = 0; i < x->n; i++) VG_TRY(make(k, x->item[i], from, to));
        return VG_OK;
    case GX_REPEAT: return repeat(k, x, from, to);
    case GX_RULE:
        return add(k, from, (gedge){.kind = GEDGE_CALL,
                                    .rule = x->rule,
                                    .to = to,
                                    .last = to == k->final});
    }
    return VG_OK;
}

static vg_status make_rules(maker *k)
{
    gnet *net = k->net;
    net->n_rules = k->b->n_rules;
    net->rule = VG_ARENA_ARRAY(net->arena, grule, (size_t)net->n_rules);
    if (!net->rule) return VG_FAIL_MEMORY(k->err, net->n_rules * sizeof *net->rule);
    k->n_nodes = 1; /* the end of the text */
    for (uint32_t i = 0; i < net->n_rules; i++) {
        const gx_rule *r = &k->b->rule[i];
        if (!r->body)
            return VG_FAIL(k->err, VG_E_FORMAT, "rule '%.*s' is used and not defined",
                           VG_STR_ARG(r->name));
        VG_TRY(new_nodes(k, 2, &net->rule[i].entry));
        net->rule[i].final = k->final = net->rule[i].entry + 1;
        VG_TRY(make(k, r->body, net->rule[i].entry, k->final));
    }
    return VG_OK;
}

/* ---- the network's arrays -------------------------------------------------------------------- */

/* Edges in the order of the nodes that they leave. */
static vg_status lay_out(maker *k)
{
    gnet *net = k->net;
    net->n_nodes = k->n_nodes;
    net->n_edges = (uint32_t)k->n_edges;
    net->node = VG_ARENA_ARRAY(net->arena, gnode, (size_t)k->n_nodes + 1);
    net->edge = VG_ARENA_ARRAY(net->arena, gedge, k->n_edges + 1);
    if (!net->node || !net->edge)
        return VG_FAIL_MEMORY(k->err, k->n_nodes * sizeof *net->node);
    for (size_t i = 0; i < k->n_edges; i++) net->node[k->edge[i].from].edge++;
    uint32_t sum = 0;
    for (uint32_t i = 0; i <= net->n_nodes; i++) net->node[i].edge = sum += net->node[i].edge;
    for (size_t i = k->n_edges; i-- > 0;)
        net->edge[--net->node[k->edge[i].from].edge] = k->edge[i].edge;
    for (uint32_t i = 0; i < net->n_nodes; i++) net->node[i].like = i;
    for (uint32_t i = 0; i < net->n_rules; i++) net->node[net->rule[i].final].is_final = true;
    return VG_OK;
}

/* A token is at most `room` bytes long, so of a long count it sees no end that is further away. */
static void mark_chains(const maker *k, uint32_t room)
{
    gnet *net = k->net;
    for (size_t i = 0; i < k->n_chains; i++) {
        const chain *c = &k->chain[i];
        const gedge *body = &net->edge[net->node[c->at].edge];
        const gedge *end = &net->edge[net->node[c->at + 1].edge];
        bool nullable = false;
        for (; body < end; body++)
            nullable = nullable || (body->kind == GEDGE_CALL && net->rule[body->rule].nullable);
        if (nullable) continue;
        for (uint32_t at = 0; (uint64_t)at + room + 1 < c->min; at++)
            net->node[c->at + at].like = c->at + c->min - room - 1;
        for (uint32_t at = c->min; (uint64_t)at + room + 1 < c->n; at++)
            net->node[c->at + at].like = c->at + c->n - room - 1;
    }
}

/* Bytes fall into classes that no edge tells apart: each range of bytes splits the classes. */
static void classify_bytes(gnet *net)
{
    uint64_t seen[65536 / 64] = {0};
    net->n_classes = 1;
    for (uint32_t i = 0; i < net->n_edges; i++) {
        const gedge *e = &net->edge[i];
        uint32_t key = (uint32_t)e->lo << 8 | e->hi;
        if (e->kind != GEDGE_BYTE || seen[key / 64] >> key % 64 & 1) continue;
        seen[key / 64] |= UINT64_C(1) << key % 64;
        int inside[256], outside[256]; /* the new number of each class's part */
        memset(inside, -1, sizeof inside);
        memset(outside, -1, sizeof outside);
        int n = 0;
        for (unsigned c = 0; c < 256; c++) {
            int *part = (c >= e->lo && c <= e->hi ? inside : outside) + net->class_of[c];
            if (*part < 0) *part = n++;
            net->class_of[c] = (uint8_t)*part;
        }
        net->n_classes = (uint32_t)n;
    }
    for (unsigned c = 256; c-- > 0;) net->byte_of[net->class_of[c]] = (uint8_t)c;
}

vg_status gnet_build(gnet *net, const gx_builder *b, uint32_t root, uint32_t room, vg_err *err)
{
    maker k = {.b = b, .net = net, .err = err};
    *net = (gnet){.root = root};
    VG_TRY(vg_arena_new(&net->arena, (size_t)256 << 20, err));
    vg_status st = make_rules(&k);
    if (!st) st = lay_out(&k);
    if (!st) st = gnet_analyse(net, b, err);
    if (!st) {
        mark_chains(&k, room);
        classify_bytes(net);
    }
    vg_mem_free(k.edge);
    vg_mem_free(k.chain);
    return st;
}

void gnet_clear(gnet *net)
{
    vg_arena_free(net->arena);
    *net = (gnet){0};
}
