/* Constrained output: GBNF, JSON Schema, masks against a brute-force oracle, hostile grammars, and
 * what the built-in model writes. tools/oracle/json_schema.py asks outside judges. */
#include <math.h>

#include "base/json.h"
#include "fault.h"
#include "model/grammar.h"
#include "test.h"

static int open_model(void **state)
{
    vg_err err;
    char path[4096];
    vg_model *model = NULL;
    test_path(path, "../models/default.gguf");
    vg_status st = vg_model_open(&model, path, NULL, &err);
    *state = model;
    return st != VG_OK;
}

static int close_model(void **state)
{
    vg_model_unref(*state);
    return 0;
}

typedef vg_status make_fn(vg_grammar **, vg_model *, const char *, size_t, vg_err *);

static bool fits(vg_grammar *g, const char *text)
{
    vg_err err;
    bool ok;
    TEST_OK(vg_grammar_matches(g, text, strlen(text), &ok, &err));
    return ok;
}

/* Texts that fit, up to NULL, then texts that do not, up to NULL. */
static void check(make_fn *make, const char *grammar, const char *const *text)
{
    vg_err err;
    vg_grammar *g = NULL;
    vg_status st = make(&g, NULL, grammar, strlen(grammar), &err);
    if (st) fail_msg("%s: %s", grammar, err.msg);
    for (; *text; text++)
        if (!fits(g, *text)) fail_msg("%s should fit %s", *text, grammar);
    for (text++; *text; text++)
        if (fits(g, *text)) fail_msg("%s should not fit %s", *text, grammar);
    vg_grammar_unref(g);
}

#define CHECK(make, grammar, ...) check((make), (grammar), (const char *const[]){__VA_ARGS__, NULL})
#define GBNF(grammar, ...) CHECK(vg_grammar_new_gbnf, grammar, __VA_ARGS__)
#define SCHEMA(grammar, ...) CHECK(vg_grammar_new_schema, grammar, __VA_ARGS__)

static void check_refused(make_fn *make, const char *grammar, size_t n, vg_status want,
                          const char *part)
{
    vg_err err;
    vg_grammar *g = NULL;
    vg_status st = make(&g, NULL, grammar, n, &err);
    if (st != want) fail_msg("%.80s: %s %s", grammar, vg_status_name(st), st ? err.msg : "");
    if (!strstr(err.msg, part)) fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    assert_null(g);
}

#define REFUSED(make, grammar, want, part)                                                         \
    check_refused((make), (grammar), strlen(grammar), (want), (part))

/* ---- GBNF ------------------------------------------------------------------------------------ */

static void gbnf_notation(void **state)
{
    VG_UNUSED(state);
    GBNF("root ::= \"a\" | \"b\" \"c\"", "a", "bc", NULL, "", "b", "abc");
    GBNF("# c\nroot ::= (\n \"a\"\n | b-2 # x\n)+\nb-2 ::= [0-9]\n", "a", "1a2", NULL, "", "ab");
    GBNF("root ::= \"a\"* \"b\"? [c-e]{2} \"f\"{1,} \"g\"{0,2}", "ccf", "aabdeffgg", NULL, "cf",
         "ccfggg", "cc");
    GBNF("root ::= \"x\"{,2} [^a-y\\]]", "z", "xxz", NULL, "xxxz", "a", "]");
    GBNF("root ::= .", "x", "\n", "\xC3\xA9", "\xF0\x9F\x98\x80", NULL, "", "xx", "\xC3", "\xFF");
    GBNF("root ::= \"\\x41\\u00e9\\U0001F600\\n\\\"\\\\\"", "A\xC3\xA9\xF0\x9F\x98\x80\n\"\\", NULL,
         "A");
    GBNF("root ::= [\\u0400-\\U0010FFFF]", "\xD0\x80", "\xE4\xB8\xAD", "\xF4\x8F\xBF\xBF", NULL,
         "\xCF\xBF", "a", "\xED\xA0\x80", "\xF4\x90\x80\x80");
    GBNF("root ::= \"(\" root \")\" | \"\"", "", "()", "(())", NULL, "(", "())");
    GBNF("root ::= item (\",\" item)*\nitem ::= [a-z]+ | \"[\" root \"]\"", "a", "a,b,[c,[d]]",
         NULL, "a,", "[a");
    GBNF("root ::=\n  \"a\"\n  | \"b\"\n\nx ::= \"y\"\r\n", "a", "b", NULL, "y");
    GBNF("root ::= \"\"", "", NULL, "a");
    GBNF("root ::= (\"a\"?){3} (\"b\"*)* \"c\"", "c", "aaac", "abbc", NULL, "aaaac");
    GBNF("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"", "", "ab", "aaaaaaaacbcbbcbc", NULL,
         "aab");
}

static void gbnf_errors(void **state)
{
    VG_UNUSED(state);
    make_fn *make = vg_grammar_new_gbnf;
    REFUSED(make, "", VG_E_FORMAT, "no rule named root");
    REFUSED(make, "root = \"a\"", VG_E_FORMAT, "line 1, column 6: \"::=\" is expected");
    REFUSED(make, "root ::= \"a\nb", VG_E_FORMAT, "ends inside a string");
    REFUSED(make, "a ::= \"x\"\nroot ::= a b\n", VG_E_FORMAT, "'b' is used and not defined");
    REFUSED(make, "root ::= \"a\"\nroot ::= \"b\"", VG_E_FORMAT, "line 2");
    REFUSED(make, "root ::= (\"a\"", VG_E_FORMAT, "\")\" is expected");
    REFUSED(make, "root ::= \"a\")", VG_E_FORMAT, "end is expected");
    REFUSED(make, "root ::= \"\\q\"", VG_E_FORMAT, "unknown escape");
    REFUSED(make, "root ::= [z-a]", VG_E_FORMAT, "ends before it begins");
    REFUSED(make, "root ::= \"\\uD800\"", VG_E_FORMAT, "no Unicode character");
    REFUSED(make, "root ::= \"a\"{3,2}", VG_E_FORMAT, "ends before it begins");
    REFUSED(make, "root ::= <[12]>", VG_E_UNSUPPORTED, "references to tokens");
    REFUSED(make, "root ::= <think>", VG_E_UNSUPPORTED, "references to tokens");
    REFUSED(make, "root ::= root \"a\" | \"b\"", VG_E_FORMAT, "'root' begins with itself");
    REFUSED(make, "root ::= a\na ::= \"\" b \"x\"\nb ::= \"y\"? a?", VG_E_FORMAT, "left recursion");
    REFUSED(make, "root ::= \"a\" root", VG_E_FORMAT, "no end");
    REFUSED(make, "root ::= []", VG_E_FORMAT, "no end");
    REFUSED(make, "root ::= \"a\"{999999999999}", VG_E_LIMIT, "more than 200000");
    REFUSED(make, "root ::= \"\xFF\"", VG_E_FORMAT, "no UTF-8");
}

/* ---- hostile --------------------------------------------------------------------------------- */

static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
    size_t len = strlen(part), at = strlen(head);
    char *s = malloc(at + n * len + strlen(tail) + 1);
    assert_non_null(s);
    memcpy(s, head, at);
    for (size_t i = 0; i < n; i++, at += len) memcpy(s + at, part, len);
    strcpy(s + at, tail);
    return s;
}

static void bombs_are_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        make_fn *make;
        const char *head, *part, *tail;
        size_t n;
    } bombs[] = {
        {vg_grammar_new_gbnf, "root ::= ", "(", "\"a\"", 60000},
        {vg_grammar_new_schema, "", "{\"items\":", "{}", 60000},
        {vg_grammar_new_schema, "", "[", "", 60000},
        {vg_grammar_new_schema, "{\"pattern\":\"", "(", "a\"}", 3000},
        {vg_grammar_new_schema, "{\"pattern\":\"", "(a*)*", "\"}", 60000},
        {vg_grammar_new_schema, "{\"pattern\":\"^(a|b)*a", "(a|b)", "$\"}", 30},
        {vg_grammar_new_gbnf, "root ::= ", "(\"a\"{200000} | ", "\"b\")", 12},
    };
    for (size_t i = 0; i < VG_COUNT(bombs); i++) {
        vg_err err;
        vg_grammar *g = NULL;
        char *s = repeated(bombs[i].head, bombs[i].part, bombs[i].n, bombs[i].tail);
        vg_status st = bombs[i].make(&g, NULL, s, strlen(s), &err);
        assert_int_not_equal(st, VG_OK);
        free(s);
    }
    make_fn *make = vg_grammar_new_schema;
    REFUSED(make, "{\"$ref\":\"#\"}", VG_E_FORMAT, "leads back to itself");
    REFUSED(make, "{\"allOf\":[{\"$ref\":\"#\"}]}", VG_E_FORMAT, "leads back to itself");
    REFUSED(make, "{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", VG_E_FORMAT,
            "begins with itself");
    REFUSED(make, "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}},"
                  "\"$ref\":\"#/$defs/a\"}", VG_E_FORMAT, "leads back to itself");
    REFUSED(make, "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", VG_E_FORMAT,
            "no end");
    REFUSED(make, "{\"minLength\":4000000000}", VG_E_LIMIT, "minLength");
    REFUSED(make, "{\"minItems\":300000}", VG_E_LIMIT, "minItems");
}

/* Every pair of brackets may be closed in two ways: places stay few. */
static void ambiguity_is_bounded(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_grammar *g = NULL;
    const char *text = "root ::= (\"a\" | \"a\" \"a\" | root-2)* \nroot-2 ::= \"a\" root \"a\"";
    TEST_OK(vg_grammar_new_gbnf(&g, NULL, text, strlen(text), &err));
    char *as = repeated("", "a", 3000, "");
    bool ok;
    vg_status st = vg_grammar_matches(g, as, 3000, &ok, &err);
    if (st) assert_int_equal(st, VG_E_LIMIT);
    free(as);
    vg_grammar_unref(g);
}

/* Nesting ends where the rules' levels do, and what was begun can be ended. */
static void nesting_is_bounded(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_grammar *g = NULL;
    vg_matcher *m = NULL;
    TEST_OK(vg_grammar_new_schema(&g, NULL, "{}", 2, &err));
    TEST_OK(vg_matcher_new(&m, g, &err));
    bool ok = true;
    size_t depth = 0;
    for (; ok; depth += ok) {
        vg_matcher *probe = NULL;
        char *text = repeated("", "[", depth + 1, "");
        TEST_OK(vg_matcher_new(&probe, g, &err));
        TEST_OK(vg_matcher_accept(probe, text, depth + 1, &ok, &err));
        vg_matcher_free(probe);
        free(text);
        assert_true(depth < 1000);
    }
    assert_true(depth > 60);
    char *text = repeated("", "[", depth, ""), *ends = repeated("", "]", depth, "");
    TEST_OK(vg_matcher_accept(m, text, depth, &ok, &err));
    assert_true(ok && !vg_matcher_may_end(m));
    TEST_OK(vg_matcher_accept(m, ends, depth, &ok, &err));
    assert_true(ok && vg_matcher_may_end(m));
    free(text);
    free(ends);
    vg_matcher_free(m);
    vg_grammar_unref(g);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* A token is allowed exactly if its bytes may follow, an end token if the text may end. */
static void check_mask(vg_grammar *g, const char *text)
{
    vg_err err;
    vg_matcher *m = NULL;
    const vg_vocab *v = vg_grammar_model(g)->vocab;
    bool ok;
    TEST_OK(vg_matcher_new(&m, g, &err));
    TEST_OK(vg_matcher_accept(m, text, strlen(text), &ok, &err));
    assert_true(ok);
    uint64_t *mask = calloc(vg_matcher_words(m), sizeof *mask);
    assert_non_null(mask);
    TEST_OK(vg_matcher_mask(m, mask, &err));
    for (int32_t id = 0; id < (int32_t)vg_vocab_size(v); id++) {
        vg_matcher *probe = NULL;
        char bytes[VG_DECODE_MAX];
        size_t n = vg_vocab_text(v, id, bytes);
        TEST_OK(vg_matcher_new(&probe, g, &err));
        TEST_OK(vg_matcher_accept(probe, text, strlen(text), &ok, &err));
        if (vg_vocab_is_end(v, id)) ok = vg_matcher_may_end(probe);
        else TEST_OK(vg_matcher_accept(probe, bytes, n, &ok, &err));
        if (!vg_vocab_is_end(v, id) && n == 0) ok = false;
        vg_matcher_free(probe);
        if ((mask[id / 64] >> id % 64 & 1) != ok)
            fail_msg("token %d (%.*s) after %s: %d", id, (int)n, bytes, text, ok);
    }
    free(mask);
    vg_matcher_free(m);
}

static void masks_are_exact(void **state)
{
    vg_model *model = *state;
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"n\":{\"type\":"
        "\"integer\",\"minimum\":3,\"maximum\":250},\"s\":{\"type\":\"string\",\"maxLength\":90,"
        "\"minLength\":60}},"
        "\"required\":[\"name\"]}";
    static const char *const after[] = {
        "", "{", "{\n   ", "{\"", "{\"na", "{\"name\": ", "{\"name\":\"", "{\"name\":\"ab\\",
        "{\"name\":\"\\ud83d", "{\"name\":\"\xF0\x9F", "{\"name\":\"x\"", "{\"name\":\"x\", ",
        "{\"name\":\"x\", \"n\":2", "{\"name\":\"x\",\"s\":\"",
        "{\"name\":\"x\",\"s\":\"yyyyyyyyyyyyyyyyy",
        "{\"name\":\"x\", \"n\":25 }"};
    static const char *const gbnf[] = {"root ::= [^x]{3,40} \"end\"",
                                       "root ::= (\"ab\" | \"a\" root)*"};
    vg_err err;
    vg_grammar *g = NULL;
    TEST_OK(vg_grammar_new_schema(&g, model, schema, strlen(schema), &err));
    for (size_t i = 0; i < VG_COUNT(after); i++) check_mask(g, after[i]);
    vg_grammar_unref(g);
    for (size_t i = 0; i < VG_COUNT(gbnf); i++) {
        TEST_OK(vg_grammar_new_gbnf(&g, model, gbnf[i], strlen(gbnf[i]), &err));
        check_mask(g, "");
        check_mask(g, "ab");
        vg_grammar_unref(g);
    }
}

static void matchers_share_and_end(void **state)
{
    vg_model *model = *state;
    vg_err err;
    vg_grammar *g = NULL;
    vg_matcher *a = NULL, *b = NULL;
    TEST_OK(vg_grammar_new_gbnf(&g, model, "root ::= \"a\" \"b\"?", 17, &err));
    TEST_OK(vg_matcher_new(&a, g, &err));
    TEST_OK(vg_matcher_new(&b, g, &err));
    vg_grammar_unref(g); /* matchers hold it */
    vg_tokens t;
    TEST_OK(vg_tokenize(model, "ab", 2, 0, &t, &err));
    vg_model_info info;
    vg_model_get_info(model, &info);
    assert_int_equal(vg_matcher_take(a, info.eos, &err), VG_E_USAGE);
    TEST_OK(vg_matcher_take(a, t.id[0], &err));
    assert_false(vg_matcher_may_end(b));
    assert_true(vg_matcher_may_end(a));
    vg_matcher_free(a);
    bool ok;
    TEST_OK(vg_matcher_accept(b, "ab", 2, &ok, &err));
    assert_true(ok);
    uint64_t *mask = calloc(vg_matcher_words(b), sizeof *mask);
    assert_non_null(mask);
    for (int i = 0; i < 2; i++) { /* nothing but the end, also behind it */
        TEST_OK(vg_matcher_mask(b, mask, &err));
        for (int32_t id = 0; id < (int32_t)info.n_vocab; id++)
            assert_int_equal(mask[id / 64] >> id % 64 & 1, vg_token_is_end(model, id));
        TEST_OK(vg_matcher_take(b, info.eos, &err));
    }
    assert_int_equal(vg_matcher_take(b, t.id[0], &err), VG_E_USAGE);
    free(mask);
    vg_tokens_free(&t);
    vg_matcher_free(b);
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* What the model writes within g, at temperature 1; false: not ended after n tokens. */
static bool write_text(vg_engine *e, vg_grammar *g, const vg_sampling *sampling, size_t n,
                       vg_buf *out)
{
    const vg_model *model = vg_grammar_model(g);
    vg_err err;
    vg_session *s = NULL;
    vg_session_opts opts = {.sampling = *sampling};
    vg_decoder decoder = {.begun = true};
    int32_t id = 1;
    bool ended = false;
    TEST_OK(vg_session_new(&s, e, &opts, &err));
    TEST_OK(vg_session_append(s, &id, 1, &err));
    TEST_OK(vg_session_constrain(s, g, &err));
    for (size_t i = 0; i < n && !ended; i++) {
        char text[VG_DECODE_MAX];
        size_t n_text = 0;
        while (vg_session_pending(s)) TEST_OK(vg_engine_step(e, &s, 1, &err));
        TEST_OK(vg_session_sample(s, &id, &err));
        ended = vg_token_is_end(model, id);
        if (!ended) TEST_OK(vg_decode(model, &decoder, id, text, sizeof text, &n_text, &err));
        vg_buf_add(out, text, n_text);
    }
    vg_session_free(s);
    return ended;
}

static void check_text(vg_model *model, vg_engine *e, const char *schema,
                       const vg_sampling *sampling)
{
    vg_err err;
    vg_grammar *g = NULL;
    vg_arena *a = NULL;
    vg_json *j;
    vg_buf out;
    bool ok;
    vg_buf_init(&out, 1 << 20);
    TEST_OK(vg_grammar_new_schema(&g, model, schema, strlen(schema), &err));
    bool ended = write_text(e, g, sampling, 300, &out);
    if (ended) {
        TEST_OK(vg_arena_new(&a, 1 << 20, &err));
        TEST_OK(vg_grammar_matches(g, out.data, out.n, &ok, &err));
        if (!ok || vg_json_parse(a, out.data, out.n, &j, &err))
            fail_msg("%.*s does not fit %s", (int)out.n, out.data, schema);
        vg_arena_free(a);
    }
    vg_buf_clear(&out);
    vg_grammar_unref(g);
}

/* Each schema of the oracle's list, with a seed and with samplers of its own. */
static void model_keeps_schemas(void **state)
{
    static const vg_sampling samplers[] = {
        {.temp = 1}, {.temp = 0}, {.temp = 1, .top_k = 5}, {.temp = 1.5f, .top_p = 0.9f},
        {.temp = 1, .repeat_penalty = 1.3f, .min_p = 0.05f}, {.temp = 1, .mirostat_tau = 4}};
    vg_err err;
    vg_engine *e = NULL;
    vg_arena *a = NULL;
    vg_json *list;
    size_t n;
    char path[4096];
    test_path(path, "golden/schemas.json");
    char *text = test_read(path, &n);
    TEST_OK(vg_arena_new(&a, 4 << 20, &err));
    TEST_OK(vg_json_parse(a, text, n, &list, &err));
    vg_engine_opts opts = {.n_threads = 1, .ctx_tok = 512};
    TEST_OK(vg_engine_new(&e, *state, &opts, &err));
    assert_true(list->n >= 50);
    for (size_t i = 0; i < list->n; i++) {
        vg_buf schema;
        vg_sampling sampling = samplers[i % VG_COUNT(samplers)];
        sampling.seed = i + 1;
        vg_buf_init(&schema, 1 << 20);
        vg_json_put(&schema, list->item[i]);
        check_text(*state, e, schema.data, &sampling);
        vg_buf_clear(&schema);
    }
    vg_engine_free(e);
    vg_arena_free(a);
    free(text);
}

static void sessions_are_checked(void **state)
{
    vg_model *model = *state;
    vg_err err;
    vg_engine *e = NULL;
    vg_session *s = NULL;
    vg_grammar *g = NULL, *none = NULL;
    TEST_OK(vg_engine_new(&e, model, &(vg_engine_opts){.n_threads = 1, .ctx_tok = 64}, &err));
    TEST_OK(vg_session_new(&s, e, NULL, &err));
    TEST_OK(vg_grammar_new_gbnf(&none, NULL, "root ::= \"a\"", 12, &err));
    assert_int_equal(vg_session_constrain(s, none, &err), VG_E_USAGE);
    TEST_OK(vg_grammar_new_gbnf(&g, model, "root ::= \"zq\"", 13, &err));
    TEST_OK(vg_session_constrain(s, g, &err));
    TEST_OK(vg_session_constrain(s, NULL, &err));
    TEST_OK(vg_session_constrain(s, g, &err));
    int32_t id = 1;
    vg_bias ban[256];
    vg_tokens t;
    TEST_OK(vg_session_append(s, &id, 1, &err));
    TEST_OK(vg_engine_step(e, &s, 1, &err));
    TEST_OK(vg_tokenize(model, "z", 1, 0, &t, &err));
    ban[0] = (vg_bias){t.id[0], -INFINITY};
    TEST_OK(vg_session_set_sampling(s, &(vg_sampling){.bias = ban, .n_bias = 1}, &err));
    vg_status st = vg_session_sample(s, &id, &err); /* unless a token "zq" is there */
    if (st) assert_int_equal(st, VG_E_NUMERIC);
    vg_tokens_free(&t);
    vg_grammar_unref(g);
    vg_grammar_unref(none);
    vg_session_free(s);
    vg_engine_free(e);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static vg_status whole_way(make_fn *make, vg_model *model, const char *grammar, const char *text,
                           vg_err *err)
{
    vg_grammar *g = NULL;
    vg_matcher *m = NULL;
    bool ok;
    VG_TRY(make(&g, model, grammar, strlen(grammar), err));
    vg_status st = vg_grammar_matches(g, text, strlen(text), &ok, err);
    if (!st) st = vg_matcher_new(&m, g, err);
    if (!st) {
        uint64_t mask[64];
        assert_true(vg_matcher_words(m) <= VG_COUNT(mask));
        st = vg_matcher_mask(m, mask, err);
    }
    vg_matcher_free(m);
    vg_grammar_unref(g);
    return st;
}

static void memory_runs_out(void **state)
{
    static const struct {
        make_fn *make;
        const char *grammar, *text;
    } ways[] = {
        {vg_grammar_new_gbnf, "root ::= [^a]{2,9} (\"x\" | root)* \"q\"?", "bbq"},
        {vg_grammar_new_schema,
         "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^[a-c]+$"
         "\",\"maxLength\":4},\"b\":{\"type\":\"integer\",\"minimum\":3,\"multipleOf\":2},\"c\":{"
         "\"enum\":[1,\"x\"]},\"d\":{\"oneOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}},"
         "\"required\":[\"a\"],\"patternProperties\":{\"^x\":{\"format\":\"date\"}},"
         "\"minProperties\":1}",
         "{\"a\":\"abc\"}"}};
    for (size_t i = 0; i < VG_COUNT(ways); i++) {
        bool more = true;
        for (unsigned n = 1; more; n++) {
            vg_err err;
            fault_arm(FAULT_ALLOC, n);
            vg_status st = whole_way(ways[i].make, *state, ways[i].grammar, ways[i].text, &err);
            more = fault_disarm();
            if (!more && st) fail_msg("%s", err.msg);
            if (more && st != VG_E_NO_MEMORY) fail_msg("allocation %u: %s", n, vg_status_name(st));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gbnf_notation),
        cmocka_unit_test(gbnf_errors),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(ambiguity_is_bounded),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(masks_are_exact),
        cmocka_unit_test(matchers_share_and_end),
        cmocka_unit_test(model_keeps_schemas),
        cmocka_unit_test(sessions_are_checked),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
