/* enum and const: the values that fit the keywords beside them, each written in one way; and oneOf:
 * the proof that no value fits two branches, without which the keyword is refused. A proof looks at
 * types, values, bounds, lengths, and at properties that one branch demands and the other one rules
 * out, which is how such schemas are told apart in practice. */
#include "model/schema_int.h"

enum { PROOF_DEPTH = 6 };

/* ---- enum and const -------------------------------------------------------------------------- */

static bool string_fits(const facts *f, vg_str v)
{
    int32_t n = 0, c;
    for (size_t i = 0; i < v.n; n++) i += vg_utf8_next(v.p + i, v.n - i, &c);
    if (n < f->min_length || (f->max_length != GX_MANY && n > f->max_length)) return false;
    return !f->text || gfa_accepts(f->text, v);
}

static bool count_fits(size_t n, int32_t min, int32_t max)
{
    return n >= (size_t)min && (max == GX_MANY || n <= (size_t)max);
}

/* Whether scalars fit; of lists and objects only the count is looked at. */
static bool value_fits(schema *s, const wants *w, const facts *f, const vg_json *v)
{
    switch (v->kind) {
    case VG_JSON_INT:
    case VG_JSON_FLOAT: return schema_number_fits(s, w, f, v);
    case VG_JSON_STRING: return string_fits(f, v->str);
    case VG_JSON_ARRAY: return count_fits(v->n, f->min_items, f->max_items);
    case VG_JSON_OBJECT: return count_fits(v->n, f->min_members, f->max_members);
    default: return true;
    }
}

/* A value as JSON text. White space is free in lists and objects; the order of keys is not.
 * Recursion follows the nesting of a parsed value, at most VG_JSON_DEPTH. */
static gx *constant(schema *s, const vg_json *v)
{
    gx_builder *b = s->b;
    bool is_object = v->kind == VG_JSON_OBJECT;
    if (v->kind != VG_JSON_ARRAY && !is_object) {
        vg_buf text;
        vg_buf_init(&text, GX_TEXT_BYTES);
        vg_json_put(&text, v);
        if (text.failed) (void)gx_fail(b, text.failed, "no memory for a value of enum");
        gx *x = gx_text(b, (vg_str){text.data, text.n});
        vg_buf_clear(&text);
        return x;
    }
    gx **item = gx_array(b, 2 * v->n + 4, sizeof *item);
    size_t n = 0;
    if (!item) return NULL;
    item[n++] = GX_SEQ(b, gx_lit(b, is_object ? "{" : "["), s->ws);
    for (size_t i = 0; i < v->n && !b->failed; i++) {
        if (i) item[n++] = s->comma;
        gx *value = constant(s, v->item[i]);
        item[n++] = is_object ? GX_SEQ(b, schema_text(b, v->key[i]), s->colon, value) : value;
    }
    if (v->n) item[n++] = s->ws;
    item[n++] = gx_lit(b, is_object ? "}" : "]");
    return gx_seq(b, item, n);
}

gx *schema_values(schema *s, const wants *w, const facts *f)
{
    gx_builder *b = s->b;
    vg_str *word = gx_array(b, f->n_values + 1, sizeof *word);
    gx **alt = gx_array(b, f->n_values + 1, sizeof *alt);
    size_t n = 0, n_words = 0;
    for (size_t i = 0; i < f->n_values && word && alt; i++) {
        const vg_json *v = f->value[i];
        bool is_list = v->kind == VG_JSON_ARRAY || v->kind == VG_JSON_OBJECT;
        if (is_list && (f->implied & (v->kind == VG_JSON_ARRAY ? TYPE_ARRAY : TYPE_OBJECT))) {
            (void)schema_fail(s, w->item[0].schema, VG_E_UNSUPPORTED,
                              "enum or const of a list or an object beside keywords about it");
            return NULL;
        }
        if (!value_fits(s, w, f, v)) continue;
        gx *x = constant(s, v);
        if (!x) return NULL;
        if (x->kind == GX_TEXT) word[n_words++] = (vg_str){x->text, x->n};
        else alt[n++] = x;
    }
    if (n_words && alt) alt[n++] = gx_words(b, word, n_words);
    return b->failed ? NULL : gx_alt(b, alt, n);
}

/* ---- oneOf ----------------------------------------------------------------------------------- */

typedef struct branch {
    wants w;
    facts f;
    unsigned written; /* types of the values that the branch writes */
} branch;

static void open_branch(schema *s, const vg_json *at, branch *x)
{
    *x = (branch){.w = {.n = 0}};
    if (!gx_spend(s->b, 1000)) return;
    wants_add(s, &x->w, at, PART_ALL);
    wants_expand(s, &x->w);
    facts_of(s, &x->w, &x->f);
    x->written = x->f.types;
    if (!x->f.typed && x->f.implied) x->written &= x->f.implied;
}

static bool excludes(schema *s, const branch *a, const branch *b, int depth);

static bool schemas_exclude(schema *s, const vg_json *a, const vg_json *b, int depth)
{
    branch x, y;
    if (depth == PROOF_DEPTH || s->b->failed) return false;
    if ((a->kind == VG_JSON_BOOL && !a->boolean) || (b->kind == VG_JSON_BOOL && !b->boolean))
        return true;
    open_branch(s, a, &x);
    open_branch(s, b, &y);
    return !s->b->failed && excludes(s, &x, &y, depth + 1);
}

/* No value of a's enum fits b. */
static bool values_miss(schema *s, const branch *a, const branch *b)
{
    for (size_t i = 0; i < a->f.n_values; i++) {
        const vg_json *v = a->f.value[i];
        bool fits = value_fits(s, &b->w, &b->f, v);
        bool typed = schema_type(v) & b->f.types;
        bool listed = !b->f.has_values;
        for (size_t k = 0; k < b->f.n_values && !listed; k++)
            listed = schema_equal(v, b->f.value[k]);
        if (fits && typed && listed) return false;
    }
    return a->f.has_values;
}

static bool apart(int32_t min_a, int32_t max_a, int32_t min_b, int32_t max_b)
{
    return (max_a != GX_MANY && max_a < min_b) || (max_b != GX_MANY && max_b < min_a);
}

static bool bounds_apart(const bound *hi, const bound *lo)
{
    int c = hi->at && lo->at ? schema_compare(hi->at, lo->at) : 1;
    return c < 0 || (c == 0 && (hi->strict || lo->strict));
}

static const vg_json *property_of(const vg_json *at, vg_str name)
{
    const vg_json *props = vg_json_get(at, "properties");
    for (size_t i = 0; props && props->kind == VG_JSON_OBJECT && i < props->n; i++)
        if (vg_str_eq(props->key[i], name)) return props->item[i];
    return NULL;
}

/* Whether a schema of w rules a member of this name out. */
static bool forbids(const wants *w, vg_str name)
{
    for (size_t k = 0; k < w->n; k++) {
        const vg_json *at = w->item[k].schema, *rest = vg_json_get(at, "additionalProperties");
        if (w->item[k].part == PART_OWN && rest && rest->kind == VG_JSON_BOOL && !rest->boolean &&
            !property_of(at, name) && !vg_json_get(at, "patternProperties"))
            return true;
    }
    return false;
}

/* A property that a demands, and that is another thing in b, or nothing. */
static bool property_tells(schema *s, const wants *a, const wants *b, int depth)
{
    for (size_t k = 0; k < a->n; k++) {
        const vg_json *list = vg_json_get(a->item[k].schema, "required");
        for (size_t i = 0; list && list->kind == VG_JSON_ARRAY && i < list->n; i++) {
            if (list->item[i]->kind != VG_JSON_STRING) continue;
            vg_str name = list->item[i]->str;
            if (a->item[k].part == PART_OWN && forbids(b, name)) return true;
            for (size_t p = 0; p < a->n; p++)
                for (size_t q = 0; q < b->n; q++) {
                    const vg_json *x = property_of(a->item[p].schema, name);
                    const vg_json *y = property_of(b->item[q].schema, name);
                    if (x && y && a->item[p].part == PART_OWN && b->item[q].part == PART_OWN &&
                        schemas_exclude(s, x, y, depth))
                        return true;
                }
        }
    }
    return false;
}

static bool excludes(schema *s, const branch *a, const branch *b, int depth)
{
    unsigned both = (a->written & b->f.types) | (a->f.types & b->written);
    if (a->w.nothing || b->w.nothing) return true;
    if (values_miss(s, a, b) || values_miss(s, b, a)) return true;
    if ((both & TYPE_NUMBER) &&
        (bounds_apart(&a->f.hi, &b->f.lo) || bounds_apart(&b->f.hi, &a->f.lo)))
        both &= ~(unsigned)TYPE_NUMBER;
    if ((both & TYPE_STRING) && a->f.text && b->f.text) {
        gfa *x = gfa_and(s->b, a->f.text, b->f.text);
        if (x && gfa_is_empty(x)) both &= ~(unsigned)TYPE_STRING;
    }
    if (apart(a->f.min_length, a->f.max_length, b->f.min_length, b->f.max_length))
        both &= ~(unsigned)TYPE_STRING;
    if (apart(a->f.min_items, a->f.max_items, b->f.min_items, b->f.max_items))
        both &= ~(unsigned)TYPE_ARRAY;
    if (both == TYPE_OBJECT)
        return property_tells(s, &a->w, &b->w, depth) || property_tells(s, &b->w, &a->w, depth);
    return both == 0;
}

bool schema_excludes(schema *s, const vg_json *a, const vg_json *b)
{
    return schemas_exclude(s, a, b, 0);
}
