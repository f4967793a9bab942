/* Every model family against Hugging Face transformers: the logits of tests/golden/arch, computed
 * there in float64, at positions inside and past the sliding window and the original context.
 *
 * The measure: the largest difference at a position, over the largest logit there. With an F32
 * cache its maximum over all positions is at most 1e-4; float rounding alone gives about 1e-6. The
 * smaller caches are held, in the mean over positions, to what their rounding explains: 2^-11 of a
 * value for F16, 1/254 of a block's largest value for 8 bits, grown through the layers of models
 * whose random weights make attention sharp. The mean, because a rounding may move a token to
 * another expert. */
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

typedef struct distance {
    double max, mean; /* over the kept positions */
} distance;

static distance measure(const family *f, vg_kv_type kv)
{
    vg_err err;
    golden g;
    golden_read(&g, f->golden);
    vg_model *m = golden_model(f->model);
    vg_engine *e = NULL;
    vg_session *s = NULL;
    TEST_OK(vg_engine_new(&e, m, &(vg_engine_opts){.ctx_tok = f->ctx_tok, .kv = kv}, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    distance d = {0, 0};
    for (uint32_t k = 0, done = 0; k < g.n_kept; done = g.kept[k++] + 1) {
        TEST_OK(vg_session_append(s, g.tok + done, g.kept[k] + 1 - done, &err));
        while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
        const float *ours = vg_session_logits(s), *want = g.logits + (size_t)k * g.n_vocab;
        double diff = 0, largest = 0;
        for (uint32_t v = 0; v < g.n_vocab; v++) {
            diff = fmax(diff, fabs((double)ours[v] - (double)want[v]));
            largest = fmax(largest, fabs((double)want[v]));
        }
        d.max = fmax(d.max, diff / largest);
        d.mean += diff / largest / g.n_kept;
    }
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    golden_free(&g);
    return d;
}

static int report(const family *f, const char *cache, distance d, double value, double bound)
{
    printf("%-20s %-3s cache: max %.1e, mean %.1e of the largest logit%s\n", f->golden, cache,
           d.max, d.mean, value <= bound ? "" : "  <-- too far");
    return !(value <= bound);
}

static void families_match_with_f32_cache(void **state)
{
    VG_UNUSED(state);
    int n_bad = 0;
    for (size_t i = 0; i < VG_COUNT(families); i++) {
        distance d = measure(&families[i], VG_KV_F32);
        n_bad += report(&families[i], "F32", d, d.max, 1e-4);
    }
    assert_int_equal(n_bad, 0);
}

static void families_are_near_with_smaller_caches(void **state)
{
    VG_UNUSED(state);
    int n_bad = 0;
    for (size_t i = 0; i < VG_COUNT(families); i++) {
        distance d = measure(&families[i], VG_KV_F16);
        n_bad += report(&families[i], "F16", d, d.mean, 2e-3);
        d = measure(&families[i], VG_KV_Q8);
        n_bad += report(&families[i], "Q8", d, d.mean, 5e-2);
    }
    assert_int_equal(n_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_match_with_f32_cache),
        cmocka_unit_test(families_are_near_with_smaller_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
