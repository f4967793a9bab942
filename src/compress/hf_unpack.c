/* hf_unpack.c: packed matrices (hf_packed.c) to rows of a GGUF file. Where the file's blocks can
 * hold a group's scale and codes these go over as they are; only Q4_1's minimum is rounded to F16.
 * Elsewhere (columns of several groups in a block, zeros out of reach, another type asked for) the
 * weights are restored and quantised or rounded anew. Either way every row is read back as readers
 * of the file will, and the loss counted.
 * A stripe of rows is unpacked at a time, because rows of the file are columns of the checkpoint;
 * its pages leave the process before the next one comes. */
#include <math.h>

#include "compress/hf_int.h"

enum { BLOCK = 32, STRIPE_BYTES = 4 << 20, STRIPE_ROWS = 1024, ARENA_CAP_BYTES = 1 << 29 };

typedef struct unpack {
    hf_tensor *t;
    const hf_packed *p;
    const vg_quantiser *quantiser;
    bool as_they_are;
    size_t n_rows, row_bytes; /* rows: of a stripe */
    uint64_t *src;   /* [n_rows] rows of the source */
    uint8_t *code;   /* [n_rows, n_in] */
    uint32_t *group; /* [n_in] of each column */
    float *scale;    /* [n_groups] of one row */
    unsigned *zero;  /* [n_groups] */
    float *w, *back; /* [n_in] what the row is, and what the file gives back */
    uint8_t *out;    /* [row_bytes] */
    vg_err *err;
} unpack;

static vg_status make_room(unpack *u, vg_arena *a)
{
    const hf_packed *p = u->p;
    size_t n_in = (size_t)p->n_in, n_groups = (size_t)p->n_groups;
    uint64_t row_bytes = 0;
    bool fits = vg_dtype_row_bytes(u->t->type, p->n_in, &row_bytes);
    assert(fits);
    u->row_bytes = (size_t)row_bytes;
    u->n_rows = VG_MIN(VG_MAX(STRIPE_BYTES / n_in, (size_t)8), (size_t)STRIPE_ROWS);
    u->n_rows = VG_MIN(u->n_rows, (size_t)p->n_out);
    u->src = VG_ARENA_ARRAY(a, uint64_t, u->n_rows);
    u->code = VG_ARENA_ARRAY(a, uint8_t, u->n_rows * n_in);
    u->group = VG_ARENA_ARRAY(a, uint32_t, n_in);
    u->scale = VG_ARENA_ARRAY(a, float, n_groups);
    u->zero = VG_ARENA_ARRAY(a, unsigned, n_groups);
    u->w = VG_ARENA_ARRAY(a, float, n_in);
    u->back = VG_ARENA_ARRAY(a, float, n_in);
    u->out = vg_arena_alloc(a, u->row_bytes, sizeof(float));
    if (!u->src || !u->code || !u->group || !u->scale || !u->zero || !u->w || !u->back || !u->out)
        return VG_FAIL_MEMORY(u->err, u->n_rows * n_in);
    for (size_t i = 0; i < n_in; i++) u->group[i] = (uint32_t)hf_packed_group(p, i);
    return VG_OK;
}

static void put_f16(uint8_t *out, float v)
{
    uint16_t h = vg_f32_to_f16(v);
    out[0] = (uint8_t)h;
    out[1] = (uint8_t)(h >> 8);
}

/* w = d (q - 8), d q + m, d q: see kern/kern.h's block formats. */
static uint8_t *put_block(vg_dtype type, const uint8_t *code, float scale, unsigned zero,
                          uint8_t *out)
{
    put_f16(out, scale);
    out += 2;
    if (type == VG_Q8_0) {
        for (unsigned i = 0; i < BLOCK; i++) out[i] = (uint8_t)(code[i] - zero);
        return out + BLOCK;
    }
    if (type == VG_Q4_1) {
        put_f16(out, -(float)zero * scale);
        out += 2;
        zero = 8; /* the codes stay */
    }
    for (unsigned i = 0; i < BLOCK / 2; i++)
        out[i] = (uint8_t)((code[i] - zero + 8) | (code[i + BLOCK / 2] - zero + 8) << 4);
    return out + BLOCK / 2;
}

static vg_status look_up_groups(unpack *u, uint64_t row)
{
    const hf_packed *p = u->p;
    for (uint64_t g = 0; g < p->n_groups; g++) {
        u->scale[g] = hf_packed_scale(p, g, row);
        u->zero[g] = hf_packed_zero(p, g, row);
        float most = fabsf(u->scale[g]) * (float)VG_MAX(u->zero[g], 1u);
        if (!isfinite(u->scale[g]) || (u->as_they_are && most >= 65520))
            return VG_FAIL(u->err, VG_E_NUMERIC, "tensor %.*s has the scale %g for group %llu of "
                           "output %llu, which F16 cannot hold", VG_STR_ARG(p->scales->name),
                           (double)u->scale[g], (unsigned long long)g, (unsigned long long)row);
    }
    return VG_OK;
}

static vg_status put_row(unpack *u, const uint8_t *code)
{
    size_t n_in = (size_t)u->p->n_in, bad;
    vg_quantise_loss unused = {0};
    for (size_t i = 0; i < n_in; i++) {
        uint32_t g = u->group[i];
        u->w[i] = u->scale[g] * (float)((int)code[i] - (int)u->zero[g]);
    }
    uint8_t *out = u->out;
    if (u->as_they_are)
        for (size_t i = 0; i < n_in; i += BLOCK)
            out = put_block(u->t->type, code + i, u->scale[u->group[i]], u->zero[u->group[i]], out);
    else if (vg_quantises(u->t->type) && vg_dtype_get(u->t->type)->quantised)
        u->quantiser->rows(&(vg_quantise){.type = u->t->type, .src = u->w, .dst = out, .n_rows = 1,
                                          .n_in = n_in}, &unused);
    else if (!hf_round(u->t->type, u->w, n_in, out, &bad))
        return VG_FAIL(u->err, VG_E_NUMERIC, "%.*s has the weight %g, which is beyond F16; take "
                       "BF16 or F32", VG_STR_ARG(u->p->name), (double)u->w[bad]);
    vg_dequant(u->t->type, u->out, u->back, n_in);
    double error = 0, norm = 0;
    for (size_t i = 0; i < n_in; i++) {
        double w = u->w[i], far = w - u->back[i];
        error += far * far;
        norm += w * w;
    }
    u->t->loss.error += error;
    u->t->loss.norm += norm;
    return VG_OK;
}

static void drop_pages(const hf_packed *p)
{
    const vg_st_tensor *piece[HF_PACKED_PIECES];
    size_t n = hf_packed_pieces(p, piece);
    for (size_t i = 0; i < n; i++)
        vg_safetensors_drop(piece[i]->file, piece[i]->data, (size_t)piece[i]->n_bytes);
}

static vg_status all_rows(unpack *u, vg_gguf_writer *w)
{
    const hf_packed *p = u->p;
    for (uint64_t first = 0; first < p->n_out; first += u->n_rows) {
        size_t n = (size_t)VG_MIN(p->n_out - first, (uint64_t)u->n_rows);
        for (size_t i = 0; i < n; i++) u->src[i] = hf_source_row(u->t, first + i);
        hf_packed_codes(p, u->src, n, u->code);
        for (size_t i = 0; i < n; i++) {
            VG_TRY(look_up_groups(u, u->src[i]));
            VG_TRY(put_row(u, u->code + i * p->n_in));
            VG_TRY(vg_gguf_write(w, u->out, u->row_bytes, u->err));
        }
        drop_pages(p);
    }
    return VG_OK;
}

vg_status hf_packed_write(hf_tensor *t, const hf_packed *p, vg_gguf_writer *w, vg_err *err)
{
    vg_arena *a = NULL;
    VG_TRY(vg_arena_new(&a, ARENA_CAP_BYTES, err));
    unpack u = {.t = t, .p = p, .err = err, .as_they_are = hf_packed_fits(p, t->type),
                .quantiser = vg_quantiser_pick(NULL)};
    vg_status st = make_room(&u, a);
    if (!st) st = all_rows(&u, w);
    vg_arena_free(a);
    return st;
}
