/* compress_int.h: what the files of a compression share: its state, the walk over a tensor, the
 * journal of a run that was stopped.
 *
 *     walk w = {.c = c, .from = tensor, .to = VG_Q4_0, .n_rows = 8, .out = out};
 *     VG_TRY(walk_run(&w, &loss, err));
 */
#ifndef VG_COMPRESS_INT_H
#define VG_COMPRESS_INT_H

#include "base/pool.h"
#include "compress/compress.h"

enum { PART_WEIGHTS = 1 << 16, CHUNK_PARTS = 32 };

struct vg_compress {
    const vg_gguf *g;
    vg_compress_opts opts;
    vg_arena *arena;
    vg_compress_tensor *tensor; /* [n] */
    size_t n, n_resumed;
    uint32_t file_type;
    vg_kv_type kv; /* never AUTO */
    const vg_quantiser *quantiser;
    vg_pool *pool;
    float **row;          /* [threads] a part's weights as floats */
    size_t row_bytes;     /* of each */
    uint64_t done, total; /* weights */
};

/* Rows of a tensor on their way to another type. */
typedef struct walk {
    vg_compress *c;
    const vg_gguf_tensor *from;
    vg_dtype to;
    uint64_t first, n_rows; /* of this chunk, at most walk_chunk() rows */
    uint8_t *out;           /* [n_rows] of `to` */
    vg_quantise_loss *loss; /* [parts] */
    uint64_t *bad;          /* [parts] weight that is not finite; UINT64_MAX: none */
    void (*beside)(void *arg); /* done at the same time, by one thread; NULL: nothing */
    void *arg;
} walk;

uint64_t compress_rows(const vg_gguf_tensor *t); /* of all matrices of a stack */
/* Rows that a chunk has at most. */
uint64_t walk_chunk(const vg_gguf_tensor *t);
/* Quantises a chunk and adds its loss up. Errors: NUMERIC. */
VG_NODISCARD vg_status walk_run(walk *w, vg_quantise_loss *loss, vg_err *err);

/* Chooses types under opts.size_bytes; header_bytes is what the file has beside tensors. */
VG_NODISCARD vg_status compress_solve(vg_compress *c, uint64_t header_bytes, vg_err *err);
/* Sets the type that a tensor gets when `wanted` is asked for. */
void compress_set_type(vg_compress_tensor *t, vg_dtype wanted);
/* Tells how far the run is. Errors: CANCELLED. */
VG_NODISCARD vg_status compress_report(vg_compress *c, const vg_compress_now *now, vg_err *err);

/* The journal beside a file that is not whole yet: how many tensors are safe, and their losses. */
uint64_t journal_plan(const vg_compress *c); /* a hash of the input and of all that was decided */
/* NOT_FOUND where there is none; FORMAT where it is another plan's. */
VG_NODISCARD vg_status journal_read(vg_compress *c, const char *path, size_t *n_done, vg_err *err);
VG_NODISCARD vg_status journal_write(const vg_compress *c, const char *path, size_t n_done,
                                     vg_err *err);
void journal_remove(const char *path);
#endif
