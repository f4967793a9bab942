/* inspect_look.c: what is missing or odd in a model file that can be opened. Each finding is one
 * warning that says what it means for the user; nothing here is an error, because a strange model
 * may still be the one that its owner wants. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/inspect.h"

static void look_at_support(inspect *in)
{
    if (in->model) return;
    bool no_weights = !in->header_only && vg_gguf_n_tensors(in->gguf) == 0;
    if (no_weights) inspect_warn(in, "the file holds no weights, only metadata");
    else inspect_warn(in, "this build cannot run the model: %s", in->refusal.msg);
}

static void look_at_tokenizer(inspect *in)
{
    if (inspect_text(in, "tokenizer.chat_template").n == 0)
        inspect_warn(in, "no chat template: a conversation needs one that is given separately");
    if (!vg_gguf_find(in->gguf, "tokenizer.ggml.model"))
        inspect_warn(in, "no tokenizer: the model takes and gives token ids only");
    const vg_vocab *v = in->vocab;
    if (!v) return;
    if (vg_vocab_bos(v) < 0) inspect_warn(in, "no BOS token");
    if (vg_vocab_eos(v) < 0) inspect_warn(in, "no EOS token: answers may not end by themselves");
    bool has_turn = vg_gguf_find(in->gguf, "tokenizer.ggml.eot_token_id") != NULL;
    for (int32_t i = 0; !has_turn && i < (int32_t)vg_vocab_size(v); i++)
        has_turn = vg_vocab_is_end(v, i) && i != vg_vocab_eos(v);
    if (!has_turn) inspect_warn(in, "no end-of-turn token: EOS alone ends an answer");
    if (in->model && vg_vocab_size(v) != in->hp.n_vocab)
        inspect_warn(in, "the tokenizer has %zu tokens, the model %u", vg_vocab_size(v),
                     in->hp.n_vocab);
}

static void look_at_context(inspect *in)
{
    int64_t asked = in->opts->ctx;
    if (in->has_hp && asked > in->hp.ctx_train_tok)
        inspect_warn(in, "the model was trained for %u tokens, %lld were asked for",
                     in->hp.ctx_train_tok, (long long)asked);
}

static void look_at_cache(inspect *in)
{
    vg_kv_type kv;
    if (!vg_kv_type_read(in->gguf, &kv))
        inspect_warn(in, "%s is none of q8_0, f16, f32: the KV cache has 8 bits", VG_KV_TYPE_KEY);
}

/* general.file_type in the numbers of llama.cpp's llama_ftype, and the type that most weights of
 * such a file have. */
static const struct {
    uint32_t first, last;
    vg_dtype type;
} file_types[] = {{0, 0, VG_F32},    {1, 1, VG_F16},      {2, 2, VG_Q4_0},    {3, 3, VG_Q4_1},
                  {7, 7, VG_Q8_0},   {8, 8, VG_Q5_0},     {9, 9, VG_Q5_1},    {10, 10, VG_Q2_K},
                  {11, 13, VG_Q3_K}, {14, 15, VG_Q4_K},   {16, 17, VG_Q5_K},  {18, 18, VG_Q6_K},
                  {25, 25, VG_IQ4_NL}, {30, 30, VG_IQ4_XS}, {32, 32, VG_BF16}, {38, 38, VG_MXFP4}};

static void look_at_types(inspect *in)
{
    const vg_gguf_tensor *embed = vg_gguf_tensor_find(in->gguf, "token_embd.weight");
    const vg_dtype_info *info = embed ? vg_dtype_get(embed->type) : NULL;
    /* From 6 bits on, quantising the embedding does not show in the answers of common models. */
    double bits = info ? 8.0 * info->bytes / info->block : 32;
    if (bits < 6)
        inspect_warn(in, "the embedding is quantised to %s (%.3g bits a weight)", info->name, bits);
    const inspect_type *most = NULL;
    for (size_t i = 0; i < in->n_types; i++)
        if (!most || in->type[i].n_weights > most->n_weights) most = &in->type[i];
    uint32_t said;
    vg_err err;
    if (!most || vg_gguf_u32(in->gguf, "general.file_type", &said, &err)) return;
    for (size_t i = 0; i < VG_COUNT(file_types); i++) {
        if (said < file_types[i].first || said > file_types[i].last) continue;
        char name[24];
        if (most->type != file_types[i].type)
            inspect_warn(in, "general.file_type %u says %s, most weights are %s", said,
                         vg_dtype_get(file_types[i].type)->name,
                         inspect_type_name(most->type, name));
    }
}

/* ---- tensors that the model does not use ----------------------------------------------------- */

static int compare_pointers(const void *a, const void *b)
{
    const uint8_t *const *x = a, *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

static size_t add_views(const uint8_t **used, size_t n, const vg_tensor *view, size_t n_views)
{
    for (size_t i = 0; i < n_views; i++)
        if (view[i].data) used[n++] = view[i].data;
    return n;
}

/* A tensor is used where a view of the model begins at its data. A layer is a list of views, and
 * what follows them. */
static void look_at_unused(inspect *in)
{
    const vg_model *m = in->model;
    if (!m) return;
    enum { PER_LAYER = offsetof(vg_layer, windowed) / sizeof(vg_tensor) };
    const vg_tensor whole[] = {m->embed,      m->output_norm, m->output,
                               m->rope_freqs, m->rope_long,   m->rope_short,
                               m->pos_embed,  m->type_embed,  m->embed_norm,
                               m->embed_norm_bias};
    size_t room = VG_COUNT(whole) + (size_t)m->hp.n_layers * PER_LAYER, n;
    const uint8_t **used = vg_mem_new(room * sizeof *used);
    if (!used) return;
    n = add_views(used, 0, whole, VG_COUNT(whole));
    for (uint32_t i = 0; i < m->hp.n_layers; i++)
        n = add_views(used, n, (const vg_tensor *)(const void *)&m->layer[i], PER_LAYER);
    qsort(used, n, sizeof *used, compare_pointers);
    for (size_t i = 0; i < vg_gguf_n_tensors(m->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(m->gguf, i);
        if (!bsearch(&t->data, used, n, sizeof *used, compare_pointers))
            inspect_warn(in, "the model does not use the tensor '%.*s'", VG_STR_ARG(t->name));
    }
    vg_mem_free(used);
}

void inspect_look(inspect *in)
{
    look_at_support(in);
    look_at_tokenizer(in);
    look_at_context(in);
    look_at_cache(in);
    look_at_types(in);
    look_at_unused(in);
}

/* ---- values ---------------------------------------------------------------------------------- */

enum { CHUNK = 4096 }; /* weights; a multiple of every block */

/* How many of a tensor's weights are NaN or infinite. */
static uint64_t count_bad(const vg_gguf_tensor *t)
{
    float x[CHUNK];
    uint64_t bad = 0, left = inspect_weights(t), bytes = 0;
    const uint8_t *p = t->data;
    for (size_t n; left > 0; left -= n, p += bytes) {
        n = left < CHUNK ? (size_t)left : CHUNK;
        if (!vg_dtype_row_bytes(t->type, n, &bytes)) return bad;
        vg_dequant((vg_dtype)t->type, p, x, n);
        for (size_t i = 0; i < n; i++) bad += isfinite(x[i]) ? 0 : 1;
    }
    return bad;
}

vg_status inspect_check(inspect *in, vg_err *err)
{
    if (in->header_only)
        return VG_FAIL(err, VG_E_FORMAT, "%s: --check cannot look at the tensors: %s", in->path,
                       in->n_warnings ? in->warning[0] : "");
    vg_err image;
    vg_status st = in->model ? vg_image_verify(in->model, in->path, &image) : VG_E_NOT_FOUND;
    if (st && st != VG_E_NOT_FOUND) {
        in->n_bad++;
        inspect_warn(in, "the kept weights, %s.repacked: %s", in->path, image.msg);
    }
    for (size_t i = 0; i < vg_gguf_n_tensors(in->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(in->gguf, i);
        uint64_t bad = count_bad(t);
        if (!bad) continue;
        in->n_bad++;
        inspect_warn(in, "the tensor '%.*s' holds NaN or infinity in %llu of %llu weights",
                     VG_STR_ARG(t->name), (unsigned long long)bad,
                     (unsigned long long)inspect_weights(t));
    }
    return VG_OK;
}
