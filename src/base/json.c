/* JSON: a strict reader (RFC 8259) and the writer's hard parts. The reader is one loop over an
 * explicit stack of open containers; the children of all open containers lie on one growing pile,
 * and closing a container moves its share into the arena. So no recursion, no second pass, and
 * memory in proportion to the text.
 * A byte order mark before the text is skipped. A lone surrogate written as an escape becomes
 * U+FFFD, since a string here is UTF-8; invalid UTF-8 in the text itself is refused, as are
 * numbers too large for a double and more than 500 characters of one number. */
#include "base/json.h"

#include <math.h>

enum { MAX_NUMBER = 500, SMALL_OBJECT = 16 };

typedef struct entry {
    vg_json *value;
    vg_str key;
} entry;

typedef struct level {
    vg_json *node;
    size_t first; /* its first child on the pile */
} level;

typedef struct reader {
    vg_arena *a;
    const char *start, *p, *end;
    entry *pile;
    size_t n_pile, cap_pile;
    level stack[VG_JSON_DEPTH];
    size_t depth;
    vg_str key; /* of the value that comes next, in an object */
    vg_err *err;
} reader;

static vg_status fail_at(reader *r, const char *at, vg_status code, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *c = r->start; c < at; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            column++;
        }
    }
    return VG_FAIL(r->err, code, "JSON line %zu, column %zu: %s", line, column, what);
}

static vg_status no_memory(reader *r, size_t bytes)
{
    return VG_FAIL(r->err, VG_E_NO_MEMORY, "JSON: no memory for %zu bytes more", bytes);
}

static void skip_space(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
}

/* ---- strings ------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Reads four hex digits at p; -1 where they are not there. */
static int32_t hex4(const reader *r, const char *p)
{
    if (r->end - p < 4) return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

/* r->p stands after "\u". */
static vg_status read_unicode(reader *r, int32_t *cp)
{
    int32_t v = hex4(r, r->p);
    if (v < 0) return fail_at(r, r->p, VG_E_FORMAT, "\\u wants four hexadecimal digits");
    r->p += 4;
    if (v >= 0xd800 && v < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        int32_t low = hex4(r, r->p + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
            r->p += 6;
        }
    }
    *cp = v >= 0xd800 && v < 0xe000 ? 0xfffd : v;
    return VG_OK;
}

static vg_status read_escape(reader *r, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = r->p++;
    if (r->p == r->end) return fail_at(r, at, VG_E_FORMAT, "the text ends inside a string");
    char c = *r->p++;
    if (c == 'u') {
        int32_t cp = 0;
        VG_TRY(read_unicode(r, &cp));
        *out += vg_utf8_put(cp, *out);
        return VG_OK;
    }
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return fail_at(r, at, VG_E_FORMAT, "unknown escape in a string");
    *(*out)++ = to[found - from];
    return VG_OK;
}

/* The closing quote of a string whose content begins at p, or NULL. */
static const char *string_end(const reader *r, const char *p)
{
    for (; p < r->end && *p != '"'; p++)
        if (*p == '\\' && ++p == r->end) return NULL;
    return p < r->end ? p : NULL;
}

/* r->p stands on the opening quote. An unescaped string is never longer than its source. */
static vg_status read_string(reader *r, vg_str *out)
{
    const char *open = r->p++, *close = string_end(r, r->p);
    if (!close) return fail_at(r, open, VG_E_FORMAT, "this string has no end");
    size_t room = (size_t)(close - r->p);
    char *text = vg_arena_alloc(r->a, room + 1, 1), *w = text;
    if (!text) return no_memory(r, room + 1);
    while (r->p < close) {
        if (*r->p == '\\') {
            VG_TRY(read_escape(r, &w));
            continue;
        }
        if ((unsigned char)*r->p < 0x20)
            return fail_at(r, r->p, VG_E_FORMAT, "control character in a string; write an escape");
        int32_t cp;
        size_t len = vg_utf8_next(r->p, (size_t)(close - r->p), &cp);
        if (cp < 0) return fail_at(r, r->p, VG_E_FORMAT, "invalid UTF-8 in a string");
        memcpy(w, r->p, len);
        w += len;
        r->p += len;
    }
    r->p = close + 1;
    *out = (vg_str){text, (size_t)(w - text)};
    return VG_OK;
}

/* ---- numbers and words -------------------------------------------------------------------- */

static void skip_digits(reader *r)
{
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
}

static vg_status want_digits(reader *r, const char *what)
{
    const char *from = r->p;
    skip_digits(r);
    return r->p > from ? VG_OK : fail_at(r, from, VG_E_FORMAT, what);
}

/* False where the digits do not fit 64 bits. */
static bool integer_value(const char *p, const char *end, int64_t *out)
{
    bool negative = *p == '-';
    uint64_t v = 0, most = (uint64_t)INT64_MAX + negative;
    for (p += negative; p < end; p++) {
        uint64_t d = (uint64_t)(*p - '0');
        if (v > (most - d) / 10) return false;
        v = v * 10 + d;
    }
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static vg_status read_number(reader *r, vg_json *node)
{
    const char *from = r->p;
    bool integer = true;
    if (*r->p == '-') r->p++;
    if (r->p < r->end && *r->p == '0') r->p++;
    else VG_TRY(want_digits(r, "a digit must follow '-'"));
    if (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        return fail_at(r, from, VG_E_FORMAT, "a number may not begin with 0");
    if (r->p < r->end && *r->p == '.') {
        integer = false;
        r->p++;
        VG_TRY(want_digits(r, "a digit must follow the decimal point"));
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        integer = false;
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        VG_TRY(want_digits(r, "a digit must follow the exponent sign"));
    }
    vg_str text = {from, (size_t)(r->p - from)};
    if (integer && integer_value(from, r->p, &node->integer)) {
        node->kind = VG_JSON_INT;
        node->number = (double)node->integer;
        return VG_OK;
    }
    node->kind = VG_JSON_FLOAT;
    if (text.n > MAX_NUMBER) return fail_at(r, from, VG_E_LIMIT, "number of over 500 characters");
    if (!vg_double_read(text, &node->number) || !isfinite(node->number))
        return fail_at(r, from, VG_E_FORMAT, "this number is too large for a double");
    return VG_OK;
}

static bool take_word(reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

static vg_status read_scalar(reader *r, vg_json *node)
{
    char c = *r->p;
    if (c == '"') {
        node->kind = VG_JSON_STRING;
        return read_string(r, &node->str);
    }
    if (c == '-' || (c >= '0' && c <= '9')) return read_number(r, node);
    if (take_word(r, "null")) return VG_OK;
    node->kind = VG_JSON_BOOL;
    if (take_word(r, "false")) return VG_OK;
    node->boolean = take_word(r, "true");
    return node->boolean ? VG_OK : fail_at(r, r->p, VG_E_FORMAT, "a value is expected here");
}

/* ---- containers --------------------------------------------------------------------------- */

static vg_status put_on_pile(reader *r, vg_json *value)
{
    if (r->n_pile == r->cap_pile) {
        size_t cap = r->cap_pile ? 2 * r->cap_pile : 64, bytes;
        entry *pile = NULL;
        if (vg_mul(cap, sizeof *pile, &bytes))
            pile = vg_mem_grow(r->pile, r->cap_pile * sizeof *pile, bytes);
        if (!pile) return no_memory(r, cap * sizeof *pile);
        r->pile = pile;
        r->cap_pile = cap;
    }
    r->pile[r->n_pile++] = (entry){value, r->key};
    return VG_OK;
}

static int order_keys(const entry *e, size_t i, size_t j)
{
    vg_str a = e[i].key, b = e[j].key;
    int c = memcmp(a.p, b.p, VG_MIN(a.n, b.n));
    if (c) return c;
    if (a.n != b.n) return a.n < b.n ? -1 : 1;
    return i < j ? -1 : 1;
}

/* Merges the sorted runs [lo, mid) and [mid, hi) of `from` into `to`. */
static void merge_runs(const entry *e, const size_t *from, size_t *to, size_t lo, size_t mid,
                       size_t hi)
{
    size_t i = lo, j = mid;
    for (size_t k = lo; k < hi; k++) {
        bool left = i < mid && (j >= hi || order_keys(e, from[i], from[j]) < 0);
        to[k] = left ? from[i++] : from[j++];
    }
}

/* Most objects are small and have no key twice: seen without memory. */
static bool small_and_unique(const entry *e, size_t n)
{
    if (n > SMALL_OBJECT) return false;
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (vg_str_eq(e[i].key, e[j].key)) return false;
    return true;
}

/* The last value of a key counts, in the place of the first. Keys are sorted rather than hashed: a
 * hostile text could make any fixed hash collide. Sorting costs n log n whatever the keys. */
static vg_status drop_duplicates(reader *r, entry *e, size_t *n)
{
    size_t bytes, n_in = *n;
    if (small_and_unique(e, n_in)) return VG_OK;
    if (!vg_mul(n_in, 2 * sizeof(size_t), &bytes)) return no_memory(r, SIZE_MAX);
    size_t *by_key = vg_mem_new(bytes), *spare = by_key ? by_key + n_in : NULL, *whole = by_key;
    if (!by_key) return no_memory(r, bytes);
    for (size_t i = 0; i < n_in; i++) by_key[i] = i;
    for (size_t run = 1; run < n_in; run *= 2) {
        for (size_t lo = 0; lo < n_in; lo += 2 * run)
            merge_runs(e, by_key, spare, lo, VG_MIN(lo + run, n_in), VG_MIN(lo + 2 * run, n_in));
        size_t *swap = by_key;
        by_key = spare;
        spare = swap;
    }
    for (size_t i = 0; i + 1 < n_in;) {
        size_t j = i + 1;
        while (j < n_in && vg_str_eq(e[by_key[i]].key, e[by_key[j]].key)) j++;
        if (j > i + 1) e[by_key[i]].value = e[by_key[j - 1]].value;
        for (size_t k = i + 1; k < j; k++) e[by_key[k]].value = NULL;
        i = j;
    }
    vg_mem_free(whole);
    size_t kept = 0;
    for (size_t i = 0; i < n_in; i++)
        if (e[i].value) e[kept++] = e[i];
    *n = kept;
    return VG_OK;
}

/* Moves the children of the innermost open container from the pile into the arena. */
static vg_status close_container(reader *r, vg_json **out)
{
    level *top = &r->stack[--r->depth];
    vg_json *node = top->node;
    entry *e = r->pile ? r->pile + top->first : NULL;
    size_t n = r->n_pile - top->first;
    if (node->kind == VG_JSON_OBJECT) VG_TRY(drop_duplicates(r, e, &n));
    node->repeats = n < r->n_pile - top->first;
    node->n = n;
    if (n) {
        node->item = VG_ARENA_ARRAY(r->a, vg_json *, n);
        if (!node->item) return no_memory(r, n * sizeof *node->item);
        if (node->kind == VG_JSON_OBJECT) node->key = VG_ARENA_ARRAY(r->a, vg_str, n);
        if (node->kind == VG_JSON_OBJECT && !node->key) return no_memory(r, n * sizeof(vg_str));
    }
    for (size_t i = 0; i < n; i++) {
        node->item[i] = e[i].value;
        if (node->key) node->key[i] = e[i].key;
    }
    r->n_pile = top->first;
    *out = node;
    return VG_OK;
}

/* The key and colon before a value, where the innermost container is an object. */
static vg_status read_key(reader *r)
{
    r->key = (vg_str){0};
    if (r->depth == 0 || r->stack[r->depth - 1].node->kind != VG_JSON_OBJECT) return VG_OK;
    skip_space(r);
    if (r->p == r->end || *r->p != '"')
        return fail_at(r, r->p, VG_E_FORMAT, "a key in double quotes is expected here");
    VG_TRY(read_string(r, &r->key));
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return fail_at(r, r->p, VG_E_FORMAT, "':' is expected after a key");
    r->p++;
    return VG_OK;
}

/* Reads a scalar or an opening bracket. *whole says whether the value is complete; an opened
 * container is on the stack instead, and its own place in its parent is taken already. */
static vg_status read_value(reader *r, vg_json **out, bool *whole)
{
    skip_space(r);
    if (r->p == r->end) return fail_at(r, r->p, VG_E_FORMAT, "the text ends; a value is expected");
    vg_json *node = VG_ARENA_NEW(r->a, vg_json);
    if (!node) return no_memory(r, sizeof *node);
    *out = node;
    VG_TRY(r->depth ? put_on_pile(r, node) : VG_OK);
    *whole = *r->p != '[' && *r->p != '{';
    if (*whole) return read_scalar(r, node);
    if (r->depth == VG_JSON_DEPTH) return fail_at(r, r->p, VG_E_LIMIT, "nested over 128 deep");
    node->kind = *r->p == '[' ? VG_JSON_ARRAY : VG_JSON_OBJECT;
    r->stack[r->depth++] = (level){node, r->n_pile};
    r->p++;
    skip_space(r);
    if (r->p < r->end && *r->p == (node->kind == VG_JSON_ARRAY ? ']' : '}')) {
        r->p++;
        *whole = true;
        return close_container(r, out);
    }
    return VG_OK;
}

/* After a complete value: closes what closes here. *more: a comma came, another value follows. */
static vg_status read_after_value(reader *r, vg_json **out, bool *more)
{
    while (r->depth) {
        bool array = r->stack[r->depth - 1].node->kind == VG_JSON_ARRAY;
        skip_space(r);
        if (r->p == r->end)
            return fail_at(r, r->p, VG_E_FORMAT,
                           array ? "the text ends inside an array" : "the text ends in an object");
        *more = *r->p == ',';
        if (*more) {
            r->p++;
            return VG_OK;
        }
        if (*r->p != (array ? ']' : '}'))
            return fail_at(r, r->p, VG_E_FORMAT,
                           array ? "',' or ']' is expected here" : "',' or '}' is expected here");
        r->p++;
        VG_TRY(close_container(r, out));
    }
    *more = false;
    return VG_OK;
}

static vg_status read_document(reader *r, vg_json **out)
{
    bool more = true, whole = false;
    if (r->end - r->p >= 3 && memcmp(r->p, "\xef\xbb\xbf", 3) == 0) r->p += 3;
    while (more) {
        VG_TRY(read_key(r));
        VG_TRY(read_value(r, out, &whole));
        if (whole) VG_TRY(read_after_value(r, out, &more));
    }
    skip_space(r);
    if (r->p < r->end) return fail_at(r, r->p, VG_E_FORMAT, "text after the end of the value");
    return VG_OK;
}

/* ---- outside ------------------------------------------------------------------------------ */

vg_status vg_json_parse(vg_arena *a, const char *text, size_t n, vg_json **out, vg_err *err)
{
    reader r = {.a = a, .start = text, .p = text, .end = text + n, .err = err};
    vg_json *doc = NULL;
    vg_status st = n ? read_document(&r, &doc) : fail_at(&r, text, VG_E_FORMAT, "it is empty");
    vg_mem_free(r.pile);
    if (!st) *out = doc;
    return st;
}

const vg_json *vg_json_get(const vg_json *object, const char *key)
{
    if (!object || object->kind != VG_JSON_OBJECT) return NULL;
    for (size_t i = 0; i < object->n; i++)
        if (vg_str_is(object->key[i], key)) return object->item[i];
    return NULL;
}

/* Bytes at the start of s that stand in a string as they are: most texts are nothing else, and a
 * server writes thousands of them a second. */
static size_t plain(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i] >= ' ' && s[i] < 0x7f && s[i] != '"' && s[i] != '\\') i++;
    return i;
}

void vg_json_put_str(vg_buf *b, vg_str s)
{
    static const char named[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\";
    vg_buf_char(b, '"');
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        size_t n_plain = plain(s.p + i, s.n - i);
        if (n_plain) vg_buf_add(b, s.p + i, n_plain);
        i += n_plain;
        if (i == s.n) break;
        size_t len = vg_utf8_next(s.p + i, s.n - i, &cp);
        const char *escape = cp > 0 && cp < 0x80 ? strchr(named, cp) : NULL;
        if (cp < 0) vg_buf_cp(b, 0xfffd);
        else if (escape) vg_buf_fmt(b, "\\%c", letter[escape - named]);
        else if (cp < 0x20) vg_buf_fmt(b, "\\u%04x", (unsigned)cp);
        else vg_buf_add(b, s.p + i, len);
        i += len;
    }
    vg_buf_char(b, '"');
}

void vg_json_put_number(vg_buf *b, double v)
{
    char text[VG_DOUBLE_TEXT];
    size_t n = vg_double_put(v, text);
    if (!isfinite(v)) vg_buf_text(b, "null");
    else vg_buf_add(b, text, n > 2 && memcmp(text + n - 2, ".0", 2) == 0 ? n - 2 : n);
}

/* The reader bounds the depth of every tree. */
void vg_json_put(vg_buf *b, const vg_json *j)
{
    char text[VG_DOUBLE_TEXT];
    switch (j->kind) {
    case VG_JSON_NULL:
        vg_buf_text(b, "null");
        return;
    case VG_JSON_BOOL:
        vg_buf_text(b, j->boolean ? "true" : "false");
        return;
    case VG_JSON_INT:
        vg_buf_fmt(b, "%lld", (long long)j->integer);
        return;
    case VG_JSON_FLOAT:
        vg_buf_add(b, text, vg_double_put(j->number, text));
        return;
    case VG_JSON_STRING:
        vg_json_put_str(b, j->str);
        return;
    case VG_JSON_ARRAY:
    case VG_JSON_OBJECT:
        break;
    }
    bool object = j->kind == VG_JSON_OBJECT;
    vg_buf_char(b, object ? '{' : '[');
    for (size_t i = 0; i < j->n; i++) {
        if (i) vg_buf_char(b, ',');
        if (object) vg_json_put_str(b, j->key[i]);
        if (object) vg_buf_char(b, ':');
        vg_json_put(b, j->item[i]);
    }
    vg_buf_char(b, object ? '}' : ']');
}
