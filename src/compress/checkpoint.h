/* checkpoint.h: a Hugging Face checkpoint folder: its JSON files, and the tensors of all its
 * safetensors files under one roof.
 *
 *     vg_checkpoint *c;
 *     VG_TRY(vg_checkpoint_open(&c, "Qwen3-0.6B", err));
 *     const vg_json *layers = vg_json_get(vg_checkpoint_config(c), "num_hidden_layers");
 *     const vg_st_tensor *t = vg_checkpoint_find(c, VG_STR("model.norm.weight"));
 *     vg_checkpoint_close(c);
 *
 * Everything returned lives until close. */
#ifndef VG_CHECKPOINT_H
#define VG_CHECKPOINT_H

#include "base/json.h"
#include "compress/safetensors.h"

typedef struct vg_checkpoint vg_checkpoint;

/* Errors: NOT_FOUND (says which file is missing and what would help), those of safetensors.h and
 * json.h. */
VG_NODISCARD vg_status vg_checkpoint_open(vg_checkpoint **out, const char *dir, vg_err *err);
void vg_checkpoint_close(vg_checkpoint *c); /* NULL is fine */

const char *vg_checkpoint_dir(const vg_checkpoint *c);
const vg_json *vg_checkpoint_config(const vg_checkpoint *c); /* config.json, an object */
size_t vg_checkpoint_n_tensors(const vg_checkpoint *c);
const vg_st_tensor *vg_checkpoint_at(const vg_checkpoint *c, size_t i); /* by name */
const vg_st_tensor *vg_checkpoint_find(const vg_checkpoint *c, vg_str name); /* NULL: absent */
bool vg_checkpoint_intact(const vg_checkpoint *c); /* see vg_file_intact */

/* Another file of the folder, as JSON or as it is, into an arena; *out is NULL, out->p is NULL,
 * where there is none. */
VG_NODISCARD vg_status vg_checkpoint_json(const vg_checkpoint *c, vg_arena *a, const char *name,
                                          const vg_json **out, vg_err *err);
VG_NODISCARD vg_status vg_checkpoint_text(const vg_checkpoint *c, vg_arena *a, const char *name,
                                          vg_str *out, vg_err *err);
#endif
