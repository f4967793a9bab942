/* Every model family against Hugging Face transformers: the logits of tests/golden/arch, computed
 * there in float64, at positions inside and past the sliding window and the original context.
 *
 * The bound: the largest difference at a position, over the largest logit there, is at most 1e-4
 * with an F32 cache (the figure for F32; float rounding alone gives about 1e-6). The 8-bit
 * and F16 caches are held to what their rounding explains: 1/254 of a block's largest value for 8
 * bits, 2^-11 for F16, grown through the layers. */
#include <math.h>

#include "golden.h"

typedef struct family {
    const char *model, *golden;
    uint32_t ctx_tok; /* LongRoPE's short factors need at most the original context */
} family;

static const family families[] = {
    {"llama", "llama", 512},
    {"llama-f16", "llama-f16", 512},
    {"llama-bf16", "llama-bf16", 512},
    {"llama-bias", "llama-bias", 512},
    {"llama3", "llama3", 1024},
    {"mistral", "mistral", 512},
    {"qwen2", "qwen2", 512},
    {"qwen3", "qwen3", 512},
    {"qwen3moe", "qwen3moe", 512},
    {"gemma2", "gemma2", 512},
    {"gemma3", "gemma3", 512},
    {"gemma3-linear", "gemma3-linear", 512},
    {"phi3-swa", "phi3-swa", 512},
    {"phi3-longrope", "phi3-longrope-short", 256},
    {"phi3-longrope", "phi3-longrope-long", 512},
    {"phi4-longrope", "phi4-longrope-short", 256},
    {"phi4-longrope", "phi4-longrope-long", 512},
    {"smollm3", "smollm3", 512},
    {"granite", "granite", 512},
};

/* The largest difference over the largest logit, of all kept positions. */
static double distance(const family *f, vg_kv_type kv)
{
    vg_err err;
    golden g;
    golden_read(&g, f->golden);
    vg_model *m = golden_model(f->model);
    vg_engine *e = NULL;
    vg_session *s = NULL;
    TEST_OK(vg_engine_new(&e, m, &(vg_engine_opts){.ctx_tok = f->ctx_tok, .kv = kv}, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    double worst = 0;
    for (uint32_t k = 0, done = 0; k < g.n_kept; done = g.kept[k++] + 1) {
        TEST_OK(vg_session_append(s, g.tok + done, g.kept[k] + 1 - done, &err));
        while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
        const float *ours = vg_session_logits(s), *want = g.logits + (size_t)k * g.n_vocab;
        double diff = 0, largest = 0;
        for (uint32_t v = 0; v < g.n_vocab; v++) {
            diff = fmax(diff, fabs((double)ours[v] - (double)want[v]));
            largest = fmax(largest, fabs((double)want[v]));
        }
        worst = fmax(worst, diff / largest);
    }
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    golden_free(&g);
    return worst;
}

static void check_all(vg_kv_type kv, const char *name, double bound)
{
    int n_bad = 0;
    for (size_t i = 0; i < VG_COUNT(families); i++) {
        double d = distance(&families[i], kv);
        printf("%-20s %-4s cache: %.2e of the largest logit\n", families[i].golden, name, d);
        n_bad += !(d <= bound);
    }
    assert_int_equal(n_bad, 0);
}

static void families_match_with_f32_cache(void **state)
{
    VG_UNUSED(state);
    check_all(VG_KV_F32, "F32", 1e-4);
}

static void families_match_with_f16_cache(void **state)
{
    VG_UNUSED(state);
    check_all(VG_KV_F16, "F16", 1e-2);
}

static void families_match_with_8_bit_cache(void **state)
{
    VG_UNUSED(state);
    check_all(VG_KV_Q8, "Q8", 1e-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_match_with_f32_cache),
        cmocka_unit_test(families_match_with_f16_cache),
        cmocka_unit_test(families_match_with_8_bit_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
