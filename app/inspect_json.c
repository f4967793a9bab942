/* inspect_json.c: an inspected file for machines: one JSON object with everything, except that
 * arrays of more than 64 items give their first ones. An array of the file is therefore an object
 * {"type", "count", "items"}. */
#include "app/cli.h"
#include "app/inspect.h"
#include "app/json_print.h"

enum { ITEMS_SHOWN = 64 };

static void put_file(vg_buf *b, const inspect *in)
{
    vg_json_text(b, "path", in->path);
    vg_json_str(b, "name", inspect_text(in, "general.name"));
    vg_json_str(b, "architecture", inspect_text(in, "general.architecture"));
    vg_json_bool(b, "supported", in->model != NULL);
    if (!in->model) vg_json_text(b, "unsupported_because", in->refusal.msg);
    vg_json_count(b, "parameters", in->n_weights);
    vg_json_count(b, "file_bytes", vg_gguf_file_bytes(in->gguf));
    vg_json_count(b, "gguf_version", vg_gguf_version(in->gguf));
    vg_json_count(b, "parts", vg_gguf_n_parts(in->gguf));
}

static void put_hparams(vg_buf *b, const inspect *in)
{
    const vg_hparams *hp = &in->hp;
    if (!in->has_hp) return;
    vg_json_begin(b, "hyperparameters", '{');
    vg_json_count(b, "layers", hp->n_layers);
    vg_json_count(b, "width", hp->width);
    vg_json_count(b, "heads", hp->n_heads);
    vg_json_count(b, "kv_heads", hp->n_kv_heads);
    vg_json_count(b, "key_dimensions", hp->dim_k);
    vg_json_count(b, "value_dimensions", hp->dim_v);
    vg_json_count(b, "mlp_width", hp->n_ff);
    vg_json_count(b, "experts", hp->n_experts);
    vg_json_count(b, "experts_used", hp->n_experts_used);
    vg_json_count(b, "vocabulary", hp->n_vocab);
    vg_json_count(b, "context_tokens", hp->ctx_train_tok);
    vg_json_count(b, "window_tokens", hp->window_tok);
    vg_json_count(b, "rope_dimensions", hp->n_rot);
    vg_json_real(b, "rope_base", (double)hp->rope_base);
    vg_json_real(b, "rope_scale", (double)hp->rope_scale);
    vg_json_real(b, "norm_epsilon", (double)hp->eps);
    vg_json_bool(b, "encoder", hp->flags & A_ENCODER);
    vg_json_text(b, "pooling", inspect_pooling(hp));
    vg_json_end(b, '}');
}

static void put_tokenizer(vg_buf *b, const inspect *in)
{
    vg_json_bool(b, "chat_template", inspect_text(in, "tokenizer.chat_template").n > 0);
    const vg_vocab *v = in->vocab;
    if (!v) return;
    vg_json_begin(b, "tokenizer", '{');
    vg_json_text(b, "kind", vg_vocab_kind(v));
    vg_json_count(b, "tokens", vg_vocab_size(v));
    vg_json_int(b, "bos", vg_vocab_bos(v));
    vg_json_int(b, "eos", vg_vocab_eos(v));
    vg_json_bool(b, "adds_bos", vg_vocab_adds_bos(v));
    vg_json_end(b, '}');
}

static void put_plan(vg_buf *b, const inspect *in)
{
    const vg_plan *p = &in->plan;
    if (!in->has_plan) return;
    vg_json_begin(b, "memory", '{');
    vg_json_count(b, "context_tokens", p->ctx_tok);
    vg_json_text(b, "kv", cli_kv_word(p->kv));
    vg_json_count(b, "mapped_bytes", p->mapped_bytes);
    vg_json_count(b, "repacked_bytes", p->repacked_bytes);
    vg_json_count(b, "kv_bytes", p->kv_bytes);
    vg_json_count(b, "scratch_bytes", p->scratch_bytes);
    vg_json_count(b, "vocabulary_bytes", p->vocab_bytes);
    vg_json_count(b, "program_bytes", CLI_PROGRAM_BYTES);
    vg_json_count(b, "total_bytes", p->total_bytes + CLI_PROGRAM_BYTES);
    vg_json_end(b, '}');
}

static void put_types(vg_buf *b, const inspect *in)
{
    vg_json_begin(b, "types", '[');
    for (size_t i = 0; i < in->n_types; i++) {
        const inspect_type *t = &in->type[i];
        char name[24];
        vg_json_begin(b, NULL, '{');
        vg_json_text(b, "type", inspect_type_name(t->type, name));
        vg_json_count(b, "tensors", t->n_tensors);
        vg_json_count(b, "weights", t->n_weights);
        vg_json_count(b, "bytes", t->n_bytes);
        vg_json_end(b, '}');
    }
    vg_json_end(b, ']');
}

/* ---- metadata and tensors -------------------------------------------------------------------- */

static bool is_float(vg_gguf_type t)
{
    return t == VG_GGUF_F32 || t == VG_GGUF_F64;
}

static void put_array(vg_buf *b, const vg_gguf_kv *kv)
{
    vg_json_begin(b, NULL, '{');
    vg_json_text(b, "type", vg_gguf_type_name(kv->item_type));
    vg_json_count(b, "count", kv->n);
    vg_json_begin(b, "items", '[');
    for (uint64_t i = 0; i < VG_MIN(kv->n, (uint64_t)ITEMS_SHOWN); i++) {
        if (kv->strs) {
            vg_json_str(b, NULL, kv->strs[i]);
        } else if (is_float(kv->item_type)) {
            vg_json_real(b, NULL, vg_gguf_item_f64(kv, i));
        } else {
            vg_json_int(b, NULL, vg_gguf_item_i64(kv, i));
        }
    }
    vg_json_end(b, ']');
    vg_json_end(b, '}');
}

static void put_value(vg_buf *b, const vg_gguf_kv *kv)
{
    switch (kv->type) {
    case VG_GGUF_STRING: vg_json_str(b, NULL, kv->str); break;
    case VG_GGUF_ARRAY: put_array(b, kv); break;
    case VG_GGUF_BOOL: vg_json_bool(b, NULL, kv->v.u != 0); break;
    case VG_GGUF_F32:
    case VG_GGUF_F64: vg_json_real(b, NULL, kv->v.f); break;
    case VG_GGUF_I8:
    case VG_GGUF_I16:
    case VG_GGUF_I32:
    case VG_GGUF_I64: vg_json_int(b, NULL, kv->v.i); break;
    default: vg_json_count(b, NULL, kv->v.u); break;
    }
}

static void put_metadata(vg_buf *b, const inspect *in)
{
    vg_json_begin(b, "metadata", '{');
    for (size_t i = 0; i < vg_gguf_n_kv(in->gguf); i++) {
        const vg_gguf_kv *kv = vg_gguf_kv_at(in->gguf, i);
        vg_json_name(b, kv->key);
        put_value(b, kv);
    }
    vg_json_end(b, '}');
}

static void put_tensors(vg_buf *b, const inspect *in)
{
    vg_json_begin(b, "tensors", '[');
    for (size_t i = 0; i < vg_gguf_n_tensors(in->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(in->gguf, i);
        char name[24];
        vg_json_begin(b, NULL, '{');
        vg_json_str(b, "name", t->name);
        vg_json_text(b, "type", inspect_type_name(t->type, name));
        vg_json_begin(b, "shape", '[');
        for (uint32_t d = 0; d < t->n_dims; d++) vg_json_count(b, NULL, t->dim[d]);
        vg_json_end(b, ']');
        vg_json_count(b, "bytes", t->n_bytes);
        vg_json_count(b, "part", t->part + 1);
        vg_json_end(b, '}');
    }
    vg_json_end(b, ']');
}

vg_status inspect_print_json(const inspect *in, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    vg_json_begin(&b, NULL, '{');
    put_file(&b, in);
    put_hparams(&b, in);
    put_tokenizer(&b, in);
    put_plan(&b, in);
    put_types(&b, in);
    put_metadata(&b, in);
    put_tensors(&b, in);
    if (in->opts->check) vg_json_count(&b, "tensors_not_finite", in->n_bad);
    vg_json_begin(&b, "warnings", '[');
    for (size_t i = 0; i < VG_MIN(in->n_warnings, (size_t)INSPECT_MAX_WARNINGS); i++)
        vg_json_text(&b, NULL, in->warning[i]);
    vg_json_end(&b, ']');
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
