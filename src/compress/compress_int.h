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

/* What a calibration says of one tensor, and how it changes: W becomes diag(row) W diag(col). */
typedef struct fold {
    const float *col;        /* [n_in]; NULL: 1 */
    const float *row;        /* [n_rows]; NULL: 1 */
    const float *gram;       /* to clip by, [n_in / 32, 32, 32] E[x_i x_j]; NULL: do not clip */
    double unit;             /* losses are multiplied by it; 0: 1 */
    const float *importance; /* [n_stack, n_in]; NULL: all columns count alike */
    const float *factors;    /* [n_stack, n_factors], see feedback.h; NULL: none */
    const bool *has_factors; /* [n_stack] */
    size_t n_factors;
} fold;

struct vg_compress {
    const vg_gguf *g;
    vg_compress_opts opts;
    vg_arena *arena;
    vg_compress_tensor *tensor; /* [n] */
    size_t n, n_resumed;
    vg_compress_calib_info calib_info;
    vg_compress_awq awq[VG_AWQ_GROUPS];
    uint32_t n_awq_layers; /* that are in awq */
    uint32_t file_type;
    vg_kv_type kv; /* never AUTO */
    const vg_quantiser *quantiser;
    vg_pool *pool;
    float **row;          /* [threads] rooms, the first for a part's weights as floats */
    size_t row_bytes, n_rooms; /* of each */
    uint64_t calib_hash;  /* of the text's tokens */
    struct calib *calib;  /* NULL: none */
    uint64_t done, total; /* see vg_compress_now */
};

enum { CLIP_COLS = 32 };

/* Each thread's rooms of row_bytes: the weights as floats, and where there is a calibration what it
 * tries. */
enum { ROOM_WEIGHTS, ROOM_RESTORED, ROOM_CLIPPED, ROOM_BLOCKS, ROOM_BEST, N_ROOMS };

/* encode.c: rows as floats to blocks. */
typedef struct encode_loss {
    vg_quantise_loss loss;
    double sampled, plain; /* errors of the rows that were also searched without importances */
} encode_loss;

typedef struct encoding {
    const vg_compress *c;
    const fold *fold;
    vg_dtype to;
    size_t n_in;
    uint32_t thread;
    bool sample; /* search without importances too, to compare */
} encoding;

void *encode_room(const vg_compress *c, uint32_t thread, int room);
uint64_t encode_row_bytes(uint32_t type, uint64_t n_in);
/* n weights of any type to floats; false when one is NaN or infinite. */
bool encode_widen(const vg_quantiser *q, uint32_t type, const void *src, float *dst, size_t n);
/* n rows of a matrix of a stack, from row `first` of it on, to dst; x [n, n_in] is changed by the
 * fold, and rooms but the first are used. Adds to *out. */
void encode_rows(const encoding *e, uint64_t matrix, uint64_t first, float *x, size_t n, void *dst,
                 encode_loss *out);

typedef struct walk_part {
    encode_loss lost;
    uint64_t bad; /* weight that is not finite; UINT64_MAX: none */
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
VG_NODISCARD vg_status walk_run(walk *w, encode_loss *sum, vg_err *err);

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
