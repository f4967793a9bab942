/* The server that is measured: its address, read from the URL and looked up once; what it serves
 * and which fields it takes, found by asking before anything is measured; and the text of
 * requests. A server that does not answer as it should is told here in one sentence, not a
 * thousand times later. TLS is refused: it would measure the library's ciphers, and peers are
 * measured on loopback. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/bench_serve.h"
#include "base/json.h"
#include "base/os.h"

enum { ANSWER_CAP_BYTES = 1 << 20, REQUEST_CAP_BYTES = 1 << 30, ASK_TOKENS = 2 };

/* ---- address -------------------------------------------------------------------------------- */

static vg_status copy(char *to, size_t room, const char *from, size_t n, const char *url,
                      vg_err *err)
{
    if (n >= room) return VG_FAIL(err, VG_E_USAGE, "%.200s: a part of it is too long", url);
    memcpy(to, from, n);
    to[n] = '\0';
    return VG_OK;
}

static vg_status read_unix(bench_target *t, const char *url, vg_err *err)
{
    struct sockaddr_un *at = (struct sockaddr_un *)&t->addr;
    const char *path = url + 5 + (strncmp(url + 5, "//", 2) == 0 ? 2 : 0);
    if (!*path) return VG_FAIL(err, VG_E_USAGE, "%s names no socket", url);
    VG_TRY(copy(t->unix_path, sizeof at->sun_path, path, strlen(path), url, err));
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path, t->unix_path, sizeof t->unix_path);
    t->n_addr = sizeof *at;
    memcpy(t->host, "localhost", 10);
    return VG_OK;
}

vg_status bench_target_read(bench_target *t, const char *url, vg_err *err)
{
    if (strncmp(url, "unix:", 5) == 0) return read_unix(t, url, err);
    if (strncasecmp(url, "https:", 6) == 0)
        return VG_FAIL(err, VG_E_USAGE, "%.200s: TLS is not measured; give the http:// address",
                       url);
    const char *p = strncasecmp(url, "http://", 7) == 0 ? url + 7 : url;
    bool bracket = *p == '[';
    size_t n = bracket ? strcspn(++p, "]/") : strcspn(p, ":/");
    VG_TRY(copy(t->host, sizeof t->host, p, n, url, err));
    p += n;
    if (bracket && *p++ != ']') return VG_FAIL(err, VG_E_USAGE, "%.200s: a ']' is missing", url);
    bool port = *p == ':';
    p += port;
    size_t n_port = port ? strcspn(p, "/") : 0, n_digits = strspn(p, "0123456789");
    if (n == 0 || (port && (n_port == 0 || n_port > 5 || n_digits < n_port)) ||
        (*p && *p != '/' && !port) || strstr(url, "://") > p)
        return VG_FAIL(err, VG_E_USAGE, "'%.200s' is neither http://HOST:PORT nor unix:/PATH", url);
    VG_TRY(copy(t->port, sizeof t->port, port ? p : "80", port ? n_port : 2, url, err));
    p += n_port;
    size_t n_base = strlen(p);
    while (n_base && p[n_base - 1] == '/') n_base--;
    if (n_base >= 3 && memcmp(p + n_base - 3, "/v1", 3) == 0) n_base -= 3;
    return copy(t->base, sizeof t->base, p, n_base, url, err);
}

/* ---- requests ------------------------------------------------------------------------------- */

const char *bench_target_path(const bench_target *t)
{
    return t->chat ? "/v1/chat/completions" : "/v1/completions";
}

void bench_target_request(const bench_target *t, const char *method, const char *path, vg_str body,
                          vg_buf *out)
{
    bool six = strchr(t->host, ':') != NULL;
    vg_buf_reset(out);
    vg_buf_fmt(out, "%s %s%s HTTP/1.1\r\nHost: %s%s%s%s%s\r\nUser-Agent: verge/%s\r\n", method,
               t->base, path, six ? "[" : "", t->host, six ? "]" : "", *t->port ? ":" : "", t->port,
               vg_version());
    if (t->key) vg_buf_fmt(out, "Authorization: Bearer %s\r\n", t->key);
    if (body.p)
        vg_buf_fmt(out, "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
                   "Content-Length: %zu\r\n", body.n);
    vg_buf_text(out, "\r\n");
    vg_buf_str(out, body);
}

static void put_message(vg_buf *out, const char *role, vg_str text)
{
    vg_buf_fmt(out, "{\"role\": \"%s\", \"content\": ", role);
    vg_json_put_str(out, text);
    vg_buf_char(out, '}');
}

void bench_target_body(const bench_target *t, const bench_load *l, vg_str prompt, uint32_t max_tok,
                       vg_buf *out)
{
    vg_buf shared;
    vg_buf_init(&shared, REQUEST_CAP_BYTES);
    if (l->shared_words) bench_load_shared(l, &shared);
    vg_buf_reset(out);
    vg_buf_text(out, "{\"model\": ");
    vg_json_put_str(out, vg_str_from(t->model));
    if (t->chat) {
        vg_buf_text(out, ", \"messages\": [");
        if (shared.n) put_message(out, "system", (vg_str){shared.data, shared.n});
        if (shared.n) vg_buf_text(out, ", ");
        put_message(out, "user", prompt);
        vg_buf_char(out, ']');
    } else {
        if (shared.n) vg_buf_char(&shared, ' ');
        vg_buf_str(&shared, prompt);
        vg_buf_text(out, ", \"prompt\": ");
        vg_json_put_str(out, (vg_str){shared.data, shared.n});
    }
    vg_buf_fmt(out, ", \"max_tokens\": %u, \"temperature\": 0, \"stream\": true", max_tok);
    if (t->usage) vg_buf_text(out, ", \"stream_options\": {\"include_usage\": true}");
    if (t->ignore_eos) vg_buf_text(out, ", \"ignore_eos\": true");
    vg_buf_char(out, '}');
    if (shared.failed) out->failed = shared.failed;
    vg_buf_clear(&shared);
}

/* ---- asking --------------------------------------------------------------------------------- */

typedef struct answer {
    bench_http http;
    vg_buf body;
} answer;

/* Waits for a descriptor; CANCELLED by a signal. */
static vg_status wait_for(int fd, short events, uint64_t end_ns, interrupt *it, vg_err *err)
{
    for (;;) {
        uint64_t now = vg_os_now_ns();
        struct pollfd p[2] = {{fd, events, 0}, {it ? it->fd : -1, POLLIN, 0}};
        if (now >= end_ns) return VG_FAIL(err, VG_E_IO, "nothing came in time (--timeout)");
        (void)poll(p, 2, (int)VG_MIN((end_ns - now) / 1000000 + 1, (uint64_t)1000));
        if (p[1].revents && interrupt_stops(it)) return VG_FAIL(err, VG_E_CANCELLED, "cancelled");
        if (p[0].revents) return VG_OK;
    }
}

/* Connects to one address. */
static vg_status connect_to(const struct sockaddr *addr, socklen_t n_addr, uint64_t end_ns,
                            interrupt *it, int *out, vg_err *err)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t n = sizeof error;
    if (fd < 0) return VG_FAIL(err, VG_E_IO, "socket: %s", strerror(errno));
    vg_status st = VG_OK;
    if (connect(fd, addr, n_addr)) error = errno;
    if (error == EINPROGRESS) {
        st = wait_for(fd, POLLOUT, end_ns, it, err);
        if (!st) (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
    }
    if (!st && error) st = VG_FAIL(err, VG_E_IO, "%s", strerror(error));
    if (st) close(fd);
    else *out = fd;
    return st;
}

/* Looks the name up, and keeps the first address that can be connected to. */
static vg_status look_up(bench_target *t, uint64_t end_ns, interrupt *it, int *fd, vg_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int code = getaddrinfo(t->host, t->port, &hints, &list);
    if (code) return VG_FAIL(err, VG_E_NOT_FOUND, "%s", gai_strerror(code));
    vg_status st = VG_FAIL(err, VG_E_NOT_FOUND, "no address");
    for (struct addrinfo *a = list; a && st && st != VG_E_CANCELLED; a = a->ai_next) {
        st = connect_to(a->ai_addr, a->ai_addrlen, end_ns, it, fd, err);
        if (st) continue;
        memcpy(&t->addr, a->ai_addr, a->ai_addrlen);
        t->n_addr = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return st;
}

static vg_status send_all(int fd, const vg_buf *b, uint64_t end_ns, interrupt *it, vg_err *err)
{
    for (size_t done = 0; done < b->n;) {
        ssize_t n = send(fd, b->data + done, b->n - done, MSG_NOSIGNAL);
        if (n > 0) done += (size_t)n;
        else if (errno == EAGAIN || errno == EINTR) VG_TRY(wait_for(fd, POLLOUT, end_ns, it, err));
        else return VG_FAIL(err, VG_E_IO, "sending: %s", strerror(errno));
    }
    return VG_OK;
}

static vg_status receive(int fd, answer *a, uint64_t end_ns, interrupt *it, vg_err *err)
{
    char bytes[16384];
    while (!bench_http_done(&a->http)) {
        VG_TRY(wait_for(fd, POLLIN, end_ns, it, err));
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n < 0) return VG_FAIL(err, VG_E_IO, "receiving: %s", strerror(errno));
        if (n == 0) return bench_http_closed(&a->http, err);
        vg_str in = {bytes, (size_t)n}, body;
        while (in.n > 0 && !bench_http_done(&a->http)) {
            VG_TRY(bench_http_take(&a->http, &in, &body, err));
            vg_buf_str(&a->body, body);
        }
        VG_TRY(vg_buf_check(&a->body, "the answer", err));
    }
    return VG_OK;
}

/* One request on a connection of its own, which stays open where `keep` wants it. */
static vg_status ask_on(bench_target *t, const vg_buf *request, double timeout_s, interrupt *it,
                        answer *a, int *keep, vg_err *err)
{
    int fd = -1;
    uint64_t end_ns = vg_os_now_ns() + (uint64_t)(timeout_s * 1e9);
    const char *what = *t->unix_path ? t->unix_path : t->host;
    bench_http_begin(&a->http);
    vg_buf_reset(&a->body);
    vg_status st = t->n_addr ? connect_to((struct sockaddr *)&t->addr, t->n_addr, end_ns, it, &fd,
                                          err)
                             : look_up(t, end_ns, it, &fd, err);
    if (!st) st = send_all(fd, request, end_ns, it, err);
    if (!st) st = receive(fd, a, end_ns, it, err);
    if (st && st != VG_E_CANCELLED)
        st = vg_err_context(err, st, "%s%s%s", what, *t->port ? ":" : "", t->port);
    if (!st && keep) *keep = fd;
    else if (fd >= 0) close(fd);
    return st;
}

static vg_status ask(bench_target *t, const vg_buf *request, double timeout_s, interrupt *it,
                     answer *a, vg_err *err)
{
    return ask_on(t, request, timeout_s, it, a, NULL, err);
}

vg_status bench_target_hold(bench_target *t, double timeout_s, interrupt *it, int *fd, vg_err *err)
{
    answer a;
    vg_buf request;
    vg_buf_init(&a.body, ANSWER_CAP_BYTES);
    vg_buf_init(&request, REQUEST_CAP_BYTES);
    bench_target_request(t, "GET", "/v1/models", (vg_str){0}, &request);
    vg_status st = ask_on(t, &request, timeout_s, it, &a, fd, err);
    vg_buf_clear(&request);
    vg_buf_clear(&a.body);
    return st;
}

/* The first model of /v1/models, and who owns it. A server without that route has none to tell. */
static vg_status ask_model(bench_target *t, double timeout_s, interrupt *it, vg_buf *request,
                           answer *a, vg_arena *arena, vg_err *err)
{
    vg_json *doc;
    bench_target_request(t, "GET", "/v1/models", (vg_str){0}, request);
    VG_TRY(ask(t, request, timeout_s, it, a, err));
    if (a->http.status != 200 || vg_json_parse(arena, a->body.data ? a->body.data : "", a->body.n,
                                               &doc, NULL))
        return VG_OK;
    const vg_json *list = vg_json_get(doc, "data");
    const vg_json *first = list && list->kind == VG_JSON_ARRAY && list->n ? list->item[0] : NULL;
    const vg_json *id = vg_json_get(first, "id"), *owner = vg_json_get(first, "owned_by");
    if (id && id->kind == VG_JSON_STRING && !*t->model_text)
        snprintf(t->model_text, sizeof t->model_text, "%.*s", (int)VG_MIN(id->str.n, (size_t)255),
                 id->str.p);
    if (owner && owner->kind == VG_JSON_STRING)
        snprintf(t->server, sizeof t->server, "%.*s", (int)VG_MIN(owner->str.n, (size_t)100),
                 owner->str.p);
    return VG_OK;
}

/* Whether a short request gave a stream with its end: else why not. */
static vg_status check_stream(const bench_target *t, const answer *a, vg_arena *arena, vg_err *err)
{
    char text[BENCH_EVENT_ERROR];
    bench_sse sse = {0};
    bench_event ev;
    vg_str in = {a->body.data, a->body.n}, data;
    if (a->http.status != 200) {
        bench_error_text(arena, in, text);
        return VG_FAIL(err, VG_E_IO, "%s%s answers with HTTP %d: %s", t->base,
                       bench_target_path(t), a->http.status, *text ? text : "(nothing)");
    }
    if (!a->http.is_events)
        return VG_FAIL(err, VG_E_FORMAT, "%s%s answers with no stream of events "
                       "(text/event-stream)", t->base, bench_target_path(t));
    bool ended = false;
    vg_status st = VG_OK;
    bench_sse_begin(&sse);
    while (!st && bench_sse_take(&sse, &in, &data)) {
        st = bench_event_read(arena, data, &ev, err);
        if (!st && *ev.error) st = VG_FAIL(err, VG_E_IO, "an error in the stream: %s", ev.error);
        ended |= !st && (ev.done || ev.finished);
    }
    if (!st) st = bench_sse_check(&sse, err);
    if (!st && !ended) st = VG_FAIL(err, VG_E_FORMAT, "the stream has neither [DONE] nor an end");
    bench_sse_clear(&sse);
    return st;
}

/* Fields that a server refuses are left out, the less common one first. */
static vg_status ask_fields(bench_target *t, const bench_load *l, double timeout_s, interrupt *it,
                            vg_buf *request, answer *a, vg_arena *arena, vg_err *err)
{
    vg_buf body;
    vg_status st = VG_OK;
    vg_buf_init(&body, REQUEST_CAP_BYTES);
    for (;;) {
        bench_target_body(t, l, VG_STR("hello"), ASK_TOKENS, &body);
        bench_target_request(t, "POST", bench_target_path(t), (vg_str){body.data, body.n}, request);
        st = vg_buf_check(request, "the request", err);
        if (!st) st = ask(t, request, timeout_s, it, a, err);
        bool refused = !st && (a->http.status == 400 || a->http.status == 422);
        if (!refused || (!t->ignore_eos && !t->usage)) break;
        if (t->ignore_eos) t->ignore_eos = false;
        else t->usage = false;
    }
    vg_buf_clear(&body);
    return st ? st : check_stream(t, a, arena, err);
}

vg_status bench_target_ask(bench_target *t, const bench_load *l, double timeout_s, interrupt *it,
                           vg_err *err)
{
    vg_arena *arena = NULL;
    answer a;
    vg_buf request;
    VG_TRY(vg_arena_new(&arena, 64 << 20, err));
    vg_buf_init(&a.body, ANSWER_CAP_BYTES);
    vg_buf_init(&request, REQUEST_CAP_BYTES);
    vg_status st = ask_model(t, timeout_s, it, &request, &a, arena, err);
    if (!t->model) t->model = *t->model_text ? t->model_text : "default";
    if (!st) st = ask_fields(t, l, timeout_s, it, &request, &a, arena, err);
    vg_buf_clear(&request);
    vg_buf_clear(&a.body);
    vg_arena_free(arena);
    return st;
}
