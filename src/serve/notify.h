/* notify.h: what systemd wants to hear of a service (sd_notify(3)), and sockets that it opened for
 * us (sd_listen_fds(3)). The caller reads the environment; without systemd nothing happens.
 *
 *     vg_notify n;
 *     vg_notify_open(&n, notify_socket, watchdog_usec, watchdog_pid);
 *     vg_notify_say(&n, "READY=1\nSTATUS=serving");
 *     if (n.watchdog_ms) say_watchdog_every(n.watchdog_ms); // vg_notify_say(&n, "WATCHDOG=1")
 *     vg_notify_close(&n);
 */
#ifndef VG_SERVE_NOTIFY_H
#define VG_SERVE_NOTIFY_H

#include "base/base.h"

enum { VG_LISTEN_FIRST_FD = 3, VG_LISTEN_MAX_FDS = 64 };

typedef struct vg_notify {
    int fd;               /* -1: nobody listens */
    uint32_t watchdog_ms; /* half of what systemd waits for; 0: it does not wait */
} vg_notify;

/* The values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, or NULL. A socket that begins with
 * '@' is an abstract one. What is malformed counts as absent. */
void vg_notify_open(vg_notify *n, const char *socket, const char *watchdog_usec,
                    const char *watchdog_pid);
/* READY=1, RELOADING=1 (with its time added), STOPPING=1, WATCHDOG=1, STATUS=... */
void vg_notify_say(const vg_notify *n, const char *text);
void vg_notify_close(vg_notify *n);

/* Of LISTEN_PID and LISTEN_FDS, or NULL: how many sockets wait at VG_LISTEN_FIRST_FD and after,
 * marked so that no child of ours gets them. */
int vg_listen_fds(const char *listen_pid, const char *listen_fds);

#endif
