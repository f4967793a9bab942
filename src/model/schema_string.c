/* Strings. One that only has a length may be written with any escape of JSON; one that is ruled by
 * a pattern, a format or a list of names is written in the shortest way of each character, so that
 * an automaton over characters says all. A character is a code point: a pair of \u surrogates is
 * one. */
#include "model/schema_int.h"

gx *schema_text(gx_builder *b, vg_str s)
{
    vg_buf text;
    vg_buf_init(&text, GX_TEXT_BYTES);
    vg_json_put_str(&text, s);
    gx *x = NULL;
    if (text.failed) (void)gx_fail(b, text.failed, "no memory for a string");
    else x = gx_text(b, (vg_str){text.data, text.n});
    vg_buf_clear(&text);
    return x;
}

static gx *quoted(gx_builder *b, gx *inside)
{
    return GX_SEQ(b, gx_lit(b, "\""), inside, gx_lit(b, "\""));
}

/* Any character of a JSON string, in any of its ways; no half of a pair of surrogates. */
static gx *any_char(gx_builder *b)
{
    static const gx_range plain[] = {{0x20, '!'}, {'#', '['}, {']', GFA_LAST}};
    static const gx_range hex[] = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
    static const gx_range not_d[] = {{'0', '9'}, {'a', 'c'}, {'e', 'f'}, {'A', 'C'}, {'E', 'F'}};
    static const gx_range d[] = {{'d', 'd'}, {'D', 'D'}}, low[] = {{'0', '7'}};
    static const gx_range high[] = {{'8', '9'}, {'a', 'b'}, {'A', 'B'}};
    static const gx_range last[] = {{'c', 'f'}, {'C', 'F'}};
    static const gx_range single[] = {{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', 'b'},
                                      {'f', 'f'}, {'n', 'n'},   {'r', 'r'}, {'t', 't'}};
    gx *h = gx_chars(b, hex, VG_COUNT(hex)), *u = gx_lit(b, "\\u");
    gx *is_d = gx_chars(b, d, VG_COUNT(d));
    gx *basic = GX_ALT(b, GX_SEQ(b, gx_chars(b, not_d, VG_COUNT(not_d)), h),
                       GX_SEQ(b, is_d, gx_chars(b, low, VG_COUNT(low))));
    return GX_ALT(b, gx_chars(b, plain, VG_COUNT(plain)),
                  GX_SEQ(b, gx_lit(b, "\\"), gx_chars(b, single, VG_COUNT(single))),
                  GX_SEQ(b, u, basic, h, h),
                  GX_SEQ(b, u, is_d, gx_chars(b, high, VG_COUNT(high)), h, h, u, is_d,
                         gx_chars(b, last, VG_COUNT(last)), h, h));
}

gx *schema_string(schema *s, const facts *f)
{
    gx_builder *b = s->b;
    bool any_length = f->min_length == 0 && f->max_length == GX_MANY;
    if (f->max_length != GX_MANY && f->max_length < f->min_length) return gx_alt(b, NULL, 0);
    if (f->text) {
        gfa *x = f->text;
        if (!any_length) x = gfa_and(b, x, gfa_length(b, f->min_length, f->max_length));
        return quoted(b, gfa_emit(b, x, GFA_JSON));
    }
    if (!any_length)
        return quoted(b, gx_repeat(b, any_char(b), f->min_length, f->max_length));
    if (!s->string) {
        uint32_t rule = gx_rule_new(b, (vg_str){0});
        gx_define(b, rule, quoted(b, gx_repeat(b, any_char(b), 0, GX_MANY)));
        s->string = gx_ref(b, rule);
    }
    return s->string;
}

/* ---- formats --------------------------------------------------------------------------------- */

/* Parts of RFC 3339, 1123, 3986, 4122, 5321 as patterns. What is written is always within the
 * format; of an open-ended one (hosts, mail, URIs) it is the usual part. */
#define YEAR "([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP_YEAR                                                                                  \
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
#define DATE                                                                                       \
    "(" YEAR "-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" YEAR                                    \
    "-(0[469]|11)-(0[1-9]|[12][0-9]|30)|" YEAR "-02-(0[1-9]|1[0-9]|2[0-8])|" LEAP_YEAR "-02-29)"
#define TIME                                                                                       \
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 OCTET "(\\." OCTET "){3}"
#define LABEL "[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}"
#define HOST LABEL "(\\." LABEL "){0,3}"
#define H "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                       \
    "((" H ":){7}" H "|(" H ":){1,7}:|(" H ":){1,6}:" H "|(" H ":){1,5}(:" H "){1,2}|(" H          \
    ":){1,4}(:" H "){1,3}|(" H ":){1,3}(:" H "){1,4}|(" H ":){1,2}(:" H "){1,5}|" H ":(:" H        \
    "){1,6}|:(:" H "){1,7}|::)"
#define ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define CLOCK "(T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S))"

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration", "^P([0-9]{1,4}W|([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)"
                 "?|[0-9]{1,4}D)" CLOCK "?|" CLOCK ")$"},
    {"uuid", "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"hostname", "^" HOST "$"},
    {"email", "^" ATOM "(\\." ATOM "){0,3}@" HOST "$"},
    {"uri", "^[a-z][a-z0-9+.-]{0,15}://" HOST "(:[0-9]{1,5})?(/" PCHAR "*)*(\\?(" PCHAR
            "|[/?])*)?(#(" PCHAR "|[/?])*)?$"},
};

gfa *schema_format(schema *s, const vg_json *at, vg_str name, unsigned *implied)
{
    static const char *const widths[] = {"int64", "float", "double"};
    for (size_t i = 0; i < VG_COUNT(formats); i++)
        if (vg_str_is(name, formats[i].name))
            return gfa_regex(s->b, vg_str_from(formats[i].pattern), "format");
    *implied = 0;
    if (vg_str_is(name, "password")) return NULL; /* says how it is shown */
    for (size_t i = 0; i < VG_COUNT(widths); i++) /* which every number that is written fits */
        if (vg_str_is(name, widths[i])) return NULL;
    (void)schema_fail(s, at, VG_E_UNSUPPORTED, "the format \"%.*s\"", VG_STR_ARG(name));
    return NULL;
}
