/* hf_write.c: the bytes of one tensor, from the mapped checkpoint to the file that is written. A
 * tensor that keeps its type goes straight from the mapping; another passes through float in pieces
 * of PIECE numbers. Pages that were read leave the process at once, so that memory stays where it
 * was, however large the tensor is.
 * A number that would become infinite in F16 is refused: the model would answer nothing. */
#include <math.h>

#include "compress/hf_int.h"

enum { PIECE = 1 << 14, RUN_BYTES = 4 << 20 };

typedef struct job {
    const hf_tensor *t;
    vg_gguf_writer *w;
    vg_err *err;
} job;

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

void hf_to_float(vg_st_dtype type, const uint8_t *src, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        switch (type) {
        case VG_ST_F16: dst[i] = vg_f16_to_f32(get_u16(src + 2 * i)); continue;
        case VG_ST_BF16: bits = (uint32_t)get_u16(src + 2 * i) << 16; break;
        default: memcpy(&bits, src + 4 * i, sizeof bits); break;
        }
        memcpy(&dst[i], &bits, sizeof bits);
    }
}

/* To nearest, ties to even; NaN stays NaN. */
static uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (isnan(f)) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

bool hf_round(vg_dtype type, const float *x, size_t n, void *out, size_t *bad)
{
    uint16_t *half = out;
    if (type == VG_F32) memcpy(out, x, n * sizeof *x);
    for (size_t i = 0; type != VG_F32 && i < n; i++) {
        half[i] = type == VG_F16 ? vg_f32_to_f16(x[i]) : to_bf16(x[i]);
        *bad = i;
        if (type == VG_F16 && isfinite(x[i]) && (half[i] & 0x7c00) == 0x7c00) return false;
    }
    return true;
}

static vg_status write_floats(const job *j, vg_str name, const float *x, size_t n)
{
    uint16_t half[PIECE];
    size_t bad;
    if (j->t->type == VG_F32) return vg_gguf_write(j->w, x, n * sizeof *x, j->err);
    if (!hf_round(j->t->type, x, n, half, &bad))
        return VG_FAIL(j->err, VG_E_NUMERIC, "tensor %.*s has the number %g, which is beyond F16; "
                       "take BF16 or F32", VG_STR_ARG(name), (double)x[bad]);
    return vg_gguf_write(j->w, half, n * sizeof *half, j->err);
}

static bool same_type(vg_st_dtype from, vg_dtype to)
{
    return (from == VG_ST_F32 && to == VG_F32) || (from == VG_ST_F16 && to == VG_F16) ||
           (from == VG_ST_BF16 && to == VG_BF16);
}

/* n numbers from number `first` of a source on, in a row. */
static vg_status write_run(const job *j, const vg_st_tensor *from, uint64_t first, uint64_t n)
{
    float x[PIECE];
    size_t size = vg_st_dtype_bytes(from->dtype);
    bool as_is = j->t->op != HF_PLUS_ONE && same_type(from->dtype, j->t->type);
    uint64_t most = as_is ? RUN_BYTES / size : PIECE;
    const uint8_t *p = from->data + first * size;
    while (n > 0) {
        size_t piece = (size_t)VG_MIN(n, most);
        if (!as_is) hf_to_float(from->dtype, p, x, piece);
        for (size_t i = 0; j->t->op == HF_PLUS_ONE && i < piece; i++) x[i] += 1;
        VG_TRY(as_is ? vg_gguf_write(j->w, p, piece * size, j->err)
                     : write_floats(j, from->name, x, piece));
        p += piece * size;
        n -= piece;
    }
    return VG_OK;
}

/* The same in pieces that leave the process once they are written. */
static vg_status write_rows(const job *j, const vg_st_tensor *from, uint64_t first, uint64_t n)
{
    size_t size = vg_st_dtype_bytes(from->dtype);
    for (uint64_t most = RUN_BYTES / size; n > 0;) {
        uint64_t piece = VG_MIN(n, most);
        VG_TRY(write_run(j, from, first, piece));
        vg_safetensors_drop(from->file, from->data + first * size, (size_t)piece * size);
        first += piece;
        n -= piece;
    }
    return VG_OK;
}

/* The h rows of a head in the order 0, h/2, 1, h/2 + 1, ...: RoPE over neighbours then turns the
 * pairs that RoPE over halves turned (tools/oracle/FAMILIES.md). */
uint64_t hf_source_row(const hf_tensor *t, uint64_t row)
{
    if (t->op != HF_PERMUTE) return row;
    uint64_t in_head = t->n_rows / t->n_heads, i = row % in_head;
    return row - i + i % 2 * (in_head / 2) + i / 2;
}

static vg_status write_permuted(const job *j, const vg_st_tensor *from)
{
    uint64_t rows = j->t->n_rows, cols = from->n_dims > 1 ? j->t->dim[0] : 1;
    uint64_t in_head = rows / j->t->n_heads, bytes = cols * vg_st_dtype_bytes(from->dtype);
    for (uint64_t head = 0; head < j->t->n_heads; head++) {
        for (uint64_t i = 0; i < in_head; i++) {
            uint64_t row = hf_source_row(j->t, head * in_head + i);
            VG_TRY(write_run(j, from, row * cols, cols));
        }
        vg_safetensors_drop(from->file, from->data + head * in_head * bytes,
                            (size_t)(in_head * bytes));
    }
    return VG_OK;
}

vg_status hf_tensor_write(hf_tensor *t, vg_gguf_writer *w, vg_err *err)
{
    job j = {t, w, err};
    if (t->made) return vg_gguf_write(w, t->made, (size_t)t->dim[0] * sizeof *t->made, err);
    for (size_t s = 0; s < t->n_src; s++) {
        const vg_st_tensor *from = t->src[s].t;
        if (t->src[s].packed) {
            VG_TRY(hf_packed_write(t, t->src[s].packed, w, err));
            continue;
        }
        uint64_t n = t->n_rows * t->dim[0], first = t->src[s].first_row * t->dim[0];
        VG_TRY(t->op == HF_PERMUTE ? write_permuted(&j, from) : write_rows(&j, from, first, n));
    }
    return VG_OK;
}
