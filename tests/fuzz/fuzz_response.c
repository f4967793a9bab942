/* What verge bench serve reads from a server: whatever the pieces in which a response comes, the
 * same comes out. The first byte is the size of the pieces. */
#include <assert.h>

#include "app/bench_serve_http.h"
#include "fuzz.h"

typedef struct seen {
    bench_http http;
    vg_status status;
    uint64_t n_events, n_text, sum; /* sum: of the events' bytes */
} seen;

static void take_body(seen *s, vg_arena *a, bench_sse *sse, vg_str body)
{
    vg_str data;
    bench_event ev;
    char text[BENCH_EVENT_ERROR];
    while (bench_sse_take(sse, &body, &data)) {
        s->n_events++;
        s->sum = s->sum * 31 + vg_hash(data.p, data.n);
        if (bench_event_read(a, data, &ev, NULL) == VG_OK) s->n_text += ev.has_text;
        bench_error_text(a, data, text);
    }
}

static void feed(seen *s, vg_arena *a, const char *p, size_t n, size_t step)
{
    bench_sse sse = {0};
    *s = (seen){0};
    bench_http_begin(&s->http);
    bench_sse_begin(&sse);
    for (size_t at = 0; at < n && !s->status && !bench_http_done(&s->http); at += step) {
        vg_str in = {p + at, step < n - at ? step : n - at}, body;
        while (in.n > 0 && !s->status && !bench_http_done(&s->http)) {
            s->status = bench_http_take(&s->http, &in, &body, NULL);
            if (!s->status) take_body(s, a, &sse, body);
        }
    }
    if (!s->status) s->status = bench_http_closed(&s->http, NULL);
    bench_sse_clear(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_arena *a = NULL;
    seen whole, parts;
    if (n < 1 || n > 1 << 16 || vg_arena_new(&a, 8 << 20, NULL)) return 0;
    feed(&whole, a, (const char *)data + 1, n - 1, n);
    feed(&parts, a, (const char *)data + 1, n - 1, (size_t)data[0] + 1);
    assert(whole.status == parts.status && whole.http.status == parts.http.status);
    assert(whole.n_events == parts.n_events && whole.n_text == parts.n_text);
    assert(whole.sum == parts.sum);
    vg_arena_free(a);
    return 0;
}
