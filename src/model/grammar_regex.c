/* ECMA regular expressions, the dialect of JSON Schema's "pattern", as sets of strings. One is
 * searched for, not matched: where it begins and ends is said by anchors. They are read as two
 * characters that no string has, BEGIN before it and END behind it; a search for P is then
 * (BEGIN any*)? P (any* END)?, of which what stands between BEGIN and END is kept.
 *
 * What is no regular set (look-around, references to groups, \b) is refused. Groups are read by
 * recursion, at most GX_DEPTH deep. */
#include "model/fa_int.h"
#include "model/unicode.h"

enum { BEGIN = GFA_LAST + 1, END = GFA_LAST + 2, MANY_RANGES = 2000 };

typedef struct char_set {
    gx_range r[MANY_RANGES];
    size_t n;
} char_set;

typedef struct regex {
    gx_builder *b;
    vg_str text;
    size_t at;
    const char *what;
    unsigned depth;
    gx **item; /* [2 * text.n + 4] of sequences and alternatives that are open */
    size_t n_items;
    char_set set; /* the class that is being read */
} regex;

static gx *fail(regex *p, vg_status code, const char *why)
{
    (void)gx_fail(p->b, code, "%s \"%.*s\", character %zu: %s", p->what, VG_STR_ARG(p->text),
                  p->at + 1, why);
    return NULL;
}

static int peek(const regex *p, size_t ahead)
{
    return p->at + ahead < p->text.n ? (unsigned char)p->text.p[p->at + ahead] : -1;
}

static bool next_is(regex *p, const char *s)
{
    vg_str rest = {p->text.p + p->at, p->text.n - p->at};
    if (!vg_str_starts(rest, vg_str_from(s))) return false;
    p->at += strlen(s);
    return true;
}

/* ---- classes --------------------------------------------------------------------------------- */

static void add(char_set *s, int32_t lo, int32_t hi)
{
    if (s->n < MANY_RANGES) s->r[s->n++] = (gx_range){lo, hi};
}

static void add_all(char_set *s, const gx_range *r, size_t n, bool inverted)
{
    gx_range copy[16], rest[18];
    assert(n <= VG_COUNT(copy));
    memcpy(copy, r, n * sizeof *r);
    if (!inverted) {
        for (size_t i = 0; i < n; i++) add(s, r[i].lo, r[i].hi);
        return;
    }
    n = gx_ranges_invert(copy, gx_ranges_tidy(copy, n), rest);
    for (size_t i = 0; i < n; i++) add(s, rest[i].lo, rest[i].hi);
}

/* \d \w \s and their opposites; false: another letter. */
static bool add_shorthand(char_set *s, int c)
{
    static const gx_range digit[] = {{'0', '9'}};
    static const gx_range word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const gx_range space[] = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},
                                     {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
                                     {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
                                     {0xFEFF, 0xFEFF}};
    switch (c) {
    case 'd': case 'D': add_all(s, digit, VG_COUNT(digit), c == 'D'); return true;
    case 'w': case 'W': add_all(s, word, VG_COUNT(word), c == 'W'); return true;
    case 's': case 'S': add_all(s, space, VG_COUNT(space), c == 'S'); return true;
    default: return false;
    }
}

/* The general categories that have one name here: \p{L}, \p{Lu}. */
static uint32_t category(vg_str name)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } known[] = {{"L", VG_UC_L},   {"Letter", VG_UC_L}, {"Lu", VG_UC_LU}, {"Ll", VG_UC_LL},
                 {"Lt", VG_UC_LT}, {"Lm", VG_UC_LM},    {"Lo", VG_UC_LO}, {"M", VG_UC_M},
                 {"Mn", VG_UC_MN}, {"N", VG_UC_N},      {"Nd", VG_UC_ND}, {"digit", VG_UC_ND},
                 {"P", VG_UC_P},   {"Pc", VG_UC_PC},    {"S", VG_UC_S},   {"Z", VG_UC_Z},
                 {"Cc", VG_UC_CC}};
    for (size_t i = 0; i < VG_COUNT(known); i++)
        if (vg_str_is(name, known[i].name)) return known[i].bits;
    return 0;
}

/* Behind \p or \P: "{L}". */
static bool add_category(regex *p, char_set *s, bool inverted)
{
    size_t n = 0;
    while (peek(p, n) >= 0 && peek(p, n) != '}') n++;
    uint32_t bits = 0;
    if (peek(p, 0) == '{' && peek(p, n) == '}')
        bits = category((vg_str){p->text.p + p->at + 1, n - 1});
    if (!bits) return fail(p, VG_E_UNSUPPORTED, "this property of characters"), false;
    p->at += n + 1;
    int32_t from = -1;
    for (int32_t c = 0; c <= GFA_LAST + 1; c++) {
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        bool in = c <= GFA_LAST && !surrogate && !(vg_unicode_class(c) & bits) == inverted;
        if (in && from < 0) from = c;
        if (in || from < 0) continue;
        add(s, from, c - 1);
        from = -1;
    }
    return true;
}

static bool read_hex(regex *p, size_t n, int32_t *out)
{
    int32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int c = peek(p, i), d = c >= '0' && c <= '9'   ? c - '0'
                                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                       : -1;
        if (d < 0 || v > GFA_LAST) return false;
        v = v * 16 + d;
    }
    if (v > GFA_LAST) return false;
    p->at += n;
    *out = v;
    return true;
}

/* Behind \u: four digits, two times for a pair of surrogates, or {any number of them}. */
static bool read_unicode(regex *p, int32_t *out)
{
    int32_t low;
    if (peek(p, 0) == '{') {
        size_t n = 0;
        while (peek(p, n + 1) >= 0 && peek(p, n + 1) != '}') n++;
        p->at++;
        if (n == 0 || !read_hex(p, n, out) || peek(p, 0) != '}') return false;
        p->at++;
    } else {
        if (!read_hex(p, 4, out)) return false;
        if (*out >= 0xD800 && *out <= 0xDBFF && next_is(p, "\\u")) {
            if (!read_hex(p, 4, &low) || low < 0xDC00 || low > 0xDFFF) return false;
            *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return *out < 0xD800 || *out > 0xDFFF;
}

/* Behind a backslash: one character, or a class. *c is -1 for a class, which s then has. */
static bool read_escape(regex *p, char_set *s, bool in_class, int32_t *c)
{
    static const char controls[] = "t\tn\nv\vf\fr\r";
    int e = peek(p, 0);
    p->at++;
    *c = -1;
    if (e < 0) return fail(p, VG_E_FORMAT, "it ends with a backslash"), false;
    if (add_shorthand(s, e)) return true;
    if (e == 'p' || e == 'P') return add_category(p, s, e == 'P');
    for (const char *k = controls; *k; k += 2)
        if (e == *k) return *c = k[1], true;
    if (e == 'b' && in_class) return *c = '\b', true;
    if (e == '0' && (peek(p, 0) < '0' || peek(p, 0) > '9')) return *c = 0, true;
    if (e == 'x') return read_hex(p, 2, c) || (fail(p, VG_E_FORMAT, "a bad escape"), false);
    if (e == 'u') return read_unicode(p, c) || (fail(p, VG_E_FORMAT, "a bad escape"), false);
    if (e == 'c' && ((peek(p, 0) | 32) >= 'a' && (peek(p, 0) | 32) <= 'z')) {
        *c = peek(p, 0) % 32;
        p->at++;
        return true;
    }
    bool letter = (e >= '0' && e <= '9') || ((e | 32) >= 'a' && (e | 32) <= 'z');
    if (letter || e >= 0x80) return fail(p, VG_E_UNSUPPORTED, "this escape"), false;
    *c = e;
    return true;
}

/* One character of a class, or a class within it (*c is -1). */
static bool class_part(regex *p, char_set *s, int32_t *c)
{
    if (peek(p, 0) == '\\') {
        p->at++;
        return read_escape(p, s, true, c);
    }
    p->at += vg_utf8_next(p->text.p + p->at, p->text.n - p->at, c);
    return *c >= 0 || (fail(p, VG_E_FORMAT, "a byte that is no UTF-8"), false);
}

static gx *read_class(regex *p, char_set *s)
{
    bool inverted = next_is(p, "^");
    while (!next_is(p, "]")) {
        int32_t lo, hi;
        if (peek(p, 0) < 0) return fail(p, VG_E_FORMAT, "a class without an end");
        if (!class_part(p, s, &lo)) return NULL;
        if (peek(p, 0) == '-' && peek(p, 1) != ']' && peek(p, 1) >= 0) {
            p->at++;
            if (!class_part(p, s, &hi)) return NULL;
            if (lo < 0 || hi < lo) return fail(p, VG_E_FORMAT, "a range without two ends");
        } else {
            hi = lo;
        }
        if (lo >= 0) add(s, lo, hi);
    }
    if (s->n >= MANY_RANGES) return fail(p, VG_E_LIMIT, "a class of too many ranges");
    if (!inverted) return gx_chars(p->b, s->r, s->n);
    gx_range *rest = gx_array(p->b, s->n + 2, sizeof *rest);
    if (!rest) return NULL;
    s->n = gx_ranges_tidy(s->r, s->n);
    return gx_chars(p->b, rest, gx_ranges_invert(s->r, s->n, rest));
}

/* ---- expressions ----------------------------------------------------------------------------- */

static gx *read_alternatives(regex *p);

static gx *one_char(regex *p, int32_t c)
{
    return gx_chars(p->b, &(gx_range){c, c}, 1);
}

static gx *read_group(regex *p)
{
    if (next_is(p, "?")) {
        bool named = peek(p, 0) == '<' && peek(p, 1) != '=' && peek(p, 1) != '!';
        if (named)
            while (peek(p, 0) >= 0 && peek(p, 0) != '>') p->at++;
        if (!next_is(p, named ? ">" : ":"))
            return fail(p, VG_E_UNSUPPORTED, "this kind of group (look-around, flags)");
    }
    gx *x = read_alternatives(p);
    if (x && !next_is(p, ")")) return fail(p, VG_E_FORMAT, "\")\" is missing");
    return x;
}

static gx *read_atom(regex *p, bool *anchor)
{
    static const gx_range dots[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
    int32_t c = peek(p, 0);
    *anchor = c == '^' || c == '$';
    p->set.n = 0;
    if (next_is(p, "^")) return one_char(p, BEGIN);
    if (next_is(p, "$")) return one_char(p, END);
    if (next_is(p, "(")) return read_group(p);
    if (next_is(p, "[")) return read_class(p, &p->set);
    if (next_is(p, ".")) {
        add_all(&p->set, dots, VG_COUNT(dots), true);
        return gx_chars(p->b, p->set.r, p->set.n);
    }
    if (next_is(p, "\\")) {
        if (!read_escape(p, &p->set, false, &c)) return NULL;
        if (c >= 0) return one_char(p, c);
        return p->set.n < MANY_RANGES ? gx_chars(p->b, p->set.r, p->set.n)
                                      : fail(p, VG_E_LIMIT, "a class of too many ranges");
    }
    if (c == '*' || c == '+' || c == '?') return fail(p, VG_E_FORMAT, "nothing to repeat");
    p->at += vg_utf8_next(p->text.p + p->at, p->text.n - p->at, &c);
    return c >= 0 ? one_char(p, c) : fail(p, VG_E_FORMAT, "a byte that is no UTF-8");
}

static bool read_number(regex *p, int32_t *out)
{
    int64_t n = 0;
    if (peek(p, 0) < '0' || peek(p, 0) > '9') return false;
    for (int c; (c = peek(p, 0)) >= '0' && c <= '9'; p->at++)
        n = VG_MIN(n * 10 + c - '0', INT32_MAX);
    *out = (int32_t)n;
    return true;
}

/* {m} {m,} {m,n}; a brace that begins none of them is a character. */
static bool read_braces(regex *p, int32_t *min, int32_t *max)
{
    size_t from = p->at;
    if (next_is(p, "{") && read_number(p, min)) {
        *max = *min;
        if (next_is(p, ",") && !read_number(p, max)) *max = GX_MANY;
        if (next_is(p, "}")) return true;
    }
    p->at = from;
    return false;
}

static gx *read_repeat(regex *p)
{
    bool anchor;
    gx *x = read_atom(p, &anchor);
    int32_t min = 0, max = GX_MANY;
    if (next_is(p, "+")) min = 1;
    else if (next_is(p, "?")) max = 1;
    else if (!next_is(p, "*") && !read_braces(p, &min, &max)) return x;
    if (anchor) return fail(p, VG_E_UNSUPPORTED, "an anchor that is repeated");
    if (max != GX_MANY && max < min)
        return fail(p, VG_E_FORMAT, "a repetition that ends before it begins");
    if (VG_MAX(min, max) >= GFA_STATES) return fail(p, VG_E_LIMIT, "a repetition this long");
    (void)next_is(p, "?"); /* lazy or greedy: the strings are the same */
    return gx_repeat(p->b, x, min, max);
}

static gx *read_sequence(regex *p)
{
    size_t base = p->n_items;
    for (int c; (c = peek(p, 0)) >= 0 && c != '|' && c != ')';) {
        while ((c == '^' || c == '$') && peek(p, 1) == c) p->at++;
        gx *x = read_repeat(p);
        if (!x) return NULL;
        p->item[p->n_items++] = x;
    }
    gx *all = gx_seq(p->b, p->item + base, p->n_items - base);
    p->n_items = base;
    return all;
}

static gx *read_alternatives(regex *p)
{
    size_t base = p->n_items;
    if (++p->depth > GX_DEPTH / 4) return fail(p, VG_E_LIMIT, "groups nest too deep");
    do {
        gx *x = read_sequence(p);
        if (!x) return NULL;
        p->item[p->n_items++] = x;
    } while (next_is(p, "|"));
    gx *all = gx_alt(p->b, p->item + base, p->n_items - base);
    p->n_items = base;
    p->depth--;
    return all;
}

/* Of an automaton with BEGIN and END: the strings between them. */
static gfa *between_anchors(gx_builder *b, const gfa *x)
{
    if (!x || b->failed) return NULL;
    gfa *out = gx_array(b, 1, sizeof *out);
    gfa_state *state = gx_array(b, x->n + (size_t)1, sizeof *state);
    if (!out || !state) return NULL;
    uint32_t start = 0;
    const gfa_state *s = &x->state[0];
    for (uint32_t i = 0; i < s->n; i++)
        if (s->edge[i].lo <= BEGIN && s->edge[i].hi >= BEGIN) start = s->edge[i].to;
    for (uint32_t i = 0; i < x->n; i++) {
        state[i] = x->state[i];
        state[i].accepts = false;
        while (state[i].n && state[i].edge[state[i].n - 1].lo > GFA_LAST) {
            const gfa_edge *e = &state[i].edge[--state[i].n];
            if (e->hi >= END) state[i].accepts = x->state[e->to].accepts;
        }
    }
    gfa_state first = state[start]; /* its number is asked for by nobody: BEGIN comes once */
    state[0] = first;
    *out = (gfa){.state = state, .n = x->n};
    return out;
}

gfa *gfa_regex(gx_builder *b, vg_str pattern, const char *what)
{
    static const gx_range all[] = {{0, 0xD7FF}, {0xE000, GFA_LAST}};
    regex p = {.b = b, .text = pattern, .what = what};
    if (pattern.n > 4096) fail(&p, VG_E_LIMIT, "a pattern of more than 4096 bytes");
    p.item = gx_array(b, 2 * pattern.n + 4, sizeof *p.item);
    if (!p.item) return NULL;
    gx *x = read_alternatives(&p);
    if (x && p.at < pattern.n) x = fail(&p, VG_E_FORMAT, "\"(\" is missing");
    gx *any = gx_repeat(b, gx_chars(b, all, VG_COUNT(all)), 0, GX_MANY);
    gx *begin = one_char(&p, BEGIN), *end = one_char(&p, END);
    gx *search = GX_SEQ(b, gx_repeat(b, GX_SEQ(b, begin, any), 0, 1), x,
                        gx_repeat(b, GX_SEQ(b, any, end), 0, 1));
    return between_anchors(b, gfa_and(b, gfa_of(b, search), gfa_of(b, GX_SEQ(b, begin, any, end))));
}
