/* access.h: who may do what: Host, Origin (CORS) and API key of a request. Pure: strings in, a
 * verdict out.
 *
 *     vg_access_ask ask = vg_access_ask_of(x, VG_ACCESS_API);
 *     vg_access_verdict v = vg_access_check(&access, &ask);
 *     if (vg_access_answer(x, &v)) return 0; // an OPTIONS request that is answered with that
 *     if (v.code) return refuse(v.code, v.why);
 *     use(v.key); // NULL: the server asks for none
 *
 * Without keys, Host must be a name that no stranger's DNS can point here (localhost, an address, a
 * name without dots, .local and its like, or one that is allowed): a page that rebinds its name to
 * this machine gets 403. With keys that page has none. A request with a foreign Origin is refused
 * unless that is allowed; one to an admin route is so even where `*` is. */
#ifndef VG_SERVE_ACCESS_H
#define VG_SERVE_ACCESS_H

#include "serve/http.h"
#include "serve/keys.h"

typedef enum vg_access_kind {
    VG_ACCESS_API,
    VG_ACCESS_PUBLIC, /* needs no key: health, the page's own files */
    VG_ACCESS_ADMIN
} vg_access_kind;

typedef struct vg_access {
    const vg_keys *keys;  /* NULL: none are asked for */
    const vg_str *origin; /* [n_origins] allowed: "https://host:port", or "*" */
    size_t n_origins;
    const vg_str *host; /* [n_hosts] names by which this server may be called */
    size_t n_hosts;
} vg_access;

typedef struct vg_access_ask {
    vg_access_kind kind;
    vg_str method, host, origin, authorization, api_key;
    vg_str wants_method; /* Access-Control-Request-Method */
    vg_str wants_headers;
    bool is_local, is_unix, is_tls;
} vg_access_ask;

typedef struct vg_access_verdict {
    int code; /* 0: come in */
    const char *why;
    const vg_key *key;
    vg_str allow_origin;  /* what Access-Control-Allow-Origin says; empty: nothing */
    vg_str allow_headers; /* of a preflight */
    bool is_preflight;
} vg_access_verdict;

vg_access_verdict vg_access_check(const vg_access *a, const vg_access_ask *ask);

vg_access_ask vg_access_ask_of(const vg_exchange *x, vg_access_kind kind);
/* Puts the verdict's headers onto the exchange, and answers it where it is a preflight: true then.
 */
bool vg_access_answer(vg_exchange *x, const vg_access_verdict *v);

/* True for an Origin as a configuration may list it. */
bool vg_access_is_origin(vg_str s);

#endif
