/* Numbers, as sets of decimal texts: all that JSON allows up to 18 digits before the point; with
 * bounds, comparisons digit by digit; with multipleOf, the remainder of the digits so far. The sets
 * are joined as automata. Numbers with bounds or multipleOf have no exponent. */
#include <math.h>

#include "model/schema_int.h"

enum { DIGITS = 18, PLACES = 17, STEP_STATES = 10000 };

/* A number's digits: d[0..n_int) before the point, then n_frac; no zeros that say nothing. */
typedef struct decimal {
    char d[2 * VG_DOUBLE_TEXT];
    size_t n_int, n_frac;
    bool negative;
} decimal;

static size_t print_integer(int64_t v, char out[VG_DOUBLE_TEXT])
{
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char reversed[VG_DOUBLE_TEXT];
    size_t n = 0, len = 0;
    do {
        reversed[n++] = (char)('0' + rest % 10);
    } while ((rest /= 10) > 0);
    if (v < 0) out[len++] = '-';
    while (n > 0) out[len++] = reversed[--n];
    return len;
}

/* False: not within DIGITS and PLACES. */
static bool read_decimal(const vg_json *v, decimal *out)
{
    char text[VG_DOUBLE_TEXT], digits[VG_DOUBLE_TEXT];
    int64_t exponent = 0;
    size_t n = 0, i = 0, len;
    len = v->kind == VG_JSON_INT ? print_integer(v->integer, text) : vg_double_put(v->number, text);
    *out = (decimal){.negative = len && text[0] == '-'};
    if (out->negative) i++;
    bool point = false;
    for (; i < len && text[i] != 'e'; i++) {
        if (text[i] == '.') point = true;
        else {
            if (n || text[i] != '0') digits[n++] = text[i];
            exponent -= point;
        }
    }
    if (i < len) { /* the exponent of Python's repr: e+16, e-07 */
        int64_t e = 0;
        for (size_t k = i + 2; k < len; k++) e = e * 10 + text[k] - '0';
        exponent += text[i + 1] == '-' ? -e : e;
    }
    for (; n && digits[n - 1] == '0'; n--) exponent++;
    if (n == 0) exponent = 0;
    int64_t n_int = (int64_t)n + exponent; /* digits before the point, or minus zeros behind it */
    if (n_int > DIGITS + 1 || exponent < -PLACES) return false;
    size_t at = 0;
    for (int64_t k = 0; k < n_int; k++) out->d[at++] = k < (int64_t)n ? digits[k] : '0';
    if (n_int <= 0) out->d[at++] = '0';
    out->n_int = at;
    for (int64_t k = VG_MIN(n_int, 0); exponent < 0 && k < 0; k++) out->d[at++] = '0';
    for (int64_t k = VG_MAX(n_int, 0); k < (int64_t)n; k++) out->d[at++] = digits[k];
    out->n_frac = at - out->n_int;
    return true;
}

/* ---- comparisons as patterns ----------------------------------------------------------------- */

#define WHOLE "(0|[1-9][0-9]{0,17})"
#define LONG "(0|[1-9][0-9]{0,18})" /* below a bound of as many digits */
#define PLACES_PART "(\\.[0-9]{1,17})?"
#define FRACTION "(\\.[0-9]+)?"

/* Appends the ways to differ from digits d[0..n) at one of them, greater or less there, each
 * followed by the digits that remain and by `tail`. `first`: no zero at the front of several. */
static void differ(vg_buf *p, const char *d, size_t n, bool greater, bool first, bool fixed,
                   const char *tail)
{
    for (size_t k = 0; k < n; k++) {
        char lo = greater ? (char)(d[k] + 1) : first && k == 0 && n > 1 ? '1' : '0';
        char hi = greater ? '9' : (char)(d[k] - 1);
        if (lo > hi) continue;
        vg_buf_fmt(p, "|%.*s[%c-%c]", (int)k, d, lo, hi);
        if (fixed && n - k - 1) vg_buf_fmt(p, "[0-9]{%zu}", n - k - 1);
        vg_buf_text(p, fixed ? tail : "[0-9]*");
    }
}

/* The decimals without a sign that are above (below) m, or also equal. */
static gfa *beside(schema *s, const decimal *m, bool above, bool equal)
{
    const char *frac = m->d + m->n_int;
    vg_buf p;
    vg_buf_init(&p, 1 << 16);
    vg_buf_text(&p, "^(");
    if (above) vg_buf_fmt(&p, "[1-9][0-9]{%zu,}" FRACTION, m->n_int);
    else if (m->n_int > 1) vg_buf_fmt(&p, "(0|[1-9][0-9]{0,%zu})" FRACTION, m->n_int - 2);
    else vg_buf_text(&p, "[a]"); /* nothing: no number has this letter */
    differ(&p, m->d, m->n_int, above, true, true, FRACTION);
    vg_buf_fmt(&p, "|%.*s(", (int)m->n_int, m->d); /* the same before the point */
    if (above) {
        vg_buf_text(&p, "\\.([a]");
        differ(&p, frac, m->n_frac, true, false, false, "");
        vg_buf_fmt(&p, "|%.*s%s)", (int)m->n_frac, frac, equal ? "[0-9]*" : "0*[1-9][0-9]*");
        if (equal && m->n_frac == 0) vg_buf_text(&p, "|");
    } else {
        vg_buf_text(&p, "\\.([a]");
        differ(&p, frac, m->n_frac, false, false, false, "");
        for (size_t k = 1; k < m->n_frac; k++) vg_buf_fmt(&p, "|%.*s", (int)k, frac);
        if (equal) vg_buf_fmt(&p, "|%.*s0*", (int)m->n_frac, frac);
        vg_buf_text(&p, ")");
        if (equal || m->n_frac) vg_buf_text(&p, "|");
    }
    vg_buf_text(&p, "))$");
    gfa *x = NULL;
    if (p.failed) (void)gx_fail(s->b, p.failed, "no memory for a bound");
    else x = gfa_regex(s->b, (vg_str){p.data, p.n}, "bound");
    vg_buf_clear(&p);
    return x;
}

/* `magnitude`, of the side of zero that `negative` says, within both bounds; NULL: nothing is, or
 * failed. */
static gfa *within(schema *s, const facts *f, bool negative, gfa *magnitude)
{
    const bound *near = negative ? &f->hi : &f->lo, *far = negative ? &f->lo : &f->hi;
    decimal d;
    if (near->at && read_decimal(near->at, &d)) { /* the bound towards zero */
        bool zero = d.n_int == 1 && d.d[0] == '0' && d.n_frac == 0;
        if (zero ? near->strict : d.negative == negative)
            magnitude = gfa_and(s->b, magnitude, beside(s, &d, true, !near->strict));
    } else if (near->at && (near->at->number < 0) == negative) {
        return NULL; /* beyond all numbers that are written, or too fine: see check_bounds */
    }
    if (far->at && read_decimal(far->at, &d)) {
        bool zero = d.n_int == 1 && d.d[0] == '0' && d.n_frac == 0;
        if (zero ? negative : d.negative != negative) return NULL; /* no -0 for a minimum of 0 */
        return gfa_and(s->b, magnitude, beside(s, &d, false, !far->strict));
    }
    if (far->at && (far->at->number < 0) != negative) return NULL;
    return magnitude;
}

/* ---- multipleOf ------------------------------------------------------------------------------ */

/* Decimals that are multiples of a step: a state is a remainder and the places behind the point. */
static gfa *multiples(schema *s, const vg_json *at, const vg_json *step)
{
    decimal d;
    uint64_t m = 0;
    if (!read_decimal(step, &d)) m = STEP_STATES;
    for (size_t i = 0; i < d.n_int + d.n_frac && m < STEP_STATES; i++)
        m = m * 10 + (uint64_t)(d.d[i] - '0');
    size_t k = m < STEP_STATES ? d.n_frac : 0;
    if (m * (k + 2) >= STEP_STATES) {
        (void)schema_fail(s, at, VG_E_UNSUPPORTED, "multipleOf %g", step->number);
        return NULL;
    }
    /* Layer 0: before the point; layer 1 + j: j places behind it. */
    uint64_t pad = 1;
    for (size_t j = 0; j < k; j++) pad *= 10;
    gfa *x = gx_array(s->b, 1, sizeof *x);
    size_t n = (size_t)m * (k + 2);
    gfa_state *state = gx_array(s->b, n, sizeof *state);
    if (!x || !state) return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t layer = i / m, j = layer ? layer - 1 : 0;
        uint64_t r = i % m, rest = pad;
        for (size_t q = 0; q < j; q++) rest /= 10;
        state[i].accepts = r * rest % m == 0 && layer != 1;
        state[i].edge = gx_array(s->b, 11, sizeof *state[i].edge);
        if (!state[i].edge) return NULL;
        if (layer == 0 && k) state[i].edge[state[i].n++] = (gfa_edge){'.', '.', (uint32_t)(m + r)};
        size_t to = layer == 0 ? 0 : layer + 1;
        for (int32_t c = 0; c < 10 && to < k + 2; c++)
            state[i].edge[state[i].n++] =
                (gfa_edge){'0' + c, '0' + c, (uint32_t)(to * m + (r * 10 + (uint64_t)c) % m)};
    }
    *x = (gfa){.state = state, .n = (uint32_t)n};
    return x;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* A bound finer than the places that are written cannot be kept exactly. */
static bool check_bounds(schema *s, const wants *w, const facts *f)
{
    const bound *both[] = {&f->lo, &f->hi};
    for (size_t i = 0; i < 2; i++) {
        decimal d;
        if (!both[i]->at || read_decimal(both[i]->at, &d)) continue;
        if (fabs(both[i]->at->number) >= 1e18) continue;
        (void)schema_fail(s, w->item[0].schema, VG_E_UNSUPPORTED,
                          "a bound with more than %d places", PLACES);
        return false;
    }
    return true;
}

/* What is within the bounds on one side of zero, without the sign; NULL: nothing, or failed. */
static gfa *side(schema *s, const wants *w, const facts *f, bool fractions, bool negative)
{
    const bound *far = negative ? &f->lo : &f->hi;
    decimal d;
    bool is_long = far->at && read_decimal(far->at, &d) && d.n_int > DIGITS;
    const char *pattern = fractions ? "^" WHOLE PLACES_PART "$" : "^" WHOLE "$";
    if (is_long) pattern = fractions ? "^" LONG PLACES_PART "$" : "^" LONG "$";
    gfa *x = gfa_regex(s->b, vg_str_from(pattern), "number");
    for (size_t i = 0; i < f->n_steps && x; i++)
        x = gfa_and(s->b, x, multiples(s, w->item[0].schema, f->step[i]));
    if (x) x = within(s, f, negative, x);
    if (x && negative && !fractions) x = gfa_minus(s->b, x, gfa_words(s->b, &VG_STR("0"), 1));
    return x;
}

gx *schema_number(schema *s, const wants *w, const facts *f, bool fractions)
{
    static const gx_range nine[] = {{'1', '9'}}, ten[] = {{'0', '9'}};
    static const gx_range e[] = {{'e', 'e'}, {'E', 'E'}};
    static const gx_range sign[] = {{'+', '+'}, {'-', '-'}};
    gx_builder *b = s->b;
    gx *minus = gx_lit(b, "-");
    if (f->lo.at || f->hi.at || f->n_steps) {
        if (!check_bounds(s, w, f)) return NULL;
        gfa *above = side(s, w, f, fractions, false), *below = side(s, w, f, fractions, true);
        gx *alt[2];
        size_t n = 0;
        if (above) alt[n++] = gfa_emit(b, above, GFA_PLAIN);
        if (below) alt[n++] = GX_SEQ(b, minus, gfa_emit(b, below, GFA_PLAIN));
        return gx_alt(b, alt, n);
    }
    gx *digit = gx_chars(b, ten, 1);
    gx *from_one = GX_SEQ(b, gx_chars(b, nine, 1), gx_repeat(b, digit, 0, DIGITS - 1));
    if (!fractions)
        return GX_ALT(b, gx_lit(b, "0"), GX_SEQ(b, gx_repeat(b, minus, 0, 1), from_one));
    gx *frac = GX_SEQ(b, gx_lit(b, "."), gx_repeat(b, digit, 1, PLACES));
    gx *exp = GX_SEQ(b, gx_chars(b, e, 2), gx_repeat(b, gx_chars(b, sign, 2), 0, 1),
                     gx_repeat(b, digit, 1, 2));
    return GX_SEQ(b, gx_repeat(b, minus, 0, 1), GX_ALT(b, gx_lit(b, "0"), from_one),
                  gx_repeat(b, frac, 0, 1), gx_repeat(b, exp, 0, 1));
}

bool schema_number_fits(schema *s, const wants *w, const facts *f, const vg_json *v)
{
    int lo = f->lo.at ? schema_compare(v, f->lo.at) : 1;
    int hi = f->hi.at ? schema_compare(v, f->hi.at) : -1;
    if (lo < 0 || (lo == 0 && f->lo.strict) || hi > 0 || (hi == 0 && f->hi.strict)) return false;
    decimal d;
    bool written = read_decimal(v, &d);
    for (size_t i = 0; i < f->n_steps; i++) {
        const gfa *x = multiples(s, w->item[0].schema, f->step[i]);
        char text[sizeof d.d + 1];
        if (!x || !written) return false;
        memcpy(text, d.d, d.n_int);
        size_t n = d.n_int;
        if (d.n_frac) text[n++] = '.';
        memcpy(text + n, d.d + d.n_int, d.n_frac);
        if (!gfa_accepts(x, (vg_str){text, n + d.n_frac})) return false;
    }
    return true;
}
