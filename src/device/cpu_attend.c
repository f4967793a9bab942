/* The CPU device's attention: rotation, the pages of the KV cache, and what is computed together.
 * Positions are cut into tiles and spans of tiles at absolute places. Each span is computed from
 * nothing and the spans are merged in order, whoever computes them: so neither chunks, nor the
 * rows that share a pass over a tile, nor threads show in a result. With few rows each span is a
 * part for a thread, with many each part goes through all its spans. It never computes: that is
 * src/kern's. */
#include "device/cpu_int.h"

enum {
    MAX_Q = 16,              /* queries that share a pass: their states stay in the first cache */
    SPAN_TILES = 8,          /* changing it changes the bits of every model */
    SPAN_TOK = SPAN_TILES * VG_TILE,
    STORE_ROWS = 16,         /* neighbours share cache lines */
    PARTS_PER_THREAD = 4,    /* enough for an even share of work */
    ALIGN = 64
};

typedef struct rope_job {
    vg_device *d;
    float *x;
    const vg_rope *r;
} rope_job;

static void rope_part(void *arg, uint32_t row, uint32_t thread)
{
    VG_UNUSED(thread);
    const rope_job *j = arg;
    const vg_rope *r = j->r;
    size_t n_pairs = r->n_rot / 2, at = row * n_pairs;
    float *x = j->x + row * r->n_heads * r->dim;
    for (size_t h = 0; h < r->n_heads; h++)
        j->d->kern->rope(x + h * r->dim, r->cos + at, r->sin + at, n_pairs, r->interleaved);
}

void cpu_rope(vg_device *d, float *x, const vg_rope *r)
{
    rope_job j = {d, x, r};
    cpu_run(d, r->n_rows, rope_part, &j);
}

/* ---- the cache ------------------------------------------------------------------------------ */

static size_t k_tile_bytes(const vg_cache *c)
{
    return VG_TILE * vg_kv_row_bytes(c->kind, c->dim_k);
}

static size_t head_bytes(const vg_cache *c)
{
    return k_tile_bytes(c) + VG_TILE * vg_kv_row_bytes(c->kind, c->dim_v);
}

/* Keys and values of one head in the tile of a position; bytes is head_bytes. */
static uint8_t *tile_at(const vg_cache *c, const vg_place *at, size_t pos, size_t head,
                        size_t bytes)
{
    return c->base + at->page[pos / VG_TILE] * c->page_bytes + head * bytes;
}

typedef struct store_job {
    vg_device *d;
    const vg_cache *c;
    const vg_place *place;
    const float *k, *v;
    size_t n_rows;
} store_job;

static void store_part(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(thread);
    const store_job *j = arg;
    const vg_cache *c = j->c;
    const vg_kern *kern = j->d->kern;
    size_t bytes = head_bytes(c), k_bytes = k_tile_bytes(c), first = (size_t)part * STORE_ROWS;
    for (size_t row = first; row < VG_MIN(first + STORE_ROWS, j->n_rows); row++)
        for (size_t h = 0; h < c->n_kv_heads; h++) {
            size_t pos = j->place[row].pos, at = row * c->n_kv_heads + h;
            uint8_t *tile = tile_at(c, &j->place[row], pos, h, bytes);
            kern->store_key(c->kind, j->k + at * c->dim_k, tile, pos % VG_TILE, c->dim_k);
            kern->store_value(c->kind, j->v + at * c->dim_v, tile + k_bytes, pos % VG_TILE,
                              c->dim_v);
        }
}

void cpu_store(vg_device *d, const vg_cache *c, const vg_place *place, const float *k,
               const float *v, size_t n_rows)
{
    store_job j = {d, c, place, k, v, n_rows};
    cpu_run(d, cpu_parts(n_rows, STORE_ROWS), store_part, &j);
}

/* ---- one pass ------------------------------------------------------------------------------- */

typedef struct attend_job {
    vg_device *d;
    const vg_attention *a;
    size_t group;          /* query heads of a key head */
    size_t head_bytes;     /* of the cache */
    size_t rows_per_part;  /* many rows */
    size_t n_spans;        /* few rows: the most that one sees */
} attend_job;

/* Some heads of one group, of rows of one session that follow each other. */
typedef struct attend_pass {
    const attend_job *j;
    size_t row, n_rows, kv_head, head, n_heads; /* head: the first, within its group */
    float *q;      /* [n_rows, n_heads, dim_k], in the kinds of float */
    vg_act *q_act; /* the same in Q8 */
} attend_pass;

/* A row sees the positions from first_seen to before end_seen. */
static size_t end_seen(const attend_job *j, size_t row)
{
    return j->a->end ? j->a->end[row] : (size_t)j->a->place[row].pos + 1;
}

static size_t first_seen(const attend_job *j, size_t row)
{
    size_t n_seen = end_seen(j, row), window = j->a->window_tok;
    return window && n_seen > window ? n_seen - window : 0;
}

/* Where query head i of the pass's row r stands among all heads of all rows. */
static size_t head_at(const attend_pass *p, size_t r, size_t i)
{
    return (p->row + r) * p->j->a->n_heads + p->kv_head * p->j->group + p->head + i;
}

static void read_queries(attend_pass *p)
{
    const vg_attention *a = p->j->a;
    size_t n = a->cache->dim_k, i = 0;
    for (size_t r = 0; r < p->n_rows; r++)
        for (size_t h = 0; h < p->n_heads; h++, i++) {
            const float *q = a->q + head_at(p, r, h) * n;
            if (a->cache->kind == VG_KVK_Q8)
                p->j->d->kern->quantise(q, p->q_act + i * vg_act_blocks(n), n);
            else memcpy(p->q + i * n, q, n * sizeof *q);
        }
}

/* What each query sees of the tile at `base`. Those that see some of it are neighbours: returns
 * their number, from *first on. */
static size_t look(const attend_pass *p, size_t base, vg_seen seen[MAX_Q], size_t *first)
{
    size_t n = 0;
    for (size_t r = 0; r < p->n_rows; r++) {
        size_t row = p->row + r, from = first_seen(p->j, row);
        size_t end = end_seen(p->j, row);
        if (from >= base + VG_TILE || end <= base) continue;
        if (n == 0) *first = r * p->n_heads;
        for (size_t h = 0; h < p->n_heads; h++)
            seen[n++] = (vg_seen){.begin = (uint8_t)(from > base ? from - base : 0),
                                  .end = (uint8_t)VG_MIN(end - base, (size_t)VG_TILE)};
    }
    return n;
}

/* Takes the tiles of one span into an empty state. */
static void attend_span(const attend_pass *p, size_t span, const vg_attn_state *s)
{
    const vg_attention *a = p->j->a;
    const vg_cache *c = a->cache;
    size_t last_row = p->row + p->n_rows - 1, n_q = p->n_rows * p->n_heads, first = 0;
    const vg_place *last = &a->place[last_row];
    size_t begin = VG_MAX(first_seen(p->j, p->row) / VG_TILE * VG_TILE, span * SPAN_TOK);
    size_t end = VG_MIN(end_seen(p->j, last_row), (span + 1) * SPAN_TOK);
    for (size_t i = 0; i < n_q; i++) {
        s->m[i] = -INFINITY;
        s->l[i] = 0;
    }
    memset(s->acc, 0, n_q * c->dim_v * sizeof *s->acc);
    for (size_t base = begin; base < end; base += VG_TILE) {
        vg_seen seen[MAX_Q];
        size_t n = look(p, base, seen, &first), next = base + VG_TILE;
        vg_attn_tile tile = {.kind = c->kind, .n_q = n, .dim_k = c->dim_k, .dim_v = c->dim_v,
                             .q = p->q + first * c->dim_k,
                             .q_act = p->q_act + first * vg_act_blocks(c->dim_k),
                             .kv = tile_at(c, last, base, p->kv_head, p->j->head_bytes),
                             .seen = seen, .scale = a->scale, .softcap = a->softcap,
                             .state = {s->m + first, s->l + first, s->acc + first * c->dim_v}};
        tile.next = next < end ? tile_at(c, last, next, p->kv_head, p->j->head_bytes) : tile.kv;
        p->j->d->kern->attn_tile(&tile);
    }
}

/* out = acc / l */
static void finish(const attend_pass *p, const vg_attn_state *s)
{
    const vg_attention *a = p->j->a;
    size_t n = a->cache->dim_v;
    for (size_t i = 0; i < p->n_rows * p->n_heads; i++) {
        float *out = a->out + head_at(p, i / p->n_heads, i % p->n_heads) * n;
        memcpy(out, s->acc + i * n, n * sizeof *out);
        p->j->d->kern->scale(out, 1.0f / s->l[i], n);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Floats that hold the queries of a pass, as numbers or as blocks of codes. */
static size_t query_floats(size_t dim_k)
{
    return MAX_Q * VG_MAX(dim_k, vg_act_blocks(dim_k) * sizeof(vg_act) / sizeof(float));
}

/* m, l and acc of n queries, one after the other; returns what lies behind. */
static float *place_state(vg_attn_state *s, float *p, size_t n_q, size_t dim_v)
{
    *s = (vg_attn_state){.m = p, .l = p + n_q, .acc = p + 2 * n_q};
    return s->acc + n_q * dim_v;
}

/* A thread's scratch: the queries of a pass, and two states. */
static attend_pass begin_pass(const attend_job *j, uint32_t thread, vg_attn_state s[2])
{
    const vg_cache *c = j->a->cache;
    float *p = cpu_scratch(j->d, thread);
    attend_pass pass = {.j = j, .q = p, .q_act = (vg_act *)p};
    p += query_floats(c->dim_k);
    for (int i = 0; i < 2; i++) p = place_state(&s[i], p, MAX_Q, c->dim_v);
    return pass;
}

/* ---- many rows: a part has some rows and one key head -------------------------------------- */

/* The pass's queries through all the spans that they see. */
static void attend_pass_whole(attend_pass *p, const vg_attn_state s[2])
{
    const vg_attention *a = p->j->a;
    size_t n_q = p->n_rows * p->n_heads;
    size_t last = (end_seen(p->j, p->row + p->n_rows - 1) - 1) / SPAN_TOK;
    size_t span = first_seen(p->j, p->row) / SPAN_TOK;
    read_queries(p);
    attend_span(p, span, &s[0]);
    while (++span <= last) {
        attend_span(p, span, &s[1]);
        p->j->d->kern->attn_merge(&s[0], &s[1], n_q, a->cache->dim_v);
    }
    finish(p, &s[0]);
}

/* How many of n rows from `row` on are one session's, each a position after the other. */
static size_t count_run(const vg_place *place, size_t row, size_t n)
{
    size_t i = 1;
    while (i < n && place[row + i].page == place[row].page &&
           place[row + i].pos == place[row].pos + i)
        i++;
    return i;
}

static void rows_part(void *arg, uint32_t part, uint32_t thread)
{
    const attend_job *j = arg;
    const vg_attention *a = j->a;
    size_t n_kv = a->cache->n_kv_heads, row = part / n_kv * j->rows_per_part;
    size_t end = VG_MIN(row + j->rows_per_part, a->n_rows);
    vg_attn_state s[2];
    attend_pass p = begin_pass(j, thread, s);
    p.kv_head = part % n_kv;
    for (; row < end; row += p.n_rows) {
        p.row = row;
        p.n_rows = count_run(a->place, row, end - row);
        for (p.head = 0; p.head < j->group; p.head += p.n_heads) {
            p.n_heads = VG_MIN(j->group - p.head, (size_t)MAX_Q);
            attend_pass_whole(&p, s);
        }
    }
}

/* ---- few rows: a part has one row, one key head and one span -------------------------------- */

static size_t state_floats(const attend_job *j)
{
    return j->group * (j->a->cache->dim_v + 2);
}

/* The state that a part leaves, of the pass's heads. */
static vg_attn_state partial(const attend_pass *p, size_t part)
{
    vg_attn_state s;
    size_t n = p->j->a->cache->dim_v;
    place_state(&s, p->j->d->partial + part * state_floats(p->j), p->j->group, n);
    return (vg_attn_state){s.m + p->head, s.l + p->head, s.acc + p->head * n};
}

static void set_unit(attend_pass *p, size_t unit)
{
    p->row = unit / p->j->a->cache->n_kv_heads;
    p->kv_head = unit % p->j->a->cache->n_kv_heads;
    p->n_rows = 1;
}

static void span_part(void *arg, uint32_t part, uint32_t thread)
{
    const attend_job *j = arg;
    vg_attn_state unused[2];
    attend_pass p = begin_pass(j, thread, unused);
    set_unit(&p, part / j->n_spans);
    size_t span = first_seen(j, p.row) / SPAN_TOK + part % j->n_spans;
    for (; p.head < j->group; p.head += p.n_heads) {
        p.n_heads = VG_MIN(j->group - p.head, (size_t)MAX_Q);
        vg_attn_state s = partial(&p, part);
        read_queries(&p);
        attend_span(&p, span, &s);
    }
}

static void merge_part(void *arg, uint32_t unit, uint32_t thread)
{
    const attend_job *j = arg;
    attend_pass p = {.j = j, .n_heads = j->group};
    VG_UNUSED(thread);
    set_unit(&p, unit);
    vg_attn_state all = partial(&p, unit * j->n_spans);
    for (size_t i = 1; i < j->n_spans; i++) {
        vg_attn_state s = partial(&p, unit * j->n_spans + i);
        j->d->kern->attn_merge(&all, &s, j->group, j->a->cache->dim_v);
    }
    finish(&p, &all);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

bool cpu_attend_sizes(const vg_device_opts *o, size_t *scratch, size_t *partial_bytes)
{
    const vg_attn_shape *s = &o->attention;
    size_t units = o->n_threads * PARTS_PER_THREAD, spans = cpu_parts(s->ctx_tok, SPAN_TOK);
    size_t group = s->n_kv_heads ? s->n_heads / s->n_kv_heads : 0;
    *scratch = (query_floats(s->dim_k) + 2 * MAX_Q * (s->dim_v + 2)) * sizeof(float);
    return vg_mul(group * (s->dim_v + 2) * sizeof(float), units, partial_bytes) &&
           vg_mul(*partial_bytes, spans > 1 && o->n_threads > 1 ? spans : 0, partial_bytes);
}

void cpu_attend(vg_device *d, const vg_attention *a)
{
    size_t n_kv = a->cache->n_kv_heads, want = vg_pool_threads(d->pool) * PARTS_PER_THREAD;
    attend_job j = {.d = d, .a = a, .group = a->n_heads / n_kv,
                    .head_bytes = head_bytes(a->cache), .n_spans = 1};
    for (size_t r = 0; r < a->n_rows; r++)
        j.n_spans = VG_MAX(j.n_spans,
                           (end_seen(&j, r) - 1) / SPAN_TOK - first_seen(&j, r) / SPAN_TOK + 1);
    if (vg_pool_threads(d->pool) > 1 && j.n_spans > 1 && a->n_rows * n_kv < want) {
        cpu_run(d, a->n_rows * n_kv * j.n_spans, span_part, &j);
        cpu_run(d, a->n_rows * n_kv, merge_part, &j);
        return;
    }
    size_t most = VG_MAX(MAX_Q / j.group, (size_t)1), even = a->n_rows * n_kv / want;
    j.rows_per_part = VG_MIN(most, VG_MAX(even, (size_t)1));
    cpu_run(d, cpu_parts(a->n_rows, j.rows_per_part) * n_kv, rows_part, &j);
}
