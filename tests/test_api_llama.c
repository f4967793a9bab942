/* Tests of llama-server's dialect: every field of its schema, taken or refused by name, prompts in
 * every mixture, and the answers in its words. */
#include <math.h>

#include "dialect.h"
#include "serve/llama.h"

static int begin(void **state)
{
    *state = malloc(sizeof(dialect_case));
    dialect_begin(*state, &vg_llama);
    return 0;
}

static int end(void **state)
{
    dialect_end(*state);
    free(*state);
    return 0;
}

#define C "/completion"
#define P "{\"prompt\": \"x\", "

/* ---- requests -------------------------------------------------------------------------------- */

static void defaults(void **state)
{
    const vg_request *r = dialect_take(*state, "/completions", "{\"prompt\": [1, \"a\"]}");
    const vg_sampling *s = &r->sampling;
    assert_int_equal(r->ask, VG_ASK_COMPLETE);
    assert_true(r->special && !r->stream && !r->has_seed && !r->has_max_tok && r->n == 1);
    assert_true(s->temp == 0.8f && s->top_k == 40 && s->top_p == 0.95f && s->min_p == 0.05f);
    assert_true(s->penalty_last_n == 64 && s->repeat_penalty == 1 && s->dry_multiplier == 0);
    assert_true(s->mirostat_tau == 0 && r->form == VG_FORM_FREE && !r->logprobs);
    assert_int_equal(r->prompt[0].n, 2);
}

static void fields(void **state)
{
    const vg_request *r = dialect_take(
        *state, C,
        P "\"model\": \"m\", \"stream\": true, \"n_predict\": 5, \"n_cmpl\": 2, \"stop\": [\"a\"],"
          "\"seed\": 7, \"ignore_eos\": true, \"t_max_predict_ms\": 100, \"n_probs\": 3,"
          "\"grammar\": \"root ::= \\\"a\\\"\", \"temperature\": 0, \"top_k\": 0, \"top_p\": 0,"
          "\"min_p\": 0.5, \"typical_p\": 0.5, \"repeat_last_n\": -1, \"repeat_penalty\": 1.5,"
          "\"presence_penalty\": 0.5, \"frequency_penalty\": 0.25, \"dry_multiplier\": 0.8,"
          "\"dry_base\": 2, \"dry_allowed_length\": 4, \"dry_penalty_last_n\": 99,"
          "\"mirostat\": 2, \"mirostat_tau\": 3, \"mirostat_eta\": 0.5, \"cache_prompt\": false,"
          "\"n_keep\": 4, \"n_discard\": 1, \"id_slot\": -1, \"top_n_sigma\": -1, \"lora\": [],"
          "\"xtc_probability\": 0, \"xtc_threshold\": 0.3, \"dynatemp_range\": 0.0,"
          "\"dynatemp_exponent\": 2, \"min_keep\": 0, \"post_sampling_probs\": false,"
          "\"adaptive_target\": -1, \"return_progress\": false}");
    const vg_sampling *s = &r->sampling;
    assert_true(vg_str_is(r->model, "m") && r->stream && r->return_ids && r->ignore_end);
    assert_true(r->has_max_tok && r->max_tok == 5 && r->n == 2 && r->n_stop == 1);
    assert_true(r->has_seed && s->seed == 7 && r->max_ms == 100);
    assert_true(r->logprobs && r->n_top == 3 && r->form == VG_FORM_GBNF);
    assert_true(s->temp == 0 && s->top_k == 0 && s->top_p > 0 && s->top_p < 1e-6f);
    assert_true(s->min_p == 0.5f && s->typical_p == 0.5f && s->penalty_last_n == UINT32_MAX);
    assert_true(s->repeat_penalty == 1.5f && s->presence_penalty == 0.5f);
    assert_true(s->frequency_penalty == 0.25f && s->dry_multiplier == 0.8f && s->dry_base == 2);
    assert_true(s->dry_allowed == 4 && s->dry_last_n == 99 && r->n_dry_breakers == 4);
    assert_true(s->mirostat_tau == 3 && s->mirostat_eta == 0.5f);
    r = dialect_take(*state, C,
                     P "\"seed\": 4294967295, \"max_tokens\": 9, \"repeat_last_n\": 0,"
                       "\"repeat_penalty\": 2, \"dry_multiplier\": 1, \"dry_penalty_last_n\": 0}");
    assert_true(!r->has_seed && r->max_tok == 9 && r->sampling.repeat_penalty == 1);
    assert_true(r->sampling.dry_multiplier == 0);
    r = dialect_take(*state, C, P "\"n_predict\": 0}");
    assert_true(r->has_max_tok && r->max_tok == 0);
}

static void forms(void **state)
{
    const vg_request *r = dialect_take(*state, C, P "\"json_schema\": {}}");
    assert_int_equal(r->form, VG_FORM_JSON_OBJECT);
    r = dialect_take(*state, C, P "\"json_schema\": {\"type\": \"array\"}}");
    assert_true(r->form == VG_FORM_SCHEMA && r->schema->n == 1);
    r = dialect_take(*state, C, P "\"grammar\": \"\"}");
    assert_int_equal(r->form, VG_FORM_FREE);
}

static void samplers(void **state)
{
    const vg_request *r = dialect_take(
        *state, C, P "\"samplers\": [\"top_k\", \"temperature\"], \"repeat_penalty\": 2}");
    assert_true(r->sampling.top_k == 40 && r->sampling.top_p == 1 && r->sampling.min_p == 0);
    assert_true(r->sampling.temp == 0.8f && r->sampling.repeat_penalty == 1);
    r = dialect_take(*state, C, P "\"samplers\": \"edskypmxt\", \"repeat_penalty\": 2}");
    assert_true(r->sampling.top_p == 0.95f && r->sampling.repeat_penalty == 2);
    r = dialect_take(*state, C, P "\"samplers\": []}");
    assert_true(r->sampling.temp == 1 && r->sampling.top_k == 0);
}

static void biases(void **state)
{
    const vg_request *r = dialect_take(
        *state, C, P "\"logit_bias\": [[15043, 1.5], [\"Hi\", -0.5], [7, false]]}");
    assert_int_equal(r->n_bias, 3);
    assert_true(r->bias[0].id == 15043 && r->bias[0].add == 1.5f);
    assert_true(r->bias[1].id == -1 && vg_str_is(r->bias[1].text, "Hi"));
    assert_true(r->bias[2].id == 7 && isinf(r->bias[2].add) && r->bias[2].add < 0);
    r = dialect_take(*state, C, P "\"logit_bias\": {\"12\": 2, \"12a\": false, \"-1\": 1}}");
    assert_true(r->n_bias == 3 && r->bias[0].id == 12 && r->bias[0].add == 2);
    assert_true(r->bias[1].id == -1 && vg_str_is(r->bias[1].text, "12a"));
    assert_true(vg_str_is(r->bias[2].text, "-1"));
    assert_int_equal(dialect_take(*state, C, P "\"logit_bias\": []}")->n_bias, 0);
}

static void infill(void **state)
{
    const vg_request *r = dialect_take(
        *state, "/infill",
        "{\"input_prefix\": \"a\", \"input_suffix\": \"b\", \"prompt\": \"c\", \"n_predict\": 3,"
        "\"input_extra\": [{\"filename\": \"f.c\", \"text\": \"int\"}, {\"text\": \"\"}]}");
    assert_true(r->ask == VG_ASK_INFILL && r->max_tok == 3 && r->n_files == 2);
    assert_true(vg_str_is(r->prefix, "a") && vg_str_is(r->suffix, "b"));
    assert_true(vg_str_is(r->file[0].name, "f.c") && vg_str_is(r->file[0].text, "int"));
    assert_true(r->n_prompts == 1 && vg_str_is(r->prompt[0].piece[0].text, "c"));
}

static void embedding(void **state)
{
    const vg_request *r = dialect_take(*state, "/embedding", "{\"content\": [\"a\", \"b\"]}");
    assert_true(r->ask == VG_ASK_EMBED && r->n_prompts == 2);
    r = dialect_take(*state, "/embeddings", "{\"input\": \"a\", \"encoding_format\": \"float\"}");
    assert_int_equal(r->n_prompts, 1);
}

#define NO(field) field ": not supported: "
static void refused_fields(void **state)
{
    static const dialect_refusal refusals[] = {
        {C, P "\"dynatemp_range\": 0.5}", NO("dynatemp_range"), VG_E_UNSUPPORTED},
        {C, P "\"xtc_probability\": 0.5}", NO("xtc_probability"), VG_E_UNSUPPORTED},
        {C, P "\"top_n_sigma\": 1}", NO("top_n_sigma"), VG_E_UNSUPPORTED},
        {C, P "\"adaptive_target\": 0.5}", NO("adaptive_target"), VG_E_UNSUPPORTED},
        {C, P "\"min_keep\": 2}", NO("min_keep"), VG_E_UNSUPPORTED},
        {C, P "\"post_sampling_probs\": true}", NO("post_sampling_probs"), VG_E_UNSUPPORTED},
        {C, P "\"id_slot\": 0}", NO("id_slot"), VG_E_UNSUPPORTED},
        {C, P "\"n_indent\": 4}", NO("n_indent"), VG_E_UNSUPPORTED},
        {C, P "\"return_progress\": true}", NO("return_progress"), VG_E_UNSUPPORTED},
        {C, P "\"verbose\": true}", NO("verbose"), VG_E_UNSUPPORTED},
        {C, P "\"lora\": [{\"id\": 0}]}", NO("lora"), VG_E_UNSUPPORTED},
        {C, P "\"image_data\": [{}]}", NO("image_data"), VG_E_UNSUPPORTED},
        {C, P "\"grammar_lazy\": true}", NO("grammar_lazy"), VG_E_UNSUPPORTED},
        {C, P "\"grammar_triggers\": [1]}", NO("grammar_triggers"), VG_E_UNSUPPORTED},
        {C, P "\"preserved_tokens\": [\"a\"]}", NO("preserved_tokens"), VG_E_UNSUPPORTED},
        {C, P "\"messages\": [1]}", NO("messages"), VG_E_UNSUPPORTED},
        {C, P "\"tools\": [1]}", NO("tools"), VG_E_UNSUPPORTED},
        {C, P "\"chat_template_kwargs\": {\"a\": 1}}", NO("chat_template_kwargs"),
         VG_E_UNSUPPORTED},
        {C, P "\"continue_final_message\": true}", NO("continue_final_message"), VG_E_UNSUPPORTED},
        {C, P "\"reasoning_budget_tokens\": 5}", NO("reasoning_budget_tokens"), VG_E_UNSUPPORTED},
        {C, P "\"echo\": true}", NO("echo"), VG_E_UNSUPPORTED},
        {C, P "\"mirostat\": 1}", NO("mirostat"), VG_E_UNSUPPORTED},
        {C, P "\"samplers\": [\"temperature\", \"top_k\"]}", NO("samplers"), VG_E_UNSUPPORTED},
        {C, P "\"samplers\": [\"top_k\", \"top_k\"]}", NO("samplers"), VG_E_UNSUPPORTED},
        {C, P "\"samplers\": [\"infill\"]}", NO("samplers"), VG_E_UNSUPPORTED},
        {C, P "\"samplers\": \"kz\"}", NO("samplers"), VG_E_UNSUPPORTED},
        {C, P "\"temprature\": 1}", "temprature: no field of that name", VG_E_UNSUPPORTED},
        {"/embedding", "{\"content\": \"a\", \"embd_normalize\": -1}", NO("embd_normalize"),
         VG_E_UNSUPPORTED},
        {"/embedding", "{\"content\": \"a\", \"encoding_format\": \"base64\"}",
         NO("encoding_format"), VG_E_UNSUPPORTED},
    };
    dialect_refuse(*state, refusals, VG_COUNT(refusals));
}

static void wrong_fields(void **state)
{
    static const dialect_refusal refusals[] = {
        {C, "{}", "prompt: is required", VG_E_USAGE},
        {C, "{\"prompt\": null}", "prompt: is required", VG_E_USAGE},
        {C, "{\"prompt\": {\"prompt_string\": \"a\"}}", "prompt: must be a text", VG_E_USAGE},
        {C, "7", "the body must be", VG_E_USAGE},
        {"/infill", "7", "the body must be", VG_E_USAGE},
        {"/other", "{}", "/other: no such route", VG_E_NOT_FOUND},
        {C, P "\"temperature\": -1}", "temperature: must be within", VG_E_USAGE},
        {C, P "\"n_probs\": 21}", "n_probs: must be within 0 and 20", VG_E_USAGE},
        {C, P "\"samplers\": 1}", "samplers: must be", VG_E_USAGE},
        {C, P "\"logit_bias\": 1}", "logit_bias: must be an array", VG_E_USAGE},
        {C, P "\"logit_bias\": [[1]]}", "logit_bias: must be pairs", VG_E_USAGE},
        {C, P "\"logit_bias\": [[-1, 1]]}", "logit_bias: a token: must be", VG_E_USAGE},
        {C, P "\"logit_bias\": [[1, true]]}", "logit_bias: a bias: must be", VG_E_USAGE},
        {C, P "\"logit_bias\": [[1, 1e300]]}", "logit_bias: a bias: must be", VG_E_USAGE},
        {C, P "\"logit_bias\": {\"\": 1}}", "logit_bias: an empty text", VG_E_USAGE},
        {C, P "\"grammar\": \"a\", \"json_schema\": {}}", "grammar: not together", VG_E_USAGE},
        {C, P "\"json_schema\": \"object\"}", "json_schema: must be a JSON schema", VG_E_USAGE},
        {C, P "\"response_fields\": \"content\"}", "response_fields: must be", VG_E_USAGE},
        {C, P "\"dry_sequence_breakers\": []}", "dry_sequence_breakers: 0 texts", VG_E_USAGE},
        {C, P "\"dry_sequence_breakers\": [1]}", "dry_sequence_breakers: must be a text",
         VG_E_USAGE},
        {C, P "\"n_cmpl\": 65}", "n_cmpl: must be within 1 and 64", VG_E_USAGE},
        {C, "{\"prompt\": [\"a\", \"b\", \"c\"], \"n\": 40}", "prompt: 3 prompts with 40",
         VG_E_USAGE},
        {"/infill", "{\"input_suffix\": \"b\"}", "input_prefix: is required", VG_E_USAGE},
        {"/infill", "{\"input_prefix\": \"b\"}", "input_suffix: is required", VG_E_USAGE},
        {"/infill", "{\"input_prefix\": \"\", \"input_suffix\": \"\", \"input_extra\": [{}]}",
         "input_extra.text: is required", VG_E_USAGE},
        {"/infill", "{\"input_prefix\": \"\", \"input_suffix\": \"\", \"prompt\": [1]}",
         "prompt: must be a text", VG_E_USAGE},
        {"/embedding", "{}", "content: is required", VG_E_USAGE},
    };
    dialect_refuse(*state, refusals, VG_COUNT(refusals));
}

static void hostile(void **state)
{
    static const char *const field[] = {
        "n_predict", "max_tokens", "n_cmpl", "seed", "n_probs", "temperature", "top_k", "top_p",
        "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty",
        "frequency_penalty", "dry_multiplier", "dry_base", "dry_allowed_length",
        "dry_penalty_last_n", "dry_sequence_breakers", "mirostat", "mirostat_tau", "mirostat_eta",
        "t_max_predict_ms", "id_slot", "min_keep", "top_n_sigma", "logit_bias", "samplers", "stop",
        "stream", "json_schema", "grammar", "response_fields", "lora", "n_keep", "ignore_eos"};
    static const char *const prompt[] = {"prompt"};
    dialect_hostile(*state, C, P "%s}", field, VG_COUNT(field));
    dialect_hostile(*state, C, "{%s}", prompt, 1);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The answer's text, one JSON value, with what the dialect wrote before it cut off. */
static const vg_json *wrote_json(dialect_case *c, const char *before)
{
    vg_json *j = NULL;
    const char *text = dialect_wrote(c);
    assert_true(!strncmp(text, before, strlen(before)));
    text += strlen(before);
    if (vg_json_parse(c->arena, text, strlen(text), &j, &c->err))
        fail_msg("%s: %s", text, c->err.msg);
    return j;
}

static void is_text(const vg_json *j, const char *key, const char *value)
{
    const vg_json *v = vg_json_get(j, key);
    if (!v || v->kind != VG_JSON_STRING || !vg_str_is(v->str, value)) fail_msg("%s", key);
}

static void is_number(const vg_json *j, const char *key, double value)
{
    const vg_json *v = vg_json_get(j, key);
    if (!v || v->number != value) fail_msg("%s is %g", key, v ? v->number : -1);
}

static void whole(void **state)
{
    dialect_case *c = *state;
    vg_told_top top[2] = {{5, -0.5f, VG_STR("a")}, {6, -INFINITY, VG_STR("\xc3")}};
    vg_told_token token = {5, -0.5f, VG_STR("a"), 2, top};
    dialect_take(c, C,
                 P "\"n_probs\": 2, \"return_tokens\": true, \"seed\": 3, \"stop\": [\"b\"],"
                   "\"logit_bias\": [[\"z\", false]], \"dry_multiplier\": 0.5}");
    vg_choice *choice = dialect_answer(c);
    vg_buf_text(&choice->text, "a\n");
    choice->finish = VG_FINISH_STOP;
    choice->stop_text = VG_STR("b");
    choice->n_prompt = 10;
    choice->n_reused = 6;
    choice->n_tok = 2;
    choice->prompt_ms = 8;
    choice->generate_ms = 4;
    choice->token = &token;
    choice->n_tokens_told = 1;
    vg_llama.whole(&c->reply, &c->out);
    const vg_json *j = wrote_json(c, "");
    is_text(j, "content", "a\n");
    is_text(j, "stop_type", "word");
    is_text(j, "stopping_word", "b");
    is_text(j, "prompt", "x");
    is_text(j, "model", "tiny");
    is_number(j, "tokens_predicted", 2);
    is_number(j, "tokens_evaluated", 10);
    is_number(j, "tokens_cached", 6);
    assert_true(vg_json_get(j, "has_new_line")->boolean && vg_json_get(j, "stop")->boolean);
    assert_false(vg_json_get(j, "truncated")->boolean);
    assert_int_equal(vg_json_get(j, "tokens")->item[0]->integer, 5);
    const vg_json *t = vg_json_get(j, "timings"), *g = vg_json_get(j, "generation_settings");
    is_number(t, "cache_n", 6);
    is_number(t, "prompt_n", 4);
    is_number(t, "prompt_per_token_ms", 2);
    is_number(t, "prompt_per_second", 500);
    is_number(t, "predicted_per_second", 500);
    is_number(g, "seed", 3);
    is_number(g, "top_p", 0.95);
    is_number(g, "n_predict", -1);
    assert_int_equal(vg_json_get(g, "dry_sequence_breakers")->n, 4);
    const vg_json *p = vg_json_get(j, "completion_probabilities")->item[0];
    is_number(p, "logprob", -0.5);
    assert_int_equal(vg_json_get(p, "top_logprobs")->n, 2);
    is_number(vg_json_get(p, "top_logprobs")->item[1], "logprob", -3.4028234663852886e38);
    is_number(vg_json_get(p, "top_logprobs")->item[1], "id", 6);
}

static void several(void **state)
{
    dialect_case *c = *state;
    dialect_take(c, C, "{\"prompt\": [\"x\", [1, 2, \"y\"]]}");
    dialect_answer(c);
    c->choice[1].prompt = 1;
    c->choice[1].finish = VG_FINISH_LENGTH;
    c->reply.n_choices = 2;
    vg_llama.whole(&c->reply, &c->out);
    const vg_json *j = wrote_json(c, "");
    assert_int_equal(j->n, 2);
    is_text(j->item[1], "stop_type", "limit");
    is_number(j->item[1], "index", 1);
    assert_int_equal(vg_json_get(j->item[1], "prompt")->n, 3);
}

static void chosen_fields(void **state)
{
    dialect_case *c = *state;
    dialect_take(c, C,
                 P "\"response_fields\": [\"content\", \"generation_settings/n_predict\", "
                   "\"timings/none\", \"none\"]}");
    vg_buf_text(&dialect_answer(c)->text, "a");
    vg_llama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"content\": \"a\", \"n_predict\": -1}");
}

static void stream(void **state)
{
    dialect_case *c = *state;
    vg_told_token token = {5, -0.5f, VG_STR("a"), 0, NULL};
    dialect_take(c, C, P "\"stream\": true, \"n_probs\": 1, \"timings_per_token\": true}");
    vg_choice *choice = dialect_answer(c);
    choice->n_prompt = 3;
    choice->n_tok = 1;
    vg_buf_text(&choice->text, "a");
    vg_llama.begin(&c->reply, &c->out);
    vg_delta d = {.news = VG_NEWS_TEXT, .text = VG_STR("a"), .token = &token, .n_tokens = 1};
    vg_llama.delta(&c->reply, &d, &c->out);
    const vg_json *j = wrote_json(c, "data: ");
    is_text(j, "content", "a");
    is_number(j, "tokens_predicted", 1);
    assert_false(vg_json_get(j, "stop")->boolean);
    assert_int_equal(vg_json_get(j, "tokens")->item[0]->integer, 5);
    assert_int_equal(vg_json_get(j, "completion_probabilities")->n, 1);
    assert_non_null(vg_json_get(j, "timings"));
    d = (vg_delta){.news = VG_NEWS_FINISH};
    vg_llama.delta(&c->reply, &d, &c->out);
    vg_llama.end(&c->reply, &c->out);
    j = wrote_json(c, "data: ");
    is_text(j, "content", "");
    is_text(j, "stop_type", "eos");
    assert_null(vg_json_get(j, "completion_probabilities"));
    (vg_llama.fail)(&c->reply, &(vg_err){VG_E_NUMERIC, "it broke"}, &c->out);
    assert_string_equal(dialect_wrote(c), "data: {\"error\": {\"code\": 500, \"message\": "
                                          "\"it broke\", \"type\": \"server_error\"}}\n\n");
}

static void errors(void **state)
{
    static const struct {
        vg_status code;
        int http;
        const char *type;
    } cases[] = {{VG_E_USAGE, 400, "invalid_request_error"},
                 {VG_E_UNSUPPORTED, 400, "not_supported_error"},
                 {VG_E_CONTEXT, 400, "exceed_context_size_error"},
                 {VG_E_NOT_FOUND, 404, "not_found_error"},
                 {VG_E_USAGE, 401, "authentication_error"},
                 {VG_E_LIMIT, 429, "unavailable_error"},
                 {VG_E_IO, 500, "server_error"}};
    dialect_case *c = *state;
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        vg_err e = {cases[i].code, "why"};
        vg_llama.error(&e, cases[i].http, &c->out);
        const vg_json *j = vg_json_get(wrote_json(c, ""), "error");
        is_text(j, "type", cases[i].type);
        is_number(j, "code", cases[i].http);
    }
}

static void vectors(void **state)
{
    static const float v[] = {0.5f, 1, 2, 3};
    dialect_case *c = *state;
    dialect_take(c, "/embedding", "{\"content\": [\"a\", \"b\"]}");
    dialect_answer(c);
    c->reply.n_choices = 2;
    c->reply.vector = v;
    c->reply.width = 2;
    vg_llama.whole(&c->reply, &c->out);
    assert_string_equal(dialect_wrote(c), "[{\"index\": 0, \"embedding\": [[0.5, 1]]}, "
                                          "{\"index\": 1, \"embedding\": [[2, 3]]}]");
}

/* ---- the small routes ------------------------------------------------------------------------ */

static const vg_json *body_of(dialect_case *c, const char *text)
{
    vg_json *j = NULL;
    if (vg_json_parse(c->arena, text, strlen(text), &j, &c->err)) fail_msg("%s", c->err.msg);
    return j;
}

static void tokens(void **state)
{
    dialect_case *c = *state;
    vg_llama_tokenize t;
    const vg_json *j = body_of(c, "{\"content\": [\"a\", 5, \"b\"], \"with_pieces\": true}");
    assert_int_equal(vg_llama_read_tokenize(c->arena, j, &t, &c->err), VG_OK);
    assert_true(t.n_prompts == 1 && t.prompt[0].n == 3 && t.with_pieces && t.parse_special);
    j = body_of(c, "{\"parse_special\": false, \"add_special\": true}");
    assert_int_equal(vg_llama_read_tokenize(c->arena, j, &t, &c->err), VG_OK);
    assert_true(t.n_prompts == 0 && !t.parse_special && t.add_special);
    assert_int_equal(vg_llama_read_tokenize(c->arena, body_of(c, "{\"content\": {}}"), &t,
                                            &c->err),
                     VG_E_USAGE);
    vg_llama_detokenize d;
    j = body_of(c, "{\"tokens\": [3, 4]}");
    assert_int_equal(vg_llama_read_detokenize(c->arena, j, &d, &c->err), VG_OK);
    assert_true(d.n == 2 && d.id[1] == 4);
    static const char *const bad[] = {"{\"tokens\": [-1]}", "{\"tokens\": 1}", "[]",
                                      "{\"tokens\": [\"a\"]}", "{\"tokens\": [2147483648]}"};
    for (size_t i = 0; i < VG_COUNT(bad); i++)
        assert_int_equal(vg_llama_read_detokenize(c->arena, body_of(c, bad[i]), &d, &c->err),
                         VG_E_USAGE);

    static const int32_t id[] = {1, 2};
    static const vg_str piece[] = {{"a", 1}, {"\xe2\x82", 2}};
    vg_llama_tokens(id, NULL, 2, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"tokens\": [1, 2]}");
    vg_llama_tokens(id, piece, 2, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"tokens\": [{\"id\": 1, \"piece\": \"a\"}, "
                                          "{\"id\": 2, \"piece\": [226, 130]}]}");
    vg_llama_content(VG_STR("x\"y"), &c->out);
    assert_string_equal(dialect_wrote(c), "{\"content\": \"x\\\"y\"}");
    vg_llama_prompt(VG_STR("p"), &c->out);
    assert_string_equal(dialect_wrote(c), "{\"prompt\": \"p\"}");
}

static void props(void **state)
{
    dialect_case *c = *state;
    const vg_llama_props p = {VG_STR("tiny"), VG_STR("/m/tiny.gguf"), VG_STR("{{ x }}"),
                              VG_STR("<s>"), VG_STR("</s>"), 2048, 4};
    vg_llama_put_props(&p, &c->out);
    const vg_json *j = wrote_json(c, ""), *d = vg_json_get(j, "default_generation_settings");
    is_text(j, "chat_template", "{{ x }}");
    is_text(j, "bos_token", "<s>");
    is_number(j, "total_slots", 4);
    is_number(d, "n_ctx", 2048);
    is_number(vg_json_get(d, "params"), "top_k", 40);
    is_number(vg_json_get(d, "params"), "temperature", 0.8);
    const vg_llama_slot slot[] = {{2048, true, 10, 4, 2, -1}, {2048, false, 0, 0, 0, -1}};
    vg_llama_put_slots(slot, 2, &c->out);
    j = wrote_json(c, "");
    assert_int_equal(j->n, 2);
    assert_true(vg_json_get(j->item[0], "is_processing")->boolean);
    is_number(vg_json_get(j->item[0], "next_token")->item[0], "n_decoded", 2);
    vg_llama_put_health(true, &c->out);
    assert_string_equal(dialect_wrote(c), "{\"status\": \"ok\"}");
    vg_llama_put_health(false, &c->out);
    is_number(vg_json_get(wrote_json(c, ""), "error"), "code", 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
        T(defaults), T(fields), T(forms), T(samplers), T(biases), T(infill), T(embedding),
        T(refused_fields), T(wrong_fields), T(hostile), T(whole), T(several), T(chosen_fields),
        T(stream), T(errors), T(vectors), T(tokens), T(props),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
