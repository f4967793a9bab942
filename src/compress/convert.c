/* convert.c: the way from a checkpoint folder to a GGUF file: open and check everything, say what
 * the file will hold, then let the weights stream through. What can be refused is refused before
 * the first byte is written; afterwards only the disk, or a checkpoint that changes under way, can
 * stop it. */
#include "compress/convert.h"

#include <stdio.h>

#include "compress/hf_int.h"

enum { PLAN_CAP_BYTES = 256 << 20, TOKENIZER_CAP_BYTES = 640 << 20 };

typedef struct conversion {
    const vg_convert_opts *opts;
    vg_checkpoint *ckpt;
    vg_arena *arena;
    hf_config cfg;
    hf_tensors list;
    vg_gguf_writer *w;
    vg_convert_report *report;
} conversion;

/* The folder's name; of a folder of the Hugging Face cache, models--ORG--NAME/snapshots/HASH, the
 * model's. */
static vg_str folder_name(const char *dir)
{
    const char *cache = strstr(dir, "models--"), *last = dir;
    const char *name = cache ? strstr(cache + 8, "--") : NULL;
    if (name) return (vg_str){name + 2, strcspn(name + 2, "/")};
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    for (size_t i = 0; i + 1 < n; i++)
        if (dir[i] == '/') last = dir + i + 1;
    return (vg_str){last, n - (size_t)(last - dir)};
}

static bool has_phi3(const char *name)
{
    return strcasestr(name, "phi-3") || strcasestr(name, "phi3");
}

/* Engines know by the model's name that special tokens of Phi-3 take the space after them. */
static void make_name(conversion *c, const char *dir, bool rstrip)
{
    char *name = c->report->name;
    size_t room = sizeof c->report->name;
    vg_str folder = folder_name(dir);
    if (c->opts->name) snprintf(name, room, "%s", c->opts->name);
    else snprintf(name, room, "%.*s", VG_STR_ARG(folder));
    name[vg_utf8_valid(name, strlen(name))] = '\0';
    size_t n = strlen(name);
    if (rstrip && !has_phi3(name)) snprintf(name + VG_MIN(n, room - 9), 9, " (Phi-3)");
}

static uint32_t file_type(vg_dtype t) /* general.file_type */
{
    return t == VG_F32 ? 0 : t == VG_F16 ? 1 : 32;
}

static vg_status put_keys(conversion *c, vg_err *err)
{
    bool rstrip = false;
    vg_arena *a = NULL;
    const char *dir = vg_checkpoint_dir(c->ckpt);
    vg_gguf_put_str(c->w, "general.architecture", vg_str_from(c->cfg.arch));
    vg_gguf_put_str(c->w, "general.type", VG_STR("model"));
    VG_TRY(hf_config_put(&c->cfg, c->arena, c->w, err));
    VG_TRY(vg_arena_new(&a, TOKENIZER_CAP_BYTES, err));
    vg_status st = hf_vocab_put(&c->cfg, c->ckpt, a, c->w, &rstrip, err);
    vg_arena_free(a);
    if (st) return st;
    make_name(c, dir, rstrip);
    vg_gguf_put_str(c->w, "general.name", vg_str_from(c->report->name));
    vg_gguf_put_u32(c->w, "general.file_type", file_type(c->list.matrix_type));
    vg_gguf_put_u32(c->w, "general.quantization_version", 2);
    return VG_OK;
}

static uint64_t numbers_of(const hf_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2];
}

static bool cancelled(const conversion *c, uint64_t done, uint64_t total)
{
    return c->opts->progress && c->opts->progress(c->opts->user, done, total);
}

/* Progress counts the numbers that are written. */
static vg_status write_tensors(conversion *c, vg_err *err)
{
    uint64_t done = 0, total = c->report->n_params;
    for (size_t i = 0; i < c->list.n; i++) {
        if (cancelled(c, done, total))
            return VG_FAIL(err, VG_E_CANCELLED, "the conversion was cancelled");
        VG_TRY(hf_tensor_write(&c->list.t[i], c->w, err));
        done += numbers_of(&c->list.t[i]);
    }
    if (!vg_checkpoint_intact(c->ckpt))
        return VG_FAIL(err, VG_E_IO, "%s: a file was cut short while it was read",
                       vg_checkpoint_dir(c->ckpt));
    (void)cancelled(c, total, total);
    return VG_OK;
}

static vg_status run(conversion *c, const char *dir, const char *path, vg_err *err)
{
    vg_convert_report *r = c->report;
    VG_TRY(vg_checkpoint_open(&c->ckpt, dir, err));
    VG_TRY(vg_arena_new(&c->arena, PLAN_CAP_BYTES, err));
    vg_status st = hf_config_read(&c->cfg, vg_checkpoint_config(c->ckpt), err);
    if (st) return vg_err_context(err, st, "%s/config.json", dir);
    st = hf_tensors_plan(&c->list, &c->cfg, c->ckpt, c->opts->type, c->arena, err);
    if (st) return vg_err_context(err, st, "%s", dir);
    /* Some configurations leave it to their family; the embedding, which comes first, knows. */
    if (c->list.t[0].dim[1] > INT32_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s: more tokens than 2^31", dir);
    c->cfg.n_vocab = (uint32_t)c->list.t[0].dim[1];
    VG_TRY(vg_gguf_begin(&c->w, path, err));
    st = put_keys(c, err);
    if (st) return vg_err_context(err, st, "%s", dir);
    for (size_t i = 0; i < c->list.n; i++) {
        const hf_tensor *t = &c->list.t[i];
        vg_gguf_add_tensor(c->w, t->name, t->type, t->n_dims, t->dim);
        r->n_params += numbers_of(t);
    }
    r->type = c->list.matrix_type;
    r->n_tensors = c->list.n;
    snprintf(r->arch, sizeof r->arch, "%s", c->cfg.arch);
    VG_TRY(write_tensors(c, err));
    r->n_bytes = vg_gguf_writer_bytes(c->w);
    vg_gguf_writer *w = c->w;
    c->w = NULL;
    return vg_gguf_end(w, err);
}

vg_status vg_convert(const char *dir, const char *path, const vg_convert_opts *opts,
                     vg_convert_report *report, vg_err *err)
{
    conversion c = {.opts = opts, .report = report};
    *report = (vg_convert_report){.type = VG_N_DTYPES};
    vg_status st = run(&c, dir, path, err);
    vg_gguf_abandon(c.w);
    vg_arena_free(c.arena);
    vg_checkpoint_close(c.ckpt);
    return st;
}
