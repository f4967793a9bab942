/* json_out.h: one JSON object or array after another into a buffer, with the commas between them.
 *
 *     json_begin(&b, NULL, '{');
 *     json_text(&b, "name", "a model");
 *     json_real(&b, "speed", 12.5);
 *     json_end(&b, '}');
 */
#ifndef VG_JSON_OUT_H
#define VG_JSON_OUT_H

#include "base/json.h"

/* `"key": `, after a comma where something stands before it; NULL: an item of an array. */
void json_key(vg_buf *b, const char *key);
void json_begin(vg_buf *b, const char *key, char bracket);
void json_end(vg_buf *b, char bracket);
void json_real(vg_buf *b, const char *key, double v); /* what is no number comes out as null */
void json_count(vg_buf *b, const char *key, uint64_t v);
void json_text(vg_buf *b, const char *key, const char *v); /* NULL: null */
void json_bool(vg_buf *b, const char *key, bool v);

/* Prints the buffer to stdout and clears it; `st` is how filling it went. */
VG_NODISCARD vg_status json_print(vg_buf *b, vg_status st, vg_err *err);
#endif
