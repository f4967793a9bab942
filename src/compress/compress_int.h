/* compress_int.h: what the files of a compression share: its state, the walk over a tensor, the
 * journal of a run that was stopped.
 *
 *     walk w = {.c = c, .from = tensor, .to = VG_Q4_0, .n_rows = 8, .out = out};
 *     VG_TRY(walk_run(&w, &sum, err));
 */
#ifndef VG_COMPRESS_INT_H
#define VG_COMPRESS_INT_H

#include "base/pool.h"
#include "compress/compress.h"

enum { PART_WEIGHTS = 1 << 16, CHUNK_PARTS = 32 };

/* What a calibration says of one tensor. */
typedef struct fold {
    const float *importance; /* [n_stack, n_in]; NULL: all columns count alike */
} fold;

struct vg_compress {
    const vg_gguf *g;
    vg_compress_opts opts;
    vg_arena *arena;
    vg_compress_tensor *tensor; /* [n] */
    size_t n, n_resumed;
    vg_compress_calib_info calib_info;
    uint32_t file_type;
    vg_kv_type kv; /* never AUTO */
    const vg_quantiser *quantiser;
    vg_pool *pool;
    float **row;          /* [threads] a part's weights as floats */
    size_t row_bytes;     /* of each; after a calibration as many again follow */
    struct calib *calib;  /* NULL: none */
    uint64_t done, total; /* see vg_compress_now */
};

typedef struct walk_part {
    vg_quantise_loss loss;
    double sampled, plain; /* errors of the rows that were also searched without importances */
    uint64_t bad;          /* weight that is not finite; UINT64_MAX: none */
} walk_part;

/* Rows of a tensor on their way to another type. */
typedef struct walk {
    vg_compress *c;
    const vg_gguf_tensor *from;
    fold fold;
    vg_dtype to;
    uint64_t first, n_rows; /* of this chunk, at most walk_chunk() rows */
    uint8_t *out;           /* [n_rows] of `to` */
    walk_part *part;        /* [parts] */
    void (*beside)(void *arg); /* done at the same time, by one thread; NULL: nothing */
    void *arg;
} walk;

uint64_t compress_rows(const vg_gguf_tensor *t); /* of all matrices of a stack */
/* Rows that a chunk has at most. */
uint64_t walk_chunk(const vg_gguf_tensor *t);
/* Quantises a chunk and adds its losses up in *sum. Errors: NUMERIC. */
VG_NODISCARD vg_status walk_run(walk *w, walk_part *sum, vg_err *err);

/* Chooses types under opts.size_bytes; header_bytes is what the file has beside tensors. */
VG_NODISCARD vg_status compress_solve(vg_compress *c, uint64_t header_bytes, vg_err *err);
/* Sets the type that a tensor gets when `wanted` is asked for. */
void compress_set_type(vg_compress_tensor *t, vg_dtype wanted);
/* Tells how far the run is. Errors: CANCELLED. */
VG_NODISCARD vg_status compress_report(vg_compress *c, const vg_compress_now *now, vg_err *err);
/* Of the input file and this version. */
uint64_t compress_input_hash(const vg_compress *c);

/* The calibration of a run (calib_int.h). Tensors come in the order of their rank: 0 what it says
 * nothing of, then the layers, then the output. */
typedef struct calib calib;
uint32_t fold_rank(const vg_model *m, vg_str tensor);
VG_NODISCARD vg_status calib_begin(vg_compress *c, const char *path, vg_err *err);
void calib_end(vg_compress *c);
/* Forwards the text until the inputs of tensor t are known. Errors: NUMERIC, IO, CANCELLED. */
VG_NODISCARD vg_status calib_reach(calib *k, const vg_gguf_tensor *t, vg_err *err);
/* Of the tensor that was reached; k NULL: nothing. Its pointers hold until the next rank. */
fold calib_fold(const calib *k, const vg_gguf_tensor *t);
/* Whether it is time to keep the stream, before t is reached; the tensors before t must be safe. */
bool calib_is_due(const calib *k, const vg_gguf_tensor *t);
VG_NODISCARD vg_status calib_keep(calib *k, vg_err *err);
void calib_remove(const char *path); /* the file that keeps it */
uint64_t calib_work(const calib *k); /* what is left, in the progress's weights */

/* The journal beside a file that is not whole yet: how many tensors are safe, and their losses. */
uint64_t journal_plan(const vg_compress *c); /* a hash of the input and of all that was decided */
/* NOT_FOUND where there is none; FORMAT where it is another plan's. */
VG_NODISCARD vg_status journal_read(vg_compress *c, const char *path, size_t *n_done, vg_err *err);
VG_NODISCARD vg_status journal_write(const vg_compress *c, const char *path, size_t n_done,
                                     vg_err *err);
void journal_remove(const char *path);
#endif
