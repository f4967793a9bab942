/* The parser of template statements: {% if %}, {% for %}, {% set %} and the rest, and the text
 * between them. Statements that reach for other templates (extends, include, import) are refused:
 * a chat template stands alone. */
#include "model/jinja_parse.h"

typedef struct ends {
    const char *name[3]; /* of the tags that end a body */
} ends;

static vg_status parse_body(vg_jparser *p, ends until, vg_jnode **body);

static vg_status expect_block_end(vg_jparser *p)
{
    if (p->t->type != VG_JT_BLOCK_END) return vg_jparse_unexpected(p, "end of statement block");
    vg_jparse_next(p);
    return VG_OK;
}

static bool at_end(const vg_jparser *p, ends until)
{
    for (size_t i = 0; i < VG_COUNT(until.name) && until.name[i]; i++)
        if (vg_jparse_is_name(p, until.name[i])) return true;
    return false;
}

/* The body after a tag's head; ends on the name of the tag that closes it. */
static vg_status parse_block(vg_jparser *p, ends until, vg_jnode **body)
{
    vg_jparse_skip_op(p, VG_JOP_COLON);
    VG_TRY(expect_block_end(p));
    VG_TRY(parse_body(p, until, body));
    if (p->t->type == VG_JT_EOF) return vg_jparse_unexpected(p, until.name[0]);
    return VG_OK;
}

/* The same where only one tag can close it, whose name is taken. */
static vg_status parse_to(vg_jparser *p, const char *end, vg_jnode **body)
{
    VG_TRY(parse_block(p, (ends){{end}}, body));
    vg_jparse_next(p);
    return VG_OK;
}

/* A body that is a function of its own: loops around it cannot be left from inside. */
static vg_status parse_own(vg_jparser *p, const char *end, vg_jnode **body)
{
    int loops = p->loops;
    p->loops = 0;
    VG_TRY(parse_to(p, end, body));
    p->loops = loops;
    return VG_OK;
}

static vg_status check_target(vg_jparser *p, vg_jnode *n)
{
    if (n->type == VG_JN_NAME) {
        n->flag = true;
        return VG_OK;
    }
    if (n->type == VG_JN_NSREF) return VG_OK;
    if (n->type != VG_JN_TUPLE) return vg_jparse_fail(p, "can't assign to this expression");
    for (vg_jnode *item = n->list; item; item = item->next) VG_TRY(check_target(p, item));
    return VG_OK;
}

static vg_status parse_target(vg_jparser *p, bool ns, const char *end, vg_jnode **out)
{
    VG_TRY(vg_jparse_tuple(p, (vg_jtuple_rule){.target = true, .ns = ns, .end_name = end}, out));
    return check_target(p, *out);
}

static vg_status parse_set(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(parse_target(p, true, NULL, &n->a));
    if (vg_jparse_skip_op(p, VG_JOP_ASSIGN))
        return vg_jparse_tuple(p, (vg_jtuple_rule){.cond = true}, &n->b);
    n->type = VG_JN_SETBLOCK;
    VG_TRY(vg_jparse_filters(p, false, &n->b));
    return parse_to(p, "endset", &n->body);
}

static vg_status parse_for(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(parse_target(p, false, "in", &n->a));
    if (!vg_jparse_skip_name(p, "in")) return vg_jparse_unexpected(p, "'in'");
    VG_TRY(vg_jparse_tuple(p, (vg_jtuple_rule){.end_name = "recursive"}, &n->b));
    if (vg_jparse_skip_name(p, "if")) VG_TRY(vg_jparse_expr(p, true, &n->c));
    n->flag = vg_jparse_skip_name(p, "recursive");
    p->loops++;
    VG_TRY(parse_block(p, (ends){{"endfor", "else"}}, &n->body));
    p->loops--;
    if (vg_jparse_skip_name(p, "else")) return parse_to(p, "endfor", &n->other);
    vg_jparse_next(p);
    return VG_OK;
}

/* {% elif %} is an {% if %} inside the {% else %}, marked so that both end at one {% endif %}. */
static vg_status parse_if(vg_jparser *p, vg_jnode *n)
{
    while (true) {
        VG_TRY(vg_jparse_tuple(p, (vg_jtuple_rule){0}, &n->a));
        VG_TRY(parse_block(p, (ends){{"endif", "elif", "else"}}, &n->body));
        if (!vg_jparse_is_name(p, "elif")) break;
        VG_TRY(vg_jparse_node(p, VG_JN_IF, p->t->line, &n->other));
        vg_jparse_next(p);
        n = n->other;
    }
    if (vg_jparse_skip_name(p, "else")) return parse_to(p, "endif", &n->other);
    vg_jparse_next(p);
    return VG_OK;
}

static vg_status parse_params(vg_jparser *p, vg_jnode **list)
{
    vg_jnode **tail = list;
    bool defaults = false;
    VG_TRY(vg_jparse_expect_op(p, VG_JOP_LPAREN));
    while (!vg_jparse_is_op(p, VG_JOP_RPAREN)) {
        vg_jnode *param;
        if (*list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        VG_TRY(vg_jparse_node(p, VG_JN_PARAM, p->t->line, &param));
        VG_TRY(vg_jparse_expect_name(p, &param->name));
        if (vg_jparse_skip_op(p, VG_JOP_ASSIGN)) {
            VG_TRY(vg_jparse_expr(p, true, &param->a));
            defaults = true;
        } else if (defaults) {
            return vg_jparse_fail(p, "non-default argument follows default argument");
        }
        *tail = param;
        tail = &param->next;
    }
    vg_jparse_next(p);
    return VG_OK;
}

static vg_status parse_macro(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(vg_jparse_expect_name(p, &n->name));
    VG_TRY(parse_params(p, &n->list));
    return parse_own(p, "endmacro", &n->body);
}

static vg_status parse_call(vg_jparser *p, vg_jnode *n)
{
    if (vg_jparse_is_op(p, VG_JOP_LPAREN)) VG_TRY(parse_params(p, &n->list));
    VG_TRY(vg_jparse_expr(p, true, &n->a));
    if (n->a->type != VG_JN_CALL) return vg_jparse_fail(p, "expected call");
    return parse_own(p, "endcall", &n->body);
}

static vg_status parse_filter(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(vg_jparse_filters(p, true, &n->a));
    return parse_to(p, "endfilter", &n->body);
}

static vg_status parse_with(vg_jparser *p, vg_jnode *n)
{
    vg_jnode **tail = &n->list;
    while (p->t->type != VG_JT_BLOCK_END) {
        vg_jnode *pair;
        if (n->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        VG_TRY(vg_jparse_node(p, VG_JN_PAIR, p->t->line, &pair));
        VG_TRY(parse_target(p, false, NULL, &pair->a));
        VG_TRY(vg_jparse_expect_op(p, VG_JOP_ASSIGN));
        VG_TRY(vg_jparse_expr(p, true, &pair->b));
        *tail = pair;
        tail = &pair->next;
    }
    return parse_to(p, "endwith", &n->body);
}

static vg_status parse_autoescape(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(vg_jparse_expr(p, true, &n->a));
    return parse_to(p, "endautoescape", &n->body);
}

static vg_status parse_generation(vg_jparser *p, vg_jnode *n)
{
    return parse_own(p, "endgeneration", &n->body);
}

static vg_status parse_named_block(vg_jparser *p, vg_jnode *n)
{
    VG_TRY(vg_jparse_expect_name(p, &n->name));
    n->flag = vg_jparse_skip_name(p, "scoped");
    if (vg_jparse_is_name(p, "required"))
        return vg_jparse_fail(p, "a required block needs a child template, which chat templates "
                                 "cannot have");
    VG_TRY(parse_own(p, "endblock", &n->body));
    if (p->t->type == VG_JT_NAME && vg_str_eq(p->t->text, n->name)) vg_jparse_next(p);
    return VG_OK;
}

static vg_status parse_print(vg_jparser *p, vg_jnode *n)
{
    vg_jnode **tail = &n->list;
    while (p->t->type != VG_JT_BLOCK_END) {
        if (n->list) VG_TRY(vg_jparse_expect_op(p, VG_JOP_COMMA));
        VG_TRY(vg_jparse_expr(p, true, tail));
        tail = &(*tail)->next;
    }
    return VG_OK;
}

static vg_status parse_leave(vg_jparser *p, vg_jnode *n)
{
    if (p->loops) return VG_OK;
    return vg_jparse_fail(p, n->type == VG_JN_BREAK ? "'break' outside loop"
                                                    : "'continue' not properly in loop");
}

static vg_status refuse(vg_jparser *p, vg_jnode *n)
{
    VG_UNUSED(n);
    p->t--;
    p->j->line = p->t->line;
    return VG_JFAIL(p->j, "{%% %.*s %%} reaches for another template; a chat template stands alone",
                    VG_STR_ARG(p->t->text));
}

static const struct {
    const char *name;
    vg_jtype type;
    vg_status (*parse)(vg_jparser *p, vg_jnode *n);
} statements[] = {
    {"if", VG_JN_IF, parse_if},
    {"for", VG_JN_FOR, parse_for},
    {"set", VG_JN_SET, parse_set},
    {"macro", VG_JN_MACRO, parse_macro},
    {"call", VG_JN_CALLBLOCK, parse_call},
    {"filter", VG_JN_FILTERBLOCK, parse_filter},
    {"with", VG_JN_WITH, parse_with},
    {"autoescape", VG_JN_AUTOESCAPE, parse_autoescape},
    {"generation", VG_JN_SCOPE, parse_generation},
    {"block", VG_JN_BLOCK, parse_named_block},
    {"print", VG_JN_OUTPUT, parse_print},
    {"break", VG_JN_BREAK, parse_leave},
    {"continue", VG_JN_CONTINUE, parse_leave},
    {"extends", VG_JN_SCOPE, refuse},
    {"include", VG_JN_SCOPE, refuse},
    {"import", VG_JN_SCOPE, refuse},
    {"from", VG_JN_SCOPE, refuse},
};

static vg_status parse_statement(vg_jparser *p, vg_jnode **out)
{
    if (p->t->type != VG_JT_NAME) return vg_jparse_unexpected(p, "a tag name");
    for (size_t i = 0; i < VG_COUNT(statements); i++) {
        if (!vg_jparse_is_name(p, statements[i].name)) continue;
        VG_TRY(vg_jparse_enter(p));
        VG_TRY(vg_jparse_node(p, statements[i].type, p->t->line, out));
        vg_jparse_next(p);
        VG_TRY(statements[i].parse(p, *out));
        p->depth--;
        return VG_OK;
    }
    p->j->line = p->t->line;
    return VG_JFAIL(p->j, "Encountered unknown tag '%.*s'", VG_STR_ARG(p->t->text));
}

/* Statements and text up to a tag of `until`, whose name is then the current token, or the end. */
static vg_status parse_body(vg_jparser *p, ends until, vg_jnode **body)
{
    vg_jnode **tail = body;
    while (p->t->type != VG_JT_EOF) {
        vg_jnode *n;
        if (p->t->type == VG_JT_DATA) {
            VG_TRY(vg_jparse_node(p, VG_JN_DATA, p->t->line, &n));
            n->value = vg_jval_str(p->t->text);
            vg_jparse_next(p);
        } else if (p->t->type == VG_JT_VAR_BEGIN) {
            VG_TRY(vg_jparse_node(p, VG_JN_OUTPUT, p->t->line, &n));
            vg_jparse_next(p);
            VG_TRY(vg_jparse_tuple(p, (vg_jtuple_rule){.cond = true}, &n->list));
            if (p->t->type != VG_JT_VAR_END)
                return vg_jparse_unexpected(p, "end of print statement");
            vg_jparse_next(p);
        } else {
            vg_jparse_next(p);
            if (at_end(p, until)) return VG_OK;
            VG_TRY(parse_statement(p, &n));
            VG_TRY(expect_block_end(p));
        }
        *tail = n;
        tail = &n->next;
    }
    return VG_OK;
}

vg_status vg_jparse(vg_jinja *j, vg_str source, vg_jnode **out)
{
    vg_jtoken *tok;
    VG_TRY(vg_jlex(j, source, &tok));
    vg_jparser p = {.j = j, .t = tok};
    *out = NULL;
    return parse_body(&p, (ends){{NULL}}, out);
}
