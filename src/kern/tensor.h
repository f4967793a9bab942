/* tensor.h: a view of a weight matrix, or a stack of them, as it lies in a model file.
 *
 *     vg_tensor w = {.type = VG_Q4_0, .n_in = 256, .n_rows = 64, .n_stack = 1,
 *                    .row_bytes = 144, .data = bytes};
 *     vg_tensor v = vg_tensor_rows(&w, 32, 32); // the second half of its rows
 */
#ifndef VG_TENSOR_H
#define VG_TENSOR_H

#include "kern/kern.h"

typedef struct vg_tensor { /* [n_stack, n_rows, n_in]; a vector is one row */
    vg_dtype type;
    size_t n_in, n_rows, n_stack;
    size_t row_bytes;
    bool interleaved;    /* each matrix of the stack, by vg_interleave */
    const uint8_t *data; /* NULL: the model has no such tensor */
} vg_tensor;

/* `n` rows from `first` on, of the first matrix; whole 8 rows where they are interleaved. */
static inline vg_tensor vg_tensor_rows(const vg_tensor *t, size_t first, size_t n)
{
    vg_tensor v = *t;
    v.data += first * t->row_bytes;
    v.n_rows = n;
    v.n_stack = 1;
    return v;
}

/* Matrix `i` of a stack. */
static inline vg_tensor vg_tensor_at(const vg_tensor *t, size_t i)
{
    vg_tensor v = *t;
    v.data += i * t->n_rows * t->row_bytes;
    v.n_stack = 1;
    return v;
}

/* A vector of F32, or NULL where the model has none. */
static inline const float *vg_tensor_f32(const vg_tensor *t)
{
    return (const float *)(const void *)t->data;
}
#endif
