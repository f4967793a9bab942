/* live.h: what the web page's live view reads, one JSON object each half second: rates, what is in
 * the batch, pages, memory, and the time to the first token of the last one to two minutes.
 *
 *     vg_live live = {0};
 *     vg_live_put(&live, &metrics, &now, &out);
 */
#ifndef VG_LIVE_H
#define VG_LIVE_H

#include "serve/metrics.h"

/* What it remembers from one event to the next. Zero at first. */
typedef struct vg_live {
    double time_s, window_s; /* of the last event; of the window's last turn */
    uint64_t prompt_tok, answer_tok;
    double prompt_rate, answer_rate;
    vg_histogram before[2]; /* the times to a first token as they were one and two turns ago */
} vg_live;

void vg_live_put(vg_live *l, const vg_metrics *m, const vg_metrics_now *now, vg_buf *out);
#endif
