/* A model that `verge eval` runs: opened once, with an engine for one session as long as something
 * is measured, made with the options' threads, cache and kernels; and what is told on a terminal
 * meanwhile. A signal ends the work between two steps. */
#include "app/cli.h"
#include "app/eval.h"

vg_status eval_check(eval *ev, vg_err *err)
{
    ev->cancelled |= ev->it && interrupt_stops(ev->it);
    return ev->cancelled ? VG_FAIL(err, VG_E_CANCELLED, "cancelled") : VG_OK;
}

void eval_progress(eval *ev, size_t done, size_t total, const char *result)
{
    char stage[48];
    snprintf(stage, sizeof stage, "model %zu of %zu", ev->n_scores + 1, ev->n_models);
    progress_show(&ev->line, &(progress_now){.stage = stage, .item = vg_str_from(result),
                                             .done = done, .total = total});
}

static int on_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    eval *ev = user;
    progress_show(&ev->line, &(progress_now){.stage = "loading", .done = done_bytes,
                                             .total = total_bytes, .unit = "B"});
    return eval_check(ev, NULL) ? 1 : 0;
}

vg_status eval_model_open(eval_model *m, eval *ev, const char *path, vg_err *err)
{
    *m = (eval_model){.ev = ev};
    vg_model_opts o = {.no_repack = ev->opts->no_repack, .progress = on_progress, .user = ev};
    VG_TRY(cli_open_model(path, &o, &m->model, err));
    vg_model_get_info(m->model, &m->info);
    return VG_OK;
}

vg_status eval_model_start(eval_model *m, size_t ctx_tok, vg_err *err)
{
    const eval_opts *o = m->ev->opts;
    vg_engine_opts e = {.n_threads = (uint32_t)o->threads, .isa = o->isa,
                        .ctx_tok = (uint32_t)ctx_tok, .logit_rows = EVAL_LOGIT_ROWS};
    e.kv = cli_kv_type(o->kv);
    VG_TRY(vg_engine_new(&m->engine, m->model, &e, err));
    vg_status st = vg_session_new(&m->session, m->engine, NULL, err);
    if (st) eval_model_stop(m);
    return st;
}

void eval_model_stop(eval_model *m)
{
    vg_session_free(m->session);
    vg_engine_free(m->engine);
    m->session = NULL;
    m->engine = NULL;
}

void eval_model_close(eval_model *m)
{
    eval_model_stop(m);
    vg_model_unref(m->model);
    m->model = NULL;
}

vg_status eval_model_advance(eval_model *m, const int32_t *id, size_t n, vg_err *err)
{
    size_t have = vg_session_length(m->session);
    VG_TRY(vg_session_append(m->session, id + have, n - have, err));
    while (vg_session_pending(m->session)) {
        VG_TRY(eval_check(m->ev, err));
        VG_TRY(vg_engine_step(m->engine, &m->session, 1, err));
    }
    return VG_OK;
}
