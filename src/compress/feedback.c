/* feedback.c: from the products of a matrix's inputs to the shares by which an error is passed on.
 * With H the products of a run of columns, an error at column j is best made up for by the columns
 * after it when they move by row j of the upper U in inverse(H) = U^T U, over U_jj; the loss that
 * is left is the error's square over U_jj^2. Of H = R R^T with R upper, U is the inverse of R. */
#include <float.h>
#include <math.h>

#include "compress/quantise.h"

enum { COLS = VG_FEEDBACK_COLS };

/* Part of the mean square, added to each: 16 thousand tokens do not tell columns apart by less. */
static const double damp = 0.01;

static size_t run_cols(size_t n_in, size_t first)
{
    return VG_MIN(n_in - first, (size_t)COLS);
}

size_t vg_feedback_floats(size_t n_in)
{
    size_t rest = n_in % COLS;
    return (n_in - rest) * COLS + rest * rest;
}

void vg_feedback_add(float *products, size_t run, const float *x, size_t n_in, size_t n_rows)
{
    size_t first = run * COLS;
    vg_quantiser_pick(NULL)->products(x + first, n_in, n_rows, run_cols(n_in, first),
                                      products + first * COLS);
}

/* h [n, n], of which the upper half counts, becomes R. */
static void factor(double *h, size_t n)
{
    double column[COLS];
    for (size_t j = n; j-- > 0;) {
        /* In exact numbers nothing falls below what was added to the diagonal. */
        double pivot = sqrt(fmax(h[j * n + j], damp));
        h[j * n + j] = pivot;
        for (size_t i = 0; i < j; i++) column[i] = h[i * n + j] /= pivot;
        for (size_t i = 0; i < j; i++)
            for (size_t k = i; k < j; k++) h[i * n + k] -= column[i] * column[k];
    }
}

/* Row j of the inverse of r, times r_jj: 1 at j. */
static void share(const double *r, size_t n, size_t j, float *out)
{
    double row[COLS] = {0};
    row[j] = 1;
    for (size_t i = j; i < n; i++) {
        if (i > j) row[i] /= -r[i * n + i];
        for (size_t k = i + 1; k < n; k++) row[k] += row[i] * r[i * n + k];
        out[i] = (float)row[i];
    }
    out[j] = (float)(r[j * n + j] * r[j * n + j]);
}

static double mean_square(const float *products, size_t n_in)
{
    double sum = 0;
    for (size_t first = 0; first < n_in; first += COLS) {
        size_t n = run_cols(n_in, first);
        for (size_t i = 0; i < n; i++) sum += (double)products[i * n + i];
        products += n * n;
    }
    return sum / (double)n_in;
}

static bool make_run(float *products, size_t n, double mean, double *h)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++) h[i * n + j] = (double)products[i * n + j] / mean;
        h[i * n + i] += damp;
    }
    factor(h, n);
    for (size_t j = 0; j < n; j++) {
        share(h, n, j, products + j * n);
        for (size_t k = j; k < n; k++) finite &= isfinite(products[j * n + k]) != 0;
    }
    return finite;
}

vg_status vg_feedback_make(float *products, size_t n_in, vg_err *err)
{
    double mean = mean_square(products, n_in);
    if (!(mean > 0 && mean <= (double)FLT_MAX))
        return VG_FAIL(err, VG_E_NUMERIC, "the inputs' mean square is %g", mean);
    double *h = vg_mem_new(COLS * COLS * sizeof *h);
    if (!h) return VG_FAIL_MEMORY(err, COLS * COLS * sizeof *h);
    bool finite = true;
    for (size_t first = 0; first < n_in && finite; first += COLS) {
        size_t n = run_cols(n_in, first);
        finite = make_run(products, n, mean, h);
        products += n * n;
    }
    vg_mem_free(h);
    return finite ? VG_OK
                  : VG_FAIL(err, VG_E_NUMERIC, "products of inputs that are no finite numbers");
}
