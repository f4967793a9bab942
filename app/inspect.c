/* inspect.c: opens a model file as far as it can be opened. Each stage that fails leaves a warning
 * and the next one works with what there is: a file of an unknown family still shows its metadata,
 * and a download that was cut short still shows its header. */
#include <stdio.h>

#include "app/cli.h"
#include "app/inspect.h"
#include "base/os.h"

static const size_t arena_cap = 4 << 20;

void inspect_warn(inspect *in, const char *fmt, ...)
{
    vg_err text; /* an error's text is printable, whatever the file holds */
    char raw[sizeof text.msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    vg_err_set(&text, VG_E_FORMAT, "%s", raw);
    if (in->n_warnings++ >= INSPECT_MAX_WARNINGS) return;
    const char *copy = vg_arena_text(in->arena, vg_str_from(text.msg));
    in->warning[in->n_warnings - 1] = copy ? copy : "(no memory for this warning)";
}

const char *inspect_type_name(uint32_t type, char buf[24])
{
    if (vg_dtype_get(type)) return vg_dtype_get(type)->name;
    snprintf(buf, 24, "%s (%u)", vg_gguf_tensor_type_name(type), type);
    return buf;
}

const char *inspect_pooling(const vg_hparams *hp)
{
    static const char *const names[] = {"rank", "mean", "cls", "last"};
    return names[hp->pooling];
}

vg_str inspect_text(const inspect *in, const char *key)
{
    const vg_gguf_kv *kv = vg_gguf_find(in->gguf, key);
    return kv && kv->type == VG_GGUF_STRING ? kv->str : VG_STR("");
}

uint64_t inspect_weights(const vg_gguf_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
}

static void count_types(inspect *in)
{
    for (size_t i = 0; i < vg_gguf_n_tensors(in->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(in->gguf, i);
        in->n_weights += inspect_weights(t);
        in->n_bytes += t->n_bytes;
        size_t k = 0;
        while (k < in->n_types && in->type[k].type != t->type) k++;
        if (k == INSPECT_MAX_TYPES) continue;
        if (k == in->n_types) in->type[in->n_types++].type = t->type;
        in->type[k].n_tensors++;
        in->type[k].n_weights += inspect_weights(t);
        in->type[k].n_bytes += t->n_bytes;
    }
}

/* The whole file, or only its header where something behind it is wrong. */
static vg_status open_file(inspect *in, vg_err *err)
{
    vg_err second;
    vg_model_opts header = {.vocab_only = true};
    vg_status st = vg_gguf_open(&in->gguf, in->path, NULL, err);
    if (!st || vg_gguf_open(&in->gguf, in->path, &header, &second)) return st;
    in->header_only = true;
    inspect_warn(in, "the tensors cannot be read: %s", err->msg);
    return VG_OK;
}

/* What this build makes of the file: a model, or at least its numbers and its vocabulary. */
static void open_model(inspect *in)
{
    const vg_model_opts as_it_is = {.no_repack = true};
    bool has_tensors = vg_gguf_n_tensors(in->gguf) > 0;
    if (in->header_only)
        vg_err_set(&in->refusal, VG_E_FORMAT, "its tensors cannot be read");
    else if (!has_tensors)
        vg_err_set(&in->refusal, VG_E_USAGE, "it holds no weights");
    else if (!vg_model_open(&in->model, in->path, &as_it_is, &in->refusal)) {
        in->hp = in->model->hp;
        in->has_hp = true;
        in->vocab = in->model->vocab;
        return;
    }
    vg_err err;
    in->has_hp = vg_hparams_read(&in->hp, in->gguf, &err) == VG_OK;
    vg_status st = vg_vocab_new(&in->own_vocab, in->gguf, &err);
    if (st && st != VG_E_NOT_FOUND) inspect_warn(in, "the tokenizer cannot be used: %s", err.msg);
    in->vocab = in->own_vocab;
}

static void make_plan(inspect *in)
{
    if (!in->model) return;
    vg_err err;
    vg_engine_opts opts = {.ctx_tok = (uint32_t)in->opts->ctx, .kv = cli_kv_type(in->opts->kv)};
    in->has_plan = vg_plan_make(in->model, &opts, &in->plan, &err) == VG_OK;
    if (!in->has_plan) inspect_warn(in, "no plan of its memory can be made: %s", err.msg);
    /* The plan of running it, which copies what is only mapped here. */
    in->plan.repacked_bytes = VG_MIN(vg_repack_bytes(in->model), in->plan.mapped_bytes);
    in->plan.mapped_bytes -= in->plan.repacked_bytes;
}

vg_status inspect_open(inspect *in, const char *path, const inspect_opts *opts, vg_err *err)
{
    *in = (inspect){.path = path, .opts = opts};
    vg_status st = vg_arena_new(&in->arena, arena_cap, err);
    if (!st) st = open_file(in, err);
    if (!st) {
        count_types(in);
        open_model(in);
        make_plan(in);
        inspect_look(in);
        if (opts->check) st = inspect_check(in, err);
    }
    if (!st && !vg_gguf_intact(in->gguf))
        st = VG_FAIL(err, VG_E_IO, "%s: the file changed while it was read", path);
    if (st) inspect_close(in);
    return st;
}

void inspect_close(inspect *in)
{
    vg_vocab_free(in->own_vocab);
    vg_model_unref(in->model);
    vg_gguf_close(in->gguf);
    vg_arena_free(in->arena);
    *in = (inspect){0};
}
