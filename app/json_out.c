/* The results of a command as JSON, for scripts: objects written key by key into a buffer, which
 * goes out whole, or not at all when it failed. Whether a comma is due, the last byte tells: so
 * nothing else needs to be remembered. */
#include <stdio.h>

#include "app/json_out.h"

void json_key(vg_buf *b, const char *key)
{
    char last = b->n ? b->data[b->n - 1] : '{';
    if (last != '{' && last != '[') vg_buf_text(b, ", ");
    if (!key) return;
    vg_json_put_str(b, vg_str_from(key));
    vg_buf_text(b, ": ");
}

void json_begin(vg_buf *b, const char *key, char bracket)
{
    json_key(b, key);
    vg_buf_char(b, bracket);
}

void json_end(vg_buf *b, char bracket)
{
    vg_buf_char(b, bracket);
}

void json_real(vg_buf *b, const char *key, double v)
{
    json_key(b, key);
    vg_json_put_number(b, v);
}

void json_count(vg_buf *b, const char *key, uint64_t v)
{
    json_key(b, key);
    vg_buf_fmt(b, "%llu", (unsigned long long)v);
}

void json_text(vg_buf *b, const char *key, const char *v)
{
    json_key(b, key);
    if (v) vg_json_put_str(b, vg_str_from(v));
    else vg_buf_text(b, "null");
}

void json_bool(vg_buf *b, const char *key, bool v)
{
    json_key(b, key);
    vg_buf_text(b, v ? "true" : "false");
}

vg_status json_print(vg_buf *b, vg_status st, vg_err *err)
{
    if (!st) st = vg_buf_check(b, "the results", err);
    if (!st) fwrite(b->data, 1, b->n, stdout);
    vg_buf_clear(b);
    return st;
}
