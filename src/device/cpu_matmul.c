/* The CPU device's matrix products, in two rounds: the input is normed and quantised, row by row;
 * then the rows of all weights that read it are cut into parts, and a part goes on with what
 * follows its product while that is close. A row's result does not depend on the part that it
 * falls into. It never computes: src/kern does. */
#include "device/cpu_int.h"

/* Rows of a part: a multiple of 8, which the kernels take at once, and of the 64 of their panel
 * where there are enough. Several parts a thread even out what else the cores do; more than this
 * many rows a part gain nothing, as a stream from memory is long enough then. */
enum { PARTS_PER_THREAD = 8, ROW_GROUP = 8, PANEL_ROWS = 64, MAX_ROWS_PER_PART = 256 };

typedef struct matmul_job {
    vg_device *d;
    const vg_matmul *m;
    const float *x; /* the input: m->x or m->h */
    bool quantise;
    size_t rows_per_part;
    size_t first_part[4]; /* of each weight, and the end */
} matmul_job;

static void input_part(void *arg, uint32_t r, uint32_t thread)
{
    VG_UNUSED(thread);
    const matmul_job *j = arg;
    const vg_matmul *m = j->m;
    const vg_kern *k = j->d->kern;
    size_t n_in = m->part[0].w.n_in;
    if (m->norm) k->rms_norm(m->x + r * n_in, m->norm, m->h + r * n_in, n_in, m->eps);
    if (j->quantise) k->quantise(j->x + r * n_in, j->d->act + r * vg_act_blocks(n_in), n_in);
}

/* Rows first..first+n-1 of weight i, all columns, with their bias. */
static void product(const matmul_job *j, size_t i, size_t first, size_t n, uint32_t thread)
{
    const vg_matmul *m = j->m;
    const vg_tensor *w = &m->part[i].w;
    const float *bias = m->part[i].bias;
    float *out = m->part[i].out + first;
    j->d->kern->rows(w->type, &(vg_rows){.w = w->data + first * w->row_bytes,
                                         .w_stride = w->row_bytes,
                                         .n_rows = n,
                                         .n_in = w->n_in,
                                         .interleaved = w->interleaved,
                                         .scratch = cpu_scratch(j->d, thread),
                                         .act = j->d->act,
                                         .x = j->x,
                                         .x_stride = w->n_in,
                                         .n_cols = m->n_rows,
                                         .out = out,
                                         .out_stride = w->n_rows});
    for (size_t r = 0; bias && r < m->n_rows; r++)
        j->d->kern->add(out + r * w->n_rows, bias + first, n);
}

static void finish(const matmul_job *j, size_t first, size_t n)
{
    const vg_matmul *m = j->m;
    const vg_kern *k = j->d->kern;
    for (size_t r = 0; r < m->n_rows; r++) {
        size_t at = r * m->part[0].w.n_rows + first;
        float *out = m->part[0].out + at;
        if (m->glu == VG_GLU_SILU) k->silu_mul(out, m->part[1].out + at, out, n);
        if (m->glu == VG_GELU_ERF) k->gelu_erf(out, n);
        if (m->glu == VG_GLU_GELU) k->gelu_mul(out, m->part[1].out + at, out, n);
        if (m->sum) k->add_scaled(m->sum + at, out, m->sum_scale, n);
    }
}

/* Whether part 1 goes with part 0, to be multiplied with it. */
static bool is_gated(const vg_matmul *m)
{
    return m->glu == VG_GLU_SILU || m->glu == VG_GLU_GELU;
}

static void rows_part(void *arg, uint32_t part, uint32_t thread)
{
    const matmul_job *j = arg;
    size_t i = 0;
    while (part >= j->first_part[i + 1]) i++;
    size_t first = (part - j->first_part[i]) * j->rows_per_part;
    size_t n = VG_MIN(j->rows_per_part, j->m->part[i].w.n_rows - first);
    product(j, i, first, n, thread);
    if (is_gated(j->m)) product(j, 1, first, n, thread);
    if (i == 0) finish(j, first, n);
}

static size_t rows_per_part(const vg_device *d, const vg_matmul *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_w; i++) n += is_gated(m) && i == 1 ? 0 : m->part[i].w.n_rows;
    n /= vg_pool_threads(d->pool) * (size_t)PARTS_PER_THREAD;
    n -= n % (n >= PANEL_ROWS ? PANEL_ROWS : ROW_GROUP);
    return VG_MAX(VG_MIN(n, (size_t)MAX_ROWS_PER_PART), (size_t)ROW_GROUP);
}

void cpu_matmul(vg_device *d, const vg_matmul *m)
{
    matmul_job j = {.d = d, .m = m, .x = m->norm ? m->h : m->x};
    if (m->n_rows == 0) return; /* a batch in which no row wants logits ends so */
    j.rows_per_part = rows_per_part(d, m);
    for (size_t i = 0; i < VG_COUNT(m->part); i++) {
        bool own_parts = i < m->n_w && !(is_gated(m) && i == 1);
        size_t n = own_parts ? cpu_parts(m->part[i].w.n_rows, j.rows_per_part) : 0;
        j.first_part[i + 1] = j.first_part[i] + n;
        if (i < m->n_w) j.quantise |= vg_dtype_get(m->part[i].w.type)->quantised;
    }
    assert(!j.quantise || (m->n_rows <= d->max_rows && m->part[0].w.n_in <= d->max_in));
    if (j.quantise || m->norm) cpu_run(d, m->n_rows, input_part, &j);
    cpu_run(d, j.first_part[VG_COUNT(m->part)], rows_part, &j);
}
