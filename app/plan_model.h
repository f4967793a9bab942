/* plan_model.h: what a model needs, for `verge plan` and `verge compress --target`.
 *
 *     plan_model m;
 *     plan_use use = {.ctx_tok = 4096, .n_users = 1};
 *     VG_TRY(plan_model_read(&m, "model.gguf", &use, err));
 *     plan_advice a = plan_model_advise(&target, &m);
 */
#ifndef VG_PLAN_MODEL_H
#define VG_PLAN_MODEL_H

#include "app/plan.h"

typedef struct plan_use {
    uint32_t ctx_tok; /* of a session; 0: 4096, or what the model was trained on */
    uint32_t n_users; /* sessions at once */
    vg_kv_type kv;    /* AUTO: as the model prefers, else 8-bit */
} plan_use;

typedef struct plan_model {
    char name[256];
    plan_shape shape;
    plan_use use;   /* what the defaults came to */
    bool is_file;   /* cache and activations are then the engine's own plan, */
    bool quantised; /* the file holds matrices that are quantised */
    plan_need as_it_is;           /* and this is the file's */
    plan_need need[PLAN_N_TYPES]; /* of a file: of what verge compress would make of it */
} plan_model;

/* Errors: those of opening a model and of making its plan. */
VG_NODISCARD vg_status plan_model_read(plan_model *out, const char *path, const plan_use *use,
                                       vg_err *err);
void plan_model_guess(plan_model *out, const plan_shape *shape, const plan_use *use);

/* As plan_advise; but a file that is quantised already, and fits, needs nothing. */
plan_advice plan_model_advise(const plan_target *t, const plan_model *m);

/* The mix that a step is made with; of FP32, F32. */
const char *plan_mix_name(plan_type type);

/* The targets of a file; NULL: those in the program. */
VG_NODISCARD vg_status plan_targets_load(plan_targets *t, const char *path, vg_err *err);
#endif
