/* OpenAI's dialects but Responses: what they take, what they refuse by name, and what they answer.
 */
#include "api_golden.h"
#include "serve/openai.h"

static const char chat[] = "/v1/chat/completions", completions[] = "/v1/completions";
#define ASK "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]"
#define TOOL(name)                                                                                 \
    "{\"type\": \"function\", \"function\": {\"name\": \"" name "\", \"parameters\": {\"type\": "  \
    "\"object\"}}}"

/* The messages as they reach the template, on one line. */
static void expect_messages(const vg_request *r, const char *want)
{
    vg_buf b;
    vg_buf_init(&b, 1 << 20);
    vg_json_put(&b, r->messages);
    assert_string_equal(b.data, want);
    vg_buf_clear(&b);
}

static void test_messages(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    const vg_request *r = dialect_take(
        &c, chat,
        "{\"model\": \"m\", \"messages\": [{\"role\": \"developer\", \"content\": [{\"type\": "
        "\"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": \"b\"}]}, {\"role\": \"user\", "
        "\"content\": \"Hi\", \"name\": \"Ada\"}, {\"role\": \"assistant\", \"content\": null, "
        "\"refusal\": null, \"annotations\": [], \"audio\": null, \"function_call\": null, "
        "\"reasoning_content\": \"hm\", \"tool_calls\": [{\"id\": \"c1\", \"type\": \"function\", "
        "\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}}, {\"id\": \"c2\", "
        "\"type\": \"function\", \"function\": {\"name\": \"g\", \"arguments\": \"\"}}]}, "
        "{\"role\": \"tool\", \"tool_call_id\": \"c2\", \"content\": \"2\"}]}");
    expect_messages(
        r, "[{\"role\":\"system\",\"content\":\"a\\nb\"},{\"role\":\"user\",\"content\":\"Hi\","
           "\"name\":\"Ada\"},{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":"
           "\"hm\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
           "\"f\",\"arguments\":{\"x\":1}}},{\"id\":\"c2\",\"type\":\"function\",\"function\":"
           "{\"name\":\"g\",\"arguments\":{}}}]},{\"role\":\"tool\",\"content\":\"2\","
           "\"tool_call_id\":\"c2\",\"name\":\"g\"}]");
    assert_true(r->ask == VG_ASK_CHAT && r->n == 1 && r->sampling.temp == 1 && !r->has_max_tok);
    dialect_end(&c);
}

static void test_values(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    const vg_request *r = dialect_take(
        &c, chat,
        ASK
        ", \"temperature\": 0.5, \"top_p\": 0, \"n\": 3, \"seed\": -5, \"stop\": [\"a\", "
        "\"b\"], \"max_completion_tokens\": 9, \"presence_penalty\": -2, \"frequency_penalty\": "
        "2, \"logit_bias\": {\"7\": -100}, \"logprobs\": true, \"top_logprobs\": 4, \"stream\": "
        "true, \"stream_options\": {\"include_usage\": true}, \"top_k\": -1, \"min_p\": 0.1, "
        "\"repetition_penalty\": 1.5, \"ignore_eos\": true, \"user\": \"u\", \"metadata\": "
        "{\"a\": \"b\"}, \"store\": false, \"service_tier\": \"auto\", \"modalities\": "
        "[\"text\"], \"reasoning_effort\": \"low\", \"functions\": null}");
    assert_true(r->sampling.temp == 0.5f && r->sampling.top_p > 0 && r->sampling.top_p < 1e-6f);
    assert_true(r->n == 3 && r->has_seed && r->sampling.seed == (uint64_t)-5 && r->n_stop == 2);
    assert_true(r->max_tok == 9 && r->has_max_tok && r->n_bias == 1 && r->bias->id == 7);
    assert_true(r->bias->add == -100 && r->logprobs && r->n_top == 4 && r->stream_usage);
    assert_true(r->sampling.min_p == 0.1f && r->sampling.repeat_penalty == 1.5f && r->ignore_end);
    assert_string_equal(vg_json_get(r->template_args, "reasoning_effort")->str.p, "low");
    assert_true(vg_json_get(r->template_args, "enable_thinking")->boolean);
    r = dialect_take(&c, chat,
                     ASK ", \"reasoning_effort\": \"none\", \"chat_template_kwargs\": "
                         "{\"x\": 1}}");
    assert_false(vg_json_get(r->template_args, "enable_thinking")->boolean);
    assert_int_equal(vg_json_get(r->template_args, "x")->integer, 1);
    r = dialect_take(&c, chat, ASK ", \"response_format\": {\"type\": \"json_object\"}}");
    assert_int_equal(r->form, VG_FORM_JSON_OBJECT);
    r = dialect_take(&c, chat,
                     ASK
                     ", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": "
                     "{\"name\": \"n\", \"strict\": true, \"schema\": {\"type\": \"array\"}}}}");
    assert_int_equal(r->form, VG_FORM_SCHEMA);
    assert_true(vg_json_get(r->schema, "type") != NULL);
    r = dialect_take(&c, chat, ASK ", \"grammar\": \"root ::= \\\"a\\\"\"}");
    assert_int_equal(r->form, VG_FORM_GBNF);
    r = dialect_take(&c, chat,
                     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": "
                     "\"assistant\", \"content\": \"b\"}], \"continue_final_message\": "
                     "true, \"add_generation_prompt\": false}");
    assert_true(r->continue_last);
    dialect_end(&c);
}

static void test_tools(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    const vg_request *r =
        dialect_take(&c, chat, ASK ", \"tools\": [" TOOL("f") ", " TOOL("g") "]}");
    assert_true(r->tools->n == 2 && r->tool_choice == VG_TOOLS_AUTO && !r->one_tool);
    r = dialect_take(&c, chat,
                     ASK ", \"tools\": [" TOOL("f") "], \"tool_choice\": \"required\", "
                                                    "\"parallel_tool_calls\": false}");
    assert_true(r->tool_choice == VG_TOOLS_REQUIRED && !r->tool_name.n && r->one_tool);
    r = dialect_take(&c, chat,
                     ASK ", \"tool_choice\": {\"type\": \"function\", \"function\": "
                         "{\"name\": \"g\"}}, \"tools\": [" TOOL("f") ", " TOOL("g") "]}");
    assert_true(r->tool_choice == VG_TOOLS_REQUIRED && vg_str_is(r->tool_name, "g"));
    r = dialect_take(&c, chat,
                     ASK ", \"tool_choice\": {\"type\": \"allowed_tools\", "
                         "\"allowed_tools\": {\"mode\": \"required\", \"tools\": [{\"type\": "
                         "\"function\", \"function\": {\"name\": \"g\"}}]}}, \"tools\": [" TOOL(
                             "f") ", " TOOL("g") "]}");
    assert_true(r->tool_choice == VG_TOOLS_REQUIRED && r->tools->n == 1);
    r = dialect_take(&c, chat, ASK ", \"tools\": [], \"tool_choice\": \"none\"}");
    assert_true(!r->tools && r->tool_choice == VG_TOOLS_NONE);
    dialect_end(&c);
}

#define USAGE(rest, message)                                                                       \
    {                                                                                              \
        chat, ASK ", " rest "}", message, VG_E_USAGE                                               \
    }
#define NO(rest, message)                                                                          \
    {                                                                                              \
        chat, ASK ", " rest "}", message, VG_E_UNSUPPORTED                                         \
    }
#define MESSAGE(m, message, code)                                                                  \
    {                                                                                              \
        chat, "{\"messages\": [" m "]}", message, code                                             \
    }

static void test_fields_refused(void **state)
{
    VG_UNUSED(state);
    static const dialect_refusal list[] = {
        {chat, "[]", "the body", VG_E_USAGE},
        {chat, "{}", "messages: ", VG_E_USAGE},
        {chat, "{\"messages\": []}", "messages: ", VG_E_USAGE},
        NO("\"foo\": 1", "foo: "),
        NO("\"functions\": [{\"name\": \"f\"}]", "functions: "),
        NO("\"function_call\": \"auto\"", "function_call: "),
        NO("\"store\": true", "store: "),
        NO("\"audio\": {\"voice\": \"a\"}", "audio: "),
        NO("\"modalities\": [\"text\", \"audio\"]", "modalities: "),
        NO("\"web_search_options\": {\"search_context_size\": \"low\"}", "web_search_options: "),
        NO("\"moderation\": {\"model\": \"x\"}", "moderation: "),
        NO("\"tools\": [{\"type\": \"custom\", \"custom\": {\"name\": \"x\"}}]",
           "tools[0].custom: "),
        NO("\"stream\": true, \"stream_options\": {\"include_obfuscation\": true}",
           "stream_options: include_obfuscation: "),
        USAGE("\"verbosity\": \"low\"", "verbosity: "),
        USAGE("\"service_tier\": \"flex\"", "service_tier: "),
        USAGE("\"stream_options\": {\"include_usage\": true}", "stream_options: "),
        USAGE("\"top_logprobs\": 3", "top_logprobs: "),
        USAGE("\"temperature\": 2.1", "temperature: "),
        USAGE("\"n\": 65", "n: "),
        USAGE("\"n\": 0", "n: "),
        USAGE("\"max_tokens\": 0", "max_tokens: "),
        USAGE("\"seed\": 9223372036854775808", "seed: "),
        USAGE("\"logit_bias\": {\"-1\": 1}", "logit_bias: "),
        USAGE("\"logit_bias\": {\"99999999999999999999999\": 1}", "logit_bias: "),
        USAGE("\"logit_bias\": {\"1\": 101}", "logit_bias: 1: "),
        USAGE("\"response_format\": {\"type\": \"xml\"}", "response_format: type: "),
        USAGE("\"response_format\": {\"type\": \"json_schema\"}", "response_format: "),
        USAGE("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": "
              "\"x\"}}",
              "response_format: json_schema.schema: "),
        USAGE("\"tool_choice\": \"required\"", "tool_choice: "),
        USAGE("\"tools\": [" TOOL("f") "], \"tool_choice\": {\"type\": \"function\", "
                                       "\"function\": {\"name\": \"x\"}}",
              "tool_choice: "),
        USAGE("\"tools\": [" TOOL("a b") "]", "tools[0].function.name: "),
        USAGE("\"tools\": {}", "tools: "),
        USAGE("\"add_generation_prompt\": false", "add_generation_prompt: "),
        USAGE("\"continue_final_message\": true", "continue_final_message: "),
        USAGE("\"grammar\": \"x\", \"response_format\": {\"type\": \"json_object\"}", "grammar: "),
        USAGE("\"grammar\": \"x\", \"tools\": [" TOOL("f") "]", "grammar: "),
    };
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    dialect_refuse(&c, list, VG_COUNT(list));
    dialect_end(&c);
}

static void test_messages_refused(void **state)
{
    VG_UNUSED(state);
    static const dialect_refusal list[] = {
        MESSAGE("{\"role\": \"king\", \"content\": \"a\"}", "messages[0].role: ", VG_E_USAGE),
        MESSAGE("{\"role\": \"function\", \"content\": \"a\"}",
                "messages[0].role: ", VG_E_UNSUPPORTED),
        MESSAGE("{\"role\": \"user\"}", "messages[0].content: ", VG_E_USAGE),
        MESSAGE("{\"role\": \"user\", \"content\": 5}", "messages[0].content: ", VG_E_USAGE),
        MESSAGE("{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": "
                "{\"url\": \"x\"}}]}",
                "messages[0].content[0].type: \"image_url\"", VG_E_UNSUPPORTED),
        MESSAGE("{\"role\": \"user\", \"content\": [{\"type\": \"input_audio\"}]}",
                "messages[0].content[0].type: \"input_audio\"", VG_E_UNSUPPORTED),
        MESSAGE("{\"role\": \"user\", \"content\": \"a\", \"weight\": 1}",
                "messages[0].weight: ", VG_E_UNSUPPORTED),
        MESSAGE("{\"role\": \"tool\", \"content\": \"a\"}",
                "messages[0].tool_call_id: ", VG_E_USAGE),
        MESSAGE(
            "{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"a\", \"type\": \"function\", "
            "\"function\": {\"name\": \"f\", \"arguments\": \"[\"}}]}",
            "messages[0].tool_calls[0].function.arguments: ", VG_E_USAGE),
    };
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    dialect_refuse(&c, list, VG_COUNT(list));
    dialect_end(&c);
}

static void test_hostile(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    static const char *const fields[] = {"temperature",
                                         "top_p",
                                         "n",
                                         "seed",
                                         "stop",
                                         "max_tokens",
                                         "max_completion_tokens",
                                         "presence_penalty",
                                         "frequency_penalty",
                                         "logit_bias",
                                         "logprobs",
                                         "top_logprobs",
                                         "stream",
                                         "stream_options",
                                         "tools",
                                         "tool_choice",
                                         "parallel_tool_calls",
                                         "response_format",
                                         "reasoning_effort",
                                         "top_k",
                                         "min_p",
                                         "typical_p",
                                         "repeat_penalty",
                                         "repetition_penalty",
                                         "grammar",
                                         "chat_template_kwargs",
                                         "messages",
                                         "model"};
    dialect_hostile(&c, chat, ASK ", %s}", fields, VG_COUNT(fields));
    dialect_end(&c);
}

static void test_chat_answers(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    dialect_take(&c, chat, ASK ", \"logprobs\": true, \"top_logprobs\": 2, \"n\": 2}");
    vg_choice *a = dialect_answer(&c);
    c.reply.n_choices = 2;
    c.choice[1] = (vg_choice){.finish = VG_FINISH_LENGTH};
    vg_buf_text(&a->text, "Hi\xc3\xa9");
    vg_buf_text(&a->reasoning, "Hm.");
    api_tokens(&c, a);
    api_counts(a, 10, 4, 2);
    api_counts(&c.choice[1], 10, 10, 5);
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "openai_chat_text.json");

    dialect_take(&c, chat, ASK ", \"tools\": [" TOOL("f") "]}");
    a = dialect_answer(&c);
    a->finish = VG_FINISH_TOOLS;
    dialect_call(a, "call_AAAAAAAAAAAAAAAAAAAAAAAA", "f", "{\"x\": \"\xc3\xa9\"}");
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "openai_chat_tools.json");
    dialect_end(&c);
}

static void test_chat_streams(void **state)
{
    VG_UNUSED(state);
    static const api_news text[] = {
        {VG_NEWS_REASONING, "Hm.", 0, 0}, {VG_NEWS_TEXT, "Hi", 0, 1},
        {VG_NEWS_TEXT, "\xc3\xa9", 0, 1}, {VG_NEWS_TEXT, "b", 1, 0},
        {VG_NEWS_FINISH, NULL, 1, 0},     {VG_NEWS_FINISH, NULL, 0, 0},
    };
    static const api_news calls[] = {
        {VG_NEWS_CALL_BEGIN, "f", 0, 0},  {VG_NEWS_CALL_ARGS, "{\"x\":", 0, 0},
        {VG_NEWS_CALL_ARGS, " 1}", 0, 0}, {VG_NEWS_CALL_END, NULL, 0, 0},
        {VG_NEWS_CALL_BEGIN, "f", 0, 0},  {VG_NEWS_CALL_ARGS, "{}", 0, 0},
        {VG_NEWS_CALL_END, NULL, 0, 0},   {VG_NEWS_FINISH, NULL, 0, 0},
    };
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    dialect_take(&c, chat,
                 ASK ", \"logprobs\": true, \"top_logprobs\": 2, \"n\": 2, \"stream\": "
                     "true, \"stream_options\": {\"include_usage\": true}}");
    vg_choice *a = dialect_answer(&c);
    c.reply.n_choices = 2;
    c.choice[1].finish = VG_FINISH_LENGTH;
    api_tokens(&c, a);
    api_counts(a, 10, 4, 2);
    api_stream(&c, text, VG_COUNT(text));
    api_golden(&c, "openai_chat_text.sse");

    dialect_take(&c, chat, ASK ", \"stream\": true, \"tools\": [" TOOL("f") "]}");
    a = dialect_answer(&c);
    a->finish = VG_FINISH_TOOLS;
    api_stream(&c, calls, VG_COUNT(calls));
    api_golden(&c, "openai_chat_tools.sse");
    vg_err e = {.code = VG_E_NUMERIC, .msg = "the logits are NaN"};
    (c.dialect->fail)(&c.reply, &e, &c.out);
    assert_string_equal(dialect_wrote(&c),
                        "data: {\"error\": {\"message\": \"the logits are NaN\", \"type\": "
                        "\"server_error\", \"param\": null, \"code\": null}}\n\n");
    dialect_end(&c);
}

static void test_errors(void **state)
{
    VG_UNUSED(state);
    dialect_case c;
    dialect_begin(&c, &vg_openai_chat);
    vg_status st = dialect_parse(&c, chat, ASK ", \"n\": \"1\"}");
    assert_int_equal(st, VG_E_USAGE);
    vg_openai_error(&c.err, 400, &c.out);
    api_golden(&c, "openai_error.json");
    vg_err e = {.code = VG_E_CONTEXT, .msg = "9000 tokens: the window has 4096"};
    vg_openai_error(&e, 400, &c.out);
    assert_non_null(
        strstr(dialect_wrote(&c), "\"param\": null, \"code\": \"context_length_exceeded\""));
    const vg_openai_model m[] = {{VG_STR("tiny"), 1700000000, NULL}, {VG_STR("b"), 1, "me"}};
    vg_openai_models(m, 2, &c.out);
    api_golden(&c, "openai_models.json");
    vg_openai_one_model(m, &c.out);
    api_golden(&c, "openai_model.json");
    dialect_end(&c);
}

static void test_completions(void **state)
{
    VG_UNUSED(state);
    static const dialect_refusal list[] = {
        {completions, "{}", "prompt: ", VG_E_USAGE},
        {completions, "{\"prompt\": \"a\", \"best_of\": 2}", "best_of: ", VG_E_UNSUPPORTED},
        {completions, "{\"prompt\": \"a\", \"echo\": true, \"logprobs\": 0}",
         "echo: ", VG_E_UNSUPPORTED},
        {completions, "{\"prompt\": [1], \"suffix\": \"a\"}", "suffix: ", VG_E_USAGE},
        {completions, "{\"prompt\": [\"a\", \"b\"], \"n\": 33}", "n: ", VG_E_USAGE},
        {completions, "{\"prompt\": \"a\", \"messages\": [1]}", "messages: ", VG_E_UNSUPPORTED},
    };
    dialect_case c;
    dialect_begin(&c, &vg_openai_completions);
    dialect_refuse(&c, list, VG_COUNT(list));
    static const char *const fields[] = {"prompt",     "best_of", "logprobs",   "echo",
                                         "suffix",     "n",       "max_tokens", "temperature",
                                         "logit_bias", "stop"};
    dialect_hostile(&c, completions, "{\"prompt\": \"a\", %s}", fields, VG_COUNT(fields));
    const vg_request *r = dialect_take(&c, completions,
                                       "{\"prompt\": [[1, 2], [3]], \"n\": 2, "
                                       "\"best_of\": 2, \"echo\": true}");
    assert_true(r->ask == VG_ASK_COMPLETE && r->n_prompts == 2 && r->echo && r->max_tok == 16);
    r = dialect_take(&c, completions, "{\"prompt\": \"a\", \"suffix\": \"b\"}");
    assert_true(r->ask == VG_ASK_INFILL && vg_str_is(r->prefix, "a") && vg_str_is(r->suffix, "b"));
    dialect_take(&c, completions, "{\"prompt\": \"a\", \"logprobs\": 2}");
    vg_choice *a = dialect_answer(&c);
    vg_buf_text(&a->text, "Hi\xc3\xa9");
    api_tokens(&c, a);
    api_counts(a, 1, 0, 2);
    c.dialect->whole(&c.reply, &c.out);
    api_golden(&c, "openai_completion.json");
    static const api_news text[] = {
        {VG_NEWS_TEXT, "Hi", 0, 1}, {VG_NEWS_TEXT, "\xc3\xa9", 0, 1}, {VG_NEWS_FINISH, NULL, 0, 0}};
    dialect_take(&c, completions,
                 "{\"prompt\": \"a\", \"logprobs\": 2, \"stream\": true, "
                 "\"stream_options\": {\"include_usage\": true}}");
    a = dialect_answer(&c);
    api_tokens(&c, a);
    api_stream(&c, text, VG_COUNT(text));
    api_golden(&c, "openai_completion.sse");
    dialect_end(&c);
}

static void test_embeddings(void **state)
{
    VG_UNUSED(state);
    static const char route[] = "/v1/embeddings";
    static const dialect_refusal list[] = {
        {route, "{}", "input: ", VG_E_USAGE},
        {route, "{\"input\": \"\"}", "input: ", VG_E_USAGE},
        {route, "{\"input\": [\"a\", []]}", "input: ", VG_E_USAGE},
        {route, "{\"input\": \"a\", \"encoding_format\": \"hex\"}",
         "encoding_format: ", VG_E_USAGE},
        {route, "{\"input\": \"a\", \"dimensions\": 0}", "dimensions: ", VG_E_USAGE},
        {route, "{\"input\": \"a\", \"input_type\": \"query\"}", "input_type: ", VG_E_UNSUPPORTED},
    };
    static const float vector[] = {0.5f, -1, 3, 0.25f, 1, 0};
    dialect_case c;
    dialect_begin(&c, &vg_openai_embeddings);
    dialect_refuse(&c, list, VG_COUNT(list));
    for (int base64 = 0; base64 < 2; base64++) {
        dialect_take(&c, route,
                     base64 ? "{\"input\": [\"a\", \"b\"], \"encoding_format\": \"base64\"}"
                            : "{\"input\": [\"a\", \"b\"]}");
        dialect_answer(&c);
        c.reply.n_choices = 2;
        c.reply.vector = vector;
        c.reply.width = 3;
        api_counts(&c.choice[0], 2, 0, 0);
        api_counts(&c.choice[1], 3, 0, 0);
        c.dialect->whole(&c.reply, &c.out);
        api_golden(&c, base64 ? "openai_embeddings_base64.json" : "openai_embeddings.json");
    }
    dialect_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_fields_refused),
        cmocka_unit_test(test_messages_refused),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_chat_answers),
        cmocka_unit_test(test_chat_streams),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_completions),
        cmocka_unit_test(test_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
