/* Writes SVG 1.1: plain shapes and text with presentation attributes, so that browsers, editors
 * and converters all draw the same. Coordinates are pixels to two digits; what is no number becomes
 * 0. Colours come from the caller and are trusted, texts are not. */
#include "app/svg.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/os.h"

/* ` name="12.34"`, whatever the locale. */
static void put_attr(vg_buf *b, const char *name, double v)
{
    char number[VG_DOUBLE_LONG_TEXT];
    vg_double_print(isfinite(v) ? v : 0, 'f', 2, number);
    vg_buf_fmt(b, " %s=\"%s\"", name, number);
}

static void put_escaped(vg_buf *b, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        int32_t cp;
        size_t len = vg_utf8_next(text + i, n - i, &cp);
        bool letter = cp >= 0x20 && cp != 0x7f && cp != 0xfffe && cp != 0xffff;
        if (cp == '<') vg_buf_text(b, "&lt;");
        else if (cp == '>') vg_buf_text(b, "&gt;");
        else if (cp == '&') vg_buf_text(b, "&amp;");
        else if (letter) vg_buf_add(b, text + i, len);
        else vg_buf_char(b, '?');
        i += len;
    }
}

void svg_begin(vg_buf *b, double width, double height)
{
    vg_buf_text(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                   "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    put_attr(b, "width", width);
    put_attr(b, "height", height);
    vg_buf_text(b, " font-family=\"Helvetica, Arial, sans-serif\">\n");
    svg_rect(b, 0, 0, width, height, "#ffffff");
}

void svg_end(vg_buf *b)
{
    vg_buf_text(b, "</svg>\n");
}

void svg_line(vg_buf *b, double x1, double y1, double x2, double y2, const char *colour,
              double width)
{
    vg_buf_text(b, "<line");
    put_attr(b, "x1", x1);
    put_attr(b, "y1", y1);
    put_attr(b, "x2", x2);
    put_attr(b, "y2", y2);
    vg_buf_fmt(b, " stroke=\"%s\"", colour);
    put_attr(b, "stroke-width", width);
    vg_buf_text(b, "/>\n");
}

void svg_rect(vg_buf *b, double x, double y, double width, double height, const char *colour)
{
    vg_buf_text(b, "<rect");
    put_attr(b, "x", x);
    put_attr(b, "y", y);
    put_attr(b, "width", width);
    put_attr(b, "height", height);
    vg_buf_fmt(b, " fill=\"%s\"/>\n", colour);
}

void svg_text(vg_buf *b, double x, double y, svg_anchor anchor, double size, const char *colour,
              const char *text)
{
    static const char *const names[] = {"start", "middle", "end"};
    vg_buf_text(b, "<text");
    put_attr(b, "x", x);
    put_attr(b, "y", y);
    put_attr(b, "font-size", size);
    vg_buf_fmt(b, " text-anchor=\"%s\" fill=\"%s\">", names[anchor], colour);
    put_escaped(b, text);
    vg_buf_text(b, "</text>\n");
}

double svg_step(double max, int n)
{
    if (!(max > 0) || !isfinite(max)) return 1;
    double raw = max / n, power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

/* A device or a pipe, such as /dev/stdout. */
static vg_status write_into(const vg_buf *b, const char *path, vg_err *err)
{
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(b->data, 1, b->n, f) == b->n;
    if (f && fclose(f)) ok = false;
    return ok ? VG_OK : VG_FAIL(err, VG_E_IO, "%s: %s", path, strerror(errno));
}

static vg_status write_whole(const vg_buf *b, const char *path, vg_err *err)
{
    vg_new_file f;
    VG_TRY(vg_new_file_begin(&f, path, err));
    vg_status st = vg_new_file_put(&f, b->data, b->n, err);
    if (!st) return vg_new_file_end(&f, err);
    vg_new_file_abandon(&f);
    return st;
}

vg_status svg_save(vg_buf *b, const char *path, vg_err *err)
{
    struct stat at;
    bool device = stat(path, &at) == 0 && !S_ISREG(at.st_mode);
    vg_status st = vg_buf_check(b, "the plot", err);
    if (!st) st = device ? write_into(b, path, err) : write_whole(b, path, err);
    vg_buf_clear(b);
    return st;
}
