/* Draws the models of `verge eval` by size and quality: divergence from the reference where there
 * is one, else perplexity, else the share of wrong answers, so that down and left is better. The
 * line joins the frontier: models than which no other is both smaller and better. */
#include <math.h>

#include "app/eval.h"
#include "app/svg.h"

enum {
    WIDTH = 720, HEIGHT = 440, LEFT = 80, RIGHT = 40, TOP = 64, BOTTOM = 56, DOT = 8,
    PLOT_CAP_BYTES = 1 << 20
};

#define INK "#222222"
#define PALE "#dddddd"
#define MARK "#4472a8"

typedef struct chart {
    vg_buf *b;
    const eval *ev;
    const char *title;
    double max_x, min_y, max_y;
} chart;

static double quality(const eval_score *s)
{
    if (s->kl.n) return eval_mean(&s->kl);
    if (s->nll.n) return eval_perplexity(&s->nll);
    return 100 - 100 * (double)s->n_right / (double)s->n_questions;
}

static double x_of(const chart *c, double bytes)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * bytes / c->max_x;
}

static double y_of(const chart *c, double y)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - c->min_y) / (c->max_y - c->min_y);
}

/* Ranges with some room around the points; the y axis of divergences begins at 0. */
static void measure(chart *c)
{
    const eval_score *s = c->ev->score;
    c->title = s->kl.n ? "Mean KL divergence from the reference, nats"
                       : s->nll.n ? "Perplexity" : "Wrong answers, %";
    c->min_y = c->max_y = quality(s);
    for (size_t i = 0; i < c->ev->n_scores; i++) {
        double y = quality(&s[i]);
        c->max_x = fmax(c->max_x, (double)s[i].file_bytes);
        c->min_y = fmin(c->min_y, y);
        c->max_y = fmax(c->max_y, y);
    }
    double room = fmax(0.15 * (c->max_y - c->min_y), 1e-6 + 0.01 * c->max_y);
    c->max_x *= 1.15;
    c->max_y += room;
    c->min_y = s->kl.n ? 0 : fmax(c->min_y - room, 0);
}

static void draw_axes(const chart *c)
{
    char number[32];
    double step = svg_step(c->max_x * 1e-6, 6), bottom = HEIGHT - BOTTOM;
    for (int i = 0; i * step * 1e6 <= c->max_x; i++) {
        double x = x_of(c, i * step * 1e6);
        svg_line(c->b, x, TOP, x, bottom, PALE, 1);
        snprintf(number, sizeof number, "%g", i * step);
        svg_text(c->b, x, bottom + 16, SVG_MIDDLE, 11, INK, number);
    }
    step = svg_step(c->max_y - c->min_y, 6);
    for (double v = ceil(c->min_y / step) * step; v <= c->max_y; v += step) {
        svg_line(c->b, LEFT, y_of(c, v), WIDTH - RIGHT, y_of(c, v), PALE, 1);
        snprintf(number, sizeof number, "%.4g", v);
        svg_text(c->b, LEFT - 8, y_of(c, v) + 4, SVG_END, 11, INK, number);
    }
    svg_line(c->b, LEFT, TOP, LEFT, bottom, INK, 1);
    svg_line(c->b, LEFT, bottom, WIDTH - RIGHT, bottom, INK, 1);
    svg_text(c->b, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 38, SVG_MIDDLE, 12, INK, "File, MB");
}

/* The next model of the frontier after a size and a quality: the smallest that is better, the best
 * of these; NULL: none. */
static const eval_score *next_of_frontier(const eval *ev, double bytes, double best)
{
    const eval_score *next = NULL;
    for (size_t i = 0; i < ev->n_scores; i++) {
        const eval_score *s = &ev->score[i];
        if ((double)s->file_bytes < bytes || !(quality(s) < best)) continue;
        if (!next || s->file_bytes < next->file_bytes ||
            (s->file_bytes == next->file_bytes && quality(s) < quality(next)))
            next = s;
    }
    return next;
}

static void draw_frontier(const chart *c)
{
    const eval_score *s = next_of_frontier(c->ev, 0, INFINITY), *next;
    for (; s; s = next) {
        next = next_of_frontier(c->ev, (double)s->file_bytes, quality(s));
        if (next)
            svg_line(c->b, x_of(c, (double)s->file_bytes), y_of(c, quality(s)),
                     x_of(c, (double)next->file_bytes), y_of(c, quality(next)), MARK, 1.5);
    }
}

static void draw_points(const chart *c)
{
    for (size_t i = 0; i < c->ev->n_scores; i++) {
        const eval_score *s = &c->ev->score[i];
        const char *slash = strrchr(s->path, '/'), *name = slash ? slash + 1 : s->path;
        double x = x_of(c, (double)s->file_bytes), y = y_of(c, quality(s));
        bool right = x < (LEFT + WIDTH - RIGHT) / 2.0; /* where the name has room */
        svg_rect(c->b, x - DOT / 2.0, y - DOT / 2.0, DOT, DOT, MARK);
        svg_text(c->b, right ? x + 8 : x - 8, y - 8, right ? SVG_START : SVG_END, 12, INK, name);
    }
}

static void draw(chart *c)
{
    char line[300];
    const eval_opts *o = c->ev->opts;
    measure(c);
    svg_begin(c->b, WIDTH, HEIGHT);
    svg_text(c->b, 16, 26, SVG_START, 15, INK, c->title);
    if (o->text)
        snprintf(line, sizeof line, "verge %s, %.150s, %zu tokens in chunks of %lld, %s cache",
                 vg_version(), o->text, c->ev->n_scored, (long long)o->ctx, o->kv);
    else snprintf(line, sizeof line, "verge %s, %.150s, %s cache", vg_version(), o->choices, o->kv);
    svg_text(c->b, 16, 44, SVG_START, 12, INK, line);
    draw_axes(c);
    draw_frontier(c);
    draw_points(c);
    svg_end(c->b);
}

vg_status eval_plot(const eval *ev, const char *path, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, PLOT_CAP_BYTES);
    draw(&(chart){.b = &b, .ev = ev});
    return svg_save(&b, path, err);
}
