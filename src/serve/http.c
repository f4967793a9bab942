/* The server: its loop, what other threads may hand to it, and how it stops. Everything runs on the
 * thread that called vg_http_run; others reach it through an eventfd, so no lock is held while a
 * request is worked on and libevent needs no threads of its own. Stopping is a state, not an event:
 * listeners close, idle connections end, busy ones after their answer, and what is left when the
 * time is up is cut. */
#include "serve/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/http_int.h"

enum { MAX_POSTS = 65536 };

struct vg_posts {
    pthread_mutex_t lock;
    post *item; /* [cap] */
    size_t n, cap;
};

void vg_http_log(vg_http *h, vg_http_level level, const char *fmt, ...)
{
    char text[500];
    va_list ap;
    if (!h->opts.log) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    h->opts.log(h->opts.user, level, text);
}

/* RFC 9110, 5.6.7; made once a second. */
const char *vg_http_date(vg_http *h)
{
    time_t now = time(NULL);
    if (now == h->date_s && h->date[0]) return h->date;
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm t;
    gmtime_r(&now, &t);
    snprintf(h->date, sizeof h->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
             days + 3 * t.tm_wday, t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour,
             t.tm_min, t.tm_sec);
    h->date_s = now;
    return h->date;
}

/* ---- posts ---------------------------------------------------------------------------------- */

static void wake(vg_http *h)
{
    uint64_t one = 1;
    /* Full means that a wake-up is waiting already. */
    if (write(h->wake_fd, &one, sizeof one) < 0) return;
}

bool vg_http_post(vg_http *h, void (*fn)(void *arg), void *arg)
{
    struct vg_posts *p = h->posts;
    bool fits = true;
    pthread_mutex_lock(&p->lock);
    if (p->n == p->cap) {
        size_t cap = VG_MAX(p->cap * 2, (size_t)64);
        post *item = cap <= MAX_POSTS
                         ? vg_mem_grow(p->item, p->cap * sizeof *item, cap * sizeof *item)
                         : NULL;
        fits = item != NULL;
        if (fits) p->item = item, p->cap = cap;
    }
    if (fits) p->item[p->n++] = (post){fn, arg};
    bool first = fits && p->n == 1;
    pthread_mutex_unlock(&p->lock);
    if (first) wake(h);
    return fits;
}

/* Those that are there now; what they post comes in the next turn. */
static void run_posts(vg_http *h)
{
    struct vg_posts *p = h->posts;
    pthread_mutex_lock(&p->lock);
    post *item = p->item;
    size_t n = p->n;
    p->item = NULL;
    p->n = p->cap = 0;
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n; i++) item[i].fn(item[i].arg);
    vg_mem_free(item);
}

/* ---- stopping ------------------------------------------------------------------------------- */

void vg_http_stop(vg_http *h)
{
    atomic_fetch_add(&h->stops, 1);
    wake(h);
}

bool vg_http_stopping(const vg_http *h)
{
    return atomic_load(&h->stops) > 0;
}

static void each(vg_http *h, void (*fn)(vg_conn *c))
{
    for (vg_conn *c = h->first, *next; c; c = next) {
        next = c->next;
        fn(c);
    }
}

static void cut(vg_conn *c)
{
    vg_conn_kill(c, "the server stops");
    vg_conn_settle(c);
}

static void cut_all(vg_http *h)
{
    size_t n = h->stats.exchanges;
    if (n) vg_http_log(h, VG_HTTP_WARN, "stopping: %zu answers are cut", n);
    each(h, cut);
}

static void on_drained(evutil_socket_t fd, short what, void *arg)
{
    VG_UNUSED(fd), VG_UNUSED(what);
    cut_all(arg);
}

static void begin_draining(vg_http *h)
{
    h->draining = true;
    vg_http_listen_end(h);
    each(h, vg_conn_drain);
    struct timeval tv = {.tv_sec = h->limits.drain_ms / 1000,
                         .tv_usec = h->limits.drain_ms % 1000 * 1000 + 1};
    if (!h->first) event_base_loopbreak(h->base);
    else if (evtimer_add(&h->drain_ev, &tv)) cut_all(h);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    vg_http *h = arg;
    uint64_t n;
    VG_UNUSED(what);
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN)
        vg_http_log(h, VG_HTTP_ERROR, "eventfd: %s", strerror(errno));
    run_posts(h);
    unsigned stops = atomic_load(&h->stops);
    if (stops && !h->draining) begin_draining(h);
    if (stops > 1) cut_all(h);
}

void vg_http_conn_gone(vg_http *h)
{
    if (h->draining && !h->first) event_base_loopbreak(h->base);
    vg_http_accept_again(h);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    VG_UNUSED(fd), VG_UNUSED(what);
    vg_conn_flush_all(arg);
}

/* ---- the loop ------------------------------------------------------------------------------- */

vg_status vg_http_run(vg_http *h, vg_err *err)
{
    /* Writing to a client that is gone raises SIGPIPE; it is kept from this thread, and one that
     * is pending at the end is taken away, unless it was blocked before. */
    sigset_t pipe_set, before;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &before);
    int rc = event_base_loop(h->base, EVLOOP_NO_EXIT_ON_EMPTY);
    vg_http_listen_end(h);
    each(h, cut);
    if (!sigismember(&before, SIGPIPE)) {
        struct timespec now = {0};
        while (sigtimedwait(&pipe_set, NULL, &now) > 0) continue;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc < 0 ? VG_FAIL(err, VG_E_IO, "the event loop failed: %s", strerror(errno)) : VG_OK;
}

vg_http_stats vg_http_stats_of(const vg_http *h)
{
    vg_http_stats s = h->stats;
    for (const vg_conn *c = h->first; c; c = c->next)
        s.backlog_bytes += evbuffer_get_length(c->out);
    return s;
}

/* ---- watches -------------------------------------------------------------------------------- */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    vg_watch *w = arg;
    VG_UNUSED(fd), VG_UNUSED(what);
    w->fn(w->user);
}

static vg_status new_watch(vg_watch **out, vg_http *h, int fd, void (*fn)(void *user), void *user,
                           vg_err *err)
{
    vg_watch *w = vg_mem_new(sizeof *w);
    if (!w) return VG_FAIL_MEMORY(err, sizeof *w);
    *w = (vg_watch){.fn = fn, .user = user};
    event_assign(&w->ev, h->base, fd, (short)(fd >= 0 ? EV_READ | EV_PERSIST : 0), on_watch, w);
    if (fd >= 0 && event_add(&w->ev, NULL)) {
        vg_mem_free(w);
        return VG_FAIL(err, VG_E_IO, "cannot watch descriptor %d: %s", fd, strerror(errno));
    }
    *out = w;
    return VG_OK;
}

vg_status vg_http_watch_fd(vg_watch **out, vg_http *h, int fd, void (*fn)(void *user), void *user,
                           vg_err *err)
{
    assert(fd >= 0);
    return new_watch(out, h, fd, fn, user, err);
}

vg_status vg_http_watch_timer(vg_watch **out, vg_http *h, void (*fn)(void *user), void *user,
                              vg_err *err)
{
    return new_watch(out, h, -1, fn, user, err);
}

vg_status vg_watch_after(vg_watch *w, uint32_t ms, vg_err *err)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return event_add(&w->ev, &tv) ? VG_FAIL(err, VG_E_NO_MEMORY, "no memory for a timer") : VG_OK;
}

void vg_watch_free(vg_watch *w)
{
    if (!w) return;
    event_del(&w->ev);
    vg_mem_free(w);
}

/* ---- new and free --------------------------------------------------------------------------- */

#define DEFAULT(field, value)                                                                      \
    if (!l.field) l.field = (value)

static vg_http_limits with_defaults(vg_http_limits l)
{
    DEFAULT(max_line_bytes, 8192);
    DEFAULT(max_head_bytes, 32768);
    DEFAULT(max_headers, 100);
    DEFAULT(max_body_bytes, (size_t)32 << 20);
    DEFAULT(max_bodies_bytes, (size_t)256 << 20);
    DEFAULT(max_backlog_bytes, (size_t)64 << 20);
    DEFAULT(max_connections, 4096);
    DEFAULT(max_per_address, 512);
    DEFAULT(head_ms, 10000);
    DEFAULT(body_ms, 10000);
    DEFAULT(min_body_rate, 1024);
    DEFAULT(idle_ms, 75000);
    DEFAULT(stall_ms, 60000);
    DEFAULT(drain_ms, 30000);
    DEFAULT(high_bytes, 65536);
    DEFAULT(low_bytes, 16384);
    return l;
}

static vg_status new_loop(vg_http *h, vg_err *err)
{
    h->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (h->wake_fd < 0) return VG_FAIL(err, VG_E_IO, "eventfd: %s", strerror(errno));
    h->base = event_base_new();
    if (!h->base) return VG_FAIL(err, VG_E_IO, "no event loop: %s", strerror(errno));
    event_assign(&h->flush_ev, h->base, -1, 0, on_flush, h);
    event_assign(&h->wake_ev, h->base, h->wake_fd, EV_READ | EV_PERSIST, on_wake, h);
    evtimer_assign(&h->drain_ev, h->base, on_drained, h);
    vg_http_listen_init(h);
    if (event_add(&h->wake_ev, NULL)) return VG_FAIL(err, VG_E_IO, "cannot watch an eventfd");
    return VG_OK;
}

vg_status vg_http_new(vg_http **out, const vg_http_opts *opts, vg_err *err)
{
    if (!opts->request) return VG_FAIL(err, VG_E_USAGE, "vg_http_new: no request callback");
    vg_http *h = vg_mem_new(sizeof *h);
    if (!h) return VG_FAIL_MEMORY(err, sizeof *h);
    h->opts = *opts;
    h->limits = with_defaults(opts->limits);
    h->wake_fd = -1;
    h->posts = vg_mem_new(sizeof *h->posts);
    if (!h->posts) {
        vg_mem_free(h);
        return VG_FAIL_MEMORY(err, sizeof *h->posts);
    }
    pthread_mutex_init(&h->posts->lock, NULL);
    vg_status st = VG_OK;
    if (getrandom(&h->id_base, sizeof h->id_base, 0) != sizeof h->id_base)
        st = VG_FAIL(err, VG_E_IO, "getrandom: %s", strerror(errno));
    if (!st) st = new_loop(h, err);
    if (!st && (opts->tls_cert || opts->tls_key))
        st = vg_tls_new(&h->tls, opts->tls_cert, opts->tls_key, err);
    if (st) vg_http_free(h);
    else *out = h;
    return st;
}

void vg_http_free(vg_http *h)
{
    if (!h) return;
    vg_http_listen_end(h);
    each(h, cut);
    if (h->base) {
        event_del(&h->flush_ev);
        event_del(&h->wake_ev);
        event_del(&h->drain_ev);
        event_del(&h->accept_ev);
        event_base_free(h->base);
    }
    if (h->tls) SSL_CTX_free(h->tls);
    if (h->wake_fd >= 0) close(h->wake_fd);
    pthread_mutex_destroy(&h->posts->lock);
    vg_mem_free(h->posts->item);
    vg_mem_free(h->posts);
    vg_mem_free(h);
}
