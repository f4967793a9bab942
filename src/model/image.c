/* image.c: the head of a file of repacked weights: what it must be for a model, and whether a file
 * has it. The head is compared field by field with the one that the model calls for, and no number
 * of the file is used as a size or a place, so a hostile image can hold wrong weights, as a hostile
 * model can, and nothing else. The layout has no version that one could forget to raise: it is the
 * hash of what vg_interleave makes of a pattern. */
#include "model/image_int.h"

enum { PROBE_ROWS = 9, PROBE_IN = 256, PROBE_BYTES = PROBE_ROWS * PROBE_IN * 4 };

static const char magic[8] = "VGWEIGH1";

/* A group of 8 rows and one that is left over, of bytes that are all different in 8 blocks. */
static uint64_t hash_layout(vg_dtype type)
{
    uint8_t from[PROBE_BYTES], to[PROBE_BYTES];
    uint64_t row = 0;
    if (!vg_dtype_row_bytes(type, PROBE_IN, &row)) return 0;
    for (size_t i = 0; i < PROBE_BYTES; i++) from[i] = (uint8_t)(i * 167 + (i >> 8) * 59);
    vg_interleave(type, from, to, PROBE_ROWS, PROBE_IN);
    return vg_hash(to, (size_t)row * PROBE_ROWS);
}

static uint64_t hash_identity(const vg_gguf *g)
{
    uint64_t h = 0;
    for (uint32_t i = 0; i < vg_gguf_n_parts(g); i++) {
        vg_file_stamp stamp = vg_gguf_stamp(g, i);
        const uint64_t all[] = {h, stamp.n_bytes, stamp.modified_ns, stamp.changed_ns, stamp.inode};
        h = vg_hash(all, sizeof all);
    }
    return h;
}

void image_want(image_head *want, const repack *r, const vg_model *m)
{
    bool seen[VG_N_DTYPES] = {0};
    *want = (image_head){.n_bytes = r->n_bytes, .model_bytes = vg_gguf_file_bytes(m->gguf)};
    memcpy(want->magic, magic, sizeof magic);
    for (size_t i = 0; i < r->n; i++) {
        const repack_matrix *x = &r->matrix[i];
        const vg_tensor *t = x->view;
        const uint64_t all[] = {want->matrices, t->type, t->n_in, t->n_rows, t->n_stack, x->at};
        want->matrices = vg_hash(all, sizeof all);
        if (seen[t->type]) continue;
        seen[t->type] = true;
        const uint64_t layout[] = {want->layout, t->type, hash_layout(t->type)};
        want->layout = vg_hash(layout, sizeof layout);
    }
    want->identity = hash_identity(m->gguf);
}

void image_seal(image_head *h)
{
    h->head = vg_hash(h, offsetof(image_head, head));
}

uint64_t image_hash_pieces(const uint64_t *piece, size_t n)
{
    return vg_hash(piece, n * sizeof *piece);
}

vg_status image_check_head(const void *p, size_t n, const image_head *want, image_head *found,
                           vg_err *err)
{
    image_head h = {0};
    if (n < sizeof h) return VG_FAIL(err, VG_E_FORMAT, "it has %zu bytes", n);
    memcpy(&h, p, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic))
        return VG_FAIL(err, VG_E_FORMAT, "it holds no repacked weights");
    if (h.head != vg_hash(&h, offsetof(image_head, head)))
        return VG_FAIL(err, VG_E_FORMAT, "its head is damaged");
    if (h.layout != want->layout)
        return VG_FAIL(err, VG_E_FORMAT, "it has the layout of another version");
    if (h.matrices != want->matrices || h.n_bytes != want->n_bytes ||
        h.model_bytes != want->model_bytes)
        return VG_FAIL(err, VG_E_FORMAT, "it was made of another model");
    *found = h;
    return VG_OK;
}

vg_status image_open(vg_file *f, const char *path, const image_head *want, image_head *found,
                     vg_err *err)
{
    VG_TRY(vg_file_map(f, path, err));
    vg_status st = image_check_head(f->data, (size_t)f->n, want, found, err);
    if (!st && f->n != IMAGE_DATA + want->n_bytes)
        st = VG_FAIL(err, VG_E_FORMAT, "it has %llu bytes, not %llu", (unsigned long long)f->n,
                     (unsigned long long)(IMAGE_DATA + want->n_bytes));
    if (!st && !vg_file_intact(f)) st = VG_FAIL(err, VG_E_IO, "it changed while it was read");
    if (st) vg_file_unmap(f);
    return st;
}
