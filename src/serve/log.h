/* log.h: what an operator reads: one line an event, as logfmt or JSON.
 *
 *     vg_log log = {.fd = 2, .json = false, .least = VG_HTTP_INFO};
 *     vg_log_begin(&log, VG_HTTP_INFO, "listening");
 *     vg_log_text(&log, "address", "127.0.0.1");
 *     vg_log_int(&log, "port", 8080);
 *     vg_log_end(&log);
 *
 * A line has time, level, event and the fields that follow. It is written at once and whole; values
 * are escaped so that no client can begin a line of its own. A reader that stalls (a full pipe)
 * loses lines, never stops the server: how many is told in the next line that gets through.
 * Prompts, answers and keys are never logged. One thread at a time. */
#ifndef VG_SERVE_LOG_H
#define VG_SERVE_LOG_H

#include "serve/http.h"

enum { VG_LOG_LINE = 4000 }; /* a pipe takes so much whole or not at all (PIPE_BUF) */

typedef struct vg_log {
    int fd;
    bool json;
    vg_http_level least; /* what is below is not written */
    bool open;           /* between begin and end of a line that is */
    uint64_t n_lost;
    size_t n;
    char line[VG_LOG_LINE + 1];
} vg_log;

void vg_log_begin(vg_log *l, vg_http_level level, const char *event);
void vg_log_str(vg_log *l, const char *key, vg_str value); /* at most 500 bytes of it */
void vg_log_text(vg_log *l, const char *key, const char *value);
void vg_log_int(vg_log *l, const char *key, int64_t value);
void vg_log_ms(vg_log *l, const char *key, uint64_t ns); /* as milliseconds with two digits */
void vg_log_end(vg_log *l);

/* A line about an exchange that closed: id, address, key, method, path, status, bytes, ms, and
 * tokens where n_in or n_out are not negative. key NULL: none. 5xx are warnings. */
void vg_log_exchange(vg_log *l, const vg_exchange *x, const char *key, int64_t n_in, int64_t n_out);

/* "error", "warn", "info" or "debug"; false for anything else. */
bool vg_log_level(const char *name, vg_http_level *out);

#endif
