/* Cuts C source into tokens and comments, enough for rules about style: names, numbers, quoted
 * texts and single signs, each with its line and whether the preprocessor reads it. Macros are not
 * expanded and includes not followed, since the rules are about what is written. */
#include "tidy.h"

typedef struct scanner {
    tidy_source *s;
    const char *p, *end;
    uint32_t line;
    bool directive, line_begins;
} scanner;

bool tidy_is(const tidy_token *t, const char *s)
{
    return vg_str_is(t->s, s);
}

bool tidy_starts(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

bool tidy_ends(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && memcmp(path + n - m, suffix, m) == 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool at(const scanner *c, const char *s)
{
    size_t n = strlen(s);
    return (size_t)(c->end - c->p) >= n && memcmp(c->p, s, n) == 0;
}

static void skip(scanner *c)
{
    if (*c->p == '\n') c->line++;
    c->p++;
}

static void take_comment(scanner *c)
{
    const char *begin = c->p;
    uint32_t line = c->line;
    bool block = at(c, "/*");
    c->p += 2;
    while (c->p < c->end && !(block ? at(c, "*/") : *c->p == '\n')) skip(c);
    if (block && c->p < c->end) c->p += 2;
    c->s->comment[c->s->n_comments++] =
        (tidy_comment){.s = {begin, (size_t)(c->p - begin)}, .line = line};
}

static tidy_kind take_token(scanner *c)
{
    char first = *c->p;
    if (is_letter(first)) {
        while (c->p < c->end && (is_letter(*c->p) || is_digit(*c->p))) c->p++;
        return TIDY_NAME;
    }
    if (is_digit(first)) {
        while (c->p < c->end && (is_letter(*c->p) || is_digit(*c->p) || *c->p == '.')) c->p++;
        return TIDY_NUMBER;
    }
    c->p++;
    if (first == '"' || first == '\'') {
        while (c->p < c->end && *c->p != first && *c->p != '\n')
            c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
        if (c->p < c->end) c->p++;
        return TIDY_TEXT;
    }
    if (first == '-' && c->p < c->end && *c->p == '>') c->p++;
    return TIDY_SIGN;
}

static void scan(scanner *c)
{
    while (c->p < c->end) {
        if (*c->p == '\n') {
            if (c->p == c->s->text.p || c->p[-1] != '\\') c->directive = false;
            c->line_begins = true;
            skip(c);
        } else if (*c->p == ' ' || *c->p == '\t' || *c->p == '\\' || *c->p == '\r') {
            c->p++;
        } else if (at(c, "/*") || at(c, "//")) {
            take_comment(c);
        } else {
            const char *begin = c->p;
            if (c->line_begins && *c->p == '#') c->directive = true;
            c->line_begins = false;
            tidy_kind kind = take_token(c);
            c->s->token[c->s->n_tokens++] = (tidy_token){.s = {begin, (size_t)(c->p - begin)},
                                                         .line = c->line,
                                                         .kind = kind,
                                                         .directive = c->directive};
        }
    }
}

vg_status tidy_scan(tidy_source *s, vg_arena *a, const char *path, vg_str text, vg_err *err)
{
    *s = (tidy_source){.path = path, .text = text};
    /* A token takes at least one byte, a comment two. */
    s->token = VG_ARENA_ARRAY(a, tidy_token, text.n + 1);
    s->comment = VG_ARENA_ARRAY(a, tidy_comment, text.n / 2 + 1);
    if (!s->token || !s->comment) return VG_FAIL_MEMORY(err, text.n * sizeof(tidy_token));
    scanner c = {.s = s, .p = text.p, .end = text.p + text.n, .line = 1, .line_begins = true};
    scan(&c);
    return VG_OK;
}
