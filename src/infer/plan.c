/* The plan: every size of an engine, computed from the model's numbers and the options by one pure
 * function, before anything is allocated. The engine allocates by it, and `verge inspect` prints
 * it, so the two cannot disagree. Every product is checked: a hostile file asks for too much in an
 * ordinary error. */
#include "infer/infer_int.h"

enum {
    DEFAULT_CTX_TOK = 4096,
    MAX_CTX_TOK = 1 << 24,
    MAX_BATCH_TOK = 1 << 16,
    MAX_SESSIONS = 4096,
    MAX_THREADS = 256,
    SHORT_TEXT_TOK = 16, /* a batch of an encoder has pages for as many texts of this length */
    READ_BYTES = 65536 /* Linux maps so much around a byte that is read */
};

/* Adds a * b * c bytes to *sum; false on overflow. */
static bool grow(uint64_t *sum, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t bytes;
    return vg_mul64(a, b, &bytes) && vg_mul64(bytes, c, &bytes) && vg_add64(*sum, bytes, sum) &&
           *sum <= SIZE_MAX / 2;
}

static vg_status read_options(vg_layout *lay, const vg_model *m, const vg_engine_opts *o,
                              vg_err *err)
{
    const vg_engine_opts none = {0};
    if (!o) o = &none;
    lay->encoder = m->hp.flags & A_ENCODER;
    lay->ctx_tok = o->ctx_tok ? o->ctx_tok : VG_MIN(m->hp.ctx_train_tok, DEFAULT_CTX_TOK);
    if (m->hp.flags & A_POS_TABLE) lay->ctx_tok = VG_MIN(lay->ctx_tok, m->hp.ctx_train_tok);
    lay->n_sessions = o->n_sessions ? o->n_sessions : 1;
    lay->batch_tok = o->batch_tok ? o->batch_tok : VG_DEFAULT_BATCH_TOK;
    lay->kv_tok = o->kv_tok;
    lay->n_threads = o->n_threads ? o->n_threads : VG_MIN(vg_os_cores(), (uint32_t)MAX_THREADS);
    if (lay->ctx_tok > MAX_CTX_TOK || lay->batch_tok > MAX_BATCH_TOK ||
        lay->n_sessions > MAX_SESSIONS || lay->n_threads > MAX_THREADS)
        return VG_FAIL(err, VG_E_USAGE,
                       "a context of %u tokens (at most %d), steps of %u (%d), %u sessions (%d), "
                       "%u threads (%d)",
                       lay->ctx_tok, MAX_CTX_TOK, lay->batch_tok, MAX_BATCH_TOK, lay->n_sessions,
                       MAX_SESSIONS, lay->n_threads, MAX_THREADS);
    lay->max_rows = VG_MAX(lay->batch_tok, lay->ctx_tok);
    lay->kv = VG_KVK_F32;
    lay->plan.kv = VG_KV_F32;
    if (lay->encoder) return VG_OK;
    /* No step can have more rows than all contexts together. */
    lay->batch_tok = (uint32_t)VG_MIN((uint64_t)lay->batch_tok,
                                      (uint64_t)lay->ctx_tok * lay->n_sessions);
    lay->max_rows = lay->batch_tok;
    lay->logit_rows = VG_MIN(VG_MAX(o->logit_rows, lay->n_sessions), lay->batch_tok);
    lay->plan.kv = o->kv ? o->kv : m->kv ? m->kv : VG_KV_Q8;
    switch (lay->plan.kv) {
    case VG_KV_AUTO: break;
    case VG_KV_Q8: lay->kv = VG_KVK_Q8; return VG_OK;
    case VG_KV_F16: lay->kv = VG_KVK_F16; return VG_OK;
    case VG_KV_F32: lay->kv = VG_KVK_F32; return VG_OK;
    }
    return VG_FAIL(err, VG_E_USAGE, "%d is no type of KV cache", (int)o->kv);
}

static bool measure_cache(vg_layout *lay, const vg_hparams *hp)
{
    size_t row = vg_kv_row_bytes(lay->kv, hp->dim_k) + vg_kv_row_bytes(lay->kv, hp->dim_v);
    uint64_t page = 0, all = 0;
    lay->layer_page_bytes = row * VG_TILE * hp->n_kv_heads;
    lay->pages_per_session = (lay->ctx_tok + VG_TILE - 1) / VG_TILE;
    uint64_t n_pages = (uint64_t)lay->pages_per_session * lay->n_sessions;
    if (n_pages > VG_NO_PAGE - 1) return false;
    if (lay->kv_tok > 0) n_pages = VG_MIN(n_pages, (lay->kv_tok + VG_TILE - 1) / VG_TILE);
    if (lay->encoder) n_pages = lay->batch_tok / SHORT_TEXT_TOK;
    lay->n_pages = VG_MAX((uint32_t)n_pages, lay->pages_per_session);
    if (!grow(&page, lay->layer_page_bytes, lay->encoder ? 1 : hp->n_layers, 1) ||
        !grow(&all, page, lay->n_pages, 1))
        return false;
    lay->page_bytes = (size_t)page;
    lay->pages_bytes = (size_t)all;
    lay->plan.kv_bytes = lay->encoder ? 0 : all;
    return true;
}

static bool measure_scratch(vg_layout *lay, const vg_hparams *hp)
{
    size_t t = lay->batch_tok, d = hp->width, n_vocab = lay->encoder ? 0 : hp->n_vocab;
    lay->q_width = (size_t)hp->n_heads * hp->dim_k;
    lay->k_width = (size_t)hp->n_kv_heads * hp->dim_k;
    lay->v_width = (size_t)hp->n_kv_heads * hp->dim_v;
    lay->o_width = (size_t)hp->n_heads * hp->dim_v;
    lay->ff_width = hp->n_ff;
    size_t widest = VG_MAX(VG_MAX(d, lay->o_width), lay->ff_width);
    lay->device = (vg_device_opts){.n_threads = lay->n_threads, .max_rows = t, .max_in = widest};
    lay->device.attention = (vg_attn_shape){hp->n_heads, hp->n_kv_heads, hp->dim_k, hp->dim_v,
                                            lay->ctx_tok};
    size_t device_bytes;
    if (!vg_device_bytes(&lay->device, &device_bytes)) return false;
    size_t floats = 4 * d + lay->q_width + lay->k_width + lay->v_width + lay->o_width +
                    2 * lay->ff_width + 2 * (size_t)hp->n_rot + hp->n_experts + 1;
    uint64_t sum = 0;
    return grow(&sum, floats, t, sizeof(float)) && grow(&sum, device_bytes, 1, 1) &&
           grow(&sum, t, 1,
                sizeof(vg_place) + sizeof(vg_session *) + 3 * sizeof(uint32_t) + hp->n_experts) &&
           grow(&sum, lay->max_rows - t, 1,
                d * sizeof(float) + sizeof(vg_place) + 2 * sizeof(uint32_t)) &&
           grow(&sum, lay->encoder ? lay->pages_bytes : 0, 1, 1) &&
           grow(&sum, (uint64_t)lay->n_sessions + lay->logit_rows, n_vocab, sizeof(float)) &&
           grow(&sum, n_vocab, lay->n_threads, sizeof(vg_candidate) + sizeof(float)) &&
           grow(&sum, lay->n_sessions + (uint64_t)lay->n_threads, lay->ctx_tok, sizeof(int32_t)) &&
           grow(&sum, VG_PAGES_BYTES(lay->n_pages) + lay->n_pages * sizeof(uint32_t), 1, 1) &&
           grow(&sum, (uint64_t)lay->n_sessions * lay->pages_per_session, 1, sizeof(uint32_t)) &&
           (lay->plan.scratch_bytes = sum, true);
}

/* What a full context keeps of a table of rows: what is mapped with each row. */
static uint64_t touched_bytes(const vg_layout *lay, const vg_tensor *t)
{
    uint64_t row = t->row_bytes + READ_BYTES, n = (uint64_t)lay->ctx_tok * lay->n_sessions;
    uint64_t all = (uint64_t)t->n_rows * t->row_bytes;
    return n < all / row ? n * row : all;
}

/* The weights by where they lie. An embedding that is not the output as well counts with the rows
 * that a context touches. */
static void measure_weights(vg_layout *lay, const vg_model *m)
{
    vg_plan *p = &lay->plan;
    uint64_t whole = vg_gguf_file_bytes(m->gguf), unread = m->n_repacked_bytes;
    uint64_t embed = (uint64_t)m->embed.n_rows * m->embed.row_bytes;
    p->repacked_bytes = m->pages ? m->n_repacked_bytes : 0;
    p->mapped_bytes = m->image.data ? m->n_repacked_bytes : 0;
    if (m->output.data != m->embed.data) {
        unread += embed;
        p->mapped_bytes += touched_bytes(lay, &m->embed);
    }
    if (!vg_gguf_mapped(m->gguf)) unread = 0; /* the caller's memory, which stays */
    p->mapped_bytes += whole - VG_MIN(unread, whole);
}

vg_status vg_layout_make(vg_layout *lay, const vg_model *m, const vg_engine_opts *opts, vg_err *err)
{
    *lay = (vg_layout){0};
    if (m->vocab_only)
        return VG_FAIL(err, VG_E_USAGE, "model %s was opened for its vocabulary only", m->name);
    VG_TRY(read_options(lay, m, opts, err));
    vg_plan *p = &lay->plan;
    measure_weights(lay, m);
    p->vocab_bytes = vg_gguf_header_bytes(m->gguf) + (m->vocab ? vg_vocab_bytes(m->vocab) : 0);
    p->ctx_tok = lay->ctx_tok;
    p->page_tok = VG_TILE;
    uint64_t total = 0;
    if (!measure_cache(lay, &m->hp) || !measure_scratch(lay, &m->hp) ||
        !grow(&total, p->mapped_bytes, 1, 1) || !grow(&total, p->repacked_bytes, 1, 1) ||
        !grow(&total, p->kv_bytes, 1, 1) || !grow(&total, p->scratch_bytes, 1, 1) ||
        !grow(&total, p->vocab_bytes, 1, 1))
        return VG_FAIL(err, VG_E_LIMIT,
                       "a context of %u tokens for %u sessions needs more bytes than this machine "
                       "can address",
                       lay->ctx_tok, lay->n_sessions);
    p->n_pages = lay->encoder ? 0 : lay->n_pages;
    p->total_bytes = total;
    return VG_OK;
}

vg_status vg_plan_make(const vg_model *m, const vg_engine_opts *opts, vg_plan *out, vg_err *err)
{
    vg_layout lay;
    VG_TRY(vg_layout_make(&lay, m, opts, err));
    *out = lay.plan;
    return VG_OK;
}
