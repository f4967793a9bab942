/* Requests as bytes: heads that come in two parts cut anywhere, chunked bodies, paths, parameters.
 * The first byte says where the cut is. */
#include "fuzz.h"
#include "serve/http_parse.h"

static const vg_http_limits limits = {
    .max_line_bytes = 512, .max_head_bytes = 4096, .max_headers = 20, .max_body_bytes = 4096};

static void check(bool holds)
{
    if (!holds) abort();
}

static int scan(const char *p, size_t n, size_t first, vg_http_scan *s, char *why)
{
    *s = (vg_http_scan){0};
    int code = vg_http_scan_head(s, &limits, p, first, why);
    return code ? code : vg_http_scan_head(s, &limits, p, n, why);
}

static void chunks(const char *p, size_t n, size_t first)
{
    char why[VG_HTTP_WHY] = "";
    vg_buf body;
    vg_http_chunks c = {0};
    size_t used = 0, more = 0;
    vg_buf_init(&body, limits.max_body_bytes);
    int code = vg_http_feed_chunks(&c, &limits, p, first, &used, &body, why);
    check(used <= first);
    if (!code && !c.done) {
        check(used == first);
        code = vg_http_feed_chunks(&c, &limits, p + first, n - first, &more, &body, why);
    }
    check(body.n <= limits.max_body_bytes && used + more <= n);
    check(code == 0 || (code >= 400 && why[0]));
    vg_buf_clear(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[VG_HTTP_WHY] = "";
    vg_arena *a = NULL;
    vg_http_scan s, whole;
    if (size == 0 || vg_arena_new(&a, 1 << 20, NULL)) return 0;
    const char *p = (const char *)data + 1;
    size_t n = size - 1, first = n * data[0] / 255;
    int code = scan(p, n, first, &s, why);
    check(code == scan(p, n, n, &whole, why) && s.at == whole.at && s.done == whole.done);
    if (!code && s.done) {
        vg_http_head head;
        check(s.at <= n);
        code = vg_http_parse_head(&head, a, &limits, p, s.at, why);
        check(code == 0 || (code >= 400 && why[0]));
        if (!code) {
            check(head.path.n > 0 && (head.path.p[0] == '/' || head.path.p[0] == '*'));
            check(vg_utf8_valid(head.path.p, head.path.n) == head.path.n);
            check(head.length <= limits.max_body_bytes && head.n_fields <= limits.max_headers);
            vg_http_param(a, head.query, "model");
        }
        if (!code && head.chunked) chunks(p + s.at, n - s.at, (n - s.at) * data[0] / 255);
    }
    chunks(p, n, first);
    vg_arena_free(a);
    return 0;
}
