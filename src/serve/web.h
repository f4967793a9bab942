/* web.h: the web page of `verge serve`, which is part of the program.
 *
 *     vg_web_file f;
 *     if (!vg_web_find(&f, path)) return 0; // some other route
 *     if (vg_web_is_known(&f, if_none_match)) reply(304, NULL, 0);
 *     else reply(200, f.bytes, f.n);
 *
 * Every answer, a 304 too, carries the headers of vg_web_headers and `ETag: f.etag`. The page needs
 * no key: there is nothing in it that is not in the program, and it asks for a key itself. */
#ifndef VG_WEB_H
#define VG_WEB_H

#include "base/base.h"

typedef struct vg_web_file {
    const char *type; /* the content type */
    const uint8_t *bytes;
    size_t n;
    char etag[19]; /* in quotes; changes with the bytes */
} vg_web_file;

typedef struct vg_web_header {
    const char *name, *value;
} vg_web_header;

enum { VG_WEB_HEADERS = 6 };
extern const vg_web_header vg_web_headers[VG_WEB_HEADERS];

/* False: the page has no such file. The bytes live as long as the program. */
bool vg_web_find(vg_web_file *out, vg_str path);
/* True where the value of If-None-Match says that the client has these bytes. */
bool vg_web_is_known(const vg_web_file *f, vg_str if_none_match);

size_t vg_web_count(void);
const char *vg_web_path(size_t i); /* of the i-th file */
#endif
