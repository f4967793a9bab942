/* plan.h: what `verge plan` computes: what a model takes in each precision, and where it fits.
 *
 *     plan_shape shape = {.n_params = 1e9};
 *     plan_shape_guess(&shape);
 *     plan_need need = plan_need_of(&shape, PLAN_INT4, 4096, 1, VG_KV_Q8);
 *     bool fits = plan_fits(&target, &need);
 */
#ifndef VG_PLAN_H
#define VG_PLAN_H

#include "base/base.h"

typedef enum plan_type { PLAN_FP32, PLAN_FP16, PLAN_INT8, PLAN_INT4, PLAN_N_TYPES } plan_type;

extern const char *const plan_type_names[PLAN_N_TYPES];
/* Bytes of a weight: 4, 2, Q8_0's 34 for 32, and 0.61, the mean of Q4_K_M on models of 1 to 8
 * billion weights. */
extern const double plan_type_bytes[PLAN_N_TYPES];

enum { PLAN_TARGETS_MAX = 64 };

typedef struct plan_target {
    char name[48], title[96];
    double ram_bytes, model_bytes; /* model_bytes: most for the weights; 0: no limit of their own */
    double os, margin;             /* shares */
    double bytes_per_s, reach;     /* 0: not known */
    bool has[PLAN_N_TYPES];
} plan_target;

typedef struct plan_targets {
    plan_target at[PLAN_TARGETS_MAX];
    size_t n;
} plan_targets;

/* Reads the targets of a JSON text; `name` is told in errors. */
VG_NODISCARD vg_status plan_targets_read(plan_targets *t, const char *name, vg_str json,
                                         vg_err *err);

/* Keeps the target of that name alone, or, with "all", every one. Errors: USAGE. */
VG_NODISCARD vg_status plan_targets_keep(plan_targets *t, const char *name, vg_err *err);

/* Of a model. What is 0 is guessed from n_params. */
typedef struct plan_shape {
    double n_params, n_active; /* active: weights that a token reads */
    double layers, width, heads, kv_heads, head_dim, ff, vocab;
} plan_shape;

void plan_shape_guess(plan_shape *s);

typedef struct plan_need {
    double weight_bytes, kv_bytes, activation_bytes, total_bytes;
    double program_bytes; /* what runs the model; 0 of estimates */
    double least_bytes; /* of the weights in the fewest bits of the type: 4.25 for int4 */
    double read_bytes; /* for one token of every user at a full context */
} plan_need;

/* KV: 2 * layers * kv_heads * head_dim * ctx * bytes, for each user. */
plan_need plan_need_of(const plan_shape *s, plan_type type, double ctx, double users,
                       vg_kv_type kv);

double plan_budget(const plan_target *t); /* ram * (1 - os) * (1 - margin) */
bool plan_fits(const plan_target *t, const plan_need *n);
/* Tokens a second of all users together; 0: not known. */
double plan_speed(const plan_target *t, const plan_need *n, double users);

/* What to do, the first that fits: leave a file that is quantised as it is, keep 16 bits, 8 bits,
 * 4 bits, prune at most 30% and heal, take a smaller model. Types that the target does not run are
 * passed over. */
typedef enum plan_step {
    STEP_AS_IT_IS, STEP_FP16, STEP_INT8, STEP_INT4, STEP_PRUNE, STEP_SMALLER
} plan_step;

extern const char *const plan_step_names[];

typedef struct plan_advice {
    plan_step step;
    double size_bytes;  /* INT4: of a file that fits where Q4_K_M's does not; else 0 */
    double prune_share; /* PRUNE: of the weights, so that the rest fits in the fewest bits */
    double max_params;  /* SMALLER: the largest model of this shape's rest; 0: none */
} plan_advice;

/* need[type] as plan_need_of gives it. */
plan_advice plan_advise(const plan_target *t, const plan_need need[PLAN_N_TYPES]);
void plan_advice_text(const plan_advice *a, char *text, size_t room);
#endif
