/* verge convert: a Hugging Face checkpoint folder becomes a GGUF file. The work is src/compress's;
 * here are the options, the progress line, and the end: what Ctrl-C or an error leaves behind is
 * what was there before. */
#include <stdio.h>

#include "app/cli.h"
#include "app/interrupt.h"
#include "app/json_print.h"
#include "app/progress.h"
#include "base/os.h"
#include "compress/convert.h"

typedef struct convert_opts {
    const char *out, *type, *name;
    bool force, json;
} convert_opts;

typedef struct watch {
    interrupt signals;
    progress line;
    bool stopped;
} watch;

static bool show(void *user, uint64_t done, uint64_t total)
{
    watch *w = user;
    progress_show(&w->line, &(progress_now){.stage = "converting", .done = done, .total = total,
                                            .unit = " weights"});
    w->stopped |= interrupt_stops(&w->signals);
    return w->stopped;
}

static vg_dtype type_of(const char *name)
{
    static const struct {
        const char *name;
        vg_dtype type;
    } types[] = {{"f32", VG_F32}, {"f16", VG_F16}, {"bf16", VG_BF16}, {"auto", VG_N_DTYPES}};
    for (size_t i = 0; i < VG_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return VG_N_DTYPES;
}

/* What became of packed matrices. */
static void print_groups(const vg_convert_report *r)
{
    char size[32];
    if (r->n_groups) printf("%-22s %4s %-22s    %-5s %9s %9s\n", "packed tensors", "", "from", "to",
                            "size", "error");
    for (size_t i = 0; i < r->n_groups; i++) {
        const vg_convert_group *g = &r->group[i];
        printf("%-22s %4zu %-22s -> %-5s %9s %8.4f%%%s\n", g->name, g->n, g->from,
               vg_dtype_get(g->type)->name, cli_bytes(g->n_bytes, size), 100 * g->error,
               g->anew ? "  anew: no block holds these codes" : "");
    }
}

static void print_text(const vg_convert_report *r, const char *path)
{
    char size[32];
    print_groups(r);
    printf("wrote ");
    cli_print_clean(path, strlen(path));
    printf(": %s, %zu tensors as %s, %s\n", r->arch, r->n_tensors, vg_dtype_get(r->type)->name,
           cli_bytes(r->n_bytes, size));
}

static vg_status print_json(const vg_convert_report *r, const char *path, double seconds,
                            vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, 1 << 16);
    vg_json_begin(&b, NULL, '{');
    vg_json_text(&b, "file", path);
    vg_json_text(&b, "name", r->name);
    vg_json_text(&b, "architecture", r->arch);
    vg_json_text(&b, "type", vg_dtype_get(r->type)->name);
    vg_json_count(&b, "tensors", r->n_tensors);
    vg_json_count(&b, "parameters", r->n_params);
    vg_json_count(&b, "bytes", r->n_bytes);
    vg_json_round(&b, "seconds", seconds, 3);
    vg_json_count(&b, "peak_bytes", vg_os_peak_rss_bytes());
    vg_json_begin(&b, "packed", '[');
    for (size_t i = 0; i < r->n_groups; i++) {
        const vg_convert_group *g = &r->group[i];
        vg_json_begin(&b, NULL, '{');
        vg_json_text(&b, "name", g->name);
        vg_json_count(&b, "tensors", g->n);
        vg_json_text(&b, "from", g->from);
        vg_json_text(&b, "type", vg_dtype_get(g->type)->name);
        vg_json_bool(&b, "exact_codes", !g->anew);
        vg_json_count(&b, "bytes", g->n_bytes);
        vg_json_real(&b, "error", g->error);
        vg_json_end(&b, '}');
    }
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}

static vg_status convert(const convert_opts *o, const char *dir, vg_err *err)
{
    watch w = {0};
    uint64_t begin = vg_os_now_ns();
    vg_convert_opts opts = {.type = type_of(o->type), .name = o->name, .user = &w,
                            .progress = show};
    vg_convert_report report;
    VG_TRY(cli_check_other(o->out, dir, err));
    VG_TRY(cli_check_new(o->out, o->force, err));
    VG_TRY(interrupt_begin(&w.signals, err));
    vg_file_guard();
    progress_begin(&w.line);
    vg_status st = vg_convert(dir, o->out, &opts, &report, err);
    interrupt_end(&w.signals);
    progress_end(&w.line);
    if (st) return st;
    double seconds = (double)(vg_os_now_ns() - begin) / 1e9;
    if (o->json) return print_json(&report, o->out, seconds, err);
    print_text(&report, o->out);
    return VG_OK;
}

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const convert_opts *o = opts;
    vg_err err;
    VG_UNUSED(n_args);
    if (!o->out) return cli_usage(cmd, "where to? Name the new file with -o OUT.gguf");
    vg_status st = convert(o, args[0], &err);
    return st ? cli_fail(cmd, &err) : cli_finish(cmd);
}

static const cli_opt opts[] = {
    CLI_TEXT("output", 'o', convert_opts, out, "OUT.gguf", "write this file"),
    CLI_CHOICE("type", 't', convert_opts, type, "auto|f32|f16|bf16",
               "type of the matrices; auto keeps 16 bits and packed integers as they are and makes "
               "F16 of 32 [auto]"),
    CLI_TEXT("name", 0, convert_opts, name, "TEXT", "name of the model [the folder's]"),
    CLI_FLAG("force", 'f', convert_opts, force, "write over a file that is there"),
    CLI_FLAG("json", 0, convert_opts, json, "print JSON"),
};

static const convert_opts defaults = {.type = "auto"};

const cli_command cmd_convert = {
    .name = "convert",
    .args = "DIR",
    .min_args = 1,
    .max_args = 1,
    .summary = "make a GGUF file of a Hugging Face checkpoint folder",
    .detail = "DIR holds config.json, the weights as model.safetensors or as the shards of "
              "model.safetensors.index.json, and tokenizer.json, tokenizer.model, or vocab.json "
              "and merges.txt. Families: "
              "llama, mistral, qwen2, qwen3, qwen3moe, gemma2, gemma3 (its text), phi3, smollm3, "
              "granite. AWQ, GPTQ and compressed-tensors checkpoints keep their codes, in Q4_0, "
              "Q4_1 or Q8_0 blocks; a table says what became of them and the error. What the "
              "engine would compute otherwise than the original is refused by name.\n\n"
              "Weights stream: memory stays below a gigabyte whatever the size of the model. The "
              "file appears when it is complete.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(convert_opts),
    .defaults = &defaults,
    .run = run,
};
