/* embed.c: a vector for each text. Short texts share a batch, a long one goes through in steps; of
 * its rows one is taken, or their mean. A mean is the sum of the rows in order, times 1 / n; its
 * length is computed in double: so batches and steps change no bit. The pages that a text takes are
 * given back before the call returns. */
#include <math.h>

#include "infer/infer_int.h"

typedef struct embedding {
    vg_engine *e;
    const vg_tokens *text;
    size_t n_text;
    vg_pooling pooling;
    size_t width; /* of what is kept of each vector */
    bool raw;
    float *out;   /* [n_text, width] */
} embedding;

/* ---- what is asked --------------------------------------------------------------------------- */

static vg_status check_text(const embedding *b, size_t i, vg_err *err)
{
    const vg_tokens *t = &b->text[i];
    uint32_t n_vocab = b->e->model->hp.n_vocab;
    if (t->n == 0) return VG_FAIL(err, VG_E_USAGE, "text %zu has no tokens", i);
    if (t->n > b->e->lay.ctx_tok)
        return VG_FAIL(err, VG_E_CONTEXT, "text %zu has %zu tokens, the context %u", i, t->n,
                       b->e->lay.ctx_tok);
    for (size_t k = 0; k < t->n; k++)
        if (t->id[k] < 0 || (uint32_t)t->id[k] >= n_vocab)
            return VG_FAIL(err, VG_E_USAGE,
                           "text %zu: token %d is not within the vocabulary of %u", i, t->id[k],
                           n_vocab);
    return VG_OK;
}

static vg_status read_opts(embedding *b, const vg_embed_opts *o, vg_err *err)
{
    const vg_hparams *hp = &b->e->model->hp;
    const vg_embed_opts none = {0};
    if (!o) o = &none;
    b->pooling = o->pooling ? o->pooling : hp->pooling;
    b->width = o->dimensions ? o->dimensions : hp->width;
    b->raw = o->raw;
    if (o->pooling > VG_POOL_LAST)
        return VG_FAIL(err, VG_E_USAGE, "%d is no kind of pooling", (int)o->pooling);
    if (b->pooling == VG_POOL_AUTO)
        return VG_FAIL(err, VG_E_UNSUPPORTED,
                       "model %s ranks pairs of texts (%s.pooling_type is 4), which is not "
                       "supported; a pooling that is named gives its vectors",
                       b->e->model->name, hp->arch);
    if (b->width > hp->width)
        return VG_FAIL(err, VG_E_USAGE, "%zu dimensions of vectors that have %u", b->width,
                       hp->width);
    for (size_t i = 0; i < b->n_text; i++) VG_TRY(check_text(b, i, err));
    return VG_OK;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static size_t pages_of(size_t n_tok)
{
    return (n_tok + VG_TILE - 1) / VG_TILE;
}

static uint32_t pages_left(const vg_engine *e)
{
    return e->pages.n_free + e->pages.n_idle;
}

static void give_pages(vg_engine *e, size_t from, size_t to)
{
    while (to > from) vg_pages_drop(&e->pages, e->s.page[--to]);
}

/* Takes n pages after the n_taken that are taken; false: there are fewer. Some may be promised to
 * sessions, which ask for them when the call has given them back. */
static bool take_pages(vg_engine *e, size_t n_taken, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t page = n <= pages_left(e) + i ? vg_pages_take(&e->pages) : VG_NO_PAGE;
        if (page == VG_NO_PAGE) {
            give_pages(e, n_taken, n_taken + i);
            return false;
        }
        e->s.page[n_taken + i] = page;
    }
    return true;
}

/* ---- rows of a batch ------------------------------------------------------------------------- */

/* Texts first..first+n-1, which stand in the batch as a whole, or the steps of one. */
typedef struct group {
    size_t first, n, n_pages;
    size_t n_rows; /* of all of its texts */
} group;

/* As many texts as fit a step, but one at least. */
static vg_status begin_group(const embedding *b, size_t first, group *g, vg_err *err)
{
    vg_engine *e = b->e;
    *g = (group){.first = first};
    for (size_t i = first; i < b->n_text; i++) {
        size_t n = b->text[i].n, n_pages = pages_of(n);
        if (g->n > 0 && g->n_rows + n > e->step_tok) return VG_OK;
        if (!take_pages(e, g->n_pages, n_pages)) {
            if (g->n > 0) return VG_OK;
            return VG_FAIL(err, VG_E_LIMIT,
                           "text %zu of %zu tokens needs %zu pages of the cache; the sessions that "
                           "are open leave %u of %u",
                           i, n, n_pages, pages_left(e), e->lay.n_pages);
        }
        g->n_pages += n_pages;
        g->n_rows += n;
        g->n++;
    }
    return VG_OK;
}

static bool is_kept(const embedding *b, size_t pos, size_t n_tok)
{
    return b->pooling == VG_POOL_MEAN || pos == (b->pooling == VG_POOL_CLS ? 0 : n_tok - 1);
}

/* Rows from..to-1 of all rows of a group become those of the batch. */
static vg_batch set_batch(const embedding *b, const group *g, size_t from, size_t to)
{
    vg_scratch *s = &b->e->s;
    vg_batch batch = {0};
    const uint32_t *page = s->page;
    size_t row = 0;
    for (size_t i = g->first; i < g->first + g->n; i++) {
        const vg_tokens *t = &b->text[i];
        for (size_t pos = 0; pos < t->n; pos++, row++) {
            if (row < from || row >= to) continue;
            s->tok[batch.n_rows] = t->id[pos];
            s->place[batch.n_rows] = (vg_place){(uint32_t)pos, page};
            if (b->e->lay.encoder) s->end[batch.n_rows] = (uint32_t)t->n;
            else if (is_kept(b, pos, t->n)) s->logit_row[batch.n_logits++] = (uint32_t)batch.n_rows;
            batch.n_rows++;
        }
        page += pages_of(t->n);
    }
    return batch;
}

/* Adds the kept ones of the group's rows from..to-1 to their texts' vectors. `x` has all of these
 * rows (an encoder's), or the kept ones. */
static void pool_rows(const embedding *b, const group *g, size_t from, size_t to, const float *x)
{
    const vg_kern *kern = b->e->device->kern;
    size_t row = 0;
    for (size_t i = g->first; i < g->first + g->n; i++) {
        for (size_t pos = 0; pos < b->text[i].n; pos++, row++) {
            if (row < from || row >= to) continue;
            bool kept = is_kept(b, pos, b->text[i].n);
            if (kept) kern->add(b->out + i * b->width, x, b->width);
            if (kept || b->e->lay.encoder) x += b->e->model->hp.width;
        }
    }
}

static void run_group(const embedding *b, const group *g)
{
    vg_engine *e = b->e;
    const vg_hparams *hp = &e->model->hp;
    memset(b->out + g->first * b->width, 0, g->n * b->width * sizeof *b->out);
    size_t step = e->lay.encoder ? g->n_rows : e->step_tok;
    for (size_t from = 0, to; from < g->n_rows; from = to) {
        to = VG_MIN(from + step, g->n_rows);
        vg_batch batch = set_batch(b, g, from, to);
        if (e->lay.encoder) {
            vg_encode(e, batch.n_rows);
            pool_rows(b, g, from, to, e->s.x);
            continue;
        }
        vg_forward_layers(e, &batch);
        e->device->ops->norm(e->device, e->s.x, vg_tensor_f32(&e->model->output_norm), e->s.h,
                             batch.n_logits, hp->width, hp->eps);
        pool_rows(b, g, from, to, e->s.h);
    }
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* From the sum of a text's rows to its vector. One of zeros stays what it is. */
static vg_status finish(const embedding *b, size_t i, vg_err *err)
{
    float *v = b->out + i * b->width;
    double sum = 0;
    if (b->pooling == VG_POOL_MEAN)
        for (size_t k = 0; k < b->width; k++) v[k] *= 1.0f / (float)b->text[i].n;
    for (size_t k = 0; k < b->width; k++) sum += (double)v[k] * (double)v[k];
    if (!isfinite(sum))
        return VG_FAIL(err, VG_E_NUMERIC,
                       "the vector of text %zu holds NaN or infinity: the weights of %s are "
                       "damaged (`verge inspect --check` finds the tensor)",
                       i, b->e->model->name);
    double scale = sum > 0 && !b->raw ? 1 / sqrt(sum) : 1;
    for (size_t k = 0; k < b->width; k++) v[k] = (float)((double)v[k] * scale);
    return VG_OK;
}

static vg_status check_file(const vg_engine *e, vg_err *err)
{
    if (vg_model_intact(e->model)) return VG_OK;
    return VG_FAIL(err, VG_E_IO, "the file of model %s was cut while in use", e->model->name);
}

vg_status vg_engine_embed(vg_engine *e, const vg_tokens *text, size_t n_text,
                          const vg_embed_opts *opts, float *out, vg_err *err)
{
    embedding b = {.e = e, .text = text, .n_text = n_text, .out = out};
    group g = {0};
    VG_TRY(read_opts(&b, opts, err));
    VG_TRY(check_file(e, err));
    for (size_t i = 0; i < n_text; i += g.n) {
        vg_status st = begin_group(&b, i, &g, err);
        if (!st) run_group(&b, &g);
        give_pages(e, 0, g.n_pages);
        VG_TRY(st);
        VG_TRY(check_file(e, err));
    }
    for (size_t i = 0; i < n_text; i++) VG_TRY(finish(&b, i, err));
    return VG_OK;
}
