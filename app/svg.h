/* svg.h: the few shapes that a chart needs, written as SVG into a buffer.
 *
 *     vg_buf b;
 *     vg_buf_init(&b, 1 << 20);
 *     svg_begin(&b, 640, 320);
 *     svg_rect(&b, 10, 10, 100, 20, "#4472a8");
 *     svg_text(&b, 10, 50, SVG_START, 12, "#222", "prefill");
 *     svg_end(&b);
 *     VG_TRY(svg_save(&b, path, err));
 */
#ifndef VG_SVG_H
#define VG_SVG_H

#include "base/base.h"

typedef enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END } svg_anchor;

void svg_begin(vg_buf *b, double width, double height); /* on white */
void svg_end(vg_buf *b);
void svg_line(vg_buf *b, double x1, double y1, double x2, double y2, const char *colour,
              double width);
void svg_rect(vg_buf *b, double x, double y, double width, double height, const char *colour);
/* What is no letter in XML comes out as a question mark. */
void svg_text(vg_buf *b, double x, double y, svg_anchor anchor, double size, const char *colour,
              const char *text);

/* Writes the buffer to a file and clears it. Errors: IO, LIMIT or NO_MEMORY of the buffer. */
VG_NODISCARD vg_status svg_save(vg_buf *b, const char *path, vg_err *err);

/* The steps of an axis from 0 to max: 1, 2 or 5 times a power of ten, about `n` of them. */
double svg_step(double max, int n);
#endif
