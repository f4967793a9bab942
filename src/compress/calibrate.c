/* calibrate.c: a text through the model, one layer at a time: all its tokens' residual streams are
 * in memory, and of the weights one layer. What comes into the matrices is summed up on the way,
 * and is there until the next layer. The text is cut into sequences that are taken evenly from all
 * of it; each begins as the model wants a text to begin. The stream is kept beside the output
 * before a layer now and then, so that a run that was killed goes on there. */
#include <stdio.h>

#include "compress/calib_int.h"

enum {
    SEQ_TOK = 512,              /* as the reference tools of AWQ have it */
    LEAST_TOK = 32,
    ARENA_BYTES = 1 << 29,
    WORK_OF_KEEPING = 20,       /* a stream is kept after so many times as much other work */
    TOK_OF_WEIGHT = 1000,       /* tokens go through a weight while it is quantised, about */
};

/* ---- text ------------------------------------------------------------------------------------ */

/* Sequences of seq_tok tokens, their first tokens spread evenly over the text. */
static vg_status cut_text(calib *k, vg_err *err)
{
    const vg_compress_opts *o = &k->c->opts;
    vg_model_info info;
    vg_model_get_info(k->model, &info);
    uint32_t seq = VG_MIN((uint32_t)VG_MIN(o->calib_tok, (size_t)SEQ_TOK), info.ctx_train_tok);
    size_t body = seq - info.add_bos;
    if (o->n_calib < LEAST_TOK || seq < LEAST_TOK)
        return VG_FAIL(err, VG_E_USAGE, "a calibration with %zu tokens: it takes thousands to tell "
                       "what matters", VG_MIN(o->n_calib, o->calib_tok));
    size_t n_seq = VG_MAX(VG_MIN(o->n_calib / body, o->calib_tok / seq), (size_t)1);
    body = VG_MIN(body, o->n_calib);
    k->seq_tok = (uint32_t)(body + info.add_bos);
    k->n_tok = n_seq * k->seq_tok;
    k->tok = VG_ARENA_ARRAY(k->arena, int32_t, k->n_tok);
    if (!k->tok) return VG_FAIL_MEMORY(err, k->n_tok * sizeof *k->tok);
    for (size_t i = 0; i < n_seq; i++) {
        int32_t *to = k->tok + i * k->seq_tok;
        size_t first = n_seq == 1 ? 0 : (o->n_calib - body) / (n_seq - 1) * i;
        if (info.add_bos) *to++ = info.bos;
        memcpy(to, o->calib + first, body * sizeof *to);
    }
    return VG_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static input_slot slot_of(const calib *k, const vg_tensor *w, size_t *expert)
{
    const vg_layer *l = &k->now;
    *expert = 0;
    if (w->data == l->q.data || w->data == l->k.data) return IN_QKV;
    if (w->data == l->o.data) return IN_O;
    if (w->data == l->gate.data) return IN_UP;
    if (w->data == l->down.data) return IN_DOWN;
    const vg_tensor *up = &l->gate_exps, *down = &l->down_exps;
    bool is_up = w->data >= up->data && w->data < up->data + up->n_stack * up->n_rows *
                                                                 up->row_bytes;
    const vg_tensor *all = is_up ? up : down;
    *expert = (size_t)(w->data - all->data) / (all->n_rows * all->row_bytes);
    return is_up ? IN_UP : IN_DOWN;
}

static void seen(void *user, const vg_tensor *w, const float *x, size_t n_rows)
{
    calib *k = user;
    size_t expert;
    if (w->data == k->now.router.data) return; /* it stays as it is */
    input_slot slot = slot_of(k, w, &expert);
    inputs_add(k, slot, expert, x, n_rows);
}

static vg_status build(calib *k, vg_err *err)
{
    const vg_hparams *hp = &k->model->hp;
    VG_TRY(vg_arena_new(&k->arena, ARENA_BYTES, err));
    VG_TRY(cut_text(k, err));
    VG_TRY(inputs_new(k, err));
    VG_TRY(layer_new(k, err));
    if (k->c->opts.awq) VG_TRY(awq_new(k, err));
    const vg_layers_opts opts = {.n_threads = k->c->opts.n_threads, .seq_tok = k->seq_tok,
                                 .seen = seen, .user = k};
    VG_TRY(vg_layers_new(&k->layers, k->model, &opts, err));
    if (!vg_mul(k->n_tok * sizeof(float), hp->width, &k->x_bytes))
        return VG_FAIL(err, VG_E_LIMIT, "%zu tokens are too many", k->n_tok);
    k->x = vg_os_pages_new(k->x_bytes);
    return k->x ? VG_OK : VG_FAIL_MEMORY(err, k->x_bytes);
}

/* ---- layers ---------------------------------------------------------------------------------- */

vg_status calib_report(calib *k, vg_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "layer %u of %u", k->n_done + 1, k->model->hp.n_layers);
    if (!vg_gguf_intact(k->model->gguf)) return VG_FAIL(err, VG_E_IO, "the input was cut short");
    const vg_compress_now now = {.stage = "quantising", .what = vg_str_from(name),
                                 .done = k->c->done, .total = k->c->total};
    return compress_report(k->c, &now, err);
}

/* A number that is none in the stream would make every importance none. */
static vg_status check_stream(const calib *k, vg_err *err)
{
    bool strange = false;
    for (size_t i = 0; i < k->x_bytes / sizeof(float); i++) strange |= !(k->x[i] - k->x[i] == 0);
    return strange ? VG_FAIL(err, VG_E_NUMERIC, "layer %u gives NaN or infinity for this text: its "
                             "weights are damaged (`verge inspect --check`)", k->n_done)
                   : VG_OK;
}

/* A layer's part of the progress, in weights that are quantised in the same time. */
static uint64_t layer_work(const calib *k)
{
    return k->model->n_params / k->model->hp.n_layers * k->n_tok / TOK_OF_WEIGHT;
}

static vg_status one_layer(calib *k, vg_err *err)
{
    size_t width = k->model->hp.width;
    VG_TRY(layer_take(k, k->n_done, err));
    for (size_t i = 0; i < k->n_tok; i += k->seq_tok) {
        VG_TRY(calib_report(k, err));
        vg_layers_attention(k->layers, &k->now, k->x + i * width, k->seq_tok);
        vg_layers_mlp(k->layers, &k->now, k->x + i * width, k->seq_tok);
        k->c->done += layer_work(k) * k->seq_tok / k->n_tok;
    }
    return check_stream(k, err);
}

/* What the output matrix reads: the last norm's output. */
static vg_status last_norm(calib *k, vg_err *err)
{
    size_t width = k->model->hp.width, bytes = k->seq_tok * width * sizeof(float);
    float *h = vg_os_pages_new(bytes);
    if (!h) return VG_FAIL_MEMORY(err, bytes);
    for (size_t i = 0; i < k->n_tok; i += k->seq_tok) {
        vg_layers_output_norm(k->layers, k->x + i * width, k->seq_tok, h);
        inputs_add(k, IN_OUTPUT, 0, h, k->seq_tok);
    }
    vg_os_pages_free(h, bytes);
    return VG_OK;
}

static void start(calib *k)
{
    k->n_done = 0;
    vg_layers_embed(k->layers, k->tok, k->n_tok, k->x);
}

bool calib_is_due(const calib *k, const vg_gguf_tensor *t)
{
    return k->n_done > 0 && fold_rank(k->model, t->name) > k->n_done &&
           vg_os_now_ns() - k->kept_ns >= WORK_OF_KEEPING * k->keeping_ns;
}

vg_status calib_reach(calib *k, const vg_gguf_tensor *t, vg_err *err)
{
    uint64_t begin = vg_os_now_ns();
    uint32_t rank = fold_rank(k->model, t->name);
    if (rank == 0 || rank == k->n_known) return VG_OK;
    if (k->n_done >= rank) start(k); /* a stream that was kept without its journal */
    for (; k->n_done < rank; k->n_done++) {
        bool wanted = k->n_done + 1 == rank; /* the others are on the way only */
        bool is_layer = k->n_done < k->model->hp.n_layers;
        vg_layers_watch(k->layers, wanted);
        if (wanted) inputs_begin(k);
        if (wanted && k->awq) awq_before(k);
        VG_TRY(is_layer ? one_layer(k, err) : last_norm(k, err));
        if (!wanted) continue;
        inputs_end(k);
        if (k->awq && is_layer) VG_TRY(awq_layer(k, err));
        VG_TRY(inputs_factor(k, err));
    }
    k->n_known = rank;
    k->c->calib_info.seconds += (double)(vg_os_now_ns() - begin) * 1e-9;
    return VG_OK;
}

uint64_t calib_work(const calib *k)
{
    uint32_t n_layers = k->model->hp.n_layers;
    return k->n_done < n_layers ? layer_work(k) * (n_layers - k->n_done) : 0;
}

/* ---- of a run -------------------------------------------------------------------------------- */

vg_status calib_begin(vg_compress *c, const char *path, vg_err *err)
{
    calib *k = vg_mem_new(sizeof *k);
    if (!k) return VG_FAIL_MEMORY(err, sizeof *k);
    c->calib = k;
    k->c = c;
    k->path = path;
    k->model = c->opts.model;
    VG_TRY(build(k, err));
    vg_status st = c->opts.resume ? state_read(k, err) : VG_E_NOT_FOUND;
    if (st && st != VG_E_NOT_FOUND) return st;
    if (k->n_done == 0) start(k);
    c->calib_info = (vg_compress_calib_info){.n_tok = k->n_tok, .awq = c->opts.awq};
    return VG_OK;
}

void calib_end(vg_compress *c)
{
    calib *k = c->calib;
    if (!k) return;
    vg_layers_free(k->layers);
    layer_free(k);
    inputs_free(k);
    awq_free(k);
    vg_os_pages_free(k->x, k->x_bytes);
    vg_arena_free(k->arena);
    vg_mem_free(k);
    c->calib = NULL;
}
