/* A model layer by layer (infer/layers.h) against the engine: the stream after all layers, through
 * the output matrix by plain sums, gives the engine's logits at the end of a sequence, for every
 * family; and each product is told of once for each sequence, with the rows that it reads. */
#include <math.h>

#include "golden.h"
#include "infer/layers.h"

enum { SEQ_TOK = 96, N_TOK = SEQ_TOK + 40 };

static const char *const families[] = {
    "llama", "llama-f16", "llama-bias", "mistral", "qwen2", "qwen3", "qwen3moe", "gemma2",
    "gemma3", "phi3-swa", "granite", "smollm3",
};

typedef struct told {
    size_t n_products, n_rows;
    bool strange;
} told;

static void count(void *user, const vg_tensor *w, const float *x, size_t n_rows)
{
    told *t = user;
    t->n_products++;
    t->n_rows += n_rows;
    for (size_t i = 0; i < n_rows * w->n_in; i++) t->strange |= !isfinite(x[i]);
}

static float *new_floats(size_t n)
{
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

static float *engine_logits(vg_model *m, const int32_t *tok, size_t n)
{
    vg_err err;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    const vg_engine_opts opts = {.ctx_tok = SEQ_TOK, .kv = VG_KV_F16};
    TEST_OK(vg_engine_new(&e, m, &opts, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    TEST_OK(vg_session_append(s, tok, n, &err));
    while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
    float *out = new_floats(m->hp.n_vocab);
    memcpy(out, vg_session_logits(s), m->hp.n_vocab * sizeof *out);
    vg_session_free(s);
    vg_engine_free(e);
    return out;
}

static double logit(const vg_model *m, const float *h, size_t v, float *row)
{
    const vg_hparams *hp = &m->hp;
    double sum = 0;
    vg_dequant_row(m->output.type, m->output.data, m->output.interleaved, m->output.n_rows, v, row,
                   hp->width);
    for (size_t i = 0; i < hp->width; i++) sum += (double)row[i] * (double)h[i];
    sum /= (double)hp->logit_scale;
    double cap = (double)hp->final_softcap;
    return cap > 0 ? cap * tanh(sum / cap) : sum;
}

static void check_end(vg_layers *l, vg_model *m, const float *x, const int32_t *tok, size_t n)
{
    const vg_hparams *hp = &m->hp;
    float *h = new_floats(2 * hp->width), *want = engine_logits(m, tok, n);
    double worst = 0, largest = 0;
    vg_layers_output_norm(l, x + (n - 1) * hp->width, 1, h);
    for (size_t v = 0; v < hp->n_vocab; v++) {
        double ours = logit(m, h, v, h + hp->width);
        worst = fmax(worst, fabs(ours - (double)want[v]));
        largest = fmax(largest, fabs((double)want[v]));
    }
    assert_true(worst < 1e-5 * largest); /* the rounding of the engine's float sums */
    free(want);
    free(h);
}

static void check_family(const char *name)
{
    vg_err err;
    golden g;
    told t = {0};
    vg_layers *l = NULL;
    golden_read(&g, name);
    vg_model *m = golden_model(name);
    const vg_hparams *hp = &m->hp;
    const vg_layers_opts opts = {.seq_tok = SEQ_TOK, .n_threads = 2, .seen = count, .user = &t};
    TEST_OK(vg_layers_new(&l, m, &opts, &err));
    float *x = new_floats(N_TOK * hp->width);
    vg_layers_embed(l, g.tok, N_TOK, x);
    for (uint32_t il = 0; il < hp->n_layers; il++) {
        vg_layers_attention(l, &m->layer[il], x, N_TOK);
        assert_int_equal(t.n_products, 4); /* in each of two sequences */
        assert_int_equal(t.n_rows, 2 * N_TOK);
        if (il % 2) vg_layers_watch(l, false);
        vg_layers_mlp(l, &m->layer[il], x, N_TOK);
        assert_true(il % 2 ? t.n_products == 4 : t.n_products >= 8);
        vg_layers_watch(l, true);
        assert_false(t.strange);
        t = (told){0};
    }
    check_end(l, m, x, g.tok, SEQ_TOK);
    check_end(l, m, x + SEQ_TOK * hp->width, g.tok + SEQ_TOK, N_TOK - SEQ_TOK);
    free(x);
    vg_layers_free(l);
    golden_free(&g);
    vg_model_unref(m);
}

static void test_every_family(void **state)
{
    VG_UNUSED(state);
    for (size_t i = 0; i < VG_COUNT(families); i++) check_family(families[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
