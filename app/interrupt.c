/* Signals through signalfd(2). There is no handler, so no global state and no code that runs at a
 * bad moment: an answer ends between two tokens, the line editor wakes from poll(). A signal that
 * the parent had ignored stays ignored. */
#include "app/interrupt.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

vg_status interrupt_begin(interrupt *it, vg_err *err)
{
    static const int which[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < VG_COUNT(which); i++) sigaddset(&set, which[i]);
    it->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (it->fd < 0) return VG_FAIL(err, VG_E_IO, "signalfd: %s", strerror(errno));
    sigprocmask(SIG_BLOCK, &set, &it->before);
    return VG_OK;
}

void interrupt_end(interrupt *it)
{
    sigprocmask(SIG_SETMASK, &it->before, NULL);
    close(it->fd);
}

int interrupt_take(interrupt *it)
{
    struct signalfd_siginfo info;
    return read(it->fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

bool interrupt_stops(interrupt *it)
{
    bool stops = false;
    for (int sig; (sig = interrupt_take(it));)
        stops |= sig == SIGINT || sig == SIGTERM || sig == SIGHUP;
    return stops;
}
