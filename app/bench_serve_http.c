/* Reads HTTP/1.1 responses and server-sent events as they come, one byte or a thousand at a time.
 * The body is handed on in place; only header lines and an event that came in pieces are copied.
 * A measuring client is no gate: it takes line ends without CR and headers that it does not know,
 * and refuses what would make it lose its place. */
#include "app/bench_serve_http.h"

#include <strings.h>

void bench_http_begin(bench_http *h)
{
    h->state = BENCH_HTTP_STATUS;
    h->status = 0;
    h->chunked = h->sized = h->closes = h->is_events = false;
    h->retry_after_s = -1;
    h->left = 0;
    h->n_line = h->n_head = 0;
}

bool bench_http_done(const bench_http *h)
{
    return h->state == BENCH_HTTP_END;
}

/* Takes a line from *in, without its end: 1 when it is whole in h->line, 0 when more must come. */
static vg_status take_line(bench_http *h, vg_str *in, bool *whole, vg_err *err)
{
    const char *end = in->n ? memchr(in->p, '\n', in->n) : NULL;
    size_t n = end ? (size_t)(end - in->p) + 1 : in->n;
    *whole = end != NULL;
    h->n_head += n;
    if (n >= sizeof h->line - h->n_line || h->n_head > BENCH_HTTP_HEAD)
        return VG_FAIL(err, VG_E_FORMAT, "the headers of the response are too long");
    if (n) memcpy(h->line + h->n_line, in->p, n);
    h->n_line += n;
    in->p += n;
    in->n -= n;
    if (!end) return VG_OK;
    h->n_line--;
    if (h->n_line && h->line[h->n_line - 1] == '\r') h->n_line--;
    h->line[h->n_line] = '\0';
    return VG_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK" */
static vg_status read_status(bench_http *h, vg_err *err)
{
    const char *p = h->line;
    bool good = strncmp(p, "HTTP/1.", 7) == 0 && is_digit(p[7]) && p[8] == ' ' && is_digit(p[9]) &&
                is_digit(p[10]) && is_digit(p[11]) && !is_digit(p[12]);
    if (!good)
        return VG_FAIL(err, VG_E_FORMAT, "the answer is no HTTP/1.1: it begins with '%.40s'", p);
    h->closes = p[7] == '0';
    h->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    h->state = BENCH_HTTP_HEADERS;
    return VG_OK;
}

/* A whole number in `base` (10 or 16) at the start of p. */
static bool read_number(const char *p, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    for (;; n++, p++) {
        unsigned c = (unsigned char)*p, lower = c | 0x20;
        unsigned digit = c >= '0' && c <= '9' ? c - '0'
                         : base == 16 && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : base;
        if (digit == base) break;
        if (v > (UINT64_MAX - digit) / base) return false;
        v = v * base + digit;
    }
    *out = v;
    return n > 0;
}

static vg_status read_header(bench_http *h, vg_err *err)
{
    char *colon = strchr(h->line, ':');
    uint64_t number;
    if (!colon) return VG_FAIL(err, VG_E_FORMAT, "'%.40s' is no header of a response", h->line);
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    *colon = '\0';
    if (strcasecmp(h->line, "content-length") == 0) {
        if (!read_number(value, 10, &h->left))
            return VG_FAIL(err, VG_E_FORMAT, "Content-Length: '%.40s' is no number", value);
        h->sized = true;
    } else if (strcasecmp(h->line, "transfer-encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0)
            return VG_FAIL(err, VG_E_FORMAT, "Transfer-Encoding: '%.40s' is not known", value);
        h->chunked = true;
    } else if (strcasecmp(h->line, "connection") == 0) {
        h->closes = strcasecmp(value, "keep-alive") != 0 &&
                    (h->closes || strcasecmp(value, "close") == 0);
    } else if (strcasecmp(h->line, "content-type") == 0) {
        h->is_events = strncasecmp(value, "text/event-stream", 17) == 0;
    } else if (strcasecmp(h->line, "retry-after") == 0 && read_number(value, 10, &number)) {
        h->retry_after_s = (int)VG_MIN(number, (uint64_t)86400);
    }
    return VG_OK;
}

/* The empty line after the headers: what comes now. An interim response (1xx) begins anew. */
static void end_headers(bench_http *h)
{
    bool bodyless = h->status == 204 || h->status == 304;
    if (h->status < 200) {
        size_t n_head = h->n_head;
        bench_http_begin(h);
        h->n_head = n_head;
    } else if (bodyless || (h->sized && !h->chunked && h->left == 0)) {
        h->state = BENCH_HTTP_END;
    } else if (h->chunked) {
        h->state = BENCH_HTTP_CHUNK_SIZE;
    } else {
        h->closes |= !h->sized;
        h->state = BENCH_HTTP_BODY;
    }
}

static vg_status read_line(bench_http *h, vg_err *err)
{
    bool empty = h->n_line == 0;
    switch (h->state) {
    case BENCH_HTTP_STATUS:
        return read_status(h, err);
    case BENCH_HTTP_HEADERS:
        if (!empty) return read_header(h, err);
        end_headers(h);
        return VG_OK;
    case BENCH_HTTP_CHUNK_SIZE:
        if (!read_number(h->line, 16, &h->left))
            return VG_FAIL(err, VG_E_FORMAT, "'%.40s' is no size of a chunk", h->line);
        h->state = h->left ? BENCH_HTTP_CHUNK : BENCH_HTTP_TRAILERS;
        return VG_OK;
    case BENCH_HTTP_CHUNK_END:
        if (!empty) return VG_FAIL(err, VG_E_FORMAT, "a chunk does not end where it should");
        h->state = BENCH_HTTP_CHUNK_SIZE;
        return VG_OK;
    default:
        if (empty) h->state = BENCH_HTTP_END;
        return VG_OK;
    }
}

vg_status bench_http_take(bench_http *h, vg_str *in, vg_str *body, vg_err *err)
{
    *body = (vg_str){in->p, 0};
    while (in->n > 0 && h->state != BENCH_HTTP_END) {
        if (h->state == BENCH_HTTP_BODY || h->state == BENCH_HTTP_CHUNK) {
            bool bounded = h->state == BENCH_HTTP_CHUNK || h->sized;
            size_t n = bounded && h->left < in->n ? (size_t)h->left : in->n;
            *body = (vg_str){in->p, n};
            in->p += n;
            in->n -= n;
            if (bounded) h->left -= n;
            if (bounded && h->left == 0)
                h->state = h->state == BENCH_HTTP_CHUNK ? BENCH_HTTP_CHUNK_END : BENCH_HTTP_END;
            return VG_OK;
        }
        bool whole;
        VG_TRY(take_line(h, in, &whole, err));
        if (!whole) return VG_OK;
        VG_TRY(read_line(h, err));
        h->n_line = 0;
        if (h->state >= BENCH_HTTP_CHUNK_SIZE && h->state <= BENCH_HTTP_CHUNK_END) h->n_head = 0;
    }
    return VG_OK;
}

vg_status bench_http_closed(bench_http *h, vg_err *err)
{
    if (h->state == BENCH_HTTP_BODY && !h->sized) h->state = BENCH_HTTP_END;
    if (h->state == BENCH_HTTP_END) return VG_OK;
    return VG_FAIL(err, VG_E_FORMAT, "the server closed the connection %s",
                   h->state <= BENCH_HTTP_HEADERS ? "without an answer" : "within its answer");
}

/* ---- server-sent events ---------------------------------------------------------------------- */

void bench_sse_begin(bench_sse *s)
{
    if (!s->line.cap_bytes) {
        vg_buf_init(&s->line, BENCH_SSE_EVENT_BYTES);
        vg_buf_init(&s->data, BENCH_SSE_EVENT_BYTES);
    }
    vg_buf_reset(&s->line);
    vg_buf_reset(&s->data);
    s->line.failed = s->data.failed = VG_OK;
    s->after_cr = s->has_data = false;
}

void bench_sse_clear(bench_sse *s)
{
    vg_buf_clear(&s->line);
    vg_buf_clear(&s->data);
}

/* A whole line: true when it ends an event. Fields other than data do not matter here. */
static bool take_field(bench_sse *s)
{
    vg_str line = {s->line.data, s->line.n};
    if (line.n == 0) return s->has_data;
    if (vg_str_is(line, "data") || vg_str_starts(line, VG_STR("data:"))) {
        size_t skip = VG_MIN(line.n, (size_t)5);
        if (skip < line.n && line.p[skip] == ' ') skip++;
        if (s->has_data) vg_buf_char(&s->data, '\n');
        else vg_buf_reset(&s->data);
        vg_buf_add(&s->data, line.p + skip, line.n - skip);
        s->has_data = true;
    }
    return false;
}

bool bench_sse_take(bench_sse *s, vg_str *in, vg_str *data)
{
    while (in->n > 0 && !s->line.failed && !s->data.failed) {
        if (s->after_cr && *in->p == '\n') {
            in->p++;
            in->n--;
        }
        s->after_cr = false;
        size_t n = 0;
        while (n < in->n && in->p[n] != '\n' && in->p[n] != '\r') n++;
        if (n) vg_buf_add(&s->line, in->p, n);
        bool whole = n < in->n;
        s->after_cr = whole && in->p[n] == '\r';
        in->p += n + whole;
        in->n -= n + whole;
        if (!whole) return false;
        bool ends = take_field(s);
        vg_buf_reset(&s->line);
        if (!ends) continue;
        *data = (vg_str){s->data.data ? s->data.data : "", s->data.n};
        s->has_data = false;
        return true;
    }
    return false;
}

vg_status bench_sse_check(const bench_sse *s, vg_err *err)
{
    VG_TRY(vg_buf_check(&s->line, "an event of the stream", err));
    return vg_buf_check(&s->data, "an event of the stream", err);
}
