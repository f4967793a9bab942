/* Answers told apart: every form of call and of reasoning, whole, byte by byte and cut at each
 * place, with what is no call after all. The transcript of what was told stands beside each text.
 */
#include "serve/parts.h"
#include "test.h"

typedef struct log {
    vg_buf all;
    vg_news last;
} log;

static void put(void *user, vg_news news, vg_str text)
{
    log *l = user;
    bool goes_on = news == l->last &&
                   (news == VG_NEWS_TEXT || news == VG_NEWS_REASONING || news == VG_NEWS_CALL_ARGS);
    static const char *const names[] = {"T:", "R:", "C:", "A:", "E"};
    if (!goes_on && l->all.n) vg_buf_char(&l->all, '|');
    if (!goes_on) vg_buf_text(&l->all, names[news]);
    vg_buf_str(&l->all, text);
    l->last = news;
}

typedef struct mode {
    const char *tmpl;
    bool keep, inside, no_tools;
} mode;

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"now\", \"parameters\": {\"type\": "
    "\"object\", \"properties\": {\"zone\": {\"type\": \"string\"}, \"n\": {\"type\": "
    "\"integer\"}, "
    "\"list\": {\"type\": \"array\"}}}}}]";

/* Feeds text[0..cut) and the rest, or with cut SIZE_MAX character by character. */
static void run(vg_buf *out, const mode *m, const char *text, size_t cut)
{
    vg_err err;
    vg_arena *a;
    vg_parts *p;
    vg_json *tools;
    log l = {.last = VG_NEWS_FINISH};
    vg_buf_init(&l.all, 1 << 20);
    TEST_OK(vg_arena_new(&a, 1 << 22, &err));
    TEST_OK(vg_json_parse(a, tools_text, sizeof tools_text - 1, &tools, &err));
    vg_parts_opts opts = {.tmpl = vg_str_from(m->tmpl),
                          .tools = m->no_tools ? NULL : tools,
                          .keep_reasoning = m->keep,
                          .in_reasoning = m->inside,
                          .put = put,
                          .user = &l};
    TEST_OK(vg_parts_new(&p, a, &opts, &err));
    size_t n = strlen(text);
    for (size_t i = 0; cut == SIZE_MAX && i < n;) {
        int32_t cp;
        size_t one = vg_utf8_next(text + i, n - i, &cp);
        vg_parts_feed(p, (vg_str){text + i, one});
        i += one;
    }
    if (cut != SIZE_MAX) {
        vg_parts_feed(p, (vg_str){text, cut});
        vg_parts_feed(p, (vg_str){text + cut, n - cut});
    }
    vg_parts_end(p);
    vg_arena_free(a);
    *out = l.all;
}

static void check(const mode *m, const char *text, const char *want)
{
    size_t n = strlen(text);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        vg_buf got;
        run(&got, m, text, cut > n ? SIZE_MAX : cut);
        if (strcmp(got.n ? got.data : "", want) != 0)
            fail_msg("%s\ncut at %zu gave\n  %s\ninstead of\n  %s", text, cut,
                     got.n ? got.data : "", want);
        vg_buf_clear(&got);
    }
}

static const mode hermes = {"{{ x }} <tool_call> </tool_call>", 0, 0, 0};

static void test_text(void **state)
{
    VG_UNUSED(state);
    check(&hermes, "Once upon a time.\n\n", "T:Once upon a time.\n\n");
    check(&hermes, "  \n Hello", "T:  \n Hello");
    check(&hermes, "a < b, <tool, <think>x</think>", "T:a < b, <tool, <think>x</think>");
    check(&hermes, "", "");
    check(&hermes, "\n\n", "T:\n\n");
    check(&hermes, "a                              b", "T:a                              b");
    check(&(mode){"", 0, 0, true}, "{\"name\": \"now\", \"arguments\": {}}",
          "T:{\"name\": \"now\", \"arguments\": {}}");
}

static void test_reasoning(void **state)
{
    VG_UNUSED(state);
    check(&hermes, "<think>\nI see.\n\nSo\n</think>\n\nYes.", "R:I see.\n\nSo|T:Yes.");
    check(&hermes, "\n<think>\n\n</think>\n\nYes.", "T:Yes.");
    check(&(mode){"", 0, true, 0}, "Hm.\n</think>\n\nYes </think>", "R:Hm.|T:Yes </think>");
    check(&hermes, "<think>never ends </thin", "R:never ends </thin");
    check(&(mode){"", true, 0, 0}, "<think>\nHm.\n</think>\n\nYes",
          "T:<think>\nHm.\n</think>\n\nYes");
    check(&(mode){"", true, true, 0}, "Hm.</think> Yes", "T:Hm.</think> Yes");
    check(&(mode){"[THINK]", 0, 0, 0}, "[THINK]Hm.[/THINK]Yes", "R:Hm.|T:Yes");
    check(&(mode){"[THINK]", 0, true, 0}, "Hm.[/THINK]Yes", "R:Hm.|T:Yes");
    check(&hermes,
          "<think>Hm.</think><tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>",
          "R:Hm.|C:now|A:{}|E");
    assert_true(vg_parts_in_reasoning(VG_STR("<|im_start|>assistant\n<think>\n")));
    assert_false(vg_parts_in_reasoning(VG_STR("<think>\n\n</think>\n\n")));
}

static void test_hermes(void **state)
{
    VG_UNUSED(state);
    check(&hermes,
          "Let me see.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"a}\\\"b\", "
          "\"x\": [{}, 1]}}\n</tool_call>\n<tool_call>\n{\"name\": \"b\", \"arguments\": {}}\n"
          "</tool_call>",
          "T:Let me see.|C:now|A:{\"zone\": \"a}\\\"b\", \"x\": [{}, 1]}|E|C:b|A:{}|E");
    check(&hermes, "<tool_call>{\"arguments\": {\"n\": 1}, \"name\": \"now\"}</tool_call> ok",
          "C:now|A:{\"n\": 1}|E|T:ok");
    check(&hermes, "<tool_call>{\"name\": \"now\"}</tool_call>", "C:now|A:{}|E");
    check(&hermes, "<tool_call>{\"name\": \"now\", \"arguments\": null}", "C:now|A:{}|E");
    check(&hermes, "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"n\\\": 1}\"}</tool_call>",
          "C:now|A:{\"n\": 1}|E");
    check(&hermes,
          "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"now\", \"parameters\": "
          "{\"n\": 1}}, \"id\": \"}\"}</tool_call>x",
          "C:now|A:{\"n\": 1}|E|T:x");
    check(&hermes,
          "<tool_call>[{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"b\", "
          "\"arguments\": {\"n\": 2}}]</tool_call>",
          "C:now|A:{}|E|C:b|A:{\"n\": 2}|E");
    /* The last brace forgotten; cut off. */
    check(&hermes, "<tool_call>{\"name\": \"now\", \"arguments\": {\"n\": 1}\n</tool_call>y",
          "C:now|A:{\"n\": 1}|E|T:y");
    check(&hermes, "<tool_call>{\"name\": \"now\", \"arguments\": {\"n\": [1,",
          "C:now|A:{\"n\": [1,|E");
}

static void test_no_call(void **state)
{
    VG_UNUSED(state);
    static const char *const texts[] = {
        "<tool_call>",
        "x\n\n<tool_call> ",
        "<tool_call>\nhello there",
        "<tool_call>{\"name\": \"\"}",
        "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
        "<tool_call>{\"title\": \"a\"}</tool_call>",
        "<tool_call>{\"name\": \"now\", \"argum",
        "<tool_call>{nonsense",
        "<tool_call>{\"name\": \"now\", \"arguments\": [1]}",
        "<tool_call>[1, 2]",
        "see <function=x y",
        "<tool_call><tool_call>",
    };
    const mode m = {"<tool_call> <function=", 0, 0, 0};
    for (size_t i = 0; i < VG_COUNT(texts); i++) {
        char want[200];
        snprintf(want, sizeof want, "T:%s", texts[i]);
        check(&m, texts[i], want);
    }
    check(&hermes, "<tool_call><tool_call>{\"name\": \"now\"}</tool_call>",
          "T:<tool_call>|C:now|A:{}|E");
}

static void test_params(void **state)
{
    VG_UNUSED(state);
    const mode m = {"<tool_call> <function= <parameter=", 0, 0, 0};
    check(
        &m,
        "Well.\n\n<tool_call>\n<function=now>\n<parameter=zone>\n12\n</parameter>\n<parameter=n>\n"
        "12\n</parameter>\n<parameter=list>\n[1, {\"a\": null}]\n</parameter>\n"
        "<parameter=other>\na \"b\"\n\nc\n</parameter>\n</function>\n</tool_call>\nx",
        "T:Well.|C:now|A:{\"zone\": \"12\", \"n\": 12, \"list\": [1, {\"a\": null}], \"other\": "
        "\"a \\\"b\\\"\\n\\nc\"}|E|T:x");
    check(&m, "<function=now></function></tool_call>", "C:now|A:{}|E");
    check(&m, "<function=now>\n<parameter=n>True</parameter>", "C:now|A:{\"n\": true}|E");
    check(&m, "<function=now>{\"n\": 3}</function>!", "C:now|A:{\"n\": 3}|E|T:!");
    check(&m, "<function=now>\n<parameter=zone>\ncut", "C:now|A:{\"zone\": \"cut\"}|E");
    /* GLM 4.5. */
    check(&hermes,
          "<tool_call>now\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n"
          "<arg_key>n</arg_key>\n<arg_value>4</arg_value>\n</tool_call>",
          "C:now|A:{\"zone\": \"UTC\", \"n\": 4}|E");
    check(&hermes, "<tool_call>now\n</tool_call>", "C:now|A:{}|E");
}

static void test_other_forms(void **state)
{
    VG_UNUSED(state);
    const mode mistral = {"[TOOL_CALLS]", 0, 0, 0};
    check(&mistral,
          "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {\"n\": 1}, \"id\": \"abcdefghi\"}, "
          "{\"name\": \"b\", \"arguments\": {}}]",
          "C:now|A:{\"n\": 1}|E|C:b|A:{}|E");
    check(&mistral, "Hm[TOOL_CALLS]now{\"n\": 1}[TOOL_CALLS]b[ARGS]{}",
          "T:Hm|C:now|A:{\"n\": 1}|E|C:b|A:{}|E");
    check(&mistral, "[TOOL_CALLS]now[CALL_ID]123456789[ARGS]{}", "C:now|A:{}|E");
    const mode granite = {"<|tool_call|>", 0, 0, 0};
    check(&granite, "<|tool_call|>[{\"arguments\": {\"n\": 1}, \"name\": \"now\"}]",
          "C:now|A:{\"n\": 1}|E");
    check(&(mode){"<|tool|> <|/tool|>", 0, 0, 0},
          "<|tool_call|>[{\"name\": \"now\", \"arguments\": {}}]<|/tool_call|>", "C:now|A:{}|E");
    const mode llama = {"\"parameters\": <|python_tag|>", 0, 0, 0};
    check(&llama, "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}", "C:now|A:{}|E");
    check(&llama,
          "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}; {\"name\": \"b\", "
          "\"parameters\": {}}",
          "C:now|A:{}|E|C:b|A:{}|E");
    check(&llama, "{\"name\": \"now\", \"parameters\": {\"n\": 1}}", "C:now|A:{\"n\": 1}|E");
    const mode deepseek = {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", 0, 0, 0};
    check(&deepseek,
          "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"n\": "
          "1}\n```"
          "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>b\n```json\n{}\n```<"
          "｜tool▁call▁end｜>"
          "<｜tool▁calls▁end｜>",
          "C:now|A:{\"n\": 1}|E|C:b|A:{}|E");
    check(&deepseek,
          "Ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{\"n\": "
          "1}<｜tool▁call▁end｜>"
          "<｜tool▁call▁begin｜>b<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
          "T:Ok|C:now|A:{\"n\": 1}|E|C:b|A:{}|E");
    const mode kimi = {"<|tool_calls_section_begin|><|tool_call_begin|>", 0, 0, 0};
    check(
        &kimi,
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>"
        "{\"n\": 1}<|tool_call_end|><|tool_call_begin|>functions.b:1<|tool_call_argument_begin|>{}"
        "<|tool_call_end|><|tool_calls_section_end|>",
        "C:now|A:{\"n\": 1}|E|C:b|A:{}|E");
    check(&(mode){"<|START_ACTION|>", 0, 0, 0},
          "<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
          "\"tool_name\": \"now\", \"parameters\": {\"n\": 1}}\n]<|END_ACTION|>",
          "R:Hm.|C:now|A:{\"n\": 1}|E");
}

static void test_python(void **state)
{
    VG_UNUSED(state);
    const mode m = {"<|tool_list_start|>", 0, 0, 0};
    check(&m,
          "<|tool_call_start|>[now(zone=\"a'b\", n=-1, list=[1, 2.5, None, (True,)]), "
          "b(d={'k': 'v\\n'})]<|tool_call_end|>Done.",
          "C:now|A:{\"zone\": \"a'b\", \"n\": -1, \"list\": [1, 2.5, null, [true]]}|E|"
          "C:b|A:{\"d\": {\"k\": \"v\\n\"}}|E|T:Done.");
    check(&m, "<|tool_call_start|>[now()]<|tool_call_end|>", "C:now|A:{}|E");
    check(&m, "<|tool_call_start|>[now(x)]<|tool_call_end|>",
          "T:<|tool_call_start|>[now(x)]<|tool_call_end|>");
    check(&m, "<|tool_call_start|>[now(x={1: 2})]", "T:<|tool_call_start|>[now(x={1: 2})]");
}

static void test_harmony(void **state)
{
    VG_UNUSED(state);
    const mode m = {"<|start|> <|channel|> <|message|>", 0, 0, 0};
    check(
        &m,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
        "R:Hm.|T:Yes.");
    check(&m,
          "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
          "to=functions.now <|constrain|>json<|message|>{\"n\": 1}<|call|>",
          "R:Hm.|C:now|A:{\"n\": 1}|E");
    check(&m,
          "<|channel|>commentary<|message|>First.<|end|><|start|>assistant to=functions.now"
          "<|channel|>commentary json<|message|>{}",
          "T:First.|C:now|A:{}|E");
    assert_true(vg_parts_by_name(vg_str_from(m.tmpl)));
    assert_false(vg_parts_by_name(vg_str_from(hermes.tmpl)));
}

static void test_bare(void **state)
{
    VG_UNUSED(state);
    const mode m = {"no word of it", 0, 0, 0};
    check(&m, "{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}",
          "C:now|A:{\"zone\": \"UTC\"}|E");
    check(&m, " [{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"now\", \"arguments\": {}}]",
          "C:now|A:{}|E|C:now|A:{}|E");
    check(&m, "{\"name\": \"now\", \"arguments\": {}}\n{\"name\": \"now\", \"arguments\": {}}",
          "C:now|A:{}|E|C:now|A:{}|E");
    /* Any object may be an answer; a call it is only where it names a tool. */
    check(&m, "{\"name\": \"Ada\", \"arguments\": {}}", "T:{\"name\": \"Ada\", \"arguments\": {}}");
    check(&m, "{\"age\": 36}", "T:{\"age\": 36}");
    check(&m, "[1, {\"a\": 2}]", "T:[1, {\"a\": 2}]");
    check(&m, "Well: {\"name\": \"now\", \"arguments\": {}}",
          "T:Well: {\"name\": \"now\", \"arguments\": {}}");
}

/* Many beginnings cost little memory and time; calls have a limit; without memory it is text. */
static void test_bounds(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a;
    vg_parts *p;
    log l = {.last = VG_NEWS_FINISH};
    vg_buf_init(&l.all, 1 << 24);
    TEST_OK(vg_arena_new(&a, 1 << 16, &err));
    vg_json tool = {.kind = VG_JSON_ARRAY, .n = 1, .item = (vg_json *[]){&tool}};
    vg_parts_opts opts = {.tmpl = VG_STR("<tool_call>"), .tools = &tool, .put = put, .user = &l};
    TEST_OK(vg_parts_new(&p, a, &opts, &err));
    for (int i = 0; i < 2 * VG_MAX_CALLS; i++)
        vg_parts_feed(p, VG_STR("<tool_call>{\"name\": \"a\"}</tool_call>"));
    size_t calls = 0;
    for (size_t i = 0; i + 1 < l.all.n; i++) calls += !memcmp(l.all.data + i, "C:", 2);
    assert_int_equal(calls, VG_MAX_CALLS);
    vg_parts_feed(p, VG_STR("<tool_call>{\"name\": \""));
    for (int i = 0; i < 10000; i++) vg_parts_feed(p, VG_STR("aaaaaaaaaaaaaaaa"));
    vg_parts_end(p);
    assert_true(l.all.n > 160000 && vg_arena_used(a) <= 1 << 16);
    vg_buf_clear(&l.all);
    vg_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_reasoning),
        cmocka_unit_test(test_hermes), cmocka_unit_test(test_no_call),
        cmocka_unit_test(test_params), cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_python), cmocka_unit_test(test_harmony),
        cmocka_unit_test(test_bare),   cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
