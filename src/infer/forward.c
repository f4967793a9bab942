/* The forward pass of every model family, for a batch of tokens that may belong to any number of
 * sessions and stand at any position. There is no other path: one token is a batch of one.
 *
 *     x = embed(tokens)
 *     each layer:  x += attention(norm(x));  x += mlp(norm(x))
 *     logits = output(norm(x)) for the rows that want them
 *
 * A family's differences are the flags of arch.def and the tensors that a layer has. Each row is
 * computed as if it were alone, which is why a batch never changes an answer (docs/DESIGN.md). */
#include <math.h>

#include "infer/infer_int.h"

typedef struct pass {
    vg_engine *e;
    vg_device *d;
    const vg_ops *ops;
    const vg_hparams *hp;
    vg_scratch *s;
    size_t n_rows, n_logits;
} pass;

/* A product that reads the residual stream through a norm, whose result goes to s->h. */
static vg_matmul of_norm(const pass *p, const vg_tensor *gain)
{
    return (vg_matmul){.x = p->s->x, .norm = vg_tensor_f32(gain), .eps = p->hp->eps, .h = p->s->h,
                       .n_rows = p->n_rows};
}

/* What a block ends with: x += residual_scale * norm(in w^T + bias), the norm in some families. */
static void add_block(const pass *p, const float *in, const vg_tensor *w, const vg_tensor *bias,
                      const vg_tensor *post_norm)
{
    vg_scratch *s = p->s;
    size_t width = p->hp->width;
    vg_matmul m = {.x = in, .n_rows = p->n_rows};
    vg_matmul_part(&m, w, bias, s->y);
    if (!post_norm->data) {
        m.sum = s->x;
        m.sum_scale = p->hp->residual_scale;
    }
    p->ops->matmul(p->d, &m);
    if (m.sum) return;
    p->ops->norm(p->d, s->y, vg_tensor_f32(post_norm), s->y, p->n_rows, width, p->hp->eps);
    p->ops->add_scaled(p->d, s->x, s->y, p->hp->residual_scale, p->n_rows * width);
}

/* The angles of all rows, for windowed layers too where these have a base of their own. */
static void make_all_angles(const pass *p)
{
    vg_rope_angles(p->e, p->e->freq, p->s->place, p->n_rows, p->s->cos, p->s->sin);
    if (p->hp->flags & A_ROPE_LOCAL)
        vg_rope_angles(p->e, p->e->freq_local, p->s->place, p->n_rows, p->s->cos_local,
                       p->s->sin_local);
}

/* Leaves the rows that want logits: the others have done their work once the last layer's keys and
 * values are in the cache. */
static void narrow(pass *p)
{
    vg_scratch *s = p->s;
    const uint32_t *row = s->logit_row;
    p->ops->gather(p->d, s->x, row, p->n_logits, p->hp->width, s->x);
    p->ops->gather(p->d, s->h, row, p->n_logits, p->hp->width, s->h);
    for (size_t i = 0; i < p->n_logits; i++) s->place[i] = s->place[row[i]];
    p->n_rows = p->n_logits;
    make_all_angles(p);
}

static void rotate(const pass *p, const vg_layer *l, float *x, size_t n_heads)
{
    bool local = l->windowed && p->hp->flags & A_ROPE_LOCAL;
    vg_rope r = {.cos = local ? p->s->cos_local : p->s->cos,
                 .sin = local ? p->s->sin_local : p->s->sin,
                 .n_rows = p->n_rows,
                 .n_heads = n_heads,
                 .dim = p->hp->dim_k,
                 .n_rot = p->hp->n_rot,
                 .interleaved = !(p->hp->flags & A_NEOX)};
    p->ops->rope(p->d, x, &r);
}

/* Norm of each head, where the family has one, and rotation. */
static void finish_heads(const pass *p, const vg_layer *l, float *x, size_t n_heads,
                         const vg_tensor *norm)
{
    const vg_hparams *hp = p->hp;
    if (norm->data)
        p->ops->norm(p->d, x, vg_tensor_f32(norm), x, p->n_rows * n_heads, hp->dim_k, hp->eps);
    if (l->rope) rotate(p, l, x, n_heads);
}

static vg_cache cache_of(const pass *p, uint32_t il)
{
    const vg_hparams *hp = p->hp;
    return (vg_cache){.kind = p->e->lay.kv,
                      .base = p->e->pages.data + il * p->e->lay.layer_page_bytes,
                      .page_bytes = p->e->lay.page_bytes,
                      .n_kv_heads = hp->n_kv_heads,
                      .dim_k = hp->dim_k,
                      .dim_v = hp->dim_v};
}

/* q, k and v of the normed stream; k and v go to the cache. */
static void project(pass *p, const vg_layer *l, const vg_cache *cache, bool last)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    vg_matmul m = of_norm(p, &l->attn_norm);
    if (!last) vg_matmul_part(&m, &l->q, &l->q_bias, s->q);
    vg_matmul_part(&m, &l->k, &l->k_bias, s->k);
    vg_matmul_part(&m, &l->v, &l->v_bias, s->v);
    p->ops->matmul(p->d, &m);
    finish_heads(p, l, s->k, hp->n_kv_heads, &l->k_norm);
    p->ops->store(p->d, cache, s->place, s->k, s->v, p->n_rows);
    if (last) {
        narrow(p);
        m = (vg_matmul){.x = s->h, .n_rows = p->n_rows};
        vg_matmul_part(&m, &l->q, &l->q_bias, s->q);
        p->ops->matmul(p->d, &m);
    }
    finish_heads(p, l, s->q, hp->n_heads, &l->q_norm);
}

/* x += attention(norm(x)); after it only rows that want logits are left, where it is the last. */
static void attention(pass *p, const vg_layer *l, uint32_t il, bool last)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    vg_cache cache = cache_of(p, il);
    project(p, l, &cache, last);
    vg_attention a = {.q = s->q,
                      .out = s->o,
                      .place = s->place,
                      .n_rows = p->n_rows,
                      .n_heads = hp->n_heads,
                      .window_tok = l->windowed ? hp->window_tok : 0,
                      .scale = hp->attn_scale,
                      .softcap = hp->attn_softcap,
                      .cache = &cache};
    p->ops->attend(p->d, &a);
    add_block(p, s->o, &l->o, &l->o_bias, &l->attn_post_norm);
}

/* s->gate = act(gate(x)) * up(x), into the product that m begins. */
static void gated(const pass *p, vg_matmul *m, const vg_tensor *gate, const vg_tensor *gate_bias,
                  const vg_tensor *up, const vg_tensor *up_bias)
{
    m->glu = p->hp->flags & A_GELU ? VG_GLU_GELU : VG_GLU_SILU;
    vg_matmul_part(m, gate, gate_bias, p->s->gate);
    vg_matmul_part(m, up, up_bias, p->s->up);
    p->ops->matmul(p->d, m);
}

/* x += down(act(gate(norm(x))) * up(norm(x))) */
static void mlp(const pass *p, const vg_layer *l)
{
    vg_matmul m = of_norm(p, &l->ffn_norm);
    gated(p, &m, &l->gate, &l->gate_bias, &l->up, &l->up_bias);
    add_block(p, p->s->gate, &l->down, &l->down_bias, &l->ffn_post_norm);
}

/* Marks the experts of one token, the most probable first (ties: the lower index), and makes their
 * probabilities add up to 1. */
static void choose_experts(const vg_hparams *hp, float *prob, bool *chosen)
{
    float sum = 0;
    memset(chosen, 0, hp->n_experts * sizeof *chosen);
    for (uint32_t i = 0; i < hp->n_experts_used; i++) {
        uint32_t best = hp->n_experts;
        for (uint32_t x = 0; x < hp->n_experts; x++)
            if (!chosen[x] && (best == hp->n_experts || prob[x] > prob[best])) best = x;
        chosen[best] = true;
        sum += prob[best];
    }
    for (uint32_t x = 0; x < hp->n_experts; x++) prob[x] /= sum;
}

/* x += the weighted sum of each token's experts, added in the order of the experts' indices. */
static void experts(const pass *p, const vg_layer *l)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    vg_matmul router = of_norm(p, &l->ffn_norm);
    vg_matmul_part(&router, &l->router, NULL, s->router);
    p->ops->matmul(p->d, &router);
    p->ops->softmax(p->d, s->router, p->n_rows, hp->n_experts);
    for (size_t r = 0; r < p->n_rows; r++)
        choose_experts(hp, s->router + r * hp->n_experts, s->chosen + r * hp->n_experts);
    memset(s->y, 0, p->n_rows * hp->width * sizeof *s->y);
    for (uint32_t x = 0; x < hp->n_experts; x++) {
        size_t n = 0;
        for (uint32_t r = 0; r < p->n_rows; r++) {
            if (!s->chosen[r * hp->n_experts + x]) continue;
            s->weight[n] = s->router[r * hp->n_experts + x];
            s->row[n++] = r;
        }
        if (n == 0) continue;
        vg_tensor gate = vg_tensor_at(&l->gate_exps, x), up = vg_tensor_at(&l->up_exps, x);
        vg_tensor down = vg_tensor_at(&l->down_exps, x);
        p->ops->gather(p->d, s->h, s->row, n, hp->width, s->routed);
        vg_matmul in = {.x = s->routed, .n_rows = n}, out = {.x = s->gate, .n_rows = n};
        gated(p, &in, &gate, NULL, &up, NULL);
        vg_matmul_part(&out, &down, NULL, s->routed);
        p->ops->matmul(p->d, &out);
        p->ops->scatter_add(p->d, s->routed, s->row, s->weight, n, hp->width, s->y);
    }
    if (l->ffn_post_norm.data)
        p->ops->norm(p->d, s->y, vg_tensor_f32(&l->ffn_post_norm), s->y, p->n_rows, hp->width,
                     hp->eps);
    p->ops->add_scaled(p->d, s->x, s->y, hp->residual_scale, p->n_rows * hp->width);
}

/* x += mlp(norm(x)) of either kind */
static void feed_forward(const pass *p, const vg_layer *l)
{
    if (p->hp->flags & A_MOE) experts(p, l);
    else mlp(p, l);
}

/* The position of the first number that is none; n where all are finite. */
static size_t find_strange(const float *x, size_t n)
{
    bool strange = false;
    for (size_t i = 0; i < n; i++) strange |= !(fabsf(x[i]) < INFINITY);
    for (size_t i = 0; strange && i < n; i++)
        if (!isfinite(x[i])) return i;
    return n;
}

/* The logits of n_rows of the rows that want them, from the one numbered `first` on. */
static vg_status logits(const pass *p, size_t first, size_t n_rows, vg_err *err)
{
    vg_scratch *s = p->s;
    const vg_hparams *hp = p->hp;
    const vg_model *model = p->e->model;
    size_t n = n_rows * hp->n_vocab;
    vg_matmul m = of_norm(p, &model->output_norm);
    m.x = s->x + first * hp->width;
    m.n_rows = n_rows;
    vg_matmul_part(&m, &model->output, NULL, s->logits);
    p->ops->matmul(p->d, &m);
    if (hp->logit_scale < 1 || hp->logit_scale > 1)
        p->ops->scale(p->d, s->logits, 1 / hp->logit_scale, n);
    if (hp->final_softcap > 0) p->ops->softcap(p->d, s->logits, hp->final_softcap, n);
    size_t i = find_strange(s->logits, n);
    if (i == n) return VG_OK;
    return VG_FAIL(err, VG_E_NUMERIC,
                   "the logits hold %s at token %zu: the weights of %s are damaged (`verge inspect "
                   "--check` finds the tensor)",
                   isnan(s->logits[i]) ? "NaN" : "infinity", i % hp->n_vocab, model->name);
}

static pass begin(vg_engine *e, const vg_batch *b)
{
    return (pass){e, e->device, e->device->ops, &e->model->hp, &e->s, b->n_rows, b->n_logits};
}

void vg_forward_attention(vg_engine *e, const vg_layer *l, size_t n_rows)
{
    pass p = begin(e, &(vg_batch){.n_rows = n_rows});
    make_all_angles(&p);
    attention(&p, l, 0, false);
}

void vg_forward_mlp(vg_engine *e, const vg_layer *l, size_t n_rows)
{
    pass p = begin(e, &(vg_batch){.n_rows = n_rows});
    feed_forward(&p, l);
}

void vg_forward_layers(vg_engine *e, const vg_batch *b)
{
    const vg_model *m = e->model;
    pass p = begin(e, b);
    p.ops->embed(p.d, &m->embed, e->s.tok, b->n_rows, m->hp.embed_scale, e->s.x);
    make_all_angles(&p);
    for (uint32_t il = 0; il < m->hp.n_layers; il++) {
        attention(&p, &m->layer[il], il, il + 1 == m->hp.n_layers);
        feed_forward(&p, &m->layer[il]);
    }
}

vg_status vg_forward(vg_engine *e, const vg_batch *b, vg_err *err)
{
    pass p = begin(e, b);
    vg_forward_layers(e, b);
    for (size_t i = 0, n; i < b->n_logits; i += n) {
        n = VG_MIN(b->n_logits - i, (size_t)e->lay.logit_rows);
        VG_TRY(logits(&p, i, n, err));
        vg_logits_take(e, i, n);
    }
    return VG_OK;
}
