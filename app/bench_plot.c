/* Draws the results of `verge bench`: one panel of bars for prefill, one for decode, each bar a row
 * with its speed, its range, and where the limits were measured a mark at the speed that the limit
 * would give. Panels have scales of their own: a prompt runs many times faster than an answer. */
#include <stdio.h>

#include "app/bench.h"
#include "app/cli.h"
#include "app/svg.h"

enum {
    WIDTH = 720, LEFT = 150, RIGHT = 90, TOP = 64, BAR = 20, GAP = 8, AXIS = 46, LEGEND = 34,
    PLOT_CAP_BYTES = 1 << 20
};

#define INK "#222222"
#define PALE "#dddddd"
#define LIMIT "#c0392b"

static double limit_speed(const bench_row *r)
{
    return r->share > 0 ? r->speed.median / r->share : 0;
}

static void draw_bar(vg_buf *b, const bench_row *r, double y, double scale, const char *colour)
{
    char text[64];
    if (r->kind == BENCH_PREFILL) snprintf(text, sizeof text, "%u tokens", r->tokens);
    else snprintf(text, sizeof text, "depth %u, batch %u", r->depth, r->batch);
    double middle = y + BAR / 2.0, end = LEFT + r->speed.median * scale;
    double last = VG_MAX(end, LEFT + r->speed.max * scale);
    svg_text(b, LEFT - 8, middle + 4, SVG_END, 12, INK, text);
    svg_rect(b, LEFT, y, r->speed.median * scale, BAR, colour);
    svg_line(b, LEFT + r->speed.min * scale, middle, last, middle, INK, 1.5);
    double limit = LEFT + limit_speed(r) * scale;
    if (limit > LEFT) svg_line(b, limit, y - 3, limit, y + BAR + 3, LIMIT, 2.5);
    if (r->share >= 0)
        snprintf(text, sizeof text, "%.1f  (%.0f%%)", r->speed.median, 100 * r->share);
    else snprintf(text, sizeof text, "%.1f", r->speed.median);
    /* Right of the bar, or of the mark where that would be in the way. */
    bool near = limit > last && limit < last + 80;
    svg_text(b, (near ? limit : last) + 6, middle + 4, SVG_START, 12, INK, text);
}

/* Returns the y below the panel. */
static double draw_panel(vg_buf *b, const bench *r, bench_kind kind, const char *title,
                         const char *colour, double top)
{
    double max = 0;
    size_t n = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
        const bench_row *row = &r->row[i];
        if (row->kind != kind) continue;
        max = VG_MAX(max, VG_MAX(row->speed.max, limit_speed(row)));
        n++;
    }
    if (n == 0) return top;
    double step = svg_step(max, 6), scale = (WIDTH - LEFT - RIGHT) / max;
    double bottom = top + 20 + (double)n * (BAR + GAP);
    svg_text(b, LEFT, top + 8, SVG_START, 13, INK, title);
    for (int i = 0; i * step <= max * 1.0001; i++) {
        char number[32];
        double x = LEFT + i * step * scale;
        svg_line(b, x, top + 16, x, bottom, PALE, 1);
        snprintf(number, sizeof number, "%g", i * step);
        svg_text(b, x, bottom + 15, SVG_MIDDLE, 11, INK, number);
    }
    double y = top + 20;
    for (size_t i = 0; i < r->n_rows; i++) {
        if (r->row[i].kind != kind) continue;
        draw_bar(b, &r->row[i], y, scale, colour);
        y += BAR + GAP;
    }
    svg_line(b, LEFT, top + 16, LEFT, bottom, INK, 1);
    return bottom + AXIS;
}

static void draw_legend(vg_buf *b, bool limits, double y)
{
    svg_line(b, LEFT, y - 4, LEFT + 24, y - 4, INK, 1.5);
    svg_text(b, LEFT + 30, y, SVG_START, 11, INK, "range of the runs; a bar is their median");
    if (!limits) return;
    svg_line(b, LEFT + 282, y - 11, LEFT + 282, y + 3, LIMIT, 2.5);
    svg_text(b, LEFT + 290, y, SVG_START, 11, INK, "limit of the machine (share)");
}

static void draw(vg_buf *b, const bench *r)
{
    char line[400];
    double height = TOP + LEGEND;
    bool has[2] = {false, false};
    for (size_t i = 0; i < r->n_rows; i++) {
        height += BAR + GAP;
        has[r->row[i].kind] = true;
    }
    for (size_t i = 0; i < 2; i++) height += has[i] ? 20 + AXIS : 0;
    svg_begin(b, WIDTH, height);
    svg_text(b, 16, 26, SVG_START, 15, INK, r->name);
    snprintf(line, sizeof line, "verge %s, %s, %u thread%s, %s cache", vg_version(), r->isa,
             r->threads, r->threads == 1 ? "" : "s", cli_kv_word(r->plan.kv));
    svg_text(b, 16, 44, SVG_START, 12, INK, line);
    double y = draw_panel(b, r, BENCH_PREFILL, "Prefill, tokens/s", "#4472a8", TOP);
    y = draw_panel(b, r, BENCH_DECODE, "Decode, tokens/s of all sessions", "#5b9a68", y);
    draw_legend(b, r->limits.n > 0, y);
    svg_end(b);
}

vg_status bench_plot(const bench *r, const char *path, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, PLOT_CAP_BYTES);
    draw(&b, r);
    return svg_save(&b, path, err);
}
