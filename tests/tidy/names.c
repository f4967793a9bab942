/* The rules about words that may only be written in certain files: allocation, printing, ending the
 * process, the environment, compiler extensions, instruction sets. A word counts wherever it is
 * code, in a macro too, but not as the name of a member. */
#include "tidy.h"

static const char *const alloc_names[] = {
    "malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup", "aligned_alloc",
    "posix_memalign", "memalign", "asprintf", "vasprintf", "getline", "getdelim", NULL};

static const char *const talk_names[] = {
    "exit", "_exit", "_Exit", "quick_exit", "abort", "printf", "vprintf", "puts", "putchar",
    "perror", "stdout", "stderr", NULL};

static const char *const extension_names[] = {
    "__attribute__", "__attribute", "__asm__", "__asm", "asm", "typeof", "__typeof__", "__typeof",
    "__extension__", "__auto_type", "__declspec", "__thread", "__int128", "__inline",
    "__restrict", "__label__", "_Pragma", "pragma", NULL};

static const char *const isa_prefixes[] = {
    "__AVX", "__SSE", "__SSSE", "__FMA__", "__F16C__", "__BMI", "__ARM_", "__arm__",
    "__aarch64__", "__x86_64__", "__i386__", "__wasm_simd", "__riscv", NULL};

static bool is_one_of(vg_str s, const char *const *list)
{
    for (; *list; list++)
        if (vg_str_is(s, *list)) return true;
    return false;
}

static bool has_prefix(vg_str s, const char *const *list)
{
    for (; *list; list++)
        if (vg_str_starts(s, vg_str_from(*list))) return true;
    return false;
}

static bool in_engine(const char *path)
{
    return tidy_starts(path, "src/base/") || tidy_starts(path, "src/kern/") ||
           tidy_starts(path, "src/device/") || tidy_starts(path, "src/model/") ||
           tidy_starts(path, "src/infer/");
}

static bool is_os_file(const char *path)
{
    return tidy_starts(path, "src/base/os") && tidy_ends(path, ".c");
}

static bool is_shim(const char *path)
{
    return tidy_starts(path, "src/kern/simd_") && tidy_ends(path, ".h");
}

static bool may_extend(const char *path)
{
    return strcmp(path, "src/base/base.h") == 0 || is_os_file(path) || is_shim(path) ||
           tidy_starts(path, "src/device/");
}

/* The public header has one attribute, for compilers that know it. */
static bool is_nodiscard(const tidy_source *s, size_t i)
{
    return strcmp(s->path, "include/verge.h") == 0 && i >= 1 && s->token[i].directive &&
           tidy_is(&s->token[i - 1], "VG_NODISCARD");
}

static void check_extension(const tidy_source *s, size_t i, tidy_findings *f)
{
    const tidy_token *t = &s->token[i];
    if (may_extend(s->path) || is_nodiscard(s, i)) return;
    bool name = t->kind == TIDY_NAME;
    if (name && tidy_is(t, "pragma") && !t->directive) return;
    if (name && (is_one_of(t->s, extension_names) || vg_str_starts(t->s, VG_STR("__builtin_"))))
        tidy_report(f, s->path, t->line, "%.*s: compiler extensions stand in base/base.h",
                    VG_STR_ARG(t->s));
    if (tidy_is(t, "(") && i + 1 < s->n_tokens && tidy_is(t + 1, "{"))
        tidy_report(f, s->path, t->line, "a statement expression");
}

static bool is_documented(vg_str docs, vg_str name)
{
    for (size_t i = 0; name.n && i + name.n <= docs.n; i++)
        if (memcmp(docs.p + i, name.p, name.n) == 0) return true;
    return false;
}

static void check_environment(const tidy_source *s, size_t i, vg_str docs, tidy_findings *f)
{
    const tidy_token *t = &s->token[i];
    bool library = tidy_starts(s->path, "src/");
    if (!library && !tidy_starts(s->path, "app/")) return;
    if (!tidy_is(t, "getenv") && !tidy_is(t, "secure_getenv") && !tidy_is(t, "environ")) return;
    if (!library && i + 2 < s->n_tokens && t[2].kind == TIDY_TEXT && t[2].s.n > 2 &&
        is_documented(docs, (vg_str){t[2].s.p + 1, t[2].s.n - 2}))
        return;
    tidy_report(f, s->path, t->line, library ? "the library reads the environment"
                                             : "an environment variable that no page names");
}

static void check_directive(const tidy_source *s, size_t i, tidy_findings *f)
{
    const tidy_token *t = &s->token[i];
    if (!tidy_is(t, "#") || !t->directive || i + 2 >= s->n_tokens) return;
    if (!tidy_is(t + 1, "if") && !tidy_is(t + 1, "ifdef") && !tidy_is(t + 1, "ifndef") &&
        !tidy_is(t + 1, "elif"))
        return;
    if (tidy_is(t + 2, "0")) tidy_report(f, s->path, t->line, "#if 0");
    if (strcmp(s->path, "src/kern/kern_pick.c") == 0 || is_os_file(s->path)) return;
    for (size_t j = i + 2; j < s->n_tokens && s->token[j].line == t->line; j++)
        if (has_prefix(s->token[j].s, isa_prefixes))
            tidy_report(f, s->path, t->line, "%.*s: instruction sets are chosen in kern_pick.c",
                        VG_STR_ARG(s->token[j].s));
}

/* True for the name of a member, and for the argument of the attribute format(printf, ...). */
static bool is_elsewhere(const tidy_source *s, size_t i)
{
    const tidy_token *t = &s->token[i];
    if (i < 2) return false;
    return tidy_is(t - 1, ".") || tidy_is(t - 1, "->") || tidy_is(t - 2, "format") ||
           (tidy_is(t - 1, "*") && tidy_is(t - 2, "("));
}

void tidy_check_names(const tidy_source *s, vg_str docs, tidy_findings *f)
{
    bool may_allocate = !in_engine(s->path) || strcmp(s->path, "src/base/arena.c") == 0;
    bool may_talk = !tidy_starts(s->path, "src/") && !tidy_starts(s->path, "include/");
    for (size_t i = 0; i < s->n_tokens; i++) {
        const tidy_token *t = &s->token[i];
        check_extension(s, i, f);
        check_directive(s, i, f);
        if (t->kind != TIDY_NAME || is_elsewhere(s, i)) continue;
        if (!may_allocate && is_one_of(t->s, alloc_names))
            tidy_report(f, s->path, t->line, "%.*s: the engine allocates in base/arena.c",
                        VG_STR_ARG(t->s));
        if (!may_talk && is_one_of(t->s, talk_names))
            tidy_report(f, s->path, t->line, "%.*s: only app/ and tests print or end the process",
                        VG_STR_ARG(t->s));
        check_environment(s, i, docs, f);
    }
}
