/* Values: making them, asking what they are, walking over them. Lists, tuples and strings never
 * change once made (the sandbox that templates run in forbids it), so values are copied freely and
 * share what they point to. */
#include "model/jinja_int.h"

vg_jval vg_jval_none(void)
{
    return (vg_jval){.kind = VG_J_NONE};
}

vg_jval vg_jval_bool(bool b)
{
    return (vg_jval){.kind = VG_J_BOOL, .i = b};
}

vg_jval vg_jval_int(int64_t i)
{
    return (vg_jval){.kind = VG_J_INT, .i = i};
}

vg_jval vg_jval_float(double f)
{
    return (vg_jval){.kind = VG_J_FLOAT, .f = f};
}

vg_jval vg_jval_str(vg_str s)
{
    assert(s.n <= UINT32_MAX);
    return (vg_jval){.kind = VG_J_STR, .n = (uint32_t)s.n, .s = s.p};
}

vg_jval vg_jval_undef(vg_str name)
{
    return (vg_jval){.kind = VG_J_UNDEF, .n = (uint32_t)name.n, .s = name.p};
}

vg_jval vg_jval_undef_in(const vg_jval *owner, vg_str name)
{
    vg_jval v = vg_jval_undef(name);
    v.owner = vg_jval_type(owner);
    return v;
}

vg_jval vg_jval_hint(const char *message)
{
    vg_jval v = vg_jval_undef(vg_str_from(message));
    v.view = 'h';
    return v;
}

vg_str vg_jval_chars(const vg_jval *v)
{
    assert(v->kind == VG_J_STR);
    return (vg_str){v->s, v->n};
}

bool vg_jval_is_int(const vg_jval *v)
{
    return v->kind == VG_J_INT || v->kind == VG_J_BOOL;
}

bool vg_jval_is_number(const vg_jval *v)
{
    return vg_jval_is_int(v) || v->kind == VG_J_FLOAT;
}

double vg_jval_double(const vg_jval *v)
{
    return v->kind == VG_J_FLOAT ? v->f : (double)v->i;
}

const char *vg_jval_type(const vg_jval *v)
{
    static const char *const name[] = {
        [VG_J_MISSING] = "missing", [VG_J_UNDEF] = "Undefined", [VG_J_NONE] = "NoneType",
        [VG_J_BOOL] = "bool",       [VG_J_INT] = "int",         [VG_J_FLOAT] = "float",
        [VG_J_STR] = "str",         [VG_J_LIST] = "list",       [VG_J_TUPLE] = "tuple",
        [VG_J_DICT] = "dict",       [VG_J_RANGE] = "range",     [VG_J_VIEW] = "dict_items",
        [VG_J_ITER] = "generator",  [VG_J_NS] = "Namespace",    [VG_J_MACRO] = "Macro",
        [VG_J_FUNC] = "builtin_function_or_method",             [VG_J_LOOP] = "LoopContext",
        [VG_J_CYCLER] = "Cycler",   [VG_J_JOINER] = "Joiner"};
    if (v->kind == VG_J_VIEW && v->view == 'k') return "dict_keys";
    if (v->kind == VG_J_VIEW && v->view == 'v') return "dict_values";
    return v->kind == VG_J_STR && v->markup ? "Markup" : name[v->kind];
}

bool vg_jval_truth(const vg_jval *v)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_MISSING:
    case VG_J_UNDEF:
    case VG_J_NONE:
        return false;
    case VG_J_BOOL:
    case VG_J_INT:
        return v->i != 0;
    case VG_J_FLOAT:
        return v->f != 0;
    case VG_J_STR:
        return v->n != 0;
    case VG_J_LIST:
    case VG_J_TUPLE:
        return v->list->n != 0;
    case VG_J_DICT:
    case VG_J_VIEW:
        return v->dict->n != 0;
    case VG_J_RANGE:
        return v->range->n != 0;
    default:
        return true;
    }
}

bool vg_jval_callable(const vg_jval *v)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_UNDEF: /* Undefined has a __call__, which fails */
    case VG_J_MACRO:
    case VG_J_FUNC:
    case VG_J_LOOP:
    case VG_J_JOINER:
        return true;
    default:
        return false;
    }
}

vg_status vg_jfail_undefined(vg_jinja *j, const vg_jval *v)
{
    vg_str name = {v->s, v->n};
    if (v->view == 'h') return VG_JFAIL(j, "%.*s", VG_STR_ARG(name));
    if (v->view == 'u')
        return VG_JFAIL(j, "access to attribute '%.*s' of '%s' object is unsafe.", VG_STR_ARG(name),
                        v->owner);
    if (!v->owner) return VG_JFAIL(j, "'%.*s' is undefined", VG_STR_ARG(name));
    if (strcmp(v->owner, "NoneType") == 0)
        return VG_JFAIL(j, "'None' has no attribute '%.*s'", VG_STR_ARG(name));
    return VG_JFAIL(j, "'%s object' has no attribute '%.*s'", v->owner, VG_STR_ARG(name));
}

vg_status vg_jval_defined(vg_jinja *j, const vg_jval *v)
{
    return v->kind == VG_J_UNDEF ? vg_jfail_undefined(j, v) : VG_OK;
}

vg_status vg_jval_hashable(vg_jinja *j, const vg_jval *v)
{
    if (v->kind == VG_J_LIST || v->kind == VG_J_DICT)
        return VG_JFAIL(j, "unhashable type: '%s'", vg_jval_type(v));
    return VG_OK;
}

/* ---- containers ---------------------------------------------------------------------------- */

vg_status vg_jlist_make(vg_jinja *j, vg_jkind kind, size_t n, vg_jval *out)
{
    if (n > VG_J_ARENA_BYTES / sizeof(vg_jval)) return vg_jfail_memory_for(j, SIZE_MAX);
    VG_TRY(vg_jcharge(j, n / 16));
    vg_jlist *list = VG_ARENA_NEW(j->arena, vg_jlist);
    if (list && n) list->item = VG_ARENA_ARRAY(j->arena, vg_jval, n);
    if (!list || (n && !list->item)) return vg_jfail_memory_for(j, n * sizeof(vg_jval));
    list->n = n;
    *out = (vg_jval){.kind = (uint8_t)kind, .list = list};
    return VG_OK;
}

vg_status vg_jiter_make(vg_jinja *j, const vg_jval *list, vg_jval *out)
{
    vg_jiter *it = VG_ARENA_NEW(j->arena, vg_jiter);
    if (!it) return vg_jfail_memory(j);
    it->list = *list->list;
    *out = (vg_jval){.kind = VG_J_ITER, .iter = it};
    return VG_OK;
}

vg_status vg_jdict_make(vg_jinja *j, size_t cap, vg_jval *out)
{
    vg_jdict *d = VG_ARENA_NEW(j->arena, vg_jdict);
    if (!d) return vg_jfail_memory(j);
    *out = (vg_jval){.kind = VG_J_DICT, .dict = d};
    d->cap = cap;
    if (!cap) return VG_OK;
    d->key = VG_ARENA_ARRAY(j->arena, vg_jval, cap);
    d->val = VG_ARENA_ARRAY(j->arena, vg_jval, cap);
    return d->key && d->val ? VG_OK : vg_jfail_memory(j);
}

/* The place of a key, d->n where it is not there. */
static vg_status dict_place(vg_jinja *j, const vg_jdict *d, const vg_jval *key, size_t *at)
{
    VG_TRY(vg_jcharge_bytes(j, 4 * d->n));
    for (*at = 0; *at < d->n; ++*at) {
        const vg_jval *k = &d->key[*at];
        bool same = false;
        if (k->kind == VG_J_STR && key->kind == VG_J_STR)
            same = vg_str_eq(vg_jval_chars(k), vg_jval_chars(key));
        else if (k->kind != VG_J_STR && key->kind != VG_J_STR)
            VG_TRY(vg_jval_eq(j, k, key, &same));
        if (same) break;
    }
    return VG_OK;
}

vg_status vg_jdict_get(vg_jinja *j, const vg_jdict *d, const vg_jval *key, vg_jval *out)
{
    size_t at;
    VG_TRY(dict_place(j, d, key, &at));
    *out = at < d->n ? d->val[at] : (vg_jval){0};
    return VG_OK;
}

const vg_jval *vg_jdict_find(const vg_jdict *d, vg_str key)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->key[i].kind == VG_J_STR && vg_str_eq(vg_jval_chars(&d->key[i]), key))
            return &d->val[i];
    return NULL;
}

vg_status vg_jdict_set(vg_jinja *j, vg_jdict *d, const vg_jval *key, const vg_jval *val)
{
    size_t at;
    VG_TRY(vg_jval_hashable(j, key));
    VG_TRY(dict_place(j, d, key, &at));
    if (at < d->n) {
        d->val[at] = *val;
        return VG_OK;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        vg_jval *k = VG_ARENA_ARRAY(j->arena, vg_jval, cap);
        vg_jval *v = VG_ARENA_ARRAY(j->arena, vg_jval, cap);
        if (!k || !v) return vg_jfail_memory(j);
        if (d->n) memcpy(k, d->key, d->n * sizeof *k);
        if (d->n) memcpy(v, d->val, d->n * sizeof *v);
        d->key = k;
        d->val = v;
        d->cap = cap;
    }
    d->key[d->n] = *key;
    d->val[d->n++] = *val;
    return VG_OK;
}

/* The JSON reader bounds the depth. Strings stay where they are. */
vg_status vg_jval_from_json(vg_jinja *j, const vg_json *json, vg_jval *out)
{
    switch (json->kind) {
    case VG_JSON_NULL:
        *out = vg_jval_none();
        return VG_OK;
    case VG_JSON_BOOL:
        *out = vg_jval_bool(json->boolean);
        return VG_OK;
    case VG_JSON_INT:
        *out = vg_jval_int(json->integer);
        return VG_OK;
    case VG_JSON_FLOAT:
        *out = vg_jval_float(json->number);
        return VG_OK;
    case VG_JSON_STRING:
        *out = vg_jval_str(json->str);
        return VG_OK;
    case VG_JSON_ARRAY:
        VG_TRY(vg_jlist_make(j, VG_J_LIST, json->n, out));
        for (size_t i = 0; i < json->n; i++)
            VG_TRY(vg_jval_from_json(j, json->item[i], &out->list->item[i]));
        return VG_OK;
    case VG_JSON_OBJECT: /* its keys are unique already */
        VG_TRY(vg_jdict_make(j, json->n, out));
        for (size_t i = 0; i < json->n; i++) {
            out->dict->key[i] = vg_jval_str(json->key[i]);
            VG_TRY(vg_jval_from_json(j, json->item[i], &out->dict->val[i]));
        }
        out->dict->n = json->n;
        return VG_OK;
    }
    return VG_JFAIL(j, "unknown kind of JSON value");
}

/* ---- strings ------------------------------------------------------------------------------- */

vg_status vg_jstr_room(vg_jinja *j, size_t n, char **room, vg_jval *out)
{
    *room = n <= UINT32_MAX ? vg_arena_alloc(j->arena, n ? n : 1, 1) : NULL;
    if (!*room) return vg_jfail_memory_for(j, n);
    VG_TRY(vg_jcharge_bytes(j, n));
    *out = vg_jval_str((vg_str){*room, n});
    return VG_OK;
}

vg_status vg_jstr_copy(vg_jinja *j, vg_str s, vg_jval *out)
{
    char *room;
    VG_TRY(vg_jstr_room(j, s.n, &room, out));
    if (s.n) memcpy(room, s.p, s.n);
    return VG_OK;
}

vg_status vg_jstr_capture(vg_jinja *j, size_t from, vg_jval *out)
{
    VG_TRY(vg_jout_check(j));
    vg_str text = {j->out.data ? j->out.data + from : "", j->out.n - from};
    VG_TRY(vg_jstr_copy(j, text, out));
    j->out.n = from;
    return VG_OK;
}

vg_status vg_jstr_concat(vg_jinja *j, const vg_jval *a, const vg_jval *b, vg_jval *out)
{
    vg_jtail *tail = a->tail;
    size_t n = (size_t)a->n + b->n;
    VG_TRY(vg_jcharge_bytes(j, b->n));
    bool at_end = tail && a->s + a->n == tail->data + tail->used;
    if (!at_end || tail->room - tail->used < b->n) {
        VG_TRY(vg_jcharge_bytes(j, a->n));
        size_t room = at_end ? 2 * n : n + 32;
        tail = VG_ARENA_NEW(j->arena, vg_jtail);
        if (tail) *tail = (vg_jtail){vg_arena_alloc(j->arena, room, 1), a->n, room};
        if (!tail || !tail->data || n > UINT32_MAX) return vg_jfail_memory_for(j, room);
        if (a->n) memcpy(tail->data, a->s, a->n);
    }
    if (b->n) memcpy(tail->data + tail->used, b->s, b->n);
    const char *start = tail->data + tail->used - a->n;
    tail->used += b->n;
    *out = vg_jval_str((vg_str){start, n});
    out->tail = tail;
    return VG_OK;
}

/* ---- walking ------------------------------------------------------------------------------- */

vg_status vg_jcursor_open(vg_jinja *j, const vg_jval *v, vg_jcursor *c)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_UNDEF:
    case VG_J_STR:
    case VG_J_LIST:
    case VG_J_TUPLE:
    case VG_J_DICT:
    case VG_J_RANGE:
    case VG_J_VIEW:
    case VG_J_ITER:
        *c = (vg_jcursor){.src = *v};
        return VG_OK;
    default:
        return VG_JFAIL(j, "'%s' object is not iterable", vg_jval_type(v));
    }
}

static vg_status view_next(vg_jinja *j, vg_jcursor *c, vg_jval *out)
{
    const vg_jdict *d = c->src.dict;
    if (c->i >= d->n) return VG_OK;
    size_t i = c->i++;
    if (c->src.kind == VG_J_DICT || c->src.view == 'k') {
        *out = d->key[i];
        return VG_OK;
    }
    *out = d->val[i];
    if (c->src.view == 'v') return VG_OK;
    VG_TRY(vg_jlist_make(j, VG_J_TUPLE, 2, out));
    out->list->item[0] = d->key[i];
    out->list->item[1] = d->val[i];
    return VG_OK;
}

vg_status vg_jcursor_next(vg_jinja *j, vg_jcursor *c, vg_jval *out)
{
    const vg_jval *src = &c->src;
    *out = (vg_jval){0};
    VG_TRY(vg_jcharge_bytes(j, 16));
    switch ((vg_jkind)src->kind) {
    case VG_J_LIST:
    case VG_J_TUPLE:
        if (c->i < src->list->n) *out = src->list->item[c->i++];
        return VG_OK;
    case VG_J_ITER:
        if (src->iter->i < src->iter->list.n) *out = src->iter->list.item[src->iter->i++];
        return VG_OK;
    case VG_J_RANGE:
        if (c->i < src->range->n)
            *out = vg_jval_int(src->range->start + (int64_t)c->i++ * src->range->step);
        return VG_OK;
    case VG_J_STR:
        if (c->i < src->n) {
            int32_t cp;
            size_t len = vg_utf8_next(src->s + c->i, src->n - c->i, &cp);
            *out = vg_jval_str((vg_str){src->s + c->i, len});
            c->i += len;
        }
        return VG_OK;
    case VG_J_DICT:
    case VG_J_VIEW:
        return view_next(j, c, out);
    default:
        return VG_OK; /* undefined: no items */
    }
}

bool vg_jval_has_len(const vg_jval *v)
{
    switch ((vg_jkind)v->kind) {
    case VG_J_UNDEF:
    case VG_J_STR:
    case VG_J_LIST:
    case VG_J_TUPLE:
    case VG_J_DICT:
    case VG_J_RANGE:
    case VG_J_VIEW:
        return true;
    default:
        return false;
    }
}

vg_status vg_jval_len(vg_jinja *j, const vg_jval *v, size_t *n)
{
    *n = 0;
    switch ((vg_jkind)v->kind) {
    case VG_J_UNDEF:
        return VG_OK;
    case VG_J_STR:
        VG_TRY(vg_jcharge_bytes(j, v->n));
        *n = vg_jtext_count(vg_jval_chars(v));
        return VG_OK;
    case VG_J_LIST:
    case VG_J_TUPLE:
        *n = v->list->n;
        return VG_OK;
    case VG_J_DICT:
    case VG_J_VIEW:
        *n = v->dict->n;
        return VG_OK;
    case VG_J_RANGE:
        *n = v->range->n;
        return VG_OK;
    default:
        return VG_JFAIL(j, "object of type '%s' has no len()", vg_jval_type(v));
    }
}

vg_status vg_jval_list(vg_jinja *j, const vg_jval *v, vg_jkind kind, vg_jval *out)
{
    vg_jcursor c;
    size_t n;
    VG_TRY(vg_jcursor_open(j, v, &c));
    if (v->kind == VG_J_ITER) n = v->iter->list.n - v->iter->i;
    else VG_TRY(vg_jval_len(j, v, &n));
    VG_TRY(vg_jlist_make(j, kind, n, out));
    for (size_t i = 0; i < n; i++) VG_TRY(vg_jcursor_next(j, &c, &out->list->item[i]));
    return VG_OK;
}
