/* json_out.h: the only way in which commands write JSON: objects and arrays into a buffer, with the
 * commas between their parts.
 *
 *     json_begin(&b, NULL, '{');
 *     json_text(&b, "name", "a model");
 *     json_real(&b, "speed", 12.5);
 *     json_end(&b, '}');
 *     return json_print(&b, VG_OK, err);
 */
#ifndef VG_JSON_OUT_H
#define VG_JSON_OUT_H

#include "base/json.h"

/* `"key": `, after a comma where something stands before it; NULL: an item of an array. */
void json_key(vg_buf *b, const char *key);
void json_begin(vg_buf *b, const char *key, char bracket);
void json_end(vg_buf *b, char bracket);
void json_real(vg_buf *b, const char *key, double v); /* what is no number comes out as null */
void json_round(vg_buf *b, const char *key, double v, int digits); /* that many after the point */
void json_count(vg_buf *b, const char *key, uint64_t v);
void json_int(vg_buf *b, const char *key, int64_t v);
void json_text(vg_buf *b, const char *key, const char *v); /* NULL: null */
void json_bool(vg_buf *b, const char *key, bool v);
/* Any bytes. What is no UTF-8 becomes U+FFFD; control characters that JSON lets through are escaped
 * too, since they would drive a terminal. */
void json_str(vg_buf *b, const char *key, vg_str v);
/* The same as a key, whose value is what is put next with the key NULL. */
void json_name(vg_buf *b, vg_str key);

/* Ends the line, prints the buffer to stdout and clears it; `st` is how filling it went. */
VG_NODISCARD vg_status json_print(vg_buf *b, vg_status st, vg_err *err);
/* An object of one text. */
VG_NODISCARD vg_status json_print_text(const char *key, vg_str text, vg_err *err);
#endif
