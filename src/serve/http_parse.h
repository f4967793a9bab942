/* http_parse.h: HTTP/1.1 requests as bytes (RFC 9112), strict, bounded and without sockets.
 *
 *     vg_http_scan scan = {0};
 *     int code = vg_http_scan_head(&scan, &limits, p, n, why);
 *     if (code) return refuse(code, why);
 *     if (!scan.done) return 0; // come again with more bytes behind the same ones
 *     vg_http_head head;
 *     if ((code = vg_http_parse_head(&head, arena, &limits, p, scan.at, why))) refuse(code, why);
 *
 * Nothing is repaired: what two programs could read in two ways is refused, because the other one
 * may stand before us (request smuggling). Functions return 0 or the HTTP code of a refusal, with
 * the reason in `why`, which quotes nothing of the request but header names. */
#ifndef VG_SERVE_HTTP_PARSE_H
#define VG_SERVE_HTTP_PARSE_H

#include "base/base.h"
#include "serve/http.h"

enum { VG_HTTP_WHY = 160 };

/* How far a head has been looked at. Every byte is seen once, however many calls it takes. */
typedef struct vg_http_scan {
    size_t at;         /* bytes seen; once done, those of the head */
    size_t line_begin; /* of the line that `at` is in */
    uint32_t n_lines;
    bool done;
} vg_http_scan;

int vg_http_scan_head(vg_http_scan *s, const vg_http_limits *limits, const char *p, size_t n,
                      char why[VG_HTTP_WHY]);

typedef struct vg_http_field {
    vg_str name, value;
} vg_http_field;

/* Strings point into the arena. */
typedef struct vg_http_head {
    vg_str method, path, query; /* path decoded and normal, query as it came */
    vg_str host;
    vg_http_field *field; /* [n_fields] */
    size_t n_fields;
    int minor; /* HTTP/1.minor */
    bool chunked, keep_alive, expects_continue, is_head;
    uint64_t length; /* of the body, unless chunked */
} vg_http_head;

/* p[0..n) is what the scan found to be a whole head. */
int vg_http_parse_head(vg_http_head *h, vg_arena *a, const vg_http_limits *limits, const char *p,
                       size_t n, char why[VG_HTTP_WHY]);
vg_str vg_http_find(const vg_http_head *h, const char *name);

/* A chunked body. State zero is the start. */
typedef struct vg_http_chunks {
    uint64_t left;   /* bytes of this chunk that are to come */
    uint64_t extra;  /* bytes of extensions and trailers */
    uint32_t digits; /* of the size being read */
    int state;
    bool done;
} vg_http_chunks;

/* Takes bytes of p[0..n), *used of them, all unless the body is done, and appends data to *body. A
 * body that would grow beyond max_body_bytes is 413. */
int vg_http_feed_chunks(vg_http_chunks *c, const vg_http_limits *limits, const char *p, size_t n,
                        size_t *used, vg_buf *body, char why[VG_HTTP_WHY]);

/* url.c: a target's path, decoded: escapes, dot segments, doubled slashes. False: invalid. */
bool vg_http_path(vg_arena *a, vg_str raw, vg_str *out);
/* The decoded value of a parameter; {NULL, 0} where there is none or it is invalid. */
vg_str vg_http_param(vg_arena *a, vg_str query, const char *name);

/* Whether `list`, comma separated, has the word, in any case. */
bool vg_http_has_word(vg_str list, const char *word);
bool vg_http_is_token(vg_str s);            /* RFC 9110, 5.6.2 */
bool vg_http_same(vg_str a, const char *b); /* in any case of ASCII letters */
const char *vg_http_reason(int code);       /* "Not Found" */

#endif
