/* Connections over epoll. A connection is kept after a whole answer, as clients of these APIs do;
 * one that the server has closed while it lay idle is replaced without counting a fault, once for
 * each request. All times of one turn of the loop are the time at which epoll returned, so that
 * reading a hundred streams does not make the last of them look slow. */
#include "app/bench_serve_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { REQUEST_CAP_BYTES = 1 << 30, REFUSAL_CAP_BYTES = 16384, ARENA_CAP_BYTES = 64 << 20 };

vg_status bench_net_begin(bench_net *n, const bench_target *t, vg_err *err)
{
    n->target = t;
    n->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (n->epoll < 0) return VG_FAIL(err, VG_E_IO, "epoll: %s", strerror(errno));
    return vg_arena_new(&n->arena, ARENA_CAP_BYTES, err);
}

void bench_net_end(bench_net *n)
{
    if (n->epoll >= 0) close(n->epoll);
    vg_arena_free(n->arena);
    n->arena = NULL;
}

void bench_conn_init(bench_conn *c)
{
    *c = (bench_conn){.fd = -1};
    vg_buf_init(&c->out, REQUEST_CAP_BYTES);
    vg_buf_init(&c->refusal, REFUSAL_CAP_BYTES);
}

static void close_conn(bench_conn *c)
{
    if (c->fd >= 0) close(c->fd); /* leaves epoll by itself */
    c->fd = -1;
    c->watched = 0;
    c->connecting = c->reused = false;
}

void bench_conn_clear(bench_conn *c)
{
    close_conn(c);
    vg_buf_clear(&c->out);
    vg_buf_clear(&c->refusal);
    bench_sse_clear(&c->sse);
}

void bench_conn_stop(bench_conn *c, bench_outcome outcome)
{
    close_conn(c);
    c->outcome = outcome;
}

void bench_conn_fail(bench_conn *c, bench_fault fault, const char *why)
{
    bench_conn_stop(c, BENCH_FAILED);
    c->fault = fault;
    snprintf(c->why, sizeof c->why, "%.*s", (int)sizeof c->why - 1, why);
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool watch(bench_net *n, bench_conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data = {.ptr = c}};
    if (c->watched == events) return true;
    bool good = epoll_ctl(n->epoll, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) == 0;
    c->watched = good ? events : c->watched;
    return good;
}

static bool open_conn(bench_net *n, bench_conn *c)
{
    int one = 1;
    const struct sockaddr *addr = (const struct sockaddr *)&n->target->addr;
    c->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return false;
    if (addr->sa_family != AF_UNIX)
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->connecting = connect(c->fd, addr, n->target->n_addr) != 0;
    return (!c->connecting || errno == EINPROGRESS) && watch(n, c, EPOLLIN | EPOLLOUT);
}

/* A kept connection that turns out to be gone before a byte of the answer came is no fault of the
 * server: the request goes out again on a new one. */
static bool again(bench_net *n, bench_conn *c)
{
    if (!c->reused || c->n_received > 0) return false;
    close_conn(c);
    c->n_sent = 0;
    n->n_again++;
    if (!open_conn(n, c)) bench_conn_fail(c, BENCH_FAULT_CONNECT, strerror(errno));
    return true;
}

static void send_more(bench_net *n, bench_conn *c)
{
    while (c->n_sent < c->out.n) {
        ssize_t sent = send(c->fd, c->out.data + c->n_sent, c->out.n - c->n_sent, MSG_NOSIGNAL);
        if (sent > 0) {
            c->n_sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            (void)watch(n, c, EPOLLIN | EPOLLOUT);
            return;
        } else if (errno != EINTR) {
            /* What the server said before it hung up is still to be read. */
            if (errno == EPIPE || errno == ECONNRESET) break;
            bench_conn_fail(c, BENCH_FAULT_CONNECT, strerror(errno));
            return;
        }
    }
    c->n_sent = c->out.n;
    (void)watch(n, c, EPOLLIN);
    if (c->request.cancel_at == 0) bench_conn_stop(c, BENCH_CANCELLED);
}

void bench_conn_send(bench_net *n, bench_conn *c, uint64_t begin_ns, uint64_t now_ns)
{
    bench_http_begin(&c->http);
    bench_sse_begin(&c->sse);
    vg_buf_reset(&c->refusal);
    c->outcome = BENCH_RUNNING;
    c->begin_ns = begin_ns;
    c->heard_ns = now_ns;
    c->n_sent = 0;
    c->n_received = c->n_events = c->prompt_tok = c->generated_tok = 0;
    c->ended = c->has_usage = false;
    c->reused = c->fd >= 0;
    if (c->reused) send_more(n, c);
    else if (!open_conn(n, c)) bench_conn_fail(c, BENCH_FAULT_CONNECT, strerror(errno));
    else if (!c->connecting) send_more(n, c);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static double ms_since(uint64_t from_ns, uint64_t now_ns)
{
    return now_ns > from_ns ? (double)(now_ns - from_ns) * 1e-6 : 0;
}

/* One event of the stream; false where it ends the request. */
static bool take_event(bench_net *n, bench_conn *c, vg_str data, uint64_t now_ns)
{
    bench_event ev;
    vg_err err;
    if (bench_event_read(n->arena, data, &ev, &err)) {
        bench_conn_fail(c, BENCH_FAULT_FORMAT, err.msg);
        return false;
    }
    if (*ev.error) {
        bench_conn_fail(c, BENCH_FAULT_EVENT, ev.error);
        return false;
    }
    c->ended |= ev.done || ev.finished;
    if (ev.has_usage) {
        c->has_usage = true;
        c->prompt_tok = ev.prompt_tok;
        c->generated_tok = ev.generated_tok;
    }
    if (!ev.has_text) return true;
    if (c->n_events == 0) bench_hist_add(&n->window->first, ms_since(c->begin_ns, now_ns));
    else bench_hist_add(&n->window->gap, ms_since(c->token_ns, now_ns));
    c->token_ns = now_ns;
    c->n_events++;
    n->window->n_events++;
    if (c->n_events < c->request.cancel_at) return true;
    bench_conn_stop(c, BENCH_CANCELLED);
    return false;
}

/* A piece of the body; false where the request has ended. */
static bool take_body(bench_net *n, bench_conn *c, vg_str body, uint64_t now_ns)
{
    vg_str data;
    vg_err err;
    if (c->http.status != 200 || !c->http.is_events) {
        size_t room = REFUSAL_CAP_BYTES - 1 - VG_MIN(c->refusal.n, (size_t)REFUSAL_CAP_BYTES - 1);
        vg_buf_add(&c->refusal, body.p, VG_MIN(body.n, room));
        return true;
    }
    while (bench_sse_take(&c->sse, &body, &data))
        if (!take_event(n, c, data, now_ns)) return false;
    if (!bench_sse_check(&c->sse, &err)) return true;
    bench_conn_fail(c, BENCH_FAULT_FORMAT, err.msg);
    return false;
}

/* The answer is whole: what was it? */
static void finish(bench_net *n, bench_conn *c)
{
    char text[BENCH_EVENT_ERROR], why[BENCH_EVENT_ERROR + 32];
    int status = c->http.status;
    if (status == 200 && c->http.is_events && c->ended) {
        if (c->http.closes) close_conn(c);
        c->outcome = BENCH_DONE;
        return;
    }
    if (status == 200 && c->http.is_events) {
        bench_conn_fail(c, BENCH_FAULT_CUT, "the stream ended without [DONE] or finish_reason");
        return;
    }
    bench_error_text(n->arena, (vg_str){c->refusal.data, c->refusal.n}, text);
    snprintf(why, sizeof why, "HTTP %d: %s", status, text);
    bench_fault fault = status == 429 ? BENCH_FAULT_BUSY
                        : status >= 500 ? BENCH_FAULT_5XX
                        : status >= 400 ? BENCH_FAULT_4XX : BENCH_FAULT_FORMAT;
    if (status == 200) bench_conn_fail(c, fault, "no stream of events (text/event-stream)");
    else bench_conn_fail(c, fault, why);
}

static void take_bytes(bench_net *n, bench_conn *c, vg_str in, uint64_t now_ns)
{
    vg_str body;
    vg_err err;
    c->heard_ns = now_ns;
    c->n_received += in.n;
    while (in.n > 0 && !bench_http_done(&c->http)) {
        if (bench_http_take(&c->http, &in, &body, &err)) {
            bench_conn_fail(c, BENCH_FAULT_FORMAT, err.msg);
            return;
        }
        if (!take_body(n, c, body, now_ns)) return;
    }
    if (bench_http_done(&c->http)) finish(n, c);
}

/* The server has hung up; `error`: how, 0 being in order. */
static void take_close(bench_net *n, bench_conn *c, int error)
{
    vg_err err;
    if (again(n, c)) return;
    vg_status st = bench_http_closed(&c->http, &err);
    close_conn(c);
    if (!st && !error) finish(n, c);
    else bench_conn_fail(c, BENCH_FAULT_CUT, error ? strerror(error) : err.msg);
}

static void receive(bench_net *n, bench_conn *c, uint64_t now_ns)
{
    while (c->outcome == BENCH_RUNNING && c->fd >= 0) {
        ssize_t got = recv(c->fd, n->bytes, sizeof n->bytes, 0);
        if (got > 0) take_bytes(n, c, (vg_str){n->bytes, (size_t)got}, now_ns);
        else if (got < 0 && errno == EINTR) continue;
        else if (got < 0 && errno == EAGAIN) return;
        else take_close(n, c, got < 0 ? errno : 0);
        if (got > 0 && (size_t)got < sizeof n->bytes) return; /* epoll tells of what comes later */
    }
}

bool bench_conn_ready(bench_net *n, bench_conn *c, uint32_t events, uint64_t now_ns)
{
    if (c->fd < 0) return false;
    if (c->outcome != BENCH_RUNNING) { /* it lay idle: closed by the server, or words too many */
        close_conn(c);
        return false;
    }
    if (c->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int error = 0;
        socklen_t size = sizeof error;
        (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        c->connecting = false;
        if (error) bench_conn_fail(c, BENCH_FAULT_CONNECT, strerror(error));
    }
    if (c->outcome == BENCH_RUNNING && !c->connecting && c->n_sent < c->out.n &&
        (events & EPOLLOUT))
        send_more(n, c);
    if (c->outcome == BENCH_RUNNING && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(n, c, now_ns);
    return c->outcome != BENCH_RUNNING;
}
