/* bench_serve_http.h: what `verge bench serve` reads from a server: an HTTP/1.1 response piece by
 * piece, the events of its stream, and what an event of an OpenAI-compatible server says. Memory is
 * bounded whatever comes.
 *
 *     bench_http_begin(&h);
 *     while (in.n > 0 && !bench_http_done(&h)) {
 *         VG_TRY(bench_http_take(&h, &in, &body, err));
 *         while (bench_sse_take(&sse, &body, &data)) VG_TRY(bench_event_read(a, data, &ev, err));
 *     }
 */
#ifndef VG_BENCH_SERVE_HTTP_H
#define VG_BENCH_SERVE_HTTP_H

#include "base/base.h"

enum {
    BENCH_HTTP_LINE = 8192,          /* bytes of a header line */
    BENCH_HTTP_HEAD = 65536,         /* of all of them */
    BENCH_SSE_EVENT_BYTES = 1 << 20, /* of an event */
    BENCH_EVENT_ERROR = 240
};

typedef enum bench_http_state {
    BENCH_HTTP_STATUS,
    BENCH_HTTP_HEADERS,
    BENCH_HTTP_BODY,       /* as long as the length says, or until the connection closes */
    BENCH_HTTP_CHUNK_SIZE,
    BENCH_HTTP_CHUNK,
    BENCH_HTTP_CHUNK_END,
    BENCH_HTTP_TRAILERS,
    BENCH_HTTP_END
} bench_http_state;

typedef struct bench_http {
    bench_http_state state;
    int status;            /* 0 until it is known */
    bool chunked, sized;   /* how the body's end is told; neither: by closing */
    bool closes;           /* the connection is of no use after this response */
    bool is_events;        /* text/event-stream */
    int retry_after_s;     /* negative: not told */
    uint64_t left;         /* bytes of the body or of the chunk */
    size_t n_line, n_head;
    char line[BENCH_HTTP_LINE];
} bench_http;

void bench_http_begin(bench_http *h);
/* Takes bytes from *in; *body becomes those of the body among them, in place. They come in pieces:
 * call again until *in is empty or the response is done. Errors: FORMAT. */
VG_NODISCARD vg_status bench_http_take(bench_http *h, vg_str *in, vg_str *body, vg_err *err);
bool bench_http_done(const bench_http *h);
/* The server has closed the connection: FORMAT where that is no end of the response. */
VG_NODISCARD vg_status bench_http_closed(bench_http *h, vg_err *err);

/* The stream of server-sent events, cut at empty lines (WHATWG HTML, 9.2.6). */
typedef struct bench_sse {
    vg_buf line, data;
    bool after_cr, has_data;
} bench_sse;

void bench_sse_begin(bench_sse *s); /* of zeroed memory, or of a stream that ended */
void bench_sse_clear(bench_sse *s);
/* Takes bytes from *in up to the end of an event that has data: true, with the data, which stays
 * until the next call. False: *in is empty, or an event is too large, which check tells. */
bool bench_sse_take(bench_sse *s, vg_str *in, vg_str *data);
VG_NODISCARD vg_status bench_sse_check(const bench_sse *s, vg_err *err);

/* One event of /v1/chat/completions or /v1/completions. */
typedef struct bench_event {
    bool done;      /* "[DONE]" */
    bool has_text;  /* something that was generated: text, reasoning, a part of a tool's call */
    bool finished;  /* a finish_reason */
    bool has_usage;
    uint64_t prompt_tok, generated_tok;
    char error[BENCH_EVENT_ERROR]; /* the server's message; empty: none */
} bench_event;

/* `a` is reset first. Errors: FORMAT where the event is no JSON object. */
VG_NODISCARD vg_status bench_event_read(vg_arena *a, vg_str data, bench_event *out, vg_err *err);
/* The message of an error's body: that of {"error": {"message": TEXT}} and its like, else the first
 * line of the text. Control characters become question marks. */
void bench_error_text(vg_arena *a, vg_str body, char out[BENCH_EVENT_ERROR]);
#endif
