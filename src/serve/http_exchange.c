/* An exchange: looking at what was asked, and writing the answer's head and parts into the
 * connection's buffer. It sends nothing itself: the loop does, once a turn for each connection.
 * What a handler gives for a header is checked here, because an id or a model's name that came from
 * a client may be part of it; a line end in one would begin an answer of the client's making. */
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/os.h"
#include "serve/http_int.h"

vg_exchange *vg_exchange_new(vg_conn *c)
{
    const vg_http_limits *l = &c->h->limits;
    vg_exchange *x = vg_mem_new(sizeof *x);
    if (!x) return NULL;
    /* The head, its fields, its decoded path and some parameters. */
    size_t cap = l->max_head_bytes * 8 + l->max_headers * sizeof(vg_http_field) + 65536;
    if (vg_arena_new(&x->arena, cap, NULL)) {
        vg_mem_free(x);
        return NULL;
    }
    x->c = c;
    x->begun_ns = vg_os_now_ns();
    vg_buf_init(&x->body, l->max_body_bytes);
    vg_buf_init(&x->extra, VG_HTTP_EXTRA);
    c->h->stats.exchanges++;
    return x;
}

void vg_exchange_drop_body(vg_exchange *x)
{
    x->c->h->stats.body_bytes -= x->body.n;
    vg_buf_clear(&x->body);
}

void vg_exchange_free(vg_exchange *x)
{
    vg_exchange_drop_body(x);
    x->c->h->stats.exchanges--;
    vg_buf_clear(&x->extra);
    vg_arena_free(x->arena);
    vg_mem_free(x);
}

/* A client's id goes into logs and back to it, so it may hold only what is harmless there. */
static bool is_sane_id(vg_str id)
{
    if (id.n == 0 || id.n > VG_HTTP_ID) return false;
    for (size_t i = 0; i < id.n; i++)
        if (!vg_http_is_token((vg_str){id.p + i, 1}) && id.p[i] != ':') return false;
    return true;
}

void vg_exchange_set_id(vg_exchange *x)
{
    vg_http *h = x->c->h;
    vg_str id = vg_http_find(&x->head, "x-request-id");
    if (is_sane_id(id)) snprintf(x->id, sizeof x->id, "%.*s", (int)id.n, id.p);
    else
        snprintf(x->id, sizeof x->id, "req_%016llx%08llx", (unsigned long long)h->id_base,
                 (unsigned long long)++h->id_next);
}

/* ---- what was asked ---------------------------------------------------------------------------
 * */

vg_str vg_exchange_method(const vg_exchange *x)
{
    return x->head.method;
}

vg_str vg_exchange_path(const vg_exchange *x)
{
    return x->head.path;
}

vg_str vg_exchange_query(const vg_exchange *x, const char *name)
{
    return vg_http_param(x->arena, x->head.query, name);
}

vg_str vg_exchange_field(const vg_exchange *x, const char *name)
{
    return vg_http_find(&x->head, name);
}

vg_str vg_exchange_host(const vg_exchange *x)
{
    return x->head.host;
}

vg_str vg_exchange_body(const vg_exchange *x)
{
    return (vg_str){x->body.data, x->body.n};
}

const char *vg_exchange_address(const vg_exchange *x)
{
    return x->c->address;
}

bool vg_exchange_is_local(const vg_exchange *x)
{
    return x->c->is_local;
}

bool vg_exchange_is_tls(const vg_exchange *x)
{
    return x->c->ssl != NULL;
}

const char *vg_exchange_id(const vg_exchange *x)
{
    return x->id;
}

void *vg_exchange_user(const vg_exchange *x)
{
    return x->user;
}

void vg_exchange_set_user(vg_exchange *x, void *user)
{
    x->user = user;
}

bool vg_exchange_begun(const vg_exchange *x)
{
    return x->begun;
}

bool vg_exchange_ended(const vg_exchange *x)
{
    return x->ended;
}

bool vg_exchange_gone(const vg_exchange *x)
{
    return x->gone;
}

size_t vg_exchange_backlog(const vg_exchange *x)
{
    return evbuffer_get_length(x->c->out);
}

bool vg_exchange_is_full(const vg_exchange *x)
{
    return vg_exchange_backlog(x) >= x->c->h->limits.high_bytes;
}

int vg_exchange_code(const vg_exchange *x)
{
    return x->code;
}

uint64_t vg_exchange_sent(const vg_exchange *x)
{
    return x->sent;
}

uint64_t vg_exchange_age_ns(const vg_exchange *x)
{
    return vg_os_now_ns() - x->begun_ns;
}

/* ---- the answer -------------------------------------------------------------------------------
 * */

static void put(vg_conn *c, const void *p, size_t n)
{
    if (c->end) return;
    if (evbuffer_add(c->out, p, n)) vg_conn_kill(c, "no memory for an answer");
    vg_conn_dirty(c);
}

void vg_exchange_header(vg_exchange *x, const char *name, vg_str value)
{
    bool fits = vg_http_is_token(vg_str_from(name));
    for (size_t i = 0; i < value.n; i++) {
        unsigned char b = (unsigned char)value.p[i];
        if ((b < ' ' && b != '\t') || b == 0x7F) fits = false;
    }
    if (!fits) x->extra.failed = VG_E_USAGE;
    if (x->begun) return;
    vg_buf_text(&x->extra, name);
    vg_buf_text(&x->extra, ": ");
    vg_buf_str(&x->extra, value);
    vg_buf_text(&x->extra, "\r\n");
}

static bool has_no_body(int code)
{
    return code == 204 || code == 304;
}

enum { LENGTH_CHUNKED = -1, LENGTH_TO_CLOSE = -2 };

/* The status line and headers; length: of the body, or one of the above. */
static void put_head(vg_conn *c, int code, const char *type, long long length, const char *id,
                     const vg_buf *extra)
{
    char head[1024];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\n", code,
                     vg_http_reason(code), vg_http_date(c->h));
    size_t room = sizeof head, at = (size_t)n;
    if (type) at += (size_t)snprintf(head + at, room - at, "Content-Type: %.200s\r\n", type);
    if (length >= 0)
        at += (size_t)snprintf(head + at, room - at, "Content-Length: %lld\r\n", length);
    if (length == LENGTH_CHUNKED)
        at += (size_t)snprintf(head + at, room - at, "Transfer-Encoding: chunked\r\n");
    if (id) at += (size_t)snprintf(head + at, room - at, "X-Request-Id: %s\r\n", id);
    at += (size_t)snprintf(head + at, room - at, "Connection: %s\r\n",
                           c->close_after ? "close" : "keep-alive");
    put(c, head, at);
    if (extra && extra->n) put(c, extra->data, extra->n);
    put(c, "\r\n", 2);
}

static void error_body(vg_http *h, vg_str path, int code, const char *why, vg_buf *json)
{
    if (h->opts.error_body) {
        h->opts.error_body(h->opts.user, path, code, why, json);
        return;
    }
    vg_buf_fmt(json, "{\"error\":{\"code\":%d,\"message\":", code);
    vg_json_put_str(json, vg_str_from(why));
    vg_buf_text(json, "}}\n");
}

void vg_http_put_error(vg_conn *c, vg_str path, int code, const char *why, bool is_head)
{
    vg_buf json;
    vg_buf_init(&json, 16384);
    error_body(c->h, path, code, why, &json);
    c->close_after = true;
    vg_buf extra = {.data = (char *)(uintptr_t) "Retry-After: 1\r\n", .n = 16};
    bool again = code == 503 || code == 429;
    put_head(c, code, "application/json", (long long)json.n, c->x ? c->x->id : NULL,
             again ? &extra : NULL);
    if (!is_head) put(c, json.data, json.n);
    vg_buf_clear(&json);
}

/* Headers that broke the rules are not sent; the client learns that the server failed. */
static bool extra_is_fine(vg_exchange *x)
{
    if (!x->extra.failed) return true;
    vg_http_log(x->c->h, VG_HTTP_ERROR, "%s: an answer with invalid headers", x->id);
    vg_buf_reset(&x->extra);
    x->begun = x->ended = true;
    x->code = 500;
    vg_http_put_error(x->c, x->head.path, 500, "the answer's headers are invalid", x->head.is_head);
    return false;
}

void vg_exchange_reply(vg_exchange *x, int code, const char *content_type, const void *p, size_t n)
{
    if (x->begun || x->ended || !extra_is_fine(x)) return;
    if (!x->whole && (x->head.chunked || x->head.length)) x->c->close_after = true;
    x->begun = x->ended = true;
    x->code = code;
    x->sent = n;
    put_head(x->c, code, content_type, has_no_body(code) ? LENGTH_TO_CLOSE : (long long)n, x->id,
             &x->extra);
    if (!x->head.is_head && !has_no_body(code)) put(x->c, p, n);
}

void vg_exchange_begin(vg_exchange *x, int code, const char *content_type)
{
    if (x->begun || x->ended || !extra_is_fine(x)) return;
    if (!x->whole && (x->head.chunked || x->head.length)) x->c->close_after = true;
    x->begun = true;
    x->code = code;
    x->chunked = x->head.minor > 0 && !has_no_body(code);
    if (!x->chunked && !x->head.is_head && !has_no_body(code)) x->c->close_after = true;
    put_head(x->c, code, content_type, x->chunked ? LENGTH_CHUNKED : LENGTH_TO_CLOSE, x->id,
             &x->extra);
}

void vg_exchange_write(vg_exchange *x, const void *p, size_t n)
{
    vg_conn *c = x->c;
    if (!x->begun || x->ended || n == 0) return;
    x->sent += n;
    if (x->head.is_head || has_no_body(x->code)) return;
    char size[24];
    int digits = x->chunked ? snprintf(size, sizeof size, "%zx\r\n", n) : 0;
    if (digits) put(c, size, (size_t)digits);
    put(c, p, n);
    if (digits) put(c, "\r\n", 2);
    size_t backlog = vg_exchange_backlog(x);
    if (backlog >= c->h->limits.high_bytes) x->was_full = true;
    if (backlog > c->h->limits.max_backlog_bytes)
        vg_conn_kill(c, "too much is written that the client does not take");
}

void vg_exchange_end(vg_exchange *x)
{
    if (!x->begun || x->ended) return;
    x->ended = true;
    if (x->chunked && !x->head.is_head) put(x->c, "0\r\n\r\n", 5);
    vg_conn_dirty(x->c);
}

void vg_exchange_abort(vg_exchange *x)
{
    if (x->ended) return;
    x->ended = x->gone = true;
    x->c->close_after = true;
    vg_conn_dirty(x->c);
}
