/* load_int.h: what the files that fetch a model's weights share: the threads and the progress of
 * loading, and the list of matrices that are repacked.
 *
 *     repack r;
 *     VG_TRY(repack_list(&r, m, err));
 *     r.to = vg_os_pages_new(r.n_bytes);
 *     for (uint32_t i = 0; i < r.n_parts; i++) repack_part(&r, i);
 *     repack_bind(&r, r.to);
 */
#ifndef VG_LOAD_INT_H
#define VG_LOAD_INT_H

#include "base/os.h"
#include "base/pool.h"
#include "model/model.h"

/* One matrix of the model, or a stack of them, in its place in the block of repacked weights. */
typedef struct repack_matrix {
    vg_tensor *view; /* the model's, of the file until repack_bind */
    size_t at;       /* of the block, a multiple of 64 */
    size_t rows_per_part, parts_per_matrix;
    uint32_t first_part;
} repack_matrix;

typedef struct repack {
    const vg_gguf *gguf;
    repack_matrix *matrix; /* [n] in the model's arena */
    size_t n, n_bytes;     /* of the block */
    uint32_t n_parts;
    uint8_t *to;           /* [n_bytes] the block */
} repack;

/* Lists what interleaves. n_bytes 0: nothing does. Errors: NO_MEMORY. */
VG_NODISCARD vg_status repack_list(repack *r, vg_model *m, vg_err *err);
/* Copies part `part` into the block, and lets the pages that it read go. Bytes of it. */
size_t repack_part(const repack *r, uint32_t part);
/* From here on the model reads the block at `data`. */
void repack_bind(const repack *r, const uint8_t *data);
#endif
