/* device.h: what a forward pass asks of the hardware, as a table of operations. forward.c calls
 * these and nothing else, so a GPU is another table.
 *
 *     vg_device *d;
 *     vg_device_opts opts = {.n_threads = 4, .max_rows = 1, .max_in = width, .arena = arena};
 *     VG_TRY(vg_device_cpu(&d, &opts, err));
 *     d->ops->norm(d, x, weight, h, n_rows, width, eps);
 *     vg_device_free(d);
 *
 * All matrices are row-major, a row being one token's vector: [n_rows, width] without padding.
 * Nothing here allocates after creation. Inputs and outputs may not overlap unless it says so. */
#ifndef VG_DEVICE_H
#define VG_DEVICE_H

#include "base/pool.h"
#include "kern/selftest.h"
#include "kern/tensor.h"

typedef struct vg_device vg_device;

enum { VG_DEVICE_MAX_HEAD_DIM = 512 };

/* SILU and GELU (tanh form) of part 0 times part 1; GELU_ERF of part 0 alone. */
typedef enum vg_glu { VG_GLU_NONE, VG_GLU_SILU, VG_GLU_GELU, VG_GELU_ERF } vg_glu;

/* out = x w^T + bias for up to three weights that read the same x; x is quantised once for all.
 * What stands before and after a product in a layer belongs to it, so that nothing passes over
 * memory once more. */
typedef struct vg_matmul {
    const float *x;    /* [n_rows, w[0].n_in] */
    const float *norm; /* not NULL: the input is the RMS norm of x with this gain, written to h */
    float eps, *h;     /* h like x */
    vg_glu glu;        /* not NONE: out of part 0 = act(out of part 0) [* out of part 1], n_w 2 */
    float *sum;        /* not NULL: sum [n_rows, n_out] += sum_scale * out of part 0 */
    float sum_scale;
    size_t n_rows;
    size_t n_w;
    struct {
        vg_tensor w;       /* [n_out, n_in] */
        const float *bias; /* [n_out] or NULL */
        float *out;        /* [n_rows, n_out] */
    } part[3];
} vg_matmul;

/* Where one token stands: its position, and the pages of its session's timeline. */
typedef struct vg_place {
    uint32_t pos;
    const uint32_t *page; /* page of position p: page[p / VG_TILE] */
} vg_place;

/* The cache of one layer. A page holds its VG_TILE positions, head after head, the tile of keys and
 * behind it the tile of values (kern.h has their layouts). */
typedef struct vg_cache {
    vg_kv_kind kind;
    uint8_t *base;       /* this layer's part of page 0 */
    size_t page_bytes;   /* from one page to the next */
    size_t n_kv_heads, dim_k, dim_v;
} vg_cache;

typedef struct vg_attention {
    const float *q;        /* [n_rows, n_heads, dim_k] */
    float *out;            /* [n_rows, n_heads, dim_v] */
    const vg_place *place; /* [n_rows] */
    size_t n_rows, n_heads;
    const uint32_t *end;   /* [n_rows] a row sees the positions below, which a run of rows of a
                              session shares; NULL: those up to its own */
    uint32_t window_tok;   /* 0: everything before; with `end`: 0 */
    float scale, softcap;
    const vg_cache *cache;
} vg_attention;

typedef struct vg_rope {
    const float *cos, *sin; /* [n_rows, n_rot / 2], of each row's position */
    size_t n_rows, n_heads, dim, n_rot;
    bool interleaved;
} vg_rope;

typedef struct vg_ops {
    const char *name;
    /* out[r] = scale * row tok[r] of w. */
    void (*embed)(vg_device *d, const vg_tensor *w, const int32_t *tok, size_t n_rows, float scale,
                  float *out);
    /* RMS norm of each row; out may be x. */
    void (*norm)(vg_device *d, const float *x, const float *w, float *out, size_t n_rows,
                 size_t width, float eps);
    /* Layer norm of each row with gain w and bias b; out may be x. */
    void (*layer_norm)(vg_device *d, const float *x, const float *w, const float *b, float *out,
                       size_t n_rows, size_t width, float eps);
    void (*matmul)(vg_device *d, const vg_matmul *m);
    void (*rope)(vg_device *d, float *x, const vg_rope *r); /* x [n_rows, n_heads, dim] in place */
    /* Stores k [n_rows, n_kv_heads, dim_k] and v [n_rows, n_kv_heads, dim_v] at their places. */
    void (*store)(vg_device *d, const vg_cache *c, const vg_place *place, const float *k,
                  const float *v, size_t n_rows);
    void (*attend)(vg_device *d, const vg_attention *a);
    void (*add_scaled)(vg_device *d, float *x, const float *y, float s, size_t n); /* x += s * y */
    void (*scale)(vg_device *d, float *x, float s, size_t n);
    void (*softcap)(vg_device *d, float *x, float cap, size_t n);
    void (*softmax)(vg_device *d, float *x, size_t n_rows, size_t width); /* each row in place */
    /* out[i] = x[row[i]], and out[row[i]] += weight[i] * x[i]: the way to an expert and back. The
     * first may work in place where the rows ascend. */
    void (*gather)(vg_device *d, const float *x, const uint32_t *row, size_t n, size_t width,
                   float *out);
    void (*scatter_add)(vg_device *d, const float *x, const uint32_t *row, const float *weight,
                        size_t n, size_t width, float *out);
} vg_ops;

struct vg_device {
    const vg_ops *ops;
    const vg_kern *kern; /* CPU */
    vg_kern tested;      /* what kern points to: the table as the self-test left it */
    vg_health health;
    vg_pool *pool;       /* CPU */
    vg_act *act;         /* quantised inputs of one matmul */
    float *partial;      /* attention: what each span has come to */
    uint8_t *scratch;    /* [threads, scratch_bytes] */
    size_t scratch_bytes, max_rows, max_in;
};

/* The largest attention that a device is asked for; all 0: none. */
typedef struct vg_attn_shape {
    size_t n_heads, n_kv_heads, dim_k, dim_v, ctx_tok;
} vg_attn_shape;

typedef struct vg_device_opts {
    const char *isa; /* NULL: the best */
    const vg_kern *kern;       /* for tests: a table in its place */
    vg_selftest_set self_test; /* what is proven before it is used */
    uint32_t n_threads;
    bool pin; /* the pool's workers to fast cores */
    size_t max_rows, max_in; /* of any matmul's input */
    vg_attn_shape attention;
    vg_arena *arena;         /* holds what vg_device_bytes says, and must outlive the device */
} vg_device_opts;

/* Bytes that a device with these options takes from its arena; false when they overflow. */
bool vg_device_bytes(const vg_device_opts *opts, size_t *bytes);
/* Errors: USAGE (no such instruction set here), NO_MEMORY. */
VG_NODISCARD vg_status vg_device_cpu(vg_device **out, const vg_device_opts *opts, vg_err *err);
void vg_device_free(vg_device *d);
#endif
