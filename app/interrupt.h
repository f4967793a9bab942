/* interrupt.h: Ctrl-C and its like as something to look at instead of something that happens: the
 * signals are blocked, also in threads made later, and wait in a descriptor that poll() accepts.
 *
 *     interrupt it;
 *     VG_TRY(interrupt_begin(&it, err));
 *     while (work()) if (interrupt_take(&it) == SIGINT) break;
 *     interrupt_end(&it);
 */
#ifndef VG_INTERRUPT_H
#define VG_INTERRUPT_H

#include <signal.h>

#include "base/base.h"

typedef struct interrupt {
    int fd; /* readable while a signal waits */
    sigset_t before;
} interrupt;

/* SIGINT, SIGTERM, SIGHUP, and for the line editor SIGWINCH and SIGCONT. */
VG_NODISCARD vg_status interrupt_begin(interrupt *it, vg_err *err);
void interrupt_end(interrupt *it);

/* Whether one of SIGINT, SIGTERM and SIGHUP waits; others that wait are dropped. */
bool interrupt_stops(interrupt *it);
int interrupt_take(interrupt *it); /* the number of a signal that waited, 0: none */
#endif
