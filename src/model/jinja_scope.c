/* Scopes: which variable a name means. jinja2 decides this before a template runs, and its rules
 * show: a name set anywhere in a scope is that scope's own from its beginning on, and starts as a
 * copy of the outer one (an alias), or as the context's, or as undefined. So a loop body that sets
 * a variable sees the outer value at the start of every round, and nothing leaks out of it. An
 * {% if %} is no scope, but a name first set inside one starts as the context's.
 * Two passes over each scope: collect (its symbols), then link (names to slots, and the scopes
 * inside it). The recursion is bounded by VG_J_DEPTH. */
#include "model/jinja_int.h"

static vg_status collect(vg_jinja *j, vg_jscope *s, vg_jnode *n, int branch);
static vg_status link_list(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft);

static vg_status scope_new(vg_jinja *j, vg_jscope *parent, vg_jscope **out)
{
    *out = VG_ARENA_NEW(j->arena, vg_jscope);
    if (!*out) return vg_jfail_memory(j);
    (*out)->parent = parent;
    return VG_OK;
}

static vg_status find(vg_jinja *j, const vg_jscope *s, vg_str name, vg_jsym **out)
{
    VG_TRY(vg_jcharge(j, 1 + s->n / 32));
    *out = NULL;
    for (size_t i = 0; i < s->n && !*out; i++)
        if (vg_str_eq(s->sym[i].name, name)) *out = &s->sym[i];
    return VG_OK;
}

/* The same in s and outwards; *hops counts the scopes passed. */
static vg_status find_out(vg_jinja *j, const vg_jscope *s, vg_str name, vg_jsym **out,
                          uint16_t *hops)
{
    *out = NULL;
    for (*hops = 0; s; s = s->parent, (*hops)++) {
        VG_TRY(find(j, s, name, out));
        if (*out) break;
    }
    return VG_OK;
}

static vg_status define(vg_jinja *j, vg_jscope *s, vg_str name, vg_jload load, vg_jsym **out)
{
    VG_TRY(find(j, s, name, out));
    if (!*out) {
        if (s->n == s->cap) {
            size_t cap = s->cap ? 2 * s->cap : 8;
            vg_jsym *sym = VG_ARENA_ARRAY(j->arena, vg_jsym, cap);
            if (!sym) return vg_jfail_memory(j);
            if (s->n) memcpy(sym, s->sym, s->n * sizeof *sym);
            s->sym = sym;
            s->cap = cap;
        }
        *out = &s->sym[s->n];
        **out = (vg_jsym){.name = name};
        s->n++;
    }
    (*out)->load = (uint8_t)load;
    return VG_OK;
}

static vg_status declare(vg_jinja *j, vg_jscope *s, vg_str name)
{
    vg_jsym *sym;
    VG_TRY(define(j, s, name, VG_JL_PARAM, &sym));
    sym->stored = true;
    return VG_OK;
}

static vg_status use(vg_jinja *j, vg_jscope *s, vg_str name)
{
    vg_jsym *sym;
    uint16_t hops;
    VG_TRY(find_out(j, s, name, &sym, &hops));
    return sym ? VG_OK : define(j, s, name, VG_JL_RESOLVE, &sym);
}

static vg_status store(vg_jinja *j, vg_jscope *s, vg_str name, int branch)
{
    vg_jsym *sym, *outer = NULL;
    uint16_t hops = 0;
    VG_TRY(find(j, s, name, &sym));
    if (!sym) {
        if (s->parent) VG_TRY(find_out(j, s->parent, name, &outer, &hops));
        vg_jload load = outer ? VG_JL_ALIAS : branch ? VG_JL_RESOLVE : VG_JL_UNDEFINED;
        const vg_jscope *where = s->parent;
        for (uint16_t i = 0; outer && i < hops; i++) where = where->parent;
        uint32_t from = outer ? (uint32_t)(outer - where->sym) : 0;
        VG_TRY(define(j, s, name, load, &sym));
        sym->hops = hops;
        sym->from = from;
    }
    sym->stored = true;
    return VG_OK;
}

/* ---- collecting ---------------------------------------------------------------------------- */

static vg_status collect_list(vg_jinja *j, vg_jscope *s, vg_jnode *n, int branch)
{
    for (; n; n = n->next) VG_TRY(collect(j, s, n, branch));
    return VG_OK;
}

/* Targets of a loop or of {% with %} are set by who enters the scope. */
static vg_status declare_target(vg_jinja *j, vg_jscope *s, vg_jnode *n)
{
    if (n->type == VG_JN_NAME) return declare(j, s, n->name);
    for (vg_jnode *item = n->list; item; item = item->next) VG_TRY(declare_target(j, s, item));
    return VG_OK;
}

static vg_status collect_if(vg_jinja *j, vg_jscope *s, vg_jnode *n, int branch)
{
    for (; n && n->type == VG_JN_IF; n = n->other) {
        VG_TRY(collect(j, s, n->a, branch));
        VG_TRY(collect_list(j, s, n->body, branch + 1));
        branch++;
        if (n->other && (n->other->type != VG_JN_IF || n->other->next))
            return collect_list(j, s, n->other, branch);
    }
    return VG_OK;
}

/* Everything of a node that belongs to the scope it stands in. */
static vg_status collect_parts(vg_jinja *j, vg_jscope *s, vg_jnode *n, int branch)
{
    switch ((vg_jtype)n->type) {
    case VG_JN_NAME:
        return n->flag ? store(j, s, n->name, branch) : use(j, s, n->name);
    case VG_JN_NSREF:
        return use(j, s, n->name);
    case VG_JN_IF:
        return collect_if(j, s, n, branch);
    case VG_JN_FOR:
        return collect(j, s, n->b, branch);
    case VG_JN_MACRO:
        return store(j, s, n->name, branch);
    case VG_JN_SET:
        VG_TRY(collect(j, s, n->b, branch));
        return collect(j, s, n->a, branch);
    case VG_JN_SETBLOCK:
    case VG_JN_CALLBLOCK:
    case VG_JN_FILTERBLOCK:
        return n->a ? collect(j, s, n->a, branch) : VG_OK;
    case VG_JN_WITH:
        for (vg_jnode *p = n->list; p; p = p->next) VG_TRY(collect(j, s, p->b, branch));
        return VG_OK;
    case VG_JN_SCOPE:
    case VG_JN_AUTOESCAPE:
    case VG_JN_BLOCK:
        return VG_OK;
    default:
        if (n->a) VG_TRY(collect(j, s, n->a, branch));
        if (n->b) VG_TRY(collect(j, s, n->b, branch));
        if (n->c) VG_TRY(collect(j, s, n->c, branch));
        return collect_list(j, s, n->list, branch);
    }
}

static vg_status collect(vg_jinja *j, vg_jscope *s, vg_jnode *n, int branch)
{
    VG_TRY(vg_jenter(j));
    j->line = n->line;
    VG_TRY(collect_parts(j, s, n, branch));
    vg_jleave(j);
    return VG_OK;
}

/* ---- linking ------------------------------------------------------------------------------- */

static vg_status link_name(vg_jinja *j, vg_jscope *s, vg_jnode *n)
{
    vg_jsym *sym;
    uint16_t hops;
    VG_TRY(find_out(j, s, n->name, &sym, &hops));
    assert(sym);
    for (uint16_t i = 0; i < hops; i++) s = s->parent;
    n->hops = hops;
    n->slot = (uint32_t)(sym - s->sym);
    return VG_OK;
}

static vg_status link_node(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft);

/* True where `name` is read anywhere below n. */
static vg_status reads(vg_jinja *j, const vg_jnode *n, const char *name, bool *out)
{
    VG_TRY(vg_jenter(j));
    for (; n && !*out; n = n->next) {
        VG_TRY(vg_jcharge(j, 1));
        if (n->type == VG_JN_NAME && !n->flag && vg_str_is(n->name, name)) *out = true;
        const vg_jnode *part[] = {n->a, n->b, n->c, n->list, n->body, n->other};
        for (size_t i = 0; i < VG_COUNT(part) && !*out; i++)
            if (part[i]) VG_TRY(reads(j, part[i], name, out));
    }
    vg_jleave(j);
    return VG_OK;
}

static vg_status link_macro(vg_jinja *j, vg_jscope *s, vg_jnode *n)
{
    vg_jsym *sym;
    bool special[3] = {false};
    static const char *const name[3] = {"caller", "kwargs", "varargs"};
    VG_TRY(scope_new(j, s, &n->scope));
    for (size_t i = 0; i < 3; i++) VG_TRY(reads(j, n->body, name[i], &special[i]));
    for (vg_jnode *p = n->list; p; p = p->next) {
        VG_TRY(declare(j, n->scope, p->name));
        for (size_t i = 0; i < 3; i++) special[i] = special[i] && !vg_str_is(p->name, name[i]);
    }
    for (vg_jnode *p = n->list; p; p = p->next)
        if (p->a) VG_TRY(collect(j, n->scope, p->a, 0));
    VG_TRY(collect_list(j, n->scope, n->body, 0));
    for (size_t i = 0; i < 3; i++)
        if (special[i]) VG_TRY(declare(j, n->scope, vg_str_from(name[i])));
    n->uses_caller = special[0];
    n->uses_kwargs = special[1];
    n->uses_varargs = special[2];
    for (vg_jnode *p = n->list; p; p = p->next) {
        VG_TRY(find(j, n->scope, p->name, &sym));
        p->slot = (uint32_t)(sym - n->scope->sym);
        if (p->a) VG_TRY(link_node(j, n->scope, p->a, false));
    }
    return link_list(j, n->scope, n->body, false);
}

/* The target's slots are the first ones of both scopes, so that either can be filled by it. */
static vg_status link_for(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft)
{
    VG_TRY(link_node(j, s, n->b, soft));
    VG_TRY(scope_new(j, s, &n->scope));
    n->scope->is_loop = true;
    VG_TRY(declare_target(j, n->scope, n->a));
    VG_TRY(declare(j, n->scope, VG_STR("loop")));
    n->slot = (uint32_t)n->scope->n - 1;
    VG_TRY(collect_list(j, n->scope, n->body, 0));
    VG_TRY(link_node(j, n->scope, n->a, false));
    VG_TRY(link_list(j, n->scope, n->body, false));
    if (n->c) {
        VG_TRY(scope_new(j, s, &n->test_scope));
        VG_TRY(declare_target(j, n->test_scope, n->a));
        VG_TRY(collect(j, n->test_scope, n->c, 0));
        VG_TRY(link_node(j, n->test_scope, n->c, false));
    }
    if (!n->other) return VG_OK;
    VG_TRY(scope_new(j, s, &n->else_scope));
    VG_TRY(collect_list(j, n->else_scope, n->other, 0));
    return link_list(j, n->else_scope, n->other, false);
}

static vg_status link_with(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft)
{
    VG_TRY(scope_new(j, s, &n->scope));
    for (vg_jnode *p = n->list; p; p = p->next) {
        VG_TRY(declare_target(j, n->scope, p->a));
        VG_TRY(link_node(j, s, p->b, soft));
    }
    VG_TRY(collect_list(j, n->scope, n->body, 0));
    for (vg_jnode *p = n->list; p; p = p->next) VG_TRY(link_node(j, n->scope, p->a, false));
    return link_list(j, n->scope, n->body, false);
}

/* A body with a scope of its own and nothing else; `filter` is evaluated inside it. */
static vg_status link_body(vg_jinja *j, vg_jscope *parent, vg_jnode *n, vg_jnode *filter)
{
    VG_TRY(scope_new(j, parent, &n->scope));
    VG_TRY(collect_list(j, n->scope, n->body, 0));
    if (filter) VG_TRY(collect(j, n->scope, filter, 0));
    if (filter) VG_TRY(link_node(j, n->scope, filter, false));
    return link_list(j, n->scope, n->body, false);
}

static vg_status link_if(vg_jinja *j, vg_jscope *s, vg_jnode *n)
{
    for (; n; n = n->other) {
        VG_TRY(link_node(j, s, n->a, true));
        VG_TRY(link_list(j, s, n->body, true));
        if (n->other && (n->other->type != VG_JN_IF || n->other->next))
            return link_list(j, s, n->other, true);
    }
    return VG_OK;
}

/* jinja2 refuses an unknown filter before it runs, but inside an {% if %} only when it gets there:
 * a template may ask whether the filter exists. */
static vg_status check_known(vg_jinja *j, const vg_jnode *n, bool soft)
{
    if (n->fn || soft) return VG_OK;
    return VG_JFAIL(j, "No %s named '%.*s'", n->type == VG_JN_FILTER ? "filter" : "test",
                    VG_STR_ARG(n->name));
}

static bool in_loop(const vg_jscope *s)
{
    while (s && !s->is_loop) s = s->parent;
    return s != NULL;
}

static vg_status link_parts(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft)
{
    switch ((vg_jtype)n->type) {
    case VG_JN_NAME:
    case VG_JN_NSREF:
        if (n->flag && vg_str_is(n->name, "loop") && in_loop(s))
            return VG_JFAIL(j, "Can't assign to special loop variable");
        return link_name(j, s, n);
    case VG_JN_IF:
        return link_if(j, s, n);
    case VG_JN_FOR:
        return link_for(j, s, n, soft);
    case VG_JN_MACRO:
        VG_TRY(link_name(j, s, n));
        return link_macro(j, s, n);
    case VG_JN_CALLBLOCK:
        VG_TRY(link_node(j, s, n->a, soft));
        return link_macro(j, s, n);
    case VG_JN_SETBLOCK:
        VG_TRY(link_node(j, s, n->a, soft));
        return link_body(j, s, n, n->b);
    case VG_JN_FILTERBLOCK:
        return link_body(j, s, n, n->a);
    case VG_JN_WITH:
        return link_with(j, s, n, soft);
    case VG_JN_SCOPE:
        return link_body(j, s, n, NULL);
    case VG_JN_AUTOESCAPE:
        return link_body(j, s, n, n->a);
    case VG_JN_BLOCK: /* sees the context and what the template itself has set, not its loops */
        return link_body(j, NULL, n, NULL);
    case VG_JN_FILTER:
    case VG_JN_TEST:
        VG_TRY(check_known(j, n, soft));
        break;
    case VG_JN_COND:
        soft = true;
        break;
    default:
        break;
    }
    if (n->a) VG_TRY(link_node(j, s, n->a, soft));
    if (n->b) VG_TRY(link_node(j, s, n->b, soft));
    if (n->c) VG_TRY(link_node(j, s, n->c, soft));
    return link_list(j, s, n->list, soft);
}

static vg_status link_node(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft)
{
    VG_TRY(vg_jenter(j));
    j->line = n->line;
    VG_TRY(link_parts(j, s, n, soft));
    vg_jleave(j);
    return VG_OK;
}

static vg_status link_list(vg_jinja *j, vg_jscope *s, vg_jnode *n, bool soft)
{
    for (; n; n = n->next) VG_TRY(link_node(j, s, n, soft));
    return VG_OK;
}

vg_status vg_jscope_resolve(vg_jinja *j, vg_jnode *body, vg_jscope **root)
{
    VG_TRY(scope_new(j, NULL, root));
    VG_TRY(collect_list(j, *root, body, 0));
    return link_list(j, *root, body, false);
}
