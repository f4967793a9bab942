/* Operators, with Python's meaning: equality and order across types, arithmetic that floors, `in`,
 * attributes, subscripts and slices. Integers have 64 bits; what leaves them is an error, since
 * Python's would go on growing. */
#include <math.h>

#include "model/jinja_int.h"

/* ---- equality and order -------------------------------------------------------------------- */

/* Exact, also where an int has more digits than a double. */
static int order_int_float(int64_t i, double f)
{
    if (f >= 9223372036854775808.0) return -1;
    if (f < -9223372036854775808.0) return 1;
    int64_t whole = (int64_t)f;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

/* Of two numbers, neither being NaN. */
static int order_numbers(const vg_jval *a, const vg_jval *b)
{
    if (a->kind == VG_J_FLOAT && b->kind == VG_J_FLOAT) return a->f < b->f ? -1 : a->f > b->f;
    if (a->kind == VG_J_FLOAT) return -order_int_float(b->i, a->f);
    if (b->kind == VG_J_FLOAT) return order_int_float(a->i, b->f);
    return a->i < b->i ? -1 : a->i > b->i;
}

static bool is_nan(const vg_jval *v)
{
    return v->kind == VG_J_FLOAT && isnan(v->f);
}

static vg_status eq_lists(vg_jinja *j, const vg_jlist *a, const vg_jlist *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) VG_TRY(vg_jval_eq(j, &a->item[i], &b->item[i], out));
    return VG_OK;
}

static vg_status eq_dicts(vg_jinja *j, const vg_jdict *a, const vg_jdict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        vg_jval other;
        VG_TRY(vg_jdict_get(j, b, &a->key[i], &other));
        *out = other.kind != VG_J_MISSING;
        if (*out) VG_TRY(vg_jval_eq(j, &a->val[i], &other, out));
    }
    return VG_OK;
}

static vg_status eq_same_kind(vg_jinja *j, const vg_jval *a, const vg_jval *b, bool *out)
{
    switch ((vg_jkind)a->kind) {
    case VG_J_MISSING:
    case VG_J_NONE:
    case VG_J_UNDEF:
        *out = true;
        return VG_OK;
    case VG_J_STR:
        VG_TRY(vg_jcharge_bytes(j, VG_MIN(a->n, b->n)));
        *out = vg_str_eq(vg_jval_chars(a), vg_jval_chars(b));
        return VG_OK;
    case VG_J_LIST:
    case VG_J_TUPLE:
        return eq_lists(j, a->list, b->list, out);
    case VG_J_DICT:
        return eq_dicts(j, a->dict, b->dict, out);
    case VG_J_RANGE:
        *out = a->range->n == b->range->n &&
               (a->range->n == 0 || (a->range->start == b->range->start &&
                                     (a->range->n == 1 || a->range->step == b->range->step)));
        return VG_OK;
    case VG_J_VIEW:
        *out = a->dict == b->dict && a->view == b->view;
        return VG_OK;
    default:
        *out = a->list == b->list; /* the object behind the value, whichever it is */
        return VG_OK;
    }
}

vg_status vg_jval_eq(vg_jinja *j, const vg_jval *a, const vg_jval *b, bool *out)
{
    VG_TRY(vg_jcharge_bytes(j, 16));
    if (vg_jval_is_number(a) && vg_jval_is_number(b)) {
        *out = !is_nan(a) && !is_nan(b) && order_numbers(a, b) == 0;
        return VG_OK;
    }
    *out = false;
    if (a->kind != b->kind) return VG_OK;
    VG_TRY(vg_jenter(j));
    VG_TRY(eq_same_kind(j, a, b, out));
    vg_jleave(j);
    return VG_OK;
}

static vg_status order_lists(vg_jinja *j, const vg_jlist *a, const vg_jlist *b, const char *op,
                             int *order)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        VG_TRY(vg_jval_eq(j, &a->item[i], &b->item[i], &same));
        if (!same) return vg_jval_order(j, &a->item[i], &b->item[i], op, order);
    }
    *order = a->n < b->n ? -1 : a->n > b->n;
    return VG_OK;
}

/* Where either side is NaN the order is 2, which no comparison accepts. */
vg_status vg_jval_order(vg_jinja *j, const vg_jval *a, const vg_jval *b, const char *op, int *order)
{
    VG_TRY(vg_jcharge_bytes(j, 16));
    if (vg_jval_is_number(a) && vg_jval_is_number(b)) {
        *order = is_nan(a) || is_nan(b) ? 2 : order_numbers(a, b);
        return VG_OK;
    }
    if (a->kind == VG_J_STR && b->kind == VG_J_STR) {
        size_t n = VG_MIN(a->n, b->n);
        VG_TRY(vg_jcharge_bytes(j, n));
        int c = n ? memcmp(a->s, b->s, n) : 0;
        *order = c ? (c < 0 ? -1 : 1) : a->n < b->n ? -1 : a->n > b->n;
        return VG_OK;
    }
    if (a->kind == b->kind && (a->kind == VG_J_LIST || a->kind == VG_J_TUPLE)) {
        VG_TRY(vg_jenter(j));
        VG_TRY(order_lists(j, a->list, b->list, op, order));
        vg_jleave(j);
        return VG_OK;
    }
    VG_TRY(vg_jval_defined(j, a));
    VG_TRY(vg_jval_defined(j, b));
    return VG_JFAIL(j, "'%s' not supported between instances of '%s' and '%s'", op, vg_jval_type(a),
                    vg_jval_type(b));
}

vg_status vg_jval_compare(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b, bool *out)
{
    int order = 0;
    switch (op) {
    case VG_JOP_EQ:
        return vg_jval_eq(j, a, b, out);
    case VG_JOP_NE:
        VG_TRY(vg_jval_eq(j, a, b, out));
        *out = !*out;
        return VG_OK;
    case VG_JOP_IN:
        return vg_jval_in(j, a, b, out);
    case VG_JOP_NOTIN:
        VG_TRY(vg_jval_in(j, a, b, out));
        *out = !*out;
        return VG_OK;
    default:
        break;
    }
    VG_TRY(vg_jval_order(j, a, b, vg_jop_text(op), &order));
    if (order == 2) *out = false;
    else if (op == VG_JOP_LT) *out = order < 0;
    else if (op == VG_JOP_LE) *out = order <= 0;
    else if (op == VG_JOP_GT) *out = order > 0;
    else *out = order >= 0;
    return VG_OK;
}

vg_status vg_jval_in(vg_jinja *j, const vg_jval *item, const vg_jval *in, bool *out)
{
    *out = false;
    if (in->kind == VG_J_STR) {
        size_t at;
        if (item->kind != VG_J_STR)
            return VG_JFAIL(j, "'in <string>' requires string as left operand, not %s",
                            vg_jval_type(item));
        VG_TRY(vg_jtext_find(j, vg_jval_chars(in), vg_jval_chars(item), 0, &at));
        *out = at != SIZE_MAX;
        return VG_OK;
    }
    if (in->kind == VG_J_DICT || (in->kind == VG_J_VIEW && in->view == 'k')) {
        vg_jval found;
        VG_TRY(vg_jval_hashable(j, item));
        VG_TRY(vg_jdict_get(j, in->dict, item, &found));
        *out = found.kind != VG_J_MISSING;
        return VG_OK;
    }
    vg_jcursor c;
    if (in->kind >= VG_J_NS || in->kind == VG_J_NONE || vg_jval_is_number(in))
        return VG_JFAIL(j, "argument of type '%s' is not iterable", vg_jval_type(in));
    VG_TRY(vg_jcursor_open(j, in, &c));
    while (!*out) {
        vg_jval next;
        VG_TRY(vg_jcursor_next(j, &c, &next));
        if (next.kind == VG_J_MISSING) break;
        VG_TRY(vg_jval_eq(j, item, &next, out));
    }
    return VG_OK;
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static vg_status overflow(vg_jinja *j)
{
    return VG_JFAIL(j, "an integer leaves the 64 bits that this interpreter has");
}

static vg_status multiply_int(vg_jinja *j, int64_t a, int64_t b, int64_t *out)
{
    uint64_t ua = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, ub = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    uint64_t p;
    bool negative = (a < 0) != (b < 0);
    if (!vg_mul64(ua, ub, &p) || p > (uint64_t)INT64_MAX + negative) return overflow(j);
    *out = (int64_t)(negative ? 0 - p : p);
    return VG_OK;
}

static vg_status power_int(vg_jinja *j, int64_t a, int64_t b, vg_jval *out)
{
    if (b < 0) {
        if (a == 0) return VG_JFAIL(j, "0.0 cannot be raised to a negative power");
        *out = vg_jval_float(pow((double)a, (double)b));
        return VG_OK;
    }
    int64_t v = 1;
    if (a == 0 || a == 1) v = b ? a : 1;
    else if (a == -1) v = b % 2 ? -1 : 1;
    else
        for (; b > 0; b--) VG_TRY(multiply_int(j, v, a, &v)); /* at most 63 rounds */
    *out = vg_jval_int(v);
    return VG_OK;
}

static vg_status int_op(vg_jinja *j, vg_jop op, int64_t a, int64_t b, vg_jval *out)
{
    int64_t v = 0;
    switch (op) {
    case VG_JOP_ADD:
        if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b) return overflow(j);
        v = a + b;
        break;
    case VG_JOP_SUB:
        if (b < 0 ? a > INT64_MAX + b : a < INT64_MIN + b) return overflow(j);
        v = a - b;
        break;
    case VG_JOP_MUL:
        VG_TRY(multiply_int(j, a, b, &v));
        break;
    case VG_JOP_POW:
        return power_int(j, a, b, out);
    case VG_JOP_DIV:
        if (b == 0) return VG_JFAIL(j, "division by zero");
        *out = vg_jval_float((double)a / (double)b);
        return VG_OK;
    default: /* FLOORDIV, MOD */
        if (b == 0) return VG_JFAIL(j, "integer division or modulo by zero");
        if (a == INT64_MIN && b == -1 && op == VG_JOP_FLOORDIV) return overflow(j);
        int64_t rest = b == -1 ? 0 : a % b;
        bool floors = rest != 0 && (rest < 0) != (b < 0);
        v = op == VG_JOP_MOD ? rest + (floors ? b : 0) : a / b - floors;
        break;
    }
    *out = vg_jval_int(v);
    return VG_OK;
}

/* The remainder takes the divisor's sign, zero included; the quotient is what is left, floored. */
static double float_mod(double a, double b, double *quotient)
{
    double mod = fmod(a, b);
    double div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) {
        mod += b;
        div -= 1;
    } else if (mod == 0) {
        mod = copysign(0.0, b);
    }
    double floored = floor(div);
    if (div != 0 && div - floored > 0.5) floored += 1;
    *quotient = div != 0 ? floored : copysign(0.0, a / b);
    return mod;
}

static vg_status float_op(vg_jinja *j, vg_jop op, double a, double b, vg_jval *out)
{
    double v, quotient;
    if (b == 0 && (op == VG_JOP_DIV || op == VG_JOP_FLOORDIV || op == VG_JOP_MOD))
        return VG_JFAIL(j, "float division by zero");
    switch (op) {
    case VG_JOP_ADD:
        v = a + b;
        break;
    case VG_JOP_SUB:
        v = a - b;
        break;
    case VG_JOP_MUL:
        v = a * b;
        break;
    case VG_JOP_DIV:
        v = a / b;
        break;
    case VG_JOP_POW:
        if (a == 0 && b < 0) return VG_JFAIL(j, "0.0 cannot be raised to a negative power");
        v = pow(a, b);
        if (isnan(v) && !isnan(a) && !isnan(b)) return VG_JFAIL(j, "complex numbers are unknown");
        if (isinf(v) && !isinf(a) && !isinf(b)) return VG_JFAIL(j, "Numerical result out of range");
        break;
    default:
        v = float_mod(a, b, &quotient);
        if (op == VG_JOP_FLOORDIV) v = quotient;
        break;
    }
    *out = vg_jval_float(v);
    return VG_OK;
}

static vg_status repeat(vg_jinja *j, const vg_jval *v, int64_t times, vg_jval *out)
{
    size_t unit = v->kind == VG_J_STR ? v->n : v->list->n, n = 0;
    if (times > 0 && !vg_mul(unit, (size_t)times, &n)) return vg_jfail_memory_for(j, SIZE_MAX);
    if (v->kind != VG_J_STR) {
        VG_TRY(vg_jlist_make(j, (vg_jkind)v->kind, n, out));
        for (size_t i = 0; i < n; i++) out->list->item[i] = v->list->item[i % unit];
        return VG_OK;
    }
    char *room;
    VG_TRY(vg_jstr_room(j, n, &room, out));
    for (size_t i = 0; i < n; i += unit) memcpy(room + i, v->s, unit);
    out->markup = v->markup;
    return VG_OK;
}

static bool repeats(const vg_jval *v)
{
    return v->kind == VG_J_STR || v->kind == VG_J_LIST || v->kind == VG_J_TUPLE;
}

static vg_status join(vg_jinja *j, const vg_jval *a, const vg_jval *b, vg_jval *out)
{
    if (a->kind == VG_J_STR) {
        vg_jval left = *a, right = *b;
        if (b->markup && !a->markup) VG_TRY(vg_jval_escape(j, a, &left));
        if (a->markup && !b->markup) VG_TRY(vg_jval_escape(j, b, &right));
        VG_TRY(vg_jstr_concat(j, &left, &right, out));
        out->markup = a->markup || b->markup;
        return VG_OK;
    }
    size_t n = a->list->n, m = b->list->n;
    VG_TRY(vg_jlist_make(j, (vg_jkind)a->kind, n + m, out));
    if (n) memcpy(out->list->item, a->list->item, n * sizeof(vg_jval));
    if (m) memcpy(out->list->item + n, b->list->item, m * sizeof(vg_jval));
    return VG_OK;
}

static vg_status binary(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b, vg_jval *out)
{
    if (vg_jval_is_int(a) && vg_jval_is_int(b)) return int_op(j, op, a->i, b->i, out);
    if (vg_jval_is_number(a) && vg_jval_is_number(b))
        return float_op(j, op, vg_jval_double(a), vg_jval_double(b), out);
    if (op == VG_JOP_MOD && a->kind == VG_J_STR) return vg_jformat_percent(j, a, b, out);
    VG_TRY(vg_jval_defined(j, a));
    VG_TRY(vg_jval_defined(j, b));
    if (op == VG_JOP_ADD && a->kind == b->kind && repeats(a)) return join(j, a, b, out);
    if (op == VG_JOP_MUL && repeats(a) && vg_jval_is_int(b)) return repeat(j, a, b->i, out);
    if (op == VG_JOP_MUL && repeats(b) && vg_jval_is_int(a)) return repeat(j, b, a->i, out);
    if (op == VG_JOP_ADD && a->kind == VG_J_STR)
        return VG_JFAIL(j, "can only concatenate str (not \"%s\") to str", vg_jval_type(b));
    if (op == VG_JOP_ADD && (a->kind == VG_J_LIST || a->kind == VG_J_TUPLE))
        return VG_JFAIL(j, "can only concatenate %s (not \"%s\") to %s", vg_jval_type(a),
                        vg_jval_type(b), vg_jval_type(a));
    return VG_JFAIL(j, "unsupported operand type(s) for %s: '%s' and '%s'",
                    op == VG_JOP_POW ? "** or pow()" : vg_jop_text(op), vg_jval_type(a),
                    vg_jval_type(b));
}

/* `out` may be one of the operands. */
vg_status vg_jval_binary(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b, vg_jval *out)
{
    vg_jval result = {0};
    VG_TRY(binary(j, op, a, b, &result));
    *out = result;
    return VG_OK;
}

vg_status vg_jval_negate(vg_jinja *j, const vg_jval *a, bool minus, vg_jval *out)
{
    VG_TRY(vg_jval_defined(j, a));
    if (a->kind == VG_J_FLOAT) {
        *out = vg_jval_float(minus ? -a->f : a->f);
        return VG_OK;
    }
    if (!vg_jval_is_int(a))
        return VG_JFAIL(j, "bad operand type for unary %s: '%s'", minus ? "-" : "+",
                        vg_jval_type(a));
    if (minus && a->i == INT64_MIN) return overflow(j);
    *out = vg_jval_int(minus ? -a->i : a->i);
    return VG_OK;
}

/* ---- attributes, subscripts, slices --------------------------------------------------------- */

/* Methods that would change a list or dict, and what begins with '_', are out of a template's
 * reach; they count as undefined, with this reason. */
static bool is_unsafe(const vg_jval *v, vg_str name)
{
    static const char *const list_names[] = {"append", "clear", "pop", "reverse", "insert", "sort",
                                             "extend", "remove"};
    static const char *const dict_names[] = {"clear", "pop", "popitem", "setdefault", "update"};
    if (name.n > 4 && memcmp(name.p, "__", 2) == 0 && memcmp(name.p + name.n - 2, "__", 2) == 0)
        return true;
    const char *const *names = v->kind == VG_J_LIST ? list_names : dict_names;
    size_t n = v->kind == VG_J_LIST ? VG_COUNT(list_names) : VG_COUNT(dict_names);
    if (v->kind != VG_J_LIST && v->kind != VG_J_DICT) return false;
    for (size_t i = 0; i < n; i++)
        if (vg_str_is(name, names[i])) return true;
    return false;
}

static vg_status macro_attr(vg_jinja *j, const vg_jnode *macro, vg_str name, vg_jval *out)
{
    size_t n = 0;
    if (vg_str_is(name, "name")) *out = vg_jval_str(macro->name);
    if (!vg_str_is(name, "arguments")) return VG_OK;
    for (const vg_jnode *p = macro->list; p; p = p->next) n++;
    VG_TRY(vg_jlist_make(j, VG_J_TUPLE, n, out));
    vg_jval *to = out->list->item;
    for (const vg_jnode *p = macro->list; p; p = p->next) *to++ = vg_jval_str(p->name);
    return VG_OK;
}

/* What Python's getattr finds; MISSING where the type has no such attribute. */
static vg_status type_attr(vg_jinja *j, const vg_jval *v, vg_str name, vg_jval *out)
{
    *out = (vg_jval){0};
    if (v->kind == VG_J_NS) {
        const vg_jval *found = vg_jdict_find(v->dict, name);
        if (found) *out = *found;
        return VG_OK;
    }
    if (v->kind == VG_J_LOOP) return vg_jloop_attr(j, v, name, out);
    if (v->kind == VG_J_MACRO) VG_TRY(macro_attr(j, v->macro->node, name, out));
    if (v->kind == VG_J_TUPLE && v->list->group) {
        if (vg_str_is(name, "grouper")) *out = v->list->item[0];
        if (vg_str_is(name, "list")) *out = v->list->item[1];
    }
    if (v->kind == VG_J_CYCLER && vg_str_is(name, "current"))
        *out = v->cycler->list.item[v->cycler->i];
    if (out->kind != VG_J_MISSING) return VG_OK;
    if (is_unsafe(v, name)) {
        *out = vg_jval_undef_in(v, name);
        out->view = 'u';
        return VG_OK;
    }
    const vg_jbuiltin *fn = vg_jmethod_find(v, name);
    if (!fn) return VG_OK;
    vg_jfunc *bound = VG_ARENA_NEW(j->arena, vg_jfunc);
    if (!bound) return vg_jfail_memory(j);
    *bound = (vg_jfunc){fn, *v};
    *out = (vg_jval){.kind = VG_J_FUNC, .func = bound};
    return VG_OK;
}

/* v[key], MISSING where Python raises KeyError, IndexError or TypeError. */
static vg_status plain_item(vg_jinja *j, const vg_jval *v, const vg_jval *key, vg_jval *out)
{
    *out = (vg_jval){0};
    if (v->kind == VG_J_DICT) {
        if (key->kind == VG_J_LIST || key->kind == VG_J_DICT) return VG_OK;
        return vg_jdict_get(j, v->dict, key, out);
    }
    if (!vg_jval_is_int(key)) return VG_OK;
    if (v->kind != VG_J_STR && v->kind != VG_J_LIST && v->kind != VG_J_TUPLE &&
        v->kind != VG_J_RANGE)
        return VG_OK;
    size_t n;
    VG_TRY(vg_jval_len(j, v, &n));
    int64_t i = key->i < 0 ? key->i + (int64_t)n : key->i;
    if (i < 0 || (uint64_t)i >= n) return VG_OK;
    if (v->kind == VG_J_RANGE) {
        *out = vg_jval_int(v->range->start + i * v->range->step);
    } else if (v->kind == VG_J_STR) {
        vg_str s = vg_jval_chars(v);
        size_t at = vg_jtext_offset(s, (size_t)i);
        int32_t cp;
        *out = vg_jval_str((vg_str){s.p + at, vg_utf8_next(s.p + at, s.n - at, &cp)});
        out->markup = v->markup;
    } else {
        *out = v->list->item[i];
    }
    return VG_OK;
}

vg_status vg_jval_attr(vg_jinja *j, const vg_jval *v, vg_str name, vg_jval *out)
{
    VG_TRY(vg_jval_defined(j, v));
    VG_TRY(type_attr(j, v, name, out));
    if (out->kind != VG_J_MISSING) return VG_OK;
    vg_jval key = vg_jval_str(name);
    VG_TRY(plain_item(j, v, &key, out));
    if (out->kind == VG_J_MISSING) *out = vg_jval_undef_in(v, name);
    return VG_OK;
}

vg_status vg_jval_item(vg_jinja *j, const vg_jval *v, const vg_jval *key, vg_jval *out)
{
    VG_TRY(vg_jval_defined(j, v));
    VG_TRY(plain_item(j, v, key, out));
    if (out->kind != VG_J_MISSING) return VG_OK;
    if (key->kind == VG_J_STR) {
        VG_TRY(type_attr(j, v, vg_jval_chars(key), out));
        if (out->kind == VG_J_MISSING) *out = vg_jval_undef_in(v, vg_jval_chars(key));
        return VG_OK;
    }
    *out = vg_jval_undef_in(v, VG_STR("that index"));
    return VG_OK;
}

/* Python's slice.indices: which of n items. */
static vg_status slice_bounds(vg_jinja *j, const vg_jval *bound, int64_t n, int64_t *start,
                              int64_t *stop, int64_t *step, size_t *count)
{
    for (size_t i = 0; i < 3; i++) {
        VG_TRY(vg_jval_defined(j, &bound[i]));
        if (bound[i].kind != VG_J_NONE && !vg_jval_is_int(&bound[i]))
            return VG_JFAIL(j, "slice indices must be integers or None");
    }
    *step = bound[2].kind == VG_J_NONE ? 1 : bound[2].i;
    if (*step == 0) return VG_JFAIL(j, "slice step cannot be zero");
    if (*step < -n - 1) *step = -n - 1; /* no larger step makes a difference */
    if (*step > n + 1) *step = n + 1;
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? n - 1 : n, end[2];
    for (size_t i = 0; i < 2; i++) {
        int64_t x = bound[i].i;
        if (bound[i].kind == VG_J_NONE) x = (*step < 0) == (i == 0) ? high : low;
        else x = x < 0 ? VG_MAX(x + n, low) : VG_MIN(x, high);
        end[i] = x;
    }
    *start = end[0];
    *stop = end[1];
    int64_t span = *step < 0 ? end[0] - end[1] : end[1] - end[0];
    int64_t by = *step < 0 ? -*step : *step;
    *count = span > 0 ? (size_t)((span - 1) / by + 1) : 0;
    return VG_OK;
}

static vg_status slice_str(vg_jinja *j, vg_str s, int64_t start, int64_t step, size_t count,
                           vg_jval *out)
{
    if (count == 0) {
        *out = vg_jval_str(VG_STR(""));
        return VG_OK;
    }
    if (step == 1) { /* shares the bytes */
        size_t at = vg_jtext_offset(s, (size_t)start);
        vg_str rest = {s.p + at, s.n - at};
        rest.n = vg_jtext_offset(rest, count);
        *out = vg_jval_str(rest);
        return VG_OK;
    }
    vg_jval whole = vg_jval_str(s), chars;
    VG_TRY(vg_jval_list(j, &whole, VG_J_LIST, &chars));
    size_t from = j->out.n;
    for (size_t i = 0; i < count; i++)
        vg_buf_str(&j->out, vg_jval_chars(&chars.list->item[start + (int64_t)i * step]));
    return vg_jstr_capture(j, from, out);
}

vg_status vg_jval_slice(vg_jinja *j, const vg_jval *v, const vg_jval *bound, vg_jval *out)
{
    size_t n, count = 0;
    int64_t start = 0, stop = 0, step = 1;
    VG_TRY(vg_jval_defined(j, v));
    if (v->kind == VG_J_DICT) return VG_JFAIL(j, "unhashable type: 'slice'");
    if (v->kind != VG_J_STR && v->kind != VG_J_LIST && v->kind != VG_J_TUPLE &&
        v->kind != VG_J_RANGE)
        return VG_JFAIL(j, "'%s' object is not subscriptable", vg_jval_type(v));
    VG_TRY(vg_jval_len(j, v, &n));
    VG_TRY(slice_bounds(j, bound, (int64_t)n, &start, &stop, &step, &count));
    if (v->kind == VG_J_STR) {
        VG_TRY(slice_str(j, vg_jval_chars(v), start, step, count, out));
        out->markup = v->markup;
        return VG_OK;
    }
    if (v->kind == VG_J_RANGE) {
        vg_jrange *r = VG_ARENA_NEW(j->arena, vg_jrange);
        if (!r) return vg_jfail_memory(j);
        int64_t by = v->range->step;
        int64_t from = v->range->start;
        *r = (vg_jrange){from + start * by, from + stop * by, step * by, count};
        *out = (vg_jval){.kind = VG_J_RANGE, .range = r};
        return VG_OK;
    }
    VG_TRY(vg_jlist_make(j, (vg_jkind)v->kind, count, out));
    for (size_t i = 0; i < count; i++)
        out->list->item[i] = v->list->item[start + (int64_t)i * step];
    return VG_OK;
}
