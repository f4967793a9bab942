/* Draws latency against throughput over concurrency, a curve for each result: end to end above, the
 * first token below. Down and right is better. The latencies of one and of a hundred streams lie
 * far apart, so their axis is logarithmic. Results come from this run or from files of --json. */
#include <math.h>
#include <stdio.h>

#include "app/bench_serve.h"
#include "app/cli.h"
#include "app/svg.h"
#include "base/json.h"

enum {
    WIDTH = 760, PANEL = 270, LEFT = 84, RIGHT = 40, TOP = 70, GAP = 70, DOT = 7, LEGEND = 20,
    PLOT_CAP_BYTES = 1 << 20, FILE_CAP_BYTES = 16 << 20
};

#define INK "#222222"
#define PALE "#dddddd"
static const char *const colours[BENCH_RESULTS_MAX] = {"#4472a8", "#c0392b", "#5b9a68", "#b8860b",
                                                       "#7d5ba6", "#2a9d9d", "#8c564b", "#666666"};

typedef struct panel {
    vg_buf *b;
    const bench_curve *curve;
    size_t n;
    bool first;         /* the first token, else end to end */
    double top, max_x, low, high; /* low, high: decimal logarithms of the y axis, in ms */
} panel;

/* The time that a panel shows: the median end to end, the slowest first tokens. */
static double time_of(const panel *p, const bench_point *at)
{
    return p->first ? at->first_ms[2] : at->whole_ms[0];
}

static double x_of(const panel *p, double v)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * v / p->max_x;
}

static double y_of(const panel *p, double ms)
{
    return p->top + PANEL - PANEL * (log10(ms) - p->low) / (p->high - p->low);
}

static bool is_drawn(const panel *p, const bench_point *at)
{
    return isfinite(time_of(p, at)) && time_of(p, at) > 0 && at->per_s >= 0;
}

/* Ranges with some room around the points. */
static bool measure(panel *p)
{
    bool any = false;
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->curve[i].n; k++) {
            const bench_point *at = &p->curve[i].point[k];
            if (!is_drawn(p, at)) continue;
            any = true;
            p->max_x = fmax(p->max_x, at->per_s);
            low = fmin(low, log10(time_of(p, at)));
            high = fmax(high, log10(time_of(p, at)));
        }
    p->max_x = p->max_x > 0 ? p->max_x * 1.12 : 1;
    double room = fmax(0.08 * (high - low), 0.1);
    p->low = low - room;
    p->high = high + room;
    return any;
}

static void draw_axes(const panel *p)
{
    static const double steps[] = {1, 2, 5};
    char number[32];
    double bottom = p->top + PANEL, step = svg_step(p->max_x, 7);
    for (int i = 0; i * step <= p->max_x; i++) {
        double x = x_of(p, i * step);
        svg_line(p->b, x, p->top, x, bottom, PALE, 1);
        snprintf(number, sizeof number, "%g", i * step);
        svg_text(p->b, x, bottom + 16, SVG_MIDDLE, 11, INK, number);
    }
    for (int e = (int)floor(p->low); e <= (int)ceil(p->high); e++)
        for (size_t i = 0; i < VG_COUNT(steps); i++) {
            double ms = steps[i] * pow(10, e);
            if (log10(ms) < p->low || log10(ms) > p->high) continue;
            svg_line(p->b, LEFT, y_of(p, ms), WIDTH - RIGHT, y_of(p, ms), PALE, 1);
            snprintf(number, sizeof number, "%g %s", ms >= 1000 ? ms / 1000 : ms,
                     ms >= 1000 ? "s" : "ms");
            svg_text(p->b, LEFT - 8, y_of(p, ms) + 4, SVG_END, 11, INK, number);
        }
    svg_line(p->b, LEFT, p->top, LEFT, bottom, INK, 1);
    svg_line(p->b, LEFT, bottom, WIDTH - RIGHT, bottom, INK, 1);
    svg_text(p->b, LEFT, p->top - 10, SVG_START, 13, INK,
             p->first ? "First token, p99" : "End to end, p50");
    svg_text(p->b, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 36, SVG_MIDDLE, 12, INK,
             "Generated tokens/s of all streams");
}

static void draw_curve(const panel *p, const bench_curve *c, const char *colour)
{
    const bench_point *last = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const bench_point *at = &c->point[i];
        if (!is_drawn(p, at)) continue;
        double x = x_of(p, at->per_s), y = y_of(p, time_of(p, at));
        char label[32];
        if (last)
            svg_line(p->b, x_of(p, last->per_s), y_of(p, time_of(p, last)), x, y, colour, 1.5);
        svg_rect(p->b, x - DOT / 2.0, y - DOT / 2.0, DOT, DOT, colour);
        snprintf(label, sizeof label, "%g%s", at->rate > 0 ? at->rate : at->streams,
                 at->rate > 0 ? "/s" : "");
        svg_text(p->b, x + 7, y + 13, SVG_START, 11, colour, label);
        last = at;
    }
}

static void draw(vg_buf *b, const bench_curve *c, size_t n)
{
    double legend = (double)n * LEGEND, height = TOP + legend + 2 * (PANEL + GAP);
    svg_begin(b, WIDTH, height);
    svg_text(b, 16, 28, SVG_START, 15, INK, "Latency against throughput, by streams at once");
    for (size_t i = 0; i < n; i++) {
        double y = 50 + (double)i * LEGEND;
        svg_rect(b, 16, y - 9, 12, 10, colours[i]);
        svg_text(b, 34, y, SVG_START, 12, INK, c[i].name);
    }
    for (int k = 0; k < 2; k++) {
        panel p = {.b = b, .curve = c, .n = n, .first = k == 1,
                   .top = TOP + legend + k * (PANEL + GAP)};
        if (!measure(&p)) continue;
        draw_axes(&p);
        for (size_t i = 0; i < n; i++) draw_curve(&p, &c[i], colours[i]);
    }
    svg_end(b);
}

vg_status bench_serve_plot(const bench_curve *c, size_t n, const char *path, vg_err *err)
{
    vg_buf b;
    vg_buf_init(&b, PLOT_CAP_BYTES);
    draw(&b, c, n);
    return svg_save(&b, path, err);
}

/* ---- results -------------------------------------------------------------------------------- */

static void fill_times(double out[3], const bench_hist *h)
{
    static const double shares[3] = {0.5, 0.95, 0.99};
    for (size_t i = 0; i < 3; i++) out[i] = bench_hist_percentile(h, shares[i]);
}

void bench_serve_curve(const bench_serve *b, bench_curve *out)
{
    *out = (bench_curve){.n = b->n_run};
    snprintf(out->name, sizeof out->name, "%s", b->opts->name ? b->opts->name : b->target.model);
    for (size_t i = 0; i < b->n_run; i++) {
        const bench_level *l = &b->level[i];
        bench_point *at = &out->point[i];
        at->streams = l->streams;
        at->rate = l->rate;
        at->per_s = l->seconds > 0 ? (double)l->generated_tok / l->seconds : 0;
        fill_times(at->first_ms, &l->first);
        fill_times(at->gap_ms, &l->gap);
        fill_times(at->whole_ms, &l->whole);
    }
}

/* A number that may be null: NaN. */
static double number_of(const vg_json *object, const char *key)
{
    const vg_json *v = vg_json_get(object, key);
    return v && (v->kind == VG_JSON_INT || v->kind == VG_JSON_FLOAT) ? v->number : (double)NAN;
}

static void read_times(const vg_json *level, const char *key, double out[3])
{
    const vg_json *times = vg_json_get(level, key);
    out[0] = number_of(times, "p50");
    out[1] = number_of(times, "p95");
    out[2] = number_of(times, "p99");
}

static vg_status read_curve(const vg_json *doc, const char *path, bench_curve *out, vg_err *err)
{
    const vg_json *levels = vg_json_get(doc, "levels"), *name = vg_json_get(doc, "name");
    if (!levels || levels->kind != VG_JSON_ARRAY || levels->n > BENCH_LEVELS_MAX)
        return VG_FAIL(err, VG_E_FORMAT, "%s is no result of verge bench serve --json", path);
    *out = (bench_curve){.n = levels->n};
    if (name && name->kind == VG_JSON_STRING)
        snprintf(out->name, sizeof out->name, "%.*s", (int)VG_MIN(name->str.n, (size_t)120),
                 name->str.p);
    for (size_t i = 0; i < levels->n; i++) {
        const vg_json *l = levels->item[i];
        bench_point *at = &out->point[i];
        at->streams = number_of(l, "streams");
        at->rate = number_of(l, "requests_per_s");
        at->per_s = number_of(l, "generated_per_s");
        read_times(l, "first_token_ms", at->first_ms);
        read_times(l, "between_tokens_ms", at->gap_ms);
        read_times(l, "end_to_end_ms", at->whole_ms);
    }
    return VG_OK;
}

vg_status bench_curve_read(const char *path, bench_curve *out, vg_err *err)
{
    vg_text text = {0};
    vg_arena *arena = NULL;
    vg_json *doc;
    vg_status st = cli_read(path, FILE_CAP_BYTES, &text, err);
    if (!st) st = vg_arena_new(&arena, (size_t)16 * FILE_CAP_BYTES, err);
    if (!st) {
        st = vg_json_parse(arena, text.data, text.n, &doc, err);
        if (st) st = vg_err_context(err, st, "%s", path);
    }
    if (!st) st = read_curve(doc, path, out, err);
    vg_arena_free(arena);
    vg_text_free(&text);
    return st;
}
