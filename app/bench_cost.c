/* What a run must at least read and compute, and so how close its speed comes to the limits of the
 * machine: the longer of two times, that of reading the bytes at the measured bandwidth and that of
 * the multiplies and adds at the measured peak (the roofline: Williams 2009). Counted are the
 * weights that a step uses, once for each step, the cache that it attends to, the matrix products
 * and attention; norms, RoPE and sampling are not. */
#include "app/bench.h"
#include "model/model.h"

enum { STEP_TOK = 256 /* tokens of a step when nothing else is asked for */ };

static void add_ops(bench_cost *c, vg_dtype type, double ops)
{
    if (vg_dtype_get(type)->quantised) c->int8_ops += ops;
    else c->fp32_ops += ops;
}

/* A matrix that n_tok tokens go through in n_steps steps. Of a stack of experts each token uses
 * `used`; a step reads no more of them than its tokens can name. */
static void add_matrix(bench_cost *c, const vg_tensor *t, double n_tok, double n_steps, double used)
{
    if (!t->data) return;
    double rows = (double)t->n_rows, stack = (double)t->n_stack, a_token = 1, a_step = 1;
    if (t->n_stack > 1) {
        a_token = used;
        a_step = VG_MIN(stack, used * n_tok / n_steps);
    }
    c->bytes += (double)t->row_bytes * rows * a_step * n_steps;
    if (t->n_rows > 1) add_ops(c, t->type, 2 * (double)t->n_in * rows * a_token * n_tok);
}

static void add_weights(const bench *b, bench_cost *c, double n_tok, double n_steps, double n_out)
{
    const vg_model *m = b->model;
    double used = m->hp.n_experts_used;
    add_matrix(c, &m->output, n_out, n_out > n_steps ? n_steps : n_out, used);
    for (size_t i = 1; i < vg_model_n_views(m); i++)
        add_matrix(c, vg_model_view(m, i), n_tok, n_steps, used);
}

/* Attention: `seen` positions are multiplied, summed over tokens; `read` are read, over steps. */
static void add_attention(const bench *b, bench_cost *c, double seen, double read)
{
    const vg_hparams *hp = &b->model->hp;
    vg_kv_kind kind = b->plan.kv == VG_KV_F32   ? VG_KVK_F32
                      : b->plan.kv == VG_KV_F16 ? VG_KVK_F16
                                                : VG_KVK_Q8;
    double row = (double)(vg_kv_row_bytes(kind, hp->dim_k) + vg_kv_row_bytes(kind, hp->dim_v));
    double ops = 2.0 * hp->n_heads * (hp->dim_k + hp->dim_v) * seen;
    c->bytes += row * hp->n_kv_heads * read;
    if (kind == VG_KVK_Q8) c->int8_ops += ops;
    else c->fp32_ops += ops;
}

static double window_of(const bench *b, const vg_layer *l)
{
    return l->windowed ? b->model->hp.window_tok : 1e18;
}

bench_cost bench_cost_prefill(const bench *b, uint32_t n)
{
    bench_cost c = {0};
    uint32_t n_steps = (n + STEP_TOK - 1) / STEP_TOK;
    add_weights(b, &c, n, n_steps, 1);
    for (uint32_t il = 0; il < b->model->hp.n_layers; il++) {
        const vg_layer *l = &b->model->layer[il];
        double w = VG_MIN(window_of(b, l), (double)n), seen = w * (w + 1) / 2 + (n - w) * w;
        double read = 0;
        for (uint32_t i = 1; i <= n_steps; i++)
            read += VG_MIN(w + STEP_TOK, VG_MIN((double)n, (double)i * STEP_TOK));
        add_attention(b, &c, seen, read);
    }
    return c;
}

bench_cost bench_cost_step(const bench *b, uint32_t depth, uint32_t batch)
{
    bench_cost c = {0};
    add_weights(b, &c, batch, 1, batch);
    for (uint32_t il = 0; il < b->model->hp.n_layers; il++) {
        const vg_layer *l = &b->model->layer[il];
        double seen = VG_MIN(window_of(b, l), (double)depth + 1) * batch;
        add_attention(b, &c, seen, seen);
    }
    return c;
}

static void judge_row(bench_row *row, const bench_limit *l)
{
    double memory = row->cost.bytes / (l->read_gbs * 1e9);
    double int8 = row->cost.int8_ops / (l->int8_gops * 1e9);
    double fp32 = row->cost.fp32_ops / (l->fp32_gops * 1e9);
    double tokens = row->kind == BENCH_PREFILL ? row->tokens : row->batch;
    double seconds = tokens / row->speed.median, compute = int8 + fp32;
    row->share = VG_MAX(memory, compute) / seconds;
    row->bound = memory >= compute ? "memory" : int8 >= fp32 ? "int8" : "fp32";
}

void bench_judge(bench *b)
{
    const bench_limit *l = NULL;
    for (size_t i = 0; i < b->limits.n; i++)
        if (b->limits.at[i].threads == b->threads) l = &b->limits.at[i];
    if (!l) return;
    for (size_t i = 0; i < b->n_rows; i++) judge_row(&b->row[i], l);
}
