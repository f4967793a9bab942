/* GBNF, the notation of grammars that llama.cpp documents (grammars/README.md there): rules of
 * strings, classes of characters, groups, alternatives and repetitions. A character is a code
 * point, whichever way it is written. Beyond the document, "|" may begin a line, names may hold
 * "_", {,n} counts from 0, and %json and a schema stand for the JSON that fits it.
 * References to tokens (<[12]>, <name>) are refused by name.
 *
 * Groups are read by recursion, at most GX_DEPTH deep. */
#include "model/grammar_int.h"

typedef struct gbnf {
    gx_builder *b;
    vg_str text;
    size_t at;
    uint32_t *slot; /* [mask + 1] rules by name, index + 1 */
    size_t mask;
    gx **item;      /* of sequences that are open */
    size_t n_items, cap_items, bytes;
    unsigned depth;
} gbnf;

static vg_status fail(gbnf *p, vg_status code, const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < p->at && i < p->text.n; i++) {
        column++;
        if (p->text.p[i] != '\n') continue;
        line++;
        column = 1;
    }
    return gx_fail(p->b, code, "grammar, line %zu, column %zu: %s", line, column, what);
}

static int peek(const gbnf *p, size_t ahead)
{
    return p->at + ahead < p->text.n ? (unsigned char)p->text.p[p->at + ahead] : -1;
}

static bool is_name(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

/* Blanks and comments; line breaks too if `lines`. */
static void skip_space(gbnf *p, bool lines)
{
    for (int c; (c = peek(p, 0)) >= 0; p->at++) {
        if (c == '#')
            while (peek(p, 1) >= 0 && peek(p, 1) != '\n' && peek(p, 1) != '\r') p->at++;
        else if (c != ' ' && c != '\t' && !(lines && (c == '\n' || c == '\r'))) return;
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static vg_status widen_names(gbnf *p)
{
    size_t n = p->b->n_rules + (size_t)1;
    if (p->slot && 2 * n <= p->mask) return VG_OK;
    size_t want = p->slot ? 2 * (p->mask + 1) : 256;
    uint32_t *slot = vg_mem_new(want * sizeof *slot);
    if (!slot) return gx_fail(p->b, VG_E_NO_MEMORY, "no memory for %zu names", want);
    vg_mem_free(p->slot);
    p->slot = slot;
    p->mask = want - 1;
    for (uint32_t r = 0; r < p->b->n_rules; r++) {
        vg_str name = p->b->rule[r].name;
        if (name.n == 0) continue;
        size_t at = (size_t)vg_hash(name.p, name.n);
        while (slot[at & p->mask]) at++;
        slot[at & p->mask] = r + 1;
    }
    return VG_OK;
}

/* The rule with the name that stands here; made where it is new. */
static vg_status read_name(gbnf *p, uint32_t *rule)
{
    size_t n = 0;
    while (is_name(peek(p, n))) n++;
    if (n == 0) return fail(p, VG_E_FORMAT, "a rule's name is expected");
    VG_TRY(widen_names(p));
    vg_str name = {p->text.p + p->at, n};
    size_t at = (size_t)vg_hash(name.p, name.n);
    for (; p->slot[at & p->mask]; at++) {
        *rule = p->slot[at & p->mask] - 1;
        if (!vg_str_eq(p->b->rule[*rule].name, name)) continue;
        p->at += n;
        return VG_OK;
    }
    *rule = gx_rule_new(p->b, name);
    p->slot[at & p->mask] = *rule + 1;
    p->at += n;
    return p->b->failed;
}

/* ---- characters ------------------------------------------------------------------------------ */

static vg_status read_hex(gbnf *p, size_t digits, int32_t *cp)
{
    uint32_t v = 0;
    for (size_t i = 0; i < digits; i++, p->at++) {
        int c = peek(p, 0), d = c >= '0' && c <= '9'   ? c - '0'
                                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                       : -1;
        if (d < 0) return fail(p, VG_E_FORMAT, "a hexadecimal digit is expected");
        v = v << 4 | (uint32_t)d;
    }
    if (v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return fail(p, VG_E_FORMAT, "the escape is no Unicode character");
    *cp = (int32_t)v;
    return VG_OK;
}

/* One character of a string or a class, escapes resolved. */
static vg_status read_char(gbnf *p, int32_t *cp)
{
    static const char plain[] = "\\\"[]-^'/"; /* stand for themselves */
    int c = peek(p, 0);
    if (c < 0) return fail(p, VG_E_FORMAT, "the grammar ends inside a string or a class");
    if (c != '\\') {
        p->at += vg_utf8_next(p->text.p + p->at, p->text.n - p->at, cp);
        return *cp < 0 ? fail(p, VG_E_FORMAT, "a byte that is no UTF-8") : VG_OK;
    }
    c = peek(p, 1);
    p->at += 2;
    switch (c) {
    case 'x': return read_hex(p, 2, cp);
    case 'u': return read_hex(p, 4, cp);
    case 'U': return read_hex(p, 8, cp);
    case 't': *cp = '\t'; return VG_OK;
    case 'r': *cp = '\r'; return VG_OK;
    case 'n': *cp = '\n'; return VG_OK;
    default: break;
    }
    *cp = c;
    if (c > 0 && strchr(plain, c)) return VG_OK;
    p->at -= 2;
    return fail(p, VG_E_FORMAT, "an unknown escape");
}

static vg_status read_string(gbnf *p, gx **out)
{
    vg_buf text;
    vg_buf_init(&text, GX_TEXT_BYTES);
    vg_status st = VG_OK;
    for (p->at++; !st && peek(p, 0) != '"';) {
        int32_t cp = 0;
        st = read_char(p, &cp);
        if (!st) vg_buf_cp(&text, cp);
    }
    p->at++;
    if (!st && text.failed) st = gx_fail(p->b, text.failed, "no memory for a string");
    if (!st) *out = gx_text(p->b, (vg_str){text.data, text.n});
    vg_buf_clear(&text);
    return st ? st : p->b->failed;
}

/* The ranges between "[" and "]", as they stand there. */
static vg_status read_ranges(gbnf *p, vg_buf *out)
{
    while (peek(p, 0) != ']') {
        gx_range r;
        VG_TRY(read_char(p, &r.lo));
        r.hi = r.lo;
        if (peek(p, 0) == '-' && peek(p, 1) != ']') {
            p->at++;
            VG_TRY(read_char(p, &r.hi));
        }
        if (r.hi < r.lo) return fail(p, VG_E_FORMAT, "a range that ends before it begins");
        vg_buf_add(out, &r, sizeof r);
    }
    return out->failed ? gx_fail(p->b, out->failed, "no memory for a class") : VG_OK;
}

static vg_status read_class(gbnf *p, gx **out)
{
    vg_buf ranges;
    vg_buf_init(&ranges, GX_TEXT_BYTES * sizeof(gx_range));
    p->at++;
    bool inverted = peek(p, 0) == '^';
    p->at += inverted;
    vg_status st = read_ranges(p, &ranges);
    p->at++;
    size_t n = ranges.n / sizeof(gx_range);
    gx_range *r = st ? NULL : gx_array(p->b, 2 * n + 2, sizeof *r);
    if (r) {
        if (n) memcpy(r, ranges.data, n * sizeof *r);
        n = gx_ranges_tidy(r, n);
        *out = inverted ? gx_chars(p->b, r + n, gx_ranges_invert(r, n, r + n))
                        : gx_chars(p->b, r, n);
    }
    vg_buf_clear(&ranges);
    return st ? st : p->b->failed;
}

/* ---- expressions ----------------------------------------------------------------------------- */

static vg_status read_count(gbnf *p, int32_t *out)
{
    int64_t n = 0;
    if (peek(p, 0) < '0' || peek(p, 0) > '9') return fail(p, VG_E_FORMAT, "a number is expected");
    for (int c; (c = peek(p, 0)) >= '0' && c <= '9'; p->at++)
        n = VG_MIN(n * 10 + c - '0', INT32_MAX);
    if (n > GX_COUNT) return fail(p, VG_E_LIMIT, "a repetition of more than 200000");
    *out = (int32_t)n;
    return VG_OK;
}

static vg_status read_braces(gbnf *p, int32_t *min, int32_t *max)
{
    p->at++;
    skip_space(p, true);
    *min = 0;
    if (peek(p, 0) != ',') VG_TRY(read_count(p, min));
    skip_space(p, true);
    *max = *min;
    if (peek(p, 0) == ',') {
        p->at++;
        skip_space(p, true);
        *max = GX_MANY;
        if (peek(p, 0) != '}') VG_TRY(read_count(p, max));
        skip_space(p, true);
    }
    if (peek(p, 0) != '}') return fail(p, VG_E_FORMAT, "\"}\" is expected");
    if (*max != GX_MANY && *max < *min)
        return fail(p, VG_E_FORMAT, "a repetition that ends before it begins");
    p->at++;
    return VG_OK;
}

/* Any number of * + ? {m,n} behind *x. */
static vg_status read_repeats(gbnf *p, bool nested, gx **x)
{
    for (;;) {
        int32_t min = 0, max = GX_MANY;
        int c = peek(p, 0);
        if (c != '*' && c != '+' && c != '?' && c != '{') return VG_OK;
        if (c == '{') VG_TRY(read_braces(p, &min, &max));
        else p->at++;
        if (c == '+') min = 1;
        if (c == '?') max = 1;
        *x = gx_repeat(p->b, *x, min, max);
        if (!*x) return p->b->failed;
        skip_space(p, nested);
    }
}

/* %json and a JSON Schema: any JSON that fits it. */
static vg_status read_json(gbnf *p, gx **out)
{
    static const char word[] = "%json";
    size_t n = sizeof word - 1, depth = 0, at = p->at + n;
    if (p->text.n - p->at < n || memcmp(p->text.p + p->at, word, n) != 0)
        return fail(p, VG_E_FORMAT, "\"%json\" is expected");
    while (at < p->text.n && (p->text.p[at] == ' ' || p->text.p[at] == '\t')) at++;
    size_t from = at;
    bool in_text = false;
    for (; at < p->text.n; at++) {
        char c = p->text.p[at];
        if (in_text && c == '\\') at++;
        else if (c == '"') in_text = !in_text;
        else if (!in_text && (c == '{' || c == '[')) depth++;
        else if (!in_text && (c == '}' || c == ']') && (depth == 0 || --depth == 0)) break;
    }
    if (at >= p->text.n || p->text.p[from] != '{')
        return fail(p, VG_E_FORMAT, "a JSON Schema is expected");
    uint32_t rule;
    VG_TRY(gx_from_schema(p->b, (vg_str){p->text.p + from, at + 1 - from}, &rule));
    p->at = at + 1;
    *out = gx_ref(p->b, rule);
    return p->b->failed;
}

static vg_status read_alternatives(gbnf *p, bool nested, gx **out);

static vg_status read_item(gbnf *p, gx **out)
{
    static const gx_range any = {0, 0x10FFFF};
    int c = peek(p, 0);
    uint32_t rule;
    if (c == '"') return read_string(p, out);
    if (c == '[') return read_class(p, out);
    if (c == '%') return read_json(p, out);
    if (c == '<' || c == '!')
        return fail(p, VG_E_UNSUPPORTED, "references to tokens: write their text");
    if (c == '.') {
        p->at++;
        *out = gx_chars(p->b, &any, 1);
        return p->b->failed;
    }
    if (c == '(') {
        p->at++;
        skip_space(p, true);
        VG_TRY(read_alternatives(p, true, out));
        if (peek(p, 0) != ')') return fail(p, VG_E_FORMAT, "\")\" is expected");
        p->at++;
        return VG_OK;
    }
    VG_TRY(read_name(p, &rule));
    *out = gx_ref(p->b, rule);
    return p->b->failed;
}

static vg_status push(gbnf *p, gx *x)
{
    vg_err err;
    if (grow_array((void **)&p->item, &p->cap_items, p->n_items + 1, sizeof *p->item, &p->bytes,
                   &err))
        return gx_fail(p->b, err.code, "%s", err.msg);
    p->item[p->n_items++] = x;
    return VG_OK;
}

/* Whether a line break leads to a "|": then the rule goes on. */
static void skip_to_bar(gbnf *p)
{
    size_t from = p->at;
    skip_space(p, true);
    if (peek(p, 0) != '|') p->at = from;
}

static vg_status read_sequence(gbnf *p, bool nested, gx **out)
{
    size_t base = p->n_items;
    for (;;) {
        int c = peek(p, 0);
        if (c < 0 || c == '|' || c == ')' || c == '\n' || c == '\r') break;
        gx *x = NULL;
        VG_TRY(read_item(p, &x));
        skip_space(p, nested);
        VG_TRY(read_repeats(p, nested, &x));
        VG_TRY(push(p, x));
    }
    *out = gx_seq(p->b, p->item + base, p->n_items - base);
    p->n_items = base;
    return p->b->failed;
}

static vg_status read_alternatives(gbnf *p, bool nested, gx **out)
{
    size_t base = p->n_items;
    if (++p->depth > GX_DEPTH)
        return fail(p, VG_E_LIMIT, "groups nest more than 200 levels deep");
    for (;;) {
        gx *x = NULL;
        VG_TRY(read_sequence(p, nested, &x));
        VG_TRY(push(p, x));
        if (!nested) skip_to_bar(p);
        if (peek(p, 0) != '|') break;
        p->at++;
        skip_space(p, true);
    }
    *out = gx_alt(p->b, p->item + base, p->n_items - base);
    p->n_items = base;
    p->depth--;
    return p->b->failed;
}

static vg_status read_rule(gbnf *p)
{
    uint32_t rule;
    gx *body = NULL;
    VG_TRY(read_name(p, &rule));
    if (p->b->rule[rule].body) return fail(p, VG_E_FORMAT, "this rule is defined twice");
    skip_space(p, false);
    if (peek(p, 0) != ':' || peek(p, 1) != ':' || peek(p, 2) != '=')
        return fail(p, VG_E_FORMAT, "\"::=\" is expected");
    p->at += 3;
    skip_space(p, true);
    VG_TRY(read_alternatives(p, false, &body));
    gx_define(p->b, rule, body);
    int c = peek(p, 0);
    if (c >= 0 && c != '\n' && c != '\r') return fail(p, VG_E_FORMAT, "the rule's end is expected");
    skip_space(p, true);
    return VG_OK;
}

static vg_status read_rules(gbnf *p, uint32_t *root)
{
    skip_space(p, true);
    while (p->at < p->text.n) VG_TRY(read_rule(p));
    for (uint32_t r = 0; r < p->b->n_rules; r++)
        if (vg_str_is(p->b->rule[r].name, "root") && p->b->rule[r].body) {
            *root = r;
            return VG_OK;
        }
    return gx_fail(p->b, VG_E_FORMAT, "the grammar has no rule named root");
}

vg_status gx_from_gbnf(gx_builder *b, vg_str text, uint32_t *root)
{
    gbnf p = {.b = b, .text = text};
    vg_status st = read_rules(&p, root);
    vg_mem_free(p.slot);
    vg_mem_free(p.item);
    return st;
}
