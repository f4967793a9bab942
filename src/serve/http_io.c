/* Bytes between a connection's buffers and its socket. An answer is sent by this thread at once and
 * waits for the socket only where that is full: a token costs one system call. SIGPIPE is blocked
 * by the loop's owner (http.c), so a client that is gone is an error like any other. */
#include <errno.h>
#include <sys/socket.h>

#include "serve/http_int.h"

ptrdiff_t vg_conn_recv(vg_conn *c, char *p, size_t n)
{
    ssize_t got;
    /* Once all is sent, what comes is only thrown away. */
    if (c->ssl && c->state != CONN_LINGER) return vg_tls_recv(c, p, n);
    do got = recv(c->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) return got;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    c->eof = true;
    c->broken = got < 0;
    return -1;
}

bool vg_conn_send(vg_conn *c)
{
    c->blocked = false;
    if (c->ssl) return vg_tls_send(c);
    while (evbuffer_get_length(c->out) > 0) {
        int n = evbuffer_write(c->out, c->fd);
        if (n > 0 || (n < 0 && errno == EINTR)) continue;
        if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return false;
        c->blocked = true;
        break;
    }
    return true;
}

void vg_conn_shut(vg_conn *c)
{
    if (c->ssl) vg_tls_shut(c);
    shutdown(c->fd, SHUT_WR);
}
