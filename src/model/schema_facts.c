/* What keywords say: each own part of a set of schemas is read by one table, and what they say is
 * joined. A keyword that is known and not kept is refused by name; one that no draft of JSON Schema
 * knows is an annotation, as the specification has it. */
#include <math.h>

#include "model/schema_int.h"

typedef enum keyword {
    K_IGNORE, K_REFUSE, K_REFUSE_TRUE, K_TYPE, K_ENUM, K_CONST, K_MINIMUM, K_MAXIMUM, K_EX_MINIMUM,
    K_EX_MAXIMUM, K_MULTIPLE, K_MIN_LENGTH, K_MAX_LENGTH, K_MIN_ITEMS, K_MAX_ITEMS, K_MIN_MEMBERS,
    K_MAX_MEMBERS, K_PATTERN, K_FORMAT, K_OBJECT, K_ARRAY, K_ID
} keyword;

static const struct {
    const char *name;
    keyword kind;
} keywords[] = {
    {"type", K_TYPE},
    {"enum", K_ENUM},
    {"const", K_CONST},
    {"minimum", K_MINIMUM},
    {"maximum", K_MAXIMUM},
    {"exclusiveMinimum", K_EX_MINIMUM},
    {"exclusiveMaximum", K_EX_MAXIMUM},
    {"multipleOf", K_MULTIPLE},
    {"minLength", K_MIN_LENGTH},
    {"maxLength", K_MAX_LENGTH},
    {"pattern", K_PATTERN},
    {"format", K_FORMAT},
    {"minItems", K_MIN_ITEMS},
    {"maxItems", K_MAX_ITEMS},
    {"items", K_ARRAY},
    {"prefixItems", K_ARRAY},
    {"additionalItems", K_ARRAY},
    {"minProperties", K_MIN_MEMBERS},
    {"maxProperties", K_MAX_MEMBERS},
    {"properties", K_OBJECT},
    {"required", K_OBJECT},
    {"additionalProperties", K_OBJECT},
    {"patternProperties", K_OBJECT},
    {"propertyNames", K_OBJECT},
    {"$id", K_ID},
    {"uniqueItems", K_REFUSE_TRUE},
    {"not", K_REFUSE},
    {"if", K_REFUSE},
    {"contains", K_REFUSE},
    {"dependencies", K_REFUSE},
    {"dependentRequired", K_REFUSE},
    {"dependentSchemas", K_REFUSE},
    {"unevaluatedItems", K_REFUSE},
    {"unevaluatedProperties", K_REFUSE},
    {"$dynamicRef", K_REFUSE},
    {"$recursiveRef", K_REFUSE},
    {"extends", K_REFUSE},
    {"disallow", K_REFUSE},
    {"divisibleBy", K_REFUSE},
};

static const struct {
    const char *name;
    unsigned bits;
} types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOL}, {"integer", TYPE_INT},
             {"number", TYPE_NUMBER}, {"string", TYPE_STRING}, {"array", TYPE_ARRAY},
             {"object", TYPE_OBJECT}};

/* ---- values ---------------------------------------------------------------------------------- */

int schema_compare(const vg_json *a, const vg_json *b)
{
    if (a->kind == VG_JSON_INT && b->kind == VG_JSON_INT)
        return a->integer < b->integer ? -1 : a->integer > b->integer;
    return a->number < b->number ? -1 : a->number > b->number;
}

static bool is_number(const vg_json *j)
{
    return j->kind == VG_JSON_INT || j->kind == VG_JSON_FLOAT;
}

static const vg_json *member(const vg_json *object, vg_str key)
{
    for (size_t i = 0; i < object->n; i++)
        if (vg_str_eq(object->key[i], key)) return object->item[i];
    return NULL;
}

/* Recursion follows the nesting of a parsed value, at most VG_JSON_DEPTH. */
bool schema_equal(const vg_json *a, const vg_json *b)
{
    if (is_number(a) && is_number(b)) return schema_compare(a, b) == 0;
    if (a->kind != b->kind) return false;
    if (a->kind == VG_JSON_BOOL) return a->boolean == b->boolean;
    if (a->kind == VG_JSON_STRING) return vg_str_eq(a->str, b->str);
    if (a->kind != VG_JSON_ARRAY && a->kind != VG_JSON_OBJECT) return true;
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const vg_json *other = a->kind == VG_JSON_ARRAY ? b->item[i] : member(b, a->key[i]);
        if (!other || !schema_equal(a->item[i], other)) return false;
    }
    return true;
}

unsigned schema_type(const vg_json *j)
{
    switch (j->kind) {
    case VG_JSON_NULL: return TYPE_NULL;
    case VG_JSON_BOOL: return TYPE_BOOL;
    case VG_JSON_INT: return TYPE_INT;
    case VG_JSON_FLOAT: /* 1.0 is an integer */
        return j->number - floor(j->number) > 0 ? TYPE_FRACTION : TYPE_INT;
    case VG_JSON_STRING: return TYPE_STRING;
    case VG_JSON_ARRAY: return TYPE_ARRAY;
    case VG_JSON_OBJECT: return TYPE_OBJECT;
    }
    return 0;
}

/* ---- keywords -------------------------------------------------------------------------------- */

static unsigned read_type(schema *s, const vg_json *at, const vg_json *v)
{
    if (v->kind == VG_JSON_STRING)
        for (size_t i = 0; i < VG_COUNT(types); i++)
            if (vg_str_is(v->str, types[i].name)) return types[i].bits;
    if (v->kind == VG_JSON_STRING)
        (void)schema_fail(s, at, VG_E_FORMAT, "type \"%.*s\" is unknown", VG_STR_ARG(v->str));
    else (void)schema_fail(s, at, VG_E_FORMAT, "type is no name and no list of names");
    return 0;
}

static void take_type(schema *s, const vg_json *at, const vg_json *v, facts *f)
{
    unsigned bits = 0;
    if (v->kind != VG_JSON_ARRAY) bits = read_type(s, at, v);
    for (size_t i = 0; v->kind == VG_JSON_ARRAY && i < v->n; i++)
        bits |= read_type(s, at, v->item[i]);
    f->types &= bits;
    f->typed = true;
}

/* Values that all enums and consts have in common. */
static void take_values(schema *s, const vg_json *at, const vg_json *const *v, size_t n, facts *f)
{
    VG_UNUSED(at);
    size_t kept = 0;
    const vg_json **both = gx_array(s->b, n + 1, sizeof *both);
    for (size_t i = 0; i < n && both; i++) {
        bool there = !f->has_values;
        for (size_t k = 0; k < f->n_values && !there; k++) there = schema_equal(f->value[k], v[i]);
        if (there) both[kept++] = v[i];
    }
    f->value = both;
    f->n_values = kept;
    f->has_values = true;
}

static void take_bound(schema *s, const vg_json *at, const vg_json *v, bool strict, bool upper,
                       facts *f)
{
    if (!is_number(v)) {
        (void)schema_fail(s, at, VG_E_FORMAT, "a bound that is no number");
        return;
    }
    bound *b = upper ? &f->hi : &f->lo;
    int c = b->at ? schema_compare(v, b->at) : upper ? -1 : 1;
    if (upper ? c < 0 : c > 0) *b = (bound){v, strict};
    else if (c == 0) b->strict |= strict;
    f->implied |= TYPE_NUMBER;
}

/* exclusiveMinimum of draft 4 is a flag beside minimum. */
static void take_exclusive(schema *s, const vg_json *at, const vg_json *v, bool upper, facts *f)
{
    if (v->kind != VG_JSON_BOOL) {
        take_bound(s, at, v, true, upper, f);
        return;
    }
    const vg_json *limit = vg_json_get(at, upper ? "maximum" : "minimum");
    if (v->boolean && limit) take_bound(s, at, limit, true, upper, f);
}

static void take_step(schema *s, const vg_json *at, const vg_json *v, facts *f)
{
    if (!is_number(v) || !(v->number > 0))
        (void)schema_fail(s, at, VG_E_FORMAT, "multipleOf is no number above 0");
    else if (f->n_steps == VG_COUNT(f->step))
        (void)schema_fail(s, at, VG_E_UNSUPPORTED, "more than %zu multipleOf at once", f->n_steps);
    else f->step[f->n_steps++] = v;
    f->implied |= TYPE_NUMBER;
}

/* A count that must not be below (max: above) v joins *count. A very large maximum is taken for a
 * smaller one, which keeps it. */
static void take_count(schema *s, const vg_json *at, const char *name, const vg_json *v, bool max,
                       int32_t *count)
{
    double n = is_number(v) ? v->number : -1;
    if (!(n >= 0) || n > floor(n)) {
        (void)schema_fail(s, at, VG_E_FORMAT, "%s is no count", name);
        return;
    }
    if (n > GX_COUNT && !max) {
        (void)schema_fail(s, at, VG_E_LIMIT, "%s is above %d", name, GX_COUNT);
        return;
    }
    int32_t c = max ? (int32_t)VG_MIN(n, (double)SCHEMA_MOST) : (int32_t)n;
    if (!max) *count = VG_MAX(*count, c);
    else *count = *count == GX_MANY ? c : VG_MIN(*count, c);
}

static void take_text(schema *s, gfa *x, facts *f)
{
    f->text = f->text ? gfa_and(s->b, f->text, x) : x;
}

static bool is_true_schema(const vg_json *v)
{
    return (v->kind == VG_JSON_BOOL && v->boolean) || (v->kind == VG_JSON_OBJECT && v->n == 0);
}

static void take_refused(schema *s, const vg_json *at, const char *name, const vg_json *v,
                         keyword kind)
{
    bool harmless = kind == K_REFUSE_TRUE && v->kind == VG_JSON_BOOL && !v->boolean;
    if (strncmp(name, "unevaluated", 11) == 0 && is_true_schema(v)) harmless = true;
    if (strcmp(name, "if") == 0 && !vg_json_get(at, "then") && !vg_json_get(at, "else"))
        harmless = true;
    if (strncmp(name, "depend", 6) == 0 && v->kind == VG_JSON_OBJECT && v->n == 0) harmless = true;
    if (!harmless) (void)schema_fail(s, at, VG_E_UNSUPPORTED, "the keyword \"%s\"", name);
}

static void take_counted(schema *s, const vg_json *at, const char *name, keyword k,
                         const vg_json *v, facts *f)
{
    int32_t *const count[] = {&f->min_length, &f->max_length, &f->min_items,
                              &f->max_items, &f->min_members, &f->max_members};
    static const unsigned about[] = {TYPE_STRING, TYPE_ARRAY, TYPE_OBJECT};
    unsigned i = k - K_MIN_LENGTH;
    take_count(s, at, name, v, i % 2 == 1, count[i]);
    f->implied |= about[i / 2];
}

static void take_pattern(schema *s, const vg_json *at, keyword k, const vg_json *v, facts *f)
{
    unsigned about = TYPE_STRING;
    if (v->kind != VG_JSON_STRING) {
        (void)schema_fail(s, at, VG_E_FORMAT, "a pattern or format that is no string");
        return;
    }
    if (k == K_PATTERN) {
        take_text(s, gfa_regex(s->b, v->str, "pattern"), f);
    } else {
        gfa *x = schema_format(s, at, v->str, &about);
        if (x) take_text(s, x, f);
    }
    f->implied |= about;
}

static void take(schema *s, const vg_json *at, const char *name, keyword k, const vg_json *v,
                 facts *f)
{
    switch (k) {
    case K_IGNORE: return;
    case K_REFUSE:
    case K_REFUSE_TRUE: take_refused(s, at, name, v, k); return;
    case K_TYPE: take_type(s, at, v, f); return;
    case K_ENUM:
        if (v->kind != VG_JSON_ARRAY) (void)schema_fail(s, at, VG_E_FORMAT, "enum is no list");
        else take_values(s, at, (const vg_json *const *)v->item, v->n, f);
        return;
    case K_CONST: take_values(s, at, &v, 1, f); return;
    case K_MINIMUM: take_bound(s, at, v, false, false, f); return;
    case K_MAXIMUM: take_bound(s, at, v, false, true, f); return;
    case K_EX_MINIMUM: take_exclusive(s, at, v, false, f); return;
    case K_EX_MAXIMUM: take_exclusive(s, at, v, true, f); return;
    case K_MULTIPLE: take_step(s, at, v, f); return;
    case K_MIN_LENGTH:
    case K_MAX_LENGTH:
    case K_MIN_ITEMS:
    case K_MAX_ITEMS:
    case K_MIN_MEMBERS:
    case K_MAX_MEMBERS: take_counted(s, at, name, k, v, f); return;
    case K_PATTERN:
    case K_FORMAT: take_pattern(s, at, k, v, f); return;
    case K_OBJECT: f->implied |= TYPE_OBJECT; return;
    case K_ARRAY: f->implied |= TYPE_ARRAY; return;
    case K_ID:
        if (at != s->root && v->kind == VG_JSON_STRING && v->str.n && v->str.p[0] != '#')
            (void)schema_fail(s, at, VG_E_UNSUPPORTED, "the keyword \"%s\" inside a schema", name);
        return;
    }
}

/* Values of enum and const decide the types. */
static void type_values(schema *s, facts *f)
{
    unsigned bits = 0;
    size_t kept = 0;
    VG_UNUSED(s);
    for (size_t i = 0; i < f->n_values; i++) {
        unsigned t = schema_type(f->value[i]);
        if (!(t & f->types)) continue;
        bits |= t;
        f->value[kept++] = f->value[i];
    }
    f->n_values = kept;
    f->types &= bits;
    f->typed = true;
}

void facts_of(schema *s, const wants *w, facts *f)
{
    *f = (facts){.types = TYPE_ALL, .max_length = GX_MANY, .max_items = GX_MANY,
                 .max_members = GX_MANY};
    for (size_t i = 0; i < w->n; i++) {
        const vg_json *at = w->item[i].schema;
        if (w->item[i].part != PART_OWN || at->kind != VG_JSON_OBJECT) continue;
        for (size_t k = 0; k < at->n && !s->b->failed; k++)
            for (size_t j = 0; j < VG_COUNT(keywords); j++)
                if (vg_str_is(at->key[k], keywords[j].name))
                    take(s, at, keywords[j].name, keywords[j].kind, at->item[k], f);
    }
    if (f->has_values) type_values(s, f);
}
