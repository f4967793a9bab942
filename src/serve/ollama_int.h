/* ollama_int.h: what the files of Ollama's dialect share.
 *
 *     VG_TRY(vg_ollama_options(request, options, err));
 *     VG_TRY(vg_ollama_messages(request, messages, err));
 */
#ifndef VG_OLLAMA_INT_H
#define VG_OLLAMA_INT_H

#include "base/json_out.h"
#include "serve/fields.h"
#include "serve/ollama.h"

/* The sampling that Ollama documents for a request that says nothing about it. */
void vg_ollama_defaults(vg_request *r);
vg_status vg_ollama_options(vg_request *r, const vg_json *options, vg_err *err);
vg_status vg_ollama_messages(vg_request *r, const vg_json *messages, vg_err *err);
vg_status vg_ollama_keep_alive(void *request, const vg_json *v, vg_err *err); /* "5m", 300, -1 */

/* "2026-11-21T23:41:38.000000001Z" */
void vg_ollama_time(vg_buf *out, const char *key, int64_t s, int64_t ns);

/* The answering half of vg_ollama. */
void vg_ollama_whole(vg_reply *r, vg_buf *out);
void vg_ollama_begin(vg_reply *r, vg_buf *out);
void vg_ollama_delta(vg_reply *r, const vg_delta *d, vg_buf *out);
void vg_ollama_end(vg_reply *r, vg_buf *out);
void vg_ollama_fail(vg_reply *r, const vg_err *e, vg_buf *out);
void vg_ollama_error(const vg_err *e, int http, vg_buf *out);
#endif
