/* convert.h: a Hugging Face checkpoint folder becomes a GGUF file, for every family of arch.def.
 *
 *     vg_convert_opts opts = {.type = VG_N_DTYPES};
 *     vg_convert_report report;
 *     VG_TRY(vg_convert("Qwen3-0.6B", "qwen3.gguf", &opts, &report, err));
 *
 * Weights stream from the mapped files to the new one: memory is that of the tables and of the
 * tokenizer, whatever the size of the model. */
#ifndef VG_CONVERT_H
#define VG_CONVERT_H

#include "kern/kern.h"

typedef struct vg_convert_opts {
    /* Of matrices: F32, F16, BF16, or VG_N_DTYPES for what the checkpoint has; packed ones (AWQ,
     * GPTQ) then get blocks that hold the same codes. */
    vg_dtype type;
    const char *name; /* general.name; NULL: the folder's */
    void *user;
    bool (*progress)(void *user, uint64_t done, uint64_t total); /* true ends with CANCELLED */
    /* For a conversion in several lives of the program. Called now and then, when the first n_done
     * tensors are safe in PATH.part; a run that is cancelled or cannot write then leaves them, and
     * another over the same folder with that n_done goes on behind them. NULL: all or nothing. */
    vg_status (*safe)(void *user, size_t n_done, vg_err *err);
    size_t n_done;
} vg_convert_opts;

/* Packed matrices of one name, whatever the layer, and one type. */
typedef struct vg_convert_group {
    char name[48], from[32]; /* "ffn_up.weight", "AWQ 4-bit, 128" */
    vg_dtype type;
    bool anew; /* quantised or rounded anew: no block of that type holds the codes */
    size_t n;
    uint64_t n_bytes;
    double error; /* root of the squared error over the root of the squared weights */
} vg_convert_group;

enum { VG_CONVERT_GROUPS = 64 }; /* the last one takes the rest */

typedef struct vg_convert_report {
    char arch[32], name[128];
    vg_dtype type; /* of most weights of matrices */
    size_t n_tensors;
    uint64_t n_params, n_bytes; /* n_bytes: of the file */
    vg_convert_group group[VG_CONVERT_GROUPS];
    size_t n_groups; /* 0: nothing was packed */
} vg_convert_report;

/* Errors: those of checkpoint.h and gguf_write.h; UNSUPPORTED names what the engine has not got. */
VG_NODISCARD vg_status vg_convert(const char *dir, const char *path, const vg_convert_opts *opts,
                                  vg_convert_report *report, vg_err *err);
#endif
