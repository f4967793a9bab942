/* The engine: one model on one device, a pool of cache pages, and the scratch of one step. Steps
 * are composed here, in the order in which the caller lists the sessions; what does not fit waits
 * for the next step. After creation nothing allocates. */
#include "infer/infer_int.h"

_Static_assert((int)VG_MAX_HEAD_DIM <= (int)VG_DEVICE_MAX_HEAD_DIM,
               "a head must fit the device's buffers");

enum { SLACK_BYTES = 1 << 20, ALIGN = 64 };

static vg_status no_memory(const vg_engine *e, vg_err *err)
{
    return VG_FAIL(err, VG_E_NO_MEMORY, "no memory for the engine's %llu bytes of cache and "
                   "%llu bytes of scratch (a smaller context takes less)",
                   (unsigned long long)e->lay.plan.kv_bytes,
                   (unsigned long long)e->lay.plan.scratch_bytes);
}

static void *take(vg_engine *e, size_t n, size_t size, vg_status *st, vg_err *err)
{
    if (*st) return NULL;
    void *p = vg_arena_array(e->arena, VG_MAX(n, (size_t)1), size, ALIGN);
    if (!p) *st = no_memory(e, err);
    return p;
}

static vg_status make_scratch(vg_engine *e, vg_err *err)
{
    const vg_hparams *hp = &e->model->hp;
    const vg_layout *lay = &e->lay;
    vg_scratch *s = &e->s;
    size_t t = lay->batch_tok, rows = lay->max_rows, half = hp->n_rot / 2;
    size_t n_vocab = lay->encoder ? 0 : hp->n_vocab;
    vg_status st = VG_OK;
    s->x = take(e, rows * hp->width, sizeof *s->x, &st, err);
    s->h = take(e, t * hp->width, sizeof *s->h, &st, err);
    s->y = take(e, t * hp->width, sizeof *s->y, &st, err);
    s->q = take(e, t * lay->q_width, sizeof *s->q, &st, err);
    s->k = take(e, t * lay->k_width, sizeof *s->k, &st, err);
    s->v = take(e, t * lay->v_width, sizeof *s->v, &st, err);
    s->o = take(e, t * lay->o_width, sizeof *s->o, &st, err);
    s->gate = take(e, t * lay->ff_width, sizeof *s->gate, &st, err);
    s->up = take(e, t * lay->ff_width, sizeof *s->up, &st, err);
    s->cos = take(e, t * half, sizeof *s->cos, &st, err);
    s->sin = take(e, t * half, sizeof *s->sin, &st, err);
    s->cos_local = take(e, t * half, sizeof *s->cos_local, &st, err);
    s->sin_local = take(e, t * half, sizeof *s->sin_local, &st, err);
    s->router = take(e, t * hp->n_experts, sizeof *s->router, &st, err);
    s->routed = take(e, hp->n_experts ? t * hp->width : 0, sizeof *s->routed, &st, err);
    s->weight = take(e, t, sizeof *s->weight, &st, err);
    s->row = take(e, t, sizeof *s->row, &st, err);
    s->chosen = take(e, t * hp->n_experts, sizeof *s->chosen, &st, err);
    s->tok = take(e, rows, sizeof *s->tok, &st, err);
    s->place = take(e, rows, sizeof *s->place, &st, err);
    s->end = take(e, lay->encoder ? rows : 0, sizeof *s->end, &st, err);
    s->page = take(e, lay->n_pages, sizeof *s->page, &st, err);
    s->logit_row = take(e, t, sizeof *s->logit_row, &st, err);
    s->asker = take(e, t, sizeof *s->asker, &st, err);
    s->logits = take(e, (size_t)lay->logit_rows * n_vocab, sizeof *s->logits, &st, err);
    e->freq = take(e, half, sizeof *e->freq, &st, err);
    e->freq_local = take(e, half, sizeof *e->freq_local, &st, err);
    size_t n_threads = lay->n_threads;
    e->cand = take(e, n_threads * n_vocab, sizeof *e->cand, &st, err);
    e->touched = take(e, n_threads * n_vocab, sizeof *e->touched, &st, err);
    e->match = take(e, n_threads * lay->ctx_tok, sizeof *e->match, &st, err);
    return st;
}

static vg_status make_pages(vg_engine *e, vg_err *err)
{
    vg_pages *p = &e->pages;
    vg_status st = VG_OK;
    p->n_pages = e->lay.n_pages;
    p->page_bytes = e->lay.page_bytes;
    p->page = take(e, (size_t)p->n_pages + 1, sizeof *p->page, &st, err);
    p->tok = take(e, (size_t)p->n_pages * VG_TILE, sizeof *p->tok, &st, err);
    if (st) return st;
    vg_pages_init(p);
    p->data = vg_os_pages_new(e->lay.pages_bytes);
    return p->data ? VG_OK : no_memory(e, err);
}

/* Says how much is missing instead of letting the system kill the process later. */
static vg_status check_memory(const vg_layout *lay, vg_err *err)
{
    uint64_t need = lay->plan.kv_bytes + lay->plan.scratch_bytes, have = vg_os_memory_bytes();
    if (have == 0 || need <= have) return VG_OK;
    return VG_FAIL(err, VG_E_NO_MEMORY,
                   "%u sessions of %u tokens need %llu bytes besides the weights, %llu more than "
                   "are free (a smaller context takes less)",
                   lay->n_sessions, lay->ctx_tok, (unsigned long long)need,
                   (unsigned long long)(need - have));
}

/* The kernels that this model needs. */
static vg_selftest_set used_kernels(const vg_engine *e)
{
    vg_selftest_set set = {0};
    set.kv[e->lay.kv] = true;
    for (size_t i = 0; i < vg_model_n_views(e->model); i++) {
        const vg_tensor *t = vg_model_view(e->model, i);
        if (!t->data || t->n_rows == 1) continue;
        if (t->interleaved) set.interleaved[t->type] = true;
        else set.rows[t->type] = true;
    }
    return set;
}

static vg_status build(vg_engine *e, const vg_engine_opts *opts, const vg_kern *kern, vg_err *err)
{
    const vg_hparams *hp = &e->model->hp;
    VG_TRY(vg_layout_make(&e->lay, e->model, opts, err));
    VG_TRY(check_memory(&e->lay, err));
    VG_TRY(vg_arena_new(&e->arena, 2 * (size_t)e->lay.plan.scratch_bytes + SLACK_BYTES, err));
    vg_device_opts device = e->lay.device;
    device.isa = opts ? opts->isa : NULL;
    device.pin = opts && opts->pin;
    device.kern = kern;
    device.self_test = used_kernels(e);
    device.arena = e->arena;
    VG_TRY(vg_device_cpu(&e->device, &device, err));
    VG_TRY(make_scratch(e, err));
    VG_TRY(make_pages(e, err));
    e->share_prefix = opts && opts->share_prefix;
    e->step_tok = e->lay.batch_tok;
    vg_rope_freq(e->model, hp->rope_base, true, e->lay.ctx_tok, e->freq);
    vg_rope_freq(e->model, hp->rope_base_local, false, e->lay.ctx_tok, e->freq_local);
    e->rope_factor = vg_rope_factor(e->model);
    return VG_OK;
}

vg_status vg_engine_new_with(vg_engine **out, vg_model *m, const vg_engine_opts *opts,
                             const vg_kern *kern, vg_err *err)
{
    vg_engine *e = vg_mem_new(sizeof *e);
    if (!e) return VG_FAIL_MEMORY(err, sizeof *e);
    e->model = vg_model_ref(m);
    vg_status st = build(e, opts, kern, err);
    if (st) vg_engine_free(e);
    else *out = e;
    return st;
}

vg_status vg_engine_new(vg_engine **out, vg_model *m, const vg_engine_opts *opts, vg_err *err)
{
    return vg_engine_new_with(out, m, opts, NULL, err);
}

void vg_engine_free(vg_engine *e)
{
    if (!e) return;
    assert(e->n_open == 0);
    vg_device_free(e->device);
    vg_os_pages_free(e->pages.data, e->lay.pages_bytes);
    vg_arena_free(e->arena);
    vg_model_unref(e->model);
    vg_mem_free(e);
}

const char *vg_engine_isa(const vg_engine *e)
{
    return e->device->kern->isa;
}

void vg_engine_health(const vg_engine *e, vg_health *out)
{
    *out = e->device->health;
}

uint32_t vg_engine_threads(const vg_engine *e)
{
    return vg_pool_threads(e->device->pool);
}

void vg_engine_get_pages(const vg_engine *e, vg_page_count *out)
{
    const vg_pages *p = &e->pages;
    *out = (vg_page_count){.n_pages = p->n_pages, .n_held = p->n_pages - p->n_free - p->n_idle,
                           .n_idle = p->n_idle, .n_promised = e->n_promised,
                           .n_evicted = p->n_evicted};
}

void vg_engine_set_limits(vg_engine *e, const vg_limits *limits)
{
    uint32_t n = limits->step_tok;
    e->step_tok = n == 0 ? e->lay.batch_tok : VG_MIN(n, e->lay.batch_tok);
}

/* ---- one step ------------------------------------------------------------------------------- */

/* Whether a session before s in the list computes in this step what s needs next: then s waits, and
 * takes the page over afterwards. */
static bool is_under_way(vg_session *const *list, size_t i)
{
    const vg_session *s = list[i];
    size_t from = s->n_done;
    if (!s->engine->share_prefix || s->watch) return false;
    if (from % VG_TILE || s->n_tok - from <= VG_TILE) return false;
    for (size_t k = 0; k < i; k++) {
        const vg_session *a = list[k];
        if (a->n_taken == 0 || a->watch || a == s) continue;
        if (a->n_done - a->n_done % VG_TILE != from || a->n_tok - from < VG_TILE) continue;
        if (from && a->page[from / VG_TILE - 1] != s->page[from / VG_TILE - 1]) continue;
        if (memcmp(a->tok + from, s->tok + from, VG_TILE * sizeof *s->tok) == 0) return true;
    }
    return false;
}

/* Puts up to the step's room of a session's pending tokens into the batch. The last one of a
 * timeline wants logits, and those that are watched. */
static vg_status add_rows(vg_engine *e, vg_session *s, vg_batch *b, vg_err *err)
{
    size_t n = VG_MIN(s->n_tok - s->n_done, e->step_tok - b->n_rows);
    VG_TRY(vg_session_grow(s, s->n_done + n, err));
    for (size_t i = 0; i < n; i++, b->n_rows++) {
        size_t pos = s->n_done + i;
        e->s.tok[b->n_rows] = s->tok[pos];
        e->s.place[b->n_rows] = (vg_place){(uint32_t)pos, s->page};
        if (pos + 1 < s->n_tok && !(s->watch && pos >= s->watch_from)) continue;
        e->s.asker[b->n_logits] = s;
        e->s.logit_row[b->n_logits++] = (uint32_t)b->n_rows;
    }
    s->n_taken = n;
    return VG_OK;
}

void vg_logits_take(vg_engine *e, size_t first, size_t n)
{
    size_t n_vocab = e->model->hp.n_vocab;
    for (size_t i = 0; i < n; i++) {
        vg_session *s = e->s.asker[first + i];
        size_t pos = e->s.place[first + i].pos;
        const float *logits = e->s.logits + i * n_vocab;
        if (s->watch && pos >= s->watch_from) s->watch(s->watch_user, pos, logits);
        if (pos + 1 == s->n_tok) memcpy(s->logits, logits, n_vocab * sizeof(float));
    }
}

/* The tokens of the step count as computed, or where it failed, as not taken. */
static void finish(vg_session *const *s, size_t n_s, bool failed)
{
    for (size_t i = 0; i < n_s; i++) {
        size_t n = s[i]->n_taken;
        s[i]->n_taken = 0;
        if (n == 0) continue;
        if (failed) n = 0;
        s[i]->n_computed += n;
        vg_session_settle(s[i], s[i]->n_done + n);
        s[i]->has_logits = s[i]->n_done == s[i]->n_tok;
    }
}

static vg_status compose(vg_engine *e, vg_session *const *s, size_t n_s, vg_batch *b, vg_err *err)
{
    for (size_t i = 0; i < n_s && b->n_rows < e->step_tok; i++) {
        if (s[i]->n_taken > 0 || s[i]->n_tok == s[i]->n_done) continue; /* listed twice, or done */
        vg_session_adopt(s[i]);
        if (is_under_way(s, i)) continue;
        VG_TRY(add_rows(e, s[i], b, err));
    }
    return VG_OK;
}

vg_status vg_engine_step(vg_engine *e, vg_session *const *s, size_t n_s, vg_err *err)
{
    vg_batch b = {0};
    if (!vg_model_intact(e->model))
        return VG_FAIL(err, VG_E_IO, "the file of model %s was cut while in use", e->model->name);
    for (size_t i = 0; i < n_s; i++)
        if (s[i]->engine != e)
            return VG_FAIL(err, VG_E_USAGE, "session %zu is not this engine's", i);
    vg_status st = compose(e, s, n_s, &b, err);
    if (!st && b.n_rows > 0) st = vg_forward(e, &b, err);
    if (!st && !vg_model_intact(e->model))
        st = VG_FAIL(err, VG_E_IO, "the file of model %s was cut while in use", e->model->name);
    finish(s, n_s, st != VG_OK);
    return st;
}
