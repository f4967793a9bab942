/* verge eval: measures how good models are: perplexity of a text, distance from a reference model.
 * Reads the options and takes the models one after the other; eval.h is where the work is done.
 * Ctrl-C ends it, and the models that were measured until then are printed all the same. */
#include <stdlib.h>

#include "app/cli.h"
#include "app/eval.h"

enum { CTX_MIN = 8, CTX_MAX = 1 << 20, CHUNKS_MAX = 1 << 24, THREADS_MAX = 256 };

static const char detail[] =
    "With --text, the perplexity: the text is cut into chunks of --ctx tokens, and the second\n"
    "half of each is scored, over a 16-bit cache, as llama.cpp's perplexity tool does it.\n"
    "Figures of models with other vocabularies do not compare. The cache of verge run is\n"
    "measured by --kv q8.\n"
    "\n"
    "With --reference, each MODEL is compared with another one, of the same vocabulary, at\n"
    "every scored token: the Kullback-Leibler divergence, how often both hold the same token\n"
    "for the best, and by how much the text became less likely. --save-reference keeps the\n"
    "logits of one MODEL in a file, 2 bytes each; --reference-file compares with these.\n"
    "\n"
    "With --choices, the answer that is likeliest after its question, as it is and by its\n"
    "bytes. A line: {\"question\" or \"context\": TEXT, \"choices\": [TEXT, ...], \"answer\": N}.\n"
    "\n"
    "Memory: what the models take (verge inspect), and 32 rows of logits for each.";

static const eval_opts defaults = {.ctx = 512, .kv = "f16"};

static const cli_opt opts[] = {
    CLI_TEXT("text", 'f', eval_opts, text, "FILE", "measure the perplexity of a text; -: stdin"),
    CLI_INT("ctx", 'c', eval_opts, ctx, "N", CTX_MIN, CTX_MAX, "tokens of a chunk [512]"),
    CLI_INT("chunks", 0, eval_opts, chunks, "N", 1, CHUNKS_MAX, "at most so many chunks [all]"),
    CLI_INT("stride", 0, eval_opts, stride, "N", 1, CTX_MAX,
            "a chunk every N tokens, of which the last N are scored [halves of chunks]"),
    CLI_TEXT("reference", 'r', eval_opts, reference, "FILE", "compare with this model"),
    CLI_TEXT("save-reference", 0, eval_opts, save, "FILE", "keep the logits of MODEL in a file"),
    CLI_TEXT("reference-file", 0, eval_opts, reference_file, "FILE",
             "compare with logits that were kept"),
    CLI_TEXT("choices", 0, eval_opts, choices, "FILE",
             "measure answers to the questions in this file of JSON lines"),
    CLI_INT("threads", 't', eval_opts, threads, "N", 1, THREADS_MAX,
            "threads [one for each fast core]"),
    CLI_KV(eval_opts, kv, "type of the KV cache, whatever the model prefers [f16]"),
    CLI_ISA(eval_opts, isa),
    CLI_FLAG("no-repack", 0, eval_opts, no_repack,
             "read the weights where the file has them; slower, and takes less memory"),
    CLI_TEXT("plot", 0, eval_opts, plot, "FILE",
             "draw the models by size and quality into an SVG file"),
    CLI_FLAG("json", 0, eval_opts, json, "print JSON"),
};

static vg_status check_options(const eval_opts *o, int n_models, vg_err *err)
{
    int n = (o->reference != NULL) + (o->reference_file != NULL) + (o->save != NULL);
    if (!o->text && !o->choices)
        return VG_FAIL(err, VG_E_USAGE, "what to measure? Give a --text, or --choices");
    if (n > 0 && !o->text)
        return VG_FAIL(err, VG_E_USAGE, "logits are compared and kept along a --text");
    if (n > 1)
        return VG_FAIL(err, VG_E_USAGE,
                       "--reference, --reference-file and --save-reference exclude each other");
    if (o->save && n_models > 1)
        return VG_FAIL(err, VG_E_USAGE, "--save-reference keeps the logits of one MODEL, not of %d",
                       n_models);
    if (o->stride >= o->ctx)
        return VG_FAIL(err, VG_E_USAGE, "--stride %lld is not less than the context of %lld",
                       (long long)o->stride, (long long)o->ctx);
    return VG_OK;
}

/* Nothing that is read may be written over. */
static vg_status check_outputs(const eval_opts *o, int n_models, char **models, vg_err *err)
{
    const char *const inputs[] = {o->text, o->choices, o->reference, o->reference_file};
    const char *const outputs[] = {o->save, o->plot};
    for (size_t i = 0; i < VG_COUNT(outputs); i++) {
        if (!outputs[i]) continue;
        for (size_t k = 0; k < VG_COUNT(inputs); k++)
            VG_TRY(cli_check_other(outputs[i], inputs[k], err));
        for (int k = 0; k < n_models; k++) VG_TRY(cli_check_other(outputs[i], models[k], err));
    }
    return o->save ? cli_check_new(o->save, true, err) : VG_OK;
}

/* ---- one model ------------------------------------------------------------------------------ */

static vg_status run_text(eval *ev, eval_model *m, eval_model *reference, eval_score *out,
                          vg_err *err)
{
    const eval_opts *o = ev->opts;
    eval_text t = {0};
    eval_reference stored = {.out = {.fd = -1}};
    eval_run r = {.ev = ev, .text = &t, .model = m, .reference = reference};
    vg_status st = eval_text_load(&t, reference ? reference : m, o, err);
    if (!st && o->save) {
        r.save = &stored;
        st = eval_reference_create(&stored, o->save, &t.head, err);
    } else if (!st && o->reference_file) {
        r.stored = &stored;
        st = eval_reference_open(&stored, o->reference_file, &t.head, err);
    }
    if (!st) st = eval_model_start(m, t.ctx_tok, err);
    if (!st && reference) st = eval_model_start(reference, t.ctx_tok, err);
    if (!st) st = eval_text_run(&r, out, err);
    if (!st && o->save) st = eval_reference_finish(&stored, err);
    if (reference) eval_model_stop(reference);
    eval_model_stop(m);
    ev->n_chunks = t.n_chunks;
    ev->n_scored = (size_t)t.head.n_rows;
    eval_reference_close(&stored);
    eval_text_clear(&t);
    return st;
}

static vg_status run_choices(eval *ev, eval_model *m, eval_score *out, vg_err *err)
{
    eval_questions q;
    vg_status st = eval_questions_load(&q, m, ev->opts->choices, err);
    if (!st) st = eval_model_start(m, q.longest_tok, err);
    if (!st) st = eval_questions_run(m, &q, out, err);
    eval_model_stop(m);
    eval_questions_clear(&q);
    return st;
}

static vg_status run_model(eval *ev, const char *path, eval_model *reference, vg_err *err)
{
    eval_score *out = &ev->score[ev->n_scores];
    eval_model m;
    VG_TRY(eval_model_open(&m, ev, path, err));
    *out = (eval_score){.path = path, .file_bytes = m.info.file_bytes, .n_params = m.info.n_params};
    snprintf(out->name, sizeof out->name, "%s", m.info.name);
    vg_status st = ev->opts->text ? run_text(ev, &m, reference, out, err) : VG_OK;
    if (!st && ev->opts->choices) st = run_choices(ev, &m, out, err);
    eval_model_close(&m);
    out->peak_bytes = vg_os_peak_rss_bytes();
    if (!st) ev->n_scores++;
    return st;
}

/* ---- all of them ---------------------------------------------------------------------------- */

static vg_status run_models(eval *ev, char **paths, vg_err *err)
{
    eval_model reference = {0};
    vg_status st = VG_OK;
    if (ev->opts->reference)
        st = eval_model_open(&reference, ev, ev->opts->reference, err);
    for (size_t i = 0; !st && i < ev->n_models; i++)
        st = run_model(ev, paths[i], reference.model ? &reference : NULL, err);
    eval_model_close(&reference);
    progress_end(&ev->line);
    return st;
}

static vg_status print_results(const eval *ev, vg_err *err)
{
    if (ev->opts->json) VG_TRY(eval_print_json(ev, err));
    else eval_print_text(ev);
    return ev->opts->plot ? eval_plot(ev, ev->opts->plot, err) : VG_OK;
}

static int run(const cli_command *cmd, void *options, int n_args, char **args)
{
    vg_err err, print_err;
    interrupt it;
    vg_status st = check_options(options, n_args, &err);
    if (!st) st = check_outputs(options, n_args, args, &err);
    if (st) return cli_fail(cmd, &err);
    eval *ev = vg_mem_new(sizeof *ev);
    if (!ev) st = VG_FAIL_MEMORY(&err, sizeof *ev);
    if (!st) st = interrupt_begin(&it, &err);
    if (st) {
        vg_mem_free(ev);
        return cli_fail(cmd, &err);
    }
    ev->opts = options;
    ev->it = &it;
    progress_begin(&ev->line);
    ev->n_models = (size_t)n_args;
    st = run_models(ev, args, &err);
    bool lost = ev->n_scores > 0 && print_results(ev, &print_err);
    int status = st ? cli_fail(cmd, &err) : CLI_DONE;
    if (lost) status = cli_fail(cmd, &print_err);
    interrupt_end(&it);
    vg_mem_free(ev);
    int end = cli_finish(cmd);
    return status ? status : end;
}

const cli_command cmd_eval = {
    .name = "eval",
    .args = "MODEL...",
    .min_args = 1,
    .max_args = EVAL_MODELS_MAX,
    .summary = "measure how good models are",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(eval_opts),
    .defaults = &defaults,
    .run = run,
};
