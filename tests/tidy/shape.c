/* The rules that need to know where a function or a declaration begins and ends: how long functions
 * and tables are, and that no variable outlives a call and can change. Statements at file scope are
 * found by counting braces; the preprocessor's lines are passed over. */
#include "tidy.h"

enum { MAX_FUNCTION = 60, MAX_LONG = 120 /* kernels, and tables such as a command's options */ };

typedef struct walker {
    const tidy_source *s;
    tidy_findings *f;
    size_t i; /* the token that comes next */
} walker;

/* The tokens of one declaration without what stands in braces. */
enum { MAX_DECLARATION = 256 };
typedef struct declaration {
    const tidy_token *t[MAX_DECLARATION];
    size_t n;
} declaration;

static const tidy_token *next(walker *w)
{
    while (w->i < w->s->n_tokens && w->s->token[w->i].directive) w->i++;
    return w->i < w->s->n_tokens ? &w->s->token[w->i++] : NULL;
}

static void add(declaration *d, const tidy_token *t)
{
    if (d->n < MAX_DECLARATION) d->t[d->n++] = t;
}

/* The index after the bracket that closes the one at i. */
static size_t past_bracket(const declaration *d, size_t i, const char *open, const char *close)
{
    size_t depth = 0;
    for (; i < d->n; i++) {
        if (tidy_is(d->t[i], open)) depth++;
        if (tidy_is(d->t[i], close) && --depth == 0) return i + 1;
    }
    return i;
}

static bool is_upper(vg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'a' && s.p[i] <= 'z') return false;
    return s.n > 0;
}

/* Leaves what says whether the variable is constant: no macros with arguments, no array sizes, no
 * initial value. */
static declaration declarator(const declaration *d)
{
    declaration out = {.n = 0};
    for (size_t i = 0; i < d->n;) {
        if (tidy_is(d->t[i], "=")) break;
        if (d->t[i]->kind == TIDY_NAME && is_upper(d->t[i]->s) && i + 1 < d->n &&
            tidy_is(d->t[i + 1], "(")) {
            i = past_bracket(d, i + 1, "(", ")");
        } else if (tidy_is(d->t[i], "[")) {
            i = past_bracket(d, i, "[", "]");
        } else {
            add(&out, d->t[i++]);
        }
    }
    return out;
}

static bool has(const declaration *d, size_t from, const char *word)
{
    for (size_t i = from; i < d->n; i++)
        if (tidy_is(d->t[i], word)) return true;
    return false;
}

static void check_variable(walker *w, const declaration *whole)
{
    declaration d = declarator(whole);
    if (d.n < 2 || has(&d, 0, "typedef") || has(&d, 0, "_Static_assert")) return;
    if (tidy_is(d.t[d.n - 1], "}")) return; /* a type alone */
    bool tag = tidy_is(d.t[0], "struct") || tidy_is(d.t[0], "union") || tidy_is(d.t[0], "enum");
    if (tag && d.n == 2) return;
    size_t star = 0;
    for (size_t i = 0; i < d.n; i++) {
        if (tidy_is(d.t[i], "(")) {
            if (i + 1 >= d.n || !tidy_is(d.t[i + 1], "*")) return; /* a function */
            star = i + 1;
            break; /* a pointer to a function */
        }
        if (tidy_is(d.t[i], "*")) star = i;
    }
    if (has(&d, star, "const")) return;
    tidy_report(w->f, w->s->path, whole->t[0]->line, "a variable that can change outlives a call");
}

/* The declaration that begins with `t` inside a function, without what stands in braces. */
static declaration take_declaration(walker *w, const tidy_token *t)
{
    declaration d = {.n = 0};
    size_t depth = 0;
    for (; t; t = next(w)) {
        if (tidy_is(t, "}")) depth--;
        if (depth == 0 && (tidy_is(t, ";") || tidy_is(t, "="))) break;
        if (depth == 0) add(&d, t);
        if (tidy_is(t, "{")) depth++;
    }
    return d;
}

/* Passes over the braces that were opened last, checks what is static inside, and returns the line
 * where they close. */
static uint32_t pass_braces(walker *w)
{
    uint32_t line = 0;
    size_t depth = 1;
    const tidy_token *t, *before = NULL;
    while (depth > 0 && (t = next(w))) {
        line = t->line;
        if (tidy_is(t, "{")) depth++;
        if (tidy_is(t, "}")) depth--;
        if (tidy_is(t, "static") && !(before && tidy_is(before, "["))) {
            size_t back = w->i;
            declaration d = take_declaration(w, t);
            w->i = back;
            check_variable(w, &d);
        }
        before = t;
    }
    return line;
}

static void check_length(walker *w, const declaration *d, uint32_t end, bool function)
{
    uint32_t begin = d->t[0]->line, n = end - begin + 1;
    uint32_t most = function && !tidy_starts(w->s->path, "src/kern/") ? MAX_FUNCTION : MAX_LONG;
    if (n > most)
        tidy_report(w->f, w->s->path, begin, "a %s of %u lines, at most %u",
                    function ? "function" : "table", n, most);
}

/* A brace at file scope: the body of a function, of a type, a table, or extern "C". */
static void enter_braces(walker *w, declaration *d)
{
    const tidy_token *before = d->n ? d->t[d->n - 1] : NULL;
    bool table = has(d, 0, "=");
    if (!before || before->kind == TIDY_TEXT) {
        d->n = 0;
        return;
    }
    bool function = !table && tidy_is(before, ")");
    uint32_t end = pass_braces(w);
    bool long_data = table && tidy_ends(w->s->path, ".inc");
    if ((function || table) && !long_data) check_length(w, d, end, function);
    if (function) d->n = 0;
    else if (!table) add(d, &(w->s->token[w->i - 1]));
}

/* True where a macro that stands alone at file scope, NAME(...), ends before `t`: it makes
 * functions or declarations and takes no semicolon. */
static bool ends_macro(const declaration *d, const tidy_token *t)
{
    if (d->n < 3 || d->t[0]->kind != TIDY_NAME || !is_upper(d->t[0]->s)) return false;
    return tidy_is(d->t[1], "(") && past_bracket(d, 1, "(", ")") == d->n &&
           tidy_is(d->t[d->n - 1], ")") && t->line > d->t[d->n - 1]->line;
}

void tidy_check_shape(const tidy_source *s, tidy_findings *f)
{
    /* A signal handler, and a function that stands in for malloc, have no other place to look. */
    bool may_change = (tidy_starts(s->path, "src/base/os") && tidy_ends(s->path, ".c")) ||
                      strcmp(s->path, "tests/fault.c") == 0;
    walker w = {.s = s, .f = f};
    declaration d = {.n = 0};
    const tidy_token *t;
    while ((t = next(&w))) {
        if (!tidy_is(t, "{") && ends_macro(&d, t)) d.n = 0;
        if (tidy_is(t, "{")) {
            enter_braces(&w, &d);
        } else if (tidy_is(t, ";")) {
            if (d.n && !may_change) check_variable(&w, &d);
            d.n = 0;
        } else if (d.n || !tidy_is(t, "}")) {
            add(&d, t);
        }
    }
}
