/* verge run: answers one prompt, or talks. Reads what the options say into the library's structs,
 * opens model, engine and session, and hands over to answer.c or chat.c. The answer alone goes to
 * stdout; how long it took, and why it ended early, goes to stderr. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/chat.h"
#include "app/json_print.h"
#include "base/os.h"

enum { PROMPT_CAP_BYTES = 64 << 20, TEMPLATE_CAP_BYTES = 4 << 20, GRAMMAR_CAP_BYTES = 4 << 20,
       TEXT_CAP_BYTES = 1 << 30 };

typedef struct run_opts {
    const char *model, *prompt_file, *system, *template_file, *grammar, *json_schema, *kv, *isa;
    int64_t max_tokens, ctx, threads, batch, seed, top_k, penalty_last_n, dry_allowed, dry_last_n,
        keep;
    double temp, top_p, min_p, typical, repeat_penalty, presence_penalty, frequency_penalty,
        dry_multiplier, dry_base, mirostat_tau, mirostat_eta;
    cli_list dry_breaker, bias, stop;
    bool raw, shift, greedy, ignore_end, special, pin, no_repack, keep_image, no_history, json,
        quiet;
} run_opts;

static const run_opts defaults = {
    .seed = -1, .keep = -1, .temp = 0.8, .top_k = 40, .top_p = 0.95, .repeat_penalty = 1,
    .typical = 1, .penalty_last_n = 64, .dry_base = 1.75, .dry_allowed = 2, .mirostat_eta = 0.1,
};

static const cli_opt opts[] = {
    CLI_TEXT("model", 'm', run_opts, model, "FILE", "the model, a GGUF file [the built-in one]"),
    CLI_TEXT("prompt-file", 'f', run_opts, prompt_file, "FILE", "read the prompt from a file"),
    CLI_TEXT("system", 's', run_opts, system, "TEXT", "the system message of the conversation"),
    CLI_FLAG("raw", 0, run_opts, raw, "continue the prompt as it is, without a chat template"),
    CLI_TEXT("template", 0, run_opts, template_file, "FILE",
             "a chat template (Jinja) in place of the model's"),
    CLI_INT("max-tokens", 'n', run_opts, max_tokens, "N", 1, 1 << 30,
            "end the answer after N tokens [when the model ends it]"),
    CLI_LIST("stop", 0, run_opts, stop, "TEXT", "end the answer before TEXT; may be repeated"),
    CLI_TEXT("grammar", 0, run_opts, grammar, "FILE", "keep each answer within a GBNF grammar"),
    CLI_TEXT("json-schema", 0, run_opts, json_schema, "FILE|JSON",
             "keep each answer within a JSON Schema; {} is any JSON"),
    CLI_INT("ctx", 'c', run_opts, ctx, "N", 1, 1 << 24,
            "context in tokens [what the model was trained on, at most 4096]"),
    CLI_FLAG("shift", 0, run_opts, shift,
             "when the context is full drop its oldest tokens and go on [stop]"),
    CLI_INT("keep", 0, run_opts, keep, "N", 0, 1 << 24,
            "tokens at the front that --shift never drops [the BOS token]"),
    CLI_INT("seed", 0, run_opts, seed, "N", 0, 0x1p53, "the same seed, the same text [random]"),
    CLI_FLAG("greedy", 0, run_opts, greedy, "always take the most probable token"),
    CLI_FLOAT("temp", 't', run_opts, temp, "X", 0, 1000, "temperature; 0 is --greedy [0.8]"),
    CLI_INT("top-k", 0, run_opts, top_k, "N", 0, 1 << 30, "the N best tokens; 0: all [40]"),
    CLI_FLOAT("top-p", 0, run_opts, top_p, "X", 0, 1,
              "the best tokens that hold this share; 1: all [0.95]"),
    CLI_FLOAT("min-p", 0, run_opts, min_p, "X", 0, 1,
              "tokens with this share of the best one's probability [0]"),
    CLI_FLOAT("typical", 0, run_opts, typical, "X", 0, 1,
              "the tokens of typical surprise that hold this share; 1: all [1]"),
    CLI_FLOAT("repeat-penalty", 0, run_opts, repeat_penalty, "X", 0.01, 100,
              "divide the logits of recent tokens; 1: off [1]"),
    CLI_FLOAT("presence-penalty", 0, run_opts, presence_penalty, "X", -100, 100,
              "subtracted from the logits of recent tokens [0]"),
    CLI_FLOAT("frequency-penalty", 0, run_opts, frequency_penalty, "X", -100, 100,
              "subtracted for each time that a token occurred [0]"),
    CLI_INT("penalty-last-n", 0, run_opts, penalty_last_n, "N", 1, 1 << 30,
            "how many tokens are recent [64]"),
    CLI_FLOAT("dry-multiplier", 0, run_opts, dry_multiplier, "X", 0, 1000,
              "DRY, a penalty on repeated sequences; 0: off [0]"),
    CLI_FLOAT("dry-base", 0, run_opts, dry_base, "X", 1, 100,
              "growth of DRY's penalty with each repeated token [1.75]"),
    CLI_INT("dry-allowed", 0, run_opts, dry_allowed, "N", 1, 1 << 30,
            "repeated tokens that DRY lets pass [2]"),
    CLI_INT("dry-last-n", 0, run_opts, dry_last_n, "N", 0, 1 << 30,
            "how far back DRY looks; 0: everywhere [0]"),
    CLI_LIST("dry-breaker", 0, run_opts, dry_breaker, "TEXT",
             "DRY stops at tokens with TEXT in them [line end, colon, quote, asterisk]"),
    CLI_FLOAT("mirostat-tau", 0, run_opts, mirostat_tau, "X", 0, 100,
              "mirostat 2: the surprise to aim at, in bits; 0: off [0]"),
    CLI_FLOAT("mirostat-eta", 0, run_opts, mirostat_eta, "X", 0.0001, 10,
              "mirostat 2: how fast it follows [0.1]"),
    CLI_LIST("bias", 0, run_opts, bias, "ID=X",
             "add X to a token's logit; -inf forbids it; may be repeated"),
    CLI_FLAG("ignore-end", 0, run_opts, ignore_end, "never draw a token that ends the answer"),
    CLI_FLAG("special", 0, run_opts, special, "print control tokens by name"),
    CLI_INT("threads", 'j', run_opts, threads, "N", 1, 256, "threads [one for each fast core]"),
    CLI_FLAG("pin", 0, run_opts, pin, "tie each thread but the first to a core of its own"),
    CLI_INT("batch", 0, run_opts, batch, "N", 1, 1 << 16, "tokens of one step [256]"),
    CLI_KV(run_opts, kv, "type of the KV cache [the model's own, else q8]"),
    CLI_ISA(run_opts, isa),
    CLI_FLAG("no-repack", 0, run_opts, no_repack,
             "read the weights from the file as they are: slower, but needs no memory for them"),
    CLI_FLAG("keep-image", 0, run_opts, keep_image,
             "keep the weights as they are repacked in MODEL.repacked, for faster starts"),
    CLI_FLAG("no-history", 0, run_opts, no_history, "neither load nor save the lines typed"),
    CLI_FLAG("json", 0, run_opts, json, "print one JSON object at the end"),
    CLI_FLAG("quiet", 'q', run_opts, quiet, "no statistics and no greeting"),
};

static const char detail[] =
    "The first argument is a MODEL if it ends in .gguf or is an existing file, else the PROMPT\n"
    "for the built-in model. Without a PROMPT, or with -, it is read from stdin (one line end at\n"
    "its end does not count); a terminal gets a conversation instead, with /help.\n\n"
    "If the model has a chat template the PROMPT is what a user says; --raw continues it as text.\n"
    "Control tokens in a PROMPT are text. Ctrl-C ends the answer, the exit status is then 1.\n\n"
    "A conversation keeps the lines typed in $XDG_STATE_HOME/verge/history, readable by its owner\n"
    "alone ($HOME/.local/state where the variable is not set).";

/* All that a run holds; what is not zero is freed by `end`. */
typedef struct runtime {
    const cli_command *cmd;
    const run_opts *o;
    const char *model_path; /* NULL: built in */
    const char *prompt_arg; /* NULL: none */
    vg_text prompt;
    bool has_prompt, guarded;
    interrupt it;
    answer_maker maker;
    prompt_style style;
    vg_plan plan;
    vg_sampling sampling;
    vg_bias *bias;
    vg_tokens breakers;
    uint64_t seed;
} runtime;

/* ---- arguments ------------------------------------------------------------------------------- */

static bool is_model(const char *arg)
{
    struct stat st;
    size_t n = strlen(arg);
    return (n > 5 && strcmp(arg + n - 5, ".gguf") == 0) || stat(arg, &st) == 0;
}

/* 0, or the exit status. */
static int read_args(runtime *r, int n_args, char **args)
{
    r->model_path = r->o->model;
    if (n_args > 0 && !r->model_path && is_model(args[0])) {
        r->model_path = args[0];
        n_args--;
        args++;
    }
    if (n_args > 1)
        return cli_usage(r->cmd, "'%s' is neither a model nor an existing file", args[0]);
    if (n_args > 0) r->prompt_arg = args[0];
    if (r->prompt_arg && r->o->prompt_file)
        return cli_usage(r->cmd, "a prompt and --prompt-file exclude each other");
    if (r->o->keep_image && (r->o->no_repack || !r->model_path))
        return cli_usage(r->cmd, "--keep-image needs a model file, and excludes --no-repack");
    if (r->o->raw && (r->o->system || r->o->template_file))
        return cli_usage(r->cmd, "--raw uses no template, so neither --system nor --template");
    if (r->o->grammar && r->o->json_schema)
        return cli_usage(r->cmd, "--grammar and --json-schema exclude each other");
    if ((r->o->grammar || r->o->json_schema) && r->o->ignore_end)
        return cli_usage(r->cmd, "a grammar ends the answer, which --ignore-end forbids");
    for (size_t i = 0; i < r->o->stop.n; i++)
        if (!*r->o->stop.item[i]) return cli_usage(r->cmd, "--stop: the text is empty");
    for (size_t i = 0; i < r->o->dry_breaker.n; i++)
        if (!*r->o->dry_breaker.item[i])
            return cli_usage(r->cmd, "--dry-breaker: the text is empty");
    return 0;
}

/* The prompt's text: the argument, a file, stdin, or none, which is a conversation. */
static vg_status read_prompt(runtime *r, vg_err *err)
{
    const char *path = r->o->prompt_file;
    if (r->prompt_arg && strcmp(r->prompt_arg, "-") == 0) path = "-";
    if (!path && !r->prompt_arg) {
        if (isatty(STDIN_FILENO))
            return r->o->json ? VG_FAIL(err, VG_E_USAGE, "--json needs a prompt") : VG_OK;
        path = "-";
    }
    r->has_prompt = true;
    if (path) {
        VG_TRY(cli_read(path, PROMPT_CAP_BYTES, &r->prompt, err));
        if (r->prompt.n > 0 && r->prompt.data[r->prompt.n - 1] == '\n') r->prompt.n--;
        if (r->prompt.n == 0) return VG_FAIL(err, VG_E_USAGE, "%s holds no prompt",
                           strcmp(path, "-") == 0 ? "stdin" : path);
        return VG_OK;
    }
    vg_buf b;
    vg_buf_init(&b, PROMPT_CAP_BYTES);
    vg_buf_text(&b, r->prompt_arg);
    vg_status st = vg_buf_take(&b, "the prompt", &r->prompt, err);
    vg_buf_clear(&b);
    return st;
}

/* ---- sampling -------------------------------------------------------------------------------- */

static vg_status parse_bias(const char *text, vg_bias *out, vg_err *err)
{
    char *end = NULL;
    errno = 0;
    long id = strtol(text, &end, 10);
    if (errno || end == text || *end != '=' || id < 0 || id > INT32_MAX)
        return VG_FAIL(err, VG_E_USAGE, "--bias: '%s' is not ID=X", text);
    const char *value = end + 1;
    double add = strtod(value, &end);
    if (end == value || *end || isnan(add))
        return VG_FAIL(err, VG_E_USAGE, "--bias: '%s' is no number", value);
    *out = (vg_bias){(int32_t)id, (float)add};
    return VG_OK;
}

/* The given biases, and minus infinity for each end token where they are to be ignored. */
static vg_status make_bias(runtime *r, uint32_t n_vocab, vg_err *err)
{
    const cli_list *list = &r->o->bias;
    size_t n = list->n, at = 0;
    for (uint32_t id = 0; r->o->ignore_end && id < n_vocab; id++)
        n += vg_token_is_end(r->maker.model, (int32_t)id);
    r->bias = vg_mem_new((n + 1) * sizeof *r->bias);
    if (!r->bias) return VG_FAIL_MEMORY(err, n * sizeof *r->bias);
    for (; at < list->n; at++) VG_TRY(parse_bias(list->item[at], &r->bias[at], err));
    for (uint32_t id = 0; r->o->ignore_end && id < n_vocab; id++)
        if (vg_token_is_end(r->maker.model, (int32_t)id))
            r->bias[at++] = (vg_bias){(int32_t)id, -INFINITY};
    r->sampling.bias = r->bias;
    r->sampling.n_bias = n;
    return VG_OK;
}

/* The tokens that have one of DRY's breakers in them. */
static vg_status make_breakers(runtime *r, uint32_t n_vocab, vg_err *err)
{
    static const cli_list usual = {{"\n", ":", "\"", "*"}, 4};
    const cli_list *list = r->o->dry_breaker.n ? &r->o->dry_breaker : &usual;
    if (r->o->dry_multiplier <= 0) return VG_OK;
    r->breakers.id = vg_mem_new(n_vocab * sizeof *r->breakers.id + 1);
    if (!r->breakers.id) return VG_FAIL_MEMORY(err, n_vocab * sizeof *r->breakers.id);
    for (uint32_t id = 0; id < n_vocab; id++) {
        char text[VG_DECODE_MAX];
        size_t n = 0;
        vg_decoder d = {.begun = true};
        VG_TRY(vg_decode(r->maker.model, &d, (int32_t)id, text, sizeof text, &n, err));
        for (size_t i = 0; i < list->n; i++) {
            if (!memmem(text, n, list->item[i], strlen(list->item[i]))) continue;
            r->breakers.id[r->breakers.n++] = (int32_t)id;
            break;
        }
    }
    r->sampling.dry_breakers = r->breakers.id;
    r->sampling.n_dry_breakers = r->breakers.n;
    return VG_OK;
}

static vg_status make_sampling(runtime *r, vg_err *err)
{
    const run_opts *o = r->o;
    vg_model_info info;
    vg_model_get_info(r->maker.model, &info);
    uint32_t seed = 0;
    if (o->seed < 0 && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint32_t)vg_os_now_ns();
    r->seed = o->seed < 0 ? seed : (uint64_t)o->seed;
    r->sampling = (vg_sampling){.temp = o->greedy ? 0 : (float)o->temp,
                                .top_k = (uint32_t)o->top_k,
                                .top_p = (float)o->top_p,
                                .min_p = (float)o->min_p,
                                .typical_p = (float)o->typical,
                                .repeat_penalty = (float)o->repeat_penalty,
                                .presence_penalty = (float)o->presence_penalty,
                                .frequency_penalty = (float)o->frequency_penalty,
                                .penalty_last_n = (uint32_t)o->penalty_last_n,
                                .dry_multiplier = (float)o->dry_multiplier,
                                .dry_base = (float)o->dry_base,
                                .dry_allowed = (uint32_t)o->dry_allowed,
                                .dry_last_n = (uint32_t)o->dry_last_n,
                                .mirostat_tau = (float)o->mirostat_tau,
                                .mirostat_eta = (float)o->mirostat_eta,
                                .seed = r->seed};
    VG_TRY(make_bias(r, info.n_vocab, err));
    return make_breakers(r, info.n_vocab, err);
}

/* ---- model, prompt, engine ------------------------------------------------------------------- */

static vg_status open_model(runtime *r, vg_err *err)
{
    vg_model_info info;
    const vg_model_opts m = {.no_repack = r->o->no_repack, .keep_image = r->o->keep_image};
    VG_TRY(cli_open_model(r->model_path, &m, &r->maker.model, err));
    vg_model_get_info(r->maker.model, &info);
    if (info.note && !r->o->quiet) fprintf(stderr, "verge run: %s\n", info.note);
    if (r->o->template_file)
        VG_TRY(cli_read(r->o->template_file, TEMPLATE_CAP_BYTES, &r->style.tmpl, err));
    bool has_template = info.has_template || r->style.tmpl.data;
    if (r->o->system && !has_template)
        return VG_FAIL(err, VG_E_USAGE, "--system: model %s has no chat template (--template)",
                       info.name);
    r->style.model = r->maker.model;
    r->style.raw = r->o->raw || !has_template;
    return VG_OK;
}

static vg_engine_opts engine_opts(const run_opts *o)
{
    vg_engine_opts e = {.n_threads = (uint32_t)o->threads,
                        .pin = o->pin,
                        .ctx_tok = (uint32_t)o->ctx,
                        .batch_tok = (uint32_t)o->batch,
                        .isa = o->isa};
    e.kv = cli_kv_type(o->kv);
    return e;
}

/* Compiles what --grammar or --json-schema names; text that begins with a brace is the schema. */
static vg_status open_grammar(runtime *r, vg_err *err)
{
    const char *path = r->o->grammar ? r->o->grammar : r->o->json_schema;
    bool is_text = r->o->json_schema && r->o->json_schema[0] == '{';
    vg_text text = {0};
    if (!path) return VG_OK;
    if (!is_text) VG_TRY(cli_read(path, GRAMMAR_CAP_BYTES, &text, err));
    const char *p = is_text ? path : text.data;
    size_t n = is_text ? strlen(path) : text.n;
    vg_status st = r->o->grammar
                       ? vg_grammar_new_gbnf(&r->maker.grammar, r->maker.model, p, n, err)
                       : vg_grammar_new_schema(&r->maker.grammar, r->maker.model, p, n, err);
    vg_text_free(&text);
    return st && !is_text ? vg_err_context(err, st, "%s", path) : st;
}

static vg_status open_engine(runtime *r, vg_err *err)
{
    vg_engine_opts e = engine_opts(r->o);
    VG_TRY(vg_engine_new(&r->maker.engine, r->maker.model, &e, err));
    vg_health health;
    vg_engine_health(r->maker.engine, &health);
    if (health.n_failed > 0)
        fprintf(stderr, "verge run: kernels of %s that are wrong on this machine, plain C does "
                "their work: %s\n", health.isa, health.failed);
    vg_model_info info;
    vg_model_get_info(r->maker.model, &info);
    vg_session_opts s = {.sampling = r->sampling, .shift = r->o->shift};
    if (r->o->keep >= 0) s.keep_tok = (uint32_t)r->o->keep;
    else s.keep_tok = info.add_bos && info.bos >= 0 && r->plan.ctx_tok > 1;
    VG_TRY(vg_session_new(&r->maker.session, r->maker.engine, &s, err));
    r->maker.it = r->guarded ? &r->it : NULL;
    r->maker.batch_tok = r->o->batch ? (uint32_t)r->o->batch : 256;
    r->maker.max_tok = (uint64_t)r->o->max_tokens;
    r->maker.stop = &r->o->stop;
    r->maker.special = r->o->special;
    r->maker.progress = !r->o->quiet;
    return VG_OK;
}

/* Everything up to the engine, so that a prompt which does not fit costs nothing. */
static vg_status prepare(runtime *r, vg_tokens *ids, vg_err *err)
{
    vg_engine_opts e = engine_opts(r->o);
    vg_model_info info;
    VG_TRY(read_prompt(r, err));
    VG_TRY(open_model(r, err));
    VG_TRY(vg_plan_make(r->maker.model, &e, &r->plan, err));
    VG_TRY(make_sampling(r, err));
    vg_model_get_info(r->maker.model, &info);
    if (r->plan.ctx_tok > info.ctx_train_tok && !r->o->quiet)
        fprintf(stderr, "verge run: the model was trained on %u tokens of context, not %u\n",
                info.ctx_train_tok, r->plan.ctx_tok);
    if (!r->has_prompt) return VG_OK;
    talk t = {0};
    vg_status st = r->o->system ? talk_add(&t, TALK_SYSTEM, vg_str_from(r->o->system), err) : VG_OK;
    if (!st) st = talk_add(&t, TALK_USER, (vg_str){r->prompt.data, r->prompt.n}, err);
    if (!st) st = prompt_make(&r->style, &t, ids, err);
    if (!st && ids->n >= r->plan.ctx_tok)
        st = VG_FAIL(err, VG_E_CONTEXT,
                     "the prompt has %zu tokens and the context of %u leaves no room for an answer "
                     "(--ctx)", ids->n, r->plan.ctx_tok);
    talk_clear(&t);
    return st;
}

/* ---- one answer ------------------------------------------------------------------------------ */

static vg_status collect(void *user, const char *p, size_t n, vg_err *err)
{
    vg_buf_add(user, p, n);
    return vg_buf_check(user, "the answer", err);
}

static void put_memory(vg_buf *b, const vg_plan *p)
{
    vg_json_begin(b, "memory", '{');
    vg_json_count(b, "peak_bytes", vg_os_peak_rss_bytes());
    vg_json_count(b, "mapped_bytes", p->mapped_bytes);
    vg_json_count(b, "repacked_bytes", p->repacked_bytes);
    vg_json_count(b, "kv_bytes", p->kv_bytes);
    vg_json_count(b, "scratch_bytes", p->scratch_bytes);
    vg_json_end(b, '}');
}

static vg_status print_json(const runtime *r, const answer *a, const vg_buf *text, vg_err *err)
{
    vg_model_info info;
    vg_buf b;
    vg_buf_init(&b, TEXT_CAP_BYTES);
    vg_model_get_info(r->maker.model, &info);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "model", info.name);
    vg_json_count(&b, "prompt_tokens", a->n_prompt);
    vg_json_count(&b, "tokens", a->n_tok);
    vg_json_str(&b, "text", (vg_str){text->data, text->n});
    vg_json_text(&b, "stop_reason", answer_end_names[a->end]);
    vg_json_count(&b, "seed", r->seed);
    vg_json_begin(&b, "timings", '{');
    vg_json_round(&b, "prompt_ms", a->prompt_ms, 3);
    vg_json_round(&b, "prompt_tokens_per_s", answer_prompt_speed(a), 3);
    vg_json_round(&b, "first_token_ms", a->first_ms, 3);
    vg_json_round(&b, "generate_ms", a->generate_ms, 3);
    vg_json_round(&b, "tokens_per_s", answer_speed(a), 3);
    vg_json_end(&b, '}');
    put_memory(&b, &r->plan);
    vg_json_count(&b, "context_tokens", r->plan.ctx_tok);
    vg_json_text(&b, "isa", vg_engine_isa(r->maker.engine));
    vg_json_count(&b, "threads", vg_engine_threads(r->maker.engine));
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

static void print_stats(const runtime *r, const answer *a)
{
    char peak[32];
    if (a->end == ANSWER_CONTEXT)
        fprintf(stderr, "verge run: stopped: the context of %u tokens is full (--ctx, --shift)\n",
                r->plan.ctx_tok);
    if (a->end == ANSWER_CANCELLED) fprintf(stderr, "verge run: cancelled\n");
    if (r->o->quiet || r->o->json) return;
    fprintf(stderr, "prompt: %zu tokens, %.1f/s; answer: %zu tokens, %.1f/s; first token after "
            "%.0f ms; peak memory %s\n", a->n_prompt, answer_prompt_speed(a), a->n_tok,
            answer_speed(a), a->first_ms, cli_bytes(vg_os_peak_rss_bytes(), peak));
}

static int answer_once(runtime *r, const vg_tokens *ids)
{
    answer a;
    vg_err err;
    vg_buf text;
    char last = '\n';
    bool json = r->o->json;
    vg_buf_init(&text, TEXT_CAP_BYTES);
    vg_status st = answer_make(&r->maker, ids, json ? collect : answer_print,
                               json ? (void *)&text : &last, &a, &err);
    bool lost = ferror(stdout), closed = lost && errno == EPIPE;
    if (!lost && !json && last != '\n') putchar('\n');
    if (!st && json) st = print_json(r, &a, &text, &err);
    if (!lost && !closed && fflush(stdout)) closed = errno == EPIPE;
    vg_buf_clear(&text);
    if (closed) return CLI_FAILED; /* the reader has had enough, and knows */
    if (st) return cli_fail(r->cmd, &err);
    int status = cli_finish(r->cmd);
    print_stats(r, &a);
    return a.end == ANSWER_CANCELLED ? CLI_FAILED : status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void end(runtime *r)
{
    vg_session_free(r->maker.session);
    vg_grammar_unref(r->maker.grammar);
    vg_engine_free(r->maker.engine);
    vg_model_unref(r->maker.model);
    vg_text_free(&r->prompt);
    vg_text_free(&r->style.tmpl);
    vg_tokens_free(&r->breakers);
    vg_mem_free(r->bias);
    if (r->guarded) interrupt_end(&r->it);
}

static int run(const cli_command *cmd, void *o, int n_args, char **args)
{
    runtime r = {.cmd = cmd, .o = o};
    vg_err err;
    vg_tokens ids = {0};
    int status = read_args(&r, n_args, args);
    if (status) return status;
    signal(SIGPIPE, SIG_IGN);
    /* Ctrl-C ends the program while it reads and opens, and the answer from here on. */
    vg_status st = prepare(&r, &ids, &err);
    if (!st) st = interrupt_begin(&r.it, &err);
    r.guarded = !st;
    if (!st) st = open_grammar(&r, &err);
    if (!st) st = open_engine(&r, &err);
    if (st) status = cli_fail(cmd, &err);
    else if (r.has_prompt) status = answer_once(&r, &ids);
    else
        status = chat_run(cmd, &(chat_setup){.maker = &r.maker,
                                             .style = r.style,
                                             .plan = r.plan,
                                             .seed = r.seed,
                                             .system = r.o->system,
                                             .history = !r.o->no_history,
                                             .shift = r.o->shift,
                                             .quiet = r.o->quiet});
    vg_tokens_free(&ids);
    end(&r);
    return status;
}

const cli_command cmd_run = {
    .name = "run",
    .args = "[MODEL] [PROMPT|-]",
    .min_args = 0,
    .max_args = 2,
    .summary = "answer a prompt, or talk",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(run_opts),
    .defaults = &defaults,
    .run = run,
};
