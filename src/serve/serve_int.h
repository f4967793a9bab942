/* serve_int.h: what the files of the server share: its state, and handlers of routes.
 *
 *     static const vg_route routes[] = {
 *         {"POST", "/v1/chat/completions", .dialect = &vg_openai_chat},
 *         {"GET", "/health", .handle = health},
 *     };
 *     vg_reply_json(x, 200, &out);
 */
#ifndef VG_SERVE_INT_H
#define VG_SERVE_INT_H

#include <stdatomic.h>

#include "serve/answer.h"
#include "serve/live.h"
#include "serve/serve.h"

enum { VG_MAX_WATCHERS = 32 };

/* What a key has of the server. */
typedef struct vg_share {
    uint32_t n_running;
    uint64_t n_tok;   /* since minute_s */
    int64_t minute_s; /* since 1970 */
} vg_share;

struct vg_server {
    vg_server_opts opts;
    vg_http *http;
    vg_models *models;
    vg_answers answers;
    int news_fd;            /* an eventfd: engines have news */
    atomic_bool has_news;   /* it was written to and not read since */
    vg_watch *news, *tick;
    int64_t begin_s;        /* since 1970 */
    vg_share *share;        /* [keys] */
    vg_metrics metrics;
    vg_live live;
    vg_watch *live_timer;
    vg_exchange *watcher[VG_MAX_WATCHERS]; /* of the live view */
    size_t n_watchers;
};

/* Answers a request that asks nothing of an engine, at once. `rest`: what stands behind the route's
 * path, where that ends in '/'. */
typedef void vg_route_handle(vg_server *s, vg_exchange *x, vg_str rest);

typedef struct vg_route {
    const char *method, *path;
    const vg_dialect *dialect; /* an answer of an engine */
    vg_route_handle *handle;   /* or this */
    bool open;                 /* needs no key: health */
    bool admin;                /* changes the server: needs a key, and no foreign page may ask */
} vg_route;

/* The routes of one subject, ended by a method NULL. */
extern const vg_route vg_routes_answers[], vg_routes_models[], vg_routes_observe[];
extern const vg_route vg_routes_anthropic[], vg_routes_llama[], vg_routes_ollama[];

/* What is counted of an answer that ended, and of an exchange; observe.c. */
void vg_observe_answer(void *server, const vg_answered *a);
void vg_observe_exchange(vg_server *s, vg_exchange *x);
VG_NODISCARD vg_status vg_observe_begin(vg_server *s, vg_err *err);
void vg_observe_end(vg_server *s);
/* True where the exchange watched the live view: it does no more. */
bool vg_observe_leave(vg_server *s, vg_exchange *x);

/* Sends the buffer as application/json and clears it. */
void vg_reply_json(vg_exchange *x, int code, vg_buf *out);
/* An error in the form that the path's clients know. */
void vg_reply_error(vg_exchange *x, int code, const char *message);
/* The route of an exchange; NULL: it has none. */
const vg_route *vg_route_find(const vg_exchange *x);
bool vg_page_has(vg_str path); /* the web page's files */

/* The gate. True: the request was answered and goes no further. */
bool vg_gate_refuses(vg_server *s, vg_exchange *x);
/* Whether its key's limits let an answer begin, and as whom; false: it was answered. */
bool vg_gate_admits(vg_server *s, vg_exchange *x, vg_client *out);
/* An answer of a client's began (1) or ended (-1), and its tokens. */
void vg_gate_count(vg_server *s, uint64_t key, int n_running, size_t n_tok);
void vg_gate_log(vg_server *s, const vg_exchange *x, int64_t n_in, int64_t n_out);
void vg_gate_refused(void *server, const char *address, int code, const char *why);
void vg_gate_say(void *server, vg_http_level level, const char *text);
/* The dialect whose clients ask for a path: the form of its errors. Never NULL. */
const vg_dialect *vg_dialect_of_path(vg_str path);
#endif
