/* Compressing for a device: what `verge plan --target` advises is carried out where it is a matter
 * of types, and refused, with the step that would be needed, where it is not: a model that is too
 * large in 4 bits is to be pruned or replaced, not squeezed further. */
#include <stdio.h>

#include "app/cli.h"
#include "app/compress.h"

/* The precision that a step leads to; a quantised file's other matrices get 8 bits. */
static plan_type type_of(plan_step step)
{
    return step == STEP_FP16 ? PLAN_FP16 : step <= STEP_INT8 ? PLAN_INT8 : PLAN_INT4;
}

static plan_type fewest_bits(const plan_target *t)
{
    return t->has[PLAN_INT4] ? PLAN_INT4 : t->has[PLAN_INT8] ? PLAN_INT8 : PLAN_FP16;
}

static const char *use_text(const plan_use *use, char out[100])
{
    snprintf(out, 100, "%s cache of %u tokens for %u user%s", cli_kv_word(use->kv), use->ctx_tok,
             use->n_users, use->n_users == 1 ? "" : "s");
    return out;
}

static vg_status refuse(const plan_target *t, const plan_model *m, const plan_advice *a,
                        vg_err *err)
{
    char advice[120], need[32], room[32], use[100], limit[80] = "", most[32];
    plan_type type = fewest_bits(t);
    plan_advice_text(a, advice, sizeof advice);
    if (t->model_bytes > 0)
        snprintf(limit, sizeof limit, ", for weights %s",
                 cli_bytes((uint64_t)t->model_bytes, most));
    return VG_FAIL(err, VG_E_LIMIT, "the model fits %s in no type: %s takes %s with a %s, and "
                   "there is room for %s%s: %s", t->name, plan_type_names[type],
                   cli_bytes((uint64_t)m->need[type].total_bytes, need), use_text(&m->use, use),
                   cli_bytes((uint64_t)plan_budget(t), room), limit, advice);
}

/* What, and why not the next wider type. */
static void say(const compress_target *out, const plan_target *t, const plan_model *m)
{
    static const plan_type wider[PLAN_N_TYPES] = {PLAN_FP32, PLAN_FP32, PLAN_FP16, PLAN_INT8};
    char advice[120], need[32], room[32], more[32], use[100];
    plan_type next = wider[type_of(out->advice.step)];
    plan_advice_text(&out->advice, advice, sizeof advice);
    fprintf(stderr, "verge compress: for %s: %s: %s of %s, with a %s", out->name, advice,
            cli_bytes((uint64_t)out->planned_bytes, need),
            cli_bytes((uint64_t)out->room_bytes, room), use_text(&m->use, use));
    if (out->advice.step != STEP_INT8 && out->advice.step != STEP_INT4) fprintf(stderr, "\n");
    else if (!t->has[next])
        fprintf(stderr, "; %s is no type of it\n", plan_type_names[next]);
    else
        fprintf(stderr, "; %s would take %s\n", plan_type_names[next],
                cli_bytes((uint64_t)m->need[next].total_bytes, more));
}

vg_status compress_target_decide(compress_target *out, const compress_use *use, const char *path,
                                 vg_compress_opts *opts, vg_err *err)
{
    plan_model m;
    plan_use wanted = {.ctx_tok = (uint32_t)use->ctx, .kv = cli_kv_type(use->kv),
                       .n_users = use->users ? (uint32_t)use->users : 1};
    plan_targets *targets = vg_mem_new(sizeof *targets);
    if (!targets) return VG_FAIL_MEMORY(err, sizeof *targets);
    const plan_target *t = &targets->at[0];
    vg_status st = plan_targets_load(targets, use->targets, err);
    if (!st) st = plan_targets_keep(targets, use->target, err);
    if (!st && targets->n > 1)
        st = VG_FAIL(err, VG_E_USAGE, "--target: compress for one of them, not for all");
    if (!st) st = plan_model_read(&m, path, &wanted, err);
    if (!st) {
        plan_advice a = plan_model_advise(t, &m);
        plan_type type = type_of(a.step);
        const plan_need *n = a.step == STEP_AS_IT_IS ? &m.as_it_is : &m.need[type];
        *out = (compress_target){.name = use->target, .use = m.use, .advice = a,
                                 .room_bytes = plan_budget(t), .planned_bytes = n->total_bytes};
        if (a.size_bytes > 0) out->planned_bytes += a.size_bytes - n->weight_bytes;
        opts->mix = vg_mix_find(plan_mix_name(type));
        opts->size_bytes = (uint64_t)a.size_bytes;
        opts->kv = m.use.kv;
        if (a.step > STEP_INT4) st = refuse(t, &m, &a, err);
        else say(out, t, &m);
    }
    vg_mem_free(targets);
    return st;
}
