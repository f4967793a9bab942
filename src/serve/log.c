/* Log lines, made in place and written with one call. What comes from clients (paths, ids, hosts)
 * is escaped: control characters, quotes and what is no UTF-8 never leave as they came, so that
 * neither a forged line nor a terminal's escape sequence gets in. A line that is too long loses
 * fields at its end, not its form. The server never waits for its log. */
#include "serve/log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_VALUE = 500, TAIL = 2 }; /* TAIL: room for what ends a line */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static bool put(vg_log *l, const char *p, size_t n)
{
    if (n > VG_LOG_LINE - TAIL - l->n) return false;
    memcpy(l->line + l->n, p, n);
    l->n += n;
    return true;
}

/* The value between quotes, as JSON writes it; at most MAX_VALUE bytes of it. */
static bool put_quoted(vg_log *l, vg_str s)
{
    bool fits = put(l, "\"", 1), cut = s.n > MAX_VALUE;
    size_t end = VG_MIN(s.n, (size_t)MAX_VALUE);
    for (size_t i = 0; i < end && fits;) {
        int32_t cp;
        char text[8];
        size_t n = vg_utf8_next(s.p + i, end - i, &cp);
        if (cp == '"' || cp == '\\') fits = put(l, "\\", 1) && put(l, s.p + i, 1);
        else if (cp < ' ' || (cp >= 0x7F && cp < 0xA0) || cp == 0x2028 || cp == 0x2029)
            fits = put(l, text,
                       (size_t)snprintf(text, sizeof text, "\\u%04x",
                                        cp < 0 ? 0xFFFDu : (unsigned)cp & 0xFFFFu));
        else fits = put(l, s.p + i, n);
        i += n;
    }
    return fits && (!cut || put(l, "...", 3)) && put(l, "\"", 1);
}

static bool is_plain(vg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7F || strchr("\"=\\", s.p[i])) return false;
    return s.n > 0 && s.n <= MAX_VALUE;
}

static bool put_key(vg_log *l, const char *key)
{
    bool first = l->n <= 1;
    if (!l->json) return (first || put(l, " ", 1)) && put(l, key, strlen(key)) && put(l, "=", 1);
    return (first || put(l, ",", 1)) && put(l, "\"", 1) && put(l, key, strlen(key)) &&
           put(l, "\":", 2);
}

void vg_log_str(vg_log *l, const char *key, vg_str value)
{
    size_t before = l->n;
    if (!l->open) return;
    bool fits = put_key(l, key) &&
                (!l->json && is_plain(value) ? put(l, value.p, value.n) : put_quoted(l, value));
    if (!fits) l->n = before;
}

void vg_log_text(vg_log *l, const char *key, const char *value)
{
    vg_log_str(l, key, vg_str_from(value));
}

static void put_number(vg_log *l, const char *key, const char *text)
{
    size_t before = l->n;
    if (l->open && !(put_key(l, key) && put(l, text, strlen(text)))) l->n = before;
}

void vg_log_int(vg_log *l, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    put_number(l, key, text);
}

void vg_log_ms(vg_log *l, const char *key, uint64_t ns)
{
    char text[32];
    snprintf(text, sizeof text, "%llu.%02llu", (unsigned long long)(ns / 1000000),
             (unsigned long long)(ns / 10000 % 100));
    put_number(l, key, text);
}

void vg_log_begin(vg_log *l, vg_http_level level, const char *event)
{
    struct timespec now;
    struct tm t;
    char text[128];
    l->open = level <= l->least;
    l->n = 0;
    if (!l->open) return;
    if (l->json) put(l, "{", 1);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", t.tm_year + 1900,
             t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, now.tv_nsec / 1000000);
    vg_log_text(l, "time", text);
    vg_log_text(l, "level", level_names[level]);
    vg_log_text(l, "event", event);
    if (l->n_lost) vg_log_int(l, "lost", (int64_t)l->n_lost);
}

void vg_log_end(vg_log *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    if (!l->open) return;
    l->open = false;
    if (l->json) l->line[l->n++] = '}';
    l->line[l->n++] = '\n';
    bool written = poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
                   write(l->fd, l->line, l->n) == (ssize_t)l->n;
    l->n_lost = written ? 0 : l->n_lost + 1;
}

void vg_log_exchange(vg_log *l, const vg_exchange *x, const char *key, int64_t n_in, int64_t n_out)
{
    int code = vg_exchange_code(x);
    vg_log_begin(l, code >= 500 ? VG_HTTP_WARN : VG_HTTP_INFO, "request");
    vg_log_text(l, "id", vg_exchange_id(x));
    vg_log_text(l, "address", vg_exchange_address(x));
    if (key) vg_log_text(l, "key", key);
    vg_log_str(l, "method", vg_exchange_method(x));
    vg_log_str(l, "path", vg_exchange_path(x));
    vg_log_int(l, "status", code);
    vg_log_int(l, "bytes", (int64_t)vg_exchange_sent(x));
    vg_log_ms(l, "ms", vg_exchange_age_ns(x));
    if (n_in >= 0) vg_log_int(l, "tokens_in", n_in);
    if (n_out >= 0) vg_log_int(l, "tokens_out", n_out);
    if (vg_exchange_gone(x)) vg_log_text(l, "end", "client_gone");
    vg_log_end(l);
}

bool vg_log_level(const char *name, vg_http_level *out)
{
    for (size_t i = 0; i < VG_COUNT(level_names); i++)
        if (strcmp(name, level_names[i]) == 0) {
            *out = (vg_http_level)i;
            return true;
        }
    return false;
}
