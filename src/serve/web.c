/* The web page: which path has which bytes, and the headers that go with them. The bytes come from
 * web.S. A size is the distance of two symbols, computed on integers, because a difference of
 * pointers into two arrays is undefined.
 *
 * The headers let the page load nothing and speak to nobody but the server that it came from, run
 * no script and no style that stands inside the HTML, and be shown in no frame. */
#include "serve/web.h"

#include <stdio.h>

#define WEB(symbol, path, file, type) extern const uint8_t symbol##_begin[], symbol##_end[];
#include "serve/web.def"
#undef WEB

static const struct web_entry {
    const char *path, *type;
    const uint8_t *begin, *end;
} entries[] = {
#define WEB(symbol, path, file, type) {path, type, symbol##_begin, symbol##_end},
#include "serve/web.def"
#undef WEB
};

/* "no-cache" means: ask with If-None-Match each time, so a new program shows its new page. */
const vg_web_header vg_web_headers[VG_WEB_HEADERS] = {
    {"Content-Security-Policy",
     "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'; trusted-types dompurify; require-trusted-types-for 'script'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
};

size_t vg_web_count(void)
{
    return VG_COUNT(entries);
}

const char *vg_web_path(size_t i)
{
    return entries[i].path;
}

bool vg_web_find(vg_web_file *out, vg_str path)
{
    for (size_t i = 0; i < VG_COUNT(entries); i++) {
        const struct web_entry *e = &entries[i];
        if (!vg_str_is(path, e->path)) continue;
        size_t n = (size_t)((uintptr_t)e->end - (uintptr_t)e->begin);
        *out = (vg_web_file){.type = e->type, .bytes = e->begin, .n = n};
        snprintf(out->etag, sizeof out->etag, "\"%016llx\"",
                 (unsigned long long)vg_hash(e->begin, n));
        return true;
    }
    return false;
}

/* The value is "*" or a list of tags; a weak one, W/"..", matches as well (RFC 9110, 13.1.2). */
bool vg_web_is_known(const vg_web_file *f, vg_str if_none_match)
{
    if (vg_str_is(if_none_match, "*")) return true;
    size_t n = strlen(f->etag);
    for (size_t i = 0; i + n <= if_none_match.n; i++)
        if (memcmp(if_none_match.p + i, f->etag, n) == 0) return true;
    return false;
}
