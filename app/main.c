/* The program: a table of subcommands, and nothing else. Each command stands in its own file; what
 * joins the library's parts into one program happens in them. A new command is one line in this
 * table. */
#include <stdio.h>

#include "app/cli.h"

extern const cli_command cmd_bench, cmd_completion, cmd_compress, cmd_convert, cmd_eval,
    cmd_inspect, cmd_plan, cmd_run, cmd_template, cmd_tokenize;

const cli_command *const cli_commands[] = {
    &cmd_run,
    &cmd_inspect,
    &cmd_tokenize,
    &cmd_template,
    &cmd_bench,
    &cmd_eval,
    &cmd_convert,
    &cmd_compress,
    &cmd_plan,
    &cmd_completion,
    NULL,
};

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
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_run(cli_commands[i], argc - 1, argv + 1);
    fprintf(stderr, "verge: there is no command '%s'. Try 'verge --help'.\n", name);
    return CLI_USAGE;
}
