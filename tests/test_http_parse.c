/* Requests as bytes (RFC 9112): what is accepted, what is refused and with which code, however the
 * bytes are cut. */
#include "serve/http_parse.h"
#include "test.h"

static const vg_http_limits limits = {
    .max_line_bytes = 200, .max_head_bytes = 2000, .max_headers = 8, .max_body_bytes = 1000};

typedef struct parsed {
    vg_arena *arena;
    vg_http_head head;
    char why[VG_HTTP_WHY];
} parsed;

/* Scans p[0..n) in two parts, then parses. 0, a code, or -1 where the head is not whole. */
static int parse_in_two(parsed *out, const char *p, size_t n, size_t first)
{
    vg_http_scan scan = {0};
    *out = (parsed){0};
    assert_int_equal(vg_arena_new(&out->arena, 1 << 20, NULL), VG_OK);
    /* Copies of their own length, so that a sanitizer sees a read behind them. */
    for (size_t part = first; part <= n; part = part < n ? n : n + 1) {
        char *copy = malloc(part + 1);
        assert_non_null(copy);
        memcpy(copy, p, part);
        int code = vg_http_scan_head(&scan, &limits, copy, part, out->why);
        if (!code && scan.done)
            code = vg_http_parse_head(&out->head, out->arena, &limits, copy, scan.at, out->why);
        free(copy);
        if (code || scan.done) return code;
    }
    return -1;
}

/* The same whatever the cut; the result of the last is left in *out. */
static int parse(parsed *out, const char *p, size_t n)
{
    int whole = parse_in_two(out, p, n, n);
    for (size_t first = 0; first < n; first++) {
        parsed cut;
        int code = parse_in_two(&cut, p, n, first);
        assert_int_equal(code, whole);
        if (code == 0) {
            assert_true(vg_str_eq(cut.head.path, out->head.path));
            assert_int_equal(cut.head.n_fields, out->head.n_fields);
            assert_int_equal(cut.head.length, out->head.length);
        }
        vg_arena_free(cut.arena);
    }
    return whole;
}

static void check(const char *text, size_t n, int want)
{
    parsed p;
    int code = parse(&p, text, n);
    if (code != want) fail_msg("%.60s: %d (%s), not %d", text, code, p.why, want);
    if (code > 0) assert_true(strlen(p.why) > 5);
    vg_arena_free(p.arena);
}
#define CHECK(text, want) check(text, sizeof(text) - 1, want)

static void a_request(void **state)
{
    (void)state;
    static const char text[] =
        "POST /v1//chat/./x/../completions%2Fa%20b?stream=1&q=a+b%26c HTTP/1.1\r\n"
        "Host: localhost:8080\r\nContent-Length: 12\r\n"
        "X-Empty:\r\nX-Blank:  a b \t\r\nConnection: foo, Close\r\n\r\nbody";
    parsed p;
    assert_int_equal(parse(&p, text, sizeof text - 1), 0);
    assert_true(vg_str_is(p.head.method, "POST"));
    assert_true(vg_str_is(p.head.path, "/v1/chat/completions/a b"));
    assert_true(vg_str_is(p.head.host, "localhost:8080"));
    assert_true(vg_str_is(vg_http_find(&p.head, "x-blank"), "a b"));
    assert_non_null(vg_http_find(&p.head, "X-EMPTY").p);
    assert_null(vg_http_find(&p.head, "x-none").p);
    assert_int_equal(p.head.length, 12);
    assert_false(p.head.keep_alive);
    assert_true(vg_str_is(vg_http_param(p.arena, p.head.query, "stream"), "1"));
    assert_true(vg_str_is(vg_http_param(p.arena, p.head.query, "q"), "a b&c"));
    assert_null(vg_http_param(p.arena, p.head.query, "none").p);
    vg_arena_free(p.arena);
}

static void request_lines(void **state)
{
    (void)state;
    CHECK("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    CHECK("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    CHECK("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.0\r\n\r\n", 0);
    CHECK("GET / HTTP/1.7\r\nHost: a\r\n\r\n", 0);
    CHECK("GET http://a:80/b?c HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    CHECK("GET https://a HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    CHECK("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    CHECK("GET /%e4%bd%a0 HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\n", -1);
    CHECK("", -1);
    CHECK("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    CHECK("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    CHECK("GET / HTTP/0.9\r\n\r\n", 505);
    CHECK("GET /\r\n\r\n", 400);
    CHECK("GET / http/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400);
    CHECK("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    CHECK("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    CHECK("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    CHECK("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /%0a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    CHECK("\x16\x03\x01\x02", 400); /* TLS on a plain port */
}

static void bytes_that_end_lines(void **state)
{
    (void)state;
    CHECK("GET / HTTP/1.1\nHost: a\n\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA: \x7f\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA: \xff\xfe\r\n\r\n", 0); /* obs-text */
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nA(b: c\r\n\r\n", 400);
}

static void hosts(void **state)
{
    (void)state;
    CHECK("GET / HTTP/1.1\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400);
    CHECK("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0);
    CHECK("GET / HTTP/1.1\r\nHost:\r\n\r\n", 0);
    CHECK("GET / HTTP/1.1\r\nhOST: a\r\n\r\n", 0);
}

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void framing(void **state)
{
    (void)state;
    CHECK(POST "Content-Length: 5\r\n\r\n", 0);
    CHECK(POST "Content-Length: 0005\r\n\r\n", 0);
    CHECK(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400);
    CHECK(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400);
    CHECK(POST "Content-Length: 5, 5\r\n\r\n", 400);
    CHECK(POST "Content-Length: +5\r\n\r\n", 400);
    CHECK(POST "Content-Length: -5\r\n\r\n", 400);
    CHECK(POST "Content-Length: 0x5\r\n\r\n", 400);
    CHECK(POST "Content-Length: 5 5\r\n\r\n", 400);
    CHECK(POST "Content-Length:\r\n\r\n", 400);
    CHECK(POST "Content-Length: 99999999999999999999\r\n\r\n", 400);
    CHECK(POST "Content-Length: 9223372036854775808\r\n\r\n", 413);
    CHECK(POST "Content-Length: 1001\r\n\r\n", 413);
    CHECK(POST "Content-Length: 1000\r\n\r\n", 0);
    CHECK(POST "Transfer-Encoding: chunked\r\n\r\n", 0);
    CHECK(POST "Transfer-Encoding: Chunked\r\n\r\n", 0);
    CHECK(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400);
    CHECK(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK(POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501);
    CHECK(POST "Transfer-Encoding: identity, chunked\r\n\r\n", 501);
    CHECK(POST "Transfer-Encoding: xchunked\r\n\r\n", 501);
    CHECK(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    CHECK(POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 501);
    CHECK("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    CHECK(POST "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 415);
    CHECK(POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0);
    CHECK(POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", 417);
}

static void sizes(void **state)
{
    (void)state;
    char text[4000];
    size_t n = (size_t)snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    check(text, n, 414);
    n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nA: %02500d\r\n\r\n", 0);
    check(text, n, 431);
    n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 7; i++) n += (size_t)snprintf(text + n, sizeof text - n, "A: b\r\n");
    size_t all = n + (size_t)snprintf(text + n, sizeof text - n, "\r\n");
    check(text, all, 0);
    n += (size_t)snprintf(text + n, sizeof text - n, "A: b\r\n\r\n");
    check(text, n, 431);
}

/* A body in parts of `step` bytes; its data in out. */
static int chunks(const char *p, size_t n, size_t step, vg_buf *out, size_t *used)
{
    vg_http_chunks c = {0};
    char why[VG_HTTP_WHY] = "";
    vg_buf_init(out, limits.max_body_bytes);
    *used = 0;
    for (size_t i = 0; i < n && !c.done; i += step) {
        size_t part = VG_MIN(step, n - i), got;
        char *copy = malloc(part);
        assert_non_null(copy);
        memcpy(copy, p + i, part);
        int code = vg_http_feed_chunks(&c, &limits, copy, part, &got, out, why);
        free(copy);
        *used += got;
        if (code) return code;
    }
    return c.done ? 0 : -1;
}

static void check_chunks(const char *p, size_t n, int want, const char *data)
{
    for (size_t step = 1; step <= n; step++) {
        vg_buf out;
        size_t used;
        int code = chunks(p, n, step, &out, &used);
        if (code != want) fail_msg("%.40s in steps of %zu: %d, not %d", p, step, code, want);
        if (data) assert_true(vg_str_is((vg_str){out.data, out.n}, data));
        vg_buf_clear(&out);
    }
}
#define CHUNKS(text, want, data) check_chunks(text, sizeof(text) - 1, want, data)

static void chunked_bodies(void **state)
{
    (void)state;
    CHUNKS("5\r\nhello\r\n0\r\n\r\n", 0, "hello");
    CHUNKS("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", 0, "hello world");
    CHUNKS("A;x=\"y\"\r\n0123456789\r\n00\r\nX-Sum: 1\r\n\r\n", 0, "0123456789");
    CHUNKS("a ; x\r\n0123456789\r\n0\r\n\r\n", 0, "0123456789");
    CHUNKS("5\r\nhello\r\n", -1, NULL);
    CHUNKS("5\r\nhell", -1, NULL);
    CHUNKS("5\r\nhelloo\r\n0\r\n\r\n", 400, NULL);
    CHUNKS("5\r\nhello0\r\n\r\n", 400, NULL);
    CHUNKS("5\nhello\r\n0\r\n\r\n", 400, NULL);
    CHUNKS("5\r\nhello\n0\r\n\r\n", 400, NULL);
    CHUNKS("5;a\nb\r\nhello\r\n0\r\n\r\n", 400, NULL);
    CHUNKS("5\r\nhello\r\n0\r\n\n", 400, NULL);
    CHUNKS("\r\nhello\r\n", 400, NULL);
    CHUNKS("-5\r\nhello\r\n", 400, NULL);
    CHUNKS("+5\r\nhello\r\n", 400, NULL);
    CHUNKS("0x5\r\nhello\r\n", 400, NULL);
    CHUNKS("5 \r\nhello\r\n", 400, NULL);
    CHUNKS("g\r\nhello\r\n", 400, NULL);
    CHUNKS("0\r\n: a\r\n\r\n", 400, NULL);
    CHUNKS("0\r\n a: b\r\n\r\n", 400, NULL);
    CHUNKS("ffffffffffffffff\r\n", 413, NULL);
    CHUNKS("10000000000000000\r\n", 413, NULL);
    CHUNKS("00000000000000005\r\nhello\r\n", 413, NULL);
    CHUNKS("3e9\r\n", 413, NULL);
    CHUNKS("3e8\r\n", -1, NULL);
}

static void chunk_extensions_are_bounded(void **state)
{
    (void)state;
    vg_http_chunks c = {0};
    vg_buf out;
    char why[VG_HTTP_WHY];
    size_t used, fed = 0;
    int code = 0;
    vg_buf_init(&out, limits.max_body_bytes);
    static const char one[] = "1;extension=extension\r\nx\r\n";
    while (!code && fed < 1 << 20) {
        code = vg_http_feed_chunks(&c, &limits, one, sizeof one - 1, &used, &out, why);
        fed += used;
    }
    assert_int_equal(code, 400);
    assert_in_range(fed, 1000, 40000);
    vg_buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request),
        cmocka_unit_test(request_lines),
        cmocka_unit_test(bytes_that_end_lines),
        cmocka_unit_test(hosts),
        cmocka_unit_test(framing),
        cmocka_unit_test(sizes),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(chunk_extensions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
