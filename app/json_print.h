/* json_print.h: the JSON that a command has to give, on its way to stdout.
 *
 *     vg_json_begin(&b, NULL, '{');
 *     vg_json_text(&b, "name", "a model");
 *     vg_json_end(&b, '}');
 *     return json_print(&b, VG_OK, err);
 */
#ifndef VG_JSON_PRINT_H
#define VG_JSON_PRINT_H

#include "base/json_out.h"

/* Ends the line, prints the buffer to stdout and clears it; `st` is how filling it went. */
VG_NODISCARD vg_status json_print(vg_buf *b, vg_status st, vg_err *err);
/* An object of one text. */
VG_NODISCARD vg_status json_print_text(const char *key, vg_str text, vg_err *err);
#endif
