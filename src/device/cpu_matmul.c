/* The CPU device's matrix products: the input is quantised once, and the rows of all weights that
 * read it are cut into parts. A row's result does not depend on the part that it falls into. It
 * never computes: src/kern does. */
#include "device/cpu_int.h"

enum { ROWS_PER_PART = 32 };

typedef struct matmul_job {
    vg_device *d;
    const vg_matmul *m;
    size_t first_part[4]; /* of each weight, and the end */
} matmul_job;

static void quantise_part(void *arg, uint32_t r, uint32_t thread)
{
    VG_UNUSED(thread);
    const matmul_job *j = arg;
    size_t n_in = j->m->part[0].w.n_in;
    j->d->kern->quantise(j->m->x + r * n_in, j->d->act + r * vg_act_blocks(n_in), n_in);
}

static void add_bias(vg_device *d, const float *bias, float *out, size_t stride, size_t n_rows,
                     size_t n)
{
    for (size_t r = 0; bias && r < n_rows; r++) d->kern->add(out + r * stride, bias, n);
}

static void matmul_part(void *arg, uint32_t part, uint32_t thread)
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
                                         .interleaved = w->interleaved,
                                         .scratch = cpu_scratch(j->d, thread),
                                         .act = j->d->act,
                                         .x = j->m->x,
                                         .x_stride = w->n_in,
                                         .n_cols = j->m->n_rows,
                                         .out = out,
                                         .out_stride = w->n_rows});
    add_bias(j->d, bias ? bias + first : NULL, out, w->n_rows, j->m->n_rows, n);
}

void cpu_matmul(vg_device *d, const vg_matmul *m)
{
    matmul_job j = {.d = d, .m = m};
    bool quantise = false;
    for (size_t i = 0; i < VG_COUNT(m->part); i++) {
        size_t n = i < m->n_w ? cpu_parts(m->part[i].w.n_rows, ROWS_PER_PART) : 0;
        j.first_part[i + 1] = j.first_part[i] + n;
        if (i < m->n_w) quantise |= vg_dtype_get(m->part[i].w.type)->quantised;
    }
    if (quantise) {
        assert(m->n_rows <= d->max_rows && m->part[0].w.n_in <= d->max_in);
        cpu_run(d, m->n_rows, quantise_part, &j);
    }
    cpu_run(d, j.first_part[VG_COUNT(m->part)], matmul_part, &j);
}
