/* openai_int.h: what OpenAI's dialects share: fields that several routes have, and parts of their
 * answers.
 *
 *     vg_openai_defaults(r);
 *     vg_openai_sse_begin(out, NULL);
 *     vg_openai_usage(reply, out);
 *     vg_openai_sse_end(out);
 */
#ifndef VG_OPENAI_INT_H
#define VG_OPENAI_INT_H

#include "base/json_out.h"
#include "serve/messages.h"
#include "serve/openai.h"

/* Fields of one kind, for a route's table. IN is the request's member that they fill. */
#define VG_IN(member) .at = offsetof(vg_request, member)
#define VG_NO_EFFECT .kind = VG_FIELD_UNUSED
#define VG_OPENAI_SAMPLING                                                                         \
    {"model", VG_FIELD_TEXT, VG_IN(model)},                                                        \
        {"temperature", VG_FIELD_REAL, VG_IN(sampling.temp), .max = 2},                            \
        {"top_p", VG_FIELD_OTHER, .read = vg_openai_top_p},                                        \
        {"seed", VG_FIELD_OTHER, .read = vg_openai_seed},                                          \
        {"stop", VG_FIELD_OTHER, .read = vg_fields_stops},                                         \
        {"n", VG_FIELD_COUNT, VG_IN(n), .min = 1, .max = VG_MAX_CHOICES},                          \
        {"presence_penalty", VG_FIELD_REAL, VG_IN(sampling.presence_penalty), .min = -2,           \
         .max = 2},                                                                                \
        {"frequency_penalty", VG_FIELD_REAL, VG_IN(sampling.frequency_penalty), .min = -2,         \
         .max = 2},                                                                                \
        {"logit_bias", VG_FIELD_OTHER, .read = vg_openai_bias},                                    \
        {"max_tokens", VG_FIELD_OTHER, .read = vg_openai_max_tokens},                              \
        {"stream", VG_FIELD_BOOL, VG_IN(stream)},                                                  \
        {"stream_options", VG_FIELD_OTHER, .read = vg_openai_stream_options},                      \
        {"user", VG_NO_EFFECT}, {"metadata", VG_NO_EFFECT}, {"safety_identifier", VG_NO_EFFECT},   \
        {"prompt_cache_key", VG_NO_EFFECT}, {"prompt_cache_retention", VG_NO_EFFECT},              \
        {"prompt_cache_options", VG_NO_EFFECT},                                                    \
        {"service_tier", VG_FIELD_OTHER,                                                           \
         .read = vg_openai_tier}, /* Not OpenAI's: what clients of llama-server and vLLM send. */  \
        {"top_k", VG_FIELD_OTHER, .read = vg_openai_top_k},                                        \
        {"min_p", VG_FIELD_REAL, VG_IN(sampling.min_p), .max = 1},                                 \
        {"typical_p", VG_FIELD_REAL, VG_IN(sampling.typical_p), .max = 1},                         \
        {"repeat_penalty", VG_FIELD_REAL, VG_IN(sampling.repeat_penalty), .min = 0.01,             \
         .max = 100},                                                                              \
        {"repetition_penalty", VG_FIELD_REAL, VG_IN(sampling.repeat_penalty), .min = 0.01,         \
         .max = 100},                                                                              \
        {"repeat_last_n", VG_FIELD_COUNT, VG_IN(sampling.penalty_last_n), .max = INT32_MAX},       \
        {"ignore_eos", VG_FIELD_BOOL, VG_IN(ignore_end)},                                          \
        {"grammar", VG_FIELD_OTHER, .read = vg_openai_grammar},                                    \
    {                                                                                              \
        "cache_prompt", VG_NO_EFFECT                                                               \
    }

/* The API's defaults: temperature 1, one answer. */
void vg_openai_defaults(vg_request *r);
/* A value of a request that was not sent with another one's words: USAGE. */
VG_NODISCARD vg_status vg_openai_check(const vg_request *r, vg_err *err);
vg_status vg_openai_top_p(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_seed(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_bias(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_max_tokens(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_stream_options(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_tier(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_top_k(void *request, const vg_json *v, vg_err *err);
vg_status vg_openai_grammar(void *request, const vg_json *v, vg_err *err);
/* false, or nothing: what is not kept, is not there to be asked for later */
vg_status vg_openai_false(void *request, const vg_json *v, vg_err *err);

/* {name, description, schema, strict}, what `format` has beside its type. */
VG_NODISCARD vg_status vg_openai_schema(vg_request *r, const vg_json *v, const char *where,
                                        vg_err *err);
/* "auto", "none", "required", or an object that names a function (in its member `inside`; NULL: by
 * itself) or allowed tools, the others being left out of r->tools; NULL: none was sent. */
VG_NODISCARD vg_status vg_openai_tool_choice(vg_request *r, const vg_json *v, const char *inside,
                                             vg_err *err);

/* The asking halves of dialects whose answering halves stand in files of their own. */
vg_status vg_openai_chat_parse(vg_request *r, const char *route, const vg_json *body, vg_err *err);
vg_status vg_openai_responses_parse(vg_request *r, const char *route, const vg_json *body,
                                    vg_err *err);

void vg_openai_id(vg_buf *out, const char *key, const char *prefix, vg_str id);
/* "data: ", after "event: " where the event has a name. */
void vg_openai_sse_begin(vg_buf *out, const char *event);
void vg_openai_sse_end(vg_buf *out);
void vg_openai_usage(const vg_reply *r, vg_buf *out); /* "usage": {..} of chat and completions */
typedef struct vg_openai_sum {
    size_t prompt, reused, answer;
} vg_openai_sum;
vg_openai_sum vg_openai_tokens(const vg_reply *r);
/* [{token, logprob, bytes, top_logprobs}, ..], `bytes` being false without these. */
void vg_openai_logprobs(const vg_told_token *t, size_t n, bool bytes, const char *key, vg_buf *out);
double vg_openai_logprob(float v); /* a number that JSON has */
const char *vg_openai_finish(vg_finish f);
/* {"error": {..}} in the stream. */
void vg_openai_fail(vg_reply *r, const vg_err *e, vg_buf *out);
void vg_openai_done(vg_buf *out); /* data: [DONE] */
vg_str vg_openai_text(const vg_buf *b);
#endif
