/* verge bench serve: puts load on a server of OpenAI's API, ours or another, and tells how it
 * bears it. Reads the options; bench_serve.h is where the work is done. Ctrl-C ends the measuring,
 * and what was measured until then is printed all the same. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/bench_serve.h"
#include "app/cli.h"

enum {
    SOURCE_CAP_BYTES = 256 << 20, TOKENS_MAX = 1 << 20, WORDS_MAX = 1 << 20, REQUESTS_MAX = 1 << 30
};

static const char detail[] =
    "URL is http://HOST:PORT of any server that speaks OpenAI's API, or unix:/PATH; answers are\n"
    "streamed. TLS is not measured. Each level of --streams is a closed loop: so many clients,\n"
    "each sending its next request when the last one is answered. With --rate it is an open\n"
    "loop: requests arrive at random (a Poisson process), whether the server keeps up or not,\n"
    "and times begin when a request was due.\n"
    "\n"
    "Prompts are words drawn by --seed, each different, the same for every server; answers have\n"
    "the length of --tokens where the server knows ignore_eos. Two runs of one server want two\n"
    "seeds, since its cache may know the prompts. A line of --prompts is\n"
    "{\"prompt\": TEXT, \"max_tokens\": N}.\n"
    "\n"
    "The time between tokens is that between two events with text; where a server sends several\n"
    "tokens in one event it is longer. Tokens a second count what the server's usage says, from\n"
    "the first request to the end of the last. The exit status is 1 when a request failed.";

static const bench_serve_opts defaults = {
    .streams_text = "1,4,16", .api = "chat", .words_text = "75", .tokens_text = "64", .seed = 1,
    .in_flight = 512, .timeout = 300,
};

static const cli_opt opts[] = {
    CLI_TEXT("streams", 'n', bench_serve_opts, streams_text, "N,...",
             "clients at once, a level each [1,4,16]"),
    CLI_TEXT("rate", 'r', bench_serve_opts, rate_text, "R,...",
             "requests that arrive in a second, a level each, instead of --streams"),
    CLI_INT("in-flight", 0, bench_serve_opts, in_flight, "N", 1, BENCH_STREAMS_MAX,
            "with --rate: drop what arrives while so many are under way [512]"),
    CLI_INT("requests", 0, bench_serve_opts, requests, "N", 1, REQUESTS_MAX,
            "requests of each level [4 a stream; 64 with --rate]"),
    CLI_FLOAT("seconds", 0, bench_serve_opts, seconds, "S", 0.1, 1e7,
              "send requests for so long, each level"),
    CLI_CHOICE("api", 0, bench_serve_opts, api, "chat|completions", "which route [chat]"),
    CLI_TEXT("model", 'm', bench_serve_opts, model, "NAME",
             "the model to ask for [the first that the server lists]"),
    CLI_TEXT("key", 0, bench_serve_opts, key, "KEY", "API key, sent as bearer token"),
    CLI_TEXT("words", 'w', bench_serve_opts, words_text, "N|N-M", "words of a prompt [75]"),
    CLI_TEXT("tokens", 't', bench_serve_opts, tokens_text, "N|N-M", "tokens of an answer [64]"),
    CLI_TEXT("text", 'f', bench_serve_opts, text, "FILE", "cut the prompts from this text"),
    CLI_TEXT("prompts", 0, bench_serve_opts, prompts, "FILE", "prompts, a JSON object a line"),
    CLI_INT("shared-prefix", 0, bench_serve_opts, shared, "N", 0, WORDS_MAX,
            "words that stand before all prompts, for chat as a system message [0]"),
    CLI_INT("seed", 's', bench_serve_opts, seed, "N", 0, INT64_MAX / 1024, "of the load [1]"),
    CLI_FLAG("no-ignore-eos", 0, bench_serve_opts, no_ignore_eos,
             "let answers end where the model ends them"),
    CLI_FLOAT("cancel", 0, bench_serve_opts, cancel, "P", 0, 1,
              "share of the requests that is cancelled, at any of its tokens [0]"),
    CLI_INT("idle", 0, bench_serve_opts, idle, "N", 0, BENCH_IDLE_MAX,
            "connections held open and idle meanwhile [0]"),
    CLI_INT("pid", 0, bench_serve_opts, pid, "PID", 1, INT32_MAX,
            "the server's process here, whose memory is told"),
    CLI_FLOAT("timeout", 0, bench_serve_opts, timeout, "S", 0.01, 1e6,
              "an answer that is silent for so long has failed [300]"),
    CLI_FLOAT("every", 0, bench_serve_opts, every, "S", 0.1, 1e6,
              "print a line of figures to stderr so often"),
    CLI_TEXT("name", 0, bench_serve_opts, name, "NAME", "of this result in plots [the model's]"),
    CLI_TEXT("plot", 0, bench_serve_opts, plot, "FILE",
             "draw latency against throughput into an SVG file"),
    CLI_TEXT("compare", 0, bench_serve_opts, compare, "FILE,...",
             "results of --json to draw as well; without a URL these alone"),
    CLI_FLAG("json", 0, bench_serve_opts, json, "print JSON"),
};

/* ---- options -------------------------------------------------------------------------------- */

/* "1,4,16" into numbers from min to max. */
static vg_status read_levels(bench_serve *b, const char *name, const char *text, double min,
                             double max, double *out, vg_err *err)
{
    const char *p = text;
    for (b->n_levels = 0;;) {
        char *end = NULL;
        double v = strtod(p, &end);
        if (end == p || !(v >= min && v <= max) || (*end && *end != ','))
            return VG_FAIL(err, VG_E_USAGE, "--%s: '%s' is no list of numbers from %g to %g", name,
                           text, min, max);
        if (b->n_levels == BENCH_LEVELS_MAX)
            return VG_FAIL(err, VG_E_USAGE, "--%s: more than %d numbers", name, BENCH_LEVELS_MAX);
        out[b->n_levels++] = v;
        if (!*end) return VG_OK;
        p = end + 1;
    }
}

static vg_status read_options(bench_serve *b, vg_err *err)
{
    const bench_serve_opts *o = b->opts;
    double streams[BENCH_LEVELS_MAX];
    b->target.chat = strcmp(o->api, "chat") == 0;
    b->target.key = o->key;
    b->target.model = o->model;
    b->target.usage = true;
    b->target.ignore_eos = !o->no_ignore_eos;
    if (!o->url && !o->compare)
        return VG_FAIL(err, VG_E_USAGE, "which server? Give its URL, or --compare with --plot");
    if (o->compare && !o->plot)
        return VG_FAIL(err, VG_E_USAGE, "--compare draws: it wants --plot FILE");
    if (o->prompts && o->text)
        return VG_FAIL(err, VG_E_USAGE, "--prompts and --text exclude each other");
    if (o->key && strpbrk(o->key, "\r\n"))
        return VG_FAIL(err, VG_E_USAGE, "--key: a key has no line ends");
    VG_TRY(bench_range_read("words", o->words_text, WORDS_MAX, &b->load.words, err));
    VG_TRY(bench_range_read("tokens", o->tokens_text, TOKENS_MAX, &b->load.tokens, err));
    if (o->rate_text) return read_levels(b, "rate", o->rate_text, 1e-4, 1e5, b->rate, err);
    VG_TRY(read_levels(b, "streams", o->streams_text, 1, BENCH_STREAMS_MAX, streams, err));
    for (size_t i = 0; i < b->n_levels; i++) b->streams[i] = (uint32_t)streams[i];
    return VG_OK;
}

/* ---- idle connections ------------------------------------------------------------------------ */

static void allow_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r)) return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

/* Opens --idle connections, each of which has had an answer, and sees what the server takes for
 * them. */
static vg_status open_idle(bench_serve *b, int *fd, vg_err *err)
{
    uint64_t before = 0, after = 0, pss;
    const bench_serve_opts *o = b->opts;
    vg_status st = VG_OK;
    if (o->pid > 0) bench_process_memory(o->pid, &before, &pss);
    for (int64_t i = 0; !st && i < o->idle; i++) {
        progress_show(&b->line, &(progress_now){.stage = "idle connections", .done = (uint64_t)i,
                                                .total = (uint64_t)o->idle});
        st = bench_target_hold(&b->target, o->timeout, b->it, &fd[i], err);
        if (!st) b->n_idle_open++;
        else st = vg_err_context(err, st, "idle connection %lld", (long long)i + 1);
    }
    progress_end(&b->line);
    if (o->pid > 0) bench_process_memory(o->pid, &after, &pss);
    b->idle_bytes = after > before ? after - before : 0;
    return st;
}

/* ---- results -------------------------------------------------------------------------------- */

/* The curves of --compare, after that of this run. */
static vg_status plot(const bench_serve *b, vg_err *err)
{
    bench_curve *curve = vg_mem_new(BENCH_RESULTS_MAX * sizeof *curve);
    size_t n = 0;
    vg_status st = curve ? VG_OK : VG_FAIL_MEMORY(err, BENCH_RESULTS_MAX * sizeof *curve);
    if (!st && b->n_run) bench_serve_curve(b, &curve[n++]);
    for (const char *p = b->opts->compare; !st && p && *p;) {
        char path[4096];
        size_t len = strcspn(p, ",");
        if (n == BENCH_RESULTS_MAX)
            st = VG_FAIL(err, VG_E_USAGE, "more than %d results on a plot", BENCH_RESULTS_MAX);
        else if (len >= sizeof path)
            st = VG_FAIL(err, VG_E_USAGE, "--compare: a name is too long");
        if (st) break;
        memcpy(path, p, len);
        path[len] = '\0';
        p += len + (p[len] == ',');
        st = cli_check_other(b->opts->plot, path, err);
        if (!st) st = bench_curve_read(path, &curve[n++], err);
    }
    if (!st) st = bench_serve_plot(curve, n, b->opts->plot, err);
    vg_mem_free(curve);
    return st;
}

static vg_status measure(bench_serve *b, vg_err *err)
{
    const bench_serve_opts *o = b->opts;
    const char *source = o->prompts ? o->prompts : o->text;
    int *fd = NULL;
    allow_descriptors();
    VG_TRY(bench_target_read(&b->target, o->url, err));
    if (source) VG_TRY(cli_read(source, SOURCE_CAP_BYTES, &b->load.source, err));
    VG_TRY(bench_load_open(&b->load, o, err));
    VG_TRY(bench_target_ask(&b->target, &b->load, o->timeout, b->it, err));
    if (o->idle > 0) {
        fd = vg_mem_new((size_t)o->idle * sizeof *fd);
        if (!fd) return VG_FAIL_MEMORY(err, (size_t)o->idle * sizeof *fd);
    }
    vg_status st = fd ? open_idle(b, fd, err) : VG_OK;
    if (!st) st = bench_serve_run(b, err);
    for (uint32_t i = 0; i < b->n_idle_open; i++) {
        char c;
        b->n_idle_kept += recv(fd[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
        close(fd[i]);
    }
    vg_mem_free(fd);
    return st;
}

static vg_status print_results(const bench_serve *b, vg_err *err)
{
    if (b->opts->url && b->opts->json) VG_TRY(bench_serve_json(b, err));
    else if (b->opts->url) bench_serve_print(b);
    return b->opts->plot ? plot(b, err) : VG_OK;
}

static bool any_fault(const bench_serve *b)
{
    for (size_t i = 0; i < b->n_run; i++)
        if (bench_level_faults(&b->level[i])) return true;
    return false;
}

static int run_all(const cli_command *cmd, bench_serve *b)
{
    vg_err err, print_err;
    interrupt it;
    vg_status st = read_options(b, &err);
    if (st) return cli_fail(cmd, &err);
    b->level = vg_mem_new(b->n_levels * sizeof *b->level);
    if (!b->level) st = VG_FAIL_MEMORY(&err, b->n_levels * sizeof *b->level);
    if (!st) st = interrupt_begin(&it, &err);
    if (st) return cli_fail(cmd, &err);
    b->it = &it;
    progress_begin(&b->line);
    if (b->opts->url) st = measure(b, &err);
    b->cancelled |= st == VG_E_CANCELLED;
    bool any = b->n_run > 0 || (!st && !b->opts->url);
    bool lost = any && print_results(b, &print_err);
    int status = st || b->cancelled || any_fault(b) ? CLI_FAILED : CLI_DONE;
    if (b->cancelled) fprintf(stderr, "verge %s: cancelled\n", cmd->name);
    else if (st) status = cli_fail(cmd, &err);
    if (lost) status = cli_fail(cmd, &print_err);
    interrupt_end(&it);
    return status;
}

static int run(const cli_command *cmd, void *options, int n_args, char **args)
{
    bench_serve_opts *o = options;
    bench_serve *b = vg_mem_new(sizeof *b);
    if (!b) return CLI_FAILED;
    o->url = n_args > 0 ? args[0] : NULL;
    b->opts = o;
    int status = run_all(cmd, b);
    bench_load_close(&b->load);
    vg_mem_free(b->level);
    vg_mem_free(b);
    int end = cli_finish(cmd);
    return status ? status : end;
}

const cli_command cmd_bench_serve = {
    .name = "bench serve",
    .args = "[URL]",
    .min_args = 0,
    .max_args = 1,
    .summary = "measure how a server bears load",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(bench_serve_opts),
    .defaults = &defaults,
    .run = run,
};
