/* A growing byte buffer with a cap. Errors are sticky: a writer appends without looking and checks
 * once at the end, so that code which prints reads as what it prints. After a failure the content
 * is what was there before the append that failed; later appends do nothing. */
#include <stdio.h>

#include "base/base.h"

void vg_buf_init(vg_buf *b, size_t cap_bytes)
{
    *b = (vg_buf){.cap_bytes = cap_bytes};
}

void vg_buf_clear(vg_buf *b)
{
    vg_mem_free(b->data);
    vg_buf_init(b, b->cap_bytes);
}

void vg_buf_reset(vg_buf *b)
{
    b->n = 0;
    b->failed = VG_OK;
    if (b->data) b->data[0] = '\0';
}

void *vg_buf_extend(vg_buf *b, size_t n)
{
    if (b->failed) return NULL;
    if (n > b->cap_bytes - b->n) {
        b->failed = VG_E_LIMIT;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->room) {
        size_t room = VG_MAX(need, b->room < SIZE_MAX / 2 ? b->room * 2 : need);
        room = VG_MAX(room, (size_t)64);
        char *p = vg_mem_grow(b->data, b->n, room);
        if (!p) {
            b->failed = VG_E_NO_MEMORY;
            return NULL;
        }
        b->data = p;
        b->room = room;
    }
    char *at = b->data + b->n;
    b->n += n;
    b->data[b->n] = '\0';
    return at;
}

void vg_buf_add(vg_buf *b, const void *p, size_t n)
{
    char *at = vg_buf_extend(b, n);
    if (at && n) memcpy(at, p, n);
}

void vg_buf_str(vg_buf *b, vg_str s)
{
    vg_buf_add(b, s.p, s.n);
}

void vg_buf_text(vg_buf *b, const char *cstr)
{
    vg_buf_add(b, cstr, strlen(cstr));
}

void vg_buf_char(vg_buf *b, char c)
{
    vg_buf_add(b, &c, 1);
}

void vg_buf_cp(vg_buf *b, int32_t cp)
{
    char c[4];
    vg_buf_add(b, c, vg_utf8_put(cp, c));
}

void vg_buf_fmt(vg_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *at = n < 0 ? NULL : vg_buf_extend(b, (size_t)n);
    if (at) vsnprintf(at, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
}

vg_status vg_buf_check(const vg_buf *b, const char *what, vg_err *err)
{
    if (!b->failed) return VG_OK;
    if (b->failed == VG_E_NO_MEMORY) return VG_FAIL(err, VG_E_NO_MEMORY, "%s: no memory", what);
    return VG_FAIL(err, b->failed, "%s: longer than its limit of %zu bytes", what, b->cap_bytes);
}

vg_status vg_buf_take(vg_buf *b, const char *what, vg_text *out, vg_err *err)
{
    vg_buf_extend(b, 0); /* an empty text is a text too */
    VG_TRY(vg_buf_check(b, what, err));
    *out = (vg_text){b->data, b->n};
    vg_buf_init(b, b->cap_bytes);
    return VG_OK;
}

void vg_text_free(vg_text *t)
{
    vg_mem_free(t->data);
    *t = (vg_text){0};
}

void vg_tokens_free(vg_tokens *t)
{
    vg_mem_free(t->id);
    *t = (vg_tokens){0};
}
