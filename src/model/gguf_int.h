/* gguf_int.h: the reader's own structs and the limits that it holds a file to.
 *
 *     gguf_part part = {.label = "model.gguf", .data = p, .n = n};
 *     VG_TRY(gguf_read_part(g, 0, err));
 */
#ifndef VG_GGUF_INT_H
#define VG_GGUF_INT_H

#include "base/os.h"
#include "model/gguf.h"

/* Far above any real model, and low enough that a file which reaches them takes bounded memory. */
enum {
    GGUF_MAX_KV = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 20,
    GGUF_MAX_NAME_BYTES = 65535,      /* a key, as the specification says, or a tensor's name */
    GGUF_MAX_STRING_BYTES = 1 << 26,
    GGUF_MAX_ITEMS = 1 << 26,         /* of an array of numbers */
    GGUF_MAX_STRINGS = 1 << 23,       /* in all arrays of strings together */
    GGUF_MIN_ALIGN = 8,               /* the specification: a multiple of 8 */
    GGUF_MAX_ALIGN = 1 << 20,
    GGUF_DEFAULT_ALIGN = 32,
    GGUF_MAX_PARTS = 512,
    GGUF_LABEL_BYTES = 128
};

/* The metadata of one file. Sorted pointers find keys: unlike a hash table, no choice of keys can
 * slow them down. */
typedef struct gguf_kvs {
    vg_gguf_kv *at; /* [n], in the order of the file */
    const vg_gguf_kv **sorted;
    size_t n;
} gguf_kvs;

/* One file of a split set, or the only one. */
typedef struct gguf_part {
    vg_file file; /* data NULL: the bytes belong to the caller */
    char label[GGUF_LABEL_BYTES]; /* names it in messages: the end of its path */
    const uint8_t *data;
    uint64_t n;
    uint32_t version;
    gguf_kvs kvs;
    vg_gguf_tensor *tensor; /* [n_tensors] */
    size_t n_tensors;
} gguf_part;

struct vg_gguf {
    vg_arena *arena;
    gguf_part *part; /* [n_parts]; the first one's metadata is the model's */
    uint32_t n_parts;
    bool no_data;     /* opened for metadata only */
    size_t n_strings; /* in arrays so far, against GGUF_MAX_STRINGS */
    const vg_gguf_tensor **tensor; /* [n_tensors] in the order of the files */
    const vg_gguf_tensor **sorted; /* by name */
    size_t n_tensors;
};

/* Reads and checks the header of g->part[i], whose data is in place. */
VG_NODISCARD vg_status gguf_read_part(vg_gguf *g, uint32_t i, vg_err *err);

const vg_gguf_kv *gguf_find(const gguf_kvs *kvs, vg_str key); /* NULL: absent */
int gguf_compare(vg_str a, vg_str b);                         /* any total order */

/* The one gate: whether `bytes` bytes from `at` on lie inside n bytes. */
static inline bool gguf_in_range(uint64_t n, uint64_t at, uint64_t bytes)
{
    return at <= n && bytes <= n - at;
}
#endif
