/* A server for the tests of `verge bench serve`: it answers /v1/chat/completions and
 * /v1/completions with streams of a known number of tokens, or goes wrong in a known way, which
 * the model's name chooses.
 *
 *     sse_server SOCKET     also listens at that path; prints the port of 127.0.0.1 it has; runs
 *                           until stdin ends
 *
 * Answers of at most two tokens are always in order, except where said, since the client asks for
 * one before it measures. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REQUEST_MAX = 1 << 20, PROBE_TOKENS = 2 };

typedef struct exchange {
    int fd;
    char *text;      /* [REQUEST_MAX] head and body of the request */
    size_t n, n_request;
    bool chunked, tiny, gone;
    char mode[32];
    int tokens;
} exchange;

static void put(exchange *x, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n && !x->gone;) {
        size_t piece = x->tiny ? 1 + done % 3 : n - done;
        if (piece > n - done) piece = n - done;
        ssize_t sent = send(x->fd, bytes + done, piece, MSG_NOSIGNAL);
        if (sent <= 0) x->gone = true;
        else done += (size_t)sent;
    }
}

static void put_text(exchange *x, const char *text)
{
    put(x, text, strlen(text));
}

/* A piece of the body. */
static void put_body(exchange *x, const char *text)
{
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    if (x->chunked) put_text(x, size);
    put_text(x, text);
    if (x->chunked) put_text(x, "\r\n");
}

static void put_answer(exchange *x, const char *status, const char *type, const char *extra,
                       const char *body)
{
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
             status, type, extra, strlen(body));
    put_text(x, head);
    put_text(x, body);
}

static bool is_mode(const exchange *x, const char *name)
{
    return strcmp(x->mode, name) == 0;
}

static void put_token(exchange *x, int i)
{
    bool chat = strstr(x->text, "/chat/") != NULL;
    char event[256];
    const char *end = i % 2 ? "\r\n\r\n" : "\n\n"; /* either is allowed */
    if (chat)
        snprintf(event, sizeof event, "data: {\"choices\": [{\"index\": 0, \"delta\": "
                 "{\"content\": \"w%d \"}, \"finish_reason\": null}], \"usage\": null}%s", i, end);
    else snprintf(event, sizeof event, "data: {\"choices\": [{\"text\": \"w%d \"}]}%s", i, end);
    put_body(x, event);
}

static void put_stream(exchange *x)
{
    char usage[160];
    bool probe = x->tokens <= PROBE_TOKENS, wrong = !probe && !is_mode(x, "ok");
    x->chunked = !is_mode(x, "plain");
    x->tiny = is_mode(x, "split");
    put_text(x, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n");
    put_text(x, x->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Connection: close\r\n\r\n");
    put_body(x, ": a comment\n\ndata: {\"choices\": [{\"index\": 0, \"delta\": {\"role\": "
             "\"assistant\", \"content\": null}}]}\n\n");
    for (int i = 0; i < x->tokens && !x->gone; i++) {
        put_token(x, i);
        if (i < x->tokens / 2 || !wrong) continue;
        if (is_mode(x, "badjson")) put_body(x, "data: {\"choices\": [\n\n");
        if (is_mode(x, "error"))
            put_body(x, "data: {\"error\": {\"message\": \"the cache is full\"}}\n\n");
        if (is_mode(x, "badchunk")) put_text(x, "zz\r\n");
        x->gone |= is_mode(x, "cut") || is_mode(x, "badchunk");
    }
    if (x->gone) return;
    if (!wrong || !is_mode(x, "noend")) {
        put_body(x, "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"length\"}]}\n\n");
        snprintf(usage, sizeof usage, "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 100, "
                 "\"completion_tokens\": %d}}\n\n", x->tokens);
        if (strstr(x->text, "include_usage")) put_body(x, usage);
        put_body(x, "data: [DONE]\n\n");
    }
    if (x->chunked) put_text(x, "0\r\n\r\n");
    x->gone |= !x->chunked || is_mode(x, "stale");
}

static void answer_post(exchange *x)
{
    bool probe = x->tokens <= PROBE_TOKENS;
    if (is_mode(x, "plain") && (strstr(x->text, "ignore_eos") || strstr(x->text, "stream_options")))
        put_answer(x, "400 Bad Request", "application/json", "",
                   "{\"error\": {\"message\": \"a field is not known\"}}");
    else if (is_mode(x, "key") && !strstr(x->text, "Authorization: Bearer secret\r\n"))
        put_answer(x, "401 Unauthorized", "application/json", "",
                   "{\"error\": {\"message\": \"the key is wrong\"}}");
    else if (is_mode(x, "json"))
        put_answer(x, "200 OK", "application/json", "", "{\"choices\": []}");
    else if (probe)
        put_stream(x);
    else if (is_mode(x, "busy"))
        put_answer(x, "429 Too Many Requests", "application/json", "Retry-After: 0\r\n",
                   "{\"error\": {\"message\": \"too many requests\"}}");
    else if (is_mode(x, "broken"))
        put_answer(x, "500 Internal Server Error", "text/html", "", "<h1>Oops</h1>\n");
    else if (is_mode(x, "garbage")) {
        put_text(x, "SSH-2.0-OpenSSH_9.2\r\n");
        x->gone = true;
    } else if (is_mode(x, "silent")) {
        char c;
        while (recv(x->fd, &c, 1, 0) > 0) continue; /* until the client has had enough */
        x->gone = true;
    } else {
        put_stream(x);
    }
}

/* Reads a request into x->text; false at the end of the connection. */
static bool read_request(exchange *x)
{
    memmove(x->text, x->text + x->n_request, x->n - x->n_request);
    x->n -= x->n_request;
    for (;;) {
        x->text[x->n] = '\0';
        char *end = strstr(x->text, "\r\n\r\n"), *length = strcasestr(x->text, "content-length:");
        if (end) {
            size_t n_body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
            x->n_request = (size_t)(end - x->text) + 4 + n_body;
            if (x->n >= x->n_request) return true;
        }
        ssize_t got = recv(x->fd, x->text + x->n, REQUEST_MAX - 1 - x->n, 0);
        if (got <= 0) return false;
        x->n += (size_t)got;
    }
}

static void *serve(void *arg)
{
    int one = 1;
    exchange x = {.fd = *(int *)arg, .text = malloc(REQUEST_MAX)};
    free(arg);
    setsockopt(x.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while (x.text && !x.gone && read_request(&x)) {
        const char *model = strstr(x.text, "\"model\": \"");
        const char *tokens = strstr(x.text, "\"max_tokens\": ");
        x.chunked = x.tiny = false;
        snprintf(x.mode, sizeof x.mode, "%.*s", model ? (int)strcspn(model + 10, "\"") : 0,
                 model ? model + 10 : "");
        x.tokens = tokens ? atoi(tokens + 14) : 0;
        if (strncmp(x.text, "GET /v1/models ", 15) == 0)
            put_answer(&x, "200 OK", "application/json", "",
                       "{\"data\": [{\"id\": \"ok\", \"owned_by\": \"the tests\"}]}");
        else if (strncmp(x.text, "POST /v1/", 9) == 0) answer_post(&x);
        else put_answer(&x, "404 Not Found", "application/json", "", "{\"error\": \"no route\"}");
    }
    close(x.fd);
    free(x.text);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listener = *(int *)arg, fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        int *own = malloc(sizeof *own);
        if (!own) break;
        *own = fd;
        if (pthread_create(&thread, NULL, serve, own)) break;
        pthread_detach(thread);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int listener[2];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t n = sizeof in;
    pthread_t thread;
    if (argc < 2 || strlen(argv[1]) >= sizeof un.sun_path) return 2;
    strcpy(un.sun_path, argv[1]);
    listener[0] = socket(AF_INET, SOCK_STREAM, 0);
    listener[1] = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener[0], (struct sockaddr *)&in, sizeof in) ||
        getsockname(listener[0], (struct sockaddr *)&in, &n) ||
        bind(listener[1], (struct sockaddr *)&un, sizeof un))
        return 1;
    for (int i = 0; i < 2; i++)
        if (listen(listener[i], 128) || pthread_create(&thread, NULL, accept_all, &listener[i]))
            return 1;
    printf("%d\n", ntohs(in.sin_port));
    fflush(stdout);
    while (getchar() != EOF) continue;
    return 0;
}
