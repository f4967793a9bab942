/* json_out.h: the only way in which JSON is written key by key: objects and arrays into a buffer,
 * with the commas between their parts.
 *
 *     vg_json_begin(&b, NULL, '{');
 *     vg_json_text(&b, "name", "a model");
 *     vg_json_real(&b, "speed", 12.5);
 *     vg_json_end(&b, '}');
 */
#ifndef VG_JSON_OUT_H
#define VG_JSON_OUT_H

#include "base/json.h"

/* `"key": `, after a comma where something stands before it; NULL: an item of an array. */
void vg_json_key(vg_buf *b, const char *key);
void vg_json_begin(vg_buf *b, const char *key, char bracket);
void vg_json_end(vg_buf *b, char bracket);
void vg_json_real(vg_buf *b, const char *key, double v); /* what is no number comes out as null */
/* With `digits` digits after the point. */
void vg_json_round(vg_buf *b, const char *key, double v, int digits);
void vg_json_count(vg_buf *b, const char *key, uint64_t v);
void vg_json_int(vg_buf *b, const char *key, int64_t v);
void vg_json_text(vg_buf *b, const char *key, const char *v); /* NULL: null */
void vg_json_bool(vg_buf *b, const char *key, bool v);
/* Any bytes. What is no UTF-8 becomes U+FFFD; control characters that JSON lets through are escaped
 * too, since they would drive a terminal. */
void vg_json_str(vg_buf *b, const char *key, vg_str v);
/* The same as a key, whose value is what is put next with the key NULL. */
void vg_json_name(vg_buf *b, vg_str key);
#endif
