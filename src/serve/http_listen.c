/* Listening and accepting. A socket that is full of clients must never stop the loop or spin it:
 * beyond the limit of connections the longest idle one makes room, or the newcomer is told 503;
 * when the process is out of descriptors accepting pauses until one is free. A socket file is taken
 * over only when nobody answers behind it, and removed only while it is still ours. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "serve/http_int.h"

enum {
    BACKLOG = 512,
    ACCEPT_BATCH = 64, /* connections accepted in one turn of the loop */
    OVER_LIMIT = 64,   /* connections beyond the limit that get a 503 */
    PAUSE_MS = 100,    /* without descriptors */
    KEEPALIVE_S = 60
};

/* ---- accepting ------------------------------------------------------------------------------ */

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_UNIX) return true;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (a->ss_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = (const void *)a;
    const uint8_t *b = in6->sin6_addr.s6_addr;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && b[12] == 127);
}

static void address_text(const struct sockaddr_storage *a, socklen_t n, char out[VG_HTTP_ADDRESS])
{
    if (a->ss_family == AF_UNIX) {
        snprintf(out, VG_HTTP_ADDRESS, "unix");
        return;
    }
    char text[VG_HTTP_ADDRESS] = "?";
    getnameinfo((const void *)a, n, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    const char *shown = strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.') ? text + 7 : text;
    snprintf(out, VG_HTTP_ADDRESS, "%s", shown);
}

/* Notices within two minutes that the other machine has lost its power. */
static void set_options(int fd, int family)
{
    static const int on = 1, idle = KEEPALIVE_S, between = KEEPALIVE_S / 4, probes = 4;
    if (family == AF_UNIX) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static size_t connections_of(const vg_http *h, const char *address)
{
    size_t n = 0;
    for (const vg_conn *c = h->first; c; c = c->next) n += strcmp(c->address, address) == 0;
    return n;
}

static bool close_idle(vg_http *h)
{
    for (vg_conn *c = h->first; c; c = c->next)
        if (vg_conn_is_idle(c)) {
            vg_conn_kill(c, "idle, and its place is needed");
            vg_conn_settle(c);
            return true;
        }
    return false;
}

static void accepted(vg_http *h, int fd, const struct sockaddr_storage *a, socklen_t n)
{
    char address[VG_HTTP_ADDRESS];
    bool local = is_loopback(a);
    address_text(a, n, address);
    set_options(fd, a->ss_family);
    bool full = h->stats.connections >= h->limits.max_connections && !close_idle(h);
    bool many = !local && connections_of(h, address) >= h->limits.max_per_address;
    vg_conn *c = h->stats.connections >= (size_t)h->limits.max_connections + OVER_LIMIT
                     ? NULL
                     : vg_conn_new(h, fd, address, local);
    if (!c) {
        close(fd);
        return;
    }
    if (full) vg_conn_refuse(c, 503, "all connections of this server are in use");
    else if (many) vg_conn_refuse(c, 429, "too many connections from this address");
    vg_conn_settle(c);
}

static void pause_accepting(vg_http *h)
{
    struct timeval tv = {.tv_usec = PAUSE_MS * 1000};
    if (h->paused || evtimer_add(&h->accept_ev, &tv)) return;
    vg_http_log(h, VG_HTTP_WARN, "accept: %s; new clients have to wait", strerror(errno));
    h->paused = true;
    for (listener *l = h->listeners; l; l = l->next) event_del(&l->ev);
}

static void accept_some(listener *l)
{
    vg_http *h = l->h;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage a = {0};
        socklen_t n = sizeof a;
        int fd = accept4(l->fd, (void *)&a, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(h, fd, &a, n);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (!close_idle(h)) {
                pause_accepting(h);
                return;
            }
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINVAL) {
            return;
        } /* else that client is gone already (accept(2)); on to the next */
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    VG_UNUSED(fd), VG_UNUSED(what);
    accept_some(arg);
}

static void resume(vg_http *h)
{
    h->paused = false;
    for (listener *l = h->listeners; l; l = l->next)
        if (event_add(&l->ev, NULL)) vg_http_log(h, VG_HTTP_ERROR, "cannot accept any more");
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    VG_UNUSED(fd), VG_UNUSED(what);
    resume(arg);
}

void vg_http_accept_again(vg_http *h)
{
    if (!h->paused) return;
    event_del(&h->accept_ev);
    resume(h);
}

/* ---- listening ------------------------------------------------------------------------------ */

void vg_http_listen_init(vg_http *h)
{
    evtimer_assign(&h->accept_ev, h->base, on_pause_over, h);
}

static void remove_file(const listener *l)
{
    struct stat st;
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
}

/* Clients that are in the kernel's queue already are accepted: they came in time. */
void vg_http_listen_end(vg_http *h)
{
    h->paused = false;
    event_del(&h->accept_ev);
    while (h->listeners) {
        listener *l = h->listeners;
        if (h->draining) accept_some(l);
        h->listeners = l->next;
        event_del(&l->ev);
        remove_file(l);
        close(l->fd);
        vg_mem_free(l->path);
        vg_mem_free(l);
    }
}

/* Takes fd, also on failure. */
static vg_status add_listener(vg_http *h, int fd, const char *path, vg_err *err)
{
    listener *l = vg_mem_new(sizeof *l);
    char *copy = path && l ? vg_mem_new(strlen(path) + 1) : NULL;
    if (!l || (path && !copy)) {
        close(fd);
        vg_mem_free(l);
        return VG_FAIL_MEMORY(err, sizeof *l);
    }
    if (copy) memcpy(copy, path, strlen(path));
    struct stat st = {0};
    if (path && lstat(path, &st)) st.st_ino = 0;
    *l = (listener){.h = h, .fd = fd, .path = copy, .dev = st.st_dev, .ino = st.st_ino};
    event_assign(&l->ev, h->base, fd, EV_READ | EV_PERSIST, on_accept, l);
    if (event_add(&l->ev, NULL)) {
        close(fd);
        vg_mem_free(copy);
        vg_mem_free(l);
        return VG_FAIL(err, VG_E_IO, "cannot watch a listening socket");
    }
    l->next = h->listeners;
    h->listeners = l;
    return VG_OK;
}

static vg_status listen_at(vg_http *h, const struct addrinfo *ai, const char *host, uint16_t *port,
                           vg_err *err)
{
    static const int on = 1;
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    memcpy(&a, ai->ai_addr, ai->ai_addrlen);
    if (a.ss_family == AF_INET) ((struct sockaddr_in *)(void *)&a)->sin_port = htons(*port);
    else ((struct sockaddr_in6 *)(void *)&a)->sin6_port = htons(*port);
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return VG_FAIL(err, errno == EAFNOSUPPORT ? VG_E_NOT_FOUND : VG_E_IO, "socket for %s: %s",
                       host, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (void *)&a, ai->ai_addrlen) || listen(fd, BACKLOG) ||
        getsockname(fd, (void *)&a, &n)) {
        int why = errno;
        close(fd);
        bool absent = why == EADDRNOTAVAIL || why == EAFNOSUPPORT;
        return VG_FAIL(err, absent ? VG_E_NOT_FOUND : VG_E_IO, "cannot listen on %s port %u: %s",
                       host, *port, strerror(why));
    }
    *port = ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&a)->sin_port
                                         : ((struct sockaddr_in6 *)(void *)&a)->sin6_port);
    return add_listener(h, fd, NULL, err);
}

vg_status vg_http_listen_tcp(vg_http *h, const char *host, uint16_t port, uint16_t *bound,
                             vg_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(host, "0", &hints, &list);
    if (rc) return VG_FAIL(err, VG_E_NOT_FOUND, "cannot listen on %s: %s", host, gai_strerror(rc));
    vg_status st = VG_OK, absent = VG_OK;
    size_t n = 0;
    /* A name may have an address of a family that this machine does not have. */
    for (const struct addrinfo *ai = list; ai && !st; ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) continue;
        st = listen_at(h, ai, host, &port, err);
        if (st == VG_E_NOT_FOUND) absent = st, st = VG_OK;
        else if (!st) n++;
    }
    freeaddrinfo(list);
    if (!st && n == 0) st = absent; /* with the message of the last one */
    if (!st && bound) *bound = port;
    return st;
}

/* A socket file that nobody listens behind is what a killed server leaves. */
static vg_status clear_path(const struct sockaddr_un *a, vg_err *err)
{
    struct stat st;
    if (lstat(a->sun_path, &st))
        return errno == ENOENT ? VG_OK
                               : VG_FAIL(err, VG_E_IO, "%s: %s", a->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return VG_FAIL(err, VG_E_IO, "%s exists and is no socket", a->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return VG_FAIL(err, VG_E_IO, "socket: %s", strerror(errno));
    int rc = connect(fd, (const void *)a, sizeof *a), why = errno;
    close(fd);
    if (rc == 0 || why != ECONNREFUSED)
        return VG_FAIL(err, VG_E_IO, "%s: another server listens there", a->sun_path);
    if (unlink(a->sun_path))
        return VG_FAIL(err, VG_E_IO, "%s: cannot remove the socket of a dead server: %s",
                       a->sun_path, strerror(errno));
    return VG_OK;
}

vg_status vg_http_listen_unix(vg_http *h, const char *path, unsigned mode, vg_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return VG_FAIL(err, VG_E_LIMIT, "%s: a socket's path has at most %zu bytes", path,
                       sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path));
    VG_TRY(clear_path(&a, err));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return VG_FAIL(err, VG_E_IO, "socket: %s", strerror(errno));
    /* Nobody can connect before listen, so the mode is set in time. */
    if (bind(fd, (void *)&a, sizeof a) || chmod(path, mode ? mode : 0600) || listen(fd, BACKLOG)) {
        vg_status st = VG_FAIL(err, VG_E_IO, "cannot listen on %s: %s", path, strerror(errno));
        close(fd);
        return st;
    }
    return add_listener(h, fd, path, err);
}

bool vg_http_is_local(const vg_http *h)
{
    for (const listener *l = h->listeners; l; l = l->next) {
        struct sockaddr_storage a = {0};
        socklen_t n = sizeof a;
        if (getsockname(l->fd, (void *)&a, &n) || !is_loopback(&a)) return false;
    }
    return true;
}

vg_status vg_http_listen_fd(vg_http *h, int fd, vg_err *err)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) || !listens)
        return VG_FAIL(err, VG_E_USAGE, "descriptor %d is no listening socket", fd);
    if (evutil_make_socket_nonblocking(fd))
        return VG_FAIL(err, VG_E_IO, "descriptor %d: %s", fd, strerror(errno));
    return add_listener(h, fd, NULL, err);
}
