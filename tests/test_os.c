/* Tests of os_posix.c and os_cgroup.c: what may be mapped, the guard's manners towards other
 * handlers, and limits of control groups read from trees made here. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cgroup.h"
#include "base/os.h"
#include "fault.h"
#include "test_tmp.h"

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f) fail_msg("cannot write %s", path);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void refuse(const char *path, vg_status status, const char *says)
{
    vg_err err;
    vg_file f;
    vg_status st = vg_file_map(&f, path, &err);
    if (st != status || !strstr(err.msg, says)) fail_msg("%s: %s", vg_status_name(st), err.msg);
    assert_null(f.data);
    vg_file_unmap(&f);
}

static void only_regular_files_are_mapped(void **state)
{
    VG_UNUSED(state);
    vg_err err;
    vg_file f;
    test_tmp tmp;
    char below[4096];
    test_tmp_begin(&tmp);
    refuse(tmp.dir, VG_E_FORMAT, "directory");
    refuse("/dev/null", VG_E_FORMAT, "device");
    refuse(test_tmp_path(&tmp, "none"), VG_E_NOT_FOUND, "none: ");
    assert_int_equal(mkfifo(test_tmp_path(&tmp, "fifo"), 0600), 0);
    refuse(tmp.path, VG_E_FORMAT, "pipe");
    write_text(test_tmp_path(&tmp, "empty"), "");
    refuse(tmp.path, VG_E_FORMAT, "empty");
    write_text(test_tmp_path(&tmp, "file"), "hello");
    snprintf(below, sizeof below, "%s/below", tmp.path);
    refuse(below, VG_E_NOT_FOUND, "below");
    TEST_OK(vg_file_map(&f, tmp.path, &err));
    assert_int_equal(f.n, 5);
    assert_memory_equal(f.data, "hello", 5);
    assert_true(vg_file_intact(&f));
    assert_int_equal(truncate(tmp.path, 4), 0);
    assert_false(vg_file_intact(&f));
    vg_file_unmap(&f);
    vg_file_unmap(&f);
    assert_int_equal(symlink("file", test_tmp_path(&tmp, "link")), 0);
    TEST_OK(vg_file_map(&f, tmp.path, &err));
    assert_int_equal(f.n, 4);
    vg_file_unmap(&f);
    assert_int_equal(symlink("gone", test_tmp_path(&tmp, "dangling")), 0);
    refuse(tmp.path, VG_E_NOT_FOUND, "dangling");
    assert_int_equal(symlink("loop", test_tmp_path(&tmp, "loop")), 0);
    refuse(tmp.path, VG_E_IO, "loop");
    test_tmp_end(&tmp);
}

static void every_call_may_fail(void **state)
{
    VG_UNUSED(state);
    test_tmp tmp;
    test_tmp_begin(&tmp);
    write_text(test_tmp_path(&tmp, "file"), "hello");
    for (unsigned n = 1;; n++) {
        vg_err err;
        vg_file f;
        fault_arm(FAULT_IO, n);
        vg_status st = vg_file_map(&f, tmp.path, &err);
        if (!fault_disarm()) {
            assert_int_equal(n, 4); /* open, fstat, mmap */
            TEST_OK(st);
            vg_file_unmap(&f);
            break;
        }
        assert_true(st == VG_E_IO || st == VG_E_NO_MEMORY);
        assert_null(f.data);
    }
    test_tmp_end(&tmp);
}

/* ---- the guard: each case in a process of its own -------------------------------------------- */

static void exit_with_7(int sig)
{
    VG_UNUSED(sig);
    _exit(7);
}

static void exit_with_8(int sig, siginfo_t *info, void *context)
{
    VG_UNUSED(sig);
    VG_UNUSED(context);
    _exit(info->si_code <= 0 ? 8 : 9);
}

static int status_of_child(void (*former)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        former();
        vg_file_guard();
        raise(SIGBUS);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void former_default(void)
{
    signal(SIGBUS, SIG_DFL);
}

static void former_ignored(void)
{
    signal(SIGBUS, SIG_IGN);
}

static void former_plain(void)
{
    signal(SIGBUS, exit_with_7);
}

static void former_info(void)
{
    struct sigaction a = {.sa_sigaction = exit_with_8, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &a, NULL);
}

static void faults_of_others_go_to_their_handler(void **state)
{
    VG_UNUSED(state);
    int status = status_of_child(former_default);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = status_of_child(former_ignored);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    status = status_of_child(former_plain);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = status_of_child(former_info);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 8);
}

/* ---- the machine -------------------------------------------------------------------------- */

static void the_machine_has_sizes(void **state)
{
    VG_UNUSED(state);
    uint32_t cpu[8], n_cpus = vg_os_cpus();
    assert_true(vg_os_cores() >= 1 && n_cpus >= 1);
    assert_true(vg_os_cores() <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(n_cpus <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_in_range(vg_os_fast_cpus(cpu, VG_COUNT(cpu)), 1, VG_COUNT(cpu));
    assert_int_equal(vg_os_fast_cpus(cpu, 0), 0);
    uint64_t a = vg_os_now_ns(), b = vg_os_now_ns();
    assert_true(a > 0 && b >= a);
    assert_true(vg_os_peak_rss_bytes() > 100000);
    assert_true(vg_os_memory_bytes() != 1);
}

static void version_2_groups_limit(void **state)
{
    VG_UNUSED(state);
    test_tmp t;
    test_tmp_begin(&t);
    assert_true(vg_cgroup_cpus(t.dir) <= 0);
    assert_int_equal(vg_cgroup_memory_left(t.dir), 0);
    test_tmp_put(&t, "/proc/self/cgroup", "0::/a/b\n");
    test_tmp_put(&t, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_true(vg_cgroup_cpus(t.dir) <= 0);
    test_tmp_put(&t, "/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    assert_true(vg_cgroup_cpus(t.dir) == 1.5);
    test_tmp_put(&t, "/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_true(vg_cgroup_cpus(t.dir) == 0.5);
    test_tmp_put(&t, "/sys/fs/cgroup/a/memory.max", "1000000\n");
    test_tmp_put(&t, "/sys/fs/cgroup/a/memory.current", "600000\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 400000);
    test_tmp_put(&t, "/sys/fs/cgroup/a/memory.stat", "anon 400000\nfile 200000\nfile_mapped 1\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 600000);
    test_tmp_put(&t, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    test_tmp_put(&t, "/sys/fs/cgroup/a/b/memory.current", "5\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 600000);
    test_tmp_put(&t, "/sys/fs/cgroup/memory.max", "100\n");
    test_tmp_put(&t, "/sys/fs/cgroup/memory.current", "5000\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 1);
    test_tmp_remove(&t);
}

static void version_1_groups_limit(void **state)
{
    VG_UNUSED(state);
    test_tmp t;
    test_tmp_begin(&t);
    test_tmp_put(&t, "/proc/self/cgroup",
             "9:name=systemd:/\n4:memory:/docker/1234\n3:cpuset:/\n1:cpu,cpuacct:/docker/1234\n");
    /* A container sees its own group as the root of the mount, under the host's path. */
    test_tmp_put(&t, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
    test_tmp_put(&t, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(vg_cgroup_cpus(t.dir) == 2.5);
    test_tmp_put(&t, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    assert_true(vg_cgroup_cpus(t.dir) <= 0);
    test_tmp_put(&t, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    test_tmp_put(&t, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 0);
    test_tmp_put(&t, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
    test_tmp_put(&t, "/sys/fs/cgroup/memory/memory.stat", "cache 7\ntotal_cache 40\n");
    assert_int_equal(vg_cgroup_memory_left(t.dir), 940);
    test_tmp_put(&t, "/proc/self/cgroup", "no colons\n\n:\n::\n1:cpu\n");
    assert_true(vg_cgroup_cpus(t.dir) <= 0);
    test_tmp_remove(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_regular_files_are_mapped),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(faults_of_others_go_to_their_handler),
        cmocka_unit_test(the_machine_has_sizes),
        cmocka_unit_test(version_2_groups_limit),
        cmocka_unit_test(version_1_groups_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
