/* Filters of sequences: sorting, grouping, selecting, mapping. What jinja2 makes a generator is
 * computed at once here and handed out as an iterator that can be read once, as a generator can.
 * Sorting is stable, also downwards, as Python's is. */
#include "model/jinja_int.h"

#define FILTER(name)                                                                               \
    static vg_status name(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)

static bool given(const vg_jval *v)
{
    return v->kind != VG_J_MISSING && v->kind != VG_J_NONE;
}

static bool flag(const vg_jval *v)
{
    return v->kind != VG_J_MISSING && vg_jval_truth(v);
}

/* ---- attributes: "name", "a.b.0", 1 --------------------------------------------------------- */

/* One part of a path; digits are an index. */
static vg_jval path_part(vg_str s)
{
    int64_t v = 0;
    bool digits = s.n > 0 && s.n < 10;
    for (size_t i = 0; i < s.n && digits; i++) {
        digits = s.p[i] >= '0' && s.p[i] <= '9';
        v = v * 10 + (s.p[i] - '0');
    }
    return digits ? vg_jval_int(v) : vg_jval_str(s);
}

static vg_status get_path(vg_jinja *j, const vg_jval *item, vg_str path, const vg_jval *other,
                          vg_jval *out)
{
    *out = *item;
    for (size_t i = 0; i <= path.n;) {
        const char *dot = path.n > i ? memchr(path.p + i, '.', path.n - i) : NULL;
        size_t n = dot ? (size_t)(dot - path.p) - i : path.n - i;
        vg_jval key = path_part((vg_str){path.p + i, n}), on = *out;
        VG_TRY(vg_jval_item(j, &on, &key, out));
        if (other && given(other) && out->kind == VG_J_UNDEF) *out = *other;
        i += n + 1;
    }
    return VG_OK;
}

/* The attribute of an item; the item itself where none is asked for. */
static vg_status get_attribute(vg_jinja *j, const vg_jval *item, const vg_jval *attribute,
                               const vg_jval *other, vg_jval *out)
{
    *out = *item;
    if (!given(attribute)) return VG_OK;
    if (attribute->kind == VG_J_STR)
        return get_path(j, item, vg_jval_chars(attribute), other, out);
    VG_TRY(vg_jval_item(j, item, attribute, out));
    if (other && given(other) && out->kind == VG_J_UNDEF) *out = *other;
    return VG_OK;
}

static vg_status fold_case(vg_jinja *j, bool case_sensitive, vg_jval *v)
{
    vg_jval text = *v;
    if (case_sensitive || v->kind != VG_J_STR) return VG_OK;
    return vg_jbuiltin_call(j, vg_jfilter_find(VG_STR("lower")), &text, &(vg_jargs){0}, v);
}

/* What items are sorted and compared by. `many`: a list of attributes, "a,b" giving two. Lists are
 * compared by their first unequal items, so that items without an order may be equal. */
static vg_status make_key(vg_jinja *j, const vg_jval *item, const vg_jval *attribute, bool many,
                          const vg_jval *other, bool case_sensitive, vg_jval *out)
{
    size_t n = 1, k = 0;
    vg_str path = attribute->kind == VG_J_STR ? vg_jval_chars(attribute) : (vg_str){0};
    for (size_t i = 0; many && i < path.n; i++) n += path.p[i] == ',';
    if (!many) {
        VG_TRY(get_attribute(j, item, attribute, other, out));
        return fold_case(j, case_sensitive, out);
    }
    VG_TRY(vg_jlist_make(j, VG_J_LIST, n, out));
    if (n == 1) {
        VG_TRY(get_attribute(j, item, attribute, NULL, &out->list->item[0]));
        return fold_case(j, case_sensitive, &out->list->item[0]);
    }
    for (size_t i = 0; k < n; k++) {
        size_t end = i;
        while (end < path.n && path.p[end] != ',') end++;
        VG_TRY(get_path(j, item, (vg_str){path.p + i, end - i}, NULL, &out->list->item[k]));
        VG_TRY(fold_case(j, case_sensitive, &out->list->item[k]));
        i = end + 1;
    }
    return VG_OK;
}

/* ---- sorting ------------------------------------------------------------------------------- */

typedef struct sortable {
    vg_jval key, item;
} sortable;

/* Stable, also downwards, as Python's sorted() is. */
static vg_status merge_sort(vg_jinja *j, sortable *s, sortable *spare, size_t n, bool down)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * run) {
            size_t mid = VG_MIN(lo + run, n), hi = VG_MIN(lo + 2 * run, n), a = lo, b = mid;
            for (size_t k = lo; k < hi; k++) {
                bool left = a < mid;
                int order = 0;
                if (left && b < hi) {
                    VG_TRY(vg_jval_order(j, &s[b].key, &s[a].key, "<", &order));
                    left = down ? order <= 0 || order == 2 : order >= 0;
                }
                spare[k] = left ? s[a++] : s[b++];
            }
        }
        memcpy(s, spare, n * sizeof *s);
        VG_TRY(vg_jcharge(j, n / 4));
    }
    return VG_OK;
}

typedef struct sort_rule {
    const vg_jval *attribute, *other;
    bool many, case_sensitive, down;
} sort_rule;

static vg_status sorted(vg_jinja *j, const vg_jval *self, const sort_rule *r, sortable **out,
                        size_t *n)
{
    vg_jval list;
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    *n = list.list->n;
    *out = VG_ARENA_ARRAY(j->arena, sortable, 2 * *n + 1);
    if (!*out) return vg_jfail_memory(j);
    for (size_t i = 0; i < *n; i++) {
        (*out)[i].item = list.list->item[i];
        VG_TRY(make_key(j, &list.list->item[i], r->attribute, r->many, r->other, r->case_sensitive,
                        &(*out)[i].key));
    }
    return merge_sort(j, *out, *out + *n, *n, r->down);
}

static vg_status take_items(vg_jinja *j, const sortable *s, size_t n, vg_jval *out)
{
    VG_TRY(vg_jlist_make(j, VG_J_LIST, n, out));
    for (size_t i = 0; i < n; i++) out->list->item[i] = s[i].item;
    return VG_OK;
}

FILTER(f_sort)
{
    sortable *s;
    size_t n;
    sort_rule r = {&arg[2], NULL, true, flag(&arg[1]), flag(&arg[0])};
    VG_TRY(sorted(j, self, &r, &s, &n));
    return take_items(j, s, n, out);
}

FILTER(f_dictsort)
{
    sortable *s;
    size_t n;
    vg_str by = VG_STR("key");
    VG_TRY(vg_jval_defined(j, self));
    if (self->kind != VG_J_DICT)
        return VG_JFAIL(j, "'%s' object has no attribute 'items'", vg_jval_type(self));
    if (given(&arg[1])) VG_TRY(vg_jval_want_str(j, &arg[1], "by", &by));
    if (!vg_str_is(by, "key") && !vg_str_is(by, "value"))
        return VG_JFAIL(j, "You can only sort by either \"key\" or \"value\"");
    vg_jval pairs = *self, index = vg_jval_int(vg_str_is(by, "value"));
    pairs.kind = VG_J_VIEW;
    pairs.view = 'i';
    sort_rule r = {&index, NULL, false, flag(&arg[0]), flag(&arg[2])};
    VG_TRY(sorted(j, &pairs, &r, &s, &n));
    return take_items(j, s, n, out);
}

FILTER(f_groupby)
{
    sortable *s;
    size_t n, groups = 0;
    bool same = false;
    sort_rule r = {&arg[0], &arg[1], false, flag(&arg[2]), false};
    VG_TRY(sorted(j, self, &r, &s, &n));
    VG_TRY(vg_jlist_make(j, VG_J_LIST, n, out));
    for (size_t i = 0, from = 0; i < n; i++) {
        if (i + 1 < n) VG_TRY(vg_jval_eq(j, &s[i].key, &s[i + 1].key, &same));
        if (i + 1 < n && same) continue;
        vg_jval *group = &out->list->item[groups++];
        VG_TRY(vg_jlist_make(j, VG_J_TUPLE, 2, group));
        group->list->group = true;
        VG_TRY(get_attribute(j, &s[from].item, &arg[0], &arg[1], &group->list->item[0]));
        VG_TRY(take_items(j, s + from, i + 1 - from, &group->list->item[1]));
        from = i + 1;
    }
    out->list->n = groups;
    return VG_OK;
}

static vg_status extreme(vg_jinja *j, const vg_jval *self, const vg_jval *arg, bool max,
                         vg_jval *out)
{
    vg_jcursor c;
    vg_jval item, key, best = {0};
    VG_TRY(vg_jcursor_open(j, self, &c));
    *out = vg_jval_hint("No aggregated item, sequence was empty.");
    while (true) {
        int order = 1;
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) return VG_OK;
        VG_TRY(make_key(j, &item, &arg[1], false, NULL, flag(&arg[0]), &key));
        if (best.kind != VG_J_MISSING) {
            VG_TRY(max ? vg_jval_order(j, &key, &best, ">", &order)
                       : vg_jval_order(j, &best, &key, "<", &order));
            if (!max) order = order == 2 ? 0 : order;
        }
        if (best.kind != VG_J_MISSING && !(order > 0 && order != 2)) continue;
        best = key;
        *out = item;
    }
}

FILTER(f_min)
{
    return extreme(j, self, arg, false, out);
}

FILTER(f_max)
{
    return extreme(j, self, arg, true, out);
}

/* ---- picking ------------------------------------------------------------------------------- */

FILTER(f_first)
{
    vg_jcursor c;
    VG_UNUSED(arg);
    VG_TRY(vg_jcursor_open(j, self, &c));
    VG_TRY(vg_jcursor_next(j, &c, out));
    if (out->kind == VG_J_MISSING) *out = vg_jval_hint("No first item, sequence was empty.");
    return VG_OK;
}

/* reversed() wants a length and []; a dict and its views have an order to go back along. */
static bool reversible(const vg_jval *v)
{
    return v->kind == VG_J_STR || v->kind == VG_J_LIST || v->kind == VG_J_TUPLE ||
           v->kind == VG_J_RANGE || v->kind == VG_J_DICT || v->kind == VG_J_VIEW;
}

FILTER(f_last)
{
    vg_jval list;
    VG_UNUSED(arg);
    if (!reversible(self) && self->kind != VG_J_UNDEF)
        return VG_JFAIL(j, "'%s' object is not reversible", vg_jval_type(self));
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    if (list.list->n) *out = list.list->item[list.list->n - 1];
    else *out = vg_jval_hint("No last item, sequence was empty.");
    return VG_OK;
}

FILTER(f_reverse)
{
    vg_jval list;
    VG_UNUSED(arg);
    if (self->kind == VG_J_STR) {
        vg_jval bound[3] = {vg_jval_none(), vg_jval_none(), vg_jval_int(-1)};
        return vg_jval_slice(j, self, bound, out);
    }
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    vg_jval *item = list.list->item;
    for (size_t i = 0, n = list.list->n; i < n / 2; i++) {
        vg_jval swap = item[i];
        item[i] = item[n - 1 - i];
        item[n - 1 - i] = swap;
    }
    if (reversible(self) || self->kind == VG_J_UNDEF) return vg_jiter_make(j, &list, out);
    *out = list;
    return VG_OK;
}

FILTER(f_length)
{
    size_t n;
    VG_UNUSED(arg);
    VG_TRY(vg_jval_len(j, self, &n));
    *out = vg_jval_int((int64_t)n);
    return VG_OK;
}

FILTER(f_list)
{
    VG_UNUSED(arg);
    return vg_jval_list(j, self, VG_J_LIST, out);
}

FILTER(f_items)
{
    vg_jval list, view = *self;
    VG_UNUSED(arg);
    if (self->kind != VG_J_DICT && self->kind != VG_J_UNDEF)
        return VG_JFAIL(j, "Can only get item pairs from a mapping.");
    if (self->kind == VG_J_DICT) {
        view.kind = VG_J_VIEW;
        view.view = 'i';
    }
    VG_TRY(vg_jval_list(j, &view, VG_J_LIST, &list));
    return vg_jiter_make(j, &list, out);
}

FILTER(f_attr)
{
    vg_str name;
    VG_TRY(vg_jval_want_str(j, &arg[0], "the name of an attribute", &name));
    if (self->kind == VG_J_DICT && !vg_jmethod_find(self, name)) {
        *out = vg_jval_undef_in(self, name);
        return VG_OK;
    }
    return vg_jval_attr(j, self, name, out);
}

FILTER(f_unique)
{
    vg_jval list, keys, all;
    size_t n = 0;
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &all));
    VG_TRY(vg_jlist_make(j, VG_J_LIST, all.list->n, &list));
    VG_TRY(vg_jdict_make(j, 0, &keys));
    for (size_t i = 0; i < all.list->n; i++) {
        vg_jval key;
        size_t before = keys.dict->n;
        VG_TRY(make_key(j, &all.list->item[i], &arg[1], false, NULL, flag(&arg[0]), &key));
        VG_TRY(vg_jdict_set(j, keys.dict, &key, &key));
        if (keys.dict->n > before) list.list->item[n++] = all.list->item[i];
    }
    list.list->n = n;
    return vg_jiter_make(j, &list, out);
}

/* ---- mapping and selecting ------------------------------------------------------------------ */

/* Calls a filter or test by the name in args->pos[from] with the arguments after it. */
static vg_status call_named(vg_jinja *j, bool filter, const vg_jval *item, const vg_jargs *args,
                            size_t from, vg_jval *out)
{
    vg_str name;
    VG_TRY(vg_jval_want_str(j, &args->pos[from], filter ? "a filter's name" : "a test's name",
                            &name));
    const vg_jbuiltin *fn = filter ? vg_jfilter_find(name) : vg_jtest_find(name);
    if (!fn)
        return VG_JFAIL(j, "No %s named '%.*s'.", filter ? "filter" : "test", VG_STR_ARG(name));
    vg_jargs rest = *args;
    rest.pos += from + 1;
    rest.n_pos -= from + 1;
    VG_TRY(vg_jcharge(j, 1));
    VG_TRY(vg_jenter(j)); /* map('map', 'map', ...) goes on by its arguments */
    VG_TRY(vg_jbuiltin_call(j, fn, item, &rest, out));
    vg_jleave(j);
    return VG_OK;
}

static vg_status map_attribute(vg_jinja *j, const vg_jargs *args, vg_jval *list)
{
    vg_jval attribute = {0}, other = {0};
    for (size_t i = 0; i < args->n_key; i++) {
        if (vg_str_is(args->key[i], "attribute")) attribute = args->val[i];
        else if (vg_str_is(args->key[i], "default")) other = args->val[i];
        else return VG_JFAIL(j, "Unexpected keyword argument '%.*s'", VG_STR_ARG(args->key[i]));
    }
    if (attribute.kind == VG_J_MISSING) return VG_JFAIL(j, "map requires a filter argument");
    for (size_t i = 0; i < list->list->n; i++) {
        vg_jval item = list->list->item[i];
        VG_TRY(get_attribute(j, &item, &attribute, &other, &list->list->item[i]));
    }
    return VG_OK;
}

static vg_status f_map(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    vg_jval list;
    if (!vg_jval_truth(self)) VG_TRY(vg_jlist_make(j, VG_J_LIST, 0, &list));
    else VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    if (!args->n_pos && list.list->n) VG_TRY(map_attribute(j, args, &list));
    for (size_t i = 0; args->n_pos && i < list.list->n; i++) {
        vg_jval item = list.list->item[i];
        VG_TRY(call_named(j, true, &item, args, 0, &list.list->item[i]));
    }
    return vg_jiter_make(j, &list, out);
}

static vg_status choose(vg_jinja *j, const vg_jval *self, const vg_jargs *args, bool by_attribute,
                        bool want, vg_jval *out)
{
    vg_jval list;
    size_t n = 0, off = by_attribute;
    if (!vg_jval_truth(self)) VG_TRY(vg_jlist_make(j, VG_J_LIST, 0, &list));
    else VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    if (list.list->n && args->n_pos < off)
        return VG_JFAIL(j, "Missing parameter for attribute name");
    for (size_t i = 0; i < list.list->n; i++) {
        vg_jval item = list.list->item[i], value = item, yes;
        if (by_attribute) VG_TRY(get_attribute(j, &item, &args->pos[0], NULL, &value));
        yes = value;
        if (args->n_pos > off) VG_TRY(call_named(j, false, &value, args, off, &yes));
        if (vg_jval_truth(&yes) == want) list.list->item[n++] = item;
    }
    list.list->n = n;
    return vg_jiter_make(j, &list, out);
}

static vg_status f_select(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    return choose(j, self, args, false, true, out);
}

static vg_status f_reject(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    return choose(j, self, args, false, false, out);
}

static vg_status f_selectattr(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    return choose(j, self, args, true, true, out);
}

static vg_status f_rejectattr(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    return choose(j, self, args, true, false, out);
}

/* ---- joining and cutting -------------------------------------------------------------------- */

FILTER(f_join)
{
    vg_jcursor c;
    vg_jval item, value, sep = vg_jval_str(VG_STR("")), all = sep;
    if (arg[0].kind != VG_J_MISSING) VG_TRY(vg_jval_text(j, &arg[0], &sep));
    VG_TRY(vg_jcursor_open(j, self, &c));
    for (bool first = true;; first = false) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) break;
        VG_TRY(get_attribute(j, &item, &arg[1], NULL, &value));
        VG_TRY(vg_jval_text(j, &value, &value));
        if (!first) VG_TRY(vg_jstr_concat(j, &all, &sep, &all));
        VG_TRY(vg_jstr_concat(j, &all, &value, &all));
    }
    *out = all;
    return VG_OK;
}

FILTER(f_sum)
{
    vg_jcursor c;
    vg_jval item, value, all = arg[1].kind == VG_J_MISSING ? vg_jval_int(0) : arg[1];
    if (all.kind == VG_J_STR)
        return VG_JFAIL(j, "sum() can't sum strings [use ''.join(seq) instead]");
    VG_TRY(vg_jcursor_open(j, self, &c));
    while (true) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) break;
        VG_TRY(get_attribute(j, &item, &arg[0], NULL, &value));
        VG_TRY(vg_jval_binary(j, VG_JOP_ADD, &all, &value, &all));
    }
    *out = all;
    return VG_OK;
}

static vg_status cut_into(vg_jinja *j, const vg_jval *list, size_t from, size_t n, size_t fill,
                          const vg_jval *with, vg_jval *out)
{
    VG_TRY(vg_jlist_make(j, VG_J_LIST, n + fill, out));
    for (size_t i = 0; i < n + fill; i++)
        out->list->item[i] = i < n ? list->list->item[from + i] : *with;
    return VG_OK;
}

FILTER(f_batch)
{
    int64_t size;
    vg_jval list, rows;
    VG_TRY(vg_jval_want_int(j, &arg[0], "the size of a batch", &size));
    if (size < 1) return VG_JFAIL(j, "the size of a batch must be at least 1");
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    size_t n = list.list->n, per = (size_t)size, count = n ? (n - 1) / per + 1 : 0;
    VG_TRY(vg_jlist_make(j, VG_J_LIST, count, &rows));
    for (size_t i = 0; i < count; i++) {
        size_t here = VG_MIN(per, n - i * per), fill = given(&arg[1]) ? per - here : 0;
        VG_TRY(cut_into(j, &list, i * per, here, fill, &arg[1], &rows.list->item[i]));
    }
    return vg_jiter_make(j, &rows, out);
}

FILTER(f_slice)
{
    int64_t slices;
    vg_jval list, rows;
    VG_TRY(vg_jval_want_int(j, &arg[0], "the number of slices", &slices));
    if (slices < 1) return VG_JFAIL(j, "the number of slices must be at least 1");
    VG_TRY(vg_jval_list(j, self, VG_J_LIST, &list));
    size_t n = list.list->n, count = (size_t)slices, each = n / count, extra = n % count, from = 0;
    VG_TRY(vg_jlist_make(j, VG_J_LIST, count, &rows));
    for (size_t i = 0; i < count; i++) {
        size_t here = each + (i < extra), fill = given(&arg[1]) && i >= extra;
        VG_TRY(cut_into(j, &list, from, here, fill, &arg[1], &rows.list->item[i]));
        from += here;
    }
    return vg_jiter_make(j, &rows, out);
}

const vg_jbuiltin vg_jfilters_seq[] = {
    {"attr", "name", 1, f_attr, NULL},
    {"batch", "linecount fill_with", 1, f_batch, NULL},
    {"count", "", 0, f_length, NULL},
    {"dictsort", "case_sensitive by reverse", 0, f_dictsort, NULL},
    {"first", "", 0, f_first, NULL},
    {"groupby", "attribute default case_sensitive", 1, f_groupby, NULL},
    {"items", "", 0, f_items, NULL},
    {"join", "d attribute", 0, f_join, NULL},
    {"last", "", 0, f_last, NULL},
    {"length", "", 0, f_length, NULL},
    {"list", "", 0, f_list, NULL},
    {"map", "*", 0, NULL, f_map},
    {"max", "case_sensitive attribute", 0, f_max, NULL},
    {"min", "case_sensitive attribute", 0, f_min, NULL},
    {"reject", "*", 0, NULL, f_reject},
    {"rejectattr", "*", 0, NULL, f_rejectattr},
    {"reverse", "", 0, f_reverse, NULL},
    {"select", "*", 0, NULL, f_select},
    {"selectattr", "*", 0, NULL, f_selectattr},
    {"slice", "slices fill_with", 1, f_slice, NULL},
    {"sort", "reverse case_sensitive attribute", 0, f_sort, NULL},
    {"sum", "attribute start", 0, f_sum, NULL},
    {"unique", "case_sensitive attribute", 0, f_unique, NULL},
    {NULL, NULL, 0, NULL, NULL}};

const vg_jbuiltin *vg_jfilter_find(vg_str name)
{
    const vg_jbuiltin *fn = vg_jbuiltin_find(vg_jfilters_text, name);
    return fn ? fn : vg_jbuiltin_find(vg_jfilters_seq, name);
}
