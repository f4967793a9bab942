/* infer_int.h: what the files of src/infer share: the plan's layout, the engine, a session, and one
 * batch on its way through forward.c. No other module includes it.
 *
 *     vg_layout lay;
 *     VG_TRY(vg_layout_make(&lay, model, opts, err));
 *     VG_TRY(vg_forward(engine, &batch, err));
 */
#ifndef VG_INFER_INT_H
#define VG_INFER_INT_H

#include "base/os.h"
#include "device/device.h"
#include "infer/pages.h"
#include "infer/sample.h"
#include "model/grammar.h"
#include "model/model.h"

/* Sizes of everything that an engine holds, computed before anything is allocated. */
typedef struct vg_layout {
    bool encoder; /* its pages hold one layer of the texts of a batch, and are scratch */
    uint32_t n_threads, ctx_tok, n_sessions, batch_tok, logit_rows;
    uint64_t kv_tok;
    uint32_t max_rows; /* of a batch: batch_tok, or one text of an encoder */
    vg_kv_kind kv;
    size_t layer_page_bytes; /* keys and values of one page in one layer */
    size_t page_bytes;       /* of one page in all layers; of an encoder in one */
    uint32_t pages_per_session, n_pages;
    size_t pages_bytes;      /* of all of them */
    size_t q_width, k_width, v_width, o_width, ff_width; /* of one token, in floats */
    vg_device_opts device; /* its arena is not set */
    vg_plan plan;
} vg_layout;

VG_NODISCARD vg_status vg_layout_make(vg_layout *lay, const vg_model *m, const vg_engine_opts *opts,
                                      vg_err *err);

/* Buffers of one step, T = batch_tok; the shapes stand beside them. */
typedef struct vg_scratch {
    float *x;    /* [max_rows, width] the residual stream */
    float *h;    /* [T, width] after a norm */
    float *y;    /* [T, width] what a block adds */
    float *q;    /* [T, n_heads * dim_k] */
    float *k;    /* [T, n_kv_heads * dim_k] */
    float *v;    /* [T, n_kv_heads * dim_v] */
    float *o;    /* [T, n_heads * dim_v] */
    float *gate; /* [T, n_ff] */
    float *up;   /* [T, n_ff] */
    float *cos, *sin;             /* [T, n_rot / 2] */
    float *cos_local, *sin_local; /* the same for windowed layers of a family with its own base */
    float *router;  /* [T, n_experts] */
    float *routed;  /* [T, width] tokens of one expert */
    float *weight;  /* [T] their weights */
    uint32_t *row;  /* [T] their rows */
    bool *chosen;   /* [T, n_experts] */
    int32_t *tok;    /* [max_rows] */
    vg_place *place; /* [max_rows] */
    uint32_t *end;   /* [max_rows] of encoders */
    uint32_t *page;  /* [n_pages] of the texts of vg_engine_embed */
    uint32_t *logit_row; /* [T] rows that want logits */
    vg_session **asker;  /* [T] whose they are */
    float *logits;  /* [logit_rows, n_vocab] */
} vg_scratch;

struct vg_engine {
    vg_model *model; /* a reference of ours */
    vg_arena *arena; /* scratch */
    vg_device *device;
    vg_layout lay;
    vg_scratch s;
    vg_pages pages;
    bool share_prefix;
    uint32_t n_promised; /* pages that open sessions may still ask for */
    uint32_t step_tok;   /* tokens of one step, at most batch_tok */
    double *freq, *freq_local; /* [n_rot / 2] radians a position */
    float rope_factor;         /* of cosines and sines */
    vg_candidate *cand;        /* [n_threads, n_vocab] of the sampler */
    float *touched;            /* [n_threads, n_vocab] of the sampler */
    uint32_t *match;           /* [n_threads, ctx_tok] of the sampler */
    uint32_t n_open;           /* sessions */
};

/* vg_engine_new with kernels of the caller's, for tests; NULL: the table that opts name. */
VG_NODISCARD vg_status vg_engine_new_with(vg_engine **out, vg_model *m, const vg_engine_opts *opts,
                                          const vg_kern *kern, vg_err *err);

/* The tokens of one step: rows of s.tok and s.place, and which rows want logits. */
typedef struct vg_batch {
    size_t n_rows, n_logits;
} vg_batch;

/* Runs the batch through the model. Logits come logit_rows rows at a time, each time handed to
 * vg_logits_take. Errors: NUMERIC. */
VG_NODISCARD vg_status vg_forward(vg_engine *e, const vg_batch *b, vg_err *err);

/* One block of a layer on its own, over n_rows rows of s.x, which get its output added: attention
 * in the first layer's pages of the cache (s.place tells where), or the MLP. */
void vg_forward_attention(vg_engine *e, const vg_layer *l, size_t n_rows);
void vg_forward_mlp(vg_engine *e, const vg_layer *l, size_t n_rows);

/* Gives the n rows of s.logits, which are rows first.. of those that want logits, to the sessions
 * that asked; s.place holds their positions. */
void vg_logits_take(vg_engine *e, size_t first, size_t n);

/* Runs the batch through the layers alone: s.x then holds the n_logits rows that want an output,
 * before the last norm. */
void vg_forward_layers(vg_engine *e, const vg_batch *b);

/* The same of an encoder, whose batch holds whole texts, at most lay.max_rows rows: s.end says
 * where each row's text ends, s.place[r].page are pages that nobody else uses. All rows have their
 * output in s.x. */
void vg_encode(vg_engine *e, size_t n_rows);

/* One more weight of a product; NULL bias: none. */
static inline void vg_matmul_part(vg_matmul *m, const vg_tensor *w, const vg_tensor *bias,
                                  float *out)
{
    m->part[m->n_w].w = *w;
    m->part[m->n_w].bias = bias ? vg_tensor_f32(bias) : NULL;
    m->part[m->n_w].out = out;
    m->n_w++;
}

/* Radians a position of each pair for a RoPE base, as the model scales them. */
void vg_rope_freq(const vg_model *m, float base, bool scaled, uint32_t ctx_tok, double *freq);
float vg_rope_factor(const vg_model *m);
/* Cosine and sine [n_rows, n_rot / 2] of each row's position. */
void vg_rope_angles(const vg_engine *e, const double *freq, const vg_place *place, size_t n_rows,
                    float *cos, float *sin);

struct vg_session {
    vg_engine *engine;
    vg_arena *arena, *sampling_arena;
    vg_session_opts opts;
    vg_sampler sampler;
    vg_matcher *matcher; /* NULL: no grammar */
    uint64_t *allowed;   /* the matcher's mask; NULL: no grammar */
    int32_t *tok;   /* [cap_tok] the timeline */
    size_t cap_tok; /* the context, or less where less was reserved */
    size_t n_tok, n_done; /* in it, and computed */
    uint32_t *page; /* [n_reserved] of the computed tokens, and in a step of those of the step */
    uint32_t n_pages, n_reserved;
    uint32_t n_shared; /* so many pages from the first on are in the tree: nobody writes to them */
    float *logits;  /* [n_vocab] after the last token, where has_logits */
    bool has_logits;
    size_t n_shifts;
    vg_logits_fn *watch; /* gets the logits from position watch_from on; NULL: none */
    void *watch_user;
    size_t watch_from;
    size_t n_taken; /* this session's share of the step that runs */
    size_t n_computed; /* its share of all steps */
};

/* Takes over pages of other sessions whose tokens are those that this one needs next. */
void vg_session_adopt(vg_session *s);

/* Pages for the first n_tok positions. Errors: LIMIT, which a session within its reserve meets only
 * if it went back within pages that others hold. */
VG_NODISCARD vg_status vg_session_grow(vg_session *s, size_t n_tok, vg_err *err);

/* The first n_done tokens are computed now; full pages become known to other sessions. Pages behind
 * them are given back. */
void vg_session_settle(vg_session *s, size_t n_done);
#endif
