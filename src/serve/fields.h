/* fields.h: a request's JSON object read by a table of its fields, so that every field that a
 * dialect knows stands in one place and one that it does not know is an error that names it.
 *
 *     static const vg_field fields[] = {
 *         {"temperature", VG_FIELD_REAL, .at = offsetof(vg_request, sampling.temp), .max = 100},
 *         {"stop", VG_FIELD_OTHER, .read = vg_fields_stops},
 *         {"user", .kind = VG_FIELD_UNUSED},
 *         {"images", VG_FIELD_REFUSED, .why = "this build reads text alone"},
 *     };
 *     VG_TRY(vg_fields_read(body, "", fields, VG_COUNT(fields), request, err));
 *
 * Null counts as absent. Fields are read in the table's order. */
#ifndef VG_FIELDS_H
#define VG_FIELDS_H

#include "serve/request.h"

typedef enum vg_field_kind {
    VG_FIELD_BOOL,   /* bool */
    VG_FIELD_COUNT,  /* uint32_t within min and max; 3.0 is 3 */
    VG_FIELD_INT,    /* int64_t within min and max */
    VG_FIELD_REAL,   /* float within min and max */
    VG_FIELD_TEXT,   /* vg_str */
    VG_FIELD_JSON,   /* const vg_json *, of any kind */
    VG_FIELD_OTHER,  /* `read` reads it */
    VG_FIELD_UNUSED, /* any value: it changes no answer */
    VG_FIELD_REFUSED /* `why`; false, 0, "", [] and {} ask for nothing, so they pass */
} vg_field_kind;

/* `into` is what vg_fields_read was given. The field's name comes before its error's message. */
typedef vg_status vg_field_read(void *into, const vg_json *value, vg_err *err);

typedef struct vg_field {
    const char *name;
    vg_field_kind kind;
    size_t at;       /* of the member in `into` */
    double min, max;
    vg_field_read *read;
    const char *why;
} vg_field;

/* `where` comes before names in errors: "", "options.", "messages[2].". Errors: USAGE (a wrong
 * type, out of range), UNSUPPORTED (a field that the table does not have, or refuses). */
VG_NODISCARD vg_status vg_fields_read(const vg_json *object, const char *where,
                                      const vg_field *field, size_t n, void *into, vg_err *err);

/* One value, for a `read` of one's own. */
VG_NODISCARD vg_status vg_field_bool(const vg_json *v, bool *out, vg_err *err);
VG_NODISCARD vg_status vg_field_int(const vg_json *v, double min, double max, int64_t *out,
                                    vg_err *err);
VG_NODISCARD vg_status vg_field_real(const vg_json *v, double min, double max, float *out,
                                     vg_err *err);
VG_NODISCARD vg_status vg_field_text(const vg_json *v, vg_str *out, vg_err *err);
VG_NODISCARD vg_status vg_field_kind_is(const vg_json *v, vg_json_kind kind, vg_err *err);

/* Readers into a vg_request. Stops: a text or an array of at most VG_MAX_STOPS; empty ones ask for
 * nothing. */
vg_status vg_fields_stops(void *request, const vg_json *v, vg_err *err);
/* A text; an array of ids; an array of prompts, each of them a text, an array of ids, or an array
 * of texts and ids, which is one prompt; at most VG_MAX_PROMPTS. */
vg_status vg_fields_prompts(void *request, const vg_json *v, vg_err *err);

/* JSON made anew in an arena, for messages that a dialect words otherwise. What fails sets `failed`
 * and gives NULL, and NULL is passed through: one look at the end is enough. */
typedef struct vg_make {
    vg_arena *arena;
    bool failed;
} vg_make;
vg_json *vg_make_object(vg_make *m, size_t cap); /* room for `cap` pairs */
vg_json *vg_make_array(vg_make *m, size_t cap);
vg_json *vg_make_text(vg_make *m, vg_str s); /* the bytes are not copied */
vg_json *vg_make_bool(vg_make *m, bool v);
/* Adds to an object, or with key NULL to an array; a value that is NULL is left out. */
void vg_make_add(vg_make *m, vg_json *to, const char *key, const vg_json *value);
#endif
