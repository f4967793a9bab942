/* Errors, checked arithmetic, strings and UTF-8: the small things that every file uses. An error
 * is a plain struct that the caller owns; filling it never allocates, so it works without memory.
 * Nothing here prints or ends the process. */
#include <stdio.h>

#include "base/base.h"

#define STATUS_NAME(name, http, sentence) #name,
#define STATUS_HTTP(name, http, sentence) http,
#define STATUS_SENTENCE(name, http, sentence) sentence,

static const char *const status_name[] = {VG_STATUS_LIST(STATUS_NAME)};
static const int status_http[] = {VG_STATUS_LIST(STATUS_HTTP)};
static const char *const status_sentence[] = {VG_STATUS_LIST(STATUS_SENTENCE)};

const char *vg_status_name(vg_status s)
{
    return (size_t)s < VG_COUNT(status_name) ? status_name[s] : "VG_E_UNKNOWN";
}

const char *vg_status_sentence(vg_status s)
{
    return (size_t)s < VG_COUNT(status_sentence) ? status_sentence[s] : "unknown status";
}

int vg_status_http(vg_status s)
{
    return (size_t)s < VG_COUNT(status_http) ? status_http[s] : 500;
}

const char *vg_version(void)
{
    return VG_VERSION;
}

/* A message may carry bytes of a hostile file: what is not printable ASCII or valid UTF-8 becomes
 * '?', so that a terminal or a log line is never driven by a model file. */
static void make_printable(char *msg)
{
    size_t n = strlen(msg);
    for (size_t i = 0; i < n;) {
        int32_t cp;
        size_t len = vg_utf8_next(msg + i, n - i, &cp);
        if (cp < 0x20 || cp == 0x7f || (cp >= 0x80 && cp < 0xa0)) memset(msg + i, '?', len);
        i += len;
    }
}

vg_status vg_err_set(vg_err *err, vg_status code, const char *fmt, ...)
{
    if (!err) return code;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    make_printable(err->msg);
    return code;
}

vg_status vg_err_context(vg_err *err, vg_status code, const char *fmt, ...)
{
    if (!err) return code;
    char inner[sizeof err->msg];
    memcpy(inner, err->msg, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : VG_MIN((size_t)n, sizeof err->msg - 1);
    snprintf(err->msg + used, sizeof err->msg - used, ": %s", inner);
    err->code = code;
    make_printable(err->msg);
    return code;
}

bool vg_mul64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (a != 0 && b > UINT64_MAX / a) return false;
    *out = a * b;
    return true;
}

bool vg_add64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > UINT64_MAX - a) return false;
    *out = a + b;
    return true;
}

bool vg_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *out = a * b;
    return true;
}

bool vg_add(size_t a, size_t b, size_t *out)
{
    if (b > SIZE_MAX - a) return false;
    *out = a + b;
    return true;
}

bool vg_round_up(size_t a, size_t to, size_t *out)
{
    size_t sum;
    if (!vg_add(a, to - 1, &sum)) return false;
    *out = sum & ~(to - 1);
    return true;
}

vg_str vg_str_from(const char *cstr)
{
    return (vg_str){cstr, cstr ? strlen(cstr) : 0};
}

bool vg_str_eq(vg_str a, vg_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool vg_str_is(vg_str a, const char *cstr)
{
    return vg_str_eq(a, vg_str_from(cstr));
}

bool vg_str_starts(vg_str a, vg_str prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

size_t vg_utf8_next(const char *s, size_t n, int32_t *cp)
{
    const unsigned char *c = (const unsigned char *)s;
    *cp = -1;
    if (c[0] < 0x80) {
        *cp = c[0];
        return 1;
    }
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || n < len) return 1;
    int32_t v = c[0] & (0xff >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) return 1;
        v = v << 6 | (c[i] & 0x3f);
    }
    bool overlong = (len == 3 && v < 0x800) || (len == 4 && v < 0x10000);
    if (overlong || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) return 1;
    *cp = v;
    return len;
}

size_t vg_utf8_put(int32_t cp, char *out)
{
    uint32_t c = (uint32_t)cp;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t vg_utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        int32_t cp;
        size_t len = vg_utf8_next(s + i, n - i, &cp);
        if (cp < 0) break;
        i += len;
    }
    return i;
}
