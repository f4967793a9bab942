/* The results of a command as JSON, for scripts: objects written key by key into a buffer, which
 * goes out whole, or not at all when it failed. Whether a comma is due, the last byte tells: so
 * nothing else needs to be remembered. */
#include "app/json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static void separate(vg_buf *b)
{
    char last = b->n ? b->data[b->n - 1] : '{';
    if (last != '{' && last != '[' && last != ' ') vg_buf_text(b, ", ");
}

static void put_clean(vg_buf *b, vg_str s)
{
    vg_buf text;
    vg_buf_init(&text, SIZE_MAX / 2);
    vg_json_put_str(&text, s);
    for (size_t i = 0; i < text.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(text.data + i, text.n - i, &cp);
        if (cp >= 0x7f && cp < 0xa0) vg_buf_fmt(b, "\\u%04x", (unsigned)cp);
        else vg_buf_add(b, text.data + i, n);
        i += n;
    }
    if (text.failed) b->failed = text.failed;
    vg_buf_clear(&text);
}

void json_name(vg_buf *b, vg_str key)
{
    separate(b);
    put_clean(b, key);
    vg_buf_text(b, ": ");
}

void json_key(vg_buf *b, const char *key)
{
    if (key) json_name(b, vg_str_from(key));
    else separate(b);
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

void json_round(vg_buf *b, const char *key, double v, int digits)
{
    double unit = pow(10, digits);
    json_real(b, key, floor(v * unit + 0.5) / unit);
}

void json_count(vg_buf *b, const char *key, uint64_t v)
{
    json_key(b, key);
    vg_buf_fmt(b, "%" PRIu64, v);
}

void json_int(vg_buf *b, const char *key, int64_t v)
{
    json_key(b, key);
    vg_buf_fmt(b, "%" PRId64, v);
}

void json_str(vg_buf *b, const char *key, vg_str v)
{
    json_key(b, key);
    put_clean(b, v);
}

void json_text(vg_buf *b, const char *key, const char *v)
{
    json_key(b, key);
    if (v) put_clean(b, vg_str_from(v));
    else vg_buf_text(b, "null");
}

void json_bool(vg_buf *b, const char *key, bool v)
{
    json_key(b, key);
    vg_buf_text(b, v ? "true" : "false");
}

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
    json_begin(&b, NULL, '{');
    json_str(&b, key, text);
    json_end(&b, '}');
    return json_print(&b, VG_OK, err);
}
