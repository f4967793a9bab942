/* What must be known of a network before a text is written with it. A node's height is how many
 * rules inside one another its way to the end needs at least; what has none leads nowhere and is
 * cut off, so that every text which has begun can be ended, within GNET_LEVELS too. Heights spread
 * backwards from final nodes, a round for each level. The same walk without bytes finds the rules
 * that may be empty. A rule that begins with itself would begin for ever: it is refused. */
#include "model/grammar_int.h"

#define NOT_YET UINT32_MAX

typedef struct spread { /* backwards along edges */
    const gnet *net;
    const uint32_t *from;              /* [n_edges] */
    const uint32_t *in, *in_edge;      /* [n_nodes + 1], [n_edges] edges that lead to a node */
    const uint32_t *calls, *call_edge; /* [n_rules + 1], [n_edges] calls of a rule */
    const uint32_t *rule_of_entry;     /* [n_nodes] + 1; 0: no entry */
    uint32_t *level;                   /* [n_nodes] */
    uint32_t *now, *later;             /* lists; an edge may put its node twice into `later` */
    size_t n_now, n_later;
    bool over_bytes;
} spread;

static uint32_t *numbers(gnet *net, size_t n)
{
    return VG_ARENA_ARRAY(net->arena, uint32_t, n + 1);
}

static bool set_up(spread *s, gnet *net)
{
    size_t n = net->n_nodes, m = net->n_edges;
    uint32_t *from = numbers(net, m), *in = numbers(net, n + 1), *in_edge = numbers(net, m);
    uint32_t *calls = numbers(net, (size_t)net->n_rules + 1), *call_edge = numbers(net, m);
    uint32_t *entry = numbers(net, n);
    *s = (spread){.net = net, .from = from, .in = in, .in_edge = in_edge, .calls = calls,
                  .call_edge = call_edge, .rule_of_entry = entry, .level = numbers(net, n),
                  .now = numbers(net, n), .later = numbers(net, 2 * m + net->n_rules)};
    if (!from || !in || !in_edge || !calls || !call_edge || !entry || !s->level || !s->now ||
        !s->later)
        return false;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = net->node[i].edge; e < net->node[i + 1].edge; e++) {
            from[e] = i;
            in[net->edge[e].to]++;
            if (net->edge[e].kind == GEDGE_CALL) calls[net->edge[e].rule]++;
        }
    for (uint32_t i = 0, sum = 0; i <= n; i++) in[i] = sum += in[i];
    for (uint32_t i = 0, sum = 0; i <= net->n_rules; i++) calls[i] = sum += calls[i];
    for (uint32_t e = (uint32_t)m; e-- > 0;) {
        in_edge[--in[net->edge[e].to]] = e;
        if (net->edge[e].kind == GEDGE_CALL) call_edge[--calls[net->edge[e].rule]] = e;
    }
    for (uint32_t r = 0; r < net->n_rules; r++) entry[net->rule[r].entry] = r + 1;
    return true;
}

static void reach(spread *s, uint32_t node, uint32_t level, uint32_t round)
{
    if (s->level[node] != NOT_YET) return;
    if (level > round) {
        s->later[s->n_later++] = node;
    } else {
        s->level[node] = round;
        s->now[s->n_now++] = node;
    }
}

static void reach_through(spread *s, uint32_t e, uint32_t round)
{
    const gedge *edge = &s->net->edge[e];
    if (edge->kind == GEDGE_JUMP || (edge->kind == GEDGE_BYTE && s->over_bytes))
        reach(s, s->from[e], round, round);
    if (edge->kind != GEDGE_CALL) return;
    uint32_t height = s->level[s->net->rule[edge->rule].entry];
    if (height != NOT_YET) reach(s, s->from[e], height + 1, round);
}

/* Levels of all nodes; those that have none keep NOT_YET. */
static void run_spread(spread *s, bool over_bytes)
{
    const gnet *net = s->net;
    s->over_bytes = over_bytes;
    s->n_later = 0;
    for (uint32_t i = 0; i < net->n_nodes; i++) s->level[i] = NOT_YET;
    for (uint32_t r = 0; r < net->n_rules; r++) s->later[s->n_later++] = net->rule[r].final;
    for (uint32_t round = 0; s->n_later > 0; round++) {
        size_t n = s->n_later;
        s->n_now = s->n_later = 0;
        for (size_t i = 0; i < n; i++) reach(s, s->later[i], round, round);
        for (size_t i = 0; i < s->n_now; i++) {
            uint32_t node = s->now[i], rule1 = s->rule_of_entry[node];
            for (uint32_t k = s->in[node]; k < s->in[node + 1]; k++)
                reach_through(s, s->in_edge[k], round);
            for (uint32_t k = rule1 ? s->calls[rule1 - 1] : 0; rule1 && k < s->calls[rule1]; k++) {
                uint32_t e = s->call_edge[k];
                if (s->level[net->edge[e].to] != NOT_YET) reach(s, s->from[e], round + 1, round);
            }
        }
    }
}

/* ---- what leads nowhere ---------------------------------------------------------------------- */

static void cut(gnet *net, const spread *s)
{
    uint32_t kept = 0;
    for (uint32_t i = 0, e = 0; i < net->n_nodes; i++) {
        uint32_t end = net->node[i + 1].edge;
        net->node[i].edge = kept;
        net->node[i].height = (uint16_t)VG_MIN(s->level[i], (uint32_t)UINT16_MAX);
        for (; e < end; e++) {
            const gedge *edge = &net->edge[e];
            if (s->level[edge->to] == NOT_YET) continue;
            if (edge->kind == GEDGE_CALL && s->level[net->rule[edge->rule].entry] == NOT_YET)
                continue;
            net->node[i].has_bytes |= edge->kind == GEDGE_BYTE;
            net->node[i].has_calls |= edge->kind == GEDGE_CALL;
            net->edge[kept++] = *edge;
        }
    }
    net->node[net->n_nodes].edge = net->n_edges = kept;
    net->node[0].height = 0; /* the end of the text */
}

/* ---- how rules begin ------------------------------------------------------------------------- */

/* The nodes that rule r can be at before its first byte, those which lead on. */
static void find_first(gnet *net, grule *r, uint32_t *list, uint32_t *n_first, bool *seen)
{
    size_t n = 1;
    list[0] = r->entry;
    seen[r->entry] = true;
    r->first = *n_first;
    for (size_t i = 0; i < n; i++) {
        const gnode *node = &net->node[list[i]];
        if (node->has_bytes || node->has_calls) net->first[(*n_first)++] = list[i];
        for (uint32_t e = node->edge; e < node[1].edge; e++) {
            const gedge *edge = &net->edge[e];
            bool passes = edge->kind == GEDGE_JUMP ||
                          (edge->kind == GEDGE_CALL && net->rule[edge->rule].nullable);
            if (!passes || seen[edge->to]) continue;
            seen[edge->to] = true;
            list[n++] = edge->to;
        }
    }
    r->n_first = *n_first - r->first;
}

typedef struct visit { /* of a rule on the way down: its next edge is edge `e` of first node `i` */
    uint32_t rule, i, e;
} visit;

/* The next rule that v's rule can begin with; false: no more. */
static bool next_begun(const gnet *net, visit *v, uint32_t *rule)
{
    const grule *r = &net->rule[v->rule];
    for (; v->i < r->n_first; v->i++, v->e = 0) {
        const gnode *node = &net->node[net->first[r->first + v->i]];
        while (v->e < node[1].edge - node->edge) {
            const gedge *edge = &net->edge[node->edge + v->e++];
            if (edge->kind != GEDGE_CALL) continue;
            *rule = edge->rule;
            return true;
        }
    }
    return false;
}

/* Rules in an order in which each comes before those that it begins with. */
static vg_status sort_rules(gnet *net, const gx_builder *b, visit *stack, uint8_t *colour,
                            vg_err *err)
{
    enum { NEW, OPEN, DONE };
    uint32_t order = net->n_rules;
    for (uint32_t root = 0; root < net->n_rules; root++) {
        size_t depth = 0;
        if (colour[root] != NEW) continue;
        colour[root] = OPEN;
        stack[depth++] = (visit){.rule = root};
        while (depth > 0) {
            visit *v = &stack[depth - 1];
            uint32_t next;
            if (!next_begun(net, v, &next)) {
                colour[v->rule] = DONE;
                net->rule[v->rule].order = --order;
                depth--;
            } else if (colour[next] == OPEN) {
                vg_str name = b->rule[next].name;
                if (name.n == 0) name = VG_STR("(unnamed)");
                return VG_FAIL(err, VG_E_FORMAT, "rule '%.*s' begins with itself (left recursion)",
                               VG_STR_ARG(name));
            } else if (colour[next] == NEW) {
                colour[next] = OPEN;
                stack[depth++] = (visit){.rule = next};
            }
        }
    }
    return VG_OK;
}

vg_status gnet_analyse(gnet *net, const gx_builder *b, vg_err *err)
{
    spread s;
    if (!set_up(&s, net)) return VG_FAIL_MEMORY(err, net->n_edges * sizeof *s.in);
    run_spread(&s, false);
    for (uint32_t r = 0; r < net->n_rules; r++)
        net->rule[r].nullable = s.level[net->rule[r].entry] != NOT_YET;
    run_spread(&s, true);
    uint32_t height = s.level[net->rule[net->root].entry];
    if (height == NOT_YET)
        return VG_FAIL(err, VG_E_FORMAT, "no finite text fits: the grammar has no end");
    if (height >= GNET_LEVELS)
        return VG_FAIL(err, VG_E_LIMIT, "the shortest text needs %u rules inside one another",
                       height);
    cut(net, &s);
    size_t n = net->n_nodes;
    net->first = numbers(net, n);
    bool *seen = VG_ARENA_ARRAY(net->arena, bool, n);
    visit *stack = VG_ARENA_ARRAY(net->arena, visit, (size_t)net->n_rules + 1);
    uint8_t *colour = VG_ARENA_ARRAY(net->arena, uint8_t, (size_t)net->n_rules + 1);
    if (!net->first || !seen || !stack || !colour) return VG_FAIL_MEMORY(err, n * sizeof *stack);
    uint32_t n_first = 0;
    for (uint32_t r = 0; r < net->n_rules; r++)
        find_first(net, &net->rule[r], s.now, &n_first, seen);
    return sort_rules(net, b, stack, colour, err);
}
