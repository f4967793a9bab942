/* http.h: the transport of `verge serve`: sockets and HTTP/1.1, one loop on one thread.
 *
 *     vg_http *h = NULL;
 *     vg_http_opts opts = {.request = answer, .closed = forget};
 *     VG_TRY(vg_http_new(&h, &opts, err));
 *     vg_status st = vg_http_listen_tcp(h, "127.0.0.1", 8080, NULL, err);
 *     if (!st) st = vg_http_run(h, err); // until vg_http_stop
 *     vg_http_free(h);
 *
 * A request becomes a vg_exchange. Once its body is whole, `request` is called with it, which
 * answers at once or keeps it and answers later, from the loop: in a watch, a timer or something
 * posted. `closed` is called exactly once for each exchange that `head` or `request` saw, as the
 * last thing that happens to it: when the answer is sent, or as soon as the client is gone
 * (vg_exchange_gone), be it in the middle of a silent wait. No callback is called from inside a
 * function of this header, but from the loop, so a callback may do with its exchange what it likes.
 *
 * Only vg_http_stop and vg_http_post may be called by another thread than the one that runs.
 *
 * A client that shuts down its sending side counts as gone: what was answered within `request` is
 * still sent to it, what takes longer is cancelled. Clients of this API never do that. */
#ifndef VG_SERVE_HTTP_H
#define VG_SERVE_HTTP_H

#include "base/base.h"

typedef struct vg_http vg_http;
typedef struct vg_exchange vg_exchange;

/* ---- the server --------------------------------------------------------------------------- */

/* What protects this process. Zero is the default in brackets. */
typedef struct vg_http_limits {
    size_t max_line_bytes;    /* [8 KiB] the request line: 414 */
    size_t max_head_bytes;    /* [32 KiB] request line and headers: 431 */
    uint32_t max_headers;     /* [100] lines: 431 */
    size_t max_body_bytes;    /* [32 MiB] 413 */
    size_t max_bodies_bytes;  /* [256 MiB] bodies of all exchanges at one time: 503 */
    size_t max_backlog_bytes; /* [64 MiB] of an answer not yet sent: the connection is cut */
    uint32_t max_connections; /* [4096] beyond, the longest idle one makes room, else 503 */
    uint32_t max_per_address; /* [512] 429; loopback and unix sockets do not count */
    uint32_t head_ms;         /* [10000] the first byte of a head to its last: 408 */
    uint32_t body_ms;         /* [10000] a body may lag behind min_body_rate by this: 408 */
    size_t min_body_rate;     /* [1024] bytes a second */
    uint32_t idle_ms;         /* [75000] between two requests: closed */
    uint32_t stall_ms;        /* [60000] the client takes nothing of its answer: closed */
    uint32_t drain_ms;        /* [30000] exchanges in progress may end after vg_http_stop */
    size_t high_bytes;        /* [64 KiB] backlog at which a writer should pause */
    size_t low_bytes;         /* [16 KiB] backlog at which `drained` is called after that */
} vg_http_limits;

typedef enum vg_http_level {
    VG_HTTP_ERROR,
    VG_HTTP_WARN,
    VG_HTTP_INFO,
    VG_HTTP_DEBUG
} vg_http_level;

typedef struct vg_http_opts {
    vg_http_limits limits;
    /* PEM files, both or none; their names live as long as the server. */
    const char *tls_cert, *tls_key;
    void *user; /* given to the callbacks */
    /* May be NULL. The head is here, the body not yet: answering now refuses the request without
     * reading its body, and `request` is not called. */
    void (*head)(void *user, vg_exchange *x);
    void (*request)(void *user, vg_exchange *x);
    void (*closed)(void *user, vg_exchange *x);
    /* May be NULL: the backlog fell to low_bytes after it had been at high_bytes. */
    void (*drained)(void *user, vg_exchange *x);
    /* May be NULL: writes the JSON body of an error that the transport answers itself. `path` is
     * empty where it is not known. Without it: {"error":{"code":400,"message":"..."}}. */
    void (*error_body)(void *user, vg_str path, int code, const char *why, vg_buf *json);
    /* May be NULL: a request that never became an exchange was answered with `code`; or with code
     * 0, a connection ended without an answer (a failed handshake, a time limit). */
    void (*refused)(void *user, const char *address, int code, const char *why);
    /* May be NULL: what an operator may want to know; one line without its end. */
    void (*log)(void *user, vg_http_level level, const char *text);
} vg_http_opts;

/* With TLS every TCP socket speaks it; unix sockets stay plain. Errors: NO_MEMORY, IO, USAGE (no
 * `request`; a key that others may read), NOT_FOUND, FORMAT (certificate or key). */
VG_NODISCARD vg_status vg_http_new(vg_http **out, const vg_http_opts *opts, vg_err *err);
void vg_http_free(vg_http *h); /* after vg_http_run; NULL is fine */

/* host is an address or a name (all its addresses are listened on); port 0 chooses one, *bound (may
 * be NULL) tells. Errors: NOT_FOUND (the name), IO (in use, not ours). */
VG_NODISCARD vg_status vg_http_listen_tcp(vg_http *h, const char *host, uint16_t port,
                                          uint16_t *bound, vg_err *err);
/* A socket file that a dead server left behind is replaced, one that answers is IO; mode 0 means
 * 0600. The file is removed at the end. */
VG_NODISCARD vg_status vg_http_listen_unix(vg_http *h, const char *path, unsigned mode,
                                           vg_err *err);
/* A listening socket that somebody else opened (systemd); it is closed at the end. */
VG_NODISCARD vg_status vg_http_listen_fd(vg_http *h, int fd, vg_err *err);

/* Whether all that is listened on is a loopback address or a socket file. */
bool vg_http_is_local(const vg_http *h);

/* Serves until vg_http_stop. Afterwards every exchange has been closed. */
VG_NODISCARD vg_status vg_http_run(vg_http *h, vg_err *err);
/* From any thread and from a signal handler: accept no more, let exchanges end for drain_ms, then
 * cut them. A second call cuts at once. */
void vg_http_stop(vg_http *h);
bool vg_http_stopping(const vg_http *h);

/* Runs fn(arg) in the loop soon. From any thread; false when 65536 of them wait already, or without
 * memory. */
VG_NODISCARD bool vg_http_post(vg_http *h, void (*fn)(void *arg), void *arg);

/* Calls fn(user) in the loop while fd has something to read (fn reads it), or when a timer ends.
 * Free it at any time before vg_http_free, fn itself included. */
typedef struct vg_watch vg_watch;
VG_NODISCARD vg_status vg_http_watch_fd(vg_watch **out, vg_http *h, int fd, void (*fn)(void *user),
                                        void *user, vg_err *err);
VG_NODISCARD vg_status vg_http_watch_timer(vg_watch **out, vg_http *h, void (*fn)(void *user),
                                           void *user, vg_err *err);
/* A timer: fn is called once, ms from now; a call that is still to come is put off. */
VG_NODISCARD vg_status vg_watch_after(vg_watch *w, uint32_t ms, vg_err *err);
void vg_watch_free(vg_watch *w); /* NULL is fine */

typedef struct vg_http_stats {
    uint64_t accepted, requests, refused;                     /* since the start */
    size_t connections, exchanges, body_bytes, backlog_bytes; /* now */
} vg_http_stats;
vg_http_stats vg_http_stats_of(const vg_http *h); /* on the loop's thread */

/* Reads the certificate and key files anew, for connections from now on; on an error what was there
 * stays. Without TLS it does nothing. On the loop's thread. */
VG_NODISCARD vg_status vg_http_tls_reload(vg_http *h, vg_err *err);

/* ---- an exchange: what was asked; everything lives as long as the exchange ------------------ */

vg_str vg_exchange_method(const vg_exchange *x); /* GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS */
/* Decoded, without query, dot segments and doubled slashes; valid UTF-8 without control characters.
 * "*" for OPTIONS *. */
vg_str vg_exchange_path(const vg_exchange *x);
/* The value of a query parameter, decoded; the last one counts. {NULL, 0}: there is none. */
vg_str vg_exchange_query(const vg_exchange *x, const char *name);
/* The value of a header, name in any case; the first one. {NULL, 0}: there is none. */
vg_str vg_exchange_field(const vg_exchange *x, const char *name);
vg_str vg_exchange_host(const vg_exchange *x); /* as asked for, with its port; may be empty */
vg_str vg_exchange_body(const vg_exchange *x);
void vg_exchange_drop_body(vg_exchange *x);            /* frees it once it is parsed */
const char *vg_exchange_address(const vg_exchange *x); /* "127.0.0.1", "::1" or "unix" */
bool vg_exchange_is_local(const vg_exchange *x);       /* a unix socket or a loopback address */
bool vg_exchange_is_tls(const vg_exchange *x);
const char *vg_exchange_id(const vg_exchange *x); /* X-Request-Id where that is sane, else made */
void *vg_exchange_user(const vg_exchange *x);
void vg_exchange_set_user(vg_exchange *x, void *user);

/* ---- an exchange: the answer -------------------------------------------------------------- */

/* An extra header, before reply or begin. A name or value that breaks the rules, or headers of more
 * than 16 KiB together, make the answer a 500. */
void vg_exchange_header(vg_exchange *x, const char *name, vg_str value);
/* The whole answer. content_type NULL: none, and then no body either. */
void vg_exchange_reply(vg_exchange *x, int code, const char *content_type, const void *p, size_t n);
/* An answer in parts. Parts written in one turn of the loop leave in one packet. HEAD sends no
 * parts; all this is a no-op on an exchange that ended. */
void vg_exchange_begin(vg_exchange *x, int code, const char *content_type);
void vg_exchange_write(vg_exchange *x, const void *p, size_t n);
void vg_exchange_end(vg_exchange *x);
/* Ends an answer that has begun and cannot be completed so that the client notices: the connection
 * is cut. */
void vg_exchange_abort(vg_exchange *x);

bool vg_exchange_begun(const vg_exchange *x);
bool vg_exchange_ended(const vg_exchange *x);
bool vg_exchange_gone(const vg_exchange *x); /* in `closed`: the answer was not all sent */
size_t
vg_exchange_backlog(const vg_exchange *x);       /* bytes written and not yet taken by the system */
bool vg_exchange_is_full(const vg_exchange *x);  /* the backlog is at high_bytes or more */
int vg_exchange_code(const vg_exchange *x);      /* of the answer; 0: none */
uint64_t vg_exchange_sent(const vg_exchange *x); /* bytes of the answer that were written */
uint64_t vg_exchange_age_ns(const vg_exchange *x); /* since its head was complete */
#endif
