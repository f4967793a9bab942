/* Values as text: str(), repr() as Python prints, JSON as Python's json.dumps, and HTML escapes.
 * Everything is appended to the output; what wants a string captures it there. A value nested as
 * deep as a template could build it is cut by VG_J_DEPTH, and shared parts, which could print
 * exponentially long, by the steps and the length of the output. */
#include <math.h>

#include "model/jinja_int.h"

vg_status vg_jout_check(vg_jinja *j)
{
    if (!j->out.failed) return VG_OK;
    if (j->out.failed == VG_E_NO_MEMORY) return VG_FAIL(j->err, VG_E_NO_MEMORY, "no memory");
    return VG_JFAIL(j, "the output is over its limit of %zu bytes", j->out.cap_bytes);
}

static vg_status put(vg_jinja *j, vg_str s)
{
    VG_TRY(vg_jcharge_bytes(j, s.n));
    vg_buf_str(&j->out, s);
    return vg_jout_check(j);
}

static vg_status put_text(vg_jinja *j, const char *s)
{
    return put(j, vg_str_from(s));
}

static vg_status put_float(vg_jinja *j, double f)
{
    char text[VG_DOUBLE_TEXT];
    return put(j, (vg_str){text, vg_double_put(f, text)});
}

static vg_status repr_str(vg_jinja *j, vg_str s)
{
    bool single = s.n && memchr(s.p, '\'', s.n), twin = s.n && memchr(s.p, '"', s.n);
    char quote = single && !twin ? '"' : '\'';
    VG_TRY(vg_jcharge_bytes(j, 4 * s.n));
    vg_buf_char(&j->out, quote);
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        size_t len = vg_utf8_next(s.p + i, s.n - i, &cp);
        if (cp == '\n') vg_buf_text(&j->out, "\\n");
        else if (cp == '\r') vg_buf_text(&j->out, "\\r");
        else if (cp == '\t') vg_buf_text(&j->out, "\\t");
        else if (cp == '\\' || cp == quote) vg_buf_fmt(&j->out, "\\%c", (char)cp);
        else if (cp < 0 || vg_jcp_printable(cp)) vg_buf_add(&j->out, s.p + i, len);
        else if (cp < 0x100) vg_buf_fmt(&j->out, "\\x%02x", (unsigned)cp);
        else if (cp < 0x10000) vg_buf_fmt(&j->out, "\\u%04x", (unsigned)cp);
        else vg_buf_fmt(&j->out, "\\U%08x", (unsigned)cp);
        i += len;
    }
    vg_buf_char(&j->out, quote);
    return vg_jout_check(j);
}

static vg_status repr_items(vg_jinja *j, const vg_jval *v)
{
    vg_jcursor c;
    vg_jval item;
    VG_TRY(vg_jcursor_open(j, v, &c));
    for (bool first = true;; first = false) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) return VG_OK;
        if (!first) VG_TRY(put_text(j, ", "));
        VG_TRY(vg_jval_repr(j, &item));
    }
}

static vg_status repr_dict(vg_jinja *j, const vg_jdict *d)
{
    VG_TRY(put_text(j, "{"));
    for (size_t i = 0; i < d->n; i++) {
        if (i) VG_TRY(put_text(j, ", "));
        VG_TRY(vg_jval_repr(j, &d->key[i]));
        VG_TRY(put_text(j, ": "));
        VG_TRY(vg_jval_repr(j, &d->val[i]));
    }
    return put_text(j, "}");
}

static vg_status repr_object(vg_jinja *j, const vg_jval *v)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_RANGE:
        vg_buf_fmt(&j->out, "range(%lld, %lld", (long long)v->range->start,
                   (long long)v->range->stop);
        if (v->range->step != 1) vg_buf_fmt(&j->out, ", %lld", (long long)v->range->step);
        return put_text(j, ")");
    case VG_J_VIEW:
        VG_TRY(put_text(j, vg_jval_type(v)));
        VG_TRY(put_text(j, "(["));
        VG_TRY(repr_items(j, v));
        return put_text(j, "])");
    case VG_J_NS:
        VG_TRY(put_text(j, "<Namespace "));
        VG_TRY(repr_dict(j, v->dict));
        return put_text(j, ">");
    case VG_J_MACRO:
        if (!v->macro->node->name.p) return put_text(j, "<Macro anonymous>");
        VG_TRY(put_text(j, "<Macro "));
        VG_TRY(repr_str(j, v->macro->node->name));
        return put_text(j, ">");
    case VG_J_FUNC:
        vg_buf_fmt(&j->out, "<built-in method %s>", v->func->fn->name);
        return vg_jout_check(j);
    default:
        vg_buf_fmt(&j->out, "<%s object>", vg_jval_type(v));
        return vg_jout_check(j);
    }
}

static vg_status repr_list(vg_jinja *j, const vg_jval *v)
{
    bool tuple = v->kind == VG_J_TUPLE;
    VG_TRY(put_text(j, tuple ? "(" : "["));
    VG_TRY(repr_items(j, v));
    return put_text(j, !tuple ? "]" : v->list->n == 1 ? ",)" : ")");
}

static vg_status repr_any(vg_jinja *j, const vg_jval *v)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_MISSING:
    case VG_J_UNDEF:
        return put_text(j, "Undefined");
    case VG_J_NONE:
        return put_text(j, "None");
    case VG_J_BOOL:
        return put_text(j, v->i ? "True" : "False");
    case VG_J_INT:
        vg_buf_fmt(&j->out, "%lld", (long long)v->i);
        return vg_jout_check(j);
    case VG_J_FLOAT:
        return put_float(j, v->f);
    case VG_J_STR:
        if (v->markup) VG_TRY(put_text(j, "Markup("));
        VG_TRY(repr_str(j, vg_jval_chars(v)));
        return v->markup ? put_text(j, ")") : VG_OK;
    case VG_J_LIST:
    case VG_J_TUPLE:
        return repr_list(j, v);
    case VG_J_DICT:
        return repr_dict(j, v->dict);
    default:
        return repr_object(j, v);
    }
}

vg_status vg_jval_repr(vg_jinja *j, const vg_jval *v)
{
    VG_TRY(vg_jenter(j));
    VG_TRY(vg_jcharge(j, 1));
    VG_TRY(repr_any(j, v));
    vg_jleave(j);
    return VG_OK;
}

vg_status vg_jval_print(vg_jinja *j, const vg_jval *v)
{
    if (v->kind == VG_J_STR) return put(j, vg_jval_chars(v));
    if (v->kind == VG_J_UNDEF) return VG_OK;
    return vg_jval_repr(j, v);
}

vg_status vg_jval_text(vg_jinja *j, const vg_jval *v, vg_jval *out)
{
    if (v->kind == VG_J_STR) {
        *out = *v;
        return VG_OK;
    }
    size_t from = j->out.n;
    VG_TRY(vg_jval_print(j, v));
    return vg_jstr_capture(j, from, out);
}

vg_status vg_jval_want_str(vg_jinja *j, const vg_jval *v, const char *what, vg_str *out)
{
    VG_TRY(vg_jval_defined(j, v));
    if (v->kind != VG_J_STR)
        return VG_JFAIL(j, "%s must be str, not %s", what, vg_jval_type(v));
    *out = vg_jval_chars(v);
    return VG_OK;
}

vg_status vg_jval_want_int(vg_jinja *j, const vg_jval *v, const char *what, int64_t *out)
{
    VG_TRY(vg_jval_defined(j, v));
    if (!vg_jval_is_int(v)) return VG_JFAIL(j, "%s must be int, not %s", what, vg_jval_type(v));
    *out = v->i;
    return VG_OK;
}

vg_status vg_jval_escape(vg_jinja *j, const vg_jval *v, vg_jval *out)
{
    static const char special[] = "&<>'\"";
    static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    vg_jval text;
    VG_TRY(vg_jval_text(j, v, &text));
    size_t from = j->out.n;
    if (!text.markup) {
        for (size_t i = 0; i < text.n; i++) {
            const char *c = text.s[i] ? strchr(special, text.s[i]) : NULL;
            if (c) vg_buf_text(&j->out, entity[c - special]);
            else vg_buf_char(&j->out, text.s[i]);
        }
        VG_TRY(vg_jstr_capture(j, from, &text));
    }
    *out = text;
    out->markup = true;
    return VG_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static vg_status dump_any(vg_jinja *j, const vg_jval *v, const vg_jdump *how, size_t level);

static void dump_str(vg_jinja *j, vg_str s, bool ascii)
{
    if (!ascii) {
        vg_json_put_str(&j->out, s);
        return;
    }
    size_t from = 0;
    vg_buf_char(&j->out, '"');
    for (size_t i = 0; i <= s.n;) {
        int32_t cp = 0;
        size_t len = i < s.n ? vg_utf8_next(s.p + i, s.n - i, &cp) : 1;
        bool plain = cp > 0x1f && cp < 0x80 && cp != '"' && cp != '\\' && i < s.n;
        if (!plain && from < i) vg_buf_add(&j->out, s.p + from, i - from);
        if (!plain) from = i + len;
        if (!plain && i < s.n) {
            static const char named[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\";
            const char *c = cp > 0 && cp < 0x80 ? strchr(named, cp) : NULL;
            if (c) vg_buf_fmt(&j->out, "\\%c", letter[c - named]);
            else if (cp < 0x10000) vg_buf_fmt(&j->out, "\\u%04x", cp < 0 ? 0xfffd : (unsigned)cp);
            else
                vg_buf_fmt(&j->out, "\\u%04x\\u%04x", 0xd800 + ((unsigned)(cp - 0x10000) >> 10),
                           0xdc00 + ((unsigned)cp & 0x3ff));
        }
        i += len;
    }
    vg_buf_char(&j->out, '"');
}

static void dump_float(vg_jinja *j, double f)
{
    char text[VG_DOUBLE_TEXT];
    size_t n = vg_double_put(f, text);
    if (isnan(f)) vg_buf_text(&j->out, "NaN");
    else if (isinf(f)) vg_buf_text(&j->out, f < 0 ? "-Infinity" : "Infinity");
    else vg_buf_add(&j->out, text, n);
}

static vg_status new_line(vg_jinja *j, const vg_jdump *how, size_t level)
{
    if (!how->lines) return VG_OK;
    vg_buf_char(&j->out, '\n');
    for (size_t i = 0; i < level; i++) VG_TRY(put(j, how->indent));
    return vg_jout_check(j);
}

static vg_status dump_key(vg_jinja *j, const vg_jval *key, const vg_jdump *how)
{
    bool quoted = key->kind == VG_J_NONE || vg_jval_is_number(key);
    if (key->kind != VG_J_STR && !quoted)
        return VG_JFAIL(j, "keys must be str, int, float, bool or None, not %s",
                        vg_jval_type(key));
    if (quoted) vg_buf_char(&j->out, '"');
    VG_TRY(dump_any(j, key, how, 0));
    if (quoted) vg_buf_char(&j->out, '"');
    return put(j, how->colon);
}

/* Which pair comes i-th when sorted: by insertion into a list of places. */
static vg_status sort_keys(vg_jinja *j, const vg_jdict *d, size_t *place)
{
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            int order = 0;
            VG_TRY(vg_jval_order(j, &d->key[i], &d->key[place[at - 1]], "<", &order));
            if (order >= 0) break;
            place[at] = place[at - 1];
        }
        place[at] = i;
    }
    return VG_OK;
}

static vg_status dump_dict(vg_jinja *j, const vg_jdict *d, const vg_jdump *how, size_t level)
{
    if (d->n == 0) return put_text(j, "{}");
    size_t *place = NULL;
    if (how->sorted) {
        place = VG_ARENA_ARRAY(j->arena, size_t, d->n);
        if (!place) return vg_jfail_memory(j);
        VG_TRY(sort_keys(j, d, place));
    }
    vg_buf_char(&j->out, '{');
    for (size_t k = 0; k < d->n; k++) {
        size_t i = place ? place[k] : k;
        if (k) VG_TRY(put(j, how->comma));
        VG_TRY(new_line(j, how, level + 1));
        VG_TRY(dump_key(j, &d->key[i], how));
        VG_TRY(dump_any(j, &d->val[i], how, level + 1));
    }
    VG_TRY(new_line(j, how, level));
    return put_text(j, "}");
}

static vg_status dump_list(vg_jinja *j, const vg_jlist *l, const vg_jdump *how, size_t level)
{
    if (l->n == 0) return put_text(j, "[]");
    vg_buf_char(&j->out, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i) VG_TRY(put(j, how->comma));
        VG_TRY(new_line(j, how, level + 1));
        VG_TRY(dump_any(j, &l->item[i], how, level + 1));
    }
    VG_TRY(new_line(j, how, level));
    return put_text(j, "]");
}

static vg_status dump_any(vg_jinja *j, const vg_jval *v, const vg_jdump *how, size_t level)
{
    VG_TRY(vg_jenter(j));
    VG_TRY(vg_jcharge(j, 1));
    switch ((vg_jkind)v->kind) {
    case VG_J_NONE:
        vg_buf_text(&j->out, "null");
        break;
    case VG_J_BOOL:
        vg_buf_text(&j->out, v->i ? "true" : "false");
        break;
    case VG_J_INT:
        vg_buf_fmt(&j->out, "%lld", (long long)v->i);
        break;
    case VG_J_FLOAT:
        dump_float(j, v->f);
        break;
    case VG_J_STR:
        VG_TRY(vg_jcharge_bytes(j, 4 * (size_t)v->n));
        dump_str(j, vg_jval_chars(v), how->ascii);
        break;
    case VG_J_LIST:
    case VG_J_TUPLE:
        VG_TRY(dump_list(j, v->list, how, level));
        break;
    case VG_J_DICT:
        VG_TRY(dump_dict(j, v->dict, how, level));
        break;
    default:
        return VG_JFAIL(j, "Object of type %s is not JSON serializable", vg_jval_type(v));
    }
    vg_jleave(j);
    return vg_jout_check(j);
}

vg_status vg_jval_dump(vg_jinja *j, const vg_jval *v, const vg_jdump *how)
{
    return dump_any(j, v, how, 0);
}
