/* calib_int.h: what the files of a calibration share: what comes into the matrices of a layer, the
 * layer's weights as they run fast, and the state that is kept beside the output.
 *
 *     VG_TRY(calib_begin(c, "out.gguf", err));
 *     VG_TRY(calib_reach(c->calib, tensor, err)); // forwards the text through its layer
 *     fold f = calib_fold(c->calib, tensor);
 *     calib_end(c);
 */
#ifndef VG_CALIB_INT_H
#define VG_CALIB_INT_H

#include "compress/compress_int.h"
#include "infer/layers.h"

/* What matrices read: each is read by all matrices that stand beside it. */
typedef enum input_slot {
    IN_QKV,    /* q, k, v: the attention's norm */
    IN_O,      /* the heads' outputs */
    IN_UP,     /* gate, up: the MLP's norm, each expert's own tokens */
    IN_DOWN,   /* the gated values */
    IN_OUTPUT, /* after the last layer: the last norm */
    N_IN
} input_slot;

/* What came into one of them: sums over rows while a layer runs, then means. n_in is 0 where the
 * model has no such product. */
typedef struct inputs {
    size_t n_in, n_stack;
    double *square, *size; /* [n_stack, n_in] of x^2, of |x| */
    uint64_t *n_rows;      /* [n_stack] */
    float *importance;     /* [n_stack, n_in] the means of x^2 over their own mean, above 0 */
    float *products;       /* [n_stack, n_floats] sums of x_i x_j, then factors (feedback.h) */
    size_t n_floats;
    bool *has_factors;     /* [n_stack] */
    /* What AWQ chose (awq.c): columns of what reads it are multiplied by scale, and what stands
     * before by inverse, whose first inverse_at are 1. The others are then of the scaled inputs. */
    bool scaled, clipped;
    float *scale, *inverse; /* [n_in], [inverse_at + scales] */
    size_t inverse_at;
    float *gram;            /* to clip by, see fold */
    double unit;            /* mean of importance before over that after */
} inputs;

typedef struct awq awq;

struct calib { /* compress_int.h has what a run calls */
    vg_compress *c;
    const char *path; /* the output's, which the state lies beside */
    vg_arena *arena;
    vg_model *model;
    vg_layers *layers;
    uint32_t seq_tok;
    int32_t *tok;     /* [n_tok] */
    size_t n_tok, x_bytes;
    float *x;         /* [n_tok, width] the residual stream before layer n_done */
    uint32_t n_done;  /* layers, n_layers + 1 when the output's inputs are known too */
    inputs in[N_IN];  /* of layer n_done - 1 */
    uint32_t n_known; /* the rank whose inputs these are; 0: none yet */
    awq *awq;         /* NULL: not wanted */
    vg_layer now;     /* the layer that is worked on, its matrices in `pages` */
    uint8_t *pages;   /* [pages_bytes] */
    size_t pages_bytes;
    uint64_t kept_ns, keeping_ns; /* when the stream was kept, and how long that took */
};

/* Tells how far it is. Errors: IO (the input was cut short), CANCELLED. */
VG_NODISCARD vg_status calib_report(calib *k, vg_err *err);

/* inputs.c */
VG_NODISCARD vg_status inputs_new(calib *k, vg_err *err);
void inputs_begin(calib *k); /* all sums are 0 */
void inputs_add(calib *k, input_slot slot, size_t expert, const float *x, size_t n_rows);
void inputs_end(calib *k);                              /* sums become means, */
VG_NODISCARD vg_status inputs_factor(calib *k, vg_err *err); /* and products factors */
bool inputs_feed(const inputs *in, size_t expert); /* whether enough rows came in for factors */
void inputs_free(calib *k);

/* calib_layer.c: a layer's matrices where and as its products run fast: 8-bit, interleaved. */
VG_NODISCARD vg_status layer_new(calib *k, vg_err *err);
void layer_free(calib *k);
VG_NODISCARD vg_status layer_take(calib *k, uint32_t il, vg_err *err); /* into k->now */

typedef struct layer_trial { /* a matrix as it will be */
    vg_dtype to;
    fold fold;
} layer_trial;
/* A view of the model's file becomes one of its copy at `out`; trial NULL: as it is. */
VG_NODISCARD vg_status layer_copy(calib *k, vg_tensor *view, const layer_trial *trial,
                                  uint8_t *out, vg_err *err);

/* awq.c: before a layer runs, and when its inputs are means and products. Errors: NUMERIC. */
VG_NODISCARD vg_status awq_new(calib *k, vg_err *err);
void awq_free(calib *k);
void awq_before(calib *k);
VG_NODISCARD vg_status awq_layer(calib *k, vg_err *err);

/* calib_file.c: PATH.calib, the residual stream before a layer, which calib_keep writes. Reading:
 * NOT_FOUND where there is none; FORMAT where it is damaged or another run's. */
VG_NODISCARD vg_status state_read(calib *k, vg_err *err);
#endif
