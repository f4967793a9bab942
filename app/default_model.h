/* default_model.h: the model that `verge run` uses when none is named: the bytes of
 * models/default.gguf, linked into the program.
 *
 *     vg_model_open_memory(&m, default_model(), default_model_bytes(), NULL, &err);
 */
#ifndef VG_DEFAULT_MODEL_H
#define VG_DEFAULT_MODEL_H

#include "base/base.h"

const void *default_model(void); /* aligned to 4096 bytes, lives as long as the program */
size_t default_model_bytes(void);

vg_str targets_text(void); /* the JSON of app/targets.json, the devices of `verge plan` */
#endif
