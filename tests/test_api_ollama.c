/* Tests of Ollama's dialect: every field and option, taken or refused by name, and the answers in
 * the words of its API's type definitions. */
#include <math.h>

#include "dialect.h"
#include "serve/ollama.h"

static int begin(void **state)
{
    *state = malloc(sizeof(dialect_case));
    dialect_begin(*state, &vg_ollama);
    return 0;
}

static int end(void **state)
{
    dialect_end(*state);
    free(*state);
    return 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    const vg_request *r = dialect_take(*state, "/api/generate",
                                       "{\"model\": \"tiny:latest\", \"prompt\": \"Hi\"}");
    assert_int_equal(r->ask, VG_ASK_CHAT);
    assert_true(vg_str_is(r->model, "tiny"));
    assert_true(r->stream);
    assert_true(r->sampling.temp == 0.8f);
    assert_int_equal(r->sampling.top_k, 40);
    assert_true(r->sampling.top_p == 0.9f);
    assert_false(r->has_seed || r->has_max_tok || r->has_keep_alive || r->logprobs);
    assert_int_equal(r->messages->n, 1);
    assert_int_equal(r->n, 1);
}

static void options(void **state)
{
    const vg_request *r = dialect_take(
        *state, "/api/generate",
        "{\"model\": \"m\", \"prompt\": \"x\", \"stream\": false, \"options\": {\"num_ctx\": 2048,"
        "\"num_predict\": 7, \"seed\": 42, \"temperature\": 0, \"top_k\": 20.0, \"top_p\": 0,"
        "\"min_p\": 0.05, \"typical_p\": 0.7, \"repeat_last_n\": -1, \"repeat_penalty\": 1.2,"
        "\"presence_penalty\": 1.5, \"frequency_penalty\": -1, \"stop\": [\"\\n\", \"user:\"],"
        "\"mirostat\": 2, \"mirostat_tau\": 4, \"mirostat_eta\": 0.2, \"num_keep\": 5, \"numa\":"
        "false, \"num_batch\": 2, \"num_gpu\": 1, \"main_gpu\": 0, \"use_mmap\": true,"
        "\"num_thread\": 8, \"low_vram\": true, \"f16_kv\": true, \"use_mlock\": true,"
        "\"draft_num_predict\": 4, \"tfs_z\": 1.0, \"penalize_newline\": true,"
        "\"vocab_only\": false}}");
    const vg_sampling *s = &r->sampling;
    assert_int_equal(r->ctx_tok, 2048);
    assert_true(r->has_max_tok && r->max_tok == 7);
    assert_true(r->has_seed && s->seed == 42);
    assert_true(s->temp == 0 && s->top_k == 20 && s->min_p == 0.05f && s->typical_p == 0.7f);
    assert_true(s->top_p > 0 && s->top_p < 1e-6f); /* the best token alone, not all */
    assert_int_equal(s->penalty_last_n, UINT32_MAX);
    assert_true(s->repeat_penalty == 1.2f && s->presence_penalty == 1.5f);
    assert_true(s->frequency_penalty == -1 && s->mirostat_tau == 4 && s->mirostat_eta == 0.2f);
    assert_int_equal(r->n_stop, 2);
    assert_false(r->stream);

    r = dialect_take(*state, "/api/generate",
                     "{\"model\": \"m\", \"prompt\": \"x\", \"options\": {\"num_predict\": -1,"
                     "\"repeat_last_n\": 0, \"repeat_penalty\": 1.3, \"top_k\": -1,\"seed\": -1}}");
    assert_false(r->has_max_tok || r->has_seed);
    assert_true(r->sampling.repeat_penalty == 1 && r->sampling.top_k == 0);
}

static void keep_alive(void **state)
{
    static const struct {
        const char *text;
        int64_t s;
    } good[] = {{"\"5m\"", 300}, {"\"1h30m\"", 5400}, {"\"-1\"", -1}, {"-1", -1}, {"0", 0},
                {"\"0\"", 0}, {"300", 300}, {"0.5", 1}, {"\"1.5h\"", 5400}, {"\"-1s\"", -1},
                {"\"100ms\"", 1}, {"\"2\\u00b5s\"", 1}, {"1e300", -1}, {"\"24h\"", 86400}};
    static const char *const bad[] = {"\"\"", "\"m\"", "\"5 m\"", "\"5x\"", "\"1h30\"", "true",
                                      "[]", "\"--1\"", "\"1..5s\"", "\"\\u0000\""};
    char body[200];
    for (size_t i = 0; i < VG_COUNT(good); i++) {
        snprintf(body, sizeof body, "{\"model\": \"m\", \"keep_alive\": %s}", good[i].text);
        const vg_request *r = dialect_take(*state, "/api/generate", body);
        if (!r->has_keep_alive || r->keep_alive_s != good[i].s)
            fail_msg("%s is %lld", good[i].text, (long long)r->keep_alive_s);
        assert_int_equal(r->ask, VG_ASK_LOAD);
    }
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        snprintf(body, sizeof body, "{\"model\": \"m\", \"keep_alive\": %s}", bad[i]);
        dialect_refusal refusal = {"/api/generate", body, "keep_alive: ", VG_E_USAGE};
        dialect_refuse(*state, &refusal, 1);
    }
}

static void generate(void **state)
{
    const vg_request *r = dialect_take(
        *state, "/api/generate",
        "{\"model\": \"m\", \"prompt\": \"x\", \"system\": \"Be brief\", \"context\": [1, 2, 3],"
        "\"template\": \"{{ messages[0].content }}\", \"think\": \"low\", \"format\": \"json\","
        "\"logprobs\": true, \"top_logprobs\": 3, \"images\": [], \"truncate\": false}");
    assert_int_equal(r->messages->n, 2);
    assert_true(r->n_context == 3 && r->context[2] == 3);
    assert_true(r->tmpl.n > 0 && r->return_ids);
    assert_true(r->logprobs && r->n_top == 3);
    assert_int_equal(r->form, VG_FORM_JSON_OBJECT);
    assert_true(vg_str_is(vg_json_get(r->template_args, "reasoning_effort")->str, "low"));
    assert_true(vg_json_get(r->template_args, "enable_thinking")->boolean);

    r = dialect_take(*state, "/api/generate",
                     "{\"model\": \"m\", \"prompt\": \"<s>x\", \"raw\": true}");
    assert_int_equal(r->ask, VG_ASK_COMPLETE);
    assert_true(r->special && r->n_prompts == 1 && !r->return_ids);

    r = dialect_take(*state, "/api/generate",
                     "{\"model\": \"m\", \"prompt\": \"def f(\", \"suffix\": \"return\"}");
    assert_int_equal(r->ask, VG_ASK_INFILL);
    assert_true(vg_str_is(r->prefix, "def f(") && vg_str_is(r->suffix, "return"));

    r = dialect_take(*state, "/api/generate",
                     "{\"model\": \"m\", \"prompt\": \"x\", \"format\": {\"type\": \"object\"}}");
    assert_true(r->form == VG_FORM_SCHEMA && r->schema->kind == VG_JSON_OBJECT);

    r = dialect_take(*state, "/api/generate", "{\"model\": \"m\", \"prompt\": \"\"}");
    assert_true(r->ask == VG_ASK_LOAD && !r->stream);
}

static void messages(void **state)
{
    const vg_request *r = dialect_take(
        *state, "/api/chat",
        "{\"model\": \"m\", \"messages\": [{\"role\": \"User\", \"content\": \"2+2 and 3+3?\"},"
        "{\"role\": \"assistant\", \"content\": \"\", \"thinking\": \"add\", \"tool_calls\": ["
        "{\"function\": {\"name\": \"add\", \"arguments\": {\"a\": 2}}},"
        "{\"function\": {\"name\": \"sub\", \"arguments\": {}}},"
        "{\"id\": \"mine\", \"function\": {\"index\": 2, \"name\": \"add\"}}]},"
        "{\"role\": \"tool\", \"tool_name\": \"sub\", \"content\": \"0\"},"
        "{\"role\": \"tool\", \"content\": \"4\"},"
        "{\"role\": \"tool\", \"tool_call_id\": \"mine\", \"content\": \"6\", \"images\": null}],"
        "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"add\"}}]}");
    vg_buf b;
    vg_buf_init(&b, 10000);
    vg_json_put(&b, r->messages);
    assert_string_equal(
        b.data,
        "[{\"role\":\"user\",\"content\":\"2+2 and 3+3?\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"add\",\"tool_calls\":["
        "{\"id\":\"call00000\",\"type\":\"function\",\"function\":"
        "{\"name\":\"add\",\"arguments\":{\"a\":2}}},"
        "{\"id\":\"call00001\",\"type\":\"function\",\"function\":"
        "{\"name\":\"sub\",\"arguments\":{}}},"
        "{\"id\":\"mine\",\"type\":\"function\",\"function\":"
        "{\"name\":\"add\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"content\":\"0\",\"tool_call_id\":\"call00001\",\"name\":\"sub\"},"
        "{\"role\":\"tool\",\"content\":\"4\",\"tool_call_id\":\"call00000\",\"name\":\"add\"},"
        "{\"role\":\"tool\",\"content\":\"6\",\"tool_call_id\":\"mine\",\"name\":\"add\"}]");
    vg_buf_clear(&b);
    assert_non_null(r->tools);
    assert_false(r->continue_last);
    r = dialect_take(*state, "/api/chat",
                     "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"},"
                     "{\"role\": \"assistant\", \"content\": \"Hel\"}]}");
    assert_true(r->continue_last);
    r = dialect_take(*state, "/api/chat", "{\"model\": \"m\", \"messages\": []}");
    assert_int_equal(r->ask, VG_ASK_LOAD);
}

static void embed(void **state)
{
    const vg_request *r = dialect_take(
        *state, "/api/embed",
        "{\"model\": \"m\", \"input\": [\"a\", \"b\"], \"dimensions\": 8, \"truncate\": true}");
    assert_int_equal(r->ask, VG_ASK_EMBED);
    assert_true(r->n_prompts == 2 && r->n_dimensions == 8 && r->truncate && !r->stream);
    r = dialect_take(*state, "/api/embeddings", "{\"model\": \"m\", \"prompt\": \"a\"}");
    assert_true(r->ask == VG_ASK_EMBED && r->n_prompts == 1);
    r = dialect_take(*state, "/api/embed", "{\"model\": \"m\", \"input\": \"\"}");
    assert_int_equal(r->ask, VG_ASK_LOAD);
}

#define G "/api/generate"
#define C "/api/chat"
#define E "/api/embed"
#define MODEL "{\"model\": \"m\", "
#define X MODEL "\"prompt\": \"x\", "
#define OPT X "\"options\": {"
#define NO(field) field ": not supported: "
static void refused_fields(void **state)
{
    static const dialect_refusal refusals[] = {
        {G, "{\"prompt\": \"x\"}", "model: is required", VG_E_USAGE},
        {G, "{\"model\": 1}", "model: must be a text", VG_E_USAGE},
        {G, "[]", "the body must be a JSON object", VG_E_USAGE},
        {"/api/other", "{}", "/api/other: no such route", VG_E_NOT_FOUND},
        {G, X "\"images\": [\"aGk=\"]}", NO("images"), VG_E_UNSUPPORTED},
        {G, X "\"width\": 64}", NO("width"), VG_E_UNSUPPORTED},
        {G, X "\"height\": 64}", NO("height"), VG_E_UNSUPPORTED},
        {G, X "\"steps\": 6}", NO("steps"), VG_E_UNSUPPORTED},
        {G, X "\"truncate\": true}", NO("truncate"), VG_E_UNSUPPORTED},
        {G, X "\"shift\": true}", NO("shift"), VG_E_UNSUPPORTED},
        {G, X "\"_debug_render_only\": true}", NO("_debug_render_only"), VG_E_UNSUPPORTED},
        {G, X "\"temperature\": 1}", "temperature: no field of that name", VG_E_UNSUPPORTED},
        {G, X "\"messages\": []}", "messages: no field of that name", VG_E_UNSUPPORTED},
        {G, X "\"stream\": \"no\"}", "stream: must be a boolean", VG_E_USAGE},
        {G, X "\"top_logprobs\": 21}", "top_logprobs: must be within 0 and 20", VG_E_USAGE},
        {G, X "\"format\": \"xml\"}", "format: must be \"json\" or", VG_E_USAGE},
        {G, X "\"format\": 1}", "format: must be \"json\" or", VG_E_USAGE},
        {G, X "\"think\": \"much\"}", "think: must be true, false", VG_E_USAGE},
        {G, X "\"think\": 1}", "think: must be true, false", VG_E_USAGE},
        {G, X "\"raw\": true, \"system\": \"s\"}", "raw: not together with system", VG_E_USAGE},
        {G, X "\"suffix\": \"s\", \"template\": \"t\"}", "suffix: not together with", VG_E_USAGE},
        {G, X "\"template\": \"{{ .Prompt }}\"}", NO("template"), VG_E_UNSUPPORTED},
        {G, X "\"template\": \"{{- if .System }}\"}", NO("template"), VG_E_UNSUPPORTED},
        {G, X "\"context\": [1, -2]}", "context[1]: must be within 0", VG_E_USAGE},
        {G, X "\"context\": 7}", "context: must be an array", VG_E_USAGE},
        {E, MODEL "\"input\": 1}", "input: must be a text", VG_E_USAGE},
        {E, MODEL "\"input\": [1]}", "input[0]: must be a text", VG_E_USAGE},
        {E, MODEL "\"input\": {}}", "input: must be a text", VG_E_USAGE},
        {"/api/embeddings", MODEL "\"prompt\": [\"a\"]}", "prompt: must be a text", VG_E_USAGE},
        {E, MODEL "\"format\": \"json\"}", "format: no field", VG_E_UNSUPPORTED},
    };
    dialect_refuse(*state, refusals, VG_COUNT(refusals));
}

static void refused_options(void **state)
{
    static const dialect_refusal refusals[] = {
        {G, X "\"options\": []}", "options: must be an object", VG_E_USAGE},
        {G, OPT "\"tfs_z\": 0.5}}", "options.tfs_z: not supported", VG_E_UNSUPPORTED},
        {G, OPT "\"mirostat\": 1}}", "options.mirostat: not supported", VG_E_UNSUPPORTED},
        {G, OPT "\"mirostat\": 3}}", "options.mirostat: must be within", VG_E_USAGE},
        {G, OPT "\"penalize_newline\": false}}", "options.penalize_newline: not supported",
         VG_E_UNSUPPORTED},
        {G, OPT "\"vocab_only\": true}}", "options.vocab_only: not supported", VG_E_UNSUPPORTED},
        {G, OPT "\"logits_all\": true}}", "options.logits_all: not supported", VG_E_UNSUPPORTED},
        {G, OPT "\"embedding_only\": true}}", "options.embedding_only: not supported",
         VG_E_UNSUPPORTED},
        {G, OPT "\"xtc_probability\": 1}}", "options.xtc_probability: no field", VG_E_UNSUPPORTED},
        {G, OPT "\"temperature\": -1}}", "options.temperature: must be within", VG_E_USAGE},
        {G, OPT "\"top_p\": 1.5}}", "options.top_p: must be within 0 and 1", VG_E_USAGE},
        {G, OPT "\"stop\": 1}}", "options.stop: must be a text or", VG_E_USAGE},
        {G, OPT "\"num_ctx\": -1}}", "options.num_ctx: must be within 0", VG_E_USAGE},
    };
    dialect_refuse(*state, refusals, VG_COUNT(refusals));
}

static void refused_messages(void **state)
{
    static const dialect_refusal refusals[] = {
        {C, MODEL "\"messages\": {}}", "messages: must be an array", VG_E_USAGE},
        {C, MODEL "\"messages\": [1]}", "messages[0]: must be an object", VG_E_USAGE},
        {C, MODEL "\"messages\": [{\"content\": \"x\"}]}", "messages[0].role: must be", VG_E_USAGE},
        {C, MODEL "\"messages\": [{\"role\": \"root\"}]}", "messages[0].role: must be",
         VG_E_USAGE},
        {C, MODEL "\"messages\": [{\"role\": \"user\", \"content\": []}]}",
         "messages[0].content: must be a text", VG_E_USAGE},
        {C, MODEL "\"messages\": [{\"role\": \"user\", \"images\": [\"a\"]}]}",
         "messages[0].images: not supported", VG_E_UNSUPPORTED},
        {C, MODEL "\"messages\": [{\"role\": \"user\", \"audio\": 1}]}",
         "messages[0].audio: no field", VG_E_UNSUPPORTED},
        {C, MODEL "\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{}]}]}",
         "messages.tool_calls: a call without", VG_E_USAGE},
        {C,
         MODEL "\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"function\": "
               "{\"name\": \"f\", \"arguments\": \"{}\"}}]}]}",
         "messages.tool_calls.function.arguments: must be an object", VG_E_USAGE},
        {C, MODEL "\"tools\": {}}", "tools: must be an array", VG_E_USAGE},
        {C, MODEL "\"tools\": [{\"type\": \"function\"}]}", "tools[0].function.name", VG_E_USAGE},
        {C, MODEL "\"tools\": [{\"type\": \"browser\"}]}", "tools[0].type: not supported",
         VG_E_UNSUPPORTED},
        {C, MODEL "\"prompt\": \"x\"}", "prompt: no field of that name", VG_E_UNSUPPORTED},
    };
    dialect_refuse(*state, refusals, VG_COUNT(refusals));
}

static void hostile(void **state)
{
    static const char *const option[] = {
        "num_ctx", "num_predict", "seed", "temperature", "top_k", "top_p", "min_p", "typical_p",
        "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "mirostat",
        "mirostat_tau", "mirostat_eta", "stop", "tfs_z", "penalize_newline", "num_thread",
        "vocab_only"};
    static const char *const chat[] = {"messages", "tools", "format", "think", "keep_alive",
                                       "logprobs", "top_logprobs", "stream", "options", "model"};
    static const char *const gen[] = {"context", "raw", "suffix", "system", "template", "images"};
    static const char *const emb[] = {"input", "dimensions", "truncate"};
    dialect_hostile(*state, G, OPT "%s}}", option, VG_COUNT(option));
    dialect_hostile(*state, C, MODEL "%s}", chat, VG_COUNT(chat));
    dialect_hostile(*state, G, X "%s}", gen, VG_COUNT(gen));
    dialect_hostile(*state, E, MODEL "%s}", emb, VG_COUNT(emb));
}

/* ---- answers --------------------------------------------------------------------------------- */

#define HEAD "{\"model\": \"m:latest\", \"created_at\": \"2023-11-14T22:13:20.000000005Z\", "
#define COUNTS                                                                                     \
    "\"total_duration\": 12500000, \"load_duration\": 1000000, \"prompt_eval_count\": 9, "         \
    "\"prompt_eval_duration\": 2250000, \"eval_count\": 3, \"eval_duration\": 4000000"
static vg_choice *chat_answer(dialect_case *c, const char *body)
{
    dialect_take(c, "/api/chat", body);
    vg_choice *choice = dialect_answer(c);
    choice->n_prompt = 9;
    choice->n_tok = 3;
    choice->prompt_ms = 2.25;
    choice->generate_ms = 4;
    return choice;
}
#define ASKED "{\"model\": \"m:latest\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]"

static void whole_chat(void **state)
{
    dialect_case *c = *state;
    vg_choice *choice = chat_answer(c, ASKED "}");
    vg_buf_text(&choice->text, "He said \"hi\"\n");
    vg_buf_text(&choice->reasoning, "greet");
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        HEAD "\"message\": {\"role\": \"assistant\", \"content\": "
                             "\"He said \\\"hi\\\"\\n\", \"thinking\": \"greet\"}, "
                             "\"done\": true, \"done_reason\": \"stop\", " COUNTS "}");

    choice = chat_answer(c, ASKED "}");
    choice->finish = VG_FINISH_TOOLS;
    dialect_call(choice, "call_1", "now", "{\"zone\": \"UTC\"}");
    dialect_call(choice, "call_2", "say", "{\"text\": \"a"); /* cut off: no call, but no loss */
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        HEAD "\"message\": {\"role\": \"assistant\", \"content\": "
                             "\"say {\\\"text\\\": \\\"a\", \"tool_calls\": [{\"id\": \"call_1\", "
                             "\"function\": {\"index\": 0, \"name\": \"now\", \"arguments\": "
                             "{\"zone\": \"UTC\"}}}]}, "
                             "\"done\": true, \"done_reason\": \"stop\", " COUNTS "}");
}

static void stream_chat(void **state)
{
    dialect_case *c = *state;
    vg_choice *choice = chat_answer(c, ASKED ", \"logprobs\": true, \"top_logprobs\": 1}");
    vg_told_top top = {7, -0.25f, VG_STR("Hi")};
    vg_told_token token = {7, -0.25f, VG_STR("Hi"), 1, &top};
    dialect_call(choice, "call_1", "now", "{}");
    choice->finish = VG_FINISH_LENGTH;
    const vg_delta deltas[] = {
        {VG_NEWS_REASONING, .text = VG_STR("hm")},
        {VG_NEWS_TEXT, .text = VG_STR("Hi"), .token = &token, .n_tokens = 1},
        {VG_NEWS_CALL_BEGIN, .call = 0},
        {VG_NEWS_CALL_ARGS, .call = 0, .text = VG_STR("{}")},
        {VG_NEWS_CALL_END, .call = 0},
        {.news = VG_NEWS_FINISH},
    };
    vg_ollama.begin(&c->reply, &c->out);
    for (size_t i = 0; i < VG_COUNT(deltas); i++) vg_ollama.delta(&c->reply, &deltas[i], &c->out);
    vg_ollama.end(&c->reply, &c->out);
#define SAYS HEAD "\"message\": {\"role\": \"assistant\", \"content\": "
    assert_string_equal(
        dialect_wrote(c),
        SAYS "\"\", \"thinking\": \"hm\"}, \"done\": false}\n" SAYS
             "\"Hi\"}, \"done\": false, \"logprobs\": [{\"token\": \"Hi\", \"logprob\": -0.25, "
             "\"bytes\": [72, 105], \"top_logprobs\": [{\"token\": \"Hi\", \"logprob\": -0.25, "
             "\"bytes\": [72, 105]}]}]}\n" SAYS
             "\"\", \"tool_calls\": [{\"id\": \"call_1\", \"function\": {\"index\": 0, "
             "\"name\": \"now\", \"arguments\": {}}}]}, \"done\": false}\n" SAYS
             "\"\"}, \"done\": true, \"done_reason\": \"length\", " COUNTS "}\n");
    (vg_ollama.fail)(&c->reply, &(vg_err){VG_E_NUMERIC, "it broke"}, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"error\": \"it broke\"}\n");
}

static void whole_generate(void **state)
{
    dialect_case *c = *state;
    dialect_take(c, "/api/generate", "{\"model\": \"m:latest\", \"prompt\": \"x\"}");
    vg_choice *choice = dialect_answer(c);
    int32_t prompt_id[] = {1, 2};
    vg_told_token token[] = {{.id = 3}, {.id = 4}};
    choice->prompt_id = prompt_id;
    choice->n_prompt = 2;
    choice->token = token;
    choice->n_tokens_told = choice->n_tok = 2;
    choice->prompt_ms = choice->generate_ms = 0;
    vg_buf_text(&choice->text, "ab");
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        HEAD "\"response\": \"ab\", \"done\": true, \"done_reason\": \"stop\", "
                             "\"context\": [1, 2, 3, 4], \"total_duration\": 12500000, "
                             "\"load_duration\": 1000000, \"prompt_eval_count\": 2, "
                             "\"prompt_eval_duration\": 0, \"eval_count\": 2, "
                             "\"eval_duration\": 0}");
}

static void loads(void **state)
{
    dialect_case *c = *state;
    dialect_take(c, "/api/generate", "{\"model\": \"m:latest\"}");
    dialect_answer(c);
    c->reply.n_choices = 0;
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        HEAD "\"response\": \"\", \"done\": true, \"done_reason\": \"load\"}");
    dialect_take(c, "/api/chat", "{\"model\": \"m:latest\", \"keep_alive\": 0}");
    dialect_answer(c);
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        HEAD "\"message\": {\"role\": \"assistant\", \"content\": \"\"}, "
                             "\"done\": true, \"done_reason\": \"unload\"}");
}

static void vectors(void **state)
{
    static const float v[] = {0.5f, -0.25f, 0, 1};
    dialect_case *c = *state;
    dialect_take(c, "/api/embed", "{\"model\": \"m\", \"input\": [\"a\", \"b\"]}");
    dialect_answer(c);
    c->choice[0].n_prompt = 3;
    c->choice[1].n_prompt = 4;
    c->reply.n_choices = 2;
    c->reply.vector = v;
    c->reply.width = 2;
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c),
                        "{\"model\": \"m\", \"embeddings\": [[0.5, -0.25], [0, 1]], "
                        "\"total_duration\": 12500000, \"load_duration\": 1000000, "
                        "\"prompt_eval_count\": 7}");
    dialect_take(c, "/api/embeddings", "{\"model\": \"m\", \"prompt\": \"a\"}");
    dialect_answer(c);
    c->reply.vector = v;
    c->reply.width = 2;
    vg_ollama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"embedding\": [0.5, -0.25]}");
    dialect_take(c, "/api/embed", "{\"model\": \"m\", \"input\": []}");
    dialect_answer(c);
    c->reply.n_choices = 0;
    vg_ollama.whole(&c->reply, &c->out);
    assert_non_null(strstr(dialect_wrote(c), "\"embeddings\": [], "));
}

/* ---- models ---------------------------------------------------------------------------------- */

static void models(void **state)
{
    dialect_case *c = *state;
    const vg_ollama_model m = {.name = VG_STR("tiny"), .modified_s = 1700000000,
                               .file_bytes = 1000, .memory_bytes = 2000, .family = "llama",
                               .weights = "Q4_0", .n_params = 134515008, .ctx_tok = 2048,
                               .width = 576, .chats = true, .calls_tools = true,
                               .tmpl = VG_STR("{{ x }}")};
#define DETAILS                                                                                    \
    "\"details\": {\"parent_model\": \"\", \"format\": \"gguf\", \"family\": \"llama\", "          \
    "\"families\": [\"llama\"], \"parameter_size\": \"134.5M\", \"quantization_level\": "          \
    "\"Q4_0\", \"context_length\": 2048, \"embedding_length\": 576}"
    vg_ollama_tags(&m, 1, &c->out);
    const char *text = dialect_wrote(c);
    assert_non_null(strstr(text, "{\"models\": [{\"name\": \"tiny\", \"model\": \"tiny\", "
                                 "\"modified_at\": \"2023-11-14T22:13:20.000000000Z\", "
                                 "\"size\": 1000, \"digest\": \""));
    assert_non_null(strstr(text, DETAILS ", \"capabilities\": [\"completion\", \"tools\"]}]}"));
    vg_ollama_ps(&m, 1, &c->out);
    text = dialect_wrote(c);
    assert_non_null(strstr(text, "\"size\": 2000"));
    assert_non_null(strstr(text, "\"expires_at\": \"231"));
    assert_non_null(strstr(text, "\"size_vram\": 0, \"context_length\": 2048}]}"));
    vg_ollama_show(&m, &c->out);
    text = dialect_wrote(c);
    assert_non_null(strstr(text, "\"template\": \"{{ x }}\", " DETAILS));
    assert_non_null(strstr(text, "\"model_info\": {\"general.architecture\": \"llama\", "
                                 "\"general.parameter_count\": 134515008, "
                                 "\"llama.context_length\": 2048"));
    vg_ollama_tags(NULL, 0, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"models\": []}");
    vg_ollama_version(&c->out);
    assert_non_null(strstr(dialect_wrote(c), "{\"version\": \""));
}

static vg_status read_names(dialect_case *c, const char *route, const char *body,
                            vg_ollama_names *names)
{
    vg_json *j = NULL;
    if (vg_json_parse(c->arena, body, strlen(body), &j, &c->err)) fail_msg("%s", c->err.msg);
    return vg_ollama_read_names(route, j, names, &c->err);
}

static void names(void **state)
{
    dialect_case *c = *state;
    vg_ollama_names n = {0};
    assert_int_equal(read_names(c, "/api/show", "{\"model\": \"a:latest\", \"verbose\": true}", &n),
                     VG_OK);
    assert_true(vg_str_is(n.model, "a"));
    assert_int_equal(read_names(c, "/api/delete", "{\"name\": \"b:7b\"}", &n), VG_OK);
    assert_true(vg_str_is(n.model, "b:7b"));
    assert_int_equal(read_names(c, "/api/pull", "{\"name\": \"b\", \"stream\": false}", &n),
                     VG_OK);
    assert_false(n.stream);
    assert_int_equal(
        read_names(c, "/api/copy", "{\"source\": \"a\", \"destination\": \"b:latest\"}", &n),
        VG_OK);
    assert_true(vg_str_is(n.destination, "b"));
    assert_int_equal(read_names(c, "/api/copy", "{\"source\": \"a\"}", &n), VG_E_USAGE);
    assert_int_equal(read_names(c, "/api/delete", "{}", &n), VG_E_USAGE);
    assert_int_equal(read_names(c, "/api/create", "{\"model\": \"a\"}", &n), VG_E_UNSUPPORTED);
    assert_int_equal(read_names(c, "/api/push", "{\"model\": \"a\"}", &n), VG_E_UNSUPPORTED);
    assert_int_equal(vg_ollama_cannot_pull(VG_STR("x"), &c->err), VG_E_NOT_FOUND);
    vg_ollama_pulled(true, &c->out);
    assert_string_equal(dialect_wrote(c),
                        "{\"status\": \"pulling manifest\"}\n{\"status\": \"success\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
        T(defaults), T(options), T(keep_alive), T(generate), T(messages), T(embed),
        T(refused_fields), T(refused_options), T(refused_messages),
        T(hostile), T(whole_chat), T(stream_chat), T(whole_generate), T(loads), T(vectors),
        T(models), T(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
