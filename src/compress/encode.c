/* encode.c: rows of a matrix to blocks by what a calibration says of it: columns and rows scaled,
 * weights clipped where that is less of an error, then the search with importances and feedback.
 *
 * Clipping (after AWQ, Lin and others 2023, arXiv:2306.00978): a row's weights in 32 columns are
 * held to a part of their largest, the one of ten parts whose output error d^T E[x x^T] d is least.
 * The search of a block finds its own scale all the same: it knows of columns, not of how they go
 * together. */
#include <math.h>

#include "compress/compress_int.h"

enum { GROUP = CLIP_COLS, N_STEPS = 10 };

static const float step = 0.05f; /* of the largest weight */

bool encode_widen(const vg_quantiser *q, uint32_t type, const void *src, float *dst, size_t n)
{
    if (!vg_dtype_get(type)->quantised) return q->widen((vg_dtype)type, src, dst, n);
    vg_dequant((vg_dtype)type, src, dst, n);
    return q->widen(VG_F32, dst, dst, n);
}

uint64_t encode_row_bytes(uint32_t type, uint64_t n_in)
{
    uint64_t bytes = 0;
    bool fits = vg_dtype_row_bytes(type, n_in, &bytes);
    assert(fits);
    return bytes;
}

void *encode_room(const vg_compress *c, uint32_t thread, int room)
{
    return (uint8_t *)c->row[thread] + (size_t)room * c->row_bytes;
}

/* ---- clipping -------------------------------------------------------------------------------- */

static float largest(const float *x)
{
    float most = 0;
    for (size_t i = 0; i < GROUP; i++) most = fmaxf(most, fabsf(x[i]));
    return most;
}

static void clip(const float *x, float most, float *out)
{
    for (size_t i = 0; i < GROUP; i++) out[i] = fminf(fmaxf(x[i], -most), most);
}

/* d^T gram d with d = a - b. */
static float output_error(const float *gram, const float *a, const float *b)
{
    float d[GROUP], sum[GROUP] = {0}, error = 0;
    for (size_t i = 0; i < GROUP; i++) d[i] = a[i] - b[i];
    for (size_t i = 0; i < GROUP; i++)
        for (size_t j = 0; j < GROUP; j++) sum[j] += d[i] * gram[i * GROUP + j];
    for (size_t j = 0; j < GROUP; j++) error += d[j] * sum[j];
    return error;
}

typedef struct best { /* of a row's group */
    float error;
    uint32_t steps;
} best;

/* One step of the search: all groups clipped by as much; where the error is the least so far, it is
 * noted. */
static void try_step(const encoding *e, const vg_quantise *job, uint32_t k, best *found)
{
    float *clipped = encode_room(e->c, e->thread, ROOM_CLIPPED);
    float *restored = encode_room(e->c, e->thread, ROOM_RESTORED);
    vg_quantise trial = *job;
    vg_quantise_loss ignored = {0};
    size_t n_groups = job->n_in / GROUP, row_bytes = (size_t)encode_row_bytes(job->type, job->n_in);
    trial.src = clipped;
    trial.dst = encode_room(e->c, e->thread, ROOM_BLOCKS);
    trial.feedback = NULL;
    for (size_t i = 0; i < job->n_rows * n_groups; i++) {
        const float *x = job->src + i * GROUP;
        clip(x, largest(x) * (1 - step * (float)k), clipped + i * GROUP);
    }
    e->c->quantiser->rows(&trial, &ignored);
    for (size_t r = 0; r < job->n_rows; r++) {
        vg_dequant(job->type, (uint8_t *)trial.dst + r * row_bytes, restored, job->n_in);
        for (size_t g = 0; g < n_groups; g++) {
            best *b = &found[r * n_groups + g];
            float error = output_error(e->fold->gram + g * GROUP * GROUP, restored + g * GROUP,
                                       job->src + r * job->n_in + g * GROUP);
            if (k == 0 || error < b->error) *b = (best){error, k};
        }
    }
}

static void clip_rows(const encoding *e, const vg_quantise *job, float *x)
{
    best *found = encode_room(e->c, e->thread, ROOM_BEST);
    for (uint32_t k = 0; k < N_STEPS; k++) try_step(e, job, k, found);
    for (size_t i = 0; i < job->n_rows * job->n_in / GROUP; i++) {
        float *w = x + i * GROUP;
        if (found[i].steps) clip(w, largest(w) * (1 - step * (float)found[i].steps), w);
    }
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void scale_rows(const fold *f, uint64_t first, float *x, size_t n, size_t n_in)
{
    for (size_t r = 0; r < n; r++) {
        float *row = x + r * n_in, by = f->row ? f->row[first + r] : 1.0f;
        for (size_t i = 0; f->col && i < n_in; i++) row[i] *= f->col[i];
        for (size_t i = 0; f->row && i < n_in; i++) row[i] *= by;
    }
}

/* The weighted error of a search without importances. */
static double plain_error(const encoding *e, vg_quantise job)
{
    const float *importance = job.importance;
    const size_t bytes = (size_t)encode_row_bytes(job.type, job.n_in);
    float *y = encode_room(e->c, e->thread, ROOM_RESTORED);
    vg_quantise_loss ignored = {0};
    double sum = 0;
    job.importance = job.feedback = NULL;
    e->c->quantiser->rows(&job, &ignored);
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

void encode_rows(const encoding *e, uint64_t matrix, uint64_t first, float *x, size_t n, void *dst,
                 encode_loss *out)
{
    const fold *f = e->fold;
    vg_quantise job = {.type = e->to, .src = x, .dst = dst, .n_rows = n, .n_in = e->n_in};
    bool weighs = !e->c->opts.no_importance;
    if (f->importance && weighs) job.importance = f->importance + matrix * e->n_in;
    if (f->factors && weighs && f->has_factors[matrix])
        job.feedback = f->factors + matrix * f->n_factors;
    scale_rows(f, first, x, n, e->n_in);
    bool sample = e->sample && job.importance;
    double unit = f->unit > 0 ? f->unit : 1;
    vg_quantise_loss loss = {0};
    if (sample) out->plain += unit * plain_error(e, job);
    if (f->gram) clip_rows(e, &job, x);
    e->c->quantiser->rows(&job, &loss);
    out->loss.error += unit * loss.error;
    out->loss.norm += unit * loss.norm;
    if (sample) out->sampled += unit * loss.error;
}
