/* hf_packed_int.h: matrices that a checkpoint holds as packed integers with a scale and a zero for
 * each group of columns (AWQ, GPTQ, compressed-tensors): w = scale * (code - zero).
 *
 *     hf_packing how;
 *     VG_TRY(hf_packing_read(&how, c, arena, err));
 *     const hf_packed *p;
 *     VG_TRY(hf_packed_find(&p, &how, c, name, rows, columns, arena, err));
 *     if (p) use(hf_packed_type(p));
 */
#ifndef VG_HF_PACKED_INT_H
#define VG_HF_PACKED_INT_H

#include "compress/checkpoint.h"
#include "kern/kern.h"

typedef enum hf_method { HF_PLAIN, HF_AWQ, HF_GPTQ, HF_COMPRESSED } hf_method;

typedef struct hf_packing { /* what the configuration says of all matrices */
    hf_method method;
    uint32_t bits;
    uint64_t group;    /* columns; 0: all of a row */
    bool zeros_less_one; /* zeros are stored less one (GPTQ, version 1) */
    bool ordered;        /* columns went into groups by size: their list is needed (desc_act) */
    bool differs;        /* single matrices may have other bits and groups */
} hf_packing;

enum { HF_PACKED_PIECES = 5 };

typedef struct hf_packed { /* one matrix */
    vg_str name; /* without what its pieces' names end in */
    hf_packing how;
    const vg_st_tensor *codes, *scales;
    const vg_st_tensor *zeros; /* NULL: the middle of the codes' range */
    const vg_st_tensor *shape; /* NULL: none is there */
    const vg_st_tensor *order; /* the group of each column; NULL: in ascending order */
    uint64_t n_out, n_in, n_groups;
    bool whole_blocks; /* 32 columns from a multiple of 32 on always share a group */
    int low, high;     /* code - zero lies between these */
} hf_packed;

/* PLAIN where neither config.json nor a file beside it speaks of a quantisation. Errors: FORMAT,
 * UNSUPPORTED (names the method). */
VG_NODISCARD vg_status hf_packing_read(hf_packing *out, const vg_checkpoint *c, vg_arena *a,
                                       vg_err *err);

/* The pieces of a matrix of n_out rows and n_in columns, checked against each other. *out NULL:
 * there are none of this name. */
VG_NODISCARD vg_status hf_packed_find(const hf_packed **out, const hf_packing *how,
                                      const vg_checkpoint *c, vg_str name, uint64_t n_out,
                                      uint64_t n_in, vg_arena *a, vg_err *err);
/* Its n tensors of the checkpoint. */
size_t hf_packed_pieces(const hf_packed *p, const vg_st_tensor *piece[HF_PACKED_PIECES]);
/* "GPTQ 4-bit, 128" */
void hf_packed_say(const hf_packed *p, char out[32]);

/* Whether each block of `type` can have a group's own scale and codes. */
bool hf_packed_fits(const hf_packed *p, vg_dtype type);
/* The smallest type that it fits; Q8_0, by quantising anew, where there is none; VG_N_DTYPES where
 * rows are no whole number of blocks. */
vg_dtype hf_packed_type(const hf_packed *p);
/* The type of a stack of matrices, of the types of two. */
vg_dtype hf_packed_join(vg_dtype a, vg_dtype b);

/* The group of a column, its scale and its zero in a row. */
uint64_t hf_packed_group(const hf_packed *p, uint64_t col);
float hf_packed_scale(const hf_packed *p, uint64_t group, uint64_t row);
unsigned hf_packed_zero(const hf_packed *p, uint64_t group, uint64_t row);
/* The codes of n_rows rows, src[row] each, to out [n_rows, n_in]. */
void hf_packed_codes(const hf_packed *p, const uint64_t *src, size_t n_rows, uint8_t *out);
#endif
