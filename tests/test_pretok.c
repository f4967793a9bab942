/* Pre-tokenizers against HF tokenizers' regular expressions (golden/vocab/pretok.json, made by
 * tools/vocab/pretok.py), and what holds for any text; normal form C and lower case. */
#include "base/json.h"
#include "model/pretok.h"
#include "model/unicode.h"
#include "test.h"

/* Lengths in characters of the pieces of a text; characters are counted as Python does. */
static size_t cut(const vg_pretok *p, vg_str text, size_t *len, size_t cap)
{
    vg_pretok_iter it;
    vg_str word;
    size_t n = 0;
    const char *at = text.p;
    vg_pretok_begin(&it, p, text);
    while (vg_pretok_next(&it, &word)) {
        assert_ptr_equal(word.p, at); /* in order, without gaps */
        assert_true(word.n > 0 && n < cap);
        at += word.n;
        len[n] = 0;
        for (size_t i = 0; i < word.n; len[n]++) {
            int32_t cp;
            i += vg_utf8_next(word.p + i, word.n - i, &cp);
        }
        n++;
    }
    assert_ptr_equal(at, text.p + text.n);
    return n;
}

static void check_cuts(const char *name, const vg_json *texts, const vg_json *cuts)
{
    const vg_pretok *p = vg_pretok_find(vg_str_from(name));
    assert_non_null(p);
    assert_int_equal(cuts->n, texts->n);
    size_t bad = 0;
    for (size_t i = 0; i < texts->n; i++) {
        size_t got[2048], n = cut(p, texts->item[i]->str, got, VG_COUNT(got));
        const vg_json *want = cuts->item[i];
        size_t k = 0;
        while (k < n && k < want->n && got[k] == (size_t)want->item[k]->integer) k++;
        if (k == n && k == want->n) continue;
        if (bad++ < 8)
            print_message("%s: text %zu '%.*s': piece %zu of %zu (wanted %zu): %zu characters, "
                          "wanted %d\n",
                          name, i, VG_STR_ARG(texts->item[i]->str), k, n, want->n,
                          k < n ? got[k] : 0, k < want->n ? (int)want->item[k]->integer : 0);
    }
    if (bad) print_error("%s: %zu of %zu texts\n", name, bad, texts->n);
    assert_int_equal(bad, 0);
}

static void check_form(const vg_json *pair)
{
    vg_str s = pair->item[0]->str, want = pair->item[1]->str;
    vg_buf got;
    vg_buf_init(&got, 1 << 16);
    vg_unicode_nfc(s, &got);
    vg_err err;
    TEST_OK(vg_buf_check(&got, "form C", &err));
    if (!vg_str_eq((vg_str){got.data, got.n}, want))
        fail_msg("form C of '%.*s' is '%s', wanted '%.*s'", VG_STR_ARG(s), got.data,
                 VG_STR_ARG(want));
    if (vg_unicode_nfc_prefix(s) == s.n) assert_true(vg_str_eq(s, want));
    vg_buf_clear(&got);
}

static void test_lower(void **state)
{
    VG_UNUSED(state);
    static const int32_t pair[][2] = {{'A', 'a'}, {'[', '['}, {0xC9, 0xE9}, {0x1E9E, 0xDF},
                                      {0x10400, 0x10428}, {0x4E2D, 0x4E2D}, {0x3A3, 0x3C3}};
    int32_t out[2];
    for (size_t i = 0; i < VG_COUNT(pair); i++) {
        assert_int_equal(vg_unicode_lower(pair[i][0], out), 1);
        assert_int_equal(out[0], pair[i][1]);
    }
    assert_int_equal(vg_unicode_lower(0x130, out), 2);
    assert_int_equal(vg_unicode_class(-1), VG_UC_CN);
    assert_int_equal(vg_unicode_class(0x110000), VG_UC_CN);
}

/* What would take quadratic time does not end within the test's limit. */
static void check_runs(const vg_pretok *p)
{
    static const char *const unit[] = {"a", "A", "\xCC\x81", "A\xCA\xB0", " ", "\t ", "\n", "1",
                                       "'", "!", "IMG", "\xE4\xBD\xA0", "\xFF", "a ", "\xD9\xA3",
                                       "'l"};
    enum { BYTES = 1 << 17 };
    char *text = malloc(BYTES + 8);
    for (size_t i = 0; i < VG_COUNT(unit); i++) {
        for (int last = 0; last < 2; last++) {
            size_t n = 0, len = strlen(unit[i]), words = 0;
            for (; n + len <= BYTES; n += len) memcpy(text + n, unit[i], len);
            if (last) text[n++] = '_';
            vg_pretok_iter it;
            vg_str word;
            vg_pretok_begin(&it, p, (vg_str){text, n});
            while (vg_pretok_next(&it, &word)) words += word.n;
            assert_int_equal(words, n);
        }
    }
    free(text);
}

static void test_cuts(void **state)
{
    VG_UNUSED(state);
    char path[4096];
    size_t n;
    vg_err err;
    vg_arena *a;
    vg_json *doc;
    test_path(path, "golden/vocab/pretok.json");
    char *text = test_read(path, &n);
    TEST_OK(vg_arena_new(&a, 64 << 20, &err));
    TEST_OK(vg_json_parse(a, text, n, &doc, &err));
    const vg_json *texts = vg_json_get(doc, "texts"), *cuts = vg_json_get(doc, "cuts");
    assert_true(cuts->n > 20 && texts->n > 400);
    const vg_json *forms = vg_json_get(doc, "nfc");
    assert_true(forms->n > 200);
    for (size_t i = 0; i < forms->n; i++) check_form(forms->item[i]);
    for (size_t i = 0; i < cuts->n; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", VG_STR_ARG(cuts->key[i]));
        check_cuts(name, texts, cuts->item[i]);
        check_runs(vg_pretok_find(vg_str_from(name)));
    }
    vg_arena_free(a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_lower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
