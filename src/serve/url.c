/* Targets of requests: escapes, dot segments and parameters (RFC 3986; the "+" of HTML forms). A
 * path is decoded first and made normal then, so that no escape hides a ".."; what comes out is
 * valid UTF-8 without control characters and fit for a log. Routes are names, never files, so a
 * decoded slash is a slash: a model called "org/name" may be asked for either way. */
#include "serve/http_parse.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool decode(vg_arena *a, vg_str s, bool plus_is_blank, vg_str *out)
{
    char *to = vg_arena_alloc(a, s.n + 1, 1);
    size_t n = 0;
    if (!to) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = s.n - i > 2 ? hex(s.p[i + 1]) : -1;
            int low = s.n - i > 2 ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        to[n++] = c;
    }
    *out = (vg_str){to, n};
    return vg_utf8_valid(to, n) == n;
}

bool vg_http_path(vg_arena *a, vg_str raw, vg_str *out)
{
    vg_str s;
    if (!decode(a, raw, false, &s)) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7F) return false;
    char *to = vg_arena_alloc(a, s.n + 1, 1);
    size_t n = 0;
    if (!to) return false;
    for (size_t i = 0; i < s.n;) { /* at a slash: take it with the segment behind it */
        size_t end = i + 1;
        while (end < s.n && s.p[end] != '/') end++;
        vg_str segment = {s.p + i + 1, end - i - 1};
        bool last = end == s.n;
        if (vg_str_is(segment, "..")) {
            while (n > 0 && to[--n] != '/') continue;
            if (last) to[n++] = '/';
        } else if (vg_str_is(segment, ".") || segment.n == 0) {
            if (last) to[n++] = '/';
        } else {
            memcpy(to + n, s.p + i, end - i);
            n += end - i;
        }
        i = end;
    }
    *out = (vg_str){to, n};
    return true;
}

vg_str vg_http_param(vg_arena *a, vg_str query, const char *name)
{
    vg_str found = {0};
    while (query.n) {
        size_t n = 0, eq;
        while (n < query.n && query.p[n] != '&') n++;
        for (eq = 0; eq < n && query.p[eq] != '='; eq++) continue;
        vg_str key, value, raw = {query.p, eq};
        if (decode(a, raw, true, &key) && vg_str_is(key, name) &&
            decode(a, (vg_str){query.p + VG_MIN(eq + 1, n), n - VG_MIN(eq + 1, n)}, true, &value))
            found = value;
        n += n < query.n;
        query = (vg_str){query.p + n, query.n - n};
    }
    return found;
}
