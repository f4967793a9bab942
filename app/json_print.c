/* What a command has found out as JSON, for scripts: a buffer goes out whole on stdout, or not at
 * all when filling it failed. The buffer itself is filled with base/json_out.h, and is cleared here
 * whatever comes of it. */
#include <errno.h>
#include <stdio.h>

#include "app/json_print.h"

vg_status json_print(vg_buf *b, vg_status st, vg_err *err)
{
    vg_buf_char(b, '\n');
    if (!st) st = vg_buf_check(b, "the JSON", err);
    if (!st && (fwrite(b->data, 1, b->n, stdout) != b->n || fflush(stdout)))
        st = VG_FAIL(err, VG_E_IO, "writing the output: %s", strerror(errno));
    vg_buf_clear(b);
    return st;
}

vg_status json_print_text(const char *key, vg_str text, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    vg_json_begin(&b, NULL, '{');
    vg_json_str(&b, key, text);
    vg_json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
