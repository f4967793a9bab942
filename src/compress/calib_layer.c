/* calib_layer.c: the matrices of one layer, copied out of the model's file to where products run
 * fast: floats as Q8_0, whose error is a hundredth of what is measured here (the integer kernels
 * are several times as fast as the float ones), quantised types as they are, both interleaved. The
 * pages of the file leave the process. Norms, biases and routers are read in place. A matrix may
 * also be copied as it will be once it is quantised, scales taken out again. */
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
    return (size_t)encode_row_bytes(type_of(t), t->n_in);
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
    if (k->pages_bytes) k->pages = vg_os_pages_new(k->pages_bytes);
    return k->pages || !k->pages_bytes ? VG_OK : VG_FAIL_MEMORY(err, k->pages_bytes);
}

void layer_free(calib *k)
{
    vg_os_pages_free(k->pages, k->pages_bytes);
}

typedef struct copying {
    const calib *k;
    const vg_tensor *from;
    vg_tensor to;
    const layer_trial *trial; /* NULL: as it is */
    uint8_t *out;
    size_t rows_per_part, parts_per_matrix;
    atomic_bool strange; /* NaN or infinity was met */
} copying;

/* W becomes Q(W diag(col)) diag(1 / col). */
static void quantise_and_restore(const copying *c, uint32_t thread, float *x, size_t n)
{
    const fold *f = &c->trial->fold;
    const encoding e = {.c = c->k->c, .fold = f, .to = c->trial->to, .n_in = c->from->n_in,
                        .thread = thread};
    uint8_t *blocks = encode_room(e.c, thread, ROOM_BLOCKS);
    encode_loss ignored = {0};
    encode_rows(&e, 0, 0, x, n, blocks, &ignored);
    vg_dequant(e.to, blocks, x, n * e.n_in);
    for (size_t i = 0; f->col && i < n * e.n_in; i++) x[i] /= f->col[i % e.n_in];
}

static void copy_part(void *arg, uint32_t part, uint32_t thread)
{
    copying *c = arg;
    const calib *k = c->k;
    size_t matrix = part / c->parts_per_matrix, row = part % c->parts_per_matrix * c->rows_per_part;
    size_t n = VG_MIN(c->rows_per_part, c->from->n_rows - row), n_in = c->from->n_in;
    size_t at = matrix * c->from->n_rows + row;
    const uint8_t *src = c->from->data + at * c->from->row_bytes, *rows = src;
    uint8_t *dst = c->out + at * c->to.row_bytes;
    if (c->to.type != c->from->type || c->trial) {
        const vg_quantiser *q = k->c->quantiser;
        float *x = encode_room(k->c, thread, ROOM_WEIGHTS);
        uint8_t *blocks = encode_room(k->c, thread, ROOM_BLOCKS);
        vg_quantise_loss loss = {0};
        bool finite = encode_widen(q, c->from->type, src, x, n * n_in);
        if (finite && c->trial) quantise_and_restore(c, thread, x, n);
        if (finite) q->rows(&(vg_quantise){.type = c->to.type, .src = x, .dst = blocks,
                                           .n_rows = n, .n_in = n_in}, &loss);
        else c->strange = true;
        rows = blocks;
    }
    if (vg_interleaves(c->to.type)) vg_interleave(c->to.type, rows, dst, n, n_in);
    else memcpy(dst, rows, n * c->to.row_bytes);
    vg_gguf_drop(k->model->gguf, src, n * c->from->row_bytes);
}

vg_status layer_copy(calib *k, vg_tensor *view, const layer_trial *trial, uint8_t *out,
                     vg_err *err)
{
    size_t fit = k->c->row_bytes / sizeof(float) / view->n_in / ROWS * ROWS;
    const vg_tensor from = *view;
    copying c = {.k = k, .from = &from, .to = from, .trial = trial, .out = out,
                 .rows_per_part = fit};
    assert(fit > 0 && !view->interleaved);
    c.to.type = trial && from.n_in % 32 == 0 ? VG_Q8_0 : type_of(&from);
    c.to.row_bytes = (size_t)encode_row_bytes(c.to.type, from.n_in);
    c.to.data = out;
    c.to.interleaved = from.n_rows >= ROWS && vg_interleaves(c.to.type);
    c.parts_per_matrix = (from.n_rows + fit - 1) / fit;
    vg_pool_run(k->c->pool, (uint32_t)(c.parts_per_matrix * from.n_stack), copy_part, &c);
    *view = c.to;
    if (!c.strange) return VG_OK;
    return VG_FAIL(err, VG_E_NUMERIC,
                   "layer %u has weights that are NaN or infinite (`verge inspect --check` finds "
                   "them)", k->n_done);
}

vg_status layer_take(calib *k, uint32_t il, vg_err *err)
{
    vg_tensor *view[10];
    k->now = k->model->layer[il];
    size_t n = list_views(&k->now, view), at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_copied(view[i])) continue;
        size_t bytes = view[i]->n_rows * view[i]->n_stack * row_bytes_of(view[i]);
        VG_TRY(layer_copy(k, view[i], NULL, k->pages + at, err));
        at += (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    return VG_OK;
}
