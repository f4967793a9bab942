/* Tests of tools/synth: every shape opens and computes, small, in every type; the weights have the
 * deviation that was asked for; the same seed gives the same bytes. */
#include <math.h>

#include "synth.h"
#include "test_tmp.h"
#include "verge.h"

static void make(test_tmp *tmp, const char *shape, const char *type, uint64_t seed)
{
    vg_err err;
    const synth_shape *s = synth_shape_find(shape);
    const synth_mix *mix = synth_mix_find(type);
    assert_true(s && mix);
    const synth_opts opts = {.seed = seed, .tiny = true};
    TEST_OK(synth_write(s, mix, &opts, test_tmp_path(tmp, "a.gguf"), &err));
}

/* Opens the file and computes a few tokens of a text: the logits are finite and not all alike. */
static void run(test_tmp *tmp)
{
    vg_err err;
    vg_model *model = NULL;
    vg_engine *engine = NULL;
    vg_session *s = NULL;
    vg_tokens ids = {0};
    vg_model_info info;
    TEST_OK(vg_model_open(&model, test_tmp_path(tmp, "a.gguf"), NULL, &err));
    const vg_engine_opts opts = {.n_threads = 1, .ctx_tok = 64};
    TEST_OK(vg_engine_new(&engine, model, &opts, &err));
    TEST_OK(vg_session_new(&s, engine, NULL, &err));
    const char text[] = "Once upon a time";
    TEST_OK(vg_tokenize(model, text, sizeof text - 1, VG_TOK_BOS, &ids, &err));
    assert_true(ids.n > 4);
    TEST_OK(vg_session_append(s, ids.id, ids.n, &err));
    while (vg_session_pending(s)) TEST_OK(vg_engine_step(engine, &s, 1, &err));
    vg_model_get_info(model, &info);
    const float *logits = vg_session_logits(s);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < info.n_vocab; i++) {
        sum += (double)logits[i];
        squares += (double)logits[i] * (double)logits[i];
    }
    double mean = sum / info.n_vocab, deviation = sqrt(squares / info.n_vocab - mean * mean);
    if (!(deviation > 0.01 && deviation < 100)) fail_msg("logits of deviation %g", deviation);
    vg_tokens_free(&ids);
    vg_session_free(s);
    vg_engine_free(engine);
    vg_model_unref(model);
}

static void every_shape_computes(void **state)
{
    size_t n;
    const synth_shape *shape = synth_shapes(&n);
    for (size_t i = 0; i < n; i++) {
        make(*state, shape[i].name, "Q4_K_M", 1);
        run(*state);
    }
}

static void every_type_computes(void **state)
{
    size_t n;
    const synth_mix *mix = synth_mixes(&n);
    for (size_t i = 0; i < n; i++) {
        make(*state, "Llama-2-7B", mix[i].name, 1);
        run(*state);
    }
}

static void weights_have_the_deviation_asked_for(void **state)
{
    enum { N = 1 << 16 };
    const float sigma = 0.02f;
    VG_UNUSED(state);
    uint8_t *bytes = malloc(N * 4);
    float *x = malloc(N * sizeof *x);
    assert_true(bytes && x);
    size_t n_mixes;
    const synth_mix *mix = synth_mixes(&n_mixes);
    for (size_t m = 0; m < n_mixes; m++) {
        vg_dtype type = mix[m].type;
        synth_blocks(type, 7, 0, N / vg_dtype_get(type)->block, sigma, bytes);
        vg_dequant(type, bytes, x, N);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < N; i++) {
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
        }
        double deviation = sqrt(squares / N) / (double)sigma, mean = sum / N / (double)sigma;
        /* A scale of MXFP4 and the exponent of floats are powers of two, up to 1.41 away. */
        double slack = type == VG_MXFP4 || !vg_dtype_get(type)->quantised ? 0.42 : 0.1;
        bool fits = fabs(deviation - 1) < slack && fabs(mean) < 0.15;
        if (!fits) fail_msg("%s: deviation %g, mean %g", mix[m].name, deviation, mean);
    }
    free(bytes);
    free(x);
}

static void a_tensor_in_parts_is_the_same(void **state)
{
    VG_UNUSED(state);
    uint8_t whole[24 * 210], parts[24 * 210];
    synth_blocks(VG_Q6_K, 3, 0, 24, 0.1f, whole);
    synth_blocks(VG_Q6_K, 3, 0, 8, 0.1f, parts);
    synth_blocks(VG_Q6_K, 3, 8, 16, 0.1f, parts + 8 * 210);
    assert_memory_equal(whole, parts, sizeof whole);
}

static void a_seed_decides_the_bytes(void **state)
{
    test_tmp *tmp = *state;
    size_t n[3];
    char *bytes[3];
    for (size_t i = 0; i < 3; i++) {
        make(tmp, "Qwen3-0.6B", "Q4_0", i < 2 ? 5 : 6);
        bytes[i] = test_read(test_tmp_path(tmp, "a.gguf"), &n[i]);
    }
    assert_int_equal(n[0], n[1]);
    assert_int_equal(n[0], n[2]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    assert_memory_not_equal(bytes[0], bytes[2], n[0]);
    for (size_t i = 0; i < 3; i++) free(bytes[i]);
}

/* What llama-quantize (llama.cpp v0.5.0) chose for a model of 30 layers of 576 with three heads a
 * group, and for a tied embedding of rows of 2048. */
static void types_are_those_of_llama_quantize(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *shape, *mix;
        synth_role role;
        uint32_t il;
        size_t n_in;
        vg_dtype type;
    } list[] = {
        {"Llama-3.2-1B", "Q4_0", ROLE_EMBED, 0, 2048, VG_Q6_K},
        {"Llama-3.2-1B", "Q8_0", ROLE_EMBED, 0, 2048, VG_Q8_0},
        {"Llama-3.2-1B", "F16", ROLE_EMBED, 0, 2048, VG_F16},
        {"Llama-3.2-1B", "Q4_K_M", ROLE_V, 1, 2048, VG_Q6_K},
        {"Llama-3.2-1B", "Q4_K_M", ROLE_V, 2, 2048, VG_Q4_K},
        {"Llama-3.2-1B", "Q4_K_M", ROLE_DOWN, 15, 8192, VG_Q6_K},
        {"Llama-3.2-1B", "IQ4_XS", ROLE_V, 9, 2048, VG_Q5_K},
        {"Llama-2-7B", "Q4_0", ROLE_EMBED, 0, 4096, VG_Q4_0},
        {"Llama-2-7B", "Q4_0", ROLE_OUTPUT, 0, 4096, VG_Q6_K},
        {"Qwen2.5-0.5B", "Q4_0", ROLE_EMBED, 0, 896, VG_Q8_0},
        {"Qwen2.5-0.5B", "Q4_K_M", ROLE_Q, 0, 896, VG_Q5_0},
        {"SmolLM2-135M", "Q5_K_M", ROLE_UP, 0, 576, VG_Q5_1},
        {"SmolLM2-135M", "Q3_K_M", ROLE_DOWN, 0, 1536, VG_Q5_K},
        {"Llama-3.2-1B", "Q4_K_M", ROLE_ONES, 0, 2048, VG_F32},
    };
    for (size_t i = 0; i < VG_COUNT(list); i++) {
        vg_dtype type = synth_mix_type(synth_mix_find(list[i].mix),
                                       synth_shape_find(list[i].shape), list[i].role, list[i].il,
                                       list[i].n_in);
        if (type != list[i].type) fail_msg("line %zu: %s", i, vg_dtype_get(type)->name);
    }
}

static void a_vocabulary_alone_opens(void **state)
{
    test_tmp *tmp = *state;
    vg_err err;
    const synth_opts opts = {.vocab_only = true};
    const vg_model_opts how = {.vocab_only = true};
    TEST_OK(synth_write(synth_shape_find("llama-3.2-1b"), synth_mix_find("q4_0"), &opts,
                        test_tmp_path(tmp, "a.gguf"), &err));
    vg_model *model = NULL;
    TEST_OK(vg_model_open(&model, test_tmp_path(tmp, "a.gguf"), &how, &err));
    const char text[] = "the state of the art";
    vg_tokens ids;
    vg_text back;
    TEST_OK(vg_tokenize(model, text, sizeof text - 1, 0, &ids, &err));
    assert_true(ids.n < sizeof text - 1); /* merges apply */
    TEST_OK(vg_detokenize(model, ids.id, ids.n, false, &back, &err));
    assert_string_equal(back.data, text);
    vg_text_free(&back);
    vg_tokens_free(&ids);
    vg_model_unref(model);
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
    test_tmp *tmp = *state;
    vg_err err;
    const synth_opts opts = {.tiny = true};
    assert_int_equal(synth_write(synth_shape_find("Llama-2-7B"), synth_mix_find("F16"), &opts,
                                 test_tmp_path(tmp, "none/a.gguf"), &err), VG_E_IO);
    assert_null(synth_shape_find("Llama-9"));
    assert_null(synth_mix_find("Q4"));
}

static int begin(void **state)
{
    test_tmp *tmp = malloc(sizeof *tmp);
    assert_non_null(tmp);
    test_tmp_begin(tmp);
    *state = tmp;
    return 0;
}

static int end(void **state)
{
    test_tmp_end(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_computes),
        cmocka_unit_test(every_type_computes),
        cmocka_unit_test(weights_have_the_deviation_asked_for),
        cmocka_unit_test(a_tensor_in_parts_is_the_same),
        cmocka_unit_test(a_seed_decides_the_bytes),
        cmocka_unit_test(types_are_those_of_llama_quantize),
        cmocka_unit_test(a_vocabulary_alone_opens),
        cmocka_unit_test(a_file_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
