/* Objects: the properties in the schema's order, those that are not required may be left out;
 * behind them, where the schema leaves room, members with other keys. Where we are is the next
 * property and how many members stand there, as far as that matters: for the comma, or for
 * minProperties and maxProperties. Other keys never repeat a property's name; among themselves they
 * might repeat, so of them only the first counts for minProperties, while all count for
 * maxProperties. */
#include "model/schema_int.h"

typedef struct members {
    schema *s;
    const wants *w;
    const vg_json *pattern[SCHEMA_PATTERNS]; /* the strings that are keys of patternProperties */
    vg_str pattern_text[SCHEMA_PATTERNS];
    gfa *pattern_set[SCHEMA_PATTERNS];
    size_t n_patterns;
    gfa *names;   /* that propertyNames allows; NULL: all */
    vg_str *name; /* [n] properties, in order */
    bool *required;
    gx **member;  /* [n] key, colon, value; NULL: may not be */
    size_t n, cap;
    bool has_rest; /* a schema has additionalProperties */
    gx *other;    /* members with other keys; NULL: none may be */
} members;

static const vg_json *object_in(schema *s, const vg_json *at, const char *name)
{
    const vg_json *o = vg_json_get(at, name);
    if (o && o->kind != VG_JSON_OBJECT) {
        (void)schema_fail(s, at, VG_E_FORMAT, "%s is no object", name);
        return NULL;
    }
    return o;
}

static size_t find_name(const members *m, vg_str name)
{
    size_t i = 0;
    while (i < m->n && !vg_str_eq(m->name[i], name)) i++;
    return i;
}

/* ---- who speaks of which key ----------------------------------------------------------------- */

static void find_patterns(members *m)
{
    schema *s = m->s;
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *at = m->w->item[k].schema;
        const vg_json *o = object_in(s, at, "patternProperties");
        m->has_rest |= vg_json_get(at, "additionalProperties") != NULL;
        for (size_t i = 0; o && i < o->n && m->w->item[k].part == PART_OWN; i++) {
            size_t p = 0;
            while (p < m->n_patterns && !vg_str_eq(m->pattern_text[p], o->key[i])) p++;
            if (p < m->n_patterns) continue;
            if (p == SCHEMA_PATTERNS) {
                (void)schema_fail(s, at, VG_E_UNSUPPORTED, "more than %zu patternProperties", p);
                return;
            }
            m->pattern_text[p] = o->key[i];
            m->pattern_set[p] = gfa_regex(s->b, o->key[i], "patternProperties");
            if (!m->pattern_set[p]) return;
            m->n_patterns++;
        }
    }
}

/* propertyNames, of which the keywords about strings are kept. */
static void find_names(members *m)
{
    schema *s = m->s;
    wants w = {.n = 0};
    bool any = false;
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *at = m->w->item[k].schema, *names = vg_json_get(at, "propertyNames");
        if (m->w->item[k].part != PART_OWN || !names) continue;
        wants_add(s, &w, names, PART_ALL);
        any = true;
    }
    if (!any || s->b->failed) return;
    wants_expand(s, &w);
    facts f;
    facts_of(s, &w, &f);
    for (size_t k = 0; k < w.n; k++)
        if (w.item[k].part != PART_OWN)
            (void)schema_fail(s, w.item[k].schema, VG_E_UNSUPPORTED, "a choice in propertyNames");
    if (s->b->failed) return;
    m->names = f.text ? f.text : gfa_any(s->b);
    if (f.min_length > 0 || f.max_length != GX_MANY)
        m->names = gfa_and(s->b, m->names, gfa_length(s->b, f.min_length, f.max_length));
    vg_str *word = gx_array(s->b, f.n_values + 1, sizeof *word);
    bool none = w.nothing || (f.typed && !(f.types & TYPE_STRING));
    size_t n = 0;
    for (size_t i = 0; i < f.n_values && word; i++)
        if (f.value[i]->kind == VG_JSON_STRING) word[n++] = f.value[i]->str;
    if (none) n = 0;
    if (none || f.has_values) m->names = gfa_and(s->b, m->names, gfa_words(s->b, word, n));
}

/* What all schemas say of the member `name`, or of other keys that fit exactly the patterns in
 * `mask`. *spoken: some schema does. */
static void add_wants(const members *m, const vg_str *name, unsigned mask, wants *out)
{
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *at = m->w->item[k].schema;
        if (m->w->item[k].part != PART_OWN) continue;
        bool found = false;
        const vg_json *props = object_in(m->s, at, "properties");
        for (size_t i = 0; name && props && i < props->n; i++) {
            if (!vg_str_eq(props->key[i], *name)) continue;
            wants_add(m->s, out, props->item[i], PART_ALL);
            found = true;
        }
        const vg_json *o = object_in(m->s, at, "patternProperties");
        for (size_t i = 0; o && i < o->n; i++) {
            size_t p = 0;
            while (p < m->n_patterns && !vg_str_eq(m->pattern_text[p], o->key[i])) p++;
            if (p == m->n_patterns || !(mask >> p & 1)) continue;
            wants_add(m->s, out, o->item[i], PART_ALL);
            found = true;
        }
        const vg_json *rest = vg_json_get(at, "additionalProperties");
        if (!found && rest) wants_add(m->s, out, rest, PART_ALL);
    }
}

static unsigned mask_of(const members *m, vg_str name)
{
    unsigned mask = 0;
    for (size_t p = 0; p < m->n_patterns; p++)
        if (gfa_accepts(m->pattern_set[p], name)) mask |= 1u << p;
    return mask;
}

/* ---- properties ------------------------------------------------------------------------------ */

static void add_name(members *m, vg_str name, bool required)
{
    size_t i = find_name(m, name);
    if (i == m->n) {
        if (m->n == m->cap) {
            size_t cap = m->cap ? 2 * m->cap : 16;
            vg_str *names = gx_array(m->s->b, cap, sizeof *names);
            bool *flags = gx_array(m->s->b, cap, sizeof *flags);
            if (!names || !flags) return;
            if (m->n) memcpy(names, m->name, m->n * sizeof *names);
            if (m->n) memcpy(flags, m->required, m->n * sizeof *flags);
            m->name = names;
            m->required = flags;
            m->cap = cap;
        }
        m->name[m->n] = name;
        m->required[m->n++] = false;
    }
    m->required[i] |= required;
}

static void find_properties(members *m)
{
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *props = object_in(m->s, m->w->item[k].schema, "properties");
        for (size_t i = 0; props && i < props->n && m->w->item[k].part == PART_OWN; i++)
            add_name(m, props->key[i], false);
    }
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *at = m->w->item[k].schema, *required = vg_json_get(at, "required");
        if (m->w->item[k].part != PART_OWN || !required) continue;
        bool is_flag = required->kind == VG_JSON_BOOL; /* of draft 3, in the property */
        if (required->kind != VG_JSON_ARRAY)
            (void)schema_fail(m->s, at, is_flag ? VG_E_UNSUPPORTED : VG_E_FORMAT,
                              "required is no list of names");
        for (size_t i = 0; required->kind == VG_JSON_ARRAY && i < required->n; i++) {
            if (required->item[i]->kind == VG_JSON_STRING)
                add_name(m, required->item[i]->str, true);
            else (void)schema_fail(m->s, at, VG_E_FORMAT, "required holds what is no name");
        }
    }
}

static void make_properties(members *m)
{
    schema *s = m->s;
    m->member = gx_array(s->b, m->n + 1, sizeof *m->member);
    for (size_t i = 0; i < m->n && m->member && !s->b->failed; i++) {
        wants w = {.n = 0};
        add_wants(m, &m->name[i], mask_of(m, m->name[i]), &w);
        if (w.nothing || (m->names && !gfa_accepts(m->names, m->name[i]))) continue;
        m->member[i] = GX_SEQ(s->b, schema_text(s->b, m->name[i]), s->colon, schema_rule(s, &w));
    }
}

/* ---- other keys ------------------------------------------------------------------------------ */

/* Whether a schema speaks of keys that it does not name. Where none does, an object with properties
 * has these alone. */
static bool leaves_room(const members *m, const facts *f)
{
    for (size_t k = 0; k < m->w->n; k++) {
        const vg_json *at = m->w->item[k].schema;
        if (m->w->item[k].part != PART_OWN) continue;
        if (vg_json_get(at, "additionalProperties") || vg_json_get(at, "patternProperties"))
            return true;
    }
    return m->n == 0 || f->min_members > (int32_t)m->n;
}

static gx *other_key(members *m, unsigned mask)
{
    gx_builder *b = m->s->b;
    bool any_key = m->n == 0 && m->n_patterns == 0 && !m->names;
    static const facts any = {.max_length = GX_MANY};
    if (any_key) return schema_string(m->s, &any);
    gfa *key = m->names ? m->names : gfa_any(b);
    if (m->n) key = gfa_minus(b, key, gfa_words(b, m->name, m->n));
    for (size_t p = 0; p < m->n_patterns; p++)
        key = mask >> p & 1 ? gfa_and(b, key, m->pattern_set[p])
                            : gfa_minus(b, key, m->pattern_set[p]);
    if (!key || gfa_is_empty(key)) return NULL;
    return GX_SEQ(b, gx_lit(b, "\""), gfa_emit(b, key, GFA_JSON), gx_lit(b, "\""));
}

static void make_others(members *m, const facts *f)
{
    schema *s = m->s;
    gx *alt[1 << SCHEMA_PATTERNS];
    size_t n = 0;
    for (unsigned mask = 0; mask < 1u << m->n_patterns && leaves_room(m, f); mask++) {
        wants w = {.n = 0};
        add_wants(m, NULL, mask, &w);
        if (w.nothing) continue;
        bool closed = mask == 0 && m->n_patterns && !m->has_rest && f->min_members == 0;
        gx *key = closed ? NULL : other_key(m, mask); /* patterns alone say which keys */
        if (key) alt[n++] = GX_SEQ(s->b, key, s->colon, schema_rule(s, &w));
    }
    if (n == 0) return;
    uint32_t rule = gx_rule_new(s->b, (vg_str){0});
    gx_define(s->b, rule, gx_alt(s->b, alt, n));
    m->other = gx_ref(s->b, rule);
}

/* ---- the object ------------------------------------------------------------------------------ */

/* Behind the properties, `count` of which are there. */
static gx *tail(members *m, const facts *f, int32_t count)
{
    gx_builder *b = m->s->b;
    int32_t min = f->min_members, max = f->max_members;
    gx *alt[2];
    size_t n = 0;
    if (count >= min) alt[n++] = count > 0 ? m->s->ws : gx_lit(b, "");
    if (m->other && count + 1 >= min && (max == GX_MANY || count < max)) {
        gx *one = GX_SEQ(b, m->s->comma, m->other);
        gx *more = gx_repeat(b, one, 0, max == GX_MANY ? GX_MANY : max - count - 1);
        alt[n++] = GX_SEQ(b, count > 0 ? one : m->other, more, m->s->ws);
    }
    return gx_alt(b, alt, n);
}

gx *schema_object(schema *s, const wants *w, const facts *f)
{
    gx_builder *b = s->b;
    members m = {.s = s, .w = w};
    find_patterns(&m);
    if (!b->failed) find_names(&m);
    if (!b->failed) find_properties(&m);
    if (!b->failed) make_properties(&m);
    if (!b->failed) make_others(&m, f);
    int32_t max = f->max_members;
    if (!b->failed && f->min_members > (int32_t)m.n + (m.other != NULL))
        (void)schema_fail(s, w->item[0].schema, VG_E_UNSUPPORTED,
                          "minProperties above what the named properties and one more come to");
    /* Counts beyond are as this one. */
    size_t most = (size_t)VG_MAX(VG_MAX(f->min_members, max), 1);
    if (max == GX_MANY) most = VG_MIN(most, m.n + 1);
    else most = VG_MIN(most, m.n);
    if ((m.n + 1) * (most + 1) > SCHEMA_MEMBERS)
        (void)schema_fail(s, w->n ? w->item[0].schema : s->root, VG_E_LIMIT,
                          "%zu properties with up to %zu counted", m.n, most);
    gx **rule = gx_array(b, (m.n + 1) * (most + 1), sizeof *rule); /* [n + 1, most + 1] */
    if (b->failed || !rule) return NULL;
    for (size_t i = m.n + 1; i-- > 0;)
        for (size_t c = 0; c <= VG_MIN(i, most); c++) {
            gx *alt[2];
            size_t n = 0, row = (i + 1) * (most + 1);
            bool full = max != GX_MANY && c >= (size_t)max;
            if (i < m.n && m.member[i] && !full) {
                gx *after = rule[row + VG_MIN(c + 1, most)];
                alt[n++] = c ? GX_SEQ(b, s->comma, m.member[i], after)
                             : GX_SEQ(b, m.member[i], after);
            }
            if (i < m.n && !m.required[i]) alt[n++] = rule[row + c];
            uint32_t here = gx_rule_new(b, (vg_str){0});
            gx_define(b, here, i < m.n ? gx_alt(b, alt, n) : tail(&m, f, (int32_t)c));
            rule[i * (most + 1) + c] = gx_ref(b, here);
        }
    return GX_SEQ(b, gx_lit(b, "{"), s->ws, rule[0], gx_lit(b, "}"));
}
