/* gguf.h: reads GGUF v2 and v3 files (the format's specification is in ggml's docs/gguf.md) through
 * one bounded cursor, never trusting a number before it is checked against the file.
 *
 *     vg_gguf *g;
 *     VG_TRY(vg_gguf_open(&g, "model.gguf", NULL, err));
 *     uint32_t n_layers;
 *     VG_TRY(vg_gguf_u32(g, "llama.block_count", &n_layers, err));
 *     const vg_gguf_tensor *t = vg_gguf_tensor_find(g, "output.weight");
 *     vg_gguf_close(g);
 *
 * Everything returned points into the mapping or the reader's arena and lives until close. */
#ifndef VG_GGUF_H
#define VG_GGUF_H

#include "base/os.h"

typedef enum vg_gguf_type { /* numbers of the format */
    VG_GGUF_U8, VG_GGUF_I8, VG_GGUF_U16, VG_GGUF_I16, VG_GGUF_U32, VG_GGUF_I32, VG_GGUF_F32,
    VG_GGUF_BOOL, VG_GGUF_STRING, VG_GGUF_ARRAY, VG_GGUF_U64, VG_GGUF_I64, VG_GGUF_F64,
    VG_GGUF_N_TYPES
} vg_gguf_type;

typedef struct vg_gguf_kv {
    vg_str key;
    vg_gguf_type type;
    union {
        uint64_t u; /* unsigned integers and BOOL */
        int64_t i;  /* signed integers */
        double f;   /* F32, F64 */
    } v;
    vg_str str;             /* STRING */
    vg_gguf_type item_type; /* ARRAY: never ARRAY itself (nested arrays are refused) */
    uint64_t n;             /* ARRAY: items */
    const uint8_t *items;   /* ARRAY of numbers: little endian, unaligned; read with the getters */
    const vg_str *strs;     /* ARRAY of STRING: [n] */
} vg_gguf_kv;

typedef struct vg_gguf_tensor {
    vg_str name;
    uint32_t type;     /* ggml type id; known to vg_dtype_get (but see vocab_only below) */
    uint32_t n_dims;   /* 1..4 */
    uint64_t dim[4];   /* dim[0] is the fastest (columns); unused ones are 1 */
    const uint8_t *data; /* in the mapping, inside the file by check; NULL in vocab_only mode */
    uint64_t n_bytes;
    uint32_t part;     /* which file of a split set */
} vg_gguf_tensor;

typedef struct vg_gguf vg_gguf;

/* `opts` may be NULL; vocab_only leaves tensor data out: absent data and absent parts of a split
 * set are then no error, nor are tensor types unknown to this build (n_bytes is 0). */
VG_NODISCARD vg_status vg_gguf_open(vg_gguf **out, const char *path, const vg_model_opts *opts,
                                    vg_err *err);
VG_NODISCARD vg_status vg_gguf_open_memory(vg_gguf **out, const void *data, size_t n,
                                           const vg_model_opts *opts, vg_err *err);
void vg_gguf_close(vg_gguf *g);

uint32_t vg_gguf_version(const vg_gguf *g);
uint32_t vg_gguf_n_parts(const vg_gguf *g);
uint64_t vg_gguf_file_bytes(const vg_gguf *g); /* of all parts */
size_t vg_gguf_header_bytes(const vg_gguf *g); /* memory that the reader holds */
const uint8_t *vg_gguf_part_data(const vg_gguf *g, uint32_t part, uint64_t *n);
vg_file_stamp vg_gguf_stamp(const vg_gguf *g, uint32_t part); /* zeros for memory */
bool vg_gguf_intact(const vg_gguf *g);         /* see vg_file_intact; true for memory */
/* vg_file_want and vg_file_drop for a tensor's bytes; nothing for a model in memory. */
void vg_gguf_want(const vg_gguf *g, const void *p, size_t n);
void vg_gguf_drop(const vg_gguf *g, const void *p, size_t n);
bool vg_gguf_mapped(const vg_gguf *g);         /* false: a model in memory */
size_t vg_gguf_n_kv(const vg_gguf *g);
const vg_gguf_kv *vg_gguf_kv_at(const vg_gguf *g, size_t i);
const vg_gguf_kv *vg_gguf_find(const vg_gguf *g, const char *key); /* NULL: absent */
size_t vg_gguf_n_tensors(const vg_gguf *g);
const vg_gguf_tensor *vg_gguf_tensor_at(const vg_gguf *g, size_t i);
const vg_gguf_tensor *vg_gguf_tensor_find(const vg_gguf *g, const char *name); /* NULL: absent */

/* Typed values. A key that is absent leaves *out alone and returns NOT_FOUND; one of another type,
 * or out of the range of *out, returns FORMAT. Any integer type is taken for an integer. */
VG_NODISCARD vg_status vg_gguf_u32(const vg_gguf *g, const char *key, uint32_t *out, vg_err *err);
VG_NODISCARD vg_status vg_gguf_f32(const vg_gguf *g, const char *key, float *out, vg_err *err);
VG_NODISCARD vg_status vg_gguf_bool(const vg_gguf *g, const char *key, bool *out, vg_err *err);
VG_NODISCARD vg_status vg_gguf_str(const vg_gguf *g, const char *key, vg_str *out, vg_err *err);
/* The same, absent keys giving VG_OK and leaving *out at its default. */
VG_NODISCARD vg_status vg_gguf_opt_u32(const vg_gguf *g, const char *key, uint32_t *out,
                                       vg_err *err);
VG_NODISCARD vg_status vg_gguf_opt_f32(const vg_gguf *g, const char *key, float *out, vg_err *err);
VG_NODISCARD vg_status vg_gguf_opt_bool(const vg_gguf *g, const char *key, bool *out, vg_err *err);
VG_NODISCARD vg_status vg_gguf_opt_str(const vg_gguf *g, const char *key, vg_str *out,
                                       vg_err *err);
/* Item i < kv->n of an array of numbers (and BOOL) as a double or an integer. */
double vg_gguf_item_f64(const vg_gguf_kv *kv, uint64_t i);
int64_t vg_gguf_item_i64(const vg_gguf_kv *kv, uint64_t i);
const char *vg_gguf_type_name(vg_gguf_type t); /* "u32", "string", ... */
const char *vg_gguf_tensor_type_name(uint32_t type); /* "Q4_0", "IQ2_XXS", ..., "unknown" */
#endif
