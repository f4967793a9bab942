/* inspect_json.c: an inspected file for machines: one JSON object with everything, except that
 * arrays of more than 64 items give their first ones. An array of the file is therefore an object
 * {"type", "count", "items"}. Text is escaped further than JSON asks: the control characters that
 * JSON lets through would still drive a terminal. */
#include <inttypes.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/inspect.h"
#include "base/json.h"

enum { ITEMS_SHOWN = 64 };

static void put_str(vg_buf *b, vg_str s)
{
    vg_buf text;
    vg_buf_init(&text, SIZE_MAX / 2);
    vg_json_put_str(&text, s);
    for (size_t i = 0; i < text.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(text.data + i, text.n - i, &cp);
        if (cp >= 0x7f && cp < 0xa0) vg_buf_fmt(b, "\\u%04x", (unsigned)cp);
        else vg_buf_add(b, text.data + i, n);
        i += n;
    }
    if (text.failed) b->failed = text.failed;
    vg_buf_clear(&text);
}

/* `"name":`, after a comma where something of this object or array stands before it. */
static void put_name(vg_buf *b, const char *name)
{
    char last = b->n ? b->data[b->n - 1] : '{';
    if (last != '{' && last != '[') vg_buf_char(b, ',');
    if (name) vg_buf_fmt(b, "\"%s\":", name);
}

static void put_text(vg_buf *b, const char *name, vg_str s)
{
    put_name(b, name);
    put_str(b, s);
}

static void put_u64(vg_buf *b, const char *name, uint64_t v)
{
    put_name(b, name);
    vg_buf_fmt(b, "%" PRIu64, v);
}

static void put_number(vg_buf *b, const char *name, double v)
{
    put_name(b, name);
    vg_json_put_number(b, v);
}

static void put_bool(vg_buf *b, const char *name, bool v)
{
    put_name(b, name);
    vg_buf_text(b, v ? "true" : "false");
}

static void begin(vg_buf *b, const char *name, char bracket)
{
    put_name(b, name);
    vg_buf_char(b, bracket);
}

static void put_file(vg_buf *b, const inspect *in)
{
    put_text(b, "path", vg_str_from(in->path));
    put_text(b, "name", inspect_text(in, "general.name"));
    put_text(b, "architecture", inspect_text(in, "general.architecture"));
    put_bool(b, "supported", in->model != NULL);
    if (!in->model) put_text(b, "unsupported_because", vg_str_from(in->refusal.msg));
    put_u64(b, "parameters", in->n_weights);
    put_u64(b, "file_bytes", vg_gguf_file_bytes(in->gguf));
    put_u64(b, "gguf_version", vg_gguf_version(in->gguf));
    put_u64(b, "parts", vg_gguf_n_parts(in->gguf));
}

static void put_hparams(vg_buf *b, const inspect *in)
{
    const vg_hparams *hp = &in->hp;
    if (!in->has_hp) return;
    begin(b, "hyperparameters", '{');
    put_u64(b, "layers", hp->n_layers);
    put_u64(b, "width", hp->width);
    put_u64(b, "heads", hp->n_heads);
    put_u64(b, "kv_heads", hp->n_kv_heads);
    put_u64(b, "key_dimensions", hp->dim_k);
    put_u64(b, "value_dimensions", hp->dim_v);
    put_u64(b, "mlp_width", hp->n_ff);
    put_u64(b, "experts", hp->n_experts);
    put_u64(b, "experts_used", hp->n_experts_used);
    put_u64(b, "vocabulary", hp->n_vocab);
    put_u64(b, "context_tokens", hp->ctx_train_tok);
    put_u64(b, "window_tokens", hp->window_tok);
    put_u64(b, "rope_dimensions", hp->n_rot);
    put_number(b, "rope_base", (double)hp->rope_base);
    put_number(b, "rope_scale", (double)hp->rope_scale);
    put_number(b, "norm_epsilon", (double)hp->eps);
    vg_buf_char(b, '}');
}

static void put_tokenizer(vg_buf *b, const inspect *in)
{
    put_bool(b, "chat_template", inspect_text(in, "tokenizer.chat_template").n > 0);
    const vg_vocab *v = in->vocab;
    if (!v) return;
    begin(b, "tokenizer", '{');
    put_text(b, "kind", vg_str_from(vg_vocab_kind(v)));
    put_u64(b, "tokens", vg_vocab_size(v));
    put_number(b, "bos", vg_vocab_bos(v));
    put_number(b, "eos", vg_vocab_eos(v));
    put_bool(b, "adds_bos", vg_vocab_adds_bos(v));
    vg_buf_char(b, '}');
}

static void put_plan(vg_buf *b, const inspect *in)
{
    const vg_plan *p = &in->plan;
    if (!in->has_plan) return;
    begin(b, "memory", '{');
    put_u64(b, "context_tokens", p->ctx_tok);
    put_text(b, "kv", vg_str_from(cli_kv_word(p->kv)));
    put_u64(b, "mapped_bytes", p->mapped_bytes);
    put_u64(b, "repacked_bytes", p->repacked_bytes);
    put_u64(b, "kv_bytes", p->kv_bytes);
    put_u64(b, "scratch_bytes", p->scratch_bytes);
    put_u64(b, "vocabulary_bytes", p->vocab_bytes);
    put_u64(b, "total_bytes", p->total_bytes);
    vg_buf_char(b, '}');
}

static void put_types(vg_buf *b, const inspect *in)
{
    begin(b, "types", '[');
    for (size_t i = 0; i < in->n_types; i++) {
        const inspect_type *t = &in->type[i];
        char name[24];
        begin(b, NULL, '{');
        put_text(b, "type", vg_str_from(inspect_type_name(t->type, name)));
        put_u64(b, "tensors", t->n_tensors);
        put_u64(b, "weights", t->n_weights);
        put_u64(b, "bytes", t->n_bytes);
        vg_buf_char(b, '}');
    }
    vg_buf_char(b, ']');
}

/* ---- metadata and tensors -------------------------------------------------------------------- */

static bool is_float(vg_gguf_type t)
{
    return t == VG_GGUF_F32 || t == VG_GGUF_F64;
}

static void put_array(vg_buf *b, const vg_gguf_kv *kv)
{
    vg_buf_char(b, '{');
    put_text(b, "type", vg_str_from(vg_gguf_type_name(kv->item_type)));
    put_u64(b, "count", kv->n);
    begin(b, "items", '[');
    for (uint64_t i = 0; i < VG_MIN(kv->n, (uint64_t)ITEMS_SHOWN); i++) {
        if (kv->strs) {
            put_text(b, NULL, kv->strs[i]);
        } else if (is_float(kv->item_type)) {
            put_number(b, NULL, vg_gguf_item_f64(kv, i));
        } else {
            put_name(b, NULL);
            vg_buf_fmt(b, "%" PRId64, vg_gguf_item_i64(kv, i));
        }
    }
    vg_buf_text(b, "]}");
}

static void put_value(vg_buf *b, const vg_gguf_kv *kv)
{
    switch (kv->type) {
    case VG_GGUF_STRING: put_str(b, kv->str); break;
    case VG_GGUF_ARRAY: put_array(b, kv); break;
    case VG_GGUF_BOOL: vg_buf_text(b, kv->v.u ? "true" : "false"); break;
    case VG_GGUF_F32:
    case VG_GGUF_F64: vg_json_put_number(b, kv->v.f); break;
    case VG_GGUF_I8:
    case VG_GGUF_I16:
    case VG_GGUF_I32:
    case VG_GGUF_I64: vg_buf_fmt(b, "%" PRId64, kv->v.i); break;
    default: vg_buf_fmt(b, "%" PRIu64, kv->v.u); break;
    }
}

static void put_metadata(vg_buf *b, const inspect *in)
{
    begin(b, "metadata", '{');
    for (size_t i = 0; i < vg_gguf_n_kv(in->gguf); i++) {
        const vg_gguf_kv *kv = vg_gguf_kv_at(in->gguf, i);
        put_text(b, NULL, kv->key);
        vg_buf_char(b, ':');
        put_value(b, kv);
    }
    vg_buf_char(b, '}');
}

static void put_tensors(vg_buf *b, const inspect *in)
{
    begin(b, "tensors", '[');
    for (size_t i = 0; i < vg_gguf_n_tensors(in->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(in->gguf, i);
        char name[24];
        begin(b, NULL, '{');
        put_text(b, "name", t->name);
        put_text(b, "type", vg_str_from(inspect_type_name(t->type, name)));
        begin(b, "shape", '[');
        for (uint32_t d = 0; d < t->n_dims; d++) put_u64(b, NULL, t->dim[d]);
        vg_buf_char(b, ']');
        put_u64(b, "bytes", t->n_bytes);
        put_u64(b, "part", t->part + 1);
        vg_buf_char(b, '}');
    }
    vg_buf_char(b, ']');
}

vg_status inspect_print_json(const inspect *in, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    vg_buf_char(&b, '{');
    put_file(&b, in);
    put_hparams(&b, in);
    put_tokenizer(&b, in);
    put_plan(&b, in);
    put_types(&b, in);
    put_metadata(&b, in);
    put_tensors(&b, in);
    if (in->opts->check) put_u64(&b, "tensors_not_finite", in->n_bad);
    begin(&b, "warnings", '[');
    for (size_t i = 0; i < VG_MIN(in->n_warnings, (size_t)INSPECT_MAX_WARNINGS); i++)
        put_text(&b, NULL, vg_str_from(in->warning[i]));
    vg_buf_text(&b, "]}\n");
    vg_status st = vg_buf_check(&b, "the JSON", err);
    if (!st) fwrite(b.data, 1, b.n, stdout);
    vg_buf_clear(&b);
    return st;
}
