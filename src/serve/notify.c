/* sd_notify by hand: one datagram to the socket that systemd names. libsystemd would be a library
 * for thirty lines; the protocol is documented as stable. A message that cannot be sent is dropped:
 * a server must not fail because of the one who watches it. */
#include "serve/notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/os.h"

/* A decimal number of at most 18 digits, all of the text. */
static bool read_number(const char *s, uint64_t *out)
{
    size_t n = s ? strlen(s) : 0;
    uint64_t v = 0;
    if (n == 0 || n > 18) return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    *out = v;
    return true;
}

static bool is_us(const char *pid)
{
    uint64_t v;
    return read_number(pid, &v) && v == (uint64_t)getpid();
}

static int open_socket(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof a.sun_path || (name[0] != '/' && name[0] != '@')) return -1;
    memcpy(a.sun_path, name, n);
    if (name[0] == '@') a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (connect(fd, (const void *)&a, bytes) == 0) return fd;
    close(fd);
    return -1;
}

void vg_notify_open(vg_notify *n, const char *socket, const char *watchdog_usec,
                    const char *watchdog_pid)
{
    uint64_t usec = 0;
    *n = (vg_notify){.fd = open_socket(socket)};
    if (n->fd < 0 || (watchdog_pid && !is_us(watchdog_pid))) return;
    if (!read_number(watchdog_usec, &usec) || usec == 0) return;
    n->watchdog_ms = (uint32_t)VG_MAX((uint64_t)1, VG_MIN(usec / 2000, (uint64_t)UINT32_MAX));
}

void vg_notify_say(const vg_notify *n, const char *text)
{
    char message[512];
    if (n->fd < 0) return;
    int len = strncmp(text, "RELOADING=1", 11) == 0
                  ? snprintf(message, sizeof message, "%s\nMONOTONIC_USEC=%llu", text,
                             (unsigned long long)(vg_os_now_ns() / 1000))
                  : snprintf(message, sizeof message, "%s", text);
    size_t bytes = VG_MIN((size_t)len, sizeof message - 1);
    if (send(n->fd, message, bytes, MSG_NOSIGNAL) < 0) return;
}

void vg_notify_close(vg_notify *n)
{
    if (n->fd >= 0) close(n->fd);
    n->fd = -1;
}

int vg_listen_fds(const char *listen_pid, const char *listen_fds)
{
    uint64_t n;
    if (!is_us(listen_pid) || !read_number(listen_fds, &n)) return 0;
    int count = (int)VG_MIN(n, (uint64_t)VG_LISTEN_MAX_FDS);
    for (int i = 0; i < count; i++) fcntl(VG_LISTEN_FIRST_FD + i, F_SETFD, FD_CLOEXEC);
    return count;
}
