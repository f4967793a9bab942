/* compress.h: a GGUF file into one of smaller types, tensor by tensor.
 *
 *     vg_compress *c;
 *     vg_compress_opts opts = {.mix = vg_mix_find("Q4_K_M")};
 *     VG_TRY(vg_compress_new(&c, gguf, &opts, err));
 *     vg_status st = vg_compress_run(c, "out.gguf", err);
 *     for (size_t i = 0; i < vg_compress_n(c); i++) use(vg_compress_at(c, i));
 *     vg_compress_free(c);
 *
 * The bytes of the file depend on the input and the options alone. Memory: the header, some
 * megabytes for each thread; the input's pages leave the process once they are read. */
#ifndef VG_COMPRESS_H
#define VG_COMPRESS_H

#include "compress/mix.h"
#include "compress/quantise.h"

typedef struct vg_compress_rule {
    vg_str pattern; /* see vg_glob */
    vg_dtype type;
} vg_compress_rule;

typedef struct vg_compress_now { /* how far a run is */
    const char *stage;    /* "choosing types" (for size_bytes), "quantising" */
    vg_str what;          /* the layer or tensor that it is at */
    uint64_t done, total; /* of the stage; total 0: not known */
    const char *unit;     /* that they count: " weights"; NULL: parts of a size of their own */
} vg_compress_now;

typedef struct vg_compress_opts {
    const vg_mix *mix;
    const vg_compress_rule *rule; /* [n_rules], the first that meets a name has it */
    size_t n_rules;
    uint64_t size_bytes; /* the file's at most, whose types are then chosen; 0: as the mix says */
    vg_kv_type kv;       /* that the file will prefer; 0: as the input does, else 8-bit */
    uint32_t n_threads;  /* 0: as many as compute best */
    /* Calibration: a text that says which columns matter, of which at most calib_tok tokens are
     * taken, evenly from all of it. The model is the input's, opened with no_repack. */
    vg_model *model;
    const int32_t *calib; /* [n_calib] ids, without BOS */
    size_t n_calib, calib_tok; /* n_calib 0: none, all columns count alike */
    bool no_feedback;  /* a column's error is not made up for by the columns after it */
    bool no_importance; /* columns count alike, with neither feedback: for AWQ's scales alone */
    bool awq;          /* find scales that move weight from columns that matter to the others */
    bool resume;         /* go on where a run of the same options stopped */
    bool (*progress)(void *user, const vg_compress_now *now); /* true: stop. May be NULL */
    void *user;
} vg_compress_opts;

typedef struct vg_compress_tensor {
    const vg_gguf_tensor *from;
    vg_dtype to, wanted; /* they differ where rows are no whole number of blocks */
    bool copied;         /* byte by byte */
    bool kept;           /* because the wanted type is not smaller */
    uint64_t n_bytes;
    vg_quantise_loss loss; /* known after the run; weighted, after a calibration */
    double plain_error;    /* loss.error without a calibration, estimated; 0: not measured */
    double seconds;
} vg_compress_tensor;

typedef struct vg_compress vg_compress;

/* Decides each tensor's type, unless opts.size_bytes does. `g` and what `opts` points to live as
 * long as *out. Errors: USAGE (a rule without a tensor), NO_MEMORY. */
VG_NODISCARD vg_status vg_compress_new(vg_compress **out, const vg_gguf *g,
                                       const vg_compress_opts *opts, vg_err *err);
void vg_compress_free(vg_compress *c); /* NULL is fine */

/* Writes the file. It appears at its path when it is whole; a run that was stopped leaves
 * PATH.calib (a calibration), PATH.part and PATH.journal, from which another one with `resume`
 * goes on. Errors: USAGE (a size that cannot be), IO, FORMAT (nothing to resume of these options;
 * the input was cut short), NUMERIC (NaN or infinity, named with its place), CANCELLED. */
VG_NODISCARD vg_status vg_compress_run(vg_compress *c, const char *path, vg_err *err);

size_t vg_compress_n(const vg_compress *c);
const vg_compress_tensor *vg_compress_at(const vg_compress *c, size_t i);
vg_kv_type vg_compress_kv(const vg_compress *c);  /* what the file will prefer, never AUTO */

typedef struct vg_compress_calib_info {
    size_t n_tok; /* 0: there was no calibration */
    bool awq;
    double seconds;
} vg_compress_calib_info;

/* What AWQ did with matrices that read the same. Errors are those of a block's output on tokens of
 * the text, squares summed over the layers; norm is the block's own. */
typedef struct vg_compress_awq {
    size_t n_layers, n_scaled, n_clipped;
    double before, after, norm, seconds;
} vg_compress_awq;
enum { VG_AWQ_GROUPS = 4 }; /* q k v; attention's output; gate and up; down */
const vg_compress_awq *vg_compress_awq_at(const vg_compress *c, size_t group);
vg_compress_calib_info vg_compress_calib(const vg_compress *c); /* of the last run */
size_t vg_compress_resumed(const vg_compress *c); /* tensors that the last run found done */
#endif
