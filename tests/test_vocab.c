/* Tokenizers against what the original libraries give: goldens of tools/oracle and tools/vocab, the
 * vectors beside real vocabularies, and properties that hold for any text. */
#include "base/json.h"
#include "model/unicode.h"
#include "model/vocab.h"
#include "test.h"

/* ---- files ---------------------------------------------------------------------------------- */

typedef struct loaded {
    vg_gguf *gguf;
    vg_vocab *vocab;
} loaded;

static loaded load(const char *path)
{
    vg_err err;
    loaded l = {0};
    vg_model_opts opts = {.vocab_only = true};
    TEST_OK(vg_gguf_open(&l.gguf, path, &opts, &err));
    TEST_OK(vg_vocab_new(&l.vocab, l.gguf, &err));
    return l;
}

static void unload(loaded *l)
{
    vg_vocab_free(l->vocab);
    vg_gguf_close(l->gguf);
}

static bool exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

/* A vocabulary by name: in the tree, in the folder VG_TEST_VOCAB (converted by tools/oracle), or
 * among the test data. */
static bool find_vocab(char path[4096], const char *name)
{
    char tail[300];
    snprintf(tail, sizeof tail, "golden/vocab/%s.gguf", name);
    test_path(path, tail);
    if (exists(path)) return true;
    const char *dir = getenv("VG_TEST_VOCAB");
    if (dir) snprintf(path, 4096, "%s/%s.gguf", dir, name);
    if (dir && exists(path)) return true;
    snprintf(tail, sizeof tail, "vocab/ggml-vocab-%s.gguf", strcmp(name, "gpt2") ? name : "gpt-2");
    return test_data_path(path, tail);
}

static void check_ids(const vg_vocab *v, const char *what, vg_str text, unsigned flags,
                      const int32_t *want, size_t n_want)
{
    vg_err err;
    vg_tokens got;
    TEST_OK(vg_vocab_encode(v, text, flags, &got, &err));
    size_t i = 0;
    while (i < got.n && i < n_want && got.id[i] == want[i]) i++;
    if (i < got.n || i < n_want)
        fail_msg("%s, flags %u, '%.*s': %zu ids, wanted %zu; at %zu %d instead of %d", what, flags,
                 VG_STR_ARG(text), got.n, n_want, i, i < got.n ? got.id[i] : -1,
                 i < n_want ? want[i] : -1);
    vg_tokens_free(&got);
}

static void decode_all(const vg_vocab *v, const int32_t *id, size_t n, bool special, vg_buf *out)
{
    vg_err err;
    vg_decoder d = {.special = special};
    for (size_t i = 0; i <= n; i++) {
        char buf[VG_DECODE_MAX];
        size_t len;
        TEST_OK(vg_vocab_decode(v, &d, i < n ? id[i] : -1, buf, sizeof buf, &len, &err));
        assert_int_equal(vg_utf8_valid(buf, len), len); /* never half a character */
        vg_buf_add(out, buf, len);
    }
}

/* ---- the vectors beside real vocabularies --------------------------------------------------- */

static size_t run_vectors(const vg_vocab *v, const char *in_path, const char *out_path)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    size_t n_in, n_out, cases = 0;
    char *in = test_read(in_path, &n_in), *out = test_read(out_path, &n_out);
    char *line = out;
    for (char *at = in; at; cases++) {
        char *end = strstr(at, mark), *eol = strchr(line, '\n');
        if (!eol) break; /* the last mark ends the file */
        int32_t want[4096];
        size_t n = 0;
        for (char *p = line; p < eol && n < VG_COUNT(want);) {
            long id = strtol(p, &p, 10);
            want[n++] = (int32_t)id;
            while (p < eol && *p == ' ') p++;
        }
        size_t len = end ? (size_t)(end - at) : strlen(at);
        check_ids(v, in_path, (vg_str){at, len}, 0, want, n);
        line = eol + 1;
        at = end ? end + strlen(mark) : NULL;
    }
    free(in);
    free(out);
    return cases;
}

static void test_vectors(void **state)
{
    VG_UNUSED(state);
    static const char *const names[][2] = {
        {"bert-bge", "bert-bge"}, {"deepseek-llm", "deepseek-llm"}, {"gpt-2", "gpt-2"},
        {"llama-spm", "llama-spm"}, {"phi-3", "phi-3"}, {"llama3", "llama-bpe"},
        {"qwen2", "qwen2"}};
    size_t done = 0;
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char path[4096], in[4096], out[4096], tail[300];
        snprintf(tail, sizeof tail, "vocab/ggml-vocab-%s.gguf.inp", names[i][1]);
        if (!test_data_path(in, tail) || !find_vocab(path, names[i][0])) {
            print_message("skipped: %s is absent\n", names[i][0]);
            continue;
        }
        snprintf(tail, sizeof tail, "vocab/ggml-vocab-%s.gguf.out", names[i][1]);
        assert_true(test_data_path(out, tail));
        loaded l = load(path);
        assert_int_equal(run_vectors(l.vocab, in, out), 46);
        unload(&l);
        done++;
    }
    if (!done) skip();
}

/* Phi-3's special tokens swallow the white space behind them (rstrip of its tokenizer.json). */
static void test_phi3(void **state)
{
    VG_UNUSED(state);
    char path[4096];
    if (!find_vocab(path, "phi-3")) skip();
    loaded l = load(path);
    static const int32_t chat[] = {32010, 6324, 32007, 32001}, plain[] = {1, 29871, 13};
    check_ids(l.vocab, "phi-3", VG_STR("<|user|>\n Hi<|end|> \n<|assistant|>\n"), VG_TOK_SPECIAL,
              chat, VG_COUNT(chat));
    check_ids(l.vocab, "phi-3", VG_STR("<s>\n"), VG_TOK_SPECIAL, plain, VG_COUNT(plain));
    unload(&l);
}

/* ---- goldens -------------------------------------------------------------------------------- */

static size_t read_ids(const vg_json *list, int32_t *id, size_t cap)
{
    assert_non_null(list);
    assert_true(list->n <= cap);
    for (size_t i = 0; i < list->n; i++) id[i] = (int32_t)list->item[i]->integer;
    return list->n;
}

static vg_str case_text(const vg_json *c, vg_buf *repeat)
{
    const vg_json *text = vg_json_get(c, "text"), *rep = vg_json_get(c, "repeat");
    if (text) return text->str;
    for (int64_t i = 0; i < rep->item[1]->integer; i++) vg_buf_str(repeat, rep->item[0]->str);
    return (vg_str){repeat->data, repeat->n};
}

enum { IDS_MAX = 1 << 16 };

static void check_case(const vg_vocab *v, const char *name, const vg_json *doc, const vg_json *c,
                       int32_t *id)
{
    vg_buf repeat, text;
    vg_buf_init(&repeat, 1 << 20);
    vg_buf_init(&text, 1 << 20);
    vg_str s = case_text(c, &repeat);
    size_t n = read_ids(vg_json_get(c, "ids"), id, IDS_MAX);
    check_ids(v, name, s, 0, id, n);
    const vg_json *decoded = vg_json_get(c, "decoded"), *special = vg_json_get(c, "special");
    decode_all(v, id, n, false, &text);
    /* GGUF has no key for what SentencePiece prints for unknown text, and BERT's joins nothing. */
    if (!decoded) assert_true(vg_str_eq((vg_str){text.data, text.n}, s));
    const vg_json *prefix = vg_json_get(doc, "prefix"), *suffix = vg_json_get(doc, "suffix");
    if (strcmp(name, "whisper") != 0) { /* its frame is no matter of the vocabulary */
        size_t before = read_ids(prefix, id, IDS_MAX);
        before += read_ids(vg_json_get(c, "ids"), id + before, IDS_MAX - before);
        before += read_ids(suffix, id + before, IDS_MAX - before);
        check_ids(v, name, s, VG_TOK_BOS, id, before);
    }
    if (special) check_ids(v, name, s, VG_TOK_SPECIAL, id, read_ids(special, id, IDS_MAX));
    vg_buf_clear(&repeat);
    vg_buf_clear(&text);
}

static size_t from_hex(vg_str hex, vg_buf *out)
{
    for (size_t i = 0; i + 1 < hex.n; i += 2) {
        char two[3] = {hex.p[i], hex.p[i + 1], 0};
        vg_buf_char(out, (char)(unsigned char)strtoul(two, NULL, 16));
    }
    return out->n;
}

/* "hex" has the bytes of byte-level tokens, "text" what the original prints. SentencePiece prints
 * one U+FFFD a byte and a mark for unknown text, where we follow Unicode and print nothing. */
static void check_decode(const vg_vocab *v, const char *name, const vg_json *c, int32_t *id)
{
    vg_buf got, want;
    vg_buf_init(&got, 1 << 20);
    vg_buf_init(&want, 1 << 20);
    const vg_json *hex = vg_json_get(c, "hex"), *text = vg_json_get(c, "text");
    size_t n = read_ids(vg_json_get(c, "ids"), id, IDS_MAX);
    decode_all(v, id, n, hex != NULL, &got);
    if (hex) from_hex(hex->str, &want);
    else vg_buf_str(&want, text->str);
    bool bpe = strcmp(vg_vocab_kind(v), "bpe") == 0, strange = false;
    for (size_t i = 0; !bpe && i < n; i++) strange |= vg_vocab_is_control(v, id[i]);
    strange |= !bpe && want.n && strstr(want.data, "\xEF\xBF\xBD");
    strange |= vg_utf8_valid(want.data, want.n) != want.n;
    if (!strange && !vg_str_eq((vg_str){got.data, got.n}, (vg_str){want.data, want.n}))
        fail_msg("%s: %zu ids from %d: '%s', wanted '%s'", name, n, n ? id[0] : -1, got.data,
                 want.data);
    vg_buf_clear(&got);
    vg_buf_clear(&want);
}

static bool run_golden(const char *name)
{
    char path[4096], tail[300];
    if (!find_vocab(path, name)) {
        print_message("skipped: %s.gguf is absent; see VG_TEST_VOCAB\n", name);
        return false;
    }
    loaded l = load(path);
    vg_err err;
    vg_arena *a;
    vg_json *doc;
    size_t n;
    snprintf(tail, sizeof tail, "golden/vocab/%s.json", name);
    test_path(path, tail);
    char *text = test_read(path, &n);
    TEST_OK(vg_arena_new(&a, 64 << 20, &err));
    TEST_OK(vg_json_parse(a, text, n, &doc, &err));
    int32_t *id = malloc(IDS_MAX * sizeof *id);
    const vg_json *cases = vg_json_get(doc, "cases");
    assert_true(cases && cases->n > 20);
    for (size_t i = 0; i < cases->n; i++) check_case(l.vocab, name, doc, cases->item[i], id);
    const vg_json *decode = vg_json_get(doc, "decode");
    for (size_t i = 0; i < decode->n; i++) check_decode(l.vocab, name, decode->item[i], id);
    free(id);
    free(text);
    vg_arena_free(a);
    unload(&l);
    return true;
}

static void test_goldens(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"gpt2", "llama2", "llama3", "minilm", "qwen2", "tok105",
                                        "tok512", "unigram-en", "unigram-ja", "whisper"};
    size_t done = 0;
    for (size_t i = 0; i < VG_COUNT(names); i++) done += run_golden(names[i]);
    if (!done) skip();
}

static void test_small_goldens(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"small-bpe", "small-spm", "small-unigram",
                                        "small-wordpiece"};
    for (size_t i = 0; i < VG_COUNT(names); i++) assert_true(run_golden(names[i]));
}

/* ---- properties ----------------------------------------------------------------------------- */

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* A text of n bytes at most: characters of all lengths, or bytes of any kind. */
static size_t random_text(uint32_t *seed, char *out, size_t n, bool bytes)
{
    size_t used = 0;
    while (used + 4 <= n) {
        uint32_t r = random_next(seed);
        int32_t cp = (int32_t)(random_next(seed) % (r % 4 == 0   ? 0x80u
                                                    : r % 4 == 1 ? 0x800u
                                                    : r % 4 == 2 ? 0xD800u
                                                                 : 0x110000u));
        if (cp >= 0xD800 && cp < 0xE000) cp = ' ';
        if (bytes && r % 5) out[used++] = (char)(unsigned char)random_next(seed);
        else used += vg_utf8_put(cp, out + used);
    }
    return used;
}

/* Every maximal part that is no character becomes U+FFFD; here by brute force. */
static void replaced(vg_str s, vg_buf *out)
{
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(s.p + i, s.n - i, &cp);
        if (cp >= 0) {
            vg_buf_add(out, s.p + i, n);
            i += n;
            continue;
        }
        size_t part = 1; /* the longest start of any character that stands here */
        for (int32_t c = 0x80; c < 0x110000; c += c < 0x800 ? 1 : 61) {
            char whole[4];
            if (c >= 0xD800 && c < 0xE000) continue;
            size_t len = vg_utf8_put(c, whole), same = 0;
            while (same < len && i + same < s.n && whole[same] == s.p[i + same]) same++;
            if (same < len && same > part) part = same;
        }
        vg_buf_cp(out, 0xFFFD);
        i += part;
    }
}

static void check_round_trip(const vg_vocab *v, vg_str text)
{
    vg_err err;
    vg_tokens t;
    vg_buf got, want;
    vg_buf_init(&got, 1 << 20);
    vg_buf_init(&want, 1 << 20);
    TEST_OK(vg_vocab_encode(v, text, 0, &t, &err));
    decode_all(v, t.id, t.n, false, &got);
    replaced(text, &want);
    if (!vg_str_eq((vg_str){got.data, got.n}, (vg_str){want.data, want.n}))
        fail_msg("'%.*s' came back as '%s'", VG_STR_ARG(text), got.data);
    vg_tokens_free(&t);
    vg_buf_clear(&got);
    vg_buf_clear(&want);
}

/* Vocabularies with all bytes give every text back, but for what normalisation changes (form C of
 * small-bpe, U+2581 of small-spm, neither of which the random texts here hold often: skipped). */
static void test_round_trips(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"small-bpe", "small-spm"};
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char path[4096], text[200];
        assert_true(find_vocab(path, names[i]));
        loaded l = load(path);
        uint32_t seed = 7;
        for (int round = 0; round < 3000; round++) {
            size_t n = random_text(&seed, text, 4 + random_next(&seed) % 60, round % 2);
            vg_str s = {text, n};
            if (i == 0 && vg_unicode_nfc_prefix(s) < n) continue;
            if (memmem(text, n, "\xE2\x96\x81", 3)) continue;
            check_round_trip(l.vocab, s);
        }
        unload(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_phi3),
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_small_goldens),
        cmocka_unit_test(test_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
