/* Properties of characters, looked up in tables made from the Unicode Character Database by
 * tools/unicode. Classes come from two levels of pages, one load each; mappings, which are rare,
 * from a binary search. Hangul syllables are computed (Unicode 16.0, section 3.12).
 * It does not know scripts other than Han, nor mappings that depend on neighbours or language. */
#include "model/unicode.h"

#include "model/unicode.inc"

enum { PAGE = VG_UNICODE_PAGE, LAST_CP = VG_UNICODE_LAST, NFC_SUSPECT = 0x80 };
enum {
    S_BASE = 0xAC00, L_BASE = 0x1100, V_BASE = 0x1161, T_BASE = 0x11A7,
    L_COUNT = 19, V_COUNT = 21, T_COUNT = 28, S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

static unsigned raw_class(int32_t cp)
{
    if (cp < 0 || cp > LAST_CP) return 0;
    return vg_unicode_of[vg_unicode_page[cp / PAGE]][cp % PAGE];
}

static unsigned combining_class(int32_t cp)
{
    if (cp < 0 || cp > LAST_CP) return 0;
    return ccc_of[ccc_page[cp / PAGE]][cp % PAGE];
}

size_t vg_unicode_nfd(int32_t cp, int32_t out[VG_UNICODE_NFD_MAX])
{
    _Static_assert((int)NFD_LONGEST <= (int)VG_UNICODE_NFD_MAX, "all decompositions fit");
    out[0] = cp;
    if (cp < 0xC0) return 1;
    if (cp >= S_BASE && cp < S_BASE + S_COUNT) {
        int32_t s = cp - S_BASE, t = s % T_COUNT;
        out[0] = L_BASE + s / (V_COUNT * T_COUNT);
        out[1] = V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT;
        out[2] = T_BASE + t;
        return t ? 3 : 2;
    }
    size_t lo = 0, hi = VG_COUNT(nfd_of);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (nfd_of[mid][0] < cp) lo = mid + 1;
        else hi = mid;
    }
    if (lo == VG_COUNT(nfd_of) || nfd_of[lo][0] != cp) return 1;
    size_t n = 0;
    while (n < NFD_LONGEST && nfd_of[lo][n + 1]) {
        out[n] = nfd_of[lo][n + 1];
        n++;
    }
    return n;
}

size_t vg_unicode_lower(int32_t cp, int32_t out[2])
{
    out[0] = cp;
    if (cp < 0x80) {
        if (cp >= 'A' && cp <= 'Z') out[0] = cp + ('a' - 'A');
        return 1;
    }
    if (cp == 0x130) { /* the only lower case of two characters (SpecialCasing.txt) */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    size_t lo = 0, hi = VG_COUNT(lower_of);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (lower_of[mid][0] < cp) lo = mid + 1;
        else hi = mid;
    }
    if (lo < VG_COUNT(lower_of) && lower_of[lo][0] == cp) out[0] = lower_of[lo][1];
    return 1;
}

/* ---- normal form C ------------------------------------------------------------------------ */

/* The character that a and b compose to, or -1. */
static int32_t compose(int32_t a, int32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE &&
        b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    size_t lo = 0, hi = VG_COUNT(nfc_of);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const int32_t *m = nfc_of[mid];
        if (m[0] < a || (m[0] == a && m[1] < b)) lo = mid + 1;
        else hi = mid;
    }
    if (lo < VG_COUNT(nfc_of) && nfc_of[lo][0] == a && nfc_of[lo][1] == b) return nfc_of[lo][2];
    return -1;
}

/* Sorts the marks cp[0..n) by combining class, stably. Counting keeps a hostile text of a million
 * marks linear; `spare` holds n more characters. */
static void sort_marks(int32_t *cp, size_t n, int32_t *spare)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[combining_class(cp[i]) + 1]++;
    for (size_t i = 1; i < 257; i++) start[i] += start[i - 1];
    for (size_t i = 0; i < n; i++) spare[start[combining_class(cp[i])]++] = cp[i];
    memcpy(cp, spare, n * sizeof *cp);
}

/* Puts cp[0..n), fully decomposed, into canonical order and composes it in place (Unicode 14.0,
 * section 3.11, D109 and D117); returns the new length. */
static size_t order_and_compose(int32_t *cp, size_t n, int32_t *spare)
{
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && combining_class(cp[end])) end++;
        if (end > i + 1) sort_marks(cp + i, end - i, spare);
        i = end + 1;
    }
    size_t out = 0, starter = SIZE_MAX;
    unsigned last = 0; /* the class of what stands between the starter and here */
    for (size_t i = 0; i < n; i++) {
        unsigned ccc = combining_class(cp[i]);
        bool open = starter != SIZE_MAX && (starter + 1 == out || (last && last < ccc));
        int32_t whole = open ? compose(cp[starter], cp[i]) : -1;
        if (whole >= 0) {
            cp[starter] = whole;
            continue;
        }
        if (!ccc) starter = out;
        last = ccc;
        cp[out++] = cp[i];
    }
    return out;
}

static void normalize_stretch(vg_str s, vg_buf *out, vg_buf *work)
{
    vg_buf_reset(work);
    for (size_t i = 0; i < s.n;) {
        int32_t cp, part[VG_UNICODE_NFD_MAX];
        i += vg_utf8_next(s.p + i, s.n - i, &cp);
        size_t n = vg_unicode_nfd(cp, part);
        vg_buf_add(work, part, n * sizeof *part);
    }
    size_t bytes = work->n, n = bytes / sizeof(int32_t);
    (void)vg_buf_extend(work, bytes); /* room for sort_marks */
    if (work->failed) {
        out->failed = work->failed;
        return;
    }
    int32_t *cp = (int32_t *)(void *)work->data;
    n = order_and_compose(cp, n, cp + n);
    for (size_t i = 0; i < n; i++) vg_buf_cp(out, cp[i]);
}

size_t vg_unicode_nfc_prefix(vg_str s)
{
    size_t safe = 0; /* the last character that nothing before it can change */
    for (size_t i = 0; i < s.n;) {
        int32_t cp = (unsigned char)s.p[i];
        size_t n = cp < 0x80 ? 1 : vg_utf8_next(s.p + i, s.n - i, &cp);
        if (cp >= 0x300 && raw_class(cp) & NFC_SUSPECT) return safe;
        safe = i;
        i += n;
    }
    return s.n;
}

void vg_unicode_nfc(vg_str s, vg_buf *out)
{
    vg_buf work;
    vg_buf_init(&work, SIZE_MAX / 2);
    while (s.n) {
        size_t clean = vg_unicode_nfc_prefix(s);
        vg_buf_add(out, s.p, clean);
        s.p += clean;
        s.n -= clean;
        size_t end = 0;
        while (end < s.n) { /* up to a character that stands by itself */
            int32_t cp;
            size_t n = vg_utf8_next(s.p + end, s.n - end, &cp);
            if (end && !(raw_class(cp) & NFC_SUSPECT)) break;
            if (cp < 0) break;
            end += n;
        }
        if (end) normalize_stretch((vg_str){s.p, end}, out, &work);
        else vg_buf_add(out, s.p, end = VG_MIN(s.n, (size_t)1));
        s.p += end;
        s.n -= end;
    }
    vg_buf_clear(&work);
}
