/* Characters, as Python's str sees them: what is a space, a letter, a digit, how case changes, and
 * counting and finding in UTF-8. Upper case is known for Latin, Greek, Cyrillic and Armenian, by
 * ranges; a letter outside of them keeps its form. A byte that is no UTF-8 is one character. */
#include "model/jinja_int.h"
#include "model/unicode.h"

bool vg_jcp_space(int32_t cp)
{
    if (cp <= 0x20) return (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x20);
    if (cp < 0x1680) return cp == 0x85 || cp == 0xa0;
    return cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

typedef struct span {
    int32_t first, last, add; /* from lower to upper case; 1: every other one is a pair */
} span;

/* Unicode 14, UnicodeData.txt: lower-case letters with a simple upper-case form, by ranges. Where
 * `add` is 1 the letters stand in pairs, the upper one just before the lower one. */
static const span upper_spans[] = {
    {'a', 'z', -32},        {0xb5, 0xb5, 743},      {0xe0, 0xf6, -32},      {0xf8, 0xfe, -32},
    {0xff, 0xff, 121},      {0x101, 0x12f, 1},      {0x133, 0x137, 1},      {0x13a, 0x148, 1},
    {0x14b, 0x177, 1},      {0x17a, 0x17e, 1},      {0x1ce, 0x1dc, 1},      {0x1df, 0x1ef, 1},
    {0x1f9, 0x21f, 1},      {0x223, 0x233, 1},      {0x371, 0x373, 1},      {0x377, 0x377, 1},
    {0x3ac, 0x3ac, -38},    {0x3ad, 0x3af, -37},    {0x3b1, 0x3c1, -32},    {0x3c2, 0x3c2, -31},
    {0x3c3, 0x3cb, -32},    {0x3cc, 0x3cc, -64},    {0x3cd, 0x3ce, -63},    {0x3d9, 0x3ef, 1},
    {0x430, 0x44f, -32},    {0x450, 0x45f, -80},    {0x461, 0x481, 1},      {0x48b, 0x4bf, 1},
    {0x4c2, 0x4ce, 1},      {0x4d1, 0x52f, 1},      {0x561, 0x586, -48},    {0x1e01, 0x1e95, 1},
    {0x1ea1, 0x1eff, 1},    {0x2170, 0x217f, -16},  {0x24d0, 0x24e9, -26},  {0xff41, 0xff5a, -32},
    {0x10428, 0x1044f, -40}};

int32_t vg_jcp_to_upper(int32_t cp)
{
    for (size_t i = 0; i < VG_COUNT(upper_spans); i++) {
        const span *s = &upper_spans[i];
        if (cp < s->first || cp > s->last) continue;
        if (s->add == 1) return (cp - s->first) % 2 ? cp : cp - 1;
        return cp + s->add;
    }
    return cp;
}

void vg_jcp_put(vg_buf *b, int32_t cp, bool upper)
{
    int32_t low[2];
    size_t n = upper ? 0 : vg_unicode_lower(cp, low);
    for (size_t i = 0; i < n; i++) vg_buf_cp(b, low[i]);
    if (upper && cp == 0xdf) vg_buf_text(b, "SS");
    else if (upper) vg_buf_cp(b, vg_jcp_to_upper(cp));
}

bool vg_jcp_upper(int32_t cp)
{
    return (vg_unicode_class(cp) & (VG_UC_LU | VG_UC_LT)) != 0;
}

bool vg_jcp_lower(int32_t cp)
{
    return (vg_unicode_class(cp) & VG_UC_LL) != 0 || cp == 0xaa || cp == 0xba;
}

bool vg_jcp_digit(int32_t cp)
{
    return (vg_unicode_class(cp) & VG_UC_ND) != 0;
}

bool vg_jcp_numeric(int32_t cp)
{
    return (vg_unicode_class(cp) & VG_UC_N) != 0;
}

bool vg_jcp_alpha(int32_t cp)
{
    return (vg_unicode_class(cp) & VG_UC_L) != 0;
}

/* False for what repr() writes as an escape. */
bool vg_jcp_printable(int32_t cp)
{
    const uint32_t hidden = VG_UC_Z | VG_UC_CC | VG_UC_CF | VG_UC_CO | VG_UC_CN;
    bool surrogate = cp >= 0xd800 && cp < 0xe000;
    return cp == ' ' || (!surrogate && !(vg_unicode_class(cp) & hidden));
}

size_t vg_jtext_count(vg_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        int32_t cp;
        i += vg_utf8_next(s.p + i, s.n - i, &cp);
    }
    return n;
}

size_t vg_jtext_offset(vg_str s, size_t i)
{
    size_t at = 0;
    for (; at < s.n && i > 0; i--) {
        int32_t cp;
        at += vg_utf8_next(s.p + at, s.n - at, &cp);
    }
    return at;
}

/* The length of the last character of s, n >= 1. */
static size_t last_char(vg_str s, int32_t *cp)
{
    size_t back = 1;
    while (back < 4 && back < s.n && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80) back++;
    if (vg_utf8_next(s.p + s.n - back, back, cp) == back) return back;
    *cp = -1;
    return 1;
}

vg_str vg_jtext_strip(vg_str s, bool left, bool right)
{
    int32_t cp;
    while (left && s.n) {
        size_t len = vg_utf8_next(s.p, s.n, &cp);
        if (!vg_jcp_space(cp)) break;
        s.p += len;
        s.n -= len;
    }
    while (right && s.n) {
        size_t len = last_char(s, &cp);
        if (!vg_jcp_space(cp)) break;
        s.n -= len;
    }
    return s;
}

/* Comparisons are charged as they are made: a text of one letter repeated would otherwise cost the
 * product of the two lengths. */
vg_status vg_jtext_find(vg_jinja *j, vg_str s, vg_str what, size_t from, size_t *at)
{
    *at = SIZE_MAX;
    if (from > s.n || what.n > s.n - from) return VG_OK;
    if (what.n == 0) {
        *at = from;
        return VG_OK;
    }
    for (size_t last = s.n - what.n; from <= last; from++) {
        const char *hit = memchr(s.p + from, what.p[0], last - from + 1);
        size_t skipped = hit ? (size_t)(hit - s.p) - from : last - from;
        if (!hit) return vg_jcharge_bytes(j, skipped);
        from += skipped;
        size_t same = 1;
        while (same < what.n && hit[same] == what.p[same]) same++;
        VG_TRY(vg_jcharge_bytes(j, skipped + same));
        if (same == what.n) {
            *at = from;
            return VG_OK;
        }
    }
    return VG_OK;
}

vg_status vg_jtext_rfind(vg_jinja *j, vg_str s, vg_str what, size_t *at)
{
    *at = SIZE_MAX;
    if (what.n > s.n) return VG_OK;
    for (size_t i = s.n - what.n + 1; i > 0; i--) {
        size_t same = 0;
        while (same < what.n && s.p[i - 1 + same] == what.p[same]) same++;
        VG_TRY(vg_jcharge_bytes(j, same + 1));
        if (same < what.n) continue;
        *at = i - 1;
        return VG_OK;
    }
    return VG_OK;
}
