/* Tests of the parts of `verge bench serve` that are sure of their results: reading responses and
 * events however they are cut, percentiles, the load, addresses. */
#include <math.h>

#include "app/bench_serve.h"
#include "test.h"

/* ---- HTTP ----------------------------------------------------------------------------------- */

/* Feeds `text` in pieces of `step` bytes; the body comes out in `body`. */
static vg_status feed(bench_http *h, const char *text, size_t n, size_t step, vg_buf *body,
                      vg_err *err)
{
    bench_http_begin(h);
    vg_buf_reset(body);
    for (size_t at = 0; at < n; at += step) {
        vg_str in = {text + at, VG_MIN(step, n - at)}, part;
        while (in.n > 0 && !bench_http_done(h)) {
            VG_TRY(bench_http_take(h, &in, &part, err));
            vg_buf_str(body, part);
        }
    }
    return VG_OK;
}

typedef struct response {
    const char *text, *body;
    int status;
    bool done, chunked, closes, is_events;
    int retry_after_s;
} response;

static void responses_come_in_pieces(void **state)
{
    static const response good[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true,
         .retry_after_s = -1},
        {"HTTP/1.1 200 OK\ncontent-length:5\n\nhello", "hello", 200, true, .retry_after_s = -1},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, .retry_after_s = -1},
        {"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
         "3;x=y\r\nabc\r\nB\r\n0123456789a\r\n0\r\nTrailer: 1\r\n\r\n", "abc0123456789a", 200, true,
         .chunked = true, .is_events = true, .retry_after_s = -1},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n"
         "\r\n", "", 429, true, .retry_after_s = 7},
        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", 200, false, .closes = true,
         .retry_after_s = -1},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", "ab", 200, true,
         .closes = true, .retry_after_s = -1},
    };
    VG_UNUSED(state);
    bench_http h;
    vg_err err;
    vg_buf body;
    vg_buf_init(&body, 1 << 20);
    for (size_t i = 0; i < VG_COUNT(good); i++) {
        const response *r = &good[i];
        for (size_t step = 1; step <= 64; step++) {
            TEST_OK(feed(&h, r->text, strlen(r->text), step, &body, &err));
            assert_int_equal(h.status, r->status);
            assert_int_equal(bench_http_done(&h), r->done);
            assert_int_equal(h.chunked, r->chunked);
            assert_int_equal(h.closes, r->closes);
            assert_int_equal(h.is_events, r->is_events);
            assert_int_equal(h.retry_after_s, r->retry_after_s);
            assert_int_equal(body.n, strlen(r->body));
            if (body.n) assert_memory_equal(body.data, r->body, body.n);
            TEST_OK(bench_http_closed(&h, &err));
        }
    }
    vg_buf_clear(&body);
}

static void bad_responses_are_refused(void **state)
{
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
    };
    VG_UNUSED(state);
    bench_http h;
    vg_err err;
    vg_buf body, text;
    vg_buf_init(&body, 1 << 20);
    vg_buf_init(&text, 1 << 20);
    for (size_t i = 0; i < VG_COUNT(bad); i++)
        for (size_t step = 1; step <= 64; step++)
            assert_int_equal(feed(&h, bad[i], strlen(bad[i]), step, &body, &err), VG_E_FORMAT);
    /* Headers without end, in one line and in many. */
    vg_buf_text(&text, "HTTP/1.1 200 OK\r\nA: ");
    for (int i = 0; i < BENCH_HTTP_LINE; i++) vg_buf_char(&text, 'x');
    assert_int_equal(feed(&h, text.data, text.n, 1000, &body, &err), VG_E_FORMAT);
    vg_buf_reset(&text);
    vg_buf_text(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < BENCH_HTTP_HEAD / 4; i++) vg_buf_text(&text, "A: b\n");
    assert_int_equal(feed(&h, text.data, text.n, 1000, &body, &err), VG_E_FORMAT);
    /* Cut within the answer. */
    static const char *const cut[] = {"", "HTTP/1.1 200 OK\r\nContent-Le",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"};
    for (size_t i = 0; i < VG_COUNT(cut); i++) {
        TEST_OK(feed(&h, cut[i], strlen(cut[i]), 64, &body, &err));
        assert_int_equal(bench_http_closed(&h, &err), VG_E_FORMAT);
    }
    vg_buf_clear(&body);
    vg_buf_clear(&text);
}

/* ---- events --------------------------------------------------------------------------------- */

static void events_come_in_pieces(void **state)
{
    static const char text[] =
        ": comment\n\nevent: x\ndata: one\n\ndata:two\r\ndata: lines\r\n\r\nid: 7\rdata: three\r\r"
        "\n\ndata\n\ndata: cut off";
    static const char *const want[] = {"one", "two\nlines", "three", ""};
    VG_UNUSED(state);
    bench_sse s = {0};
    vg_err err;
    for (size_t step = 1; step <= sizeof text; step++) {
        size_t n = 0;
        bench_sse_begin(&s);
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            vg_str in = {text + at, VG_MIN(step, sizeof text - 1 - at)}, data;
            while (bench_sse_take(&s, &in, &data)) {
                assert_true(n < VG_COUNT(want));
                assert_true(vg_str_is(data, want[n]));
                n++;
            }
            assert_int_equal(in.n, 0);
        }
        assert_int_equal(n, VG_COUNT(want));
        TEST_OK(bench_sse_check(&s, &err));
    }
    /* An event without end is refused at its bound. */
    char many[65536];
    memset(many, 'x', sizeof many);
    bench_sse_begin(&s);
    for (int i = 0; i < 2 * BENCH_SSE_EVENT_BYTES / (int)sizeof many; i++) {
        vg_str in = {many, sizeof many}, data;
        assert_false(bench_sse_take(&s, &in, &data));
    }
    assert_int_equal(bench_sse_check(&s, &err), VG_E_LIMIT);
    bench_sse_begin(&s); /* and the next stream is read again */
    vg_str in = VG_STR("data: x\n\n"), data;
    assert_true(bench_sse_take(&s, &in, &data));
    bench_sse_clear(&s);
}

static void events_say_what_was_generated(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *text;
        bool has_text, finished;
    } good[] = {
        {"{\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": null}}]}", false,
         false},
        {"{\"choices\": [{\"delta\": {\"content\": \"\"}}]}", false, false},
        {"{\"choices\": [{\"delta\": {\"content\": \"a\"}, \"finish_reason\": null}]}", true,
         false},
        {"{\"choices\": [{\"delta\": {\"reasoning_content\": \"a\"}}]}", true, false},
        {"{\"choices\": [{\"delta\": {\"tool_calls\": [{}]}}]}", true, false},
        {"{\"choices\": [{\"text\": \"a\", \"finish_reason\": \"stop\"}]}", true, true},
        {"{\"choices\": []}", false, false},
        {"{\"choices\": 3, \"usage\": null, \"error\": null}", false, false},
        {"{}", false, false},
    };
    vg_err err;
    vg_arena *a = NULL;
    bench_event ev;
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    for (size_t i = 0; i < VG_COUNT(good); i++) {
        TEST_OK(bench_event_read(a, vg_str_from(good[i].text), &ev, &err));
        assert_int_equal(ev.has_text, good[i].has_text);
        assert_int_equal(ev.finished, good[i].finished);
        assert_true(!ev.done && !ev.has_usage && !*ev.error);
    }
    TEST_OK(bench_event_read(a, VG_STR("[DONE]"), &ev, &err));
    assert_true(ev.done);
    TEST_OK(bench_event_read(a, VG_STR("{\"usage\": {\"prompt_tokens\": 7, \"completion_tokens\""
                                       ": 9}}"), &ev, &err));
    assert_true(ev.has_usage && ev.prompt_tok == 7 && ev.generated_tok == 9);
    TEST_OK(bench_event_read(a, VG_STR("{\"error\": {\"message\": \"no\\u001b[31m\"}}"), &ev,
                             &err));
    assert_string_equal(ev.error, "no?[31m");
    TEST_OK(bench_event_read(a, VG_STR("{\"error\": {}}"), &ev, &err));
    assert_true(*ev.error);
    assert_int_equal(bench_event_read(a, VG_STR("{\"choices\": ["), &ev, &err), VG_E_FORMAT);
    assert_int_equal(bench_event_read(a, VG_STR("3"), &ev, &err), VG_E_FORMAT);
    assert_int_equal(bench_event_read(a, VG_STR(""), &ev, &err), VG_E_FORMAT);
    vg_arena_free(a);
}

static void messages_of_errors(void **state)
{
    static const char *const bodies[][2] = {
        {"{\"error\": {\"message\": \"why\"}}", "why"}, {"{\"error\": \"why\"}", "why"},
        {"{\"message\": \"why\"}", "why"}, {"{\"detail\": \"why\"}", "why"},
        {"<html>\nmore", "<html>"}, {"", ""}, {"{\"x\": 1}", "{\"x\": 1}"},
    };
    VG_UNUSED(state);
    vg_err err;
    vg_arena *a = NULL;
    char out[BENCH_EVENT_ERROR], text[BENCH_EVENT_ERROR + 10];
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    for (size_t i = 0; i < VG_COUNT(bodies); i++) {
        bench_error_text(a, vg_str_from(bodies[i][0]), out);
        assert_string_equal(out, bodies[i][1]);
    }
    memset(text, 'x', sizeof text);
    memcpy(text + BENCH_EVENT_ERROR - 2, "\xc3\xa9", 2); /* cut in the middle of a character */
    bench_error_text(a, (vg_str){text, sizeof text}, out);
    assert_int_equal(strlen(out), BENCH_EVENT_ERROR - 2);
    vg_arena_free(a);
}

/* ---- times ---------------------------------------------------------------------------------- */

static void percentiles_are_near_the_times(void **state)
{
    VG_UNUSED(state);
    bench_hist h = {0};
    assert_true(isnan(bench_hist_percentile(&h, 0.5)) && isnan(bench_hist_mean(&h)));
    for (int i = 1; i <= 1000; i++) bench_hist_add(&h, i * 0.1);
    static const double shares[] = {0.01, 0.5, 0.95, 0.99};
    for (size_t i = 0; i < VG_COUNT(shares); i++) {
        double want = shares[i] * 100, got = bench_hist_percentile(&h, shares[i]);
        assert_true(fabs(got - want) <= 0.006 * want);
    }
    assert_true(bench_hist_percentile(&h, 1) <= 100 && h.max == 100);
    assert_true(bench_hist_percentile(&h, 0) >= 0.1 && h.min == 0.1);
    assert_true(fabs(bench_hist_mean(&h) - 50.05) < 1e-9);
    bench_hist_reset(&h);
    bench_hist_add(&h, 0); /* what is too small, and too large */
    bench_hist_add(&h, 1e300);
    assert_true(bench_hist_percentile(&h, 0.5) >= 0 && bench_hist_percentile(&h, 0.5) <= 0.0011);
    assert_true(bench_hist_percentile(&h, 1) > 1e6);
    bench_hist_reset(&h);
    bench_hist_add(&h, 3.21); /* alone, it is what comes back */
    assert_true(bench_hist_percentile(&h, 0.99) == 3.21);
}

/* ---- load ----------------------------------------------------------------------------------- */

static void open_load(bench_load *l, const bench_serve_opts *o)
{
    vg_err err;
    *l = (bench_load){.words = {20, 30}, .tokens = {10, 40}};
    TEST_OK(bench_load_open(l, o, &err));
}

static size_t count_words(const vg_buf *b)
{
    size_t n = b->n > 0;
    for (size_t i = 0; i < b->n; i++) n += b->data[i] == ' ';
    return n;
}

static void the_load_depends_on_the_seed_alone(void **state)
{
    VG_UNUSED(state);
    bench_serve_opts o = {.seed = 7, .cancel = 0.25, .shared = 12};
    bench_load l, same, other;
    bench_request r, s;
    vg_buf a, b;
    vg_buf_init(&a, 1 << 20);
    vg_buf_init(&b, 1 << 20);
    open_load(&l, &o);
    open_load(&same, &o);
    o.seed = 8;
    open_load(&other, &o);
    size_t n_cancelled = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        bench_load_request(&l, 1, i, &r, &a);
        size_t n = count_words(&a);
        assert_true(n >= 20 && n <= 30 && r.max_tok >= 10 && r.max_tok <= 40);
        n_cancelled += r.cancel_at != UINT32_MAX;
        assert_true(r.cancel_at == UINT32_MAX || r.cancel_at < r.max_tok);
        bench_load_request(&same, 1, i, &s, &b);
        assert_string_equal(a.data, b.data);
        assert_true(s.max_tok == r.max_tok && s.cancel_at == r.cancel_at);
        bench_load_request(&l, 2, i, &s, &b); /* another level, another seed, the next one */
        assert_string_not_equal(a.data, b.data);
        bench_load_request(&other, 1, i, &s, &b);
        assert_string_not_equal(a.data, b.data);
        bench_load_request(&l, 1, i + 1, &s, &b);
        assert_string_not_equal(a.data, b.data);
    }
    assert_true(n_cancelled > 180 && n_cancelled < 320);
    bench_load_shared(&l, &a);
    bench_load_shared(&same, &b);
    assert_int_equal(count_words(&a), 12);
    assert_string_equal(a.data, b.data);
    vg_buf_clear(&a);
    vg_buf_clear(&b);
    bench_load_close(&l);
    bench_load_close(&same);
    bench_load_close(&other);
}

/* Gaps of a Poisson process: their mean is 1/rate, and so is their deviation. */
static void arrivals_are_random(void **state)
{
    VG_UNUSED(state);
    enum { N = 100000 };
    bench_serve_opts o = {.seed = 3};
    bench_load l;
    double sum = 0, sum_sq = 0;
    open_load(&l, &o);
    for (uint64_t i = 0; i < N; i++) {
        double gap = bench_load_gap(&l, 0, i, 20);
        assert_true(gap >= 0 && isfinite(gap));
        sum += gap;
        sum_sq += gap * gap;
    }
    double mean = sum / N, deviation = sqrt(sum_sq / N - mean * mean);
    assert_true(fabs(mean - 0.05) < 0.001); /* six standard errors */
    assert_true(fabs(deviation - 0.05) < 0.002);
    bench_load_close(&l);
}

static void ranges(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    bench_range r;
    TEST_OK(bench_range_read("words", "64", 100, &r, &err));
    assert_true(r.min == 64 && r.max == 64);
    TEST_OK(bench_range_read("words", "1-100", 100, &r, &err));
    assert_true(r.min == 1 && r.max == 100);
    static const char *const bad[] = {"", "0", "101", "1-101", "3-2", "-3", "3-", "3-x", "x", "3 ",
                                      " 3", "3--4", "99999999999999999999"};
    for (size_t i = 0; i < VG_COUNT(bad); i++)
        assert_int_equal(bench_range_read("words", bad[i], 100, &r, &err), VG_E_USAGE);
}

/* ---- server --------------------------------------------------------------------------------- */

static void addresses(void **state)
{
    static const char *const good[][4] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080", ""},
        {"localhost:1", "localhost", "1", ""},
        {"http://box/", "box", "80", ""},
        {"HTTP://box:8080/v1/", "box", "8080", ""},
        {"http://box/proxy/v1", "box", "80", "/proxy"},
        {"http://[::1]:8080/x", "::1", "8080", "/x"},
    };
    static const char *const bad[] = {"", "http://", "http://:80", "http://x:", "http://x:1y",
                                      "http://x:123456", "https://x", "ftp://x", "http://[::1",
                                      "http://[::1]x", "unix:", "unix://"};
    VG_UNUSED(state);
    vg_err err;
    for (size_t i = 0; i < VG_COUNT(good); i++) {
        bench_target t = {0};
        TEST_OK(bench_target_read(&t, good[i][0], &err));
        assert_string_equal(t.host, good[i][1]);
        assert_string_equal(t.port, good[i][2]);
        assert_string_equal(t.base, good[i][3]);
    }
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        bench_target t = {0};
        assert_int_equal(bench_target_read(&t, bad[i], &err), VG_E_USAGE);
    }
    bench_target t = {0};
    TEST_OK(bench_target_read(&t, "unix:///run/verge.sock", &err));
    assert_string_equal(t.unix_path, "/run/verge.sock");
}

static void requests(void **state)
{
    VG_UNUSED(state);
    bench_serve_opts o = {.seed = 1};
    bench_load l;
    bench_target t = {.host = "::1", .port = "8", .base = "/x", .key = "k", .model = "a\"b",
                      .chat = true, .ignore_eos = true, .usage = true};
    vg_buf body, out;
    vg_buf_init(&body, 1 << 20);
    vg_buf_init(&out, 1 << 20);
    open_load(&l, &o);
    bench_target_body(&t, &l, VG_STR("hi"), 3, &body);
    assert_string_equal(body.data, "{\"model\": \"a\\\"b\", \"messages\": [{\"role\": \"user\", "
                        "\"content\": \"hi\"}], \"max_tokens\": 3, \"temperature\": 0, \"stream\": "
                        "true, \"stream_options\": {\"include_usage\": true}, \"ignore_eos\": "
                        "true}");
    bench_target_request(&t, "POST", "/v1/y", VG_STR("{}"), &out);
    assert_non_null(strstr(out.data, "POST /x/v1/y HTTP/1.1\r\nHost: [::1]:8\r\n"));
    assert_non_null(strstr(out.data, "\r\nAuthorization: Bearer k\r\n"));
    assert_non_null(strstr(out.data, "\r\nContent-Length: 2\r\n\r\n{}"));
    t.chat = t.ignore_eos = t.usage = false;
    bench_target_body(&t, &l, VG_STR("hi"), 3, &body);
    assert_string_equal(body.data, "{\"model\": \"a\\\"b\", \"prompt\": \"hi\", \"max_tokens\": 3, "
                        "\"temperature\": 0, \"stream\": true}");
    vg_buf_clear(&body);
    vg_buf_clear(&out);
    bench_load_close(&l);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_come_in_pieces),
        cmocka_unit_test(bad_responses_are_refused),
        cmocka_unit_test(events_come_in_pieces),
        cmocka_unit_test(events_say_what_was_generated),
        cmocka_unit_test(messages_of_errors),
        cmocka_unit_test(percentiles_are_near_the_times),
        cmocka_unit_test(the_load_depends_on_the_seed_alone),
        cmocka_unit_test(arrivals_are_random),
        cmocka_unit_test(ranges),
        cmocka_unit_test(addresses),
        cmocka_unit_test(requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
