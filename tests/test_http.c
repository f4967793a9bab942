/* The transport over real sockets: what is answered, what is refused, who is thrown out, and that a
 * client who leaves is noticed at once. */
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/os.h"
#include "http_peer.h"

enum { FLOOD_BYTES = 16 << 20, PART = 4096 };

/* What the handler does is said by the path; what happened is told through semaphores. */
typedef struct fixture {
    peer_server s;
    vg_exchange *held; /* by the path /hold, for release() */
    size_t flooded;
    sem_t asked, closed, drained;
    atomic_uint n_gone, n_refused, last_refusal;
    atomic_size_t most_backlog;
} fixture;

static void flood(fixture *f, vg_exchange *x)
{
    static const char part[PART];
    while (f->flooded < FLOOD_BYTES && !vg_exchange_is_full(x)) {
        vg_exchange_write(x, part, sizeof part);
        f->flooded += sizeof part;
        size_t backlog = vg_exchange_backlog(x);
        if (backlog > f->most_backlog) f->most_backlog = backlog;
    }
    if (f->flooded == FLOOD_BYTES) vg_exchange_end(x);
}

static void on_request(void *user, vg_exchange *x)
{
    fixture *f = user;
    vg_str path = vg_exchange_path(x), body = vg_exchange_body(x);
    if (vg_str_is(path, "/echo")) {
        vg_exchange_reply(x, 200, "text/plain", body.p, body.n);
    } else if (vg_str_is(path, "/parts")) {
        vg_exchange_header(x, "X-Part", VG_STR("yes"));
        vg_exchange_begin(x, 200, "text/event-stream");
        for (size_t i = 0; i < 10; i++) vg_exchange_write(x, &"0123456789"[i], 1);
        vg_exchange_end(x);
    } else if (vg_str_is(path, "/hold")) {
        f->held = x;
    } else if (vg_str_is(path, "/begin")) {
        f->held = x;
        vg_exchange_begin(x, 200, "text/event-stream");
        vg_exchange_write(x, "first", 5);
    } else if (vg_str_is(path, "/flood")) {
        f->flooded = 0;
        vg_exchange_begin(x, 200, "application/octet-stream");
        flood(f, x);
    } else if (vg_str_is(path, "/split")) {
        vg_exchange_header(x, "X-Bad", VG_STR("a\r\nSet-Cookie: b"));
        vg_exchange_reply(x, 200, "text/plain", "x", 1);
    } else if (vg_str_is(path, "/none")) {
        vg_exchange_reply(x, 204, NULL, NULL, 0);
    } else {
        vg_exchange_reply(x, 404, "text/plain", "no", 2);
    }
    sem_post(&f->asked);
}

static void on_closed(void *user, vg_exchange *x)
{
    fixture *f = user;
    if (vg_exchange_gone(x)) f->n_gone++;
    if (f->held == x) f->held = NULL;
    sem_post(&f->closed);
}

static void on_drained(void *user, vg_exchange *x)
{
    fixture *f = user;
    flood(f, x);
    sem_post(&f->drained);
}

static void on_refused(void *user, const char *address, int code, const char *why)
{
    fixture *f = user;
    assert(address[0] && why[0]);
    f->last_refusal = (unsigned)code;
    f->n_refused++;
}

static void start(fixture *f, vg_http_limits limits)
{
    *f = (fixture){0};
    sem_init(&f->asked, 0, 0);
    sem_init(&f->closed, 0, 0);
    sem_init(&f->drained, 0, 0);
    vg_http_opts opts = {.limits = limits,
                         .user = f,
                         .request = on_request,
                         .closed = on_closed,
                         .drained = on_drained,
                         .refused = on_refused};
    peer_start(&f->s, &opts);
}

static void stop(fixture *f)
{
    peer_stop(&f->s);
    sem_destroy(&f->asked);
    sem_destroy(&f->closed);
    sem_destroy(&f->drained);
}

/* Waits for what the handler tells, for as long as the patience lasts. */
static void wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PEER_PATIENCE_MS / 1000;
    while (sem_timedwait(sem, &until))
        if (errno != EINTR) fail_msg("the server never got there");
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void answers_and_keeps_alive(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    for (int i = 0; i < 3; i++) {
        peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                     "X-Request-Id: my-id.7\r\n\r\nhello");
        peer_hear(&p);
        assert_int_equal(p.code, 200);
        assert_string_equal(p.body, "hello");
        assert_memory_equal(peer_header(&p, "x-request-id"), "my-id.7\r\n", 9);
        assert_memory_equal(peer_header(&p, "connection"), "keep-alive\r\n", 12);
        assert_non_null(strstr(peer_header(&p, "date"), " GMT\r\n"));
    }
    peer_say(&p, "GET /parts HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\n\r\n");
    peer_hear(&p);
    assert_true(p.is_chunked);
    assert_string_equal(p.body, "0123456789");
    assert_memory_equal(peer_header(&p, "x-request-id"), "req_", 4);
    assert_memory_equal(peer_header(&p, "x-part"), "yes\r\n", 5);
    peer_say(&p, GET("/none"));
    peer_hear(&p);
    assert_int_equal(p.code, 204);
    assert_null(peer_header(&p, "content-length"));
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n");
    peer_hear(&p);
    assert_string_equal(p.body, "abcde");
    peer_say(&p, GET("/split"));
    peer_hear(&p);
    assert_int_equal(p.code, 500);
    assert_null(strstr(p.head, "Set-Cookie"));
    assert_true(peer_is_over(&p));
    peer_close(&p);
    stop(&f);
}

static void head_and_old_clients(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    peer_say(&p, "HEAD /parts HTTP/1.1\r\nHost: a\r\n\r\n"
                 "HEAD /no HTTP/1.1\r\nHost: a\r\n\r\n" GET("/no"));
    peer_hear_head(&p);
    assert_int_equal(p.code, 200);
    peer_hear_head(&p);
    assert_int_equal(p.code, 404);
    assert_memory_equal(peer_header(&p, "content-length"), "2\r\n", 3);
    peer_hear(&p);
    assert_string_equal(p.body, "no");
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "GET /parts HTTP/1.0\r\n\r\n");
    peer_hear(&p);
    assert_false(p.is_chunked);
    assert_string_equal(p.body, "0123456789");
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "GET /no HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peer_hear(&p);
    peer_say(&p, "GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer_hear(&p);
    assert_memory_equal(peer_header(&p, "connection"), "close\r\n", 7);
    assert_true(peer_is_over(&p));
    peer_close(&p);
    stop(&f);
}

static void in_order_and_byte_by_byte(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    static const char text[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\ntwo\r\n0\r\n\r\n" GET("/parts") GET("/no");
    for (int by_byte = 0; by_byte < 2; by_byte++) {
        if (by_byte)
            for (size_t i = 0; i < sizeof text - 1; i++) assert_true(peer_send(&p, text + i, 1));
        else assert_true(peer_say(&p, text));
        peer_hear(&p);
        assert_string_equal(p.body, "one");
        peer_hear(&p);
        assert_string_equal(p.body, "two");
        peer_hear(&p);
        assert_string_equal(p.body, "0123456789");
        peer_hear(&p);
        assert_int_equal(p.code, 404);
    }
    peer_close(&p);
    stop(&f);
}

static void continues_when_expected(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.max_body_bytes = 100});
    peer p = peer_connect(&f.s);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                 "Expect: 100-continue\r\n\r\n");
    peer_hear(&p);
    assert_int_equal(p.code, 100);
    peer_say(&p, "abc");
    peer_hear(&p);
    assert_string_equal(p.body, "abc");
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n"
                 "Expect: 100-continue\r\n\r\n");
    peer_hear(&p);
    assert_int_equal(p.code, 413);
    assert_true(peer_is_over(&p));
    peer_close(&p);
    stop(&f);
}

static void refusals_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/3.0\r\n\r\n", 505},
        {"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
    };
    fixture f;
    start(&f, (vg_http_limits){0});
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        peer p = peer_connect(&f.s);
        peer_say(&p, cases[i].text);
        peer_hear(&p);
        assert_int_equal(p.code, cases[i].code);
        assert_memory_equal(p.body, "{\"error\":{\"code\":", 17);
        assert_memory_equal(peer_header(&p, "connection"), "close\r\n", 7);
        assert_true(peer_is_over(&p));
        peer_close(&p);
    }
    assert_int_equal(f.n_refused, VG_COUNT(cases));
    stop(&f);
}

/* Who goes on sending into a refusal still reads it: no reset overtakes it. */
static void long_heads_and_bodies(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.max_body_bytes = 1 << 20});
    peer p = peer_connect(&f.s);
    peer_say(&p, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 10000 && peer_say(&p, "X-Header: value\r\n"); i++) continue;
    peer_say(&p, "\r\n");
    peer_hear(&p);
    assert_int_equal(p.code, 431);
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "GET /");
    char *block = calloc(1, 1 << 20);
    assert_non_null(block);
    memset(block, 'a', 1 << 20);
    peer_send(&p, block, 1 << 18);
    peer_hear(&p);
    assert_int_equal(p.code, 414);
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
    for (int i = 0; i < 8; i++) peer_send(&p, block, 1 << 20);
    peer_hear(&p);
    assert_int_equal(p.code, 413);
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    peer_send(&p, block, 1 << 20);
    peer_hear(&p);
    assert_int_equal(p.code, 200);
    assert_int_equal(p.n_body, 1 << 20);
    assert_memory_equal(p.body, block, 1 << 20);
    peer_close(&p);
    free(block);
    stop(&f);
}

static void a_client_that_leaves_is_noticed(void **state)
{
    (void)state;
    static const char *const asks[] = {GET("/hold"), GET("/begin"), GET("/hold") GET("/hold")};
    fixture f;
    start(&f, (vg_http_limits){0});
    for (size_t i = 0; i < VG_COUNT(asks) * 2; i++) {
        peer p = peer_connect(&f.s);
        peer_say(&p, asks[i / 2]);
        wait_for(&f.asked);
        if (i % 2) { /* a reset instead of a FIN */
            struct linger hard = {.l_onoff = 1};
            setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        peer_close(&p);
        wait_for(&f.closed);
        assert_int_equal(f.n_gone, i + 1);
    }
    stop(&f);
}

/* It sends on and on while its first request is worked on, more than is taken in, then leaves. */
static void one_that_sends_ahead_is_noticed_too(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    char block[65536];
    memset(block, 'x', sizeof block);
    peer_say(&p, GET("/hold"));
    wait_for(&f.asked);
    peer_send(&p, block, sizeof block);
    peer_close(&p);
    wait_for(&f.closed);
    assert_int_equal(f.n_gone, 1);
    stop(&f);
}

/* It shuts down its side: what was answered at once comes, what takes longer is cancelled. */
static void half_closed(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    peer_say(&p, GET("/parts"));
    shutdown(p.fd, SHUT_WR);
    peer_hear(&p);
    assert_string_equal(p.body, "0123456789");
    assert_true(peer_is_over(&p));
    peer_close(&p);
    wait_for(&f.closed);
    p = peer_connect(&f.s);
    peer_say(&p, GET("/hold"));
    shutdown(p.fd, SHUT_WR);
    assert_true(peer_is_over(&p));
    peer_close(&p);
    wait_for(&f.closed);
    assert_int_equal(f.n_gone, 1);
    stop(&f);
}

static void a_slow_reader_is_paused(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s);
    peer_say(&p, GET("/flood"));
    wait_for(&f.asked);
    peer_hear(&p);
    assert_int_equal(p.n_body, FLOOD_BYTES);
    assert_in_range(f.most_backlog, 65536, 65536 + 2 * PART);
    peer_close(&p);
    stop(&f);
}

static void one_that_never_reads_is_cut(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.stall_ms = 50});
    peer p = peer_connect(&f.s);
    peer_say(&p, GET("/flood"));
    wait_for(&f.closed);
    assert_int_equal(f.n_gone, 1);
    assert_true(f.flooded < FLOOD_BYTES);
    peer_close(&p);
    stop(&f);
}

static void slow_senders_are_cut(void **state)
{
    (void)state;
    fixture f;
    start(&f,
          (vg_http_limits){.head_ms = 50, .body_ms = 50, .idle_ms = 50, .min_body_rate = 1 << 20});
    peer p = peer_connect(&f.s);
    assert_true(peer_is_over(&p)); /* never said anything: no answer either */
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "GET / HTTP/1.1\r\nHost");
    peer_hear(&p);
    assert_int_equal(p.code, 408);
    assert_true(peer_is_over(&p));
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    peer_hear(&p);
    assert_int_equal(p.code, 408);
    peer_close(&p);
    p = peer_connect(&f.s);
    peer_say(&p, GET("/no"));
    peer_hear(&p);
    assert_true(peer_is_over(&p)); /* idle */
    peer_close(&p);
    stop(&f);
}

static void places_are_limited(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.max_connections = 2});
    peer a = peer_connect(&f.s), b = peer_connect(&f.s);
    peer_say(&a, GET("/no"));
    peer_hear(&a);
    peer_say(&b, GET("/hold"));
    wait_for(&f.asked);
    wait_for(&f.asked);
    peer c = peer_connect(&f.s); /* takes the place of a, which is idle */
    peer_say(&c, GET("/hold"));
    wait_for(&f.asked);
    assert_true(peer_is_over(&a));
    peer d = peer_connect(&f.s);
    peer_hear(&d);
    assert_int_equal(d.code, 503);
    assert_non_null(peer_header(&d, "retry-after"));
    peer_close(&a);
    peer_close(&b);
    peer_close(&c);
    peer_close(&d);
    stop(&f);
}

static void release(void *arg)
{
    fixture *f = arg;
    if (f->held) vg_exchange_reply(f->held, 200, "text/plain", "released", 8);
}

/* What is in progress ends as it should, also after the order to stop; nobody new comes in. */
static void stopping_lets_answers_end(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){0});
    peer p = peer_connect(&f.s), idle = peer_connect(&f.s);
    peer_say(&idle, GET("/no"));
    peer_hear(&idle);
    peer_say(&p, GET("/hold"));
    wait_for(&f.asked);
    wait_for(&f.asked);
    vg_http_stop(f.s.h);
    assert_true(peer_is_over(&idle));
    assert_true(vg_http_post(f.s.h, release, &f));
    peer_hear(&p);
    assert_string_equal(p.body, "released");
    assert_memory_equal(peer_header(&p, "connection"), "close\r\n", 7);
    assert_true(peer_is_over(&p));
    assert_int_equal(pthread_join(f.s.thread, NULL), 0);
    peer late = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(f.s.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_not_equal(connect(late.fd, (void *)&a, sizeof a), 0);
    vg_http_free(f.s.h);
    peer_close(&p);
    peer_close(&idle);
    peer_close(&late);
}

static void stopping_has_an_end(void **state)
{
    (void)state;
    fixture f;
    start(&f, (vg_http_limits){.drain_ms = 20});
    peer p = peer_connect(&f.s);
    peer_say(&p, GET("/hold"));
    wait_for(&f.asked);
    stop(&f); /* only the deadline ends it */
    assert_true(peer_is_over(&p));
    assert_int_equal(f.n_gone, 1);
    peer_close(&p);
}

static void idle_connections_are_small(void **state)
{
    (void)state;
    enum { N = 1000 };
    static const long most_bytes = 64L << 20; /* a sanitizer keeps what was freed */
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2 * N + 100) skip();
    fixture f;
    start(&f, (vg_http_limits){0});
    peer *p = calloc(N, sizeof *p);
    assert_non_null(p);
    long before = 0, after = 0;
    for (int i = 0; i <= N; i++) {
        char line[256];
        FILE *statm = fopen("/proc/self/statm", "r");
        if (statm && fgets(line, sizeof line, statm)) {
            long pages = strtol(strchr(line, ' '), NULL, 10) * sysconf(_SC_PAGESIZE);
            if (i == 0) before = pages;
            after = pages;
        }
        if (statm) fclose(statm);
        if (i == N) break;
        p[i] = peer_connect(&f.s);
        peer_say(&p[i], GET("/parts"));
        peer_hear(&p[i]);
        int fd = p[i].fd;
        p[i].fd = -1;
        peer_close(&p[i]);
        p[i].fd = fd;
    }
    printf("%d idle connections take %ld KiB\n", N, (after - before) / 1024);
    assert_true(after - before < most_bytes);
    for (int i = 0; i < N; i++) peer_close(&p[i]);
    free(p);
    stop(&f);
}

static peer connect_unix(const char *path)
{
    peer p = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_int_equal(connect(p.fd, (void *)&a, sizeof a), 0);
    return p;
}

static void unix_sockets(void **state)
{
    (void)state;
    char dir[] = "/tmp/verge-http-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    /* A socket that nobody listens behind any more. */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (void *)&a, sizeof a), 0);
    close(dead);
    vg_err err;
    vg_http *h = NULL, *second = NULL;
    vg_http_opts opts = {.request = on_request};
    fixture f = {0};
    sem_init(&f.asked, 0, 0);
    opts.user = &f;
    TEST_OK(vg_http_new(&h, &opts, &err));
    TEST_OK(vg_http_listen_unix(h, path, 0640, &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    TEST_OK(vg_http_new(&second, &opts, &err));
    assert_int_equal(vg_http_listen_unix(second, path, 0, &err), VG_E_IO);
    assert_non_null(strstr(err.msg, "another server"));
    assert_int_equal(vg_http_listen_unix(second, dir, 0, &err), VG_E_IO);
    assert_non_null(strstr(err.msg, "no socket"));
    vg_http_free(second);
    f.s.h = h;
    assert_int_equal(pthread_create(&f.s.thread, NULL, peer_run, &f.s), 0);
    peer p = connect_unix(path);
    peer_say(&p, GET("/parts"));
    peer_hear(&p);
    assert_string_equal(p.body, "0123456789");
    peer_close(&p);
    peer_stop(&f.s);
    sem_destroy(&f.asked);
    assert_int_not_equal(stat(path, &st), 0);
    rmdir(dir);
}

static void bad_places_to_listen(void **state)
{
    (void)state;
    vg_err err;
    fixture f;
    start(&f, (vg_http_limits){0});
    vg_http *h = NULL;
    vg_http_opts opts = {.request = on_request};
    TEST_OK(vg_http_new(&h, &opts, &err));
    assert_int_equal(vg_http_listen_tcp(h, "127.0.0.1", f.s.port, NULL, &err), VG_E_IO);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    assert_int_equal(vg_http_listen_tcp(h, "300.0.0.1", 1, NULL, &err), VG_E_NOT_FOUND);
    assert_int_equal(vg_http_listen_tcp(h, "192.0.2.1", 0, NULL, &err), VG_E_NOT_FOUND);
    assert_int_equal(vg_http_listen_fd(h, STDIN_FILENO, &err), VG_E_USAGE);
    vg_http_free(h);
    opts.request = NULL;
    assert_int_equal(vg_http_new(&h, &opts, &err), VG_E_USAGE);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_keeps_alive),
        cmocka_unit_test(head_and_old_clients),
        cmocka_unit_test(in_order_and_byte_by_byte),
        cmocka_unit_test(continues_when_expected),
        cmocka_unit_test(refusals_are_answered),
        cmocka_unit_test(long_heads_and_bodies),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(one_that_sends_ahead_is_noticed_too),
        cmocka_unit_test(half_closed),
        cmocka_unit_test(a_slow_reader_is_paused),
        cmocka_unit_test(one_that_never_reads_is_cut),
        cmocka_unit_test(slow_senders_are_cut),
        cmocka_unit_test(places_are_limited),
        cmocka_unit_test(stopping_lets_answers_end),
        cmocka_unit_test(stopping_has_an_end),
        cmocka_unit_test(idle_connections_are_small),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(bad_places_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
