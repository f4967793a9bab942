/* The CPU device: splits each operation into parts of a fixed size, over rows of weights, tokens or
 * heads, and hands the parts to the pool. A part writes what no other part writes, and which thread
 * runs it changes nothing: so the number of threads never shows in a result. The arithmetic is in
 * src/kern; nothing is computed here. */
#include <math.h>

#include "device/device.h"

enum { ROWS_PER_PART = 32, FLOATS_PER_PART = 4096, HEADS_PER_TILE = 16 };

static size_t parts_of(size_t n, size_t per_part)
{
    return (n + per_part - 1) / per_part;
}

static void run(vg_device *d, size_t n_parts, void (*fn)(void *, uint32_t), void *arg)
{
    assert(n_parts <= UINT32_MAX);
    vg_pool_run(d->pool, (uint32_t)n_parts, fn, arg);
}

/* ---- rows of tokens ------------------------------------------------------------------------- */

typedef struct embed_job {
    vg_device *d;
    const vg_tensor *w;
    const int32_t *tok;
    float scale, *out;
} embed_job;

static void embed_part(void *arg, uint32_t r)
{
    const embed_job *j = arg;
    float *out = j->out + r * j->w->n_in;
    vg_dequant(j->w->type, j->w->data + (size_t)j->tok[r] * j->w->row_bytes, out, j->w->n_in);
    if (j->scale < 1 || j->scale > 1) j->d->kern->scale(out, j->scale, j->w->n_in);
}

static void cpu_embed(vg_device *d, const vg_tensor *w, const int32_t *tok, size_t n_rows,
                      float scale, float *out)
{
    embed_job j = {d, w, tok, scale, out};
    run(d, n_rows, embed_part, &j);
}

typedef struct norm_job {
    vg_device *d;
    const float *x, *w;
    float *out, eps;
    size_t n_rows, width, per_part;
} norm_job;

static void norm_part(void *arg, uint32_t part)
{
    const norm_job *j = arg;
    size_t end = VG_MIN((part + 1) * j->per_part, j->n_rows);
    for (size_t r = part * j->per_part; r < end; r++)
        j->d->kern->rms_norm(j->x + r * j->width, j->w, j->out + r * j->width, j->width, j->eps);
}

static void cpu_norm(vg_device *d, const float *x, const float *w, float *out, size_t n_rows,
                     size_t width, float eps)
{
    norm_job j = {d, x, w, out, eps, n_rows, width, VG_MAX(FLOATS_PER_PART / width, (size_t)1)};
    run(d, parts_of(n_rows, j.per_part), norm_part, &j);
}

/* ---- matrices ------------------------------------------------------------------------------- */

bool vg_device_act_bytes(size_t n_rows, size_t n_in, size_t *bytes)
{
    return vg_mul(n_rows, vg_act_blocks(n_in), bytes) && vg_mul(*bytes, sizeof(vg_act), bytes);
}

typedef struct matmul_job {
    vg_device *d;
    const vg_matmul *m;
    size_t first_part[4]; /* of each weight, and the end */
} matmul_job;

static void quantise_part(void *arg, uint32_t r)
{
    const matmul_job *j = arg;
    size_t n_in = j->m->part[0].w.n_in;
    j->d->kern->quantise(j->m->x + r * n_in, j->d->act + r * vg_act_blocks(n_in), n_in);
}

static void add_bias(vg_device *d, const float *bias, float *out, size_t stride, size_t n_rows,
                     size_t n)
{
    for (size_t r = 0; bias && r < n_rows; r++) d->kern->add(out + r * stride, bias, n);
}

static void matmul_part(void *arg, uint32_t part)
{
    const matmul_job *j = arg;
    size_t i = 0;
    while (part >= j->first_part[i + 1]) i++;
    const vg_tensor *w = &j->m->part[i].w;
    size_t first = (part - j->first_part[i]) * ROWS_PER_PART;
    size_t n = VG_MIN((size_t)ROWS_PER_PART, w->n_rows - first);
    float *out = j->m->part[i].out + first;
    const float *bias = j->m->part[i].bias;
    j->d->kern->rows(w->type, &(vg_rows){.w = w->data + first * w->row_bytes,
                                         .w_stride = w->row_bytes,
                                         .n_rows = n,
                                         .n_in = w->n_in,
                                         .act = j->d->act,
                                         .x = j->m->x,
                                         .x_stride = w->n_in,
                                         .n_cols = j->m->n_rows,
                                         .out = out,
                                         .out_stride = w->n_rows});
    add_bias(j->d, bias ? bias + first : NULL, out, w->n_rows, j->m->n_rows, n);
}

static void cpu_matmul(vg_device *d, const vg_matmul *m)
{
    matmul_job j = {.d = d, .m = m};
    bool quantise = false;
    for (size_t i = 0; i < VG_COUNT(m->part); i++) {
        size_t n = i < m->n_w ? parts_of(m->part[i].w.n_rows, ROWS_PER_PART) : 0;
        j.first_part[i + 1] = j.first_part[i] + n;
        if (i < m->n_w) quantise |= vg_dtype_get(m->part[i].w.type)->quantised;
    }
    if (quantise) {
        size_t need;
        bool fits = vg_device_act_bytes(m->n_rows, m->part[0].w.n_in, &need);
        assert(fits && need <= d->act_bytes);
        VG_UNUSED(fits);
        run(d, m->n_rows, quantise_part, &j);
    }
    run(d, j.first_part[VG_COUNT(m->part)], matmul_part, &j);
}

/* ---- attention ------------------------------------------------------------------------------ */

typedef struct rope_job {
    vg_device *d;
    float *x;
    const vg_rope *r;
} rope_job;

static void rope_part(void *arg, uint32_t row)
{
    const rope_job *j = arg;
    const vg_rope *r = j->r;
    size_t n_pairs = r->n_rot / 2, at = row * n_pairs;
    float *x = j->x + row * r->n_heads * r->dim;
    for (size_t h = 0; h < r->n_heads; h++)
        j->d->kern->rope(x + h * r->dim, r->cos + at, r->sin + at, n_pairs, r->interleaved);
}

static void cpu_rope(vg_device *d, float *x, const vg_rope *r)
{
    rope_job j = {d, x, r};
    run(d, r->n_rows, rope_part, &j);
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

static void store_part(void *arg, uint32_t row)
{
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

static void cpu_store(vg_device *d, const vg_cache *c, const vg_place *place, const float *k,
                      const float *v, size_t n_rows)
{
    store_job j = {d, c, place, k, v};
    run(d, n_rows, store_part, &j);
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
static void attend_part(void *arg, uint32_t part)
{
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

static void cpu_attend(vg_device *d, const vg_attention *a)
{
    attend_job j = {d, a};
    run(d, a->n_rows * a->cache->n_kv_heads, attend_part, &j);
}

/* ---- elements ------------------------------------------------------------------------------- */

typedef struct element_job {
    vg_device *d;
    float *x;
    const float *y;
    float s;
    size_t n;
    bool gelu;
} element_job;

static void glu_part(void *arg, uint32_t part)
{
    const element_job *j = arg;
    size_t at = (size_t)part * FLOATS_PER_PART, n = VG_MIN(j->n - at, (size_t)FLOATS_PER_PART);
    float *x = j->x + at;
    if (j->gelu) j->d->kern->gelu_mul(x, j->y + at, x, n);
    else j->d->kern->silu_mul(x, j->y + at, x, n);
}

static void cpu_glu(vg_device *d, float *gate, const float *up, size_t n, bool gelu)
{
    element_job j = {.d = d, .x = gate, .y = up, .n = n, .gelu = gelu};
    run(d, parts_of(n, FLOATS_PER_PART), glu_part, &j);
}

static void add_part(void *arg, uint32_t part)
{
    const element_job *j = arg;
    size_t at = (size_t)part * FLOATS_PER_PART, n = VG_MIN(j->n - at, (size_t)FLOATS_PER_PART);
    j->d->kern->add_scaled(j->x + at, j->y + at, j->s, n);
}

static void cpu_add_scaled(vg_device *d, float *x, const float *y, float s, size_t n)
{
    element_job j = {.d = d, .x = x, .y = y, .s = s, .n = n};
    run(d, parts_of(n, FLOATS_PER_PART), add_part, &j);
}

static void cpu_scale(vg_device *d, float *x, float s, size_t n)
{
    d->kern->scale(x, s, n);
}

static void cpu_softcap(vg_device *d, float *x, float cap, size_t n)
{
    d->kern->softcap(x, cap, n);
}

static void cpu_softmax(vg_device *d, float *x, size_t n_rows, size_t width)
{
    for (size_t r = 0; r < n_rows; r++) d->kern->softmax(x + r * width, width);
}

static void cpu_gather(vg_device *d, const float *x, const uint32_t *row, size_t n, size_t width,
                       float *out)
{
    VG_UNUSED(d);
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * width, x + row[i] * width, width * sizeof *out);
}

static void cpu_scatter_add(vg_device *d, const float *x, const uint32_t *row,
                            const float *weight, size_t n, size_t width, float *out)
{
    for (size_t i = 0; i < n; i++)
        d->kern->add_scaled(out + row[i] * width, x + i * width, weight[i], width);
}

static const vg_ops cpu_ops = {
    .name = "cpu",
    .embed = cpu_embed,
    .norm = cpu_norm,
    .matmul = cpu_matmul,
    .rope = cpu_rope,
    .store = cpu_store,
    .attend = cpu_attend,
    .glu = cpu_glu,
    .add_scaled = cpu_add_scaled,
    .scale = cpu_scale,
    .softcap = cpu_softcap,
    .softmax = cpu_softmax,
    .gather = cpu_gather,
    .scatter_add = cpu_scatter_add,
};

vg_status vg_device_cpu(vg_device **out, const vg_device_opts *opts, vg_err *err)
{
    const vg_kern *kern = vg_kern_pick(opts->isa);
    if (!kern)
        return VG_FAIL(err, VG_E_USAGE, "this CPU has no instruction set '%s'", opts->isa);
    vg_device *d = vg_mem_new(sizeof *d);
    if (!d) return VG_FAIL_MEMORY(err, sizeof *d);
    d->ops = &cpu_ops;
    d->kern = kern;
    d->act_bytes = opts->act_bytes;
    d->act = vg_arena_alloc(opts->arena, opts->act_bytes, 64);
    vg_status st = d->act ? vg_pool_new(&d->pool, opts->n_threads, err)
                          : VG_FAIL_MEMORY(err, opts->act_bytes);
    if (st) vg_device_free(d);
    else *out = d;
    return st;
}

void vg_device_free(vg_device *d)
{
    if (!d) return;
    vg_pool_free(d->pool);
    vg_mem_free(d);
}
