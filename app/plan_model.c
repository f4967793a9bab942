/* What a model needs: of a file, cache and scratch are the engine's own plan, by which it
 * allocates, and the weights of each precision are the bytes of the file that verge compress
 * writes. Of a number of weights, all are estimates from a shape. */
#include "app/plan_model.h"

#include <math.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/default_model.h"
#include "compress/mix.h"
#include "model/model.h"

enum { DEFAULT_CTX_TOK = 4096, FILE_CAP_BYTES = 1 << 20 };

const char *plan_mix_name(plan_type type)
{
    static const char *const names[] = {"F32", "F16", "Q8_0", "Q4_K_M"};
    return names[type];
}

/* The weights that a token reads: the experts that it uses, of the embedding one row. */
static double active_weights(const vg_model *m)
{
    const vg_hparams *hp = &m->hp;
    double n = (double)m->n_params;
    if (m->output.data != m->embed.data) n -= (double)hp->n_vocab * hp->width;
    if (hp->n_experts > 0)
        n -= 3.0 * hp->n_layers * (hp->n_experts - hp->n_experts_used) * hp->width * hp->n_ff;
    return fmax(n, 0);
}

static void set_shape(plan_shape *s, const vg_model *m)
{
    const vg_hparams *hp = &m->hp;
    *s = (plan_shape){.n_params = (double)m->n_params, .n_active = active_weights(m),
                      .layers = hp->n_layers, .width = hp->width, .heads = hp->n_heads,
                      .kv_heads = hp->n_kv_heads, .head_dim = hp->dim_k, .ff = hp->n_ff,
                      .vocab = hp->n_vocab};
}

static void add_up(plan_need *n, const plan_model *m)
{
    n->program_bytes = CLI_PROGRAM_BYTES;
    n->total_bytes = n->weight_bytes + n->kv_bytes + n->activation_bytes + n->program_bytes;
    n->read_bytes = n->weight_bytes * m->shape.n_active / m->shape.n_params + n->kv_bytes;
}

/* The file as it is, then what it would be in each precision. */
static void set_needs(plan_model *out, const vg_gguf *g, const vg_plan *p)
{
    plan_need *n = &out->as_it_is;
    n->weight_bytes = (double)(p->mapped_bytes + p->repacked_bytes);
    n->kv_bytes = (double)p->kv_bytes;
    n->activation_bytes = (double)(p->scratch_bytes + p->vocab_bytes);
    n->least_bytes = n->weight_bytes;
    add_up(n, out);
    n->read_bytes = (double)vg_gguf_file_bytes(g) * out->shape.n_active / out->shape.n_params +
                    n->kv_bytes;
    for (int t = 0; t < PLAN_N_TYPES; t++) {
        out->need[t] = *n;
        out->need[t].weight_bytes =
            (double)vg_mix_file_bytes(g, vg_mix_find(plan_mix_name((plan_type)t)));
        out->need[t].least_bytes = out->need[t].weight_bytes;
        if (t == PLAN_INT4) out->need[t].least_bytes = (double)vg_mix_least_bytes(g, VG_IQ4_XS);
        add_up(&out->need[t], out);
    }
}

vg_status plan_model_read(plan_model *out, const char *path, const plan_use *use, vg_err *err)
{
    const vg_model_opts as_it_is = {.no_repack = true};
    vg_engine_opts e = {.ctx_tok = use->ctx_tok, .n_sessions = use->n_users, .kv = use->kv};
    vg_model *m;
    vg_plan p;
    *out = (plan_model){.is_file = true};
    VG_TRY(cli_open_model(path, &as_it_is, &m, err));
    vg_status st = vg_plan_make(m, &e, &p, err);
    if (!st) {
        snprintf(out->name, sizeof out->name, "%s", m->name);
        set_shape(&out->shape, m);
        out->use = (plan_use){.ctx_tok = p.ctx_tok, .n_users = use->n_users, .kv = p.kv};
        for (size_t i = 0; i < vg_gguf_n_tensors(m->gguf); i++) {
            const vg_dtype_info *type = vg_dtype_get(vg_gguf_tensor_at(m->gguf, i)->type);
            out->quantised |= type && type->quantised;
        }
        set_needs(out, m->gguf, &p);
    }
    vg_model_unref(m);
    return st;
}

void plan_model_guess(plan_model *out, const plan_shape *shape, const plan_use *use)
{
    *out = (plan_model){.shape = *shape, .use = *use};
    if (out->use.ctx_tok == 0) out->use.ctx_tok = DEFAULT_CTX_TOK;
    if (out->use.kv == VG_KV_AUTO) out->use.kv = VG_KV_Q8;
    plan_shape_guess(&out->shape);
    snprintf(out->name, sizeof out->name, "a model of %.4g million weights",
             shape->n_params * 1e-6);
    for (int t = 0; t < PLAN_N_TYPES; t++)
        out->need[t] = plan_need_of(&out->shape, (plan_type)t, out->use.ctx_tok, out->use.n_users,
                                    out->use.kv);
}

plan_advice plan_model_advise(const plan_target *t, const plan_model *m)
{
    if (m->is_file && m->quantised && t->has[PLAN_INT8] && plan_fits(t, &m->as_it_is))
        return (plan_advice){.step = STEP_AS_IT_IS};
    return plan_advise(t, m->need);
}

vg_status plan_targets_load(plan_targets *t, const char *path, vg_err *err)
{
    vg_text text = {0};
    if (!path) return plan_targets_read(t, "the program's targets", targets_text(), err);
    VG_TRY(cli_read(path, FILE_CAP_BYTES, &text, err));
    vg_status st = plan_targets_read(t, path, (vg_str){text.data, text.n}, err);
    vg_text_free(&text);
    return st;
}
