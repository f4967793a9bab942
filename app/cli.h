/* cli.h: what every subcommand of the program shares: its description, its table of options (the
 * only source of the parser, --help, the man page and the shell completions), and how it ends.
 *
 *     typedef struct { bool json; int64_t ctx; const char *kv; } inspect_opts;
 *     static const cli_opt opts[] = {
 *         CLI_FLAG("json", 0, inspect_opts, json, "print JSON"),
 *         CLI_INT("ctx", 'c', inspect_opts, ctx, "N", 1, 1 << 20, "context length in tokens"),
 *     };
 *     static int run(const cli_command *cmd, void *o, int n_args, char **args);
 *     const cli_command cmd_inspect = {
 *         .name = "inspect", .args = "MODEL", .min_args = 1, .max_args = 1,
 *         .summary = "print what is in a model file", .opts = opts, .n_opts = VG_COUNT(opts),
 *         .opts_bytes = sizeof(inspect_opts), .run = run};
 */
#ifndef VG_CLI_H
#define VG_CLI_H

#include "base/base.h"

/* Ends of a program. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef enum cli_kind { CLI_K_FLAG, CLI_K_INT, CLI_K_FLOAT, CLI_K_TEXT, CLI_K_LIST } cli_kind;

enum { CLI_LIST_MAX = 64 };
/* An option that may be given several times. */
typedef struct cli_list {
    const char *item[CLI_LIST_MAX];
    size_t n;
} cli_list;

typedef struct cli_opt {
    const char *name; /* long name without dashes */
    char letter;      /* short name, 0: none */
    cli_kind kind;
    size_t offset;    /* of the field in the command's option struct */
    const char *arg;  /* how help names the value */
    double min, max;  /* INT and FLOAT: the range that is accepted */
    const char *choices; /* TEXT: "a|b|c", NULL: anything */
    const char *help; /* one sentence without a dot, the default in brackets */
} cli_opt;

#define CLI_FLAG(name, letter, type, field, help)                                                  \
    {name, letter, CLI_K_FLAG, offsetof(type, field), NULL, 0, 0, NULL, help}
#define CLI_INT(name, letter, type, field, arg, min, max, help) /* int64_t */                      \
    {name, letter, CLI_K_INT, offsetof(type, field), arg, min, max, NULL, help}
#define CLI_FLOAT(name, letter, type, field, arg, min, max, help) /* double */                     \
    {name, letter, CLI_K_FLOAT, offsetof(type, field), arg, min, max, NULL, help}
#define CLI_TEXT(name, letter, type, field, arg, help) /* const char * */                          \
    {name, letter, CLI_K_TEXT, offsetof(type, field), arg, 0, 0, NULL, help}
#define CLI_CHOICE(name, letter, type, field, choices, help) /* const char * */                    \
    {name, letter, CLI_K_TEXT, offsetof(type, field), choices, 0, 0, choices, help}
#define CLI_LIST(name, letter, type, field, arg, help) /* cli_list */                              \
    {name, letter, CLI_K_LIST, offsetof(type, field), arg, 0, 0, NULL, help}
/* Which kernels: the same words in every command. */
#define CLI_ISA(type, field)                                                                       \
    CLI_CHOICE("isa", 0, type, field, "c|avx2|avx512|neon|dotprod|i8mm",                           \
               "instruction set of the kernels [the best that the CPU has]")

/* The type of the KV cache: the same words in every command. */
#define CLI_KV(type, field, help) CLI_CHOICE("kv", 0, type, field, "q8|f16|f32", help)
vg_kv_type cli_kv_type(const char *word);   /* NULL: AUTO */
const char *cli_kv_word(vg_kv_type kv);     /* AUTO: that of 8-bit */

typedef struct cli_command cli_command;
struct cli_command {
    const char *name;
    const char *args; /* how usage names the positional arguments: "MODEL [TEXT|-]" */
    int min_args, max_args;
    const char *summary; /* half a sentence for the list of commands */
    const char *detail;  /* paragraphs for --help and the man page; NULL: none */
    const cli_opt *opts;
    size_t n_opts;
    size_t opts_bytes; /* of the option struct, at most CLI_OPTS_MAX */
    const void *defaults; /* an option struct; NULL: zeros */
    bool settings; /* its option --config names a file of lines `option = value` */
    int (*run)(const cli_command *cmd, void *opts, int n_args, char **args);
};

/* The commands in the order of the help, NULL at the end. */
extern const cli_command *const cli_commands[];

/* Parses argv[1..] by cmd's table, answers --help, and runs it. Returns the exit code. */
int cli_run(const cli_command *cmd, int argc, char **argv);

void cli_print_help(const cli_command *cmd); /* to stdout */
void cli_print_commands(void);
void cli_print_manual(void);                 /* scdoc source of the man page */
void cli_print_completion_bash(void);
void cli_print_completion_zsh(void);

/* "verge CMD: message" on stderr; returns CLI_FAILED, or CLI_USAGE with a hint at --help. */
int cli_fail(const cli_command *cmd, const vg_err *err);
int cli_usage(const cli_command *cmd, const char *fmt, ...) VG_PRINTF(2, 3);

/* The whole of a file, "-" being stdin, at most cap_bytes. */
VG_NODISCARD vg_status cli_read(const char *path, size_t cap_bytes, vg_text *out, vg_err *err);
/* Whether a file of that name may be written: USAGE for a folder, a device or no name at all, IO
 * where it is there and `force` is not given. */
VG_NODISCARD vg_status cli_check_new(const char *path, bool force, vg_err *err);
/* USAGE where writing `path` would take an input's place, by whatever name: that of a file (NULL,
 * "-": none), or of a file in a folder, where nothing but a new *.gguf may be written. */
VG_NODISCARD vg_status cli_check_other(const char *path, const char *input, vg_err *err);
/* Flushes stdout; a full disk or a closed pipe becomes an error instead of a silent success. */
int cli_finish(const cli_command *cmd);
/* Prints text with control characters replaced, so that a model file cannot drive a terminal. */
void cli_print_clean(const char *s, size_t n);
/* "1.5 GB" with decimal units, into buf. */
const char *cli_bytes(uint64_t bytes, char buf[32]);

/* What the program takes beside a model: its code as far as it runs, libraries, stacks. Measured
 * (Linux, x86-64, glibc), and a constant, so that a plan is the same each time. */
enum { CLI_PROGRAM_BYTES = 3700000 };

/* Opens the model of a command: a path, or NULL for the one inside the program. Shows progress on
 * a terminal's stderr when it takes long, unless `opts` (NULL: none) has a progress of its own. */
VG_NODISCARD vg_status cli_open_model(const char *path, const vg_model_opts *opts, vg_model **out,
                                      vg_err *err);
#endif
