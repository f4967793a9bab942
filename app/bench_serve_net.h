/* bench_serve_net.h: connections of `verge bench serve`: each sends a request, reads the stream
 * that answers it and keeps the times, all from one thread that never waits for one of them.
 *
 *     VG_TRY(bench_net_begin(&net, &target, err));
 *     vg_buf_text(&c->out, "POST ...");
 *     bench_conn_send(&net, c, now_ns, now_ns);
 *     if (bench_conn_ready(&net, c, events, now_ns)) use(c->outcome);
 *     bench_net_end(&net);
 */
#ifndef VG_BENCH_SERVE_NET_H
#define VG_BENCH_SERVE_NET_H

#include "app/bench_serve.h"

typedef enum bench_outcome {
    BENCH_RUNNING,
    BENCH_DONE,
    BENCH_CANCELLED,
    BENCH_FAILED /* conn.fault, conn.why */
} bench_outcome;

typedef struct bench_conn {
    int fd;           /* -1: not connected */
    uint32_t watched; /* events that epoll tells of */
    bool connecting, reused, resting;
    bench_outcome outcome;
    bench_fault fault;
    char why[BENCH_EVENT_ERROR];
    vg_buf out;       /* the request */
    size_t n_sent;
    bench_http http;
    bench_sse sse;
    vg_buf refusal;   /* the start of a body that is no stream */
    bench_request request;
    uint64_t begin_ns, heard_ns, token_ns; /* of the request, of any byte, of the last token */
    uint64_t resume_ns;                    /* resting: until then */
    uint64_t n_received, n_events, prompt_tok, generated_tok;
    bool ended, has_usage;
} bench_conn;

typedef struct bench_net {
    int epoll;
    const bench_target *target;
    vg_arena *arena;     /* of an event */
    bench_level *window; /* where the times go */
    uint64_t n_again;    /* requests sent anew because an idle connection had gone */
    char bytes[1 << 16];
} bench_net;

VG_NODISCARD vg_status bench_net_begin(bench_net *n, const bench_target *t, vg_err *err);
void bench_net_end(bench_net *n);

void bench_conn_init(bench_conn *c);
void bench_conn_clear(bench_conn *c);
/* Sends c->out, on the connection that is there or on a new one; `begin_ns` is when it was due. */
void bench_conn_send(bench_net *n, bench_conn *c, uint64_t begin_ns, uint64_t now_ns);
/* What epoll tells; true when the request has come to an end (at once where it had none). */
bool bench_conn_ready(bench_net *n, bench_conn *c, uint32_t events, uint64_t now_ns);
/* Ends the request without its answer, and closes the connection. */
void bench_conn_stop(bench_conn *c, bench_outcome outcome);
void bench_conn_fail(bench_conn *c, bench_fault fault, const char *why);
#endif
