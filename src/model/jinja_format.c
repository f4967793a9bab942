/* Formatting: "%05.1f" % x and "{:>10}".format(x), as Python has them. Both read their own
 * notation into one spec and share what prints it. Widths and precisions are bounded, since a few
 * bytes of a template could ask for any length. */
#include <math.h>
#include <stdio.h>

#include "model/jinja_int.h"

enum { MAX_PRECISION = 400, MAX_WIDTH = 1 << 20 };

typedef struct spec {
    vg_str fill;    /* one character */
    char align;     /* < > ^ =, 0: as the type has it */
    char sign;      /* '-', '+' or ' ' */
    bool alt, percent_style, markup; /* markup: the format is marked safe, so values are escaped */
    int64_t width, precision; /* -1: none */
    char group;     /* ',' or '_', 0: none */
    char type;      /* 0: none */
} spec;

/* Writes sign and digits, padded to the width. */
static vg_status put_padded(vg_jinja *j, const spec *s, vg_str sign, vg_str body, char align)
{
    size_t n = vg_jtext_count(sign) + vg_jtext_count(body);
    uint64_t missing = s->width > (int64_t)n ? (uint64_t)s->width - n : 0;
    char a = s->align ? s->align : align;
    uint64_t before = a == '>' ? missing : a == '^' ? missing / 2 : 0;
    uint64_t inside = a == '=' ? missing : 0;
    for (uint64_t i = 0; i < before; i++) vg_buf_str(&j->out, s->fill);
    vg_buf_str(&j->out, sign);
    for (uint64_t i = 0; i < inside; i++) vg_buf_str(&j->out, s->fill);
    vg_buf_str(&j->out, body);
    for (uint64_t i = before + inside; i < missing; i++) vg_buf_str(&j->out, s->fill);
    VG_TRY(vg_jcharge_bytes(j, n + missing));
    return vg_jout_check(j);
}

static vg_status format_text(vg_jinja *j, vg_str text, const spec *s)
{
    if (s->precision >= 0) text.n = vg_jtext_offset(text, (size_t)s->precision);
    return put_padded(j, s, VG_STR(""), text, s->percent_style ? '>' : '<');
}

static vg_str sign_of(bool negative, const spec *s)
{
    if (negative) return VG_STR("-");
    if (s->sign == '+') return VG_STR("+");
    return s->sign == ' ' ? VG_STR(" ") : VG_STR("");
}

/* Digits with a separator every `every` of them, counted from the point or the end. */
static size_t group_digits(const char *digits, size_t n, char group, size_t every, char *out)
{
    size_t whole = 0, w = 0;
    while (whole < n && digits[whole] != '.' && digits[whole] != 'e') whole++;
    for (size_t i = 0; i < n; i++) {
        if (group && i > 0 && i < whole && (whole - i) % every == 0) out[w++] = group;
        out[w++] = digits[i];
    }
    return w;
}

static vg_status format_int(vg_jinja *j, int64_t v, const spec *s)
{
    static const char digit[] = "0123456789abcdef";
    char raw[72], text[160], sign[8];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned base = s->type == 'b' ? 2 : s->type == 'o' ? 8 : (s->type | 0x20) == 'x' ? 16 : 10;
    size_t at = sizeof raw;
    do raw[--at] = digit[u % base];
    while ((u /= base) != 0);
    size_t n = sizeof raw - at;
    size_t w = group_digits(raw + at, n, s->group, base == 10 ? 3 : 4, text);
    vg_str lead = sign_of(v < 0, s);
    int len = snprintf(sign, sizeof sign, "%.*s", (int)lead.n, lead.p);
    if (s->alt && base != 10)
        len = snprintf(sign, sizeof sign, "%.*s0%c", (int)lead.n, lead.p, s->type);
    for (size_t i = 0; s->type == 'X' && i < w; i++)
        if (text[i] >= 'a' && text[i] <= 'f') text[i] = (char)(text[i] - 32);
    char padded[MAX_PRECISION + 160];
    size_t zeros = s->precision > (int64_t)n ? (size_t)s->precision - n : 0; /* %.5d */
    memset(padded, '0', zeros);
    memcpy(padded + zeros, text, w);
    return put_padded(j, s, (vg_str){sign, (size_t)len}, (vg_str){padded, zeros + w}, '>');
}

/* %g drops the zeros at the end; format() without a type keeps one digit after the point. */
static size_t keep_point(char *text, size_t n)
{
    if (memchr(text, '.', n) || memchr(text, 'e', n)) return n;
    text[n] = '.';
    text[n + 1] = '0';
    return n + 2;
}

static vg_status format_float(vg_jinja *j, double v, const spec *s)
{
    char raw[VG_DOUBLE_LONG_TEXT + 2], text[2 * VG_DOUBLE_LONG_TEXT];
    char type = (char)(s->type | 0x20);
    double size = fabs(v);
    int digits = s->precision < 0 ? 6 : (int)s->precision;
    size_t n, w;
    if (!isfinite(v)) {
        n = (size_t)snprintf(raw, sizeof raw, isnan(v) ? "nan" : "inf");
    } else if (!s->type && s->precision < 0) {
        n = vg_double_put(size, raw);
    } else if (s->type == '%') {
        n = vg_double_print(size * 100, 'f', digits, raw);
    } else if (!s->type) {
        n = keep_point(raw, vg_double_print(size, 'g', digits ? digits : 1, raw));
    } else {
        n = vg_double_print(size, type == 'n' ? 'g' : type, digits, raw);
    }
    w = group_digits(raw, n, s->group, 3, text);
    if (s->type == '%') text[w++] = '%';
    for (size_t i = 0; s->type && s->type < 'a' && i < w; i++)
        if (text[i] >= 'a' && text[i] <= 'z') text[i] = (char)(text[i] - 32);
    return put_padded(j, s, sign_of(signbit(v) && !isnan(v), s), (vg_str){text, w}, '>');
}

static vg_status format_char(vg_jinja *j, const vg_jval *v, const spec *s)
{
    char text[4];
    if (v->kind == VG_J_STR && vg_jtext_count(vg_jval_chars(v)) == 1)
        return format_text(j, vg_jval_chars(v), s);
    if (!vg_jval_is_int(v) || v->i < 0 || v->i > 0x10ffff || (v->i >= 0xd800 && v->i < 0xe000))
        return VG_JFAIL(j, "%%c requires int or char");
    return format_text(j, (vg_str){text, vg_utf8_put((int32_t)v->i, text)}, s);
}

/* ---- "%s" % x ------------------------------------------------------------------------------ */

typedef struct percent {
    vg_str fmt;
    bool markup;
    size_t i;
    const vg_jval *arg;
    size_t used; /* of a tuple's items */
} percent;

static vg_status next_arg(vg_jinja *j, percent *p, vg_jval *out)
{
    size_t n = p->arg->kind == VG_J_TUPLE ? p->arg->list->n : 1;
    if (p->used >= n) return VG_JFAIL(j, "not enough arguments for format string");
    *out = p->arg->kind == VG_J_TUPLE ? p->arg->list->item[p->used] : *p->arg;
    p->used++;
    return VG_OK;
}

static char peek(const percent *p)
{
    return p->i < p->fmt.n ? p->fmt.p[p->i] : '\0';
}

/* A number or '*'; *out stays as it is where there is neither. */
static vg_status percent_number(vg_jinja *j, percent *p, int64_t most, int64_t *out)
{
    vg_jval v;
    if (peek(p) == '*') {
        p->i++;
        VG_TRY(next_arg(j, p, &v));
        VG_TRY(vg_jval_want_int(j, &v, "*", out));
    } else if (peek(p) >= '0' && peek(p) <= '9') {
        for (*out = 0; peek(p) >= '0' && peek(p) <= '9' && *out <= most; p->i++)
            *out = *out * 10 + (peek(p) - '0');
    }
    return *out <= most ? VG_OK : VG_JFAIL(j, "a width or precision is over %lld", (long long)most);
}

/* "%(name)": the value of the mapping. */
static vg_status percent_name(vg_jinja *j, percent *p, vg_jval *out)
{
    size_t from = ++p->i;
    while (p->i < p->fmt.n && peek(p) != ')') p->i++;
    if (p->i == p->fmt.n) return VG_JFAIL(j, "incomplete format key");
    vg_str name = {p->fmt.p + from, p->i++ - from};
    if (p->arg->kind != VG_J_DICT) return VG_JFAIL(j, "format requires a mapping");
    vg_jval key = vg_jval_str(name);
    VG_TRY(vg_jdict_get(j, p->arg->dict, &key, out));
    return out->kind != VG_J_MISSING ? VG_OK : VG_JFAIL(j, "no key '%.*s'", VG_STR_ARG(name));
}

static vg_status percent_flags(vg_jinja *j, percent *p, spec *s)
{
    bool zero = false;
    for (char c; (c = peek(p)) != '\0' && strchr("#0- +", c); p->i++) {
        if (c == '#') s->alt = true;
        if (c == '0') zero = true;
        if (c == '-') s->align = '<';
        if (c == '+' || (c == ' ' && s->sign != '+')) s->sign = c;
    }
    VG_TRY(percent_number(j, p, MAX_WIDTH, &s->width));
    if (s->width < 0) {
        s->width = s->width < -MAX_WIDTH ? MAX_WIDTH : -s->width;
        s->align = '<';
    }
    if (peek(p) == '.') {
        p->i++;
        s->precision = 0;
        VG_TRY(percent_number(j, p, MAX_PRECISION, &s->precision));
        if (s->precision < 0) s->precision = 0;
    }
    while (peek(p) == 'l' || peek(p) == 'L' || peek(p) == 'h') p->i++;
    s->type = peek(p);
    bool number = s->type && strchr("diuoxXeEfFgG", s->type);
    if (zero && !s->align && number) {
        s->align = '=';
        s->fill = VG_STR("0");
    }
    return VG_OK;
}

static vg_status percent_value(vg_jinja *j, const vg_jval *v, spec *s)
{
    vg_jval text;
    size_t from = j->out.n;
    switch (s->type) {
    case 's':
        VG_TRY(vg_jval_text(j, v, &text));
        if (s->markup) VG_TRY(vg_jval_escape(j, &text, &text));
        return format_text(j, vg_jval_chars(&text), s);
    case 'r':
    case 'a':
        VG_TRY(vg_jval_repr(j, v));
        VG_TRY(vg_jstr_capture(j, from, &text));
        if (s->markup) VG_TRY(vg_jval_escape(j, &text, &text));
        return format_text(j, vg_jval_chars(&text), s);
    case 'c':
        return format_char(j, v, s);
    case 'd':
    case 'i':
    case 'u':
        if (!vg_jval_is_number(v))
            return VG_JFAIL(j, "%%%c format: a real number is required, not %s", s->type,
                            vg_jval_type(v));
        s->type = 'd';
        if (v->kind == VG_J_FLOAT && !(fabs(v->f) < 9e18))
            return VG_JFAIL(j, "cannot convert this float to a 64-bit integer");
        return format_int(j, v->kind == VG_J_FLOAT ? (int64_t)v->f : v->i, s);
    case 'o':
    case 'x':
    case 'X':
        if (!vg_jval_is_int(v))
            return VG_JFAIL(j, "%%%c format: an integer is required, not %s", s->type,
                            vg_jval_type(v));
        return format_int(j, v->i, s);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (!vg_jval_is_number(v))
            return VG_JFAIL(j, "must be real number, not %s", vg_jval_type(v));
        return format_float(j, vg_jval_double(v), s);
    default:
        return VG_JFAIL(j, "unsupported format character '%c'", s->type ? s->type : '?');
    }
}

static vg_status percent_one(vg_jinja *j, percent *p)
{
    spec s = {.fill = VG_STR(" "), .precision = -1, .percent_style = true, .markup = p->markup};
    vg_jval v = {0};
    if (peek(p) == '(') VG_TRY(percent_name(j, p, &v));
    VG_TRY(percent_flags(j, p, &s));
    if (!s.type) return VG_JFAIL(j, "incomplete format");
    p->i++;
    if (s.type == '%') {
        vg_buf_char(&j->out, '%');
        return VG_OK;
    }
    if (v.kind == VG_J_MISSING) VG_TRY(next_arg(j, p, &v));
    else p->used = 1;
    return percent_value(j, &v, &s);
}

vg_status vg_jformat_percent(vg_jinja *j, const vg_jval *fmt, const vg_jval *arg, vg_jval *out)
{
    percent p = {.fmt = vg_jval_chars(fmt), .markup = fmt->markup, .arg = arg};
    size_t from = j->out.n;
    while (p.i < p.fmt.n) {
        const char *at = p.fmt.p + p.i, *next = memchr(at, '%', p.fmt.n - p.i);
        size_t n = next ? (size_t)(next - at) : p.fmt.n - p.i;
        VG_TRY(vg_jcharge_bytes(j, n));
        vg_buf_add(&j->out, at, n);
        p.i += n + (next != NULL);
        if (next) VG_TRY(percent_one(j, &p));
    }
    bool mapping = arg->kind == VG_J_DICT || arg->kind == VG_J_LIST;
    size_t given = arg->kind == VG_J_TUPLE ? arg->list->n : 1;
    if (p.used < given && !mapping)
        return VG_JFAIL(j, "not all arguments converted during string formatting");
    VG_TRY(vg_jstr_capture(j, from, out));
    out->markup = fmt->markup;
    return VG_OK;
}

/* ---- "{}".format(x) -------------------------------------------------------------------------- */

typedef struct braces {
    const vg_jargs *args;
    size_t next; /* automatic numbering */
    bool numbered, automatic;
} braces;

static vg_status read_spec(vg_jinja *j, vg_str text, spec *s)
{
    size_t i = 0;
    *s = (spec){.fill = VG_STR(" "), .precision = -1};
    int32_t cp;
    size_t len = text.n ? vg_utf8_next(text.p, text.n, &cp) : 0;
    bool filled = len && len < text.n && text.p[len] && strchr("<>=^", text.p[len]);
    if (filled) {
        s->fill = (vg_str){text.p, len};
        s->align = text.p[len];
        i = len + 1;
    } else if (text.n && text.p[0] && strchr("<>=^", text.p[0])) {
        s->align = text.p[i++];
    }
    if (i < text.n && text.p[i] && strchr("+- ", text.p[i])) s->sign = text.p[i++];
    if (i < text.n && text.p[i] == '#') s->alt = text.p[i++] == '#';
    if (i < text.n && text.p[i] == '0') {
        i++;
        if (!s->align) s->align = '0'; /* = for numbers, < for strings */
        if (!filled) s->fill = VG_STR("0");
    }
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && s->width <= MAX_WIDTH; i++)
        s->width = s->width * 10 + (text.p[i] - '0');
    if (i < text.n && (text.p[i] == ',' || text.p[i] == '_')) s->group = text.p[i++];
    if (i + 1 < text.n && text.p[i] == '.' && text.p[i + 1] >= '0' && text.p[i + 1] <= '9') {
        s->precision = 0;
        for (i++;
             i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && s->precision <= MAX_PRECISION;
             i++)
            s->precision = s->precision * 10 + (text.p[i] - '0');
    }
    if (s->width > MAX_WIDTH || s->precision > MAX_PRECISION)
        return VG_JFAIL(j, "a width or precision is over its limit");
    if (i < text.n) s->type = text.p[i++];
    return i == text.n ? VG_OK : VG_JFAIL(j, "Invalid format specifier");
}

static vg_status format_value(vg_jinja *j, const vg_jval *v, vg_str text)
{
    spec s;
    if (text.n == 0) return vg_jval_print(j, v);
    VG_TRY(read_spec(j, text, &s));
    bool number = vg_jval_is_number(v);
    if (s.align == '0') s.align = number ? '=' : '<';
    if (v->kind == VG_J_STR) {
        if (s.align == '=' || s.sign || s.group || (s.type && s.type != 's'))
            return VG_JFAIL(j, "this format is not for a string");
        return format_text(j, vg_jval_chars(v), &s);
    }
    if (!number)
        return VG_JFAIL(j, "unsupported format string passed to %s.__format__", vg_jval_type(v));
    bool as_float = v->kind == VG_J_FLOAT || (s.type && strchr("eEfFgG%", s.type));
    if (as_float) {
        if (s.type && !strchr("eEfFgGn%", s.type))
            return VG_JFAIL(j, "Unknown format code '%c' for object of type 'float'", s.type);
        return format_float(j, vg_jval_double(v), &s);
    }
    if (s.type == 'c') return format_char(j, v, &s);
    if (s.type && !strchr("bdoxXn", s.type))
        return VG_JFAIL(j, "Unknown format code '%c' for object of type 'int'", s.type);
    if (s.precision >= 0) return VG_JFAIL(j, "Precision not allowed in integer format specifier");
    return format_int(j, v->i, &s);
}

/* "name", "0", "" and what follows: ".attr" and "[key]". */
static vg_status lookup_field(vg_jinja *j, braces *b, vg_str field, vg_jval *out)
{
    size_t n = 0;
    bool digits = true;
    while (n < field.n && field.p[n] != '.' && field.p[n] != '[') {
        digits = digits && field.p[n] >= '0' && field.p[n] <= '9';
        n++;
    }
    if (digits) {
        size_t index = n ? 0 : b->next++;
        for (size_t i = 0; i < n && index < 1000; i++)
            index = index * 10 + (size_t)(field.p[i] - '0');
        b->numbered = b->numbered || n;
        b->automatic = b->automatic || !n;
        if (b->numbered && b->automatic)
            return VG_JFAIL(j, "cannot mix automatic and manual field numbering");
        if (index >= b->args->n_pos) return VG_JFAIL(j, "format has no argument %zu", index);
        *out = b->args->pos[index];
    } else {
        size_t k = 0;
        while (k < b->args->n_key && !vg_str_eq(b->args->key[k], (vg_str){field.p, n})) k++;
        if (k == b->args->n_key)
            return VG_JFAIL(j, "format has no argument '%.*s'", (int)n, field.p);
        *out = b->args->val[k];
    }
    while (n < field.n) {
        bool item = field.p[n++] == '[';
        size_t from = n;
        while (n < field.n && (item ? field.p[n] != ']' : field.p[n] != '.' && field.p[n] != '['))
            n++;
        vg_str name = {field.p + from, n - from};
        vg_jval on = *out, key = vg_jval_str(name);
        double index;
        n += item;
        if (item && name.n && name.n < 10 && strspn(name.p, "0123456789") >= name.n &&
            vg_double_read(name, &index))
            key = vg_jval_int((int64_t)index);
        if (item) VG_TRY(vg_jval_item(j, &on, &key, out));
        else VG_TRY(vg_jval_attr(j, &on, name, out));
    }
    return VG_OK;
}

static vg_status expand(vg_jinja *j, braces *b, vg_str fmt, int level);

/* The text between braces: field, !conversion, :spec. */
static vg_status put_field(vg_jinja *j, braces *b, vg_str text, int level)
{
    size_t end = 0, from = j->out.n;
    int inside = 0;
    for (; end < text.n; end++) {
        inside += (text.p[end] == '[') - (text.p[end] == ']');
        if (!inside && (text.p[end] == '!' || text.p[end] == ':')) break;
    }
    vg_str field = {text.p, end};
    char conversion = 0;
    if (end + 1 < text.n && text.p[end] == '!') {
        conversion = text.p[end + 1];
        end += 2;
        if (!strchr("sra", conversion)) return VG_JFAIL(j, "Unknown conversion specifier");
    }
    if (end < text.n && text.p[end] != ':') return VG_JFAIL(j, "expected ':' after conversion");
    vg_jval v, spec_text = vg_jval_str(VG_STR(""));
    VG_TRY(lookup_field(j, b, field, &v));
    if (conversion == 's') VG_TRY(vg_jval_text(j, &v, &v));
    if (conversion == 'r' || conversion == 'a') {
        VG_TRY(vg_jval_repr(j, &v));
        VG_TRY(vg_jstr_capture(j, from, &v));
    }
    if (end < text.n) {
        VG_TRY(expand(j, b, (vg_str){text.p + end + 1, text.n - end - 1}, level + 1));
        VG_TRY(vg_jstr_capture(j, from, &spec_text));
    }
    return format_value(j, &v, vg_jval_chars(&spec_text));
}

/* A spec may hold fields itself, one level deep. */
static vg_status expand(vg_jinja *j, braces *b, vg_str fmt, int level)
{
    if (level > 1) return VG_JFAIL(j, "Max string recursion exceeded");
    for (size_t i = 0; i < fmt.n; i++) {
        char c = fmt.p[i];
        bool twice = i + 1 < fmt.n && fmt.p[i + 1] == c;
        VG_TRY(vg_jcharge_bytes(j, 1));
        if ((c != '{' && c != '}') || twice) {
            vg_buf_char(&j->out, c);
            i += twice && (c == '{' || c == '}');
            continue;
        }
        if (c == '}') return VG_JFAIL(j, "Single '}' encountered in format string");
        size_t from = ++i;
        for (int open = 1; i < fmt.n; i++) {
            open += (fmt.p[i] == '{') - (fmt.p[i] == '}');
            if (open == 0) break;
        }
        if (i >= fmt.n) return VG_JFAIL(j, "expected '}' before end of string");
        VG_TRY(put_field(j, b, (vg_str){fmt.p + from, i - from}, level));
    }
    return vg_jout_check(j);
}

vg_status vg_jformat_braces(vg_jinja *j, vg_str fmt, const vg_jargs *args, vg_jval *out)
{
    braces b = {.args = args};
    size_t from = j->out.n;
    VG_TRY(expand(j, &b, fmt, 0));
    return vg_jstr_capture(j, from, out);
}
