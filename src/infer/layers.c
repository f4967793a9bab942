/* layers.c: an engine for one layer. The model that it sees is the caller's with a single layer, so
 * that its cache and scratch are those of one; which weights that layer has is said anew for each
 * block. Products are watched by a table of operations that tells of each and passes it on. */
#include "infer/layers.h"

#include "infer/infer_int.h"

typedef struct watched_ops {
    vg_ops ops; /* first, so that the device's table leads here */
    vg_layers *owner;
} watched_ops;

struct vg_layers {
    vg_layers_opts opts;
    vg_model *model; /* a reference of ours */
    vg_model one;    /* the same with one layer; never freed by its count */
    vg_engine *engine;
    const vg_ops *plain;
    watched_ops watched;
    uint32_t *page; /* of the one sequence */
};

static void matmul(vg_device *d, const vg_matmul *m)
{
    const watched_ops *w = (const watched_ops *)(const void *)d->ops;
    const vg_layers *l = w->owner;
    l->plain->matmul(d, m);
    l->opts.seen(l->opts.user, &m->part[0].w, m->norm ? m->h : m->x, m->n_rows);
}

static vg_status build(vg_layers *l, vg_err *err)
{
    l->one = *l->model;
    atomic_init(&l->one.n_refs, 1);
    l->one.hp.n_layers = 1;
    const vg_engine_opts opts = {.n_threads = l->opts.n_threads, .ctx_tok = l->opts.seq_tok,
                                 .batch_tok = l->opts.seq_tok, .kv = VG_KV_F16};
    VG_TRY(vg_engine_new(&l->engine, &l->one, &opts, err));
    uint32_t n_pages = l->engine->lay.pages_per_session;
    l->page = vg_mem_new(n_pages * sizeof *l->page);
    if (!l->page) return VG_FAIL_MEMORY(err, n_pages * sizeof *l->page);
    for (uint32_t i = 0; i < n_pages; i++) l->page[i] = i;
    l->plain = l->engine->device->ops;
    l->watched = (watched_ops){*l->plain, l};
    l->watched.ops.matmul = matmul;
    vg_layers_watch(l, true);
    return VG_OK;
}

vg_status vg_layers_new(vg_layers **out, vg_model *m, const vg_layers_opts *opts, vg_err *err)
{
    if (m->hp.flags & A_ENCODER)
        return VG_FAIL(err, VG_E_UNSUPPORTED, "calibration of an encoder (%s) is not supported",
                       m->hp.arch);
    vg_layers *l = vg_mem_new(sizeof *l);
    if (!l) return VG_FAIL_MEMORY(err, sizeof *l);
    l->opts = *opts;
    l->model = vg_model_ref(m);
    vg_status st = build(l, err);
    if (st) vg_layers_free(l);
    else *out = l;
    return st;
}

void vg_layers_free(vg_layers *l)
{
    if (!l) return;
    vg_engine_free(l->engine);
    vg_model_unref(l->model);
    vg_mem_free(l->page);
    vg_mem_free(l);
}

void vg_layers_watch(vg_layers *l, bool on)
{
    l->engine->device->ops = on && l->opts.seen ? &l->watched.ops : l->plain;
}

void vg_layers_embed(vg_layers *l, const int32_t *tok, size_t n_tok, float *x)
{
    vg_device *d = l->engine->device;
    d->ops->embed(d, &l->one.embed, tok, n_tok, l->one.hp.embed_scale, x);
}

typedef void block_fn(vg_engine *e, const vg_layer *l, size_t n_rows);

static void each_sequence(vg_layers *l, block_fn *block, const vg_layer *layer, float *x,
                          size_t n_tok)
{
    vg_scratch *s = &l->engine->s;
    size_t width = l->one.hp.width;
    for (size_t i = 0, n; i < n_tok; i += n) {
        n = VG_MIN(n_tok - i, (size_t)l->opts.seq_tok);
        for (uint32_t r = 0; r < n; r++) s->place[r] = (vg_place){r, l->page};
        memcpy(s->x, x + i * width, n * width * sizeof *x);
        block(l->engine, layer, n);
        memcpy(x + i * width, s->x, n * width * sizeof *x);
    }
}

void vg_layers_attention(vg_layers *l, const vg_layer *layer, float *x, size_t n_tok)
{
    each_sequence(l, vg_forward_attention, layer, x, n_tok);
}

void vg_layers_mlp(vg_layers *l, const vg_layer *layer, float *x, size_t n_tok)
{
    each_sequence(l, vg_forward_mlp, layer, x, n_tok);
}

void vg_layers_output_norm(vg_layers *l, const float *x, size_t n_tok, float *out)
{
    vg_device *d = l->engine->device;
    d->ops->norm(d, x, vg_tensor_f32(&l->one.output_norm), out, n_tok, l->one.hp.width,
                 l->one.hp.eps);
}
