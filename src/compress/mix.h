/* mix.h: which tensor of a model gets which type: the mixes that everybody's files have, by name
 * (facts of llama.cpp's llama-quantize without an importance matrix).
 *
 *     const vg_mix *mix = vg_mix_find("Q4_K_M");
 *     vg_mix_facts facts = vg_mix_facts_of(gguf);
 *     vg_dtype type = vg_mix_type(mix, &facts, tensor->name);
 *     type = vg_mix_fit(type, tensor->dim[0]);
 */
#ifndef VG_MIX_H
#define VG_MIX_H

#include "kern/kern.h"
#include "model/gguf.h"

typedef struct vg_mix {
    const char *name;
    vg_dtype type;      /* of most matrices */
    uint32_t file_type; /* general.file_type */
} vg_mix;

const vg_mix *vg_mixes(size_t *n);
const vg_mix *vg_mix_find(const char *name); /* whatever the case; NULL: unknown */
/* The file_type of one that has only this type; the nearest mix's where there is none. */
uint32_t vg_mix_file_type(vg_dtype type);

/* What the rules look at. */
typedef struct vg_mix_facts {
    uint32_t n_layers, n_heads, n_kv_heads; /* 0: the file does not say */
    bool tied;                              /* the embedding is the output too */
} vg_mix_facts;

vg_mix_facts vg_mix_facts_of(const vg_gguf *g);

/* False for what stays as it is: vectors, norms, routers, positions. */
bool vg_mix_takes(const vg_gguf_tensor *t);
vg_dtype vg_mix_type(const vg_mix *mix, const vg_mix_facts *facts, vg_str tensor);
/* The type itself where rows of n_in are whole blocks of it, else the nearest that fits. */
vg_dtype vg_mix_fit(vg_dtype type, uint64_t n_in);

/* Bytes, at most, of the file that this one becomes with a mix. */
uint64_t vg_mix_file_bytes(const vg_gguf *g, const vg_mix *mix);
/* The same where every matrix, the output too, gets one type. */
uint64_t vg_mix_least_bytes(const vg_gguf *g, vg_dtype type);

/* Whether a pattern of a tensor's name, with * for any characters and ? for one, meets it all. */
bool vg_glob(vg_str pattern, vg_str name);
#endif
