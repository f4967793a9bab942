/* Anthropic's dialect: what it takes, what it refuses by name, and what it answers. */
#include "api_golden.h"
#include "serve/anthropic.h"

static const char route[] = "/v1/messages";
#define ASK                                                                                        \
    "{\"model\": \"m\", \"max_tokens\": 9, \"messages\": [{\"role\": \"user\", \"content\": "      \
    "\"Hi\"}]"
#define TOOL(name) "{\"name\": \"" name "\", \"input_schema\": {\"type\": \"object\"}}"

static void test_messages(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_anthropic);
    const vg_request *r = dialect_take(
        &c, route,
        "{\"model\": \"m\", \"max_tokens\": 9, \"system\": [{\"type\": \"text\", \"text\": \"S\", "
        "\"cache_control\": {\"type\": \"ephemeral\"}}], \"messages\": [{\"role\": \"user\", "
        "\"content\": [{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": "
        "\"b\"}]}, {\"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", \"thinking\": "
        "\"hm\", \"signature\": \"\"}, {\"type\": \"text\", \"text\": \"t\"}, {\"type\": "
        "\"tool_use\", \"id\": \"c1\", \"name\": \"f\", \"input\": {\"x\": 1}}, {\"type\": "
        "\"tool_use\", \"id\": \"c2\", \"name\": \"g\", \"input\": {}}]}, {\"role\": \"user\", "
        "\"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"c1\", \"content\": \"1\"}, "
        "{\"type\": \"tool_result\", \"tool_use_id\": \"c2\", \"is_error\": true, \"content\": "
        "[{\"type\": \"text\", \"text\": \"2\"}]}, {\"type\": \"text\", \"text\": \"go\"}]}, "
        "{\"role\": \"assistant\", \"content\": \"So\"}]}");
    vg_buf b;
    vg_buf_init(&b, 1 << 20);
    vg_json_put(&b, r->messages);
    assert_string_equal(
        b.data,
        "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"a\\nb\"},"
        "{\"role\":\"assistant\",\"content\":\"t\",\"reasoning_content\":\"hm\",\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}"
        "},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"content\":\"1\",\"tool_call_id\":\"c1\",\"name\":\"f\"},"
        "{\"role\":\"tool\",\"content\":\"Error: 2\",\"tool_call_id\":\"c2\",\"name\":\"g\"},"
        "{\"role\":\"user\",\"content\":\"go\"},{\"role\":\"assistant\",\"content\":\"So\"}]");
    vg_buf_clear(&b);
    assert_true(r->continue_last && r->max_tok == 9 && r->sampling.temp == 1);
    dialect_end(&c);
}

static void test_values(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_anthropic);
    const vg_request *r = dialect_take(
        &c, route,
        ASK ", \"temperature\": 0, \"top_p\": 0.5, \"top_k\": 3, \"stop_sequences\": [\"a\"], "
            "\"stream\": true, \"metadata\": {\"user_id\": \"u\"}, \"thinking\": {\"type\": "
            "\"enabled\", \"budget_tokens\": 1024}, \"service_tier\": \"auto\", \"tools\": [" TOOL(
                "f") ", " TOOL("g") "], \"tool_choice\": {\"type\": \"tool\", \"name\": \"g\", "
                                    "\"disable_parallel_tool_use\": true}}");
    assert_true(r->sampling.temp == 0 && r->sampling.top_p == 0.5f && r->sampling.top_k == 3);
    assert_true(r->n_stop == 1 && r->stream && r->one_tool && vg_str_is(r->tool_name, "g"));
    assert_true(r->tools->n == 2 && r->tool_choice == VG_TOOLS_REQUIRED);
    assert_true(vg_json_get(r->template_args, "enable_thinking")->boolean);
    r = dialect_take(&c, route,
                     ASK ", \"output_config\": {\"format\": {\"type\": \"json_schema\", "
                         "\"schema\": {\"type\": \"object\"}}}, \"thinking\": "
                         "{\"type\": \"disabled\"}}");
    assert_true(r->form == VG_FORM_SCHEMA && r->schema);
    assert_false(vg_json_get(r->template_args, "enable_thinking")->boolean);
    dialect_take(&c, "/v1/messages/count_tokens",
                 "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}");
    dialect_end(&c);
}

#define USAGE(rest, message)                                                                       \
    {                                                                                              \
        route, ASK ", " rest "}", message, VG_E_USAGE                                              \
    }
#define NO(rest, message)                                                                          \
    {                                                                                              \
        route, ASK ", " rest "}", message, VG_E_UNSUPPORTED                                        \
    }
#define BLOCK(role, b, message, code)                                                              \
    {                                                                                              \
        route,                                                                                     \
            "{\"max_tokens\": 1, \"messages\": [{\"role\": \"" role "\", \"content\": [" b "]}]}", \
            "messages[0].content[0]." message, code                                                \
    }

static void test_refused(void **state)
{
    VG_UNUSED(state);
    static const dialect_refusal list[] = {
        {route, "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
         "max_tokens: ", VG_E_USAGE},
        {route, "{\"max_tokens\": 1}", "messages: ", VG_E_USAGE},
        {route, "{\"max_tokens\": 1, \"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}",
         "messages[0].role: ", VG_E_USAGE},
        NO("\"foo\": 1", "foo: "),
        NO("\"container\": \"x\"", "container: "),
        NO("\"mcp_servers\": [1]", "mcp_servers: "),
        NO("\"inference_geo\": \"us\"", "inference_geo: "),
        NO("\"diagnostics\": {\"previous_message_id\": \"x\"}", "diagnostics: "),
        NO("\"workspace_id\": \"x\"", "workspace_id: "),
        NO("\"tools\": [{\"type\": \"web_search_20250305\", \"name\": \"web_search\"}]",
           "tools[0].type: \"web_search_20250305\""),
        NO("\"output_config\": {\"foo\": 1}", "output_config: foo: "),
        USAGE("\"speed\": \"fast\"", "speed: "),
        USAGE("\"service_tier\": \"gold\"", "service_tier: "),
        USAGE("\"temperature\": 1.1", "temperature: "),
        USAGE("\"thinking\": {\"type\": \"between_tools\"}", "thinking: type: "),
        USAGE("\"thinking\": {\"type\": \"enabled\", \"budget_tokens\": -1}",
              "thinking: budget_tokens: "),
        USAGE("\"tool_choice\": {\"type\": \"any\"}", "tool_choice: "),
        USAGE("\"tool_choice\": {\"type\": \"tool\"}", "tool_choice: name: "),
        USAGE("\"tools\": [{\"name\": \"f\"}]", "tools[0].input_schema: "),
        BLOCK("user", "{\"type\": \"image\", \"source\": {}}", "type: \"image\"", VG_E_UNSUPPORTED),
        BLOCK("user", "{\"type\": \"document\"}", "type: \"document\"", VG_E_UNSUPPORTED),
        BLOCK("user", "{\"type\": \"thinking\", \"thinking\": \"\"}", "type: ", VG_E_UNSUPPORTED),
        BLOCK("user", "{\"type\": \"tool_use\", \"id\": \"a\", \"name\": \"f\", \"input\": {}}",
              "type: ", VG_E_USAGE),
        BLOCK("assistant", "{\"type\": \"tool_use\", \"id\": \"a\", \"name\": \"f\"}",
              "input: ", VG_E_USAGE),
        BLOCK("user", "{\"type\": \"tool_result\", \"content\": \"a\"}",
              "tool_use_id: ", VG_E_USAGE),
        BLOCK("user",
              "{\"type\": \"tool_result\", \"tool_use_id\": \"a\", \"content\": "
              "[{\"type\": \"image\"}]}",
              "content[0].type: \"image\"", VG_E_UNSUPPORTED),
        BLOCK("user", "5", "type: ", VG_E_USAGE),
    };
    static const char *const fields[] = {"max_tokens",     "temperature",   "top_p",  "top_k",
                                         "stop_sequences", "stream",        "tools",  "tool_choice",
                                         "thinking",       "output_config", "system", "messages",
                                         "model"};
    dialect_case c;
    dialect_begin(&c, &vg_anthropic);
    dialect_refuse(&c, list, VG_COUNT(list));
    dialect_hostile(&c, route, ASK ", %s}", fields, VG_COUNT(fields));
    dialect_end(&c);
}

static void test_answers(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_anthropic);
    dialect_take(&c, route, ASK "}");
    vg_choice *a = dialect_answer(&c);
    a->finish = VG_FINISH_STOP;
    a->stop_text = VG_STR("\n\n");
    vg_buf_text(&a->text, "Hi\xc3\xa9");
    vg_buf_text(&a->reasoning, "Hm.");
    api_counts(a, 10, 4, 2);
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "anthropic_message_text.json");
    a = dialect_answer(&c);
    a->finish = VG_FINISH_TOOLS;
    dialect_call(a, "toolu_A", "f", "{\"x\": 1}");
    dialect_call(a, "toolu_B", "g", "{\"cut");
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "anthropic_message_tools.json");
    vg_anthropic_count(12, &c.out);
    api_golden(&c, "anthropic_count.json");
    vg_err e = {.code = VG_E_USAGE, .msg = "max_tokens: is missing"};
    vg_anthropic_error(&e, 400, &c.out);
    api_golden(&c, "anthropic_error.json");
    vg_anthropic_model m = {VG_STR("tiny"), 1700000000, 4096};
    vg_anthropic_one_model(&m, &c.out);
    api_golden(&c, "anthropic_model.json");
    dialect_end(&c);
}

static void test_streams(void **state)
{
    VG_UNUSED(state);
    static const api_news news[] = {
        {VG_NEWS_REASONING, "Hm.", 0, 0}, {VG_NEWS_REASONING, " So.", 0, 0},
        {VG_NEWS_TEXT, "Hi", 0, 0},       {VG_NEWS_TEXT, "\xc3\xa9", 0, 0},
        {VG_NEWS_CALL_BEGIN, "f", 0, 0},  {VG_NEWS_CALL_ARGS, "{\"x\":", 0, 0},
        {VG_NEWS_CALL_ARGS, " 1}", 0, 0}, {VG_NEWS_CALL_END, NULL, 0, 0},
        {VG_NEWS_CALL_BEGIN, "g", 0, 0},  {VG_NEWS_CALL_ARGS, "{}", 0, 0},
        {VG_NEWS_CALL_END, NULL, 0, 0},   {VG_NEWS_FINISH, NULL, 0, 0},
    };
    static const api_news nothing[] = {{VG_NEWS_FINISH, NULL, 0, 0}};
    dialect_case c;
    dialect_begin(&c, &vg_anthropic);
    dialect_take(&c, route, ASK ", \"stream\": true}");
    vg_choice *a = dialect_answer(&c);
    a->finish = VG_FINISH_TOOLS;
    api_counts(a, 10, 4, 2);
    api_stream(&c, news, VG_COUNT(news));
    api_golden(&c, "anthropic_message.sse");
    a = dialect_answer(&c);
    a->finish = VG_FINISH_LENGTH;
    api_stream(&c, nothing, VG_COUNT(nothing));
    api_golden(&c, "anthropic_message_empty.sse");
    vg_err e = {.code = VG_E_NUMERIC, .msg = "NaN"};
    (c.dialect->fail)(&c.reply, &e, &c.out);
    assert_string_equal(dialect_wrote(&c),
                        "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": "
                        "\"api_error\", \"message\": \"NaN\"}}\n\n");
    dialect_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_answers),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
