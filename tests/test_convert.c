/* Tests of the conversion: tiny checkpoints of our own (tools/oracle/convert.py) give the tensors
 * that another mapping gave, their tokenizers read back, what is not supported is refused by name,
 * and every allocation and call failing leaves no file. */
#include <sys/stat.h>

#include "compress/convert.h"
#include "fault.h"
#include "model/model.h"
#include "test_tmp.h"

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static vg_status convert(const char *dir, const char *out, vg_dtype type, vg_err *err)
{
    vg_convert_opts opts = {.type = type};
    vg_convert_report report;
    return vg_convert(dir, out, &opts, &report, err);
}

/* Each line of NAME.crc: name, type, dimensions, CRC-32 of the bytes or "-". */
static void check_tensors(const vg_gguf *g, char *lines)
{
    size_t n = 0;
    for (char *save, *line = strtok_r(lines, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save), n++) {
        char name[128], type[16], dims[64], sum[16], seen[64] = "", crc[16];
        assert_int_equal(sscanf(line, "%127s %15s %63s %15s", name, type, dims, sum), 4);
        const vg_gguf_tensor *t = vg_gguf_tensor_find(g, name);
        if (!t) fail_msg("there is no %s", name);
        for (uint32_t i = 0; i < t->n_dims; i++)
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%u", i ? "x" : "",
                     (unsigned)t->dim[i]);
        assert_string_equal(vg_gguf_tensor_type_name(t->type), type);
        assert_string_equal(seen, dims);
        snprintf(crc, sizeof crc, "%08x", (unsigned)crc32_of(t->data, t->n_bytes));
        if (strcmp(sum, "-") != 0 && strcmp(sum, crc) != 0) fail_msg("%s has other bytes", name);
    }
    assert_int_equal(vg_gguf_n_tensors(g), n);
}

static void checkpoints_of_all_kinds(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {
        "llama3", "llama-bias", "mistral", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3",
        "phi3-swa", "phi4-longrope", "granite", "smollm3",
        "packed-awq", "packed-gptq", "packed-zeros", "packed-order",
        "packed-compressed"};
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char dir[4096], crc[4096], name[64];
        snprintf(name, sizeof name, "golden/convert/%s", names[i]);
        test_path(dir, name);
        snprintf(name, sizeof name, "golden/convert/%s.crc", names[i]);
        test_path(crc, name);
        const char *out = test_tmp_path(&tmp, "out.gguf");
        TEST_OK(convert(dir, out, VG_N_DTYPES, &err));
        vg_model *m = NULL;
        TEST_OK(vg_model_open(&m, out, NULL, &err));
        size_t n;
        char *lines = test_read(crc, &n);
        check_tensors(m->gguf, lines);
        free(lines);
        vg_tokens ids = {0};
        TEST_OK(vg_tokenize(m, "abba", 4, 0, &ids, &err));
        assert_int_equal(ids.n, 3);
        assert_int_equal(ids.id[0], 159);
        vg_tokens_free(&ids);
        assert_true(vg_str_is(m->chat_template, "{{ messages[0].content }}"));
        vg_model_unref(m);
    }
    test_tmp_end(&tmp);
}

/* Copies a golden checkpoint with one text in config.json or tokenizer.json replaced. */
static void copy_with(test_tmp *tmp, const char *golden, const char *file, const char *from,
                      const char *to)
{
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};
    for (size_t i = 0; i < VG_COUNT(files); i++) {
        char path[4096], name[128];
        size_t n;
        snprintf(name, sizeof name, "golden/convert/%s/%s", golden, files[i]);
        test_path(path, name);
        char *text = test_read(path, &n), *at = NULL;
        FILE *f = fopen(test_tmp_path(tmp, files[i]), "wb");
        assert_non_null(f);
        if (strcmp(files[i], file) == 0) {
            at = memmem(text, n, from, strlen(from));
            if (!at) fail_msg("%s has no %s", file, from);
            fwrite(text, 1, (size_t)(at - text), f);
            fputs(to, f);
            at += strlen(from);
        }
        fwrite(at ? at : text, 1, n - (at ? (size_t)(at - text) : 0), f);
        fclose(f);
        free(text);
    }
}

/* A line a text: ids by the original tokenizer, a bar, the text. */
static void check_ids(const vg_model *m, char *lines)
{
    vg_err err;
    for (char *save, *line = strtok_r(lines, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char *text = strchr(line, '|'), *at = line;
        vg_tokens ids = {0};
        assert_non_null(text);
        *text++ = '\0';
        TEST_OK(vg_tokenize(m, text, strlen(text), VG_TOK_BOS, &ids, &err));
        for (size_t i = 0; i < ids.n; i++) {
            char *end;
            long want = strtol(at, &end, 10);
            if (end == at || ids.id[i] != want) fail_msg("'%s': id %zu is %d", text, i, ids.id[i]);
            at = end;
        }
        assert_int_equal(strspn(at, " "), strlen(at));
        vg_tokens_free(&ids);
    }
}

static void read_golden(const char *name, const char *end, char **text)
{
    char path[4096], file[96];
    size_t n;
    snprintf(file, sizeof file, "golden/convert/%s%s", name, end);
    test_path(path, file);
    *text = test_read(path, &n);
}

static void encoders_convert(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *name;
        vg_pooling pooling;
        uint32_t ctx_tok;
    } all[] = {{"bert", VG_POOL_CLS, 20}, {"bert-lines", VG_POOL_MEAN, 12},
               {"xlm-roberta", VG_POOL_MEAN, 20}, {"nomic-bert", VG_POOL_MEAN, 64}};
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    for (size_t i = 0; i < VG_COUNT(all); i++) {
        char dir[4096], file[96], *text;
        snprintf(file, sizeof file, "golden/convert/%s", all[i].name);
        test_path(dir, file);
        const char *out = test_tmp_path(&tmp, "out.gguf");
        TEST_OK(convert(dir, out, VG_N_DTYPES, &err));
        vg_model *m = NULL;
        vg_engine *e = NULL;
        TEST_OK(vg_model_open(&m, out, NULL, &err));
        read_golden(all[i].name, ".crc", &text);
        check_tensors(m->gguf, text);
        free(text);
        read_golden(all[i].name, ".ids", &text);
        check_ids(m, text);
        free(text);
        vg_model_info info;
        vg_model_get_info(m, &info);
        assert_true(info.is_encoder && info.pooling == all[i].pooling &&
                    info.ctx_train_tok == all[i].ctx_tok);
        TEST_OK(vg_engine_new(&e, m, NULL, &err));
        float v[16];
        int32_t id[2] = {5, 6};
        TEST_OK(vg_engine_embed(e, &(vg_tokens){id, 2}, 1, NULL, v, &err));
        vg_engine_free(e);
        vg_model_unref(m);
    }
    test_tmp_end(&tmp);
}

static void what_is_not_supported_is_named(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *file, *from, *to, *says;
    } bad[] = {
        {"config.json", "LlamaForCausalLM", "MambaForCausalLM", "MambaForCausalLM"},
        {"config.json", "\"silu\"", "\"relu2\"", "relu2"},
        {"config.json", "\"llama3\"", "\"yarn\"", "yarn"},
        {"config.json", "\"hidden_size\": 16", "\"hidden_size\": 32", "config.json gives"},
        {"config.json", "\"hidden_size\": 16", "\"hidden_size\": \"x\"", "hidden_size"},
        {"config.json", "\"hidden_size\": 16", "\"hidden_size\": 1e99", "hidden_size"},
        {"config.json", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2", "is missing"},
        {"config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "heads"},
        {"config.json", "\"vocab_size\": 160", "\"vocab_size\": 161", "embed_tokens"},
        {"config.json", "{", "{\"quantization_config\":{\"quant_method\":\"bitsandbytes\"},",
         "bitsandbytes"},
        {"config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false",
         "lm_head.weight is missing"},
        {"model.safetensors", "self_attn.k_proj", "self_attn.x_proj", "k_proj.weight is missing"},
        {"tokenizer.json", "\"use_regex\": true", "\"use_regex\": false", "not known"},
        {"tokenizer.json", "\"BPE\"", "\"WordPiece\"", "WordPiece"},
        {"tokenizer.json", "[\"a\", \"b\"]", "[\"ab\"]", "merges[0]"},
        {"tokenizer.json", "\"normalizer\": null", "\"normalizer\": {\"type\":\"Lowercase\"}",
         "normalizer"},
    };
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    char out[2048];
    snprintf(out, sizeof out, "%s", test_tmp_path(&tmp, "out.gguf"));
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        copy_with(&tmp, "llama3", bad[i].file, bad[i].from, bad[i].to);
        vg_status st = convert(tmp.dir, out, VG_N_DTYPES, &err);
        if (!st || !strstr(err.msg, bad[i].says)) fail_msg("case %zu: %s", i, st ? err.msg : "ok");
        struct stat info;
        assert_int_not_equal(stat(out, &info), 0);
    }
    copy_with(&tmp, "llama3", "config.json", "\"llama3\"", "\"llama3\"");
    TEST_OK(convert(tmp.dir, out, VG_F32, &err));
    test_tmp_end(&tmp);
}

static void encoders_that_differ_are_named(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *file, *from, *to, *says;
    } bad[] = {
        {"config.json", "\"gelu\"", "\"gelu_new\"", "hidden_act 'gelu_new'"},
        {"config.json", "\"is_decoder\": false", "\"is_decoder\": true", "is_decoder true"},
        {"config.json", "{", "{\"position_embedding_type\":\"relative_key\",", "relative_key"},
        {"config.json", "\"hidden_size\": 16", "\"hidden_size\": 17", "2 heads of a width of 17"},
        {"config.json", "_embeddings\": 20", "_embeddings\": 21", "config.json gives [21, 16]"},
        {"config.json", "vocab_size\": 2", "vocab_size\": 3", "config.json gives [3, 16]"},
        {"config.json", "\"BertModel\"", "\"BertForQuestionAnswering\"", "BertForQuestion"},
        {"model.safetensors", "output.LayerNorm.bias", "output.LayerNorm.bia_", "is missing"},
        {"tokenizer.json", "\"BertNormalizer\"", "\"Lowercase\"", "a normalizer of its own"},
        {"tokenizer.json", "\"BertPreTokenizer\"", "\"Whitespace\"", "a pre-tokenizer of its own"},
        {"tokenizer.json", "\"clean_text\": true", "\"clean_text\": false", "clean_text"},
    };
    static const struct {
        const char *modules, *pooling, *says;
    } pools[] = {
        {"[{\"type\":\"x.Dense\",\"path\":\"2_Dense\"}]", "{}", "2_Dense"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"../1\"}]", "{}", "'../1' is no folder"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"\"}]", "{}", "is no folder"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"3\"}]", "{}", "3/config.json is missing"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"1\"}]", "{}", "pooling of 0 kinds"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"1\"}]", "{\"pooling_mode\":\"max\"}", "is max"},
        {"[{\"type\":\"x.Pooling\",\"path\":\"1\"}]",
         "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}", "of 2 kinds"},
        {"[", "{}", "modules.json"},
    };
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    char out[2048];
    snprintf(out, sizeof out, "%s", test_tmp_path(&tmp, "out.gguf"));
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        copy_with(&tmp, "bert", bad[i].file, bad[i].from, bad[i].to);
        vg_status st = convert(tmp.dir, out, VG_N_DTYPES, &err);
        if (!st || !strstr(err.msg, bad[i].says)) fail_msg("case %zu: %s", i, st ? err.msg : "ok");
    }
    copy_with(&tmp, "bert", "config.json", "{", "{");
    for (size_t i = 0; i < VG_COUNT(pools); i++) {
        test_tmp_put(&tmp, "/modules.json", pools[i].modules);
        test_tmp_put(&tmp, "/1/config.json", pools[i].pooling);
        vg_status st = convert(tmp.dir, out, VG_N_DTYPES, &err);
        if (!st || !strstr(err.msg, pools[i].says)) fail_msg("pool %zu: %s", i, err.msg);
    }
    test_tmp_put(&tmp, "/modules.json", pools[4].modules);
    test_tmp_put(&tmp, "/1/config.json", "{\"pooling_mode\":\"lasttoken\"}");
    TEST_OK(convert(tmp.dir, out, VG_N_DTYPES, &err));
    vg_model *m = NULL;
    TEST_OK(vg_model_open(&m, out, NULL, &err));
    assert_int_equal(m->hp.pooling, VG_POOL_LAST);
    vg_model_unref(m);
    test_tmp_remove(&tmp);
}

/* As Gemma 3's configurations do. */
static void the_embedding_tells_the_number_of_tokens(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    char out[2048];
    snprintf(out, sizeof out, "%s", test_tmp_path(&tmp, "out.gguf"));
    copy_with(&tmp, "llama3", "config.json", "\"vocab_size\": 160", "\"vocab_size\": null");
    TEST_OK(convert(tmp.dir, out, VG_N_DTYPES, &err));
    vg_model *m = NULL;
    TEST_OK(vg_model_open(&m, out, NULL, &err));
    assert_int_equal(vg_vocab_size(m->vocab), 160);
    uint32_t n = 0;
    TEST_OK(vg_gguf_u32(m->gguf, "llama.vocab_size", &n, &err));
    assert_int_equal(n, 160);
    vg_model_unref(m);
    test_tmp_end(&tmp);
}

static void fail_everywhere(const char *golden)
{
    char dir[4096];
    vg_err err;
    test_tmp tmp;
    test_tmp_begin(&tmp);
    test_path(dir, golden);
    const char *out = test_tmp_path(&tmp, "out.gguf");
    for (fault_kind kind = FAULT_ALLOC; kind <= FAULT_IO; kind++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            fault_arm(kind, n);
            vg_status st = convert(dir, out, VG_F16, &err);
            more = fault_disarm();
            struct stat info;
            if (st) assert_int_not_equal(stat(out, &info), 0);
            else assert_int_equal(remove(out), 0);
            if (!more && st) fail_msg("%s", err.msg);
        }
    }
    test_tmp_end(&tmp);
}

static void every_failure_leaves_nothing(void **state)
{
    VG_UNUSED(state);
    fail_everywhere("golden/convert/qwen2");
    fail_everywhere("golden/convert/packed-order");
    fail_everywhere("golden/convert/bert");
    fail_everywhere("golden/convert/bert-lines");
}

static bool stop(void *user, uint64_t done, uint64_t total)
{
    VG_UNUSED(user);
    return done > total / 2;
}

static void a_stopped_conversion_leaves_nothing(void **state)
{
    VG_UNUSED(state);
    char dir[4096];
    vg_err err;
    test_tmp tmp;
    vg_convert_report report;
    test_tmp_begin(&tmp);
    test_path(dir, "golden/convert/qwen3moe");
    vg_convert_opts opts = {.type = VG_N_DTYPES, .progress = stop};
    assert_int_equal(vg_convert(dir, test_tmp_path(&tmp, "out.gguf"), &opts, &report, &err),
                     VG_E_CANCELLED);
    test_tmp_put(&tmp, "/mark", "");
    test_tmp_end(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_of_all_kinds),
        cmocka_unit_test(encoders_convert),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(encoders_that_differ_are_named),
        cmocka_unit_test(the_embedding_tells_the_number_of_tokens),
        cmocka_unit_test(every_failure_leaves_nothing),
        cmocka_unit_test(a_stopped_conversion_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
