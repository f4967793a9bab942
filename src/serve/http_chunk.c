/* A chunked body (RFC 9112, 7.1), byte by byte where it is framing and span by span where it is
 * data. What is no data is bounded: a size has at most 16 digits and all extensions and trailers of
 * a body together MAX_EXTRA bytes. They are checked and forgotten. */
#include "serve/http_parse.h"

#include <stdio.h>

enum {
    SIZE,
    SIZE_BLANK,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_LINE,
    TRAILER_LF,
    END_LF
};
enum { MAX_EXTRA = 16384, MAX_DIGITS = 16 };

static int refuse(char why[VG_HTTP_WHY], int code, const char *text)
{
    snprintf(why, VG_HTTP_WHY, "%s", text);
    return code;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool is_text(char c)
{
    return (unsigned char)c >= ' ' ? c != 0x7F : c == '\t';
}

static int size_byte(vg_http_chunks *c, char b, char why[VG_HTTP_WHY])
{
    int d = digit(b);
    if (d >= 0) {
        if (c->digits++ == MAX_DIGITS || c->left >> 60)
            return refuse(why, 413, "a chunk whose size is beyond all limits");
        c->left = c->left * 16 + (uint64_t)d;
        return 0;
    }
    if (c->digits == 0) return refuse(why, 400, "a chunk without its size");
    if (b != '\r' && b != ';' && b != ' ' && b != '\t')
        return refuse(why, 400, "a chunk's size is no hexadecimal number");
    c->state = b == '\r' ? SIZE_LF : b == ';' ? EXTENSION : SIZE_BLANK;
    return 0;
}

/* One byte that is no data. */
static int frame_byte(vg_http_chunks *c, char b, char why[VG_HTTP_WHY])
{
    switch (c->state) {
    case SIZE:
        return size_byte(c, b, why);
    case SIZE_BLANK:
        if (b == ';') c->state = EXTENSION;
        else if (b != ' ' && b != '\t') return refuse(why, 400, "a blank behind a chunk's size");
        return 0;
    case EXTENSION:
    case TRAILER_LINE:
        if (b == '\r') c->state = c->state == EXTENSION ? SIZE_LF : TRAILER_LF;
        else if (!is_text(b)) return refuse(why, 400, "a control character between chunks");
        return 0;
    case TRAILER:
        if (b == '\r') c->state = END_LF;
        else if (b == ':' || b == ' ' || !is_text(b) || b == '\t')
            return refuse(why, 400, "a trailer's name is no token");
        else c->state = TRAILER_LINE;
        return 0;
    case DATA_CR:
        if (b != '\r') return refuse(why, 400, "a chunk is longer than its size");
        c->state = DATA_LF;
        return 0;
    default:
        if (b != '\n') return refuse(why, 400, "a CR without LF between chunks");
        if (c->state == SIZE_LF) c->state = c->left ? DATA : TRAILER;
        else if (c->state == DATA_LF) c->state = SIZE;
        else if (c->state == TRAILER_LF) c->state = TRAILER;
        else c->done = true;
        c->digits = 0;
        return 0;
    }
}

int vg_http_feed_chunks(vg_http_chunks *c, const vg_http_limits *limits, const char *p, size_t n,
                        size_t *used, vg_buf *body, char why[VG_HTTP_WHY])
{
    size_t i = 0;
    int code = 0;
    while (!code && !c->done && i < n) {
        if (c->state == DATA) {
            size_t part = (size_t)VG_MIN(c->left, (uint64_t)(n - i));
            vg_buf_add(body, p + i, part);
            if (body->failed) return refuse(why, 503, "no memory for the body");
            c->left -= part;
            i += part;
            if (c->left == 0) c->state = DATA_CR;
            continue;
        }
        bool is_extra = c->state == SIZE_BLANK || c->state == EXTENSION || c->state >= TRAILER;
        code = frame_byte(c, p[i++], why);
        if (!code && is_extra && ++c->extra > MAX_EXTRA)
            code = refuse(why, 400, "chunk extensions and trailers are too long");
        if (!code && c->state <= SIZE_LF && c->left > limits->max_body_bytes - body->n) {
            snprintf(why, VG_HTTP_WHY, "a body of more than %zu bytes", limits->max_body_bytes);
            code = 413;
        }
    }
    *used = i;
    return code;
}
