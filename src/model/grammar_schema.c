/* JSON Schema to expressions (draft 2020-12, and what of earlier drafts means the same). A value
 * must satisfy a set of schemas at once; each set that is asked for becomes a rule, written once,
 * from a queue, so that neither nesting nor schemas that use themselves are followed by recursion.
 * Where a set has an anyOf, its rule is the choice of a branch, which then joins the set. What
 * cannot be kept exactly is refused: everything that is written satisfies the schema. */
#include <stdio.h>
#include <stdlib.h>

#include "model/schema_int.h"

/* ---- errors that name their place ------------------------------------------------------------ */

/* The JSON pointer of `at` below `from`; recursion is at most VG_JSON_DEPTH deep. */
static bool find_pointer(const vg_json *from, const vg_json *at, vg_buf *out)
{
    size_t n = out->n;
    if (from == at) return true;
    if (from->kind != VG_JSON_ARRAY && from->kind != VG_JSON_OBJECT) return false;
    for (size_t i = 0; i < from->n; i++) {
        vg_buf_char(out, '/');
        if (from->kind == VG_JSON_ARRAY) vg_buf_fmt(out, "%zu", i);
        for (size_t k = 0; from->kind == VG_JSON_OBJECT && k < from->key[i].n; k++) {
            char c = from->key[i].p[k];
            if (c == '~' || c == '/') vg_buf_text(out, c == '~' ? "~0" : "~1");
            else vg_buf_char(out, c);
        }
        if (find_pointer(from->item[i], at, out)) return true;
        if (out->failed) return false;
        out->n = n;
    }
    return false;
}

vg_status schema_fail(schema *s, const vg_json *at, vg_status code, const char *fmt, ...)
{
    char msg[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    vg_buf path;
    vg_buf_init(&path, 4096);
    bool found = find_pointer(s->root, at, &path);
    vg_str where = found ? (vg_str){path.n ? path.data : "", path.n} : VG_STR("?");
    vg_status st = gx_fail(s->b, code, "schema #%.*s: %s", VG_STR_ARG(where), msg);
    vg_buf_clear(&path);
    return st;
}

/* ---- sets of schemas ------------------------------------------------------------------------- */

void wants_add(schema *s, wants *w, const vg_json *at, schema_part part)
{
    if (at->kind == VG_JSON_BOOL) {
        w->nothing |= !at->boolean;
        return;
    }
    if (at->kind != VG_JSON_OBJECT) {
        (void)schema_fail(s, at, VG_E_FORMAT, "a schema is an object, true or false");
        return;
    }
    if (!gx_spend(s->b, w->n + 20)) return;
    for (size_t i = 0; i < w->n; i++)
        if (w->item[i].schema == at && w->item[i].part == part) return;
    if (w->n == SCHEMA_PARTS) {
        (void)schema_fail(s, at, VG_E_LIMIT, "a value has to satisfy more than %d schemas",
                          SCHEMA_PARTS);
        return;
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 4;
        want *grown = gx_array(s->b, cap, sizeof *grown);
        if (!grown) return;
        if (w->n) memcpy(grown, w->item, w->n * sizeof *grown);
        w->item = grown;
        w->cap = cap;
    }
    w->item[w->n++] = (want){at, part};
}

static int compare_wants(const void *a, const void *b)
{
    const want *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->schema, q = (uintptr_t)y->schema;
    return p != q ? (p < q ? -1 : 1) : (int)x->part - (int)y->part;
}

static uint64_t hash_wants(const want *sorted, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t one[2] = {(uint64_t)(uintptr_t)sorted[i].schema, sorted[i].part};
        h = h * 31 + vg_hash(one, sizeof one);
    }
    return h;
}

static bool same_wants(const want *a, const want *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i].schema != b[i].schema || a[i].part != b[i].part) return false;
    return true;
}

static bool widen_sets(schema *s)
{
    if (s->slot && 2 * (s->n_sets + 1) <= s->mask) return true;
    size_t want_slots = s->slot ? 2 * (s->mask + 1) : 64;
    uint32_t *slot = gx_array(s->b, want_slots, sizeof *slot);
    schema_set *set = gx_array(s->b, want_slots, sizeof *set);
    if (!slot || !set) return false;
    if (s->n_sets) memcpy(set, s->set, s->n_sets * sizeof *set);
    for (size_t i = 0; i < s->n_sets; i++) {
        size_t at = (size_t)set[i].hash;
        while (slot[at & (want_slots - 1)]) at++;
        slot[at & (want_slots - 1)] = (uint32_t)i + 1;
    }
    s->slot = slot;
    s->set = set;
    s->mask = want_slots - 1;
    return true;
}

gx *schema_rule(schema *s, const wants *w)
{
    if (s->b->failed || w->nothing) return gx_alt(s->b, NULL, 0);
    want *sorted = gx_array(s->b, w->n + 1, sizeof *sorted);
    if (!sorted || !widen_sets(s)) return NULL;
    if (w->n) memcpy(sorted, w->item, w->n * sizeof *sorted);
    if (w->n) qsort(sorted, w->n, sizeof *sorted, compare_wants);
    uint64_t hash = hash_wants(sorted, w->n);
    size_t at = (size_t)hash;
    for (; s->slot[at & s->mask]; at++) {
        const schema_set *there = &s->set[s->slot[at & s->mask] - 1];
        if (there->wants.n == w->n && same_wants(there->sorted, sorted, w->n))
            return gx_ref(s->b, there->rule);
    }
    if (s->n_sets == SCHEMA_SETS) {
        (void)gx_fail(s->b, VG_E_LIMIT, "the schema has more than %d combinations", SCHEMA_SETS);
        return NULL;
    }
    schema_set *set = &s->set[s->n_sets++];
    *set = (schema_set){.wants = *w, .sorted = sorted, .hash = hash,
                        .rule = gx_rule_new(s->b, (vg_str){0})};
    s->slot[at & s->mask] = (uint32_t)s->n_sets;
    return gx_ref(s->b, set->rule);
}

/* ---- $ref ------------------------------------------------------------------------------------ */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One step of a pointer: %XX and ~0 ~1 undone in place; out holds n bytes. */
static vg_str unescape(vg_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' && i + 2 < s.n && hex_value(s.p[i + 1]) >= 0 && hex_value(s.p[i + 2]) >= 0) {
            c = (char)(hex_value(s.p[i + 1]) * 16 + hex_value(s.p[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        char c = out[i];
        if (c == '~' && i + 1 < n && (out[i + 1] == '0' || out[i + 1] == '1'))
            c = out[++i] == '0' ? '~' : '/';
        out[kept++] = c;
    }
    return (vg_str){out, kept};
}

static const vg_json *step_into(const vg_json *j, vg_str key)
{
    if (j->kind == VG_JSON_OBJECT)
        for (size_t i = 0; i < j->n; i++)
            if (vg_str_eq(j->key[i], key)) return j->item[i];
    if (j->kind != VG_JSON_ARRAY || key.n == 0 || key.n > 6) return NULL;
    size_t index = 0;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] < '0' || key.p[i] > '9') return NULL;
        index = index * 10 + (size_t)(key.p[i] - '0');
    }
    return index < j->n ? j->item[index] : NULL;
}

static const vg_json *resolve(schema *s, const vg_json *at, const vg_json *ref)
{
    const vg_json *j = s->root;
    if (ref->kind != VG_JSON_STRING) {
        (void)schema_fail(s, at, VG_E_FORMAT, "$ref is no string");
        return NULL;
    }
    vg_str r = ref->str;
    if (r.n == 0 || r.p[0] != '#' || (r.n > 1 && r.p[1] != '/')) {
        (void)schema_fail(s, at, VG_E_UNSUPPORTED,
                          "$ref \"%.*s\" is no pointer into this schema (#/...)", VG_STR_ARG(r));
        return NULL;
    }
    for (size_t i = 1; i < r.n && j;) {
        size_t end = i + 1;
        while (end < r.n && r.p[end] != '/') end++;
        char *text = gx_array(s->b, end - i + 1, 1);
        if (!text) return NULL;
        j = step_into(j, unescape((vg_str){r.p + i + 1, end - i - 1}, text));
        i = end;
    }
    if (!j) (void)schema_fail(s, at, VG_E_FORMAT, "$ref \"%.*s\" leads nowhere", VG_STR_ARG(r));
    return j;
}

/* ---- the parts of schemas -------------------------------------------------------------------- */

typedef struct expansion {
    schema *s;
    wants out;
    const vg_json *path[SCHEMA_DEPTH]; /* schemas that are being opened */
    size_t depth;
} expansion;

static const vg_json *list_of(schema *s, const vg_json *at, const char *name)
{
    const vg_json *list = vg_json_get(at, name);
    if (list && (list->kind != VG_JSON_ARRAY || list->n == 0)) {
        (void)schema_fail(s, at, VG_E_FORMAT, "%s is no list of schemas", name);
        return NULL;
    }
    return list;
}

/* Recursion follows allOf and $ref, at most SCHEMA_DEPTH deep; a schema that leads back to itself
 * so would ask for the same for ever. */
static void expand(expansion *x, const vg_json *at)
{
    schema *s = x->s;
    if (s->b->failed || at->kind != VG_JSON_OBJECT) {
        wants_add(s, &x->out, at, PART_OWN);
        return;
    }
    for (size_t i = 0; i < x->depth; i++)
        if (x->path[i] == at) {
            (void)schema_fail(s, at, VG_E_FORMAT, "$ref leads back to itself without a value");
            return;
        }
    if (x->depth == SCHEMA_DEPTH) {
        (void)schema_fail(s, at, VG_E_LIMIT, "more than %d $ref and allOf in a row", SCHEMA_DEPTH);
        return;
    }
    x->path[x->depth++] = at;
    wants_add(s, &x->out, at, PART_OWN);
    const vg_json *ref = vg_json_get(at, "$ref"), *all = list_of(s, at, "allOf");
    const vg_json *to = ref ? resolve(s, at, ref) : NULL;
    if (to) expand(x, to);
    for (size_t i = 0; all && i < all->n; i++) expand(x, all->item[i]);
    if (list_of(s, at, "anyOf")) wants_add(s, &x->out, at, PART_ANY_OF);
    if (list_of(s, at, "oneOf")) wants_add(s, &x->out, at, PART_ONE_OF);
    x->depth--;
}

void wants_expand(schema *s, wants *w)
{
    expansion x = {.s = s, .out = {.nothing = w->nothing}};
    for (size_t i = 0; i < w->n && !s->b->failed; i++) {
        if (w->item[i].part == PART_ALL) expand(&x, w->item[i].schema);
        else wants_add(s, &x.out, w->item[i].schema, w->item[i].part);
    }
    *w = x.out;
}

/* ---- one set --------------------------------------------------------------------------------- */

/* The set with a branch of its group `at` in the group's place. */
static gx *branches(schema *s, const wants *w, size_t at)
{
    const vg_json *schema_at = w->item[at].schema;
    bool one = w->item[at].part == PART_ONE_OF;
    const vg_json *list = vg_json_get(schema_at, one ? "oneOf" : "anyOf");
    gx **alt = gx_array(s->b, list->n, sizeof *alt);
    for (size_t i = 0; one && i < list->n && !s->b->failed; i++)
        for (size_t k = 0; k < i; k++)
            if (!schema_excludes(s, list->item[i], list->item[k])) {
                (void)schema_fail(s, schema_at, VG_E_UNSUPPORTED,
                                  "the keyword \"oneOf\", whose branches %zu and %zu may both fit",
                                  k, i);
                return NULL;
            }
    for (size_t i = 0; i < list->n && alt; i++) {
        wants branch = {.nothing = w->nothing};
        for (size_t k = 0; k < w->n; k++)
            if (k != at) wants_add(s, &branch, w->item[k].schema, w->item[k].part);
        wants_add(s, &branch, list->item[i], PART_ALL);
        alt[i] = schema_rule(s, &branch);
    }
    return alt ? gx_alt(s->b, alt, list->n) : NULL;
}

static gx *value(schema *s, const wants *w)
{
    gx *alt[8];
    size_t n = 0;
    facts f;
    facts_of(s, w, &f);
    if (s->b->failed) return NULL;
    if (!f.typed && f.implied) f.types &= f.implied;
    if (f.has_values) return schema_values(s, w, &f);
    if (f.types & TYPE_NULL) alt[n++] = gx_lit(s->b, "null");
    if (f.types & TYPE_BOOL) alt[n++] = GX_ALT(s->b, gx_lit(s->b, "true"), gx_lit(s->b, "false"));
    if (f.types & TYPE_NUMBER) alt[n++] = schema_number(s, w, &f, f.types & TYPE_FRACTION);
    if (f.types & TYPE_STRING) alt[n++] = schema_string(s, &f);
    if (f.types & TYPE_ARRAY) alt[n++] = schema_array(s, w, &f);
    if (f.types & TYPE_OBJECT) alt[n++] = schema_object(s, w, &f);
    return gx_alt(s->b, alt, n);
}

static gx *define(schema *s, wants w)
{
    wants_expand(s, &w);
    if (s->b->failed) return NULL;
    if (w.nothing) return gx_alt(s->b, NULL, 0);
    for (size_t i = 0; i < w.n; i++)
        if (w.item[i].part == PART_ANY_OF || w.item[i].part == PART_ONE_OF)
            return branches(s, &w, i);
    return value(s, &w);
}

/* White space: none, a blank, or a line break and an indentation. */
static gx *white_space(gx_builder *b)
{
    gx *blank = gx_lit(b, " "), *tab = gx_lit(b, "\t");
    gx *indent = GX_ALT(b, gx_repeat(b, blank, 0, 40), gx_repeat(b, tab, 1, 10));
    return GX_ALT(b, gx_lit(b, ""), gx_lit(b, " "), GX_SEQ(b, gx_lit(b, "\n"), indent));
}

static gx *named(gx_builder *b, gx *body)
{
    uint32_t rule = gx_rule_new(b, (vg_str){0});
    gx_define(b, rule, body);
    return gx_ref(b, rule);
}

static vg_status compile(schema *s, uint32_t *root)
{
    gx_builder *b = s->b;
    s->ws = named(b, white_space(b));
    s->comma = named(b, GX_SEQ(b, gx_lit(b, ","), s->ws));
    s->colon = named(b, GX_SEQ(b, gx_lit(b, ":"), gx_repeat(b, gx_lit(b, " "), 0, 1)));
    wants w = {.n = 0};
    wants_add(s, &w, s->root, PART_ALL);
    gx *whole = named(b, schema_rule(s, &w));
    for (size_t i = 0; i < s->n_sets && !b->failed; i++) {
        gx *body = define(s, s->set[i].wants);
        gx_define(b, s->set[i].rule, body);
    }
    if (!b->failed) *root = whole->rule;
    return b->failed;
}

vg_status gx_from_schema(gx_builder *b, vg_str json, uint32_t *root)
{
    vg_json *doc = NULL;
    vg_status st = vg_json_parse(b->arena, json.p, json.n, &doc, b->err);
    if (st) return vg_err_context(b->err, b->failed = st, "schema");
    schema s = {.b = b, .root = doc};
    return compile(&s, root);
}
