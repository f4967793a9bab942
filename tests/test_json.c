/* Tests of base/json.h: values, errors with their place, limits, numbers as text, and the public
 * JSON parsing suite where it is there. */
#include "test.h"

#include <dirent.h>
#include <locale.h>
#include <math.h>

#include "base/json.h"
#include "fault.h"

static vg_status parse(vg_arena *a, const char *text, vg_json **out, vg_err *err)
{
    return vg_json_parse(a, text, strlen(text), out, err);
}

static void values(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    TEST_OK(parse(a,
                  " {\"a\": [1, -2.5e3, true, false, null, \"x\\u00e9\\ud83d\\ude00\\n\"],"
                  "\"big\": 9223372036854775807, \"over\": 9223372036854775808, \"low\":"
                  "-9223372036854775808, \"e\": {}, \"l\": [], \"\": 0, \"z\": -0} ",
                  &j, &err));
    assert_int_equal(j->kind, VG_JSON_OBJECT);
    assert_int_equal(j->n, 8);
    const vg_json *l = vg_json_get(j, "a");
    assert_int_equal(l->n, 6);
    assert_int_equal(l->item[0]->integer, 1);
    assert_int_equal(l->item[1]->kind, VG_JSON_FLOAT);
    assert_true(l->item[1]->number == -2500.0);
    assert_true(l->item[2]->boolean);
    assert_int_equal(l->item[4]->kind, VG_JSON_NULL);
    assert_true(vg_str_is(l->item[5]->str, "x\xc3\xa9\xf0\x9f\x98\x80\n"));
    assert_true(vg_json_get(j, "big")->integer == INT64_MAX);
    assert_int_equal(vg_json_get(j, "over")->kind, VG_JSON_FLOAT);
    assert_true(vg_json_get(j, "low")->integer == INT64_MIN);
    assert_int_equal(vg_json_get(j, "e")->n, 0);
    assert_int_equal(vg_json_get(j, "z")->kind, VG_JSON_INT);
    assert_null(vg_json_get(j, "none"));
    assert_null(vg_json_get(l, "none"));
    TEST_OK(parse(a, "\xef\xbb\xbf[\"\\ud800\", \"a\\u0000b\"]", &j, &err));
    assert_true(vg_str_is(j->item[0]->str, "\xef\xbf\xbd"));
    assert_int_equal(j->item[1]->str.n, 3);
    vg_arena_free(a);
}

static void last_duplicate_counts(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    TEST_OK(vg_arena_new(&a, 1 << 24, &err));
    TEST_OK(parse(a, "{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"a\":5}", &j, &err));
    assert_int_equal(j->n, 3);
    assert_true(vg_str_is(j->key[0], "a"));
    assert_int_equal(j->item[0]->integer, 5);
    assert_true(vg_str_is(j->key[2], "c"));
    vg_buf b;
    vg_buf_init(&b, 1 << 24);
    for (int i = 0; i < 10000; i++) vg_buf_fmt(&b, "%s\"k%d\":%d", i ? "," : "{", i % 5000, i);
    vg_buf_char(&b, '}');
    TEST_OK(vg_json_parse(a, b.data, b.n, &j, &err));
    assert_int_equal(j->n, 5000);
    for (size_t i = 0; i < 5000; i++) assert_int_equal(j->item[i]->integer, 5000 + i);
    vg_buf_clear(&b);
    vg_arena_free(a);
}

static void errors_name_their_place(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "JSON line 1, column 1: it is empty"},
        {"{\"a\": 1,\n \"\xc3\xa9\": tru}", "JSON line 2, column 7: a value is expected here"},
        {"[1,]", "JSON line 1, column 4: a value is expected here"},
        {"{,}", "JSON line 1, column 2: a key in double quotes is expected here"},
        {"{\"a\" 1}", "JSON line 1, column 6: ':' is expected after a key"},
        {"[1 2]", "JSON line 1, column 4: ',' or ']' is expected here"},
        {"{\"a\":1]", "JSON line 1, column 7: ',' or '}' is expected here"},
        {"[1", "JSON line 1, column 3: the text ends inside an array"},
        {"\"abc", "JSON line 1, column 1: this string has no end"},
        {"\"a\nb\"", "JSON line 1, column 3: control character in a string; write an escape"},
        {"\"\\x\"", "JSON line 1, column 2: unknown escape in a string"},
        {"\"\\u12g4\"", "JSON line 1, column 4: \\u wants four hexadecimal digits"},
        {"\"\xff\"", "JSON line 1, column 2: invalid UTF-8 in a string"},
        {"01", "JSON line 1, column 1: a number may not begin with 0"},
        {"-", "JSON line 1, column 2: a digit must follow '-'"},
        {"1.", "JSON line 1, column 3: a digit must follow the decimal point"},
        {"1e+", "JSON line 1, column 4: a digit must follow the exponent sign"},
        {"1e999", "JSON line 1, column 1: this number is too large for a double"},
        {"NaN", "JSON line 1, column 1: a value is expected here"},
        {"1 1", "JSON line 1, column 3: text after the end of the value"},
    };
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        vg_err err;
        vg_arena *a = NULL;
        vg_json *j = NULL;
        TEST_OK(vg_arena_new(&a, 1 << 16, &err));
        assert_int_equal(parse(a, cases[i].text, &j, &err), VG_E_FORMAT);
        assert_string_equal(err.msg, cases[i].message);
        vg_arena_free(a);
    }
}

static void limits(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    char text[100000];
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    memset(text, '[', sizeof text);
    assert_int_equal(vg_json_parse(a, text, sizeof text, &j, &err), VG_E_LIMIT);
    memset(text + VG_JSON_DEPTH, ']', VG_JSON_DEPTH);
    TEST_OK(vg_json_parse(a, text, 2 * VG_JSON_DEPTH, &j, &err));
    memset(text, '7', sizeof text);
    assert_int_equal(vg_json_parse(a, text, sizeof text, &j, &err), VG_E_LIMIT);
    vg_arena_free(a);
    TEST_OK(vg_arena_new(&a, 1 << 16, &err));
    memset(text, ',', sizeof text);
    for (size_t i = 1; i < sizeof text; i += 2) text[i] = '1';
    text[0] = '[';
    assert_int_equal(vg_json_parse(a, text, sizeof text, &j, &err), VG_E_NO_MEMORY);
    vg_arena_free(a);
}

static void assert_printed(double v, const char *text)
{
    char out[VG_DOUBLE_TEXT];
    assert_int_equal(vg_double_put(v, out), strlen(text));
    assert_string_equal(out, text);
}

/* What Python's repr prints. 2^-44 is one of the powers of two whose nearest decimal of 16 digits
 * does not read back. */
static void print_numbers(void)
{
    assert_printed(0.1, "0.1");
    assert_printed(5, "5.0");
    assert_printed(-0.0, "-0.0");
    assert_printed(1e16, "1e+16");
    assert_printed(9007199254740993.0, "9007199254740992.0");
    assert_printed(1e15, "1000000000000000.0");
    assert_printed(123456.789, "123456.789");
    assert_printed(0.0001, "0.0001");
    assert_printed(0.00001234, "1.234e-05");
    assert_printed(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_printed(5e-324, "5e-324");
    assert_printed(2.2250738585072014e-308, "2.2250738585072014e-308");
    assert_printed(-1.0 / 3, "-0.3333333333333333");
    assert_printed(0x1p-44, "5.684341886080802e-14");
    assert_printed((double)NAN, "nan");
    assert_printed((double)-INFINITY, "-inf");
}

static void writer(void **state)
{
    VG_UNUSED(state);
    vg_buf b;
    vg_buf_init(&b, 4096);
    vg_json_put_str(&b, VG_STR("a\"\\\b\f\n\r\t\x01\x7f/\xc3\xa9\xff"));
    assert_string_equal(b.data, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f/\xc3\xa9\xef\xbf\xbd\"");
    vg_buf_reset(&b);
    vg_json_put_number(&b, 5);
    vg_buf_char(&b, ' ');
    vg_json_put_number(&b, 0.25);
    vg_buf_char(&b, ' ');
    vg_json_put_number(&b, (double)NAN);
    assert_string_equal(b.data, "5 0.25 null");
    vg_buf_reset(&b);
    const char *text = "{\"a\":[1,2.0,-0.5,true,null,\"x\\n\"],\"b\":{},\"c\":[]}";
    vg_err err;
    vg_arena *a = NULL;
    vg_json *j = NULL;
    TEST_OK(vg_arena_new(&a, 1 << 16, &err));
    TEST_OK(parse(a, text, &j, &err));
    vg_json_put(&b, j);
    assert_string_equal(b.data, text);
    vg_arena_free(a);
    vg_buf_clear(&b);
    print_numbers();
}

/* A host program may have set a locale whose decimal point is a comma. */
static void numbers_know_no_locale(void **state)
{
    VG_UNUSED(state);
    double v;
    assert_true(vg_double_read(VG_STR("-12.5e-1"), &v) && v == -1.25);
    assert_false(vg_double_read(VG_STR("0x10"), &v));
    assert_false(vg_double_read(VG_STR("1,5"), &v));
    assert_false(vg_double_read(VG_STR("1.5.5"), &v));
    assert_false(vg_double_read(VG_STR("nan"), &v));
    assert_false(vg_double_read(VG_STR(" 1"), &v));
    assert_false(vg_double_read(VG_STR(""), &v));
    assert_true(vg_double_read(VG_STR("1e999"), &v) && isinf(v));
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) return;
    assert_true(vg_double_read(VG_STR("-12.5e-1"), &v) && v == -1.25);
    print_numbers();
    setlocale(LC_NUMERIC, "C");
}

/* Every prefix of a text, and every text with one byte changed, ends in a status. */
static void cut_and_changed_texts(void **state)
{
    VG_UNUSED(state);
    const char text[] =
        "{\"a\":[1,-2.5e+3,true,null,\"\\u00e9\\ud83d\\ude00\",{\"a\":{}}],\"a\":[]}";
    for (size_t n = 0; n < sizeof text; n++) {
        for (int c = -1; c < 256; c++) {
            vg_err err;
            vg_arena *a = NULL;
            vg_json *j = NULL;
            TEST_OK(vg_arena_new(&a, 1 << 16, &err));
            char *copy = malloc(sizeof text);
            assert_non_null(copy);
            memcpy(copy, text, sizeof text);
            if (c >= 0) copy[n] = (char)c;
            vg_status st = vg_json_parse(a, copy, c < 0 ? n : sizeof text - 1, &j, &err);
            if (st) assert_int_equal(st, VG_E_FORMAT);
            free(copy);
            vg_arena_free(a);
        }
    }
}

static void memory_runs_out(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_buf text;
    vg_buf_init(&text, 1 << 20);
    for (int i = 0; i < 200; i++) vg_buf_fmt(&text, "%s{\"a\":[%d],\"a\":\"b\"}", i ? "," : "[", i);
    vg_buf_char(&text, ']');
    bool more = true;
    for (unsigned n = 1; more; n++) {
        vg_arena *a = NULL;
        vg_json *j = NULL;
        TEST_OK(vg_arena_new(&a, 1 << 20, &err));
        fault_arm(FAULT_ALLOC, n);
        vg_status st = vg_json_parse(a, text.data, text.n, &j, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else assert_int_equal(st, VG_OK);
        vg_arena_free(a);
    }
    vg_buf_clear(&text);
}

/* github.com/nst/JSONTestSuite: y_ is accepted, n_ refused, i_ either. */
static void public_suite(void **state)
{
    VG_UNUSED(state);
    char folder[4096], path[5000];
    if (!test_data_path(folder, "robust/json-testsuite/test_parsing")) skip();
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int seen = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        size_t n;
        vg_err err;
        vg_arena *a = NULL;
        vg_json *j = NULL;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        char *text = test_read(path, &n);
        TEST_OK(vg_arena_new(&a, 1 << 24, &err));
        vg_status st = vg_json_parse(a, text, n, &j, &err);
        if (e->d_name[0] == 'y' && st) fail_msg("%s: %s", e->d_name, err.msg);
        if (e->d_name[0] == 'n' && !st) fail_msg("%s is accepted", e->d_name);
        vg_arena_free(a);
        free(text);
        seen++;
    }
    closedir(dir);
    assert_in_range(seen, 300, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(last_duplicate_counts),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(limits),
        cmocka_unit_test(writer),
        cmocka_unit_test(numbers_know_no_locale),
        cmocka_unit_test(cut_and_changed_texts),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(public_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
