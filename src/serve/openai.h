/* openai.h: what OpenAI's routes have beside their dialects: the list of models, and the body of an
 * error that no dialect was asked for.
 *
 *     vg_openai_model m = {.name = VG_STR("tiny"), .created_s = 1700000000};
 *     vg_openai_models(&m, 1, &out);
 *     vg_openai_error(&err, 404, &out);
 */
#ifndef VG_OPENAI_H
#define VG_OPENAI_H

#include "serve/request.h"

typedef struct vg_openai_model {
    vg_str name;
    int64_t created_s; /* since 1970 */
    const char *owner; /* NULL: "verge" */
} vg_openai_model;

void vg_openai_models(const vg_openai_model *m, size_t n, vg_buf *out); /* GET /v1/models */
void vg_openai_one_model(const vg_openai_model *m, vg_buf *out);        /* GET /v1/models/NAME */

/* {"error": {message, type, param, code}}. The param is what the message of a USAGE or UNSUPPORTED
 * error has before its first colon. */
void vg_openai_error(const vg_err *e, int http, vg_buf *out);
#endif
