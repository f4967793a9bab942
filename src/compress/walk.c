/* walk.c: rows of a tensor to another type by all threads. A chunk of rows is cut into parts at
 * places that depend on the tensor alone, so that bytes and sums are the same for any number of
 * threads; while it is worked on, one thread may write the chunk before. */
#include "compress/compress_int.h"

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

static void part(void *arg, uint32_t index, uint32_t thread)
{
    walk *w = arg;
    if (w->beside && index == 0) {
        w->beside(w->arg);
        return;
    }
    uint64_t i = index - (w->beside != NULL), rows = part_rows(w->from), n_in = w->from->dim[0];
    uint64_t row = i * rows, n = VG_MIN(rows, w->n_rows - row), from_bytes = 0, to_bytes = 0;
    bool fits = vg_dtype_row_bytes(w->from->type, n_in, &from_bytes) &&
                vg_dtype_row_bytes(w->to, n_in, &to_bytes);
    assert(fits);
    float *x = w->c->row[thread];
    const uint8_t *src = w->from->data + (w->first + row) * from_bytes;
    w->loss[i] = (vg_quantise_loss){0};
    w->bad[i] = UINT64_MAX;
    if (to_floats(w->c->quantiser, w->from->type, src, x, (size_t)(n * n_in))) {
        vg_quantise job = {.type = w->to, .src = x, .dst = w->out + row * to_bytes,
                           .n_rows = (size_t)n, .n_in = (size_t)n_in};
        w->c->quantiser->rows(&job, &w->loss[i]);
    } else {
        uint64_t at = 0;
        while (at < n * n_in && x[at] - x[at] == 0.0f) at++;
        w->bad[i] = (w->first + row) * n_in + at;
    }
}

vg_status walk_run(walk *w, vg_quantise_loss *loss, vg_err *err)
{
    const vg_gguf_tensor *t = w->from;
    uint64_t rows = part_rows(t), n_parts = (w->n_rows + rows - 1) / rows;
    assert(n_parts <= CHUNK_PARTS);
    vg_quantise_loss part_loss[CHUNK_PARTS];
    uint64_t bad[CHUNK_PARTS];
    w->loss = part_loss;
    w->bad = bad;
    vg_pool_run(w->c->pool, (uint32_t)n_parts + (w->beside != NULL), part, w);
    for (uint64_t i = 0; i < n_parts; i++) {
        if (bad[i] != UINT64_MAX)
            return VG_FAIL(err, VG_E_NUMERIC,
                           "tensor '%.*s': the weight in row %llu, column %llu is NaN or infinite",
                           VG_STR_ARG(t->name), (unsigned long long)(bad[i] / t->dim[0]),
                           (unsigned long long)(bad[i] % t->dim[0]));
        loss->error += part_loss[i].error;
        loss->norm += part_loss[i].norm;
    }
    w->c->done += w->n_rows * t->dim[0];
    return VG_OK;
}
