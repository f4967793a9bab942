/* Tests: what may stand after `is`. Each is a function of the value before it and of the arguments
 * after it; comparisons have several names. Whether something is a sequence, a mapping or iterable
 * is asked as Python's types answer, undefined values included. */
#include "model/jinja_int.h"

#define TEST(name)                                                                                 \
    static vg_status name(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)

static vg_status answer(bool yes, vg_jval *out)
{
    *out = vg_jval_bool(yes);
    return VG_OK;
}

TEST(is_defined)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind != VG_J_UNDEF, out);
}

TEST(is_undefined)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_UNDEF, out);
}

TEST(is_none)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_NONE, out);
}

TEST(is_boolean)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_BOOL, out);
}

TEST(is_false)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_BOOL && !self->i, out);
}

TEST(is_true)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_BOOL && self->i, out);
}

TEST(is_integer)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_INT, out);
}

TEST(is_float)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_FLOAT, out);
}

TEST(is_number)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(vg_jval_is_number(self), out);
}

TEST(is_string)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_STR, out);
}

TEST(is_mapping)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_DICT, out);
}

TEST(is_callable)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(vg_jval_callable(self), out);
}

TEST(is_escaped)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(self->kind == VG_J_STR && self->markup, out);
}

TEST(is_iterable)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    bool walks = self->kind >= VG_J_STR && self->kind <= VG_J_ITER;
    return answer(walks || self->kind == VG_J_UNDEF || self->kind == VG_J_LOOP, out);
}

/* What has len() and []: an undefined value has both, a set of keys has no []. */
TEST(is_sequence)
{
    VG_UNUSED(j);
    VG_UNUSED(arg);
    return answer(vg_jval_has_len(self) && self->kind != VG_J_VIEW, out);
}

TEST(is_filter)
{
    VG_UNUSED(arg);
    VG_TRY(vg_jval_hashable(j, self));
    return answer(self->kind == VG_J_STR && vg_jfilter_find(vg_jval_chars(self)) != NULL, out);
}

TEST(is_test)
{
    VG_UNUSED(arg);
    VG_TRY(vg_jval_hashable(j, self));
    return answer(self->kind == VG_J_STR && vg_jtest_find(vg_jval_chars(self)) != NULL, out);
}

static vg_status remainder_is(vg_jinja *j, const vg_jval *self, const vg_jval *by, int64_t want,
                              vg_jval *out)
{
    vg_jval rest, wanted = vg_jval_int(want);
    bool same;
    VG_TRY(vg_jval_binary(j, VG_JOP_MOD, self, by, &rest));
    VG_TRY(vg_jval_eq(j, &rest, &wanted, &same));
    *out = vg_jval_bool(same);
    return VG_OK;
}

TEST(is_odd)
{
    VG_UNUSED(arg);
    vg_jval two = vg_jval_int(2);
    return remainder_is(j, self, &two, 1, out);
}

TEST(is_even)
{
    VG_UNUSED(arg);
    vg_jval two = vg_jval_int(2);
    return remainder_is(j, self, &two, 0, out);
}

TEST(is_divisible)
{
    return remainder_is(j, self, &arg[0], 0, out);
}

/* Cased characters are there, and all of them are of this case. */
static vg_status case_is(vg_jinja *j, const vg_jval *self, bool upper, vg_jval *out)
{
    vg_jval text;
    bool some = false, all = true;
    VG_TRY(vg_jval_text(j, self, &text));
    VG_TRY(vg_jcharge_bytes(j, text.n));
    for (size_t i = 0; i < text.n;) {
        int32_t cp;
        i += vg_utf8_next(text.s + i, text.n - i, &cp);
        bool up = vg_jcp_upper(cp), low = vg_jcp_lower(cp);
        some = some || (upper ? up : low);
        all = all && !(upper ? low : up);
    }
    *out = vg_jval_bool(some && all);
    return VG_OK;
}

TEST(is_lower)
{
    VG_UNUSED(arg);
    return case_is(j, self, false, out);
}

TEST(is_upper)
{
    VG_UNUSED(arg);
    return case_is(j, self, true, out);
}

/* The same object. Equal strings and numbers count as one, which Python leaves open. */
TEST(is_same)
{
    bool same = self->kind == arg[0].kind;
    if (same && self->kind > VG_J_STR) same = self->list == arg[0].list;
    else if (same) VG_TRY(vg_jval_eq(j, self, &arg[0], &same));
    *out = vg_jval_bool(same);
    return VG_OK;
}

static vg_status compare(vg_jinja *j, vg_jop op, const vg_jval *a, const vg_jval *b, vg_jval *out)
{
    bool yes;
    VG_TRY(vg_jval_compare(j, op, a, b, &yes));
    *out = vg_jval_bool(yes);
    return VG_OK;
}

TEST(is_in)
{
    return compare(j, VG_JOP_IN, self, &arg[0], out);
}

TEST(is_eq)
{
    return compare(j, VG_JOP_EQ, self, &arg[0], out);
}

TEST(is_ne)
{
    return compare(j, VG_JOP_NE, self, &arg[0], out);
}

TEST(is_lt)
{
    return compare(j, VG_JOP_LT, self, &arg[0], out);
}

TEST(is_le)
{
    return compare(j, VG_JOP_LE, self, &arg[0], out);
}

TEST(is_gt)
{
    return compare(j, VG_JOP_GT, self, &arg[0], out);
}

TEST(is_ge)
{
    return compare(j, VG_JOP_GE, self, &arg[0], out);
}

const vg_jbuiltin vg_jtests[] = {
    {"defined", "", 0, is_defined, NULL},     {"undefined", "", 0, is_undefined, NULL},
    {"none", "", 0, is_none, NULL},           {"boolean", "", 0, is_boolean, NULL},
    {"false", "", 0, is_false, NULL},         {"true", "", 0, is_true, NULL},
    {"integer", "", 0, is_integer, NULL},     {"float", "", 0, is_float, NULL},
    {"number", "", 0, is_number, NULL},       {"string", "", 0, is_string, NULL},
    {"mapping", "", 0, is_mapping, NULL},     {"callable", "", 0, is_callable, NULL},
    {"escaped", "", 0, is_escaped, NULL},     {"iterable", "", 0, is_iterable, NULL},
    {"sequence", "", 0, is_sequence, NULL},   {"filter", "", 0, is_filter, NULL},
    {"test", "", 0, is_test, NULL},           {"odd", "", 0, is_odd, NULL},
    {"even", "", 0, is_even, NULL},           {"divisibleby", "num", 1, is_divisible, NULL},
    {"lower", "", 0, is_lower, NULL},         {"upper", "", 0, is_upper, NULL},
    {"sameas", "other", 1, is_same, NULL},    {"in", "seq", 1, is_in, NULL},
    {"eq", "_", 1, is_eq, NULL},              {"equalto", "_", 1, is_eq, NULL},
    {"==", "_", 1, is_eq, NULL},              {"ne", "_", 1, is_ne, NULL},
    {"!=", "_", 1, is_ne, NULL},              {"lt", "_", 1, is_lt, NULL},
    {"lessthan", "_", 1, is_lt, NULL},        {"<", "_", 1, is_lt, NULL},
    {"le", "_", 1, is_le, NULL},              {"<=", "_", 1, is_le, NULL},
    {"gt", "_", 1, is_gt, NULL},              {"greaterthan", "_", 1, is_gt, NULL},
    {">", "_", 1, is_gt, NULL},               {"ge", "_", 1, is_ge, NULL},
    {">=", "_", 1, is_ge, NULL},              {NULL, NULL, 0, NULL, NULL}};

const vg_jbuiltin *vg_jtest_find(vg_str name)
{
    return vg_jbuiltin_find(vg_jtests, name);
}
