/* The parser of template expressions: tokens to a tree, with the precedence of jinja2's own parser:
 * if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary signs, then filters and tests.
 * Statements are in jinja_stmt.c. Recursion is bounded by VG_J_PARSE_DEPTH. */
#include <stdio.h>

#include "model/jinja_parse.h"

vg_status vg_jparse_fail(vg_jparser *p, const char *what)
{
    p->j->line = p->t->line;
    return VG_JFAIL(p->j, "%s", what);
}

vg_status vg_jparse_unexpected(vg_jparser *p, const char *wanted)
{
    p->j->line = p->t->line;
    const vg_jtoken *t = p->t;
    switch (t->type) {
    case VG_JT_EOF:
        return VG_JFAIL(p->j, "unexpected end of template, expected %s", wanted);
    case VG_JT_NAME:
    case VG_JT_STRING:
        return VG_JFAIL(p->j, "unexpected '%.*s', expected %s", VG_STR_ARG(t->text), wanted);
    case VG_JT_VAR_END:
        return VG_JFAIL(p->j, "unexpected end of print statement, expected %s", wanted);
    case VG_JT_BLOCK_END:
        return VG_JFAIL(p->j, "unexpected end of statement block, expected %s", wanted);
    case VG_JT_OP:
        return VG_JFAIL(p->j, "unexpected '%s', expected %s", vg_jop_text(t->op), wanted);
    default:
        return VG_JFAIL(p->j, "unexpected token, expected %s", wanted);
    }
}

vg_status vg_jparse_node(vg_jparser *p, vg_jtype type, uint32_t line, vg_jnode **out)
{
    vg_jnode *n = VG_ARENA_NEW(p->j->arena, vg_jnode);
    if (!n) return vg_jfail_memory(p->j);
    n->type = (uint8_t)type;
    n->line = line;
    *out = n;
    return VG_OK;
}

bool vg_jparse_is_op(const vg_jparser *p, vg_jop op)
{
    return p->t->type == VG_JT_OP && p->t->op == op;
}

bool vg_jparse_is_name(const vg_jparser *p, const char *name)
{
    return p->t->type == VG_JT_NAME && vg_str_is(p->t->text, name);
}

void vg_jparse_next(vg_jparser *p)
{
    if (p->t->type != VG_JT_EOF) p->t++;
}

bool vg_jparse_skip_op(vg_jparser *p, vg_jop op)
{
    bool is = vg_jparse_is_op(p, op);
    if (is) vg_jparse_next(p);
    return is;
}

bool vg_jparse_skip_name(vg_jparser *p, const char *name)
{
    bool is = vg_jparse_is_name(p, name);
    if (is) vg_jparse_next(p);
    return is;
}

vg_status vg_jparse_expect_op(vg_jparser *p, vg_jop op)
{
    if (vg_jparse_skip_op(p, op)) return VG_OK;
    char wanted[16];
    snprintf(wanted, sizeof wanted, "'%s'", vg_jop_text(op));
    return vg_jparse_unexpected(p, wanted);
}

vg_status vg_jparse_expect_name(vg_jparser *p, vg_str *name)
{
    if (p->t->type != VG_JT_NAME) return vg_jparse_unexpected(p, "a name");
    *name = p->t->text;
    vg_jparse_next(p);
    return VG_OK;
}

vg_status vg_jparse_enter(vg_jparser *p)
{
    if (++p->depth > VG_J_PARSE_DEPTH)
        return vg_jparse_fail(p, "the template is nested over 200 deep");
    return VG_OK;
}

/* Appends to a list whose last link is *tail. */
static vg_jnode **append(vg_jnode **tail, vg_jnode *n)
{
    *tail = n;
    return &n->next;
}

/* ---- primary expressions ------------------------------------------------------------------- */

static vg_status make_const(vg_jparser *p, vg_jval value, vg_jnode **out)
{
    VG_TRY(vg_jparse_node(p, VG_JN_CONST, p->t->line, out));
    (*out)->value = value;
    vg_jparse_next(p);
    return VG_OK;
}

static vg_status parse_name(vg_jparser *p, bool target, vg_jnode **out)
{
    vg_str name = p->t->text;
    uint32_t line = p->t->line;
    if (vg_str_is(name, "true") || vg_str_is(name, "True"))
        return make_const(p, vg_jval_bool(true), out);
    if (vg_str_is(name, "false") || vg_str_is(name, "False"))
        return make_const(p, vg_jval_bool(false), out);
    if (vg_str_is(name, "none") || vg_str_is(name, "None"))
        return make_const(p, vg_jval_none(), out);
    VG_TRY(vg_jparse_node(p, VG_JN_NAME, line, out));
    (*out)->name = name;
    vg_jparse_next(p);
    if (target && vg_jparse_skip_op(p, VG_JOP_DOT)) {
        vg_str attr;
        VG_TRY(vg_jparse_expect_name(p, &attr));
        (*out)->type = VG_JN_NSREF;
        (*out)->value = vg_jval_str(attr);
    }
    return VG_OK;
}

/* Neighbouring strings are one string. */
static vg_status parse_string(vg_jparser *p, vg_jnode **out)
{
    VG_TRY(make_const(p, vg_jval_str(p->t->text), out));
    while (p->t->type == VG_JT_STRING) {
        vg_jval more = vg_jval_str(p->t->text);
        VG_TRY(vg_jstr_concat(p->j, &(*out)->value, &more, &(*out)->value));
        vg_jparse_next(p);
    }
    return VG_OK;
}

static vg_status parse_list(vg_jparser *p, vg_jnode **out)
{
    VG_TRY(vg_jparse_node(p, VG_JN_LIST, p->t->line, out));
    vg_jnode **tail = &(*out)->list, *item;
    vg_jparse_next(p);
    while (!vg_jparse_is_op(p, VG_JOP_RBRACKET)) {
        if ((*out)->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        if (vg_jparse_is_op(p, VG_JOP_RBRACKET)) break;
        VG_TRY(vg_jparse_expr(p, true, &item));
        tail = append(tail, item);
    }
    return vg_jparse_expect_op(p, VG_JOP_RBRACKET);
}

static vg_status parse_dict(vg_jparser *p, vg_jnode **out)
{
    VG_TRY(vg_jparse_node(p, VG_JN_DICT, p->t->line, out));
    vg_jnode **tail = &(*out)->list, *pair;
    vg_jparse_next(p);
    while (!vg_jparse_is_op(p, VG_JOP_RBRACE)) {
        if ((*out)->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        if (vg_jparse_is_op(p, VG_JOP_RBRACE)) break;
        VG_TRY(vg_jparse_node(p, VG_JN_PAIR, p->t->line, &pair));
        VG_TRY(vg_jparse_expr(p, true, &pair->a));
        VG_TRY(vg_jparse_expect_op(p, VG_JOP_COLON));
        VG_TRY(vg_jparse_expr(p, true, &pair->b));
        tail = append(tail, pair);
    }
    return vg_jparse_expect_op(p, VG_JOP_RBRACE);
}

static vg_status parse_primary(vg_jparser *p, bool target, vg_jnode **out)
{
    const vg_jtoken *t = p->t;
    switch (t->type) {
    case VG_JT_NAME:
        return parse_name(p, target, out);
    case VG_JT_STRING:
        return parse_string(p, out);
    case VG_JT_INT:
        return make_const(p, vg_jval_int(t->i), out);
    case VG_JT_FLOAT:
        return make_const(p, vg_jval_float(t->f), out);
    case VG_JT_OP:
        if (t->op == VG_JOP_LBRACKET) return parse_list(p, out);
        if (t->op == VG_JOP_LBRACE) return parse_dict(p, out);
        if (t->op == VG_JOP_LPAREN) {
            vg_jparse_next(p);
            VG_TRY(vg_jparse_tuple(p, (vg_jtuple_rule){.cond = true, .parens = true}, out));
            return vg_jparse_expect_op(p, VG_JOP_RPAREN);
        }
        break;
    default:
        break;
    }
    return vg_jparse_unexpected(p, "an expression");
}

static bool tuple_ends(const vg_jparser *p, const char *end_name)
{
    if (p->t->type == VG_JT_VAR_END || p->t->type == VG_JT_BLOCK_END) return true;
    return vg_jparse_is_op(p, VG_JOP_RPAREN) || (end_name && vg_jparse_is_name(p, end_name));
}

vg_status vg_jparse_tuple(vg_jparser *p, vg_jtuple_rule rule, vg_jnode **out)
{
    vg_jnode *tuple, **tail, *item;
    bool comma = false;
    VG_TRY(vg_jparse_node(p, VG_JN_TUPLE, p->t->line, &tuple));
    tail = &tuple->list;
    while (true) {
        if (tuple->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        if (tuple_ends(p, rule.end_name)) break;
        if (rule.target) VG_TRY(parse_primary(p, rule.ns, &item));
        else VG_TRY(vg_jparse_expr(p, rule.cond, &item));
        tail = append(tail, item);
        if (!vg_jparse_is_op(p, VG_JOP_COMMA)) break;
        comma = true;
    }
    *out = tuple;
    if (comma) return VG_OK;
    if (tuple->list) {
        *out = tuple->list;
        return VG_OK;
    }
    return rule.parens ? VG_OK : vg_jparse_unexpected(p, "an expression");
}

/* ---- what follows a primary ---------------------------------------------------------------- */

/* One part of a subscript: an expression or a slice. */
static vg_status parse_subscribed(vg_jparser *p, vg_jnode **out)
{
    vg_jnode *first = NULL, *slice;
    if (!vg_jparse_is_op(p, VG_JOP_COLON)) {
        VG_TRY(vg_jparse_expr(p, true, &first));
        if (!vg_jparse_is_op(p, VG_JOP_COLON)) {
            *out = first;
            return VG_OK;
        }
    }
    VG_TRY(vg_jparse_node(p, VG_JN_SLICE, p->t->line, &slice));
    slice->a = first;
    vg_jnode **part[] = {&slice->b, &slice->c};
    for (size_t i = 0; i < 2 && vg_jparse_skip_op(p, VG_JOP_COLON); i++) {
        bool none = vg_jparse_is_op(p, VG_JOP_COLON) || vg_jparse_is_op(p, VG_JOP_COMMA) ||
                    vg_jparse_is_op(p, VG_JOP_RBRACKET);
        if (!none) VG_TRY(vg_jparse_expr(p, true, part[i]));
    }
    *out = slice;
    return VG_OK;
}

static vg_status parse_brackets(vg_jparser *p, vg_jnode *on, vg_jnode **out)
{
    vg_jnode *n, *tuple, **tail, *arg;
    VG_TRY(vg_jparse_node(p, VG_JN_ITEM, p->t->line, &n));
    VG_TRY(vg_jparse_node(p, VG_JN_TUPLE, p->t->line, &tuple));
    vg_jparse_next(p);
    tail = &tuple->list;
    while (!vg_jparse_is_op(p, VG_JOP_RBRACKET)) {
        if (tuple->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        VG_TRY(parse_subscribed(p, &arg));
        tail = append(tail, arg);
    }
    vg_jparse_next(p);
    n->a = on;
    n->b = tuple->list && !tuple->list->next ? tuple->list : tuple;
    *out = n;
    return VG_OK;
}

static vg_status parse_dot(vg_jparser *p, vg_jnode *on, vg_jnode **out)
{
    uint32_t line = p->t->line;
    vg_jparse_next(p);
    if (p->t->type == VG_JT_INT) {
        VG_TRY(vg_jparse_node(p, VG_JN_ITEM, line, out));
        (*out)->a = on;
        return make_const(p, vg_jval_int(p->t->i), &(*out)->b);
    }
    VG_TRY(vg_jparse_node(p, VG_JN_ATTR, line, out));
    (*out)->a = on;
    return vg_jparse_expect_name(p, &(*out)->name);
}

static vg_status parse_arg(vg_jparser *p, bool *named, bool *star, bool *starstar, vg_jnode **out)
{
    uint32_t line = p->t->line;
    if (vg_jparse_is_op(p, VG_JOP_MUL)) {
        if (*star || *starstar) return vg_jparse_fail(p, "invalid function call syntax");
        *star = true;
        vg_jparse_next(p);
        VG_TRY(vg_jparse_node(p, VG_JN_STAR, line, out));
    } else if (vg_jparse_is_op(p, VG_JOP_POW)) {
        if (*starstar) return vg_jparse_fail(p, "invalid function call syntax");
        *starstar = true;
        vg_jparse_next(p);
        VG_TRY(vg_jparse_node(p, VG_JN_STARSTAR, line, out));
    } else if (p->t->type == VG_JT_NAME && p->t[1].type == VG_JT_OP &&
               p->t[1].op == VG_JOP_ASSIGN) {
        if (*starstar) return vg_jparse_fail(p, "invalid function call syntax");
        *named = true;
        VG_TRY(vg_jparse_node(p, VG_JN_KEYWORD, line, out));
        (*out)->name = p->t->text;
        p->t += 2;
    } else {
        if (*named || *star || *starstar) return vg_jparse_fail(p, "invalid function call syntax");
        VG_TRY(vg_jparse_node(p, VG_JN_ARG, line, out));
    }
    return vg_jparse_expr(p, true, &(*out)->a);
}

static vg_status parse_args(vg_jparser *p, vg_jnode **list)
{
    bool named = false, star = false, starstar = false;
    vg_jnode **tail = list, *arg;
    vg_jparse_next(p);
    while (!vg_jparse_is_op(p, VG_JOP_RPAREN)) {
        if (*list) {
            VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
            if (vg_jparse_is_op(p, VG_JOP_RPAREN)) break;
        }
        VG_TRY(parse_arg(p, &named, &star, &starstar, &arg));
        tail = append(tail, arg);
    }
    vg_jparse_next(p);
    return VG_OK;
}

static vg_status parse_call(vg_jparser *p, vg_jnode *on, vg_jnode **out)
{
    VG_TRY(vg_jparse_node(p, VG_JN_CALL, p->t->line, out));
    (*out)->a = on;
    return parse_args(p, &(*out)->list);
}

static vg_status parse_postfix(vg_jparser *p, vg_jnode **n)
{
    while (p->t->type == VG_JT_OP) {
        if (p->t->op == VG_JOP_DOT) VG_TRY(parse_dot(p, *n, n));
        else if (p->t->op == VG_JOP_LBRACKET) VG_TRY(parse_brackets(p, *n, n));
        else if (p->t->op == VG_JOP_LPAREN) VG_TRY(parse_call(p, *n, n));
        else break;
    }
    return VG_OK;
}

/* A name with dots, as filters and tests may have. */
static vg_status parse_dotted(vg_jparser *p, vg_str *name)
{
    VG_TRY(vg_jparse_expect_name(p, name));
    while (vg_jparse_skip_op(p, VG_JOP_DOT)) {
        vg_str part;
        VG_TRY(vg_jparse_expect_name(p, &part));
        name->n = (size_t)(part.p + part.n - name->p); /* as written; no such filter exists */
    }
    return VG_OK;
}

vg_status vg_jparse_filters(vg_jparser *p, bool begun, vg_jnode **n)
{
    while (begun || vg_jparse_skip_op(p, VG_JOP_PIPE)) {
        vg_jnode *filter;
        begun = false;
        VG_TRY(vg_jparse_node(p, VG_JN_FILTER, p->t->line, &filter));
        VG_TRY(parse_dotted(p, &filter->name));
        filter->a = *n;
        filter->fn = vg_jfilter_find(filter->name);
        if (vg_jparse_is_op(p, VG_JOP_LPAREN)) VG_TRY(parse_args(p, &filter->list));
        *n = filter;
    }
    return VG_OK;
}

/* True where a test's argument without parentheses begins. */
static bool test_arg_begins(const vg_jparser *p)
{
    switch (p->t->type) {
    case VG_JT_NAME:
        return !vg_jparse_is_name(p, "else") && !vg_jparse_is_name(p, "or") &&
               !vg_jparse_is_name(p, "and");
    case VG_JT_STRING:
    case VG_JT_INT:
    case VG_JT_FLOAT:
        return true;
    default:
        return vg_jparse_is_op(p, VG_JOP_LBRACKET) || vg_jparse_is_op(p, VG_JOP_LBRACE);
    }
}

static vg_status parse_test(vg_jparser *p, vg_jnode **n)
{
    vg_jnode *test, *negated;
    uint32_t line = p->t->line;
    vg_jparse_next(p);
    bool not = vg_jparse_skip_name(p, "not");
    VG_TRY(vg_jparse_node(p, VG_JN_TEST, line, &test));
    VG_TRY(parse_dotted(p, &test->name));
    test->a = *n;
    test->fn = vg_jtest_find(test->name);
    if (vg_jparse_is_op(p, VG_JOP_LPAREN)) {
        VG_TRY(parse_args(p, &test->list));
    } else if (test_arg_begins(p)) {
        if (vg_jparse_is_name(p, "is"))
            return vg_jparse_fail(p, "You cannot chain multiple tests with is");
        VG_TRY(vg_jparse_node(p, VG_JN_ARG, p->t->line, &test->list));
        VG_TRY(parse_primary(p, false, &test->list->a));
        VG_TRY(parse_postfix(p, &test->list->a));
    }
    *n = test;
    if (!not) return VG_OK;
    VG_TRY(vg_jparse_node(p, VG_JN_NOT, line, &negated));
    negated->a = test;
    *n = negated;
    return VG_OK;
}

/* ---- operators ----------------------------------------------------------------------------- */

static vg_status parse_unary(vg_jparser *p, bool with_filter, vg_jnode **out)
{
    VG_TRY(vg_jparse_enter(p));
    bool minus = vg_jparse_is_op(p, VG_JOP_SUB);
    if (minus || vg_jparse_is_op(p, VG_JOP_ADD)) {
        VG_TRY(vg_jparse_node(p, minus ? VG_JN_NEG : VG_JN_POS, p->t->line, out));
        vg_jparse_next(p);
        VG_TRY(parse_unary(p, false, &(*out)->a));
    } else {
        VG_TRY(parse_primary(p, false, out));
    }
    VG_TRY(parse_postfix(p, out));
    while (with_filter) {
        if (vg_jparse_is_op(p, VG_JOP_PIPE)) VG_TRY(vg_jparse_filters(p, false, out));
        else if (vg_jparse_is_name(p, "is")) VG_TRY(parse_test(p, out));
        else if (vg_jparse_is_op(p, VG_JOP_LPAREN)) VG_TRY(parse_call(p, *out, out));
        else break;
    }
    p->depth--;
    return VG_OK;
}

/* Binary operators that associate to the left, from loose to tight. ~ stands between + and *. */
enum { LEVEL_ADD, LEVEL_CONCAT, LEVEL_MUL, LEVEL_POW, LEVEL_UNARY };

static int level_of(const vg_jparser *p)
{
    if (p->t->type != VG_JT_OP) return -1;
    switch (p->t->op) {
    case VG_JOP_ADD:
    case VG_JOP_SUB:
        return LEVEL_ADD;
    case VG_JOP_TILDE:
        return LEVEL_CONCAT;
    case VG_JOP_MUL:
    case VG_JOP_DIV:
    case VG_JOP_FLOORDIV:
    case VG_JOP_MOD:
        return LEVEL_MUL;
    case VG_JOP_POW:
        return LEVEL_POW;
    default:
        return -1;
    }
}

static vg_status parse_binary(vg_jparser *p, int level, vg_jnode **out)
{
    if (level == LEVEL_UNARY) return parse_unary(p, true, out);
    VG_TRY(parse_binary(p, level + 1, out));
    vg_jnode **tail = NULL;
    while (level_of(p) == level) {
        vg_jnode *n, *right;
        uint8_t op = p->t->op;
        uint32_t line = p->t->line;
        vg_jparse_next(p);
        VG_TRY(parse_binary(p, level + 1, &right));
        if (tail) { /* one node joins all the parts of a ~ b ~ c */
            tail = append(tail, right);
            continue;
        }
        VG_TRY(vg_jparse_node(p, level == LEVEL_CONCAT ? VG_JN_CONCAT : VG_JN_BINARY, line, &n));
        n->op = op;
        if (level == LEVEL_CONCAT) {
            n->list = *out;
            tail = append(&(*out)->next, right);
        } else {
            n->a = *out;
            n->b = right;
        }
        *out = n;
    }
    return VG_OK;
}

static uint8_t compare_op(vg_jparser *p)
{
    uint8_t op = p->t->op;
    if (p->t->type == VG_JT_OP && op >= VG_JOP_EQ && op <= VG_JOP_GE) {
        vg_jparse_next(p);
        return op;
    }
    if (vg_jparse_skip_name(p, "in")) return VG_JOP_IN;
    if (vg_jparse_is_name(p, "not") && p->t[1].type == VG_JT_NAME &&
        vg_str_is(p->t[1].text, "in")) {
        p->t += 2;
        return VG_JOP_NOTIN;
    }
    return VG_JOP_NONE;
}

static vg_status parse_compare(vg_jparser *p, vg_jnode **out)
{
    uint32_t line = p->t->line;
    VG_TRY(parse_binary(p, LEVEL_ADD, out));
    vg_jnode *n = NULL, **tail = NULL, *operand;
    for (uint8_t op; (op = compare_op(p)) != VG_JOP_NONE;) {
        if (!n) {
            VG_TRY(vg_jparse_node(p, VG_JN_COMPARE, line, &n));
            n->a = *out;
            tail = &n->list;
            *out = n;
        }
        VG_TRY(vg_jparse_node(p, VG_JN_OPERAND, p->t->line, &operand));
        operand->op = op;
        VG_TRY(parse_binary(p, LEVEL_ADD, &operand->a));
        tail = append(tail, operand);
    }
    return VG_OK;
}

static vg_status parse_not(vg_jparser *p, vg_jnode **out)
{
    if (!vg_jparse_is_name(p, "not")) return parse_compare(p, out);
    VG_TRY(vg_jparse_enter(p));
    VG_TRY(vg_jparse_node(p, VG_JN_NOT, p->t->line, out));
    vg_jparse_next(p);
    VG_TRY(parse_not(p, &(*out)->a));
    p->depth--;
    return VG_OK;
}

static vg_status parse_logic(vg_jparser *p, bool is_or, vg_jnode **out)
{
    VG_TRY(is_or ? parse_logic(p, false, out) : parse_not(p, out));
    while (vg_jparse_is_name(p, is_or ? "or" : "and")) {
        vg_jnode *n;
        VG_TRY(vg_jparse_node(p, is_or ? VG_JN_OR : VG_JN_AND, p->t->line, &n));
        vg_jparse_next(p);
        n->a = *out;
        VG_TRY(is_or ? parse_logic(p, false, &n->b) : parse_not(p, &n->b));
        *out = n;
    }
    return VG_OK;
}

vg_status vg_jparse_expr(vg_jparser *p, bool with_cond, vg_jnode **out)
{
    VG_TRY(vg_jparse_enter(p));
    VG_TRY(parse_logic(p, true, out));
    while (with_cond && vg_jparse_is_name(p, "if")) {
        vg_jnode *n;
        VG_TRY(vg_jparse_node(p, VG_JN_COND, p->t->line, &n));
        vg_jparse_next(p);
        n->b = *out;
        VG_TRY(parse_logic(p, true, &n->a));
        if (vg_jparse_skip_name(p, "else")) VG_TRY(vg_jparse_expr(p, true, &n->c));
        *out = n;
    }
    p->depth--;
    return VG_OK;
}
