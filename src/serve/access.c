/* The rules of access in the order in which they are asked: the name that the server was called by
 * (DNS rebinding), the page that asks (CORS), the key. A browser sends requests for pages that its
 * user only looks at, so what protects a server on loopback is not its address but these headers,
 * which no page can forge. Nothing here keeps state or sees a body. */
#include "serve/access.h"

#include "serve/http_parse.h"

static bool is_one_of(vg_str s, const vg_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].n == s.n && (s.n == 0 || strncasecmp(list[i].p, s.p, s.n) == 0)) return true;
    return false;
}

static bool ends(vg_str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n > n && strncasecmp(s.p + s.n - n, suffix, n) == 0;
}

/* Without the port and the dot at the end. */
static vg_str bare(vg_str host)
{
    size_t n = host.n;
    if (n && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', n);
        return (vg_str){host.p, end ? (size_t)(end - host.p) + 1 : n};
    }
    const char *colon = n ? memchr(host.p, ':', n) : NULL;
    if (colon) n = (size_t)(colon - host.p);
    if (n && host.p[n - 1] == '.') n--;
    return (vg_str){host.p, n};
}

static bool is_ipv4(vg_str s)
{
    size_t dots = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') dots++;
        else if (s.p[i] < '0' || s.p[i] > '9') return false;
    }
    return dots == 3;
}

/* Names that the public DNS does not have (RFC 6761, 6762, 8375, and .internal). */
static bool is_private_name(vg_str s)
{
    static const char *const ends_in[] = {".localhost", ".local", ".home.arpa", ".internal",
                                          ".lan"};
    if (s.n == 0 || !memchr(s.p, '.', s.n)) return true;
    for (size_t i = 0; i < VG_COUNT(ends_in); i++)
        if (ends(s, ends_in[i])) return true;
    return false;
}

static bool host_is_fine(const vg_access *a, const vg_access_ask *ask)
{
    vg_str name = bare(ask->host);
    if (a->keys || ask->is_unix) return true;
    return (name.n && name.p[0] == '[') || is_ipv4(name) || is_private_name(name) ||
           is_one_of(name, a->host, a->n_hosts) || is_one_of(ask->host, a->host, a->n_hosts);
}

/* The page came from this server: its origin is how it called us. */
static bool is_own(const vg_access_ask *ask)
{
    vg_str scheme = ask->is_tls ? VG_STR("https://") : VG_STR("http://"), o = ask->origin;
    if (o.n <= scheme.n || strncasecmp(o.p, scheme.p, scheme.n) != 0) return false;
    o = (vg_str){o.p + scheme.n, o.n - scheme.n};
    return o.n == ask->host.n && strncasecmp(o.p, ask->host.p, o.n) == 0;
}

bool vg_access_is_origin(vg_str s)
{
    if (vg_str_is(s, "*")) return true;
    size_t i = 0;
    while (i < s.n && s.p[i] != ':') i++;
    if (i == 0 || s.n - i < 4 || memcmp(s.p + i, "://", 3) != 0) return false;
    for (size_t j = i + 3; j < s.n; j++)
        if (s.p[j] <= ' ' || s.p[j] == '/' || s.p[j] == 0x7F || s.p[j] == '*') return false;
    return true;
}

static void check_origin(const vg_access *a, const vg_access_ask *ask, vg_access_verdict *v)
{
    if (ask->origin.n == 0 || is_own(ask)) return;
    bool named = !vg_str_is(ask->origin, "*") && is_one_of(ask->origin, a->origin, a->n_origins);
    bool any = is_one_of(VG_STR("*"), a->origin, a->n_origins) && ask->kind != VG_ACCESS_ADMIN;
    if (named) {
        v->allow_origin = ask->origin;
    } else if (any) {
        v->allow_origin = VG_STR("*");
    } else {
        v->code = 403;
        v->why = ask->kind == VG_ACCESS_ADMIN
                     ? "a page of another origin may not use this route"
                     : "this origin is not allowed; --allow-origin lists those that are";
    }
}

/* The key of OpenAI's clients, or that of Anthropic's. */
static vg_str secret_of(const vg_access_ask *ask)
{
    static const vg_str bearer = {"bearer ", 7};
    vg_str s = ask->authorization;
    if (s.n > bearer.n && strncasecmp(s.p, bearer.p, bearer.n) == 0) {
        s = (vg_str){s.p + bearer.n, s.n - bearer.n};
        while (s.n && s.p[0] == ' ') s.p++, s.n--;
        return s;
    }
    return ask->api_key;
}

static void check_key(const vg_access *a, const vg_access_ask *ask, vg_access_verdict *v)
{
    if (!a->keys) {
        if (ask->kind == VG_ACCESS_ADMIN && !ask->is_local) {
            v->code = 403;
            v->why = "without keys this route is for clients on the same machine";
        }
        return;
    }
    vg_str secret = secret_of(ask);
    v->key = secret.n ? vg_keys_find(a->keys, secret) : NULL;
    if (ask->kind == VG_ACCESS_PUBLIC || (v->key && ask->kind == VG_ACCESS_API)) return;
    if (!v->key) {
        v->code = 401;
        v->why = secret.n ? "this API key is not known here"
                          : "an API key is needed: 'Authorization: Bearer KEY' or 'x-api-key: KEY'";
    } else if (!v->key->admin) {
        v->code = 403;
        v->why = "this route needs a key that is marked admin";
    }
}

vg_access_verdict vg_access_check(const vg_access *a, const vg_access_ask *ask)
{
    vg_access_verdict v = {0};
    if (!host_is_fine(a, ask)) {
        v.code = 403;
        v.why = "this server is not known by the name in the Host header; --allow-host adds one";
        return v;
    }
    check_origin(a, ask, &v);
    if (v.code) return v;
    /* A preflight carries no key. */
    v.is_preflight = vg_str_is(ask->method, "OPTIONS") && ask->wants_method.n && ask->origin.n;
    if (v.is_preflight) v.allow_headers = ask->wants_headers;
    else check_key(a, ask, &v);
    return v;
}

vg_access_ask vg_access_ask_of(const vg_exchange *x, vg_access_kind kind)
{
    vg_str api_key = vg_exchange_field(x, "x-api-key");
    return (vg_access_ask){
        .kind = kind,
        .method = vg_exchange_method(x),
        .host = vg_exchange_host(x),
        .origin = vg_exchange_field(x, "origin"),
        .authorization = vg_exchange_field(x, "authorization"),
        .api_key = api_key.n ? api_key : vg_exchange_field(x, "api-key"),
        .wants_method = vg_exchange_field(x, "access-control-request-method"),
        .wants_headers = vg_exchange_field(x, "access-control-request-headers"),
        .is_local = vg_exchange_is_local(x),
        .is_unix = strcmp(vg_exchange_address(x), "unix") == 0,
        .is_tls = vg_exchange_is_tls(x),
    };
}

bool vg_access_answer(vg_exchange *x, const vg_access_verdict *v)
{
    if (v->allow_origin.n) {
        vg_exchange_header(x, "Access-Control-Allow-Origin", v->allow_origin);
        vg_exchange_header(x, "Access-Control-Expose-Headers", VG_STR("X-Request-Id, Retry-After"));
        vg_exchange_header(x, "Vary", VG_STR("Origin"));
    }
    if (v->code == 401) vg_exchange_header(x, "WWW-Authenticate", VG_STR("Bearer"));
    if (!v->is_preflight || v->code) return false;
    vg_exchange_header(x, "Access-Control-Allow-Methods",
                       VG_STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (v->allow_headers.n) vg_exchange_header(x, "Access-Control-Allow-Headers", v->allow_headers);
    vg_exchange_header(x, "Access-Control-Max-Age", VG_STR("600"));
    vg_exchange_reply(x, 204, NULL, NULL, 0);
    return true;
}
