/* tidy.h: what the files of the style checker share: a source file cut into tokens and comments,
 * and the list of findings.
 *
 *     tidy_source s;
 *     VG_TRY(tidy_scan(&s, arena, "src/base/err.c", text, err));
 *     tidy_check_lines(&s, &findings);
 */
#ifndef TIDY_H
#define TIDY_H

#include "base/base.h"

typedef enum tidy_kind { TIDY_NAME, TIDY_NUMBER, TIDY_TEXT, TIDY_SIGN } tidy_kind;

typedef struct tidy_token {
    vg_str s;
    uint32_t line;
    tidy_kind kind;
    bool directive; /* stands in a line of the preprocessor */
} tidy_token;

typedef struct tidy_comment {
    vg_str s;
    uint32_t line;
} tidy_comment;

typedef struct tidy_source {
    const char *path; /* relative to the root, with '/' */
    vg_str text;
    tidy_token *token; /* [n_tokens] */
    size_t n_tokens;
    tidy_comment *comment; /* [n_comments] */
    size_t n_comments;
} tidy_source;

typedef struct tidy_finding {
    const char *path;
    uint32_t line;
    char text[160];
} tidy_finding;

enum { TIDY_MAX_FINDINGS = 1000, TIDY_MAX_FOLDERS = 64 };

typedef struct tidy_findings {
    tidy_finding *item; /* [TIDY_MAX_FINDINGS] */
    size_t n;
} tidy_findings;

/* The layer table of docs/DESIGN.md: which folder may include which. */
typedef struct tidy_layers {
    struct {
        vg_str folder, allowed, exceptions;
    } row[TIDY_MAX_FOLDERS];
    size_t n;
} tidy_layers;

void tidy_report(tidy_findings *f, const char *path, uint32_t line, const char *fmt, ...)
    VG_PRINTF(4, 5);

bool tidy_is(const tidy_token *t, const char *s);
bool tidy_starts(const char *path, const char *prefix);
bool tidy_ends(const char *path, const char *suffix);

VG_NODISCARD vg_status tidy_scan(tidy_source *s, vg_arena *a, const char *path, vg_str text,
                                 vg_err *err);
VG_NODISCARD vg_status tidy_read_layers(tidy_layers *l, vg_str design, vg_err *err);

void tidy_check_lines(const tidy_source *s, tidy_findings *f);
void tidy_check_comments(const tidy_source *s, tidy_findings *f);
void tidy_check_includes(const tidy_source *s, const tidy_layers *l, tidy_findings *f);
void tidy_check_names(const tidy_source *s, vg_str docs, tidy_findings *f);
void tidy_check_shape(const tidy_source *s, tidy_findings *f);
#endif
