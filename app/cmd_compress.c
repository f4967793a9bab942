/* verge compress: a GGUF file into a smaller one. Here are the options, the progress and the table
 * at the end; what is decided and done stands in src/compress. Ctrl-C is looked at between chunks,
 * so that what is done stays on the disk for --resume. */
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/compress.h"
#include "app/interrupt.h"
#include "app/progress.h"
#include "compress/compress.h"
#include "compress/source.h"
#include "model/model.h"

typedef struct compress_opts {
    const char *output, *type, *calib;
    compress_use use;
    cli_list tensor;
    int64_t size, threads, calib_tokens;
    bool no_feedback, no_importance, awq, resume, force, json;
} compress_opts;

typedef struct watch {
    interrupt it;
    progress line;
    bool stopped;
} watch;

static bool report(void *user, const vg_compress_now *now)
{
    watch *w = user;
    progress_show(&w->line, &(progress_now){.stage = now->stage, .item = now->what,
                                            .done = now->done, .total = now->total,
                                            .unit = now->unit});
    w->stopped |= interrupt_stops(&w->it);
    return w->stopped;
}

/* ---- options --------------------------------------------------------------------------------- */

static const char *type_list(char out[256])
{
    size_t n;
    const vg_mix *mix = vg_mixes(&n);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(out);
        snprintf(out + at, 256 - at, "%s%s", i ? ", " : "", mix[i].name);
    }
    return out;
}

static bool find_type(const char *name, vg_dtype *out)
{
    for (uint32_t t = 0; t < VG_N_DTYPES; t++) {
        const vg_dtype_info *info = vg_dtype_get(t);
        if (!info || !vg_quantises((vg_dtype)t) || strcasecmp(info->name, name) != 0) continue;
        *out = (vg_dtype)t;
        return true;
    }
    return false;
}

/* PATTERN=TYPE; 0 or the exit code. */
static int read_rules(const cli_command *cmd, const cli_list *list, vg_compress_rule *rule)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->item[i], *is = strrchr(text, '=');
        if (!is || is == text) return cli_usage(cmd, "--tensor: '%s' is not PATTERN=TYPE", text);
        rule[i].pattern = (vg_str){text, (size_t)(is - text)};
        if (!find_type(is + 1, &rule[i].type))
            return cli_usage(cmd, "--tensor: '%s' is no type that can be written (Q4_K, Q8_0, ...)",
                             is + 1);
    }
    return 0;
}

/* What does not go together, or NULL. */
static const char *check_use(const compress_opts *o)
{
    const compress_use *u = &o->use;
    if (u->target && (o->type || o->size || o->tensor.n))
        return "--target chooses the types; --type, --size and --tensor do so too";
    if (!u->target && (u->ctx || u->users || u->targets))
        return "--ctx, --users and --targets say how a --target is used";
    return NULL;
}

/* Whether the output would take the input's place. */
static bool same_file(const vg_gguf *g, const char *path)
{
    vg_file f;
    if (vg_file_map(&f, path, NULL)) return false;
    vg_file_stamp out = vg_file_stamp_of(&f);
    vg_file_unmap(&f);
    for (uint32_t i = 0; i < vg_gguf_n_parts(g); i++)
        if (out.inode && vg_gguf_stamp(g, i).inode == out.inode &&
            vg_gguf_stamp(g, i).changed_ns == out.changed_ns) return true;
    return false;
}

/* ---- work ------------------------------------------------------------------------------------ */

static vg_status compress(const compress_opts *o, const char *path, const vg_gguf *g,
                          vg_compress_opts *opts, watch *w, vg_err *err)
{
    vg_compress *c = NULL;
    compress_target target = {0};
    progress_end(&w->line);
    if (o->use.target) VG_TRY(compress_target_decide(&target, &o->use, path, opts, err));
    uint64_t begin = vg_os_now_ns();
    vg_status st = vg_compress_new(&c, g, opts, err);
    if (!st) st = vg_compress_run(c, o->output, err);
    progress_end(&w->line);
    if (!st) {
        compress_result r = {.c = c, .target = &target, .in_bytes = vg_gguf_file_bytes(g),
                             .path = o->output, .seconds = (double)(vg_os_now_ns() - begin) * 1e-9};
        st = compress_print(&r, o->json, err);
    }
    vg_compress_free(c);
    if (st == VG_E_CANCELLED)
        st = VG_FAIL(err, st, "stopped; the same command with --resume goes on with %s",
                     o->output);
    return st;
}

/* ---- input ----------------------------------------------------------------------------------- */

enum {
    TEXT_BYTES = 64 << 20, /* of a calibration's text that are read */
    SNIFF_BYTES = 1 << 16  /* that are looked at first */
};

/* The input and what a calibration of it needs. */
typedef struct input {
    const char *path;
    vg_source source; /* dir NULL: the input is a file */
    vg_model *model; /* NULL: no calibration */
    vg_gguf *own;    /* NULL: the model has it */
    const vg_gguf *gguf;
    vg_tokens text;
} input;

static vg_status read_text(input *in, const char *path, vg_err *err)
{
    vg_file f;
    VG_TRY(vg_file_map(&f, path, err));
    size_t n = (size_t)VG_MIN(f.n, (uint64_t)TEXT_BYTES);
    vg_status st = VG_OK;
    if (memchr(f.data, 0, VG_MIN(n, (size_t)SNIFF_BYTES)))
        st = VG_FAIL(err, VG_E_FORMAT, "%s: not a text, it has bytes of zero", path);
    if (!st) st = vg_tokenize(in->model, (const char *)f.data, n, 0, &in->text, err);
    if (!st && !vg_file_intact(&f)) st = VG_FAIL(err, VG_E_IO, "%s was cut short", path);
    vg_file_unmap(&f);
    return st;
}

static bool report_source(void *user, uint64_t done, uint64_t total)
{
    return report(user, &(vg_compress_now){.stage = "converting", .unit = " weights",
                                           .done = done, .total = total});
}

/* A checkpoint folder becomes a GGUF file beside the output first. */
static vg_status make_source(vg_source *s, const compress_opts *o, const char *dir, watch *w,
                             vg_err *err)
{
    char size[32];
    *s = (vg_source){.resume = o->resume, .progress = report_source, .user = w};
    VG_TRY(vg_source_begin(s, dir, o->output, err));
    fprintf(stderr, "the checkpoint goes through %s, about %s, until the output is there\n",
            s->path, cli_bytes(s->n_bytes, size));
    vg_status st = vg_source_make(s, err);
    if (st == VG_E_CANCELLED)
        st = VG_FAIL(err, st, "stopped; the same command with --resume goes on from %s.part",
                     s->path);
    return st;
}

static vg_status open_model(input *in, const compress_opts *o, vg_err *err)
{
    if (!o->calib) {
        VG_TRY(vg_gguf_open(&in->own, in->path, NULL, err));
        in->gguf = in->own;
        return VG_OK;
    }
    VG_TRY(vg_model_open(&in->model, in->path, &(vg_model_opts){.no_repack = true}, err));
    in->gguf = in->model->gguf;
    return read_text(in, o->calib, err);
}

static vg_status open_input(input *in, const compress_opts *o, watch *w, vg_err *err)
{
    VG_TRY(cli_check_other(o->output, in->path, err));
    VG_TRY(cli_check_other(o->output, o->calib, err));
    VG_TRY(cli_check_other(o->output, o->use.targets, err));
    VG_TRY(cli_check_new(o->output, o->force || o->resume, err));
    if (vg_source_is_folder(in->path)) {
        VG_TRY(make_source(&in->source, o, in->path, w, err));
        in->path = in->source.path;
    }
    VG_TRY(open_model(in, o, err));
    if (!same_file(in->gguf, o->output)) return VG_OK;
    return VG_FAIL(err, VG_E_USAGE, "%s is a part of the input; give the output another name",
                   o->output);
}

/* Whether a run that failed left something to go on with. */
static bool is_resumable(const char *output)
{
    static const char *const kept[] = {"journal", "calib", "source"};
    char path[VG_PATH_BYTES];
    for (size_t i = 0; i < VG_COUNT(kept); i++) {
        int n = snprintf(path, sizeof path, "%s.%s", output, kept[i]);
        if (n > 0 && n < (int)sizeof path && access(path, F_OK) == 0) return true;
    }
    return false;
}

/* What a run that ended with `st` does not need any more. */
static void close_input(input *in, vg_status st)
{
    vg_model_unref(in->model);
    vg_gguf_close(in->own);
    vg_tokens_free(&in->text);
    if (in->source.dir && st != VG_E_CANCELLED && st != VG_E_IO) vg_source_remove(&in->source);
}

static int run(const cli_command *cmd, void *opts, int n_args, char **args)
{
    const compress_opts *o = opts;
    vg_compress_rule rule[CLI_LIST_MAX];
    char names[256];
    VG_UNUSED(n_args);
    if (!o->output) return cli_usage(cmd, "where to? Give -o OUT.gguf");
    const char *usage = check_use(o);
    if (usage) return cli_usage(cmd, "%s", usage);
    const vg_mix *mix = vg_mix_find(o->type ? o->type : "Q4_K_M");
    if (!mix) return cli_usage(cmd, "--type: '%s' is none of %s", o->type, type_list(names));
    int wrong = read_rules(cmd, &o->tensor, rule);
    if (wrong) return wrong;
    if (o->awq && !o->calib) return cli_usage(cmd, "--awq needs a text: --calib FILE");
    if (o->no_importance && !o->awq) return cli_usage(cmd, "--no-importance goes with --awq");
    vg_err err;
    input in = {.path = args[0]};
    watch w = {0};
    progress_begin(&w.line);
    vg_file_guard();
    vg_status st = interrupt_begin(&w.it, &err);
    if (st) return cli_fail(cmd, &err);
    st = open_input(&in, o, &w, &err);
    if (!st) {
        vg_compress_opts c = {.mix = mix, .rule = rule, .n_rules = o->tensor.n,
                              .size_bytes = (uint64_t)o->size,
                              .kv = cli_kv_type(o->use.kv), .n_threads = (uint32_t)o->threads,
                              .model = in.model, .calib_tok = (size_t)o->calib_tokens,
                              .calib = in.text.id, .n_calib = in.text.n,
                              .awq = o->awq, .no_feedback = o->no_feedback,
                              .no_importance = o->no_importance,
                              .resume = o->resume, .progress = report, .user = &w};
        st = compress(o, in.path, in.gguf, &c, &w, &err);
    }
    interrupt_end(&w.it);
    close_input(&in, st);
    progress_end(&w.line);
    if (!st) return cli_finish(cmd);
    int end = cli_fail(cmd, &err);
    if (st == VG_E_IO && is_resumable(o->output))
        fprintf(stderr, "verge compress: what is done is kept; the same command with --resume goes "
                "on with it\n");
    return end;
}

static const cli_opt opts[] = {
    CLI_TEXT("output", 'o', compress_opts, output, "FILE", "the file to write"),
    CLI_TEXT("type", 't', compress_opts, type, "TYPE",
             "type of most matrices, the others as the mix of that name has them [Q4_K_M]"),
    CLI_LIST("tensor", 0, compress_opts, tensor, "PATTERN=TYPE",
             "type of the matrices whose names meet the pattern (* and ?); the first that does "
             "counts"),
    CLI_INT("size", 0, compress_opts, size, "BYTES", 1, 9007199254740992.0,
            "choose the types that lose least in a file of at most BYTES (400M), not --type"),
    CLI_TEXT("calib", 0, compress_opts, calib, "TEXT",
             "a text file of the kind that the model will see, which says which columns matter"),
    CLI_INT("calib-tokens", 0, compress_opts, calib_tokens, "N", 32, 1 << 24,
            "tokens of it at most, taken evenly from all of it [16384]"),
    CLI_FLAG("awq", 0, compress_opts, awq,
             "with --calib: scale columns that matter against what stands before, and clip "
             "weights, where a block's output gains by it (slow, gains little)"),
    CLI_FLAG("no-feedback", 0, compress_opts, no_feedback,
             "with --calib: a column's error is not made up for by the columns after it (faster)"),
    CLI_FLAG("no-importance", 0, compress_opts, no_importance,
             "with --awq: its scales and nothing else of the text"),
    CLI_TEXT("target", 0, compress_opts, use.target, "NAME",
             "choose the types that verge plan advises for this device (raspberry_pi, ...)"),
    CLI_INT("ctx", 'c', compress_opts, use.ctx, "N", 1, 1 << 24,
            "with --target: tokens of context [4096, or what the model was trained on]"),
    CLI_INT("users", 'u', compress_opts, use.users, "N", 1, 4096,
            "with --target: sessions at once [1]"),
    CLI_TEXT("targets", 0, compress_opts, use.targets, "FILE",
             "with --target: read the devices from a file as verge plan does"),
    CLI_KV(compress_opts, use.kv,
           "type of KV cache that the file will prefer [the input's own, else q8]"),
    CLI_INT("threads", 0, compress_opts, threads, "N", 1, 1024, "threads [all processors]"),
    CLI_FLAG("resume", 0, compress_opts, resume,
             "go on where the same command was stopped, or begin where there is nothing to go on"),
    CLI_FLAG("force", 'f', compress_opts, force, "write over a file that is there"),
    CLI_FLAG("json", 0, compress_opts, json, "print JSON, a tensor at a time"),
};

static const compress_opts defaults = {.calib_tokens = 16384};

const cli_command cmd_compress = {
    .name = "compress",
    .args = "MODEL",
    .min_args = 1,
    .max_args = 1,
    .summary = "make a model file smaller",
    .detail =
        "MODEL is a GGUF file, the first file of a split set, or a Hugging Face checkpoint\n"
        "folder (see verge convert). A folder goes through FILE.source, which has the size of its\n"
        "weights and is gone at the end.\n\n"
        "Types: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1,\n"
        "Q4_0, IQ4_NL, IQ4_XS, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K. Norms, vectors\n"
        "and routers stay as they are; rows that are no multiple of a type's block get the next\n"
        "type that fits, which the table marks. A matrix that is quantised already never gets a\n"
        "larger type.\n\n"
        "With --target it does what verge plan MODEL --target advises: F16 where it fits the\n"
        "device, else Q8_0, else Q4_K_M, or a --size down to 4.25 bits a weight; a quantised file\n"
        "that fits stays. What fits in no type is refused, with what it would take.\n\n"
        "The output appears when it is whole. A run that was stopped or killed leaves FILE.part\n"
        "and FILE.journal; --resume goes on from them, to the same bytes.",
    .opts = opts,
    .n_opts = VG_COUNT(opts),
    .opts_bytes = sizeof(compress_opts),
    .defaults = &defaults,
    .run = run,
};
