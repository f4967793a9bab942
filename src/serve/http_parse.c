/* The head of a request. First it is scanned as it comes, each byte once: line ends, control
 * characters and lengths are decided here, so that a hostile head is refused at its first bad byte.
 * Once whole it is copied into the exchange's arena and cut up. What decides where a body ends
 * (Content-Length, Transfer-Encoding) may be said in one way only; there is no "last one counts"
 * for anything that another server might read differently. It never looks at a body and knows no
 * route. */
#include "serve/http_parse.h"

#include <stdio.h>

static int refuse(char why[VG_HTTP_WHY], int code, const char *text)
{
    snprintf(why, VG_HTTP_WHY, "%s", text);
    return code;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool is_token_char(char c)
{
    return is_digit(c) || is_letter(c) || is_one_of(c, "!#$%&'*+-.^_`|~");
}

bool vg_http_is_token(vg_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i])) return false;
    return s.n > 0;
}

bool vg_http_same(vg_str a, const char *b)
{
    for (size_t i = 0; i < a.n; i++)
        if (!b[i] || lower(a.p[i]) != lower(b[i])) return false;
    return !b[a.n];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static vg_str trim(vg_str s)
{
    while (s.n && is_blank(s.p[0])) s.p++, s.n--;
    while (s.n && is_blank(s.p[s.n - 1])) s.n--;
    return s;
}

/* What stands before `c`, which is taken off with it; all of it where there is no c. */
static vg_str cut(vg_str *rest, char c)
{
    const char *end = rest->n ? memchr(rest->p, c, rest->n) : NULL;
    vg_str part = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t gone = part.n + (end != NULL);
    *rest = (vg_str){rest->p + gone, rest->n - gone};
    return part;
}

bool vg_http_has_word(vg_str list, const char *word)
{
    while (list.n)
        if (vg_http_same(trim(cut(&list, ',')), word)) return true;
    return false;
}

/* ---- scanning ------------------------------------------------------------------------------- */

static int line_ends(vg_http_scan *s, const vg_http_limits *limits, char why[VG_HTTP_WHY])
{
    size_t n = s->at - s->line_begin; /* without CRLF */
    s->at += 2;
    s->line_begin = s->at;
    /* RFC 9112, 2.2: an empty line before a request is passed over; one, not many. */
    if (n == 0 && s->n_lines == 0 && s->at == 2) return 0;
    if (n == 0 && s->n_lines == 0) return refuse(why, 400, "empty lines before a request");
    s->done = n == 0;
    if (!s->done) s->n_lines++;
    if (s->n_lines > 1 && s->n_lines - 1 > limits->max_headers)
        return refuse(why, 431, "too many headers");
    return 0;
}

int vg_http_scan_head(vg_http_scan *s, const vg_http_limits *limits, const char *p, size_t n,
                      char why[VG_HTTP_WHY])
{
    while (!s->done && s->at < n) {
        unsigned char c = (unsigned char)p[s->at];
        if (s->n_lines == 0 && s->at - s->line_begin >= limits->max_line_bytes)
            return refuse(why, 414, "the request line is too long");
        if (s->at >= limits->max_head_bytes) return refuse(why, 431, "the headers are too long");
        if (c == '\r') {
            if (s->at + 1 == n) return 0; /* its LF is still to come */
            if (p[s->at + 1] != '\n') return refuse(why, 400, "a CR without LF");
            int code = line_ends(s, limits, why);
            if (code) return code;
        } else if (c == '\n') {
            return refuse(why, 400, "a line that ends in LF without CR");
        } else if ((c < ' ' && c != '\t') || c == 0x7F) {
            return refuse(why, 400, "a control character in the request's head");
        } else {
            s->at++;
        }
    }
    return 0;
}

/* ---- the request line -------------------------------------------------------------------------
 * */

static int read_version(vg_http_head *h, vg_str v, char why[VG_HTTP_WHY])
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is_digit(v.p[5]) || v.p[6] != '.' ||
        !is_digit(v.p[7]))
        return refuse(why, 400, "the request line does not end in an HTTP version");
    if (v.p[5] != '1') return refuse(why, 505, "this server speaks HTTP/1.1");
    h->minor = v.p[7] == '0' ? 0 : 1;
    return 0;
}

static int read_method(vg_http_head *h, vg_str m, char why[VG_HTTP_WHY])
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    if (!vg_http_is_token(m)) return refuse(why, 400, "the request does not begin with a method");
    h->method = m;
    h->is_head = vg_str_is(m, "HEAD");
    for (size_t i = 0; i < VG_COUNT(known); i++)
        if (vg_str_is(m, known[i])) return 0;
    return refuse(why, 501, "this method is not supported");
}

/* A name or IPv4 address, or an IPv6 address in brackets, and a port or none. */
static bool is_host(vg_str s)
{
    size_t i = 0;
    if (s.n && s.p[0] == '[') {
        for (i = 1; i < s.n && s.p[i] != ']'; i++)
            if (!is_digit(s.p[i]) && !is_one_of(s.p[i], "abcdefABCDEF:.")) return false;
        if (i++ >= s.n) return false;
    } else {
        for (; i < s.n && s.p[i] != ':'; i++)
            if (!is_digit(s.p[i]) && !is_letter(s.p[i]) && !is_one_of(s.p[i], "-._~!$&'()*+,;=%"))
                return false;
    }
    if (i == s.n) return true;
    if (s.p[i++] != ':' || s.n - i > 5) return false;
    for (; i < s.n; i++)
        if (!is_digit(s.p[i])) return false;
    return true;
}

static int read_target(vg_http_head *h, vg_arena *a, vg_str t, char why[VG_HTTP_WHY])
{
    static const vg_str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < VG_COUNT(schemes); i++) {
        if (t.n < schemes[i].n || !vg_http_same((vg_str){t.p, schemes[i].n}, schemes[i].p))
            continue;
        t = (vg_str){t.p + schemes[i].n, t.n - schemes[i].n};
        size_t n = 0;
        while (n < t.n && t.p[n] != '/' && t.p[n] != '?') n++;
        h->host = (vg_str){t.p, n};
        if (n == 0 || !is_host(h->host)) return refuse(why, 400, "the target's host is invalid");
        t = (vg_str){t.p + n, t.n - n};
        if (t.n == 0 || t.p[0] == '?') {
            h->path = VG_STR("/");
            if (t.n) h->query = (vg_str){t.p + 1, t.n - 1};
            return 0;
        }
    }
    if (vg_str_is(t, "*") && vg_str_is(h->method, "OPTIONS")) {
        h->path = t;
        return 0;
    }
    if (t.n == 0 || t.p[0] != '/') return refuse(why, 400, "the target is no path");
    vg_str raw = cut(&t, '?');
    h->query = t;
    if (memchr(raw.p, '#', raw.n) || (t.n && memchr(t.p, '#', t.n)))
        return refuse(why, 400, "the target has a fragment");
    if (!vg_http_path(a, raw, &h->path))
        return refuse(why, 400, "the path has an invalid escape, or is not UTF-8");
    return 0;
}

static int read_request_line(vg_http_head *h, vg_arena *a, vg_str line, char why[VG_HTTP_WHY])
{
    vg_str rest = line, method = cut(&rest, ' '), target = cut(&rest, ' ');
    if (memchr(line.p, '\t', line.n)) return refuse(why, 400, "a tab in the request line");
    /* The version first: what speaks HTTP/2 or 0.9 should read that, and not that PRI is unknown.
     * */
    int code = read_version(h, rest, why);
    if (!code) code = read_method(h, method, why);
    return code ? code : read_target(h, a, target, why);
}

/* ---- headers ----------------------------------------------------------------------------------
 * */

static int read_field(vg_http_head *h, vg_str line, char why[VG_HTTP_WHY])
{
    if (is_blank(line.p[0])) return refuse(why, 400, "a header that is folded onto a second line");
    vg_str rest = line, name = cut(&rest, ':');
    if (name.n == line.n) return refuse(why, 400, "a header line without a colon");
    if (!vg_http_is_token(name)) return refuse(why, 400, "a header's name is no token");
    h->field[h->n_fields++] = (vg_http_field){name, trim(rest)};
    return 0;
}

vg_str vg_http_find(const vg_http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (vg_http_same(h->field[i].name, name)) return h->field[i].value;
    return (vg_str){0};
}

static size_t count(const vg_http_head *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_fields; i++) n += vg_http_same(h->field[i].name, name);
    return n;
}

static int read_host(vg_http_head *h, char why[VG_HTTP_WHY])
{
    size_t n = count(h, "host");
    vg_str host = vg_http_find(h, "host");
    if (n > 1) return refuse(why, 400, "more than one Host header");
    if (n == 0 && h->minor > 0) return refuse(why, 400, "no Host header");
    if (!is_host(host)) return refuse(why, 400, "the Host header is invalid");
    if (h->host.n == 0) h->host = host; /* that of an absolute target goes before it */
    return 0;
}

static int read_length(vg_http_head *h, vg_str v, char why[VG_HTTP_WHY])
{
    if (v.n == 0 || v.n > 19) return refuse(why, 400, "Content-Length is no number");
    for (size_t i = 0; i < v.n; i++) {
        if (!is_digit(v.p[i])) return refuse(why, 400, "Content-Length is no number");
        h->length = h->length * 10 + (uint64_t)(v.p[i] - '0');
    }
    return 0;
}

/* RFC 9112, 6: where the body ends. */
static int read_framing(vg_http_head *h, const vg_http_limits *limits, char why[VG_HTTP_WHY])
{
    size_t n_codings = count(h, "transfer-encoding"), n_lengths = count(h, "content-length");
    vg_str coding = vg_http_find(h, "transfer-encoding");
    if (n_codings && n_lengths)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding");
    if (n_lengths > 1) return refuse(why, 400, "more than one Content-Length");
    if (n_codings > 1) return refuse(why, 400, "more than one Transfer-Encoding");
    if (n_codings && h->minor == 0) return refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (n_codings) {
        h->chunked = vg_http_same(coding, "chunked");
        if (!h->chunked) return refuse(why, 501, "a Transfer-Encoding other than chunked");
    }
    int code = n_lengths ? read_length(h, vg_http_find(h, "content-length"), why) : 0;
    if (code) return code;
    if (h->length > limits->max_body_bytes) {
        snprintf(why, VG_HTTP_WHY, "a body of more than %zu bytes", limits->max_body_bytes);
        return 413;
    }
    vg_str packed = vg_http_find(h, "content-encoding");
    if (packed.n && !vg_http_same(packed, "identity"))
        return refuse(why, 415, "a compressed body (Content-Encoding) is not supported");
    return 0;
}

static int read_expectation(vg_http_head *h, char why[VG_HTTP_WHY])
{
    size_t n = count(h, "expect");
    if (n == 0 || h->minor == 0) return 0;
    if (n > 1 || !vg_http_same(vg_http_find(h, "expect"), "100-continue"))
        return refuse(why, 417, "an Expect header other than 100-continue");
    h->expects_continue = h->chunked || h->length > 0;
    return 0;
}

static void read_connection(vg_http_head *h)
{
    bool close = false, keep = false;
    for (size_t i = 0; i < h->n_fields; i++) {
        if (!vg_http_same(h->field[i].name, "connection")) continue;
        close |= vg_http_has_word(h->field[i].value, "close");
        keep |= vg_http_has_word(h->field[i].value, "keep-alive");
    }
    h->keep_alive = !close && (h->minor > 0 || keep);
}

/* A line of the head, which ends in CRLF as the scan made sure. */
static vg_str next_line(vg_str *rest)
{
    vg_str line = cut(rest, '\n');
    return (vg_str){line.p, line.n ? line.n - 1 : 0};
}

int vg_http_parse_head(vg_http_head *h, vg_arena *a, const vg_http_limits *limits, const char *p,
                       size_t n, char why[VG_HTTP_WHY])
{
    *h = (vg_http_head){0};
    char *copy = vg_arena_text(a, (vg_str){p, n});
    size_t n_lines = 0;
    for (size_t i = 0; i < n; i++) n_lines += p[i] == '\n';
    h->field = VG_ARENA_ARRAY(a, vg_http_field, n_lines);
    if (!copy || !h->field) return refuse(why, 503, "no memory for the request's head");
    vg_str rest = {copy, n}, line = next_line(&rest);
    if (line.n == 0) line = next_line(&rest);
    int code = read_request_line(h, a, line, why);
    while (!code && (line = next_line(&rest)).n) code = read_field(h, line, why);
    if (!code) code = read_host(h, why);
    if (!code) code = read_framing(h, limits, why);
    if (!code) code = read_expectation(h, why);
    if (!code) read_connection(h);
    return code;
}

const char *vg_http_reason(int code)
{
    static const struct {
        int code;
        const char *text;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {529, "Overloaded"},
    };
    for (size_t i = 0; i < VG_COUNT(known); i++)
        if (known[i].code == code) return known[i].text;
    return code < 400 ? "OK" : code < 500 ? "Bad Request" : "Internal Server Error";
}
