/* Tests of checkpoints' tokenizers: tokenizer.json files with the pre-tokenizers of published
 * models give the ids that HF tokenizers gives (tests/golden/convert/tokenizers.json, made by
 * tools/oracle/checkpoint_vocab.py), and what would be cut elsewhere is refused. */
#include "base/json.h"
#include "compress/convert.h"
#include "model/model.h"
#include "model/vocab.h"
#include "synth.h"
#include "test_tmp.h"

typedef struct place {
    test_tmp tmp;
    char dir[2048], out[2048];
    vg_arena *arena;
    const vg_json *golden;
} place;

static void begin(place *p)
{
    char path[4096];
    size_t n;
    vg_err err;
    const synth_opts opts = {.seed = 1, .tiny = true};
    test_tmp_begin(&p->tmp);
    snprintf(p->dir, sizeof p->dir, "%s", test_tmp_path(&p->tmp, "folder"));
    snprintf(p->out, sizeof p->out, "%s", test_tmp_path(&p->tmp, "out.gguf"));
    TEST_OK(synth_checkpoint(synth_shape_find("Llama-3.2-1B"), VG_BF16, &opts, p->dir, &err));
    TEST_OK(vg_arena_new(&p->arena, 64 << 20, &err));
    test_path(path, "golden/convert/tokenizers.json");
    char *text = test_read(path, &n);
    vg_json *doc;
    TEST_OK(vg_json_parse(p->arena, text, n, &doc, &err));
    p->golden = doc;
    free(text);
}

static void end(place *p)
{
    vg_arena_free(p->arena);
    test_tmp_remove(&p->tmp);
}

/* An object with more behind what it has. */
static void put_open(vg_buf *b, const vg_json *object)
{
    vg_json_put(b, object);
    assert_int_equal(b->data[b->n - 1], '}');
    b->n--;
}

static void put_tokenizer(const place *p, const vg_json *of, vg_buf *b)
{
    put_open(b, vg_json_get(of, "head"));
    vg_buf_text(b, ",\"model\":");
    put_open(b, vg_json_get(of, "model"));
    vg_buf_text(b, ",\"vocab\":");
    vg_json_put(b, vg_json_get(p->golden, "vocab"));
    vg_buf_text(b, ",\"merges\":");
    vg_json_put(b, vg_json_get(p->golden, "merges"));
    vg_buf_text(b, "}}");
}

static vg_status convert(const place *p, const char *file, const vg_buf *b, vg_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", p->dir, file);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
    fclose(f);
    const vg_convert_opts opts = {.type = VG_N_DTYPES};
    vg_convert_report r;
    return vg_convert(p->dir, p->out, &opts, &r, err);
}

static void check_ids(const vg_model *m, const vg_json *texts, const vg_json *ids, const char *like)
{
    vg_err err;
    for (size_t i = 0; i < texts->n; i++) {
        vg_tokens got = {0};
        vg_str text = texts->item[i]->str;
        const vg_json *want = ids->item[i];
        TEST_OK(vg_tokenize(m, text.p, text.n, 0, &got, &err));
        bool same = got.n == want->n;
        for (size_t k = 0; same && k < got.n; k++) same = got.id[k] == want->item[k]->integer;
        if (!same) fail_msg("%s: text %zu is cut otherwise", like, i);
        vg_tokens_free(&got);
    }
}

static void pre_tokenizers_of_published_models(void **state)
{
    VG_UNUSED(state);
    place p;
    begin(&p);
    const vg_json *cases = vg_json_get(p.golden, "cases");
    for (size_t i = 0; i < cases->n; i++) {
        const vg_json *one = cases->item[i];
        char like[64];
        vg_err err;
        vg_buf b;
        vg_model *m = NULL;
        vg_str name;
        vg_buf_init(&b, 1 << 20);
        snprintf(like, sizeof like, "%.*s", VG_STR_ARG(vg_json_get(one, "like")->str));
        put_tokenizer(&p, one, &b);
        vg_status st = convert(&p, "tokenizer.json", &b, &err);
        if (st) fail_msg("%s: %s", like, err.msg);
        TEST_OK(vg_model_open(&m, p.out, &(vg_model_opts){.vocab_only = true}, &err));
        TEST_OK(vg_gguf_str(m->gguf, "tokenizer.ggml.pre", &name, &err));
        if (!vg_str_eq(name, vg_json_get(one, "name")->str))
            fail_msg("%s is called %.*s", like, VG_STR_ARG(name));
        check_ids(m, vg_json_get(p.golden, "texts"), vg_json_get(one, "ids"), like);
        vg_model_unref(m);
        vg_buf_clear(&b);
    }
    end(&p);
}

/* ---- Unigram, and files older than tokenizer.json ------------------------------------------- */

static void copy(const place *p, const char *name)
{
    char from[4096], to[4096], golden[64];
    size_t n;
    snprintf(golden, sizeof golden, "golden/convert/unigram/%s", name);
    test_path(from, golden);
    snprintf(to, sizeof to, "%s/%s", p->dir, name);
    char *bytes = test_read(from, &n);
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes);
}

static void remove_file(const place *p, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    remove(path);
}

static vg_model *open_converted(const place *p, const char *kind)
{
    vg_err err;
    vg_model *m = NULL;
    const vg_convert_opts opts = {.type = VG_N_DTYPES};
    vg_convert_report r;
    TEST_OK(vg_convert(p->dir, p->out, &opts, &r, &err));
    TEST_OK(vg_model_open(&m, p->out, &(vg_model_opts){.vocab_only = true}, &err));
    assert_string_equal(vg_vocab_kind(m->vocab), kind);
    return m;
}

static void unigram_models(void **state)
{
    VG_UNUSED(state);
    place p;
    char path[4096];
    size_t n;
    vg_err err;
    vg_json *ids;
    begin(&p);
    test_path(path, "golden/convert/unigram/ids.json");
    char *text = test_read(path, &n);
    TEST_OK(vg_json_parse(p.arena, text, n, &ids, &err));
    free(text);
    copy(&p, "tokenizer.json");
    vg_model *m = open_converted(&p, "unigram");
    check_ids(m, vg_json_get(ids, "texts"), vg_json_get(ids, "ids"), "tokenizer.json");
    assert_false(vg_vocab_adds_bos(m->vocab));
    vg_model_unref(m);
    remove_file(&p, "tokenizer.json");
    copy(&p, "tokenizer.model");
    m = open_converted(&p, "unigram");
    check_ids(m, vg_json_get(ids, "model_texts"), vg_json_get(ids, "model_ids"),
              "tokenizer.model");
    vg_model_unref(m);
    end(&p);
}

static void put_file(const place *p, const char *name, const char *text, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void put_slow_files(const place *p, const char *class)
{
    const vg_json *merges = vg_json_get(p->golden, "merges");
    char config[128];
    vg_buf b;
    vg_buf_init(&b, 1 << 20);
    vg_json_put(&b, vg_json_get(p->golden, "vocab"));
    put_file(p, "vocab.json", b.data, b.n);
    vg_buf_reset(&b);
    vg_buf_text(&b, "#version: 0.2\r\n");
    for (size_t i = 0; i < merges->n; i++) {
        vg_buf_str(&b, merges->item[i]->item[0]->str);
        vg_buf_char(&b, ' ');
        vg_buf_str(&b, merges->item[i]->item[1]->str);
        vg_buf_text(&b, i % 2 ? "\n" : "\r\n");
    }
    put_file(p, "merges.txt", b.data, b.n);
    vg_buf_clear(&b);
    int n = snprintf(config, sizeof config, "{\"tokenizer_class\": \"%s\", \"eos_token\": "
                     "{\"content\": \"Zebraic\"}}", class);
    put_file(p, "tokenizer_config.json", config, (size_t)n);
}

static void vocab_and_merges_alone(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *class, *like;
    } cases[] = {{"GPT2Tokenizer", "GPT-2"}, {"Qwen2Tokenizer", "Qwen2"},
                 {"Qwen2TokenizerFast", "Qwen2"}};
    place p;
    vg_err err;
    vg_convert_report r;
    const vg_convert_opts opts = {.type = VG_N_DTYPES};
    begin(&p);
    remove_file(&p, "tokenizer.json");
    const vg_json *all = vg_json_get(p.golden, "cases");
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        size_t k = 0;
        while (!vg_str_is(vg_json_get(all->item[k], "like")->str, cases[i].like)) k++;
        put_slow_files(&p, cases[i].class);
        vg_model *m = open_converted(&p, "bpe");
        check_ids(m, vg_json_get(p.golden, "texts"), vg_json_get(all->item[k], "ids"),
                  cases[i].class);
        assert_int_equal(vg_vocab_eos(m->vocab), 900);
        assert_true(vg_vocab_is_control(m->vocab, 900));
        vg_model_unref(m);
    }
    put_slow_files(&p, "CodeGenTokenizer");
    assert_int_equal(vg_convert(p.dir, p.out, &opts, &r, &err), VG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "CodeGenTokenizer"));
    remove_file(&p, "merges.txt");
    assert_int_equal(vg_convert(p.dir, p.out, &opts, &r, &err), VG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "merges.txt"));
    end(&p);
}

static void what_would_be_cut_elsewhere_is_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *from, *to, *says;
    } bad[] = {
        {"\"Isolated\"", "\"MergedWithNext\"", "'Split'"},
        {"\"Isolated\"", "\"Removed\"", "'Split'"},
        {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "add_prefix_space"},
        {"{1,3}", "{1,4}", "not known"},
        {"\"ByteLevel\"", "\"Whitespace\"", "neither byte-level"},
    };
    place p;
    begin(&p);
    const vg_json *all = vg_json_get(p.golden, "cases");
    size_t k = 0;
    while (!vg_str_is(vg_json_get(all->item[k], "like")->str, "Llama 3")) k++;
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        vg_buf b, changed;
        vg_err err;
        vg_buf_init(&b, 1 << 20);
        vg_buf_init(&changed, 1 << 20);
        put_tokenizer(&p, all->item[k], &b);
        for (char *at = b.data;;) { /* the pre-tokenizer's words alone */
            char *found = memmem(at, b.n - (size_t)(at - b.data), bad[i].from,
                                 strlen(bad[i].from));
            char *rest = memmem(b.data, b.n, "\"post_processor\"", 16);
            bool in = found && found < rest;
            vg_buf_add(&changed, at, in ? (size_t)(found - at) : b.n - (size_t)(at - b.data));
            if (!in) break;
            vg_buf_text(&changed, bad[i].to);
            at = found + strlen(bad[i].from);
        }
        vg_status st = convert(&p, "tokenizer.json", &changed, &err);
        if (!st || !strstr(err.msg, bad[i].says)) fail_msg("case %zu: %s", i, st ? err.msg : "ok");
        vg_buf_clear(&b);
        vg_buf_clear(&changed);
    }
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pre_tokenizers_of_published_models),
        cmocka_unit_test(unigram_models),
        cmocka_unit_test(vocab_and_merges_alone),
        cmocka_unit_test(what_would_be_cut_elsewhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
