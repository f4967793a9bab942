/* Options: one table a command, read by getopt_long, and printed as help, as the man page (scdoc
 * source) and as shell completions. Nothing else knows which options exist, so these can never
 * disagree. Wrong usage is told in one line with what is allowed, and ends with 2. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/cli.h"
#include "serve/config.h"

enum { MAX_OPTS = 64, OPTS_MAX_BYTES = 4096, FIRST_LONG = 256, HELP_COLUMNS = 80,
       SETTINGS_CAP_BYTES = 16 << 20 };

static const cli_opt help_opt = {"help", 'h', CLI_K_FLAG, 0, NULL, 0, 0, NULL,
                                 "print this help and exit"};

int cli_usage(const cli_command *cmd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "verge %s: ", cmd->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nTry 'verge %s --help'.\n", cmd->name);
    va_end(ap);
    return CLI_USAGE;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = choices; *c;) {
        size_t len = strcspn(c, "|");
        if (len == n && memcmp(c, text, n) == 0) return true;
        c += len + (c[len] == '|');
    }
    return false;
}

static int bad_value(const cli_command *cmd, const cli_opt *o, const char *text)
{
    if (o->choices)
        return cli_usage(cmd, "--%s: '%s' is none of %s", o->name, text, o->choices);
    const char *kind = o->kind == CLI_K_INT ? "a whole number" : "a number";
    return cli_usage(cmd, "--%s: '%s' is not %s from %.15g to %.15g", o->name, text, kind, o->min,
                     o->max);
}

/* Numbers that may be large end in K, M, B or G, T where people write them so: "7B", "400M". */
static double suffix(const cli_opt *o, char **end)
{
    static const char letters[] = "KMGT";
    char c = (char)(**end == 'k' ? 'K' : **end == 'B' ? 'G' : **end);
    const char *at = c && o->max >= 1e9 ? strchr(letters, c) : NULL;
    double factor = 1;
    if (!at) return factor;
    ++*end;
    for (const char *p = letters; p <= at; p++) factor *= 1000;
    return factor;
}

/* Stores one value; 0 or the exit code. */
static int store(const cli_command *cmd, const cli_opt *o, void *opts, const char *text)
{
    void *field = (char *)opts + o->offset;
    char *end = NULL;
    errno = 0;
    switch (o->kind) {
    case CLI_K_FLAG:
        *(bool *)field = true;
        return 0;
    case CLI_K_INT: {
        long long v = strtoll(text, &end, 10);
        double factor = end == text ? 1 : suffix(o, &end), whole = (double)v * factor;
        if (errno || end == text || *end || whole < o->min || whole > o->max)
            return bad_value(cmd, o, text);
        *(int64_t *)field = v * (int64_t)factor;
        return 0;
    }
    case CLI_K_FLOAT: {
        double v = strtod(text, &end);
        if (end != text) v *= suffix(o, &end);
        if (errno || end == text || *end || !(v >= o->min && v <= o->max))
            return bad_value(cmd, o, text);
        *(double *)field = v;
        return 0;
    }
    case CLI_K_TEXT:
        if (o->choices && !is_choice(o->choices, text)) return bad_value(cmd, o, text);
        *(const char **)field = text;
        return 0;
    case CLI_K_LIST: {
        cli_list *list = field;
        if (list->n == CLI_LIST_MAX)
            return cli_usage(cmd, "--%s: more than %d of them", o->name, CLI_LIST_MAX);
        list->item[list->n++] = text;
        return 0;
    }
    }
    return 0;
}

static void build_getopt(const cli_command *cmd, struct option *longs, char *shorts)
{
    char *s = shorts;
    for (size_t i = 0; i <= cmd->n_opts; i++) {
        const cli_opt *o = i < cmd->n_opts ? &cmd->opts[i] : &help_opt;
        int has_arg = o->kind == CLI_K_FLAG ? no_argument : required_argument;
        longs[i] = (struct option){o->name, has_arg, NULL, FIRST_LONG + (int)i};
        if (o->letter) {
            *s++ = o->letter;
            if (has_arg) *s++ = ':';
        }
    }
    *s = '\0';
}

static const cli_opt *find_opt(const cli_command *cmd, int got)
{
    if (got >= FIRST_LONG) {
        size_t i = (size_t)(got - FIRST_LONG);
        return i < cmd->n_opts ? &cmd->opts[i] : &help_opt;
    }
    for (size_t i = 0; i < cmd->n_opts; i++)
        if (cmd->opts[i].letter == got) return &cmd->opts[i];
    return got == 'h' ? &help_opt : NULL;
}

/* ---- a settings file ------------------------------------------------------------------------ */

static int take_setting(const cli_command *cmd, const vg_config *c, const vg_config_item *it,
                        vg_arena *a, void *opts)
{
    const cli_opt *o = NULL;
    const char *why = NULL, *value = vg_arena_text(a, it->value);
    for (size_t k = 0; k < cmd->n_opts; k++)
        if (vg_str_is(it->key, cmd->opts[k].name)) o = &cmd->opts[k];
    bool on = vg_str_is(it->value, "true"), off = vg_str_is(it->value, "false");
    if (it->section.n > 0 && !vg_str_is(it->section, cmd->name)) why = "no such section";
    else if (!o || vg_str_is(it->key, "config")) why = "no such setting";
    else if (it->again && o->kind != CLI_K_LIST) why = "it is set twice";
    else if (o->kind == CLI_K_FLAG && !on && !off) why = "it is true or false";
    else if (!value) why = "no memory";
    if (why) {
        vg_err err;
        vg_status st = vg_config_fail(c, it, &err, why);
        VG_UNUSED(st);
        return cli_usage(cmd, "%s", err.msg);
    }
    return off && o->kind == CLI_K_FLAG ? 0 : store(cmd, o, opts, value);
}

/* The file that the command line names by --config: what the line itself says comes after it, and
 * counts. */
static int read_settings(const cli_command *cmd, int argc, char **argv, vg_arena *a, void *opts)
{
    vg_config c;
    vg_err err;
    const char *path = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) path = argv[++i];
        else if (strncmp(argv[i], "--config=", 9) == 0) path = argv[i] + 9;
    }
    if (!path) return 0;
    if (vg_config_load(&c, a, path, &err)) return cli_fail(cmd, &err);
    int failed = 0;
    for (size_t i = 0; i < c.n && !failed; i++)
        failed = take_setting(cmd, &c, &c.item[i], a, opts);
    return failed;
}

static int parse_and_run(const cli_command *cmd, int argc, char **argv, vg_arena *a)
{
    struct option longs[MAX_OPTS + 2] = {{0}};
    char shorts[2 * MAX_OPTS + 4];
    static const max_align_t zeros[OPTS_MAX_BYTES / sizeof(max_align_t)];
    max_align_t opts[OPTS_MAX_BYTES / sizeof(max_align_t)];
    assert(cmd->n_opts <= MAX_OPTS && cmd->opts_bytes <= sizeof opts);
    memcpy(opts, cmd->defaults ? cmd->defaults : zeros, cmd->opts_bytes);
    build_getopt(cmd, longs, shorts);
    int unread = cmd->settings ? read_settings(cmd, argc, argv, a, opts) : 0;
    if (unread) return unread;
    for (int got; (got = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const cli_opt *o = find_opt(cmd, got);
        if (!o) { /* getopt has printed what is wrong */
            fprintf(stderr, "Try 'verge %s --help'.\n", cmd->name);
            return CLI_USAGE;
        }
        if (o == &help_opt) {
            cli_print_help(cmd);
            return cli_finish(cmd);
        }
        int failed = store(cmd, o, opts, optarg);
        if (failed) return failed;
    }
    int n_args = argc - optind;
    if (n_args < cmd->min_args) return cli_usage(cmd, "an argument is missing of %s", cmd->args);
    if (n_args > cmd->max_args)
        return cli_usage(cmd, "'%s' is one argument too many", argv[optind + cmd->max_args]);
    return cmd->run(cmd, opts, n_args, argv + optind);
}

int cli_run(const cli_command *cmd, int argc, char **argv)
{
    vg_err err;
    vg_arena *settings = NULL;
    if (cmd->settings && vg_arena_new(&settings, SETTINGS_CAP_BYTES, &err))
        return cli_fail(cmd, &err);
    char program[64], *own = argv[0];
    snprintf(program, sizeof program, "verge %s", cmd->name);
    argv[0] = program; /* how getopt names it in what it prints */
    int status = parse_and_run(cmd, argc, argv, settings);
    argv[0] = own;
    vg_arena_free(settings);
    return status;
}

/* ---- help ---------------------------------------------------------------------------------- */

/* Prints text broken between words before column 80, where lines after the first begin at `indent`.
 * A single line end is a blank, an empty line parts paragraphs. */
static void print_wrapped(const char *text, size_t indent)
{
    size_t column = indent;
    while (*text) {
        size_t blank = strspn(text, " \n"), n = strcspn(text + blank, " \n");
        bool paragraph = blank >= 2 && text[0] == '\n' && text[1] == '\n';
        if (paragraph) putchar('\n');
        if (paragraph || (column > indent && column + 1 + n > HELP_COLUMNS)) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)n, text + blank);
        column += n;
        text += blank + n;
    }
    putchar('\n');
}

static void print_opt(const cli_opt *o)
{
    char left[80];
    int n = o->letter ? snprintf(left, sizeof left, "-%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "    --%s", o->name);
    if (o->arg) snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
    if (strlen(left) > 26) printf("  %s\n  %-26s  ", left, "");
    else printf("  %-26s  ", left);
    print_wrapped(o->help, 30);
}

void cli_print_help(const cli_command *cmd)
{
    printf("Usage: verge %s [OPTION]... %s\n\n%c%s.\n", cmd->name, cmd->args,
           cmd->summary[0] & ~0x20, cmd->summary + 1);
    if (cmd->detail) {
        putchar('\n');
        print_wrapped(cmd->detail, 0);
    }
    printf("\nOptions:\n");
    for (size_t i = 0; i < cmd->n_opts; i++) print_opt(&cmd->opts[i]);
    print_opt(&help_opt);
}

void cli_print_commands(void)
{
    printf("Usage: verge COMMAND [OPTION]... [ARGUMENT]...\n\n"
           "Runs large language models on the device itself.\n\nCommands:\n");
    for (size_t i = 0; cli_commands[i]; i++)
        printf("  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    printf("\n'verge COMMAND --help' says more; 'verge --version' prints the version.\n"
           "Results go to stdout, talk and progress to stderr. Exit status: 0 done, 1 failed,\n"
           "2 wrong usage.\n");
}

/* ---- man page ------------------------------------------------------------------------------ */

/* scdoc gives meaning to these characters. */
static void print_scd(const char *s)
{
    for (; *s; s++) {
        if (strchr("*_\\#[]|~", *s)) putchar('\\');
        putchar(*s);
    }
}

static void print_scd_opt(const cli_opt *o)
{
    printf("*");
    if (o->letter) printf("-%c*, *", o->letter);
    printf("--");
    print_scd(o->name);
    printf("*");
    if (o->arg) {
        printf(" ");
        print_scd(o->arg);
    }
    printf("\n\t");
    print_scd(o->help);
    printf(".\n\n");
}

void cli_print_manual(void)
{
    printf("verge(1)\n\n# NAME\n\nverge - run large language models on the device itself\n\n"
           "# SYNOPSIS\n\n*verge* COMMAND \\[OPTION\\]... \\[ARGUMENT\\]...\n\n"
           "# DESCRIPTION\n\nResults go to stdout, talk and progress to stderr; *--json* prints "
           "them for machines. The exit status is 0 when done, 1 when failed, 2 for wrong "
           "usage.\n\n# COMMANDS\n\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *cmd = cli_commands[i];
        /* A heading is taken as it is, without escapes. */
        printf("## verge %s %s\n\n%c", cmd->name, cmd->args, cmd->summary[0] & ~0x20);
        print_scd(cmd->summary + 1);
        printf(".\n\n");
        if (cmd->detail) {
            print_scd(cmd->detail);
            printf("\n\n");
        }
        for (size_t k = 0; k < cmd->n_opts; k++) print_scd_opt(&cmd->opts[k]);
    }
}

/* ---- completions --------------------------------------------------------------------------- */

static bool is_two_words(const cli_command *cmd)
{
    return strchr(cmd->name, ' ') != NULL;
}

void cli_print_completion_bash(void)
{
    printf("# bash completion for verge, made by 'verge completion bash'\n"
           "_verge()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!is_two_words(cli_commands[i])) printf("%s ", cli_commands[i]->name);
    printf("--help --version\" -- \"$cur\"))\n        return\n    fi\n"
           "    local command=${COMP_WORDS[1]}\n");
    for (size_t i = 0; cli_commands[i]; i++)
        if (is_two_words(cli_commands[i]))
            printf("    [ \"$command ${COMP_WORDS[2]}\" = '%s' ] && command='%s'\n",
                   cli_commands[i]->name, cli_commands[i]->name);
    printf("    case \"$command $prev\" in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        for (size_t k = 0; k < cli_commands[i]->n_opts; k++) {
            const cli_opt *o = &cli_commands[i]->opts[k];
            if (!o->choices) continue;
            printf("    '%s --%s') COMPREPLY=($(compgen -W \"", cli_commands[i]->name, o->name);
            for (const char *c = o->choices; *c; c++) putchar(*c == '|' ? ' ' : *c);
            printf("\" -- \"$cur\")); return ;;\n");
        }
    printf("    esac\n    local words=\n    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        printf("    '%s') words='", cli_commands[i]->name);
        for (size_t k = 0; k < cli_commands[i]->n_opts; k++)
            printf("--%s ", cli_commands[i]->opts[k].name);
        printf("--help' ;;\n");
    }
    printf("    esac\n    case $cur in\n"
           "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\n"
           "complete -o filenames -F _verge verge\n");
}

static void print_zsh_text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'') printf("'\\''");
        else if (strchr("[]:", *s)) printf("\\%c", *s);
        else putchar(*s);
    }
}

static void print_zsh_opt(const cli_opt *o)
{
    printf(" \\\n            '%s--%s[", o->kind == CLI_K_LIST ? "*" : "", o->name);
    print_zsh_text(o->help);
    printf("]");
    if (o->choices) {
        printf(":value:(");
        for (const char *c = o->choices; *c; c++) putchar(*c == '|' ? ' ' : *c);
        printf(")");
    } else if (o->arg) {
        printf(":%s:%s", o->arg, strstr(o->arg, "FILE") ? "_files" : "");
    }
    printf("'");
}

void cli_print_completion_zsh(void)
{
    printf("#compdef verge\n# zsh completion for verge, made by 'verge completion zsh'\n"
           "_verge() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        if (is_two_words(cli_commands[i])) continue;
        printf("        '%s:", cli_commands[i]->name);
        print_zsh_text(cli_commands[i]->summary);
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
           "        return\n    fi\n    local command=$words[2]\n    shift words\n"
           "    (( CURRENT-- ))\n");
    for (size_t i = 0; cli_commands[i]; i++)
        if (is_two_words(cli_commands[i]))
            printf("    if [[ \"$command $words[2]\" == '%s' ]]; then\n        command='%s'\n"
                   "        shift words\n        (( CURRENT-- ))\n    fi\n", cli_commands[i]->name,
                   cli_commands[i]->name);
    printf("    case $command in\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const cli_command *cmd = cli_commands[i];
        printf("    '%s')\n        _arguments '--help[print help]'", cmd->name);
        for (size_t k = 0; k < cmd->n_opts; k++) print_zsh_opt(&cmd->opts[k]);
        printf(" \\\n            '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_verge \"$@\"\n");
}
