/* Tests of `verge inspect` by running the program, whose path is in VG_TEST_VERGE: what it says
 * about odd files, that its JSON is JSON, and that no byte of a file can drive a terminal. */
#include <sys/wait.h>

#include "base/json.h"
#include "gguf_make.h"
#include "test_tmp.h"

enum { OUT_BYTES = 1 << 20 };

/* Runs `verge inspect ARGS PATH`: output and stderr into out[OUT_BYTES]; returns the exit code. */
static int inspect(const char *args, const char *path, char *out)
{
    char command[8192];
    const char *verge = getenv("VG_TEST_VERGE");
    assert_non_null(verge);
    snprintf(command, sizeof command, "'%s' inspect %s '%s' 2>&1", verge, args, path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, OUT_BYTES - 1, f);
    out[n] = '\0';
    int status = pclose(f);
    assert_true(WIFEXITED(status));
    for (size_t i = 0; i < n;) {
        int32_t cp;
        size_t len = vg_utf8_next(out + i, n - i, &cp);
        bool clean = cp == '\n' || (cp >= 0x20 && cp < 0x7f) || cp >= 0xa0;
        if (!clean) fail_msg("byte %zu of the output is %d", i, out[i]);
        i += len;
    }
    return WEXITSTATUS(status);
}

static void expect(const char *out, const char *says)
{
    if (!strstr(out, says)) fail_msg("'%s' is not in:\n%s", says, out);
}

static void a_model_is_described(void **state)
{
    char *out = *state;
    char path[4096];
    test_path(path, "golden/arch/llama.gguf");
    assert_int_equal(inspect("--ctx 100 --kv f16 --tensors", path, out), 0);
    expect(out, "architecture     llama");
    expect(out, "Memory at 100 tokens, f16 cache");
    expect(out, "token_embd.weight  F32 [64, 160]");
    expect(out, "no chat template");
    assert_int_equal(inspect("--ctx 100000 --check", path, out), 0);
    expect(out, "trained for 256 tokens, 100000 were asked for");
    expect(out, "All weights are finite.");
    assert_int_equal(inspect("--kv q7", path, out), 2);
    assert_int_equal(inspect("", "/nonexistent", out), 1);
    expect(out, "/nonexistent");
}

static void kernels_are_proven(void **state)
{
    char *out = *state;
    char path[4096];
    test_path(path, "golden/arch/llama.gguf");
    assert_int_equal(inspect("--self-test", path, out), 0);
    expect(out, " rows F32 ");
    expect(out, " attn_tile q8 ");
    expect(out, "kernels give the bits of plain C.");
    assert_null(strstr(out, "rows Q4_0"));
    assert_null(strstr(out, "FELL BACK"));
    assert_int_equal(inspect("--self-test --json", path, out), 0);
    expect(out, "\"kernel\": \"rows F32\", \"ok\": true");
    expect(out, "\"failed\": 0}");
    assert_int_equal(inspect("--self-test", "/nonexistent", out), 1);
    expect(out, "/nonexistent");
}

static void make_odd(gguf_make *m)
{
    static const char *const words[] = {"\x1b[2J", "\xc2\x9b\x33\x31m", "\xff\xfe", "ok"};
    static const uint16_t scales[9] = {0x7e00}; /* a block of Q4_0 whose scale is NaN */
    make_begin(m);
    make_str(m, "general.architecture", "strange\x1b]0;x\x07");
    make_str(m, "general.name", "\x7f\x9b\r\n\t'\"");
    make_str(m, "key \x1b[31m", "value\x1b[0m");
    make_strs(m, "words", words, VG_COUNT(words));
    make_u32(m, "general.file_type", 7);
    make_tensor(m, "token_embd.weight", VG_Q4_0, 1, (uint64_t[]){32}, scales);
    make_tensor(m, "name \x1b[1m", VG_F32, 1, (uint64_t[]){8}, NULL);
}

static void odd_files_are_described(void **state)
{
    char *out = *state;
    test_tmp tmp;
    gguf_make m;
    test_tmp_begin(&tmp);
    const char *path = test_tmp_path(&tmp, "odd.gguf");
    make_odd(&m);
    make_end_file(&m, path);
    assert_int_equal(inspect("--tensors", path, out), 0);
    expect(out, "this build cannot run the model");
    expect(out, "no tokenizer");
    expect(out, "quantised to Q4_0 (4.5 bits");
    expect(out, "general.file_type 7 says Q8_0, most weights are Q4_0");
    assert_int_equal(inspect("--check", path, out), 1);
    expect(out, "'token_embd.weight' holds NaN or infinity in 32 of 32 weights");
    make_odd(&m);
    m.tensor[1].type = 16;
    make_end_file(&m, path);
    assert_int_equal(inspect("--tensors", path, out), 0);
    expect(out, "the tensors cannot be read");
    expect(out, "IQ2_XXS (16) [8]");
    assert_int_equal(inspect("--check", path, out), 1);
    make_odd(&m);
    m.data.n -= 4;
    make_end_file(&m, path);
    assert_int_equal(inspect("", path, out), 0);
    expect(out, "is it complete?");
    make_begin(&m);
    make_end_file(&m, path);
    assert_int_equal(inspect("--check", path, out), 0);
    expect(out, "holds no weights");
    test_tmp_end(&tmp);
}

static const vg_json *parse(vg_arena *a, const char *path, char *out)
{
    vg_err err;
    vg_json *doc = NULL;
    assert_int_equal(inspect("--json", path, out), 0);
    TEST_OK(vg_json_parse(a, out, strlen(out), &doc, &err));
    return doc;
}

static void json_is_valid(void **state)
{
    char *out = *state;
    vg_err err;
    vg_arena *a = NULL;
    test_tmp tmp;
    gguf_make m;
    char path[4096];
    TEST_OK(vg_arena_new(&a, 1 << 26, &err));
    test_path(path, "golden/arch/llama.gguf");
    const vg_json *doc = parse(a, path, out);
    assert_int_equal(vg_json_get(doc, "parameters")->integer, 82240);
    assert_true(vg_json_get(doc, "supported")->boolean);
    const vg_json *tokens = vg_json_get(vg_json_get(doc, "metadata"), "tokenizer.ggml.tokens");
    assert_int_equal(vg_json_get(tokens, "count")->integer, 160);
    assert_int_equal(vg_json_get(tokens, "items")->n, 64);
    test_tmp_begin(&tmp);
    make_odd(&m);
    make_end_file(&m, test_tmp_path(&tmp, "odd.gguf"));
    doc = parse(a, tmp.path, out);
    assert_true(vg_str_is(vg_json_get(doc, "architecture")->str, "strange\x1b]0;x\x07"));
    assert_int_equal(vg_json_get(doc, "tensors")->n, 2);
    make_begin(&m);
    make_end_file(&m, tmp.path);
    doc = parse(a, tmp.path, out);
    assert_int_equal(vg_json_get(doc, "metadata")->n, 0);
    vg_arena_free(a);
    test_tmp_end(&tmp);
}

static void split_sets_and_vocabularies_are_described(void **state)
{
    char *out = *state;
    test_tmp tmp;
    gguf_make m;
    char path[4096];
    test_tmp_begin(&tmp);
    for (uint16_t no = 0; no < 2; no++) {
        uint16_t count = 2;
        char name[32];
        make_begin(&m);
        make_value(&m, "split.no", VG_GGUF_U16, &no, 2);
        make_value(&m, "split.count", VG_GGUF_U16, &count, 2);
        make_tensor(&m, no ? "b" : "a", VG_F32, 1, (uint64_t[]){8}, NULL);
        snprintf(name, sizeof name, "m-%05d-of-00002.gguf", no + 1);
        make_end_file(&m, test_tmp_path(&tmp, name));
    }
    const char *first = test_tmp_path(&tmp, "m-00001-of-00002.gguf");
    assert_int_equal(inspect("--tensors", first, out), 0);
    expect(out, "2 files");
    expect(out, "b  F32 [8]  32 B  part 2");
    remove(test_tmp_path(&tmp, "m-00002-of-00002.gguf"));
    assert_int_equal(inspect("", test_tmp_path(&tmp, "m-00001-of-00002.gguf"), out), 0);
    expect(out, "part 2 of the 2 files");
    test_tmp_end(&tmp);
    if (!test_data_path(path, "vocab/ggml-vocab-bert-bge.gguf")) return;
    assert_int_equal(inspect("", path, out), 0);
    expect(out, "wordpiece, 30522 tokens");
}

static int setup(void **state)
{
    *state = malloc(OUT_BYTES);
    return *state == NULL;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_described),
        cmocka_unit_test(kernels_are_proven),
        cmocka_unit_test(odd_files_are_described),
        cmocka_unit_test(json_is_valid),
        cmocka_unit_test(split_sets_and_vocabularies_are_described),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
