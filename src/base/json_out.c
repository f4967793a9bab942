/* JSON written key by key into a buffer, which goes out whole, or not at all when it failed.
 * Whether a comma is due, the last byte tells: so nothing else needs to be remembered. A buffer
 * may hold several values, one a line. */
#include <inttypes.h>
#include <math.h>

#include "base/json_out.h"

static void separate(vg_buf *b)
{
    char last = b->n ? b->data[b->n - 1] : '{';
    if (!strchr("{[ \n", last)) vg_buf_text(b, ", ");
}

/* Characters from U+007F to U+009F begin with one of these bytes. */
static bool may_control(vg_str s)
{
    return s.n > 0 && (memchr(s.p, 0x7f, s.n) || memchr(s.p, 0xc2, s.n));
}

static void put_clean(vg_buf *b, vg_str s)
{
    vg_buf text;
    if (!may_control(s)) {
        vg_json_put_str(b, s);
        return;
    }
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

void vg_json_name(vg_buf *b, vg_str key)
{
    separate(b);
    put_clean(b, key);
    vg_buf_text(b, ": ");
}

void vg_json_key(vg_buf *b, const char *key)
{
    if (key) vg_json_name(b, vg_str_from(key));
    else separate(b);
}

void vg_json_begin(vg_buf *b, const char *key, char bracket)
{
    vg_json_key(b, key);
    vg_buf_char(b, bracket);
}

void vg_json_end(vg_buf *b, char bracket)
{
    vg_buf_char(b, bracket);
}

void vg_json_real(vg_buf *b, const char *key, double v)
{
    vg_json_key(b, key);
    vg_json_put_number(b, v);
}

void vg_json_round(vg_buf *b, const char *key, double v, int digits)
{
    double unit = pow(10, digits);
    vg_json_real(b, key, floor(v * unit + 0.5) / unit);
}

void vg_json_count(vg_buf *b, const char *key, uint64_t v)
{
    vg_json_key(b, key);
    vg_buf_fmt(b, "%" PRIu64, v);
}

void vg_json_int(vg_buf *b, const char *key, int64_t v)
{
    vg_json_key(b, key);
    vg_buf_fmt(b, "%" PRId64, v);
}

void vg_json_str(vg_buf *b, const char *key, vg_str v)
{
    vg_json_key(b, key);
    put_clean(b, v);
}

void vg_json_text(vg_buf *b, const char *key, const char *v)
{
    vg_json_key(b, key);
    if (v) put_clean(b, vg_str_from(v));
    else vg_buf_text(b, "null");
}

void vg_json_bool(vg_buf *b, const char *key, bool v)
{
    vg_json_key(b, key);
    vg_buf_text(b, v ? "true" : "false");
}
