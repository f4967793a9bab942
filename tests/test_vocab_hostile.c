/* Vocabularies that lie, and texts made to be slow: each ends in an error that names what is wrong,
 * or in behaviour that is stated here. Nothing is timed; what would be quadratic would not end. */
#include <math.h>

#include "fault.h"
#include "gguf_make.h"
#include "model/vocab.h"
#include "test.h"

/* ---- a small vocabulary that can be spoilt -------------------------------------------------- */

typedef struct recipe {
    const char *model, *pre;
    const char *const *token;
    size_t n;
    const int32_t *type; /* NULL: none */
    size_t n_type;
    const float *score;
    size_t n_score;
    const char *const *merge;
    size_t n_merge;
    const char *id_key; /* one more integer key */
    uint32_t id;
    const uint8_t *map;
    size_t n_map;
    bool no_prefix, merge_spaces;
} recipe;

typedef struct made {
    uint8_t *file;
    vg_gguf *gguf;
    vg_vocab *vocab;
    vg_err err;
} made;

static void make(const recipe *r, made *m, vg_status want)
{
    gguf_make b;
    size_t n;
    make_begin(&b);
    make_str(&b, "general.architecture", "llama");
    if (r->model) make_str(&b, "tokenizer.ggml.model", r->model);
    if (r->pre) make_str(&b, "tokenizer.ggml.pre", r->pre);
    if (r->token) make_strs(&b, "tokenizer.ggml.tokens", r->token, r->n);
    if (r->type) make_i32s(&b, "tokenizer.ggml.token_type", r->type, r->n_type);
    if (r->score) make_f32s(&b, "tokenizer.ggml.scores", r->score, r->n_score);
    if (r->merge) make_strs(&b, "tokenizer.ggml.merges", r->merge, r->n_merge);
    if (r->id_key) make_u32(&b, r->id_key, r->id);
    if (r->no_prefix) make_bool(&b, "tokenizer.ggml.add_space_prefix", false);
    if (r->merge_spaces) make_bool(&b, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (r->map)
        make_array(&b, "tokenizer.ggml.precompiled_charsmap", VG_GGUF_U8, r->n_map, r->map,
                   r->n_map);
    memset(m, 0, sizeof *m);
    m->file = make_end(&b, &n);
    vg_err err = {0};
    TEST_OK(vg_gguf_open_memory(&m->gguf, m->file, n, &(vg_model_opts){.vocab_only = true}, &err));
    vg_status st = vg_vocab_new(&m->vocab, m->gguf, &m->err);
    if (st != want)
        fail_msg("%s, wanted %s: %s", vg_status_name(st), vg_status_name(want), m->err.msg);
}

static void unmake(made *m)
{
    vg_vocab_free(m->vocab);
    vg_gguf_close(m->gguf);
    free(m->file);
}

/* Refused with `want`, and the message has `part`. */
static void refused(const recipe *r, vg_status want, const char *part)
{
    made m;
    make(r, &m, want);
    if (!strstr(m.err.msg, part)) fail_msg("'%s' does not say '%s'", m.err.msg, part);
    unmake(&m);
}

static void encodes(const vg_vocab *v, const char *text, unsigned flags, const char *want)
{
    vg_err err;
    vg_tokens t;
    char got[512] = "";
    TEST_OK(vg_vocab_encode(v, vg_str_from(text), flags, &t, &err));
    for (size_t i = 0, at = 0; i < t.n && at < 480; i++)
        at += (size_t)snprintf(got + at, sizeof got - at, "%s%d", i ? " " : "", t.id[i]);
    vg_tokens_free(&t);
    assert_string_equal(got, want);
}

#define LIST(a) .token = (a), .n = VG_COUNT(a)
#define TYPES(a) .type = (a), .n_type = VG_COUNT(a)
#define SCORES(a) .score = (a), .n_score = VG_COUNT(a)
#define MERGES(a) .merge = (a), .n_merge = VG_COUNT(a)

static const char *const letters[] = {"a", "b", "ab", "c", "<e>"};
static const int32_t letter_types[] = {1, 1, 1, 1, 3};
static const char *const one_merge[] = {"a b"};
static const char *const pieces[] = {"<unk>", "<s>", "</s>", "\xE2\x96\x81", "a", "b", "ab"};
static const int32_t piece_types[] = {2, 3, 3, 1, 1, 1, 1};
static const float piece_scores[] = {0, 0, 0, -1, -2, -3, -1};

static const recipe bpe = {.model = "gpt2", .pre = "gpt-2", LIST(letters), TYPES(letter_types),
                           MERGES(one_merge)};
static const recipe spm = {.model = "llama", LIST(pieces), TYPES(piece_types),
                           SCORES(piece_scores)};

/* ---- what a file can say wrongly ------------------------------------------------------------ */

static void test_kinds(void **state)
{
    VG_UNUSED(state);
    recipe r = bpe;
    r.model = NULL;
    refused(&r, VG_E_NOT_FOUND, "tokenizer.ggml.model");
    r.model = "rwkv";
    refused(&r, VG_E_UNSUPPORTED, "rwkv");
    r = bpe;
    r.pre = "gpt-99";
    refused(&r, VG_E_UNSUPPORTED, "gpt-99");
    r = bpe;
    r.token = NULL;
    refused(&r, VG_E_NOT_FOUND, "tokenizer.ggml.tokens");
    r = bpe;
    r.n = 0;
    refused(&r, VG_E_FORMAT, "tokenizer.ggml.tokens");
    r = bpe;
    r.merge = NULL;
    refused(&r, VG_E_NOT_FOUND, "tokenizer.ggml.merges");
    r = spm;
    r.score = NULL;
    refused(&r, VG_E_NOT_FOUND, "tokenizer.ggml.scores");
}

static void test_lengths(void **state)
{
    VG_UNUSED(state);
    recipe r = bpe;
    r.n_type--;
    refused(&r, VG_E_FORMAT, "4 items for 5 tokens");
    r = spm;
    r.n_score--;
    refused(&r, VG_E_FORMAT, "6 items for 7 tokens");
}

static void test_tokens(void **state)
{
    VG_UNUSED(state);
    static const char *const bad_text[] = {"a", "b", "ab", "\xFF\xC0", "<e>"};
    static const char *const bad_byte[] = {"<unk>", "<s>", "</s>", "a", "b", "ab", "<0x-1>"};
    static const int32_t byte_types[] = {2, 3, 3, 1, 1, 1, 6}, bad_types[] = {1, 1, 7, 1, 1};
    static const char *const twice[] = {"<unk>", "<s>", "</s>", "<0x41>", "b", "ab", "<0x41>"};
    static const int32_t twice_types[] = {2, 3, 3, 6, 1, 1, 6};
    recipe r = bpe;
    r.token = bad_text;
    refused(&r, VG_E_FORMAT, "tokens[3] is not valid UTF-8");
    r = spm;
    r.token = bad_byte;
    r.type = byte_types;
    refused(&r, VG_E_FORMAT, "<0x-1>");
    r.token = twice;
    r.type = twice_types;
    refused(&r, VG_E_FORMAT, "0x41");
    r = bpe;
    r.type = bad_types;
    refused(&r, VG_E_FORMAT, "token_type[2] is 7");
    char *long_text = malloc(5000);
    memset(long_text, 'x', 4999);
    long_text[4999] = '\0';
    const char *long_tokens[] = {"a", "b", "ab", "c", long_text};
    r = bpe;
    r.token = long_tokens;
    refused(&r, VG_E_LIMIT, "tokens[4] has 4999 bytes");
    free(long_text);
}

static void test_scores(void **state)
{
    VG_UNUSED(state);
    float s[7] = {0, 0, 0, -1, -2, -3, NAN};
    recipe r = spm;
    r.score = s;
    refused(&r, VG_E_FORMAT, "scores[6] is not finite");
    s[6] = INFINITY;
    refused(&r, VG_E_FORMAT, "scores[6] is not finite");
}

static void test_ids(void **state)
{
    VG_UNUSED(state);
    static const char *const keys[] = {
        "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id", "tokenizer.ggml.unknown_token_id"};
    for (size_t i = 0; i < VG_COUNT(keys); i++) {
        recipe r = spm;
        r.id_key = keys[i];
        r.id = 7;
        refused(&r, VG_E_FORMAT, keys[i]);
        r.id = 6;
        made m;
        make(&r, &m, VG_OK);
        unmake(&m);
    }
    recipe r = bpe;
    r.id_key = "tokenizer.ggml.bos_token_id";
    r.id = UINT32_MAX; /* writers' way of saying none */
    made m;
    make(&r, &m, VG_OK);
    assert_int_equal(vg_vocab_bos(m.vocab), -1);
    assert_int_equal(vg_vocab_eos(m.vocab), -1);
    unmake(&m);
}

static void test_merges(void **state)
{
    VG_UNUSED(state);
    static const char *const bad[][2] = {{"ab", "is not a pair"}, {"a ", "is not a pair"},
                                         {" ", "is not a pair"}, {"", "is not a pair"},
                                         {"a x", "right half"}, {"x b", "left half"},
                                         {"b a", "what it makes"}, {"a \xE4\xBD\xA0", "not of"}};
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        const char *list[] = {bad[i][0]};
        recipe r = bpe;
        r.merge = list;
        refused(&r, VG_E_FORMAT, bad[i][1]);
    }
}

/* ---- behaviour that is defined -------------------------------------------------------------- */

static void test_duplicates(void **state)
{
    VG_UNUSED(state);
    static const char *const twice[] = {"a", "b", "ab", "ab", "", ""};
    static const char *const merges[] = {"a b", "a b"};
    recipe r = {.model = "gpt2", .pre = "gpt-2", LIST(twice), MERGES(merges)};
    made m;
    make(&r, &m, VG_OK);
    encodes(m.vocab, "abab", 0, "2 2"); /* the first of equal ones; empty ones never */
    unmake(&m);
}

static void test_missing_bytes(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_tokens t;
    made m;
    make(&bpe, &m, VG_OK);
    encodes(m.vocab, "abc", 0, "2 3");
    assert_int_equal(vg_vocab_encode(m.vocab, VG_STR("abz"), 0, &t, &err), VG_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "0x7a"));
    assert_null(t.id);
    unmake(&m);
    make(&spm, &m, VG_OK); /* unknown characters, joined */
    encodes(m.vocab, "zzab\xFFq", VG_TOK_BOS, "1 3 0 6 0");
    unmake(&m);
}

static void test_special(void **state)
{
    VG_UNUSED(state);
    static const char *const list[] = {"a", "b", "<", ">", "e", "<e>", "<e>b", "<x", "<e", "ee"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 3, 3, 4, 3, 4};
    recipe r = {.model = "gpt2", .pre = "gpt-2", LIST(list), TYPES(types), MERGES(one_merge)};
    r.n_merge = 0;
    made m;
    make(&r, &m, VG_OK);
    encodes(m.vocab, "a<e>b", 0, "0 2 4 3 1");            /* text stays text */
    encodes(m.vocab, "a<e>ba<e>a<ea", VG_TOK_SPECIAL, "0 6 0 5 0 8 0"); /* the longest */
    encodes(m.vocab, "<xeee", 0, "7 9 4");                /* user-defined ones always */
    vg_decoder d = {0};
    char buf[VG_DECODE_MAX];
    size_t n;
    vg_err err;
    TEST_OK(vg_vocab_decode(m.vocab, &d, 5, buf, sizeof buf, &n, &err));
    assert_int_equal(n, 0);
    d.special = true;
    TEST_OK(vg_vocab_decode(m.vocab, &d, 5, buf, sizeof buf, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(vg_vocab_decode(m.vocab, &d, 10, buf, sizeof buf, &n, &err), VG_E_USAGE);
    assert_int_equal(vg_vocab_decode(m.vocab, &d, -2, buf, sizeof buf, &n, &err), VG_E_USAGE);
    assert_int_equal(vg_vocab_decode(m.vocab, &d, 1, buf, 8, &n, &err), VG_E_USAGE);
    unmake(&m);
}

static void test_ends(void **state)
{
    VG_UNUSED(state);
    static const char *const list[] = {"a", "<|im_end|>", "</s>", "<|end|>", "<|return|>", "b"};
    static const int32_t types[] = {1, 3, 1, 3, 3, 1};
    recipe r = {.model = "gpt2", .pre = "gpt-2", LIST(list), TYPES(types), MERGES(one_merge)};
    r.n_merge = 0;
    r.id_key = "tokenizer.ggml.eot_token_id";
    r.id = 5;
    made m;
    make(&r, &m, VG_OK);
    static const bool end[] = {false, true, false, false, true, true};
    for (int32_t i = 0; i < 6; i++) assert_int_equal(vg_vocab_is_end(m.vocab, i), end[i]);
    assert_false(vg_vocab_is_end(m.vocab, -1) || vg_vocab_is_end(m.vocab, 6));
    unmake(&m);
}

static void test_charsmaps(void **state)
{
    VG_UNUSED(state);
    recipe r = {.model = "t5", LIST(pieces), TYPES(piece_types), SCORES(piece_scores)};
    static const uint8_t too_long[] = {255, 255, 255, 127, 0, 0, 0, 0};
    static const uint8_t open_text[] = {0, 0, 0, 0, 'x', 'y'};
    static const uint8_t crooked[] = {3, 0, 0, 0, 1, 2, 3, 0};
    const struct {
        const uint8_t *map;
        size_t n;
    } bad[] = {{too_long, sizeof too_long}, {open_text, sizeof open_text},
               {crooked, sizeof crooked}, {too_long, 3}};
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        r.map = bad[i].map;
        r.n_map = bad[i].n;
        refused(&r, VG_E_FORMAT, "precompiled_charsmap");
    }
    /* Units whose offsets lead anywhere, in circles among them: no match, or a bounded one. */
    uint8_t map[4 + 4 * 512 + 64];
    uint32_t seed = 1;
    for (int round = 0; round < 300; round++) {
        memset(map, 0, sizeof map);
        map[0] = 0;
        map[1] = 8; /* 2048 bytes of units */
        for (size_t i = 4; i < sizeof map - 1; i++) {
            seed = seed * 1664525u + 1013904223u;
            map[i] = (uint8_t)(seed >> 24);
            if (round % 2 && i < 4 + 2048 && i % 4 == 0) map[i] = 'a'; /* labels that fit */
            if (round % 2 && i < 4 + 2048 && i % 4 == 3) map[i] = 0;
        }
        r.map = map;
        r.n_map = sizeof map;
        made m;
        make(&r, &m, VG_OK);
        vg_err err;
        vg_tokens t;
        vg_status st = vg_vocab_encode(m.vocab, VG_STR("aaaabab aa\xFF zz aaaaaaaaaaaaaa"), 0, &t,
                                       &err);
        if (st) assert_int_equal(st, VG_E_LIMIT);
        vg_tokens_free(&t);
        unmake(&m);
    }
}

/* ---- texts made to be slow ------------------------------------------------------------------ */

static void check_runs(const vg_vocab *v)
{
    static const char *const unit[] = {"a", "ab", " ", "\n", "1", "\xCC\x81", "\xE4\xBD\xA0", "'",
                                       "\xFF", "A", "\t\n", "<|im_start"};
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES + 8);
    for (size_t i = 0; i < VG_COUNT(unit); i++) {
        size_t n = 0, len = strlen(unit[i]);
        for (; n + len <= BYTES; n += len) memcpy(text + n, unit[i], len);
        text[n++] = 'x';
        vg_err err;
        vg_tokens t;
        TEST_OK(vg_vocab_encode(v, (vg_str){text, n}, VG_TOK_SPECIAL | VG_TOK_BOS, &t, &err));
        assert_true(t.n > 0);
        vg_tokens_free(&t);
    }
    free(text);
}

static void test_long_runs(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"small-bpe", "small-spm", "small-unigram",
                                        "small-wordpiece"};
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char path[4096], tail[100];
        vg_err err;
        vg_gguf *g;
        vg_vocab *v;
        snprintf(tail, sizeof tail, "golden/vocab/%s.gguf", names[i]);
        test_path(path, tail);
        TEST_OK(vg_gguf_open(&g, path, NULL, &err));
        TEST_OK(vg_vocab_new(&v, g, &err));
        check_runs(v);
        vg_vocab_free(v);
        vg_gguf_close(g);
    }
}

/* Every way to merge "aaaa...": tokens of all powers of two, the text one run of them. */
static void test_deep_merges(void **state)
{
    VG_UNUSED(state);
    enum { POWERS = 10 };
    char text[POWERS][(1 << POWERS) + 1] = {{0}}, merge[POWERS][(1 << POWERS) + 2] = {{0}};
    const char *token[POWERS], *merges[POWERS];
    for (int i = 0; i < POWERS; i++) {
        size_t n = (size_t)1 << i;
        token[i] = memset(text[i], 'a', n);
        merges[i] = memset(merge[i], 'a', 2 * n > sizeof merge[i] ? n : 2 * n + 1);
        merge[i][n] = ' ';
    }
    recipe r = {.model = "gpt2", .pre = "gpt-2", .token = token, .n = POWERS, .merge = merges,
                .n_merge = POWERS - 1};
    made m;
    make(&r, &m, VG_OK);
    size_t n = (1 << 20) + 3;
    char *run = malloc(n);
    memset(run, 'a', n);
    vg_err err;
    vg_tokens t;
    TEST_OK(vg_vocab_encode(m.vocab, (vg_str){run, n}, 0, &t, &err));
    assert_int_equal(t.n, (1 << 20) / (1 << (POWERS - 1)) + 2);
    vg_tokens_free(&t);
    free(run);
    unmake(&m);
}

/* ---- memory that runs out ------------------------------------------------------------------- */

/* Makes every allocation of a call fail in turn; *text is encoded if v is given, else v is made. */
static void starve(const vg_gguf *g, const vg_vocab *v, vg_str text)
{
    vg_err err;
    for (unsigned n = 1;; n++) {
        vg_vocab *fresh = NULL;
        vg_tokens t = {0};
        fault_arm(FAULT_ALLOC, n);
        vg_status st = v ? vg_vocab_encode(v, text, VG_TOK_BOS, &t, &err)
                         : vg_vocab_new(&fresh, g, &err);
        bool failed = fault_disarm();
        assert_int_equal(st, failed ? VG_E_NO_MEMORY : VG_OK);
        if (failed) assert_true(!fresh && !t.id && err.code == VG_E_NO_MEMORY);
        vg_vocab_free(fresh);
        vg_tokens_free(&t);
        if (!failed) break;
        assert_true(n < 1000);
    }
}

static void test_no_memory(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {"small-bpe", "small-spm", "small-unigram",
                                        "small-wordpiece"};
    char text[20000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "the e\xCC\x81 tokens\xFF"[i % 15];
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char path[4096], tail[100];
        vg_err err;
        vg_gguf *g;
        vg_vocab *v;
        snprintf(tail, sizeof tail, "golden/vocab/%s.gguf", names[i]);
        test_path(path, tail);
        TEST_OK(vg_gguf_open(&g, path, NULL, &err));
        starve(g, NULL, VG_STR(""));
        TEST_OK(vg_vocab_new(&v, g, &err));
        starve(g, v, (vg_str){text, sizeof text});
        vg_vocab_free(v);
        vg_gguf_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),      cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_scores),
        cmocka_unit_test(test_ids),        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_duplicates), cmocka_unit_test(test_missing_bytes),
        cmocka_unit_test(test_special),    cmocka_unit_test(test_ends),
        cmocka_unit_test(test_charsmaps),  cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_deep_merges), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
