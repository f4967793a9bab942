/* verge bench: measures how fast a model runs here, and how close that comes to what the machine
 * can do. Reads the options; bench.h is where the work is done. Ctrl-C ends the measuring, and what
 * was measured until then is printed all the same. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/bench.h"
#include "app/cli.h"
#include "base/os.h"

enum { TOKENS_MAX = 1 << 20, BATCH_MAX = 4096 };

static const char detail[] =
    "Without a MODEL the built-in one is measured. Prompts are prefilled at each length of -p,\n"
    "tokens are decoded at each depth of -d, by each number of sessions of -b at once.\n"
    "Speeds are medians of --repeat runs with their range; the times of a decoded token are\n"
    "percentiles over all runs, sampling included.\n"
    "\n"
    "The limit of a row is the longer of two times: that of reading the weights and the cache\n"
    "once at the measured bandwidth, and that of its multiplies and adds at the measured\n"
    "peak. Other programs that run at the same time make every number worse.\n"
    "\n"
    "Ctrl-C ends the measuring; what was measured is printed, and the exit status is 1.";

static const bench_opts defaults = {
    .prefill_text = "128,512", .depth_text = "0", .batch_text = "1", .decode = 64,
    .repeat = 3, .power = "/sys/class/powercap",
};

static const cli_opt opts[] = {
    CLI_TEXT("prefill", 'p', bench_opts, prefill_text, "N,...",
             "lengths of prompts; 0: none [128,512]"),
    CLI_INT("decode", 'n', bench_opts, decode, "N", 0, TOKENS_MAX,
            "tokens to decode; 0: none [64]"),
    CLI_TEXT("depth", 'd', bench_opts, depth_text, "N,...",
             "tokens in the context when decoding begins [0]"),
    CLI_TEXT("batch", 'b', bench_opts, batch_text, "N,...", "sessions that decode at once [1]"),
    CLI_INT("repeat", 'r', bench_opts, repeat, "N", 1, BENCH_REPEAT_MAX, "runs of each row [3]"),
    CLI_INT("threads", 't', bench_opts, threads, "N", 1, BENCH_THREADS_MAX,
            "threads [one for each fast core]"),
    CLI_FLAG("pin", 0, bench_opts, pin, "tie each thread but the first to a core of its own"),
    CLI_KV(bench_opts, kv, "type of the KV cache [the model's own, else q8]"),
    CLI_ISA(bench_opts, isa),
    CLI_FLAG("no-repack", 0, bench_opts, no_repack,
             "read the weights where the file has them; slower, and takes less memory"),
    CLI_FLAG("cold", 0, bench_opts, cold,
             "measure loading with the file out of the system's cache as well"),
    CLI_FLAG("limits", 0, bench_opts, limits, "measure the limits of this machine, and no model"),
    CLI_FLAG("no-limits", 0, bench_opts, no_limits, "do not measure the limits"),
    CLI_TEXT("plot", 0, bench_opts, plot, "FILE", "draw the results into an SVG file"),
    CLI_TEXT("powercap", 0, bench_opts, power, "DIR",
             "where the system has its energy counters [/sys/class/powercap]"),
    CLI_FLAG("json", 0, bench_opts, json, "print JSON"),
};

/* "128,512": numbers from min to max; a single 0 is an empty list where `none` is allowed. */
static vg_status read_list(const char *name, const char *text, uint32_t min, uint32_t max,
                           bool none, bench_list *out, vg_err *err)
{
    const char *p = text;
    if (none && strcmp(text, "0") == 0) return VG_OK;
    for (;;) {
        char *end = NULL;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (errno || end == p || *p == ' ' || v < (long)min || v > (long)max)
            return VG_FAIL(err, VG_E_USAGE, "--%s: '%s' is no list of numbers from %u to %u", name,
                           text, min, max);
        if (out->n == BENCH_LIST_MAX)
            return VG_FAIL(err, VG_E_USAGE, "--%s: more than %d numbers", name, BENCH_LIST_MAX);
        out->v[out->n++] = (uint32_t)v;
        if (!*end) return VG_OK;
        if (*end != ',')
            return VG_FAIL(err, VG_E_USAGE, "--%s: '%s' is no list of numbers", name, text);
        p = end + 1;
    }
}

static vg_status read_options(bench_opts *o, int n_args, char **args, vg_err *err)
{
    if (n_args > 0) o->model = args[0];
    VG_TRY(read_list("prefill", o->prefill_text, 1, TOKENS_MAX, true, &o->prefill, err));
    VG_TRY(read_list("depth", o->depth_text, 0, TOKENS_MAX, false, &o->depth, err));
    VG_TRY(read_list("batch", o->batch_text, 1, BATCH_MAX, false, &o->batch, err));
    if (o->prefill.n + o->depth.n * o->batch.n > BENCH_ROWS_MAX)
        return VG_FAIL(err, VG_E_USAGE, "more than %d rows to measure", BENCH_ROWS_MAX);
    if (o->plot) VG_TRY(cli_check_other(o->plot, o->model, err));
    if (o->limits && (o->model || o->plot))
        return VG_FAIL(err, VG_E_USAGE, "--limits measures no model, and draws nothing");
    if (o->limits && o->no_limits)
        return VG_FAIL(err, VG_E_USAGE, "--limits and --no-limits exclude each other");
    if (o->cold && !o->model)
        return VG_FAIL(err, VG_E_USAGE, "--cold needs a MODEL: the built-in one is in no file");
    return VG_OK;
}

static vg_status measure_limits(bench *b, uint32_t threads, bool all, vg_err *err)
{
    bench_progress(b, 0, 0, "measuring the limits of this machine");
    vg_status st = bench_limits(&b->limits, threads, all, b->opts, err);
    progress_end(&b->line);
    return st;
}

/* Rows that were measured are printed whatever happens after them. */
static vg_status print_results(const bench *b, vg_err *err)
{
    if (b->opts->json) VG_TRY(bench_print_json(b, err));
    else if (b->opts->limits) bench_print_limits(&b->limits);
    else bench_print_text(b);
    return b->opts->plot ? bench_plot(b, b->opts->plot, err) : VG_OK;
}

static vg_status measure(bench *b, vg_err *err)
{
    if (b->opts->limits)
        return measure_limits(b, b->opts->threads ? (uint32_t)b->opts->threads : vg_os_cores(),
                              true, err);
    vg_status st = bench_measure(b, err);
    bench_end(b); /* the memory is wanted for the limits */
    if (st == VG_E_CANCELLED) st = VG_OK; /* by a signal while loading, which `cancelled` tells */
    if (st || b->cancelled || b->opts->no_limits) return st;
    VG_TRY(measure_limits(b, b->threads, false, err));
    bench_judge(b);
    return VG_OK;
}

static int run(const cli_command *cmd, void *options, int n_args, char **args)
{
    bench_opts *o = options;
    vg_err err, print_err;
    vg_status st = read_options(o, n_args, args, &err);
    if (st) return cli_fail(cmd, &err);
    bench *b = vg_mem_new(sizeof *b);
    interrupt it;
    if (!b) st = VG_FAIL_MEMORY(&err, sizeof *b);
    if (!st) st = interrupt_begin(&it, &err);
    if (st) {
        vg_mem_free(b);
        return cli_fail(cmd, &err);
    }
    b->opts = o;
    b->it = &it;
    progress_begin(&b->line);
    bench_power_find(&b->power, o->power);
    st = measure(b, &err);
    bool any = b->n_rows > 0 || (!st && !b->cancelled);
    bool lost = any && print_results(b, &print_err);
    int status = st || b->cancelled ? CLI_FAILED : CLI_DONE;
    if (st) status = cli_fail(cmd, &err);
    else if (b->cancelled) fprintf(stderr, "verge bench: cancelled\n");
    if (lost) status = cli_fail(cmd, &print_err);
    interrupt_end(&it);
    vg_mem_free(b);
    int end = cli_finish(cmd);
    return status ? status : end;
}

const cli_command cmd_bench = {
    .name = "bench",
    .args = "[MODEL]",
    .min_args = 0,
    .max_args = 1,
    .summary = "measure how fast a model runs here",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(bench_opts),
    .defaults = &defaults,
    .run = run,
};
