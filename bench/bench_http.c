/* What the transport costs a token: a server streams N answers side by side, one small event to
 * each of them in a turn of its loop, as an engine's step does, and children of this process read
 * them.
 *
 *     bench_http [STREAMS [TOKENS]]
 *
 * Prints the processor time of the loop's thread for each event, system calls included, JSON and
 * tokenizing not. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "serve/http.h"

enum { MAX_STREAMS = 1000, TURN_MS = 2 };

typedef struct load {
    vg_http *h;
    vg_watch *turn;
    vg_exchange *x[MAX_STREAMS];
    size_t n_streams, n_begun, n_closed, n_tokens, at;
    uint64_t cpu_ns, wall_ns;
} load;

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* One event to each stream; the turn's end is when all have left. */
static void on_turn(void *user)
{
    static const char event[] =
        "data: "
        "{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1795300000,"
        "\"model\":\"verge\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
        "\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    load *l = user;
    if (l->at == 0) l->cpu_ns = cpu_ns(), l->wall_ns = vg_os_now_ns();
    bool last = l->at == l->n_tokens;
    for (size_t i = 0; i < l->n_streams; i++) {
        if (last) vg_exchange_end(l->x[i]);
        else vg_exchange_write(l->x[i], event, sizeof event - 1);
    }
    if (last) {
        l->cpu_ns = cpu_ns() - l->cpu_ns;
        l->wall_ns = vg_os_now_ns() - l->wall_ns;
        return;
    }
    l->at++;
    if (vg_watch_after(l->turn, TURN_MS, NULL)) abort();
}

static void on_request(void *user, vg_exchange *x)
{
    load *l = user;
    vg_exchange_begin(x, 200, "text/event-stream");
    l->x[l->n_begun++] = x;
    if (l->n_begun == l->n_streams && vg_watch_after(l->turn, 10, NULL)) abort();
}

static void on_closed(void *user, vg_exchange *x)
{
    load *l = user;
    if (vg_exchange_gone(x)) abort();
    if (++l->n_closed == l->n_streams) vg_http_stop(l->h);
}

/* Reads all streams until they end. */
static int be_clients(uint16_t port, size_t n)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct pollfd f[MAX_STREAMS];
    char in[65536];
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < n; i++) {
        f[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
        if (connect(f[i].fd, (void *)&a, sizeof a)) return 1;
        if (write(f[i].fd, ask, sizeof ask - 1) != sizeof ask - 1) return 1;
    }
    for (size_t left = n; left;) {
        if (poll(f, n, -1) < 0) return 1;
        for (size_t i = 0; i < n; i++)
            if (f[i].revents && read(f[i].fd, in, sizeof in) <= 0) {
                f[i].fd = -1;
                left--;
            }
    }
    return 0;
}

int main(int argc, char **argv)
{
    load l = {.n_streams = argc > 1 ? strtoul(argv[1], NULL, 10) : 64,
              .n_tokens = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000};
    vg_http_opts opts = {.user = &l, .request = on_request, .closed = on_closed};
    vg_err err;
    uint16_t port;
    if (l.n_streams < 1 || l.n_streams > MAX_STREAMS || l.n_tokens < 1) return 2;
    vg_status st = vg_http_new(&l.h, &opts, &err);
    if (!st) st = vg_http_listen_tcp(l.h, "127.0.0.1", 0, &port, &err);
    if (!st) st = vg_http_watch_timer(&l.turn, l.h, on_turn, &l, &err);
    pid_t child = st ? -1 : fork();
    if (child == 0) return be_clients(port, l.n_streams);
    if (!st) st = vg_http_run(l.h, &err);
    if (st) fprintf(stderr, "bench_http: %s\n", err.msg);
    int status = 1;
    if (child > 0) waitpid(child, &status, 0);
    vg_watch_free(l.turn);
    vg_http_free(l.h);
    double n = (double)(l.n_streams * l.n_tokens);
    printf("%zu streams, %zu tokens each: %.2f us of processor a token, %.0f tokens/s\n",
           l.n_streams, l.n_tokens, (double)l.cpu_ns / n * 1e-3, n / ((double)l.wall_ns * 1e-9));
    return st || status ? 1 : 0;
}
