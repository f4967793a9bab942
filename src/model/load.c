/* load.c: the long work of opening a model, shared out over the cores: the vocabulary, and the
 * weights in the layout of the kernels. One run of the pool does both, because the one waits for
 * the processor and the other for memory. Progress is told from the caller's thread alone. What
 * memory there is decides whether weights are copied: a machine that is short of it runs from the
 * mapped file, and the model's note says so. */
#include <stdatomic.h>

#include "model/load_int.h"

enum { MAX_THREADS = 8 }; /* more do not copy faster */

typedef struct load {
    vg_model *m;
    const vg_model_opts *opts;
    const repack *repack; /* NULL: nothing is copied */
    vg_status vocab_status;
    vg_err vocab_err;
    atomic_bool cancelled;
    _Atomic uint64_t done_bytes;
    uint64_t total_bytes;
} load;

static void tell(load *l, uint64_t done)
{
    if (l->opts && l->opts->progress && l->opts->progress(l->opts->user, done, l->total_bytes))
        atomic_store(&l->cancelled, true);
}

/* Part 0 is the vocabulary: the longest one begins first. */
static void load_part(void *arg, uint32_t part, uint32_t thread)
{
    load *l = arg;
    if (atomic_load(&l->cancelled)) return;
    if (part == 0) {
        vg_model *m = l->m;
        if (m->has_vocab) l->vocab_status = vg_vocab_new(&m->vocab, m->gguf, &l->vocab_err);
        return;
    }
    size_t n = repack_part(l->repack, part - 1);
    uint64_t done = atomic_fetch_add(&l->done_bytes, n) + n;
    if (thread == 0) tell(l, done);
}

static vg_status run(load *l, vg_err *err)
{
    vg_pool *pool = NULL;
    uint32_t n_parts = 1 + (l->repack ? l->repack->n_parts : 0);
    uint32_t n_threads = VG_MIN(VG_MIN(vg_os_cores(), (uint32_t)MAX_THREADS), n_parts);
    /* Where no thread can be started the caller does it alone. */
    if (vg_pool_new(&pool, n_threads, false, err)) VG_TRY(vg_pool_new(&pool, 1, false, err));
    vg_pool_run(pool, n_parts, load_part, l);
    vg_pool_free(pool);
    if (atomic_load(&l->cancelled))
        return VG_FAIL(err, VG_E_CANCELLED, "opening was cancelled by the caller");
    if (l->vocab_status && err) *err = l->vocab_err;
    if (l->vocab_status) return l->vocab_status;
    if (!vg_gguf_intact(l->m->gguf))
        return VG_FAIL(err, VG_E_IO, "the file changed while it was read");
    tell(l, l->total_bytes);
    return VG_OK;
}

/* Memory for the repacked weights, or a note why there is none. An eighth of what is free is left
 * to others, the engine's cache among them. */
static void take_pages(vg_model *m, repack *r)
{
    uint64_t free_bytes = vg_os_memory_bytes();
    bool fits = free_bytes == 0 || r->n_bytes <= free_bytes - free_bytes / 8;
    if (fits) r->to = vg_os_pages_new(r->n_bytes);
    m->pages = r->to;
    m->n_pages_bytes = r->to ? r->n_bytes : 0;
    if (!r->to)
        m->note = "memory is short: the weights are read from the file as they are, and slower";
}

vg_status vg_model_load(vg_model *m, const vg_model_opts *opts, vg_err *err)
{
    repack r = {0};
    load l = {.m = m, .opts = opts, .total_bytes = vg_gguf_file_bytes(m->gguf)};
    if (!m->vocab_only && !(opts && opts->no_repack)) VG_TRY(repack_list(&r, m, err));
    if (r.n_bytes > 0) take_pages(m, &r);
    if (r.to) l.repack = &r;
    VG_TRY(run(&l, err));
    if (r.to) repack_bind(&r, r.to);
    return VG_OK;
}
