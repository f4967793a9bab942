/* http_int.h: what the transport's files share: the server, a connection, an exchange.
 *
 *     char buf[VG_HTTP_READ];
 *     ptrdiff_t n = vg_conn_recv(c, buf, sizeof buf);
 *     if (n < 0) vg_conn_kill(c, "the client is gone");
 *     vg_conn_settle(c); // the last thing that an event does with a connection: it may free it
 */
#ifndef VG_SERVE_HTTP_INT_H
#define VG_SERVE_HTTP_INT_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "serve/http.h"
#include "serve/http_parse.h"

enum {
    VG_HTTP_READ = 16384,  /* bytes taken from a socket at a time */
    VG_HTTP_ADDRESS = 64,  /* an address as text */
    VG_HTTP_ID = 64,       /* a request's id */
    VG_HTTP_EXTRA = 16384, /* headers that a handler adds */
    VG_HTTP_LINGER_MS = 2000
};

typedef struct vg_conn vg_conn;

typedef enum conn_state {
    CONN_SHAKE, /* TLS handshake */
    CONN_IDLE,  /* nothing of a request yet */
    CONN_HEAD,  /* a part of a head */
    CONN_BODY,  /* the head, a part of the body */
    CONN_BUSY,  /* the handler has the exchange, or its answer is on its way */
    CONN_LAST,  /* the transport's own refusal is on its way */
    CONN_LINGER /* all is sent; waits for the client's FIN, so that no RST eats the answer */
} conn_state;

struct vg_exchange {
    vg_conn *c;
    vg_arena *arena;
    vg_http_head head;
    vg_http_chunks chunks;
    vg_buf body, extra;
    void *user;
    uint64_t begun_ns, sent;
    int code;
    bool asked; /* `head` or `request` saw it, so `closed` must */
    bool begun, ended, whole, chunked, was_full, gone;
    char id[VG_HTTP_ID + 1];
};

struct vg_conn {
    vg_http *h;
    vg_conn *prev, *next;             /* all connections; the longest idle first */
    vg_conn *dirty_prev, *dirty_next; /* those with something to send at the end of this turn */
    struct event read_ev, write_ev, timer_ev;
    uint64_t deadline_ns, timer_ns; /* 0: none */
    uint64_t state_ns;              /* when the state began */
    int fd;
    conn_state state;
    SSL *ssl; /* NULL: plain */
    vg_http_scan scan;
    vg_buf in;
    size_t in_at; /* bytes of `in` that are used up */
    struct evbuffer *out;
    vg_exchange *x;
    const char *end; /* why it is to be freed; NULL: it is not */
    bool dirty, blocked, read_on, watch_hup, close_after, unread, is_local, eof, broken;
    bool tls_begun, tls_wants_write;
    char address[VG_HTTP_ADDRESS];
};

typedef struct post {
    void (*fn)(void *arg);
    void *arg;
} post;

typedef struct listener {
    struct listener *next;
    vg_http *h;
    struct event ev;
    int fd;
    uint64_t dev, ino; /* of our socket file, to remove no other */
    char *path;        /* NULL: TCP */
} listener;

struct vg_watch {
    struct event ev;
    void (*fn)(void *user);
    void *user;
};

struct vg_http {
    vg_http_opts opts;
    vg_http_limits limits;
    struct event_base *base;
    struct event flush_ev, wake_ev, drain_ev, accept_ev;
    SSL_CTX *tls; /* NULL: plain */
    listener *listeners;
    vg_conn *first, *last; /* connections */
    vg_conn *dirty_first, *dirty_last;
    vg_http_stats stats;
    uint64_t id_base, id_next;
    int wake_fd;
    atomic_uint stops; /* how often vg_http_stop was called */
    bool draining, paused;
    struct vg_posts *posts;
    time_t date_s;
    char date[40];
};

/* http_conn.c: what a connection's events do */
vg_conn *vg_conn_new(vg_http *h, int fd, const char *address, bool is_local);
/* Freed by the next settle; the first reason counts. */
void vg_conn_kill(vg_conn *c, const char *why);
void vg_conn_settle(vg_conn *c);
void vg_conn_dirty(vg_conn *c); /* something is to be sent or finished at the end of this turn */
void vg_conn_flush_all(vg_http *h);
/* The server stops: an idle one ends, another one does after its answer. */
void vg_conn_drain(vg_conn *c);
bool vg_conn_is_idle(const vg_conn *c);
/* Answers with an error of the transport's own and closes. */
void vg_conn_refuse(vg_conn *c, int code, const char *why);

/* http_io.c: bytes, with and without TLS. -1: the connection is at its end (c->eof: an orderly
 * one), 0: nothing now. */
ptrdiff_t vg_conn_recv(vg_conn *c, char *p, size_t n);
/* Sends what it can of c->out; false: the connection is broken. c->blocked tells whether some is
 * left. */
bool vg_conn_send(vg_conn *c);
void vg_conn_shut(vg_conn *c); /* says that nothing more will be sent */

/* http_tls.c */
typedef enum vg_tls_result { VG_TLS_DONE, VG_TLS_MORE, VG_TLS_PLAIN, VG_TLS_FAILED } vg_tls_result;
vg_status vg_tls_new(SSL_CTX **out, const char *cert, const char *key, vg_err *err);
bool vg_tls_attach(vg_conn *c);
vg_tls_result vg_tls_shake(vg_conn *c, char why[VG_HTTP_WHY]); /* PLAIN: no TLS comes */
ptrdiff_t vg_tls_recv(vg_conn *c, char *p, size_t n);
bool vg_tls_send(vg_conn *c);
void vg_tls_shut(vg_conn *c);

/* http_exchange.c */
vg_exchange *vg_exchange_new(vg_conn *c);
void vg_exchange_free(vg_exchange *x);
void vg_exchange_set_id(vg_exchange *x);
/* Writes a whole answer that belongs to no exchange. */
void vg_http_put_error(vg_conn *c, vg_str path, int code, const char *why, bool is_head);

/* http.c */
void vg_http_log(vg_http *h, vg_http_level level, const char *fmt, ...) VG_PRINTF(3, 4);
const char *vg_http_date(vg_http *h);
void vg_http_conn_gone(vg_http *h); /* a place is free: accepting may go on */

/* http_listen.c */
void vg_http_listen_init(vg_http *h);
void vg_http_listen_end(vg_http *h);
void vg_http_accept_again(vg_http *h);

#endif
