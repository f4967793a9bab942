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

/* n rows of the chunk from `row` on; a stack's matrices one by one, because each has columns of its
 * own. */
static void encode_part(const walk *w, uint64_t row, uint64_t n, const encoding *e,
                        encode_loss *out)
{
    uint64_t per = w->from->dim[1], bytes = encode_row_bytes(w->to, e->n_in);
    float *x = encode_room(w->c, e->thread, ROOM_WEIGHTS);
    for (uint64_t done = 0, m; done < n; done += m) {
        uint64_t at = w->first + row + done;
        m = VG_MIN(n - done, per - at % per);
        encode_rows(e, at / per, at % per, x + done * e->n_in, (size_t)m,
                    w->out + (row + done) * bytes, out);
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
    float *x = encode_room(w->c, thread, ROOM_WEIGHTS);
    const uint8_t *src = w->from->data + (w->first + row) * encode_row_bytes(w->from->type, n_in);
    const encoding e = {.c = w->c, .fold = &w->fold, .to = w->to, .n_in = (size_t)n_in,
                        .thread = thread, .sample = i % SAMPLE_EVERY == 0};
    w->part[i] = (walk_part){.bad = UINT64_MAX};
    if (encode_widen(w->c->quantiser, w->from->type, src, x, (size_t)(n * n_in))) {
        encode_part(w, row, n, &e, &w->part[i].lost);
    } else {
        uint64_t at = 0;
        while (at < n * n_in && x[at] - x[at] == 0.0f) at++;
        w->part[i].bad = (w->first + row) * n_in + at;
    }
}

vg_status walk_run(walk *w, encode_loss *sum, vg_err *err)
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
        const encode_loss *lost = &parts[i].lost;
        sum->loss.error += lost->loss.error;
        sum->loss.norm += lost->loss.norm;
        sum->sampled += lost->sampled;
        sum->plain += lost->plain;
    }
    w->c->done += w->n_rows * t->dim[0];
    return VG_OK;
}
