/* A connection: what its events do, state by state. Bytes come into `in`, become a head and a body,
 * and then the handler has the exchange; while it has it reading goes on, which is how a client
 * that leaves is seen, and what it sends meanwhile waits as the next request. Every state has a
 * deadline but that of a handler that thinks. Whatever ends a connection only sets `end`; the last
 * thing that an event does is vg_conn_settle, the one place that frees. So no function has to ask
 * whether the connection is still there after it called another one. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/http_int.h"

static const uint64_t ns_of_ms = 1000000;

/* ---- deadlines ------------------------------------------------------------------------------ */

/* The timer is moved only when it would ring too late: a deadline that is put off again and again
 * costs nothing. */
static void arm(vg_conn *c, uint64_t deadline_ns)
{
    c->deadline_ns = deadline_ns;
    if (deadline_ns == 0 || (c->timer_ns && c->timer_ns <= deadline_ns)) return;
    uint64_t now = vg_os_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
    struct timeval tv = {.tv_sec = (time_t)(left / 1000000000),
                         .tv_usec = (suseconds_t)(left % 1000000000 / 1000 + 1)};
    if (evtimer_add(&c->timer_ev, &tv)) vg_conn_kill(c, "no timer");
    else c->timer_ns = deadline_ns;
}

static void arm_ms(vg_conn *c, uint64_t ms)
{
    arm(c, vg_os_now_ns() + ms * ns_of_ms);
}

static void arm_body(vg_conn *c)
{
    const vg_http_limits *l = &c->h->limits;
    arm(c, c->state_ns + (l->body_ms + c->x->body.n * 1000 / l->min_body_rate) * ns_of_ms);
}

static void enter(vg_conn *c, conn_state state)
{
    const vg_http_limits *l = &c->h->limits;
    c->state = state;
    c->state_ns = vg_os_now_ns();
    if (state == CONN_SHAKE || state == CONN_HEAD) arm_ms(c, l->head_ms);
    else if (state == CONN_IDLE) arm_ms(c, l->idle_ms);
    else if (state == CONN_BODY) arm_body(c);
    else if (state == CONN_LINGER) arm_ms(c, VG_HTTP_LINGER_MS);
    else if (!c->blocked) c->deadline_ns = 0;
}

static void expired(vg_conn *c)
{
    if (c->state == CONN_HEAD) vg_conn_refuse(c, 408, "the request's head took too long");
    else if (c->state == CONN_BODY) vg_conn_refuse(c, 408, "the request's body came too slowly");
    else if (c->state == CONN_SHAKE) vg_conn_kill(c, "the TLS handshake took too long");
    else if (c->state == CONN_IDLE) vg_conn_kill(c, "idle");
    else if (c->state == CONN_LINGER) vg_conn_kill(c, "done");
    else vg_conn_kill(c, "the client takes nothing of its answer");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    vg_conn *c = arg;
    VG_UNUSED(fd), VG_UNUSED(what);
    c->timer_ns = 0;
    if (c->deadline_ns && vg_os_now_ns() < c->deadline_ns) arm(c, c->deadline_ns);
    else if (c->deadline_ns) expired(c);
    vg_conn_settle(c);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void list_remove(vg_conn *c)
{
    vg_http *h = c->h;
    *(c->prev ? &c->prev->next : &h->first) = c->next;
    *(c->next ? &c->next->prev : &h->last) = c->prev;
    c->prev = c->next = NULL;
}

static void list_append(vg_conn *c)
{
    vg_http *h = c->h;
    c->prev = h->last;
    *(h->last ? &h->last->next : &h->first) = c;
    h->last = c;
}

static void clean(vg_conn *c)
{
    vg_http *h = c->h;
    if (!c->dirty) return;
    *(c->dirty_prev ? &c->dirty_prev->dirty_next : &h->dirty_first) = c->dirty_next;
    *(c->dirty_next ? &c->dirty_next->dirty_prev : &h->dirty_last) = c->dirty_prev;
    c->dirty_prev = c->dirty_next = NULL;
    c->dirty = false;
}

void vg_conn_dirty(vg_conn *c)
{
    vg_http *h = c->h;
    if (c->dirty) return;
    if (!h->dirty_first) event_active(&h->flush_ev, EV_TIMEOUT, 0);
    c->dirty_prev = h->dirty_last;
    *(h->dirty_last ? &h->dirty_last->dirty_next : &h->dirty_first) = c;
    h->dirty_last = c;
    c->dirty = true;
}

/* ---- the end -------------------------------------------------------------------------------- */

void vg_conn_kill(vg_conn *c, const char *why)
{
    if (!c->end) c->end = why;
}

static void drop_exchange(vg_conn *c)
{
    vg_exchange *x = c->x;
    c->x = NULL;
    if (x->asked && c->h->opts.closed) c->h->opts.closed(c->h->opts.user, x);
    vg_exchange_free(x);
}

static void conn_free(vg_conn *c)
{
    vg_http *h = c->h;
    if (c->x) {
        c->x->gone = true;
        drop_exchange(c);
    }
    vg_http_log(h, VG_HTTP_DEBUG, "%s: connection closed: %s", c->address, c->end);
    if (c->state == CONN_SHAKE && h->opts.refused)
        h->opts.refused(h->opts.user, c->address, 0, c->end);
    clean(c);
    list_remove(c);
    event_del(&c->read_ev);
    event_del(&c->write_ev);
    event_del(&c->timer_ev);
    if (c->ssl) SSL_free(c->ssl);
    close(c->fd);
    if (c->out) evbuffer_free(c->out);
    vg_buf_clear(&c->in);
    vg_mem_free(c);
    h->stats.connections--;
    vg_http_conn_gone(h);
}

static size_t waiting(const vg_conn *c)
{
    return c->in.n - c->in_at;
}

/* What waits; never NULL, which nothing may be added to. */
static const char *came(const vg_conn *c)
{
    return waiting(c) ? c->in.data + c->in_at : "";
}

static void on_read(evutil_socket_t fd, short what, void *arg);

/* Watches for bytes, or where there is no room for any, for the client's end alone. */
static void watch(vg_conn *c)
{
    bool full = c->state == CONN_BUSY && waiting(c) >= c->h->limits.max_head_bytes;
    bool want_read = !full && !c->eof, want_hup = full && !c->eof;
    if (want_read == c->read_on && want_hup == c->watch_hup) return;
    event_del(&c->read_ev);
    c->read_on = want_read;
    c->watch_hup = want_hup;
    short what = (short)((want_read ? EV_READ : EV_CLOSED) | EV_PERSIST);
    event_assign(&c->read_ev, c->h->base, c->fd, what, on_read, c);
    /* Where the system cannot tell of an end alone, writing will. */
    if ((want_read || want_hup) && event_add(&c->read_ev, NULL) && want_read)
        vg_conn_kill(c, "no event");
}

void vg_conn_settle(vg_conn *c)
{
    if (!c->end) watch(c);
    if (!c->end && c->tls_wants_write && event_add(&c->write_ev, NULL)) vg_conn_kill(c, "no event");
    if (c->end) conn_free(c);
}

void vg_conn_refuse(vg_conn *c, int code, const char *why)
{
    vg_http *h = c->h;
    vg_exchange *x = c->x;
    vg_str path = x ? x->head.path : (vg_str){0};
    if (c->end) return;
    if (c->state == CONN_SHAKE && c->ssl) { /* there is no way yet to say it */
        vg_conn_kill(c, why);
        return;
    }
    h->stats.refused++;
    vg_http_put_error(c, path, code, why, x && x->head.is_head);
    if (x) x->code = code, x->gone = true;
    if ((!x || !x->asked) && h->opts.refused) h->opts.refused(h->opts.user, c->address, code, why);
    if (x) drop_exchange(c);
    vg_buf_clear(&c->in);
    c->in_at = 0;
    enter(c, CONN_LAST);
    vg_conn_dirty(c);
}

/* ---- coming in ------------------------------------------------------------------------------ */

static void use_up(vg_conn *c, size_t n)
{
    c->in_at += n;
    if (c->in_at < c->in.n) return;
    vg_buf_clear(&c->in); /* an idle connection holds no memory */
    c->in_at = 0;
}

static void put_in(vg_conn *c, const char *p, size_t n)
{
    if (c->in_at) {
        memmove(c->in.data, c->in.data + c->in_at, waiting(c));
        c->in.n = waiting(c);
        c->in_at = 0;
    }
    vg_buf_add(&c->in, p, n);
    if (c->in.failed) vg_conn_kill(c, "no memory for what came in");
}

static void take_head(vg_conn *c, vg_exchange *x)
{
    vg_http *h = c->h;
    c->x = x;
    c->scan = (vg_http_scan){0};
    c->close_after = !x->head.keep_alive || h->draining;
    h->stats.requests++;
    enter(c, CONN_BODY);
    if (h->opts.head) {
        x->asked = true;
        h->opts.head(h->opts.user, x);
    }
    if (x->begun || x->ended) {
        if (x->head.chunked || x->head.length) c->close_after = c->unread = true;
        enter(c, CONN_BUSY);
    } else if (x->head.expects_continue && waiting(c) == 0) {
        if (evbuffer_add(c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25))
            vg_conn_kill(c, "no memory for an answer");
        vg_conn_dirty(c);
    }
}

/* True when the state went on. */
static bool read_head(vg_conn *c)
{
    char why[VG_HTTP_WHY];
    const char *p = came(c);
    int code = vg_http_scan_head(&c->scan, &c->h->limits, p, waiting(c), why);
    if (!code && !c->scan.done) return false;
    vg_exchange *x = code ? NULL : vg_exchange_new(c);
    if (!code && !x) {
        vg_conn_kill(c, "no memory for a request");
        return true;
    }
    if (x) code = vg_http_parse_head(&x->head, x->arena, &c->h->limits, p, c->scan.at, why);
    if (x) use_up(c, c->scan.at);
    if (code) {
        c->x = x;
        vg_conn_refuse(c, code, why);
        return true;
    }
    vg_exchange_set_id(x);
    take_head(c, x);
    return true;
}

static void ask(vg_conn *c)
{
    vg_exchange *x = c->x;
    x->whole = x->asked = true;
    enter(c, CONN_BUSY);
    c->h->opts.request(c->h->opts.user, x);
}

static bool read_body(vg_conn *c)
{
    vg_exchange *x = c->x;
    vg_http *h = c->h;
    char why[VG_HTTP_WHY];
    const char *p = came(c);
    size_t used = 0, before = x->body.n;
    int code = 0;
    if (x->head.chunked) {
        code = vg_http_feed_chunks(&x->chunks, &h->limits, p, waiting(c), &used, &x->body, why);
    } else {
        used = (size_t)VG_MIN((uint64_t)waiting(c), x->head.length - x->body.n);
        vg_buf_add(&x->body, p, used);
    }
    h->stats.body_bytes += x->body.n - before;
    if (!code && (x->body.failed || h->stats.body_bytes > h->limits.max_bodies_bytes)) {
        snprintf(why, sizeof why, "no memory for the request's body now");
        code = 503;
    }
    if (code) {
        vg_conn_refuse(c, code, why);
        return true;
    }
    use_up(c, used);
    bool whole = x->head.chunked ? x->chunks.done : x->body.n == x->head.length;
    if (whole) ask(c);
    else arm_body(c);
    return whole;
}

/* Goes on as far as what came in allows. */
static void advance(vg_conn *c)
{
    bool more = true;
    while (more && !c->end) {
        more = false;
        if (c->state == CONN_IDLE && waiting(c)) {
            enter(c, CONN_HEAD);
            more = true;
        } else if (c->state == CONN_HEAD) {
            more = read_head(c);
        } else if (c->state == CONN_BODY) {
            more = read_body(c);
        }
    }
}

static void shake(vg_conn *c)
{
    char why[VG_HTTP_WHY];
    switch (vg_tls_shake(c, why)) {
    case VG_TLS_DONE:
        enter(c, CONN_IDLE);
        arm_ms(c, c->h->limits.head_ms);
        return;
    case VG_TLS_MORE:
        return;
    case VG_TLS_PLAIN:
        SSL_free(c->ssl);
        c->ssl = NULL;
        vg_conn_refuse(c, 400, "this port speaks TLS: the address begins with https://");
        return;
    case VG_TLS_FAILED:
        vg_http_log(c->h, VG_HTTP_INFO, "%s: %s", c->address, why);
        vg_conn_kill(c, "the TLS handshake failed");
    }
}

/* The client sends no more. What is already answered is still sent. */
static void ended(vg_conn *c)
{
    bool answered = c->state == CONN_LAST || (c->state == CONN_BUSY && c->x->ended);
    if (c->broken || !answered) vg_conn_kill(c, "the client is gone");
    c->close_after = true;
}

static void read_some(vg_conn *c)
{
    char buf[VG_HTTP_READ];
    ptrdiff_t n = vg_conn_recv(c, buf, sizeof buf);
    bool keep = c->state != CONN_LAST && c->state != CONN_LINGER;
    if (n > 0 && keep) {
        put_in(c, buf, (size_t)n);
        advance(c);
    }
    if (n < 0) ended(c);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    vg_conn *c = arg;
    VG_UNUSED(fd);
    if (what & EV_CLOSED) {
        c->eof = true;
        ended(c);
    } else if (c->state == CONN_SHAKE) {
        shake(c);
    } else {
        read_some(c);
    }
    vg_conn_settle(c);
}

/* ---- going out ------------------------------------------------------------------------------ */

/* Closing a socket that has unread bytes sends a reset, which can overtake the answer. */
static void finish(vg_conn *c)
{
    bool unread = c->state == CONN_LAST || c->unread || waiting(c);
    vg_conn_shut(c);
    if (unread && !c->eof) enter(c, CONN_LINGER);
    else vg_conn_kill(c, "done");
}

static void all_sent(vg_conn *c)
{
    if (c->state == CONN_LAST) {
        finish(c);
    } else if (c->state == CONN_BUSY && c->x->ended) {
        drop_exchange(c);
        if (c->close_after || c->h->draining) {
            finish(c);
            return;
        }
        list_remove(c);
        list_append(c);
        enter(c, CONN_IDLE);
        advance(c);
    }
}

static void flush(vg_conn *c)
{
    if (c->end) return;
    size_t before = evbuffer_get_length(c->out);
    if (!vg_conn_send(c)) {
        vg_conn_kill(c, "the client is gone");
        return;
    }
    size_t left = evbuffer_get_length(c->out);
    vg_exchange *x = c->x;
    if (c->blocked && event_add(&c->write_ev, NULL)) vg_conn_kill(c, "no event");
    if (c->blocked && (left < before || c->deadline_ns == 0)) arm_ms(c, c->h->limits.stall_ms);
    if (!c->blocked && c->state >= CONN_BUSY && c->state != CONN_LINGER) c->deadline_ns = 0;
    if (x && x->was_full && left <= c->h->limits.low_bytes) {
        x->was_full = false;
        if (c->h->opts.drained && !x->ended) c->h->opts.drained(c->h->opts.user, x);
    }
    if (left == 0) all_sent(c);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
    vg_conn *c = arg;
    VG_UNUSED(fd), VG_UNUSED(what);
    bool wanted = c->tls_wants_write; /* TLS wrote while it was reading, and could not */
    c->tls_wants_write = false;
    if (c->state == CONN_SHAKE) {
        shake(c);
    } else {
        if (wanted) read_some(c);
        flush(c);
    }
    vg_conn_settle(c);
}

void vg_conn_flush_all(vg_http *h)
{
    for (vg_conn *c; (c = h->dirty_first);) {
        clean(c);
        if (!c->blocked) flush(c);
        vg_conn_settle(c);
    }
}

/* ---- the beginning -------------------------------------------------------------------------- */

vg_conn *vg_conn_new(vg_http *h, int fd, const char *address, bool is_local)
{
    vg_conn *c = vg_mem_new(sizeof *c);
    if (!c) return NULL;
    c->out = evbuffer_new();
    if (!c->out) {
        vg_mem_free(c);
        return NULL;
    }
    c->h = h;
    c->fd = fd;
    c->is_local = is_local;
    snprintf(c->address, sizeof c->address, "%s", address);
    vg_buf_init(&c->in, h->limits.max_head_bytes + VG_HTTP_READ);
    event_assign(&c->read_ev, h->base, fd, EV_READ | EV_PERSIST, on_read, c);
    event_assign(&c->write_ev, h->base, fd, EV_WRITE, on_write, c);
    evtimer_assign(&c->timer_ev, h->base, on_timer, c);
    list_append(c);
    h->stats.connections++;
    h->stats.accepted++;
    if (h->tls && strcmp(address, "unix") != 0) {
        enter(c, CONN_SHAKE);
        if (!vg_tls_attach(c)) vg_conn_kill(c, "no memory for TLS");
    } else {
        enter(c, CONN_IDLE);
        arm_ms(c, h->limits.head_ms);
    }
    return c;
}

bool vg_conn_is_idle(const vg_conn *c)
{
    return c->state == CONN_IDLE || c->state == CONN_LINGER;
}

void vg_conn_drain(vg_conn *c)
{
    c->close_after = true;
    if (c->state == CONN_IDLE) vg_conn_kill(c, "the server stops");
    vg_conn_settle(c);
}
