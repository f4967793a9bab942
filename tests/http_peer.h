/* http_peer.h: a server on a thread of its own and a client that says exactly what it is told to.
 *
 *     peer_server s;
 *     peer_start(&s, &opts);
 *     peer p = peer_connect(&s);
 *     peer_say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
 *     peer_hear(&p); // one whole answer, in p.code, p.head and p.body
 *     peer_close(&p);
 *     peer_stop(&s);
 *
 * Nothing here sleeps; a wait that nothing ends fails the test after PEER_PATIENCE_MS. */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "serve/http.h"
#include "test.h"

enum { PEER_PATIENCE_MS = 60000, PEER_BYTES = 1 << 20 };

typedef struct peer_server {
    vg_http *h;
    pthread_t thread;
    uint16_t port;
    vg_status status;
} peer_server;

typedef struct peer {
    int fd;
    int code;                /* of the last answer */
    bool is_chunked, at_end; /* at_end: the server closed */
    char *in;                /* what came and is not heard yet */
    size_t n_in;
    char *head, *body; /* of the last answer, NUL-terminated */
    size_t n_body, body_room;
} peer;

static inline void *peer_run(void *arg)
{
    peer_server *s = arg;
    s->status = vg_http_run(s->h, NULL);
    return NULL;
}

static inline void peer_start(peer_server *s, const vg_http_opts *opts)
{
    vg_err err;
    *s = (peer_server){0};
    TEST_OK(vg_http_new(&s->h, opts, &err));
    TEST_OK(vg_http_listen_tcp(s->h, "127.0.0.1", 0, &s->port, &err));
    assert_int_equal(pthread_create(&s->thread, NULL, peer_run, s), 0);
}

static inline void peer_stop(peer_server *s)
{
    vg_http_stop(s->h);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    assert_int_equal(s->status, VG_OK);
    vg_http_free(s->h);
}

static inline peer peer_connect(const peer_server *s)
{
    peer p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(s->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(p.fd >= 0);
    assert_int_equal(connect(p.fd, (void *)&a, sizeof a), 0);
    return p;
}

static inline void peer_close(peer *p)
{
    if (p->fd >= 0) close(p->fd);
    free(p->in);
    free(p->head);
    free(p->body);
    *p = (peer){.fd = -1};
}

/* Sends all of it; false when the server no longer takes it. */
static inline bool peer_send(peer *p, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n) {
        ssize_t k = send(p->fd, at, n, MSG_NOSIGNAL);
        if (k < 0) return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool peer_say(peer *p, const char *text)
{
    return peer_send(p, text, strlen(text));
}

/* More bytes into p->in; false at the end. */
static inline bool peer_take(peer *p)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};
    if (poll(&f, 1, PEER_PATIENCE_MS) != 1) fail_msg("the server says nothing");
    p->in = realloc(p->in, p->n_in + 65536 + 1);
    assert_non_null(p->in);
    ssize_t k = recv(p->fd, p->in + p->n_in, 65536, 0);
    p->at_end = k <= 0;
    if (k > 0) p->n_in += (size_t)k;
    p->in[p->n_in] = '\0';
    return k > 0;
}

static inline void peer_drop(peer *p, size_t n)
{
    p->n_in -= n;
    memmove(p->in, p->in + n, p->n_in + 1);
}

static inline void peer_need(peer *p, size_t n)
{
    while (p->n_in < n)
        if (!peer_take(p)) fail_msg("the answer ends after %zu bytes", p->n_in);
}

static inline const char *peer_line(peer *p, size_t from)
{
    const char *end;
    while (!p->in || !(end = strstr(p->in + from, "\r\n")))
        if (!peer_take(p)) fail_msg("the answer ends in a line");
    return end;
}

/* The value of a header of the last answer, or NULL; valid until the next call. */
static inline const char *peer_header(const peer *p, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(p->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') return line + 4 + n;
    return NULL;
}

static inline void peer_hear_chunks(peer *p)
{
    for (size_t n = 1; n;) {
        const char *end = peer_line(p, 0);
        n = strtoul(p->in, NULL, 16);
        peer_drop(p, (size_t)(end + 2 - p->in));
        peer_need(p, n + 2);
        if (p->body_room < p->n_body + n + 1) {
            p->body_room = 2 * (p->n_body + n + 1);
            p->body = realloc(p->body, p->body_room);
        }
        assert_non_null(p->body);
        memcpy(p->body + p->n_body, p->in, n);
        p->n_body += n;
        p->body[p->n_body] = '\0';
        peer_drop(p, n + 2);
    }
}

/* The head of the next answer. */
static inline void peer_hear_head(peer *p)
{
    const char *end;
    while (!p->in || !(end = strstr(p->in, "\r\n\r\n")))
        if (!peer_take(p)) fail_msg("no whole head came: %s", p->in ? p->in : "");
    size_t n = (size_t)(end - p->in);
    free(p->head);
    p->head = malloc(n + 3);
    assert_non_null(p->head);
    memcpy(p->head, p->in, n);
    memcpy(p->head + n, "\r\n", 3);
    peer_drop(p, n + 4);
    p->code = atoi(p->head + 9);
    const char *coding = peer_header(p, "transfer-encoding");
    p->is_chunked = coding && strncmp(coding, "chunked", 7) == 0;
}

static inline void peer_hear(peer *p)
{
    peer_hear_head(p);
    const char *length = peer_header(p, "content-length");
    free(p->body);
    p->body = calloc(1, 1);
    p->n_body = p->body_room = 0;
    if (p->is_chunked) {
        peer_hear_chunks(p);
    } else if (length) {
        p->n_body = strtoul(length, NULL, 10);
        peer_need(p, p->n_body);
        p->body = realloc(p->body, p->n_body + 1);
        assert_non_null(p->body);
        if (p->n_body) memcpy(p->body, p->in, p->n_body);
        p->body[p->n_body] = '\0';
        peer_drop(p, p->n_body);
    } else if (p->code >= 200 && p->code != 204 && p->code != 304) {
        while (peer_take(p)) continue;
        free(p->body);
        p->body = p->in;
        p->n_body = p->n_in;
        p->in = NULL;
        p->n_in = 0;
    }
}

/* True when the server closed and nothing more came. */
static inline bool peer_is_over(peer *p)
{
    if (p->n_in) return false;
    return !peer_take(p);
}
#endif
