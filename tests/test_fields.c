/* Tests of serve/fields.h: values of every kind into their members, errors that name the field, and
 * JSON made anew. */
#include "test.h"

#include "serve/fields.h"

typedef struct target {
    vg_request request;
    bool flag;
    uint32_t count;
    int64_t integer;
    float real;
    vg_str text;
    const vg_json *json;
} target;

static const vg_field table[] = {
    {"flag", VG_FIELD_BOOL, .at = offsetof(target, flag)},
    {"count", VG_FIELD_COUNT, .at = offsetof(target, count), .max = UINT32_MAX},
    {"integer", VG_FIELD_INT, .at = offsetof(target, integer), .min = -0x1p63, .max = 0x1p63},
    {"real", VG_FIELD_REAL, .at = offsetof(target, real), .min = -2, .max = 2},
    {"text", VG_FIELD_TEXT, .at = offsetof(target, text)},
    {"json", VG_FIELD_JSON, .at = offsetof(target, json)},
    {"stop", VG_FIELD_OTHER, .read = vg_fields_stops},
    {"prompt", VG_FIELD_OTHER, .read = vg_fields_prompts},
    {"user", .kind = VG_FIELD_UNUSED},
    {"images", VG_FIELD_REFUSED, .why = "text alone"},
};

static int begin(void **state)
{
    return vg_arena_new((vg_arena **)state, 1 << 22, NULL) ? -1 : 0;
}

static int end(void **state)
{
    vg_arena_free(*state);
    return 0;
}

static vg_status read_where(void **state, target *t, const char *where, const char *text,
                            vg_err *err)
{
    vg_json *body = NULL;
    *t = (target){.request.arena = *state};
    if (vg_json_parse(*state, text, strlen(text), &body, err)) fail_msg("%s", err->msg);
    return vg_fields_read(body, where, table, VG_COUNT(table), t, err);
}

static void values(void **state)
{
    vg_err err;
    target t;
    TEST_OK(read_where(state, &t, "",
                       "{\"flag\": true, \"count\": 3.0, \"integer\": 9223372036854775807, "
                       "\"real\": -2, \"text\": \"a\\u0000b\", \"json\": [1], "
                       "\"user\": {\"x\": 1}, \"images\": []}", &err));
    assert_true(t.flag);
    assert_int_equal(t.count, 3);
    assert_true(t.integer == INT64_MAX);
    assert_true(t.real == -2.0f);
    assert_int_equal(t.text.n, 3);
    assert_int_equal(t.json->kind, VG_JSON_ARRAY);
    TEST_OK(read_where(state, &t, "", "{\"flag\": null, \"count\": null, \"other\": null}", &err));
}

/* Each body, and what its error begins with. */
static void errors(void **state)
{
    vg_err err;
    static const struct {
        const char *body, *message;
        vg_status code;
    } cases[] = {
        {"[]", "the body must be a JSON object", VG_E_USAGE},
        {"{\"flag\": 1}", "flag: must be a boolean, not an integer", VG_E_USAGE},
        {"{\"count\": -1}", "count: must be within 0 and 4294967295, not -1", VG_E_USAGE},
        {"{\"count\": 1.5}", "count: must be an integer, not a number", VG_E_USAGE},
        {"{\"count\": \"1\"}", "count: must be an integer, not a text", VG_E_USAGE},
        {"{\"count\": 9223372036854775808}", "count: must be within", VG_E_USAGE},
        {"{\"integer\": 9223372036854775808}", "integer: must be within", VG_E_USAGE},
        {"{\"integer\": -1e300}", "integer: must be within", VG_E_USAGE},
        {"{\"real\": 2.5}", "real: must be within -2 and 2, not 2.5", VG_E_USAGE},
        {"{\"real\": true}", "real: must be a number, not a boolean", VG_E_USAGE},
        {"{\"text\": {}}", "text: must be a text, not an object", VG_E_USAGE},
        {"{\"stop\": 7}", "stop: must be a text or an array of texts, not an integer", VG_E_USAGE},
        {"{\"stop\": [\"a\", null]}", "stop: must be a text or an array of texts", VG_E_USAGE},
        {"{\"prompt\": {}}", "prompt: must be a text or an array of token ids", VG_E_USAGE},
        {"{\"prompt\": []}", "prompt: an empty array is no prompt", VG_E_USAGE},
        {"{\"prompt\": [1, -1]}", "prompt: token id 1: must be within", VG_E_USAGE},
        {"{\"prompt\": [1, 2147483648]}", "prompt: token id 1: must be within", VG_E_USAGE},
        {"{\"prompt\": [\"a\", [[]]]}", "prompt: must be a text or a token id", VG_E_USAGE},
        {"{\"images\": [\"\"]}", "images: not supported: text alone", VG_E_UNSUPPORTED},
        {"{\"imagse\": []}", "imagse: no field of that name is supported", VG_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        target t;
        vg_status st = read_where(state, &t, "", cases[i].body, &err);
        if (st != cases[i].code || strncmp(err.msg, cases[i].message, strlen(cases[i].message)))
            fail_msg("%s: %s: %s", cases[i].body, vg_status_name(st), err.msg);
    }
    target t;
    assert_int_equal(read_where(state, &t, "options.", "{\"flag\": 1}", &err), VG_E_USAGE);
    assert_string_equal(err.msg, "options.flag: must be a boolean, not an integer");
    assert_int_equal(read_where(state, &t, "options.", "1", &err), VG_E_USAGE);
    assert_string_equal(err.msg, "options: must be an object, not an integer");
}

static void stops(void **state)
{
    vg_err err;
    target t;
    TEST_OK(read_where(state, &t, "", "{\"stop\": \"END\"}", &err));
    assert_int_equal(t.request.n_stop, 1);
    TEST_OK(read_where(state, &t, "", "{\"stop\": [\"\", \"b\", \"\", \"c\"]}", &err));
    assert_int_equal(t.request.n_stop, 2);
    assert_true(vg_str_is(t.request.stop[1], "c"));

    char text[80000] = "{\"stop\": [\"x\"";
    for (size_t i = 0, n = strlen(text); i < 10000; i++, n += 5) strcpy(text + n, ", \"x\"");
    strcat(text, "]}");
    assert_int_equal(read_where(state, &t, "", text, &err), VG_E_USAGE);
    assert_string_equal(err.msg, "stop: 10001 texts; at most 64 are supported");
}

static void prompts(void **state)
{
    vg_err err;
    target t;
    TEST_OK(read_where(state, &t, "", "{\"prompt\": \"one\"}", &err));
    assert_int_equal(t.request.n_prompts, 1);
    assert_int_equal(t.request.prompt[0].n, 1);

    TEST_OK(read_where(state, &t, "", "{\"prompt\": [1, 2, 3]}", &err));
    assert_int_equal(t.request.n_prompts, 1);
    assert_int_equal(t.request.prompt[0].n, 1);
    assert_int_equal(t.request.prompt[0].piece[0].n_id, 3);

    TEST_OK(read_where(state, &t, "", "{\"prompt\": [12, 34, \"text\", 56.0, 78]}", &err));
    assert_int_equal(t.request.n_prompts, 1);
    assert_int_equal(t.request.prompt[0].n, 3);
    assert_int_equal(t.request.prompt[0].piece[2].n_id, 2);
    assert_int_equal(t.request.prompt[0].piece[2].id[1], 78);
    assert_true(vg_str_is(t.request.prompt[0].piece[1].text, "text"));

    TEST_OK(read_where(state, &t, "", "{\"prompt\": [\"a\", [1, 2], [3, \"b\"], []]}", &err));
    assert_int_equal(t.request.n_prompts, 4);
    assert_int_equal(t.request.prompt[1].piece[0].n_id, 2);
    assert_int_equal(t.request.prompt[2].n, 2);
    assert_int_equal(t.request.prompt[3].n, 0);
}

static void made_anew(void **state)
{
    vg_err err;
    vg_make m = {.arena = *state};
    vg_json *o = vg_make_object(&m, 3), *list = vg_make_array(&m, 2);
    vg_make_add(&m, list, NULL, vg_make_text(&m, VG_STR("x")));
    vg_make_add(&m, list, NULL, NULL);
    vg_make_add(&m, o, "list", list);
    vg_make_add(&m, o, "yes", vg_make_bool(&m, true));
    assert_false(m.failed);
    vg_buf b;
    vg_buf_init(&b, 1000);
    vg_json_put(&b, o);
    assert_string_equal(b.data, "{\"list\":[\"x\"],\"yes\":true}");
    vg_buf_clear(&b);

    vg_arena *small = NULL;
    TEST_OK(vg_arena_new(&small, 64, &err));
    m = (vg_make){.arena = small};
    o = vg_make_object(&m, 1000);
    vg_make_add(&m, o, "a", vg_make_text(&m, VG_STR("x")));
    assert_true(m.failed);
    assert_null(o);
    vg_arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values, begin, end),
        cmocka_unit_test_setup_teardown(errors, begin, end),
        cmocka_unit_test_setup_teardown(stops, begin, end),
        cmocka_unit_test_setup_teardown(prompts, begin, end),
        cmocka_unit_test_setup_teardown(made_anew, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
