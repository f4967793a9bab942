/* The bodies of calls: a JSON object with a name and arguments, which go out as they come once the
 * name is known; and parameters between tags, which become members of an object one by one. JSON is
 * followed by its strings and brackets alone: arguments are told as the model wrote them, right or
 * wrong, and who gets them reads them anyway. */
#include "serve/parts_int.h"

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool vg_scan_byte(vg_scan *s, char c, bool *inside)
{
    *inside = true;
    if (s->in_str) {
        bool closes = !s->escaped && c == '"';
        s->escaped = !s->escaped && c == '\\';
        s->in_str = !closes;
        return closes && !s->depth;
    }
    if (s->scalar && (c == ',' || c == '}' || c == ']' || blank(c))) return *inside = false, true;
    if (c == '"') s->in_str = true;
    else if (c == '{' || c == '[') s->depth++;
    else if (c == '}' || c == ']') return s->depth < 2 || --s->depth == 0;
    else if (!s->depth) s->scalar = true;
    return false;
}

/* A JSON string's value, in the arena; empty where it is none or too long for a name. */
static vg_str string_of(vg_parts *p, size_t from, size_t to, size_t max)
{
    vg_str s = vg_parts_rest(p);
    vg_json *j;
    if (to - from > max || vg_json_parse(p->arena, s.p + from, to - from, &j, NULL))
        return (vg_str){0};
    return j->kind == VG_JSON_STRING ? j->str : (vg_str){0};
}

static bool key_is(const vg_parts *p, const char *key)
{
    vg_str s = vg_parts_rest(p);
    return vg_str_is((vg_str){s.p + p->key_from, p->key_to - p->key_from}, key);
}

static bool key_is_name(const vg_parts *p)
{
    return key_is(p, "name") || key_is(p, "tool_name");
}

static bool key_is_args(const vg_parts *p)
{
    return key_is(p, "arguments") || key_is(p, "parameters");
}

/* A value begins: true where the object reader is left, or goes into an inner object. */
static bool value_begins(vg_parts *p, char c)
{
    if (c == '{' && key_is_args(p) && p->name.n) {
        vg_parts_begin(p, p->name);
        vg_parts_drop(p, p->at);
        p->at = 0;
        p->scan = (vg_scan){0};
        p->state = VG_PARTS_ARGS;
        return true;
    }
    if (c == '{' && key_is(p, "function") && p->open == 1 && !p->name.n) {
        p->open = 2;
        p->obj = VG_OBJ_KEY;
        p->at++;
        return true;
    }
    p->scan = (vg_scan){0};
    p->value_from = p->at;
    p->obj = VG_OBJ_IN_VALUE;
    return false;
}

/* False: no call. */
static bool value_ends(vg_parts *p)
{
    p->obj = VG_OBJ_KEY;
    if (key_is_name(p)) {
        p->name = string_of(p, p->value_from, p->at, VG_PARTS_HEAD_MAX);
        return vg_parts_name_ok(p, p->name);
    }
    if (key_is_args(p)) {
        p->args_from = p->value_from;
        p->args_to = p->at;
    }
    return true;
}

/* The object is complete without arguments that could go out as they came: none at all, before the
 * name, or as text of JSON. */
static void object_ends(vg_parts *p)
{
    vg_str s = vg_parts_rest(p), args = {s.p + p->args_from, p->args_to - p->args_from};
    if (args.n && args.p[0] == '"') args = string_of(p, p->args_from, p->args_to, SIZE_MAX);
    bool object = args.n && args.p[0] == '{';
    if (!p->name.n || (args.n && !object && !vg_str_is(args, "null"))) {
        vg_parts_give_up(p);
        return;
    }
    vg_parts_begin(p, p->name);
    vg_parts_args(p, object ? args : VG_STR("{}"));
    vg_parts_drop(p, p->at);
    vg_parts_finish(p);
}

/* A byte between the values; 1: taken, 0: no call, -1: the object reader was left. */
static int object_byte(vg_parts *p, char c)
{
    switch (p->obj) {
    case VG_OBJ_KEY:
        if (c == '"') {
            p->obj = VG_OBJ_IN_KEY;
            p->key_from = p->at + 1;
        } else if (c == '}') {
            p->at++;
            if (--p->open) return -1;
            object_ends(p);
            return -1;
        } else if (c != ',' && !blank(c)) {
            return 0;
        }
        return 1;
    case VG_OBJ_IN_KEY:
        if (c == '"') {
            p->key_to = p->at;
            p->obj = VG_OBJ_COLON;
        }
        return c != '\\' && c != '\n';
    case VG_OBJ_COLON:
        if (c == ':') p->obj = VG_OBJ_VALUE;
        return c == ':' || blank(c);
    default: return 1;
    }
}

bool vg_parts_step_object(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    for (; p->at < s.n; p->at++) {
        char c = s.p[p->at];
        if (p->obj == VG_OBJ_VALUE) {
            if (blank(c)) continue;
            if (value_begins(p, c)) return true;
        }
        if (p->obj == VG_OBJ_IN_VALUE) {
            bool inside;
            if (!vg_scan_byte(&p->scan, c, &inside)) continue;
            p->at += inside;
            bool call = value_ends(p);
            if (!call) vg_parts_give_up(p);
            return true;
        }
        int took = object_byte(p, c);
        if (took == 0) vg_parts_give_up(p);
        if (took <= 0) return true;
    }
    if (p->ended) vg_parts_give_up(p);
    return p->ended;
}

bool vg_parts_step_args(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    bool inside, done = false;
    size_t n = 0;
    while (n < s.n && !done) done = vg_scan_byte(&p->scan, s.p[n++], &inside);
    vg_parts_tell(p, VG_NEWS_CALL_ARGS, n);
    if (!done && !p->ended) return false;
    p->scan = (vg_scan){0};
    vg_parts_finish(p);
    if (done && p->open) p->state = VG_PARTS_REST;
    return true;
}

/* What else stands in the object is skipped: an id of the model's own, a type. */
bool vg_parts_step_rest(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    for (size_t n = 0; n < s.n; n++) {
        char c = s.p[n];
        if (p->scan.in_str) {
            bool inside;
            vg_scan_byte(&p->scan, c, &inside);
        } else if (c == '"') {
            p->scan.in_str = true;
        } else if (c == '{') {
            p->open++;
        } else if (c == '}' && !--p->open) {
            vg_parts_drop(p, n + 1);
            p->state = VG_PARTS_TAIL;
            return true;
        } else if (c == '<' && p->form->open[0] == '<') {
            /* The last brace was forgotten. */
            vg_parts_drop(p, n);
            p->state = VG_PARTS_TAIL;
            return true;
        }
    }
    vg_parts_drop(p, s.n);
    return false;
}

/* ---- parameters between tags ----------------------------------------------------------------- */

/* Qwen3-Coder: <parameter=KEY>\nVALUE\n</parameter>. GLM 4.5: <arg_key>KEY</arg_key>\n
 * <arg_value>VALUE</arg_value>. */
static const struct {
    const char *key, *key_end, *value, *value_end;
} tags[] = {
    {"<parameter=", ">", "", "</parameter>"},
    {"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"},
};

/* A schema that allows strings alone, or does not say. */
static bool wants_string(const vg_parts *p, vg_str key)
{
    const vg_json *tool = vg_parts_tool(p, p->name);
    const vg_json *props = vg_json_get(vg_json_get(tool, "parameters"), "properties"), *of = NULL;
    for (size_t i = 0; props && props->kind == VG_JSON_OBJECT && i < props->n; i++)
        if (vg_str_eq(props->key[i], key)) of = props->item[i];
    const vg_json *type = vg_json_get(of, "type");
    if (type) return type->kind == VG_JSON_STRING && vg_str_is(type->str, "string");
    return !vg_json_get(of, "anyOf") && !vg_json_get(of, "oneOf");
}

static vg_str trimmed(vg_str s)
{
    if (s.n && s.p[0] == '\n') s = (vg_str){s.p + 1, s.n - 1};
    if (s.n && s.p[s.n - 1] == '\n') s.n--;
    return s;
}

/* A value in a template's words: Python's for what is not text. */
static void put_value(vg_parts *p, vg_buf *b, vg_str key, vg_str value)
{
    static const char *const python[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    if (!wants_string(p, key)) {
        for (size_t i = 0; i < VG_COUNT(python); i++)
            if (vg_str_is(value, python[i][0])) value = vg_str_from(python[i][1]);
        vg_json *j;
        if (!vg_json_parse(p->arena, value.p, value.n, &j, NULL)) {
            vg_buf_str(b, value);
            return;
        }
    }
    vg_json_put_str(b, value);
}

static void tell_param(vg_parts *p, vg_str key, vg_str value)
{
    vg_buf b;
    vg_buf_init(&b, SIZE_MAX / 2);
    vg_buf_text(&b, p->any_param ? ", " : "{");
    vg_json_put_str(&b, key);
    vg_buf_text(&b, ": ");
    put_value(p, &b, key, trimmed(value));
    if (!b.failed) vg_parts_args(p, (vg_str){b.data, b.n});
    if (!b.failed) p->any_param = true;
    vg_buf_clear(&b);
}

/* The parameter that begins at `at`, in the words of tags[t]: false where more has to come. */
static bool one_param(vg_parts *p, size_t at, size_t t)
{
    vg_str s = vg_parts_rest(p);
    size_t key = at + strlen(tags[t].key), key_end = vg_parts_find(s, key, tags[t].key_end);
    if (key_end == SIZE_MAX) {
        if (p->ended) vg_parts_drop(p, s.n);
        return p->ended;
    }
    size_t value = key_end + strlen(tags[t].key_end);
    if (*tags[t].value) {
        size_t open = vg_parts_find(s, value, tags[t].value);
        if (open == SIZE_MAX && !p->ended) return false;
        value = open == SIZE_MAX ? s.n : open + strlen(tags[t].value);
    }
    size_t end = vg_parts_find(s, VG_MAX(value, p->at), tags[t].value_end), skip = 0;
    if (end != SIZE_MAX) skip = strlen(tags[t].value_end);
    /* The closing tag was forgotten. */
    else end = vg_parts_find(s, VG_MAX(value, p->at), p->form->close);
    if (end == SIZE_MAX && !p->ended) {
        p->at = s.n > VG_PARTS_MARK_MAX ? s.n - VG_PARTS_MARK_MAX : 0;
        return false;
    }
    if (end == SIZE_MAX) end = s.n;
    tell_param(p, (vg_str){s.p + key, key_end - key}, (vg_str){s.p + value, end - value});
    vg_parts_drop(p, end + skip);
    p->at = 0;
    return true;
}

bool vg_parts_step_params(vg_parts *p)
{
    vg_str s = vg_parts_rest(p);
    size_t at = 0;
    for (; at < s.n && s.p[at] != '<'; at++) {}
    for (size_t t = 0; t < VG_COUNT(tags) && at < s.n; t++) {
        int there = vg_parts_stands(p, s, at, tags[t].key);
        if (there < 0) return false;
        if (there) return one_param(p, at, t);
    }
    bool ends = p->ended && at == s.n;
    static const char *const closing[] = {"</function>", "</tool_call>"};
    for (size_t i = 0; i < VG_COUNT(closing) && at < s.n; i++) {
        int there = vg_parts_stands(p, s, at, closing[i]);
        if (there < 0) return false;
        ends = ends || there;
        if (there) at += strlen(closing[i]);
    }
    if (ends) {
        vg_parts_args(p, p->any_param ? VG_STR("}") : VG_STR("{}"));
        vg_parts_finish(p);
    }
    /* What is neither is no part of the call. */
    vg_parts_drop(p, ends || at == s.n ? at : at + 1);
    return ends || at < s.n;
}
