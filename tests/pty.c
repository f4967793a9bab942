/* Drives a program on a pseudo terminal, for tests of what only happens on one. Nothing here waits
 * for time to pass, only for output.
 *
 *     pty PROGRAM [ARGUMENT]... <script     (the lines of the script)
 *     want TEXT      wait until TEXT comes after what was matched before
 *     send TEXT      type TEXT; \n is Enter, \xHH a byte
 *     size COLUMNS   the window gets another width
 *     signal N       send signal N to the program
 *     exit N         wait for the end and check the exit status; the last line
 *
 * All that the program printed goes to stdout. A text that does not come within MAX_WAIT_S, and a
 * wrong status, end with 1; a machine without pseudo terminals with 77. It knows no other terminal
 * than TERM says. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WAIT_S = 60, MAX_OUTPUT = 1 << 22, MAX_LINE = 65536, NO_TERMINAL = 77 };

typedef struct terminal {
    int fd;
    pid_t pid;
    char *out; /* [MAX_OUTPUT] */
    size_t n, matched;
    time_t end; /* of the patience with the line that runs */
} terminal;

static int fail(const terminal *t, const char *what, const char *text)
{
    fwrite(t->out, 1, t->n, stdout);
    fprintf(stderr, "pty: %s %s\n", what, text);
    kill(t->pid, SIGKILL);
    return 1;
}

/* Reads what comes next; false at the end of the output or of the patience. */
static int take_output(terminal *t)
{
    struct pollfd p = {t->fd, POLLIN, 0};
    if (poll(&p, 1, MAX_WAIT_S * 1000) <= 0 || t->n == MAX_OUTPUT || time(NULL) > t->end) return 0;
    ssize_t n = read(t->fd, t->out + t->n, MAX_OUTPUT - t->n);
    if (n <= 0) return 0;
    t->n += (size_t)n;
    return 1;
}

static int want(terminal *t, const char *text)
{
    size_t n = strlen(text);
    for (;;) {
        char *at = t->n > t->matched ? memmem(t->out + t->matched, t->n - t->matched, text, n)
                                     : NULL;
        if (at) {
            t->matched = (size_t)(at - t->out) + n;
            return 0;
        }
        if (!take_output(t)) return fail(t, "there came no", text);
    }
}

static size_t unescape(char *text)
{
    size_t n = 0;
    for (char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] == 'n') {
            text[n++] = '\r';
            p++;
        } else if (p[0] == '\\' && p[1] == 'x' && p[2] && p[3]) {
            char hex[3] = {p[2], p[3], 0};
            text[n++] = (char)strtol(hex, NULL, 16);
            p += 3;
        } else {
            text[n++] = *p;
        }
    }
    return n;
}

/* The program may be busy printing: its output is read between pieces, so that nobody waits. */
static int type(terminal *t, char *text)
{
    size_t n = unescape(text);
    for (size_t at = 0; at < n;) {
        struct pollfd p = {t->fd, POLLIN | POLLOUT, 0};
        if (poll(&p, 1, MAX_WAIT_S * 1000) <= 0) return fail(t, "cannot type", text);
        if (p.revents & POLLIN && !take_output(t)) return fail(t, "it ended before", text);
        if (!(p.revents & POLLOUT)) continue;
        ssize_t done = write(t->fd, text + at, n - at);
        if (done < 0 && errno != EAGAIN) return fail(t, "cannot type", text);
        if (done > 0) at += (size_t)done;
    }
    return 0;
}

static int finish(terminal *t, int status)
{
    int got = 0;
    while (take_output(t)) continue;
    if (waitpid(t->pid, &got, 0) < 0 || !WIFEXITED(got) || WEXITSTATUS(got) != status) {
        char text[64];
        snprintf(text, sizeof text, "status 0x%x", (unsigned)got);
        return fail(t, "it ended with", text);
    }
    fwrite(t->out, 1, t->n, stdout);
    return 0;
}

static int run_line(terminal *t, char *line)
{
    char *arg = line + strcspn(line, " ");
    t->end = time(NULL) + MAX_WAIT_S;
    if (*arg) *arg++ = '\0';
    if (strcmp(line, "want") == 0) return want(t, arg);
    if (strcmp(line, "send") == 0) return type(t, arg);
    if (strcmp(line, "size") == 0) {
        struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)atoi(arg)};
        return ioctl(t->fd, TIOCSWINSZ, &size) ? fail(t, "cannot set", arg) : 0;
    }
    if (strcmp(line, "signal") == 0) return kill(t->pid, atoi(arg)) ? fail(t, "no", line) : 0;
    if (strcmp(line, "exit") == 0) return finish(t, atoi(arg));
    return fail(t, "unknown line", line);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    terminal t = {.fd = -1};
    t.pid = forkpty(&t.fd, NULL, NULL, &size);
    if (t.pid < 0) return NO_TERMINAL;
    if (t.pid == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    t.out = malloc(MAX_OUTPUT);
    char *line = malloc(MAX_LINE);
    if (!t.out || !line) return 1;
    fcntl(t.fd, F_SETFL, O_NONBLOCK);
    int failed = 0;
    while (!failed && fgets(line, MAX_LINE, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && *line != '#') failed = run_line(&t, line);
    }
    free(line);
    free(t.out);
    return failed;
}
