/* Tests of model/chat: goldens that Python's jinja2 rendered (tests/golden/template), what jinja2
 * leaves to its host (limits, errors with their line, the options), and memory that runs out. */
#include "test.h"

#include "base/json.h"
#include "fault.h"
#include "model/chat.h"

static vg_str str_of(const vg_json *j)
{
    return j ? j->str : (vg_str){0};
}

/* ---- goldens ------------------------------------------------------------------------------- */

static void check_case(const char *file, vg_str tmpl, const vg_json *c, int64_t now)
{
    vg_err err;
    vg_buf json;
    vg_text out = {0};
    vg_buf_init(&json, 1 << 24);
    vg_json_put(&json, vg_json_get(c, "context"));
    vg_str name = str_of(vg_json_get(c, "name"));
    const vg_json *want = vg_json_get(c, "output");
    vg_chat_opts o = {.now = now};
    vg_status st = vg_chat_run(tmpl, (vg_str){json.data, json.n}, &o, &out, &err);
    if (want && st) fail_msg("%s, %.*s: %s", file, VG_STR_ARG(name), err.msg);
    if (!want && !st) fail_msg("%s, %.*s: not refused", file, VG_STR_ARG(name));
    if (want && !vg_str_eq((vg_str){out.data, out.n}, want->str))
        fail_msg("%s, %.*s: '%s'", file, VG_STR_ARG(name), out.data);
    if (!want) assert_int_equal(st, VG_E_TEMPLATE);
    vg_text_free(&out);
    vg_buf_clear(&json);
}

static size_t check_golden(const char *file, const char *template_file)
{
    char path[4096], name[256];
    vg_err err;
    vg_arena *a = NULL;
    vg_json *doc = NULL;
    size_t n, n_template = 0;
    char *tmpl = template_file && test_data_path(path, template_file) ? test_read(path, &n_template)
                                                                      : NULL;
    if (template_file && !tmpl) return 0;
    snprintf(name, sizeof name, "golden/template/%s.json", file);
    test_path(path, name);
    char *text = test_read(path, &n);
    TEST_OK(vg_arena_new(&a, 1 << 26, &err));
    TEST_OK(vg_json_parse(a, text, n, &doc, &err));
    const vg_json *cases = vg_json_get(doc, "cases"), *now = vg_json_get(doc, "now");
    for (size_t i = 0; i < cases->n; i++) {
        vg_str own = str_of(vg_json_get(cases->item[i], "template"));
        check_case(file, tmpl ? (vg_str){tmpl, n_template} : own, cases->item[i],
                   now && now->kind == VG_JSON_INT ? now->integer : 0);
    }
    size_t n_cases = cases->n;
    vg_arena_free(a);
    free(text);
    free(tmpl);
    return n_cases;
}

static void features(void **state)
{
    VG_UNUSED(state);
    assert_in_range(check_golden("features", NULL), 200, 100000);
}

static void templates_of_models(void **state)
{
    VG_UNUSED(state);
    static const char *const names[] = {
        "HuggingFaceTB-SmolLM3-3B",   "LFM2-8B-A1B",         "Qwen-Qwen2.5-7B-Instruct",
        "Qwen-Qwen3-0.6B",            "Qwen3.5-4B",          "google-gemma-2-2b-it",
        "meta-llama-Llama-3.2-3B-Instruct", "microsoft-Phi-3.5-mini-instruct"};
    size_t n = 0;
    for (size_t i = 0; i < VG_COUNT(names); i++) {
        char file[256];
        snprintf(file, sizeof file, "templates/%s.jinja", names[i]);
        n += check_golden(names[i], file);
    }
    if (!n) skip();
}

/* ---- one template ---------------------------------------------------------------------------- */

static vg_status run(const char *tmpl, const char *json, const vg_chat_opts *o, vg_text *out,
                     vg_err *err)
{
    return vg_chat_run(vg_str_from(tmpl), vg_str_from(json), o, out, err);
}

static void renders(const char *tmpl, const char *json, const vg_chat_opts *o, const char *want)
{
    vg_err err;
    vg_text out = {0};
    TEST_OK(run(tmpl, json, o, &out, &err));
    assert_string_equal(out.data, want);
    vg_text_free(&out);
}

static void refuses(const char *tmpl, const char *json, vg_status status, const char *message)
{
    vg_err err;
    vg_text out = {0};
    vg_status st = run(tmpl, json, NULL, &out, &err);
    if (st != status) fail_msg("%.60s: %s: %s", tmpl, vg_status_name(st), st ? err.msg : "done");
    if (!strstr(err.msg, message)) fail_msg("%.60s: '%s', not '%s'", tmpl, err.msg, message);
    assert_null(out.data);
}

static void context_and_options(void **state)
{
    VG_UNUSED(state);
    vg_chat_opts o = {.bos = VG_STR("<s>"), .eos = VG_STR("</s>"), .now = 86400};
    const char *t = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
                    "{{ add_generation_prompt }}";
    renders(t, "[{\"content\":\"hi\"}]", &o, "<s>hi</s>True");
    renders(t, "{\"messages\":[{\"content\":\"hi\"}],\"bos_token\":\"!\"}", &o, "!hi</s>");
    renders(t, "[{\"content\":\"hi\"}]", NULL, "hiTrue");
    renders("{{ strftime_now('%Y-%m-%d') }}", "[]", &o, "1970-01-02");
    renders("", "[]", NULL, "");
    refuses("{{ 1 }}", "{\"messages\":", VG_E_FORMAT, "JSON line 1, column 13");
    refuses("{{ 1 }}", "7", VG_E_FORMAT, "an array of messages");
}

static void errors_name_their_line(void **state)
{
    VG_UNUSED(state);
    refuses("a\n\n{{ raise_exception('no ' ~ 1) }}", "[]", VG_E_TEMPLATE, "template line 3: no 1");
    refuses("{% if 1 %}\n{{ x.y }}{% endif %}", "[]", VG_E_TEMPLATE, "line 2: 'x' is undefined");
    refuses("\n{% include 'x' %}", "[]", VG_E_TEMPLATE, "line 2: {% include %}");
    refuses("\r\n{{ 1 +* }}", "[]", VG_E_TEMPLATE, "line 2: unexpected '*'");
    refuses("{% for x in 1 %}{% endfor %}", "[]", VG_E_TEMPLATE, "'int' object is not iterable");
    refuses("{{ 'a' is nope }}", "[]", VG_E_TEMPLATE, "No test named 'nope'");
    refuses("{{ 9223372036854775807 + 1 }}", "[]", VG_E_TEMPLATE, "64 bits");
}

/* ---- limits -------------------------------------------------------------------------------- */

static char *repeated(const char *head, const char *unit, size_t n, const char *tail)
{
    size_t h = strlen(head), u = strlen(unit), t = strlen(tail);
    char *text = malloc(h + n * u + t + 1), *w = text;
    assert_non_null(text);
    memcpy(w, head, h);
    w += h;
    for (size_t i = 0; i < n; i++, w += u) memcpy(w, unit, u);
    memcpy(w, tail, t + 1);
    return text;
}

static void nesting_is_bounded(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *head, *unit, *tail;
    } bombs[] = {{"{{ ", "(", " }}"},         {"{{ ", "[", " }}"},
                 {"{{ ", "not ", "1 }}"},     {"{{ ", "-", "1 }}"},
                 {"{{ 1", "+1", " }}"},       {"{{ x", ".y", " }}"},
                 {"{{ x", "|list", " }}"},    {"", "{% if 1 %}", ""},
                 {"", "{% for a in b %}", ""}, {"{% if 1 %}", "{% elif 1 %}", "{% endif %}"},
                 {"{{ x", "[0]", " }}"},      {"{{ 1", " if 1 else 1", " }}"},
                 {"{{ x", "()", " }}"},       {"{% set ", "(", " = 1 %}"},
                 {"{{ ", "{1:", " }}"},       {"{{ 1", "~1", " }}"}};
    for (size_t i = 0; i < VG_COUNT(bombs); i++) {
        char *t = repeated(bombs[i].head, bombs[i].unit, 20000, bombs[i].tail);
        vg_err err;
        vg_text out = {0};
        vg_status st = run(t, "{}", NULL, &out, &err);
        if (st) assert_int_equal(st, VG_E_TEMPLATE);
        vg_text_free(&out);
        free(t);
    }
}

static void bombs_are_refused(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *tmpl, *message;
    } bombs[] = {
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "steps"},
        {"{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "over its limit of 16777216"},
        {"{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}", "levels of nesting or recursion"},
        {"{{ range(100001) }}", "Range too big"},
        {"{{ 'x' * 1000000000000 }}", "64 MiB"},
        {"{{ [0] * 1000000000 }}", "64 MiB"},
        {"{{ ('x' * 50000000)|length }}{{ ('x' * 50000000)|length }}", "64 MiB"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
         "{% endfor %}{{ ns.x }}", "steps"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}"
         "{% endfor %}{{ ns.x }}", "levels of nesting"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
         "{% endfor %}{{ ns.x == [ns.x] }}{{ ns.x|tojson }}", "steps"},
        {"{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}"
         "{% endfor %}", "over its limit"},
        {"{% set s = 'a' * 2000000 %}{% for i in range(99999) %}{{ (s ~ 'b') in s }}{% endfor %}",
         "over its limit"},
        {"{{ '%99999999d' % 1 }}", "a width or precision"},
        {"{{ '{:99999999}'.format(1) }}", "a width or precision"},
        {"{% for a in b recursive %}{{ loop(b) }}{% endfor %}", "levels of nesting"},
        {"{{ ('a' * 1000000).replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbb') }}", "over its limit"},
    };
    for (size_t i = 0; i < VG_COUNT(bombs); i++)
        refuses(bombs[i].tmpl, "{\"b\":[1]}", VG_E_TEMPLATE, bombs[i].message);
}

/* A text that grows in a loop costs its length, not its square. */
static void growing_text_is_cheap(void **state)
{
    VG_UNUSED(state);
    renders("{% set ns = namespace(a='', b='') %}{% for i in range(100000) %}"
            "{% set ns.a = ns.a + 'ab' %}{% set ns.b = ns.b + ('c' + 'd') %}{% endfor %}"
            "{{ ns.a|length }} {{ ns.b|length }} {{ ns.a[-3:] }}",
            "{}", NULL, "200000 200000 bab");
    renders(
        "{% set a = 'x' + 'y' %}{% set b = a + '1' %}{% set c = a + '2' %}{{ a }} {{ b }} {{ c }}",
        "{}", NULL, "xy xy1 xy2");
}

static void options_set_the_limits(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_text out = {0};
    vg_chat_opts few = {.max_steps = 100}, small = {.max_out_bytes = 4};
    const char *t = "{% for i in range(50) %}{{ i }}{% endfor %}";
    assert_int_equal(run(t, "{}", &few, &out, &err), VG_E_TEMPLATE);
    assert_string_equal(err.msg, "template line 1: over its limit of 100 steps");
    assert_int_equal(run(t, "{}", &small, &out, &err), VG_E_TEMPLATE);
    assert_string_equal(err.msg, "template line 1: the output is over its limit of 4 bytes");
    renders("abcd", "{}", &small, "abcd");
}

/* Most of the language in one template. */
static const char whole_language[] =
    "{%- set ns = namespace(n=0, s='') -%}{# c #}{% macro m(a, b=[1, 2]) %}{{ a }}{{ b[::-1] }}"
    "{{ caller() if caller }}{% endmacro %}{% for k, v in d|items if v %}{{ loop.index }}"
    "{% if loop.last %}{{ v|tojson(indent=2) }}{% elif k is in ['a'] %}{% continue %}{% else %}"
    "{% set ns.s = ns.s ~ '%05.2f'|format(v) %}{% endif %}{% else %}none{% endfor %}"
    "{% call m('\\u00e9' 'x') %}c{% endcall %}{% filter upper %}{% raw %}{{ x }}{% endraw %}"
    "{% endfilter %}{% with z = {'q': (1, 2.5e3)} %}{{ z.q[1] // 7 ** 2 }}{% endwith %}"
    "{% set b %}{{ ns.s }}{% endset %}{{ b|replace('0', 'o') }}{% generation %}g{% "
    "endgeneration %}";
static const char whole_context[] = "{\"d\":{\"a\":1.5,\"b\":2,\"c\":0}}";

/* Every prefix of it ends in a status. */
static void cut_templates(void **state)
{
    VG_UNUSED(state);
    for (size_t n = 0; n < sizeof whole_language; n++) {
        vg_err err;
        vg_text out = {0};
        char *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, whole_language, n);
        vg_status st = vg_chat_run((vg_str){copy, n}, vg_str_from(whole_context), NULL, &out, &err);
        if (st) assert_int_equal(st, VG_E_TEMPLATE);
        vg_text_free(&out);
        free(copy);
    }
}

static void memory_runs_out(void **state)
{
    VG_UNUSED(state);
    char *text = repeated(whole_language, "{% set q = ('x' * 3000) ~ 'y' %}{{ q }}", 40, "");
    bool more = true;
    for (unsigned n = 1; more; n++) {
        vg_err err;
        vg_text out = {0};
        fault_arm(FAULT_ALLOC, n);
        vg_status st = run(text, whole_context, NULL, &out, &err);
        more = fault_disarm();
        if (more) assert_int_equal(st, VG_E_NO_MEMORY);
        else assert_int_equal(st, VG_OK);
        vg_text_free(&out);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features),
        cmocka_unit_test(templates_of_models),
        cmocka_unit_test(context_and_options),
        cmocka_unit_test(errors_name_their_line),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(growing_text_is_cheap),
        cmocka_unit_test(options_set_the_limits),
        cmocka_unit_test(cut_templates),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
