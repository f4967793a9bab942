/* verge plan: says where a model fits and how fast it will answer there, before anything is
 * downloaded or converted. Of a model file, cache and scratch are the engine's own plan, by which
 * it allocates; of a number of weights they are estimates from a shape. The exit status tells. */
#include <math.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/json_print.h"
#include "app/plan_model.h"

enum { CTX_MAX = 1 << 24, USERS_MAX = 4096, JSON_CAP_BYTES = 4 << 20 };

typedef struct plan_opts {
    const char *target, *targets, *kv;
    double params, active;
    int64_t ctx, users, layers, width, heads, kv_heads, head_dim, ff, vocab;
    bool json;
} plan_opts;

/* What is printed. */
typedef struct result {
    const plan_opts *o;
    plan_targets targets;
    plan_model m;
} result;

static vg_status read_model(result *r, const char *path, vg_err *err)
{
    const plan_opts *o = r->o;
    plan_use use = {.ctx_tok = (uint32_t)o->ctx, .n_users = (uint32_t)o->users,
                    .kv = cli_kv_type(o->kv)};
    if (path) return plan_model_read(&r->m, path, &use, err);
    plan_shape shape = {.n_params = o->params, .n_active = o->active, .layers = (double)o->layers,
                        .width = (double)o->width, .heads = (double)o->heads,
                        .kv_heads = (double)o->kv_heads, .head_dim = (double)o->head_dim,
                        .ff = (double)o->ff, .vocab = (double)o->vocab};
    plan_model_guess(&r->m, &shape, &use);
    return VG_OK;
}

/* Without pruning, in a type that the target runs; a file as it is counts too. */
static bool fits_target(const result *r, const plan_target *t)
{
    return (r->m.is_file && plan_fits(t, &r->m.as_it_is)) ||
           plan_model_advise(t, &r->m).step <= STEP_INT4;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_need(const char *name, const plan_need *n)
{
    const double bytes[] = {n->weight_bytes, n->kv_bytes, n->activation_bytes, n->program_bytes,
                            n->total_bytes};
    char text[32];
    printf("  %-6s", name);
    for (size_t i = 0; i < VG_COUNT(bytes); i++)
        if (i != 3 || n->program_bytes > 0)
            printf(i == 2 ? " %12s" : " %10s", cli_bytes((uint64_t)bytes[i], text));
    printf("\n");
}

static void print_fit(const plan_target *t, const char *name, const plan_need *n, bool runs,
                      double users)
{
    double speed = plan_speed(t, n, users);
    printf("  %-6s %-8s", name, !runs ? "not run" : plan_fits(t, n) ? "fits" : "too big");
    if (runs && plan_fits(t, n) && speed > 0) printf(" about %.3g tokens/s", speed);
    printf("\n");
}

static void print_target(const result *r, const plan_target *t)
{
    char budget[32], ram[32], text[120];
    double users = (double)r->o->users;
    plan_advice a = plan_model_advise(t, &r->m);
    cli_print_clean(t->name, strlen(t->name));
    printf(": ");
    cli_print_clean(t->title, strlen(t->title));
    printf("\n  room   %s of %s", cli_bytes((uint64_t)plan_budget(t), budget),
           cli_bytes((uint64_t)t->ram_bytes, ram));
    if (t->model_bytes > 0)
        printf(", weights at most %s", cli_bytes((uint64_t)t->model_bytes, budget));
    printf("\n");
    if (r->m.is_file) print_fit(t, "file", &r->m.as_it_is, true, users);
    for (size_t i = 0; i < PLAN_N_TYPES; i++)
        print_fit(t, plan_type_names[i], &r->m.need[i], t->has[i], users);
    plan_advice_text(&a, text, sizeof text);
    printf("  advice %s\n", text);
}

static void print_text(const result *r)
{
    const plan_shape *s = &r->m.shape;
    cli_print_clean(r->m.name, strlen(r->m.name));
    printf("\n  %.0f layers, width %.0f, %.0f heads of %.0f, %.0f for keys and values, inner %.0f,"
           " %.0f tokens%s\n", s->layers, s->width, s->heads, s->head_dim, s->kv_heads, s->ff,
           s->vocab, r->m.is_file ? "" : " (a guess, where not given)");
    printf("  %u tokens of context, %u user%s, %s cache\n", r->m.use.ctx_tok, r->m.use.n_users,
           r->m.use.n_users == 1 ? "" : "s", cli_kv_word(r->m.use.kv));
    printf("\n         %10s %10s %12s", "weights", "cache", "activations");
    if (r->m.is_file) printf(" %10s", "program");
    printf(" %10s\n", "all");
    if (r->m.is_file) print_need("file", &r->m.as_it_is);
    for (size_t i = 0; i < PLAN_N_TYPES; i++) print_need(plan_type_names[i], &r->m.need[i]);
    for (size_t i = 0; i < r->targets.n; i++) {
        printf("\n");
        print_target(r, &r->targets.at[i]);
    }
}

/* ---- for machines --------------------------------------------------------------------------- */

static void put_need(vg_buf *b, const char *key, const plan_need *n)
{
    vg_json_begin(b, key, '{');
    vg_json_count(b, "weight_bytes", (uint64_t)n->weight_bytes);
    vg_json_count(b, "kv_bytes", (uint64_t)n->kv_bytes);
    vg_json_count(b, "activation_bytes", (uint64_t)n->activation_bytes);
    vg_json_count(b, "program_bytes", (uint64_t)n->program_bytes);
    vg_json_count(b, "total_bytes", (uint64_t)n->total_bytes);
    vg_json_count(b, "read_bytes", (uint64_t)n->read_bytes);
    vg_json_end(b, '}');
}

static void put_fit(vg_buf *b, const char *key, const plan_target *t, const plan_need *n, bool runs,
                    double users)
{
    double speed = plan_speed(t, n, users);
    vg_json_begin(b, key, '{');
    vg_json_bool(b, "runs", runs);
    vg_json_bool(b, "fits", runs && plan_fits(t, n));
    vg_json_real(b, "tokens_per_s", speed > 0 ? speed : (double)NAN);
    vg_json_end(b, '}');
}

static void put_target(vg_buf *b, const result *r, const plan_target *t)
{
    plan_advice a = plan_model_advise(t, &r->m);
    char text[120];
    plan_advice_text(&a, text, sizeof text);
    vg_json_begin(b, NULL, '{');
    vg_json_text(b, "name", t->name);
    vg_json_text(b, "title", t->title);
    vg_json_count(b, "room_bytes", (uint64_t)plan_budget(t));
    vg_json_bool(b, "fits", fits_target(r, t));
    vg_json_text(b, "step", plan_step_names[a.step]);
    vg_json_text(b, "advice", text);
    if (r->m.is_file) put_fit(b, "file", t, &r->m.as_it_is, true, (double)r->o->users);
    for (size_t i = 0; i < PLAN_N_TYPES; i++)
        put_fit(b, plan_type_names[i], t, &r->m.need[i], t->has[i], (double)r->o->users);
    vg_json_end(b, '}');
}

static vg_status print_json(const result *r, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, JSON_CAP_BYTES);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "version", vg_version());
    vg_json_text(&b, "model", r->m.name);
    vg_json_real(&b, "weights", r->m.shape.n_params);
    vg_json_real(&b, "active_weights", r->m.shape.n_active);
    vg_json_count(&b, "ctx", r->m.use.ctx_tok);
    vg_json_count(&b, "users", r->m.use.n_users);
    vg_json_text(&b, "kv", cli_kv_word(r->m.use.kv));
    vg_json_begin(&b, "memory", '{');
    if (r->m.is_file) put_need(&b, "file", &r->m.as_it_is);
    for (size_t i = 0; i < PLAN_N_TYPES; i++) put_need(&b, plan_type_names[i], &r->m.need[i]);
    vg_json_end(&b, '}');
    vg_json_begin(&b, "targets", '[');
    for (size_t i = 0; i < r->targets.n; i++) put_target(&b, r, &r->targets.at[i]);
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

/* ---- the command ---------------------------------------------------------------------------- */

static const char detail[] =
    "A model fits where its weights, the cache of keys and values, and the activations take no\n"
    "more than RAM x (1 - os) x (1 - margin) of the target. Of a MODEL file, cache and\n"
    "activations are the engine's own plan, the weights of a type are the bytes that verge\n"
    "compress would write, the program counts too, and the line \"file\" is what verge run will\n"
    "take as the file is. Of --params they are estimates, from a guessed shape where none is\n"
    "given.\n"
    "\n"
    "Speed is what the memory's bandwidth allows when each token reads the weights and the full\n"
    "cache once. The advice is the first step that fits: 16 bits, 8, 4, pruning by at most\n"
    "30%, a smaller model. verge compress --target carries out those that are types.\n"
    "\n"
    "The exit status is 0 where the model fits the target without pruning (with all: one of\n"
    "them), 1 where it does not.";

static const plan_opts defaults = {.target = "all", .users = 1};

static const cli_opt opts[] = {
    CLI_FLOAT("params", 'p', plan_opts, params, "N", 1e3, 1e14,
              "plan for a model of N weights (7B, 360M) instead of a file"),
    CLI_TEXT("target", 0, plan_opts, target, "NAME", "a device, or all [all]"),
    CLI_TEXT("targets", 0, plan_opts, targets, "FILE",
             "read the devices from a JSON file of the form of app/targets.json"),
    CLI_INT("ctx", 'c', plan_opts, ctx, "N", 1, CTX_MAX,
            "tokens of context [4096, or less where MODEL was trained on less]"),
    CLI_INT("users", 'u', plan_opts, users, "N", 1, USERS_MAX, "sessions at once [1]"),
    CLI_KV(plan_opts, kv, "type of the KV cache [the model's own, else q8]"),
    CLI_FLOAT("active", 0, plan_opts, active, "N", 1e3, 1e14,
              "with --params: weights that a token reads, of a mixture of experts [all]"),
    CLI_INT("layers", 0, plan_opts, layers, "N", 1, 1 << 10, "with --params: layers"),
    CLI_INT("width", 0, plan_opts, width, "N", 1, 1 << 20, "with --params: width"),
    CLI_INT("heads", 0, plan_opts, heads, "N", 1, 1 << 12, "with --params: attention heads"),
    CLI_INT("kv-heads", 0, plan_opts, kv_heads, "N", 1, 1 << 12,
            "with --params: heads of keys and values"),
    CLI_INT("head-dim", 0, plan_opts, head_dim, "N", 1, 1 << 12, "with --params: width of a head"),
    CLI_INT("ff", 0, plan_opts, ff, "N", 1, 1 << 22, "with --params: inner width of the MLP"),
    CLI_INT("vocab", 0, plan_opts, vocab, "N", 1, 1 << 24, "with --params: size of the vocabulary"),
    CLI_FLAG("json", 0, plan_opts, json, "print JSON"),
};

static int run(const cli_command *cmd, void *options, int n_args, char **args)
{
    const plan_opts *o = options;
    bool shaped = o->active > 0 || o->layers || o->width || o->heads || o->kv_heads ||
                  o->head_dim || o->ff || o->vocab;
    vg_err err;
    if ((n_args == 1) == (o->params > 0)) return cli_usage(cmd, "give a MODEL, or --params N");
    if (n_args == 1 && shaped) return cli_usage(cmd, "the shape of a MODEL is in its file");
    result *r = vg_mem_new(sizeof *r);
    vg_status st = r ? VG_OK : VG_FAIL_MEMORY(&err, sizeof *r);
    if (!st) {
        r->o = o;
        st = plan_targets_load(&r->targets, o->targets, &err);
    }
    if (!st) st = plan_targets_keep(&r->targets, o->target, &err);
    if (!st) st = read_model(r, n_args ? args[0] : NULL, &err);
    if (!st && o->json) st = print_json(r, &err);
    else if (!st) print_text(r);
    bool fits = false;
    for (size_t i = 0; !st && i < r->targets.n; i++) fits |= fits_target(r, &r->targets.at[i]);
    vg_mem_free(r);
    if (st) return cli_fail(cmd, &err);
    int end = cli_finish(cmd);
    return end || fits ? end : CLI_FAILED;
}

const cli_command cmd_plan = {
    .name = "plan",
    .args = "[MODEL]",
    .min_args = 0,
    .max_args = 1,
    .summary = "say where a model fits, and how fast it will be there",
    .detail = detail,
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(plan_opts),
    .defaults = &defaults,
    .run = run,
};
