/* The style checker: holds the sources against the rules that docs/STYLE.md marks [T] and against
 * the layer table of docs/DESIGN.md, and prints FILE:LINE: rule for each break.
 *
 *     tidy ROOT DESIGN.md              exit status 1 where anything is found
 *     tidy ROOT DESIGN.md EXPECTED     1 where the findings are not the lines of EXPECTED
 *
 * It reads text, not C: a rule that needs types is left to the compiler. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tidy.h"

enum { MAX_BYTES = 512 << 20, MAX_FILES = 10000, MAX_FILE_BYTES = 8 << 20, MAX_DEPTH = 8 };

typedef struct checker {
    vg_arena *a, *scratch; /* the run; one file */
    const char *root;
    char **path; /* [n_paths], relative to the root */
    size_t n_paths;
    tidy_layers layers;
    tidy_findings found;
    vg_buf docs; /* README.md and docs/, where environment variables are named */
} checker;

void tidy_report(tidy_findings *f, const char *path, uint32_t line, const char *fmt, ...)
{
    if (f->n == TIDY_MAX_FINDINGS) return;
    tidy_finding *x = &f->item[f->n++];
    x->path = path;
    x->line = line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(x->text, sizeof x->text, fmt, args);
    va_end(args);
}

static vg_status read_file(vg_arena *a, const char *path, vg_str *out, vg_err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) return VG_FAIL(err, VG_E_NOT_FOUND, "cannot open %s", path);
    vg_status st = VG_OK;
    long n = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    rewind(file);
    char *p = n >= 0 && n <= MAX_FILE_BYTES ? vg_arena_alloc(a, (size_t)n + 1, 1) : NULL;
    if (!p) st = VG_FAIL(err, VG_E_LIMIT, "%s: no memory for %ld bytes", path, n);
    else if (fread(p, 1, (size_t)n, file) != (size_t)n)
        st = VG_FAIL(err, VG_E_IO, "cannot read %s", path);
    else *out = (vg_str){p, (size_t)n};
    fclose(file);
    return st;
}

static bool is_source(const char *path)
{
    return tidy_ends(path, ".c") || tidy_ends(path, ".h") || tidy_ends(path, ".inc") ||
           tidy_ends(path, ".def");
}

static bool is_page(const char *path)
{
    return tidy_ends(path, ".md");
}

/* Lists the files below `folder` that are wanted. The samples of broken rules are passed over. */
static void list(checker *c, const char *folder, bool (*wanted)(const char *), int depth)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", c->root, folder);
    DIR *d = depth < MAX_DEPTH ? opendir(path) : NULL;
    if (!d) return;
    for (struct dirent *e; (e = readdir(d)) && c->n_paths < MAX_FILES;) {
        if (e->d_name[0] == '.') continue;
        struct stat st;
        int n = snprintf(path, sizeof path, "%s/%s/%s", c->root, folder, e->d_name);
        if (n >= (int)sizeof path || stat(path, &st)) continue;
        char *name = vg_arena_text(c->a, vg_str_from(path + strlen(c->root) + 1));
        if (!name || strcmp(name, "tests/tidy/bad") == 0) continue;
        if (S_ISDIR(st.st_mode)) list(c, name, wanted, depth + 1);
        else if (wanted(name)) c->path[c->n_paths++] = name;
    }
    closedir(d);
}

static vg_status read_pages(checker *c, vg_err *err)
{
    list(c, "docs", is_page, 0);
    c->path[c->n_paths++] = vg_arena_text(c->a, VG_STR("README.md"));
    vg_buf_init(&c->docs, MAX_BYTES);
    for (size_t i = 0; i < c->n_paths; i++) {
        char path[4096];
        vg_str text;
        snprintf(path, sizeof path, "%s/%s", c->root, c->path[i]);
        if (read_file(c->a, path, &text, err) == VG_OK) vg_buf_str(&c->docs, text);
    }
    c->n_paths = 0;
    return vg_buf_check(&c->docs, "the pages", err);
}

static vg_status check_file(checker *c, const char *name, vg_err *err)
{
    char path[4096];
    vg_str text;
    tidy_source s;
    snprintf(path, sizeof path, "%s/%s", c->root, name);
    vg_arena_reset(c->scratch);
    VG_TRY(read_file(c->scratch, path, &text, err));
    VG_TRY(tidy_scan(&s, c->scratch, name, text, err));
    tidy_check_lines(&s, &c->found);
    tidy_check_comments(&s, &c->found);
    tidy_check_includes(&s, &c->layers, &c->found);
    tidy_check_names(&s, (vg_str){c->docs.data, c->docs.n}, &c->found);
    tidy_check_shape(&s, &c->found);
    return VG_OK;
}

static int by_place(const void *a, const void *b)
{
    const tidy_finding *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    if (order == 0) order = (x->line > y->line) - (x->line < y->line);
    return order ? order : strcmp(x->text, y->text);
}

static vg_status check_all(checker *c, const char *design, vg_err *err)
{
    static const char *const folders[] = {"include", "src", "app", "tests", "bench", "tools",
                                          "ports"};
    vg_str text;
    VG_TRY(vg_arena_new(&c->a, MAX_BYTES, err));
    VG_TRY(vg_arena_new(&c->scratch, MAX_BYTES, err));
    c->path = VG_ARENA_ARRAY(c->a, char *, MAX_FILES + 1);
    c->found.item = VG_ARENA_ARRAY(c->a, tidy_finding, TIDY_MAX_FINDINGS);
    if (!c->path || !c->found.item) return VG_FAIL_MEMORY(err, MAX_FILES);
    VG_TRY(read_file(c->a, design, &text, err));
    VG_TRY(tidy_read_layers(&c->layers, text, err));
    VG_TRY(read_pages(c, err));
    for (size_t i = 0; i < VG_COUNT(folders); i++) list(c, folders[i], is_source, 0);
    for (size_t i = 0; i < c->n_paths; i++) VG_TRY(check_file(c, c->path[i], err));
    qsort(c->found.item, c->found.n, sizeof *c->found.item, by_place);
    return VG_OK;
}

/* Prints the findings, or compares them with the lines of a file. */
static vg_status print(checker *c, const char *expected, vg_err *err)
{
    vg_buf out;
    vg_buf_init(&out, MAX_BYTES);
    for (size_t i = 0; i < c->found.n; i++)
        vg_buf_fmt(&out, "%s:%u: %s\n", c->found.item[i].path, c->found.item[i].line,
                   c->found.item[i].text);
    vg_status st = vg_buf_check(&out, "the findings", err);
    vg_str want = {0}, got = {out.data, out.n};
    if (!st && expected) st = read_file(c->a, expected, &want, err);
    if (!st && !vg_str_eq(got, want)) {
        if (got.n) fwrite(got.p, 1, got.n, stdout);
        st = VG_FAIL(err, VG_E_FORMAT, "%zu findings in %zu files%s%s", c->found.n, c->n_paths,
                     expected ? ", not those of " : "", expected ? expected : "");
    } else if (!st) {
        printf("tidy: %zu files, %zu findings, as expected\n", c->n_paths, c->found.n);
    }
    vg_buf_clear(&out);
    return st;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: tidy ROOT DESIGN.md [EXPECTED]\n");
        return 2;
    }
    vg_err err;
    checker c = {.root = argv[1]};
    vg_status st = check_all(&c, argv[2], &err);
    if (!st) st = print(&c, argc == 4 ? argv[3] : NULL, &err);
    if (st) fprintf(stderr, "tidy: %s\n", err.msg);
    vg_buf_clear(&c.docs);
    vg_arena_free(c.scratch);
    vg_arena_free(c.a);
    return st ? 1 : 0;
}
