/* safetensors.h: reads one .safetensors file: a table of tensors with their places in the mapping,
 * every number of which was checked against the file.
 *
 *     vg_safetensors *st;
 *     VG_TRY(vg_safetensors_open(&st, "model.safetensors", err));
 *     for (size_t i = 0; i < vg_safetensors_n(st); i++) {
 *         const vg_st_tensor *t = vg_safetensors_at(st, i);
 *         use(t->data, t->n_bytes);
 *     }
 *     vg_safetensors_close(st);
 *
 * Everything returned lives until close. */
#ifndef VG_SAFETENSORS_H
#define VG_SAFETENSORS_H

#include "base/os.h"

typedef enum vg_st_dtype {
    VG_ST_BOOL, VG_ST_U8, VG_ST_I8, VG_ST_F8_E4M3, VG_ST_F8_E5M2, VG_ST_F8_E8M0, VG_ST_U16,
    VG_ST_I16, VG_ST_F16, VG_ST_BF16, VG_ST_U32, VG_ST_I32, VG_ST_F32, VG_ST_U64, VG_ST_I64,
    VG_ST_F64, VG_ST_C64,
    VG_ST_N_DTYPES
} vg_st_dtype;

enum { VG_ST_MAX_DIMS = 8 };

typedef struct vg_safetensors vg_safetensors;

typedef struct vg_st_tensor {
    vg_str name;
    vg_st_dtype dtype;
    uint32_t n_dims; /* 0: a single number */
    uint64_t dim[VG_ST_MAX_DIMS]; /* as in the file: the last one is the fastest */
    const uint8_t *data; /* unaligned, little endian */
    uint64_t n_bytes;
    const vg_safetensors *file;
} vg_st_tensor;

/* Errors: NOT_FOUND, IO, FORMAT, UNSUPPORTED (a type of number), LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_safetensors_open(vg_safetensors **out, const char *path, vg_err *err);
/* The same from bytes, which must outlive it. */
VG_NODISCARD vg_status vg_safetensors_open_memory(vg_safetensors **out, const void *data, size_t n,
                                                  vg_err *err);
void vg_safetensors_close(vg_safetensors *st); /* NULL is fine */

size_t vg_safetensors_n(const vg_safetensors *st);
const vg_st_tensor *vg_safetensors_at(const vg_safetensors *st, size_t i); /* in data's order */
/* vg_file_want, vg_file_drop and vg_file_intact of the mapping. */
void vg_safetensors_want(const vg_safetensors *st, const void *p, size_t n);
void vg_safetensors_drop(const vg_safetensors *st, const void *p, size_t n);
bool vg_safetensors_intact(const vg_safetensors *st);

const char *vg_st_dtype_name(vg_st_dtype t); /* "BF16" */
size_t vg_st_dtype_bytes(vg_st_dtype t);
#endif
