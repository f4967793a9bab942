/* kern.h: block formats of weights, and the row kernels of a CPU, one table per instruction set.
 *
 *     const vg_kern *k = vg_kern_pick(NULL);
 *     k->quantise(x, act, n);
 *     k->rows(VG_Q4_0, &(vg_rows){.w = w, .w_stride = bytes, .n_rows = 64, .n_in = n, .act = act,
 *                                 .n_cols = 1, .out = y, .out_stride = 64});
 *
 * Exactness: every table gives the same bits as the plain C one ("c"), at every shape. The order of
 * every sum is stated where its formula is: kern.inc. */
#ifndef VG_KERN_H
#define VG_KERN_H

#include "base/base.h"

/* ggml's type numbers, as they stand in GGUF files. */
typedef enum vg_dtype {
    VG_F32 = 0, VG_F16 = 1, VG_Q4_0 = 2, VG_Q4_1 = 3, VG_Q5_0 = 6, VG_Q5_1 = 7, VG_Q8_0 = 8,
    VG_Q2_K = 10, VG_Q3_K = 11, VG_Q4_K = 12, VG_Q5_K = 13, VG_Q6_K = 14,
    VG_IQ4_NL = 20, VG_IQ4_XS = 23, VG_BF16 = 30, VG_MXFP4 = 39,
    VG_N_DTYPES = 40
} vg_dtype;

typedef struct vg_dtype_info {
    const char *name; /* "Q4_0" */
    uint32_t block;   /* weights in a block */
    uint32_t bytes;   /* bytes of a block */
    bool quantised;   /* rows() wants quantised activations; else float ones */
} vg_dtype_info;

/* NULL for a type that is not supported. */
const vg_dtype_info *vg_dtype_get(uint32_t type);
/* Bytes of a row of n weights; false when n is no multiple of the block or the size overflows. */
bool vg_dtype_row_bytes(uint32_t type, uint64_t n, uint64_t *bytes);

/* n weights (a multiple of the block) to float, exactly as the reference gguf package does. */
void vg_dequant(vg_dtype type, const void *src, float *dst, size_t n);

float vg_f16_to_f32(uint16_t h);
uint16_t vg_f32_to_f16(float f); /* to nearest, ties to even */

/* Activations are quantised in blocks of 32: x[i] is about d * q[i]. */
typedef struct vg_act {
    float d;        /* max|x| / 127; 0 below 3.7e-37; NaN when the block holds NaN or infinity */
    float d_sum;    /* d * (sum[0] + sum[1]) */
    int16_t sum[2]; /* of q[0..15] and of q[16..31] */
    int8_t q[32];   /* -127..127; to nearest, ties to even; zero past the end of a row */
} vg_act;

/* Blocks that hold n activations. */
static inline size_t vg_act_blocks(size_t n)
{
    return (n + 31) / 32;
}

/* Interleaved rows. The types of full speed also exist in a layout of the same size in which 8 rows
 * lie as one: their blocks side by side, the codes of each run of 4 columns next to each other, row
 * by row, so that a lane of a vector is a row (tile.inc has the layout of each type). Rows past the
 * last whole 8 stay as they are, after the others. */
bool vg_interleaves(vg_dtype type);
/* A matrix from one layout to the other. src and dst [n_rows, n_in], each vg_dtype_row_bytes a row,
 * not overlapping; n_in a multiple of the block. */
void vg_interleave(vg_dtype type, const void *src, void *dst, size_t n_rows, size_t n_in);
/* Row `row` of a matrix of either layout to float, as vg_dequant does it. */
void vg_dequant_row(vg_dtype type, const void *src, bool interleaved, size_t n_rows, size_t row,
                    float *dst, size_t n_in);
/* Bytes that vg_rows.scratch must have for interleaved rows, or float ones, of n_in. */
size_t vg_rows_scratch_bytes(size_t n_in);

/* out[c * out_stride + r] = sum over k of w[r][k] * x[c][k], r in 0..n_rows-1, c in 0..n_cols-1.
 * Quantised types read act (n_in a multiple of the block), float types read x (any n_in). Rows go
 * in groups of 8: a split of a matrix over threads should be at multiples of 8 rows. */
typedef struct vg_rows {
    const void *w;      /* [n_rows, n_in], rows w_stride bytes apart */
    size_t w_stride, n_rows, n_in;
    bool interleaved;   /* w begins at a whole 8 rows; w_stride is a row's bytes */
    void *scratch;      /* aligned to 64; used if n_cols > 1 and interleaved, or floats */
    const vg_act *act;  /* [n_cols, act_blocks(n_in)] */
    const float *x;     /* [n_cols, x_stride] */
    size_t x_stride;    /* floats */
    size_t n_cols;
    float *out;         /* [n_cols, out_stride], not overlapping the inputs */
    size_t out_stride;  /* floats */
} vg_rows;

/* The KV cache of one head lies in tiles of VG_TILE positions: a tile of keys, then one of values,
 * each VG_TILE * vg_kv_row_bytes. In both a lane of a vector is what no sum crosses, so that
 * nothing is shuffled: a position of keys, a column of values. For n columns in blocks of 32 (Q8
 * is padded with zeros; the last block of float values is a multiple of 8):
 *
 *     keys Q8        int8 [4 groups, blocks, 8 runs, 16 positions, 4 columns], then
 *                    f16 scales [4 groups, blocks, 16 positions]
 *     keys F16, F32  [4 groups, n, 16 positions]
 *     values Q8      int8 [blocks, 32 pairs, 32 columns, 2 positions], then
 *                    f16 scales [blocks, 64 positions]
 *     values F16, F32  [blocks, 64 positions, columns of the block]
 *
 * A number of Q8 is scale * code; the scale is NaN where a number of the block is, is infinite, or
 * passes 8.3e6. Bytes of positions that were never stored may be anything but -128 in a code. */
typedef enum vg_kv_kind { VG_KVK_Q8, VG_KVK_F16, VG_KVK_F32 } vg_kv_kind;

enum { VG_TILE = 64 }; /* positions of a tile, which is also a page of the KV cache */

/* Bytes of one key or value of n floats. */
size_t vg_kv_row_bytes(vg_kv_kind kind, size_t n);

/* Positions of a tile that a query sees: begin <= t < end. */
typedef struct vg_seen {
    uint8_t begin, end;
} vg_seen;

/* What online softmax carries from tile to tile, for each of n_q queries (attn.inc). The result is
 * acc / l; l is 0 before the first tile and never after it. */
typedef struct vg_attn_state {
    float *m;   /* [n_q] the largest score, times log2 e; start at -INFINITY */
    float *l;   /* [n_q] start at 0 */
    float *acc; /* [n_q, dim_v] start at 0 */
} vg_attn_state;

/* Attention of n_q queries of one key head over one tile, online softmax (Milakov 2018,
 * FlashAttention: Dao 2022): s[t] = cap(scale * q . k[t]) and the state takes the tile in. */
typedef struct vg_attn_tile {
    vg_kv_kind kind;
    size_t n_q;           /* queries (heads and rows) that share these keys */
    size_t dim_k, dim_v;  /* head dimensions */
    const float *q;       /* [n_q, dim_k]; read when kind is not Q8 */
    const vg_act *q_act;  /* [n_q, act_blocks(dim_k)]; read when kind is Q8 */
    const uint8_t *kv;    /* the keys of the tile, and behind them its values */
    const uint8_t *next;  /* the tile that is wanted after this one; only a hint */
    const vg_seen *seen;  /* [n_q] none empty */
    float scale, softcap; /* softcap 0: none; else s = softcap * tanh(s / softcap) */
    vg_attn_state state;
} vg_attn_tile;

typedef struct vg_kern {
    const char *isa; /* "c", "avx2", "avx512", "neon", "dotprod", "i8mm" */
    void (*quantise)(const float *x, vg_act *act, size_t n); /* any n; one row */
    void (*rows)(vg_dtype type, const vg_rows *a);

    void (*rms_norm)(const float *x, const float *w, float *out, size_t n, float eps);
                                             /* w NULL: no gain; out may be x */
    void (*layer_norm)(const float *x, const float *w, const float *b, float *out, size_t n,
                       float eps);               /* Ba 2016; out may be x */
    void (*add)(float *x, const float *y, size_t n);            /* x += y */
    void (*add_scaled)(float *x, const float *y, float s, size_t n); /* x += s * y */
    void (*mul)(float *x, const float *y, size_t n);            /* x *= y */
    void (*scale)(float *x, float s, size_t n);
    void (*silu_mul)(const float *gate, const float *up, float *out, size_t n);
    void (*gelu_mul)(const float *gate, const float *up, float *out, size_t n); /* tanh form */
    void (*gelu_erf)(float *x, size_t n);                       /* GELU itself */
    void (*softcap)(float *x, float cap, size_t n);             /* x = cap * tanh(x / cap) */
    void (*softmax)(float *x, size_t n);
    /* Rotates pairs: (x[i], x[i + n_pairs]) or, `interleaved`, (x[2i], x[2i+1]). */
    void (*rope)(float *x, const float *cos, const float *sin, size_t n_pairs, bool interleaved);

    /* Puts n floats at position t of a tile of keys, or of values. */
    void (*store_key)(vg_kv_kind kind, const float *x, void *tile, size_t t, size_t n);
    void (*store_value)(vg_kv_kind kind, const float *x, void *tile, size_t t, size_t n);
    void (*attn_tile)(const vg_attn_tile *a);
    /* Takes the positions that `from` has seen, all later ones, into `to`. */
    void (*attn_merge)(const vg_attn_state *to, const vg_attn_state *from, size_t n_q,
                       size_t dim_v);

    /* n rounds of the fastest multiplies and adds of the kernels, in 8-bit integers and in floats,
     * to be timed: returns the operations, a multiply and its add being two. */
    double (*peak_int8)(size_t n);
    double (*peak_fp32)(size_t n);
} vg_kern;

/* The table of an instruction set by name; NULL name: the best that this CPU runs. NULL when the
 * name is unknown here or the CPU lacks it. */
const vg_kern *vg_kern_pick(const char *isa);
/* The tables that this CPU runs, NULL-terminated, "c" first. */
const vg_kern *const *vg_kern_all(void);

/* Scalar mathematics that gives the same bits everywhere (libm does not), for tables made once. In
 * double; error below 2 ulp in the ranges used: |x| < 1e9 for sine and cosine. */
double vg_exp_f64(double x);
double vg_log_f64(double x);
double vg_pow_f64(double x, double y); /* x > 0 */
void vg_sincos_f64(double x, double *sin, double *cos);
#endif
