/* Doubles as text, exactly and whatever the locale: the C library prints and reads the digits, and
 * its decimal point, which a host program's locale may have changed, is replaced on the way.
 * Printing gives what Python's repr gives: the shortest digits that read back as the same double,
 * with an exponent below 1e-4 and from 1e16 on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

enum { MAX_TEXT = 512 };

/* The decimal point of the locale: what stands between the digits of 0.5. */
static vg_str decimal_point(char text[16])
{
    int n = snprintf(text, 16, "%.1f", 0.5);
    return (vg_str){text + 1, n > 2 ? (size_t)n - 2 : 0};
}

bool vg_double_read(vg_str s, double *out)
{
    char text[MAX_TEXT + 32], local[16];
    vg_str point = decimal_point(local);
    if (s.n == 0 || s.n > MAX_TEXT) return false;
    size_t n = 0;
    bool pointed = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool sign = (c == '+' || c == '-') && (i == 0 || s.p[i - 1] == 'e' || s.p[i - 1] == 'E');
        if (c == '.' && !pointed) {
            pointed = true;
            memcpy(text + n, point.p, point.n);
            n += point.n;
        } else if ((c >= '0' && c <= '9') || c == 'e' || c == 'E' || sign) {
            text[n++] = c;
        } else {
            return false;
        }
    }
    text[n] = '\0';
    char *end;
    double v = strtod(text, &end);
    if (end != text + n) return false;
    *out = v;
    return true;
}

/* d.ddde+xx with `digits` digits; true when it reads back as v. The digits go to `digit` without
 * their point, the decimal exponent to *exponent. */
static bool try_digits(double v, int digits, char digit[24], int *exponent)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", digits - 1, v);
    int n = 0;
    const char *c = text;
    for (; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9') digit[n++] = *c;
    digit[n] = '\0';
    *exponent = (int)strtol(c + 1, NULL, 10);
    return strtod(text, NULL) == v;
}

/* Just above a power of two doubles lie twice as far apart as below. There the nearest decimal of
 * 16 digits can miss while its upper neighbour, which is further away, reads back. */
static bool try_neighbour(double v, char digit[24], int exponent)
{
    char up[24], text[40];
    memcpy(up, digit, sizeof up);
    int i = 15;
    while (i >= 0 && up[i] == '9') up[i--] = '0';
    if (i < 0) return false;
    up[i]++;
    snprintf(text, sizeof text, "%se%d", up, exponent - 15);
    if (strtod(text, NULL) != v) return false;
    memcpy(digit, up, sizeof up);
    return true;
}

/* Fewer than 15 digits come out of 15 with zeros at the end, except for denormals. */
static int shortest_digits(double v, char digit[24], int *exponent)
{
    int digits = v < 2.2250738585072014e-308 ? 1 : 15;
    while (!try_digits(v, digits, digit, exponent)) {
        if (digits == 16 && try_neighbour(v, digit, *exponent)) break;
        digits++;
    }
    while (digits > 1 && digit[digits - 1] == '0') digits--;
    return digits;
}

size_t vg_double_put(double v, char out[VG_DOUBLE_TEXT])
{
    if (isnan(v)) return (size_t)snprintf(out, VG_DOUBLE_TEXT, "nan");
    const char *sign = signbit(v) ? "-" : "";
    v = fabs(v);
    if (isinf(v)) return (size_t)snprintf(out, VG_DOUBLE_TEXT, "%sinf", sign);
    if (v == 0) return (size_t)snprintf(out, VG_DOUBLE_TEXT, "%s0.0", sign);
    char d[24];
    int e, n = shortest_digits(v, d, &e);
    int len;
    if (e < -4 || e >= 16)
        len = snprintf(out, VG_DOUBLE_TEXT, "%s%c%s%.*se%c%02d", sign, d[0], n > 1 ? "." : "",
                       n - 1, d + 1, e < 0 ? '-' : '+', abs(e));
    else if (e < 0)
        len = snprintf(out, VG_DOUBLE_TEXT, "%s0.%.*s%.*s", sign, -e - 1, "000", n, d);
    else if (n > e + 1)
        len = snprintf(out, VG_DOUBLE_TEXT, "%s%.*s.%.*s", sign, e + 1, d, n - e - 1, d + e + 1);
    else
        len = snprintf(out, VG_DOUBLE_TEXT, "%s%.*s%.*s.0", sign, n, d, e + 1 - n,
                       "0000000000000000");
    return (size_t)len;
}

size_t vg_double_print(double v, char conversion, int digits, char out[VG_DOUBLE_LONG_TEXT])
{
    char local[16];
    vg_str point = decimal_point(local);
    assert(strchr("efg", conversion) && digits >= 0 && digits <= 400);
    int n;
    if (conversion == 'e') n = snprintf(out, VG_DOUBLE_LONG_TEXT, "%.*e", digits, v);
    else if (conversion == 'f') n = snprintf(out, VG_DOUBLE_LONG_TEXT, "%.*f", digits, v);
    else n = snprintf(out, VG_DOUBLE_LONG_TEXT, "%.*g", digits, v);
    size_t len = n < 0 ? 0 : (size_t)n;
    for (size_t i = 1; point.n && i + point.n <= len; i++) {
        if (memcmp(out + i, point.p, point.n) != 0) continue;
        out[i] = '.';
        memmove(out + i + 1, out + i + point.n, len - i - point.n + 1);
        return len - point.n + 1;
    }
    return len;
}
