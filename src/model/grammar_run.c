/* The network walked a byte at a time, by all its paths at once. Where a path may call a rule, all
 * callers share the one entry, whose set of ways back names them (a graph-structured stack); places
 * at the same node are joined in the same way. So a state has at most one place a node, and the
 * same state is recognised when it comes again: the automaton is made where texts lead, and from
 * then on a byte costs a look-up. Left recursion was refused, so ways back never go in circles. */
#include <stdlib.h>

#include "model/grammar_int.h"

vg_status grow_array(void **p, size_t *cap, size_t n, size_t size, size_t *bytes, vg_err *err)
{
    if (n <= *cap) return VG_OK;
    size_t want = VG_MAX(n, *cap ? 2 * *cap : 16);
    void *grown = vg_mem_grow(*p, *cap * size, want * size);
    if (!grown) return VG_FAIL_MEMORY(err, want * size);
    *bytes += (want - *cap) * size;
    *p = grown;
    *cap = want;
    return VG_OK;
}

/* ---- sets of places -------------------------------------------------------------------------- */

static uint32_t mix(uint64_t x)
{
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 32);
}

static uint32_t hash_places(const gplace *p, size_t n)
{
    uint32_t h = (uint32_t)n;
    for (size_t i = 0; i < n; i++) h = mix(h ^ ((uint64_t)p[i].node << 32 | p[i].back)) + h * 31;
    return h;
}

static vg_status push(grun *r, gplaces *list, gplace p, vg_err *err)
{
    if (list->n >= GRUN_PAIRS)
        return VG_FAIL(err, VG_E_LIMIT, "the grammar is too ambiguous: %d places at once",
                       GRUN_PAIRS);
    VG_TRY(grow_array((void **)&list->item, &list->cap, list->n + 1, sizeof p, &r->bytes, err));
    list->item[list->n++] = p;
    return VG_OK;
}

/* Adds p unless it is there. Slots of earlier lists are told by the item that they lead to. */
static vg_status push_once(grun *r, gplaces *list, gplace p, vg_err *err)
{
    if (2 * (list->n + 1) > list->n_slots) {
        size_t want = list->n_slots ? 2 * list->n_slots : 64;
        uint32_t *slot = vg_mem_new(want * sizeof *slot);
        if (!slot) return VG_FAIL_MEMORY(err, want * sizeof *slot);
        r->bytes += (want - list->n_slots) * sizeof *slot;
        vg_mem_free(list->slot);
        list->slot = slot;
        list->n_slots = want;
        for (size_t i = 0; i < list->n; i++) {
            uint32_t at = mix((uint64_t)list->item[i].node << 32 | list->item[i].back);
            while (slot[at & (want - 1)]) at++;
            slot[at & (want - 1)] = (uint32_t)i + 1;
        }
    }
    uint32_t at = mix((uint64_t)p.node << 32 | p.back), *slot;
    for (;; at++) {
        slot = &list->slot[at & (list->n_slots - 1)];
        if (*slot == 0) break;
        const gplace *there = &list->item[*slot - 1];
        if (there->node == p.node && there->back == p.back) return VG_OK;
    }
    VG_TRY(push(r, list, p, err));
    *slot = (uint32_t)list->n;
    return VG_OK;
}

static void empty(gplaces *list)
{
    if (list->n) memset(list->slot, 0, list->n_slots * sizeof *list->slot);
    list->n = 0;
}

static bool precedes(gplace a, gplace b)
{
    return a.node != b.node ? a.node < b.node : a.back < b.back;
}

static int compare(const void *a, const void *b)
{
    const gplace *x = a, *y = b;
    return precedes(*x, *y) ? -1 : precedes(*y, *x);
}

static size_t sort_once(gplace *p, size_t n)
{
    if (n > 24) {
        qsort(p, n, sizeof *p, compare);
    } else {
        for (size_t i = 1; i < n; i++) {
            gplace moving = p[i];
            size_t at = i;
            for (; at > 0 && precedes(moving, p[at - 1]); at--) p[at] = p[at - 1];
            p[at] = moving;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || precedes(p[kept - 1], p[i])) p[kept++] = p[i];
    return kept;
}

static vg_status widen(grun *r, gtable *t, vg_err *err)
{
    if (2 * (t->n + 1) <= (size_t)t->mask + 1 && t->slot) return VG_OK;
    size_t want = t->slot ? 2 * ((size_t)t->mask + 1) : 256;
    uint32_t *slot = vg_mem_new(want * sizeof *slot);
    if (!slot) return VG_FAIL_MEMORY(err, want * sizeof *slot);
    for (size_t i = 0; t->slot && i <= t->mask; i++) {
        if (t->slot[i] == 0) continue;
        uint32_t at = t == &r->states ? r->state[t->slot[i] - 1].hash
                                      : r->back[t->slot[i] - 1].hash;
        while (slot[at & (want - 1)]) at++;
        slot[at & (want - 1)] = t->slot[i];
    }
    r->bytes += want * sizeof *slot - (t->slot ? want / 2 * sizeof *slot : 0);
    vg_mem_free(t->slot);
    t->slot = slot;
    t->mask = (uint32_t)(want - 1);
    return VG_OK;
}

/* Whether all[from..] begins with p[0..n); where there is nothing, `all` may be NULL. */
static bool same(const gplace *all, size_t from, const gplace *p, size_t n)
{
    return n == 0 || memcmp(all + from, p, n * sizeof *p) == 0;
}

/* The set of ways back p[0..n), which is sorted; `like` is still to be set where *made. */
static vg_status find_back(grun *r, const gplace *p, size_t n, uint32_t *out, bool *made,
                           vg_err *err)
{
    uint32_t hash = hash_places(p, n), at = hash, depth = 0;
    VG_TRY(widen(r, &r->backs, err));
    *made = false;
    for (; r->backs.slot[at & r->backs.mask]; at++) {
        uint32_t i = r->backs.slot[at & r->backs.mask] - 1;
        const gback *b = &r->back[i];
        if (b->hash != hash || b->n != n || !same(r->way, b->from, p, n)) continue;
        *out = i;
        return VG_OK;
    }
    for (size_t i = 0; i < n; i++) depth = VG_MAX(depth, r->back[p[i].back].depth + 1);
    VG_TRY(grow_array((void **)&r->back, &r->cap_backs, r->n_backs + 1, sizeof *r->back, &r->bytes,
                      err));
    VG_TRY(grow_array((void **)&r->way, &r->cap_ways, r->n_ways + n, sizeof *r->way, &r->bytes,
                      err));
    if (n) memcpy(r->way + r->n_ways, p, n * sizeof *p);
    uint32_t from = (uint32_t)r->n_ways;
    *out = (uint32_t)r->n_backs;
    r->back[r->n_backs++] = (gback){.from = from, .n = (uint32_t)n, .like = *out, .depth = depth,
                                    .hash = hash};
    r->n_ways += n;
    r->backs.slot[at & r->backs.mask] = *out + 1;
    r->backs.n++;
    *made = true;
    return VG_OK;
}

/* Sorts p[0..n) and finds or makes its set of ways back. */
static vg_status intern_back(grun *r, gplace *p, size_t n, uint32_t *out, vg_err *err)
{
    bool made;
    n = sort_once(p, n);
    VG_TRY(find_back(r, p, n, out, &made, err));
    if (!made) return VG_OK;
    bool differs = false;
    for (size_t i = 0; i < n; i++) {
        gplace like = {r->net->node[p[i].node].like, r->back[p[i].back].like};
        differs = differs || like.node != p[i].node || like.back != p[i].back;
        p[i] = like;
    }
    if (!differs) return VG_OK;
    uint32_t like;
    VG_TRY(find_back(r, p, sort_once(p, n), &like, &made, err)); /* it is like itself */
    r->back[*out].like = like;
    return VG_OK;
}

static vg_status intern_state(grun *r, const gplace *p, size_t n, bool may_end, int32_t *out,
                              vg_err *err)
{
    uint32_t hash = hash_places(p, n) ^ may_end, at = hash;
    VG_TRY(widen(r, &r->states, err));
    for (; r->states.slot[at & r->states.mask]; at++) {
        uint32_t i = r->states.slot[at & r->states.mask] - 1;
        const gstate *s = &r->state[i];
        if (s->hash != hash || s->n != n || s->may_end != may_end) continue;
        if (!same(r->place, s->from, p, n)) continue;
        *out = (int32_t)i;
        return VG_OK;
    }
    if (r->bytes > GRUN_HARD_BYTES || r->n_states >= INT32_MAX / 256)
        return VG_FAIL(err, VG_E_LIMIT, "the grammar is too ambiguous: %zu states", r->n_states);
    size_t classes = r->net->n_classes;
    VG_TRY(grow_array((void **)&r->state, &r->cap_states, r->n_states + 1, sizeof *r->state,
                      &r->bytes, err));
    VG_TRY(grow_array((void **)&r->next, &r->cap_next, (r->n_states + 1) * classes,
                      sizeof *r->next, &r->bytes, err));
    VG_TRY(grow_array((void **)&r->place, &r->cap_places, r->n_places + n, sizeof *r->place,
                      &r->bytes, err));
    if (n) memcpy(r->place + r->n_places, p, n * sizeof *p);
    for (size_t i = 0; i < classes; i++) r->next[r->n_states * classes + i] = GSTATE_UNKNOWN;
    *out = (int32_t)r->n_states;
    r->state[r->n_states++] = (gstate){.from = (uint32_t)r->n_places, .n = (uint32_t)n, .like = -1,
                                       .mask = -1, .hash = hash, .may_end = may_end};
    r->n_places += n;
    r->states.slot[at & r->states.mask] = (uint32_t)*out + 1;
    r->states.n++;
    return VG_OK;
}

/* ---- rules that begin in a step -------------------------------------------------------------- */

static bool in_order(const grun *r, uint32_t a, uint32_t b)
{
    return r->net->rule[a].order < r->net->rule[b].order;
}

static void heap_push(grun *r, uint32_t rule)
{
    size_t at = r->n_heap++;
    for (; at > 0 && in_order(r, rule, r->heap[(at - 1) / 2]); at = (at - 1) / 2)
        r->heap[at] = r->heap[(at - 1) / 2];
    r->heap[at] = rule;
}

static uint32_t heap_pop(grun *r)
{
    uint32_t top = r->heap[0], moving = r->heap[--r->n_heap];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < r->n_heap; at = child) {
        if (child + 1 < r->n_heap && in_order(r, r->heap[child + 1], r->heap[child])) child++;
        if (!in_order(r, r->heap[child], moving)) break;
        r->heap[at] = r->heap[child];
    }
    r->heap[at] = moving;
    return top;
}

static vg_status wait_for(grun *r, uint32_t rule, gplace way, vg_err *err)
{
    VG_TRY(push(r, &r->waiting, way, err));
    VG_TRY(grow_array((void **)&r->link, &r->cap_link, r->waiting.n, sizeof *r->link, &r->bytes,
                      err));
    if (r->head[rule] == 0) heap_push(r, rule);
    r->link[r->waiting.n - 1] = r->head[rule];
    r->head[rule] = (uint32_t)r->waiting.n;
    return VG_OK;
}

/* Whether the text can be ended from here without passing GNET_LEVELS. */
static bool fits(const grun *r, gplace p)
{
    return r->back[p.back].depth + r->net->node[p.node].height <= GNET_LEVELS;
}

/* A place at a node that calls: its rules wait to begin. */
static vg_status begin_calls(grun *r, gplace p, vg_err *err)
{
    const gnode *node = &r->net->node[p.node];
    for (uint32_t e = node->edge; e < node[1].edge; e++) {
        const gedge *edge = &r->net->edge[e];
        gplace way = {edge->to, p.back};
        if (edge->kind != GEDGE_CALL || !fits(r, way)) continue;
        if (!edge->last) {
            VG_TRY(wait_for(r, edge->rule, way, err));
            continue;
        }
        for (uint32_t i = 0; i < r->back[p.back].n; i++)
            VG_TRY(wait_for(r, edge->rule, r->way[r->back[p.back].from + i], err));
    }
    return VG_OK;
}

static vg_status begin_rule(grun *r, uint32_t rule, vg_err *err)
{
    uint32_t back;
    uint32_t first = r->head[rule];
    r->head[rule] = 0;
    r->joined.n = 0;
    for (uint32_t i = first; i; i = r->link[i - 1])
        VG_TRY(push(r, &r->joined, r->waiting.item[i - 1], err));
    VG_TRY(intern_back(r, r->joined.item, r->joined.n, &back, err));
    const grule *g = &r->net->rule[rule];
    r->work -= VG_MIN(r->work, (size_t)g->n_first);
    for (uint32_t i = 0; i < g->n_first; i++) {
        gplace p = {r->net->first[g->first + i], back};
        const gnode *node = &r->net->node[p.node];
        if (!fits(r, p)) continue;
        if (node->has_bytes) VG_TRY(push(r, &r->ends, p, err));
        if (node->has_calls) VG_TRY(begin_calls(r, p, err));
    }
    return VG_OK;
}

/* ---- one step -------------------------------------------------------------------------------- */

static vg_status reach(grun *r, gplace p, vg_err *err)
{
    if (p.node == 0) r->ended = true;
    else if (fits(r, p)) VG_TRY(push_once(r, &r->reached, p, err));
    return VG_OK;
}

/* Where p leads without a byte. */
static vg_status follow(grun *r, gplace p, vg_err *err)
{
    const gnode *node = &r->net->node[p.node];
    if (node->is_final)
        for (uint32_t i = 0; i < r->back[p.back].n; i++)
            VG_TRY(reach(r, r->way[r->back[p.back].from + i], err));
    for (uint32_t e = node->edge; e < node[1].edge; e++) {
        const gedge *edge = &r->net->edge[e];
        bool passes = edge->kind == GEDGE_JUMP ||
                      (edge->kind == GEDGE_CALL && r->net->rule[edge->rule].nullable);
        if (passes) VG_TRY(reach(r, (gplace){edge->to, p.back}, err));
    }
    if (node->has_bytes) VG_TRY(push(r, &r->ends, p, err));
    return node->has_calls ? begin_calls(r, p, err) : VG_OK;
}

/* The places in r->ends, those at one node joined, as a state. */
static vg_status join(grun *r, int32_t *out, vg_err *err)
{
    gplace *p = r->ends.item;
    size_t n = sort_once(p, r->ends.n), kept = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && p[end].node == p[i].node) end++;
        gplace one = p[i];
        if (end > i + 1) {
            r->joined.n = 0;
            for (size_t k = i; k < end; k++)
                for (uint32_t w = 0; w < r->back[p[k].back].n; w++)
                    VG_TRY(push(r, &r->joined, r->way[r->back[p[k].back].from + w], err));
            VG_TRY(intern_back(r, r->joined.item, r->joined.n, &one.back, err));
        }
        p[kept++] = one;
        i = end;
    }
    return intern_state(r, p, kept, r->ended, out, err);
}

static void clear_step(grun *r)
{
    empty(&r->reached);
    while (r->n_heap) r->head[r->heap[--r->n_heap]] = 0; /* after a failure */
    r->ends.n = r->waiting.n = 0;
    r->ended = false;
}

/* The state of all that the places in r->reached lead to. */
static vg_status close_step(grun *r, int32_t *out, vg_err *err)
{
    for (size_t i = 0; i < r->reached.n; i++) VG_TRY(follow(r, r->reached.item[i], err));
    while (r->n_heap) VG_TRY(begin_rule(r, heap_pop(r), err));
    size_t work = r->reached.n + r->ends.n + r->waiting.n;
    if (work > r->work)
        return VG_FAIL(err, VG_E_LIMIT, "the grammar is too ambiguous: %d places for one token",
                       GRUN_WORK);
    r->work -= work;
    return join(r, out, err);
}

vg_status grun_step(grun *r, int32_t state, uint8_t class_of_byte, int32_t *out, vg_err *err)
{
    size_t slot = (size_t)state * r->net->n_classes + class_of_byte;
    if ((*out = r->next[slot]) != GSTATE_UNKNOWN) return VG_OK;
    const gstate s = r->state[state];
    uint8_t byte = r->net->byte_of[class_of_byte];
    clear_step(r);
    for (uint32_t i = 0; i < s.n; i++) {
        gplace p = r->place[s.from + i];
        const gnode *node = &r->net->node[p.node];
        for (uint32_t e = node->edge; e < node[1].edge; e++) {
            const gedge *edge = &r->net->edge[e];
            if (edge->kind == GEDGE_BYTE && byte >= edge->lo && byte <= edge->hi)
                VG_TRY(reach(r, (gplace){edge->to, p.back}, err));
        }
    }
    VG_TRY(close_step(r, out, err));
    r->next[slot] = *out;
    return VG_OK;
}

vg_status grun_like(grun *r, int32_t state, int32_t *out, vg_err *err)
{
    if ((*out = r->state[state].like) >= 0) return VG_OK;
    const gstate s = r->state[state];
    r->joined.n = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        gplace p = r->place[s.from + i];
        gplace like = {r->net->node[p.node].like, r->back[p.back].like};
        VG_TRY(push(r, &r->joined, like, err));
    }
    r->joined.n = sort_once(r->joined.item, r->joined.n);
    VG_TRY(intern_state(r, r->joined.item, r->joined.n, s.may_end, out, err));
    r->state[state].like = *out;
    return VG_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

static vg_status set_up(grun *r, const gnet *net, vg_err *err)
{
    uint32_t none, back;
    int32_t dead;
    bool made;
    size_t bytes = ((size_t)net->n_rules + 1) * sizeof *r->head;
    r->net = net;
    r->head = vg_mem_new(bytes);
    r->heap = vg_mem_new(bytes);
    if (!r->head || !r->heap) return VG_FAIL_MEMORY(err, bytes);
    r->work = GRUN_WORK;
    VG_TRY(intern_state(r, NULL, 0, false, &dead, err));
    assert(dead == GSTATE_DEAD);
    for (uint32_t c = 0; c < net->n_classes; c++) r->next[c] = GSTATE_DEAD;
    VG_TRY(find_back(r, NULL, 0, &none, &made, err)); /* from the end of the text */
    gplace end = {0, none};
    VG_TRY(intern_back(r, &end, 1, &back, err));
    VG_TRY(reach(r, (gplace){net->rule[net->root].entry, back}, err));
    return close_step(r, &r->start, err);
}

vg_status grun_init(grun *r, const gnet *net, vg_err *err)
{
    *r = (grun){0};
    vg_status st = set_up(r, net, err);
    if (st) grun_clear(r);
    return st;
}

void grun_clear(grun *r)
{
    void *const all[] = {r->state, r->back, r->place, r->way, r->next, r->states.slot,
                         r->backs.slot, r->reached.item, r->reached.slot, r->ends.item,
                         r->joined.item, r->waiting.item, r->link, r->head, r->heap};
    for (size_t i = 0; i < VG_COUNT(all); i++) vg_mem_free(all[i]);
    *r = (grun){0};
}

/* Ways back of `old` that `state` needs, marked. Ways lead to sets with lower numbers. */
static void mark(const grun *old, int32_t state, uint32_t *moved)
{
    const gstate *s = &old->state[state];
    for (uint32_t i = 0; i < s->n; i++) moved[old->place[s->from + i].back] = 1;
}

static vg_status move_backs(grun *r, const grun *old, uint32_t *moved, vg_err *err)
{
    for (size_t b = old->n_backs; b-- > 0;)
        for (uint32_t i = 0; moved[b] && i < old->back[b].n; i++)
            moved[old->way[old->back[b].from + i].back] = 1;
    for (size_t b = 0; b < old->n_backs; b++) {
        if (!moved[b]) continue;
        r->joined.n = 0;
        for (uint32_t i = 0; i < old->back[b].n; i++) {
            gplace p = old->way[old->back[b].from + i];
            VG_TRY(push(r, &r->joined, (gplace){p.node, moved[p.back]}, err));
        }
        VG_TRY(intern_back(r, r->joined.item, r->joined.n, &moved[b], err));
    }
    return VG_OK;
}

static vg_status move_state(grun *r, const grun *old, const uint32_t *moved, int32_t *state,
                            vg_err *err)
{
    const gstate *s = &old->state[*state];
    r->joined.n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        gplace p = old->place[s->from + i];
        VG_TRY(push(r, &r->joined, (gplace){p.node, moved[p.back]}, err));
    }
    r->joined.n = sort_once(r->joined.item, r->joined.n);
    return intern_state(r, r->joined.item, r->joined.n, s->may_end, state, err);
}

vg_status grun_adopt(grun *r, const grun *old, int32_t *state, size_t n, vg_err *err)
{
    uint32_t *moved = vg_mem_new(old->n_backs * sizeof *moved);
    if (!moved) return VG_FAIL_MEMORY(err, old->n_backs * sizeof *moved);
    for (size_t i = 0; i < n; i++) mark(old, state[i], moved);
    vg_status st = move_backs(r, old, moved, err);
    for (size_t i = 0; !st && i < n; i++) st = move_state(r, old, moved, &state[i], err);
    vg_mem_free(moved);
    return st;
}
