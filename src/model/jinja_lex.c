/* The lexer of chat templates: template text to tokens, as jinja2's lexer does under trim_blocks
 * and lstrip_blocks: line ends become \n, the last one is dropped, the first newline after a block
 * or comment is dropped, blanks between the start of a line and a block or comment are dropped, and
 * a minus sign strips all whitespace on its side. It knows tags, not their meaning.
 * All tokens are made at once: a template is small and bounded. */
#include "model/jinja_int.h"

enum { MAX_BRACKETS = 1000 };

typedef struct lexer {
    vg_jinja *j;
    const char *p, *end;
    uint32_t line;
    bool line_starts; /* the last match ended with a newline, or it is the beginning */
    vg_jtoken *tok;
    size_t n, cap;
    char bracket[MAX_BRACKETS]; /* the closing ones that are due */
    size_t n_brackets;
} lexer;

static const struct {
    char text[3];
    uint8_t op;
} operators[] = { /* longer ones first */
    {"//", VG_JOP_FLOORDIV}, {"**", VG_JOP_POW}, {"==", VG_JOP_EQ}, {"!=", VG_JOP_NE},
    {">=", VG_JOP_GE}, {"<=", VG_JOP_LE}, {"+", VG_JOP_ADD}, {"-", VG_JOP_SUB},
    {"*", VG_JOP_MUL}, {"/", VG_JOP_DIV}, {"%", VG_JOP_MOD}, {"~", VG_JOP_TILDE},
    {"[", VG_JOP_LBRACKET}, {"]", VG_JOP_RBRACKET}, {"(", VG_JOP_LPAREN}, {")", VG_JOP_RPAREN},
    {"{", VG_JOP_LBRACE}, {"}", VG_JOP_RBRACE}, {">", VG_JOP_GT}, {"<", VG_JOP_LT},
    {"=", VG_JOP_ASSIGN}, {".", VG_JOP_DOT}, {":", VG_JOP_COLON}, {"|", VG_JOP_PIPE},
    {",", VG_JOP_COMMA}, {";", VG_JOP_SEMICOLON}};

const char *vg_jop_text(unsigned op)
{
    if (op == VG_JOP_IN) return "in";
    if (op == VG_JOP_NOTIN) return "not in";
    for (size_t i = 0; i < VG_COUNT(operators); i++)
        if (operators[i].op == op) return operators[i].text;
    return "?";
}

static vg_status fail(lexer *x, const char *what)
{
    x->j->line = x->line;
    return VG_JFAIL(x->j, "%s", what);
}

static vg_status add(lexer *x, vg_jtoken t)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 256;
        vg_jtoken *tok = VG_ARENA_ARRAY(x->j->arena, vg_jtoken, cap);
        if (!tok) return vg_jfail_memory(x->j);
        if (x->n) memcpy(tok, x->tok, x->n * sizeof *tok);
        x->tok = tok;
        x->cap = cap;
    }
    x->tok[x->n++] = t;
    return VG_OK;
}

static vg_status add_simple(lexer *x, vg_jtok type)
{
    return add(x, (vg_jtoken){.type = (uint8_t)type, .line = x->line});
}

/* Moves on to `to`, counting lines. */
static void advance(lexer *x, const char *to)
{
    for (; x->p < to; x->p++) x->line += *x->p == '\n';
    x->line_starts = to[-1] == '\n';
}

static const char *skip_space(const lexer *x, const char *p)
{
    while (p < x->end) {
        int32_t cp;
        size_t len = vg_utf8_next(p, (size_t)(x->end - p), &cp);
        if (!vg_jcp_space(cp)) break;
        p += len;
    }
    return p;
}

static bool starts(const lexer *x, const char *p, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(x->end - p) >= n && memcmp(p, word, n) == 0;
}

/* Where the match of a closing tag at p ends, NULL if there is none: -%} takes the whitespace after
 * it, %} one newline (not for }}), +%} nothing. */
static const char *match_close(const lexer *x, const char *p, const char *tag, bool plus, bool trim)
{
    if (*p == '-' && starts(x, p + 1, tag)) return skip_space(x, p + 1 + strlen(tag));
    if (plus && *p == '+' && starts(x, p + 1, tag)) return p + 1 + strlen(tag);
    if (!starts(x, p, tag)) return NULL;
    p += strlen(tag);
    return trim && p < x->end && *p == '\n' ? p + 1 : p;
}

/* Template text up to `to`, where a tag with `sign` begins. */
static vg_status add_data(lexer *x, const char *to, char sign, bool variable)
{
    vg_str text = {x->p, (size_t)(to - x->p)};
    if (sign == '-') {
        text = vg_jtext_strip(text, false, true);
    } else if (sign != '+' && !variable) {
        size_t start = text.n;
        while (start > 0 && text.p[start - 1] != '\n') start--;
        vg_str rest = {text.p + start, text.n - start};
        if ((start > 0 || x->line_starts) && vg_jtext_strip(rest, false, true).n == 0)
            text.n = start;
    }
    vg_jtoken t = {.type = VG_JT_DATA, .line = x->line, .text = text};
    return text.n ? add(x, t) : VG_OK;
}

/* ---- inside a tag ------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits with single underscores between them; p is one past them. */
static const char *skip_digits(const lexer *x, const char *p)
{
    while (p < x->end && (is_digit(*p) || (*p == '_' && p + 1 < x->end && is_digit(p[1])))) p++;
    return p;
}

static const char *match_float(const lexer *x, const char *p)
{
    const char *q = skip_digits(x, p);
    bool fraction = q + 1 < x->end && *q == '.' && is_digit(q[1]);
    if (fraction) q = skip_digits(x, q + 1);
    if (q < x->end && (*q == 'e' || *q == 'E')) {
        const char *e = q + 1;
        if (e < x->end && (*e == '+' || *e == '-')) e++;
        if (e < x->end && is_digit(*e)) return skip_digits(x, e);
    }
    return fraction ? q : NULL;
}

static int digit_of(char c)
{
    if (is_digit(c)) return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return 99;
}

static const char *match_integer(const lexer *x, const char *p, int *base)
{
    static const struct {
        char letter;
        int base;
    } prefix[] = {{'b', 2}, {'o', 8}, {'x', 16}};
    for (size_t i = 0; i < VG_COUNT(prefix); i++) {
        if (*p != '0' || x->end - p < 3 || (p[1] | 0x20) != prefix[i].letter) continue;
        const char *q = p + 2;
        while (q < x->end) {
            const char *d = *q == '_' ? q + 1 : q;
            if (d == x->end || digit_of(*d) >= prefix[i].base) break;
            q = d + 1;
        }
        *base = prefix[i].base;
        if (q > p + 2) return q;
    }
    *base = 10;
    if (*p != '0') return skip_digits(x, p);
    while (p < x->end && (*p == '0' || (*p == '_' && p + 1 < x->end && p[1] == '0'))) p++;
    return p;
}

static vg_status add_number(lexer *x)
{
    vg_jtoken t = {.type = VG_JT_INT, .line = x->line, .text = {x->p, 0}};
    const char *end = x->p[-1] == '.' ? NULL : match_float(x, x->p);
    if (end) {
        char digits[512];
        size_t n = 0;
        for (const char *p = x->p; p < end && n < sizeof digits; p++)
            if (*p != '_') digits[n++] = *p;
        t.type = VG_JT_FLOAT;
        if (!vg_double_read((vg_str){digits, n}, &t.f)) return fail(x, "number too long");
    } else {
        int base;
        end = match_integer(x, x->p, &base);
        uint64_t v = 0;
        for (const char *p = base == 10 ? x->p : x->p + 2; p < end; p++) {
            if (*p == '_') continue;
            uint64_t d = (uint64_t)digit_of(*p), b = (uint64_t)base;
            if (v > ((uint64_t)INT64_MAX - d) / b) return fail(x, "integer of over 64 bits");
            v = v * b + d;
        }
        t.i = (int64_t)v;
    }
    t.text.n = (size_t)(end - x->p);
    advance(x, end);
    return add(x, t);
}

static bool is_name_char(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || is_digit(c) || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* A numeric escape of `n` digits at p; -1 where they are not there. */
static int64_t escape_digits(const char *p, const char *end, int n, int base)
{
    int64_t v = 0;
    for (int i = 0; i < n; i++) {
        if (p + i >= end || digit_of(p[i]) >= base) return -1;
        v = v * base + digit_of(p[i]);
    }
    return v;
}

/* One escape, p after the backslash; writes to *w and gives what follows, NULL if it is wrong.
 * Unknown escapes stay as they are, as in Python. No escape is longer than its source. */
static const char *unescape(const char *p, const char *end, char **w)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *plain = strchr(from, *p);
    if (*p && plain) {
        *(*w)++ = to[plain - from];
        return p + 1;
    }
    if (*p == '\n') return p + 1;
    if (*p == 'x' || *p == 'u' || *p == 'U') {
        int n = *p == 'x' ? 2 : *p == 'u' ? 4 : 8;
        int64_t cp = escape_digits(p + 1, end, n, 16);
        if (cp < 0 || cp > 0x10ffff) return NULL;
        if (cp >= 0xd800 && cp < 0xe000) cp = 0xfffd;
        *w += vg_utf8_put((int32_t)cp, *w);
        return p + 1 + n;
    }
    if (*p >= '0' && *p <= '7') {
        int n = 1;
        while (n < 3 && escape_digits(p, end, n + 1, 8) >= 0) n++;
        *w += vg_utf8_put((int32_t)escape_digits(p, end, n, 8), *w);
        return p + n;
    }
    if (*p == 'N') return NULL;
    *(*w)++ = '\\';
    return p;
}

static vg_status add_string(lexer *x)
{
    char quote = *x->p;
    const char *p = x->p + 1;
    while (p < x->end && *p != quote) p += *p == '\\' && p + 1 < x->end ? 2 : 1;
    if (p >= x->end) return fail(x, "a string has no end");
    vg_str raw = {x->p + 1, (size_t)(p - x->p - 1)};
    vg_jtoken t = {.type = VG_JT_STRING, .line = x->line, .text = raw};
    if (raw.n && memchr(raw.p, '\\', raw.n)) {
        char *text = vg_arena_alloc(x->j->arena, raw.n, 1), *w = text;
        if (!text) return vg_jfail_memory(x->j);
        for (const char *q = raw.p; q < p;) {
            if (*q != '\\') {
                *w++ = *q++;
                continue;
            }
            q = unescape(q + 1, p, &w);
            if (!q) return fail(x, "invalid escape in a string");
        }
        t.text = (vg_str){text, (size_t)(w - text)};
    }
    advance(x, p + 1);
    return add(x, t);
}

static vg_status track_bracket(lexer *x, uint8_t op)
{
    static const char open[] = "([{", close[] = ")]}";
    char c = vg_jop_text(op)[0];
    const char *o = strchr(open, c);
    if (o) {
        if (x->n_brackets == MAX_BRACKETS) return fail(x, "brackets nested over 1000 deep");
        x->bracket[x->n_brackets++] = close[o - open];
        return VG_OK;
    }
    if (!strchr(close, c)) return VG_OK;
    x->j->line = x->line;
    if (x->n_brackets == 0) return VG_JFAIL(x->j, "unexpected '%c'", c);
    char due = x->bracket[--x->n_brackets];
    return due == c ? VG_OK : VG_JFAIL(x->j, "unexpected '%c', expected '%c'", c, due);
}

static vg_status add_operator(lexer *x)
{
    for (size_t i = 0; i < VG_COUNT(operators); i++) {
        if (!starts(x, x->p, operators[i].text)) continue;
        VG_TRY(track_bracket(x, operators[i].op));
        vg_jtoken t = {.type = VG_JT_OP, .op = operators[i].op, .line = x->line};
        advance(x, x->p + strlen(operators[i].text));
        return add(x, t);
    }
    int32_t cp;
    size_t len = vg_utf8_next(x->p, (size_t)(x->end - x->p), &cp);
    x->j->line = x->line;
    return VG_JFAIL(x->j, "unexpected char '%.*s'", (int)len, x->p);
}

/* The tokens of {{ ... }} or {% ... %} with the closing one. */
static vg_status lex_tag(lexer *x, bool variable)
{
    VG_TRY(add_simple(x, variable ? VG_JT_VAR_BEGIN : VG_JT_BLOCK_BEGIN));
    while (x->p < x->end) {
        const char *close = NULL;
        if (x->n_brackets == 0)
            close = variable ? match_close(x, x->p, "}}", false, false)
                             : match_close(x, x->p, "%}", true, true);
        if (close) {
            VG_TRY(add_simple(x, variable ? VG_JT_VAR_END : VG_JT_BLOCK_END));
            advance(x, close);
            return VG_OK;
        }
        const char *text = skip_space(x, x->p);
        if (text > x->p) {
            advance(x, text);
        } else if (is_digit(*x->p)) {
            VG_TRY(add_number(x));
        } else if (is_name_char(*x->p)) {
            while (text < x->end && is_name_char(*text)) text++;
            vg_jtoken t = {VG_JT_NAME, 0, x->line, {x->p, (size_t)(text - x->p)}, 0, 0};
            VG_TRY(add(x, t));
            advance(x, text);
        } else if (*x->p == '"' || *x->p == '\'') {
            VG_TRY(add_string(x));
        } else {
            VG_TRY(add_operator(x));
        }
    }
    return VG_OK; /* the parser tells what is missing */
}

/* ---- outside of tags ---------------------------------------------------------------------- */

/* jinja2 does not miss the end of a comment that begins where the template ends. */
static vg_status skip_comment(lexer *x)
{
    if (x->p == x->end) return VG_OK;
    for (const char *p = x->p; p < x->end; p++) {
        const char *close = match_close(x, p, "#}", true, true);
        if (!close) continue;
        advance(x, close);
        return VG_OK;
    }
    return fail(x, "Missing end of comment tag");
}

/* "{% raw %}" at p: where its content begins, or NULL. */
static const char *match_raw(const lexer *x, const char *p)
{
    p += 2;
    if (p < x->end && (*p == '-' || *p == '+')) p++;
    p = skip_space(x, p);
    if (!starts(x, p, "raw")) return NULL;
    p = skip_space(x, p + 3);
    return p < x->end ? match_close(x, p, "%}", false, false) : NULL;
}

static vg_status lex_raw(lexer *x)
{
    if (x->p == x->end) return VG_OK;
    for (const char *p = x->p; p < x->end; p++) {
        if (!starts(x, p, "{%")) continue;
        char sign = p + 2 < x->end && (p[2] == '-' || p[2] == '+') ? p[2] : 0;
        const char *q = skip_space(x, p + 2 + (sign != 0));
        if (!starts(x, q, "endraw")) continue;
        q = skip_space(x, q + 6);
        const char *close = q < x->end ? match_close(x, q, "%}", true, true) : NULL;
        if (!close) continue;
        VG_TRY(add_data(x, p, sign, false));
        advance(x, close);
        return VG_OK;
    }
    return fail(x, "Missing end of raw directive");
}

static vg_status lex_root(lexer *x)
{
    while (x->p < x->end) {
        const char *p = x->p;
        while (p < x->end && !(starts(x, p, "{{") || starts(x, p, "{%") || starts(x, p, "{#"))) {
            const char *brace = memchr(p + 1, '{', (size_t)(x->end - p - 1));
            p = brace ? brace : x->end;
        }
        if (p == x->end) {
            vg_jtoken rest = {VG_JT_DATA, 0, x->line, {x->p, (size_t)(p - x->p)}, 0, 0};
            VG_TRY(add(x, rest));
            break;
        }
        char sign = p + 2 < x->end && (p[2] == '-' || p[2] == '+') ? p[2] : 0;
        const char *raw = p[1] == '%' ? match_raw(x, p) : NULL;
        VG_TRY(add_data(x, p, sign, p[1] == '{'));
        advance(x, raw ? raw : p + 2 + (sign != 0));
        if (raw) VG_TRY(lex_raw(x));
        else if (p[1] == '#') VG_TRY(skip_comment(x));
        else VG_TRY(lex_tag(x, p[1] == '{'));
    }
    return add_simple(x, VG_JT_EOF);
}

/* \r\n and \r become \n; one newline at the end goes. */
static vg_status normalise(vg_jinja *j, vg_str *source)
{
    char *text = vg_arena_text(j->arena, *source), *w = text;
    if (!text) return vg_jfail_memory(j);
    for (size_t i = 0; i < source->n; i++) {
        if (source->p[i] == '\r' && i + 1 < source->n && source->p[i + 1] == '\n') continue;
        *w++ = source->p[i] == '\r' ? '\n' : source->p[i];
    }
    if (w > text && w[-1] == '\n') w--;
    *source = (vg_str){text, (size_t)(w - text)};
    return VG_OK;
}

vg_status vg_jlex(vg_jinja *j, vg_str source, vg_jtoken **out)
{
    if (source.n > VG_J_SOURCE_BYTES)
        return VG_JFAIL(j, "the template is over its limit of %d bytes", VG_J_SOURCE_BYTES);
    VG_TRY(normalise(j, &source));
    lexer *x = VG_ARENA_NEW(j->arena, lexer);
    if (!x) return vg_jfail_memory(j);
    *x = (lexer){.j = j, .p = source.p, .end = source.p + source.n, .line = 1,
                 .line_starts = true};
    VG_TRY(lex_root(x));
    *out = x->tok;
    return VG_OK;
}
