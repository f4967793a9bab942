/* gguf_make.h: builds small GGUF files in memory for tests, honest ones and ones that lie.
 *
 *     gguf_make m;
 *     make_begin(&m);
 *     make_str(&m, "general.architecture", "llama");
 *     make_u32(&m, "llama.block_count", 2);
 *     make_tensor(&m, "output.weight", VG_F32, 2, (uint64_t[]){32, 4}, NULL);
 *     m.tensor[0].dim[1] = UINT64_MAX;
 *     size_t n;
 *     uint8_t *file = make_end(&m, &n);
 *     free(file);
 *
 * The line about dim[1] is a lie; m.n_kv, m.version and the others may lie as well. */
#ifndef GGUF_MAKE_H
#define GGUF_MAKE_H

#include "base/base.h"
#include "kern/kern.h"
#include "model/gguf.h"

enum { MAKE_MAX_TENSORS = 256, MAKE_MAX_DIMS = 8, MAKE_NAME_BYTES = 96 };

typedef struct make_info { /* a tensor as the header describes it */
    char name[MAKE_NAME_BYTES];
    uint32_t type, n_dims;
    uint64_t dim[MAKE_MAX_DIMS];
    uint64_t offset;
} make_info;

typedef struct gguf_make { /* what a field says goes to the file, true or not */
    char magic[5];
    uint32_t version;
    uint64_t n_tensors, n_kv;
    uint64_t align; /* of the data; the key general.alignment is written by make_u32 */
    vg_buf kv, data;
    make_info tensor[MAKE_MAX_TENSORS];
    size_t n_infos; /* tensors that are written, whatever n_tensors says */
} gguf_make;

void make_begin(gguf_make *m); /* version 3, aligned to 32 bytes */
/* The file's bytes. The maker is empty again, as after make_begin. */
uint8_t *make_end(gguf_make *m, size_t *n);
/* The same into a file; the process ends when it cannot be written. */
void make_end_file(gguf_make *m, const char *path);

void make_u32(gguf_make *m, const char *key, uint32_t v);
void make_f32(gguf_make *m, const char *key, float v);
void make_bool(gguf_make *m, const char *key, bool v);
void make_str(gguf_make *m, const char *key, const char *v);
void make_strs(gguf_make *m, const char *key, const char *const *v, size_t n);
void make_f32s(gguf_make *m, const char *key, const float *v, size_t n);
void make_i32s(gguf_make *m, const char *key, const int32_t *v, size_t n);
/* Any type, `n_bytes` little-endian bytes of it. */
void make_value(gguf_make *m, const char *key, vg_gguf_type t, const void *v, size_t n_bytes);
/* Any array: the type and length that it claims, and the bytes that follow. */
void make_array(gguf_make *m, const char *key, vg_gguf_type item, uint64_t n, const void *v,
                size_t n_bytes);

/* A tensor after the last one. `data` NULL: zeros. Returns its description, to change at will. */
make_info *make_tensor(gguf_make *m, const char *name, uint32_t type, uint32_t n_dims,
                       const uint64_t *dim, const void *data);
#endif
