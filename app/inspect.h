/* inspect.h: what `verge inspect` finds out about a model file, however odd the file is, and the
 * two ways to print it.
 *
 *     inspect in;
 *     VG_TRY(inspect_open(&in, "model.gguf", &(inspect_opts){.check = true}, err));
 *     inspect_print_text(&in);
 *     inspect_close(&in);
 */
#ifndef VG_INSPECT_H
#define VG_INSPECT_H

#include "model/model.h"

typedef struct inspect_opts {
    bool json, tensors, check, self_test;
    int64_t ctx;    /* 0: the default of an engine */
    const char *kv; /* "q8", "f16", "f32"; NULL: as the file prefers */
} inspect_opts;

typedef struct inspect_type { /* the tensors of one type */
    uint32_t type;
    uint64_t n_tensors, n_weights, n_bytes;
} inspect_type;

enum { INSPECT_MAX_TYPES = 64, INSPECT_MAX_WARNINGS = 1000 };

typedef struct inspect {
    const char *path;
    const inspect_opts *opts;
    vg_arena *arena; /* of the warnings */
    vg_gguf *gguf;
    bool header_only; /* the tensors' data cannot be read; a warning says why */
    vg_model *model;  /* NULL: this build cannot run the file; `refusal` says why */
    vg_err refusal;
    vg_hparams hp;
    bool has_hp;
    const vg_vocab *vocab; /* NULL: none, or none that this build knows */
    vg_vocab *own_vocab;
    vg_plan plan;
    bool has_plan;
    inspect_type type[INSPECT_MAX_TYPES]; /* the rarer types of a strange file are left out */
    size_t n_types;
    uint64_t n_weights, n_bytes;
    const char *warning[INSPECT_MAX_WARNINGS];
    size_t n_warnings;  /* found; those past the table are counted only */
    size_t n_bad;       /* tensors with NaN or infinity, of `check` */
} inspect;

/* Fails where the header of the file cannot be read. What else is wrong is a warning. */
VG_NODISCARD vg_status inspect_open(inspect *in, const char *path, const inspect_opts *opts,
                                    vg_err *err);
void inspect_close(inspect *in);

/* Adds a warning. */
void inspect_warn(inspect *in, const char *fmt, ...) VG_PRINTF(2, 3);
/* Looks for what is missing or odd (inspect_look.c). */
void inspect_look(inspect *in);
/* Dequantises every tensor and names those that hold NaN or infinity. */
VG_NODISCARD vg_status inspect_check(inspect *in, vg_err *err);

/* Prints which kernels are right on this machine: those of the model at `path`, NULL: all. */
VG_NODISCARD vg_status inspect_self_test(const char *path, bool json, bool *ok, vg_err *err);

const char *inspect_type_name(uint32_t type, char buf[24]);
/* How vectors are pooled where nothing else is asked for: "mean", "cls", "last"; "rank": not. */
const char *inspect_pooling(const vg_hparams *hp);
/* A key that is text; n 0 where it is absent or no text. */
vg_str inspect_text(const inspect *in, const char *key);
uint64_t inspect_weights(const vg_gguf_tensor *t);

/* Both write to stdout. */
void inspect_print_text(const inspect *in);
VG_NODISCARD vg_status inspect_print_json(const inspect *in, vg_err *err);
#endif
