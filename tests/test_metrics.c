/* Tests of serve/metrics.h and serve/live.h: histograms, the form of the text that Prometheus reads
 * (VG_TEST_METRICS names a file to write one to, for a parser elsewhere), and the live object. */
#include <math.h>

#include "test.h"

#include "base/json.h"
#include "serve/live.h"

static void histograms(void **state)
{
    VG_UNUSED(state);
    static const vg_histogram_shape shape = {3, {1, 2, 4}};
    vg_histogram h = {.shape = &shape};
    assert_true(vg_histogram_quantile(&h, 0.5) == 0);
    const double seen[] = {0.5, 1, 1.5, 2, 3, 4, NAN, -1};
    for (size_t i = 0; i < VG_COUNT(seen); i++) vg_histogram_observe(&h, seen[i]);
    assert_int_equal(h.count, 7);
    assert_int_equal(h.bucket[0], 3);
    assert_int_equal(h.bucket[1], 2);
    assert_int_equal(h.bucket[2], 2);
    assert_int_equal(h.bucket[3], 0);
    assert_true(h.sum == 11);
    assert_true(fabs(vg_histogram_quantile(&h, 3.0 / 7) - 1) < 1e-12);
    assert_true(fabs(vg_histogram_quantile(&h, 4.0 / 7) - 1.5) < 1e-12);
    assert_true(vg_histogram_quantile(&h, 1) == 4);
    vg_histogram then = h;
    vg_histogram_observe(&h, 100);
    assert_true(vg_histogram_quantile(&h, 1) == 4); /* no bound above it */
    vg_histogram d = vg_histogram_since(&h, &then);
    assert_true(d.count == 1 && d.bucket[3] == 1 && d.sum == 100);
}

/* ---- a server's numbers ---------------------------------------------------------------------- */

typedef struct server {
    vg_metrics metrics;
    vg_metrics_engine engine[2];
    vg_metrics_now now;
    vg_buf out;
} server;

static int begin(void **state)
{
    server *s = calloc(1, sizeof *s);
    *state = s;
    vg_metrics_init(&s->metrics);
    vg_buf_init(&s->out, 1 << 22);
    s->engine[0] = (vg_metrics_engine){
        VG_STR("tiny"), "ready", 1000, 2048,
        {.n_running = 3, .n_waiting = 1, .step_rows = 5, .batch_tok = 256, .step_ms = 12.5,
         .n_steps = 10, .busy_rows = 25, .n_prompt_tok = 100, .n_reused_tok = 40,
         .n_answer_tok = 70, .pages = {.n_pages = 64, .n_held = 8, .n_idle = 16}}};
    s->engine[1] = (vg_metrics_engine){.model = VG_STR("a \"b\"\\\n"), .state = "absent"};
    s->now = (vg_metrics_now){.time_s = 1000, .engine = s->engine, .n_engines = 2,
                              .memory_bytes = 1000, .n_loads = 2};
    vg_os_get_process(&s->now.process);
    return 0;
}

static int end(void **state)
{
    vg_buf_clear(&((server *)*state)->out);
    free(*state);
    return 0;
}

static void count_some(server *s)
{
    const vg_metrics_answer a = {.model = VG_STR("tiny"), .operation = "chat", .ttft_s = 0.03,
                                 .prompt_s = 0.02, .answer_s = 0.09, .total_s = 0.12,
                                 .n_prompt = 10, .n_reused = 4, .n_tok = 10};
    vg_metrics_answer b = a;
    b.ttft_s = -1;
    b.n_tok = 0;
    b.cancelled = true;
    vg_metrics_count_answer(&s->metrics, &a);
    vg_metrics_count_answer(&s->metrics, &b);
    vg_metrics_count_http(&s->metrics, "POST", "/api/chat", 200, 0.12);
    vg_metrics_count_http(&s->metrics, "POST", "/api/chat", 200, 1000);
    vg_metrics_count_http(&s->metrics, "POST", "/api/chat", 429, 0.001);
    vg_metrics_count_http(&s->metrics, "GET", "/metrics", 500, 0.001);
}

static void has_line(const server *s, const char *line)
{
    const char *at = strstr(s->out.data, line);
    size_t n = strlen(line);
    if (!at || (at != s->out.data && at[-1] != '\n') || at[n] != '\n') fail_msg("no %s", line);
}

static void values(void **state)
{
    server *s = *state;
    count_some(s);
    vg_metrics_put(&s->metrics, &s->now, &s->out);
    assert_int_equal(s->out.failed, VG_OK);
#define CHAT                                                                                       \
    "{gen_ai_operation_name=\"chat\",gen_ai_request_model=\"tiny\",gen_ai_provider_name=\"verge\""
    has_line(s, "# TYPE gen_ai_server_time_to_first_token_seconds histogram");
    has_line(s, "gen_ai_server_time_to_first_token_seconds_bucket" CHAT ",le=\"0.02\"} 0.0");
    has_line(s, "gen_ai_server_time_to_first_token_seconds_bucket" CHAT ",le=\"0.04\"} 1.0");
    has_line(s, "gen_ai_server_time_to_first_token_seconds_bucket" CHAT ",le=\"+Inf\"} 1.0");
    has_line(s, "gen_ai_server_time_to_first_token_seconds_count" CHAT "} 1.0");
    has_line(s, "gen_ai_server_time_per_output_token_seconds_sum" CHAT "} 0.01");
    has_line(s, "gen_ai_client_token_usage_sum" CHAT ",gen_ai_token_type=\"input\"} 20.0");
    has_line(s, "gen_ai_client_token_usage_sum" CHAT ",gen_ai_token_type=\"output\"} 10.0");
#define HTTP "{http_request_method=\"POST\",http_route=\"/api/chat\",http_response_status_code="
    has_line(s, "http_server_request_duration_seconds_bucket" HTTP "\"200\",le=\"163.84\"} 1.0");
    has_line(s, "http_server_request_duration_seconds_bucket" HTTP "\"200\",le=\"+Inf\"} 2.0");
    has_line(s, "http_server_request_duration_seconds_count" HTTP "\"429\"} 1.0");
    has_line(s, "verge_model_ready{model=\"tiny\"} 1.0");
    has_line(s, "verge_model_ready{model=\"a \\\"b\\\"\\\\\\n\"} 0.0");
    has_line(s, "verge_kv_pages_cached{model=\"tiny\"} 16.0");
    has_line(s, "verge_requests_rejected_total 1.0");
    has_line(s, "verge_answers_cancelled_total 1.0");
    has_line(s, "llamacpp:prompt_tokens_total 12.0");
    has_line(s, "llamacpp:prompt_tokens_seconds 300.0");
    has_line(s, "llamacpp:n_busy_slots_per_decode 2.5");
    has_line(s, "llamacpp:requests_processing 3.0");
    has_line(s, "# TYPE process_cpu_seconds_total counter");
    assert_true(s->now.process.n_fds > 2 && s->now.process.n_threads > 0);
    assert_true(s->now.process.resident_bytes > 0 && s->now.process.begin_s > 1e9);
}

/* Families: HELP, TYPE, samples, nothing between; each family and each sample once. */
static void text_format(void **state)
{
    server *s = *state;
    count_some(s);
    vg_metrics_put(&s->metrics, &s->now, &s->out);
    const char *file = getenv("VG_TEST_METRICS");
    FILE *f = file ? fopen(file, "w") : NULL;
    if (f) {
        fwrite(s->out.data, 1, s->out.n, f);
        fclose(f);
    }
    char family[200] = "", *save = NULL, *lines[4000];
    size_t n = 0;
    assert_int_equal(s->out.data[s->out.n - 1], '\n');
    for (char *l = strtok_r(s->out.data, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        assert_true(n < VG_COUNT(lines));
        lines[n++] = l;
    }
    for (size_t i = 0; i < n; i++) {
        if (!strncmp(lines[i], "# HELP ", 7)) {
            snprintf(family, sizeof family, "%.*s", (int)strcspn(lines[i] + 7, " "), lines[i] + 7);
            assert_true(i + 1 < n && !strncmp(lines[i + 1], "# TYPE ", 7));
            assert_true(!strncmp(lines[i + 1] + 7, family, strlen(family)));
            i++;
        } else if (strncmp(lines[i], family, strlen(family)) != 0) {
            fail_msg("%s is not in its family", lines[i]);
        }
        for (size_t k = 0; k < i; k++) {
            size_t len = strcspn(lines[i], " ") + (lines[i][0] == '#' ? 40 : 0);
            if (!strchr(lines[i], '{') || lines[i][0] == '#') {
                if (!strcmp(lines[k], lines[i])) fail_msg("%s twice", lines[i]);
            } else {
                len = (size_t)(strrchr(lines[i], '}') - lines[i]);
                if (!strncmp(lines[k], lines[i], len + 1)) fail_msg("%s twice", lines[i]);
            }
        }
    }
}

/* More routes and models than there is room for. */
static void overflow(void **state)
{
    server *s = *state;
    char name[300];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "/%d", i);
        vg_metrics_count_http(&s->metrics, "GET", name, 200, 1);
        memset(name, 'm', sizeof name - 1);
        snprintf(name, sizeof name, "%d", i);
        name[strlen(name)] = i % 2 ? 'x' : '\0';
        const vg_metrics_answer a = {.model = {name, i % 2 ? sizeof name - 1 : strlen(name)},
                                     .operation = "chat"};
        vg_metrics_count_answer(&s->metrics, &a);
    }
    assert_int_equal(s->metrics.n_routes, VG_METRICS_ROUTES);
    assert_int_equal(s->metrics.n_series, VG_METRICS_SERIES);
    const vg_metrics_route *last = &s->metrics.route[VG_METRICS_ROUTES - 1];
    assert_string_equal(last->route, "other");
    assert_int_equal(last->seconds.count, 500 - (VG_METRICS_ROUTES - 1));
    assert_string_equal(s->metrics.series[VG_METRICS_SERIES - 1].model, "other");
    vg_metrics_put(&s->metrics, &s->now, &s->out);
    assert_int_equal(s->out.failed, VG_OK);
}

/* ---- live ------------------------------------------------------------------------------------ */

static void live(void **state)
{
    server *s = *state;
    vg_live l = {0};
    vg_live_put(&l, &s->metrics, &s->now, &s->out);
    assert_string_equal(
        s->out.data,
        "{\"time_s\": 1000, \"models\": [{\"name\": \"tiny\", \"state\": \"ready\", \"bytes\": "
        "1000, \"ctx\": 2048}, {\"name\": \"a \\\"b\\\"\\\\\\n\", \"state\": \"absent\", "
        "\"bytes\": 0, \"ctx\": 0}], \"tokens_s\": 0, \"prompt_tokens_s\": 0, \"running\": 3, "
        "\"queue\": 1, \"batch_rows\": 5, \"batch_cap\": 256, \"pages_used\": 8, "
        "\"pages_cached\": 16, \"pages\": 64, \"memory_bytes\": 1000, \"ttft_ms\": {\"p50\": "
        "null, \"p95\": null}, \"step_ms\": 12.5, \"requests_total\": 0, \"errors_total\": 0, "
        "\"prefix_hit_tokens\": 40}");
    count_some(s);
    s->engine[0].stats.n_answer_tok += 10;
    s->now.time_s += 0.5;
    vg_buf_reset(&s->out);
    vg_live_put(&l, &s->metrics, &s->now, &s->out);
    assert_non_null(strstr(s->out.data, "\"tokens_s\": 10, ")); /* half of 20 a second */
    assert_non_null(strstr(s->out.data, "\"ttft_ms\": {\"p50\": 30, \"p95\": 39}"));
    assert_non_null(strstr(s->out.data, "\"requests_total\": 4, \"errors_total\": 1"));

    /* After two windows the old times are gone; an engine that went is no negative rate. */
    for (int i = 0; i < 3; i++) {
        s->now.time_s += 61;
        s->engine[0].stats.n_answer_tok = 0;
        vg_buf_reset(&s->out);
        vg_live_put(&l, &s->metrics, &s->now, &s->out);
    }
    assert_non_null(strstr(s->out.data, "\"p50\": null"));
    assert_non_null(strstr(s->out.data, "\"prompt_tokens_s\": 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histograms),
        cmocka_unit_test_setup_teardown(values, begin, end),
        cmocka_unit_test_setup_teardown(text_format, begin, end),
        cmocka_unit_test_setup_teardown(overflow, begin, end),
        cmocka_unit_test_setup_teardown(live, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
