/* llama_int.h: what the files of llama-server's dialect share.
 *
 *     vg_llama_fields f;
 *     vg_llama_defaults(request, &f);
 *     VG_TRY(vg_llama_take(&f, err));
 *     vg_llama_settings(request, "generation_settings", &out);
 */
#ifndef VG_LLAMA_INT_H
#define VG_LLAMA_INT_H

#include "base/json_out.h"
#include "serve/fields.h"
#include "serve/llama.h"

/* A request's fields as they stand in its body. */
typedef struct vg_llama_fields {
    vg_request *request;
    vg_sampling s;
    int64_t n_predict, max_tokens, max_completion_tokens, seed, top_k, repeat_last_n;
    int64_t dry_penalty_last_n, mirostat, n_probs, logprobs, t_max_predict_ms;
    uint32_t n_cmpl, n;
    float mirostat_tau, mirostat_eta;
    vg_str model, grammar, input_prefix, input_suffix, infill_prompt;
    const vg_json *logit_bias, *samplers, *schema, *input_extra, *input, *response_fields;
    bool timings_per_token;
} vg_llama_fields;

/* The fields of a completion; `f` is the target of its table. */
extern const vg_field vg_llama_completion_fields[];
extern const size_t vg_llama_n_completion_fields;
void vg_llama_defaults(vg_request *r, vg_llama_fields *f);
vg_status vg_llama_take(vg_llama_fields *f, vg_err *err);
vg_status vg_llama_samplers(vg_sampling *s, const vg_json *names, vg_err *err);
vg_status vg_llama_bias(vg_request *r, const vg_json *v, vg_err *err);

/* The answering half of vg_llama. */
void vg_llama_settings(const vg_request *r, const char *key, vg_buf *out);
void vg_llama_whole(vg_reply *r, vg_buf *out);
void vg_llama_begin(vg_reply *r, vg_buf *out);
void vg_llama_delta(vg_reply *r, const vg_delta *d, vg_buf *out);
void vg_llama_end(vg_reply *r, vg_buf *out);
void vg_llama_fail(vg_reply *r, const vg_err *e, vg_buf *out);
void vg_llama_error(const vg_err *e, int http, vg_buf *out);
#endif
