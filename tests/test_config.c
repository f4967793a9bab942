/* Settings files: what is read, and that every mistake is told with its line. */
#include "serve/config.h"
#include "test.h"

static vg_status parse(vg_arena **a, vg_config *c, const char *text, size_t n, vg_err *err)
{
    assert_int_equal(vg_arena_new(a, 1 << 23, NULL), VG_OK);
    return vg_config_parse(c, *a, "x.conf", (vg_str){text, n}, err);
}

static void check(const vg_config *c, size_t i, const char *section, const char *key,
                  const char *value, uint32_t line)
{
    assert_true(i < c->n);
    assert_true(vg_str_is(c->item[i].section, section));
    assert_true(vg_str_is(c->item[i].key, key));
    if (!vg_str_is(c->item[i].value, value))
        fail_msg("%.*s, not %s", VG_STR_ARG(c->item[i].value), value);
    assert_int_equal(c->item[i].line, line);
}

static void settings(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF# a comment\r\n"
                               "host = 127.0.0.1\r\n"
                               "  port=8080   # behind a value\n"
                               "\n"
                               "; another\n"
                               "[tls]\n"
                               "cert = \"/etc/a b#c.pem\"  # quoted\n"
                               "say = \"\\\"q\\\" \\\\ \\n\\t\"\n"
                               "[ limits ]\n"
                               "host = a#b\n"
                               "empty =\n"
                               "host = again = yes\n"
                               "last = \xE4\xBD\xA0";
    vg_arena *a = NULL;
    vg_config c;
    vg_err err;
    TEST_OK(parse(&a, &c, text, sizeof text - 1, &err));
    assert_int_equal(c.n, 8);
    check(&c, 0, "", "host", "127.0.0.1", 2);
    check(&c, 1, "", "port", "8080", 3);
    check(&c, 2, "tls", "cert", "/etc/a b#c.pem", 7);
    check(&c, 3, "tls", "say", "\"q\" \\ \n\t", 8);
    check(&c, 4, "limits", "host", "a#b", 10);
    check(&c, 5, "limits", "empty", "", 11);
    check(&c, 6, "limits", "host", "again = yes", 12);
    check(&c, 7, "limits", "last", "\xE4\xBD\xA0", 13);
    assert_false(c.item[4].again);
    assert_true(c.item[6].again);
    assert_int_equal(vg_config_fail(&c, &c.item[1], &err, "no number"), VG_E_FORMAT);
    assert_string_equal(err.msg, "x.conf:3: port: no number");
    vg_arena_free(a);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a = 1\nhost 127.0.0.1\n", "x.conf:2: no setting"},
        {"= 1", "x.conf:1: a key has"},
        {"a b = 1", "x.conf:1: a key has"},
        {"a/b = 1", "x.conf:1: a key has"},
        {"\n\n[tls", "x.conf:3: a [section] without"},
        {"[]", "x.conf:1: a section's name"},
        {"[", "x.conf:1: a [section] without"},
        {"[a b]", "x.conf:1: a section's name"},
        {"a = \"b", "x.conf:1: a quoted value without"},
        {"a = \"b\\", "x.conf:1: a quoted value without"},
        {"a = \"b\\x\"", "x.conf:1: an escape"},
        {"a = \"b\" c", "x.conf:1: something behind"},
        {"a = \x01", "x.conf:1: a control character"},
        {"a = b\rc", "x.conf:1: a control character"},
        {"a = \xFF", "x.conf:1: not UTF-8"},
    };
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        vg_arena *a = NULL;
        vg_config c;
        vg_err err = {0};
        size_t n = strlen(cases[i].text);
        char *copy = malloc(n); /* of its own length, for a sanitizer */
        assert_non_null(copy);
        memcpy(copy, cases[i].text, n);
        assert_int_equal(parse(&a, &c, copy, n, &err), VG_E_FORMAT);
        if (strncmp(err.msg, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s, not %s", err.msg, cases[i].message);
        free(copy);
        vg_arena_free(a);
    }
    vg_arena *a = NULL;
    vg_config c;
    vg_err err;
    TEST_OK(parse(&a, &c, "", 0, &err));
    assert_int_equal(c.n, 0);
    assert_int_equal(vg_config_load(&c, a, "/no/such/file", &err), VG_E_NOT_FOUND);
    vg_arena_free(a);
}

static void bounds(void **state)
{
    (void)state;
    vg_buf b;
    vg_arena *a = NULL;
    vg_config c;
    vg_err err;
    vg_buf_init(&b, 4 << 20);
    for (int i = 0; i < 5000; i++) vg_buf_fmt(&b, "k%d = v\n", i);
    assert_int_equal(parse(&a, &c, b.data, b.n, &err), VG_E_LIMIT);
    vg_arena_free(a);
    vg_buf_reset(&b);
    for (int i = 0; i < 20000; i++) vg_buf_char(&b, 'a');
    assert_int_equal(parse(&a, &c, b.data, b.n, &err), VG_E_FORMAT);
    vg_arena_free(a);
    for (int i = 0; i < 1 << 20; i++) vg_buf_char(&b, '\n');
    assert_int_equal(parse(&a, &c, b.data, b.n, &err), VG_E_LIMIT);
    vg_arena_free(a);
    vg_buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
