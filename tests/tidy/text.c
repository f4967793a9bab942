/* The rules about how a file looks: its length, its lines, the comment that opens it, and code that
 * was left in a comment. What is prose and what is code is a guess, and a careful one: a finding
 * that is none costs more trust than a line that slips through. */
#include <ctype.h>

#include "tidy.h"

enum {
    MAX_LINES = 800,
    MAX_COLUMNS = 100,
    MIN_OPENING = 3, /* lines of the comment that opens a .c file */
    MAX_OPENING = 15,
    EXAMPLE_INDENT = 5
};

static bool next_line(vg_str *rest, vg_str *line)
{
    if (rest->n == 0) return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    *line = (vg_str){rest->p, n};
    n += end != NULL;
    *rest = (vg_str){rest->p + n, rest->n - n};
    return true;
}

static size_t columns(vg_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* A table of numbers in a file of its own may be as long and wide as it is; functions may not. */
static bool is_table(const tidy_source *s)
{
    if (!tidy_ends(s->path, ".inc")) return false;
    for (size_t i = 0; i < s->n_tokens; i++)
        if (tidy_is(&s->token[i], "return") || tidy_is(&s->token[i], "for")) return false;
    return true;
}

void tidy_check_lines(const tidy_source *s, tidy_findings *f)
{
    vg_str rest = s->text, line;
    uint32_t n = 0;
    bool table = is_table(s);
    while (next_line(&rest, &line)) {
        n++;
        size_t wide = columns(line);
        if (wide > MAX_COLUMNS && !table)
            tidy_report(f, s->path, n, "%zu columns, at most %d", wide, MAX_COLUMNS);
        if (line.n && memchr(line.p, '\t', line.n)) tidy_report(f, s->path, n, "a tab");
        if (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\r'))
            tidy_report(f, s->path, n, "a trailing blank");
    }
    if (n > MAX_LINES && !table)
        tidy_report(f, s->path, n, "%u lines in a file, at most %d", n, MAX_LINES);
    if (s->text.n && s->text.p[s->text.n - 1] != '\n')
        tidy_report(f, s->path, n, "no newline at the end of the file");
}

/* The line of a comment without its stars and the blanks before them. */
static vg_str comment_line(vg_str line)
{
    size_t i = 0;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '/')) i++;
    while (i < line.n && (line.p[i] == '*' || line.p[i] == '/')) i++;
    vg_str s = {line.p + i, line.n - i};
    if (s.n >= 2 && memcmp(s.p + s.n - 2, "*/", 2) == 0) s.n -= 2;
    while (s.n && s.p[s.n - 1] == ' ') s.n--;
    return s;
}

static size_t indent(vg_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == ' ') n++;
    return n;
}

/* True for what stands before the "(" of a call or the "=" of an assignment: four words at most,
 * as in "static const char *x", of the characters that names, types and members are made of. */
static bool is_left_side(vg_str s)
{
    size_t words = 0;
    char before = ' ';
    for (size_t i = 0; i < s.n; before = s.p[i++]) {
        if (!strchr(" *_.->[]&+", s.p[i]) && !isalnum((unsigned char)s.p[i])) return false;
        words += s.p[i] != ' ' && before == ' ';
    }
    return words >= 1 && words <= 4;
}

static size_t find(vg_str s, char c)
{
    const char *p = memchr(s.p, c, s.n);
    return p ? (size_t)(p - s.p) : s.n;
}

/* Text that ends as a statement does, or begins as a line of the preprocessor does. Prose that
 * wraps after a semicolon is told apart by what stands before its first "(" or "=". */
static bool looks_like_code(vg_str s)
{
    size_t i = indent(s);
    vg_str t = {s.p + i, s.n - i};
    if (t.n < 2) return false;
    if (vg_str_starts(t, VG_STR("#include ")) || vg_str_starts(t, VG_STR("#define ")) ||
        vg_str_starts(t, VG_STR("#if")) || vg_str_starts(t, VG_STR("#endif")))
        return true;
    if (t.p[t.n - 1] == '{' && t.p[t.n - 2] == ')') return true;
    if (t.n >= 3 && memcmp(t.p + t.n - 3, ") {", 3) == 0) return true;
    if (t.p[t.n - 1] != ';') return false;
    if (vg_str_starts(t, VG_STR("return ")) || vg_str_is(t, "break;")) return true;
    size_t n = VG_MIN(find(t, '('), find(t, '='));
    bool call = n > 0 && n < t.n && t.p[n] == '(' && t.p[n - 1] != ' ' && t.p[t.n - 2] == ')';
    bool assignment = n < t.n && t.p[n] == '=';
    return (call || assignment) && is_left_side((vg_str){t.p, n});
}

static void check_opening(const tidy_source *s, tidy_findings *f)
{
    bool header = tidy_ends(s->path, ".h");
    if (!header && !tidy_ends(s->path, ".c")) return;
    if (s->n_comments == 0 || s->comment[0].s.p != s->text.p) {
        tidy_report(f, s->path, 1, "the file does not open with a comment");
        return;
    }
    uint32_t n = 0, n_example = 0;
    vg_str rest = s->comment[0].s, line;
    while (next_line(&rest, &line)) {
        n++;
        n_example += indent(comment_line(line)) >= EXAMPLE_INDENT;
    }
    if (header && n_example == 0)
        tidy_report(f, s->path, 1, "the header does not open with a usage example");
    bool product = tidy_starts(s->path, "src/") || tidy_starts(s->path, "app/");
    uint32_t least = product ? MIN_OPENING : 1; /* the name of a test says much */
    if (!header && (n < least || n > MAX_OPENING))
        tidy_report(f, s->path, 1, "the comment that opens the file has %u lines, not %u to %d", n,
                    least, MAX_OPENING);
}

void tidy_check_comments(const tidy_source *s, tidy_findings *f)
{
    check_opening(s, f);
    for (size_t i = 0; i < s->n_comments; i++) {
        if (s->comment[i].s.p == s->text.p) continue; /* its example is code on purpose */
        uint32_t n = s->comment[i].line;
        vg_str rest = s->comment[i].s, line;
        while (next_line(&rest, &line)) {
            vg_str t = comment_line(line);
            if (indent(t) < EXAMPLE_INDENT && looks_like_code(t))
                tidy_report(f, s->path, n, "code in a comment");
            n++;
        }
    }
}
