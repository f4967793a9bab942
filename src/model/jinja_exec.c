/* Statements: runs the tree and writes the output. A scope is a frame of slots; entering it fills
 * them as jinja_scope.c decided. A loop has one frame, filled anew every round, as jinja2's loops
 * are one Python scope. What a block, a macro or a recursive loop writes is captured from the end
 * of the one output buffer. */
#include "model/jinja_int.h"

typedef enum leave { GO_ON, LEAVE_LOOP, NEXT_ROUND } leave;

static vg_status exec_list(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how);

vg_jval *vg_jframe_slot(vg_jframe *f, unsigned hops, uint32_t slot)
{
    for (; hops > 0; hops--) f = f->parent;
    return &f->slot[slot];
}

/* ---- frames -------------------------------------------------------------------------------- */

static vg_status frame_new(vg_jinja *j, const vg_jscope *scope, vg_jframe *parent, vg_jframe **out)
{
    vg_jframe *f = VG_ARENA_NEW(j->arena, vg_jframe);
    if (f && scope->n) f->slot = VG_ARENA_ARRAY(j->arena, vg_jval, scope->n);
    if (!f || (scope->n && !f->slot)) return vg_jfail_memory(j);
    f->scope = scope;
    f->parent = parent;
    *out = f;
    return VG_OK;
}

/* The context as a block sees it: what the template has set at its top level counts first. */
static vg_status resolve(vg_jinja *j, const vg_jframe *f, vg_str name, vg_jval *out)
{
    const vg_jframe *root = j->root;
    for (size_t i = 0; f != root && !f->parent && i < root->scope->n; i++) {
        *out = root->slot[i];
        if (root->scope->sym[i].stored && out->kind != VG_J_MISSING &&
            vg_str_eq(root->scope->sym[i].name, name))
            return VG_OK;
    }
    return vg_jcontext_get(j, name, out);
}

static vg_status frame_enter(vg_jinja *j, vg_jframe *f)
{
    VG_TRY(vg_jcharge_bytes(j, 64 + 16 * f->scope->n));
    for (size_t i = 0; i < f->scope->n; i++) {
        const vg_jsym *sym = &f->scope->sym[i];
        if (sym->load == VG_JL_RESOLVE) VG_TRY(resolve(j, f, sym->name, &f->slot[i]));
        else if (sym->load == VG_JL_ALIAS)
            f->slot[i] = *vg_jframe_slot(f->parent, sym->hops, sym->from);
        else if (sym->load == VG_JL_UNDEFINED) f->slot[i] = (vg_jval){0};
    }
    return VG_OK;
}

static void frame_leave(vg_jframe *f)
{
    for (size_t i = 0; i < f->scope->n; i++) f->slot[i] = (vg_jval){0};
}

/* Runs a body in a scope of its own. */
static vg_status exec_scope(vg_jinja *j, const vg_jnode *body, const vg_jscope *scope,
                            vg_jframe *parent, leave *how)
{
    vg_jframe *f = NULL;
    VG_TRY(frame_new(j, scope, parent, &f));
    VG_TRY(frame_enter(j, f));
    VG_TRY(exec_list(j, body, f, how));
    frame_leave(f);
    return VG_OK;
}

/* ---- assignment ---------------------------------------------------------------------------- */

static vg_status assign(vg_jinja *j, const vg_jnode *target, vg_jframe *f, const vg_jval *v);

static vg_status unpack(vg_jinja *j, const vg_jnode *target, vg_jframe *f, const vg_jval *v)
{
    vg_jcursor c;
    vg_jval item;
    size_t want = 0, got = 0;
    for (const vg_jnode *t = target->list; t; t = t->next) want++;
    if (v->kind >= VG_J_NS || v->kind == VG_J_NONE || vg_jval_is_number(v))
        return VG_JFAIL(j, "cannot unpack non-iterable %s object", vg_jval_type(v));
    VG_TRY(vg_jcursor_open(j, v, &c));
    for (const vg_jnode *t = target->list; t; t = t->next, got++) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING)
            return VG_JFAIL(j, "not enough values to unpack (expected %zu, got %zu)", want, got);
        VG_TRY(assign(j, t, f, &item));
    }
    VG_TRY(vg_jcursor_next(j, &c, &item));
    if (item.kind == VG_J_MISSING) return VG_OK;
    return VG_JFAIL(j, "too many values to unpack (expected %zu)", want);
}

/* The depth of targets is that of the tree, which linking has bounded. */
static vg_status assign(vg_jinja *j, const vg_jnode *target, vg_jframe *f, const vg_jval *v)
{
    if (target->type == VG_JN_TUPLE) return unpack(j, target, f, v);
    vg_jval *slot = vg_jframe_slot(f, target->hops, target->slot);
    if (target->type == VG_JN_NAME) {
        *slot = *v;
        return VG_OK;
    }
    if (slot->kind != VG_J_NS)
        return VG_JFAIL(j, "cannot assign attribute on non-namespace object");
    if (target->value.n && target->value.s[0] == '_')
        return VG_JFAIL(j, "a namespace cannot store '%.*s', which begins with an underscore",
                        VG_STR_ARG(vg_jval_chars(&target->value)));
    return vg_jdict_set(j, slot->dict, &target->value, v);
}

/* Whether all namespaces of a target are there is asked before the value is computed. */
static vg_status check_namespaces(vg_jinja *j, const vg_jnode *target, vg_jframe *f)
{
    for (const vg_jnode *t = target->list; t; t = t->next) VG_TRY(check_namespaces(j, t, f));
    if (target->type != VG_JN_NSREF) return VG_OK;
    if (vg_jframe_slot(f, target->hops, target->slot)->kind == VG_J_NS) return VG_OK;
    return VG_JFAIL(j, "cannot assign attribute on non-namespace object");
}

static vg_status exec_set(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    vg_jval v;
    VG_TRY(check_namespaces(j, n->a, f));
    VG_TRY(vg_jeval(j, n->b, f, &v));
    return assign(j, n->a, f, &v);
}

/* Runs the body of a block in a frame of its own; what it printed becomes *v instead. */
static vg_status capture_body(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jframe **inner,
                              vg_jval *v)
{
    leave how = GO_ON;
    size_t from = j->out.n;
    VG_TRY(frame_new(j, n->scope, f, inner));
    VG_TRY(frame_enter(j, *inner));
    VG_TRY(exec_list(j, n->body, *inner, &how));
    return vg_jstr_capture(j, from, v);
}

static vg_status exec_setblock(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    vg_jframe *inner = NULL;
    vg_jval v;
    VG_TRY(capture_body(j, n, f, &inner, &v));
    if (n->b) VG_TRY(vg_jeval_filter(j, n->b, inner, &v, &v));
    return assign(j, n->a, f, &v);
}

/* ---- loops --------------------------------------------------------------------------------- */

/* The next item that the loop's condition lets through; MISSING at the end. */
static vg_status loop_pull(vg_jinja *j, vg_jloop *l, vg_jval *out)
{
    while (true) {
        vg_jval pass;
        VG_TRY(vg_jcursor_next(j, &l->cursor, out));
        if (out->kind == VG_J_MISSING || !l->test) return VG_OK;
        VG_TRY(frame_enter(j, l->test));
        VG_TRY(assign(j, l->node->a, l->test, out));
        VG_TRY(vg_jeval(j, l->node->c, l->test, &pass));
        if (vg_jval_truth(&pass)) return VG_OK;
    }
}

static vg_status loop_peek(vg_jinja *j, vg_jloop *l, bool *more)
{
    if (l->after.kind == VG_J_MISSING) VG_TRY(loop_pull(j, l, &l->after));
    *more = l->after.kind != VG_J_MISSING;
    return VG_OK;
}

static vg_status loop_next(vg_jinja *j, vg_jloop *l, bool *more)
{
    vg_jval item;
    VG_TRY(loop_peek(j, l, more));
    item = l->after;
    l->after = (vg_jval){0};
    if (!*more) return VG_OK;
    l->index0++;
    l->before = l->current;
    l->current = item;
    return VG_OK;
}

/* The length of what has no length is found by taking all that is left and keeping it. */
static vg_status loop_length(vg_jinja *j, vg_jloop *l)
{
    if (l->length >= 0) return VG_OK;
    size_t n = 0, cap = 16;
    vg_jval *rest = VG_ARENA_ARRAY(j->arena, vg_jval, cap), list;
    if (!rest) return vg_jfail_memory(j);
    while (true) {
        vg_jval item;
        VG_TRY(loop_pull(j, l, &item));
        if (item.kind == VG_J_MISSING) break;
        if (n == cap) {
            vg_jval *more = VG_ARENA_ARRAY(j->arena, vg_jval, 2 * cap);
            if (!more) return vg_jfail_memory(j);
            memcpy(more, rest, n * sizeof *more);
            rest = more;
            cap *= 2;
        }
        rest[n++] = item;
    }
    VG_TRY(vg_jlist_make(j, VG_J_LIST, n, &list));
    if (n) memcpy(list.list->item, rest, n * sizeof *rest);
    VG_TRY(vg_jcursor_open(j, &list, &l->cursor));
    l->test = NULL;
    l->length = (int64_t)n + l->index0 + 1 + (l->after.kind != VG_J_MISSING);
    return VG_OK;
}

static vg_status loop_run(vg_jinja *j, vg_jloop *l, leave *how)
{
    const vg_jnode *n = l->node;
    vg_jframe *f = NULL;
    bool more, ran = false;
    VG_TRY(frame_new(j, n->scope, l->outer, &f));
    while (true) {
        VG_TRY(loop_next(j, l, &more));
        if (!more) break;
        VG_TRY(assign(j, n->a, f, &l->current));
        f->slot[n->slot] = (vg_jval){.kind = VG_J_LOOP, .loop = l};
        VG_TRY(frame_enter(j, f));
        VG_TRY(exec_list(j, n->body, f, how));
        /* An {% else %} runs unless a round came to its end: jinja2 marks it there. */
        ran = ran || *how == GO_ON;
        if (*how == LEAVE_LOOP) break;
        *how = GO_ON;
        j->line = n->line;
    }
    *how = GO_ON;
    frame_leave(f);
    return !ran && n->other ? exec_scope(j, n->other, n->else_scope, l->outer, how) : VG_OK;
}

static vg_status loop_start(vg_jinja *j, const vg_jnode *n, vg_jframe *outer, const vg_jval *items,
                            int64_t depth0, leave *how)
{
    vg_jloop *l = VG_ARENA_NEW(j->arena, vg_jloop);
    if (!l) return vg_jfail_memory(j);
    *l = (vg_jloop){.node = n, .outer = outer, .index0 = -1, .length = -1, .depth0 = depth0};
    VG_TRY(vg_jcursor_open(j, items, &l->cursor));
    if (n->c) {
        VG_TRY(frame_new(j, n->test_scope, outer, &l->test));
    } else if (vg_jval_has_len(items)) {
        size_t length;
        VG_TRY(vg_jval_len(j, items, &length));
        l->length = (int64_t)length;
    }
    return loop_run(j, l, how);
}

vg_status vg_jloop_recurse(vg_jinja *j, vg_jloop *loop, const vg_jval *items, vg_jval *out)
{
    leave how = GO_ON;
    size_t from = j->out.n;
    if (!loop->node->flag)
        return VG_JFAIL(j, "The loop must have the 'recursive' marker to be called recursively.");
    VG_TRY(vg_jenter(j));
    VG_TRY(loop_start(j, loop->node, loop->outer, items, loop->depth0 + 1, &how));
    vg_jleave(j);
    return vg_jstr_capture(j, from, out);
}

static vg_status exec_for(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    vg_jval items;
    VG_TRY(vg_jeval(j, n->b, f, &items));
    return loop_start(j, n, f, &items, 0, how);
}

vg_status vg_jloop_attr(vg_jinja *j, const vg_jval *loop, vg_str name, vg_jval *out)
{
    vg_jloop *l = loop->loop;
    bool more = false;
    bool peeks = vg_str_is(name, "last") || vg_str_is(name, "nextitem");
    bool counts = vg_str_is(name, "length") || vg_str_is(name, "revindex") ||
                  vg_str_is(name, "revindex0");
    if (peeks) VG_TRY(loop_peek(j, l, &more));
    if (counts) VG_TRY(loop_length(j, l));
    *out = (vg_jval){0};
    if (vg_str_is(name, "index")) *out = vg_jval_int(l->index0 + 1);
    else if (vg_str_is(name, "index0")) *out = vg_jval_int(l->index0);
    else if (vg_str_is(name, "first")) *out = vg_jval_bool(l->index0 == 0);
    else if (vg_str_is(name, "last")) *out = vg_jval_bool(!more);
    else if (vg_str_is(name, "length")) *out = vg_jval_int(l->length);
    else if (vg_str_is(name, "revindex")) *out = vg_jval_int(l->length - l->index0);
    else if (vg_str_is(name, "revindex0")) *out = vg_jval_int(l->length - l->index0 - 1);
    else if (vg_str_is(name, "depth")) *out = vg_jval_int(l->depth0 + 1);
    else if (vg_str_is(name, "depth0")) *out = vg_jval_int(l->depth0);
    else if (vg_str_is(name, "previtem"))
        *out = l->index0 > 0 ? l->before : vg_jval_hint("there is no previous item");
    else if (vg_str_is(name, "nextitem"))
        *out = more ? l->after : vg_jval_hint("there is no next item");
    if (out->kind != VG_J_MISSING) return VG_OK;
    const vg_jbuiltin *fn = vg_jbuiltin_find(vg_jloop_methods, name);
    vg_jfunc *bound = fn ? VG_ARENA_NEW(j->arena, vg_jfunc) : NULL;
    if (!fn) return VG_OK;
    if (!bound) return vg_jfail_memory(j);
    *bound = (vg_jfunc){fn, *loop};
    *out = (vg_jval){.kind = VG_J_FUNC, .func = bound};
    return VG_OK;
}

/* ---- macros -------------------------------------------------------------------------------- */

static vg_status macro_make(vg_jinja *j, const vg_jnode *n, vg_jframe *f, vg_jval *out)
{
    vg_jmacro *m = VG_ARENA_NEW(j->arena, vg_jmacro);
    if (!m) return vg_jfail_memory(j);
    *m = (vg_jmacro){n, f};
    *out = (vg_jval){.kind = VG_J_MACRO, .macro = m};
    return VG_OK;
}

static vg_jval *param_slot(vg_jframe *f, const char *name)
{
    for (size_t i = 0; i < f->scope->n; i++)
        if (vg_str_is(f->scope->sym[i].name, name)) return &f->slot[i];
    return NULL;
}

static vg_status too_many(vg_jinja *j, const vg_jnode *n, size_t n_params)
{
    return VG_JFAIL(j, "macro '%.*s' takes not more than %zu argument(s)", VG_STR_ARG(n->name),
                    n_params);
}

/* Keywords that are no parameters: the caller, then kwargs where the macro reads them. */
static vg_status bind_rest(vg_jinja *j, const vg_jnode *n, vg_jframe *f, const vg_jargs *args,
                           const bool *taken)
{
    vg_jval rest, caller = vg_jval_hint("No caller defined");
    VG_TRY(vg_jdict_make(j, 0, &rest));
    for (size_t i = 0; i < args->n_key; i++) {
        vg_jval key = vg_jval_str(args->key[i]);
        if (taken[i]) continue;
        if (n->uses_caller && vg_str_is(args->key[i], "caller")) caller = args->val[i];
        else if (n->uses_kwargs) VG_TRY(vg_jdict_set(j, rest.dict, &key, &args->val[i]));
        else
            return VG_JFAIL(j, "macro '%.*s' takes no keyword argument '%.*s'", VG_STR_ARG(n->name),
                            VG_STR_ARG(args->key[i]));
    }
    if (n->uses_caller) *param_slot(f, "caller") = caller;
    if (n->uses_kwargs) *param_slot(f, "kwargs") = rest;
    return VG_OK;
}

static vg_status bind_params(vg_jinja *j, const vg_jnode *n, vg_jframe *f, const vg_jargs *args)
{
    bool taken[VG_J_MAX_ARGS] = {false};
    size_t i = 0;
    for (const vg_jnode *p = n->list; p; p = p->next, i++) {
        if (i < args->n_pos) {
            f->slot[p->slot] = args->pos[i];
            continue;
        }
        for (size_t k = 0; k < args->n_key; k++) {
            if (!vg_str_eq(args->key[k], p->name)) continue;
            f->slot[p->slot] = args->val[k];
            taken[k] = true;
        }
    }
    VG_TRY(bind_rest(j, n, f, args, taken));
    if (n->uses_varargs) {
        vg_jval rest;
        size_t extra = args->n_pos > i ? args->n_pos - i : 0;
        VG_TRY(vg_jlist_make(j, VG_J_TUPLE, extra, &rest));
        if (extra) memcpy(rest.list->item, args->pos + i, extra * sizeof(vg_jval));
        *param_slot(f, "varargs") = rest;
    } else if (args->n_pos > i) {
        return too_many(j, n, i);
    }
    return VG_OK;
}

static vg_status bind_defaults(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    for (const vg_jnode *p = n->list; p; p = p->next) {
        if (f->slot[p->slot].kind != VG_J_MISSING) continue;
        vg_jval v = vg_jval_undef(p->name);
        if (p->a) VG_TRY(vg_jeval(j, p->a, f, &v));
        f->slot[p->slot] = v;
    }
    return VG_OK;
}

vg_status vg_jmacro_call(vg_jinja *j, const vg_jmacro *m, const vg_jargs *args, vg_jval *out)
{
    vg_jframe *f = NULL;
    leave how = GO_ON;
    size_t from = j->out.n;
    VG_TRY(vg_jenter(j));
    VG_TRY(frame_new(j, m->node->scope, m->frame, &f));
    VG_TRY(bind_params(j, m->node, f, args));
    VG_TRY(frame_enter(j, f));
    VG_TRY(bind_defaults(j, m->node, f));
    VG_TRY(exec_list(j, m->node->body, f, &how));
    vg_jleave(j);
    return vg_jstr_capture(j, from, out);
}

/* Unlike {{ }}, a block is not turned into text. */
static vg_status print_block(vg_jinja *j, const vg_jval *v)
{
    if (v->kind != VG_J_STR)
        return VG_JFAIL(j, "expected str instance, %s found", vg_jval_type(v));
    return vg_jval_print(j, v);
}

static vg_status exec_callblock(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    vg_jval caller, v;
    VG_TRY(macro_make(j, n, f, &caller));
    VG_TRY(vg_jeval_call(j, n->a, f, &caller, &v));
    return print_block(j, &v);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static vg_status exec_filterblock(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    vg_jframe *inner = NULL;
    vg_jval v;
    VG_TRY(capture_body(j, n, f, &inner, &v));
    VG_TRY(vg_jeval_filter(j, n->a, inner, &v, &v));
    return print_block(j, &v);
}

static vg_status exec_with(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    vg_jframe *inner = NULL;
    VG_TRY(frame_new(j, n->scope, f, &inner));
    VG_TRY(frame_enter(j, inner));
    for (const vg_jnode *p = n->list; p; p = p->next) {
        vg_jval v;
        VG_TRY(vg_jeval(j, p->b, f, &v));
        VG_TRY(assign(j, p->a, inner, &v));
    }
    return exec_list(j, n->body, inner, how);
}

static vg_status exec_autoescape(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    vg_jframe *inner = NULL;
    vg_jval on;
    VG_TRY(frame_new(j, n->scope, f, &inner));
    VG_TRY(frame_enter(j, inner));
    VG_TRY(vg_jeval(j, n->a, inner, &on));
    if (vg_jval_truth(&on)) return VG_JFAIL(j, "autoescape is not supported: this is no HTML");
    return exec_list(j, n->body, inner, how);
}

static vg_status exec_if(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    for (; n; n = n->other) {
        vg_jval test;
        j->line = n->line;
        VG_TRY(vg_jeval(j, n->a, f, &test));
        if (vg_jval_truth(&test)) return exec_list(j, n->body, f, how);
        if (n->other && (n->other->type != VG_JN_IF || n->other->next))
            return exec_list(j, n->other, f, how);
        VG_TRY(vg_jcharge(j, 1));
    }
    return VG_OK;
}

static vg_status exec_output(vg_jinja *j, const vg_jnode *n, vg_jframe *f)
{
    for (const vg_jnode *item = n->list; item; item = item->next) {
        vg_jval v;
        VG_TRY(vg_jeval(j, item, f, &v));
        VG_TRY(vg_jval_print(j, &v));
    }
    return VG_OK;
}

static vg_status exec_node(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    switch ((vg_jtype)n->type) {
    case VG_JN_DATA:
        return vg_jval_print(j, &n->value);
    case VG_JN_OUTPUT:
        return exec_output(j, n, f);
    case VG_JN_SET:
        return exec_set(j, n, f);
    case VG_JN_SETBLOCK:
        return exec_setblock(j, n, f);
    case VG_JN_FOR:
        return exec_for(j, n, f, how);
    case VG_JN_IF:
        return exec_if(j, n, f, how);
    case VG_JN_MACRO:
        return macro_make(j, n, f, vg_jframe_slot(f, n->hops, n->slot));
    case VG_JN_CALLBLOCK:
        return exec_callblock(j, n, f);
    case VG_JN_FILTERBLOCK:
        return exec_filterblock(j, n, f);
    case VG_JN_WITH:
        return exec_with(j, n, f, how);
    case VG_JN_SCOPE:
        return exec_scope(j, n->body, n->scope, f, how);
    case VG_JN_AUTOESCAPE:
        return exec_autoescape(j, n, f, how);
    case VG_JN_BLOCK:
        return exec_scope(j, n->body, n->scope, NULL, how);
    case VG_JN_BREAK:
    case VG_JN_CONTINUE:
        *how = n->type == VG_JN_BREAK ? LEAVE_LOOP : NEXT_ROUND;
        return VG_OK;
    default:
        return VG_JFAIL(j, "an expression stands where a statement should");
    }
}

static vg_status exec_list(vg_jinja *j, const vg_jnode *n, vg_jframe *f, leave *how)
{
    VG_TRY(vg_jenter(j));
    for (; n && *how == GO_ON; n = n->next) {
        VG_TRY(vg_jcharge(j, 1));
        j->line = n->line;
        VG_TRY(exec_node(j, n, f, how));
    }
    vg_jleave(j);
    return VG_OK;
}

vg_status vg_jexec(vg_jinja *j, const vg_jnode *body, const vg_jscope *root)
{
    leave how = GO_ON;
    VG_TRY(frame_new(j, root, NULL, &j->root));
    VG_TRY(frame_enter(j, j->root));
    VG_TRY(exec_list(j, body, j->root, &how));
    return vg_jout_check(j);
}
