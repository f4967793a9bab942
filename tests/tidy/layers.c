/* The rule about includes. The table that says which folder may include which is read out of
 * docs/DESIGN.md, so that the page and the check cannot disagree. A row is
 *
 *     | 4 | cache, ota | base and `verge.h`; never each other (written exceptions: ota -> kern) |
 *
 * What follows a semicolon is for the reader, but for the exceptions, each "folder -> folder" or
 * "folder -> folder/header.h". Every folder may include itself and verge.h. */
#include "tidy.h"

static vg_str trim(vg_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '`')) s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '`')) s.n--;
    return s;
}

/* The part of *rest before `end`, which is taken off with it. */
static vg_str cut(vg_str *rest, char end)
{
    const char *p = rest->n ? memchr(rest->p, end, rest->n) : NULL;
    vg_str part = {rest->p, p ? (size_t)(p - rest->p) : rest->n};
    size_t gone = part.n + (p != NULL);
    *rest = (vg_str){rest->p + gone, rest->n - gone};
    return part;
}

/* The next name of a list written as "kern, base and `verge.h`". */
static vg_str next_name(vg_str *rest)
{
    while (rest->n) {
        size_t n = 0;
        while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != ',') n++;
        vg_str name = trim((vg_str){rest->p, n});
        n += n < rest->n;
        *rest = (vg_str){rest->p + n, rest->n - n};
        if (name.n && !vg_str_is(name, "and")) return name;
    }
    return (vg_str){0};
}

static bool has_name(vg_str list, vg_str name)
{
    for (vg_str n = next_name(&list); n.n; n = next_name(&list))
        if (vg_str_eq(n, name)) return true;
    return false;
}

/* The exceptions of a row: what stands between "exceptions:" and the next ")". */
static vg_str exceptions_of(vg_str note)
{
    static const char word[] = "exceptions:";
    size_t n = sizeof word - 1;
    for (size_t i = 0; i + n <= note.n; i++)
        if (memcmp(note.p + i, word, n) == 0) {
            vg_str rest = {note.p + i + n, note.n - i - n};
            return cut(&rest, ')');
        }
    return (vg_str){0};
}

vg_status tidy_read_layers(tidy_layers *l, vg_str design, vg_err *err)
{
    *l = (tidy_layers){0};
    while (design.n) {
        vg_str line = cut(&design, '\n');
        if (line.n < 3 || line.p[0] != '|' || line.p[2] < '0' || line.p[2] > '9') continue;
        cut(&line, '|');
        cut(&line, '|');
        vg_str folders = cut(&line, '|'), note = cut(&line, '|'), all = note;
        vg_str allowed = cut(&note, ';');
        for (vg_str name = next_name(&folders); name.n; name = next_name(&folders)) {
            if (l->n == TIDY_MAX_FOLDERS) return VG_FAIL(err, VG_E_LIMIT, "too many folders");
            l->row[l->n].folder = name;
            l->row[l->n].allowed = allowed;
            l->row[l->n++].exceptions = exceptions_of(all);
        }
    }
    return l->n ? VG_OK : VG_FAIL(err, VG_E_FORMAT, "DESIGN.md has no table of layers");
}

static bool is_exception(vg_str list, vg_str folder, vg_str path)
{
    while (list.n) {
        vg_str item = cut(&list, ','), from = trim(cut(&item, '-'));
        if (item.n && item.p[0] == '>') item.p++, item.n--;
        vg_str to = trim(item);
        if (!vg_str_eq(from, folder)) continue;
        if (vg_str_eq(to, path)) return true;
        if (path.n > to.n && path.p[to.n] == '/' && vg_str_starts(path, to)) return true;
    }
    return false;
}

static vg_str folder_of(const char *path)
{
    vg_str rest = vg_str_from(tidy_starts(path, "src/") ? path + 4 : path);
    return cut(&rest, '/');
}

static bool ends(vg_str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

static void check_include(const tidy_source *s, const tidy_layers *l, vg_str path, uint32_t line,
                          tidy_findings *f)
{
    vg_str from = folder_of(s->path), rest = path, to = cut(&rest, '/');
    bool layered = tidy_starts(s->path, "src/") || tidy_starts(s->path, "app/");
    if (ends(path, ".c")) tidy_report(f, s->path, line, "includes a .c file");
    if (rest.n == 0 && !vg_str_is(path, "verge.h") && layered)
        tidy_report(f, s->path, line, "write \"folder/file.h\", not \"%.*s\"", VG_STR_ARG(path));
    if (rest.n == 0 || vg_str_eq(from, to)) return;
    if (ends(path, "_int.h") && !tidy_starts(s->path, "tests/"))
        tidy_report(f, s->path, line, "%.*s belongs to its own folder", VG_STR_ARG(path));
    if (!layered) return;
    for (size_t i = 0; i < l->n; i++) {
        if (!vg_str_eq(l->row[i].folder, from)) continue;
        if (has_name(l->row[i].allowed, to) || vg_str_is(trim(l->row[i].allowed), "all")) return;
        if (is_exception(l->row[i].exceptions, from, path)) return;
        tidy_report(f, s->path, line, "%.*s may not include %.*s (docs/DESIGN.md)",
                    VG_STR_ARG(from), VG_STR_ARG(path));
        return;
    }
    tidy_report(f, s->path, line, "docs/DESIGN.md does not say what %.*s may include",
                VG_STR_ARG(from));
}

void tidy_check_includes(const tidy_source *s, const tidy_layers *l, tidy_findings *f)
{
    for (size_t i = 0; i + 2 < s->n_tokens; i++) {
        const tidy_token *t = &s->token[i];
        if (!t->directive || !tidy_is(t, "#") || !tidy_is(t + 1, "include")) continue;
        if (t[2].kind != TIDY_TEXT || t[2].s.n < 2) continue;
        check_include(s, l, (vg_str){t[2].s.p + 1, t[2].s.n - 2}, t->line, f);
    }
}
