/* calib_layer.c: the matrices of one layer, copied out of the model's file to where products run
 * fast: floats as Q8_0, whose error is a hundredth of what is measured here (the integer kernels
 * are several times as fast as the float ones), quantised types as they are, both interleaved. The
 * pages of the file leave the process. Norms, biases and routers are read in place. */
#include "compress/calib_int.h"

enum { ALIGN = 64, ROWS = 8 };

/* The views that are copied; the router's choice is too sharp for 8 bits. */
static size_t list_views(vg_layer *l, vg_tensor *view[10])
{
    vg_tensor *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down,
                        &l->gate_exps, &l->up_exps, &l->down_exps};
    size_t n = 0;
    for (size_t i = 0; i < VG_COUNT(all); i++)
        if (all[i]->data) view[n++] = all[i];
    return n;
}

/* The type that a matrix has in the copy; its own where it is read in place. */
static vg_dtype type_of(const vg_tensor *t)
{
    bool floats = !vg_dtype_get(t->type)->quantised;
    return floats && t->n_in % 32 == 0 ? VG_Q8_0 : t->type;
}

static bool is_copied(const vg_tensor *t)
{
    return vg_interleaves(type_of(t));
}

static size_t row_bytes_of(const vg_tensor *t)
{
    uint64_t bytes = 0;
    bool fits = vg_dtype_row_bytes(type_of(t), t->n_in, &bytes);
    assert(fits);
    return (size_t)bytes;
}

static bool measure(vg_layer *l, size_t *n_bytes)
{
    vg_tensor *view[10];
    size_t n = list_views(l, view), sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        if (!is_copied(view[i])) continue;
        if (!vg_mul(view[i]->n_rows * view[i]->n_stack, row_bytes_of(view[i]), &bytes) ||
            !vg_round_up(bytes, ALIGN, &bytes) || !vg_add(sum, bytes, &sum)) return false;
    }
    *n_bytes = sum;
    return true;
}

vg_status layer_new(calib *k, vg_err *err)
{
    for (uint32_t il = 0; il < k->model->hp.n_layers; il++) {
        size_t n_bytes = 0;
        if (!measure(&k->model->layer[il], &n_bytes))
            return VG_FAIL(err, VG_E_LIMIT, "layer %u is larger than this machine can address", il);
        k->pages_bytes = VG_MAX(k->pages_bytes, n_bytes);
    }
    k->tmp_bytes = k->c->row_bytes / 2; /* rows of Q8_0 have a quarter of their floats' bytes */
    if (k->pages_bytes) k->pages = vg_os_pages_new(k->pages_bytes);
    k->tmp = vg_os_pages_new(k->tmp_bytes * vg_pool_threads(k->c->pool));
    if ((k->pages_bytes && !k->pages) || !k->tmp) return VG_FAIL_MEMORY(err, k->pages_bytes);
    return VG_OK;
}

void layer_free(calib *k)
{
    vg_os_pages_free(k->pages, k->pages_bytes);
    if (k->c->pool) vg_os_pages_free(k->tmp, k->tmp_bytes * vg_pool_threads(k->c->pool));
}

typedef struct copying {
    const calib *k;
    const vg_tensor *from;
    vg_tensor to;
    uint8_t *out;
    size_t rows_per_part, parts_per_matrix;
    atomic_bool strange; /* NaN or infinity was met */
} copying;

static void copy_part(void *arg, uint32_t part, uint32_t thread)
{
    copying *c = arg;
    const calib *k = c->k;
    size_t matrix = part / c->parts_per_matrix, row = part % c->parts_per_matrix * c->rows_per_part;
    size_t n = VG_MIN(c->rows_per_part, c->from->n_rows - row), n_in = c->from->n_in;
    size_t at = matrix * c->from->n_rows + row;
    const uint8_t *src = c->from->data + at * c->from->row_bytes, *rows = src;
    uint8_t *dst = c->out + at * c->to.row_bytes;
    if (c->to.type != c->from->type) {
        const vg_quantiser *q = k->c->quantiser;
        uint8_t *tmp = k->tmp + thread * k->tmp_bytes;
        vg_quantise_loss loss = {0};
        if (!q->widen(c->from->type, src, k->c->row[thread], n * n_in)) c->strange = true;
        else q->rows(&(vg_quantise){.type = c->to.type, .src = k->c->row[thread], .dst = tmp,
                                    .n_rows = n, .n_in = n_in}, &loss);
        rows = tmp;
    }
    vg_interleave(c->to.type, rows, dst, n, n_in);
    vg_gguf_drop(k->model->gguf, src, n * c->from->row_bytes);
}

static vg_status copy(calib *k, uint32_t il, vg_tensor *view, uint8_t *out, vg_err *err)
{
    size_t fit = k->c->row_bytes / sizeof(float) / view->n_in / ROWS * ROWS;
    copying c = {.k = k, .from = view, .to = *view, .out = out, .rows_per_part = fit};
    assert(fit > 0);
    c.to.type = type_of(view);
    c.to.row_bytes = row_bytes_of(view);
    c.to.data = out;
    c.to.interleaved = view->n_rows >= ROWS;
    c.parts_per_matrix = (view->n_rows + fit - 1) / fit;
    vg_pool_run(k->c->pool, (uint32_t)(c.parts_per_matrix * view->n_stack), copy_part, &c);
    *view = c.to;
    if (!c.strange) return VG_OK;
    return VG_FAIL(err, VG_E_NUMERIC,
                   "layer %u has weights that are NaN or infinite (`verge inspect --check` finds "
                   "them)", il);
}

vg_status layer_take(calib *k, uint32_t il, vg_err *err)
{
    vg_tensor *view[10];
    k->now = k->model->layer[il];
    size_t n = list_views(&k->now, view), at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_copied(view[i])) continue;
        size_t bytes = view[i]->n_rows * view[i]->n_stack * row_bytes_of(view[i]);
        VG_TRY(copy(k, il, view[i], k->pages + at, err));
        at += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    return VG_OK;
}
