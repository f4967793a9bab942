/* The reader of settings files. A file is text that a person wrote in a hurry: every error says its
 * line and what is wrong there, and nothing is guessed. A line that is no setting, a quote that
 * does not end and a name with a strange character are errors, not comments. It knows no setting;
 * what a key means, and that it exists, is the caller's to say. */
#include "serve/config.h"

#include "base/os.h"

enum { MAX_BYTES = 1 << 20, MAX_ITEMS = 4096, MAX_LINE = 16384 };

typedef struct reader {
    vg_config *c;
    vg_arena *a;
    vg_err *err;
    vg_str section;
    uint32_t line;
    size_t cap;
} reader;

static vg_status fail(const reader *r, const char *what)
{
    return VG_FAIL(r->err, VG_E_FORMAT, "%s:%u: %s", r->c->name, r->line, what);
}

vg_status vg_config_fail(const vg_config *c, const vg_config_item *item, vg_err *err,
                         const char *why)
{
    return VG_FAIL(err, VG_E_FORMAT, "%s:%u: %.*s: %s", c->name, item->line, VG_STR_ARG(item->key),
                   why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static vg_str trim(vg_str s)
{
    while (s.n && is_blank(s.p[0])) s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1])) s.n--;
    return s;
}

static bool is_name(vg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !(c && strchr("-_.", c))) return false;
    }
    return s.n > 0;
}

/* What a quoted value says; `s` begins behind the first quote. */
static vg_status read_quoted(reader *r, vg_str s, vg_str *out)
{
    char *to = vg_arena_alloc(r->a, s.n + 1, 1);
    size_t n = 0, i = 0;
    if (!to) return VG_FAIL_MEMORY(r->err, s.n);
    for (; i < s.n && s.p[i] != '"'; i++) {
        char c = s.p[i];
        if (c == '\\') {
            if (++i == s.n) break;
            c = s.p[i];
            if (c == 'n') c = '\n';
            else if (c == 't') c = '\t';
            else if (c != '"' && c != '\\')
                return fail(r, "an escape other than \\\" \\\\ \\n \\t in a quoted value");
        }
        to[n++] = c;
    }
    if (i >= s.n) return fail(r, "a quoted value without its closing quote");
    vg_str rest = trim((vg_str){s.p + i + 1, s.n - i - 1});
    if (rest.n && rest.p[0] != '#') return fail(r, "something behind a quoted value");
    *out = (vg_str){to, n};
    return VG_OK;
}

static vg_status read_value(reader *r, vg_str s, vg_str *out)
{
    s = trim(s);
    if (s.n && s.p[0] == '"') return read_quoted(r, (vg_str){s.p + 1, s.n - 1}, out);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '#' && (i == 0 || is_blank(s.p[i - 1]))) s.n = i;
    *out = trim(s);
    return VG_OK;
}

static vg_status read_section(reader *r, vg_str s)
{
    if (s.p[s.n - 1] != ']') return fail(r, "a [section] without its closing bracket");
    vg_str name = trim((vg_str){s.p + 1, s.n - 2});
    if (!is_name(name)) return fail(r, "a section's name has letters, digits, '-', '_' and '.'");
    r->section = name;
    return VG_OK;
}

static vg_status read_setting(reader *r, vg_str s)
{
    vg_config *c = r->c;
    const char *eq = memchr(s.p, '=', s.n);
    if (!eq) return fail(r, "no setting: a line is 'key = value', '[section]' or '# comment'");
    vg_config_item item = {.section = r->section, .line = r->line};
    item.key = trim((vg_str){s.p, (size_t)(eq - s.p)});
    if (!is_name(item.key)) return fail(r, "a key has letters, digits, '-', '_' and '.'");
    VG_TRY(read_value(r, (vg_str){eq + 1, (size_t)(s.p + s.n - eq - 1)}, &item.value));
    if (c->n == r->cap)
        return VG_FAIL(r->err, VG_E_LIMIT, "%s: over %d settings", c->name, MAX_ITEMS);
    for (size_t i = 0; i < c->n && !item.again; i++)
        item.again =
            vg_str_eq(c->item[i].key, item.key) && vg_str_eq(c->item[i].section, item.section);
    c->item[c->n++] = item;
    return VG_OK;
}

static vg_status read_line(reader *r, vg_str line)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    if (line.n > MAX_LINE) return fail(r, "a line of over 16384 bytes");
    for (size_t i = 0; i < line.n; i++)
        if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7F)
            return fail(r, "a control character");
    if (vg_utf8_valid(line.p, line.n) != line.n) return fail(r, "not UTF-8");
    vg_str s = trim(line);
    if (s.n == 0 || s.p[0] == '#' || s.p[0] == ';') return VG_OK;
    return s.p[0] == '[' ? read_section(r, s) : read_setting(r, s);
}

vg_status vg_config_parse(vg_config *c, vg_arena *a, const char *name, vg_str text, vg_err *err)
{
    *c = (vg_config){.name = name};
    if (text.n > MAX_BYTES)
        return VG_FAIL(err, VG_E_LIMIT, "%s: over %d bytes for a settings file", name, MAX_BYTES);
    size_t n_lines = 1;
    for (size_t i = 0; i < text.n; i++) n_lines += text.p[i] == '\n';
    reader r = {.c = c, .a = a, .err = err, .cap = VG_MIN(n_lines, (size_t)MAX_ITEMS)};
    c->item = VG_ARENA_ARRAY(a, vg_config_item, r.cap);
    char *copy = vg_arena_text(a, text);
    if (!c->item || !copy) return VG_FAIL_MEMORY(err, text.n);
    vg_str rest = {copy, text.n};
    if (vg_str_starts(rest, VG_STR("\xEF\xBB\xBF"))) rest = (vg_str){rest.p + 3, rest.n - 3};
    while (rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        r.line++;
        VG_TRY(read_line(&r, (vg_str){rest.p, n}));
        n += end != NULL;
        rest = (vg_str){rest.p + n, rest.n - n};
    }
    return VG_OK;
}

vg_status vg_config_load(vg_config *c, vg_arena *a, const char *path, vg_err *err)
{
    vg_file f;
    VG_TRY(vg_file_map(&f, path, err));
    vg_str text = {(const char *)f.data, (size_t)VG_MIN(f.n, (uint64_t)MAX_BYTES + 1)};
    vg_status st = vg_config_parse(c, a, path, text, err);
    vg_file_unmap(&f);
    return st;
}
