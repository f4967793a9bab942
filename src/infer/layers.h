/* layers.h: a model one layer at a time, over many tokens, for those who want to see what comes
 * into each matrix or what a block would give with other weights (calibration). The caller holds
 * the residual stream x [n_tok, width] and brings each layer's weights; tokens stand in sequences
 * of seq_tok, the last one may be shorter.
 *
 *     vg_layers *l;
 *     vg_layers_opts opts = {.seq_tok = 512, .seen = collect, .user = &sums};
 *     VG_TRY(vg_layers_new(&l, model, &opts, err));
 *     vg_layers_embed(l, tok, n_tok, x);
 *     for (uint32_t il = 0; il < model->hp.n_layers; il++) {
 *         vg_layers_attention(l, &model->layer[il], x, n_tok);
 *         vg_layers_mlp(l, &model->layer[il], x, n_tok);
 *     }
 *     vg_layers_free(l);
 *
 * The operations are the engine's own, so what is seen is what a prompt computes. Memory: the
 * scratch of one sequence and its cache in one layer. */
#ifndef VG_LAYERS_H
#define VG_LAYERS_H

#include "model/model.h"

typedef struct vg_layers vg_layers;

/* What a product reads: x [n_rows, w->n_in], after its norm. `w` is the first of the weights that
 * read it; its data tells which. */
typedef void vg_layers_seen(void *user, const vg_tensor *w, const float *x, size_t n_rows);

typedef struct vg_layers_opts {
    uint32_t n_threads; /* 0: one for each fast core */
    uint32_t seq_tok;
    vg_layers_seen *seen; /* may be NULL */
    void *user;
} vg_layers_opts;

/* Errors: USAGE, LIMIT, NO_MEMORY, UNSUPPORTED (an encoder). Keeps a reference of the model. */
VG_NODISCARD vg_status vg_layers_new(vg_layers **out, vg_model *m, const vg_layers_opts *opts,
                                     vg_err *err);
void vg_layers_free(vg_layers *l); /* NULL is fine */

/* From now on products are told, or not. They are after creation. */
void vg_layers_watch(vg_layers *l, bool on);

void vg_layers_embed(vg_layers *l, const int32_t *tok, size_t n_tok, float *x);
/* x += block(x) */
void vg_layers_attention(vg_layers *l, const vg_layer *layer, float *x, size_t n_tok);
void vg_layers_mlp(vg_layers *l, const vg_layer *layer, float *x, size_t n_tok);
/* What the output matrix reads of n_tok tokens, at most seq_tok. */
void vg_layers_output_norm(vg_layers *l, const float *x, size_t n_tok, float *out);
#endif
