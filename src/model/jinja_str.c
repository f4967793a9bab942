/* The methods of strings. All count in characters. A result keeps the mark of a safe string, as
 * Markup's methods do. Parts of a string share its bytes; what is built is written to the end of
 * the output and captured from there. */
#include "model/jinja_int.h"

#define METHOD(name)                                                                               \
    static vg_status name(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_jval *out)

static bool given(const vg_jval *v)
{
    return v->kind != VG_J_MISSING;
}

/* A part of self's own bytes. */
static vg_jval part(const vg_jval *self, vg_str s)
{
    vg_jval v = vg_jval_str(s);
    v.markup = self->markup;
    return v;
}

/* An argument that is an int, or `other` where it is not given or None. */
static vg_status opt_int(vg_jinja *j, const vg_jval *v, int64_t other, int64_t *out)
{
    *out = other;
    if (!given(v) || v->kind == VG_J_NONE) return VG_OK;
    return vg_jval_want_int(j, v, "this argument", out);
}

/* ---- case ---------------------------------------------------------------------------------- */

typedef enum casing { UPPER, LOWER, FOLD, SWAP, TITLE, CAPITALIZE } casing;

/* A sigma that ends a word has a form of its own. */
static bool ends_word(vg_str s, size_t i, size_t len)
{
    int32_t before = -1, after = -1;
    size_t back = 1;
    while (back < 4 && back < i && ((unsigned char)s.p[i - back] & 0xc0) == 0x80) back++;
    if (i) vg_utf8_next(s.p + i - back, back, &before);
    if (i + len < s.n) vg_utf8_next(s.p + i + len, s.n - i - len, &after);
    return vg_jcp_alpha(before) && !vg_jcp_alpha(after);
}

static vg_status change_case(vg_jinja *j, const vg_jval *self, casing how, vg_jval *out)
{
    vg_str s = vg_jval_chars(self);
    size_t from = j->out.n;
    bool begins = true; /* of a word, or of the string */
    VG_TRY(vg_jcharge_bytes(j, 4 * s.n));
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        size_t len = vg_utf8_next(s.p + i, s.n - i, &cp);
        bool cased = vg_jcp_upper(cp) || vg_jcp_lower(cp);
        bool upper = how == UPPER || (how == SWAP && vg_jcp_lower(cp)) ||
                     ((how == TITLE || how == CAPITALIZE) && begins);
        if (cp < 0) vg_buf_add(&j->out, s.p + i, len);
        else if (cp == 0x3a3 && !upper && how != FOLD && ends_word(s, i, len))
            vg_buf_cp(&j->out, 0x3c2);
        else if (how == FOLD && (cp == 0xdf || cp == 0x1e9e)) vg_buf_text(&j->out, "ss");
        else vg_jcp_put(&j->out, cp, upper);
        begins = how == TITLE && !cased;
        i += len;
    }
    VG_TRY(vg_jstr_capture(j, from, out));
    out->markup = self->markup;
    return VG_OK;
}

METHOD(str_upper)
{
    VG_UNUSED(arg);
    return change_case(j, self, UPPER, out);
}

METHOD(str_lower)
{
    VG_UNUSED(arg);
    return change_case(j, self, LOWER, out);
}

METHOD(str_casefold)
{
    VG_UNUSED(arg);
    return change_case(j, self, FOLD, out);
}

METHOD(str_swapcase)
{
    VG_UNUSED(arg);
    return change_case(j, self, SWAP, out);
}

METHOD(str_title)
{
    VG_UNUSED(arg);
    return change_case(j, self, TITLE, out);
}

METHOD(str_capitalize)
{
    VG_UNUSED(arg);
    return change_case(j, self, CAPITALIZE, out);
}

/* ---- classes ------------------------------------------------------------------------------- */

/* Digits, also raised, lowered and circled ones. */
static bool is_digit(int32_t cp)
{
    return vg_jcp_digit(cp) || cp == 0xb2 || cp == 0xb3 || cp == 0xb9 || cp == 0x2070 ||
           (cp >= 0x2074 && cp <= 0x2079) || (cp >= 0x2080 && cp <= 0x2089) ||
           (cp >= 0x2460 && cp <= 0x2468);
}

static bool is_alnum(int32_t cp)
{
    return vg_jcp_alpha(cp) || vg_jcp_numeric(cp);
}

static bool is_ascii(int32_t cp)
{
    return cp >= 0 && cp < 0x80;
}

static bool is_name_char(int32_t cp)
{
    return is_alnum(cp) || cp == '_';
}

/* True where every character is of the class; `empty` is the answer for no characters. */
static vg_status all_are(vg_jinja *j, const vg_jval *self, bool (*is)(int32_t), bool empty,
                         vg_jval *out)
{
    bool yes = true;
    VG_TRY(vg_jcharge_bytes(j, self->n));
    for (size_t i = 0; i < self->n && yes;) {
        int32_t cp;
        i += vg_utf8_next(self->s + i, self->n - i, &cp);
        yes = is(cp);
    }
    *out = vg_jval_bool(self->n ? yes : empty);
    return VG_OK;
}

#define CLASS_METHOD(name, is, empty)                                                              \
    METHOD(name)                                                                                   \
    {                                                                                              \
        VG_UNUSED(arg);                                                                            \
        return all_are(j, self, is, empty, out);                                                   \
    }

CLASS_METHOD(str_isalnum, is_alnum, false)
CLASS_METHOD(str_isalpha, vg_jcp_alpha, false)
CLASS_METHOD(str_isascii, is_ascii, true)
CLASS_METHOD(str_isdecimal, vg_jcp_digit, false)
CLASS_METHOD(str_isdigit, is_digit, false)
CLASS_METHOD(str_isnumeric, vg_jcp_numeric, false)
CLASS_METHOD(str_isprintable, vg_jcp_printable, true)
CLASS_METHOD(str_isspace, vg_jcp_space, false)

METHOD(str_isidentifier)
{
    VG_UNUSED(arg);
    VG_TRY(all_are(j, self, is_name_char, false, out));
    if (self->n && vg_jcp_digit((unsigned char)self->s[0])) *out = vg_jval_bool(false);
    return VG_OK;
}

static vg_status ask_test(vg_jinja *j, const char *test, const vg_jval *self, vg_jval *out)
{
    return vg_jbuiltin_call(j, vg_jtest_find(vg_str_from(test)), self, &(vg_jargs){0}, out);
}

METHOD(str_islower)
{
    VG_UNUSED(arg);
    return ask_test(j, "lower", self, out);
}

METHOD(str_isupper)
{
    VG_UNUSED(arg);
    return ask_test(j, "upper", self, out);
}

METHOD(str_istitle)
{
    vg_jval titled;
    bool same;
    VG_TRY(str_title(j, self, arg, &titled));
    VG_TRY(vg_jval_eq(j, self, &titled, &same));
    VG_TRY(str_swapcase(j, self, arg, &titled)); /* unchanged where nothing has a case */
    bool cased = !vg_str_eq(vg_jval_chars(self), vg_jval_chars(&titled));
    *out = vg_jval_bool(same && cased);
    return VG_OK;
}

/* ---- stripping and splitting ---------------------------------------------------------------- */

static bool holds(vg_str set, const char *p, size_t len)
{
    for (size_t i = 0; i < set.n;) {
        int32_t cp;
        size_t n = vg_utf8_next(set.p + i, set.n - i, &cp);
        if (n == len && memcmp(set.p + i, p, n) == 0) return true;
        i += n;
    }
    return false;
}

static vg_str strip_set(vg_str s, vg_str set, bool left, bool right)
{
    while (left && s.n) {
        int32_t cp;
        size_t len = vg_utf8_next(s.p, s.n, &cp);
        if (!holds(set, s.p, len)) break;
        s.p += len;
        s.n -= len;
    }
    while (right && s.n) {
        size_t len = 1;
        int32_t cp;
        while (len < 4 && len < s.n && ((unsigned char)s.p[s.n - len] & 0xc0) == 0x80) len++;
        if (vg_utf8_next(s.p + s.n - len, len, &cp) != len) len = 1;
        if (!holds(set, s.p + s.n - len, len)) break;
        s.n -= len;
    }
    return s;
}

static vg_status strip(vg_jinja *j, const vg_jval *self, const vg_jval *chars, bool left,
                       bool right, vg_jval *out)
{
    vg_str s = vg_jval_chars(self), set;
    VG_TRY(vg_jcharge_bytes(j, s.n));
    if (!given(chars) || chars->kind == VG_J_NONE) {
        *out = part(self, vg_jtext_strip(s, left, right));
        return VG_OK;
    }
    VG_TRY(vg_jval_want_str(j, chars, "strip arg", &set));
    if (set.n) VG_TRY(vg_jcharge_bytes(j, s.n < 1024 ? 0 : s.n * VG_MIN(set.n, (size_t)64)));
    *out = part(self, strip_set(s, set, left, right));
    return VG_OK;
}

METHOD(str_strip)
{
    return strip(j, self, &arg[0], true, true, out);
}

METHOD(str_lstrip)
{
    return strip(j, self, &arg[0], true, false, out);
}

METHOD(str_rstrip)
{
    return strip(j, self, &arg[0], false, true, out);
}

/* Parts on their way into a list: as long as the text, at most. */
typedef struct parts {
    vg_jval *item;
    size_t n, cap;
} parts;

static vg_status add_part(vg_jinja *j, parts *p, vg_jval v)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        vg_jval *item = VG_ARENA_ARRAY(j->arena, vg_jval, cap);
        if (!item) return vg_jfail_memory(j);
        if (p->n) memcpy(item, p->item, p->n * sizeof *item);
        p->item = item;
        p->cap = cap;
    }
    p->item[p->n++] = v;
    return vg_jcharge_bytes(j, 16);
}

static vg_status take_parts(vg_jinja *j, const parts *p, bool reversed, vg_jval *out)
{
    VG_TRY(vg_jlist_make(j, VG_J_LIST, p->n, out));
    for (size_t i = 0; i < p->n; i++)
        out->list->item[i] = p->item[reversed ? p->n - 1 - i : i];
    return VG_OK;
}

static size_t first_space(vg_str s, size_t *len)
{
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        *len = vg_utf8_next(s.p + i, s.n - i, &cp);
        if (vg_jcp_space(cp)) return i;
        i += *len;
    }
    return s.n;
}

static size_t last_space(vg_str s)
{
    for (size_t i = s.n; i > 0; i--) {
        int32_t cp;
        size_t len = vg_utf8_next(s.p + i - 1, s.n - i + 1, &cp);
        if (vg_jcp_space(cp)) return i - 1 + len;
    }
    return 0;
}

/* split() without a separator: at runs of whitespace, none of which is left at the ends. */
static vg_status split_spaces(vg_jinja *j, const vg_jval *self, int64_t most, bool right,
                              vg_jval *out)
{
    parts p = {0};
    vg_str s = vg_jtext_strip(vg_jval_chars(self), !right, right);
    VG_TRY(vg_jcharge_bytes(j, s.n));
    for (; s.n && most != 0; most--) {
        size_t len = 0, at = right ? last_space(s) : first_space(s, &len);
        vg_str word = right ? (vg_str){s.p + at, s.n - at} : (vg_str){s.p, at};
        VG_TRY(add_part(j, &p, part(self, word)));
        s = right ? (vg_str){s.p, at} : (vg_str){s.p + at, s.n - at};
        s = vg_jtext_strip(s, !right, right);
    }
    if (s.n) VG_TRY(add_part(j, &p, part(self, s)));
    return take_parts(j, &p, right, out);
}

static vg_status split_at(vg_jinja *j, const vg_jval *self, vg_str sep, int64_t most, bool right,
                          vg_jval *out)
{
    parts p = {0};
    vg_str s = vg_jval_chars(self);
    for (; most != 0; most--) {
        size_t at;
        if (right) VG_TRY(vg_jtext_rfind(j, s, sep, &at));
        else VG_TRY(vg_jtext_find(j, s, sep, 0, &at));
        if (at == SIZE_MAX) break;
        vg_str before = {s.p, at}, after = {s.p + at + sep.n, s.n - at - sep.n};
        VG_TRY(add_part(j, &p, part(self, right ? after : before)));
        s = right ? before : after;
    }
    VG_TRY(add_part(j, &p, part(self, s)));
    return take_parts(j, &p, right, out);
}

static vg_status split(vg_jinja *j, const vg_jval *self, const vg_jval *arg, bool right,
                       vg_jval *out)
{
    int64_t most;
    vg_str sep;
    VG_TRY(opt_int(j, &arg[1], -1, &most));
    if (!given(&arg[0]) || arg[0].kind == VG_J_NONE)
        return split_spaces(j, self, most, right, out);
    VG_TRY(vg_jval_want_str(j, &arg[0], "the separator", &sep));
    if (sep.n == 0) return VG_JFAIL(j, "empty separator");
    return split_at(j, self, sep, most, right, out);
}

METHOD(str_split)
{
    return split(j, self, arg, false, out);
}

METHOD(str_rsplit)
{
    return split(j, self, arg, true, out);
}

/* The length of the line end at p, 0 if there is none. */
static size_t line_end(const char *p, size_t n)
{
    int32_t cp;
    size_t len = vg_utf8_next(p, n, &cp);
    if (cp == '\r' && n > 1 && p[1] == '\n') return 2;
    bool ends = (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 ||
                cp == 0x2028 || cp == 0x2029;
    return ends ? len : 0;
}

METHOD(str_splitlines)
{
    parts p = {0};
    vg_str s = vg_jval_chars(self);
    bool keep = given(&arg[0]) && vg_jval_truth(&arg[0]);
    VG_TRY(vg_jcharge_bytes(j, s.n));
    for (size_t from = 0, i = 0; i < s.n;) {
        size_t end = line_end(s.p + i, s.n - i);
        if (!end && i + 1 < s.n) {
            i++;
            continue;
        }
        size_t stop = end ? i + (keep ? end : 0) : s.n;
        VG_TRY(add_part(j, &p, part(self, (vg_str){s.p + from, stop - from})));
        i += end ? end : 1;
        from = i;
    }
    return take_parts(j, &p, false, out);
}

static vg_status partition(vg_jinja *j, const vg_jval *self, const vg_jval *arg, bool right,
                           vg_jval *out)
{
    vg_str s = vg_jval_chars(self), sep;
    size_t at;
    VG_TRY(vg_jval_want_str(j, &arg[0], "the separator", &sep));
    if (sep.n == 0) return VG_JFAIL(j, "empty separator");
    if (right) VG_TRY(vg_jtext_rfind(j, s, sep, &at));
    else VG_TRY(vg_jtext_find(j, s, sep, 0, &at));
    VG_TRY(vg_jlist_make(j, VG_J_TUPLE, 3, out));
    vg_jval *item = out->list->item;
    for (size_t i = 0; i < 3; i++) item[i] = part(self, VG_STR(""));
    if (at == SIZE_MAX) {
        item[right ? 2 : 0] = *self;
        return VG_OK;
    }
    item[0] = part(self, (vg_str){s.p, at});
    item[1] = part(self, sep);
    item[2] = part(self, (vg_str){s.p + at + sep.n, s.n - at - sep.n});
    return VG_OK;
}

METHOD(str_partition)
{
    return partition(j, self, arg, false, out);
}

METHOD(str_rpartition)
{
    return partition(j, self, arg, true, out);
}

/* ---- finding ------------------------------------------------------------------------------- */

/* The bytes of self[start:end], and where they begin. *any is false where start is past the end. */
static vg_status window(vg_jinja *j, const vg_jval *self, const vg_jval *arg, vg_str *s,
                        size_t *begin, bool *any)
{
    int64_t bound[2];
    *s = vg_jval_chars(self);
    *begin = 0;
    *any = true;
    if (!given(&arg[0])) return VG_OK;
    VG_TRY(vg_jcharge_bytes(j, s->n));
    int64_t n = (int64_t)vg_jtext_count(*s);
    VG_TRY(opt_int(j, &arg[0], 0, &bound[0]));
    VG_TRY(opt_int(j, &arg[1], n, &bound[1]));
    for (size_t i = 0; i < 2; i++)
        if (bound[i] < 0) bound[i] = VG_MAX(bound[i] + n, (int64_t)0);
    bound[1] = VG_MIN(bound[1], n);
    *any = bound[0] <= bound[1];
    if (!*any) return VG_OK;
    size_t end = vg_jtext_offset(*s, (size_t)bound[1]);
    *begin = vg_jtext_offset(*s, (size_t)bound[0]);
    *s = (vg_str){s->p + *begin, end - *begin};
    return VG_OK;
}

static vg_status find(vg_jinja *j, const vg_jval *self, const vg_jval *arg, bool right, bool must,
                      vg_jval *out)
{
    vg_str s, what;
    size_t begin, at = SIZE_MAX;
    bool any;
    VG_TRY(vg_jval_want_str(j, &arg[0], "what is searched", &what));
    VG_TRY(window(j, self, arg + 1, &s, &begin, &any));
    if (any && right) VG_TRY(vg_jtext_rfind(j, s, what, &at));
    else if (any) VG_TRY(vg_jtext_find(j, s, what, 0, &at));
    if (at == SIZE_MAX && must) return VG_JFAIL(j, "substring not found");
    *out = vg_jval_int(-1);
    if (at == SIZE_MAX) return VG_OK;
    VG_TRY(vg_jcharge_bytes(j, begin + at));
    *out = vg_jval_int((int64_t)vg_jtext_count((vg_str){self->s, begin + at}));
    return VG_OK;
}

METHOD(str_find)
{
    return find(j, self, arg, false, false, out);
}

METHOD(str_rfind)
{
    return find(j, self, arg, true, false, out);
}

METHOD(str_index)
{
    return find(j, self, arg, false, true, out);
}

METHOD(str_rindex)
{
    return find(j, self, arg, true, true, out);
}

METHOD(str_count)
{
    vg_str s, what;
    size_t begin, at;
    bool any;
    int64_t n = 0;
    VG_TRY(vg_jval_want_str(j, &arg[0], "what is counted", &what));
    VG_TRY(window(j, self, arg + 1, &s, &begin, &any));
    if (any && what.n == 0) {
        *out = vg_jval_int((int64_t)vg_jtext_count(s) + 1);
        return VG_OK;
    }
    for (size_t from = 0; any; from = at + what.n, n++) {
        VG_TRY(vg_jtext_find(j, s, what, from, &at));
        if (at == SIZE_MAX) break;
    }
    *out = vg_jval_int(n);
    return VG_OK;
}

static vg_status affix(vg_jinja *j, const vg_jval *self, const vg_jval *arg, bool end, vg_jval *out)
{
    vg_str s, what;
    size_t begin, n = arg[0].kind == VG_J_TUPLE ? arg[0].list->n : 1;
    bool any, yes = false;
    VG_TRY(window(j, self, arg + 1, &s, &begin, &any));
    for (size_t i = 0; i < n && !yes; i++) {
        const vg_jval *v = arg[0].kind == VG_J_TUPLE ? &arg[0].list->item[i] : &arg[0];
        VG_TRY(vg_jval_want_str(j, v, "first arg", &what));
        VG_TRY(vg_jcharge_bytes(j, what.n));
        vg_str tail = {s.p + (s.n - VG_MIN(what.n, s.n)), VG_MIN(what.n, s.n)};
        yes = any && vg_str_starts(end ? tail : s, what);
    }
    *out = vg_jval_bool(yes);
    return VG_OK;
}

METHOD(str_startswith)
{
    return affix(j, self, arg, false, out);
}

METHOD(str_endswith)
{
    return affix(j, self, arg, true, out);
}

METHOD(str_removeprefix)
{
    vg_str s = vg_jval_chars(self), what;
    VG_TRY(vg_jval_want_str(j, &arg[0], "the prefix", &what));
    bool has = vg_str_starts(s, what);
    *out = has ? part(self, (vg_str){s.p + what.n, s.n - what.n}) : *self;
    return VG_OK;
}

METHOD(str_removesuffix)
{
    vg_str s = vg_jval_chars(self), what;
    VG_TRY(vg_jval_want_str(j, &arg[0], "the suffix", &what));
    bool has = s.n >= what.n && vg_str_starts((vg_str){s.p + s.n - what.n, what.n}, what);
    *out = has ? part(self, (vg_str){s.p, s.n - what.n}) : *self;
    return VG_OK;
}

/* ---- building ------------------------------------------------------------------------------ */

/* An empty `old` stands before every character and at the end. */
static vg_status replace_empty(vg_jinja *j, vg_str s, vg_str new, int64_t most)
{
    for (size_t i = 0; i <= s.n;) {
        int32_t cp;
        VG_TRY(vg_jcharge_bytes(j, new.n + 4));
        if (most != 0) vg_buf_str(&j->out, new);
        most -= most > 0;
        if (i == s.n) break;
        size_t len = vg_utf8_next(s.p + i, s.n - i, &cp);
        vg_buf_add(&j->out, s.p + i, len);
        i += len;
        VG_TRY(vg_jout_check(j));
    }
    return VG_OK;
}

METHOD(str_replace)
{
    vg_str s = vg_jval_chars(self), old, new;
    vg_jval to = arg[1];
    int64_t most;
    size_t from = j->out.n, at;
    VG_TRY(vg_jval_want_str(j, &arg[0], "replace() argument 1", &old));
    VG_TRY(vg_jval_want_str(j, &arg[1], "replace() argument 2", &new));
    VG_TRY(opt_int(j, &arg[2], -1, &most));
    if (self->markup) VG_TRY(vg_jval_escape(j, &arg[1], &to));
    new = vg_jval_chars(&to);
    if (old.n == 0) VG_TRY(replace_empty(j, s, new, most));
    while (old.n && most-- != 0) {
        VG_TRY(vg_jtext_find(j, s, old, 0, &at));
        if (at == SIZE_MAX) break;
        VG_TRY(vg_jcharge_bytes(j, new.n + at));
        vg_buf_add(&j->out, s.p, at);
        vg_buf_str(&j->out, new);
        VG_TRY(vg_jout_check(j));
        s = (vg_str){s.p + at + old.n, s.n - at - old.n};
    }
    if (old.n) vg_buf_str(&j->out, s);
    VG_TRY(vg_jstr_capture(j, from, out));
    out->markup = self->markup;
    return VG_OK;
}

METHOD(str_join)
{
    vg_jcursor c;
    vg_jval item, all = vg_jval_str(VG_STR(""));
    size_t n = 0;
    VG_TRY(vg_jcursor_open(j, &arg[0], &c));
    for (; true; n++) {
        VG_TRY(vg_jcursor_next(j, &c, &item));
        if (item.kind == VG_J_MISSING) break;
        if (item.kind != VG_J_STR)
            return VG_JFAIL(j, "sequence item %zu: expected str instance, %s found", n,
                            vg_jval_type(&item));
        if (self->markup) VG_TRY(vg_jval_escape(j, &item, &item));
        if (n) VG_TRY(vg_jstr_concat(j, &all, self, &all));
        VG_TRY(vg_jstr_concat(j, &all, &item, &all));
    }
    *out = all;
    out->markup = self->markup;
    return VG_OK;
}

/* Pads to `width` characters: `before` of the missing ones in hundredths go to the left. */
static vg_status pad(vg_jinja *j, const vg_jval *self, const vg_jval *arg, int side, vg_jval *out)
{
    int64_t width;
    vg_str fill = VG_STR(" ");
    size_t from = j->out.n, n;
    VG_TRY(vg_jval_want_int(j, &arg[0], "the width", &width));
    if (given(&arg[1])) VG_TRY(vg_jval_want_str(j, &arg[1], "the fill character", &fill));
    if (vg_jtext_count(fill) != 1)
        return VG_JFAIL(j, "The fill character must be exactly one character long");
    VG_TRY(vg_jval_len(j, self, &n));
    uint64_t missing = width > 0 && (uint64_t)width > n ? (uint64_t)width - n : 0, left = 0;
    if (side > 0) left = missing;
    if (side == 0) left = missing / 2 + (missing & (uint64_t)width & 1);
    for (uint64_t i = 0; i <= missing; i++) {
        if (i == left) vg_buf_str(&j->out, vg_jval_chars(self));
        if (i < missing) vg_buf_str(&j->out, fill);
        VG_TRY(vg_jcharge_bytes(j, 4));
        VG_TRY(vg_jout_check(j));
    }
    VG_TRY(vg_jstr_capture(j, from, out));
    out->markup = self->markup;
    return VG_OK;
}

METHOD(str_ljust)
{
    return pad(j, self, arg, -1, out);
}

METHOD(str_rjust)
{
    return pad(j, self, arg, 1, out);
}

METHOD(str_center)
{
    return pad(j, self, arg, 0, out);
}

METHOD(str_zfill)
{
    vg_jval zero[2] = {arg[0], vg_jval_str(VG_STR("0"))}, rest = *self, minus;
    bool sign = self->n && (self->s[0] == '-' || self->s[0] == '+');
    if (!sign) return pad(j, self, zero, 1, out);
    rest = part(self, (vg_str){self->s + 1, self->n - 1});
    minus = part(self, (vg_str){self->s, 1});
    VG_TRY(vg_jval_want_int(j, &arg[0], "the width", &zero[0].i));
    zero[0] = vg_jval_int(zero[0].i > 0 ? zero[0].i - 1 : 0);
    VG_TRY(pad(j, &rest, zero, 1, &rest));
    return vg_jstr_concat(j, &minus, &rest, out);
}

METHOD(str_expandtabs)
{
    int64_t size, column = 0;
    vg_str s = vg_jval_chars(self);
    size_t from = j->out.n;
    VG_TRY(opt_int(j, &arg[0], 8, &size));
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        size_t len = vg_utf8_next(s.p + i, s.n - i, &cp);
        int64_t spaces = cp == '\t' && size > 0 ? size - column % size : 0;
        for (int64_t k = 0; k < spaces && !j->out.failed; k++) vg_buf_char(&j->out, ' ');
        if (cp != '\t') vg_buf_add(&j->out, s.p + i, len);
        column = cp == '\n' || cp == '\r' ? 0 : column + (cp == '\t' ? spaces : 1);
        i += len;
        VG_TRY(vg_jcharge_bytes(j, 4));
    }
    return vg_jstr_capture(j, from, out);
}

static vg_status str_format(vg_jinja *j, const vg_jval *self, const vg_jargs *args, vg_jval *out)
{
    VG_TRY(vg_jformat_braces(j, vg_jval_chars(self), args, out));
    out->markup = self->markup;
    return VG_OK;
}

const vg_jbuiltin vg_jstr_methods[] = {
    {"capitalize", "", 0, str_capitalize, NULL},
    {"casefold", "", 0, str_casefold, NULL},
    {"center", "_ _", 1, str_center, NULL},
    {"count", "_ _ _", 1, str_count, NULL},
    {"endswith", "_ _ _", 1, str_endswith, NULL},
    {"expandtabs", "tabsize", 0, str_expandtabs, NULL},
    {"find", "_ _ _", 1, str_find, NULL},
    {"format", "*", 0, NULL, str_format},
    {"index", "_ _ _", 1, str_index, NULL},
    {"isalnum", "", 0, str_isalnum, NULL},
    {"isalpha", "", 0, str_isalpha, NULL},
    {"isascii", "", 0, str_isascii, NULL},
    {"isdecimal", "", 0, str_isdecimal, NULL},
    {"isdigit", "", 0, str_isdigit, NULL},
    {"isidentifier", "", 0, str_isidentifier, NULL},
    {"islower", "", 0, str_islower, NULL},
    {"isnumeric", "", 0, str_isnumeric, NULL},
    {"isprintable", "", 0, str_isprintable, NULL},
    {"isspace", "", 0, str_isspace, NULL},
    {"istitle", "", 0, str_istitle, NULL},
    {"isupper", "", 0, str_isupper, NULL},
    {"join", "_", 1, str_join, NULL},
    {"ljust", "_ _", 1, str_ljust, NULL},
    {"lower", "", 0, str_lower, NULL},
    {"lstrip", "_", 0, str_lstrip, NULL},
    {"partition", "_", 1, str_partition, NULL},
    {"removeprefix", "_", 1, str_removeprefix, NULL},
    {"removesuffix", "_", 1, str_removesuffix, NULL},
    {"replace", "_ _ _", 2, str_replace, NULL},
    {"rfind", "_ _ _", 1, str_rfind, NULL},
    {"rindex", "_ _ _", 1, str_rindex, NULL},
    {"rjust", "_ _", 1, str_rjust, NULL},
    {"rpartition", "_", 1, str_rpartition, NULL},
    {"rsplit", "sep maxsplit", 0, str_rsplit, NULL},
    {"rstrip", "_", 0, str_rstrip, NULL},
    {"split", "sep maxsplit", 0, str_split, NULL},
    {"splitlines", "keepends", 0, str_splitlines, NULL},
    {"startswith", "_ _ _", 1, str_startswith, NULL},
    {"strip", "_", 0, str_strip, NULL},
    {"swapcase", "", 0, str_swapcase, NULL},
    {"title", "", 0, str_title, NULL},
    {"upper", "", 0, str_upper, NULL},
    {"zfill", "_", 1, str_zfill, NULL},
    {NULL, NULL, 0, NULL, NULL}};
