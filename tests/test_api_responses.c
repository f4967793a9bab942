/* OpenAI's Responses: what they take, what they refuse by name, and what they answer. */
#include "api_golden.h"

static const char route[] = "/v1/responses";
#define ASK "{\"model\": \"m\", \"input\": \"Hi\""
#define TOOL(name) "{\"type\": \"function\", \"name\": \"" name "\", \"parameters\": {}}"

static void test_input(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_responses);
    const vg_request *r = dialect_take(
        &c, route,
        "{\"model\": \"m\", \"instructions\": \"S\", \"input\": [{\"role\": \"user\", \"content\": "
        "[{\"type\": \"input_text\", \"text\": \"a\"}]}, {\"type\": \"reasoning\", \"id\": \"rs\", "
        "\"summary\": [], \"content\": [{\"type\": \"reasoning_text\", \"text\": \"hm\"}]}, "
        "{\"type\": \"message\", \"id\": \"msg\", \"status\": \"completed\", \"role\": "
        "\"assistant\", \"content\": [{\"type\": \"output_text\", \"text\": \"t\", "
        "\"annotations\": "
        "[], \"logprobs\": []}]}, {\"type\": \"function_call\", \"call_id\": \"c1\", \"name\": "
        "\"f\", \"arguments\": \"{\\\"x\\\": 1}\", \"id\": \"fc\"}, {\"type\": \"function_call\", "
        "\"call_id\": \"c2\", \"name\": \"g\", \"arguments\": \"{}\"}, {\"type\": "
        "\"function_call_output\", \"call_id\": \"c1\", \"output\": \"1\"}]}");
    vg_buf b;
    vg_buf_init(&b, 1 << 20);
    vg_json_put(&b, r->messages);
    assert_string_equal(
        b.data,
        "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"a\"},"
        "{\"role\":\"assistant\",\"content\":\"t\",\"reasoning_content\":\"hm\",\"tool_calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}"
        "},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"content\":\"1\",\"tool_call_id\":\"c1\",\"name\":\"f\"}]");
    vg_buf_clear(&b);
    r = dialect_take(&c, route,
                     ASK ", \"store\": false, \"max_output_tokens\": 9, \"text\": "
                         "{\"format\": {\"type\": \"json_schema\", \"name\": \"n\", "
                         "\"schema\": {}}}, \"tools\": [" TOOL(
                             "f") "], \"tool_choice\": "
                                  "{\"type\": \"function\", \"name\": \"f\"}, \"reasoning\": "
                                  "{\"effort\": \"high\"}, \"include\": "
                                  "[\"message.output_text.logprobs\"]}");
    assert_true(r->form == VG_FORM_SCHEMA && r->max_tok == 9 && vg_str_is(r->tool_name, "f"));
    assert_true(r->logprobs && vg_json_get(r->template_args, "reasoning_effort"));
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
#define ITEM(i, message, code)                                                                     \
    {                                                                                              \
        route, "{\"input\": [" i "]}", "input[0]." message, code                                   \
    }

static void test_refused(void **state)
{
    VG_UNUSED(state);
    static const dialect_refusal list[] = {
        {route, "{}", "input: ", VG_E_USAGE},
        {route, "{\"input\": []}", "input: ", VG_E_USAGE},
        NO("\"foo\": 1", "foo: "),
        NO("\"store\": true", "store: "),
        NO("\"background\": true", "background: "),
        NO("\"previous_response_id\": \"resp_1\"", "previous_response_id: "),
        NO("\"conversation\": \"conv_1\"", "conversation: "),
        NO("\"prompt\": {\"id\": \"x\"}", "prompt: "),
        NO("\"context_management\": [{\"type\": \"compaction\"}]", "context_management: "),
        NO("\"include\": [\"file_search_call.results\"]", "include: "),
        NO("\"tools\": [{\"type\": \"web_search\"}]", "tools[0].type: "),
        NO("\"reasoning\": {\"summary\": \"auto\"}", "reasoning: summary: "),
        NO("\"text\": {\"foo\": 1}", "text: foo: "),
        USAGE("\"truncation\": \"auto\"", "truncation: "),
        USAGE("\"text\": {\"verbosity\": \"low\"}", "text: verbosity: "),
        USAGE("\"text\": {\"format\": {\"type\": \"json_schema\"}}", "text: format.schema: "),
        USAGE("\"tool_choice\": \"required\"", "tool_choice: "),
        ITEM("{\"type\": \"item_reference\", \"id\": \"x\"}", "type: \"item_reference\"",
             VG_E_UNSUPPORTED),
        ITEM("{\"type\": \"web_search_call\"}", "type: \"web_search_call\"", VG_E_UNSUPPORTED),
        ITEM("{\"role\": \"user\", \"content\": [{\"type\": \"input_image\"}]}",
             "content[0].type: \"input_image\"", VG_E_UNSUPPORTED),
        ITEM("{\"role\": \"user\", \"content\": [{\"type\": \"input_file\"}]}",
             "content[0].type: \"input_file\"", VG_E_UNSUPPORTED),
        ITEM("{\"role\": \"tool\", \"content\": \"a\"}", "role: ", VG_E_USAGE),
        ITEM("{\"type\": \"function_call\", \"call_id\": \"a\", \"name\": \"f\", \"arguments\": "
             "\"1\"}",
             "arguments: ", VG_E_USAGE),
        ITEM("{\"type\": \"function_call_output\", \"output\": \"a\"}", "call_id: ", VG_E_USAGE),
    };
    static const char *const fields[] = {"temperature",  "top_p",       "max_output_tokens",
                                         "top_logprobs", "stream",      "stream_options",
                                         "tools",        "tool_choice", "text",
                                         "reasoning",    "include",     "instructions",
                                         "input",        "model"};
    dialect_case c;
    dialect_begin(&c, &vg_openai_responses);
    dialect_refuse(&c, list, VG_COUNT(list));
    dialect_hostile(&c, route, ASK ", %s}", fields, VG_COUNT(fields));
    dialect_end(&c);
}

static void test_answers(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_responses);
    dialect_take(&c, route, ASK ", \"top_logprobs\": 2, \"metadata\": {\"a\": \"b\"}}");
    vg_choice *a = dialect_answer(&c);
    a->finish = VG_FINISH_LENGTH;
    vg_buf_text(&a->text, "Hi\xc3\xa9");
    vg_buf_text(&a->reasoning, "Hm.");
    api_tokens(&c, a);
    api_counts(a, 10, 4, 2);
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "openai_response_text.json");
    dialect_take(&c, route, ASK ", \"tools\": [" TOOL("f") "]}");
    a = dialect_answer(&c);
    a->token = NULL;
    a->finish = VG_FINISH_TOOLS;
    dialect_call(a, "call_A", "f", "{\"x\": 1}");
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "openai_response_tools.json");
    dialect_end(&c);
}

static void test_streams(void **state)
{
    VG_UNUSED(state);
    static const api_news news[] = {
        {VG_NEWS_REASONING, "Hm.", 0, 0}, {VG_NEWS_REASONING, " So.", 0, 0},
        {VG_NEWS_TEXT, "Hi", 0, 1},       {VG_NEWS_TEXT, "\xc3\xa9", 0, 1},
        {VG_NEWS_CALL_BEGIN, "f", 0, 0},  {VG_NEWS_CALL_ARGS, "{\"x\":", 0, 0},
        {VG_NEWS_CALL_ARGS, " 1}", 0, 0}, {VG_NEWS_CALL_END, NULL, 0, 0},
        {VG_NEWS_CALL_BEGIN, "g", 0, 0},  {VG_NEWS_CALL_ARGS, "{}", 0, 0},
        {VG_NEWS_CALL_END, NULL, 0, 0},   {VG_NEWS_FINISH, NULL, 0, 0},
    };
    static const api_news nothing[] = {{VG_NEWS_FINISH, NULL, 0, 0}};
    dialect_case c;
    dialect_begin(&c, &vg_openai_responses);
    dialect_take(&c, route, ASK ", \"stream\": true, \"top_logprobs\": 2}");
    vg_choice *a = dialect_answer(&c);
    a->finish = VG_FINISH_TOOLS;
    api_tokens(&c, a);
    api_counts(a, 10, 4, 2);
    api_stream(&c, news, VG_COUNT(news));
    api_golden(&c, "openai_response.sse");
    dialect_take(&c, route, ASK ", \"stream\": true}");
    a = dialect_answer(&c);
    a->token = NULL;
    a->finish = VG_FINISH_LENGTH;
    api_stream(&c, nothing, VG_COUNT(nothing));
    api_golden(&c, "openai_response_empty.sse");
    vg_err e = {.code = VG_E_NUMERIC, .msg = "NaN"};
    c.dialect->begin(&c.reply, &c.out);
    (c.dialect->fail)(&c.reply, &e, &c.out);
    api_golden(&c, "openai_response_failed.sse");
    dialect_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
