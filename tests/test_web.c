/* The web page in the program: every file that it refers to is there, under the right type; nothing
 * in it refers to another host; and it obeys the headers that it is sent with. */
#include "serve/web.h"
#include "test.h"

static vg_web_file file(const char *path)
{
    vg_web_file f;
    if (!vg_web_find(&f, vg_str_from(path))) fail_msg("%s is not in the program", path);
    return f;
}

static vg_str text_of(const vg_web_file *f)
{
    return (vg_str){(const char *)f->bytes, f->n};
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_ours(const char *path)
{
    return !strstr(path, "/vendor/");
}

/* The place of `what` in the text at or after `from`; text.n where it is not. */
static size_t find(vg_str text, size_t from, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = from; i + n <= text.n; i++)
        if (memcmp(text.p + i, what, n) == 0) return i;
    return text.n;
}

static bool has(vg_str text, const char *what)
{
    return find(text, 0, what) < text.n;
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *end, *type;
    } types[] = {{".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"},
                 {".txt", "text/plain; charset=utf-8"},
                 {"/", "text/html; charset=utf-8"}};
    for (size_t i = 0; i < vg_web_count(); i++) {
        const char *path = vg_web_path(i), *type = NULL;
        vg_web_file f = file(path);
        for (size_t k = 0; k < VG_COUNT(types) && !type; k++)
            if (ends(path, types[k].end)) type = types[k].type;
        assert_non_null(type);
        assert_string_equal(f.type, type);
        assert_true(f.n > 100);
        assert_int_equal(vg_utf8_valid((const char *)f.bytes, f.n), f.n);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(path, vg_web_path(k));
    }
}

static void test_bytes_are_the_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < vg_web_count(); i++) {
        const char *path = vg_web_path(i);
        char name[256], on_disk[4096];
        snprintf(name, sizeof name, "../src/serve/web/%s",
                 strcmp(path, "/") == 0 ? "index.html" : path + strlen("/web/"));
        test_path(on_disk, name);
        size_t n;
        char *bytes = test_read(on_disk, &n);
        vg_web_file f = file(path);
        assert_int_equal(f.n, n);
        assert_memory_equal(f.bytes, bytes, n);
        free(bytes);
    }
}

static void test_unknown_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "//",
                                        "/web",
                                        "/web/",
                                        "/index.html",
                                        "web/app.js",
                                        "/WEB/app.js",
                                        "/web/app.js?",
                                        "/web/../web/app.js"};
    vg_web_file f;
    for (size_t i = 0; i < VG_COUNT(paths); i++)
        assert_false(vg_web_find(&f, vg_str_from(paths[i])));
}

static void test_etag(void **state)
{
    (void)state;
    vg_web_file index = file("/"), app = file("/web/app.js");
    assert_string_not_equal(index.etag, app.etag);
    assert_int_equal(strlen(index.etag), 18);
    assert_int_equal(index.etag[0], '"');
    assert_int_equal(index.etag[17], '"');
    char list[128];
    snprintf(list, sizeof list, "\"x\", W/%s", index.etag);
    assert_true(vg_web_is_known(&index, vg_str_from(index.etag)));
    assert_true(vg_web_is_known(&index, vg_str_from(list)));
    assert_true(vg_web_is_known(&index, VG_STR("*")));
    assert_false(vg_web_is_known(&app, vg_str_from(list)));
    assert_false(vg_web_is_known(&index, VG_STR("")));
    assert_false(vg_web_is_known(&index, (vg_str){index.etag, 17}));
    assert_false(vg_web_is_known(&index, (vg_str){0}));
}

/* Every reference that begins with `before` and ends with `close` leads to a file of the program:
 * `folder` and what stands there. */
static size_t check_references(const char *path, const char *before, char close, const char *folder)
{
    vg_web_file f = file(path);
    vg_str text = text_of(&f);
    size_t n = 0;
    for (size_t at = find(text, 0, before); at < text.n; at = find(text, at + 1, before)) {
        const char *begin = text.p + at + strlen(before);
        const char *end = memchr(begin, close, (size_t)(text.p + text.n - begin));
        assert_non_null(end);
        char to[256];
        snprintf(to, sizeof to, "%s%.*s", folder, (int)(end - begin), begin);
        vg_web_file other;
        if (*begin != '#' && !vg_web_find(&other, vg_str_from(to)))
            fail_msg("%s refers to %s, which is not in the program", path, to);
        n += *begin != '#';
    }
    return n;
}

static void test_references(void **state)
{
    (void)state;
    assert_true(check_references("/", "src=\"", '"', "/") >= 4);
    assert_true(check_references("/", " href=\"", '"', "/") >= 3);
    size_t n_imports = 0;
    for (size_t i = 0; i < vg_web_count(); i++) {
        const char *path = vg_web_path(i);
        if (!is_ours(path)) continue;
        if (ends(path, ".js")) {
            n_imports += check_references(path, "from './", '\'', "/web/");
            check_references(path, "href: 'web/", '\'', "/web/");
        }
        if (ends(path, ".css")) assert_int_equal(check_references(path, "url(", ')', "/web/"), 0);
    }
    assert_true(n_imports >= 15);
}

static void test_no_other_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < vg_web_count(); i++) {
        const char *path = vg_web_path(i);
        if (!is_ours(path)) continue;
        vg_web_file f = file(path);
        vg_str text = text_of(&f);
        static const char name[] = "xmlns=\"http://www.w3.org/2000/svg\""; /* a name, not a place */
        for (size_t at = find(text, 0, "://"); at < text.n; at = find(text, at + 1, "://")) {
            size_t begin = at - VG_MIN(at, strlen("xmlns=\"http"));
            if (find(text, begin, name) != begin) fail_msg("%s names another host", path);
        }
        assert_false(has(text, "\"//") || has(text, "'//") || has(text, "@import") ||
                     has(text, "sendBeacon") || has(text, "WebSocket"));
    }
}

static const char *header(const char *name)
{
    for (size_t i = 0; i < VG_WEB_HEADERS; i++)
        if (strcmp(vg_web_headers[i].name, name) == 0) return vg_web_headers[i].value;
    fail_msg("no header %s", name);
    return NULL;
}

/* The page breaks none of the rules that its headers set: a browser would refuse it silently. */
static void test_headers(void **state)
{
    (void)state;
    vg_str csp = vg_str_from(header("Content-Security-Policy"));
    assert_true(has(csp, "default-src 'self'"));
    assert_true(has(csp, "frame-ancestors 'none'"));
    assert_true(has(csp, "require-trusted-types-for 'script'"));
    assert_false(has(csp, "unsafe") || has(csp, "*") || has(csp, "data:"));
    assert_string_equal(header("X-Content-Type-Options"), "nosniff");
    assert_string_equal(header("Referrer-Policy"), "no-referrer");
    assert_string_equal(header("Cache-Control"), "no-cache");

    vg_web_file f = file("/");
    vg_str html = text_of(&f);
    assert_false(has(html, "<style") || has(html, " style=") || has(html, "<script>") ||
                 has(html, "javascript:") || has(html, "<base"));
    for (size_t at = find(html, 0, " on"); at < html.n; at = find(html, at + 1, " on")) {
        size_t end = at + 3;
        while (end < html.n && html.p[end] >= 'a' && html.p[end] <= 'z') end++;
        assert_true(end == html.n || html.p[end] != '='); /* onclick= */
    }
    for (size_t i = 0; i < vg_web_count(); i++) {
        if (!is_ours(vg_web_path(i))) continue;
        f = file(vg_web_path(i));
        vg_str text = text_of(&f);
        assert_false(has(text, "innerHTML") || has(text, "document.write") || has(text, "eval("));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),         cmocka_unit_test(test_bytes_are_the_files),
        cmocka_unit_test(test_unknown_paths), cmocka_unit_test(test_etag),
        cmocka_unit_test(test_references),    cmocka_unit_test(test_no_other_host),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
