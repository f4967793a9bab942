/* The statistics of `verge bench`: medians, spreads and percentiles of measured times.
 * All by nearest rank, so that every number printed is one that was measured; an even number of
 * runs has the lower of its two middle ones as its median. */
#include <math.h>
#include <stdlib.h>

#include "app/bench.h"

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

void bench_sort(double *x, size_t n)
{
    if (n) qsort(x, n, sizeof *x, by_size);
}

double bench_percentile(const double *x, size_t n, double share)
{
    if (n == 0) return (double)NAN;
    double rank = ceil(share * (double)n);
    size_t i = rank < 1 ? 0 : rank > (double)n ? n - 1 : (size_t)rank - 1;
    return x[i];
}

bench_spread bench_spread_of(double *x, size_t n)
{
    bench_sort(x, n);
    return (bench_spread){bench_percentile(x, n, 0.5), bench_percentile(x, n, 0),
                          bench_percentile(x, n, 1)};
}
