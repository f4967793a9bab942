/* Small real models, run as a user would, against references computed elsewhere: the llama2.c
 * models of the shared data (greedy ids, losses and logits in float64 by an independent program;
 * skipped where the folder is absent), and the model inside the program against PyTorch. */
#include <math.h>

#include "base/json.h"
#include "tools/llama2c/llama2c.h"

#include "golden.h"

static vg_json *read_json(vg_arena **a, const char *path)
{
    vg_err err;
    size_t n;
    char *text = test_read(path, &n);
    vg_json *doc = NULL;
    TEST_OK(vg_arena_new(a, 64 << 20, &err));
    TEST_OK(vg_json_parse(*a, text, n, &doc, &err));
    free(text);
    return doc;
}

static void step_all(vg_engine *e, vg_session *s)
{
    vg_err err;
    while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
}

/* -log softmax(logits)[id] */
static double loss_of(const float *logits, size_t n, int32_t id)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) max = fmax(max, (double)logits[i]);
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[id];
}

static void compare_logits(const float *ours, const vg_json *want, const char *what)
{
    double diff = 0, largest = 0;
    for (size_t i = 0; i < want->n; i++) {
        diff = fmax(diff, fabs((double)ours[i] - want->item[i]->number));
        largest = fmax(largest, fabs(want->item[i]->number));
    }
    printf("  %s: max difference %.1e of the largest logit\n", what, diff / largest);
    assert_true(diff <= 1e-4 * largest);
}

static void check_llama2c(const char *model, const char *tokens, const char *reference)
{
    char model_path[4096], tokens_path[4096], golden_path[4096];
    if (!test_data_path(model_path, model) || !test_data_path(tokens_path, tokens) ||
        !test_data_path(golden_path, reference)) {
        print_message("skipped: no %s\n", model_path);
        skip();
    }
    vg_err err;
    vg_arena *a = NULL;
    size_t n;
    const vg_json *doc = read_json(&a, golden_path), *ids = vg_json_get(doc, "ids");
    const vg_json *loss = vg_json_get(doc, "greedy_nll");
    uint8_t *bytes = llama2c_convert(model_path, tokens_path, &n, &err);
    if (!bytes) fail_msg("%s", err.msg);
    vg_model *m = NULL;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    TEST_OK(vg_model_open_memory(&m, bytes, n, NULL, &err));
    TEST_OK(vg_engine_new(&e, m, &(vg_engine_opts){.kv = VG_KV_F32}, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    vg_model_info info;
    vg_model_get_info(m, &info);
    TEST_OK(vg_session_append(s, &(int32_t){1}, 1, &err));
    double worst = 0;
    for (size_t i = 1; i < ids->n; i++) {
        int32_t next;
        step_all(e, s);
        if (i == 1) compare_logits(vg_session_logits(s), vg_json_get(doc, "logits_pos0"), "first");
        if (i + 1 == ids->n)
            compare_logits(vg_session_logits(s), vg_json_get(doc, "logits_last"), "last");
        double ours = loss_of(vg_session_logits(s), info.n_vocab, (int32_t)ids->item[i]->integer);
        worst = fmax(worst, fabs(ours - loss->item[i - 1]->number));
        TEST_OK(vg_session_sample(s, &next, &err));
        assert_int_equal(next, ids->item[i]->integer);
    }
    printf("  %zu greedy ids equal, losses within %.1e nats\n", ids->n - 1, worst);
    assert_true(worst <= 1e-4);
    vg_session_free(s);
    vg_engine_free(e);
    vg_model_unref(m);
    vg_arena_free(a);
    free(bytes);
}

static void stories260k_matches_float64(void **state)
{
    VG_UNUSED(state);
    check_llama2c("llm/stories260K/stories260K.bin", "llm/stories260K/tok512.bin",
                  "llm/golden/stories260K.json");
}

static void babyllama105_matches_float64(void **state)
{
    VG_UNUSED(state);
    check_llama2c("llm/babyllama/babyllama105.bin", "llm/babyllama/tok105.vocab",
                  "llm/golden/babyllama105.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories260k_matches_float64),
        cmocka_unit_test(babyllama105_matches_float64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
