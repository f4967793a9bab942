/* The arithmetic of `verge eval`: means with their errors, what a row of logits says, the distance
 * of two rows, quantiles and intervals. Logits are floats; sums are kept in double. The exponential
 * is ours, because a row of a large vocabulary calls it 262144 times: a loop that compilers turn
 * into vector instructions. */
#include <math.h>
#include <stdlib.h>

#include "app/eval.h"

void eval_add(eval_sum *s, double x)
{
    s->sum += x;
    s->sum_sq += x * x;
    s->n++;
}

double eval_mean(const eval_sum *s)
{
    return s->n ? s->sum / (double)s->n : (double)NAN;
}

double eval_error(const eval_sum *s)
{
    if (s->n < 2) return (double)NAN;
    double mean = eval_mean(s), variance = s->sum_sq / (double)s->n - mean * mean;
    return variance > 0 ? sqrt(variance / (double)(s->n - 1)) : 0;
}

double eval_perplexity(const eval_sum *nll)
{
    return exp(eval_mean(nll));
}

double eval_perplexity_error(const eval_sum *nll)
{
    return eval_perplexity(nll) * eval_error(nll); /* d exp(x) = exp(x) dx */
}

/* ---- rows of logits ------------------------------------------------------------------------- */

enum { LANES = 16 };

/* e^x for x <= 0, 0 below -87; relative error below 3e-7. x = k ln 2 + f, and e^f by its series up
 * to f^6 for |f| <= ln 2 / 2. */
static VG_INLINE float exp_negative(float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float c = x < -87.0f ? -87.0f : x;
    float shifted = c * 1.44269504f + round, k = shifted - round;
    float f = (c - k * 0.693145752f) - k * 1.42860677e-6f;
    float e = 1 + f * (1 + f * (0.5f + f * (1.0f / 6 + f * (1.0f / 24 + f * (1.0f / 120 +
              f * (1.0f / 720))))));
    int32_t bits = ((int32_t)k + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return x < -87.0f ? 0 : e * scale;
}

static double exp_sum(const float *x, size_t n, float max)
{
    double sum[LANES] = {0}, all = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) sum[k] += (double)exp_negative(x[i + k] - max);
    for (; i < n; i++) all += (double)exp_negative(x[i] - max);
    for (size_t k = 0; k < LANES; k++) all += sum[k];
    return all;
}

static float largest(const float *x, size_t n)
{
    float max[LANES], all = x[0];
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++) max[k] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) max[k] = x[i + k] > max[k] ? x[i + k] : max[k];
    for (; i < n; i++) all = x[i] > all ? x[i] : all;
    for (size_t k = 0; k < LANES; k++) all = max[k] > all ? max[k] : all;
    return all;
}

eval_row eval_row_of(const float *logit, size_t n)
{
    eval_row r = {.logit = logit, .max = largest(logit, n)};
    while (r.top + 1 < n && logit[r.top] < r.max) r.top++;
    r.log_sum = log(exp_sum(logit, n, r.max));
    return r;
}

double eval_nll(const eval_row *r, int32_t id)
{
    return (double)r->max + r->log_sum - (double)r->logit[id];
}

/* p log(p/q) - p + q = p (d - 1 + e^-d) for d = log p - log q: by its series where d is small,
 * since the difference would cancel. */
static VG_INLINE float divergence(float log_p, float log_q)
{
    float p = exp_negative(log_p), d = log_p - log_q;
    float series = d * d * (0.5f - d * (1.0f / 6 - d * (1.0f / 24 - d * (1.0f / 120 -
                   d * (1.0f / 720 - d * (1.0f / 5040))))));
    float whole = p * (d - 1) + exp_negative(log_q);
    return d > -0.4f && d < 0.4f ? p * series : whole;
}

double eval_kl(const eval_row *p, const eval_row *q, size_t n)
{
    float of_p = (float)((double)p->max + p->log_sum), of_q = (float)((double)q->max + q->log_sum);
    const float *x = p->logit, *y = q->logit;
    double sum[LANES] = {0}, all = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sum[k] += (double)divergence(VG_MIN(x[i + k] - of_p, 0.0f),
                                         VG_MIN(y[i + k] - of_q, 0.0f));
    for (; i < n; i++)
        all += (double)divergence(VG_MIN(x[i] - of_p, 0.0f), VG_MIN(y[i] - of_q, 0.0f));
    for (size_t k = 0; k < LANES; k++) all += sum[k];
    return VG_MAX(all, 0.0);
}

/* ---- quantiles and intervals ---------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

void eval_sort(float *x, size_t n)
{
    if (n) qsort(x, n, sizeof *x, by_size);
}

double eval_quantile(const float *x, size_t n, double share)
{
    if (n == 0) return (double)NAN;
    double place = VG_MIN(VG_MAX(share, 0.0), 1.0) * (double)(n - 1);
    size_t i = (size_t)place, next = VG_MIN(i + 1, n - 1);
    double part = place - (double)i;
    return (1 - part) * (double)x[i] + part * (double)x[next];
}

eval_interval eval_wilson(size_t k, size_t n)
{
    const double z = 1.959963984540054; /* of a normal distribution, 97.5% lie below */
    if (n == 0) return (eval_interval){0, 1};
    double share = (double)k / (double)n, scale = 1 + z * z / (double)n;
    double middle = (share + z * z / (2 * (double)n)) / scale;
    double half = z / scale *
                  sqrt(share * (1 - share) / (double)n + z * z / (4 * (double)n * (double)n));
    return (eval_interval){VG_MAX(middle - half, 0.0), VG_MIN(middle + half, 1.0)};
}
