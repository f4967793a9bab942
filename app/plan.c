/* The arithmetic of `verge plan`: bytes of weights, cache and activations in each precision, if
 * they fit a device by M <= RAM * (1 - os) * (1 - margin), the speed that its memory allows, and
 * the steps that make a model fit: a lower precision first, pruning only where 4 bits do not fit.
 * Everything here is an estimate from a shape; of a model file the engine's own plan tells. */
#include "app/plan.h"

#include <math.h>
#include <stdio.h>

const char *const plan_type_names[] = {"fp32", "fp16", "int8", "int4"};
const double plan_type_bytes[] = {4, 2, 34.0 / 32, 0.61};

const char *const plan_step_names[] = {"as_it_is", "fp16",  "int8",
                                       "int4",     "prune", "smaller"};

enum { STEP_TOK = 256, PAGE_TOK = 64 };

static const double prune_max = 0.3;
static const double least_int4 = 4.25 / 8; /* bytes of a weight in IQ4_XS */

/* Llama's proportions: heads of 128 (64 below a width of 2048), a layer for 128 columns of width,
 * a fourth of the heads for keys and values, an inner width of 8/3. */
void plan_shape_guess(plan_shape *s)
{
    bool grow = s->width <= 0;
    if (s->vocab <= 0) s->vocab = s->n_params < 1e8 ? 4096 : 32000;
    for (double width = grow ? 64 : s->width;; width += 64) {
        plan_shape g = *s;
        g.width = width;
        if (g.head_dim <= 0) g.head_dim = width < 2048 ? 64 : 128;
        if (g.heads <= 0) g.heads = fmax(1, floor(width / g.head_dim));
        if (g.kv_heads <= 0) g.kv_heads = fmax(1, floor(g.heads / 4));
        if (g.layers <= 0) g.layers = fmax(2, floor(width / 128 + 0.5));
        if (g.ff <= 0) g.ff = 32 * floor(width * 8 / 3 / 32 + 0.5);
        double attention = 2 * width * g.head_dim * (g.heads + g.kv_heads);
        double n = g.layers * (attention + 3 * width * g.ff) + 2 * g.vocab * width;
        if (grow && n < s->n_params && width < 65536) continue;
        *s = g;
        break;
    }
    if (s->n_active <= 0) s->n_active = s->n_params;
}

static double kv_bytes(vg_kv_type kv)
{
    return kv == VG_KV_F32 ? 4 : kv == VG_KV_F16 ? 2 : 34.0 / 32;
}

plan_need plan_need_of(const plan_shape *s, plan_type type, double ctx, double users, vg_kv_type kv)
{
    plan_need n = {.weight_bytes = s->n_params * plan_type_bytes[type]};
    double positions = ceil(ctx / PAGE_TOK) * PAGE_TOK;
    double rows = fmin(STEP_TOK, ctx * users);
    double heads = s->heads * s->head_dim, kv_width = s->kv_heads * s->head_dim;
    n.kv_bytes = 2 * s->layers * kv_width * positions * kv_bytes(kv) * users;
    n.activation_bytes = 4 * (rows * (4 * s->width + 2 * heads + 2 * kv_width + 2 * s->ff) +
                              (2 * users + 4) * s->vocab);
    n.least_bytes = type == PLAN_INT4 ? s->n_params * least_int4 : n.weight_bytes;
    n.total_bytes = n.weight_bytes + n.kv_bytes + n.activation_bytes;
    n.read_bytes = s->n_active * plan_type_bytes[type] + n.kv_bytes;
    return n;
}

double plan_budget(const plan_target *t)
{
    return t->ram_bytes * (1 - t->os) * (1 - t->margin);
}

bool plan_fits(const plan_target *t, const plan_need *n)
{
    return n->total_bytes <= plan_budget(t) &&
           (t->model_bytes <= 0 || n->weight_bytes <= t->model_bytes);
}

double plan_speed(const plan_target *t, const plan_need *n, double users)
{
    return n->read_bytes > 0 ? users * t->bytes_per_s * t->reach / n->read_bytes : 0;
}

/* The most bytes that the weights may have beside all else. */
static double room_for_weights(const plan_target *t, const plan_need *n)
{
    double room = plan_budget(t) - (n->total_bytes - n->weight_bytes);
    if (t->model_bytes > 0) room = fmin(room, t->model_bytes);
    return fmax(room, 0);
}

plan_advice plan_advise(const plan_target *t, const plan_need need[PLAN_N_TYPES])
{
    static const plan_type order[] = {PLAN_FP16, PLAN_INT8, PLAN_INT4};
    static const plan_step step[] = {STEP_FP16, STEP_INT8, STEP_INT4};
    plan_type least = PLAN_FP32;
    for (size_t i = 0; i < VG_COUNT(order); i++) {
        if (!t->has[order[i]]) continue;
        least = order[i];
        if (plan_fits(t, &need[least])) return (plan_advice){.step = step[i]};
    }
    const plan_need *n = &need[least];
    double room = room_for_weights(t, n), share = room / n->least_bytes;
    if (least == PLAN_INT4 && room >= n->least_bytes)
        return (plan_advice){.step = STEP_INT4, .size_bytes = floor(room)};
    if (1 - share <= prune_max && room > 0)
        return (plan_advice){.step = STEP_PRUNE, .prune_share = 1 - share};
    return (plan_advice){.step = STEP_SMALLER, .max_params = room / plan_type_bytes[least]};
}

void plan_advice_text(const plan_advice *a, char *text, size_t room)
{
    switch (a->step) {
    case STEP_AS_IT_IS: snprintf(text, room, "run the file as it is"); return;
    case STEP_FP16: snprintf(text, room, "keep 16 bits; optimise the graph"); return;
    case STEP_INT8: snprintf(text, room, "quantise to 8 bits (Q8_0)"); return;
    case STEP_INT4:
        if (a->size_bytes > 0)
            snprintf(text, room, "quantise to 4 bits, into %.0f bytes (--size)", a->size_bytes);
        else snprintf(text, room, "quantise to 4 bits (Q4_K_M)");
        return;
    case STEP_PRUNE:
        snprintf(text, room, "prune %.0f%%, heal, then the fewest bits it runs",
                 ceil(100 * a->prune_share));
        return;
    case STEP_SMALLER:
        if (a->max_params < 1e5) snprintf(text, room, "no model fits with this cache");
        else snprintf(text, room, "take a smaller model, of %.3g million weights",
                      a->max_params * 1e-6);
        return;
    }
}
