/* RoPE frequencies (Su 2021): pair i of n turns by base^(-2i/n) radians a position, changed by the
 * model's scaling: linear (positions divided by a factor), Llama 3 (a divisor for each pair, stored
 * in the file as rope_freqs), LongRoPE (Ding 2024: a divisor for each pair, one set up to the
 * original context and one beyond). Which LongRoPE set is used depends on the engine's context, not
 * on how far a session has come, because keys already in the cache could not follow a change. */
#include "infer/infer_int.h"

static bool is_long(const vg_model *m, uint32_t ctx_tok)
{
    return ctx_tok > m->hp.rope_ctx_orig_tok;
}

void vg_rope_freq(const vg_model *m, float base, bool scaled, uint32_t ctx_tok, double *freq)
{
    const vg_hparams *hp = &m->hp;
    const float *divisor = vg_tensor_f32(&m->rope_freqs);
    if (m->rope_long.data)
        divisor = vg_tensor_f32(is_long(m, ctx_tok) ? &m->rope_long : &m->rope_short);
    for (uint32_t i = 0; i < hp->n_rot / 2; i++) {
        freq[i] = vg_pow_f64((double)base, -2.0 * i / hp->n_rot);
        if (!scaled) continue;
        freq[i] /= (double)hp->rope_scale;
        if (divisor) freq[i] /= (double)divisor[i];
    }
}

/* The angle is computed in double, because a float loses the phase at long contexts. */
void vg_rope_angles(const vg_engine *e, const double *freq, const vg_place *place, size_t n_rows,
                    float *cos, float *sin)
{
    size_t n_pairs = e->model->hp.n_rot / 2;
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < n_pairs; i++) {
            double c, s;
            vg_sincos_f64(place[r].pos * freq[i], &s, &c);
            cos[r * n_pairs + i] = (float)c * e->rope_factor;
            sin[r * n_pairs + i] = (float)s * e->rope_factor;
        }
    }
}

/* LongRoPE's factor of cosines and sines: the file's, or sqrt(1 + ln(s) / ln(original context)),
 * s being the ratio of the trained to the original context. */
float vg_rope_factor(const vg_model *m)
{
    const vg_hparams *hp = &m->hp;
    if (hp->rope_attn_factor > 0) return hp->rope_attn_factor;
    if (!m->rope_long.data || hp->ctx_train_tok <= hp->rope_ctx_orig_tok) return 1;
    double ratio = (double)hp->ctx_train_tok / hp->rope_ctx_orig_tok;
    double x = 1 + vg_log_f64(ratio) / vg_log_f64((double)hp->rope_ctx_orig_tok);
    return (float)vg_pow_f64(x, 0.5);
}
