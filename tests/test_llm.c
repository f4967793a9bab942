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

/* ---- the model inside the program, against PyTorch on its dequantised weights --------------- */

typedef struct speaker {
    vg_model *m;
    vg_engine *e;
    vg_session *s;
    uint32_t n_vocab;
} speaker;

static void speaker_begin(speaker *p)
{
    vg_err err;
    char path[4096];
    vg_model_info info;
    test_path(path, "../models/default.gguf");
    TEST_OK(vg_model_open(&p->m, path, NULL, &err));
    TEST_OK(vg_engine_new(&p->e, p->m, NULL, &err)); /* as a user has it: 8-bit cache */
    TEST_OK(vg_session_new(&p->s, p->e, NULL, &err));
    vg_model_get_info(p->m, &info);
    p->n_vocab = info.n_vocab;
}

static void speaker_end(speaker *p)
{
    vg_session_free(p->s);
    vg_engine_free(p->e);
    vg_model_unref(p->m);
}

static size_t read_ids(const vg_json *list, int32_t *ids, size_t cap)
{
    assert_true(list && list->n <= cap);
    for (size_t i = 0; i < list->n; i++) ids[i] = (int32_t)list->item[i]->integer;
    return list->n;
}

/* Activations in 8 bits move a logit by about a hundredth of the largest: where PyTorch's best
 * token leads by less than this, another may win. Up to there the greedy ids are the same. */
static const double near_tie = 0.3;

static void default_model_writes_as_in_pytorch(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    char path[4096];
    speaker p;
    vg_arena *a = NULL;
    test_path(path, "../models/default.golden.json");
    const vg_json *prompts = vg_json_get(read_json(&a, path), "prompts");
    speaker_begin(&p);
    size_t n_same = 0;
    for (size_t i = 0; i < prompts->n; i++) {
        const vg_json *one = prompts->item[i], *text = vg_json_get(one, "text");
        const vg_json *greedy = vg_json_get(one, "greedy"), *gaps = vg_json_get(one, "gaps");
        int32_t ids[512];
        size_t n = read_ids(vg_json_get(one, "ids"), ids, VG_COUNT(ids));
        vg_tokens ours = {0};
        TEST_OK(vg_tokenize(p.m, text->str.p, text->str.n, VG_TOK_BOS, &ours, &err));
        assert_int_equal(ours.n, n);
        assert_memory_equal(ours.id, ids, n * sizeof *ids);
        vg_tokens_free(&ours);
        TEST_OK(vg_session_sync(p.s, ids, n, NULL, &err));
        for (size_t t = 0; t < greedy->n; t++, n_same++) {
            int32_t next;
            step_all(p.e, p.s);
            TEST_OK(vg_session_sample(p.s, &next, &err));
            if (next == greedy->item[t]->integer) continue;
            printf("  prompt %zu: another token at %zu, where PyTorch's lead is %.4f\n", i, t,
                   gaps->item[t]->number);
            assert_true(gaps->item[t]->number < near_tie);
            break;
        }
    }
    printf("  %zu greedy ids as PyTorch's\n", n_same);
    assert_true(n_same > 20);
    speaker_end(&p);
    vg_arena_free(a);
}

static void default_model_has_pytorchs_loss(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    char path[4096];
    speaker p;
    vg_arena *a = NULL;
    test_path(path, "../models/default.golden.json");
    const vg_json *doc = read_json(&a, path), *sample = vg_json_get(doc, "sample");
    size_t window = (size_t)vg_json_get(doc, "window")->integer;
    int32_t ids[1 << 14];
    size_t n = read_ids(vg_json_get(sample, "ids"), ids, VG_COUNT(ids)), n_losses = 0;
    double loss = 0, want = vg_json_get(sample, "nats")->number;
    speaker_begin(&p);
    for (size_t w = 0; w + window <= n; w += window) {
        for (size_t t = 1; t < window; t++, n_losses++) {
            TEST_OK(vg_session_sync(p.s, ids + w, t, NULL, &err));
            step_all(p.e, p.s);
            loss += loss_of(vg_session_logits(p.s), p.n_vocab, ids[w + t]);
        }
    }
    loss /= (double)n_losses;
    printf("  loss %.5f nats a token, PyTorch %.5f\n", loss, want);
    assert_true(fabs(loss - want) < 0.01);
    speaker_end(&p);
    vg_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories260k_matches_float64),
        cmocka_unit_test(babyllama105_matches_float64),
        cmocka_unit_test(default_model_writes_as_in_pytorch),
        cmocka_unit_test(default_model_has_pytorchs_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
