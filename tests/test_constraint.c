/* Grammars of calls: what fits one is read by parts.c as just these calls, for each form of
 * template; and tools in words, for templates that have no place for them. */
#include "base/json.h"
#include "serve/constraint.h"
#include "serve/parts.h"
#include "test.h"

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"now\", \"strict\": true, \"parameters\": "
    "{\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}}, \"required\": "
    "[\"n\"], \"additionalProperties\": false}}}, {\"type\": \"function\", \"function\": "
    "{\"name\": "
    "\"b\", \"parameters\": {}}}]";

typedef struct scene {
    vg_arena *arena;
    vg_request request;
    vg_grammar *grammar;
    vg_buf gbnf;
    vg_err err;
} scene;

static void begin(scene *s)
{
    memset(s, 0, sizeof *s);
    vg_json *tools = NULL;
    if (vg_arena_new(&s->arena, 1 << 22, &s->err)) fail_msg("%s", s->err.msg);
    if (vg_json_parse(s->arena, tools_text, sizeof tools_text - 1, &tools, &s->err))
        fail_msg("%s", s->err.msg);
    vg_buf_init(&s->gbnf, 1 << 20);
    s->request = (vg_request){.arena = s->arena, .tools = tools};
}

static void make(scene *s, const char *tmpl, bool in_reasoning)
{
    vg_buf_reset(&s->gbnf);
    vg_grammar_unref(s->grammar);
    s->grammar = NULL;
    if (vg_constraint(&s->request, vg_str_from(tmpl), in_reasoning, &s->gbnf, &s->err))
        fail_msg("%s", s->err.msg);
    if (s->gbnf.n && vg_grammar_new_gbnf(&s->grammar, NULL, s->gbnf.data, s->gbnf.n, &s->err))
        fail_msg("%s\n%s", s->err.msg, s->gbnf.data);
}

static void expect(scene *s, const char *text, bool fits)
{
    bool matches = false;
    if (vg_grammar_matches(s->grammar, text, strlen(text), &matches, &s->err))
        fail_msg("%s", s->err.msg);
    if (matches != fits) fail_msg("%s\n%s", text, s->gbnf.data);
}

static void end(scene *s)
{
    vg_grammar_unref(s->grammar);
    vg_buf_clear(&s->gbnf);
    vg_arena_free(s->arena);
}

static void put(void *user, vg_news news, vg_str text)
{
    static const char *const names[] = {"T:", "R:", "C:", "A:", "E"};
    vg_buf_text(user, names[news]);
    vg_buf_str(user, text);
    vg_buf_char(user, '|');
}

static void expect_parts(scene *s, const char *tmpl, const char *text, const char *want)
{
    vg_buf told;
    vg_parts *p;
    vg_buf_init(&told, 1 << 16);
    vg_parts_opts o = {
        .tmpl = vg_str_from(tmpl), .tools = s->request.tools, .put = put, .user = &told};
    if (vg_parts_new(&p, s->arena, &o, &s->err)) fail_msg("%s", s->err.msg);
    vg_parts_feed(p, vg_str_from(text));
    vg_parts_end(p);
    assert_string_equal(told.data, want);
    vg_buf_clear(&told);
}

/* A template's sign, two calls in its form; each has to fit the grammar and to be read as two. */
static const struct {
    const char *tmpl, *text;
} forms[] = {
    {"no tools", "{\"name\": \"now\", \"arguments\": {\"n\": 1}}\n"
                 "{\"name\": \"b\", \"arguments\": {}}"},
    {"\"parameters\": ", "{\"name\": \"now\", \"parameters\": {\"n\": 1}}\n"
                         "{\"name\": \"b\", \"parameters\": {}}"},
    {"<tool_call>", "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"n\": 1}}\n</tool_call>\n"
                    "<tool_call>\n{\"name\": \"b\", \"arguments\": {}}\n</tool_call>"},
    {"<tool_call><function=", "<tool_call>\n<function=now>\n{\"n\": 1}\n</function>\n</tool_call>\n"
                              "<tool_call>\n<function=b>\n{}\n</function>\n</tool_call>"},
    {"<|/tool|>", "<|tool_call|>[{\"name\": \"now\", \"arguments\": {\"n\": 1}}, "
                  "{\"name\": \"b\", \"arguments\": {}}]<|/tool_call|>"},
    {"<|tool_call|>", "<|tool_call|>[{\"name\": \"now\", \"arguments\": {\"n\": 1}}, "
                      "{\"name\": \"b\", \"arguments\": {}}]"},
    {"<|tool_list_start|>", "<|tool_call_start|>[{\"name\": \"now\", \"arguments\": {\"n\": 1}}, "
                            "{\"name\": \"b\", \"arguments\": {}}]<|tool_call_end|>"},
    {"[TOOL_CALLS]", "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {\"n\": 1}}, "
                     "{\"name\": \"b\", \"arguments\": {}}]"},
    {"[TOOL_CALLS] [ARGS]", "[TOOL_CALLS]now[ARGS]{\"n\": 1}[TOOL_CALLS]b[ARGS]{}"},
    {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"n\": "
     "1}\n```"
     "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>b\n```json\n{}\n```"
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"<|tool_calls_section_begin|><|tool_call_begin|>",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>"
     "{\"n\": 1}<|tool_call_end|><|tool_call_begin|>functions.b:0<|tool_call_argument_begin|>{}"
     "<|tool_call_end|><|tool_calls_section_end|>"},
    {"<|START_ACTION|>",
     "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"now\", \"parameters\": {\"n\": "
     "1}}"
     ", {\"tool_call_id\": \"0\", \"tool_name\": \"b\", \"parameters\": {}}]<|END_ACTION|>"},
    {"<|channel|> <|start|> <|message|>",
     "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{\"n\": 1}<|call|>"
     "<|start|>assistant<|channel|>commentary to=functions.b <|constrain|>json<|message|>{}"
     "<|call|>"},
};

static void test_required(void **state)
{
    VG_UNUSED(state);
    scene s;
    begin(&s);
    s.request.tool_choice = VG_TOOLS_REQUIRED;
    for (size_t i = 0; i < VG_COUNT(forms); i++) {
        make(&s, forms[i].tmpl, false);
        expect(&s, forms[i].text, true);
        expect(&s, "Hello.", false);
        expect(&s, "", false);
        expect_parts(&s, forms[i].tmpl, forms[i].text, "C:now|A:{\"n\": 1}|E|C:b|A:{}|E|");
    }
    s.request.one_tool = true;
    make(&s, forms[0].tmpl, false);
    expect(&s, forms[0].text, false);
    expect(&s, "{\"name\": \"b\", \"arguments\": {\"any\": [1]}}", true);
    s.request.tool_name = VG_STR("now");
    make(&s, forms[0].tmpl, false);
    expect(&s, "{\"name\": \"b\", \"arguments\": {}}", false);
    expect(&s, "{\"name\": \"now\", \"arguments\": {\"n\": 5}}", true);
    expect(&s, "{\"name\": \"now\", \"arguments\": {}}", false);
    end(&s);
}

/* A tool that is strict: text, or calls that are right. */
static void test_strict(void **state)
{
    VG_UNUSED(state);
    scene s;
    begin(&s);
    make(&s, "<tool_call>", false);
    expect(&s, "a < b, <tool <<tool_cal", true);
    expect(&s, "", true);
    expect(&s, "Well.\n<<tool_call>\n{\"name\": \"now\", \"arguments\": {\"n\": 1}}\n</tool_call>",
           true);
    expect(&s, "Well.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", false);
    expect(&s, "Well.\n<tool_call>\nx", false);
    make(&s, "", false);
    expect(&s, "Well, {\"name\"", true);
    expect(&s, "{\"name\": \"now\", \"arguments\": {\"n\": 1}}", true);
    expect(&s, "{\"name\": \"x\"}", false);
    s.request.tool_choice = VG_TOOLS_NONE;
    make(&s, "<tool_call>", false);
    assert_null(s.grammar);
    end(&s);
}

static void test_forms(void **state)
{
    VG_UNUSED(state);
    scene s;
    begin(&s);
    s.request.form = VG_FORM_JSON_OBJECT;
    make(&s, "<tool_call>", false);
    expect(&s, "{\"a\": 1}", true);
    expect(&s, "<tool_call>\n{\"name\": \"b\", \"arguments\": {}}\n</tool_call>", true);
    expect(&s, "[1]", false);
    s.request.tools = NULL;
    make(&s, "<think> </think>", true);
    expect(&s, "Hm. {</thi\n</think>\n\n{\"a\": 1}", true);
    expect(&s, "{\"a\": 1}", false);
    make(&s, "<think> </think>", false);
    expect(&s, "{\"a\": 1}", true);
    expect(&s, "<think>Hm.</think>{\"a\": 1}", true);
    make(&s, "<|channel|><|message|>", false);
    expect(&s, "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{\"a\": 1}", false);
    expect(&s,
           "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final"
           "<|message|>{\"a\": 1}",
           true);
    s.request.form = VG_FORM_FREE;
    make(&s, "", false);
    assert_null(s.grammar);
    end(&s);
}

static void expect_taught(scene *s, const char *tmpl, const char *messages, const char *want)
{
    vg_json *m = NULL;
    vg_buf b;
    vg_buf_init(&b, 1 << 16);
    if (vg_json_parse(s->arena, messages, strlen(messages), &m, &s->err)) fail();
    s->request.messages = m;
    assert_int_equal(vg_tools_teach(&s->request, vg_str_from(tmpl), &s->err), VG_OK);
    vg_json_put(&b, s->request.messages);
    if (!strstr(b.data, want)) fail_msg("%s", b.data);
    vg_buf_clear(&b);
}

static void test_teach(void **state)
{
    VG_UNUSED(state);
    static const char talk[] =
        "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"Hi\"}, "
        "{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"id\": \"1\", "
        "\"function\": "
        "{\"name\": \"now\", \"arguments\": {\"n\": 1}}}]}, {\"role\": \"tool\", \"name\": "
        "\"now\", "
        "\"content\": \"12\"}, {\"role\": \"user\", \"content\": \"Go\"}]";
    scene s;
    begin(&s);
    expect_taught(&s, "x", talk,
                  "[{\"role\":\"system\",\"content\":\"S\\nYou can call these tools:\\n"
                  "{\\\"name\\\":\\\"now\\\"");
    expect_taught(&s, "x", talk,
                  "{\"role\":\"assistant\",\"content\":\"{\\\"name\\\": \\\"now\\\", "
                  "\\\"arguments\\\": {\\\"n\\\":1}}\"},{\"role\":\"user\",\"content\":"
                  "\"now answered: 12\\nGo\"}]");
    expect_taught(&s, "System role not supported", "[{\"role\": \"user\", \"content\": \"Hi\"}]",
                  "[{\"role\":\"user\",\"content\":\"You can call");
    expect_taught(&s, "{% if tools %}", talk, "\"tool_calls\"");
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_teach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
