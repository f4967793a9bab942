/* Calls in Python's words, [now(zone="UTC", list=[1, None])]: read once they are complete, into
 * JSON. Literals alone: texts, numbers, True, False, None, lists, tuples and dicts, no deeper than
 * half of VG_JSON_DEPTH. */
#include "serve/parts_int.h"

typedef struct reader {
    vg_str s;
    size_t at;
    vg_buf *out;
} reader;

static void skip(reader *r)
{
    while (r->at < r->s.n && memchr(" \n\r\t", r->s.p[r->at], 4)) r->at++;
}

static bool take(reader *r, char c)
{
    skip(r);
    if (r->at == r->s.n || r->s.p[r->at] != c) return false;
    r->at++;
    return true;
}

static vg_str word(reader *r)
{
    skip(r);
    size_t from = r->at;
    while (r->at < r->s.n) {
        char c = r->s.p[r->at];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !memchr("_.-+", c, 4)) break;
        r->at++;
    }
    return (vg_str){r->s.p + from, r->at - from};
}

static bool text(reader *r)
{
    char quote = r->s.p[r->at++];
    vg_buf b;
    vg_buf_init(&b, r->s.n);
    bool closed = false;
    while (r->at < r->s.n && !closed) {
        char c = r->s.p[r->at++];
        closed = c == quote;
        if (c == '\\' && r->at < r->s.n) {
            char e = r->s.p[r->at++];
            const char *known = strchr("n\nt\tr\r", e);
            if (e != '\n') vg_buf_char(&b, known ? known[1] : e);
        } else if (!closed) {
            vg_buf_char(&b, c);
        }
    }
    vg_json_put_str(r->out, (vg_str){b.n ? b.data : "", b.n});
    bool ok = closed && !b.failed;
    vg_buf_clear(&b);
    return ok;
}

static bool value(reader *r, size_t depth);

/* The items behind an opening bracket. */
static bool items(reader *r, char open, size_t depth)
{
    bool dict = open == '{';
    char close = open == '(' ? ')' : dict ? '}' : ']';
    vg_buf_char(r->out, dict ? '{' : '[');
    for (size_t n = 0; !take(r, close); n++) {
        if (n && !take(r, ',')) return false;
        if (n && take(r, close)) break;
        if (n) vg_buf_text(r->out, ", ");
        skip(r);
        if (dict && (r->at == r->s.n || !memchr("\"'", r->s.p[r->at], 2))) return false;
        if (!value(r, depth + 1)) return false;
        if (dict && !take(r, ':')) return false;
        if (dict) vg_buf_text(r->out, ": ");
        if (dict && !value(r, depth + 1)) return false;
    }
    vg_buf_char(r->out, dict ? '}' : ']');
    return true;
}

static bool value(reader *r, size_t depth)
{
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                                           {"true", "true"}, {"false", "false"}, {"null", "null"}};
    skip(r);
    if (r->at == r->s.n || depth == VG_JSON_DEPTH / 2) return false;
    char c = r->s.p[r->at];
    if (c == '"' || c == '\'') return text(r);
    if (c == '[' || c == '(' || c == '{') {
        r->at++;
        return items(r, c, depth);
    }
    vg_str w = word(r);
    for (size_t i = 0; i < VG_COUNT(words); i++) {
        if (!vg_str_is(w, words[i][0])) continue;
        vg_buf_text(r->out, words[i][1]);
        return true;
    }
    double number;
    if (!w.n || !vg_double_read(w, &number)) return false;
    bool whole = !memchr(w.p, '.', w.n) && !memchr(w.p, 'e', w.n) && !memchr(w.p, 'E', w.n);
    if (whole && w.p[0] != '+') vg_buf_str(r->out, w);
    else vg_json_put_number(r->out, number);
    return true;
}

/* name(key=value, ..) */
static bool call(reader *r, vg_str *name)
{
    *name = word(r);
    if (!name->n || !take(r, '(')) return false;
    vg_buf_char(r->out, '{');
    for (size_t n = 0; !take(r, ')'); n++) {
        if (n && !take(r, ',')) return false;
        vg_str key = word(r);
        if (!key.n || !take(r, '=')) return false;
        if (n) vg_buf_text(r->out, ", ");
        vg_json_put_str(r->out, key);
        vg_buf_text(r->out, ": ");
        if (!value(r, 0)) return false;
    }
    vg_buf_char(r->out, '}');
    return !r->out->failed;
}

/* All calls of the list, told where `p` is given; their number, 0 where it is no such list. */
static size_t list(vg_parts *p, vg_str s, vg_buf *args)
{
    reader r = {.s = s, .out = args};
    bool bracket = take(&r, '[');
    size_t n = 0;
    for (bool more = true; more; more = take(&r, ',')) {
        vg_str name;
        vg_buf_reset(args);
        if (!call(&r, &name)) return 0;
        n++;
        if (!p) continue;
        vg_parts_begin(p, name);
        vg_parts_args(p, (vg_str){args->data, args->n});
        vg_parts_finish(p);
    }
    if (bracket && !take(&r, ']')) return 0;
    skip(&r);
    return r.at == s.n ? n : 0;
}

/* 1: the calls are JSON after all, as a system's message may ask for; -1: not told yet. */
static int is_json(const vg_parts *p, vg_str s)
{
    reader r = {.s = s, .at = p->mark};
    take(&r, '[');
    skip(&r);
    if (r.at == s.n) return p->ended ? 0 : -1;
    return s.p[r.at] == '{';
}

bool vg_parts_step_python(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    int json = is_json(p, s);
    if (json < 0) return false;
    if (json) {
        p->at = p->mark;
        p->state = VG_PARTS_BODY;
        return true;
    }
    size_t end = vg_parts_find(s, VG_MAX(p->mark, p->at), p->form->close);
    if (end == SIZE_MAX && !p->ended) {
        p->at = s.n > VG_PARTS_MARK_MAX ? s.n - VG_PARTS_MARK_MAX : 0;
        return false;
    }
    size_t behind = end == SIZE_MAX ? s.n : end + strlen(p->form->close);
    vg_str body = {s.p + p->mark, VG_MIN(end, s.n) - p->mark};
    vg_buf args;
    vg_buf_init(&args, SIZE_MAX / 2);
    /* Once to see that it is right, once to tell. */
    size_t n = list(NULL, body, &args);
    if (n && n <= VG_MAX_CALLS - p->n_calls) {
        list(p, body, &args);
        vg_parts_drop(p, behind);
    } else {
        vg_parts_give_up(p);
    }
    vg_buf_clear(&args);
    return true;
}
