/* encode.c: the pass of an encoder (BERT, Devlin 2018, and what came of it) over whole texts, in
 * which every position sees all positions of its text.
 *
 *     x = norm(embed(tokens) + type + position)
 *     each layer:  x = norm(x + attention(x));  x = norm(x + mlp(x))
 *
 * Keys and values of one layer at a time stand in pages of a text's own, at positions from 0 on, as
 * in a session, so that a text's neighbours in the batch change no bit of it. A text may be longer
 * than a step: its rows then go through a layer in pieces, all their keys first. */
#include "infer/infer_int.h"

/* Rows first..first+n-1 of the batch, which the buffers of a step hold. */
typedef struct piece {
    vg_engine *e;
    vg_device *d;
    const vg_ops *ops;
    const vg_hparams *hp;
    vg_scratch *s;
    vg_cache cache;
    size_t first, n;
    float *x; /* [n, width] */
} piece;

static void set_rows(piece *p, size_t first, size_t n_rows)
{
    p->first = first;
    p->n = VG_MIN(n_rows - first, (size_t)p->e->lay.batch_tok);
    p->x = p->s->x + first * p->hp->width;
    if (p->hp->n_rot > 0)
        vg_rope_angles(p->e, p->e->freq, p->s->place + first, p->n, p->s->cos, p->s->sin);
}

/* x += rows of a table, one for each row of the piece. */
static void add_table(const piece *p, const vg_tensor *table, const int32_t *row)
{
    p->ops->embed(p->d, table, row, p->n, 1, p->s->y);
    p->ops->add_scaled(p->d, p->x, p->s->y, 1, p->n * p->hp->width);
}

static void norm(const piece *p, const vg_tensor *gain, const vg_tensor *bias)
{
    p->ops->layer_norm(p->d, p->x, vg_tensor_f32(gain), vg_tensor_f32(bias), p->x, p->n,
                       p->hp->width, p->hp->eps);
}

static void embed(const piece *p)
{
    const vg_model *m = p->e->model;
    int32_t *tok = p->s->tok + p->first;
    p->ops->embed(p->d, &m->embed, tok, p->n, 1, p->x);
    memset(tok, 0, p->n * sizeof *tok); /* the ids have done their work: now the first type */
    if (m->type_embed.data) add_table(p, &m->type_embed, tok);
    for (size_t i = 0; i < p->n; i++) tok[i] = (int32_t)p->s->place[p->first + i].pos;
    if (m->pos_embed.data) add_table(p, &m->pos_embed, tok);
    norm(p, &m->embed_norm, &m->embed_norm_bias);
}

static void rotate(const piece *p, const vg_layer *l, float *x, size_t n_heads)
{
    vg_rope r = {.cos = p->s->cos, .sin = p->s->sin, .n_rows = p->n, .n_heads = n_heads,
                 .dim = p->hp->dim_k, .n_rot = p->hp->n_rot,
                 .interleaved = !(p->hp->flags & A_NEOX)};
    if (l->rope) p->ops->rope(p->d, x, &r);
}

/* Some of q, k and v of the piece; k and v go to the pages. */
static void project(const piece *p, const vg_layer *l, bool q, bool kv)
{
    vg_scratch *s = p->s;
    vg_matmul m = {.x = p->x, .n_rows = p->n};
    if (q) vg_matmul_part(&m, &l->q, &l->q_bias, s->q);
    if (kv) vg_matmul_part(&m, &l->k, &l->k_bias, s->k);
    if (kv) vg_matmul_part(&m, &l->v, &l->v_bias, s->v);
    p->ops->matmul(p->d, &m);
    if (q) rotate(p, l, s->q, p->hp->n_heads);
    if (!kv) return;
    rotate(p, l, s->k, p->hp->n_kv_heads);
    p->ops->store(p->d, &p->cache, s->place + p->first, s->k, s->v, p->n);
}

/* x += in w^T + bias */
static void add_block(const piece *p, const float *in, const vg_tensor *w, const vg_tensor *bias)
{
    vg_matmul m = {.x = in, .n_rows = p->n, .sum = p->x, .sum_scale = 1};
    vg_matmul_part(&m, w, bias, p->s->y);
    p->ops->matmul(p->d, &m);
}

static void attention(const piece *p, const vg_layer *l)
{
    vg_scratch *s = p->s;
    vg_attention a = {.q = s->q, .out = s->o, .place = s->place + p->first, .n_rows = p->n,
                      .n_heads = p->hp->n_heads, .end = s->end + p->first,
                      .scale = p->hp->attn_scale, .cache = &p->cache};
    p->ops->attend(p->d, &a);
    add_block(p, s->o, &l->o, &l->o_bias);
    norm(p, &l->attn_out_norm, &l->attn_out_norm_bias);
}

static void mlp(const piece *p, const vg_layer *l)
{
    vg_scratch *s = p->s;
    vg_matmul m = {.x = p->x, .n_rows = p->n, .glu = l->gate.data ? VG_GLU_SILU : VG_GELU_ERF};
    if (l->gate.data) vg_matmul_part(&m, &l->gate, &l->gate_bias, s->gate);
    vg_matmul_part(&m, &l->up, &l->up_bias, l->gate.data ? s->up : s->gate);
    p->ops->matmul(p->d, &m);
    add_block(p, s->gate, &l->down, &l->down_bias);
    norm(p, &l->layer_out_norm, &l->layer_out_norm_bias);
}

void vg_encode(vg_engine *e, size_t n_rows)
{
    const vg_hparams *hp = &e->model->hp;
    piece p = {.e = e, .d = e->device, .ops = e->device->ops, .hp = hp, .s = &e->s,
               .cache = {.kind = e->lay.kv, .base = e->pages.data, .n_kv_heads = hp->n_kv_heads,
                         .dim_k = hp->dim_k, .dim_v = hp->dim_v,
                         .page_bytes = e->lay.page_bytes}};
    bool whole = n_rows <= e->lay.batch_tok;
    for (size_t i = 0; i < n_rows; i += p.n) {
        set_rows(&p, i, n_rows);
        embed(&p);
    }
    for (uint32_t il = 0; il < hp->n_layers; il++) {
        const vg_layer *l = &e->model->layer[il];
        for (size_t i = 0; !whole && i < n_rows; i += p.n) {
            set_rows(&p, i, n_rows);
            project(&p, l, false, true);
        }
        for (size_t i = 0; i < n_rows; i += p.n) {
            if (!whole) set_rows(&p, i, n_rows);
            project(&p, l, true, whole);
            attention(&p, l);
            mlp(&p, l);
        }
    }
}
