/* Tests of src/base: errors, checked arithmetic, UTF-8, arenas, buffers. */
#include "test.h"

static void checked_arithmetic(void **state)
{
    VG_UNUSED(state);
    size_t z = 7;
    assert_true(vg_mul(3, 5, &z));
    assert_int_equal(z, 15);
    assert_false(vg_mul(SIZE_MAX, 2, &z));
    assert_false(vg_add(SIZE_MAX, 1, &z));
    assert_int_equal(z, 15);
    assert_true(vg_round_up(65, 64, &z));
    assert_int_equal(z, 128);
    assert_false(vg_round_up(SIZE_MAX - 3, 64, &z));
    uint64_t u;
    assert_false(vg_mul64(UINT64_MAX, 3, &u));
    assert_false(vg_add64(UINT64_MAX, 3, &u));
}

static void errors_are_printable(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    assert_int_equal(VG_FAIL(&err, VG_E_FORMAT, "key \x1b[31m\xff %s", "x"), VG_E_FORMAT);
    assert_string_equal(err.msg, "key ?[31m? x");
    vg_err_context(&err, VG_E_FORMAT, "file %d", 3);
    assert_string_equal(err.msg, "file 3: key ?[31m? x");
    assert_string_equal(vg_status_name(VG_E_LIMIT), "VG_E_LIMIT");
    assert_int_equal(vg_status_http(VG_E_NOT_FOUND), 404);
}

static void utf8_is_strict(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *s;
        int32_t cp;
        size_t len;
    } cases[] = {{"a", 'a', 1},           {"\xc3\xa9", 0xe9, 2},    {"\xe2\x82\xac", 0x20ac, 3},
                 {"\xf0\x9f\x98\x80", 0x1f600, 4}, {"\x80", -1, 1}, {"\xc0\x80", -1, 1},
                 {"\xe0\x80\x80", -1, 1}, {"\xed\xa0\x80", -1, 1},  {"\xf4\x90\x80\x80", -1, 1},
                 {"\xe2\x82", -1, 1},     {"\xff", -1, 1}};
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        int32_t cp;
        assert_int_equal(vg_utf8_next(cases[i].s, strlen(cases[i].s), &cp), cases[i].len);
        assert_int_equal(cp, cases[i].cp);
        char back[4];
        if (cp >= 0) assert_int_equal(vg_utf8_put(cp, back), cases[i].len);
        if (cp >= 0) assert_memory_equal(back, cases[i].s, cases[i].len);
    }
}

static void arena_aligns_and_stops_at_its_cap(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a = NULL;
    TEST_OK(vg_arena_new(&a, 1 << 16, &err));
    for (size_t align = 1; align <= 4096; align *= 2) {
        char *p = vg_arena_alloc(a, 10, align);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        for (int i = 0; i < 10; i++) assert_int_equal(p[i], 0);
        memset(p, 0xab, 10);
    }
    assert_null(vg_arena_alloc(a, 1 << 17, 1));
    assert_null(vg_arena_array(a, SIZE_MAX / 2, 4, 4));
    vg_arena_reset(a);
    char *p = vg_arena_alloc(a, 100, 1);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    assert_string_equal(vg_arena_text(a, VG_STR("hello")), "hello");
    vg_arena_free(a);
}

static void buffer_keeps_its_content_at_the_cap(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_buf b;
    vg_buf_init(&b, 10);
    vg_buf_text(&b, "12345");
    vg_buf_fmt(&b, "%d", 678);
    vg_buf_text(&b, "too much");
    vg_buf_text(&b, "9");
    assert_int_equal(b.n, 8);
    assert_string_equal(b.data, "12345678");
    assert_int_equal(vg_buf_check(&b, "test", &err), VG_E_LIMIT);
    vg_buf_reset(&b);
    vg_buf_cp(&b, 0x20ac);
    vg_text t;
    TEST_OK(vg_buf_take(&b, "test", &t, &err));
    assert_string_equal(t.data, "\xe2\x82\xac");
    vg_text_free(&t);
    vg_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checked_arithmetic),
        cmocka_unit_test(errors_are_printable),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(arena_aligns_and_stops_at_its_cap),
        cmocka_unit_test(buffer_keeps_its_content_at_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
