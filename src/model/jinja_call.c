/* Calls: binding arguments to the parameters of a built-in function, as Python binds them, the
 * global functions, and the methods of lists, dicts, numbers, loops, cyclers and joiners. Nothing
 * here can change a list or a dict, or reach outside of the rendering but for the clock. */
#include <math.h>
#include <time.h>

#include "model/jinja_int.h"

/* ---- binding ------------------------------------------------------------------------------- */

const vg_jbuiltin *vg_jbuiltin_find(const vg_jbuiltin *table, vg_str name)
{
    for (; table->name; table++)
        if (vg_str_is(name, table->name)) return table;
    return NULL;
}

/* The next name of "a b c"; empty at the end. */
static vg_str next_param(const char **p)
{
    while (**p == ' ') ++*p;
    vg_str name = {*p, strcspn(*p, " ")};
    *p += name.n;
    return name;
}

static vg_status bind(vg_jinja *j, const vg_jbuiltin *fn, const vg_jargs *args, vg_jval *arg)
{
    const char *p = fn->params;
    size_t n = 0, used = 0;
    for (vg_str name = next_param(&p); name.n; name = next_param(&p), n++) {
        assert(n < VG_J_MAX_PARAMS);
        bool given = n < args->n_pos;
        if (given) arg[n] = args->pos[n];
        for (size_t k = 0; k < args->n_key; k++) {
            if (!vg_str_eq(args->key[k], name)) continue;
            if (given)
                return VG_JFAIL(j, "%s() got multiple values for argument '%.*s'", fn->name,
                                VG_STR_ARG(name));
            arg[n] = args->val[k];
            used++;
        }
        if (arg[n].kind == VG_J_MISSING && n < fn->n_min)
            return VG_JFAIL(j, "%s() is missing the argument '%.*s'", fn->name, VG_STR_ARG(name));
    }
    if (args->n_pos > n)
        return VG_JFAIL(j, "%s() takes at most %zu arguments (%zu given)", fn->name, n,
                        args->n_pos);
    if (used == args->n_key) return VG_OK;
    return VG_JFAIL(j, "%s() got an unexpected keyword argument", fn->name);
}

vg_status vg_jbuiltin_call(vg_jinja *j, const vg_jbuiltin *fn, const vg_jval *self,
                           const vg_jargs *args, vg_jval *out)
{
    vg_jval arg[VG_J_MAX_PARAMS] = {{0}}, result = {0};
    if (fn->call_any) {
        VG_TRY(fn->call_any(j, self, args, &result));
    } else {
        VG_TRY(bind(j, fn, args, arg));
        VG_TRY(fn->call(j, self, arg, &result));
    }
    *out = result;
    return VG_OK;
}

vg_status vg_jcall(vg_jinja *j, const vg_jval *callee, const vg_jargs *args, vg_jval *out)
{
    vg_jval self = *callee;
    VG_TRY(vg_jval_defined(j, callee));
    switch ((vg_jkind)callee->kind) {
    case VG_J_MACRO:
        return vg_jmacro_call(j, callee->macro, args, out);
    case VG_J_FUNC:
        return vg_jbuiltin_call(j, callee->func->fn, &callee->func->self, args, out);
    case VG_J_LOOP:
        if (args->n_pos != 1 || args->n_key) return VG_JFAIL(j, "loop() takes one argument");
        return vg_jloop_recurse(j, self.loop, &args->pos[0], out);
    case VG_J_JOINER:
        *out = self.cycler->used ? self.cycler->list.item[0] : vg_jval_str(VG_STR(""));
        self.cycler->used = true;
        return VG_OK;
    default:
        return VG_JFAIL(j, "'%s' object is not callable", vg_jval_type(callee));
    }
}

const vg_jbuiltin *vg_jmethod_find(const vg_jval *self, vg_str name)
{
    switch ((vg_jkind)self->kind) {
    case VG_J_STR:
        return vg_jbuiltin_find(vg_jstr_methods, name);
    case VG_J_DICT:
        return vg_jbuiltin_find(vg_jdict_methods, name);
    case VG_J_LIST:
    case VG_J_TUPLE:
    case VG_J_RANGE:
        return vg_jbuiltin_find(vg_jlist_methods, name);
    case VG_J_FLOAT:
    case VG_J_INT:
    case VG_J_BOOL:
        return vg_jbuiltin_find(vg_jnumber_methods, name);
    case VG_J_CYCLER:
        return vg_jbuiltin_find(vg_jcycler_methods, name);
    default:
        return NULL;
    }
}

vg_status vg_jcontext_get(vg_jinja *j, vg_str name, vg_jval *out)
{
    VG_TRY(vg_jcharge_bytes(j, 4 * j->context->n));
    const vg_jval *found = vg_jdict_find(j->context, name);
    *out = found ? *found : (vg_jval){0};
    const vg_jbuiltin *fn = found ? NULL : vg_jbuiltin_find(vg_jglobals, name);
    if (!fn) return VG_OK;
    vg_jfunc *func = VG_ARENA_NEW(j->arena, vg_jfunc);
    if (!func) return vg_jfail_memory(j);
    func->fn = fn;
    *out = (vg_jval){.kind = VG_J_FUNC, .func = func};
    return VG_OK;
}

/* ---- global functions ----------------------------------------------------------------------- */

static vg_status call_range(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(self);
    int64_t v[3] = {0, 0, 1};
    bool two = arg[1].kind != VG_J_MISSING;
    VG_TRY(vg_jval_want_int(j, &arg[0], "an argument of range()", &v[two ? 0 : 1]));
    if (two) VG_TRY(vg_jval_want_int(j, &arg[1], "an argument of range()", &v[1]));
    if (arg[2].kind != VG_J_MISSING)
        VG_TRY(vg_jval_want_int(j, &arg[2], "an argument of range()", &v[2]));
    if (v[2] == 0) return VG_JFAIL(j, "range() arg 3 must not be zero");
    bool up = v[2] > 0;
    uint64_t span = 0, step = up ? (uint64_t)v[2] : 0 - (uint64_t)v[2];
    if (up ? v[0] < v[1] : v[0] > v[1])
        span = up ? (uint64_t)v[1] - (uint64_t)v[0] : (uint64_t)v[0] - (uint64_t)v[1];
    uint64_t n = span ? (span - 1) / step + 1 : 0;
    if (n > VG_J_RANGE_ITEMS)
        return VG_JFAIL(j, "Range too big. The sandbox blocks ranges larger than %d items.",
                        VG_J_RANGE_ITEMS);
    vg_jrange *r = VG_ARENA_NEW(j->arena, vg_jrange);
    if (!r) return vg_jfail_memory(j);
    *r = (vg_jrange){v[0], v[1], v[2], (size_t)n};
    *out = (vg_jval){.kind = VG_J_RANGE, .range = r};
    return VG_OK;
}

/* Fills a dict from a mapping or from pairs. */
static vg_status dict_update(vg_jinja *j, vg_jdict *d, const vg_jval *from)
{
    vg_jcursor c;
    vg_jval pair, list;
    if (from->kind == VG_J_DICT) {
        for (size_t i = 0; i < from->dict->n; i++)
            VG_TRY(vg_jdict_set(j, d, &from->dict->key[i], &from->dict->val[i]));
        return VG_OK;
    }
    VG_TRY(vg_jcursor_open(j, from, &c));
    while (true) {
        VG_TRY(vg_jcursor_next(j, &c, &pair));
        if (pair.kind == VG_J_MISSING) return VG_OK;
        VG_TRY(vg_jval_list(j, &pair, VG_J_LIST, &list));
        if (list.list->n != 2)
            return VG_JFAIL(j, "a dict is made of pairs; here is an item of length %zu",
                            list.list->n);
        VG_TRY(vg_jdict_set(j, d, &list.list->item[0], &list.list->item[1]));
    }
}

static vg_status call_dict(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    VG_UNUSED(self);
    if (args->n_pos > 1)
        return VG_JFAIL(j, "dict expected at most 1 argument, got %zu", args->n_pos);
    VG_TRY(vg_jdict_make(j, 0, out));
    if (args->n_pos) VG_TRY(dict_update(j, out->dict, &args->pos[0]));
    for (size_t i = 0; i < args->n_key; i++) {
        vg_jval key = vg_jval_str(args->key[i]);
        VG_TRY(vg_jdict_set(j, out->dict, &key, &args->val[i]));
    }
    return VG_OK;
}

static vg_status call_namespace(vg_jinja *j, const vg_jval *self, const vg_jargs *args,
                                vg_jval *out)
{
    VG_TRY(call_dict(j, self, args, out));
    for (size_t i = 0; i < out->dict->n; i++) {
        const vg_jval *key = &out->dict->key[i];
        if (key->kind == VG_J_STR && key->n && key->s[0] == '_')
            return VG_JFAIL(j, "a namespace cannot store '%.*s', which begins with an underscore",
                            VG_STR_ARG(vg_jval_chars(key)));
    }
    out->kind = VG_J_NS;
    return VG_OK;
}

static vg_status call_cycler(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    VG_UNUSED(self);
    if (!args->n_pos || args->n_key) return VG_JFAIL(j, "at least one item has to be provided");
    vg_jcycler *c = VG_ARENA_NEW(j->arena, vg_jcycler);
    if (c) c->list = (vg_jlist){args->n_pos, VG_ARENA_ARRAY(j->arena, vg_jval, args->n_pos), false};
    if (!c || !c->list.item) return vg_jfail_memory(j);
    memcpy(c->list.item, args->pos, args->n_pos * sizeof(vg_jval));
    *out = (vg_jval){.kind = VG_J_CYCLER, .cycler = c};
    return VG_OK;
}

static vg_status call_joiner(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    vg_jval sep = arg[0].kind == VG_J_MISSING ? vg_jval_str(VG_STR(", ")) : arg[0];
    VG_TRY(call_cycler(j, self, &(vg_jargs){.pos = &sep, .n_pos = 1}, out));
    out->kind = VG_J_JOINER;
    return VG_OK;
}

static vg_status call_raise(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    vg_jval text;
    VG_UNUSED(self);
    VG_UNUSED(out);
    VG_TRY(vg_jval_text(j, &arg[0], &text));
    return VG_JFAIL(j, "%.*s", (int)VG_MIN(text.n, 400u), text.s);
}

static vg_status call_lipsum(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    VG_UNUSED(self);
    VG_UNUSED(args);
    VG_UNUSED(out);
    return VG_JFAIL(j, "lipsum() makes random text, which is not supported");
}

/* The clock shows local time, as Python's does; a time that the caller gave is taken as UTC, so
 * that the same call prints the same everywhere. */
static vg_status call_strftime(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(self);
    vg_str format;
    struct tm tm;
    char text[512];
    VG_TRY(vg_jval_want_str(j, &arg[0], "the format of strftime_now", &format));
    time_t now = j->now ? (time_t)j->now : time(NULL);
    if (!(j->now ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)))
        return VG_JFAIL(j, "strftime_now: the clock is out of range");
    const char *cstr = vg_arena_text(j->arena, format);
    if (!cstr) return vg_jfail_memory(j);
    size_t n = format.n ? strftime(text, sizeof text, cstr, &tm) : 0;
    return vg_jstr_copy(j, (vg_str){text, n}, out);
}

const vg_jbuiltin vg_jglobals[] = {{"range", "_ _ _", 1, call_range, NULL},
                                   {"dict", "*", 0, NULL, call_dict},
                                   {"namespace", "*", 0, NULL, call_namespace},
                                   {"cycler", "*", 0, NULL, call_cycler},
                                   {"joiner", "sep", 0, call_joiner, NULL},
                                   {"lipsum", "*", 0, NULL, call_lipsum},
                                   {"raise_exception", "message", 1, call_raise, NULL},
                                   {"strftime_now", "format", 1, call_strftime, NULL},
                                   {NULL, NULL, 0, NULL, NULL}};

/* ---- methods of dicts ----------------------------------------------------------------------- */

static vg_status dict_get(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_TRY(vg_jval_hashable(j, &arg[0]));
    VG_TRY(vg_jdict_get(j, self->dict, &arg[0], out));
    if (out->kind == VG_J_MISSING) *out = arg[1].kind == VG_J_MISSING ? vg_jval_none() : arg[1];
    return VG_OK;
}

static vg_status dict_view(const vg_jval *self, char view, vg_jval *out)
{
    *out = (vg_jval){.kind = VG_J_VIEW, .view = view, .dict = self->dict};
    return VG_OK;
}

static vg_status dict_keys(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return dict_view(self, 'k', out);
}

static vg_status dict_values(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return dict_view(self, 'v', out);
}

static vg_status dict_items(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return dict_view(self, 'i', out);
}

/* Nothing can change a list or a dict, so a copy is the same one. */
static vg_status copy(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    *out = *self;
    return VG_OK;
}

const vg_jbuiltin vg_jdict_methods[] = {{"get", "_ _", 1, dict_get, NULL},
                                        {"items", "", 0, dict_items, NULL},
                                        {"keys", "", 0, dict_keys, NULL},
                                        {"values", "", 0, dict_values, NULL},
                                        {"copy", "", 0, copy, NULL},
                                        {NULL, NULL, 0, NULL, NULL}};

/* ---- methods of lists, numbers, loops, cyclers ---------------------------------------------- */

static vg_status list_count(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    vg_jcursor c;
    vg_jval item;
    int64_t n = 0;
    VG_TRY(vg_jcursor_open(j, self, &c));
    while (true) {
        bool same;
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) break;
        VG_TRY(vg_jval_eq(j, &item, &arg[0], &same));
        n += same;
    }
    *out = vg_jval_int(n);
    return VG_OK;
}

static vg_status list_index(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    size_t n;
    int64_t bound[2] = {0, INT64_MAX};
    VG_TRY(vg_jval_len(j, self, &n));
    for (size_t i = 0; i < 2; i++) {
        if (arg[i + 1].kind == VG_J_MISSING) continue;
        VG_TRY(vg_jval_want_int(j, &arg[i + 1], "a bound of index()", &bound[i]));
        if (bound[i] < 0) bound[i] = VG_MAX(bound[i] + (int64_t)n, (int64_t)0);
    }
    vg_jcursor c;
    vg_jval item;
    VG_TRY(vg_jcursor_open(j, self, &c));
    for (int64_t i = 0; i < bound[1]; i++) {
        bool same = false;
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) break;
        if (i >= bound[0]) VG_TRY(vg_jval_eq(j, &item, &arg[0], &same));
        if (!same) continue;
        *out = vg_jval_int(i);
        return VG_OK;
    }
    return VG_JFAIL(j, "the value is not in the %s", vg_jval_type(self));
}

const vg_jbuiltin vg_jlist_methods[] = {{"count", "_", 1, list_count, NULL},
                                        {"index", "_ _ _", 1, list_index, NULL},
                                        {"copy", "", 0, copy, NULL},
                                        {NULL, NULL, 0, NULL, NULL}};

static vg_status is_integer(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    *out = vg_jval_bool(self->kind != VG_J_FLOAT || floor(self->f) == self->f);
    return VG_OK;
}

static vg_status bit_length(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(arg);
    if (self->kind == VG_J_FLOAT) return VG_JFAIL(j, "'float' object has no bit_length");
    int64_t n = 0;
    for (uint64_t u = self->i < 0 ? 0 - (uint64_t)self->i : (uint64_t)self->i; u; u >>= 1) n++;
    *out = vg_jval_int(n);
    return VG_OK;
}

const vg_jbuiltin vg_jnumber_methods[] = {{"is_integer", "", 0, is_integer, NULL},
                                          {"bit_length", "", 0, bit_length, NULL},
                                          {NULL, NULL, 0, NULL, NULL}};

static vg_status loop_cycle(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    if (!args->n_pos) return VG_JFAIL(j, "no items for cycling given");
    *out = args->pos[(size_t)self->loop->index0 % args->n_pos];
    return VG_OK;
}

static vg_status loop_changed(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    bool same = false;
    vg_jval now;
    VG_TRY(vg_jlist_make(j, VG_J_TUPLE, args->n_pos, &now));
    if (args->n_pos) memcpy(now.list->item, args->pos, args->n_pos * sizeof(vg_jval));
    if (self->loop->changed.kind != VG_J_MISSING)
        VG_TRY(vg_jval_eq(j, &self->loop->changed, &now, &same));
    if (!same) self->loop->changed = now;
    *out = vg_jval_bool(!same);
    return VG_OK;
}

const vg_jbuiltin vg_jloop_methods[] = {{"cycle", "*", 0, NULL, loop_cycle},
                                        {"changed", "*", 0, NULL, loop_changed},
                                        {NULL, NULL, 0, NULL, NULL}};

static vg_status cycler_next(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    vg_jcycler *c = self->cycler;
    *out = c->list.item[c->i];
    c->i = (c->i + 1) % c->list.n;
    return VG_OK;
}

static vg_status cycler_reset(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    self->cycler->i = 0;
    *out = vg_jval_none();
    return VG_OK;
}

const vg_jbuiltin vg_jcycler_methods[] = {{"next", "", 0, cycler_next, NULL},
                                          {"reset", "", 0, cycler_reset, NULL},
                                          {NULL, NULL, 0, NULL, NULL}};
