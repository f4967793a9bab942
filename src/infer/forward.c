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
    size_t n_rows;
} pass;

/* out = x w^T + bias. */
static void linear(const pass *p, const vg_tensor *w, const vg_tensor *bias, const float *x,
                   size_t n_rows, float *out)
{
    vg_matmul m = {.x = x, .n_rows = n_rows, .n_w = 1};
    m.part[0].w = *w;
    m.part[0].bias = bias ? vg_tensor_f32(bias) : NULL;
    m.part[0].out = out;
    p->ops->matmul(p->d, &m);
}

static void project_qkv(const pass *p, const vg_layer *l)
{
    vg_scratch *s = p->s;
    vg_matmul m = {.x = s->h, .n_rows = p->n_rows, .n_w = 3};
    const vg_tensor *const w[3] = {&l->q, &l->k, &l->v};
    const vg_tensor *const bias[3] = {&l->q_bias, &l->k_bias, &l->v_bias};
    float *const out[3] = {s->q, s->k, s->v};
    for (size_t i = 0; i < 3; i++) {
        m.part[i].w = *w[i];
        m.part[i].bias = vg_tensor_f32(bias[i]);
        m.part[i].out = out[i];
    }
    p->ops->matmul(p->d, &m);
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

/* y = attention(h) */
static void attention(const pass *p, const vg_layer *l, uint32_t il)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    project_qkv(p, l);
    if (l->q_norm.data)
        p->ops->norm(p->d, s->q, vg_tensor_f32(&l->q_norm), s->q, p->n_rows * hp->n_heads,
                     hp->dim_k, hp->eps);
    if (l->k_norm.data)
        p->ops->norm(p->d, s->k, vg_tensor_f32(&l->k_norm), s->k, p->n_rows * hp->n_kv_heads,
                     hp->dim_k, hp->eps);
    if (l->rope) {
        rotate(p, l, s->q, hp->n_heads);
        rotate(p, l, s->k, hp->n_kv_heads);
    }
    vg_cache cache = {.kind = p->e->lay.kv,
                      .base = p->e->pages + il * p->e->lay.layer_page_bytes,
                      .page_bytes = p->e->lay.page_bytes,
                      .n_kv_heads = hp->n_kv_heads,
                      .dim_k = hp->dim_k,
                      .dim_v = hp->dim_v};
    p->ops->store(p->d, &cache, s->place, s->k, s->v, p->n_rows);
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
    linear(p, &l->o, &l->o_bias, s->o, p->n_rows, s->y);
}

/* out = down(act(gate(x)) * up(x)) */
static void gated(const pass *p, const vg_tensor *gate, const vg_tensor *up, const vg_tensor *down,
                  const vg_layer *bias, const float *x, size_t n_rows, float *out)
{
    vg_scratch *s = p->s;
    vg_matmul m = {.x = x, .n_rows = n_rows, .n_w = 2};
    m.part[0].w = *gate;
    m.part[0].bias = bias ? vg_tensor_f32(&bias->gate_bias) : NULL;
    m.part[0].out = s->gate;
    m.part[1].w = *up;
    m.part[1].bias = bias ? vg_tensor_f32(&bias->up_bias) : NULL;
    m.part[1].out = s->up;
    p->ops->matmul(p->d, &m);
    p->ops->glu(p->d, s->gate, s->up, n_rows * gate->n_rows, p->hp->flags & A_GELU);
    linear(p, down, bias ? &bias->down_bias : NULL, s->gate, n_rows, out);
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

/* y = the weighted sum of each token's experts, added in the order of the experts' indices. */
static void experts(const pass *p, const vg_layer *l)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    linear(p, &l->router, NULL, s->h, p->n_rows, s->router);
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
        gated(p, &gate, &up, &down, NULL, s->routed, n, s->routed);
        p->ops->scatter_add(p->d, s->routed, s->row, s->weight, n, hp->width, s->y);
    }
}

static void layer(const pass *p, const vg_layer *l, uint32_t il)
{
    const vg_hparams *hp = p->hp;
    vg_scratch *s = p->s;
    size_t n = p->n_rows, d = hp->width;
    p->ops->norm(p->d, s->x, vg_tensor_f32(&l->attn_norm), s->h, n, d, hp->eps);
    attention(p, l, il);
    if (l->attn_post_norm.data)
        p->ops->norm(p->d, s->y, vg_tensor_f32(&l->attn_post_norm), s->y, n, d, hp->eps);
    p->ops->add_scaled(p->d, s->x, s->y, hp->residual_scale, n * d);

    p->ops->norm(p->d, s->x, vg_tensor_f32(&l->ffn_norm), s->h, n, d, hp->eps);
    if (hp->flags & A_MOE) experts(p, l);
    else gated(p, &l->gate, &l->up, &l->down, l, s->h, n, s->y);
    if (l->ffn_post_norm.data)
        p->ops->norm(p->d, s->y, vg_tensor_f32(&l->ffn_post_norm), s->y, n, d, hp->eps);
    p->ops->add_scaled(p->d, s->x, s->y, hp->residual_scale, n * d);
}

/* Cosine and sine of each row's position; the angle is computed in double, because a float loses
 * the phase at long contexts. */
static void make_angles(const pass *p, const double *freq, float *cos, float *sin)
{
    size_t n_pairs = p->hp->n_rot / 2;
    for (size_t r = 0; r < p->n_rows; r++) {
        for (size_t i = 0; i < n_pairs; i++) {
            double c, s;
            vg_sincos_f64(p->s->place[r].pos * freq[i], &s, &c);
            cos[r * n_pairs + i] = (float)c * p->e->rope_factor;
            sin[r * n_pairs + i] = (float)s * p->e->rope_factor;
        }
    }
}

static vg_status logits(const pass *p, const vg_batch *b, vg_err *err)
{
    vg_scratch *s = p->s;
    const vg_hparams *hp = p->hp;
    size_t n = b->n_logits * hp->n_vocab;
    if (n == 0) return VG_OK;
    p->ops->gather(p->d, s->x, s->logit_row, b->n_logits, hp->width, s->h);
    p->ops->norm(p->d, s->h, vg_tensor_f32(&p->e->model->output_norm), s->h, b->n_logits,
                 hp->width, hp->eps);
    linear(p, &p->e->model->output, NULL, s->h, b->n_logits, s->logits);
    if (hp->logit_scale < 1 || hp->logit_scale > 1)
        p->ops->scale(p->d, s->logits, 1 / hp->logit_scale, n);
    if (hp->final_softcap > 0) p->ops->softcap(p->d, s->logits, hp->final_softcap, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(s->logits[i]))
            return VG_FAIL(err, VG_E_NUMERIC,
                           "the logits hold %s at token %zu: the weights of %s are damaged "
                           "(`verge inspect --check` finds the tensor)",
                           isnan(s->logits[i]) ? "NaN" : "infinity", i % hp->n_vocab,
                           p->e->model->name);
    return VG_OK;
}

vg_status vg_forward(vg_engine *e, const vg_batch *b, vg_err *err)
{
    const vg_model *m = e->model;
    pass p = {e, e->device, e->device->ops, &m->hp, &e->s, b->n_rows};
    p.ops->embed(p.d, &m->embed, e->s.tok, b->n_rows, m->hp.embed_scale, e->s.x);
    make_angles(&p, e->freq, e->s.cos, e->s.sin);
    if (m->hp.flags & A_ROPE_LOCAL)
        make_angles(&p, e->freq_local, e->s.cos_local, e->s.sin_local);
    for (uint32_t il = 0; il < m->hp.n_layers; il++) layer(&p, &m->layer[il], il);
    return logits(&p, b, err);
}
