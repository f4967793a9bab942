/* convert.c: the way from a checkpoint folder to a GGUF file: open and check everything, say what
 * the file will hold, then let the weights stream through. What can be refused is refused before
 * the first byte is written; afterwards only the disk, or a checkpoint that changes under way, can
 * stop it. */
#include "compress/convert.h"

#include <math.h>
#include <stdio.h>

#include "compress/hf_int.h"
#include "compress/mix.h"

enum {
    PLAN_CAP_BYTES = 256 << 20,
    TOKENIZER_CAP_BYTES = 640 << 20,
    SAFE_NS = 2000000000
};

typedef struct conversion {
    const vg_convert_opts *opts;
    vg_checkpoint *ckpt;
    vg_arena *arena;
    hf_config cfg;
    hf_tensors list;
    vg_gguf_writer *w;
    vg_convert_report *report;
    size_t n_done;    /* tensors that are written */
    uint64_t safe_ns; /* when they were last made safe */
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

static uint64_t numbers_of(const hf_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2];
}

/* The type that most weights of matrices have. */
static vg_dtype main_type(const hf_tensors *list)
{
    uint64_t n[VG_N_DTYPES] = {0};
    vg_dtype best = list->matrix_type;
    for (size_t i = 0; i < list->n; i++)
        if (list->t[i].n_dims > 1) n[list->t[i].type] += numbers_of(&list->t[i]);
    for (int t = 0; t < VG_N_DTYPES; t++)
        if (n[t] > n[best]) best = (vg_dtype)t;
    return best;
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
    vg_gguf_put_u32(c->w, "general.file_type", vg_mix_file_type(c->report->type));
    vg_gguf_put_u32(c->w, "general.quantization_version", 2);
    return VG_OK;
}

static bool cancelled(const conversion *c, uint64_t done, uint64_t total)
{
    return c->opts->progress && c->opts->progress(c->opts->user, done, total);
}

static vg_status make_safe(conversion *c, size_t n_done, vg_err *err)
{
    VG_TRY(vg_gguf_sync(c->w, err));
    VG_TRY(c->opts->safe(c->opts->user, n_done, err));
    c->safe_ns = vg_os_now_ns();
    return VG_OK;
}

/* Progress counts the numbers that are written. */
static vg_status write_tensors(conversion *c, vg_err *err)
{
    uint64_t done = 0, total = c->report->n_params;
    c->safe_ns = vg_os_now_ns();
    for (size_t i = 0; i < c->list.n; i++) {
        c->n_done = i;
        if (cancelled(c, done, total))
            return VG_FAIL(err, VG_E_CANCELLED, "the conversion was cancelled");
        if (c->opts->safe && vg_os_now_ns() - c->safe_ns > SAFE_NS) VG_TRY(make_safe(c, i, err));
        if (i >= c->opts->n_done) VG_TRY(hf_tensor_write(&c->list.t[i], c->w, err));
        done += numbers_of(&c->list.t[i]);
    }
    if (!vg_checkpoint_intact(c->ckpt))
        return VG_FAIL(err, VG_E_IO, "%s: a file was cut short while it was read",
                       vg_checkpoint_dir(c->ckpt));
    (void)cancelled(c, total, total);
    return VG_OK;
}

/* ---- packed matrices ----------------------------------------------------------------------- */

static vg_str without_layer(vg_str name)
{
    const char *dot = vg_str_starts(name, VG_STR("blk.")) ? memchr(name.p + 4, '.', name.n - 4)
                                                          : NULL;
    return dot ? (vg_str){dot + 1, name.n - (size_t)(dot + 1 - name.p)} : name;
}

static const hf_packed *packed_of(const hf_tensor *t)
{
    for (size_t i = 0; i < t->n_src; i++)
        if (t->src[i].packed) return t->src[i].packed;
    return NULL;
}

static bool is_anew(const hf_tensor *t)
{
    for (size_t i = 0; i < t->n_src; i++)
        if (!t->src[i].packed || !hf_packed_fits(t->src[i].packed, t->type)) return true;
    return false;
}

static vg_convert_group *group_of(vg_convert_report *r, const hf_tensor *t, const hf_packed *p)
{
    vg_convert_group g = {.type = t->type, .anew = is_anew(t)};
    vg_str name = without_layer(t->name);
    snprintf(g.name, sizeof g.name, "%.*s", VG_STR_ARG(name));
    hf_packed_say(p, g.from);
    for (size_t i = 0; i < r->n_groups; i++) {
        const vg_convert_group *o = &r->group[i];
        if (o->type == g.type && o->anew == g.anew && strcmp(o->name, g.name) == 0 &&
            strcmp(o->from, g.from) == 0)
            return &r->group[i];
    }
    if (r->n_groups == VG_CONVERT_GROUPS) return &r->group[VG_CONVERT_GROUPS - 1];
    r->group[r->n_groups] = g;
    return &r->group[r->n_groups++];
}

static void report_packed(conversion *c)
{
    vg_quantise_loss loss[VG_CONVERT_GROUPS] = {{0}};
    vg_convert_report *r = c->report;
    for (size_t i = 0; i < c->list.n; i++) {
        const hf_tensor *t = &c->list.t[i];
        const hf_packed *p = packed_of(t);
        uint64_t row = 0;
        if (!p || !vg_dtype_row_bytes(t->type, t->dim[0], &row)) continue;
        vg_convert_group *g = group_of(r, t, p);
        vg_quantise_loss *l = &loss[g - r->group];
        l->error += t->loss.error;
        l->norm += t->loss.norm;
        g->n++;
        g->n_bytes += row * t->dim[1] * t->dim[2];
        g->error = l->norm > 0 ? sqrt(l->error / l->norm) : 0;
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static vg_status run(conversion *c, const char *dir, const char *path, vg_err *err)
{
    vg_convert_report *r = c->report;
    VG_TRY(vg_checkpoint_open(&c->ckpt, dir, err));
    VG_TRY(vg_arena_new(&c->arena, PLAN_CAP_BYTES, err));
    vg_status st = hf_config_read(&c->cfg, vg_checkpoint_config(c->ckpt), err);
    if (st) return vg_err_context(err, st, "%s/config.json", dir);
    st = hf_packing_read(&c->cfg.packing, c->ckpt, c->arena, err);
    if (!st) st = hf_pooling_read(c->ckpt, c->arena, &c->cfg.pooling, err);
    if (!st) st = hf_tensors_plan(&c->list, &c->cfg, c->ckpt, c->opts->type, c->arena, err);
    if (st) return vg_err_context(err, st, "%s", dir);
    /* Some configurations leave it to their family; the embedding, which comes first, knows. */
    if (c->list.t[0].dim[1] > INT32_MAX)
        return VG_FAIL(err, VG_E_LIMIT, "%s: more tokens than 2^31", dir);
    c->cfg.n_vocab = (uint32_t)c->list.t[0].dim[1];
    r->type = main_type(&c->list);
    VG_TRY(c->opts->n_done ? vg_gguf_resume(&c->w, path, err) : vg_gguf_begin(&c->w, path, err));
    st = put_keys(c, err);
    if (st) return vg_err_context(err, st, "%s", dir);
    for (size_t i = 0; i < c->list.n; i++) {
        const hf_tensor *t = &c->list.t[i];
        vg_gguf_add_tensor(c->w, t->name, t->type, t->n_dims, t->dim);
        r->n_params += numbers_of(t);
    }
    r->n_tensors = c->list.n;
    snprintf(r->arch, sizeof r->arch, "%s", c->cfg.arch);
    if (c->opts->n_done) VG_TRY(vg_gguf_skip(c->w, c->opts->n_done, err));
    VG_TRY(write_tensors(c, err));
    report_packed(c);
    r->n_bytes = vg_gguf_writer_bytes(c->w);
    vg_gguf_writer *w = c->w;
    c->w = NULL;
    return vg_gguf_end(w, err);
}

/* What was written stays where another run can go on from it; what is not safe it writes again. */
static void stop(conversion *c, vg_status why)
{
    bool keep = c->w && c->opts->safe && (why == VG_E_CANCELLED || why == VG_E_IO);
    if (keep && c->n_done > c->opts->n_done) VG_UNUSED(make_safe(c, c->n_done, NULL));
    if (keep) vg_gguf_keep(c->w);
    else vg_gguf_abandon(c->w);
}

vg_status vg_convert(const char *dir, const char *path, const vg_convert_opts *opts,
                     vg_convert_report *report, vg_err *err)
{
    conversion c = {.opts = opts, .report = report};
    *report = (vg_convert_report){.type = VG_N_DTYPES};
    vg_status st = run(&c, dir, path, err);
    stop(&c, st);
    vg_arena_free(c.arena);
    vg_checkpoint_close(c.ckpt);
    return st;
}
