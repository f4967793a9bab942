/* Times of `verge bench serve`: counted by size instead of kept, since a soak of hours has
 * millions of them. A step is 1.1% wide, and what is given back is its middle, but never beyond
 * the least and the greatest time that there was. Also the sequence of random numbers that a load
 * is made of. */
#include <math.h>

#include "app/bench_serve.h"

#define BENCH_FAULT_WORD(name, word) word,
const char *const bench_fault_word[BENCH_N_FAULTS] = {BENCH_FAULT_LIST(BENCH_FAULT_WORD)};
#undef BENCH_FAULT_WORD

void bench_hist_reset(bench_hist *h)
{
    memset(h, 0, sizeof *h);
}

void bench_hist_add(bench_hist *h, double ms)
{
    double step = ms > 1e-3 ? log2(ms * 1e3) * BENCH_HIST_STEPS : 0;
    size_t last = VG_COUNT(h->count) - 1;
    h->count[step < (double)last ? (size_t)step : last]++;
    h->min = h->n == 0 || ms < h->min ? ms : h->min;
    h->max = h->n == 0 || ms > h->max ? ms : h->max;
    h->sum += ms;
    h->n++;
}

double bench_hist_percentile(const bench_hist *h, double share)
{
    if (h->n == 0) return (double)NAN;
    uint64_t rank = (uint64_t)ceil(share * (double)h->n), seen = 0;
    size_t i = 0;
    for (; i + 1 < VG_COUNT(h->count); i++) {
        seen += h->count[i];
        if (seen >= rank && seen > 0) break;
    }
    return fmin(fmax(exp2(((double)i + 0.5) / BENCH_HIST_STEPS) * 1e-3, h->min), h->max);
}

double bench_hist_mean(const bench_hist *h)
{
    return h->n ? h->sum / (double)h->n : (double)NAN;
}

uint64_t bench_level_faults(const bench_level *l)
{
    uint64_t n = 0;
    for (size_t i = 0; i < BENCH_N_FAULTS; i++) n += l->n_faults[i];
    return n;
}
