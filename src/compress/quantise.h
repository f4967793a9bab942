/* quantise.h: rows of floats to the block formats of GGUF, by a search that minimises the weighted
 * squared error: sum of importance[column] * (weight - its restored value)^2.
 *
 *     vg_quantise_loss loss = {0};
 *     const vg_quantiser *q = vg_quantiser_pick(NULL);
 *     q->rows(&(vg_quantise){.type = VG_Q4_K, .src = x, .dst = blocks, .n_rows = 8,
 *                            .n_in = 512}, &loss);
 *
 * Exactness: the same bytes and the same loss from every table and any split at whole rows. */
#ifndef VG_QUANTISE_H
#define VG_QUANTISE_H

#include "compress/feedback.h"
#include "kern/kern.h"

typedef struct vg_quantise {
    vg_dtype type;
    const float *src; /* [n_rows, n_in], finite; n_in a multiple of the type's block */
    void *dst;        /* [n_rows, vg_dtype_row_bytes(type, n_in)] */
    size_t n_rows, n_in;
    const float *importance; /* [n_in], each > 0 and finite, best near 1; NULL: all 1 */
    /* vg_feedback_make() of the inputs of which the importances are the mean squares; NULL: none */
    const float *feedback;
} vg_quantise;

/* Both weighted by importance, added up in blocks of 256 in the order of the matrix. With feedback
 * the error is the output's, in the same unit, added up row by row. */
typedef struct vg_quantise_loss {
    double error, norm; /* sums of squares: of what was lost, of the source */
} vg_quantise_loss;

typedef struct vg_quantiser {
    const char *isa;
    void (*rows)(const vg_quantise *a, vg_quantise_loss *loss); /* adds to *loss */
    /* n weights of F32, F16 or BF16 to floats; false when one of them is NaN or infinite. */
    bool (*widen)(vg_dtype type, const void *src, float *dst, size_t n);
    /* Adds the products of n columns, at most VG_FEEDBACK_COLS, to square [n, n], at and above its
     * diagonal and somewhere below; x [n_rows, stride]. */
    void (*products)(const float *x, size_t stride, size_t n_rows, size_t n, float *square);
} vg_quantiser;

/* The table of an instruction set, as vg_kern_pick has it; NULL where there is none. */
const vg_quantiser *vg_quantiser_pick(const char *isa);

/* False for the types that rows() does not write. */
bool vg_quantises(vg_dtype type);
#endif
