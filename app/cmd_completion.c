/* verge completion: prints the shell completions, and the man page's source, from the tables of
 * options, so that they always say what the parser does. The build calls it to make what gets
 * installed. */
#include <stdio.h>

#include "app/cli.h"

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    VG_UNUSED(opts);
    VG_UNUSED(n_args);
    if (strcmp(args[0], "bash") == 0) cli_print_completion_bash();
    else if (strcmp(args[0], "zsh") == 0) cli_print_completion_zsh();
    else if (strcmp(args[0], "man") == 0) cli_print_manual();
    else return cli_usage(cmd, "'%s' is none of bash, zsh, man", args[0]);
    return cli_finish(cmd);
}

const cli_command cmd_completion = {
    .name = "completion",
    .args = "bash|zsh|man",
    .min_args = 1,
    .max_args = 1,
    .summary = "print shell completions or the man page's source",
    .detail = "To use it at once:  . <(verge completion bash)",
    .run = run,
};
