/* math64.c: exp, log, pow, sine and cosine in double, equal on every machine, for tables that are
 * made once (rotary angles and the like).
 *
 * One idea: only +, -, *, / and conversions, which IEEE 754 fixes to the bit, in a stated order;
 * the C library's functions differ between systems. Arguments are reduced with constants in parts
 * (Cody and Waite 1980), what a double cannot hold is carried in a second one (Dekker 1971), and
 * the rest is a Taylor series, long enough that what it leaves out is lost in the rounding. Written
 * for accuracy, not for speed. */
#include <math.h>

#include "kern/kern_int.h"

#define LN2_HIGH 0x1.62e42fefap-1 /* 36 bits: times an exponent it is exact */
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#define ROUND 0x1.8p52 /* adding and subtracting it rounds to an integer, ties to even */

/* A number as an unevaluated sum: low is at most half the last place of high. */
typedef struct pair {
    double high, low;
} pair;

static pair two_sum(double a, double b)
{
    double s = a + b, bb = s - a;
    return (pair){s, (a - (s - bb)) + (b - bb)};
}

static void split(double a, double *high, double *low)
{
    double t = a * 134217729.0; /* 2^27 + 1 */
    *high = t - (t - a);
    *low = a - *high;
}

static pair two_product(double a, double b)
{
    double ah, al, bh, bl, p = a * b;
    split(a, &ah, &al);
    split(b, &bh, &bl);
    return (pair){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

static double power_of_two(int n) /* -1022 <= n <= 1023 */
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* e^(x + low) */
static double exp_pair(double x, double low)
{
    if (x != x) return x;
    if (x > 710.0) return (double)INFINITY;
    if (x < -746.0) return 0.0;
    double n = (x * 1.4426950408889634 + ROUND) - ROUND;
    double high = x - n * LN2_HIGH, rest = low - n * LN2_LOW;
    double r = high + rest, lost = (high - r) + rest;
    /* e^r = 1 + r + r^2/2! + ... + r^14/14!, |r| <= 0.347; `q` is what follows r. */
    double q = 1.0 / 14;
    for (int k = 13; k >= 2; k--) q = (1.0 + r * q) / k;
    double e = 1.0 + (r + (r * r * q + lost));
    int i = (int)n, half = i / 2;
    return e * power_of_two(half) * power_of_two(i - half);
}

/* Splits a positive, finite x into 2^k * m, m in [sqrt(1/2), sqrt(2)). */
static double split_exponent(double x, int *k)
{
    *k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        *k = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    *k += (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | (uint64_t)1023 << 52;
    memcpy(&x, &bits, sizeof x);
    if (x < 1.4142135623730951) return x;
    *k += 1;
    return x * 0.5;
}

/* log x = k ln 2 + 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1), |s| < 0.172. */
static pair log_pair(double x)
{
    int k;
    double m = split_exponent(x, &k), f = m - 1.0; /* exact */
    pair g = two_sum(m, 1.0);
    double s = f / g.high;
    pair back = two_product(s, g.high);
    double s_low = (((f - back.high) - back.low) - s * g.low) / g.high;
    double z = s * s, series = 0.0;
    for (int n = 25; n >= 3; n -= 2) series = z * (1.0 / n + series);
    double tail = 2.0 * (s_low + s * series) + k * LN2_LOW;
    pair sum = two_sum(k * LN2_HIGH, 2.0 * s);
    pair out = two_sum(sum.high, sum.low + tail);
    return out;
}

double vg_exp_f64(double x)
{
    return exp_pair(x, 0.0);
}

double vg_log_f64(double x)
{
    if (x == 0.0) return (double)-INFINITY;
    if (x != x || x < 0.0) return (double)NAN;
    if (x > 0x1.fffffffffffffp1023) return x;
    return log_pair(x).high;
}

double vg_pow_f64(double x, double y)
{
    if (!(x > 0.0 && x <= 0x1.fffffffffffffp1023)) return exp_pair(y * vg_log_f64(x), 0.0);
    pair l = log_pair(x), p = two_product(y, l.high);
    if (!(p.high > -800.0 && p.high < 800.0)) return exp_pair(y * l.high, 0.0);
    return exp_pair(p.high, p.low + y * l.low);
}

void vg_sincos_f64(double x, double *sin, double *cos)
{
    *sin = *cos = (double)NAN;
    if (!(x > -1e9 && x < 1e9)) return;
    /* x - n pi/2: n has 30 bits, the parts of pi/2 23 each, so their products are exact. */
    double n = (x * 0.6366197723675814 + ROUND) - ROUND;
    double a = x - n * 0x1.921fb4p+0;
    pair b = two_sum(a, -(n * 0x1.4442dp-24));
    pair c = two_sum(b.high, -(n * 0x1.846988p-48));
    pair d = two_sum(c.high, (b.low + c.low) - n * 0x1.8cc51701b839ap-72);
    double r = d.high, low = d.low, z = r * r;

    double s = 0.0, q = 0.0; /* r^3 s and r^4 q are what follows r and 1 - r^2/2 */
    for (int k = 19; k >= 5; k -= 2) s = (1.0 - z * s) / (k * (k - 1));
    s = (1.0 - z * s) / -6.0;
    for (int k = 18; k >= 6; k -= 2) q = (1.0 - z * q) / (k * (k - 1));
    q = (1.0 - z * q) / 24.0;
    double sine = r + (r * z * s + low * (1.0 - 0.5 * z));
    double half = 0.5 * z, w = 1.0 - half;
    double cosine = w + (((1.0 - w) - half) + (z * z * q - r * low));

    switch ((int64_t)n & 3) {
    case 0: *sin = sine, *cos = cosine; break;
    case 1: *sin = cosine, *cos = -sine; break;
    case 2: *sin = -sine, *cos = -cosine; break;
    default: *sin = -cosine, *cos = sine; break;
    }
}
