/* Keys, and the rules of Host, Origin and keys. */
#include <sys/stat.h>
#include <unistd.h>

#include "serve/access.h"
#include "test.h"

/* SHA-256 of "abc" (FIPS 180-2, B.1) and of nothing. */
#define OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OF_NONE "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static vg_keys *keys_of(const char *text)
{
    vg_keys *k = NULL;
    vg_err err;
    TEST_OK(vg_keys_parse(&k, "keys", vg_str_from(text), &err));
    return k;
}

static void keys_are_read(void **state)
{
    (void)state;
    vg_keys *k = keys_of("# who\n\nalice sha256:" OF_ABC "\r\n"
                         "  bob\tsha256:" OF_NONE " admin priority=-3 max-concurrent=4 "
                         "tokens-per-minute=1000");
    assert_int_equal(vg_keys_count(k), 2);
    const vg_key *alice = vg_keys_find(k, VG_STR("abc")), *bob = vg_keys_at(k, 1);
    assert_non_null(alice);
    assert_string_equal(alice->name, "alice");
    assert_false(alice->admin);
    assert_ptr_equal(vg_keys_find(k, (vg_str){NULL, 0}), bob);
    assert_true(bob->admin);
    assert_int_equal(bob->priority, -3);
    assert_int_equal(bob->max_concurrent, 4);
    assert_int_equal(bob->tokens_per_minute, 1000);
    assert_null(vg_keys_find(k, VG_STR("abd")));
    vg_keys_free(k);
}

static void bad_keys_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"alice", "keys:1: the hash does not begin"},
        {"\nalice md5:00", "keys:2: the hash does not begin"},
        {"alice sha256:00", "keys:1: a SHA-256 has"},
        {"alice sha256:g" OF_ABC, "keys:1: a SHA-256 has"},
        {"al/ice sha256:" OF_ABC, "keys:1: a key's name"},
        {"a sha256:" OF_ABC " rich", "keys:1: behind the hash"},
        {"a sha256:" OF_ABC " priority=101", "keys:1: priority"},
        {"a sha256:" OF_ABC " priority=", "keys:1: priority"},
        {"a sha256:" OF_ABC " max-concurrent=-1", "keys:1: max-concurrent"},
        {"a sha256:" OF_ABC " tokens-per-minute=1e3", "keys:1: tokens-per-minute"},
        {"a sha256:" OF_ABC "\na sha256:" OF_NONE, "keys:2: a name"},
        {"a sha256:" OF_ABC "\nb sha256:" OF_ABC, "keys:2: a key that is there twice"},
    };
    for (size_t i = 0; i < VG_COUNT(cases); i++) {
        vg_keys *k = NULL;
        vg_err err = {0};
        assert_int_equal(vg_keys_parse(&k, "keys", vg_str_from(cases[i].text), &err), VG_E_FORMAT);
        if (strncmp(err.msg, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s, not %s", err.msg, cases[i].message);
    }
}

static void a_key_that_was_made_is_found(void **state)
{
    (void)state;
    char secret[VG_KEY_SECRET], other[VG_KEY_SECRET], line[VG_KEY_LINE];
    char path[] = "/tmp/verge-keys-XXXXXX";
    vg_err err;
    TEST_OK(vg_key_make("bob", other, line, &err));
    TEST_OK(vg_key_make("alice", secret, line, &err));
    assert_string_not_equal(secret, other);
    assert_int_equal(strlen(secret), 46);
    assert_null(strstr(line, secret));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    vg_keys *k = NULL;
    TEST_OK(vg_keys_load(&k, path, &err));
    assert_string_equal(vg_keys_find(k, vg_str_from(secret))->name, "alice");
    assert_null(vg_keys_find(k, vg_str_from(other)));
    vg_keys_free(k);
    assert_int_equal(fchmod(fd, 0622), 0);
    assert_int_equal(vg_keys_load(&k, path, &err), VG_E_USAGE);
    assert_non_null(strstr(err.msg, "chmod"));
    close(fd);
    unlink(path);
    assert_int_equal(vg_keys_load(&k, path, &err), VG_E_NOT_FOUND);
    assert_int_equal(vg_key_make("a b", secret, line, &err), VG_E_USAGE);
}

/* The code for a request that is local and asks the API, but for what is given. */
static vg_access_verdict check(const vg_access *a, vg_access_ask ask)
{
    if (!ask.method.n) ask.method = VG_STR("POST");
    if (!ask.host.p) ask.host = VG_STR("localhost:8080");
    return vg_access_check(a, &ask);
}
#define CODE(a, ...) check((a), (vg_access_ask){.is_local = true, __VA_ARGS__}).code
#define REMOTE(a, ...) check((a), (vg_access_ask){__VA_ARGS__}).code

static void hosts(void **state)
{
    (void)state;
    const vg_str mine[] = {VG_STR("llm.example.com")};
    const vg_access open = {0}, named = {.host = mine, .n_hosts = 1};
    static const char *const fine[] = {
        "localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080",   "192.168.1.7",
        "box",       "box:80",      "box.local",      "a.localhost.", "nas.lan",
        ""};
    static const char *const strange[] = {"evil.com",           "evil.com:8080",
                                          "localhost.evil.com", "127.0.0.1.evil.com",
                                          "1.2.3.4.5",          "evil.com."};
    for (size_t i = 0; i < VG_COUNT(fine); i++)
        assert_int_equal(CODE(&open, .host = vg_str_from(fine[i])), 0);
    for (size_t i = 0; i < VG_COUNT(strange); i++)
        assert_int_equal(CODE(&open, .host = vg_str_from(strange[i])), 403);
    assert_int_equal(CODE(&named, .host = VG_STR("LLM.example.com:443")), 0);
    assert_int_equal(CODE(&named, .host = VG_STR("evil.com")), 403);
    assert_int_equal(CODE(&open, .host = VG_STR("evil.com"), .is_unix = true), 0);
}

static void origins(void **state)
{
    (void)state;
    const vg_str list[] = {VG_STR("https://app.example.com"), VG_STR("app://obsidian.md")};
    const vg_str star[] = {VG_STR("*")};
    const vg_access none = {0}, some = {.origin = list, .n_origins = 2},
                    any = {.origin = star, .n_origins = 1};
    assert_int_equal(CODE(&none, .origin = VG_STR("http://localhost:8080")), 0);
    assert_int_equal(CODE(&none, .origin = VG_STR("https://localhost:8080")), 403);
    assert_int_equal(CODE(&none, .origin = VG_STR("https://localhost:8080"), .is_tls = true), 0);
    assert_int_equal(CODE(&none, .origin = VG_STR("http://localhost:3000")), 403);
    assert_int_equal(CODE(&none, .origin = VG_STR("https://evil.com")), 403);
    assert_int_equal(CODE(&none, .origin = VG_STR("null")), 403);
    assert_int_equal(CODE(&some, .origin = VG_STR("https://evil.com")), 403);
    assert_int_equal(CODE(&some, .origin = VG_STR("app://obsidian.md")), 0);
    assert_int_equal(
        CODE(&some, .origin = VG_STR("https://app.example.com"), .kind = VG_ACCESS_ADMIN), 0);
    assert_int_equal(CODE(&any, .origin = VG_STR("https://evil.com")), 0);
    assert_int_equal(CODE(&any, .origin = VG_STR("https://evil.com"), .kind = VG_ACCESS_ADMIN),
                     403);
    assert_int_equal(CODE(&any, .origin = VG_STR("*"), .kind = VG_ACCESS_ADMIN), 403);
    vg_access_verdict v = check(&some, (vg_access_ask){.origin = VG_STR("https://app.example.com"),
                                                       .method = VG_STR("OPTIONS"),
                                                       .wants_method = VG_STR("POST"),
                                                       .wants_headers = VG_STR("x-api-key")});
    assert_true(v.is_preflight && v.code == 0);
    assert_true(vg_str_is(v.allow_origin, "https://app.example.com"));
    assert_true(vg_str_is(v.allow_headers, "x-api-key"));
    assert_true(vg_access_is_origin(VG_STR("*")) && vg_access_is_origin(list[0]));
    assert_false(vg_access_is_origin(VG_STR("https://a/")));
    assert_false(vg_access_is_origin(VG_STR("example.com")));
    assert_false(vg_access_is_origin(VG_STR("https://*.example.com")));
}

static void keys_open_routes(void **state)
{
    (void)state;
    vg_keys *k = keys_of("user sha256:" OF_ABC "\n");
    vg_keys *admins = keys_of("admin sha256:" OF_ABC " admin\n");
    const vg_access none = {0}, users = {.keys = k}, admin = {.keys = admins};
    const vg_str good = VG_STR("Bearer abc"), bad = VG_STR("Bearer abd");
    assert_int_equal(CODE(&users, .authorization = good), 0);
    assert_int_equal(CODE(&users, .authorization = VG_STR("bearer  abc")), 0);
    assert_int_equal(CODE(&users, .api_key = VG_STR("abc")), 0);
    assert_int_equal(CODE(&users, .authorization = bad), 401);
    assert_int_equal(CODE(&users, .authorization = VG_STR("Basic abc")), 401);
    assert_int_equal(CODE(&users, .authorization = VG_STR("Bearer ")), 401);
    assert_int_equal(CODE(&users, .method = VG_STR("GET")), 401);
    assert_int_equal(CODE(&users, .host = VG_STR("llm.example.com"), .authorization = good), 0);
    assert_int_equal(CODE(&users, .kind = VG_ACCESS_PUBLIC), 0);
    assert_int_equal(CODE(&users, .kind = VG_ACCESS_ADMIN, .authorization = good), 403);
    assert_int_equal(CODE(&users, .kind = VG_ACCESS_ADMIN), 401);
    assert_int_equal(CODE(&admin, .kind = VG_ACCESS_ADMIN, .authorization = good), 0);
    assert_int_equal(CODE(&none, .kind = VG_ACCESS_ADMIN), 0);
    assert_int_equal(REMOTE(&none, .kind = VG_ACCESS_ADMIN), 403);
    assert_int_equal(REMOTE(&none, .kind = VG_ACCESS_API), 0);
    /* A page's OPTIONS that is no preflight opens nothing. */
    assert_int_equal(CODE(&users, .method = VG_STR("OPTIONS")), 401);
    vg_keys_free(k);
    vg_keys_free(admins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read),
        cmocka_unit_test(bad_keys_are_told),
        cmocka_unit_test(a_key_that_was_made_is_found),
        cmocka_unit_test(hosts),
        cmocka_unit_test(origins),
        cmocka_unit_test(keys_open_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
