/* The line that tells how far a work is. It is drawn over itself, with blanks over what a longer
 * one left, so that any terminal will do; the width is asked each time, because windows change. The
 * rate and the time left come from the stage that runs: stages differ too much to tell of each
 * other. Names of a model file go through a filter, since a file may not drive a terminal. */
#include "app/progress.h"

#include <math.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/os.h"

enum {
    QUIET_NS = 300000000, EVERY_NS = 100000000, FIELD = 48, BAR_MOST = 24, BAR_SHARE = 5,
    ITEM_LEAST = 8, COLUMNS_UNKNOWN = 80,
    MARGIN = 3 /* a line that is full would wrap, and so would "^C" behind it */
};

/* "  0:07 left", or nothing while it cannot be told. */
static void put_left(char out[FIELD], double done, double left, double seconds)
{
    bool known = seconds >= 1 && done > 0 && done >= 0.02 * (done + left);
    double s = known ? ceil(seconds * left / done) : 1e9;
    out[0] = '\0';
    if (s >= 360000) return; /* a hundred hours are no prediction */
    unsigned t = (unsigned)s;
    if (t >= 3600) snprintf(out, FIELD, "  %u:%02u:%02u left", t / 3600, t / 60 % 60, t % 60);
    else snprintf(out, FIELD, "  %u:%02u left", t / 60, t % 60);
}

/* "  12.3 MB/s" */
static void put_rate(char out[FIELD], const char *unit, double done, double seconds)
{
    static const char *const prefix[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    out[0] = '\0';
    if (!unit || done <= 0 || seconds < 1) return;
    double v = done / seconds;
    for (; v >= 999.5 && i + 1 < VG_COUNT(prefix); i++) v /= 1000;
    snprintf(out, FIELD, "  %.*f %s%s/s", v < 99.95 ? 1 : 0, v, prefix[i],
             i == 0 && *unit == ' ' ? unit + 1 : unit);
}

static void put_item(char *out, vg_str item, size_t room)
{
    size_t n = VG_MIN(item.n, room);
    for (size_t i = 0; i < n; i++)
        out[i] = item.p[i] >= ' ' && item.p[i] <= '~' ? item.p[i] : '?';
    out[n] = '\0';
}

/* " [====>     ]" */
static void put_bar(char *out, double part, size_t width)
{
    size_t full = (size_t)(part * (double)width);
    memcpy(out, " [", 2);
    memset(out + 2, '=', full);
    memset(out + 2 + full, ' ', width - full);
    if (full < width) out[2 + full] = '>';
    memcpy(out + 2 + width, "]", 2);
}

static bool take(size_t *room, size_t n)
{
    if (n > *room) return false;
    *room -= n;
    return true;
}

size_t progress_line(const progress_now *now, uint64_t first_done, double seconds, size_t columns,
                     char out[PROGRESS_MAX])
{
    char left[FIELD] = "", rate[FIELD], bar[BAR_MOST + 4] = "", item[PROGRESS_MAX] = "";
    double done = (double)(now->done - VG_MIN(first_done, now->done));
    uint64_t rest = now->total - VG_MIN(now->done, now->total);
    double part = now->total ? 1 - (double)rest / (double)now->total : 0;
    columns = VG_MIN(columns, (size_t)PROGRESS_MAX);
    size_t room = columns - VG_MIN(columns, (size_t)MARGIN);
    size_t n_bar = VG_MIN(columns / BAR_SHARE, (size_t)BAR_MOST);
    size_t n_stage = VG_MIN(strlen(now->stage), room > 5 ? room - 5 : 0);
    if (now->total) put_left(left, done, (double)rest, seconds);
    put_rate(rate, now->unit, done, seconds);
    room -= n_stage;
    bool percent = now->total && take(&room, 5);
    if (!take(&room, strlen(left))) left[0] = '\0';
    if (percent && take(&room, n_bar + 3)) put_bar(bar, part, n_bar);
    if (!take(&room, strlen(rate))) rate[0] = '\0';
    if (room >= ITEM_LEAST + 2) put_item(item, now->item, room - 2);
    int n = snprintf(out, PROGRESS_MAX, "%.*s%s", (int)n_stage, now->stage, bar);
    if (percent) n += snprintf(out + n, PROGRESS_MAX - (size_t)n, " %3.0f%%", floor(100 * part));
    n += snprintf(out + n, PROGRESS_MAX - (size_t)n, "%s%s%s%s", left, rate, *item ? "  " : "",
                  item);
    return (size_t)n;
}

static size_t columns_now(void)
{
    struct winsize size = {0};
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : COLUMNS_UNKNOWN;
}

/* Draws over the line that stands. */
static void draw(progress *p, const char *line, size_t n, size_t columns)
{
    size_t blanks = VG_MIN(p->n_shown, columns - 1);
    fprintf(stderr, "\r%s%*s%s", line, (int)(blanks > n ? blanks - n : 0), "", n ? "" : "\r");
    p->n_shown = n ? VG_MAX(n, blanks) : 0; /* the cursor stands behind the blanks */
}

void progress_begin(progress *p)
{
    *p = (progress){.on_terminal = isatty(STDERR_FILENO), .begin_ns = vg_os_now_ns()};
}

void progress_show(progress *p, const progress_now *now)
{
    char line[PROGRESS_MAX];
    uint64_t t = vg_os_now_ns();
    bool fresh = strncmp(p->stage, now->stage, sizeof p->stage - 1) != 0;
    if (!p->on_terminal) return;
    if (fresh) {
        snprintf(p->stage, sizeof p->stage, "%s", now->stage);
        p->stage_ns = t;
        p->first_done = now->done;
    }
    bool early = t - p->begin_ns < QUIET_NS || (!fresh && t - p->shown_ns < EVERY_NS);
    if (early && !now->seldom) return;
    size_t columns = columns_now();
    size_t n = progress_line(now, p->first_done, (double)(t - p->stage_ns) * 1e-9, columns, line);
    draw(p, line, n, columns);
    p->shown_ns = t;
}

void progress_end(progress *p)
{
    if (p->n_shown) {
        p->n_shown += 2; /* for "^C" */
        draw(p, "", 0, columns_now());
    }
    p->stage[0] = '\0';
}
