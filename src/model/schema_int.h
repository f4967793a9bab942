/* schema_int.h: what the files of JSON Schema share. A value must satisfy a set of schemas at once
 * (a schema, what its allOf and $ref add, the branch of an anyOf that was chosen): a `wants`. Each
 * set becomes one rule, so a schema that uses itself becomes a rule that does.
 *
 *     wants w = {0};
 *     wants_add(s, &w, at, PART_ALL);
 *     gx *value = schema_rule(s, &w);
 *
 * Everything lives in the arena of the grammar's builder. */
#ifndef VG_SCHEMA_INT_H
#define VG_SCHEMA_INT_H

#include "model/fa_int.h"

enum {
    SCHEMA_SETS = 20000,     /* of schemas that a value may have to satisfy */
    SCHEMA_PARTS = 1000,     /* of one set */
    SCHEMA_MOST = 65536,     /* of a count that is only bounded above */
    SCHEMA_DEPTH = 100,      /* $ref to $ref, allOf in allOf */
    SCHEMA_MEMBERS = 200000, /* properties times the counts that are kept of them */
    SCHEMA_PATTERNS = 4      /* of the keys of one object */
};

/* What of a schema is meant. A schema falls into its parts once. */
typedef enum schema_part { PART_ALL, PART_OWN, PART_ANY_OF, PART_ONE_OF } schema_part;

typedef struct want {
    const vg_json *schema;
    schema_part part;
} want;

typedef struct wants {
    want *item; /* [n] in the order in which the schema has them */
    size_t n, cap;
    bool nothing; /* a schema in it is false */
} wants;

enum value_type {
    TYPE_NULL = 1, TYPE_BOOL = 2, TYPE_INT = 4, TYPE_FRACTION = 8, TYPE_STRING = 16,
    TYPE_ARRAY = 32, TYPE_OBJECT = 64, TYPE_NUMBER = TYPE_INT | TYPE_FRACTION, TYPE_ALL = 127
};

typedef struct bound { /* NULL: none */
    const vg_json *at;
    bool strict;
} bound;

/* What the own parts of a set say together. */
typedef struct facts {
    unsigned types;       /* that may be */
    unsigned implied;     /* types that the other keywords are about */
    bool typed;           /* `types` was said by a keyword */
    const vg_json **value; /* [n_values] of enum and const, where has_values */
    size_t n_values;
    bool has_values;
    bound lo, hi;
    const vg_json *step[4]; /* multipleOf */
    size_t n_steps;
    int32_t min_length, max_length, min_items, max_items, min_members, max_members; /* GX_MANY */
    gfa *text;            /* pattern and format; NULL: any */
} facts;

typedef struct schema_set {
    wants wants;
    const want *sorted; /* [wants.n] */
    uint64_t hash;
    uint32_t rule;
} schema_set;

typedef struct schema {
    gx_builder *b;
    const vg_json *root;
    schema_set *set;  /* [n_sets] in the order in which they were asked for */
    size_t n_sets, cap_sets;
    uint32_t *slot;   /* [mask + 1] index + 1 */
    size_t mask;
    gx *ws, *comma, *colon, *string; /* calls of the rules for these, once they are there */
} schema;

/* Fails with the schema's JSON pointer before the message. */
vg_status schema_fail(schema *s, const vg_json *at, vg_status code, const char *fmt, ...)
    VG_PRINTF(4, 5);
void wants_add(schema *s, wants *w, const vg_json *at, schema_part part);
/* Whatever satisfies all of w, as a call of its rule. */
gx *schema_rule(schema *s, const wants *w);
/* Replaces what is whole by its own part, its groups, and what allOf and $ref add. */
void wants_expand(schema *s, wants *w);

/* ---- schema_facts.c -------------------------------------------------------------------------- */
void facts_of(schema *s, const wants *w, facts *f);
unsigned schema_type(const vg_json *j); /* of value_type */
bool schema_equal(const vg_json *a, const vg_json *b);
int schema_compare(const vg_json *a, const vg_json *b); /* of numbers */
/* False where oneOf's branches were not proved to exclude each other. */
bool schema_excludes(schema *s, const vg_json *a, const vg_json *b);

/* ---- values ---------------------------------------------------------------------------------- */
gx *schema_values(schema *s, const wants *w, const facts *f); /* of enum and const */
gx *schema_string(schema *s, const facts *f);
gx *schema_number(schema *s, const wants *w, const facts *f, bool fractions);
bool schema_number_fits(schema *s, const wants *w, const facts *f, const vg_json *v);
gx *schema_array(schema *s, const wants *w, const facts *f);
gx *schema_object(schema *s, const wants *w, const facts *f);
gfa *schema_format(schema *s, const vg_json *at, vg_str name, unsigned *implied);
gx *schema_text(gx_builder *b, vg_str s); /* a JSON string, quotes included */
#endif
