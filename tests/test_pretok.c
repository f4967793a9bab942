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
    for (size_t i = 0; i < cuts->n; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", VG_STR_ARG(cuts->key[i]));
        check_cuts(name, texts, cuts->item[i]);
    }
    vg_arena_free(a);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
