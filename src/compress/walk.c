/* walk.c: rows of a tensor to another type by all threads. A chunk of rows is cut into parts at
 * places that depend on the tensor alone, so that bytes and sums are the same for any number of
 * threads; while it is worked on, one thread may write the chunk before. */
#include "compress/compress_int.h"

enum { SAMPLE_EVERY = 8 }; /* parts */

uint64_t compress_rows(const vg_gguf_tensor *t)
{
    return t->dim[1] * t->dim[2] * t->dim[3];
}

static uint64_t part_rows(const vg_gguf_tensor *t)
{
    return VG_MAX((uint64_t)PART_WEIGHTS / t->dim[0], (uint64_t)1);
}

uint64_t walk_chunk(const vg_gguf_tensor *t)
{
    return part_rows(t) * CHUNK_PARTS;
}

static bool to_floats(const vg_quantiser *q, uint32_t type, const void *src, float *dst, size_t n)
{
    if (!vg_dtype_get(type)->quantised) return q->widen((vg_dtype)type, src, dst, n);
    vg_dequant((vg_dtype)type, src, dst, n);
    return q->widen(VG_F32, dst, dst, n);
}

static uint64_t row_bytes(uint32_t type, uint64_t n_in)
{
    uint64_t bytes = 0;
    bool fits = vg_dtype_row_bytes(type, n_in, &bytes);
    assert(fits);
    return bytes;
}

/* The weighted error of a search without importances. y [n_in] is room for a row. */
static double plain_error(const walk *w, vg_quantise job, float *y)
{
    const float *importance = job.importance;
    const uint64_t bytes = row_bytes(job.type, job.n_in);
    vg_quantise_loss ignored = {0};
    double sum = 0;
    job.importance = NULL;
    w->c->quantiser->rows(&job, &ignored);
    for (size_t r = 0; r < job.n_rows; r++) {
        const float *x = job.src + r * job.n_in;
        vg_dequant(job.type, (const uint8_t *)job.dst + r * bytes, y, job.n_in);
        for (size_t i = 0; i < job.n_in; i++) {
            double lost = (double)x[i] - (double)y[i];
            sum += (double)importance[i] * lost * lost;
        }
    }
    return sum;
}

/* n rows of the chunk from `row` on, as floats, to blocks; a stack's matrices one by one, because
 * each has columns of its own. */
static void quantise_rows(const walk *w, uint64_t row, uint64_t n, float *x, bool sample,
                          walk_part *out)
{
    uint64_t n_in = w->from->dim[0], per = w->from->dim[1], bytes = row_bytes(w->to, n_in);
    for (uint64_t done = 0, m; done < n; done += m) {
        uint64_t at = w->first + row + done;
        m = VG_MIN(n - done, per - at % per);
        vg_quantise job = {.type = w->to, .src = x + done * n_in,
                           .dst = w->out + (row + done) * bytes, .n_rows = (size_t)m,
                           .n_in = (size_t)n_in};
        if (w->fold.importance) job.importance = w->fold.importance + at / per * n_in;
        sample = sample && job.importance;
        if (sample) out->plain += plain_error(w, job, x + w->c->row_bytes / sizeof *x);
        double before = out->loss.error;
        w->c->quantiser->rows(&job, &out->loss);
        if (sample) out->sampled += out->loss.error - before;
    }
}

static void part(void *arg, uint32_t index, uint32_t thread)
{
    walk *w = arg;
    if (w->beside && index == 0) {
        w->beside(w->arg);
        return;
    }
    uint64_t i = index - (w->beside != NULL), rows = part_rows(w->from), n_in = w->from->dim[0];
    uint64_t row = i * rows, n = VG_MIN(rows, w->n_rows - row);
    float *x = w->c->row[thread];
    const uint8_t *src = w->from->data + (w->first + row) * row_bytes(w->from->type, n_in);
    w->part[i] = (walk_part){.bad = UINT64_MAX};
    if (to_floats(w->c->quantiser, w->from->type, src, x, (size_t)(n * n_in))) {
        quantise_rows(w, row, n, x, i % SAMPLE_EVERY == 0, &w->part[i]);
    } else {
        uint64_t at = 0;
        while (at < n * n_in && x[at] - x[at] == 0.0f) at++;
        w->part[i].bad = (w->first + row) * n_in + at;
    }
}

vg_status walk_run(walk *w, walk_part *sum, vg_err *err)
{
    const vg_gguf_tensor *t = w->from;
    uint64_t rows = part_rows(t), n_parts = (w->n_rows + rows - 1) / rows;
    assert(n_parts <= CHUNK_PARTS);
    walk_part parts[CHUNK_PARTS];
    w->part = parts;
    vg_pool_run(w->c->pool, (uint32_t)n_parts + (w->beside != NULL), part, w);
    for (uint64_t i = 0; i < n_parts; i++) {
        if (parts[i].bad != UINT64_MAX)
            return VG_FAIL(err, VG_E_NUMERIC,
                           "tensor '%.*s': the weight in row %llu, column %llu is NaN or infinite",
                           VG_STR_ARG(t->name), (unsigned long long)(parts[i].bad / t->dim[0]),
                           (unsigned long long)(parts[i].bad % t->dim[0]));
        sum->loss.error += parts[i].loss.error;
        sum->loss.norm += parts[i].loss.norm;
        sum->sampled += parts[i].sampled;
        sum->plain += parts[i].plain;
    }
    w->c->done += w->n_rows * t->dim[0];
    return VG_OK;
}
