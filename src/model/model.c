/* Opens a model and answers what verge.h asks of one: text to tokens and back, the chat template,
 * facts. Opening is a pipeline (file, numbers, vocabulary, weights) whose first failure is the
 * error; a model that is half open is never seen by a caller. */
#include "base/os.h"
#include "model/chat.h"
#include "model/grammar.h"
#include "model/model.h"

enum { ARENA_CAP_BYTES = 64 << 20, TEXT_CAP_BYTES = 1 << 30 };

static void free_model(vg_model *m)
{
    if (!m) return;
    vg_trie_free(atomic_load(&m->trie));
    vg_vocab_free(m->vocab);
    vg_gguf_close(m->gguf);
    vg_os_pages_free(m->pages, m->n_repacked_bytes);
    vg_file_unmap(&m->image);
    vg_arena_free(m->arena);
    vg_mem_free(m);
}

/* ---- the type of KV cache -------------------------------------------------------------------- */

static const char *const kv_names[] = {"", "q8_0", "f16", "f32"};

const char *vg_kv_type_name(vg_kv_type kv)
{
    return kv_names[kv];
}

bool vg_kv_type_read(const vg_gguf *g, vg_kv_type *out)
{
    const vg_gguf_kv *kv = vg_gguf_find(g, VG_KV_TYPE_KEY);
    *out = VG_KV_AUTO;
    if (!kv) return true;
    for (vg_kv_type t = VG_KV_Q8; t <= VG_KV_F32 && kv->type == VG_GGUF_STRING; t++)
        if (vg_str_is(kv->str, kv_names[t])) *out = t;
    return *out != VG_KV_AUTO;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void count_params(vg_model *m)
{
    uint64_t of_type[VG_N_DTYPES] = {0}, most = 0;
    for (size_t i = 0; i < vg_gguf_n_tensors(m->gguf); i++) {
        const vg_gguf_tensor *t = vg_gguf_tensor_at(m->gguf, i);
        uint64_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
        m->n_params += n;
        if (t->type >= VG_N_DTYPES) continue;
        of_type[t->type] += n;
        if (of_type[t->type] <= most) continue;
        most = of_type[t->type];
        m->main_type = t->type;
    }
}

static vg_status load(vg_model *m, const char *path, const vg_model_opts *opts, vg_err *err)
{
    VG_TRY(vg_arena_new(&m->arena, ARENA_CAP_BYTES, err));
    vg_str name = VG_STR("unnamed");
    VG_TRY(vg_gguf_opt_str(m->gguf, "general.name", &name, err));
    m->name = vg_arena_text(m->arena, name);
    if (!m->name) return VG_FAIL_MEMORY(err, name.n);
    VG_TRY(vg_gguf_opt_str(m->gguf, "tokenizer.chat_template", &m->chat_template, err));
    m->has_vocab = m->vocab_only || vg_gguf_find(m->gguf, "tokenizer.ggml.model");
    count_params(m);
    if (m->vocab_only && vg_hparams_read(&m->hp, m->gguf, NULL))
        m->hp = (vg_hparams){0}; /* a tokenizer alone has none */
    if (m->vocab_only) return vg_model_load(m, path, opts, err);
    VG_TRY(vg_hparams_read(&m->hp, m->gguf, err));
    VG_TRY(vg_model_bind(m, err));
    if (!vg_kv_type_read(m->gguf, &m->kv))
        vg_model_note(m, "%s is none that this build has: the KV cache has 8 bits", VG_KV_TYPE_KEY);
    VG_TRY(vg_model_load(m, path, opts, err));
    if (m->vocab && vg_vocab_size(m->vocab) != m->hp.n_vocab)
        return VG_FAIL(err, VG_E_FORMAT, "the vocabulary has %zu tokens, the embedding %u rows",
                       vg_vocab_size(m->vocab), m->hp.n_vocab);
    return VG_OK;
}

static vg_status finish(vg_model **out, vg_gguf *g, const char *path, const vg_model_opts *opts,
                        vg_err *err)
{
    vg_model *m = vg_mem_new(sizeof *m);
    if (!m) {
        vg_gguf_close(g);
        return VG_FAIL_MEMORY(err, sizeof *m);
    }
    m->gguf = g;
    m->vocab_only = opts && opts->vocab_only;
    atomic_init(&m->n_refs, 1);
    vg_status st = load(m, path, opts, err);
    if (st) free_model(m);
    else *out = m;
    return st;
}

vg_status vg_model_open(vg_model **out, const char *path, const vg_model_opts *opts, vg_err *err)
{
    vg_gguf *g = NULL;
    VG_TRY(vg_gguf_open(&g, path, opts, err));
    vg_status st = finish(out, g, path, opts, err);
    return st ? vg_err_context(err, st, "%s", path) : VG_OK;
}

vg_status vg_model_open_memory(vg_model **out, const void *data, size_t n,
                               const vg_model_opts *opts, vg_err *err)
{
    vg_gguf *g = NULL;
    VG_TRY(vg_gguf_open_memory(&g, data, n, opts, err));
    return finish(out, g, NULL, opts, err);
}

bool vg_model_intact(const vg_model *m)
{
    return vg_gguf_intact(m->gguf) && (!m->image.data || vg_file_intact(&m->image));
}

vg_model *vg_model_ref(vg_model *m)
{
    atomic_fetch_add(&m->n_refs, 1);
    return m;
}

void vg_model_unref(vg_model *m)
{
    if (m && atomic_fetch_sub(&m->n_refs, 1) == 1) free_model(m);
}

void vg_model_get_info(const vg_model *m, vg_model_info *out)
{
    const vg_dtype_info *type = m->n_params ? vg_dtype_get(m->main_type) : NULL;
    *out = (vg_model_info){
        .name = m->name,
        .arch = m->hp.arch ? m->hp.arch : "",
        .weights = type ? type->name : "",
        .file_bytes = vg_gguf_file_bytes(m->gguf),
        .n_params = m->n_params,
        .n_layers = m->hp.n_layers,
        .n_vocab = m->vocab ? (uint32_t)vg_vocab_size(m->vocab) : m->hp.n_vocab,
        .width = m->hp.width,
        .ctx_train_tok = m->hp.ctx_train_tok,
        .bos = m->vocab ? vg_vocab_bos(m->vocab) : -1,
        .eos = m->vocab ? vg_vocab_eos(m->vocab) : -1,
        .add_bos = m->vocab && vg_vocab_adds_bos(m->vocab),
        .has_template = m->chat_template.n > 0,
        .chat_template = m->chat_template.p,
        .n_chat_template = m->chat_template.n,
        .is_encoder = m->hp.flags & A_ENCODER,
        .pooling = m->hp.pooling,
        .note = m->note,
    };
}

/* ---- text and tokens ------------------------------------------------------------------------- */

static vg_status need_vocab(const vg_model *m, vg_err *err)
{
    return m->vocab ? VG_OK : VG_FAIL(err, VG_E_NOT_FOUND, "model %s has no tokenizer", m->name);
}

vg_status vg_tokenize(const vg_model *m, const char *text, size_t n, unsigned flags,
                      vg_tokens *out, vg_err *err)
{
    VG_TRY(need_vocab(m, err));
    return vg_vocab_encode(m->vocab, (vg_str){text, n}, flags, out, err);
}

vg_status vg_decode(const vg_model *m, vg_decoder *d, int32_t id, char *buf, size_t cap, size_t *n,
                    vg_err *err)
{
    VG_TRY(need_vocab(m, err));
    return vg_vocab_decode(m->vocab, d, id, buf, cap, n, err);
}

vg_status vg_detokenize(const vg_model *m, const int32_t *id, size_t n, bool special,
                        vg_text *out, vg_err *err)
{
    VG_TRY(need_vocab(m, err));
    vg_decoder d = {.special = special};
    vg_buf b;
    vg_buf_init(&b, TEXT_CAP_BYTES);
    vg_status st = VG_OK;
    for (size_t i = 0; i <= n && !st; i++) { /* one more: -1 ends the stream */
        char piece[VG_DECODE_MAX];
        size_t n_piece = 0;
        st = vg_vocab_decode(m->vocab, &d, i < n ? id[i] : -1, piece, sizeof piece, &n_piece, err);
        if (!st) vg_buf_add(&b, piece, n_piece);
    }
    if (!st) st = vg_buf_take(&b, "decoded text", out, err);
    vg_buf_clear(&b);
    return st;
}

vg_status vg_token_bytes(const vg_model *m, int32_t id, char *buf, size_t cap, size_t *n,
                         vg_err *err)
{
    VG_TRY(need_vocab(m, err));
    return vg_vocab_token_bytes(m->vocab, id, buf, cap, n, err);
}

bool vg_token_is_end(const vg_model *m, int32_t id)
{
    return m->vocab && vg_vocab_is_end(m->vocab, id);
}

/* ---- chat ------------------------------------------------------------------------------------ */

static vg_str piece_or_empty(const vg_model *m, int32_t id)
{
    return m->vocab && id >= 0 ? vg_vocab_piece(m->vocab, id) : VG_STR("");
}

vg_status vg_chat_render(const vg_model *m, const char *json, size_t n, vg_text *out, vg_err *err)
{
    if (m->chat_template.n == 0)
        return VG_FAIL(err, VG_E_NOT_FOUND, "model %s has no chat template", m->name);
    int32_t bos = m->vocab ? vg_vocab_bos(m->vocab) : -1;
    int32_t eos = m->vocab ? vg_vocab_eos(m->vocab) : -1;
    vg_chat_opts opts = {.bos = piece_or_empty(m, bos), .eos = piece_or_empty(m, eos)};
    return vg_chat_run(m->chat_template, (vg_str){json, n}, &opts, out, err);
}

vg_status vg_template_render(const char *tmpl, size_t n_tmpl, const char *bos, const char *eos,
                             const char *json, size_t n_json, vg_text *out, vg_err *err)
{
    vg_chat_opts opts = {.bos = vg_str_from(bos), .eos = vg_str_from(eos)};
    return vg_chat_run((vg_str){tmpl, n_tmpl}, (vg_str){json, n_json}, &opts, out, err);
}
