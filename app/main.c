/* The program: a table of subcommands, and nothing else. Each command stands in its own file; what
 * joins the library's parts into one program happens in them. A new command is one line in this
 * table. */
#include <stdio.h>

#include "app/cli.h"

extern const cli_command cmd_bench, cmd_bench_serve, cmd_completion, cmd_compress, cmd_convert,
    cmd_embed, cmd_eval, cmd_inspect, cmd_plan, cmd_run, cmd_serve, cmd_template, cmd_tokenize;

const cli_command *const cli_commands[] = {
    &cmd_run,
    &cmd_serve,
    &cmd_inspect,
    &cmd_tokenize,
    &cmd_template,
    &cmd_embed,
    &cmd_bench,
    &cmd_bench_serve,
    &cmd_eval,
    &cmd_convert,
    &cmd_compress,
    &cmd_plan,
    &cmd_completion,
    NULL,
};

/* How many words of the command line name the command: 1, 2 for "bench serve", 0 for none. */
static int match(const cli_command *cmd, int argc, char **argv)
{
    const char *blank = strchr(cmd->name, ' ');
    size_t n = blank ? (size_t)(blank - cmd->name) : strlen(cmd->name);
    if (strncmp(argv[1], cmd->name, n) != 0 || argv[1][n]) return 0;
    if (!blank) return 1;
    return argc > 2 && strcmp(argv[2], blank + 1) == 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        fprintf(stderr, "verge: which command? Try 'verge --help'.\n");
        return CLI_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        cli_print_commands();
        return fflush(stdout) ? CLI_FAILED : CLI_DONE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("verge %s\n", vg_version());
        return fflush(stdout) ? CLI_FAILED : CLI_DONE;
    }
    const cli_command *found = NULL;
    int n_words = 0;
    for (size_t i = 0; cli_commands[i]; i++) {
        int n = match(cli_commands[i], argc, argv);
        if (n <= n_words) continue;
        found = cli_commands[i];
        n_words = n;
    }
    if (found) return cli_run(found, argc - n_words, argv + n_words);
    fprintf(stderr, "verge: there is no command '%s'. Try 'verge --help'.\n", name);
    return CLI_USAGE;
}
