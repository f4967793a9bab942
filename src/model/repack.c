/* repack.c: which matrices of a model the kernels want in another layout (vg_interleave), and the
 * way there.
 *
 * All of them lie in one block, in the order of the model's views, so that the block is the same
 * for the same model on every machine. It is filled in parts of whole 8 rows; the pages of the file
 * that a part has read leave the process when the part is done, so a second copy of the weights
 * never stands in memory. A fused tensor's views are matrices of their own here. An
 * embedding that is not the output as well stays in the file: a step reads single rows of it. */
#include "model/load_int.h"

/* Neighbouring parts meet in one large page, which two threads that come to it at once would both
 * clear: so a part has several. */
enum { ALIGN = 64, ROWS = 8, PART_BYTES = 4 << 20 };

/* How far ahead of the part that is copied the file is asked for: enough to keep a disk busy. */
enum { AHEAD_PARTS = 8 };

static bool interleaves(const vg_tensor *t)
{
    return t->data && t->n_rows >= ROWS && vg_interleaves(t->type);
}

/* Matrices that interleave, and with them the vectors: a read of a few kilobytes of a mapped file
 * may keep the megabytes around it in memory. */
static bool is_repacked(const vg_tensor *t)
{
    return interleaves(t) || (t->data && t->n_rows == 1 && t->n_stack == 1);
}

static bool any_interleaves(const vg_model *m)
{
    bool any = false;
    for (size_t i = 0; i < vg_model_n_views(m); i++) any |= interleaves(vg_model_view(m, i));
    return any;
}

static size_t view_bytes(const vg_tensor *t)
{
    return t->n_stack * t->n_rows * t->row_bytes; /* inside the file, by the reader's check */
}

uint64_t vg_repack_bytes(const vg_model *m)
{
    uint64_t bytes = 0;
    if (!any_interleaves(m)) return 0;
    for (size_t i = 0; i < vg_model_n_views(m); i++) {
        const vg_tensor *t = vg_model_view(m, i);
        if (is_repacked(t)) bytes += view_bytes(t);
    }
    return bytes;
}

static bool place(repack *r, vg_tensor *t, uint64_t *n_parts)
{
    size_t rows = PART_BYTES / t->row_bytes / ROWS * ROWS;
    repack_matrix *x = &r->matrix[r->n++];
    *x = (repack_matrix){.view = t, .rows_per_part = VG_MAX(rows, (size_t)ROWS)};
    x->parts_per_matrix = (t->n_rows + x->rows_per_part - 1) / x->rows_per_part;
    x->first_part = (uint32_t)*n_parts;
    *n_parts += (uint64_t)x->parts_per_matrix * t->n_stack;
    return vg_round_up(r->n_bytes, ALIGN, &x->at) && vg_add(x->at, view_bytes(t), &r->n_bytes) &&
           *n_parts < INT32_MAX;
}

vg_status repack_list(repack *r, vg_model *m, vg_err *err)
{
    size_t n = 0;
    uint64_t n_parts = 0;
    *r = (repack){.gguf = m->gguf};
    if (!any_interleaves(m)) return VG_OK;
    for (size_t i = 0; i < vg_model_n_views(m); i++) n += is_repacked(vg_model_view(m, i));
    r->matrix = VG_ARENA_ARRAY(m->arena, repack_matrix, n);
    if (!r->matrix) return VG_FAIL_MEMORY(err, n * sizeof *r->matrix);
    for (size_t i = 0; i < vg_model_n_views(m); i++)
        if (is_repacked(vg_model_view(m, i)) && !place(r, vg_model_view(m, i), &n_parts))
            return VG_FAIL(err, VG_E_LIMIT, "the weights are more than this machine can address");
    r->n_parts = (uint32_t)n_parts;
    return VG_OK;
}

/* Rows of one part. */
typedef struct span {
    const vg_tensor *view;
    size_t from, n_rows, n_bytes; /* bytes of the view before it */
    size_t to;                    /* bytes of the block before it */
} span;

static span find_part(const repack *r, uint32_t part)
{
    size_t low = 0, high = r->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (r->matrix[middle].first_part <= part) low = middle;
        else high = middle;
    }
    const repack_matrix *x = &r->matrix[low];
    const vg_tensor *t = x->view;
    size_t k = part - x->first_part, row = k % x->parts_per_matrix * x->rows_per_part;
    span s = {.view = t, .n_rows = VG_MIN(x->rows_per_part, t->n_rows - row)};
    s.from = (k / x->parts_per_matrix * t->n_rows + row) * t->row_bytes;
    s.n_bytes = s.n_rows * t->row_bytes;
    s.to = x->at + s.from;
    return s;
}

size_t repack_part(const repack *r, uint32_t part)
{
    span s = find_part(r, part);
    if (part + AHEAD_PARTS < r->n_parts) {
        span ahead = find_part(r, part + AHEAD_PARTS);
        vg_gguf_want(r->gguf, ahead.view->data + ahead.from, ahead.n_bytes);
    }
    const uint8_t *from = s.view->data + s.from;
    if (interleaves(s.view))
        vg_interleave(s.view->type, from, r->to + s.to, s.n_rows, s.view->n_in);
    else memcpy(r->to + s.to, from, s.n_bytes);
    vg_gguf_drop(r->gguf, from, s.n_bytes);
    return s.n_bytes;
}

void repack_bind(const repack *r, const uint8_t *data)
{
    for (size_t i = 0; i < r->n; i++) {
        vg_tensor *t = r->matrix[i].view;
        t->interleaved = interleaves(t);
        t->data = data + r->matrix[i].at;
    }
}
