/* Expressions: the tree to values. The recursion follows the tree and is bounded by VG_J_DEPTH,
 * the work by the steps: one for every node. A call evaluates what is called, then its arguments
 * from left to right, as Python does. */
#include "model/jinja_int.h"

static vg_status eval_items(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    size_t count = 0;
    for (const vg_jnode *item = n->list; item; item = item->next) count++;
    VG_TRY(vg_jlist_make(j, n->type == VG_JN_LIST ? VG_J_LIST : VG_J_TUPLE, count, out));
    vg_jval *to = out->list->item;
    for (const vg_jnode *item = n->list; item; item = item->next)
        VG_TRY(vg_jeval(j, item, f, to++));
    return VG_OK;
}

static vg_status eval_dict(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval key, val, dict;
    VG_TRY(vg_jdict_make(j, 0, &dict));
    for (const vg_jnode *pair = n->list; pair; pair = pair->next) {
        VG_TRY(vg_jeval(j, pair->a, f, &key));
        VG_TRY(vg_jeval(j, pair->b, f, &val));
        VG_TRY(vg_jdict_set(j, dict.dict, &key, &val));
    }
    *out = dict;
    return VG_OK;
}

static vg_status eval_name(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    VG_UNUSED(j);
    *out = *vg_jframe_slot(f, n->hops, n->slot);
    if (out->kind == VG_J_MISSING) *out = vg_jval_undef(n->name);
    return VG_OK;
}

static vg_status eval_cond(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval test;
    VG_TRY(vg_jeval(j, n->a, f, &test));
    if (vg_jval_truth(&test)) return vg_jeval(j, n->b, f, out);
    if (n->c) return vg_jeval(j, n->c, f, out);
    *out = vg_jval_hint("the inline if-expression evaluated to false and no else section was "
                        "defined.");
    return VG_OK;
}

static vg_status eval_logic(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    VG_TRY(vg_jeval(j, n->a, f, out));
    return vg_jval_truth(out) == (n->type == VG_JN_OR) ? VG_OK : vg_jeval(j, n->b, f, out);
}

/* a < b < c is a < b and b < c. */
static vg_status eval_compare(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval left, right;
    bool yes = true;
    VG_TRY(vg_jeval(j, n->a, f, &left));
    for (const vg_jnode *o = n->list; o && yes; o = o->next) {
        VG_TRY(vg_jeval(j, o->a, f, &right));
        VG_TRY(vg_jval_compare(j, (vg_jop)o->op, &left, &right, &yes));
        left = right;
    }
    *out = vg_jval_bool(yes);
    return VG_OK;
}

static vg_status eval_binary(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval a, b;
    VG_TRY(vg_jeval(j, n->a, f, &a));
    VG_TRY(vg_jeval(j, n->b, f, &b));
    return vg_jval_binary(j, (vg_jop)n->op, &a, &b, out);
}

static vg_status eval_concat(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    size_t from = j->out.n;
    vg_jval v;
    for (const vg_jnode *item = n->list; item; item = item->next) {
        /* A part may be a macro, which writes to the output as well, and takes it away again. */
        VG_TRY(vg_jeval(j, item, f, &v));
        VG_TRY(vg_jval_print(j, &v));
    }
    return vg_jstr_capture(j, from, out);
}

static vg_status eval_subscript(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval on, key, bound[3] = {vg_jval_none(), vg_jval_none(), vg_jval_none()};
    VG_TRY(vg_jeval(j, n->a, f, &on));
    if (n->b->type != VG_JN_SLICE) {
        VG_TRY(vg_jeval(j, n->b, f, &key));
        return vg_jval_item(j, &on, &key, out);
    }
    if (n->b->a) VG_TRY(vg_jeval(j, n->b->a, f, &bound[0]));
    if (n->b->b) VG_TRY(vg_jeval(j, n->b->b, f, &bound[1]));
    if (n->b->c) VG_TRY(vg_jeval(j, n->b->c, f, &bound[2]));
    return vg_jval_slice(j, &on, bound, out);
}

/* ---- calls --------------------------------------------------------------------------------- */

typedef struct arg_space { /* grows in the arena: most calls have few arguments */
    vg_jval *pos, *val;
    vg_str *key;
    size_t n_pos, n_key;
} arg_space;

static vg_status add_positional(vg_jinja *j, arg_space *s, const vg_jval *v)
{
    if (s->n_pos == VG_J_MAX_ARGS) return VG_JFAIL(j, "more than %d arguments", VG_J_MAX_ARGS);
    s->pos[s->n_pos++] = *v;
    return VG_OK;
}

static vg_status add_named(vg_jinja *j, arg_space *s, vg_str key, const vg_jval *v)
{
    if (s->n_key == VG_J_MAX_ARGS) return VG_JFAIL(j, "more than %d arguments", VG_J_MAX_ARGS);
    for (size_t i = 0; i < s->n_key; i++)
        if (vg_str_eq(s->key[i], key))
            return VG_JFAIL(j, "keyword argument repeated: %.*s", VG_STR_ARG(key));
    s->key[s->n_key] = key;
    s->val[s->n_key++] = *v;
    return VG_OK;
}

static vg_status spread(vg_jinja *j, arg_space *s, const vg_jval *v)
{
    vg_jcursor c;
    vg_jval item;
    VG_TRY(vg_jcursor_open(j, v, &c));
    while (true) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) return VG_OK;
        VG_TRY(add_positional(j, s, &item));
    }
}

static vg_status spread_named(vg_jinja *j, arg_space *s, const vg_jval *v)
{
    if (v->kind != VG_J_DICT)
        return VG_JFAIL(j, "argument after ** must be a mapping, not %s", vg_jval_type(v));
    for (size_t i = 0; i < v->dict->n; i++) {
        vg_str key;
        VG_TRY(vg_jval_want_str(j, &v->dict->key[i], "a keyword", &key));
        VG_TRY(add_named(j, s, key, &v->dict->val[i]));
    }
    return VG_OK;
}

static vg_status eval_args(vg_jinja *j, const vg_jnode *list, vg_jframe *f, const vg_jval *caller,
                           vg_jargs *out)
{
    arg_space s = {0};
    size_t n = caller != NULL, many = 0;
    for (const vg_jnode *a = list; a; a = a->next) {
        n++;
        many += a->type == VG_JN_STAR || a->type == VG_JN_STARSTAR;
    }
    *out = (vg_jargs){0};
    if (!n) return VG_OK;
    if (many || n > VG_J_MAX_ARGS) n = VG_J_MAX_ARGS;
    s.pos = VG_ARENA_ARRAY(j->arena, vg_jval, n);
    s.val = VG_ARENA_ARRAY(j->arena, vg_jval, n);
    s.key = VG_ARENA_ARRAY(j->arena, vg_str, n);
    if (!s.pos || !s.val || !s.key) return vg_jfail_memory(j);
    for (const vg_jnode *a = list; a; a = a->next) {
        vg_jval v;
        VG_TRY(vg_jeval(j, a->a, f, &v));
        if (a->type == VG_JN_ARG) VG_TRY(add_positional(j, &s, &v));
        else if (a->type == VG_JN_KEYWORD) VG_TRY(add_named(j, &s, a->name, &v));
        else if (a->type == VG_JN_STAR) VG_TRY(spread(j, &s, &v));
        else VG_TRY(spread_named(j, &s, &v));
    }
    if (caller) VG_TRY(add_named(j, &s, VG_STR("caller"), caller));
    *out = (vg_jargs){s.pos, s.n_pos, s.key, s.val, s.n_key};
    return VG_OK;
}

/* x.name(...) where name is a method of x's type needs no bound method in between. */
static vg_status eval_method(vg_jinja *j, const vg_jnode *n, vg_jframe *f, const vg_jval *caller,
                             vg_jval *out)
{
    vg_jval self, callee;
    vg_jargs args;
    VG_TRY(vg_jeval(j, n->a->a, f, &self));
    bool plain = self.kind == VG_J_STR || self.kind == VG_J_DICT;
    const vg_jbuiltin *fn = plain ? vg_jmethod_find(&self, n->a->name) : NULL;
    if (!fn) VG_TRY(vg_jval_attr(j, &self, n->a->name, &callee));
    VG_TRY(eval_args(j, n->list, f, caller, &args));
    j->line = n->line;
    return fn ? vg_jbuiltin_call(j, fn, &self, &args, out) : vg_jcall(j, &callee, &args, out);
}

vg_status vg_jeval_call(vg_jinja *j, const vg_jnode *n, vg_jframe *f, const vg_jval *caller,
                        vg_jval *out)
{
    uint32_t line = j->line;
    j->line = n->line;
    if (n->a->type == VG_JN_ATTR) {
        VG_TRY(eval_method(j, n, f, caller, out));
    } else {
        vg_jval callee;
        vg_jargs args;
        VG_TRY(vg_jeval(j, n->a, f, &callee));
        VG_TRY(eval_args(j, n->list, f, caller, &args));
        j->line = n->line;
        VG_TRY(vg_jcall(j, &callee, &args, out));
    }
    j->line = line;
    return VG_OK;
}

vg_status vg_jeval_filter(vg_jinja *j, const vg_jnode *n, vg_jframe *f, const vg_jval *in,
                          vg_jval *out)
{
    vg_jval self;
    vg_jargs args;
    if (n->a) VG_TRY(n->a->type == VG_JN_FILTER ? vg_jeval_filter(j, n->a, f, in, &self)
                                                : vg_jeval(j, n->a, f, &self));
    else self = *in;
    VG_TRY(eval_args(j, n->list, f, NULL, &args));
    j->line = n->line;
    if (!n->fn) return VG_JFAIL(j, "No filter named '%.*s' found.", VG_STR_ARG(n->name));
    return vg_jbuiltin_call(j, n->fn, &self, &args, out);
}

static vg_status eval_test(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval self;
    vg_jargs args;
    VG_TRY(vg_jeval(j, n->a, f, &self));
    VG_TRY(eval_args(j, n->list, f, NULL, &args));
    if (!n->fn) return VG_JFAIL(j, "No test named '%.*s' found.", VG_STR_ARG(n->name));
    return vg_jbuiltin_call(j, n->fn, &self, &args, out);
}

/* ---- one node ------------------------------------------------------------------------------ */

static vg_status eval_unary(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval v;
    VG_TRY(vg_jeval(j, n->a, f, &v));
    if (n->type != VG_JN_NOT) return vg_jval_negate(j, &v, n->type == VG_JN_NEG, out);
    *out = vg_jval_bool(!vg_jval_truth(&v));
    return VG_OK;
}

static vg_status eval_node(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jval v;
    switch ((vg_jtype)n->type) {
    case VG_JN_CONST:
        *out = n->value;
        return VG_OK;
    case VG_JN_NAME:
        return eval_name(j, n, f, out);
    case VG_JN_TUPLE:
    case VG_JN_LIST:
        return eval_items(j, n, f, out);
    case VG_JN_DICT:
        return eval_dict(j, n, f, out);
    case VG_JN_COND:
        return eval_cond(j, n, f, out);
    case VG_JN_OR:
    case VG_JN_AND:
        return eval_logic(j, n, f, out);
    case VG_JN_NOT:
    case VG_JN_NEG:
    case VG_JN_POS:
        return eval_unary(j, n, f, out);
    case VG_JN_COMPARE:
        return eval_compare(j, n, f, out);
    case VG_JN_BINARY:
        return eval_binary(j, n, f, out);
    case VG_JN_CONCAT:
        return eval_concat(j, n, f, out);
    case VG_JN_ATTR:
        VG_TRY(vg_jeval(j, n->a, f, &v));
        return vg_jval_attr(j, &v, n->name, out);
    case VG_JN_ITEM:
        return eval_subscript(j, n, f, out);
    case VG_JN_CALL:
        return vg_jeval_call(j, n, f, NULL, out);
    case VG_JN_FILTER:
        return vg_jeval_filter(j, n, f, NULL, out);
    case VG_JN_TEST:
        return eval_test(j, n, f, out);
    default:
        return VG_JFAIL(j, "a slice stands where it cannot be used");
    }
}

vg_status vg_jeval(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    VG_TRY(vg_jenter(j));
    VG_TRY(vg_jcharge(j, 1));
    VG_TRY(eval_node(j, n, f, out));
    vg_jleave(j);
    return VG_OK;
}
