/* feedback.h: what a matrix reads, as it is needed to make up for lost weight. Inputs that rise and
 * fall together can stand in for one another: what a column loses when its weight is rounded goes,
 * in part, onto the columns that are not coded yet. How much onto which follows from the products
 * E[x_i x_j] of the inputs, which are kept for runs of 256 columns.
 *
 *     float *f = vg_mem_new(vg_feedback_floats(n_in) * sizeof *f);
 *     for (size_t run = 0; run * VG_FEEDBACK_COLS < n_in; run++)
 *         vg_feedback_add(f, run, x, n_in, n_rows);
 *     VG_TRY(vg_feedback_make(f, n_in, err));
 *     const vg_quantise job = {.feedback = f, .importance = square};
 *
 * After Frantar and others, "GPTQ", 2023 (arXiv:2210.17323), within each run of columns. */
#ifndef VG_FEEDBACK_H
#define VG_FEEDBACK_H

#include "base/base.h"

enum { VG_FEEDBACK_COLS = 256 };

/* What n_in columns take: run after run of at most 256 columns, each a square [cols, cols]. */
size_t vg_feedback_floats(size_t n_in);

/* Adds the products of a run's columns, of x [n_rows, n_in], to its square; runs may be done by
 * different threads. Only what is not below the diagonal of a square counts, here and below. */
void vg_feedback_add(float *products, size_t run, const float *x, size_t n_in, size_t n_rows);

/* In place: of sums or means of products, factors. [j][k] with k > j is what an error of column j
 * puts onto column k; [j][j] what it costs after that, the mean square of all columns being 1.
 * Errors: NUMERIC (products that are not finite, or none above 0), NO_MEMORY. */
VG_NODISCARD vg_status vg_feedback_make(float *products, size_t n_in, vg_err *err);
#endif
