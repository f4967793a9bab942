/* anthropic.h: what Anthropic's routes have beside their dialect: the count of a prompt's tokens,
 * the list of models, and the body of an error that the dialect was not asked for.
 *
 *     vg_anthropic_count(n_tok, &out);
 *     vg_anthropic_error(&err, 404, &out);
 */
#ifndef VG_ANTHROPIC_H
#define VG_ANTHROPIC_H

#include "serve/request.h"

/* POST /v1/messages/count_tokens, whose body the dialect parses as that route's. */
void vg_anthropic_count(size_t n_tok, vg_buf *out);

typedef struct vg_anthropic_model {
    vg_str name;
    int64_t created_s;
    uint32_t ctx_tok;
} vg_anthropic_model;
/* GET /v1/models as this API words it, which a client asks for by its header anthropic-version. */
void vg_anthropic_models(const vg_anthropic_model *m, size_t n, vg_buf *out);
void vg_anthropic_one_model(const vg_anthropic_model *m, vg_buf *out);

/* {"type": "error", "error": {type, message}} */
void vg_anthropic_error(const vg_err *e, int http, vg_buf *out);
#endif
