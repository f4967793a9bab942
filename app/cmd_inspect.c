/* verge inspect: prints what is in a model file, what running it takes, and what is missing or odd
 * about it. It works on files that this build cannot run, on vocabularies and on headers of files
 * that were cut short; inspect.h is where the work is done. */
#include "app/cli.h"
#include "app/inspect.h"
#include "base/os.h"

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const inspect_opts *o = opts;
    vg_err err;
    inspect in;
    vg_file_guard();
    if (o->self_test) {
        bool ok = false;
        vg_status failed = inspect_self_test(n_args ? args[0] : NULL, o->json, &ok, &err);
        if (failed) return cli_fail(cmd, &err);
        int done = cli_finish(cmd);
        return done == CLI_DONE && !ok ? CLI_FAILED : done;
    }
    if (n_args == 0) return cli_usage(cmd, "which MODEL?");
    if (inspect_open(&in, args[0], o, &err)) return cli_fail(cmd, &err);
    vg_status st = VG_OK;
    if (o->json) st = inspect_print_json(&in, &err);
    else inspect_print_text(&in);
    bool bad = in.n_bad > 0;
    inspect_close(&in);
    if (st) return cli_fail(cmd, &err);
    int end = cli_finish(cmd);
    return end == CLI_DONE && bad ? CLI_FAILED : end;
}

static const cli_opt opts[] = {
    CLI_INT("ctx", 'c', inspect_opts, ctx, "N", 1, 1 << 24,
            "plan the memory for a context of N tokens [4096, or less where the model has less]"),
    CLI_KV(inspect_opts, kv, "plan for this type of KV cache [the model's own, else q8]"),
    CLI_FLAG("tensors", 't', inspect_opts, tensors, "list the tensors"),
    CLI_FLAG("check", 0, inspect_opts, check, "read all weights and look for NaN and infinity"),
    CLI_FLAG("self-test", 0, inspect_opts, self_test,
             "run the kernels that MODEL uses, or all, against plain C, and print nothing else"),
    CLI_FLAG("json", 0, inspect_opts, json, "print JSON, the tensors included"),
};

const cli_command cmd_inspect = {
    .name = "inspect",
    .args = "[MODEL]",
    .min_args = 0,
    .max_args = 1,
    .summary = "print what is in a model file and what running it takes",
    .detail = "MODEL is a GGUF file, or the first file of a split set. A model that this build\n"
              "cannot run is shown all the same. The exit status is 1 where --check finds NaN or\n"
              "infinity, --self-test a kernel that is wrong on this machine, or the file's header\n"
              "cannot be read. Only --self-test goes without a MODEL.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(inspect_opts),
    .run = run,
};
