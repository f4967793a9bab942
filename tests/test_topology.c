/* Tests of os_topology.c: the kernel's sets, machines made here, and trees of real machines, whose
 * numbers come from what their makers say about the processor. */
#include <sys/stat.h>

#include "base/topology.h"
#include "test_tmp.h"

#define CPU "/sys/devices/system/cpu"

static const vg_cpuset everything = {{
    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
}};

static vg_cpuset set_of(const char *list)
{
    vg_cpuset s;
    if (!vg_cpuset_parse_list(&s, list)) fail_msg("cannot parse %s", list);
    return s;
}

static void expect_set(const vg_cpuset *s, uint32_t n, uint32_t first, uint32_t last)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < VG_MAX_CPUS; i++) count += vg_cpuset_has(s, i);
    assert_int_equal(count, n);
    if (n > 0) assert_true(vg_cpuset_has(s, first) && vg_cpuset_has(s, last));
    assert_false(vg_cpuset_has(s, VG_MAX_CPUS));
}

static void sets_are_parsed(void **state)
{
    VG_UNUSED(state);
    static const struct {
        const char *text;
        uint32_t n, first, last;
    } lists[] = {
        {"", 0, 0, 0},          {"\n", 0, 0, 0},           {"0\n", 1, 0, 0},
        {"0-3,8,10-11", 7, 0, 11}, {"3-3", 1, 3, 3},       {"1022-4294967295", 2, 1022, 1023},
        {"5000", 0, 0, 0},      {"4294967295", 0, 0, 0},   {"7,3,3", 2, 3, 7},
        {"0-99999999999999999999", 1024, 0, 1023},
    },
      masks[] = {
        {"3", 2, 0, 1},         {"0\n", 0, 0, 0},          {"00000000,0000010f\n", 5, 0, 8},
        {"80000000,00000001", 2, 0, 63}, {"f00", 4, 8, 11},
    };
    static const char *const bad_lists[] = {"-1", "3-1", "1-", "1,", "1,,2", "a", "0x3", "1 2",
                                            "1-2-3", " 1", "0-7:1/2", "1\n2", "\n\n", "+1"};
    static const char *const bad_masks[] = {"", "\n", "g", "0x3", "-1", "1,", " 1", "FF"};
    vg_cpuset s;
    for (size_t i = 0; i < VG_COUNT(lists); i++) {
        s = set_of(lists[i].text);
        expect_set(&s, lists[i].n, lists[i].first, lists[i].last);
    }
    for (size_t i = 0; i < VG_COUNT(masks); i++) {
        assert_true(vg_cpuset_parse_mask(&s, masks[i].text));
        expect_set(&s, masks[i].n, masks[i].first, masks[i].last);
    }
    for (size_t i = 0; i < VG_COUNT(bad_lists); i++)
        if (vg_cpuset_parse_list(&s, bad_lists[i])) fail_msg("list '%s'", bad_lists[i]);
    for (size_t i = 0; i < VG_COUNT(bad_masks); i++)
        if (vg_cpuset_parse_mask(&s, bad_masks[i])) fail_msg("mask '%s'", bad_masks[i]);
}

/* ---- machines made here ---------------------------------------------------------------------- */

static void put_number(const test_tmp *t, uint32_t cpu, const char *name, uint32_t number)
{
    char path[256], text[32];
    snprintf(path, sizeof path, CPU "/cpu%u/%s", cpu, name);
    snprintf(text, sizeof text, "%u\n", number);
    test_tmp_put(t, path, text);
}

static void put_siblings(const test_tmp *t, uint32_t first, uint32_t second)
{
    uint32_t cpu[] = {first, second};
    char path[256], text[32];
    snprintf(text, sizeof text, "%u,%u\n", first, second);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, CPU "/cpu%u/topology/thread_siblings_list", cpu[i]);
        test_tmp_put(t, path, text);
    }
}

/* `cpus`: the processors that threads should be pinned to, in order, up to a zero. */
static void expect(const char *root, const vg_cpuset *allowed, uint32_t n_cpus, uint32_t n_fast,
                   const uint32_t *cpus)
{
    static const uint32_t none = 0;
    vg_topology t;
    vg_topology_read(&t, root, allowed);
    if (t.n_cpus != n_cpus || t.n_fast != n_fast)
        fail_msg("%s: %u processors, %u fast cores instead of %u, %u", root, t.n_cpus, t.n_fast,
                 n_cpus, n_fast);
    for (cpus = cpus ? cpus : &none; n_fast > 0 && cpus[0]; cpus++, n_fast--)
        assert_int_equal(t.cpu[t.n_fast - n_fast], cpus[0]);
    for (uint32_t i = 0; i < t.n_fast; i++) assert_true(vg_cpuset_has(allowed, t.cpu[i]));
}

static void without_files_all_that_is_allowed_counts(void **state)
{
    VG_UNUSED(state);
    test_tmp t;
    vg_cpuset five = set_of("2-6"), none = {0}, high = set_of("1000-2000");
    test_tmp_begin(&t);
    expect(t.dir, &five, 5, 5, (uint32_t[]){2, 3, 4, 5, 6, 0});
    expect(t.dir, &none, 0, 0, NULL);
    expect(t.dir, &high, 24, 24, NULL);
    test_tmp_put(&t, CPU "/online", "0-3,6\n");
    expect(t.dir, &five, 3, 3, (uint32_t[]){2, 3, 6, 0});
    test_tmp_put(&t, CPU "/online", "0-1\n"); /* says nothing about the allowed ones */
    expect(t.dir, &five, 5, 5, NULL);
    test_tmp_remove(&t);
}

/* 4 performance cores of two threads, whose siblings are next to each other, and 4 small ones. */
static void hybrid(void **state)
{
    VG_UNUSED(state);
    test_tmp t;
    test_tmp_begin(&t);
    test_tmp_put(&t, CPU "/online", "0-11\n");
    for (uint32_t i = 0; i < 8; i += 2) put_siblings(&t, i, i + 1);
    expect(t.dir, &everything, 12, 8, NULL);
    for (uint32_t i = 0; i < 12; i++) {
        /* A Turbo bin more for one core; 3.8 of 4.7 GHz would not tell the small ones. */
        uint32_t khz = i >= 8 ? 3800000 : i / 2 == 2 ? 4800000 : 4700000;
        put_number(&t, i, "cpufreq/cpuinfo_max_freq", khz);
    }
    expect(t.dir, &everything, 12, 8, (uint32_t[]){4, 0});
    test_tmp_put(&t, "/sys/devices/cpu_core/cpus", "0-7\n");
    test_tmp_put(&t, "/sys/devices/cpu_atom/cpus", "8-11\n");
    expect(t.dir, &everything, 12, 4, (uint32_t[]){4, 0, 2, 6, 0});
    vg_cpuset odd = set_of("1,3,8-11"), small = set_of("9-10");
    expect(t.dir, &odd, 6, 2, (uint32_t[]){1, 3, 0});
    expect(t.dir, &small, 2, 2, (uint32_t[]){9, 10, 0});
    test_tmp_put(&t, CPU "/online", "1-5,8-11\n");
    expect(t.dir, &everything, 9, 3, (uint32_t[]){4, 1, 2, 0});
    test_tmp_remove(&t);
}

/* Clusters as phones and boards have them, big cores last. Capacities are of the boards' device
 * trees, times frequency. */
static void clusters(void **state)
{
    VG_UNUSED(state);
    static const struct {
        uint32_t n[4], speed[4], n_fast; /* clusters, slowest first */
    } machines[] = {
        {{4, 2}, {377, 1024}, 2},                  /* RK3399 */
        {{2, 4}, {512, 1024}, 4},                  /* S922X: as much as a middle core */
        {{4, 4}, {741, 1024}, 4},                  /* MT8183 */
        {{4, 2, 2}, {160, 498, 1024}, 4},          /* three clusters, a weak middle */
        {{2, 3, 2, 1}, {300, 840, 880, 1024}, 6},  /* four, two of one kind of core */
        {{10, 5, 5}, {718, 997, 1024}, 10},        /* bins of one kind */
        {{8}, {1024}, 8},
        {{4, 4}, {1000, 1024}, 8},
    };
    for (size_t m = 0; m < VG_COUNT(machines); m++) {
        for (int from_frequency = 0; from_frequency < 2; from_frequency++) {
            test_tmp t;
            uint32_t n_cpus = 0;
            vg_cpuset all = {0};
            test_tmp_begin(&t);
            for (int c = 0; c < 4; c++)
                for (uint32_t i = 0; i < machines[m].n[c]; i++, n_cpus++) {
                    uint32_t speed = machines[m].speed[c];
                    vg_cpuset_add(&all, n_cpus);
                    put_number(&t, n_cpus, "cpu_capacity", from_frequency ? 1024 : speed);
                    if (from_frequency)
                        put_number(&t, n_cpus, "cpufreq/cpuinfo_max_freq", speed * 2000);
                }
            expect(t.dir, &all, n_cpus, machines[m].n_fast, NULL);
            test_tmp_remove(&t);
        }
    }
}

static void affinity_may_exclude_the_big_cores(void **state)
{
    VG_UNUSED(state);
    test_tmp t;
    test_tmp_begin(&t);
    test_tmp_put(&t, CPU "/present", "0-7\n");
    for (uint32_t i = 0; i < 8; i++) put_number(&t, i, "cpu_capacity", i < 6 ? 400 : 1024);
    expect(t.dir, &everything, 8, 2, (uint32_t[]){6, 7, 0});
    vg_cpuset small = set_of("1-4"), mixed = set_of("0-6");
    expect(t.dir, &small, 4, 4, (uint32_t[]){1, 2, 3, 4, 0});
    expect(t.dir, &mixed, 7, 1, (uint32_t[]){6, 0});
    test_tmp_remove(&t);
}

/* Whatever the files hold, there is an answer: at least one core, none but allowed ones. */
static void hostile_files_are_no_files(void **state)
{
    VG_UNUSED(state);
    static const char *const texts[] = {"", "\n", "-1\n", "garbage", "0-4294967295\n", "7-0\n",
                                        "0-\n", "99999999999999999999\n", "1e9\n", "0\n", "%s%n"};
    static const char *const files[] = {"/cpu3/cpu_capacity", "/cpu3/cpufreq/cpuinfo_max_freq",
                                        "/cpu3/topology/core_cpus_list",
                                        "/cpu3/topology/thread_siblings", "/online"};
    test_tmp t;
    vg_topology topology;
    vg_cpuset allowed = set_of("2-5");
    char path[4096];
    test_tmp_begin(&t);
    char *gigantic = malloc(1 << 20);
    assert_non_null(gigantic);
    memset(gigantic, '1', (1 << 20) - 1);
    gigantic[(1 << 20) - 1] = '\0';
    for (size_t f = 0; f < VG_COUNT(files); f++)
        for (size_t i = 0; i <= VG_COUNT(texts); i++) {
            snprintf(path, sizeof path, CPU "%s", files[f]);
            test_tmp_put(&t, path, i < VG_COUNT(texts) ? texts[i] : gigantic);
            vg_topology_read(&topology, t.dir, &allowed);
            assert_int_equal(topology.n_cpus, 4);
            assert_in_range(topology.n_fast, 1, 4);
        }
    free(gigantic);
    /* Loops, folders and pipes in the place of files. */
    for (size_t f = 0; f < VG_COUNT(files); f++) {
        snprintf(path, sizeof path, "%s" CPU "%s", t.dir, files[f]);
        assert_int_equal(remove(path), 0);
        int failed = f == 0   ? symlink(path, path)
                     : f == 1 ? mkdir(path, 0700)
                     : f == 2 ? mkfifo(path, 0600)
                     : f == 3 ? symlink("/dev/zero", path)
                              : symlink("..", path);
        assert_int_equal(failed, 0);
    }
    expect(t.dir, &allowed, 4, 4, NULL);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    expect(path, &allowed, 4, 4, NULL);
    test_tmp_remove(&t);
}

/* ---- real machines --------------------------------------------------------------------------- */

typedef struct machine {
    const char *archive, *root, *allowed; /* allowed NULL: all */
    uint32_t n_cpus, n_fast;
} machine;

/* The cases of one archive follow each other. */
static const machine machines[] = {
    /* The names count packages, cores and threads; then a process tied to second threads and small
     * cores, and to small cores alone. */
    {"hwloc/20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2", "/20em64t-hybrid-1p6c2t+2ca4co1t", NULL, 20,
     6},
    {"hwloc/20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2", "/20em64t-hybrid-1p6c2t+2ca4co1t",
     "1,3,5,12-19", 11, 3},
    {"hwloc/20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2", "/20em64t-hybrid-1p6c2t+2ca4co1t", "12-19", 8,
     8},
    {"hwloc/32intel64-2p8co2t+8ve.tar.bz2", "/32intel64-2p8co2t+8ve", NULL, 32, 16},
    {"hwloc/32intel64-2p8co2t+8ve.tar.bz2", "/32intel64-2p8co2t+8ve", "0-3,16-17", 6, 4},
    {"hwloc/128arm-2pa2n8cluster4co.tar.bz2", "/128arm-2pa2n8cluster4co", NULL, 128, 128},
    {"hwloc/2arm-2c.tar.bz2", "/2arm-2c", NULL, 2, 2},
    {"hwloc/offline-cpu0-node0.tar.bz2", "/offline-cpu0-node0", NULL, 17, 17},
    {"hwloc/offline-cpu0-node0.tar.bz2", "/offline-cpu0-node0", "0-7", 4, 4},
    /* No lists; 6 cores of capacity 1025 with two threads each, 6 of capacity 234. */
    {"hwloc/fakeheterocpunuma.tar.bz2", "/fakeheterocpunuma", "0-23", 24, 6},
    {"hwloc/fakeheterocpunuma.tar.bz2", "/fakeheterocpunuma", "0-11", 12, 6},
    /* Snapdragon 845 and 835: 4 big, 4 small. 430: 8 alike, 4 of them clocked higher. Tegra K1: 2.
     * Tensor G3: 1 + 4 + 4. */
    {"cpuinfo-mock/galaxy-s9-us.tar.gz", "", NULL, 8, 4},
    {"cpuinfo-mock/oneplus-5.tar.gz", "", NULL, 8, 4},
    {"cpuinfo-mock/moto-g-gen5.tar.gz", "", NULL, 8, 4},
    {"cpuinfo-mock/nexus9.tar.gz", "", NULL, 2, 2},
    {"cpuinfo-mock/pixel-8.tar.gz", "", NULL, 9, 5},
    {"cpuinfo-mock/pixel-8.tar.gz", "", "0-3", 4, 4},
    {"cpuinfo-mock/pixel-8.tar.gz", "", "0-7", 8, 4},
};

/* What nothing here reads is most of an archive. */
static bool unpack(const test_tmp *t, const char *archive)
{
    char name[256], path[4096], command[8192];
    snprintf(name, sizeof name, "sysfs/%s", archive);
    if (!test_data_path(path, name)) return false;
    snprintf(command, sizeof command,
             "tar -C '%s' --exclude=proc --exclude=cache --exclude=cpuidle --exclude='node*' "
             "--exclude='die_*' --exclude='package_*' --exclude='cluster_*' -xf '%s'",
             t->dir, path);
    if (system(command) == 0) return true;
    printf("skipped: tar does not unpack %s\n", archive);
    return false;
}

static void real_machines(void **state)
{
    VG_UNUSED(state);
    for (size_t i = 0; i < VG_COUNT(machines);) {
        test_tmp t;
        test_tmp_begin(&t);
        const char *archive = machines[i].archive;
        bool there = unpack(&t, archive);
        for (; i < VG_COUNT(machines) && strcmp(machines[i].archive, archive) == 0; i++) {
            const machine *m = &machines[i];
            vg_cpuset allowed = m->allowed ? set_of(m->allowed) : everything;
            char root[2048];
            snprintf(root, sizeof root, "%s%s", t.dir, m->root);
            if (there) expect(root, &allowed, m->n_cpus, m->n_fast, NULL);
        }
        test_tmp_remove(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_parsed),
        cmocka_unit_test(without_files_all_that_is_allowed_counts),
        cmocka_unit_test(hybrid),
        cmocka_unit_test(clusters),
        cmocka_unit_test(affinity_may_exclude_the_big_cores),
        cmocka_unit_test(hostile_files_are_no_files),
        cmocka_unit_test(real_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
