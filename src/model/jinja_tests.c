/* Tests: what may stand after `is`. */
#include "model/jinja_int.h"

#define TEST(name)                                                                                 \
    static vg_status name(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)

/* A test that looks at the value alone. */
#define SIMPLE_TEST(name, condition)                                                               \
    TEST(name)                                                                                     \
    {                                                                                              \
        VG_UNUSED(j);                                                                              \
        VG_UNUSED(arg);                                                                            \
        *out = vg_jval_bool(condition);                                                            \
        return VG_OK;                                                                              \
    }

SIMPLE_TEST(is_defined, self->kind != VG_J_UNDEF)
SIMPLE_TEST(is_undefined, self->kind == VG_J_UNDEF)
SIMPLE_TEST(is_none, self->kind == VG_J_NONE)
SIMPLE_TEST(is_boolean, self->kind == VG_J_BOOL)
SIMPLE_TEST(is_false, self->kind == VG_J_BOOL && !self->i)
SIMPLE_TEST(is_true, self->kind == VG_J_BOOL && self->i)
SIMPLE_TEST(is_integer, self->kind == VG_J_INT)
SIMPLE_TEST(is_float, self->kind == VG_J_FLOAT)
SIMPLE_TEST(is_number, vg_jval_is_number(self))
SIMPLE_TEST(is_string, self->kind == VG_J_STR)
SIMPLE_TEST(is_mapping, self->kind == VG_J_DICT)
SIMPLE_TEST(is_callable, vg_jval_callable(self))
SIMPLE_TEST(is_escaped, self->kind == VG_J_STR && self->markup)
SIMPLE_TEST(is_iterable, (self->kind == VG_J_UNDEF ||
                          (self->kind >= VG_J_STR && self->kind <= VG_J_ITER) ||
                          self->kind == VG_J_LOOP))
/* What has len() and []: an undefined value has both, a set of keys has no []. */
SIMPLE_TEST(is_sequence, vg_jval_has_len(self) && self->kind != VG_J_VIEW)
SIMPLE_TEST(is_filter, self->kind == VG_J_STR && vg_jfilter_find(vg_jval_chars(self)) != NULL)
SIMPLE_TEST(is_test, self->kind == VG_J_STR && vg_jtest_find(vg_jval_chars(self)) != NULL)

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
