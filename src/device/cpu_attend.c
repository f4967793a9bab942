/* The CPU device's attention: rotation, the pages of the KV cache, tiles. Tiles are cut
 * at absolute positions, so that neither chunks nor threads show in a result. It never computes:
 * that is src/kern's. */
#include "device/cpu_int.h"

enum { HEADS_PER_TILE = 16 };

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

/* The rows of one head in the page of a position. */
typedef struct kv_rows {
    uint8_t *k, *v;
    size_t k_bytes, v_bytes; /* of one row */
} kv_rows;

static kv_rows rows_of(const vg_cache *c, const vg_place *at, size_t pos, size_t head)
{
    kv_rows r = {.k_bytes = vg_kv_row_bytes(c->kind, c->dim_k),
                 .v_bytes = vg_kv_row_bytes(c->kind, c->dim_v)};
    uint8_t *page = c->base + at->page[pos / VG_TILE] * c->page_bytes;
    r.k = page + head * VG_TILE * r.k_bytes;
    r.v = page + c->n_kv_heads * VG_TILE * r.k_bytes + head * VG_TILE * r.v_bytes;
    return r;
}

typedef struct store_job {
    vg_device *d;
    const vg_cache *c;
    const vg_place *place;
    const float *k, *v;
} store_job;

static void store_part(void *arg, uint32_t row, uint32_t thread)
{
    VG_UNUSED(thread);
    const store_job *j = arg;
    const vg_cache *c = j->c;
    size_t pos = j->place[row].pos, t = pos % VG_TILE;
    for (size_t h = 0; h < c->n_kv_heads; h++) {
        kv_rows r = rows_of(c, &j->place[row], pos, h);
        size_t at = row * c->n_kv_heads + h;
        j->d->kern->kv_store(c->kind, j->k + at * c->dim_k, r.k + t * r.k_bytes, c->dim_k);
        j->d->kern->kv_store(c->kind, j->v + at * c->dim_v, r.v + t * r.v_bytes, c->dim_v);
    }
}

void cpu_store(vg_device *d, const vg_cache *c, const vg_place *place, const float *k,
               const float *v, size_t n_rows)
{
    store_job j = {d, c, place, k, v};
    cpu_run(d, n_rows, store_part, &j);
}

typedef struct attend_job {
    vg_device *d;
    const vg_attention *a;
} attend_job;

/* Up to HEADS_PER_TILE query heads of one token over all positions that it sees, tile by tile. The
 * tiles are cut at absolute positions, so chunks of a prompt do not change the order of sums. */
static void attend_heads(const attend_job *j, const vg_place *at, vg_attn_tile *tile,
                         size_t kv_head)
{
    const vg_attention *a = j->a;
    const vg_cache *c = a->cache;
    float m[HEADS_PER_TILE], l[HEADS_PER_TILE];
    vg_act q_act[HEADS_PER_TILE * (VG_DEVICE_MAX_HEAD_DIM / 32)];
    size_t n_blocks = vg_act_blocks(c->dim_k);
    for (size_t i = 0; i < tile->n_q; i++) {
        m[i] = -INFINITY;
        l[i] = 0;
        if (c->kind == VG_KVK_Q8)
            j->d->kern->quantise(tile->q + i * c->dim_k, q_act + i * n_blocks, c->dim_k);
    }
    memset(tile->acc, 0, tile->n_q * c->dim_v * sizeof *tile->acc);
    tile->q_act = q_act;
    tile->m = m;
    tile->l = l;
    size_t n_seen = (size_t)at->pos + 1;
    size_t first = a->window_tok && n_seen > a->window_tok ? n_seen - a->window_tok : 0;
    for (size_t base = first / VG_TILE * VG_TILE; base < n_seen; base += VG_TILE) {
        kv_rows r = rows_of(c, at, base, kv_head);
        tile->k = r.k;
        tile->v = r.v;
        tile->k_stride = r.k_bytes;
        tile->v_stride = r.v_bytes;
        tile->begin = first > base ? first - base : 0;
        tile->end = VG_MIN(n_seen - base, (size_t)VG_TILE);
        j->d->kern->attn_tile(tile);
    }
    for (size_t i = 0; i < tile->n_q; i++)
        j->d->kern->scale(tile->acc + i * c->dim_v, 1.0f / l[i], c->dim_v);
}

/* One token and one key head with the query heads that share it. */
static void attend_part(void *arg, uint32_t part, uint32_t thread)
{
    VG_UNUSED(thread);
    const attend_job *j = arg;
    const vg_attention *a = j->a;
    const vg_cache *c = a->cache;
    size_t row = part / c->n_kv_heads, kv_head = part % c->n_kv_heads;
    size_t group = a->n_heads / c->n_kv_heads;
    for (size_t i = 0; i < group; i += HEADS_PER_TILE) {
        size_t head = row * a->n_heads + kv_head * group + i;
        vg_attn_tile tile = {.kind = c->kind,
                             .n_q = VG_MIN(group - i, (size_t)HEADS_PER_TILE),
                             .dim_k = c->dim_k,
                             .dim_v = c->dim_v,
                             .q = a->q + head * c->dim_k,
                             .scale = a->scale,
                             .softcap = a->softcap,
                             .acc = a->out + head * c->dim_v};
        attend_heads(j, &a->place[row], &tile, kv_head);
    }
}

void cpu_attend(vg_device *d, const vg_attention *a)
{
    attend_job j = {d, a};
    cpu_run(d, a->n_rows * a->cache->n_kv_heads, attend_part, &j);
}
