/* progress.h: one line on stderr that tells how far a long work is: what is done, a bar, percent,
 * the time left, the rate, what it is at. On a terminal alone, as wide as that is, and only once
 * the work takes longer than a blink.
 *
 *     progress p;
 *     progress_begin(&p);
 *     progress_show(&p, &(progress_now){.stage = "quantising", .done = 10, .total = 400});
 *     progress_end(&p);
 */
#ifndef VG_PROGRESS_H
#define VG_PROGRESS_H

#include "base/base.h"

enum { PROGRESS_MAX = 160 }; /* columns */

typedef struct progress_now {
    const char *stage;    /* a word or two; another stage begins a clock of its own */
    vg_str item;          /* what it is at, whatever bytes; may be empty */
    uint64_t done, total; /* total 0: not known */
    const char *unit;     /* of the rate: "B", " weights"; NULL: none is told */
    bool seldom;          /* it may be long until the next report: this one is drawn in any case */
} progress_now;

typedef struct progress {
    bool on_terminal;
    char stage[48];
    uint64_t begin_ns, stage_ns, shown_ns;
    uint64_t first_done; /* when the stage began: what was there already is no measure of speed */
    size_t n_shown;      /* columns of the line that stands */
} progress;

void progress_begin(progress *p);
/* May be called as often as one likes: few of the calls draw. */
void progress_show(progress *p, const progress_now *now);
/* The line goes; what is printed next stands in its place. Another one may follow. */
void progress_end(progress *p);

/* The line, NUL-terminated, of at most columns - 3, in printable ASCII: a stage that took
 * `seconds` for what it has beyond first_done. What does not fit is left out, the least first. */
size_t progress_line(const progress_now *now, uint64_t first_done, double seconds, size_t columns,
                     char out[PROGRESS_MAX]);
#endif
