/* json.h: a strict, bounded JSON reader (RFC 8259) into an arena, and a writer into a buffer.
 *
 *     vg_json *doc;
 *     VG_TRY(vg_json_parse(arena, text, n, &doc, err));
 *     const vg_json *name = vg_json_get(doc, "name");
 *     if (name && name->kind == VG_JSON_STRING) use(name->str);
 *
 * The tree is also the value type of the chat template interpreter. Nesting is bounded by
 * VG_JSON_DEPTH, the size by the arena's cap. Numbers keep whether they were written as an integer.
 * Duplicate keys: the last one counts, in the place of the first (as Python's json does). A lone
 * surrogate escape becomes U+FFFD; a number too large for a double is refused. */
#ifndef VG_JSON_H
#define VG_JSON_H

#include "base/base.h"

enum { VG_JSON_DEPTH = 128 };

typedef enum vg_json_kind {
    VG_JSON_NULL,
    VG_JSON_BOOL,
    VG_JSON_INT,
    VG_JSON_FLOAT,
    VG_JSON_STRING,
    VG_JSON_ARRAY,
    VG_JSON_OBJECT
} vg_json_kind;

typedef struct vg_json vg_json;
struct vg_json {
    vg_json_kind kind;
    bool boolean;
    int64_t integer; /* VG_JSON_INT; an integer that does not fit 64 bits is a VG_JSON_FLOAT */
    double number;   /* VG_JSON_FLOAT, and the value of an INT as well */
    vg_str str;      /* VG_JSON_STRING, unescaped, in the arena; may hold NUL */
    size_t n;        /* items of an ARRAY, pairs of an OBJECT */
    vg_json **item;  /* [n] */
    vg_str *key;     /* [n], OBJECT only */
    bool repeats;    /* OBJECT: a key stood there more than once */
};

/* Parses the whole of text[0..n). Errors: FORMAT with line and column, LIMIT, NO_MEMORY. */
VG_NODISCARD vg_status vg_json_parse(vg_arena *a, const char *text, size_t n, vg_json **out,
                                     vg_err *err);
const vg_json *vg_json_get(const vg_json *object, const char *key); /* NULL: absent or no object */

/* Writes a string with quotes and escapes; invalid UTF-8 becomes U+FFFD. */
void vg_json_put_str(vg_buf *b, vg_str s);
/* Writes the shortest decimal that reads back as the same double; NaN and infinity as null. */
void vg_json_put_number(vg_buf *b, double v);

/* Writes a whole tree on one line, floats so that they stay floats. */
void vg_json_put(vg_buf *b, const vg_json *j);

/* A double as Python's repr prints it ("0.1", "5.0", "1e+16", "nan"), NUL-terminated; returns the
 * length. None of these functions depends on the locale. */
enum { VG_DOUBLE_TEXT = 32 };
size_t vg_double_put(double v, char out[VG_DOUBLE_TEXT]);
/* Reads all of s, decimal digits with sign, point and exponent, at most 512 characters. Too large
 * gives infinity; false where it is no number. */
bool vg_double_read(vg_str s, double *out);
/* As C's %.*e, %.*f or %.*g (`conversion` e, f, g) prints it, with at most 400 digits; returns the
 * length. */
enum { VG_DOUBLE_LONG_TEXT = 768 };
size_t vg_double_print(double v, char conversion, int digits, char out[VG_DOUBLE_LONG_TEXT]);
#endif
