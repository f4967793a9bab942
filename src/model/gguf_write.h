/* gguf_write.h: writes a GGUF v3 file in one pass: keys and the list of tensors first, then the
 * tensors' bytes in that order. The file appears at its path whole or not at all.
 *
 *     vg_gguf_writer *w;
 *     VG_TRY(vg_gguf_begin(&w, "out.gguf", err));
 *     vg_gguf_put_u32(w, "general.file_type", 2);
 *     vg_gguf_put_all(w, g); // every other key of an opened file
 *     vg_gguf_add_tensor(w, VG_STR("output.weight"), VG_Q4_0, 2, (uint64_t[]){4096, 32000});
 *     vg_status st = vg_gguf_write(w, bytes, n, err);
 *     if (st) vg_gguf_abandon(w);
 *     else st = vg_gguf_end(w, err);
 *
 * Memory is the header's; strings are copied. Putting and adding return nothing: their first
 * failure is kept and comes out of the next vg_gguf_write or vg_gguf_end. */
#ifndef VG_GGUF_WRITE_H
#define VG_GGUF_WRITE_H

#include "kern/kern.h"
#include "model/gguf.h"

typedef struct vg_gguf_writer vg_gguf_writer;

/* Errors: IO, LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_gguf_begin(vg_gguf_writer **out, const char *path, vg_err *err);

/* Keys, in the order of the file. A key that is there already stays as it is. */
void vg_gguf_put_u32(vg_gguf_writer *w, const char *key, uint32_t v);
void vg_gguf_put_f32(vg_gguf_writer *w, const char *key, float v);
void vg_gguf_put_bool(vg_gguf_writer *w, const char *key, bool v);
void vg_gguf_put_str(vg_gguf_writer *w, const char *key, vg_str v);
void vg_gguf_put_strs(vg_gguf_writer *w, const char *key, const vg_str *v, size_t n);
void vg_gguf_put_f32s(vg_gguf_writer *w, const char *key, const float *v, size_t n);
void vg_gguf_put_i32s(vg_gguf_writer *w, const char *key, const int32_t *v, size_t n);
/* Any type, as the reader gives it. */
void vg_gguf_put_kv(vg_gguf_writer *w, const vg_gguf_kv *kv);
/* All keys of a file but those that say how it is split and aligned. */
void vg_gguf_put_all(vg_gguf_writer *w, const vg_gguf *g);

/* A tensor after the last one, dim [n_dims] with the fastest first. Kept failures: FORMAT (a row
 * that is no whole number of blocks, a name twice), LIMIT (a name of more than 63 bytes, which
 * ggml's readers refuse). */
void vg_gguf_add_tensor(vg_gguf_writer *w, vg_str name, vg_dtype type, uint32_t n_dims,
                        const uint64_t *dim);

/* The next n bytes of tensor data, in pieces of any size; what pads a tensor to the alignment goes
 * in by itself. The first call writes the header and takes the disk space for the whole file, so
 * that a full disk shows at once: nothing can be put or added after it. Errors: IO. */
VG_NODISCARD vg_status vg_gguf_write(vg_gguf_writer *w, const void *p, size_t n, vg_err *err);
/* Bytes that the whole file has; known once vg_gguf_write was called. */
uint64_t vg_gguf_writer_bytes(const vg_gguf_writer *w);

/* A file that is written in several lives of the program. Sync makes what was written safe on the
 * disk; keep ends the writer and leaves the file as PATH.part. Resume then takes the place of
 * begin; after the same keys and tensors, skip takes the place of the bytes of the first n_tensors
 * (1 or more), which stay. Errors: IO, FORMAT (another header; fewer bytes). */
VG_NODISCARD vg_status vg_gguf_sync(const vg_gguf_writer *w, vg_err *err);
void vg_gguf_keep(vg_gguf_writer *w);
VG_NODISCARD vg_status vg_gguf_resume(vg_gguf_writer **out, const char *path, vg_err *err);
VG_NODISCARD vg_status vg_gguf_skip(vg_gguf_writer *w, size_t n_tensors, vg_err *err);

/* All tensors are written: gives the file its name. Frees the writer, on failure too. */
VG_NODISCARD vg_status vg_gguf_end(vg_gguf_writer *w, vg_err *err);
void vg_gguf_abandon(vg_gguf_writer *w); /* nothing stays on the disk; NULL is fine */
#endif
