/* Log lines that no client can forge, and what systemd is told. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "serve/log.h"
#include "serve/notify.h"
#include "test.h"

static size_t line_of(int fd, char *line, size_t room)
{
    ssize_t n = read(fd, line, room - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    return (size_t)n;
}

static const char nasty[] = "a\"b\\c\r\n\x1b[31m\xff\xe2\x80\xa8 time=0";

static void write_line(vg_log *l)
{
    vg_log_begin(l, VG_HTTP_INFO, "test");
    vg_log_text(l, "plain", "/v1/models");
    vg_log_text(l, "nasty", nasty);
    vg_log_text(l, "empty", "");
    vg_log_int(l, "n", -5);
    vg_log_ms(l, "ms", 1234567890);
    vg_log_end(l);
}

static void lines(void **state)
{
    (void)state;
    int fd[2];
    char line[8192];
    assert_int_equal(pipe(fd), 0);
    vg_log l = {.fd = fd[1], .least = VG_HTTP_INFO};
    write_line(&l);
    line_of(fd[0], line, sizeof line);
    assert_non_null(strstr(line,
                           "Z level=info event=test plain=/v1/models nasty=\"a\\\"b\\\\c\\u000d"
                           "\\u000a\\u001b[31m\\ufffd\\u2028 time=0\" empty=\"\" n=-5 "
                           "ms=1234.56\n"));
    vg_log_begin(&l, VG_HTTP_DEBUG, "not written");
    vg_log_text(&l, "a", "b");
    vg_log_end(&l);
    l.json = true;
    write_line(&l);
    size_t n = line_of(fd[0], line, sizeof line);
    vg_arena *a = NULL;
    vg_json *j = NULL;
    vg_err err;
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    TEST_OK(vg_json_parse(a, line, n, &j, &err));
    assert_true(vg_str_is(vg_json_get(j, "plain")->str, "/v1/models"));
    assert_true(vg_str_is(vg_json_get(j, "nasty")->str,
                          "a\"b\\c\r\n\x1b[31m\xEF\xBF\xBD\xe2\x80\xa8 time=0"));
    assert_int_equal(vg_json_get(j, "n")->integer, -5);
    vg_arena_free(a);
    close(fd[0]);
    close(fd[1]);
}

static void long_values_keep_the_form(void **state)
{
    (void)state;
    int fd[2];
    char line[8192], value[3000];
    assert_int_equal(pipe(fd), 0);
    memset(value, '\x01', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    vg_log l = {.fd = fd[1], .json = true, .least = VG_HTTP_INFO};
    vg_log_begin(&l, VG_HTTP_ERROR, "long");
    for (int i = 0; i < 20; i++) vg_log_text(&l, "k", value);
    vg_log_end(&l);
    size_t n = line_of(fd[0], line, sizeof line);
    vg_arena *a = NULL;
    vg_json *j = NULL;
    vg_err err;
    TEST_OK(vg_arena_new(&a, 1 << 20, &err));
    TEST_OK(vg_json_parse(a, line, n, &j, &err));
    vg_arena_free(a);
    close(fd[0]);
    close(fd[1]);
}

/* A reader that stalls loses lines and learns how many; the writer never waits. */
static void a_full_pipe_does_not_stop(void **state)
{
    (void)state;
    int fd[2];
    char line[1 << 17];
    assert_int_equal(pipe(fd), 0);
    vg_log l = {.fd = fd[1], .least = VG_HTTP_INFO};
    for (int i = 0; i < 10000; i++) write_line(&l);
    assert_true(l.n_lost > 0);
    while (l.n_lost) {
        assert_true(read(fd[0], line, sizeof line) > 0);
        write_line(&l);
    }
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    bool told = false;
    for (ssize_t n; (n = read(fd[0], line, sizeof line - 1)) > 0;) {
        line[n] = '\0';
        told |= strstr(line, " lost=") != NULL;
    }
    assert_true(told);
    close(fd[0]);
    close(fd[1]);
}

static int datagrams(const char *name, bool is_abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", name);
    if (is_abstract) a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (void *)&a, n), 0);
    return fd;
}

static void systemd_hears(void **state)
{
    (void)state;
    char dir[] = "/tmp/verge-notify-XXXXXX", path[64], abstract[64], pid[16], text[600];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(abstract, sizeof abstract, "@verge-test-%d", (int)getpid());
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    const char *const names[] = {path, abstract};
    for (int i = 0; i < 2; i++) {
        int fd = datagrams(names[i], i == 1);
        vg_notify n;
        vg_notify_open(&n, names[i], "3000000", pid);
        assert_int_equal(n.watchdog_ms, 1500);
        vg_notify_say(&n, "READY=1");
        ssize_t got = recv(fd, text, sizeof text, 0);
        assert_int_equal(got, 7);
        assert_memory_equal(text, "READY=1", 7);
        vg_notify_say(&n, "RELOADING=1");
        got = recv(fd, text, sizeof text, 0);
        assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
        vg_notify_close(&n);
        vg_notify_say(&n, "WATCHDOG=1");
        close(fd);
    }
    unlink(path);
    rmdir(dir);
    vg_notify n;
    static const char *const bad[] = {NULL, "", "@", "relative", "/no/such/socket"};
    for (size_t i = 0; i < VG_COUNT(bad); i++) {
        vg_notify_open(&n, bad[i], "3000000", NULL);
        assert_int_equal(n.fd, -1);
        assert_int_equal(n.watchdog_ms, 0);
        vg_notify_say(&n, "READY=1");
    }
    assert_int_equal(vg_listen_fds("1", "1"), 0);
    assert_int_equal(vg_listen_fds(NULL, NULL), 0);
    assert_int_equal(vg_listen_fds(pid, "x"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(long_values_keep_the_form),
        cmocka_unit_test(a_full_pipe_does_not_stop),
        cmocka_unit_test(systemd_hears),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
